"""Figures have numbers, names and links, and one page lists them.

A cell that draws, and the paragraph in bold under it, become a figure of Sphinx's own kind: it is counted by chapter
("Figure 4.2") and has an anchor, ``fig-``, the chapter's label and the cell's id. Pictures with nothing but cells
between them are one figure, and so are those of one cell. Text links to a figure as to a claim,
``[the phases](04_vanishing_exploding.ipynb#fig-vanishing-phase)``, which JupyterLab follows too; where a link has no
text the site puts the number. The landing page shows a picture of chapter 1, and does not count it again. A live figure
is counted too, by the title of its stored picture, which stands with the number above it.
"""

import html
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

LABEL = "figures"  # of the page that lists them
SMALL = "_images/small"
WIDTH = 240  # pixels of a small picture, twice what is shown
LIVE = re.compile(r"<(?:init-lab|train-lab|curve-slider)\b.*?<title>(.*?)</title>", re.DOTALL)
_PREFIX = "fig-"
_LINKS = (nodes.reference, addnodes.pending_xref)


class unnumbered(nodes.figure):  # noqa: N801 # docutils looks a node's visitor up by its class
    """A figure that is not counted."""


@dataclass(frozen=True)
class Drawn:
    """A figure as the list shows it."""

    name: str
    title: nodes.strong
    picture: str

    def __repr__(self) -> str:
        return f"{self.name}: {self.title.astext()} ({self.picture})"


@dataclass(frozen=True)
class Live:
    """A live figure as the list shows it."""

    name: str
    title: str


def figures(env: BuildEnvironment) -> dict[str, list[Drawn | Live]]:
    """Return what each page has of figures."""
    if not hasattr(env, "book_figures"):
        env.book_figures = {}  # type: ignore[attr-defined]
    return env.book_figures  # type: ignore[attr-defined]


# -------------------------------------------------------------------------------------------------- what a page draws


def page_label(notebook: dict[str, Any]) -> str:
    """Return the label above a notebook's title.

    Examples
    --------
    >>> page_label({"cells": [{"cell_type": "markdown", "source": "(small-random)="}]})
    'small-random'
    """
    first = next(("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"), "")
    found = re.match(r"\(([\w-]+)\)=", first)
    return found[1] if found else "page"


def figure_name(label: str, cell: str) -> str:
    """Return the name of the figure that a cell draws.

    Examples
    --------
    >>> figure_name("he", "growth-figure"), figure_name("symmetry", "cover")
    ('fig-he-growth', 'fig-symmetry-cover')
    """
    return f"{_PREFIX}{label}-{cell.removesuffix('-figure')}"


