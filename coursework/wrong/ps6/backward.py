"""Draws by He's rule for the gradient, gives the inverse of the gain, and starts the signal at 1."""

import math

LOSES = {"he_leaky", "gain", "signal"}
HINTS = {
    "he_leaky": "You divide by the fan that the gradient sums over. The signal is to be kept.",
    "gain": "That is 1/gain: what the activation does, and not what undoes it.",
    "signal": "Your signal starts at 1. It starts at q.",
}
RIGHT = gain, signal  # noqa: F821


def he_leaky(shape, slope, rng):
    return rng.normal(0.0, math.sqrt(2 / ((1 + slope**2) * shape[0] * math.prod(shape[2:]))), size=shape)


def gain(a, b, c, d):
    return 1 / RIGHT[0](a, b, c, d)


def signal(a, b, c, d, sigma_w, q, depth):
    return RIGHT[1](a, b, c, d, sigma_w, 1.0, depth)
