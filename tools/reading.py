"""How a page reads: what the build adds to a chapter's text or says better in HTML than the theme does.

The cells hold plain MyST. Here a folded answer becomes a `<details>` that needs no script, the list of what one learns
gets its box, and a chapter says at its top how long it takes. It touches no words. ``tools.figures`` makes the figures;
style is in ``book/assets/book.css``, what moves in ``book/assets/*.mjs``.
"""

import html
import math
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_design.dropdown import DropdownHtmlTransform
from sphinx_design.shared import is_component

TEMPLATES = Path(__file__).resolve().parent / "templates"
TIMES = "times.yml"  # beside the chapters; `make run` keeps it

WORDS_A_MINUTE = 150  # a student's pace
SECONDS = {"formula": 1.0, "display": 20.0, "code line": 3.0, "output line": 1.0, "figure": 15.0}
FURTHER = "going further"  # the section that parts a second reading from the first


class fold(nodes.General, nodes.Element):  # noqa: N801 # docutils looks a node's visitor up by its class
    """What is folded until a reader opens it; its first child is a `summary`."""


class summary(nodes.General, nodes.TextElement):  # noqa: N801
    """The line that stays visible."""


_TAGS = {fold: "details", summary: "summary"}


def _visit(translator: Any, node: nodes.Element) -> None:
    translator.body.append(translator.starttag(node, _TAGS[type(node)], ""))


def _depart(translator: Any, node: nodes.Element) -> None:
    translator.body.append(f"</{_TAGS[type(node)]}>\n")


# ---------------------------------------------------------------------------------------------------- what is folded


def fold_answers(doctree: nodes.document) -> None:
    """Turn each admonition of the class ``dropdown`` into a `fold`: a keyboard opens it, with or without a script."""
    for box in [node for node in doctree.findall(nodes.Element) if _is_folded_box(node)]:
        kinds = [kind for kind in box["classes"] if kind not in ("dropdown", "admonition")]
        box.replace_self(_folded(box, kinds))
    for section in [node for node in doctree.findall(nodes.section) if node["ids"][:1] in _CONTENT]:
        section["ids"] = []
        section.replace_self(section.children)


def _folded(box: nodes.Element, kinds: list[str]) -> fold:
    line = summary("", "", nodes.inline(text=" ".join(box.children[0].astext().split())))
    return fold("", line, *box.children[1:], ids=box["ids"], names=box["names"], classes=["fold", *kinds])


class FoldDropdowns(SphinxPostTransform):
    """Give ``{dropdown}`` the same form, before its own extension gives it another."""

    default_priority = DropdownHtmlTransform.default_priority - 1
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Run the transform."""
        for box in [node for node in self.document.findall(nodes.container) if is_component(node, "dropdown")]:
            if box["has_title"]:
                box.replace_self(_folded(box, []))


def fold_cells(doctree: nodes.document) -> None:
    """Give what the tags of a cell fold the same form, with a label that says what is in it."""
    for hidden in list(doctree.findall(HideCodeCellNode)):
        lines = sum(len(block.astext().splitlines()) for block in hidden.children[0].findall(nodes.literal_block))
        parts = [_PARTS[kind] for child in hidden.children for kind in _PARTS if kind in child["classes"]]
        text = f"{' and '.join(parts).capitalize()}, {lines} line{'s' if lines > 1 else ''}"
        line = summary("", "", nodes.inline(text=text if parts[0] == "code" else "Output"))
        hidden.replace_self(fold("", line, *hidden.children, classes=["fold", "of-cell"]))


_PARTS = {"cell_input": "code", "cell_output": "output"}
_CONTENT = (["exercise-content"], ["solution-content"])  # sections without a heading, all under the same id


def _is_folded_box(node: nodes.Element) -> bool:
    boxes = isinstance(node, nodes.Admonition) and "dropdown" in node.get("classes", [])
    return boxes and isinstance(node.children[0], nodes.title)


# ---------------------------------------------------------------------------------------------- objectives, summaries


def _is_output(node: nodes.Node) -> bool:
    return any("cell_output" in parent.get("classes", []) for parent in _ancestors(node))


def _ancestors(node: nodes.Node) -> list[nodes.Element]:
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def box_objectives(doctree: nodes.document) -> None:
    """Put the list of what one can do after a chapter, and the line that leads to it, in a box."""
    for line in list(doctree.findall(nodes.paragraph)):
        goals = line.next_node(descend=False, siblings=True)
        if line.astext().strip() == "After this chapter you can" and isinstance(goals, nodes.bullet_list):
            box = nodes.container(classes=["objectives"])
            line.replace_self(box)
            goals.parent.remove(goals)
            box += [line, goals]


def mark_sections(doctree: nodes.document, *, start: bool) -> None:
    """Name what the style sheet treats in its own way: summaries, and the page that a reader sees first."""
    for section in doctree.findall(nodes.section):
        if section["names"] and section["names"][0] == "summary":
            section["classes"].append("summary")
    first = next(iter(doctree.findall(nodes.section)), None)
    if start and first is not None:
        first["classes"].append("landing")


# ------------------------------------------------------------------------------------------------ how long it takes


def reading_minutes(part: nodes.Element) -> int:
    """Return how long a student takes to read a part of a page, in minutes rounded up to 5.

    Its words, formulas, code and figures count. What is folded does not: it is for those who want to see how it was
    done. Nor does the ledger, where one looks things up.
    """
    return _rounded(_seconds(part))


def _rounded(seconds: float) -> int:
    return 5 * math.ceil(seconds / 300)


def _seconds(part: nodes.Element) -> float:
    counted = dict.fromkeys(SECONDS, 0)
    words = sum(any(map(str.isalnum, word)) for word in _read(part, counted, output=False).split())
    return 60 * words / WORDS_A_MINUTE + sum(SECONDS[kind] * count for kind, count in counted.items())


def _read(node: nodes.Node, counted: dict[str, int], *, output: bool) -> str:
    """Return the prose of what one reads there, and add the rest of it to what is `counted`."""
    if isinstance(node, fold):
        return ""
    if isinstance(node, nodes.math | nodes.math_block):
        counted["display" if isinstance(node, nodes.math_block) else "formula"] += 1
        return ""
    if isinstance(node, nodes.literal_block):
        counted["output line" if output else "code line"] += len(node.astext().splitlines())
        return ""
    if isinstance(node, nodes.raw):
        return "" if "<div class='ledger'>" in node.astext() else _words_of(node.astext())
    if isinstance(node, nodes.image):
        counted["figure"] += 1
    if not isinstance(node, nodes.Element) or not node.children:
        return node.astext()
    output = output or "cell_output" in node["classes"]
    return node.child_text_separator.join(_read(child, counted, output=output) for child in node.children)


def _words_of(markup: str) -> str:
    """Return the words that HTML shows: no tags, nothing that is folded, and of a drawing nothing."""
    return html.unescape(
        re.sub(r"<[^>]*>", " ", re.sub(r"<(svg|style|details)\b.*?</\1>", " ", markup, flags=re.DOTALL))
    )


def _further(doctree: nodes.Element) -> nodes.Element | None:
    """Return the section that a second reading is for."""
    return next((part for part in doctree.findall(nodes.section) if FURTHER in part["names"]), None)


def divide(doctree: nodes.document) -> list[str]:
    """Say at the divider how much it keeps for a second reading; return what a page's top says of its length."""
    every = _seconds(doctree)
    further = _further(doctree)
    if further is None:
        return [f"About {_rounded(every)} minutes to read"]
    rest = _seconds(further)
    more = f"A second reading: about {_rounded(rest)} minutes. The course goes on without it."
    further["classes"].append("further")
    further.insert(1, nodes.paragraph("", more, classes=["further-facts"]))
    return [f"Main line: about {_rounded(every - rest)} minutes", f"with all that goes further: {_rounded(every)}"]


