"""Draws a uniform law with the right spread, and gives the roots of both factors."""

import math

LOSES = {"he_leaky", "stability"}
HINTS = {
    "he_leaky": "The spread is right, and the law is the uniform one.",
    "stability": "You give the roots. Both numbers are factors of mean squares.",
}
RIGHT = stability  # noqa: F821


def he_leaky(shape, slope, rng):
    bound = math.sqrt(6 / ((1 + slope**2) * math.prod(shape[1:])))
    return rng.uniform(-bound, bound, size=shape)


def stability(a, b, c, d, sigma_w):
    return [math.sqrt(value) for value in RIGHT(a, b, c, d, sigma_w)]
