"""Lazy or rich: the modes of a data set, and how much of each a two-layer linear network has, now and at its start.

What lives here reads strengths off networks for the chapter; the laws that they follow are in ``theory.flows``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .. import _checks
from ..networks import Ensemble

__all__ = ["Modes", "first_strengths", "modes", "strengths"]


class Modes(NamedTuple):
    """The singular value decomposition of the mean of y xᵀ, strongest first.

    Attributes
    ----------
    strengths : ndarray, shape (K,)
        Those above rounding.
    outputs : ndarray, shape (n_L, K)
        Unit vectors u.
    inputs : ndarray, shape (n_0, K)
        Unit vectors v.
    """

    strengths: np.ndarray
    outputs: np.ndarray
    inputs: np.ndarray


def modes(x: Any, y: Any) -> Modes:
    """Return the modes of inputs and targets.

    Parameters
    ----------
    x : array, shape (samples, n_0)
        With second moments that are the identity, which the laws of linear networks assume.
    y : array, shape (samples, n_L)

    Returns
    -------
    Modes

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit, or the second moments of `x` are not the identity.

    Examples
    --------
    >>> from initnotes.book.data import tree
    >>> (modes(*tree()).strengths ** 2 * 8).round(9)
    array([15.,  7.,  3.,  3.,  1.,  1.,  1.,  1.])
    """
    inputs, targets = (_checks.array(own, name).astype(np.float64) for own, name in ((x, "x"), (y, "y")))
    if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
        shapes = f"{inputs.shape} and {targets.shape}"
        raise ValueError(f"x and y must have shapes (samples, n_0) and (samples, n_L), got {shapes}")
    moments = inputs.T @ inputs / len(inputs)
    if not np.allclose(moments, np.eye(len(moments)), atol=1e-6):
        raise ValueError("the second moments of x must be the identity; whiten x, or scale one-hot inputs by √samples")
    u, s, v = np.linalg.svd(targets.T @ inputs / len(inputs), full_matrices=False)
    kept = s > 1e-12 * s[0]
    return Modes(s[kept], u[:, kept], v[kept].T)


def strengths(net: Ensemble, of: Modes) -> np.ndarray:
    """Return uᵀ W₂ W₁ v of each mode, shape (R, K): what the network has learned of it.

    Parameters
    ----------
    net : Ensemble
        With two matrices.
    of : Modes

    Raises
    ------
    TypeError, ValueError
        If `net` is not an ensemble of two-layer linear networks.
    """
    first, second = _hidden(net, of)
    return np.asarray((first * second).sum(1).numpy(force=True))


def first_strengths(net: Ensemble, of: Modes) -> np.ndarray:
    """Return a₀ of each mode, shape (R, K): |W₁v + W₂ᵀu|²/4, the part of a small random start that grows.

    While W₂W₁ is small, p = W₁v and q = W₂ᵀu follow p′ = sq and q′ = sp. So p + q grows as e^(st), p − q shrinks as
    e^(−st), and p·q becomes what a balanced start p = q of this strength would have made.

    Parameters
    ----------
    net : Ensemble
        With two matrices, as it starts.
    of : Modes

    Raises
    ------
    TypeError, ValueError
        If `net` is not an ensemble of two-layer linear networks.

    References
    ----------
    Saxe, McClelland & Ganguli, ICLR 2014, section 1, derive the balanced case.
    """
    first, second = _hidden(net, of)
    return np.asarray(((first + second).square().sum(1) / 4).numpy(force=True))


def _hidden(net: Ensemble, of: Modes) -> tuple[torch.Tensor, torch.Tensor]:
    """Return W₁v and W₂ᵀu, shape (R, n_1, K)."""
    if not isinstance(net, Ensemble):
        raise TypeError(f"net must be an Ensemble, got {type(net).__name__}")
    if net.depth != 2 or net.architecture or net.activation.name != "linear":
        raise ValueError(f"net must have two layers and be linear, got {net}")
    u, v = (torch.from_numpy(own).to(net.parameters) for own in (of.outputs, of.inputs))
    return net.weights[0] @ v, net.weights[1].mT @ u
