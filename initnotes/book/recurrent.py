"""What recurrent networks hand on at their start, and LSTMs trained from several starts of their gates.

What lives here measures and trains for the chapter on recurrent networks; LSTMs are in ``networks.recurrent``, what
theory says of their memory in ``networks.memory``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from ..networks.recurrent import LSTMs
from ..networks.sweeps import Sweep
from ..networks.updates import OPTIMIZERS, cross_entropy

__all__ = ["gradient_by_lag", "lstm_gradients", "on_a_ring", "remember", "walk_survival"]

JUDGED_ON = 64  # sequences of which the loss is taken after training
SLOPES: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "linear": lambda z: (z, torch.ones_like(z)),
    "relu": lambda z: (z.relu(), (z > 0).to(z.dtype)),
    "tanh": lambda z: (z.tanh(), 1 - z.tanh() ** 2),
}


def gradient_by_lag(weights: Any, inputs: Any, x: Any, activation: str, *, rng: np.random.Generator) -> np.ndarray:
    """Return the rms of the gradient at h_{T-k}, over that at h_T, in h_t = φ(W h_{t-1} + V x_t) with h_0 = 0.

    The gradient at h_T is random: independent normal numbers.

    Parameters
    ----------
    weights : array, shape (R, n, n)
        W.
    inputs : array, shape (R, n, m)
        V.
    x : array, shape (R, batch, T, m)
    activation : {"linear", "relu", "tanh"}
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (R, T)
        For k = 0, …, T - 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    A linear network of half the identity halves the gradient at each step:

    >>> zeros, rng = np.zeros((1, 1, 4, 1)), np.random.default_rng(1)
    >>> gradient_by_lag([np.eye(3) / 2], np.ones((1, 3, 1)), zeros, "linear", rng=rng)
    array([[1.   , 0.5  , 0.25 , 0.125]])
    """
    apply = SLOPES[_checks.one_of(activation, "activation", SLOPES)]
    W, V, x = (torch.from_numpy(np.array(part, dtype=np.float64)) for part in (weights, inputs, x))
    if W.dim() != 3 or x.dim() != 4 or V.shape != (*W.shape[:2], x.shape[-1]) or x.shape[0] != len(W):
        shapes = [tuple(part.shape) for part in (W, V, x)]
        raise ValueError(f"weights, inputs and x must have shapes (R, n, n), (R, n, m), (R, batch, T, m), got {shapes}")
    h, slopes = torch.zeros(x.shape[0], x.shape[1], W.shape[1], dtype=torch.float64), []
    for now in x.unbind(2):
        h, slope = apply(h @ W.mT + now @ V.mT)
        slopes.append(slope)
    delta = torch.from_numpy(_checks.generator(rng).standard_normal(tuple(h.shape)))
    sizes = [delta.square().mean((1, 2)).sqrt()]
    for slope in slopes[:0:-1]:
        delta = (delta * slope) @ W
        sizes.append(delta.square().mean((1, 2)).sqrt())
    found = torch.stack(sizes, dim=1)
    return (found / found[:, :1]).numpy()


def walk_survival(lags: Any, length: int) -> np.ndarray:
    """Return how likely a ReLU unit that feeds itself with weight 1 has been on in each of the last k of T steps.

    Its state max(0, h + s) walks by independent symmetric steps s with a density, from 0. It was last off where the
    walk without the floor had its minimum, and that is step m of T with the chance u_m u_{T-m}, u_m = C(2m, m)/4^m:
    the discrete arcsine law, which is the same for all such steps.

    Parameters
    ----------
    lags : int or array of int
        k, from 0 to T.
    length : int
        T.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    Sparre Andersen, "On the fluctuations of sums of random variables", Mathematica Scandinavica 1, 1953.

    Examples
    --------
    Both of two steps leave the unit on if the minimum is where the walk began:

    >>> walk_survival([0, 1, 2], 2)
    array([1.   , 0.625, 0.375])
    """
    T, k = _checks.integer(length, "length"), np.asarray(lags)
    if k.dtype.kind not in "iu" or (k < 0).any() or (k > T).any():
        raise ValueError(f"lags must be integers from 0 to {T}, got {lags!r}")
    m = np.arange(1, T + 1)
    u = np.concatenate([[1.0], np.cumprod((2 * m - 1) / (2 * m))])
    return np.asarray(np.cumsum(u * u[::-1])[T - k])


def on_a_ring(n: int, inner: float, outer: float, *, rng: np.random.Generator, replicas: int = 32) -> np.ndarray:
    """Draw real matrices whose eigenvalues are pairs spread evenly over a ring, as in linear recurrent units.

    Each pair is a rotation times |λ|, with |λ|² uniform between the squares of the radii, and any angle equally likely.
    The matrices are normal: eigenvectors of different pairs are at right angles.

    Parameters
    ----------
    n : int
        Even.
    inner, outer : float
        Radii, 0 ≤ inner ≤ outer.
    rng : numpy.random.Generator
    replicas : int

    Returns
    -------
    ndarray, shape (R, n, n)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    Orvieto et al., "Resurrecting recurrent neural networks for long sequences", ICML 2023, lemma on the ring.

    Examples
    --------
    >>> W = on_a_ring(4, 0.9, 0.9, rng=np.random.default_rng(1), replicas=1)
    >>> np.abs(np.linalg.eigvals(W)).round(6)
    array([[0.9, 0.9, 0.9, 0.9]])
    """
    n, replicas = _checks.integer(n, "n"), _checks.integer(replicas, "replicas")
    low, high = _checks.real(inner, "inner", low=0.0), _checks.real(outer, "outer", low=0.0)
    if n % 2 or low > high:
        raise ValueError(f"n must be even and inner at most outer, got {n}, {inner:g} and {outer:g}")
    radius = np.sqrt(_checks.generator(rng).uniform(low**2, high**2, (replicas, n // 2)))
    angle = rng.uniform(0, np.pi, radius.shape)
    real, imaginary = radius * np.cos(angle), radius * np.sin(angle)
    W, at = np.zeros((replicas, n, n)), np.arange(0, n, 2)
    W[:, at, at] = W[:, at + 1, at + 1] = real
    W[:, at, at + 1], W[:, at + 1, at] = -imaginary, imaginary
    return W


def lstm_gradients(net: LSTMs, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the mean cross-entropy of LSTMs, shape (A, R), and its gradients by their parameters, in their order.

    Backpropagation through time written out, which takes half as long as autograd's.

    Parameters
    ----------
    net : LSTMs
    x : Tensor, shape (R, batch, T, inputs)
    y : Tensor of int64, shape (R, batch)
    """
    W, U, b, readout, offset = (part.detach() for part in net.parameters)
    n, T, x = net.width, x.shape[2], x.to(W.dtype)
    rows = (x.flatten(1, 2) @ W + b).unflatten(2, x.shape[1:3]).movedim(3, 0)
    gates = torch.empty(rows.shape, dtype=W.dtype)
    cells, squashed, states = (torch.zeros(T + 1, *rows.shape[1:-1], n, dtype=W.dtype) for _ in range(3))
    for t in range(T):
        z = torch.add(rows[t], states[t] @ U)
        torch.sigmoid(z, out=gates[t])
        i, f, g, o = gates[t].split(n, -1)
        torch.tanh(z[..., 2 * n : 3 * n], out=g)
        torch.addcmul(f * cells[t], i, g, out=cells[t + 1])
        torch.tanh(cells[t + 1], out=squashed[t + 1])
        torch.mul(o, squashed[t + 1], out=states[t + 1])
    loss, error = cross_entropy(states[T] @ readout + offset, y.expand(len(W), -1, -1))
    slopes = gates * (1 - gates)
    slopes[..., 2 * n : 3 * n] = 1 - gates[..., 2 * n : 3 * n] ** 2
    dh, dc, dz = error @ readout.mT, torch.zeros_like(states[T]), torch.empty_like(gates)
    for t in reversed(range(T)):
        i, f, g, o = gates[t].split(n, -1)
        dc = dc + dh * o * (1 - squashed[t + 1] ** 2)
        torch.cat([dc * g, dc * cells[t], dc * i, dh * squashed[t + 1]], dim=-1, out=dz[t])
        dz[t] *= slopes[t]
        dh, dc = dz[t] @ U.mT, dc * f
    of_time = dz.movedim(0, 3).flatten(2, 3)  # (A, R, batch·T, 4n)
    before = states[:T].movedim(0, 3).flatten(2, 3)
    found = [x.flatten(1, 2).mT @ of_time, before.mT @ of_time, of_time.sum(2, keepdim=True)]
    return loss, [*found, states[T].mT @ error, error.sum(2, keepdim=True)]


