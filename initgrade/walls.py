"""The walls: what bubblewrap shows to a submission, what the kernel refuses it, and whose user it is.

What lives here starts nothing and watches nothing. What cannot be seen inside: everything but Python and its packages.
Of initnotes there is what the assignment offers, and wherever else Python's folders hold a copy of it, nothing.
"""

import functools
import importlib.util
import os
import secrets
import shutil
import site
import struct
import sys
from pathlib import Path

COURSE = "/course"  # where initnotes and the worker's own files are in the sandbox


class NoSandbox(RuntimeError):  # noqa: N818
    """No sandbox can be had, or it does not hold; says why and what to install."""


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


def initnotes_folder() -> Path | None:
    """Return where the book's package is."""
    found = importlib.util.find_spec("initnotes")
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0]) if places else None


@functools.cache
def visible() -> tuple[Path, ...]:
    """Return the folders of this machine that a submission can read, but for what is `hidden`."""
    wanted = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix), Path(sys.base_exec_prefix)]
    if site.ENABLE_USER_SITE:
        wanted.append(Path(site.getusersitepackages()))
    return tuple(dict.fromkeys(path.resolve() for path in wanted if os.path.isdir(path)))


def exposed(path: Path) -> Path | None:
    """Return the folder through which a submission could read `path`, if there is one."""
    full = path.resolve()
    return next((folder for folder in visible() if full.is_relative_to(folder)), None)


@functools.cache
def hidden() -> tuple[Path, ...]:
    """Return the folders that are empty inside, although they lie in folders that a submission can read.

    Those are the copies of this project's packages: installed ones, and whole source trees, which hold solutions too.
    """
    installed = ("lib*/python3*", "local/lib/python3*", "lib/python3")
    found = [folder for prefix in visible() for pattern in installed for folder in prefix.glob(pattern)]
    found += [Path(site.getusersitepackages()).parent] if site.ENABLE_USER_SITE else []
    names = [f"{kind}/{name}" for kind in ("site-packages", "dist-packages") for name in ("initnotes", "initgrade")]
    copies = [copy for folder in found for name in names if (copy := folder / name).is_dir()]
    for package in filter(None, (initnotes_folder(), Path(__file__).parent)):
        copies.append(package.parent if (package.parent / "coursework").is_dir() else package)
    real = sorted({copy.resolve() for copy in copies})
    return tuple(copy for copy in real if any(copy.is_relative_to(folder) for folder in visible()))


def search_path() -> list[str]:
    """Return what Python adds to its path inside; the first comes before all others."""
    return [COURSE, *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]


def environment() -> dict[str, str]:
    """Return all environment variables that a submission sees."""
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
    """Return how the worker is shown. /dev has no zero: it maps memory that nobody counts."""
    here, names = Path(__file__).parent, ("__init__.py", "cells.py", "values.py", "worker.py")
    mounts = [("--ro-bind", str(here / name), f"{COURSE}/initgrade/{name}") for name in names]
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
    return (*arguments, *_masks(), "--proc", "/proc")


def _masks() -> list[str]:
    """Return the arguments that empty what is hidden, and show again what Python needs of it, outer folders first."""
    arguments: list[str] = []
    for folder in sorted({*hidden(), *visible()}):
        above = [other for other in hidden() if folder.is_relative_to(other) and folder != other]
        if folder in hidden():
            arguments += ["--tmpfs", str(folder)]
        elif above:
            inner = [parent for parent in reversed(folder.parents) if parent.is_relative_to(above[-1])]
            arguments += [part for parent in inner for part in ("--perms", "0755", "--dir", str(parent))]
            arguments += ["--ro-bind", str(folder), str(folder)]
    return arguments + [part for folder in hidden() for part in ("--remount-ro", str(folder))]


def command(files: int, filter_fd: int, info_fd: int, notes: Path | None = None) -> list[str]:
    """Return the start of the command line that runs a program in the sandbox.

    Its ``/tmp`` holds `files` bytes. On `info_fd` bubblewrap says which process is the sandbox's first, with which all
    others end. `notes` is the folder that stands for initnotes; without one there is none.
    """
    namespaces = ["--unshare-all"]
    if os.geteuid() == 0:  # a real, unprivileged user: limits on processes do not hold for root
        namespaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        namespaces += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    settings = [part for name, value in environment().items() for part in ("--setenv", name, value)]
    # /tmp comes first: Python itself may lie below it.
    roots = ["--tmpfs", "/", "--perms", "1777", "--size", str(files), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    bwrap = shutil.which("bwrap") or "bwrap"
    guards = ["--die-with-parent", "--new-session", "--seccomp", str(filter_fd), "--info-fd", str(info_fd)]
    guards += ["--hostname", "sandbox", "--clearenv"]
    shown = ["--ro-bind", str(notes), f"{COURSE}/initnotes"] if notes else []
    return [bwrap, *namespaces, *guards, *settings, *roots, *_layout(), *shown, "--remount-ro", "/"]


def own_uid(locked: bool = True) -> int:
    """Return a user that no other submission has; 0 means to stay who one is.

    It is another one each time: processes of an earlier submission that are still ending count against nobody else.
    """
    if os.geteuid() != 0 or not (locked or readable_by_others()):
        return 0
    mapped = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
    first, span = (1 << 30, 1 << 22) if mapped > 1 << 31 else (20_000, 40_000)
    return first + secrets.randbelow(span)


@functools.cache
def readable_by_others() -> bool:
    """Return whether another user can run this Python and its packages; the sandbox shows them, a container may not."""
    files = [Path(sys.executable), Path(os.__file__), Path(__file__)]
    files += [Path(spec.origin) for name in ("numpy",) if (spec := importlib.util.find_spec(name)) and spec.origin]
    ways = {way for path in files for real in (path, path.resolve()) for way in (real, *real.parents)}
    return all(way.stat().st_mode & (0o001 if way.is_dir() else 0o004) for way in ways)
