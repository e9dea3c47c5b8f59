"""The live figure ``<curve-slider>``: curves of a stored family that a slider chooses, and the picture at its start.

What lives here checks what is given and writes HTML; ``charts`` draws. On a page ``curve-slider.mjs`` changes
nothing but paths and words, so that the axes stay where they are and both draw the same.
"""

from __future__ import annotations

import html
import itertools
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from .. import _checks
from .charts import INK, Picture, Shape, number
from .plots import _color
from .races import _asset, _set

__all__ = ["slider"]

BYTES = 40_000  # of a figure's HTML; a guard holds stored outputs to it
_SCALES = ("linear", "log")
_PALETTE = ("#0072B2", "#B84300", "#009E73", "#5B4BC4", "#C28100", "#B2588A")
_DASHES = ("", "9 4 1 4", "1 4.5", "9 4 1 4 1 4", "16 4", "1 4.5 7 4.5")  # one a curve, of any color
_INK_DASHES = ("6 4", "2 3", "10 4 2 4")  # theory's, and of what stands still, in ink
_ASLEEP = "A slider moves the curves where JavaScript is on, and in JupyterLab once this cell is run."


def slider(
    label: str,
    values: Sequence[Any],
    x: Any,
    curves: Mapping[str, Any],
    *,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    fixed: Mapping[str, Any] | None = None,
    readings: Mapping[str, Sequence[str]] | None = None,
    x_label: str,
    y_label: str,
    x_scale: str = "linear",
    y_scale: str = "linear",
    start: int = 0,
    alt: str,
    title: str = "",
) -> Any:
    """Return a live figure: a picture with a slider under it, which chooses among stored curves.

    Parameters
    ----------
    label : str
        What the slider sets, such as "depth". In all words ``σ_w`` gets its index; there is no TeX.
    values : sequence of P numbers or names
        One for each position of the slider, two or more.
    x : array_like, shape (T,)
        Where all curves are known; two points or more.
    curves : mapping of name to array_like, shape (P, T)
        What moves, six at most. None and NaN are gaps. A name that begins with a scheme has its color; one that begins
        with "theory" is black and dashed.
    bands : mapping of name to pair (low, high) of array_like, each of shape (P, T), optional
        Areas. One that has a curve's name has the curve's color.
    fixed : mapping of name to array_like, shape (T,), optional
        What stands still, three at most, black and dashed.
    readings : mapping of name to sequence of P str, optional
        Numbers beside the picture, which a screen reader says too.
    x_label, y_label : str
    x_scale, y_scale : {"linear", "log"}
    start : int
        The position that is shown first, and where nothing is live; from 0 to P - 1.
    alt : str
        The finding, with its numbers, for those who do not see the picture: 40 characters or more.
    title : str
        For the list of figures; without it, made of the labels.

    Returns
    -------
    anywidget.AnyWidget
        Its trait ``position`` the reader changes, and you may set it.

    Raises
    ------
    ImportError
        If anywidget is not installed.
    TypeError, ValueError
        If shapes do not fit, a scale is unknown, a number is infinite or has no place on a logarithmic axis, there is
        more than can be told apart, or the figure has more than 40 kB.

    Examples
    --------
    >>> layer, depths = np.arange(4), [10, 20]
    >>> kept = [0.5 ** (layer / depth) for depth in depths]
    >>> alt = "The signal falls to 0.81 of its size at depth 10, to 0.90 at depth 20."
    >>> slider("depth", depths, layer, {"signal": kept}, x_label="layer", y_label="rms", alt=alt)
    curve-slider: depth, 2 positions from 10 to 20
    """
    names = _names(values)
    start = _checks.integer(start, "start", low=0)
    if start >= len(names):
        raise ValueError(f"start must be a position from 0 to {len(names) - 1}, got {start}")
    at = _numbers(x, "x", (np.size(x),), _checks.one_of(x_scale, "x_scale", _SCALES))
    if at.size < 2 or np.isnan(at).any() or at.min() == at.max():
        raise ValueError(f"x must have two points or more and no gap, got {x!r}")
    _checks.one_of(y_scale, "y_scale", _SCALES)
    for name, text in (("label", label), ("x_label", x_label), ("y_label", y_label)):
        _words(text, name, 45)
    title = _words(title or f"A slider for {label}: {y_label} by {x_label}", "title", 160)
    if len(_words(alt, "alt", 2000)) < 40:
        raise ValueError(f"alt must say the finding with its numbers in 40 characters or more, got {alt!r}")
    shapes = _shapes(len(names), at.size, curves, bands or {}, fixed or {}, y_scale)
    said = {_words(name, "readings", 60): _said(name, texts, len(names)) for name, texts in (readings or {}).items()}
    picture = Picture(at, shapes, x_label, y_label, x_scale, y_scale)
    made = _html(label, names, start, picture, said, title, alt)
    size = len(made.encode())
    if size > BYTES:
        raise ValueError(
            f"the figure has {size:,} bytes, more than {BYTES:,}: give fewer than {len(names)} positions "
            f"or fewer than {at.size} points of each curve"
        )
    words = f"{label}, {len(names)} positions from {names[0]} to {names[-1]}"
    return _widget_class()(html=made, words=words, count=len(names), position=start)


