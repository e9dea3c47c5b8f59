"""Hooks on the modules of a model, which measure what passes, forward and backward.

What lives here measures each call of a layer and each activation; what the numbers mean is for ``statistics``.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from . import anatomy, ensembles, moments, nodes, walk
from .batches import DETACHED
from .graph import Graph, between
from .moments import Found, measured

__all__ = ["Applied", "Call", "Watch"]

_WELL = 0.1  # share of units off, or of numbers saturated, below which a part of the inputs tells enough
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
    h, gradient : Found or None
        What `moments.heard` tells of h, and sums of ∂loss/∂h; None where not asked for or not known.
    """

    name: str
    slopes: Found | None = None
    shape: tuple[int, int] = (0, 0)
    h: Found | None = None
    gradient: Found | None = None


@dataclass
class Call:
    """What one call of a layer left behind while a pass runs.

    Attributes
    ----------
    name, kind : str
        Of the module, "(call 2)" behind it for a second call, and its class.
    module : torch.nn.Module or None
        None for a layer that is no module.
    node : autograd node or None
        What made z.
    width, axis : int
        Units, and their axis.
    weight : Tensor or None
        The parameter that the weight's gradient is of.
    z, gradient, weight_gradient, distinct : Found or None
        Sums of z, ∂loss/∂z and ∂loss/∂W, and units that differ; only where all is asked for, as a probe does.
    size, signal, inputs, weights : float
        Root mean square of z, and its spread over inputs, medians over the replicas; root mean squares of inputs and
        weights. Only where sizes are asked for, as an audit does, like what follows.
    gradient_norm, weight_norm : float
        Norms of ∂loss/∂z and ∂loss/∂W.
    units : (float, int)
        How many units differ, and how many there are, as `anatomy.count_distinct` has them.
    stays_equal, scaled, shut : bool
        Whether equal units have equal gradients; whether the inputs are something times a number; whether all that z
        is for is attention to one place.
    entered : tuple of (autograd node, Tensor) or None
        Where the input of a layer entered the model, and that input, if no other layer comes before.
    applied : list of Applied
    """

    name: str
    kind: str
    width: int
    module: Any = None
    node: Any = None
    axis: int = -1
    weight: Tensor | None = None
    z: Found | None = None
    distinct: Found | None = None
    size: float = math.nan
    signal: float = math.nan
    inputs: float = math.nan
    weights: float = math.nan
    gradient: Found | None = None
    weight_gradient: Found | None = None
    gradient_norm: float = math.nan
    weight_norm: float = math.nan
    units: tuple[float, int] = (math.inf, 0)
    stays_equal: bool = False
    scaled: bool = False
    shut: bool = False
    entered: tuple[Any, Tensor] | None = None
    applied: list[Applied] = field(default_factory=list)


