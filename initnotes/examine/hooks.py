"""Hooks on the modules of a model, which measure what passes, forward and backward.

What lives here measures each call of a layer and each activation; what the numbers mean is for ``statistics``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from . import anatomy, ensembles, moments, nodes
from .batches import DETACHED
from .graph import Graph, between
from .moments import Found, Statistic, measured

__all__ = ["Applied", "Call", "Watch"]

_WAY_IN = 16  # nodes between the batch and the first layer: scaling, flattening, permuting


@dataclass
class Applied:
    """An activation that was applied to what a layer returned.

    Attributes
    ----------
    name : str
    slopes : Found or None
        Fractions of |φ′|, as `moments.slope_fractions` has them.
    shape : tuple of int
        Inputs (with positions) and units.
    h, active, gradient : Found or None
        Sums of h, the fraction that is not 0, sums of ∂loss/∂h; None where not asked for or not known.
    """

    name: str
    slopes: Found | None = None
    shape: tuple[int, int] = (0, 0)
    h: Found | None = None
    active: Found | None = None
    gradient: Found | None = None


@dataclass
class Call:
    """What one call of a layer left behind while a pass runs.

    Attributes
    ----------
    name : str
        Of the module, "(call 2)" behind it for a second call.
    module : torch.nn.Module
    node : autograd node or None
        What made z.
    width, axis : int
        Units, and their axis.
    weight : Tensor or None
        The parameter that the weight's gradient is of.
    z, gradient, weight_gradient : Found or None
        Sums of z, ∂loss/∂z and ∂loss/∂W.
    distinct : Found or None
        Units that differ.
    signal, inputs, weights, weight_norm : float
        Spread of z over inputs, the median over replicas; root mean squares of inputs and weights; norm of ∂loss/∂W.
        Only where sizes are asked for, like what follows.
    stays_equal : bool
        Whether equal units have equal gradients.
    entered : tuple of (autograd node, Tensor) or None
        Where the input of a layer entered the model, and that input, if no other layer comes before.
    applied : list of Applied
    """

    name: str
    module: nn.Module
    node: Any
    width: int
    axis: int
    weight: Tensor | None
    z: Found
    distinct: Found | None
    signal: float = math.nan
    inputs: float = math.nan
    weights: float = math.nan
    gradient: Found | None = None
    weight_gradient: Found | None = None
    weight_norm: float = math.nan
    stays_equal: bool = False
    entered: tuple[Any, Tensor] | None = None
    applied: list[Applied] = field(default_factory=list)


class Watch:
    """A context in which a model's modules are watched; `calls` is what was seen of its layers.

    Parameters
    ----------
    model : torch.nn.Module
    parameters : sequence of Parameter
    replicas : int or None
        R, if the tensors have a replica axis in front.
    full : bool
        Whether the moments of everything are asked for, as a probe does; else sizes, as an audit does.
    """

    def __init__(
        self, model: nn.Module, parameters: Sequence[nn.Parameter], *, replicas: int | None, full: bool
    ) -> None:
        self.calls: list[Call] = []
        self.parameters = [parameter for parameter in parameters if parameter.is_floating_point()]
        self.replicas, self.full = replicas, full
        self.summary: Statistic = moments.sums if full else moments.lengths
        self.heard: dict[Any, tuple[Found, Found]] = {}  # by the node of an activation: sums of h, and the active
        self.named: dict[Any, str] = {}
        self.inside: set[Any] = set()
        self.slopes: dict[Any, Tensor] = {}
        self.failed: dict[str, str] = {}  # by what was not measured: why
        self.entries: set[Any] = set()  # nodes at which the batch enters
        self.reads: list[tuple[Any, float]] = []  # what layers and normalizations read: its node, its size
        self.merged: dict[Any, float] = {}  # norm of the gradient where streams are added
        self.module_handles: list[Any] = []
        self.checks: list[Any] = []
        self.tensor_handles: list[Any] = []
        modules = [(name or type(module).__name__, module) for name, module in model.named_modules()]
        self.modules = [(name, module, anatomy.role(module)) for name, module in modules]
        acting = [module for _, module, role in self.modules if role == "activation"]
        self.known = {module: anatomy.known_activation(module) for module in acting}  # without hooks on them yet

    def __enter__(self) -> Watch:
        for name, module, role in self.modules:
            if role == "layer":
                if not self.replicas:
                    self.checks.append(module.register_forward_pre_hook(partial(anatomy.check_fits, name)))
                self.module_handles.append(module.register_forward_hook(self._guarded(name, self._after_layer, name)))
            elif role == "activation":
                self.module_handles.append(module.register_forward_hook(self._guarded(name, self._after_activation)))
            elif role == "norm" and not self.full:
                self.module_handles.append(module.register_forward_hook(self._guarded(name, self._after_norm)))
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        for handle in self.tensor_handles:
            handle.remove()

    def _guarded(self, what: str, measure: Callable[..., None], *first: Any) -> Callable[..., None]:
        """Return a measurement that fails alone: what it could not measure is named, and the pass goes on."""

        def guarded(*seen: Any) -> None:
            try:
                measure(*first, *seen)
            except Exception as error:
                if self.full:  # a probe's numbers are all asked for
                    raise
                self.failed.setdefault(what, f"{type(error).__name__}: {error}")

        return guarded

    def stop(self) -> None:
        """Remove the hooks on modules: what runs again in the backward pass (checkpoints) is not measured again."""
        for handles in (self.module_handles, self.checks):
            while handles:
                handles.pop().remove()

    def restart(self) -> None:
        """Forget what a failed pass has left, and check no more whether its inputs fit: the model itself will say."""
        while self.checks:
            self.checks.pop().remove()
        for seen in (self.calls, self.reads, self.heard, self.named, self.inside, self.slopes, self.failed):
            seen.clear()

    def _rows(self, x: Tensor) -> Tensor:
        """Return `x` with a replica axis in front."""
        return x.detach() if self.replicas else x.detach()[None]

    def _after_layer(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        z, x = anatomy.first_tensor(output), anatomy.first_tensor(inputs)
        if z is None:
            return
        again = sum(call.module is module for call in self.calls)
        axis, weight, units = anatomy.unit_axis(module), anatomy.weight(module), anatomy.units(module)
        call = Call(
            name=f"{name} (call {again + 1})" if again else name,
            module=module,
            node=z.grad_fn,
            width=z.shape[axis],
            axis=axis,
            weight=weight,
            z=measured(self.summary, self._rows(z), may_change=True),
            distinct=None if units is None else moments.distinct(units[0], units[1] if self.full else None),
        )
        if not self.full:
            call.signal = float(moments.spread(self._by_unit(z.detach(), axis)).median())
            call.inputs = math.nan if x is None else moments.rms(self._rows(x))
            call.weights = math.nan if weight is None else moments.rms(self._rows(weight))
            call.entered = None if x is None else self._entry(x)
            self.reads.append((None if x is None else x.grad_fn, call.inputs))
        self.calls.append(call)
        if z.requires_grad:
            self.tensor_handles.append(z.register_hook(self._guarded(call.name, self._measure_gradient, call)))

    def _after_norm(self, module: nn.Module, inputs: Any, output: Any) -> None:
        x = anatomy.first_tensor(inputs)
        if x is not None:
            self.reads.append((x.grad_fn, moments.rms(self._rows(x))))

    def _entry(self, x: Tensor) -> tuple[Any, Tensor] | None:
        """Return where `x` entered the model, and its numbers, if no layer and no second stream comes before."""
        if x.grad_fn is None:
            return None, x.detach()
        node, known = x.grad_fn, {call.node for call in self.calls}
        for _ in range(_WAY_IN):
            if node in self.entries:
                return node, x.detach()
            below = (
                []
                if node is None or node in known
                else [parent for parent, _ in node.next_functions if parent is not None]
            )
            if len(below) != 1:
                return None
            node = below[0]
        return None

    def _measure_gradient(self, seen: Call | Applied, gradient: Tensor) -> None:
        seen.gradient = measured(self.summary, self._rows(gradient), may_change=True)

    def _by_unit(self, x: Tensor, axis: int) -> Tensor:
        """Return `x` in the shape (R, inputs, units)."""
        rows = self._rows(x.movedim(axis, -1))
        return rows.reshape(len(rows), -1, rows.shape[-1])

    def _after_activation(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Name an activation whose nodes do not tell it, and measure what it makes as long as it is there."""
        x, h = anatomy.first_tensor(inputs), anatomy.first_tensor(output)
        if x is None or h is None or h.grad_fn is None:
            return
        known = self.known[module] if nodes.activation(h.grad_fn) is None else None
        if isinstance(module, ensembles.Phi):
            self.named[h.grad_fn] = module.activation.name
        if known is not None:
            self.named.setdefault(h.grad_fn, type(module).__name__.lower())
            self.inside |= between(h.grad_fn, x.grad_fn)
            with torch.no_grad():
                self.slopes[h.grad_fn] = known.derivative(x.detach()).abs()
        if self.full:
            self.heard[h.grad_fn] = self._heard(h, may_change=True)

    def _heard(self, h: Tensor, *, may_change: bool) -> tuple[Found, Found]:
        rows = self._rows(h)
        found = measured(moments.sums, rows, may_change=may_change)
        rows = found[1] if isinstance(found, tuple) else rows
        return found, measured(moments.active_fraction, rows)

    def graph(self, root: Any, inputs: Sequence[Any]) -> Graph:
        """Return the graph below a root, with the layers that were called and the activations that were named."""
        numbers = {call.node: at for at, call in enumerate(self.calls) if call.node is not None}
        return Graph(root, numbers, inputs, named=self.named, inside=self.inside)

    def read(self, graph: Graph) -> None:
        """Measure every activation of the graph, before a backward pass frees what its node has saved."""
        for node, name, at in graph.activations():
            self._guarded(self.calls[at].name, self._read_activation)(node, name, at)
        for node in [] if self.full else graph.trunk():
            if graph.is_merge(node):
                self.tensor_handles.append(node.register_prehook(partial(self._measure_merge, node)))

    def _measure_merge(self, node: Any, gradients: Sequence[Tensor | None]) -> None:
        if gradients[0] is not None:
            self.merged[node] = moments.norm(gradients[0])

    def _read_activation(self, node: Any, name: str, at: int) -> None:
        applied, call = Applied(name), self.calls[at]
        size = self.slopes[node] if node in self.slopes else nodes.slopes(node)
        if size is not None:
            fits = size.dim() >= -call.axis and size.shape[call.axis] == call.width
            by_unit = self._by_unit(size, call.axis if fits else -1)
            applied.slopes = measured(moments.slope_fractions, by_unit)
            applied.shape = by_unit.shape[1], by_unit.shape[2]
        if self.full:
            self._hear(node, applied)
        call.applied.append(applied)

    def _hear(self, node: Any, applied: Applied) -> None:
        """Measure h, now, and its gradient, when it comes."""
        h = None if node in self.heard or node in self.named else nodes.values(node)
        if h is not None:
            self.heard[node] = self._heard(h, may_change=False)
        applied.h, applied.active = self.heard.get(node, (None, None))

        def measure(gradients: Sequence[Tensor | None]) -> None:
            if gradients[0] is not None:
                self._measure_gradient(applied, gradients[0])

        self.tensor_handles.append(node.register_prehook(measure))

    def backward(self, value: Tensor) -> None:
        """Send the gradient of `value` back, and measure those of the weights; those of z and h come through hooks."""
        own = {id(call.weight) for call in self.calls}
        if any(call.weight is None for call in self.calls):  # it is computed from some of them
            own = {id(parameter) for parameter in self.parameters}
        targets = [parameter for parameter in self.parameters if id(parameter) in own]
        found = torch.autograd.grad(value, targets, allow_unused=True) if targets else ()
        if all(gradient is None for gradient in found):
            raise ValueError(DETACHED)
        by_weight = {id(parameter): gradient for parameter, gradient in zip(targets, found, strict=True)}
        for call in self.calls:
            gradient = by_weight.get(id(call.weight))
            if gradient is None:
                continue
            gradient = gradient.to_dense()
            if self.full:
                call.weight_gradient = measured(moments.sums, self._rows(gradient))
                continue
            call.weight_norm = moments.norm(gradient)
            distinct, units = anatomy.count_distinct(call.module, call.distinct)
            call.stays_equal = 2 * distinct <= units and anatomy.stay_equal(call.module, gradient)
