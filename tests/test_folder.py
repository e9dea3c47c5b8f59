"""The course's folder: a lost key stops everything, and `erase` finds every copy."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from initgrade import books, cli, doctor, handing_out, offering, paperwork
from initgrade import course as courses
from initgrade.assignment import load
from initgrade.course import Course, CourseError
from initgrade.sandbox import Limits
from initgrade.walls import NoSandbox
from tests.tiny_course import hand_in, result, store

COURSEWORK = Path(__file__).resolve().parent.parent / "coursework"


@pytest.fixture(scope="module")
def merged(released: Course, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """Return a course with the marks of two students in its gradebook."""
    made = courses.load(shutil.copytree(released.root, tmp_path_factory.mktemp("merged") / "course"))
    for student in ("student-a", "student-b"):
        hand_in(made, student, {"explain": f"I am {student}."})
        store(made, result(student))
    paperwork.merge(made, "tiny")
    return made


@pytest.fixture
def course(merged: Course, tmp_path: Path) -> Course:
    shutil.copytree(merged.root, tmp_path / "course")
    return courses.load(tmp_path / "course")


def test_the_release_says_what_initnotes_offers(course: Course) -> None:
    notebook = doctor.read(course.release("tiny"))
    said = "While your work is marked, `initnotes` offers nothing: what else it has is for checks and trials, not for"
    assert notebook["cells"][0]["source"] == f"# Tiny\n\n{said} your answers."
    assert doctor.read(course.handout("tiny", "student-a"))["cells"][0] == notebook["cells"][0]
    about = notebook["metadata"]["initgrade"]
    assert about["largest"] == Limits.notebook
    assert (about["offers"], about["checks"], about["by_hand"]) == ([], ["times_check", "answer_check"], ["explain"])
    assert "offers `ini.data` and `ini.theory` only:" in offering.sentence(["data", "theory"])


@pytest.mark.parametrize("path", sorted(COURSEWORK.glob("checks/*.py")), ids=lambda path: path.stem)
def test_every_assignment_offers_what_it_can_and_has_a_text_that_says_so(path: Path) -> None:
    offers = load(path).offers
    assert len(offering.modules(offers)) >= len(offers)
    cells = doctor.read(COURSEWORK / "source" / path.stem / f"{path.stem}.ipynb")["cells"]
    assert (cells[0]["cell_type"], doctor.mark(cells[0])) == ("markdown", {})


@pytest.mark.parametrize("path", sorted(COURSEWORK.glob("checks/*.py")), ids=lambda path: path.stem)
def test_the_doctor_finds_nothing_in_a_reference_solution(path: Path, tmp_path: Path) -> None:
    """As released, but answered; the question for a person is not, and that it says."""
    checks, name = load(path), f"{path.stem}.ipynb"
    notebook = doctor.read(COURSEWORK / "source" / path.stem / name)
    notebook["cells"] = [doctor.sealed(cell) if doctor.mark(cell) else cell for cell in notebook["cells"]]
    marks = [doctor.mark(cell) for cell in notebook["cells"] if doctor.mark(cell)]
    about = {"assignment": path.stem, "offers": list(checks.offers), "cells": [mark["grade_id"] for mark in marks]}
    about["names"] = [request.target for request in checks.requests]
    about["checks"] = [request.name for request in checks.requests]
    about["by_hand"] = [mark["grade_id"] for mark in marks if mark["grade"] and mark["solution"]]
    notebook["metadata"]["initgrade"] = about
    (tmp_path / name).write_text(json.dumps(notebook))
    found = [finding.what for finding in doctor.doctor(tmp_path / name)]
    assert found == [f"The cell {cell!r} has no answer yet." for cell in about["by_hand"]]


def test_a_release_that_offers_too_much_is_refused(course: Course) -> None:
    text = course.checks("tiny").read_text().replace('"flag": None},\n', '"flag": None},\n    offers=("theory",),\n')
    course.checks("tiny").write_text(text)
    before = course.release("tiny").read_bytes()
    with pytest.raises(NoSandbox, match="need activations"):
        handing_out.release(course, "tiny")
    assert course.release("tiny").read_bytes() == before


def test_a_lost_key_stops_and_says_what_to_do(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    before = (course.root / "course.key").read_bytes()
    (course.root / "course.key").unlink()
    for verb in ("run", "release"):
        assert cli.main(["--course", str(course.root), verb, "tiny"]) == 2
        said = capsys.readouterr().err
        assert "course.key is lost" in said
        assert "Restore it from your backup, with mode 0600" in said
        assert "move handout/ and results/ away, and release again" in said
        assert not (course.root / "course.key").exists()
    for name in ("handout", "results"):
        shutil.move(course.root / name, course.root / f"old-{name}")
    assert courses.key(course) != before


def rows(path: Path, text: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        return sum(text in line for line in database.iterdump())


def test_erase_finds_dated_backups_and_what_was_cut_off(course: Course) -> None:
    backups = [course.root / f"gradebook.db.2030-03-0{day}-12-00-00.000000" for day in (1, 2)]
    for path in backups:
        shutil.copy(course.gradebook, path)
    with closing(sqlite3.connect(backups[1])) as old:  # as an older nbgrader, which the present one refuses to open
        old.execute("ALTER TABLE student DROP COLUMN lms_user_id")
        old.execute("UPDATE alembic_version SET version_num = 'older'")
        old.commit()
    (course.root / "gradebook.db-journal").write_text("")
    for place in ("downloaded/tiny/extracted/student-a", "submitted/student-b/.ipynb_checkpoints"):
        (course.root / place).mkdir(parents=True)
    (course.root / "results/tiny/.abc.part").write_text('{"student": "student-a"')
    (course.root / "results/tiny/.def.part").write_text('{"student": "student-a.b"')
    (course.root / "marks.csv").write_text("student\nstudent-a\nstudent-b\n")
    others = {path: rows(path, "student-b") for path in (course.gradebook, *backups)}
    found = books.traces(course, "student-a")
    assert {f"marks and comments in {path.name}" for path in others} <= set(found)
    assert {"downloaded/tiny/extracted/student-a", "results/tiny/.abc.part"} <= set(found)
    assert "results/tiny/.def.part" not in found
    assert books.mentions(course, "student-a") == ["marks.csv"]
    with closing(sqlite3.connect(course.gradebook)) as database:
        size = dict(
            database.execute("SELECT 'grade', count(*) FROM grade UNION SELECT 'comment', count(*) FROM comment")
        )
    books.erase(course, "student-a")
    assert books.traces(course, "student-a") == []
    left = [path for path in course.root.rglob("*") if path.is_file() and b"student-a" in path.read_bytes()]
    assert sorted(path.name for path in left) == [".def.part", "marks.csv"]
    for path, count in others.items():
        assert rows(path, "student-b") == count > 0
        with closing(sqlite3.connect(path)) as database:  # half of the rows were about student-a
            assert database.execute("SELECT count(*) FROM grade").fetchone()[0] == size["grade"] // 2
            assert database.execute("SELECT count(*) FROM comment").fetchone()[0] == size["comment"] // 2
            assert not database.execute("PRAGMA foreign_key_check").fetchall()


def test_a_student_with_an_assignments_name_takes_nothing_of_the_assignment_along(course: Course) -> None:
    (course.root / "roster.csv").write_text("student\ntiny\n")
    assert books.traces(course, "tiny") == ["a line of roster.csv"]
    books.erase(course, "tiny")
    assert course.results("tiny").is_dir()


def test_erase_says_what_it_leaves(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    (course.root / "marks.csv").write_text("student-a,5\n")
    assert cli.main(["--course", str(course.root), "erase", "student-a", "--yes"]) == 0
    assert "see to them yourself:\n  marks.csv" in capsys.readouterr().out


def test_a_key_that_is_there_is_read(course: Course) -> None:
    (course.root / "course.key").write_bytes(b"short")
    with pytest.raises(CourseError, match="holds 5 bytes"):
        courses.key(course)
