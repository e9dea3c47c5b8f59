"""How the start and the learning rates of a network go with its width: standard, NTK and muP.

What lives here predicts; training with such rates is for ``networks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks

__all__ = ["OPTIMIZERS", "PARAMETRIZATIONS", "Multipliers", "multipliers"]

PARAMETRIZATIONS = ("standard", "ntk", "mup")
OPTIMIZERS = ("sgd", "momentum", "adam")


@dataclass(frozen=True)
class Multipliers:
    """By what a network that is m times as wide as its base multiplies start and rates, layer by layer.

    Attributes
    ----------
    start : ndarray, shape (L,)
        On the standard deviation of the weights, beyond the 1/√fan_in that `initnotes.he_normal` and its kin have:
        ``initnotes.Scheme(scale=2 * factor**2)`` is He's start times a factor.
    rates : ndarray, shape (L, 2)
        On the learning rate of the weights, and on that of the biases.
    slopes : ndarray, shape (L,)
        The power of m with which the first update's own contribution to a layer's pre-activations, the root mean square
        of ΔW_l h_{l-1}, goes in wide networks: 0 where the layer learns at any width with the same rate.
    """

    start: np.ndarray
    rates: np.ndarray
    slopes: np.ndarray


def multipliers(widths: Sequence[int], parametrization: str, optimizer: str, *, base: Sequence[int]) -> Multipliers:
    """Return the multipliers that make a network of other hidden widths train like its base.

    The weights have no factors in the forward pass: what a parametrization says of those is moved into the start and
    the rates. With the layer's fan_in and fan_out, both as functions of the width:

    =============  =====================================  =================  =============
    name           standard deviation                     SGD                Adam
    =============  =====================================  =================  =============
    ``standard``   1/√fan_in                              1                  1
    ``ntk``        1/√fan_in                              1/fan_in           1/√fan_in
    ``mup``        min(1, √(fan_out/fan_in)) / √fan_in    fan_out/fan_in     1/fan_in
    =============  =====================================  =================  =============

    A bias counts as a weight of fan_in 1. The last row follows from one demand, the spectral condition: both the
    weights and their update have a spectral norm of order √(fan_out/fan_in), so that each layer's z is of order 1 and
    its own update moves it by as much. For one input ΔW = −η δ hᵀ has the norm η |δ| |h|. Under the condition
    |h| ~ √fan_in and |δ| ~ 1/√fan_out, so SGD needs η ~ fan_out/fan_in. All entries of Adam's first update are ±η, so
    that its norm is η √(fan_in · fan_out), and η ~ 1/fan_in.

    Parameters
    ----------
    widths : sequence of int
        n_0 (inputs), n_1, …, n_L (outputs).
    parametrization : {"standard", "ntk", "mup"}
    optimizer : {"sgd", "momentum", "adam"}
        Momentum's rates are those of SGD.
    base : sequence of int
        Widths of the network whose start and rates are left as they are: as many, the same inputs and outputs, and
        hidden widths that `widths` has m times.

    Returns
    -------
    Multipliers

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    The condition, and start and SGD's rate from it: Yang, Simon & Bernstein, "A spectral condition for feature
    learning", 2023, condition 1 and parametrization 1. The same with Adam's rate, as a table for input, hidden and
    output weights: Yang et al., "Tensor programs V", 2022, table 3. NTK: Jacot, Gabriel & Hongler, NeurIPS 2018, whose
    factor 1/√fan_in in front of weights of variance 1 divides an update twice with SGD, once with Adam.

    Examples
    --------
    >>> found = multipliers((64, 256, 256, 10), "mup", "adam", base=(64, 64, 64, 10))
    >>> found.start
    array([1. , 1. , 0.5])
    >>> found.rates[:, 0], found.rates[:, 1]
    (array([1.  , 0.25, 0.25]), array([1., 1., 1.]))
    >>> multipliers((64, 256, 256, 10), "standard", "sgd", base=(64, 64, 64, 10)).slopes
    array([-0.5,  0.5,  1. ])
    """
    parametrization = _checks.one_of(parametrization, "parametrization", PARAMETRIZATIONS)
    optimizer = _checks.one_of(optimizer, "optimizer", OPTIMIZERS)
    m = _ratio(_widths(widths, "widths"), _widths(base, "base"))
    depth = len(widths) - 1
    fan_in = np.arange(depth) > 0  # as powers of m: inputs and outputs stay, hidden layers grow
    fan_out = np.arange(depth) < depth - 1
    gain, weights, biases = _powers(parametrization, optimizer, fan_in.astype(float), fan_out.astype(float))
    slopes = _slopes(optimizer, gain, weights, fan_in.astype(float), fan_out.astype(float))
    return Multipliers(m**gain, np.stack([m**weights, m**biases], axis=1), slopes)


def _powers(
    parametrization: str, optimizer: str, fan_in: np.ndarray, fan_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, as powers of m, √fan_in times the start's std, and the rates of weights and of biases."""
    same, bias_in, adam = np.zeros_like(fan_in), np.zeros_like(fan_in), optimizer == "adam"
    if parametrization == "standard":
        return same, same, same
    if parametrization == "ntk":
        return same, -fan_in / (2 if adam else 1), -bias_in
    gain = np.minimum(0.0, (fan_out - fan_in) / 2)
    weights, biases = (-own if adam else fan_out - own for own in (fan_in, bias_in))
    return gain, weights, biases


def _slopes(optimizer: str, gain: np.ndarray, rates: np.ndarray, fan_in: np.ndarray, fan_out: np.ndarray) -> np.ndarray:
    """Return the power of m of rms(ΔW_l h_{l-1}) at the first update.

    h is forward as large as the gains make it. δ_{l-1} sums fan_out independent terms W δ_l, each as large as W's
    standard deviation. SGD: ΔW h = η |h|² δ. Adam's entries are ±η, with the sign of h's and δ's, so that ΔW h adds up
    fan_in times |h|.
    """
    h = np.concatenate([[0.0], np.cumsum(gain)[:-1]])
    back = gain - fan_in / 2 + fan_out / 2
    delta = np.append(np.cumsum(back[:0:-1])[::-1], 0.0)
    return rates + fan_in + h if optimizer == "adam" else rates + fan_in + 2 * h + delta


def _widths(widths: Any, name: str) -> tuple[int, ...]:
    if isinstance(widths, (str, bytes)) or not isinstance(widths, Sequence):
        raise TypeError(f"{name} must be a sequence of integers, inputs first, got {widths!r}")
    if len(widths) < 2:
        raise ValueError(f"{name} must have at least the inputs and the outputs, got {tuple(widths)}")
    return tuple(_checks.integer(width, name) for width in widths)


def _ratio(widths: tuple[int, ...], base: tuple[int, ...]) -> float:
    """Return m, how many times as wide as the base's hidden layers all are."""
    if len(widths) != len(base) or (widths[0], widths[-1]) != (base[0], base[-1]):
        raise ValueError(f"base must have as many layers, and the same inputs and outputs, as {widths}, got {base}")
    ratios = {own / other for own, other in zip(widths[1:-1], base[1:-1], strict=True)}
    if len(ratios) > 1:
        raise ValueError(f"hidden widths must all be the same multiple of base's {base[1:-1]}, got {widths[1:-1]}")
    return ratios.pop() if ratios else 1.0
