"""Checks of arguments, shared by all rooms. Each raises before any state is touched.

What lives here knows nothing of initialization.
"""

import difflib
import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def generator(rng: Any) -> np.random.Generator:
    """Return `rng` if it is a ``numpy.random.Generator``; raise TypeError otherwise, and say how to get one."""
    if isinstance(rng, np.random.Generator):
        return rng
    library = type(rng).__module__.partition(".")[0]
    given = type(rng).__qualname__ if library == "builtins" else f"{library}.{type(rng).__qualname__}"
    seed = rng if type(rng) is int and rng >= 0 else "seed"
    raise TypeError(
        f"rng must be a numpy.random.Generator, got {given}; pass rng=np.random.default_rng({seed}), one for all draws"
    )


def real(value: Any, name: str, *, low: float = -math.inf, strict: bool = False, infinite: bool = False) -> float:
    """Return `value` as a float in [low, inf), or in (low, inf) if `strict`; NaN never, inf only if `infinite`."""
    if isinstance(value, (bool, np.bool_, str, bytes, complex, np.complexfloating)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} must be finite in double precision, got a larger number") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}") from None
    if math.isnan(number) or (math.isinf(number) and not infinite):
        raise ValueError(f"{name} must be finite, got {number}")
    if number < low or (strict and number == low):
        raise ValueError(f"{name} must be {'greater than' if strict else 'at least'} {low:g}, got {number:g}")
    return number


def integer(value: Any, name: str, *, low: int = 1) -> int:
    """Return `value` as an int that is at least `low`; floats and booleans are a TypeError."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < low:
        raise ValueError(f"{name} must be at least {low}, got {number}")
    return number


def array(value: Any, name: str) -> np.ndarray:
    """Return `value`, an array, a tensor on any device or a list, as an array; TypeError unless of real numbers."""
    try:
        made = np.asarray(value.numpy(force=True) if hasattr(value, "is_inference") else value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array of real numbers, got {_said(value, error)}") from None
    if made.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be an array of real numbers, got {type(value).__name__} of {made.dtype}")
    return made


def tensor(value: Any, name: str) -> Any:
    """Return `value`, a tensor, an array or a list, as a torch tensor; TypeError unless it is of real numbers."""
    import torch

    try:
        if not isinstance(value, torch.Tensor) and hasattr(value, "__array__"):
            value = np.require(value, requirements=["C", "W"])  # torch takes neither steps back nor read-only memory
        made = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be an array of real numbers, got {_said(value, error)}") from None
    if made.is_complex():
        raise TypeError(f"{name} must be an array of real numbers, got {made.dtype}")
    return made


def _said(value: Any, error: Exception) -> str:
    return f"{type(value).__name__} ({str(error).partition(chr(10))[0]})"


def dtype_name(value: Any, name: str = "dtype", allowed: Iterable[str] = ("float64", "float32")) -> str:
    """Return the name of a dtype that is given as a string, by torch or by NumPy."""
    if not isinstance(value, str):
        try:
            value = str(value) if str(value).startswith("torch.") or value is None else np.dtype(value).name
        except TypeError:
            value = repr(value)
    return one_of(value.removeprefix("torch."), name, allowed)


def dtype(value: Any, name: str = "dtype", allowed: Iterable[str] = ("float64", "float32")) -> Any:
    """Return the ``torch.dtype`` that is given as a string such as ``"float64"``, by torch or by NumPy.

    Examples
    --------
    >>> dtype("float32"), dtype(np.float64)
    (torch.float32, torch.float64)
    """
    import torch

    return getattr(torch, dtype_name(value, name, allowed))


def one_of(value: Any, name: str, allowed: Iterable[str], also: Mapping[str, str] | None = None) -> str:
    """Return `value` if it is one of the `allowed` names; otherwise raise ValueError and suggest the nearest.

    What other libraries call the names is in `also`; what is nearest to one of these suggests the name it stands for.
    """
    allowed = list(allowed)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}; one of: {', '.join(allowed)}")
    if value in allowed:
        return value
    meant = {known: known for known in allowed} | dict(also or {})
    nearest = difflib.get_close_matches(value.lower(), meant, n=1)
    hint = f"; did you mean {meant[nearest[0]]!r}?" if nearest else "."
    raise ValueError(f"unknown {name} {value!r}{hint} One of: {', '.join(allowed)}")


def floating(value: Any, name: str) -> Any:
    """Return `value` as a tensor of floating-point numbers; integers are a TypeError that says what to do."""
    made = tensor(value, name)
    if not made.is_floating_point():
        how = f"pass np.asarray({name}, dtype=float)"
        raise TypeError(f"{name} must be floating-point numbers, got {made.dtype}; {how}")
    return made
