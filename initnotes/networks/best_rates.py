"""The best of several learning rates, between those that were tried.

What lives here reads a curve of losses against rates; training is for `sweeps`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import _checks

__all__ = ["BestRate", "best_rate", "increasing", "rate"]


class BestRate(NamedTuple):
    """What `best_rate` finds, a number or an array with an entry for each curve.

    Attributes
    ----------
    rate : float or ndarray
    at_edge : bool or ndarray
        Whether the least loss is at the smallest or the largest rate: the best may lie beyond the grid.
    """

    rate: Any
    at_edge: Any


def best_rate(rates: Any, losses: Any) -> BestRate:
    """Return the rate at the bottom of the parabola through the least loss and its two neighbors, over log rate.

    Parameters
    ----------
    rates : sequence of K floats
        Learning rates, increasing, 3 or more.
    losses : array, shape (K,) or (K, …)
        Of one curve, or of several; inf or NaN where training diverged.

    Returns
    -------
    BestRate
        At most half a step from the rate with the least loss; that rate itself at an edge of the grid, and where a
        neighbor diverged. NaN if all did.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> rates = [0.01, 0.1, 1.0, 10.0]
    >>> found = best_rate(rates, [2.0, 1.0, 1.0, 4.0])
    >>> round(found.rate, 3), found.at_edge
    (0.316, False)
    >>> round(best_rate(rates, [4.0, 3.0, 2.0, 1.0]).rate, 3), best_rate(rates, [4.0, 3.0, 2.0, 1.0]).at_edge
    (10.0, True)
    """
    grid = np.log(increasing(rates, "rates", rate))
    values = _checks.array(losses, "losses").astype(np.float64)
    if len(grid) < 3 or values.shape[:1] != grid.shape:
        raise ValueError(f"losses must have a row for each of 3 rates or more, got {values.shape} for {len(grid)}")
    curves = np.where(np.isfinite(values), values, np.inf).reshape(len(grid), -1)
    least = curves.argmin(axis=0)
    inner = np.clip(least, 1, len(grid) - 2)
    left, middle, right = (np.take_along_axis(curves, inner[None] + step, axis=0)[0] for step in (-1, 0, 1))
    edge = least != inner
    below, above = grid[inner] - grid[inner - 1], grid[inner + 1] - grid[inner]
    with np.errstate(all="ignore"):  # where there is no parabola
        falls, rises = (left - middle) / below, (right - middle) / above
        shift = (above * falls - below * rises) / (falls + rises) / 2
    found = np.exp(grid[least] + np.where(edge | ~np.isfinite(shift), 0.0, shift))
    found[np.isinf(curves.min(axis=0))] = np.nan
    shape = values.shape[1:]
    return BestRate(found.reshape(shape), edge.reshape(shape)) if shape else BestRate(float(found[0]), bool(edge[0]))


def rate(value: Any, name: str) -> float:
    """Return a learning rate, if it is one."""
    return _checks.real(value, name, low=0.0, strict=True)


def increasing(values: Any, name: str, check: Callable[[Any, str], Any]) -> list[Any]:
    """Return numbers as a list, if each passes the check and each is above the one before."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        raise TypeError(f"{name} must be a sequence of numbers, got {values!r}")
    checked = [check(value, name) for value in values]
    if not checked or any(a >= b for a, b in pairwise(checked)):
        raise ValueError(f"{name} must be increasing, at least one, got {checked}")
    return checked