def remember(
    task: Callable[..., tuple[Tensor, Tensor]],
    starts: Mapping[str, tuple[Any, Any]],
    *,
    length: int,
    rates: Sequence[float],
    budgets: Sequence[int],
    rng: np.random.Generator,
    width: int = 8,
    batch: int = 8,
    replicas: int = 32,
    dtype: Any = "float32",
) -> Sweep:
    """Train LSTMs by Adam on a task of memory, from several starts of the gates, at each rate, all at once.

    Replica r has the same weights and sees the same sequences in every arm and at every rate.

    Parameters
    ----------
    task : callable
        Such as `networks.sequences.first_sign`.
    starts : mapping of str to pair
        Biases of the forget gates and of the input gates: numbers, or arrays of shape (R, width).
    length : int
        T.
    rates : sequence of K floats
        Learning rates, increasing.
    budgets : sequence of B ints
        Numbers of updates after which to measure, increasing.
    rng : numpy.random.Generator
    width, batch, replicas : int
        Units, sequences in a batch, and R.
    dtype : {"float32", "float64"}

    Returns
    -------
    Sweep
        The value is the loss on fresh sequences, in nats.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.
    """
    forget, into = zip(*[pair for pair in starts.values() for _ in rates], strict=True)
    net = LSTMs(2, width, 2, forget_bias=forget, input_bias=into, rng=rng, replicas=replicas, dtype=dtype)
    each = torch.tensor([_checks.real(rate, "rate", low=0.0) for rate in rates], dtype=torch.float64)
    each = each.to(net.parameters[0]).repeat(len(starts))[:, None, None, None]
    update = [OPTIMIZERS["adam"](each) for _ in net.parameters]
    (x, y), seen = task(length, JUDGED_ON, rng=rng, replicas=replicas), []
    for count in range(1, budgets[-1] + 1):
        found = lstm_gradients(net, *task(length, batch, rng=rng, replicas=replicas))[1]
        for step, part, slope in zip(update, net.parameters, found, strict=True):
            step(part.data, slope)
        if count in budgets:
            with torch.no_grad():
                loss = cross_entropy(net(x), y.expand(len(forget), -1, -1))[0]
            seen.append(loss.double().numpy().reshape(len(starts), len(rates), replicas))
    found = np.nan_to_num(np.stack(seen, axis=1), nan=np.inf, posinf=np.inf)
    values = dict(zip(starts, found, strict=True))
    gone = {arm: np.isinf(own).any(0) for arm, own in values.items()}
    return Sweep(np.array(rates), tuple(starts), tuple(budgets), values, gone)
