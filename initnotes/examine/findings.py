"""What is wrong with a network at initialization: thresholds, and one small function for each kind of finding.

What lives here judges the facts of a `Case` and measures nothing. The thresholds stand at the top, each with its
reason; ``benchmarks/audit.py`` measures how often they miss and how often they cry wolf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import activations, theory
from . import fixes
from .case import Case, Input
from .report import KINDS, SEVERITIES, Finding
from .statistics import Record, Units

__all__ = ["Slope", "is_drift", "judge", "slope"]

# A slope is told from at least four layers: of three, two differences have the same sign half of the time by chance.
SLOPE_LAYERS = 4
# Over the depth, 100 times is what training feels, and what He's weights do not do by chance at width 32 and depth 30.
SLOPE_WARNING, SLOPE_ERROR = math.log(1e2), math.log(1e3)
STEADY = 0.6  # Kendall's τ of a statistic with depth: a single step reaches 0.5 at most
# Units that are off for all inputs: deep under He's weights inputs are alike and half of them are. Four standard
# deviations of a count of fair coins above one half, never fewer than 60 %.
DEAD_MARGIN, DEAD_LEAST, DEAD_ERROR, DEAD_INPUTS = 4.0, 0.6, 0.95, 8
SATURATED_WARNING, SATURATED_ERROR = 0.4, 0.7  # tanh under Xavier's weights and unit inputs: below 0.01
# √(fan_in · E W²) against the gain that fits: PyTorch's default for ReLU is 0.41 times it, and trains.
SCALE_LOW, SCALE_HIGH, SCALE_LOW_ERROR, SCALE_HIGH_ERROR = 0.1, 4.0, 1e-3, 100.0
# Half the variance of random logits that would cost as much as the loss is above a fair guess; He's scale in the last
# layer has about 1, and deep networks of width 64 scatter around it.
LOSS_WARNING, LOSS_ERROR = 3.0, 6.0
INPUT_HIGH, INPUT_LOW = 10.0, 0.01  # root mean square
INPUT_OFFSET, INPUT_UNEQUAL = 4.0, 100.0  # |mean| / std; std of the largest feature / that of the middle one

_TWO_SIDED = ("tanh", "sigmoid", "hardtanh", "hardsigmoid", "erf")
_ONE_SIDED = ("relu", "relu6", "gelu", "silu", "mish", "softplus", "hardswish")
_LOUD = ("unscaled inputs", "exploding signal")


def judge(case: Case) -> list[Finding]:
    """Return all that is found in a case, the gravest first."""
    units = [*_dead_units(case), *_saturated_units(case)]
    stopped = any(finding.severity == "error" for finding in units)
    found = [
        *_not_finite(case),
        *_unscaled_inputs(case),
        *_zero_weights(case),
        *_no_gradient(case, dead=stopped),
        *_symmetric_units(case),
        *_normalization(case),
        *_skip_connections(case),
    ]
    grave = {finding.kind for finding in found if finding.severity == "error"}
    if not grave & {"not finite", "zero weights"}:
        found += [*units, *_saturated_gates(case), *_weight_scale(case), *_drifts(case)]
    found += _initial_loss(case, found)
    return sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), KINDS.index(finding.kind)))


def _of(kind: str, records: Sequence[Record], severity: str, evidence: str, fix: str | None = None) -> Finding:
    """Return a finding about these layers; without another fix, they are drawn anew."""
    names = tuple(dict.fromkeys(record.place for record in records))
    computed = list(dict.fromkeys(record.place for record in records if record.drawn_by == "nobody"))
    if computed and fix != "":
        evidence += f"; the weight of {', '.join(computed[:3])} is computed from others: set these"
    return Finding(kind, names[0], severity, evidence, fixes.drawn(records) if fix is None else fix, names)


# Numbers that are not finite, inputs


def _not_finite(case: Case) -> Iterator[Finding]:
    inputs = [given for given in case.inputs if given.broken]
    layers = [record for record in case.records if not math.isfinite(record.size)]
    if inputs:
        fix = "\n".join(fixes.finite(given.where) for given in inputs)
        yield Finding("not finite", "inputs", "error", "the inputs hold NaN or infinity", fix)
    if case.broken:
        places = tuple(dict.fromkeys(name.rpartition(".")[0] or case.model for name in case.broken))
        said = f"NaN or infinity in {', '.join(case.broken[:3])}"
        ensemble = case.records[0].drawn_by == "ensemble"
        fix = "# make the ensemble anew" if ensemble else fixes.reset(case.broken, case.resettable)
        yield Finding("not finite", places[0], "error", said, fix, places)
    if inputs or case.broken:
        return
    if layers:
        yield _of("not finite", layers, "error", "its outputs overflow, although inputs and weights are finite")
    elif case.loss is not None and not math.isfinite(case.loss):
        yield Finding("not finite", "loss", "error", f"the loss is {case.loss}, although all layers are finite")


def _unscaled_inputs(case: Case) -> Iterator[Finding]:
    """Judge each floating-point input by its size, its offset, and the spread of its features."""
    for given in case.inputs:
        wrong = list(_input_faults(given))
        if wrong:
            severity = "info" if given.normalized else "warning"
            said = "; ".join(wrong) + " (a normalization follows)" * given.normalized
            unequal = given.unequal > INPUT_UNEQUAL
            fix = fixes.standardized(given.where, unequal=unequal, by_feature=given.by_feature)
            yield Finding("unscaled inputs", "inputs", severity, said, fix)


def _input_faults(given: Input) -> Iterator[str]:
    if given.rms > INPUT_HIGH or 0 < given.rms < INPUT_LOW:
        yield f"root mean square {given.rms:.2g}; all schemes expect about 1"
    if given.std > 0 and abs(given.mean) > INPUT_OFFSET * given.std:
        yield f"mean {given.mean:.2g} is {abs(given.mean) / given.std:.1f} standard deviations from 0"
    if given.unequal > INPUT_UNEQUAL:
        yield f"the largest feature varies {given.unequal:.0f} times as much as most"


# Zeros and equal units


def _zeros(case: Case) -> tuple[list[Record], list[Record]]:
    """Return layers whose weights are zero and should not be, and those where it is right on purpose.

    What the loss does not use has no gradient at all. Without a recurrent weight a layer forgets, and learns it.
    """
    used = [record for record in case.records if not math.isnan(record.weight_gradient)]
    zero = [record for record in used if any("_hh" not in name for name in record.zero)]
    may = [record for record in zero if (record.last or record.bypassed) and record.inputs > 0 and record.weights == 0]
    right = may if any(record.weight_gradient > 0 for record in may) else []
    return [record for record in zero if record not in right], right


def _zero_weights(case: Case) -> Iterator[Finding]:
    wrong, right = _zeros(case)
    if wrong:
        names = [name for name in wrong[0].zero if name != "weight"]
        what = f"{', '.join(names)} {'are' if names[1:] else 'is'}" if names else "all weights are"
        yield _of("zero weights", wrong, "error", f"{what} 0: nothing passes, forward or backward")
    if right:
        said = "all weights are 0 where the data ends or has another way: right on purpose, it learns from the first"
        yield _of("zero weights", right, "info", f"{said} step", "")


def _no_gradient(case: Case, *, dead: bool) -> Iterator[Finding]:
    """Find layers that no gradient reaches, though no zero weights and no `dead` units before them explain it."""
    cut = [record for record in case.records if record.weight_gradient == 0 and record.weights != 0]
    wrong, right = _zeros(case)
    if cut and case.records[0].inputs == 0 and all(record.inputs == 0 for record in cut):
        said = "the inputs are all 0, so the gradient of the weights is too; pass inputs as in training"
        yield _of("no gradient", cut, "error", said, "")
    elif cut and not wrong and not dead:
        said = "the gradient of the weights is exactly 0"
        if right or case.closed:
            yield _of("no gradient", cut, "info", f"{said} as long as what follows is 0", "")
        else:
            yield _of("no gradient", cut, "error", said)


def _symmetric_units(case: Case) -> Iterator[Finding]:
    """Find layers with half or more of their units equal; equal gradients keep them so."""
    same = [
        record
        for record in case.records
        if record.weights != 0 and 2 * record.distinct <= record.units and not record.last
    ]
    most = max((record.weight_gradient for record in case.records if record.weight_gradient >= 0), default=0.0)
    stay = [record for record in same if record.stays_equal or record.weight_gradient <= 1e-6 * most]  # rounding
    part = [record for record in same if record not in stay]
    for records, severity, said in (
        (stay, "error", "their gradients are equal too, so they stay equal"),
        (part, "warning", "their gradients differ"),
    ):
        if records:
            counts = f"{records[0].distinct:.0f} of {records[0].units} units differ"
            yield _of("symmetric units", records, severity, f"{counts}; {said}")


# Units and gates

_Share = tuple[float, Record]


def _dead_units(case: Case) -> Iterator[Finding]:
    """Find one-sided activations of which too many units are off for all inputs."""
    shares = [
        (units.off, replace(record, activation=units.activation))
        for record, units in _applied(case, _ONE_SIDED)
        if units.inputs >= DEAD_INPUTS and units.off >= _dead_limit(units.number)
    ]
    yield from _worst("dead units", shares, DEAD_ERROR, "of the units are off for all inputs: no gradient passes them")


def _dead_limit(units: int) -> float:
    return min(0.99, max(DEAD_LEAST, 0.5 + DEAD_MARGIN * 0.5 / math.sqrt(units)))


def _saturated_units(case: Case) -> Iterator[Finding]:
    shares = [
        (units.saturated, replace(record, activation=units.activation))
        for record, units in _applied(case, _TWO_SIDED)
        if units.saturated >= SATURATED_WARNING
    ]
    yield from _worst("saturated units", shares, SATURATED_ERROR, "of the activations have |φ′| < 0.01")


def _saturated_gates(case: Case) -> Iterator[Finding]:
    """Find recurrent layers whose weights alone, on inputs and states of the size seen, saturate their gates."""
    shares = [(record.gates, record) for record in case.records if record.gates >= SATURATED_WARNING]
    yield from _worst("saturated units", shares, SATURATED_ERROR, "of the gates have |φ′| < 0.01")


def _applied(case: Case, names: Sequence[str]) -> list[tuple[Record, Units]]:
    return [(record, units) for record in case.records for units in record.applied if units.activation in names]


def _worst(kind: str, shares: Iterable[_Share], error: float, said: str) -> Iterator[Finding]:
    """Join layers into one finding, named after the worst."""
    ordered = sorted(shares, key=lambda share: -share[0])
    if ordered:
        worst = ordered[0][0]
        severity = "error" if worst >= error else "warning"
        yield _of(kind, [record for _, record in ordered], severity, f"{worst:.0%} {said}")


# Weights, loss, and what changes the reading


def _weight_scale(case: Case) -> Iterator[Finding]:
    """Find single layers whose weights are far from the scheme that fits."""
    over = sorted(
        ((_scale(record), record) for record in case.records if _is_unfit(record)),
        key=lambda found: -abs(math.log(found[0])),
    )
    if over:
        ratio, worst = over[0]
        severity = "warning" if SCALE_LOW_ERROR <= ratio <= SCALE_HIGH_ERROR else "error"
        said = f"√(fan_in · E W²) = {worst.sigma_w:.2g}; {fixes.scheme_for(worst.activation)}"
        said += f" before {worst.activation or 'no known activation'} has {worst.sigma_w / ratio:.3g}"
        yield _of("weight scale", [record for _, record in over], severity, said)


def _scale(record: Record) -> float:
    """Return σ_w against that of the scheme that fits."""
    return record.sigma_w / fixes.GAINS[fixes.scheme_for(record.activation)]


def _is_unfit(record: Record) -> bool:
    ratio = _scale(record)
    low = 0.0 if record.last or record.bypassed else SCALE_LOW
    return 0 < ratio < math.inf and not record.normalized and not low <= ratio <= SCALE_HIGH


def _initial_loss(case: Case, found: Sequence[Finding]) -> Iterator[Finding]:
    """Compare the loss with a fair guess's; where another finding explains it, that one has the fix."""
    if case.loss is None or case.fair is None or not math.isfinite(case.loss):
        return
    fair, name, factor = case.fair
    variance = (case.loss - fair) / factor
    if variance <= LOSS_WARNING:
        return
    last = ([record for record in case.records if record.last] or list(case.records))[-1]
    said = f"{case.loss:.3g} nats, and a fair guess has {name} = {fair:.3g}: the logits are too large"
    own = [finding for finding in found if finding.severity != "info"]
    causes = [finding.kind for finding in own if finding.kind in _LOUD or last.place in finding.layers]
    if causes:  # which come first, then
        yield _of("initial loss", [last], "warning", f"{said}; see {causes[0]}", "")
    else:
        severity = "error" if variance > LOSS_ERROR else "warning"
        yield _of("initial loss", [last], severity, said, fixes.shrunk(last) or None)


