"""What a module is to an examiner: a layer, an activation or neither; its weight, its units, its fan.

What lives here looks at one module and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .. import activations
from ..activations import Activation
from ..layers import LAYERS, has_rule, true_fans, weight_names
from . import ensembles, moments

__all__ = [
    "check_fits",
    "count_distinct",
    "drawn_by",
    "fan_in",
    "first_tensor",
    "known_activation",
    "role",
    "saturated_gates",
    "stay_equal",
    "unit_axis",
    "units",
    "weight",
    "zero_weights",
]

_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_KNOWN = (nn.Linear, _ConvNd, nn.Embedding, nn.EmbeddingBag, nn.Bilinear, *_RECURRENT, nn.MultiheadAttention)
_NORMS = ("torch.nn.modules.normalization", "torch.nn.modules.batchnorm", "torch.nn.modules.instancenorm")
_NOT_ELEMENTWISE = (nn.Softmax, nn.Softmax2d, nn.Softmin, nn.LogSoftmax, nn.GLU)
_FAR = {"sigmoid": 4.6, "tanh": 3.0}  # |z| beyond which |φ′| < 0.01


def role(module: nn.Module) -> str:
    """Return "layer", "activation", "norm" or "other"."""
    if isinstance(module, (*_KNOWN, ensembles.Linear)):
        return "layer"
    if isinstance(module, ensembles.Phi):
        return "activation"
    rooms = _rooms(type(module).__mro__)
    if next(module.children(), None) is not None:  # a normalization may have an activation of its own
        return "other" if rooms.isdisjoint(_NORMS) else "norm"
    if "torch.nn.modules.activation" in rooms:
        return "other" if isinstance(module, _NOT_ELEMENTWISE) else "activation"
    if not rooms.isdisjoint(_NORMS):
        return "norm"
    if any(own is not None and own.dim() >= 2 for own in module._parameters.values()):
        return "layer"
    return "norm" if "norm" in type(module).__name__.lower() else "other"  # one that is no torch class


@cache
def _rooms(kinds: tuple[type, ...]) -> frozenset[str]:
    return frozenset(kind.__module__ for kind in kinds)


def known_activation(module: nn.Module) -> Activation | None:
    """Return φ of an activation module; None where it is not known."""
    if isinstance(module, ensembles.Phi):
        return module.activation
    try:
        return activations.get(module)
    except (TypeError, ValueError):
        return None


def first_tensor(values: Any) -> Tensor | None:
    """Return the first real tensor of what a module takes or returns, if it has one."""
    if isinstance(values, Tensor):
        return values if values.is_floating_point() and values.numel() else None
    if not isinstance(values, (tuple, list, Mapping)):
        return None
    for part in values.values() if isinstance(values, Mapping) else values:
        if (found := first_tensor(part)) is not None:
            return found
    return None


def unit_axis(module: nn.Module) -> int:
    """Return the axis of units of what a layer returns, counted from the end."""
    if isinstance(module, ensembles.Convolution):
        return -3
    return -1 - len(module.kernel_size) if isinstance(module, _ConvNd) else -1


def weight(module: nn.Module) -> Tensor | None:
    """Return the parameter that the weight's gradient is of; None for one that is computed from others."""
    if "weight" in module._parameters or isinstance(module, (nn.Linear, _ConvNd)):
        return module._parameters.get("weight")
    matrices = [own for own in module._parameters.values() if own is not None and own.dim() >= 2]
    return matrices[0] if matrices else None


def units(module: Any) -> tuple[Tensor, Tensor | None] | None:
    """Return incoming weights (R, n, k) and bias (R, n) of each unit; None for a layer whose units are not known."""
    if isinstance(module, ensembles.Linear):
        return module.weight.detach(), None if module.bias is None else module.bias.detach()
    if isinstance(module, nn.Embedding):
        return module.weight.detach().T[None], None
    if _is_transposed(module):
        return module.weight.detach().T[None], None if module.bias is None else module.bias.detach()[None]
    convolution = isinstance(module, _ConvNd)
    if not convolution and not isinstance(module, nn.Linear):
        return None
    own, bias = _by_unit(module) if convolution else module.weight.detach(), module.bias
    return own.flatten(1)[None], None if bias is None else bias.detach()[None]


