"""One network at its start, as the live figure shows it: settings, a measurement, theory beside it, and a verdict.

What lives here computes and judges; what is shown of it, and where, is the room of ``widgets``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .. import _checks, activations, schemes, theory
from ..networks import Ensemble, order_free_product
from ..schemes import Initializer, Scheme

__all__ = ["ACTIVATIONS", "PRESETS", "SCHEMES", "Measured", "Settings", "layers_in_words", "mean_field", "measure"]
__all__ += ["power", "shown", "top_sigma_w", "verdict"]

SCHEMES: dict[str, Initializer | None] = {
    "zeros": schemes.zeros,
    "constant": schemes.constant(0.1),
    "small_random": schemes.small_random(),
    "xavier_normal": schemes.xavier_normal,
    "xavier_uniform": schemes.xavier_uniform,
    "he_normal": schemes.he_normal,
    "he_uniform": schemes.he_uniform,
    "lecun_normal": schemes.lecun_normal,
    "lecun_uniform": schemes.lecun_uniform,
    "lecun_truncated": Scheme(scale=1, distribution="truncated_normal"),
    "orthogonal": schemes.orthogonal(),
    "orthogonal_sqrt2": schemes.orthogonal(math.sqrt(2)),
    "free": None,
}
"""What the figure can draw. "free" is W ~ N(0, σ_w²/fan_in) with any σ_w."""

ACTIVATIONS = ("linear", "tanh", "sigmoid", "relu", "leaky_relu", "elu", "selu", "gelu", "silu")

PRESETS = (
    *("zero", "constant", "small", "order", "chaos", "saturated", "xavier-tanh", "xavier-relu", "xavier-sigmoid"),
    *("he-relu", "he-tanh", "lecun-selu", "orthogonal", "critical-bias", "order-bias", "dead"),
)

FACTOR, SATURATED, FLAT, BATCH = 100.0, 1 / 3, 0.01, 16
_BOUNDED = ("tanh", "sigmoid")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the figure starts: a scheme, an activation, and L layers of n units each, the last one linear.

    Parameters
    ----------
    scheme : str or Initializer, optional
        A name of `SCHEMES`, an initializer that is in it, or a ``Scheme`` with normal draws by fan_in, which is "free".
        Default: "free" if `sigma_w` is given, else "he_normal".
    activation : str
        A name of `ACTIVATIONS`.
    depth : int
        L, 1 to 60.
    width : int
        n, 8 to 256, the number of inputs too.
    sigma_w : float, optional
        √(n · Var(W)), for the free scheme only: 0 to 4, with the sigmoid to 24. Others have their own.
    sigma_b : float
        Standard deviation of the biases, 0 to 2.
    seed : int
        Of all draws. The figure and Python draw other numbers from the same seed.
    presets : sequence of str
        Names of `PRESETS`: the figure's buttons. The first three are in sight, the others unfold.

    Raises
    ------
    TypeError, ValueError
        If one is not as above.

    Examples
    --------
    >>> Settings(sigma_w=1.5, activation="tanh").scheme
    'free'
    >>> Settings(scheme="xavier_normal").sigma_w
    1.0
    """

    scheme: Any = None
    activation: str = "relu"
    depth: int = 30
    width: int = 100
    sigma_w: Any = None
    sigma_b: float = 0.0
    seed: int = 1
    presets: Sequence[str] = ("zero", "small", "xavier-tanh", "xavier-relu", "he-relu")

    def __post_init__(self) -> None:
        """Check every setting and fill in σ_w."""
        checked: dict[str, Any] = {
            "activation": _checks.one_of(self.activation, "activation", ACTIVATIONS, activations.ALIASES),
            "depth": _ranged(_checks.integer(self.depth, "depth"), "depth", 60),
            "width": _ranged(_checks.integer(self.width, "width", low=8), "width", 256),
            "sigma_b": _ranged(_checks.real(self.sigma_b, "sigma_b", low=0.0), "sigma_b", 2.0),
            "seed": _ranged(_checks.integer(self.seed, "seed", low=0), "seed", 2**32 - 1),
            "presets": _presets(self.presets),
        }
        name, own = _named(self.scheme, self.sigma_w)
        top = top_sigma_w(checked["activation"])
        fixed = SCHEMES[name]
        if fixed is None:
            sigma_w = _ranged(_checks.real(own, "sigma_w", low=0.0), "sigma_w", top)
        else:
            sigma_w = fixed.std((checked["width"], checked["width"])) * math.sqrt(checked["width"])
        for key, value in (checked | {"scheme": name, "sigma_w": float(f"{sigma_w:.12g}")}).items():
            object.__setattr__(self, key, value)

    @property
    def initializer(self) -> Initializer:
        """How the weights are drawn."""
        fixed = SCHEMES[self.scheme]
        return fixed or (Scheme(scale=self.sigma_w**2) if self.sigma_w else schemes.zeros)

    def __str__(self) -> str:
        """Say the settings in one line."""
        spread = f"σ_w {self.sigma_w:.3g}, σ_b {self.sigma_b:.3g}"
        return f"{self.scheme}, {self.activation}, {layers_in_words(self.depth)} of {self.width} units, {spread}"


