"""Trains a frozen multiplier, and draws uniform weights of the right spread."""

import math

LOSES = {"first_moves", "draw_branch"}
HINTS = {
    "first_moves": "Your multiplier moves whether it is learned or not.",
    "draw_branch": "The spread is right and the law is not: normal weights are asked for.",
}
RIGHT = first_moves  # noqa: F821


def first_moves(head, first, last, alpha, learned):
    return RIGHT(head, first, last, alpha, True)


def draw_branch(width, hidden, alpha, rng):
    inner = math.sqrt(6 / width) * rng.uniform(-1, 1, (hidden, width))
    return [inner, alpha * math.sqrt(6 / hidden) * rng.uniform(-1, 1, (width, hidden))]
