"""What an update of many replicas is made of: losses with their gradients, optimizers, clipping and batches.

What lives here makes no loop; training does, and sweeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from .ensemble import Ensemble

__all__ = [
    "GRADIENTS",
    "LOSSES",
    "OPTIMIZERS",
    "Step",
    "batch_order",
    "clip_",
    "cross_entropy",
    "data",
    "each",
    "epsilon",
    "function_change",
    "jointly",
    "length",
    "mean_squared_error",
    "rows",
    "stepper",
    "whole",
]

Step = Callable[[Tensor, Tensor], None]


def cross_entropy(outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy in nats, shape (..., R), and its gradient with respect to the outputs.

    Parameters
    ----------
    outputs : array or Tensor, shape (..., R, batch, classes)
        Logits.
    targets : array or Tensor of int64, shape (..., R, batch)
        For sequences (..., R, sequences, T), where the batch is that of all their tokens.

    Raises
    ------
    TypeError, ValueError
        If `outputs` are not floating-point numbers, or the shapes do not fit.
    """
    outputs, targets = _checks.floating(outputs, "outputs"), _checks.tensor(targets, "targets")
    if targets.is_floating_point():
        raise TypeError(f"targets must be integer labels, got {targets.dtype}")
    targets = _of_tokens(targets, outputs)
    _fit(targets, outputs.shape[:-1])
    log_p = outputs.mT.log_softmax(-2).mT  # several times as fast as over a short last axis
    at = targets.long()[..., None]
    minus_one = torch.full(at.shape, -1.0, dtype=log_p.dtype, device=log_p.device)
    gradient = log_p.exp().scatter_add_(-1, at, minus_one).div_(outputs.shape[-2])
    return -log_p.gather(-1, at)[..., 0].mean(-1), gradient


