"""Measures the whole change of the pre-activations, and reads a slope off the sizes without a logarithm."""

import numpy as np

LOSES = {"own_contribution", "diagnose"}
HINTS = {
    "own_contribution": "That is the whole change of z. What the layers below changed in it is not this layer's own.",
    "diagnose": "You fit the sizes themselves. A power is the slope of their logarithms.",
}


def own_contribution(old, new, biases, inputs):
    h, other, found = inputs, inputs, []
    for before, after, bias in zip(old, new, biases, strict=True):
        z, moved = h @ before.T + bias, other @ after.T + bias
        found.append(float(np.sqrt(np.mean((moved - z) ** 2))))
        h, other = np.maximum(z, 0.0), np.maximum(moved, 0.0)
    return found


def diagnose(widths, contributions, claimed):
    found = np.polyfit(widths, contributions, 1)[0]
    return [int(power) for power in np.round(found)]
