"""What hosted notebooks need: buttons that lead there, and a first cell that installs the package where it is missing.

Both follow from ``repository`` in ``_config.yml``. While it names no address there are no buttons and no such cell.
"""

import re
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from .files import ROOT
from .notebooks import code_cells

TAG = "install"
# What a chapter may need beside the package's own requirements: the extra that brings it, its modules, and its uses.
EXTRAS = {
    "book": (("matplotlib", "sklearn"), re.compile("")),  # each chapter draws
    "frameworks": (
        ("jax", "keras", "flax"),
        re.compile(r"\bframeworks\.|^\s*(?:import|from) (?:jax|keras|flax)\b", re.MULTILINE),
    ),
    "widget": (
        ("anywidget",),
        re.compile(r"\bini\.(?:lab|race|slider)\b|^\s*(?:import|from) anywidget\b", re.MULTILINE),
    ),
}
_CELL = """\
# A hosted notebook has no initnotes yet. Where all is there, this does nothing.
from importlib.util import find_spec

if not all(map(find_spec, {modules})):
    %pip install --quiet "initnotes{extras} @ git+{url}@{branch}\""""


def configuration(root: Path = ROOT) -> dict[str, Any]:
    """Return what ``_config.yml`` says."""
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


def extras(notebook: NotebookNode) -> list[str]:
    """Return the extras of the package that bring what the code of a notebook uses.

    Examples
    --------
    >>> cells = [nbformat.v4.new_code_cell("import keras"), nbformat.v4.new_code_cell("ini.lab()")]
    >>> extras(nbformat.v4.new_notebook(cells=cells)), extras(nbformat.v4.new_notebook(cells=cells[1:]))
    (['book', 'frameworks', 'widget'], ['book', 'widget'])
    """
    code = "\n".join(cell.source for cell in code_cells(notebook))
    return [extra for extra, (_, uses) in EXTRAS.items() if uses.search(code)]


def install_cell(config: dict[str, Any], needed: list[str]) -> str:
    """Return the text of the cell that installs the package with the extras `needed`, empty without a public address.

    Examples
    --------
    >>> install_cell({"repository": {"url": "", "branch": "main"}}, [])
    ''
    >>> print(install_cell({"repository": {"url": "https://example.org/a/b", "branch": "main"}}, ["widget"]))
    # A hosted notebook has no initnotes yet. Where all is there, this does nothing.
    from importlib.util import find_spec
    <BLANKLINE>
    if not all(map(find_spec, ("initnotes", "anywidget"))):
        %pip install --quiet "initnotes[widget] @ git+https://example.org/a/b@main"
    """
    repository = config["repository"]
    url = repository["url"].rstrip("/")
    modules = ["initnotes", *(module for extra in needed for module in EXTRAS[extra][0])]
    names = ", ".join(f'"{module}"' for module in modules)
    return (
        _CELL.format(
            modules=f"({names})" if len(modules) > 1 else f"({names},)",
            extras=f"[{','.join(needed)}]" if needed else "",
            url=url,
            branch=repository["branch"],
        )
        if url
        else ""
    )


def prepared(notebook: NotebookNode, config: dict[str, Any]) -> NotebookNode:
    """Insert the cell that installs before the first code cell, or replace or remove it, in place."""
    source = install_cell(config, extras(notebook))
    notebook.cells = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", [])]
    if source:
        first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
        # No page shows the cell; the notebook that a reader downloads or opens has it.
        cell = nbformat.v4.new_code_cell(source, id=TAG, metadata={"tags": [TAG, "remove-cell"]})
        notebook.cells.insert(first, cell)
    return notebook


def unfit(notebook: NotebookNode, config: dict[str, Any]) -> list[str]:
    """Return how the cell that installs is not what the configuration asks for."""
    source, cells = install_cell(config, extras(notebook)), code_cells(notebook)
    tagged = [cell for cell in cells if TAG in cell.metadata.get("tags", [])]
    there = [cell.source for cell in tagged]
    if there == ([source] if source else []) and (not tagged or cells[0] is tagged[0]):
        return []
    return [f"the cell tagged {TAG} does not fit repository in _config.yml: `make run`"]
