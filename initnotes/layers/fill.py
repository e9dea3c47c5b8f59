"""A network's parameters drawn and written, all of them or none.

What lives here carries out a `Plan`; what is in it is decided in ``planning``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
from torch import nn

from .. import _checks, draws
from ..schemes import Array, Initializer
from .planning import Plan, Task, plan
from .rules import Key

__all__ = ["initialize_"]

Module = TypeVar("Module", bound=nn.Module)

_NAMED = 4  # parameters of one reason that a warning lists


def initialize_(
    module: Module,
    scheme: str | Initializer,
    *,
    rng: np.random.Generator,
    bias: float = 0.0,
    rules: Mapping[str | type[nn.Module], str | Initializer | float] | None = None,
    skip: Key | Iterable[Key] = (),
    strict: bool = False,
) -> Module:
    """Draw the weights of all layers of a module in place, each with its true fans, and fill their biases.

    Set are ``Linear``, ``Bilinear``, ``Conv1d`` … ``3d``, ``ConvTranspose1d`` … ``3d``, ``Embedding``,
    ``EmbeddingBag``, ``RNN``, ``LSTM``, ``GRU``, their cells, ``MultiheadAttention`` and the ``Conv1D`` of Hugging
    Face's GPT-2, and what `rules` name. Left on purpose: what is frozen (``requires_grad=False``), such as a trained
    base under a new head or beside adapters; scales and biases of normalization layers, slopes of ``PReLU``, what is
    skipped or empty, and LoRA's B, which starts at zero (peft's ``lora_embedding_A`` instead). All else that is left is
    said in a warning. `initnotes.layers.plan` says it parameter by parameter.

    Parameters
    ----------
    module : torch.nn.Module
        A layer, or a network of any depth.
    scheme : str or Initializer
        How the weights are drawn, as `initnotes.scheme` takes it. Each group of a convolution, row of an embedding,
        gate of a recurrent layer, and projection of an attention is a draw of its own: `orthogonal` makes groups, gates
        and projections orthogonal one by one and the rows unit vectors, whatever the strides.
    rng : numpy.random.Generator
        The only source of randomness, in the order of ``module.named_modules()``. Draws for float64 parameters are
        float64, all others float32 and then rounded to the parameter's dtype.
    bias : float
        The value of all biases. Recurrent layers have two, which torch adds: ``bias_ih`` gets it, ``bias_hh`` gets 0.
    rules : dict, optional
        From a pattern such as ``"decoder.*.weight"``, for names of parameters or modules as in ``fnmatch``, or a type
        of module, to a scheme or a number. The first that can set a parameter does. A scheme draws weights and bare
        parameters of two or more axes, a bare one by the fans of its shape, and passes over vectors; a number sets what
        it is given for. A key that covers a module is for all weights and bare parameters in it. Biases and the sources
        of computed weights answer to their own names only, scales of normalization to their own modules too, LoRA's B
        to a name with "lora" in it, and what is frozen to its full name, without a star: ``{"first.weight": scheme}``
        draws fixed random features.
    skip : str, type of module, module, or several
        What is left, with all in it: patterns as in `rules`, types, or the modules themselves.
    strict : bool
        Whether to raise instead of a warning.

    Returns
    -------
    Module
        The same object. Its ``requires_grad``, ``.grad``, buffers and mode are what they were.

    Warns
    -----
    UserWarning
        If parameters are left for want of a rule: bare ones, those of unknown layers, quantized, scripted or complex
        ones, those from which weight norm, pruning and the like compute a layer's weight, and frozen ones that a
        pattern covers. If nothing is set because it is frozen.

    Raises
    ------
    TypeError
        If `module` is not a module, or another argument has the wrong type.
    ValueError
        If `module` has no parameters, or some have no values yet (lazy layers, the meta device); if the scheme is
        unknown, a name in `rules` or `skip` covers nothing, `bias` is not finite, or a value too large for a
        parameter's dtype; if `strict` and there is something to warn of. Whatever is raised, neither `module` nor `rng`
        has changed then.

    Notes
    -----
    A parameter that several layers share is set once. An embedding whose matrix is the unembedding as well is drawn for
    that job, with fan_in = dim: a logit sums over dim entries, and with an embedding's fan of 1 it would be √dim times
    too large. The row ``padding_idx`` of an embedding is set to zero. All draws are made before the first is written,
    which takes the memory of a second copy of the parameters.

    In a ``GRU``, torch multiplies the candidate's part of ``bias_hh`` by the reset gate, so that ``bias_ih`` is the one
    that is added in all gates. To open the forget gates of an ``LSTM`` of n units, set them afterwards:
    ``lstm.bias_ih_l0.data[n : 2 * n] = 1``. What a ``MultiheadAttention`` calls ``bias_k`` and ``bias_v`` is a key and
    a value that it appends to the sequence and adds to nothing: they are left, with a warning.

    References
    ----------
    He et al. (2015), §2.2, for the fans of convolutions; Hu et al. (2021), "LoRA", §4.1.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    >>> initialize_(net, "he_normal", rng=np.random.default_rng(0)) is net
    True
    >>> round(float(net[0].weight.detach().std() / (2 / 784) ** 0.5), 2)
    1.0

    The embedding of a language model as GPT-2 has it, and the rest by LeCun:

    >>> from initnotes import small_random
    >>> model = nn.Sequential(nn.Embedding(100, 64), nn.Linear(64, 64))
    >>> rules = {nn.Embedding: small_random(0.02), "1.bias": 0.5}
    >>> print(plan(model, "lecun_normal", rules=rules))
    parameter  shape      fan_in  fan_out  std
    0.weight   (100, 64)       1       64  0.02   set: small_random by the rule Embedding
    1.weight   (64, 64)       64       64  0.125  set: lecun_normal
    1.bias     (64,)                       0      set: 0.5 by the rule '1.bias'
    >>> import torch
    >>> initialize_(nn.ParameterList([torch.zeros(3)]), "he_normal", rng=np.random.default_rng(0), strict=True)
    Traceback (most recent call last):
        ...
    ValueError: initialize_: 1 of 1 parameters is left as before: 0: no rule (ParameterList). Give rules=...
    """
    _checks.generator(rng)
    planned = plan(module, scheme, bias=bias, rules=rules, skip=skip)
    if planned.missed and strict:
        raise ValueError(_said(planned))
    with draws.rewound(rng):
        values = [_value(task, rng) for task in planned.tasks]
        if planned.missed:
            warnings.warn(_said(planned), UserWarning, stacklevel=2)
    for task, value in zip(planned.tasks, values, strict=True):
        draws.write(task.parameter, value)
    return module


def _said(planned: Plan) -> str:
    """Say which parameters are left for want of a rule, by reason, and what to do."""
    count = sum(map(len, planned.missed.values()))
    reasons = "; ".join(f"{_listed(names)}: {why}" for why, names in planned.missed.items())
    verb = "is" if count == 1 else "are"
    return (
        f"initialize_: {count} of {len(planned.parameters)} parameters {verb} left as before: {reasons}. "
        "Give rules={name: scheme or number}, or name in skip= what is right as it is"
    )


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _value(task: Task, rng: np.random.Generator) -> Array:
    """Return what a parameter will be, not yet rounded to its dtype."""
    shape, dtype = tuple(task.parameter.shape), draws.precision(task.parameter)
    if isinstance(task.value, Initializer):
        value = _drawn(task, task.value, rng, dtype).reshape(shape)
    else:
        value = np.full(shape, task.value)
    if task.zero_rows:
        value[list(task.zero_rows)] = 0.0
    return draws.fitting(value, task.parameter, task.name)


def _drawn(task: Task, initializer: Initializer, rng: np.random.Generator, dtype: str) -> Array:
    stack = task.stack
    assert stack is not None
    blocks = initializer.sample(stack.block, rng, stack.count, true_fans=stack.fans, dtype=dtype)
    return blocks.swapaxes(1, 2) if stack.is_transposed else blocks
