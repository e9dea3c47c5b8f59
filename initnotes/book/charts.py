"""Charts in SVG for a page: axes that do not move, areas and lines in tenths of pixels, and a legend above them.

What lives here draws in text, the same on every machine; ``sliders`` says what. ``curve-slider.mjs`` draws paths too.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .races import _LOW, _set
from .starts import power
from .widgets import COLORS

__all__ = ["INK", "Axis", "Picture", "Shape", "drawn", "number"]

INK = "currentColor"
_WIDE, _RIGHT, _HIGH, _ROW = 420, 404, 190, 17  # pixels: the picture, the plot's right edge, its height, a legend row
_LETTER = 6.6  # pixels, about, of a letter of 12 pixels
_DARK = dict(COLORS.values())  # the color on dark paper, by that on light


@dataclass(frozen=True)
class Shape:
    """A line or an area: values of shape (1 or 2 edges, 1 or P positions, T), color and dashes; its name if told."""

    name: str
    values: np.ndarray
    color: str
    dash: str

    @property
    def moves(self) -> bool:
        """Whether it is another at each position."""
        return self.values.shape[1] > 1


# -------------------------------------------------------------------------------------------------------- the axes


class Axis:
    """One axis: from numbers to tenths of a pixel, and its ticks."""

    def __init__(self, values: np.ndarray, scale: str, *, pad: float) -> None:
        self.log, values = scale == "log", values[~np.isnan(values)]
        sizes = np.log10(values) if self.log else values
        low, high = float(sizes.min()), float(sizes.max())
        room = pad * (high - low) or pad * (0.3 if self.log else abs(high) or 1.0) * 10
        self.low, self.high = low - room, high + room
        if not self.log and low >= 0:
            self.low = max(0.0, self.low)
        self.start, self.end = 0, 1

    def __call__(self, values: Any) -> list[int | None]:
        """Return tenths of pixels; a half goes up, whatever the last bits of a number are."""
        sizes = np.log10(values) if self.log else np.asarray(values, dtype=np.float64)
        at = 10 * (self.start + (sizes - self.low) / (self.high - self.low) * (self.end - self.start))
        return [None if math.isnan(place) else math.floor(place + 0.5 + 1e-6) for place in at.tolist()]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The values that have a label, seven at most."""
        if not self.log:
            return [(value, number(value)) for value in _even(self.low, self.high)]
        first, last = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
        if last - first >= 3:
            return [(10.0**k, _power(k)) for k in range(first, last + 1) if k % math.ceil((last - first) / 6) == 0]
        all_of = [digit * 10.0**k for k in range(first - 1, last + 2) for digit in (1, 2, 5)]
        seen = [value for value in all_of if self.low - 1e-9 <= math.log10(value) <= self.high + 1e-9]
        if len(seen) < 3:
            seen = [value for value in _even(10**self.low, 10**self.high) if value > 0]
        return [(value, number(value)) for value in seen]


def _even(low: float, high: float) -> list[float]:
    """Return round numbers in equal steps, six at most."""
    least = (high - low) / 6
    size = 10.0 ** math.floor(math.log10(least))
    step = next(step for step in (size, 2 * size, 2.5 * size, 5 * size, 10 * size) if step >= least * (1 - 1e-9))
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _power(exponent: int) -> str:
    return f"{10.0**exponent:g}" if -3 <= exponent <= 4 else power(exponent)


def number(value: float) -> str:
    """Return a number as a label has it.

    Examples
    --------
    >>> number(0.30000000000000004), number(-2000.0), number(2e-5)
    ('0.3', '−2000', '2·10⁻⁵')
    """
    size = abs(float(f"{value:.6g}"))
    if size == 0 or 1e-3 <= size < 1e6:
        text = f"{size:g}"
    else:
        digits, exponent = f"{size:.5e}".split("e")
        digits = f"{float(digits):g}"
        text = ("" if digits == "1" else f"{digits}·") + power(int(exponent))
    return f"−{text}" if value < 0 and size else text


# ----------------------------------------------------------------------------------------------------- the picture


