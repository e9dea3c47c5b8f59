"""True fans: over how many inputs an output of a layer sums, and how many outputs an input feeds.

What lives here reads the layers of ``torch.nn`` and counts; what is drawn with the counts is written in ``fill``.

A weight is a stack of blocks ``(fan_out, fan_in, *kernel)``, one a group, row, gate or projection, which a scheme draws
as replicas:

=====================  ==================================  ================  ================
layer                  layout in torch                     fan_in            fan_out
=====================  ==================================  ================  ================
``Linear``             ``(out, in)``                       in                out
``Conv1D`` of GPT-2    ``(in, out)``                       in                out
``Bilinear``           ``(out, in1, in2)``                 in1 · in2         out · mean in
``Conv1d`` … ``3d``    ``(out, in / groups, *kernel)``     in / groups · k   out / groups · k/s
``ConvTranspose…``     ``(in, out / groups, *kernel)``     in / groups · k/s out / groups · k
``Embedding``, its     ``(rows, dim)``                     1                 dim
``EmbeddingBag``
``RNN``, ``GRU``, ``LSTM`` and their cells
---------------------------------------------------------------------------------------------
- ``weight_ih…``       ``(gates · hidden, in)``            in                hidden
- ``weight_hh…``       ``(gates · hidden, state)``         state             hidden
- ``weight_hr…``       ``(state, hidden)``                 hidden            state
``MultiheadAttention``
---------------------------------------------------------------------------------------------
- ``in_proj_weight``   ``(3 · embed, embed)``              embed             embed
- ``q_proj_weight``    ``(embed, embed)``                  embed             embed
- ``k_proj_weight``    ``(embed, kdim)``                   kdim              embed
- ``v_proj_weight``    ``(embed, vdim)``                   vdim              embed
=====================  ==================================  ================  ================

Here k is the product of the kernel's sizes and s that of the strides. The derivation, away from the edges: an output of
a convolution sees k positions, and on each only the channels of its own group, in / groups of them. With stride s there
is one output for s inputs, and counting the pairs of an input and an output from either end, an input is seen from
k / s outputs on average. A transposed convolution is the transpose of a convolution from out to in channels, so that
its two fans change places, and so do the channels in its weight's layout: an output sums over in / groups · k / s
inputs on average. Where a stride divides its kernel every position has the average; where it does not, positions
differ, which is the checkerboard of a decoder: kernel 3 and stride 2 give outputs of 1 and of 2 inputs on each axis. A
depthwise convolution has one input channel a group: fan_in = k. Dilation changes nothing.

A lookup in an embedding is a linear layer with a one-hot input: a coordinate is the sum of one weight, and an index
feeds dim coordinates. A bag of n rows has n times the mean square of a row if it sums, and 1/n of it if it averages:
that depends on the data, so the fan is a row's. An output of ``Bilinear`` sums in1 · in2 products x1ᵢ Wᵢⱼ x2ⱼ, each of
mean square Var(W) · E x1² · E x2² if the two inputs are independent; an entry of x1 is in out · in2 products, one of x2
in out · in1, and the mean over all entries is out · 2 in1 in2 / (in1 + in2).

Gates and projections are linear layers side by side, whose matrices torch stores on top of one another: gates is 1 for
``RNN``, 3 for ``GRU`` and 4 for ``LSTM``, a packed projection holds query, key and value, and the state has proj_size
units if that is set, else hidden ones. Each matrix counts for itself, in its own equation, so that the draw does not
depend on how it is stored. Two things follow for the signals. The pre-activation of a gate is a sum over two matrices,
W_ih x + W_hh h + b, so its variance is the sum of theirs; at the first step, with h = 0, only W_ih's is there, and in a
GRU's candidate the reset gate weakens W_hh's. And the gradient that reaches x or h is the sum of what comes back
through all gates.

``torch.nn.init`` counts from the layout alone: it takes in for out where the convolution is transposed, the rows of an
embedding for its outputs, all groups, gates or projections for one in fan_out, and no stride.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from .. import _checks, schemes

__all__ = ["LAYERS", "NORMS", "Stack", "bias_names", "has_rule", "is_layer", "stack", "true_fans", "weight_names"]

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
LAYERS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Bilinear,
    _ConvNd,
    nn.Embedding,
    nn.EmbeddingBag,
    *RECURRENT,
    nn.MultiheadAttention,
)
"""Types of the layers of ``torch.nn`` whose fans are known. `is_layer` knows Hugging Face's ``Conv1D`` as well."""

NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Types of the normalization layers of ``torch.nn``."""


@dataclass(frozen=True)
class Stack:
    """A weight as `count` blocks (fan_out, fan_in, *kernel), of which each has these fans.

    A plan says what they are, if `what` does. Where `is_transposed`, the weight has a block's first two axes swapped.
    """

    block: tuple[int, ...]
    fans: tuple[float, float]
    count: int = 1
    what: str = ""
    is_transposed: bool = False


def is_layer(module: Any) -> bool:
    """Return whether this is a layer whose fans are known: one of `LAYERS`, or Hugging Face's ``Conv1D``."""
    return isinstance(module, LAYERS) or _is_conv1d(module)


def _is_conv1d(module: Any) -> bool:
    """Whether this is the linear layer of GPT-2 with its (in, out) weight; transformers is not imported to see."""
    names = ((kind.__name__, kind.__module__.partition(".")[0]) for kind in type(module).__mro__)
    return hasattr(module, "nf") and ("Conv1D", "transformers") in names


def has_rule(module: Any) -> bool:
    """Return whether `initialize_` draws this module: a layer whose weights are its own parameters.

    Examples
    --------
    >>> has_rule(nn.Linear(3, 4)), has_rule(nn.LayerNorm(4))
    (True, False)
    >>> has_rule(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)))
    False
    """
    return is_layer(module) and all(module._parameters.get(name) is not None for name in weight_names(module))


def _required(layer: Any) -> nn.Module:
    if not is_layer(layer):
        allowed = (
            "a Linear, Bilinear, Conv1d to 3d, ConvTranspose1d to 3d, Embedding, EmbeddingBag, RNN, LSTM, GRU, one of "
            "their cells, or a MultiheadAttention of torch.nn, or a Conv1D of transformers"
        )
        raise TypeError(f"layer must be {allowed}, got {type(layer).__name__}")
    return layer


def weight_names(layer: nn.Module) -> list[str]:
    """Return the names of the weights that such a layer has by its construction.

    Raises
    ------
    TypeError
        If its fans are not known; see `is_layer`.

    Examples
    --------
    >>> weight_names(nn.GRU(3, 4))
    ['weight_ih_l0', 'weight_hh_l0']
    """
    layer = _required(layer)
    if isinstance(layer, nn.MultiheadAttention):
        is_packed = layer.kdim == layer.vdim == layer.embed_dim
        return ["in_proj_weight"] if is_packed else ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
    if isinstance(layer, nn.RNNCellBase):
        return ["weight_ih", "weight_hh"]
    if isinstance(layer, nn.RNNBase):
        ends = ["", "_reverse"] if layer.bidirectional else [""]
        kinds = ["ih", "hh", "hr"] if layer.proj_size else ["ih", "hh"]
        return [f"weight_{kind}_l{depth}{end}" for depth in range(layer.num_layers) for end in ends for kind in kinds]
    return ["weight"]


def bias_names(layer: nn.Module) -> dict[str, str]:
    """Map the names of the biases that such a layer may have to "", or to the bias that has the value in its place.

    Raises
    ------
    TypeError
        If its fans are not known; see `is_layer`.

    Examples
    --------
    >>> bias_names(nn.GRU(3, 4))
    {'bias_ih_l0': '', 'bias_hh_l0': 'bias_ih_l0'}
    """
    layer = _required(layer)
    if isinstance(layer, nn.MultiheadAttention):
        return {"in_proj_bias": ""}
    if not isinstance(layer, RECURRENT):
        return {"bias": ""}
    first = [name.replace("weight", "bias") for name in weight_names(layer) if "_ih" in name]
    return dict.fromkeys(first, "") | {name.replace("_ih", "_hh"): name for name in first}


