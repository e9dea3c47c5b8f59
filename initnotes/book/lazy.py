"""Lazy or rich: descent on diagonal networks, and how much of a data set's modes a two-layer linear network has.

What lives here measures for the chapter; the laws that its networks follow are in ``theory.flows``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .. import _checks
from ..networks import Ensemble

__all__ = ["Modes", "diagonal_descent", "first_strengths", "modes", "strengths", "volume"]


def diagonal_descent(
    x: Any, y: Any, alpha: float, *, steps: int, decay_steps: float = np.inf, every: int = 1, finer: float = 1.0
) -> np.ndarray:
    """Return what a diagonal network w = u² − v² that starts at u = v = α becomes under gradient descent.

    The loss is ½|y − x w|². The rate is 1/(8 max(uv, ½) λ) with λ the largest eigenvalue of x xᵀ and uv as the flow has
    it: half of what a large start bears, and no more than what coordinates near 1 bear at the end.

    Parameters
    ----------
    x : array, shape (R, N, d)
    y : array, shape (R, N)
    alpha : float
    steps : int
    decay_steps : float
        In so many steps weight decay alone takes u and v down by the factor e; none by default.
    every : int
        Record before every so many steps.
    finer : float
        Divide the rate by it: at 1 the first steps from a start of order 1 are too long to follow the flow closely.

    Returns
    -------
    ndarray, shape (records, R, d)
        w, at steps 0, `every`, ….

    Examples
    --------
    >>> w = diagonal_descent([[[2.0, 1.0]]], [[2.0]], 1e-3, steps=300, every=299)
    >>> w.round(2)[:, 0]
    array([[0., 0.],
           [1., 0.]])
    """
    inputs, targets = np.asarray(x), np.asarray(y)[..., None]
    columns = np.swapaxes(inputs, 1, 2).copy()
    top = np.linalg.eigvalsh(inputs @ columns)[:, -1]
    products = alpha**2 * np.exp(-2 * np.arange(steps) / decay_steps)
    rates = 1 / (8 * finer * np.maximum(products, 0.5))
    u = v = np.full((*columns.shape[:2], 1), float(alpha))
    records = []
    for step in range(steps):
        w = u**2 - v**2
        if step % every == 0:
            records.append(w[..., 0])
        pull = 2 * rates[step] / top[:, None, None] * (columns @ (targets - inputs @ w))
        u, v = u * (1 + pull - 1 / decay_steps), v * (1 - pull - 1 / decay_steps)
    return np.stack(records)


def volume(net: Ensemble, x: Any) -> np.ndarray:
    """Return how loud the units of a network with one hidden layer are together: Σ |a_i| h_i, averaged over inputs.

    Parameters
    ----------
    net : Ensemble
        With one hidden layer of an activation that is not negative, and one output.
    x : array, shape (N, n_0) or (R, N, n_0)

    Returns
    -------
    ndarray, shape (R,)

    Examples
    --------
    >>> net = Ensemble((1, 2, 1), "relu", "zeros", rng=np.random.default_rng(1), replicas=1)
    >>> _ = net.weights[0].fill_(2.0), net.weights[1].copy_(torch.tensor([[3.0, -3.0]]))
    >>> float(net([[1.0]])), volume(net, [[1.0]])
    (0.0, array([12.]))
    """
    heard = net.forward(x).activations[1] @ net.weights[1].abs().mT
    return np.asarray(heard.mean((1, 2)).numpy(force=True))


class Modes(NamedTuple):
    """The singular value decomposition of the mean of y xᵀ, strongest first.

    Attributes
    ----------
    strengths : ndarray, shape (K,)
        Those above rounding.
    outputs : ndarray, shape (n_L, K)
        Unit vectors ŷ.
    inputs : ndarray, shape (n_0, K)
        Unit vectors x̂.
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
    """Return ŷᵀ W₂ W₁ x̂ of each mode, shape (R, K): what the network has learned of it.

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
    """Return g₀ of each mode, shape (R, K): |W₁x̂ + W₂ᵀŷ|²/4, the part of a small random start that grows.

    While W₂W₁ is small, p₁ = W₁x̂ and p₂ = W₂ᵀŷ follow p₁′ = μp₂ and p₂′ = μp₁. So p₁ + p₂ grows as e^(μt), p₁ − p₂
    shrinks as e^(−μt), and p₁·p₂ becomes what a balanced start p₁ = p₂ of this strength would have made.

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
    """Return W₁x̂ and W₂ᵀŷ, shape (R, n_1, K)."""
    if not isinstance(net, Ensemble):
        raise TypeError(f"net must be an Ensemble, got {type(net).__name__}")
    if net.depth != 2 or net.architecture or net.activation.name != "linear":
        raise ValueError(f"net must have two layers and be linear, got {net}")
    u, v = (torch.from_numpy(own).to(net.parameters) for own in (of.outputs, of.inputs))
    return net.weights[0] @ v, net.weights[1].mT @ u
