"""Chooses by the mean square of the signal, gives each matrix only one draw, and stops before q has settled."""

import math

import numpy as np

LOSES = {"haar", "choose", "depth_scale"}
HINTS = {
    "haar": "All of your matrices are one matrix. `count` of them are asked for, independent of each other.",
    "choose": "You choose by σ_w²p. A mean square of 1 may come from a few long directions.",
    "depth_scale": "Your q is that of the first layer. Let the map run until it has settled.",
}
RIGHT = haar  # noqa: F821


def haar(count, rows, columns, gain, rng):
    return np.repeat(RIGHT(1, rows, columns, gain, rng), count, axis=0)


def choose(low, high, depth, starts):
    return int(np.argmin([abs(math.log(start["sigma_w"] ** 2 * start["p"])) for start in starts]))


def depth_scale(sigma_w, sigma_b):
    xi = np.linspace(-9, 9, 1801)
    density = np.exp(-xi * xi / 2)
    density /= density.sum()
    chi = sigma_w**2 * density @ (1 - np.tanh(xi) ** 2) ** 2
    return [float(chi), float(-1 / math.log(chi))]