def stack(layer: nn.Module, name: str, weight: Tensor) -> Stack:
    """Cut a weight of a layer into the blocks that have fans; raise ValueError if its shape does not allow it."""
    _check_shape(layer, name, weight)
    first, second, *kernel = weight.shape
    rows = _rows(layer, name)
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
        return _stack((second, 1), first)
    if isinstance(layer, nn.Bilinear):
        block = tuple(weight.shape)
        return Stack(block, (second * kernel[0], _share(2 * math.prod(block), second + kernel[0])))
    if isinstance(layer, RECURRENT):
        gates = first // max(1, rows)
        return _stack((rows, second), gates, f"{gates} gates" if gates > 1 else "")
    if isinstance(layer, _ConvNd):
        return _convolution(layer, first // rows, second, kernel)
    if _is_conv1d(layer):
        return Stack((second, first), (first, second), is_transposed=True)
    what = "query, key and value" if name == "in_proj_weight" else ""
    return _stack((first // rows, second, *kernel), rows, what)


def _stack(block: tuple[int, ...], count: int, what: str = "") -> Stack:
    return Stack(block, _fans(block), count, what)


def _fans(block: tuple[int, ...]) -> tuple[int, int]:
    fan_out, fan_in, *kernel = block
    return fan_in * math.prod(kernel), fan_out * math.prod(kernel)


def _convolution(layer: _ConvNd, first: int, second: int, kernel: list[int]) -> Stack:
    """Return the groups of a convolution; the fan on the side with more positions is divided by the strides."""
    steps = math.prod(layer.stride)
    block = (second, first, *kernel) if layer.transposed else (first, second, *kernel)
    fan_in, fan_out = _fans(block)
    averages = (_share(fan_in, steps), fan_out) if layer.transposed else (fan_in, _share(fan_out, steps))
    return Stack(block, averages, layer.groups, is_transposed=layer.transposed)


def _share(count: int, steps: int) -> float:
    """Return a quotient, as an int if it is whole."""
    whole, rest = divmod(count, steps)
    return count / steps if rest else whole


def _rows(layer: nn.Module, name: str) -> int:
    """Return what a weight's first axis is a multiple of: its number of blocks, or if recurrent the rows of a block."""
    if isinstance(layer, _ConvNd):
        return layer.groups
    if isinstance(layer, nn.RNNBase) and "_hr" in name:
        return layer.proj_size
    if isinstance(layer, RECURRENT):
        return layer.hidden_size
    return 3 if name == "in_proj_weight" else 1


def _check_shape(layer: nn.Module, name: str, weight: Tensor) -> None:
    axes = 2 + (len(layer.kernel_size) if isinstance(layer, _ConvNd) else isinstance(layer, nn.Bilinear))
    rows = max(1, _rows(layer, name))
    if weight.dim() != axes or weight.shape[0] % rows:
        multiple = f", the first a multiple of {rows}" if rows > 1 else ""
        raise ValueError(f"{name} must have {axes} dimensions{multiple}, got shape {tuple(weight.shape)}")


def true_fans(layer: nn.Module, weight: str | None = None) -> tuple[float, float]:
    """Count the inputs that one output of a layer sums over, and the outputs that one input feeds.

    Unlike `initnotes.fans` and ``torch.nn.init``, which see only a shape, this knows of strides, groups, transposed
    convolutions and embeddings, and of gates and projections that share a weight; the module's docstring derives the
    counts.

    Parameters
    ----------
    layer : torch.nn.Module
        A ``Linear``, ``Bilinear``, ``Conv1d`` … ``3d``, ``ConvTranspose1d`` … ``3d``, ``Embedding``, ``EmbeddingBag``,
        ``RNN``, ``LSTM``, ``GRU``, a cell, ``MultiheadAttention``, or Hugging Face's ``Conv1D``.
    weight : str, optional
        Which of its weights, such as ``"weight_hh_l0"`` or ``"in_proj_weight"``. Needed where there are several.

    Returns
    -------
    fan_in, fan_out : int, or float where an average is not whole
        Away from the edges, and over all positions if a stride makes them differ. Where gates or projections share a
        weight, these are the fans of one.

    Raises
    ------
    TypeError
        If `layer` is of another kind, or `weight` not a string.
    ValueError
        If it has no weight of that name, or several and none is named; if the weight has no shape yet, or an axis of
        length 0.

    References
    ----------
    He et al. (2015), §2.2: fan_in = k²c and fan_out = k²d for k × k kernels, c input and d output channels. They do not
    count strides.

    Examples
    --------
    >>> true_fans(nn.ConvTranspose2d(16, 64, 3))
    (144, 576)
    >>> nn.init._calculate_fan_in_and_fan_out(nn.ConvTranspose2d(16, 64, 3).weight)
    (576, 144)
    >>> true_fans(nn.ConvTranspose2d(128, 64, 4, stride=2)), true_fans(nn.ConvTranspose1d(5, 4, 3, stride=2))
    ((512, 1024), (7.5, 12))
    >>> true_fans(nn.Conv2d(64, 64, 3, groups=64))
    (9, 9)
    >>> true_fans(nn.Embedding(1000, 32))
    (1, 32)
    >>> true_fans(nn.LSTM(10, 32), "weight_hh_l0")
    (32, 32)
    >>> true_fans(nn.MultiheadAttention(64, 4))
    (64, 64)
    """
    names = weight_names(layer)
    kind = type(layer).__name__
    if weight is None and len(names) > 1:
        raise ValueError(f"{kind} has several weights; say of which, weight=… one of: {', '.join(names)}")
    name = names[0] if weight is None else _checks.one_of(weight, "weight", names)
    values = getattr(layer, name)
    if is_lazy(values):
        raise ValueError(f"layer must have a shape, got a {kind} without one; run one batch through it first")
    found = stack(layer, name, values)
    schemes.fans(found.block)
    return found.fans
