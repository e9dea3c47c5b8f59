"""Floor 4: what torch, Keras and JAX draw under each of their names and in their layers, measured.

What lives here draws and tabulates; jax and keras load when first used. What the names mean is in `translation`.

Each library reads the fans from a shape in its own layout; `LAYERS` says which shapes the layers have, and what their
true fans are.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from .. import _checks, schemes
from .._table import Table
from ..schemes import Array
from .translation import ENTRIES, LIBRARIES, Entry, Fixed, Scaled, call, law, translate

__all__ = ["FACTORS", "INSTALL", "LAYERS", "Layer", "Summary", "Table", "defaults", "draws", "fan_factors"]
__all__ += ["forward_factors", "initializers", "read_fans", "sample", "seeding", "sparse_leak", "summarize"]
__all__ += ["translations", "versions"]

INSTALL = "pip install -r requirements-frameworks.txt, or pip install 'initnotes[frameworks]'"
_LIKE_TORCH = ("torch", "initnotes")  # (out, in, *kernel)
_ENOUGH = 20_000  # entries per measured number

# ---------------------------------------------------------------------------------------------------------------- draw


def _load(library: str) -> Any:
    """Import a library, Keras on torch unless the user chose otherwise; say what to install where it is missing."""
    if library in ("keras", "jax"):
        os.environ.setdefault("KERAS_BACKEND", "torch")
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # else JAX warns where it sees a GPU that it cannot use
    try:
        return import_module(library)
    except ImportError as error:
        raise ImportError(f"{library} is needed here and cannot be imported ({error}); {INSTALL}") from error


def versions() -> dict[str, str]:
    """Return the versions of torch, Keras and JAX that are installed, without a build's suffix.

    Returns
    -------
    dict

    Raises
    ------
    ImportError
        If jax or keras is not installed; the message says how to.
    """
    for library in ("keras", "jax"):
        _load(library)
    return {library: version(library).split("+")[0] for library in LIBRARIES[:3]}


def read_fans(library: str, shape: Sequence[int]) -> tuple[int, int]:
    """Return the fans that a library reads from a shape in its own layout.

    Parameters
    ----------
    library : {"torch", "keras", "jax", "initnotes"}
    shape : sequence of int
        In the library's layout, of two dimensions or more.

    Returns
    -------
    fan_in, fan_out : int

    Raises
    ------
    TypeError, ValueError
        If the library is unknown or the shape has no fans.

    Examples
    --------
    A depthwise 3 × 3 convolution of 64 channels, in three layouts:

    >>> read_fans("torch", (64, 1, 3, 3)), read_fans("keras", (3, 3, 64, 1)), read_fans("jax", (3, 3, 1, 64))
    ((9, 576), (576, 9), (9, 576))
    """
    _checks.one_of(library, "library", LIBRARIES)
    shape = tuple(shape)
    return schemes.fans(shape if library in _LIKE_TORCH else (shape[-1], shape[-2], *shape[:-2]))


def sample(library: str, code: str, shape: Sequence[int], *, rng: np.random.Generator, replicas: int = 1) -> Array:
    """Draw from a library's initializer that is given as code.

    Parameters
    ----------
    library : {"torch", "keras", "jax", "initnotes"}
    code : str
        As `translate` returns it: for torch statements that fill ``w``, for the others an initializer. It is executed.
    shape : sequence of int
        ``(fan_out, fan_in, *kernel)``, whatever the library's own layout.
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
    >>> w = sample("torch", "torch.nn.init.xavier_uniform_(w)", (20, 30), rng=np.random.default_rng(0))
    >>> w.shape, bool(abs(w).max() <= (6 / 50) ** 0.5)
    ((1, 20, 30), True)
    """
    _checks.one_of(library, "library", LIBRARIES)
    schemes.fans(shape)
    _checks.integer(replicas, "replicas")
    out, inputs, *kernel = shape
    if library in _LIKE_TORCH:
        return _draw(library, code, tuple(shape), _checks.generator(rng), replicas)
    drawn = _draw(library, code, (*kernel, inputs, out), _checks.generator(rng), replicas)
    return np.moveaxis(drawn, (-1, -2), (1, 2))


def _draw(library: str, code: str, shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    """Return (replicas, *shape), in the library's own layout."""
    draw = {"torch": _torch_draw, "keras": _keras_draw, "jax": _jax_draw, "initnotes": _own_draw}[library]
    return draw(code, shape, rng, replicas)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's and Python's global generators, and restore both: layers take no generator."""
    import torch

    state, python_state = torch.get_rng_state(), random.getstate()
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would touch those of GPUs too
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
        random.setstate(python_state)


def _torch_draw(code: str, shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    import torch

    drawn = torch.empty((replicas, *shape), dtype=torch.float64)
    compiled = compile(code, "<torch>", "exec")
    with _seeded(_seed(rng)):
        for w in drawn:
            exec(compiled, {"torch": torch, "w": w})
    return drawn.numpy()


def _keras_draw(code: str, shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    keras, seed = _load("keras"), _seed(rng)
    with _seeded(seed):  # an initializer without a seed takes one from Python's generator
        initializer = eval(code, {"keras": keras})
    if hasattr(initializer, "seed"):
        initializer.seed = keras.random.SeedGenerator(seed)  # an integer would draw the same each time
    return np.array([_array(initializer(shape, dtype="float64")) for _ in range(replicas)])


def _jax_draw(code: str, shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    jax = _load("jax")
    initializer = eval(code, {"jax": jax})
    with _quick_compiler(jax):
        keys = jax.random.split(jax.random.key(_seed(rng)), replicas)
        return np.array([initializer(key, shape) for key in keys], dtype=np.float64)


@contextlib.contextmanager
def _quick_compiler(jax: Any) -> Iterator[None]:
    """Let XLA compile in a third of the time: each new shape is a new program, used a few times."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def _own_draw(code: str, shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    initializer: schemes.Initializer = eval(code, {"ini": schemes})
    return initializer.sample(shape, rng, replicas=replicas)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


