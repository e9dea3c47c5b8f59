"""Starts that look at the data: layers scaled so that what they return on a batch has a standard deviation of 1.

What lives here measures one forward pass and divides as it goes; schemes that need no data are for ``fill``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .. import _checks, draws
from ..networks.ensemble import Ensemble
from ..schemes import Initializer, scheme
from .fans import RECURRENT, has_rule, is_layer, stack
from .fill import initialize_
from .rules import Key, checked_skip, places, reach

__all__ = ["lsuv_"]

Model = TypeVar("Model", nn.Module, Ensemble)

PER = ("layer", "unit")
_OTHERS = (nn.Embedding, nn.EmbeddingBag, nn.MultiheadAttention, *RECURRENT)
_TRIES = 10  # passes of a layer: one is enough but for biases that are not 0


def lsuv_(
    model: Model,
    batch: Any,
    *,
    rng: np.random.Generator,
    start: str | Initializer | None = "orthogonal",
    per: str = "layer",
    tolerance: float = 0.01,
    skip: Key | Iterable[Key] = (),
    strict: bool = False,
) -> Model:
    """Draw a network's weights, then divide each layer's by the standard deviation of what it returns, in place.

    The layers come in the order of execution, each after those before it have been scaled. Scaled are ``Linear``,
    ``Bilinear``, convolutions and the ``Conv1D`` of Hugging Face's GPT-2, the last layer too.

    Parameters
    ----------
    model : torch.nn.Module or Ensemble
        Of any wiring; run in the mode that it is in. In a plain ensemble each replica is scaled by itself.
    batch : Tensor, ndarray, tuple, list or dict
        What the model takes: a tuple's parts as its arguments, a dict's as its named ones.
    rng : numpy.random.Generator
        For `start`.
    start : str, Initializer or None
        How the weights are drawn before, by `initialize_`, which sets biases to 0; the paper's is "orthogonal". Another
        one says what the data is good for. None keeps weights and biases as they are.
    per : {"layer", "unit"}
        "layer" divides by one number for the layer, of all units, inputs and positions (LSUV). "unit" gives each unit
        a mean of 0 and a standard deviation of 1 over the batch, by its weights and its bias: the start of weight
        normalization and of ActNorm.
    tolerance : float
        How far a standard deviation may stay from 1. One division is exact unless a bias is not 0.
    skip : str, type of module, module, or several
        Layers that stay as they are, start included; as for `initialize_`. Not for ensembles. So do layers with a
        frozen parameter.
    strict : bool
        Whether to raise instead of a warning.

    Returns
    -------
    Module or Ensemble
        The same object. Buffers, gradients and modes are what they were, and so are global random states.

    Warns
    -----
    UserWarning
        If a layer is left as `start` has it: not called on this batch, of another kind, its weight computed from other
        parameters, or with outputs that do not differ or are not finite. If it is called several times, or shares its
        weight, and only its first call is scaled. If a unit keeps its mean, for want of a bias.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or no layer can be scaled; if `strict` and there is something to warn of. What
        the model raises passes through. Whatever is raised, neither `model` nor `rng` has changed then.

    References
    ----------
    Mishkin & Matas, "All you need is a good init", ICLR 2016, algorithm 1. Units: Salimans & Kingma, "Weight
    normalization", NeurIPS 2016, section 3; Kingma & Dhariwal, "Glow", NeurIPS 2018 (ActNorm).

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(20, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 5))
    >>> batch = torch.from_numpy(np.random.default_rng(1).standard_normal((128, 20)).astype("float32"))
    >>> lsuv_(model, batch, rng=np.random.default_rng(2)) is model
    True
    >>> [round(float(model[:end](batch).detach().std(correction=0)), 3) for end in (1, 3, 5)]
    [1.0, 1.0, 1.0]
    """
    _checks.generator(rng)
    how = _How(_checks.one_of(per, "per", PER), _checks.real(tolerance, "tolerance", low=0.0, strict=True))
    drawn_by = None if start is None else scheme(start)
    if isinstance(model, Ensemble):
        if not isinstance(skip, tuple) or skip:
            raise ValueError("skip is for modules; an ensemble's layers are all scaled")
        with _undone(rng, [model.parameters]):
            _scale_ensemble(model, batch, drawn_by, rng, how, strict)
        return model
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module or an Ensemble, got {type(model).__name__}")
    _scale_module(model, batch, drawn_by, rng, how, skip, strict)
    return model


@dataclass
class _How:
    """What is measured, how exactly, and what is to be said of it."""

    per: str
    tolerance: float
    notes: list[str] = field(default_factory=list)


@dataclass
class _Calls:
    """What happened to a layer."""

    module: nn.Module
    count: int = 0
    scaled: bool = False
    why: str = ""


@contextmanager
def _undone(rng: np.random.Generator, parameters: Sequence[Tensor]) -> Iterator[None]:
    """Put parameters and generator back if what is done with them fails."""
    kept = [parameter.detach().clone() for parameter in parameters]
    with draws.rewound(rng):
        try:
            yield
        except BaseException:
            for parameter, before in zip(parameters, kept, strict=True):
                draws.write(parameter, before.double().numpy(force=True))
            raise


def _say(notes: Sequence[str], strict: bool) -> None:
    if notes and strict:
        raise ValueError(f"lsuv_: {'; '.join(notes)}")
    if notes:
        warnings.warn(f"lsuv_: {'; '.join(notes)}", UserWarning, stacklevel=4)


# ---------------------------------------------------------------------------------------------------------------------
# Modules


def _scale_module(
    model: nn.Module,
    batch: Any,
    drawn_by: Initializer | None,
    rng: np.random.Generator,
    how: _How,
    skip: Key | Iterable[Key],
    strict: bool,
) -> None:
    """Draw and scale the layers of a module in the order of their first calls; what is frozen stays as it is."""
    known = places(model)
    keys = checked_skip(skip, known)
    skipped = {id(place.module) for place in known if any(reach(key, place) for key in keys)}
    skipped |= {id(place.module) for place in known if not place.parameter.requires_grad}
    layers = {name: part for name, part in model.named_modules() if is_layer(part) and id(part) not in skipped}
    with _undone(rng, [place.parameter for place in known]):
        if drawn_by is not None:
            initialize_(model, drawn_by, rng=rng, skip=keys, strict=strict)
        with _hooked(layers, how) as calls:
            _run(model, batch)
        if not any(call.scaled for call in calls.values()):
            why = "; ".join(_left(calls)) or "it has none that is not frozen or skipped"
            raise ValueError(f"no layer of {type(model).__name__} can be scaled: {why}")
        _say([*_left(calls), *how.notes], strict)


def _run(model: nn.Module, batch: Any) -> None:
    """Pass the batch through; buffers and random states are put back."""
    from ..examine import batches  # which stands on the rooms of this folder
    from ..examine.untouched import random_states_kept

    batches.check_arguments(model, batch)
    like = next(model.parameters())
    parts, named = batches.arguments(batches.copied(batch, like, [], follow=False))
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.no_grad(), random_states_kept([]):
        try:
            model(*parts, **named)
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)


@contextmanager
def _hooked(layers: dict[str, nn.Module], how: _How) -> Iterator[dict[str, _Calls]]:
    """Scale each layer when it is first called, and hand on what it returns then."""
    calls = {name: _Calls(module) for name, module in layers.items()}
    by_weight: dict[int, str] = {}
    handles = []

    def hook(name: str) -> Any:
        def scale(module: nn.Module, inputs: Any, named: Any, output: Any) -> Any:
            call = calls[name]
            call.count += 1
            if call.count > 1:
                return None
            if isinstance(module, _OTHERS):
                by_weight.setdefault(id(getattr(module, "weight", module)), name)
                return None
            if not has_rule(module):
                call.why = "its weight is computed from other parameters; scale it before that"
                return None
            first = by_weight.setdefault(id(module.weight), name)
            if first != name:
                call.why = f"it shares its weight with {first}, which comes before"
                return None
            return _scaled(name, call, lambda: module.forward(*inputs, **named), output, how)

        return scale

    try:
        handles += [part.register_forward_hook(hook(name), with_kwargs=True) for name, part in layers.items()]
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _scaled(name: str, call: _Calls, again: Any, output: Tensor, how: _How) -> Tensor | None:
    """Scale a layer until what it returns is as asked for; return that."""
    module: Any = call.module
    axis = -1 - len(module.kernel_size) if isinstance(module, _ConvNd) else -1
    for divisions in range(_TRIES):
        mean, std = _moments(output, axis, how.per)
        if not bool(std.isfinite().all()):
            call.why = "what it returns is not finite"
        elif not bool((std > _tiny(output)).all()):
            call.why = "what it returns does not differ" + (" in some units" if how.per == "unit" else "")
        if call.why:
            return None
        shifted = how.per == "unit" and module.bias is not None
        off = ((std - 1).abs() > how.tolerance) | (shifted & (mean.abs() > how.tolerance))
        if divisions and not bool(off.any()):
            break
        _divide(module, std, mean if shifted else None)
        output = again()
    else:
        call.why = f"its standard deviation does not come to 1 in {_TRIES} divisions, as its biases are large"
        return output
    if how.per == "unit" and module.bias is None:
        how.notes.append(f"{name}: without a bias its units keep their means")
    call.scaled = True
    return output


def _moments(output: Tensor, axis: int, per: str) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of all numbers, or of each unit, in double precision."""
    values = output.double()
    values = values.movedim(axis, 0).flatten(1) if per == "unit" else values.reshape(1, -1)
    return values.mean(1), values.std(1, correction=0)


