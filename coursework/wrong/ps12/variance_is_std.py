"""Takes the standard deviation for a variance, forgets the law of A, the large logits, and what a zero unit can do."""

import math

import numpy as np

LOSES = {"lora", "matching_rate", "rise", "widen", "new_rows"}
HINTS = {
    "lora": "Your `std` is taken for a variance.",
    "matching_rate": "You forget what the law does: entries of A may shrink with the rank.",
    "rise": "Your exponentials overflow, or vanish, for logits of a thousand. The assignment names a function.",
    "widen": "Units with zero incoming weights never switch on. Which side of a new unit may be zero?",
    "new_rows": "Your new class is a copy of an old one, and takes half of its probability.",
}
RIGHT = matching_rate  # noqa: F821


def lora(fan_out, fan_in, rank, std, rng):
    return [rng.normal(0, math.sqrt(std), (rank, fan_in)), np.zeros((fan_out, rank))]


def matching_rate(optimizer, scaling, law, rank, new_rank, rate):
    return RIGHT(optimizer, scaling, "fixed", rank, new_rank, rate)


def rise(old, new):
    return float(np.mean(np.log(1 + np.exp(new).sum(axis=1) / np.exp(old).sum(axis=1))))


def new_rows(weights, biases, count):
    return [np.tile(weights[0], (count, 1)), np.full(count, biases[0])]


def widen(W, b, V, units):
    more = units - len(b)
    out = np.cos(np.arange(1, more * len(V) + 1)).reshape(len(V), more)
    return [np.pad(W, ((0, more), (0, 0))), np.pad(b, (0, more)), np.hstack([V, out])]
