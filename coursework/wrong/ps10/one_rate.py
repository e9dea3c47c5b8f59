"""Leaves He's start and one rate for all, and takes the grid's best rate, which falls as 1/n, for the best."""

import math

import numpy as np

LOSES = {"plan", "predict_rate"}
HINTS = {
    "plan": "That is the standard parametrization: He's start, and one rate for all layers.",
    "predict_rate": "Your rate falls as 1/n from the last of the widths. What power do the best rates show?",
}


def plan(widths, base, rate, optimizer):
    return [[math.sqrt(2 / fan_in), rate, rate] for fan_in in widths[:-1]]


def predict_rate(rates, widths, losses, width):
    return float(rates[np.argmin(losses[:, -1])]) * widths[-1] / width
