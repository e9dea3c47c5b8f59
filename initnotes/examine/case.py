"""All facts of one network that findings are made of: its layers, inputs, parameters, graph and loss.

What lives here gathers; it does not judge. A case has no tensor, so that one can be made up for a test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..layers import NORMS
from . import anatomy, batches, fixes, moments
from .graph import Graph
from .hooks import Call
from .statistics import Record

__all__ = ["Case", "Input", "case_of"]

MASKED = -1e4  # what is 0 or less, and this low somewhere, is a mask


@dataclass(frozen=True)
class Input:
    """What is known of one floating-point tensor of the batch.

    Attributes
    ----------
    where : Place
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

    where: fixes.Place
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
    closed : bool
        Whether a normalization's factors are all zero.
    norms, merges : int
        Normalizations on the data's way, and how often two streams are added.
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
    closed: bool = False
    norms: int = 0
    merges: int = 0
    loss: float | None = None
    fair: tuple[float, str, float] | None = None

    @property
    def chain(self) -> list[Record]:
        """The layers that make a signal of a signal."""
        return [record for record in self.records if record.kind not in ("Embedding", "EmbeddingBag")]


def case_of(
    model: nn.Module,
    batch: Any,
    records: tuple[Record, ...],
    calls: Sequence[Call],
    graph: Graph,
    entries: Sequence[Any],
) -> dict[str, Any]:
    """Return the fields of a `Case` but for the loss.

    Parameters
    ----------
    model, batch
        As they were given.
    records, calls : of each call of a layer
    graph : Graph
    entries : sequence of autograd nodes
        Where the floating-point tensors of the batch enter the graph, in their order.
    """
    healthy = all(math.isfinite(record.size) for record in records)
    found = [(path, batches.tensor(given)) for path, given in batches.places(batch)]
    real = [(path, given.detach()) for path, given in found if given.is_floating_point()]
    return {
        "records": records,
        "inputs": tuple(
            _input(fixes.place(batch, path), given, may_mask=healthy, normalized=graph.follows(node)[1])
            for (path, given), node in zip(real, entries, strict=True)
        ),
        "broken": tuple(_broken_parameters(model, calls, may_mask=healthy)),
        "resettable": frozenset(
            name for name, module in model.named_modules() if callable(getattr(module, "reset_parameters", None))
        ),
        "sigmoids": sum(isinstance(module, nn.Sigmoid) for module in model.modules()),
        "closed": any(isinstance(module, NORMS) and _all_zero(module) for module in model.modules()),
        "norms": graph.normalized(),
        "merges": graph.merges(),
    }


def _all_zero(module: Any) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and not bool(weight.detach().any())


def _broken_parameters(model: nn.Module, calls: Sequence[Call], *, may_mask: bool) -> list[str]:
    """Return the names of parameters that hold NaN or infinity; weights that were measured need no second look."""
    known = {id(anatomy.weight(call.module)) for call in calls if math.isfinite(call.weights)}
    rest = [(name, parameter) for name, parameter in model.named_parameters() if id(parameter) not in known]
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


def _input(where: fixes.Place, given: Tensor, *, may_mask: bool, normalized: bool) -> Input:
    x = given.double()
    if not bool(torch.isfinite(x).all()) or x.numel() < 2 or _is_mask(x):
        return Input(where, _is_broken(given, may_mask=may_mask), normalized=normalized)
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
