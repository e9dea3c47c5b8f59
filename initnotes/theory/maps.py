"""Floor 2: mean-field theory of wide random networks: how variance and correlation go from layer to layer.

What lives here predicts; it draws no weights and runs no network. Notation: q = E[z²] of a pre-activation,
ξ ~ N(0, 1), Var(W) = σ_w²/fan_in, Var(b) = σ_b².

Every expectation is a Gauss–Legendre sum over panels in ξ that shrink towards 0, where a saturated φ(√q ξ) changes,
and are halved wherever a Gauss–Lobatto sum disagrees: jumps, kinks and transitions elsewhere are found, not assumed.
Relative errors stay below 1e-9 for q up to 1e12, if φ grows no faster than a power.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import _checks, activations
from ..activations import Activation

__all__ = [
    "FixedPoint",
    "chi",
    "correlation_map",
    "critical_sigma_w",
    "depth_scale",
    "derivative_second_moment",
    "first_moment",
    "fixed_point",
    "fixed_points",
    "gain",
    "second_moment",
    "variance_map",
]

_TINY, _HUGE = 1e-12, 1e24  # second moments that stand for the limits 0 and ∞
_SAME = 1e-9  # the map's ratio q'/q counts as 1 within this

_P10 = np.polynomial.legendre.Legendre.basis(10)
_LOBATTO = np.concatenate([[-1.0], _P10.deriv().roots(), [1.0]])
_FINE = np.polynomial.legendre.leggauss(16)
_COARSE = _LOBATTO, 2 / (110 * _P10(_LOBATTO) ** 2)  # nodes at both ends and in the middle: no jump hides there
_NODES = np.concatenate([_FINE[0], _COARSE[0]])
_HALF_EDGES = np.concatenate([0.5 ** np.arange(30.0, 0.0, -1.0), np.arange(1.0, 14.5, 0.5)])
_EDGES = np.concatenate([-_HALF_EDGES[::-1], [0.0], _HALF_EDGES])  # beyond 14 lies 1e-44 of the mass


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


def _rules(
    function: Callable[[Any], Any], low: np.ndarray, high: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ∫ function(scale·ξ) N(ξ) dξ over each panel by the fine and by the coarse rule, (panels,) each."""
    half = (high - low)[:, None] / 2
    xi = (low + high)[:, None] / 2 + half * _NODES  # (panels, nodes)
    values = np.asarray(function((scale[:, None] * xi).ravel()), dtype=np.float64).reshape(xi.shape)
    values *= np.exp(-xi * xi / 2) * (half / math.sqrt(2 * math.pi))
    return values[:, :16] @ _FINE[1], values[:, 16:] @ _COARSE[1]


def _panels(scale: np.ndarray, kinks: tuple[float, ...]) -> np.ndarray:
    """Return the edges of the first panels, (len(scale), edges): the graded ones and one at each kink."""
    edges = np.broadcast_to(_EDGES, (len(scale), len(_EDGES)))
    if any(kinks):
        own = np.array(kinks) / np.maximum(scale, 1e-300)[:, None]
        edges = np.sort(np.concatenate([edges, np.clip(own, -14, 14)], axis=1), axis=1)
    return edges


def _gaussian_mean(function: Callable[[Any], Any], scale: np.ndarray, kinks: tuple[float, ...]) -> np.ndarray:
    """Return E function(scale·ξ) for each entry of the vector `scale`; -inf if it grows too fast to tell."""
    edges = _panels(scale, kinks)
    low, high = edges[:, :-1].ravel(), edges[:, 1:].ravel()
    owner = np.repeat(np.arange(len(scale)), edges.shape[1] - 1)
    total, size, first = np.zeros(len(scale)), None, len(low)
    for halvings in range(48):
        fine, coarse = _rules(function, low, high, scale[owner])
        if size is None:
            size = np.bincount(owner, np.abs(fine))
        split = np.abs(fine - coarse) > 1e-11 * size[owner]
        if halvings == 47 or len(low) > max(first, 4_000 + 60 * len(scale)):  # φ too fine or too noisy to resolve
            split[:] = False
        total += np.bincount(owner[~split], fine[~split], minlength=len(scale))
        if not split.any():
            break
        low, high, owner = low[split], high[split], owner[split]
        middle = (low + high) / 2
        low, high, owner = np.append(low, middle), np.append(middle, high), np.append(owner, owner)
    return np.where(_grows(function, scale, total), -np.inf, total)


