"""Calls that draw whole matrices: orthogonal ones, delta-orthogonal kernels, identities.

What lives here writes each library's call for such a law, for torch also by two lines where it has no name; laws of
single weights are for ``translation``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .laws import Special
from .libraries import NAMESPACES
from .registry import REGISTRY, Call

__all__ = ["whole_matrix"]

_NAMES = {
    "torch": {"orthogonal": "orthogonal_"},
    "keras": {"orthogonal": "Orthogonal", "identity": "Identity"},
    "jax": {"orthogonal": "orthogonal", "delta_orthogonal": "delta_orthogonal"},
    "initnotes": {"orthogonal": "orthogonal", "delta_orthogonal": "delta_orthogonal"},
}
_NOTES = {
    ("keras", "orthogonal"): "it stacks an LSTM's gates side by side: the rows of the stack are orthonormal, not those "
    "of a gate",
    ("jax", "delta_orthogonal"): "JAX wants a kernel, and no fewer channels out than in",
    ("initnotes", "delta_orthogonal"): "for kernels that are odd along each axis, which have a center",
}


def whole_matrix(target: str, drawn: Special) -> tuple[Call, list[str]] | None:
    """Return a library's call for a law of whole matrices, and what to mind; None where it has none.

    Parameters
    ----------
    target : {"torch", "keras", "jax", "initnotes"}
    drawn : Special

    Returns
    -------
    (Call, list of str) or None
    """
    by_hand = {"identity": _eye, "delta_orthogonal": _delta}
    if target == "torch" and drawn.kind in by_hand:
        return by_hand[drawn.kind](drawn.gain), []
    if drawn.kind not in _NAMES[target]:
        return None
    named = REGISTRY[target][_NAMES[target][drawn.kind]]
    note = _NOTES.get((target, drawn.kind))
    return named.call(**{"scale" if target == "jax" else "gain": drawn.gain}), [note] if note else []


def _eye(gain: float) -> Call:
    eye = REGISTRY["torch"]["eye_"].call()
    if gain == 1:
        return eye

    def initializer() -> Callable[[Any], Any]:
        import torch

        def fill(w: Any) -> Any:
            with torch.no_grad():
                return torch.nn.init.eye_(w).mul_(gain)

        return fill

    law = Special(kind="identity", gain=gain)
    return Call("torch", "eye_", f"with torch.no_grad(): {eye.code}.mul_({gain!r})", law, initializer)


def _delta(gain: float) -> Call:
    """Return what torch has no name for: zeros, and an orthogonal matrix at the tap that sees its own place."""

    def initializer() -> Callable[..., Any]:
        import torch

        def fill(w: Any, **more: Any) -> Any:
            torch.nn.init.zeros_(w)
            torch.nn.init.orthogonal_(w[(..., *((k - 1) // 2 for k in w.shape[2:]))], gain=gain, **more)
            return w

        return fill

    init, tap = NAMESPACES["torch"], "w[(..., *((k - 1) // 2 for k in w.shape[2:]))]"
    code = f"{init}.zeros_(w)\n{init}.orthogonal_({tap}, gain={gain!r})"
    return Call("torch", "orthogonal_", code, Special(kind="delta_orthogonal", gain=gain), initializer)