# ------------------------------------------------------------------------------------------------------------- measure


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
class Layer:
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
    "Linear": Layer((256, 64), (64, 256), (256, 64), (256, 64)),
    "Conv": Layer((72, 576), (64, 8, 3, 3), (3, 3, 8, 64), (3, 3, 8, 64)),
    "grouped": Layer((72, 72), (64, 8, 3, 3), (3, 3, 8, 64), (3, 3, 8, 64)),
    "depthwise": Layer((9, 9), (64, 1, 3, 3), (3, 3, 64, 1), (3, 3, 1, 64)),
    "transposed": Layer((72, 576), (8, 64, 3, 3), (3, 3, 64, 8), (3, 3, 8, 64)),
    "Embedding": Layer((1, 64), (256, 64), (256, 64), (256, 64)),
    "recurrent": Layer((64, 64), (256, 64), (64, 256), None),
    "attention": Layer((64, 64), (192, 64), (64, 4, 16), None),
}  # Linear 256 → 64, Conv 8 → 64 and 3 × 3, 8 groups of 64, LSTM and attention of 64 units


def draws(library: str, code: str, layer: str, *, rng: np.random.Generator, replicas: int = 32) -> Array:
    """Draw the weight of one kind of layer by a library's initializer, in that library's own layout.

    Parameters
    ----------
    library : {"torch", "keras", "jax"}
    code : str
        As in `sample`.
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
    >>> draws("torch", "torch.nn.init.ones_(w)", "depthwise", rng=np.random.default_rng(0), replicas=2).shape
    (2, 64, 1, 3, 3)
    """
    _checks.one_of(library, "library", LIBRARIES[:3])
    _checks.one_of(layer, "layer", LAYERS)
    shape = getattr(LAYERS[layer], library)
    if shape is None:
        raise ValueError(f"{library} has no {layer} layer: it has initializers, and no layers")
    return _draw(library, code, shape, _checks.generator(rng), _checks.integer(replicas, "replicas"))


