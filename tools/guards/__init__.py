"""Guards: what every notebook and the tree must be. Each is a function that returns a list of faults, empty when clean.

A room for each thing that is guarded. Tests run each guard on the book, and on a planted fault that it must catch
(tests/test_guards.py).
"""

from collections.abc import Callable

from nbformat import NotebookNode

from .cells import (
    CELL_LINES,
    VISIBLE_LINES,
    VISIBLE_MEDIAN,
    alt_text,
    cell_ids,
    cell_length,
    errors,
    execution_order,
    folding,
    silenced,
    stderr,
    uncompared,
    visible_code,
)
from .claims import claim_numbers, claims_listed, false_failures, told_verdicts
from .lines import (
    HOUR,
    MAIN_CELLS,
    MAIN_WORDS,
    exercise_names,
    first_exercises,
    length,
    main_line,
    main_line_words,
    visible_cells,
)
from .machine import machine_paths, tracked
from .outputs import CLAIM, active_html, machine_traces, mime_types, not_numbers, output_size
from .seeds import seeds
from .tree import cover, landing_figure, links, notebooks, pins, stored_form, table_of_contents

NOTEBOOK_GUARDS: tuple[Callable[[NotebookNode], list[str]], ...] = (
    execution_order,
    stderr,
    errors,
    uncompared,
    silenced,
    cell_length,
    folding,
    visible_code,
    alt_text,
    mime_types,
    active_html,
    output_size,
    machine_traces,
    not_numbers,
    seeds,
    cell_ids,
)

__all__ = [
    "CELL_LINES",
    "CLAIM",
    "HOUR",
    "MAIN_CELLS",
    "MAIN_WORDS",
    "NOTEBOOK_GUARDS",
    "VISIBLE_LINES",
    "VISIBLE_MEDIAN",
    "active_html",
    "alt_text",
    "cell_ids",
    "cell_length",
    "claim_numbers",
    "claims_listed",
    "cover",
    "errors",
    "execution_order",
    "exercise_names",
    "false_failures",
    "first_exercises",
    "folding",
    "landing_figure",
    "length",
    "links",
    "machine_paths",
    "machine_traces",
    "main_line",
    "main_line_words",
    "mime_types",
    "not_numbers",
    "notebooks",
    "output_size",
    "pins",
    "seeds",
    "silenced",
    "stderr",
    "stored_form",
    "table_of_contents",
    "told_verdicts",
    "tracked",
    "uncompared",
    "visible_cells",
    "visible_code",
]
