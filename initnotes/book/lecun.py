"""LeCun's tanh, what SELU makes of mean and variance, a normal that is cut, and the digits at four scales: chapter 7.

What lives here predicts, and follows mean and variance through networks; the chapter measures, tunes and judges.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks, _table, activations, schemes
from ..activations import SELU_ALPHA, SELU_LAMBDA, Activation
from ..networks.training import Sweep

__all__ = [
    "LECUN_SLOPE",
    "LECUN_TANH",
    "SELU",
    "cut_ratio",
    "follow",
    "kept_std",
    "pixels",
    "selu_moments",
    "selu_path",
    "tuned",
]

LECUN_SLOPE = 1.7159 * 2 / 3
"""f′(0) of LeCun's tanh: the gain that it amounts to in a network of plain tanh."""


def _tanh(z: Any) -> Any:
    return torch.tanh(z) if isinstance(z, Tensor) else np.tanh(z)


LECUN_TANH = Activation(
    "LeCun's tanh",
    lambda z: 1.7159 * _tanh(2 / 3 * z),
    lambda z: LECUN_SLOPE * (1 - _tanh(2 / 3 * z) ** 2),
    fused=lambda torch, delta, z, h: torch.ops.aten.tanh_backward(delta * LECUN_SLOPE, h / 1.7159),
)
"""f(z) = 1.7159 tanh(2z/3): LeCun, Bottou, Orr & Müller, *Efficient BackProp*, 1998, section 4.4."""

SELU = replace(
    activations.get("selu"),
    fused=lambda torch, delta, z, h: torch.ops.aten.elu_backward(delta, SELU_ALPHA, SELU_LAMBDA, 1.0, False, z),
)
"""SELU as the package has it, with a backward pass in one operation: a sweep takes half the time."""


def selu_moments(mean: float, variance: float) -> tuple[float, float]:
    """Return mean and variance of SELU(z) for z ~ N(mean, variance).

    Parameters
    ----------
    mean : float
    variance : float
        Positive.

    Returns
    -------
    (float, float)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    Klambauer, Unterthiner, Mayr & Hochreiter, NeurIPS 2017, equations 4 and 5.

    Examples
    --------
    >>> mean, variance = selu_moments(0.0, 1.0)
    >>> round(abs(mean), 12), round(variance, 12)
    (0.0, 1.0)
    """
    from scipy.special import erfcx, ndtr

    mean = _checks.real(mean, "mean")
    variance = _checks.real(variance, "variance", low=0.0, strict=True)
    s = variance**0.5
    r = mean / s
    density = np.exp(-(r**2) / 2)

    def below(k: int) -> float:  # E[exp(k z); z < 0], with erfcx(t) = exp(t²) erfc(t)
        return float(density * erfcx((r + k * s) / np.sqrt(2)) / 2)

    above = mean * ndtr(r) + s * density / np.sqrt(2 * np.pi)  # E[z; z > 0]
    first = above + SELU_ALPHA * (below(1) - below(0))
    square = mean * above + variance * ndtr(r) + SELU_ALPHA**2 * (below(2) - 2 * below(1) + below(0))
    return float(SELU_LAMBDA * first), float(SELU_LAMBDA**2 * (square - first**2))


def selu_path(mean: float, variance: float, *, depth: int, row_sum: float | None = None) -> np.ndarray:
    """Return what theory says of mean and variance of h, layer by layer, in wide SELU networks with Σ w² = 1.

    Parameters
    ----------
    mean, variance : float
        Of the inputs.
    depth : int
    row_sum : float, optional
        Sum of the weights of each unit. Without it the weights are independent with mean 0, so that the mean of h adds
        its square to the variance of z and leaves no mean.

    Returns
    -------
    ndarray, shape (2, depth + 1)

    Raises
    ------
    TypeError, ValueError
        As `selu_moments`, or if the depth is not a positive integer.

    Examples
    --------
    >>> selu_path(1.0, 0.25, depth=16).round(2)[:, -1] + 0.0
    array([0., 1.])
    """
    path = [(mean, variance)]
    for _ in range(_checks.integer(depth, "depth")):
        mean, variance = path[-1]
        at = (0.0, variance + mean**2) if row_sum is None else (row_sum * mean, variance)
        path.append(selu_moments(*at))
    return np.array(path).T


