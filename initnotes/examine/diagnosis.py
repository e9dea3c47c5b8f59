"""Floor 4: what is wrong with a network at initialization: findings with evidence and a fix as code.

What lives here judges; `measure` and `graph` look. The thresholds stand at the top, each with its reason, and
``benchmarks/audit.py`` measures how often they miss and how often they cry wolf.
"""

from __future__ import annotations

import inspect
import json
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .. import activations, theory
from ..layers import fill as layers
from . import measure
from .graph import Graph, slopes

__all__ = ["KINDS", "SEVERITIES", "Finding", "Layer", "Report", "audit"]

SEVERITIES = ("error", "warning", "info")
KINDS = (
    "not finite",
    "unscaled inputs",
    "zero weights",
    "no gradient",
    "symmetric units",
    "dead units",
    "saturated units",
    "weight scale",
    "vanishing signal",
    "exploding signal",
    "vanishing gradient",
    "exploding gradient",
    "initial loss",
    "normalization",
    "skip connections",
)

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
INPUT_HIGH, INPUT_LOW, INPUT_OFFSET, INPUT_UNEQUAL = (
    10.0,
    0.01,
    4.0,
    100.0,
)  # rms, rms, |mean| / std, largest/median std

_TWO_SIDED = ("tanh", "sigmoid", "hardtanh", "hardsigmoid", "erf")
_ONE_SIDED = ("relu", "gelu", "silu", "mish", "softplus", "hardswish")
_SCHEMES = {"selu": "lecun_normal", "tanh": "xavier_normal", "sigmoid": "xavier_normal", None: "lecun_normal"}
_GAINS = {"he_normal": math.sqrt(2.0), "lecun_normal": 1.0, "xavier_normal": 1.0}
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_INDENT: Any = {"initial_indent": "  ", "subsequent_indent": "  "}
MASKED = -1e4  # what is 0 or less, and this low somewhere, is a mask
_SAMPLE = 2**17  # numbers of a layer from which the spread over inputs is estimated
_FAR = {"sigmoid": 4.6, "tanh": 3.0}  # |z| beyond which |φ′| < 0.01


@dataclass(frozen=True)
class Finding:
    """One thing that an audit has found.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    layer : str
        Where it is, or where it is worst: a submodule's name, "inputs", "loss" or "network".
    severity : {"error", "warning", "info"}
        An error keeps the network from training as it should, a warning costs, an info changes how to read the rest.
    evidence : str
        What was measured, and what was expected.
    fix : str
        Python code in which ``model``, ``batch``, ``ini``, ``torch`` and ``rng`` are known; empty if there is nothing
        to do.
    layers : tuple of str
        All submodules that it concerns.
    """

    kind: str
    layer: str
    severity: str
    evidence: str
    fix: str = ""
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """What an audit measured of one layer, in the order of calls.

    Attributes
    ----------
    name, kind : str
        Submodule and class.
    activation : str or None
        Name of what follows, None if it is not known or there is none.
    normalized, bypassed, last : bool
        Whether a normalization comes next; whether some path of the data avoids the layer; whether it is the last.
    width : int
        Units or channels.
    sigma_w : float
        √(fan_in · E W²) with the true fan_in, NaN where it has none.
    size, signal : float
        Root mean square of z; the part of it that differs from input to input (NaN for a single input).
    gradient : float
        Euclidean norm of ∂loss/∂z over the batch.
    """

    name: str
    kind: str
    activation: str | None
    normalized: bool
    bypassed: bool
    last: bool
    width: int
    sigma_w: float
    size: float
    signal: float
    gradient: float


