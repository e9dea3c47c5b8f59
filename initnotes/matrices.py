"""Weights that are drawn as whole matrices: orthogonal ones, and convolutions that are one at their kernel's center.

What lives here is two initializers of the interface in ``initializer``; those whose entries are independent stand in
``schemes``.
"""

import math
from dataclasses import dataclass

import numpy as np

from . import _checks
from .draws import Array
from .initializer import Fans, Initializer

__all__ = ["delta_orthogonal", "orthogonal"]


@dataclass(frozen=True)
class orthogonal(Initializer):  # noqa: N801 - called like a function, printed as it is called
    """Draw `gain` times a matrix with orthonormal rows or columns, uniformly among all such matrices.

    A convolution's weights are flattened to ``(channels_out, channels_in * receptive_field)``. If that matrix W is
    wide, W Wᵀ = gain² I; if it is tall, Wᵀ W = gain² I; if it is square, both. Entries have mean 0 and standard
    deviation ``gain / sqrt(max(rows, columns))``, and depend on one another.

    Parameters
    ----------
    gain : float
        The value of all singular values, greater than 0.

    Raises
    ------
    TypeError
        If `gain` is not a real number.
    ValueError
        If it is not positive and finite.

    Notes
    -----
    The Q of a Gaussian matrix's QR decomposition is uniform (Haar) only if the diagonal of R is positive. LAPACK does
    not see to that, so the signs of the diagonal are moved into Q.

    References
    ----------
    Saxe, McClelland & Ganguli (2013), "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks"; Mezzadri (2007), "How to generate random matrices from the classical compact groups".

    Examples
    --------
    >>> W = orthogonal(gain=2.0).sample((3, 5), np.random.default_rng(0))
    >>> bool(np.allclose(W @ W.T, 4 * np.eye(3)))
    True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        """Refuse bad parameters; keep numbers as floats."""
        object.__setattr__(self, "gain", _checks.real(self.gain, "gain", low=0, strict=True))

    def _std(self, shape: tuple[int, ...], fans: Fans) -> float:
        return self.gain / math.sqrt(max(_flattened(shape)))

    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array:
        rows, columns = _flattened(shape)
        tall = rng.standard_normal((*lead, max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        q *= np.copysign(self.gain, np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]  # a sign for each column
        weights = q if rows >= columns else q.swapaxes(-2, -1)
        return np.ascontiguousarray(weights, dtype).reshape(*lead, *shape)


@dataclass(frozen=True)
class delta_orthogonal(Initializer):  # noqa: N801
    """Draw convolutions that are `gain` times a uniform orthogonal matrix at the kernel's center, and zero elsewhere.

    With stride 1, as many zeros around the image as keep its size and no fewer channels out than in, the whole layer
    then multiplies the length of every image by `gain`. With fewer channels out, the rows are orthonormal: the layer
    does that to what comes back. No position mixes with another until the zeros have been trained away.

    Parameters
    ----------
    gain : float
        The value of all singular values of the central matrix, greater than 0.

    Raises
    ------
    TypeError
        If `gain` is not a real number.
    ValueError
        If it is not positive and finite. Where a weight is drawn, if an axis of its kernel is even and has no center.

    Notes
    -----
    `std` is the root mean square over draws *and* taps. Without a kernel, ``(fan_out, fan_in)``, this is `orthogonal`.
    JAX's initializer of that name takes even kernels, of which it fills one of the middle taps, and refuses fewer
    channels out than in.

    References
    ----------
    Xiao, Bahri, Sohl-Dickstein, Schoenholz & Pennington, "Dynamical isometry and a mean field theory of CNNs", ICML
    2018.

    Examples
    --------
    >>> W = delta_orthogonal().sample((6, 4, 3, 3), np.random.default_rng(0))
    >>> center = W[:, :, 1, 1]
    >>> bool(np.allclose(center.T @ center, np.eye(4))), int(np.count_nonzero(W)) == center.size
    (True, True)
    >>> delta_orthogonal().std((6, 4, 2, 2))
    Traceback (most recent call last):
        ...
    ValueError: delta_orthogonal needs a kernel with a center, odd along each axis, got (2, 2); use orthogonal(gain)
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        """Refuse bad parameters; keep numbers as floats."""
        object.__setattr__(self, "gain", _checks.real(self.gain, "gain", low=0, strict=True))

    def _std(self, shape: tuple[int, ...], fans: Fans) -> float:
        kernel = shape[2:]
        if not all(size % 2 for size in kernel):
            raise ValueError(
                f"delta_orthogonal needs a kernel with a center, odd along each axis, got {kernel}; "
                "use orthogonal(gain)"
            )
        return self.gain / math.sqrt(max(shape[:2]) * math.prod(kernel))

    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array:
        taps = np.zeros((*lead, *shape[:2], math.prod(shape[2:])), dtype)
        taps[..., taps.shape[-1] // 2] = orthogonal(self.gain).sample(shape[:2], rng, *lead, dtype=dtype)
        return taps.reshape(*lead, *shape)


def _flattened(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], math.prod(shape[1:])
