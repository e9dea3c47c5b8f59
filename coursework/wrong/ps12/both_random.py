"""Draws both factors, lets two zeros move one after the other, takes Adam for SGD, and copies units undivided."""

import numpy as np

LOSES = {"lora", "first_moves", "first_step", "matching_rate", "widen"}
HINTS = {
    "lora": "Both of your factors are drawn, so the network is another one before its first step.",
    "first_moves": "You let a second zero wait for the first one. Does the first one move, with the other in its way?",
    "first_step": "You step with SGD whatever the optimizer. How far does Adam move an entry in its first step?",
    "matching_rate": "You have one rule for both optimizers. Adam does not feel the size of its gradient.",
    "widen": "Your copies keep the outgoing weights that the unit had, so it counts several times.",
}
RIGHT = first_step, matching_rate  # noqa: F821


def lora(fan_out, fan_in, rank, std, rng):
    return [rng.normal(0, std, (rank, fan_in)), rng.normal(0, std, (fan_out, rank))]


def first_moves(factors):
    trained = [kind for kind in factors if not kind.startswith("frozen")]
    zeros = sum(kind == "zero" for kind in trained)
    found = []
    for at, kind in enumerate(factors):
        ahead = sum(other == "zero" for other in factors[:at])
        moves = 1 + ahead if kind == "zero" else 1 + zeros
        found.append(0 if kind.startswith("frozen") or "frozen zero" in factors else moves)
    return found


def first_step(optimizer, G, A, scale, rate):
    return RIGHT[0]("sgd", G, A, scale, rate)


def matching_rate(optimizer, scaling, law, rank, new_rank, rate):
    return RIGHT[1]("sgd", scaling, law, rank, new_rank, rate)


def widen(W, b, V, units):
    of = np.arange(units) % len(b)
    return [W[of], b[of], V[:, of]]
