"""Puts s^(1/L) for s^(2/L), averages a slope that is not squared, and turns the Jacobian round."""

import math

import numpy as np

LOSES = {"share_within", "choose", "depth_scale", "singular_values"}
HINTS = {
    "share_within": "x is a squared length: x = s^(2/L). You put in s^(1/L).",
    "choose": "You choose with s^(1/L) for x. It is a squared length: s^(2/L).",
    "depth_scale": "You square the mean slope. χ has the mean of the square.",
    "singular_values": "Your first layer stands on the left. Which matrix meets the input?",
}
RIGHT = share_within  # noqa: F821


def share_within(low, high, depth, p, sigma_w, weights):
    return RIGHT(low, high, 2 * depth, p, sigma_w, weights)


def depth_scale(sigma_w, sigma_b):
    xi = np.linspace(-9, 9, 1801)
    density = np.exp(-xi * xi / 2)
    density /= density.sum()
    q = 1.0
    for _ in range(3000):
        q = sigma_w**2 * density @ np.tanh(math.sqrt(q) * xi) ** 2 + sigma_b**2
    chi = sigma_w**2 * (density @ (1 - np.tanh(math.sqrt(q) * xi) ** 2)) ** 2
    return [float(chi), float(-1 / math.log(chi))]


def singular_values(weights, slopes):
    jacobian = np.eye(slopes.shape[1])
    for layer, slope in zip(weights, slopes, strict=True):
        jacobian = jacobian @ (slope[:, None] * layer)
    return np.linalg.svd(jacobian, compute_uv=False)
