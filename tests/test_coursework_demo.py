"""`make coursework-demo`: the commands of the guide, from the release to the pages and the table."""

import csv
import html
import json
from pathlib import Path

import pytest

from coursework import demo
from initgrade import assignment, doctor
from initgrade import course as courses

pytestmark = pytest.mark.integration


def test_the_demonstration_ends_with_pages_and_marks(
    sandbox: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a shorter wait for the notebook that hangs."""
    monkeypatch.setattr(demo, "OUT", tmp_path / "_build")
    monkeypatch.setattr(demo, "SETTINGS", demo.SETTINGS.replace("seconds: 20,", "seconds: 6,"))
    assert "seconds: 6," in demo.SETTINGS
    demo.main()
    said = capsys.readouterr().out
    for verb in ("release", "doctor", "run", "merge", "feedback", "export"):
        assert f"$ initgrade {verb} " in said
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "_build").glob("*.html")}
    assert sorted(pages) == ["student-a", "student-b", "student-c"]
    assert "did not finish in time" in pages["student-c"]
    space: dict[str, dict[str, str]] = {}
    exec(min((demo.HERE / "wrong" / demo.NAME).glob("*.py")).read_text(encoding="utf-8"), space)
    hints = [html.escape(hint, quote=True) for hint in space["HINTS"].values()]
    assert all(hint in pages["student-b"] for hint in hints)
    assert not any(hint in pages["student-a"] for hint in hints)
    assert "Read again: Chapter 1, " in pages["student-b"]
    assert "1 timed out" in said
    table = (tmp_path / "_build/marks.csv").read_text(encoding="utf-8").splitlines()
    rows = {row["student"]: row for row in csv.DictReader(table)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "student-a": "graded", "student-b": "graded", "student-c": "timed_out",
    }  # fmt: skip
    scores = [float(rows[name]["score"]) for name in sorted(rows)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == assignment.load(demo.HERE / "checks" / f"{demo.NAME}.py").max_score
    assert scores[2] == 0.0


def test_the_wrong_submission_differs_in_what_the_mistake_defines(tmp_path: Path) -> None:
    demo.folder(tmp_path)
    cells = doctor.read(courses.load(tmp_path).source(demo.NAME))["cells"]
    right = demo.solved(cells)
    wrong, hangs = demo.partly_wrong(right, cells), demo.hanging(right, cells)
    mistake = demo.defined(min((demo.HERE / "wrong" / demo.NAME).glob("*.py")).read_text(encoding="utf-8"))
    changed = {name for name in right if wrong[name] != right[name]}
    assert changed
    assert all(demo.defined(right[name]) & mistake for name in changed)
    assert json.dumps(hangs).count("while True") == json.dumps(right).count("while True") + 1
