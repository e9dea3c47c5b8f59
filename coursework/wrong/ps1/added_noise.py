"""Adds noise of size epsilon instead of multiplying; and forgets the slope of tanh in the gradient."""

import numpy as np

LOSES = {"almost_equal", "gradients"}
HINTS = {
    "almost_equal": (
        "Your noise has the size epsilon whatever the value is. Here each weight is off by a share epsilon of itself."
    ),
    "gradients": (
        "dW and db are those of a hidden layer without its tanh. Which factor does the chain rule take from h = "
        "tanh(z)?"
    ),
}


def almost_equal(fan_out, fan_in, value, epsilon, rng):
    return value + epsilon * rng.standard_normal((fan_out, fan_in))


def gradients(x, y, W, b, V, c):
    h = np.tanh(x @ W.T + b)
    g = h @ V.T + c - y
    delta = g @ V
    return delta.T @ x, delta.sum(axis=0), g.T @ h, g.sum(axis=0)
