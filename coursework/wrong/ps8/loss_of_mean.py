"""Takes the loss of the mean logit for the mean loss, and forgets that the output weights move as well."""

import math

import numpy as np

LOSES = {"initial_loss", "first_phase"}
HINTS = {
    "initial_loss": (
        "That is the loss of the mean logit. The mean of the losses is asked for, and it is larger: the loss is convex."
    ),
    "first_phase": "You move the bias only. What do the output weights add to the logit in a step?",
}


def initial_loss(frequency, bias, spread):
    return float(frequency * np.logaddexp(0, -bias) + (1 - frequency) * np.logaddexp(0, bias))


def first_phase(frequency, bias, square, rate, steps):
    losses, logit = [], bias
    for _ in range(steps + 1):
        losses.append(initial_loss(frequency, logit, 0.0))
        logit -= rate * (1 / (1 + math.exp(-logit)) - frequency)
    return losses
