"""Forgets the square of the slope."""

import math

LOSES = {"he_leaky"}


def he_leaky(shape, slope, rng):
    return rng.normal(0.0, math.sqrt(2 / ((1 + slope) * math.prod(shape[1:]))), size=shape)
