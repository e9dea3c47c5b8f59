"""Repairs as Python code, in which ``model``, ``batch``, ``ini``, ``torch`` and ``rng`` are known.

What lives here writes code from facts; whether it is needed is for ``findings``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .appended import Appended
from .statistics import Record

__all__ = [
    "GAINS",
    "Place",
    "averaged",
    "damped",
    "drawn",
    "filled",
    "finite",
    "place",
    "rescaled",
    "reset",
    "scaled",
    "scheme_for",
    "shrunk",
    "standardized",
]

GAINS = {"he_normal": math.sqrt(2.0), "lecun_normal": 1.0, "xavier_normal": 1.0}
_SCHEMES = {"selu": "lecun_normal", "tanh": "xavier_normal", "sigmoid": "xavier_normal", None: "lecun_normal"}
LOGITS = 0.3  # root mean square of the logits that `shrunk` leaves: they cost 0.05 nats more than a fair guess
_TANH = """\
for parent in list(model.modules()):
    for name, child in list(parent.named_children()):
        if isinstance(child, torch.nn.Sigmoid):
            setattr(parent, name, torch.nn.Tanh())"""
SCALE_INSIDE = "# in forward, in front of the first layer: x = (x - x.mean()) / x.std()"
_BY_HAND = "# replace torch.sigmoid in forward by torch.tanh: no scale cures deep sigmoids"


def scheme_for(activation: str | None) -> str:
    """Return the name of the scheme that fits what follows."""
    return _SCHEMES.get(activation, "he_normal")


# Weights


def _scheme_of(record: Record) -> str:
    """Return the name of the scheme that fits a layer: one that is applied to its own outputs keeps their length."""
    return "orthogonal" if record.kind.startswith("RNN") else scheme_for(record.activation)


def drawn(records: Sequence[Record]) -> str:
    """Return code that draws these layers anew, each with the scheme that fits what follows.

    What is computed from other parameters is left out: no call draws it.
    """
    lines: list[str] = []
    for scheme in dict.fromkeys(map(_scheme_of, records)):
        own = [record for record in records if _scheme_of(record) == scheme]
        for who in ("scheme", "hand", "ensemble"):
            chosen = {record.place: record for record in own if record.drawn_by == who}
            if chosen:
                lines += _drawn(who, scheme, tuple(chosen), whole=next(iter(chosen.values())).whole)
    return "\n".join(lines)


def _drawn(who: str, scheme: str, names: tuple[str, ...], *, whole: bool) -> list[str]:
    if who == "ensemble":
        return [f'# make the ensemble anew, with "{scheme}" for layer {", ".join(names)}']
    layer = "model" if whole else "model.get_submodule(name)"
    code = [f'ini.initialize_({layer}, "{scheme}", rng=rng)']
    if who == "hand":
        code = [
            f"for p in {layer}.parameters():",
            "    torch.nn.init.xavier_uniform_(p) if p.dim() > 1 else torch.nn.init.zeros_(p)",
        ]
    return code if whole else [f"for name in {names!r}:", *(f"    {line}" for line in code)]


def rescaled(records: Sequence[Record], sigmoids: int) -> str:
    """Return code that draws all layers anew; deep sigmoids, which no scale cures, become tanh.

    Parameters
    ----------
    records : sequence of Record
    sigmoids : int
        How many modules are ``nn.Sigmoid``.
    """
    deep = sum(record.activation == "sigmoid" for record in records)
    if deep * 2 < len(records):
        return drawn(records)
    by_hand, modules = [_BY_HAND] * (sigmoids < deep), [_TANH] * (sigmoids > 0)
    return "\n".join([*by_hand, *modules, drawn(records)])


def shrunk(record: Record) -> str:
    """Return code that makes all parameters of a layer smaller; of one whose weight is computed, none."""
    factor = min(0.5, LOGITS / record.size) if 0 < record.size < math.inf else 0.5
    if record.drawn_by in ("nobody", "frozen"):
        return ""
    if record.drawn_by == "ensemble":
        return f"# make the ensemble anew, layer {record.place} with {factor:.2g} times the standard deviation"
    layer = "model" if record.whole else f"model.get_submodule({record.place!r})"
    return f"with torch.no_grad():\n    for p in {layer}.parameters():\n        p.mul_({factor:.2g})"


def scaled(name: str, factor: float) -> str:
    """Return code that makes one parameter smaller."""
    return f"with torch.no_grad():\n    model.get_parameter({name!r}).mul_({factor:.2g})"


def filled(names: Sequence[str]) -> str:
    """Return code that sets factors, such as a γ or a scale, to 1."""
    return f"for name in {tuple(names)!r}:\n    torch.nn.init.ones_(model.get_parameter(name))"


def averaged(tables: Sequence[Appended]) -> str:
    """Return code that sets the last rows of tables, and their biases, to the mean of those before them."""
    lines = ["with torch.no_grad():"]
    for own in tables:
        mean = f"    w[{own.start}:{own.stop}] = w[:{own.start}].mean(0)"
        for name in (own.name, *own.biases):
            lines += [f"    w = model.get_parameter({name!r})", mean]
    return "\n".join(lines)


def damped(names: Sequence[str]) -> str:
    """Return code that makes the last layers of L branches √L times smaller: together they add as much as one."""
    if not names:
        return "# scale the last layer of each branch by one over the root of the number of blocks"
    return (
        f"for name in {tuple(names)!r}:\n    with torch.no_grad():\n"
        f"        model.get_submodule(name).weight.mul_({1 / math.sqrt(len(names)):.2g})"
    )


def reset(names: Sequence[str], resettable: Collection[str]) -> str:
    """Return code that gives parameters the start of their layers, where these have one, or a plain one.

    Parameters
    ----------
    names : sequence of str
        Of the parameters.
    resettable : collection of str
        The submodules among their owners that have ``reset_parameters``.
    """
    owners = dict.fromkeys(name.rpartition(".")[0] for name in names)
    known = tuple(owner for owner in owners if owner in resettable)
    rest = tuple(name for name in names if name.rpartition(".")[0] not in known)
    lines = []
    if known == ("",):
        lines += ["model.reset_parameters()"]
    elif known:
        lines += [f"for name in {known!r}:", "    model.get_submodule(name).reset_parameters()"]
    if rest:
        lines += [f"for name in {rest!r}:", "    p = model.get_parameter(name)"]
        start = 'float(name.endswith(("weight", "scale", "gamma")))'
        lines += [f"    torch.nn.init.xavier_uniform_(p) if p.dim() > 1 else torch.nn.init.constant_(p, {start})"]
    return "\n".join(lines)


# Inputs


class Place(NamedTuple):
    """Where a tensor is in a batch: its name in code, and the lines before and after a change of it."""

    name: str
    before: str = ""
    after: str = ""

    def changed(self, code: str) -> str:
        """Return code that changes the tensor; in `code`, {0} is its name."""
        return self.before + code.format(self.name) + self.after


def place(batch: Any, path: tuple[Any, ...]) -> Place:
    """Return where the tensor or array at the end of a path through a batch is."""
    given = batch
    for key in path:
        given = given[key]
    name = "x" if path else "batch"
    before = f"x = batch{''.join(f'[{key!r}]' for key in path)}\n" if path else ""
    if isinstance(given, np.ndarray):
        before += f"{name} = torch.from_numpy({name})\n"
    return Place(name, before, f"\nbatch = {_rebuilt(batch, path, 'batch')}" if path else "")


def _rebuilt(value: Any, path: tuple[Any, ...], name: str) -> str:
    """Return an expression for the container `name` with x at the end of the path."""
    if not path:
        return "x"
    key = path[0]
    inner = _rebuilt(value[key], path[1:], f"{name}[{key!r}]")
    if isinstance(value, Mapping):
        return f"{{**{name}, {key!r}: {inner}}}"
    if hasattr(value, "_fields"):
        return f"{name}._replace({value._fields[key]}={inner})"
    ends = "()" if isinstance(value, tuple) else "[]"
    parts = [f"*{name}[:{key}]"] * (key > 0) + [inner] + [f"*{name}[{key + 1}:]"] * (key + 1 < len(value))
    return f"{ends[0]}{', '.join(parts)}{',' * (len(value) == 1)}{ends[1]}"


def finite(where: Place) -> str:
    """Return code that replaces NaN and infinity."""
    return where.changed(
        "{0} = torch.nan_to_num({0}, nan=0.0, posinf=0.0, neginf=0.0)  # better: find out where it comes from"
    )


def standardized(where: Place, *, unequal: bool, by_feature: bool) -> str:
    """Return code that standardizes a tensor: each feature if they are `unequal`, else all by one size."""
    if unequal:
        code = "{0} = {0} - {0}.mean(0)\nstd = {0}.std(0, correction=0)\n{0} = {0} / torch.where(std > 0, std, 1.0)"
    elif by_feature:
        code = "{0} = {0} - {0}.mean(0)\n{0} = {0} / {0}.square().mean().sqrt()"
    else:
        code = "{0} = ({0} - {0}.mean()) / {0}.std()"
    return where.changed(code)
