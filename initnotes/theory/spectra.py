"""Singular values of deep networks' Jacobians, and how far finite widths let the length of a vector wander.

What lives here predicts for networks of many layers alike, J = Π D_l W_l: W_l is Gaussian or orthogonal, and D_l holds
the slopes φ′(√q ξ), free of W_l where layers are wide. All follows from one function of a layer, its S-transform, which
products multiply (Voiculescu 1987). With t(y) = E 1/(1 + φ′² y), an average over the slopes,

    1/S(t − 1) = σ_w² (1 − t)/y for Gaussian and σ_w² (1 − t)/(t y) for orthogonal weights.

Negative y, down to the pole of t, give the S-transform beyond t = 1, where the largest singular value is found.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import _checks
from . import arguments, gaussian

__all__ = [
    "WEIGHTS",
    "LogMoments",
    "largest_singular_value",
    "log_moments",
    "log_variance",
    "slope_kurtosis",
    "stretch_cdf",
    "surviving",
]

WEIGHTS = ("gaussian", "orthogonal")


def stretch_cdf(x: Any, q: float, activation: Any, *, sigma_w: float, weights: str = "gaussian") -> Any:
    """Return F(x), the share of singular values s of a deep network's Jacobian with s^(2/depth) ≤ x.

    The limit of many layers, each wide: F(1/S(t − 1)) = t. The squared stretch of a layer has this law, whatever the
    depth, so that the singular values themselves spread exponentially. With σ_w² = 1 for linear and 2 for ReLU units:
    F = x for linear units, (1 + x)/2 for ReLU, both with Gaussian weights, and 1/(2 − x) for ReLU with orthogonal ones.

    Parameters
    ----------
    x : float, array or tensor
        Finite and at least 0.
    q : float
        E z² in front of φ, the same in each layer and greater than 0; of no matter to ReLU and its kin.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_w : float
        √(fan_in · Var(W)): of orthogonal weights the gain.
    weights : {"gaussian", "orthogonal"}

    Returns
    -------
    float or ndarray
        In the shape of `x`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; if φ jumps, so that its slope is infinite.

    References
    ----------
    The limit: Haagerup & Möller, "The law of large numbers for the free multiplicative convolution", 2013; Tucci,
    Journal of Theoretical Probability 23, 2010. The S-transform of a layer: Pennington, Schoenholz & Ganguli, "The
    emergence of spectral universality in deep networks", AISTATS 2018.

    Examples
    --------
    >>> stretch_cdf([0.25, 0.5, 1.5], 1.0, "relu", sigma_w=2**0.5, weights="orthogonal").round(4)
    array([0.5714, 0.6667, 1.    ])
    """
    x = arguments.moments(x, "x", order="x and q come first, the activation after them")
    _, p, squares = _slopes(q, activation)
    variance, orthogonal = _variance(sigma_w), _is_orthogonal(weights)
    top = float(p @ squares)
    if variance * top == 0:
        return arguments.like(np.ones(x.shape))
    low, high = np.full(x.size, -80.0), np.full(x.size, 80.0)  # of ln y, in which 1/S falls
    for _ in range(64):
        middle = (low + high) / 2
        inverse = _inverse(np.exp(middle) / top, p, squares, orthogonal)[0]
        above = variance * inverse > x.ravel()
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    share = _inverse(np.exp(low) / top, p, squares, orthogonal)[1]
    found = np.where(x.ravel() >= variance * top * (1 - 1e-12), 1.0, share).reshape(x.shape)
    return arguments.like(found)


def surviving(
    threshold: Any, depth: int, q: float, activation: Any, *, sigma_w: float, weights: str = "gaussian"
) -> Any:
    """Return the share of directions that a deep network keeps: of its singular values, those above a threshold.

    Parameters
    ----------
    threshold : float, array or tensor
        Least singular value of the input-output Jacobian, at least 0.
    depth : int
        Layers, each a matrix and its φ.
    q, activation, sigma_w, weights
        As for `stretch_cdf`, whose limit of many layers is taken: 1 − F(threshold^(2/depth)).

    Returns
    -------
    float or ndarray
        In the shape of `threshold`. The limit is not exact: of the singular values of 20 linear Gaussian layers, ever
        so wide, a share of 0.385 is above 0.01, and 0.369 is returned.

    Raises
    ------
    TypeError, ValueError
        As `stretch_cdf`.

    Examples
    --------
    >>> round(surviving(0.01, 20, 1.0, "relu", sigma_w=2**0.5, weights="orthogonal"), 3)
    0.27
    """
    least = arguments.moments(threshold, "threshold", order="threshold, depth and q come first, the activation then")
    x = least ** (2 / _checks.integer(depth, "depth"))
    return arguments.like(np.asarray(1 - stretch_cdf(x, q, activation, sigma_w=sigma_w, weights=weights)))


def largest_singular_value(
    depth: int, q: float, activation: Any, *, sigma_w: float, weights: str = "gaussian"
) -> float:
    """Return the largest singular value of a deep network's Jacobian, in the limit of wide layers.

    Its square is the least of (1 + u)/(u S(u)^depth) over u > 0. For linear units and σ_w = 1 that is
    (L + 1)^(L + 1)/L^L with Gaussian weights. For slopes 0 and 1, a share p of them 1, and orthogonal weights with
    σ_w² = 1/p it is (1 − p)/p · L^L/(L − 1)^(L − 1) if L (1 − p) > 1, else p^−L.

    Parameters
    ----------
    depth : int
        L, layers, each a matrix and its φ. Here the depth is exact, not taken to its limit.
    q, activation, sigma_w, weights
        As for `stretch_cdf`.

    Returns
    -------
    float
        Slopes at |ξ| > 6, with a probability of 2e-9, are left out: this matters for a φ whose slope has no bound.

    Raises
    ------
    TypeError, ValueError
        As `stretch_cdf`.

    References
    ----------
    The edge of the spectrum of deep linear and ReLU networks: Pennington, Schoenholz & Ganguli, NeurIPS 2017.

    Examples
    --------
    >>> round(largest_singular_value(10, 1.0, "relu", sigma_w=2**0.5, weights="orthogonal"), 2)
    5.08
    >>> round(largest_singular_value(1, 1.0, "linear", sigma_w=1.0), 6)  # the quarter circle
    2.0
    """
    from scipy.optimize import minimize_scalar

    depth = _checks.integer(depth, "depth")
    xi, p, squares = _slopes(q, activation)
    p, squares = p[np.abs(xi) < 6], squares[np.abs(xi) < 6]
    p = p / p.sum()
    variance, orthogonal = _variance(sigma_w), _is_orthogonal(weights)
    top = float(squares.max())
    if variance * top == 0:
        return 0.0
    share = squares / top

    def log_square(a: float) -> float:
        """Return ln of (1 + u)/(u S^depth) at y = −1/(top (1 + e^−a))."""
        v, rest = 1 / (1 + math.exp(-a)), 1 / (1 + math.exp(a))
        ratio = float(p @ (share / (1 - share + share * rest)))  # u/v
        u = ratio * v
        inverse = math.log(variance * top * ratio) - (math.log1p(u) if orthogonal else 0.0)
        return math.log1p(1 / u) + depth * inverse

    grid = np.linspace(-35.0, 35.0, 281)
    least = grid[np.argmin([log_square(a) for a in grid])]
    found = minimize_scalar(log_square, bounds=(least - 0.25, least + 0.25), method="bounded", options={"xatol": 1e-9})
    return math.exp(min(float(found.fun), log_square(least)) / 2)


def slope_kurtosis(q: Any, activation: Any) -> Any:
    """Return m = E φ′⁴/(E φ′²)² under pre-activations N(0, q).

    Var(s²)/(E s²)² of a deep, wide network's singular values is the sum over its layers of m for Gaussian weights, and
    of m − 1 for orthogonal ones.

    Parameters
    ----------
    q : float, array or tensor
        Second moments of the pre-activations, finite and greater than 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.

    Returns
    -------
    float or ndarray
        In the shape of `q`, at least 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; if φ jumps or is flat.

    References
    ----------
    The sum: Pennington, Schoenholz & Ganguli, NeurIPS 2017, equation 22.

    Examples
    --------
    >>> slope_kurtosis(1.0, "linear"), round(slope_kurtosis(1.0, "relu"), 6)
    (1.0, 2.0)
    """
    moments = arguments.moments(q)
    found = []
    for own in moments.ravel():
        _, p, squares = _slopes(own, activation)
        mean = float(p @ squares)
        if mean == 0:
            raise ValueError(
                f"the slope of {gaussian.of(activation).act.name} is 0 at q = {own:g}, and has no kurtosis"
            )
        found.append(float(p @ squares**2) / float(p.sum()) / (mean / float(p.sum())) ** 2)
    return arguments.like(np.array(found).reshape(moments.shape))


def log_variance(q: Any, activation: Any, *, weights: str = "gaussian") -> Any:
    """Return n · Var ln‖Ju‖² of one layer of width n: how far a finite width lets the length of a vector wander.

    3m − 1 for Gaussian and 3(m − 1) for orthogonal weights, with the m of `slope_kurtosis`, to leading order in 1/n.
    Layers add up: through L of them the logarithm has L/n times this as its variance and drifts by minus half of that,
    while the mean of ‖Ju‖² stays what it is.

    Parameters
    ----------
    q : float, array or tensor
        Second moments of the pre-activations, finite and greater than 0.
    activation : str, Activation, module or callable
    weights : {"gaussian", "orthogonal"}

    Returns
    -------
    float or ndarray
        In the shape of `q`.

    Raises
    ------
    TypeError, ValueError
        As `slope_kurtosis`.

    References
    ----------
    For Gaussian weights and ReLU, 5 L/n: Hanin & Nica, "Products of many large random matrices and gradients in deep
    neural networks", Communications in Mathematical Physics 376, 2020. The rest is derived in the book.

    Examples
    --------
    >>> round(log_variance(1.0, "relu"), 6), round(log_variance(1.0, "relu", weights="orthogonal"), 6)
    (5.0, 3.0)
    """
    orthogonal = _is_orthogonal(weights)
    return arguments.like(np.asarray(3 * slope_kurtosis(q, activation) - (3 if orthogonal else 1)))


class LogMoments(NamedTuple):
    """Mean and variance of a logarithm."""

    mean: float
    variance: float


def log_moments(width: int, *, share: float = 0.5) -> LogMoments:
    """Return mean and variance of ln‖Ju‖² of one layer at a finite width: exact, for Gaussian weights and slopes 0, 1.

    Each unit is on by itself with the same chance, and u has the length 1; σ_w² = 1/share keeps the mean of ‖Ju‖² at 1.

    Parameters
    ----------
    width : int
        Units, at least 1.
    share : float
        Chance that a unit is on: 1/2 for ReLU, 1 for linear units.

    Returns
    -------
    LogMoments
        Of layers that have at least one unit on.

    Raises
    ------
    TypeError, ValueError
        If `width` is no such number, or `share` not in (0, 1].

    References
    ----------
    A sum of k squares of independent normal numbers has ψ(k/2) + ln 2 as the mean of its logarithm, and ψ′(k/2) as the
    variance. What it does to deep ReLU networks: Hanin & Nica, 2020.

    Examples
    --------
    >>> found = log_moments(64)
    >>> round(64 * found.mean, 2), round(64 * found.variance, 2)
    (-2.57, 5.31)
    """
    from scipy.special import digamma, polygamma
    from scipy.stats import binom

    n, p = _checks.integer(width, "width"), _checks.real(share, "share", low=0.0, strict=True)
    if p > 1:
        raise ValueError(f"share must be at most 1, got {p:g}")
    on = np.arange(1, n + 1)
    chance = binom.pmf(on, n, p)
    chance /= chance.sum()
    means = digamma(on / 2) + math.log(2 / (n * p))
    mean = float(chance @ means)
    return LogMoments(mean, float(chance @ (polygamma(1, on / 2) + (means - mean) ** 2)))


def _slopes(q: Any, activation: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return nodes ξ, their probabilities and φ′²."""
    return gaussian.of(activation).slopes(_checks.real(q, "q", low=0.0, strict=True))


def _variance(sigma_w: float) -> float:
    return arguments.sigmas(sigma_w, 0.0)[0] ** 2


def _is_orthogonal(weights: str) -> bool:
    return _checks.one_of(weights, "weights", WEIGHTS) == "orthogonal"


def _inverse(y: np.ndarray, p: np.ndarray, squares: np.ndarray, orthogonal: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return 1/S(t − 1) for σ_w = 1, and t, at each y > 0."""
    kept = 1 / (1 + np.multiply.outer(y, squares))
    t = kept @ p
    inverse = kept @ (p * squares)  # (1 − t)/y
    return inverse / t if orthogonal else inverse, t
