"""Evidence from training: a sweep over learning rates, in which each arm is judged at its own best rate.

What lives here turns a sweep into evidence; ``initnotes.training.sweep`` makes one, and chooses what may be judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .evidence import Evidence, Tuning
from .intervals import mean, median, proportion

if TYPE_CHECKING:
    from ..networks.sweeps import Sweep

__all__ = ["training"]

RATES = 5  # the fewest that a verdict about training is read off
STATISTICS: dict[str, Callable[..., Evidence]] = {"median": median, "mean": mean, "proportion": proportion}


def training(
    what: str,
    sweep: Sweep,
    arm: str,
    against: str | None = None,
    *,
    statistic: str = "median",
    below: float | None = None,
    steps: Sequence[int] | None = None,
    digits: int = 2,
    excludes: Mapping[str, Any] | None = None,
    **demand: Any,
) -> tuple[Evidence, ...]:
    """Judge an arm of a sweep at its own best rate, alone or minus another at its own, at each budget.

    Replicas that diverged count: their loss is infinite, or whatever the sweep gives for it. How many did at the best
    rate is shown, and so is a best rate that stands at an end of the rates tried.

    Parameters
    ----------
    what : str
    sweep : Sweep
        At least 5 rates.
    arm, against : str
        Names of arms; with `against`, what is judged is the paired difference.
    statistic : {"median", "mean", "proportion"}
        "proportion" asks in how many replicas the value is `below` a number.
    below : float, optional
        With "proportion" only.
    steps : sequence of int, optional
        The budgets to judge, of the sweep's; all of them by default. One alone is an answer for one budget, for which
        `settle` asks ``budget=``.
    digits, excludes, **demand
        As for `median`.

    Returns
    -------
    tuple of Evidence
        One for each budget; pass them on as ``*training(...)``.

    Raises
    ------
    TypeError, ValueError
        If an arm or a budget is not the sweep's, it has fewer than 5 rates, or as for `median`.
    """
    judge = STATISTICS[_checks.one_of(statistic, "statistic", STATISTICS)]
    if (below is not None) != (statistic == "proportion"):
        raise ValueError(f"{what}: below= and statistic='proportion' go together, got {below!r} and {statistic!r}")
    arms = [_checks.one_of(name, "arm", sweep.arms) for name in ((arm,) if against is None else (arm, against))]
    if len(sweep.rates) < RATES:
        raise ValueError(f"{what}: a verdict about training needs at least {RATES} rates, got {len(sweep.rates)}")
    shared: dict[str, Any] = {"digits": digits, "excludes": excludes, **demand}
    found = []
    for at in _chosen(what, sweep, steps):
        values = sweep.at_best(arm, at) if against is None else sweep.difference(arm, against, at)
        judged = values if below is None else np.asarray(values) < below
        evidence = judge(f"{what}, {sweep.budgets[at]} steps", judged, **shared)
        found.append(replace(evidence, tuning=_tuning(sweep, arms, at)))
    return tuple(found)


def _chosen(what: str, sweep: Sweep, steps: Sequence[int] | None) -> list[int]:
    budgets = list(sweep.budgets)
    wanted = budgets if steps is None else list(steps)
    if not wanted or any(step not in budgets for step in wanted):
        raise ValueError(f"{what}: steps must be some of the sweep's budgets {budgets}, got {wanted}")
    return [budgets.index(step) for step in wanted]


def _tuning(sweep: Sweep, arms: Sequence[str], at: int) -> Tuning:
    best = {arm: int(sweep.best(arm)[at]) for arm in arms}
    return Tuning(
        steps=int(sweep.budgets[at]),
        rates=tuple(float(rate) for rate in sweep.rates),
        best=tuple(float(sweep.rates[index]) for index in best.values()),
        diverged=tuple(int(np.sum(sweep.diverged[arm][index])) for arm, index in best.items()),
        at_edge=any(bool(sweep.at_edge[arm][at]) for arm in arms),
    )
