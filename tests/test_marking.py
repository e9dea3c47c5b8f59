"""The unit of work and the run: results that can be checked again, and that survive whatever stops the marker."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from initgrade import marking, processes, questions, submission, walls
from initgrade import sandbox as ours
from initgrade.assignment import Assignment, Request, Verdict
from initgrade.sandbox import Limits, Outcome
from initgrade.walls import NoSandbox
from tests.tiny_course import dies

KEY = b"key"
LIMITS = Limits(seconds=20.0, cell_seconds=5.0)
CHECKS = """
import numpy as np
from initgrade.assignment import Assignment, Request, Verdict

def judge(values, arguments, variant):
    good = [value == a["x"] * variant["factor"] + a["many"].sum() for value, a in zip(values, arguments, strict=True)]
    series = [{"label": "l", "x": np.arange(2), "y": [1, np.nan]}]
    plot = {"title": "t", "x_label": "x", "y_label": "y", "series": series}
    return Verdict(sum(good) / len(good), "scaled", np.float64(0.5), plot)

def constant(value, arguments, variant):
    assert arguments == {}
    return Verdict(float(value.sum() == 6), "a variable")

def draws(variant, rng):
    return {"x": int(rng.integers(100)), "many": rng.integers(9, size=3)}

ASSIGNMENT = Assignment("ps0", "marking", (Request("scaled", "scale", 4.0, judge, draws, repeats=4),
    Request("constant", "WEIGHTS", 1.0, constant, call=False)), lambda rng: {"factor": int(rng.integers(2, 1000))})
