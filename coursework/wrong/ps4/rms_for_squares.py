"""Returns factors of the rms, halves of the logarithm, and a slope that is not squared."""

import numpy as np

LOSES = {"forward_factors", "log_factor", "chi"}
HINTS = {
    "forward_factors": "Yours are the factors of the rms. F is a ratio of mean squares.",
    "log_factor": (
        "Both numbers are half of what they should be: they belong to ln √F. Look at how a logarithm's mean and "
        "variance change under a square."
    ),
    "chi": "You average the slope. χ averages its square.",
}
RIGHT = forward_factors, log_factor  # noqa: F821


def forward_factors(x, widths, sigma_w, replicas, rng):
    return np.sqrt(RIGHT[0](x, widths, sigma_w, replicas, rng))


def log_factor(widths, sigma_w):
    return tuple(square / 2 for square in RIGHT[1](widths, sigma_w))


def chi(sigma_w):
    q = 1.0
    for _ in range(300):
        q = sigma_w**2 * mean_over_xi(lambda xi, q=q: np.tanh(np.sqrt(q) * xi) ** 2)  # noqa: F821
    return float(sigma_w**2 * mean_over_xi(lambda xi: np.cosh(np.sqrt(q) * xi) ** -2.0))  # noqa: F821
