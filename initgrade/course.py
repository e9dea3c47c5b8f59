"""The course's folder: its settings, its roster, its paths, and its key.

What lives here knows no submission, no mark and not nbgrader.
"""

import csv
import dataclasses
import difflib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

SETTINGS = "course.yml"
KEY_BYTES = 32
ABOUT = ("name", "email", "section", "canvas_id", "sis_user_id", "sis_login_id", "id_number", "username")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")  # becomes the name of a folder, and a cell of a table


class CourseError(ValueError):
    """The course's folder is not as it must be; the message says what to change."""


@dataclass(frozen=True)
class Late:
    """What it costs to be late.

    Attributes
    ----------
    free_days : int
        Days that each student may be late without cost, over the whole course.
    percent_per_day : float
        Of the points reached, for each further day that was begun.
    most_days : int
        So many days after the due date, extensions included in it, nothing counts any more.
    """

    free_days: int = 0
    percent_per_day: float = 10.0
    most_days: int = 7

    def __post_init__(self) -> None:
        for name, most, kind, words in (
            ("free_days", 1000, int, "whole days"),
            ("percent_per_day", 100, int | float, "a number"),
            ("most_days", 1000, int, "whole days"),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 <= value <= most:
                raise CourseError(f"late: {name} is {value!r}; give {words} from 0 to {most}")


@dataclass(frozen=True)
class Entry:
    """One assignment in the course's settings: its title, what it counts, when it is due, its number in Canvas."""

    name: str
    title: str
    points: float = 10.0
    due: datetime | None = None
    canvas_id: str = ""


@dataclass(frozen=True)
class Student:
    """One line of the roster: extra days for all assignments and for single ones, and what is known beside the id.

    `name` is the id, which names folders; ``about["name"]`` is what the student is called.
    """

    name: str
    extension_days: int = 0
    extensions: Mapping[str, int] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)

    def extension(self, assignment: str) -> int:
        """Return the extra days for an assignment: the column of its own, or else the general one."""
        return self.extensions.get(assignment, self.extension_days)


@dataclass(frozen=True)
class Course:
    """A course's folder and its settings."""

    root: Path
    name: str
    entries: Mapping[str, Entry]
    late: Late = Late()
    limits: Mapping[str, Any] = field(default_factory=dict)

    def entry(self, assignment: str) -> Entry:
        """Return an assignment's settings.

        Raises
        ------
        CourseError
            If the course has no such assignment; it names the nearest.
        """
        if assignment not in self.entries:
            raise CourseError(f"{SETTINGS} has no assignment {_unknown(assignment, self.entries)}")
        return self.entries[assignment]

    def source(self, assignment: str) -> Path:
        """Return the instructor's notebook, with solutions."""
        return self.root / "source" / assignment / f"{assignment}.ipynb"

    def checks(self, assignment: str) -> Path:
        """Return the file of hidden checks."""
        return self.root / "checks" / f"{assignment}.py"

    def release(self, assignment: str) -> Path:
        """Return the students' version that nbgrader makes, with an example's parameters."""
        return self.root / "release" / assignment / f"{assignment}.ipynb"

    def handout(self, assignment: str, student: str) -> Path:
        """Return one student's copy, with the student's own parameters."""
        return self.root / "handout" / student / assignment / f"{assignment}.ipynb"

    def submitted(self, assignment: str, student: str) -> Path:
        """Return what a student handed in, where nbgrader collects it."""
        return self.root / "submitted" / student / assignment / f"{assignment}.ipynb"

    def results(self, assignment: str) -> Path:
        """Return the folder of results: one JSON file a student."""
        return self.root / "results" / assignment

    def to_mark(self, assignment: str, student: str) -> Path:
        """Return the copy that a person reads in nbgrader's formgrader."""
        return self.root / "autograded" / student / assignment / f"{assignment}.ipynb"

    def feedback(self, assignment: str, student: str) -> Path:
        """Return a student's page."""
        return self.root / "feedback" / student / assignment / f"{assignment}.html"

    @property
    def gradebook(self) -> Path:
        """Return nbgrader's database."""
        return self.root / "gradebook.db"

    def per_student(self, student: str) -> list[Path]:
        """Return every file and folder that is about one student; each may be missing."""
        check_name(student, "a student")
        folders = [self.root / step / student for step in ("handout", "submitted", "autograded", "feedback")]
        return folders + sorted((self.root / "results").glob(f"*/{student}.json"))

    def students_of(self, assignment: str) -> list[str]:
        """Return who handed in a folder for an assignment, by name."""
        found = (path.parent.name for path in (self.root / "submitted").glob(f"*/{assignment}") if path.is_dir())
        return sorted(name for name in found if not name.startswith("."))


def _unknown(given: str, allowed: Mapping[str, Any] | list[str]) -> str:
    near = difflib.get_close_matches(given, list(allowed), n=1)
    return f"{given!r}{f'; did you mean {near[0]!r}?' if near else '.'} It has: {', '.join(allowed)}"


def is_name(name: str) -> bool:
    """Return whether `name` can be a folder's name and a cell of a table, and nothing else."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str, what: str) -> str:
    """Return `name` if it can be a folder's name and nothing else.

    Raises
    ------
    CourseError
        If it could lead out of the folder or be read as a formula.
    """
    if not is_name(name):
        raise CourseError(
            f"{name!r} cannot name {what}; use a letter or digit first, then letters, digits and . _ @ + -"
        )
    return name


def find(start: Path | None = None) -> Path:
    """Return the course's folder: `start` or the nearest folder above it with a ``course.yml``, or its ``coursework``.

    Raises
    ------
    CourseError
        If there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        for candidate in (folder, folder / "coursework"):
            if (candidate / SETTINGS).is_file():
                return candidate
    raise CourseError(f"no {SETTINGS} in {start} or above it; go to the course's folder, or name it with --course")


