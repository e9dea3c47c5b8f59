"""Marks in nbgrader's gradebook, those given by hand and lateness included; and the pages and tables made of them.

What lives here writes marks, and ``merge`` alone does. It runs no submission, nor ``nbgrader autograde``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any

from . import feedback, lateness, wording
from .books import gradebook
from .course import Course, CourseError, Student, roster
from .records import STATUSES, Result, counts, results, table, unmarked, write
from .submission import linked
from .to_mark import Answer, copy, merged


@dataclass
class Merged:
    """What ``merge`` did: whose marks it wrote, and why others have none."""

    written: list[str] = field(default_factory=list)
    unmarked: dict[str, str] = field(default_factory=dict)
    to_mark_by_hand: list[str] = field(default_factory=list)
    undated: list[str] = field(default_factory=list)
    counts: str = ""


def merge(course: Course, assignment: str) -> Merged:
    """Write results into nbgrader's gradebook, and beside it the copies that a person reads in formgrader.

    A second merge of the same results changes nothing. Marks and comments given by hand stay; where what they were
    given for has changed, nbgrader asks for them again. An infrastructure error changes no mark.

    Raises
    ------
    CourseError
        If the assignment was not released, or a result does not fit it.
    """
    entry, found = course.entry(assignment), results(course, assignment)
    if not course.gradebook.is_file() or not course.release(assignment).is_file():
        raise CourseError(f"{assignment} was not released here; run: initgrade release {assignment}")
    done = Merged(unmarked=unmarked(course, assignment, found))
    with gradebook(course) as book:
        _refuse_misfits(assignment, _asked(book, assignment), found)
        due = entry.due.astimezone(UTC).replace(tzinfo=None) if entry.due else None
        book.update_or_create_assignment(assignment, duedate=due)
        for student, result in found.items():
            if student not in done.unmarked:
                _merge_one(course, book, result, done)
                done.written.append(student)
    done.counts = counts(found[student] for student in done.written)
    return done


def _asked(book: Any, assignment: str) -> dict[str, float]:
    """Return the points of the cells that the marker marks, as they were released."""
    from nbgrader.api import MissingEntry

    try:
        notebook = book.find_notebook(assignment, assignment)
    except MissingEntry:
        raise CourseError(f"{assignment} was not released here; run: initgrade release {assignment}") from None
    by_hand = {cell.name for cell in notebook.solution_cells}
    return {cell.name: cell.max_score for cell in notebook.grade_cells if cell.name not in by_hand}


def _refuse_misfits(assignment: str, released: Mapping[str, float], found: Mapping[str, Result]) -> None:
    """Refuse results of other requests, or of other points, than were released: the marks would be wrong."""
    for student, result in found.items():
        marked = {request["name"]: request["max_points"] for request in result["requests"]}
        odd = sorted(dict([*(marked.items() ^ released.items())]))
        if odd:
            each = (f"{n} ({_points(marked, n)} in the result, {_points(released, n)} in the release)" for n in odd)
            raise CourseError(
                f"the result of {student} does not fit the release of {assignment}: {', '.join(each)}. Nothing was "
                f"merged. The checks have changed; undo that, or run: initgrade release {assignment}; "
                f"initgrade run {assignment}"
            )


def _points(points: Mapping[str, float], name: str) -> str:
    return f"{points[name]:g}" if name in points else "none"


def _merge_one(course: Course, book: Any, result: Result, done: Merged) -> None:
    assignment, student = result["assignment"], result["student"]
    person, stamp = _person(course, student), lateness.handed_in(course.submitted(assignment, student))
    book.update_or_create_student(student)
    with book.db.no_autoflush:  # SQLAlchemy warns of how nbgrader puts a submission together
        book.update_or_create_submission(assignment, student, timestamp=stamp)
    book.grant_extension(assignment, student, days=person.extension(assignment))
    notebook = book.find_submission_notebook(assignment, assignment, student)
    text, answers = copy(
        course, assignment, student, readable=result["status"] != "malformed", marked=result["hashes"]["submission"]
    )
    _score(notebook, {request["name"]: request["points"] for request in result["requests"]}, answers)
    notebook.late_submission_penalty = notebook.late_submission_penalty or 0.0
    book.db.flush()
    _charge(course, book, person)
    book.db.commit()
    write(course.to_mark(assignment, student), text)
    if any(grade.needs_manual_grade for grade in notebook.grades):
        done.to_mark_by_hand.append(student)
    if course.entry(assignment).due and stamp is None:
        done.undated.append(student)


def _charge(course: Course, book: Any, person: Student) -> None:
    """Take lateness off in all assignments: one that turns up may take a free day from those that are due later."""
    book.db.expire_all()
    late = _late(course, person)
    for submission in book.student_submissions(person.name):
        lost = late.get(submission.assignment.name, lateness.Lateness()).share_lost * submission.score
        if submission.late_submission_penalty != lost:
            submission.notebooks[0].late_submission_penalty = lost


def _person(course: Course, student: str) -> Student:
    return next((line for line in roster(course) if line.name == student), Student(student))


def _late(course: Course, person: Student) -> dict[str, lateness.Lateness]:
    stamps = {name: lateness.handed_in(course.submitted(name, person.name)) for name in course.entries}
    return lateness.lateness(course, person, {name: stamp for name, stamp in stamps.items() if stamp})


def _score(notebook: Any, points: Mapping[str, float], answers: Mapping[str, Answer]) -> None:
    """Give each cell its marks; the cells that a person marks wait, unless there is nothing to read."""
    for grade in notebook.grades:
        answer = answers.get(grade.name)
        if grade.name in points:
            changed, auto = grade.auto_score not in (None, points[grade.name]), points[grade.name]
            waits = False
        elif answer is None or not answer.given:
            changed, auto, waits = grade.auto_score != 0.0, 0.0, False
        else:
            changed, auto, waits = answer.changed, None, True
        if grade.manual_score is None:
            grade.needs_manual_grade = waits
        elif changed:
            grade.needs_manual_grade = True
        grade.auto_score = auto
    for comment in notebook.comments:
        answer = answers.get(comment.name)
        comment.auto_comment = None if answer is not None and answer.given else "No response."


NOT_MERGED = "not merged yet"


@dataclass(frozen=True)
class Marks:
    """One student's marks in one assignment, those given by hand and the lateness included."""

    student: str
    assignment: str
    status: str
    score: float
    max_score: float
    points_lost_late: float = 0.0
    late: lateness.Lateness = field(default_factory=lateness.Lateness)
    by_hand: tuple[Mapping[str, Any], ...] = ()
    waits: bool = False
    undated: bool = False

    @property
    def complete(self) -> bool:
        """Return whether nothing is still to be marked or merged."""
        return not self.waits and self.status in ("not handed in", *STATUSES[:-1])

    @property
    def total(self) -> float:
        """Return what counts: the score less what lateness costs."""
        return self.score - self.points_lost_late


