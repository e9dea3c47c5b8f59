"""What theory says of a layer whose units are equal, or nearly so, and the starts that are to confirm it: chapter 1.

What lives here predicts and makes starts; the chapter trains them.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from ..networks import Ensemble, distinct_units, order_free_product
from ..networks.products import Product, check_factors, whole_multiples
from ..networks.training import batch_order, cross_entropy
from ..schemes import constant

__all__ = ["APART", "Growth", "difference_matrix", "last_bit_product", "nearly_equal", "one_unit_losses"]
__all__ += ["predict_spread"]

APART = 0.1
"""The relative spread at which units count as separated: a tenth of what it can be."""


def last_bit_product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply batches of matrices in full precision, and make every other column differ in its last bit.

    A product that treats columns differently, as that of a numerical library may, but in the same way on every machine.
    Equal columns with even numbers give equal columns; each entry of the others is the next larger floating-point
    number.

    Parameters
    ----------
    a : Tensor, shape (..., m, k)
    b : Tensor, shape (..., k, n)

    Returns
    -------
    Tensor, shape (..., m, n)
        Of the dtype of `a`.

    Raises
    ------
    TypeError, ValueError
        As `initnotes.networks.order_free_product`.

    Notes
    -----
    Each factor is cut into slices of 20 bits, three for float64 and two for float32, whose products are sums without a
    rounding error; what remains is to add a few numbers for each entry, in one order for all.

    Examples
    --------
    >>> unit = torch.ones(1, 1)
    >>> (last_bit_product(unit, torch.ones(1, 2)) - 1 == torch.tensor([[0.0, 2.0**-23]])).all()
    tensor(True)
    """
    check_factors(a, b)
    count = 3 if a.dtype == torch.float64 else 2
    slices_a, slices_b = _slices(a, count), _slices(b, count)
    product = torch.zeros(())
    for i, j in sorted(itertools.product(range(count), repeat=2), key=sum, reverse=True):  # small terms first
        if i + j < count:
            product = product + torch.matmul(slices_a[i], slices_b[j])
    product = product.to(a.dtype)
    product[..., 1::2] = product[..., 1::2].nextafter(torch.tensor(torch.inf, dtype=a.dtype))
    return product


def nearly_equal(
    epsilon: float,
    *,
    rng: np.random.Generator,
    width: int = 16,
    replicas: int = 32,
    dtype: Any = "float64",
    product: Product = torch.matmul,
) -> Ensemble:
    """Make tanh networks for the digits, 64-width-10, whose units differ by a relative `epsilon`.

    Every weight is its replica's constant, uniform between 0.015 and 0.025, times 1 + epsilon · a normal number; biases
    are zero.

    Parameters
    ----------
    epsilon : float
        At least 0. With 0 the units are equal to the last bit.
    rng : numpy.random.Generator
        For the constants and the differences.
    width, replicas, dtype, product
        As for `initnotes.networks.Ensemble`, which also says what is wrong with them.

    Returns
    -------
    Ensemble

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> net = nearly_equal(1e-8, rng=np.random.default_rng(1), replicas=3)
    >>> net, distinct_units(net).ravel()
    (Ensemble(64-16-10, tanh, 3 replicas, float64), array([16, 16, 16]))
    """
    epsilon = _checks.real(epsilon, "epsilon", low=0.0)
    scheme = constant(1.0)
    net = Ensemble((64, width, 10), "tanh", scheme, rng=rng, replicas=replicas, dtype=dtype, product=product)
    constants = rng.uniform(0.015, 0.025, (net.replicas, 1, 1))
    for weight in net.weights:
        weight *= torch.from_numpy(constants * (1 + epsilon * rng.standard_normal(weight.shape)))
    return net


