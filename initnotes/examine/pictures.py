"""A probe and a report, drawn: signal and gradient against depth.

What lives here draws what was measured; it loads with the first picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..figures import COLORS, band, legend, panels, theory

__all__ = ["audit", "profile"]


def profile(probe: Any, *, color: Any = COLORS["xavier_normal"]) -> Figure:
    """Draw a probe: second moments, and the gradients if it has them, against depth, with theory where it applies.

    Parameters
    ----------
    probe : initnotes.examine.Probe
    color : matplotlib color

    Returns
    -------
    Figure
        A panel for E z², and one for the standard deviation of ∂loss/∂z if there was a loss. Axes are logarithmic
        where all numbers are positive and finite, NaN is drawn as inf, and a module has no band.

    Examples
    --------
    >>> import torch
    >>> from initnotes import examine, networks
    >>> net = networks.Ensemble((4, 8, 2), "tanh", "xavier_normal", rng=np.random.default_rng(1))
    >>> figure = profile(examine.probe(net, torch.ones(3, 4)))
    >>> len(figure.axes)
    1
    >>> figure.clear()
    """
    curves = [
        ("second_moment", r"pre-activations  $E\,z_l^2$"),
        ("gradient_std", r"gradient  std $\partial$loss$/\partial z_l$"),
    ]
    curves = [(name, label) for name, label in curves if not np.isnan(getattr(probe, name)).all()] or curves[:1]
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
    report : initnotes.examine.Report

    Returns
    -------
    Figure
        Two panels with logarithmic axes; what is 0 or not finite is left out.
    """
    sick = {name for finding in report.findings if finding.severity != "info" for name in finding.layers}
    at = np.arange(1, len(report.layers) + 1)
    figure, axes = panels(2)
    for ax, (name, label) in zip(axes, _AUDITED, strict=True):
        values = np.array([getattr(layer, name) for layer in report.layers], dtype=np.float64)
        values[~(np.isfinite(values) & (values > 0))] = np.nan
        marked = np.array([layer.place in sick for layer in report.layers])
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
