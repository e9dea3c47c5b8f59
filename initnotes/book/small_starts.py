"""Networks that start too small or too large: sizes of signals by layer, and how long training takes to begin.

What lives here serves the chapter on small random weights: predictions, and the starts that it measures them on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from .. import _checks, theory
from ..networks.ensemble import Ensemble, Gradients, Signals
from ..schemes import Array, Scheme, zeros

__all__ = ["WithoutBiases", "aligned", "crossing", "density", "rms", "scaled", "second_moments"]
__all__ += ["smallest_scale", "steps_below", "steps_to_grow", "wide"]

BINS = 10  # steps over which a loss is averaged before one asks where it is


# ------------------------------------------------------------------------------------------------- the size of a signal


def rms(signal: Any) -> Any:
    """Return the root mean square of each replica, over inputs and units.

    Parameters
    ----------
    signal : Tensor or ndarray, shape (R, inputs, units)

    Returns
    -------
    Tensor or ndarray, shape (R,)

    Examples
    --------
    >>> rms(np.full((2, 5, 3), -4.0))
    array([4., 4.])
    """
    return (signal**2).mean((1, 2)) ** 0.5


def second_moments(sigma: float, widths: Sequence[int], activation: str = "tanh", *, q: float = 1.0) -> Array:
    """Return what theory says of E z² in each layer, if layers are wide.

    Parameters
    ----------
    sigma : float
        Standard deviation of every weight.
    widths : sequence of L ints
        n_0, n_1, …: how many inputs each layer has.
    activation : str
    q : float
        Mean square of the network's inputs.

    Returns
    -------
    ndarray, shape (L,)

    Examples
    --------
    >>> second_moments(0.1, [100, 100], "linear")
    array([1., 1.])
    """
    sigma = _checks.real(sigma, "sigma", low=0.0)
    moments = [sigma**2 * widths[0] * q]
    for n in widths[1:]:
        moments.append(float(theory.variance_map(moments[-1], activation, sigma_w=sigma * n**0.5)))
    return np.array(moments)


def wide(width: int, sigma: float, depth: int, *, rng: np.random.Generator, replicas: int = 32) -> Array:
    """Return the rms of z_1 … z_L of tanh layers for one input of rms 1, without drawing a matrix.

    Given h, and for normal weights, the z_i are independent normal numbers with the variance σ²|h|², whatever h is. So
    a layer is drawn as so many numbers, exactly in law.

    Parameters
    ----------
    width : int
        Units of every layer, and inputs.
    sigma : float
    depth : int
    rng : numpy.random.Generator
    replicas : int

    Returns
    -------
    ndarray, shape (R, L)

    Examples
    --------
    >>> wide(10_000, 0.01, 3, rng=np.random.default_rng(1), replicas=2).round(1)
    array([[1. , 0.6, 0.5],
           [1. , 0.6, 0.5]])
    """
    length, sizes = np.full((replicas, 1), width**0.5), []
    for _ in range(depth):
        z = sigma * length * _checks.generator(rng).standard_normal((replicas, width))
        sizes.append(np.sqrt((z**2).mean(axis=1)))
        length = np.linalg.norm(np.tanh(z), axis=1, keepdims=True)
    return np.array(sizes).T


def density(q: float, activation: str) -> Callable[[Array], Array]:
    """Return the density of φ(z) for normal z of variance q, φ being tanh or relu; the share that is 0 is left out.

    Parameters
    ----------
    q : float
        Greater than 0.
    activation : {"tanh", "relu"}

    Returns
    -------
    callable
        Of an array of activations.

    Examples
    --------
    >>> h = np.linspace(-1, 1, 2001)
    >>> round(float(np.trapezoid(density(0.3, "tanh")(h), h)), 3), density(1.0, "relu")(np.array([-1.0]))
    (1.0, array([0.]))
    """
    std = _checks.real(q, "q", low=0.0, strict=True) ** 0.5
    if _checks.one_of(activation, "activation", ("tanh", "relu")) == "relu":
        return lambda h: np.where(h > 0, norm.pdf(h, scale=std), 0.0)

    def of_tanh(h: Array) -> Array:
        inside = np.clip(h, -1 + 1e-9, 1 - 1e-9)
        return np.where(abs(h) < 1, norm.pdf(np.arctanh(inside), scale=std) / (1 - inside**2), 0.0)

    return of_tanh


# ----------------------------------------------------------------------------------------------- how long a start takes


def steps_to_grow(scale: float, depth: int, reach: float) -> float:
    """Return how many steps L equal factors need to grow from `scale` to 1, if each grows by reach · scale^(L-1).

    Parameters
    ----------
    scale : float
        a at the start, in (0, 1).
    depth : int
        L, 2 or more.
    reach : float
        ηs: learning rate times strength of the direction.

    Returns
    -------
    float

    References
    ----------
    Saxe, McClelland & Ganguli, arXiv:1312.6120, section 1.1.

    Examples
    --------
    >>> [round(steps_to_grow(0.1, depth, 1.0), 1) for depth in (2, 3, 4)]
    [2.3, 9.0, 49.5]
    """
    if _checks.integer(depth, "depth", low=2) == 2:
        return float(np.log(1 / scale) / reach)
    return (scale ** (2 - depth) - 1) / ((depth - 2) * reach)


def smallest_scale(depth: int, reach: float) -> float:
    """Return from which scale L equal factors grow to about 1 within T steps: `steps_to_grow`, solved without its 1.

    Parameters
    ----------
    depth : int
        L, 2 or more.
    reach : float
        ηsT.

    Returns
    -------
    float

    Examples
    --------
    >>> round(smallest_scale(4, 49.5), 2), round(smallest_scale(2, 2.3), 2)
    (0.1, 0.1)
    """
    if _checks.integer(depth, "depth", low=2) == 2:
        return float(np.exp(-reach))
    return ((depth - 2) * reach) ** (-1 / (depth - 2))


def steps_below(loss: Array, threshold: float) -> Array:
    """Return when each replica's loss, averaged over ten steps, first lies below a threshold; inf where it never does.

    Parameters
    ----------
    loss : ndarray, shape (R, T)
        What `initnotes.training.train` recorded at each step.
    threshold : float

    Returns
    -------
    ndarray, shape (R,)
        The middle of the ten steps.

    Examples
    --------
    >>> steps_below(np.repeat([[2.0, 0.5], [2.0, 1.5]], 10, axis=1), 1.0)
    array([14.5,  inf])
    """
    whole = loss.shape[1] // BINS * BINS
    below = loss[:, :whole].reshape(len(loss), -1, BINS).mean(axis=2) < threshold
    return np.where(below.any(axis=1), BINS * (below.argmax(axis=1) + 0.5) - 0.5, np.inf)


def crossing(scales: Array, losses: Array, threshold: float) -> Array:
    """Return the scale at which each replica's loss first falls below a threshold, interpolated in log scale.

    Parameters
    ----------
    scales : ndarray, shape (S,)
        From the side that does not train.
    losses : ndarray, shape (S, R)
    threshold : float

    Returns
    -------
    ndarray, shape (R,)
        inf where no loss lies below it.

    Examples
    --------
    >>> crossing(np.array([0.1, 0.4]), np.array([[2.0, 2.0], [0.0, 1.5]]), 1.0)
    array([0.2, inf])
    """
    below = losses < threshold
    at = np.clip(below.argmax(axis=0), 1, None)
    before, after = np.take_along_axis(losses, np.array([at - 1, at]), axis=0)
    share = (before - threshold) / (before - after)
    scale = (1 - share) * np.log(scales[at - 1]) + share * np.log(scales[at])
    return np.where(below.any(axis=0), np.exp(scale), np.inf)


# --------------------------------------------------------------------------------------------------------------- starts


def scaled(
    widths: Sequence[int],
    sigma_w: float | Sequence[float],
    *,
    rng: np.random.Generator,
    activation: str = "tanh",
    replicas: int = 32,
) -> Ensemble:
    """Return networks whose layers have given σ_w: a weight's standard deviation is σ_w/√fan_in.

    Parameters
    ----------
    widths : sequence of int
        n_0, …, n_L.
    sigma_w : float or sequence of L floats
        One for all layers, or layer by layer.
    rng : numpy.random.Generator
        Equal generators give the same draw at every scale.
    activation : str
    replicas : int

    Returns
    -------
    Ensemble

    Examples
    --------
    >>> net = scaled((64, 64, 10), [1.0, 8.0], rng=np.random.default_rng(1), replicas=2)
    >>> [round(float(weight.std() * 8)) for weight in net.weights]
    [1, 8]
    """
    depth = len(widths) - 1
    each = [sigma_w] * depth if isinstance(sigma_w, (int, float)) else list(sigma_w)
    schemes = [Scheme(scale=value**2) for value in each]
    return Ensemble(widths, activation, schemes, rng=rng, replicas=replicas)


def aligned(depth: int, width: int, asked: Array, *, rng: np.random.Generator, replicas: int = 32) -> Ensemble:
    """Return tanh networks that have the strength 1 in the nine directions which the data ask for, and no other.

    With the singular vectors of `asked` as the columns of A (classes) and B (pixels), and nine random orthonormal
    directions of each hidden layer as the columns of O_l, the matrices are O_1 Bᵀ, O_l O_{l-1}ᵀ, …, A O_{L-1}ᵀ.

    Parameters
    ----------
    depth, width : int
    asked : ndarray, shape (10, n_0)
        G, of rank nine: the mean of (y - 1/10) xᵀ.
    rng : numpy.random.Generator
    replicas : int

    Returns
    -------
    Ensemble

    Examples
    --------
    >>> net = aligned(3, 24, np.eye(10, 64), rng=np.random.default_rng(1), replicas=1)
    >>> product = net.weights[2][0] @ net.weights[1][0] @ net.weights[0][0]
    >>> [round(abs(value), 6) for value in torch.linalg.svdvals(product).tolist()]
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    """
    widths = (asked.shape[1], *[width] * (depth - 1), asked.shape[0])
    net = Ensemble(widths, "tanh", zeros, rng=rng, replicas=replicas)
    directions = len(asked) - 1
    classes, _, pixels = np.linalg.svd(asked)
    noise = rng.standard_normal((depth - 1, replicas, width, directions))
    ways = [pixels[:directions].T, *np.linalg.qr(noise)[0], classes[:, :directions]]
    for at, weight in enumerate(net.weights):
        weight[:] = torch.from_numpy(ways[at + 1] @ ways[at].swapaxes(-1, -2))
    return net


class WithoutBiases(Ensemble):
    """An ensemble whose biases never move: for the control that asks what they do to the time that a start takes.

    Examples
    --------
    >>> from initnotes.networks.training import train
    >>> rng = np.random.default_rng(1)
    >>> net = WithoutBiases((2, 3, 2), "tanh", "he_normal", rng=rng, replicas=2)
    >>> history = train(net, np.eye(2), np.arange(2), lr=1.0, steps=3, rng=rng)
    >>> [float(bias.abs().max()) for bias in net.biases], bool((history.loss[:, 3] < history.loss[:, 0]).all())
    ([0.0, 0.0], True)
    """

    def forward(self, inputs: Any, masks: Sequence[Tensor] | None = None) -> Signals:
        """Pass `inputs` forward as any ensemble does; of its own, so that a sweep takes this class's `backward`."""
        return super().forward(inputs, masks)

    def backward(self, signals: Signals, output_gradient: Any) -> Gradients:
        """Pass the gradient back as any ensemble does, and set those of the biases to 0."""
        found = super().backward(signals, output_gradient)
        for gradient in found.biases:
            gradient.zero_()
        return found