def _slices(matrix: Tensor, count: int) -> list[Tensor]:
    """Write each matrix of a batch as a sum of `count` matrices, each of integers times one power of two.

    One matrix that is repeated for all replicas is cut once.
    """
    repeated = matrix.dim() > 2 and matrix.stride(0) == 0
    rest, slices = (matrix[:1] if repeated else matrix).double(), []
    for _ in range(count):
        whole, unit = whole_multiples(rest)
        slices.append(whole * unit)
        rest = rest - slices[-1]
    return slices


def one_unit_losses(
    x: np.ndarray,
    y: np.ndarray,
    *,
    width: int,
    start: float,
    lr: float,
    steps: int,
    batch_size: int,
    rng: np.random.Generator,
    replicas: int = 32,
) -> np.ndarray:
    """Train the one-unit tanh network that a layer of `width` equal units amounts to under SGD.

    Its outgoing weights start `width` times as large and learn at rate width · lr, its incoming weights and bias at
    lr / width, the output biases at lr.

    Parameters
    ----------
    x : ndarray, shape (samples, n_0)
    y : ndarray of int, shape (samples,)
    width : int
        Of the layer that is predicted.
    start : float
        The constant that all of that layer's weights, incoming and outgoing, start from.
    lr, steps, batch_size, rng, replicas
        As for `initnotes.training.train`, which sees the same batches if given a generator in the same state.

    Returns
    -------
    ndarray, shape (replicas, steps)
        Cross-entropy of each batch before its update.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.
    """
    lr, steps = _checks.real(lr, "lr", low=0.0), _checks.integer(steps, "steps")
    inputs, outputs = x.shape[1], int(y.max()) + 1
    scheme = [constant(start), constant(_checks.integer(width, "width") * start)]
    net = Ensemble((inputs, 1, outputs), "tanh", scheme, rng=rng, replicas=replicas)
    factor = torch.empty_like(net.parameters)
    (into, out_of), (hidden, output) = net.split(factor)
    for part, value in ((into, 1 / width), (out_of, width), (hidden, 1 / width), (output, 1.0)):
        part.fill_(value)
    losses = []
    for batch in batch_order(len(x), batch_size, steps, replicas, rng=rng):
        signals = net.forward(torch.from_numpy(x[batch]))
        loss, output_gradient = cross_entropy(signals.output, torch.from_numpy(y[batch]))
        net.parameters -= lr * factor * net.backward(signals, output_gradient).parameters
        losses.append(loss.numpy())
    return np.stack(losses, axis=1)


def difference_matrix(net: Ensemble, x: Tensor, y: Tensor) -> Tensor:
    """Return D, which drives a small difference between two equal hidden units: d ← (I - lr·D) d under SGD.

    D = [[A, M], [Mᵀ, 0]] with A = Σ (vᵀg) φ″(z) x̃x̃ᵀ and M = Σ φ′(z) x̃gᵀ, where x̃ = (x, 1), v are the unit's outgoing
    weights, g is the loss's gradient with respect to the outputs, and the sums run over the batch.

    Parameters
    ----------
    net : Ensemble
        One replica of a tanh network with one hidden layer of equal units.
    x : Tensor, shape (batch, n_0)
    y : Tensor of int64, shape (batch,)

    Returns
    -------
    Tensor, shape (n_0 + 1 + n_2, n_0 + 1 + n_2)
        In the order incoming weights, bias, outgoing weights.

    Raises
    ------
    TypeError, ValueError
        If `net` is no Ensemble, or another one.
    """
    distinct = distinct_units(net)
    if distinct.shape != (1, 1) or net.activation.name != "tanh":
        raise ValueError(f"net must be one replica of a tanh network with one hidden layer, got {net}")
    if distinct[0, 0] > 1 or bool((net.weights[1] != net.weights[1][..., :1]).any()):
        raise ValueError("net must have equal hidden units, and these differ")
    signals = net.forward(x)
    g = cross_entropy(signals.output, y[None])[1][0]
    h, v = signals.activations[1][0, :, 0], net.weights[1][0, :, 0]  # one unit stands for all
    inputs = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    slope, bend = 1 - h**2, -2 * h * (1 - h**2)
    M = inputs.T @ (slope[:, None] * g)
    A = inputs.T @ ((bend * (g @ v))[:, None] * inputs)
    return torch.cat([torch.cat([A, M], dim=1), torch.cat([M.T, M.new_zeros(len(v), len(v))], dim=1)])


