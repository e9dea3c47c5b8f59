"""R networks of convolutions with a linear head, which train like any ensemble.

What lives here passes images through grouped convolutions, a group for each replica; what borders and shared kernels do
to them in theory is in ``theory.convolution``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from .. import _checks, schemes
from ..schemes import Array, Initializer
from ..theory.convolution import PADDING_MODES
from ..theory.stream import NORMS
from .ensemble import Gradients
from .residual import _Network
from .steps import Behind, normalize

__all__ = ["READOUTS", "Convolutional", "Place", "convolve"]

READOUTS = ("flat", "mean")
Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Place:
    """Where a convolution stands: the image that it reads, and how its kernel moves over it.

    The padding keeps the size at stride 1; with stride s it is divided by s and rounded up.
    """

    image: tuple[int, int, int]  # channels, height, width
    kernel: int
    stride: int
    padding_mode: str

    def makes(self, channels: int) -> tuple[int, int, int]:
        """Return the image that it makes."""
        _, height, width = self.image
        return channels, -(-height // self.stride), -(-width // self.stride)


def convolve(h: Tensor, weight: Tensor, bias: Tensor, place: Place) -> Tensor:
    """Convolve the images of each replica by its own kernels.

    Parameters
    ----------
    h : Tensor, shape (R, batch, channels · height · width)
        Flattened images.
    weight : Tensor, shape (R, channels', channels · kernel²)
    bias : Tensor, shape (R, channels')
    place : Place

    Returns
    -------
    Tensor, shape (R, batch, channels', height', width')

    Examples
    --------
    >>> import torch
    >>> place = Place((1, 2, 2), 3, 1, "zeros")
    >>> convolve(torch.ones(1, 1, 4), torch.ones(1, 1, 9), torch.zeros(1, 1), place).flatten()
    tensor([4., 4., 4., 4.])
    """
    channels, height, width = place.image
    replicas, made, _ = weight.shape
    x = h.transpose(0, 1).reshape(-1, replicas * channels, height, width)
    edge = place.kernel // 2
    if edge and place.padding_mode != "zeros":
        x, edge = functional.pad(x, (edge,) * 4, mode=place.padding_mode), 0
    kernels = weight.reshape(replicas * made, channels, place.kernel, place.kernel)
    z = functional.conv2d(x, kernels, bias.flatten(), place.stride, edge, groups=replicas)
    return z.unflatten(1, (replicas, made)).transpose(0, 1)


class Convolutional(_Network):
    """R convolutional networks: z_l = W_l ∗ h_{l-1} + b_l, h_l = φ(N(z_l)), and a linear head.

    Inputs and signals are flattened images, in torch's order of channels, rows and columns: z_l has the shape
    (R, batch, channels · height · width), to which `as_images` gives its axes back.

    Attributes
    ----------
    images : list of (channels, height, width)
        Of the input, and of what each convolution makes.
    weights : list of Tensors
        For each convolution, shape (R, channels', channels · kernel²), in torch's order; `kernels` has the axes apart.
        Then the head's.

    Parameters
    ----------
    image : (channels, height, width)
        Of the inputs.
    channels : sequence of int
        Those that each convolution makes.
    outputs : int
    activation, rng, replicas, dtype
        As for `initnotes.networks.Ensemble`.
    scheme : str or Initializer, or a sequence of them
        For the convolutions, all alike or one by one. They are drawn with their true fans: a stride divides fan_out.
    kernel : int
        Height and width, odd.
    stride : int or sequence of int
        Of all convolutions, or of each.
    padding_mode : {"zeros", "circular", "reflect", "replicate"}
        What a border of kernel // 2 positions is filled with.
    readout : {"flat", "mean"}
        What the head reads: all positions, or the mean over them of each channel.
    head : str or Initializer
    norm : {"batch", "layer", "rms"} or None
        N, in front of every φ: for each channel over batch and positions, as in BatchNorm2d, or for each image over
        channels and positions.
    bias : float, or a sequence with one for each convolution and the head
    eps : float
        Under the root of a normalization.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been drawn then.

    Examples
    --------
    >>> import torch
    >>> rng = np.random.default_rng(1)
    >>> net = Convolutional((1, 8, 8), (4, 6), 10, "relu", "he_normal", rng=rng, stride=(1, 2), replicas=3)
    >>> net
    Convolutional(1×8×8 - 4×8×8 - 6×4×4 - 10, kernel 3, relu, norm None, 3 replicas)
    >>> signals = net.forward(torch.ones(5, 64))
    >>> signals, net.as_images(signals.pre_activations[1], 2).shape
    (Signals(pre_activations 3×5×256, 3×5×96, 3×5×10), torch.Size([3, 5, 6, 4, 4]))
    """

    def __init__(
        self,
        image: Sequence[int],
        channels: Sequence[int],
        outputs: int,
        activation: Any,
        scheme: Any,
        *,
        rng: np.random.Generator,
        replicas: int = 32,
        kernel: int = 3,
        stride: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        readout: str = "flat",
        head: Any = "lecun_normal",
        norm: str | None = None,
        bias: float | Sequence[float] = 0.0,
        eps: float = 1e-5,
        dtype: Any = "float64",
    ) -> None:
        self.images = [_numbers(image, "image", 3)]
        made = _numbers(channels, "channels")
        self.kernel, strides = _odd(kernel), _spread(stride, "stride", len(made))
        self.padding_mode = _checks.one_of(padding_mode, "padding_mode", PADDING_MODES)
        self.readout = _checks.one_of(readout, "readout", READOUTS)
        self.norm = None if norm is None else _checks.one_of(norm, "norm", NORMS)
        self.eps = _checks.real(eps, "eps", low=0.0)
        self.places: list[Place] = []
        for own, step in zip(made, strides, strict=True):
            self.places.append(Place(self.images[-1], self.kernel, step, self.padding_mode))
            self.images.append(self.places[-1].makes(own))
        _check_border(self.places)
        sizes = [math.prod(size) for size in self.images]
        by_layer = [*_spread(scheme, "scheme", len(made)), schemes.scheme(head)]
        widths = (*sizes, _checks.integer(outputs, "outputs"))
        super().__init__(widths, activation, by_layer, rng=rng, replicas=replicas, bias=bias, dtype=dtype)

    @property
    def architecture(self) -> dict[str, Any]:
        """The images and the kernels' way over them, the readout, the normalization and its eps."""
        return {"places": self.places, "readout": self.readout, "norm": self.norm, "eps": self.eps}

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(channels', channels · kernel²) of each convolution, and the shape of the head's matrix."""
        convolutions = [
            (channels, place.image[0] * self.kernel**2)
            for place, (channels, _, _) in zip(self.places, self.images[1:], strict=True)
        ]
        read = self.images[-1]
        return [*convolutions, (self.widths[-1], math.prod(read) if self.readout == "flat" else read[0])]

    @property
    def kernels(self) -> list[Tensor]:
        """The weights of the convolutions, shape (R, channels', channels, kernel, kernel), as views."""
        return [
            weight.unflatten(-1, (place.image[0], self.kernel, self.kernel))
            for weight, place in zip(self.weights[:-1], self.places, strict=True)
        ]

    def as_images(self, values: Tensor, at: int) -> Tensor:
        """Return flattened images as images.

        Parameters
        ----------
        values : Tensor, shape (…, channels · height · width)
            Such as `pre_activations[at - 1]` or `activations[at]` of signals, or a gradient.
        at : int
            Which of `images` they are; 0 are the inputs.

        Returns
        -------
        Tensor, shape (…, channels, height, width)
        """
        return values.unflatten(-1, self.images[at])

    def _draw(self, layer: int, scheme: Initializer, rng: np.random.Generator) -> Array:
        if layer == len(self.places):
            return super()._draw(layer, scheme, rng)
        (fan_out, fan_in), place = self.shapes[layer], self.places[layer]
        true_fans = (fan_in, fan_out * self.kernel**2 / place.stride**2)
        shape = (fan_out, place.image[0], self.kernel, self.kernel)
        return scheme.sample(shape, rng, self.replicas, true_fans=true_fans).reshape(self.replicas, fan_out, fan_in)

    def _wire(self, h: Tensor, start: Tensor, into: Gradients) -> tuple[list[Tensor], list[Tensor]]:
        weights, biases = self.split(Behind.apply(start, self.parameters, into.parameters))
        maps: list[Map] = [
            partial(_convolution, *layer) for layer in zip(weights[:-1], biases[:-1], self.places, strict=True)
        ]
        return self.passed(h, [*maps, lambda read: read @ weights[-1].mT + biases[-1][:, None, :]], self.activation)

    def passed(self, inputs: Tensor, maps: Sequence[Map], phi: Map) -> tuple[list[Tensor], list[Tensor]]:
        """Pass flattened images through the network that these maps make.

        Parameters
        ----------
        inputs : Tensor, shape (R, batch, channels · height · width)
        maps : sequence of callable
            What each convolution makes of flattened images, shape (R, batch, channels', height', width'); then the
            head.
        phi : callable
            What follows a convolution and a normalization, on images with their axes.

        Returns
        -------
        pre_activations, read : lists of Tensor
            What the maps make, flattened, and what all but the first read.
        """
        passed: list[Tensor] = []
        read = inputs
        fed = []
        for convolution in maps[:-1]:
            passed.append(convolution(read).flatten(2))
            read = phi(self._normalized(passed[-1], len(passed))).flatten(2)
            fed.append(read)
        if self.readout == "mean":
            fed[-1] = read.unflatten(-1, (self.images[-1][0], -1)).mean(-1)
        return [*passed, maps[-1](fed[-1])], fed

    def _normalized(self, z: Tensor, at: int) -> Tensor:
        """Return N(z) of flattened images as images."""
        if self.norm != "batch":
            return self.as_images(normalize(z, self.norm, eps=self.eps), at)
        by_channel = self.as_images(z, at).movedim(2, -1)  # (R, batch, height, width, channels)
        return normalize(by_channel.flatten(1, 3), "batch", eps=self.eps).view(by_channel.shape).movedim(-1, 2)

    def __repr__(self) -> str:
        sizes = [*("×".join(map(str, image)) for image in self.images), str(self.widths[-1])]
        shown = " - ".join(sizes if len(sizes) < 7 else [*sizes[:3], f"… ({len(sizes) - 5} more)", *sizes[-2:]])
        kind = f"kernel {self.kernel}, {self.activation.name}, norm {self.norm}"
        return f"Convolutional({shown}, {kind}, {self.replicas} replicas)"


def _convolution(weight: Tensor, bias: Tensor, place: Place, h: Tensor) -> Tensor:
    return convolve(h, weight, bias, place)


def _numbers(values: Any, name: str, count: int | None = None) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a sequence of integers, got {values!r}")
    if len(values) != (count or max(1, len(values))):
        raise ValueError(f"{name} must have {count or 'at least 1'} numbers, got {tuple(values)}")
    return tuple(_checks.integer(value, name) for value in values)


def _odd(kernel: Any) -> int:
    size = _checks.integer(kernel, "kernel")
    if size % 2 == 0:
        raise ValueError(f"kernel must be odd, so that it has a center, got {size}")
    return size


def _spread(value: Any, name: str, count: int) -> list[Any]:
    """Return one value for each convolution."""
    each = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value] * count
    if len(each) != count:
        raise ValueError(f"{name} must be one for all or one for each of {count} convolutions, got {len(each)}")
    return [_checks.integer(own, name) if name == "stride" else schemes.scheme(own) for own in each]


def _check_border(places: Sequence[Place]) -> None:
    """Raise where an image is too small to be continued beyond its border."""
    for place in places:
        edge, least = place.kernel // 2, min(place.image[1:])
        limit = {"reflect": least - 1, "circular": least}.get(place.padding_mode, edge)
        if edge > limit:
            size = "×".join(map(str, place.image[1:]))
            raise ValueError(f"padding_mode {place.padding_mode!r} cannot add {edge} positions to an image of {size}")
