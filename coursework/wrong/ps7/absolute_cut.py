"""Cuts at an absolute distance, as torch's default does, and asks for a second moment of 1 at the target."""

import math

import numpy as np

LOSES = {"truncated_normal", "selu_constants"}
HINTS = {
    "truncated_normal": "You cut at the distance `cut`. It is meant in standard deviations.",
    "selu_constants": "Your second moment is 1. It should be the target.",
}
RIGHT = selu_constants  # noqa: F821


def truncated_normal(shape, std, cut, rng):
    draws = std * rng.standard_normal(shape)
    while (outside := np.abs(draws) > cut).any():
        draws[outside] = std * rng.standard_normal(outside.sum())
    return draws


def selu_constants(target):
    alpha, scale = RIGHT(target)
    return [alpha, scale / math.sqrt(target)]
