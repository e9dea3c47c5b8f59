"""What chapter 5 measures and predicts: one layer's two factors, decay through tanh layers, and sigmoids under a gain.

What lives here draws, follows signals and calculates; how networks train, and what that proves, is in the chapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks, _table, schemes, theory
from ..networks import Ensemble
from ..networks.sweeps import Sweep

__all__ = [
    "activation_moments",
    "difference_in_theory",
    "layer_factors",
    "layer_signals",
    "logs",
    "losses_at_best",
    "relative_difference",
    "sigmoid_net",
    "tanh_twin",
    "typical_moments",
]


def layer_factors(
    scheme: Any, shape: tuple[int, int], *, rng: np.random.Generator, replicas: int = 32, vectors: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of a linear layer on the mean square of what passes forward and of what passes backward.

    Parameters
    ----------
    scheme : str or Initializer
    shape : (fan_out, fan_in)
    rng : numpy.random.Generator
    replicas : int
        Draws of the layer, R.
    vectors : int
        Normal vectors that each draw meets, either way.

    Returns
    -------
    (ndarray, ndarray), shape (R,) each
        Forward and backward. Their means over draws are fan_in · Var(W) and fan_out · Var(W).

    References
    ----------
    Glorot & Bengio, AISTATS 2010, equations 5 and 6.

    Examples
    --------
    >>> forward, backward = layer_factors("orthogonal", (16, 16), rng=np.random.default_rng(1))
    >>> float(forward.max().round(9)), float(backward.max().round(9))
    (1.0, 1.0)
    """
    weight = schemes.scheme(scheme).sample(shape, rng, replicas=replicas)
    forward, backward = (_factor(matrix, vectors, rng) for matrix in (weight, weight.swapaxes(1, 2)))
    return forward, backward


