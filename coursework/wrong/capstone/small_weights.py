"""Forgets the biases in the forward pass, and repairs with small random weights of one size, whatever the fan."""

import numpy as np

LOSES = {"forward", "repair"}
HINTS = {
    "forward": "You left the biases out: z = W h + b.",
    "repair": (
        "Your weights have one size, whatever the layer's fan_in. What keeps the signal's mean square through "
        "this activation?"
    ),
}


def forward(weights, biases, activation, inputs):
    h, squares = inputs, []
    for weight in weights:
        z = h @ weight.T
        squares.append(np.mean(z**2))
        h = np.maximum(z, 0.0) if activation == "relu" else np.tanh(z)
    return squares


def diagnose(weights, biases, activation, inputs):
    if any(np.array_equal(weight, np.broadcast_to(weight[0], weight.shape)) for weight in weights):
        return "symmetric"
    if np.mean(inputs**2) > 4:
        return "inputs"
    if np.min(biases) < 0:
        return "dead"
    size = np.std(weights) * weights.shape[-1] ** 0.5
    if size < 0.8:
        return "vanishing"
    return "exploding" if activation == "relu" else "saturated"


def initialize(widths, activation, rng):
    weights = [rng.normal(0.0, 0.05, size=(widths[i + 1], n)) for i, n in enumerate(widths[:-1])]
    return weights, [np.zeros(n) for n in widths[1:]]
