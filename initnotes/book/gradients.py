"""Chapter 4's predictions: how a gradient's size changes from layer to layer, and how large an update that makes.

What lives here sends gradients down random networks and says what theory expects; training in earnest is for
``training``, the factor χ itself is ``theory``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from .. import _checks, activations, theory
from ..networks import Ensemble, Gradients, Signals
from ..networks.training import cross_entropy, train

__all__ = [
    "Descent",
    "WithoutBiases",
    "backward_factors",
    "hidden_gradients",
    "match_outputs_",
    "predicted_ratios",
    "predicted_sizes",
    "slope",
    "typical_border",
    "typical_log_factor",
    "update_ratios",
    "walk_back",
]

EPSILON = 1e-8  # Adam's
LEVELS = 1500  # equally likely values that stand for a normal number

# ln φ′(z), without the rounding of 1 - tanh² z to zero at large |z|
_LOG_SLOPES = {
    "linear": torch.zeros_like,
    "relu": lambda z: torch.where(z > 0, 0.0, -torch.inf).to(z),
    "tanh": lambda z: -2 * (torch.logaddexp(z, -z) - np.log(2)),
    "sigmoid": lambda z: -2 * torch.logaddexp(z / 2, -z / 2),
}


def slope(z: Tensor, activation: str) -> Tensor:
    """Return φ′(z), also where it is as small as a float64 can be."""
    return _LOG_SLOPES[_checks.one_of(activation, "activation", _LOG_SLOPES)](z).exp()


def backward_factors(activation: str, sigma_w: float, depth: int, sigma_b: float = 0.0) -> np.ndarray:
    """Return χ of each step down square layers, from layer L to L-1 first, for inputs of mean square 1.

    Parameters
    ----------
    activation : str
    sigma_w, sigma_b : float
    depth : int
        L, at least 2.

    Returns
    -------
    ndarray, shape (L-1,)

    Examples
    --------
    >>> backward_factors("relu", 2.0, 4)
    array([2., 2., 2.])
    """
    q, factors = sigma_w**2 + sigma_b**2, []
    for _ in range(_checks.integer(depth, "depth", low=2) - 1):
        factors.append(sigma_w**2 * theory.derivative_second_moment(q, activation))
        q = theory.variance_map(q, activation, sigma_w=sigma_w, sigma_b=sigma_b)
    return np.array(factors[::-1])


def predicted_sizes(activation: str, sigma_w: float, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rms of δ_l, and of one input's ∂loss/∂W_l, in the layers 1 … L-1 of square layers without biases.

    Relative to a δ_L and inputs of rms 1.

    Examples
    --------
    >>> [part.round(3).tolist() for part in predicted_sizes("relu", 1.0, 4)]
    [[0.354, 0.5, 0.707], [0.354, 0.354, 0.354]]
    """
    delta = np.sqrt(backward_factors(activation, sigma_w, depth).cumprod()[::-1])
    q, h = sigma_w**2, [1.0]
    for _ in range(depth - 2):
        h.append(theory.second_moment(q, activation) ** 0.5)
        q = theory.variance_map(q, activation, sigma_w=sigma_w)
    return delta, delta * h


# ----------------------------------------------------------------------------------------------- measured, with no loss


@dataclass(frozen=True, repr=False)
class Descent:
    """How a random gradient came down: logarithms of the factors on its mean square, from layer L down to layer 1.

    Attributes
    ----------
    weights, slopes : ndarray, shape (L-1, R, S)
        ln of the factor through Wᵀ and of that through φ′, layer by layer, replica by replica, setting by setting.
    pre_activations : list of L Tensors, shape (R, S, n)
        z_1 … z_L.
    """

    weights: np.ndarray
    slopes: np.ndarray
    pre_activations: list[Tensor]

    @property
    def steps(self) -> np.ndarray:
        """Both factors together, shape (L-1, R, S)."""
        return self.weights + self.slopes

    @property
    def below(self) -> np.ndarray:
        """The logarithm of |δ_l|² / |δ_L|² for l = L-1 … 1, shape (L-1, R, S)."""
        return self.steps.cumsum(axis=0)


