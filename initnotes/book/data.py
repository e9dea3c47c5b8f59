"""Real and synthetic data that need no download.

What lives here returns arrays with a fixed meaning; batches and their order belong to ``training``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _checks
from .languages import Markov, markov

__all__ = ["Dataset", "Markov", "Split", "digits", "gaussian_clouds", "markov", "two_spirals"]


class Dataset(NamedTuple):
    """Inputs `x`, float64, shape (samples, features), and class labels `y`, int64, shape (samples,)."""

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
