"""Takes every network for a ReLU network, and names one fault for all."""

import numpy as np

LOSES = {"forward", "backward", "diagnose"}
HINTS = {
    "forward": "You take every network for a ReLU network. `activation` says which it is.",
    "backward": "You take every slope for that of a ReLU. `activation` says which it is.",
    "diagnose": "You give one name to all networks.",
}
RIGHT = forward, backward  # noqa: F821


def forward(weights, biases, activation, inputs):
    return RIGHT[0](weights, biases, "relu", inputs)


def backward(weights, biases, activation, inputs, output_gradient):
    return RIGHT[1](weights, biases, "relu", inputs, output_gradient)


def diagnose(weights, biases, activation, inputs):
    return "saturated" if np.ndim(weights) else "dead"
