"""Floor 3: R normalized or residual networks, which train like any ensemble, and the theory of their gradients.

What lives here adds normalization and skip connections to ``networks``; its gradients are autograd's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import _checks, activations, schemes, theory
from .networks import Ensemble, Gradients, Signals

__all__ = [
    "BLOCKS",
    "NORMS",
    "Normalized",
    "Residual",
    "gradient_factor",
    "mean_squares",
    "normalize",
    "stream_factors",
    "stream_moments",
]

NORMS = {"batch": -2, "layer": -1, "rms": -1}  # the axis of (R, batch, n) over which each takes its statistics


class _Normalize(torch.autograd.Function):
    """(z − mean)/√(variance + eps) over an axis, or z/√(mean square + eps), and the gradient through it."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, axis: int, center: bool, eps: float) -> Tensor:
        if center:
            z = z - z.mean(axis, keepdim=True)
        inverse = (z.square().mean(axis, keepdim=True) + eps).rsqrt()
        inverse = inverse.where(inverse.isfinite(), 0.0)  # no spread and no eps
        u = z * inverse
        ctx.save_for_backward(u, inverse)
        ctx.axis, ctx.center = axis, center
        return u

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        u, inverse = ctx.saved_tensors
        (g,) = gradients
        g = g - u * (g * u).mean(ctx.axis, keepdim=True)
        if ctx.center:
            g = g - g.mean(ctx.axis, keepdim=True)
        return g * inverse, None, None, None


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
    axis = NORMS[_checks.one_of(norm, "norm", NORMS)]
    return _Normalize.apply(z, axis, norm != "rms", eps)


@dataclass(frozen=True)
class _Taped(Signals):
    """Signals with what autograd needs to go back through them."""

    leaf: Tensor | None = None
    tape: Sequence[Tensor] = ()


