"""Floor 3: training many replicas, of many ensembles, at once.

What lives here updates parameters and keeps curves; what a layer looks like inside is for ``measure``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from .ensemble import Ensemble, Gradients, join

__all__ = ["LOSSES", "OPTIMIZERS", "History", "batch_order", "cross_entropy", "mean_squared_error", "train"]

Measure = Callable[[Ensemble], Any]
Step = Callable[[Tensor, Tensor], None]


@dataclass(frozen=True)
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
    """

    steps: np.ndarray
    loss: np.ndarray
    measures: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def diverged(self) -> np.ndarray:
        """Whether each replica has diverged, shape (R,)."""
        return np.isinf(self.loss[:, -1])

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


def cross_entropy(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy in nats, shape (..., R), and its gradient with respect to the outputs.

    Parameters
    ----------
    outputs : Tensor, shape (..., R, batch, classes)
        Logits.
    targets : Tensor of int64, shape (..., R, batch)

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    _fit(targets, outputs.shape[:-1])
    log_p = outputs.mT.log_softmax(-2).mT  # several times as fast as over a short last axis
    at = targets[..., None]
    minus_one = torch.full(at.shape, -1.0, dtype=log_p.dtype, device=log_p.device)
    gradient = log_p.exp().scatter_add_(-1, at, minus_one).div_(outputs.shape[-2])
    return -log_p.gather(-1, at)[..., 0].mean(-1), gradient


def mean_squared_error(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return half the squared error, summed over outputs and averaged over the batch, shape (R,), and its gradient.

    Parameters
    ----------
    outputs, targets : Tensor, shape (R, batch, n_L)

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    _fit(targets, outputs.shape)
    error = outputs - targets
    return (error * error).sum(-1).mean(-1) / 2, error / outputs.shape[-2]


def _fit(targets: Tensor, shape: torch.Size) -> None:
    if targets.shape != shape:
        raise ValueError(f"targets must have shape {tuple(shape)}, got {tuple(targets.shape)}; use targets.expand(…)")


LOSSES = {"cross_entropy": cross_entropy, "mse": mean_squared_error}


def _sgd(lr: float) -> Step:
    def step(parameters: Tensor, gradient: Tensor) -> None:
        parameters -= gradient.mul_(lr)

    return step


def _momentum(lr: float, beta: float = 0.9) -> Step:
    velocity: Any = None

    def step(parameters: Tensor, gradient: Tensor) -> None:
        nonlocal velocity
        velocity = gradient if velocity is None else velocity.mul_(beta).add_(gradient)
        parameters -= lr * velocity

    return step


def _adam(lr: float, beta_1: float = 0.9, beta_2: float = 0.999, eps: float = 1e-8) -> Step:
    m: Any = None
    v: Any = None
    t = 0

    def step(parameters: Tensor, gradient: Tensor) -> None:
        nonlocal m, v, t
        t += 1
        square = (gradient * gradient).mul_(1 - beta_2)
        mean = gradient.mul_(1 - beta_1)
        m = mean if t == 1 else m.mul_(beta_1).add_(mean)
        v = square if t == 1 else v.mul_(beta_2).add_(square)
        root = (v / (1 - beta_2**t)).sqrt_().add_(eps)
        parameters -= (m / (1 - beta_1**t)).mul_(lr).div_(root)

    return step


# Elementwise operations one by one, each correctly rounded: equal parameters with equal gradients stay equal. A step
# may overwrite and keep the gradient that it is given.
OPTIMIZERS: dict[str, Callable[[float], Step]] = {"sgd": _sgd, "momentum": _momentum, "adam": _adam}


def batch_order(
    samples: int, batch_size: int, steps: int, replicas: int, *, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Return an iterator over the sample numbers of each step's batch, every replica in an order of its own.

    Each pass over the data is a new permutation; what is left of it, smaller than a batch, is dropped.

    Returns
    -------
    iterator of ndarray of int64, shape (replicas, batch_size)

    Raises
    ------
    TypeError, ValueError
        If a number is out of range or `rng` is no Generator.
    """
    samples, batch_size = _checks.integer(samples, "samples"), _checks.integer(batch_size, "batch_size")
    steps, replicas = _checks.integer(steps, "steps", low=0), _checks.integer(replicas, "replicas")
    if batch_size > samples:
        raise ValueError(f"batch_size must be at most the number of samples, {samples}, got {batch_size}")
    return _batches(samples, batch_size, steps, replicas, _checks.generator(rng))


def _batches(
    samples: int, batch_size: int, steps: int, replicas: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    per_pass = samples // batch_size
    order = np.empty((replicas, samples), dtype=np.int64)
    for step in range(steps):
        at = step % per_pass
        if at == 0:
            order = rng.permuted(np.tile(np.arange(samples), (replicas, 1)), axis=1)
        yield order[:, at * batch_size : (at + 1) * batch_size]


def train(
    nets: Ensemble | Mapping[str, Ensemble],
    x: Any,
    y: Any,
    *,
    optimizer: str = "sgd",
    lr: float,
    steps: int,
    batch_size: int | None = None,
    loss: str = "cross_entropy",
    dropout: float = 0.0,
    clip: float | None = None,
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
    x : array, shape (samples, n_0)
    y : array
        Class labels, shape (samples,), for "cross_entropy"; targets, shape (samples, n_L), for "mse".
    optimizer : {"sgd", "momentum", "adam"}
        Momentum is 0.9 times the last update plus the gradient (Polyak 1964); Adam is algorithm 1 of Kingma & Ba 2015
        with its default betas and epsilon.
    lr : float
        Learning rate.
    steps : int
        Updates to make.
    batch_size : int, optional
        Without it every update uses all samples.
    loss : {"cross_entropy", "mse"}
    dropout : float
        Probability in [0, 1) that a hidden activation is set to 0; the others are divided by 1 - dropout.
    clip : float, optional
        A gradient (of all parameters of a replica) longer than this is scaled down to this length before the optimizer
        sees it (Pascanu, Mikolov & Bengio 2013, algorithm 1).
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
    lr = _checks.real(lr, "lr", low=0.0)
    steps, every = _checks.integer(steps, "steps", low=0), _checks.integer(every, "every")
    dropout = _checks.real(dropout, "dropout", low=0.0)
    if dropout >= 1:
        raise ValueError(f"dropout must be less than 1, got {dropout:g}")
    if clip is not None and _checks.real(clip, "clip", low=0.0) == 0:
        raise ValueError("clip must be greater than 0, got 0; leave it out for no clipping")
    loss_of = LOSSES[_checks.one_of(loss, "loss", LOSSES)]
    step = OPTIMIZERS[_checks.one_of(optimizer, "optimizer", OPTIMIZERS)](lr)
    _checks.generator(rng)
    whole, replicas = _joined(named)
    inputs, targets = _tensors(x, y, whole, loss)
    size = len(inputs) if batch_size is None else batch_size
    order = None if batch_size is None else batch_order(len(inputs), size, steps + 1, replicas, rng=rng)
    recorder = _Recorder(named, replicas, _watched(watch))
    recorder.measure(whole)

    full = torch.arange(len(inputs)).expand(whole.replicas, -1)
    for count in range(steps + 1):
        batch = full if order is None else torch.from_numpy(np.tile(next(order), (len(named), 1)))
        batch = batch.to(inputs.device)
        masks = _masks(whole, size, dropout, len(named), rng) if dropout else None
        signals = whole.forward(inputs if order is None else _rows(inputs, batch), masks)
        losses, output_gradient = loss_of(signals.output, _rows(targets, batch))
        if count % every == 0 or count == steps:
            recorder.record(count, losses, whole)
        if count < steps:
            gradients = whole.backward(signals, output_gradient)
            if clip is not None:
                _clip(gradients, clip)
            step(whole.parameters, gradients.parameters)
    for at, net in enumerate(named.values()):
        rows = slice(at * replicas, (at + 1) * replicas)
        for own, trained in zip([*net.weights, *net.biases], [*whole.weights, *whole.biases], strict=True):
            own.copy_(trained[rows])
    histories = recorder.histories()
    return histories if isinstance(nets, Mapping) else histories[""]


def _clip(gradients: Gradients, length: float) -> None:
    """Scale each replica's gradient down to `length`, where it is longer."""
    parts = [part.flatten(1) for part in (*gradients.weights, *gradients.biases)]
    norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts])
    factor = (length / torch.linalg.vector_norm(norms, dim=0)).clamp(max=1.0)
    for part in parts:
        part *= factor[:, None]


def _rows(data: Tensor, batch: Tensor) -> Tensor:
    """Return data[batch], several times as fast."""
    return data.index_select(0, batch.flatten()).unflatten(0, batch.shape)


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
    if not isinstance(watch, Mapping) or not all(callable(one) for one in watch.values()):
        raise TypeError(f"watch must be a mapping of names to functions of an Ensemble, got {watch!r}")
    return watch


def _tensors(x: Any, y: Any, net: Ensemble, loss: str) -> tuple[Tensor, Tensor]:
    inputs = _checks.tensor(x, "x").to(net.parameters)
    if inputs.dim() != 2 or not len(inputs) or inputs.shape[1] != net.widths[0]:
        raise ValueError(f"x must have shape (samples, {net.widths[0]}), got {tuple(inputs.shape)}")
    if not bool(inputs.isfinite().all()):
        raise ValueError("x must be finite, got NaN or inf; clean the data first")
    targets = _checks.tensor(y, "y").to(net.parameters.device)
    outputs = net.widths[-1]
    if loss == "mse":
        if targets.shape != (len(inputs), outputs):
            raise ValueError(f"y must have shape ({len(inputs)}, {outputs}) for 'mse', got {tuple(targets.shape)}")
        if not bool(targets.isfinite().all()):
            raise ValueError("y must be finite, got NaN or inf; clean the data first")
        return inputs, targets.to(net.dtype)
    if targets.is_floating_point() or targets.shape != (len(inputs),):
        given = f"{targets.dtype} of shape {tuple(targets.shape)}"
        raise ValueError(f"y must be {len(inputs)} integer labels for 'cross_entropy', got {given}")
    if int(targets.min()) < 0 or int(targets.max()) >= outputs:
        raise ValueError(f"labels must be 0 … {outputs - 1}, got {int(targets.min())} … {int(targets.max())}")
    return inputs, targets.long()


def _masks(net: Ensemble, batch: int, dropout: float, copies: int, rng: np.random.Generator) -> list[Tensor]:
    shapes = [(net.replicas // copies, batch, width) for width in net.widths[1:-1]]
    kept = [np.tile(rng.random(shape) >= dropout, (copies, 1, 1)) for shape in shapes]
    return [torch.from_numpy(one).to(net.parameters) / (1 - dropout) for one in kept]


class _Recorder:
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

    def histories(self) -> dict[str, History]:
        loss = np.stack(self.losses, axis=1)
        gone = np.logical_or.accumulate(~np.isfinite(loss), axis=1)
        loss = np.where(gone, np.inf, loss)
        watched = {name: np.stack(values, axis=1) for name, values in self.measures.items()}
        rows = [slice(i * self.replicas, (i + 1) * self.replicas) for i in range(len(self.names))]
        return {
            name: History(np.array(self.steps), loss[at], {key: value[at] for key, value in watched.items()})
            for name, at in zip(self.names, rows, strict=True)
        }
