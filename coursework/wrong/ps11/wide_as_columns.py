"""Makes columns of wide matrices orthogonal by repeating them, forgets the depth, and gives layers per factor of 10."""

import math

import numpy as np

LOSES = {"haar", "share_within", "choose", "depth_scale"}
HINTS = {
    "haar": "More columns than rows cannot be orthogonal to each other. In a wide matrix the rows are.",
    "share_within": "You count for x = s. With L layers x = s^(2/L).",
    "choose": "You choose as if the depth did not matter. With L layers x = s^(2/L).",
    "depth_scale": "Your depth scale is that of the decimal logarithm. It belongs to a factor of e.",
}
RIGHT = haar, share_within, depth_scale  # noqa: F821


def haar(count, rows, columns, gain, rng):
    if columns <= rows:
        return RIGHT[0](count, rows, columns, gain, rng)
    squares = [RIGHT[0](count, rows, rows, gain, rng) for _ in range(-(-columns // rows))]
    return np.concatenate(squares, axis=2)[:, :, :columns]


def share_within(low, high, depth, p, sigma_w, weights):
    return RIGHT[1](low, high, 2, p, sigma_w, weights)


def depth_scale(sigma_w, sigma_b):
    chi, _ = RIGHT[2](sigma_w, sigma_b)
    return [chi, -1 / math.log10(chi)]
