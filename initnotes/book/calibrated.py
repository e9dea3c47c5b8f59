"""What a start that was measured on a batch does to inputs that were not in it.

What lives here predicts for the chapter on such starts; the starts themselves are ``initnotes.lsuv_``.
"""

from __future__ import annotations

import math

import numpy as np

from .. import _checks
from .rectified import next_cosine

__all__ = ["unseen_growth", "unseen_squares"]


def unseen_squares(batch: int, layers: int) -> np.ndarray:
    """Return the mean square of the pre-activations of an unseen input in ReLU layers that are scaled unit by unit.

    Each unit has mean 0 and variance 1 over a batch of B inputs. For wide layers, and inputs as good as uncorrelated:
    those of the batch have the correlation c = −1/(B−1), as their means are taken off, and κ = E φ(z) φ(z′) is that of
    `initnotes.theory.gradient_factor`. With D = (1 − 1/B)(½ − κ)(B − 3)/(B − 1),

        q₁ = (B + 1)/(B − 3),  q' = (q/2 − √q/π + (½ + (B − 1) κ)/B)/D.

    The last factor of D is 1/E(1/s²) of a variance s² from B normal numbers. In a large batch q = 1 stays, but a q
    above 1 grows; what a small batch adds in each layer makes it grow after about 3 √B layers.

    Parameters
    ----------
    batch : int
        B, 4 or more.
    layers : int

    Returns
    -------
    ndarray, shape (layers,)

    Examples
    --------
    >>> unseen_squares(64, 30)[[0, 9, 29]].round(1)
    array([ 1.1,  1.6, 39.2])
    """
    batch, layers = _checks.integer(batch, "batch", low=4), _checks.integer(layers, "layers")
    kappa, spread = _of_batch(batch)
    squares = [(batch + 1) / (batch - 3)]
    for _ in range(layers - 1):
        q = squares[-1]
        squares.append((q / 2 - math.sqrt(q) / math.pi + (0.5 + (batch - 1) * kappa) / batch) / spread)
    return np.array(squares)


def unseen_growth(batch: int) -> float:
    """Return the factor on the mean square of ∂loss/∂z a layer, going backward, of an unseen input: ½/D.

    In a large batch it is π/(π − 1), that of batch normalization.

    Parameters
    ----------
    batch : int
        B, 4 or more; the other symbols are those of `unseen_squares`.

    Examples
    --------
    >>> [round(unseen_growth(batch), 2) for batch in (8, 64, 10**6)]
    [2.13, 1.52, 1.47]
    """
    return 0.5 / _of_batch(_checks.integer(batch, "batch", low=4))[1]


def _of_batch(batch: int) -> tuple[float, float]:
    """Return κ, and what a unit's pre-activations are divided by squared."""
    c = -1 / (batch - 1)
    kappa = float(next_cosine(c)) / 2
    return kappa, (1 - 1 / batch) * (0.5 - kappa) * (batch - 3) / (batch - 1)
