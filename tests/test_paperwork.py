"""Release, merge, export, erase: what nbgrader keeps, with results as the marker stores them."""

import csv
import io
import json
import os
import re
import resource
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from initgrade import books, cli, doctor, handing_out, lateness, paperwork, records, tables
from initgrade import course as courses
from initgrade.course import Course, CourseError, Late, Student
from tests.tiny_course import cell, hand_in, make, nbgrader, request, result, source, store

GOOD = {"times": 'def times(x):\n    return VARIANT["n"] * x', "answer": "answer = 3", "explain": "Because."}


def grades(course: Course, student: str) -> dict[str, Any]:
    with books.gradebook(course) as book:
        notebook = book.find_submission_notebook("tiny", "tiny", student)
        return {g.name: (g.auto_score, g.manual_score, g.needs_manual_grade) for g in notebook.grades}


def mark_by_hand(course: Course, student: str, points: float, comment: str = "") -> None:
    with books.gradebook(course) as book:
        grade = book.find_grade("explain", "tiny", "tiny", student)
        grade.manual_score, grade.needs_manual_grade = points, False
        book.find_comment("explain", "tiny", "tiny", student).manual_comment = comment
        book.db.commit()


# ---- release


def test_release_has_no_solution_and_keeps_the_question(released: Course) -> None:
    text = released.release("tiny").read_text()
    for hidden in ("SOLUTION", "MARK SCHEME", "because", 'VARIANT[\\"n\\"] * x', "hidden check"):
        assert hidden not in text
    by_name = {doctor.mark(c)["grade_id"]: c["source"] for c in json.loads(text)["cells"] if doctor.mark(c)}
    assert by_name["explain"].split() == ["Why?", "YOUR", "ANSWER", "HERE"]
    assert "raise NotImplementedError()" in by_name["times"]


def test_each_student_gets_the_own_variant(released: Course) -> None:
    texts = {}
    for student in ("student-a", "student-b"):
        cells = doctor.read(released.handout("tiny", student))["cells"]
        (variant,) = [cell for cell in cells if doctor.mark(cell).get("grade_id") == "variant"]
        assert doctor.unchanged(variant)
        space: dict[str, Any] = {}
        exec(variant["source"], space)
        texts[student] = space["VARIANT"]
        assert variant["source"].startswith("# yours\n")
    assert set(texts["student-a"]) == {"n", "flag"}
    assert texts["student-a"] != texts["student-b"]
    assert 7 not in (texts["student-a"]["n"], texts["student-b"]["n"])


def test_check_sum_is_that_of_nbgrader(released: Course) -> None:
    import nbformat
    from nbgrader.utils import compute_checksum

    cells = nbformat.read(released.release("tiny"), as_version=4).cells
    marked = [cell for cell in cells if "nbgrader" in cell.metadata]
    assert len(marked) == 6
    assert all(doctor.check_sum(cell) == compute_checksum(cell) == cell.metadata.nbgrader.checksum for cell in marked)


@pytest.mark.parametrize(
    ("position", "planted", "said"),
    [
        (3, cell("code", "assert True", nbgrader("times_check", grade=True, locked=True, points=1)), "times_check"),
        (5, cell("code", "assert True", nbgrader("other", grade=True, locked=True, points=2)), "answer_check"),
        (0, cell("markdown", "### Begin solution"), "BEGIN SOLUTION"),
        (0, cell("code", "### BEGIN SOLUTION\n1\n### END SOLUTION"), "non-solution cell"),
        (1, cell("code", "VALUES = {}", {**nbgrader("variant", locked=True)}), "VARIANT"),
    ],
)
def test_a_release_that_would_be_wrong_is_refused(course: Course, position: int, planted: Any, said: str) -> None:
    notebook = source()
    notebook["cells"][position] = planted
    course.source("tiny").write_text(json.dumps(notebook))
    before = files(course)
    with pytest.raises(CourseError, match=said):
        handing_out.release(course, "tiny")
    assert files(course) == before


def files(course: Course) -> dict[str, bytes]:
    """Return all files but the gradebook, whose rows `cells` shows."""
    return {str(p): p.read_bytes() for p in course.root.rglob("*") if p.is_file() and p != course.gradebook}


@pytest.mark.parametrize("by", ["checks", "nbgrader"])
def test_a_release_that_is_refused_loses_nothing(course: Course, by: str) -> None:
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a"))
    paperwork.merge(course, "tiny")
    notebook, checks = source(), course.checks("tiny").read_text()
    if by == "nbgrader":  # there are submissions, so it refuses another cell, which the checks have as well
        notebook["cells"].append(cell("code", "assert 1", nbgrader("more", grade=True, locked=True, points=1)))
        checks = checks.replace("call=False),", 'call=False), Request("more", "answer", 1.0, judge, call=False),')
    else:
        notebook["cells"][3]["metadata"]["nbgrader"]["points"] = 30
    course.source("tiny").write_text(json.dumps(notebook))
    course.checks("tiny").write_text(checks)
    before = files(course)
    with pytest.raises(CourseError, match="times_check" if by == "checks" else "Cannot add or remove cells"):
        handing_out.release(course, "tiny")
    assert files(course) == before
    assert paperwork.merge(course, "tiny").written == ["student-a"]
    assert paperwork.marks(course, "tiny")[0].max_score == 9.0


