"""The figures of the book's chapters: what more than one chapter draws, each in one call.

What lives here draws; the visual language is that of ``figures``, whose names are here too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import _checks
from ..figures import COLORS, FAINT, INK, PAPER, STYLE, band, color, legend, panels, shades, theory
from ..networks import Ensemble

__all__ = ["COLORS", "FAINT", "INK", "PAPER", "STYLE", "band", "color", "legend", "panels", "shades", "theory"]
__all__ += ["compare", "curves", "histograms", "unit_images"]

_LOGS = ("", "x", "y", "xy")
_FAMILY = re.compile(r"(zeros|constant|small random|orthogonal|lecun|xavier|glorot|he|kaiming)\b", re.IGNORECASE)
_SAME = {"glorot": "xavier", "kaiming": "he", "small random": "small_random"}
_STYLES = ("-", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))  # for arms of one color; dashes are theory's


# ---------------------------------------------------------------------------------------------------- curves and theory


@dataclass(frozen=True)
class _Panel:
    """What one panel shows: bands (x, samples, label, look), dashed lines (x, y, label)."""

    title: str
    bands: list[tuple[np.ndarray, np.ndarray, str, dict[str, Any]]]
    lines: list[tuple[np.ndarray, np.ndarray, str]]


def compare(
    x: Any,
    measured: Mapping[Any, Any],
    *,
    theory: Any = None,
    colors: Mapping[Any, Any] | None = None,
    level: float | None = None,
    log: str = "",
    height: float = 3.4,
    legend: Mapping[str, Any] | None = None,
    **axes: Any,
) -> Figure:
    """Draw the measured curves of several arms with their bands, and theory over them: a whole figure in one call.

    Parameters
    ----------
    x : array_like, shape (T,)
        Where the curves were measured; a mapping from label to that where the arms differ.
    measured : mapping of label to array_like, shape (R, T)
        What was measured, replica by replica. A mapping of title to such mappings makes a panel for each.
    theory : number, array_like of shape (T,), pair (x, y), or mapping of label to one of these, optional
        One line, or several. Lines of arms share the legend's "theory"; other labels stand for themselves, such as
        ``{"ln 10": 2.303}``. A mapping of all titles to such makes one for each panel.
    colors : mapping of label to scheme or color, optional
        Without it, an arm whose label begins with a scheme's name ("He", "xavier_uniform") has that scheme's color, and
        the others have shades from dark to light. Arms of one color get different strokes.
    level : float, optional
        Where to draw a thin dotted line across, for the eye.
    log : {"", "x", "y", "xy"}
        Which axes are logarithmic.
    height : float
        In inches.
    legend : mapping, optional
        Passed to ``Axes.legend``, such as ``{"loc": "lower left"}``.
    **axes
        Passed to ``Axes.set``: ``xlabel``, ``ylabel``, ``ylim`` and the like.

    Returns
    -------
    Figure
        A value, as any other: the cell shows it if it stands at the end.

    Raises
    ------
    ValueError
        If shapes do not fit, samples are NaN, or a label of `colors` is none of the arms. Nothing is drawn then.

    Examples
    --------
    >>> steps, rng = np.arange(1, 4), np.random.default_rng(1)
    >>> arms = {"He": 1 + rng.random((8, 3)), "Xavier": 1 / steps + rng.random((8, 3))}
    >>> figure = compare(steps, arms, theory={"Xavier": 1 / steps}, xlabel="layer", log="y")
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['He', 'Xavier', 'theory']
    """
    _checks.one_of(log, "log", _LOGS)
    shown = _panels_of(x, measured, theory, colors or {})
    figure, grid = panels(len(shown), height=height, sharey=True, squeeze=False)
    told: set[str] = set()
    for ax, panel in zip(grid[0], shown, strict=True):
        _draw(ax, panel, level)
        ax.set(**{f"{axis}scale": "log" for axis in log}, **({"title": panel.title} if panel.title else {}), **axes)
        ax.label_outer()
        _add_legend(ax, told, legend or {})
    plt.close(figure)  # or the notebook would show it a second time
    return figure


def curves(
    ax: Axes, x: Any, measured: Mapping[Any, Any], *, theory: Any = None, colors: Mapping[Any, Any] | None = None
) -> None:
    """Draw in `ax` what `compare` draws in a figure of its own; the axes, their scales and the legend are yours.

    Parameters
    ----------
    ax : Axes
    x, measured, theory, colors
        As for `compare`, for one panel.

    Raises
    ------
    ValueError
        As `compare`.
    """
    shown = _panels_of(x, measured, theory, colors or {})
    if shown[0].title:
        raise ValueError(f"curves draws one panel, got {len(shown)} titles; use compare")
    _draw(ax, shown[0], None)


def _add_legend(ax: Axes, told: set[str], options: Mapping[str, Any]) -> None:
    """Explain the lines of a panel unless panels before it, whose labels are in `told`, have done so."""
    labels = set(ax.get_legend_handles_labels()[1])
    if labels - told:
        legend(ax, **({"fontsize": 9} | dict(options)))
    told |= labels


def _draw(ax: Axes, panel: _Panel, level: float | None) -> None:
    if level is not None:
        ax.axhline(level, color=COLORS["zeros"], linewidth=0.8, linestyle=":", zorder=1)
    for x, samples, label, look in panel.bands:
        band(ax, x, samples, label=label, **look)
    for x, y, label in panel.lines:
        theory(ax, x, y, label=label)


def _panels_of(x: Any, measured: Mapping[Any, Any], theory: Any, colors: Mapping[Any, Any]) -> list[_Panel]:
    """Plan each panel, and so check all that was given before anything is drawn."""
    if not isinstance(measured, Mapping) or not measured:
        raise ValueError(f"measured must be a mapping of label to samples, at least one, got {measured!r}")
    if not isinstance(next(iter(measured.values())), Mapping):
        return [_panel("", x, measured, theory, _looks(list(measured), colors))]
    looks = _looks(list(dict.fromkeys(label for arms in measured.values() for label in arms)), colors)
    own = isinstance(theory, Mapping) and set(theory) == set(measured)
    ways = isinstance(x, Mapping) and set(x) == set(measured)
    return [
        _panel(str(title), x[title] if ways else x, arms, theory[title] if own else theory, looks)
        for title, arms in measured.items()
    ]


def _panel(title: str, x: Any, measured: Mapping[Any, Any], theory: Any, looks: Mapping[Any, Any]) -> _Panel:
    bands = []
    for label, values in measured.items():
        at, samples = _at(x, label), np.asarray(values, dtype=np.float64)
        if samples.ndim != 2 or samples.shape[1:] != at.shape or not len(samples):
            raise ValueError(f"samples of {label!r} must have shape (replicas, {at.size}), got {samples.shape}")
        if np.isnan(samples).any():
            raise ValueError(f"samples of {label!r} must not hold NaN; count what diverged as inf")
        bands.append((at, samples, str(label), looks[label]))
    lines = list(_lines(x, measured, theory))
    last = max((at for at, (*_, label) in enumerate(lines) if label == "theory"), default=0)  # names them all
    named = [(a, y, "" if label == "theory" and at < last else label) for at, (a, y, label) in enumerate(lines)]
    return _Panel(title, bands, named)


def _at(x: Any, label: Any) -> np.ndarray:
    return np.asarray(x[label] if isinstance(x, Mapping) else x)


def _lines(x: Any, measured: Mapping[Any, Any], theory: Any) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    """Yield x, y and label of each line of theory; those of arms, and a single one, are called "theory"."""
    if theory is None:
        return
    given = theory if isinstance(theory, Mapping) else {None: theory}
    for label, line in given.items():
        of_arm = label is None or label in measured
        at, y = _line(x, measured, label if label in measured else next(iter(measured)), line)
        if at.ndim != 1 or y.shape != at.shape:
            raise ValueError(f"theory of {label!r} must have shape ({at.size},), got {y.shape}; or give a pair (x, y)")
        yield at, y, "theory" if of_arm else str(label)


def _line(x: Any, measured: Mapping[Any, Any], arm: Any, line: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a line that is a pair (x, y), one y for each x of an arm, or one number for all."""
    if isinstance(line, tuple) and len(line) == 2:
        return np.asarray(line[0]), np.asarray(line[1], dtype=np.float64)
    y = np.asarray(line, dtype=np.float64)
    if y.ndim:
        return _at(x, arm), y
    ends = np.concatenate([_at(x, label) for label in measured])
    return np.array([ends.min(), ends.max()]), np.full(2, y)


