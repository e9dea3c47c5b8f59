"""What a student runs before handing in: is the notebook what the marker expects, and if not, what to do.

What lives here executes nothing, and needs nothing but Python, so it runs wherever the notebook does.
"""

import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_BYTES = 10 << 20
LARGE_BYTES = 1_000_000
_JUPYTER = re.compile(r"^[ \t]*[%!?].*$|^[^#\n]*\?[ \t]*$", re.MULTILINE)  # %magic, !shell, ?help, help?

_UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)

Cell = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """Something about a notebook: whether it costs points, what it is, and what to do."""

    serious: bool
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{'PROBLEM' if self.serious else 'note   '}  {self.what}\n         {self.advice}"


class UnreadableError(ValueError):
    """A file is no notebook; it holds the finding."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.finding = Finding(True, what, advice)


def read(path: Path) -> dict[str, Any]:
    """Return a notebook whose cells have the form that the rest of the package relies on.

    Every cell has ``cell_type`` and ``source`` as text and ``metadata`` as a dictionary.

    Raises
    ------
    UnreadableError
        If it is missing, a link, too large, no JSON, or no notebook of format 4.
    """
    again = "Download or save the notebook again, and hand in that file."
    if path.is_symlink() or not path.is_file():
        raise UnreadableError(f"{path.name} is not a file.", "Check the name and the folder.")
    if (size := path.stat().st_size) > MOST_BYTES:
        advice = "Clear all outputs, save, and try again: the marker runs the notebook itself."
        raise UnreadableError(f"{path.name} has {size:,} bytes; at most {MOST_BYTES:,} are read.", advice)
    try:
        notebook = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise UnreadableError(f"{path.name} is not valid JSON, so it is no notebook.", again) from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or notebook.get("nbformat") != 4 or not isinstance(notebook.get("metadata"), dict):
        raise UnreadableError(f"{path.name} is not a notebook of format 4.", again)
    if not all(map(_sound, cells)):
        raise UnreadableError(f"{path.name} has a cell that is not as notebooks have it.", again)
    return {**notebook, "cells": [{**cell, "source": _text(cell["source"])} for cell in cells]}


def _sound(cell: Any) -> bool:
    if not isinstance(cell, dict) or not isinstance(cell.get("metadata"), dict):
        return False
    source = cell.get("source")
    lines = isinstance(source, list) and all(isinstance(line, str) for line in source)
    return cell.get("cell_type") in ("code", "markdown", "raw") and (isinstance(source, str) or lines)


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def mark(cell: Cell) -> Mapping[str, Any]:
    """Return a cell's nbgrader metadata; empty if it has none that names it."""
    found = cell["metadata"].get("nbgrader")
    return found if isinstance(found, dict) and isinstance(found.get("grade_id"), str) else {}


def check_sum(cell: Cell) -> str:
    """Return nbgrader's check sum of a cell: of its text, its kind, its name and its points."""
    info = mark(cell)
    grade, solution = bool(info.get("grade")), bool(info.get("solution"))
    locked = not solution and (grade or bool(info.get("locked")))
    parts = [cell["source"], cell["cell_type"], str(grade), str(solution), str(locked), info.get("grade_id", "")]
    if grade and isinstance(info.get("points"), int | float):
        parts.append(str(float(info["points"])))
    return hashlib.md5("".join(parts).encode("utf-8", errors="replace"), usedforsecurity=False).hexdigest()


def sealed(cell: Cell) -> dict[str, Any]:
    """Return the cell with the check sum of what it holds now."""
    info = {**mark(cell), "checksum": check_sum(cell)}
    return {**cell, "metadata": {**cell["metadata"], "nbgrader": info}}


def unchanged(cell: Cell) -> bool:
    """Return whether a cell is as it was released."""
    return check_sum(cell) == mark(cell).get("checksum")


def doctor(path: Path) -> list[Finding]:
    """Return what is to be said about a notebook before it is handed in; serious findings first.

    Parameters
    ----------
    path : Path
        The notebook, as it will be handed in.
    """
    try:
        notebook = read(path)
    except UnreadableError as error:
        return [error.finding]
    release = notebook["metadata"].get("initgrade")
    release = release if isinstance(release, dict) else {}
    findings = [*_file(path, notebook, release), *_cells(notebook["cells"], release)]
    findings += [*_answers(notebook["cells"]), *_code(notebook["cells"], release)]
    return sorted(findings, key=lambda finding: not finding.serious)


