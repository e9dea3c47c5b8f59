"""Which parameters of a network a name pattern, a type or a module covers.

What lives here finds and matches; what a rule does to a parameter is decided in ``planning``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import nn

from .. import _checks, schemes
from ..schemes import Initializer

__all__ = [
    "Key",
    "Place",
    "Reach",
    "Value",
    "checked_rules",
    "checked_skip",
    "is_quantized",
    "places",
    "reach",
    "shown",
]

Key = str | type[nn.Module] | nn.Module
Value = Initializer | float
Reach = Literal["parameter", "module", "around", ""]


@dataclass(frozen=True)
class Place:
    """A parameter under one of its names, and the modules around it with theirs, from the root to its own."""

    name: str
    parameter: nn.Parameter
    around: tuple[tuple[str, nn.Module], ...]

    @property
    def module(self) -> nn.Module:
        """The module that holds the parameter."""
        return self.around[-1][1]

    @property
    def key(self) -> str:
        """The parameter's name in its module."""
        return self.name.rpartition(".")[2]


def places(module: nn.Module) -> list[Place]:
    """List the parameters of each submodule once, a tied parameter under all its names.

    A quantized module, whose weights are packed and not among them, stands there itself with an empty one.
    """
    named = dict(module.named_modules())
    found = []
    for prefix, sub in named.items():
        parts = prefix.split(".") if prefix else []
        levels = ["", *(".".join(parts[: end + 1]) for end in range(len(parts)))]
        around = tuple((level, named[level]) for level in levels)
        own = list(sub.named_parameters(prefix, recurse=False, remove_duplicate=False))
        if is_quantized(sub) and not own and not any(is_quantized(outer) for _, outer in around[:-1]):
            own = [(prefix or "module", nn.Parameter(torch.empty(0)))]
        found += [Place(name, parameter, around) for name, parameter in own]
    return found


def is_quantized(module: nn.Module) -> bool:
    """Return whether this is one of torch's quantized layers."""
    library, *path = type(module).__module__.split(".")
    return library == "torch" and "quantized" in path


def reach(key: Key, place: Place) -> Reach:
    """Return by what a key covers a parameter: its own name, its module, or a module around that; "" if it does not."""
    if isinstance(key, str) and fnmatchcase(place.name, key):
        return "parameter"
    hits = [_fits(key, name, module) for name, module in place.around]
    return "module" if hits[-1] else "around" if any(hits) else ""


def _fits(key: Key, name: str, module: nn.Module) -> bool:
    if isinstance(key, str):
        return bool(name) and fnmatchcase(name, key)
    return module is key if isinstance(key, nn.Module) else isinstance(module, key)


def shown(key: Key) -> str:
    """Return a key as it is written."""
    return repr(key) if isinstance(key, str) else key.__name__ if isinstance(key, type) else type(key).__name__


def checked_rules(rules: Any, known: list[Place]) -> dict[Key, Value]:
    """Return rules with their values as initializers or floats; raise if one cannot be or covers nothing."""
    if rules is None:
        return {}
    if not isinstance(rules, Mapping):
        raise TypeError(f"rules must be a dict of name patterns or module types to schemes or numbers, got {rules!r}")
    values = {_key(key, "a key of rules", modules=False): _value(value, key) for key, value in rules.items()}
    for key in values:
        _must_cover(key, known, "rules")
    return values


def checked_skip(skip: Any, known: list[Place]) -> tuple[Key, ...]:
    """Return what is to be skipped as a tuple; raise if one is of no use or covers nothing."""
    alone = isinstance(skip, (str, type, nn.Module)) or not isinstance(skip, Iterable)
    keys = tuple(_key(key, "skip", modules=True) for key in ((skip,) if alone else skip))
    for key in keys:
        _must_cover(key, known, "skip")
    return keys


def _key(key: Any, what: str, *, modules: bool) -> Key:
    if isinstance(key, str) or (isinstance(key, type) and issubclass(key, nn.Module)):
        return key
    if modules and isinstance(key, nn.Module):
        return key
    allowed = "a name pattern, a type of torch.nn" + (", or a module" if modules else "")
    raise TypeError(f"{what} must be {allowed}, got {key!r}")


def _value(value: Any, key: Any) -> Value:
    if isinstance(value, (str, Initializer)):
        return schemes.scheme(value)
    return _checks.real(value, f"rules[{key!r}]")


def _must_cover(key: Key, known: list[Place], where: str) -> None:
    """Raise ValueError for what was named in vain; a type may be absent, since a type cannot be misspelled."""
    if isinstance(key, type) or any(reach(key, place) for place in known):
        return
    names = dict.fromkeys(name for place in known for name in (place.name, *(level for level, _ in place.around)))
    nearest = difflib.get_close_matches(key, names, n=1) if isinstance(key, str) else []
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "; names are those of named_parameters and named_modules"
    raise ValueError(f"{shown(key)} in {where} covers no parameter of the module{hint}")
