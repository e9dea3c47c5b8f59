"""Processes, as /proc shows them: a family, what it uses, and when it is gone.

What lives here knows no sandbox and no limits.
"""

import contextlib
import ctypes
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

_GONE = 5.0  # seconds to wait for killed processes
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Process:
    """One look at a process."""

    pid: int
    parent: int
    cpu: float
    threads: int
    resident: int


def look(pid: str) -> Process | None:
    """Return one look at a process; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    cpu = sum(map(int, fields[11:15])) / _TICKS
    return Process(int(pid), int(fields[1]), cpu, int(fields[17]), int(fields[21]) * _PAGE)


def descendants(root: int) -> list[Process]:
    """Return a process and all that came from it, as they are now."""
    seen = [process for name in os.listdir("/proc") if name.isdigit() and (process := look(name))]
    children: dict[int, list[Process]] = {}
    for process in seen:
        children.setdefault(process.parent, []).append(process)
    found = [process for process in seen if process.pid == root]
    for process in found:
        found.extend(children.get(process.pid, []))
    return found


def proportional(pid: int) -> int:
    """Return the memory of a process, its part of what it shares with others; 0 if it cannot be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


def page_tables(pid: int) -> int:
    """Return the memory in which the kernel keeps where a process's memory is; 0 if it cannot be read."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmPTE:")), 0)
    except OSError:
        return 0


def in_temporary(pid: int) -> tuple[int, int]:
    """Return bytes and number of files in the ``/tmp`` that a process sees; none where that is our own.

    A sandbox's processes see ours until its walls stand, and bubblewrap's outer one does to the end.
    """
    folder = f"/proc/{pid}/root/tmp"
    try:
        if os.stat(folder).st_dev == os.stat("/tmp").st_dev:
            return 0, 0
        found = os.statvfs(folder)
    except OSError:
        return 0, 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree


def end_with(parent: int) -> None:  # pragma: no cover
    """Let the kernel end this process when `parent` does, or the thread of it that started this one."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG; it is lost where a process changes its user
    if os.getppid() != parent:
        os._exit(1)


def of_user(uid: int) -> list[int]:
    """Return a user's processes, but not those that only wait to be noticed as dead."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == uid and command_line(int(name)):
                found.append(int(name))
    return found


def threads_of_user(uid: int) -> int:
    """Return how many processes and threads a user has now."""
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found = look(name) if os.stat(f"/proc/{name}").st_uid == uid else None
            count += found.threads if found else 0
    return count


def command_line(pid: int) -> str:
    """Return a process's command line, its words parted by zeros; empty where it is dead."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def wait_until_gone(pid: int) -> None:
    """Wait for a sandbox's first process: the kernel ends all others before it."""
    with contextlib.suppress(OSError):  # it is gone, or its number is another's already
        handle = os.pidfd_open(pid)
        select.select([handle], [], [], _GONE)
        os.close(handle)
