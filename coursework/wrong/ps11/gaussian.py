"""Draws normal matrices that are orthogonal on average, and takes all weights for Gaussian ones."""

import math

LOSES = {"haar", "share_within", "choose", "log_norm"}
HINTS = {
    "haar": "Your matrices are orthogonal on average only. Each of them is to be.",
    "share_within": "You have one law for both kinds of weights. What does the 1 − τ in the denominator change?",
    "choose": "You choose as if all weights were Gaussian.",
    "log_norm": "An orthogonal matrix changes no length: only the slopes do. What is left of 3m − 1?",
}
RIGHT = share_within, log_norm  # noqa: F821


def haar(count, rows, columns, gain, rng):
    return rng.normal(0, gain / math.sqrt(max(rows, columns)), (count, rows, columns))


def share_within(low, high, depth, p, sigma_w, weights):
    return RIGHT[0](low, high, depth, p, sigma_w, "gaussian")


def log_norm(depth, width, slope, weights):
    return RIGHT[1](depth, width, slope, "gaussian")
