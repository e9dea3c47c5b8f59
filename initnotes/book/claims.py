"""Floor 4: a claim on trial: what was measured, what its verdict demands, and how often that fails by chance.

What lives here judges numbers that others measured. The list of the claims is ``book/claims.yml``.
"""

from __future__ import annotations

import difflib
import html
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks

__all__ = ["MIME", "VERDICTS", "Claim", "Evidence", "NotSupportedError", "collect", "exact", "listed", "mean", "median"]
__all__ += ["proportion", "settle"]

CONFIDENCE = 0.999
EVERY = "every value"
MIME = "application/vnd.initnotes.claim+json"
VERDICTS = ("holds", "holds when", "fails")


class NotSupportedError(AssertionError):
    """A measurement does not support the verdict that was to be settled with it."""


def listed() -> dict[int, dict[str, Any]]:
    """Return the claims of the book's list by number: what is claimed, what was expected, what settles it.

    Returns
    -------
    dict
        Number to a dict with the keys ``number``, ``claim``, ``expected`` and ``settled_by``; a copy each time.

    Examples
    --------
    >>> listed()[2]["claim"]
    'Zero weights never get updated'
    """
    return {number: dict(entry) for number, entry in _listed().items()}


@lru_cache(maxsize=1)
def _listed() -> dict[int, dict[str, Any]]:
    import yaml

    here = Path(__file__).parents[1]
    path = next(path for path in (here / "claims.yml", here.parent / "book" / "claims.yml") if path.exists())
    return {entry["number"]: entry for entry in yaml.safe_load(path.read_text(encoding="utf-8"))}


@dataclass(frozen=True)
class Evidence:
    """One measurement, the range that the verdict demands of it, and the chance that fresh draws miss that range.

    It supports the verdict if its whole interval lies inside the range: too few replicas, and so too wide an interval,
    support nothing. Made by `exact`, `median`, `mean` and `proportion`.

    Attributes
    ----------
    what : str
        What was measured, in words.
    statistic : str
        "every value", "median", "mean" or "proportion".
    estimate : float
    interval : (float, float)
        At confidence `CONFIDENCE`; for "every value", the smallest and the largest.
    demanded : (float, float)
        Closed range; its ends may be infinite.
    theory : float or None
        What the derivation predicts.
    samples : int
        Independent draws behind the estimate.
    false_failure_rate : float
        Chance that a repetition with fresh draws falls outside the demanded range. For "every value" it is what was
        stated; for the others an estimate from these same draws: rough, mostly too large where it is small, no bound.
    digits : int
        Significant digits that are shown; 0 shows only whether the range was met.
    """

    what: str
    statistic: str
    estimate: float
    interval: tuple[float, float]
    demanded: tuple[float, float]
    theory: float | None
    samples: int
    false_failure_rate: float
    digits: int = 2

    @property
    def supports(self) -> bool:
        """Whether the whole interval lies inside the demanded range."""
        return self.demanded[0] <= self.interval[0] <= self.interval[1] <= self.demanded[1]

    def measured(self) -> str:
        """Return the estimate and its interval as text; the interval is rounded outward."""
        if not self.digits and self.supports:
            return "as demanded"
        digits = self.digits or 2
        low, high = _outward(self.interval, digits)
        value = _round(self.estimate, digits, ROUND_HALF_EVEN)
        return value if low == high == value else f"{value} [{low}, {high}]"

    def range(self) -> str:
        """Return the demanded range as text."""
        low, high = map(_in_full, self.demanded)
        if self.demanded[0] == self.demanded[1]:
            return f"= {low}"
        if math.isinf(self.demanded[1]):
            return f"≥ {low}"
        return f"≤ {high}" if math.isinf(self.demanded[0]) else f"{low} to {high}"

    def demand(self) -> str:
        """Return the demand as text: the theory give or take its tolerance, or the range with the theory beside it."""
        if self.theory is None or self.statistic == EVERY:
            return self.range()
        low, high = self.demanded
        tolerance = (high - low) / (2 * abs(self.theory)) if self.theory and math.isfinite(high - low) else math.inf
        if math.isfinite(tolerance) and math.isclose(low + high, 2 * self.theory, rel_tol=1e-12):
            return f"theory {self.theory:.3g} ± {_in_full(100 * tolerance)} %"
        return f"{self.range()} (theory {self.theory:.3g})"

    def chance(self) -> str:
        """Return the false-failure rate, rounded up to a power of ten: a stated bound, or about what was estimated."""
        if not self.false_failure_rate:
            return "0 (follows from algebra)"
        return f"{'≤' if self.statistic == EVERY else 'about'} {self.stated_rate:g}"

    @property
    def stated_rate(self) -> float:
        """The false-failure rate as it is shown, rounded up to a power of ten.

        Without digits, which is for numbers that differ by machine, so does its estimate: that is 1e-5 at least.
        """
        differs = not self.digits and self.statistic != EVERY
        return _power_of_ten(max(self.false_failure_rate, 1e-5) if differs else self.false_failure_rate)