def marks(course: Course, assignment: str) -> list[Marks]:
    """Return the marks of all students of the roster and of all who handed in; who has none scores 0.

    Raises
    ------
    CourseError
        If it was not released.
    """
    dated = course.entry(assignment).due is not None
    if not course.gradebook.is_file() or not course.release(assignment).is_file():
        raise CourseError(f"{assignment} was not released here; run: initgrade release {assignment}")
    found = results(course, assignment)
    waiting = unmarked(course, assignment, found)
    names = sorted({line.name for line in roster(course)} | set(found) | set(waiting))
    with gradebook(course) as book:
        _asked(book, assignment)
        submissions = {submission.student.id: submission for submission in book.assignment_submissions(assignment)}
        most = book.find_assignment(assignment).max_score
        rows = []
        for name in names:
            status = waiting.get(name) or (found[name]["status"] if name in found else "not handed in")
            row = Marks(name, assignment, status, 0.0, most)
            if name in submissions:
                row = _marks(course, assignment, submissions[name], status)
            if dated and name in found and lateness.handed_in(course.submitted(assignment, name)) is None:
                row = replace(row, undated=True)
            if name in found and name not in waiting and not _is_merged(course, found[name], submissions, row):
                row = replace(row, status=NOT_MERGED)
            rows.append(row)
        return rows


def _is_merged(course: Course, result: Result, submissions: Mapping[str, Any], row: Marks) -> bool:
    """Return whether the gradebook holds this result, and what lateness costs now."""
    if result["student"] not in submissions:
        return False
    submission = submissions[result["student"]]
    held = {grade.name: (grade.auto_score, grade.max_score) for grade in submission.notebooks[0].grades}
    marked = all(held.get(part["name"]) == (part["points"], part["max_points"]) for part in result["requests"])
    charged = abs(submission.late_submission_penalty - row.points_lost_late) < 1e-9
    return marked and charged and merged(course, row.assignment, row.student, result["hashes"]["submission"])


