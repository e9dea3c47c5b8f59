"""Evidence from draws: an interval for each statistic, and the estimated chance that fresh draws miss the demand.

What lives here is statistics; what a piece of evidence holds and how it is shown lives in ``evidence``.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import _checks
from .evidence import EVERY, Evidence, WrongAnswer, in_full

__all__ = ["CONFIDENCE", "exact", "mean", "median", "proportion"]

CONFIDENCE = 0.999
DEMAND = ("theory", "tolerance", "at_least", "at_most", "digits", "excludes")
Statistic = Callable[[np.ndarray], float]


def exact(
    what: str, values: Any, theory: float, *, chance: float = 0.0, excludes: Mapping[str, Any] | None = None
) -> Evidence:
    """Every value must equal the theory: for what follows from algebra, whatever the draw, or holds almost surely.

    Parameters
    ----------
    what : str
    values : array_like
        Of any shape.
    theory : float
    chance : float, default 0.0
        A bound of the chance that fresh draws fail, such as 1e-9, for what holds almost surely; 0 for what follows
        from algebra.
    excludes : mapping of str to number or array
        Each wrong answer in words, and the value that it gives or the values measured under it, of which at least one
        must differ from the theory.

    Returns
    -------
    Evidence

    Raises
    ------
    TypeError, ValueError
        If there is no value, one is NaN, the theory is not a real number, the chance is not in [0, 1], or a wrong
        answer is not excluded.

    Examples
    --------
    >>> separate = {"units separate": 16}
    >>> exact("units", [1, 1], 1, excludes=separate).supports, exact("units", [1, 2], 1, excludes=separate).supports
    (True, False)
    """
    sample = _sample(values, what)
    theory = float(theory) if isinstance(theory, (bool, np.bool_)) else _checks.real(theory, "theory", infinite=True)
    chance = _checks.real(chance, "chance", low=0.0)
    if chance > 1:
        raise ValueError(f"chance must be at most 1, got {chance:g}")
    interval = float(sample.min()), float(sample.max())
    wrong = _wrong_answers(what, excludes, lambda given: _farthest(_sample(given, what), theory))
    estimate = float(np.median(sample))
    return Evidence(what, EVERY, estimate, interval, (theory, theory), theory, sample.size, chance, 6, wrong)


def _farthest(sample: np.ndarray, theory: float) -> float:
    """Return the value that differs most from the theory."""
    ends = float(sample.min()), float(sample.max())
    return max(ends, key=lambda end: 0.0 if end == theory else abs(end - theory))


def median(
    what: str, values: Any, *, digits: int = 2, excludes: Mapping[str, Any] | None = None, **demand: Any
) -> Evidence:
    """Judge the median of independent draws by order statistics, whatever their distribution.

    Parameters
    ----------
    what : str
    values : array_like
        One number per independent draw; inf is allowed.
    digits : int
        Significant digits to show; 0 for what depends on the machine, of which one digit is shown, marked with ≈.
    excludes : mapping of str to number or array_like
        Each wrong answer in words, and what it gives: a known number, or the draws of a wrong arm or a control.
    **demand
        ``theory`` with ``tolerance`` (relative), or ``at_least`` and/or ``at_most``, with ``theory`` to be shown.

    Returns
    -------
    Evidence
        Its false-failure rate is a plug-in estimate from these same draws, not a bound. It is binomial: a repetition
        fails when so many draws fall outside the demanded range that the interval's end does. The chance of one doing
        so is taken as (seen outside + ½) / (n + 1) or, if all draws are finite, as the tail of Student's predictive
        distribution beyond the range's end if that is larger, so that draws that nearly touch the end raise the rate.
        Heavy tails raise it too.

    Raises
    ------
    TypeError, ValueError
        If the draws are not a vector, there are too few for an interval, the demand is none, or a wrong answer meets
        it: a number, or a median of draws, that lies in the demanded range.

    References
    ----------
    Conover, *Practical Nonparametric Statistics*, 3rd ed., 1999, section 3.2: intervals for quantiles.

    Examples
    --------
    >>> default = {"PyTorch's default": 0.577}
    >>> evidence = median("growth", np.linspace(0.9, 1.1, 32), theory=1.0, tolerance=0.2, excludes=default)
    >>> evidence.supports, evidence.measured(), evidence.demanded_not()
    (True, '1 [0.93, 1.1]', "theory 1 ± 20 %, not 0.577 (PyTorch's default)")
    """
    from scipy.stats import binom, t

    digits = _checks.integer(digits, "digits", low=0)
    sample = np.sort(_draws(values, what))
    n = sample.size
    rank = int(binom.ppf((1 - CONFIDENCE) / 2, n, 0.5))  # draws left out at either end
    if rank < 1:
        raise ValueError(f"{what}: a median at confidence {CONFIDENCE} needs at least 11 draws, got {n}")
    low, high, theory = _demand(what, **demand)
    interval = float(sample[rank - 1]), float(sample[n - rank])
    chances = [(outside + 0.5) / (n + 1) for outside in ((sample < low).sum(), (sample > high).sum())]
    width = float(sample.std(ddof=1)) * math.sqrt(1 + 1 / n) if np.isfinite(sample).all() else 0.0
    if width:
        tails = t.cdf([(low - sample.mean()) / width, (sample.mean() - high) / width], n - 1)
        chances = [max(pair) for pair in zip(chances, tails, strict=True)]
    ends = [p for p, end in zip(chances, (low, -high), strict=True) if end != -math.inf]
    rate = _rate(sum(binom.sf(rank - 1, n, p) for p in ends))
    wrong = _wrong_answers(what, excludes, lambda given: float(np.median(_draws(given, what))))
    estimate = float(np.median(sample))
    return Evidence(what, "median", estimate, interval, (low, high), theory, n, rate, digits, wrong)


def mean(
    what: str, values: Any, *, digits: int = 2, excludes: Mapping[str, Any] | None = None, **demand: Any
) -> Evidence:
    """Judge the mean of independent draws by Student's t; for draws that are not heavy-tailed.

    Parameters
    ----------
    what, values, digits, excludes, **demand
        As for `median`; every value must be finite.

    Returns
    -------
    Evidence
        Its false-failure rate is that of a repetition whose true mean and spread are those seen (noncentral t): a
        plug-in estimate, not a bound.

    Raises
    ------
    TypeError, ValueError
        If the draws are not a vector, there are fewer than two draws, one is not finite, the demand is none, or a wrong
        answer meets it.

    Examples
    --------
    >>> heuristic = {"U(±1/√n)": 1 / 3}
    >>> mean("variance", [0.98, 1.01, 1.02, 0.99] * 8, theory=1.0, tolerance=0.05, excludes=heuristic).supports
    True
    """
    from scipy.stats import nct, t

    digits = _checks.integer(digits, "digits", low=0)
    sample = _draws(values, what)
    n = sample.size
    if n < 2 or not np.isfinite(sample).all():
        raise ValueError(f"{what}: a mean needs at least 2 draws, all finite; got {n}; use median for what diverges")
    low, high, theory = _demand(what, **demand)
    center, error = float(sample.mean()), float(sample.std(ddof=1) / math.sqrt(n))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1))
    margins = [m for m in (center - low, high - center) if math.isfinite(m)]
    chances = [float(nct.cdf(reach, n - 1, m / error)) if error else float(m < 0) for m in margins]
    rate = _rate(sum(0.0 if math.isnan(chance) else chance for chance in chances))  # SciPy's is NaN where it underflows
    interval = center - reach * error, center + reach * error
    wrong = _wrong_answers(what, excludes, lambda given: float(_draws(given, what).mean()))
    return Evidence(what, "mean", center, interval, (low, high), theory, n, rate, digits, wrong)


def proportion(
    what: str, outcomes: Any, *, digits: int = 2, excludes: Mapping[str, Any] | None = None, **demand: Any
) -> Evidence:
    """Judge how often something happens, by the exact binomial interval.

    Parameters
    ----------
    what : str
    outcomes : array_like of bool
        One per independent draw.
    digits, excludes, **demand
        As for `median`.

    Returns
    -------
    Evidence
        Its false-failure rate sums over what a repetition could show if the true proportion were (seen + ½) / (n + 1):
        a plug-in estimate, not a bound.

    Raises
    ------
    TypeError, ValueError
        If the outcomes, or those of a wrong answer, are not a vector of booleans, or the demand is none, not within
        [0, 1], or met by every proportion or by a wrong answer.

    References
    ----------
    Clopper & Pearson, Biometrika 26, 1934.

    Examples
    --------
    >>> proportion("trains", [True] * 32, at_least=0.5, excludes={"zero start": [False] * 32}).supports
    True
    """
    from scipy.stats import beta, binom

    sample, digits = _outcomes(outcomes, what), _checks.integer(digits, "digits", low=0)
    n, seen = sample.size, int(sample.sum())
    low, high, theory = _demand(what, **demand)
    if any(math.isfinite(end) and not 0 <= end <= 1 for end in (low, high)) or (low <= 0 and high >= 1):
        given = f"got {in_full(low)} to {in_full(high)}"
        raise ValueError(f"{what}: what is demanded of a proportion must lie in [0, 1] and be able to fail, {given}")
    tail, counts = (1 - CONFIDENCE) / 2, np.arange(n + 1)
    lower = np.append(0.0, beta.ppf(tail, counts[1:], n - counts[1:] + 1))
    upper = np.append(beta.ppf(1 - tail, counts[:-1] + 1, n - counts[:-1]), 1.0)
    fails = ~((low <= lower) & (upper <= high))
    chances = binom.pmf(counts, n, (seen + 0.5) / (n + 1))
    interval, rate = (float(lower[seen]), float(upper[seen])), _rate(chances[fails].sum())
    wrong = _wrong_answers(what, excludes, lambda given: float(_outcomes(given, what).mean()))
    if any(not 0 <= answer.value <= 1 for answer in wrong):
        raise ValueError(f"{what}: what a wrong answer gives for a proportion must lie in [0, 1], got {excludes}")
    return Evidence(what, "proportion", seen / n, interval, (low, high), theory, n, rate, digits, wrong)


def _outcomes(outcomes: Any, what: str) -> np.ndarray:
    sample = np.asarray(outcomes)
    if sample.dtype != bool or not sample.size:
        raise TypeError(f"{what}: outcomes must be booleans, at least one, got {sample.dtype} of size {sample.size}")
    return _draws(sample, what)


def _rate(estimate: float) -> float:
    """Return an estimated rate as one: at most 1, and never 0, which says that it follows from algebra."""
    return min(max(float(estimate), sys.float_info.min), 1.0)


def _draws(values: Any, what: str) -> np.ndarray:
    if np.ndim(values) != 1:
        shape = np.shape(values)
        raise ValueError(f"{what}: needs a vector, one value per independent draw, got shape {shape}; reduce it first")
    return _sample(values, what)


def _sample(values: Any, what: str) -> np.ndarray:
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not sample.size or np.isnan(sample).any():
        raise ValueError(f"{what}: needs at least one value and no NaN, got {sample.size} values")
    return sample


def _wrong_answers(what: str, excludes: Mapping[str, Any] | None, statistic: Statistic) -> tuple[WrongAnswer, ...]:
    """Return the wrong answers with their numbers: each as given, or the statistic of the draws given."""
    answers = {} if excludes is None else excludes
    if not isinstance(answers, Mapping) or not all(isinstance(name, str) and name.strip() for name in answers):
        kind = "must map each wrong answer, in words, to what it gives, a number or draws"
        raise TypeError(f"{what}: excludes {kind}; got {excludes!r}")
    return tuple(_wrong_answer(what, name, given, statistic) for name, given in answers.items())


def _wrong_answer(what: str, name: str, given: Any, statistic: Statistic) -> WrongAnswer:
    draws = np.size(given) if np.ndim(given) else 0
    value = statistic(given) if draws else given
    flag = isinstance(value, (bool, np.bool_))
    number = _checks.real(float(value) if flag else value, f"{what}: what {name!r} gives", infinite=True)
    return WrongAnswer(name, number, draws)


def _demand(
    what: str,
    *,
    theory: float | None = None,
    tolerance: float | None = None,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    **unknown: Any,
) -> tuple[float, float, float | None]:
    """Return the demanded range and the theory."""
    for name in unknown:
        nearest = difflib.get_close_matches(name, DEMAND, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise TypeError(f"{what}: unknown keyword {name!r}{hint}")
    theory = None if theory is None else _checks.real(theory, "theory", infinite=True)
    at_least = _checks.real(at_least, "at_least", infinite=True)
    at_most = _checks.real(at_most, "at_most", infinite=True)
    if tolerance is not None:
        tolerance = _checks.real(tolerance, "tolerance", low=0.0)
        if theory is None or theory == 0 or math.isinf(theory):
            raise ValueError(f"{what}: a relative tolerance needs a finite theory, not 0; use at_least and at_most")
        ends = theory * (1 - tolerance), theory * (1 + tolerance)
        at_least, at_most = max(at_least, min(ends)), min(at_most, max(ends))
    if at_least == -math.inf and at_most == math.inf:
        raise ValueError(f"{what}: nothing is demanded; give theory with tolerance, at_least or at_most")
    if not at_least <= at_most:
        raise ValueError(f"{what}: the demanded range is empty, {at_least:g} to {at_most:g}")
    return at_least, at_most, theory