"""
GOOD = """import numpy as np
WEIGHTS = np.array([1, 2, 3])
def scale(x, many):
    return x * VARIANT["factor"] + many.sum()"""
PARTLY = GOOD.replace("return", "return -1 if x % 2 else")


class Course:
    def __init__(self, folder: Path, **sources: str) -> None:
        self.submitted, self.results, self.checks = folder / "submitted", folder / "results", folder / "checks.py"
        self.checks.write_text(CHECKS, encoding="utf-8")
        for student, source in (sources or {"a": GOOD}).items():
            self.hand_in(student, source)

    def hand_in(self, student: str, source: str) -> Path:
        path = self.submitted / f"student-{student}" / "ps0" / "ps0.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="one")]), path)
        return path

    def one(self, **options: Any) -> dict[str, Any]:
        path = self.submitted / "student-a" / "ps0" / "ps0.ipynb"
        return marking.one(path, self.checks, **{"student": "student-a", "key": KEY, "limits": LIMITS, **options})

    def run(self, **options: Any) -> dict[str, dict[str, Any]]:
        options = {"key": KEY, "limits": LIMITS, "jobs": 1, **options}
        return {found["student"]: found for found in marking.run(self.submitted, self.checks, self.results, **options)}


def test_result(sandbox: list[str], tmp_path: Path) -> None:
    result = Course(tmp_path).one()
    assert (result["status"], result["score"], result["max_score"]) == ("graded", 5.0, 5.0), result
    assert [row["status"] for row in result["requests"]] == ["passed", "passed"]
    assert result["requests"][0]["plot"]["series"][0] == {"label": "l", "x": [0, 1], "y": [1, None]}
    assert result["requests"][0]["p_value"] == 0.5
    assert set(result["hashes"]) == {"submission", "checks", "packages"}
    assert all(len(value) == 64 for value in result["hashes"].values())
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_what_only_the_marker_knows_stays_with_it(sandbox: list[str], tmp_path: Path) -> None:
    course = Course(tmp_path, a=GOOD.replace('VARIANT["factor"]', 'VARIANT["factor"] + len(VARIANT) - 1'))
    course.checks.write_text(CHECKS.replace("1000))})", '1000)), "_order": [2, 1]})'))
    result = course.one()
    assert (result["score"], result["variant"]["_order"]) == (5.0, [2, 1])


def test_the_same_seed_asks_the_same(sandbox: list[str], tmp_path: Path) -> None:
    course = Course(tmp_path, a=PARTLY)
    scores = set()
    for seed in range(3):
        result = course.one(seed=seed)
        assert result["seeds"] == {"entropy": seed}
        scores.add(result["score"])
    assert len(scores) > 1
    again = course.one(seed=seed)
    del result["seconds"], again["seconds"]
    assert result == again
    assert course.one()["seeds"] != course.one()["seeds"]


def test_arguments_do_not_depend_on_other_requests() -> None:
    def draws(variant: Any, rng: np.random.Generator) -> dict[str, Any]:
        return {"x": rng.random()}

    def assignment(*names: str) -> Assignment:
        requests = tuple(Request(name, name, 1.0, lambda *_: Verdict(1.0, ""), draws) for name in names)
        return Assignment("ps0", "", requests, lambda rng: {})

    alone = questions.draw(assignment("b"), {}, 7)[0].arguments
    first, second = (asked.arguments for asked in questions.draw(assignment("a", "b"), {}, 7))
    assert alone == second != first


def test_run_resumes_and_marks_again_what_changed(sandbox: list[str], tmp_path: Path) -> None:
    course = Course(tmp_path, a=GOOD, b="1 / 0")
    (course.submitted / "student-c" / "ps0").mkdir(parents=True)
    first = course.run(jobs=2)
    assert {name: (found["status"], found["score"]) for name, found in first.items()} == {
        "student-a": ("graded", 5.0), "student-b": ("crashed", 0.0), "student-c": ("malformed", 0.0),
    }  # fmt: skip
    places = {name: course.results / "ps0" / f"{name}.json" for name in first}
    times = {name: place.stat().st_mtime_ns for name, place in places.items()}
    assert course.run() == first
    assert times == {name: place.stat().st_mtime_ns for name, place in places.items()}
    course.hand_in("b", GOOD)
    broken = {**first["student-a"], "status": "infrastructure_error", "score": 0.0}
    places["student-a"].write_text(json.dumps(broken))
    again = course.run()
    assert [again[name]["score"] for name in ("student-a", "student-b", "student-c")] == [5.0, 5.0, 0.0]
    assert again["student-c"] == first["student-c"]
    assert sorted(course.results.rglob("*")) == sorted([course.results / "ps0", *places.values()])


def test_is_current_looks_at_all_that_decides(sandbox: list[str], tmp_path: Path) -> None:
    course = Course(tmp_path)
    result = course.one()
    place, path = tmp_path / "r.json", course.submitted / "student-a" / "ps0" / "ps0.ipynb"

    def current(found: dict[str, Any] | str = result, factor: int = result["variant"]["factor"]) -> bool:
        place.write_text(found if isinstance(found, str) else json.dumps(found))
        return marking.is_current(place, path, course.checks, {"factor": factor}, LIMITS)

    assert current()
    assert not current(factor=1)
    assert not current({**result, "status": "infrastructure_error"})
    assert not current({**result, "format": 0})
    for damaged in ("{cut off", "[]", "null", json.dumps({**result, "hashes": []})):
        assert not current(damaged)
    assert current({**result, "limits": {}})  # it has all points
    assert current({**result, "status": "timed_out", "score": 0.0})
    assert not current({**result, "status": "timed_out", "score": 0.0, "limits": {**result["limits"], "seconds": 1.0}})
    for name in ("submission", "checks"):
        assert not current({**result, "hashes": {**result["hashes"], name: "0" * 64}})


@pytest.mark.parametrize("trusted", [False, True])
def test_a_run_that_is_killed_leaves_no_process_and_goes_on(sandbox: list[str], tmp_path: Path, trusted: bool) -> None:
    """Only its first process is killed, as by the kernel for want of memory: nobody tells the others."""
    course = Course(tmp_path, a=GOOD, b=GOOD + "\nimport time\ntime.sleep(60)", c=GOOD)
    code = f"""
