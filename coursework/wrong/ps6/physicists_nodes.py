"""Takes the nodes for the weight exp(-x²) for those of the normal law."""

import math

import numpy as np

LOSES = {"gain", "stability", "signal"}


def mean(function, kink):
    nodes, weights = np.polynomial.hermite.hermgauss(60)
    return float(weights @ function(nodes)) / math.sqrt(math.pi)
