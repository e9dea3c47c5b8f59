"""Runs inside the sandbox: executes a submission's cells, then answers each request in a process of its own.

What lives here holds no checks and decides nothing. Of initgrade it imports only `cells` and `values`, and of other
packages none before the submission does, so that starting is cheap. What is marked "no cover" runs in the sandbox only,
where tests reach it and coverage does not.
"""

import contextlib
import functools
import importlib.util
import io
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import cells, values

_TEXT = 500  # characters of an error message
_COROUTINE = 0x80  # inspect.CO_COROUTINE, without the import of inspect
_LIMITS = {
    "memory": resource.RLIMIT_DATA,
    "files": resource.RLIMIT_FSIZE,
    "open_files": resource.RLIMIT_NOFILE,
    "cpu_seconds": resource.RLIMIT_CPU,
    "processes": resource.RLIMIT_NPROC,
}


class CellTimeout(BaseException):
    """Raised inside a cell that takes too long; not an Exception, so that a broad ``except`` lets it pass."""


def become(uid: int) -> None:  # pragma: no cover
    """Become an ordinary user for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def unlocked() -> str:  # pragma: no cover
    """Return what is wrong with the lock: a capability left, or a way back to root. Empty if nothing is."""
    with open("/proc/self/status", encoding="ascii") as file:
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    if any(int(status[name], 16) for name in ("CapEff", "CapPrm", "CapAmb")):
        return "the submission would hold capabilities"
    if status["NoNewPrivs"] != "1" or status["Seccomp"] != "2":
        return "the submission could gain privileges, or use system calls that escape its limits"
    with contextlib.suppress(OSError):
        os.setuid(0 if os.getuid() else 1)
        return "the submission could become another user"
    return ""


def confine(limits: Mapping[str, int]) -> None:  # pragma: no cover
    """Set the limits of each process; the supervisor adds up those of all of them."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, kind in _LIMITS.items():
        if name in limits:
            most = resource.getrlimit(kind)[1]
            value = limits[name] if most == resource.RLIM_INFINITY else min(limits[name], most)
            resource.setrlimit(kind, (value, value))


def execute(source: str, name: str, space: dict[str, Any]) -> None:
    """Execute a cell; one that awaits something outside of functions gets an event loop."""
    code = cells.compiled(cells.readable(source), name)
    waiting = eval(code, space)
    if code.co_flags & _COROUTINE:
        import asyncio

        asyncio.run(waiting)


