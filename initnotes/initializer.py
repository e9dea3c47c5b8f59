"""What every way of drawing weights can do, and the fans of a shape.

What lives here is the interface; the ways themselves stand in ``schemes``. Nothing here knows of networks or torch.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from . import _checks, draws
from .draws import Array

T = TypeVar("T")
Fans = tuple[float, float]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Count the inputs that one output sums over, and the outputs that one input feeds.

    The receptive field, the product of the kernel's sizes, multiplies both. Stride, dilation, groups and transposed
    convolutions are not visible in a shape; for those the true fans differ from these.

    Parameters
    ----------
    shape : sequence of int
        ``(fan_out, fan_in)`` of a linear layer, or ``(channels_out, channels_in, *kernel)`` of a convolution: the
        layout of ``torch.nn`` weights.

    Returns
    -------
    fan_in, fan_out : int
        Note the order, which is that of the signal.

    Raises
    ------
    TypeError
        If `shape` is not a sequence of integers.
    ValueError
        If it has fewer than two dimensions, or one of them is below 1.

    Examples
    --------
    >>> fans((256, 784))
    (784, 256)
    >>> fans((64, 3, 7, 7))
    (147, 3136)
    """
    fan_out, fan_in, *kernel = _checked(shape)
    receptive_field = math.prod(kernel)
    return fan_in * receptive_field, fan_out * receptive_field


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(shape, Sequence) or isinstance(shape, (str, bytes)):
        raise TypeError(f"shape must be a tuple of integers (fan_out, fan_in, *kernel), got {shape!r}")
    if len(shape) < 2:
        raise ValueError(
            f"shape must be (fan_out, fan_in, *kernel), got {tuple(shape)}, which has no fans; "
            "give a weight's shape, and fill a bias with a number"
        )
    return tuple(_checks.integer(dim, f"shape[{axis}]") for axis, dim in enumerate(shape))


def _known(shape: tuple[int, ...], true: Fans | None) -> Fans:
    """Return the fans that are given, or those of the shape."""
    if true is None:
        return fans(shape)
    fan_in, fan_out = true
    return _checks.real(fan_in, "fan_in", low=0, strict=True), _checks.real(fan_out, "fan_out", low=0, strict=True)


class Initializer(ABC):
    """What every way of drawing weights can do: name itself, predict its spread, draw, and fill in place.

    Initializers are immutable, compare by value and can be dictionary keys.
    """

    @property
    def name(self) -> str:
        """The book's name of the family, without parameters: the key of its color, and what `scheme` accepts."""
        return type(self).__name__

    @property
    def needs_a_matrix(self) -> bool:
        """Whether fans or axes decide what is drawn, so that a vector cannot be."""
        return True

    def std(self, shape: Sequence[int], *, true_fans: Fans | None = None) -> float:
        """Return the standard deviation of one entry over draws, in theory.

        Parameters
        ----------
        shape : sequence of int
            ``(fan_out, fan_in, *kernel)``, without an axis of replicas.
        true_fans : (fan_in, fan_out), optional
            What a `Scheme` divides by where a shape does not show it; see `initnotes.layers.true_fans`.

        Returns
        -------
        float
            In the units of a weight.

        Raises
        ------
        TypeError, ValueError
            If `shape` is not a weight's shape; see `fans`.

        Examples
        --------
        >>> from initnotes.schemes import he_normal
        >>> he_normal.std((256, 512))
        0.0625
        >>> he_normal.std((64, 128, 4, 4), true_fans=(512, 1024))  # transposed, with stride 2
        0.0625
        """
        shape = _checked(shape)
        return self._std(shape, _known(shape, true_fans))

    def sample(
        self,
        shape: Sequence[int],
        rng: np.random.Generator,
        replicas: int | None = None,
        *,
        true_fans: Fans | None = None,
        dtype: Any = "float64",
    ) -> Array:
        """Draw one array of weights, or `replicas` independent ones.

        Parameters
        ----------
        shape : sequence of int
            ``(fan_out, fan_in, *kernel)``.
        rng : numpy.random.Generator
            The only source of randomness; its state moves on. Bad arguments raise before it is touched.
        replicas : int, optional
            How many independent arrays to draw. Never counts as a fan.
        true_fans : (fan_in, fan_out), optional
            As in `std`.
        dtype : {"float64", "float32"}
            Or of torch or NumPy. Draws in float32 are not those in float64 rounded, but faster ones.

        Returns
        -------
        ndarray
            Of shape ``shape``, or ``(replicas, *shape)``; C-contiguous.

        Raises
        ------
        TypeError
            If `shape` or `replicas` is not made of integers, or `rng` is not a Generator.
        ValueError
            If `shape` has fewer than two dimensions, or one of them, or `replicas`, is below 1; if `dtype` is another.

        Examples
        --------
        >>> from initnotes.schemes import he_normal
        >>> rng = np.random.default_rng(0)
        >>> he_normal.sample((256, 512), rng).shape
        (256, 512)
        >>> he_normal.sample((64, 3, 7, 7), rng, replicas=5).shape
        (5, 64, 3, 7, 7)
        """
        shape = _checked(shape)
        lead = () if replicas is None else (_checks.integer(replicas, "replicas"),)
        std = self._std(shape, _known(shape, true_fans))
        with np.errstate(over="ignore", invalid="ignore"):
            return self._draw(shape, lead, _checks.generator(rng), std, _checks.dtype_name(dtype))

    def fill_(self, tensor: T, *, rng: np.random.Generator, true_fans: Fans | None = None) -> T:
        """Draw a weight in place.

        Parameters
        ----------
        tensor : torch.Tensor or numpy.ndarray
            Of a weight's shape ``(fan_out, fan_in, *kernel)`` and a floating-point dtype.
        rng : numpy.random.Generator
            The only source of randomness. Draws for float64 are float64, all others float32.
        true_fans : (fan_in, fan_out), optional
            As in `std`.

        Returns
        -------
        Tensor or ndarray
            The same object. Autograd does not see the change.

        Raises
        ------
        TypeError
            If `tensor` is neither, or `rng` is not a Generator.
        ValueError
            If it has no fans, is read-only, shares memory between entries or has no values; if a value is beyond its
            dtype. Whatever is raised, neither `tensor` nor `rng` has changed then.

        Examples
        --------
        >>> from initnotes.schemes import xavier_uniform
        >>> weight = np.zeros((64, 32))
        >>> xavier_uniform.fill_(weight, rng=np.random.default_rng(0)) is weight
        True
        """
        if not isinstance(tensor, np.ndarray) and not hasattr(tensor, "copy_"):
            given = type(tensor).__name__
            raise TypeError(f"tensor must be a torch.Tensor or numpy.ndarray, got {given}; draw an array with sample()")
        target: Any = tensor
        shape = _checked(tuple(target.shape))
        if why := draws.obstacle(target):
            raise ValueError(f"tensor {why}")
        with draws.rewound(_checks.generator(rng)):
            drawn = self.sample(shape, rng, true_fans=true_fans, dtype=draws.precision(target))
            draws.write(target, draws.fitting(drawn, target, "tensor"))
        return tensor

    @abstractmethod
    def _std(self, shape: tuple[int, ...], fans: Fans) -> float: ...

    @abstractmethod
    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array: ...
