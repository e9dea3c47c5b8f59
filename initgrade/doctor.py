"""What a student runs before handing in: is the notebook what the marker expects, and if not, what to do.

What lives here reads a notebook as the marker does (`submission`, `cells`) and says what that means for the student. It
needs nothing but Python, so it works wherever the notebook does. It executes nothing, but for `tried`, in the sandbox.
"""

import ast
import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import cells as reading
from . import submission
from .submission import Malformed

LARGE_BYTES = 1_000_000
_LACKING = ("get_ipython", "input")  # names that stop a cell: the marker runs plain Python, with nobody at the keys
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


def read(path: Path) -> dict[str, Any]:
    """Return a notebook as `submission.notebook` reads it: each cell has a type, a source and metadata.

    Raises
    ------
    Malformed
        If the marker would refuse it.
    """
    return submission.notebook(path)


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
    except (Malformed, PermissionError) as error:
        what, _, advice = str(error).partition("; ")
        return [Finding(True, _sentence(what), _sentence(advice))]
    release = _release(notebook)
    findings = [*_file(path, release), *_cells(notebook["cells"], release)]
    findings += [*_answers(notebook["cells"], release), *_code(notebook, release)]
    return sorted(findings, key=lambda finding: not finding.serious)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _release(notebook: Mapping[str, Any]) -> Mapping[str, Any]:
    found = notebook["metadata"].get("initgrade")
    return found if isinstance(found, dict) else {}


def _file(path: Path, release: Mapping[str, Any]) -> Iterator[Finding]:
    name = f"{release.get('assignment')}.ipynb"
    if not release:
        advice = "Copy your answers into a fresh copy of the assignment."
        yield Finding(True, "The notebook does not say which assignment it is; another program dropped that.", advice)
    elif path.name != name:
        yield Finding(True, f"The file is called {path.name!r}.", f"Rename it to {name!r}.")
    size, most = path.stat().st_size, release.get("largest")
    if type(most) is int and size > most:
        what = f"The file has {size:,} bytes; the marker reads {most:,} at most."
        yield Finding(True, what, "Clear the outputs, and save: nobody marks them.")
    elif size > LARGE_BYTES:
        what = f"The file has {size:,} bytes."
        yield Finding(False, what, "Clear the outputs if it cannot be uploaded; nobody marks them.")


def _names(release: Mapping[str, Any], what: str) -> list[str]:
    found = release.get(what)
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _cells(cells: list[Cell], release: Mapping[str, Any]) -> Iterator[Finding]:
    """Say what became of the cells that were handed out. Only what a person marks is looked for in its own cell."""
    by_hand = _names(release, "by_hand") if "by_hand" in release else _names(release, "cells")
    counts = Counter(mark(cell)["grade_id"] for cell in cells if mark(cell))
    for name in _names(release, "cells"):
        if not counts[name] and name in by_hand:
            advice = "Copy it from a fresh copy of the assignment: cell and all, not only its text."
            yield Finding(True, f"The cell {name[:80]!r} is missing.", advice)
        elif not counts[name]:
            advice = "The marker does without it: it has its own checks, and finds answers by their names."
            yield Finding(False, f"The cell {name[:80]!r} is missing.", advice)
    for name, count in counts.items():
        if count > 1:
            what = f"{count} cells have the name {name[:80]!r}; a copied cell keeps its name."
            advice = "Put your answer into the first one and delete the others; in code, the last one counts."
            yield Finding(name in by_hand, what, advice)
    for cell in cells:
        info = mark(cell)
        if info and info.get("cell_type", cell["cell_type"]) != cell["cell_type"]:
            what = f"The cell {info['grade_id'][:80]!r} is now a {cell['cell_type']} cell."
            serious = info["grade_id"] in by_hand
            yield Finding(serious, what, f"Make it a {str(info['cell_type'])[:20]} cell again.")


def _answers(cells: list[Cell], release: Mapping[str, Any]) -> Iterator[Finding]:
    for cell in cells:
        info = mark(cell)
        by_hand = cell["cell_type"] != "code"
        if by_hand and info.get("solution") and (unchanged(cell) or "YOUR ANSWER HERE" in cell["source"]):
            what = f"The cell {info['grade_id'][:80]!r} has no answer yet."
            yield Finding(True, what, "Answer it, or lose its points.")
        elif info and not info.get("solution") and "checksum" in info and not unchanged(cell):
            what = f"The cell {info['grade_id'][:80]!r} was changed."
            yield Finding(False, what, "That does no harm and no good: the marker has its own checks and parameters.")


