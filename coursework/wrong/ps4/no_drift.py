"""Takes the logarithm of the mean for the mean of the logarithm, σ_w for σ_w², and iterates χ once."""

import numpy as np

LOSES = {"log_factor", "chi"}
HINTS = {
    "log_factor": (
        "Your mean is the logarithm of the mean, and beside it stands a standard deviation. The mean of a "
        "logarithm is lower."
    ),
    "chi": "You have iterated the map once. It is to be iterated until q settles.",
}


def log_factor(widths, sigma_w):
    return (len(widths) - 1) * np.log(sigma_w**2 / 2), float(np.sqrt(np.sum(5 / np.array(widths[1:]))))


def chi(sigma_w):
    q = sigma_w**2
    return float(sigma_w**2 * mean_over_xi(lambda xi: np.cosh(np.sqrt(q) * xi) ** -4.0))  # noqa: F821
