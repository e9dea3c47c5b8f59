"""Gives the square of sigma_w: half of the points are lost."""

import math

import numpy as np

LOSES = {"critical_line"}
HINTS = {
    "critical_line": "Your q is right, and beside it stands σ_w². σ_w is asked for.",
}


def critical_line(sigma_b):
    xi = np.linspace(-12, 12, 4001)
    weights = 0.006 * np.exp(-xi * xi / 2) / math.sqrt(2 * math.pi)
    low, high = sigma_b**2, 100.0
    for _ in range(100):
        q = (low + high) / 2
        h = np.tanh(math.sqrt(q) * xi) ** 2
        square, slope = weights @ h, weights @ (1 - h) ** 2
        low, high = (q, high) if (q - sigma_b**2) * slope < square else (low, q)
    return [q, 1 / slope]
