"""What torch's layers do to the mean square of a signal, under the fans that are read from a shape and the true ones.

What lives here passes signals through layers; weights by name and their moments are for `measured`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _checks, schemes
from ..schemes import Array
from .measured import is_call
from .registry import Call

__all__ = ["FACTORS", "forward_factors", "position_factors"]


def forward_factors(
    initializer: Call | schemes.Initializer, *, rng: np.random.Generator, replicas: int = 32
) -> dict[str, Array]:
    """Measure the factor on the mean square, E z² / E x², of torch's layers, away from edges and without bias.

    Parameters
    ----------
    initializer : Call or Initializer
        For a call of torch, the fans that torch reads from a shape. For an initializer of this book, the true fans:
        per group, per projection, and with a transposed layout undone.
    rng : numpy.random.Generator
    replicas : int
        Independent draws of weights and inputs.

    Returns
    -------
    dict of ndarray
        Kind of layer to ``(replicas,)``: Linear 256 → 64, Conv2d 8 → 64 with 3 × 3 kernels, the same with 8 groups of
        64 channels, depthwise, transposed 16 → 64, and the queries of 64 units, packed with keys and values.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> seen = forward_factors(schemes.lecun_normal, rng=np.random.default_rng(0), replicas=4)
    >>> round(float(seen["transposed"].mean()), 1)
    1.0
    """
    _checks.generator(rng)
    _checks.integer(replicas, "replicas")
    if not isinstance(initializer, schemes.Initializer):
        _checks.one_of(is_call(initializer).library, "library", ("torch",))
    return {kind: np.array([_factor(kind, initializer, rng) for _ in range(replicas)]) for kind in FACTORS}


FACTORS = ("Linear", "Conv", "grouped", "depthwise", "transposed", "attention")


def _undrawn(kind: str) -> Any:
    """Return a layer of torch whose weight is still to be drawn; the global generator does not move."""
    from torch import float64, nn

    made: dict[str, tuple[Any, tuple[int, ...], dict[str, int]]] = {
        "Linear": (nn.Linear, (256, 64), {}),
        "Conv": (nn.Conv2d, (8, 64, 3), {}),
        "grouped": (nn.Conv2d, (64, 64, 3), {"groups": 8}),
        "depthwise": (nn.Conv2d, (64, 64, 3), {"groups": 64}),
        "transposed": (nn.ConvTranspose2d, (16, 64, 3), {}),
    }
    layer, sizes, more = made[kind]
    return nn.utils.skip_init(layer, *sizes, bias=False, dtype=float64, **more)


def _factor(kind: str, initializer: Call | schemes.Initializer, rng: np.random.Generator) -> float:
    import torch

    if kind == "attention":
        if isinstance(initializer, Call):
            weight = initializer.draw((192, 64), rng=rng)[0, :64]
        else:
            weight = initializer.sample((64, 64), rng)
        x = rng.standard_normal((64, 64))
        return float(((x @ weight.T) ** 2).mean())
    layer = _undrawn(kind)
    _fill(layer, initializer, rng)
    shape = (64, 256) if kind == "Linear" else (4, layer.in_channels, 12, 12)
    with torch.no_grad():
        z = layer(torch.from_numpy(rng.standard_normal(shape)))
    inside = z[..., 2:-2, 2:-2] if kind == "transposed" else z
    return float((inside**2).mean())


def _fill(layer: Any, initializer: Call | schemes.Initializer, rng: np.random.Generator) -> None:
    """Set a layer's weight by the library's fans, or by the true ones."""
    import torch

    from ..layers import initialize_

    if isinstance(initializer, schemes.Initializer):
        initialize_(layer, initializer, rng=rng)
        return
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(initializer.draw(layer.weight.shape, rng=rng)[0]))


def position_factors(weights: Any, *, stride: int, output_padding: int = 0, rng: np.random.Generator) -> Array:
    """Measure E z² / E x² of transposed convolutions by the position of an output modulo the stride.

    Parameters
    ----------
    weights : array_like, shape (replicas, in, out, k, k)
        In torch's layout of a ``ConvTranspose2d``, whose weight this is, without bias.
    stride : int
    output_padding : int
        Less than the stride. It adds outputs at the end, and none of those away from the edges changes.
    rng : numpy.random.Generator
        Draws four images of normal numbers per replica.

    Returns
    -------
    ndarray, shape (replicas, stride, stride)
        Over all outputs from which no edge is seen. The mean over positions is the layer's factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the weights are not squares of a convolution.

    Examples
    --------
    Weights of 1 count: with kernel 3 and stride 2 an output sums over 1, 2 or 4 places of each channel.

    >>> ones = np.ones((400, 1, 1, 3, 3))
    >>> position_factors(ones, stride=2, rng=np.random.default_rng(0)).mean(axis=0).round().tolist()
    [[4.0, 2.0], [2.0, 1.0]]
    """
    from torch.nn.functional import conv_transpose2d

    kernels = np.asarray(weights, dtype=np.float64)
    stride, generator = _checks.integer(stride, "stride"), _checks.generator(rng)
    if kernels.ndim != 5 or kernels.shape[3] != kernels.shape[4] or not kernels.size:
        raise ValueError(f"weights must have the shape (replicas, in, out, k, k), got {kernels.shape}")
    replicas, inputs, outputs, size, _ = kernels.shape
    first = -(-(size - 1) // stride) * stride  # the first output at a multiple of the stride that sees no edge
    across = first // stride + 4
    x = generator.standard_normal((4, replicas * inputs, across, across))
    z = conv_transpose2d(
        _tensor(x),
        _tensor(kernels.reshape(-1, *kernels.shape[2:])),
        stride=stride,
        output_padding=output_padding,
        groups=replicas,
    ).numpy()
    inside = z[..., first : (across - 1) * stride, first : (across - 1) * stride]
    count = inside.shape[-1] // stride
    periods = inside.reshape(4, replicas, outputs, count, stride, count, stride)
    return np.asarray((periods**2).mean(axis=(0, 2, 3, 5)))


def _tensor(values: Array) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))
