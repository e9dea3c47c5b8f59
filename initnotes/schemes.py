"""How weights are drawn: one formula, Var(W) = scale / fan, and its many names.

What lives here knows nothing of networks, activations or torch.

A weight array has the shape ``(fan_out, fan_in, *kernel)``; a `Scheme` fills it with ``sqrt(scale / fan)`` times draws
of mean 0 and variance 1. The classical initializations differ in nothing but the scale and the fan:

==============  =========  =============  =====================================================
name            scale      fan            which second moment stays constant from layer to layer
==============  =========  =============  =====================================================
``lecun_*``     1          fan_in         the signal's, forward through linear units [1]_
``xavier_*``    1          their average  a compromise of the signal's and the gradient's [2]_
``he_*``        2          fan_in         the signal's, forward through ReLU units [3]_
==============  =========  =============  =====================================================

Beside them, under the same interface, stand `zeros`, `constant`, `small_random`, `orthogonal` and `delta_orthogonal`,
and `icnr`, which has another one draw for it.

References
----------
.. [1] LeCun, Bottou, Orr & Müller (1998), "Efficient BackProp", eq. 16.
.. [2] Glorot & Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks", eq. 16
   (their proposal, which is the uniform one) and §4.2.1 (the singular values of a layer's Jacobian under it).
.. [3] He, Zhang, Ren & Sun (2015), "Delving deep into rectifiers", eq. 10 (forward, fan_in), eq. 14 (backward,
   fan_out: either alone is enough) and eq. 15 (a leaky slope a makes the scale 2 / (1 + a²)).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from . import _checks, draws
from .draws import CUT_STD, Array, Distribution
from .initializer import Fans, Initializer, fans
from .matrices import delta_orthogonal, orthogonal
from .stacked import per_gate

__all__ = [
    "ALIASES",
    "CUT_STD",
    "NAMES",
    "Array",
    "Initializer",
    "Scheme",
    "constant",
    "delta_orthogonal",
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "icnr",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "per_gate",
    "scheme",
    "small_random",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Mode = Literal["fan_in", "fan_out", "fan_avg"]


@dataclass(frozen=True, kw_only=True)
class Scheme(Initializer):
    """Draw independent weights of mean 0 with Var(W) = scale / fan.

    Parameters
    ----------
    scale : float
        Fan times variance of an entry, greater than 0: the mean-field σ_w² where `mode` is ``"fan_in"``.
    mode : {"fan_in", "fan_out", "fan_avg"}
        The fan to divide by: ``"fan_in"`` keeps the signal, ``"fan_out"`` the gradient, ``"fan_avg"``
        (fan_in + fan_out) / 2 is the compromise.
    distribution : {"normal", "uniform", "truncated_normal"}
        The law of an entry. The truncated normal is cut at two standard deviations of the normal *before* truncation
        and then stretched, so that all three have the same variance.

    Raises
    ------
    TypeError
        If `scale` is not a real number, or `mode` or `distribution` not a string.
    ValueError
        If `scale` is not positive and finite, or a name is unknown.

    Notes
    -----
    ``he_normal`` and its kin draw from the plain normal, as He et al. and ``torch.nn.init`` do. JAX and Keras give the
    same names to the truncated normal of the same variance.

    References
    ----------
    LeCun et al. (1998), eq. 16; Glorot & Bengio (2010), eq. 16; He et al. (2015), eqs. 10, 14 and 15.

    Examples
    --------
    >>> Scheme(scale=2, mode="fan_in", distribution="normal") == he_normal
    True

    He's eq. 15 for a leaky ReLU of slope 0.1, and the default of ``torch.nn.Linear``, the bound 1 / sqrt(fan_in):

    >>> leaky = Scheme(scale=2 / (1 + 0.1**2), mode="fan_in", distribution="normal")
    >>> leaky.name
    '1.9802/fan_in normal'
    >>> torch_default = Scheme(scale=1 / 3, mode="fan_in", distribution="uniform")
    >>> round(torch_default.bound((256, 400)), 6)
    0.05
    """

    scale: float
    mode: Mode = "fan_in"
    distribution: Distribution = "normal"

    def __post_init__(self) -> None:
        """Refuse bad parameters; keep numbers as floats."""
        object.__setattr__(self, "scale", _checks.real(self.scale, "scale", low=0, strict=True))
        _checks.one_of(self.mode, "mode", get_args(Mode))
        _checks.one_of(self.distribution, "distribution", get_args(Distribution))

    @property
    def name(self) -> str:
        """The book's name if there is one, else the formula, such as ``"2/fan_out normal"``."""
        formula = f"{self.scale:g}/{self.mode} {self.distribution}"
        return next((name for name, known in _BY_NAME.items() if known == self), formula)

    def bound(self, shape: Sequence[int]) -> float:
        """Return the largest magnitude that a weight can have: infinite for the normal distribution.

        Parameters
        ----------
        shape : sequence of int
            ``(fan_out, fan_in, *kernel)``.

        Returns
        -------
        float
            ``sqrt(3)`` standard deviations if uniform, about 2.27 if truncated normal.

        Raises
        ------
        TypeError, ValueError
            If `shape` is not a weight's shape; see `fans`.

        Examples
        --------
        Glorot's eq. 16, sqrt(6) / sqrt(fan_in + fan_out):

        >>> round(xavier_uniform.bound((250, 350)), 6)
        0.1
        """
        return draws.LIMITS[self.distribution] * self.std(shape)

    def _std(self, shape: tuple[int, ...], fans: Fans) -> float:
        fan_in, fan_out = fans
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        return math.sqrt(self.scale / fan)

    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array:
        return draws.draw(self.distribution, std, rng, (*lead, *shape), dtype)


