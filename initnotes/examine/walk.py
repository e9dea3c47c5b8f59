"""The parts of a model by name, each once: its modules and, from these, its parameters.

What lives here walks once where torch's own walks hand every name up through all levels above it, each time anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import NamedTuple

from torch import nn

__all__ = ["Frozen", "frozen", "modules", "parameters"]


class Frozen(NamedTuple):
    """What training leaves as it is: parameters, modules with no other matrices, and what no gradient need reach.

    The last are the modules in front of all that is trained.
    """

    parameters: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    ahead: frozenset[str] = frozenset()


def modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the model, as "", and its submodules, in the order of ``named_modules()``."""
    found: dict[str, nn.Module] = {}
    seen: set[int] = set()
    stack = [("", model)]
    while stack:
        name, module = stack.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        found[name] = module
        before = f"{name}." if name else ""
        children = [(before + child, part) for child, part in module._modules.items() if part is not None]
        stack.extend(reversed(children))
    return found


def parameters(of: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    """Return the parameters of modules by name, in the order of ``named_parameters()``."""
    found: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for name, module in of.items():
        before = f"{name}." if name else ""
        for own, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in seen:
                seen.add(id(parameter))
                found[before + own] = parameter
    return found


def frozen(of: Mapping[str, nn.Module]) -> Frozen:
    """Return what is frozen in a model of which something is trained; nothing where all is frozen."""
    still = frozenset(name for name, own in parameters(of).items() if not own.requires_grad)
    if len(still) == len(parameters(of)):
        return Frozen()
    owned = {name: [own for own in part._parameters.values() if own is not None] for name, part in of.items()}
    matrices = {name: [own.requires_grad for own in every if own.dim() > 1] for name, every in owned.items()}
    fixed = frozenset(name for name, trained in matrices.items() if trained and not any(trained))
    ahead = takewhile(lambda name: not any(own.requires_grad for own in owned[name]), of)
    return Frozen(still, fixed, frozenset(ahead))