def test_checks_of_another_assignment_are_refused(course: Course) -> None:
    course.checks("tiny").write_text(course.checks("tiny").read_text().replace('"tiny"', '"other"'))
    with pytest.raises(CourseError, match="is about 'other'"):
        handing_out.release(course, "tiny")


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    (tmp_path / "release/tiny").mkdir(parents=True)
    for place in ("tiny", "other"):
        with pytest.raises(FileNotFoundError, match="missing"):
            handing_out._put(tmp_path / "missing", tmp_path / "release" / place)
    assert (tmp_path / "release/tiny").is_dir()


def test_a_second_release_replaces_the_data_files_of_every_copy(course: Course) -> None:
    folders = [course.release("tiny").parent, course.handout("tiny", "student-a").parent]
    for folder in folders:
        (folder / "gone.csv").write_text("x")
        (folder / "data.csv").write_text("old")
    for name in ("data.csv", "added.csv"):
        (course.source("tiny").parent / name).write_text("new")
    kept = course.handout("tiny", "student-a").read_text()
    handing_out.release(course, "tiny")
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == ["added.csv", "data.csv", "tiny.ipynb"]
        assert (folder / "data.csv").read_text() == "new"
    assert course.handout("tiny", "student-a").read_text() == kept
    assert not list(course.root.glob(".release*"))


# ---- merge


def test_points_reach_the_grade_cells_and_the_question_waits(course: Course) -> None:
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a", (3.0, 0.5)))
    done = paperwork.merge(course, "tiny")
    assert (done.written, done.unmarked, done.to_mark_by_hand) == (["student-a"], {}, ["student-a"])
    expected = {"times_check": (3.0, None, False), "answer_check": (0.5, None, False), "explain": (None, None, True)}
    assert grades(course, "student-a") == expected


def test_merging_twice_changes_nothing_and_keeps_marks_by_hand(course: Course) -> None:
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a"))
    paperwork.merge(course, "tiny")
    mark_by_hand(course, "student-a", 2.5, "half")
    before = grades(course, "student-a"), paperwork.marks(course, "tiny")
    paperwork.merge(course, "tiny")
    assert (grades(course, "student-a"), paperwork.marks(course, "tiny")) == before
    assert before[0]["explain"] == (None, 2.5, False)
    assert before[1][0].by_hand[0]["comment"] == "half"


def test_another_answer_has_to_be_marked_by_hand_again(course: Course) -> None:
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a"))
    paperwork.merge(course, "tiny")
    mark_by_hand(course, "student-a", 2.5)
    hand_in(course, "student-a", {**GOOD, "explain": "Otherwise."})
    store(course, result("student-a"))
    paperwork.merge(course, "tiny")
    assert grades(course, "student-a")["explain"] == (None, 2.5, True)


