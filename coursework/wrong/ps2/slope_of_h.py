"""Takes the slope at h in place of z; moves all layers at once; and thinks that only ReLU is safe at zero."""

import numpy as np

LOSES = {"gradients", "first_moves", "safe_zeros"}
HINTS = {
    "gradients": "You take the slope at h. It belongs at z, in front of the activation.",
    "first_moves": (
        "You let all matrices move at step 1. A gradient goes down through the matrices above, which are zero at first."
    ),
    "safe_zeros": "You have it the wrong way round: which of the two cases loses a signal for good?",
}


def gradients(x, labels, weights, biases, activation):
    h, z = [x], []
    for weight, bias in zip(weights, biases, strict=True):
        z.append(h[-1] @ weight.T + bias)
        h.append(PHI[activation](z[-1]))  # noqa: F821
    delta, of_weights, of_biases = output_gradient(z[-1], labels), [], []  # noqa: F821
    for layer in reversed(range(len(weights))):
        of_weights.insert(0, delta.T @ h[layer])
        of_biases.insert(0, np.sum(delta, axis=0))
        if layer:
            delta = (delta @ weights[layer]) * SLOPE[activation](h[layer])  # noqa: F821
    return of_weights, of_biases


def first_moves(depth, phi_zero, slope_zero):
    return [1] * depth if phi_zero or depth == 1 else [0] * depth


def safe_zeros(depth, slope_zero):
    return list(range(1, depth + 1)) if slope_zero == 0 else [depth]