@dataclass(frozen=True)
class constant(Initializer):  # noqa: N801 - called like a function, printed as it is called
    """Set all weights to one value, so that all units of a layer stay copies of one another.

    Parameters
    ----------
    value : float
        Any finite number. The weights are not random: their `std`, taken over draws, is 0.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If it is not finite.

    Examples
    --------
    >>> constant(0.5).sample((2, 3), np.random.default_rng(0))
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    >>> constant(0.5).std((2, 3))
    0.0
    """

    value: float

    def __post_init__(self) -> None:
        """Refuse bad parameters; keep numbers as floats."""
        object.__setattr__(self, "value", _checks.real(self.value, "value"))

    @property
    def name(self) -> str:
        """``"zeros"`` if the value is 0, else ``"constant"``."""
        return "constant" if self.value else "zeros"

    def _std(self, shape: tuple[int, ...], fans: Fans) -> float:
        return 0.0

    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array:
        return np.full((*lead, *shape), self.value, dtype)


@dataclass(frozen=True)
class small_random(Initializer):  # noqa: N801
    """Draw independent normal weights of one standard deviation, whatever the fans.

    Parameters
    ----------
    sigma : float
        Standard deviation of an entry, at least 0.

    Raises
    ------
    TypeError
        If `sigma` is not a real number.
    ValueError
        If it is negative or not finite.

    Examples
    --------
    >>> small_random().std((10, 10)) == small_random().std((1000, 1000)) == 0.01
    True
    """

    sigma: float = 0.01

    def __post_init__(self) -> None:
        """Refuse bad parameters; keep numbers as floats."""
        object.__setattr__(self, "sigma", _checks.real(self.sigma, "sigma", low=0))

    def _std(self, shape: tuple[int, ...], fans: Fans) -> float:
        return self.sigma

    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array:
        return draws.draw("normal", std, rng, (*lead, *shape), dtype)


