"""Formgrader's button "Autograde" is pressed, in a real server, in a course with the settings as they come."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from initgrade import course as courses
from initgrade.course import Course
from tests.tiny_course import hand_in

pytestmark = pytest.mark.integration

BUTTON = Path(__file__).with_name("formgrader_button.py")
SETTINGS = Path(__file__).resolve().parent.parent / "coursework" / "nbgrader_config.py"
OPENS = "open({path!r}, 'w').write('a submission ran')\ndef times(x):\n    return x"


@pytest.fixture(scope="module")
def pressed(released: Course, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Course, dict[str, Any]]]:
    """Press the button in a course with and one without the file of settings; a submission would leave a file behind.

    Return each course with the server's answer, and what its files were before.
    """
    folder, places = tmp_path_factory.mktemp("formgrader"), {}
    for name in ("with", "without"):
        places[name] = courses.load(shutil.copytree(released.root, folder / name / "course"))
        hand_in(places[name], "student-a", {"times": OPENS.format(path=str(folder / name / "ran"))})
    shutil.copy(SETTINGS, places["with"].root)
    before = files(places["with"])
    command = [sys.executable, str(BUTTON), str(folder), "student-a", *(str(place.root) for place in places.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == 2, done.stdout
    found = {name: (place, answer) for (name, place), answer in zip(places.items(), answers, strict=True)}
    found["with"][1]["before"] = before
    return found


def files(course: Course) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in course.root.rglob("*") if path.is_file()}


def ran(course: Course) -> bool:
    return (course.root.parent / "ran").exists()


def test_the_button_runs_nothing(pressed: dict[str, tuple[Course, dict[str, Any]]]) -> None:
    course, answer = pressed["with"]
    assert not answer["success"]
    assert "initgrade run ASSIGNMENT" in answer["error"]
    assert not ran(course)
    assert files(course) == answer["before"]


def test_without_the_settings_it_runs_the_submission(pressed: dict[str, tuple[Course, dict[str, Any]]]) -> None:
    """So the test above can fail: this is what the file of settings is for."""
    assert ran(pressed["without"][0])
