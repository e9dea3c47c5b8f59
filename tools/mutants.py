"""``make mutants``: plant a fault in a formula, a sign or a threshold, and demand that a test fails for it.

What lives here plants faults and runs tests; the faults are listed in `faults`, each with one quick test. The test runs
in a child that is forked after the heavy imports and compiles the changed text in place of the room's own, so no file
is written and each fault costs a second at most. ``python -m tools.mutants theory _adam`` plants those whose row
contains one of the words.
"""

from __future__ import annotations

import ast
import gc
import importlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from .faults import MUTANTS, Mutant
from .files import ROOT

LIMIT = 60  # seconds that a child may take
HEAVY = (
    "pytest",
    "torch",
    "torch._dynamo",
    "scipy.stats",
    "scipy.optimize",
    "mpmath",
    "hypothesis",
    "playwright.sync_api",
    "tools.system_parts",
)
OPTIONS = ("-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:logging", f"--rootdir={ROOT}")
PASSED, KILLED, BROKEN = range(3)  # how a child ends: no test failed, one by an assertion, or anything else


class StaleError(Exception):
    """A mutant whose text no longer stands in exactly one place."""


@dataclass(frozen=True)
class Planted(MetaPathFinder):
    """Finds the one module whose text was changed."""

    path: Path
    text: str

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Answer for that module only."""
        parts = [part for part in self.path.relative_to(ROOT).with_suffix("").parts if part != "__init__"]
        if fullname != ".".join(parts):
            return None
        return spec_from_file_location(fullname, self.path, loader=_Changed(fullname, str(self.path), self.text))


class _Changed(SourceFileLoader):
    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec")


def changed(text: str, mutant: Mutant) -> list[str]:
    """Return a module's text with the fault, for each place where it can stand."""
    if not mutant.old.isidentifier():
        starts = [match.start() for match in re.finditer(re.escape(mutant.old), text)]
        return [text[:start] + mutant.new + text[start + len(mutant.old) :] for start in starts]
    lines = text.splitlines(keepends=True)
    bound = [node for node in ast.parse(text).body if isinstance(node, ast.Assign | ast.AnnAssign)]
    ends = [node.end_lineno for node in bound if mutant.old in _targets(node)]
    return ["".join([*lines[:end], f"{mutant.old} = {mutant.new}\n", *lines[end:]]) for end in ends]


