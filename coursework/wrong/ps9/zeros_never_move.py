"""Takes what starts at zero for something that stays there, and draws with the fan_out."""

import math

LOSES = {"first_moves", "draw_branch"}
HINTS = {
    "first_moves": "You let what starts at zero stay there. Which factors does its gradient have?",
    "draw_branch": "You divide by the number of outputs. How many terms does one unit add up?",
}


def first_moves(head, first, last, alpha, learned):
    branch = int(head and first and last and alpha)
    steps = {"stem": int(head), "head": int(head), "first": branch, "last": branch}
    return {**steps, "alpha": branch if learned else 0}


def draw_branch(width, hidden, alpha, rng):
    inner = rng.normal(0, math.sqrt(2 / hidden), (hidden, width))
    return [inner, rng.normal(0, alpha * math.sqrt(2 / width), (width, hidden))]
