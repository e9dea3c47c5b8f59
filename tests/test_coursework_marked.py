"""Every assignment through the real sandbox, as `initgrade one` marks it: right and plausibly wrong submissions."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

from coursework import demo
from coursework.rehearsal import NAMES, ROOT, loses
from initgrade import doctor, marking
from initgrade.assignment import load, shown, variant
from initgrade.sandbox import Limits

# A quarter of the memory and an eighth of the bytes of a default submission: no assignment comes near its limits.
LIMITS = Limits(memory=Limits.memory // 4, result=Limits.result // 8, seconds=60.0, cpu_seconds=30.0)


def marked(folder: Path, name: str, student: str, wrong: Path | None = None, neighbor: str = "") -> dict[str, Any]:
    """Hand in the source notebook with the student's numbers, and a wrong solution at its end if there is one."""
    notebook = nbformat.read(ROOT / "source" / name / f"{name}.ipynb", as_version=4)
    checks = load(ROOT / "checks" / f"{name}.py")
    numbers = demo.own_numbers(notebook.cells, checks, shown(variant(checks, b"of the tests", neighbor or student)))
    for cell in notebook.cells:
        cell.source = numbers.get(doctor.mark(cell).get("grade_id", ""), cell.source)
    if wrong:
        notebook.cells.append(nbformat.v4.new_code_cell(wrong.read_text(encoding="utf-8"), id="wrong"))
    path = folder / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    return marking.one(path, ROOT / "checks" / f"{name}.py", student=student, key=b"of the tests", limits=LIMITS)


def lost(result: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["message"] for row in result["requests"] if row["points"] < row["max_points"]}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.integration] * (name == "capstone2")) for name in NAMES]
)
def test_reference_solutions_get_full_marks_in_the_sandbox(name: str, sandbox: list[str], tmp_path: Path) -> None:
    result = marked(tmp_path, name, "student-d")
    assert (result["status"], result["cells"], lost(result)) == ("graded", [], {}), result["message"]
    assert result["score"] == result["max_score"] > 0


def test_the_reference_is_out_of_reach(sandbox: list[str], tmp_path: Path) -> None:
    """A gain that asks initnotes passes the visible check, which may use it, and earns nothing."""
    theirs = "def gain(*mix, **named):\n    return ini.theory.gain(lambda z: phi(z, *mix, **named))\n"
    (tmp_path / "theirs.py").write_text(f"import initnotes as ini\n{theirs}")
    result = marked(tmp_path, "ps6", "student-f", tmp_path / "theirs.py")
    assert result["status"] == "graded"
    assert list(lost(result)) == ["gain"]
    assert "initnotes offers nothing while this assignment is marked" in lost(result)["gain"]


@pytest.mark.parametrize("name", ["ps1", "capstone"])
def test_wrong_solutions_lose_their_requests_in_the_sandbox(name: str, sandbox: list[str], tmp_path: Path) -> None:
    """Of one in which cells define functions only, and of one whose judge trains; the next test has three more."""
    known = sorted((ROOT / "wrong" / name).glob("*.py"))  # tests/test_coursework_lottery.py judges them all
    path = next(path for path in known if path.stem != "from_initnotes")
    assert loses(path) == set(lost(marked(tmp_path, name, "student-e", path)))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "wrong").glob("*/from_initnotes.py")), ids=lambda path: path.parent.name
)
def test_answers_of_the_books_package_lose(path: Path, sandbox: list[str], tmp_path: Path) -> None:
    assert loses(path) == set(lost(marked(tmp_path, path.parent.name, "student-e", path)))


@pytest.mark.parametrize("name", ["ps2", "ps6"])
def test_a_neighbors_file_loses_a_third_in_the_sandbox(name: str, sandbox: list[str], tmp_path: Path) -> None:
    """The functions are right for everybody, and the numbers are another student's."""
    result = marked(tmp_path, name, "student-d", neighbor="student-e")
    assert lost(result).keys() >= {"own"}
    assert lost(result).keys() <= {"own", "own_network"}
    assert result["score"] < 0.75 * result["max_score"]


def test_numbers_that_are_calculated_do_not_count(sandbox: list[str], tmp_path: Path) -> None:
    wrong = tmp_path / "calculated.py"
    wrong.write_text('OWN = {"gain": gain(*[VARIANT[name] for name in "abcd"])}\nLOSES = {"own"}\n', encoding="utf-8")
    result = marked(tmp_path, "ps6", "student-d", wrong)
    assert "write the numbers themselves" in lost(result)["own"]
