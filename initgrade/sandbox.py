"""Runs a job in a sandbox of bubblewrap's and watches over it: time, memory and processes of all of it together.

It knows neither assignments nor points. What the sandbox cannot see: everything but Python, its packages and initnotes.
"""

import contextlib
import functools
import importlib.util
import os
import re
import secrets
import select
import selectors
import shutil
import signal
import site
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import values

INSTALL = "Linux only. Debian: apt-get install bubblewrap. In a container: allow user namespaces, or run it as root"
_POLL = 0.05  # seconds between looks at the processes
_GONE = 5.0  # seconds to wait for killed processes
_START_SECONDS = 300.0  # for Python's start: not the submission's time, and long on a machine that does much else
_OTHER_PROCESSES = 100  # that a user may start meanwhile, where the submission is not a user of its own
_COURSE = "/course"  # where initnotes and the worker's own files are in the sandbox
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_START = "import sys; sys.path.insert(0, sys.argv[4]); from initgrade import worker; del sys.path[0]; "
_START += "worker.main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == 'locked')"


class NoSandbox(RuntimeError):  # noqa: N818
    """No sandbox can be had, or it does not hold; says why and what to install."""


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
    notebook: int = 10 << 20


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
    messages : list of tuple
        What the worker sent, as `values.frames` reads it. After the first, the submission may have written any.
    output : str
        What was printed, cut, with control characters written out.
    seconds : float
        Wall clock.
    """

    started: bool
    ended: str
    reason: str
    messages: list[tuple[dict[str, Any], list[bytes]]]
    output: str
    seconds: float


# Memory that no process's resident set shows (shm*, memfd_*), namespaces in which one would be root (unshare, setns,
# mount, fsopen), and what reaches far into the kernel: ptrace, keys, perf, bpf, userfaultfd, io_uring.
_DENIED = {
    "x86_64": (29, 30, 64, 68, 101, 165, 248, 249, 250, 272, 298, 308, 319, 321, 323, 425, 428, 429, 430, 447),
    "aarch64": (40, 97, 117, 186, 190, 194, 196, 217, 218, 219, 241, 268, 279, 280, 282, 425, 428, 429, 430, 447),
}
_NUMBERS = {"x86_64": (0xC000003E, 56, 9), "aarch64": (0xC00000B7, 220, 222)}  # architecture, clone, mmap
_CLONE3 = 435
_NEW_NAMESPACES = 0x7E020000
_SHARED_ANONYMOUS = 0x21


def seccomp(machine: str) -> bytes:
    """Return a filter of system calls, as the kernel reads it.

    Raises
    ------
    NoSandbox
        If `machine` is neither x86_64 nor aarch64.
    """
    if machine not in _NUMBERS:
        raise NoSandbox(f"no filter of system calls is known for {machine}; use x86_64 or aarch64")
    audit, clone, mmap = _NUMBERS[machine]
    load, equal, at_least, any_bit, mask, give = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
    denied, unknown, killed, allowed = 0x50001, 0x50026, 0x80000000, 0x7FFF0000  # EPERM, ENOSYS
    rules = [(load, 0, 0, 4), (equal, 1, 0, audit), (give, 0, 0, killed), (load, 0, 0, 0)]
    rules += [(at_least, 0, 1, 0x40000000), (give, 0, 0, killed)]  # calls of another ABI have other numbers
    for number in _DENIED[machine]:
        rules += [(equal, 0, 1, number), (give, 0, 0, denied)]
    rules += [(equal, 0, 1, _CLONE3), (give, 0, 0, unknown)]  # its flags are out of sight; libraries then use clone
    rules += [(equal, 0, 4, clone), (load, 0, 0, 16), (any_bit, 0, 1, _NEW_NAMESPACES), (give, 0, 0, denied)]
    rules += [(give, 0, 0, allowed)]
    rules += [(equal, 0, 4, mmap), (load, 0, 0, 40), (mask, 0, 0, _SHARED_ANONYMOUS)]
    rules += [(equal, 0, 1, _SHARED_ANONYMOUS), (give, 0, 0, denied), (give, 0, 0, allowed)]
    return b"".join(struct.pack("HBBI", *rule) for rule in rules)


def _initnotes() -> Path | None:
    found = importlib.util.find_spec("initnotes")
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0]) if places else None


@functools.cache
def visible() -> tuple[Path, ...]:
    """Return the folders of this machine that a submission can read, besides initnotes."""
    wanted = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix), Path(sys.base_exec_prefix)]
    if site.ENABLE_USER_SITE:
        wanted.append(Path(site.getusersitepackages()))
    return tuple(dict.fromkeys(path.resolve() for path in wanted if os.path.isdir(path)))


def exposed(path: Path) -> Path | None:
    """Return the folder through which a submission could read `path`, if there is one."""
    full = path.resolve()
    own = _initnotes()
    folders = (*visible(), own.resolve()) if own else visible()
    return next((folder for folder in folders if full.is_relative_to(folder)), None)


def _search_path() -> list[str]:
    return [_COURSE, *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]


def _environment() -> dict[str, str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    fixed = {"HOME": "/tmp", "TMPDIR": "/tmp", "USER": "student", "LOGNAME": "student", "PATH": "/usr/bin:/bin"}
    return {**threads, **fixed, "MPLBACKEND": "Agg", "MPLCONFIGDIR": "/tmp", "LANG": "C.UTF-8", "TZ": "UTC"}


def _mounts() -> list[tuple[str, str, str]]:
    """Return what is mounted on an empty root, as option, source and target: what Python needs, and nothing else."""
    places = dict.fromkeys([*visible(), Path(sys.prefix), Path(sys.base_prefix)])
    mounts = [("--ro-bind", str(path), str(path)) for path in places]
    for name in ("lib", "lib32", "lib64", "libx32", "bin"):
        link = Path("/", name)
        if link.is_symlink():
            mounts.append(("--symlink", os.readlink(link), str(link)))
        elif link.is_dir():
            mounts.append(("--ro-bind", str(link), str(link)))
    mounts += [("--ro-bind-try", path, path) for path in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")]
    return mounts + _own_files()


def _own_files() -> list[tuple[str, str, str]]:
    """Return how initnotes and the worker are shown. /dev has no zero: it maps memory that nobody counts."""
    here, notes = Path(__file__).parent, _initnotes()
    names = ("__init__.py", "values.py", "worker.py")
    mounts = [("--ro-bind", str(here / name), f"{_COURSE}/initgrade/{name}") for name in names]
    if notes and not any(notes.resolve().is_relative_to(folder) for folder in visible()):
        mounts.append(("--ro-bind", str(notes), f"{_COURSE}/initnotes"))
    mounts += [("--dev-bind", f"/dev/{name}", f"/dev/{name}") for name in ("null", "full", "random", "urandom")]
    return [*mounts, ("--symlink", "/tmp", "/dev/shm")]


@functools.cache
def _layout() -> tuple[str, ...]:
    """Return the arguments that fill the file system; bubblewrap's own folders would be closed to others."""
    arguments: list[str] = []
    made = {Path("/"), Path("/tmp")}
    for option, source, target in _mounts():
        for folder in reversed(Path(target).parents):
            if folder not in made:
                arguments += ["--perms", "0755", "--dir", str(folder)]
                made.add(folder)
        arguments += [option, source, target]
    return (*arguments, "--proc", "/proc")