# --------------------------------------------------------------------------------------------------- what was given


def _words(text: Any, name: str, most: int) -> str:
    """Return a text that fits and has no TeX."""
    if not isinstance(text, str) or not text.strip():
        raise TypeError(f"{name} must be a text, got {text!r}")
    if "$" in text or len(text) > most:
        raise ValueError(f"{name} must have at most {most} characters and no TeX (write σ_w, 10⁻³), got {text!r}")
    return text


def _names(values: Sequence[Any]) -> list[str]:
    """Return what each position is called."""
    if isinstance(values, str) or not np.iterable(values):
        raise TypeError(f"values must be a sequence of numbers or names, one a position, got {values!r}")
    names = [_words(v, "values", 40) if isinstance(v, str) else number(_checks.real(v, "values")) for v in values]
    if len(names) < 2:
        raise ValueError(f"values must name two positions or more, got {len(names)}")
    return names


def _numbers(given: Any, name: str, shape: tuple[int, ...], scale: str) -> np.ndarray:
    """Return numbers of this shape that have a place on an axis of this scale, or are NaN."""
    try:
        made = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be numbers of shape {shape}, None or NaN for a gap: {error}") from None
    if made.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, (positions, points of x) if it moves, got {made.shape}")
    if np.isinf(made).any():
        raise ValueError(f"{name} holds infinity, which no axis shows; put NaN for a gap")
    if scale == "log" and (made <= 0).any():
        raise ValueError(
            f"{name} holds {np.nanmin(made):g}, and a logarithmic axis has positive numbers only; "
            "put NaN for a gap, or take the scale 'linear'"
        )
    return made


def _said(name: str, texts: Sequence[str], count: int) -> list[str]:
    if isinstance(texts, str) or len(texts) != count:
        got = texts if isinstance(texts, str) else len(texts)
        raise ValueError(f"readings of {name!r} must be {count} texts, one a position, got {got!r}")
    return [_words(text, f"readings of {name!r}", 80) for text in texts]


