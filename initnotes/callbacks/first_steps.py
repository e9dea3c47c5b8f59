"""A network before its first step and after some: the audit, what a step changes, and what has died since.

What lives here knows no trainer: it gets a model, a batch and a loss, and puts back whatever it touches.
"""

from __future__ import annotations

import copy
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import _checks
from .._table import Table, table
from ..examine import Report, audit
from ..examine.batches import copied
from ..examine.nodes import TWO_SIDED
from ..examine.untouched import random_states_kept

__all__ = ["FirstSteps", "SecondLook", "headline", "numbers"]

_NAME = "initnotes"  # before each number in a logger
_SEED = 0  # of both looks: dropout draws the same masks in both


class FirstSteps:
    """What a training run is watched with: an audit before step 1, and a second look on the same batch after step k.

    Parameters
    ----------
    model : torch.nn.Module
    batch, loss, ignore, thresholds
        As `initnotes.audit` takes them. A copy of the batch is kept, on the device of the model.

    Notes
    -----
    Both looks run the model in train mode and with the same random numbers, so that their losses differ by the weights
    alone. Parameters, buffers, gradients, modes, the states of the random number generators, and what forward() keeps
    on the modules in plain attributes (counters, lists, running sums) are as before. The optimizer is not touched.

    No repair is tried: trials take some sixty passes and copies of the model. Call ``ini.audit`` outside of the run.

    Each look keeps a copy of the weights meanwhile, and so does `mark` until `after`.

    Examples
    --------
    >>> torch.manual_seed(1) and None
    >>> model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    >>> x, y = torch.randn(64, 8), torch.randn(64, 1)
    >>> loss = lambda outputs: nn.functional.mse_loss(outputs, y)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> first = FirstSteps(model, x, loss=loss)
    >>> first.before().healthy
    True
    >>> for step in range(1, 11):
    ...     optimizer.zero_grad()
    ...     loss(model(x)).backward()
    ...     if step == 10:
    ...         first.mark()
    ...     optimizer.step()
    >>> look = first.after(10)
    >>> look.loss < look.start.loss, list(look.ratios)
    (True, ['0', '2'])
    """

    def __init__(
        self,
        model: nn.Module,
        batch: Any,
        *,
        loss: Callable[[Any], Tensor] | None = None,
        ignore: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            given = model.__name__ if isinstance(model, type) else type(model).__name__
            raise TypeError(f"model must be a torch.nn.Module (an instance), got {given}")
        self.model, self.loss = model, loss
        self.batch = copied(batch, next(model.parameters(), torch.empty(0)), [], follow=False)
        self._options: dict[str, Any] = {"ignore": ignore, "thresholds": thresholds}
        self._start: Report | None = None
        self._marked: dict[str, list[Tensor]] | None = None

    def before(self) -> Report:
        """Audit the network as it is before step 1.

        Returns
        -------
        Report
            As of `initnotes.audit`, its repairs untried.

        Raises
        ------
        TypeError, ValueError
            As `initnotes.audit`.
        """
        self._start = self._looked()
        return self._start

    def mark(self) -> None:
        """Keep the weights as they are now: call it between ``backward()`` and the step that is to be measured."""
        self._marked = {
            name: [weight.detach().clone() for weight in weights] for name, weights in _matrices(self.model).items()
        }

    def after(self, steps: int) -> SecondLook:
        """Look again, when so many steps were taken. What moved since `mark` is the update.

        Parameters
        ----------
        steps : int
            That were taken since `before`; it is told, and nothing depends on it.

        Returns
        -------
        SecondLook

        Raises
        ------
        RuntimeError
            If `before` or `mark` was not called before it.
        """
        _checks.integer(steps, "steps")
        if self._start is None or self._marked is None:
            lacking = "before()" if self._start is None else "mark()"
            raise RuntimeError(
                f"after() compares with what was kept: call {lacking} first, mark() before the last step"
            )
        ratios, self._marked = _ratios(self._marked, _matrices(self.model)), None
        return SecondLook(steps, self._start, self._looked(), ratios)

    def _looked(self) -> Report:
        with _attributes_kept(self.model), _autocast_uncached(), random_states_kept([]):
            torch.manual_seed(_SEED)
            np.random.seed(_SEED)  # noqa: NPY002 - of models that draw from the global generators
            random.seed(_SEED)
            return audit(self.model, self.batch, loss=self.loss, try_fixes=False, **self._options)


@dataclass(frozen=True, eq=False)
class SecondLook:
    """What has become of a network after some steps. It prints as one line, and `table` has its layers.

    Attributes
    ----------
    steps : int
        Taken since the start.
    start, now : Report
        The audits, of the same batch.
    ratios : dict of str to float
        Of each layer with weights that train, rms(ΔW) / rms(W), with ΔW the last step and W the weights before it. 0 is
        a layer that stands still; inf one whose weights were all 0.

    Notes
    -----
    The ratio is that of *one* step, as the rule of thumb has it that wants 10⁻³: what many steps move depends on
    whether they go the same way. A layer with several matrices, such as an LSTM, has one ratio, of all their numbers.
    Vectors (biases, γ) have none: those that start at 0 have no size to compare with.
    """

    steps: int
    start: Report
    now: Report
    ratios: dict[str, float]

    @property
    def loss(self) -> float | None:
        """The loss now; that at the start is ``start.loss``."""
        return self.now.loss

    @property
    def dead(self) -> dict[str, tuple[float, float]]:
        """Of each layer with an activation: share of units that are off (|φ′| < 0.01) on all inputs, then and now."""
        return _then_and_now(self.start, self.now, "off", two_sided=None)

    @property
    def saturated(self) -> dict[str, tuple[float, float]]:
        """Of each layer with tanh, a sigmoid or their like: share of activations with |φ′| < 0.01, then and now."""
        return _then_and_now(self.start, self.now, "saturated", two_sided=True)

    @property
    def new(self) -> list[str]:
        """The kinds of errors and warnings that an audit finds now, and did not at the start."""
        return [kind for kind in self.now.kinds() if kind not in self.start.kinds()]

    def table(self) -> Table:
        """Return a table of the layers."""
        dead, flat = self.dead, self.saturated
        places = [record.place for record in self.now.layers]
        names = list(dict.fromkeys([*places, *self.ratios]))
        lacking = (math.nan, math.nan)
        columns: dict[str, list[Any]] = {
            "layer": names,
            "update / weight": [self.ratios.get(n, math.nan) for n in names],
        }
        for head, shares in (("dead", dead), ("saturated", flat)):
            if shares:
                columns[f"{head} at the start"] = [shares.get(name, lacking)[0] for name in names]
                columns[f"{head} now"] = [shares.get(name, lacking)[1] for name in names]
        return table(columns, caption=f"{self.now.model} after {self.steps} steps")

    def __str__(self) -> str:
        parts = [f"{_NAME}, after {self.steps} step{'s' * (self.steps != 1)}: {self.now.model}"]
        if self.start.loss is not None and self.loss is not None:
            parts.append(f"loss {self.start.loss:.3g} → {self.loss:.3g} on the first batch")
        if self.ratios:
            least, most = (pick(self.ratios, key=self.ratios.__getitem__) for pick in (min, max))
            parts.append(f"update/weight {self.ratios[least]:.2g} ({least}) … {self.ratios[most]:.2g} ({most})")
        known = "not finite" not in self.now.kinds()  # NaN is neither off nor on
        for what, shares in (("dead units", self.dead), ("saturated units", self.saturated)) if known else ():
            if shares:
                worst = max(shares, key=lambda name: shares[name][1])
                then, now = shares[worst]
                parts.append(f"{what} {then:.0%} → {now:.0%} at {worst}" if now else f"no {what}")
        return "; ".join([*parts, *([f"new: {', '.join(self.new)}"] if self.new else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def headline(report: Report) -> str:
    """Return an audit before step 1 as one line."""
    found = [finding for finding in report.findings if finding.severity != "info"]
    more = [f" and {len(finding.layers) - 1} more" if len(finding.layers) > 1 else "" for finding in found]
    said = ", ".join(f"{own.severity}: {own.kind} at {own.layer}{rest}" for own, rest in zip(found, more, strict=True))
    loss = "" if report.loss is None else f"; loss {report.loss:.3g}"
    return f"{_NAME}, before step 1: {report.model}, {len(report.layers)} layers: {said or 'nothing found'}{loss}"


def numbers(look: Report | SecondLook) -> dict[str, float]:
    """Return what a logger gets: finite numbers by name. Both looks have the loss, errors and warnings."""
    report = look if isinstance(look, Report) else look.now
    found: dict[str, float] = {"loss": math.nan if report.loss is None else report.loss}
    for severity in ("error", "warning"):
        found[f"{severity}s"] = float(sum(finding.severity == severity for finding in report.findings))
    if isinstance(look, SecondLook):
        for what, shares in (("dead", look.dead), ("saturated", look.saturated)):
            if shares:
                found[f"{what}_max"] = max(now for _, now in shares.values())
        found |= {f"update_to_weight/{name}": ratio for name, ratio in look.ratios.items()}
    return {f"{_NAME}/{name}": value for name, value in found.items() if math.isfinite(value)}


def _matrices(model: nn.Module) -> dict[str, list[Tensor]]:
    """Return the matrices that train, by the layer that owns them; one that layers share belongs to each."""
    found: dict[str, list[Tensor]] = {}
    for name, module in model.named_modules():
        own = [weight for weight in module._parameters.values() if weight is not None]
        own = [weight for weight in own if weight.requires_grad and weight.dim() >= 2 and weight.numel()]
        if own:
            place = name.partition(".parametrizations.")[0] or type(model).__name__
            found.setdefault(place, []).extend(own)
    return found


def _ratios(before: Mapping[str, list[Tensor]], after: Mapping[str, list[Tensor]]) -> dict[str, float]:
    """Return the size of the change of each layer's weights over their size before."""
    found = {}
    for name, weights in before.items():
        moved = [new.detach() - old for new, old in zip(after.get(name, ()), weights, strict=True)]
        size, change = _norm(weights), _norm(moved)
        found[name] = change / size if size else (math.inf if change else 0.0)
    return found


def _norm(parts: Sequence[Tensor]) -> float:
    norms = [
        torch.linalg.vector_norm(part.flatten(), dtype=torch.promote_types(part.dtype, torch.float32)) for part in parts
    ]
    return math.hypot(*map(float, norms))


def _then_and_now(start: Report, now: Report, share: str, *, two_sided: bool | None) -> dict[str, tuple[float, float]]:
    then = _shares(start, share, two_sided=two_sided)
    return {name: (then.get(name, math.nan), value) for name, value in _shares(now, share, two_sided=two_sided).items()}


def _shares(report: Report, share: str, *, two_sided: bool | None) -> dict[str, float]:
    """Return the largest share of each layer, of the activations that are known."""
    found: dict[str, float] = {}
    for record in report.layers:
        for units in record.applied:
            value = getattr(units, share)
            if two_sided in (None, units.activation in TWO_SIDED) and not math.isnan(value):
                found[record.place] = max(value, found.get(record.place, 0.0))
    return found


@contextmanager
def _autocast_uncached() -> Iterator[None]:
    """Let a surrounding autocast keep no casts: a look moves weights and must see what follows."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


_HOLDERS = (list, dict, set, deque)


@contextmanager
def _attributes_kept(model: nn.Module) -> Iterator[None]:
    """Put back plain attributes of modules: what is set anew, and what lists, dicts, sets and tensors held."""
    kept = [(vars(module), dict(vars(module))) for module in model.modules()]
    held = [value for _, own in kept for value in own.values() if isinstance(value, (*_HOLDERS, Tensor))]
    copies = [value.detach().clone() if isinstance(value, Tensor) else copy.copy(value) for value in held]
    try:
        yield
    finally:
        for now, own in kept:
            for name in now.keys() - own.keys():
                del now[name]
            now.update(own)
        for value, before in zip(held, copies, strict=True):
            _refill(value, before)


def _refill(value: Any, before: Any) -> None:
    if isinstance(value, Tensor):
        with torch.no_grad():
            if not torch.equal(value, before):
                value.copy_(before)
    elif isinstance(value, (list, deque)):
        value.clear()
        value.extend(before)
    else:
        value.clear()
        value.update(before)
