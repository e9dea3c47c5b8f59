"""Draws as for a ReLU, integrates as if there were no kink, and counts the factor of the map twice."""

import math

import numpy as np

LOSES = {"he_leaky", "gain", "stability", "signal"}
HINTS = {
    "he_leaky": "Your variance is that of a ReLU. What does the slope a add?",
    "gain": "Your rule has no node at the kink, and misses it. Cut the integral there.",
    "stability": "You multiply by σ_w² twice.",
    "signal": "Your rule has no node at the kink, and misses it. In ξ the kink lies at d/√q.",
}
RIGHT = stability  # noqa: F821


def he_leaky(shape, slope, rng):
    return rng.normal(0.0, math.sqrt(2 / math.prod(shape[1:])), size=shape)


def mean(function, kink):
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return float(weights @ function(nodes)) / math.sqrt(2 * math.pi)


def stability(a, b, c, d, sigma_w):
    return [sigma_w**2 * value for value in RIGHT(a, b, c, d, sigma_w)]
