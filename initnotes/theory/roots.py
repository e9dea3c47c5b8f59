"""Zeros of a function of q > 0 that is sampled over many scales, those included where it only touches 0.

What lives here knows nothing of activations.
"""

import math
from collections.abc import Callable

import numpy as np

__all__ = ["SAME", "zeros"]

SAME = 1e-9  # what counts as 0: a ratio q'/q is 1 within this


def _dips(at: Callable[[float], float], x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the extrema, and the values there, where a sampled function turns back shortly before it reaches 0."""
    from scipy.optimize import minimize_scalar

    size, side = np.abs(values), np.sign(values)
    left, here, right = size[:-2], size[1:-1], size[2:]
    bend = left + right - 2 * here
    reaches = bend > 2 * here + 4 * SAME  # a parabola through three samples falls at most bend/8 below the middle one
    turns = (here <= left) & (here <= right) & (side[:-2] == side[2:]) & (side[1:-1] * side[2:] >= 0)
    found = []
    for i in np.flatnonzero(turns & reaches):
        best = minimize_scalar(
            lambda u, up=side[i]: up * at(u), bounds=(x[i], x[i + 2]), method="bounded", options={"xatol": 1e-9}
        )
        found.append((best.x, side[i] * best.fun))
    extrema = np.array(found).reshape(-1, 2)
    return extrema[:, 0], extrema[:, 1]


def zeros(function: Callable[[float], float], q: np.ndarray, values: np.ndarray) -> tuple[list[float], list[int]]:
    """Return the zeros of a function sampled at `q`, and its signs before, between and after them.

    A sample within `SAME` of 0 has no sign of its own; where it is an extremum it is a double zero.
    """

    def at(log_q: float) -> float:
        return function(math.exp(log_q))

    values = np.minimum(values, 1e9)
    dips, depths = _dips(at, np.log(q), values)
    x, values = np.append(np.log(q), dips), np.append(values, depths)
    order = np.argsort(x)
    x, values = x[order], values[order]
    signed = np.abs(values) > SAME
    touching = [float(u) for u, depth in zip(dips, depths, strict=True) if abs(depth) <= SAME]
    x, signs = x[signed], np.sign(values[signed]).astype(int)
    found = [(u, int(signs[min(np.searchsorted(x, u), len(x) - 1)])) for u in touching]
    for i in np.flatnonzero(np.diff(signs)):
        found.append((_between(at, float(x[i]), float(x[i + 1])), int(signs[i + 1])))
    found.sort()
    return [math.exp(u) for u, _ in found], [*signs[:1].tolist(), *(after for _, after in found)] or [0]


def _between(at: Callable[[float], float], low: float, high: float) -> float:
    """Return the zero between two samples, or the nearer of them if φ is too fine to be sampled the same again."""
    from scipy.optimize import brentq

    ends = at(low), at(high)
    if ends[0] * ends[1] > 0:
        return low if abs(ends[0]) < abs(ends[1]) else high
    return float(brentq(at, low, high, xtol=1e-14, rtol=1e-14))
