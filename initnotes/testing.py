"""For test suites: `assert_healthy` fails where an audit finds something.

What lives here raises; the audit itself is in ``examine``.

Examples
--------
>>> import torch
>>> from torch import nn
>>> torch.manual_seed(1) and None
>>> assert_healthy(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2)), torch.randn(32, 8))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _checks
from .examine import Report, audit

__all__ = ["assert_healthy"]


def assert_healthy(
    model: Any,
    batch: Any,
    *,
    loss: Callable[[Any], Any] | None = None,
    fail_on: str = "warning",
    ignore: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Fail where `ini.audit` finds an error, or a warning.

    Parameters
    ----------
    model, batch, loss, ignore, thresholds
        As `ini.audit` takes them.
    fail_on : {"warning", "error"}
        The least that fails.

    Raises
    ------
    AssertionError
        With the report, and its repairs, as text.
    TypeError, ValueError
        As `ini.audit`.
    """
    severities = ("error", "warning")[: 1 + (_checks.one_of(fail_on, "fail_on", ("error", "warning")) == "warning")]
    report: Report = audit(model, batch, loss=loss, ignore=ignore, thresholds=thresholds)
    if report.kinds(*severities):
        raise AssertionError(f"{report.model} is not healthy at its start\n{report}")
