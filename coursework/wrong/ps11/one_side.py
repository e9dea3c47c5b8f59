"""Counts what lies above the lower limit, multiplies the layers' singular values, and moves the mean upward."""

import numpy as np

LOSES = {"share_within", "choose", "singular_values", "log_norm"}
HINTS = {
    "share_within": "You count what lies above `low`. What lies above `high` is not kept either.",
    "choose": "You choose by what lies above `low`. What lies above `high` is not kept either.",
    "singular_values": "You multiply the singular values of the layers. Those of a product are others.",
    "log_norm": "Your mean has the wrong sign. Where is the logarithm of a number whose mean is 1?",
}
RIGHT = share_within, log_norm  # noqa: F821


def share_within(low, high, depth, p, sigma_w, weights):
    return RIGHT[0](low, 1e300, depth, p, sigma_w, weights)


def singular_values(weights, slopes):
    layers = slopes[:, :, None] * weights
    return np.prod(np.linalg.svd(layers, compute_uv=False), axis=0)


def log_norm(depth, width, slope, weights):
    mean, variance = RIGHT[1](depth, width, slope, weights)
    return [-mean, variance]