def test_what_changed_is_seen_again_when_a_merge_fails_before_its_end(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a"))
    paperwork.merge(course, "tiny")
    mark_by_hand(course, "student-a", 4.0)
    hand_in(course, "student-a", {**GOOD, "explain": "Otherwise."})
    store(course, result("student-a"))

    def locked(*_: Any) -> None:
        raise RuntimeError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(paperwork, "_score", locked)
        with pytest.raises(RuntimeError, match="locked"):
            paperwork.merge(course, "tiny")
    assert "Because." in course.to_mark("tiny", "student-a").read_text()
    assert paperwork.merge(course, "tiny").to_mark_by_hand == ["student-a"]
    assert grades(course, "student-a")["explain"] == (None, 4.0, True)


@pytest.mark.parametrize("was", ["missing", "link"])
def test_what_is_handed_in_after_a_result_without_a_file_is_not_merged_as_that(course: Course, was: str) -> None:
    folder = course.submitted("tiny", "student-a").parent
    folder.parent.mkdir(parents=True)
    if was == "link":
        folder.symlink_to(hand_in(course, "student-b", GOOD).parent)
        store(course, result("student-b"))
    store(course, result("student-a", (0.0, 0.0), status="malformed"))
    assert "student-a" in paperwork.merge(course, "tiny").written
    if was == "link":
        folder.unlink()
    hand_in(course, "student-a", GOOD)
    assert "not what was marked" in paperwork.merge(course, "tiny").unmarked["student-a"]
    assert "student-a,tiny,what was handed in is not what was marked" in paperwork.export(course, ["tiny"])


def exported(course: Course, student: str) -> tuple[str, str, str]:
    """Return a student's status, total, and whether it is complete."""
    table = paperwork.export(course, ["tiny"]).splitlines()
    row = next(dict(zip(table[0].split(","), line.split(","), strict=True)) for line in table if student in line)
    return row["status"], row["total"], row["complete"]


def test_marks_that_were_not_merged_are_not_given_out(course: Course) -> None:
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a"))
    assert exported(course, "student-a") == (paperwork.NOT_MERGED, "0", "no")
    assert paperwork.feedback_pages(course, "tiny") == (
        [], {"student-a": f"{paperwork.NOT_MERGED}; run: initgrade merge tiny"},
    )  # fmt: skip
    paperwork.merge(course, "tiny")
    mark_by_hand(course, "student-a", 4.0)
    assert exported(course, "student-a") == ("graded", "9", "yes")
    store(course, result("student-a", (0.0, 2.0)))
    assert exported(course, "student-a") == (paperwork.NOT_MERGED, "9", "no")
    paperwork.merge(course, "tiny")
    assert exported(course, "student-a") == ("graded", "6", "yes")
    hand_in(course, "student-a", {**GOOD, "explain": "Otherwise."})  # the mark by hand is for another answer
    store(course, result("student-a", (0.0, 2.0)))
    assert exported(course, "student-a") == (paperwork.NOT_MERGED, "6", "no")
    assert paperwork.feedback_pages(course, "tiny")[0] == []


def test_infrastructure_error_never_becomes_marks(course: Course) -> None:
    for student in ("student-a", "student-b"):
        hand_in(course, student, GOOD)
    store(course, result("student-a"))
    paperwork.merge(course, "tiny")
    for student in ("student-a", "student-b"):
        store(course, result(student, (0.0, 0.0), status="infrastructure_error", message="no disk"))
    done = paperwork.merge(course, "tiny")
    assert done.written == []
    assert set(done.unmarked) == {"student-a", "student-b"}
    assert "no disk" in done.unmarked["student-a"]
    assert grades(course, "student-a")["times_check"][0] == 3.0
    assert [row.score for row in paperwork.marks(course, "tiny")] == [5.0, 0.0, 0.0]
    assert paperwork.export(course, ["tiny"]).count(",no,\n") == 2


def test_a_result_of_another_file_is_not_merged(course: Course) -> None:
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a"))
    hand_in(course, "student-a", {**GOOD, "answer": "answer = 4"})
    hand_in(course, "student-b", GOOD)
    done = paperwork.merge(course, "tiny")
    assert done.written == []
    assert done.unmarked["student-b"] == "not marked yet"
    assert "not what was marked" in done.unmarked["student-a"]


def test_no_answer_scores_zero_without_a_person(course: Course) -> None:
    hand_in(course, "student-a", {**GOOD, "explain": "Why?\n\nYOUR ANSWER HERE"})
    store(course, result("student-a"))
    path = course.submitted("tiny", "student-b")
    path.parent.mkdir(parents=True)
    path.write_text("no notebook")
    store(course, result("student-b", (0.0, 0.0), status="malformed"))
    done = paperwork.merge(course, "tiny")
    assert done.to_mark_by_hand == []
    assert [grades(course, name)["explain"] for name in ("student-a", "student-b")] == [(0.0, None, False)] * 2


def test_a_link_to_another_students_folder_is_not_read(course: Course) -> None:
    hand_in(course, "student-a", GOOD)
    folder = course.submitted("tiny", "student-b").parent
    folder.parent.mkdir()
    folder.symlink_to(course.submitted("tiny", "student-a").parent)
    store(course, result("student-b", (0.0, 0.0), status="malformed"))
    assert paperwork.merge(course, "tiny").to_mark_by_hand == []
    assert "Because." not in course.to_mark("tiny", "student-b").read_text()


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([("times_check", 3.0), ("answer_check", 2.0), ("extra", 1.0)], r"extra \(1 in the result, none in"),
        ([("times_check", 30.0), ("answer_check", 2.0)], r"times_check \(30 in the result, 3 in the release\)"),
        ([("times_check", 3.0)], r"answer_check \(none in the result, 2 in the release\)"),
    ],
)
def test_a_result_that_does_not_fit_the_release_is_refused(course: Course, requests: Any, said: str) -> None:
    for student in ("student-a", "student-b"):
        hand_in(course, student, GOOD)
        store(course, result(student))
    changed = [request(name, most, most) for name, most in requests]
    store(course, result("student-b", requests=changed))
    with pytest.raises(CourseError, match=said):
        paperwork.merge(course, "tiny")
    with books.gradebook(course) as book:
        assert not book.assignment_submissions("tiny")


