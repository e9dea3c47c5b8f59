"""Treats every activation that is not zero at zero like the sigmoid, and every network like tanh; ln C for the loss."""

import numpy as np

LOSES = {"first_moves", "safe_zeros", "stuck_loss"}
HINTS = {
    "first_moves": (
        "You let every matrix move as soon as φ(0) is not zero. What does the gradient meet on its way down where "
        "φ′(0) is zero?"
    ),
    "safe_zeros": (
        "You call every layer safe, whatever φ′(0) is. Which signal is missing for good if a hidden matrix is "
        "zero and so is the slope at zero?"
    ),
    "stuck_loss": (
        "ln C is the loss of a guess that makes all classes equally likely. The output bias can learn how "
        "frequent they are."
    ),
}


def first_moves(depth, phi_zero, slope_zero):
    if depth == 1:
        return [1]
    return list(range(depth, 0, -1)) if phi_zero else [0] * depth


def safe_zeros(depth, slope_zero):
    return list(range(1, depth + 1))


def stuck_loss(counts):
    return float(np.log(len(counts)))