def _factor(matrix: np.ndarray, vectors: int, rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal((len(matrix), matrix.shape[2], vectors))
    return np.square(matrix @ x).mean((1, 2)) / np.square(x).mean((1, 2))


def layer_signals(net: Ensemble, x: Any, y: Any) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Return the activations of each hidden layer, and the gradients of the cross-entropy that come back to it.

    Parameters
    ----------
    net : Ensemble
    x : array, shape (batch, n_0)
    y : array of int, shape (batch,)

    Returns
    -------
    (dict, dict) of int to Tensor, shape (R, batch, n_l)
        h_l and δ_l by layer, from 1.

    Examples
    --------
    >>> net = Ensemble((4, 3, 3, 2), "tanh", "xavier_normal", rng=np.random.default_rng(1), replicas=2)
    >>> h, delta = layer_signals(net, np.ones((5, 4)), np.zeros(5, dtype=int))
    >>> list(h), delta[2].shape
    ([1, 2], torch.Size([2, 5, 3]))
    """
    from ..networks.training import cross_entropy

    signals = net.forward(_checks.floating(x, "x"))
    labels = torch.as_tensor(y).expand(net.replicas, -1)
    deltas = net.backward(signals, cross_entropy(signals.output, labels)[1]).pre_activations
    return dict(enumerate(signals.activations[1:], start=1)), dict(enumerate(deltas[:-1], start=1))


def activation_moments(
    scheme: Any, width: int, *, rng: np.random.Generator, replicas: int = 32, depth: int = 50
) -> np.ndarray:
    """Return the mean square of the activations by layer in square tanh networks on 8 normal inputs.

    One layer is drawn at a time and forgotten again.

    Returns
    -------
    ndarray, shape (replicas, depth)

    Examples
    --------
    >>> activation_moments("xavier_normal", 16, rng=np.random.default_rng(1), replicas=4, depth=3).shape
    (4, 3)
    """
    scheme = schemes.scheme(scheme)
    h, moments = rng.standard_normal((replicas, 8, width)), []
    for _ in range(depth):
        weight = scheme.sample((width, width), rng, replicas=replicas)
        h = np.tanh(h @ weight.swapaxes(1, 2))
        moments.append(np.square(h).mean((1, 2)))
    return np.array(moments).T


def typical_moments(depth: int, *, gain: float = 1.0, width: float = np.inf) -> np.ndarray:
    """Return what theory expects of `activation_moments`: the map, and for a finite width its drift.

    Of n numbers tanh²(√q ξ) with relative variance v, the mean has the relative variance v/n, and the mean of its
    logarithm lies below the logarithm of its mean by half of that, to leading order in 1/n.

    Parameters
    ----------
    depth : int
    gain : float
        Of square Xavier weights: σ_w.
    width : float
        Units n of each layer; inf for the map alone.

    Returns
    -------
    ndarray, shape (depth,)

    Examples
    --------
    >>> typical_moments(50)[[0, -1]].round(2), typical_moments(50, width=16)[[0, -1]].round(3)
    (array([0.39, 0.01]), array([0.387, 0.002]))
    """
    moment, found = 1.0, []
    for _ in range(_checks.integer(depth, "depth")):
        q = gain**2 * moment
        moment = theory.second_moment(q, "tanh")
        fourth = theory.second_moment(q, lambda z: np.tanh(z) ** 2)
        moment *= np.exp(-(fourth / moment**2 - 1) / (2 * width))
        found.append(moment)
    return np.array(found)


def sigmoid_net(
    widths: tuple[int, ...], gain: float, *, rng: np.random.Generator, centered: bool = False, replicas: int = 32
) -> Ensemble:
    """Return sigmoid networks whose hidden layers have Xavier weights times a gain.

    Parameters
    ----------
    widths : tuple of int
        Inputs first.
    gain : float
    rng : numpy.random.Generator
    centered : bool
        Whether biases take off what the mean ½ of the layer below adds: b = -½ W·1.
    replicas : int

    Returns
    -------
    Ensemble

    Examples
    --------
    >>> net = sigmoid_net((4, 3, 3, 2), 4.0, rng=np.random.default_rng(1), centered=True, replicas=2)
    >>> bool(torch.allclose(net.biases[1], -net.weights[1].sum(2) / 2)), bool((net.biases[0] == 0).all())
    (True, True)
    """
    hidden = schemes.Scheme(scale=gain**2, mode="fan_avg", distribution="normal")
    rules = [*[hidden] * (len(widths) - 2), schemes.xavier_normal]
    net = Ensemble(widths, "sigmoid", rules, rng=rng, replicas=replicas)
    if centered:
        for weight, bias in zip(net.weights[1:], net.biases[1:], strict=True):
            bias.copy_(-weight.sum(dim=2) / 2)
    return net


def tanh_twin(net: Ensemble) -> Ensemble:
    """Return the tanh networks that centered sigmoid networks of gain 4 are: 2φ(z) - 1 = tanh(z/2) in each layer.

    Parameters
    ----------
    net : Ensemble
        From `sigmoid_net`, gain 4 and centered.

    Returns
    -------
    Ensemble
        The same weights without the factor 4. The first keep a factor 2, since they see the input and not a sigmoid.

    Examples
    --------
    >>> net = sigmoid_net((4, 3, 3, 2), 4.0, rng=np.random.default_rng(1), centered=True, replicas=2)
    >>> x = np.ones((5, 4))
    >>> sigmoid, tanh = (each.forward(x).activations[2] for each in (net, tanh_twin(net)))
    >>> bool(torch.allclose(2 * sigmoid - 1, tanh))
    True
    """
    twin = Ensemble(net.widths, "tanh", "zeros", rng=np.random.default_rng(0), replicas=net.replicas)
    for own, other in zip(twin.weights, net.weights, strict=True):
        own.copy_(other / 4)
    twin.weights[0].mul_(2)
    return twin


def relative_difference(net: Ensemble, pairs: Any) -> np.ndarray:
    """Return how far two inputs are apart in each hidden layer, relative to the length of the first.

    Parameters
    ----------
    net : Ensemble
    pairs : array, shape (R, 2, n_0)

    Returns
    -------
    ndarray, shape (R, L - 1)

    Examples
    --------
    >>> net = Ensemble((4, 3, 3, 2), "tanh", "xavier_normal", rng=np.random.default_rng(1), replicas=2)
    >>> relative_difference(net, np.ones((2, 2, 4))).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    h = torch.stack(net.forward(pairs).activations[1:])  # (layer, replica, input, unit)
    apart = torch.linalg.vector_norm(h[:, :, 0] - h[:, :, 1], dim=-1)
    return (apart / torch.linalg.vector_norm(h[:, :, 0], dim=-1)).T.numpy()


def difference_in_theory(depth: int, gain: float, *, centered: bool = False) -> np.ndarray:
    """Return what wide layers expect of `relative_difference`, for two independent inputs and square sigmoid layers.

    Parameters
    ----------
    depth : int
        Hidden layers.
    gain : float
        4, where the network is centered.
    centered : bool
        Whether the mean ½ is taken off; the network is a tanh network then.

    Returns
    -------
    ndarray, shape (depth,)

    References
    ----------
    Poole et al., NeurIPS 2016, equation 5: the map of the correlation.

    Examples
    --------
    >>> difference_in_theory(2, 1.0).round(2), difference_in_theory(2, 4.0, centered=True).round(2)
    (array([0.54, 0.13]), array([0.88, 0.69]))
    """
    activation, sigma_w = ("tanh", gain / 4) if centered else ("sigmoid", gain)
    q = gain**2 / 4 if centered else gain**2  # ζ = z/2
    c, found = 0.0, []
    for _ in range(_checks.integer(depth, "depth")):
        c = theory.correlation_map(c, q, activation, sigma_w=sigma_w)
        q = theory.variance_map(q, activation, sigma_w=sigma_w)
        moment = q / sigma_w**2
        found.append(np.sqrt(2 * (moment / (1 + moment) if centered else 1) * (1 - c)))  # h = ½(1 + tanh ζ)
    return np.array(found)


def logs(sweep: Sweep) -> Sweep:
    """Return a sweep whose values are the logarithms, so that differences are of ratios; the best rates stay.

    Examples
    --------
    >>> values = {"a": np.exp([[[1.0, 2.0], [3.0, 4.0]]])}
    >>> logs(Sweep(np.ones(2), ("a",), (5,), values, {"a": np.zeros((2, 2), bool)})).values["a"].tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """
    return replace(sweep, values={arm: np.log(values) for arm, values in sweep.values.items()})


def losses_at_best(sweeps: Mapping[int, Sweep], *, width: float | None = None) -> _table.Table:
    """Return a table of the median loss of each arm at its own best rate.

    Parameters
    ----------
    sweeps : mapping of int to Sweep
        Number of hidden layers to a sweep over networks of that depth.
    width : float, optional
        Of the ranges that are told instead of the losses to one decimal, for training that differs between machines.

    Returns
    -------
    Table
        A row for each depth and arm; the shorter budget and the longer one.

    Examples
    --------
    >>> gone = {"a": np.zeros((2, 2), bool)}
    >>> sweep = Sweep(np.ones(2), ("a",), (5, 50), {"a": np.array([[[2.2, 2.2]] * 2, [[1.3, 1.3]] * 2])}, gone)
    >>> losses_at_best({3: sweep})
    hidden layers  start  steps     loss
    3              a      5 and 50  2.2 and 1.3
    >>> losses_at_best({3: sweep}, width=0.5)["3", "loss"]
    '2.0 to 2.5 and 1.0 to 1.5'
    """
    rows = []
    for depth, sweep in sweeps.items():
        for arm in sweep.arms:
            losses = [_told(np.median(sweep.at_best(arm, at)), width) for at in range(len(sweep.budgets))]
            rows.append((str(depth), arm, " and ".join(map(str, sweep.budgets)), " and ".join(losses)))
    heads = ("hidden layers", "start", "steps", "loss")
    return _table.table(dict(zip(heads, zip(*rows, strict=True), strict=True)))


def _told(loss: float, width: float | None) -> str:
    if width is None:
        return f"{loss:.1f}"
    low = np.floor(loss / width) * width
    return f"{low:.1f} to {low + width:.1f}"
