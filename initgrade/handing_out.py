"""The students' version of an assignment, and each student's copy of it.

What lives here makes and checks what leaves the course's folder; marks are for `paperwork`.
"""

import ast
import logging
import pprint
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import doctor
from .assignment import Assignment, load, shown, variant
from .books import gradebook
from .course import Course, CourseError, key, roster
from .offering import modules, sentence
from .records import write
from .submission import MOST_BYTES
from .to_mark import dumps

_LEFT_OVER = ("BEGIN SOLUTION", "END SOLUTION", "MARK SCHEME", "HIDDEN TESTS")


class _Complaints(logging.Handler):
    """Keeps what nbgrader says about an error, which its exception leaves out."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().strip())


# ---- release


def release(course: Course, assignment: str) -> list[Path]:
    """Make the students' version of an assignment, and each student's copy of it.

    Parameters
    ----------
    course : Course
        With the source notebook, the checks and the roster.
    assignment : str
        Its name.

    Returns
    -------
    list of Path
        The students' version, then one copy for each student of the roster, with the student's own ``VARIANT``.

    Raises
    ------
    CourseError
        If nbgrader refuses the notebook, a solution would be left in it, or it does not fit the checks. What was
        released before stays as it was.
    """
    course.entry(assignment)
    for path in (course.source(assignment), course.checks(assignment)):
        if not path.is_file():
            raise CourseError(f"{path} is missing; an assignment needs its notebook and its checks")
    checks, students, secret = load(course.checks(assignment)), roster(course), key(course)
    modules(checks.offers)  # raises where they are not to be had, or more would come along
    if checks.name != assignment:
        raise CourseError(
            f"{course.checks(assignment)} is about {checks.name!r}; its ASSIGNMENT is to be {assignment!r}"
        )
    with tempfile.TemporaryDirectory(dir=course.root, prefix=".release-") as draft:
        _generate(course, checks, Path(draft).name)
        made = replace(course, root=Path(draft))  # all of it is made there, and put in place when nothing can fail
        notebook = _finished(doctor.read(made.release(assignment)), checks)
        notebook["metadata"]["initgrade"]["largest"] = course.limits.get("notebook", MOST_BYTES)
        write(made.release(assignment), dumps(notebook))
        for student in students:
            _hand_out(made, notebook, checks, secret, student.name)
        files = [course.release(assignment), *(course.handout(assignment, student.name) for student in students)]
        for file in files:
            _put(Path(draft) / file.parent.relative_to(course.root), file.parent)
    return files


def _put(made: Path, place: Path) -> None:
    """Put a folder in the place of another: data files that are there no more go with it."""
    before = made.with_name(f"{made.name}.before")
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        place.rename(before)
    try:
        made.rename(place)
    except OSError:
        if before.exists():
            before.rename(place)
        raise


def _generate(course: Course, checks: Assignment, folder: str) -> None:
    """Let nbgrader make the students' version below `folder`, and note its cells in the gradebook if it is sound."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.preprocessors import ClearSolutions, SaveCells
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.update({"root": str(course.root), "course_id": course.name, "assignment_id": checks.name})
    config.CourseDirectory.release_directory = f"{folder}/release"
    with gradebook(course):
        pass  # there is one now, so nbgrader does not look for alembic
    log, complaints = logging.Logger("nbgrader", logging.ERROR), _Complaints()
    log.addHandler(complaints)
    place = CourseDirectory(config=config, log=log)
    generate = GenerateAssignment(coursedir=place, config=config, log=log, force=True)
    refused: list[CourseError] = []

    def check(notebook: Any, resources: Any) -> tuple[Any, Any]:
        try:
            _finished(notebook, checks)
        except CourseError as error:
            refused.append(error)
            raise
        return notebook, resources

    steps = [step for step in generate.preprocessors if step is not SaveCells]
    steps.insert(steps.index(ClearSolutions), _keep_question)
    generate.preprocessors = [*steps, check, SaveCells]  # the gradebook learns of no notebook that is not released
    try:
        generate.start()
    except Exception as error:
        said = "\n".join(complaints.lines) or str(error)
        raise (refused or [CourseError(f"nbgrader did not release {checks.name}:\n{said}")])[0] from None