@dataclass(frozen=True)
class icnr(Initializer):  # noqa: N801
    """Draw a convolution before a pixel shuffle so that the larger image starts as a small one, each pixel repeated.

    ``PixelShuffle(r)`` makes one channel of an image r times as large of r² channels, one for each place in an r × r
    tile. Independent weights give the places of a tile different values: a checkerboard. Here all of a tile's channels
    start with the same weights, which `base` draws.

    Parameters
    ----------
    base : str or Initializer
        As `scheme` takes it.
    upscale : int
        r, at least 1.

    Raises
    ------
    TypeError, ValueError
        If `base` is not a scheme, or `upscale` not such an integer. Where a weight is drawn, if it has not the four
        axes of a convolution of images, or its channels out are no multiple of r².

    References
    ----------
    Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017.

    Examples
    --------
    >>> W = icnr("he_normal", upscale=2).sample((12, 8, 3, 3), np.random.default_rng(0))
    >>> tiles = W.reshape(3, 4, 8, 3, 3)
    >>> bool((tiles == tiles[:, :1]).all()), len(np.unique(W[:, 0, 0, 0]))
    (True, 3)
    """

    base: str | Initializer
    upscale: int = 2

    def __post_init__(self) -> None:
        """Refuse bad parameters; keep the initializer that a name stands for."""
        object.__setattr__(self, "base", scheme(self.base))
        object.__setattr__(self, "upscale", _checks.integer(self.upscale, "upscale"))

    def _once(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what is drawn, one channel for each tile."""
        tile = self.upscale**2
        if len(shape) != 4 or shape[0] % tile:
            raise ValueError(
                f"icnr with upscale {self.upscale} needs a weight (channels_out, channels_in, height, width) whose "
                f"channels_out are a multiple of {tile}, got {shape}"
            )
        return (shape[0] // tile, *shape[1:])

    def _std(self, shape: tuple[int, ...], fans: Fans) -> float:
        return scheme(self.base)._std(self._once(shape), fans)

    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array:
        drawn = scheme(self.base)._draw(self._once(shape), lead, rng, std, dtype)
        return drawn.repeat(self.upscale**2, axis=len(lead))


zeros = constant(0.0)

lecun_normal = Scheme(scale=1, mode="fan_in", distribution="normal")
lecun_uniform = Scheme(scale=1, mode="fan_in", distribution="uniform")
xavier_normal = Scheme(scale=1, mode="fan_avg", distribution="normal")
xavier_uniform = Scheme(scale=1, mode="fan_avg", distribution="uniform")
he_normal = Scheme(scale=2, mode="fan_in", distribution="normal")
he_uniform = Scheme(scale=2, mode="fan_in", distribution="uniform")

glorot_normal, glorot_uniform = xavier_normal, xavier_uniform
kaiming_normal, kaiming_uniform = he_normal, he_uniform

_BY_NAME: dict[str, Initializer] = {
    "zeros": zeros,
    "small_random": small_random(),
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "orthogonal": orthogonal(),
}
_OF_KERNELS: dict[str, Initializer] = {"delta_orthogonal": delta_orthogonal()}  # which not every shape can have

NAMES = ("zeros", "constant", *list(_BY_NAME)[1:])
"""The names for weights of any shape in the book's order. `scheme` takes each but ``"constant"``, which needs a value.
It takes ``"delta_orthogonal"`` as well, for convolutions whose kernels have a center."""

ALIASES = {
    f"{theirs}_{law}": f"{ours}_{law}"
    for theirs, ours in (("glorot", "xavier"), ("kaiming", "he"))
    for law in ("normal", "uniform")
}
ALIASES |= {f"{name}_": ALIASES.get(name, name) for name in (*NAMES, *_OF_KERNELS, *ALIASES)}
"""What other libraries call the schemes, and how torch writes what works in place, to the book's names."""


def scheme(name: str | Initializer) -> Initializer:
    """Return the initializer of that name; an `Initializer` passes through.

    Parameters
    ----------
    name : str or Initializer
        One of `NAMES` except ``"constant"``, ``"delta_orthogonal"``, or one of `ALIASES`: ``"glorot_uniform"``,
        ``"kaiming_normal_"`` and the like. ``"small_random"`` and the orthogonal ones have their default parameters.

    Returns
    -------
    Initializer

    Raises
    ------
    TypeError
        If `name` is neither a string nor an initializer.
    ValueError
        If the name is unknown, or is ``"constant"``.

    Examples
    --------
    >>> scheme("xavier_uniform")
    Scheme(scale=1.0, mode='fan_avg', distribution='uniform')
    >>> scheme("kaiming_normal_").name
    'he_normal'
    >>> scheme("he_norml")
    Traceback (most recent call last):
        ...
    ValueError: unknown scheme 'he_norml'; did you mean 'he_normal'? One of: zeros, constant, small_random, ...
    """
    if isinstance(name, Initializer):
        return name
    name = ALIASES.get(name, name) if isinstance(name, str) else name
    if _checks.one_of(name, "scheme", (*NAMES, *_OF_KERNELS), ALIASES) == "constant":
        raise ValueError("scheme 'constant' needs a value, which a name cannot carry; use ini.constant(value)")
    return (_BY_NAME | _OF_KERNELS)[name]
