"""Marks in the forms that learning platforms read: Canvas, Moodle, and Gradescope's autograder.

What lives here writes those forms; the marks themselves are `paperwork`'s, the sentences `wording`'s.

References
----------
Canvas: the gradebook's CSV, https://community.canvaslms.com/t5/Instructor-Guide/How-do-I-import-grades-in-the-Gradebook/ta-p/807,
and the reader of that file, lib/gradebook_importer.rb in https://github.com/instructure/canvas-lms.
Moodle: https://docs.moodle.org/en/Grade_import; the reader is grade/import/csv/classes/load_data.php. The reader of
its offline grading worksheet, mod/assign/feedback/offline/importgradeslib.php, needs the columns of `_NEEDED`.
Gradescope: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import wording
from .course import Course, CourseError, Student, roster
from .paperwork import course_points, marks
from .records import Result, table

_CANVAS = {"SIS User ID": "sis_user_id", "SIS Login ID": "sis_login_id", "Section": "section"}
_MOODLE = {"ID number": "id_number", "Email address": "email", "Username": "username", "Full name": "name"}
KNOWN_BY = {"canvas": ("canvas_id", "sis_user_id", "sis_login_id"), "moodle": ("id_number", "email", "username")}


@dataclass
class Grades:
    """A table for a platform, why students are not in it, and whom the platform cannot tell by an id of its own."""

    text: str
    left_out: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def grades(course: Course, assignments: list[str], platform: str) -> Grades:
    """Return the course's points of the roster's students, one line each, as a platform reads them.

    A student of whom something is still to be marked or merged is left out: both platforms take an empty cell, or a
    number that is not final, for a mark.

    Parameters
    ----------
    course : Course
    assignments : list of str
        One column for each, with the points that it counts in the course.
    platform : {"canvas", "moodle"}
    """
    found, final = _final(course, assignments)
    people = {line.name: line for line in roster(course)}
    found.unknown = [n for n in final if not any(people[n].about.get(key) for key in KNOWN_BY[platform])]
    write = _canvas if platform == "canvas" else _moodle
    found.text = table(write(course, assignments, [(people[name], given) for name, given in final.items()]))
    return found


def _final(course: Course, assignments: list[str]) -> tuple[Grades, dict[str, list[float]]]:
    """Return whom a table has to leave out, and the others' points in each assignment."""
    people = {line.name for line in roster(course)}
    points: dict[str, list[float]] = {line.name: [] for line in roster(course)}
    found = Grades("")
    for assignment in assignments:
        for row in marks(course, assignment):
            if row.student not in people:
                found.left_out[row.student] = "not in the roster"
            elif not row.complete:
                found.left_out.setdefault(
                    row.student, f"{assignment}: {'to be marked by hand' if row.waits else row.status}"
                )
            else:
                points[row.student].append(round(course_points(course, row), 2))
    return found, {name: given for name, given in points.items() if name not in found.left_out}


def _called(person: Student) -> str:
    return person.about.get("name") or person.name


def _canvas(
    course: Course, assignments: list[str], final: Sequence[tuple[Student, list[float]]]
) -> list[list[str | float]]:
    """Return the rows that Canvas writes and reads: a header, the points possible, and the students."""
    entries = [course.entry(name) for name in assignments]
    titles = [f"{entry.title} ({entry.canvas_id})" if entry.canvas_id else entry.title for entry in entries]
    rows: list[list[str | float]] = [["Student", "ID", *_CANVAS, *titles]]
    rows.append(["    Points Possible", "", *[""] * len(_CANVAS), *(entry.points for entry in entries)])
    for person, given in final:
        about = person.about
        rows.append([_called(person), about.get("canvas_id", ""), *(about.get(key, "") for key in _CANVAS.values())])
        rows[-1] += given
    return rows


def _moodle(
    course: Course, assignments: list[str], final: Sequence[tuple[Student, list[float]]]
) -> list[list[str | float]]:
    """Return a header and the students; the importer asks which column tells who it is, and which is which grade."""
    rows: list[list[str | float]] = [[*_MOODLE, *(course.entry(name).title for name in assignments)]]
    for person, given in final:
        rows.append([*(person.about.get(key, "") for key in _MOODLE.values()), *given])
        rows[-1][len(_MOODLE) - 1] = _called(person)
    return rows


