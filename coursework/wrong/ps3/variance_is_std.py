"""Takes the variance for the standard deviation, returns σ_w for σ, and fits the first and the last layer only."""

import numpy as np

LOSES = {"draw_layer", "slope", "choose_sigma"}
RIGHT = choose_sigma  # noqa: F821


def draw_layer(fan_out, fan_in, factor, rng):
    return rng.normal(0, factor**2 / fan_in, size=(fan_out, fan_in))


def slope(rms):
    return np.log10(rms[:, -1] / rms[:, 0]) / (rms.shape[1] - 1)


def choose_sigma(width, depth, activation, target):
    return RIGHT(width, depth, activation, target) * np.sqrt(width)
