"""The copies of submissions that a person reads in nbgrader's formgrader, to give marks by hand.

What lives here fits a submission into the released notebook; the marks are for `paperwork`.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import doctor
from .course import Course
from .submission import Malformed

_OURS = "initgrade"
_RUBRIC = re.compile(r"^.*BEGIN MARK SCHEME.*\n((?:.*\n)*?).*END MARK SCHEME", re.MULTILINE)


def dumps(notebook: Mapping[str, Any]) -> str:
    """Return a notebook as text, in the form that nbformat writes."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


@dataclass(frozen=True)
class Answer:
    """Whether a solution cell was answered, and whether it was answered otherwise than when it was last merged."""

    given: bool
    changed: bool


def copy(
    course: Course, assignment: str, student: str, *, readable: bool, marked: str | None = None
) -> tuple[str, dict[str, Answer]]:
    """Return the text of the copy that formgrader shows, and the state of each answer in it.

    The answers are compared with those of the copy that is there, so the caller writes the new one when the marks that
    belong to it are in the gradebook: if that fails, the next merge still sees what has changed. `marked`, the hash of
    what was marked, is kept in it for `merged`.

    It is the released notebook with the student's answers and the rubrics in it. Formgrader shows it in the browser of
    one who may change every mark, so no HTML, output or metadata of the student's is in it.
    """
    released, path = doctor.read(course.release(assignment)), course.to_mark(assignment, student)
    before = _answers(doctor.read(path)) if path.is_file() else {}
    given: dict[str, Any] = {"cells": []}
    if readable:  # what the marker refused may be a link to another student's folder
        with contextlib.suppress(Malformed):
            given = doctor.read(course.submitted(assignment, student))
    answered = _merged(released, given)
    rubrics = _rubrics(course, assignment)
    after, stubs = _answers(answered), _answers(released)
    cells = [
        part for cell in answered["cells"] for part in (cell, *rubrics.get(doctor.mark(cell).get("grade_id", ""), []))
    ]
    states = {n: Answer(text != stubs[n], n in before and before[n] != text) for n, text in after.items()}
    about = {**answered["metadata"], _OURS: {**answered["metadata"].get(_OURS, {}), "submission": marked}}
    return dumps({**answered, "metadata": about, "cells": cells}), states


def merged(course: Course, assignment: str, student: str, marked: str | None) -> bool:
    """Return whether the copy is there and was made of what has this hash: then its marks were merged."""
    path = course.to_mark(assignment, student)
    return path.is_file() and doctor.read(path)["metadata"].get(_OURS, {}).get("submission", "") == marked


def _rubrics(course: Course, assignment: str) -> dict[str, list[dict[str, Any]]]:
    """Return, for each question that has a rubric in the source, a cell that shows it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in doctor.read(course.source(assignment))["cells"]:
        if rubric := _RUBRIC.search(cell["source"]):
            name = doctor.mark(cell).get("grade_id", "")
            text = f"**Rubric**\n\n{rubric[1].strip()}"
            found[name] = [{"id": f"rubric-{len(found)}", "cell_type": "markdown", "metadata": {}, "source": text}]
    return found


def _answers(notebook: Mapping[str, Any]) -> dict[str, str]:
    cells = [cell for cell in notebook["cells"] if doctor.mark(cell).get("solution")]
    return {doctor.mark(cell)["grade_id"]: cell["source"] for cell in cells}


def _merged(released: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the released cells with the student's answers, and the cells that the student added at the end."""
    answers: dict[str, str] = {}
    for cell in given["cells"]:
        if doctor.mark(cell):
            answers.setdefault(doctor.mark(cell)["grade_id"], cell["source"])
    cells = []
    for cell in released["cells"]:
        info = doctor.mark(cell)
        answer = answers.get(info["grade_id"], cell["source"]) if info.get("solution") else cell["source"]
        own = {} if answer == cell["source"] else {"source": _harmless(cell["cell_type"], answer)}
        cells.append({**cell, **own})
    known = {cell["source"] for cell in released["cells"]}
    added = [cell for cell in given["cells"] if not doctor.mark(cell) and cell["source"] not in known]
    return {**released, "cells": [*cells, *map(_added, added, range(len(added)))]}


def _added(cell: Mapping[str, Any], number: int) -> dict[str, Any]:
    kind = "code" if cell["cell_type"] == "code" else "markdown"
    made = {"id": f"added-{number}", "cell_type": kind, "metadata": {}, "source": _harmless(kind, cell["source"])}
    return {**made, "outputs": [], "execution_count": None} if kind == "code" else made


def _harmless(kind: str, source: str) -> str:
    from bleach import clean

    text = "".join(character for character in source if character >= " " or character in "\n\t")
    return text if kind == "code" else clean(text, tags=set(), attributes={})