def _looks(labels: Sequence[Any], colors: Mapping[Any, Any]) -> dict[Any, dict[str, Any]]:
    """Return color and stroke of each arm."""
    strange = [label for label in colors if label not in labels]
    if strange:
        raise ValueError(f"colors must be for some of the arms {list(labels)}, got {strange}")
    own = {label: _color(colors.get(label, label), given=label in colors) for label in labels}
    rest = iter(shades(max(1, sum(chosen is None for chosen in own.values()))))
    looks: dict[Any, dict[str, Any]] = {}
    strokes: dict[Any, Iterator[Any]] = {}
    for label, chosen in own.items():
        stroke = next(strokes.setdefault(str(chosen), itertools.cycle(_STYLES))) if chosen is not None else "-"
        looks[label] = {"color": next(rest) if chosen is None else chosen, "linestyle": stroke}
    return looks


def _color(name: Any, *, given: bool) -> Any:
    """Return the color of the scheme that a label begins with; another that was given as it is; None otherwise."""
    found = _FAMILY.match(name.replace("_", " ")) if isinstance(name, str) else None
    if not found:
        return name if given else None
    family = _SAME.get(found[1].lower(), found[1].lower())
    return next(COLORS[scheme] for scheme in COLORS if scheme.startswith(family))


# ----------------------------------------------------------------------------------------------------------- histograms


