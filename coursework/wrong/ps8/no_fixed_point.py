"""Takes the biases' own variance for q: the fixed point is forgotten."""

import math

import numpy as np

LOSES = {"critical_line"}
HINTS = {
    "critical_line": "Your q is the biases' own variance. It must be mapped to itself.",
}


def critical_line(sigma_b):
    xi = np.linspace(-12, 12, 4001)
    weights = 0.006 * np.exp(-xi * xi / 2) / math.sqrt(2 * math.pi)
    slope = weights @ (1 - np.tanh(sigma_b * xi) ** 2) ** 2
    return [sigma_b**2, slope**-0.5]
