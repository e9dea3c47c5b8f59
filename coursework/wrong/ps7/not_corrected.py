"""Cuts and does not stretch: the spread is too small."""

import numpy as np

LOSES = {"truncated_normal"}
HINTS = {
    "truncated_normal": (
        "You cut and do not correct. What is left of the spread is kept_std(cut) times what you asked for."
    ),
}


def truncated_normal(shape, std, cut, rng):
    draws = rng.standard_normal(shape)
    while (outside := np.abs(draws) > cut).any():
        draws[outside] = rng.standard_normal(outside.sum())
    return std * draws
