"""What biases do at the start: to deep ReLU networks, to tanh gradients, to the loss, and to what an LSTM remembers.

What lives here predicts and measures for the chapter on biases; the LSTMs themselves are in ``networks.recurrent``,
what trains them in ``recurrent``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import _checks
from ..networks import Ensemble
from ..networks.recurrent import LSTMs
from ..networks.sweeps import Sweep

__all__ = ["Deep", "deep_relu", "deep_relu_in_theory", "factor_per_layer", "first_phase", "in_logarithms"]
__all__ += ["initial_loss", "reach"]

# ---------------------------------------------------------------------------------------------- a bias in every layer


class Deep(NamedTuple):
    """What a deep ReLU network shows at its start.

    Attributes
    ----------
    rms : ndarray, shape (R, L)
        Of z in each hidden layer.
    dead : ndarray, shape (R, L)
        Share of the units that are off for all inputs.
    growth : ndarray, shape (R,)
        rms of a random gradient at the first hidden layer over that at the last.
    """

    rms: np.ndarray
    dead: np.ndarray
    growth: np.ndarray


def deep_relu(net: Ensemble, x: Any, output_gradient: Any, *, bias: float) -> Deep:
    """Set all biases of a ReLU network to one number, and measure its hidden layers forward and backward.

    Parameters
    ----------
    net : Ensemble
        Its biases are overwritten.
    x : array or Tensor, shape (batch, n_0)
    output_gradient : array or Tensor, shape (R, batch, n_L)
    bias : float

    Returns
    -------
    Deep

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.
    """
    bias = _checks.real(bias, "bias")
    for own in net.biases:
        own.fill_(bias)
    signals = net.forward(x)
    layers = signals.pre_activations[:-1]
    delta = net.backward(signals, output_gradient).pre_activations[:-1]
    rms = torch.stack([z.square().mean((1, 2)).sqrt() for z in layers], dim=1)
    dead = torch.stack([(z <= 0).all(1).double().mean(1) for z in layers], dim=1)
    growth = (delta[0].square().mean((1, 2)) / delta[-1].square().mean((1, 2))).sqrt()
    return Deep(rms.numpy(), dead.numpy(), growth.numpy())


def deep_relu_in_theory(depth: int, *, bias: float) -> tuple[np.ndarray, float]:
    """Return the rms of z in each of `depth` wide ReLU layers with He's weights and one bias, and the growth of δ.

    Over the draw of the weights z_l is normal with mean b and variance v_l, v_1 = 2 for inputs of mean square 1, and
    v_{l+1} = 2 E relu(b + √v_l ξ)² = 2 [(b² + v_l) Φ(t) + b √v_l Φ′(t)], t = b/√v_l; going back, the mean square of δ
    has the factor 2 Φ(t) a layer.

    Parameters
    ----------
    depth : int
    bias : float

    Returns
    -------
    rms : ndarray, shape (depth,)
    growth : float
        rms of δ_1 over that of δ at the last of the layers.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> rms, growth = deep_relu_in_theory(10, bias=0.0)
    >>> bool(np.allclose(rms, 2**0.5)), growth
    (True, 1.0)
    """
    from scipy.stats import norm

    depth, bias = _checks.integer(depth, "depth"), _checks.real(bias, "bias")
    variances, growth = [2.0], 1.0
    for _ in range(depth - 1):
        s = np.sqrt(variances[-1])
        t = bias / s
        variances.append(2 * ((bias**2 + s**2) * norm.cdf(t) + bias * s * norm.pdf(t)))
        growth *= np.sqrt(2 * norm.cdf(t))
    return np.sqrt(np.array(variances) + bias**2), float(growth)


def factor_per_layer(net: Ensemble, x: Any, *, first: int, last: int) -> np.ndarray:
    """Return the factor of the gradient's rms per layer, between two layers, shape (R,).

    The gradient is that of half the outputs' squares.

    Parameters
    ----------
    net : Ensemble
    x : array or Tensor, shape (batch, n_0)
    first, last : int
        Layers, counted from 1.

    Raises
    ------
    TypeError, ValueError
        If a layer is not there, or the first is not before the last.
    """
    first, last = _checks.integer(first, "first"), _checks.integer(last, "last")
    if not first < last <= net.depth:
        raise ValueError(f"first must be below last, and last at most {net.depth}, got {first} and {last}")
    signals = net.forward(x)
    delta = net.backward(signals, signals.output).pre_activations
    near, far = (delta[layer - 1].square().mean((1, 2)).sqrt() for layer in (first, last))
    return (near / far).pow(1 / (last - first)).numpy()


# -------------------------------------------------------------------------------------------------------- the loss


def initial_loss(s: float, *, prior: Any, frequencies: Any) -> float:
    """Return the expected cross-entropy in nats at logits ln(prior) + s times independent normal numbers.

    With S = Σ_c prior_c e^{s ξ_c} it is E ln S - Σ_c frequency_c ln(prior_c). Frullani's integral gives
    E ln S = ∫ (e^{-t} - E e^{-tS}) dt/t, where E e^{-tS} is a product over the classes.

    Parameters
    ----------
    s : float
        Standard deviation of the logits, 0 to 4.
    prior, frequencies : array_like, shape (C,)
        What the output bias assumes, and how often each class occurs; positive, with sum 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> fair = np.full(10, 0.1)
    >>> round(initial_loss(0.0, prior=fair, frequencies=fair), 3)
    2.303
    """
    from scipy.stats import norm

    s = _checks.real(s, "s", low=0.0)
    prior, frequencies = (_shares(given, name) for given, name in ((prior, "prior"), (frequencies, "frequencies")))
    if s > 4 or prior.shape != frequencies.shape:
        raise ValueError(f"s must be at most 4, and prior and frequencies of one length, got {s:g}, {prior.shape}")
    log_t, xi = np.linspace(-60, 25, 1701), np.linspace(-9, 9, 361)
    weights = norm.pdf(xi) / norm.pdf(xi).sum()
    each = log_t[:, None] + s * xi  # (t, ξ)
    kinds, counts = np.unique(prior, return_counts=True)
    factors = [(np.exp(-np.exp(np.log(p) + each)) @ weights) ** count for p, count in zip(kinds, counts, strict=True)]
    logarithm = np.trapezoid(np.exp(-np.exp(log_t)) - np.prod(factors, axis=0), log_t)
    return float(logarithm - (frequencies * np.log(prior)).sum())


def first_phase(share: float, size: Any, *, lr: float, steps: int) -> np.ndarray:
    """Return the losses of a network of two classes that only learns how often each occurs, shape (R, steps).

    All inputs have the same features h̄, the output weights and biases start at 0, and SGD makes of the difference of
    the two logits, d, in each step d - 2 η (1 + ‖h̄‖²) (sigmoid(d) - p).

    Parameters
    ----------
    share : float
        p, of the class with the label 1.
    size : array_like, shape (R,)
        ‖h̄‖² of each replica.
    lr : float
        η.
    steps : int

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> first_phase(0.05, [0.0], lr=0.1, steps=2).round(2)
    array([[0.69, 0.65]])
    """
    share, lr = _checks.real(share, "share", low=0.0, strict=True), _checks.real(lr, "lr", low=0.0)
    size, steps = np.asarray(size, dtype=np.float64), _checks.integer(steps, "steps")
    if share >= 1 or size.ndim != 1:
        raise ValueError(f"share must be below 1 and size a vector, got {share:g} and shape {size.shape}")
    d, losses = np.zeros(len(size)), []
    for _ in range(steps):
        guess = 1 / (1 + np.exp(-d))
        losses.append(-(share * np.log(guess) + (1 - share) * np.log(1 - guess)))
        d = d - 2 * lr * (1 + size) * (guess - share)
    return np.stack(losses, axis=1)


def in_logarithms(sweep: Sweep) -> Sweep:
    """Return a sweep of positive losses as one of their logarithms, in which a difference is the logarithm of a ratio.

    The best rate of each arm stays the same.

    Raises
    ------
    ValueError
        If a value is not positive.
    """
    if any((values <= 0).any() for values in sweep.values.values()):
        raise ValueError("sweep must have positive values, to have logarithms")
    return replace(sweep, values={arm: np.log(values) for arm, values in sweep.values.items()})


def _shares(given: Any, name: str) -> np.ndarray:
    shares = np.asarray(given, dtype=np.float64)
    if shares.ndim != 1 or not (shares > 0).all() or not np.isclose(shares.sum(), 1):
        raise ValueError(f"{name} must be positive numbers with sum 1, got {given!r:.80}")
    return shares


# ------------------------------------------------------------------------------------------------------ LSTMs in time


def reach(net: LSTMs, x: Any) -> np.ndarray:
    """Return the rms of the gradient at c_{T-k}, over that at c_T, of LSTMs that have not been trained.

    Parameters
    ----------
    net : LSTMs
        With one output.
    x : array or Tensor, shape (R, batch, T, inputs)

    Returns
    -------
    ndarray, shape (A, R, T)
        For each forget-gate bias; k = 0 … T - 1 along the last axis.
    """
    memory = net.forward(x)
    gradients = torch.autograd.grad(memory.output.sum(), memory.cells[::-1])
    size = torch.stack([gradient.square().mean((2, 3)).sqrt() for gradient in gradients], dim=2)
    return (size / size[..., :1]).numpy()
