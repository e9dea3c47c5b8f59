"""What torch, Keras and JAX draw under each of their names, measured.

What lives here draws and tabulates. `LAYERS` says which shapes the layers' weights have in each library's layout, and
what their true fans are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import _checks, schemes
from .._table import Table
from ..schemes import Array
from .laws import Fixed, Scaled
from .libraries import LIBRARIES, LIKE_TORCH, NAMESPACES, draw, read_fans
from .registry import REGISTRY, Call, Named

__all__ = [
    "ENOUGH",
    "LAYERS",
    "Summary",
    "Weight",
    "draws",
    "equal_names",
    "fan_factors",
    "initializers",
    "is_call",
    "sample",
]
__all__ += ["summarize"]

ENOUGH = 20_000  # entries per measured number


def sample(call: Call, shape: Sequence[int], *, rng: np.random.Generator, replicas: int = 1) -> Array:
    """Draw weights by a library's call, in torch's layout whatever the library's own.

    Parameters
    ----------
    call : Call
        As `call` makes it, or ``translate(...).call``.
    shape : sequence of int
        ``(fan_out, fan_in, *kernel)``.
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

    Examples
    --------
    >>> from initnotes.frameworks import call
    >>> w = sample(call("xavier_uniform_", "torch"), (20, 30), rng=np.random.default_rng(0))
    >>> w.shape, bool(abs(w).max() <= (6 / 50) ** 0.5)
    ((1, 20, 30), True)
    """
    schemes.fans(shape)
    out, inputs, *kernel = shape
    if is_call(call).library in LIKE_TORCH:
        return call.draw(shape, rng=rng, replicas=replicas)
    return np.moveaxis(call.draw((*kernel, inputs, out), rng=rng, replicas=replicas), (-1, -2), (1, 2))


def is_call(call: Any) -> Call:
    """Return a call as it is; say how to make one where it is something else."""
    if not isinstance(call, Call):
        raise TypeError(
            "call must be made by frameworks.call(name, library) or be a translation's .call, which is None where "
            f"there is none; got {call!r}"
        )
    return call


@dataclass(frozen=True)
class Summary:
    """What many draws of a weight look like.

    Attributes
    ----------
    mean, std : float
        Over all entries.
    largest : float
        Largest distance from the mean, in standard deviations: √3 if uniform, 2.27 if a normal is cut at two of its
        own, and more the longer one draws if normal.
    kurtosis : float
        In excess of the normal's: 0 if normal, −1.2 if uniform, −0.63 if cut at two standard deviations.
    count : int
    """

    mean: float
    std: float
    largest: float
    kurtosis: float
    count: int


def summarize(draws: Any) -> Summary:
    """Return mean, std, bound and excess kurtosis of draws.

    Parameters
    ----------
    draws : array_like
        Of any shape, two entries or more.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        If there are fewer than two entries, or one is not finite.

    Examples
    --------
    >>> summarize([-1.0, 1.0, -1.0, 1.0])
    Summary(mean=0.0, std=1.0, largest=1.0, kurtosis=-2.0, count=4)
    """
    sample = np.asarray(draws, dtype=np.float64).ravel()
    if sample.size < 2 or not np.isfinite(sample).all():
        raise ValueError(f"draws must be two finite numbers or more, got {sample.size}")
    mean, std = float(sample.mean()), float(sample.std())
    away = (sample - mean) / (std or 1.0)
    return Summary(mean, std, float(abs(away).max()), float((away**4).mean() - 3) if std else 0.0, sample.size)


@dataclass(frozen=True)
class Weight:
    """The weight of one kind of layer: its true fans, and its shape in each library's layout, None where it has none.

    Attributes
    ----------
    fans : (int, int)
        The inputs that one output sums over, the outputs that one input feeds; per gate, group or projection.
    torch, keras, jax : tuple of int or None
    """

    fans: tuple[int, int]
    torch: tuple[int, ...]
    keras: tuple[int, ...]
    jax: tuple[int, ...] | None


LAYERS = {
    "Linear": Weight((256, 64), (64, 256), (256, 64), (256, 64)),
    "Conv": Weight((72, 576), (64, 8, 3, 3), (3, 3, 8, 64), (3, 3, 8, 64)),
    "grouped": Weight((72, 72), (64, 8, 3, 3), (3, 3, 8, 64), (3, 3, 8, 64)),
    "depthwise": Weight((9, 9), (64, 1, 3, 3), (3, 3, 64, 1), (3, 3, 1, 64)),
    "transposed": Weight((72, 576), (8, 64, 3, 3), (3, 3, 64, 8), (3, 3, 8, 64)),
    "Embedding": Weight((1, 64), (256, 64), (256, 64), (256, 64)),
    "recurrent": Weight((64, 64), (256, 64), (64, 256), None),
    "attention": Weight((64, 64), (192, 64), (64, 4, 16), None),
}  # Linear 256 → 64, Conv 8 → 64 and 3 × 3, 8 groups of 64, LSTM and attention of 64 units


def draws(call: Call, layer: str, *, rng: np.random.Generator, replicas: int = 32) -> Array:
    """Draw the weight of one kind of layer by a library's initializer, in that library's own layout.

    Parameters
    ----------
    call : Call
        Of torch, Keras or JAX, as in `sample`.
    layer : str
        A key of `LAYERS`.
    rng : numpy.random.Generator
    replicas : int
        Independent draws.

    Returns
    -------
    ndarray of float64
        Of shape ``(replicas, *shape)`` with the shape that `LAYERS` names.

    Raises
    ------
    ImportError
        If the library is not installed; the message says how to.
    TypeError, ValueError
        If an argument is of the wrong kind, or the library has no such layer.

    Examples
    --------
    >>> from initnotes.frameworks import call
    >>> draws(call("ones_", "torch"), "depthwise", rng=np.random.default_rng(0), replicas=2).shape
    (2, 64, 1, 3, 3)
    """
    library = _checks.one_of(is_call(call).library, "library", LIBRARIES[:3])
    _checks.one_of(layer, "layer", LAYERS)
    shape = getattr(LAYERS[layer], library)
    if shape is None:
        raise ValueError(f"{library} has no {layer} layer: it has initializers, and no layers")
    return call.draw(shape, rng=rng, replicas=replicas)


def _measured(named: Named, layer: str, rng: np.random.Generator) -> Array | None:
    """Draw a layer's weight by a name with its defaults, or return None where the library has no such layer."""
    shape = getattr(LAYERS[layer], named.library)
    if shape is None:
        return None
    call = named.example()
    make = call.initializer
    if layer == "attention" and named.library == "keras" and isinstance(call.law, Scaled):
        make = partial(named.initializer, input_axes=(0,), output_axes=(1, 2))  # as MultiHeadAttention sets them
    return draw(named.library, make, shape, rng=rng, replicas=math.ceil(ENOUGH / math.prod(shape)))


