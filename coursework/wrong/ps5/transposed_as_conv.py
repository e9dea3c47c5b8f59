"""Reads a transposed convolution's weight as that of a convolution, and gives the geometric mean of the fans."""

import math

import numpy as np

LOSES = {"fans", "network_factors"}
HINTS = {
    "fans": "You read a transposed convolution's weight as that of a convolution. Which axis does it store first?",
    "network_factors": "Your fan_avg is a geometric mean. The mean of both fans is meant.",
}


def fans(kind, shape, groups):
    first, second, *kernel = shape
    return second * math.prod(kernel), first // groups * math.prod(kernel)


def network_factors(widths, mode):
    n_in, n_out = np.array(widths[:-1], dtype=float), np.array(widths[1:], dtype=float)
    fan = {"fan_in": n_in, "fan_out": n_out, "fan_avg": np.sqrt(n_in * n_out)}[mode]
    return [float(np.prod(n_in / fan)), float(np.prod(n_out / fan))]
