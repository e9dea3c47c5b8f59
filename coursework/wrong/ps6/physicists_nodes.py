"""Takes the nodes for the weight exp(-x²) for those of the normal law."""

import math

import numpy as np

LOSES = {"gain", "stability", "signal"}
HINTS = {
    "gain": (
        "Your mean uses the nodes of the weight exp(−x²). A standard normal has exp(−x²/2): rescale them, and "
        "mind the kink."
    ),
    "stability": "Your mean uses the nodes of the weight exp(−x²). Repair `mean` of part 2 first.",
    "signal": "Your mean uses the nodes of the weight exp(−x²). Repair `mean` of part 2 first.",
}


def mean(function, kink):
    nodes, weights = np.polynomial.hermite.hermgauss(60)
    return float(weights @ function(nodes)) / math.sqrt(math.pi)
