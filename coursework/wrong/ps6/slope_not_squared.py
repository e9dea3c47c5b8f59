"""Forgets the square of the slope."""

import math

LOSES = {"he_leaky"}
HINTS = {
    "he_leaky": "Your variance has 1 + a. What does a slope a do to a square?",
}


def he_leaky(shape, slope, rng):
    return rng.normal(0.0, math.sqrt(2 / ((1 + slope) * math.prod(shape[1:]))), size=shape)
