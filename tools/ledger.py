"""The ledger's page: it holds every claim of the list as the chapters settled it, and is linked with the claims' boxes.

The text links to a box as ``[claim 5](03_small_random.ipynb#claim-5)``.
``faults`` is a guard of the tests and fails the build. ``initnotes.ledger`` makes the table, and a cell tagged
``ledger`` stores it. What filters it is ``book/assets/ledger.mjs``.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.util import logging

from .notebooks import ROOT, code_cells, load

if TYPE_CHECKING:
    from initnotes.book.ledger import Ledger

LABEL = "ledger"  # of the page, and the tag of its cell
PAGES = "[0-9][0-9]_*.ipynb"

_BOX = re.compile(r"<section class='claim claim-[\w-]+'(?= aria-label='Claim (\d+):)")
_NUMBER = re.compile(r"(?<=<span class='claim-number'>)Claim (\d+)(?=</span>)")
_NOTEBOOK = re.compile(r"<a href='(\d\d_\w+)\.ipynb(#claim-\d+)'")


def _stored(cell: NotebookNode) -> list[tuple[str, str]]:
    return [(out.data.get("text/plain", ""), out.data.get("text/html", "")) for out in cell.outputs if "data" in out]


def open_claims(table: "Ledger") -> str:
    """Return what the page of introductions tells of claims that wait for a chapter: a line for each chapter."""
    waiting: dict[str, list[str]] = {}
    for entry in table:
        if entry.waits_for:
            waiting.setdefault(entry.waits_for, []).append(f'"{entry.claim}" ({entry.number})')
    return "\n".join(f"- {chapter.capitalize()}: {'; '.join(told)}." for chapter, told in waiting.items())


def _untold(page: Path, table: "Ledger") -> list[str]:
    told = open_claims(table)
    if not page.is_file() or told in page.read_text(encoding="utf-8"):
        return []
    return [f"book/{page.name} does not list the open claims so:\n{told}"]


def faults(root: Path = ROOT) -> list[str]:
    """Say which claims have no verdict, and when the stored table is not what the chapters' stored outputs say.

    A claim may be open while its chapter is still to come. A book without a list of claims has no fault.
    """
    from initnotes import ledger

    folder = root / "book"
    if not (folder / ledger.LIST).is_file():
        return []
    try:
        fresh = ledger.read(folder)
    except (OSError, ValueError) as error:
        return [str(error)]
    unsettled = "no chapter settles it, and its field opens_with names none to come"
    found = [f"claim {number} of book/{ledger.LIST} has no verdict: {unsettled}" for number in fresh.missing]
    tagged = [path for path in sorted(folder.glob(PAGES)) if f'"{LABEL}"' in path.read_text(encoding="utf-8")]
    cells = {path: cell for path in tagged for cell in code_cells(load(path), LABEL)}
    found += _untold(folder / "introductions.md", fresh)
    if len(cells) != 1:
        return [*found, f"{len(cells)} chapters have a cell tagged {LABEL}, not one"]
    ((path, cell),) = cells.items()
    if _stored(cell) != [(str(fresh), fresh._repr_html_())]:
        found.append(f"the table of {path.name} is not what the chapters say: `make run CHAPTER={path.stem}`")
    return found


def _check(app: Sphinx, *_: Any) -> None:
    for fault in faults(Path(app.srcdir)):
        logging.getLogger(__name__).warning(fault)


def _targets(app: Sphinx, doctree: nodes.document) -> None:
    """Tell MyST the anchors that `linked` will make, so that the text can link to the box of a claim."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for output in doctree.findall(nodes.raw):
        for number in _BOX.findall(output.astext()):
            slugs[f"claim-{number}"] = (0, f"claim-{number}", f"Claim {number}")


def linked(body: str, ledger: str = "") -> str:
    """Return a page's HTML with an anchor at each claim's box, and links between the boxes and the ledger at `ledger`.

    Examples
    --------
    >>> linked("<section class='claim claim-holds' aria-label='Claim 5: holds'>")
    "<section class='claim claim-holds' id='claim-5' aria-label='Claim 5: holds'>"
    """
    body = _BOX.sub(lambda box: f"{box[0]} id='claim-{box[1]}'", body)
    if "<div class='ledger'>" in body:
        return _NOTEBOOK.sub(r"<a class='reference internal' href='\1.html\2'", body)  # previews show the box
    link = rf'<a href="{ledger}#ledger-\1">Claim \1</a>'
    return _NUMBER.sub(link, body) if ledger else body


def _mend(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    body = context.get("body", "")
    if "class='claim" in body:
        page = app.env.get_domain("std").anonlabels.get(LABEL, ("",))[0]  # type: ignore[attr-defined]
        context["body"] = linked(body, app.builder.get_relative_uri(pagename, page) if page else "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the check and the links."""
    app.connect("doctree-read", _targets)
    app.connect("env-check-consistency", _check)
    app.connect("html-page-context", _mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
