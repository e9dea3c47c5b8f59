"""Updates of many copies of an ensemble, each with a rate of its own, from batches that all copies share.

What lives here makes one update as fast as its matrix products allow; ``sweeps`` says how often, and measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from .ensemble import Ensemble
from .updates import GRADIENTS, OPTIMIZERS, clip_

__all__ = ["updater"]

Update = Callable[[Tensor, Tensor], None]

NUMBERS = 2**15  # of a layer: what is computed together stays in a processor's cache


def updater(net: Ensemble, rates: Tensor, *, loss: str, optimizer: str, clip: float | None) -> Update:
    """Return a function that makes one update of `net` in place from a batch.

    Parameters
    ----------
    net : Ensemble
        C copies of R replicas, one behind the other.
    rates : Tensor, shape (C · R,)
        A learning rate for each.
    loss, optimizer, clip
        As for `initnotes.training.train`.

    Returns
    -------
    callable
        Of inputs, shape (R, batch, n_0), and targets, shape (R, batch, …), which are the same for each copy.
    """
    plain = type(net).forward is Ensemble.forward and net.product is torch.matmul
    make = _in_pieces if plain and net.parameters.device.type == "cpu" else _as_a_whole
    return make(net, rates, loss, optimizer, clip)


def _as_a_whole(net: Ensemble, rates: Tensor, loss: str, optimizer: str, clip: float | None) -> Update:
    step = OPTIMIZERS[optimizer](net.per_parameter(rates))

    def update(x: Tensor, y: Tensor) -> None:
        copies = net.replicas // len(x)
        signals = net.forward(_repeated(x, copies))
        gradients = net.backward(signals, GRADIENTS[loss](signals.output, _repeated(y, copies)))
        if clip is not None:
            clip_([*gradients.weights, *gradients.biases], clip)
        step(net.parameters, gradients.parameters)

    return update


def _in_pieces(net: Ensemble, rates: Tensor, loss: str, optimizer: str, clip: float | None) -> Update:
    """Return an update that takes some copies at a time all the way, while their signals are still in the cache."""
    pieces: list[_Piece] = []

    def update(x: Tensor, y: Tensor) -> None:
        copies = min(max(1, NUMBERS // (len(x) * max(net.widths) ** 2)), net.replicas // len(x))
        if not pieces:
            size = copies * len(x)
            cuts = [slice(cut, cut + size) for cut in range(0, net.replicas, size)]
            pieces.extend(_Piece(net, rates, cut, loss, optimizer, clip) for cut in cuts)
        x, y = _repeated(x, copies), _repeated(y, copies)
        with np.errstate(all="ignore"):  # of replicas that diverge
            for piece in pieces:
                piece.update(x, y)

    return update


class _Piece:
    """Some replicas of a plain ensemble, as views of its parameters, each of which is updated by itself.

    A gradient is used as soon as it is there. The products are NumPy's, of batches of small matrices the faster ones.
    """

    def __init__(
        self, net: Ensemble, rates: Tensor, replicas: slice, loss: str, optimizer: str, clip: float | None
    ) -> None:
        self.activation, self.gradient, self.clip = net.activation, GRADIENTS[loss], clip
        self.weights = [weight[replicas] for weight in net.weights]
        self.biases = [bias[replicas] for bias in net.biases]
        own, make = rates[replicas].to(net.parameters), OPTIMIZERS[optimizer]
        self.steps = [(make(own[:, None, None]), make(own[:, None])) for _ in self.weights]

    def update(self, x: Tensor, y: Tensor) -> None:
        """Make one update from the batches of as many replicas as there are here."""
        count = len(self.weights[0])
        z, h = self._forward(x[:count])
        found = self._gradients(z, h, self.gradient(z[-1], y[:count]))
        if self.clip is not None:
            found = iter(kept := list(found))
            clip_([part for _, *pair in kept for part in pair], self.clip)
        for layer, gradient, bias_gradient in found:
            step, bias_step = self.steps[layer]
            step(self.weights[layer], gradient)
            bias_step(self.biases[layer], bias_gradient)

    def _forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        z: list[Tensor] = []
        h = [x]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            if z:
                h.append(self.activation(z[-1]))
            z.append(_product(h[-1], weight.mT).add_(bias[:, None]))
        return z, h

    def _gradients(self, z: list[Tensor], h: list[Tensor], delta: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield each layer and its gradients, the last layer first; once they are yielded nothing needs its weights."""
        ones = torch.ones_like(delta[:, :1, :1]).expand(-1, 1, delta.shape[1]).contiguous()
        for layer in range(len(z) - 1, -1, -1):
            found = layer, _product(delta.mT, h[layer]), _product(ones, delta)[:, 0]
            if layer:
                delta = self.activation.backward(_product(delta, self.weights[layer]), z[layer - 1], h[layer])
            yield found


def _product(a: Tensor, b: Tensor) -> Tensor:
    return torch.from_numpy(np.matmul(a.numpy(), b.numpy()))


def _repeated(batch: Tensor, copies: int) -> Tensor:
    return batch if copies == 1 else batch.repeat(copies, *[1] * (batch.dim() - 1))
