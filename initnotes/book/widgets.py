"""Floor 4: the live figure ``<init-lab>`` as a widget, and the picture that stands for it where nothing is live.

What lives here names settings, judges one network at its start and writes HTML. The figure itself is one JavaScript
module, ``init-lab.mjs``, which computes and draws on its own.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import _checks, activations, schemes, theory
from ..networks import Ensemble, order_free_product
from ..schemes import Initializer, Scheme

__all__ = ["ACTIVATIONS", "LANDING", "PRESETS", "SCHEMES", "Measured", "Settings", "lab", "mean_field", "measure"]
__all__ += ["to_html", "top_sigma_w", "verdict"]

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

LANDING: dict[str, Any] = {
    "scheme": "xavier_normal",
    "activation": "relu",
    "presets": ("zero", "small", "xavier-tanh", "xavier-relu", "he-relu"),
}
"""The settings of the figure on the landing page."""

FACTOR, SATURATED, FLAT, BATCH = 100.0, 1 / 3, 0.01, 16
_BOUNDED = ("tanh", "sigmoid")

# The scheme's color on light and on dark paper, as `plots.color` and the module have them.
_PAIRS = {
    "zeros": ("#5F5F5F", "#B0B0B0"),
    "constant": ("#B2588A", "#E48FBB"),
    "small_random": ("#C28100", "#F0B93C"),
    "xavier": ("#0072B2", "#5BB0EC"),
    "he": ("#B84300", "#FF8F55"),
    "lecun": ("#009E73", "#3ECF9F"),
    "orthogonal": ("#2A9DB5", "#5CC3DA"),
    "free": ("#5B4BC4", "#AEA2FF"),
}
COLORS = {name: next(pair for start, pair in _PAIRS.items() if name.startswith(start)) for name in SCHEMES}


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
        Names of `PRESETS`: the buttons above the figure.

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
        return f"{self.scheme}, {self.activation}, {_layers(self.depth)} of {self.width} units, {spread}"


def _layers(depth: int) -> str:
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
        known = next((name for name, one in SCHEMES.items() if one == scheme), None)
        if known is None and isinstance(scheme, Scheme) and (scheme.mode, scheme.distribution) == ("fan_in", "normal"):
            known, sigma_w = "free", math.sqrt(scheme.scale) if sigma_w is None else sigma_w
        if known is None:
            raise ValueError(f"the figure cannot draw {scheme!r}; one of: {', '.join(SCHEMES)}")
        scheme = known
    _checks.one_of(scheme, "scheme", SCHEMES, schemes._ELSEWHERE)
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
            forward=np.array([_rms(one) for one in [x, *hidden, signals.output]]),
            backward=np.array([_rms(one) for one in [first, *deltas]]),
            flat=float(np.mean([(one < FLAT).double().mean() for one in slopes])) if slopes else 0.0,
            dead_layer=next((at for at, one in enumerate(slopes, start=1) if not one.any()), 0),
            copies=bool(hidden) and all(bool((one == one[..., :1]).all()) for one in hidden),
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
    scale, bias = settings.sigma_w**2, settings.sigma_b**2
    sizes = theory.profile(1.0, settings.activation, forward=[scale] * settings.depth, biases=bias)
    hidden = theory.second_moment(sizes.signal[:-1], settings.activation)
    forward = [1.0, *hidden, sizes.signal[-1]]
    return np.sqrt(forward), np.sqrt([scale * sizes.gradient[0], *sizes.gradient])


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _power(exponent: int) -> str:
    return "10" + ("" if exponent == 1 else str(exponent).translate(_RAISED))


def _shown(x: float) -> str:
    """Return a number in two significant digits, or as one digit times a power of ten."""
    if not math.isfinite(x):
        return f"more than {_power(300)}"
    if x == 0 or 0.01 <= x < 999.5:
        return f"{float(f'{x:.2g}'):g}"
    digit, exponent = f"{x:.0e}".split("e")
    return ("" if digit == "1" else f"{digit}·") + _power(int(exponent))


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
            f"The gradient at layer 1 is {_shown(gradients[0])} times that at the output."
        )
    return _by_size(sizes, gradients, depth)


def _by_size(sizes: np.ndarray, gradients: np.ndarray, depth: int) -> tuple[str, str]:
    layers = range(1, depth + 1)
    size, at = max(zip(sizes.tolist(), layers, strict=True), key=lambda one: _distance(one[0]))
    backward = reversed(list(zip(gradients.tolist(), layers, strict=True)))
    gradient, at_gradient = max(backward, key=lambda one: _distance(one[0]))
    back = _distance(gradient) > _distance(size)
    factor, layer = (gradient, at_gradient) if back else (size, at)
    what, start = ("The gradient", "at the output") if back else ("The signal", "of the inputs")
    if not factor <= FACTOR:
        return "exploded", f"{what} grows: at layer {layer} it is {_shown(factor)} times as large as that {start}."
    if factor < 1 / FACTOR:
        left = f"{_shown(factor)} of that {start}" if factor else "exactly 0"
        return "vanished", f"{what} fades: at layer {layer} it is {left}."
    return "alive", (
        f"Over {_layers(depth)}, signal and gradient keep their size within a factor of 100: "
        f"the signal ends at {_shown(sizes[-1])}, the gradient at {_shown(gradients[0])} times its start."
    )


# ------------------------------------------------------------------------------------------------ the picture in HTML

_WIDE, _HIGH, _LEFT, _BELOW = 436, 270, 46, 24  # of the picture, and its margins for the labels
_ENDS = (3, 6, 9, 12, 18, 24, 36, 48, 72, 96, 150, 200, 300)
_ASLEEP = (
    "This picture stands for a live figure. It answers to its controls on the served pages (<code>make serve</code>) "
    "with JavaScript on, and in JupyterLab once its cell is run."
)


def to_html(**settings: Any) -> str:
    """Return the figure as HTML: the element, and in it a picture with a caption for where nothing is live.

    Parameters
    ----------
    **settings
        As for `Settings`.

    Returns
    -------
    str
        The same for the same settings. A page that includes it needs ``init-lab.mjs`` and ``init-lab.css``.

    Raises
    ------
    TypeError, ValueError
        If a setting is not one of `Settings`.

    Examples
    --------
    >>> to_html(scheme="zeros", activation="tanh", depth=3).splitlines()[0][:59]
    '<init-lab scheme="zeros" activation="tanh" depth="3" width='
    """
    start = Settings(**settings)
    return _html(start, measure(start))


def _html(settings: Settings, measured: Measured) -> str:
    values = {name: getattr(settings, name) for name in ("scheme", "activation", "depth", "width", "seed")}
    values |= {"sigma-b": f"{settings.sigma_b:g}", "presets": " ".join(settings.presets)}
    if settings.scheme == "free":
        values["sigma-w"] = f"{settings.sigma_w:g}"
    attributes = " ".join(f'{name}="{html.escape(str(value))}"' for name, value in values.items())
    light, dark = COLORS[settings.scheme]
    rows = [math.ceil(len(settings.presets) / columns) for columns in (5, 2)]
    style = f"--wide-rows:{rows[0]};--narrow-rows:{rows[1]};--init-lab-light:{light};--init-lab-dark:{dark}"
    kind, reason = verdict(measured)
    lines = [
        f"<init-lab {attributes}>",
        f'<figure style="{style}">',
        *_picture(settings, measured),
        f"<figcaption><p><strong>{kind.capitalize()}.</strong> {html.escape(reason)}</p>",
        f"<p>One network: {html.escape(str(settings))}. Filled dots: rms of the activations, from the inputs on. Open "
        "dots: rms of the gradient, from the output back. Dashed: theory. Shaded: within a factor of 100.</p>",
        f"<p><small>{_ASLEEP}</small></p></figcaption>",
        "</figure></init-lab>",
    ]
    return "\n".join(lines)


def _logs(values: Iterable[np.ndarray]) -> list[np.ndarray]:
    with np.errstate(divide="ignore"):
        return [np.log10(one) for one in values]


def _picture(settings: Settings, measured: Measured) -> list[str]:
    """Return the lines of an SVG: sizes by layer, in whole pixels, so that the last bits of sums do not show."""
    curves, lines = _logs((measured.forward, measured.backward)), _logs(mean_field(settings) or ())
    finite = np.concatenate([one[np.isfinite(one)] for one in [*curves, *lines]])
    low, high = (-_end(-finite.min()), _end(finite.max()))
    depth, bottom = settings.depth, _HIGH - _BELOW

    def x(layer: float) -> int:
        return _LEFT + round((layer + 0.5) / (depth + 1) * (_WIDE - _LEFT))

    def y(value: float) -> int:
        return bottom - round((min(max(value, low), high) - low) / (high - low) * (bottom - 8))

    def points(values: np.ndarray) -> list[tuple[int, int]]:
        return [(x(layer), y(value)) for layer, value in enumerate(values)]

    top, below = y(2), y(-2)
    title = f"Size of activations and gradients by layer: {settings}"
    every = max(1, math.ceil(depth / 30))
    return [
        f'<svg viewBox="0 0 {_WIDE + 8} {_HIGH}" role="img" fill="none" stroke-linejoin="round" stroke-linecap="round" '
        'style="max-width:36rem;margin:0 auto;display:block">',
        f"<title>{html.escape(title)}</title>",
        f"<desc>{html.escape(_described(measured, settings))}</desc>",
        f'<path d="M{_LEFT} {top}H{_WIDE}V{below}H{_LEFT}z" style="fill:var(--init-lab-band,#8882)"/>',
        *_axes(low, high, depth, x, y, zero=bool(np.isinf(np.concatenate(curves)).any())),
        f'<g stroke-width="2" style="stroke:var(--init-lab-scheme,{COLORS[settings.scheme][0]})">',
        *(_path(points(one)) for one in curves),
        *(_dots(points(one)[::every], 6) for one in curves),
        "</g>",
        f'<g style="stroke:var(--init-lab-paper,#fdfdfb)">{_dots(points(curves[1])[::every], 3)}</g>',
        '<g stroke-width="1.5" stroke-dasharray="5 4" stroke-linecap="butt" '
        'style="stroke:var(--init-lab-ink,currentColor)">',
        *(_path(points(one)) for one in lines),
        "</g>",
        "</svg>",
    ]


def _end(size: float) -> float:
    return next(end for end in _ENDS if end >= size - 0.3 or end == _ENDS[-1])


def _axes(low: float, high: float, depth: int, x: Any, y: Any, *, zero: bool) -> list[str]:
    """Return grid lines and labels; the lowest line stands for 0 if something is 0."""
    step = next((one for one in (1, 2, 3, 6, 12, 24, 50) if (high - low) / one <= 6.5), 100)
    ticks = [k for k in range(-400, 401, step) if low <= k <= high and not (zero and y(low) - y(k) < 12)]
    labels = [(y(k), _power(k) if k else "1") for k in ticks] + ([(y(low), "0")] if zero else [])
    every = next(one for one in (1, 2, 5, 10, 20) if depth / one <= 8)
    grid = "".join(f"M{_LEFT} {at}H{_WIDE}" for at, _ in labels)
    text = '<g font-size="13" stroke="none" text-anchor="{}" style="fill:var(--init-lab-soft,currentColor)">'
    return [
        f'<path d="{grid}" style="stroke:var(--init-lab-line,#8888)"/>',
        text.format("end"),
        *(f'<text x="{_LEFT - 6}" y="{at + 4}">{label}</text>' for at, label in labels),
        "</g>" + text.format("middle"),
        *(f'<text x="{x(layer)}" y="{_HIGH - 6}">{layer}</text>' for layer in range(0, depth + 1, every)),
        "</g>",
    ]


def _path(points: Sequence[tuple[int, int]]) -> str:
    return f'<path d="M{"L".join(f"{x} {y}" for x, y in points)}"/>'


def _dots(points: Sequence[tuple[int, int]], size: int) -> str:
    return f'<path stroke-width="{size}" d="{"".join(f"M{x} {y}h0" for x, y in points)}"/>'


def _described(measured: Measured, settings: Settings) -> str:
    """Say the curves in numbers."""
    depth, half = settings.depth, (settings.depth + 1) // 2
    signal = ", ".join(f"{_shown(measured.forward[at])} at layer {at}" for at in dict.fromkeys((0, half, depth)))
    back = ", ".join(f"{_shown(measured.backward[at])} at layer {at}" for at in dict.fromkeys((depth, half, 1)))
    return f"Measured rms of the activations: {signal}. Of the gradients: {back}."


# ------------------------------------------------------------------------------------------------------- the widget

_TRAITS = ("scheme", "activation", "depth", "width", "sigma_w", "sigma_b", "seed", "presets")


def _module() -> Path:
    """Return the figure's module: in the repository, or in the installed package."""
    here = Path(__file__).parents[1]
    places = here / "init-lab.mjs", here.parent / "book" / "assets" / "init-lab.mjs"
    return next(path for path in places if path.exists())


