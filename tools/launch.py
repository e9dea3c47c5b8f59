"""What hosted notebooks need: buttons that lead there, and a first cell that installs the package where it is missing.

Both follow from ``repository`` in ``_config.yml``. While it names no address there are no buttons and no such cell.
"""

from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from .files import ROOT
from .notebooks import code_cells

TAG = "install"
_CELL = """\
# A hosted notebook has no initnotes yet. Where the package is there, this does nothing.
from importlib.util import find_spec

if find_spec("initnotes") is None:
    %pip install --quiet git+{url}@{branch}"""


def configuration(root: Path = ROOT) -> dict[str, Any]:
    """Return what ``_config.yml`` says."""
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


def install_cell(config: dict[str, Any]) -> str:
    """Return the text of the cell that installs the package, empty without a public address.

    Examples
    --------
    >>> install_cell({"repository": {"url": "", "branch": "main"}})
    ''
    >>> install_cell({"repository": {"url": "https://example.org/a/b", "branch": "main"}}).splitlines()[-1]
    '    %pip install --quiet git+https://example.org/a/b@main'
    """
    repository = config["repository"]
    url = repository["url"].rstrip("/")
    return _CELL.format(url=url, branch=repository["branch"]) if url else ""


def prepared(notebook: NotebookNode, config: dict[str, Any]) -> NotebookNode:
    """Insert the cell that installs before the first code cell, or replace or remove it, in place."""
    source = install_cell(config)
    notebook.cells = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", [])]
    if source:
        first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
        # No page shows the cell; the notebook that a reader downloads or opens has it.
        cell = nbformat.v4.new_code_cell(source, id=TAG, metadata={"tags": [TAG, "remove-cell"]})
        notebook.cells.insert(first, cell)
    return notebook


def unfit(notebook: NotebookNode, config: dict[str, Any]) -> list[str]:
    """Return how the cell that installs is not what the configuration asks for."""
    source, cells = install_cell(config), code_cells(notebook)
    tagged = [cell for cell in cells if TAG in cell.metadata.get("tags", [])]
    there = [cell.source for cell in tagged]
    if there == ([source] if source else []) and (not tagged or cells[0] is tagged[0]):
        return []
    return [f"the cell tagged {TAG} does not fit repository in _config.yml: `make run`"]
