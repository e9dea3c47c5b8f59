"""Real and synthetic data that need no download.

What lives here returns arrays with a fixed meaning; batches and their order belong to ``training``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import _checks
from .languages import Markov, markov

__all__ = ["Dataset", "Markov", "Split"]
__all__ += ["digits", "gaussian_clouds", "markov", "only", "parity", "rotated", "shifted", "tree", "two_spirals"]


class Dataset(NamedTuple):
    """Inputs `x`, float64, shape (samples, features), and class labels `y`, int64, shape (samples,).

    Where a function says so, `y` has targets instead, float64, shape (samples, outputs).
    """

    x: np.ndarray
    y: np.ndarray


class Split(NamedTuple):
    """A data set cut in two: `train` to learn from, `test` to judge by."""

    train: Dataset
    test: Dataset


def digits() -> Split:
    """Return the 8 × 8 handwritten digits that come with scikit-learn, normalized, in a fixed split.

    Every pixel has mean 0 over the training images, and one common factor gives the training inputs a second moment of
    1. The split is stratified, 1437 images to train and 360 to test, and the same in every call.

    Returns
    -------
    Split
        x of shape (1437, 64) and (360, 64); y in 0 … 9.

    References
    ----------
    Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.

    Examples
    --------
    >>> train, test = digits()
    >>> train.x.shape, test.x.shape, round(float((train.x**2).mean()), 6)
    ((1437, 64), (360, 64), 1.0)
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x, y.astype(np.int64), test_size=360, stratify=y, random_state=0)
    x_train, x_test, y_train, y_test = parts
    mean = x_train.mean(axis=0)
    scale = np.sqrt(((x_train - mean) ** 2).mean())
    return Split(Dataset((x_train - mean) / scale, y_train), Dataset((x_test - mean) / scale, y_test))


def only(data: Dataset, classes: Sequence[int]) -> Dataset:
    """Return the samples of some classes, whose labels are then 0, 1, … in the order given.

    Parameters
    ----------
    data : Dataset
    classes : sequence of int
        Different labels of it.

    Returns
    -------
    Dataset

    Raises
    ------
    TypeError, ValueError
        If a class is named twice or has no sample.

    Examples
    --------
    >>> only(Dataset(np.eye(4), np.array([0, 7, 5, 7])), [7, 5]).y
    array([0, 1, 0])
    """
    wanted = [_checks.integer(label, "classes", low=0) for label in classes]
    if len(set(wanted)) < max(1, len(wanted)) or not set(wanted) <= set(np.unique(data.y).tolist()):
        raise ValueError(f"classes must be different labels of the data, at least one, got {list(classes)!r}")
    at = np.isin(data.y, wanted)
    new = np.full(max(wanted) + 1, -1)
    new[wanted] = np.arange(len(wanted))
    return Dataset(data.x[at], new[data.y[at]])


def rotated(data: Dataset, quarters: int = 1) -> Dataset:
    """Return square images turned against the clock by so many quarters.

    Parameters
    ----------
    data : Dataset
        Whose inputs are square images row by row, such as `digits`.
    quarters : int
        Any; 4 change nothing.

    Returns
    -------
    Dataset

    Raises
    ------
    TypeError, ValueError
        If the inputs are no square images, or `quarters` is no integer.

    Examples
    --------
    >>> rotated(Dataset(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([0]))).x
    array([[2., 4., 1., 3.]])
    """
    turned = np.rot90(_images(data), _checks.integer(quarters, "quarters", low=-(10**9)), axes=(1, 2))
    return Dataset(turned.reshape(data.x.shape), data.y)


def shifted(data: Dataset, rows: int, columns: int) -> Dataset:
    """Return square images moved down by so many rows and to the right by so many columns, up and left if negative.

    What comes in is 0, which in `digits` is each pixel's mean.

    Parameters
    ----------
    data : Dataset
        Whose inputs are square images row by row.
    rows, columns : int
        Less than the side of an image.

    Returns
    -------
    Dataset

    Raises
    ------
    TypeError, ValueError
        If the inputs are no square images, or a shift is no integer or moves all of an image out.

    Examples
    --------
    >>> shifted(Dataset(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([0])), 1, 0).x
    array([[0., 0., 1., 2.]])
    """
    images = _images(data)
    side = images.shape[1]
    moves = [_checks.integer(by, name, low=1 - side) for name, by in (("rows", rows), ("columns", columns))]
    if max(moves) >= side:
        raise ValueError(f"rows and columns must be less than {side}, the side of an image, got {moves}")
    into, out_of = ([slice(max(0, sign * by), side + min(0, sign * by)) for by in moves] for sign in (1, -1))
    moved = np.zeros_like(images)
    moved[:, *into] = images[:, *out_of]
    return Dataset(moved.reshape(data.x.shape), data.y)


def _images(data: Dataset) -> np.ndarray:
    side = math.isqrt(data.x.shape[-1])
    if data.x.ndim != 2 or side**2 != data.x.shape[1]:
        raise ValueError(f"inputs must be square images, shape (samples, side²), got {data.x.shape}")
    return data.x.reshape(-1, side, side)


