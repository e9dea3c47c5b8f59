"""Whether what a student's function returned is what a known mistake returns, by the values themselves.

What lives here compares values, and decides no points; `hints` runs the reference and the mistakes that give them.

A value that crossed is compared part by part. A part is *telling* where the mistake gives another value than the
reference. A mistake fits if nearly all telling parts are the mistake's, and there is one at least. So whatever else is
wrong with a submission, or right, neither helps nor hinders.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NEAR = 0.02  # of the way from the mistake to the reference: the same mistake by another quadrature
MOST = 0.9  # of the telling parts
_DIGITS = 1e-7  # relative: what rounding leaves of a difference
_ERRORS = 5.0  # standard errors within which two draws have one spread
_COMPARED = 8  # calls of a request that draws: more make nothing clearer
_KOLMOGOROV = 2.225  # √(−ln(α/2)/2) at α = 1e-4: two samples of one law are farther apart than this·√(2/N) once in 10⁴
_SLACK = 0.02  # of the spread: values that clipping moves to one place are in almost the same place elsewhere
_UNIQUE = 0.02  # difference in the share of distinct values
_TAIL = 1.15  # between the values that 1 of 1,000 exceeds: a law that ends has none of a normal law's
_ALIKE = 5.0  # times the mean row's squared length that independent rows have


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Give the parts of a value with their places: arrays of numbers, and what else is no container."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{place}[{key!r}]")
    elif isinstance(value, list | tuple):
        array = _numbers(value)
        if array is not None:
            yield place, array
        elif not value:
            yield place, "nothing"
        for number, part in enumerate(value if array is None else ()):
            yield from leaves(part, f"{place}[{number}]")
    elif isinstance(value, str) or value is None:
        yield place, value
    else:
        array = _numbers(value)
        yield place, f"a {type(value).__name__}" if array is None else array


def _numbers(value: Any) -> np.ndarray | None:
    if isinstance(value, list | tuple) and not all(isinstance(part, int | float | np.generic) for part in value):
        return None
    try:
        found = np.asarray(value)
        return found.astype(np.float64) if found.dtype.kind in "biuf" and found.size else None
    except (ValueError, OverflowError, TypeError):
        return None


@dataclass(frozen=True)
class Fit:
    """How many parts are telling, and how many of them are the mistake's."""

    telling: int
    matching: int

    def __bool__(self) -> bool:
        return self.matching > 0 and self.matching >= MOST * self.telling


def fit(found: Sequence[Any], mistaken: Sequence[Any], right: Sequence[Any], *, drawn: bool) -> Fit:
    """Compare the values of all calls with those that a mistake gives, and those that are right.

    Parameters
    ----------
    found, mistaken, right : sequence
        One value for each call; the calls had the same arguments.
    drawn : bool
        Whether the values are random draws. Then their laws are compared, and which calls gave the same draw.

    Returns
    -------
    Fit
        Draws with the same mistake fit with a probability of about 0.999, from another stream of random numbers too.
    """
    telling = matching = 0
    calls = [_parts(values[:_COMPARED] if drawn else values) for values in (found, mistaken, right)]
    if drawn and (repeats := _repeats(mistaken[:_COMPARED])) != _repeats(right[:_COMPARED]):
        shaped = [[(place, np.shape(part)) for place, part in call.items()] for call in calls[:2]]
        telling, matching = 1, int(shaped[0] == shaped[1] and _repeats(found[:_COMPARED]) == repeats)
    compare = _same_law if drawn else _same
    for place, wrong in calls[1].items():
        shows, matches = compare(calls[0].get(place), wrong, calls[2].get(place))
        telling += shows
        matching += matches
    return Fit(telling, matching)


def _parts(values: Sequence[Any]) -> dict[tuple[int, str], Any]:
    return {(number, place): part for number, value in enumerate(values) for place, part in leaves(value)}


def _same(found: Any, wrong: Any, right: Any) -> tuple[int, int]:
    """Return how many numbers of a part are telling, and how many of them the student has."""
    if not all(isinstance(part, np.ndarray) for part in (wrong, right)):
        shows = type(wrong) is not type(right) or (not isinstance(wrong, np.ndarray) and wrong != right)
        return int(shows), int(shows and type(found) is type(wrong) and found == wrong)
    if wrong.shape != right.shape:
        alike = isinstance(found, np.ndarray) and found.shape == wrong.shape and np.allclose(found, wrong, rtol=1e-6)
        return 1, int(alike)
    with np.errstate(all="ignore"):
        gap = np.abs(wrong - right)
        shows = ~(gap <= _DIGITS * np.maximum(np.abs(wrong), np.abs(right)).max()) | ~np.isfinite(wrong)
        if not isinstance(found, np.ndarray) or found.shape != wrong.shape:
            return int(shows.sum()), 0
        same = (found == wrong) | (np.isnan(found) & np.isnan(wrong))
        near = np.where(np.isfinite(wrong), np.abs(found - wrong) <= NEAR * gap, same)
        return int(shows.sum()), int((shows & near).sum())


# ---------------------------------------------------------------------------------------------------------------------
# Draws


@dataclass(frozen=True)
class _Law:
    """What tells draws apart: their mean, spread, distinct values, rows that are alike, and the sorted values."""

    shape: tuple[int, ...]
    mean: float
    rms: float
    unique: float
    rows: bool
    size: float
    kurtosis: float
    tail: float
    values: np.ndarray


