"""Every assignment through the real sandbox, as `initgrade one` marks it: right and plausibly wrong submissions."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from initgrade import marking
from initgrade.sandbox import Limits

ROOT = Path(__file__).resolve().parent.parent / "coursework"
NAMES = sorted(folder.name for folder in (ROOT / "source").iterdir())
# A quarter of the memory and an eighth of the bytes of a default submission: no assignment comes near its limits.
LIMITS = Limits(memory=Limits.memory // 4, result=Limits.result // 8, seconds=60.0, cpu_seconds=30.0)


def marked(folder: Path, name: str, student: str, wrong: Path | None = None) -> dict[str, Any]:
    """Hand in the source notebook, with a wrong solution at its end if there is one, and mark it."""
    notebook = nbformat.read(ROOT / "source" / name / f"{name}.ipynb", as_version=4)
    if wrong:
        notebook.cells.append(nbformat.v4.new_code_cell(wrong.read_text(encoding="utf-8"), id="wrong"))
    path = folder / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    return marking.one(path, ROOT / "checks" / f"{name}.py", student=student, key=b"of the tests", limits=LIMITS)


def lost(result: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["message"] for row in result["requests"] if row["points"] < row["max_points"]}


@pytest.mark.parametrize("name", NAMES)
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


@pytest.mark.parametrize("name", NAMES)
def test_wrong_solutions_lose_their_requests_in_the_sandbox(name: str, sandbox: list[str], tmp_path: Path) -> None:
    path = min((ROOT / "wrong" / name).glob("*.py"))  # tests/test_coursework.py judges them all
    listed = re.search(r"^LOSES = \{(.*)\}$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed
    result = marked(tmp_path, name, "student-e", path)
    assert result["status"] == "graded", result["message"]
    assert set(lost(result)) == set(re.findall(r'"(\w+)"', listed[1])), lost(result)
