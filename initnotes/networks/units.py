"""What the units of an ensemble look like: how many differ, how far they are apart, and what the network gets right.

What lives here takes an ensemble and returns a number for each replica; layer by layer is for ``examine``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from .ensemble import Ensemble

__all__ = ["accuracy", "distinct_units", "distinct_values", "spread"]


def _ensemble(net: Any) -> Ensemble:
    if not isinstance(net, Ensemble):
        raise TypeError(f"net must be an Ensemble, got {type(net).__name__}")
    return net


def _units(net: Ensemble) -> list[Tensor]:
    """Incoming weights and bias of the units of each hidden layer, shapes (R, n_l, n_{l-1} + 1)."""
    pairs = list(zip(_ensemble(net).weights, net.biases, strict=True))[:-1]
    return [torch.cat([weight, bias[..., None]], dim=-1) for weight, bias in pairs]


def distinct_units(net: Ensemble) -> np.ndarray:
    """Count the distinct hidden units of each layer: different incoming weights or bias, to the last bit.

    0.0 and -0.0 are equal. A unit with NaN in it differs from all others.

    Returns
    -------
    ndarray of int, shape (R, L-1)

    Raises
    ------
    TypeError
        If `net` is not an Ensemble.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> distinct_units(Ensemble((20, 16, 5), "tanh", "zeros", rng=rng, replicas=3)).ravel()
    array([1, 1, 1])
    """
    counts = [[len(torch.unique(units, dim=0)) for units in layer] for layer in _units(net)]
    return np.array(counts, dtype=np.int64).T.reshape(net.replicas, net.depth - 1)


def distinct_values(net: Ensemble) -> np.ndarray:
    """Count the distinct numbers in each weight matrix.

    Returns
    -------
    ndarray of int, shape (R, L)

    Raises
    ------
    TypeError
        If `net` is not an Ensemble.
    """
    return np.array([[len(torch.unique(weight)) for weight in layer] for layer in _ensemble(net).weights]).T


def spread(net: Ensemble) -> np.ndarray:
    """Measure how far the units of each hidden layer are apart, relative to their size.

    With u_j the incoming weights and bias of unit j and ū their mean: the root of Σ|u_j - ū|² / Σ|u_j|². It is 0 when
    all units are equal (all zero, too), √(1 - 1/n) when n units are orthogonal and of one length, and at most 1.

    Returns
    -------
    ndarray, shape (R, L-1)

    Raises
    ------
    TypeError
        If `net` is not an Ensemble.
    """
    layers = []
    for units in _units(net):
        apart = units - units[:, :1]  # first from one unit, so that equal ones give 0 to the last bit
        apart = apart - apart.mean(dim=1, keepdim=True)
        ratio = (apart**2).sum(dim=(1, 2)) / (units**2).sum(dim=(1, 2))
        equal = (units == units[:, :1]).all(dim=2).all(dim=1)
        layers.append(torch.where(equal, 0.0, ratio.clamp(max=1).sqrt()).cpu().numpy())
    return np.array(layers).T.reshape(net.replicas, net.depth - 1)


def accuracy(net: Ensemble, x: Any, y: Any) -> np.ndarray:
    """Measure the fraction of samples for which the largest output is the label's.

    Parameters
    ----------
    net : Ensemble
    x : array, shape (samples, n_0)
    y : array of int, shape (samples,)

    Returns
    -------
    ndarray, shape (R,)

    Raises
    ------
    TypeError, ValueError
        If `net` is not an Ensemble, `x` does not fit it, or `y` is not a label for each sample.
    """
    outputs = _ensemble(net)(_checks.floating(x, "x"))
    labels, classes = np.asarray(y), net.widths[-1]
    if labels.shape != (outputs.shape[1],):
        raise ValueError(f"y must have shape ({outputs.shape[1]},), got {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"y must be integer labels, got {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels must be 0 … {classes - 1}, got {labels.min()} … {labels.max()}")
    return (outputs.argmax(-1).cpu().numpy() == labels).mean(axis=1)
