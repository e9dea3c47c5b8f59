"""The figures of the book's chapters: what more than one chapter draws.

What lives here draws; the visual language is that of ``figures``, whose names are here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from .. import _checks
from ..figures import COLORS, FAINT, INK, PAPER, STYLE, band, color, legend, panels, shades, theory

__all__ = ["COLORS", "FAINT", "INK", "PAPER", "STYLE", "band", "color", "legend", "panels", "shades", "theory"]
__all__ += ["unit_images"]


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