def load(root: Path) -> Course:
    """Read a course's settings.

    Raises
    ------
    CourseError
        If a setting is missing, unknown or of the wrong kind.
    """
    path = root / SETTINGS
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CourseError(f"{path} cannot be read: {error}") from None
    given = _mapping(given, SETTINGS, ["course", "assignments", "late", "limits"])
    assignments = _mapping(given.get("assignments"), "assignments")
    if not assignments or not given.get("course"):
        raise CourseError(f"{path} needs `course: a-name` and `assignments:` with at least one of them")
    entries = {check_name(str(name), "an assignment"): _entry(str(name), value) for name, value in assignments.items()}
    late = Late(**_mapping(given.get("late"), "late", [field.name for field in dataclasses.fields(Late)]))
    limits = _mapping(given.get("limits"), "limits")
    return Course(root, check_name(str(given["course"]), "a course"), entries, late, limits)


def _mapping(given: Any, where: str, allowed: list[str] | None = None) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise CourseError(f"{where} is {given!r}; write `name: value` lines")
    for name in given:
        if allowed is not None and name not in allowed:
            raise CourseError(f"{where} has no setting {_unknown(str(name), allowed)}")
    return {str(name): value for name, value in given.items()}


def _entry(name: str, given: Any) -> Entry:
    values = _mapping(given, name, ["title", "points", "due", "canvas_id"])
    points = values.get("points", Entry.points)
    if isinstance(points, bool) or not isinstance(points, int | float) or points < 0:
        raise CourseError(f"{name}: points is {points!r}; give a number, 0 or more")
    title, canvas_id = (str(values.get(key, other)) for key, other in (("title", name), ("canvas_id", "")))
    if not re.fullmatch(r"[0-9]*", canvas_id):
        raise CourseError(f"{name}: canvas_id is {canvas_id!r}; give the number in the address of its page in Canvas")
    return Entry(name, title, float(points), _due(name, values.get("due")), canvas_id)


def _due(name: str, given: Any) -> datetime | None:
    if given is None or given == "":
        return None
    try:
        due = given if isinstance(given, date) else datetime.fromisoformat(str(given))
    except ValueError:
        due = None
    if not isinstance(due, datetime) or due.tzinfo is None:
        raise CourseError(f"{name}: due is {str(given)!r}; give day, time and offset, as in 2030-03-01 23:59:00+01:00")
    return due


def roster(course: Course) -> list[Student]:
    """Read the roster.

    Its columns are ``student``, the id, ``extension_days`` (for all assignments) and, where wanted,
    ``extension_days_ps3`` and the like, which replace the general one where they are filled in, and those of `ABOUT`,
    in which any text may stand.

    Raises
    ------
    CourseError
        If the file or a column is missing, a column is unknown, a name is repeated, or a number is none.
    """
    path = course.root / "roster.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CourseError(f"{path} cannot be read: {error}") from None
    own = {f"extension_days_{name}": name for name in course.entries}
    for column in columns:
        if column not in (known := ["student", "extension_days", *own, *ABOUT]):
            raise CourseError(f"{path.name} has a column {_unknown(column, known)}")
    if "student" not in columns:
        raise CourseError(f"{path.name} has no column 'student'; its first line is: student,extension_days")
    students = [_student(row, own, f"{path.name}, entry {number}") for number, row in enumerate(rows, start=1)]
    names = [student.name for student in students]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CourseError(f"{path.name} lists {', '.join(twice)} more than once; keep one line for each student")
    return students


def _student(row: Mapping[str, str | None], own: Mapping[str, str], where: str) -> Student:
    def days(column: str) -> int:
        text = (row.get(column) or "0").strip() or "0"
        if not re.fullmatch(r"\d{1,3}", text):
            raise CourseError(f"{where}: {column} is {text!r}; give whole days, 0 to 999")
        return int(text)

    name = (row.get("student") or "").strip()
    if not name.isascii():
        raise CourseError(f"{where}: the id {name!r} has letters beyond ASCII; give an id without, and `name` as it is")
    check_name(name, f"a student ({where})")
    single = {assignment: days(column) for column, assignment in own.items() if (row.get(column) or "").strip()}
    about = {column: " ".join((row.get(column) or "").split()) for column in ABOUT}
    return Student(name, days("extension_days"), single, about)


def key(course: Course) -> bytes:
    """Return the course's secret key, from which each student's parameters follow; make it for a course that begins.

    Raises
    ------
    CourseError
        If it is lost, others than the owner can read it, or it is not a key.
    """
    path = course.root / "course.key"
    if not os.path.lexists(path):
        if begun := [name for name in ("handout", "results") if any(course.root.glob(f"{name}/*"))]:
            raise CourseError(_LOST.format(path=path, folders=" and ".join(f"{name}/" for name in begun)))
        _make_key(path)
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise CourseError(f"{path} is not a plain file; a key is one, not a link")
    if status.st_mode & 0o077:
        raise CourseError(f"others can read {path} (mode {status.st_mode & 0o777:o}); if nobody did: chmod 600 {path}")
    found = path.read_bytes()
    if len(found) != KEY_BYTES:
        raise CourseError(f"{path} holds {len(found)} bytes, not {KEY_BYTES}; restore it, or every variant changes")
    return found


_LOST = """\
{path} is lost, and with it the parameters in {folders}: a new key would give everybody others.
Restore it from your backup, with mode 0600. It is 32 bytes; the other files cannot give it back.
If there is no copy: move {folders} away, and release again. A new key is made then, and all answers are due anew."""


def _make_key(path: Path) -> None:
    # Complete before it has its name, and never over another one: two commands may start at once.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        os.unlink(draft)
