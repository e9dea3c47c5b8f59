"""`make mutants`: every row still applies, and what survives, breaks or hangs is told apart from what is killed."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import mutants
from tools.faults import MUTANTS, Mutant
from tools.files import ROOT
from tools.mutants import BROKEN, KILLED, PASSED, Job

LATENESS = "initgrade/lateness.py"
CEIL = "math.ceil((at - due - extension_days * _DAY) / _DAY)"
TEST = "tests/test_lateness.py::test_days_that_were_begun_count"


@pytest.mark.parametrize("number", range(1, len(MUTANTS) + 1))
def test_every_mutant_applies(number: int) -> None:
    mutant = MUTANTS[number - 1]
    compile(mutants.plant(mutant).text, mutant.where, "exec")
    file, *names = mutant.test.partition("[")[0].split("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert set(names) <= defined, f"mutant {number} names a test that is gone; mend its row in tools/faults/"


@pytest.mark.parametrize(("old", "times"), [("no such text", 0), ("self.days", 3), ("NO_SUCH_CONSTANT", 0)])
def test_a_stale_mutant_is_named(old: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "MUTANTS", (Mutant(LATENESS, old, "0", TEST),))
    with pytest.raises(SystemExit, match=f"mutant 1 no longer applies: '{old}' stands {times} times"):
        mutants.main([])


def test_unknown_words_are_refused() -> None:
    with pytest.raises(SystemExit, match="no mutant's row contains 'no such word'"):
        mutants.main(["no such word"])


@pytest.mark.parametrize("text", ["A = 1\n", "A: int = 1\n", "A, B = 1, 2\n", "A = (\n    1,\n)\nB = 2\n"])
def test_a_constant_is_planted_behind_its_statement(text: str) -> None:
    [changed] = mutants.changed(text, Mutant("", "A", "5", ""))
    found: dict[str, int] = {}
    exec(changed, found)
    assert found["A"] == 5
    assert found.get("B", 2) == 2


@pytest.mark.parametrize("text", ["B = A\n", "def f():\n    A = 1\n", "f(A=1)\n"])
def test_what_only_mentions_a_constant_is_left_alone(text: str) -> None:
    assert mutants.changed(text, Mutant("", "A", "5", "")) == []


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        (KILLED, KILLED, ""),
        (PASSED, PASSED, ""),
        (KILLED, PASSED, "SURVIVED: it"),
        (KILLED, BROKEN, "UNCLEAR: it did not fail by an assertion\nwhy"),
        (PASSED, KILLED, "FAILED: it did not pass\nwhy"),
        (PASSED, BROKEN, "FAILED: it did not pass\nwhy"),
        (KILLED, -signal.SIGALRM, "UNCLEAR: it took longer than 60 s\nwhy"),
        (PASSED, -signal.SIGALRM, "FAILED: it took longer than 60 s\nwhy"),
    ],
)
def test_verdicts(wanted: int, code: int, said: str) -> None:
    assert mutants.verdict(Job("it", (), None, wanted), code, "why") == said


def script(*lines: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        "\n".join(["from tools import mutants", *lines, "raise SystemExit(mutants.main([]))"]),
    ]


def test_what_is_killed_is_told_from_what_survives_and_what_breaks() -> None:
    rows = [
        (LATENESS, CEIL, CEIL.replace("ceil", "floor"), TEST),
        (LATENESS, CEIL, f"1 * {CEIL}", TEST),
        (LATENESS, CEIL, "no_such_name", TEST),
        (LATENESS, "import math", "import no_such_module", TEST),
        (LATENESS, CEIL, CEIL.replace("ceil", "floor"), "tests/test_lateness.py::test_that_is_gone"),
    ]
    made = f"mutants.MUTANTS = tuple(mutants.Mutant(*row) for row in {rows!r})"
    done = subprocess.run(
        script("mutants.HEAVY = ('tools.system_parts',)", made), cwd=ROOT, capture_output=True, text=True
    )
    found = [line for line in done.stdout.splitlines() if line.startswith(("SURVIVED", "UNCLEAR", "FAILED:"))]
    starts = {line.partition(f" {LATENESS}")[0].partition("'")[0].strip() for line in found}
    assert starts == {
        "SURVIVED: mutant 2:",
        "UNCLEAR: mutant 3:",
        "UNCLEAR: mutant 4:",
        "UNCLEAR: mutant 5:",
        "FAILED: tests/test_lateness.py without a mutant did not pass",
    }
    assert done.stdout.endswith("5 mutants, 5 of 6 runs did not end as they must.\n")
    assert done.returncode == 1


def children(pid: int) -> list[int]:
    """Return the children that a process has forked; what else it has started has a command of its own."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if Path(f"/proc/{child}/cmdline").read_bytes() == command]


def test_an_interrupt_ends_the_children() -> None:
    heard = "import signal; signal.signal(2, signal.default_int_handler)"  # a job in the background would ignore it
    slow = [heard, "import time", "mutants.prepare = lambda: None", "mutants.outcome = lambda *_: time.sleep(600)"]
    with subprocess.Popen(script(*slow), cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as tool:
        while not (running := children(tool.pid)):
            assert tool.poll() is None
            time.sleep(0.05)
        os.kill(tool.pid, signal.SIGINT)
        try:
            said, _ = tool.communicate(timeout=60)
        finally:
            tool.kill()  # where it has not heard: leaving the block would wait for it
    assert "Interrupted after 0 of " in said
    assert tool.returncode == 1
    assert not any(Path(f"/proc/{child}").exists() for child in running)