def _marks(course: Course, assignment: str, submission: Any, status: str) -> Marks:
    student = submission.student.id
    late = _late(course, _person(course, student)).get(assignment, lateness.Lateness())
    (notebook,) = submission.notebooks
    comments = {comment.name: comment.manual_comment or "" for comment in notebook.comments}
    solutions = {cell.name for cell in notebook.notebook.solution_cells}
    by_hand = [
        {
            "name": grade.name,
            "points": None if grade.needs_manual_grade else grade.score,
            "max_points": grade.max_score,
            "comment": comments.pop(grade.name, ""),
            "read": grade.manual_score is not None or grade.extra_credit is not None or grade.needs_manual_grade,
        }
        for grade in notebook.grades
        if grade.name in solutions or grade.manual_score is not None or grade.extra_credit is not None
    ]
    by_hand += [
        {"name": n, "points": None, "max_points": None, "comment": text} for n, text in comments.items() if text
    ]
    lost = late.share_lost * submission.score
    waits = submission.needs_manual_grade
    return Marks(student, assignment, status, submission.score, submission.max_score, lost, late, tuple(by_hand), waits)


def released(course: Course) -> list[str]:
    """Return the names of the assignments that were released, in the order of the settings."""
    return [name for name in course.entries if course.release(name).is_file()]


def feedback_pages(course: Course, assignment: str) -> tuple[list[Path], dict[str, str]]:
    """Write a page for each student whose result may become marks.

    Returns
    -------
    list of Path
        The pages.
    dict
        Why others who handed in have none.
    """
    found = results(course, assignment)
    without = unmarked(course, assignment, found)
    called = {line.name: line.about.get("name", "") for line in roster(course)}
    lessons = wording.lessons(course.root, assignment)
    written = []
    for row in marks(course, assignment):
        if row.status == NOT_MERGED:
            without[row.student] = f"{NOT_MERGED}; run: initgrade merge {assignment}"
        elif row.student in found and row.student not in without:
            text = feedback.page(
                found[row.student],
                title=course.entry(assignment).title,
                by_hand=row.by_hand,
                late=str(row.late) if row.late.days else "",
                lost=row.points_lost_late,
                totals=(row.total, row.max_score),
                waits=row.waits,
                name=called.get(row.student, ""),
                lessons=lessons,
                others=_others(course.submitted(assignment, row.student)),
            )
            write(course.feedback(assignment, row.student), text)
            written.append(course.feedback(assignment, row.student))
    return written, without


def _others(submission: Path) -> list[str]:
    """Return the names of what lies where a notebook was to be; a link leads elsewhere and is not followed."""
    folder = submission.parent
    if linked(submission) or not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name not in ("timestamp.txt", submission.name))


COLUMNS = (
    *("student", "assignment", "status", "days_late", "free_days"),
    *("score", "lost_late", "total", "max_score", "course_points", "complete", "name"),
)


def course_points(course: Course, row: Marks) -> float:
    """Return a student's total in the points that the assignment counts in the course."""
    return course.entry(row.assignment).points * row.total / (row.max_score or 1.0)


def export(course: Course, assignments: list[str]) -> str:
    """Return the marks as CSV, one line for each student and assignment.

    ``course_points`` is the total in the points that the assignment counts in the course. ``complete`` is "no" where
    marks by hand, or all marks, are still to come, or the gradebook does not hold the latest result. The late
    days are empty where no time stamp says when it was handed in.
    """
    called = {line.name: line.about.get("name", "") for line in roster(course)}
    rows: list[tuple[str | float, ...]] = [COLUMNS]
    for assignment in assignments:
        for row in marks(course, assignment):
            late: tuple[str | float, ...] = ("", "") if row.undated else (row.late.days, row.late.free)
            numbers = (row.score, row.points_lost_late, row.total, row.max_score, course_points(course, row))
            ends = ("yes" if row.complete else "no", called.get(row.student, ""))
            rows.append((row.student, row.assignment, row.status, *late, *numbers, *ends))
    return table(rows)
