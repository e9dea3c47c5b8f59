"""Draws every start from one seed, lets a large logit overflow, and squares the mean of the activation."""

import math

import numpy as np

LOSES = {"start_loss", "branch_size", "initialize", "prediction"}
HINTS = {
    "start_loss": "Your formula overflows for a logit of 1000. Which function of NumPy adds exponentials and does not?",
    "branch_size": "You square the mean of the activation. The mean of its square is asked for.",
    "initialize": "Your draw does not hang on the generator that you get. Every number comes from rng.",
    "prediction": "Your draw does not hang on the generator that you get. Every number comes from rng.",
}
RIGHT = initialize  # noqa: F821


def start_loss(vocabulary, spread, own):
    return float(np.log((vocabulary - 1) * np.exp(spread**2 / 2) + np.exp(own)))


def branch_size(width, hidden, first, last):
    xi = np.linspace(-10, 10, 4001)
    z = first * math.sqrt(width) * xi
    gelu = z * np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in z])
    mean = np.sum(np.exp(-xi * xi / 2) * gelu) * 0.005 / math.sqrt(2 * math.pi)
    return float(hidden * last**2 * mean**2)


def initialize(roles, shapes, blocks, rng):
    return RIGHT(roles, shapes, blocks, np.random.default_rng(0))
