"""A process in which what a submission sent is read and judged, with limits of its own on time and memory.

What lives here starts that process, watches it, and starts another where it takes too much. A submission chooses what
is read and judged: ten bytes can ask a judge for an hour.
"""

import atexit
import contextlib
import json
import os
import pickle
import resource
import selectors
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import assignment as assignments
from . import hints, processes, questions, values, walls
from .assignment import Request, Variant, Verdict
from .sandbox import Limits, Outcome
from .submission import Malformed

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from initgrade import courtroom; courtroom.serve()"
_PATIENCE = 20  # times the processor time that may pass on the clock: a machine may do much else
_START_SECONDS = 120.0  # of processor time, for imports
_POLL = 0.05


@dataclass(frozen=True)
class Case:
    """What is to be judged: a submission's outcome, and what it was asked, which follows from the seed.

    `given_up` holds what took too much, and what the student reads instead: a request, whose judge did, or its hint.
    """

    checks: Path
    sha256: str
    variant: Variant
    seed: int
    outcome: Outcome
    given_up: Mapping[str, str]


def hear(case: Case, memory: str, announce: Callable[[str], None]) -> dict[str, Any]:
    """Return the marks of a case, or why there are none: under ``unread`` or, with its traceback, under ``failed``."""

    def careful(asked: questions.Asked) -> questions.Asked:
        request = asked.request

        def judge(*given: Any) -> Verdict:
            if request.name in case.given_up:
                return Verdict(0.0, case.given_up[request.name])
            announce(request.name)
            try:
                return request.judge(*given)
            except MemoryError:
                return Verdict(0.0, memory)

        return replace(asked, request=replace(request, judge=judge))

    teacher = hints.teacher(case.checks, case.variant)

    def taught(request: Request, *given: Any) -> Mapping[str, str]:
        name = f"{request.name}, the hint"  # with a time of its own, which costs no points
        if name in case.given_up:
            return {}
        announce(name)
        return teacher(request, *given)

    asked = questions.draw(assignments.loaded(case.checks, case.sha256), case.variant, case.seed)
    announce("")
    try:
        return questions.marks(case.outcome, list(map(careful, asked)), case.variant, taught)
    except questions.JudgeFailed as error:
        return {"failed": values.printable(str(error), questions.MESSAGE), "traceback": traceback.format_exc()}
    except MemoryError:
        return {"unread": memory}


def serve() -> None:  # pragma: no cover
    """Judge one case after the other, until there are no more; the work of the process."""
    reader, writer = sys.stdin.buffer, os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a judge prints is no answer

    def send(**message: Any) -> None:
        writer.write(json.dumps(message) + "\n")
        writer.flush()

    parent, memory, words = pickle.load(reader)
    processes.end_with(parent)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    while True:
        try:
            case = pickle.load(reader)
        except EOFError:
            return
        try:
            send(done=hear(case, words, lambda name: send(judging=name)))
        except Exception as error:
            send(done={"failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()})


class _Court:
    """The process, and the pipes to it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        threads = {name: value for name, value in walls.environment().items() if "THREAD" in name}
        line = [sys.executable, "-B", "-c", _START, json.dumps(sys.path)]
        self.process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **threads}
        )
        self.give((os.getpid(), limits.judging_memory, _more(limits)))

    def give(self, what: Any) -> None:
        """Hand something in; where the process has ended, its silence says so."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(what, self.process.stdin)
            self.process.stdin.flush()

    def messages(self) -> Iterator[dict[str, Any]]:
        """Return what the process says, until it has ended or has taken more time for the next word than it may."""
        assert self.process.stdout is not None
        stream, data = self.process.stdout, b""
        most, begun, used = _START_SECONDS, time.monotonic(), self._cpu()
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while time.monotonic() - begun < _PATIENCE * most and self._cpu() - used < most:
                if selector.select(_POLL):
                    chunk = os.read(stream.fileno(), 1 << 16)
                    *lines, data = (data + chunk).split(b"\n")
                    yield from map(json.loads, lines)
                    if not chunk:
                        return
                    if lines:
                        most, begun, used = self.limits.judging_seconds, time.monotonic(), self._cpu()

    def _cpu(self) -> float:
        look = processes.look(str(self.process.pid))
        return look.cpu if look else 0.0

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


def _more(limits: Limits) -> str:
    most = f"{limits.judging_seconds:g} s or {limits.judging_memory >> 20} MiB"
    return f"What came back takes more than {most} to judge; return what is asked, and nothing larger."


_own = threading.local()  # the kernel ends a process with the thread that started it


def _court(limits: Limits) -> _Court:
    court: _Court | None = getattr(_own, "court", None)
    if court and (court.limits != limits or court.process.poll() is not None):
        court.close()
        court = None
    _own.court = court or _Court(limits)
    found: _Court = _own.court
    return found


def close() -> None:
    """End this thread's process, if there is one."""
    if court := getattr(_own, "court", None):
        court.close()
        del _own.court


atexit.register(close)


def decide(case: Case, limits: Limits) -> dict[str, Any]:
    """Return the marks of a case, as `questions.marks` does.

    Raises
    ------
    Malformed
        If what was sent cannot be read within the limits.
    questions.JudgeFailed
        If a judge raises; the traceback is its second argument.
    """
    words = _more(limits)
    while True:
        court, at, done = _court(limits), None, None
        court.give(case)
        for message in court.messages():
            if (done := message.get("done")) is not None:
                break
            at = message["judging"]
        if done is None:
            close()
            if at is None:
                raise RuntimeError("the process in which judges decide ended before it began; is there memory left?")
            if not at:
                raise Malformed(words.replace("judge", "read"))
            case = replace(case, given_up={**case.given_up, at: words})
        elif "failed" in done:
            raise questions.JudgeFailed(done["failed"], done["traceback"])
        elif "unread" in done:
            raise Malformed(done["unread"].replace("judge", "read"))
        else:
            return dict(done)
