"""Sweeps over learning rates: each arm of a comparison is trained at every rate, and judged at its own best one.

What lives here trains and chooses; a verdict on what was chosen is for the reader of a `Sweep`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks, _table
from . import updates
from .best_rates import increasing, rate
from .descent import updater
from .ensemble import Ensemble, join

__all__ = ["Sweep", "sweep"]

HALVES = (slice(0, None, 2), slice(1, None, 2))  # of the replicas
NUMBERS = 2**22  # of all layers, that a loss is measured from at once


@dataclass(frozen=True, repr=False)
class Sweep:
    """What training gave: of each arm, at each of K rates, after each of B budgets, for each of R replicas.

    The best of K rates, chosen by the replicas that are then judged, looks better than it is: of K equally good rates
    it is the luckiest. Here the replicas with even numbers choose the rate at which those with odd numbers are judged,
    and the other way round, so that what is judged had no part in the choice (cross-validation with two folds).

    Attributes
    ----------
    rates : ndarray, shape (K,)
    arms : tuple of str
    budgets : tuple of int
        Steps of training.
    values : dict of str to ndarray, shape (B, K, R)
        Of each arm, what was measured; smaller is better. inf where a replica has diverged.
    diverged : dict of str to ndarray of bool, shape (K, R)
        Whether, at some budget, the parameters or what was measured was not finite.

    References
    ----------
    Stone, "Cross-validatory choice and assessment of statistical predictions", Journal of the Royal Statistical
    Society B 36, 1974. Cawley & Talbot, JMLR 11, 2010, measure what choosing and judging by the same data adds.
    """

    rates: np.ndarray
    arms: tuple[str, ...]
    budgets: tuple[int, ...]
    values: dict[str, np.ndarray]
    diverged: dict[str, np.ndarray]

    def best(self, arm: str) -> np.ndarray:
        """Return the index of the rate with the smallest median over all replicas, at each budget, shape (B,)."""
        return _choice(self._values(arm))

    @property
    def at_edge(self) -> dict[str, np.ndarray]:
        """By arm, shape (B,), whether a half chose the smallest or largest rate: the best may lie beyond the grid."""
        ends = (0, len(self.rates) - 1)
        return {
            arm: np.any([np.isin(_choice(self.values[arm][..., half]), ends) for half in HALVES], axis=0)
            for arm in self.arms
        }

    def at_best(self, arm: str, budget_index: int) -> np.ndarray:
        """Return what may be judged: each replica at the rate that the other half of them chose, shape (R,).

        Raises
        ------
        TypeError, ValueError
            If there is no such arm or budget.
        """
        at = self._budget(budget_index)
        own = self._values(arm)[at]
        judged = np.empty(own.shape[-1])
        for these, others in zip(HALVES, HALVES[::-1], strict=True):
            judged[these] = own[_choice(own[:, others]), these]
        return judged

    def difference(self, a: str, b: str, budget_index: int) -> np.ndarray:
        """Return `at_best` of `a` minus that of `b`, replica by replica, shape (R,); 0 where both have diverged."""
        first, second = self.at_best(a, budget_index), self.at_best(b, budget_index)
        both = np.isinf(first) & np.isinf(second)
        return np.where(both, 0.0, np.where(both, 0.0, first) - np.where(both, 0.0, second))

    def table(self, *, digits: int = 2) -> _table.Table:
        """Return a table: the best rate, median and range of what may be judged, and how many diverged at that rate."""
        rows = [self._row(arm, at, digits) for arm in self.arms for at in range(len(self.budgets))]
        return _table.table({head: [row[head] for row in rows] for head in rows[0]}, digits=digits)

    def _row(self, arm: str, at: int, digits: int) -> dict[str, Any]:
        best, judged = self.best(arm)[at], self.at_best(arm, at)
        gone = self.diverged[arm][best]
        return {
            "arm": arm,
            "steps": self.budgets[at],
            "best rate": self.rates[best],
            "median": np.median(judged),
            "range": " … ".join(_table.shown(end, digits=digits) for end in (judged.min(), judged.max())),
            "diverged": f"{gone.sum()} of {gone.size}",
            "at an edge": bool(self.at_edge[arm][at]),
        }

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def _values(self, arm: str) -> np.ndarray:
        return self.values[_checks.one_of(arm, "arm", self.arms)]

    def _budget(self, index: int) -> int:
        at = _checks.integer(index, "budget_index", low=0)
        if at >= len(self.budgets):
            raise ValueError(f"budget_index must be below {len(self.budgets)}, the number of budgets, got {at}")
        return at


def _choice(values: np.ndarray) -> np.ndarray:
    """Return, from values of shape (…, K, R), which of the K has the smallest median."""
    return np.median(values, axis=-1).argmin(-1)


def sweep(
    arms: Mapping[str, Ensemble],
    x: Any,
    y: Any,
    *,
    rates: Sequence[float],
    budgets: Sequence[int],
    optimizer: str = "sgd",
    batch_size: int | None = None,
    loss: str = "cross_entropy",
    clip: float | None = None,
    factors: Any = 1.0,
    weight_decay: Any = 0.0,
    eps: Any = None,
    warm_up: int = 0,
    held_out: tuple[Any, Any] | None = None,
    measure: Callable[[Ensemble], Any] | None = None,
    rng: np.random.Generator,
) -> Sweep:
    """Train a copy of every replica of every arm at every rate, all at once, and measure it after each budget.

    Replica r sees the same batches in the same order in every arm and at every rate. The arms stay as they are.

    Parameters
    ----------
    arms : mapping of str to Ensemble
        With the same number R of replicas, at least 2, and the same inputs and outputs. What an arm is to be compared
        with, its control, is an arm as well.
    x, y : array
        As for `train`; with an axis of R in front, without `batch_size`, each replica has its own.
    rates : sequence of K floats
        Learning rates, increasing.
    budgets : sequence of B ints
        Numbers of updates after which to measure, increasing.
    optimizer, batch_size, loss, clip, warm_up
        As for `train`.
    factors : float, array of shape (R,), (L, 2) or (R, L, 2), or mapping of each arm's name to these
        What the rates are multiplied by; as `lr` of `train`, such as the rates of `initnotes.theory.width.multipliers`.
    weight_decay, eps : in such forms
        As for `train`.
    held_out : (x, y), optional
        Where the loss is measured; without it, on all of `x` and `y`.
    measure : callable, optional
        What to measure instead of the loss: from an Ensemble of R replicas to shape (R,), smaller is better.
    rng : numpy.random.Generator
        For the batches.

    Returns
    -------
    Sweep

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been trained then.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> from initnotes.book.data import gaussian_clouds
    >>> arms = {
    ...     name: Ensemble((20, 16, 16, 5), "tanh", name, rng=rng, replicas=4) for name in ("xavier_normal", "zeros")
    ... }
    >>> found = sweep(arms, *gaussian_clouds(rng=rng), rates=[0.01, 0.1, 1.0], budgets=[5, 50], batch_size=32, rng=rng)
    >>> found.difference("xavier_normal", "zeros", 1).round() < 0
    array([ True,  True,  True,  True])
    """
    rates, budgets = increasing(rates, "rates", rate), increasing(budgets, "budgets", _checks.integer)
    clip, optimizer = updates.length(clip), _checks.one_of(optimizer, "optimizer", updates.OPTIMIZERS)
    loss, warm_up = _checks.one_of(loss, "loss", updates.LOSSES), _checks.integer(warm_up, "warm_up", low=0)
    replicas = _replicas(arms)
    _checks.generator(rng)
    if measure is not None and not callable(measure):
        raise TypeError(f"measure must be a function of an Ensemble, got {measure!r}")
    first = next(iter(arms.values()))
    sets = replicas if batch_size is None else 0
    inputs, targets = updates.data(x, y, first, loss, sets=sets)
    judged_on = (inputs, targets) if held_out is None else updates.data(*held_out, first, loss, sets=sets)
    groups = _groups(arms)
    taken = [_settings(list(arms), group, factors, weight_decay, eps, optimizer) for group in groups]
    batches = _batches(inputs, targets, batch_size, budgets[-1], replicas, rng)

    options = {"loss": loss, "optimizer": optimizer, "clip": clip, "warm_up": warm_up}
    joined = [_Joined(group, rates, options, *own) for group, own in zip(groups, taken, strict=True)]
    seen: list[dict[str, np.ndarray]] = []
    for count in range(budgets[-1] + 1):
        if count in budgets:
            seen.append({})
            for group in joined:
                seen[-1] |= group.measured(measure, judged_on)
        if count < budgets[-1]:
            batch = next(batches)
            for group in joined:
                group.update(*batch)
    values = {arm: np.stack([at[arm] for at in seen]) for arm in arms}
    return Sweep(
        np.array(rates), tuple(arms), tuple(budgets), values, {arm: np.isinf(values[arm]).any(0) for arm in arms}
    )


class _Joined:
    """Arms of one kind, a copy of each for each rate, as one ensemble; copies that have diverged for good drop out."""

    def __init__(
        self,
        arms: dict[str, Ensemble],
        rates: list[float],
        options: dict[str, Any],
        factors: float | Tensor,
        weight_decay: float | Tensor,
        eps: float | Tensor | None,
    ) -> None:
        net = join([net for net in arms.values() for _ in rates])
        self.names, self.shape = list(arms), (len(arms), len(rates), net.replicas // (len(arms) * len(rates)))
        each = torch.tensor(rates, dtype=torch.float64).repeat_interleave(self.shape[-1]).repeat(len(arms))
        if isinstance(factors, Tensor) or isinstance(weight_decay, Tensor):
            each = each[:, None, None]
        self.rates = each * self._copied(factors, net.depth)
        decays = isinstance(weight_decay, Tensor) or weight_decay != 0
        decay = self.rates * self._copied(weight_decay, net.depth) if decays else None
        small = self._copied(eps, net.depth) if isinstance(eps, Tensor) else eps
        self.options = options | {"decay": decay, "eps": small}
        self._train(net, np.arange(len(arms) * len(rates)))

    def _train(self, net: Ensemble, copies: np.ndarray) -> None:
        """Go on with these of all copies, which `net` holds."""
        self.net, self.copies = net, copies
        rows = (copies[:, None] * self.shape[-1] + np.arange(self.shape[-1])).ravel()
        own: dict[str, Any] = {k: v[rows] if isinstance(v, Tensor) else v for k, v in self.options.items()}
        self.update = updater(net, self.rates[rows], **own)

    def _copied(self, values: float | Tensor, depth: int) -> Any:
        """Return values of each arm's replicas as those of all copies, shape (arms · K · R, L, 2); or the number."""
        if isinstance(values, float):
            return values
        arms, rates, replicas = self.shape
        own = updates.whole(values, arms * replicas, depth).unflatten(0, (arms, 1, replicas))
        return own.expand(-1, rates, -1, -1, -1).flatten(0, 2)

    def measured(self, measure: Callable[[Ensemble], Any] | None, data: tuple[Tensor, Tensor]) -> dict[str, np.ndarray]:
        """Return what was measured of each arm, shape (K, R); inf where that or a parameter is not finite."""
        if measure is None:
            values = self._losses(*data)
        else:
            replicas = self.shape[-1]
            cuts = range(0, self.net.replicas, replicas)
            values = np.concatenate([_of(measure, self.net.part(slice(cut, cut + replicas))) for cut in cuts])
        finite = torch.stack([part.flatten(1).isfinite().all(1) for part in self.net.tensors]).all(0).numpy(force=True)
        found = np.full((self.shape[0] * self.shape[1], self.shape[-1]), np.inf)
        found[self.copies] = np.where(finite & np.isfinite(values), values, np.inf).reshape(-1, self.shape[-1])
        self._leave_out(np.logical_not(finite.reshape(-1, self.shape[-1]).any(1)))
        return dict(zip(self.names, found.reshape(self.shape), strict=True))

    def _leave_out(self, gone: np.ndarray) -> None:
        """Leave out the copies of which no replica has finite parameters: SGD never makes them finite again.

        Other optimizers remember something of each copy, a warm-up its steps, and keep all.
        """
        forgets = self.options["optimizer"] == "sgd" and not self.options["warm_up"]
        if forgets and gone.any() and not gone.all():
            size = self.shape[-1]
            rest = join([self.net.part(slice(at * size, (at + 1) * size)) for at in np.flatnonzero(~gone)])
            self._train(rest, self.copies[~gone])

    def _losses(self, x: Tensor, y: Tensor) -> np.ndarray:
        """Return the loss of each replica on all samples, few replicas at a time."""
        own = x.dim() == 3  # a copy at a time then, whose replicas have these sets
        together = self.shape[-1] if own else max(1, NUMBERS // (len(x) * sum(out for out, _ in self.net.shapes)))
        found = []
        for cut in range(0, self.net.replicas, together):
            net = self.net.part(slice(cut, cut + together))
            targets = y if own else y.expand(net.replicas, *y.shape)
            found.append(updates.LOSSES[str(self.options["loss"])](net(x), targets)[0])
        return torch.cat(found).numpy(force=True).astype(np.float64)


def _of(measure: Callable[[Ensemble], Any], net: Ensemble) -> np.ndarray:
    found = measure(net)
    values = np.array(found.numpy(force=True) if isinstance(found, Tensor) else found, dtype=np.float64)
    if values.shape != (net.replicas,):
        raise ValueError(f"measure must return an array of shape ({net.replicas},), got {values.shape}")
    return values


def _batches(
    inputs: Tensor, targets: Tensor, batch_size: int | None, steps: int, replicas: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return an iterator over each step's inputs and targets, the replica's axis first."""
    if batch_size is None:
        own = inputs.dim() == 3
        whole = [part if own else part.expand(replicas, *part.shape) for part in (inputs, targets)]
        return iter([(whole[0], whole[1])] * steps)
    order = updates.batch_order(len(inputs), batch_size, steps, replicas, rng=rng)
    numbers = (torch.from_numpy(batch.copy()).to(inputs.device) for batch in order)
    return ((updates.rows(inputs, batch), updates.rows(targets, batch)) for batch in numbers)


def _settings(
    names: list[str], group: dict[str, Ensemble], factors: Any, weight_decay: Any, eps: Any, optimizer: str
) -> tuple[float | Tensor, float | Tensor, float | Tensor | None]:
    """Return the factors on the rates, the weight decay and Adam's ε of a group's arms; raise if one is wrong."""
    first = next(iter(group.values()))
    own: dict[str, Any] = {"factors": factors, "weight_decay": weight_decay, "eps": eps}
    for name, value in own.items():
        if isinstance(value, Mapping):
            if set(value) != set(names):
                raise ValueError(f"{name} must be one for all or have the names {names}, got {list(value)}")
            own[name] = {arm: value[arm] for arm in group}
    size = (list(group), first.replicas, first.depth)
    return (
        updates.jointly(own["factors"], "factors", *size),
        updates.jointly(own["weight_decay"], "weight_decay", *size),
        updates.epsilon(own["eps"], optimizer, *size),
    )


def _groups(arms: Mapping[str, Ensemble]) -> list[dict[str, Ensemble]]:
    """Return the arms in groups that can be joined."""
    groups: list[dict[str, Ensemble]] = []
    for name, net in arms.items():
        for group in groups:
            if next(iter(group.values())).kind == net.kind:
                group[name] = net
                break
        else:
            groups.append({name: net})
    return groups


def _replicas(arms: Any) -> int:
    """Return how many replicas each arm has; raise unless they can be compared."""
    if not isinstance(arms, Mapping) or not all(isinstance(name, str) for name in arms):
        raise TypeError(f"arms must be a mapping of names to Ensembles, got {arms!r:.80}")
    wrong = {name: type(net).__name__ for name, net in arms.items() if not isinstance(net, Ensemble)}
    if wrong or not arms:
        raise TypeError(f"arms must be a mapping of at least one name to an Ensemble, got {wrong or 'none'}")
    for what, found in (
        ("number of replicas", {net.replicas for net in arms.values()}),
        ("inputs and outputs", {(net.widths[0], net.widths[-1]) for net in arms.values()}),
        ("dtype", {str(net.dtype) for net in arms.values()}),
    ):
        if len(found) > 1:
            raise ValueError(f"arms need the same {what}, got {sorted(found)}")
    replicas = next(iter(arms.values())).replicas
    if replicas < 2:
        raise ValueError("arms need at least 2 replicas, as one half chooses the rate for the other, got 1")
    return replicas
