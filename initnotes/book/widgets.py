"""The live figure ``<init-lab>`` as a widget, and the picture that stands for it where nothing is live.

What lives here writes HTML; the network in it is drawn and judged in ``starts``. The figure itself is one JavaScript
module, ``init-lab.mjs``, which computes and draws on its own.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .starts import (
    ACTIVATIONS,
    PRESETS,
    SCHEMES,
    Measured,
    Settings,
    layers_in_words,
    mean_field,
    measure,
    power,
    shown,
    top_sigma_w,
    verdict,
)

__all__ = ["ACTIVATIONS", "LANDING", "PRESETS", "SCHEMES", "Measured", "Settings", "lab", "mean_field", "measure"]
__all__ += ["to_html", "top_sigma_w", "verdict"]

LANDING: dict[str, Any] = {
    "scheme": "xavier_normal",
    "activation": "relu",
    "presets": ("xavier-relu", "he-relu", "small", "zero", "xavier-tanh"),
}
"""The settings of the figure on the landing page."""

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
        return [np.log10(sizes) for sizes in values]


def _picture(settings: Settings, measured: Measured) -> list[str]:
    """Return the lines of an SVG: sizes by layer, in whole pixels, so that the last bits of sums do not show."""
    curves, lines = _logs((measured.forward, measured.backward)), _logs(mean_field(settings) or ())
    finite = np.concatenate([sizes[np.isfinite(sizes)] for sizes in [*curves, *lines]])
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
        *(_path(points(curve)) for curve in curves),
        *(_dots(points(curve)[::every], 6) for curve in curves),
        "</g>",
        f'<g style="stroke:var(--init-lab-paper,#fdfdfb)">{_dots(points(curves[1])[::every], 3)}</g>',
        '<g stroke-width="1.5" stroke-dasharray="5 4" stroke-linecap="butt" '
        'style="stroke:var(--init-lab-ink,currentColor)">',
        *(_path(points(line)) for line in lines),
        "</g>",
        "</svg>",
    ]


def _end(size: float) -> float:
    return next(end for end in _ENDS if end >= size - 0.3 or end == _ENDS[-1])


def _axes(low: float, high: float, depth: int, x: Any, y: Any, *, zero: bool) -> list[str]:
    """Return grid lines and labels; the lowest line stands for 0 if something is 0."""
    step = next((size for size in (1, 2, 3, 6, 12, 24, 50) if (high - low) / size <= 6.5), 100)
    ticks = [k for k in range(-400, 401, step) if low <= k <= high and not (zero and y(low) - y(k) < 12)]
    labels = [(y(k), power(k) if k else "1") for k in ticks] + ([(y(low), "0")] if zero else [])
    every = next(count for count in (1, 2, 5, 10, 20) if depth / count <= 8)
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
    signal = ", ".join(f"{shown(measured.forward[at])} at layer {at}" for at in dict.fromkeys((0, half, depth)))
    back = ", ".join(f"{shown(measured.backward[at])} at layer {at}" for at in dict.fromkeys((depth, half, 1)))
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
            net = f"{self.scheme}, {self.activation}, {layers_in_words(self.depth)} of {self.width} units"
            return f"init-lab: {net}: {self.verdict}"

    return Lab