def _in_full(value: float) -> str:
    """Return a number with all its digits, or with an ellipsis after the first 6 if there are more than 8."""
    for digits in range(1, 9):
        text = f"{value:.{digits}g}"
        if float(text) == value or math.isclose(float(text), value, rel_tol=1e-14):  # 1.1 * 2 is 2.2
            return f"{float(text):.8g}"  # without an exponent where there is room
    number = Decimal(value)
    cut = number.quantize(Decimal(1).scaleb(number.adjusted() - 5), ROUND_DOWN)
    mantissa, _, exponent = f"{float(cut):#.6g}".partition("e")
    return f"{mantissa}…" + (f" × 10^{int(exponent)}" if exponent else "")


def _power_of_ten(rate: float) -> float:
    return 10.0 ** math.ceil(math.log10(min(max(rate, 1e-9), 1.0))) if rate else 0.0


def _outward(interval: tuple[float, float], digits: int) -> tuple[str, str]:
    """Round an interval's ends away from each other to so many significant digits."""
    return _round(interval[0], digits, ROUND_FLOOR), _round(interval[1], digits, ROUND_CEILING)


def _round(value: float, digits: int, rounding: str) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value + 0.0:g}"
    number = Decimal(
        f"{value:.{min(digits + 8, 14)}e}"
    )  # what is beyond, as in 0.1 + 0.2, is rounding, not measurement
    shown = number.quantize(Decimal(1).scaleb(number.adjusted() - digits + 1), rounding)
    return f"{float(shown):.{max(digits, 6)}g}"


def exact(what: str, values: Any, theory: float, *, chance: float = 0.0) -> Evidence:
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

    Returns
    -------
    Evidence

    Raises
    ------
    TypeError, ValueError
        If there is no value, one is NaN, the theory is not a real number, or the chance is not in [0, 1].

    Examples
    --------
    >>> exact("distinct units", [1, 1, 1], 1).supports, exact("distinct units", [1, 2, 1], 1).supports
    (True, False)
    """
    sample = _sample(values, what)
    theory = float(theory) if isinstance(theory, (bool, np.bool_)) else _checks.real(theory, "theory", infinite=True)
    chance = _checks.real(chance, "chance", low=0.0)
    if chance > 1:
        raise ValueError(f"chance must be at most 1, got {chance:g}")
    interval = float(sample.min()), float(sample.max())
    estimate = float(np.median(sample))
    return Evidence(what, EVERY, estimate, interval, (theory, theory), theory, sample.size, chance, 6)


def median(what: str, values: Any, *, digits: int = 2, **demand: Any) -> Evidence:
    """Judge the median of independent draws by order statistics, whatever their distribution.

    Parameters
    ----------
    what : str
    values : array_like
        One number per independent draw; inf is allowed.
    digits : int
        Significant digits to show; 0 shows only whether the demand was met.
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
        If the draws are not a vector, there are too few for an interval, or the demand is none.

    References
    ----------
    Conover, *Practical Nonparametric Statistics*, 3rd ed., 1999, section 3.2: intervals for quantiles.

    Examples
    --------
    >>> evidence = median("growth", np.linspace(0.9, 1.1, 32), theory=1.0, tolerance=0.2)
    >>> evidence.supports, evidence.measured()
    (True, '1 [0.93, 1.1]')
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
    estimate = float(np.median(sample))
    return Evidence(what, "median", estimate, interval, (low, high), theory, n, rate, digits)