def histograms(
    source: Any,
    batch: Any = None,
    *,
    loss: Callable[[torch.Tensor], torch.Tensor] | None = None,
    layers: Sequence[int] | None = None,
    theory: Mapping[str, Mapping[int, Callable[[np.ndarray], Any]]] | None = None,
    shared: bool = True,
    color: Any = None,
    bins: int = 41,
    height: float = 1.5,
) -> Figure:
    """Draw how values are distributed, layer by layer: a row of small multiples for each kind, a column a layer.

    Parameters
    ----------
    source : Ensemble, or mapping of row to layer to array_like, shape (R, ...)
        Of an ensemble, the rows are its hidden activations and, with a loss, the gradients of their pre-activations.
    batch : Tensor or array_like, shape (batch, n_0)
        For an ensemble: its inputs.
    loss : callable, optional
        As for `initnotes.probe`: of the outputs, shape (R, batch, n_L), to a scalar or R losses.
    layers : sequence of int, optional
        Which layers; without it, at most five from the first to the last.
    theory : mapping of row to layer to callable, optional
        Densities, drawn dashed over the measured ones.
    shared : bool
        Whether the panels of a row have one range, the largest layer's, so that you see sizes change; otherwise each
        has its own, so that you see shapes. A range holds all but one of a thousand numbers.
    color : str or matplotlib color, optional
        A scheme's name or a color.
    bins : int
    height : float
        Of a row, in inches.

    Returns
    -------
    Figure
        Each panel has the median over replicas and the band of `band`, a vertical scale of its own, and in words the
        standard deviation and the share that is exactly 0, which the histogram leaves out.

    Raises
    ------
    TypeError, ValueError
        If the source is neither, a layer is not there, or a value is not finite. Nothing is drawn then.

    References
    ----------
    Glorot & Bengio, AISTATS 2010, figures 6 and 7.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> net = Ensemble((20, 50, 50, 5), "tanh", "xavier_normal", rng=rng, replicas=4)
    >>> figure = histograms(net, rng.standard_normal((30, 20)), loss=lambda z: (z**2).mean((1, 2)))
    >>> [ax.get_title() for ax in figure.axes], [ax.get_ylabel() for ax in figure.axes[::2]]
    (['layer 1', 'layer 2', '', ''], ['activations', 'gradients'])
    """
    bins = _checks.integer(bins, "bins", low=2)
    rows = _of_network(source, batch, loss) if isinstance(source, Ensemble) else source
    shown = _shown_layers(rows, layers)
    values = {row: {layer: _values(of[layer], row, layer) for layer in shown} for row, of in rows.items()}
    figure, grid = panels(len(shown), len(values), height=height, squeeze=False)
    look = _color(color, given=True) if color is not None else shades(2)[1]
    for axes, (row, of) in zip(grid, values.items(), strict=True):
        densities = (theory or {}).get(row, {})
        limits = {layer: _limit(numbers) for layer, numbers in of.items()}
        for ax, (layer, numbers) in zip(axes, of.items(), strict=True):
            limit = max(limits.values()) if shared else limits[layer]
            _histogram(ax, numbers, np.linspace(-limit, limit, bins + 1), look, densities.get(layer))
        axes[0].set_ylabel(row)
    for ax, layer in zip(grid[0], shown, strict=True):
        ax.set_title(f"layer {layer}", fontsize=10)
    plt.close(figure)
    return figure


