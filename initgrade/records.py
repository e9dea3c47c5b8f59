"""Stored results: one JSON file for each submission, which the marker writes and everything else reads.

What lives here reads and compares; what is in a result is decided in `marking`.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .course import Course, CourseError, is_name
from .submission import handed_in

FORMAT = 1
STATUSES = ("graded", "crashed", "timed_out", "out_of_memory", "malformed", "infrastructure_error")

Result = dict[str, Any]


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing, in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


# The last four are the wide forms of the first four, which some spreadsheets take for them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def disarmed(cell: str | float) -> str:
    """Return a cell of a table that no spreadsheet takes for a formula: such text begins with an apostrophe.

    References
    ----------
    OWASP, CSV injection, https://owasp.org/www-community/attacks/CSV_Injection

    Examples
    --------
    >>> disarmed("=1+1"), disarmed("José"), disarmed(-0.25)
    ("'=1+1", 'José', '-0.25')
    """
    if not isinstance(cell, str):
        return f"{cell:g}"
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def table(rows: Iterable[Sequence[str | float]]) -> str:
    """Return rows as CSV in which nothing is a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([disarmed(cell) for cell in row] for row in rows)
    return text.getvalue()


def counts(found: Iterable[Mapping[str, Any]]) -> str:
    """Return how many results have each status, in words; the best status first.

    Examples
    --------
    >>> counts([{"status": "malformed"}, {"status": "graded"}, {"status": "graded"}])
    '2 graded, 1 malformed'
    """
    number = Counter(str(each["status"]) for each in found)
    return ", ".join(f"{number[status]} {status.replace('_', ' ')}" for status in STATUSES if number[status])


def result(path: Path) -> Result:
    """Read a stored result.

    Raises
    ------
    CourseError
        If it is none.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CourseError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("status") not in STATUSES:
        raise CourseError(f"{path} is no result of format {FORMAT}; delete it and run the marker again")
    if found.get("student") != path.stem or found.get("assignment") != path.parent.name:
        raise CourseError(f"{path} is about {found.get('student')!r} in {found.get('assignment')!r}; it was moved")
    return found


def results(course: Course, assignment: str) -> dict[str, Result]:
    """Return all stored results of an assignment, by student."""
    found = (path for path in sorted(course.results(assignment).glob("*.json")) if is_name(path.stem))
    return {path.stem: result(path) for path in found}


def unmarked(course: Course, assignment: str, found: Mapping[str, Result]) -> dict[str, str]:
    """Return why a student who handed in, or has a result, has no result that may become marks."""
    reasons = {name: "not marked yet" for name in course.students_of(assignment) if name not in found}
    reasons |= {name: "that is no student's name" for name in reasons if not is_name(name)}
    for student, marked in found.items():
        if marked["status"] == "infrastructure_error":
            reasons[student] = f"the marker failed, not the student: {_why(marked)}"
        elif handed_in(course.submitted(assignment, student)) != marked["hashes"]["submission"]:
            reasons[student] = "what was handed in is not what was marked"
    return dict(sorted(reasons.items()))


def _why(marked: Result) -> str:
    return str(marked.get("message") or marked.get("output") or "no reason given").strip()[:300]


def seed(marked: Result) -> int | None:
    """Return the number from which all random numbers of a marking follow."""
    stored = marked.get("seeds")
    found = stored.get("entropy") if isinstance(stored, dict) else None
    return found if isinstance(found, int) else None


def difference(old: Result, new: Result) -> list[str]:
    """Return, in lines, what differs between two markings of one submission; nothing if nothing does.

    Messages count: a student who reads another sentence was told something else. Times do not.
    """
    lines = [_change(name, old.get(name), new.get(name)) for name in ("status", "score", "max_score")]
    before, after = ({request["name"]: request for request in marking["requests"]} for marking in (old, new))
    for name in dict.fromkeys([*before, *after]):
        for part in ("points", "max_points", "status", "message", "hint"):
            pair = [requests.get(name, {}).get(part) for requests in (before, after)]
            lines.append(_change(f"{name}: {part}", *pair))
    for name in ("submission", "checks", "packages"):
        lines.append(_change(f"hash of {name}", *(marking.get("hashes", {}).get(name) for marking in (old, new))))
    return [line for line in lines if line]


def _change(what: str, old: Any, new: Any) -> str:
    if old == new or (isinstance(old, float) and isinstance(new, float) and abs(old - new) < 1e-9):
        return ""
    return f"{what}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{value:g}" if isinstance(value, int | float) else " ".join(str(value).split())[:80]