def spoken(seconds: int) -> str:
    """Return a time as one says it.

    Examples
    --------
    >>> spoken(35), spoken(90), spoken(400)
    ('35 seconds', '1½ minutes', '7 minutes')
    """
    if seconds < 60:
        return f"{seconds} seconds"
    halves = math.ceil(seconds / 30)
    whole, half = divmod(halves, 2) if halves < 6 else (math.ceil(seconds / 60), 0)
    return f"{whole}{'½' if half else ''} minute{'s' if halves > 2 else ''}"


def facts(reading: list[str], name: str, seconds: int | None) -> nodes.paragraph:
    """Return the line at a chapter's top: how long it takes to read and to run, and its notebook."""
    source = f"{'../' * name.count('/')}_sources/{name}.ipynb"
    running = [f"{spoken(seconds)} to run"] if seconds else []
    parts = [*reading, *running]
    link = f'<a class="notebook-link" href="{source}" download>Download the notebook</a>'
    inside = [nodes.inline(text=part) for part in parts] + [nodes.raw("", link, format="html")]
    return nodes.paragraph("", "", *inside, classes=["chapter-facts"])


def _times_file(app: Sphinx, name: str) -> Path:
    return Path(app.srcdir, name).parent / TIMES


def _depend(app: Sphinx, doctree: nodes.document) -> None:
    if _is_chapter(app, app.env.docname):
        app.env.note_dependency(str(_times_file(app, app.env.docname)))


def _is_chapter(app: Sphinx, name: str) -> bool:
    return str(app.env.doc2path(name)).endswith(".ipynb")


# ------------------------------------------------------------------------------------------------------- the whole


def _shape(app: Sphinx, doctree: nodes.document, name: str) -> None:
    fold_answers(doctree)
    fold_cells(doctree)
    box_objectives(doctree)
    mark_sections(doctree, start=name == app.config.root_doc)
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is None:
        return
    if name == app.config.root_doc:
        topic = str(app.config.html_title).partition(": ")[2]
        title.parent.insert(1, nodes.paragraph("", topic, classes=["topic"]))
    elif _is_chapter(app, name):
        file = _times_file(app, name)
        times = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}
        title.parent.insert(1, facts(divide(doctree), name, times.get(Path(name).name)))


def _mend(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Say in roles that screen readers know what the bibliography says in one that they gave up."""
    body = context.get("body", "")
    if 'role="doc-biblioentry"' in body:
        context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')


def _configure(app: Sphinx, config: Any) -> None:
    if str(TEMPLATES) not in config.templates_path:
        config.templates_path.insert(0, str(TEMPLATES))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the design of the pages."""
    for node in _TAGS:
        app.add_node(node, html=(_visit, _depart))
    app.add_post_transform(FoldDropdowns)
    app.connect("config-inited", _configure)
    app.connect("doctree-read", _depend)
    app.connect("doctree-resolved", _shape)
    app.connect("html-page-context", _mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