# ---- code


@dataclass(frozen=True)
class _Read:
    """What a code cell says to Python: the names that it binds, to what, and where it stops before its end."""

    cell: submission.Cell
    binds: Mapping[str, ast.AST]
    stops: str = ""
    error: BaseException | None = None


def _read(cell: submission.Cell, offers: list[str] | None) -> _Read:
    try:
        tree = ast.parse(reading.readable(cell.source))
    except _UNPARSED as error:
        return _Read(cell, {}, error=error)
    found: dict[str, ast.AST] = {}
    for statement in tree.body:
        if stop := _stop(statement, offers):
            return _Read(cell, found, stop)
        found |= _binds(statement)
    return _Read(cell, found)


def _binds(node: ast.AST) -> dict[str, ast.AST]:
    """Return the names that a statement binds in the notebook: not those inside of functions and classes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name: node}
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return {}
    if isinstance(node, ast.alias):
        return {(node.asname or node.name).split(".")[0]: node}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id: node}
    return {name: at for child in ast.iter_child_nodes(node) for name, at in _binds(child).items()}


def _stop(statement: ast.stmt, offers: list[str] | None) -> str:
    """Return what a statement wants that the marker does not have, if it surely asks for it when it runs."""
    if isinstance(statement, ast.Raise):
        return "a raise"
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Try | ast.If | ast.With):
        return ""
    return next(_lacks(statement, offers), "")


def _lacks(node: ast.AST, offers: list[str] | None) -> Iterator[str]:
    """Return what a piece of code wants that the marker does not have; `offers` is what initnotes has there."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in _LACKING:
            yield f"{inner.func.id}(), which the marker does not have"
        if offers is None:
            continue
        names: list[str] = []
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id in _OURS:
            names = [inner.attr]
        elif isinstance(inner, ast.Import):
            names = [alias.name[len("initnotes.") :] for alias in inner.names if alias.name.startswith("initnotes.")]
        elif isinstance(inner, ast.ImportFrom) and (inner.module or "").partition(".")[0] == "initnotes":
            inside = (inner.module or "").partition(".")[2]
            names = [inside] if inside else [alias.name for alias in inner.names]
        missing = [name for name in names if name.partition(".")[0] not in [*offers, "*"]]
        yield from (f"ini.{name}, which is not there while your work is marked" for name in missing)


_OURS = ("ini", "initnotes")


def _code(notebook: Mapping[str, Any], release: Mapping[str, Any]) -> Iterator[Finding]:
    code = submission.code(notebook)
    running = submission.that_run(code, _checks(notebook, release))
    offers = _names(release, "offers") if "offers" in release else None
    untouched = {n for n, cell in enumerate(notebook["cells"], 1) if mark(cell).get("checksum") and unchanged(cell)}
    read = [_read(cell, offers) for cell in running]
    bound = {name: (each, at) for each in read for name, at in each.binds.items()}
    lost = [name for name in _names(release, "names") if name not in bound]
    elsewhere = {name: cell for cell in code if cell not in running for name in _read(cell, None).binds}
    for each in read:
        yield from _said_of(each, lost, offers, each.cell.position in untouched)
    for name in lost:
        if name in elsewhere:
            what = f"{name[:80]!r} is defined only in cell {elsewhere[name].position}, which the marker does not run."
            yield Finding(True, what, "Checks and parameters are the marker's own; move it into a cell of its own.")
        else:
            what = f"Nothing that the marker runs defines {name[:80]!r}, which is asked for."
            yield Finding(True, what, "Keep the names that the assignment gives; spelling and capitals count.")
    for name, (each, at) in bound.items():
        if _gives_up(at):
            what = f"The answer {name[:80]!r} in cell {each.cell.position} is still to come."
            advice = "Take out `raise NotImplementedError` and answer, or lose its points."
            yield Finding(name in _names(release, "names"), what, advice)


def _checks(notebook: Mapping[str, Any], release: Mapping[str, Any]) -> list[str]:
    marks = [mark(cell) for cell in notebook["cells"]]
    graded = [info["grade_id"] for info in marks if info.get("grade") and not info.get("solution")]
    return _names(release, "checks") if "checks" in release else graded


