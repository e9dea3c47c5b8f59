"""Isometry and depth: how long directions are at the end of deep networks, forward and backward, at a finite width.

What lives here measures for the chapter; what it is compared with is in ``theory.spectra``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .. import _checks, activations, theory
from ..networks import Ensemble
from ..schemes import Array, Initializer, lecun_normal

__all__ = ["LogLengths", "classifier", "cosines", "expected_cosines", "log_lengths", "turn"]

TOGETHER = 2**22  # weights that are held at once


class LogLengths(NamedTuple):
    """ln‖Ju‖² and ln‖Jᵀv‖² of one random direction at either end, each of shape (R,)."""

    forward: Array
    backward: Array


def turn(degrees: float) -> Array:
    """Return the 2 × 2 matrix that turns the plane.

    Examples
    --------
    >>> turn(90).round(6) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def log_lengths(
    activation: Any,
    scheme: Initializer,
    q: float,
    *,
    width: int,
    depth: int,
    rng: np.random.Generator,
    replicas: int = 400,
    held: float | None = None,
) -> LogLengths:
    """Send a random direction of length 1 through the Jacobians of square networks without biases, and another back.

    Parameters
    ----------
    activation : str, Activation or callable
    scheme : Initializer
        Of all layers.
    q : float
        Second moment of the inputs, which are normal.
    width, depth : int
    rng : numpy.random.Generator
    replicas : int
        Networks, each with its own input and directions.
    held : float, optional
        Scale the pre-activations of each layer to this mean square, so that it does not wander.

    Returns
    -------
    LogLengths
        −inf where nothing is left.

    Examples
    --------
    >>> from initnotes import orthogonal
    >>> rng = np.random.default_rng(1)
    >>> found = log_lengths("linear", orthogonal(), 1.0, width=8, depth=5, rng=rng, replicas=3)
    >>> bool(np.allclose(found, 0))
    True
    """
    phi = activations.get(activation)
    width, depth = _checks.integer(width, "width"), _checks.integer(depth, "depth")
    left, found = _checks.integer(replicas, "replicas"), []
    while left:
        count = min(left, max(1, TOGETHER // (depth * width**2)))
        found.append(_some_lengths(phi, scheme, q, (count, width, depth), rng, held))
        left -= count
    return LogLengths(*np.concatenate(found, axis=1))


def _some_lengths(phi: Any, scheme: Initializer, q: float, shape: tuple[int, int, int], rng: Any, held: Any) -> Array:
    """Return the two logarithms of so many networks of a width and a depth, shape (2, count)."""
    count, width, depth = shape
    h, u, v = rng.standard_normal((3, count, width, 1))
    h, layers = np.sqrt(q) * h, []
    u, v = (own / np.linalg.norm(own, axis=1, keepdims=True) for own in (u, v))
    for _ in range(depth):
        weight = scheme.sample((width, width), rng, replicas=count)
        z = weight @ h
        if held is not None:
            z *= np.sqrt(held / np.square(z).mean(axis=1, keepdims=True))
        h, slope = phi(z), phi.derivative(z)
        u = slope * (weight @ u)
        layers.append((weight, slope))
    for weight, slope in reversed(layers):
        v = weight.swapaxes(1, 2) @ (slope * v)
    with np.errstate(divide="ignore"):
        return np.log(np.square([u[..., 0], v[..., 0]]).sum(-1))


def classifier(
    hidden: Initializer,
    depth: int,
    *,
    activation: Any = "tanh",
    width: int = 24,
    replicas: int = 32,
    sigma_b: float = 0.0,
    ends: Initializer = lecun_normal,
    key: int | list[int] = 0,
    dtype: Any = "float64",
) -> Ensemble:
    """Return networks from 64 pixels to 10 classes whose square matrices are of a scheme and whose ends are of another.

    Networks of the same key have the same first and last matrices, whatever the scheme of the hidden ones: they differ
    in nothing else.

    Parameters
    ----------
    hidden : Initializer
        Of all matrices but the first and the last.
    depth : int
        Matrices, at least 3.
    activation : str, Activation or callable
    width, replicas : int
    sigma_b : float
        Standard deviation of the biases.
    ends : Initializer
        Of the first and the last matrix.
    key : int or list of int
        Seed of the draws.
    dtype : {"float64", "float32"}
        What the networks compute with; their draws are float64, rounded.

    Returns
    -------
    Ensemble

    Examples
    --------
    >>> from initnotes import orthogonal
    >>> one, two = (classifier(own, 4, width=8, replicas=2) for own in (orthogonal(), lecun_normal))
    >>> [bool(torch.equal(a, b)) for a, b in zip(one.weights, two.weights, strict=True)]
    [True, False, False, True]
    """
    depth = _checks.integer(depth, "depth", low=3)
    widths = (64, *[width] * (depth - 1), 10)
    of_ends, of_hidden = (np.random.default_rng(seed) for seed in np.random.SeedSequence(key).spawn(2))
    net = Ensemble(widths, activation, hidden, rng=of_hidden, replicas=replicas, sigma_b=sigma_b, dtype=dtype)
    for layer in (0, -1):
        drawn = ends.sample(net.shapes[layer], of_ends, replicas=replicas)
        net.weights[layer].copy_(torch.from_numpy(drawn))
    return net


def cosines(net: Ensemble, u: Any, v: Any) -> Array:
    """Return the cosine of two inputs' pre-activations in each hidden layer, shape (R, L - 1).

    Examples
    --------
    >>> net = classifier(lecun_normal, 4, width=8, replicas=2)
    >>> cosines(net, np.ones(64), 2 * np.ones(64)).shape
    (2, 3)
    """
    hidden = net.forward(np.stack([u, v])).pre_activations[:-1]
    return torch.stack([torch.cosine_similarity(z[:, 0], z[:, 1], dim=-1) for z in hidden], dim=1).numpy()


def expected_cosines(c: float, activation: Any, *, layers: int, sigma_w: float, sigma_b: float = 0.0) -> Array:
    """Return what `cosines` is in wide layers, for inputs with a mean square of 1 and the cosine c.

    Parameters
    ----------
    c : float
    activation : str, Activation or callable
    layers : int
    sigma_w, sigma_b : float
        Of all layers.

    Returns
    -------
    ndarray, shape (layers,)

    Examples
    --------
    >>> expected_cosines(0.0, "relu", layers=3, sigma_w=2**0.5).round(3)
    array([0.   , 0.318, 0.494])
    """
    law: dict[str, Any] = {"sigma_w": sigma_w, "sigma_b": sigma_b}
    q = sigma_w**2 + sigma_b**2
    found = [(sigma_w**2 * c + sigma_b**2) / q]
    for _ in range(_checks.integer(layers, "layers") - 1):
        found.append(theory.correlation_map(found[-1], q, activation, **law))
        q = theory.variance_map(q, activation, **law)
    return np.array(found)