def told(error: BaseException, name: str = "") -> str:
    """Return an error as a line of text, with the line of the cell `name` in which it was raised."""
    try:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
        return text[:_TEXT] + (f" (line {lines[-1]})" if lines else "")
    except BaseException:
        return "an error whose own message cannot be read"


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise CellTimeout(f"stopped after {seconds:g} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def _same_process() -> Iterator[None]:
    """End a process that the submission forked where it would go on as a second worker."""
    own = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != own:
            os._exit(0)


def run_cell(cell: Mapping[str, str], space: dict[str, Any], seconds: float) -> dict[str, Any] | None:
    """Execute a cell; return what went wrong with it, or None."""
    name = f"<cell {cell['id']}>"
    try:
        with _alarm(seconds), _same_process():
            execute(cell["source"], name, space)
    except CellTimeout as error:
        return {"cell": cell["id"], "problem": "timed_out", "message": str(error)}
    except MemoryError:
        return {"cell": cell["id"], "problem": "out_of_memory", "message": "needs more memory than is allowed"}
    except BaseException as error:
        return {"cell": cell["id"], "problem": "raised", "message": told(error, name)}
    return None


def _reply(status: str, message: str = "") -> bytes:
    return values.frame({"kind": "answer", "status": status, "message": message})


def answer(request: Mapping[str, Any], blobs: list[bytes], space: Mapping[str, Any], largest: int) -> bytes:
    """Return the message that answers one request."""
    target = request["target"]
    if target not in space:
        return _reply("missing", f"there is no {'function' if request['call'] else 'variable'} {target!r}")
    if request["call"] and not callable(space[target]):
        return _reply("missing", f"{target!r} is of type {type(space[target]).__name__}, not a function")
    try:
        with _same_process():
            return _values(request, blobs, space[target], largest)
    except values.Refused as error:
        return _reply("malformed", f"{target!r} gives {error}")
    except MemoryError:
        return _reply("out_of_memory", f"{target!r} needs more memory than is allowed")
    except BaseException as error:
        return _reply("crashed", f"{target!r} raised {told(error)}")


def _values(request: Mapping[str, Any], blobs: list[bytes], target: Any, largest: int) -> bytes:
    """Call the function, or read the variable, as often as is asked, and pack what comes."""
    trees: list[Any] = []
    found: list[bytes] = []
    for packed in request["arguments"]:
        value = target(**_arguments(values.unpack(packed, blobs))) if request["call"] else target
        tree, arrays = values.pack(value, largest=largest)
        largest -= sum(map(len, arrays))
        trees.append(values.shifted(tree, len(found)))
        found += arrays
    return values.frame({"kind": "answer", "status": "returned", "message": "", "values": trees}, found)


def written(target: str, cells: list[Mapping[str, str]]) -> bytes:
    """Return the message with a value that must stand in the cells as it is."""
    try:
        tree, arrays = values.pack(values.written([cell["source"] for cell in cells], target))
        return values.frame({"kind": "answer", "status": "returned", "message": "", "values": [tree]}, arrays)
    except values.Refused as error:
        return _reply("malformed", f"{target!r} gives {error}")
    except BaseException as error:
        return _reply("crashed", f"{target!r} cannot be read: {told(error)}")


def _arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    if "seed" in arguments:
        import numpy

        arguments["rng"] = numpy.random.default_rng(arguments.pop("seed"))
    return arguments


def _single_thread() -> None:  # pragma: no cover
    """Let torch start no thread in a forked process, where its thread pool does not exist any more."""
    torch = sys.modules.get("torch")
    with contextlib.suppress(Exception):
        if torch is not None:
            torch.set_num_threads(1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


def in_a_child(work: Callable[[], bytes], seconds: float, largest: int) -> bytes:
    """Return what `work` returns in a forked process, or why it did not: too slow, too large, dead."""
    _flush()
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        return _reply("not_run", f"no process can be started for it: {error.strerror}; the submission has too many")
    if child == 0:
        _child(work, writer)
    os.close(writer)
    data, reason = _collect(reader, child, time.monotonic() + seconds, largest)
    os.close(reader)
    for end in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            end(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if reason == "timed_out":
        return _reply("timed_out", f"no answer within {seconds:g} s")
    if reason == "too_large":
        return _reply("malformed", "the answer is larger than what may be returned")
    if values.frames(data):
        return data
    ended = f"by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "before it gave an answer"
    return _reply("crashed", f"its process ended {ended}")


def _child(work: Callable[[], bytes], writer: int) -> None:  # pragma: no cover
    try:
        os.setsid()
        _single_thread()
        data = memoryview(work())
        while data:
            data = data[os.write(writer, data) :]
        _flush()
    finally:
        os._exit(0)


def _collect(reader: int, child: int, until: float, largest: int) -> tuple[bytes, str]:
    """Read one message. A process that holds the pipe open does not delay what comes after the child's end."""
    data, poll, ended = bytearray(), select.poll(), False
    poll.register(reader, select.POLLIN)
    while not ended or poll.poll(0):
        left = until - time.monotonic()
        if left <= 0:
            return bytes(data), "timed_out"
        if poll.poll(1000 * min(left, 0.05)):
            chunk = os.read(reader, 1 << 20)
            data += chunk
            if not chunk or values.frames(data):
                break
            if len(data) > largest + 2 * values.MAX_LINE:
                return bytes(data), "too_large"
        else:
            ended = _has_ended(child)
    return bytes(data), ""


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def fresh_main() -> dict[str, Any]:
    """Return the namespace of a new ``__main__``, in which the cells run."""
    module = types.ModuleType("__main__")
    module.__dict__["display"] = print
    sys.modules["__main__"] = module
    return module.__dict__


class Session:
    """One submission: its job, its namespace, and the pipe on which messages leave."""

    def __init__(self, job: Mapping[str, Any], blobs: list[bytes], out: int) -> None:
        self.job, self.blobs, self.out = job, blobs, out
        self.limits = job["limits"]
        self.space = fresh_main()

    def send(self, data: bytes) -> None:
        """Let a message leave."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.out, view) :]

    def renew_variant(self) -> None:
        """Put the student's true parameters in place, whatever a cell made of them."""
        self.space["VARIANT"] = json.loads(json.dumps(self.job["variant"]))

    def run(self) -> None:
        """Execute the cells, then answer the requests, each from the state that the cells left."""
        for cell in self.job["cells"]:
            self.renew_variant()
            problem = run_cell(cell, self.space, self.limits["cell_seconds"])
            if problem:
                self.send(values.frame({"kind": "cell", **problem}))
        self.renew_variant()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, request in enumerate(self.job["requests"]):
            self.send(values.frame({"kind": "asked", "request": number}))
            self.send(in_a_child(functools.partial(self.reply, request), request["seconds"], self.limits["result"]))
        self.send(values.frame({"kind": "done"}))

    def reply(self, request: Mapping[str, Any]) -> bytes:
        """Return the answer to one request; the work of a child."""
        if request.get("literal"):
            return written(request["target"], self.job["cells"])
        return answer(request, self.blobs, self.space, self.limits["result"])


def lacking(needs: list[str]) -> str:
    """Return what is wrong with the modules that the assignment needs."""
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    return f"{', '.join(missing)} cannot be imported in the sandbox" if missing else ""


def main(uid: int, out: int, locked: bool, parent: int) -> None:  # pragma: no cover
    """Give up all privileges, read the job, run it.

    Parameters
    ----------
    uid : int
        User to become; 0 stays who it is.
    out : int
        File descriptor of the pipe on which messages leave.
    locked : bool
        Whether there is a sandbox, whose lock is then tested.
    parent : int
        The process that watches. Where there is no sandbox, this one ends with it.
    """
    if uid:
        become(uid)
    if not locked:
        from . import processes

        processes.end_with(parent)
    (job, blobs), *_ = values.frames(sys.stdin.buffer.read())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.stdin = io.TextIOWrapper(io.BytesIO())
    confine(job["limits"])
    sys.path[:0], sys.path[len(sys.path) :] = job["path"][:1], job["path"][1:]
    problem = (unlocked() if locked else "") or lacking(job["needs"])
    session = Session(job, blobs, out)
    session.send(values.frame({"kind": "started", "problem": problem}))
    if not problem:
        session.run()
    _flush()
    os._exit(0)
