"""Starts with zeros, which no draw is and no gradient passes, and forgets the token that is read."""

import math

import numpy as np

LOSES = {"start_loss", "branch_size", "initialize", "prediction"}
HINTS = {
    "start_loss": "You left out the logit of the token that is read.",
    "branch_size": "You take half of the mean square, as for a ReLU. GELU's depends on the size of what it reads.",
    "initialize": "Your start is zero throughout. Which gradient is left then?",
    "prediction": "Your start is zero throughout, and your band belongs to another one.",
}


def start_loss(vocabulary, spread, own):
    return math.log(vocabulary) + spread**2 / 2


def branch_size(width, hidden, first, last):
    return hidden * last**2 * width * first**2 / 2


def initialize(roles, shapes, blocks, rng):
    return [np.zeros(shape) for shape in shapes]
