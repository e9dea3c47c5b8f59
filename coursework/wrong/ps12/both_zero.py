"""Sets both factors to zero to be safe, lets every zero move at step 1, and counts the scale once."""

import numpy as np

LOSES = {"lora", "first_moves", "first_step", "new_rows"}
HINTS = {
    "lora": "Both of your factors are zero, so neither has a gradient, ever. One zero is enough.",
    "first_moves": "You let every zero move at once. Its gradient needs all other factors.",
    "first_step": "Your scale counts once. It stands in the gradient of B, and again in what B does.",
    "new_rows": "Your rows are zeros. Beside which old logits is 0 a small one?",
}
RIGHT = first_step  # noqa: F821


def lora(fan_out, fan_in, rank, std, rng):
    return [np.zeros((rank, fan_in)), np.zeros((fan_out, rank))]


def first_moves(factors):
    return [0 if kind.startswith("frozen") else 1 if kind == "zero" else 2 for kind in factors]


def first_step(optimizer, G, A, scale, rate):
    return RIGHT(optimizer, G, A, scale, rate) / scale


def new_rows(weights, biases, count):
    return [np.zeros((count, weights.shape[1])), np.zeros(count)]
