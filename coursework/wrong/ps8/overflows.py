"""Writes the loss so that logits of 1000 overflow, turns the odds round, and leaves the last loss out."""

import math

import numpy as np

LOSES = {"log_odds", "initial_loss", "first_phase"}
HINTS = {
    "log_odds": "Your odds are turned round: a rare class needs a negative bias.",
    "initial_loss": "Your formula overflows for large logits. The assignment names a function that does not.",
    "first_phase": "The loss after the last step is missing.",
}
RIGHT = log_odds, first_phase  # noqa: F821


def log_odds(labels):
    return -RIGHT[0](labels)


def initial_loss(frequency, bias, spread):
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    z = bias + spread * nodes
    loss = frequency * np.log(1 + np.exp(-z)) + (1 - frequency) * np.log(1 + np.exp(z))
    return float(weights @ loss) / math.sqrt(2 * math.pi)


def first_phase(frequency, bias, square, rate, steps):
    return RIGHT[1](frequency, bias, square, rate, steps)[:-1]
