"""The correlation map of a layer, and the depth over which two inputs come to their limit.

What lives here follows pairs of inputs; the map of one input's variance is in ``maps``.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import _checks
from . import arguments, gaussian, maps
from .gaussian import Means
from .roots import SAME

__all__ = ["correlation_map", "depth_scale"]

_KNOWN = 1024  # coefficients


class _Kernel(NamedTuple):
    """E φ(u)φ(v) of u, v ~ N(0, q) as a series in their correlation c.

    Attributes
    ----------
    powers : ndarray, shape (K,)
        Exponents k; beyond the known ones they are spread out, and no integers.
    plus, minus : ndarray, shape (K,)
        Weights: Σ plus |c|^k where c ≥ 0, and Σ minus |c|^k where c < 0.
    """

    powers: np.ndarray
    plus: np.ndarray
    minus: np.ndarray

    def at(self, c: np.ndarray) -> np.ndarray:
        """Return the series at correlations c."""
        size = np.abs(c)[..., None] ** self.powers
        return np.asarray(np.where(c < 0, size @ self.minus, size @ self.plus))


@lru_cache(maxsize=4)
def _hermite(kinks: tuple[float, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes ξ (nodes,) and the rows w·He_k(ξ)/√k!, k < `_KNOWN`, that project a function on Hermite polynomials.

    The nodes are those of `gaussian.rule`.
    """
    xi, weights = gaussian.rule(kinks)
    rows = np.zeros((_KNOWN, len(xi)))
    rows[0] = weights
    rows[1] = xi * rows[0]
    for k in range(1, _KNOWN - 1):
        rows[k + 1] = (xi * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1)
    return xi, rows


@lru_cache(maxsize=128)  # keyed by the object, which for a callable lives as long as a call
def _kernel(means: Means, q: float) -> _Kernel:
    """Return the series of E φ(u)φ(v) = Σ p_k c^k, p_k ≥ 0 the square of φ's k-th Hermite coefficient.

    What the first `_KNOWN` leave out at c = 1 and c = −1 is spread over higher powers.
    """
    scale = math.sqrt(q)
    xi, rows = _hermite(means.reduced_kinks(q))
    phi = np.asarray(means.act(scale * xi), dtype=np.float64)
    squares = (rows @ phi) ** 2
    mirrored = np.asarray(means.act(-scale * xi), dtype=np.float64)
    whole, crossed = float(rows[0] @ phi**2), float(rows[0] @ (phi * mirrored))
    signs = np.resize([1.0, -1.0], _KNOWN)
    rest, signed = max(whole - squares.sum(), 0.0), crossed - float(signs @ squares)
    powers, shares = _tail(rest, _rest_slope(means, q, squares))
    signed = min(max(signed, -rest), rest)
    return _Kernel(
        np.append(np.arange(_KNOWN), powers),
        np.append(squares, rest * shares),
        np.append(signs * squares, signed * shares),
    )


def _rest_slope(means: Means, q: float, squares: np.ndarray) -> float:
    """Return Σ k p_k over what is not known: q E φ′² is the sum of all, and inf if φ jumps."""
    return float(q * means.slope_square(q)) - float(np.arange(_KNOWN) @ squares)