def walk_back(
    activation: str,
    width: int,
    sigma_w: Any,
    sigma_b: Any = 0.0,
    *,
    depth: int,
    rng: np.random.Generator,
    replicas: int = 32,
) -> Descent:
    """Send a random normal gradient down random square networks, and note what each layer does to its mean square.

    After each layer the gradient is brought back to mean square 1, so that nothing underflows. The settings of
    (σ_w, σ_b) share their draws up to these two factors; the replicas are independent.

    Parameters
    ----------
    activation : {"linear", "relu", "tanh", "sigmoid"}
    width : int
    sigma_w, sigma_b : float or sequence of S floats
    depth : int
        L, at least 2.
    rng : numpy.random.Generator
    replicas : int

    Returns
    -------
    Descent

    Examples
    --------
    >>> found = walk_back("linear", 100, [0.5, 2.0], depth=5, rng=np.random.default_rng(1))
    >>> np.median(found.steps, axis=(0, 1)).round()
    array([-1.,  1.])
    """
    phi = activations.get(_checks.one_of(activation, "activation", _LOG_SLOPES))
    depth, width = _checks.integer(depth, "depth", low=2), _checks.integer(width, "width")
    w, b = (torch.as_tensor(spread, dtype=torch.float64).reshape(-1, 1) for spread in (sigma_w, sigma_b))
    W = torch.from_numpy(_checks.generator(rng).standard_normal((depth, replicas, width, width))).mul_(width**-0.5)
    noise = torch.from_numpy(rng.standard_normal((depth, replicas, 1, width)))
    h, delta = torch.from_numpy(rng.standard_normal((2, replicas, 1, width)))
    zs: list[Tensor] = []
    for weight, bias in zip(W, noise, strict=True):
        zs.append(w * (h @ weight.mT) + b * bias)
        h = phi(zs[-1])
    growth = []
    for weight, z in zip(W.flip(0), zs[-2::-1], strict=False):
        delta = delta / _mean_square(delta).sqrt()
        back = w * (delta @ weight)
        delta = back * slope(z, activation)
        through = _mean_square(back), _mean_square(delta) / _mean_square(back)
        growth.append(torch.stack(through)[..., 0].log())
    weights, slopes = torch.stack(growth, dim=1).numpy()
    return Descent(weights, slopes, zs)


def _mean_square(vectors: Tensor) -> Tensor:
    return vectors.square().mean(-1, keepdim=True)


def hidden_gradients(net: Ensemble, x: Any, y: Any) -> dict[int, Tensor]:
    """Return δ_l of each input's own cross-entropy in the hidden layers, as `plots.histograms` takes a row.

    Parameters
    ----------
    net : Ensemble
    x, y : array, shape (batch, n_0) and (batch,)

    Returns
    -------
    dict of int to Tensor, shape (R, batch, n_l)
    """
    return dict(enumerate(_deltas(net, x, y)[:-1], start=1))


def _deltas(net: Ensemble, x: Any, y: Any) -> list[Tensor]:
    signals = net.forward(torch.as_tensor(x))
    top = cross_entropy(signals.output, torch.as_tensor(y).expand(net.replicas, -1))[1]
    return net.backward(signals, top * len(y)).pre_activations


# ------------------------------------------------------------------------------------------------ typical against mean


def typical_log_factor(activation: str, sigma_w: float, widths: Any) -> np.ndarray:
    """Return E ln of one layer's factor on |δ|² in square layers at the settled size, for each width.

    The factor is σ_w² S with S = (1/n) Σ φ′(z_j)² ξ_j², and E ln S is Frullani's integral of what E exp(-t n S), a
    product over the units, leaves of exp(-t).

    Parameters
    ----------
    activation : {"linear", "tanh", "sigmoid"}
        With a ReLU all units of a layer may be off, and the mean of the logarithm is -inf.
    sigma_w : float
    widths : sequence of int

    Returns
    -------
    ndarray

    Examples
    --------
    >>> typical_log_factor("linear", 1.0, [20]).round(4)  # digamma(10) - ln 10
    array([-0.0508])
    """
    _checks.one_of(activation, "activation", ("linear", "tanh", "sigmoid"))
    widths = np.asarray(widths)
    q = 1.0 if activation == "linear" else theory.fixed_point(activation, sigma_w=sigma_w)
    z = torch.from_numpy(q**0.5 * ndtri((np.arange(LEVELS) + 0.5) / LEVELS))
    log_squares = 2 * _LOG_SLOPES[activation](z).numpy()
    log_t = np.arange(-40, 8 * sigma_w + 60, 0.5)  # dt / t is d ln t
    of_unit = np.exp(-np.logaddexp(0, log_t[:, None] + np.log(2) + log_squares) / 2).mean(axis=1)
    first = np.exp(-np.exp(np.minimum(log_t, 9)))
    integral = np.array([(first - of_unit**n).sum() / 2 for n in widths])
    return integral + np.log(sigma_w**2 / widths)