def _file(path: Path, notebook: Mapping[str, Any], release: Mapping[str, Any]) -> Iterator[Finding]:
    name = f"{release.get('assignment')}.ipynb"
    if not release:
        advice = "Copy your answers into a fresh copy of the assignment."
        yield Finding(True, "The notebook does not say which assignment it is; another program dropped that.", advice)
    elif path.name != name:
        yield Finding(True, f"The file is called {path.name!r}.", f"Rename it to {name!r}.")
    kernel = notebook["metadata"].get("kernelspec")
    language = kernel.get("language", "python") if isinstance(kernel, dict) else "python"
    if language != "python":
        yield Finding(
            True, f"The notebook's kernel is for {str(language)[:40]!r}.", "Choose a Python 3 kernel, and save."
        )
    if path.stat().st_size > LARGE_BYTES:
        what = f"The file has {path.stat().st_size:,} bytes."
        yield Finding(False, what, "Clear the outputs if it cannot be uploaded; nobody marks them.")


def _names(release: Mapping[str, Any], what: str) -> list[str]:
    found = release.get(what)
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _cells(cells: list[Cell], release: Mapping[str, Any]) -> Iterator[Finding]:
    counts = Counter(mark(cell)["grade_id"] for cell in cells if mark(cell))
    for name in _names(release, "cells"):
        if not counts[name]:
            advice = "Copy it from a fresh copy of the assignment: cell and all, not only its text."
            yield Finding(True, f"The cell {name[:80]!r} is missing.", advice)
    for name, count in counts.items():
        if count > 1:
            what = f"{count} cells have the name {name[:80]!r}; a copied cell keeps its name."
            yield Finding(True, what, "Put your answer into the first one and delete the others.")
    for cell in cells:
        info = mark(cell)
        if info and info.get("cell_type", cell["cell_type"]) != cell["cell_type"]:
            what = f"The cell {info['grade_id'][:80]!r} is now a {cell['cell_type']} cell."
            yield Finding(True, what, f"Make it a {str(info['cell_type'])[:20]} cell again.")


def _answers(cells: list[Cell]) -> Iterator[Finding]:
    for cell in cells:
        info = mark(cell)
        if info.get("solution") and (unchanged(cell) or "YOUR ANSWER HERE" in cell["source"]):
            yield Finding(
                True, f"The cell {info['grade_id'][:80]!r} has no answer yet.", "Answer it, or lose its points."
            )
        elif info and not info.get("solution") and "checksum" in info and not unchanged(cell):
            what = f"The cell {info['grade_id'][:80]!r} was changed."
            yield Finding(False, what, "That does no harm and no good: the marker has its own checks and parameters.")


def _code(cells: list[Cell], release: Mapping[str, Any]) -> Iterator[Finding]:
    defined: set[str] = set()
    for number, cell in enumerate(cells, start=1):
        if cell["cell_type"] != "code":
            continue
        try:
            defined |= _defines(cell["source"])
        except _UNPARSED as error:
            yield _syntax(number, cell["source"], error)
    for name in _names(release, "names"):
        if name not in defined:
            what = f"Nothing in the notebook defines {name[:80]!r}, which is asked for."
            yield Finding(True, what, "Keep the names that the assignment gives; spelling and capitals count.")


def _syntax(number: int, source: str, error: BaseException) -> Finding:
    try:
        _defines(_JUPYTER.sub("", source))
    except _UNPARSED:
        line = getattr(error, "lineno", None)
        what = f"Python cannot read cell {number}{f', line {line}' if line else ''}: {_message(error)}."
        return Finding(True, what, "Run the cell, and repair what it complains about.")
    what = f"Cell {number} has a line for Jupyter only, such as %time, !pip or help?."
    return Finding(False, what, "The marker runs plain Python and leaves such lines out.")


def _message(error: BaseException) -> str:
    return str(getattr(error, "msg", None) or error)[:100]


def _defines(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
    return found


def report(path: Path, findings: list[Finding]) -> str:
    """Return what the command prints."""
    serious = sum(finding.serious for finding in findings)
    if not findings:
        end = f"{path.name} is ready to be handed in."
    elif serious:
        end = f"{serious} of these will cost points. Repair them, save, and run this again."
    else:
        end = f"{path.name} can be handed in as it is."
    return "\n".join([*map(str, findings), end])