def _measured(entry: Entry, layer: str, rng: np.random.Generator) -> Array | None:
    """Draw a layer's weight by a name with its defaults, or return None where the library has no such layer."""
    shape = getattr(LAYERS[layer], entry.library)
    if shape is None:
        return None
    code = _default_code(entry)
    if layer == "attention" and entry.library == "keras" and isinstance(entry.says({}), Scaled):
        code = code.replace("()", "(input_axes=(0,), output_axes=(1, 2))")  # as MultiHeadAttention sets them
    return _draw(entry.library, code, shape, rng, math.ceil(_ENOUGH / math.prod(shape)))


_SET: dict[str, dict[str, Any]] = {
    "variance_scaling": {"scale": 1.0, "mode": "fan_geo_avg", "distribution": "normal"},
    "constant_": {"val": 0.5},
}
_SET |= {"constant": {"value": 0.5}, "sparse_": {"sparsity": 0.5}, "Scheme": {"scale": 1.0}}


def _default_code(entry: Entry) -> str:
    """Return a call with the defaults, and with a value for what has none."""
    return entry.code(_SET.get(entry.name, {}))


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
    every = [entry for library in LIBRARIES[:3] for entry in ENTRIES[library].values()]
    rows = [_initializer_row(one, rng) for one in every if isinstance(one.says(_SET.get(one.name, {})), Scaled | Fixed)]
    return Table("std of a weight, by initializer and kind of layer", head, tuple(rows))


def _initializer_row(entry: Entry, rng: np.random.Generator) -> tuple[str, ...]:
    says = entry.says(_SET.get(entry.name, {}))
    assert isinstance(says, Scaled | Fixed)
    stds, standard = [], []
    for layer in LAYERS:
        weights = _measured(entry, layer, rng)
        if weights is None:
            stds.append("–")
            continue
        mean, std = says.fixed(*_fans_of(entry.library, layer)).moments()
        standard.append(((weights - mean) / std).ravel())
        stds.append(f"{_agreed(entry, layer, std, weights):.2g}")
    pooled = np.concatenate(standard)
    largest = "no bound" if says.family == "normal" else f"{abs(pooled).max():.2f}"
    kurtosis = f"{summarize(pooled).kurtosis:.1f}".replace("-0.0", "0.0")
    name = re.sub(r"torch\.nn\.init|jax\.nn\.initializers|keras\.initializers", entry.library, _default_code(entry))
    return (name.removesuffix("(w)").removesuffix("()"), str(says), kurtosis, largest, entry.source, *stds)


def _fans_of(library: str, layer: str) -> tuple[int, int]:
    """Return the fans that a library reads for a kind of layer."""
    shape = getattr(LAYERS[layer], library)
    return (64, 64) if layer == "attention" and library == "keras" else read_fans(library, shape)


def _agreed(entry: Entry, layer: str, std: float, weights: Array) -> float:
    """Return the measured std; raise unless it is that of the law within six standard errors."""
    seen = summarize(weights)
    error = math.sqrt((seen.kurtosis + 2) / (4 * seen.count))
    if not abs(seen.std / std - 1) < 6 * error:
        raise AssertionError(f"{entry.library}'s {entry.name} for {layer}: std {seen.std:.4g}, and not {std:.4g}")
    return seen.std


# ------------------------------------------------------------------------------------------------- layers as they come


def _torch_layers() -> dict[str, tuple[Callable[[], Any], dict[str, Callable[[Any], Any]], int]]:
    """Return per kind of layer: how to make one, its parameters, and the true fan_in."""
    from torch import nn

    weight = {"weight": lambda layer: layer.weight}
    both = weight | {"bias": lambda layer: layer.bias}
    recurrent = {
        "input weights, a gate": lambda layer: layer.weight_ih_l0[:64],
        "recurrent weights, a gate": lambda layer: layer.weight_hh_l0[:64],
        "forget bias, both added": lambda layer: (layer.bias_ih_l0 + layer.bias_hh_l0)[64:128],
    }
    attention = {
        "query": lambda layer: layer.in_proj_weight[:64],
        "output": lambda layer: layer.out_proj.weight,
        "biases": lambda layer: layer.in_proj_bias,
    }
    return {
        "Linear": (lambda: nn.Linear(256, 64), both, 256),
        "Conv2d": (lambda: nn.Conv2d(8, 64, 3), both, 72),
        "Conv2d, 8 groups": (lambda: nn.Conv2d(64, 64, 3, groups=8), weight, 72),
        "Conv2d, depthwise": (lambda: nn.Conv2d(64, 64, 3, groups=64), weight, 9),
        "ConvTranspose2d": (lambda: nn.ConvTranspose2d(8, 64, 3), both, 72),
        "Embedding": (lambda: nn.Embedding(256, 64), weight, 1),
        "LSTM": (lambda: nn.LSTM(32, 64), recurrent, 64),
        "MultiheadAttention": (lambda: nn.MultiheadAttention(64, 4), attention, 64),
        "LayerNorm": (lambda: nn.LayerNorm(64), weight, 1),
    }


