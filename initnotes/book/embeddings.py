"""Embeddings and the first loss: what a model says before training when its output has weights of its own, or is tied.

What lives here serves the chapter on frameworks. Logits are drawn as a model would make them; only `stream_loss` builds
one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import logsumexp

from .. import _checks
from ..frameworks.libraries import new_seed, seeded
from ..layers import initialize_
from ..schemes import Array

__all__ = ["CASES", "first_loss", "log_partition", "stream_loss"]

CASES: dict[str, dict[str, bool]] = {
    "own output weights": {"tied": False},
    "tied": {},
    "tied, skips": {"skips": True},
    "tied, std 1/√d": {"scaled": True},
}
"""Name to the options of `first_loss`."""


def log_partition(variance: float, *, vocabulary: int = 500, own: float = -math.inf) -> float:
    """Return E ln Σ exp(z) over independent normal logits z, exactly up to the integral over a grid.

    With G of the Gumbel distribution and independent of z, P(ln Σ exp(z) + G ≤ x) = (E exp(-exp(z - x)))^V, and the
    mean of G is Euler's constant. A logit that is given is one more factor, exp(-exp(own - x)).

    Parameters
    ----------
    variance : float
        Of a logit, greater than 0.
    vocabulary : int
        V, the number of normal logits.
    own : float
        One more logit, which is not random; minus infinity for none.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number as said.

    Examples
    --------
    Of a small variance the loss of a fair guess is ln V plus half the variance:

    >>> round(log_partition(0.01) - float(np.log(500)), 4)
    0.005
    >>> round(log_partition(64.0, own=64.0), 1)
    64.0
    """
    variance = _checks.real(variance, "variance", low=0, strict=True)
    vocabulary = _checks.integer(vocabulary, "vocabulary")
    xi, step = np.linspace(-9, 9, 2001, retstep=True)
    weight = np.exp(-(xi**2) / 2) / np.sqrt(2 * np.pi) * step
    z = variance**0.5 * xi
    x = np.linspace(z[0] - 5, max(z[-1], own) + 30, 3000)
    below = np.array([np.exp(-np.exp(z - at)) @ weight for at in x]) ** vocabulary
    below *= np.exp(-np.exp(np.minimum(own - x, 700)))
    return float(x[0] + np.trapezoid(1 - below, x) - np.euler_gamma)


def first_loss(
    width: int,
    *,
    rng: np.random.Generator,
    tied: bool = True,
    skips: bool = False,
    scaled: bool = False,
    vocabulary: int = 500,
) -> tuple[Array, Array]:
    """Draw 32 embeddings from N(0, 1) and return what a model with them says before training.

    Parameters
    ----------
    width : int
        d, the components of a row.
    rng : numpy.random.Generator
    tied : bool
        Whether the array makes the logits as well; otherwise a linear layer of its own does, as torch's comes.
    skips : bool
        Whether the last hidden vector is the token's own row, normalized; otherwise it is independent of the array.
    scaled : bool
        Whether the rows have the standard deviation 1/√d instead of 1.
    vocabulary : int

    Returns
    -------
    spread, loss : ndarray, shape (32,)
        Standard deviation of the logits, and the mean loss of 128 tokens each of which is followed by another one.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    Examples
    --------
    >>> spread, loss = first_loss(64, rng=np.random.default_rng(0))
    >>> round(spread.mean()), loss.mean() > 20
    (8, np.True_)
    """
    width, vocabulary = _checks.integer(width, "width"), _checks.integer(vocabulary, "vocabulary", low=2)
    ends = width**-0.5
    rows = (ends if scaled else 1.0) * _checks.generator(rng).standard_normal((32, vocabulary, width))
    token = rng.integers(vocabulary, size=(32, 128))
    target = (token + rng.integers(1, vocabulary, size=token.shape)) % vocabulary
    h: Any = rows[np.arange(32)[:, None], token] if skips else rng.standard_normal((32, 128, width))
    h = h / np.sqrt((h**2).mean(axis=2, keepdims=True))  # a normalization
    output = rows if tied else rng.uniform(-ends, ends, rows.shape)
    logits = h @ output.swapaxes(1, 2)
    right = np.take_along_axis(logits, target[:, :, None], axis=2)[:, :, 0]
    return logits.std(axis=(1, 2)), (logsumexp(logits, axis=2) - right).mean(axis=1)


def stream_loss(
    width: int, layers: int, *, rng: np.random.Generator, scheme: str | None = None, vocabulary: int = 500
) -> tuple[Array, Array]:
    """Build 16 tied models of pre-norm blocks with rows of N(0, 1), and return what they say before training.

    A model is the embedding, `layers` of ``nn.TransformerEncoderLayer(width, 4, 4 * width, norm_first=True)`` without
    dropout and without a mask, a LayerNorm, and the embedding again.

    Parameters
    ----------
    width : int
        A multiple of 4.
    layers : int
        0 or more.
    rng : numpy.random.Generator
    scheme : str, optional
        What draws the blocks' weights; without it they are as torch makes them.
    vocabulary : int

    Returns
    -------
    cosine, loss : ndarray, shape (16,)
        Between the last hidden vector and the token's own row; and of 64 tokens each of which is followed by another.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said.

    Examples
    --------
    >>> cosine, loss = stream_loss(64, 0, rng=np.random.default_rng(0))
    >>> round(cosine.mean()), bool(abs(loss.mean() / 64 - 1) < 0.05)
    (1, True)
    """
    from torch import float64, from_numpy, nn, no_grad

    width, layers = _checks.integer(width, "width", low=4), _checks.integer(layers, "layers", low=0)
    vocabulary, generator = _checks.integer(vocabulary, "vocabulary", low=2), _checks.generator(rng)
    how: Any = {"dropout": 0.0, "norm_first": True, "batch_first": True, "dtype": float64}
    seen = []
    for _ in range(16):
        with seeded(new_seed(generator)):
            blocks = [nn.TransformerEncoderLayer(width, 4, 4 * width, **how) for _ in range(layers)]
        model = nn.Sequential(*blocks, nn.LayerNorm(width, dtype=float64))
        if scheme is not None and blocks:
            initialize_(model, scheme, rng=generator)
        rows = from_numpy(generator.standard_normal((vocabulary, width)))
        token = from_numpy(generator.integers(vocabulary, size=64))
        target = (token + from_numpy(generator.integers(1, vocabulary, size=64))) % vocabulary
        with no_grad():
            h = model(rows[token][None])[0]
            cosine = nn.functional.cosine_similarity(h, rows[token], dim=1).mean()
            seen.append((float(cosine), float(nn.functional.cross_entropy(h @ rows.T, target))))
    cosines, losses = np.array(seen).T
    return cosines, losses
