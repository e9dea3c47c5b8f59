"""What shared weights and the borders of images do to second moments: padding, strides, phases, one kernel everywhere.

What lives here predicts; a network of convolutions is drawn in ``networks``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _checks
from . import arguments, gaussian
from .correlation import _kernel

__all__ = [
    "PADDING_MODES",
    "border_factor",
    "border_profile",
    "border_shares",
    "image_map",
    "phase_fans",
    "sharing_kurtosis",
    "tap_shares",
]

PADDING_MODES = ("zeros", "circular", "reflect", "replicate")


def tap_shares(
    size: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    padding: int | None = None,
    dilation: int = 1,
    padding_mode: str = "zeros",
) -> np.ndarray:
    """Return the matrix A that averages second moments over the taps of a kernel, along one axis of an image.

    An output position sums over its taps with independent weights of one variance, so its second moment is that of the
    positions that the taps see, weighted by 1/kernel each. A tap in zero padding sees nothing: rows near a border add
    up to less than 1. Along two axes, q' = A q Aᵀ.

    Parameters
    ----------
    size, kernel, stride, dilation : int
    padding : int, optional
        Positions added at either end; without it, as many as keep the size at stride 1.
    padding_mode : {"zeros", "circular", "reflect", "replicate"}
        What is added, as ``torch.nn.Conv2d`` has it.

    Returns
    -------
    ndarray, shape (outputs, size)

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, no padding keeps the size (an even kernel), or the kernel is larger than the image.

    Examples
    --------
    >>> 3 * tap_shares(4)
    array([[1., 1., 0., 0.],
           [1., 1., 1., 0.],
           [0., 1., 1., 1.],
           [0., 0., 1., 1.]])
    >>> 3 * tap_shares(4, stride=2, padding_mode="replicate")
    array([[2., 1., 0., 0.],
           [0., 1., 1., 1.]])
    """
    sizes = {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}
    n, k, step, spread = (_checks.integer(value, name) for name, value in sizes.items())
    mode = _checks.one_of(padding_mode, "padding_mode", PADDING_MODES)
    reach = spread * (k - 1)
    if padding is None and reach % 2:
        raise ValueError(f"a kernel of {k} with dilation {spread} has no padding that keeps the size; give padding=")
    p = reach // 2 if padding is None else _checks.integer(padding, "padding", low=0)
    limit = {"reflect": n - 1, "circular": n}.get(mode, p)
    if p > limit:
        raise ValueError(f"padding must be at most {limit} for {mode!r} and size {n}, got {p}")
    if n + 2 * p <= reach:
        raise ValueError(f"the kernel reaches over {reach + 1} positions, and the padded image has {n + 2 * p}")
    outputs = (n + 2 * p - reach - 1) // step + 1
    seen = step * np.arange(outputs)[:, None] + spread * np.arange(k) - p  # (outputs, taps)
    if mode == "circular":
        seen = seen % n
    elif mode == "replicate":
        seen = seen.clip(0, n - 1)
    elif mode == "reflect":
        seen = n - 1 - np.abs(n - 1 - np.abs(seen))
    return np.asarray((seen[..., None] == np.arange(n)).sum(1) / k)


def border_factor(size: Any, kernel: Any = 3, *, dilation: Any = 1, padding_mode: str = "zeros") -> float:
    """Return λ, what one deep layer leaves of the mean square where the rule of its fans says that all is kept.

    Second moments obey q' = A q Aᵀ; λ is the largest eigenvalue of this map, with stride 1 and a padding that keeps the
    size. For zeros and a kernel of 3 it is ((1 + 2 cos(π/(N + 1)))/3)² on N × N positions. It holds for the signal of
    convolutions with He's weights and ReLU, whatever the number of channels, and going back for the gradient.

    Parameters
    ----------
    size : int or sequence of int
        An image's height and width, or as many axes as there are; one number for a square image.
    kernel, dilation : int or sequence of int
    padding_mode : {"zeros", "circular", "reflect", "replicate"}
        All but zeros give 1.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As `tap_shares`.

    References
    ----------
    The factor is derived in the book. A without borders: Xiao et al., "Dynamical isometry and a mean field theory of
    CNNs", ICML 2018, whose padding is circular.

    Examples
    --------
    >>> round(border_factor(8), 3), round(border_factor(32), 3), border_factor(8, padding_mode="circular")
    (0.921, 0.994, 1.0)
    """
    axes = _axes(size, kernel=kernel, dilation=dilation)
    return math.prod(_leading(tap_shares(padding_mode=padding_mode, **axis))[0] for axis in axes)


def border_profile(size: Any, kernel: Any = 3, *, dilation: Any = 1, padding_mode: str = "zeros") -> np.ndarray:
    """Return how the mean square lies over the positions of an image deep in a network, with mean 1.

    Parameters
    ----------
    size, kernel, dilation, padding_mode
        As for `border_factor`, to whose eigenvalue this is the eigenvector.

    Returns
    -------
    ndarray, of the shape of the image
        sin(π i/(N + 1)) along each axis for zeros and a kernel of 3.

    Examples
    --------
    >>> border_profile(3).round(2)
    array([[0.77, 1.09, 0.77],
           [1.09, 1.54, 1.09],
           [0.77, 1.09, 0.77]])
    """
    profile = np.ones(())
    for axis in _axes(size, kernel=kernel, dilation=dilation):
        profile = np.multiply.outer(profile, _leading(tap_shares(padding_mode=padding_mode, **axis))[1])
    return np.asarray(profile / profile.mean())


def border_shares(
    size: Any, depth: int, kernel: Any = 3, *, dilation: Any = 1, padding_mode: str = "zeros"
) -> np.ndarray:
    """Return what is left of an image's mean square after each of `depth` layers, if it was the same everywhere.

    At first the border alone has lost something: with p zeros at either end and a kernel of k = 2p + 1 the first layer
    keeps 1 − p(p + 1)/(kN) along each axis. The factors of later layers come closer to the λ of `border_factor`.

    Parameters
    ----------
    size, kernel, dilation, padding_mode
        As for `border_factor`.
    depth : int

    Returns
    -------
    ndarray, shape (depth,)

    Examples
    --------
    >>> left = border_shares(8, 100)
    >>> left[:2].round(3), round(float(left[-1] / border_factor(8) ** 100), 2)
    (array([0.84 , 0.742]), 0.8)
    """
    depth = _checks.integer(depth, "depth")
    left = np.ones(depth)
    for axis in _axes(size, kernel=kernel, dilation=dilation):
        shares = tap_shares(padding_mode=padding_mode, **axis)
        q = np.ones(axis["size"])
        for layer in range(depth):
            q = shares @ q
            left[layer] *= q.mean()
    return left


def image_map(
    q: Any,
    activation: Any,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    kernel: Any = 3,
    stride: Any = 1,
    padding: Any = None,
    dilation: Any = 1,
    padding_mode: str = "zeros",
) -> np.ndarray:
    """Return the second moments at all positions of a convolution's image from those of the layer below.

    q' = σ_w² A E φ² Aᵀ + σ_b², where `tap_shares` is A along an axis and E φ² is taken position by position.

    Parameters
    ----------
    q : array or tensor, shape (…, height, width)
        Second moments of the pre-activations below, over channels.
    activation : str, Activation, module or callable
        φ between the two, as for `variance_map`; "linear" in front of the first layer.
    sigma_w, sigma_b : float
        As in `variance_map`: σ_w² is fan_in · Var(W), with channels · kernel as the fan.
    kernel, stride, padding, dilation : int or sequence of int
        As for `tap_shares`. A sequence has a number for each of the last axes of `q`, one number is for two axes.
    padding_mode : {"zeros", "circular", "reflect", "replicate"}

    Returns
    -------
    ndarray, shape (…, height', width')
        Exact at any width for ReLU and linear units without biases, and for wide layers otherwise.

    Raises
    ------
    TypeError, ValueError
        As `tap_shares` and `variance_map`; if `q` has too few axes.

    Examples
    --------
    >>> image_map(np.ones((4, 4)), "relu", sigma_w=2**0.5, stride=2).round(3)
    array([[0.444, 0.667],
           [0.667, 1.   ]])
    """
    moments = arguments.moments(q)
    sigma_w, sigma_b = arguments.sigmas(sigma_w, sigma_b)
    given = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    count = max((len(value) for value in given.values() if isinstance(value, Sequence)), default=2)
    if moments.ndim < count:
        raise ValueError(f"q must have an entry for each position of {count} axes, got shape {moments.shape}")
    made = gaussian.of(activation).square(moments, strict=True)
    for at, axis in enumerate(_axes(moments.shape[moments.ndim - count :], **given), start=-count):
        shares = tap_shares(padding_mode=padding_mode, **axis)
        made = np.moveaxis(np.moveaxis(made, at, -1) @ shares.T, -1, at)
    return np.asarray(sigma_w**2 * made + sigma_b**2)


def phase_fans(kernel: Any, stride: Any, *, padding: Any = 0, channels: int = 1) -> np.ndarray:
    """Return over how many inputs the outputs of a transposed convolution sum, phase by phase.

    Output position o of a transposed convolution is reached by the taps t with t ≡ o + padding modulo the stride. Where
    the stride does not divide the kernel, phases have ⌈kernel/stride⌉ or ⌊kernel/stride⌋ taps along each axis, and
    outputs variances in these proportions: the checkerboard of a decoder. The mean over the phases is fan_in.

    Parameters
    ----------
    kernel, stride : int or sequence of int
        One number is for two axes.
    padding : int or sequence of int
        Shifts the phases.
    channels : int
        Inputs at each position, those of one group.

    Returns
    -------
    ndarray of int, of the shape of the strides
        Entry r is that of output positions o ≡ r modulo the stride, away from the edges.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, or the axes do not fit.

    References
    ----------
    Odena, Dumoulin & Olah, "Deconvolution and checkerboard artifacts", Distill 2016.

    Examples
    --------
    >>> phase_fans(3, 2), phase_fans(4, 2, channels=5)[0]
    (array([[4, 2],
           [2, 1]]), array([20, 20]))
    """
    fans = np.array(_checks.integer(channels, "channels"))
    for axis in _axes(kernel if isinstance(kernel, Sequence) else (kernel, kernel), stride=stride, padding=padding):
        step, shift = _checks.integer(axis["stride"], "stride"), _checks.integer(axis["padding"], "padding", low=0)
        taps = np.arange(_checks.integer(axis["size"], "kernel"))
        fans = np.multiply.outer(fans, np.bincount((taps - shift) % step, minlength=step))
    return fans


def sharing_kurtosis(c: Any, q: float, activation: Any) -> Any:
    """Return κ, the covariance of φ(u)² and φ(v)² at two positions of an image, in units of (E φ²)².

    A convolution's channel has one kernel for all positions, so what it makes of them fluctuates together. Over draws
    of the weights, the mean square K over the positions of C channels has Var(K)/K² = ⟨κ⟩/C, the mean over all pairs
    of positions with the correlation c of their pre-activations, that of the two patches that they see. A fully
    connected layer of as many units would have κ(1) over C times the number of positions.

    Parameters
    ----------
    c : float, array or tensor
        Correlation of u and v, in [−1, 1].
    q : float or tensor
        Second moment of both, finite and greater than 0.
    activation : str, Activation, module or callable
        Whatever ``activations.get`` takes.

    Returns
    -------
    float or ndarray
        E φ(u)² φ(v)²/(E φ²)² − 1, in the shape of `c`: 0 at c = 0, 5 for ReLU at c = 1, 2c² for linear units.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range; if φ is 0 everywhere.

    References
    ----------
    For ReLU this is the arc-cosine kernel of order 2: Cho & Saul, "Kernel methods for deep learning", NeurIPS 2009.

    Examples
    --------
    >>> sharing_kurtosis([0.0, 0.5, 1.0], 1.0, "relu").round(3) + 0.0
    array([0.   , 1.827, 5.   ])
    """
    c, means = arguments.correlations(c), gaussian.of(activation)
    q = _checks.real(q, "q", low=0.0, strict=True)
    act = means.act
    own = replace(
        act,
        name=f"the square of {act.name}",
        phi=lambda x: act(x) ** 2,
        derivative=lambda x: 2 * act(x) * act.derivative(x),
        fused=None,
        source=None,
    )
    size = float(means.square(q, strict=True))
    if size == 0:
        raise ValueError(f"E φ² of {act.name} is 0 at q = {q:g}, so nothing can be compared with it")
    return arguments.like(_kernel(gaussian.Means(own), q).at(c) / size**2 - 1)


def _leading(shares: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the largest eigenvalue of A, and what the powers of A make of a constant, up to its size."""
    if np.allclose(shares.sum(1), 1):
        return 1.0, np.ones(len(shares))
    values, vectors = np.linalg.eigh(shares)  # zeros at both ends: A is symmetric
    leading = vectors[:, values > values[-1] - 1e-9]  # several where dilation parts the positions
    return float(values[-1]), leading @ leading.sum(0)


def _axes(size: Any, **options: Any) -> list[dict[str, Any]]:
    """Return the arguments for each axis: one size is for two axes, and one number of an option is for all."""
    sizes = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    spread = {}
    for name, value in options.items():
        spread[name] = (
            tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value] * len(sizes)
        )
        if len(spread[name]) != len(sizes):
            raise ValueError(f"{name} must be one number or {len(sizes)}, one for each axis, got {value}")
    return [{"size": own, **{name: spread[name][at] for name in spread}} for at, own in enumerate(sizes)]