class _Network(Ensemble):
    """An ensemble whose backward pass is autograd's; a class below says how the layers are wired."""

    norm: str | None
    eps: float

    def _wire(self, h: Tensor, weights: list[Tensor], biases: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        raise NotImplementedError

    def _phi(self, z: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return φ(N(z) + bias)."""
        u = normalize(z, self.norm, eps=self.eps)
        return self.activation(u if bias is None else u + bias[:, None, :])

    def forward(self, inputs: Tensor, masks: Sequence[Tensor] | None = None) -> Signals:
        """Pass `inputs` forward and keep every layer, as `Ensemble.forward` does; there is no dropout."""
        if masks is not None:
            raise ValueError(f"{type(self).__name__} has no dropout; leave out the masks")
        h = self._inputs(inputs)
        with torch.enable_grad():
            leaf = self.parameters.detach().requires_grad_()
            tape, fed = self._wire(h, *self.split(leaf))
        return _Taped([one.detach() for one in tape], [h, *(one.detach() for one in fed)], None, leaf, tape)

    def backward(self, signals: Signals, output_gradient: Tensor) -> Gradients:
        """Pass the loss's gradient with respect to the output back, as `Ensemble.backward` does; once a forward pass.

        `pre_activations` has one entry for each of those that `forward` returned.
        """
        if not isinstance(signals, _Taped) or signals.leaf is None:
            raise TypeError(f"signals must be what forward() returned, got {type(signals).__name__}")
        sources = [signals.leaf, *signals.tape[:-1]]
        found = torch.autograd.grad(signals.tape[-1], sources, output_gradient, materialize_grads=True)
        return Gradients(*self.split(found[0]), [*found[1:], output_gradient], found[0])


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

    def _wire(self, h: Tensor, weights: list[Tensor], biases: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        passed, fed = [h @ weights[0].mT], []
        for weight, bias in zip(weights[1:], biases, strict=False):
            fed.append(self._phi(passed[-1], bias))
            passed.append(fed[-1] @ weight.mT)
        passed[-1] = passed[-1] + biases[-1][:, None, :]
        return passed, fed


Branch = Callable[[Any, Tensor, list[Callable[[Tensor], Tensor]]], Tensor]
BLOCKS: dict[str, tuple[int, Branch]] = {  # matrices of a block, and its branch
    "post": (1, lambda phi, x, maps: phi(maps[0](x))),
    "inner": (2, lambda phi, x, maps: maps[1](phi(maps[0](x)))),
    "pre": (2, lambda phi, x, maps: maps[1](phi(maps[0](phi(x))))),
    "short": (1, lambda phi, x, maps: maps[0](phi(x))),
}


class Residual(_Network):
    """R residual networks: a linear stem, blocks x + α·branch(x), and a linear head.

    The head reads φ(N(x)) if there is a normalization, else x. Every φ in a block has the normalization in front of
    it. Each block has a multiplier α of its own, which is learned.

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
        norm: str | None = None,
        eps: float = 1e-5,
    ) -> None:
        if len(widths) != 3:
            raise ValueError(f"widths must be inputs, stream and outputs, got {tuple(widths)}")
        self.norm, self.eps = _norm(norm), _checks.real(eps, "eps", low=0.0)
        self.blocks, self.block = _checks.integer(blocks, "blocks"), _checks.one_of(block, "block", BLOCKS)
        start = schemes.constant(_checks.real(multiplier, "multiplier"))
        matrices = [schemes.scheme(scheme)] * BLOCKS[block][0]
        matrices[-1] = matrices[-1] if last is None else schemes.scheme(last)
        inputs, width, outputs = (_checks.integer(one, "width") for one in widths)
        drawn = [schemes.scheme(scheme), *([*matrices, start] * blocks), schemes.scheme(head)]
        super().__init__((inputs, *[width] * (blocks + 1), outputs), activation, drawn, rng=rng, replicas=replicas)

    @property
    def architecture(self) -> dict[str, Any]:
        """The blocks, the normalization and its eps."""
        return {"block": self.block, "norm": self.norm, "eps": self.eps}

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan_out, fan_in) of each weight matrix, (1, 1) for a multiplier."""
        inputs, width, outputs = self.widths[0], self.widths[1], self.widths[-1]
        each = [*[(width, width)] * BLOCKS[self.block][0], (1, 1)]
        return [(width, inputs), *each * self.blocks, (outputs, width)]

    @property
    def depth(self) -> int:
        """The number of weight matrices, multipliers included."""
        return 2 + self.blocks * (BLOCKS[self.block][0] + 1)

    def _wire(self, h: Tensor, weights: list[Tensor], biases: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        maps = [_affine(weight, bias) for weight, bias in zip(weights, biases, strict=True)]
        step, branch = BLOCKS[self.block][0] + 1, BLOCKS[self.block][1]
        stream = [maps[0](h)]
        for first in range(1, len(maps) - 1, step):
            added = branch(self._phi, stream[-1], maps[first : first + step - 1])
            stream.append(stream[-1] + weights[first + step - 1] * added)
        read = stream[-1] if self.norm is None else self._phi(stream[-1])
        return [*stream, maps[-1](read)], [*stream[:-1], read]

    def __repr__(self) -> str:
        ends = "-".join(str(one) for one in (*self.widths[:2], self.widths[-1]))
        kind = f"{self.blocks} blocks {self.block!r}, {self.activation.name}, norm {self.norm}"
        return f"Residual({ends}, {kind}, {self.replicas} replicas)"


def _affine(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda h: torch.baddbmm(bias[:, None, :], h, weight.mT)


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
    return np.stack([one.square().mean((1, 2)).numpy() for one in layers], axis=1)


# ---------------------------------------------------------------------------------------------------------------------
# Theory


def gradient_factor(activation: Any, *, norm: str = "batch", batch: int | None = None) -> float:
    """Return the factor on the mean square of ∂loss/∂z a layer, going backward, in a plain normalized network.

    For wide layers z_{l+1} = W φ(N(z_l)) far from the input, whatever the variance of W. In a large batch it is
    E φ′²/Var φ for "batch" and E φ′²/E φ² for "layer" and "rms", at a standard normal pre-activation. By the
    Gaussian Poincaré inequality the first is above 1 unless φ is linear.

    Parameters
    ----------
    activation : str, Activation, module or callable
    norm : {"batch", "layer", "rms"}
    batch : int, optional
        Size B of the batch, 4 or more; without it, the limit of a large one. Only for "batch" and "relu": there, with
        correlation c = −1/(B−1), κ = (√(1−c²) + c(π − arccos c))/2π and p = ¼ + arcsin(c)/2π, the factor is
        B T/((B−1)(B−3)(½ − κ)) with T = (B−1)/2 − 1 + 1/B + (B−1)(p + κ)/B.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    Yang et al., "A mean field theory of batch normalization", ICLR 2019: the same setting, and π/(π − 1) for ReLU in
    the limit. The inequality: Chernoff, Annals of Probability 9, 1981.

    Examples
    --------
    >>> round(gradient_factor("relu"), 3), round(gradient_factor("relu", batch=8), 3)
    (1.467, 1.788)
    >>> round(gradient_factor("relu", norm="layer"), 3)
    1.0
    """
    norm, act = _checks.one_of(norm, "norm", NORMS), activations.get(activation)
    if batch is None:
        return float(theory.derivative_second_moment(act, 1.0) / _size(act, norm))
    if norm != "batch" or act.name != "relu":
        raise ValueError(f"a batch size is for norm 'batch' and activation 'relu', got {norm!r} and {act.name!r}")
    B = _checks.integer(batch, "batch", low=4)
    c = -1 / (B - 1)
    kappa = (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / (2 * math.pi)
    both_on = 0.25 + math.asin(c) / (2 * math.pi)
    trace = (B - 1) / 2 - 1 + 1 / B + (B - 1) * (both_on + kappa) / B
    return B * trace / ((B - 1) * (B - 3) * (0.5 - kappa))


def _size(act: Any, norm: str) -> float:
    """Return what a unit-variance layer passes on: Var φ over a large batch, or E φ² over the units."""
    square = float(theory.second_moment(act, 1.0))
    return square - float(theory.first_moment(act, 1.0)) ** 2 if norm == "batch" else square


def stream_factors(
    blocks: int, activation: Any = "relu", *, norm: str = "batch", sigma_w: float = math.sqrt(2), start: float = 1.0
) -> np.ndarray:
    """Return the factor on the mean square of ∂loss/∂x of each block x + W φ(N(x)), for wide layers and large batches.

    The branch of a block gets x divided by the root of its variance v, which grows by a constant a block, so that the
    factor is 1 + σ_w² E φ′²/v: 1 plus a number over the number of the block.

    Parameters
    ----------
    blocks : int
    activation : str, Activation, module or callable
    norm : {"batch", "layer", "rms"}
    sigma_w : float
        √(fan_in · Var(W)).
    start : float
        v in front of the first block: variance over the batch for "batch", mean square otherwise.

    Returns
    -------
    ndarray, shape (blocks,)
        Of the first block first. The product of all is the growth of the gradient over the network.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    De & Smith, NeurIPS 2020: the variance of the stream grows linearly, so that a branch counts as 1 over the depth.

    Examples
    --------
    >>> stream_factors(3, norm="layer").round(3)
    array([2.   , 1.5  , 1.333])
    """
    norm, act = _checks.one_of(norm, "norm", NORMS), activations.get(activation)
    blocks, square = _checks.integer(blocks, "blocks"), _checks.real(sigma_w, "sigma_w", low=0.0) ** 2
    start = _checks.real(start, "start", low=0.0, strict=True)
    variances = start + square * _size(act, norm) * np.arange(blocks)
    return np.asarray(1 + square * theory.derivative_second_moment(act, 1.0) / variances)


def stream_moments(blocks: int, block: str, *, scale: float = 1.0) -> np.ndarray:
    """Return E x² after each block of a wide residual ReLU network without normalization, relative to the first x.

    All matrices are He's. "pre" multiplies it by 1 + scale², "inner" by 1 + 2·scale², "short" by 1 + scale². In "post"
    the branch is never negative, so that the mean m of x grows too: q′ = q(1 + s²) + 2sm√(q/π), m′ = m + s√(q/π).

    Parameters
    ----------
    blocks : int
    block : {"post", "inner", "pre", "short"}
    scale : float
        Factor s on the branch.

    Returns
    -------
    ndarray, shape (blocks + 1,)
        The first entry is 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> stream_moments(3, "pre"), stream_moments(3, "inner")
    (array([1., 2., 4., 8.]), array([ 1.,  3.,  9., 27.]))
    """
    blocks, s = _checks.integer(blocks, "blocks"), _checks.real(scale, "scale", low=0.0)
    if _checks.one_of(block, "block", BLOCKS) != "post":
        return np.asarray((1 + (2 if block == "inner" else 1) * s * s) ** np.arange(blocks + 1.0))
    moments, mean = [1.0], 0.0
    for _ in range(blocks):
        added = s * math.sqrt(moments[-1] / math.pi)
        moments.append(moments[-1] * (1 + s * s) + 2 * mean * added)
        mean += added
    return np.array(moments)