def command(limits: Limits, filter_fd: int, info_fd: int) -> list[str]:
    """Return the start of the command line that runs a program in the sandbox.

    On `info_fd` bubblewrap says which process is the sandbox's first, with which all others end.
    """
    namespaces = ["--unshare-all"]
    if os.geteuid() == 0:  # a real, unprivileged user: limits on processes do not hold for root
        namespaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        namespaces += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    settings = [part for name, value in _environment().items() for part in ("--setenv", name, value)]
    # /tmp comes first: Python itself may lie below it.
    roots = ["--tmpfs", "/", "--perms", "1777", "--size", str(limits.files), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    bwrap = shutil.which("bwrap") or "bwrap"
    guards = ["--die-with-parent", "--new-session", "--seccomp", str(filter_fd), "--info-fd", str(info_fd)]
    guards += ["--hostname", "sandbox", "--clearenv"]
    return [bwrap, *namespaces, *guards, *settings, *roots, *_layout(), "--remount-ro", "/"]


def _own_uid(locked: bool = True) -> int:
    """Return a user that no other submission has; 0 means to stay who one is.

    It is another one each time: processes of an earlier submission that are still ending count against nobody else.
    """
    if os.geteuid() != 0 or not (locked or _readable_by_others()):
        return 0
    mapped = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
    first, span = (1 << 30, 1 << 22) if mapped > 1 << 31 else (20_000, 40_000)
    return first + secrets.randbelow(span)


@functools.cache
def _readable_by_others() -> bool:
    """Return whether another user can run this Python and its packages; the sandbox shows them, a container may not."""
    notes = _initnotes()
    files = [Path(sys.executable), Path(os.__file__), Path(__file__), *([notes / "__init__.py"] if notes else [])]
    files += [Path(one.origin) for name in ("numpy",) if (one := importlib.util.find_spec(name)) and one.origin]
    ways = {way for path in files for real in (path, path.resolve()) for way in (real, *real.parents)}
    return all(way.stat().st_mode & (0o001 if way.is_dir() else 0o004) for way in ways)


@dataclass
class _Process:
    """One look at a process."""

    pid: int
    parent: int
    cpu: float
    threads: int
    resident: int


def _look(pid: str) -> _Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    cpu = sum(map(int, fields[11:15])) / _TICKS
    return _Process(int(pid), int(fields[1]), cpu, int(fields[17]), int(fields[21]) * _PAGE)


def descendants(root: int) -> list[_Process]:
    """Return a process and all that came from it, as they are now."""
    seen = [look for name in os.listdir("/proc") if name.isdigit() and (look := _look(name))]
    children: dict[int, list[_Process]] = {}
    for look in seen:
        children.setdefault(look.parent, []).append(look)
    found = [look for look in seen if look.pid == root]
    for look in found:
        found.extend(children.get(look.pid, []))
    return found


def _proportional(pid: int) -> int:
    """Return the memory of a process, its part of what it shares with others; 0 if it cannot be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


def _in_temporary(pid: int) -> tuple[int, int]:
    """Return bytes and number of files in the ``/tmp`` that a process sees."""
    try:
        found = os.statvfs(f"/proc/{pid}/root/tmp")
    except OSError:
        return 0, 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree


def exceeded(found: Sequence[_Process], limits: Limits, locked: bool) -> tuple[str, str] | None:
    """Return how a submission ends whose processes take more than they may, and why; None if they do not."""
    if sum(look.cpu for look in found) > limits.cpu_seconds:
        return "timed_out", f"it used more than {limits.cpu_seconds:g} s of processor time"
    if sum(look.threads for look in found) > limits.processes + 2 * locked:
        return "stopped", f"it started more than {limits.processes} processes"
    used, entries = _in_temporary(found[-1].pid) if found and locked else (0, 0)
    if entries > limits.entries:
        return "stopped", f"it wrote more than {limits.entries} files"
    if used + sum(look.resident for look in found) > limits.memory:
        exact = used + sum(_proportional(look.pid) or look.resident for look in found)
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
        found = descendants(self.process.pid)
        self.seen |= {look.pid for look in found}
        return exceeded(found, self.limits, self.locked)

    def stop(self) -> None:
        """End every process of the job, and wait until they are gone; in a sandbox they end with its first one.

        Without one, those that left the family are known by their user, if that is the job's own.
        """
        for _ in range(100):
            found = [look.pid for look in descendants(self.process.pid)]
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if len(found) < 2:
                break
        self.process.kill()
        self.process.wait()
        if self.locked and (first := re.search(rb'"child-pid": *(\d+)', os.read(self.info, 4096))):
            _wait_until_gone(int(first[1]))
        while not self.locked and self.uid and (found := _of_user(self.uid)):
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def _of_user(uid: int) -> list[int]:
    """Return a user's processes, but not those that only wait to be noticed as dead."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == uid and _command(int(name)):
                found.append(int(name))
    return found


def _command(pid: int) -> str:
    """Return a process's command line, its words parted by zeros; empty where it is dead."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def _wait_until_gone(pid: int) -> None:
    """Wait for a sandbox's first process: the kernel ends all others before it."""
    with contextlib.suppress(OSError):  # it is gone, or its number is another's already
        handle = os.pidfd_open(pid)
        select.select([handle], [], [], _GONE)
        os.close(handle)


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
    os.write(writer, seccomp(os.uname().machine))
    os.close(writer)
    return reader


def _rlimits(limits: Limits, own_user: bool) -> dict[str, float]:
    kept = {name: getattr(limits, name) for name in ("memory", "files", "open_files", "cell_seconds", "result")}
    kept["cpu_seconds"] = int(limits.cpu_seconds) + 5
    if own_user:
        kept["processes"] = limits.processes
    elif os.geteuid() != 0:  # some kernels count all of a user's processes, others those of the sandbox
        kept["processes"] = limits.processes + _threads_of_user() + _OTHER_PROCESSES
    return kept


def _threads_of_user() -> int:
    """Return how many processes and threads this user has now."""
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            look = _look(name) if os.stat(f"/proc/{name}").st_uid == os.geteuid() else None
            count += look.threads if look else 0
    return count


def execute(
    cells: Sequence[Mapping[str, str]],
    requests: Sequence[Mapping[str, Any]],
    blobs: Sequence[bytes] = (),
    *,
    variant: Mapping[str, Any],
    needs: Sequence[str] = (),
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
    limits : Limits
        Of all processes together.
    trust_container : bool
        Run without a sandbox: the machine itself is one, and may be spoiled. Root becomes an ordinary user all the
        same, where one can read Python and its packages.
    """
    locked = not trust_container
    uid = _own_uid(locked)
    job = {
        "cells": cells,
        "requests": requests,
        "variant": variant,
        "needs": needs,
        "limits": _rlimits(limits, uid > 0),
    }
    job["path"] = _search_path() if locked else _outside_path()
    try:
        with _job_file(job, blobs) as reader:
            return _run(reader, limits, locked, uid)
    except (OSError, NoSandbox) as error:
        return Outcome(False, "died", str(error), [], "", 0.0)


def _outside_path() -> list[str]:
    notes = _initnotes()
    return [str(notes.parent)] if notes else []


def _run(job: int, limits: Limits, locked: bool, uid: int) -> Outcome:
    (receive, send), (info, tell) = os.pipe(), os.pipe()
    passed = [send, tell, *([_filter()] if locked else [])]
    root = _COURSE if locked else str(Path(__file__).parent.parent)
    python = [sys.executable, "-I", "-B", "-c", _START, str(uid), str(send), "locked" if locked else "open", root]
    line = [*(command(limits, passed[2], tell) if locked else []), *python]
    with os.fdopen(receive, "rb"), os.fdopen(info, "rb"), _started(line, job, passed, locked) as process:
        watch = _Watch(process, receive, info, limits, locked, uid)
        ended, reason = watch.run()
    return _outcome(watch, ended, reason)


def _started(line: Sequence[str], job: int, passed: Sequence[int], locked: bool) -> subprocess.Popen[bytes]:
    """Start a process that has nothing of ours: bubblewrap's own environment could be read from inside."""
    environment = {"PATH": os.defpath} if locked else _environment()
    try:
        return subprocess.Popen(
            line, stdin=job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, pass_fds=passed
        )
    finally:
        for end in passed:
            os.close(end)


def _outcome(watch: _Watch, ended: str, reason: str) -> Outcome:
    messages = values.frames(bytes(watch.streams[watch.sent]))
    output = values.printable(watch.streams[watch.printed].decode("utf-8", "replace"), watch.limits.output)
    first = messages[0][0] if messages else {}
    problem = first.get("problem") if first.get("kind") == "started" else f"the sandbox did not start: {output}"
    seconds = time.monotonic() - watch.start
    if problem:
        return Outcome(False, "died", f"{problem} {reason}".strip(), [], output, seconds)
    if ended == "finished" and not any(header.get("kind") == "done" for header, _ in messages):
        ended, reason = "died", "its process ended before all was asked"
    return Outcome(True, ended, reason, messages[1:], output, seconds)


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
