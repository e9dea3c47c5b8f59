"""Training many replicas, of many ensembles, at once.

What lives here makes updates and keeps curves; what a layer looks like inside is for ``examine``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from . import updates
from .best_rates import BestRate, best_rate
from .ensemble import Ensemble, join
from .sweeps import Sweep, sweep
from .updates import LOSSES, OPTIMIZERS, batch_order, cross_entropy, mean_squared_error

__all__ = [
    "LOSSES",
    "OPTIMIZERS",
    "BestRate",
    "History",
    "Sweep",
    "batch_order",
    "best_rate",
    "cross_entropy",
    "mean_squared_error",
    "sweep",
    "train",
]

Measure = Callable[[Ensemble], Any]


@dataclass(frozen=True, repr=False)
class History:
    """Curves of one ensemble's training, a row per replica.

    Attributes
    ----------
    steps : ndarray, shape (T,)
        Updates made before each record; the first is 0.
    loss : ndarray, shape (R, T)
        Loss of the batch that the next update uses. From the first record at which a replica's loss is not finite, inf.
    measures : dict of str to ndarray, shape (R, T, …)
        What `watch` returned at the same moments.
    reached : ndarray, shape (R,), or None
        Updates made before the loss was first at most `until`, inf where it never was; None if `until` was not given.
    """

    steps: np.ndarray
    loss: np.ndarray
    measures: dict[str, np.ndarray] = field(default_factory=dict)
    reached: np.ndarray | None = None

    @property
    def diverged(self) -> np.ndarray:
        """Whether each replica has diverged, shape (R,)."""
        return np.isinf(self.loss[:, -1])

    def __repr__(self) -> str:
        first, last = (np.median(self.loss[:, at]) for at in (0, -1))
        diverged = f"{self.diverged.sum()} of {len(self.loss)} replicas diverged"
        return f"History(median loss {first:.3g} at step 0, {last:.3g} at step {self.steps[-1]}, {diverged})"

    def steps_to(self, threshold: float, measure: str | None = None) -> np.ndarray:
        """Return the first recorded step at which each replica has crossed `threshold`, inf where none has.

        Parameters
        ----------
        threshold : float
        measure : str, optional
            A watched quantity of shape (R, T), crossed from below; without it, the loss, crossed from above.

        Returns
        -------
        ndarray, shape (R,)

        Raises
        ------
        TypeError, ValueError
            If the threshold is not a finite number, nothing of that name was watched, or it is not of shape (R, T).
        """
        threshold = _checks.real(threshold, "threshold")
        if measure is None:
            crossed = self.loss <= threshold
        else:
            values = self.measures[_checks.one_of(measure, "measure", self.measures)]
            if values.shape != self.loss.shape:
                raise ValueError(f"measure {measure!r} must have shape {self.loss.shape}, got {values.shape}")
            crossed = values >= threshold
        first = self.steps[crossed.argmax(axis=1)].astype(float)
        return np.where(crossed.any(axis=1), first, np.inf)


def train(
    nets: Ensemble | Mapping[str, Ensemble],
    x: Any,
    y: Any,
    *,
    optimizer: str = "sgd",
    lr: Any,
    steps: int,
    batch_size: int | None = None,
    loss: str = "cross_entropy",
    weight_decay: Any = 0.0,
    eps: Any = None,
    dropout: float = 0.0,
    clip: float | None = None,
    warm_up: int = 0,
    until: float | None = None,
    watch: Mapping[str, Measure] | None = None,
    every: int = 1,
    rng: np.random.Generator,
) -> Any:
    """Train all replicas of one ensemble, or of several of the same kind, in place and at once.

    Replica r of every ensemble sees the same batches (and dropout masks) in the same order, so that ensembles can be
    compared pair by pair.

    Parameters
    ----------
    nets : Ensemble, or mapping of str to Ensemble
        The same number of replicas, and what `initnotes.networks.join` asks for.
    x : array, shape (samples, n_0), or (R, samples, n_0) without batches
        With three axes each replica has samples of its own, the same in every ensemble; so has `y` then.
    y : array
        Class labels, shape (samples,), for "cross_entropy"; targets, shape (samples, n_L), for "mse".
    optimizer : {"sgd", "momentum", "adam"}
        Momentum is 0.9 times the last update plus the gradient (Polyak 1964); Adam is algorithm 1 of Kingma & Ba 2015
        with its default betas and epsilon.
    lr : float, array of shape (R,), (L, 2) or (R, L, 2), or mapping of str to these
        Learning rate: one for all, or one for each replica, the same in every ensemble; or one for the weights and one
        for the biases of each layer, in all replicas or in each; or one of these for each ensemble, by its name.
    steps : int
        Updates to make, at most.
    batch_size : int, optional
        Without it every update uses all samples.
    loss : {"cross_entropy", "mse"}
    weight_decay : as `lr`
        Each update also takes lr · weight_decay times a parameter off it, whatever the optimizer, biases included. With
        "adam" that is AdamW; with "momentum" it does not go through the momentum (Loshchilov & Hutter 2019, algorithms
        1 and 2).
    eps : as `lr`, optional
        Adam's ε, greater than 0: 1e-8 without it.
    dropout : float
        Probability in [0, 1) that a hidden activation is set to 0; the others are divided by 1 - dropout.
    clip : float, optional
        A gradient (of all parameters of a replica) longer than this is scaled down to this length before the optimizer
        sees it (Pascanu, Mikolov & Bengio 2013, algorithm 1).
    warm_up : int
        In the first so many steps the rate of step t is t / warm_up of `lr` (Goyal et al. 2017, section 2.2).
    until : float, optional
        A replica stays as it is from the first time that its loss of all samples is at most this; training ends when
        each has come there or diverged. Neither for batches nor with dropout, where no update sees that loss.
    watch : mapping of str to callable, optional
        Each takes an Ensemble and returns an array or tensor whose first axis is the replica's; each is tried once
        before training.
    every : int
        Record before every so many updates, and after the last one.
    rng : numpy.random.Generator
        For the batches and the masks.

    Returns
    -------
    History, or dict of str to History

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been trained then.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> from initnotes.book.data import gaussian_clouds
    >>> net = Ensemble((20, 16, 5), "tanh", "xavier_normal", rng=rng, replicas=3)
    >>> history = train(net, *gaussian_clouds(rng=rng), lr=0.5, steps=50, rng=rng)
    >>> history.loss.shape, bool((history.loss[:, -1] < history.loss[:, 0]).all())
    ((3, 51), True)
    """
    named = dict(nets) if isinstance(nets, Mapping) else {"": nets}
    steps, every = _checks.integer(steps, "steps", low=0), _checks.integer(every, "every")
    dropout = _checks.real(dropout, "dropout", low=0.0)
    if dropout >= 1:
        raise ValueError(f"dropout must be less than 1, got {dropout:g}")
    clip, warm_up = updates.length(clip), _checks.integer(warm_up, "warm_up", low=0)
    loss_of = LOSSES[_checks.one_of(loss, "loss", LOSSES)]
    optimizer = _checks.one_of(optimizer, "optimizer", OPTIMIZERS)
    _checks.generator(rng)
    whole, replicas = _joined(named)
    until = _threshold(until, batch_size, dropout)
    rates = updates.jointly(lr, "lr", list(named), replicas, whole.depth)
    decays = updates.jointly(weight_decay, "weight_decay", list(named), replicas, whole.depth)
    small = updates.epsilon(eps, optimizer, list(named), replicas, whole.depth)
    step, stop = _step(whole, optimizer, rates, decays, small, until, warm_up)
    inputs, targets = updates.data(x, y, whole, loss, sets=replicas if batch_size is None else 0)
    size = inputs.shape[-2] if batch_size is None else batch_size
    order = None if batch_size is None else batch_order(len(inputs), size, steps + 1, replicas, rng=rng)
    curves = _Curves(named, replicas, _watched(watch))
    curves.measure(whole)

    own_sets = inputs.dim() == 3
    seen, wanted = (
        part.repeat(len(named), *[1] * (part.dim() - 1)) if own_sets else part.expand(whole.replicas, *part.shape)
        for part in (inputs, targets)
    )
    for count in range(steps + 1):
        if order is not None:
            batch = torch.from_numpy(np.tile(next(order), (len(named), 1))).to(inputs.device)
            seen, wanted = updates.rows(inputs, batch), updates.rows(targets, batch)
        masks = _masks(whole, size, dropout, len(named), rng) if dropout else None
        signals = whole.untracked(seen, masks)
        losses, output_gradient = loss_of(signals.output, wanted)
        last = count == steps if stop is None else stop.at(count, losses) or count == steps
        if last or count % every == 0:
            curves.record(count, losses, whole)
        if last:
            break
        gradients = whole.backward(signals, output_gradient)
        if clip is not None:
            updates.clip_([*gradients.weights, *gradients.biases], clip)
        step(whole.parameters, gradients.parameters)
    for at, net in enumerate(named.values()):
        rows = slice(at * replicas, (at + 1) * replicas)
        for own, trained in zip(net.tensors, whole.tensors, strict=True):
            own.copy_(trained[rows])
    histories = curves.histories(None if stop is None else stop.reached)
    return histories if isinstance(nets, Mapping) else histories[""]


def _joined(named: dict[str, Ensemble]) -> tuple[Ensemble, int]:
    for name, net in named.items():
        if not isinstance(net, Ensemble):
            raise TypeError(f"nets must be an Ensemble or a mapping of them, got {type(net).__name__} for {name!r}")
    whole = join(list(named.values()))
    counts = {net.replicas for net in named.values()}
    if len(counts) > 1:
        raise ValueError(f"ensembles that train together need the same number of replicas, got {sorted(counts)}")
    return whole, counts.pop()


def _watched(watch: Any) -> Mapping[str, Measure]:
    if watch is None:
        return {}
    if not isinstance(watch, Mapping) or not all(callable(measure) for measure in watch.values()):
        raise TypeError(f"watch must be a mapping of names to functions of an Ensemble, got {watch!r}")
    return watch


def _masks(net: Ensemble, batch: int, dropout: float, copies: int, rng: np.random.Generator) -> list[Tensor]:
    shapes = [(net.replicas // copies, batch, width) for width in net.widths[1:-1]]
    kept = [np.tile(rng.random(shape) >= dropout, (copies, 1, 1)) for shape in shapes]
    return [torch.from_numpy(mask).to(net.parameters) / (1 - dropout) for mask in kept]


def _threshold(until: Any, batch_size: Any, dropout: float) -> float | None:
    if until is None:
        return None
    if batch_size is not None or dropout:
        raise ValueError("until needs the loss of all samples before each update; leave out batch_size and dropout")
    return _checks.real(until, "until")


class _Stop:
    """Holds replicas where they are, from the first time that their loss is low enough, and where they diverged."""

    def __init__(self, threshold: float, net: Ensemble, rates: list[Tensor]) -> None:
        self.threshold, self.net, self.rates = threshold, net, rates
        self.reached = np.full(net.replicas, np.inf)
        self.runs = np.full(net.replicas, True)

    def at(self, count: int, losses: Tensor) -> bool:
        """Look at the losses after so many updates; return whether no replica runs any more."""
        values = losses.numpy(force=True)
        low = self.runs & (values <= self.threshold)
        self.reached[low] = count
        ends = low | (self.runs & ~np.isfinite(values))
        if ends.any():
            self.runs &= ~ends
            kept = self.net.per_parameter(torch.from_numpy(self.runs))
            for rate in self.rates:
                rate *= kept
        return not self.runs.any()


def _step(
    net: Ensemble,
    optimizer: str,
    lr: float | Tensor,
    weight_decay: float | Tensor,
    eps: float | Tensor | None,
    until: float | None,
    warm_up: int,
) -> tuple[updates.Step, _Stop | None]:
    """Return what makes an update of an ensemble, and what holds its replicas if something does."""
    lr, weight_decay = (net.per_parameter(own) if isinstance(own, Tensor) else own for own in (lr, weight_decay))
    decay = None if isinstance(weight_decay, float) and not weight_decay else lr * weight_decay
    stop = None
    if until is not None:
        ones = torch.ones_like(net.parameters)
        lr, decay = ones * lr, None if decay is None else ones * decay
        stop = _Stop(until, net, [lr] if decay is None else [lr, decay])
    eps = net.per_parameter(eps) if isinstance(eps, Tensor) else eps
    return updates.stepper(optimizer, lr, decay=decay, eps=eps, warm_up=warm_up), stop


class _Curves:
    """Collects records of the joined ensemble and cuts them into a History for each part."""

    def __init__(self, named: dict[str, Ensemble], replicas: int, watch: Mapping[str, Measure]) -> None:
        self.names, self.replicas, self.watch = list(named), replicas, watch
        self.steps: list[int] = []
        self.losses: list[np.ndarray] = []
        self.measures: dict[str, list[np.ndarray]] = {name: [] for name in watch}

    def record(self, count: int, losses: Tensor, net: Ensemble) -> None:
        self.steps.append(count)
        self.losses.append(losses.cpu().numpy().astype(np.float64))
        for name, copy in self.measure(net).items():
            self.measures[name].append(copy)

    def measure(self, net: Ensemble) -> dict[str, np.ndarray]:
        """Return copies of what `watch` returns."""
        copies = {}
        for name, measure in self.watch.items():
            value = measure(net)
            copy = np.array(value.cpu().numpy() if isinstance(value, Tensor) else value)  # a view would train on
            if copy.shape[:1] != (net.replicas,):
                raise ValueError(f"watch {name!r} must return {net.replicas} rows, one a replica, got {copy.shape}")
            copies[name] = copy
        return copies

    def histories(self, reached: np.ndarray | None) -> dict[str, History]:
        loss = np.stack(self.losses, axis=1)
        gone = np.logical_or.accumulate(~np.isfinite(loss), axis=1)
        loss = np.where(gone, np.inf, loss)
        watched = {name: np.stack(values, axis=1) for name, values in self.measures.items()}
        rows = [slice(i * self.replicas, (i + 1) * self.replicas) for i in range(len(self.names))]
        return {
            name: History(
                np.array(self.steps),
                loss[at],
                {key: value[at] for key, value in watched.items()},
                None if reached is None else reached[at],
            )
            for name, at in zip(self.names, rows, strict=True)
        }
