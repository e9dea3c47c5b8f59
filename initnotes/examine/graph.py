"""What autograd's graph says of a network: which activation follows a layer, what renormalizes, what skips.

What lives here reads a graph that one forward pass has left, and keeps nothing of it; verdicts are in ``findings``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from . import nodes

__all__ = ["Graph", "between"]

_LOSSES = ("NllLoss", "NllLoss2D", "NllLossNd")
_LAST = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid", "Relu": "ReLU"}  # of outputs
_PASSING = (
    "NllLossNd",
    "View",
    "UnsafeView",
    "ReshapeAlias",
    "Clone",
    "Alias",
    "Transpose",
    "Permute",
    "Squeeze",
    "ToCopy",
)
_PRODUCTS = ("Mm", "Addmm", "Bmm", "Baddbmm", "Mv")
_OF_NORMS = {"Pow", "Mul", "Mean", "Var", "VarMean", "Sub"}  # what reads z where a normalization is written by hand


class Graph:
    """The graph between the sources of the data and one root, such as a loss.

    Parameters
    ----------
    root : autograd node or None
        ``loss.grad_fn``; None for an empty graph.
    layers : mapping of nodes to int
        The nodes that made the outputs of layers, and the layers' numbers.
    inputs : iterable of nodes
        Where floating-point inputs enter.
    named : mapping of nodes to str
        Activations that more than one node computes, by their last.
    inside : collection of nodes
        The others of these.

    Attributes
    ----------
    order : list
        All nodes, each after all that depend on it.
    """

    def __init__(
        self,
        root: Any,
        layers: Mapping[Any, int],
        inputs: Iterable[Any] = (),
        *,
        named: Mapping[Any, str] | None = None,
        inside: Collection[Any] = (),
    ) -> None:
        self.layers = layers
        self.named, self.inside = named or {}, inside
        self.names: dict[Any, str | None] = {}
        self.root, self.parents = root, {} if root is None else _below(root)
        self.order = list(self.parents)
        self.kinds = {node: nodes.kind(node) for node in self.order}
        entries = set(inputs)
        self.inputs = (entries and self.feeding & entries) or entries  # a target that only the loss reads is no data
        self.paths = self._paths()

    @cached_property
    def consumers(self) -> dict[Any, list[Any]]:
        """Of each node, those that read it."""
        found: dict[Any, list[Any]] = {node: [] for node in self.parents}
        for node, parents in self.parents.items():
            for parent in parents:
                found[parent].append(node)
        return found

    @cached_property
    def feeding(self) -> set[Any]:
        """The nodes that some layer depends on."""
        found: set[Any] = set()
        for node, parents in self.parents.items():
            if node in self.layers or node in found:
                found.update(parents)
        return found

    def _paths(self) -> dict[Any, int]:
        """Count the paths of the data from its sources to each node."""
        found: dict[Any, int] = {}
        for node in reversed(self.order):
            own = 0
            for parent in self.parents[node]:
                own += found[parent]
            found[node] = 1 if node in self.inputs or (not own and node in self.layers) else own
        return found

    @cached_property
    def from_first(self) -> dict[Any, int]:
        """How many ways lead from the first layer to each node; one that has none is left out."""
        first = min((node for node in self.order if node in self.layers), key=self.layers.__getitem__, default=None)
        found = {} if first is None else {first: 1}
        for node in reversed(self.order):
            own = 0
            for parent in self.parents[node]:
                own += found.get(parent, 0)
            if own and node is not first:
                found[node] = own
        return found

    @cached_property
    def to_root(self) -> dict[Any, int]:
        """How many ways lead from each node to the root."""
        found = dict.fromkeys(self.order, 0) | {self.root: 1}
        for node, parents in self.parents.items():
            for parent in parents:
                found[parent] += found[node]
        return found

    @cached_property
    def _merges(self) -> set[Any]:
        """The nodes that add two streams of data."""
        adding = [node for node in self.order if self.kinds[node] == "Add"]
        return {node for node in adding if sum(self.is_data(parent) for parent in self.parents[node]) > 1}

    def activation(self, node: Any) -> str | None:
        """Return the name of the activation that a node completes, None for other nodes."""
        if node not in self.names:  # what a node has saved is gone after a backward pass, and its name stays
            known = node in self.named or self.kinds.get(node, "") in nodes.ACTIVATIONS
            own = (self.named.get(node) or nodes.activation(node)) if known and node not in self.inside else None
            self.names[node] = own
        return self.names[node]

    def bypassed(self, node: Any) -> bool:
        """Whether some path of the data reaches the root without passing this node."""
        if node not in self.paths:
            return True
        return self.paths[node] * self.to_root[node] < self.paths[self.root]

    def on_trunk(self, node: Any) -> bool:
        """Whether all that the first layer makes passes this node; what enters later, as in a recurrence, may not."""
        own = self.from_first.get(node, 0)
        return own > 0 and own * self.to_root[node] == self.from_first[self.root]

    def is_data(self, node: Any) -> bool:
        """Whether the node depends on the data, and not on parameters only."""
        return self.paths.get(node, 0) > 0

    def is_merge(self, node: Any) -> bool:
        """Whether a node adds two streams of data."""
        return node in self._merges

    def follows(self, node: Any) -> tuple[str | None, bool, bool]:
        """Return the activation that follows a layer, whether a normalization comes first, and whether it is last.

        The search goes through whatever has one consumer, and stops at the next layer and where streams of data meet.
        """
        norm, steps = False, 0
        while node in self.consumers and steps < 64:
            after = self.consumers[node]
            kinds = {self.kinds[consumer] for consumer in after}
            if kinds & set(nodes.NORMS) or (len(after) > 1 and kinds <= _OF_NORMS):
                norm = True
            if not after:
                return None, norm, True
            if len(after) > 1:
                return self._shared(after, kinds), norm, False
            node, steps = after[0], steps + 1
            name = self.activation(node)
            if name or node in self.layers or self.is_merge(node):
                return name, norm, False
        return None, norm, False

    def _shared(self, after: list[Any], kinds: set[str]) -> str | None:
        """Return the activation where several nodes read a layer: z · σ(z), or the only one that is an activation."""
        known = [node for node in after if node in self.named]
        if known:
            return self.named[known[0]]
        if {"Sigmoid", "Mul"} <= kinds:
            return "silu"
        own = {name for name in map(self.activation, after) if name}
        return own.pop() if len(own) == 1 else None

    def activations(self) -> list[tuple[Any, str, int]]:
        """Return the nodes of activations on the data's way: node, name and the layer before, from first to last."""
        named = [(node, self.activation(node)) for node in reversed(self.order) if self.is_data(node)]
        found = [(node, name, self.before(node)) for node, name in named if name]
        return [(node, name, at) for node, name, at in found if at >= 0]

    def before(self, node: Any) -> int:
        """Return the number of the nearest layer below a node, -1 for none."""
        seen, level = {node}, [node]
        while level:
            owners = [self.layers[near] for near in level if near in self.layers]
            if owners:
                return max(owners)
            below = {parent for near in level for parent in self.parents.get(near, ()) if self.is_data(parent)}
            level = [parent for parent in below if parent not in seen]
            seen |= below
        return -1

    def normalized(self) -> int:
        """Return how many normalizations lie on the data's way."""
        return sum(self.kinds[node] in nodes.NORMS and self.is_data(node) for node in self.order)

    def merges(self) -> int:
        """Return how often two streams of data that share a source are added."""
        return len(self._merges)

    @cached_property
    def trunk(self) -> list[Any]:
        """The nodes that all of the first layer's data passes on its way to another, from first to last."""
        if self.root is None:
            return []
        return [node for node in reversed(self.order) if node in self.feeding and self.on_trunk(node)]

    def closes(self, node: Any) -> bool:
        """Whether what a layer makes is added to another stream, with no other layer between."""
        for _ in range(16):
            after = self.consumers.get(node, [])
            if len(after) != 1 or after[0] in self.layers:
                return False
            node = after[0]
            if self.is_merge(node):
                return True
        return False

    def judged_twice(self) -> tuple[str, str] | None:
        """Return an activation that the outputs pass before a loss that takes logits, and that loss; None if none."""
        node, loss, inside = self.root, "", False
        for _ in range(24):
            kind = nodes.kind(node)
            if kind in _LOSSES or kind == "BinaryCrossEntropyWithLogits":
                loss, inside = "binary cross-entropy" if kind not in _LOSSES else "cross-entropy", kind in _LOSSES
            elif kind == "LogSoftmax" and inside:
                inside = False  # the loss's own
            elif loss and kind in _LAST:
                return _LAST[kind], loss
            elif kind not in _PASSING:
                return None
            below = [parent for parent, _ in node.next_functions if parent is not None]
            if len(below) != 1 or below[0] in self.layers:
                return None
            node = below[0]
        return None

    def head(self) -> Any:
        """Return the parameter that makes the logits where no layer does, as a tied matrix is used; None for a layer.

        The way down from the loss is followed as long as there is one, to the first product.
        """
        node = self.root
        for _ in range(24):
            if node is None or node in self.layers:
                return None
            below = self.parents[node]
            if self.kinds[node] in _PRODUCTS:
                return next((own for own in map(_parameter, below) if own is not None), None)
            data = [parent for parent in below if self.is_data(parent)]
            node = data[0] if len(data) == 1 else None
        return None

    def normalized_sums(self) -> int:
        """Return how many sums of streams nothing reads but a normalization: blocks with the norm behind the sum."""
        return sum(self._is_normed(self.consumers[node]) for node in self._merges)

    def _is_normed(self, after: Sequence[Any]) -> bool:
        kinds = {self.kinds[consumer] for consumer in after}
        return bool(after) and (kinds <= set(nodes.NORMS) or (len(after) > 1 and kinds <= _OF_NORMS))

    def shut(self) -> set[Any]:
        """Return the nodes whose every way to the root is a softmax over one place, which no score changes."""
        able = [node for node in self.order if "oft" in self.kinds[node] or "Attention" in self.kinds[node]]
        flat_at = {node: flat for node in able if (flat := nodes.flat_inputs(node))}
        if not flat_at:
            return set()
        found = {self.root}
        for node in self.order:
            if node in found:
                flat = flat_at.get(node, ())
                below = enumerate(node.next_functions)
                found.update(parent for at, (parent, _) in below if parent is not None and at not in flat)
        return set(self.order) - found

    def fair_loss(self) -> tuple[float, str, float] | None:
        """Return a fair guess's loss, what it is, and what random logits add; None unless the root is a cross-entropy.

        Small independent logits of variance v cost v/2 · (1 − 1/C) more than log C, and v/8 more than log 2 if there is
        one for each yes or no: the last number is the factor of v/2. A mean over the batch is meant, not a sum.
        """
        node = self.root
        for _ in range(8):
            kind = nodes.kind(node)
            if kind == "BinaryCrossEntropyWithLogits" and node._saved_reduction == 1:
                return math.log(2), "log 2", 0.25
            if kind in _LOSSES and node._saved_reduction == 1:
                classes = int(node._saved_self.shape[0 if node._saved_self.dim() == 1 else 1])
                return math.log(classes), f"log {classes}", 1 - 1 / classes
            if kind not in ("NllLossNd", "View", "Clone", "Alias") or not node.next_functions:
                return None
            node = node.next_functions[0][0]
        return None


