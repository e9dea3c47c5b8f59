"""The shared helper module of the book: schemes, theory, ensembles of networks, and claims that are measured.

``import initnotes as ini`` is fast: a room with a heavy package in it (torch, scipy, pyplot) loads when first used.
"""

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .schemes import (
    Scheme,
    constant,
    fans,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    orthogonal,
    scheme,
    small_random,
    xavier_normal,
    xavier_uniform,
    zeros,
)

if TYPE_CHECKING:
    from . import (
        activations,
        claims,
        clinic,
        data,
        diagnosis,
        frameworks,
        graph,
        layers,
        ledger,
        measure,
        networks,
        normalization,
        plots,
        recurrent,
        schemes,
        symmetry,
        theory,
        training,
        translation,
        widgets,
    )
    from .diagnosis import audit
    from .layers import initialize_
    from .measure import probe
    from .translation import translate
    from .widgets import lab

__all__ = [
    "Scheme",
    "activations",
    "audit",
    "claims",
    "clinic",
    "constant",
    "data",
    "diagnosis",
    "fans",
    "frameworks",
    "graph",
    "he_normal",
    "he_uniform",
    "initialize_",
    "lab",
    "layers",
    "lecun_normal",
    "lecun_uniform",
    "ledger",
    "measure",
    "networks",
    "normalization",
    "orthogonal",
    "plots",
    "probe",
    "recurrent",
    "scheme",
    "schemes",
    "small_random",
    "symmetry",
    "theory",
    "training",
    "translate",
    "translation",
    "widgets",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

_ROOMS = (
    "activations",
    "claims",
    "clinic",
    "data",
    "diagnosis",
    "frameworks",
    "graph",
    "layers",
    "ledger",
    "measure",
    "networks",
    "normalization",
    "plots",
    "recurrent",
    "schemes",
    "symmetry",
    "theory",
    "training",
    "translation",
    "widgets",
)
_FUNCTIONS = {
    "audit": "diagnosis",
    "initialize_": "layers",
    "lab": "widgets",
    "probe": "measure",
    "translate": "translation",
}  # public here, but their rooms are heavy


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    if name in _FUNCTIONS:
        return getattr(import_module(f".{_FUNCTIONS[name]}", __name__), name)
    nearest = difflib.get_close_matches(name, __all__, n=1)
    hint = f"did you mean {nearest[0]!r}? Its" if nearest else "its"
    raise AttributeError(f"module 'initnotes' has no attribute {name!r}; {hint} rooms are {', '.join(_ROOMS)}")


def __dir__() -> list[str]:
    return sorted(__all__)
