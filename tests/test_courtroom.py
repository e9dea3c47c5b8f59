"""Reading and judging have limits of their own, whatever a submission sends; what they cost is nobody else's mark."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from initgrade import courtroom, marking, processes, questions, values
from initgrade.sandbox import Limits, Outcome
from initgrade.submission import Malformed

LIMITS = Limits(judging_seconds=0.3, judging_memory=400 << 20)
CHECKS = """
import os
import numpy as np
from initgrade.assignment import Assignment, Request, Verdict

def judge(value, arguments, variant):
    print("what a judge prints is no verdict")
    while value == "long":
        pass
    if value == "large":
        value = np.zeros(1 << 40, dtype=np.int8)
    if value == "dead":
        os._exit(3)
    if value == "fault":
        raise KeyError("of the checks")
    return Verdict(float(value == 1), "judged")

REQUESTS = tuple(Request(name, name, 1.0, judge, call=False) for name in ("a", "b", "c"))
ASSIGNMENT = Assignment("ps0", "courtroom", REQUESTS, lambda rng: {})
"""


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("court") / "ps0.py"
    path.write_text(CHECKS)
    return path


def answers(*found: Any) -> bytes:
    """Return what a worker sends that answers with these values."""
    sent = b""
    for number, value in enumerate(found):
        tree, blobs = values.pack(value)
        sent += values.frame({"kind": "asked", "request": number})
        sent += values.frame({"kind": "answer", "status": "returned", "message": "", "values": [tree]}, blobs)
    return sent


def case(checks: Path, sent: bytes) -> courtroom.Case:
    return courtroom.Case(checks, marking.sha256(checks), {}, 1, Outcome(True, "finished", "", sent, "", 0.1), {})


def marks(checks: Path, *found: Any) -> list[tuple[float, str]]:
    given = courtroom.decide(case(checks, answers(*found)), LIMITS)
    assert given["status"] == "graded"
    return [(row["points"], row["message"]) for row in given["requests"]]


@pytest.mark.parametrize("value", ["long", "large", "dead"])
def test_what_takes_too_much_to_judge_gets_nothing_and_the_rest_gets_its_points(checks: Path, value: str) -> None:
    (first, _), (second, why), (third, _) = marks(checks, 1, value, 1)
    assert (first, second, third) == (1.0, 0.0, 1.0)
    assert "takes more than 0.3 s or 400 MiB to judge" in why


def test_it_happens_for_each_of_several(checks: Path) -> None:
    assert [points for points, _ in marks(checks, "long", "long", 1)] == [0.0, 0.0, 1.0]


def test_a_judge_that_raises_is_a_fault_of_the_checks(checks: Path) -> None:
    with pytest.raises(questions.JudgeFailed, match="the judge of 'b' raised KeyError") as error:
        marks(checks, 1, "fault", 1)
    assert 'raise KeyError("of the checks")' in error.value.args[1]
    assert marks(checks, 1, 1, 1) == [(1.0, "judged")] * 3  # and the same process goes on


def test_what_takes_too_much_to_read_is_malformed(checks: Path) -> None:
    """Empty lists: 3 bytes each on the way, some 60 in memory."""
    lists = b'{"kind": "answer", "blobs": [], "values": [' + b"[]," * (values.MAX_LINE // 3 - 50) + b"[]]}\n"
    assert len(lists) < values.MAX_LINE
    with pytest.raises(Malformed, match=r"takes more than 0\.3 s or 400 MiB to read"):
        courtroom.decide(case(checks, values.framed(lists) * 8), LIMITS)


def test_the_process_ends_with_its_parent(checks: Path, tmp_path: Path) -> None:
    marks(checks, 1, 1, 1)
    pid = courtroom._own.court.process.pid
    assert processes.command_line(pid)
    courtroom.close()
    assert not processes.command_line(pid)
    child = os.fork()
    if child == 0:
        try:
            marks(checks, 1, 1, 1)
            (tmp_path / "pid.part").write_text(str(courtroom._own.court.process.pid))
            (tmp_path / "pid.part").rename(tmp_path / "pid")
            time.sleep(60)
        finally:
            os._exit(1)
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pid = int((tmp_path / "pid").read_text())
    processes.wait_until_gone(pid)
    assert not processes.command_line(pid)


def test_the_same_marks_without_a_process(checks: Path) -> None:
    said: list[str] = []
    given = courtroom.hear(case(checks, answers(1, 2, "large")), "too much", said.append)
    assert [row["points"] for row in given["requests"]] == [1.0, 0.0, 0.0]
    assert [row["message"] for row in given["requests"]][2] in ("too much", "judged")
    assert said == ["", "a", "b", "b, the hint", "c", "c, the hint"]
    assert "fault" not in json.dumps(given)
    assert courtroom.hear(case(checks, answers(1, "fault", 1)), "", said.append)["failed"].startswith(
        "the judge of 'b'"
    )
