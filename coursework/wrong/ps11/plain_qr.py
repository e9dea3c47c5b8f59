"""Takes Q as LAPACK gives it, and the square root of a variance for the variance of a logarithm."""

import math

import numpy as np

LOSES = {"haar", "log_norm"}
HINTS = {
    "haar": "Look at the signs of your diagonals: the signs in Q are the algorithm's choice. What makes Q unique?",
    "log_norm": "Beside the mean stands a standard deviation. The variance is asked for.",
}
RIGHT = log_norm  # noqa: F821


def haar(count, rows, columns, gain, rng):
    q, _ = np.linalg.qr(rng.standard_normal((count, max(rows, columns), min(rows, columns))))
    return gain * (q if rows >= columns else q.mT)


def log_norm(depth, width, slope, weights):
    mean, variance = RIGHT(depth, width, slope, weights)
    return [mean, math.sqrt(variance)]
