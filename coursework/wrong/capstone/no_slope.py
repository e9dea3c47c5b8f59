"""Sends the gradient through the matrices and forgets the slopes of the activations."""

import numpy as np

LOSES = {"backward"}
HINTS = {
    "backward": "Your gradient passes the matrices and not the slopes of the activations.",
}


def backward(weights, biases, activation, inputs, output_gradient):
    delta, squares = output_gradient, [np.mean(output_gradient**2)]
    for weight in weights[:0:-1]:
        delta = delta @ weight
        squares.insert(0, np.mean(delta**2))
    return squares