def _grows(function: Callable[[Any], Any], scale: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Whether the integrand still matters at the last panel and does not decay there: no power of ξ does that."""
    xi = np.array([[-12.0, -13.0, -14.0], [12.0, 13.0, 14.0]])
    values = np.asarray(function((scale[:, None, None] * xi).ravel()), dtype=np.float64)
    sizes = np.abs(values).reshape(-1, 2, 3) * np.exp(-xi * xi / 2)
    slow = (sizes[..., 1:] > 0.05 * sizes[..., :-1]) & (sizes[..., :-1] > 0)
    return (slow.all(axis=2) & (sizes[..., 2] > 1e-9 * np.abs(total)[:, None])).any(axis=1)


def _moment(act: Activation, function: Callable[[Any], Any], q: np.ndarray, strict: bool = False) -> np.ndarray:
    """Return E function(√q ξ) in the shape of `q`; NaN is an error, overflow is inf, and too fast growth is either."""
    scale = np.sqrt(q).ravel()
    with np.errstate(all="ignore"):
        parts = [_gaussian_mean(function, scale[i : i + 512], act.kinks) for i in range(0, len(scale), 512)]
    result = np.concatenate([np.zeros(0), *parts]).reshape(q.shape)
    if np.isnan(result).any() or (strict and np.isneginf(result).any()):
        raise ValueError(
            f"activation {act.name} or its derivative is NaN at a finite number or grows too fast; "
            "theory needs both defined for all numbers, and growth like a power at most"
        )
    return np.where(np.isneginf(result), np.inf, result)


def _check_no_jump(act: Activation, q: float) -> None:
    """Raise if φ jumps within 8 standard deviations: halve the steps in which φ changes most until they are points."""
    x = math.sqrt(q) * np.linspace(-8.0, 8.0, 4001)
    y = np.asarray(act(x), dtype=np.float64)
    change = np.abs(np.diff(y))
    most = np.argsort(np.where(np.isfinite(change), change, 0.0))[-8:]
    low, high, at_low, at_high = x[most], x[most + 1], y[most], y[most + 1]
    for _ in range(120):
        jump = np.abs(at_high - at_low) > 1e-6 * np.abs(y).max()
        if not jump.any():
            return
        middle = low + (high - low) / 2
        at_middle = np.asarray(act(middle), dtype=np.float64)
        left = np.abs(at_middle - at_low) > np.abs(at_middle - at_high)
        low, high = np.where(left, low, middle), np.where(left, middle, high)
        at_low, at_high = np.where(left, at_low, at_middle), np.where(left, at_middle, at_high)
    at = f"{low[jump][0]:.4g}"
    raise ValueError(f"activation {act.name} jumps at {at}: its slope is infinite there, and so is E φ′²")


def _square_mean(act: Activation, q: Any, strict: bool = False) -> np.ndarray:
    return _moment(act, lambda x: act(x) ** 2, np.asarray(q, dtype=np.float64), strict)


def _derivative_square_mean(act: Activation, q: Any, strict: bool = False) -> np.ndarray:
    return _moment(act, lambda x: act.derivative(x) ** 2, np.asarray(q, dtype=np.float64), strict)


def _checked_q(q: Any) -> np.ndarray:
    try:
        array = np.asarray(q)
        real = array.dtype.kind in "iuf"
    except ValueError:  # ragged
        real = False
    if not real:
        hint = "; q comes first, the activation after it" if isinstance(q, str) or callable(q) else ""
        raise TypeError(f"q must be a real number or an array of them, got {q!r}{hint}")
    bad = array[~(np.isfinite(array) & (array >= 0))]
    if bad.size:
        raise ValueError(f"q is a second moment: it must be finite and at least 0, got {bad.flat[0]:g}")
    return array.astype(np.float64)


def _checked_sigmas(sigma_w: Any, sigma_b: Any) -> tuple[float, float]:
    sigmas = _checks.real(sigma_w, "sigma_w", low=0.0), _checks.real(sigma_b, "sigma_b", low=0.0)
    for name, sigma in zip(("sigma_w", "sigma_b"), sigmas, strict=True):
        if sigma > 1e50:
            raise ValueError(f"{name} must be at most 1e50, so that its square is a number, got {sigma:g}")
    return sigmas


def _like(result: np.ndarray) -> Any:
    return float(result) if result.ndim == 0 else result


def second_moment(q: Any, activation: Any) -> Any:
    """Return E φ(√q ξ)², the mean square of the activations under pre-activations N(0, q).

    Parameters
    ----------
    q : float or array of float
        Second moments of the pre-activations, finite and at least 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.

    Returns
    -------
    float or ndarray
        In the shape of `q`; inf where φ² overflows.

    Raises
    ------
    TypeError, ValueError
        If `activation` is not one or grows faster than any power, or `q` is negative or not finite.

    Examples
    --------
    >>> round(second_moment(3.0, "relu"), 6)
    1.5
    """
    act, q = activations.get(activation), _checked_q(q)
    return _like(_square_mean(act, q, strict=True))


def first_moment(q: Any, activation: Any) -> Any:
    """Return E φ(√q ξ), the mean of the activations under pre-activations N(0, q).

    Parameters
    ----------
    q : float or array of float
        Second moments of the pre-activations, finite and at least 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.

    Returns
    -------
    float or ndarray
        In the shape of `q`.

    Raises
    ------
    TypeError, ValueError
        If `activation` is not one or grows faster than any power, or `q` is negative or not finite.

    Examples
    --------
    >>> round(first_moment(2 * math.pi, "relu"), 6)
    1.0
    """
    act, q = activations.get(activation), _checked_q(q)
    return _like(_moment(act, act, q, strict=True))


def derivative_second_moment(q: Any, activation: Any) -> Any:
    """Return E φ′(√q ξ)², the mean square of the slope under pre-activations N(0, q).

    Parameters
    ----------
    q : float or array of float
        Second moments of the pre-activations, finite and at least 0. At q = 0 this is φ′(0)² with φ′(0) as autograd
        has it; the limit q → 0 of a kinked φ differs.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.

    Returns
    -------
    float or ndarray
        In the shape of `q`.

    Raises
    ------
    TypeError, ValueError
        If `activation` is not one, jumps or grows faster than any power, or `q` is negative or not finite.

    Examples
    --------
    >>> round(derivative_second_moment(3.0, "relu"), 6)
    0.5
    """
    act, q = activations.get(activation), _checked_q(q)
    if q.size and q.max() > 0:
        _check_no_jump(act, float(q.max()))
    return _like(_derivative_square_mean(act, q, strict=True))


def variance_map(q: Any, activation: Any, *, sigma_w: float, sigma_b: float = 0.0) -> Any:
    """Return the next layer's second moment, σ_w² E φ(√q ξ)² + σ_b².

    Parameters
    ----------
    q : float or array of float
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
    act, q = activations.get(activation), _checked_q(q)
    sigma_w, sigma_b = _checked_sigmas(sigma_w, sigma_b)
    return _like(_map(q, act, sigma_w, sigma_b, strict=True))


def _map(q: Any, act: Activation, sigma_w: float, sigma_b: float, strict: bool = False) -> np.ndarray:
    with np.errstate(over="ignore"):
        return sigma_w**2 * _square_mean(act, q, strict) + sigma_b**2


@lru_cache(maxsize=128)
def _table(act: Activation) -> tuple[np.ndarray, np.ndarray]:
    """Return second moments over all scales and E φ² at each: what every search of a fixed point starts from."""
    q = np.geomspace(_TINY, 1 / _TINY, 289)
    return q, _square_mean(act, q)


@lru_cache(maxsize=128)
def _derivative_table(act: Activation) -> np.ndarray:
    return _derivative_square_mean(act, _table(act)[0])


@lru_cache(maxsize=128)
def _limit_ratios(act: Activation) -> tuple[float, float]:
    """Return lim E φ(√q ξ)²/q for q → 0 and q → ∞; where φ is linear at both sides, that is lim E φ′² too."""
    q = _TINY * np.array([1.0, 4.0, 16.0])
    near = _square_mean(act, q) / q
    below = max(float(near @ [8 / 3, -2.0, 1 / 3]), 0.0)  # no term in √q (SELU) or q (tanh) is left
    if near[0] > 1.5 * near[2]:  # φ is steeper than linear at 0
        below = math.inf
    above, before = (float(_square_mean(act, one) / one) for one in (_HUGE, 1 / _TINY))
    if above > 1e3 * before or above < 1e-3 * before:
        above = math.inf if above > before else 0.0
    return below, above


def _limit_chi(act: Activation, sigma_w: float, q: float) -> float:
    """Return σ_w² lim E φ²/q at q = 0 or q = ∞."""
    return sigma_w**2 * _limit_ratios(act)[0 if q == 0 else 1] if sigma_w > 0 else 0.0


def _at_zero(act: Activation, sigma_w: float, sigma_b: float) -> float:
    """Return the map at q = 0; what is below 1e-30 is taken as the rounding of 0."""
    value = float(_map(0.0, act, sigma_w, sigma_b))
    return value if value > 1e-30 else 0.0


def _dips(at: Callable[[float], float], x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the extrema, and the values there, where a sampled function turns back shortly before it reaches 0."""
    from scipy.optimize import minimize_scalar

    size, side = np.abs(values), np.sign(values)
    left, here, right = size[:-2], size[1:-1], size[2:]
    bend = left + right - 2 * here
    reaches = bend > 2 * here + 4 * _SAME  # a parabola through three samples falls at most bend/8 below the middle one
    turns = (here <= left) & (here <= right) & (side[:-2] == side[2:]) & (side[1:-1] * side[2:] >= 0)
    found = []
    for i in np.flatnonzero(turns & reaches):
        best = minimize_scalar(
            lambda u, up=side[i]: up * at(u), bounds=(x[i], x[i + 2]), method="bounded", options={"xatol": 1e-9}
        )
        found.append((best.x, side[i] * best.fun))
    extrema = np.array(found).reshape(-1, 2)
    return extrema[:, 0], extrema[:, 1]


def _roots(function: Callable[[float], float], q: np.ndarray, values: np.ndarray) -> tuple[list[float], list[int]]:
    """Return the zeros of a function sampled at `q`, and its signs before, between and after them.

    A sample within `_SAME` of 0 has no sign of its own; where it is an extremum it is a double zero.
    """
    from scipy.optimize import brentq

    def at(log_q: float) -> float:
        return function(math.exp(log_q))

    values = np.minimum(values, 1e9)
    dips, depths = _dips(at, np.log(q), values)
    x, values = np.append(np.log(q), dips), np.append(values, depths)
    order = np.argsort(x)
    x, values = x[order], values[order]
    signed = np.abs(values) > _SAME
    touching = [float(u) for u, depth in zip(dips, depths, strict=True) if abs(depth) <= _SAME]
    x, signs = x[signed], np.sign(values[signed]).astype(int)
    zeros = [(u, int(signs[min(np.searchsorted(x, u), len(x) - 1)])) for u in touching]
    for i in np.flatnonzero(np.diff(signs)):
        zeros.append((brentq(at, x[i], x[i + 1], xtol=1e-14, rtol=1e-14), int(signs[i + 1])))
    zeros.sort()
    return [math.exp(u) for u, _ in zeros], [*signs[:1].tolist(), *(after for _, after in zeros)] or [0]


def _excess(q: Any, act: Activation, sigma_w: float, sigma_b: float) -> Any:
    """Return q'/q − 1: positive where the map raises q."""
    with np.errstate(over="ignore"):
        return _map(q, act, sigma_w, sigma_b) / q - 1


def _scan(act: Activation, sigma_w: float, sigma_b: float) -> tuple[list[float], list[int]]:
    """Return the positive fixed points, and the sign of q' − q before, between and after them."""
    q, mean = _table(act)
    with np.errstate(over="ignore"):
        values = sigma_w**2 * mean / q + sigma_b**2 / q - 1
    low, far = min(_at_zero(act, sigma_w, sigma_b) or _TINY, _TINY) / 10, _HUGE * max(1.0, sigma_b**2)
    ends = _excess(np.array([low, far]), act, sigma_w, sigma_b)
    q, values = np.array([low, *q, far]), np.array([ends[0], *values, ends[1]])
    return _roots(lambda one: float(_excess(one, act, sigma_w, sigma_b)), q, values)


def _slope(q: float, act: Activation, sigma_w: float) -> float:
    """Return dq'/dq without φ′: the q-derivative of the density N(0, q) is (x²/q − 1)/(2q) times it."""
    origin = np.square(act(np.zeros(1)))[0]
    mean = _moment(act, lambda x: (act(x) ** 2 - origin) * (x * x / q - 1), np.asarray(q))
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
    act = activations.get(activation)
    sigma_w, sigma_b = _checked_sigmas(sigma_w, sigma_b)
    roots, signs = _scan(act, sigma_w, sigma_b)
    if signs == [0]:
        return [FixedPoint(1.0, 1.0, False, continuum=True)]
    points = [
        FixedPoint(q, _slope(q, act, sigma_w), before > 0 > after)
        for q, (before, after) in zip(roots, pairwise(signs), strict=True)
    ]
    if _at_zero(act, sigma_w, sigma_b) == 0:
        points.insert(0, FixedPoint(0.0, _limit_chi(act, sigma_w, 0.0), signs[0] < 0))
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
    act = activations.get(activation)
    sigma_w, sigma_b = _checked_sigmas(sigma_w, sigma_b)
    roots, signs = _scan(act, sigma_w, sigma_b)
    if signs == [0]:
        return 1.0
    q, mean = _table(act)
    end = _ahead(1.0, roots, signs)
    way = np.minimum(mean, 1e99)[(q >= min(end, 1.0) / 1.3) & (q <= max(end, 1.0) * 1.3)]
    rising = bool(np.all(np.diff(way) >= -1e-12 * way[1:]))
    return end if rising else _ahead(_far_down(act, sigma_w, sigma_b), roots, signs)


def _ahead(q: float, roots: list[float], signs: list[int]) -> float:
    """Return the fixed point towards which the map moves q: one of the roots, 0 or inf."""
    for root in roots:
        if abs(root - q) <= _SAME * root:
            return root
    here = sum(root < q for root in roots)
    ends = [0.0, *roots, math.inf]
    return ends[here + 1] if signs[here] > 0 else ends[here]


def _far_down(act: Activation, sigma_w: float, sigma_b: float) -> float:
    """Return q after 300 layers. A map that falls somewhere may step over a fixed point, so signs at q = 1 mislead."""
    q = 1.0
    for _ in range(300):
        q = min(float(_map(q, act, sigma_w, sigma_b)), _HUGE)
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
    act = activations.get(activation)
    sigma_w, sigma_b = _checked_sigmas(sigma_w, sigma_b)
    return _chi(fixed_point(act, sigma_w=sigma_w, sigma_b=sigma_b), act, sigma_w)


def _chi(q: float, act: Activation, sigma_w: float) -> float:
    if q == 0 or math.isinf(q):
        return _limit_chi(act, sigma_w, q)
    _check_no_jump(act, q)
    return sigma_w**2 * float(_derivative_square_mean(act, q))


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
    act = activations.get(activation)
    _, sigma_b = _checked_sigmas(1.0, sigma_b)
    for sigma_w in sorted(_critical_candidates(act, sigma_b)):
        if abs(chi(act, sigma_w=sigma_w, sigma_b=sigma_b) - 1) < 1e-7:
            return sigma_w
    raise ValueError(_no_critical(act, sigma_b))


def _critical_candidates(act: Activation, sigma_b: float) -> list[float]:
    q, mean = _table(act)
    ratios = [ratio for ratio in _limit_ratios(act) if 0 < ratio < math.inf]
    with np.errstate(all="ignore"):
        values = (q - sigma_b**2) * _derivative_table(act) / mean - 1
    valid = (q > sigma_b**2) & np.isfinite(values) & (mean > 0)

    def unbalance(one: float) -> float:
        mean = float(_square_mean(act, one))
        return (one - sigma_b**2) * float(_derivative_square_mean(act, one)) / mean - 1 if mean > 0 else -1.0

    low = sigma_b**2 * (1 + 1e-9) if sigma_b > 0 else _TINY / 10
    roots, _ = _roots(unbalance, np.append(low, q[valid]), np.append(unbalance(low), values[valid]))
    means = [(root, float(_square_mean(act, root))) for root in roots]
    return [ratio**-0.5 for ratio in ratios] + [math.sqrt((q - sigma_b**2) / mean) for q, mean in means if mean > 0]


def _no_critical(act: Activation, sigma_b: float) -> str:
    """Say where χ jumps over 1, or that it stays on one side."""

    def at(sigma_w: float) -> float:
        return chi(act, sigma_w=sigma_w, sigma_b=sigma_b)

    low, high = 1e-3, 1e3
    start = f"no sigma_w gives {act.name} with sigma_b={sigma_b:g} chi = 1 at the fixed point reached from q = 1: "
    if not at(low) < 1 < at(high):
        return start + f"chi is {at(low):.3g} at sigma_w = {low:g} and {at(high):.3g} at {high:g}"
    while high / low > 1 + 1e-5:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if at(middle) < 1 else (low, middle)
    return start + f"chi jumps from {at(low):.3g} to {at(high):.3g} at sigma_w = {low:.4f}; look at fixed_points there"


@lru_cache(maxsize=1)
def _hermite() -> tuple[np.ndarray, np.ndarray]:
    """Return nodes ξ (nodes,) and the rows w·He_k(ξ)/√k!, k < 1024, that project a function on Hermite polynomials."""
    half = np.diff(_EDGES)[:, None] / 2
    xi = ((_EDGES[1:] + _EDGES[:-1])[:, None] / 2 + half * _FINE[0]).ravel()
    rows = np.zeros((1024, len(xi)))
    rows[0] = (half * _FINE[1]).ravel() * np.exp(-xi * xi / 2) / math.sqrt(2 * math.pi)
    rows[1] = xi * rows[0]
    for k in range(1, 1023):
        rows[k + 1] = (xi * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1)
    return xi, rows


@lru_cache(maxsize=256)
def _kernel_series(act: Activation, q: float) -> np.ndarray:
    """Return p_k ≥ 0 with E φ(u)φ(v) = Σ p_k c^k for u, v ~ N(0, q) of correlation c.

    p_k is the square of φ's k-th Hermite coefficient. What the first 1024 leave out of c = 1 and c = −1 is put into
    two more, one even and one odd, so that both ends are exact.
    """
    xi, rows = _hermite()
    phi = np.asarray(act(math.sqrt(q) * xi), dtype=np.float64)
    squares = (rows @ phi) ** 2
    whole, mirrored = float(rows[0] @ phi**2), float(rows[0] @ (phi * phi[::-1]))  # ξ is symmetric
    even, odd = (whole + mirrored) / 2, (whole - mirrored) / 2
    return np.append(squares, np.maximum([even - squares[::2].sum(), odd - squares[1::2].sum()], 0.0))


def correlation_map(c: Any, q: float, activation: Any, *, sigma_w: float, sigma_b: float = 0.0) -> Any:
    """Return the next layer's correlation of two inputs, (σ_w² E φ(u)φ(v) + σ_b²)/q', q' that of `variance_map`.

    Parameters
    ----------
    c : float or array of float
        Correlation E[uv]/q of the two pre-activations u and v, in [−1, 1].
    q : float
        Second moment of both, finite and greater than 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.
    sigma_w, sigma_b : float
        As in `variance_map`.

    Returns
    -------
    float or ndarray
        In the shape of `c`. Absolute error below 1e-9 for smooth φ at √q ≤ 4; near |c| = 1 about 1e-6 for a kink at
        0, and 1e-4 for a kink elsewhere or for saturation at √q = 20.

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
    act = activations.get(activation)
    q = _checks.real(q, "q", low=0.0, strict=True)
    sigma_w, sigma_b = _checked_sigmas(sigma_w, sigma_b)
    _square_mean(act, q, strict=True)  # raises if φ grows too fast
    c = np.asarray(c)
    if c.dtype.kind not in "iuf":
        raise TypeError(f"c must be a real number or an array of them, got {c!r}")
    if not np.all(np.abs(c) <= 1):
        raise ValueError(f"c is a correlation: it must be in [-1, 1], got {c[~(np.abs(c) <= 1)].flat[0]:g}")
    series = sigma_w**2 * _kernel_series(act, q)
    total = series.sum() + sigma_b**2
    if total == 0:
        raise ValueError("the next layer's second moment is 0, so its correlation is not defined; raise sigma_w")
    return _like((np.polynomial.polynomial.polyval(c, series) + sigma_b**2) / total)


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
    act = activations.get(activation)
    sigma_w, sigma_b = _checked_sigmas(sigma_w, sigma_b)
    q = fixed_point(act, sigma_w=sigma_w, sigma_b=sigma_b)
    rate = _chi(q, act, sigma_w)
    if math.isinf(q) or abs(rate - 1) < _SAME or (q == 0 and rate > 1):
        return math.inf
    if rate > 1 and q > 0:
        rate = _stable_correlation_slope(_kernel_series(act, q), sigma_b**2 / q, rate)
    return -1 / math.log(rate) if rate > 0 else 0.0


def _stable_correlation_slope(series: np.ndarray, offset: float, chi_one: float) -> float:
    """Return C′(c*) at the fixed point c* < 1 of C(c) ∝ Σ p_k c^k, plus the offset; C(1) = 1 and C′(1) = χ > 1.

    C is convex, so (1 − C(c))/(1 − c) rises from 1 − C(0) to χ and is 1 at c* alone.
    """
    from scipy.optimize import brentq

    series = series * ((1 - offset) / series.sum())
    known = len(series) - 2
    k = np.append(np.arange(known), np.geomspace(known, 1e8 * known, 256))
    tail = k[known:] ** -1.5  # a kink's p_k fall like k^(-5/2), and the steps are as wide as k
    tail[0] /= 2
    series = np.append(series[:known], series[known:].sum() * tail / tail.sum())

    def chord(c: float) -> float:
        return chi_one if c == 1 else float(series @ -np.expm1(k * math.log(c))) / (1 - c)

    start = float(series[0]) + offset
    c_star = brentq(lambda c: chord(c) - 1, 1e-300, 1.0, xtol=1e-15) if start > 1e-14 else 0.0
    return float((k * series)[1:] @ c_star ** (k[1:] - 1))


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
    act = activations.get(activation)
    mean = float(_square_mean(act, 1.0, strict=True))
    if not 0 < mean < math.inf:
        raise ValueError(f"activation {act.name} has E φ(ξ)² = {mean:g}; a gain needs it positive and finite")
    return mean**-0.5