def mean_squared_error(outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Return half the squared error, summed over outputs and averaged over the batch, shape (R,), and its gradient.

    Parameters
    ----------
    outputs, targets : array or Tensor, shape (R, batch, n_L)

    Raises
    ------
    TypeError, ValueError
        If they are not floating-point numbers, or the shapes do not fit.
    """
    outputs, targets = _checks.floating(outputs, "outputs"), _checks.floating(targets, "targets")
    _fit(targets, outputs.shape)
    error = outputs - targets
    return (error * error).sum(-1).mean(-1) / 2, error / outputs.shape[-2]


def _fit(targets: Tensor, shape: torch.Size) -> None:
    if targets.shape != shape:
        raise ValueError(f"targets must have shape {tuple(shape)}, got {tuple(targets.shape)}; use targets.expand(…)")


def _of_tokens(targets: Tensor, outputs: Tensor) -> Tensor:
    """Return the labels of sequences, shape (..., R, sequences, T), as those of their tokens; others as they are."""
    return targets.flatten(-2) if targets.dim() == outputs.dim() else targets


def _cross_entropy_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    targets = _of_tokens(targets, outputs)
    gradient = outputs.mT.softmax(-2).mT
    minus_one = torch.full((*targets.shape, 1), -1.0, dtype=outputs.dtype)
    return gradient.scatter_add_(-1, targets[..., None], minus_one).div_(outputs.shape[-2])


LOSSES = {"cross_entropy": cross_entropy, "mse": mean_squared_error}
# The gradients alone, which cost a third where the loss is not asked for.
GRADIENTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": _cross_entropy_gradient,
    "mse": lambda outputs, targets: (outputs - targets) / outputs.shape[-2],
}


EPS = 1e-8  # Adam's


def _sgd(lr: float | Tensor) -> Step:
    def step(parameters: Tensor, gradient: Tensor) -> None:
        if isinstance(lr, Tensor):
            parameters.addcmul_(gradient, lr, value=-1)
        else:
            parameters -= gradient.mul_(lr)

    return step


def _momentum(lr: float | Tensor, beta: float = 0.9) -> Step:
    velocity: Any = None

    def step(parameters: Tensor, gradient: Tensor) -> None:
        nonlocal velocity
        velocity = gradient.clone() if velocity is None else velocity.mul_(beta).add_(gradient)
        parameters -= lr * velocity

    return step


def _adam(lr: float | Tensor, beta_1: float = 0.9, beta_2: float = 0.999, eps: float | Tensor = EPS) -> Step:
    m: Any = None
    v: Any = None
    t = 0

    def step(parameters: Tensor, gradient: Tensor) -> None:
        nonlocal m, v, t
        t += 1
        square = (gradient * gradient).mul_(1 - beta_2)
        mean = gradient.mul_(1 - beta_1)
        m = mean.clone() if t == 1 else m.mul_(beta_1).add_(mean)
        v = square.clone() if t == 1 else v.mul_(beta_2).add_(square)
        root = torch.div(v, 1 - beta_2**t, out=square).sqrt_().add_(eps)  # fresh memory would cost a sixth more time
        parameters -= torch.div(m, 1 - beta_1**t, out=mean).mul_(lr).div_(root)

    return step


# Elementwise operations one by one, each correctly rounded: equal parameters with equal gradients stay equal. A step
# may overwrite the gradient that it is given, but does not keep it. A rate is a number or a tensor that fits.
OPTIMIZERS: dict[str, Callable[[float | Tensor], Step]] = {"sgd": _sgd, "momentum": _momentum, "adam": _adam}


def stepper(
    optimizer: str,
    lr: float | Tensor,
    *,
    decay: float | Tensor | None = None,
    eps: float | Tensor | None = None,
    warm_up: int = 0,
) -> Step:
    """Return the step of an optimizer of that name, after which `decay` times the parameters is taken off as well.

    Parameters
    ----------
    optimizer : {"sgd", "momentum", "adam"}
    lr : float or Tensor
        What fits the parameters. A tensor may be changed between two steps, as `decay` and `eps` may.
    decay : float or Tensor, optional
        The rate times the weight decay.
    eps : float or Tensor, optional
        Adam's.
    warm_up : int
        Step t is t / warm_up of what it would be, until that is 1.
    """
    step = OPTIMIZERS[optimizer](lr) if eps is None else _adam(lr, eps=eps)
    step = step if decay is None else _decayed(step, decay)
    return _warmed(step, warm_up) if warm_up > 1 else step


def _decayed(step: Step, decay: float | Tensor) -> Step:

    def decayed(parameters: Tensor, gradient: Tensor) -> None:
        if isinstance(decay, Tensor):
            parameters.addcmul_(parameters, decay, value=-1)
        else:
            parameters.mul_(1 - decay)
        step(parameters, gradient)

    return decayed


def _warmed(step: Step, steps: int) -> Step:
    count = 0

    def warmed(parameters: Tensor, gradient: Tensor) -> None:
        nonlocal count
        count += 1
        if count >= steps:
            return step(parameters, gradient)
        before = parameters.clone()
        step(parameters, gradient)
        parameters.sub_(before).mul_(count / steps).add_(before)
        return None

    return warmed


def function_change(
    net: Ensemble,
    inputs: Any,
    targets: Any,
    *,
    rate: Any,
    optimizer: str = "sgd",
    loss: str = "cross_entropy",
    frozen: Sequence[int] = (-1,),
    biases: bool = True,
) -> np.ndarray:
    """Return how far one update moves the function on the batch that it was made from.

    `net` stays as it is. The head, the last of `weights` with its bias, is frozen unless told otherwise: its own part
    depends on the size of what it reads, not on how the layers below start. A head of zeros passes no gradient, so that
    the change is 0.

    Parameters
    ----------
    net : Ensemble
        Any that `initnotes.networks.train` trains.
    inputs : array, shape (samples, n_0)
    targets : array
        Class labels, shape (samples,), for "cross_entropy"; targets, shape (samples, n_L), for "mse".
    rate : float, or array of shape (R,)
        So small that the change is proportional to it, where that is what is asked for.
    optimizer : {"sgd", "momentum", "adam"}
        The first step of momentum is that of SGD; that of Adam is the gradient's sign times the rate, save for
        gradients that are not far above its epsilon of 1e-8.
    loss : {"cross_entropy", "mse"}
    frozen : sequence of int
        Places in `net.weights` of what does not move, nor its bias: (0, -1) leaves the blocks of a residual network.
    biases : bool
        Whether any bias moves.

    Returns
    -------
    ndarray, shape (R,)
        Root mean square, over samples and outputs, of the outputs afterwards minus those before.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> net = Ensemble((2, 3, 1), "linear", "lecun_normal", rng=np.random.default_rng(1), replicas=4)
    >>> x, y = np.eye(2), np.zeros((2, 1))
    >>> small, large = (function_change(net, x, y, rate=rate, loss="mse") for rate in (1e-6, 1e-5))
    >>> (large / small).round(3)
    array([10., 10., 10., 10.])
    """
    x, y = data(inputs, targets, net, _checks.one_of(loss, "loss", LOSSES))
    own = each(rate, "rate", net.replicas, net.depth)
    step = stepper(
        _checks.one_of(optimizer, "optimizer", OPTIMIZERS), net.per_parameter(own) if isinstance(own, Tensor) else own
    )
    signals = net.forward(x)
    before = signals.output
    gradients = net.backward(signals, GRADIENTS[loss](before, y.expand(net.replicas, *y.shape)))
    for part in [*(gradients.weights[at] for at in frozen), *(gradients.biases[at] for at in frozen)]:
        part.zero_()
    for part in [] if biases else gradients.biases:
        part.zero_()
    moved = net.part(slice(None))
    step(moved.parameters, gradients.parameters)
    return np.asarray((moved(x) - before).square().mean((1, 2)).sqrt().cpu().numpy())


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


def each(value: Any, name: str, replicas: int, layers: int) -> float | Tensor:
    """Return a number that is 0 or more, or one for each replica, or for each replica's layers; raise otherwise.

    Parameters
    ----------
    value : float, or array of shape (R,), (L, 2) or (R, L, 2)
        The last axis holds that of the layer's weights and that of its biases.
    name : str
        What errors call it.
    replicas, layers : int
        R and L.

    Returns
    -------
    float, or Tensor of float64, shape (R,) or (R, L, 2)
    """
    if np.ndim(value) == 0:
        return _checks.real(value, name, low=0.0)
    shape, checked = np.shape(value), [_checks.real(own, name, low=0.0) for own in np.ravel(value)]
    if shape not in ((replicas,), (layers, 2), (replicas, layers, 2)):
        raise ValueError(
            f"{name} must be a number or one for each of {replicas} replicas, got shape {shape}; "
            f"for weights and biases of each layer, shape ({layers}, 2) or ({replicas}, {layers}, 2)"
        )
    values = torch.tensor(checked, dtype=torch.float64).view(shape)
    return values.expand(replicas, layers, 2) if shape == (layers, 2) else values


def jointly(value: Any, name: str, names: Sequence[Any], replicas: int, layers: int) -> float | Tensor:
    """Return `each` for ensembles that train as one, in the order of `names`.

    A mapping must have a value for each of the names; what is no mapping is the same for all.

    Returns
    -------
    float, or Tensor of float64, shape (N · R,) or (N · R, L, 2) for N names
    """
    if not isinstance(value, Mapping):
        own = each(value, name, replicas, layers)
        return own if isinstance(own, float) else own.repeat(len(names), *[1] * (own.dim() - 1))
    if set(value) != set(names):
        raise ValueError(f"{name} must be one for all or have the names {list(names)}, got {list(value)}")
    return torch.cat([whole(each(value[key], name, replicas, layers), replicas, layers) for key in names])


def whole(value: float | Tensor, replicas: int, layers: int) -> Tensor:
    """Return what `each` returned as a Tensor of shape (R, L, 2)."""
    if isinstance(value, float):
        return torch.full((replicas, layers, 2), value, dtype=torch.float64)
    return value if value.dim() == 3 else value[:, None, None].expand(replicas, layers, 2)


def epsilon(eps: Any, optimizer: str, names: Sequence[Any], replicas: int, layers: int) -> float | Tensor | None:
    """Return Adam's ε as `jointly` does, None for the default; raise unless positive, and if there is no Adam."""
    if eps is None:
        return None
    if optimizer != "adam":
        raise ValueError(f"eps is for 'adam', got it for {optimizer!r}; leave it out")
    found = jointly(eps, "eps", names, replicas, layers)
    if not bool(torch.as_tensor(found).all()):
        raise ValueError("eps must be greater than 0, got 0")
    return found


def length(clip: Any) -> float | None:
    """Return the length to which gradients are clipped, None for any; raise unless it is positive."""
    if clip is not None and _checks.real(clip, "clip", low=0.0) == 0:
        raise ValueError("clip must be greater than 0, got 0; leave it out for no clipping")
    return clip


def clip_(parts: Sequence[Tensor], length: float) -> None:
    """Scale each replica's gradient, whose parts have the replica's axis first, down to `length` where it is longer."""
    flat = [part.flatten(1) for part in parts]
    norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in flat])
    factor = (length / torch.linalg.vector_norm(norms, dim=0)).clamp(max=1.0)
    for part in flat:
        part *= factor[:, None]