def _keras_layers() -> dict[str, tuple[Callable[[], Any], dict[str, Callable[[Any], Any]], int]]:
    keras = _load("keras")
    new = keras.layers

    def built(make: Callable[[], Any], *shapes: tuple[int | None, ...]) -> Callable[[], Any]:
        def one() -> Any:
            layer = make()
            layer.build(*shapes)
            return layer

        return one

    image = (None, 9, 9)
    kernel = {"weight": lambda layer: layer.kernel}
    both = kernel | {"bias": lambda layer: layer.bias}
    recurrent = {
        "input weights, a gate": lambda layer: layer.cell.kernel[:, :64],
        "recurrent weights, a gate": lambda layer: layer.cell.recurrent_kernel[:, :64],
        "forget bias": lambda layer: layer.cell.bias[64:128],
    }
    attention = {
        "query": lambda layer: layer.query_dense.kernel,
        "output": lambda layer: layer.output_dense.kernel,
        "biases": lambda layer: layer.query_dense.bias,
    }
    tokens = (None, 5, 64)
    return {
        "Dense": (built(lambda: new.Dense(64), (None, 256)), both, 256),
        "Conv2D": (built(lambda: new.Conv2D(64, 3), (*image, 8)), both, 72),
        "Conv2D, 8 groups": (built(lambda: new.Conv2D(64, 3, groups=8), (*image, 64)), kernel, 72),
        "DepthwiseConv2D": (built(lambda: new.DepthwiseConv2D(3), (*image, 64)), kernel, 9),
        "Conv2DTranspose": (built(lambda: new.Conv2DTranspose(64, 3), (*image, 8)), both, 72),
        "Embedding": (built(lambda: new.Embedding(256, 64), (None,)), {"weight": lambda one: one.embeddings}, 1),
        "LSTM": (built(lambda: new.LSTM(64), (None, 5, 32)), recurrent, 64),
        "MultiHeadAttention": (built(lambda: new.MultiHeadAttention(4, 16), tokens, tokens), attention, 64),
        "LayerNormalization": (built(new.LayerNormalization, (None, 64)), {"weight": lambda one: one.gamma}, 1),
    }


def fan_factors(
    calls: dict[str, tuple[str, dict[str, Any]]], *, rng: np.random.Generator, replicas: int = 32
) -> dict[tuple[str, str], tuple[Array, float]]:
    """Measure true fan_in · Var of one initializer in several libraries, beside what the fan that is read predicts.

    Parameters
    ----------
    calls : dict
        Library to the name of an initializer whose variance is scaled by a fan, and its arguments.
    rng : numpy.random.Generator
    replicas : int
        Independent draws.

    Returns
    -------
    dict
        (library, kind of layer) to the measured factors, of shape ``(replicas,)``, and the theory: scale times true
        fan_in over the fan that the library reads. For the kinds of `LAYERS` that all libraries have.

    Raises
    ------
    ImportError
        If a library is not installed; the message says how to.
    TypeError, ValueError
        If a library, a name or an argument is unknown, or the name's variance is not scaled.

    Examples
    --------
    >>> seen = fan_factors({"torch": ("kaiming_normal_", {})}, rng=np.random.default_rng(0), replicas=2)
    >>> seen["torch", "transposed"][1]
    0.25
    """
    _checks.generator(rng)
    found = {}
    for library, (name, arguments) in calls.items():
        says, code = law(name, library, **arguments), call(name, library, **arguments)
        if not isinstance(says, Scaled):
            raise ValueError(f"{library}'s {name} draws the same for every shape: {says}")
        for kind in (one for one, layer in LAYERS.items() if layer.jax is not None and one != "Embedding"):
            fan = LAYERS[kind].fans[0]
            weights = draws(library, code, kind, rng=rng, replicas=replicas).reshape(replicas, -1)
            read = read_fans(library, getattr(LAYERS[kind], library))
            found[library, kind] = fan * weights.var(axis=1), says.scale * fan / says.fan(*read)
    return found


