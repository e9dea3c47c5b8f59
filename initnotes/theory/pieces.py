"""The smooth pieces of a function of which only values are known: where it has kinks and jumps, and its slope.

What lives here knows nothing of Gaussians. A polynomial of degree 15 through each piece gives the slope, and no piece
reaches over a kink.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import legendre

from .panels import COARSE_NODES, FINE_NODES

__all__ = ["Pieces"]

_EPS = np.finfo(np.float64).eps
_MOST = 512  # pieces that are halved at a time, those nearest to 0
_LEVELS = 64  # halvings
_DEEP = 2.0**-12  # what had to be cut this fine has a kink, a jump or a steep step

_COEFFICIENTS = np.linalg.inv(legendre.legvander(FINE_NODES, 15))  # (degree, node)
_DERIVATIVES = [legendre.legder(np.eye(16), m=order) for order in range(3)]
_ENDS = [legendre.legvander(np.array([-1.0, 1.0]), 15 - order) @ d for order, d in enumerate(_DERIVATIVES)]
_POWERS = np.array([np.pad(legendre.leg2poly(row[: k + 1]), (0, 14 - k)) for k, row in enumerate(np.eye(15))]).T


def _check_matrix() -> np.ndarray:
    """Return what takes values at the fine nodes to their polynomial at the coarse ones, by the barycentric formula."""
    gaps = FINE_NODES[:, None] - FINE_NODES + np.eye(16)
    ratios = 1 / gaps.prod(axis=1) / (COARSE_NODES[:, None] - FINE_NODES)
    return np.asarray(ratios / ratios.sum(axis=1, keepdims=True))


_CHECK = _check_matrix()


class Pieces:
    """φ cut into pieces on which it is smooth, from −reach to reach.

    Attributes
    ----------
    reach : float
    kinks : tuple of float
        Where a piece does not go on smoothly into the next one: value, slope or curvature jumps.
    jumps : tuple of float
        Those where the value does.
    """

    def __init__(self, phi: Callable[[Any], Any], reach: float, also: tuple[float, ...] = ()) -> None:
        self.reach = reach
        with np.errstate(all="ignore"):
            first = np.unique(np.concatenate([_first_edges(phi, reach), np.clip(also, -reach, reach)]))
            rough = _cut(phi, first, 16 * _EPS)
            found = _located(phi, _clusters(rough.low, rough.high, first))
            low, high, values, sizes, smooth = _cut(phi, np.unique(np.append(first, found)), 256 * _EPS)
            coefficients = _COEFFICIENTS @ values.T  # (degree, piece)
            self.kinks, self.jumps = _breaks(low, high, coefficients, np.where(smooth, sizes, np.inf), found)
            self._edges, self._smooth = np.append(low, high[-1]), smooth
            self._slopes = _POWERS @ (_DERIVATIVES[1] @ coefficients) * (2 / (high - low))  # (power, piece)
        self._phi = phi

    def derivative(self, x: np.ndarray) -> np.ndarray:
        """Return φ′, at a kink that from the left; in a piece too wild for a polynomial, a central difference."""
        piece = np.clip(np.searchsorted(self._edges, x) - 1, 0, len(self._edges) - 2)
        low, high = self._edges[piece], self._edges[piece + 1]
        t = (2 * x - low - high) / (high - low)
        slope = self._slopes[14].take(piece)
        for power in self._slopes[13::-1]:
            slope *= t
            slope += power.take(piece)
        wild = ~self._smooth[piece]
        if wild.any():
            step = 6e-6 * np.maximum(1.0, np.sqrt(np.abs(x[wild])))
            above, below = x[wild] + step, x[wild] - step
            slope[wild] = (_values(self._phi, above) - _values(self._phi, below)) / (above - below)
        return np.asarray(slope)


def _values(phi: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    return np.asarray(phi(x.ravel()), dtype=np.float64).reshape(x.shape)


def _first_edges(phi: Callable[[Any], Any], reach: float) -> np.ndarray:
    """Return 0 and powers of 2: out to `reach`, and in towards 0 for as long as φ falls faster than its argument.

    There a narrow piece has the better digits (x³); where φ(0) is not 0, a wide one has (softplus).
    """
    inward = 0.5 ** np.arange(41)
    sizes = np.abs(_values(phi, np.stack([inward, -inward]))).max(axis=0) + np.abs(_values(phi, np.zeros(1)))
    ratios = sizes[1:] / sizes[:-1]
    stop = int(np.argmax(np.append(~(ratios < 0.375), True)))
    outward = 2.0 ** np.arange(-stop, np.ceil(np.log2(reach)))
    half = np.append(outward, reach)
    return np.concatenate([-half[::-1], [0.0], half])


class _Level(NamedTuple):
    """Pieces of one cut: their ends, the values at 16 nodes, the largest |φ| from 0 out to there, and the fit."""

    low: np.ndarray
    high: np.ndarray
    values: np.ndarray
    sizes: np.ndarray
    fits: np.ndarray

    def kept(self, which: np.ndarray) -> "_Level":
        """Return the pieces at these places."""
        return _Level(*(part[which] for part in self))


def _cut(phi: Callable[[Any], Any], edges: np.ndarray, grain: float) -> _Level:
    """Halve pieces until a polynomial fits each, and return them in order.

    One that is as narrow as numbers are, or one of too many, is kept though none fits.
    """
    level = _fitted(phi, edges[:-1], edges[1:], grain, None)
    order = np.argsort(np.maximum(np.abs(level.low), np.abs(level.high)))
    inner = np.maximum(np.abs(level.low), np.abs(level.high))[order], np.fmax.accumulate(level.sizes[order])
    level, done = _fitted(phi, edges[:-1], edges[1:], grain, inner), []
    for halvings in range(_LEVELS + 1):
        outer = np.maximum(np.abs(level.low), np.abs(level.high))
        end = level.fits | (level.high - level.low <= 4 * _EPS * outer) | (halvings == _LEVELS)
        if np.count_nonzero(~end) > _MOST:
            end |= outer > np.sort(outer[~end])[_MOST]
        done.append(level.kept(end))
        if end.all():
            break
        low, high = level.low[~end], level.high[~end]
        middle = (low + high) / 2
        level = _fitted(phi, np.append(low, middle), np.append(middle, high), grain, inner)
    whole = _Level(*(np.concatenate(parts) for parts in zip(*done, strict=True)))
    return whole.kept(np.argsort(whole.low, kind="stable"))


def _fitted(
    phi: Callable[[Any], Any],
    low: np.ndarray,
    high: np.ndarray,
    grain: float,
    inner: tuple[np.ndarray, np.ndarray] | None,
) -> _Level:
    """Return pieces with their polynomials' values, `inner` being radii and the largest |φ| within them.

    A polynomial fits if it misses φ by no more than `grain` of that size, that is by rounding, or by 1e-13 of how φ
    varies within the piece; there is nothing to fit where φ is not finite.
    """
    middle, half = (low + high)[:, None] / 2, (high - low)[:, None] / 2
    values, checks = _values(phi, middle + half * FINE_NODES), _values(phi, middle + half * COARSE_NODES)
    together = np.concatenate([values, checks], axis=1)
    sizes = np.abs(together).max(axis=1)
    if inner is not None:
        radii = np.maximum(np.abs(low), np.abs(high))
        sizes = np.fmax(sizes, inner[1][np.clip(np.searchsorted(inner[0], radii, side="right") - 1, 0, None)])
    spread = together.max(axis=1) - together.min(axis=1)
    missed = np.abs(values @ _CHECK.T - checks).max(axis=1)
    fits = (missed <= np.maximum(grain * sizes, 1e-13 * spread)) | ~np.isfinite(together).any(axis=1)
    return _Level(low, high, values, sizes, fits)


def _clusters(low: np.ndarray, high: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return both ends of the narrowest pieces of each run of pieces that were cut fine: a kink is between them."""
    width = high - low
    origin = np.searchsorted(first, (low + high) / 2) - 1
    deep = width < _DEEP * (first[origin + 1] - first[origin])
    starts = np.flatnonzero(deep & ~np.append(False, deep[:-1]))
    stops = np.flatnonzero(deep & ~np.append(deep[1:], False)) + 1
    found = []
    for start, stop in zip(starts, stops, strict=True):
        finest = np.flatnonzero(width[start:stop] <= width[start:stop].min()) + start
        found.append((low[finest[0]], high[finest[-1]]))
    return np.array(found).reshape(-1, 2)


