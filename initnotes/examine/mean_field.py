"""What mean-field theory starts from in an ensemble: the size of its weights, its inputs and its last gradient.

What lives here looks at a plain ensemble's numbers, and whether they are random at all; theory itself is in ``theory``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..activations import Activation
from ..networks import Ensemble
from .moments import joined, measured

__all__ = ["MeanField", "mean_field_of"]

_POINTS = 64  # inputs, or groups of inputs of similar size, for which theory is computed one by one


class MeanField(NamedTuple):
    """What `Probe.theory` starts from, as `initnotes.theory.profile` takes it.

    Attributes
    ----------
    inputs, last_gradient : ndarray, shape (at most 64,)
        Mean square of h_0 and of ∂loss/∂z_L over units and replicas, for inputs of similar size.
    activation : Activation
    forward, backward, biases : ndarray, shape (L,)
        fan_in and fan_out times the mean square of the weights, and that of the biases, over all replicas.
    """

    inputs: np.ndarray
    activation: Activation
    forward: np.ndarray
    backward: np.ndarray
    biases: np.ndarray
    last_gradient: np.ndarray


def mean_field_of(net: Ensemble, inputs: Tensor, last: Tensor | None) -> MeanField | None:
    """Return what theory starts from, or None if it has no case or a number is not finite.

    Parameters
    ----------
    net : Ensemble
    inputs : Tensor, shape (R, batch, n_0)
    last : Tensor, shape (R, batch, n_L), optional
        ∂loss/∂z_L.
    """
    squares = _squares_if_random(net)
    if squares is None:
        return None
    sizes = _mean_squares(inputs)
    gradients = np.full_like(sizes, np.nan) if last is None else _mean_squares(last)
    if not np.isfinite(sizes).all() or not (last is None or np.isfinite(gradients).all()):
        return None
    order, number = np.argsort(sizes, kind="stable"), min(_POINTS, len(sizes))
    parts = np.arange(number + 1)
    ends = parts * (len(sizes) // number) + np.minimum(parts, len(sizes) % number)  # some groups have one more
    groups = [np.add.reduceat(own[order], ends[:-1]) / np.diff(ends) for own in (sizes, gradients)]
    norms = torch.stack(torch._foreach_norm(net.biases, dtype=torch.float64)).cpu().numpy()
    widths = np.array(net.widths)
    return MeanField(
        inputs=groups[0],
        activation=net.activation,
        forward=widths[:-1] * squares,
        backward=widths[1:] * squares,
        biases=norms**2 / (net.replicas * widths[1:]),
        last_gradient=groups[1],
    )


def _squares_if_random(net: Ensemble) -> np.ndarray | None:
    """Return the mean square of each layer's weights; None unless all look like independent draws with mean 0.

    The sum of N such entries is 0 up to √N of their size. The sums over rows (or columns) have the same sum of squares
    as the entries, up to √(2/n) of it for n sums; equal entries make it many times that. With 5 standard deviations,
    random weights fail once in a million layers or less.
    """
    found = joined([measured(_sums, weight) for weight in net.weights], (net.replicas, 4))
    total, (size, *sums) = found[:, 0].sum(axis=0), np.sqrt(np.square(found[:, 1:]).sum(axis=0))
    units = np.array(net.shapes).T
    with np.errstate(all="ignore"):
        fits = (np.square(sums / size) <= 1 + 5 * np.sqrt(2 / (net.replicas * units))).all(axis=0)
        return size**2 / (net.replicas * units.prod(axis=0)) if (fits & (abs(total) <= 5 * size)).all() else None


def _sums(weight: Tensor) -> Tensor:
    """Return Σ W, and the norms of W, of its sums over inputs and of those over units, shape (R, 4)."""
    entries = weight.double()
    parts = entries.flatten(1), entries.sum(2), entries.sum(1)
    return torch.stack([parts[1].sum(1), *(torch.linalg.vector_norm(part, dim=1) for part in parts)], dim=1)


def _mean_squares(x: Tensor) -> np.ndarray:
    """Return the mean square over replicas and units, for each input of a batch, of shape (R, batch, units)."""
    by_replica = torch.linalg.vector_norm(x, dim=2, dtype=torch.float64)  # over both at once is slow
    return torch.linalg.vector_norm(by_replica, dim=0).cpu().numpy() ** 2 / (x.shape[0] * x.shape[2])
