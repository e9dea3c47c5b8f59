"""Seeds: what a seed fixes in each library, by trying.

What lives here draws twice and compares; nothing here knows a law.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from .. import _checks
from .._table import Table, shown, table
from ..schemes import Array
from .libraries import array, load, quick_compiler, seeded

__all__ = ["seeding", "sparse_leak"]


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
    tried = {"torch": _torch_answers(seed), "keras": _keras_answers(seed), "jax": _jax_answers(seed)}
    columns = {library: map(shown, answers) for library, answers in tried.items()}
    return table({"question": _QUESTIONS, **columns}, caption="What a seed fixes")


_QUESTIONS = (
    "same seed, fresh start: the same weights?",
    "the same object or generator again: the same weights?",
    "float64 for float32 (JAX: float16): the same weights, rounded?",
    "a shape with as many entries: the same numbers?",
    "a longer array: does it begin with the same numbers?",
    "does a draw without a seed move a global generator?",
    "does a draw with a seed move a global generator?",
)


def _answers(draw: Callable[..., Array], again: bool, moves: tuple[bool | None, bool]) -> list[bool | None]:
    """Ask what any library can be asked; `draw(shape, dtype)` starts afresh from the seed."""
    base = draw((64,), "float32")  # a multiple of 16: torch draws the last 16 anew where a length is not one
    tried = [
        np.array_equal(base, draw((64,), "float32")),
        again,
        np.allclose(base, draw((64,), "float64"), rtol=1e-2, atol=1e-2),
        np.array_equal(base, draw((8, 8), "float32").ravel()),
        np.array_equal(base, draw((128,), "float32")[:64]),
    ]
    return [*tried, *moves]


def _torch_answers(seed: int) -> list[bool | None]:
    import torch

    def torch_draw(shape: tuple[int, ...], dtype: str) -> Array:
        generator = torch.Generator().manual_seed(seed)
        w = torch.empty(shape, dtype=getattr(torch, dtype))
        return torch.nn.init.normal_(w, generator=generator).numpy().astype(np.float64)

    generator = torch.Generator().manual_seed(seed)
    twice = [torch.nn.init.normal_(torch.empty(8), generator=generator) for _ in range(2)]
    with seeded(seed):
        state = torch.get_rng_state()
        torch.nn.init.normal_(torch.empty(8), generator=generator)
        with_seed = not torch.equal(state, torch.get_rng_state())
        torch.nn.init.normal_(torch.empty(8))
        without = not torch.equal(state, torch.get_rng_state())
    return _answers(torch_draw, torch.equal(*twice), (without, with_seed))


def _keras_answers(seed: int) -> list[bool | None]:
    keras = load("keras")

    def keras_draw(shape: tuple[int, ...], dtype: str) -> Array:
        initializer = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        return array(initializer(shape, dtype=dtype))

    import torch

    with seeded(seed):
        before = random.getstate(), torch.get_rng_state()
        repeating = keras.initializers.RandomNormal(seed=seed)
        twice = [array(repeating((8,))) for _ in range(2)]
        with_seed = random.getstate() != before[0] or not torch.equal(before[1], torch.get_rng_state())
        keras.initializers.RandomNormal()((8,))
        without = random.getstate() != before[0]
    return _answers(keras_draw, np.array_equal(twice[0], twice[1]), (without, with_seed))


def _jax_answers(seed: int) -> list[bool | None]:
    jax = load("jax")
    key = jax.random.key(seed)

    def jax_draw(shape: tuple[int, ...], dtype: str) -> Array:
        # JAX has no float64 unless it is asked for at the start
        drawn = jax.nn.initializers.normal(1.0)(key, shape, {"float64": "float16"}.get(dtype, dtype))
        return np.asarray(drawn, dtype=np.float64)

    with quick_compiler():
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
    with seeded(seed):
        state = torch.get_rng_state()
        generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
        drawn = [torch.nn.init.sparse_(torch.empty(64, 64), 0.5, generator=generator) for generator in generators]
        return torch.equal(*drawn), not torch.equal(state, torch.get_rng_state())
