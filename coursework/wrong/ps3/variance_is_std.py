"""Takes the variance for the standard deviation, returns σ_w for σ, and fits the first and the last layer only."""

import numpy as np

LOSES = {"draw_layer", "slope", "choose_sigma"}
HINTS = {
    "draw_layer": "The spread that you pass to the generator is a variance. NumPy's scale is the standard deviation.",
    "slope": "You join the first and the last layer. Least squares use all layers.",
    "choose_sigma": "That is σ_w. The standard deviation σ of a weight is asked for.",
}
RIGHT = choose_sigma  # noqa: F821


def draw_layer(fan_out, fan_in, factor, rng):
    return rng.normal(0, factor**2 / fan_in, size=(fan_out, fan_in))


def slope(rms):
    return np.log10(rms[:, -1] / rms[:, 0]) / (rms.shape[1] - 1)


def choose_sigma(width, depth, activation, target):
    return RIGHT(width, depth, activation, target) * np.sqrt(width)
