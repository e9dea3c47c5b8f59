"""Takes the nodes for the weight exp(-x²), the square of the rate's factor, and a slope that is not squared."""

import math

import numpy as np

LOSES = {"initial_loss", "first_phase", "critical_line"}
HINTS = {
    "initial_loss": "Your mean uses the nodes of the weight exp(−x²). A standard normal has exp(−x²/2).",
    "first_phase": "`square` is the squared norm already.",
    "critical_line": "You average the slope. χ averages its square.",
}


def initial_loss(frequency, bias, spread):
    nodes, weights = np.polynomial.hermite.hermgauss(100)
    z = bias + spread * nodes
    loss = frequency * np.logaddexp(0, -z) + (1 - frequency) * np.logaddexp(0, z)
    return float(weights @ loss) / math.sqrt(math.pi)


def first_phase(frequency, bias, square, rate, steps):
    losses, logit = [], bias
    for _ in range(steps + 1):
        losses.append(initial_loss(frequency, logit, 0.0))
        logit -= rate * (1 + square**2) * (1 / (1 + math.exp(-logit)) - frequency)
    return losses


def critical_line(sigma_b):
    xi = np.linspace(-12, 12, 1001)
    weights = 0.024 * np.exp(-xi * xi / 2) / math.sqrt(2 * math.pi)
    low, high = sigma_b**2, 100.0
    for _ in range(100):
        q = (low + high) / 2
        h = np.tanh(math.sqrt(q) * xi) ** 2
        square, slope = weights @ h, weights @ (1 - h)
        low, high = (q, high) if (q - sigma_b**2) * slope < square else (low, q)
    return [q, slope**-0.5]
