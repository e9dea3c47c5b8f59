"""Every repair is tried on a copy before it is printed: the copy is audited again, and trained for a few steps.

What lives here runs the code of findings; what is not better with it is withheld, and it is said why.
"""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from . import batches
from .report import Finding, Report

__all__ = ["tried"]

RATES, STEPS = (1e-3, 1e-2, 1e-1), 10  # of Adam, whose steps do not depend on the size of a gradient
WORSE = 1.02  # a loss that is higher by so much, at each side's own best rate, is worse


class _Trial(NamedTuple):
    """What one repair did: the kinds of errors and warnings left, and the loss after some steps; or why not."""

    left: frozenset[str] = frozenset()
    loss: float = math.nan
    failed: str = ""


def tried(
    report: Report, model: nn.Module, batch: Any, loss: Callable[[Any], Tensor] | None, again: Callable[..., Report]
) -> list[Finding]:
    """Return the findings of a report, each with what its repair does to a copy of the model.

    Parameters
    ----------
    report : Report
    model, batch, loss
        As they were audited.
    again : callable
        Audits a model on a batch and a loss, without trials.
    """
    by_code: dict[str, _Trial] = {}
    before, plain = frozenset(report.kinds()), math.nan
    found = []
    for finding in report.findings:
        if finding.severity == "info" or not finding.fix or _is_by_hand(finding.fix):
            found.append(finding)
            continue
        if finding.fix not in by_code:
            if math.isnan(plain) and loss is not None:
                plain = _trained(model, batch, loss)
            by_code[finding.fix] = _try(finding.fix, model, batch, loss, again)
        found.append(_judged(finding, by_code[finding.fix], before, plain))
    return found


def _is_by_hand(fix: str) -> bool:
    return all(line.startswith("#") for line in fix.splitlines())


def _judged(finding: Finding, trial: _Trial, before: frozenset[str], plain: float) -> Finding:
    if trial.failed:
        return replace(finding, tried=f"not tried on a copy: {trial.failed}")
    new = sorted(trial.left - before)
    if new:
        return replace(finding, fix="", tried=f"no repair is shown: the one that fits brings {new[0]}")
    after = ""
    if not math.isnan(plain):
        lost = (math.isinf(trial.loss) and not math.isinf(plain)) or trial.loss > WORSE * plain
        after = f"; the loss after {STEPS} steps is {_said(trial.loss)}, without it {_said(plain)}"
        if lost:
            return replace(finding, fix="", tried=f"no repair is shown: with the one that fits{after[1:]}")
    if finding.kind not in trial.left:
        return replace(finding, tried=f"tried on a copy: cures it{after}")
    if after and trial.loss < plain / WORSE:
        return replace(finding, tried=f"tried on a copy: helps, and does not cure it{after}")
    return replace(
        finding, fix="", tried="no repair is shown: the one that fits was tried on a copy, and does not cure it"
    )


def _said(loss: float) -> str:
    return f"{loss:.2g}" if math.isfinite(loss) else "not finite"


def _try(fix: str, model: nn.Module, batch: Any, loss: Any, again: Callable[..., Report]) -> _Trial:
    try:
        known = {
            "model": copy.deepcopy(model),
            "batch": batches.copied(batch, next(model.parameters()), [], follow=False),
            "ini": importlib.import_module("initnotes"),
            "torch": torch,
            "np": np,
            "rng": np.random.default_rng(0),
        }
    except Exception as error:
        return _Trial(failed=f"the model cannot be copied ({type(error).__name__})")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            exec(fix, known)
            report = again(known["model"], known["batch"], loss)
            after = math.nan if loss is None else _trained(known["model"], known["batch"], loss)
    except Exception as error:
        return _Trial(failed=f"{type(error).__name__}: {error}")
    return _Trial(frozenset(report.kinds()), after)


def _trained(model: nn.Module, batch: Any, loss: Callable[[Any], Tensor]) -> float:
    """Return the loss on the batch after a few steps of Adam on it, at the best of three rates."""
    return min(_after(copy.deepcopy(model), batch, loss, rate) for rate in RATES)


def _after(model: nn.Module, batch: Any, loss: Callable[[Any], Tensor], rate: float) -> float:
    parts, named = batches.arguments(batches.copied(batch, next(model.parameters()), [], follow=False))
    trained = [own for own in model.train().parameters() if own.requires_grad]
    optimizer, value = torch.optim.Adam(trained, lr=rate), math.inf
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        for _ in range(STEPS + 1):
            loss_now = loss(model(*parts, **named))
            value = float(loss_now.detach())
            if not math.isfinite(value):
                return math.inf
            optimizer.zero_grad()
            loss_now.backward()
            optimizer.step()
    return value