def rows(samples: Tensor, batch: Tensor) -> Tensor:
    """Return samples[batch], several times as fast."""
    return samples.index_select(0, batch.flatten()).unflatten(0, batch.shape)


def data(x: Any, y: Any, net: Ensemble, loss: str, *, sets: int = 0) -> tuple[Tensor, Tensor]:
    """Return inputs and targets as tensors that `net` can be trained on with a loss of that name; raise otherwise.

    Both may have an axis of `sets` in front, one for each replica of an ensemble, if that is not 0.
    """
    inputs = _checks.floating(x, "x").to(net.parameters)
    front = (sets,) if sets and inputs.dim() == 3 else ()
    samples = inputs.shape[-2] if inputs.dim() > 1 else 0
    if inputs.shape != (*front, samples, net.widths[0]) or not samples:
        other = f" or ({sets}, samples, {net.widths[0]})" if sets else ""
        raise ValueError(f"x must have shape (samples, {net.widths[0]}){other}, got {tuple(inputs.shape)}")
    if not bool(inputs.isfinite().all()):
        raise ValueError("x must be finite, got NaN or inf; clean the data first")
    targets = _checks.tensor(y, "y").to(net.parameters.device)
    outputs = net.widths[-1]
    if loss == "mse":
        if targets.shape != (*inputs.shape[:-1], outputs):
            raise ValueError(f"y must have shape {(*inputs.shape[:-1], outputs)} for 'mse', got {tuple(targets.shape)}")
        if not bool(targets.isfinite().all()):
            raise ValueError("y must be finite, got NaN or inf; clean the data first")
        return inputs, targets.to(net.dtype)
    if targets.is_floating_point() or targets.shape != (*inputs.shape[:-1], *net.labels):
        given = f"{targets.dtype} of shape {tuple(targets.shape)}"
        wanted = "×".join(map(str, (*inputs.shape[:-1], *net.labels)))
        raise ValueError(f"y must be {wanted} integer labels for 'cross_entropy', got {given}")
    if int(targets.min()) < 0 or int(targets.max()) >= outputs:
        raise ValueError(f"labels must be 0 … {outputs - 1}, got {int(targets.min())} … {int(targets.max())}")
    return inputs, targets.long()
