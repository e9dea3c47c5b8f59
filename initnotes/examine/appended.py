"""Rows that were appended to a table of a trained network, told by their sizes.

What lives here looks at embeddings and unembeddings, a row for each token; what such rows mean is for ``findings``.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Appended", "appended", "block"]

ROWS, NUMBERS = 8, 64  # of the old rows, at least: of fewer, no size is known
_TABLES = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True)
class Appended:
    """The rows at the end of a table that are larger than all others.

    Attributes
    ----------
    name : str
        Of the parameter.
    places : tuple of str
        The modules that have it, several where it is tied.
    start, stop, rows : int
        Where they begin and end, and how many rows the table has.
    new, old : float
        Root mean squares of their numbers, and of those before them.
    least : float
        The smallest of them, in root mean squares of those before.
    output : bool
        Whether the table makes the outputs.
    biases : tuple of str
        Parameters that have a number for each row.
    """

    name: str
    places: tuple[str, ...]
    start: int
    stop: int
    rows: int
    new: float
    old: float
    least: float
    output: bool = False
    biases: tuple[str, ...] = ()


def appended(parts: Mapping[str, nn.Module], last: Set[str]) -> tuple[Appended, ...]:
    """Return the block of largest rows at the end of each table, where there is one.

    Parameters
    ----------
    parts : mapping of str to nn.Module
        The model, as "", and its submodules.
    last : set of str
        The submodules that make the outputs, or the parameters that do where no module does.
    """
    tables: dict[int, tuple[str, Tensor, list[str]]] = {}
    for place, part in parts.items():
        own = part._parameters.get("weight")
        if own is not None and (isinstance(part, _TABLES) or (isinstance(part, nn.Linear) and place in last)):
            tables.setdefault(id(own), (f"{place}.weight".lstrip("."), own.detach(), []))[2].append(place)
    found = []
    for name, table, places in tables.values():
        seen = block(table)
        if seen is not None:
            biases = tuple(f"{place}.bias" for place in places if parts[place]._parameters.get("bias") is not None)
            output = not last.isdisjoint((name, *places))
            found.append(Appended(name, tuple(places), *seen, output=output, biases=biases))
    return tuple(found)


def block(table: Tensor) -> tuple[int, int, int, float, float, float] | None:
    """Return `start` … `least` of `Appended` for the rows at the end that are larger than all before them.

    Of all places to cut, that with the largest `least`: before it new rows would be among the old ones, behind it old
    among the new. The block is at most half of the rows. Rows of zeros, such as padding, are neither old nor new. None
    if there is no such block.
    """
    if not table.is_floating_point() or table.dim() != 2 or not table.numel():
        return None
    dtype = torch.promote_types(table.dtype, torch.float32)
    sizes = torch.linalg.vector_norm(table, dim=1, dtype=dtype).cpu().double() / table.shape[1] ** 0.5
    at = sizes.nonzero().flatten()
    sizes = sizes[at]
    least_old = max(ROWS, -(-NUMBERS // table.shape[1]), (len(at) + 1) // 2)
    if len(at) <= least_old or not bool(sizes.isfinite().all()):
        return None
    cuts = torch.arange(least_old, len(at))
    old = (sizes.square().cumsum(0)[cuts - 1] / cuts).sqrt()
    smallest = sizes.flip(0).cummin(0).values.flip(0)[cuts]
    apart = smallest > sizes.cummax(0).values[cuts - 1]
    least = (smallest / old).where(apart, 0.0)
    best = int(least.argmax())
    first, stop = int(cuts[best]), int(at[-1]) + 1
    start = int(at[first])
    if float(least[best]) == 0 or stop - start != len(at) - first:
        return None
    new = float(sizes[first:].square().mean().sqrt())
    return start, stop, len(table), new, float(old[best]), float(least[best])
