"""The command: its help, its exit statuses, and what it says when something is not as it must be."""

import errno
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import initgrade
from initgrade import books, cli
from initgrade import course as courses
from initgrade.course import Course, CourseError
from tests.tiny_course import hand_in, make, result, store

VERBS = ("release", "doctor", "run", "one", "merge", "feedback", "export", "regrade", "erase")


class NoSandbox(RuntimeError):  # noqa: N818
    """As the sandbox raises it."""


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """Return a course; a submission is there, though nothing was released."""
    made = make(tmp_path)
    path = made.submitted("tiny", "student-a")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    courses.key(made)
    return made


@pytest.fixture
def marker(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put a marker in the engine's place that gives what the test asks for, and notes how it was called."""
    calls: dict[str, Any] = {"gives": result("student-a")}

    def one(submission: Path, checks: Path, **options: Any) -> dict[str, Any]:
        calls["one"] = {"submission": submission, "checks": checks, **options}
        return dict(calls["gives"])

    def one_of(submitted: Path, checks: Path, student: str, **options: Any) -> dict[str, Any]:
        calls["one_of"] = {"submitted": submitted, "checks": checks, "student": student, **options}
        return dict(calls["gives"])

    def run(submitted: Path, checks: Path, results: Path, **options: Any) -> list[dict[str, Any]]:
        calls["run"] = {"submitted": submitted, "checks": checks, "results": results, **options}
        if isinstance(calls["gives"], Exception):
            raise calls["gives"]
        return [calls["gives"]]

    def write(one: dict[str, Any], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one))

    fake = types.ModuleType("initgrade.marking")
    fake.one, fake.one_of, fake.run, fake.write = one, one_of, run, write  # type: ignore[attr-defined]
    fake.submissions = lambda *_: {}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "initgrade.marking", fake)
    monkeypatch.setattr(initgrade, "marking", fake, raising=False)
    return calls


def make_released(course: Course) -> Course:
    """Put the source in the release's place, which costs no time."""
    course.release("tiny").parent.mkdir(parents=True)
    course.release("tiny").write_bytes(course.source("tiny").read_bytes())
    return course


def call(course: Course, *words: str) -> int:
    return cli.main(["--course", str(course.root), *words])


def test_help_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {verb} " in text for verb in VERBS)
    assert max(map(len, text.splitlines())) <= 120


def test_help_of_run_states_the_limits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    assert "memory 2147483648" in " ".join(capsys.readouterr().out.split())