def _targets(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def plant(mutant: Mutant) -> Planted:
    """Return the finder of the changed module; raise StaleError unless there is exactly one place for the fault."""
    start = ROOT / mutant.where
    files = [start] if start.is_file() else sorted(start.rglob("*.py"))
    texts = ((path, path.read_text(encoding="utf-8")) for path in files)
    found = [Planted(path, new) for path, text in texts if mutant.old in text for new in changed(text, mutant)]
    if len(found) != 1:
        raise StaleError(f"{mutant.old!r} stands {len(found)} times in {mutant.where}; it must stand there once")
    return found[0]


class _Failures:
    """A plugin of pytest that keeps what tests raised."""

    def __init__(self) -> None:
        self.raised: list[BaseException] = []

    def pytest_exception_interact(self, call: Any) -> None:
        self.raised.append(call.excinfo.value)


def outcome(nodes: Sequence[str], planted: Planted | None) -> int:
    """Run tests in this process, with a fault or without; it cannot be used for others afterwards."""
    import pytest

    if planted:
        sys.meta_path.insert(0, planted)
    failures = _Failures()
    code = pytest.main([*OPTIONS, *nodes], plugins=[failures])
    if code == pytest.ExitCode.OK:
        return PASSED
    asserted = all(isinstance(error, AssertionError | pytest.fail.Exception) for error in failures.raised)
    return KILLED if code == pytest.ExitCode.TESTS_FAILED and asserted else BROKEN


@dataclass(frozen=True)
class Job:
    """Tests to run, the fault to run them with if any, and how that must end."""

    name: str
    nodes: tuple[str, ...]
    planted: Planted | None
    wanted: int


def jobs(mutants: Sequence[tuple[int, Mutant]]) -> list[Job]:
    """Return a job for each mutant, and one for each file of tests as the code stands; raise StaleError."""
    files: dict[str, list[str]] = {}
    found = []
    for number, mutant in mutants:
        try:
            found.append(Job(f"mutant {number}: {mutant}", (mutant.test,), plant(mutant), KILLED))
        except StaleError as error:
            raise StaleError(f"mutant {number} no longer applies: {error}") from None
        files.setdefault(mutant.test.partition("::")[0], []).append(mutant.test)
    plain = [
        Job(f"{file} without a mutant", tuple(dict.fromkeys(nodes)), None, PASSED) for file, nodes in files.items()
    ]
    return plain + found


def _child(job: Job, scratch: Path) -> NoReturn:
    """End this process with the job's outcome; all that it says and makes goes to `scratch`."""
    code = BROKEN
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends its children
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.alarm(LIMIT)
        tempfile.tempdir = str(scratch)
        said = os.open(scratch / "said.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        code = outcome(job.nodes, job.planted)
        sys.stdout.flush()
    finally:
        os._exit(code)


def run(waiting: Sequence[Job], scratch: Path, at_once: int) -> Iterator[tuple[Job, int, str]]:
    """Run each job in a child of its own, and yield it with how it ended and what it said."""
    left, running = list(waiting), {}
    try:
        while left or running:
            while left and len(running) < at_once:
                job, own = left.pop(0), Path(tempfile.mkdtemp(dir=scratch))
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # hooks that run at a fork would swallow it
                pid = os.fork()
                if not pid:
                    _child(job, own)
                running[pid] = job, own
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            pid, status = os.wait()
            job, own = running.pop(pid)
            yield job, os.waitstatus_to_exitcode(status), (own / "said.txt").read_text(encoding="utf-8")
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def verdict(job: Job, code: int, said: str) -> str:
    """Return what is wrong with how a job ended, or nothing."""
    if code == job.wanted:
        return ""
    if code == PASSED:
        return f"SURVIVED: {job.name}"
    failed, unlike = ("FAILED", "did not pass") if job.wanted == PASSED else ("UNCLEAR", "did not fail by an assertion")
    why = f"took longer than {LIMIT} s" if code == -signal.SIGALRM else unlike
    return f"{failed}: {job.name} {why}\n{said}"


def prepare() -> None:
    """Import what all children need; none of the packages that mutants change."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in HEAVY:
        importlib.import_module(name)
    for name in importlib.import_module("_pytest.config").default_plugins:
        importlib.import_module(f"_pytest.{name}")
    hypothesis = importlib.import_module("hypothesis")
    phases = hypothesis.Phase.explicit, hypothesis.Phase.generate  # any example will do, not the smallest
    hypothesis.settings.register_profile("mutants", phases=phases, report_multiple_bugs=False, database=None)
    hypothesis.settings.load_profile("mutants")
    gc.freeze()  # what is here stays: no child looks through it
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("initnotes", "initgrade")]
    assert not loaded, f"no fault can be planted in what is imported already: {loaded}"


def main(words: Sequence[str]) -> int:
    from tqdm import tqdm

    chosen = [
        (number, mutant)
        for number, mutant in enumerate(MUTANTS, start=1)
        if not words or any(word in field for word in words for field in mutant)
    ]
    if not chosen:
        sys.exit(f"no mutant's row contains {' or '.join(map(repr, words))}")
    try:
        waiting = jobs(chosen)
    except StaleError as error:
        sys.exit(f"{error}. Mend its row in tools/faults/")
    prepare()
    tqdm.monitor_interval = 0  # no thread beside those who fork
    wrong, done = [], 0
    try:
        with tempfile.TemporaryDirectory() as scratch, tqdm(total=len(waiting), unit="run", disable=None) as bar:
            for ended in run(waiting, Path(scratch), os.cpu_count() or 1):
                wrong += [text] if (text := verdict(*ended)) else []
                done += 1
                bar.update()
    except KeyboardInterrupt:
        print(f"\nInterrupted after {done} of {len(waiting)} runs.")
    print(*wrong, f"{len(chosen)} mutants, {len(wrong)} of {done} runs did not end as they must.", sep="\n")
    return 0 if done == len(waiting) and not wrong else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
