"""The variance map of a layer, its fixed points, and the edge between order and chaos.

What lives here goes from layer to layer; the expectations that it is made of are in ``gaussian``. Notation: q = E[z²]
of a pre-activation, ξ ~ N(0, 1), Var(W) = σ_w²/fan_in, Var(b) = σ_b².
"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from . import arguments, gaussian
from .gaussian import HUGE, TINY, Means
from .roots import SAME, zeros

__all__ = [
    "FixedPoint",
    "chi",
    "critical_sigma_w",
    "fixed_point",
    "fixed_points",
    "gain",
    "variance_map",
]


class FixedPoint(NamedTuple):
    """A second moment that the variance map returns unchanged.

    Attributes
    ----------
    q : float
        The second moment E[z²].
    slope : float
        dq'/dq of the map there; at q = 0 its limit from above.
    stable : bool
        Whether iteration from nearby (at 0: from above) comes back to it.
    continuum : bool
        Whether *every* q > 0 is fixed. The map is analytic in q, so it fixes isolated points or all of them; then
        this is the only entry, with q = 1.
    """

    q: float
    slope: float
    stable: bool
    continuum: bool = False


def variance_map(q: Any, activation: Any, *, sigma_w: float, sigma_b: float = 0.0) -> Any:
    """Return the next layer's second moment, σ_w² E φ(√q ξ)² + σ_b².

    Parameters
    ----------
    q : float, array or tensor
        Second moments E[z²] of the pre-activations, finite and at least 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_w : float
        √(fan_in · Var(W)), finite and at least 0: 1 for LeCun's scheme, √2 for He's.
    sigma_b : float, default 0.0
        Standard deviation of the biases, finite and at least 0.

    Returns
    -------
    float or ndarray
        In the shape of `q`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, negative or not finite.

    References
    ----------
    B. Poole et al., "Exponential expressivity in deep neural networks through transient chaos", NeurIPS 2016.

    Examples
    --------
    >>> round(variance_map(1.0, "relu", sigma_w=2**0.5), 6)
    1.0
    >>> variance_map([0.5, 1.0], "tanh", sigma_w=1.5, sigma_b=0.1).round(4)
    array([0.6258, 0.8972])
    """
    q, means = arguments.moments(q), gaussian.of(activation)
    sigma_w, sigma_b = arguments.sigmas(sigma_w, sigma_b)
    return arguments.like(_map(q, means, sigma_w, sigma_b, strict=True))


def _map(q: Any, means: Means, sigma_w: float, sigma_b: float, strict: bool = False) -> np.ndarray:
    with np.errstate(over="ignore"):
        return sigma_w**2 * means.square(q, strict=strict) + sigma_b**2


def _limit_chi(means: Means, sigma_w: float, q: float) -> float:
    """Return σ_w² lim E φ²/q at q = 0 or q = ∞."""
    return sigma_w**2 * means.limit_ratios[0 if q == 0 else 1] if sigma_w > 0 else 0.0


def _at_zero(means: Means, sigma_w: float, sigma_b: float) -> float:
    """Return the map at q = 0; what is below 1e-30 is taken as the rounding of 0."""
    value = float(_map(0.0, means, sigma_w, sigma_b))
    return value if value > 1e-30 else 0.0


def _excess(q: Any, means: Means, sigma_w: float, sigma_b: float) -> Any:
    """Return q'/q − 1: positive where the map raises q."""
    with np.errstate(over="ignore"):
        return _map(q, means, sigma_w, sigma_b) / q - 1


def _scan(means: Means, sigma_w: float, sigma_b: float) -> tuple[list[float], list[int]]:
    """Return the positive fixed points, and the sign of q' − q before, between and after them."""
    q, mean = means.table
    with np.errstate(over="ignore"):
        values = sigma_w**2 * mean / q + sigma_b**2 / q - 1
    low, far = min(_at_zero(means, sigma_w, sigma_b) or TINY, TINY) / 10, HUGE * max(1.0, sigma_b**2)
    ends = _excess(np.array([low, far]), means, sigma_w, sigma_b)
    q, values = np.array([low, *q, far]), np.array([ends[0], *values, ends[1]])
    return zeros(lambda at: float(_excess(at, means, sigma_w, sigma_b)), q, values)


def _slope(q: float, means: Means, sigma_w: float) -> float:
    """Return dq'/dq without φ′: the q-derivative of the density N(0, q) is (x²/q − 1)/(2q) times it."""
    phi = means.act
    origin = np.square(phi(np.zeros(1)))[0]
    mean = means.mean(lambda x: (phi(x) ** 2 - origin) * (x * x / q - 1), q)
    return sigma_w**2 * float(mean) / (2 * q)


