"""Writes the NTK parametrization's rates and start, and reads the best rate off the losses themselves."""

import math

import numpy as np

LOSES = {"plan", "predict_rate"}
HINTS = {
    "plan": "Those are the rates of the NTK parametrization. The condition also counts the outputs of a layer.",
    "predict_rate": "Your parabola goes through the losses. It should go through their logarithms.",
}
RIGHT = predict_rate  # noqa: F821


def plan(widths, base, rate, optimizer):
    power = 1.0 if optimizer == "sgd" else 0.5
    grown = [own / other for own, other in zip(widths[:-1], base[:-1], strict=True)]
    return [[math.sqrt(2 / n), rate / m**power, rate] for n, m in zip(widths[:-1], grown, strict=True)]


def predict_rate(rates, widths, losses, width):
    return RIGHT(rates, widths, np.exp(losses), width)