class Picture:
    """All positions of a figure in tenths of pixels, on axes that do not move."""

    def __init__(
        self, at: np.ndarray, shapes: list[Shape], x_label: str, y_label: str, x_scale: str, y_scale: str
    ) -> None:
        self.shapes, self.labels = shapes, (x_label, y_label)
        self.x = Axis(at, x_scale, pad=0.0)
        self.y = Axis(np.concatenate([shape.values.ravel() for shape in shapes]), y_scale, pad=0.04)
        self.rows = _rows([shape for shape in shapes if shape.name])
        self.top = _ROW * len(self.rows) + 24
        self.bottom = self.top + _HIGH
        self.left = 8 + math.ceil(_LETTER * max((len(text) for _, text in self.y.ticks), default=1))
        self.x.start, self.x.end, self.y.start, self.y.end = self.left, _RIGHT, self.bottom, self.top
        self.columns = [place or 0 for place in self.x(at)]
        self.edges = [[[self.y(line) for line in edge] for edge in shape.values] for shape in shapes]

    def stored(self) -> list[list[list[list[int | None]]]]:
        """Return what moves, as the page has it: by path, position and edge, the places of its points."""
        moving = [edges for shape, edges in zip(self.shapes, self.edges, strict=True) if shape.moves]
        return [[list(edges) for edges in zip(*path, strict=True)] for path in moving]

    def svg(self, start: int, title: str, alt: str) -> Iterator[str]:
        """Yield the lines of the picture at a position; what moves is marked."""
        yield f'<svg viewBox="0 0 {_WIDE} {self.bottom + 36}" role="img" font-size="12" fill="currentColor">'
        yield f"<title>{html.escape(title)}</title>"
        yield f"<desc>{html.escape(alt)}</desc>"
        yield from self._legend()
        yield from self._axes()
        for shape, edges in zip(self.shapes, self.edges, strict=True):
            moving = ' data-moves=""' if shape.moves else ""
            path = drawn(self.columns, [edge[start if shape.moves else 0] for edge in edges])
            yield f'<path{moving} {_stroke(shape)} d="{path}"/>'
        yield "</svg>"

    def _legend(self) -> Iterator[str]:
        for row, entries in enumerate(self.rows):
            y = 9 + _ROW * row
            for x, shape in entries:
                mark = f"M{x} {y - 5}h26v10h-26z" if len(shape.values) == 2 else f"M{x} {y}h26"
                yield f'<path {_stroke(shape)} d="{mark}"/>'
                yield f'<text x="{x + 32}" y="{y + 4}">{_set(shape.name, _LOW)}</text>'

    def _axes(self) -> Iterator[str]:
        x_label, y_label = (_set(label, _LOW) for label in self.labels)
        rows = [(self.y([value])[0] or 0, text) for value, text in self.y.ticks]
        columns = [(self.x([value])[0] or 0, text) for value, text in self.x.ticks]
        grid = "".join(f"M{self.left} {_tenth(y)}H{_RIGHT}" for y, _ in rows)
        marks = "".join(f"M{_tenth(x)} {self.bottom}v4" for x, _ in columns)
        yield f'<path class="grid" fill="none" stroke="#8888" stroke-width="0.7" d="{grid}"/>'
        yield f'<path class="grid" fill="none" stroke="#8888" d="M{self.left} {self.bottom}H{_RIGHT}{marks}"/>'
        yield f'<text x="0" y="{self.top - 10}">{y_label}</text>'
        for y, text in rows:
            yield f'<text text-anchor="end" x="{self.left - 5}" y="{_tenth(y + 40)}">{text}</text>'
        for x, text in columns:
            yield f'<text text-anchor="middle" x="{_tenth(x)}" y="{self.bottom + 16}">{text}</text>'
        yield f'<text text-anchor="middle" x="{(self.left + _RIGHT) // 2}" y="{self.bottom + 32}">{x_label}</text>'


def _rows(shapes: list[Shape]) -> list[list[tuple[int, Shape]]]:
    """Return the rows of the legend, above the curves: what fits beside each other stands in one."""
    rows: list[list[tuple[int, Shape]]] = []
    x = _WIDE
    for shape in shapes:
        width = 48 + math.ceil(_LETTER * len(shape.name))
        if x + width > _WIDE or not rows:
            rows, x = [*rows, []], 0
        rows[-1].append((x, shape))
        x += width
    return rows


def _stroke(shape: Shape) -> str:
    dark = f' style="--dark:{_DARK[shape.color]}"' if shape.color in _DARK else ""
    if len(shape.values) == 2:
        return f'class="area" fill="{shape.color}" fill-opacity="0.2"{dark}'
    dash = f' stroke-dasharray="{shape.dash}"' if shape.dash else ""
    width = 1.6 if shape.color == INK else 2.2
    joins = 'stroke-linecap="round" stroke-linejoin="round"'
    return f'class="line" fill="none" stroke="{shape.color}" stroke-width="{width}"{dash} {joins}{dark}'


def _tenth(place: int) -> str:
    return f"{place / 10:g}"


def drawn(columns: list[int], edges: list[list[int | None]]) -> str:
    """Return a path from places in tenths of pixels: a line, or the area between two; it stops at gaps.

    ``curve-slider.mjs`` has the same.

    Examples
    --------
    >>> drawn([0, 100, 205, 300], [[10, 15, None, 20]])
    'M0 1L10 1.5M30 2h0'
    """
    runs: list[list[int]] = [[]]
    for at in range(len(columns)):
        if any(edge[at] is None for edge in edges):
            runs.append([])
        else:
            runs[-1].append(at)
    path = ""
    for run in filter(None, runs):
        lines = [[f"{columns[at] / 10:g} {(edge[at] or 0) / 10:g}" for at in run] for edge in edges]
        points = lines[0] + lines[1][::-1] if len(lines) == 2 else lines[0]
        path += "M" + "L".join(points) + ("z" if len(lines) == 2 else "h0" if len(run) == 1 else "")
    return path
