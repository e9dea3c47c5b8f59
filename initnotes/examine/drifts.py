"""What changes from layer to layer, or along a stream from block to block: slopes, and theory beside them.

What lives here judges sizes in their order; which places that order has is read from the graph by ``case``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import activations, theory
from .case import Case
from .limits import USUAL, Limits
from .statistics import Record

__all__ = ["Drift", "Slope", "along_layers", "along_stream", "is_drift", "slope"]


class Slope(NamedTuple):
    """Theil and Sen's slope of log values over layers, Kendall's τ, and how many layers counted."""

    rate: float
    tau: float
    layers: int


def slope(values: Any) -> Slope:
    """Return Theil and Sen's slope of log values over layers, Kendall's τ, and how many layers counted.

    Numbers that are 0 or not finite are left out.

    References
    ----------
    P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968.

    Examples
    --------
    >>> rate, tau, count = slope([8.0, 4.0, 2.0, 1.0])
    >>> round(rate / math.log(2), 6), tau, count
    (-1.0, -1.0, 4)
    """
    values = np.asarray(values, dtype=np.float64)
    at = np.flatnonzero(np.isfinite(values) & (values > 0))
    if len(at) < 2:
        return Slope(0.0, 0.0, len(at))
    logs = np.log(values[at])
    i, j = np.triu_indices(len(at), 1)
    pairs = (logs[j] - logs[i]) / (at[j] - at[i])
    return Slope(float(np.median(pairs)), float(np.sign(pairs).mean()), len(at))


def is_drift(found: Slope, limits: Limits = USUAL) -> bool:
    """Return whether a slope has enough layers, is large enough over the depth, and steady."""
    total = abs(found.rate) * (found.layers - 1)
    return found.layers >= limits.slope_layers and total > limits.slope_warning and abs(found.tau) >= limits.steady


class Drift(NamedTuple):
    """One statistic that changes steadily: the kind of finding, and the layers that it is of; of blocks, none."""

    kind: str
    severity: str
    evidence: str
    records: Sequence[Record]
    blocks: int = 0


def along_layers(case: Case) -> list[Drift]:
    """Judge the layers that all of the data passes; what has a way around it makes no factor of the network.

    Theory has the size of z; what differs between inputs fades a little faster, and is judged where the size stays.
    Where normalizations set the size anew and most layers have a way around them, what lies between two that have none
    is a whole stage, and no slope of layers is told.
    """
    chain = [record for record in case.chain if record.trunk]
    if case.norms and 2 * len(chain) < len(case.chain):
        return []
    size = slope([record.size for record in chain])
    signal = slope([record.signal for record in chain])
    reached = [record for record in chain if record.place not in case.ahead]  # to what is frozen none need come back
    gradient = slope([record.gradient for record in reached][::-1])
    found = []
    if is_drift(size, case.limits):
        found.append(_of_layers(case, chain, "signal", "root mean square of z", size, forward=True))
    elif is_drift(signal, case.limits):
        found.append(_of_layers(case, chain, "signal", "what differs between inputs", signal, forward=signal.rate > 0))
    if is_drift(gradient, case.limits):
        found.append(_of_layers(case, reached, "gradient", "norm of ∂loss/∂z, backward", gradient, forward=False))
    return found


def along_stream(case: Case) -> list[Drift]:
    """Judge a stream that blocks add to, where layers have a way around them: its size, and the gradient's."""
    found = []
    gradients = () if case.closing and case.ahead.issuperset(case.closing) else case.stream_gradients[::-1]
    for what, of, values in (
        ("signal", "root mean square of the stream", case.stream),
        ("gradient", "norm of the gradient along the stream, backward", gradients),
    ):
        seen = slope(values)
        if is_drift(seen, case.limits):
            said = f"{of}: {_factors(seen, 'block')}; {_theory_of_blocks(case, seen, what)}"
            severity = _severity(seen, case.limits)
            if case.norms:  # each block reads the stream normalized
                severity = "warning" if severity == "error" else "info"
            found.append(Drift(_kind(what, seen), severity, said, (), seen.layers))
    return found


def _factors(found: Slope, place: str) -> str:
    total = math.exp(max(-700.0, min(700.0, found.rate * (found.layers - 1))))
    return f"× {math.exp(found.rate):.3g} per {place}, × {total:.1g} over {found.layers} {place}s"


def _kind(what: str, found: Slope) -> str:
    return f"{'exploding' if found.rate > 0 else 'vanishing'} {what}"


def _severity(found: Slope, limits: Limits) -> str:
    return "error" if abs(found.rate) * (found.layers - 1) > limits.slope_error else "warning"


def _theory_of_blocks(case: Case, found: Slope, what: str) -> str:
    """Return what theory says of as many blocks whose branches are independent of the stream and of each other."""
    if case.norms and what == "gradient":
        total = math.sqrt(float(theory.stream_factors(found.layers, norm="layer").prod()))
        return f"theory × {total:.2g} over them for normalized blocks x + W φ(N(x))"
    if case.norms:
        return f"theory × {math.sqrt(found.layers):.2g} over them for normalized blocks"
    one, two = (math.sqrt(float(theory.stream_moments(1, block)[1])) for block in ("pre", "inner"))
    return f"theory × {one:.3g} per block for x + W φ(x) and × {two:.3g} for x + W φ(W x), with He's weights"


def _of_layers(case: Case, chain: Sequence[Record], what: str, of: str, found: Slope, *, forward: bool) -> Drift:
    severity, predicted = _severity(found, case.limits), None if case.norms else _predicted(chain, forward=forward)
    known = "theory of equal layers does not apply: they differ in what follows them"
    if predicted is not None:
        known = f"theory × {predicted[0]:.3g} for {predicted[1]}"
    elif case.norms and what == "gradient":
        # Each normalized layer makes the gradient larger, and its weights have no size of their own: they adapt.
        known = f"theory × {math.sqrt(theory.gradient_factor('relu')):.3g} for ReLU behind batch normalization"
        severity = "warning" if severity == "error" else "info"
    said = f"{of}: {_factors(found, 'layer')}; {known}"
    return Drift(_kind(what, found), severity, said, chain)


def _predicted(chain: Sequence[Record], *, forward: bool) -> tuple[float, str] | None:
    """Return the mean factor per layer that theory predicts from the weights and sizes seen, and for what."""
    pairs = list(pairwise(chain))
    names = {record.activation for record, _ in pairs}
    if len(names) != 1 or any(record.normalized or record.bypassed for record in chain):
        return None
    (name,) = names
    q = np.array([record.size**2 for record, _ in pairs])
    sigma = np.array([after.sigma_w for _, after in pairs])
    numbers = np.concatenate([q, sigma])
    if name not in activations.NAMES or not (np.isfinite(numbers).all() and (numbers > 0).all()):
        return None
    factors = theory.factors(np.clip(q, 1e-12, 1e12), name, sigma_w=sigma)
    logs = np.log(np.maximum(factors.signal if forward else factors.gradient, 1e-300)) / 2
    return float(np.exp(logs.mean())), f"{name} at σ_w = {np.median(sigma):.3g}"
