"""All facts of one network that findings are made of: its layers, inputs, parameters, graph and loss.

What lives here gathers; it does not judge. A case has no tensor, so that one can be made up for a test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from . import anatomy, batches, fixes, moments, walk
from .appended import Appended
from .graph import Graph
from .hooks import Call, Watch
from .limits import USUAL, Limits
from .statistics import Record

__all__ = ["Case", "Input", "case_of"]

MASKED = -1e4  # what is 0 or less, and this low somewhere, is a mask


@dataclass(frozen=True)
class Input:
    """What is known of one floating-point tensor of the batch, as the first layer gets it.

    Attributes
    ----------
    where : Place or None
        None for what the model itself makes of whole numbers.
    broken : bool
        Whether it holds NaN or infinity, and is no mask.
    rms, mean, std : float
        Over all its numbers, NaN where it is not judged: one number, a mask, or not finite.
    unequal : float
        Standard deviation of the feature that varies most, in those of the feature in the middle; NaN if there are
        not two axes.
    by_feature : bool
        Whether it has the shape (inputs, features), with two inputs or more.
    normalized : bool
        Whether a normalization comes next.
    """

    where: fixes.Place | None
    broken: bool = False
    rms: float = math.nan
    mean: float = math.nan
    std: float = math.nan
    unequal: float = math.nan
    by_feature: bool = False
    normalized: bool = False


@dataclass(frozen=True)
class Case:
    """What findings are made of.

    Attributes
    ----------
    model : str
        Class of the network.
    records : tuple of Record
    inputs : tuple of Input
    broken : tuple of str
        Names of parameters that hold NaN or infinity.
    resettable : frozenset of str
        Submodules that have ``reset_parameters``.
    sigmoids : int
        How many modules are ``nn.Sigmoid``.
    zeros : tuple of str
        Factors that are all zero and belong to no layer, such as a γ or a gate.
    factors : mapping of str to float
        Root mean square of such factors.
    ahead : frozenset of str
        Modules in front of all that is trained, where others are frozen.
    appended : tuple of Appended
        Tables whose last rows are larger than all others.
    free, equal, unused : frozenset of str
        Parameters that the first steps of gradient descent move, as `second_step.moves` has them, weights whose units
        have equal gradients then, and parameters that the loss does not depend on; empty where nobody had to ask.
    unheard : frozenset of str
        Those without a gradient of which the loss takes nothing now, as `second_step.unheard` has them.
    steps_known : bool
        Whether these could be told; otherwise zeros are not judged.
    stream, stream_gradients : tuple of float
        Root mean square of a stream behind each block that adds to it, and norm of its gradient there.
    closing : tuple of str
        Layers that end such blocks.
    twice : (str, str) or None
        An activation of the outputs, and a loss that takes logits.
    head : str
        The parameter that makes the logits where no layer does; empty otherwise.
    norms, merges, normalized_sums : int
        Normalizations on the data's way, how often two streams are added, and how often nothing reads the sum but a
        normalization.
    loss : float or None
    fair : (float, str, float) or None
        A fair guess's loss, what it is, and what random logits add to it, as `Graph.fair_loss` has them.
    """

    model: str
    records: tuple[Record, ...]
    inputs: tuple[Input, ...] = ()
    broken: tuple[str, ...] = ()
    resettable: frozenset[str] = frozenset()
    sigmoids: int = 0
    zeros: tuple[str, ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)
    ahead: frozenset[str] = frozenset()
    appended: tuple[Appended, ...] = ()
    free: frozenset[str] = frozenset()
    equal: frozenset[str] = frozenset()
    unused: frozenset[str] = frozenset()
    unheard: frozenset[str] = frozenset()
    steps_known: bool = True
    stream: tuple[float, ...] = ()
    stream_gradients: tuple[float, ...] = ()
    closing: tuple[str, ...] = ()
    twice: tuple[str, str] | None = None
    head: str = ""
    norms: int = 0
    merges: int = 0
    normalized_sums: int = 0
    loss: float | None = None
    fair: tuple[float, str, float] | None = None
    limits: Limits = USUAL

    @property
    def chain(self) -> list[Record]:
        """The layers that make a signal of a signal."""
        return [record for record in self.records if record.kind not in ("Embedding", "EmbeddingBag")]


def case_of(
    model: nn.Module,
    batch: Any,
    records: tuple[Record, ...],
    watch: Watch,
    graph: Graph,
    entries: Sequence[Any],
) -> dict[str, Any]:
    """Return the fields of a `Case` but for the loss.

    Parameters
    ----------
    model, batch
        As they were given.
    records : of each call of a layer
    watch : Watch
    graph : Graph
    entries : sequence of autograd nodes
        Where the floating-point tensors of the batch enter the graph, in their order.
    """
    calls = watch.calls
    healthy = all(math.isfinite(record.size) for record in records)
    found = [(path, batches.tensor(given)) for path, given in batches.places(batch)]
    named = list(walk.parameters(watch.parts).items())
    factors = {name: moments.rms(own.detach()[None]) for name, own in _factors(named, watch).items()}
    real = [(path, given.detach()) for path, given in found if given.is_floating_point()]
    entering = [(path, given, node) for (path, given), node in zip(real, entries, strict=True)]
    aside = [part for part in entering if part[2] is not None and part[2] not in graph.feeding]  # such as targets
    judged = tuple(
        _input(fixes.place(batch, path), given, _seen(calls, node), may_mask=healthy, normalized=graph.follows(node)[1])
        for path, given, node in entering
        if node is None or node in graph.feeding
    )
    return {
        "records": records,
        "inputs": (judged or _made_inside(calls))
        + tuple(Input(fixes.place(batch, path), _is_broken(given, may_mask=healthy)) for path, given, _ in aside),
        "broken": tuple(_broken_parameters(named, calls, may_mask=healthy)),
        "resettable": frozenset(
            "" if module is model else name
            for name, module, _ in watch.modules
            if callable(getattr(module, "reset_parameters", None))
        ),
        "sigmoids": sum(isinstance(module, nn.Sigmoid) for _, module, _ in watch.modules),
        "ahead": watch.frozen.ahead,
        "norms": graph.normalized(),
        "merges": graph.merges(),
        "normalized_sums": graph.normalized_sums(),
        "factors": factors,
        "zeros": tuple(name for name, size in factors.items() if size == 0),
    } | _stream(records, watch, graph)


_FACTORS = ("gamma", "gate", "scale", "alpha", "weight_g", "lora_")  # what names of factors contain


def _factors(parameters: Sequence[tuple[str, Tensor]], watch: Watch) -> dict[str, Tensor]:
    """Return parameters that something is multiplied by, and that are no weights of a layer."""
    layers = {id(own) for call in watch.calls for own in call.module._parameters.values()}
    norms = {id(own) for _, part, role in watch.modules if role == "norm" for own in part._parameters.values()}
    found: dict[str, Tensor] = {}
    for name, own in parameters:
        last = name.rpartition(".")[2].lower()
        named = any(word in last for word in _FACTORS) or (own.numel() == 1 and id(own) not in layers)
        real = "bias" not in last and "beta" not in last and own.numel() and own.is_floating_point()
        if real and ((id(own) in norms and last == "weight") or (named and id(own) not in layers)):
            found[name] = own
    return found


def _stream(records: Sequence[Record], watch: Watch, graph: Graph) -> dict[str, Any]:
    """Return the sizes of a stream, where layers have a way around them, behind each place where something is added."""
    aside = {record.place for record in records if not record.trunk and not math.isnan(record.weight_gradient)}
    if not aside:
        return {}
    read, sizes, added = dict(watch.reads), [], False
    for node in graph.trunk:
        added = added or graph.is_merge(node)
        if added and node in read:
            sizes.append(read[node])
            added = False
    closing = [call.name.partition(" (call")[0] for call in watch.calls if graph.closes(call.node)]
    return {
        "stream": tuple(sizes),
        "stream_gradients": tuple(watch.merged[node] for node in graph.trunk if node in watch.merged),
        "closing": tuple(dict.fromkeys(name for name in closing if name in aside)),
    }


def _seen(calls: Sequence[Call], node: Any) -> Tensor | None:
    """Return what the first layer gets of an input that enters at `node`; None if it is not told."""
    return next((call.entered[1] for call in calls if call.entered and call.entered[0] is node), None)


def _made_inside(calls: Sequence[Call]) -> tuple[Input, ...]:
    """Return what the first layer gets where the batch has whole numbers only."""
    own = calls[0].entered if calls else None
    return (_input(None, own[1], None, may_mask=True, normalized=False),) if own and own[0] is None else ()


def _broken_parameters(parameters: Sequence[tuple[str, Tensor]], calls: Sequence[Call], *, may_mask: bool) -> list[str]:
    """Return the names of parameters that hold NaN or infinity; weights that were measured need no second look."""
    known = {id(anatomy.weight(call.module)) for call in calls if math.isfinite(call.weights)}
    rest = [(name, own) for name, own in parameters if id(own) not in known and own.is_floating_point()]
    parts: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for _, own in rest:
        parts.setdefault((own.dtype, own.device), []).append(own.detach().flatten())
    if all(math.isfinite(moments.norm(torch.cat(part))) for part in parts.values()):  # one look at all of them
        return []
    return [name for name, parameter in rest if _is_broken(parameter, may_mask=may_mask)]


def _is_broken(tensor: Tensor, *, may_mask: bool) -> bool:
    """Whether a tensor holds NaN or infinity, as a mask only where it `may_mask`."""
    if not tensor.numel() or not tensor.is_floating_point() or math.isfinite(moments.norm(tensor)):
        return False
    return not (may_mask and _is_mask(tensor))


def _is_mask(x: Tensor) -> bool:
    """Whether a tensor looks like what is added to scores to hide some: 0 or less, and very far below somewhere."""
    x = x.detach()
    return bool(x.numel()) and float(x.max()) <= 0 and float(x.min()) <= MASKED


def _input(where: fixes.Place | None, given: Tensor, seen: Tensor | None, *, may_mask: bool, normalized: bool) -> Input:
    x = given.double()
    if not bool(torch.isfinite(x).all()) or x.numel() < 2 or _is_mask(x):
        return Input(where, _is_broken(given, may_mask=may_mask), normalized=normalized)
    x = x if seen is None else seen.double()
    by_feature = x.dim() == 2 and len(x) > 1
    return Input(
        where,
        rms=float(x.square().mean().sqrt()),
        mean=float(x.mean()),
        std=float(x.std(correction=0)),
        unequal=_unequal(x) if by_feature else math.nan,
        by_feature=by_feature,
        normalized=normalized,
    )


def _unequal(x: Tensor) -> float:
    stds = x.std(0, correction=0)
    stds = stds[stds > 0]
    return float(stds.max() / stds.median()) if len(stds) > 1 else math.nan