def test_formgrader_gets_no_markup_and_no_metadata_of_the_student(course: Course) -> None:
    evil = '<script>alert(1)</script> <img src=x onerror="alert(1)">'
    path = hand_in(course, "student-a", {**GOOD, "explain": evil})
    notebook = json.loads(path.read_text())
    notebook["cells"].append(cell("markdown", evil))
    notebook["cells"][3]["source"] = "pass  # the check is gone"
    notebook["cells"][3]["metadata"]["nbgrader"]["points"] = 900
    notebook["cells"][2]["outputs"] = [{"output_type": "display_data", "data": {"text/html": evil}, "metadata": {}}]
    path.write_text(json.dumps(notebook))
    store(course, result("student-a"))
    paperwork.merge(course, "tiny")
    text = course.to_mark("tiny", "student-a").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert '"points": 900' not in text
    assert "assert times(2) == 14" in text
    assert "1 point: because." in text


@pytest.mark.parametrize("write", [lambda path: path.write_text("no database"), lambda path: path.mkdir()])
def test_a_gradebook_that_cannot_be_opened_is_named(course: Course, write: Any) -> None:
    course.gradebook.unlink()
    write(course.gradebook)
    with pytest.raises(CourseError, match=r"gradebook\.db cannot be read or written"), books.gradebook(course):
        pass


@pytest.mark.parametrize("damage", ["{", '{"format": 2}', "[]"])
def test_a_damaged_result_is_named(course: Course, damage: str) -> None:
    store(course, result("student-a")).write_text(damage)
    with pytest.raises(CourseError, match=r"student-a\.json"):
        paperwork.merge(course, "tiny")


def test_merge_before_release_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="initgrade release tiny"):
        paperwork.merge(make(tmp_path), "tiny")


# ---- names, platforms, tables

ROSTER = """student,name,email,section,canvas_id,sis_user_id,sis_login_id,id_number,username,extension_days
student-a,José García-吴,a@example.org,S1,101,u1,login1,9001,ua,0
student-b,"=cmd|' /C calc'!A0",,,,,,,,0
student-c,"O'Neil, Ann",c@example.org,S2,103,u3,login3,9003,uc,0
"""


def with_roster(course: Course, settings: str = "{title: A tiny one, points: 10, canvas_id: 77}") -> Course:
    """Return the course with people that have names, all of whom handed in; two are marked to the end."""
    (course.root / "course.yml").write_text(f"course: a-course\nassignments:\n  tiny: {settings}\n")
    (course.root / "roster.csv").write_text(ROSTER, encoding="utf-8")
    for student in ("student-a", "student-b", "student-c"):
        hand_in(course, student, GOOD)
        store(course, result(student))
    paperwork.merge(course, "tiny")
    for student in ("student-a", "student-b"):
        mark_by_hand(course, student, 4.0)
    return courses.load(course.root)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_a_student_has_any_name_and_an_ascii_id(course: Course) -> None:
    course = with_roster(course)
    assert courses.roster(course)[0].about["name"] == "José García-吴"
    paperwork.feedback_pages(course, "tiny")
    assert "Feedback for <bdi>José García-吴 (student-a)" in course.feedback("tiny", "student-a").read_text(
        encoding="utf-8"
    )
    (course.root / "roster.csv").write_text("student\nJosé\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"beyond ASCII; give an id without, and `name` as it is"):
        courses.roster(course)


@pytest.mark.parametrize("platform", ["all", "canvas", "moodle"])
def test_no_cell_of_a_table_is_a_formula(course: Course, platform: str) -> None:
    course = with_roster(course)
    text = paperwork.export(course, ["tiny"]) if platform == "all" else tables.grades(course, ["tiny"], platform).text
    cells = [cell for row in rows(text) for cell in row]
    assert "'=cmd|' /C calc'!A0" in cells
    assert "José García-吴" in cells
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", " =1", "\r=1", "＝1", "＠SUM(1)"])
def test_text_that_a_spreadsheet_would_calculate_is_disarmed(text: str) -> None:
    assert records.disarmed(text) == f"'{text}"
    assert (records.disarmed("a=1"), records.disarmed(-1.5), records.disarmed("")) == ("a=1", "-1.5", "")


def test_canvas_gets_its_own_columns(course: Course) -> None:
    """As lib/gradebook_importer.rb reads them: the first columns by place, an assignment by the number in its title."""
    found = tables.grades(with_roster(course), ["tiny"], "canvas")
    head, possible, *students = rows(found.text)
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "A tiny one (77)"]
    assert "Points Possible" in possible[0]
    assert possible[1:] == ["", "", "", "", "10"]
    assert students[0] == ["José García-吴", "101", "u1", "login1", "S1", "10"]
    assert [row[0] for row in students] == ["José García-吴", "'=cmd|' /C calc'!A0"]
    assert found.left_out == {"student-c": "tiny: to be marked by hand"}
    assert found.unknown == ["student-b"]


