"""Equal and nearly equal submissions are reported, and those that are not alike are not."""

import hashlib
import json
from pathlib import Path

import nbformat
import pytest

from initgrade import cli, likeness, marking, paperwork
from initgrade.submission import Cell, Submission
from tests import tiny_course

FIRST = """
def forward(weights, biases, inputs):
    \"\"\"Return what the course asks for.\"\"\"
    h, squares = inputs, []
    for weight, bias in zip(weights, biases, strict=True):
        z = h @ weight.T + bias
        squares.append(float(np.mean(z**2)))
        h = np.maximum(z, 0.0)
    return squares
"""
RENAMED = FIRST.replace("squares", "out").replace("weight,", "w,").replace("weight.T", "w.T").replace("Return", "Say")
RENAMED = RENAMED.replace("    h, out", "    # mine\n    h,   out")
CHANGED = FIRST.replace("0.0)", "0.0 * z)")
OTHER = """
def forward(weights, biases, inputs):
    \"\"\"Return what the course asks for.\"\"\"
    signal = inputs.T
    found = np.zeros(len(weights))
    for layer in range(len(weights)):
        signal = weights[layer].dot(signal) + biases[layer][:, None]
        found[layer] = (signal * signal).mean()
        signal[signal < 0] = 0
    return found.tolist()
"""


def submission(code: str, salt: str = "") -> Submission:
    cell = Cell("solve_forward", 1, code, solution=True, tags=())
    given = Cell("given", 2, "def helper(x):\n    return x\n" * 20, solution=False, tags=())
    return Submission((cell, given), hashlib.sha256((code + salt).encode()).hexdigest())


def found(**codes: str) -> list[str]:
    return [str(group) for group in likeness.alike({name: submission(code, name) for name, code in codes.items()})]


def test_equal_files_and_equal_answers() -> None:
    same = {"a": submission(FIRST), "b": submission(OTHER), "c": submission(FIRST)}
    assert [str(group) for group in likeness.alike(same)] == ["a = c: the same file"]
    assert found(a=FIRST, b=OTHER, c=FIRST) == ["a = c: the same answers but for names, comments and spaces"]
    assert found(a=FIRST, b=RENAMED) == ["a = b: the same answers but for names, comments and spaces"]


def test_nearly_equal_answers_and_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "NEARLY", 0.8)
    [line] = found(a=FIRST, b=CHANGED, c=OTHER)
    assert line.startswith("a ~ b: ")
    assert "common" in line
    assert found(a=FIRST, b=OTHER) == []


def test_answers_that_are_published() -> None:
    groups = likeness.alike({"a": submission(RENAMED, "a")}, submission(FIRST))
    assert [group.students for group in groups] == [("a", likeness.PUBLISHED)]


def test_little_code_says_nothing() -> None:
    short = "def f(x):\n    return x"
    assert found(a=short, b=short) == []


def test_report_reads_what_can_be_read(tmp_path: Path) -> None:
    def lines() -> list[str]:
        return list(likeness.report(tmp_path / "submitted", "ps0", tmp_path / "missing.ipynb"))

    assert lines() == []
    for student in ("a", "b", "broken"):
        cell = nbformat.v4.new_code_cell(FIRST, id="one", metadata={"nbgrader": {"solution": True}})
        path = tmp_path / "submitted" / student / "ps0" / "ps0.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    path.write_text("{", encoding="utf-8")
    (tmp_path / "submitted" / "c").symlink_to(tmp_path / "submitted" / "a")
    assert lines()[1:] == ["  a = b: the same file"]


@pytest.mark.parametrize("verb", ["run", "merge"])
def test_run_and_merge_report(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    course = tiny_course.make(tmp_path)
    for student in ("student-a", "student-b"):
        path = course.submitted("tiny", student)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(tiny_course.source()), encoding="utf-8")
    monkeypatch.setattr(marking, "run", lambda *_, **__: [{"student": "student-a", "status": "graded", "message": ""}])
    monkeypatch.setattr(paperwork, "merge", lambda *_: paperwork.Merged())
    assert cli.main(["--course", str(tmp_path), verb, "tiny"]) == 0
    assert "student-a = student-b: the same file" in capsys.readouterr().out
