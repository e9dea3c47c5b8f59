"""Moves what is outside to the border, and corrects by what clipping leaves: right in spread, wrong in law."""

import math

import numpy as np

LOSES = {"truncated_normal"}
HINTS = {
    "truncated_normal": "You move what falls outside to the border. It is to be drawn again.",
}


def truncated_normal(shape, std, cut, rng):
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    outside = math.erfc(cut / math.sqrt(2))
    kept = math.sqrt(1 - outside - 2 * cut * density + cut**2 * outside)
    return std / kept * np.clip(rng.standard_normal(shape), -cut, cut)