def _parameter(node: Any) -> Any:
    """Return the parameter that a node hands on, transposed or in another shape; None where it is computed."""
    for _ in range(4):
        if hasattr(node, "variable"):
            return node.variable
        below = [parent for parent, _ in node.next_functions if parent is not None]
        if len(below) != 1 or nodes.kind(node) not in (*_PASSING, "T", "Expand", "Unsqueeze"):
            return None
        node = below[0]
    return None


def between(last: Any, first: Any) -> set[Any]:
    """Return the nodes on the way down from `last`, without it, to `first`, without that."""
    found: set[Any] = set()
    level = [last]
    while level:
        below = {parent for node in level for parent, _ in node.next_functions if parent is not None}
        level = list(below - found - {first})
        found |= set(level)
    return found


def _below(root: Any) -> dict[Any, list[Any]]:
    """Return all nodes below `root`, each after all that depend on it, with those that it reads."""
    parents: dict[Any, list[Any]] = {}
    done: dict[Any, list[Any]] = {}  # each after all that it reads
    stack = [root]
    while stack:
        node = stack[-1]
        if node not in parents:
            parents[node] = _parents(node)
            stack += [parent for parent in reversed(parents[node]) if parent not in parents]
        else:
            done.setdefault(stack.pop(), parents[node])
    return dict(reversed(done.items()))


def _parents(node: Any) -> list[Any]:
    return [parent for parent, _ in node.next_functions if parent is not None]
