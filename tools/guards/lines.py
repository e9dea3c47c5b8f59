"""Guards on how a chapter is read: a main line as long as a student's patience, the rest behind one divider.

What lives here counts words and cells and follows names; what a cell may be is for ``cells``.
"""

import html
import importlib
import re
from collections.abc import Iterator

from nbformat import NotebookNode as Notebook

from ..notebooks import folds, tags
from .outputs import CLAIM

DIVIDER = "Going further"
HOUR = "essentials"
MAIN_WORDS, MAIN_CELLS, HOUR_WORDS = 2200, 12, 3500

_HEADING = re.compile(rf"^##\s+{DIVIDER}\s*$", re.MULTILINE)
_NOT_SEEN = {"remove-input", "remove-cell"}
_FENCED = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<kind>[\w-]+)\}(?P<rest>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL
)
_SOLUTION = re.compile(r"^`{3}\{solution-start\}.*?^`{3}\{solution-end\}\n`{3}", re.MULTILINE | re.DOTALL)
_EXERCISE = re.compile(
    r"^`{3}\{exercise-start\}(?P<title>[^\n]*)\n.*?^`{3}\n(?P<text>.*?)^`{3}\{exercise-end\}", re.MULTILINE | re.DOTALL
)
_EQUATION = re.compile(r"^\$\$\s*\(([\w-]+)\)", re.MULTILINE)
_DROPPED = (  # what is no word that one reads
    re.compile(r"\$\$.*?\$\$(?:\s*\([\w-]+\))?", re.DOTALL),
    re.compile(r"(?<!\\)\$[^$]+\$"),
    re.compile(r"^\([\w-]+\)=\s*$", re.MULTILINE),  # a target
    re.compile(r"^(?:`{3,}|:{3,}).*$", re.MULTILINE),  # the fence of a directive
    re.compile(r"^:[\w-]+:.*$", re.MULTILINE),  # its options
    re.compile(r"\{[\w:]+\}"),  # a role's name
    re.compile(r"(?<=\])\([^)]*\)"),  # where a link leads
    re.compile(r"(?<=\w)\s*<[^>]*>(?=`)"),  # where a role leads
    re.compile(r"<[^>]+>"),
)


def main_line(notebook: Notebook) -> list[Notebook]:
    """Return the cells before the divider; all of a notebook that has none."""
    for at, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and _HEADING.search(cell.source):
            return list(notebook.cells[:at])
    return list(notebook.cells)


def _text(cells: list[Notebook]) -> str:
    shown = (cell for cell in cells if cell.cell_type == "markdown" and not _NOT_SEEN & set(tags(cell)))
    return "\n\n".join(cell.source for cell in shown)


def _unfolded(text: str) -> str:
    """Return Markdown without what the page folds: solutions, drop-downs and answers."""
    text = _SOLUTION.sub("", text)
    return _FENCED.sub(
        lambda box: "" if box["kind"] == "dropdown" or "dropdown" in box["rest"].split("\n\n")[0] else box[0], text
    )


def words(text: str) -> int:
    """Return how many words of Markdown one reads: no formulas, no directives, nothing that is folded."""
    text = _unfolded(text)
    for pattern in _DROPPED:
        text = pattern.sub(" ", text)
    return sum(any(map(str.isalnum, word)) for word in text.split())


def _box_words(cell: Notebook) -> int:
    """Return the words of a claim's box that are not folded."""
    shown = 0
    for output in cell.get("outputs", []):
        markup = output.get("data", {}).get("text/html", "") if CLAIM in output.get("data", {}) else ""
        visible = re.sub(r"<details.*?</details>", " ", markup, flags=re.DOTALL)
        shown += len(html.unescape(re.sub(r"<[^>]+>", " ", visible)).split())
    return shown


def _output_words(cell: Notebook) -> int:
    return sum(len(output.text.split()) for output in cell.get("outputs", []) if output.get("name") == "stdout")


