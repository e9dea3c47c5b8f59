"""Floor 2: the laws behind the names of torch, Keras and JAX, and one library's call in another's terms.

Nothing here draws or needs one of these libraries: `frameworks` holds what is said here against what they draw.

A registry has an entry per name, with its arguments and its law. A *law* is how one weight is distributed, given the
fans that the library reads from a shape:

=========================  ==================================  ==================================
library                    layout of a kernel                  (fan_in, fan_out) that it reads
=========================  ==================================  ==================================
torch, initnotes           (out, in, *kernel)                  shape[1] · k, shape[0] · k
keras, jax                 (*kernel, in, out)                  shape[-2] · k, shape[-1] · k
=========================  ==================================  ==================================

with k the product of the kernel's sizes.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .. import _checks, schemes
from ..schemes import Array

__all__ = ["ENTRIES", "LIBRARIES", "Constant", "Entry", "Fixed", "Law", "Scaled", "Special", "Translation"]
__all__ += ["call", "default_law", "law", "names", "translate"]

LIBRARIES = ("torch", "keras", "jax", "initnotes")
CUT = 2.0
KEPT = schemes.CUT_STD  # what a cut at two standard deviations leaves of std 1
FAR = 8.3  # standard deviations: what lies beyond has a probability below 1e-16, less than float64 can see

# ------------------------------------------------------------------------------------------------------------ the laws


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """Var(W) = scale / fan, with the fan that the library reads from the shape.

    Attributes
    ----------
    scale : float
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        The last is JAX's alone: the square root of their product.
    family : {"normal", "uniform", "truncated_normal"}
        The truncated normal is cut at two standard deviations and rescaled, so that the variance is as said.
    """

    scale: float
    mode: str = "fan_in"
    family: str = "normal"

    def fan(self, fan_in: float, fan_out: float) -> float:
        """Return what the variance is divided by."""
        means = {"fan_avg": (fan_in + fan_out) / 2, "fan_geo_avg": math.sqrt(fan_in * fan_out)}
        return {"fan_in": fan_in, "fan_out": fan_out, **means}[self.mode]

    def fixed(self, fan_in: float, fan_out: float) -> Fixed:
        """Return the law of one weight for these fans, in numbers."""
        std = math.sqrt(self.scale / self.fan(fan_in, fan_out))
        if self.family == "uniform":
            return Fixed(family="uniform", low=-math.sqrt(3) * std, high=math.sqrt(3) * std)
        if self.family == "normal":
            return Fixed(family="normal", sigma=std)
        return Fixed(family="truncated_normal", sigma=std / KEPT, low=-CUT * std / KEPT, high=CUT * std / KEPT)

    def __str__(self) -> str:
        cut = ", rescaled" if self.family == "truncated_normal" else ""
        scale = _number(self.scale)
        return f"{_words(self.family)}{cut}, variance {f'({scale})' if '/' in scale else scale} / {self.mode}"


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """One distribution for every shape: normal, uniform, or a normal that is cut at absolute limits.

    Attributes
    ----------
    family : {"normal", "uniform", "truncated_normal"}
    mean, sigma : float
        Of the normal *before* it is cut; they mean nothing for the uniform one.
    low, high : float
        Limits, in the units of a weight; infinite for the normal one.
    """

    family: str
    mean: float = 0.0
    sigma: float = 1.0
    low: float = -math.inf
    high: float = math.inf

    def fixed(self, fan_in: float, fan_out: float) -> Fixed:
        """Return itself: the fans do not matter."""
        return self

    def moments(self) -> tuple[float, float]:
        """Return mean and standard deviation of a weight."""
        if self.family == "uniform":
            return (self.low + self.high) / 2, (self.high - self.low) / math.sqrt(12)
        from scipy.stats import truncnorm

        a, b = ((end - self.mean) / self.sigma for end in (self.low, self.high))
        mean, variance = truncnorm.stats(a, b, moments="mv")
        return self.mean + self.sigma * float(mean), self.sigma * math.sqrt(float(variance))

    def cdf(self, x: Any) -> Array:
        """Return the probability of a weight at most `x`."""
        from scipy.stats import truncnorm, uniform

        if self.family == "uniform":
            return np.asarray(uniform.cdf(x, self.low, self.high - self.low))
        a, b = ((end - self.mean) / self.sigma for end in (self.low, self.high))
        return np.asarray(truncnorm.cdf(x, a, b, self.mean, self.sigma))

    @property
    def cuts(self) -> tuple[float, float]:
        """The limits in standard deviations of the normal from its mean."""
        return (self.low - self.mean) / self.sigma, (self.high - self.mean) / self.sigma

    def __str__(self) -> str:
        if self.family == "uniform":
            return f"uniform on [{self.low:.4g}, {self.high:.4g}]"
        text = f"{_words(self.family)}, mean {self.mean:g}, std {self.sigma:.4g}"
        if self.family == "normal":
            return text
        low, high = self.cuts
        cut = f"±{high:.4g}" if math.isclose(-low, high) else f"{low:.4g} and {high:.4g}"
        return f"{text} before the cut at {cut} std, not rescaled"


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Every weight has one value."""

    value: float

    def __str__(self) -> str:
        return f"every weight {self.value:g}"


@dataclass(frozen=True, kw_only=True)
class Special:
    """A law of whole matrices: what kind, and its gain.

    Attributes
    ----------
    kind : {"orthogonal", "delta_orthogonal", "identity", "dirac", "sparse", "stft"}
    gain : float
    """

    kind: str
    gain: float = 1.0

    def __str__(self) -> str:
        return f"{self.kind.replace('_', '-')}, gain {self.gain:g}"