def fixed_points(activation: Any, *, sigma_w: float, sigma_b: float = 0.0) -> list[FixedPoint]:
    """Return all finite fixed points of the variance map, in ascending order.

    Parameters
    ----------
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_w, sigma_b : float
        As in `variance_map`.

    Returns
    -------
    list of FixedPoint
        Each with `q`, `slope`, `stable`. Empty where every q grows without bound. A continuum (ReLU at σ_w² = 2,
        linear at σ_w = 1, both without bias) is one entry with ``continuum=True``; q'/q counts as 1 within 1e-9.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, negative or not finite.

    References
    ----------
    B. Poole et al., "Exponential expressivity in deep neural networks through transient chaos", NeurIPS 2016.

    Examples
    --------
    >>> [(round(p.q, 4), p.stable) for p in fixed_points("tanh", sigma_w=2.0)]
    [(0.0, False), (2.1215, True)]
    >>> fixed_points("relu", sigma_w=2**0.5)
    [FixedPoint(q=1.0, slope=1.0, stable=False, continuum=True)]
    """
    means = gaussian.of(activation)
    sigma_w, sigma_b = arguments.sigmas(sigma_w, sigma_b)
    roots, signs = _scan(means, sigma_w, sigma_b)
    if signs == [0]:
        return [FixedPoint(1.0, 1.0, False, continuum=True)]
    points = [
        FixedPoint(q, _slope(q, means, sigma_w), before > 0 > after)
        for q, (before, after) in zip(roots, pairwise(signs), strict=True)
    ]
    if _at_zero(means, sigma_w, sigma_b) == 0:
        points.insert(0, FixedPoint(0.0, _limit_chi(means, sigma_w, 0.0), signs[0] < 0))
    return points


def fixed_point(activation: Any, *, sigma_w: float, sigma_b: float = 0.0) -> float:
    """Return where iteration of the variance map from q = 1 ends.

    Parameters
    ----------
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_w, sigma_b : float
        As in `variance_map`.

    Returns
    -------
    float
        The second moment q*: 0.0 and inf included, also where they are approached slower than exponentially (tanh
        at σ_w = 1). 1.0 where q = 1 is fixed itself, be it unstable or one of a continuum.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, negative or not finite.

    Notes
    -----
    The iteration always ends somewhere: √q E φ(√q ξ)² never falls as q grows (its logarithmic derivative is half of
    E[φ² ξ²]/E[φ²] ≥ 0), so ln q' falls at most half as fast as ln q rises, and a map with a cycle must fall faster.

    References
    ----------
    B. Poole et al., "Exponential expressivity in deep neural networks through transient chaos", NeurIPS 2016.

    Examples
    --------
    >>> round(fixed_point("tanh", sigma_w=2.0), 4)
    2.1215
    >>> fixed_point("tanh", sigma_w=1.0), fixed_point("relu", sigma_w=2.0)
    (0.0, inf)
    """
    means = gaussian.of(activation)
    sigma_w, sigma_b = arguments.sigmas(sigma_w, sigma_b)
    roots, signs = _scan(means, sigma_w, sigma_b)
    if signs == [0]:
        return 1.0
    q, mean = means.table
    end = _ahead(1.0, roots, signs)
    way = np.minimum(mean, 1e99)[(q >= min(end, 1.0) / 1.3) & (q <= max(end, 1.0) * 1.3)]
    rising = bool(np.all(np.diff(way) >= -1e-12 * way[1:]))
    return end if rising else _ahead(_far_down(means, sigma_w, sigma_b), roots, signs)


def _ahead(q: float, roots: list[float], signs: list[int]) -> float:
    """Return the fixed point towards which the map moves q: one of the roots, 0 or inf."""
    for root in roots:
        if abs(root - q) <= SAME * root:
            return root
    here = sum(root < q for root in roots)
    ends = [0.0, *roots, math.inf]
    return ends[here + 1] if signs[here] > 0 else ends[here]


def _far_down(means: Means, sigma_w: float, sigma_b: float) -> float:
    """Return q after 300 layers. A map that falls somewhere may step over a fixed point, so signs at q = 1 mislead."""
    q = 1.0
    for _ in range(300):
        q = min(float(_map(q, means, sigma_w, sigma_b)), HUGE)
    return q


def chi(activation: Any, *, sigma_w: float, sigma_b: float = 0.0) -> float:
    """Return χ = σ_w² E φ′(√q* ξ)² at `fixed_point`: the mean-square gain of a gradient, or a small change, a layer.

    Parameters
    ----------
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_w, sigma_b : float
        As in `variance_map`.

    Returns
    -------
    float
        Below 1 in the ordered phase, above 1 in the chaotic phase. Where q* is 0 or inf, the limit of
        σ_w² E φ(√q ξ)²/q, which is χ's for a φ that becomes linear on both sides.

    Raises
    ------
    TypeError, ValueError
        As `fixed_point`; if φ jumps, such as ``np.sign``, and so has no χ where 0 < q* < inf.

    References
    ----------
    B. Poole et al., "Exponential expressivity in deep neural networks through transient chaos", NeurIPS 2016.
    S. S. Schoenholz et al., "Deep information propagation", ICLR 2017.

    Examples
    --------
    >>> round(chi("relu", sigma_w=1.0), 6), round(chi("tanh", sigma_w=2.0), 3)
    (0.5, 1.363)
    """
    means = gaussian.of(activation)
    sigma_w, sigma_b = arguments.sigmas(sigma_w, sigma_b)
    return _chi(fixed_point(means, sigma_w=sigma_w, sigma_b=sigma_b), means, sigma_w)


