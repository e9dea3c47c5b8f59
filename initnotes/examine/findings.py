"""What is wrong with a network at initialization: one small function for each kind of finding.

What lives here judges the facts of a `Case` and measures nothing. The thresholds are in ``limits``, what changes from
layer to layer is in ``drifts``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from . import drifts, fixes
from .appended import Appended
from .case import Case, Input
from .nodes import TWO_SIDED
from .report import KINDS, SEVERITIES, Finding
from .statistics import Record, Units

__all__ = ["judge"]

_ONE_SIDED = ("relu", "relu6", "gelu", "silu", "mish", "softplus", "hardswish")
BESIDE = 4.0  # times as large may be what is beside the trunk: gates, and what squeezes a picture to one number
RAREST = 5.5  # log-odds of a prior of 0.4 %
OUTPUTS = 0.25  # share of the usual limit at which outputs are saturated: nothing behind them makes up for it
_LOUD = ("unscaled inputs", "exploding signal")
_FACTOR = ("extreme factor", "error")


def judge(case: Case) -> list[Finding]:
    """Return all that is found in a case, the gravest first; a check that fails is named."""
    units = [*_checked(_dead_units, case), *_checked(_saturated_units, case)]
    silent, found = _checked(_silent_inputs, case), list(units)
    for check in (_not_finite, _unscaled_inputs, _zero_weights, _extreme_factors, _new_rows, _symmetric_units):
        found += _checked(check, case)
    found += _checked(_output_activation, case)
    explained = {"dead units", "saturated units", "zero weights"}
    if not silent and not any(finding.severity == "error" and finding.kind in explained for finding in found):
        found += _checked(_no_gradient, case)
    found += silent
    grave = {finding.kind for finding in found if finding.severity == "error"}
    if grave & {"not finite", "zero weights"}:
        found = [finding for finding in found if finding not in units]
    else:
        for check in (_saturated_gates, _weight_scale, _drifts):
            found += _checked(check, case)
    for check in (_normalization, _skip_connections):
        found += _checked(check, case)
    found += _initial_loss(case, found)
    found = _one_cause(found)
    return sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), KINDS.index(finding.kind)))


def _checked(check: Callable[[Case], Iterable[Finding]], case: Case) -> list[Finding]:
    """Return what one check finds; where it fails, that it did."""
    try:
        return list(check(case))
    except Exception as error:
        name = check.__name__.strip("_").replace("_", " ")
        said = f"the check for {name} failed ({type(error).__name__}: {error}); all others were made"
        return [Finding("not examined", "network", "info", said)]


def _one_cause(found: list[Finding]) -> list[Finding]:
    """Where one parameter explains the rest, leave the code to that finding: no layer is drawn anew for its fault."""
    for cause in [own for own in found if own.kind == "new rows" or (own.kind, own.severity) == _FACTOR]:
        found = [
            replace(finding, fix="", evidence=f"{finding.evidence}; see {cause.kind} at {cause.layer}")
            if finding is not cause and finding.severity != "info" and _follows(finding, cause)
            else finding
            for finding in found
        ]
    return found


def _follows(finding: Finding, cause: Finding) -> bool:
    """Whether a finding may be a cause's doing: any size after a factor; of rows, the size of the same weights."""
    if cause.kind == "new rows":
        return bool(finding.fix) and set(finding.layers) <= set(cause.layers)
    return finding.kind.split()[0] in {"exploding", "vanishing", "initial", "saturated", "dead", "not"}


def _of(kind: str, records: Sequence[Record], severity: str, evidence: str, fix: str | None = None) -> Finding:
    """Return a finding about these layers; without another fix, they are drawn anew."""
    names = tuple(dict.fromkeys(record.place for record in records))
    computed = list(dict.fromkeys(record.place for record in records if record.drawn_by == "nobody"))
    if computed and fix != "":
        evidence += f"; the weight of {', '.join(computed[:3])} is computed from others: set these"
    frozen = list(dict.fromkeys(record.place for record in records if record.frozen))
    if frozen and fix != "":
        evidence += f"; frozen, so that no repair draws {'them' if frozen[1:] else 'it'}: {_listed(frozen)}"
    return Finding(kind, names[0], severity, evidence, fixes.drawn(records) if fix is None else fix, names)


# Numbers that are not finite, inputs


def _not_finite(case: Case) -> Iterator[Finding]:
    inputs = [given for given in case.inputs if given.broken]
    layers = [record for record in case.records if not math.isfinite(record.size)]
    if inputs:
        fix = "\n".join(fixes.finite(given.where) for given in inputs if given.where)
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
        wrong = list(_input_faults(given, case))
        if wrong:
            severity = "info" if given.normalized else "warning"
            said = "; ".join(wrong) + " (a normalization follows)" * given.normalized
            unequal = given.unequal > case.limits.input_unequal
            fix = (
                fixes.standardized(given.where, unequal=unequal, by_feature=given.by_feature)
                if given.where
                else fixes.SCALE_INSIDE
            )
            yield Finding("unscaled inputs", "inputs", severity, said, fix)


