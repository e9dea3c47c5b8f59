"""Counts the units of a layer instead of what each of them adds up."""

import numpy as np

LOSES = {"draw_layer", "predicted_rms"}
HINTS = {
    "draw_layer": "Your standard deviation is that of fan_out. How many terms does one unit add up?",
    "predicted_rms": "You count the units of each layer. What counts is how many terms each of them adds up.",
}


def draw_layer(fan_out, fan_in, factor, rng):
    return factor / np.sqrt(fan_out) * rng.standard_normal((fan_out, fan_in))


def predicted_rms(widths, sigma, input_rms):
    return input_rms * np.cumprod(sigma * np.sqrt(np.array(widths[1:], dtype=float)))
