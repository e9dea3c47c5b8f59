"""``make run``: execute chapters from scratch, normalize them and store them with their outputs.

Two runs give byte-identical files. A chapter with an error, with something on stderr, or with an output that could not
be the same twice, keeps the file it had. The picture of the cell tagged ``cover`` is also written to
``assets/cover.png`` beside the chapter, the landing page's live figure to ``assets/lab-landing.html``, and how long a
chapter took, roughly, to ``times.yml``.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import yaml
from nbformat import NotebookNode
from tqdm import tqdm

from . import elsewhere, guards, launch
from .files import replace_file
from .notebooks import (
    CellError,
    chapters,
    code_cells,
    dump,
    execute,
    images,
    load,
    name_of,
    normalize,
    own_folders,
)

STEP = 5  # seconds
TIMES = "times.yml"  # tools/reading.py reads it
TIMES_HEAD = "# Seconds that `make run` took for each chapter. Pages show them; nothing else depends on them.\n"


def unfit(notebook: NotebookNode) -> list[str]:
    """Return why an executed notebook must not be stored."""
    covers = code_cells(notebook, tag="cover")
    return [
        *guards.machine_traces(notebook),
        *guards.stderr(notebook),
        *(
            f"{name_of(notebook, cell)}: is tagged cover and made {len(images(cell))} pictures, not one"
            for cell in covers
            if len(images(cell)) != 1
        ),
    ]


def keep_time(file: Path, name: str, seconds: float) -> bool:
    """Store how long a chapter runs, in whole steps of 5 s; one that is there stays unless it is off by more than half.

    So two runs leave the same file, whatever else the machine does.
    """
    times = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}
    fresh, stored = STEP * math.ceil(seconds / STEP), times.get(name, 0)
    if abs(fresh - stored) <= stored / 2:
        return False
    return replace_file(file, (TIMES_HEAD + yaml.safe_dump(times | {name: fresh})).encode("utf-8"))


def run(path: Path) -> list[str]:
    """Execute and store one chapter; return what kept it from being stored."""
    notebook = elsewhere.prepared(launch.prepared(load(path), launch.configuration()), path.parent)
    start = time.perf_counter()
    with tqdm(total=len(code_cells(notebook)), desc=path.stem, unit="cell") as progress:
        try:
            fresh = normalize(execute(notebook, path.parent, on_cell=progress.update))
        except CellError as failure:
            return [str(failure), failure.traceback]
    faults = unfit(fresh)
    if faults:
        return ["an output must not be stored:", *faults]
    changed = replace_file(path, dump(fresh).encode("utf-8"))
    for cell in code_cells(fresh, tag="cover"):
        replace_file(path.parent / "assets" / "cover.png", images(cell)[0])
    keep_time(path.with_name(TIMES), path.stem, time.perf_counter() - start)
    print(f"{path.stem}: {'stored' if changed else 'unchanged'}")
    return []


def landing_figure(folder: Path) -> None:
    """Write the live figure of the landing page, for the page to include."""
    from initnotes import widgets

    replace_file(folder / "assets" / "lab-landing.html", (widgets.to_html(**widgets.LANDING) + "\n").encode("utf-8"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run", description="Execute chapters and store them with their outputs.")
    parser.add_argument("chapter", nargs="?", default="", help="one chapter, for example 01_symmetry; default: all")
    own_folders()
    failed, paths = 0, chapters(only=parser.parse_args(arguments).chapter)
    landing_figure(paths[0].parent)
    for path in paths:
        faults = run(path)
        if faults:
            failed += 1
            print(f"\n{path.stem} is left as it was.", *faults, sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nInterrupted: the chapter at hand is left as it was.")