Law = Scaled | Fixed | Constant | Special


def _words(family: str) -> str:
    return family.replace("_", " ")


def _number(x: float) -> str:
    """Write a number as code, as a fraction where it is one with small terms."""
    near = Fraction(x).limit_denominator(99)
    if near.denominator > 1 and math.isclose(near, x, rel_tol=1e-14):
        return f"{near.numerator} / {near.denominator}"
    return str(int(x)) if x == int(x) and abs(x) < 1e15 else repr(float(x))


def _root(square: float) -> str:
    """Write the square root of a number as code."""
    if math.sqrt(square) == int(math.sqrt(square)):
        return str(int(math.sqrt(square)))
    text = _number(square)
    return f"({text}) ** 0.5" if "/" in text else f"{text} ** 0.5"


# -------------------------------------------------------------------------------------------------------- the registry


@dataclass(frozen=True)
class Entry:
    """One name of one library: its arguments, the law behind them, and where its randomness comes from.

    Attributes
    ----------
    library, name : str
    arguments : dict
        With the library's defaults; `...` where there is none.
    law : callable
        Arguments to `Law`; raises ValueError where the library would.
    source : str
        "generator", "seed", "key", or "" where nothing is drawn.
    aliases : tuple of str
    """

    library: str
    name: str
    arguments: dict[str, Any]
    law: Callable[..., Law]
    source: str = ""
    aliases: tuple[str, ...] = ()

    def says(self, arguments: dict[str, Any]) -> Law:
        """Return the law for these arguments, with the library's defaults for the others."""
        for key in arguments:
            if key not in self.arguments:
                known = ", ".join(self.arguments) or "none"
                raise TypeError(f"{self.library}'s {self.name} has no argument {key!r} here; it has: {known}")
        for key, value in arguments.items():
            if key in _NUMBERS and value is not ...:
                _checks.real(value, key, low=_NUMBERS[key])
        return _settled(self.law(**{**self.arguments, **arguments}), f"{self.library}'s {self.name}")

    def code(self, arguments: dict[str, Any]) -> str:
        """Return a call as this library wants it; `w` is the tensor to fill."""
        said = [f"{key}={value!r}" for key, value in arguments.items()]
        if self.library == "torch":
            return f"torch.nn.init.{self.name}({', '.join(['w', *said])})"
        if self.library == "keras":
            return f"keras.initializers.{self.name}({', '.join(said)})"
        if self.library == "initnotes":
            return f"ini.{self.name}({', '.join(said)})" if self.arguments else f"ini.{self.name}"
        if not self.arguments:  # zeros and ones are initializers, not functions that make one
            return f"jax.nn.initializers.{self.name}"
        return f"jax.nn.initializers.{self.name}({', '.join(said)})"


_NUMBERS = {  # arguments that are real numbers, and the least that each may be
    **dict.fromkeys(
        ("a", "b", "mean", "gain", "scale", "minval", "maxval", "lower", "upper", "val", "value"), -math.inf
    ),
    **dict.fromkeys(("std", "stddev", "sigma", "sparsity"), 0.0),
}


def _settled(drawn: Law, who: str) -> Law:
    """Return a law without spread as the constant that it is; raise ValueError if its limits are not in order."""
    if isinstance(drawn, Scaled):
        return drawn if drawn.scale else Constant(value=0.0)
    if not isinstance(drawn, Fixed):
        return drawn
    if drawn.family != "uniform" and drawn.sigma == 0:
        return Constant(value=float(drawn.mean))
    if drawn.low > drawn.high:
        raise ValueError(f"{who} needs limits in order, got {drawn.low:g} and {drawn.high:g}; exchange them")
    return Constant(value=float(drawn.low)) if drawn.low == drawn.high else drawn