def lab(scheme: Any = None, activation: str = "relu", **settings: Any) -> Any:
    """Return the live figure: a widget in Jupyter, its element with a picture in it on a page.

    Parameters
    ----------
    scheme, activation, **settings
        As for `Settings`: ``depth``, ``width``, ``sigma_w``, ``sigma_b``, ``seed``, ``presets``.

    Returns
    -------
    anywidget.AnyWidget
        Its traits are the settings, which the reader's controls change and which you may set, and ``verdict`` and
        ``reason``: Python's own judgement at first, the figure's after each change. Without a browser they stay.

    Raises
    ------
    ImportError
        If anywidget is not installed.
    TypeError, ValueError
        If a setting is not one of `Settings`.

    Examples
    --------
    >>> figure = lab("zeros", "tanh", depth=5)
    >>> figure.verdict, figure.sigma_w
    ('symmetric', 0.0)
    """
    start = Settings(scheme=scheme, activation=activation, **settings)
    return _widget_class()(start)


@cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError(
            "ini.lab needs anywidget, which is not installed; install it: pip install anywidget. "
            "ini.widgets.to_html(...) needs nothing and returns the figure's HTML"
        ) from error

    class Lab(anywidget.AnyWidget):
        """The figure; `lab` makes it."""

        _esm = _module().read_text(encoding="utf-8")
        scheme = traitlets.Unicode().tag(sync=True)
        activation = traitlets.Unicode().tag(sync=True)
        depth = traitlets.Int().tag(sync=True)
        width = traitlets.Int().tag(sync=True)
        sigma_w = traitlets.Float().tag(sync=True)
        sigma_b = traitlets.Float().tag(sync=True)
        seed = traitlets.Int().tag(sync=True)
        presets = traitlets.List(traitlets.Unicode()).tag(sync=True)
        verdict = traitlets.Unicode().tag(sync=True)
        reason = traitlets.Unicode().tag(sync=True)

        def __init__(self, start: Settings) -> None:
            measured = measure(start)
            kind, reason = verdict(measured)
            self._html = _html(start, measured)
            self._checking = False
            own = {name: getattr(start, name) for name in _TRAITS} | {"presets": list(start.presets)}
            super().__init__(**own, verdict=kind, reason=reason)
            self._checking = True

        @traitlets.validate(*_TRAITS)
        def _valid(self, proposal: Any) -> Any:
            """Refuse what `Settings` refuses."""
            if self._checking:
                name = proposal["trait"].name
                Settings(**({"activation": self.activation} | {name: proposal["value"]}))
            return proposal["value"]

        @traitlets.observe("scheme", "activation", "width", "sigma_w")
        def _consistent(self, change: Any) -> None:
            """Let a σ_w of one's own make the scheme free, and a scheme bring its σ_w."""
            if not self._checking:
                return
            own = min(self.sigma_w, top_sigma_w(self.activation))
            if self.scheme != "free":
                own = Settings(scheme=self.scheme, width=self.width).sigma_w
            if math.isclose(own, self.sigma_w, rel_tol=1e-9, abs_tol=1e-12):
                return
            if change["name"] == "sigma_w":
                self.scheme = "free"
            else:
                self.sigma_w = own

        def _repr_mimebundle_(self, **options: Any) -> Any:
            bundle: Any = super()._repr_mimebundle_(**options)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
            return data | {"text/html": self._html, "text/plain": repr(self)}, metadata

        def __repr__(self) -> str:
            net = f"{self.scheme}, {self.activation}, {_layers(self.depth)} of {self.width} units"
            return f"init-lab: {net}: {self.verdict}"

    return Lab