def _shapes(
    count: int, points: int, curves: Mapping[str, Any], bands: Mapping[str, Any], fixed: Mapping[str, Any], scale: str
) -> list[Shape]:
    """Return what is drawn: areas first, then what stands still, then what moves."""
    for given, name, most in (
        (curves, "curves", len(_DASHES)),
        (bands, "bands", 6),
        (fixed, "fixed", len(_INK_DASHES)),
    ):
        if not isinstance(given, Mapping) or len(given) > most or (name == "curves" and not given):
            got = f"{len(given)} of them" if isinstance(given, Mapping) else type(given).__name__
            raise ValueError(f"{name} must map names to arrays, {most} at most, got {got}")
    for name in [*curves, *bands, *fixed]:
        _words(name, "the name of a curve", 45)
    looks = _looks(dict.fromkeys([*curves, *bands]), fixed)
    shape, areas = (count, points), []
    for name, pair in bands.items():
        if not isinstance(pair, Sequence | np.ndarray) or len(pair) != 2:
            raise TypeError(f"bands[{name!r}] must be a pair (low, high) of arrays, got {type(pair).__name__}")
        low, high = (_numbers(edge, f"bands[{name!r}]", shape, scale) for edge in pair)
        areas.append(Shape("" if name in curves else name, np.stack([low, high]), looks[name][0], ""))
    still = [
        Shape(name, _numbers(line, f"fixed[{name!r}]", (points,), scale)[None, None], *looks[name])
        for name, line in fixed.items()
    ]
    moving = [
        Shape(name, _numbers(line, f"curves[{name!r}]", shape, scale)[None], *looks[name])
        for name, line in curves.items()
    ]
    shapes = [*areas, *still, *moving]
    if all(np.isnan(shape.values).all() for shape in shapes):
        raise ValueError("curves must hold numbers, got nothing but gaps")
    return shapes


def _looks(moving: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return color and dashes: a scheme's own color, ink for theory, and of the rest each another."""
    both = [name for name in fixed if name in moving]
    if both:
        raise ValueError(f"fixed and curves must have different names, got {both} in both")
    own = {name: _color(name, given=False) for name in moving}
    free = itertools.cycle([color for color in _PALETTE if color not in own.values()] or _PALETTE)
    dashes, ink = itertools.cycle(_DASHES), itertools.cycle(_INK_DASHES)
    found = {}
    for name in [*moving, *fixed]:
        black = name in fixed or name.lower().startswith("theory")
        found[name] = (INK, next(ink)) if black else (own[name] or next(free), next(dashes))
    return found


def _html(
    label: str, names: list[str], start: int, picture: Picture, said: Mapping[str, list[str]], title: str, alt: str
) -> str:
    data = {
        "start": start,
        "values": [_set(name) for name in names],
        "said": [[_set(text) for text in texts] for texts in said.values()],
        "x": picture.columns,
        "paths": picture.stored(),
    }
    stored = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    stored = html.escape(stored, quote=False).replace("'", "&#39;")
    return "\n".join(
        [
            f"<curve-slider data-slider='{stored}'>",
            "<figure>",
            *picture.svg(start, title, alt),
            f'<figcaption><p><span class="label">{_set(label)}</span>: {_kept(names, start)}</p>',
            f'<p class="track"><small>{_ASLEEP}</small></p>',
            *(f"<p>{_set(name)}: {_kept(texts, start)}</p>" for name, texts in said.items()),
            "</figcaption></figure></curve-slider>",
        ]
    )


def _kept(texts: Sequence[str], start: int) -> str:
    """Return the text of a position in the room of the longest."""
    return f'<b data-longest="{html.escape(max(texts, key=len))}"><span>{_set(texts[start])}</span></b>'


# ------------------------------------------------------------------------------------------------------ the widget


@cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError(
            "ini.slider needs anywidget, which is not installed; install it: pip install anywidget"
        ) from error

    class Slider(anywidget.AnyWidget):
        """The figure; `slider` makes it."""

        _esm = _asset("curve-slider.mjs").read_text(encoding="utf-8")
        _css = _asset("curve-slider.css").read_text(encoding="utf-8")
        html = traitlets.Unicode().tag(sync=True)
        position = traitlets.Int().tag(sync=True)

        def __init__(self, words: str, count: int, **traits: Any) -> None:
            self._words, self._count = words, count
            super().__init__(**traits)

        @traitlets.validate("position")
        def _there(self, proposal: Any) -> int:
            """Refuse what is no position."""
            if not 0 <= proposal["value"] < self._count:
                raise traitlets.TraitError(f"position must be from 0 to {self._count - 1}, got {proposal['value']}")
            return int(proposal["value"])

        def _repr_mimebundle_(self, **options: Any) -> Any:
            bundle: Any = super()._repr_mimebundle_(**options)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
            return data | {"text/html": self.html, "text/plain": repr(self)}, metadata

        def __repr__(self) -> str:
            return f"curve-slider: {self._words}"

    return Slider
