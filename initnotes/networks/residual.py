"""R normalized or residual networks, which train like any ensemble.

What lives here adds normalization and skip connections to ``ensemble``. Autograd finds its way back through them; each
step of that way writes the gradient of its own parameters to where an optimizer reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from .. import _checks, schemes
from ..theory.stream import BLOCKS, NORMS
from .ensemble import Ensemble, Gradients, Signals

__all__ = ["AXES", "BRANCHES", "Normalized", "Residual", "mean_squares", "normalize"]

AXES = {"batch": -2, "layer": -1, "rms": -1}  # of (R, batch, n), over which each of NORMS takes its statistics


Into = tuple[Tensor, Tensor | None]  # where the gradients of a layer's weights and bias are to be written


class _Normalize(torch.autograd.Function):
    """(z − mean)/√(variance + eps) over an axis, or z/√(mean square + eps), and the gradient through it."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, axis: int, center: bool, eps: float) -> Tensor:
        if center:
            z = z - z.mean(axis, keepdim=True)
        inverse = z.square().mean(axis, keepdim=True).add_(eps).rsqrt_()
        inverse = inverse.where(inverse.isfinite(), 0.0)  # no spread and no eps
        u = z.mul_(inverse) if center else z * inverse
        ctx.save_for_backward(u, inverse)
        ctx.axis, ctx.center = axis, center
        return u

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        u, inverse = ctx.saved_tensors
        (g,) = gradients
        g = torch.addcmul(g, u, (g * u).mean(ctx.axis, keepdim=True), value=-1)
        if ctx.center:
            g -= g.mean(ctx.axis, keepdim=True)
        return g.mul_(inverse), None, None, None


class _Affine(torch.autograd.Function):
    """h Wᵀ + b. `start` is what autograd follows back; the gradients of W and b are written to `into`."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None, into: Into) -> Tensor:
        ctx.save_for_backward(h, weight)
        ctx.into = into
        return h @ weight.mT if bias is None else torch.baddbmm(bias[:, None, :], h, weight.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        h, weight = ctx.saved_tensors
        (delta,) = gradients
        of_weight, of_bias = ctx.into
        torch.bmm(delta.mT, h, out=of_weight)
        if of_bias is not None:
            torch.sum(delta, 1, out=of_bias)
        return None, delta @ weight if ctx.needs_input_grad[1] else None, None, None, None


class _Shifted(torch.autograd.Function):
    """u + b; the gradient of b is written to `into`."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, bias: Tensor, into: Tensor) -> Tensor:
        ctx.into = into
        return u + bias[:, None, :]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        torch.sum(gradients[0], 1, out=ctx.into)
        return gradients[0], None, None


class _Scaled(torch.autograd.Function):
    """α · branch; the gradient of α is written to `into`, if it is learned."""

    @staticmethod
    def forward(ctx: Any, branch: Tensor, alpha: Tensor, into: Tensor | None) -> Tensor:
        ctx.save_for_backward(branch, alpha)
        ctx.into = into
        return branch * alpha

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        branch, alpha = ctx.saved_tensors
        if ctx.into is not None:
            ctx.into.copy_((gradients[0] * branch).sum((1, 2), keepdim=True))
        return gradients[0] * alpha, None, None