def mean(what: str, values: Any, *, digits: int = 2, **demand: Any) -> Evidence:
    """Judge the mean of independent draws by Student's t; for draws that are not heavy-tailed.

    Parameters
    ----------
    what, values, digits, **demand
        As for `median`; every value must be finite.

    Returns
    -------
    Evidence
        Its false-failure rate is that of a repetition whose true mean and spread are those seen (noncentral t): a
        plug-in estimate, not a bound.

    Raises
    ------
    TypeError, ValueError
        If the draws are not a vector, there are fewer than two draws, one is not finite, or the demand is none.

    Examples
    --------
    >>> mean("variance", [0.98, 1.01, 1.02, 0.99] * 8, theory=1.0, tolerance=0.05).supports
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
    return Evidence(what, "mean", center, interval, (low, high), theory, n, rate, digits)


def proportion(what: str, outcomes: Any, *, digits: int = 2, **demand: Any) -> Evidence:
    """Judge how often something happens, by the exact binomial interval.

    Parameters
    ----------
    what : str
    outcomes : array_like of bool
        One per independent draw.
    digits, **demand
        As for `median`.

    Returns
    -------
    Evidence
        Its false-failure rate sums over what a repetition could show if the true proportion were (seen + ½) / (n + 1):
        a plug-in estimate, not a bound.

    Raises
    ------
    TypeError, ValueError
        If the outcomes are not a vector of booleans, or the demand is none, not within [0, 1], or met by every
        proportion.

    References
    ----------
    Clopper & Pearson, Biometrika 26, 1934.

    Examples
    --------
    >>> proportion("separated", [True] * 32, at_least=0.5).supports
    True
    """
    from scipy.stats import beta, binom

    sample = np.asarray(outcomes)
    if sample.dtype != bool or not sample.size:
        raise TypeError(f"{what}: outcomes must be booleans, at least one, got {sample.dtype} of size {sample.size}")
    sample, digits = _draws(sample, what), _checks.integer(digits, "digits", low=0)
    n, seen = sample.size, int(sample.sum())
    low, high, theory = _demand(what, **demand)
    if any(math.isfinite(end) and not 0 <= end <= 1 for end in (low, high)) or (low <= 0 and high >= 1):
        given = f"got {_in_full(low)} to {_in_full(high)}"
        raise ValueError(f"{what}: what is demanded of a proportion must lie in [0, 1] and be able to fail, {given}")
    tail, counts = (1 - CONFIDENCE) / 2, np.arange(n + 1)
    lower = np.append(0.0, beta.ppf(tail, counts[1:], n - counts[1:] + 1))
    upper = np.append(beta.ppf(1 - tail, counts[:-1] + 1, n - counts[:-1]), 1.0)
    fails = ~((low <= lower) & (upper <= high))
    chances = binom.pmf(counts, n, (seen + 0.5) / (n + 1))
    interval = float(lower[seen]), float(upper[seen])
    return Evidence(what, "proportion", seen / n, interval, (low, high), theory, n, _rate(chances[fails].sum()), digits)


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
        nearest = difflib.get_close_matches(name, ("theory", "tolerance", "at_least", "at_most", "digits"), n=1)
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


@dataclass(frozen=True)
class Claim:
    """A claim of the list with its verdict and the evidence for it; a notebook shows it as a box.

    Attributes
    ----------
    number : int
        In the book's list.
    verdict : {"holds", "holds when", "fails"}
    because : str
        What completes the sentence: when it holds, or what is true instead.
    evidence : tuple of Evidence
    """

    number: int
    verdict: str
    because: str
    evidence: tuple[Evidence, ...]

    @property
    def text(self) -> str:
        """What is claimed, in the words of the list."""
        return str(listed()[self.number]["claim"])

    @property
    def false_failure_rate(self) -> float:
        """Estimated chance that a repetition with fresh draws does not support the verdict: the evidence's sum."""
        return sum(one.false_failure_rate for one in self.evidence)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Return what is shown of each piece of evidence: what, measured, demanded, chance."""
        rows = []
        for one in self.evidence:
            every = "the one value" if one.samples == 1 else f"all {one.samples} values"
            of = every if one.statistic == EVERY else f"{one.statistic} of {one.samples} draws"
            measured = f"{of}: {one.measured()}"
            rows.append((one.what, measured, one.demand(), one.chance()))
        return rows

    def __str__(self) -> str:
        lines = [f"Claim {self.number}: {self.text}.", f"Verdict: {self.verdict}: {self.because}."]
        for what, measured, demanded, chance in self._rows():
            lines.append(f"- {what}: {measured}; demanded {demanded}; false failure {chance}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = "".join(
            "<tr><th scope='row'>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>".format(*map(html.escape, row))
            for row in self._rows()
        )
        label = f"Claim {self.number}: {self.verdict}"
        interval = f"Measured [{CONFIDENCE:.1%} interval]"
        return (
            f"<section class='claim claim-{self.verdict.replace(' ', '-')}' aria-label='{html.escape(label)}'>"
            f"<p class='claim-text'><span class='claim-number'>Claim {self.number}</span> {html.escape(self.text)}.</p>"
            f"<p class='claim-verdict'><strong>{html.escape(self.verdict)}</strong>: {html.escape(self.because)}.</p>"
            "<div class='claim-evidence' role='region' tabindex='0' aria-label='Evidence'><table><thead><tr>"
            f"<th scope='col'>Evidence</th><th scope='col'>{interval}</th><th scope='col'>Demanded</th>"
            "<th scope='col'>Fails by chance (estimate)</th></tr></thead>"
            f"<tbody>{cells}</tbody></table></div></section>"
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `collect` finds again in a stored notebook, rounded as it is shown."""
        keys = ("evidence", "measured", "demanded", "chance")
        return {
            "number": self.number,
            "claim": self.text,
            "verdict": self.verdict,
            "because": self.because,
            "evidence": [dict(zip(keys, row, strict=True)) for row in self._rows()],
            "false_failure_rate": sum(one.stated_rate for one in self.evidence),
        }

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": str(self), "text/html": self._repr_html_(), MIME: self.as_json()}


