"""Deep ReLU networks at their start: what passes layer after layer, and what theory says of it at any width.

What lives here serves the chapter on He's rule; layers are drawn one after the other, so that no network is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.special import ndtr

from .. import _checks, activations, theory
from ..networks import Ensemble
from ..schemes import Array, Initializer

__all__ = ["dead_share", "has_dead_layer", "jacobian_spread", "mean_squares"]
__all__ += ["next_cosine", "pass_down", "ratios", "rectified_square", "relative_variance", "singular_values"]


def pass_down(
    h: Any, scheme: Initializer, depth: int, *, rng: np.random.Generator, activation: Any = "relu", width: Any = None
) -> Array:
    """Return the pre-activations z of every layer of plain networks without biases.

    Parameters
    ----------
    h : array_like, shape (R, batch, n_0)
        The inputs of each replica.
    scheme : Initializer
    depth : int
    rng : numpy.random.Generator
    activation : str, Activation or callable
    width : int, optional
        Of every layer; without it, n_0.

    Returns
    -------
    ndarray, shape (depth, R, batch, width)

    Examples
    --------
    >>> from initnotes import he_normal
    >>> pass_down(np.ones((3, 1, 8)), he_normal, 5, rng=np.random.default_rng(1)).shape
    (5, 3, 1, 8)
    """
    h, phi, passed = np.asarray(h, dtype=np.float64), activations.get(activation), []
    for _ in range(_checks.integer(depth, "depth")):
        weight = scheme.sample((width or h.shape[-1], h.shape[-1]), rng, replicas=len(h))
        passed.append(h @ weight.swapaxes(1, 2))
        h = phi(passed[-1])
    return np.array(passed)


def mean_squares(z: Any) -> Array:
    """Return the mean square of relu(z) over the units, the last axis.

    Examples
    --------
    >>> mean_squares([[-2.0, 2.0], [1.0, 3.0]])
    array([2., 5.])
    """
    return np.square(np.maximum(z, 0)).mean(axis=-1)


def ratios(squares: Any) -> Array:
    """Return K_l / K_{l-1} for every layer, the first axis; the input has K = 1.

    Examples
    --------
    >>> ratios(np.array([0.5, 0.25, 1.0]))
    array([0.5, 0.5, 4. ])
    """
    squares = np.asarray(squares)
    return squares / np.concatenate([np.ones_like(squares[:1]), squares[:-1]])


def next_cosine(c: Any) -> Any:
    """Return the cosine of two inputs after a wide ReLU layer, of their cosine before it: the arc-cosine map.

    References
    ----------
    Cho & Saul, Advances in Neural Information Processing Systems 22, 2009, equation 6.

    Examples
    --------
    >>> round(float(next_cosine(0.0) * np.pi), 12), float(next_cosine(1.0))
    (1.0, 1.0)
    """
    c = np.clip(c, -1, 1)
    return (np.sqrt(1 - c**2) + c * (np.pi - np.arccos(c))) / np.pi


def rectified_square(m: Any, s: Any) -> Any:
    """Return E relu(z)² of a normal z with mean m and standard deviation s.

    Examples
    --------
    >>> float(rectified_square(0.0, 2.0))
    2.0
    """
    density = np.exp(-((m / s) ** 2) / 2) / np.sqrt(2 * np.pi)
    return (m**2 + s**2) * ndtr(m / s) + m * s * density


def dead_share(c: float, inputs: int) -> float:
    """Return the chance that a unit of a wide layer is off for all inputs, any two of which have the cosine c.

    Parameters
    ----------
    c : float
        In [0, 1).
    inputs : int

    Examples
    --------
    >>> round(dead_share(0.0, 3), 6), round(dead_share(0.99, 100), 2)
    (0.125, 0.4)
    """
    c = _checks.real(c, "c", low=0.0)
    if c >= 1:
        raise ValueError(f"c must be less than 1, got {c:g}")
    xi = np.linspace(-9, 9, 2001)
    weight = np.exp(-(xi**2) / 2)
    off = ndtr(xi * np.sqrt(c / (1 - c))) ** _checks.integer(inputs, "inputs")
    return float((weight * off).sum() / weight.sum())


def has_dead_layer(net: Ensemble, x: Any) -> np.ndarray:
    """Return of each replica whether some hidden layer is off on all inputs, shape (R,) of bool.

    Examples
    --------
    >>> net = Ensemble((2, 4, 1), "relu", "zeros", rng=np.random.default_rng(1), replicas=2)
    >>> has_dead_layer(net, np.ones((3, 2)))
    array([ True,  True])
    """
    hidden = net.forward(torch.as_tensor(x)).activations[1:]
    return torch.stack([(h == 0).flatten(1).all(1) for h in hidden]).any(0).numpy()


def singular_values(
    activation: Any, scheme: Initializer, q: float, *, rng: np.random.Generator, size: int = 64, depth: int = 20
) -> Array:
    """Return the singular values of the input-output Jacobians of 32 square networks, largest first.

    Parameters
    ----------
    activation : str, Activation or callable
    scheme : Initializer
    q : float
        Second moment of the inputs.
    rng : numpy.random.Generator
    size, depth : int

    Returns
    -------
    ndarray, shape (32, size)

    Examples
    --------
    >>> from initnotes import orthogonal
    >>> s = singular_values("linear", orthogonal(), 1.0, rng=np.random.default_rng(1), size=8, depth=3)
    >>> bool(np.allclose(s, 1))
    True
    """
    phi = activations.get(activation)
    h = np.sqrt(q) * rng.standard_normal((32, 1, size))
    jacobian = np.broadcast_to(np.eye(size), (32, size, size))
    for _ in range(depth):
        weight = scheme.sample((size, size), rng, replicas=32)
        z = h @ weight.swapaxes(1, 2)
        jacobian = phi.derivative(z).swapaxes(1, 2) * (weight @ jacobian)
        h = phi(z)
    return np.linalg.svd(jacobian, compute_uv=False)


def relative_variance(s: Any) -> Array:
    """Return Var(s²)/(E s²)² of the singular values of each network, the last axis.

    Examples
    --------
    >>> relative_variance([[1.0, 1.0], [0.0, 2.0]])
    array([0., 1.])
    """
    s = np.asarray(s)
    return (s**4).mean(axis=-1) / (s**2).mean(axis=-1) ** 2 - 1


def jacobian_spread(activation: Any, gain: float, q: float, *, gaussian: bool, depth: int = 20) -> float:
    """Return what `relative_variance` is for wide networks: a sum over layers.

    Parameters
    ----------
    activation : str, Activation or callable
    gain : float
        σ_w, of Gaussian or of scaled orthogonal weights.
    q : float
        Second moment of the inputs.
    gaussian : bool
        Whether the weights are Gaussian, which adds 1 a layer, or orthogonal.
    depth : int

    References
    ----------
    Pennington, Schoenholz & Ganguli, NeurIPS 2017, equation 22.

    Examples
    --------
    >>> round(jacobian_spread("relu", 2**0.5, 1.0, gaussian=False), 6)
    20.0
    """
    slope, total = activations.get(activation).derivative, 0.0
    q = gain**2 * q  # no activation before the first layer
    for _ in range(depth):
        fourth = theory.second_moment(q, lambda z: slope(z) ** 2)
        second = theory.derivative_second_moment(q, activation)
        total += fourth / second**2 - 1 + gaussian
        q = theory.variance_map(q, activation, sigma_w=gain)
    return total
