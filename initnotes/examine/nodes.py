"""What one node of autograd's graph computes: which activation it is, its φ′, and its values.

What lives here reads what a node has saved; how nodes hang together is for ``graph``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "TWO_SIDED",
    "activation",
    "flat_inputs",
    "is_norm",
    "is_scaled",
    "kind",
    "saved",
    "slopes",
    "slopes_at",
    "values",
]

ACTIVATIONS = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Gelu": "gelu",
    "Silu": "silu",
    "Elu": "elu",
    "Celu": "elu",
    "LeakyRelu": "leaky_relu",
    "PreluKernel": "leaky_relu",
    "RreluWithNoise": "leaky_relu",
    "Softplus": "softplus",
    "Mish": "mish",
    "Hardtanh": "hardtanh",
    "Hardswish": "hardswish",
    "Hardsigmoid": "hardsigmoid",
    "Threshold": "relu",
    "Clamp": "hardtanh",
    "ClampMin": "relu",
    "Erf": "erf",
    "LogSigmoid": "logsigmoid",
    "Softshrink": "softshrink",
    "Hardshrink": "hardshrink",
}
NORMS = (
    "NativeBatchNorm",
    "CudnnBatchNorm",
    "NativeLayerNorm",
    "NativeGroupNorm",
    "Rsqrt",
    "FusedRmsNorm",
    "RmsNorm",
    "_Normalize",  # of networks.normalize
)
TWO_SIDED = ("tanh", "sigmoid", "hardtanh", "hardsigmoid", "erf")  # their slope vanishes at both ends
_RISING = ("Relu", "Tanh", "Sigmoid", "Erf", "Softplus", "Hardtanh", "Clamp", "ClampMin", "Threshold")  # φ′ ≥ 0
_SELU = 1.05

_VALUES: dict[str, Callable[[Any, Tensor], Tensor]] = {  # of nodes that keep their argument and not their result
    "Gelu": lambda node, x: functional.gelu(x, approximate=node._saved_approximate),
    "Silu": lambda _, x: functional.silu(x),
    "Elu": lambda node, x: torch.ops.aten.elu(x, node._saved_alpha, node._saved_scale, node._saved_input_scale),
    "Celu": lambda node, x: functional.celu(x, node._saved_alpha),
    "LeakyRelu": lambda node, x: functional.leaky_relu(x, node._saved_negative_slope),
    "PreluKernel": lambda node, x: torch.where(x > 0, x, node._saved_weight * x),
    "RreluWithNoise": lambda node, x: x * node._saved_noise,
    "Softplus": lambda node, x: functional.softplus(x, node._saved_beta, node._saved_threshold),
    "Mish": lambda _, x: functional.mish(x),
    "Hardtanh": lambda node, x: x.clamp(node._saved_min_val, node._saved_max_val),
    "Hardswish": lambda _, x: functional.hardswish(x),
    "Hardsigmoid": lambda _, x: functional.hardsigmoid(x),
    "Threshold": lambda node, x: torch.where(x > node._saved_threshold, x, 0.0),
    "Clamp": lambda node, x: torch.clamp(x, node._saved_min, node._saved_max),
    "ClampMin": lambda node, x: x.clamp(min=node._saved_min),
    "Erf": lambda _, x: torch.erf(x),
    "LogSigmoid": lambda _, x: functional.logsigmoid(x),
    "Softshrink": lambda node, x: functional.softshrink(x, node._saved_lambd),
    "Hardshrink": lambda node, x: functional.hardshrink(x, node._saved_lambd),
}


def kind(node: Any) -> str:
    """Return a node's name without its ending: "Relu" for ReluBackward0."""
    return _before_backward(node.name())


@cache
def _before_backward(name: str) -> str:
    return name.partition("Backward")[0]


def is_norm(node: Any) -> bool:
    """Return whether a node normalizes."""
    return kind(node) in NORMS


def is_scaled(node: Any) -> bool:
    """Return whether a node multiplies by a number, or by what has no gradient."""
    return (
        node is not None
        and kind(node) in ("Mul", "Div")
        and sum(own is not None for own, _ in node.next_functions) == 1
    )


