"""The book's ensembles as modules, so that one examiner sees them: R networks side by side, a replica axis in front.

What lives here wires an ensemble's own parameters, without a copy, as ``networks`` does; a test compares the outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..activations import Activation
from ..networks import Convolutional, Ensemble, Normalized, Residual, Transformer, normalize
from ..networks.convolution import Place, convolve
from ..networks.residual import BRANCHES
from ..networks.steps import rows
from ..recipes import LOOKUPS

__all__ = ["Convolution", "Linear", "Lookup", "Phi", "Replicas", "as_module", "taken"]


def _parameter(values: Tensor) -> nn.Parameter:
    """Return a view that autograd follows; of what was made in inference mode, which it refuses, a copy."""
    return nn.Parameter(values.clone() if values.is_inference() else values)


class _Affine(torch.autograd.Function):
    """h Wᵀ + b by a product that autograd cannot follow, whose gradients are products of the same kind."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor, product: Any) -> Tensor:
        ctx.save_for_backward(h, weight)
        ctx.product = product
        return product(h, weight.mT) + bias[:, None, :]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (delta,), (h, weight) = gradients, ctx.saved_tensors
        return ctx.product(delta, weight), ctx.product(delta.mT, h), delta.sum(1), None


class Linear(nn.Module):
    """R linear layers: z = h Wᵀ + b for h of shape (R, batch, fan_in)."""

    def __init__(self, weight: Tensor, bias: Tensor | None, product: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = _parameter(weight)
        self.bias = None if bias is None else _parameter(bias)
        self.out_features, self.in_features = weight.shape[1:]
        self.product = product

    def forward(self, h: Tensor) -> Tensor:
        """Take h, shape (R, batch, fan_in)."""
        if self.bias is None:
            return h @ self.weight.mT
        if self.product is torch.matmul:
            return torch.baddbmm(self.bias[:, None, :], h, self.weight.mT)
        return _Affine.apply(h, self.weight, self.bias, self.product)


class Phi(nn.Module):
    """An ensemble's activation."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, z: Tensor) -> Tensor:
        """Return φ(z) as a tensor of its own."""
        h = self.activation(z)
        return z.view_as(z) if h is z else h


def taken(inputs: Tensor, like: Tensor, width: int, replicas: int) -> Tensor:
    """Return inputs, the same for all replicas or not, in the shape (R, batch, n_0); raise for those of others."""
    if not inputs.is_floating_point():
        raise TypeError(f"inputs must be a floating-point tensor, got {inputs.dtype}; use x.to({like.dtype})")
    fits = inputs.shape[-1:] == (width,) and inputs.dim() in (2, 3)
    if not fits or (inputs.dim() == 3 and len(inputs) != replicas):
        allowed = f"(batch, {width}) or ({replicas}, batch, {width})"
        raise ValueError(f"inputs must have shape {allowed}, got {tuple(inputs.shape)}")
    return inputs.to(like).expand(replicas, -1, -1)


class Replicas(nn.Module):
    """An ensemble as a module; a class below says how the layers are wired.

    Attributes
    ----------
    replicas : int
        R.
    activation : Activation
    """

    def __init__(self, net: Ensemble) -> None:
        super().__init__()
        self.replicas, self.inputs, self.activation = net.replicas, net.widths[0], net.activation
        self.phi = Phi(net.activation)
        self.norm, self.eps = getattr(net, "norm", None), getattr(net, "eps", 0.0)

    def wire(self, h: Tensor) -> Tensor:
        """Pass h, shape (R, batch, n_0), through the layers."""
        raise NotImplementedError

    def act(self, z: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return φ(N(z) + bias)."""
        u = normalize(z, self.norm, eps=self.eps)
        return self.phi(u if bias is None else u + bias[:, None, :])

    def forward(self, inputs: Tensor) -> Tensor:
        """Take inputs as the ensemble does."""
        return self.wire(taken(inputs, next(self.parameters()), self.inputs, self.replicas))


class _Plain(Replicas):
    def __init__(self, net: Ensemble) -> None:
        super().__init__(net)
        layers = [Linear(weight, bias, net.product) for weight, bias in zip(net.weights, net.biases, strict=True)]
        for at, layer in enumerate(layers, start=1):
            self.add_module(str(at), layer)
        self.layers = tuple(layers)

    def wire(self, h: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            h = self.act(layer(h))
        return self.layers[-1](h)


class _Normalized(Replicas):
    """The bias of every layer but the last stands behind the normalization."""

    def __init__(self, net: Normalized) -> None:
        super().__init__(net)
        self.depth = net.depth
        for at, weight in enumerate(net.weights, start=1):
            bias = net.biases[-1] if at == net.depth else None
            self.add_module(str(at), Linear(weight, bias, torch.matmul))
        self.shifts = nn.ParameterList(_parameter(bias) for bias in net.biases[:-1])

    def wire(self, h: Tensor) -> Tensor:
        for at in range(1, self.depth):
            h = self.act(self.get_submodule(str(at))(h), self.shifts[at - 1])
        return self.get_submodule(str(self.depth))(h)


class _Shifted(nn.Module):
    """W(h + a) + b with numbers a, and b where there is one."""

    def __init__(self, weight: Tensor, a: Tensor, b: Tensor | None = None) -> None:
        super().__init__()
        self.linear, self.a = Linear(weight, None, torch.matmul), _parameter(a)
        self.b = None if b is None else _parameter(b)

    def forward(self, h: Tensor) -> Tensor:
        z = self.linear(h + self.a)
        return z if self.b is None else z + self.b[:, None, :]


class _Residual(Replicas):
    def __init__(self, net: Residual) -> None:
        super().__init__(net)
        self.place, self.skip = net.place, net.skip
        matrices, self.branch = BRANCHES[net.block]
        layers = [Linear(weight, bias, torch.matmul) for weight, bias in zip(net.weights, net.biases, strict=True)]
        self.stem, self.head = layers[0], layers[-1]
        starts = range(1, net.depth - 1, net.stride)
        self.blocks = nn.ModuleList(nn.ModuleList(layers[at : at + matrices]) for at in starts)
        self.multipliers = nn.ParameterList(_parameter(net.weights[at + matrices]) for at in starts)
        self.behind = nn.ParameterList()
        if net.scalars:
            self.blocks = nn.ModuleList(nn.ModuleList(_shifted(net, at)) for at in starts)
            self.behind.extend(_parameter(net.biases[at + net.stride - 1]) for at in starts)

    def act(self, z: Tensor, bias: Tensor | None = None) -> Tensor:
        return super().act(z, bias) if self.place == "phi" else self.phi(z)

    def normalized(self, z: Tensor, place: str) -> Tensor:
        return normalize(z, self.norm, eps=self.eps) if place == self.place else z

    def wire(self, h: Tensor) -> Tensor:
        stream = self.stem(h)
        for at, (block, multiplier) in enumerate(zip(self.blocks, self.multipliers, strict=True)):
            added = multiplier.mT * self.branch(self.act, self.normalized(stream, "pre"), list(block.children()))
            stream = (stream if self.skip == 1 else self.skip * stream) + added
            stream = self.normalized(stream + self.behind[at][:, None, :] if self.behind else stream, "post")
        phi = self.norm is not None and self.place == "phi"
        return self.head(self.act(stream) if phi else self.normalized(stream, "pre"))


def _shifted(net: Residual, at: int) -> list[nn.Module]:
    """Return the maps of a block whose biases are single numbers."""
    first, second = at + net.stride - 2, at + net.stride - 1
    inner = _Shifted(net.weights[at], net.weights[first], net.biases[first])
    return [inner, _Shifted(net.weights[at + 1], net.weights[second])]


class Lookup(nn.Module):
    """R embeddings: rows of numbers, shape (R, batch, T), in place of the columns of a weight of shape (R, d, rows)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = _parameter(weight)

    def forward(self, numbers: Tensor) -> Tensor:
        """Take numbers of rows."""
        return rows(self.weight, numbers)


class _Transformer(Replicas):
    """Layers are called token, position, query_0 … for the blocks, and head; a tied head is token's weight."""

    def __init__(self, net: Transformer) -> None:
        super().__init__(net)
        self.net = copy.copy(net)
        self.net.activation = cast(Activation, self.phi)  # so that it is seen
        self.maps: list[nn.Module] = []
        for (role, block), weight in zip(net.roles, net.weights, strict=True):
            self.maps.append(Lookup(weight) if role in LOOKUPS else Linear(weight, None, torch.matmul))
            self.add_module(role if role in (*LOOKUPS, "head") else f"{role}_{block}", self.maps[-1])

    def wire(self, h: Tensor) -> Tensor:
        token = self.get_parameter("token.weight")
        head = (lambda read: read @ token) if self.net.form.tied else None
        return self.net.passed(h, self.maps, head).logits


class Convolution(Linear):
    """R convolutions of flattened images; a unit is a channel, as for torch's."""

    def __init__(self, weight: Tensor, bias: Tensor, place: Place) -> None:
        super().__init__(weight, bias, torch.matmul)
        self.place = place

    def forward(self, h: Tensor) -> Tensor:
        """Take h, shape (R, batch, channels · height · width)."""
        assert self.bias is not None
        return convolve(h, self.weight, self.bias, self.place)


class _Convolutional(Replicas):
    def __init__(self, net: Convolutional) -> None:
        super().__init__(net)
        self.net = net
        layers = zip(net.weights, net.biases, [*net.places, None], strict=True)
        self.maps = [
            Linear(weight, bias, torch.matmul) if place is None else Convolution(weight, bias, place)
            for weight, bias, place in layers
        ]
        for at, layer in enumerate(self.maps, start=1):
            self.add_module(str(at), layer)

    def wire(self, h: Tensor) -> Tensor:
        return self.net.passed(h, self.maps, self.phi)[0][-1]


_MADE: dict[type[Ensemble], Callable[[Any], Replicas]] = {
    Ensemble: _Plain,
    Normalized: _Normalized,
    Residual: _Residual,
    Transformer: _Transformer,
    Convolutional: _Convolutional,
}


def as_module(net: Ensemble) -> Replicas:
    """Return an ensemble as a module with the same parameters.

    Raises
    ------
    TypeError
        If it is of a class whose wiring is not known.
    """
    made = _MADE.get(type(net))
    if made is None and type(net).forward is not Ensemble.forward:
        known = ", ".join(kind.__name__ for kind in _MADE)
        raise TypeError(
            f"model must be an ensemble of a known class ({known}) or a torch.nn.Module, got {type(net).__name__}; "
            "use its forward() and backward()"
        )
    return (made or _Plain)(net)
