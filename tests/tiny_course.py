"""A course made for tests: one assignment with two requests and a question, three students, and results as stored."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from initgrade import course as courses
from initgrade.course import Course
from initgrade.submission import handed_in

CHECKS = """
import numpy as np
from initgrade.assignment import Assignment, Request, Verdict

SECRET = "the hidden check compares with 42"

def judge(value, arguments, variant):
    return Verdict(1.0 if value == variant["n"] * arguments["x"] else 0.0, "compare with n times x")

ASSIGNMENT = Assignment(
    "tiny", "A tiny one",
    (
        Request("times_check", "times", 3.0, judge, lambda variant, rng: {"x": int(rng.integers(1, 9))}),
        Request("answer_check", "answer", 2.0, judge, call=False),
    ),
    lambda rng: {"n": int(rng.integers(2, 10**9)), "flag": None},
)
"""


def nbgrader(name: str, **info: Any) -> dict[str, Any]:
    """Return a cell's metadata."""
    base = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, "grade_id": name}
    return {"nbgrader": {**base, **info}}


def cell(kind: str, source: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a cell as a notebook's file has it."""
    made = {"cell_type": kind, "metadata": metadata or {}, "source": source}
    made["id"] = hashlib.sha256(source.encode()).hexdigest()[:12]
    return {**made, "outputs": [], "execution_count": None} if kind == "code" else made


def source() -> dict[str, Any]:
    """Return the instructor's notebook."""
    times = 'def times(x):\n    ### BEGIN SOLUTION\n    return VARIANT["n"] * x\n    ### END SOLUTION'
    question = "Why?\n\n=== BEGIN MARK SCHEME ===\n1 point: because.\n=== END MARK SCHEME ==="
    cells = [
        cell("markdown", "# Tiny"),
        cell("code", '# yours\nVARIANT = {\n    "n": 7,\n}', {**nbgrader("variant", locked=True), "tags": ["variant"]}),
        cell("code", times, nbgrader("times", solution=True)),
        cell("code", "assert times(2) == 14", nbgrader("times_check", grade=True, locked=True, points=3)),
        cell("code", "### BEGIN SOLUTION\nanswer = 1\n### END SOLUTION", nbgrader("answer", solution=True)),
        cell("code", "assert answer > 0", nbgrader("answer_check", grade=True, locked=True, points=2)),
        cell("markdown", question, nbgrader("explain", grade=True, solution=True, points=4)),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}


def make(root: Path, *, settings: str = "{points: 10}", late: str = "{}") -> Course:
    """Write the course's folder."""
    (root / "source/tiny").mkdir(parents=True)
    (root / "checks").mkdir()
    (root / "source/tiny/tiny.ipynb").write_text(json.dumps(source()))
    (root / "checks/tiny.py").write_text(CHECKS)
    (root / "course.yml").write_text(f"course: a-course\nassignments:\n  tiny: {settings}\nlate: {late}\n")
    (root / "roster.csv").write_text("student,extension_days\nstudent-a,0\nstudent-b,1\nstudent-c,0\n")
    return courses.load(root)


def hand_in(course: Course, student: str, answers: dict[str, str], stamp: str = "") -> Path:
    """Hand in a student's copy, with answers in it."""
    given = course.handout("tiny", student)
    notebook = json.loads((given if given.is_file() else course.release("tiny")).read_text())
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        cell["source"] = answers.get(name, cell["source"])
    path = course.submitted("tiny", student)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook))
    if stamp:
        (path.parent / "timestamp.txt").write_text(stamp)
    return path


def request(name: str, points: float, most: float, **more: Any) -> dict[str, Any]:
    """Return one request's part of a result."""
    status = "passed" if points == most else "partly" if points else "failed"
    base = {"name": name, "points": points, "max_points": most, "status": status, "message": "", "p_value": None}
    return {**base, "plot": None, **more}


def result(student: str, points: tuple[float, float] = (3.0, 2.0), **more: Any) -> dict[str, Any]:
    """Return a result."""
    requests = [request("times_check", points[0], 3.0), request("answer_check", points[1], 2.0)]
    hashes = {"submission": None, "checks": "c", "packages": "p"}
    base = {"format": 1, "assignment": "tiny", "student": student, "status": "graded", "message": "", "cells": []}
    base |= {"score": sum(points), "max_score": 5.0, "requests": requests, "hashes": hashes, "manual_points": None}
    return {**base, "seeds": {"entropy": 5}, "variant": {"n": 7}, "seconds": 0.1, "output": "", **more}


def store(course: Course, result: dict[str, Any]) -> Path:
    """Store a result, with the hash of what was handed in."""
    path = course.submitted("tiny", result["student"])
    if result["hashes"]["submission"] is None:
        result["hashes"] = {**result["hashes"], "submission": handed_in(path)}
    path = course.results("tiny") / f"{result['student']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))
    return path


def dies(place: Path, times: int, student: str) -> dict[str, Any]:
    """Mark a student, but end the marker's process so many times before; here, as that process imports this file."""
    before = len(list(place.glob("died-*")))
    if student == "b" and before < times:
        (place / f"died-{before}").touch()
        os._exit(1)
    return {"student": student}
