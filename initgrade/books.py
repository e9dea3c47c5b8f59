"""nbgrader's gradebook, opened; and what the course holds about a student, found and erased.

What lives here knows where things are kept; what they mean is for `paperwork`.
"""

import csv
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

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
    from nbgrader.api import Gradebook

    path = os.environ.get("PATH", "")
    # A new gradebook asks the program alembic for its version: it is beside Python, which need not be on the path.
    os.environ["PATH"] = os.pathsep.join(filter(None, [str(Path(sys.executable).parent), path]))
    try:
        opened = Gradebook(f"sqlite:///{course.gradebook}", course.name)
    finally:
        os.environ["PATH"] = path
    return opened


def traces(course: Course, student: str) -> list[str]:
    """Return what the course's folder holds about a student."""
    found = [str(path.relative_to(course.root)) for path in course.per_student(student) if os.path.lexists(path)]
    if any(line.name == student for line in roster(course)):
        found.append("a line of roster.csv")
    if course.gradebook.is_file():
        with gradebook(course) as book:
            if any(known.id == student for known in book.students):
                found.append("marks and comments in gradebook.db")
    return found


def erase(course: Course, student: str) -> None:
    """Delete all that `traces` names: files, the line of the roster, and the rows of the gradebook."""
    for path in course.per_student(student):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    _strike(course.root / "roster.csv", student)
    if not course.gradebook.is_file():
        return
    with gradebook(course) as book:
        for name in [submission.name for submission in book.student_submissions(student)]:
            book.remove_submission(name, student)
        if any(known.id == student for known in book.students):
            book.remove_student(student)
    with closing(sqlite3.connect(course.gradebook)) as database:
        database.execute("VACUUM")  # deleted rows stay in the file's free pages until it is written anew


def _strike(path: Path, student: str) -> None:
    lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    column = next(csv.reader(lines[:1])).index("student")
    kept = [line for line in lines[1:] if not line.strip() or next(csv.reader([line]))[column].strip() != student]
    if len(kept) < len(lines) - 1:
        write(path, "".join([lines[0], *kept]))