def _tail(rest: float, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Return powers from `_KNOWN` on, and the shares of them that fall like k^(−a) and have the mean slope/rest.

    Known exponents: 5/2 for a kink, 3/2, without a mean, for a jump.
    """
    powers = np.geomspace(_KNOWN, 1e8 * _KNOWN, 256)
    mean = slope / rest / _KNOWN if rest > 0 else 1.0
    exponent = 1.5 if not math.isfinite(slope) else (2 * mean - 1) / (mean - 1) if mean > 1.02 else 50.0
    shares = (powers / _KNOWN) ** (1 - exponent)  # the steps are as wide as k
    shares[0] /= 2
    return powers, shares / shares.sum()


def correlation_map(c: Any, q: float, activation: Any, *, sigma_w: float, sigma_b: float = 0.0) -> Any:
    """Return the next layer's correlation of two inputs, (σ_w² E φ(u)φ(v) + σ_b²)/q', q' that of `variance_map`.

    Parameters
    ----------
    c : float, array or tensor
        Correlation E[uv]/q of the two pre-activations u and v, in [−1, 1].
    q : float or tensor
        Second moment of both, finite and greater than 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_w, sigma_b : float
        As in `variance_map`.

    Returns
    -------
    float or ndarray
        In the shape of `c`. Absolute error below 1e-9 for c within ±0.9. Nearer to ±1 it is below 1e-9 for a smooth φ
        at √q ≤ 4 and for kinks at 0, 1e-6 for kinks elsewhere at √q ≤ 3, and 1e-4 for jumps or saturation at √q ≤ 20.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range; if q' = 0, where no correlation is defined.

    References
    ----------
    B. Poole et al., "Exponential expressivity in deep neural networks through transient chaos", NeurIPS 2016.

    Examples
    --------
    >>> correlation_map([0.0, 1.0], 1.0, "relu", sigma_w=2**0.5).round(4)
    array([0.3183, 1.    ])
    """
    c = arguments.correlations(c)
    q = _checks.real(q, "q", low=0.0, strict=True)
    means = gaussian.of(activation)
    sigma_w, sigma_b = arguments.sigmas(sigma_w, sigma_b)
    total = sigma_w**2 * float(means.square(q, strict=True)) + sigma_b**2
    if total == 0:
        raise ValueError("the next layer's second moment is 0, so its correlation is not defined; raise sigma_w")
    return arguments.like((sigma_w**2 * _kernel(means, q).at(c) + sigma_b**2) / total)


def depth_scale(activation: Any, *, sigma_w: float, sigma_b: float = 0.0) -> float:
    """Return ξ_c, the number of layers over which the correlation of two inputs approaches its limit e-fold.

    Parameters
    ----------
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_w, sigma_b : float
        As in `variance_map`.

    Returns
    -------
    float
        - ordered phase: −1/ln χ;
        - critical, |χ − 1| < 1e-9: inf;
        - chaotic phase: −1/ln of the correlation map's slope at its stable fixed point c* < 1. Relative error below
          1e-6, and for a φ with a kink 1e-4 up to c* = 0.999;
        - inf also where q* = inf: the map of the correlation then is that of a homogeneous φ, whose approach to its
          limit is slower than exponential (ReLU) or does not happen (linear).

    Raises
    ------
    TypeError, ValueError
        As `fixed_point`.

    References
    ----------
    S. S. Schoenholz et al., "Deep information propagation", ICLR 2017.

    Examples
    --------
    >>> round(depth_scale("tanh", sigma_w=1.0, sigma_b=0.05**0.5), 2)
    3.63
    """
    means = gaussian.of(activation)
    sigma_w, sigma_b = arguments.sigmas(sigma_w, sigma_b)
    q = maps.fixed_point(means, sigma_w=sigma_w, sigma_b=sigma_b)
    rate = maps.chi(means, sigma_w=sigma_w, sigma_b=sigma_b)
    if math.isinf(q) or abs(rate - 1) < SAME or (q == 0 and rate > 1):
        return math.inf
    if rate > 1 and q > 0:
        rate = _stable_slope(_kernel(means, q), sigma_b**2 / q, rate)
    return -1 / math.log(rate) if rate > 0 else 0.0


def _stable_slope(kernel: _Kernel, offset: float, chi_one: float) -> float:
    """Return C′(c*) at the fixed point c* < 1 of C(c) ∝ Σ p_k c^k, plus the offset; C(1) = 1 and C′(1) = χ > 1.

    C is convex, so (1 − C(c))/(1 − c) rises from 1 − C(0) to χ and is 1 at c* alone.
    """
    from scipy.optimize import brentq

    k, series = kernel.powers, kernel.plus * ((1 - offset) / kernel.plus.sum())

    def chord(c: float) -> float:
        return chi_one if c == 1 else float(series @ -np.expm1(k * math.log(c))) / (1 - c)

    start = float(series[0]) + offset
    c_star = brentq(lambda c: chord(c) - 1, 1e-300, 1.0, xtol=1e-15) if start > 1e-14 else 0.0
    return float((k * series)[1:] @ c_star ** (k[1:] - 1))
