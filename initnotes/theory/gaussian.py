"""Expectations of φ and φ′ under a Gaussian, for any φ that is smooth but for kinks and jumps.

What lives here knows nothing of layers. Every expectation is a Gauss–Legendre sum over panels in ξ ~ N(0, 1) that
shrink towards 0, where a saturated φ(√q ξ) changes, and are halved wherever a Gauss–Lobatto sum disagrees: jumps,
kinks and transitions elsewhere are found, not assumed. Relative errors stay below 1e-9 for q up to 1e12, if φ grows
no faster than a power.
"""

import math
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from .. import activations
from ..activations import Activation
from . import arguments
from .panels import COARSE_NODES, COARSE_WEIGHTS, FINE_NODES, FINE_WEIGHTS
from .pieces import Pieces

__all__ = ["HUGE", "TINY", "Means", "derivative_second_moment", "first_moment", "of", "rule", "second_moment"]

TINY, HUGE = 1e-12, 1e24  # second moments that stand for the limits 0 and ∞

_NODES = np.concatenate([FINE_NODES, COARSE_NODES])
_HALF_EDGES = np.concatenate([0.5 ** np.arange(30.0, 0.0, -1.0), np.arange(1.0, 14.5, 0.5)])
_EDGES = np.concatenate([-_HALF_EDGES[::-1], [0.0], _HALF_EDGES])  # beyond 14 lies 1e-44 of the mass

Function = Callable[[Any], Any]