def _tiny(output: Tensor) -> float:
    """Return the spread that rounding alone may make."""
    largest = float(output.detach().abs().max())
    return 4 * torch.finfo(output.dtype).eps * largest if math.isfinite(largest) else 0.0


def _divide(module: Any, std: Tensor, mean: Tensor | None) -> None:
    """Divide weights, and of single units the biases as well, whose means are taken off."""
    weight = module.weight
    if len(std) > 1:
        blocks = stack(module, "weight", weight)
        out, into, *kernel = blocks.block
        rows, units = ((into, out), (1, out)) if blocks.is_transposed else ((out, into), (out, 1))
        cut = weight.double().reshape(blocks.count, *rows, *kernel)
        divided = cut / std.view(blocks.count, *units, *[1] * len(kernel))
    else:
        divided = weight.double() / std
    draws.write(weight, divided.reshape(weight.shape).numpy(force=True))
    if mean is not None:
        draws.write(module.bias, ((module.bias.double() - mean) / std).numpy(force=True))


def _left(calls: dict[str, _Calls]) -> list[str]:
    """Say which layers are left, and which are scaled for one of several calls."""
    found = []
    for name, call in calls.items():
        label = name or type(call.module).__name__
        if call.why:
            found.append(f"{label}: {call.why}")
        elif not call.count:
            found.append(f"{label}: not called on this batch")
        elif isinstance(call.module, _OTHERS):
            found.append(f"{label}: a {type(call.module).__name__} stays as it is")
        elif call.count > 1:
            found.append(f"{label}: scaled for the first of its {call.count} calls")
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Ensembles


