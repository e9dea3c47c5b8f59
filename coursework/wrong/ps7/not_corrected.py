"""Cuts and does not stretch: the spread is too small."""

import numpy as np

LOSES = {"truncated_normal"}


def truncated_normal(shape, std, cut, rng):
    draws = rng.standard_normal(shape)
    while (outside := np.abs(draws) > cut).any():
        draws[outside] = rng.standard_normal(outside.sum())
    return std * draws
