"""``make test``: run the checks, let no failure hide another, and end with a summary and with what was not run.

The notebooks, then mypy and the planted faults, run beside the others. ``python -m tools.check`` runs all but "site"
and "integration", which `make integration` runs: the tests that build pages, open them in a browser or start other
whole programs (JupyterLab, nbgrader, pip, kernels). ``python -m tools.check pytest mypy`` runs the parts named.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import system_parts
from .notebooks import CELL_TIMEOUT, MINE, ROOT, own_folders

_PYTEST = ("-m", "pytest", "-p", "tools", "-p", "no:logging")  # tools first: then the plugins start faster
_NBVAL = ("--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}", f"--ignore={MINE}")
_CORES = os.cpu_count() or 1
_ALL_CORES = ("-n", str(_CORES), "--dist", "worksteal")
_MORE = ("-n", str(_CORES + 1), "--dist", "worksteal")  # much of it waits for a browser
_A_FILE_A_KERNEL = ("-n", str(max(2, _CORES // 2)), "--dist", "loadscope")
PARTS: dict[str, tuple[str, ...]] = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "mypy": ("-m", "mypy"),
    "site": ("-m", "tools.site"),  # before the tests that look at it side by side
    "pytest": (*_PYTEST, "tests", "initnotes", "--doctest-modules", "-m", "not integration", *_ALL_CORES),
    "integration": (*_PYTEST, "tests", "-m", "integration", *_MORE),
    "mutants": ("-m", "tools.mutants"),
    "nbval": (*_PYTEST, "book", *_NBVAL, *_A_FILE_A_KERNEL),
}
BESIDE = ("nbval", "mypy", "mutants")  # one after the other
APART = ("site", "integration")  # run when they are named
NEEDS = {"pytest": ("sandbox",), "integration": ("browser", "sandbox")}  # parts of the system


@dataclass
class Row:
    """What one part did; `left_out` counts the tests that it did not run for want of a system part."""

    name: str
    code: int
    seconds: float
    left_out: int

    def __str__(self) -> str:
        result = "passed" if self.code == 0 else f"FAILED (exit code {self.code})"
        result += f", {self.left_out} not run" if self.left_out else ""
        return f"{self.name:<14} {result:<34} {self.seconds:6.1f} s"


def run(name: str) -> Row:
    """Run one part."""
    print(f"\n=== {name}", flush=True)
    before, start = len(system_parts.recorded()), time.monotonic()
    code = subprocess.run([sys.executable, *PARTS[name]], cwd=ROOT).returncode
    return Row(name, code, time.monotonic() - start, len(system_parts.recorded()) - before)


def run_beside(name: str) -> tuple[Row, str]:
    """Run one part that prints nothing before it is over; no such part counts what it leaves out."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, *PARTS[name]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return Row(name, done.returncode, time.monotonic() - start, 0), done.stdout


def run_all(names: list[str], rows: list[Row]) -> None:
    """Run the parts in order, and append what each did."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        beside = [pool.submit(run_beside, name) for name in BESIDE if name in names]
        for name in names:
            if name not in BESIDE:
                rows.append(run(name))
        for job in beside:
            row, said = job.result()
            print(f"\n=== {row.name}, beside the others\n{said}", flush=True)
            rows.append(row)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(f"unknown part {unknown[0]!r}. Parts: {', '.join(PARTS)}")
    own_folders()
    system_parts.RECORD.unlink(missing_ok=True)
    wanted = names or [name for name in PARTS if name not in APART]
    rows: list[Row] = []
    try:
        run_all(wanted, rows)
    except KeyboardInterrupt:
        print("\nInterrupted: the summary shows what was finished.")
    print("\n=== summary")
    for row in rows:
        print(row)
    for name in wanted:
        if name not in [row.name for row in rows]:
            print(f"{name:<14} not run")
    needed = [part for name in wanted for part in NEEDS.get(name, ())]
    lacking = system_parts.missing(needed) if needed else 0
    return 1 if lacking or len(rows) < len(wanted) or any(row.code for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