def _scale_ensemble(
    net: Ensemble, batch: Any, drawn_by: Initializer | None, rng: np.random.Generator, how: _How, strict: bool
) -> None:
    """Draw and scale the layers of a plain ensemble, each replica by itself."""
    if type(net).forward is not Ensemble.forward:
        raise ValueError(f"model must be a module or a plain Ensemble, got {net}; take one replica as a module")
    if drawn_by is not None:
        for weight, bias, shape in zip(net.weights, net.biases, net.shapes, strict=True):
            weight.copy_(weight.new_tensor(drawn_by.sample(shape, rng, net.replicas)))
            bias.zero_()
    h = net.forward(batch).activations[0]
    for layer, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        left = np.zeros(net.replicas, dtype=bool)
        for divisions in range(_TRIES):
            z = h @ weight.mT + bias[:, None]
            over = 1 if how.per == "unit" else (1, 2)
            mean, std = (found[:, 0] for found in _over(z.double(), over))
            flat = ~((std > _tiny(z)) & std.isfinite())
            left = flat.any(1).numpy(force=True)
            std, mean = std.where(~flat, 1.0), mean.where(~flat, 0.0)
            shifted = how.per == "unit" and net.biased
            off = ((std - 1).abs() > how.tolerance) | (shifted & (mean.abs() > how.tolerance))
            if divisions and not bool(off.any()):
                break
            weight /= std.to(weight.dtype)[..., None]
            if shifted:
                bias.copy_((bias.double() - mean) / std)
        else:
            how.notes.append(f"layer {layer + 1}: not 1 after {_TRIES} divisions, as biases are large")
        if left.any():
            what = "some units do" if how.per == "unit" else "what it returns does"
            how.notes.append(f"layer {layer + 1}: {what} not differ in {left.sum()} of {net.replicas} replicas")
        h = net.activation(z)
    if how.per == "unit" and not net.biased:
        how.notes.append("without biases units keep their means")
    _say(how.notes, strict)


def _over(z: Tensor, axes: int | tuple[int, int]) -> tuple[Tensor, Tensor]:
    return z.mean(axes, keepdim=True), z.std(axes, correction=0, keepdim=True)
