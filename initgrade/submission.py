"""Reads a notebook that anybody may have written: its code cells, or why it cannot be marked.

What lives here executes nothing of it, and keeps nothing but its code.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_BYTES = 10 << 20  # of a notebook's file, where a course does not say otherwise
VARIANT = "variant"  # the name, and the tag, of the cell with a student's parameters
MAX_CELLS = 2000
MAX_CODE = 1 << 20  # characters
_MOST = 1 << 30  # bytes; a file that is larger is told by its beginning
_GUARDS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")  # of which a student's system has some
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in _GUARDS)
_SAVE = "open it in JupyterLab, save it again, and hand that in"


class Malformed(ValueError):  # noqa: N818
    """A file that is no notebook that can be marked; the message says what the student can do."""


@dataclass(frozen=True)
class Cell:
    """A code cell: what nbgrader calls it, its position from 1, its source, and whether it is the student's."""

    grade_id: str | None
    position: int
    source: str
    solution: bool
    tags: tuple[str, ...]

    @property
    def id(self) -> str:
        """Return a name for messages: the `grade_id`, or the position among all cells."""
        return self.grade_id or f"number {self.position}"


@dataclass(frozen=True)
class Submission:
    """The code cells of a notebook, in order, and the SHA-256 of its file."""

    cells: tuple[Cell, ...]
    sha256: str


def linked(path: Path) -> bool:
    """Return whether a student's folder, or the assignment's folder in it, is a link: it may lead to another's work."""
    return os.path.islink(path.parent) or os.path.islink(path.parent.parent)


def handed_in(path: Path) -> str | None:
    """Return the SHA-256 of what a student handed in, be it a notebook or not; None if there is no file to read."""
    if linked(path):
        return None
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        return _hash(handle) if stat.S_ISREG(os.fstat(handle).st_mode) else None
    finally:
        os.close(handle)


def _hash(handle: int) -> str:
    found, left = hashlib.sha256(), _MOST
    while left and (data := os.read(handle, min(left, 1 << 20))):
        found.update(data)
        left -= len(data)
    return found.hexdigest()


def contents(path: Path, largest: int) -> bytes:
    """Return the bytes of a regular file: neither a link nor a pipe is opened, and no more is read than `largest`.

    Raises
    ------
    Malformed
        If it is not there, something else than a file, or too large.
    PermissionError
        If this account may not read it, which is not the student's fault.
    """
    try:
        handle = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise Malformed(f"there is no {path.name}; hand in a notebook with this name") from None
    except PermissionError:
        raise PermissionError(f"this account may not read {path}; give it the right (chmod, chown)") from None
    except OSError:
        raise Malformed(f"{path.name} is a link or cannot be opened; hand in the notebook itself") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Malformed(f"{path.name} is not a file; hand in the notebook itself")
    with open(handle, "rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise Malformed(f"{path.name} has more than {largest / (1 << 20):g} MiB; clear its outputs and save it again")
    return data


def _notebook(data: bytes) -> Mapping[str, Any]:
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed(f"the file is not a notebook, or is cut off; {_SAVE}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise Malformed(f"the file has no cells; {_SAVE}")
    if notebook.get("nbformat") != 4:
        raise Malformed(f"the notebook has another format than 4; {_SAVE}")
    return notebook


def _check_kernel(notebook: Mapping[str, Any]) -> None:
    about = _mapping(notebook.get("metadata"))
    language = _mapping(about.get("language_info")).get("name") or _mapping(about.get("kernelspec")).get("language")
    if language not in (None, "python"):
        raise Malformed(
            f"the notebook's kernel is for {str(language)[:30]!r}; choose a Python kernel and save it again"
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _normal(position: int, cell: Mapping[str, Any]) -> dict[str, Any]:
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        if cell.get("cell_type") == "code":
            raise Malformed(f"cell {position} has no source; {_SAVE}")
        source = ""
    about = dict(_mapping(cell.get("metadata")))
    return {**cell, "cell_type": str(cell.get("cell_type")), "metadata": about, "source": source}


def notebook(path: Path, *, largest: int = MOST_BYTES) -> dict[str, Any]:
    """Return a notebook in a form to rely on: this is the one reading of it, for the marker and for all others.

    Every cell has ``cell_type`` and ``source`` as text and ``metadata`` as a dictionary; so has the notebook.

    Parameters
    ----------
    path : Path
        Of a file that nobody has looked at.
    largest : int
        Bytes.

    Raises
    ------
    Malformed
        If it cannot be marked, with what to do.
    """
    return _read(contents(path, largest))


def _read(data: bytes) -> dict[str, Any]:
    found = _notebook(data)
    _check_kernel(found)
    cells = found["cells"]
    if len(cells) > MAX_CELLS or not all(isinstance(cell, dict) for cell in cells):
        raise Malformed(f"the notebook has more than {MAX_CELLS} cells, or broken ones; {_SAVE}")
    cells = [_normal(position, cell) for position, cell in enumerate(cells, 1)]
    if sum(len(cell["source"]) for cell in cells if cell["cell_type"] == "code") > MAX_CODE:
        raise Malformed(f"the notebook has more than {MAX_CODE} characters of code; take out what was pasted in")
    return {**found, "metadata": dict(_mapping(found.get("metadata"))), "cells": cells}


def code(notebook: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return the code cells of what `notebook` returns."""
    return tuple(_cell(number, cell) for number, cell in enumerate(notebook["cells"], 1) if cell["cell_type"] == "code")


def _cell(position: int, cell: Mapping[str, Any]) -> Cell:
    grading, tags = _mapping(cell["metadata"].get("nbgrader")), cell["metadata"].get("tags")
    grade_id = grading.get("grade_id")
    return Cell(
        grade_id[:100] if isinstance(grade_id, str) else None,
        position,
        cell["source"],
        grading.get("solution") is True,
        tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
    )


def that_run(cells: Iterable[Cell], checks: Iterable[str]) -> list[Cell]:
    """Return the cells that the marker runs: not the visible checks, and not the example's parameters."""
    left_out = {*checks, VARIANT}
    return [cell for cell in cells if VARIANT not in cell.tags and (cell.solution or cell.grade_id not in left_out)]


def read(path: Path, *, largest: int = MOST_BYTES) -> Submission:
    """Return the code cells of a notebook, read as `notebook` reads it."""
    data = contents(path, largest)
    return Submission(code(_read(data)), hashlib.sha256(data).hexdigest())