class Growth(NamedTuple):
    """How a small relative difference between units grows, as `predict_spread` predicts it.

    Attributes
    ----------
    ratios : ndarray, shape (draws, steps)
        Before each step, `initnotes.networks.spread` for each unit of relative difference at the start.
    rates : ndarray, shape (steps,)
        ln(1 + lr·κ) at each step, with -κ the lowest eigenvalue of D: the fastest growth that this step allows.
    """

    ratios: np.ndarray
    rates: np.ndarray

    @property
    def median(self) -> np.ndarray:
        """The median of the ratios, shape (steps,)."""
        return np.median(self.ratios, axis=0)

    def steps(self, epsilon: float) -> float:
        """Return the first step at which a difference of `epsilon` has grown to `APART`; inf if none does."""
        reached = _checks.real(epsilon, "epsilon", low=0.0) * self.median >= APART
        return float(reached.argmax()) if reached.any() else np.inf

    def steps_at_first_rate(self, epsilon: float) -> float:
        """Return what `steps` would be if the difference grew at the fastest rate of step 0 for ever."""
        return float(np.log(APART / _checks.real(epsilon, "epsilon", low=0.0, strict=True)) / self.rates[0])


def predict_spread(
    x: Any, y: Any, *, width: int, start: float, lr: float, steps: int, rng: np.random.Generator, draws: int = 32
) -> Growth:
    """Predict how a small relative difference between the units of a tanh layer grows under full-batch SGD.

    One exactly symmetric network is trained, and random differences d are carried along by its `difference_matrix`, one
    linear step for each of its steps.

    Parameters
    ----------
    x : Tensor, shape (batch, n_0)
    y : Tensor of int64, shape (batch,)
    width, start, lr, steps
        Units of the hidden layer, the constant that all weights start from, learning rate, updates.
    rng : numpy.random.Generator
        For the differences: each weight's is normal, with standard deviation `start`.
    draws : int
        How many sets of differences to carry along.

    Returns
    -------
    Growth

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or `start` is 0, which no difference is relative to.
    """
    lr, steps, draws = _checks.real(lr, "lr", low=0.0), _checks.integer(steps, "steps"), _checks.integer(draws, "draws")
    if start == 0:
        raise ValueError("start must not be 0: a relative difference of zero weights is none")
    inputs, outputs = x.shape[1], int(y.max()) + 1
    scheme = constant(start)
    net = Ensemble((inputs, width, outputs), "tanh", scheme, rng=rng, replicas=1, product=order_free_product)
    difference = start * torch.from_numpy(rng.standard_normal((inputs + 1 + outputs, draws, width)))
    difference[inputs] = 0.0  # biases start at 0 and have no relative difference
    difference -= difference.mean(dim=2, keepdim=True)
    ratios, rates = [], []
    for _ in range(steps):
        unit = torch.cat([net.weights[0][0, 0], net.biases[0][0, :1]])
        ratios.append((difference[: inputs + 1] ** 2).sum(dim=0).mean(dim=1).sqrt() / unit.norm())
        D = difference_matrix(net, x, y)
        rates.append(torch.log(1 - lr * torch.linalg.eigvalsh(D)[0]))
        difference -= lr * torch.tensordot(D, difference, dims=1)
        signals = net.forward(x)
        net.parameters -= lr * net.backward(signals, cross_entropy(signals.output, y[None])[1]).parameters
    return Growth(torch.stack(ratios, dim=1).numpy(), torch.stack(rates).numpy())
