"""Eight networks that are ill at the start, five known architectures that are not, and three as public code has them.

What lives here builds networks and their batches; what is wrong with them is for an audit to find.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import _checks
from ..layers import initialize_
from ..schemes import Initializer, Scheme, constant, small_random
from . import data
from .architectures import GPT, LSTM, Mixer, ResNet, UNet

__all__ = [
    "ARCHITECTURES",
    "PATIENTS",
    "PUBLIC",
    "Patient",
    "architecture",
    "chain",
    "course",
    "patient",
    "public",
    "treat",
]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "linear": nn.Identity,
}


class Patient(NamedTuple):
    """A network as it comes to an audit.

    Attributes
    ----------
    name : str
    complaint : str
        What its owner says.
    model : torch.nn.Module
    batch : Tensor
    loss : callable
        Of the model's outputs.
    """

    name: str
    complaint: str
    model: nn.Module
    batch: Any
    loss: Callable[[Any], Tensor]


def chain(
    widths: Sequence[int], activation: str, scheme: str | Initializer, *, rng: np.random.Generator
) -> nn.Sequential:
    """Return a plain network in float64: linear layers, and an activation after each but the last.

    Parameters
    ----------
    widths : sequence of int
        Units, from the inputs to the outputs.
    activation : str
        One of relu, tanh, sigmoid, selu, gelu, silu, linear.
    scheme : str or Initializer
    rng : numpy.random.Generator

    Returns
    -------
    torch.nn.Sequential
        With zero biases.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> len(chain((4, 8, 2), "relu", "he_normal", rng=np.random.default_rng(1)))
    3
    """
    made = _ACTIVATIONS[_checks.one_of(activation, "activation", _ACTIVATIONS)]
    parts: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):  # the layers' own draws are thrown away
        for before, after in pairwise(widths):
            parts += [nn.Linear(before, after, dtype=torch.float64), made()]
    return initialize_(nn.Sequential(*parts[:-1]), scheme, rng=rng)


def _twins(rng: np.random.Generator) -> nn.Module:
    net = chain((64, 32, 32, 10), "tanh", "xavier_normal", rng=rng)
    for at in (0, 2, 4):
        initialize_(net[at], constant(0.05), rng=rng)
    return net


def _he(depth: int, rng: np.random.Generator) -> nn.Sequential:
    """Return a healthy ReLU chain of so many layers: He's weights, LeCun's in the last."""
    net = chain((*[64] * depth, 10), "relu", "he_normal", rng=rng)
    initialize_(net[-1], "lecun_normal", rng=rng)
    return net


def _mute(rng: np.random.Generator) -> nn.Module:
    net = _he(6, rng)
    initialize_(net[4], "zeros", rng=rng)
    return net


def _numb(rng: np.random.Generator) -> nn.Module:
    net = _he(5, rng)
    nn.init.constant_(net.get_parameter("2.bias"), -10.0)
    return net


def _rigid(rng: np.random.Generator) -> nn.Module:
    return chain((64, *[64] * 3, 10), "tanh", small_random(1.0), rng=rng)


def _fading(rng: np.random.Generator) -> nn.Module:
    return chain((64, *[64] * 15, 10), "relu", Scheme(scale=1 / 3, mode="fan_in", distribution="uniform"), rng=rng)


def _avalanche(rng: np.random.Generator) -> nn.Module:
    return chain((64, *[64] * 15, 10), "relu", Scheme(scale=6, mode="fan_in", distribution="normal"), rng=rng)


def _loud(rng: np.random.Generator) -> nn.Module:
    net = _he(4, rng)
    initialize_(net[6], small_random(1.0), rng=rng)
    return net


def _raw(rng: np.random.Generator) -> nn.Module:
    return _he(4, rng)


_BUILT: dict[str, tuple[str, Callable[[np.random.Generator], nn.Module]]] = {
    "twins": ("it learns, but never more than one idea", _twins),
    "mute": ("the loss does not move", _mute),
    "numb": ("the loss moves a little and stops", _numb),
    "rigid": ("it jumps about", _rigid),
    "fading": ("the first layers do not learn", _fading),
    "avalanche": ("the first step goes to infinity", _avalanche),
    "loud": ("the loss starts sky-high", _loud),
    "raw": ("the first step goes to infinity", _raw),
}
PATIENTS = tuple(_BUILT)
"""Names of the eight sick networks."""


def patient(name: str, *, rng: np.random.Generator) -> Patient:
    """Return one of the eight sick networks, with 64 handwritten digits and the cross-entropy with their labels.

    Parameters
    ----------
    name : str
        One of `PATIENTS`.
    rng : numpy.random.Generator
        For the weights and the choice of the digits; the same state gives the same patient, to the bit.

    Returns
    -------
    Patient

    Raises
    ------
    TypeError, ValueError
        If the name is none of `PATIENTS`, or `rng` no generator.

    Examples
    --------
    >>> patient("raw", rng=np.random.default_rng(1)).batch.shape
    torch.Size([64, 64])
    """
    complaint, built = _BUILT[_checks.one_of(name, "patient", PATIENTS)]
    digits = _digits()
    chosen = _checks.generator(rng).choice(len(digits.x), 64, replace=False)
    x, labels = torch.from_numpy(digits.x[chosen]), torch.from_numpy(digits.y[chosen])
    if name == "raw":
        x = (x * 60 + 120).clamp(0, 255).round()  # as a file has them
    return Patient(name, complaint, built(rng), x, lambda outputs: functional.cross_entropy(outputs, labels))


def course(sick: Patient, *, steps: int = 50, lr: float = 0.1) -> np.ndarray:
    """Train a copy of a patient by gradient descent on its batch.

    Parameters
    ----------
    sick : Patient
        Stays as it is.
    steps : int
    lr : float

    Returns
    -------
    ndarray, shape (steps,)
        The loss before each step; inf from where it is not finite.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    Examples
    --------
    >>> losses = course(patient("fading", rng=np.random.default_rng(1)), steps=2)
    >>> losses.round(2)
    array([2.3, 2.3])
    """
    steps, lr = _checks.integer(steps, "steps"), _checks.real(lr, "lr", low=0.0)
    model, losses = copy.deepcopy(sick.model), np.full(steps, np.inf)
    for step in range(steps):
        model.zero_grad()
        loss = sick.loss(model(sick.batch))
        losses[step] = float(loss.detach())
        if not np.isfinite(losses[step]):
            losses[step:] = np.inf
            break
        loss.backward()
        with torch.no_grad():  # torch.optim says the same, and loads torch's compiler for it
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=lr)
    return losses


@lru_cache(maxsize=1)
def _digits() -> data.Dataset:
    return data.digits().train


def treat(sick: Patient, report: Any, *, rng: np.random.Generator) -> Patient:
    """Run the fixes of a report on a patient, in its order and each once; infos are left alone.

    Parameters
    ----------
    sick : Patient
        Its model is changed in place.
    report : initnotes.examine.Report
        What an audit said of it.
    rng : numpy.random.Generator
        What the fixes draw from.

    Returns
    -------
    Patient
        The same model, and the batch that the fixes leave.
    """
    from importlib import import_module

    known: dict[str, Any] = {"model": sick.model, "batch": sick.batch, "rng": _checks.generator(rng), "torch": torch}
    known["ini"] = import_module("initnotes")
    for code in dict.fromkeys(finding.fix for finding in report.findings if finding.severity != "info"):
        exec(code, known)  # the code is the audit's own
    return sick._replace(batch=known["batch"])


_MADE: dict[str, Callable[[], nn.Module]] = {"resnet": ResNet, "gpt": GPT, "lstm": LSTM, "mixer": Mixer, "unet": UNet}
ARCHITECTURES = tuple(_MADE)
"""Names of the architectures."""


def architecture(name: str, *, seed: int) -> Patient:
    """Return a known architecture in float32 with its library's own initialization, a batch, and a loss.

    Parameters
    ----------
    name : str
        One of `ARCHITECTURES`.
    seed : int
        For torch's generator, which its layers draw from, and which is put back.

    Returns
    -------
    Patient
        Who has nothing to complain of.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown or the seed no integer.

    Examples
    --------
    >>> architecture("gpt", seed=1).batch.shape
    torch.Size([8, 32])
    """
    _checks.one_of(name, "architecture", ARCHITECTURES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_checks.integer(seed, "seed", low=0))
        model = _MADE[name]()
        tokens = torch.randint(65, (8, 33))
        images = torch.randn(16, 3, 16, 16)
        labels, maps = torch.randint(10, (16,)), torch.randint(4, (16, 16, 16))
    if name in ("gpt", "lstm"):
        return Patient(name, "", model, tokens[:, :-1], lambda out: functional.cross_entropy(out.mT, tokens[:, 1:]))
    targets = maps if name == "unet" else labels
    return Patient(name, "", model, images, lambda out: functional.cross_entropy(out, targets))


class _Gated(nn.Module):
    """x + g · W₂ φ(W₁ x), with a gate that starts at 0, as in ReZero and SkipInit."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Take x, shape (batch, width)."""
        return x + self.gate * self.outer(torch.relu(self.inner(x)))


