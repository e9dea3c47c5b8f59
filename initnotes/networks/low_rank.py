"""R trained networks, each with a product of two thin matrices beside its frozen weights: LoRA and its starts.

What lives here adapts ensembles; other ways to start from something are in ``finetune``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks, schemes
from ..schemes import Initializer, Scheme
from .ensemble import Ensemble, Gradients
from .residual import _Network
from .steps import Affine

__all__ = ["LORA", "STARTS", "LowRank", "first_step"]

STARTS = ("b_zero", "a_zero", "corrected", "pissa", "pissa_control")
LORA = Scheme(scale=1 / 3, mode="fan_in", distribution="uniform")
"""How loralib and PEFT draw the factor that is not zero: ``kaiming_uniform_(a=√5)``, std 1/√(3n)."""


class LowRank(_Network):
    """R networks whose layers are W + s·B·A: W and the biases stay as they are, A and B are trained.

    Attributes
    ----------
    weights, biases : list of Tensor
        Of each layer its W, shape (R, out, in), and behind it, where it is adapted, A, (R, rank, in), and B,
        (R, out, rank). Their biases are zeros that nothing reads. Nothing but A and B has a gradient.
    adapted : tuple of int
        Which layers have an A and a B.
    trained : ndarray, shape (L, 2)
        1 for the weights that are trained, 0 for the rest. Multiply `weight_decay` by it: the frozen ones have no
        gradient, and would decay all the same.

    Parameters
    ----------
    net : Ensemble
        The R networks to start from, plain ones; they stay as they are.
    rank : int
        r, at most the smaller side of each adapted matrix.
    rng : numpy.random.Generator
    start : {"b_zero", "a_zero", "corrected", "pissa", "pissa_control"}
        "b_zero" draws A and sets B = 0 (LoRA), "a_zero" the reverse. "corrected" draws both and takes s·B·A off W.
        "pissa" takes the r largest singular values S of W, B = U√(S/s) and A = √(S/s)Vᵀ, and leaves the rest in W.
        "pissa_control" has the same singular values along random directions, taken off W as well. In all of them the
        function at the start is that of `net`.
    scale : float
        s, greater than 0: α/r, or α/√r.
    law : str or Initializer
        What draws A, by its shape (rank, in), and B, by (out, rank).
    layers : sequence of int, optional
        Places in `net.weights` of what is adapted; all by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been drawn then.

    References
    ----------
    Hu et al., "LoRA", ICLR 2022; Kalajdzievski, "A rank stabilization scaling factor for fine-tuning with LoRA", 2023,
    for α/√r; Meng, Wang & Zhang, "PiSSA", NeurIPS 2024.

    Examples
    --------
    >>> net = Ensemble((20, 16, 5), "relu", "he_normal", rng=np.random.default_rng(1), replicas=3)
    >>> tuned = LowRank(net, 2, start="pissa", rng=np.random.default_rng(2))
    >>> tuned
    LowRank(20-16-5, relu, rank 2, scale 1.0, adapted (0, 1), 3 replicas, float64)
    >>> x = np.random.default_rng(3).standard_normal((7, 20))
    >>> bool(torch.allclose(tuned(x), net(x))), tuned.merged()
    (True, Ensemble(20-16-5, relu, 3 replicas, float64))
    """

    norm, eps = None, 0.0

    def __init__(
        self,
        net: Ensemble,
        rank: int,
        *,
        rng: np.random.Generator,
        start: str = "b_zero",
        scale: float = 1.0,
        law: str | Initializer = LORA,
        layers: Sequence[int] | None = None,
    ) -> None:
        if type(net) is not Ensemble:
            raise TypeError(f"net must be a plain Ensemble, got {type(net).__name__}")
        self.rank, self.scale = _checks.integer(rank, "rank"), _checks.real(scale, "scale", low=0.0, strict=True)
        self.adapted = _places(net, layers)
        small = min(min(net.shapes[at]) for at in self.adapted)
        if self.rank > small:
            raise ValueError(f"rank must be at most {small}, the smaller side of an adapted matrix, got {self.rank}")
        start, drawn_by = _checks.one_of(start, "start", STARTS), schemes.scheme(law)
        _checks.generator(rng)
        self.base = net
        self.widths, self.activation, self.biased = net.widths, net.activation, net.biased
        self.replicas, self.dtype, self.product = net.replicas, net.dtype, net.product
        parts: list[Tensor] = []
        for at, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
            if at not in self.adapted:
                parts += [weight, bias]
                continue
            a, b = (weight.new_tensor(own) for own in self._factors(weight, start, drawn_by, rng))
            parts += [weight - self.scale * (b @ a), bias, a, a.new_zeros(a.shape[:2]), b, b.new_zeros(b.shape[:2])]
        self._hold(torch.cat([part.flatten() for part in parts]))

    def _factors(
        self, weight: Tensor, start: str, drawn_by: Initializer, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where A and B start."""
        replicas, out, fan_in = weight.shape
        shapes = {"a": (self.rank, fan_in), "b": (out, self.rank)}
        if start.startswith("pissa"):
            u, s, vt = np.linalg.svd(weight.double().numpy(force=True), full_matrices=False)
            u, s, vt = u[..., : self.rank], s[:, : self.rank], vt[:, : self.rank]
            if start == "pissa_control":
                vt, u = (schemes.orthogonal().sample(shape, rng, replicas) for shape in shapes.values())
            root = np.sqrt(s / self.scale)
            return root[..., None] * vt, u * root[:, None]
        zero = {"b_zero": "b", "a_zero": "a"}.get(start)
        a, b = (
            np.zeros((replicas, *shape)) if name == zero else drawn_by.sample(shape, rng, replicas)
            for name, shape in shapes.items()
        )
        return a, b

    @property
    def architecture(self) -> dict[str, Any]:
        """Rank and scale, and which layers are adapted; ensembles with different starts can be joined."""
        return {"rank": self.rank, "scale": self.scale, "adapted": self.adapted}

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan_out, fan_in) of each weight matrix: W, and A and B where there are."""
        found = []
        for at, (out, fan_in) in enumerate(self.base.shapes):
            found += [(out, fan_in), *[(self.rank, fan_in), (out, self.rank)] * (at in self.adapted)]
        return found

    @property
    def depth(self) -> int:
        """The number of weight matrices."""
        return self.base.depth + 2 * len(self.adapted)

    @property
    def trained(self) -> np.ndarray:
        """1 for the weights of A and B, 0 for all else."""
        own = [[0.0, *[1.0, 1.0] * (at in self.adapted)] for at in range(self.base.depth)]
        return np.stack([np.concatenate(own), np.zeros(self.depth)], axis=1)

    def _wire(self, h: Tensor, start: Tensor, into: Gradients) -> tuple[list[Tensor], list[Tensor]]:
        into.parameters.zero_()  # those of what is frozen stay 0
        passed: list[Tensor] = []
        fed: list[Tensor] = []
        first = 0
        for at in range(self.base.depth):
            h = fed[-1] if fed else h
            z = torch.baddbmm(self.biases[first][:, None], h, self.weights[first].mT)
            z = z if passed else z + start  # for autograd, which must find its way to frozen layers too
            if at in self.adapted:
                for which in (first + 1, first + 2):
                    h = Affine.apply(start, h, self.weights[which], None, (into.weights[which], None))
                z = z + self.scale * h
            passed.append(z)
            if at < self.base.depth - 1:
                fed.append(self.activation(z))
            first += 3 if at in self.adapted else 1
        return passed, fed

    def merged(self) -> Ensemble:
        """Return the networks with W + s·B·A for weights, as a plain ensemble."""
        parts, rest = [], iter(zip(self.weights, self.biases, strict=True))
        for at in range(self.base.depth):
            weight, bias = next(rest)
            if at in self.adapted:
                (a, _), (b, _) = next(rest), next(rest)
                weight = weight + self.scale * (b @ a)
            parts += [weight.flatten(), bias.flatten()]
        return self.base._like(torch.cat(parts))


def _places(net: Ensemble, layers: Sequence[int] | None) -> tuple[int, ...]:
    """Return places of weights, counted from the front and in order."""
    chosen = range(net.depth) if layers is None else layers
    found = sorted({_checks.integer(at, "layers", low=-net.depth) % net.depth for at in chosen if at < net.depth})
    if len(found) != len(chosen) or not found:
        raise ValueError(f"layers must be different places among {net.depth} weights, at least one, got {layers!r}")
    return tuple(found)


def first_step(optimizer: str, *, rank: int, scale: float, std: float, rate: float, size: float) -> float:
    """Return what the first step does to a layer W + s·B·A with a random A and B = 0.

    With G = ∂loss/∂W, ∂loss/∂B is s·G·Aᵀ and ∂loss/∂A is 0. SGD lowers the loss by η·s²·‖G·Aᵀ‖², on average over A
    η·s²·r·σ²·‖G‖². Adam moves each entry of B by η, and for a batch of one input x each unit by
    η·s·‖A·x‖₁ = η·s·r·σ·|x|·√(2/π). So s = α/r keeps Adam's first step as the rank grows, and α/√r keeps that of SGD.

    Parameters
    ----------
    optimizer : {"sgd", "adam"}
    rank : int
        r.
    scale : float
        s.
    std : float
        σ, the standard deviation of the entries of A.
    rate : float
        η, so small that the change is proportional to it.
    size : float
        ‖G‖ for SGD, |x| for Adam: Euclidean norms.

    Returns
    -------
    float
        For SGD by how much the loss falls, for Adam by how much the pre-activation of each unit moves: means over A.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or negative.

    Examples
    --------
    >>> sgd, adam = (
    ...     [first_step(name, rank=r, scale=1 / r, std=0.1, rate=1e-3, size=1.0) for r in (1, 4)]
    ...     for name in ("sgd", "adam")
    ... )
    >>> round(sgd[1] / sgd[0], 6), round(adam[1] / adam[0], 6)
    (0.25, 1.0)
    """
    values = {"scale": scale, "std": std, "rate": rate, "size": size}
    s, sigma, eta, norm = (_checks.real(value, name, low=0.0) for name, value in values.items())
    r = _checks.integer(rank, "rank")
    if _checks.one_of(optimizer, "optimizer", ("sgd", "adam")) == "sgd":
        return eta * s**2 * r * sigma**2 * norm**2
    return eta * s * r * sigma * norm * math.sqrt(2 / math.pi)
