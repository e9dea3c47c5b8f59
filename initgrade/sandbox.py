"""Runs a job in a sandbox of bubblewrap's and watches over it: time, memory and processes of all of it together.

What lives here knows neither assignments nor points, nor what the sandbox shows: `walls` does.
"""

import contextlib
import functools
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import offering, processes, values, walls
from .submission import MOST_BYTES
from .walls import NoSandbox

INSTALL = "Linux only. Debian: apt-get install bubblewrap. In a container: allow user namespaces, or run it as root"
_POLL = 0.05  # seconds between looks at the processes
_START_SECONDS = 300.0  # for Python's start: not the submission's time, and long on a machine that does much else
_OTHER_PROCESSES = 100  # that a user may start meanwhile, where the submission is not a user of its own
_START = "import sys; sys.path.insert(0, sys.argv[4]); from initgrade import worker; del sys.path[0]; "
_START += "worker.main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == 'locked', int(sys.argv[5]))"
_DONE = values.frame({"kind": "done"})


@dataclass(frozen=True)
class Limits:
    """What a whole submission may use, all of its processes together.

    Attributes
    ----------
    seconds, cpu_seconds : float
        Wall clock and processor time.
    cell_seconds : float
        Wall clock of one cell. The cells after it run all the same.
    memory : int
        Bytes, files in its ``/tmp`` included.
    processes : int
        Processes and threads.
    files, open_files, entries : int
        Bytes in ``/tmp``; files that one process has open; number of files in ``/tmp``.
    output, result : int
        Bytes of printed text that are kept, and of values that come back.
    judging_seconds, judging_memory : float, int
        Processor time in which one request's values are judged, and bytes for reading and judging.
    notebook : int
        Bytes of the notebook's file.
    """

    seconds: float = 120.0
    cpu_seconds: float = 120.0
    cell_seconds: float = 30.0
    memory: int = 2 << 30
    processes: int = 32
    files: int = 64 << 20
    open_files: int = 128
    entries: int = 10_000
    output: int = 20_000
    result: int = 64 << 20
    judging_seconds: float = 60.0
    judging_memory: int = 2 << 30
    notebook: int = MOST_BYTES


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes
    ----------
    started : bool
        Whether the sandbox started and held. If not, nothing else says anything about the submission.
    ended : str
        ``finished``, ``died``, ``timed_out``, ``out_of_memory`` or ``stopped`` (by any other limit).
    reason : str
        In words, where it is not ``finished``.
    sent : bytes
        What the worker sent after its first message. The submission may have written any of it.
    output : str
        What was printed, cut, with control characters written out.
    seconds : float
        Wall clock.
    """

    started: bool
    ended: str
    reason: str
    sent: bytes
    output: str
    seconds: float

    @functools.cached_property
    def messages(self) -> list[tuple[dict[str, Any], list[bytes]]]:
        """Return what was sent, as `values.frames` reads it: that may take time and memory."""
        return values.frames(self.sent)


def exceeded(found: Sequence[processes.Process], limits: Limits, locked: bool) -> tuple[str, str] | None:
    """Return how a submission ends whose processes take more than they may, and why; None if they do not."""
    if sum(look.cpu for look in found) > limits.cpu_seconds:
        return "timed_out", f"it used more than {limits.cpu_seconds:g} s of processor time"
    if sum(look.threads for look in found) > limits.processes + 2 * locked:
        return "stopped", f"it started more than {limits.processes} processes"
    used, entries = processes.in_temporary(found[-1].pid) if found and locked else (0, 0)
    used += sum(processes.page_tables(look.pid) for look in found)
    if entries > limits.entries:
        return "stopped", f"it wrote more than {limits.entries} files"
    if used + sum(look.resident for look in found) > limits.memory:
        exact = used + sum(processes.proportional(look.pid) or look.resident for look in found)
        if exact > limits.memory:
            return "out_of_memory", f"it used more than {limits.memory / (1 << 20):.0f} MiB of memory"
    return None


class _Watch:
    """Reads what a running job prints and sends, and ends it where it takes too much."""

    def __init__(
        self, process: subprocess.Popen[bytes], sent: int, info: int, limits: Limits, locked: bool, uid: int
    ) -> None:
        assert process.stdout is not None
        self.info, self.uid = info, uid
        self.process, self.limits, self.locked = process, limits, locked
        self.streams = {process.stdout.fileno(): bytearray(), sent: bytearray()}
        self.printed, self.sent = process.stdout.fileno(), sent
        self.start = time.monotonic()
        self.clock: float | None = None  # when the worker was ready
        self.seen: set[int] = set()

    def run(self) -> tuple[str, str]:
        """Return how it ended and why."""
        with selectors.DefaultSelector() as selector:
            for stream in self.streams:
                os.set_blocking(stream, False)
                selector.register(stream, selectors.EVENT_READ)
            ended = self._loop(selector)
            self.stop()
            for stream in self.streams:
                while self._read(stream):
                    pass
        return ended

    def _loop(self, selector: selectors.BaseSelector) -> tuple[str, str]:
        with _end_of(self.process, selector):
            look = self.start
            while self.process.poll() is None:
                for key, _ in selector.select(_POLL):
                    if key.fd in self.streams and not self._read(key.fd):
                        selector.unregister(key.fd)
                if time.monotonic() >= look:
                    look = time.monotonic() + _POLL
                    if over := self.over():
                        return over
        return "finished", ""

    def _read(self, stream: int) -> bool:
        try:
            chunk = os.read(stream, 1 << 16)
        except BlockingIOError:
            return False
        kept = self.streams[stream]
        if stream == self.sent and not kept:
            self.clock = time.monotonic()
        most = self.limits.result + values.MAX_LINE if stream == self.sent else self.limits.output
        if stream == self.sent or len(kept) < most:
            kept += chunk[: max(0, most + 1 - len(kept))]
        return bool(chunk)

    def over(self) -> tuple[str, str] | None:
        """Return which limit is exceeded."""
        most = _START_SECONDS if self.clock is None else self.limits.seconds
        if time.monotonic() - (self.clock or self.start) > most:
            return "timed_out", f"it took more than {most:g} s"
        if len(self.streams[self.sent]) > self.limits.result + values.MAX_LINE:
            return "stopped", f"it returned more than {self.limits.result} bytes"
        found = processes.descendants(self.process.pid)
        self.seen |= {look.pid for look in found}
        return exceeded(found, self.limits, self.locked)

    def stop(self) -> None:
        """End every process of the job, and wait until they are gone; in a sandbox they end with its first one.

        Without one, those that left the family are known by their user, if that is the job's own.
        """
        for _ in range(100):
            found = [look.pid for look in processes.descendants(self.process.pid)]
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if len(found) < 2:
                break
        self.process.kill()
        self.process.wait()
        if self.locked and (first := re.search(rb'"child-pid": *(\d+)', os.read(self.info, 4096))):
            processes.wait_until_gone(int(first[1]))
        while not self.locked and self.uid and (found := processes.of_user(self.uid)):
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def _end_of(process: subprocess.Popen[bytes], selector: selectors.BaseSelector) -> Iterator[None]:
    """Let the selector notice a process's end at once."""
    handle = os.pidfd_open(process.pid)
    selector.register(handle, selectors.EVENT_READ)
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _job_file(job: Mapping[str, Any], blobs: Sequence[bytes]) -> Iterator[int]:
    """Give a job as a file that has no name any more and that only can be read."""
    with tempfile.NamedTemporaryFile() as written:
        written.write(values.frame(job, blobs))
        written.flush()
        reader = os.open(written.name, os.O_RDONLY)
    try:
        yield reader
    finally:
        os.close(reader)