def typical_border(activation: str, sigma_w: float) -> float:
    """Return the width from which on the typical gradient grows at the settled size; inf if it does at none up to 1000.

    Examples
    --------
    >>> round(typical_border("tanh", 16.0)), typical_border("sigmoid", 8.0)
    (20, inf)
    """
    widths = np.geomspace(2, 1000, 120)
    factors = typical_log_factor(activation, sigma_w, widths)
    if not (factors > 0).any():
        return float("inf")
    at = int((factors > 0).argmax())
    if not at:
        return float(widths[0])
    between = -factors[at - 1] / (factors[at] - factors[at - 1])
    return float(widths[at - 1] * (widths[at] / widths[at - 1]) ** between)


# ------------------------------------------------------------------------------------------------------------- updates


def update_ratios(
    net: Ensemble, x: Any, y: Any, *, optimizer: str, lr: float, steps: int, batch_size: int, rng: np.random.Generator
) -> np.ndarray:
    """Train for a few steps, and return rms(ΔW_l) / rms(W_l) of each.

    Parameters
    ----------
    net : Ensemble
        It is trained in place.
    x, y, optimizer, lr, steps, batch_size, rng
        As for `initnotes.training.train`.

    Returns
    -------
    ndarray, shape (R, steps, L)
        NaN or inf where a replica has diverged.
    """
    flat = lambda net: torch.cat([weight.flatten(1) for weight in net.weights], dim=1)  # noqa: E731
    options: dict[str, Any] = {"optimizer": optimizer, "lr": lr, "steps": steps, "batch_size": batch_size}
    seen = train(net, x, y, **options, watch={"weights": flat}, rng=rng).measures["weights"]
    cuts = np.cumsum([out * n for out, n in net.shapes])[:-1]
    pairs = zip(np.split(np.diff(seen, axis=1), cuts, axis=2), np.split(seen[:, :-1], cuts, axis=2), strict=True)
    with np.errstate(all="ignore"):  # of replicas that diverge
        ratios = [np.sqrt((change**2).mean(-1) / (weight**2).mean(-1)) for change, weight in pairs]
    return np.stack(ratios, axis=-1)


def predicted_ratios(net: Ensemble, sigma_w: float, x: Any, y: Any, *, optimizer: str, lr: float) -> np.ndarray:
    """Return what theory expects of `update_ratios` at the first step from one input, in the layers 1 … L-1.

    With G_l the rms of ∂loss/∂W_l, from χ and the variance map, it is η G_l / σ for SGD. Adam's first step is
    η g / (|g| + ε), which makes η / σ where G_l is well above ε = 10⁻⁸.

    Parameters
    ----------
    net : Ensemble
        With equal widths but for the outputs; of it, only the rms of δ_L is measured.
    sigma_w : float
        Of its weights.
    x, y : array
        Inputs of rms 1, and their labels.
    optimizer : {"sgd", "adam"}
    lr : float

    Returns
    -------
    ndarray, shape (L-1,)
    """
    top = float(_deltas(net, x, y)[-1].square().mean().sqrt()) * (net.widths[-1] / net.widths[-2]) ** 0.5
    gradient = top * predicted_sizes(net.activation.name, sigma_w, net.depth)[1]
    if _checks.one_of(optimizer, "optimizer", ("sgd", "adam")) == "adam":
        entries = np.abs(gradient[:, None] * ndtri((np.arange(LEVELS) + 0.5) / LEVELS))
        gradient = np.sqrt(((entries / (entries + EPSILON)) ** 2).mean(axis=1))
    return lr * gradient * net.widths[0] ** 0.5 / sigma_w


# ------------------------------------------------------------------------------------------------------------ controls


class WithoutBiases(Ensemble):
    """An ensemble whose biases never move: a control for what trained biases do.

    It passes signals on by itself, so that a sweep takes its gradients and not those of its own fast way.
    """

    def forward(self, inputs: Any, masks: Any = None) -> Signals:
        """Pass inputs forward as any ensemble."""
        return super().forward(inputs, masks)

    def backward(self, signals: Signals, output_gradient: Any) -> Gradients:
        """Pass the gradient back, and leave none for the biases."""
        found = super().backward(signals, output_gradient)
        for bias in found.biases:
            bias.zero_()
        return found


def match_outputs_(net: Ensemble, like: Ensemble, x: Any) -> Ensemble:
    """Rescale the last layer, replica by replica, so that the outputs have the rms of another ensemble's; in place.

    Returns
    -------
    Ensemble
        The one that was rescaled.
    """
    sizes = [each(torch.as_tensor(x)).square().mean((1, 2)).sqrt() for each in (like, net)]
    net.weights[-1].mul_((sizes[0] / sizes[1])[:, None, None])
    return net