def flat_inputs(node: Any) -> tuple[int, ...]:
    """Return the numbers of the inputs that a softmax over one place does not depend on; of others, none."""
    name = kind(node)
    try:
        if name in ("Softmax", "SafeSoftmax", "LogSoftmax"):
            at = node._saved_dim - 2**64 if node._saved_dim >= 2**63 else node._saved_dim
            return (0,) if node._saved_result.dim() and node._saved_result.shape[at] == 1 else ()
        if name.startswith("ScaledDotProduct"):
            return (0, 1) if node._saved_key.shape[-2] == 1 else ()
    except (AttributeError, RuntimeError):  # another version keeps other things, or what it kept is gone
        return ()
    return ()


def activation(node: Any) -> str | None:
    """Return the name of the activation that a node computes, None for other nodes."""
    name = ACTIVATIONS.get(kind(node))
    if name == "elu" and abs(float(getattr(node, "_saved_scale", 1.0)) - _SELU) < 0.01:
        return "selu"
    if name == "hardtanh":
        low, high = _limits(node)
        if high is None:  # torch.clamp(x, min=0) is a ReLU in other words
            return "relu"
        return "relu6" if low == 0 else name
    return name


def _limits(node: Any) -> tuple[Any, Any]:
    """Return where a node clips; None where it does not."""
    ends = ("_saved_min_val", "_saved_max_val") if kind(node) == "Hardtanh" else ("_saved_min", "_saved_max")
    return tuple(getattr(node, end, None) for end in ends)  # type: ignore[return-value]


def slopes(node: Any) -> Tensor | None:
    """Return |φ′| at every number that an elementwise node of the graph computed; None if it cannot be told.

    Where its result does not tell, the node itself is asked: what it makes of a gradient of ones is φ′.
    """
    if kind(node) in _RESULTS and (result := saved(node)) is not None:
        return _RESULTS[kind(node)](result)
    meta = node._input_metadata[0]
    try:
        with torch.no_grad():
            made = node(torch.ones((), dtype=meta.dtype, device=meta.device).expand(tuple(meta.shape)))
    except RuntimeError:  # what it saved was overwritten or freed
        return None
    made = made[0] if isinstance(made, tuple) else made
    if not isinstance(made, Tensor):
        return None
    return made if kind(node) in _RISING else made.abs_()


_RESULTS: dict[str, Callable[[Tensor], Tensor]] = {  # |φ′| in terms of φ, of nodes that keep their result
    "Relu": lambda h: (h > 0).to(h),
    "Tanh": lambda h: 1 - h * h,
    "Sigmoid": lambda h: h * (1 - h),
}
_DERIVED: dict[str, Callable[[Any, Tensor], Tensor]] = {  # φ′ where torch has it as a function
    "Gelu": lambda node, x: torch.ops.aten.gelu_backward(torch.ones_like(x), x, approximate=node._saved_approximate),
    "Silu": lambda _, x: torch.ops.aten.silu_backward(torch.ones_like(x), x),
    "Hardswish": lambda _, x: torch.ops.aten.hardswish_backward(torch.ones_like(x), x),
}
_SAME = (  # what is the same function of every number, whatever its place
    "Gelu",
    "Silu",
    "Elu",
    "Celu",
    "LeakyRelu",
    "Softplus",
    "Mish",
    "Hardtanh",
    "Hardswish",
    "Hardsigmoid",
    "Erf",
    "LogSigmoid",
)


def saved(node: Any) -> Tensor | None:
    """Return the numbers from parts of which `slopes_at` can tell |φ′|; None if it cannot."""
    try:
        if kind(node) in _RESULTS:
            return node._saved_result.detach()
        known = kind(node) in _SAME and hasattr(node, "_saved_self")  # what works in place keeps its result
        return node._saved_self.detach() if known else None
    except RuntimeError:  # what it saved was overwritten or freed
        return None


def slopes_at(node: Any, part: Tensor) -> Tensor:
    """Return |φ′| at a part of what `saved` returns, of any shape."""
    if kind(node) in _RESULTS:
        return _RESULTS[kind(node)](part)
    if kind(node) in _DERIVED:
        return _DERIVED[kind(node)](node, part.detach()).abs_()
    with torch.enable_grad():
        x = part.detach().clone().requires_grad_()
        (made,) = torch.autograd.grad(_VALUES[kind(node)](node, x).sum(), x)
    return made.abs()


def values(node: Any) -> Tensor | None:
    """Return the numbers that the node of an activation computed; None if they cannot be told."""
    try:
        with torch.no_grad():
            if hasattr(node, "_saved_result"):
                return node._saved_result.detach()
            return _VALUES[kind(node)](node, node._saved_self.detach())
    except RuntimeError:
        return None