@dataclass(frozen=True)
class Report:
    """The diagnosis of one network: prints itself, draws itself with `plot`, and exports JSON.

    Attributes
    ----------
    model : str
        Class of the network.
    findings : list of Finding
        The gravest first; empty when all is well and nothing changes the reading.
    layers : tuple of Layer
    loss : float or None
        The initial loss, if one was given.
    """

    model: str
    findings: list[Finding]
    layers: tuple[Layer, ...]
    loss: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether there is no error and no warning."""
        return all(one.severity == "info" for one in self.findings)

    def kinds(self, *severities: str) -> list[str]:
        """Return the kinds found, errors and warnings without other wish, each once."""
        wanted = severities or SEVERITIES[:2]
        return list(dict.fromkeys(one.kind for one in self.findings if one.severity in wanted))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain lists, dicts, strings and numbers; what is not finite as None."""
        found: dict[str, Any] = _plain(asdict(self))
        return found | {"healthy": self.healthy}

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def plot(self) -> Any:
        """Draw signal and gradient against depth, with the layers of errors and warnings marked.

        Returns
        -------
        matplotlib Figure
        """
        from .pictures import audit as draw  # a result draws itself when asked to

        return draw(self)

    def __str__(self) -> str:
        counts = [(sum(one.severity == name for one in self.findings), name) for name in SEVERITIES]
        said = ", ".join(f"{n} {name}{'s' * (n > 1 and name != 'info')}" for n, name in counts if n)
        lines = [f"{self.model}, {len(self.layers)} layers: {said or 'nothing found'}"]
        for one in self.findings:
            more = f" and {len(one.layers) - 1} more" if len(one.layers) > 1 else ""
            lines += [f"{one.severity}: {one.kind} at {one.layer}{more}", *textwrap.wrap(one.evidence, 88, **_INDENT)]
            lines += [f"  | {line}" for line in one.fix.splitlines()]
        return "\n".join(lines)

    __repr__ = __str__


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def audit(model: nn.Module, batch: Any, loss: Callable[[Any], Tensor] | None = None) -> Report:
    """Examine any network at initialization by one forward and one backward pass. Nothing of it changes.

    Parameters
    ----------
    model : torch.nn.Module
        Examined as it trains: in train mode.
    batch : Tensor, tuple, list or dict
        What the model takes: a tuple's parts as its arguments, a dict's as its named ones. 8 inputs or more tell dead
        units; one alone does not tell what differs between inputs.
    loss : callable, optional
        Takes the outputs and returns a scalar tensor, with targets in a closure. Without it a fixed random projection
        of the outputs sends the gradient back: it depends on no target, so that only the network shapes what comes
        back, and the initial loss is not judged.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        If `model` is not a module, the batch holds no tensor, or `loss` is no function.
    ValueError
        If the model has no parameters or calls no layer with weights, the batch is empty, or the loss is not a scalar
        that depends on the model. What the model or the loss raises passes through.

    Notes
    -----
    Weights, buffers, gradients, modes and the random number generators are as before, even after an error. The verdict
    is about these weights on this batch. What follows a layer is read from autograd's graph, so functions count like
    modules. Signals and gradients are judged by the slope of their logarithm over all layers (Theil and Sen's, which
    one odd layer does not move).

    References
    ----------
    P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968.

    Examples
    --------
    >>> torch.manual_seed(1) and None
    >>> net = nn.Sequential(*[part for _ in range(12) for part in (nn.Linear(64, 64), nn.ReLU())])
    >>> audit(net, torch.randn(32, 64)).kinds()
    ['vanishing signal', 'vanishing gradient']
    """
    if not isinstance(model, nn.Module):
        given = model.__name__ if isinstance(model, type) else type(model).__name__
        raise TypeError(f"model must be a torch.nn.Module (an instance), got {given}")
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function of the outputs, or None, got {loss!r}")
    tensors = list(_tensors(batch))
    if not tensors:
        raise TypeError(f"batch must hold at least one tensor, got {type(batch).__name__}; use torch.as_tensor(x)")
    if not all(one.numel() for one in tensors):
        raise ValueError("batch must not be empty; pass at least one input")
    parameters = measure._checked_parameters(model)
    _check_arguments(model, batch)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        measure._random_states_kept(),
        measure._untouched(model, parameters, backward=True) as own,
        measure._fast_path_off(),
    ):
        return _examined(model, own, batch, loss)


def _check_arguments(model: nn.Module, batch: Any) -> None:
    """Raise if the parts of a tuple or dict are not what forward takes."""
    if isinstance(batch, Tensor):
        return
    parts, named = _arguments(batch)
    try:
        inspect.signature(model.forward).bind(*parts, **named)
    except TypeError as error:
        raise TypeError(
            f"batch does not fit {type(model).__name__}.forward: {error}; a tuple's parts are its arguments. "
            "If one of them is the target, pass batch=x and loss=lambda outputs: criterion(outputs, y)"
        ) from None


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, Mapping)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(one)


def _copied(value: Any, leaves: list[Tensor]) -> Any:
    """Return the batch with copies, of floating-point tensors such that autograd follows; `leaves` gets these."""
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        if copy.is_floating_point():
            copy = copy.requires_grad_().clone()
            leaves.append(copy)
        return copy
    if isinstance(value, Mapping):
        return {key: _copied(one, leaves) for key, one in value.items()}
    if not isinstance(value, (tuple, list)):
        return value
    parts: Any = [_copied(one, leaves) for one in value]
    if isinstance(value, tuple):
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return parts


