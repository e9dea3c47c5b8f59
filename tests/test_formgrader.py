"""Formgrader's button "Autograde" is pressed, in a real server, in a course with the settings as they come."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from initgrade import handing_out
from initgrade.course import Course
from tests.tiny_course import hand_in, make

pytestmark = pytest.mark.integration

BUTTON = Path(__file__).with_name("formgrader_button.py")
SETTINGS = Path(__file__).resolve().parent.parent / "coursework" / "nbgrader_config.py"
OPENS = "open({path!r}, 'w').write('a submission ran')\ndef times(x):\n    return x"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """Return a course in which a submission is handed in that would leave a file behind."""
    folder = tmp_path_factory.mktemp("formgrader")
    made = make(folder / "course")
    handing_out.release(made, "tiny")
    hand_in(made, "student-a", {"times": OPENS.format(path=str(folder / "ran"))})
    return made


def press(course: Course, own: Path, *, settings: bool) -> dict[str, Any]:
    """Press the button for the student, in a course with or without the file of settings; return the answer."""
    (course.root / SETTINGS.name).unlink(missing_ok=True)
    if settings:
        shutil.copy(SETTINGS, course.root)
    command = [sys.executable, str(BUTTON), str(course.root), "student-a", str(own)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def ran(course: Course) -> bool:
    return (course.root.parent / "ran").exists()


def test_the_button_runs_nothing(course: Course, tmp_path: Path) -> None:
    shutil.copy(SETTINGS, course.root)
    before = {path: path.read_bytes() for path in course.root.rglob("*") if path.is_file()}
    answer = press(course, tmp_path, settings=True)
    assert not answer["success"]
    assert "initgrade run ASSIGNMENT" in answer["error"]
    assert not ran(course)
    assert {path: path.read_bytes() for path in course.root.rglob("*") if path.is_file()} == before


def test_without_the_settings_it_runs_the_submission(course: Course, tmp_path: Path) -> None:
    """So the test above can fail: this is what the file of settings is for."""
    press(course, tmp_path, settings=False)
    assert ran(course)