def test_checks_that_cannot_be_loaded_are_named(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    course.checks("tiny").write_text("def broken(")
    assert call(course, "run", "tiny") == 2
    assert "tiny.py cannot be loaded: SyntaxError" in capsys.readouterr().err


def test_run_says_where_nothing_was_handed_in(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    for gone in ("submitted/student-a/tiny", "submitted"):
        shutil.rmtree(course.root / gone)
        assert call(course, "run", "tiny") == 1
        assert f"Nothing was handed in: {course.root}/submitted/STUDENT/tiny/tiny.ipynb" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_each_subcommand_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([verb, "--help"])
    assert f"usage: initgrade {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["mark"], ["run"], ["run", "tiny", "-j0"], ["one", "x.ipynb"]])
def test_a_wrong_call_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    assert "usage" in capsys.readouterr().err


def test_run_passes_on_what_was_asked(course: Course, marker: dict[str, Any]) -> None:
    assert call(course, "run", "tiny", "-j3", "--dask", "tcp://127.0.0.1:1", "--trust-container") == 0
    asked = marker["run"]
    assert (asked["jobs"], asked["dask"], asked["trust_container"]) == (3, "tcp://127.0.0.1:1", True)
    assert (asked["submitted"], asked["results"]) == (course.root / "submitted", course.root / "results")
    assert len(asked["key"]) == 32
    assert call(course, "run", "tiny") == 0
    assert "trust_container" not in marker["run"]


@pytest.mark.parametrize("words", [["run", "tiny"], ["regrade", "tiny"], ["one", "tiny.ipynb", "--out", "R.json"]])
def test_marking_without_checks_says_what_is_missing(
    course: Course, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    course.checks("tiny").unlink()
    assert call(course, *words, "--trust-container") == 2
    assert "checks/tiny.py is missing" in capsys.readouterr().err


def test_run_fails_when_the_marker_failed(
    course: Course, marker: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    marker["gives"] = result("student-a", status="infrastructure_error", message="the judge of 'x' raised")
    assert call(course, "run", "tiny") == 1
    assert "  student-a: the judge of 'x' raised\n" in capsys.readouterr().out


def test_no_sandbox_is_a_refusal_and_other_errors_are_not_hidden(
    course: Course, marker: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    marker["gives"] = NoSandbox("install bubblewrap")
    assert call(course, "run", "tiny") == 2
    assert "initgrade: install bubblewrap" in capsys.readouterr().err
    marker["gives"] = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        call(course, "run", "tiny")


@pytest.mark.parametrize("status", ["graded", "crashed", "timed_out", "out_of_memory", "malformed"])
def test_one_is_done_whenever_the_result_is_the_submissions(
    course: Course, marker: dict[str, Any], status: str, tmp_path: Path
) -> None:
    marker["gives"] = result("student-a", status=status)
    words = ("one", str(course.submitted("tiny", "student-a")), "--out", str(tmp_path / "out/R.json"))
    assert call(course, *words) == 0
    assert marker["one"]["student"] == "student-a"
    assert json.loads((tmp_path / "out/R.json").read_text())["status"] == status
    marker["gives"] = result("student-a", status="infrastructure_error")
    assert call(course, *words) == 1


def test_regrade_shows_and_stores(course: Course, marker: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    path = store(course, result("student-a"))
    marker["gives"] = json.loads(path.read_text())
    assert call(course, "regrade", "tiny", "--diff") == 0
    assert (marker["one_of"]["student"], marker["one_of"]["seed"]) == ("student-a", 5)
    marker["gives"] = result("student-a", (1.0, 2.0))
    before = path.read_text()
    assert call(course, "regrade", "tiny", "--diff") == 1
    assert "student-a: score: 5 -> 3" in capsys.readouterr().out
    assert path.read_text() == before
    assert call(course, "regrade", "tiny") == 0
    assert json.loads(path.read_text())["score"] == 3.0
    marker["gives"] = result("student-a", (0.0, 0.0), status="infrastructure_error")
    call(course, "regrade", "tiny")
    assert json.loads(path.read_text())["score"] == 3.0


def test_regrade_of_one_student_leaves_the_others(
    course: Course, marker: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for student in ("student-a", "student-b"):
        path = course.submitted("tiny", student)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        store(course, result(student))
    marker["gives"] = result("student-b", (1.0, 2.0))
    assert call(course, "regrade", "tiny", "--student", "student-b") == 0
    assert "1 of 1 results differ" in capsys.readouterr().out
    scores = [json.loads((course.results("tiny") / f"student-{name}.json").read_text())["score"] for name in "ab"]
    assert scores == [5.0, 3.0]
    assert call(course, "regrade", "tiny", "--student", "student-bb") == 2
    assert "did you mean 'student-b'" in capsys.readouterr().err


def test_run_counts_by_status(course: Course, marker: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    marker["gives"] = result("student-a", (0.0, 0.0), status="malformed")
    assert call(course, "run", "tiny") == 0
    assert "Submissions: 1 (1 malformed)." in capsys.readouterr().out


def test_one_writes_gradescopes_results(course: Course, marker: dict[str, Any], tmp_path: Path) -> None:
    out, told = tmp_path / "R.json", tmp_path / "results/results.json"
    words = ("one", str(course.submitted("tiny", "student-a")), "--out", str(out), "--gradescope", str(told))
    marker["gives"] = result("student-a", status="infrastructure_error")
    assert call(course, *words) == 1
    assert not told.exists()
    marker["gives"] = result("student-a", (3.0, 1.0))
    assert call(course, *words) == 0
    found = json.loads(told.read_text())
    assert (found["score"], [test["name"] for test in found["tests"]]) == (4.0, ["times_check", "answer_check"])


@pytest.mark.parametrize("address", ["localhost", "localhost:8786", "tcp://", "tcp://host", "tcp://host:port"])
def test_what_is_no_address_of_a_scheduler_is_refused(
    course: Course, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        call(course, "run", "tiny", "--dask", address)
    assert "tcp://host:8786" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "results/tiny/x.json"),
        PermissionError(errno.EACCES, "Permission denied", "results/tiny/x.json"),
        OSError(errno.EROFS, "Read-only file system", "results/tiny/x.json"),
        OSError("Timed out trying to connect to tcp://host:8786 after 30 s"),
    ],
)
def test_what_the_system_refuses_is_said_in_a_line(
    course: Course, marker: dict[str, Any], error: OSError, capsys: pytest.CaptureFixture[str]
) -> None:
    marker["gives"] = error
    assert call(course, "run", "tiny") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "run the same command again" in said
    assert (error.filename or "tcp://host:8786") in said


def test_regrade_follows_no_link_to_another_students_folder(course: Course) -> None:
    checks = course.checks("tiny")
    checks.write_text(checks.read_text().replace('variant["n"] * arguments["x"]', "value"))  # takes any answer
    hand_in(make_released(course), "student-a", {"answer": "answer = 3"})
    folder = course.submitted("tiny", "student-b").parent
    folder.parent.mkdir()
    folder.symlink_to(course.submitted("tiny", "student-a").parent)
    path = store(course, result("student-b", (0.0, 0.0), status="malformed"))
    assert call(course, "regrade", "tiny", "--trust-container") == 0
    again = json.loads(path.read_text())
    assert (again["status"], again["score"], again["hashes"]["submission"]) == ("malformed", 0.0, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["regrade", "tinny"], "did you mean 'tiny'"),
        (["release", "tinny"], "did you mean 'tiny'"),
        (["merge", "tiny"], "initgrade release tiny"),
        (["export", "tiny"], "was not released here; run: initgrade release tiny"),
        (["erase", "../up"], "cannot name a student"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    course: Course, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(course, *words) == 2
    assert said in capsys.readouterr().err


def test_limits_come_from_the_settings(course: Course) -> None:
    from dataclasses import replace

    given = cli.limits(replace(course, limits={"seconds": 7}))
    assert given.seconds == 7.0
    for wrong, said in (({"second": 7}, "did you mean 'seconds'"), ({"seconds": 0}, "above 0")):
        with pytest.raises(CourseError, match=said):
            cli.limits(replace(course, limits=wrong))


def test_doctor_needs_no_course(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.ipynb").write_text("{}")
    assert cli.main(["doctor", str(tmp_path / "tiny.ipynb")]) == 1
    assert "The file has no cells" in capsys.readouterr().out


def test_doctor_loads_neither_marker_nor_gradebook(tmp_path: Path) -> None:
    code = "import sys; from initgrade import cli; cli.main(['doctor', 'x.ipynb']); "
    code += "sys.exit(' '.join({'numpy', 'nbgrader', 'tqdm', 'jinja2', 'initnotes', 'torch'} & set(sys.modules)) or 0)"
    root = Path(initgrade.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_rest_of_a_course(
    course: Course, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert call(course, "release", "tiny") == 0
    assert "own parameters: 3." in capsys.readouterr().out
    hand_in(course, "student-a", {"explain": "Because."})
    store(course, result("student-a"))
    assert call(course, "merge", "tiny") == 0
    assert "by hand in formgrader: student-a" in capsys.readouterr().out
    assert call(course, "feedback", "tiny") == 0
    assert course.feedback("tiny", "student-a").is_file()
    capsys.readouterr()
    assert call(course, "export", "--csv") == 0
    table = capsys.readouterr().out
    assert table.splitlines()[1] == "student-a,tiny,graded,0,0,5,0,5,9,5.55556,no,"
    assert call(course, "export", "tiny", "--csv", str(tmp_path / "marks.csv")) == 0
    assert (tmp_path / "marks.csv").read_text() == table
    with (course.root / "course.yml").open("r+") as file:
        settings = file.read().replace("late:", "  other: {}\nlate:")
        file.seek(0)
        file.write(settings)
    for verb in ("export", "feedback", "merge"):
        assert call(course, verb, "other") == 2
        assert "initgrade release other" in capsys.readouterr().err
    monkeypatch.setattr("builtins.input", lambda _: "no")
    assert call(course, "erase", "student-a") == 1
    assert books.traces(course, "student-a")
    monkeypatch.setattr("builtins.input", lambda _: "student-a")
    assert call(course, "erase", "student-a") == 0
    assert call(course, "erase", "student-a") == 1