def _filter() -> int:
    reader, writer = os.pipe()
    os.write(writer, walls.seccomp(os.uname().machine))
    os.close(writer)
    return reader


def _rlimits(limits: Limits, own_user: bool) -> dict[str, float]:
    kept = {name: getattr(limits, name) for name in ("memory", "files", "open_files", "cell_seconds", "result")}
    kept["cpu_seconds"] = int(limits.cpu_seconds) + 5
    if own_user:
        kept["processes"] = limits.processes
    elif os.geteuid() != 0:  # some kernels count all of a user's processes, others those of the sandbox
        kept["processes"] = limits.processes + processes.threads_of_user(os.geteuid()) + _OTHER_PROCESSES
    return kept


def execute(
    cells: Sequence[Mapping[str, str]],
    requests: Sequence[Mapping[str, Any]],
    blobs: Sequence[bytes] = (),
    *,
    variant: Mapping[str, Any],
    needs: Sequence[str] = (),
    offers: Sequence[str] | None = (),
    limits: Limits,
    trust_container: bool = False,
) -> Outcome:
    """Run cells and answer requests in a sandbox; whatever they do, this returns, with no process left.

    Parameters
    ----------
    cells : sequence of mappings
        ``{"id", "source"}`` each.
    requests : sequence of mappings
        ``{"target", "call", "seconds", "arguments"}`` each, the last a list of packed values (`values.pack`).
    blobs : sequence of bytes
        Of the arrays in all arguments.
    variant : mapping
        What the name ``VARIANT`` stands for.
    needs : sequence of str
        Modules that must be there; the sandbox counts as not started without them.
    offers : sequence of str, optional
        Names that initnotes has, as `offering` shows it; None for all of it.
    limits : Limits
        Of all processes together.
    trust_container : bool
        Run without a sandbox: the machine itself is one, and may be spoiled. Root becomes an ordinary user all the
        same, where one can read Python and its packages.
    """
    locked = not trust_container
    uid = walls.own_uid(locked)
    job = {
        "cells": cells,
        "requests": requests,
        "variant": variant,
        "needs": needs,
        "limits": _rlimits(limits, uid > 0),
    }
    try:
        with _initnotes(offers) as notes:
            job["path"] = walls.search_path() if locked else [str(notes.parent)] if notes else []
            with _job_file(job, blobs) as reader:
                return _run(reader, limits, locked, uid, notes)
    except (OSError, NoSandbox) as error:
        return Outcome(False, "died", str(error), b"", "", 0.0)


