"""One pass through a network, forward and back, and the two views of it: `probe` and `audit`.

What lives here runs the network under the hooks; what is measured there is in ``hooks``, what is read from it in
``statistics`` and ``findings``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import _checks
from ..networks import Ensemble
from . import batches, plain, walk
from .appended import appended
from .case import Case, case_of
from .ensembles import as_module
from .findings import judge
from .graph import Graph
from .hooks import Watch
from .limits import limits
from .mean_field import MeanField, mean_field_of
from .report import KINDS, SEVERITIES, Finding, Report
from .second_step import moves, unheard
from .statistics import Probe, Record, arrays_of, records_of
from .trials import tried
from .untouched import checked_parameters, random_states_kept, untouched

__all__ = ["audit", "probe"]

NO_LAYER = (
    "{} called no layer with weights: a module without children that has a parameter of two dimensions or more, "
    "such as nn.Linear; weights used in other ways cannot be examined"
)


def probe(model: Any, batch: Any, *, loss: Callable[[Any], Tensor] | None = None) -> Probe:
    """Measure every layer of a network on some inputs, forward and, with a loss, backward. Nothing of it changes.

    Parameters
    ----------
    model : torch.nn.Module, or an Ensemble of a class of `initnotes.networks`
        Examined as it trains: in train mode, whatever mode it is in. Of a module, the layers are those with weights
        (linear, convolution, embedding, recurrent, …), in the order of their calls.
    batch : Tensor, ndarray, tuple, list or dict
        What the model takes: a tuple's parts as its arguments, a dict's as its named ones. An ensemble takes a shape
        of (batch, n_0) or (R, batch, n_0). Real numbers of an array get the dtype of the model.
    loss : callable, optional
        Takes the model's outputs and returns a scalar tensor that depends on them, with targets in a closure:
        ``lambda out: criterion(out, y)``. The outputs of an ensemble have the shape (R, batch, n_L): return its R
        losses, shape (R,), or their sum; from their mean, every gradient would be R times too small.

    Returns
    -------
    Probe
        With R = 1 for a module.

    Raises
    ------
    TypeError
        If the model is neither, the batch holds no tensor or one of another type than the weights, or `loss` is no
        function of the outputs alone.
    ValueError
        If the inputs do not fit, the model has no parameters or calls no layer, the batch is empty, or the loss is not
        a scalar or does not depend on the model. What the model or the loss raises passes through.

    Notes
    -----
    Train mode, because what is examined is the start of training: there BatchNorm takes the batch's statistics, and
    its running ones, which eval mode would take, hold nothing yet.

    Which activation is applied to a layer is read from autograd's graph, so functions (``torch.relu``,
    ``x.clamp(min=0)``) count like modules. It belongs to the nearest layer before it.

    Weights, buffers, ``.grad`` fields, modes, ``requires_grad`` flags, hooks and the states of the random number
    generators (torch, CUDA, NumPy, Python) are as before, even after an error. Frozen parameters are measured as if
    they were not. A copy of the parameters is kept meanwhile, to undo what a forward pass does to them. Plain Python
    attributes that ``forward()`` changes on the module, such as a counter of calls, stay changed.

    Examples
    --------
    >>> import numpy as np
    >>> net = Ensemble((20, 64, 64, 5), "relu", "he_normal", rng=np.random.default_rng(1), replicas=32)
    >>> seen = probe(net, torch.ones(8, 20), loss=lambda outputs: (outputs**2).mean((1, 2)))
    >>> seen.second_moment.shape, seen.average("second_moment").round(1)
    ((32, 3), array([1.9, 1.8, 1.5]))
    """
    if plain.is_plain(model, batch):
        batches.check_arguments(model, batch)
        batches.check_loss(loss)
        with torch.inference_mode(False), torch.enable_grad(), random_states_kept([]):
            calls, inputs, last = plain.calls_of(model, batch, loss)
            return Probe(**arrays_of(calls, model.replicas), mean_field=mean_field_of(model, inputs, last))
    with _watched(model, batch, loss, full=True) as (module, watch):
        run = _run(module, batch, loss, watch, backward=loss is not None)
        return Probe(**arrays_of(watch.calls, watch.replicas or 1), mean_field=_start(model, run))


def audit(
    model: Any,
    batch: Any,
    *,
    loss: Callable[[Any], Tensor] | None = None,
    ignore: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
    try_fixes: bool = True,
) -> Report:
    """Say what is wrong with a network at initialization, and try each repair on a copy. Nothing of it changes.

    Parameters
    ----------
    model : torch.nn.Module, or an Ensemble of a class of `initnotes.networks`
        As `probe` takes it, and in train mode like there. An ensemble is judged as its typical replica: by medians of
        sizes, and mean shares of units, over the replicas.
    batch : Tensor, ndarray, tuple, list or dict
        As `probe` takes it. 8 inputs or more tell dead units; one alone does not tell what differs between inputs.
    loss : callable, optional
        As `probe` takes it. Without it a fixed random projection of the outputs sends the gradient back: it depends on
        no target, so that only the network shapes what comes back, and the initial loss is not judged.
    ignore : sequence of str
        Findings to leave out: a kind, such as "weight scale", or a kind and a pattern of layers, "dead units: head.*".
    thresholds : mapping of str to float, optional
        Other thresholds, by the names of `initnotes.examine`, such as ``{"dead_error": 0.99}``.
    try_fixes : bool
        Whether every repair is tried on a copy of the model before it is printed, with ten steps of training at three
        rates if there is a loss. All trials compute for a minute at most; what there is no time to try is withheld.

    Returns
    -------
    Report

    Raises
    ------
    TypeError, ValueError
        As in `probe`; and if no output depends on the model's parameters.

    Notes
    -----
    The verdict is about these weights on this batch; what comes back untouched, and why train mode, is said at
    `probe`. Signals and gradients are judged by the slope of their logarithm (Theil and Sen's, which one odd layer does
    not move) over the layers that all of the data passes, and along a residual stream block by block.

    Of what is frozen, where something is trained: no gradient need reach what stands in front of all that is trained,
    no step moves it, its scale is not judged, and no repair draws it anew. Rows at the end of an embedding, or of the
    layer that makes the outputs, that are far larger than all before them are taken for new tokens.

    A healthy network takes one forward and one backward pass. Zeros take one more or a few, to see what the first steps
    of gradient descent move; a repair takes an audit of its own and, with a loss, about sixty passes. Of large
    activations every third place along the longest axes is read, or fewer, unless a tenth of the units or more
    seems off or saturated.

    Examples
    --------
    >>> torch.manual_seed(1) and None
    >>> net = nn.Sequential(*[part for _ in range(12) for part in (nn.Linear(64, 64), nn.ReLU())])
    >>> audit(net, torch.randn(32, 64)).kinds()
    ['vanishing signal', 'vanishing gradient']
    """
    patterns, allowed = _patterns(ignore), limits(thresholds)
    name = type(model).__name__
    with _watched(model, batch, loss, full=False) as (module, watch):
        run = _run(module, batch, loss, watch, backward=True)
        if not watch.calls:
            return Report(name, [], (), None if loss is None else run.value, (NO_LAYER.format(name),))
        records = records_of(watch.calls, run.graph, module, watch.failed)
        still = watch.frozen
        records = tuple(replace(own, drawn_by="frozen") if own.place in still.modules else own for own in records)
        facts = case_of(module, batch, records, watch, run.graph, run.entries)
        facts["zeros"] = tuple(name for name in facts["zeros"] if name not in still.parameters)
        asked = set(facts["zeros"]).union(*(_asked(record, watch.parts) for record in records))
        if asked:
            facts |= _second_step(module, batch, loss, watch, asked)
        if loss is not None:
            facts["twice"] = run.graph.judged_twice()
            head = run.graph.head()
            named = walk.parameters(watch.parts)
            facts["head"] = next((name for name, own in named.items() if own is head), "")
        outputs = {record.place for record in records if record.last} | {facts.get("head", "")}
        facts["appended"] = appended(watch.parts, outputs)
    value = None if loss is None else run.value
    case = Case(name, loss=value, fair=run.fair, limits=allowed, **facts)
    found = [finding for finding in judge(case) if not any(_matches(finding, *pattern) for pattern in patterns)]
    report = Report(name, found, records, value, tuple(_not_examined(case, watch, loss)))
    if not try_fixes or isinstance(model, Ensemble):
        return report
    with torch.inference_mode(False), random_states_kept([]):
        found = tried(report, model, batch, loss, partial(_again, thresholds=thresholds, ignore=ignore))
    return replace(report, findings=sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _again(model: nn.Module, batch: Any, loss: Any, **options: Any) -> Report:
    return audit(model, batch, loss=loss, try_fixes=False, **options)


def _patterns(ignore: Sequence[str]) -> list[tuple[str, str]]:
    if isinstance(ignore, str) or not all(isinstance(name, str) for name in ignore):
        raise TypeError(
            f'ignore must be a sequence of texts such as ["weight scale", "dead units: head.*"], got {ignore!r}'
        )
    split = [name.partition(":") for name in ignore]
    return [
        (_checks.one_of(kind.strip(), "a kind in ignore", KINDS), layers.strip() or "*") for kind, _, layers in split
    ]


def _matches(finding: Finding, kind: str, layers: str) -> bool:
    """Whether a finding is of a kind, and all of its layers fit a pattern."""
    return finding.kind == kind and all(fnmatchcase(layer, layers) for layer in finding.layers or (finding.layer,))


def _asked(record: Record, parts: Mapping[str, nn.Module]) -> set[str]:
    """Return the parameters of a layer of which it matters whether the first steps move them."""
    if not record.zero and record.weight_gradient != 0:
        return set()
    place = "" if record.whole else record.place
    before = f"{place}." if place else ""
    return {before + name for name in parts[place]._parameters if "bias" not in name}


def _second_step(module: nn.Module, batch: Any, loss: Any, watch: Watch, asked: set[str]) -> dict[str, Any]:
    like = next(module.parameters())

    def value() -> Tensor:
        parts, named = batches.arguments(batches.copied(batch, like, [], follow=False))
        with random_states_kept([]):
            found = _value(module(*parts, **named), loss, watch.replicas, needed=True)
        assert found is not None
        return found.sum()

    try:
        frozen = watch.frozen.parameters
        moved = moves(watch.parts, value, first=watch.gradients, asked=asked, frozen=frozen)
        still = asked - moved.free - moved.unused - frozen
        cut = {
            name: own for name, own in walk.parameters(watch.parts).items() if name in still and own.is_floating_point()
        }
        return moved._asdict() | ({"unheard": unheard(cut, value)} if cut else {})
    except Exception as error:
        watch.failed["what the first steps move"] = f"{type(error).__name__}: {error}"
        return {"steps_known": False}


def _not_examined(case: Case, watch: Watch, loss: Any) -> Iterator[str]:
    """Yield what this audit cannot tell of the network."""
    yield from (f"{what} ({why})" for what, why in watch.failed.items())
    inside = dict.fromkeys(record.kind for record in case.records if record.kind in ("RNN", "LSTM", "GRU"))
    yield from (f"the steps in time inside of {kind}: a long recurrence forgets, or explodes" for kind in inside)
    if case.normalized_sums >= case.limits.slope_layers:
        yield f"post-norm depth: {case.normalized_sums} sums are normalized; no start shows if so many want a warmup"
    hidden = sum(record.normalized for record in case.records)
    if hidden:
        yield f"the scale of {hidden} layer{'s' * (hidden > 1)} with a normalization behind: no signal shows it"
    aside = [record for record in case.chain if not record.trunk]
    places = max(len(case.stream), len(case.stream_gradients), len(case.chain) - len(aside))
    if aside and places < case.limits.slope_layers:
        yield f"slopes: less than {case.limits.slope_layers:g} places that all of the data passes"
    if loss is None:
        yield "the initial loss, and whether the outputs suit it (none was given)"


@contextmanager
def _watched(model: Any, batch: Any, loss: Any, *, full: bool) -> Iterator[tuple[nn.Module, Watch]]:
    """Check what was given; yield the model as a module, under hooks, in train mode, until it is put back."""
    if not isinstance(model, (Ensemble, nn.Module)):
        given = model.__name__ if isinstance(model, type) else type(model).__name__
        raise TypeError(f"model must be an Ensemble or a torch.nn.Module (an instance), got {given}")
    batches.check_loss(loss)
    with torch.inference_mode(False), torch.enable_grad():
        module, replicas = (as_module(model), model.replicas) if isinstance(model, Ensemble) else (model, None)
        batches.check_arguments(module, batch)
        parts = walk.modules(module)
        parameters = checked_parameters(parts)
        still = walk.frozen(parts) if replicas is None else walk.Frozen()
        kept = untouched(parts, parameters) if replicas is None else random_states_kept(parameters)
        with kept as own, Watch(parts, own, replicas=replicas, full=full, frozen=still) as watch:
            if not all(part.training for part in parts.values()):
                module.train()
            yield module, watch


class _Run(NamedTuple):
    """What one pass has left: its graph, the loss (or projection), and where inputs entered."""

    graph: Graph
    value: float
    fair: tuple[float, str, float] | None
    entries: Sequence[Any]
    inputs: list[Tensor]  # with floating-point numbers
    last: list[Tensor]  # of an ensemble, ∂loss/∂z_L


def _run(module: nn.Module, batch: Any, loss: Any, watch: Watch, *, backward: bool) -> _Run:
    """Pass a copy of the batch forward under the hooks, read the graph, and pass the gradient back.

    Without a layer there is nothing to send it back to.
    """
    outputs, leaves = _outputs(module, batch, watch)
    entries = [leaf.grad_fn for leaf in leaves]
    watch.stop()
    if not watch.calls and watch.full:
        raise ValueError(NO_LAYER.format(type(module).__name__))
    value = _value(outputs, loss, watch.replicas, needed=backward)
    graph = watch.graph(None if value is None else value.grad_fn, entries)
    watch.read(graph)
    fair, last = None if loss is None else graph.fair_loss(), []
    if backward and value is not None and watch.calls:
        if watch.replicas:
            outputs.register_hook(lambda gradient: last.append(gradient.detach()))
        watch.backward(value.sum())
    return _Run(graph, float("nan") if value is None else float(value.detach().mean()), fair, entries, leaves, last)


def _outputs(module: nn.Module, batch: Any, watch: Watch) -> tuple[Any, list[Tensor]]:
    """Run the model on copies that autograd follows for an audit; if it does not take these, on plain ones."""
    like = next(iter(watch.parameters), torch.empty(0))
    if watch.full:
        return _outputs_on(module, batch, like, watch, follow=False)
    try:
        return _outputs_on(module, batch, like, watch, follow=True)
    except Exception as error:
        watch.restart()
        try:
            return _outputs_on(module, batch, like, watch, follow=False)
        except Exception:
            raise error from None


def _outputs_on(module: nn.Module, batch: Any, like: Tensor, watch: Watch, *, follow: bool) -> tuple[Any, list[Tensor]]:
    leaves: list[Tensor] = []
    parts, named = batches.arguments(batches.copied(batch, like, leaves, follow=follow))
    watch.entries = {leaf.grad_fn for leaf in leaves if leaf.grad_fn is not None}
    return module(*parts, **named), leaves


def _value(outputs: Any, loss: Any, replicas: int | None, *, needed: bool) -> Tensor | None:
    """Return the loss, or a projection of the outputs; None if there is none and it is not `needed`."""
    if loss is not None:
        return batches.checked_loss(loss(outputs), replicas)
    try:
        return batches.projected(outputs)
    except ValueError:
        if needed:
            raise
        return None


def _start(model: Any, run: _Run) -> MeanField | None:
    """Return what theory starts from; None for what it has no case for."""
    if not isinstance(model, Ensemble) or type(model).forward is not Ensemble.forward:
        return None
    inputs = run.inputs[0].detach().to(model.parameters).expand(model.replicas, -1, -1)
    return mean_field_of(model, inputs, run.last[0] if run.last else None)
