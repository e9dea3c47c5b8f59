"""Marking 200 correct submissions, and one against ``nbgrader autograde``. Exits with 1 if an aim is missed.

``python -m benchmarks.marking 20`` marks 20 of each kind and scales the aims. The notebook that nbgrader runs has the
same functions, and a check after each that asserts what the judge looks at.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

from initgrade import marking, sandbox

JOBS, COUNT, FEWER = 2, 200, 3  # submissions that nbgrader marks
KEY = b"benchmark"
SIZES = ((64, 500), (32, 400), (16, 300), (8, 200), (100, 100), (3, 4))
AIMS = {"numpy": 60.0, "torch": 300.0}  # seconds for COUNT
# Nine tenths of one()'s time is Python and NumPy starting in the sandbox; nbgrader's kernel starts them too.
FASTER = 5.0
IMPORTS = {
    "numpy": "import initnotes as ini\nimport numpy as np",
    "torch": "import initnotes as ini\nimport matplotlib.pyplot as plt\nimport numpy as np\nimport torch",
}
FUNCTION = {
    "numpy": "def he_{k}(rows, columns, rng):\n    return rng.normal(0.0, np.sqrt(2 / columns), size=(rows, columns))",
    "torch": "def he_{k}(rows, columns, rng):\n    layer = torch.nn.Linear(columns, rows).double()\n"
    "    drawn = rng.normal(0.0, np.sqrt(2 / columns), size=(rows, columns))\n"
    "    layer.weight.data.copy_(torch.from_numpy(drawn))\n    return layer.weight",
}
CHECK = """w = he_{k}({rows}, {columns}, np.random.default_rng(1))
assert tuple(w.shape) == ({rows}, {columns})
assert abs(float((w**2).mean()) * {columns} / 2 - 1) < 0.9"""
CHECKS = '''"""The judge of the benchmark: the sum of squares, against its exact distribution."""

import numpy as np
from scipy import stats

from initgrade.assignment import Assignment, Request, Verdict


def judge(value, arguments, variant):
    shape = arguments["rows"], arguments["columns"]
    if not isinstance(value, np.ndarray) or value.shape != shape:
        return Verdict(0.0, "the shape is wrong")
    p = 2 * min(stats.chi2(value.size).cdf(x := (value**2).sum() * shape[1] / 2), stats.chi2(value.size).sf(x))
    return Verdict(float(p > 1e-6), "the variance is judged", p)


def arguments(rows, columns):
    return lambda variant, rng: {{"rows": rows, "columns": columns, "seed": int(rng.integers(1 << 62))}}


REQUESTS = tuple(
    Request(f"check_{{k}}", f"he_{{k}}", 1.0, judge, arguments(*sizes)) for k, sizes in enumerate({sizes})
)
ASSIGNMENT = Assignment("{name}", "benchmark", REQUESTS, lambda rng: {{}}, {needs})
'''


def _cell(source: str, grade_id: str, points: int = 0) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(source)
    about = {"grade_id": grade_id, "schema_version": 3, "task": False, "grade": points > 0}
    cell.metadata["nbgrader"] = about | {"solution": points == 0, "locked": points > 0}
    if points:
        cell.metadata["nbgrader"]["points"] = points
    return cell


def notebook(kind: str) -> nbformat.NotebookNode:
    """Return a correct submission: six functions, and a check after each."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(IMPORTS[kind])])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for k, (rows, columns) in enumerate(SIZES):
        made.cells.append(_cell(FUNCTION[kind].format(k=k), f"he_{k}"))
        made.cells.append(_cell(CHECK.format(k=k, rows=rows, columns=columns), f"check_{k}", 1))
    return made


def checks(folder: Path, kind: str) -> Path:
    """Write the file of checks."""
    path = folder / f"{kind}.py"
    needs = ("numpy", "initnotes", "torch") if kind == "torch" else ("numpy", "initnotes")
    path.write_text(CHECKS.format(sizes=SIZES, name=kind, needs=needs), encoding="utf-8")
    return path


def hand_in(folder: Path, kind: str, count: int) -> None:
    """Write `count` copies of the notebook in nbgrader's layout."""
    for number in range(count):
        place = folder / f"student-{number:03d}" / kind
        place.mkdir(parents=True)
        nbformat.write(notebook(kind), place / f"{kind}.ipynb")


def marked(folder: Path, kind: str, count: int) -> float:
    """Return the seconds that marking `count` submissions takes; all must get full marks."""
    hand_in(folder / kind, kind, count)
    begun = time.perf_counter()
    results = marking.run(folder / kind, checks(folder, kind), folder / "results", key=KEY, jobs=JOBS)
    seconds = time.perf_counter() - begun
    lost = [result for result in results if result["score"] != len(SIZES)]
    if lost or len(results) != count:
        raise RuntimeError(f"{len(lost)} of {len(results)} correct submissions lost marks: {lost[0] if lost else ''}")
    return seconds


def autograded(folder: Path, kind: str, count: int) -> float:
    """Return the seconds of ``nbgrader autograde`` for each of `count` submissions of the same notebook."""
    source = folder / "source" / kind
    source.mkdir(parents=True)
    nbformat.write(notebook(kind), source / f"{kind}.ipynb")
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # it calls alembic
    command = [sys.executable, "-m", "nbgrader"]
    options: dict[str, Any] = {"cwd": folder, "env": environment, "check": True, "capture_output": True}
    subprocess.run([*command, "generate_assignment", kind], **options)
    hand_in(folder / "submitted", kind, count)
    begun = time.perf_counter()
    subprocess.run([*command, "autograde", kind], **options)
    return (time.perf_counter() - begun) / count


def compare(kind: str, rounds: int = 3) -> float:
    """Return how many times longer nbgrader takes for a submission: one process against one, in turns."""
    theirs, ours = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            theirs.append(autograded(folder, kind, FEWER))
            submission = folder / "submitted" / "student-000" / kind / f"{kind}.ipynb"
            begun = time.perf_counter()
            for _ in range(FEWER):
                marking.one(submission, checks(folder, kind), student="student-000", key=KEY)
            ours.append((time.perf_counter() - begun) / FEWER)
    print(f"  {kind}: nbgrader autograde {statistics.median(theirs):.2f} s, one() {statistics.median(ours):.2f} s")
    return statistics.median(theirs) / statistics.median(ours)


def main(count: int) -> int:
    """Print times and ratios; return 1 if an aim is missed."""
    if why := sandbox.available():
        print(why)
        return 1
    missed = 0
    for kind, aim in AIMS.items():
        with tempfile.TemporaryDirectory() as name:
            seconds = marked(Path(name), kind, count)
        late = seconds > aim * count / COUNT
        print(f"{count} submissions, {kind}, {JOBS} at a time: {seconds:.1f} s (aim {aim * count / COUNT:g})", end="")
        print("  MISSED" if late else "")
        ratio = compare(kind)
        needed = FASTER if kind == "numpy" else 1.0  # importing torch takes both the same time
        print(f"  {kind}: {ratio:.1f} times faster (aim {needed:g}){'' if ratio >= needed else '  MISSED'}")
        missed |= late or ratio < needed
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT))
