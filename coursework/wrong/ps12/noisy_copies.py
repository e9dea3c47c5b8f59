"""Breaks the copies' symmetry with noise, draws a uniform A, matches no rate at all, and averages too early."""

import math

import numpy as np

LOSES = {"lora", "first_step", "matching_rate", "rise", "widen"}
HINTS = {
    "lora": "The spread of your A is right, and its law is uniform. A normal one is asked for.",
    "first_step": "Your Adam multiplies by the gradient once more. Its first step is the rate, and a sign.",
    "matching_rate": "You keep the rate. That is right in some of the cases only.",
    "rise": "You average inside the logarithm. Each sample has a rise of its own.",
    "widen": "Your noise makes the copies differ, and the function as well. Divide the outgoing weights unevenly.",
}
RIGHT = first_step  # noqa: F821


def lora(fan_out, fan_in, rank, std, rng):
    bound = math.sqrt(3) * std
    return [rng.uniform(-bound, bound, (rank, fan_in)), np.zeros((fan_out, rank))]


def first_step(optimizer, G, A, scale, rate):
    if optimizer == "sgd":
        return RIGHT(optimizer, G, A, scale, rate)
    gradient = scale * G @ A.T
    return -rate * scale * (np.sign(gradient) * gradient**2) @ A


def matching_rate(optimizer, scaling, law, rank, new_rank, rate):
    return rate


def rise(old, new):
    gap = np.logaddexp.reduce(new, axis=1) - np.logaddexp.reduce(old, axis=1)
    return float(np.logaddexp(0, np.logaddexp.reduce(gap) - math.log(len(gap))))


def widen(W, b, V, units):
    of = np.arange(units) % len(b)
    noise = 1e-3 * np.cos(np.arange(1, units * W.shape[1] + 1)).reshape(units, -1)
    return [W[of] + noise, b[of], V[:, of] / np.bincount(of)[of]]
