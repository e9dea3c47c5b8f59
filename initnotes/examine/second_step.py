"""What the first steps of gradient descent move, and what is still without a gradient after them.

What lives here decides between a zero on purpose and a dead end by the gradient itself: at the start, and after steps
on all parameters, which are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import anatomy

__all__ = ["Moves", "moves"]

STEP = 0.01  # by how much the parameter with the largest gradient moves
MOST = 8  # steps: of zeros in a row, each step frees one more


class Moves(NamedTuple):
    """Names of the parameters that get a gradient, of those whose units have equal ones, and of those in no graph."""

    free: frozenset[str]
    equal: frozenset[str]
    unused: frozenset[str]


def moves(module: nn.Module, value: Callable[[], Tensor]) -> Moves:
    """Return which parameters move: with the first step, or with a later one that the step before has freed.

    Parameters
    ----------
    module : nn.Module
        All of its parameters require a gradient.
    value : callable
        Runs the model, and returns the loss, or a projection of the outputs.

    Notes
    -----
    A weight matrix of zeros gets a gradient if what comes before it and what comes behind it are not zero. If a partner
    is zero too, but moves, it gets one after that. Where both factors of a product are zero neither ever moves.
    """
    named = {name: own for name, own in module.named_parameters() if own.is_floating_point()}
    kept = [own.detach().clone() for own in named.values()]
    owners = {id(weight): part for part in module.modules() if (weight := anatomy.weight(part)) is not None}
    last: dict[str, Tensor] = {}
    unused = set(named)
    try:
        for _ in range(MOST):
            found = _gradients(named, value)
            unused -= found.keys()
            gradients = {name: own for name, own in found.items() if bool(own.any())}
            if gradients.keys() <= last.keys():
                break
            last |= gradients
            _step(named, gradients)
    finally:
        with torch.no_grad():
            for own, before in zip(named.values(), kept, strict=True):
                own.copy_(before)
    weights = {name: owners[id(named[name])] for name in last if id(named[name]) in owners}
    equal = {name for name, owner in weights.items() if anatomy.stay_equal(owner, last[name])}
    return Moves(frozenset(last), frozenset(equal), frozenset(unused))


def _gradients(named: Mapping[str, Tensor], value: Callable[[], Tensor]) -> dict[str, Tensor]:
    found = torch.autograd.grad(value(), list(named.values()), allow_unused=True)
    return {name: own.to_dense().detach() for name, own in zip(named, found, strict=True) if own is not None}


def _step(named: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
    most = max((float(own.abs().max()) for own in gradients.values() if own.numel()), default=0.0)
    if not 0 < most < float("inf"):
        return
    with torch.no_grad():
        for name, own in gradients.items():
            named[name].sub_(own, alpha=STEP / most)
