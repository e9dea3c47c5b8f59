"""The libraries themselves: load one when it is needed, read fans as it does, draw by its initializers.

What lives here knows no initializer by name; each draw seeds the library for itself and restores what it found.

=========================  ==================================  ==================================
library                    layout of a kernel                  (fan_in, fan_out) that it reads
=========================  ==================================  ==================================
torch, initnotes           (out, in, *kernel)                  shape[1] · k, shape[0] · k
keras, jax                 (*kernel, in, out)                  shape[-2] · k, shape[-1] · k
=========================  ==================================  ==================================

with k the product of the kernel's sizes.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import version
from operator import attrgetter
from typing import Any

import numpy as np

from .. import _checks, schemes
from ..schemes import Array

__all__ = ["INSTALL", "LIBRARIES", "LIKE_TORCH", "NAMESPACES", "array", "draw", "initializer", "load", "new_seed"]
__all__ += ["quick_compiler", "read_fans", "seeded", "versions"]

LIBRARIES = ("torch", "keras", "jax", "initnotes")
LIKE_TORCH = ("torch", "initnotes")  # (out, in, *kernel)
NAMESPACES = {"torch": "torch.nn.init", "keras": "keras.initializers", "jax": "jax.nn.initializers", "initnotes": "ini"}
INSTALL = "pip install -r requirements-frameworks.txt, or pip install 'initnotes[frameworks]'"


def load(library: str) -> Any:
    """Import a library or a module of it, Keras on torch unless the user chose otherwise; say how to install it."""
    if library != "torch":
        os.environ.setdefault("KERAS_BACKEND", "torch")
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # else JAX warns where it sees a GPU that it cannot use
    try:
        return import_module(library)
    except ImportError as error:
        raise ImportError(f"{library} is needed here and cannot be imported ({error}); {INSTALL}") from error


def versions() -> dict[str, str]:
    """Return the versions of torch, Keras, JAX and Flax that are installed, without a build's suffix.

    Returns
    -------
    dict

    Raises
    ------
    ImportError
        If jax, keras or flax is not installed; the message says how to.
    """
    for library in ("keras", "jax", "flax"):
        load(library)
    return {library: version(library).split("+")[0] for library in (*LIBRARIES[:3], "flax")}


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
    return schemes.fans(shape if library in LIKE_TORCH else (shape[-1], shape[-2], *shape[:-2]))


def initializer(library: str, name: str, arguments: dict[str, Any], *, called: bool) -> Any:
    """Return a library's own initializer: for torch a function that fills a tensor, for the others what draws.

    A torch function with its arguments set is called on a tensor; the others make an initializer when `called`, or
    are one, as ``jax.nn.initializers.zeros`` is.
    """
    home = schemes if library == "initnotes" else attrgetter(NAMESPACES[library].partition(".")[2])(load(library))
    found = getattr(home, name)
    if library == "torch":
        return partial(found, **arguments)
    return found(**arguments) if called else found


def draw(
    library: str, make: Callable[[], Any], shape: tuple[int, ...], *, rng: np.random.Generator, replicas: int
) -> Array:
    """Draw by what `make` returns, a library's own initializer; the result is (replicas, *shape) in its own layout."""
    drawn_by = {"torch": _torch_draw, "keras": _keras_draw, "jax": _jax_draw, "initnotes": _own_draw}[library]
    return drawn_by(make, shape, rng, replicas)


def _torch_draw(make: Callable[[], Any], shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    import torch

    drawn, fill = torch.empty((replicas, *shape), dtype=torch.float64), make()
    with seeded(new_seed(rng)):
        for w in drawn:
            fill(w)
    return drawn.numpy()


def _keras_draw(make: Callable[[], Any], shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    keras, seed = load("keras"), new_seed(rng)
    with seeded(seed):  # an initializer without a seed takes one from Python's generator
        made = make()
    if hasattr(made, "seed"):
        made.seed = keras.random.SeedGenerator(seed)  # an integer would draw the same each time
    return np.array([array(made(shape, dtype="float64")) for _ in range(replicas)])


def _jax_draw(make: Callable[[], Any], shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    jax, made = load("jax"), make()
    with quick_compiler():
        keys = jax.random.split(jax.random.key(new_seed(rng)), replicas)
        return np.array([made(key, shape) for key in keys], dtype=np.float64)


def _own_draw(make: Callable[[], Any], shape: tuple[int, ...], rng: np.random.Generator, replicas: int) -> Array:
    scheme: schemes.Initializer = make()
    return scheme.sample(shape, rng, replicas=replicas)


def new_seed(rng: np.random.Generator) -> int:
    """Draw a seed that every library accepts."""
    return int(rng.integers(2**31))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
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


@contextlib.contextmanager
def quick_compiler() -> Iterator[None]:
    """Let XLA compile in a third of the time: each new shape is a new program, used a few times."""
    config = load("jax").config
    before = config.read("jax_disable_most_optimizations")
    config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        config.update("jax_disable_most_optimizations", before)


def array(parameter: Any) -> Array:
    """Return any library's tensor as float64; Keras's own conversion warns under NumPy 2."""
    value = getattr(parameter, "value", parameter)
    return np.asarray(value.detach().cpu().double().numpy() if hasattr(value, "detach") else value, dtype=np.float64)
