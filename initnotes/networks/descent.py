"""Updates of many copies of an ensemble, each with a rate of its own, from batches that all copies share.

What lives here makes one update as fast as its matrix products allow; ``sweeps`` says how often, and measures.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import activations
from ..activations import Activation
from .ensemble import Ensemble
from .updates import GRADIENTS, Step, clip_, stepper

__all__ = ["updater"]

Update = Callable[[Tensor, Tensor], None]

NUMBERS = 2**16  # of a layer: what is computed together stays in a processor's cache
IN_PLACE: dict[Activation, tuple[Callable[[Tensor, Tensor], Any], Callable[[Tensor, Tensor, Tensor], Any]]] = {
    # φ, of z and h in one place, and δ times φ′ in the place of δ, from h alone
    activations.get("tanh"): (
        lambda z, h: np.tanh(z.numpy(), out=z.numpy()),  # as `train` takes it; several threads slow torch's down
        lambda delta, z, h: torch.ops.aten.tanh_backward.grad_input(delta, h, grad_input=delta),
    ),
    activations.get("relu"): (
        lambda z, h: z.relu_(),
        lambda delta, z, h: torch.ops.aten.threshold_backward.grad_input(delta, h, 0, grad_input=delta),
    ),
}
APART: dict[Activation, tuple[Callable[[Tensor, Tensor], Any], Callable[[Tensor, Tensor, Tensor], Any]]] = {
    # φ from z to h, and δ times φ′(z) in the place of δ, with little fresh memory
    activations.get("gelu"): (
        lambda z, h: torch.ops.aten.gelu.out(z, out=h),
        lambda delta, z, h: torch.ops.aten.gelu_backward.grad_input(delta, z, grad_input=delta),
    ),
    activations.get("silu"): (
        lambda z, h: torch.ops.aten.silu.out(z, out=h),
        lambda delta, z, h: torch.ops.aten.silu_backward.grad_input(delta, z, grad_input=delta),
    ),
    activations.get("sine"): (
        lambda z, h: torch.sin(z, out=h),
        lambda delta, z, h: delta.mul_(z.cos_()),  # nothing needs z after it
    ),
}


def updater(
    net: Ensemble,
    rates: Tensor,
    *,
    loss: str,
    optimizer: str,
    clip: float | None,
    decay: Tensor | None = None,
    eps: float | Tensor | None = None,
    warm_up: int = 0,
) -> Update:
    """Return a function that makes one update of `net` in place from a batch.

    Parameters
    ----------
    net : Ensemble
        C copies of R replicas, one behind the other.
    rates : Tensor, shape (C · R,) or (C · R, L, 2)
        A learning rate for each, or for the weights and for the biases of each of its layers.
    loss, optimizer, clip, warm_up
        As for `initnotes.training.train`.
    decay, eps : Tensor of such a shape, optional
        The rates times the weight decay, and Adam's ε, which may be a number.

    Returns
    -------
    callable
        Of inputs, shape (R, batch, n_0), and targets, shape (R, batch, …), which are the same for each copy.
    """
    plain = type(net).forward is Ensemble.forward and net.product is torch.matmul
    make = _in_pieces if plain and net.parameters.device.type == "cpu" else _as_a_whole
    return make(net, loss, clip, _Steps(optimizer, rates, decay, eps, warm_up))


@dataclass(frozen=True)
class _Steps:
    """What the steps of some parameters are made of."""

    optimizer: str
    rates: Tensor
    decay: Tensor | None
    eps: float | Tensor | None
    warm_up: int

    def of(self, choose: Callable[[Tensor], Tensor]) -> Step:
        """Return the step of those parameters whose values `choose` takes out."""
        decay, eps = (choose(own) if isinstance(own, Tensor) else own for own in (self.decay, self.eps))
        return stepper(self.optimizer, choose(self.rates), decay=decay, eps=eps, warm_up=self.warm_up)


def _as_a_whole(net: Ensemble, loss: str, clip: float | None, steps: _Steps) -> Update:
    """Return an update of all copies at once, whose step takes as many numbers at a time as the cache holds."""
    each = replace(
        steps,
        rates=net.per_parameter(steps.rates),
        decay=None if steps.decay is None else net.per_parameter(steps.decay),
        eps=net.per_parameter(steps.eps) if isinstance(steps.eps, Tensor) else steps.eps,
    )
    size = NUMBERS if net.parameters.device.type == "cpu" else len(net.parameters)
    cuts = [slice(at, at + size) for at in range(0, len(net.parameters), size)]
    pieces = [(cut, each.of(operator.itemgetter(cut))) for cut in cuts]

    def update(x: Tensor, y: Tensor) -> None:
        copies = net.replicas // len(x)
        signals = net.forward(_repeated(x, copies))
        gradients = net.backward(signals, GRADIENTS[loss](signals.output, _repeated(y, copies)))
        if clip is not None:
            clip_([*gradients.weights, *gradients.biases], clip)
        for cut, step in pieces:
            step(net.parameters[cut], gradients.parameters[cut])

    return update


def _in_pieces(net: Ensemble, loss: str, clip: float | None, steps: _Steps) -> Update:
    """Return an update that takes some copies at a time all the way, while their signals are still in the cache."""
    room: _Room | None = None
    pieces: list[_Piece] = []
    weights = sum(out * n for out, n in net.shapes) // net.depth  # of a layer, on average

    def update(x: Tensor, y: Tensor) -> None:
        nonlocal room
        copies = min(max(1, NUMBERS // (len(x) * weights)), net.replicas // len(x))
        if room is None:
            size = copies * len(x)
            room = _Room(net, size, x.shape[1], together=clip is not None)
            cuts = [slice(cut, cut + size) for cut in range(0, net.replicas, size)]
            pieces.extend(_Piece(net, cut, room, loss, clip, steps) for cut in cuts)
        room.inputs.unflatten(0, (copies, len(x))).copy_(x)
        targets = _repeated(y, copies)
        with np.errstate(all="ignore"):  # of replicas that diverge
            for piece in pieces:
                piece.update(targets)

    return update


class _Room:
    """Memory for what lies between the parameters and their update, which the pieces use in turns, step after step.

    Fresh memory costs as much as a product. φ(z) takes the place of z where φ′ follows from it.
    """

    def __init__(self, net: Ensemble, replicas: int, batch: int, *, together: bool) -> None:
        like, depth = net.parameters, net.depth
        layers = [(replicas, batch, width) for width in net.widths[1:]]
        self.inputs = like.new_empty(replicas, batch, net.widths[0])
        self.ones = like.new_ones(replicas, 1, batch)
        self.z = _shared(like, layers, depth)
        self.h = self.z if net.activation in IN_PLACE else _shared(like, layers, depth)
        self.flipped = _shared(like, [(replicas, n, out) for out, n in net.shapes], 1)
        self.deltas = _shared(like, layers, 2)
        turns = depth if together else 1
        self.weights = _shared(like, [(replicas, *shape) for shape in net.shapes], turns)
        self.biases = _shared(like, [(replicas, 1, out) for out, _ in net.shapes], turns)
        for gradient in self.biases:
            gradient.zero_()


def _shared(like: Tensor, shapes: Sequence[tuple[int, ...]], turns: int) -> list[Tensor]:
    """Return tensors of such shapes, of which each lies in the same memory as the one so many places before it."""
    memory = [like.new_empty(max(map(math.prod, shapes))) for _ in range(turns)]
    return [memory[at % turns][: math.prod(shape)].view(shape) for at, shape in enumerate(shapes)]


class _Piece:
    """Some replicas of a plain ensemble, as views of its parameters, each of which is updated by itself.

    A gradient is used as soon as it is there. The products are NumPy's, of batches of small matrices the faster ones.
    """

    def __init__(
        self, net: Ensemble, replicas: slice, room: _Room, loss: str, clip: float | None, steps: _Steps
    ) -> None:
        self.gradient, self.clip, self.biased = GRADIENTS[loss], clip, net.biased
        self.phi, self.slope = (IN_PLACE | APART).get(net.activation) or _copied(net.activation)
        self.weights = [weight[replicas] for weight in net.weights]
        self.biases = [bias[replicas][:, None] for bias in net.biases]
        count = len(self.weights[0])
        self.z, self.flipped, self.deltas, self.weight_gradients, self.bias_gradients = (
            [part[:count] for part in parts] for parts in (room.z, room.flipped, room.deltas, room.weights, room.biases)
        )
        self.h = [part[:count] for part in (room.inputs, *room.h)]
        self._multiply(room.ones[:count])
        self.steps = [
            (steps.of(_of(net, replicas, layer, 0)), steps.of(_of(net, replicas, layer, 1)))
            for layer in range(net.depth)
        ]

    def _multiply(self, ones: Tensor) -> None:
        """Prepare all products: forward, of the gradients, and back from a layer to the one before."""
        layers = list(enumerate(zip(self.weights, self.deltas, strict=True)))
        self.forward = [
            (partial(np.copyto, flipped.numpy(), weight.mT.numpy()), _product(self.h[at], flipped, self.z[at]))
            for (at, (weight, _)), flipped in zip(layers, self.flipped, strict=True)
        ]
        self.found = [[_product(delta.mT, self.h[at], self.weight_gradients[at])] for at, (_, delta) in layers]
        if self.biased:  # without them their gradients stay 0, as the room has them
            for at, (_, delta) in layers:
                self.found[at].append(_product(ones, delta, self.bias_gradients[at]))
        self.back = [_product(delta, weight, self.deltas[at - 1]) for at, (weight, delta) in layers[1:]]

    def update(self, y: Tensor) -> None:
        """Make one update from the inputs in the room and targets of as many replicas as there are here."""
        for layer, (flip, product) in enumerate(self.forward):
            if layer:
                self.phi(self.z[layer - 1], self.h[layer])
            flip()  # a product with weight.mT takes twice as long
            product()
            self.z[layer].add_(self.biases[layer])
        self.deltas[-1].copy_(self.gradient(self.z[-1], y[: len(self.z[-1])]))
        for layer in self._gradients():
            step, bias_step = self.steps[layer]
            step(self.weights[layer], self.weight_gradients[layer])
            bias_step(self.biases[layer], self.bias_gradients[layer])

    def _gradients(self) -> Iterator[int]:
        """Yield each layer once its gradients are there and nothing needs its weights, the last layer first."""
        layers = range(len(self.weights) - 1, -1, -1)
        for layer in layers:
            for product in self.found[layer]:
                product()
            if layer:
                self.back[layer - 1]()
                self.slope(self.deltas[layer - 1], self.z[layer - 1], self.h[layer])
            if self.clip is None:
                yield layer
        if self.clip is not None:
            clip_([*self.weight_gradients, *self.bias_gradients], self.clip)
            yield from layers


def _of(net: Ensemble, replicas: slice, layer: int, part: int) -> Callable[[Tensor], Tensor]:
    """Return what takes the values of some replicas' weights (part 0) or biases (part 1) of a layer out of all."""
    return lambda values: (values if values.dim() == 1 else values[:, layer, part])[replicas].to(net.parameters)[
        :, None, None
    ]


def _product(a: Tensor, b: Tensor, out: Tensor) -> Callable[[], Any]:
    """Return a function that writes a · b, of what they hold by then, to `out`."""
    return partial(np.matmul, a.numpy(), b.numpy(), out=out.numpy())


def _copied(activation: Activation) -> tuple[Callable[[Tensor, Tensor], Any], Callable[[Tensor, Tensor, Tensor], Any]]:
    """Return φ from z to h, and the function that multiplies δ by φ′(z), of any activation."""
    return lambda z, h: h.copy_(activation(z)), lambda delta, z, h: delta.copy_(activation.backward(delta, z, h))


def _repeated(batch: Tensor, copies: int) -> Tensor:
    return batch if copies == 1 else batch.repeat(copies, *[1] * (batch.dim() - 1))