def translations() -> Table:
    """Count the names of each library that `translate` can say in another's terms, without a shape.

    Returns
    -------
    Table
        A row per source, a column per target.

    Examples
    --------
    >>> translations()["jax", "to torch"]
    '14 of 15'
    """
    rows = []
    for source in LIBRARIES:
        every = [(one.name, _SET.get(one.name, {})) for one in ENTRIES[source].values()]
        found = [[bool(translate(name, source, target, **more)) for name, more in every] for target in LIBRARIES]
        rows.append((source, *(f"{sum(one)} of {len(one)}" for one in found)))
    return Table("Names with a translation", ("from", *(f"to {target}" for target in LIBRARIES)), tuple(rows))


def defaults(*, rng: np.random.Generator) -> Table:
    """Build layers of torch and Keras as they come, and tabulate what their parameters hold.

    Parameters
    ----------
    rng : numpy.random.Generator
        Seeds both libraries for this call; their own global generators are left as they were.

    Returns
    -------
    Table
        Per parameter the measured mean, std, bound and excess kurtosis, the true fan_in, and fan_in · Var: the factor
        on the mean square that a linear layer hands on, 1 for LeCun and 2 for He.

    Raises
    ------
    ImportError
        If keras is not installed; the message says how to.
    """
    _checks.generator(rng)
    rows = []
    for library, kinds in (("torch", _torch_layers()), ("keras", _keras_layers())):
        for kind, (make, parameters, fan) in kinds.items():
            with _seeded(_seed(rng)):
                rows += _default_rows(f"{library} {kind}", make, parameters, fan)
    head = ("parameter", "mean", "std", "largest / std", "excess kurtosis", "true fan_in", "fan_in · Var")
    return Table("What layers hold as they come", head, tuple(rows))


def _default_rows(
    kind: str, make: Callable[[], Any], parameters: dict[str, Callable[[Any], Any]], fan: int
) -> list[tuple[str, ...]]:
    made = [make()]
    first = next(iter(parameters.values()))(made[0])
    made += [make() for _ in range(math.ceil(_ENOUGH / math.prod(first.shape)) - 1)]
    rows: list[tuple[str, ...]] = []
    for name, get in parameters.items():
        seen = summarize([_array(get(layer)) for layer in made])
        is_weight = "bias" not in name and seen.std > 0
        true = 32 if "input" in name else fan
        tail = (f"{true}", f"{true * seen.std**2:.2g}") if is_weight else ("–", "–")
        shape = (f"{seen.largest:.2g}", f"{seen.kurtosis:.1f}".replace("-0.0", "0.0")) if seen.std else ("–", "–")
        mean = f"{seen.mean:.0f}" if abs(seen.mean) > 0.5 else "0"
        rows.append((f"{kind}: {name}", mean, f"{seen.std:.2g}", *shape, *tail))
    return rows


def _array(parameter: Any) -> Array:
    """Return any library's tensor as float64; Keras's own conversion warns under NumPy 2."""
    value = getattr(parameter, "value", parameter)
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value, dtype=np.float64)