def test_moodle_gets_columns_that_its_importer_maps(course: Course) -> None:
    found = tables.grades(with_roster(course), ["tiny"], "moodle")
    head, *students = rows(found.text)
    assert head == ["ID number", "Email address", "Username", "Full name", "A tiny one"]
    assert students[0] == ["9001", "a@example.org", "ua", "José García-吴", "10"]
    assert (set(found.left_out), found.unknown) == ({"student-c"}, ["student-b"])


# As Moodle writes it (mod/assign/gradingtable.php), with a comment that a spreadsheet would calculate.
WORKSHEET = """\ufeffIdentifier,"Full name","ID number","Email address",Status,Grade,"Maximum grade",\
"Grade can be changed","Last modified (submission)","Last modified (grade)","Feedback comments"
"Participant 501","O'Neil, Ann",9003,c@example.org,"Submitted for grading",,10.00,Yes,-,-,
"Participant 502","José García-吴",,A@example.org,Submitted,,10.00,Yes,"Friday, 1 March 2030, 9:00 PM",-,"=1+1"
"Participant 503","Somebody Else",9999,z@example.org,"No submission",3.00,10.00,Yes,-,-,
"""


def read_by_moodle(text: str) -> dict[str, tuple[str, str]]:
    """As its importer does: a participant's number, with the grade and the comment."""
    head, *students = rows(text)
    number, grade, comment = (head.index(title) for title in ("Identifier", "Grade", "Feedback comments"))
    assert "Last modified (grade)" in head
    return {row[number].removeprefix("Participant "): (row[grade], row[comment]) for row in students}


def test_moodles_worksheet_comes_back_with_grades_and_nothing_else_changed(
    course: Course, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course = with_roster(course)
    found = tables.worksheet(course, "tiny", WORKSHEET)
    assert read_by_moodle(found.text) == {"501": ("", ""), "502": ("10.00", "=1+1"), "503": ("3.00", "")}
    before = rows(WORKSHEET.removeprefix("\ufeff"))
    before[2][before[0].index("Grade")] = "10.00"
    assert rows(found.text) == before
    assert (found.left_out, found.unknown) == ({"student-c": "tiny: to be marked by hand"}, ["student-b"])
    assert tables.worksheet(course, "tiny", found.text).text == found.text
    (tmp_path / "moodle.csv").write_text(WORKSHEET, encoding="utf-8")
    words = ["export", "tiny", "--worksheet", str(tmp_path / "moodle.csv"), "--csv", str(tmp_path / "back.csv")]
    assert cli.main(["--course", str(course.root), *words]) == 1  # somebody is left out
    assert (tmp_path / "back.csv").read_text(encoding="utf-8") == found.text
    assert "student-b" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Last modified (grade)", "Zuletzt geändert", "it lacks 'Last modified \\(grade\\)'"),
        ("10.00", "100.00", "tiny counts 10 points, and 100.00 in Moodle"),
        ("9003,c@example.org,", "", "a line of the worksheet has 9 cells of 11: Participant 501"),
        ("Full name|ID number|Email address", "x", "reveal who the students are"),
    ],
)
def test_a_worksheet_that_does_not_fit_is_refused(course: Course, old: str, new: str, said: str) -> None:
    with pytest.raises(CourseError, match=said):
        tables.worksheet(with_roster(course), "tiny", re.sub(old if "|" in old else re.escape(old), new, WORKSHEET))


def test_a_table_for_a_platform_has_no_mark_that_is_not_final(course: Course) -> None:
    course = with_roster(course)
    hand_in(course, "student-d", GOOD)
    store(course, result("student-d"))
    paperwork.merge(course, "tiny")
    store(course, result("student-a", (0.0, 2.0)))
    found = tables.grades(course, ["tiny"], "canvas")
    assert found.left_out == {
        "student-a": f"tiny: {paperwork.NOT_MERGED}", "student-c": "tiny: to be marked by hand",
        "student-d": "not in the roster",
    }  # fmt: skip
    assert len(rows(found.text)) == 3


def test_a_number_in_canvas_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "course.yml").write_text("course: c\nassignments: {ps1: {canvas_id: ps1}}")
    with pytest.raises(CourseError, match="canvas_id is 'ps1'"):
        courses.load(tmp_path)


def test_merging_counts_by_status(course: Course) -> None:
    for student, status in (("student-a", "graded"), ("student-b", "malformed"), ("student-c", "malformed")):
        hand_in(course, student, GOOD)
        store(course, result(student, status=status))
    assert paperwork.merge(course, "tiny").counts == "1 graded, 2 malformed"