def _located(phi: Callable[[Any], Any], ends: np.ndarray) -> np.ndarray:
    """Return where the lines cross that φ follows on either side of two ends, or else the middle (at a jump)."""
    step = 256 * (ends[:, 1] - ends[:, 0])
    places = ends[:, [0, 0, 1, 1]] + step[:, None] * [-2, -1, 1, 2]
    values, middle = _values(phi, places), ends.mean(axis=1)
    left, right = (np.diff(values[:, side])[:, 0] / np.diff(places[:, side])[:, 0] for side in ([0, 1], [2, 3]))
    apart = (values[:, 2] - right * (places[:, 2] - middle)) - (values[:, 1] - left * (places[:, 1] - middle))
    shift = np.nan_to_num(apart / (left - right), nan=np.inf)
    return np.where(np.abs(shift) <= step / 256, middle + shift, middle)


def _breaks(
    low: np.ndarray, high: np.ndarray, coefficients: np.ndarray, sizes: np.ndarray, found: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the edges at which value, slope or curvature jumps, with those `found`; and where the value does."""
    half = (high - low) / 2
    near = np.minimum(half[:-1], half[1:])
    size = np.maximum(sizes[:-1], sizes[1:])
    broken = []
    for order, tolerance in enumerate((1e-8, 1e-9, 1e-7)):
        left, right = (_ENDS[order] @ coefficients) / half**order
        broken.append(np.abs(right[:-1] - left[1:]) * near**order > tolerance * size)
    kinks = np.union1d(high[:-1][np.logical_or.reduce(broken)], found)
    return tuple(kinks.tolist()), tuple(high[:-1][broken[0]].tolist())
