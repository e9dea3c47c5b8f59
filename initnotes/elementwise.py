"""Elementwise functions: formulas of φ and φ′ in NumPy, and how functions of arrays and of tensors become one.

What lives here knows no activation by name; that is for ``activations``.
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["autograd", "central_difference", "on_both", "takes"]
__all__ += ["elu", "elu_slope", "erf", "erf_slope", "gelu", "gelu_slope", "sigmoid", "sigmoid_slope"]
__all__ += ["silu", "silu_slope"]

Function = Callable[[Any], Any]


def _is_tensor(x: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever holds a tensor has imported torch
    return torch is not None and isinstance(x, torch.Tensor)


def _floating(x: Any) -> np.ndarray:
    array = np.asarray(x)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def on_both(numpy_function: Function, torch_function: Callable[[Any, Any], Any]) -> Function:
    """Join a function of an array and a function of (torch, tensor) into one of either."""

    def function(x: Any) -> Any:
        if _is_tensor(x):
            return torch_function(sys.modules["torch"], x)
        return numpy_function(_floating(x))

    return function


def autograd(phi: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return (torch, tensor) -> φ′ by torch's own backward pass, detached; NaN where the tensor is NaN."""

    def derivative(torch: Any, x: Any) -> Any:
        with torch.inference_mode(False), torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            (slope,) = torch.autograd.grad(phi(torch, leaf).sum(), leaf)
        return torch.where(x.isnan(), x.detach(), slope)

    return derivative


def takes(function: Function, x: Any) -> bool:
    """Whether a function of this kind of array returns the same kind."""
    try:
        return isinstance(function(x), type(x))
    except Exception:  # whatever it raises, it does not take this type
        return False


def central_difference(function: Function, x: np.ndarray) -> np.ndarray:
    """Return φ′ of a function with a scale of order 1: the step balances truncation h² and rounding eps/h."""
    wide = x.astype(np.float64)
    step = np.cbrt(np.finfo(np.float64).eps) * np.maximum(1.0, np.abs(wide))
    above, below = wide + step, wide - step
    return ((function(above) - function(below)) / (above - below)).astype(x.dtype)  # the step as it was rounded


# No branch of a formula overflows and every NaN survives: np.maximum and np.clip carry it, comparisons do not.


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1/(1 + e⁻ˣ)."""
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, x.dtype.type(1), decay) / (1 + decay)


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """Return the slope of `sigmoid`."""
    decay = np.exp(-np.abs(x))
    return decay / (1 + decay) ** 2


def silu(x: np.ndarray) -> np.ndarray:
    """Return x/(1 + e⁻ˣ)."""
    return np.maximum(x, -800) * sigmoid(x)  # the bound keeps -inf * 0 away


def silu_slope(x: np.ndarray) -> np.ndarray:
    """Return the slope of `silu`."""
    return sigmoid(x) * (1 + np.clip(x, -800, 800) * sigmoid(-x))


def erf(x: np.ndarray) -> np.ndarray:
    """Return the error function."""
    from scipy import special

    return special.erf(x)


def erf_slope(x: np.ndarray) -> np.ndarray:
    """Return the slope of `erf`."""
    return 2 / math.sqrt(math.pi) * np.exp(-(np.clip(x, -40, 40) ** 2))  # 40: exp(-40²) is 0 already


def gelu(x: np.ndarray) -> np.ndarray:
    """Return x Φ(x), Φ the normal distribution function."""
    from scipy.special import ndtr

    return np.maximum(x, -40) * ndtr(x)


def gelu_slope(x: np.ndarray) -> np.ndarray:
    """Return the slope of `gelu`."""
    from scipy.special import ndtr

    near = np.clip(x, -40, 40)
    return ndtr(x) + near * np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi)


def elu(x: np.ndarray, alpha: float) -> np.ndarray:
    """Return x for x > 0 and alpha·(eˣ − 1) otherwise."""
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))


def elu_slope(x: np.ndarray, alpha: float) -> np.ndarray:
    """Return the slope of `elu`."""
    return np.where(x > 0, x.dtype.type(1), alpha * np.exp(np.minimum(x, 0)))
