"""Repeats the saying that zero weights never move."""

LOSES = {"first_moves", "own_network", "safe_zeros"}
HINTS = {
    "first_moves": (
        "You say that zero weights never move. Which matrix gets the gradient first, and what does it multiply it with?"
    ),
    "own_network": (
        "You let a zero matrix stay zero and all others move at step 1. A matrix needs a signal from below and a "
        "gradient from above: look for both, step by step."
    ),
    "safe_zeros": (
        "You call no zero matrix safe. One zero factor can get its gradient from the layers around it: does it?"
    ),
}


def first_moves(depth, phi_zero, slope_zero):
    return [0] * depth


PREDICTION = {f"W{i}": 0 if i in VARIANT["zero"] else 1 for i in range(1, len(VARIANT["widths"]))}  # noqa: F821


def safe_zeros(depth, slope_zero):
    return []
