"""Swaps signal and gradient."""

import numpy as np

LOSES = {"network_factors"}
HINTS = {
    "network_factors": "You swapped forward and backward. Over which of a layer's two widths does the signal sum?",
}


def network_factors(widths, mode):
    n_in, n_out = np.array(widths[:-1], dtype=float), np.array(widths[1:], dtype=float)
    fan = {"fan_in": n_in, "fan_out": n_out, "fan_avg": (n_in + n_out) / 2}[mode]
    return [float(np.prod(n_out / fan)), float(np.prod(n_in / fan))]
