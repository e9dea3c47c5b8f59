"""Guards on the cells of a notebook: executed in order, short, folded as tagged, and described where they draw."""

import ast
import io
import re
import statistics
import tokenize
from collections import Counter

from nbformat import NotebookNode as Notebook

from ..notebooks import code_cells, folds, name_of, tags

CELL_LINES = 20
VISIBLE_LINES, VISIBLE_MEDIAN = 8, 5
ALT_CHARACTERS = 40

_EVIDENCE = {"exact", "mean", "median", "proportion", "training"}
_NOT_SHOWN = {"remove-input", "remove-cell"}
_SHORTEN = "fold what only defines, loops or draws (the tag hide-input), or move it to initnotes"


def execution_order(notebook: Notebook) -> list[str]:
    """Every code cell that is not empty was executed, and in order: 1, 2, ..., N."""
    cells = code_cells(notebook)
    return [
        f"{name_of(notebook, cell)}: execution_count is {cell.execution_count}, not {expected}"
        for expected, cell in enumerate(cells, start=1)
        if cell.execution_count != expected
    ]


def stderr(notebook: Notebook) -> list[str]:
    """No cell wrote to stderr."""
    return [
        f"{name_of(notebook, cell)}: wrote to stderr: {output.text.strip()[:80]!r}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]


def errors(notebook: Notebook) -> list[str]:
    """Cells that raised without the tag ``raises-exception``, or the other way round."""
    faults = []
    for cell in code_cells(notebook):
        raised = [output for output in cell.outputs if output.output_type == "error"]
        if raised and "raises-exception" not in tags(cell):
            faults.append(f"{name_of(notebook, cell)}: raised {raised[0].ename} without the tag raises-exception")
        if not raised and "raises-exception" in tags(cell):
            faults.append(f"{name_of(notebook, cell)}: is tagged raises-exception and raised nothing")
    return faults


def uncompared(notebook: Notebook) -> list[str]:
    """No cell asks nbval to look away."""
    marker = re.compile(r"nbval[-_](ignore|skip)|pytest_validate_ignore", re.IGNORECASE)
    return [
        f"{name_of(notebook, cell)}: a marker keeps its output from being compared"
        for cell in code_cells(notebook)
        if marker.search(cell.source) or any(marker.search(tag) for tag in tags(cell))
    ]


def _last_token(source: str) -> str:
    """Return the last token of Python source, comments apart."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.DEDENT, tokenize.ENDMARKER)
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            last = last if token.type in skipped else token.string
    except (tokenize.TokenError, SyntaxError):  # a magic, or a cell that is tagged raises-exception
        return source.rstrip()[-1:]
    return last


def silenced(notebook: Notebook) -> list[str]:
    """No cell ends with a semicolon: nbval does not hide a value for it, so the comparison would fail."""
    return [
        f"{name_of(notebook, cell)}: ends with a semicolon; assign the value to a name instead"
        for cell in code_cells(notebook)
        if _last_token(cell.source) == ";"
    ]


def _lines(cell: Notebook) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def _length(cell: Notebook) -> int:
    """Return the lines that are not blank; a piece of evidence, and a budget, count as one each."""
    try:
        nodes = list(ast.walk(ast.parse(cell.source)))
    except SyntaxError:  # a magic, or a cell that is tagged raises-exception
        return _lines(cell)
    made = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _EVIDENCE]
    made += [
        word.value for node in nodes if isinstance(node, ast.Call) for word in node.keywords if word.arg == "budget"
    ]
    return _lines(cell) - sum((node.end_lineno or node.lineno) - node.lineno for node in made)


def cell_length(notebook: Notebook) -> list[str]:
    """No code cell, folded or not, is longer than 20 lines that are not blank; a piece of evidence counts as one."""
    return [
        f"{name_of(notebook, cell)}: {_length(cell)} lines, more than {CELL_LINES}; move the longer part to initnotes"
        for cell in code_cells(notebook)
        if _length(cell) > CELL_LINES
    ]


def visible_code(notebook: Notebook) -> list[str]:
    """No code that is not folded is over 8 lines, and its median is at most 5."""
    folded = {cell.id for cell, how in zip(notebook.cells, folds(notebook), strict=True) if "source_hidden" in how}
    seen = [cell for cell in code_cells(notebook) if cell.id not in folded and not _NOT_SHOWN & set(tags(cell))]
    faults = [
        f"{name_of(notebook, cell)}: {_lines(cell)} visible lines, more than {VISIBLE_LINES}; {_SHORTEN}"
        for cell in seen
        if _lines(cell) > VISIBLE_LINES
    ]
    median = statistics.median(map(_lines, seen)) if seen else 0
    return faults + (
        [f"the median of {len(seen)} visible cells is {median:g} lines, more than {VISIBLE_MEDIAN}; {_SHORTEN}"]
        if median > VISIBLE_MEDIAN
        else []
    )


def folding(notebook: Notebook) -> list[str]:
    """JupyterLab folds what the page folds: the input of a tagged cell, and all of a folded solution."""
    return [
        f"{name_of(notebook, cell)}: JupyterLab folds {sorted(cell.metadata.get('jupyter', {}))}, but tags and place "
        f"ask for {sorted(how)}; write tags only, `make run` does the rest"
        for cell, how in zip(notebook.cells, folds(notebook), strict=True)
        if cell.metadata.get("jupyter", {}) != how
    ]


def alt_text(notebook: Notebook) -> list[str]:
    """Every cell that makes a picture makes one, and describes it in ``mystnb: {image: {alt: ...}}``."""
    faults = []
    for cell in code_cells(notebook):
        pictures = [mime for output in cell.outputs for mime in output.get("data", {}) if mime.startswith("image/")]
        if not pictures:
            continue
        alt = str(cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")).strip()
        if len(pictures) > 1:
            faults.append(f"{name_of(notebook, cell)}: {len(pictures)} pictures share one alt text")
        if len(alt) < ALT_CHARACTERS or re.fullmatch(r"\S+\.(png|svg|jpe?g|gif|webp)", alt):
            faults.append(f"{name_of(notebook, cell)}: alt text must say the finding and its numbers, got {alt!r}")
    return faults


def cell_ids(notebook: Notebook) -> list[str]:
    """No two cells have the same id."""
    return [
        f"{count} cells have the id {id_!r}"
        for id_, count in Counter(c.id for c in notebook.cells).items()
        if count > 1
    ]
