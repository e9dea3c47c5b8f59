"""What is done to each parameter of a network, and why.

What lives here decides and tabulates and touches nothing; ``fill`` carries it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from .. import _checks, draws, schemes
from .._table import Table
from ..schemes import Initializer
from .fans import NORMS, Stack, bias_names, is_layer, stack, weight_names
from .rules import Key, Place, Value, checked_rules, checked_skip, is_quantized, places, reach, shown

__all__ = ["ParameterPlan", "Plan", "Task", "plan"]

_ANYWHERE = ("parameter", "module", "around")
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_TOKENS = {"bias_k": "key", "bias_v": "value"}  # of MultiheadAttention, which appends them to the sequence
_LORA_ZERO = re.compile(r"(?:^|\.)lora_(?:(?P<B>[Bb])|embedding_A)(?:\.|$)")  # of peft, loralib and torchtune


@dataclass(frozen=True)
class ParameterPlan:
    """What happens to one parameter.

    Attributes
    ----------
    name : str
        As ``named_parameters`` gives it.
    shape : tuple of int
        In torch's layout.
    fan_in, fan_out : int, float or None
        The true fans of a weight that is set.
    std : float or None
        Standard deviation over draws, in theory: 0 for a bias, None if the parameter is left as it is.
    why : str
        What it is set to, or why it is left.
    is_missed : bool
        Whether it is left for want of a rule, and not on purpose.
    """

    name: str
    shape: tuple[int, ...]
    fan_in: float | None
    fan_out: float | None
    std: float | None
    why: str
    is_missed: bool = False

    @property
    def is_set(self) -> bool:
        """Whether `initialize_` writes this parameter."""
        return self.std is not None

    def cells(self) -> tuple[str, ...]:
        """Return the texts of a line of the table."""
        numbers = ["" if x is None else f"{x:.4g}" if isinstance(x, float) else str(x) for x in self._numbers()]
        return (self.name, str(self.shape), *numbers, f"{'set' if self.is_set else 'left'}: {self.why}")

    def _numbers(self) -> tuple[float | None, ...]:
        return self.fan_in, self.fan_out, self.std


@dataclass(frozen=True)
class Task:
    """A parameter to write: with what, cut into which blocks, a bias into none, and which rows are zero."""

    name: str
    parameter: nn.Parameter
    value: Value
    stack: Stack | None
    zero_rows: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What `initialize_` does to each parameter of a module; prints and renders as a table, a line per parameter.

    Attributes
    ----------
    parameters : tuple of ParameterPlan
        In the order of the submodules, which is that of the draws.
    tasks : tuple of Task
        What `initialize_` carries out.
    """

    parameters: tuple[ParameterPlan, ...]
    tasks: tuple[Task, ...] = field(compare=False)

    @property
    def set(self) -> list[str]:
        """Names of the parameters that are written."""
        return [own.name for own in self.parameters if own.is_set]

    @property
    def left(self) -> list[str]:
        """Names of the parameters that stay as they are, a second name of a tied weight among them."""
        return [own.name for own in self.parameters if not own.is_set]

    @property
    def missed(self) -> dict[str, list[str]]:
        """Names of the parameters that are left for want of a rule, by reason."""
        found: dict[str, list[str]] = {}
        for own in self.parameters:
            if own.is_missed:
                found.setdefault(own.why, []).append(own.name)
        return found

    def _table(self) -> Table:
        head = ("parameter", "shape", "fan_in", "fan_out", "std", "")
        return Table("", head, tuple(own.cells() for own in self.parameters), frozenset({2, 3}))

    def __str__(self) -> str:
        return str(self._table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()


@dataclass(frozen=True)
class _Role:
    """What a parameter is to its module, why it is left if no rule says otherwise, and which rules may say so.

    If a bias is added to another, only one of them has the value: `other` names that one in the rest.
    """

    kind: str
    reach: tuple[str, ...] = _ANYWHERE
    why: str = ""
    is_missed: bool = False
    stack: Stack | None = None
    other: str = ""


@dataclass(frozen=True)
class _Decision:
    """What to do to a parameter under one name; of its decisions under several, that of the highest rank holds."""

    place: Place
    role: _Role
    value: Value | None = None
    why: str = ""
    rank: int = 0

    @property
    def stack(self) -> Stack | None:
        """The blocks of a matrix that is drawn: those of its layer, or what a shape alone says."""
        shape = tuple(self.place.parameter.shape)
        if self.role.stack is not None or not isinstance(self.value, Initializer):
            return self.role.stack
        return Stack(shape, schemes.fans(shape))


def _role(place: Place) -> _Role:
    """Tell what a parameter is for."""
    module, key, kind = place.module, place.key, type(place.module).__name__
    if is_quantized(module):
        return _Role("fixed", (), f"quantized ({kind}); initialize before that", is_missed=True)
    if why := draws.obstacle(place.parameter):
        return _Role("fixed", (), f"it {why} ({kind})", is_missed=True)
    if not place.parameter.numel():
        return _Role("fixed", (), f"empty ({kind})")
    if zero := _LORA_ZERO.search(place.name):  # of an embedding it is A
        return _Role("lora", ("parameter",), f"LoRA's {'B' if zero['B'] else 'A'}, zero on purpose")
    if is_layer(module) and key in weight_names(module):
        return _weight(place)
    if is_layer(module) and key in bias_names(module):
        return _Role("bias", ("parameter",), other=bias_names(module)[key])
    if isinstance(module, NORMS):
        return _Role("scale", ("parameter", "module"), f"normalization ({kind})")
    if isinstance(module, nn.PReLU):
        return _Role("slope", ("parameter", "module"), f"slope of an activation ({kind})")
    return _bare(module, key, kind)


def _weight(place: Place) -> _Role:
    try:
        return _Role("weight", stack=stack(place.module, place.key, place.parameter))
    except ValueError as error:
        return _Role("fixed", (), f"{error} ({type(place.module).__name__})", is_missed=True)


def _bare(module: nn.Module, key: str, kind: str) -> _Role:
    """Tell why a parameter that is no weight, bias or scale of a known layer is left."""
    if isinstance(module, nn.MultiheadAttention) and key in _TOKENS:
        return _Role("bare", why=f"a {_TOKENS[key]} of the sequence, not a bias ({kind})", is_missed=True)
    if isinstance(module, ParametrizationList) or (is_layer(module) and _is_computed(module)):
        why = "a layer's weight is computed from it (weight norm, pruning and the like); initialize before that"
        return _Role("source", ("parameter",), why, is_missed=True)
    if isinstance(module, torch.jit.ScriptModule):
        return _Role("bare", why="scripted, so that its layer is not known; initialize before that", is_missed=True)
    return _Role("bare", why=f"no rule ({kind})", is_missed=True)


def _is_computed(layer: nn.Module) -> bool:
    """Whether a weight or bias of a layer is not a parameter of its own."""
    names = [*weight_names(layer), *bias_names(layer)]
    return any(name not in layer._parameters and isinstance(getattr(layer, name, None), Tensor) for name in names)


def _decided(place: Place, rules: Mapping[Key, Value], scheme: Initializer, bias: float) -> _Decision:
    """Decide about a parameter under one name: the first rule that can set it, else the scheme or the bias.

    What is frozen answers to its full name only: a sweeping pattern or the scheme would undo what was trained.
    """
    role, passed = _role(place), ""
    if role.kind != "fixed" and not place.parameter.requires_grad:
        asked = any(isinstance(key, str) and reach(key, place) for key in rules)
        role = replace(role, kind="frozen", why="frozen; a rule with its full name draws it", is_missed=asked)
        rules = {key: value for key, value in rules.items() if key == place.name}
    for key, value in rules.items():
        if reach(key, place) not in role.reach or (role.kind == "lora" and "lora" not in str(key).lower()):
            continue
        if isinstance(value, Initializer) and place.parameter.dim() < 2:
            passed = f"a vector, which has no fan; give it a number in rules ({shown(key)})"
            continue
        said = value.name if isinstance(value, Initializer) else f"{value:g}"
        return _Decision(place, role, value, f"{said} by the rule {shown(key)}", 10 + _rank(place, role))
    if role.kind == "weight":
        return _Decision(place, role, scheme, scheme.name, _rank(place, role))
    if role.kind == "bias":
        why = f"0, {role.other} has the bias" if role.other else f"bias {bias:g}"
        return _Decision(place, role, 0.0 if role.other else bias, why, _rank(place, role))
    return _Decision(place, role, why=passed if role.is_missed else "")


def _rank(place: Place, role: _Role) -> int:
    """Rank the jobs of a tied parameter: an unembedding sums over it, an embedding looks rows up."""
    if role.stack is not None:
        return 2 if isinstance(place.module, _EMBEDDINGS) else 3
    return 1 if role.kind == "bias" else 0


def _held(decisions: Iterable[_Decision]) -> dict[int, _Decision]:
    """Return the decisions that hold, one for each parameter that is set, in order."""
    held: dict[int, _Decision] = {}
    for own in decisions:
        parameter = id(own.place.parameter)
        if own.value is not None and (parameter not in held or own.rank > held[parameter].rank):
            held.pop(parameter, None)
            held[parameter] = own
    return held


def _known(module: Any) -> list[Place]:
    """Return the parameters of a module; raise if it is none or has none."""
    kind = type(module).__name__
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {kind}")
    known = places(module)
    if not known:
        raise ValueError(f"module must have parameters, got a {kind} without any: nothing to initialize")
    return known


def _check_values(known: Iterable[Place]) -> None:
    """Raise if parameters have no values yet."""
    for place in known:
        name, kind = place.around[-1][0], type(place.module).__name__
        who = f"{name!r} ({kind})" if name else f"module ({kind})"
        if is_lazy(place.parameter):
            raise ValueError(f"{who} has parameters without a shape; run one batch through the model first")
        if place.parameter.is_meta:
            raise ValueError(f"{who} is on the meta device and has no values; call model.to_empty(device=…) first")


def _task(own: _Decision, zero_rows: Mapping[int, list[int]]) -> Task:
    assert own.value is not None
    place = own.place
    return Task(place.name, place.parameter, own.value, own.stack, tuple(zero_rows.get(id(place.parameter), ())))


def _row(own: _Decision, held: Mapping[int, _Decision], zero_rows: Mapping[int, list[int]]) -> ParameterPlan:
    """Say what happens to a parameter under one name."""
    place, holds = own.place, held.get(id(own.place.parameter))
    shape = () if is_lazy(place.parameter) else tuple(place.parameter.shape)
    if holds is None:
        return ParameterPlan(place.name, shape, None, None, None, own.why or own.role.why, own.role.is_missed)
    if holds is not own:
        return ParameterPlan(place.name, shape, None, None, None, f"tied to {holds.place.name}, which is set")
    rows = ", ".join(map(str, zero_rows.get(id(place.parameter), ())))
    said = [own.why, own.stack.what if own.stack else "", f"padding row {rows} zero" if rows else ""]
    why = ", ".join(filter(None, said))
    if own.stack is None or not isinstance(own.value, Initializer):
        return ParameterPlan(place.name, shape, None, None, 0.0, why)
    std = own.value.std(own.stack.block, true_fans=own.stack.fans)
    return ParameterPlan(place.name, shape, *own.stack.fans, std, why)


def _padding(known: Iterable[Place]) -> dict[int, list[int]]:
    """Return the rows of embeddings that stand for padding, by parameter."""
    rows: dict[int, list[int]] = {}
    for place in known:
        if isinstance(place.module, _EMBEDDINGS) and place.key == "weight" and place.module.padding_idx is not None:
            rows.setdefault(id(place.parameter), []).append(place.module.padding_idx)
    return rows


def plan(
    module: nn.Module,
    scheme: str | Initializer,
    *,
    bias: float = 0.0,
    rules: Mapping[str | type[nn.Module], str | Initializer | float] | None = None,
    skip: Key | Iterable[Key] = (),
) -> Plan:
    """Return what `initialize_` would do with the same arguments, and touch nothing.

    Parameters
    ----------
    module, scheme, bias, rules, skip
        As in `initialize_`.

    Returns
    -------
    Plan
        With a line per parameter of each submodule, and one per name of a tied parameter.

    Raises
    ------
    TypeError, ValueError
        As in `initialize_`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 8, 5, groups=4))
    >>> print(plan(net, "he_normal"))
    parameter  shape          fan_in  fan_out  std
    0.weight   (64, 3, 3, 3)      27      576  0.2722   set: he_normal
    0.bias     (64,)                           0        set: bias 0
    1.weight   (64,)                                    left: normalization (BatchNorm2d)
    1.bias     (64,)                                    left: normalization (BatchNorm2d)
    3.weight   (64, 2, 5, 5)     400       50  0.07071  set: he_normal
    3.bias     (8,)                            0        set: bias 0
    >>> print(plan(nn.GRU(10, 32), "orthogonal", bias=1.0))
    parameter     shape     fan_in  fan_out  std
    weight_ih_l0  (96, 10)      10       32  0.1768  set: orthogonal, 3 gates
    weight_hh_l0  (96, 32)      32       32  0.1768  set: orthogonal, 3 gates
    bias_ih_l0    (96,)                      0       set: bias 1
    bias_hh_l0    (96,)                      0       set: 0, bias_ih_l0 has the bias
    """
    drawn_by, start, known = schemes.scheme(scheme), _checks.real(bias, "bias"), _known(module)
    values, keys = checked_rules(rules, known), checked_skip(skip, known)
    skipped = {id(place.parameter) for place in known if any(reach(key, place) for key in keys)}
    _check_values(place for place in known if id(place.parameter) not in skipped)
    left = _Role("fixed", why="skipped")
    decisions = [
        _Decision(place, left) if id(place.parameter) in skipped else _decided(place, values, drawn_by, start)
        for place in known
    ]
    held, zero_rows = _held(decisions), _padding(known)
    if not held:  # a call that does nothing for what is frozen says so
        decisions = [
            replace(own, role=replace(own.role, is_missed=own.role.is_missed or own.role.kind == "frozen"))
            for own in decisions
        ]
    rows = tuple(_row(own, held, zero_rows) for own in decisions)
    return Plan(rows, tuple(_task(own, zero_rows) for own in held.values()))