def initializers(*, rng: np.random.Generator) -> Table:
    """Draw by every random name of torch, Keras and JAX for each kind of layer, and tabulate what comes.

    Parameters
    ----------
    rng : numpy.random.Generator

    Returns
    -------
    Table
        A row per name; the law, the measured excess kurtosis and bound, where the randomness comes from, and the
        measured std of a weight per kind of layer of `LAYERS`. Each number comes from 20 000 weights or more.

    Raises
    ------
    ImportError
        If jax or keras is not installed; the message says how to.
    AssertionError
        If a library draws another law than the registry says.
    """
    _checks.generator(rng)
    head = ("name", "draws", "excess kurtosis", "largest / std", "random by", *LAYERS)
    every = [named for library in LIBRARIES[:3] for named in REGISTRY[library].values()]
    rows = [_initializer_row(named, rng) for named in every if isinstance(named.example().law, Scaled | Fixed)]
    return Table("std of a weight, by initializer and kind of layer", head, tuple(rows))


def _initializer_row(named: Named, rng: np.random.Generator) -> tuple[str, ...]:
    call = named.example()
    assert isinstance(call.law, Scaled | Fixed)
    stds, standard = [], []
    for layer in LAYERS:
        weights = _measured(named, layer, rng)
        if weights is None:
            stds.append("–")
            continue
        mean, std = call.law.fixed(*_fans_of(named.library, layer)).moments()
        standard.append(((weights - mean) / std).ravel())
        stds.append(f"{_agreed(named, layer, std, weights):.2g}")
    pooled = np.concatenate(standard)
    largest = "no bound" if call.law.family == "normal" else f"{abs(pooled).max():.2f}"
    name = call.code.replace(NAMESPACES[named.library], named.library).removesuffix("(w)").removesuffix("()")
    return (name, str(call.law), f"{summarize(pooled).kurtosis:z.1f}", largest, named.source, *stds)


def _fans_of(library: str, layer: str) -> tuple[int, int]:
    """Return the fans that a library reads for a kind of layer."""
    shape = getattr(LAYERS[layer], library)
    return (64, 64) if layer == "attention" and library == "keras" else read_fans(library, shape)


def _agreed(named: Named, layer: str, std: float, weights: Array) -> float:
    """Return the measured std; raise unless it is that of the law within six standard errors."""
    seen = summarize(weights)
    error = math.sqrt((seen.kurtosis + 2) / (4 * seen.count))
    if not abs(seen.std / std - 1) < 6 * error:
        raise AssertionError(f"{named.library}'s {named.name} for {layer}: std {seen.std:.4g}, and not {std:.4g}")
    return seen.std


