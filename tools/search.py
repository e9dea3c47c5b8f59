"""The index of the search, by section: a hit opens where its words are.

A *place* is where a reader can be sent: a section, the box of a claim, a term of the glossary. Its text is what stands
there and in none of the places inside of it; formulas are text (``plain_math``), and of code there are the names. The
pages load ``search-index.js`` when somebody searches, and ``book/assets/search.js`` ranks with MiniSearch, whose files
lie in ``tools/minisearch`` as they are published.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from . import formulas
from .assets import unmapped
from .files import replace_file
from .reading import _is_output, _words_of, fold, summary

FOLDER = Path(__file__).resolve().parent / "minisearch"
INDEX = "search-index.js"
WORDS = "search.yml"
LIBRARY = "minisearch.js"
_SPHINX = ("sphinx_highlight.js",)  # marks words with a link that the policy of the pages forbids

_CLAIM = re.compile(r"(?=<section class='claim claim-[\w-]+' aria-label='Claim (\d+):)")
_CLAIM_TEXT = re.compile(r"<p class='claim-text'>(.*?)</p>", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w{2,}(?:\.[A-Za-z_]\w*)*|\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_OTHERS = re.compile(r"[._A-Z]")  # of libraries, as nn.Linear and zeros_; nobody types a short variable of a cell
_SKIPPED = (
    nodes.comment, nodes.image, nodes.substitution_definition, nodes.system_message, nodes.title,
    addnodes.toctree, addnodes.index,
)  # fmt: skip
_UNSAID = {"chapter-facts", "further-facts", "topic"}


class Place(NamedTuple):
    """Where a hit leads: an anchor of a page, its heading's level (0 for a claim or a term), what one reads there."""

    anchor: str
    level: int
    title: str
    text: str
    code: str


class _Reader:
    """Collects the places of a page in their order."""

    def __init__(self, said: Any) -> None:
        self._said, self.places = said, list[tuple[str, int, str, list[str], dict[str, None]]]()
        self._open: list[int] = []

    def _enter(self, anchor: str, level: int, title: str) -> None:
        self._open.append(len(self.places))
        self.places.append((anchor, level, title, [], {}))

    def _say(self, words: str) -> None:
        if self._open:
            self.places[self._open[-1]][3].append(words)

    def line(self, node: nodes.Node) -> str:
        """Return the text of a title or a term, its formulas as text."""
        if isinstance(node, nodes.math):
            return self._said(node.astext(), False)
        if isinstance(node, nodes.Text):
            return node.astext()
        return "".join(self.line(child) for child in node.children if not isinstance(child, addnodes.index))

    def read(self, node: nodes.Node, level: int = 0) -> None:
        """Read a node and what is in it; sections lie `level` deep."""
        if isinstance(node, _SKIPPED) or (isinstance(node, nodes.Element) and _UNSAID & set(node.get("classes", []))):
            return
        if isinstance(node, nodes.Text | nodes.math | nodes.math_block | nodes.literal_block | nodes.raw):
            self._leaf(node)
            return
        opened = len(self._open)
        if isinstance(node, nodes.section) and node["ids"]:
            level += 1
            title = next((self.line(child) for child in node.children if isinstance(child, nodes.title)), "")
            self._enter(node["ids"][0], level, title)
        term = node.children[0] if isinstance(node, nodes.definition_list_item) else nodes.term()
        if term["ids"]:
            self._enter(term["ids"][0], 0, self.line(term))
        label = isinstance(node, fold) and "of-cell" in node["classes"]
        for child in node.children:
            if not (term["ids"] and child is term) and not (label and isinstance(child, summary)):
                self.read(child, level)
        del self._open[opened:]
        if not isinstance(node, nodes.Inline):
            self._say(" ")

    def _leaf(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.math):
            self._say(self._said(node.astext(), False))
        elif isinstance(node, nodes.math_block):
            self._say(f" {self._said(formulas.tex_of_block(node.astext()), True)} ")
        elif isinstance(node, nodes.literal_block):
            self._name(node.astext())
        elif isinstance(node, nodes.raw):
            self._markup(node.astext(), output=_is_output(node))
        else:
            self._say(node.astext())

    def _name(self, code: str) -> None:
        if self._open:
            named = [name for name in _NAME.findall(code) if _OTHERS.search(name)]
            self.places[self._open[-1]][4].update(dict.fromkeys(named))

    def _markup(self, markup: str, *, output: bool) -> None:
        """Read raw HTML, in which each claim's box is a place; the ledger's table repeats the boxes."""
        if "<div class='ledger'>" in markup:
            return
        first, *boxes = _CLAIM.split(markup.replace("<wbr>", ""))
        if output:
            self._name(_words_of(first))  # of a table, as of code
        else:
            self._say(f" {_words_of(first)} ")
        for number, box in zip(boxes[::2], boxes[1::2], strict=True):
            claim = _CLAIM_TEXT.search(box)
            title = " ".join(_words_of(claim[1] if claim else f"Claim {number}").split())
            self._enter(f"claim-{number}", 0, title.replace(f"Claim {number} ", f"Claim {number}: ", 1))
            self._say(_words_of(box.replace(claim[0], "") if claim else box))
            self._open.pop()


