"""Averages over the batch instead of adding up, and measures the entropy in bits."""

import numpy as np

LOSES = {"gradients", "stuck_loss"}
HINTS = {
    "gradients": "Yours are the gradients of the mean over the batch. The loss is the sum.",
    "stuck_loss": "Your entropy is in bits. The loss is in nats: which logarithm is that?",
}


def gradients(x, labels, weights, biases, activation):
    h, z = [x], []
    for weight, bias in zip(weights, biases, strict=True):
        z.append(h[-1] @ weight.T + bias)
        h.append(PHI[activation](z[-1]))  # noqa: F821
    delta, of_weights, of_biases = output_gradient(z[-1], labels) / len(x), [], []  # noqa: F821
    for layer in reversed(range(len(weights))):
        of_weights.insert(0, delta.T @ h[layer])
        of_biases.insert(0, delta.sum(axis=0))
        if layer:
            delta = (delta @ weights[layer]) * SLOPE[activation](z[layer - 1])  # noqa: F821
    return of_weights, of_biases


def stuck_loss(counts):
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())