def _gives_up(node: ast.AST) -> bool:
    """Return whether a function raises NotImplementedError before it returns anything, as it was handed out."""
    for statement in node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []:
        if isinstance(statement, ast.Raise):
            return "NotImplementedError" in ast.dump(statement)
        if any(isinstance(inner, ast.Return | ast.Yield) for inner in ast.walk(statement)):
            return False
    return False


def _said_of(each: _Read, lost: list[str], offers: list[str] | None, untouched: bool) -> Iterator[Finding]:
    number, source = each.cell.position, each.cell.source
    if each.error:
        line = getattr(each.error, "lineno", None)
        message = str(getattr(each.error, "msg", None) or each.error)[:100]
        what = f"Python cannot read cell {number}{f', line {line}' if line else ''}: {message}."
        serious = any(name in source for name in lost)
        yield Finding(serious, what, "Run the cell, and repair what it complains about.")
    elif reading.readable(source) != source:
        what = f"Cell {number} has lines for Jupyter only, such as %time, !pip, help? or %%bash."
        yield Finding(False, what, "The marker runs plain Python and leaves such lines, or such a cell, out.")
    if each.stops:
        what = f"Cell {number} stops at {each.stops[:120]}."
        yield Finding(False, what, "What comes before it counts; what comes after it in this cell does not.")
    if not untouched:
        for name, at in each.binds.items():
            for wanted in dict.fromkeys(_lacks(at, offers) if isinstance(at, _FUNCTIONS) else ()):
                what = f"{name[:80]!r} in cell {number} uses {wanted[:120]}."
                yield Finding(True, what, "Write that part yourself; the assignment says what may be used.")


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


# ---- the visible checks, on request


def tried(path: Path) -> list[Finding]:
    """Run a notebook's cells in the sandbox, as "Restart and run all" does, and return which visible checks fail.

    Raises
    ------
    Malformed
        If it cannot be read.
    NoSandbox
        If the sandbox does not start.
    """
    from . import sandbox
    from .walls import NoSandbox

    notebook = read(path)
    checks = _checks(notebook, _release(notebook))
    code = [cell for cell in submission.code(notebook) if cell.grade_id != submission.VARIANT]
    cells = [{"id": cell.id, "source": cell.source} for cell in code]
    outcome = sandbox.execute(cells, [], variant=_variant(notebook), offers=None, limits=sandbox.Limits())
    if not outcome.started:
        raise NoSandbox(f"{outcome.reason}. Run the checks in Jupyter: Restart the kernel and run all cells")
    problems = {str(found["cell"]): str(found["message"]) for found, _ in outcome.messages if found["kind"] == "cell"}
    failed = [
        Finding(True, f"The check {name!r} fails: {problems[name]}.", _LOOK) for name in checks if name in problems
    ]
    if outcome.ended != "finished":
        failed.append(Finding(True, f"The notebook does not run to its end: {outcome.reason}.", _LOOK))
    return failed


_LOOK = "Run the cells in Jupyter, from the first to the last, and see."


def _variant(notebook: Mapping[str, Any]) -> Any:
    """Return the parameters in the notebook's own cell; those by which it is marked are the marker's."""
    for cell in notebook["cells"]:
        if mark(cell).get("grade_id") == submission.VARIANT:
            for name, value in _assigned(cell["source"]):
                if name == "VARIANT":
                    return value
    return {}


def _assigned(source: str) -> Iterator[tuple[str, Any]]:
    try:
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                yield node.targets[0].id, ast.literal_eval(node.value)
    except _UNPARSED:
        return


def report(path: Path, findings: Iterable[Finding], *, tried: bool = False) -> str:
    """Return what the command prints; `tried` says whether the visible checks were run."""
    findings = list(findings)
    serious = sum(finding.serious for finding in findings)
    if serious:
        end = f"{serious} of these will cost points. Repair them, save, and run this again."
    elif tried:
        end = f"{path.name} is ready to be handed in: every visible check passes. The marker asks for more cases."
    else:
        command = f"initgrade doctor --run {shlex.quote(str(path))}"
        end = f"{path.name} can be handed in. Nothing was run: `{command}` tries the checks."
    return "\n".join([*map(str, findings), end])