def _arguments(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments by place and by name that a batch stands for; packed sequences are tuples, but one."""
    if isinstance(batch, Mapping):
        return (), dict(batch)
    spread = isinstance(batch, (tuple, list)) and not isinstance(batch, PackedSequence)
    return (tuple(batch) if spread else (batch,)), {}


def _opened(outputs: Any) -> Any:
    """Return the attributes of an object that is no container, such as a dataclass; others as they are."""
    closed = isinstance(outputs, (Tensor, tuple, list, Mapping)) or not hasattr(outputs, "__dict__")
    return outputs if closed else vars(outputs)


def _projected(outputs: Any) -> Tensor:
    """Return a random projection of all outputs with signs of its own generator."""
    signs, total, found = torch.Generator().manual_seed(0), [], list(_tensors(_opened(outputs)))
    if not found:
        raise ValueError(
            f"no tensor was found in the outputs, a {type(outputs).__name__}; pass loss=, which takes them"
        )
    for one in found:
        if one.is_floating_point() and one.requires_grad:
            sign = torch.randint(0, 2, one.shape, generator=signs).to(one) * 2 - 1
            total.append((one * sign).sum() / math.sqrt(max(1, one.numel())))
    if not total:
        raise ValueError("the outputs do not depend on the model's parameters: no gradient reaches a layer")
    return torch.stack([one.double() for one in total]).sum()


def _examined(model: nn.Module, parameters: Sequence[nn.Parameter], batch: Any, loss: Any) -> Report:
    model.train()
    leaves: list[Tensor] = []
    copies = _copied(batch, leaves)
    entries = [one.grad_fn for one in leaves]
    with _Examiner(model, parameters) as seen:
        parts, named = _arguments(copies)
        outputs = model(*parts, **named)
        seen.stop()
        if not seen.layers:
            raise ValueError(
                f"{type(model).__name__} called no layer with weights: a module without children that has a parameter "
                "of two dimensions or more, such as nn.Linear; weights used in other ways cannot be audited"
            )
        given = _projected(outputs) if loss is None else measure._checked_loss(loss(outputs), "a scalar")
        numbers = {one["node"]: at for at, one in enumerate(seen.layers) if one["node"] is not None}
        graph = Graph(given.grad_fn, numbers, entries)
        units = _unit_findings(graph, seen)
        fair = None if loss is None else graph.fair_loss()
        seen.backward(given)
        facts = seen.facts(graph)
        value = None if loss is None else float(given.detach())
        found = [
            *_finite_findings(model, batch, facts, value, seen),
            *_input_findings(batch, graph, entries),
            *_stopped_findings(model, facts, seen, dead=any(one.severity == "error" for one in units)),
            *_symmetric_findings(facts, seen),
            *_info_findings(facts, graph),
        ]
        modules = dict(model.named_modules()) | {_plain_name(one["name"]): one["module"] for one in seen.layers}
        sick = {one.kind for one in found if one.severity == "error"}
        if not sick & {"not finite", "zero weights"}:
            found += [*units, *_gate_findings(facts, seen), *_scale_findings(facts), *_slope_findings(facts)]
        found += _loss_findings(value, fair, facts, found)
    found = [_finished(one, modules) for one in found]
    found.sort(key=lambda one: (SEVERITIES.index(one.severity), KINDS.index(one.kind)))
    return Report(type(model).__name__, found, tuple(facts), value)


def _length(x: Tensor) -> Tensor:
    """Return the Euclidean norm of each row and the number of its entries, shape (R, 2)."""
    if len(x) == 1:  # without a copy in float64
        return torch.tensor([[_norm(x), float(x.numel())]], dtype=torch.float64)
    norms = torch.linalg.vector_norm(x.flatten(1), dim=1, dtype=torch.float64)
    return torch.stack([norms, torch.full_like(norms, x[0].numel())], dim=1)


class _Examiner(measure._Recorder):
    """The probe's hooks on layers; activations are read from the graph, and gradients of weights only scanned."""

    summary = staticmethod(_length)

    def __enter__(self) -> _Examiner:
        self.found = [one for one in self.found if one[2] == "layer"]
        super().__enter__()
        return self

    def _after_layer(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        before = len(self.layers)
        super()._after_layer(name, module, inputs, output)
        if len(self.layers) == before:
            return
        layer, z, x = self.layers[-1], measure._first_tensor(output), measure._first_tensor(inputs)
        assert z is not None
        weight = _matrix(module)
        layer |= {"node": z.grad_fn, "signal": _spread(z.detach(), self.axes[-1]), "norm ∂W": math.nan}
        layer["rms x"] = math.nan if x is None else _rms(x)
        layer["rms W"] = math.nan if weight is None else _rms(weight)
        layer["zero"] = _zeros(module, layer["rms W"])
        layer["distinct"], layer["units"] = _counted(module, layer.get("distinct_units"))

    def backward(self, value: Tensor) -> None:
        """Send the gradient back; keep the largest of each weight's, and rows where units are equal."""
        gradients = torch.autograd.grad(value, self.parameters, allow_unused=True)
        if all(one is None for one in gradients):
            raise ValueError(measure._DETACHED)
        by_weight = {id(one): gradient for one, gradient in zip(self.parameters, gradients, strict=True)}
        for layer in self.layers:
            gradient = by_weight.get(id(_matrix(layer["module"])))
            if gradient is not None:
                gradient = gradient.to_dense()
                layer["norm ∂W"] = _norm(gradient)
                if 2 * layer["distinct"] <= len(gradient):
                    layer["rows ∂W"] = gradient

    def facts(self, graph: Graph) -> list[Layer]:
        """Return what is known of each layer."""
        lacking = torch.full((1, 2), math.nan, dtype=torch.float64)
        found = measure._joined([one.get(key, lacking) for key in ("z", "∂z") for one in self.layers])
        (norms, gradients), entries = found[0, 0].reshape(2, -1), found[0, 1, : len(self.layers)]
        made = []
        for one, size, gradient in zip(self.layers, norms / np.sqrt(entries), gradients, strict=True):
            activation, normalized, last = graph.follows(one["node"])
            module, bypassed = one["module"], graph.bypassed(one["node"])
            sigma = one["rms W"] * math.sqrt(_fan_in(module))
            reading = (sigma, float(size), one["signal"], float(gradient))
            made.append(Layer(one["name"], one["kind"], activation, normalized, bypassed, last, one["width"], *reading))
        return made


def _norm(x: Tensor) -> float:
    """Return the Euclidean norm; scaled first where the squares leave the range of the dtype."""
    x = x.detach().flatten()
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    size = math.sqrt(float(torch.dot(x, x))) if x.is_floating_point() else 0.0  # the fastest pass over memory
    if not 1e-15 < size < 1e15:
        most = float(x.abs().max())
        scaled = x / most if 0 < most < math.inf else x
        size = most * math.sqrt(float(torch.dot(scaled, scaled))) if scaled is not x else most
    return size


def _zeros(module: nn.Module, first: float) -> list[str]:
    """Return the names of the weights that are all zero, if the root mean square of the first is known."""
    if not isinstance(module, (*_RECURRENT, nn.MultiheadAttention)):
        return ["weight"] if first == 0 else []
    weights = {name: getattr(module, name) for name in layers._weights(module)}
    return [name for name, one in weights.items() if isinstance(one, Tensor) and not bool(one.detach().any())]


def _rms(x: Tensor) -> float:
    return _norm(x) / math.sqrt(x.numel())


def _matrix(module: nn.Module) -> Any:
    return measure._weight_parameter(module)


def _fan_in(module: Any) -> float:
    """Return over how many products an output sums; NaN where that is not known."""
    if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
        steps = math.prod(module.stride) if isinstance(module, nn.modules.conv._ConvTransposeNd) else 1
        return layers.true_fans(module)[0] / steps
    if isinstance(module, _RECURRENT):
        return float(module.input_size)
    return float(module.embed_dim) if isinstance(module, nn.MultiheadAttention) else math.nan


def _spread(z: Tensor, axis: int) -> float:
    """Return the root mean square over units of the deviation over inputs and positions, NaN for one input."""
    rows = z.movedim(axis, -1)
    rows = rows.reshape(-1, rows.shape[-1])
    rows = rows[:: max(1, rows.numel() // _SAMPLE)]
    return float(rows.double().var(0, correction=0).mean().sqrt()) if len(rows) > 1 else math.nan


def _rows(module: Any) -> Tensor | None:
    """Return the incoming weights and bias of each unit, shape (units, …)."""
    if isinstance(module, nn.RNNBase):
        return torch.cat([getattr(module, f"weight_{which}_l0").detach() for which in ("ih", "hh")], dim=1)
    if isinstance(module, nn.Embedding):
        return None
    units = measure._units_of(module)
    if units is None:
        return None
    weight, bias = units
    return weight[0] if bias is None else torch.cat([weight[0], bias[0][:, None]], dim=1)


def _counted(module: Any, counted: Any) -> tuple[float, int]:
    """Return how many units differ in weights or bias, and how many there are; inf where they are not known or one."""
    if isinstance(module, nn.RNNBase):
        rows = _rows(module)
        assert rows is not None
        return float(len(torch.unique(rows, dim=0))), len(rows)
    units = int(getattr(module, "out_features", None) or getattr(module, "out_channels", None) or 0)
    if counted is None or isinstance(module, nn.Embedding) or units < 2:
        return math.inf, 0
    return float(counted if isinstance(counted, Tensor) else counted[0](counted[1])), units


# ---------------------------------------------------------------------------------------------------------------------
# Findings


def _plain_name(name: str) -> str:
    return name.partition(" (call")[0]


def _scheme(activation: str | None) -> str:
    return _SCHEMES.get(activation, "he_normal")


_Modules = Mapping[str, nn.Module]  # by name: all of the model's, "" the model, and the layers that were seen


def _draw(facts: Sequence[Layer], modules: _Modules) -> str:
    """Return code that draws these layers anew, each with the scheme that fits what follows.

    What is computed from other parameters is left out: no call draws it.
    """
    lines = []
    for scheme in dict.fromkeys(_scheme(one.activation) for one in facts):
        own = dict.fromkeys(_plain_name(one.name) for one in facts if _scheme(one.activation) == scheme)
        for by_hand in (False, True):
            known = [name for name in own if not _computed(modules[name])]
            chosen = tuple(name for name in known if _has_rule(modules[name]) != by_hand)
            whole = chosen[:1] and modules[chosen[0]] is modules[""]  # the model is a layer itself
            code = _DRAWN[by_hand]("model" if whole else "model.get_submodule(name)", scheme)
            if chosen:
                lines += code if whole else [f"for name in {chosen!r}:", *(f"    {line}" for line in code)]
    return "\n".join(lines)


def _has_rule(module: Any) -> bool:
    """Whether `layers.initialize_` draws this module: a layer with a rule whose weights are its own parameters."""
    return isinstance(module, layers._LAYERS) and all(one in module._parameters for one in layers._weights(module))


def _computed(module: nn.Module) -> bool:
    """Whether a layer's weight is computed from other parameters: weight norm, pruning and the like."""
    return isinstance(module, layers._LAYERS) and not _has_rule(module)


_DRAWN: dict[bool, Callable[[str, str], list[str]]] = {
    False: lambda layer, scheme: [f'ini.initialize_({layer}, "{scheme}", rng=rng)'],
    True: lambda layer, _: [
        f"for p in {layer}.parameters():",
        "    torch.nn.init.xavier_uniform_(p) if p.dim() > 1 else torch.nn.init.zeros_(p)",
    ],
}


def _of(kind: str, facts: Sequence[Layer], severity: str, evidence: str, fix: Any = None) -> Finding:
    """Return a finding about these layers; its fix, if it is a function, gets the modules by `_finished`."""
    names = tuple(dict.fromkeys(_plain_name(one.name) for one in facts))
    return Finding(kind, names[0], severity, evidence, partial(_draw, facts) if fix is None else fix, names)  # type: ignore[arg-type]


def _finished(one: Finding, modules: _Modules) -> Finding:
    """Return a finding with its fix written, and with the layers named whose weights no fix can draw."""
    make: Any = one.fix
    if not callable(make):
        return one
    computed = [name for name in one.layers if _computed(modules[name])]
    said = f"; the weight of {', '.join(computed[:3])} is computed from others: set these" if computed else ""
    return replace(one, fix=make(modules), evidence=one.evidence + said)


def _finite_findings(
    model: nn.Module, batch: Any, facts: Sequence[Layer], loss: float | None, seen: _Examiner
) -> Iterator[Finding]:
    first = [one for one in facts if not math.isfinite(one.size)]
    bad = [(path, one) for path, one in _places(batch) if _broken(one, may_mask=not first)]
    if bad:
        code = "{0} = torch.nan_to_num({0})  # better: find out where it comes from"
        fix = "\n".join(_replaced(batch, path, code) for path, _ in bad)
        yield Finding("not finite", "inputs", "error", "the inputs hold NaN or infinity", fix)
    known = {id(_matrix(one["module"])) for one in seen.layers if math.isfinite(one["rms W"])}
    broken = [name for name, one in model.named_parameters() if id(one) not in known]
    broken = [name for name in broken if _broken(model.get_parameter(name), may_mask=not first)]
    if broken:
        places = tuple(dict.fromkeys(name.rpartition(".")[0] or type(model).__name__ for name in broken))
        said = f"NaN or infinity in {', '.join(broken[:3])}"
        yield Finding("not finite", places[0], "error", said, _reset(model, broken), places)
    if first and not bad and not broken:
        yield _of("not finite", first, "error", "its outputs overflow, although inputs and weights are finite")
    if loss is not None and not math.isfinite(loss) and not (bad or broken or first):
        yield Finding("not finite", "loss", "error", f"the loss is {loss}, although all layers are finite")


def _broken(tensor: Tensor, *, may_mask: bool) -> bool:
    """Whether a tensor holds NaN or infinity, as a mask only where it `may_mask`."""
    if not tensor.numel() or not tensor.is_floating_point() or math.isfinite(_norm(tensor)):
        return False
    return not (may_mask and _is_mask(tensor))


def _is_mask(x: Tensor) -> bool:
    """Whether a tensor looks like what is added to scores to hide some: 0 or less, and very far below somewhere."""
    x = x.detach()
    return bool(x.numel()) and float(x.max()) <= 0 and float(x.min()) <= MASKED


def _reset(model: nn.Module, names: Sequence[str]) -> str:
    """Return code that gives parameters the start of their layers, where these have one, or a plain one."""
    owners = dict.fromkeys(name.rpartition(".")[0] for name in names)
    known = tuple(one for one in owners if callable(getattr(model.get_submodule(one), "reset_parameters", None)))
    rest = tuple(name for name in names if name.rpartition(".")[0] not in known)
    lines = []
    if known == ("",):
        lines += ["model.reset_parameters()"]
    elif known:
        lines += [f"for name in {known!r}:", "    model.get_submodule(name).reset_parameters()"]
    if rest:
        lines += [f"for name in {rest!r}:", "    p = model.get_parameter(name)"]
        start = 'float(name.endswith(("weight", "scale", "gamma")))'
        lines += [f"    torch.nn.init.xavier_uniform_(p) if p.dim() > 1 else torch.nn.init.constant_(p, {start})"]
    return "\n".join(lines)


def _places(batch: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    """Yield the tensors of a batch as `_tensors` does, each with the keys that lead to it."""
    if isinstance(batch, Tensor):
        yield path, batch
    elif isinstance(batch, (tuple, list, Mapping)):
        for key, one in batch.items() if isinstance(batch, Mapping) else enumerate(batch):
            yield from _places(one, (*path, key))


def _replaced(batch: Any, path: tuple[Any, ...], code: str) -> str:
    """Return code that changes one tensor of a batch; in `code`, {0} is the tensor's name."""
    if not path:
        return code.format("batch")
    at = "".join(f"[{key!r}]" for key in path)
    return f"x = batch{at}\n{code.format('x')}\nbatch = {_rebuilt(batch, path, 'batch')}"


def _rebuilt(value: Any, path: tuple[Any, ...], name: str) -> str:
    """Return an expression for the container `name` with x at the end of the path."""
    if not path:
        return "x"
    key = path[0]
    inner = _rebuilt(value[key], path[1:], f"{name}[{key!r}]")
    if isinstance(value, Mapping):
        return f"{{**{name}, {key!r}: {inner}}}"
    if hasattr(value, "_fields"):
        return f"{name}._replace({value._fields[key]}={inner})"
    ends = "()" if isinstance(value, tuple) else "[]"
    parts = [f"*{name}[:{key}]"] * (key > 0) + [inner] + [f"*{name}[{key + 1}:]"] * (key + 1 < len(value))
    return f"{ends[0]}{', '.join(parts)}{',' * (len(value) == 1)}{ends[1]}"


def _input_findings(batch: Any, graph: Graph, entries: Sequence[Any]) -> Iterator[Finding]:
    """Judge each floating-point input by its size, its offset, and the spread of its features."""
    real = [(path, one.detach()) for path, one in _places(batch) if one.is_floating_point()]
    for (path, given), node in zip(real, entries, strict=True):
        x = given.double()
        wrong = _input_faults(x) if bool(torch.isfinite(x).all()) and x.numel() > 1 and not _is_mask(x) else []
        if wrong:
            severity = "info" if graph.follows(node)[1] else "warning"
            said = "; ".join(wrong) + (" (a normalization follows)" if severity == "info" else "")
            yield Finding("unscaled inputs", "inputs", severity, said, _replaced(batch, path, _standardized(x, wrong)))


def _input_faults(x: Tensor) -> list[str]:
    rms, mean = float(x.square().mean().sqrt()), float(x.mean())
    std = float(x.std(correction=0))
    wrong = []
    if rms > INPUT_HIGH or (0 < rms < INPUT_LOW):
        wrong.append(f"root mean square {rms:.2g}; all schemes expect about 1")
    if std > 0 and abs(mean) > INPUT_OFFSET * std:
        wrong.append(f"mean {mean:.2g} is {abs(mean) / std:.1f} standard deviations from 0")
    if x.dim() == 2 and len(x) > 1:
        stds = x.std(0, correction=0)
        stds = stds[stds > 0]
        if len(stds) > 1 and float(stds.max() / stds.median()) > INPUT_UNEQUAL:
            wrong.append(f"the largest feature varies {float(stds.max() / stds.median()):.0f} times as much as most")
    return wrong


def _standardized(x: Tensor, wrong: Sequence[str]) -> str:
    if any(one.startswith("the largest feature") for one in wrong):
        return "{0} = {0} - {0}.mean(0)\nstd = {0}.std(0, correction=0)\n{0} = {0} / torch.where(std > 0, std, 1.0)"
    if x.dim() == 2 and len(x) > 1:
        return "{0} = {0} - {0}.mean(0)\n{0} = {0} / {0}.square().mean().sqrt()"
    return "{0} = ({0} - {0}.mean()) / {0}.std()"


def _stopped_findings(model: nn.Module, facts: Sequence[Layer], seen: _Examiner, *, dead: bool) -> Iterator[Finding]:
    """Find weights that are all zero, and layers that no gradient reaches though no unit before them is `dead`."""
    pairs = list(zip(facts, seen.layers, strict=True))
    # what the loss does not use has no gradient at all; without a recurrent weight a layer forgets, and learns it
    used = [(fact, one) for fact, one in pairs if not math.isnan(one["norm ∂W"])]
    zero = [(fact, one) for fact, one in used if any("_hh" not in name for name in one["zero"])]
    may = [(fact, one) for fact, one in zero if (fact.last or fact.bypassed) and one["rms x"] > 0 and one["rms W"] == 0]
    right = [fact for fact, _ in may] if any(one["norm ∂W"] > 0 for _, one in may) else []
    wrong = [(fact, one) for fact, one in zero if fact not in right]
    if wrong:
        names = [name for name in wrong[0][1]["zero"] if name != "weight"]
        what = f"{', '.join(names)} {'are' if names[1:] else 'is'}" if names else "all weights are"
        said = f"{what} 0: nothing passes, forward or backward"
        yield _of("zero weights", [fact for fact, _ in wrong], "error", said)
    if right:
        said = (
            "all weights are 0 where the data ends or has another way: right on purpose, it learns from the first step"
        )
        yield _of("zero weights", right, "info", said, "")
    gates = any(isinstance(one, layers._NORMS) and _all_zero(getattr(one, "weight", None)) for one in model.modules())
    cut = [fact for fact, one in pairs if one["norm ∂W"] == 0 and one["rms W"] != 0]
    if cut and pairs[0][1]["rms x"] == 0 and all(one["rms x"] == 0 for fact, one in pairs if fact in cut):
        said = "the inputs are all 0, so the gradient of the weights is too; pass inputs as in training"
        yield _of("no gradient", cut, "error", said, "")
    elif cut and not wrong and not dead:
        explained = bool(right) or gates
        said = "the gradient of the weights is exactly 0" + (" as long as what follows is 0" if explained else "")
        yield _of("no gradient", cut, "info" if explained else "error", said, "" if explained else None)


def _all_zero(weight: Any) -> bool:
    return isinstance(weight, Tensor) and not bool(weight.detach().any())


def _symmetric_findings(facts: Sequence[Layer], seen: _Examiner) -> Iterator[Finding]:
    """Find layers with half or more of their units equal; equal gradients keep them so."""
    same = [(fact, one) for fact, one in zip(facts, seen.layers, strict=True) if one["rms W"] != 0]
    same = [(fact, one) for fact, one in same if 2 * one["distinct"] <= one["units"]]
    most = max((one["norm ∂W"] for one in seen.layers if one["norm ∂W"] >= 0), default=0.0)
    for stays in (True, False):
        own = [(fact, one) for fact, one in same if _stay_equal(one, most) == stays and not fact.last]
        if own:
            counts = f"{own[0][1]['distinct']:.0f} of {own[0][1]['units']} units differ"
            said = "their gradients are equal too, so they stay equal" if stays else "their gradients differ"
            yield _of(
                "symmetric units", [fact for fact, _ in own], "error" if stays else "warning", f"{counts}; {said}"
            )


def _stay_equal(one: Mapping[str, Any], most: float) -> bool:
    """Whether units with equal weights have equal gradients up to rounding, if the largest of any layer is `most`."""
    rows, gradient = _rows(one["module"]), one.get("rows ∂W")
    if one["norm ∂W"] <= 1e-6 * most:  # what is left is rounding
        return True
    if rows is None or gradient is None or len(gradient) != len(rows):
        return False
    gradient = gradient.flatten(1).double()
    _, group = torch.unique(rows, dim=0, return_inverse=True)
    count = torch.bincount(group).clamp(min=1)[:, None]
    means = torch.zeros(len(count), gradient.shape[1], dtype=torch.float64, device=gradient.device)
    means = means.index_add(0, group, gradient) / count
    return float((gradient - means[group]).norm()) <= 1e-4 * float(gradient.norm())


def _unit_findings(graph: Graph, seen: _Examiner) -> list[Finding]:
    """Find dead units after one-sided activations and saturated ones after two-sided: read before the backward pass."""
    dead, saturated = [], []
    for node, name, at in graph.activations():
        size = slopes(node) if name in _ONE_SIDED + _TWO_SIDED else None
        if size is None:
            continue
        layer, axis = seen.layers[at], seen.axes[at]
        fits = size.dim() >= -axis and size.shape[axis] == layer["width"]
        by_unit = size.movedim(axis if fits else -1, -1).flatten(0, -2)
        fact = Layer(layer["name"], layer["kind"], name, False, False, False, *(layer["width"], *[math.nan] * 4))
        if name in _TWO_SIDED and not (name == "hardtanh" and float(node._saved_min_val) == 0):
            saturated.append((float((by_unit < measure.SATURATED).double().mean()), fact))
        elif len(by_unit) >= DEAD_INPUTS:
            share = float((by_unit.amax(0) < measure.SATURATED).double().mean())
            limit = min(0.99, max(DEAD_LEAST, 0.5 + DEAD_MARGIN * 0.5 / math.sqrt(by_unit.shape[1])))
            dead.append((share if share >= limit else 0.0, fact))
    return [
        *_worst("dead units", dead, 1e-9, DEAD_ERROR, "of the units are off for all inputs: no gradient passes them"),
        *_worst(
            "saturated units", saturated, SATURATED_WARNING, SATURATED_ERROR, "of the activations have |φ′| < 0.01"
        ),
    ]


def _worst(
    kind: str, shares: Sequence[tuple[float, Layer]], least: float, error: float, said: str
) -> Iterator[Finding]:
    """Join the layers above a threshold into one finding, named after the worst."""
    over = sorted((one for one in shares if one[0] >= least), key=lambda one: -one[0])
    if over:
        severity = "error" if over[0][0] >= error else "warning"
        yield _of(kind, [fact for _, fact in over], severity, f"{over[0][0]:.0%} {said}")


def _gate_findings(facts: Sequence[Layer], seen: _Examiner) -> list[Finding]:
    """Find recurrent layers whose weights alone, on inputs and states of the size seen, saturate their gates."""
    found = []
    for fact, one in zip(facts, seen.layers, strict=True):
        module = one["module"]
        if isinstance(module, nn.RNNBase) and module.mode != "RNN_RELU":
            limit = _FAR["tanh" if module.mode == "RNN_TANH" else "sigmoid"]
            stacks = [
                (at, end) for at in range(module.num_layers) for end in ("", "_reverse")[: 1 + module.bidirectional]
            ]
            shares = [_gates_far(module, *stack, one["rms x"], fact.size, limit) for stack in stacks]
            found.append((max(shares), fact))
    return list(_worst("saturated units", found, SATURATED_WARNING, SATURATED_ERROR, "of the gates have |φ′| < 0.01"))


def _gates_far(module: Any, at: int, end: str, rms_x: float, rms_h: float, limit: float) -> float:
    """Return the share of gates beyond `limit`, for normal sums of this variance."""
    into, back = (getattr(module, f"weight_{which}_l{at}{end}").detach().double() for which in ("ih", "hh"))
    size = rms_h if at else rms_x
    variance = size**2 * into.square().sum(1) + rms_h**2 * back.square().sum(1)
    return float(torch.erfc(limit / (2 * variance).sqrt()).mean())


def _loss_findings(
    value: float | None, fair: tuple[float, str, float] | None, facts: Sequence[Layer], found: Sequence[Finding]
) -> list[Finding]:
    """Compare the loss with a fair guess's; where another finding explains it, that one has the fix."""
    if value is None or fair is None or not math.isfinite(value) or value - fair[0] <= LOSS_WARNING * fair[2]:
        return []
    last = ([one for one in facts if one.last] or list(facts))[-1]
    name = _plain_name(last.name)
    causes = [one.kind for one in found if one.severity != "info" and (one.kind in _LOUD or name in one.layers)]
    evidence = f"{value:.3g} nats, and a fair guess has {fair[1]} = {fair[0]:.3g}: the logits are too large"
    factor = min(0.5, 0.3 / last.size) if 0 < last.size < math.inf else 0.5
    fix: Any = partial(_shrunk, name, factor)
    severity = "error" if value - fair[0] > LOSS_ERROR * fair[2] and not causes else "warning"
    if causes:  # which come first, then
        evidence, fix = f"{evidence}; see {causes[0]}", ""
    return [_of("initial loss", [last], severity, evidence, fix)]


def _shrunk(name: str, factor: float, modules: _Modules) -> str:
    """Return code that makes all parameters of a layer smaller; of one whose weight is computed, none."""
    if _computed(modules[name]):
        return ""
    layer = "model" if modules[name] is modules[""] else f"model.get_submodule({name!r})"
    return f"with torch.no_grad():\n    for p in {layer}.parameters():\n        p.mul_({factor:.2g})"


_LOUD = ("unscaled inputs", "exploding signal")


def _info_findings(facts: Sequence[Layer], graph: Graph) -> Iterator[Finding]:
    norms, aside = graph.normalized(), sum(one.bypassed for one in facts)
    if norms:
        said = f"{norms} on the data's way: behind each, the signal's size is not that of the weights"
        yield Finding("normalization", "network", "info", said)
    if graph.merges() and aside:
        said = f"{aside} of {len(facts)} layers have a way around them: a factor per layer is not one of the network"
        yield Finding("skip connections", "network", "info", said)


def _scale_findings(facts: Sequence[Layer]) -> Iterator[Finding]:
    """Find single layers whose weights are far from the scheme that fits."""
    over = []
    for one in facts:
        ratio = one.sigma_w / _GAINS[_scheme(one.activation)]
        low = SCALE_LOW if not (one.last or one.bypassed) else 0.0
        if ratio > 0 and math.isfinite(ratio) and not one.normalized and not low <= ratio <= SCALE_HIGH:
            over.append((abs(math.log(ratio)), ratio, one))
    over.sort(key=lambda one: -one[0])
    if over:
        ratio, worst = over[0][1:]
        severity = "warning" if SCALE_LOW_ERROR <= ratio <= SCALE_HIGH_ERROR else "error"
        said = f"√(fan_in · E W²) = {worst.sigma_w:.2g}; {_scheme(worst.activation)}"
        said += f" before {worst.activation or 'no known activation'} has {worst.sigma_w / ratio:.3g}"
        yield _of("weight scale", [one for *_, one in over], severity, said)


# Slopes


def slope(values: Any) -> tuple[float, float, int]:
    """Return Theil and Sen's slope of log values over layers, Kendall's τ, and how many layers counted.

    Numbers that are 0 or not finite are left out.

    Examples
    --------
    >>> rate, tau, count = slope([8.0, 4.0, 2.0, 1.0])
    >>> round(rate / math.log(2), 6), tau, count
    (-1.0, -1.0, 4)
    """
    values = np.asarray(values, dtype=np.float64)
    at = np.flatnonzero(np.isfinite(values) & (values > 0))
    if len(at) < 2:
        return 0.0, 0.0, len(at)
    logs = np.log(values[at])
    i, j = np.triu_indices(len(at), 1)
    pairs = (logs[j] - logs[i]) / (at[j] - at[i])
    return float(np.median(pairs)), float(np.sign(pairs).mean()), len(at)


def _slope_findings(facts: Sequence[Layer]) -> Iterator[Finding]:
    chain = [one for one in facts if one.kind not in ("Embedding", "EmbeddingBag")]
    drifts = {
        "size": slope([one.size for one in chain]),
        "signal": slope([one.signal for one in chain]),
        "gradient": slope([one.gradient for one in chain][::-1]),
    }
    judged = {name: one for name, one in drifts.items() if _is_drift(*one)}
    if "size" in judged:  # theory has the size; what differs between inputs fades a little faster
        yield _drift("signal", "root mean square of z", judged["size"], chain, forward=True)
    elif "signal" in judged:
        yield _drift("signal", "what differs between inputs", judged["signal"], chain, forward=judged["signal"][0] > 0)
    if "gradient" in judged:
        yield _drift("gradient", "norm of ∂loss/∂z, backward", judged["gradient"], chain, forward=False)


def _is_drift(rate: float, steady: float, count: int) -> bool:
    return count >= SLOPE_LAYERS and abs(rate) * (count - 1) > SLOPE_WARNING and abs(steady) >= STEADY


def _drift(what: str, of: str, drift: tuple[float, float, int], chain: Sequence[Layer], *, forward: bool) -> Finding:
    rate, _, count = drift
    total = math.exp(max(-700.0, min(700.0, rate * (count - 1))))
    said = f"{of}: × {math.exp(rate):.3g} per layer, × {total:.1g} over {count} layers; "
    predicted = _predicted(chain, forward)
    known = "theory has no case here" if predicted is None else f"theory × {predicted[0]:.3g} for {predicted[1]}"
    severity = "error" if abs(rate) * (count - 1) > SLOPE_ERROR else "warning"
    kind = f"{'exploding' if rate > 0 else 'vanishing'} {what}"
    return _of(kind, chain, severity, said + known, partial(_rescued, chain))


def _predicted(chain: Sequence[Layer], forward: bool) -> tuple[float, str] | None:
    """Return the mean factor per layer that theory predicts from the weights and sizes seen, and for what.

    The size of the signal follows √(σ_w² E φ²/q), the gradient and what differs between inputs √(σ_w² E φ′²).
    """
    pairs = [(one, after) for one, after in pairwise(chain) if one.activation in activations.NAMES]
    if len(pairs) < len(chain) - 1 or any(one.normalized or one.bypassed for one in chain):
        return None
    names = {one.activation for one, _ in pairs}
    q = np.array([one.size**2 for one, _ in pairs])
    sigma = np.array([after.sigma_w for _, after in pairs])
    if len(names) > 1 or not (
        np.isfinite(sigma).all() and (sigma > 0).all() and np.isfinite(q).all() and (q > 0).all()
    ):
        return None
    name, q = str(names.pop()), np.clip(q, 1e-12, 1e12)
    moment = theory.second_moment(q, name) / q if forward else theory.derivative_second_moment(q, name)
    logs = np.log(np.maximum(sigma**2 * moment, 1e-300)) / 2
    return float(np.exp(logs.mean())), f"{name} at σ_w = {np.median(sigma):.3g}"


def _rescued(chain: Sequence[Layer], modules: _Modules) -> str:
    """Return code that draws all layers anew; deep sigmoids, which no scale cures, become tanh."""
    deep = sum(one.activation == "sigmoid" for one in chain)
    if deep * 2 < len(chain):
        return _draw(chain, modules)
    swap = [
        "for parent in list(model.modules()):",
        "    for name, child in list(parent.named_children()):",
        "        if isinstance(child, torch.nn.Sigmoid):",
        "            setattr(parent, name, torch.nn.Tanh())",
    ]
    kept = sum(isinstance(one, nn.Sigmoid) for one in modules.values())
    by_hand = ["# replace torch.sigmoid in forward by torch.tanh: no scale cures deep sigmoids"] if kept < deep else []
    return "\n".join([*by_hand, *(swap if kept else []), _draw(chain, modules)])
