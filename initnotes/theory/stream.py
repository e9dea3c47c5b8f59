"""What theory says of gradients through normalization, and of the stream of a residual network, block by block.

What lives here predicts; the networks themselves are in ``networks``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _checks, activations
from . import gaussian

__all__ = ["BLOCKS", "NORMS", "PLACES", "gradient_factor", "step_exponent", "stream_factors", "stream_moments"]

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


def stream_moments(
    blocks: int, block: str, *, scale: float = 1.0, place: str | None = None, start: float = 1.0
) -> np.ndarray:
    """Return E x² after each block of a wide residual ReLU network.

    With q the second moment of x, and He's matrices:

    - Without normalization, where branches have mean 0 and so are uncorrelated with x: "inner" multiplies q by
      1 + 2·scale², "pre" and "short" by 1 + scale². Of "inner" that is the exact mean at any width.
    - In "post" the branch is never negative, so that the mean m of x grows too: q′ = q(1 + s²) + 2sm√(q/π),
      m′ = m + s√(q/π). For small s this is q_l = q_0 cosh²(sl/√π).
    - A normalization in front of each branch, or of every φ, makes of q′ = q + c·q·scale² a sum: q′ = q + c·scale². For
      "post", with μ = √(c/π) its branch's mean, q_l = q_0 + cs²l + s²μ²l(l − 1).
    - Behind each sum: q = 1.

    Parameters
    ----------
    blocks : int
    block : {"post", "inner", "pre", "short"}
    scale : float
        Factor s on the branch: the multiplier times the factors on both matrices. With place "phi" only the last
        matrix of a block counts, and of "post" none, since a normalization stands behind the others.
    place : {"phi", "pre", "post"}, optional
        Where a normalization stands; see `initnotes.networks.Residual`. Without it there is none.
    start : float
        E x² in front of the first block.

    Returns
    -------
    ndarray, shape (blocks + 1,)
        The first entry is `start`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> stream_moments(3, "pre"), stream_moments(3, "inner")
    (array([1., 2., 4., 8.]), array([ 1.,  3.,  9., 27.]))
    >>> stream_moments(3, "inner", place="pre")
    array([1., 3., 5., 7.])
    """
    blocks, s = _checks.integer(blocks, "blocks"), _checks.real(scale, "scale", low=0.0)
    start = _checks.real(start, "start", low=0.0, strict=True)
    _checks.one_of(block, "block", BLOCKS)
    count = np.arange(blocks + 1.0)
    if place is None:
        return start * (_growing_means(blocks, s) if block == "post" else (1 + _factor(block) * s * s) ** count)
    if _checks.one_of(place, "place", PLACES) == "post":
        return np.where(count > 0, 1.0, start)
    added = _factor(block, place) * s * s
    means = added / math.pi if block == "post" else 0.0  # the square of a branch's mean
    return np.asarray(start + added * count + means * count * (count - 1))


def _factor(block: str, place: str = "pre") -> float:
    """Return the second moment of a branch of He's matrices, from x of second moment 1."""
    if place == "phi":  # what φ reads has second moment 1
        return 0.5 if block == "post" else 1.0
    return 2.0 if block == "inner" else 1.0


def _growing_means(blocks: int, s: float) -> np.ndarray:
    moments, mean = [1.0], 0.0
    for _ in range(blocks):
        added = s * math.sqrt(moments[-1] / math.pi)
        moments.append(moments[-1] * (1 + s * s) + 2 * mean * added)
        mean += added
    return np.array(moments)


def step_exponent(
    *,
    multiplier: float,
    first: float,
    last: float,
    optimizer: str,
    place: str | None = None,
    learned: bool = False,
    biases: bool = False,
) -> float:
    """Return the power of L with which the first update of L blocks changes the function, at the same rate for all L.

    A branch m·W₂φ(W₁x) has m = L^multiplier, and its matrices are L^first and L^last times He's: a₁ and a₂. While
    m·a₁·a₂ is at most of order L^(−½), the stream x and the gradient g that comes back along it do not depend on L.

    - SGD: ΔW₂ ∝ m·g·φ(W₁x)ᵀ moves the block's output by m·ΔW₂·φ ∝ m²a₁², and ΔW₁ by m²a₂². Each block moves
      the function against the same g, by a positive kernel, so that L of them add up: |Δf| ~ L·m²·max(a₁, a₂)².
    - Adam: the entries of ΔW are ± the rate, whatever m is (0 where the gradient is): |Δf| ~ L·m·max(a₁, a₂).
    - A learned multiplier moves as a matrix of one entry does: L·(a₁a₂)² under SGD, L·a₁a₂ under Adam; a bias behind
      the last matrix as one that reads 1: L·m² and L·m. With n units, these have a factor of 1/n that the parts above
      lack. What the L multipliers do agrees in the mean and differs by chance by more: until L is large the power of
      their part is between ½ and 1.
    - In front of each branch ("pre"), a normalization divides g by the rms of x, √L·m·a₁a₂ if that is above 1, so that
      |Δf| is divided by it once under Adam, twice under SGD, whose step has a g of its own. Blocks that come early have
      a smaller rms in front of them, so that under SGD there is a factor of log L besides.
    - Behind each sum ("post"), it divides by m·a₁·a₂ where that is above 1; it keeps g from block to block.

    Parameters
    ----------
    multiplier, first, last : float
        Powers of L; −inf for 0. Where x has a factor of its own in the sum, as in DeepNorm, the multiplier is that of
        the branch divided by it.
    optimizer : {"sgd", "adam"}
    place : {"pre", "post"}, optional
        Of the normalization; without it there is none.
    learned, biases : bool
        Whether multipliers are trained, and whether biases are.

    Returns
    -------
    float
        For large L at fixed width, of what the blocks do: the part of a stem's own update has power 0. inf where the
        stream of an unnormalized network explodes, −inf where nothing moves.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    SGD: Zhang, Dauphin & Ma, ICLR 2019, section 3, who ask for a power of 0. SGD and Adam, with multiplier 1/√L: Yang,
    Yu, Zhu & Hayou, "Tensor programs VI", 2023. The rest is derived above.

    Examples
    --------
    >>> small_last = dict(multiplier=0, first=0, last=-0.5)
    >>> small_multiplier = dict(multiplier=-0.5, first=0, last=0)
    >>> [step_exponent(**small_last, optimizer=optimizer) for optimizer in ("sgd", "adam")]
    [1.0, 1.0]
    >>> [step_exponent(**small_multiplier, optimizer=optimizer) for optimizer in ("sgd", "adam")]
    [0.0, 0.5]
    """
    m, a1, a2 = (
        _checks.real(value, name, infinite=True)
        for value, name in ((multiplier, "multiplier"), (first, "first"), (last, "last"))
    )
    if math.inf in (m, a1, a2):
        raise ValueError(f"powers must be finite, or -inf for 0, got {multiplier}, {first}, {last}")
    times = {"sgd": 2, "adam": 1}[_checks.one_of(optimizer, "optimizer", ("sgd", "adam"))]
    branch = m + a1 + a2
    if place is None and branch > -0.5:
        return math.inf
    edge = 0.0 if place is None else {"pre": -0.5, "post": 0.0}[_checks.one_of(place, "place", ("pre", "post"))]
    moved = max(m + max(a1, a2, 0.0 if biases else -math.inf), a1 + a2 if learned else -math.inf)
    return float(1 + times * (moved - max(0.0, branch - edge)))
