"""Weights that are several matrices one below the other: gates, projections.

What lives here draws each part by a law of its own; the laws are in ``schemes``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import _checks
from .draws import Array
from .initializer import Fans, Initializer

__all__ = ["Stacked", "per_gate"]


@dataclass(frozen=True)
class Stacked(Initializer):
    """Draw a weight in equal parts along its first axis, each by its own law and with the fans of its own shape.

    Parameters
    ----------
    laws : tuple of Initializer

    Raises
    ------
    ValueError
        When it draws a weight whose first axis is no multiple of their number.
    """

    laws: tuple[Initializer, ...]

    @property
    def name(self) -> str:
        """The names of the laws; that of a single law once, with the number of parts."""
        names = [law.name for law in self.laws]
        return ", ".join(names) if len(set(names)) > 1 else f"{names[0]}, {len(names)} parts"

    def _part(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        rows, rest = divmod(shape[0], len(self.laws))
        if rest:
            raise ValueError(
                f"the first axis must be a multiple of {len(self.laws)}, one part for each law, got shape {shape}; "
                "torch keeps the gates of an LSTM as (4n, fan_in), of a GRU as (3n, fan_in)"
            )
        return rows, *shape[1:]

    def _std(self, shape: tuple[int, ...], fans: Fans) -> float:
        part = self._part(shape)
        return math.sqrt(float(np.mean([law.std(part) ** 2 for law in self.laws])))

    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array:
        part = self._part(shape)
        return np.concatenate([law.sample(part, rng, *lead, dtype=dtype) for law in self.laws], axis=len(lead))


def per_gate(each: Initializer, gates: int = 4) -> Initializer:
    """Return what draws each gate of a recurrent kernel by itself, with the fans of its own n rows.

    A (4n, n) kernel drawn as one is not four orthogonal matrices: each has an rms singular value of 1/2.
    `initialize_` draws the gates of torch's layers one by one in any case and needs none of this.

    Parameters
    ----------
    each : Initializer
        The law of a gate.
    gates : int
        4 for an LSTM's (4n, fan_in), 3 for a GRU's (3n, fan_in), gate below gate, as torch keeps them.

    Returns
    -------
    Initializer

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; on drawing, if the rows cannot be divided among the gates.

    Examples
    --------
    >>> from initnotes.schemes import orthogonal
    >>> kernel = per_gate(orthogonal()).sample((4 * 8, 8), np.random.default_rng(0))
    >>> [bool(np.allclose(gate @ gate.T, np.eye(8))) for gate in np.split(kernel, 4)]
    [True, True, True, True]
    """
    if not isinstance(each, Initializer):
        raise TypeError(f"each must be an Initializer, got {each!r}; get one by its name: initnotes.scheme({each!r})")
    return Stacked((each,) * _checks.integer(gates, "gates"))
