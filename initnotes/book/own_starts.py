"""Networks that need their own start: sines of sines, and policies that are paid for what they choose.

What lives here draws, predicts and trains for the chapter; the maps of a sine's mean squares are in ``theory.maps``,
the bias of a rare class in ``theory.priors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import _checks, theory
from ..networks import Ensemble, join
from ..networks.training import Sweep
from ..schemes import Scheme

__all__ = ["adapter", "bandit", "busiest", "focal", "harmonics", "log_volume", "policy_gradient", "settled", "siren"]
__all__ += ["slope", "written"]


def siren(
    layers: int,
    omega: float,
    *,
    units: int = 24,
    sigma_w: float = 2**0.5,
    bound: float = 0.0,
    output: float | None = None,
    replicas: int = 32,
    dtype: str = "float64",
    rng: np.random.Generator,
) -> Ensemble:
    """Return networks of sines of one input, with the factor ω₀ multiplied into the weights.

    The first layer has weights U(±ω₀) and phases U(±π) as biases.

    Parameters
    ----------
    layers : int
        Layers of sines.
    omega : float
        ω₀.
    units : int
        Of each hidden layer.
    sigma_w : float
        The weights between the hidden layers have the variance σ_w² / units, and a uniform law.
    bound : float
        B: the biases of hidden layers after the first are U(±B).
    output : float, optional
        σ_w of the last layer; without it √2 / ω₀, as that layer has no factor ω₀.
    replicas, dtype, rng
        As for `Ensemble`.

    Returns
    -------
    Ensemble

    References
    ----------
    Sitzmann, Martel, Bergman, Lindell & Wetzstein, "Implicit neural representations with periodic activation
    functions", NeurIPS 2020, section 3.2.

    Examples
    --------
    >>> net = siren(3, 30.0, rng=np.random.default_rng(1), replicas=4)
    >>> net, bool(abs(net.weights[0]).max() <= 30)
    (Ensemble(1-24-24-24-1, sine, 4 replicas, float64), True)
    """
    last = 2**0.5 / omega if output is None else output
    gains = [omega / 3**0.5, *[sigma_w] * (layers - 1), last]
    starts = [Scheme(scale=gain**2, mode="fan_in", distribution="uniform") for gain in gains]
    net = Ensemble((1, *[units] * layers, 1), "sine", starts, rng=rng, replicas=replicas, dtype=dtype)
    for layer, bias in enumerate(net.biases[:-1]):
        most = bound if layer else np.pi
        bias.copy_(torch.from_numpy(rng.uniform(-most, most, bias.shape)))
    return net


class Settled(NamedTuple):
    """Where layers of sines settle.

    Attributes
    ----------
    q : float
        Mean square of the pre-activations.
    chi : float
        Factor on the mean square of the gradient, a layer.
    """

    q: float
    chi: float


def settled(bound: float = 0.0, *, sigma_w: float = 2**0.5) -> Settled:
    """Return where wide layers of sines settle if their biases are U(±B), which are no normal numbers.

    Of z = v's normal part and a bias, E cos 2z = exp(-2v) sin(2B) / (2B). The map is v ← σ_w² (1 − E cos 2z) / 2.

    Parameters
    ----------
    bound : float
        B.
    sigma_w : float

    Returns
    -------
    Settled

    Examples
    --------
    >>> [round(own, 3) for own in settled()], [round(own, 2) for own in settled(30 / 256**0.5)]
    ([0.797, 1.203], [2.19, 0.98])
    """
    of_bias, v = float(np.sinc(2 * bound / np.pi)), 1.0
    for _ in range(1000):
        cosine = float(np.exp(-2 * v)) * of_bias
        v = sigma_w**2 * (1 - cosine) / 2
    return Settled(v + bound**2 / 3, sigma_w**2 * (1 + cosine) / 2)


def slope(layers: int, omega: float, *, sigma_w: float = 2**0.5) -> float:
    """Return the rms slope of what `siren` draws over the rms value, as theory has it.

    That is its root mean square frequency.

    Each layer multiplies the mean square of the slope by χ; the first has ω₀²/3, and units of which the phases are
    uniform. The last layer multiplies slope and value by the same.

    Parameters
    ----------
    layers, omega, sigma_w
        As for `siren`.

    Returns
    -------
    float

    Examples
    --------
    >>> round(slope(1, 30.0), 2), round(slope(5, 30.0), 1)
    (17.32, 26.8)
    """
    q, square = 0.5 * sigma_w**2, omega**2 / 3 * 0.5 * sigma_w**2
    for _ in range(layers - 1):
        square *= sigma_w**2 * theory.derivative_second_moment(q, "sine")
        q = theory.variance_map(q, "sine", sigma_w=sigma_w)
    return float(np.sqrt(square / q))


def harmonics(
    count: int, samples: int, *, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs in [-1, 1) and targets, sums of harmonics with normal amplitudes, scaled to mean square 1.

    Parameters
    ----------
    count : int
        The harmonics have the frequencies π, 2π, … up to so many.
    samples : int
        Inputs, at equal distances.
    draws : int
        R targets.
    rng : numpy.random.Generator

    Returns
    -------
    x : ndarray, shape (samples, 1)
    y : ndarray, shape (R, samples, 1)
    frequency : ndarray, shape (R,)
        rms slope of each target over its rms value.

    Examples
    --------
    >>> x, y, frequency = harmonics(12, 72, draws=3, rng=np.random.default_rng(1))
    >>> x.shape, y.shape, bool(np.allclose((y**2).mean(1), 1)), bool((frequency < 12 * np.pi).all())
    ((72, 1), (3, 72, 1), True, True)
    """
    x, k = 2 * np.arange(samples) / samples - 1, np.arange(1, count + 1)
    waves = np.stack([np.sin(np.pi * np.outer(x, k)), np.cos(np.pi * np.outer(x, k))])
    amplitudes = rng.standard_normal((draws, 2, count))
    squares = (amplitudes**2).sum(1)
    y = np.einsum("rpk,pxk->rx", amplitudes, waves) / np.sqrt(squares.sum(1) / 2)[:, None]
    frequency = np.pi * np.sqrt((squares * k**2).sum(1) / squares.sum(1))
    return x[:, None], y[..., None], frequency