def _of_network(net: Ensemble, batch: Any, loss: Any) -> dict[str, dict[int, Any]]:
    """Return the hidden activations of an ensemble, and the gradients of its hidden pre-activations."""
    signals = net.forward(torch.as_tensor(batch).to(net.parameters))
    rows = {"activations": dict(enumerate(signals.activations[1:], start=1))}
    if loss is not None:
        outputs = signals.output.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(outputs).sum(), outputs)
        deltas = net.backward(signals, gradient).pre_activations
        rows["gradients"] = dict(enumerate(deltas[:-1], start=1))
    return rows


def _shown_layers(rows: Any, layers: Sequence[int] | None) -> list[int]:
    if not isinstance(rows, Mapping) or not rows or not all(isinstance(of, Mapping) and of for of in rows.values()):
        raise TypeError(f"source must be an Ensemble or map rows to layers to values, got {type(rows).__name__}")
    there = sorted(set.intersection(*(set(of) for of in rows.values())))
    if layers is None:
        return [there[at] for at in np.unique(np.linspace(0, len(there) - 1, 5).round().astype(int))]
    missing = [layer for layer in layers if layer not in there]
    if missing or not len(layers):
        raise ValueError(f"layers must be some of {there}, got {list(layers)}")
    return list(layers)


def _values(values: Any, row: str, layer: int) -> np.ndarray:
    """Return the values of one panel, shape (replicas, values)."""
    found = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, dtype=np.float64)
    found = found.reshape(len(found) if found.ndim > 1 else 1, -1)
    if not found.size or not np.isfinite(found).all():
        raise ValueError(f"{row} of layer {layer} must be finite, one number or more; of {found.size} not all are")
    return found


def _limit(values: np.ndarray) -> float:
    """Return the size that all but one of a thousand numbers stay below: a rare large one must not hide the others."""
    size = np.abs(values)
    return float(np.quantile(size, 0.999) or size.max() or 1.0)


def _histogram(ax: Axes, values: np.ndarray, edges: np.ndarray, look: Any, density: Any) -> None:
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    counts = np.array([np.histogram(replica[replica != 0], edges)[0] for replica in values])
    band(ax, middle, counts / (values.shape[1] * width), label="", color=look)
    if density is not None:
        fine = np.linspace(edges[0], edges[-1], 401)
        theory(ax, fine, density(fine), label="")
    zeros = np.mean(values == 0)
    said = f"std {values.std():.2g}" + (f"\n{zeros:.0%} are 0" if zeros >= 0.005 else "")
    ax.text(0.03, 0.95, said, transform=ax.transAxes, va="top", fontsize=8)
    ax.margins(y=0.3 * said.count("\n") + 0.35)  # the words stand above the curve
    ax.set(yticks=[], ylim=(0, None))
    ax.ticklabel_format(axis="x", scilimits=(-2, 3))  # small panels have no room for 0.005 beside 0.000


# ------------------------------------------------------------------------------------------------------ images of units


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
