"""A plain ensemble measured on its own passes: of what has no surprises, no hook and no graph is asked.

What lives here fills the same `Call` as the hooks do, in half of the time; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..networks import Ensemble, Signals
from . import batches, ensembles, moments
from .hooks import Applied, Call
from .moments import measured

__all__ = ["calls_of", "is_plain"]


def is_plain(model: Any, batch: Any) -> bool:
    """Whether a model is an ensemble of multilayer perceptrons, and the batch one tensor of its inputs."""
    return isinstance(model, Ensemble) and type(model).forward is Ensemble.forward and isinstance(batch, Tensor)


def calls_of(
    net: Ensemble, batch: Tensor, loss: Callable[[Any], Tensor] | None
) -> tuple[list[Call], Tensor, Tensor | None]:
    """Return what its layers made and, with a loss, which gradients came back; the inputs; and ∂loss/∂z_L."""
    with torch.no_grad():
        inputs = ensembles.taken(batch.detach(), net.parameters, net.widths[0], net.replicas)
        signals = net.forward(inputs)
        slopes = [
            net.activation.backward(torch.ones_like(z), z, h)
            for z, h in zip(signals.pre_activations[:-1], signals.activations[1:], strict=True)
        ]
        calls = [_call(net, signals, at) for at in range(net.depth)]
        for call, h, slope in zip(calls, signals.activations[1:], slopes, strict=False):
            call.applied.append(_applied(net.activation.name, h, slope))
    delta = None if loss is None else _last_gradient(signals.output, loss, net.replicas)
    if delta is not None:
        with torch.no_grad():
            _pass_back(net, signals, slopes, delta, calls)
    return calls, inputs, delta


def _call(net: Ensemble, signals: Signals, at: int) -> Call:
    z, distinct = signals.pre_activations[at], moments.distinct(net.weights[at], net.biases[at])
    return Call(str(at + 1), "Linear", width=z.shape[-1], z=measured(moments.sums, z), distinct=distinct)


def _applied(name: str, h: Tensor, slope: Tensor) -> Applied:
    return Applied(
        name,
        slopes=measured(moments.slope_fractions, slope.abs()),
        h=measured(moments.heard, h),
    )


def _last_gradient(output: Tensor, loss: Callable[[Any], Tensor], replicas: int) -> Tensor:
    output = output.detach().requires_grad_()
    value = batches.checked_loss(loss(output), replicas)
    (delta,) = torch.autograd.grad(value.sum(), output, allow_unused=True)
    if delta is None:
        raise ValueError(batches.DETACHED)
    return delta


def _pass_back(net: Ensemble, signals: Signals, slopes: list[Tensor], delta: Tensor, calls: list[Call]) -> None:
    """Send δ back as `Ensemble.backward` does, and measure what it meets."""
    for at in range(net.depth - 1, -1, -1):
        calls[at].gradient = measured(moments.sums, delta)
        calls[at].weight_gradient = measured(moments.sums, net.product(delta.mT, signals.activations[at]))
        if at:
            back = net.product(delta, net.weights[at])
            calls[at - 1].applied[0].gradient = measured(moments.sums, back)
            delta = back * slopes[at - 1]