def places(doctree: nodes.Node, said: Any = lambda tex, display: tex) -> list[Place]:
    """Return the places of a page; `said` turns the TeX of a formula, with whether it is displayed, into text."""
    reader = _Reader(said)
    reader.read(doctree)
    return [
        Place(anchor, level, " ".join(title.split()), _prose("".join(text)), " ".join(code))
        for anchor, level, title, text, code in reader.places
    ]


def _prose(text: str) -> str:
    return re.sub(r" (?=[.,;:!?)])(?!\.\d)", "", " ".join(text.split()))


# ------------------------------------------------------------------------------------------ its part of the build


def _file(app: Sphinx) -> Path:
    """Return where the places of all pages wait, for those that are not written again."""
    return Path(app.doctreedir, "places.json")


def _without_sphinx_search(app: Sphinx) -> None:
    app.builder.search = False  # type: ignore[attr-defined] # its index is by page; the search's page stays
    app.config.html_additional_pages["search"] = "search.html"
    app.places = json.loads(_file(app).read_text(encoding="utf-8")) if _file(app).is_file() else {}  # type: ignore[attr-defined]


def _read(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    context["script_files"] = [
        script for script in context["script_files"] if not str(script.filename or "").split("?")[0].endswith(_SPHINX)
    ]
    if doctree is None:
        return
    numbers = app.env.toc_secnumbers.get(pagename, {})

    def said(tex: str, display: bool) -> str:
        return formulas.as_text(app.katex, tex, display=display)  # type: ignore[attr-defined]

    found = places(doctree, said)
    if any("figure-list" in node.get("classes", []) for node in doctree.findall(nodes.bullet_list)):
        found = found[:1]  # what it lists stands where the figures are
    numbered = [
        (place, numbers.get("" if place.level == 1 else f"#{place.anchor}", ()) if place.level else ())
        for place in found
    ]
    if pagename == app.config.root_doc and found:  # the start page has the book's whole title
        numbered[0] = (found[0]._replace(title=str(app.config.html_title)), ())
    app.places[pagename] = [  # type: ignore[attr-defined]
        place._replace(title=f"{'.'.join(map(str, number))} {place.title}" if number else place.title)
        for place, number in numbered
    ]


def words(root: Path) -> dict[str, str]:
    """Return what readers type for a place although it does not stand there, by page and anchor."""
    file = root / "book" / WORDS
    listed = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {f"book/{place}": " ".join(str(said).split()) for place, said in listed.items()}


def index(pages: dict[str, Iterable[Any]], more: dict[str, str]) -> str:
    """Return the script that tells `search.js` the places of all pages, with the words that lead there as well."""
    told = {
        f"{name}.html": [[*place, more[at]] if (at := f"{name}#{place[0]}") in more else place for place in pages[name]]
        for name in sorted(pages)
    }
    return f"globalThis.SEARCH_INDEX = {json.dumps(told, ensure_ascii=False, separators=(',', ':'))};\n"


def _write(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    kept = {name: found for name, found in app.places.items() if name in app.env.found_docs}  # type: ignore[attr-defined]
    replace_file(_file(app), json.dumps(kept).encode("utf-8"))
    static = Path(app.outdir, "_static")
    replace_file(static / INDEX, index(kept, words(Path(app.srcdir))).encode("utf-8"))
    library = unmapped((FOLDER / LIBRARY).read_text(encoding="utf-8"))
    replace_file(static / LIBRARY, library.encode("utf-8"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Put this search in the place of Sphinx's."""
    app.add_js_file("find.js")
    app.add_css_file("search.css")
    app.connect("builder-inited", _without_sphinx_search)
    app.connect("html-page-context", _read, priority=800)
    app.connect("build-finished", _write, priority=800)  # before what is not needed is removed
    return {"parallel_read_safe": True, "parallel_write_safe": False}
