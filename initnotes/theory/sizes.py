"""The size of signal and gradient, layer by layer, in a network whose layers may all differ.

What lives here is the one recursion that the probe, the audit, the claims and the live figure are compared with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _checks
from . import arguments, gaussian

__all__ = ["Profile", "factors", "profile"]


class Profile(NamedTuple):
    """Mean squares of a network's layers, in the order of the layers.

    Attributes
    ----------
    signal : ndarray, shape (L, ...)
        E z_l² of the pre-activations.
    gradient : ndarray, shape (L, ...)
        E (∂loss/∂z_l)².
    """

    signal: np.ndarray
    gradient: np.ndarray


def profile(
    inputs: Any,
    activation: Any,
    *,
    forward: Any,
    backward: Any = None,
    biases: Any = 0.0,
    last_gradient: Any = 1.0,
) -> Profile:
    """Return E z² and E (∂loss/∂z)² layer by layer, from the inputs up and from the last layer down.

    Parameters
    ----------
    inputs : float, array or tensor
        E h_0², the mean square of an input's entries; an array for several inputs at once.
    activation : str, Activation, module or callable
        φ behind every layer but the last.
    forward : sequence of L floats
        fan_in · Var(W) of each layer, σ_w².
    backward : sequence of L floats, optional
        fan_out · Var(W) of each layer; without it, as `forward`. That of the first layer is not used.
    biases : float or sequence of L floats
        E b² of each layer, σ_b².
    last_gradient : float, array or tensor
        E (∂loss/∂z_L)², in a shape that fits that of `inputs`; NaN where it is not known.

    Returns
    -------
    Profile
        Arrays of shape (L, *shape of inputs*).

    Raises
    ------
    TypeError, ValueError
        If the sequences differ in length, a number is negative or not finite, a size overflows, or the activation
        grows too fast or jumps.

    References
    ----------
    Poole et al., NeurIPS 2016, equation 3; Schoenholz et al., ICLR 2017, equation 15 for the gradient.

    Examples
    --------
    He's weights with ReLU: the signal keeps its size, and the gradient too.

    >>> found = profile(1.0, "relu", forward=[2.0] * 4)
    >>> found.signal.round(6), found.gradient.round(6)
    (array([2., 2., 2., 2.]), array([1., 1., 1., 1.]))
    """
    h = arguments.moments(inputs, "inputs", order="inputs come first, the activation after them")
    up = _each(forward, "forward")
    down = up if backward is None else _each(backward, "backward", len(up))
    offset = arguments.numbers(biases, "biases")
    offsets = _each(np.full(len(up), offset) if offset.ndim == 0 else offset, "biases", len(up))
    last, means = _last(last_gradient, h.shape), gaussian.of(activation)
    signal = np.empty((len(up), *h.shape))
    for layer, (scale, bias) in enumerate(zip(up, offsets, strict=True)):
        with np.errstate(over="ignore"):
            signal[layer] = scale * h + bias
        if not np.isfinite(signal[layer]).all():
            raise ValueError(f"E z² overflows in layer {layer + 1} of {len(up)}; take smaller scales or fewer layers")
        h = means.square(signal[layer], strict=True) if layer < len(up) - 1 else h
    slopes = means.slope_square(signal[:-1], strict=True)
    steps = [last, *(scale * slope for scale, slope in zip(down[:0:-1], slopes[::-1], strict=True))]
    return Profile(signal, np.multiply.accumulate(steps)[::-1])


def _each(values: Any, name: str, layers: int | None = None) -> list[float]:
    """Return one number, finite and at least 0, for each layer."""
    array = arguments.numbers(values, name)
    if array.ndim != 1 or len(array) != (layers or max(len(array), 1)):
        wanted = f"one number for each of the {layers} layers" if layers else "a sequence, one number for each layer"
        raise ValueError(f"{name} must be {wanted}, got shape {array.shape}")
    return [_checks.real(value, name, low=0.0) for value in array]


def _last(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the last layer's gradient for each input; NaN, where it is not known, goes through."""
    array = arguments.numbers(value, "last_gradient")
    if (array < 0).any() or np.isinf(array).any():
        raise ValueError("last_gradient is a mean square: it must be finite and at least 0")
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"last_gradient of shape {array.shape} does not fit inputs of shape {shape}") from None


def factors(q: Any, activation: Any, *, sigma_w: Any) -> Profile:
    """Return the factor on the mean square that one layer has where the pre-activations before it have E z² = q.

    Parameters
    ----------
    q : float, array or tensor
        E z² in front of the activation, greater than 0.
    activation : str, Activation, module or callable
    sigma_w : float, array or tensor
        √(fan_in · Var(W)) of the weights behind the activation, finite and at least 0.

    Returns
    -------
    Profile
        `signal` is σ_w² E φ²/q, the factor from this z to the next; `gradient` is σ_w² E φ′², the factor back, and on
        what differs between inputs.

    Raises
    ------
    TypeError, ValueError
        As `derivative_second_moment`; if a q is 0.

    Examples
    --------
    >>> found = factors(1.0, "relu", sigma_w=1.0)
    >>> round(float(found.signal), 6), round(float(found.gradient), 6)
    (0.5, 0.5)
    """
    q = arguments.moments(q)
    if not (q > 0).all():
        raise ValueError("q must be greater than 0, got 0; the limit is that of `chi`")
    sigma = arguments.numbers(sigma_w, "sigma_w")
    if not (np.isfinite(sigma) & (sigma >= 0)).all():
        raise ValueError("sigma_w must be finite and at least 0")
    square, means = sigma**2, gaussian.of(activation)
    return Profile(square * means.square(q, strict=True) / q, square * means.slope_square(q, strict=True))
