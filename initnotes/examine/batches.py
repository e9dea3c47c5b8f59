"""What an examiner is given: a batch of any form, a loss, outputs of any form.

What lives here checks, copies and takes apart; it knows nothing of layers.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

__all__ = [
    "arguments",
    "check_arguments",
    "check_loss",
    "checked_loss",
    "copied",
    "places",
    "projected",
    "tensor",
    "tensors",
]

DETACHED = (
    "loss does not depend on the model: its gradient reaches no layer; "
    "compute it from the outputs it is given, with torch's operations and without .detach() or .item()"
)


def places(batch: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Tensor | np.ndarray]]:
    """Yield the tensors and arrays of nested tuples, lists and dicts, each with the keys that lead to it."""
    if isinstance(batch, (Tensor, np.ndarray)):
        yield path, batch
    elif isinstance(batch, (tuple, list, Mapping)):
        for key, part in batch.items() if isinstance(batch, Mapping) else enumerate(batch):
            yield from places(part, (*path, key))


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested tuples, lists and dicts; arrays as copies."""
    for _, found in places(value):
        yield tensor(found)


def tensor(value: Tensor | np.ndarray) -> Tensor:
    """Return a tensor as it is, an array as a copy, which may be written."""
    return value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))


def copied(value: Any, like: Tensor, leaves: list[Tensor], *, follow: bool = True) -> Any:
    """Return the batch with copies, of real numbers such that autograd can `follow` them; `leaves` gets these.

    An array becomes a tensor, of real numbers in the dtype of `like`.
    """
    if isinstance(value, np.ndarray):
        value = tensor(value).to(like.device)
        value = value.to(like.dtype) if value.is_floating_point() else value
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        if copy.is_floating_point():
            copy = copy.requires_grad_().clone() if follow else copy
            leaves.append(copy)
        return copy
    if isinstance(value, Mapping):
        return {key: copied(part, like, leaves, follow=follow) for key, part in value.items()}
    if not isinstance(value, (tuple, list)):
        return value
    parts: Any = [copied(part, like, leaves, follow=follow) for part in value]
    if isinstance(value, tuple):
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return parts


def arguments(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments by place and by name that a batch stands for; packed sequences are tuples, but one."""
    if isinstance(batch, Mapping):
        return (), dict(batch)
    spread = isinstance(batch, (tuple, list)) and not isinstance(batch, PackedSequence)
    return (tuple(batch) if spread else (batch,)), {}


def check_arguments(model: nn.Module, batch: Any) -> None:
    """Raise if the batch holds no tensor, an empty one, or parts that are not what forward takes."""
    found = [part for _, part in places(batch)]
    if not found:
        given = type(batch).__name__
        raise TypeError(f"batch must hold at least one tensor or array, got {given}; use torch.as_tensor(x)")
    if not all(math.prod(part.shape) for part in found):
        shapes = ", ".join(str(tuple(part.shape)) for part in found)
        raise ValueError(f"batch must not be empty, got shape {shapes}; pass at least one input")
    if isinstance(batch, (Tensor, np.ndarray)):
        return
    parts, named = arguments(batch)
    try:
        inspect.signature(model.forward).bind(*parts, **named)
    except TypeError as error:
        raise TypeError(
            f"batch does not fit {type(model).__name__}.forward: {error}; a tuple's parts are its arguments. "
            "If one of them is the target, pass batch=x and loss=lambda outputs: criterion(outputs, y)"
        ) from None


def check_loss(loss: Any) -> None:
    """Raise if a loss is no function, or not one of the outputs alone."""
    if loss is None:
        return
    if not callable(loss):
        raise TypeError(f"loss must be a function of the outputs, or None, got {loss!r}")
    try:
        signature = inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss)
    except ValueError:  # a built-in function that does not tell
        return
    try:
        signature.bind(None)
    except TypeError as error:
        name = loss.__name__ if hasattr(loss, "__name__") else type(loss).__name__
        raise TypeError(
            f"loss must be a function of the outputs alone, got {name}: {error}; "
            "put the targets into a function: loss=lambda out: criterion(out, y)"
        ) from None


def checked_loss(value: Any, replicas: int | None) -> Tensor:
    """Return what a loss returned; raise if it is no scalar, or of R replicas not R numbers, with a gradient."""
    each = () if replicas is None else (replicas,)
    allowed = f"a scalar{f', or a loss for each replica: shape {each}' if each else ''}"
    if not isinstance(value, Tensor):
        raise TypeError(f"loss must return a tensor, {allowed}, got {type(value).__name__}")
    if value.shape not in ((), each) or not value.is_floating_point():
        given = f"{value.dtype} of shape {tuple(value.shape)}"
        raise ValueError(f"loss must return {allowed}, of real numbers, got {given}; reduce it with .mean() or .sum()")
    if value.grad_fn is None:  # also a parameter itself, which no layer has computed
        raise ValueError(DETACHED)
    return value


def projected(outputs: Any) -> Tensor:
    """Return a random projection of all outputs with signs of its own generator.

    Raises
    ------
    ValueError
        If the outputs hold no tensor, or none that depends on the model's parameters.
    """
    found = list(tensors(_opened(outputs)))
    if not found:
        given = type(outputs).__name__
        raise ValueError(f"no tensor was found in the outputs, a {given}; pass loss=, which takes them")
    signs, total = torch.Generator().manual_seed(0), []
    for output in found:
        if output.is_floating_point() and output.requires_grad:
            sign = torch.randint(0, 2, output.shape, generator=signs).to(output) * 2 - 1
            total.append((output * sign).sum() / math.sqrt(max(1, output.numel())))
    if not total:
        raise ValueError("the outputs do not depend on the model's parameters: no gradient reaches a layer")
    return torch.stack([part.double() for part in total]).sum()


def _opened(outputs: Any) -> Any:
    """Return the attributes of an object that is no container, such as a dataclass; others as they are."""
    closed = isinstance(outputs, (Tensor, tuple, list, Mapping)) or not hasattr(outputs, "__dict__")
    return outputs if closed else vars(outputs)