def layers_in_words(depth: int) -> str:
    """Return a number of layers in words."""
    return f"{depth} layer{'s' if depth > 1 else ''}"


def top_sigma_w(activation: str) -> float:
    """Return the largest σ_w that the figure offers.

    Examples
    --------
    >>> top_sigma_w("tanh"), top_sigma_w("sigmoid")
    (4.0, 24.0)
    """
    return 24.0 if activation == "sigmoid" else 4.0


def _ranged(value: Any, name: str, high: float) -> Any:
    if value > high:
        raise ValueError(f"{name} must be at most {high:.15g}, got {value:g}")
    return value


def _presets(names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"presets must be a sequence of names, got {names!r}; one of: {', '.join(PRESETS)}")
    return tuple(_checks.one_of(name, "preset", PRESETS) for name in names)


def _named(scheme: Any, sigma_w: Any) -> tuple[str, Any]:
    """Return the name in `SCHEMES`, and σ_w where that is free."""
    if scheme is None:
        scheme = "he_normal" if sigma_w is None else "free"
    if isinstance(scheme, Initializer):
        known = next((name for name, fixed in SCHEMES.items() if fixed == scheme), None)
        if known is None and isinstance(scheme, Scheme) and (scheme.mode, scheme.distribution) == ("fan_in", "normal"):
            known, sigma_w = "free", math.sqrt(scheme.scale) if sigma_w is None else sigma_w
        if known is None:
            raise ValueError(f"the figure cannot draw {scheme!r}; one of: {', '.join(SCHEMES)}")
        scheme = known
    _checks.one_of(scheme, "scheme", SCHEMES, schemes.ALIASES)
    if scheme != "free" and sigma_w is not None:
        raise ValueError(f"scheme {scheme!r} has its own sigma_w, got {sigma_w!r} as well; give one of the two")
    return scheme, 1.0 if sigma_w is None else sigma_w


@dataclass(frozen=True)
class Measured:
    """What a pass forward, and a pass of a random gradient backward, show of one network.

    Attributes
    ----------
    settings : Settings
    batch : int
        Number of inputs.
    forward : ndarray, shape (L+1,)
        rms of h_0 (the inputs) … h_L (the outputs).
    backward : ndarray, shape (L+1,)
        rms of the gradient with respect to h_0 and to z_1 … z_L; at z_L it starts.
    flat : float
        Share of hidden activations with |φ′(z)| < 0.01.
    dead_layer : int
        The first hidden layer with φ′(z) = 0 everywhere; 0 if there is none.
    copies : bool
        Whether there are hidden layers and, on every input, all units of each are equal to the last bit.
    """

    settings: Settings
    batch: int
    forward: np.ndarray
    backward: np.ndarray
    flat: float
    dead_layer: int
    copies: bool

    @classmethod
    def of(cls, settings: Settings, net: Ensemble, inputs: Any, gradient: Any) -> Measured:
        """Pass `inputs` forward and `gradient`, both of shape (batch, n), backward through an ensemble of one."""
        x = torch.as_tensor(inputs, dtype=torch.float64)
        signals = net.forward(x)
        deltas = net.backward(signals, torch.as_tensor(gradient, dtype=torch.float64)[None]).pre_activations
        hidden, first = signals.activations[1:], torch.matmul(deltas[0], net.weights[0])
        slopes = [net.activation.derivative(z).abs() for z in signals.pre_activations[:-1]]
        return cls(
            settings=settings,
            batch=len(x),
            forward=np.array([_rms(layer) for layer in [x, *hidden, signals.output]]),
            backward=np.array([_rms(layer) for layer in [first, *deltas]]),
            flat=float(np.mean([(slope < FLAT).double().mean() for slope in slopes])) if slopes else 0.0,
            dead_layer=next((at for at, slope in enumerate(slopes, start=1) if not slope.any()), 0),
            copies=bool(hidden) and all(bool((h == h[..., :1]).all()) for h in hidden),
        )


def _rms(values: Any) -> float:
    return float(values.square().mean().sqrt())


def measure(settings: Settings) -> Measured:
    """Draw one network and measure it, on 16 standard normal inputs and a standard normal gradient at the output.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Measured

    Examples
    --------
    >>> measure(Settings(scheme="zeros", activation="tanh", depth=3)).forward[1:]
    array([0., 0., 0.])
    """
    rng, n = np.random.default_rng(settings.seed), settings.width
    options: dict[str, Any] = {"rng": rng, "replicas": 1, "sigma_b": settings.sigma_b}
    if settings.scheme in ("zeros", "constant"):
        options["product"] = order_free_product  # so that equal units stay equal to the last bit
    net = Ensemble((n,) * (settings.depth + 1), settings.activation, settings.initializer, **options)
    return Measured.of(settings, net, rng.standard_normal((BATCH, n)), rng.standard_normal((BATCH, n)))


