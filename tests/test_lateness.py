"""How late work is, and what that costs: time stamps as they are found, and the rule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from initgrade.course import Course, Entry, Late, Student
from initgrade.lateness import Lateness, charge, days_late, handed_in, lateness

DUE = datetime(2030, 3, 1, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stamp", "hour"),
    [
        ("2030-03-01 22:10:00 UTC", 22),
        ("2030-03-01 22:10:00.123456 UTC\n", 22),
        ("2030-03-01T22:10Z", 22),
        ("2030-03-01 22:10:00 +02:00", 20),
        ("2030-03-01 22:10:00+0200", 20),
        ("2030-03-01 22:10:00 +01", 21),
        ("2030-03-01 22:10:00 utc", 22),
        ("2030-03-01 22:10:00 GMT", 22),
        ("2030-03-01 22:10:00.123456 CET", 21),
        ("2030-07-01 22:10:00.123456 CEST", 20),
        ("2030-03-01 22:10:00 Europe/Berlin", 21),
        ("2030-07-01 22:10:00 Europe/Berlin", 20),
    ],
)
def test_time_stamps_with_a_zone_are_read(stamp: str, hour: int, tmp_path: Path) -> None:
    (tmp_path / "timestamp.txt").write_text(stamp)
    found = handed_in(tmp_path / "ps1.ipynb")
    assert found is not None
    assert (found.hour, found.minute, found.tzinfo) == (hour, 10, UTC)


@pytest.mark.parametrize(
    "stamp",
    [
        "", "2030-03-01 22:10:00", "yesterday", "2030-13-01 22:10:00 UTC", "0001-01-01 00:00 +23:59", "\xff\xfe",
        "2030-03-01 22:10:00 CST", "2030-03-01 22:10:00 Europe", "2030-03-01 22:10 Europe/../UTC",
        "2030-03-01 22:10 +99",
        "2030-03-01 22:10:00 UTC" + " " * 200 + "x",
    ],
)  # fmt: skip
def test_nobody_is_late_by_a_time_stamp_that_cannot_be_read(stamp: str, tmp_path: Path) -> None:
    (tmp_path / "timestamp.txt").write_text(stamp, encoding="latin-1")
    found = handed_in(tmp_path / "ps1.ipynb")
    assert found is None or stamp.startswith("2030-03-01 22:10:00 UTC ")


def test_a_time_stamp_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    assert handed_in(tmp_path / "ps1.ipynb") is None
    (tmp_path / "others").write_text("2030-03-01 22:10:00 UTC")
    (tmp_path / "timestamp.txt").symlink_to(tmp_path / "others")
    assert handed_in(tmp_path / "ps1.ipynb") is None


@pytest.mark.parametrize(
    ("seconds", "extension", "days"),
    [(-5, 0, 0), (0, 0, 0), (1, 0, 1), (86400, 0, 1), (86401, 0, 2), (86401, 1, 1), (86401, 2, 0)],
)
def test_days_that_were_begun_count(seconds: int, extension: int, days: int) -> None:
    assert days_late(DUE, extension, DUE + timedelta(seconds=seconds)) == days


@pytest.mark.parametrize(
    ("days", "free", "cost", "words"),
    [
        (0, 3, Lateness(), "on time"),
        (1, 0, Lateness(1, 0, 0.1), "1 day late: 10% of the points are lost"),
        (4, 3, Lateness(4, 3, 0.1), "4 days late, 3 of them free: 10% of the points are lost"),
        (7, 0, Lateness(7, 0, 0.7), "7 days late: 70% of the points are lost"),
        (8, 3, Lateness(8, 0, 1.0), "8 days late: 100% of the points are lost"),
    ],
)
def test_what_days_cost_and_in_words(days: int, free: int, cost: Lateness, words: str) -> None:
    found = charge(Late(free_days=3), days, free)
    assert (found.days, found.free, found.share_lost) == pytest.approx((cost.days, cost.free, cost.share_lost))
    assert str(found) == words


def test_free_days_go_to_the_first_due_dates_and_extensions_move_them(tmp_path: Path) -> None:
    entries = {
        "second": Entry("second", "", due=DUE + timedelta(days=7)),
        "first": Entry("first", "", due=DUE),
        "never": Entry("never", ""),
    }
    course = Course(tmp_path, "a-course", entries, Late(free_days=2, percent_per_day=50))
    stamps = {name: DUE + timedelta(days=8, hours=12) for name in entries}
    stamps["first"] = DUE + timedelta(hours=1)
    assert lateness(course, Student("student-a"), stamps) == {
        "first": Lateness(1, 1, 0.0), "second": Lateness(2, 1, 0.5), "never": Lateness(),
    }  # fmt: skip
    extended = Student("student-b", 0, {"second": 2})
    assert lateness(course, extended, stamps)["second"] == Lateness()
    assert "first" not in lateness(course, extended, {"second": DUE})
