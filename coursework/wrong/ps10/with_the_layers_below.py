"""Measures what a layer makes of the new signal, and judges slopes against 0, whatever is claimed."""

import numpy as np

LOSES = {"own_contribution", "diagnose"}
HINTS = {
    "own_contribution": "Your layers read the signal after the step. What did they read before?",
    "diagnose": "You compare the slopes with 0. What does the claimed rule predict?",
}


def own_contribution(old, new, biases, inputs):
    h, found = inputs, []
    for before, after, bias in zip(old, new, biases, strict=True):
        found.append(float(np.sqrt(np.mean((h @ (after - before).T) ** 2))))
        h = np.maximum(h @ after.T + bias, 0.0)
    return found


def diagnose(widths, contributions, claimed):
    found = np.polyfit(np.log(widths), np.log(contributions), 1)[0]
    return [int(power) for power in np.round(found + 1e-9)]