def forward_factors(
    code: str | schemes.Initializer, *, rng: np.random.Generator, replicas: int = 32
) -> dict[str, Array]:
    """Measure the factor on the mean square, E z² / E x², of torch's layers, away from edges and without bias.

    Parameters
    ----------
    code : str or Initializer
        For a string, torch code that fills a tensor ``w``, with the fans that torch reads from its shape. For an
        initializer of this book, the true fans: per group, per projection, and with a transposed layout undone.
    rng : numpy.random.Generator
    replicas : int
        Independent draws of weights and inputs.

    Returns
    -------
    dict of ndarray
        Kind of layer to ``(replicas,)``: Linear 256 → 64, Conv2d 8 → 64 with 3 × 3 kernels, the same with 8 groups of
        64 channels, depthwise, transposed 16 → 64, and the queries of 64 units, packed with keys and values.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> seen = forward_factors(schemes.lecun_normal, rng=np.random.default_rng(0), replicas=4)
    >>> round(float(seen["transposed"].mean()), 1)
    1.0
    """
    _checks.generator(rng)
    _checks.integer(replicas, "replicas")
    return {kind: np.array([_factor(kind, code, rng) for _ in range(replicas)]) for kind in FACTORS}


def _convolutions() -> dict[str, Any]:
    from torch import nn

    plain = {"bias": False, "dtype": _float64()}
    return {
        "Conv": lambda: nn.Conv2d(8, 64, 3, **plain),
        "grouped": lambda: nn.Conv2d(64, 64, 3, groups=8, **plain),
        "depthwise": lambda: nn.Conv2d(64, 64, 3, groups=64, **plain),
        "transposed": lambda: nn.ConvTranspose2d(16, 64, 3, **plain),
        "Linear": lambda: nn.Linear(256, 64, **plain),
    }


FACTORS = ("Linear", "Conv", "grouped", "depthwise", "transposed", "attention")


def _float64() -> Any:
    import torch

    return torch.float64


def _factor(kind: str, code: str | schemes.Initializer, rng: np.random.Generator) -> float:
    import torch

    if kind == "attention":
        packed, block = (192, 64), (64, 64)
        weight = _torch_draw(code, packed, rng, 1)[0, :64] if isinstance(code, str) else code.sample(block, rng)
        x = rng.standard_normal((64, 64))
        return float(((x @ weight.T) ** 2).mean())
    layer = _convolutions()[kind]()
    _fill(layer, code, rng)
    shape = (64, 256) if kind == "Linear" else (4, layer.in_channels, 12, 12)
    with torch.no_grad():
        z = layer(torch.from_numpy(rng.standard_normal(shape)))
    inside = z[..., 2:-2, 2:-2] if kind == "transposed" else z
    return float((inside**2).mean())


def _fill(layer: Any, code: str | schemes.Initializer, rng: np.random.Generator) -> None:
    """Set a layer's weight by the library's fans, or by the true ones."""
    import torch

    from ..layers import initialize_

    if isinstance(code, schemes.Initializer):
        initialize_(layer, code, rng=rng)
        return
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(_torch_draw(code, tuple(layer.weight.shape), rng, 1)[0]))


# ---------------------------------------------------------------------------------------------------------------- seed


def seeding(*, seed: int) -> Table:
    """Try what a seed fixes in each library, and tabulate the answers.

    Parameters
    ----------
    seed : int
        Between 0 and 2³¹ − 1.

    Returns
    -------
    Table
        A row per question with "yes", "no" or "–" for torch, Keras and JAX. All are tried on the processor.

    Raises
    ------
    ImportError
        If jax or keras is not installed; the message says how to.
    """
    seed = _checks.integer(seed, "seed", low=0)
    columns = [_torch_seeding(seed), _keras_seeding(seed), _jax_seeding(seed)]
    rows = [(question, *(_answer(column.get(question)) for column in columns)) for question in _QUESTIONS]
    return Table("What a seed fixes", ("question", *LIBRARIES[:3]), tuple(rows))


_QUESTIONS = (
    "same seed, fresh start: the same weights?",
    "the same object or generator again: the same weights?",
    "float64 for float32 (JAX: float16): the same weights, rounded?",
    "a shape with as many entries: the same numbers?",
    "a longer array: does it begin with the same numbers?",
    "does a draw without a seed move a global generator?",
    "does a draw with a seed move a global generator?",
)


