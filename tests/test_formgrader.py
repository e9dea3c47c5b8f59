"""Formgrader's button "Autograde" is pressed, in a real server, in a course with the settings as they come."""

import json
import shutil
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from initgrade import handing_out
from initgrade.course import Course
from tests.tiny_course import hand_in, make

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


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, course: Course, settings: bool) -> Iterator[Any]:
    """Return a Jupyter server with formgrader in the course's folder."""
    from jupyter_server.serverapp import ServerApp
    from nbgrader.server_extensions.formgrader import formgrader

    (course.root / SETTINGS.name).unlink(missing_ok=True)
    if settings:
        shutil.copy(SETTINGS, course.root)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(course.root)
    monkeypatch.setattr(sys, "path", list(sys.path))
    app = ServerApp(log_level="CRITICAL")
    options = ["--port=0", "--ip=127.0.0.1", "--no-browser", "--allow-root", "--ServerApp.token=t"]
    app.initialize([*options, f"--ServerApp.root_dir={course.root}"], find_extensions=False)
    formgrader.load_jupyter_server_extension(app)
    yield app
    app.io_loop.run_sync(app._cleanup)
    ServerApp.clear_instance()


def press(server: Any, *, student: str = "student-a") -> dict[str, Any]:
    """Do what the button does; see formgrader's manage_submissions.js."""
    path = f"formgrader/api/submission/tiny/{urllib.parse.quote(student)}/autograde"
    request = HTTPRequest(f"{server.connection_url}{path}", method="POST", body="", request_timeout=60.0)
    request.headers["Authorization"] = "token t"
    answer = server.io_loop.run_sync(lambda: AsyncHTTPClient().fetch(request))
    return dict(json.loads(answer.body))


def ran(course: Course) -> bool:
    return (course.root.parent / "ran").exists()


@pytest.mark.parametrize("settings", [True])
def test_the_button_runs_nothing(server: Any, course: Course) -> None:
    before = {path: path.read_bytes() for path in course.root.rglob("*") if path.is_file()}
    answer = press(server)
    assert not answer["success"]
    assert "initgrade run ASSIGNMENT" in answer["error"]
    assert not ran(course)
    assert {path: path.read_bytes() for path in course.root.rglob("*") if path.is_file()} == before


@pytest.mark.filterwarnings("ignore")  # nbgrader's own
@pytest.mark.parametrize("settings", [False])
def test_without_the_settings_it_runs_the_submission(server: Any, course: Course) -> None:
    """So the test above can fail: this is what the file of settings is for."""
    press(server)
    assert ran(course)
