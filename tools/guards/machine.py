"""The guard on files: none names a folder of one machine or the host of a package registry."""

import fnmatch
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ..files import ROOT

# Joined from parts, so that this file does not hold what it looks for.
_FOLDERS = "|".join(("ro" + "ot", "ho" + "me", "wo" + "rk", "tm" + "p", "Us" + "ers"))
_HOSTS = ("py" + "pi.org", "python" + "hosted.org", "download." + "pytorch.org", "npm" + "js.org", "ana" + "conda.org")
_HOST = "|".join(map(re.escape, _HOSTS))
_OURS_ALONE = re.compile(rf"(?<![\w.)}}/*-])/({_FOLDERS})(?![\w-])|{_HOST}")
_INSIDE_A_SANDBOX = (
    "initgrade/processes.py",
    "initgrade/sandbox.py",
    "initgrade/walls.py",
    "tests/test_sandbox.py",
    "tests/test_adversaries.py",
)


_BINDER = ("binder/requirements.txt", "--extra-index-url https://download." + "pytorch.org/whl/cpu")


def tracked(root: Path = ROOT) -> list[Path]:
    """Return the files that git tracks or would track; without git, all but those that .gitignore names."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):  # no git, or a downloaded archive
        names = _walked(root)
    return [root / name for name in sorted(set(names)) if name and (root / name).is_file()]


def _walked(root: Path) -> list[str]:
    """Return the names of all files under `root` but for what the plain lines of .gitignore name."""
    file = root / ".gitignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    patterns = [".git", *(line.strip().rstrip("/") for line in lines if line.strip())]

    def kept(folder: str, name: str) -> bool:
        inside = Path(folder, name).relative_to(root).as_posix()
        return not any(fnmatch.fnmatch(path, pattern) for path in (name, inside) for pattern in patterns)

    names: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if kept(folder, name)]
        names += [Path(folder, name).relative_to(root).as_posix() for name in files if kept(folder, name)]
    return names


def machine_paths(files: Iterable[Path], root: Path) -> list[str]:
    """No file names a folder of one machine or the host of a package registry; a sandbox has folders of its own.

    Binder reads where to find a torch for processors in its own list, and nowhere else.
    """
    faults = []
    for path in files:
        sandboxed = path.relative_to(root).as_posix() in _INSIDE_A_SANDBOX
        pattern = re.compile(_HOST) if sandboxed else _OURS_ALONE
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, start=1):
            match = pattern.search(re.sub(r'"image/png": "[^"]*"', "", line))
            if match and (path.relative_to(root).as_posix(), line) != _BINDER:
                faults.append(f"{path.relative_to(root).as_posix()}:{number}: names {match.group()!r}")
    return faults
