"""Networks that start from trained ones: new heads, new rows, more units, and what stays frozen.

What lives here changes ensembles between two trainings; low-rank adapters are in ``low_rank``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks, schemes
from ..schemes import Initializer
from .ensemble import Ensemble
from .low_rank import LowRank, first_step

__all__ = ["WIDENINGS", "LowRank", "first_step", "only", "replace_head", "rise", "widen"]

WIDENINGS = ("copies", "uneven", "zero_out", "zero_in")


def only(net: Ensemble, layers: Sequence[int], *, biases: bool = True) -> np.ndarray:
    """Return factors for the learning rates that let some layers train and keep all others as they are.

    Parameters
    ----------
    net : Ensemble
        Of any class.
    layers : sequence of int
        Places in `net.weights`; −1 is the head.
    biases : bool
        Whether the biases of these layers train too.

    Returns
    -------
    ndarray, shape (L, 2)
        1 or 0. Times a rate it is a `lr` of `train`; times rates ``lr[:, None, None]`` of R replicas too; and it is a
        `factors` of `sweep`. Weight decay is a part of the rate, and Adam's steps as well.

    Raises
    ------
    TypeError, ValueError
        If `net` is no Ensemble, or a place is not among its weights.

    Examples
    --------
    >>> net = Ensemble((20, 16, 5), "relu", "he_normal", rng=np.random.default_rng(1), replicas=3)
    >>> 0.1 * only(net, [-1])
    array([[0. , 0. ],
           [0.1, 0.1]])
    """
    depth = _plain(net, exactly=False).depth
    factors = np.zeros((depth, 2))
    for place in layers:
        at = _checks.integer(place, "layers", low=-depth)
        if at >= depth:
            raise ValueError(f"layers must be places among {depth} weights, got {at}")
        factors[at] = 1.0, float(biases)
    return factors


def replace_head(
    net: Ensemble, outputs: int, *, rng: np.random.Generator, scheme: str | Initializer = "zeros"
) -> Ensemble:
    """Return a copy of networks whose last layer is a new one, with biases of 0.

    The gradient of the features is proportional to the head: a head of zeros leaves them alone in the first step, a
    large one moves them at once.

    Parameters
    ----------
    net : Ensemble
        Plain networks.
    outputs : int
        Of the new head.
    rng : numpy.random.Generator
    scheme : str or Initializer
        What draws its weights.

    Returns
    -------
    Ensemble

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022.

    Examples
    --------
    >>> net = Ensemble((20, 16, 5), "relu", "he_normal", rng=np.random.default_rng(1), replicas=3)
    >>> replace_head(net, 2, rng=np.random.default_rng(2))
    Ensemble(20-16-2, relu, 3 replicas, float64)
    """
    own, drawn_by = _plain(net), schemes.scheme(scheme)
    width = _checks.integer(outputs, "outputs")
    drawn = drawn_by.sample((width, own.widths[-2]), _checks.generator(rng), own.replicas)
    weights = [*own.weights[:-1], own.parameters.new_tensor(drawn)]
    biases = [*own.biases[:-1], own.parameters.new_zeros(own.replicas, width)]
    return _with(own, (*own.widths[:-1], width), weights, biases)


def rise(old: Any, new: Any) -> Any:
    """Return by how much new classes raise the cross-entropy of samples of the old ones, in nats.

    A softmax over old and new logits divides by more than one over the old ones alone: the rise is the mean of
    log(1 + Σ e^new / Σ e^old), whatever the labels. New rows that are the mean of the old ones raise it by
    log(1 + k/V) at most, by Jensen's inequality. A row of zeros gives the logit 0, and what that means beside the old
    ones no softmax over them has ever told.

    Parameters
    ----------
    old : array or Tensor, shape (…, samples, V)
        Logits of the old classes.
    new : array or Tensor, shape (…, samples, k)
        Logits of the new ones.

    Returns
    -------
    float or ndarray, shape (…)

    Raises
    ------
    TypeError, ValueError
        If they are not floating-point numbers, or the shapes do not fit.

    Examples
    --------
    >>> old = np.array([[1.0, 3.0], [2.0, 0.0]])
    >>> mean_row = old.mean(-1, keepdims=True)
    >>> bool(rise(old, mean_row) < np.log(1 + 1 / 2))
    True
    >>> round(rise(old - 20, np.zeros((2, 1))), 1)  # zeros beside the same softmax
    17.4
    """
    logits, added = _checks.floating(old, "old").double(), _checks.floating(new, "new").double()
    if logits.dim() < 2 or logits.shape[:-1] != added.shape[:-1]:
        raise ValueError(f"old and new must have one row a sample, got {tuple(logits.shape)} and {tuple(added.shape)}")
    gap = added.logsumexp(-1) - logits.logsumexp(-1)
    found = torch.nn.functional.softplus(gap).mean(-1).numpy(force=True)
    return np.asarray(found) if found.ndim else float(found)


def widen(
    net: Ensemble,
    units: int,
    *,
    rng: np.random.Generator,
    how: str = "copies",
    layer: int = 1,
    scheme: str | Initializer = "he_normal",
) -> Ensemble:
    """Return networks with more units in a hidden layer that compute the same function.

    Parameters
    ----------
    net : Ensemble
        Plain networks.
    units : int
        How many units the layer has then, more than before.
    rng : numpy.random.Generator
    how : {"copies", "uneven", "zero_out", "zero_in"}
        "copies" repeats units in turn and divides their outgoing weights evenly: equal units, which gradient descent
        keeps equal. "uneven" divides them by random shares, one division for all weights of a unit. "zero_out" draws
        the incoming weights of new units and sets the outgoing ones to 0, "zero_in" the reverse, biases 0.
    layer : int
        1 for the first hidden layer.
    scheme : str or Initializer
        What draws new weights, by the shapes of the wide layers.

    Returns
    -------
    Ensemble

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or for "zero_in" φ(0) is not 0.

    References
    ----------
    Chen, Goodfellow & Shlens, "Net2Net", ICLR 2016: copies, divided evenly, with noise against equal units.

    Examples
    --------
    >>> net = Ensemble((20, 8, 5), "relu", "he_normal", rng=np.random.default_rng(1), replicas=3)
    >>> wide = widen(net, 32, how="uneven", rng=np.random.default_rng(2))
    >>> x = np.random.default_rng(3).standard_normal((7, 20))
    >>> wide, bool(torch.allclose(wide(x), net(x)))
    (Ensemble(20-32-5, relu, 3 replicas, float64), True)
    """
    own, how, drawn_by = _plain(net), _checks.one_of(how, "how", WIDENINGS), schemes.scheme(scheme)
    at = _checks.integer(layer, "layer")
    if at >= own.depth:
        raise ValueError(f"layer must be a hidden one, 1 … {own.depth - 1}, got {at}")
    old, wide = own.widths[at], _checks.integer(units, "units")
    if wide <= old:
        raise ValueError(f"units must be more than the {old} that the layer has, got {wide}")
    if how == "zero_in" and bool(own.activation(torch.zeros(1)).any()):
        raise ValueError(f"'zero_in' needs φ(0) = 0, got {own.activation.name}; take 'zero_out'")
    _checks.generator(rng)
    into, bias, out = own.weights[at - 1], own.biases[at - 1], own.weights[at]
    if how in ("copies", "uneven"):
        of = torch.arange(wide) % old
        shares = out.new_tensor(_shares(of.numpy(), old, own.replicas, rng if how == "uneven" else None))
        made = into[:, of], bias[:, of], out[:, :, of] * shares[:, None]
    else:
        into_new, out_new = (
            out.new_tensor(drawn_by.sample(shape, rng, own.replicas))
            for shape in ((wide, into.shape[2]), (out.shape[1], wide))
        )
        into_new, out_new = into_new[:, old:], out_new[:, :, old:]
        (out_new if how == "zero_out" else into_new).zero_()
        made = (
            torch.cat([into, into_new], 1),
            torch.cat([bias, bias.new_zeros(own.replicas, wide - old)], 1),
            torch.cat([out, out_new], 2),
        )
    weights, biases = list(own.weights), list(own.biases)
    weights[at - 1], biases[at - 1], weights[at] = made
    return _with(own, (*own.widths[:at], wide, *own.widths[at + 1 :]), weights, biases)


def _shares(of: np.ndarray, old: int, replicas: int, rng: np.random.Generator | None) -> np.ndarray:
    """Return each copy's share of its unit's outgoing weights, (R, units): equal, or random ones that add up to 1."""
    raw = np.ones((replicas, len(of))) if rng is None else rng.uniform(0.5, 1.5, (replicas, len(of)))
    sums = np.stack([np.bincount(of, own, minlength=old) for own in raw])
    return raw / sums[:, of]


def _plain(net: Any, *, exactly: bool = True) -> Ensemble:
    if not isinstance(net, Ensemble) or (exactly and type(net) is not Ensemble):
        raise TypeError(f"net must be {'a plain' if exactly else 'an'} Ensemble, got {type(net).__name__}")
    return net


def _with(net: Ensemble, widths: tuple[int, ...], weights: list[Tensor], biases: list[Tensor]) -> Ensemble:
    """Return an ensemble of the same kind but with other widths."""
    twin = copy.copy(net)
    twin.widths = widths
    parts = [part.flatten() for layer in zip(weights, biases, strict=True) for part in layer]
    return twin._like(torch.cat(parts))
