"""Repeats the saying that zero weights never move."""

LOSES = {"first_moves", "own_network", "safe_zeros"}


def first_moves(depth, phi_zero, slope_zero):
    return [0] * depth


PREDICTION = {f"W{i}": 0 if i in VARIANT["zero"] else 1 for i in range(1, len(VARIANT["widths"]))}  # noqa: F821


def safe_zeros(depth, slope_zero):
    return []