def _gated() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), *(_Gated(64) for _ in range(6)), nn.Linear(64, 10))


def _decoder() -> nn.Module:
    """Return six transposed convolutions of stride 2 that make a picture of 64 × 64 of a code, as in DCGAN."""
    parts: list[nn.Module] = []
    for after in (16, 16, 16, 16, 16, 1):
        parts += [nn.ConvTranspose2d(16, after, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def _tied() -> nn.Module:
    """Return a small GPT whose embedding, which is its last layer too, has PyTorch's own start."""
    model = GPT()
    model.wte.reset_parameters()
    return model


_TAKEN: dict[str, Callable[[], nn.Module]] = {"gated": _gated, "decoder": _decoder, "tied": _tied}
PUBLIC = tuple(_TAKEN)
"""Names of the networks whose start is one that public code has."""


def public(name: str, *, seed: int) -> Patient:
    """Return a network in float64 that starts as public code has it, a batch, and a loss.

    Parameters
    ----------
    name : str
        One of `PUBLIC`: residual blocks with gates of 0, a decoder of stride 2 with PyTorch's default weights, or a
        transformer whose output layer is an embedding from N(0, 1).
    seed : int
        For torch's generator, which its layers draw from, and which is put back.

    Returns
    -------
    Patient

    Raises
    ------
    TypeError, ValueError
        If the name is unknown or the seed no integer.

    Examples
    --------
    >>> public("decoder", seed=1).batch.shape
    torch.Size([8, 16, 1, 1])
    """
    _checks.one_of(name, "public network", PUBLIC)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_checks.integer(seed, "seed", low=0))
        model = _TAKEN[name]().double()
        tokens, codes = torch.randint(65, (8, 33)), torch.randn(8, 16, 1, 1).double()
        chosen = torch.randperm(len(_digits().x))[:64].numpy()
    x, labels = torch.from_numpy(_digits().x[chosen]), torch.from_numpy(_digits().y[chosen])
    if name == "tied":
        return Patient(name, "", model, tokens[:, :-1], lambda out: functional.cross_entropy(out.mT, tokens[:, 1:]))
    if name == "decoder":
        pictures = functional.interpolate(x[:8].reshape(8, 1, 8, 8), scale_factor=8.0)
        return Patient(name, "", model, codes, lambda out: functional.mse_loss(out, pictures))
    return Patient(name, "", model, x, lambda out: functional.cross_entropy(out, labels))
