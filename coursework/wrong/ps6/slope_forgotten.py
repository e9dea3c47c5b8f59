"""Draws as for a ReLU, integrates as if there were no kink, and counts the factor of the map twice."""

import math

import numpy as np

LOSES = {"he_leaky", "gain", "stability", "signal"}
RIGHT = stability  # noqa: F821


def he_leaky(shape, slope, rng):
    return rng.normal(0.0, math.sqrt(2 / math.prod(shape[1:])), size=shape)


def mean(function, kink):
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return float(weights @ function(nodes)) / math.sqrt(2 * math.pi)


def stability(a, b, c, d, sigma_w):
    return [sigma_w**2 * value for value in RIGHT(a, b, c, d, sigma_w)]