def fan_factors(
    calls: Mapping[str, Call], *, rng: np.random.Generator, replicas: int = 32
) -> dict[tuple[str, str], tuple[Array, float]]:
    """Measure true fan_in · Var of initializers for each kind of layer, beside what the fan that is read predicts.

    Parameters
    ----------
    calls : mapping of str to Call
        Each under a label; of torch, Keras or JAX, with a variance that is scaled by a fan.
    rng : numpy.random.Generator
    replicas : int
        Independent draws.

    Returns
    -------
    dict
        (label, kind of layer) to the measured factors, of shape ``(replicas,)``, and the theory: scale times true
        fan_in over the fan that the library reads. For the kinds of `LAYERS` that all libraries have.

    Raises
    ------
    ImportError
        If a library is not installed; the message says how to.
    TypeError, ValueError
        If an argument is of the wrong kind, or a variance is not scaled.

    Examples
    --------
    >>> from initnotes.frameworks import call
    >>> he = {"torch": call("kaiming_normal_", "torch")}
    >>> seen = fan_factors(he, rng=np.random.default_rng(0), replicas=2)
    >>> seen["torch", "transposed"][1]
    0.25
    """
    _checks.generator(rng)
    for call in calls.values():
        if not isinstance(is_call(call).law, Scaled):
            raise ValueError(f"{call} draws the same for every shape: {call.law}; give one whose variance has a fan")
    kinds = [kind for kind, weight in LAYERS.items() if weight.jax is not None and kind != "Embedding"]
    return {(label, kind): _fan_factor(call, kind, rng, replicas) for label, call in calls.items() for kind in kinds}


def _fan_factor(call: Call, kind: str, rng: np.random.Generator, replicas: int) -> tuple[Array, float]:
    assert isinstance(call.law, Scaled)
    weights, fan = draws(call, kind, rng=rng, replicas=replicas).reshape(replicas, -1), LAYERS[kind].fans[0]
    read = read_fans(call.library, getattr(LAYERS[kind], call.library))
    return fan * weights.var(axis=1), call.law.scale * fan / call.law.fan(*read)


def equal_names() -> Table:
    """Compare the laws behind every random name that two libraries or three share, each as it comes.

    A name is a library's own, or an alias that it accepts: torch's without the last underscore. Names that draw nothing
    are left out, and those that need arguments.

    Returns
    -------
    Table
        A row per name: who has it, and for four kinds of layer "one law", or in what the laws differ: family, mean, and
        how often the smallest standard deviation goes into the largest. The laws are the registry's; `initializers`
        holds each against draws.

    Examples
    --------
    >>> equal_names()["xavier_uniform", "Linear"], equal_names()["kaiming_normal", "Linear"]
    ('one law', 'family')
    >>> equal_names()["he_normal", "Linear"], equal_names()["he_normal", "depthwise"]
    ('one law', 'std × 8')
    """
    kinds = ("Linear", "Conv", "depthwise", "transposed")
    shared = {name: every for name, every in _by_name().items() if len(every) > 1}
    rows = [
        (name, ", ".join(every), *(_difference(list(every.values()), kind) for kind in kinds))
        for name, every in shared.items()
    ]
    return Table("Equal names, each as it comes", ("name", "in", *kinds), tuple(rows))


def _by_name() -> dict[str, dict[str, Named]]:
    """Return every spelling of a random initializer that has defaults, and who has it: torch's without underscore."""
    found: dict[str, dict[str, Named]] = {}
    for library in LIBRARIES[:3]:
        for named in REGISTRY[library].values():
            if named.source and not named.needed:
                for name in {named.name, *named.aliases} if library == "jax" else named.aliases:
                    found.setdefault(name, {})[library] = named
    return found


def _difference(every: list[Named], kind: str) -> str:
    """Say in what the laws of several libraries differ for one kind of layer."""
    laws = [named.example().law for named in every]
    fixed = [
        law.fixed(*_fans_of(named.library, kind)) if isinstance(law, Scaled | Fixed) else law
        for named, law in zip(every, laws, strict=True)
    ]
    numbers = [law for law in fixed if isinstance(law, Fixed)]
    if len(numbers) < len(fixed):
        return "one law" if len(set(fixed)) == 1 else "law"
    moments = [law.moments() for law in numbers]
    ratio = max(std for _, std in moments) / min(std for _, std in moments)
    means = [mean for mean, _ in moments]
    said = ["family"] if len({law.family for law in numbers}) > 1 else []
    said += ["mean"] if max(means) - min(means) > 1e-12 else []
    said += [f"std × {ratio:.3g}"] if ratio > 1 + 1e-9 else []
    return ", ".join(said) or "one law"