def test_what_nobody_read_is_told_from_what_a_person_gave_nothing_for(course: Course) -> None:
    hand_in(course, "student-a", {**GOOD, "explain": "Why?\n\nYOUR ANSWER HERE"})
    hand_in(course, "student-b", GOOD)
    for student in ("student-a", "student-b"):
        store(course, result(student))
    paperwork.merge(course, "tiny")
    mark_by_hand(course, "student-b", 0.0)
    read = {row.student: [mark["read"] for mark in row.by_hand] for row in paperwork.marks(course, "tiny")[:2]}
    assert read == {"student-a": [False], "student-b": [True]}
    paperwork.feedback_pages(course, "tiny")
    pages = [course.feedback("tiny", student).read_text(encoding="utf-8") for student in read]
    assert ["Nobody read it: the cell holds no answer" in page for page in pages] == [True, False]


def test_a_notebook_under_another_name_is_named_on_the_page(course: Course) -> None:
    path = hand_in(course, "student-a", GOOD)
    path.rename(path.with_name("tiny (1).ipynb"))
    store(course, result("student-a", (0.0, 0.0), status="malformed", message="there is no tiny.ipynb"))
    paperwork.merge(course, "tiny")
    paperwork.feedback_pages(course, "tiny")
    text = course.feedback("tiny", "student-a").read_text(encoding="utf-8")
    assert "In its place there is: tiny (1).ipynb." in text
    assert "Nobody read it: your notebook could not be opened." in text


# ---- what the system refuses, and whom a table leaves out


