"""Which matrices move from zeros, and when; what a balanced batch does with a tilt: the measurements of chapter 2.

What lives here steps networks of the library and predicts from the data; the verdicts are the chapter's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from .. import _checks, _table
from ..networks import Ensemble
from ..networks.training import train
from .data import Dataset

__all__ = ["balanced", "by_hand", "class_signal", "first_moves", "shown_moves", "steps_to_fall", "tilt_growth"]


def by_hand(*activations: str, steps: int = 3, lr: float = 0.4) -> dict[str, list[Any]]:
    """Train a 2-2-1 network of zeros on the one example x = (1, 2), y = 1 with the loss (f - y)²/2, step by step.

    Parameters
    ----------
    *activations : str
        A network for each.
    steps : int
    lr : float

    Returns
    -------
    dict of str to list
        A column for each of: the activation, the step, f before it, and the parameters after it; a row per step.

    Examples
    --------
    >>> by_hand("sigmoid")["W₂"]
    ['(0.2, 0.2)', '(0.28, 0.28)', '(0.311, 0.311)']
    """
    heads = ("φ", "step", "f before", "b₂", "W₂", "W₁, unit 1", "W₁, unit 2")
    rows = [row for name in activations for row in _steps_by_hand(name, steps, lr)]
    return {head: [row[at] for row in rows] for at, head in enumerate(heads)}


def _steps_by_hand(activation: str, steps: int, lr: float) -> Iterator[list[Any]]:
    rng = np.random.default_rng(0)  # nothing is drawn: all weights are zero, and there is one example
    net = Ensemble((2, 2, 1), activation, "zeros", rng=rng, replicas=1)
    for step in range(1, steps + 1):
        before = net([[1.0, 2.0]]).item()
        train(net, [[1.0, 2.0]], [[1.0]], loss="mse", lr=lr, steps=1, rng=rng)
        after = [net.biases[1][0], net.weights[1][0, 0], *net.weights[0][0]]
        yield [activation, step, before, *map(_vector, after)]


def _vector(values: torch.Tensor) -> str:
    shown = ", ".join(_table.shown(float(value)) for value in values)
    return f"({shown})" if len(values) > 1 else shown


def first_moves(
    net: Ensemble,
    x: Any,
    y: Any,
    *,
    batch_size: int | None = None,
    steps: int = 5,
    lr: float = 0.5,
    least: float = 0.0,
    rng: np.random.Generator,
) -> np.ndarray:
    """Train `net` in place, one update at a time, and note at which one each weight matrix moves for the first time.

    Parameters
    ----------
    net : Ensemble
    x, y, batch_size, lr, rng
        As for `initnotes.training.train`.
    steps : int
    least : float
        A matrix has moved if one of its entries has changed by more than this in one update.

    Returns
    -------
    ndarray of int, shape (R, L)
        The first is update 1; 0 for a matrix that has not moved.

    Raises
    ------
    TypeError, ValueError
        As `initnotes.training.train`, or if `least` is negative.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> net = Ensemble((2, 2, 3), "sigmoid", "zeros", rng=rng, replicas=1)
    >>> first_moves(net, np.eye(2), [0, 1], rng=rng)
    array([[2, 1]])
    """
    least = _checks.real(least, "least", low=0.0)
    first = np.zeros((net.replicas, net.depth), dtype=np.int64)
    for step in range(1, _checks.integer(steps, "steps") + 1):
        before = [weight.clone() for weight in net.weights]
        train(net, x, y, lr=lr, steps=1, batch_size=batch_size, rng=rng)
        for layer, (old, new) in enumerate(zip(before, net.weights, strict=True)):
            moved = ((new - old).abs().flatten(1).amax(1) > least).numpy(force=True)
            first[moved & (first[:, layer] == 0), layer] = step
    return first


def shown_moves(moves: Any) -> str:
    """Return the first moves of all replicas as text: each answer that occurs, a dash for a matrix that has not moved.

    Parameters
    ----------
    moves : array of int, shape (R, L)
        As `first_moves` returns it.

    Examples
    --------
    >>> shown_moves([[2, 1], [2, 1], [0, 1]])
    '–, 1 or 2, 1'
    """
    answers = np.unique(np.asarray(moves), axis=0).tolist()
    return " or ".join(", ".join(str(step or "–") for step in answer) for answer in answers)


def balanced(data: Dataset, each: int, *, classes: int) -> Dataset:
    """Return the first `each` samples of each of the classes 0 … `classes` - 1.

    Raises
    ------
    TypeError, ValueError
        If a class has fewer samples.
    """
    each, classes = _checks.integer(each, "each"), _checks.integer(classes, "classes")
    places = [np.flatnonzero(data.y == label)[:each] for label in range(classes)]
    few = [label for label, found in enumerate(places) if len(found) < each]
    if few:
        raise ValueError(f"each must be at most the samples of a class, got {each}; classes {few} have fewer")
    chosen = np.concatenate(places)
    return Dataset(data.x[chosen], data.y[chosen])


def class_signal(x: Any, y: Any, *, classes: int) -> np.ndarray:
    """Return M, the mean over the samples of g xᵀ, where g is the gradient of the cross-entropy at equal logits.

    Row c of M is (mean of x − mean of x over class c)/C if all C classes are equally frequent: what the inputs say of
    the classes, to first order.

    Parameters
    ----------
    x : array, shape (samples, n_0)
    y : array of int, shape (samples,)
    classes : int

    Returns
    -------
    ndarray, shape (classes, n_0)

    Examples
    --------
    >>> class_signal([[1.0], [-1.0]], [0, 1], classes=2)
    array([[-0.5],
           [ 0.5]])
    """
    inputs, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    gradient = 1 / classes - (labels[:, None] == np.arange(classes))
    return gradient.T @ inputs / len(inputs)


def tilt_growth(x: Any, y: Any, *, classes: int, lr: float) -> float:
    """Return by which factor a step a small tilt grows, in a sigmoid network of zeros with one hidden layer.

    On a balanced batch zeros are a saddle. To second order the loss falls along W₁ and W₂ by tr(Mᵀ W₂ W₁)/4, with M
    of `class_signal` and σ′(0) = 1/4; its steepest direction curves by −s/4, where s is the largest singular value
    of M. So the tilt grows by 1 + lr · s/4 a step.

    Parameters
    ----------
    x, y, classes
        As for `class_signal`; all classes equally frequent.
    lr : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the classes are not equally frequent.

    Examples
    --------
    >>> tilt_growth([[1.0], [-1.0]], [0, 1], classes=2, lr=1.0) == 1 + 0.5**0.5 / 4
    True
    """
    counts = np.bincount(np.asarray(y), minlength=classes)
    if len(set(counts.tolist())) > 1:
        raise ValueError(f"y must hold all classes equally often, got {counts.tolist()}")
    return float(1 + lr * np.linalg.svd(class_signal(x, y, classes=classes), compute_uv=False)[0] / 4)


def steps_to_fall(
    widths: Sequence[int],
    start: Any,
    data: Dataset,
    *,
    at_most: int,
    lr: float = 2.0,
    replicas: int = 32,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return after how many full-batch steps a sigmoid network's loss has fallen 0.1 below ln C, shape (R,); else inf.

    Parameters
    ----------
    widths, replicas, rng
        As for `initnotes.networks.Ensemble`; C is the last width.
    start : scheme
        How the weights are drawn; the biases are zero.
    data : Dataset
    at_most, lr
        Steps of training and their learning rate.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> steps_to_fall((2, 4, 2), "zeros", Dataset(np.eye(2), np.arange(2)), at_most=50, replicas=1, rng=rng)
    array([inf])
    """
    net = Ensemble(widths, "sigmoid", start, rng=rng, replicas=replicas)
    return train(net, *data, lr=lr, steps=at_most, rng=rng).steps_to(np.log(widths[-1]) - 0.1)
