"""R normalized or residual networks, which train like any ensemble.

What lives here adds normalization and skip connections to ``ensemble``. Autograd finds its way back through them; each
step of that way writes the gradient of its own parameters to where an optimizer reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from .. import _checks, schemes
from ..theory.stream import BLOCKS, NORMS, PLACES
from .ensemble import Ensemble, Gradients, Signals
from .steps import Added, Affine, Into, Shifted, normalize

__all__ = ["BRANCHES", "Normalized", "Residual", "mean_squares"]


@dataclass(frozen=True, repr=False)
class _Taped(Signals):
    """Signals with what autograd needs to go back through them."""

    start: Tensor | None = None
    tape: Sequence[Tensor] = ()
    into: Gradients | None = None


class _Network(Ensemble):
    """An ensemble through which autograd goes back; a class below says how the layers are wired."""

    norm: str | None
    eps: float

    def _wire(self, h: Tensor, start: Tensor, into: Gradients) -> tuple[list[Tensor], list[Tensor]]:
        """Return the pre-activations, and what the layers read; this and going back write every gradient to `into`."""
        raise NotImplementedError

    def _phi(self, z: Tensor) -> Tensor:
        """Return φ(N(z))."""
        return self.activation(normalize(z, self.norm, eps=self.eps))

    def forward(self, inputs: Any, masks: Sequence[Tensor] | None = None) -> Signals:
        """Pass `inputs` forward and keep every layer, as `Ensemble.forward` does; there is no dropout."""
        if masks is not None:
            raise ValueError(f"{type(self).__name__} has no dropout; leave out the masks")
        h = self._inputs(inputs)
        with torch.enable_grad():
            start, gradient = h.new_zeros(()).requires_grad_(), torch.empty_like(self.parameters)
            into = Gradients(*self.split(gradient), [], gradient)
            tape, fed = self._wire(h, start, into)
        return _Taped([z.detach() for z in tape], [h, *(read.detach() for read in fed)], None, start, tape, into)

    def untracked(self, inputs: Any, masks: Sequence[Tensor] | None = None) -> Signals:
        """Pass `inputs` forward as `forward` does."""
        return self.forward(inputs, masks)

    def backward(self, signals: Signals, output_gradient: Any) -> Gradients:
        """Pass the loss's gradient with respect to the output back, as `Ensemble.backward` does; once a forward pass.

        `pre_activations` has one entry for each of those that `forward` returned.
        """
        if not isinstance(signals, _Taped) or signals.start is None or signals.into is None:
            raise TypeError(f"signals must be what forward() returned, got {type(signals).__name__}")
        sources = [signals.start, *signals.tape[:-1]]
        delta = self._output_gradient(signals, output_gradient)
        found = torch.autograd.grad(signals.tape[-1], sources, delta, materialize_grads=True)
        return replace(signals.into, pre_activations=[*found[1:], delta])


class Normalized(_Network):
    """R multilayer perceptrons with normalized pre-activations: z_l = W_l h_{l-1}, h_l = φ(N(z_l) + b_l).

    The last layer is neither normalized nor followed by φ: z_L = W_L h_{L-1} + b_L. The bias stands behind the
    normalization and is what is called β there; there is no γ, whose part the next weights can play.

    Parameters
    ----------
    widths, activation, scheme, rng, replicas, bias
        As for `initnotes.networks.Ensemble`.
    norm : {"batch", "layer", "rms"} or None
        What N is; see `normalize`. None gives the plain network.
    eps : float
        Under the root.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been drawn then.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> net = Normalized((20, 16, 5), "relu", "he_normal", norm="batch", rng=rng, replicas=3)
    >>> net(torch.ones(7, 20)).shape
    torch.Size([3, 7, 5])
    >>> bool(net(torch.ones(7, 20)).abs().max() < 1e-9)  # of equal inputs BatchNorm leaves nothing
    True
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: Any,
        scheme: Any,
        *,
        norm: str | None,
        rng: np.random.Generator,
        replicas: int = 32,
        bias: float | Sequence[float] = 0.0,
        eps: float = 1e-5,
    ) -> None:
        self.norm = _norm(norm)
        self.eps = _checks.real(eps, "eps", low=0.0)
        super().__init__(widths, activation, scheme, rng=rng, replicas=replicas, bias=bias)

    @property
    def architecture(self) -> dict[str, Any]:
        """The normalization and its eps."""
        return {"norm": self.norm, "eps": self.eps}

    def _wire(self, h: Tensor, start: Tensor, into: Gradients) -> tuple[list[Tensor], list[Tensor]]:
        passed: list[Tensor] = []
        fed: list[Tensor] = []
        for at, weight in enumerate(self.weights):
            last = at == self.depth - 1
            bias, of_bias = (self.biases[at], into.biases[at]) if last else (None, None)
            passed.append(Affine.apply(start, fed[-1] if fed else h, weight, bias, (into.weights[at], of_bias)))
            if not last:
                u = normalize(passed[-1], self.norm, eps=self.eps)
                fed.append(self.activation(Shifted.apply(u, self.biases[at], into.biases[at])))
        return passed, fed


