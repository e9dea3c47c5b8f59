"""``python -m tools.guards book/NAME.ipynb``: hold a notebook to every guard, as if no list of exceptions named it."""

import sys
from pathlib import Path

from .. import notebooks
from . import (
    HOUR,
    NOTEBOOK_GUARDS,
    exercise_names,
    first_exercises,
    length,
    main_line_words,
    visible_cells,
)


def main(path: Path) -> int:
    """Print what is wrong, and how long the main line is; return 1 if anything is."""
    notebook = notebooks.load(path)
    name = path.stem if path.stem == HOUR else "strictly"
    faults = [fault for guard in NOTEBOOK_GUARDS for fault in guard(notebook)]
    for named in (length, first_exercises):
        faults += named(notebook, name)
    print("\n".join([*faults, *exercise_names(notebook)]) or "no fault")
    print(f"main line: {main_line_words(notebook)} words, {len(visible_cells(notebook))} visible cells")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