def _input_faults(given: Input, case: Case) -> Iterator[str]:
    if given.rms > case.limits.input_high or 0 < given.rms < case.limits.input_low:
        yield f"root mean square {given.rms:.2g}; all schemes expect about 1"
    if given.std > 0 and abs(given.mean) > case.limits.input_offset * given.std:
        yield f"mean {given.mean:.2g} is {abs(given.mean) / given.std:.1f} standard deviations from 0"
    if given.unequal > case.limits.input_unequal:
        yield f"the largest feature varies {given.unequal:.0f} times as much as most"


# Zeros and equal units


def _zeros(case: Case) -> tuple[list[Record], list[Record]]:
    """Return layers whose weights are zero and should not be, and those where it is right on purpose.

    What the loss does not use has no gradient at all. Without a recurrent weight a layer forgets, and learns it. A zero
    is right if gradient descent moves it, at once or after a partner has moved; and if its units get different
    gradients then, but for the last layer's.
    """
    used = [record for record in case.records if not math.isnan(record.weight_gradient)]
    used = [record for record in used if not (record.frozen and record.bypassed)]  # a branch that is off
    zero = [record for record in used if any("_hh" not in name for name in record.zero)]
    right = [record for record in zero if _leaves_zero(record, case)]
    return [record for record in zero if record not in right], right


def _leaves_zero(record: Record, case: Case) -> bool:
    names = _zero_names(record)
    return names <= case.free and (record.last or not names & case.equal)


def _zero_names(record: Record) -> set[str]:
    return {name if record.whole else f"{record.place}.{name}" for name in record.zero}


def _zero_weights(case: Case) -> Iterator[Finding]:
    if not case.steps_known:
        return
    wrong, right = _zeros(case)
    stuck = tuple(name for name in case.zeros if name not in case.free | case.unused)
    gates = tuple(name for name in case.zeros if name in case.free)
    if wrong:
        names = [name for name in wrong[0].zero if name != "weight"]
        what = f"{', '.join(names)} {'are' if names[1:] else 'is'}" if names else "all weights are"
        after = (
            "and gradient descent does not move them"
            if not any(_zero_names(record) & case.free for record in wrong)
            else "and its units get equal gradients"
        )
        yield _of("zero weights", wrong, "error", f"{what} 0, {after}")
    if stuck:
        said = (
            f"{_listed(stuck)} {'are' if stuck[1:] else 'is'} 0, and so is a factor beside it: neither gets a gradient"
        )
        yield Finding("zero weights", stuck[0], "error", said, fixes.filled(stuck), stuck)
    if gates:
        said = f"{_listed(gates)} {'are' if gates[1:] else 'is'} 0, and gradient descent moves that: "
        yield Finding("zero weights", gates[0], "info", f"{said}what is behind adds nothing until then", "", gates)
    aside = [record for record in right if (record.last or record.bypassed) and record.weights == 0]
    if aside:
        said = "all weights are 0 where the data ends or has another way: right on purpose, gradient descent moves them"
        yield _of("zero weights", aside, "info", said, "")
    shut = [record for record in right if record not in aside]
    if shut:
        said = "all weights are 0: gradient descent moves them, and until then the outputs do not depend on the inputs"
        yield _of("zero weights", shut, "warning", said)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _silent_inputs(case: Case) -> Iterator[Finding]:
    cut = [record for record in case.records if record.weight_gradient == 0 and record.weights != 0]
    if cut and case.records[0].inputs == 0 and all(record.inputs == 0 for record in cut):
        said = "the inputs are all 0, so the gradient of the weights is too; pass inputs as in training"
        yield _of("no gradient", cut, "error", said, "")


def _no_gradient(case: Case) -> Iterator[Finding]:
    """Find layers that no gradient reaches, though no zero weights and no dead units before them explain it."""
    if not case.steps_known:
        return
    learning = [record for record in case.records if not record.frozen]
    cut = [record for record in learning if record.weight_gradient == 0 and record.weights != 0]
    later = [record for record in cut if _moves_later(record, case)]
    alone = [record for record in cut if record.shut and record not in later]
    aside = [record for record in cut if _names_one(record, case.unheard) and record not in later + alone]
    never = [record for record in cut if record not in later + alone + aside]
    if later:
        said = "the gradient of the weights is 0 as long as what follows is 0; gradient descent moves that"
        yield _of("no gradient", later, "info", said, "")
    if alone:
        said = "attention has one place here, so its queries and keys have no gradient; pass inputs with more places"
        yield _of("not examined", alone, "info", said, "")
    if aside:
        said = "the loss takes nothing of these layers as they are on this batch, and none of them is stuck"
        yield _of("not examined", aside, "info", said, "")
    if never:
        yield _of("no gradient", never, "error", "the gradient of the weights is exactly 0, and stays so")