def normalize(z: Tensor, norm: str | None, *, eps: float = 1e-5) -> Tensor:
    """Return pre-activations with mean 0 and mean square 1, or with mean square 1 alone.

    Parameters
    ----------
    z : Tensor, shape (…, batch, n)
    norm : {"batch", "layer", "rms"} or None
        "batch" subtracts each unit's mean over the batch and divides by its std there; "layer" does the same over the
        units, sample by sample; "rms" divides each sample by its root mean square over the units. None does nothing.
    eps : float
        Added to the variance, or the mean square, under the root. With 0, what has no spread becomes 0 and passes no
        gradient.

    Returns
    -------
    Tensor, shape (…, batch, n)

    Raises
    ------
    TypeError, ValueError
        If `z` has no two axes, `norm` is unknown, or `eps` is negative.

    References
    ----------
    Ioffe & Szegedy, ICML 2015, algorithm 1; Ba, Kiros & Hinton, 2016, equation 3; Zhang & Sennrich, NeurIPS 2019,
    equation 4.

    Examples
    --------
    >>> normalize(torch.tensor([[1.0, 5.0], [3.0, 7.0]]), "batch", eps=0.0)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    eps = _checks.real(eps, "eps", low=0.0)
    if not isinstance(z, Tensor) or z.dim() < 2:
        raise TypeError(f"z must be a tensor of shape (…, batch, n), got {z!r:.80}")
    if norm is None:
        return z
    axis = AXES[_checks.one_of(norm, "norm", NORMS)]
    return _Normalize.apply(z, axis, norm != "rms", eps)


@dataclass(frozen=True, repr=False)
class _Taped(Signals):
    """Signals with what autograd needs to go back through them."""

    start: Tensor | None = None
    tape: Sequence[Tensor] = ()
    gradient: Tensor | None = None


class _Network(Ensemble):
    """An ensemble through which autograd goes back; a class below says how the layers are wired."""

    norm: str | None
    eps: float

    def _wire(self, h: Tensor, start: Tensor, gradient: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the pre-activations, and what the layers read; going back fills `gradient`."""
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
            start, gradient = h.new_zeros(()).requires_grad_(), torch.zeros_like(self.parameters)
            tape, fed = self._wire(h, start, gradient)
        return _Taped([z.detach() for z in tape], [h, *(read.detach() for read in fed)], None, start, tape, gradient)

    def untracked(self, inputs: Any, masks: Sequence[Tensor] | None = None) -> Signals:
        """Pass `inputs` forward as `forward` does."""
        return self.forward(inputs, masks)

    def backward(self, signals: Signals, output_gradient: Any) -> Gradients:
        """Pass the loss's gradient with respect to the output back, as `Ensemble.backward` does; once a forward pass.

        `pre_activations` has one entry for each of those that `forward` returned.
        """
        if not isinstance(signals, _Taped) or signals.start is None or signals.gradient is None:
            raise TypeError(f"signals must be what forward() returned, got {type(signals).__name__}")
        sources = [signals.start, *signals.tape[:-1]]
        delta = self._output_gradient(signals, output_gradient)
        found = torch.autograd.grad(signals.tape[-1], sources, delta, materialize_grads=True)
        return Gradients(*self.split(signals.gradient), [*found[1:], delta], signals.gradient)


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

    def _wire(self, h: Tensor, start: Tensor, gradient: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        of_weights, of_biases = self.split(gradient)
        passed: list[Tensor] = []
        fed: list[Tensor] = []
        for at, weight in enumerate(self.weights):
            last = at == self.depth - 1
            bias, into = (self.biases[at], of_biases[at]) if last else (None, None)
            passed.append(_Affine.apply(start, fed[-1] if fed else h, weight, bias, (of_weights[at], into)))
            if not last:
                u = normalize(passed[-1], self.norm, eps=self.eps)
                fed.append(self.activation(_Shifted.apply(u, self.biases[at], of_biases[at])))
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

    The head reads φ(N(x)) if there is a normalization, else x. Every φ in a block has the normalization in front of
    it. Each block has a multiplier α of its own, learned or frozen.

    Attributes
    ----------
    weights, biases : list of Tensor
        Stem, then for each block its matrices and its multiplier (as a 1 × 1 matrix, whose bias nothing reads), head.

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
    last : str or Initializer, optional
        For the last matrix of each block, if not `scheme`.
    head : str or Initializer
    multiplier : float
        Where every α starts: 0 for SkipInit and ReZero.
    learned : bool
        Whether α is trained; if not, its gradient is 0 and it stays where it starts.
    norm : {"batch", "layer", "rms"} or None
    eps : float

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been drawn then.

    References
    ----------
    He, Zhang, Ren & Sun, "Identity mappings in deep residual networks", ECCV 2016. α: Zhang, Dauphin & Ma, "Fixup
    initialization", ICLR 2019; De & Smith, NeurIPS 2020 (SkipInit); Bachlechner et al., UAI 2021 (ReZero).

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
        last: Any = None,
        head: Any = "lecun_normal",
        multiplier: float = 1.0,
        learned: bool = True,
        norm: str | None = None,
        eps: float = 1e-5,
    ) -> None:
        if len(widths) != 3:
            raise ValueError(f"widths must be inputs, stream and outputs, got {tuple(widths)}")
        self.norm, self.eps = _norm(norm), _checks.real(eps, "eps", low=0.0)
        self.blocks, self.block = _checks.integer(blocks, "blocks"), _checks.one_of(block, "block", BLOCKS)
        self.learned = bool(learned)
        start = schemes.constant(_checks.real(multiplier, "multiplier"))
        matrices = [schemes.scheme(scheme)] * BRANCHES[block][0]
        matrices[-1] = matrices[-1] if last is None else schemes.scheme(last)
        inputs, width, outputs = (_checks.integer(width, "width") for width in widths)
        drawn = [schemes.scheme(scheme), *([*matrices, start] * blocks), schemes.scheme(head)]
        super().__init__((inputs, *[width] * (blocks + 1), outputs), activation, drawn, rng=rng, replicas=replicas)

    @property
    def architecture(self) -> dict[str, Any]:
        """The blocks, whether their multipliers are learned, the normalization and its eps."""
        return {"block": self.block, "learned": self.learned, "norm": self.norm, "eps": self.eps}

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan_out, fan_in) of each weight matrix, (1, 1) for a multiplier."""
        inputs, width, outputs = self.widths[0], self.widths[1], self.widths[-1]
        each = [*[(width, width)] * BRANCHES[self.block][0], (1, 1)]
        return [(width, inputs), *each * self.blocks, (outputs, width)]

    @property
    def depth(self) -> int:
        """The number of weight matrices, multipliers included."""
        return 2 + self.blocks * (BRANCHES[self.block][0] + 1)

    def _wire(self, h: Tensor, start: Tensor, gradient: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        of_weights, of_biases = self.split(gradient)
        layers = zip(self.weights, self.biases, zip(of_weights, of_biases, strict=True), strict=True)
        maps = [_map(start, *layer) for layer in layers]
        matrices, branch = BRANCHES[self.block]
        stream = [maps[0](h)]
        for first in range(1, len(maps) - 1, matrices + 1):
            multiplier = first + matrices
            added = branch(self._phi, stream[-1], maps[first:multiplier])
            into = of_weights[multiplier] if self.learned else None
            stream.append(stream[-1] + _Scaled.apply(added, self.weights[multiplier], into))
        read = stream[-1] if self.norm is None else self._phi(stream[-1])
        return [*stream, maps[-1](read)], [*stream[:-1], read]

    def __repr__(self) -> str:
        ends = "-".join(map(str, (*self.widths[:2], self.widths[-1])))
        kind = f"{self.blocks} blocks {self.block!r}, {self.activation.name}, norm {self.norm}"
        return f"Residual({ends}, {kind}, {self.replicas} replicas)"


def _map(start: Tensor, weight: Tensor, bias: Tensor, into: Into) -> Callable[[Tensor], Tensor]:
    return lambda h: cast(Tensor, _Affine.apply(start, h, weight, bias, into))


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
