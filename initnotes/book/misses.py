"""Where a theory misses what was measured, and what the short formula that stands in the claim leaves out.

What lives here calculates the neglected part again, so that the ledger's chapter can ask whether the interval holds the
theory with it; the measurements are the chapters' own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import theory
from .._table import Table, table
from .evidence import Evidence
from .gradients import backward_factors
from .ledger import Ledger

__all__ = ["CAUSES", "Cause", "equal_third", "misses", "rms_slope", "sigmoid_gradient"]


@dataclass(frozen=True)
class Cause:
    """Why a theory is not quite what is measured, and what it is with the neglected part; None if that is not known."""

    text: str
    mended: Callable[[], float] | None = None

    def holds(self, measured: Evidence) -> str:
        """Say what the theory is with the neglected part, and whether the interval holds it."""
        if self.mended is None:
            return "–"
        value = self.mended()
        inside = measured.interval[0] <= value <= measured.interval[1]
        return f"{value:.4g}: {'yes' if inside else 'no'}"


def rms_slope(activation: str, *, sigma_w: float = 0.1, depth: int = 10) -> float:
    """Return the rms slope over the layers of claim 7's networks, at this sigma_w and not in the limit of 0.

    Examples
    --------
    >>> f"{rms_slope('tanh'):.4f}"
    '0.9989'
    """
    return float(np.mean(backward_factors(activation, sigma_w, depth)) ** 0.5 / sigma_w)


def equal_third(n: int, *, weight: float = 0.001) -> float:
    """Return log10 of claim 6's third layer of equal units over its input, with tanh and not a straight line.

    Examples
    --------
    >>> f"{equal_third(256):.4f}"
    '-1.8453'
    """
    signal = h = n * 3**0.5 / 2  # the sum of n pixels, uniform with mean square 1
    for _ in range(3):
        h = float(np.tanh(weight * signal))
        signal = n * h
    return float(np.log10(h))


def sigmoid_gradient(*, depth: int = 30) -> float:
    """Return the gradient's factor a layer in claim 24's sigmoid network, over its layers and not at the fixed point.

    Examples
    --------
    >>> f"{sigmoid_gradient():.4f}"
    '0.2351'
    """
    q, total = 1.0, 0.0
    for _ in range(depth - 1):
        total += float(np.log(theory.derivative_second_moment(q, "sigmoid"))) / 2
        q = float(theory.variance_map(q, "sigmoid", sigma_w=1.0))
    return float(np.exp(total / (depth - 1)))


_LAST_BITS = Cause("last bits come one at a time, and most are smaller")

CAUSES: dict[tuple[int, str], Cause] = {
    (1, "rate 0.4: steps from the last bit"): _LAST_BITS,
    (1, "rate 0.8: steps from the last bit"): _LAST_BITS,
    (1, "rate 1.6: steps from the last bit"): _LAST_BITS,
    (4, "the same: loss, 200 steps"): Cause("it is the least loss; batches keep the bias above"),
    (6, "equal, n = 256, log10: claimed -9"): Cause("tanh bends", lambda: equal_third(256)),
    (7, "tanh, sigma_w = 0.1: rms slope"): Cause("σ_w is not 0", lambda: rms_slope("tanh")),
    (7, "sigmoid: rms slope"): Cause("σ_w is not 0", lambda: rms_slope("sigmoid")),
    (24, "sigmoid: gradient, a layer"): Cause("layers on the way to the fixed point", sigmoid_gradient),
    (30, "fan_in · Var(W)"): Cause("nothing: it is exact, so this is chance"),
    **{
        (63, f"Adam{what}, {steps} steps"): Cause("all steps but the first")
        for what in (", α/√r: power of r in the best rate", ": power of r with α/r minus with α/√r")
        for steps in (15, 60)
    },
}
"""By claim and measurement; a miss that is not here is shown as not explained."""


def misses(ledger: Ledger) -> Table:
    """Return a table of all intervals that do not hold the theory beside them, the largest miss first.

    A miss is the distance from the theory to the nearest end of the interval, in percent of the theory.

    Parameters
    ----------
    ledger : Ledger

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> from initnotes.book.ledger import ListedClaim
    >>> piece = Evidence("growth", "median", 1.1, (1.05, 1.2), (0.8, 1.3), 1.0, 32, 1e-9)
    >>> misses(Ledger((ListedClaim(5, "It grows", "", evidence=(piece,)),)))
    measurement  missed by  theory  what it leaves out  with it: held?
    5: growth    5.00%           1  not explained       –
    """
    found = sorted(
        ((number, piece) for number, piece in ledger.measurements() if piece.missed_by),
        key=lambda pair: -pair[1].missed_by,
    )
    if not found:
        raise ValueError("every interval holds the theory beside it; there is nothing to list")
    causes = [CAUSES.get((number, piece.what), Cause("not explained")) for number, piece in found]
    columns: dict[str, list[Any]] = {
        "measurement": [f"{number}: {piece.what}".replace("sigma_", "σ_") for number, piece in found],
        "missed by": [f"{piece.missed_by:.2%}" for _, piece in found],
        "theory": [piece.theory for _, piece in found],
        "what it leaves out": [cause.text for cause in causes],
        "with it: held?": [cause.holds(piece) for cause, (_, piece) in zip(causes, found, strict=True)],
    }
    return table(columns, digits=4)