def settle(number: int, verdict: str, because: str, *evidence: Evidence) -> Claim:
    """Settle a claim of the book's list, or raise.

    Parameters
    ----------
    number : int
        In the list.
    verdict : {"holds", "holds when", "fails"}
    because : str
        When it holds, or what is true instead; without a full stop.
    *evidence : Evidence
        At least one; all of it must support the verdict.

    Returns
    -------
    Claim

    Raises
    ------
    ValueError, TypeError
        If the number is not in the list, the verdict is none of the three, or there is no evidence.
    NotSupportedError
        If a measurement does not support the verdict. The message names each one that does not.

    Examples
    --------
    >>> print(settle(3, "holds", "zero is equal", exact("distinct units", [1, 1], 1)))
    Claim 3: Zero init is just a special case of equal weights.
    Verdict: holds: zero is equal.
    - distinct units: all 2 values: 1; demanded = 1; false failure 0 (follows from algebra)
    """
    number = _checks.integer(number, "number")
    if number not in listed():
        raise ValueError(f"number must be one of the list's, 1 … {max(listed())}, got {number}")
    _checks.one_of(verdict, "verdict", VERDICTS)
    if not isinstance(because, str) or not because.strip(" ."):
        raise ValueError(f"because must say when it holds, or what is true instead, got {because!r}")
    if not evidence or not all(isinstance(one, Evidence) for one in evidence):
        raise TypeError("evidence must be at least one Evidence; make it with exact, median, mean or proportion")
    claim = Claim(number, verdict, because.rstrip("."), evidence)
    missing = [row for one, row in zip(evidence, claim._rows(), strict=True) if not one.supports]
    if missing:
        lines = [f"- {what}: {measured}; demanded {demanded}" for what, measured, demanded, _ in missing]
        raise NotSupportedError("\n".join([f"claim {number} is not {verdict!r}:", *lines]))
    return claim


def collect(notebook: str | Path | dict[str, Any]) -> list[dict[str, Any]]:
    """Return the claims that a stored notebook settled, in order.

    Parameters
    ----------
    notebook : path or dict
        A notebook's file, or its content.

    Returns
    -------
    list of dict
        What `Claim.as_json` gave.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is not a notebook.
    """
    content: Any = notebook
    if isinstance(notebook, (str, Path)):
        content = json.loads(Path(notebook).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "cells" not in content:
        raise ValueError(f"a notebook has cells, and this has none: {notebook!r:.80}; give its file or its content")
    outputs: Iterable[dict[str, Any]] = (out for cell in content["cells"] for out in cell.get("outputs", []))
    return [out["data"][MIME] for out in outputs if MIME in out.get("data", {})]