def test_a_full_disk_leaves_no_half_a_file(course: Course, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A limit on the size of a file stands in for the disk: the system refuses at the same place."""
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "marks.csv").write_text("before")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        statuses = [
            cli.main(["--course", str(course.root), *words])
            for words in (["export", "--csv", str(tmp_path / "marks.csv")], ["merge", "tiny"])
        ]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert statuses == [2, 2], said
    assert "Free some space" in said
    assert "gradebook.db cannot be read or written" in said
    assert (tmp_path / "marks.csv").read_text() == "before"
    assert not list(tmp_path.glob(".marks*"))


def test_export_for_a_platform_names_who_is_left_out(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    hand_in(course, "student-a", GOOD)
    store(course, result("student-a"))
    assert cli.main(["--course", str(course.root), "merge", "tiny"]) == 0
    capsys.readouterr()
    assert cli.main(["--course", str(course.root), "export", "tiny", "--format", "canvas"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("Student,ID,SIS User ID,SIS Login ID,Section,")
    assert "Left out: student-a: tiny: to be marked by hand" in told.err
    assert "has none of canvas_id, sis_user_id, sis_login_id for: student-b, student-c" in told.err


# ---- late


def test_late_days_extensions_and_free_days(released: Course, tmp_path: Path) -> None:
    shutil.copytree(released.root, tmp_path / "c")
    settings = "{due: 2030-03-01 12:00:00+01:00}"
    late = "{free_days: 1, percent_per_day: 20, most_days: 3}"
    (tmp_path / "c/course.yml").write_text(f"course: a-course\nassignments:\n  tiny: {settings}\nlate: {late}\n")
    course = courses.load(tmp_path / "c")
    stamps = {"student-a": "2030-03-03 10:00:00 UTC", "student-b": "2030-03-02 10:00:00 UTC", "student-c": "nonsense"}
    for student, stamp in stamps.items():
        hand_in(course, student, GOOD, stamp)
        store(course, result(student))
    done = paperwork.merge(course, "tiny")
    assert done.undated == ["student-c"]
    a, b, c = paperwork.marks(course, "tiny")
    assert (a.late.days, a.late.free, a.total) == (2, 1, 4.0)
    assert (b.late.days, b.total, c.total) == (0, 5.0, 5.0)
    assert "student-c,tiny,graded,,,5,0,5,9," in paperwork.export(course, ["tiny"])
    with books.gradebook(course) as book:
        assert book.find_submission("tiny", "student-a").late_submission_penalty == 1.0
        assert book.find_submission("tiny", "student-b").extension.days == 1
    assert "student-a,tiny,graded,2,1,5,1,4,9," in paperwork.export(course, ["tiny"])


def test_a_free_day_that_is_gone_is_charged_wherever_it_was(course: Course) -> None:
    """An earlier assignment that turns up takes it; the later one's marks wait until they are merged again."""
    settings = "due: 2030-03-01 23:59:00+00:00}\n  first: {due: 2030-02-01 23:59:00+00:00}\n"
    late = "late: {free_days: 1, percent_per_day: 50}\n"
    (course.root / "course.yml").write_text(f"course: a-course\nassignments:\n  tiny: {{{settings}{late}")
    course = courses.load(course.root)
    hand_in(course, "student-a", {**GOOD, "explain": ""}, "2030-03-02 10:00:00 UTC")
    store(course, result("student-a"))
    paperwork.merge(course, "tiny")
    mark_by_hand(course, "student-a", 1.0)
    assert exported(course, "student-a") == ("graded", "6", "yes")
    path = course.submitted("first", "student-a")
    path.parent.mkdir(parents=True)
    (path.parent / "timestamp.txt").write_text("2030-02-02 10:00:00 UTC")
    assert exported(course, "student-a") == (paperwork.NOT_MERGED, "3", "no")
    with books.gradebook(course) as book:  # as a merge of the earlier one does
        paperwork._charge(course, book, Student("student-a"))
        book.db.commit()
        assert book.find_submission("tiny", "student-a").late_submission_penalty == 3.0
    assert exported(course, "student-a") == ("graded", "3", "yes")


def test_free_days_go_by_due_date_and_end() -> None:
    entries = {
        name: courses.Entry(name, name, due=lateness.datetime.fromisoformat(f"2030-0{month}-01T00:00+00:00"))
        for name, month in (("second", 4), ("first", 3))
    }
    course = Course(Path(), "c", entries, Late(free_days=2, percent_per_day=50, most_days=3))
    at = lateness.datetime.fromisoformat
    stamps = {"second": at("2030-04-02T12:00+00:00"), "first": at("2030-03-01T12:00+00:00")}
    found = lateness.lateness(course, Student("student-a"), stamps)
    assert (found["first"], found["second"]) == (lateness.Lateness(1, 1, 0.0), lateness.Lateness(2, 1, 0.5))
    stamps["first"] = at("2030-03-09T12:00+00:00")
    found = lateness.lateness(course, Student("student-a"), stamps)
    assert (found["first"].share_lost, found["second"].free) == (1.0, 2)
    assert lateness.days_late(entries["first"].due, 0, entries["first"].due) == 0  # type: ignore[arg-type]


# ---- erase


def test_erase_leaves_nothing_behind(course: Course) -> None:
    for student in ("student-a", "student-b"):
        hand_in(course, student, {**GOOD, "explain": f"I am {student}, and unmistakable."})
        store(course, result(student))
    paperwork.merge(course, "tiny")
    mark_by_hand(course, "student-a", 1.0, "remark on student-a")
    paperwork.feedback_pages(course, "tiny")
    assert len(books.traces(course, "student-a")) == 7
    books.erase(course, "student-a")
    assert books.traces(course, "student-a") == []
    files = [path for path in course.root.rglob("*") if path.is_file()]
    assert not [path for path in files if b"student-a" in path.read_bytes() or "student-a" in str(path)]
    assert grades(course, "student-b")["times_check"][0] == 3.0
    assert [student.name for student in courses.roster(course)] == ["student-b", "student-c"]


@pytest.mark.parametrize("name", ["../source", "", ".", "a/b", "=1+1", "-x"])
def test_erase_takes_names_only(course: Course, name: str) -> None:
    with pytest.raises(CourseError, match="cannot name a student"):
        books.traces(course, name)
    assert course.source("tiny").is_file()


# ---- regrade


def test_difference_shows_what_changed() -> None:
    old, new = result("student-a"), result("student-a", (3.0, 0.0), seconds=9.0)
    assert records.difference(old, old | {"seconds": 7.0}) == []
    assert records.difference(old, new) == [
        "score: 5 -> 3",
        "answer_check: points: 2 -> 0",
        "answer_check: status: passed -> failed",
    ]
    new["requests"].pop()
    assert "answer_check: points: 2 -> nothing" in records.difference(old, new)
    assert (records.seed(old), records.seed({"seeds": {}})) == (5, None)


# ---- the course's folder


def test_key_is_made_once_and_private(tmp_path: Path) -> None:
    course = make(tmp_path)
    first = courses.key(course)
    path = tmp_path / "course.key"
    assert (len(first), stat.S_IMODE(path.stat().st_mode), courses.key(course)) == (32, 0o600, first)
    assert sorted(tmp_path.glob(".key*")) == []
    path.chmod(0o640)
    with pytest.raises(CourseError, match="chmod 600"):
        courses.key(course)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(CourseError, match="5 bytes"):
        courses.key(course)
    path.unlink()
    os.symlink("/dev/zero", path)
    with pytest.raises(CourseError, match="not a plain file"):
        courses.key(course)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("course: c\nassigments: {}", "did you mean 'assignments'"),
        ("course: c", "at least one"),
        ("course: c\nassignments: {ps1: {due: 2030-03-01}}", "offset"),
        ("course: c\nassignments: {ps1: {due: 2030-03-01 10:00:00}}", "offset"),
        ("course: c\nassignments: {ps1: {points: -1}}", "0 or more"),
        ("course: c\nassignments: {../up: {}}", "cannot name"),
        ("course: c\nassignments: {ps1: {}}\nlate: {free_day: 1}", "did you mean 'free_days'"),
        ("course: c\nassignments: {ps1: {}}\nlate: {percent_per_day: 200}", "0 to 100"),
        ("course: c\nassignments: {ps1: {}}\nlate: {free_days: 1.5}", "whole days from 0"),
        ("course: c\nassignments: {ps1: {}}\nlate: {most_days: 2.5}", "whole days from 0"),
        ("[", "cannot be read"),
    ],
)
def test_settings_that_are_wrong_say_so(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "course.yml").write_text(text)
    with pytest.raises(CourseError, match=said):
        courses.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nom\nstudent-a\n", "'nom'"),
        ("extension_days\n1\n", "no column 'student'"),
        ("student\nstudent-a\nstudent-a\n", "more than once"),
        ("student,extension_days\nstudent-a,soon\n", "whole days"),
        ("student\n../x\n", "cannot name"),
        ("student,extension_days_ps9\nstudent-a,1\n", "extension_days_tiny"),
    ],
)
def test_a_roster_that_is_wrong_says_so(tmp_path: Path, text: str, said: str) -> None:
    course = make(tmp_path)
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(CourseError, match=said):
        courses.roster(course)