def _unwrapped(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return scalars of NumPy and other libraries as Python's numbers, which code can show."""
    return {key: one.item() if getattr(one, "shape", None) == () else one for key, one in arguments.items()}


_MODES = ("fan_in", "fan_out", "fan_avg")
_LINEAR = ("linear", *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)))
_GAINS = {"sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4, **dict.fromkeys(_LINEAR, 1.0)}


def _kaiming(family: str) -> Callable[..., Law]:
    def law(a: float, mode: str, nonlinearity: str) -> Law:
        _checks.one_of(mode, "mode", _MODES[:2])
        gains = _GAINS | {"leaky_relu": math.sqrt(2 / (1 + a**2))}
        _checks.one_of(nonlinearity, "nonlinearity", tuple(gains))
        return Scaled(scale=_tidy(gains[nonlinearity] ** 2), mode=mode, family=family)

    return law


def _tidy(x: float) -> float:
    """Undo the rounding of a square root that was squared: √2² is 2, and √5² + 1 is 6."""
    near = Fraction(x).limit_denominator(99)
    return float(near) if math.isclose(near, x, rel_tol=1e-14) else x


def _variance_scaling(modes: Sequence[str], families: dict[str, str]) -> Callable[..., Law]:
    def law(scale: Any, mode: Any, distribution: Any) -> Law:
        given = {"scale": scale, "mode": mode, "distribution": distribution}
        missing = [key for key, value in given.items() if value is ...]
        if missing:
            raise TypeError(f"this initializer needs {' and '.join(missing)}; give them as keywords")
        _checks.one_of(mode, "mode", tuple(modes))
        _checks.one_of(distribution, "distribution", tuple(families))
        return Scaled(scale=_checks.real(scale, "scale", low=0, strict=True), mode=mode, family=families[distribution])

    return law


def _named(scale: float, mode: str, family: str) -> Callable[..., Law]:
    return lambda: Scaled(scale=scale, mode=mode, family=family)


def _cut_normal(mean: float, std: float, a: float, b: float) -> Law:
    return Fixed(family="truncated_normal", mean=mean, sigma=std, low=a, high=b)


def _own(scheme: schemes.Initializer) -> Law:
    """Return the law of one of this book's initializers."""
    if isinstance(scheme, schemes.Scheme):
        return Scaled(scale=scheme.scale, mode=scheme.mode, family=scheme.distribution)
    if isinstance(scheme, schemes.constant):
        return Constant(value=scheme.value)
    if isinstance(scheme, schemes.small_random):
        return Fixed(family="normal", sigma=scheme.sigma)
    assert isinstance(scheme, schemes.orthogonal)
    return Special(kind="orthogonal", gain=scheme.gain)


def _torch_entries() -> Iterator[Entry]:
    def add(name: str, arguments: dict[str, Any], law: Callable[..., Law], source: str = "generator") -> Entry:
        return Entry("torch", name, arguments, law, source, (name.rstrip("_"),))

    yield add("uniform_", {"a": 0.0, "b": 1.0}, lambda a, b: Fixed(family="uniform", low=a, high=b))
    yield add("normal_", {"mean": 0.0, "std": 1.0}, lambda mean, std: Fixed(family="normal", mean=mean, sigma=std))
    yield add("trunc_normal_", {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0}, _cut_normal)
    yield add("constant_", {"val": ...}, lambda val: Constant(value=_given(val, "val")), "")
    yield add("ones_", {}, lambda: Constant(value=1.0), "")
    yield add("zeros_", {}, lambda: Constant(value=0.0), "")
    yield add("eye_", {}, lambda: Special(kind="identity"), "")
    yield add("dirac_", {"groups": 1}, lambda groups: Special(kind="dirac"), "")
    for family in ("uniform", "normal"):
        glorot = _glorot_with_gain(family)
        yield add(f"xavier_{family}_", {"gain": 1.0}, glorot)
        arguments = {"a": 0, "mode": "fan_in", "nonlinearity": "leaky_relu"}
        yield add(f"kaiming_{family}_", arguments, _kaiming(family))
    yield add("orthogonal_", {"gain": 1}, lambda gain: Special(kind="orthogonal", gain=gain))
    yield add("sparse_", {"sparsity": ..., "std": 0.01}, lambda sparsity, std: Special(kind="sparse", gain=std))


def _glorot_with_gain(family: str) -> Callable[..., Law]:
    return lambda gain: Scaled(scale=_tidy(gain**2), mode="fan_avg", family=family)


def _given(value: Any, name: str) -> float:
    if value is ...:
        raise TypeError(f"this initializer needs {name}; give it as a keyword")
    return _checks.real(value, name)


_CLASSICS = {"glorot": (1.0, "fan_avg"), "lecun": (1.0, "fan_in"), "he": (2.0, "fan_in")}
_KERAS_FAMILIES = {"truncated_normal": "truncated_normal", "untruncated_normal": "normal", "uniform": "uniform"}
_JAX_FAMILIES = {"truncated_normal": "truncated_normal", "normal": "normal", "uniform": "uniform"}


def _keras_entries() -> Iterator[Entry]:
    def add(name: str, arguments: dict[str, Any], law: Callable[..., Law], *more: str, source: str = "seed") -> Entry:
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        return Entry("keras", name, arguments, law, source, (snake, *more))

    yield add(
        "RandomUniform",
        {"minval": -0.05, "maxval": 0.05},
        lambda minval, maxval: Fixed(family="uniform", low=minval, high=maxval),
        "uniform",
    )
    yield add(
        "RandomNormal",
        {"mean": 0.0, "stddev": 0.05},
        lambda mean, stddev: Fixed(family="normal", mean=mean, sigma=stddev),
        "normal",
    )
    yield add(
        "TruncatedNormal",
        {"mean": 0.0, "stddev": 0.05},
        lambda mean, stddev: _cut_normal(mean, stddev, mean - CUT * stddev, mean + CUT * stddev),
    )
    yield add("Constant", {"value": 0.0}, lambda value: Constant(value=value), source="")
    yield add("Ones", {}, lambda: Constant(value=1.0), "one", source="")
    yield add("Zeros", {}, lambda: Constant(value=0.0), "zero", source="")
    yield add("Identity", {"gain": 1.0}, lambda gain: Special(kind="identity", gain=gain), source="")
    yield add("Orthogonal", {"gain": 1.0}, lambda gain: Special(kind="orthogonal", gain=gain))
    arguments = {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"}
    yield add("VarianceScaling", arguments, _variance_scaling(_MODES, _KERAS_FAMILIES))
    for family in ("Uniform", "Normal"):
        for name, (scale, mode) in _CLASSICS.items():
            drawn = {"Uniform": "uniform", "Normal": "truncated_normal"}[family]
            yield add(f"{name.capitalize()}{family}", {}, _named(scale, mode, drawn))
    stft = {"side": "real", "window": "hann", "scaling": "density", "periodic": False}
    yield Entry("keras", "STFT", stft, lambda **_: Special(kind="stft"), "", ("stft",))


def _jax_entries() -> Iterator[Entry]:
    def add(name: str, arguments: dict[str, Any], law: Callable[..., Law], *more: str, source: str = "key") -> Entry:
        return Entry("jax", name, arguments, law, source, more)

    yield add("uniform", {"scale": 0.01}, lambda scale: Fixed(family="uniform", low=0.0, high=scale))
    yield add("normal", {"stddev": 0.01}, lambda stddev: Fixed(family="normal", sigma=stddev))
    yield add(
        "truncated_normal",
        {"stddev": 0.01, "lower": -2.0, "upper": 2.0},
        lambda stddev, lower, upper: _cut_normal(0.0, stddev, lower * stddev, upper * stddev),
    )
    yield add("constant", {"value": ...}, lambda value: Constant(value=_given(value, "value")), source="")
    yield add("ones", {}, lambda: Constant(value=1.0), source="")
    yield add("zeros", {}, lambda: Constant(value=0.0), source="")
    yield add("orthogonal", {"scale": 1.0}, lambda scale: Special(kind="orthogonal", gain=scale))
    yield add("delta_orthogonal", {"scale": 1.0}, lambda scale: Special(kind="delta_orthogonal", gain=scale))
    needed = {"scale": ..., "mode": ..., "distribution": ...}
    yield add("variance_scaling", needed, _variance_scaling((*_MODES, "fan_geo_avg"), _JAX_FAMILIES))
    for family in ("uniform", "normal"):
        for name, (scale, mode) in _CLASSICS.items():
            drawn = {"uniform": "uniform", "normal": "truncated_normal"}[family]
            other = {"glorot": ("xavier",), "he": ("kaiming",), "lecun": ()}[name]
            more = tuple(f"{one}_{family}" for one in other)
            yield Entry("jax", f"{name}_{family}", {"in_axis": -2}, _without_axis(scale, mode, drawn), "key", more)


def _without_axis(scale: float, mode: str, family: str) -> Callable[..., Law]:
    """Return a law that knows the default axes only."""

    def law(in_axis: int) -> Law:
        if in_axis != -2:
            raise ValueError("in_axis changes which fan is read; translate the default and set the axes there")
        return Scaled(scale=scale, mode=mode, family=family)

    return law


def _own_entries() -> Iterator[Entry]:
    def fill(make: Callable[..., schemes.Initializer]) -> Callable[..., Law]:
        return lambda **arguments: _own(make(**arguments))

    yield Entry("initnotes", "zeros", {}, lambda: Constant(value=0.0))
    yield Entry("initnotes", "constant", {"value": ...}, lambda value: Constant(value=_given(value, "value")))
    yield Entry("initnotes", "small_random", {"sigma": 0.01}, fill(schemes.small_random), "rng")
    yield Entry("initnotes", "orthogonal", {"gain": 1.0}, fill(schemes.orthogonal), "rng")
    arguments = {"scale": ..., "mode": "fan_in", "distribution": "normal"}
    families = {one: one for one in ("normal", "uniform", "truncated_normal")}
    yield Entry("initnotes", "Scheme", arguments, _variance_scaling(_MODES, families), "rng")
    for name in ("xavier", "he", "lecun"):
        scale, mode = _CLASSICS["glorot" if name == "xavier" else name]
        for family in ("uniform", "normal"):
            yield Entry("initnotes", f"{name}_{family}", {}, _named(scale, mode, family), "rng")


ENTRIES: dict[str, dict[str, Entry]] = {
    "torch": {one.name: one for one in _torch_entries()},
    "keras": {one.name: one for one in _keras_entries()},
    "jax": {one.name: one for one in _jax_entries()},
    "initnotes": {one.name: one for one in _own_entries()},
}


def names(library: str) -> tuple[str, ...]:
    """Return the names of a library's initializers, without aliases.

    Parameters
    ----------
    library : {"torch", "keras", "jax", "initnotes"}

    Returns
    -------
    tuple of str

    Raises
    ------
    TypeError, ValueError
        If there is no such library.

    Examples
    --------
    >>> names("torch")[:4]
    ('uniform_', 'normal_', 'trunc_normal_', 'constant_')
    """
    return tuple(ENTRIES[_checks.one_of(library, "library", LIBRARIES)])


def law(name: str, library: str, **arguments: Any) -> Law:
    """Return the law behind a library's name and arguments.

    Parameters
    ----------
    name : str
        An initializer as the library spells it, or an alias that the library accepts.
    library : {"torch", "keras", "jax", "initnotes"}
    **arguments
        As the library's own; those that are not given have the library's defaults.

    Returns
    -------
    Scaled, Fixed, Constant or Special

    Raises
    ------
    TypeError, ValueError
        If the library has no such name or argument, or refuses a value.

    Examples
    --------
    >>> print(law("kaiming_uniform_", "torch", a=5**0.5))
    uniform, variance (1 / 3) / fan_in
    >>> print(law("he_normal", "keras"))
    truncated normal, rescaled, variance 2 / fan_in
    """
    return _entry(name, library).says(_unwrapped(arguments))


def call(name: str, library: str, **arguments: Any) -> str:
    """Return a library's own call as code; `w` is the tensor that torch fills.

    Parameters
    ----------
    name, library, **arguments
        As in `law`.

    Returns
    -------
    str

    Raises
    ------
    TypeError, ValueError
        As in `law`.

    Examples
    --------
    >>> call("he_normal", "keras"), call("xavier_normal_", "torch", gain=2.0)
    ('keras.initializers.HeNormal()', 'torch.nn.init.xavier_normal_(w, gain=2.0)')
    """
    entry, arguments = _entry(name, library), _unwrapped(arguments)
    entry.says(arguments)
    return entry.code(arguments)


def _entry(name: str, library: str) -> Entry:
    known = ENTRIES[_checks.one_of(library, "library", LIBRARIES)]
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as {next(iter(known))!r}, got {name!r}")
    bare = name.rpartition(".")[2]
    for entry in known.values():
        if bare == entry.name or bare in entry.aliases:
            return entry
    spelled = [*known, *(alias for entry in known.values() for alias in entry.aliases), *_layers_of(library)]
    nearest = difflib.get_close_matches(bare, spelled, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    raise ValueError(f"{library} has no initializer {name!r}{hint} One of: {', '.join(known)}")


# ------------------------------------------------------------------------------------------------------ layer defaults

_DIMENSIONS = ("1", "2", "3")
_THIRD = Scaled(scale=1 / 3, mode="fan_in", family="uniform")
_GLOROT = Scaled(scale=1.0, mode="fan_avg", family="uniform")
_DEFAULTS: dict[str, dict[str, Law]] = {
    "torch": {
        "Linear": _THIRD,
        **{f"Conv{d}d": _THIRD for d in _DIMENSIONS},
        **{f"ConvTranspose{d}d": _THIRD for d in _DIMENSIONS},
        "Embedding": Fixed(family="normal", sigma=1.0),
    },
    "keras": {
        "Dense": _GLOROT,
        **{f"Conv{d}D": _GLOROT for d in _DIMENSIONS},
        **{f"Conv{d}DTranspose": _GLOROT for d in _DIMENSIONS},
        **{f"DepthwiseConv{d}D": _GLOROT for d in _DIMENSIONS[:2]},
        "Embedding": Fixed(family="uniform", low=-0.05, high=0.05),
    },
    "jax": {},
    "initnotes": {},
}
_STACK = (
    "it stacks the matrices of several gates or projections in one parameter, and a fan of the stack is none of theirs"
)
_NO_DEFAULT = {
    "torch": {
        **dict.fromkeys(("LSTM", "GRU", "RNN"), "all its parameters are uniform on ±1/√hidden_size, also those "
                        "whose fan is the number of inputs, so no fan gives the bound; write that number"),
        "MultiheadAttention": f"{_STACK}: in_proj_weight is Xavier over the stack of three, 0.707 of the std of one",
    },
    "keras": {
        **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), "it has a law per parameter: translate GlorotUniform for the "
                        "kernel and Orthogonal for the recurrent kernel; " + _STACK),
        "MultiHeadAttention": "its kernels have three dimensions, and it sets the axes that count as fans itself; "
                              "translate GlorotUniform, for each head's matrix",
    },
    "jax": {},
    "initnotes": {},
}  # fmt: skip


def _layers_of(library: str) -> tuple[str, ...]:
    return (*_DEFAULTS[library], *_NO_DEFAULT[library])


def default_law(layer: str, library: str) -> Law:
    """Return the law of a layer's weight as the layer comes.

    Parameters
    ----------
    layer : str
        The class's name, such as "Linear" or "Conv2D".
    library : {"torch", "keras"}
        JAX has no layers; those of Flax are another package.

    Returns
    -------
    Scaled or Fixed
        In terms of the fans that the library reads, which for transposed and depthwise convolutions are not the true
        ones.

    Raises
    ------
    TypeError, ValueError
        If there is no such layer or library, or no one law.

    Examples
    --------
    >>> print(default_law("Linear", "torch"))
    uniform, variance (1 / 3) / fan_in
    >>> print(default_law("Embedding", "keras"))
    uniform on [-0.05, 0.05]
    """
    _checks.one_of(library, "library", ("torch", "keras"))
    if layer in _NO_DEFAULT[library]:
        raise ValueError(f"{library}'s {layer} has no one law: {_NO_DEFAULT[library][layer]}")
    _checks.one_of(layer, "layer", tuple(_DEFAULTS[library]))
    return _DEFAULTS[library][layer]


# ----------------------------------------------------------------------------------------------------------- translate


class _NoneError(Exception):
    """There is no such call, and why."""


@dataclass(frozen=True)
class Translation:
    """One library's call in another's terms, or why there is none. It is true if there is one.

    Attributes
    ----------
    source, target : str
        The libraries.
    call : str
        What was translated, as code.
    law : Law
        What it draws, in terms of the fans that the target reads.
    code : str or None
        To be pasted; for torch it fills a tensor `w`, for the others it is an initializer. None if there is none.
    notes : tuple of str
        What to mind; if `code` is None, why.
    """

    source: str
    target: str
    call: str
    law: Law
    code: str | None
    notes: tuple[str, ...]

    @property
    def name(self) -> str | None:
        """The target's function, if there is one."""
        found = re.search(r"(?:nn\.init|initializers|ini)\.(\w+)", self.code or "")
        return found.group(1) if found else None

    def __bool__(self) -> bool:
        return self.code is not None

    def __str__(self) -> str:
        code = (self.code or "no call draws this").replace("\n", "\n          ")
        lines = [f"{self.source:9} {self.call}", f"{'draws':9} {self.law}", f"{self.target:9} {code}"]
        return "\n".join([*lines, *(f"{'note' if self else 'because':9} {note}" for note in self.notes)])

    __repr__ = __str__


def translate(
    name: str, source: str, target: str, *, shape: Sequence[int] | None = None, **arguments: Any
) -> Translation:
    """Give the call of another library that draws from the same distribution, or say why there is none.

    Needs none of the libraries: what their names mean is in a registry, which the tests hold against what they draw.

    Parameters
    ----------
    name : str
        An initializer by the source's name, or a layer of torch or Keras for the law of its weight as it comes.
    source, target : {"torch", "keras", "jax", "initnotes"}
    shape : sequence of int, optional
        ``(fan_out, fan_in, *kernel)``. Some laws can be said in the target's terms for one shape only.
    **arguments
        The source's own arguments, such as ``mode="fan_out"``; others have the source's defaults.

    Returns
    -------
    Translation
        Prints as both calls, the law and notes; false if there is no such call.

    Raises
    ------
    TypeError, ValueError
        If a library or name is unknown (the message suggests the nearest), an argument is not one of the source's, or
        the shape has no fans.

    Examples
    --------
    >>> print(translate("xavier_normal_", "torch", "keras"))
    torch     torch.nn.init.xavier_normal_(w)
    draws     normal, variance 1 / fan_avg
    keras     keras.initializers.VarianceScaling(scale=1, mode='fan_avg', distribution='untruncated_normal')
    note      glorot_normal is another law there: a truncated normal of the same variance
    note      keras reads the fans from (*kernel, in, out), torch from (out, in, *kernel)
    >>> print(translate("uniform", "keras", "jax"))
    keras     keras.initializers.RandomUniform()
    draws     uniform on [-0.05, 0.05]
    jax       no call draws this
    because   jax.nn.initializers.uniform(scale) starts at 0; give shape=, for which variance_scaling can be set
    """
    for which, library in (("source", source), ("target", target)):
        _checks.one_of(library, which, LIBRARIES)
    fans = None if shape is None else schemes.fans(shape)
    if isinstance(name, str) and name.rpartition(".")[2] in _layers_of(source):
        return _translate_layer(name.rpartition(".")[2], source, target, fans, arguments)
    entry, arguments = _entry(name, source), _unwrapped(arguments)
    drawn = entry.says(arguments)
    call = entry.code(arguments)
    if source == target:
        return Translation(source, target, call, drawn, call, ())
    return _translated(source, target, call, drawn, fans)


def _translate_layer(
    layer: str, source: str, target: str, fans: tuple[int, int] | None, arguments: dict[str, Any]
) -> Translation:
    if arguments:
        raise TypeError(f"a layer's default takes no arguments here, got {', '.join(arguments)}")
    call = f"{'torch.nn' if source == 'torch' else 'keras.layers'}.{layer}(...), its weight"
    if layer in _NO_DEFAULT[source]:
        several = Special(kind="several laws")
        return Translation(source, target, call, several, None, (_NO_DEFAULT[source][layer],))
    drawn, notes = _DEFAULTS[source][layer], []
    if "Depthwise" in layer and target == "initnotes":
        why = "Keras counts the channels of the whole layer as fans, and initialize_ the true ones of each channel"
        return Translation(source, target, call, drawn, None, (why,))
    if "Depthwise" in layer:
        notes.append("for a depth_multiplier of 1")
    if "Transpose" in layer and target in ("jax", "initnotes") and isinstance(drawn, Scaled):
        other = {"fan_in": "fan_out", "fan_out": "fan_in"}
        drawn = Scaled(scale=drawn.scale, mode=other.get(drawn.mode, drawn.mode), family=drawn.family)
        notes.append(
            f"{source} takes the outputs of a transposed convolution for its inputs: its fan_in is the true fan_out"
        )
    if source == "torch" and layer != "Embedding":
        notes.append("its bias is uniform on ±1/√fan_in of the weight, not zero")
    return _translated(source, target, call, drawn, fans, *notes)


def _translated(
    source: str, target: str, call: str, drawn: Law, fans: tuple[int, int] | None, *notes: str
) -> Translation:
    far = isinstance(drawn, Fixed) and drawn.family == "truncated_normal" and min(-drawn.cuts[0], drawn.cuts[1]) >= FAR
    said = drawn
    if far and isinstance(drawn, Fixed):
        said = Fixed(family="normal", mean=drawn.mean, sigma=drawn.sigma)
        notes = (
            *notes,
            "the cut is so far out that it is a plain normal: what it removes has a probability below 1e-16",
        )
    try:
        code, more = _WRITERS[target](said, fans)
    except _NoneError as none:
        return Translation(source, target, call, drawn, None, (*notes, str(none)))
    notes = (*notes, *more, *_about_layouts(source, target, said))
    return Translation(source, target, call, drawn, code, notes)


_LIKE_TORCH = ("torch", "initnotes")


def _about_layouts(source: str, target: str, drawn: Law) -> list[str]:
    notes = []
    if isinstance(drawn, Scaled) and (source in _LIKE_TORCH) != (target in _LIKE_TORCH):
        layout = {True: "(out, in, *kernel)", False: "(*kernel, in, out)"}
        ours, theirs = layout[target in _LIKE_TORCH], layout[source in _LIKE_TORCH]
        notes.append(f"{target} reads the fans from {ours}, {source} from {theirs}")
    if getattr(drawn, "family", "") == "truncated_normal" and "keras" in (source, target):
        notes.append("on its torch backend Keras lets about 4 weights in a million through the cut")
    return notes


def _std_of(drawn: Scaled) -> str:
    """Write the standard deviation of a tensor `w` in torch's layout as code."""
    fan_in, fan_out = "w[0].numel()", "w[:, 0].numel()"
    fan = {
        "fan_in": fan_in,
        "fan_out": fan_out,
        "fan_avg": f"(({fan_in} + {fan_out}) / 2)",
        "fan_geo_avg": f"({fan_in} * {fan_out}) ** 0.5",
    }[drawn.mode]
    return f"({_number(drawn.scale)} / {fan}) ** 0.5"


def _to_torch(drawn: Law, fans: tuple[int, int] | None) -> tuple[str, list[str]]:
    init = "torch.nn.init"
    if isinstance(drawn, Constant):
        plain = {0.0: f"{init}.zeros_(w)", 1.0: f"{init}.ones_(w)"}
        return plain.get(drawn.value, f"{init}.constant_(w, {drawn.value!r})"), []
    if isinstance(drawn, Special):
        return _special_to_torch(drawn)
    if isinstance(drawn, Fixed):
        if drawn.family == "uniform":
            return f"{init}.uniform_(w, a={drawn.low!r}, b={drawn.high!r})", []
        if drawn.family == "normal":
            return f"{init}.normal_(w, mean={drawn.mean!r}, std={drawn.sigma!r})", []
        ends = f"a={drawn.low!r}, b={drawn.high!r}"
        note = "torch's limits a and b are absolute, not multiples of std"
        return f"{init}.trunc_normal_(w, mean={drawn.mean!r}, std={drawn.sigma!r}, {ends})", [note]
    return _scaled_to_torch(drawn), []


def _special_to_torch(drawn: Special) -> tuple[str, list[str]]:
    if drawn.kind == "orthogonal":
        return f"torch.nn.init.orthogonal_(w, gain={drawn.gain!r})", []
    if drawn.kind == "identity":
        gain = "" if drawn.gain == 1 else f".mul_({drawn.gain!r})"
        code = "torch.nn.init.eye_(w)"
        return (f"with torch.no_grad(): {code}{gain}" if gain else code), []
    reasons = {
        "delta_orthogonal": "torch.nn.init has no delta-orthogonal kernels; dirac_ is their case of an identity",
        "stft": "torch.nn.init has no Fourier kernels",
    }
    raise _NoneError(reasons.get(drawn.kind, "torch.nn.init has no such kernels"))


def _scaled_to_torch(drawn: Scaled) -> str:
    init = "torch.nn.init"
    if drawn.family == "truncated_normal":
        lines = f"std = {_std_of(drawn)} / {KEPT!r}  # {KEPT:.2f} is what the cut leaves"
        return f"{lines}\n{init}.trunc_normal_(w, std=std, a=-2 * std, b=2 * std)"
    if drawn.mode == "fan_avg":
        gain = "" if drawn.scale == 1 else f", gain={_root(drawn.scale)}"
        return f"{init}.xavier_{drawn.family}_(w{gain})"
    if drawn.mode in ("fan_in", "fan_out") and drawn.scale <= 2:
        mode = "" if drawn.mode == "fan_in" else f"mode={drawn.mode!r}, "
        slope = "" if drawn.scale in (1, 2) else f"a={_root(_tidy(2 / drawn.scale - 1))}, "
        kind = {1.0: "linear", 2.0: "relu"}.get(drawn.scale, "leaky_relu")
        return f"{init}.kaiming_{drawn.family}_(w, {mode}{slope}nonlinearity={kind!r})"
    if drawn.family == "normal":
        return f"{init}.normal_(w, std={_std_of(drawn)})"
    return f"bound = 3**0.5 * {_std_of(drawn)}\n{init}.uniform_(w, -bound, bound)"


def _to_keras(drawn: Law, fans: tuple[int, int] | None) -> tuple[str, list[str]]:
    init = "keras.initializers"
    if isinstance(drawn, Constant):
        plain = {0.0: f"{init}.Zeros()", 1.0: f"{init}.Ones()"}
        return plain.get(drawn.value, f"{init}.Constant({drawn.value!r})"), []
    if isinstance(drawn, Special):
        known = {"orthogonal": "Orthogonal", "identity": "Identity"}
        if drawn.kind not in known:
            raise _NoneError(f"keras.initializers has no {drawn.kind.replace('_', '-')} kernels")
        notes = ["it stacks an LSTM's gates side by side: the rows of the stack are orthonormal, not those of a gate"]
        return f"{init}.{known[drawn.kind]}(gain={drawn.gain!r})", notes if drawn.kind == "orthogonal" else []
    if isinstance(drawn, Scaled) and drawn.mode == "fan_geo_avg":
        if fans is None:
            raise _NoneError("Keras has no geometric mean of the fans; give shape=, for which a number can stand in")
        drawn = drawn.fixed(*fans)
        code, notes = _fixed_to_keras(drawn)
        return code, [*notes, _ONE_SHAPE]
    return _fixed_to_keras(drawn) if isinstance(drawn, Fixed) else _scaled_to_keras(drawn)


_ONE_SHAPE = "for this shape only"


def _fixed_to_keras(drawn: Fixed) -> tuple[str, list[str]]:
    init = "keras.initializers"
    if drawn.family == "uniform":
        return f"{init}.RandomUniform(minval={drawn.low!r}, maxval={drawn.high!r})", []
    given = f"mean={drawn.mean!r}, stddev={drawn.sigma!r}"
    if drawn.family == "normal":
        return f"{init}.RandomNormal({given})", []
    if not all(math.isclose(abs(cut), CUT, rel_tol=1e-9) for cut in drawn.cuts):
        low, high = drawn.cuts
        raise _NoneError(
            f"keras.initializers cuts at ±2 standard deviations only, and this cut is at {low:.4g} and {high:.4g}"
        )
    return f"{init}.TruncatedNormal({given})", ["stddev is that before the cut; what it leaves is 0.88 of it"]


def _scaled_to_keras(drawn: Scaled) -> tuple[str, list[str]]:
    init = "keras.initializers"
    classic = _classic(drawn)
    if classic and drawn.family != "normal":
        return f"{init}.{classic.capitalize()}{'Uniform' if drawn.family == 'uniform' else 'Normal'}()", []
    family = {new: old for old, new in _KERAS_FAMILIES.items()}[drawn.family]
    code = f"{init}.VarianceScaling(scale={_number(drawn.scale)}, mode={drawn.mode!r}, distribution={family!r})"
    return code, _false_friend(drawn, classic)


def _classic(drawn: Scaled) -> str | None:
    """Return "glorot", "lecun" or "he" if the variance is theirs."""
    return next((name for name, pair in _CLASSICS.items() if pair == (drawn.scale, drawn.mode)), None)


def _false_friend(drawn: Scaled, classic: str | None) -> list[str]:
    if not classic or drawn.family != "normal":
        return []
    return [f"{classic}_normal is another law there: a truncated normal of the same variance"]


def _to_jax(drawn: Law, fans: tuple[int, int] | None) -> tuple[str, list[str]]:
    init = "jax.nn.initializers"
    if isinstance(drawn, Constant):
        plain = {0.0: f"{init}.zeros", 1.0: f"{init}.ones"}
        return plain.get(drawn.value, f"{init}.constant({drawn.value!r})"), []
    if isinstance(drawn, Special):
        known = ("orthogonal", "delta_orthogonal")
        if drawn.kind not in known:
            raise _NoneError(f"jax.nn.initializers has no {drawn.kind} kernels")
        return f"{init}.{drawn.kind}(scale={drawn.gain!r})", []
    if isinstance(drawn, Fixed):
        return _fixed_to_jax(drawn, fans)
    classic = _classic(drawn)
    if classic and drawn.family != "normal":
        return f"{init}.{classic}_{'uniform' if drawn.family == 'uniform' else 'normal'}()", []
    return f"{init}.{_variance_scaling_code(drawn)}", _false_friend(drawn, classic)


def _variance_scaling_code(drawn: Scaled) -> str:
    return f"variance_scaling({_number(drawn.scale)}, {drawn.mode!r}, {drawn.family!r})"


def _fixed_to_jax(drawn: Fixed, fans: tuple[int, int] | None) -> tuple[str, list[str]]:
    init = "jax.nn.initializers"
    if drawn.family == "uniform":
        if drawn.low == 0:
            return f"{init}.uniform(scale={drawn.high!r})", ["JAX's uniform starts at 0: its mean is scale / 2"]
        if drawn.low != -drawn.high:
            raise _NoneError(
                "jax.nn.initializers.uniform(scale) starts at 0, and variance_scaling is symmetric; add the mean"
            )
        if fans is None:
            why = "starts at 0; give shape=, for which variance_scaling can be set"
            raise _NoneError(f"jax.nn.initializers.uniform(scale) {why}")
        scale = fans[0] * drawn.high**2 / 3
        return f"{init}.variance_scaling({_number(scale)}, 'fan_in', 'uniform')", [_ONE_SHAPE]
    if drawn.mean:
        raise _NoneError(f"JAX's normals have mean 0, and this one has {drawn.mean:g}; add the mean yourself")
    if drawn.family == "normal":
        return f"{init}.normal(stddev={drawn.sigma!r})", []
    low, high = (_tidy(cut) for cut in drawn.cuts)
    note = "stddev is that before the cut, and the limits are multiples of it"
    return f"{init}.truncated_normal(stddev={drawn.sigma!r}, lower={low!r}, upper={high!r})", [note]


def _to_initnotes(drawn: Law, fans: tuple[int, int] | None) -> tuple[str, list[str]]:
    if isinstance(drawn, Constant):
        return ("ini.zeros" if drawn.value == 0 else f"ini.constant({drawn.value!r})"), []
    if isinstance(drawn, Special):
        if drawn.kind != "orthogonal":
            raise _NoneError(f"this book has no {drawn.kind.replace('_', '-')} weights")
        return f"ini.orthogonal(gain={drawn.gain!r})", []
    if isinstance(drawn, Scaled) and drawn.mode != "fan_geo_avg":
        scheme = schemes.Scheme(scale=drawn.scale, mode=drawn.mode, distribution=drawn.family)  # type: ignore[arg-type]
        return _scheme_code(scheme), []
    if isinstance(drawn, Scaled):
        if fans is None:
            raise _NoneError(
                "Scheme has no geometric mean of the fans; give shape=, for which another fan can stand in"
            )
        return _number_for_shape(drawn.fixed(*fans), fans)
    if drawn.family == "normal" and not drawn.mean:
        return f"ini.small_random({drawn.sigma!r})", []
    return _number_for_shape(drawn, fans)


def _number_for_shape(drawn: Fixed, fans: tuple[int, int] | None) -> tuple[str, list[str]]:
    """Write a law without fans as a `Scheme`, which for one shape can be done."""
    mean, std = drawn.moments()
    if abs(mean) > 1e-12 * std:
        raise _NoneError(f"this book's weights have mean 0, and these have {mean:.3g}")
    if drawn.family == "truncated_normal" and not math.isclose(drawn.cuts[1], CUT, rel_tol=1e-9):
        raise _NoneError(f"Scheme cuts at ±2 standard deviations, and this cut is at ±{drawn.cuts[1]:.4g}")
    if fans is None:
        raise _NoneError("Scheme divides by a fan, and this law does not; give shape=, for which its scale can be set")
    scheme = schemes.Scheme(scale=_tidy(fans[0] * std**2), distribution=drawn.family)  # type: ignore[arg-type]
    return _scheme_code(scheme), [_ONE_SHAPE]


def _scheme_code(scheme: schemes.Scheme) -> str:
    if re.fullmatch(r"\w+", scheme.name):
        return f"ini.{scheme.name}"
    return f"ini.Scheme(scale={_number(scheme.scale)}, mode={scheme.mode!r}, distribution={scheme.distribution!r})"


_WRITERS: dict[str, Callable[[Law, tuple[int, int] | None], tuple[str, list[str]]]] = {
    "torch": _to_torch,
    "keras": _to_keras,
    "jax": _to_jax,
    "initnotes": _to_initnotes,
}
