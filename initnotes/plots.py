"""Floor 4: the book's one visual language.

A measurement is a colored line with its band over replicas, theory is a black dashed line, and a scheme keeps its
color through the whole book. What lives here draws; it computes nothing but medians and bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import _checks, schemes

__all__ = [
    "COLORS",
    "STYLE",
    "audit",
    "band",
    "color",
    "legend",
    "panels",
    "profile",
    "shades",
    "theory",
    "unit_images",
]

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
    return COLORS[_checks.one_of(scheme, "scheme", COLORS, schemes._ELSEWHERE)]


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
    """Add a legend in the book's style."""
    with plt.rc_context(STYLE):
        ax.legend(**options)


def unit_images(axes: Sequence[Axes], units: Any, *, side: int = 8, limit: float | None = None) -> None:
    """Draw the incoming weights of units as square images, red for positive and blue for negative.

    Parameters
    ----------
    axes : sequence of n Axes
    units : array_like, shape (n, side²)
    side : int
    limit : float, optional
        The weight of the deepest color; without it, the largest of all units, or 1 if all weights are 0.

    Raises
    ------
    ValueError
        If there are not as many axes as units, a unit is not a square, or the limit is not positive and finite.
    """
    units = np.asarray(units)
    if units.shape != (len(axes), side * side):
        raise ValueError(f"units must have shape ({len(axes)}, {side * side}), got {units.shape}")
    limit = _checks.real(np.abs(units).max() or 1.0 if limit is None else limit, "limit", low=0.0, strict=True)
    for ax, unit in zip(axes, units, strict=True):
        ax.imshow(unit.reshape(side, side), vmin=-limit, vmax=limit, cmap=STYLE["image.cmap"])
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(False)


def profile(probe: Any, *, color: Any = COLORS["xavier_normal"]) -> Figure:
    """Draw a probe: second moments, and the gradients if it has them, against depth, with theory where it applies.

    Parameters
    ----------
    probe : initnotes.measure.Probe
    color : matplotlib color

    Returns
    -------
    Figure
        A panel for E z², and one for the standard deviation of ∂loss/∂z if there was a loss. Axes are logarithmic
        where all numbers are positive and finite, NaN is drawn as inf, and a module has no band.

    Examples
    --------
    >>> from initnotes import measure, networks
    >>> net = networks.Ensemble((4, 8, 2), "tanh", "xavier_normal", rng=np.random.default_rng(1))
    >>> figure = profile(measure.probe(net, measure.torch.ones(3, 4)))
    >>> len(figure.axes)
    1
    >>> plt.close(figure)
    """
    curves = [
        ("second_moment", r"pre-activations  $E\,z_l^2$"),
        ("gradient_std", r"gradient  std $\partial$loss$/\partial z_l$"),
    ]
    curves = [one for one in curves if not np.isnan(getattr(probe, one[0])).all()] or curves[:1]
    predicted = dict(zip(("second_moment", "gradient_std"), probe.theory() or (), strict=False))
    figure, axes = panels(len(curves))
    for ax, (name, label) in zip(np.atleast_1d(axes), curves, strict=True):
        samples, x = getattr(probe, name), np.arange(1, probe.depth + 1)
        measured = np.isfinite(samples).any(axis=0) | (name == "second_moment")
        samples, x = np.where(np.isnan(samples), np.inf, samples)[:, measured], x[measured]
        middle = band(ax, x, samples, label="measured", color=color, marker="o" if probe.depth < 30 else "")
        if name in predicted:
            theory(ax, np.arange(1, probe.depth + 1), predicted[name])
        if ((middle > 0) & np.isfinite(middle)).all():
            ax.set_yscale("log")
        ax.set(xlabel="layer $l$", ylabel=label)
        ax.xaxis.get_major_locator().set_params(integer=True)
        legend(ax)
    return figure


def audit(report: Any) -> Figure:
    """Draw what an audit measured against depth: the signal, and the gradient; layers of errors and warnings marked.

    Parameters
    ----------
    report : initnotes.diagnosis.Report

    Returns
    -------
    Figure
        Two panels with logarithmic axes; what is 0 or not finite is left out.
    """
    sick = {name for one in report.findings if one.severity != "info" for name in one.layers}
    at = np.arange(1, len(report.layers) + 1)
    figure, axes = panels(2)
    for ax, (name, label) in zip(axes, _AUDITED, strict=True):
        values = np.array([getattr(one, name) for one in report.layers], dtype=np.float64)
        values[~(np.isfinite(values) & (values > 0))] = np.nan
        marked = np.array([one.name.partition(" (call")[0] in sick for one in report.layers])
        ax.plot(at, values, color=COLORS["xavier_normal"], marker="o", markersize=3, label="layers")
        if marked.any():
            ax.plot(at[marked], values[marked], "s", color=COLORS["he_normal"], markersize=5, label="in a finding")
        if not np.isnan(values).all():
            ax.set_yscale("log")
        ax.set(xlabel="layer $l$, in order of calls", ylabel=label)
        ax.xaxis.get_major_locator().set_params(integer=True)
        legend(ax)
    return figure


_AUDITED = (("signal", "spread of $z_l$ over inputs"), ("gradient", r"norm of $\partial$loss$/\partial z_l$"))
