"""``make coursework-demo``: three made-up students hand in ps1, and get their pages back.

Everything happens in a temporary folder, by the commands that an instructor types. The pages and the table of marks are
copied to ``_build/coursework-demo``.
"""

import ast
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from initgrade import cli, course, doctor
from initgrade.assignment import Assignment, load, shown, variant

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "_build" / "coursework-demo"
NAME = "ps1"
SETTINGS = f"""\
course: demo
assignments:
  {NAME}: {{title: Break the symmetry, points: 10, due: 2030-03-01 23:59:00+00:00}}
limits: {{seconds: 20, cell_seconds: 5}}
"""
HANGS = """\
import time
while True:
    try:
        time.sleep(9)
    except BaseException:
        pass
"""
Answers = dict[str, str]


def folder(root: Path) -> None:
    """Make a course of one assignment."""
    for place in ("source", "wrong"):
        shutil.copytree(HERE / place / NAME, root / place / NAME)
    shutil.copy(HERE / "feedback.yml", root)
    (root / "checks").mkdir()
    shutil.copy(HERE / "checks" / f"{NAME}.py", root / "checks")
    (root / "course.yml").write_text(SETTINGS, encoding="utf-8")
    (root / "roster.csv").write_text("student\nstudent-a\nstudent-b\nstudent-c\n", encoding="utf-8")


def solved(cells: list[dict[str, Any]]) -> Answers:
    """Return the answers of the source notebook, and a sentence where a person reads."""
    answers = {}
    for cell in cells:
        if doctor.mark(cell).get("solution"):
            text = cell["source"] if cell["cell_type"] == "code" else "Because the gradients of both units are equal."
            answers[doctor.mark(cell)["grade_id"]] = text
    return answers


def own_numbers(cells: list[dict[str, Any]], assignment: Assignment, variant: dict[str, Any]) -> dict[str, str]:
    """Return the answers that a student writes out, by their cells: what the notebook's functions say for a variant."""
    space: dict[str, Any] = {"__name__": "__main__"}
    literal = {request.name: request.target for request in assignment.requests if request.literal}
    answers, last = {}, ""
    for cell in cells:
        about = doctor.mark(cell)
        name = about.get("grade_id", "")
        if cell["cell_type"] != "code" or (about.get("grade") and name not in literal):
            continue
        with contextlib.suppress(AssertionError), contextlib.redirect_stdout(io.StringIO()):  # the example's numbers
            exec(compile(cell["source"], name or "cell", "exec"), space)
        if name == "variant":
            space["VARIANT"] = json.loads(json.dumps(variant))
        last = name if about.get("solution") else last
        if name in literal:
            written = {key: rounded(value) for key, value in space["numbers"].items()}
            answers[last] = f"{literal[name]} = {written}"
    return answers


def rounded(value: Any) -> Any:
    """Return a number to six digits, as a student copies it; whole numbers and lists as they are."""
    return value if isinstance(value, int | list) else float(f"{value:.6g}")


def defined(source: str) -> set[str]:
    """Return the functions that a piece of code defines."""
    return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def partly_wrong(answers: Answers, cells: list[dict[str, Any]]) -> Answers:
    """Return the answers with the first plausible mistake that the tests know for this assignment."""
    wrong = min((HERE / "wrong" / NAME).glob("*.py")).read_text(encoding="utf-8")
    code = {doctor.mark(cell)["grade_id"] for cell in cells if cell["cell_type"] == "code" and doctor.mark(cell)}
    replaced = {name: wrong for name, text in answers.items() if name in code and defined(text) & defined(wrong)}
    return {**answers, **replaced}


def hanging(answers: Answers, cells: list[dict[str, Any]]) -> Answers:
    """Return the answers with a loop that never ends, and that no interrupt ends, at the end of the last function."""
    last = [name for name, text in answers.items() if "def " in text][-1]
    return {**answers, last: f"{answers[last]}\n{HANGS}"}


def hand_in(place: course.Course, student: str, answers: Answers, when: datetime) -> None:
    """Fill a student's copy in, and put it where nbgrader collects it."""
    notebook = doctor.read(place.handout(NAME, student))
    assignment = load(place.checks(NAME))
    own = shown(variant(assignment, course.key(place), student))
    answers = answers | own_numbers(doctor.read(place.source(NAME))["cells"], assignment, own)
    for cell in notebook["cells"]:
        cell["source"] = answers.get(doctor.mark(cell).get("grade_id", ""), cell["source"])
    path = place.submitted(NAME, student)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (path.parent / "timestamp.txt").write_text(f"{when:%Y-%m-%d %H:%M:%S} UTC\n", encoding="utf-8")


def command(root: Path, *words: str) -> None:
    """Type a command."""
    print(f"\n$ initgrade {' '.join(words)}", flush=True)
    if status := cli.main(["--course", str(root), *words]):
        sys.exit(f"initgrade {words[0]} ended with {status}")


def demonstrate(root: Path) -> None:
    """Run the course from its release to its pages."""
    folder(root)
    command(root, "release", NAME)
    place = course.load(root)
    cells = doctor.read(place.source(NAME))["cells"]
    right = solved(cells)
    kinds: dict[str, Callable[[Answers, list[dict[str, Any]]], Answers]] = {
        "student-a": lambda answers, _: answers,
        "student-b": partly_wrong,
        "student-c": hanging,
    }
    for day, (student, change) in enumerate(kinds.items(), start=1):
        hand_in(place, student, change(right, cells), datetime(2030, 3, day, 12, tzinfo=UTC))
    print(
        "\nstudent-a hands in a correct notebook; student-b one with a mistake, a day late; student-c one that hangs."
    )
    command(root, "doctor", str(place.submitted(NAME, "student-a")))
    for words in (("run", NAME, "-j1"), ("merge", NAME), ("feedback", NAME), ("export", NAME)):
        command(root, *words)


def main() -> None:
    """Run the demonstration, and say where its pages are."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        demonstrate(root)
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir(parents=True)
        for page in sorted((root / "feedback").glob("*/*/*.html")):
            shutil.copy(page, OUT / f"{page.parts[-3]}.html")
        cli.main(["--course", str(root), "export", NAME, "--csv", str(OUT / "marks.csv")])
    print("\nThe pages that the students get:")
    for page in sorted(OUT.glob("*.html")):
        print(f"  {os.path.relpath(page)}")


if __name__ == "__main__":
    main()