def _law(array: np.ndarray) -> _Law:
    values = np.sort(array.ravel())
    centered = array - values.mean()
    squares = centered * centered
    square = float(np.mean(squares))
    rows = array.ndim > 1 and len(array) > 1 and square > 0
    together = len(array) * float(np.mean(centered.reshape(len(array), -1).mean(axis=0) ** 2)) / square if rows else 1.0
    size = array.size / len(array) if together > _ALIKE else array.size
    kurtosis = float(np.mean(squares * squares)) / square**2 if square > 0 else 1.0
    unique = (1 + np.count_nonzero(np.diff(values))) / values.size
    tail = float(np.quantile(np.abs(centered), 0.999)) / (square**0.5 or 1.0)
    return _Law(array.shape, float(values.mean()), square**0.5, unique, together > _ALIKE, size, kurtosis, tail, values)


def _alike(one: _Law, other: _Law) -> bool:
    if one.shape != other.shape or one.rows != other.rows or abs(one.unique - other.unique) > _UNIQUE:
        return False
    if one.values[0] == one.values[-1] and other.values[0] == other.values[-1]:
        return bool(one.values.size > 1 or one.mean == other.mean)  # one number for all: it says nothing of the law
    if one.rms == 0 or other.rms == 0:
        return False
    size = min(one.size, other.size)
    error = _ERRORS * np.sqrt((max(one.kurtosis, other.kurtosis) - 1) / (2 * size))
    if abs(np.log(one.rms / other.rms)) > error:
        return False
    if abs(one.mean - other.mean) > _ERRORS * np.sqrt(2 / size) * max(one.rms, other.rms):
        return False
    if one.rows:
        return True
    light = max(one.kurtosis, other.kurtosis) < 4 and size >= 5000
    if light and abs(np.log(one.tail / other.tail)) > np.log(_TAIL):
        return False
    both = np.concatenate([one.values, other.values])
    slack = _SLACK * min(one.rms, other.rms)
    apart = max(
        (_below(left, both - slack) - _below(right, both)).max()
        for left, right in ((one.values, other.values), (other.values, one.values))
    )
    return bool(apart <= _KOLMOGOROV * np.sqrt(2 / size))


def _below(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.searchsorted(values, at, side="right") / values.size


def _same_law(found: Any, wrong: Any, right: Any) -> tuple[int, int]:
    if not all(isinstance(part, np.ndarray) and np.isfinite(part).all() for part in (wrong, right)):
        return 0, 0
    mistaken = _law(wrong)
    shows = not _alike(mistaken, _law(right))
    usable = isinstance(found, np.ndarray) and found.shape == wrong.shape and bool(np.all(np.abs(found) < 1e100))
    return int(shows), int(shows and usable and _alike(_law(found), mistaken))


def _repeats(values: Sequence[Any]) -> tuple[bool, ...]:
    """Return which pairs of calls gave the same draw."""
    parts = [dict(leaves(value)) for value in values]
    return tuple(_equal(call, before) for number, call in enumerate(parts) for before in parts[:number])


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(part, other[place]) for place, part in one.items())


# ---------------------------------------------------------------------------------------------------------------------
# What is off, in words


@dataclass(frozen=True)
class Off:
    """What of a value is farthest off: how far, of the size of what is due; in words, the part, and the direction."""

    distance: float
    part: str = ""
    direction: str = ""


def farthest(found: Any, right: Any) -> Off:
    """Return the part of one call's value that is farthest off, and in which direction, but not what is due.

    Parameters
    ----------
    found, right : object
        What came, and what was due.
    """
    parts = dict(leaves(found))
    off = [_off(place, parts.get(place), due) for place, due in leaves(right)]
    return max(off, key=lambda each: each.distance, default=Off(0.0))


def _off(place: str, came: Any, due: Any) -> Off:
    if not isinstance(due, np.ndarray):
        return Off(0.0) if type(came) is type(due) and came == due else Off(1.0, _at(repr(came), place))
    if not isinstance(came, np.ndarray) or came.shape != due.shape:
        return Off(np.inf)
    with np.errstate(all="ignore"):
        apart, size = np.abs(came - due), np.abs(due).max()
    if not np.isfinite(came).all():
        return Off(np.inf)
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    if apart[at] == 0:
        return Off(0.0)
    where = place + (f"[{', '.join(map(str, at))}]" if at else "")
    return Off(float(apart[at] / (size or 1.0)), _at(f"{came[at]:.4g}", where), direction(came[at], due[at]))


def _at(value: str, place: str) -> str:
    """Return a part of a value with its place; nothing if it is all of the value, or missing."""
    return f"{value} at {place}" if place and value != "None" else ""


def direction(came: float, due: float) -> str:
    """Return how far a number is off, in words that do not give away what is due.

    Examples
    --------
    >>> direction(3.0, 1.5), direction(1.503, 1.5), direction(-1.0, 1.5), direction(0.5, 0.0)
    ('2 times what it should be', 'too large by 0.2 %', 'of the wrong sign', 'too large')
    """
    side = "too large" if came > due else "too small"
    if due == 0 or came == 0 or float(due).is_integer():
        return side
    if (came < 0) != (due < 0):
        return "of the wrong sign"
    ratio = came / due
    if 0.9 < ratio < 1.1:
        return f"{'too large' if ratio > 1 else 'too small'} by {100 * abs(ratio - 1):.2g} %"
    return f"{ratio:.2g} times what it should be"
