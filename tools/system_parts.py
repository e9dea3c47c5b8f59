"""System parts that tests need and pip cannot bring: a browser and a sandbox.

``python -m tools.system_parts install`` installs what is missing where it may: apt-get, as root or with passwordless
sudo. ``python -m tools.system_parts missing`` lists what was not run for want of a part and how to install it; under
CI=true a list that is not empty is a failure. Both look at all parts, or at those named behind the verb. Tests ask here
as well (tests/conftest.py).
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .notebooks import ROOT

RECORD = ROOT / "_build" / "not_run.txt"
_SHELL = "chromium-headless-shell"  # no window around a page: a new page costs a sixth of the time
_BROWSERS = (_SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_APT_SECONDS = 900
_START_SECONDS = 60
_START = """
import json, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    options = json.loads(sys.argv[1]) or {"executable_path": playwright.chromium.executable_path}
    browser = playwright.chromium.launch(**options, args=["--no-sandbox"])
    browser.new_page().goto("data:text/html,started")
    print(json.dumps(options))
    browser.close()
"""  # in a process of its own: Playwright cannot be started twice in one


@dataclass(frozen=True)
class Part:
    """A part of the system: what it is for, how to find out why it cannot be used, and how to get it.

    The first of its Debian `packages` that can be had is enough.
    """

    name: str
    purpose: str
    packages: tuple[str, ...]
    lacks: Callable[[], str]
    advice: str


def starts(options: dict[str, str]) -> dict[str, str] | None:
    """Start the browser that Playwright's launch `options` name and open a page; return them, or None if it fails.

    Without options it is the browser that Playwright downloaded.
    """
    command = [sys.executable, "-c", _START, json.dumps(options)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_START_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout) if done.returncode == 0 else None


@functools.cache
def browser() -> dict[str, str] | None:
    """Return the launch options of the first Chromium or Chrome that really starts: the system's, or Playwright's."""
    tries = [{"executable_path": path} for path in filter(None, map(shutil.which, _BROWSERS))]
    if sys.platform in ("darwin", "win32"):
        tries.append({"channel": "chrome"})  # it is installed outside of PATH there
    return next(filter(None, map(starts, [*tries, {}])), None)


def _browser_lacks() -> str:
    return "" if browser() else "no Chromium or Chrome was found that starts"


def _sandbox_lacks() -> str:
    if not shutil.which("bwrap"):
        return "bwrap was not found"
    probe = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"]
    done = subprocess.run(probe, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"bwrap is there but does not start: {done.stderr.strip()}"


PARTS = {
    "browser": Part(
        "browser",
        "looking at the built pages",
        (_SHELL, "chromium"),
        _browser_lacks,
        "Debian: apt-get install chromium. Elsewhere: install Chrome, or run .venv/bin/playwright install chromium",
    ),
    "sandbox": Part(
        "sandbox",
        "running code that is not ours",
        ("bubblewrap",),
        _sandbox_lacks,
        "Linux only. Debian: apt-get install bubblewrap. If it does not start, user namespaces are switched off",
    ),
}


def administrator() -> list[str] | None:
    """Return what to put before apt-get: nothing as root, sudo where it asks for no password; None if neither."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    may = shutil.which("sudo") and subprocess.run([*sudo, "true"], capture_output=True).returncode == 0
    return sudo if may else None


def _apt(prefix: list[str], *arguments: str) -> bool:
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_APT_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"apt-get {arguments[0]} took more than {_APT_SECONDS} s")
        return False
    if done.returncode:
        print(f"apt-get {' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")
    return done.returncode == 0


def install(names: Sequence[str] = ()) -> int:
    """Install what is missing of the parts, or of those named. Never fails: ``missing`` reports at the end."""
    wanted = [part for name, part in PARTS.items() if name in (names or PARTS) and part.lacks()]
    if not wanted:
        return 0
    prefix = administrator()
    if prefix is None:
        print("System parts are missing and cannot be installed from here (no apt-get, or neither root nor sudo).")
        return 0
    print(f"Installing system parts: {', '.join(part.packages[0] for part in wanted)}", flush=True)
    _apt(prefix, "update")
    for part in wanted:
        any(_apt(prefix, "install", "-y", "--no-install-recommends", package) for package in part.packages)
    return 0


def record(part: str, test: str) -> None:
    """Note that `test` was not run for want of `part`."""
    RECORD.parent.mkdir(exist_ok=True)
    with RECORD.open("a", encoding="utf-8") as file:
        file.write(f"{part}\t{test}\n")


def recorded() -> list[str]:
    """Return the lines that `record` wrote."""
    return RECORD.read_text(encoding="utf-8").splitlines() if RECORD.is_file() else []


def report(lacking: dict[str, str], not_run: list[tuple[str, str]]) -> str:
    """Return the list of what was not run and how to install it; empty when nothing is missing."""
    lines: list[str] = []
    for name in [name for name in PARTS if name in lacking or any(part == name for part, _ in not_run)]:
        part = PARTS[name]
        lines.append(f"Not run for want of a {name} ({part.purpose}): {lacking.get(name, 'missing in this run')}.")
        lines += [f"    {test}" for other, test in not_run if other == name]
        lines.append(f"    To install it: {part.advice}.")
    return "\n".join(lines)


def missing(names: Sequence[str] = ()) -> int:
    """Print what was not run, and what is missing of the parts, or of those named. Under CI=true each is a failure."""
    lacking = {name: why for name, part in PARTS.items() if name in (names or PARTS) and (why := part.lacks())}
    text = report(lacking, [(part, test) for part, test in (line.split("\t", 1) for line in recorded())])
    print(text or "No test was left out for want of a system part.")
    return 1 if text and under_ci() else 0


def under_ci() -> bool:
    """Return whether this is a run in which nothing may be left out."""
    return os.environ.get("CI", "").lower() in ("true", "1")


if __name__ == "__main__":
    verbs = {"install": install, "missing": missing}
    if len(sys.argv) < 2 or sys.argv[1] not in verbs or not set(sys.argv[2:]) <= set(PARTS):
        sys.exit(f"usage: python -m tools.system_parts {'|'.join(verbs)} [{'|'.join(PARTS)}]...")
    sys.exit(verbs[sys.argv[1]](sys.argv[2:]))