def _moves_later(record: Record, case: Case) -> bool:
    return _names_one(record, case.free)


def _names_one(record: Record, parameters: Collection[str]) -> bool:
    """Whether one of these parameters, a bias apart, is of this layer."""
    before = "" if record.whole else f"{record.place}."
    return any(name.startswith(before) and "bias" not in name for name in parameters)


def _extreme_factors(case: Case) -> Iterator[Finding]:
    """Find factors that are no weight matrices, such as a γ or a scale, and are far larger than such start."""
    large = sorted(
        ((size, name) for name, size in case.factors.items() if size > case.limits.parameter_warning), reverse=True
    )
    if large:
        size, name = large[0]
        names = tuple(own for _, own in large)
        severity = "error" if size > case.limits.parameter_error else "warning"
        yield Finding(
            "extreme factor",
            name,
            severity,
            f"{name} has size {size:.2g}; such factors start at about 1",
            fixes.filled(names),
            names,
        )


def _new_rows(case: Case) -> Iterator[Finding]:
    """Find rows at the end of a table that are far larger than all others: appended, and drawn by another law."""
    tables = sorted((own for own in case.appended if own.least > case.limits.new_rows), key=lambda own: -own.least)
    if tables:
        said = [f"{_rows(own)} a root mean square of {own.new:.2g}, the others {own.old:.2g}" for own in tables]
        costs = [math.log1p((own.stop - own.start) / own.start) for own in tables if own.output]
        if costs:
            said.append(f"rows at the mean of the others cost old data at most {max(costs):.2g} nats")
        places = tuple(dict.fromkeys(place for own in tables for place in own.places))
        severity = "error" if costs else "warning"
        yield Finding("new rows", tables[0].name, severity, "; ".join(said), fixes.averaged(tables), places)


def _rows(own: Appended) -> str:
    number = own.stop - own.start
    return f"the last {number} of {own.rows} rows of {own.name} {'have' if number > 1 else 'has'}"


def _output_activation(case: Case) -> Iterator[Finding]:
    if case.twice:
        last, loss = case.twice
        why = f"it has its own {'softmax' if loss == 'cross-entropy' else 'sigmoid'}"
        if last == "ReLU":
            why = "none is below 0 now, and none that is 0 gets a gradient"
        said = f"the outputs pass a {last}, and {loss} takes logits: {why}"
        yield Finding("output activation", "outputs", "warning", said, f"# in the model, leave out the last {last}")


def _symmetric_units(case: Case) -> Iterator[Finding]:
    """Find layers with half or more of their units equal; equal gradients keep them so."""
    same = [
        record
        for record in case.records
        if record.weights != 0 and 2 * record.distinct <= record.units and not (record.last or record.frozen)
    ]
    most = max((record.weight_gradient for record in case.records if record.weight_gradient >= 0), default=0.0)
    stay = [record for record in same if record.stays_equal or record.weight_gradient <= 1e-6 * most]  # rounding
    part = [record for record in same if record not in stay]
    for records, severity, said in (
        (stay, "error", "their gradients are equal too, so they stay equal"),
        (part, "warning", "what tells them apart is little: their gradients differ"),
    ):
        if records:
            counts = f"{records[0].distinct:.0f} of {records[0].units} units differ in their weights"
            yield _of("symmetric units", records, severity, f"{counts}; {said}")


# Units and gates

_Share = tuple[float, Record]


def _dead_units(case: Case) -> Iterator[Finding]:
    """Find one-sided activations of which too many units are off for all inputs."""
    shares = [
        (units.off, replace(record, activation=units.activation))
        for record, units in _applied(case, _ONE_SIDED)
        if units.inputs >= case.limits.dead_inputs and units.off >= _dead_limit(units.number, case)
        if record.inputs != 0  # a zero before it, which is judged by itself, and no fault of these units
    ]
    yield from _worst(
        "dead units", shares, case.limits.dead_error, "of the units are off for all inputs: no gradient passes them"
    )


def _dead_limit(units: int, case: Case) -> float:
    return min(0.99, max(case.limits.dead_least, 0.5 + case.limits.dead_margin * 0.5 / math.sqrt(units)))


def _saturated_units(case: Case) -> Iterator[Finding]:
    shares = [
        (units.saturated, replace(record, activation=units.activation))
        for record, units in _applied(case, TWO_SIDED)
        if units.saturated >= case.limits.saturated_warning * (OUTPUTS if record is case.records[-1] else 1)
        and not _is_prior(record, units.activation)
    ]
    yield from _worst("saturated units", shares, case.limits.saturated_error, "of the activations have |φ′| < 0.01")


