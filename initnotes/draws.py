"""Draws of mean 0 and variance 1, and the arrays and tensors that they are written into.

What lives here knows the laws of single numbers, in float64 and float32; what scales them is for ``schemes``.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Distribution = Literal["normal", "uniform", "truncated_normal"]
DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)

CUT = 2.0
"""Where the truncated normal is cut, in standard deviations of the normal that is truncated."""

CUT_STD = math.sqrt(1 - 2 * CUT * math.exp(-(CUT**2) / 2) / math.sqrt(2 * math.pi) / math.erf(CUT / math.sqrt(2)))
"""What truncation leaves of a standard deviation of 1."""

LIMITS = {"normal": math.inf, "uniform": math.sqrt(3), "truncated_normal": CUT / CUT_STD}
"""The largest magnitude of a draw of variance 1."""

_PART = 2**16  # numbers at a time, which stay in the processor's cache


def draw(
    distribution: str, std: float, rng: np.random.Generator, size: tuple[int, ...], dtype: str = "float64"
) -> Array:
    """Draw independent numbers of mean 0.

    Parameters
    ----------
    distribution : {"normal", "uniform", "truncated_normal"}
    std : float
    rng : numpy.random.Generator
    size : tuple of int
    dtype : {"float64", "float32"}
        Draws in float32 are made from 32 random bits each, are different ones, and take a third of the time. Their last
        bits depend on the processor, as those of NumPy's logarithm and sine do.

    Returns
    -------
    ndarray
        C-contiguous.

    Examples
    --------
    >>> drawn = draw("uniform", 0.1, np.random.default_rng(0), (1000,), "float32")
    >>> drawn.dtype.name, bool(abs(drawn).max() <= 0.1 * LIMITS["uniform"])
    ('float32', True)
    """
    if dtype == "float64":
        drawn = _DOUBLE[distribution](rng, size)
        drawn *= std  # in place: no second array
        return drawn
    drawn = np.empty(size, np.float32)
    flat = drawn.reshape(-1)
    for start in range(0, flat.size, _PART):
        part = flat[start : start + _PART]
        bits = rng.integers(0, 2**64 - 1, size=-(-part.size // 2), dtype=np.uint64, endpoint=True).view(np.uint32)
        _SINGLE[distribution](bits, std, part)
    return drawn


def _quantiles(bits: Array) -> Array:
    """Return uniform numbers in (0, 1], each the middle of one of 2³² steps before it is rounded."""
    u = bits.astype(np.float32)
    u += 0.5
    u *= 2**-32
    return u


def _normal(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    return rng.standard_normal(size)


def _uniform(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    return rng.uniform(-LIMITS["uniform"], LIMITS["uniform"], size)


def _truncated(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    from scipy.special import ndtr, ndtri

    draws = rng.uniform(ndtr(-CUT), ndtr(CUT), size)  # quantiles, which the inverse CDF turns into draws
    ndtri(draws, out=draws)
    draws /= CUT_STD
    return draws


def _polar(bits: Array, std: float, out: Array) -> None:
    """Make pairs of normal numbers, by Box and Muller's radius and angle."""
    half = bits.size // 2
    radius, angle = _quantiles(bits[:half]), bits[half:].astype(np.float32)
    np.log(radius, out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    radius *= std
    angle *= 2 * math.pi * 2**-32
    rest = out.size - half
    np.multiply(radius, np.cos(angle), out=out[:half])
    np.multiply(radius[:rest], np.sin(angle[:rest]), out=out[half:])


def _stretched(bits: Array, std: float, out: Array) -> None:
    u = _quantiles(bits[: out.size])
    u -= 0.5
    np.multiply(u, 2 * LIMITS["uniform"] * std, out=out)


def _cut(bits: Array, std: float, out: Array) -> None:
    from scipy.special import ndtr, ndtri

    u = ndtr(-CUT) + (ndtr(CUT) - ndtr(-CUT)) * _quantiles(bits[: out.size]).astype(np.float64)
    np.multiply(ndtri(u, out=u), std / CUT_STD, out=out)


_DOUBLE: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": _normal,
    "uniform": _uniform,
    "truncated_normal": _truncated,
}
_SINGLE: dict[str, Callable[[Array, float, Array], None]] = {
    "normal": _polar,
    "uniform": _stretched,
    "truncated_normal": _cut,
}


@contextlib.contextmanager
def rewound(rng: np.random.Generator) -> Iterator[None]:
    """Put a generator back to where it was if what is done with it fails."""
    before = rng.bit_generator.state
    try:
        yield
    except BaseException:
        rng.bit_generator.state = before
        raise


def obstacle(target: Any) -> str:
    """Say why an array or tensor cannot be filled with real numbers, or "" if it can."""
    is_array = isinstance(target, np.ndarray)
    if not is_array and target.is_meta:
        return "is on the meta device and has no values"
    if not (target.dtype.kind == "f" if is_array else target.is_floating_point()):
        return f"must be of a floating-point dtype, got {target.dtype}"
    strides = target.strides if is_array else target.stride()
    if any(step == 0 and size > 1 for step, size in zip(strides, target.shape, strict=True)):
        return "has entries that share memory (an expanded tensor); clone it first"
    return "is read-only" if is_array and not target.flags.writeable else ""


def precision(target: Any) -> str:
    """Return in which dtype an array or tensor is drawn: float64 if it is at least that, else float32."""
    return "float32" if target.dtype.itemsize < 8 else "float64"


def fitting(values: Array, target: Any, name: str) -> Array:
    """Return `values`; raise ValueError if the dtype of `target` has no numbers that large."""
    allowed, flat = _largest(target), values.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        norm = float(np.dot(flat, flat)) ** 0.5
    if norm <= allowed:  # no entry is larger than their norm, which is the faster to find
        return values
    largest = max(values.max(), -values.min())
    if not largest <= allowed:
        raise ValueError(f"{name} would get the value {largest:g}, beyond the {allowed:g} of its {target.dtype}")
    return values


def _largest(target: Any) -> float:
    if isinstance(target, np.ndarray):
        return float(np.finfo(target.dtype).max)
    import torch

    return torch.finfo(target.dtype).max


def write(target: Any, values: Array) -> None:
    """Copy an array into an array or tensor of its shape, rounded to its dtype, outside of autograd."""
    if isinstance(target, np.ndarray):
        target[...] = values
        return
    import torch

    with torch.inference_mode() if target.is_inference() else torch.no_grad():
        target.copy_(torch.from_numpy(values))
