"""Ensembles of R deep networks, computed as batched matrix products with a leading replica axis.

What lives here draws parameters and passes signals forward and backward; statistics and training are upstairs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks, activations, schemes
from .products import Product

__all__ = ["Ensemble", "Gradients", "Signals", "join"]

_RELU = activations.get("relu")


@dataclass(frozen=True, repr=False)
class Signals:
    """What a forward pass leaves behind.

    Attributes
    ----------
    pre_activations : list of Tensor, shape (R, batch, n_l)
        z_1 … z_L; the last one is the network's output.
    activations : list of Tensor, shape (R, batch, n_l)
        h_0 … h_{L-1}: what each layer multiplies by its weights; h_0 is the input.
    masks : list of Tensor or None
        Dropout's factors on h_1 … h_{L-1}, if there was any.
    """

    pre_activations: list[Tensor]
    activations: list[Tensor]
    masks: Sequence[Tensor] | None = None

    @property
    def output(self) -> Tensor:
        """The last layer's pre-activation, shape (R, batch, n_L)."""
        return self.pre_activations[-1]

    def __repr__(self) -> str:
        return f"Signals(pre_activations {_sizes(self.pre_activations)})"


@dataclass(frozen=True, repr=False)
class Gradients:
    """What a backward pass leaves behind, a list entry per layer.

    Attributes
    ----------
    weights : list of Tensor, shape (R, n_l, n_{l-1})
    biases : list of Tensor, shape (R, n_l)
    pre_activations : list of Tensor, shape (R, batch, n_l)
        ∂loss/∂z_l, the back-propagated gradient.
    parameters : Tensor, shape (R · P,)
        In the layout of `Ensemble.parameters`; `weights` and `biases` are views of it.
    """

    weights: list[Tensor]
    biases: list[Tensor]
    pre_activations: list[Tensor]
    parameters: Tensor

    def __repr__(self) -> str:
        return f"Gradients(weights {_sizes(self.weights)})"


