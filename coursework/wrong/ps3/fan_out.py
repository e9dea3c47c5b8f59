"""Counts the units of a layer instead of what each of them adds up."""

import numpy as np

LOSES = {"draw_layer", "predicted_rms"}


def draw_layer(fan_out, fan_in, factor, rng):
    return factor / np.sqrt(fan_out) * rng.standard_normal((fan_out, fan_in))


def predicted_rms(widths, sigma, input_rms):
    return input_rms * np.cumprod(sigma * np.sqrt(np.array(widths[1:], dtype=float)))
