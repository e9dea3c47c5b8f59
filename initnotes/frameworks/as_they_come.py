"""Layers of torch, Keras and Flax as they come: the law that is said of each weight, and what its parameters hold.

What lives here knows layers; initializers by name are the registry's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _checks
from .._table import Table
from .laws import Fixed, Law, Scaled
from .libraries import LIBRARIES, array, load, new_seed, quick_compiler, seeded
from .measured import ENOUGH, summarize

__all__ = ["DEFAULTS", "NO_LAW", "default_law", "defaults", "layers_of"]

_DIMENSIONS = ("1", "2", "3")
_THIRD = Scaled(scale=1 / 3, mode="fan_in", family="uniform")
_GLOROT = Scaled(scale=1.0, mode="fan_avg", family="uniform")
_LECUN = Scaled(scale=1.0, mode="fan_in", family="truncated_normal")
DEFAULTS: dict[str, dict[str, Law]] = {
    "torch": {
        "Linear": _THIRD,
        **{f"Conv{d}d": _THIRD for d in _DIMENSIONS},
        **{f"ConvTranspose{d}d": _THIRD for d in _DIMENSIONS},
        "Embedding": Fixed(family="normal", sigma=1.0),
    },
    "keras": {
        "Dense": _GLOROT,
        **{f"Conv{d}D": _GLOROT for d in _DIMENSIONS},
        **{f"Conv{d}DTranspose": _GLOROT for d in _DIMENSIONS},
        **{f"DepthwiseConv{d}D": _GLOROT for d in _DIMENSIONS[:2]},
        "Embedding": Fixed(family="uniform", low=-0.05, high=0.05),
    },
    "jax": {
        **dict.fromkeys(("Linear", "LinearGeneral", "Conv", "ConvTranspose"), _LECUN),
        "Embed": Scaled(scale=1.0, mode="fan_out", family="normal"),
    },
    "initnotes": {},
}
"""Laws in terms of the fans that the library reads; under "jax" stand the layers of ``flax.nnx``."""

_STACK = (
    "it stacks the matrices of several gates or projections in one parameter, and a fan of the stack is none of theirs"
)
NO_LAW = {
    "torch": {
        **dict.fromkeys(("LSTM", "GRU", "RNN"), "all its parameters are uniform on ±1/√hidden_size, also those "
                        "whose fan is the number of inputs, so no fan gives the bound; write that number"),
        "MultiheadAttention": f"{_STACK}: in_proj_weight is Xavier over the stack of three, 0.707 of the std of one",
    },
    "keras": {
        **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), "it has a law per parameter: translate GlorotUniform for the "
                        "kernel and Orthogonal for the recurrent kernel; " + _STACK),
        "MultiHeadAttention": "its kernels have three dimensions, and it sets the axes that count as fans itself; "
                              "translate GlorotUniform, for each head's matrix",
    },
    "jax": {
        "LSTMCell": "it has a law per parameter: translate lecun_normal for the kernels and orthogonal for the "
                    "recurrent ones, gate by gate",
        **dict.fromkeys(("OptimizedLSTMCell", "GRUCell"), "it has a law per parameter: translate lecun_normal for the "
                        "kernels and orthogonal for the recurrent kernel; " + _STACK),
        "MultiHeadAttention": "its kernels have three dimensions, which it flattens to draw; translate lecun_normal, "
                              "for each projection's matrix",
    },
    "initnotes": {},
}  # fmt: skip


def layers_of(library: str) -> tuple[str, ...]:
    """Return the layers of a library that are known here, also those without one law."""
    return (*DEFAULTS[library], *NO_LAW[library])


def default_law(layer: str, library: str) -> Law:
    """Return the law of a layer's weight as the layer comes.

    Parameters
    ----------
    layer : str
        The class's name, such as "Linear" or "Conv2D".
    library : {"torch", "keras", "jax"}
        JAX has no layers of its own: with "jax", those of ``flax.nnx`` are meant.

    Returns
    -------
    Scaled or Fixed
        In terms of the fans that the library reads, which for transposed and depthwise convolutions are not the true
        ones.

    Raises
    ------
    TypeError, ValueError
        If there is no such layer or library, or no one law.

    Examples
    --------
    >>> print(default_law("Linear", "torch"))
    uniform, variance (1 / 3) / fan_in
    >>> print(default_law("Embedding", "keras"))
    uniform on [-0.05, 0.05]
    >>> print(default_law("Embed", "jax"))
    normal, variance 1 / fan_out
    """
    _checks.one_of(library, "library", LIBRARIES[:3])
    if layer in NO_LAW[library]:
        raise ValueError(f"{library}'s {layer} has no one law: {NO_LAW[library][layer]}")
    _checks.one_of(layer, "layer", tuple(DEFAULTS[library]))
    return DEFAULTS[library][layer]


def _torch_layers() -> dict[str, tuple[Callable[[], Any], dict[str, Callable[[Any], Any]], int]]:
    """Return per kind of layer: how to make one, its parameters, and the true fan_in."""
    from torch import nn

    weight = {"weight": lambda layer: layer.weight}
    both = weight | {"bias": lambda layer: layer.bias}
    recurrent = {
        "input weights, a gate": lambda layer: layer.weight_ih_l0[:64],
        "recurrent weights, a gate": lambda layer: layer.weight_hh_l0[:64],
        "forget bias, both added": lambda layer: (layer.bias_ih_l0 + layer.bias_hh_l0)[64:128],
    }
    attention = {
        "query": lambda layer: layer.in_proj_weight[:64],
        "output": lambda layer: layer.out_proj.weight,
        "biases": lambda layer: layer.in_proj_bias,
    }
    return {
        "Linear": (lambda: nn.Linear(256, 64), both, 256),
        "Conv2d": (lambda: nn.Conv2d(8, 64, 3), both, 72),
        "Conv2d, 8 groups": (lambda: nn.Conv2d(64, 64, 3, groups=8), weight, 72),
        "Conv2d, depthwise": (lambda: nn.Conv2d(64, 64, 3, groups=64), weight, 9),
        "ConvTranspose2d": (lambda: nn.ConvTranspose2d(8, 64, 3), both, 72),
        "Embedding": (lambda: nn.Embedding(256, 64), weight, 1),
        "LSTM": (lambda: nn.LSTM(32, 64), recurrent, 64),
        "MultiheadAttention": (lambda: nn.MultiheadAttention(64, 4), attention, 64),
        "LayerNorm": (lambda: nn.LayerNorm(64), weight, 1),
    }


def _keras_layers() -> dict[str, tuple[Callable[[], Any], dict[str, Callable[[Any], Any]], int]]:
    keras = load("keras")
    new = keras.layers

    def built(layer: Any, *shapes: tuple[int | None, ...]) -> Any:
        layer.build(*shapes)
        return layer

    image = (None, 9, 9)
    kernel = {"weight": lambda layer: layer.kernel}
    both = kernel | {"bias": lambda layer: layer.bias}
    recurrent = {
        "input weights, a gate": lambda layer: layer.cell.kernel[:, :64],
        "recurrent weights, a gate": lambda layer: layer.cell.recurrent_kernel[:, :64],
        "forget bias": lambda layer: layer.cell.bias[64:128],
    }
    attention = {
        "query": lambda layer: layer.query_dense.kernel,
        "output": lambda layer: layer.output_dense.kernel,
        "biases": lambda layer: layer.query_dense.bias,
    }
    tokens = (None, 5, 64)
    return {
        "Dense": (lambda: built(new.Dense(64), (None, 256)), both, 256),
        "Conv2D": (lambda: built(new.Conv2D(64, 3), (*image, 8)), both, 72),
        "Conv2D, 8 groups": (lambda: built(new.Conv2D(64, 3, groups=8), (*image, 64)), kernel, 72),
        "DepthwiseConv2D": (lambda: built(new.DepthwiseConv2D(3), (*image, 64)), kernel, 9),
        "Conv2DTranspose": (lambda: built(new.Conv2DTranspose(64, 3), (*image, 8)), both, 72),
        "Embedding": (lambda: built(new.Embedding(256, 64), (None,)), {"weight": lambda layer: layer.embeddings}, 1),
        "LSTM": (lambda: built(new.LSTM(64), (None, 5, 32)), recurrent, 64),
        "MultiHeadAttention": (lambda: built(new.MultiHeadAttention(4, 16), tokens, tokens), attention, 64),
        "LayerNormalization": (
            lambda: built(new.LayerNormalization(), (None, 64)),
            {"weight": lambda layer: layer.gamma},
            1,
        ),
    }


def _flax_layers() -> dict[str, tuple[Callable[[], Any], dict[str, Callable[[Any], Any]], int]]:
    nnx = load("flax.nnx")

    def new(kind: str, *sizes: Any, **more: Any) -> Callable[[], Any]:
        return lambda: getattr(nnx, kind)(*sizes, rngs=nnx.Rngs(random.getrandbits(31)), **more)

    kernel = {"weight": lambda layer: layer.kernel[...]}
    both = kernel | {"bias": lambda layer: layer.bias[...]}
    recurrent = {
        "input weights, a gate": lambda layer: layer.ii.kernel[...],
        "recurrent weights, a gate": lambda layer: layer.hi.kernel[...],
        "forget bias": lambda layer: layer.hf.bias[...],
    }
    stacked = {"recurrent weights, a gate": lambda layer: layer.dense_h.kernel[...][:, :64]}
    attention = {
        "query": lambda layer: layer.query.kernel[...],
        "output": lambda layer: layer.out.kernel[...],
        "biases": lambda layer: layer.query.bias[...],
    }
    size = (3, 3)
    return {
        "Linear": (new("Linear", 256, 64), both, 256),
        "Conv": (new("Conv", 8, 64, size), kernel, 72),
        "Conv, 8 groups": (new("Conv", 64, 64, size, feature_group_count=8), kernel, 72),
        "Conv, depthwise": (new("Conv", 64, 64, size, feature_group_count=64), kernel, 9),
        "ConvTranspose": (new("ConvTranspose", 8, 64, size), kernel, 72),
        "Embed": (new("Embed", 256, 64), {"weight": lambda layer: layer.embedding[...]}, 1),
        "LSTMCell": (new("LSTMCell", 32, 64), recurrent, 64),
        "OptimizedLSTMCell": (new("OptimizedLSTMCell", 32, 64), stacked, 64),
        "MultiHeadAttention": (new("MultiHeadAttention", 4, 64, decode=False), attention, 64),
        "LayerNorm": (new("LayerNorm", 64), {"weight": lambda layer: layer.scale[...]}, 1),
    }


def defaults(*, rng: np.random.Generator) -> Table:
    """Build layers of torch, Keras and Flax NNX as they come, and tabulate what their parameters hold.

    Parameters
    ----------
    rng : numpy.random.Generator
        Seeds the libraries for this call; their own global generators are left as they were.

    Returns
    -------
    Table
        Per parameter the measured mean, std, bound and excess kurtosis, the true fan_in, and fan_in · Var: the factor
        on the mean square that a linear layer hands on, 1 for LeCun and 2 for He.

    Raises
    ------
    ImportError
        If keras or flax is not installed; the message says how to.
    """
    _checks.generator(rng)
    rows = []
    for library, kinds in (("torch", _torch_layers()), ("keras", _keras_layers()), ("flax", _flax_layers())):
        for kind, (make, parameters, fan) in kinds.items():
            with seeded(new_seed(rng)), quick_compiler():
                rows += _default_rows(f"{library} {kind}", make, parameters, fan)
    head = ("parameter", "mean", "std", "largest / std", "excess kurtosis", "true fan_in", "fan_in · Var")
    return Table("What layers hold as they come", head, tuple(rows))


def _default_rows(
    kind: str, make: Callable[[], Any], parameters: dict[str, Callable[[Any], Any]], fan: int
) -> list[tuple[str, ...]]:
    made = [make()]
    first = next(iter(parameters.values()))(made[0])
    made += [make() for _ in range(math.ceil(ENOUGH / math.prod(first.shape)) - 1)]
    rows: list[tuple[str, ...]] = []
    for name, get in parameters.items():
        seen = summarize([array(get(layer)) for layer in made])
        is_weight = "bias" not in name and seen.std > 0
        true = 32 if "input" in name else fan
        tail = (f"{true}", f"{true * seen.std**2:.2g}") if is_weight else ("–", "–")
        shape = (f"{seen.largest:.2g}", f"{seen.kurtosis:z.1f}") if seen.std else ("–", "–")
        mean = f"{seen.mean:.0f}" if abs(seen.mean) > 0.5 else "0"
        rows.append((f"{kind}: {name}", mean, f"{seen.std:.2g}", *shape, *tail))
    return rows
