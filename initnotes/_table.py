"""Tables: the one place where rows of numbers become text and HTML.

What lives here formats; it knows nothing of initialization.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _checks

__all__ = ["Table", "head_html", "row_html", "shown", "table"]


def shown(value: Any, *, digits: int = 3) -> str:
    """Return a cell's text: so many significant digits, a whole number in full, a dash for what was not measured."""
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if getattr(value, "ndim", 0):
        raise ValueError(f"a cell must be a single value, got an array of shape {tuple(value.shape)}; reduce it first")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value)
    rounded = value if float(value).is_integer() else float(f"{value:.{digits}g}")
    whole = float(rounded).is_integer() and abs(rounded) < 1e6
    return f"{rounded + 0.0:.0f}" if whole else f"{value:.{digits}g}"


@dataclass(frozen=True)
class Table:
    """A table that prints as text and, in a notebook, as HTML that scrolls on a phone.

    Attributes
    ----------
    caption : str
        May be empty.
    head : tuple of str
    rows : tuple of tuples of str
        The first cell of each is its head.
    right : frozenset of int
        Columns whose text is aligned to the right, as numbers are.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()

    def __getitem__(self, key: tuple[str, str]) -> str:
        """Return the cell of a row and a column by their heads."""
        row, column = key
        _checks.one_of(column, "column", self.head)
        _checks.one_of(row, "row", [cells[0] for cells in self.rows])
        return next(cells for cells in self.rows if cells[0] == row)[self.head.index(column)]

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        width = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(
                cell.rjust(size) if at in self.right else cell.ljust(size)
                for at, (cell, size) in enumerate(zip(line, width, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.caption, *text] if self.caption else text)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = "".join(row_html(cells, right=self.right) for cells in self.rows)
        label = html.escape(self.caption or "Table", quote=True)
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        return (
            f"<div class='wide-table' role='region' tabindex='0' aria-label='{label}'>"
            f"<table>{caption}{head_html(self.head, right=self.right)}<tbody>{body}</tbody></table></div>"
        )


def head_html(cells: Sequence[str], *, right: frozenset[int] = frozenset()) -> str:
    """Return a table's head as HTML."""
    heads = "".join(f"<th scope='col'{_side(at in right)}>{html.escape(cell)}</th>" for at, cell in enumerate(cells))
    return f"<thead><tr>{heads}</tr></thead>"


def row_html(cells: Sequence[str], *, right: frozenset[int] = frozenset()) -> str:
    """Return a table's row as HTML; its first cell is its head."""
    rest = "".join(f"<td{_side(at in right)}>{html.escape(cell)}</td>" for at, cell in enumerate(cells) if at)
    return f"<tr><th scope='row'>{_breakable(cells[0])}</th>{rest}</tr>"


def _side(right: bool) -> str:
    """Return the attribute that aligns a cell, wherever the table is shown."""
    return " style='text-align: right !important'" if right else ""


def _breakable(name: str) -> str:
    """Return a name as HTML that may break after its dots and underscores; a number stays whole."""
    return re.sub(r"([._])(?!\d)", r"\1<wbr>", html.escape(name))


def table(columns: Mapping[str, Iterable[Any]], *, caption: str = "", digits: int = 3) -> Table:
    """Make a table of columns, numbers with so many significant digits and to the right.

    Parameters
    ----------
    columns : mapping of str to sequence
        Head to the cells below it, all of one length; the first column heads the rows.
    caption : str
    digits : int
        Significant digits of numbers that are not whole.

    Returns
    -------
    Table

    Raises
    ------
    TypeError, ValueError
        If there is no column, they differ in length, one is a single text, or a cell is an array.

    Examples
    --------
    >>> table({"scheme": ["he", "xavier"], "factor": [1.0, 0.49999], "theory": [1, None]}, digits=2)
    scheme  factor  theory
    he           1       1
    xavier     0.5       –
    """
    digits = _checks.integer(digits, "digits")
    for head, values in columns.items():
        if isinstance(values, str):
            raise TypeError(f"column {head!r} must be a sequence of cells, got the text {values!r}; put it in a list")
    cells = {str(head): list(values) for head, values in columns.items()}
    lengths = {head: len(values) for head, values in cells.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns must be of one length, at least one column, got {lengths}")
    right = frozenset(at for at, values in enumerate(cells.values()) if at and not _is_text(values))
    text = [[shown(value, digits=digits) for value in values] for values in cells.values()]
    return Table(caption, tuple(cells), tuple(zip(*text, strict=True)), right)


def _is_text(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None]
    return not present or any(isinstance(value, (str, bool, np.bool_)) for value in present)