def _chi(q: float, means: Means, sigma_w: float) -> float:
    if q == 0 or math.isinf(q):
        return _limit_chi(means, sigma_w, q)
    return sigma_w**2 * float(means.slope_square(q, strict=True))


def critical_sigma_w(activation: Any, *, sigma_b: float = 0.0) -> float:
    """Return the σ_w at which χ = 1: the edge between the ordered and the chaotic phase.

    Parameters
    ----------
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_b : float, default 0.0
        Standard deviation of the biases, finite and at least 0.

    Returns
    -------
    float
        The smallest, if there are several.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, negative or not finite; if χ never is 1 at the fixed point that
        iteration from q = 1 reaches. For GELU and SiLU without bias it jumps over 1 as that point goes from 0 to inf.

    References
    ----------
    S. S. Schoenholz et al., "Deep information propagation", ICLR 2017.

    Notes
    -----
    At a fixed point q, σ_w² = (q − σ_b²)/E φ², so χ = 1 is an equation in q alone:
    (q − σ_b²) E φ′(√q ξ)² = E φ(√q ξ)².

    Examples
    --------
    >>> round(critical_sigma_w("relu"), 6), round(critical_sigma_w("tanh", sigma_b=1.0) ** 2, 3)
    (1.414214, 3.443)
    """
    means = gaussian.of(activation)
    _, sigma_b = arguments.sigmas(1.0, sigma_b)
    for sigma_w in sorted(_critical_candidates(means, sigma_b)):
        if abs(chi(means, sigma_w=sigma_w, sigma_b=sigma_b) - 1) < 1e-7:
            return sigma_w
    raise ValueError(_no_critical(means, sigma_b))


def _critical_candidates(means: Means, sigma_b: float) -> list[float]:
    q, mean = means.table
    ratios = [ratio for ratio in means.limit_ratios if 0 < ratio < math.inf]
    with np.errstate(all="ignore"):
        values = (q - sigma_b**2) * means.slope_table / mean - 1
    valid = (q > sigma_b**2) & np.isfinite(values) & (mean > 0)

    def unbalance(q: float) -> float:
        mean = float(means.square(q))
        return (q - sigma_b**2) * float(means.slope_square(q)) / mean - 1 if mean > 0 else -1.0

    low = sigma_b**2 * (1 + 1e-9) if sigma_b > 0 else TINY / 10
    roots, _ = zeros(unbalance, np.append(low, q[valid]), np.append(unbalance(low), values[valid]))
    moments = [(root, float(means.square(root))) for root in roots]
    return [ratio**-0.5 for ratio in ratios] + [math.sqrt((q - sigma_b**2) / mean) for q, mean in moments if mean > 0]


def _no_critical(means: Means, sigma_b: float) -> str:
    """Say where χ jumps over 1, or that it stays on one side."""

    def at(sigma_w: float) -> float:
        return chi(means, sigma_w=sigma_w, sigma_b=sigma_b)

    low, high = 1e-3, 1e3
    start = (
        f"no sigma_w gives {means.act.name} with sigma_b={sigma_b:g} chi = 1 at the fixed point reached from q = 1: "
    )
    if not at(low) < 1 < at(high):
        return start + f"chi is {at(low):.3g} at sigma_w = {low:g} and {at(high):.3g} at {high:g}"
    while high / low > 1 + 1e-5:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if at(middle) < 1 else (low, middle)
    return start + f"chi jumps from {at(low):.3g} to {at(high):.3g} at sigma_w = {low:.4f}; look at fixed_points there"


def gain(activation: Any) -> float:
    """Return 1/√(E φ(ξ)²): the σ_w that keeps a unit second moment.

    Parameters
    ----------
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.

    Returns
    -------
    float
        With it, q = 1 is a fixed point of `variance_map` at σ_b = 0; `fixed_points` tells whether it is a stable one.

    Raises
    ------
    TypeError
        If `activation` is not one.
    ValueError
        If φ is zero, or not square-integrable, under N(0, 1).

    Examples
    --------
    >>> round(gain("tanh"), 4), round(gain("relu") ** 2, 6)
    (1.5925, 2.0)
    """
    means = gaussian.of(activation)
    mean = float(means.square(1.0, strict=True))
    if not 0 < mean < math.inf:
        raise ValueError(f"activation {means.act.name} has E φ(ξ)² = {mean:g}; a gain needs it positive and finite")
    return mean**-0.5
