"""The one visual language: figures, bands, theory and colors.

A measurement is a colored line with its band over replicas, theory is a black dashed line, and a scheme keeps its
color through the whole book. What lives here draws; it computes nothing but medians and bands.
"""

from __future__ import annotations

import re
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import _checks, schemes

__all__ = ["COLORS", "FAINT", "INK", "PAPER", "STYLE", "band", "color", "legend", "panels", "shades", "theory"]

INDEXED = 11  # points: the least of type with an index or exponent, which is drawn at 0.7 of it
_INDEX = re.compile(r"\$[^$]*[_^][^$]*\$")

PAPER, INK, FAINT = "#fdfdfb", "#1f2430", "#d9dbe0"

STYLE: dict[Any, Any] = {
    "figure.facecolor": PAPER,
    "figure.dpi": 144,
    "savefig.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "legend.facecolor": PAPER,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
    "image.cmap": "RdBu_r",
}

# After the color set of Okabe and Ito, made to be told apart by color-blind readers; theory has the black. Darkened
# until each stands out from the paper by 3 to 1, and still from the others without red or green cones.
_GRAY, _ORANGE, _SKY, _GREEN = "#5F5F5F", "#C28100", "#2A9DB5", "#009E73"
_BLUE, _VERMILION, _PURPLE = "#0072B2", "#B84300", "#B2588A"

COLORS = {
    "zeros": _GRAY,
    "constant": _PURPLE,
    "small_random": _ORANGE,
    "orthogonal": _SKY,
    "lecun_normal": _GREEN,
    "lecun_uniform": _GREEN,
    "xavier_normal": _BLUE,
    "xavier_uniform": _BLUE,
    "he_normal": _VERMILION,
    "he_uniform": _VERMILION,
}


def color(scheme: str) -> str:
    """Return the color that a scheme has in every figure of the book.

    Parameters
    ----------
    scheme : str
        Its name, such as "he_normal"; the normal and the uniform of one rule share a color.

    Returns
    -------
    str
        Hexadecimal RGB.

    Raises
    ------
    ValueError
        If the name is unknown.

    References
    ----------
    Okabe & Ito, Color Universal Design, 2008; Wong, Nature Methods 8, 2011.

    Examples
    --------
    >>> color("xavier_normal") == color("xavier_uniform")
    True
    """
    return COLORS[_checks.one_of(scheme, "scheme", COLORS, schemes.ALIASES)]


def shades(count: int) -> list[Any]:
    """Return colors for an ordered sweep of `count` settings, dark to light, in equal steps of lightness.

    The lightest still stands out from the paper by 3 to 1.

    Examples
    --------
    >>> len(shades(3))
    3
    """
    return list(mpl.colormaps["viridis"](np.linspace(0.0, 0.58, _checks.integer(count, "count"))))


def panels(columns: int = 1, rows: int = 1, *, height: float = 3.4, **options: Any) -> tuple[Figure, Any]:
    """Make a figure in the book's style, as wide as the text.

    Parameters
    ----------
    columns, rows : int
    height : float
        Of a row, in inches.
    **options
        Passed to ``pyplot.subplots``, such as ``sharey=True``.

    Returns
    -------
    (Figure, Axes or ndarray of Axes)

    Examples
    --------
    >>> figure, (left, right) = panels(2)
    >>> plt.close(figure)
    """
    columns, rows = _checks.integer(columns, "columns"), _checks.integer(rows, "rows")
    plt.draw_if_interactive()  # loads the backend, which sets rcParams, before the context that would undo it
    with plt.rc_context(STYLE):
        size = 6.6, _checks.real(height, "height", low=0.0, strict=True) * rows
        return plt.subplots(rows, columns, figsize=size, layout="constrained", **options)


def band(ax: Axes, x: Any, samples: Any, *, label: str, color: Any, **line: Any) -> np.ndarray:
    """Draw the median over replicas as a line and the middle 80 % of them as a band.

    Parameters
    ----------
    ax : Axes
    x : array_like, shape (T,)
    samples : array_like, shape (R, T)
        May hold inf, for replicas that diverged: they count as above everything.
    label : str
        For the legend; empty for none.
    color : matplotlib color
    **line
        Passed to ``Axes.plot`` for the median, such as ``linestyle=":"``.

    Returns
    -------
    ndarray, shape (T,)
        The median.

    Raises
    ------
    ValueError
        If the shapes do not fit or a sample is NaN.
    """
    x, samples = np.asarray(x), np.asarray(samples, dtype=np.float64)
    if samples.ndim != 2 or samples.shape[1:] != x.shape:
        raise ValueError(f"samples must have shape (replicas, {x.size}), got {samples.shape}")
    if not len(samples) or np.isnan(samples).any():
        raise ValueError("samples must have at least one replica and not hold NaN; count what diverged as inf")
    low, middle, high = np.quantile(samples, [0.1, 0.5, 0.9], axis=0, method="inverted_cdf")
    with plt.rc_context(STYLE):
        ax.fill_between(x, low, high, color=color, alpha=0.22, linewidth=0)
        ax.plot(x, middle, color=color, label=label or None, **line)
    return middle


def theory(ax: Axes, x: Any, y: Any, *, label: str = "theory", **line: Any) -> None:
    """Draw what theory predicts: black, dashed, over the measurements.

    Parameters
    ----------
    ax : Axes
    x, y : array_like, shape (T,)
    label : str
        For the legend; empty for none.
    **line
        Passed to ``Axes.plot``.

    Raises
    ------
    ValueError
        If `x` and `y` differ in length.
    """
    style: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 1.4, "zorder": 5, "label": label or None}
    ax.plot(x, y, **(style | line))


def legend(ax: Axes, **options: Any) -> None:
    """Add a legend in the book's style; a label with an index is large enough for the index to be read."""
    with plt.rc_context(STYLE):
        for text in ax.legend(**options).get_texts():
            if _INDEX.search(text.get_text()):
                text.set_fontsize(max(text.get_fontsize(), INDEXED))
