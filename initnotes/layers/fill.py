"""Any ``torch.nn.Module`` filled by a scheme, each layer with the fans that it really has.

What lives here writes parameters, and says which ones; what the network then does to a signal is measured upstairs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .. import _checks, schemes
from ..schemes import Initializer
from .fans import LAYERS, NORMS, Stack, bias_names, stack, weight_names

__all__ = ["Entry", "Plan", "initialize_", "plan"]

Module = TypeVar("Module", bound=nn.Module)

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
class _Job:
    """A parameter to write, under the first name that a layer gives it.

    A bias has no stack. If another bias is added to it, only one has the value: `other` names that one in the rest.
    """

    name: str
    parameter: nn.Parameter
    stack: Stack | None
    other: str
    zero_rows: list[int]


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
        if p.numel() and isinstance(sub, LAYERS) and (key in weight_names(sub) or key in bias_names(sub)):
            cut = stack(sub, key, p) if key in weight_names(sub) else None
            jobs.setdefault(id(p), _Job(name, p, cut, bias_names(sub).get(key, ""), padding.get(id(p), [])))
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
    if not isinstance(sub, LAYERS):
        return
    kept = dict(own)
    computed = [name for name in weight_names(sub) if name not in kept]
    computed = computed or [
        name for name in bias_names(sub) if name not in kept and getattr(sub, name, None) is not None
    ]
    if computed:
        raise ValueError(f"{who} computes its {computed[0]} from other tensors; initialize it before that is set up")
    for key, p in own:
        _refuse_values(who, key, p)
    for name in weight_names(sub):
        try:
            stack(sub, name, kept[name])
        except ValueError as error:
            raise ValueError(f"{who}: {error}") from None


def _refuse_values(who: str, key: str, parameter: nn.Parameter) -> None:
    if parameter.is_meta:
        raise ValueError(f"{who} is on the meta device and has no values; call model.to_empty(device=…) first")
    if not parameter.is_floating_point():
        raise ValueError(f"{key} of {who} must be of a floating-point dtype, got {parameter.dtype}")
    if any(step == 0 and size > 1 for step, size in zip(parameter.stride(), parameter.shape, strict=True)):
        raise ValueError(f"entries of {key} of {who} share memory (an expanded tensor); clone it first")


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
    if isinstance(sub, NORMS):
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


def _draw(stack: Stack, weight: nn.Parameter, scheme: Initializer, rng: np.random.Generator) -> schemes.Array:
    draws = scheme.sample(stack.block, rng, replicas=stack.count)  # (count, fan_out, fan_in, *kernel)
    if stack.is_transposed:
        draws = draws.swapaxes(1, 2)
    return draws.reshape(tuple(weight.shape))


def _write(parameter: nn.Parameter, value: Tensor) -> None:
    writable: contextlib.AbstractContextManager[Any]
    writable = torch.inference_mode() if parameter.is_inference() else torch.no_grad()
    with writable:
        parameter.copy_(value)
