"""Floor 2: any ``torch.nn.Module`` filled by a scheme, each layer with the fans that it really has.

What lives here writes parameters, and says which ones; what the network then does to a signal is measured upstairs.

A weight is a stack of blocks ``(fan_out, fan_in, *kernel)``, one a group, row, gate or projection, which a scheme draws
as replicas:

=====================  ==================================  ================  ================
layer                  layout in torch                     fan_in            fan_out
=====================  ==================================  ================  ================
``Linear``             ``(out, in)``                       in                out
``Conv1d`` … ``3d``    ``(out, in / groups, *kernel)``     in / groups · k   out / groups · k
``ConvTranspose…``     ``(in, out / groups, *kernel)``     in / groups · k   out / groups · k
``Embedding``          ``(rows, dim)``                     1                 dim
``RNN``, ``GRU``, ``LSTM`` and their cells
---------------------------------------------------------------------------------------------
- ``weight_ih…``       ``(gates · hidden, in)``            in                hidden
- ``weight_hh…``       ``(gates · hidden, state)``         state             hidden
- ``weight_hr…``       ``(state, hidden)``                 hidden            state
``MultiheadAttention``
---------------------------------------------------------------------------------------------
- ``in_proj_weight``   ``(3 · embed, embed)``              embed             embed
- ``q_proj_weight``    ``(embed, embed)``                  embed             embed
- ``k_proj_weight``    ``(embed, kdim)``                   kdim              embed
- ``v_proj_weight``    ``(embed, vdim)``                   vdim              embed
=====================  ==================================  ================  ================

Here k is the product of the kernel's sizes. The derivation, at stride 1 and away from the edges: an output of a
convolution sees k positions, an input is seen from k positions, and on each position only the channels of its own group
are connected, in / groups behind every output and out / groups before every input; a transposed convolution is the
transpose of a convolution from out to in channels, so that its two fans change places, and so do the channels in its
weight's layout. A depthwise convolution has one input channel a group: fan_in = k. A lookup in an embedding is a linear
layer with a one-hot input: a coordinate is the sum of one weight, and an index feeds dim coordinates.

Gates and projections are linear layers side by side, whose matrices torch stores on top of one another: gates is 1 for
``RNN``, 3 for ``GRU`` and 4 for ``LSTM``, a packed projection holds query, key and value, and the state has proj_size
units if that is set, else hidden ones. Each matrix counts for itself, in its own equation, so that the draw does not
depend on how it is stored. Two things follow for the signals. The pre-activation of a gate is a sum over two matrices,
W_ih x + W_hh h + b, so its variance is the sum of theirs; at the first step, with h = 0, only W_ih's is there, and in a
GRU's candidate the reset gate weakens W_hh's. And the gradient that reaches x or h is the sum of what comes back
through all gates.

``torch.nn.init`` counts from the layout alone: it takes in for out where the convolution is transposed, the rows of an
embedding for its outputs, and all groups, gates or projections for one in fan_out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from .. import _checks, schemes
from ..schemes import Initializer

__all__ = ["Entry", "Plan", "initialize_", "plan", "true_fans"]

Module = TypeVar("Module", bound=nn.Module)

_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_LAYERS = (nn.Linear, _ConvNd, nn.Embedding, *_RECURRENT, nn.MultiheadAttention)
_NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

_TOKENS = {"bias_k": "key", "bias_v": "value"}  # of MultiheadAttention, which appends them to the sequence
_BY_HAND = "initialize it by hand (torch.nn.init), and the other submodules one by one"
_NO_RULE: dict[type[nn.Module], tuple[str, str]] = {
    nn.Bilinear: ("its output sums products of two inputs, for which a scheme has no fan", _BY_HAND),
    nn.EmbeddingBag: ("how many rows an output sums depends on the bag", _BY_HAND),
    torch.jit.ScriptModule: (
        "what is scripted does not tell the kinds of its layers",
        "initialize it before scripting",
    ),
}


@dataclass(frozen=True)
class Entry:
    """One parameter in a `Plan`.

    Attributes
    ----------
    name : str
        As ``named_parameters`` gives it.
    shape : tuple of int
        In torch's layout.
    fan_in, fan_out : int or None
        The true fans of a weight that is set.
    std : float or None
        Standard deviation over draws, in theory: 0 for a bias, None if the parameter is left as it is.
    why : str
        What it is set to, or why it is left.
    """

    name: str
    shape: tuple[int, ...]
    fan_in: int | None
    fan_out: int | None
    std: float | None
    why: str

    @property
    def is_set(self) -> bool:
        """Whether `initialize_` writes this parameter."""
        return self.std is not None

    def cells(self) -> tuple[str, ...]:
        """Return the texts of a line of the table."""
        numbers = [f"{x:.4g}" if isinstance(x, float) else str(x) for x in (self.fan_in, self.fan_out, self.std)]
        said = ["" if text == "None" else text for text in numbers]
        return (self.name, str(self.shape), *said, f"{'set' if self.is_set else 'left'}: {self.why}")


@dataclass(frozen=True)
class Plan:
    """What `initialize_` does to each parameter of a module; prints as a table, a line per parameter.

    Attributes
    ----------
    entries : tuple of Entry
        In the order of the submodules, which is that of the draws.
    """

    entries: tuple[Entry, ...]

    @property
    def set(self) -> list[str]:
        """Names of the parameters that are written."""
        return [entry.name for entry in self.entries if entry.is_set]

    @property
    def left(self) -> list[str]:
        """Names of the parameters that stay as they are, a second name of a tied weight among them."""
        return [entry.name for entry in self.entries if not entry.is_set]

    def __str__(self) -> str:
        head = ("parameter", "shape", "fan_in", "fan_out", "std", "")
        lines = [head, *(entry.cells() for entry in self.entries)]
        width = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = (
            (name.ljust(width[0]), shape.ljust(width[1]), a.rjust(width[2]), b.rjust(width[3]), s.ljust(width[4]), why)
            for name, shape, a, b, s, why in lines
        )
        return "\n".join("  ".join(cells).rstrip() for cells in padded)


@dataclass(frozen=True)
class _Stack:
    """A weight as `count` blocks (fan_out, fan_in, *kernel); a plan says what they are, if `what` does."""

    block: tuple[int, ...]
    count: int = 1
    what: str = ""
    is_transposed: bool = False


@dataclass(frozen=True)
class _Job:
    """A parameter to write, under the first name that a layer gives it.

    A bias has no stack. If another bias is added to it, only one has the value: `other` names that one in the rest.
    """

    name: str
    parameter: nn.Parameter
    stack: _Stack | None
    other: str
    zero_rows: list[int]


def true_fans(layer: nn.Module, weight: str | None = None) -> tuple[int, int]:
    """Count the inputs that one output of a layer sums over, and the outputs that one input feeds.

    Unlike `initnotes.fans` and ``torch.nn.init``, which see only a shape, this knows of groups, of transposed
    convolutions, of embeddings, and of gates and projections that share a weight; the module's docstring derives the
    counts.

    Parameters
    ----------
    layer : torch.nn.Linear, Conv1d … 3d, ConvTranspose1d … 3d, Embedding, RNN, LSTM, GRU, a cell, MultiheadAttention
    weight : str, optional
        Which of its weights, such as ``"weight_hh_l0"`` or ``"in_proj_weight"``. Needed where there are several.

    Returns
    -------
    fan_in, fan_out : int
        At stride 1 and away from the edges. With stride s, an input of a d-dimensional convolution feeds fan_out / sᵈ
        outputs on average, and an output of a transposed one sums over fan_in / sᵈ inputs; as in He et al., strides do
        not count here. Dilation changes neither. Where gates or projections share a weight, these are the fans of one.

    Raises
    ------
    TypeError
        If `layer` is of another kind, or `weight` not a string.
    ValueError
        If it has no weight of that name, or several and none is named; if the weight has no shape yet, or an axis of
        length 0.

    References
    ----------
    He et al. (2015), §2.2: fan_in = k²c and fan_out = k²d for k × k kernels, c input and d output channels.

    Examples
    --------
    >>> true_fans(nn.ConvTranspose2d(16, 64, 3))
    (144, 576)
    >>> nn.init._calculate_fan_in_and_fan_out(nn.ConvTranspose2d(16, 64, 3).weight)
    (576, 144)
    >>> true_fans(nn.Conv2d(64, 64, 3, groups=64))
    (9, 9)
    >>> true_fans(nn.Embedding(1000, 32))
    (1, 32)
    >>> true_fans(nn.LSTM(10, 32), "weight_hh_l0")
    (32, 32)
    >>> true_fans(nn.MultiheadAttention(64, 4))
    (64, 64)
    """
    if not isinstance(layer, _LAYERS):
        allowed = "a Linear, Conv1d to 3d, ConvTranspose1d to 3d, Embedding, RNN, LSTM, GRU, one of their cells, or a"
        raise TypeError(f"layer must be {allowed} MultiheadAttention of torch.nn, got {_kind(layer)}")
    names = _weights(layer)
    if weight is None and len(names) > 1:
        raise ValueError(f"{_kind(layer)} has several weights; say of which, weight=… one of: {', '.join(names)}")
    name = names[0] if weight is None else _checks.one_of(weight, "weight", names)
    values = getattr(layer, name)
    if is_lazy(values):
        raise ValueError(f"layer must have a shape, got a {_kind(layer)} without one; run one batch through it first")
    return schemes.fans(_stack(layer, name, values).block)


def plan(module: nn.Module, scheme: str | Initializer, *, bias: float = 0.0) -> Plan:
    """Return what `initialize_` would do with the same arguments, and touch nothing.

    Parameters
    ----------
    module, scheme, bias
        As in `initialize_`.

    Returns
    -------
    Plan
        With an entry per parameter of each submodule, and one per name of a tied parameter.

    Raises
    ------
    TypeError, ValueError
        As in `initialize_`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 8, 5, groups=4))
    >>> print(plan(net, "he_normal"))
    parameter  shape          fan_in  fan_out  std
    0.weight   (64, 3, 3, 3)      27      576  0.2722   set: he_normal
    0.bias     (64,)                           0        set: bias 0
    1.weight   (64,)                                    left: normalization (BatchNorm2d)
    1.bias     (64,)                                    left: normalization (BatchNorm2d)
    3.weight   (64, 2, 5, 5)     400       50  0.07071  set: he_normal
    3.bias     (8,)                            0        set: bias 0
    >>> print(plan(nn.GRU(10, 32), "orthogonal", bias=1.0))
    parameter     shape     fan_in  fan_out  std
    weight_ih_l0  (96, 10)      10       32  0.1768  set: orthogonal, 3 gates
    weight_hh_l0  (96, 32)      32       32  0.1768  set: orthogonal, 3 gates
    bias_ih_l0    (96,)                      0       set: bias 1
    bias_hh_l0    (96,)                      0       set: 0, bias_ih_l0 has the bias
    """
    drawn_by = schemes.scheme(scheme)
    start = _checks.real(bias, "bias")
    jobs = {id(job.parameter): job for job in _jobs(module)}
    entries = (_entry(sub, name, p, jobs.get(id(p)), drawn_by, start) for sub, name, p in _parameters(module))
    return Plan(tuple(entries))


def initialize_(module: Module, scheme: str | Initializer, *, rng: np.random.Generator, bias: float = 0.0) -> Module:
    """Draw the weights of all layers of a module in place, each with its true fans, and fill their biases.

    Set are ``Linear``, ``Conv1d`` … ``3d``, ``ConvTranspose1d`` … ``3d``, ``Embedding``, ``RNN``, ``LSTM``, ``GRU``,
    their cells, and ``MultiheadAttention``, frozen ones too. Left as they are: normalization layers, and all parameters
    that are not a weight or bias of a layer with a rule. `plan` says it parameter by parameter.

    Parameters
    ----------
    module : torch.nn.Module
        A layer, or a network of any depth.
    scheme : str or Initializer
        How the weights are drawn, as `initnotes.scheme` takes it. Each group of a convolution, row of an embedding,
        gate of a recurrent layer, and projection of an attention is a draw of its own: `orthogonal` makes groups, gates
        and projections orthogonal one by one and the rows unit vectors.
    rng : numpy.random.Generator
        The only source of randomness. Draws are float64, in the order of ``module.named_modules()``, then rounded to
        the parameter's dtype.
    bias : float
        The value of all biases. Recurrent layers have two, which torch adds: ``bias_ih`` gets it, ``bias_hh`` gets 0.

    Returns
    -------
    Module
        The same object. Its ``requires_grad``, ``.grad``, buffers and mode are what they were.

    Raises
    ------
    TypeError
        If `module` is not a module, contains a layer that has no rule (``Bilinear``, ``EmbeddingBag``, quantized or
        scripted modules), or another argument has the wrong type.
    ValueError
        If `module` has no parameters, some have no values yet (lazy layers, the meta device), a layer's weight is
        computed from other parameters (weight norm, pruning) or not real; if the scheme is unknown, `bias` not finite,
        or a value too large for a parameter's dtype. Whatever is raised, neither `module` nor `rng` has changed then.

    Notes
    -----
    A parameter that several layers share is set once, with the fans of the first of them: an embedding before an
    unembedding that is tied to it gets fan_in = 1. The row ``padding_idx`` of an embedding is set to zero. All draws
    are made before the first is written, which takes the memory of a second copy of the parameters.

    In a ``GRU``, torch multiplies the candidate's part of ``bias_hh`` by the reset gate, so that ``bias_ih`` is the one
    that is added in all gates. To open the forget gates of an ``LSTM`` of n units, set them afterwards:
    ``lstm.bias_ih_l0.data[n : 2 * n] = 1``. What a ``MultiheadAttention`` calls ``bias_k`` and ``bias_v`` is a key and
    a value that it appends to the sequence and adds to nothing: they are left.

    References
    ----------
    He et al. (2015), §2.2, for the fans of convolutions.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    >>> initialize_(net, "he_normal", rng=np.random.default_rng(0)) is net
    True
    >>> round(float(net[0].weight.detach().std() / (2 / 784) ** 0.5), 2)
    1.0

    Each of the four gates of an LSTM gets an orthogonal matrix:

    >>> lstm = initialize_(nn.LSTM(3, 8), "orthogonal", rng=np.random.default_rng(0), bias=0.5)
    >>> gates = lstm.weight_hh_l0.detach().reshape(4, 8, 8)
    >>> torch.allclose(gates @ gates.mT, torch.eye(8), atol=1e-6)
    True
    >>> initialize_(nn.Bilinear(2, 3, 4), "he_normal", rng=np.random.default_rng(0))
    Traceback (most recent call last):
        ...
    TypeError: no rule for module (Bilinear): its output sums products of two inputs, for which a scheme has no fan; ...
    """
    drawn_by, start = schemes.scheme(scheme), _checks.real(bias, "bias")
    _checks.generator(rng)
    plan(module, drawn_by, bias=start)
    jobs = _jobs(module)
    before = rng.bit_generator.state
    try:
        values = [_value(job, drawn_by, start, rng) for job in jobs]
    except BaseException:
        rng.bit_generator.state = before
        raise
    for job, value in zip(jobs, values, strict=True):
        _write(job.parameter, value)
    return module


def _kind(module: Any) -> str:
    return type(module).__name__


def _weights(layer: nn.Module) -> list[str]:
    """Return the names of the weights that a layer with a rule has by its construction."""
    if isinstance(layer, nn.MultiheadAttention):
        is_packed = layer.kdim == layer.vdim == layer.embed_dim
        return ["in_proj_weight"] if is_packed else ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
    if isinstance(layer, nn.RNNCellBase):
        return ["weight_ih", "weight_hh"]
    if isinstance(layer, nn.RNNBase):
        ends = ["", "_reverse"] if layer.bidirectional else [""]
        kinds = ["ih", "hh", "hr"] if layer.proj_size else ["ih", "hh"]
        return [f"weight_{kind}_l{depth}{end}" for depth in range(layer.num_layers) for end in ends for kind in kinds]
    return ["weight"]


def _biases(layer: nn.Module) -> dict[str, str]:
    """Map the names of the biases that such a layer may have to "", or to the bias that has the value in its place."""
    if isinstance(layer, nn.MultiheadAttention):
        return {"in_proj_bias": ""}
    if not isinstance(layer, _RECURRENT):
        return {"bias": ""}
    first = [name.replace("weight", "bias") for name in _weights(layer) if "_ih" in name]
    return dict.fromkeys(first, "") | {name.replace("_ih", "_hh"): name for name in first}


def _divisor(layer: nn.Module, name: str) -> int:
    """Return what a weight's first axis is a multiple of: its number of blocks, or if recurrent the rows of a block."""
    if isinstance(layer, _ConvNd):
        return layer.groups
    if isinstance(layer, nn.RNNBase) and "_hr" in name:
        return layer.proj_size
    if isinstance(layer, _RECURRENT):
        return layer.hidden_size
    return 3 if name == "in_proj_weight" else 1


