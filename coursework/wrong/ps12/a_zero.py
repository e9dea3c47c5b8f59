"""Sets the other factor to zero, forgets what is frozen, the scaling of α/√r, the sum over new classes, and biases."""

import numpy as np

LOSES = {"lora", "first_moves", "matching_rate", "rise", "new_rows", "widen"}
HINTS = {
    "lora": "Your A is zero and your B is drawn. That changes nothing either, and is asked for the other way round.",
    "first_moves": "You train what is frozen.",
    "matching_rate": "Your scale is α/r in all cases.",
    "rise": "You take the mean over the new classes. Their exponentials are summed.",
    "new_rows": "Your rows are the mean, and your biases are zero. A logit has both.",
    "widen": "Your copies share evenly, and stay equal for ever. What would give them different gradients?",
}
RIGHT = first_moves, matching_rate, rise  # noqa: F821


def lora(fan_out, fan_in, rank, std, rng):
    return [np.zeros((rank, fan_in)), rng.normal(0, std, (fan_out, rank))]


def first_moves(factors):
    kinds = {"frozen": "random", "frozen zero": "zero"}
    return RIGHT[0]([kinds.get(kind, kind) for kind in factors])


def matching_rate(optimizer, scaling, law, rank, new_rank, rate):
    return RIGHT[1](optimizer, "alpha/r", law, rank, new_rank, rate)


def rise(old, new):
    return RIGHT[2](old, new - np.log(new.shape[1]))


def new_rows(weights, biases, count):
    return [np.tile(weights.mean(axis=0), (count, 1)), np.zeros(count)]


def widen(W, b, V, units):
    of = np.arange(units) % len(b)
    return [W[of], b[of], V[:, of] / np.bincount(of)[of]]
