"""Evidence: one measurement beside the range that a verdict demands of it, and the wrong answers that this rules out.

What lives here holds numbers and shows them; ``intervals`` makes them from draws, and ``claims`` judges with them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import cached_property
from typing import Any

__all__ = ["EVERY", "Evidence", "Tuning", "WrongAnswer"]

EVERY = "every value"
ROUGHLY = "≈"  # before a number that depends on the machine: what compares outputs leaves it out


@dataclass(frozen=True)
class WrongAnswer:
    """What another answer would have given, which the demand rules out.

    Attributes
    ----------
    name : str
        The answer in words.
    value : float
        What it gives: a known number, or the same statistic of draws made under it.
    samples : int
        The draws behind the value; 0 for a known number.
    """

    name: str
    value: float
    samples: int = 0


@dataclass(frozen=True)
class Tuning:
    """How training was tuned before it was measured: each arm at its own best rate.

    Attributes
    ----------
    steps : int
        The budget.
    rates : tuple of float
        That were tried.
    best : tuple of float
        One for each arm.
    diverged : tuple of int
        Replicas of each arm that diverged at its best rate.
    at_edge : bool
        Whether a best rate is the smallest or the largest tried: a better one may lie beyond.
    """

    steps: int
    rates: tuple[float, ...]
    best: tuple[float, ...]
    diverged: tuple[int, ...]
    at_edge: bool

    def __str__(self) -> str:
        """Say what a reader needs: how many rates, whether the best stands at an end of them, how many diverged."""
        end = ", at an end of them" if self.at_edge else ""
        count = _round(sum(self.diverged), 1, ROUND_HALF_EVEN)
        return f"best of {len(self.rates)} rates{end}" + (f", {ROUGHLY} {count} diverged" if count != "0" else "")


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
        At the confidence of `initnotes.book.intervals`; for "every value", the smallest and the largest.
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
        Significant digits that are shown; 0 for what depends on the machine: as few as show that the demand is met.
    excludes : tuple of WrongAnswer
        Each lies outside the demanded range.
    tuning : Tuning or None
        For what was measured after training, in a sweep over learning rates.
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
    excludes: tuple[WrongAnswer, ...] = ()
    tuning: Tuning | None = None

    def __post_init__(self) -> None:
        for wrong in self.excludes:
            if self.demanded[0] <= wrong.value <= self.demanded[1]:
                raise ValueError(
                    f"{self.what}: the demand {self.range()} does not exclude {wrong.name!r}, which gives "
                    f"{wrong.value:.6g}; narrow the demand, or measure what tells the two apart"
                )

    @property
    def supports(self) -> bool:
        """Whether the whole interval lies inside the demanded range."""
        return self.demanded[0] <= self.interval[0] <= self.interval[1] <= self.demanded[1]

    @property
    def drawn(self) -> bool:
        """Whether the interval is that of a statistic of draws, and not of every value."""
        return self.statistic != EVERY

    @property
    def of_theory(self) -> tuple[float, float] | None:
        """The interval over the theory; None where no finite theory but 0 stands beside draws."""
        if not self.drawn or not self.theory or math.isinf(self.theory):
            return None
        low, high = sorted(end / self.theory for end in self.interval)
        return low, high

    @property
    def missed_by(self) -> float:
        """How far the theory lies outside of the interval, as a share of the theory; 0.0 if it lies inside, or is none.

        Examples
        --------
        >>> f'{Evidence("x", "median", 2.2, (2.1, 2.4), (1.6, 2.6), 2.0, 32, 1e-9).missed_by:.2f}'
        '0.05'
        """
        if self.of_theory is None:
            return 0.0
        low, high = self.of_theory
        return max(low - 1, 1 - high, 0.0)

    def measured(self) -> str:
        """Return the estimate and its interval as text; the interval is rounded outward."""
        low, high = _outward(self.interval, self._shown_digits)
        value = _round(self.estimate, self._shown_digits, ROUND_HALF_EVEN)
        return self._mark + (value if low == high == value else f"{value} [{low}, {high}]")

    @property
    def _mark(self) -> str:
        return "" if self.digits or not self.supports else f"{ROUGHLY} "

    @cached_property
    def _shown_digits(self) -> int:
        """The digits asked for; of what depends on the machine as few as show that the demand is met."""
        if self.digits or not self.supports:
            return self.digits or 2
        return next((digits for digits in (1, 2, 3) if self._is_seen(digits)), 4)

    def _is_seen(self, digits: int) -> bool:
        low, high = self.demanded
        inside = all(low <= _read_back(end) <= high for end in _outward(self.interval, digits))
        others = (_read_back(_round(wrong.value, digits, ROUND_HALF_EVEN)) for wrong in self.excludes if wrong.samples)
        return inside and not any(low <= other <= high for other in others)

    def shown(self) -> str:
        """Return what was measured as text, with the statistic and the number of draws."""
        every = "the one value" if self.samples == 1 else f"all {self.samples} values"
        of = f"{self.statistic} of {self.samples} draws" if self.drawn else every
        tuned = f" ({self.tuning})" if self.tuning else ""
        return f"{of}{tuned}: {self.measured()}"

    def range(self, *, brief: bool = False) -> str:
        """Return the demanded range as text; `brief` rounds to 4 digits what a boundary has beyond 6."""
        low, high = map(_briefly if brief else in_full, self.demanded)
        if self.demanded[0] == self.demanded[1]:
            return f"= {low}"
        if math.isinf(self.demanded[1]):
            return f"≥ {low}"
        return f"≤ {high}" if math.isinf(self.demanded[0]) else f"{low} to {high}"

    def demand(self, *, brief: bool = False) -> str:
        """Return the demand as text: the theory give or take its tolerance, or the range with the theory beside it."""
        if self.theory is None or not self.drawn:
            return self.range(brief=brief)
        low, high = self.demanded
        tolerance = (high - low) / (2 * abs(self.theory)) if self.theory and math.isfinite(high - low) else math.inf
        if math.isfinite(tolerance) and math.isclose(low + high, 2 * self.theory, rel_tol=1e-12):
            return f"theory {self.theory:.3g} ± {(_briefly if brief else in_full)(100 * tolerance)} %"
        return f"{self.range(brief=brief)} (theory {self.theory:.3g})"

    def demanded_not(self) -> str:
        """Return the demand as text, with the wrong answers that it rules out and what each gives."""
        return ", ".join([self.demand(), *(f"not {self._value(wrong)} ({wrong.name})" for wrong in self.excludes)])

    def _value(self, wrong: WrongAnswer) -> str:
        if not wrong.samples:
            return _round(wrong.value, 3, ROUND_HALF_EVEN)
        return self._mark + _round(wrong.value, self._shown_digits, ROUND_HALF_EVEN)

    def chance(self) -> str:
        """Return the false-failure rate, rounded up to a power of ten: a stated bound, or about what was estimated."""
        if not self.false_failure_rate:
            return "0 (follows from algebra)"
        return f"{(self._mark.strip() or 'about') if self.drawn else '≤'} {self.stated_rate:g}"

    @property
    def stated_rate(self) -> float:
        """The false-failure rate as it is shown, rounded up to a power of ten."""
        return _power_of_ten(self.false_failure_rate)

    def as_json(self) -> dict[str, Any]:
        """Return all attributes as what JSON can hold, numbers unrounded.

        An end that a demand does not have is None; what diverged, for which JSON has no number, is "infinite".

        Examples
        --------
        >>> evidence = Evidence("x", "median", 3.0, (2.5, math.inf), (2.0, math.inf), None, 32, 1e-9)
        >>> stored = evidence.as_json()
        >>> stored["interval"], stored["demanded"], Evidence.from_json(stored) == evidence
        ([2.5, 'infinite'], [2.0, None], True)
        """
        low, high = self.demanded
        ends = (None if low == -math.inf else low, None if high == math.inf else high)
        return {name: _storable(value) for name, value in (asdict(self) | {"demanded": ends}).items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Evidence:
        """Return the evidence that `as_json` stored."""
        at_least, at_most = stored["demanded"]
        tuning = stored["tuning"] and Tuning(**{name: _frozen(value) for name, value in stored["tuning"].items()})
        read = {
            "estimate": _read_back(stored["estimate"]),
            "interval": tuple(map(_read_back, stored["interval"])),
            "demanded": (
                -math.inf if at_least is None else _read_back(at_least),
                math.inf if at_most is None else _read_back(at_most),
            ),
            "theory": None if stored["theory"] is None else _read_back(stored["theory"]),
            "excludes": tuple(
                WrongAnswer(**wrong | {"value": _read_back(wrong["value"])}) for wrong in stored["excludes"]
            ),
            "tuning": tuning,
        }
        return cls(**stored | read)


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _storable(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_storable(part) for part in value]
    return _infinite(value) if isinstance(value, float) and not math.isfinite(value) else value


def _infinite(value: float) -> str:
    return "infinite" if value > 0 else "-infinite"


def _read_back(value: float | str) -> float:
    """Return the number that was stored or shown."""
    return float(value.replace("infinite", "inf") if isinstance(value, str) else value)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def in_full(value: float) -> str:
    """Return a number with all its digits, or with an ellipsis after the first 6 if there are more than 8."""
    if math.isinf(value):
        return _infinite(value)
    for digits in range(1, 9):
        text = f"{value:.{digits}g}"
        if float(text) == value or math.isclose(float(text), value, rel_tol=1e-14):  # 1.1 * 2 is 2.2
            return f"{float(text):.8g}"  # without an exponent where there is room
    number = Decimal(value)
    cut = number.quantize(Decimal(1).scaleb(number.adjusted() - 5), ROUND_DOWN)
    mantissa, _, exponent = f"{float(cut):#.6g}".partition("e")
    return f"{mantissa}…" + (f" × 10^{int(exponent)}" if exponent else "")


def _briefly(value: float) -> str:
    """Return a number with all its digits if they are few, else with 4.

    Examples
    --------
    >>> _briefly(0.0001), _briefly(math.log(10)), _briefly(math.inf)
    ('0.0001', '2.303', 'infinite')
    """
    text = in_full(value)
    return f"{value:.4g}" if "…" in text or len(text) > 8 else text


def _power_of_ten(rate: float) -> float:
    return 10.0 ** math.ceil(math.log10(min(max(rate, 1e-9), 1.0))) if rate else 0.0


def _outward(interval: tuple[float, float], digits: int) -> tuple[str, str]:
    """Round an interval's ends away from each other to so many significant digits."""
    return _round(interval[0], digits, ROUND_FLOOR), _round(interval[1], digits, ROUND_CEILING)


def _round(value: float, digits: int, rounding: str) -> str:
    if math.isinf(value):
        return _infinite(value)
    if value == 0:
        return "0"
    number = Decimal(f"{value:.{min(digits + 8, 14)}e}")  # as in 0.1 + 0.2, what is beyond is rounding
    shown = number.quantize(Decimal(1).scaleb(number.adjusted() - digits + 1), rounding)
    return f"{float(shown):.{max(digits, 6)}g}"
