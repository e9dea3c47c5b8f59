"""The registry: every initializer of torch, Keras, JAX and this book by name, and calls of them.

What lives here says what a name means (its arguments, its law, where its randomness comes from) and makes the
library's own initializer; the tests hold what is said against what is drawn.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .. import _checks, schemes
from ..schemes import Array
from .laws import CUT, Constant, Fixed, Law, Scaled, Special, Spelled, tidy
from .libraries import LIBRARIES, NAMESPACES, draw, initializer

__all__ = ["CLASSICS", "KERAS_FAMILIES", "REGISTRY", "Call", "Named", "call", "find", "law", "names"]


@dataclass(frozen=True)
class Call:
    """A call of a library's initializer: what it draws, how it is written, and what it makes.

    Attributes
    ----------
    library, name : str
    code : str
        To be read or pasted: for torch it fills a tensor `w`, for the others it is an initializer.
    law : Law
        What it draws, in terms of the fans that the library reads.
    initializer : callable
        Without arguments; loads the library and returns its own initializer, a new one each time. For torch that is a
        function that fills a tensor and takes ``generator=``; for Keras and JAX what their layers take; for initnotes
        an `Initializer`.

    Examples
    --------
    >>> import torch
    >>> fill = call("constant_", "torch", val=0.5).initializer()
    >>> fill(torch.empty(2))
    tensor([0.5000, 0.5000])
    """

    library: str
    name: str
    code: str
    law: Law
    initializer: Callable[[], Any] = field(compare=False)

    def draw(self, shape: Sequence[int], *, rng: np.random.Generator, replicas: int = 1) -> Array:
        """Draw weights in the library's own layout.

        Parameters
        ----------
        shape : sequence of int
            As the library keeps it: ``(out, in, *kernel)`` for torch and initnotes, ``(*kernel, in, out)`` for Keras
            and JAX.
        rng : numpy.random.Generator
            Seeds the library for this call; the libraries' own global generators are left as they were.
        replicas : int
            Independent draws.

        Returns
        -------
        ndarray of float64
            Of shape ``(replicas, *shape)``; JAX draws in float32.

        Raises
        ------
        ImportError
            If the library is not installed; the message says how to.
        TypeError, ValueError
            If an argument is of the wrong kind, or the library refuses.
        """
        replicas = _checks.integer(replicas, "replicas")
        return draw(self.library, self.initializer, tuple(shape), rng=_checks.generator(rng), replicas=replicas)

    def __repr__(self) -> str:
        return self.code


@dataclass(frozen=True)
class Named:
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
        who, given = f"{self.library}'s {self.name}", self.arguments | arguments
        for key in arguments:
            if key not in self.arguments:
                known = ", ".join(self.arguments) or "none"
                raise TypeError(f"{who} has no argument {key!r} here; it has: {known}")
        missing = [key for key, value in given.items() if value is ...]
        if missing:
            raise TypeError(f"{who} needs {' and '.join(missing)}; give them as keywords")
        for key, value in arguments.items():
            if key in _LEAST:
                _checks.real(value, key, low=_LEAST[key])
        return _settled(self.law(**given), who)

    def call(self, *values: Any, **arguments: Any) -> Call:
        """Return a call; positional values are those of the first arguments, and are written without their names."""
        shown = [*values, *arguments.values()]
        keys = [*list(self.arguments)[: len(values)], *arguments]
        plain = dict(zip(keys, map(_plain, shown), strict=True))
        unnamed = [""] * len(values) + [f"{key}=" for key in arguments]
        written = [f"{key}{value!r}" for key, value in zip(unnamed, map(_python, shown), strict=True)]
        return Call(self.library, self.name, self._code(written), self.says(plain), partial(self.initializer, **plain))

    def example(self) -> Call:
        """Return a call with the library's defaults, and a value for what has none."""
        return self.call(**self.needed)

    @property
    def needed(self) -> dict[str, Any]:
        """Values for the arguments that have no default, to draw with where a table runs through all names."""
        return _NEEDED.get(self.name, {})

    def initializer(self, **arguments: Any) -> Any:
        """Return the library's own initializer, which may know more arguments than are listed here."""
        return initializer(self.library, self.name, arguments, called=self.called)

    @property
    def called(self) -> bool:
        """Whether the library's object is a function that makes an initializer; JAX's zeros and ones are themselves."""
        return bool(self.arguments) or self.library == "keras"

    def _code(self, written: list[str]) -> str:
        name = f"{NAMESPACES[self.library]}.{self.name}"
        if self.library == "torch":
            return f"{name}({', '.join(['w', *written])})"
        return f"{name}({', '.join(written)})" if self.called else name