class Ensemble:
    """R independent multilayer perceptrons with the same widths, z_l = W_l h_{l-1} + b_l and h_l = φ(z_l).

    The last layer is linear.

    Attributes
    ----------
    weights : list of L Tensors, shape (R, n_l, n_{l-1})
    biases : list of L Tensors, shape (R, n_l)
    parameters : Tensor, shape (R · P,)
        All of them in one vector, W_1 of all replicas, b_1 of all replicas, W_2, …, so that an optimizer sees one
        tensor and a batched product one block; `weights` and `biases` are views of it.

    Parameters
    ----------
    widths : sequence of int
        n_0 (inputs), n_1, …, n_L (outputs).
    activation : str, Activation or callable
        φ, as `initnotes.activations.get` takes it.
    scheme : str or Initializer, or a sequence of L of them
        How the weights are drawn, for all layers or layer by layer.
    rng : numpy.random.Generator
        Where the draws come from.
    replicas : int
        R.
    bias : float, sequence of L floats, or None
        Every bias of a layer starts here. None is for networks without biases: they are 0, and have no gradient.
    sigma_b : float
        Standard deviation of normal noise that is added to the biases of all layers.
    dtype : {"float64", "float32"}, or torch's or NumPy's name of it
    device : str or torch.device
    product : callable
        Batched matrix product, ``torch.matmul`` or `order_free_product`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been drawn then.

    Examples
    --------
    >>> net = Ensemble((20, 16, 5), "tanh", "xavier_normal", rng=np.random.default_rng(1), replicas=3)
    >>> net
    Ensemble(20-16-5, tanh, 3 replicas, float64)
    >>> net(torch.zeros(7, 20, dtype=torch.float64)).shape
    torch.Size([3, 7, 5])
    """

    biased = True

    def __init__(
        self,
        widths: Sequence[int],
        activation: Any,
        scheme: Any,
        *,
        rng: np.random.Generator,
        replicas: int = 32,
        bias: float | Sequence[float] | None = 0.0,
        sigma_b: float = 0.0,
        dtype: Any = "float64",
        device: str | torch.device = "cpu",
        product: Product = torch.matmul,
    ) -> None:
        self.widths = _widths(widths)
        self.activation = activations.get(activation)
        by_layer = [schemes.scheme(own) for own in _per_layer(scheme, "scheme", self.depth)]
        sigma_b = _checks.real(sigma_b, "sigma_b", low=0.0)
        self.biased = self._biased(bias, sigma_b)
        starts = [_checks.real(start, "bias") for start in _per_layer(bias if self.biased else 0.0, "bias", self.depth)]
        self.replicas = _checks.integer(replicas, "replicas")
        self.dtype = _checks.dtype(dtype)
        if not callable(product):
            raise TypeError(f"product must be a function of two tensors, got {product!r}; pass torch.matmul")
        _checks.generator(rng)
        self.product, device = product, _device(device)
        drawn = [self._draw(layer, own, rng) for layer, own in enumerate(by_layer)]
        parts = []
        for weight, start in zip(drawn, starts, strict=True):
            noise = rng.standard_normal(weight.shape[:2]) if sigma_b else 0.0
            parts += [weight, np.full(weight.shape[:2], start) + sigma_b * noise]
        self._hold(torch.from_numpy(np.concatenate([part.ravel() for part in parts])).to(device, self.dtype))

    def _draw(self, layer: int, scheme: schemes.Initializer, rng: np.random.Generator) -> schemes.Array:
        """Return weights of a layer, shape (R, fan_out, fan_in)."""
        return scheme.sample(self.shapes[layer], rng, replicas=self.replicas)

    def _biased(self, bias: Any, sigma_b: float) -> bool:
        """Return whether there are biases; raise if `bias` is None where it cannot be."""
        if bias is None and sigma_b:
            raise ValueError(f"sigma_b must be 0 where bias is None, as there are no biases, got {sigma_b:g}")
        if bias is None and type(self).backward is not Ensemble.backward:
            raise ValueError(f"bias must be a number or one a layer, got None; {type(self).__name__} has biases")
        return bias is not None

    @property
    def architecture(self) -> dict[str, Any]:
        """What ensembles of one class must share to be joined, beside widths and activation; here nothing."""
        return {}

    @property
    def kind(self) -> dict[str, Any]:
        """All that ensembles must share to be joined."""
        phi = self.activation.source or self.activation  # two activations made of one function differ
        own = {"widths": self.widths, "activation": phi, "dtype": self.dtype, "product": self.product}
        own |= {"biases": self.biased}
        return own | {"device": self.parameters.device, "class": type(self)} | self.architecture

    @property
    def depth(self) -> int:
        """L, the number of weight matrices."""
        return len(self.widths) - 1

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan_out, fan_in) of each weight matrix."""
        return list(zip(self.widths[1:], self.widths[:-1], strict=True))

    @property
    def labels(self) -> tuple[int, ...]:
        """Axes of the labels of a sample; here none, as a sample has one label."""
        return ()

    @property
    def tensors(self) -> list[Tensor]:
        """Weights and biases in the order of `parameters`: W_1, b_1, W_2, …, each with the replica's axis first."""
        return [part for layer in zip(self.weights, self.biases, strict=True) for part in layer]

    def split(self, parameters: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Cut a tensor in the layout of `parameters` into views of weights and biases, layer by layer."""
        sizes = [self.replicas * size for out, n in self.shapes for size in (out * n, out)]
        parts = parameters.split(sizes)
        weights = [part.view(self.replicas, *shape) for part, shape in zip(parts[::2], self.shapes, strict=True)]
        return weights, [part.view(self.replicas, -1) for part in parts[1::2]]

    def per_parameter(self, values: Tensor) -> Tensor:
        """Return values as one for each parameter, in the layout of `parameters`.

        Parameters
        ----------
        values : Tensor, shape (R,) or (R, L, 2)
            One for each replica, or one for the weights and one for the biases of each of its layers.

        Returns
        -------
        Tensor, shape (R · P,)
        """
        sizes = [size for out, n in self.shapes for size in (out * n, out)]
        values = values.to(self.parameters)
        columns = [values] * len(sizes) if values.dim() == 1 else values.flatten(1).unbind(1)
        return torch.cat([column.repeat_interleave(size) for column, size in zip(columns, sizes, strict=True)])

    def part(self, replicas: slice) -> Ensemble:
        """Return some of the replicas as an ensemble of their own, with a copy of their parameters."""
        return self._like(torch.cat([part[replicas].flatten() for part in self.tensors]))

    def _like(self, parameters: Tensor) -> Ensemble:
        """Return an ensemble of the same kind that holds other parameters, of as many replicas as they are for."""
        twin = copy.copy(self)
        twin.replicas = len(parameters) // sum(out * (n + 1) for out, n in self.shapes)
        twin._hold(parameters)
        return twin

    def _hold(self, parameters: Tensor) -> None:
        self.parameters = parameters
        self.weights, self.biases = self.split(parameters)

    def forward(self, inputs: Any, masks: Sequence[Tensor] | None = None) -> Signals:
        """Pass `inputs` forward and keep every layer.

        Parameters
        ----------
        inputs : array or Tensor, shape (batch, n_0), the same for all replicas, or (R, batch, n_0)
        masks : sequence of L-1 Tensors, shape (R, batch, n_l), optional
            Factors on the hidden activations (dropout).

        Returns
        -------
        Signals

        Raises
        ------
        TypeError, ValueError
            If `inputs` are not floating-point numbers of such a shape, or `masks` are not as above.
        """
        return self._signals(inputs, masks, self.activation)

    def untracked(self, inputs: Any, masks: Sequence[Tensor] | None = None) -> Signals:
        """Pass `inputs` forward as `forward` does, for training, where neither autograd nor a transform follows.

        On the CPU tanh is NumPy's, whose last place differs from that of torch's: training that hangs on rounding, as
        that of equal units does, repeats itself with the same one only. ReLU takes the place of its pre-activations.
        """
        numpy_tanh = self.activation == activations.get("tanh") and self.parameters.device.type == "cpu"
        phi = torch.relu_ if self.activation == _RELU else self.activation
        return self._signals(inputs, masks, _numpy_tanh if numpy_tanh else phi)

    def _signals(self, inputs: Any, masks: Sequence[Tensor] | None, phi: Callable[[Tensor], Tensor]) -> Signals:
        h = self._inputs(inputs)
        self._check_masks(masks, h.shape[1])
        signals = Signals([], [h], masks)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = self._affine(h, weight.mT, bias)
            signals.pre_activations.append(z)
            if layer < self.depth - 1:
                h = phi(z) if masks is None else phi(z) * masks[layer]
                signals.activations.append(h)
        return signals

    def __call__(self, inputs: Any) -> Tensor:
        """Return the outputs, shape (R, batch, n_L), for `inputs` as `forward` takes them."""
        return self.forward(inputs).output

    def backward(self, signals: Signals, output_gradient: Any) -> Gradients:
        """Pass the loss's gradient with respect to the output back through every layer.

        With δ_l = ∂loss/∂z_l: ∂loss/∂W_l = δ_lᵀ h_{l-1}, ∂loss/∂b_l = Σ δ_l over the batch, and
        δ_{l-1} = (δ_l W_l) ⊙ φ′(z_{l-1}).

        Parameters
        ----------
        signals : Signals
            What `forward` returned.
        output_gradient : array or Tensor, shape (R, batch, n_L)

        Returns
        -------
        Gradients

        Raises
        ------
        TypeError, ValueError
            If `output_gradient` is not floating-point numbers of the output's shape.

        References
        ----------
        Rumelhart, Hinton & Williams, Nature 323, 1986, equations 4 to 7.
        """
        delta = self._output_gradient(signals, output_gradient)
        deltas = [delta]
        gradient = torch.empty_like(self.parameters)
        weights, biases = self.split(gradient)
        for layer in range(self.depth - 1, -1, -1):
            self._product_into(weights[layer], delta.mT, signals.activations[layer])
            biases[layer].copy_(self._over_batch(delta)) if self.biased else biases[layer].zero_()
            if not layer:
                break
            delta, z = self.product(delta, self.weights[layer]), signals.pre_activations[layer - 1]
            if self.activation == _RELU and signals.activations[layer] is z:  # untracked: fresh memory costs as much
                torch.ops.aten.threshold_backward.grad_input(delta, z, 0, grad_input=delta)
            elif signals.masks is None:
                delta = self.activation.backward(delta, z, signals.activations[layer])
            else:
                delta = delta * signals.masks[layer - 1] * self.activation.derivative(z)
            deltas.insert(0, delta)
        return Gradients(weights, biases, deltas, gradient)

    def _product_into(self, out: Tensor, a: Tensor, b: Tensor) -> None:
        """Write a · b to `out`; without a copy where the product is torch's."""
        if self.product is torch.matmul:
            torch.bmm(a, b, out=out)
        else:
            out.copy_(self.product(a, b))

    def _affine(self, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return h · weight + bias; in one call where the product is torch's."""
        if self.product is torch.matmul:
            return torch.baddbmm(bias[:, None, :], h, weight)
        return self.product(h, weight) + bias[:, None, :]

    def _over_batch(self, delta: Tensor) -> Tensor:
        """Sum over the batch, in the arithmetic of the product."""
        if self.product is torch.matmul:
            return delta.sum(dim=1)
        return self.product(delta.mT, torch.ones_like(delta[..., :1]))[..., 0]

    def _inputs(self, inputs: Any) -> Tensor:
        inputs = _checks.floating(inputs, "inputs")
        allowed = f"(batch, {self.widths[0]}) or ({self.replicas}, batch, {self.widths[0]})"
        fits = inputs.dim() in (2, 3) and inputs.shape[-1] == self.widths[0]
        if not fits or (inputs.dim() == 3 and inputs.shape[0] != self.replicas):
            raise ValueError(f"inputs must have shape {allowed}, got {tuple(inputs.shape)}")
        return inputs.to(self.parameters).expand(self.replicas, -1, -1)

    def _output_gradient(self, signals: Signals, gradient: Any) -> Tensor:
        gradient = _checks.floating(gradient, "output_gradient")
        if gradient.shape != signals.output.shape:
            wanted = tuple(signals.output.shape)
            raise ValueError(f"output_gradient must have the output's shape {wanted}, got {tuple(gradient.shape)}")
        return gradient.to(signals.output.dtype)

    def _check_masks(self, masks: Any, batch: int) -> None:
        if masks is None:
            return
        wanted = [(self.replicas, batch, width) for width in self.widths[1:-1]]
        if not isinstance(masks, Sequence) or not all(isinstance(mask, Tensor) for mask in masks):
            raise TypeError(f"masks must be a sequence of {len(wanted)} tensors, got {type(masks).__name__}")
        given = [tuple(mask.shape) for mask in masks]
        if given != wanted:
            raise ValueError(f"masks must have the shapes {wanted}, one a hidden layer, got {given}")

    def __repr__(self) -> str:
        parts = ["-".join(map(str, self.widths)), self.activation.name]
        parts += [f"{name} {value}" for name, value in self.architecture.items()]
        parts += [] if self.biased else ["no biases"]
        parts += [f"{self.replicas} replicas", str(self.dtype).removeprefix("torch.")]
        return f"{type(self).__name__}({', '.join(parts)})"


def join(ensembles: Sequence[Ensemble]) -> Ensemble:
    """Join ensembles of the same kind along the replica axis, so that one product computes them all.

    Parameters
    ----------
    ensembles : sequence of Ensemble
        With the same widths, activation, dtype, device and product.

    Returns
    -------
    Ensemble
        With a copy of the parameters, in the order given.

    Raises
    ------
    TypeError, ValueError
        If there is none, one is not an Ensemble, or one differs from the first.
    """
    if not isinstance(ensembles, Sequence) or not all(isinstance(net, Ensemble) for net in ensembles):
        raise TypeError(f"join needs a sequence of Ensembles, got {ensembles!r}")
    if not ensembles:
        raise ValueError("join needs at least one ensemble, got none")
    first = ensembles[0]
    for net in ensembles:
        differ = [name for name, value in first.kind.items() if net.kind.get(name) != value]
        if differ:
            raise ValueError(f"ensembles to be joined differ in {', '.join(differ)}, got {first} and {net}")
    blocks = zip(*(net.tensors for net in ensembles), strict=True)
    return first._like(torch.cat([part.flatten() for block in blocks for part in block]))


def _numpy_tanh(z: Tensor) -> Tensor:
    h = torch.empty_like(z)
    np.tanh(z.numpy(), out=h.numpy())
    return h


def _sizes(layers: Sequence[Tensor]) -> str:
    return ", ".join("×".join(map(str, layer.shape)) for layer in layers)


def _device(device: Any) -> torch.device:
    """Return the device if a tensor can be made there."""
    try:
        return torch.empty(0, device=device).device
    except Exception as error:  # what is raised depends on what torch was built with
        first = str(error).partition("\n")[0]
        raise ValueError(
            f"device must be one that torch can use here, such as 'cpu', got {device!r}: {first}"
        ) from None


def _widths(widths: Sequence[int]) -> tuple[int, ...]:
    if isinstance(widths, (str, bytes)) or not isinstance(widths, Sequence):
        raise TypeError(f"widths must be a sequence of integers, inputs first, got {widths!r}")
    if len(widths) < 2:
        raise ValueError(f"widths must name at least the inputs and the outputs, got {tuple(widths)}")
    return tuple(_checks.integer(width, "width") for width in widths)


def _per_layer(value: Any, name: str, depth: int) -> list[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return [value] * depth
    if len(value) != depth:
        raise ValueError(f"{name} must be one for all layers or a sequence of {depth}, got {len(value)}")
    return list(value)
