"""Every repair is tried on a copy before it is printed: the copy is audited again, and trained for a few steps.

What lives here runs the code of findings; what is not better with it is withheld, and it is said why.
"""

from __future__ import annotations

import copy
import importlib
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from . import batches
from .report import Finding, Report

__all__ = ["tried"]

RATES, STEPS = (1e-3, 1e-2, 1e-1), 10  # of Adam, whose steps do not depend on the size of a gradient
_SLOW = ("weight scale", "vanishing signal", "exploding signal", "vanishing gradient", "exploding gradient")
_HIDING = ("not finite", "zero weights")  # with these, nothing else of the layers is judged
BUDGET = 60.0  # seconds that all trials of one audit may compute; a busy machine does not count
WORSE = 0.02  # of the loss at the start: what is higher by so much, at each side's own best rate, is worse


class _SlowError(Exception):
    """A trial that the time left does not allow."""


class _Losses(NamedTuple):
    """At the start, and after some steps at the best rate."""

    start: float
    end: float


class _Left(NamedTuple):
    """Of one kind: how many errors and warnings there are, and whether there is an error."""

    number: int
    error: bool


class _Trial(NamedTuple):
    """What one repair did: the kinds of errors and warnings left, and how the copy trained; or why it was not tried."""

    left: Mapping[str, _Left] = {}
    loss: _Losses | None = None
    failed: str = ""
    slow: str = ""


def tried(
    report: Report, model: nn.Module, batch: Any, loss: Callable[[Any], Tensor] | None, again: Callable[..., Report]
) -> list[Finding]:
    """Return the findings of a report, each with what its repair does to a copy of the model.

    The states of the global random number generators change.

    Parameters
    ----------
    report : Report
    model, batch, loss
        As they were audited.
    again : callable
        Audits a model on a batch and a loss, without trials.
    """
    by_code: dict[str, _Trial] = {}
    before, plain, until = _left(report), None, time.thread_time() + BUDGET
    found: list[Finding] = []
    for finding in report.findings:
        if finding.severity == "info" or not finding.fix or _is_by_hand(finding.fix):
            found.append(finding)
            continue
        if finding.fix not in by_code:
            try:
                _check_time(until)
                if loss is not None and plain is None:
                    plain = _trained(model, batch, loss, until)
                by_code[finding.fix] = _try(finding.fix, model, batch, loss, again, until)
            except _SlowError as error:
                by_code[finding.fix] = _Trial(slow=str(error))
            except Exception as error:  # of a copy, the code, or a loss that can be asked once only
                by_code[finding.fix] = _Trial(failed=f"{type(error).__name__}: {error}")
        found.append(_judged(finding, by_code[finding.fix], before, plain))
    return found


def _is_by_hand(fix: str) -> bool:
    return any(line.startswith("#") for line in fix.splitlines())


def _left(report: Report) -> dict[str, _Left]:
    own = [finding for finding in report.findings if finding.severity != "info"]
    grave = {finding.kind for finding in own if finding.severity == "error"}
    return {kind: _Left(number, kind in grave) for kind, number in Counter(finding.kind for finding in own).items()}


def _judged(finding: Finding, trial: _Trial, before: Mapping[str, _Left], plain: _Losses | None) -> Finding:
    """Return a finding with what its repair did; one that does not help is withheld."""
    if trial.slow:
        return replace(finding, fix="", tried=f"no repair is shown: {trial.slow}")
    if trial.failed:
        return replace(finding, tried=f"not tried on a copy: {trial.failed}")
    new = sorted(trial.left.keys() - before.keys())
    hidden = finding.kind in _HIDING and finding.severity == "error"  # what is new was there, and could not be seen
    if new and not hidden:
        return replace(finding, fix="", tried=f"no repair is shown: the one that fits brings {new[0]}")
    after, gained = "", 0.0
    if plain is not None and trial.loss is not None:
        after = f"the loss after {STEPS} steps is {_said(trial.loss.end)}, without it {_said(plain.end)}"
        gained = _gained(trial.loss, plain)
    if gained < -WORSE:
        grave = "warning" if finding.kind in _SLOW else finding.severity  # it trains better as it is
        return replace(finding, severity=grave, fix="", tried=f"no repair is shown: with the one that fits {after}")
    now, then = trial.left.get(finding.kind, _Left(0, False)), before[finding.kind]
    cured = now.number < then.number
    if not cured and gained <= WORSE and not then.error > now.error:
        why = "was tried on a copy, and does not cure it"
        return replace(finding, fix="", tried=f"no repair is shown: the one that fits {why}")
    said = "cures it" if cured else "helps, and does not cure it"
    said += f"; then {', '.join(new)} shows" if new else ""
    return replace(finding, tried=f"tried on a copy: {said}{'; ' * bool(after)}{after}")


def _gained(repaired: _Losses, plain: _Losses) -> float:
    """Return by how much the repaired model ends lower, in the smaller of the two losses at the start."""
    if not math.isfinite(repaired.end):
        return -math.inf if math.isfinite(plain.end) else 0.0
    return (plain.end - repaired.end) / max(1e-12, min(abs(repaired.start), abs(plain.start)))


def _said(loss: float) -> str:
    return f"{loss:.2g}" if math.isfinite(loss) else "not finite"


def _check_time(until: float, step: float = 0.0) -> None:
    """Raise where the time is up, or will be before ten steps at three rates are done."""
    if time.thread_time() + step > until:
        took = f", and the steps of one take {step:.0f} more" if step else ""
        said = f"too slow to try: trials may take {BUDGET:g} s in all{took}"
        raise _SlowError(f"{said}; ini.audit(..., try_fixes=False) shows it untried")


def _try(fix: str, model: nn.Module, batch: Any, loss: Any, again: Callable[..., Report], until: float) -> _Trial:
    known = {
        "model": copy.deepcopy(model),
        "batch": copy.deepcopy(batch),
        "ini": importlib.import_module("initnotes"),
        "torch": torch,
        "np": np,
        "rng": np.random.default_rng(0),
    }
    torch.manual_seed(0)
    exec(fix, known)
    report = again(known["model"], known["batch"], loss)
    return _Trial(_left(report), None if loss is None else _trained(known["model"], known["batch"], loss, until))


def _trained(model: nn.Module, batch: Any, loss: Callable[[Any], Tensor], until: float) -> _Losses:
    """Return the loss on the batch before and after a few steps of Adam on it, at the best of three rates."""
    runs = [_after(copy.deepcopy(model), batch, loss, rate, until) for rate in RATES]
    return _Losses(runs[0].start, min(run.end for run in runs))


def _after(model: nn.Module, batch: Any, loss: Callable[[Any], Tensor], rate: float, until: float) -> _Losses:
    parts, named = batches.arguments(batches.copied(batch, next(model.parameters()), [], follow=False))
    trained = [own for own in model.train().parameters() if own.requires_grad]
    optimizer, seen = torch.optim.Adam(trained, lr=rate), []
    torch.manual_seed(0)
    with torch.enable_grad():
        started = time.thread_time()
        for at in range(STEPS + 1):
            left = (STEPS + 1 - at) * (time.thread_time() - started) / max(1, at)
            _check_time(until, left)
            now = loss(model(*parts, **named))
            seen.append(float(now.detach()))
            if not math.isfinite(seen[-1]):
                return _Losses(seen[0], math.inf)
            # Not backward(): a loss may also depend on the model that was given, whose .grad stays as it is.
            for own, gradient in zip(trained, torch.autograd.grad(now, trained, allow_unused=True), strict=True):
                own.grad = gradient
            optimizer.step()
    return _Losses(seen[0], seen[-1])
