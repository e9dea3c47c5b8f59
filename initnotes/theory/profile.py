"""The size of signal and gradient, layer by layer, in a network whose layers may all differ.

What lives here is the one recursion that the probe, the audit, the claims and the live figure are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _checks, activations
from . import gaussian

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
    forward: Sequence[float],
    backward: Sequence[float] | None = None,
    biases: float | Sequence[float] = 0.0,
    last_gradient: Any = 1.0,
) -> Profile:
    """Return E z² and E (∂loss/∂z)² layer by layer, from the inputs up and from the last layer down.

    Parameters
    ----------
    inputs : float or array
        E h_0², the mean square of an input's entries; an array for several inputs at once.
    activation : str, Activation, module or callable
        φ behind every layer but the last.
    forward : sequence of L floats
        fan_in · Var(W) of each layer, σ_w².
    backward : sequence of L floats, optional
        fan_out · Var(W) of each layer; without it, as `forward`. That of the first layer is not used.
    biases : float or sequence of L floats
        E b² of each layer, σ_b².
    last_gradient : float or array
        E (∂loss/∂z_L)², in a shape that fits that of `inputs`.

    Returns
    -------
    Profile

    Raises
    ------
    TypeError, ValueError
        If the sequences differ in length, a number is negative or not finite, or the activation grows too fast or
        jumps.

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
    act = activations.get(activation)
    up = [_checks.real(scale, "forward", low=0.0) for scale in forward]
    down = up if backward is None else [_checks.real(scale, "backward", low=0.0) for scale in backward]
    offsets = [biases] * len(up) if np.ndim(biases) == 0 else list(biases)  # type: ignore[arg-type]
    if not up or not len(up) == len(down) == len(offsets):
        raise ValueError(
            f"forward, backward and biases need one number for each of L >= 1 layers, got {len(up)}, {len(down)} and "
            f"{len(offsets)}"
        )
    h = np.asarray(inputs, dtype=np.float64)
    signal = [up[0] * h + offsets[0]]
    for scale, offset in zip(up[1:], offsets[1:], strict=True):
        signal.append(scale * gaussian.second_moment(signal[-1], act) + offset)
    gradient = [np.broadcast_to(np.asarray(last_gradient, dtype=np.float64), h.shape)]
    for q, scale in zip(signal[-2::-1], down[:0:-1], strict=True):
        gradient.append(scale * gaussian.derivative_second_moment(q, act) * gradient[-1])
    return Profile(np.array(signal), np.array(gradient[::-1]))


def factors(q: Any, activation: Any, *, sigma_w: Any) -> Profile:
    """Return the factor on the mean square that one layer has where the pre-activations before it have E z² = q.

    Parameters
    ----------
    q : float or array
        E z² in front of the activation, greater than 0.
    activation : str, Activation, module or callable
    sigma_w : float or array
        √(fan_in · Var(W)) of the weights behind the activation.

    Returns
    -------
    Profile
        `signal` is σ_w² E φ²/q, the factor from this z to the next; `gradient` is σ_w² E φ′², the factor back, and on
        what differs between inputs.

    Raises
    ------
    TypeError, ValueError
        As `second_moment` and `derivative_second_moment`.

    Examples
    --------
    >>> found = factors(1.0, "relu", sigma_w=1.0)
    >>> round(float(found.signal), 6), round(float(found.gradient), 6)
    (0.5, 0.5)
    """
    square = np.asarray(sigma_w, dtype=np.float64) ** 2
    return Profile(
        square * gaussian.second_moment(q, activation) / q, square * gaussian.derivative_second_moment(q, activation)
    )
