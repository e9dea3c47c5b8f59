"""Forgets the biases on the way up, so that dead layers look alive, and draws every start from one seed."""

import numpy as np

LOSES = {"forward", "backward", "diagnose", "repair"}
HINTS = {
    "forward": "You left the biases out: z = W h + b.",
    "backward": "Your slopes are those of a network without biases: z = W h + b.",
    "diagnose": "A layer with large negative biases is dead, and yours counts as alive: z = W h + b.",
    "repair": "Your draw does not hang on the generator that you get. Every number comes from rng.",
}
RIGHT = forward, backward, initialize  # noqa: F821


def forward(weights, biases, activation, inputs):
    return RIGHT[0](weights, 0 * biases, activation, inputs)


def backward(weights, biases, activation, inputs, output_gradient):
    return RIGHT[1](weights, 0 * biases, activation, inputs, output_gradient)


def initialize(widths, activation, rng):
    return RIGHT[2](widths, activation, np.random.default_rng(0))