def _is_transposed(module: nn.Module) -> bool:
    """Whether a layer is transformers' Conv1D, whose weight has the shape (in, out)."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def _by_unit(module: Any) -> Tensor:
    """Return a convolution's weights, a row for each unit; those of different groups see different inputs."""
    own, groups = module.weight.detach(), module.groups
    if module.transposed:  # (groups · in, out, *kernel), the groups' inputs one after another
        own = own.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    own = own.flatten(1)
    if groups == 1:
        return own
    group = torch.arange(groups, device=own.device).repeat_interleave(len(own) // groups)
    return torch.cat([own, group[:, None].to(own)], dim=1)


def _rows(module: Any) -> Tensor | None:
    """Return what the equality of units is judged by, shape (R, units, …): their weights; None if not known."""
    if isinstance(module, nn.RNNBase):
        return torch.cat([getattr(module, f"weight_{which}_l0").detach() for which in ("ih", "hh")], dim=1)[None]
    own = None if isinstance(module, nn.Embedding) else units(module)
    return None if own is None else own[0]


def fan_in(module: Any) -> float:
    """Return over how many products an output sums; NaN where that is not known."""
    if type(module) is nn.Linear:
        return float(module.in_features)
    if isinstance(module, (nn.Linear, _ConvNd)):
        return float(true_fans(module)[0])
    if isinstance(module, ensembles.Linear):
        return float(module.weight.shape[2])
    if isinstance(module, _RECURRENT):
        return float(module.input_size)
    return float(module.embed_dim) if isinstance(module, nn.MultiheadAttention) else math.nan


def zero_weights(module: nn.Module, size: float) -> tuple[str, ...]:
    """Return the names of the weights that are all zero, if the root mean square of the first is `size`."""
    if not isinstance(module, (*_RECURRENT, nn.MultiheadAttention)):
        return ("weight",) if size == 0 else ()
    named = {name: getattr(module, name) for name in weight_names(module)}
    return tuple(name for name, own in named.items() if isinstance(own, Tensor) and not bool(own.detach().any()))


def drawn_by(module: nn.Module) -> str:
    """Return who can draw a layer anew, as `Record.drawn_by` has it."""
    if isinstance(module, ensembles.Linear):
        return "ensemble"
    if has_rule(module):
        return "scheme"
    return "nobody" if isinstance(module, LAYERS) else "hand"


def saturated_gates(module: nn.Module, rms_x: float, rms_h: float) -> float:
    """Return the share of a recurrent layer's gates that its weights saturate, on inputs and states of such a size.

    Their sums are taken as normal. NaN for other layers.
    """
    if not isinstance(module, nn.RNNBase) or module.mode == "RNN_RELU":
        return math.nan
    limit = _FAR["tanh" if module.mode == "RNN_TANH" else "sigmoid"]
    ends = ("", "_reverse")[: 1 + module.bidirectional]
    return max(_far(module, at, end, rms_x, rms_h, limit) for at in range(module.num_layers) for end in ends)


def _far(module: Any, at: int, end: str, rms_x: float, rms_h: float, limit: float) -> float:
    """Return the share of the gates of one direction of one layer that lie beyond `limit`."""
    into, back = (getattr(module, f"weight_{which}_l{at}{end}").detach().double() for which in ("ih", "hh"))
    size = rms_h if at else rms_x
    variance = size**2 * into.square().sum(1) + rms_h**2 * back.square().sum(1)
    return float(torch.erfc(limit / (2 * variance).sqrt()).mean())


def stay_equal(module: nn.Module, gradient: Tensor | None) -> bool:
    """Whether units with equal weights have equal gradients up to rounding, in the replica that has most of them."""
    own = _rows(module)
    if own is None or gradient is None:
        return False
    gradient = gradient.T if _is_transposed(module) else gradient
    gradient = gradient[None] if len(own) == 1 and gradient.shape[0] == own.shape[1] else gradient
    if gradient.shape[:2] != own.shape[:2]:
        return False
    groups = [torch.unique(own[at], dim=0, return_inverse=True)[1] for at in range(len(own))]
    worst = min(range(len(groups)), key=lambda at: int(groups[at].max()))
    apart, group = gradient[worst].flatten(1).double(), groups[worst]
    count = torch.bincount(group).clamp(min=1)[:, None]
    means = torch.zeros(len(count), apart.shape[1], dtype=torch.float64, device=apart.device)
    means = means.index_add(0, group, apart) / count
    return float((apart - means[group]).norm()) <= 1e-4 * float(apart.norm())


def count_distinct(module: Any) -> tuple[float, int]:
    """Return how many units differ in their weights, and how many there are; inf and 0 if not known or one.

    Of several replicas, the one with the fewest counts.
    """
    if isinstance(module, nn.RNNBase):
        own = _rows(module)
        assert own is not None
        return float(len(torch.unique(own[0], dim=0))), own.shape[1]
    names = ("out_features", "out_channels", "nf")
    number = int(next((found for name in names if (found := getattr(module, name, None))), 0))
    if number < 2 or isinstance(module, nn.Embedding):
        return math.inf, 0
    rows = isinstance(module, nn.Linear) or (isinstance(module, _ConvNd) and not module.transposed)
    if rows and moments.differ(module.weight.detach().flatten(1)[:, 0]):  # the usual case, with groups or without
        return float(number), number
    of_units = units(module)
    return (math.inf, 0) if of_units is None else (float(moments.count_distinct(of_units[0]).min()), number)


def check_fits(name: str, module: Any, inputs: Any) -> None:
    """Raise, in words, if what a linear layer or a convolution gets has the wrong width or type."""
    x = first_tensor(inputs)
    width = getattr(module, "in_features", None) or getattr(module, "in_channels", None)
    if x is None or width is None:
        return
    axis = unit_axis(module)
    where = f"layer {name!r} ({type(module).__name__})"
    if x.dim() < -axis or x.shape[axis] != width:
        raise ValueError(
            f"inputs do not fit the model: {where} takes {width} features along axis {axis}, got shape "
            f"{tuple(x.shape)}; pass inputs of the width that the model was made for"
        )
    own = weight(module)
    if own is not None and own.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(f"{where} has weights of {own.dtype}, got {x.dtype}; pass inputs.to({own.dtype})")