from pathlib import Path
from initgrade import marking, walls
if __name__ == "__main__":
    folder = Path({str(tmp_path)!r})
    places = folder / "submitted", folder / "checks.py", folder / "results"
    marking.run(*places, key=b"key", jobs=1, trust_container={trusted})
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, script], env=environment, start_new_session=True)
    until = time.monotonic() + 30
    while not (course.results / "ps0" / "student-a.json").exists() and time.monotonic() < until:
        time.sleep(0.05)
    until = time.monotonic() + 30
    everybody = processes.descendants(process.pid)
    while not any("worker.main" in processes.command_line(each.pid) for each in everybody) and time.monotonic() < until:
        time.sleep(0.05)
        everybody = processes.descendants(process.pid)
    assert len(everybody) >= 4  # the run, its worker, the judges' process, the submission
    process.kill()
    process.wait()
    for each in everybody:
        processes.wait_until_gone(each.pid)
        assert processes.command_line(each.pid) == "", each
    written = (course.results / "ps0" / "student-a.json").stat().st_mtime_ns
    course.hand_in("b", GOOD)
    assert {found["score"] for found in course.run(trust_container=trusted).values()} == {5.0}
    assert (course.results / "ps0" / "student-a.json").stat().st_mtime_ns == written


def test_two_runs_take_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second one looks for what is to be marked only when the first one is done."""
    course = Course(tmp_path)
    shutil.rmtree(course.submitted)
    done: list[Any] = []
    second = threading.Thread(target=lambda: done.append(course.run()))
    with marking.turn(course.checks):
        second.start()
        said, until = "", time.monotonic() + 30
        while "this one waits" not in said and time.monotonic() < until:
            said += capsys.readouterr().err
        assert "Another command marks by" in said
        assert done == []
    second.join(30)
    assert done == [{}]


def test_links_to_folders_of_others_get_nothing(sandbox: list[str], tmp_path: Path) -> None:
    course = Course(tmp_path)
    (course.submitted / "student-b").symlink_to(course.submitted / "student-a")
    found = course.run()
    assert (found["student-b"]["status"], found["student-b"]["score"]) == ("malformed", 0.0)


def test_what_was_handed_in_has_a_hash_unless_there_is_no_file(tmp_path: Path) -> None:
    path = Course(tmp_path, a="1" * 100).submitted / "student-a" / "ps0" / "ps0.ipynb"
    assert submission.handed_in(path) == marking.sha256(path)
    for place in ("student-b/ps0/ps0.ipynb", "student-a/ps0", "student-a/ps0/link.ipynb", "link/ps0/ps0.ipynb"):
        link = tmp_path / "submitted" / place
        if "link" in place.split("/")[-1]:
            link.symlink_to(path)
        elif "link" in place:
            link.parent.parent.symlink_to(path.parent.parent)
        assert submission.handed_in(link) is None


def test_what_may_not_be_read_stops_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read all, so this only plays an account that may not."""
    course, real = Course(tmp_path, a=GOOD), os.open
    (course.submitted / "student-b").mkdir()
    (course.submitted / "a-file").touch()
    assert list(marking.submissions(course.submitted, "ps0")) == ["student-a"]
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "student-b")
    assert list(marking.submissions(course.submitted, "ps0")) == ["student-a", "student-b"]

    def opened(path: Any, *rest: Any, **options: Any) -> int:
        if str(path).endswith("ipynb"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", opened)
    result = course.one(trust_container=True)
    assert result["status"] == "infrastructure_error"
    assert "student-a/ps0/ps0.ipynb; give it the right" in result["message"]


def test_a_submission_that_is_too_large_is_malformed_and_has_its_hash(tmp_path: Path) -> None:
    """So that a later one is seen to be another."""
    course = Course(tmp_path)
    result = course.one(limits=Limits(notebook=10), trust_container=True)
    assert (result["status"], result["hashes"]["submission"]) == (
        "malformed", marking.sha256(course.submitted / "student-a" / "ps0" / "ps0.ipynb"),
    )  # fmt: skip


@pytest.mark.parametrize("times", [1, 2])
def test_a_marker_that_is_ended_tries_once_more_and_takes_nobody_else_along(times: int, tmp_path: Path) -> None:
    kept: dict[str, dict[str, Any]] = {}
    keep = {name: partial(kept.__setitem__, name) for name in "abcde"}
    lost = marking._marked(partial(dies, tmp_path, times), keep, 1, None, "ps0")
    assert (set(lost), set(kept)) == ((set(), set(keep)) if times == 1 else ({"b"}, set(keep) - {"b"}))
    if lost:
        assert list(lost) == ["b"]
        result = marking._lost(Assignment("ps0", "", (), lambda rng: {}), "b", Path(__file__), lost["b"])
        assert (result["status"], "ended, twice" in result["message"]) == ("infrastructure_error", True)


def test_a_sandbox_that_does_not_start_is_started_once_more(
    sandbox: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, real, calls = Course(tmp_path), ours.execute, [0]

    def execute(*given: Any, **options: Any) -> Outcome:
        calls[0] += 1
        return real(*given, **options) if calls[0] > 1 else Outcome(False, "died", "no memory", b"", "", 0.0)

    monkeypatch.setattr(ours, "execute", execute)
    result = course.one()
    assert (result["status"], result["score"], result["attempts"]) == ("graded", 5.0, 2)


def test_no_sandbox_no_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    course = Course(tmp_path)
    monkeypatch.setattr(ours, "available", lambda: "bwrap was not found. Debian: apt-get install bubblewrap")
    with pytest.raises(NoSandbox, match="apt-get install bubblewrap"):
        course.run()
    assert not course.results.exists()
    monkeypatch.setattr(ours, "execute", lambda *_, **__: Outcome(False, "died", "it did not start", b"", "", 0.0))
    result = course.one()
    assert (result["status"], result["score"], result["message"]) == ("infrastructure_error", 0.0, "it did not start")
    assert result["attempts"] == 2


def test_a_package_that_cannot_be_imported_stops_the_run(sandbox: list[str], tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.checks.write_text(CHECKS + 'object.__setattr__(ASSIGNMENT, "needs", ("nnumpy",))\n')
    with pytest.raises(NoSandbox, match="nnumpy"):
        course.run()
    assert course.one()["status"] == "infrastructure_error"


def test_a_trusted_container_is_asked_for_in_words(tmp_path: Path) -> None:
    assert Course(tmp_path).one(trust_container=True)["score"] == 5.0


def test_a_course_that_submissions_could_read_is_refused(sandbox: list[str], tmp_path: Path) -> None:
    course = Course(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walls, "visible", lambda: (tmp_path,))
        result = course.one()
    assert (result["status"], "can read" in result["message"]) == ("infrastructure_error", True)


def test_a_judge_that_raises_is_nobodys_mark(sandbox: list[str], tmp_path: Path) -> None:
    """It is a fault of the checks: the instructor reads where, and whatever else was right waits for the repair."""
    course = Course(tmp_path)
    course.checks.write_text(CHECKS.replace("value.sum() == 6", 'value["no such key"]'))
    result = course.one()
    assert (result["status"], result["score"]) == ("infrastructure_error", 0.0)
    assert result["message"].startswith("the judge of 'constant' raised IndexError")
    assert 'value["no such key"]' in result["traceback"]
    assert {row["status"] for row in result["requests"]} == {"not_run"}
    assert result["seeds"]["entropy"] >= 0


def test_a_judges_message_is_cut() -> None:
    asked = questions.Asked(Request("a", "f", 1.0, lambda *_: Verdict(0.0, "long \x1b[2J" * 10_000)), [{}])
    message = questions.judged(asked, questions.Answer("returned", "", [1]), {})["message"]
    assert len(message) < 2 * questions.MESSAGE
    assert "\x1b" not in message


def test_checks_that_fail_are_nobodys_mark(sandbox: list[str], tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.checks.write_text(CHECKS.replace("rng.integers(9, size=3)", "1 / 0"))
    result = course.one()
    assert (result["status"], "ZeroDivisionError" in result["message"]) == ("infrastructure_error", True)


def test_a_result_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a" / "r.json"
    marking.write({"score": 1.0}, path)
    with pytest.raises(ValueError, match="JSON compliant"):
        marking.write({"score": float("nan")}, path)
    assert json.loads(path.read_text()) == {"score": 1.0}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore")
def test_dask_does_the_same_work(sandbox: list[str], tmp_path: Path) -> None:
    from distributed import LocalCluster

    course = Course(tmp_path, a=GOOD, b=PARTLY, c="1 / 0")
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None, "silence_logs": False}
    with LocalCluster(**options) as cluster:
        found = course.run(dask=cluster.scheduler_address)
    assert [found[f"student-{name}"]["status"] for name in "abc"] == ["graded", "graded", "crashed"]
    assert found["student-a"]["score"] == 5.0
