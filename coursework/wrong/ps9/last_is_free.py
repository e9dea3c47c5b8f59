"""Takes alpha for the whole factor of a branch, and for a factor on the variance."""

import math

LOSES = {"stream", "choose_alpha", "draw_branch"}
HINTS = {
    "stream": "You use alpha only. `first` and `last` are factors of the branch as well.",
    "choose_alpha": "Your alpha does not know `first` and `last`, which are factors of the branch as well.",
    "draw_branch": "alpha is a factor on the weights. You put it on their variance.",
}
RIGHT = stream, choose_alpha  # noqa: F821


def stream(form, alpha, first, last, blocks):
    return RIGHT[0](form, alpha, 1.0, 1.0, blocks)


def choose_alpha(form, first, last, blocks, growth):
    return RIGHT[1](form, 1.0, 1.0, blocks, growth)


def draw_branch(width, hidden, alpha, rng):
    inner = rng.normal(0, math.sqrt(2 / width), (hidden, width))
    return [inner, rng.normal(0, math.sqrt(2 * alpha / hidden), (width, hidden))]