def gaussian_clouds(
    samples: int = 200, features: int = 20, classes: int = 5, *, separation: float = 1.0, rng: np.random.Generator
) -> Dataset:
    """Draw classes that are normal clouds around random centers, as many samples of each.

    Parameters
    ----------
    samples : int
        In all; a multiple of `classes`.
    features, classes : int
    separation : float
        Standard deviation of a center's coordinates; the clouds have standard deviation 1.
    rng : numpy.random.Generator

    Returns
    -------
    Dataset
        In order of the classes: label ``i % classes`` for sample i.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, `samples` is not a multiple of `classes` or `rng` is no Generator.

    Examples
    --------
    >>> gaussian_clouds(10, 3, 5, rng=np.random.default_rng(1)).y
    array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
    """
    samples, features = _checks.integer(samples, "samples"), _checks.integer(features, "features")
    classes = _checks.integer(classes, "classes", low=2)
    separation = _checks.real(separation, "separation", low=0.0)
    if samples % classes:
        raise ValueError(f"samples must be a multiple of classes, got {samples} samples for {classes} classes")
    centers = separation * _checks.generator(rng).standard_normal((classes, features))
    y = np.arange(samples) % classes
    return Dataset(centers[y] + rng.standard_normal((samples, features)), y)


def parity(bits: int = 30, hidden: int = 2, *, train: int = 200, test: int = 1000, rng: np.random.Generator) -> Split:
    """Draw inputs of random signs, whose target is the product of the first few: the others say nothing of it.

    No input is drawn twice, so that none of the test's is known from training.

    Parameters
    ----------
    bits : int
        Of each input, 62 at most.
    hidden : int
        How many of them, the first ones, make the target; `bits` at most.
    train, test : int
        Samples to learn from and to judge by, at most 2^bits together.
    rng : numpy.random.Generator

    Returns
    -------
    Split
        x of shape (train, bits) and (test, bits), entries ±1; y targets ±1, float64, shape (train, 1) and (test, 1).

    Raises
    ------
    TypeError, ValueError
        If a number is out of range or `rng` is no Generator.

    References
    ----------
    Daniely & Malach, "Learning parities with neural networks", NeurIPS 2020; Barak et al., "Hidden progress in deep
    learning", NeurIPS 2022: sparse parities as what a kernel cannot learn from few samples and a network can.

    Examples
    --------
    >>> train, test = parity(5, train=4, test=9, rng=np.random.default_rng(1))
    >>> train.x.shape, test.y.shape, bool((train.y[:, 0] == train.x[:, 0] * train.x[:, 1]).all())
    ((4, 5), (9, 1), True)
    """
    bits, hidden = _checks.integer(bits, "bits"), _checks.integer(hidden, "hidden")
    train, test = _checks.integer(train, "train"), _checks.integer(test, "test")
    if bits > 62 or hidden > bits or train + test > 2**bits:
        given = f"{hidden} hidden of {bits} bits and {train} + {test} samples"
        raise ValueError(f"parity has at most 62 bits, hidden ones among them, and 2^bits samples, got {given}")
    codes = _checks.generator(rng).choice(2**bits, train + test, replace=False)
    x = 2.0 * (codes[:, None] >> np.arange(bits) & 1) - 1
    y = x[:, :hidden].prod(axis=1, keepdims=True)
    return Split(Dataset(x[:train], y[:train]), Dataset(x[train:], y[train:]))


def tree(levels: int = 3) -> Dataset:
    """Return things that a binary tree sorts, and their properties: one for each node, which all below it share.

    Property 0 is that of the root, 1 and 2 are those of its halves, and so on; the last ones belong to one item each.
    With 3 levels, 8 items have 15 properties.

    Parameters
    ----------
    levels : int
        Below the root, 10 at most.

    Returns
    -------
    Dataset
        x, of 2^levels items, is the identity times the root of their number, so that its second moments are the
        identity; y has targets 0 or 1, float64, shape (2^levels, 2^(levels + 1) - 1).

    Raises
    ------
    TypeError, ValueError
        If `levels` is out of range.

    References
    ----------
    Saxe, McClelland & Ganguli, ICLR 2014, figure 2, and "A mathematical theory of semantic development in deep neural
    networks", PNAS 116, 2019: such trees, with other properties.

    Examples
    --------
    >>> tree(1).y
    array([[1., 1., 0.],
           [1., 0., 1.]])
    """
    levels = _checks.integer(levels, "levels")
    if levels > 10:
        raise ValueError(f"levels must be at most 10, got {levels}")
    items = 2**levels
    shared = [np.repeat(np.eye(2**level), items // 2**level, axis=0) for level in range(levels + 1)]
    return Dataset(np.eye(items) * items**0.5, np.concatenate(shared, axis=1))


def two_spirals(samples: int = 200, *, turns: float = 1.5, noise: float = 0.05, rng: np.random.Generator) -> Dataset:
    """Draw two interleaved spirals in the plane: a small problem that no linear model solves.

    Parameters
    ----------
    samples : int
        In all; an even number.
    turns : float
        How often each arm winds around the origin.
    noise : float
        Standard deviation of the normal noise on each coordinate.
    rng : numpy.random.Generator

    Returns
    -------
    Dataset
        x of shape (samples, 2), radius at most 1 before noise; y in {0, 1}, alternating.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, `samples` is odd or `rng` is no Generator.

    Examples
    --------
    >>> two_spirals(4, rng=np.random.default_rng(1)).x.shape
    (4, 2)
    """
    samples = _checks.integer(samples, "samples", low=2)
    turns = _checks.real(turns, "turns", low=0.0, strict=True)
    noise = _checks.real(noise, "noise", low=0.0)
    if samples % 2:
        raise ValueError(f"samples must be even, half for each spiral, got {samples}")
    y = np.arange(samples) % 2
    radius = np.sqrt(_checks.generator(rng).uniform(size=samples))  # uniform along the area, not crowded at the center
    angle = 2 * np.pi * turns * radius + np.pi * y
    arms = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return Dataset(arms + noise * rng.standard_normal((samples, 2)), y)
