"""The guards on a chapter's two readings find nothing in the book, and each one catches a planted fault."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tools import guards, notebooks
from tools.guards import lines

BOOK = guards.notebooks()
EXERCISE = """```{{exercise-start}} {title}
:label: ex-{title}
```
{text}
```{{exercise-end}}
```
"""


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_chapters_have_two_readings(path: Path) -> None:
    notebook = notebooks.load(path)
    assert guards.length(notebook, path.stem) == []
    assert guards.first_exercises(notebook, path.stem) == []


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_exercises_name_what_is_there(path: Path) -> None:
    assert guards.exercise_names(notebooks.load(path)) == []


def made(*cells: str) -> NotebookNode:
    """Return a notebook of Markdown cells; one that begins with > is code."""
    notebook = nbformat.v4.new_notebook()
    for at, text in enumerate(cells):
        make = nbformat.v4.new_code_cell if text.startswith(">") else nbformat.v4.new_markdown_cell
        notebook.cells.append(make(text.removeprefix(">"), id=f"cell-{at}"))
    return notebook


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("two words", 2),
        ("$x + y$ is a sum", 3),
        ("a\n\n$$\nx = y\n$$ (label)\n\nb", 2),
        ("(target)=\n## A heading", 2),
        ("see {ref}`the text <target>` and [this page](page.md#place)", 6),
        ("{cite:t}`glorot2010`", 1),
        ("```{admonition} Title words\n:class: tip\nshown\n```", 1),
        ("```{admonition} Title\n:class: dropdown tip\nfolded folded\n```\nshown", 1),
        ("```{dropdown} Title\nfolded folded\n```\nshown", 1),
        ("```{solution-start} x\n:class: dropdown\n```\nfolded\n```{solution-end}\n```\nshown", 1),
        ("costs 3 % – and more", 4),
    ],
)
def test_words_are_those_that_one_reads(text: str, count: int) -> None:
    assert lines.words(text) == count


def test_a_long_main_line_is_caught() -> None:
    divider = "## Going further"
    fits = made("word " * guards.MAIN_WORDS, *["> x = 1"] * guards.MAIN_CELLS, divider, "word " * 9000, "> y = 1")
    assert guards.length(fits, "09_new") == []
    assert "2201 words" in guards.length(made("word " * 2201, divider), "09_new")[0]
    assert "13 visible code cells" in guards.length(made(*["> x = 1"] * 13, divider), "09_new")[0]
    folded = made(*["> x = 1"] * 13, divider)
    folded.cells[0].metadata = nbformat.from_dict({"tags": ["hide-input"]})
    assert guards.length(folded, "09_new") == []
    assert "0 headings" in guards.length(made("text"), "09_new")[0]
    assert "2 headings" in guards.length(made(divider, divider), "09_new")[0]


def test_a_box_counts_without_its_evidence() -> None:
    notebook = made("word", "> settle()", "## Going further")
    box = "<section><p>two words</p><details><summary>Evidence</summary>folded folded</details></section>"
    notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", {"text/html": box, guards.CLAIM: {}})]
    assert guards.main_line_words(notebook) == 3


def test_an_hour_that_takes_longer_is_caught() -> None:
    shown = nbformat.v4.new_output("stream", text="printed " * 1500)
    for count, faults in ((1998, 0), (1999, 1)):
        hour = made("word " * count, "> x = 1")
        hour.cells[1].outputs = [shown]
        assert len(guards.length(hour, guards.HOUR)) == faults


def test_exercises_that_come_too_early_are_caught() -> None:
    one, two = (EXERCISE.format(title=title, text="Compute {eq}`here`.") for title in ("one", "two"))
    equation = "$$\nx\n$$ (here)"
    assert guards.first_exercises(made(equation, one + two, "## Going further"), "09_new") == []
    assert "1 exercises" in guards.first_exercises(made(one, "## Going further", two), "09_new")[0]
    faults = guards.first_exercises(made(one, two, "## Going further", equation), "09_new")
    assert faults == [f"exercise {name!r} needs (here), which stands behind the divider" for name in ("one", "two")]


@pytest.mark.parametrize(
    ("span", "there"),
    [
        ("known", True),
        ("known(3)", True),
        ("gone", False),
        ("gone(1, 2)", False),
        ("ini.he_normal", True),
        ("ini.theory.gain('relu')", True),
        ("ini.he_norml", False),
        ("torch.matmul", True),
        ("torch.matmull", False),
        ("[1, 2]", True),
    ],
)
def test_names_that_are_not_there_are_caught(span: str, there: bool) -> None:
    notebook = made("> known = 1", EXERCISE.format(title="one", text=f"Call `{span}`."))
    assert (guards.exercise_names(notebook) == []) is there


def bound(statement: ast.stmt) -> set[str]:
    """Return the names that a top-level statement binds."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def used(tree: ast.AST) -> set[str]:
    """Return the names that a tree reads, but for arguments of its functions."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return read - {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def needed(code: str, notebook: NotebookNode) -> list[ast.stmt]:
    """Return the first statements of a notebook that bind what the code uses, and what these use, in order."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    statements = [statement for source in cells for statement in ast.parse(source).body]
    names, chosen = used(ast.parse(code)) - bound(ast.Module(ast.parse(code).body, [])), set()
    while names:
        name = names.pop()
        found = next((at for at, statement in enumerate(statements) if name in bound(statement)), None)
        if found is not None and found not in chosen:
            chosen.add(found)
            names |= used(statements[found])
    return [statements[at] for at in sorted(chosen)]


def told_to_run() -> list[tuple[str, Path, str]]:
    """Return every block of Python in an exercise: its title, its chapter and the code."""
    return [
        (title, path, code)
        for path in BOOK
        for title, text in lines.exercises(list(notebooks.load(path).cells))
        for code in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize(("path", "code"), [run[1:] for run in told_to_run()], ids=[run[0] for run in told_to_run()])
def test_what_an_exercise_tells_one_to_run_runs(path: Path, code: str) -> None:
    """With two steps of training in place of hundreds."""
    before = ast.Module(needed(code, notebooks.load(path)), [])
    exec(compile(before, path.stem, "exec"), namespace := {})
    exec(re.sub(r"steps=\d+", "steps=2", code), namespace)