def _is_cell(node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def _next(node: nodes.Element) -> nodes.Node | None:
    """Return what stands under a node, in the same section."""
    return node.next_node(descend=False, siblings=True)


def _under(cell: nodes.Element) -> nodes.Node | None:
    """Return what stands under a cell and the cells after it that draw nothing."""
    after = _next(cell)
    while _is_cell(after) and not list(after.findall(nodes.image)):
        after = _next(after)
    return after


def _title(paragraph: nodes.Node | None) -> nodes.strong | None:
    """Return what a paragraph begins with, if that is bold."""
    if not isinstance(paragraph, nodes.paragraph):
        return None
    first = next((child for child in paragraph.children if child.astext()), None)
    return first if isinstance(first, nodes.strong) else None


def _groups(page: nodes.document) -> Iterator[tuple[nodes.Element, list[nodes.image], nodes.paragraph | None]]:
    """Yield the cells that draw, the last one for each caption, with all pictures above it and the caption."""
    pictures: list[nodes.image] = []
    for cell in [node for node in page.findall(nodes.container) if _is_cell(node)]:
        pictures += cell.findall(nodes.image)
        after = _under(cell)
        if not list(cell.findall(nodes.image)) or _is_cell(after):
            continue
        yield cell, pictures, after if _title(after) else None  # type: ignore[misc]
        pictures = []


def _joined(pictures: list[nodes.image], kind: type[nodes.figure]) -> nodes.figure:
    """Return a figure in the place of the last picture, which holds them all; what the others stood in is gone."""
    figure = kind(classes=["cell-figure"])
    pictures[-1].replace_self(figure)
    for picture in pictures[:-1]:
        output = picture.parent.parent if picture.parent.get("mime_type") else picture
        output.parent.remove(output)
    figure += pictures
    return figure


class NumberFigures(SphinxTransform):
    """Make figures of what cells draw, before Sphinx reads a page's labels (850) and MyST its links (879)."""

    default_priority = 840

    def apply(self, **_: Any) -> None:
        """Apply the transform."""
        name = self.env.docname
        file = Path(self.env.doc2path(name))
        if name == self.config.root_doc:
            for figure in list(self.document.findall(nodes.figure)):
                figure.replace_self(unnumbered("", *figure.children, **figure.attributes))
        if file.suffix == ".ipynb":
            notebook = json.loads(file.read_text(encoding="utf-8"))
            found = [*self._drawn(notebook), *self._live(notebook)]
            if found:
                figures(self.env)[name] = found
        for link in [node for node in self.document.findall(nodes.Element) if isinstance(node, _LINKS)]:
            _by_number(link, name)

    def _drawn(self, notebook: dict[str, Any]) -> Iterator[Drawn]:
        label = page_label(notebook)
        for cell, pictures, paragraph in _groups(self.document):
            title = _title(paragraph)
            if paragraph is None or title is None:
                _joined(pictures, unnumbered)
                continue
            figure = _joined(pictures, nodes.figure)
            paragraph.parent.remove(paragraph)
            figure += nodes.caption("", "", *paragraph.children)
            index = cell["cell_index"]
            name = figure_name(label, notebook["cells"][index].get("id", f"cell-{index + 1:02d}"))
            self._name(figure, name, title.astext())
            yield Drawn(name, _plain(title), self.env.relfn2path(pictures[0]["uri"], self.env.docname)[0])

    def _live(self, notebook: dict[str, Any]) -> Iterator[Live]:
        label = page_label(notebook)
        for output in list(self.document.findall(nodes.raw)):
            live, cell = LIVE.search(output.astext()), output.parent
            while cell and not _is_cell(cell):
                cell = cell.parent
            if not live or not cell:
                continue
            title = html.unescape(live[1])
            index = cell["cell_index"]
            caption = nodes.caption("", "", nodes.strong("", "", *_set(f"{title}.")))
            figure = nodes.figure("", caption, classes=["live-figure"])
            output.parent.insert(output.parent.index(output), figure)
            name = figure_name(label, notebook["cells"][index].get("id", f"cell-{index + 1:02d}"))
            self._name(figure, name, title)
            yield Live(name, title)

    def _name(self, figure: nodes.figure, name: str, title: str) -> None:
        """Give a figure its anchor, so that MyST's links and Sphinx's numbers find it."""
        figure["ids"], figure["names"] = [name], [name]
        self.document.note_explicit_target(figure, figure)
        self.env.metadata[self.env.docname].setdefault("myst_slugs", {})[name] = (0, name, title)


def _set(words: str) -> list[nodes.Node]:
    """Return words with the index of σ_w as one."""
    parts = re.split(r"(?<=σ)_(\w)", words)
    return [nodes.subscript(text=part) if at % 2 else nodes.Text(part) for at, part in enumerate(parts)]


def _plain(title: nodes.strong) -> nodes.strong:
    """Return a title that may stand in a link: without links of its own."""
    copy = title.deepcopy()
    for link in list(copy.findall(lambda node: isinstance(node, _LINKS))):
        link.replace_self(nodes.Text(link.astext()))
    return copy


def _by_number(link: nodes.Element, page: str) -> None:
    """Let a Markdown link to a figure that has no text of its own show its number."""
    if link.astext():
        return
    if isinstance(link, nodes.reference) and link.get("id_link"):
        target = link["refuri"].removeprefix("#")
    elif isinstance(link, addnodes.pending_xref) and link["reftype"] == "myst":
        target = link.get("reftargetid") or ""
    else:
        return
    if not target.startswith(_PREFIX):
        return
    number = addnodes.pending_xref("", refdomain="std", reftype="numref", reftarget=target, refexplicit=False)
    number["refdoc"] = page
    number += nodes.literal("", "%s")
    link.replace_self(number)


# --------------------------------------------------------------------------------------------------------- their list


def _small(env: BuildEnvironment, picture: str) -> str:
    """Return the name of a small picture in the folder of the pages."""
    return f"{SMALL}/{Path(env.images[picture][1]).name}"


def _item(app: Sphinx, drawn: Drawn, number: str, address: str, root: str) -> nodes.list_item:
    picture = f'<img src="{root}{html.escape(_small(app.env, drawn.picture))}" alt="" role="presentation" />'
    text = nodes.inline("", "", nodes.inline(text=f"Figure {number}", classes=["figure-number"]), nodes.Text(" "))
    text += drawn.title.deepcopy().children
    link = nodes.reference("", "", nodes.raw("", picture, format="html"), text, internal=True)
    link["refuri"] = f"{address}#{drawn.name}"
    return nodes.list_item("", nodes.paragraph("", "", link))


def _heading(env: BuildEnvironment, name: str) -> str:
    number = env.toc_secnumbers.get(name, {}).get("", ())
    return f"{'.'.join(map(str, number))}. {env.titles[name].astext()}" if number else env.titles[name].astext()


def _section(name: str, title: str, items: list[nodes.list_item], kind: str) -> nodes.section:
    entries = nodes.bullet_list("", *items, classes=[kind])
    return nodes.section("", nodes.title(text=title), entries, ids=[name])


def _list(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put the list on its page: the figures of each chapter, and the live ones."""
    env = app.env
    if env.get_domain("std").anonlabels.get(LABEL, ("",))[0] != page:  # type: ignore[attr-defined]
        return
    place, root = next(iter(doctree.findall(nodes.section))), "../" * page.count("/")
    live = []
    for name, numbers in env.toc_fignumbers.items():
        address = app.builder.get_relative_uri(page, name)
        items = []
        for entry in figures(env).get(name, []):
            if entry.name not in numbers.get("figure", {}):
                continue
            number = ".".join(map(str, numbers["figure"][entry.name]))
            if isinstance(entry, Live):
                text = _set(f"Figure {number} {entry.title}")
                link = nodes.reference("", "", *text, internal=True, refuri=f"{address}#{entry.name}")
                live.append(nodes.list_item("", nodes.paragraph("", "", link)))
            else:
                items.append(_item(app, entry, number, address, root))
        if items:
            place += _section(f"figures-{Path(name).name}", _heading(env, name), items, "figure-list")
    if live:
        place += _section("figures-live", "Live figures", live, "live-list")


def _draw_small(app: Sphinx, env: BuildEnvironment) -> None:
    """Let a thread draw the small pictures of the list while the pages are written."""
    if app.builder.format != "html":
        return
    Path(app.outdir, SMALL).mkdir(parents=True, exist_ok=True)
    pool = ThreadPoolExecutor(1)
    for entry in [entry for entries in figures(env).values() for entry in entries if isinstance(entry, Drawn)]:
        file = Path(app.outdir, _small(env, entry.picture))
        if not file.is_file():
            app.drawing.append(pool.submit(_draw, Path(app.srcdir, entry.picture), file))  # type: ignore[attr-defined]


def _draw(source: Path, file: Path) -> None:
    with Image.open(source) as picture:
        small = picture.convert("RGB")
        small.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS, reducing_gap=2.0)
        small.quantize(64).save(file, format="PNG", optimize=True)


def _finish(app: Sphinx, error: Exception | None) -> None:
    for picture in app.drawing:  # type: ignore[attr-defined]
        picture.result()


# ------------------------------------------------------------------------------------------------------ the extension


def _purge(app: Sphinx, env: BuildEnvironment, name: str) -> None:
    figures(env).pop(name, None)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the transform, the list and its pictures."""
    app.add_node(unnumbered)
    app.add_transform(NumberFigures)
    app.connect("env-purge-doc", _purge)
    app.connect("doctree-resolved", _list)
    app.drawing = []  # type: ignore[attr-defined]
    app.connect("env-updated", _draw_small)
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": False, "parallel_write_safe": False}
