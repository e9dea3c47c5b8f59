"""Checks of what theory's functions take: numbers, arrays or tensors in, NumPy out.

What lives here raises before anything is computed; what an activation may be is for ``activations.get`` to say.
"""

from typing import Any

import numpy as np

from .. import _checks

__all__ = ["correlations", "like", "moments", "numbers", "sigmas"]


def numbers(value: Any, name: str, order: str = "") -> np.ndarray:
    """Return real numbers as a float64 array; `order` is a hint for one who passed the activation in their place."""
    given = value
    if hasattr(value, "detach"):
        given = value.detach().cpu()
        given = given.double() if given.is_floating_point() else given
    try:
        array = np.asarray(given)
        real = array.dtype.kind in "iuf"
    except ValueError:  # ragged
        real = False
    if not real:
        hint = f"; {order}" if order and (isinstance(value, str) or callable(value)) else ""
        raise TypeError(f"{name} must be a real number or an array of them, got {value!r}{hint}")
    return array.astype(np.float64)


def moments(q: Any, name: str = "q", *, order: str = "q comes first, the activation after it") -> np.ndarray:
    """Return second moments as an array, finite and at least 0."""
    array = numbers(q, name, order)
    bad = array[~(np.isfinite(array) & (array >= 0))]
    if bad.size:
        raise ValueError(f"{name} is a second moment: it must be finite and at least 0, got {bad.flat[0]:g}")
    return array


def correlations(c: Any) -> np.ndarray:
    """Return correlations as an array of numbers in [−1, 1]."""
    array = numbers(c, "c", "c and q come first, the activation after them")
    if not np.all(np.abs(array) <= 1):
        raise ValueError(f"c is a correlation: it must be in [-1, 1], got {array[~(np.abs(array) <= 1)].flat[0]:g}")
    return array


def sigmas(sigma_w: Any, sigma_b: Any) -> tuple[float, float]:
    """Return σ_w and σ_b as floats whose squares are numbers."""
    checked = _checks.real(sigma_w, "sigma_w", low=0.0), _checks.real(sigma_b, "sigma_b", low=0.0)
    for name, sigma in zip(("sigma_w", "sigma_b"), checked, strict=True):
        if sigma > 1e50:
            raise ValueError(f"{name} must be at most 1e50, so that its square is a number, got {sigma:g}")
    return checked


def like(result: np.ndarray) -> Any:
    """Return an array without axes as a float."""
    return float(result) if result.ndim == 0 else result