def _normalization(case: Case) -> Iterator[Finding]:
    if case.norms:
        said = f"{case.norms} on the data's way: behind each, the signal's size is not that of the weights"
        yield Finding("normalization", "network", "info", said)


def _skip_connections(case: Case) -> Iterator[Finding]:
    aside = sum(record.bypassed for record in case.records)
    if case.merges and aside:
        said = f"{aside} of {len(case.records)} layers have a way around them"
        yield Finding("skip connections", "network", "info", f"{said}: a factor per layer is not one of the network")


# Slopes


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


def is_drift(found: Slope) -> bool:
    """Return whether a slope has enough layers, is large enough over the depth, and steady."""
    total = abs(found.rate) * (found.layers - 1)
    return found.layers >= SLOPE_LAYERS and total > SLOPE_WARNING and abs(found.tau) >= STEADY


def _drifts(case: Case) -> Iterator[Finding]:
    """Find signals and gradients that change from layer to layer.

    Theory has the size of z; what differs between inputs fades a little faster, and is judged where the size stays.
    """
    size = slope([record.size for record in case.chain])
    signal = slope([record.signal for record in case.chain])
    gradient = slope([record.gradient for record in case.chain][::-1])
    if is_drift(size):
        yield _drift(case, "signal", "root mean square of z", size, forward=True)
    elif is_drift(signal):
        yield _drift(case, "signal", "what differs between inputs", signal, forward=signal.rate > 0)
    if is_drift(gradient):
        yield _drift(case, "gradient", "norm of ∂loss/∂z, backward", gradient, forward=False)


def _drift(case: Case, what: str, of: str, found: Slope, *, forward: bool) -> Finding:
    rate, _, count = found
    total = math.exp(max(-700.0, min(700.0, rate * (count - 1))))
    said = f"{of}: × {math.exp(rate):.3g} per layer, × {total:.1g} over {count} layers; "
    predicted = _predicted(case.chain, forward=forward)
    known = "theory has no case here" if predicted is None else f"theory × {predicted[0]:.3g} for {predicted[1]}"
    severity = "error" if abs(rate) * (count - 1) > SLOPE_ERROR else "warning"
    kind = f"{'exploding' if rate > 0 else 'vanishing'} {what}"
    return _of(kind, case.chain, severity, said + known, fixes.rescaled(case.chain, case.sigmoids) or None)


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