def mean_field(settings: Settings) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what theory predicts for `Measured.forward` and `Measured.backward`; None for equal weights but zero.

    Examples
    --------
    >>> forward, backward = mean_field(Settings(activation="linear", sigma_w=2.0, depth=3))
    >>> forward, backward
    (array([1., 2., 4., 8.]), array([8., 4., 2., 1.]))
    """
    if settings.scheme == "constant":
        return None
    square = settings.sigma_w**2
    found = theory.profile(1.0, settings.activation, forward=[square] * settings.depth, biases=settings.sigma_b**2)
    hidden = theory.second_moment(found.signal[:-1], settings.activation)
    forward = np.sqrt([1.0, *hidden, found.signal[-1]])
    return forward, np.sqrt([square * found.gradient[0], *found.gradient])


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(exponent: int) -> str:
    """Return a power of ten in text."""
    return "10" + ("" if exponent == 1 else str(exponent).translate(_RAISED))


def shown(x: float) -> str:
    """Return a number in two significant digits, or as one digit times a power of ten."""
    if not math.isfinite(x):
        return f"more than {power(300)}"
    if x == 0 or 0.01 <= x < 999.5:
        return f"{float(f'{x:.2g}'):g}"
    digit, exponent = f"{x:.0e}".split("e")
    return ("" if digit == "1" else f"{digit}·") + power(int(exponent))


def _distance(x: float) -> float:
    """Return how far a factor is from 1, in decades."""
    return 1e10 if not math.isfinite(x) else abs(math.log10(x)) if x else 1e9


def verdict(measured: Measured) -> tuple[str, str]:
    """Judge a network at its start: the rule of the figure, in Python.

    The first of these that applies:

    - symmetric: on every input, all units of each hidden layer have the same activation, to the last bit;
    - dead: a hidden layer has φ′ = 0 in all units on all inputs;
    - saturated: tanh and sigmoid with |φ′| < 0.01 at more than a third of the hidden activations;
    - exploded, vanished: the rms of h_l, or of the gradient at z_l, l = 1 … L, leaves its start (the inputs, the
      output) by more than a factor of 100; what is farthest off in logarithms counts;
    - alive: none of these.

    Parameters
    ----------
    measured : Measured

    Returns
    -------
    kind, reason : str
        One of the words above, and a sentence with numbers.

    Examples
    --------
    >>> verdict(measure(Settings(scheme="xavier_normal", activation="relu")))[0]
    'vanished'
    """
    settings, depth, n = measured.settings, measured.settings.depth, measured.settings.width
    sizes, gradients = measured.forward[1:] / measured.forward[0], measured.backward[1:] / measured.backward[-1]
    if measured.copies:
        passed = "Here they pass on 0." if not sizes.any() else "What one does, all do."
        return "symmetric", (
            f"All {n} units of a hidden layer are copies. {passed} "
            "Their gradients are equal too, so training keeps them equal."
        )
    if measured.dead_layer:
        return "dead", (
            f"All {n} units of layer {measured.dead_layer} are off on all {measured.batch} inputs. "
            "No gradient gets past it, so the layers before it never learn."
        )
    if settings.activation in _BOUNDED and measured.flat > SATURATED:
        return "saturated", (
            f"{math.floor(100 * measured.flat + 0.5)} % of the hidden activations sit where |φ′| < 0.01. "
            f"The gradient at layer 1 is {shown(gradients[0])} times that at the output."
        )
    return _by_size(sizes, gradients, depth)


def _by_size(sizes: np.ndarray, gradients: np.ndarray, depth: int) -> tuple[str, str]:
    layers = range(1, depth + 1)
    size, at = max(zip(sizes.tolist(), layers, strict=True), key=lambda pair: _distance(pair[0]))
    backward = reversed(list(zip(gradients.tolist(), layers, strict=True)))
    gradient, at_gradient = max(backward, key=lambda pair: _distance(pair[0]))
    back = _distance(gradient) > _distance(size)
    factor, layer = (gradient, at_gradient) if back else (size, at)
    what, start = ("The gradient", "at the output") if back else ("The signal", "of the inputs")
    if not factor <= FACTOR:
        return "exploded", f"{what} grows: at layer {layer} it is {shown(factor)} times as large as that {start}."
    if factor < 1 / FACTOR:
        left = f"{shown(factor)} of that {start}" if factor else "exactly 0"
        return "vanished", f"{what} fades: at layer {layer} it is {left}."
    return "alive", (
        f"Over {layers_in_words(depth)}, signal and gradient keep their size within a factor of 100: "
        f"the signal ends at {shown(sizes[-1])}, the gradient at {shown(gradients[0])} times its start."
    )
