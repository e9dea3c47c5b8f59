"""Draws one network for all replicas, leaves the slopes out on the way down, and takes χ at q = 1."""

import numpy as np

LOSES = {"forward_factors", "backward_factors", "chi"}
HINTS = {
    "forward_factors": "All your networks are one and the same. Draw weights for each replica.",
    "backward_factors": (
        "Your gradient passes the matrices and not the slopes. What does ReLU do to it where z is negative?"
    ),
    "chi": "That is χ at q = 1. It is asked for at the fixed point q*: iterate the map first.",
}


def forward_factors(x, widths, sigma_w, replicas, rng):
    h = x
    for fan_out, fan_in in zip(widths[1:], widths, strict=False):
        h = np.maximum(sigma_w / np.sqrt(fan_in) * rng.standard_normal((fan_out, fan_in)) @ h, 0)
    return np.full(replicas, np.mean(h**2) / np.mean(x**2))


def backward_factors(x, delta, widths, sigma_w, replicas, rng):
    down = np.broadcast_to(delta, (replicas, len(delta)))[:, None]
    for fan_out, fan_in in list(zip(widths[1:], widths, strict=False))[:0:-1]:
        down = down @ (sigma_w / np.sqrt(fan_in) * rng.standard_normal((replicas, fan_out, fan_in)))
    return np.mean(down**2, axis=(1, 2)) / np.mean(delta**2)


def chi(sigma_w):
    return float(sigma_w**2 * mean_over_xi(lambda xi: np.cosh(xi) ** -4.0))  # noqa: F821
