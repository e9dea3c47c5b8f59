"""nbgrader's gradebook, opened; and what the course holds about a student, found and erased.

What lives here knows where things are kept; what they mean is for `paperwork`.
"""

import contextlib
import csv
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from .course import Course, CourseError, roster
from .records import write


@contextmanager
def gradebook(course: Course) -> Iterator[Any]:
    """Open nbgrader's gradebook, and make it if there is none.

    Raises
    ------
    CourseError
        If the file cannot be read or written: the disk is full, another program holds it, or it is no gradebook.
    """
    try:
        with _opened(course) as book:
            yield book
    except Exception as error:
        if refused := _refused(error):
            raise CourseError(
                f"{course.gradebook} cannot be read or written: {refused}. Is the disk full, may this account write "
                "there, does formgrader hold it? What was written before stays; then run the same command again"
            ) from error
        raise


def _refused(error: BaseException | None) -> str:
    """Return what the database refused, if that is behind an error; nbgrader raises errors of its own."""
    from sqlalchemy.exc import DatabaseError, IntegrityError

    while error is not None and not isinstance(error, DatabaseError):
        error = error.__cause__ or error.__context__
    return "" if error is None or isinstance(error, IntegrityError) else str(error.orig)


def _opened(course: Course) -> Any:
    from nbgrader import api

    with patch.object(api, "get_alembic_version", _newest):
        return api.Gradebook(f"sqlite:///{course.gradebook}", course.name)


def _newest() -> str:
    """Return the version of a new gradebook; nbgrader runs the program alembic for it, which takes seconds."""
    import nbgrader
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory(str(Path(nbgrader.__file__).parent / "alembic")).get_current_head())


def _databases(course: Course) -> list[Path]:
    """Return the gradebook and its backups: ``nbgrader db upgrade`` leaves ``gradebook.db.<date>``."""
    return [path for path in sorted(course.root.glob(f"{course.gradebook.name}*")) if _is_database(path)]


def _is_database(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"
    return False


def _copies(course: Course, student: str) -> list[Path]:
    """Return every file and folder that is about one student alone: folders of that name, wherever, and results."""
    named = {path for path in course.per_student(student) if os.path.lexists(path)}
    for folder, folders, files in os.walk(course.root):
        place = Path(folder)
        if place == course.root:
            folders[:] = [name for name in folders if name not in _NOBODYS]
        elif student not in course.entries:  # a student may have an assignment's name
            named |= {place / name for name in (*folders, *files) if name == student}
        drafts = [place / name for name in files if name.startswith(".") and name.endswith((".part", ".draft"))]
        named |= {path for path in drafts if _mentioned(path, student)}  # a command was cut off while it wrote
    return sorted(path for path in named if not named & set(path.parents))


_NOBODYS = ("source", "checks", "wrong", ".git")


def _mentioned(path: Path, student: str) -> bool:
    name = re.escape(student.encode())
    pattern = rb"(?<![\w.@+-])" + name + rb"(?![\w@+-]|\.\w)"
    with contextlib.suppress(OSError):
        return path.is_file() and re.search(pattern, path.read_bytes()) is not None
    return False


def traces(course: Course, student: str) -> list[str]:
    """Return what the course's folder holds about a student, as `erase` deletes it."""
    found = [str(path.relative_to(course.root)) for path in _copies(course, student)]
    if any(line.name == student for line in roster(course)):
        found.append("a line of roster.csv")
    for path in _databases(course):
        with closing(sqlite3.connect(path)) as database:
            if _doomed(database, student):
                found.append(f"marks and comments in {path.name}")
    return found


def mentions(course: Course, student: str) -> list[str]:
    """Return the files of the course's folder that name a student, and that `erase` leaves alone, such as tables."""
    gone = _copies(course, student)
    left_out = {course.root / name for name in _NOBODYS} | set(gone) | set(_databases(course))
    files = (path for path in sorted(course.root.rglob("*")) if not left_out & {path, *path.parents})
    about = (path for path in files if path.name != "roster.csv" and _mentioned(path, student))
    return [str(path.relative_to(course.root)) for path in about]


def erase(course: Course, student: str) -> None:
    """Delete all that `traces` names: files, the line of the roster, and the rows of the gradebook and its backups."""
    for path in _copies(course, student):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    _strike(course.root / "roster.csv", student)
    for path in _databases(course):
        with closing(sqlite3.connect(path)) as database:
            for table, rows in _doomed(database, student).items():
                database.executemany(f'DELETE FROM "{table}" WHERE id = ?', [(row,) for row in rows])
            database.commit()
            database.execute("VACUUM")  # deleted rows stay in the file's free pages until it is written anew


def _doomed(database: sqlite3.Connection, student: str) -> dict[str, set[str]]:
    """Return the rows about a student by table: the student's own, and those that refer to one of them.

    A backup may have the tables of an older nbgrader, which the present one refuses to open.
    """
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if "student" not in tables:
        return {}
    refers = [
        (table, other, column)
        for table in tables
        for _, _, other, column, *_ in database.execute(f'PRAGMA foreign_key_list("{table}")')
    ]
    found: dict[str, set[str]] = {}
    todo = [("student", row) for (row,) in database.execute("SELECT id FROM student WHERE id = ?", [student])]
    while todo:
        table, row = todo.pop()
        found.setdefault(table, set()).add(row)
        for inner, other, column in refers:
            if other == table:
                rows = database.execute(f'SELECT id FROM "{inner}" WHERE "{column}" = ?', [row])
                todo += [(inner, each) for (each,) in rows if each not in found.get(inner, set())]
    return found


def _strike(path: Path, student: str) -> None:
    lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    column = next(csv.reader(lines[:1])).index("student")
    kept = [line for line in lines[1:] if not line.strip() or next(csv.reader([line]))[column].strip() != student]
    if len(kept) < len(lines) - 1:
        write(path, "".join([lines[0], *kept]))
