"""Leaves the last ReLU out, adds up where a mean is asked for, and counts the inputs as a layer."""

import numpy as np

LOSES = {"forward_factors", "backward_factors", "log_factor"}
HINTS = {
    "forward_factors": "Your last layer has no ReLU. Every layer is followed by one.",
    "backward_factors": (
        "Yours are n_1/n_L times what they should be: your weights divide by fan_out, or you add up where a mean is "
        "asked for. The values are the same."
    ),
    "log_factor": "You count the inputs as a layer. Which widths does a sum over n_1 ... n_L have?",
}
RIGHT = backward_factors, log_factor  # noqa: F821


def forward_factors(x, widths, sigma_w, replicas, rng):
    h = z = np.broadcast_to(x[:, None], (replicas, len(x), 1))
    for fan_out, fan_in in zip(widths[1:], widths, strict=False):
        z = sigma_w / np.sqrt(fan_in) * rng.standard_normal((replicas, fan_out, fan_in)) @ h
        h = np.maximum(z, 0)
    return np.mean(z**2, axis=(1, 2)) / np.mean(x**2)


def backward_factors(x, delta, widths, sigma_w, replicas, rng):
    return RIGHT[0](x, delta, widths, sigma_w, replicas, rng) * widths[1] / widths[-1]


def log_factor(widths, sigma_w):
    return RIGHT[1]([widths[0], *widths], sigma_w)
