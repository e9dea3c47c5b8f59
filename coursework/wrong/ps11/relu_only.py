"""Knows the law of ReLU networks only, takes m = 2 for every slope, and puts the slopes on the input's side."""

import numpy as np

LOSES = {"share_within", "choose", "singular_values", "log_norm"}
HINTS = {
    "share_within": "Your shares are those of p = 1/2. The units here are on with the chance p.",
    "choose": "You choose as if all units were ReLU without biases. They are on with the chance p.",
    "singular_values": "Your slopes stand on the input's side of their weights. A unit's slope acts behind its sum.",
    "log_norm": "Your m is that of a ReLU. What do E φ′² and E φ′⁴ become with the slope a for half of the inputs?",
}
RIGHT = share_within, log_norm  # noqa: F821


def share_within(low, high, depth, p, sigma_w, weights):
    return RIGHT[0](low, high, depth, 0.5, sigma_w, weights)


def singular_values(weights, slopes):
    jacobian = np.eye(slopes.shape[1])
    for layer, slope in zip(weights, slopes, strict=True):
        jacobian = layer @ (slope[:, None] * jacobian)
    return np.linalg.svd(jacobian, compute_uv=False)


def log_norm(depth, width, slope, weights):
    return RIGHT[1](depth, width, 0.0, weights)
