"""A language whose entropy is known: tokens drawn by a Markov chain of any order.

What lives here draws sequences and says how well anything can predict them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .. import _checks

__all__ = ["Markov", "Sequences", "markov"]

LARGEST = 2**22  # numbers in a table of transitions


class Sequences(NamedTuple):
    """Tokens `x` as float64, as networks take inputs, and the next of each, `y` as int64; shape (samples, length)."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, repr=False)
class Markov:
    """A stationary Markov chain: the next token depends on the last `order` ones.

    Attributes
    ----------
    transitions : ndarray, shape (V, …, V), order + 1 axes
        Probability of the next token, the last axis, after those of the axes before, the oldest first.
    stationary : ndarray, shape (V, …, V), order axes
        How often each context of `order` tokens occurs, in the long run and at the start of a sequence.
    """

    transitions: np.ndarray
    stationary: np.ndarray

    @property
    def vocabulary(self) -> int:
        """V, the number of tokens."""
        return int(self.transitions.shape[-1])

    @property
    def order(self) -> int:
        """How many tokens the next one depends on."""
        return self.stationary.ndim

    @property
    def entropies(self) -> np.ndarray:
        """Entropy of the next token in nats for who knows the last 0, 1, … `order` tokens, shape (order + 1,).

        Exact. These are the losses on which a learner that has not yet found a longer context stays for a while.
        """
        joint = self.stationary[..., None] * self.transitions
        found = []
        for _ in range(self.order + 1):
            found.append(_entropy(joint) - _entropy(joint.sum(-1)))
            joint = joint.sum(0)
        return np.array(found[::-1])

    @property
    def entropy(self) -> float:
        """Entropy of the next token in nats: the smallest loss that can be had."""
        return float(self.entropies[-1])

    def best_loss(self, length: int) -> float:
        """Return the smallest mean loss over the tokens of sequences of this length: the first ones have less context.

        Raises
        ------
        TypeError, ValueError
            If `length` is not a whole number above 0.
        """
        seen = np.arange(1, _checks.integer(length, "length") + 1)
        return float(self.entropies[np.minimum(seen, self.order)].mean())

    def sequences(self, samples: int, length: int, *, rng: np.random.Generator) -> Sequences:
        """Draw sequences, with the next token of each token.

        Parameters
        ----------
        samples, length : int
        rng : numpy.random.Generator

        Returns
        -------
        Sequences
            The first context is a stationary one.

        Raises
        ------
        TypeError, ValueError
            If a number is not a whole number above 0, or `rng` is no Generator.
        """
        samples, length = _checks.integer(samples, "samples"), _checks.integer(length, "length")
        first = _checks.generator(rng).choice(self.stationary.size, size=samples, p=self.stationary.ravel())
        drawn = list(np.unravel_index(first, self.stationary.shape))
        cumulative = self.transitions.cumsum(-1)
        cumulative[..., -1] = 1.0  # whatever the rounding, a number below 1 is below it
        while len(drawn) < length + 1:
            rows = cumulative[tuple(drawn[-self.order :])]
            drawn.append((rng.random((samples, 1)) >= rows).sum(-1))
        tokens = np.stack(drawn, axis=1)[:, : length + 1].astype(np.int64)
        return Sequences(tokens[:, :-1].astype(float), tokens[:, 1:])

    def __repr__(self) -> str:
        sizes = f"vocabulary {self.vocabulary}, order {self.order}"
        return f"Markov({sizes}, entropies {', '.join(f'{own:.3f}' for own in self.entropies)})"


def _entropy(p: np.ndarray) -> float:
    kept = p[p > 0]
    return float(-(kept * np.log(kept)).sum())


def markov(vocabulary: int, order: int, *, spread: float = 2.0, rng: np.random.Generator) -> Markov:
    """Draw a language: after every context, the logits of the next token are independent normal numbers.

    Parameters
    ----------
    vocabulary : int
        V, 2 or more.
    order : int
        How many tokens the next one depends on.
    spread : float
        Standard deviation of the logits: 0 makes all tokens equally likely, a large one nearly certain.
    rng : numpy.random.Generator

    Returns
    -------
    Markov

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or the table of transitions would have more than 2²² numbers.

    Examples
    --------
    >>> language = markov(16, 2, rng=np.random.default_rng(1))
    >>> bool(language.entropy < language.entropies[1] < language.entropies[0] < np.log(16))
    True
    >>> x, y = language.sequences(5, 12, rng=np.random.default_rng(2))
    >>> x.shape, bool((x[:, 1:] == y[:, :-1]).all())
    ((5, 12), True)
    """
    V, order = _checks.integer(vocabulary, "vocabulary", low=2), _checks.integer(order, "order")
    spread = _checks.real(spread, "spread", low=0.0)
    if V ** (order + 1) > LARGEST:
        raise ValueError(f"vocabulary ** (order + 1) must be at most {LARGEST}, got {V} ** {order + 1}")
    logits = spread * _checks.generator(rng).standard_normal((V,) * (order + 1))
    transitions = np.exp(logits - logits.max(-1, keepdims=True))
    transitions /= transitions.sum(-1, keepdims=True)
    return Markov(transitions, _stationary(transitions))


def _stationary(transitions: np.ndarray) -> np.ndarray:
    """Return the law that a step of the chain keeps: there is one, as all transitions are possible."""
    contexts = np.full(transitions.shape[:-1], 1.0 / transitions[..., 0].size)
    for _ in range(100_000):
        before, contexts = contexts, (contexts[..., None] * transitions).sum(0)
        if abs(contexts - before).sum() < 1e-15:
            break
    return np.asarray(contexts / contexts.sum())