def worksheet(course: Course, assignment: str, text: str) -> Grades:
    """Return Moodle's offline grading worksheet with the column Grade filled in; all else stays as it came.

    Parameters
    ----------
    course : Course
    assignment : str
    text : str
        The worksheet as Moodle wrote it, with English column names.

    Raises
    ------
    CourseError
        If it is none, hides who the students are, or has another maximum than the assignment counts in the course.
    """
    rows = [row for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"))) if row]
    head = {title: column for column, title in enumerate(rows[0] if rows else [])}
    if lacking := [title for title in _NEEDED if title not in head]:
        raise CourseError(
            f"no offline grading worksheet of Moodle's in English: it lacks {', '.join(map(repr, lacking))}"
        )
    known = [(head[title], key) for title, key in _MOODLE.items() if title in head]
    if not known:
        raise CourseError(f"the worksheet has none of {', '.join(_MOODLE)}; let Moodle reveal who the students are")
    most = next((head[title] for title in head if title.lower() == "maximum grade"), None)
    wanted = course.entry(assignment).points
    found, final = _final(course, [assignment])
    names = _who([person for person in roster(course) if person.name in final], [key for _, key in known])
    seen: set[str] = set()
    for row in rows[1:]:
        if len(row) != len(rows[0]):
            raise CourseError(f"a line of the worksheet has {len(row)} cells of {len(rows[0])}: {', '.join(row)}")
        if most is not None and row[most].replace(",", ".") not in (f"{wanted:.2f}", f"{wanted:g}"):
            raise CourseError(
                f"{assignment} counts {wanted:g} points, and {row[most]} in Moodle; set the one to the other"
            )
        name = next((names[key, value] for at, key in known if (key, value := _plain(row[at])) in names), None)
        if name is not None:
            row[head["Grade"]] = f"{final[name][0]:.2f}"
            seen.add(name)
    found.unknown = [name for name in final if name not in seen]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    found.text = written.getvalue()
    return found


_NEEDED = ("Identifier", "Grade", "Last modified (grade)")


def _who(people: Sequence[Student], keys: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return students by what Moodle may know them by; what two have in common tells nobody."""
    told: dict[tuple[str, str], list[str]] = {}
    for person in people:
        for key in keys:
            if text := _plain(person.about.get(key, "")):
                told.setdefault((key, text), []).append(person.name)
    return {what: names[0] for what, names in told.items() if len(names) == 1}


def _plain(text: str) -> str:
    return text.strip().casefold()


def gradescope(result: Result, lessons: Mapping[str, wording.Lesson]) -> dict[str, Any]:
    """Return a result as Gradescope's ``results.json``, one test for each request.

    Marks given by hand are not among them: make them a question of the assignment's rubric.

    Raises
    ------
    ValueError
        If it is an infrastructure error: without a file Gradescope says that the autograder failed, as it should.
    """
    if result["status"] == "infrastructure_error":
        raise ValueError("an infrastructure error is nobody's mark; run the marker again")
    whole = wording.overall(result) or {}
    said = [whole[part] for part in ("what", "message", "hint") if whole.get(part)]
    said += [wording.cell(problem) for problem in result.get("cells") or []]
    tests = []
    for row in result["requests"]:
        each = wording.request(row, result, lessons.get(row["name"], wording.Lesson()))
        status = "passed" if each.kind == "passed" else "failed"
        tests.append({"name": each.name, "score": each.points, "max_score": each.most, "status": status})
        tests[-1] |= {"output": "\n".join(each.lines()), "output_format": "text", "visibility": "visible"}
    receipt = {"receipt": (result["hashes"]["submission"] or "")[:16]}
    about = {"execution_time": result.get("seconds", 0.0), "output": "\n".join(said), "output_format": "text"}
    return {"score": result["score"], **about, "tests": tests, "extra_data": receipt}