def follow(
    mean: float,
    variance: float,
    *,
    rng: np.random.Generator,
    activation: Any = "selu",
    row_sum: float | None = None,
    width: int = 128,
    depth: int = 16,
    batch: int = 64,
) -> np.ndarray:
    """Measure mean and variance of h, layer by layer, in 32 networks with LeCun's weights and normal inputs.

    Parameters
    ----------
    mean, variance : float
        Of the inputs.
    rng : numpy.random.Generator
    activation : str, Activation or callable
    row_sum : float, optional
        Shift and shrink the weights of each unit so that they have this sum, and squares that sum to 1 on average.
    width, depth, batch : int

    Returns
    -------
    ndarray, shape (2, 32, depth + 1)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> follow(1.0, 0.25, rng=np.random.default_rng(1), width=16, depth=3, batch=4).shape
    (2, 32, 4)
    """
    phi, depth = activations.get(activation), _checks.integer(depth, "depth")
    width, batch = _checks.integer(width, "width", low=2), _checks.integer(batch, "batch")
    mean, variance = _checks.real(mean, "mean"), _checks.real(variance, "variance", low=0.0, strict=True)
    _checks.generator(rng)
    h = torch.from_numpy(mean + variance**0.5 * rng.standard_normal((32, batch, width)))
    seen = [[np.full(32, mean), np.full(32, variance)]]
    for _ in range(depth):
        weight = torch.from_numpy(schemes.lecun_normal.sample((width, width), rng, replicas=32))
        if row_sum is not None:
            rest = (1 - row_sum**2 / width) * width / (width - 1)
            weight = (weight - weight.mean(2, keepdim=True)) * rest**0.5 + row_sum / width
        h = phi(h @ weight.mT)
        seen.append([h.mean((1, 2)).numpy(), h.var((1, 2)).numpy()])
    return np.moveaxis(np.array(seen), 0, 2)


def kept_std(cut: Any) -> Any:
    """Return the standard deviation that is left of N(0, 1) if it is cut at ±cut.

    Parameters
    ----------
    cut : float or array of float
        Positive.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> kept_std(np.array([2.0, 100.0])).round(4)
    array([0.8796, 1.    ])
    """
    from scipy.special import ndtr

    density = np.exp(-(cut**2) / 2) / np.sqrt(2 * np.pi)
    return np.sqrt(1 - 2 * cut * density / (2 * ndtr(cut) - 1))


def cut_ratio(std: float, *, cut: float = 2.0, seed: int) -> np.ndarray:
    """Measure the std that `torch.nn.init.trunc_normal_` draws over the one asked for, in 32 tensors of 10,000 weights.

    Parameters
    ----------
    std : float
        Asked for.
    cut : float
        The limits are ±cut, not multiples of the std.
    seed : int

    Returns
    -------
    ndarray, shape (32,)

    Examples
    --------
    >>> round(float(np.median(cut_ratio(1.0, seed=1))), 1)
    0.9
    """
    generator = torch.Generator().manual_seed(seed)
    weights = torch.empty(32, 10_000, dtype=torch.float64)
    torch.nn.init.trunc_normal_(weights, std=std, a=-cut, b=cut, generator=generator)
    return weights.std(1).numpy() / std


def pixels() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return all digits at four scales, and their labels.

    Returns
    -------
    (dict of str to ndarray of shape (1797, 64), ndarray of shape (1797,))
        "0 to 255", as a file of images has them; "0 to 1"; "0 to 1, centered", each pixel with mean 0; "normalized",
        centered and with a mean square of 1.

    Examples
    --------
    >>> versions, labels = pixels()
    >>> [round(float((x**2).mean() ** 0.5), 2) for x in versions.values()]
    [123.51, 0.48, 0.27, 1.0]
    """
    from sklearn.datasets import load_digits

    x, labels = load_digits(return_X_y=True)
    centered = x - x.mean(axis=0)
    versions = {"0 to 255": x * 255 / 16, "0 to 1": x / 16, "0 to 1, centered": centered / 16}
    return versions | {"normalized": centered / np.sqrt((centered**2).mean())}, labels


def tuned(*sweeps: Sweep, digits: int = 2) -> _table.Table:
    """Return a table of each arm's loss at its own best rate, the median over replicas, a column for each budget.

    Parameters
    ----------
    *sweeps : Sweep
        Of the same budgets.
    digits : int

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If the budgets differ.
    """
    budgets = {found.budgets for found in sweeps}
    if len(budgets) != 1:
        raise ValueError(f"sweeps must have the same budgets, got {sorted(budgets)}")
    arms = [(found, arm) for found in sweeps for arm in found.arms]
    columns: dict[str, list[Any]] = {"network": [arm for _, arm in arms]}
    for at, steps in enumerate(budgets.pop()):
        columns[f"{steps} steps"] = [float(np.median(found.at_best(arm, at))) for found, arm in arms]
    return _table.table(columns, digits=digits)