def _keep_question(notebook: Any, resources: Any) -> tuple[Any, Any]:
    """Let nbgrader replace the rubric of a question by the place for the answer, and keep the question.

    It would clear the whole cell, or refuse a rubric in a cell that is to be answered.
    """
    for cell in notebook.cells:
        if doctor.mark(cell).get("solution") and cell.cell_type == "markdown" and "BEGIN SOLUTION" not in cell.source:
            cell.source = cell.source.replace("BEGIN MARK SCHEME", "BEGIN SOLUTION")
            cell.source = cell.source.replace("END MARK SCHEME", "END SOLUTION")
    return notebook, resources


def _finished(notebook: Any, checks: Assignment) -> Any:
    """Return the released notebook with what ``doctor`` needs, if nothing is left in it that must not leave."""
    for cell in notebook["cells"]:
        for words in _LEFT_OVER:
            if words in cell["source"].upper():
                raise CourseError(f"{checks.name}.ipynb still says {words!r} in: {cell['source'][:200]}")
    marks = [doctor.mark(cell) for cell in notebook["cells"] if doctor.mark(cell)]
    graded = {mark["grade_id"]: float(mark["points"]) for mark in marks if mark["grade"] and not mark["solution"]}
    asked = {request.name: float(request.points) for request in checks.requests}
    if graded != asked:
        odd = sorted(set(graded.items()) ^ set(asked.items()))
        raise CourseError(f"{checks.name}.ipynb and its checks differ in: {', '.join(f'{n} ({p:g})' for n, p in odd)}")
    for cell in notebook["cells"]:
        if doctor.mark(cell).get("grade_id") == "variant":
            _filled(cell, {})
    names = list(dict.fromkeys(request.target for request in checks.requests))
    about = {"assignment": checks.name, "names": names, "checks": list(asked), "offers": list(checks.offers)}
    by_hand = [mark["grade_id"] for mark in marks if mark["grade"] and mark["solution"]]
    about |= {"cells": [mark["grade_id"] for mark in marks], "by_hand": by_hand}
    notebook["metadata"]["initgrade"] = about
    _say_what_is_offered(notebook, checks)
    return notebook


def _say_what_is_offered(notebook: Any, checks: Assignment) -> None:
    """Let the first text of a notebook end with the sentence on initnotes."""
    said = sentence(checks.offers)
    texts = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown" and not doctor.mark(cell)]
    if not texts:
        raise CourseError(
            f"{checks.name}.ipynb has no text outside questions; the first one says what initnotes offers"
        )
    if said not in texts[0]["source"]:
        texts[0]["source"] = f"{texts[0]['source'].rstrip()}\n\n{said}"


def _hand_out(course: Course, notebook: dict[str, Any], checks: Assignment, secret: bytes, student: str) -> Path:
    values = shown(variant(checks, secret, student))
    cells = [
        _filled(cell, values) if doctor.mark(cell).get("grade_id") == "variant" else cell for cell in notebook["cells"]
    ]
    path = course.handout(checks.name, student)
    shutil.copytree(course.release(checks.name).parent, path.parent)  # data files come along
    write(path, dumps({**notebook, "cells": cells}))
    return path


def _filled(cell: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the cell in which ``VARIANT`` has these values, with nbgrader's check sum of the new text."""
    lines = cell["source"].split("\n")
    for node in ast.parse(cell["source"]).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VARIANT":
            text = "VARIANT = " + pprint.pformat(values, width=110, sort_dicts=False)
            lines[node.lineno - 1 : node.end_lineno] = [text]
            return doctor.sealed({**cell, "source": "\n".join(lines)})
    raise CourseError("the cell 'variant' has no line VARIANT = {...}; it is where a student's parameters go")
