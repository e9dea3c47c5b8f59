"""A network that is looked at comes back as it was: parameters, buffers, modes, gradients, random states.

What lives here keeps and puts back; it measures nothing.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from operator import is_not
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import walk

__all__ = ["checked_parameters", "random_states_kept", "untouched"]


_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their bytes


def checked_parameters(parts: Mapping[str, nn.Module]) -> list[nn.Parameter]:
    """Return the parameters of a model's modules; raise, in words, if they cannot be looked at."""
    name = type(parts[""]).__name__
    if any(isinstance(module, torch.jit.ScriptModule) for module in parts.values()):
        raise TypeError(
            f"{name} has scripted or traced parts, whose layers cannot be seen; pass the model as it was before "
            "scripting"
        )
    parameters = list(walk.parameters(parts).values())
    if not parameters:
        raise ValueError(f"{name} has no parameters; pass a model with at least one layer with weights")
    if any(map(nn.parameter.is_lazy, parameters)):
        raise ValueError(f"{name} has lazy parameters without a shape; call it once on inputs first")
    buffers = [own for module in parts.values() for own in module._buffers.values() if own is not None]
    if any(tensor.is_meta for tensor in (*parameters, *buffers)):
        raise ValueError(
            f"{name} has parameters on the meta device, which have no values; "
            "use model.to_empty(device='cpu') and initialize it first"
        )
    return parameters


@contextmanager
def untouched(parts: Mapping[str, nn.Module], parameters: list[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Put back whatever a pass changes, random states too; yield the parameters meanwhile, which all have gradients."""
    owned = [(part, dict(part._parameters), dict(part._buffers), part.training) for part in parts.values()]
    data = [p.detach() for p in parameters]
    saved = [(p, own, own.clone(), p.grad, p.requires_grad) for p, own in zip(parameters, data, strict=True)]
    with ExitStack() as back:  # runs all of it, the parameters first, even if one step fails
        back.enter_context(random_states_kept(parameters))
        back.enter_context(_fast_path_off())
        back.callback(_each, _put_back, owned)
        back.callback(_each, _restore, saved)
        _stand_in([module for module, *_ in owned])
        parameters = list(walk.parameters(parts).values())
        for parameter in parameters:
            parameter.grad = None
            if parameter.is_floating_point():
                parameter.requires_grad_()
        yield parameters


@contextmanager
def random_states_kept(parameters: list[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Put the states of all global random number generators back; yield the parameters, as `untouched` does."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    ours, numpys, pythons = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield parameters
    finally:
        torch.set_rng_state(ours)
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _fast_path_off() -> Iterator[None]:
    """Let attention take the path that calls its layers, and what is compiled run as it was written."""
    before = torch.backends.mha.get_fastpath_enabled()
    compiles = "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance")  # slow to load
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager") if compiles else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _each(step: Callable[..., None], of: Sequence[tuple[Any, ...]]) -> None:
    """Take a step with each of these, the rest even where one fails."""
    errors = []
    for own in reversed(of):
        try:
            step(*own)
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _put_back(module: nn.Module, parameters: dict[str, Any], buffers: dict[str, Any], training: bool) -> None:
    _refill(module._parameters, parameters)
    _refill(module._buffers, buffers)
    if module.training is not training:
        module.training = training


def _stand_in(modules: Sequence[nn.Module]) -> None:
    """Replace buffers, and parameters made in inference mode, which autograd refuses, by copies."""
    copies: dict[int, Any] = {}
    for module in modules:
        for name, tensor in module._buffers.items():
            if tensor is not None:
                module._buffers[name] = copies.setdefault(id(tensor), tensor.detach().clone())
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.is_inference():
                copy = nn.Parameter(parameter.clone(), parameter.requires_grad)
                module._parameters[name] = copies.setdefault(id(parameter), copy)


def _refill(store: dict[str, Any], before: dict[str, Any]) -> None:
    if list(store) != list(before) or any(map(is_not, store.values(), before.values())):
        store.clear()
        store.update(before)


def _restore(parameter: Tensor, data: Tensor, values: Tensor, grad: Tensor | None, requires_grad: bool) -> None:
    """Write only what changed: a write, even of the same numbers, breaks a graph that somebody still holds."""
    if not parameter.is_inference():
        if parameter.data_ptr() != data.data_ptr() or parameter.stride() != data.stride():
            parameter.data = data
        if not _is_same(data, values):
            data.copy_(values)
        if parameter.requires_grad != requires_grad:
            parameter.requires_grad_(requires_grad)
    if parameter.grad is not grad:
        parameter.grad = grad


def _is_same(data: Tensor, values: Tensor) -> bool:
    """Whether all numbers are the same, NaN too; many are compared by their bits, which takes half the time."""
    if data.numel() < 2**16 or type(data) is not Tensor or data.device.type != "cpu" or not data.is_contiguous():
        return torch.equal(data, values) or torch.allclose(data, values, rtol=0, atol=0, equal_nan=True)
    words = _WORDS.get(data.itemsize, data.dtype)
    return np.array_equal(data.view(words).numpy(), values.view(words).numpy())
