"""Forgets the biases in the forward pass, and that an empty class adds nothing."""

import numpy as np

LOSES = {"gradients", "stuck_loss"}
HINTS = {
    "gradients": "You left the biases out of the forward pass.",
    "stuck_loss": "A class without examples makes your sum not a number. What does p ln p tend to as p goes to 0?",
}
RIGHT = gradients  # noqa: F821


def gradients(x, labels, weights, biases, activation):
    return RIGHT(x, labels, weights, [0 * bias for bias in biases], activation)


def stuck_loss(counts):
    p = counts / counts.sum()
    with np.errstate(all="ignore"):
        return float(-(p * np.log(p)).sum())