def main_line_words(notebook: Notebook) -> int:
    """Return how many words a first reading has: those of the text, and of the claims' boxes without their evidence."""
    cells = main_line(notebook)
    return words(_text(cells)) + sum(_box_words(cell) for cell in cells if cell.cell_type == "code")


def visible_cells(notebook: Notebook) -> list[Notebook]:
    """Return the code cells of the main line whose code one sees."""
    hidden = {cell.id for cell, how in zip(notebook.cells, folds(notebook), strict=True) if "source_hidden" in how}
    return [
        cell
        for cell in main_line(notebook)
        if cell.cell_type == "code"
        and cell.source.strip()
        and cell.id not in hidden
        and not _NOT_SEEN & set(tags(cell))
    ]


def length(notebook: Notebook, name: str) -> list[str]:
    """One divider, with at most 2,200 words and 12 visible cells before it; in the hour at most 3,500 words in all."""
    if name == HOUR:
        count = (
            main_line_words(notebook)
            + sum(map(_output_words, notebook.cells))
            + sum(map(_code_words, visible_cells(notebook)))
        )
        return (
            [f"the hour has {count} words with all that it shows, more than {HOUR_WORDS}"] if count > HOUR_WORDS else []
        )
    dividers = len(_HEADING.findall(_text(list(notebook.cells))))
    faults = [] if dividers == 1 else [f"{dividers} headings '## {DIVIDER}', not one"]
    count, seen = main_line_words(notebook), len(visible_cells(notebook))
    if count > MAIN_WORDS:
        faults.append(f"the main line has {count} words, more than {MAIN_WORDS}; move some behind the divider")
    if seen > MAIN_CELLS:
        faults.append(f"the main line has {seen} visible code cells, more than {MAIN_CELLS}; fold some (hide-input)")
    return faults


def _code_words(cell: Notebook) -> int:
    return len(re.findall(r"\w+", cell.source))


# ------------------------------------------------------------------------------------------------------------ exercises


def exercises(cells: list[Notebook]) -> Iterator[tuple[str, str]]:
    """Yield title and text of each exercise."""
    for match in _EXERCISE.finditer(_text(cells)):
        yield match["title"].strip(), match["text"]


def first_exercises(notebook: Notebook, name: str) -> list[str]:
    """At least two exercises stand in the main line, and these use no equation from behind the divider."""
    if name == HOUR:
        return []
    cells = main_line(notebook)
    early = list(exercises(cells))
    later = set(_EQUATION.findall(_text(list(notebook.cells)[len(cells) :])))
    faults = [] if len(early) >= 2 else [f"{len(early)} exercises in the main line, not two"]
    return faults + [
        f"exercise {title!r} needs ({label}), which stands behind the divider"
        for title, text in early
        for label in re.findall(r"\{eq\}`([\w-]+)`", text)
        if label in later
    ]


_NAME = re.compile(r"^([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\(.*\))?$", re.DOTALL)
_ROOTS = {"ini": "initnotes", "np": "numpy", "torch": "torch", "nn": "torch.nn"}


def _resolves(path: str) -> bool:
    root, *rest = path.split(".")
    value = importlib.import_module(_ROOTS[root])
    for part in rest:
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


def exercise_names(notebook: Notebook) -> list[str]:
    """Every Python name that an exercise tells one to use exists: in the chapter's code, or in a package."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    known = set(re.findall(r"\w+", code))
    faults = []
    for title, text in exercises(list(notebook.cells)):
        for span in re.findall(r"(?<![`}])`([^`\n]+)`(?!`)", text):
            named = _NAME.match(span)
            if not named:
                continue
            path = named[1]
            there = _resolves(path) if path.split(".")[0] in _ROOTS else set(path.split(".")) <= known
            if not there:
                faults.append(f"exercise {title!r} names {span}, which is not there")
    return faults
