"""Floor 3: what autograd's graph says of a network: which activation follows a layer, what renormalizes, what skips.

What lives here reads a graph that one forward pass has left, and keeps nothing of it; verdicts are given upstairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["ACTIVATIONS", "NORMS", "Graph", "slopes"]

ACTIVATIONS = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Gelu": "gelu",
    "Silu": "silu",
    "Elu": "elu",
    "Celu": "elu",
    "LeakyRelu": "leaky_relu",
    "PreluKernel": "leaky_relu",
    "Softplus": "softplus",
    "Mish": "mish",
    "Hardtanh": "hardtanh",
    "Hardswish": "hardswish",
    "Hardsigmoid": "hardsigmoid",
    "Threshold": "relu",
    "Erf": "erf",
}
NORMS = ("NativeBatchNorm", "CudnnBatchNorm", "NativeLayerNorm", "NativeGroupNorm", "Rsqrt", "FusedRmsNorm", "RmsNorm")
_LOSSES = ("NllLoss", "NllLoss2D", "NllLossNd")
_SELU = 1.05


def _kind(node: Any) -> str:
    """Return a node's name without its ending: "Relu" for ReluBackward0."""
    return str(node.name()).partition("Backward")[0]


def _activation(node: Any) -> str | None:
    """Return the name of the activation that a node computes, None for other nodes."""
    kind = _kind(node)
    if kind == "Elu" and abs(float(node._saved_scale) - _SELU) < 0.01:
        return "selu"
    if kind == "Clamp":  # torch.clamp(x, min=0) is a ReLU in other words
        return "relu" if getattr(node, "_saved_max", None) is None else "hardtanh"
    return ACTIVATIONS.get(kind)


def slopes(node: Any) -> Tensor | None:
    """Return |φ′| at every number that an elementwise node of the graph computed; None if it cannot be told.

    The node itself is asked: what it makes of a gradient of ones is φ′.
    """
    meta = node._input_metadata[0]
    try:
        with torch.no_grad():
            made = node(torch.ones(tuple(meta.shape), dtype=meta.dtype, device=meta.device))
    except RuntimeError:  # what it saved was overwritten or freed
        return None
    made = made[0] if isinstance(made, tuple) else made
    return made.abs() if isinstance(made, Tensor) else None


class Graph:
    """The graph between the sources of the data and one root, such as a loss.

    Parameters
    ----------
    root : autograd node
        ``loss.grad_fn``.
    layers : mapping of nodes to int
        The nodes that made the outputs of layers, and the layers' numbers.
    inputs : iterable of nodes
        Where floating-point inputs enter.

    Attributes
    ----------
    order : list
        All nodes, each after all that depend on it.
    """

    def __init__(self, root: Any, layers: dict[Any, int], inputs: Iterable[Any] = ()) -> None:
        self.layers, self.inputs = layers, set(inputs)
        self.root, self.order = root, _topological(root)
        self.consumers: dict[Any, list[Any]] = {node: [] for node in self.order}
        for node in self.order:
            for parent, _ in node.next_functions:
                if parent is not None:
                    self.consumers[parent].append(node)
        self._count()

    def _count(self) -> None:
        """Count the paths of the data from its sources to each node, and from there to the root."""
        self.paths: dict[Any, int] = {}
        for node in reversed(self.order):
            paths = sum(self.paths[parent] for parent, _ in node.next_functions if parent is not None)
            starts = node in self.inputs or (node in self.layers and paths == 0)
            self.paths[node] = 1 if starts else paths
        self.to_root: dict[Any, int] = {self.root: 1}
        for node in self.order[1:]:
            self.to_root[node] = sum(self.to_root[one] for one in self.consumers[node])

    def bypassed(self, node: Any) -> bool:
        """Whether some path of the data reaches the root without passing this node."""
        if node not in self.paths:
            return True
        return self.paths[node] * self.to_root[node] < self.paths[self.root]

    def is_data(self, node: Any) -> bool:
        """Whether the node depends on the data, and not on parameters only."""
        return self.paths.get(node, 0) > 0

    def is_merge(self, node: Any) -> bool:
        """Whether a node adds two streams of data."""
        return _kind(node) == "Add" and sum(self.is_data(one) for one, _ in node.next_functions if one) > 1

    def follows(self, node: Any) -> tuple[str | None, bool, bool]:
        """Return the activation that follows a layer, whether a normalization comes first, and whether it is last.

        The search goes through whatever has one consumer, and stops at the next layer and where streams of data meet.
        """
        norm, steps = False, 0
        while node in self.consumers and steps < 64:
            after = self.consumers[node]
            kinds = {_kind(one) for one in after}
            if kinds & set(NORMS) or (len(after) > 1 and kinds <= {"Pow", "Mul", "Mean", "Var", "VarMean", "Sub"}):
                norm = True
            if not after:
                return None, norm, True
            if len(after) > 1:
                own = {name for name in map(_activation, after) if name}
                silu = {"Sigmoid", "Mul"} <= kinds
                return ("silu" if silu else own.pop() if len(own) == 1 else None), norm, False
            node, steps = after[0], steps + 1
            name = _activation(node)
            if name or node in self.layers or self.is_merge(node):
                return name, norm, False
        return None, norm, False

    def activations(self) -> list[tuple[Any, str, int]]:
        """Return the nodes of activations on the data's way: node, name and the layer before, from first to last."""
        named = [(node, _activation(node)) for node in reversed(self.order) if self.is_data(node)]
        found = [(node, name, self.before(node)) for node, name in named if name]
        return [(node, name, at) for node, name, at in found if at >= 0]

    def before(self, node: Any) -> int:
        """Return the number of the nearest layer below a node, -1 for none."""
        seen, level = {node}, [node]
        while level:
            owners = [self.layers[one] for one in level if one in self.layers]
            if owners:
                return max(owners)
            parents = {one for node in level for one, _ in node.next_functions if one is not None and self.is_data(one)}
            level = [one for one in parents if one not in seen]
            seen |= parents
        return -1

    def normalized(self) -> int:
        """Return how many normalizations lie on the data's way."""
        return sum(self.is_data(node) and _kind(node) in NORMS for node in self.order)

    def merges(self) -> int:
        """Return how often two streams of data that share a source are added."""
        return sum(self.is_merge(node) for node in self.order)

    def fair_loss(self) -> tuple[float, str, float] | None:
        """Return a fair guess's loss, what it is, and what random logits add; None unless the root is a cross-entropy.

        Small independent logits of variance v cost v/2 · (1 − 1/C) more than log C, and v/8 more than log 2 if there is
        one for each yes or no: the last number is the factor of v/2. A mean over the batch is meant, not a sum.
        """
        node = self.root
        for _ in range(8):
            kind = _kind(node)
            if kind == "BinaryCrossEntropyWithLogits" and node._saved_reduction == 1:
                return math.log(2), "log 2", 0.25
            if kind in _LOSSES and node._saved_reduction == 1:
                classes = int(node._saved_self.shape[0 if node._saved_self.dim() == 1 else 1])
                return math.log(classes), f"log {classes}", 1 - 1 / classes
            if kind not in ("NllLossNd", "View", "Clone", "Alias") or not node.next_functions:
                return None
            node = node.next_functions[0][0]
        return None


def _topological(root: Any) -> list[Any]:
    """Return all nodes below `root`, each after all that depend on it."""
    order, seen, stack = [], {root}, [(root, iter(root.next_functions))]
    while stack:
        node, rest = stack[-1]
        for parent, _ in rest:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append((parent, iter(parent.next_functions)))
                break
        else:
            stack.pop()
            order.append(node)
    return order[::-1]