Branch = Callable[[Any, Tensor, list[Callable[[Tensor], Tensor]]], Tensor]
BRANCHES: dict[str, tuple[int, Branch]] = {  # of each of BLOCKS: how many matrices it has, and what they make
    "post": (1, lambda phi, x, maps: phi(maps[0](x))),
    "inner": (2, lambda phi, x, maps: maps[1](phi(maps[0](x)))),
    "pre": (2, lambda phi, x, maps: maps[1](phi(maps[0](phi(x))))),
    "short": (1, lambda phi, x, maps: maps[0](phi(x))),
}


class Residual(_Network):
    """R residual networks: a linear stem, blocks x + α·branch(x), and a linear head.

    Each block has a multiplier α of its own, learned or frozen. A normalization N stands at one of three places: in
    front of every φ, so that the head reads φ(N(x)); in front of each branch, x + α·branch(N(x)), and of the head; or
    behind each sum, N(c·x + α·branch(x)).

    Attributes
    ----------
    weights, biases : list of Tensor
        Stem, then for each block its matrices and its multiplier (as a 1 × 1 or n × 1 matrix, whose bias nothing
        reads), head. With `scalars`, behind each multiplier two 1 × 1 matrices: the weight of the first is the scalar
        in front of W₁, its bias that behind it; of the second, in front of W₂ and behind α. Nothing else reads a
        bias in a block then.

    Parameters
    ----------
    widths : (int, int, int)
        Inputs, the stream that the blocks add to, outputs.
    blocks : int
    activation, rng, replicas
        As for `initnotes.networks.Ensemble`.
    scheme : str or Initializer
        For the stem and the matrices of the blocks.
    block : {"post", "inner", "pre", "short"}
        φ(Wx), W₂φ(W₁x), W₂φ(W₁φ(x)), Wφ(x).
    first, last : str or Initializer, optional
        For the first of two matrices of each block, and for the last or only one, if not `scheme`.
    head : str or Initializer
    multiplier : float
        Where every α starts: 0 for SkipInit and ReZero.
    learned : bool
        Whether α is trained; if not, its gradient is 0 and it stays where it starts.
    per_unit : bool
        Whether α is a vector, a number for each unit of the stream, as in LayerScale.
    scalars : bool
        Fixup's biases instead of those of the matrices: one number, 0 at first, in front of each matrix and each φ
        and behind α. For block "inner".
    norm : {"batch", "layer", "rms"} or None
    place : {"phi", "pre", "post"}
        Where the normalization stands: in front of every φ, in front of each branch, behind each sum.
    skip : float
        c, the factor on x in each sum: 1 but for DeepNorm.
    eps : float

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been drawn then.

    References
    ----------
    He, Zhang, Ren & Sun, "Identity mappings in deep residual networks", ECCV 2016. α: Zhang, Dauphin & Ma, "Fixup
    initialization", ICLR 2019; De & Smith, NeurIPS 2020 (SkipInit); Bachlechner et al., UAI 2021 (ReZero); Touvron et
    al., ICCV 2021 (LayerScale). c: Wang et al., "DeepNet", 2022. Where all of these start is in ``starts``.

    Examples
    --------
    >>> net = Residual((20, 16, 5), 8, "relu", "he_normal", rng=np.random.default_rng(1), replicas=3)
    >>> net
    Residual(20-16-5, 8 blocks 'inner', relu, norm None, 3 replicas)
    >>> len(net.forward(torch.ones(7, 20)).pre_activations)  # the stream before and after each block, the output
    10
    """

    def __init__(
        self,
        widths: Sequence[int],
        blocks: int,
        activation: Any,
        scheme: Any,
        *,
        rng: np.random.Generator,
        replicas: int = 32,
        block: str = "inner",
        first: Any = None,
        last: Any = None,
        head: Any = "lecun_normal",
        multiplier: float = 1.0,
        learned: bool = True,
        per_unit: bool = False,
        scalars: bool = False,
        norm: str | None = None,
        place: str = "phi",
        skip: float = 1.0,
        eps: float = 1e-5,
    ) -> None:
        if len(widths) != 3:
            raise ValueError(f"widths must be inputs, stream and outputs, got {tuple(widths)}")
        self.norm, self.eps = _norm(norm), _checks.real(eps, "eps", low=0.0)
        self.blocks, self.block = _checks.integer(blocks, "blocks"), _checks.one_of(block, "block", BLOCKS)
        self.learned, self.per_unit, self.scalars = bool(learned), bool(per_unit), bool(scalars)
        self.place, self.skip = _checks.one_of(place, "place", PLACES), _checks.real(skip, "skip")
        if norm is None and place != "phi":
            raise ValueError(f"place {place!r} needs a norm, one of {', '.join(NORMS)}; got None")
        if scalars and block != "inner":
            raise ValueError(f"scalars are for block 'inner', got {block!r}")
        start = schemes.constant(_checks.real(multiplier, "multiplier"))
        matrices = [schemes.scheme(scheme)] * BRANCHES[block][0]
        if first is not None:
            if len(matrices) < 2:
                raise ValueError(f"first is for blocks of two matrices, 'inner' and 'pre', got {block!r}; use last")
            matrices[0] = schemes.scheme(first)
        matrices[-1] = matrices[-1] if last is None else schemes.scheme(last)
        inputs, width, outputs = (_checks.integer(width, "width") for width in widths)
        each = [*matrices, start, *[schemes.zeros] * (2 * self.scalars)]
        drawn = [schemes.scheme(scheme), *(each * blocks), schemes.scheme(head)]
        super().__init__((inputs, *[width] * (blocks + 1), outputs), activation, drawn, rng=rng, replicas=replicas)

    @property
    def architecture(self) -> dict[str, Any]:
        """The blocks, what their multipliers and biases are, the normalization, its place and eps."""
        names = ("block", "learned", "per_unit", "scalars", "norm", "place", "skip", "eps")
        return {name: getattr(self, name) for name in names}

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan_out, fan_in) of each weight matrix, (1, 1) or (n, 1) for a multiplier, (1, 1) for a pair of scalars."""
        inputs, width, outputs = self.widths[0], self.widths[1], self.widths[-1]
        each = [*[(width, width)] * BRANCHES[self.block][0], (width if self.per_unit else 1, 1)]
        each += [(1, 1)] * (2 * self.scalars)
        return [(width, inputs), *each * self.blocks, (outputs, width)]

    @property
    def depth(self) -> int:
        """The number of weight matrices, multipliers and scalars included."""
        return 2 + self.blocks * self.stride

    @property
    def stride(self) -> int:
        """How many of `weights` a block has."""
        return BRANCHES[self.block][0] + 1 + 2 * self.scalars

    def normalized(self, z: Tensor, place: str) -> Tensor:
        """Return N(z) if that is where the normalization stands, else z."""
        return normalize(z, self.norm, eps=self.eps) if place == self.place else z

    def _phi(self, z: Tensor) -> Tensor:
        return super()._phi(z) if self.place == "phi" else self.activation(z)

    def _wire(self, h: Tensor, start: Tensor, into: Gradients) -> tuple[list[Tensor], list[Tensor]]:
        layers = zip(self.weights, self.biases, zip(into.weights, into.biases, strict=True), strict=True)
        maps = [_map(start, *layer) for layer in layers]
        matrices, branch = BRANCHES[self.block]
        stream = [maps[0](h)]
        for first in range(1, len(maps) - 1, self.stride):
            multiplier, x = first + matrices, stream[-1]
            for unread in (into.weights[multiplier], *into.biases[first : multiplier + 1]):
                unread.zero_()  # unless going back writes to it
            made = self._between_scalars(start, first, into) if self.scalars else maps[first:multiplier]
            added = branch(self._phi, self.normalized(x, "pre"), made)
            x = x if self.skip == 1 else self.skip * x
            x = Added.apply(x, added, self.weights[multiplier], into.weights[multiplier] if self.learned else None)
            if self.scalars:
                x = Shifted.apply(x, self.biases[multiplier + 2], into.biases[multiplier + 2])
            stream.append(self.normalized(x, "post"))
        x = stream[-1]
        read = self.normalized(x, "pre") if self.norm is None or self.place != "phi" else self._phi(x)
        return [*stream, maps[-1](read)], [*stream[:-1], read]

    def _between_scalars(self, start: Tensor, first: int, into: Gradients) -> list[Callable[[Tensor], Tensor]]:
        """Return the maps of a block W₂(φ(W₁(x + a) + b) + c)."""
        a, c = ((self.weights[at][:, 0], into.weights[at][:, 0]) for at in (first + 3, first + 4))
        b = self.biases[first + 3], into.biases[first + 3]
        inner, outer = (_map(start, self.weights[at], None, (into.weights[at], None)) for at in (first, first + 1))
        return [lambda h: Shifted.apply(inner(Shifted.apply(h, *a)), *b), lambda h: outer(Shifted.apply(h, *c))]

    def __repr__(self) -> str:
        ends = "-".join(map(str, (*self.widths[:2], self.widths[-1])))
        kind = f"{self.blocks} blocks {self.block!r}, {self.activation.name}, norm {self.norm}"
        return f"Residual({ends}, {kind}, {self.replicas} replicas)"


def _map(start: Tensor, weight: Tensor, bias: Tensor | None, into: Into) -> Callable[[Tensor], Tensor]:
    return lambda h: cast(Tensor, Affine.apply(start, h, weight, bias, into))


def _norm(norm: Any) -> str | None:
    return None if norm is None else _checks.one_of(norm, "norm", NORMS)


def mean_squares(layers: Sequence[Tensor]) -> np.ndarray:
    """Return the mean square of each layer, over the batch and the units, for each replica.

    Parameters
    ----------
    layers : sequence of L Tensors, shape (R, batch, n_l)
        Such as the `pre_activations` of signals or of gradients.

    Returns
    -------
    ndarray, shape (R, L)

    Examples
    --------
    >>> mean_squares([torch.ones(2, 5, 3), torch.zeros(2, 5, 4)])
    array([[1., 0.],
           [1., 0.]], dtype=float32)
    """
    return np.stack([layer.square().mean((1, 2)).numpy() for layer in layers], axis=1)
