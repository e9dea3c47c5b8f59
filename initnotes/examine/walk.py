"""The parts of a model by name, each once: its modules and, from these, its parameters.

What lives here walks once where torch's own walks hand every name up through all levels above it, each time anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

__all__ = ["modules", "parameters"]


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