def policy_gradient(logits: Tensor, old: Tensor, action: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    """Return the gradient, with respect to the logits, of PPO's clipped loss for one choice in each state.

    Parameters
    ----------
    logits : Tensor, shape (R, batch, actions)
    old : Tensor, shape (R, batch)
        Log probability of the action when it was chosen.
    action : Tensor of int, shape (R, batch)
    advantage : Tensor, shape (R, batch)
    clip : float
        Where the ratio of probabilities is beyond 1 ± clip, on the side that the advantage favors, nothing is gained.

    Returns
    -------
    Tensor, shape (R, batch, actions)

    References
    ----------
    Schulman, Wolski, Dhariwal, Radford & Klimov, "Proximal policy optimization algorithms", arXiv 1707.06347, 2017,
    equation 7.
    """
    share = torch.softmax(logits, -1)
    chosen = torch.nn.functional.one_hot(action, logits.shape[-1])
    ratio = torch.exp(torch.log_softmax(logits, -1).gather(-1, action[..., None])[..., 0] - old)
    beyond = torch.where(advantage > 0, ratio > 1 + clip, ratio < 1 - clip)
    weight = torch.where(beyond, 0.0, advantage * ratio) / logits.shape[1]
    return weight[..., None] * (share - chosen)


def bandit(
    arms: Mapping[str, Ensemble],
    x: Any,
    y: Any,
    *,
    rates: Sequence[float],
    budgets: Sequence[int],
    held_out: tuple[Any, Any],
    batch_size: int = 32,
    epochs: int = 4,
    clip: float = 0.2,
    rng: np.random.Generator,
) -> Sweep:
    """Train policies, at each rate, that choose a class for an input and are paid 1 if it is the right one, else 0.

    Each policy chooses for a batch, by its own probabilities, and makes `epochs` updates from what it was paid, with
    Adam and PPO's clipped loss; advantages are payments minus their mean over the batch, divided by their standard
    deviation. What is measured is the chance of a wrong choice on `held_out`. Replica r sees the same inputs, with the
    same random numbers for its choices, in every arm and at every rate.

    Parameters
    ----------
    arms : mapping of str to Ensemble
        Of one kind, with R replicas each.
    x, y : array, shapes (N, n_0) and (N,)
    rates, budgets
        As for `initnotes.training.sweep`; a budget counts updates, and is a multiple of `epochs`.
    held_out : (x, y)
    batch_size, epochs : int
    clip : float
    rng : numpy.random.Generator

    Returns
    -------
    Sweep

    References
    ----------
    Schulman et al., arXiv 1707.06347, 2017, of which this is the case of episodes with one step.
    """
    from ..networks.updates import stepper

    if any(_checks.integer(budget, "budgets") % epochs for budget in budgets):
        raise ValueError(f"budgets must be multiples of the {epochs} epochs, got {list(budgets)}")
    net = join([own for own in arms.values() for _ in rates])
    replicas = next(iter(arms.values())).replicas
    copies = net.replicas // replicas
    each = torch.tensor(rates, dtype=torch.float64).repeat_interleave(replicas).repeat(len(arms))
    step = stepper("adam", net.per_parameter(each))
    inputs, labels = torch.as_tensor(x).to(net.parameters), torch.as_tensor(y)
    seen: list[np.ndarray] = []
    for batch in range(budgets[-1] // epochs):
        rows = torch.from_numpy(rng.integers(len(inputs), size=(replicas, batch_size)))
        noise = torch.from_numpy(rng.gumbel(size=(replicas, batch_size, net.widths[-1]))).to(net.parameters)
        states, right = inputs[rows].repeat(copies, 1, 1), labels[rows].repeat(copies, 1)
        for epoch in range(epochs):
            signals = net.forward(states)
            if not epoch:
                action = (signals.output + noise.repeat(copies, 1, 1)).argmax(-1)
                old = torch.log_softmax(signals.output, -1).gather(-1, action[..., None])[..., 0]
                paid = (action == right).to(net.parameters)
                advantage = (paid - paid.mean(1, keepdim=True)) / (paid.std(1, keepdim=True) + 1e-8)
            gradient = policy_gradient(signals.output, old, action, advantage, clip=clip)
            step(net.parameters, net.backward(signals, gradient).parameters)
        if (batch + 1) * epochs in budgets:
            seen.append(_wrong(net, *held_out))
    found = np.stack(seen).reshape(len(budgets), len(arms), len(rates), replicas)
    values = {arm: found[:, at] for at, arm in enumerate(arms)}
    diverged = {arm: np.isinf(own).any(0) for arm, own in values.items()}
    return Sweep(np.array(rates), tuple(arms), tuple(budgets), values, diverged)


def _wrong(net: Ensemble, x: Any, y: Any) -> np.ndarray:
    """Return each policy's chance of a wrong choice; inf where it is not a number."""
    share = torch.softmax(net(torch.as_tensor(x).to(net.parameters)), -1)
    right = share[..., torch.arange(len(y)), torch.as_tensor(y)].mean(-1).numpy()
    return np.where(np.isfinite(right), 1 - right, np.inf)


# ----------------------------------------------------------------------------------------------------------- the others


class Pulls(NamedTuple):
    """Mean focal loss of a constant output, and how hard each class pulls at its bias; `up` is the positive one."""

    loss: Any
    up: Any
    down: Any


def focal(bias: Any, share: Any, gamma: float, *, alpha: float = 0.5) -> Pulls:
    """Return the focal loss of an output that is σ(b) whatever the input, for labels positive in this share.

    Parameters
    ----------
    bias, share : array_like
    gamma : float
    alpha : float
        Weight of positive labels, beside 1 - α of the others; both are doubled, so that ½ is none.

    Returns
    -------
    Pulls

    Examples
    --------
    >>> loss, up, down = focal(np.log(0.01 / 0.99), 0.01, 0.0)
    >>> bool(np.isclose(up, down))
    True
    """
    p = 1 / (1 + np.exp(-np.asarray(bias, dtype=np.float64)))
    positive, other = 2 * alpha * np.asarray(share), 2 * (1 - alpha) * (1 - np.asarray(share))
    loss = -positive * (1 - p) ** gamma * np.log(p) - other * p**gamma * np.log(1 - p)
    up = positive * (1 - p) ** gamma * (1 - p - gamma * p * np.log(p))
    return Pulls(loss, up, other * p**gamma * (p - gamma * (1 - p) * np.log(1 - p)))


def written(variance: float, *, units: int = 64, size: int, layers: int = 4, rng: np.random.Generator) -> np.ndarray:
    """Return the factor a layer on the mean square of ReLU layers whose weights a hypernetwork writes, of 32 draws.

    Parameters
    ----------
    variance : float
        Of the entries of H, one matrix a layer.
    units : int
        Of each written layer.
    size : int
        Numbers in an embedding, each ±1.
    layers : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (32,)
    """
    h, squares = rng.standard_normal((32, 16, units)), []
    for _ in range(layers):
        embedding = rng.choice([-1.0, 1.0], (32, size, 1))
        writer = variance**0.5 * rng.standard_normal((32, units**2, size))
        z = h @ (writer @ embedding).reshape(32, units, units)
        squares.append((z**2).mean((1, 2)))
        h = np.maximum(z, 0)
    return (squares[-1] / squares[0]) ** (1 / (layers - 1))


def busiest(std: float, common: float, *, experts: int = 8, rng: np.random.Generator) -> float:
    """Return the median share of 512 tokens that go to the busiest expert, of 32 routers N(0, std²).

    Parameters
    ----------
    std : float
    common : float
        rms of what all tokens share; the rest of a mean square of 1 is each token's own.
    experts : int
    rng : numpy.random.Generator
    """
    shared = common * rng.standard_normal((32, 1, 64))
    tokens = shared + (1 - common**2) ** 0.5 * rng.standard_normal((32, 512, 64))
    chosen = (tokens @ (std * rng.standard_normal((32, 64, experts)))).argmax(-1)
    return float(np.median([np.bincount(own, minlength=experts).max() for own in chosen])) / 512


def log_volume(last: Any, *, steps: int = 8, rng: np.random.Generator) -> float:
    """Return the median |ln det| of affine couplings of 8 numbers, whose scales come from networks 4-32-4.

    Parameters
    ----------
    last : scheme
        Of the last layers; the others are He's.
    steps : int
    rng : numpy.random.Generator
    """
    x, total = rng.standard_normal((32, 64, 8)), np.zeros((32, 64))
    for _ in range(steps):
        kept, scaled = np.split(x, 2, axis=-1)
        scale = Ensemble((4, 32, 4), "relu", ["he_normal", last], rng=rng)(kept).numpy()
        total += scale.sum(-1)
        x = np.concatenate([scaled * np.exp(np.clip(scale, -5, 5)), kept], axis=-1)
    return float(np.median(np.abs(total)))


def adapter(scheme: Any, *, rng: np.random.Generator) -> float:
    """Return the median change of a stream of 64 numbers by an adapter 64-8-64, as a share of its length."""
    h = rng.standard_normal((32, 64, 64))
    added = Ensemble((64, 8, 64), "relu", scheme, rng=rng)(h).numpy()
    return float(np.median(np.linalg.norm(added, axis=-1) / np.linalg.norm(h, axis=-1)))
