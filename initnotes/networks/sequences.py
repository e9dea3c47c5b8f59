"""Tasks for networks that read sequences, which memory alone solves.

What lives here draws sequences and their labels; it knows no network.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import _checks

__all__ = ["adding", "first_sign", "last_sign"]


def first_sign(length: int, batch: int, *, rng: np.random.Generator, replicas: int = 32) -> tuple[Tensor, Tensor]:
    """Draw sequences of random signs, the first one marked; the label is whether that one is positive.

    Parameters
    ----------
    length : int
        T, the number of time steps.
    batch : int
    rng : numpy.random.Generator
    replicas : int
        R.

    Returns
    -------
    x : Tensor, shape (R, batch, T, 2)
        The sign, and the mark: 1 at the first step, else 0.
    y : Tensor of int64, shape (R, batch)

    Raises
    ------
    TypeError, ValueError
        If a number is below 1 or `rng` is no Generator.

    Examples
    --------
    >>> x, y = first_sign(5, 3, rng=np.random.default_rng(1), replicas=1)
    >>> x.shape, bool(((x[..., 0, 0] > 0) == y).all())
    (torch.Size([1, 3, 5, 2]), True)
    """
    signs = _signs(length, batch, replicas, rng)
    marks = np.zeros(signs.shape)
    marks[..., 0] = 1.0
    return _labeled(signs, marks, signs[..., 0])


def last_sign(
    length: int, batch: int, *, rng: np.random.Generator, marks: float = 0.5, replicas: int = 32
) -> tuple[Tensor, Tensor]:
    """Draw sequences of random signs, several of them marked; the label is whether the last of these is positive.

    A network must keep a sign and give it up for the next one: memory that only keeps does not help.

    Parameters
    ----------
    length : int
        T, the number of time steps.
    batch : int
    rng : numpy.random.Generator
    marks : float
        How likely a step is to be marked, in (0, 1]; the first one always is.
    replicas : int
        R.

    Returns
    -------
    x : Tensor, shape (R, batch, T, 2)
        The sign, and the mark, 1 or 0.
    y : Tensor of int64, shape (R, batch)

    Raises
    ------
    TypeError, ValueError
        If a number is out of range or `rng` is no Generator.

    Examples
    --------
    >>> x, y = last_sign(5, 3, rng=np.random.default_rng(1), replicas=1)
    >>> x.shape, bool((x[:, :, 0, 1] == 1).all())
    (torch.Size([1, 3, 5, 2]), True)
    """
    chance = _checks.real(marks, "marks", low=0.0, strict=True)
    if chance > 1:
        raise ValueError(f"marks must be a probability, at most 1, got {chance:g}")
    signs = _signs(length, batch, replicas, rng)
    marked = rng.random(signs.shape) < chance
    marked[..., 0] = True
    last = signs.shape[-1] - 1 - marked[..., ::-1].argmax(-1)
    return _labeled(signs, marked.astype(float), np.take_along_axis(signs, last[..., None], -1)[..., 0])


def adding(length: int, batch: int, *, rng: np.random.Generator, replicas: int = 32) -> tuple[Tensor, Tensor]:
    """Draw sequences of numbers in [0, 1], one marked in each half; the target is the sum of the two.

    Always answering 1 has a mean squared error of 1/6.

    Parameters
    ----------
    length : int
        T, the number of time steps, 2 or more.
    batch : int
    rng : numpy.random.Generator
    replicas : int
        R.

    Returns
    -------
    x : Tensor, shape (R, batch, T, 2)
        The number, and the mark, 1 or 0.
    y : Tensor, shape (R, batch, 1)

    Raises
    ------
    TypeError, ValueError
        If a number is out of range or `rng` is no Generator.

    References
    ----------
    Hochreiter & Schmidhuber, Neural Computation 9, 1997: the adding problem. Where the marks stand differs from paper
    to paper; here each half has one, as in Arjovsky, Shah & Bengio, ICML 2016.

    Examples
    --------
    >>> x, y = adding(6, 4, rng=np.random.default_rng(1), replicas=1)
    >>> bool(torch.allclose((x[..., 0] * x[..., 1]).sum(-1), y[..., 0]))
    True
    """
    sizes = {"replicas": replicas, "batch": batch}
    shape = tuple(_checks.integer(size, name) for name, size in sizes.items())
    T = _checks.integer(length, "length", low=2)
    numbers = _checks.generator(rng).random((*shape, T))
    marks = np.zeros(numbers.shape)
    for low, high in ((0, T // 2), (T // 2, T)):
        np.put_along_axis(marks, rng.integers(low, high, (*shape, 1)), 1.0, -1)
    x = np.stack([numbers, marks], axis=-1)
    return torch.from_numpy(x), torch.from_numpy((numbers * marks).sum(-1, keepdims=True))


def _signs(length: int, batch: int, replicas: int, rng: np.random.Generator) -> np.ndarray:
    sizes = {"replicas": replicas, "batch": batch, "length": length}
    shape = tuple(_checks.integer(size, name) for name, size in sizes.items())
    return _checks.generator(rng).choice([-1.0, 1.0], shape)


def _labeled(signs: np.ndarray, marks: np.ndarray, asked: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.stack([signs, marks], axis=-1)), torch.from_numpy((asked > 0).astype(np.int64))
