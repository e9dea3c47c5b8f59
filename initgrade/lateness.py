"""How late a submission is, and what that costs: a pure rule, from time stamps, the roster and the settings.

What lives here computes; `paperwork` takes the points off.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .course import Course, Late, Student

_DAY = timedelta(days=1)
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?)(?:\.\d+)? ?([+-]\d\d(?::?\d\d)?|[A-Za-z][A-Za-z0-9_+/-]*)"
)
_OFFSETS = {"UTC": "+00:00", "GMT": "+00:00", "Z": "+00:00", "WEST": "+01:00", "CEST": "+02:00", "EEST": "+03:00"}


@dataclass(frozen=True)
class Lateness:
    """Days after the due date that were begun, how many of them are free, and the share of the points that is lost."""

    days: int = 0
    free: int = 0
    share_lost: float = 0.0

    def __str__(self) -> str:
        if not self.days:
            return "on time"
        days = f"{self.days} day{'s' if self.days > 1 else ''} late"
        free = f", {self.free} of them free" if self.free else ""
        return f"{days}{free}: {self.share_lost:.0%} of the points are lost"


def handed_in(submission: Path) -> datetime | None:
    """Return when a submission was handed in, by the ``timestamp.txt`` beside it that nbgrader's collecting writes.

    None if there is no such file, or no time with a zone in it: nobody is late by a file that cannot be read. A zone is
    an offset, UTC, or a name of the IANA's list such as Europe/Berlin; other abbreviations mean several zones.
    """
    path = submission.parent / "timestamp.txt"
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            match = _STAMP.fullmatch(file.read(100).decode("ascii", errors="replace").strip())
        return _time(*match.groups()) if match else None
    except (OSError, ValueError, OverflowError):  # ValueError: no such day or offset, or no such zone
        return None


def _time(day: str, time: str, zone: str) -> datetime:
    at = datetime.fromisoformat(f"{day}T{time}")
    if zone.upper() in _OFFSETS:
        zone = _OFFSETS[zone.upper()]
    if zone[0] in "+-":
        return datetime.fromisoformat(f"{at.isoformat()}{zone}").astimezone(UTC)
    try:
        return at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except ZoneInfoNotFoundError:
        raise ValueError(f"there is no zone {zone!r}") from None


def days_late(due: datetime, extension_days: int, at: datetime) -> int:
    """Return the days that were begun after the due date with its extension; 0 in time."""
    return max(0, math.ceil((at - due - extension_days * _DAY) / _DAY))


def charge(late: Late, days: int, free_left: int) -> Lateness:
    """Return what `days` cost a student who has `free_left` free days."""
    if days > late.most_days:
        return Lateness(days, 0, 1.0)
    free = min(days, free_left)
    return Lateness(days, free, min(1.0, (days - free) * late.percent_per_day / 100))


def lateness(course: Course, student: Student, stamps: Mapping[str, datetime]) -> dict[str, Lateness]:
    """Return a student's lateness in every assignment that was handed in.

    Free days go to the assignments in the order of their due dates, so the answer does not depend on what was
    marked first.
    """
    dated = [(entry.due, name) for name, entry in course.entries.items() if entry.due and name in stamps]
    left, found = course.late.free_days, {name: Lateness() for name in stamps}
    for due, name in sorted(dated):
        found[name] = charge(course.late, days_late(due, student.extension(name), stamps[name]), left)
        left -= found[name].free
    return found