def _is_prior(record: Record, activation: str) -> bool:
    """Whether a sigmoid is near 0 or 1 by a bias on purpose, such as the log-odds of a rare class, 1 % or less."""
    return activation == "sigmoid" and record.size < RAREST and record.signal < record.size / 5


def _saturated_gates(case: Case) -> Iterator[Finding]:
    """Find recurrent layers whose weights alone, on inputs and states of the size seen, saturate their gates."""
    shares = [(record.gates, record) for record in case.records if record.gates >= case.limits.saturated_warning]
    yield from _worst("saturated units", shares, case.limits.saturated_error, "of the gates have |φ′| < 0.01")


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
        ((_scale(record), record) for record in case.records if _is_unfit(record, case)),
        key=lambda found: -abs(math.log(found[0])),
    )
    if over:
        ratio, worst = over[0]
        severity = "warning" if case.limits.scale_low_error <= ratio <= case.limits.scale_high_error else "error"
        before = f"before {worst.activation}" if worst.activation else "where no activation is known to follow"
        said = (
            f"the weights are {ratio:.2g} times as large as {fixes.scheme_for(worst.activation)}'s, which fits {before}"
        )
        said += f": √(fan_in · E W²) is {worst.sigma_w:.2g}, not {worst.sigma_w / ratio:.3g}"
        yield _of("weight scale", [record for _, record in over], severity, said)


def _scale(record: Record) -> float:
    """Return σ_w against that of the scheme that fits."""
    return record.sigma_w / fixes.GAINS[fixes.scheme_for(record.activation)]


def _is_unfit(record: Record, case: Case) -> bool:
    ratio = _scale(record)
    low = 0.0 if record.last or record.bypassed or case.norms else case.limits.scale_low
    high = case.limits.scale_high * (1 if record.trunk else BESIDE)
    # Else its inputs are small on purpose; where a number scales them, the outputs decide alone.
    least = (1 if record.scaled else 0.5) * fixes.GAINS[fixes.scheme_for(record.activation)] * high
    loud = ratio > high and not record.size < least
    return 0 < ratio < math.inf and not (record.normalized or record.frozen) and (loud or ratio < low)


def _initial_loss(case: Case, found: Sequence[Finding]) -> Iterator[Finding]:
    """Compare the loss with a fair guess's; where another finding explains it, that one has the fix."""
    if case.loss is None or case.fair is None or not math.isfinite(case.loss):
        return
    fair, name, factor = case.fair
    variance = (case.loss - fair) / factor
    if variance <= case.limits.loss_warning:
        return
    last = ([record for record in case.records if record.last] or list(case.records))[-1]
    place, fix = last.place, fixes.shrunk(last)
    if case.head:
        place, fix = case.head, fixes.scaled(case.head, fixes.LOGITS / math.sqrt(2 * variance))
    said = f"{case.loss:.3g} nats, and a fair guess has {name} = {fair:.3g}: the logits are too large"
    own = [finding for finding in found if finding.severity != "info"]
    where = {place, place.rpartition(".")[0]}  # a parameter, and its module
    causes = [finding.kind for finding in own if finding.kind in _LOUD or where & set(finding.layers)]
    if causes:  # which come first, then
        yield Finding("initial loss", place, "warning", f"{said}; see {causes[0]}", "", (place,))
    else:
        severity = "error" if variance > case.limits.loss_error else "warning"
        yield Finding("initial loss", place, severity, said, fix or fixes.drawn([last]), (place,))


def _normalization(case: Case) -> Iterator[Finding]:
    if case.norms:
        said = f"{case.norms} on the data's way: behind each, the signal's size is not that of the weights"
        yield Finding("normalization", "network", "info", said)


def _skip_connections(case: Case) -> Iterator[Finding]:
    aside = sum(record.bypassed for record in case.records)
    if case.merges and aside:
        said = f"{aside} of {len(case.records)} layers have a way around them"
        yield Finding("skip connections", "network", "info", f"{said}: a factor per layer is not one of the network")


def _drifts(case: Case) -> Iterator[Finding]:
    """Find signals and gradients that change from layer to layer, or from block to block."""
    found = drifts.along_layers(case)
    found += [drift for drift in drifts.along_stream(case) if drift.kind not in {other.kind for other in found}]
    for drift in found:
        fix = fixes.damped(case.closing) if drift.blocks else fixes.rescaled(drift.records, case.sigmoids) or None
        fix = "" if drift.severity == "info" else fix
        names = drift.records if drift.records else [record for record in case.records if not record.trunk]
        yield _of(drift.kind, names, drift.severity, drift.evidence, fix)
