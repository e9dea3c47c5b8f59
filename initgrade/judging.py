"""Judges: small functions that look at a value that a student's function returned and give a `Verdict`.

What lives here compares; `sampling` has the judges of draws. No judge trusts a value: what has the wrong type or shape,
or is not finite, gets a verdict that says so.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .assignment import Verdict

KINDS = {"real": "iuf", "whole": "iu", "truth": "b"}
LINES = 8  # of a message that joins several
NAMES = {"real": "real numbers", "whole": "whole numbers", "truth": "True and False"}


class UnusableError(ValueError):
    """A value that cannot be judged; its text is what the student reads."""


def invalid(message: str) -> Verdict:
    """Return a verdict without points."""
    return Verdict(0.0, message)


def judge(function: Callable[..., Verdict]) -> Callable[..., Verdict]:
    """Turn an `UnusableError` inside a judge into a verdict without points; every judge of values is decorated."""

    @functools.wraps(function)
    def decorated(*args: Any, **options: Any) -> Verdict:
        try:
            return function(*args, **options)
        except UnusableError as error:
            return invalid(str(error))

    return decorated


# ---------------------------------------------------------------------------------------------------------------------
# What may be judged at all


def as_array(
    value: Any, shape: Sequence[int | None] | None = None, *, what: str = "the result", kind: str = "real"
) -> np.ndarray:
    """Return a value as an array, or refuse it in words that a student can act on.

    Parameters
    ----------
    value : object
        What came back: a number, a list or tuple of numbers, or an array.
    shape : sequence of int or None, optional
        What the shape must be; None in it stands for any length.
    what : str
        What the message calls the value.
    kind : {"real", "whole", "truth"}
        Whole numbers pass as real ones, and real numbers that are whole pass as whole; truth values stay apart.

    Returns
    -------
    ndarray
        float64, int64 or bool.

    Raises
    ------
    UnusableError
        If it is something else, has another shape, is empty, or holds NaN or an infinity.
    """
    found = _numbers(value, what, kind)
    if not found.size:
        raise UnusableError(f"{what}: empty, with the shape {found.shape}.")
    if shape is not None and not _fits(found.shape, shape):
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise UnusableError(f"{what}: the shape is {found.shape}; it should be ({wanted}).")
    if found.dtype.kind == "f":
        bad = int(np.count_nonzero(~np.isfinite(found)))
        if bad:
            raise UnusableError(f"{what}: {bad} of {found.size} numbers are NaN or infinite; find the step.")
        if kind == "whole":
            if np.any(found != np.round(found)) or np.any(np.abs(found) > 2**53):
                raise UnusableError(f"{what} should hold whole numbers.")
            found = found.astype(np.int64)
    if kind == "whole" and found.dtype.kind == "u" and np.any(found > np.iinfo(np.int64).max):
        raise UnusableError(f"{what}: whole numbers of more than 63 bits; find the step.")
    return found.astype({"real": np.float64, "whole": np.int64, "truth": np.bool_}[kind])


def _numbers(value: Any, what: str, kind: str) -> np.ndarray:
    if value is None:
        raise UnusableError(f"{what}: None came; does your function end in a return?")
    if not isinstance(value, np.ndarray | np.generic | int | float | list | tuple):
        raise UnusableError(f"{what}: a {type(value).__name__} came; return {NAMES[kind]}.")
    try:
        found = np.asarray(value)
    except (ValueError, OverflowError):
        raise UnusableError(f"{what}: the parts of the list differ in length; return {NAMES[kind]}.") from None
    if kind != "truth" and isinstance(value, list | tuple) and _mixed(value):
        raise UnusableError(f"{what}: True or False among its numbers; return {NAMES[kind]}.")
    allowed = KINDS[kind] + "f" if kind == "whole" else KINDS[kind]
    if found.dtype.kind not in allowed:
        raise UnusableError(f"{what}: the type is {found.dtype}; return {NAMES[kind]}.")
    return found


def _mixed(values: Sequence[Any]) -> bool:
    """Return whether nested lists hold truth values among others, which NumPy would take for numbers."""
    kinds = {np.bool_ if isinstance(leaf, bool | np.bool_) else float for leaf in _leaves(values)}
    return len(kinds) > 1


def _leaves(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value.dtype.type() if isinstance(value, np.ndarray) else value


def _fits(found: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(found) == len(wanted) and all(w is None or f == w for f, w in zip(found, wanted, strict=True))


def number(value: Any, *, what: str = "the result", low: float = -np.inf, high: float = np.inf) -> float:
    """Return a single real number within limits (inclusive), or refuse it.

    Raises
    ------
    UnusableError
        If it is something else or lies outside.
    """
    found = as_array(value, what=what)
    if found.size != 1:
        raise UnusableError(f"{what}: the shape is {found.shape}; return one number.")
    real = float(found.reshape(()))
    if not low <= real <= high:
        raise UnusableError(f"{what} is {real:.4g}; it can only lie between {low:g} and {high:g}.")
    return real


def entry(value: Any, key: str, *, what: str = "the result") -> Any:
    """Return what a dictionary holds under a key, or refuse it.

    Raises
    ------
    UnusableError
        If it is no dictionary or lacks the key.
    """
    if not isinstance(value, Mapping):
        raise UnusableError(f"{what}: a {type(value).__name__} came; return a dictionary with the key {key!r}.")
    if key not in value:
        raise UnusableError(f"{what} lacks the key {key!r}; it has {', '.join(map(repr, value)) or 'none'}.")
    return value[key]


def parts(value: Any, count: int, *, what: str = "the result") -> Sequence[Any]:
    """Return a list or tuple of so many parts, or refuse it; an array is cut along its first axis.

    Raises
    ------
    UnusableError
        If it is something else or has another length.
    """
    if not isinstance(value, list | tuple) and not (isinstance(value, np.ndarray) and value.ndim):
        raise UnusableError(f"{what}: a {type(value).__name__} came; return a list of {count}.")
    if len(value) != count:
        raise UnusableError(f"{what}: {len(value)} parts came; {count} are asked for.")
    return list(value)


# ---------------------------------------------------------------------------------------------------------------------
# Exact judges


@judge
def close(value: Any, wanted: Any, *, rtol: float, atol: float = 0.0, what: str) -> Verdict:
    """Judge that numbers are those wanted, up to ``atol + rtol·|wanted|``.

    Parameters
    ----------
    value : object
    wanted : array_like
        Its shape is required.
    rtol, atol : float
    what : str
        What the message calls the value.
    """
    target = np.asarray(wanted, dtype=np.float64)
    found = as_array(value, target.shape, what=what)
    off = np.abs(found - target) > atol + rtol * np.abs(target)
    if not off.any():
        return Verdict(1.0, f"{what}: right.")
    if found.ndim == 0:
        return invalid(f"{what} is {found:.5g}, which is too {'large' if found > target else 'small'}.")
    worst = tuple(int(i) for i in np.argwhere(off)[0])
    place = ", ".join(map(str, worst))
    return invalid(
        f"{what}: {int(off.sum())} of {found.size} numbers are off; the first is [{place}]: {found[worst]:.5g}."
    )


@judge
def equal(value: Any, wanted: Any, what: str) -> Verdict:
    """Judge that a value is the one wanted: numbers, truth values, texts, lists and dictionaries of them, arrays."""
    if _same(value, wanted):
        return Verdict(1.0, f"{what}: right.")
    return invalid(f"{what} is {_shown(value)}, which is not right.")


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, np.ndarray | np.generic):
        wanted = wanted.tolist()
    if isinstance(wanted, Mapping):
        return (
            isinstance(value, Mapping)
            and value.keys() == wanted.keys()
            and all(_same(value[k], wanted[k]) for k in wanted)
        )
    if isinstance(wanted, list | tuple):
        value = value.tolist() if isinstance(value, np.ndarray) else value
        return (
            isinstance(value, list | tuple)
            and len(value) == len(wanted)
            and all(_same(part, other) for part, other in zip(value, wanted, strict=True))
        )
    value = value.item() if isinstance(value, np.ndarray | np.generic) and np.size(value) == 1 else value
    if isinstance(value, bool) != isinstance(wanted, bool) or isinstance(value, np.ndarray | list | tuple | Mapping):
        return False
    return bool(value == wanted)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def fraction(marks: Mapping[str, bool], *, what: str, guess: float = 0.0) -> Verdict:
    """Give the share of answers that are right, and name those that are not.

    Parameters
    ----------
    marks : mapping
        The name of each answer, and whether it is right.
    what : str
    guess : float
        Share that a guess gets right; it earns nothing.
    """
    right = [name for name, good in marks.items() if good]
    wrong = [name for name, good in marks.items() if not good]
    share = max(0.0, (len(right) / len(marks) - guess) / (1 - guess))
    again = f" Look again at {', '.join(wrong[:6])}{' …' if len(wrong) > 6 else ''}." if wrong else ""
    return Verdict(share, f"{what}: {len(right)} of {len(marks)} right.{again}")


@judge
def own_numbers(value: Any, wanted: Mapping[str, Any], *, rtol: float = 1e-3) -> Verdict:
    """Give the share of a student's own numbers that are right; one that is missing or strange is wrong.

    Parameters
    ----------
    value : object
        A dictionary with the keys of `wanted`.
    wanted : mapping
        Numbers, compared up to `rtol`, and lists, compared as `equal` does.
    rtol : float
    """
    marks = {}
    for name, right in wanted.items():
        found = entry(value, name, what="OWN")
        compared = equal(found, right, name) if isinstance(right, list) else close(found, right, rtol=rtol, what=name)
        marks[name] = compared.share == 1
    return fraction(marks, what="the numbers that belong to your VARIANT")


def cases(values: Sequence[Any], wanted: Sequence[Any], names: Sequence[str], *, what: str) -> Verdict:
    """Judge answers to several cases of one question: right ones share half of the points; the rest is for all right.

    So a rule that holds in the easy cases only earns less than half.

    Parameters
    ----------
    values, wanted : sequence
        Compared as `equal` does.
    names : sequence of str
        Of the cases; the message names those that are wrong.
    what : str
    """
    marks = {
        f"{name} (no. {i})": equal(value, right, name).share == 1
        for i, (value, right, name) in enumerate(zip(values, wanted, names, strict=True), start=1)
    }
    found = fraction(marks, what=what)
    return found if found.share == 1 else Verdict(found.share / 2, found.message)


def combine(*verdicts: Verdict, every: bool = False) -> Verdict:
    """Join verdicts into one: the mean of their shares or, with `every`, the smallest.

    The p-value is Bonferroni's: the smallest, times how many there are. The message says what was not right, a line
    each, or that all was; of many lines it has the first ones.
    """
    shares = [verdict.share for verdict in verdicts]
    p_values = [verdict.p_value for verdict in verdicts if verdict.p_value is not None]
    lacking = [verdict.message for verdict in verdicts if verdict.share < 1]
    plots = [verdict.plot for verdict in sorted(verdicts, key=lambda verdict: verdict.share) if verdict.plot]
    return Verdict(
        min(shares) if every else sum(shares) / len(shares),
        _first_lines(lacking or [verdict.message for verdict in verdicts]),
        min(1.0, len(p_values) * min(p_values)) if p_values else None,
        plots[0] if plots else None,
    )


def _first_lines(messages: Sequence[str]) -> str:
    lines = "\n".join(dict.fromkeys(messages)).split("\n")
    more = ["… and more like these."] if len(lines) > LINES else []
    return "\n".join([*lines[:LINES], *more])


def draw_plot(title: str, x_label: str, y_label: str, **series: tuple[Any, Any]) -> dict[str, Any]:
    """Return a verdict's plot; each series is a pair of x and y, and its name, with _ for a space, the label."""
    lines = [
        {"label": name.replace("_", " "), "x": np.ravel(x).tolist(), "y": np.ravel(y).tolist()}
        for name, (x, y) in series.items()
    ]
    return {"title": title, "x_label": x_label, "y_label": y_label, "series": lines}
