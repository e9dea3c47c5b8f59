"""The assignments, and solutions of them marked in this process: a sandbox is for what students hand in.

What lives here runs the notebooks' reference solutions and the mistakes in ``wrong/``, asks what the marker asks, and
judges what comes back. The tests and `lottery` use it.
"""

import ast
import json
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbformat import NotebookNode

from coursework import demo
from initgrade import questions
from initgrade.assignment import Assignment, Request, Variant, Verdict, load, shown, variant

ROOT = Path(__file__).resolve().parent
NAMES = sorted(folder.name for folder in (ROOT / "source").iterdir() if folder.is_dir())
# What asks the book's package is right outside the sandbox; tests/test_coursework_marked.py marks it inside.
WRONG = sorted(path for path in (ROOT / "wrong").glob("*/*.py") if path.stem != "from_initnotes")
KEY = b"a key of the tests"
Space = dict[str, Any]


@cache
def source(name: str) -> NotebookNode:
    """Return an assignment's notebook, with its solutions."""
    return nbformat.read(ROOT / "source" / name / f"{name}.ipynb", as_version=4)


@cache
def checks(name: str) -> Assignment:
    """Return what is asked of an assignment."""
    return load(ROOT / "checks" / f"{name}.py")


def own(name: str, student: str) -> Variant:
    """Return a student's parameters."""
    return variant(checks(name), KEY, student)


def about(cell: NotebookNode) -> dict[str, Any]:
    """Return what nbgrader knows of a cell."""
    return dict(cell.metadata.get("nbgrader", {}))


compiled = cache(partial(compile, mode="exec"))


def execute(cell: NotebookNode, space: Space) -> None:
    """Run a cell."""
    exec(compiled(cell.source, cell.id), space)


def literals(name: str) -> dict[str, str]:
    """Return the requests of an assignment that are read as they stand, and their variables."""
    return {request.name: request.target for request in checks(name).requests if request.literal}


def run(notebook: NotebookNode, given: Variant | None = None, *, literal: Mapping[str, str] | None = None) -> Space:
    """Execute what the marker executes: all code cells but the visible checks.

    `literal` names the checks that print what a student writes out, and the variable: it then holds what belongs to
    `given`, as a student copies it.
    """
    space, literal = {"__name__": "__main__"}, literal or {}
    for cell in notebook.cells:
        name = about(cell).get("grade_id")
        if cell.cell_type == "code" and (not about(cell).get("grade") or name in literal):
            with suppress(AssertionError) if name in literal else nullcontext():
                execute(cell, space)
            if given is not None and "variant" in cell.metadata.get("tags", []):
                space["VARIANT"] = shown(given)
        if name in literal:
            space[literal[name]] = {key: demo.rounded(value) for key, value in space["numbers"].items()}
    return space


def solved(name: str, given: Variant) -> Space:
    """Return what a student with the reference solutions has, own numbers included."""
    return run(source(name), given, literal=literals(name))


def mistaken(path: Path, space: Space) -> set[str]:
    """Put a file of ``wrong/`` at the end of a solution; return the names that stand for something else now."""
    before = dict(space)
    exec(compiled(path.read_text(encoding="utf-8"), str(path)), space)
    return {name for name, value in space.items() if name not in before or value is not before[name]}


def loses(path: Path) -> set[str]:
    """Return the requests that a mistake loses, as its file says."""
    [line] = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("LOSES")]
    found: set[str] = ast.literal_eval(line.partition("=")[2].strip())
    return found


def cross(value: Any) -> Any:
    """Return what is left of a value on its way to the judge: plain containers, numbers and arrays."""
    if isinstance(value, dict):
        return {key: cross(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [cross(part) for part in value]
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    return np.array(value, copy=True, subok=False) if isinstance(value, np.ndarray) else value


def answer(request: Request, space: Space, arguments: Mapping[str, Any]) -> Any:
    """Call the function that is asked for, or read the variable."""
    if not request.call:
        return space[request.target]
    named = {key: cross(given) for key, given in arguments.items() if key != "seed"}
    if "seed" in arguments:
        named["rng"] = np.random.default_rng(arguments["seed"])
    return space[request.target](**named)


def answered(asked: questions.Asked, space: Space) -> list[Any] | Verdict:
    """Return the values of all calls; what raises is lost, as the marker has it."""
    try:
        return [cross(answer(asked.request, space, arguments)) for arguments in asked.arguments]
    except Exception as error:
        return Verdict(0.0, f"raised {type(error).__name__}: {error}")


def decided(asked: questions.Asked, found: list[Any] | Verdict, given: Variant) -> Verdict:
    """Judge values."""
    if isinstance(found, Verdict):
        return found
    seen = (found, asked.arguments) if asked.request.several else (found[0], asked.arguments[0])
    return asked.request.judge(*seen, given)


def judged(asked: questions.Asked, space: Space, given: Variant) -> Verdict:
    """Ask one request, and judge what comes back."""
    return decided(asked, answered(asked, space), given)


@cache
def student(name: str, number: int) -> Variant:
    """Return the parameters of one of many students, as they are stored."""
    stored: Variant = json.loads(json.dumps(own(name, f"student-{number}")))
    return stored
