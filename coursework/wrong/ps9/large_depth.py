"""Takes ln(growth)/L for growth^(1/L) - 1, and compares each branch with the stream that it was added to."""

import math

import numpy as np

LOSES = {"choose_alpha", "shares"}
HINTS = {
    "choose_alpha": "Yours is the answer for large depths: ln(growth)/L in place of growth^(1/L) − 1.",
    "shares": "You compare each branch with the stream that it was added to. The end is asked for.",
}


def choose_alpha(form, first, last, blocks, growth):
    added = (growth - 1 if form == "norm" else math.log(growth)) / blocks
    return math.sqrt(added / (1 if form == "pre" else 2)) / (first * last)


def shares(squares):
    return [squares[0] / squares[-1], *(np.diff(squares) / squares[1:]).tolist()]