_NEEDED: dict[str, dict[str, Any]] = {
    "constant_": {"val": 0.5},
    "constant": {"value": 0.5},
    "sparse_": {"sparsity": 0.5},
    "variance_scaling": {"scale": 1.0, "mode": "fan_geo_avg", "distribution": "normal"},
    "Scheme": {"scale": 1.0},
}


def _python(value: Any) -> Any:
    """Return a scalar of NumPy or another library as Python's number, which code can show."""
    return value.item() if getattr(value, "shape", None) == () else value


def _plain(value: Any) -> Any:
    """Return what is passed to a library: Python's own numbers."""
    return float(value) if isinstance(value, Spelled) else _python(value)


_ANY = ("a", "b", "mean", "gain", "scale", "minval", "maxval", "lower", "upper", "val", "value")
_POSITIVE = ("std", "stddev", "sigma", "sparsity")
_LEAST = dict.fromkeys(_ANY, -math.inf) | dict.fromkeys(_POSITIVE, 0.0)  # what a real number may be at least


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


_MODES = ("fan_in", "fan_out", "fan_avg")
_LINEAR = ("linear", *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)))
_GAINS = {"sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4, **dict.fromkeys(_LINEAR, 1.0)}


def _kaiming(family: str) -> Callable[..., Law]:
    def law(a: float, mode: str, nonlinearity: str) -> Law:
        _checks.one_of(mode, "mode", _MODES[:2])
        gains = _GAINS | {"leaky_relu": math.sqrt(2 / (1 + a**2))}
        _checks.one_of(nonlinearity, "nonlinearity", tuple(gains))
        return Scaled(scale=tidy(gains[nonlinearity] ** 2), mode=mode, family=family)

    return law


def _xavier(family: str) -> Callable[..., Law]:
    return lambda gain: Scaled(scale=tidy(gain**2), mode="fan_avg", family=family)


def _variance_scaling(modes: Sequence[str], families: dict[str, str]) -> Callable[..., Law]:
    def law(scale: Any, mode: Any, distribution: Any) -> Law:
        _checks.one_of(mode, "mode", tuple(modes))
        _checks.one_of(distribution, "distribution", tuple(families))
        return Scaled(scale=_checks.real(scale, "scale", low=0, strict=True), mode=mode, family=families[distribution])

    return law


def _named(scale: float, mode: str, family: str) -> Callable[..., Law]:
    return lambda: Scaled(scale=scale, mode=mode, family=family)


def _uniform(low: float, high: float) -> Law:
    return Fixed(family="uniform", low=low, high=high)


def _normal(mean: float, std: float) -> Law:
    return Fixed(family="normal", mean=mean, sigma=std)


def _cut_normal(mean: float, std: float, a: float, b: float) -> Law:
    return Fixed(family="truncated_normal", mean=mean, sigma=std, low=a, high=b)


def _torch() -> Iterator[Named]:
    def add(name: str, arguments: dict[str, Any], law: Callable[..., Law], source: str = "generator") -> Named:
        return Named("torch", name, arguments, law, source, (name.rstrip("_"),))

    yield add("uniform_", {"a": 0.0, "b": 1.0}, lambda a, b: _uniform(a, b))
    yield add("normal_", {"mean": 0.0, "std": 1.0}, _normal)
    yield add("trunc_normal_", {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0}, _cut_normal)
    yield add("constant_", {"val": ...}, lambda val: Constant(value=val), "")
    yield add("ones_", {}, lambda: Constant(value=1.0), "")
    yield add("zeros_", {}, lambda: Constant(value=0.0), "")
    yield add("eye_", {}, lambda: Special(kind="identity"), "")
    yield add("dirac_", {"groups": 1}, lambda groups: Special(kind="dirac"), "")
    for family in ("uniform", "normal"):
        yield add(f"xavier_{family}_", {"gain": 1.0}, _xavier(family))
        arguments = {"a": 0, "mode": "fan_in", "nonlinearity": "leaky_relu"}
        yield add(f"kaiming_{family}_", arguments, _kaiming(family))
    yield add("orthogonal_", {"gain": 1}, lambda gain: Special(kind="orthogonal", gain=gain))
    yield add("sparse_", {"sparsity": ..., "std": 0.01}, lambda sparsity, std: Special(kind="sparse", gain=std))


CLASSICS = {"glorot": (1.0, "fan_avg"), "lecun": (1.0, "fan_in"), "he": (2.0, "fan_in")}
KERAS_FAMILIES = {"truncated_normal": "truncated_normal", "untruncated_normal": "normal", "uniform": "uniform"}
_FAMILIES = {family: family for family in ("truncated_normal", "normal", "uniform")}


def _keras() -> Iterator[Named]:
    def add(name: str, arguments: dict[str, Any], law: Callable[..., Law], *more: str, source: str = "seed") -> Named:
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        return Named("keras", name, arguments, law, source, (snake, *more))

    around, spread = {"minval": -0.05, "maxval": 0.05}, {"mean": 0.0, "stddev": 0.05}
    yield add("RandomUniform", around, lambda minval, maxval: _uniform(minval, maxval), "uniform")
    yield add("RandomNormal", spread, lambda mean, stddev: _normal(mean, stddev), "normal")
    yield add(
        "TruncatedNormal",
        spread,
        lambda mean, stddev: _cut_normal(mean, stddev, mean - CUT * stddev, mean + CUT * stddev),
    )
    yield add("Constant", {"value": 0.0}, lambda value: Constant(value=value), source="")
    yield add("Ones", {}, lambda: Constant(value=1.0), "one", source="")
    yield add("Zeros", {}, lambda: Constant(value=0.0), "zero", source="")
    yield add("Identity", {"gain": 1.0}, lambda gain: Special(kind="identity", gain=gain), source="")
    yield add("Orthogonal", {"gain": 1.0}, lambda gain: Special(kind="orthogonal", gain=gain))
    arguments = {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"}
    yield add("VarianceScaling", arguments, _variance_scaling(_MODES, KERAS_FAMILIES))
    for family in ("Uniform", "Normal"):
        for name, (scale, mode) in CLASSICS.items():
            drawn = {"Uniform": "uniform", "Normal": "truncated_normal"}[family]
            yield add(f"{name.capitalize()}{family}", {}, _named(scale, mode, drawn))
    stft = {"side": "real", "window": "hann", "scaling": "density", "periodic": False}
    yield Named("keras", "STFT", stft, lambda **_: Special(kind="stft"), "", ("stft",))


def _jax() -> Iterator[Named]:
    def add(name: str, arguments: dict[str, Any], law: Callable[..., Law], *more: str, source: str = "key") -> Named:
        return Named("jax", name, arguments, law, source, more)

    yield add("uniform", {"scale": 0.01}, lambda scale: _uniform(0.0, scale))
    yield add("normal", {"stddev": 0.01}, lambda stddev: _normal(0.0, stddev))
    yield add(
        "truncated_normal",
        {"stddev": 0.01, "lower": -2.0, "upper": 2.0},
        lambda stddev, lower, upper: _cut_normal(0.0, stddev, lower * stddev, upper * stddev),
    )
    yield add("constant", {"value": ...}, lambda value: Constant(value=value), source="")
    yield add("ones", {}, lambda: Constant(value=1.0), source="")
    yield add("zeros", {}, lambda: Constant(value=0.0), source="")
    yield add("orthogonal", {"scale": 1.0}, lambda scale: Special(kind="orthogonal", gain=scale))
    yield add("delta_orthogonal", {"scale": 1.0}, lambda scale: Special(kind="delta_orthogonal", gain=scale))
    needed = {"scale": ..., "mode": ..., "distribution": ...}
    yield add("variance_scaling", needed, _variance_scaling((*_MODES, "fan_geo_avg"), _FAMILIES))
    for family in ("uniform", "normal"):
        for name, (scale, mode) in CLASSICS.items():
            drawn = {"uniform": "uniform", "normal": "truncated_normal"}[family]
            other = {"glorot": (f"xavier_{family}",), "he": (f"kaiming_{family}",)}.get(name, ())
            yield add(f"{name}_{family}", {"in_axis": -2}, _without_axis(scale, mode, drawn), *other)


def _without_axis(scale: float, mode: str, family: str) -> Callable[..., Law]:
    """Return a law that knows the default axes only."""

    def law(in_axis: int) -> Law:
        if in_axis != -2:
            raise ValueError("in_axis changes which fan is read; translate the default and set the axes there")
        return Scaled(scale=scale, mode=mode, family=family)

    return law


def _own() -> Iterator[Named]:
    def whole(kind: str) -> Callable[..., Law]:
        return lambda gain: Special(kind=kind, gain=getattr(schemes, kind)(gain).gain)

    yield Named("initnotes", "zeros", {}, lambda: Constant(value=0.0))
    yield Named("initnotes", "constant", {"value": ...}, lambda value: Constant(value=value))
    yield Named("initnotes", "small_random", {"sigma": 0.01}, lambda sigma: _normal(0.0, sigma), "rng")
    for kind in ("orthogonal", "delta_orthogonal"):
        yield Named("initnotes", kind, {"gain": 1.0}, whole(kind), "rng")
    arguments = {"scale": ..., "mode": "fan_in", "distribution": "normal"}
    yield Named("initnotes", "Scheme", arguments, _variance_scaling(_MODES, _FAMILIES), "rng")
    for name in ("xavier", "he", "lecun"):
        scale, mode = CLASSICS["glorot" if name == "xavier" else name]
        for family in ("uniform", "normal"):
            yield Named("initnotes", f"{name}_{family}", {}, _named(scale, mode, family), "rng")


REGISTRY: dict[str, dict[str, Named]] = {
    library: {named.name: named for named in every}
    for library, every in zip(LIBRARIES, (_torch(), _keras(), _jax(), _own()), strict=True)
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
    return tuple(REGISTRY[_checks.one_of(library, "library", LIBRARIES)])


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
    return find(name, library).call(**arguments).law


def call(name: str, library: str, **arguments: Any) -> Call:
    """Return a library's own call: its law, its code, and the initializer that it makes.

    Needs none of the libraries until the initializer is made or drawn from.

    Parameters
    ----------
    name, library, **arguments
        As in `law`.

    Returns
    -------
    Call

    Raises
    ------
    TypeError, ValueError
        As in `law`.

    Examples
    --------
    >>> call("he_normal", "keras"), call("xavier_normal_", "torch", gain=2.0)
    (keras.initializers.HeNormal(), torch.nn.init.xavier_normal_(w, gain=2.0))
    >>> call("normal_", "torch", std=0.5).draw((64, 256), rng=np.random.default_rng(0)).shape
    (1, 64, 256)
    """
    return find(name, library).call(**arguments)


def find(name: str, library: str, *, also: Sequence[str] = ()) -> Named:
    """Return the entry of a name or an alias; what is in `also` can be meant by a misspelling, too."""
    known = REGISTRY[_checks.one_of(library, "library", LIBRARIES)]
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as {next(iter(known))!r}, got {name!r}")
    bare = name.rpartition(".")[2]
    for named in known.values():
        if bare == named.name or bare in named.aliases:
            return named
    spelled = [*known, *(alias for named in known.values() for alias in named.aliases), *also]
    nearest = difflib.get_close_matches(bare, spelled, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    raise ValueError(f"{library} has no initializer {name!r}{hint} One of: {', '.join(known)}")
