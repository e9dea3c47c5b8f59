"""Steps of a forward pass that write the gradients of their own parameters to where an optimizer reads them.

What lives here is one step each, and what has no parameters: `normalize` and attention; how steps are wired is for
``residual`` and ``attention``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .. import _checks
from ..theory.stream import NORMS

__all__ = ["AXES", "Added", "Affine", "Attended", "Behind", "Into", "Looked", "Shifted", "normalize", "rows"]

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


class Affine(torch.autograd.Function):
    """h Wᵀ + b. `start` is what autograd follows back; the gradients of W and b are written to `into`."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None, into: Into) -> Tensor:
        """Compute the step, and keep what going back needs."""
        ctx.save_for_backward(h, weight)
        ctx.into = into
        return h @ weight.mT if bias is None else torch.baddbmm(bias[:, None, :], h, weight.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what is not written anywhere."""
        h, weight = ctx.saved_tensors
        (delta,) = gradients
        of_weight, of_bias = ctx.into
        torch.bmm(delta.mT, h, out=of_weight)
        if of_bias is not None:
            torch.sum(delta, 1, out=of_bias)
        return None, delta @ weight if ctx.needs_input_grad[1] else None, None, None, None


class Shifted(torch.autograd.Function):
    """u + b, with a number for each unit or one for all; the gradient of b is written to `into`."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, bias: Tensor, into: Tensor) -> Tensor:
        """Compute the step, and keep what going back needs."""
        ctx.into = into
        return u + bias[:, None, :]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what is not written anywhere."""
        _sum_into(ctx.into[:, None, :], gradients[0])
        return gradients[0], None, None


class Added(torch.autograd.Function):
    """x + α · branch, with an α for each unit or one for all; its gradient is written to `into`, if it is learned."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, branch: Tensor, alpha: Tensor, into: Tensor | None) -> Tensor:
        """Compute the step, and keep what going back needs."""
        ctx.save_for_backward(branch, alpha)
        ctx.into = into
        return torch.addcmul(x, branch, alpha.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what is not written anywhere."""
        branch, alpha = ctx.saved_tensors
        (delta,) = gradients
        if ctx.into is not None:
            _sum_into(ctx.into.mT, delta * branch)
        return delta, delta * alpha.mT, None, None


def _sum_into(into: Tensor, each: Tensor) -> None:
    """Write to `into`, shape (R, 1, n) or (R, 1, 1), the sum of `each`, shape (R, batch, n)."""
    torch.sum(each, (1, 2) if into.shape[-1] == 1 else 1, keepdim=True, out=into)


class Looked(torch.autograd.Function):
    """`rows` of W; the gradient of W is added to `into`, where that of a tied head is already."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, numbers: Tensor, weight: Tensor, into: Tensor) -> Tensor:
        """Compute the step, and keep what going back needs."""
        ctx.save_for_backward(_places(weight, numbers))
        ctx.into = into
        return rows(weight, numbers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what is not written anywhere."""
        (at,), (replicas, width, count) = ctx.saved_tensors, ctx.into.shape
        found = gradients[0].new_zeros(replicas * count, width)
        found.index_add_(0, at.flatten(), gradients[0].reshape(-1, width))
        ctx.into.add_(found.view(replicas, count, width).mT)
        return None, None, None, None


class Attended(torch.autograd.Function):
    """softmax(scale · q kᵀ) v, and the softmax with an axis for each token that is seen, then one for who sees.

    That way its sums run over whole rows at once; over the short last axis they take several times as long.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute the step, and keep what going back needs; `seen` says what a token sees, all if None."""
        scores = (k @ q.mT).mul_(scale)
        shares = (scores if seen is None else scores.masked_fill_(~seen.mT, -math.inf)).softmax(-2)
        ctx.save_for_backward(q, k, v, shares)
        ctx.scale = scale
        ctx.mark_non_differentiable(shares)
        return shares.mT @ v, shares

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        q, k, v, shares = ctx.saved_tensors
        g = gradients[0]
        delta = (v @ g.mT).mul_(shares)
        delta.addcmul_(shares, delta.sum(-2, keepdim=True), value=-1).mul_(ctx.scale)
        return delta.mT @ k, delta @ q, shares @ g, None, None


class Behind(torch.autograd.Function):
    """The parameters as what autograd finds behind `start`; `into` becomes 0, and their gradient is added to it."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, parameters: Tensor, into: Tensor) -> Tensor:
        """Compute the step, and keep what going back needs."""
        ctx.into = into.zero_()
        return parameters.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what is not written anywhere."""
        ctx.into.add_(gradients[0])
        return None, None, None


def rows(matrix: Tensor, numbers: Tensor) -> Tensor:
    """Return the columns of each replica's matrix, shape (R, d, V), that are named, shape (R, batch, T), as rows."""
    return torch.nn.functional.embedding(_places(matrix, numbers), matrix.mT.flatten(0, 1))


def _places(matrix: Tensor, numbers: Tensor) -> Tensor:
    """Return where they are if the replicas' columns are counted one replica behind the other."""
    replicas, _, count = matrix.shape
    return numbers.long() + count * torch.arange(replicas, device=matrix.device)[:, None, None]


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
