"""What the first steps of gradient descent move, and what is still without a gradient after them.

What lives here decides between a zero on purpose and a dead end by the gradient itself: at the start, and after steps
on all parameters, which are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import anatomy, moments, walk

__all__ = ["Moves", "moves", "unheard"]

STEP = 0.01  # by how much the parameter with the largest gradient moves
MOST = 8  # steps: of zeros in a row, each step frees one more


class Moves(NamedTuple):
    """Names of what gets a gradient, of zero weights whose units get equal ones then, and of what is in no graph."""

    free: frozenset[str]
    equal: frozenset[str]
    unused: frozenset[str]


def moves(
    parts: Mapping[str, nn.Module],
    value: Callable[[], Tensor],
    *,
    first: Mapping[int, Tensor | None] | None = None,
    asked: Collection[str] | None = None,
    frozen: Collection[str] = (),
) -> Moves:
    """Return which parameters move: with the first step, or with a later one that the step before has freed.

    Parameters
    ----------
    parts : mapping of str to nn.Module
        The model, as "", and its submodules. All of its parameters require a gradient.
    value : callable
        Runs the model, and returns the loss, or a projection of the outputs.
    first : mapping of int to Tensor or None, optional
        The first gradient, where a pass has it already, by the parameters' ids.
    asked : collection of str, optional
        Names of the parameters that somebody asks about: when all of these have moved, no further step is made, and of
        others nothing is said.
    frozen : collection of str, optional
        Names of the parameters that no step moves, of which nothing is said.

    Notes
    -----
    A weight matrix of zeros gets a gradient if what comes before it and what comes behind it are not zero. If a partner
    is zero too, but moves, it gets one after that. Where both factors of a product are zero neither ever moves. What
    has moved once has moved: a later step asks for the gradients of the others, and of matrices that were zero.
    """
    every = walk.parameters(parts)
    named = {name: own for name, own in every.items() if own.is_floating_point() and name not in frozen}
    owners = {id(weight): part for part in parts.values() if (weight := anatomy.weight(part)) is not None}
    zeros = {name for name, own in named.items() if id(own) in owners and moments.norm(own) == 0}
    kept: dict[str, Tensor] = {}
    last: dict[str, Tensor] = {}
    unused, asked = set(named), set(named if asked is None else asked).difference(frozen)
    try:
        for at in range(MOST):
            known = {name: first.get(id(own)) for name, own in named.items()} if first and not at else None
            found = _gradients({name: named[name] for name in named if name in zeros or name not in last}, value, known)
            unused -= found.keys()
            gradients = {name: own for name, own in found.items() if moments.norm(own) != 0}
            if gradients.keys() <= last.keys():
                break
            last |= gradients
            if asked - unused <= last.keys():
                break
            kept |= {name: named[name].detach().clone() for name in gradients.keys() - kept.keys()}
            _step(named, gradients)
    finally:
        _put(kept, named)
    equal = {name for name in zeros & last.keys() if anatomy.stay_equal(owners[id(named[name])], last[name])}
    return Moves(frozenset(last), frozenset(equal), frozenset(unused))


def unheard(named: Mapping[str, Tensor], value: Callable[[], Tensor]) -> frozenset[str]:
    """Return the names of these parameters of which the loss takes nothing now, though none of them is stuck.

    With others in their place, all of them or each alone, the value is the same to the bit, or they have a gradient. So
    it is with a detector's scale on which nothing lies, or that its loss leaves out as it is. A rounding behind a layer
    has no slope with other weights either, and yet they change the loss.

    Parameters
    ----------
    named : mapping of str to Tensor
        They have no gradient, and are put back. Of zeros nothing is said: the others that take their place are zeros.
    value : callable
        Runs the model, with the same random numbers each time.
    """
    named = {name: own for name, own in named.items() if moments.norm(own) != 0}
    before = value().detach()
    if _is_deaf(named, value, before):
        return frozenset(named)
    return frozenset(name for name, own in named.items() if _is_deaf({name: own}, value, before))


def _is_deaf(named: Mapping[str, Tensor], value: Callable[[], Tensor], before: Tensor) -> bool:
    kept = {name: own.detach().clone() for name, own in named.items()}
    try:
        # a sign or a factor alone can cancel
        _put({name: -1.5 * own.flatten().flip(0).view_as(own) for name, own in kept.items()}, named)
        after = value()
        if torch.equal(before, after.detach()):
            return True
        found = _gradients(named, lambda: after, None)
        return found.keys() == named.keys() and all(moments.norm(own) != 0 for own in found.values())
    finally:
        _put(kept, named)


def _put(values: Mapping[str, Tensor], named: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, own in values.items():
            named[name].copy_(own)


def _gradients(
    named: Mapping[str, Tensor], value: Callable[[], Tensor], known: Mapping[str, Tensor | None] | None
) -> dict[str, Tensor]:
    if known is None:
        found = torch.autograd.grad(value(), list(named.values()), allow_unused=True)
        known = dict(zip(named, found, strict=True))
    return {name: own.to_dense().detach() for name, own in known.items() if own is not None}


def _step(named: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
    most = max((float(end) for own in gradients.values() if own.numel() for end in _ends(own)), default=0.0)
    if not 0 < most < float("inf"):
        return
    with torch.no_grad():
        for name, own in gradients.items():
            named[name].sub_(own, alpha=STEP / most)


def _ends(own: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sizes of the smallest and the largest number, which is faster than all sizes."""
    low, high = own.aminmax()
    return -low, high