class Watch:
    """A context in which a model's modules are watched; `calls` is what was seen of its layers.

    Parameters
    ----------
    parts : mapping of str to torch.nn.Module
        The model, as "", and its submodules.
    parameters : sequence of Parameter
    replicas : int or None
        R, if the tensors have a replica axis in front.
    full : bool
        Whether the moments of everything are asked for, as a probe does; else sizes, as an audit does.
    frozen : Frozen
        What the model has frozen, whose parameters are watched as the others.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        parameters: Sequence[nn.Parameter],
        *,
        replicas: int | None,
        full: bool,
        frozen: walk.Frozen | None = None,
    ) -> None:
        self.parts, self.frozen = parts, frozen or walk.Frozen()
        self.calls: list[Call] = []
        self.parameters = [parameter for parameter in parameters if parameter.is_floating_point()]
        self.replicas, self.full = replicas, full
        self.gradients: dict[int, Tensor | None] = {}  # by the parameter's id
        self.units: dict[int, tuple[float, int]] = {}  # by the module's id
        self.counts: Counter[int] = Counter()  # by the module's id: calls
        self.nodes: set[Any] = set()  # of the layers called so far
        self.heard: dict[Any, Found] = {}  # by the node of an activation
        self.named: dict[Any, str] = {}
        self.inside: set[Any] = set()
        self.slopes: dict[Any, Tensor] = {}
        self.failed: dict[str, str] = {}  # by what was not measured: why
        self.entries: set[Any] = set()  # nodes at which the batch enters
        self.reads: list[tuple[Any, float]] = []  # what layers and normalizations read: its node, its size
        self.recent: deque[tuple[Tensor, int, float]] = deque(maxlen=4)  # what passed last, its version and size
        self.merged: dict[Any, float] = {}  # norm of the gradient where streams are added
        self.module_handles: list[Any] = []
        self.checks: list[Any] = []
        self.tensor_handles: list[Any] = []
        modules = [(name or type(module).__name__, module) for name, module in parts.items()]
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
        self.recent.clear()
        for handle in self.tensor_handles:
            handle.remove()

    def _guarded(self, what: str, measure: Callable[..., None], *first: Any) -> Callable[..., None]:
        """Return a measurement that fails alone: what it could not measure is named, and the pass goes on."""
        if self.full:  # a probe's numbers are all asked for
            return partial(measure, *first)

        def guarded(*seen: Any) -> None:
            try:
                measure(*first, *seen)
            except Exception as error:
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
        self.counts.clear()
        self.nodes.clear()

    def _rows(self, x: Tensor) -> Tensor:
        """Return `x` with a replica axis in front."""
        return x.detach() if self.replicas else x.detach()[None]

    def _after_layer(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        z, x = anatomy.first_tensor(output), anatomy.first_tensor(inputs)
        if z is None:
            return
        again, axis = self.counts[id(module)], anatomy.unit_axis(module)
        call = Call(
            name=f"{name} (call {again + 1})" if again else name,
            kind=type(module).__name__,
            module=module,
            node=z.grad_fn,
            width=z.shape[axis],
            axis=axis,
            weight=anatomy.weight(module),
        )
        (self._keep_sums if self.full else self._keep_sizes)(call, x, z)
        self.counts[id(module)] += 1
        self.nodes.add(call.node)
        self.calls.append(call)
        if z.requires_grad:
            self.tensor_handles.append(z.register_hook(self._guarded(call.name, self._measure_gradient, call)))

    def _keep_sums(self, call: Call, _: Tensor | None, z: Tensor) -> None:
        units = anatomy.units(call.module)
        call.z = measured(moments.sums, self._rows(z), may_change=True)
        call.distinct = None if units is None else moments.distinct(*units)

    def _keep_sizes(self, call: Call, x: Tensor | None, z: Tensor) -> None:
        if x is not None:
            call.inputs, call.entered = self._size(x), self._entry(x)
            self.reads.append((x.grad_fn, call.inputs))
            call.scaled = nodes.is_scaled(x.grad_fn)
        call.size = self._size(z)
        call.signal = moments.spread(moments.thinned(_units_last(self._rows(z), call.axis)))
        if id(call.module) not in self.units:
            self.units[id(call.module)] = anatomy.count_distinct(call.module)
        call.units = self.units[id(call.module)]

    def _size(self, x: Tensor) -> float:
        """Return the root mean square of what passes; what was measured a moment ago is not read again."""
        for seen, version, size in self.recent:
            if seen is x and version == x._version:
                return size
        size = self._length(x) / math.sqrt(x.numel() / (self.replicas or 1))
        self.recent.append((x, x._version, size))
        return size

    def _length(self, x: Tensor) -> float:
        return moments.length(x.detach()) if self.replicas else moments.norm(x)

    def _after_norm(self, module: nn.Module, inputs: Any, output: Any) -> None:
        x = anatomy.first_tensor(inputs)
        if x is not None:
            self.reads.append((x.grad_fn, self._size(x)))

    def _entry(self, x: Tensor) -> tuple[Any, Tensor] | None:
        """Return where `x` entered the model, and its numbers, if no layer and no second stream comes before."""
        if x.grad_fn is None:
            return None, x.detach()
        node = x.grad_fn
        for _ in range(_WAY_IN):
            if node in self.entries:
                return node, x.detach()
            if node is None or node in self.nodes:
                return None
            below = [parent for parent, _ in node.next_functions if parent is not None]
            if len(below) != 1:
                return None
            node = below[0]
        return None

    def _measure_gradient(self, seen: Call | Applied, gradient: Tensor) -> None:
        if self.full:
            seen.gradient = measured(moments.sums, self._rows(gradient), may_change=True)
        elif isinstance(seen, Call):
            seen.gradient_norm = self._length(gradient)

    def _by_unit(self, rows: Tensor, axis: int, *, sample: bool = False) -> Tensor:
        """Return what has replicas in front in the shape (R, inputs, units), or a part of the inputs as a `sample`."""
        rows = _units_last(rows, axis)
        rows = moments.thinned(rows) if sample else rows
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
            self.heard[h.grad_fn] = measured(moments.heard, self._rows(h), may_change=True)

    def graph(self, root: Any, inputs: Sequence[Any]) -> Graph:
        """Return the graph below a root, with the layers that were called and the activations that were named."""
        numbers = {call.node: at for at, call in enumerate(self.calls) if call.node is not None}
        return Graph(root, numbers, inputs, named=self.named, inside=self.inside)

    def read(self, graph: Graph) -> None:
        """Measure every activation of the graph, before a backward pass frees what its node has saved."""
        if not self.full:
            self._guarded("weights", self._measure_weights)()
            shut = graph.shut()
            for call in self.calls:
                call.shut = call.node in shut
        for node, name, at in graph.activations():
            self._guarded(self.calls[at].name, self._read_activation)(node, name, at)
        for node in [] if self.full else graph.trunk:
            if graph.is_merge(node):
                self.tensor_handles.append(node.register_prehook(partial(self._measure_merge, node)))

    def _measure_weights(self) -> None:
        own = {id(call.weight): call.weight for call in self.calls if call.weight is not None}
        if self.replicas:
            sizes = {at: moments.rms(weight.detach()) for at, weight in own.items()}
        else:
            norms = zip(own.items(), moments.norms(list(own.values())), strict=True)
            sizes = {at: norm / math.sqrt(max(1, weight.numel())) for (at, weight), norm in norms}
        for call in self.calls:
            call.weights = sizes.get(id(call.weight), math.nan)

    def _measure_merge(self, node: Any, gradients: Sequence[Tensor | None]) -> None:
        if gradients[0] is not None:
            self.merged[node] = moments.norm(gradients[0])

    def _read_activation(self, node: Any, name: str, at: int) -> None:
        applied, call = Applied(name), self.calls[at]
        call.applied.append(applied)
        if self.full:
            self._hear(node, applied)
        elif node not in self.slopes and self._seems_well(node, applied, call):
            return
        size = self.slopes[node] if node in self.slopes else nodes.slopes(node)
        if size is not None:
            by_unit = self._by_unit(self._rows(size), self._axis_of(size.shape, call))
            applied.slopes = measured(moments.slope_fractions, by_unit)
            applied.shape = by_unit.shape[1], by_unit.shape[2]

    def _axis_of(self, shape: Sequence[int], call: Call) -> int:
        """Return the axis of units of what is computed from a layer's outputs."""
        return call.axis if len(shape) >= -call.axis and shape[call.axis] == call.width else -1

    def _seems_well(self, node: Any, applied: Applied, call: Call) -> bool:
        """Measure φ′ on a part of the inputs; return whether that will do: what may be ill is measured on all."""
        given = nodes.saved(node)
        if given is None:
            return False
        axis = self._axis_of(given.shape, call)
        slopes = nodes.slopes_at(node, self._by_unit(self._rows(given), axis, sample=True))
        fractions = moments.slope_fractions(slopes)
        saturated, _, off = fractions.mean(0).tolist()
        applied.slopes = fractions
        units = given.shape[axis]
        applied.shape = given.numel() // units // (self.replicas or 1), units
        return bool((saturated if applied.name in nodes.TWO_SIDED else off) < _WELL)

    def _hear(self, node: Any, applied: Applied) -> None:
        """Measure h, now, and its gradient, when it comes."""
        h = None if node in self.heard or node in self.named else nodes.values(node)
        if h is not None:
            self.heard[node] = measured(moments.heard, self._rows(h))
        applied.h = self.heard.get(node)

        def measure(gradients: Sequence[Tensor | None]) -> None:
            if gradients[0] is not None:
                self._measure_gradient(applied, gradients[0])

        self.tensor_handles.append(node.register_prehook(measure))

    def backward(self, value: Tensor) -> None:
        """Send the gradient of `value` back, and measure those of the weights; those of z and h come through hooks."""
        found = torch.autograd.grad(value, self.parameters, allow_unused=True) if self.parameters else ()
        if all(gradient is None for gradient in found):
            raise ValueError(DETACHED)
        by_id: dict[int, Tensor | None] = {
            id(own): gradient for own, gradient in zip(self.parameters, found, strict=True)
        }
        self.gradients = {} if self.full else by_id
        of_layers = {id(call.weight): by_id.get(id(call.weight)) for call in self.calls}
        dense = {at: gradient.to_dense() for at, gradient in of_layers.items() if gradient is not None}
        norms = {} if self.full else dict(zip(dense, moments.norms(list(dense.values())), strict=True))
        for call in self.calls:
            gradient = dense.get(id(call.weight))
            if gradient is None:
                continue
            if self.full:
                call.weight_gradient = measured(moments.sums, self._rows(gradient))
                continue
            call.weight_norm = norms[id(call.weight)]
            distinct, units = call.units
            call.stays_equal = 2 * distinct <= units and anatomy.stay_equal(call.module, gradient)


def _units_last(x: Tensor, axis: int) -> Tensor:
    return x.movedim(axis, -1) if axis != -1 else x
