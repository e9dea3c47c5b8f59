"""Buttons to hosted notebooks and the cell that installs there: none without an address, the right ones with one."""

from pathlib import Path

import pytest
from nbformat import v4

from tools import guards, launch, notebooks

BOOK = guards.notebooks()
PUBLIC = {"repository": {"url": "https://github.com/example/course/", "branch": "main"}}
PRIVATE = {"repository": {"url": "", "branch": "main"}}


def small() -> v4.nbbase.NotebookNode:
    return v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), v4.new_code_cell("x = 1"), v4.new_code_cell("x")])


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_chapter_installs_what_the_configuration_says(path: Path) -> None:
    assert launch.unfit(notebooks.load(path), launch.configuration()) == []


def test_cell_comes_changes_and_goes() -> None:
    notebook = launch.prepared(small(), PUBLIC)
    assert [cell.source for cell in notebook.cells][2:] == ["x = 1", "x"]
    assert notebook.cells[1].source.endswith(
        '%pip install --quiet "initnotes[book] @ git+https://github.com/example/course@main"'
    )
    assert launch.unfit(notebook, PUBLIC) == []
    moved = {"repository": {**PUBLIC["repository"], "branch": "next"}}
    assert launch.unfit(notebook, moved) != []
    assert launch.unfit(launch.prepared(notebook, moved), moved) == []
    assert [cell.source for cell in launch.prepared(notebook, PRIVATE).cells] == ["# Title", "x = 1", "x"]


def test_planted_cells_are_caught() -> None:
    assert launch.unfit(small(), PUBLIC) != []
    notebook = launch.prepared(small(), PUBLIC)
    assert launch.unfit(notebook, PRIVATE) != []
    notebook.cells.append(notebook.cells.pop(1))
    assert launch.unfit(notebook, PUBLIC) != []


def test_cell_installs_nothing_where_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    source = launch.install_cell(PUBLIC, []).replace("%pip", "ran.append(0) #")
    exec(source, {"ran": ran})
    assert ran == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(source, {"ran": ran})
    assert ran == [0]