def _rules(function: Function, low: np.ndarray, high: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ∫ function(scale·ξ) N(ξ) dξ over each panel by the fine and by the coarse rule, (panels,) each."""
    half = (high - low)[:, None] / 2
    xi = (low + high)[:, None] / 2 + half * _NODES  # (panels, nodes)
    values = np.asarray(function((scale[:, None] * xi).ravel()), dtype=np.float64).reshape(xi.shape)
    values = values * (np.exp(-xi * xi / 2) * (half / math.sqrt(2 * math.pi)))
    return values[:, :16] @ FINE_WEIGHTS, values[:, 16:] @ COARSE_WEIGHTS


@lru_cache(maxsize=8)
def rule(kinks: tuple[float, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes ξ and the weights with which a sum over them is E f(ξ), for any f smooth but for kinks.

    The nodes are those of Gauss's rule on panels that end at ± the kinks, which are greater than 0.
    """
    edges = np.unique([*_EDGES, *kinks, *np.negative(kinks)])
    half = np.diff(edges)[:, None] / 2
    xi = ((edges[1:] + edges[:-1])[:, None] / 2 + half * FINE_NODES).ravel()
    return xi, (half * FINE_WEIGHTS).ravel() * np.exp(-xi * xi / 2) / math.sqrt(2 * math.pi)


def _graded(scale: float) -> np.ndarray:
    """Return edges from −14 to 14 that shrink towards 0 as far as φ(scale·ξ) may change on a scale of 1."""
    finest = min(max(math.ceil(math.log2(max(scale, 1.0))) + 3, 3), 30)
    half = np.concatenate([0.5 ** np.arange(finest, 0.0, -1.0), np.arange(1.0, 15.0)])
    return np.concatenate([-half[::-1], [0.0], half])


def _panels(scale: np.ndarray, kinks: tuple[float, ...]) -> np.ndarray:
    """Return the edges of the first panels, (len(scale), edges): the graded ones and one at each kink."""
    graded = _graded(float(scale.max(initial=1.0)))
    edges = np.broadcast_to(graded, (len(scale), len(graded)))
    if any(kinks):
        own = np.array(kinks) / np.maximum(scale, 1e-300)[:, None]
        edges = np.sort(np.concatenate([edges, np.clip(own, -14, 14)], axis=1), axis=1)
    return edges


def _gaussian_mean(function: Function, scale: np.ndarray, kinks: tuple[float, ...]) -> np.ndarray:
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


def _grows(function: Function, scale: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Whether the integrand still matters at the last panel and does not decay there: no power of ξ does that."""
    xi = np.array([[-12.0, -13.0, -14.0], [12.0, 13.0, 14.0]])
    values = np.asarray(function((scale[:, None, None] * xi).ravel()), dtype=np.float64)
    sizes = np.abs(values).reshape(-1, 2, 3) * np.exp(-xi * xi / 2)
    slow = (sizes[..., 1:] > 0.05 * sizes[..., :-1]) & (sizes[..., :-1] > 0)
    return (slow.all(axis=2) & (sizes[..., 2] > 1e-9 * np.abs(total)[:, None])).any(axis=1)


class Means:
    """Expectations of one activation, which find what they need of φ once.

    It lives as long as a call, for a callable may compute something else next time; of the closed forms, which may
    not, `of` keeps it.
    """

    def __init__(self, act: Activation) -> None:
        self.act = act
        self._found: Pieces | None = None

    def mean(self, function: Function, q: Any, *, strict: bool = False) -> np.ndarray:
        """Return E function(√q ξ) in the shape of `q`; NaN is an error, overflow is inf, and fast growth is either."""
        q = np.asarray(q, dtype=np.float64)
        scale = np.sqrt(q).ravel()
        with np.errstate(all="ignore"):
            parts = [_gaussian_mean(function, scale[i : i + 512], self._kinks()) for i in range(0, len(scale), 512)]
        result = np.concatenate([np.zeros(0), *parts]).reshape(q.shape)
        if np.isnan(result).any() or (strict and np.isneginf(result).any()):
            raise ValueError(
                f"activation {self.act.name} or its derivative is NaN at a finite number or grows too fast; "
                "theory needs both defined for all numbers, and growth like a power at most"
            )
        return np.where(np.isneginf(result), np.inf, result)

    def square(self, q: Any, *, strict: bool = False) -> np.ndarray:
        """Return E φ²."""
        return self.mean(lambda x: self.act(x) ** 2, q, strict=strict)

    def slope_square(self, q: Any, *, strict: bool = False) -> np.ndarray:
        """Return E φ′²: inf where φ jumps within 8 standard deviations, or an error if `strict`."""
        q = np.asarray(q, dtype=np.float64)
        if self.act.closed or not q.size:
            return self.mean(lambda x: self.act.derivative(x) ** 2, q, strict=strict)
        pieces = self.pieces(float(q.max()))
        derivative = pieces.derivative if self.act.sampled else self.act.derivative
        nearest = min(pieces.jumps, key=abs, default=math.inf)
        jumps = abs(nearest) < 8 * np.sqrt(q)
        if strict and jumps.any():
            raise ValueError(
                f"activation {self.act.name} jumps at {nearest:.4g}: its slope is infinite there, and so is E φ′²"
            )
        return np.where(jumps, np.inf, self.mean(lambda x: derivative(x) ** 2, q, strict=strict))

    def pieces(self, q: float) -> Pieces:
        """Return the smooth pieces of φ as far out as N(0, q) reaches."""
        reach = max(16.0, 14.5 * math.sqrt(q))
        if self._found is None or self._found.reach < reach:
            self._found = Pieces(self.act.phi, reach, self.act.kinks)
        return self._found

    def kinks(self, q: float) -> tuple[float, ...]:
        """Return the kinks of φ as far out as N(0, q) reaches: those that it names and those that are found."""
        return self.act.kinks if self.act.closed else tuple(sorted({*self.act.kinks, *self.pieces(q).kinks}))

    def reduced_kinks(self, q: float) -> tuple[float, ...]:
        """Return |kink|/√q of the nearest kinks that are not at 0 and that N(0, q) reaches."""
        own = sorted({abs(kink) / math.sqrt(q) for kink in self.kinks(q)} - {0.0})[:64]
        return tuple(kink for kink in own if kink < 14)

    def slopes(self, q: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return nodes ξ, their weights, and φ′(√q ξ)² there, for a q > 0; raise ValueError where φ jumps."""
        self.slope_square(q, strict=True)
        xi, weights = rule(self.reduced_kinks(q))
        derivative = self.pieces(q).derivative if self.act.sampled else self.act.derivative
        return xi, weights, np.asarray(derivative(math.sqrt(q) * xi), dtype=np.float64) ** 2

    def _kinks(self) -> tuple[float, ...]:
        found = () if self._found is None else sorted(self._found.kinks, key=abs)[:64]
        return tuple({*self.act.kinks, *found})

    @cached_property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Second moments over all scales and E φ² at each: what every search of a fixed point starts from."""
        q = np.geomspace(TINY, 1 / TINY, 289)
        return q, self.square(q)

    @cached_property
    def slope_table(self) -> np.ndarray:
        """E φ′² at the second moments of `table`."""
        return self.slope_square(self.table[0])

    @cached_property
    def limit_ratios(self) -> tuple[float, float]:
        """Lim E φ(√q ξ)²/q for q → 0 and q → ∞; where φ is linear at both sides, that is lim E φ′² too."""
        q = TINY * np.array([1.0, 4.0, 16.0])
        near = self.square(q) / q
        below = max(float(near @ [8 / 3, -2.0, 1 / 3]), 0.0)  # no term in √q (SELU) or q (tanh) is left
        if near[0] > 1.5 * near[2]:  # φ is steeper than linear at 0
            below = math.inf
        above, before = (float(self.square(far) / far) for far in (HUGE, 1 / TINY))
        if above > 1e3 * before or above < 1e-3 * before:
            above = math.inf if above > before else 0.0
        return below, above


def of(activation: Any) -> Means:
    """Return the expectations of whatever ``activations.get`` takes."""
    if isinstance(activation, Means):
        return activation
    act = activations.get(activation)
    return _kept(act) if act.closed else Means(act)


@lru_cache(maxsize=128)
def _kept(act: Activation) -> Means:
    return Means(act)


def second_moment(q: Any, activation: Any) -> Any:
    """Return E φ(√q ξ)², the mean square of the activations under pre-activations N(0, q).

    Parameters
    ----------
    q : float, array or tensor
        Second moments of the pre-activations, finite and at least 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes; φ may have kinks and jumps anywhere.

    Returns
    -------
    float or ndarray
        In the shape of `q`; inf where φ² overflows. Relative error below 1e-9.

    Raises
    ------
    TypeError, ValueError
        If `activation` is not one or grows faster than any power, or `q` is negative or not finite.

    Examples
    --------
    >>> round(second_moment(3.0, "relu"), 6)
    1.5
    """
    q = arguments.moments(q)
    return arguments.like(of(activation).square(q, strict=True))


def first_moment(q: Any, activation: Any) -> Any:
    """Return E φ(√q ξ), the mean of the activations under pre-activations N(0, q).

    Parameters
    ----------
    q : float, array or tensor
        Second moments of the pre-activations, finite and at least 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes; φ may have kinks and jumps anywhere.

    Returns
    -------
    float or ndarray
        In the shape of `q`. Error below 1e-9 of the root of `second_moment`.

    Raises
    ------
    TypeError, ValueError
        If `activation` is not one or grows faster than any power, or `q` is negative or not finite.

    Examples
    --------
    >>> round(first_moment(2 * math.pi, "relu"), 6)
    1.0
    """
    q, means = arguments.moments(q), of(activation)
    return arguments.like(means.mean(means.act, q, strict=True))


def derivative_second_moment(q: Any, activation: Any) -> Any:
    """Return E φ′(√q ξ)², the mean square of the slope under pre-activations N(0, q).

    Parameters
    ----------
    q : float, array or tensor
        Second moments of the pre-activations, finite and at least 0. At q = 0 this is φ′(0)², where φ has a kink that
        from the left, as torch has it for ReLU; the limit q → 0 differs.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes. Of a callable only values are used: its kinks are found, and between them
        it is differentiated as a polynomial.

    Returns
    -------
    float or ndarray
        In the shape of `q`. Relative error below 1e-9 if φ′ is known, and below 1e-8 for a callable, at q of
        1e-6 to 1e6.

    Raises
    ------
    TypeError, ValueError
        If `activation` is not one, jumps or grows faster than any power, or `q` is negative or not finite.

    Examples
    --------
    >>> round(derivative_second_moment(3.0, "relu"), 6)
    0.5
    >>> round(derivative_second_moment(3.0, lambda x: np.maximum(x, 0)), 6)
    0.5
    """
    q = arguments.moments(q)
    return arguments.like(of(activation).slope_square(q, strict=True))