@contextlib.contextmanager
def _initnotes(offers: Sequence[str] | None) -> Iterator[Path | None]:
    """Give the folder that stands for initnotes: the real one if `offers` is None and there is one."""
    if offers is None:
        yield walls.initnotes_folder()
        return
    with tempfile.TemporaryDirectory(prefix="initnotes-") as made:
        os.chmod(made, 0o755)  # the submission is another user
        offering.write(Path(made), offers)
        yield Path(made) / "initnotes"


def _run(job: int, limits: Limits, locked: bool, uid: int, notes: Path | None) -> Outcome:
    (receive, send), (info, tell) = os.pipe(), os.pipe()
    passed = [send, tell, *([_filter()] if locked else [])]
    root = walls.COURSE if locked else str(Path(__file__).parent.parent)
    how = [str(uid), str(send), "locked" if locked else "open", root, str(os.getpid())]
    python = [sys.executable, "-I", "-B", "-c", _START, *how]
    line = [*(walls.command(limits.files, passed[2], tell, notes) if locked else []), *python]
    with os.fdopen(receive, "rb"), os.fdopen(info, "rb"), _started(line, job, passed, locked) as process:
        watch = _Watch(process, receive, info, limits, locked, uid)
        ended, reason = watch.run()
    return _outcome(watch, ended, reason)


def _started(line: Sequence[str], job: int, passed: Sequence[int], locked: bool) -> subprocess.Popen[bytes]:
    """Start a process that has nothing of ours: bubblewrap's own environment could be read from inside."""
    environment = {"PATH": os.defpath} if locked else walls.environment()
    try:
        return subprocess.Popen(
            line, stdin=job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, pass_fds=passed
        )
    finally:
        for end in passed:
            os.close(end)


def _outcome(watch: _Watch, ended: str, reason: str) -> Outcome:
    sent = bytes(watch.streams[watch.sent])
    bodies = values.cut(sent)
    start = next(bodies, b"")  # before the submission could write anything
    ((first, _),) = values.frames(values.framed(start)) or [({}, [])]
    output = values.printable(watch.streams[watch.printed].decode("utf-8", "replace"), watch.limits.output)
    problem = first.get("problem") if first.get("kind") == "started" else f"the sandbox did not start: {output}"
    seconds = time.monotonic() - watch.start
    if problem:
        return Outcome(False, "died", f"{problem} {reason}".strip(), b"", output, seconds)
    if ended == "finished" and not any(values.framed(body) == _DONE for body in bodies):
        ended, reason = "died", "its process ended before all was asked"
    return Outcome(True, ended, reason, sent[len(values.framed(start)) :], output, seconds)


@functools.cache
def available() -> str:
    """Return why no sandbox can be had and what to install; empty if one starts and holds."""
    if not sys.platform.startswith("linux") or not shutil.which("bwrap"):
        return f"bwrap was not found. {INSTALL}"
    for _ in range(2):
        tried = execute([], [], variant={}, limits=Limits(seconds=30.0))
        if tried.started:
            break
    return "" if tried.started else f"bwrap is there, but {tried.reason.strip()}. {INSTALL}"