def test_an_extension_for_one_assignment_replaces_the_general_one(tmp_path: Path) -> None:
    course = make(tmp_path)
    (tmp_path / "roster.csv").write_text("student,extension_days,extension_days_tiny\nstudent-a,1,5\nstudent-b,1,\n")
    assert [student.extension("tiny") for student in courses.roster(course)] == [5, 1]


def test_the_course_is_found_from_below_and_from_beside(tmp_path: Path) -> None:
    root = tmp_path / "coursework"
    make(root)
    (tmp_path / "book/deep").mkdir(parents=True)
    assert courses.find(root / "source/tiny") == courses.find(tmp_path / "book/deep") == root
    with pytest.raises(CourseError, match="--course"):
        courses.find(Path("/"))
    with pytest.raises(CourseError, match="did you mean 'tiny'"):
        courses.load(root).entry("tinny")


# ---- the guide


def test_the_guide_has_the_objectives_of_every_chapter() -> None:
    root = Path(courses.__file__).resolve().parent.parent
    guide = re.sub(r"\s+", " ", (root / "coursework/README.md").read_text(encoding="utf-8"))
    for path in sorted((root / "book").glob("[01][0-9]_*.ipynb")):
        text = next(c["source"] for c in doctor.read(path)["cells"] if "After this chapter you can" in c["source"])
        listed = re.sub(r"\{term\}`([^`<]+?)(?: <[^>]*>)?`", r"\1", text.split("After this chapter you can\n\n")[1])
        assert re.sub(r"\s+", " ", listed.split("\n\n")[0]) in guide, f"{path.name} has other objectives than the guide"


def test_every_command_of_the_guide_is_one() -> None:
    guide = (Path(courses.__file__).resolve().parent.parent / "coursework/README.md").read_text(encoding="utf-8")
    lines = [line.partition("#")[0] for line in guide.splitlines() if line.startswith("initgrade ")]
    assert len(lines) >= 10
    for line in lines:
        cli.parser().parse_args(line.split()[1:])
    assert {line.split()[1] for line in lines} >= {"release", "run", "merge", "feedback", "export", "regrade", "one"}


def test_the_picture_of_the_folder_fits_a_phone_and_names_what_is_there() -> None:
    """A listing of the built guide holds 45 characters on a screen of 390 pixels, as measured in Chromium."""
    guide = (Path(courses.__file__).resolve().parent.parent / "coursework/README.md").read_text(encoding="utf-8")
    picture = guide.partition("```text\n")[2].partition("```")[0]
    assert max(map(len, picture.splitlines())) <= 45
    course = Course(Path("~"), "c", {})
    places = [course.release("x"), course.handout("x", "s"), course.submitted("x", "s"), course.results("x")]
    places += [
        course.to_mark("x", "s"),
        course.feedback("x", "s"),
        course.gradebook,
        course.source("x"),
        course.checks("x"),
    ]
    for place in places:
        assert place.parts[1] in picture


def test_the_settings_in_the_repository_are_sound() -> None:
    course = courses.load(Path(courses.__file__).resolve().parent.parent / "coursework")
    sets = [name for name in course.entries if name.startswith("ps")]
    assert sets == [f"ps{number}" for number in range(1, len(sets) + 1)]
    assert list(course.entries)[len(sets) :] == ["capstone", "capstone2"]
    assert [student.name for student in courses.roster(course)] == ["student-a", "student-b", "student-c"]
    assert not [entry for entry in course.entries.values() if entry.due]
