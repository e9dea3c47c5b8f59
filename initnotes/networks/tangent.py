"""Networks near their start: tangent kernels, networks that start at f = 0, and how far weights have moved.

What lives here works on ensembles; what a kernel predicts is in ``theory``.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .ensemble import Ensemble, join

__all__ = ["doubled", "movement", "tangent_kernel"]


def tangent_kernel(net: Ensemble, x: Any, x2: Any = None) -> np.ndarray:
    """Return the neural tangent kernel of each replica: products of the gradients of its outputs, sample by sample.

    K = ∂f(x)/∂θ · ∂f(x₂)/∂θ over all parameters that train, without a factor for the width. In a plain network it is
    the sum over layers of (δ·δ₂)(h·h₂ + 1), with δ = ∂f/∂z, so that no gradient is ever stored; in others the
    gradients of one replica at a time are.

    Parameters
    ----------
    net : Ensemble
        Of any class whose outputs do not depend on the rest of the batch.
    x : array or Tensor, shape (N, n_0) or (R, N, n_0)
    x2 : array or Tensor, shape (M, n_0) or (R, M, n_0), optional
        `x` by default.

    Returns
    -------
    ndarray, shape (R, N·n_L, M·n_L)
        Row i·n_L + c is for output c of sample i. A network with several rows of outputs for a sample has so many more.

    Raises
    ------
    TypeError, ValueError
        If `net` is not an Ensemble or normalizes over the batch, or the inputs do not fit it.

    References
    ----------
    Jacot, Gabriel & Hongler, "Neural tangent kernel", NeurIPS 2018, section 4.

    Examples
    --------
    >>> net = Ensemble((2, 1), "linear", "he_normal", rng=np.random.default_rng(1), replicas=1)
    >>> tangent_kernel(net, [[1.0, 2.0]], [[3.0, 0.0], [0.0, 1.0]])  # of w·x + b: x·x₂ + 1
    array([[[4., 3.]]])
    """
    if not isinstance(net, Ensemble):
        raise TypeError(f"net must be an Ensemble, got {type(net).__name__}")
    if getattr(net, "norm", None) == "batch":
        raise ValueError(f"outputs must not depend on the rest of the batch, got {net}; take norm='layer' or 'rms'")
    if net.architecture:
        return _by_gradients(net, x, x if x2 is None else x2)
    first = _factors(net, x)
    second = first if x2 is None else _factors(net, x2)
    kernel: Any = 0.0
    for (h, delta), (h2, delta2) in zip(first, second, strict=True):
        outputs = net.widths[-1]
        by_sample = (h @ h2.mT).repeat_interleave(outputs, 1).repeat_interleave(outputs, 2)
        kernel = kernel + by_sample.mul_(delta @ delta2.mT)
    return np.asarray(kernel.numpy(force=True))


def _factors(net: Ensemble, x: Any) -> list[tuple[Tensor, Tensor]]:
    """Return of each layer (h, 1 if its biases train), shape (R, N, n_{l-1} + 1), and δ, shape (R, N·n_L, n_l)."""
    signals = net.forward(x)
    units = torch.eye(net.widths[-1]).to(signals.output)
    found = [net.backward(signals, unit.expand_as(signals.output)) for unit in units]
    layers = []
    for layer, h in enumerate(signals.activations):
        delta = torch.stack([own.pre_activations[layer] for own in found], dim=2).flatten(1, 2)
        trains = any(bool(own.biases[layer].any()) for own in found)
        ones = torch.full_like(h[..., :1], float(trains))
        layers.append((torch.cat([h, ones], dim=-1), delta))
    return layers


def _by_gradients(net: Ensemble, x: Any, x2: Any) -> np.ndarray:
    inputs, inputs2 = net._inputs(x), net._inputs(x2)
    kernels = []
    for replica in range(net.replicas):  # one at a time: the gradients of all would fill the memory
        own = net.part(slice(replica, replica + 1))
        gradients = _gradients(own, inputs[replica])
        gradients2 = gradients if x2 is x else _gradients(own, inputs2[replica])
        kernels.append(gradients @ gradients2.mT)
    return np.asarray(torch.stack(kernels).numpy(force=True))


def _gradients(net: Ensemble, x: Tensor) -> Tensor:
    """Return the gradient of each output for each sample, shape (N·n_L, P), of a network of one replica."""
    copies = join([net] * len(x))  # of which each sees one sample
    output, found = copies(x[:, None]), []
    size = output[0].numel()
    for unit in torch.eye(size).to(output).view(size, 1, *output.shape[1:]).expand(-1, *output.shape):
        parts = copies.backward(copies.forward(x[:, None]), unit)
        found.append(torch.cat([part.flatten(1) for part in [*parts.weights, *parts.biases]], dim=1))
    return torch.stack(found, dim=1).flatten(0, 1)


def doubled(net: Ensemble) -> Ensemble:
    """Return a network of twice as many hidden units that starts at f = 0: each unit beside a copy that is subtracted.

    The copy has the unit's incoming weights and bias, and the opposite outgoing weights; the output's bias is 0. The
    kernel over the weights is twice that of `net`. Multiply all parameters by s, ``net.parameters.mul_(s)``, and the
    function of a ReLU network without biases is s² times as large, its kernel too.

    Parameters
    ----------
    net : Ensemble
        With one hidden layer; its class is kept.

    Returns
    -------
    Ensemble

    Raises
    ------
    TypeError, ValueError
        If `net` is not an ensemble of plain networks with one hidden layer.

    References
    ----------
    Chizat, Oyallon & Bach, "On lazy training in differentiable programming", NeurIPS 2019: the doubling, and scales.

    Examples
    --------
    >>> net = Ensemble((3, 4, 1), "relu", "he_normal", rng=np.random.default_rng(1), replicas=2)
    >>> doubled(net), bool(doubled(net)(torch.ones(5, 3)).abs().max() < 1e-12)
    (Ensemble(3-8-1, relu, 2 replicas, float64), True)
    """
    if not isinstance(net, Ensemble):
        raise TypeError(f"net must be an Ensemble, got {type(net).__name__}")
    if net.architecture or net.depth != 2:
        raise ValueError(f"net must be a plain network with one hidden layer, got {net}")
    (first, last), (bias, out) = net.weights, net.biases
    parts = [first.repeat(1, 2, 1), bias.repeat(1, 2), torch.cat([last, -last], dim=2), torch.zeros_like(out)]
    twin = copy.copy(net)
    twin.widths = (net.widths[0], 2 * net.widths[1], net.widths[2])
    return twin._like(torch.cat([part.flatten() for part in parts]))


def movement(net: Ensemble, before: Ensemble) -> np.ndarray:
    """Return how far each replica's weights have moved, relative to their size before: ‖ΔW‖/‖W‖ over all matrices.

    Biases do not count. Layers can be looked at by themselves where one of them hides behind a larger one.

    Parameters
    ----------
    net, before : Ensemble
        The same networks after and before; ``net.part(slice(None))`` keeps a copy.

    Returns
    -------
    ndarray, shape (R,)
        inf, or NaN if nothing has moved, where all weights were zero.

    Raises
    ------
    TypeError, ValueError
        If they are not ensembles of the same kind and number of replicas.

    Examples
    --------
    >>> net = Ensemble((3, 4, 1), "relu", "he_normal", rng=np.random.default_rng(1), replicas=2)
    >>> before = net.part(slice(None))
    >>> _ = net.parameters.mul_(1.5)
    >>> movement(net, before)
    array([0.5, 0.5])
    """
    for own in (net, before):
        if not isinstance(own, Ensemble):
            raise TypeError(f"net and before must be Ensembles, got {type(own).__name__}")
    if net.kind != before.kind or net.replicas != before.replicas:
        raise ValueError(f"net and before must be the same networks at two times, got {net} and {before}")
    change = sum((new - old).square().sum((1, 2)) for new, old in zip(net.weights, before.weights, strict=True))
    size = sum(old.square().sum((1, 2)) for old in before.weights)
    return np.asarray((torch.as_tensor(change) / torch.as_tensor(size)).sqrt().numpy(force=True))
