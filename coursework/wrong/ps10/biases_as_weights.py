"""Gives biases the rate of the weights beside them, and takes the lowest of the tried rates for the best."""

import numpy as np

LOSES = {"plan", "predict_rate"}
HINTS = {
    "plan": "Your biases have the rates of the weights beside them. How many inputs does a bias have?",
    "predict_rate": "You take the lowest of the rates that were tried. The bottom of the parabola lies beside it.",
}
RIGHT = plan  # noqa: F821


def plan(widths, base, rate, optimizer):
    return [[std, weights, weights] for std, weights, _ in RIGHT(widths, base, rate, optimizer)]


def predict_rate(rates, widths, losses, width):
    best = np.log(rates)[np.argmin(losses, axis=0)]
    power, constant = np.polyfit(np.log(widths), best, 1)
    return float(np.exp(constant + power * np.log(width)))