def _stack(layer: nn.Module, name: str, weight: Tensor) -> _Stack:
    """Cut a weight of a layer into the blocks that have fans."""
    first, second, *kernel = weight.shape
    divisor = _divisor(layer, name)
    if isinstance(layer, nn.Embedding):
        return _Stack((second, 1), first)
    if isinstance(layer, _RECURRENT):
        gates = first // max(1, divisor)
        return _Stack((divisor, second), gates, f"{gates} gates" if gates > 1 else "")
    if isinstance(layer, _ConvNd) and layer.transposed:
        return _Stack((second, first // divisor, *kernel), divisor, is_transposed=True)
    what = "query, key and value" if name == "in_proj_weight" else ""
    return _Stack((first // divisor, second, *kernel), divisor, what)


def _parameters(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Yield (submodule, full name, parameter): each submodule once, each tied parameter under all its names."""
    for prefix, sub in module.named_modules():
        for name, parameter in sub.named_parameters(prefix, recurse=False, remove_duplicate=False):
            yield sub, name, parameter


def _jobs(module: nn.Module) -> list[_Job]:
    """Return what is to be written, each parameter once; raise if there is anything that cannot be."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {_kind(module)}")
    for name, sub in module.named_modules():
        _refuse(f"{name!r} ({_kind(sub)})" if name else f"module ({_kind(sub)})", sub)
    named = list(_parameters(module))
    if not named:
        raise ValueError(f"module must have parameters, got a {_kind(module)} without any: nothing to initialize")
    padding: dict[int, list[int]] = {}
    for sub in module.modules():
        if isinstance(sub, nn.Embedding) and sub.padding_idx is not None:
            padding.setdefault(id(sub.weight), []).append(sub.padding_idx)
    jobs: dict[int, _Job] = {}
    for sub, name, p in named:
        key = name.rpartition(".")[2]
        if p.numel() and isinstance(sub, _LAYERS) and (key in _weights(sub) or key in _biases(sub)):
            stack = _stack(sub, key, p) if key in _weights(sub) else None
            jobs.setdefault(id(p), _Job(name, p, stack, _biases(sub).get(key, ""), padding.get(id(p), [])))
    return list(jobs.values())


def _refuse(who: str, sub: nn.Module) -> None:
    """Raise if a submodule cannot be initialized, and say what to do."""
    if type(sub).__module__.startswith("torch.") and "quantized" in type(sub).__module__.split("."):
        raise TypeError(f"no rule for {who}: its weights are quantized; initialize it before quantizing")
    for kind, (why, what_to_do) in _NO_RULE.items():
        if isinstance(sub, kind):
            raise TypeError(f"no rule for {who}: {why}; nothing was changed; {what_to_do}")
    own = list(sub.named_parameters(recurse=False, remove_duplicate=False))
    if any(is_lazy(p) for _, p in own):
        raise ValueError(f"{who} has parameters without a shape; run one batch through the model first")
    if not isinstance(sub, _LAYERS):
        return
    kept = dict(own)
    computed = [name for name in _weights(sub) if name not in kept]
    computed = computed or [name for name in _biases(sub) if name not in kept and getattr(sub, name, None) is not None]
    if computed:
        raise ValueError(f"{who} computes its {computed[0]} from other tensors; initialize it before that is set up")
    for key, p in own:
        _refuse_values(who, key, p)
    for name in _weights(sub):
        _refuse_shape(who, sub, name, kept[name])


def _refuse_values(who: str, key: str, parameter: nn.Parameter) -> None:
    if parameter.is_meta:
        raise ValueError(f"{who} is on the meta device and has no values; call model.to_empty(device=…) first")
    if not parameter.is_floating_point():
        raise ValueError(f"{key} of {who} must be of a floating-point dtype, got {parameter.dtype}")
    if any(step == 0 and size > 1 for step, size in zip(parameter.stride(), parameter.shape, strict=True)):
        raise ValueError(f"entries of {key} of {who} share memory (an expanded tensor); clone it first")


def _refuse_shape(who: str, sub: nn.Module, name: str, weight: nn.Parameter) -> None:
    axes = 2 + (len(sub.kernel_size) if isinstance(sub, _ConvNd) else 0)
    divisor = max(1, _divisor(sub, name))
    if weight.dim() != axes or weight.shape[0] % divisor:
        multiple = f", the first a multiple of {divisor}" if divisor > 1 else ""
        raise ValueError(f"{name} of {who} must have {axes} dimensions{multiple}, got shape {tuple(weight.shape)}")


def _entry(
    sub: nn.Module, name: str, parameter: nn.Parameter, job: _Job | None, scheme: Initializer, bias: float
) -> Entry:
    """Say what happens to one parameter under one name."""
    shape = tuple(parameter.shape)
    if job is None:
        return Entry(name, shape, None, None, None, _why_left(sub, name.rpartition(".")[2], parameter))
    if name != job.name:
        return Entry(name, shape, None, None, None, f"tied to {job.name}, which is set")
    if job.stack is None:
        return Entry(name, shape, None, None, 0.0, f"0, {job.other} has the bias" if job.other else f"bias {bias:g}")
    rows = ", ".join(map(str, job.zero_rows))
    said = [scheme.name, job.stack.what, f"padding row {rows} zero" if rows else ""]
    block = job.stack.block
    return Entry(name, shape, *schemes.fans(block), scheme.std(block), ", ".join(filter(None, said)))


def _why_left(sub: nn.Module, key: str, parameter: nn.Parameter) -> str:
    if isinstance(sub, _NORMS):
        return f"normalization ({_kind(sub)})"
    if isinstance(sub, nn.MultiheadAttention) and key in _TOKENS:
        return f"a {_TOKENS[key]} of the sequence, not a bias ({_kind(sub)})"
    return f"no rule ({_kind(sub)})" if parameter.numel() else f"empty ({_kind(sub)})"


def _value(job: _Job, scheme: Initializer, bias: float, rng: np.random.Generator) -> Tensor:
    """Return what a parameter will be, rounded to its dtype."""
    p, fill = job.parameter, 0.0 if job.other else bias
    value = np.full(tuple(p.shape), fill) if job.stack is None else _draw(job.stack, p, scheme, rng)
    value[job.zero_rows] = 0.0
    largest, allowed = max(value.max(), -value.min()), torch.finfo(p.dtype).max
    if not largest <= allowed:
        raise ValueError(f"{job.name} would get the value {largest:g}, beyond the {allowed:g} of its {p.dtype}")
    return torch.from_numpy(value).to(p.dtype)


def _draw(stack: _Stack, weight: nn.Parameter, scheme: Initializer, rng: np.random.Generator) -> schemes.Array:
    draws = scheme.sample(stack.block, rng, replicas=stack.count)  # (count, fan_out, fan_in, *kernel)
    if stack.is_transposed:
        draws = draws.swapaxes(1, 2)
    return draws.reshape(tuple(weight.shape))


def _write(parameter: nn.Parameter, value: Tensor) -> None:
    writable: contextlib.AbstractContextManager[Any]
    writable = torch.inference_mode() if parameter.is_inference() else torch.no_grad()
    with writable:
        parameter.copy_(value)


LAYERS, NORMS, weight_names = _LAYERS, _NORMS, _weights


def has_rule(module: nn.Module) -> bool:
    """Return whether `initialize_` draws this module: a layer whose weights are its own parameters."""
    return isinstance(module, LAYERS) and all(name in module._parameters for name in weight_names(module))