def _answer(value: bool | None) -> str:
    return "–" if value is None else "yes" if value else "no"


def _answers(draw: Callable[..., Array], again: bool, moves: tuple[bool | None, bool]) -> dict[str, bool | None]:
    """Ask what any library can be asked; `draw(shape, dtype)` starts afresh from the seed."""
    base = draw((64,), "float32")  # a multiple of 16: torch draws the last 16 anew where a length is not one
    tried: list[bool | None] = [
        np.array_equal(base, draw((64,), "float32")),
        again,
        np.allclose(base, draw((64,), "float64"), rtol=1e-2, atol=1e-2),
        np.array_equal(base, draw((8, 8), "float32").ravel()),
        np.array_equal(base, draw((128,), "float32")[:64]),
    ]
    return dict(zip(_QUESTIONS, [*tried, *moves], strict=True))


def _torch_seeding(seed: int) -> dict[str, bool | None]:
    import torch

    def torch_draw(shape: tuple[int, ...], dtype: str) -> Array:
        generator = torch.Generator().manual_seed(seed)
        w = torch.empty(shape, dtype=getattr(torch, dtype))
        return torch.nn.init.normal_(w, generator=generator).numpy().astype(np.float64)

    generator = torch.Generator().manual_seed(seed)
    twice = [torch.nn.init.normal_(torch.empty(8), generator=generator) for _ in range(2)]
    with _seeded(seed):
        state = torch.get_rng_state()
        torch.nn.init.normal_(torch.empty(8), generator=generator)
        with_seed = not torch.equal(state, torch.get_rng_state())
        torch.nn.init.normal_(torch.empty(8))
        without = not torch.equal(state, torch.get_rng_state())
    return _answers(torch_draw, torch.equal(*twice), (without, with_seed))


def _keras_seeding(seed: int) -> dict[str, bool | None]:
    keras = _load("keras")

    def keras_draw(shape: tuple[int, ...], dtype: str) -> Array:
        initializer = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        return _array(initializer(shape, dtype=dtype))

    import torch

    with _seeded(seed):
        before = random.getstate(), torch.get_rng_state()
        seeded = keras.initializers.RandomNormal(seed=seed)
        twice = [_array(seeded((8,))) for _ in range(2)]
        with_seed = random.getstate() != before[0] or not torch.equal(before[1], torch.get_rng_state())
        keras.initializers.RandomNormal()((8,))
        without = random.getstate() != before[0]
    return _answers(keras_draw, np.array_equal(twice[0], twice[1]), (without, with_seed))


def _jax_seeding(seed: int) -> dict[str, bool | None]:
    jax = _load("jax")
    key = jax.random.key(seed)

    def jax_draw(shape: tuple[int, ...], dtype: str) -> Array:
        # JAX has no float64 unless it is asked for at the start
        drawn = jax.nn.initializers.normal(1.0)(key, shape, {"float64": "float16"}.get(dtype, dtype))
        return np.asarray(drawn, dtype=np.float64)

    with _quick_compiler(jax):
        twice = [jax_draw((64,), "float32") for _ in range(2)]
        return _answers(jax_draw, np.array_equal(twice[0], twice[1]), (None, False))


def sparse_leak(seed: int) -> tuple[bool, bool]:
    """Try whether torch's ``sparse_`` obeys the generator that it is given.

    Parameters
    ----------
    seed : int
        Of two generators that start equal.

    Returns
    -------
    same, moved : bool
        Whether both draw the same weights, and whether torch's global generator has moved.

    Raises
    ------
    TypeError, ValueError
        If `seed` is not an integer of at least 0.

    Examples
    --------
    In torch 2.13 the places of the zeros come from the global generator:

    >>> sparse_leak(1)
    (False, True)
    """
    import torch

    _checks.integer(seed, "seed", low=0)
    with _seeded(seed):
        state = torch.get_rng_state()
        generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
        drawn = [torch.nn.init.sparse_(torch.empty(64, 64), 0.5, generator=one) for one in generators]
        return torch.equal(*drawn), not torch.equal(state, torch.get_rng_state())
