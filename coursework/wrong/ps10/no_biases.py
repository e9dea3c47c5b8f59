"""Forgets the biases in the signal, and names one layer at most."""

import numpy as np

LOSES = {"own_contribution", "diagnose"}
HINTS = {
    "own_contribution": "You left the biases out: z = W h + b.",
    "diagnose": "You name one layer at most. The rates of two can be wrong.",
}
RIGHT = own_contribution  # noqa: F821


def own_contribution(old, new, biases, inputs):
    return RIGHT(old, new, [0 * bias for bias in biases], inputs)


def diagnose(widths, contributions, claimed):
    off = np.polyfit(np.log(widths), np.log(contributions), 1)[0] - np.array(claimed)
    worst = int(np.argmax(np.abs(off)))
    return [int(np.round(power)) if at == worst else 0 for at, power in enumerate(off)]
