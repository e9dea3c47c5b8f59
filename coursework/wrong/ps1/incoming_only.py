"""Compares incoming weights and biases only: the theorem's third condition is forgotten, twice."""

import numpy as np

LOSES = {"groups", "distinct_after"}


def groups(W, b, V):
    return len(np.unique(np.column_stack([W, b]), axis=0))


def distinct_after(widths, random):
    return [n if {f"W{i}", f"b{i}"} & set(random) else 1 for i, n in enumerate(widths[1:-1], start=1)]
