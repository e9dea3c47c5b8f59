"""Treats every activation that is not zero at zero like the sigmoid, and every network like tanh; ln C for the loss."""

import numpy as np

LOSES = {"first_moves", "safe_zeros", "stuck_loss"}


def first_moves(depth, phi_zero, slope_zero):
    if depth == 1:
        return [1]
    return list(range(depth, 0, -1)) if phi_zero else [0] * depth


def safe_zeros(depth, slope_zero):
    return list(range(1, depth + 1))


def stuck_loss(counts):
    return float(np.log(len(counts)))
