"""Compares incoming weights and biases only: the theorem's third condition is forgotten, twice."""

import numpy as np

LOSES = {"groups", "distinct_after"}
HINTS = {
    "groups": (
        "You compare what comes in, weights and biases. Two units are exchangeable only if what goes out is equal, too."
    ),
    "distinct_after": (
        "Your count looks at the layer's own weights and biases. Do random outgoing weights give its units one "
        "gradient, or many?"
    ),
}


def groups(W, b, V):
    return len(np.unique(np.column_stack([W, b]), axis=0))


def distinct_after(widths, random):
    return [n if {f"W{i}", f"b{i}"} & set(random) else 1 for i, n in enumerate(widths[1:-1], start=1)]
