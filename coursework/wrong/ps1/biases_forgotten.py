"""Forgets the biases: in the forward pass, in the comparison of units, and among what can be random."""

import numpy as np

LOSES = {"gradients", "groups", "distinct_after"}
HINTS = {
    "gradients": "You left the biases out of the forward pass.",
    "groups": "You compare weights only. A unit has a bias, too.",
    "distinct_after": "Your count looks at weights only. Can a random bias make units differ?",
}


def gradients(x, y, W, b, V, c):
    h = np.tanh(x @ W.T)
    g = h @ V.T - y
    delta = (g @ V) * (1 - h**2)
    return delta.T @ x, delta.sum(axis=0), g.T @ h, g.sum(axis=0)


def groups(W, b, V):
    return len(np.unique(np.column_stack([W, V.T]), axis=0))


def distinct_after(widths, random):
    return [n if {f"W{i}", f"W{i + 1}"} & set(random) else 1 for i, n in enumerate(widths[1:-1], start=1)]
