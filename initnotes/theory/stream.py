"""What theory says of gradients through normalization, and of the stream of a residual network, block by block.

What lives here predicts; the networks themselves are in ``networks``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _checks, activations
from . import gaussian

__all__ = ["BLOCKS", "NORMS", "PLACES", "gradient_factor", "stream_factors", "stream_moments"]

NORMS = ("batch", "layer", "rms")
BLOCKS = ("post", "inner", "pre", "short")
PLACES = ("phi", "pre", "post")  # of a normalization: in front of every φ, of each branch, behind each sum


def gradient_factor(activation: Any, *, norm: str = "batch", batch: int | None = None) -> float:
    """Return the factor on the mean square of ∂loss/∂z a layer, going backward, in a plain normalized network.

    For wide layers z_{l+1} = W φ(N(z_l)) far from the input, whatever the variance of W. In a large batch it is
    E φ′²/Var φ for "batch" and E φ′²/E φ² for "layer" and "rms", at a standard normal pre-activation. By the
    Gaussian Poincaré inequality the first is above 1 unless φ is linear.

    Parameters
    ----------
    activation : str, Activation, module or callable
    norm : {"batch", "layer", "rms"}
    batch : int, optional
        Size B of the batch, 4 or more; without it, the limit of a large one. Only for "batch" and "relu": there, with
        correlation c = −1/(B−1), κ = (√(1−c²) + c(π − arccos c))/2π and p = ¼ + arcsin(c)/2π, the factor is
        B T/((B−1)(B−3)(½ − κ)) with T = (B−1)/2 − 1 + 1/B + (B−1)(p + κ)/B.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    Yang et al., "A mean field theory of batch normalization", ICLR 2019: the same setting, and π/(π − 1) for ReLU in
    the limit. The inequality: Chernoff, Annals of Probability 9, 1981.

    Examples
    --------
    >>> round(gradient_factor("relu"), 3), round(gradient_factor("relu", batch=8), 3)
    (1.467, 1.788)
    >>> round(gradient_factor("relu", norm="layer"), 3)
    1.0
    """
    norm, act = _checks.one_of(norm, "norm", NORMS), activations.get(activation)
    if batch is None:
        return float(gaussian.derivative_second_moment(1.0, act) / _size(act, norm))
    if norm != "batch" or act.name != "relu":
        raise ValueError(f"a batch size is for norm 'batch' and activation 'relu', got {norm!r} and {act.name!r}")
    B = _checks.integer(batch, "batch", low=4)
    c = -1 / (B - 1)
    kappa = (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / (2 * math.pi)
    both_on = 0.25 + math.asin(c) / (2 * math.pi)
    trace = (B - 1) / 2 - 1 + 1 / B + (B - 1) * (both_on + kappa) / B
    return B * trace / ((B - 1) * (B - 3) * (0.5 - kappa))


def _size(act: Any, norm: str) -> float:
    """Return what a unit-variance layer passes on: Var φ over a large batch, or E φ² over the units."""
    square = float(gaussian.second_moment(1.0, act))
    return square - float(gaussian.first_moment(1.0, act)) ** 2 if norm == "batch" else square


def stream_factors(
    blocks: int, activation: Any = "relu", *, norm: str = "batch", sigma_w: float = math.sqrt(2), start: float = 1.0
) -> np.ndarray:
    """Return the factor on the mean square of ∂loss/∂x of each block x + W φ(N(x)), for wide layers and large batches.

    The branch of a block gets x divided by the root of its variance v, which grows by a constant a block, so that the
    factor is 1 + σ_w² E φ′²/v: 1 plus a number over the number of the block.

    Parameters
    ----------
    blocks : int
    activation : str, Activation, module or callable
    norm : {"batch", "layer", "rms"}
    sigma_w : float
        √(fan_in · Var(W)).
    start : float
        v in front of the first block: variance over the batch for "batch", mean square otherwise.

    Returns
    -------
    ndarray, shape (blocks,)
        Of the first block first. The product of all is the growth of the gradient over the network.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    De & Smith, NeurIPS 2020: the variance of the stream grows linearly, so that a branch counts as 1 over the depth.

    Examples
    --------
    >>> stream_factors(3, norm="layer").round(3)
    array([2.   , 1.5  , 1.333])
    """
    norm, act = _checks.one_of(norm, "norm", NORMS), activations.get(activation)
    blocks, square = _checks.integer(blocks, "blocks"), _checks.real(sigma_w, "sigma_w", low=0.0) ** 2
    start = _checks.real(start, "start", low=0.0, strict=True)
    variances = start + square * _size(act, norm) * np.arange(blocks)
    return np.asarray(1 + square * gaussian.derivative_second_moment(1.0, act) / variances)


def stream_moments(blocks: int, block: str, *, scale: float = 1.0) -> np.ndarray:
    """Return E x² after each block of a wide residual ReLU network without normalization, relative to the first x.

    All matrices are He's. "pre" multiplies it by 1 + scale², "inner" by 1 + 2·scale², "short" by 1 + scale². In "post"
    the branch is never negative, so that the mean m of x grows too: q′ = q(1 + s²) + 2sm√(q/π), m′ = m + s√(q/π).

    Parameters
    ----------
    blocks : int
    block : {"post", "inner", "pre", "short"}
    scale : float
        Factor s on the branch.

    Returns
    -------
    ndarray, shape (blocks + 1,)
        The first entry is 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> stream_moments(3, "pre"), stream_moments(3, "inner")
    (array([1., 2., 4., 8.]), array([ 1.,  3.,  9., 27.]))
    """
    blocks, s = _checks.integer(blocks, "blocks"), _checks.real(scale, "scale", low=0.0)
    if _checks.one_of(block, "block", BLOCKS) != "post":
        return np.asarray((1 + (2 if block == "inner" else 1) * s * s) ** np.arange(blocks + 1.0))
    moments, mean = [1.0], 0.0
    for _ in range(blocks):
        added = s * math.sqrt(moments[-1] / math.pi)
        moments.append(moments[-1] * (1 + s * s) + 2 * mean * added)
        mean += added
    return np.array(moments)
