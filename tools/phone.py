"""What a small screen asks of a page's HTML: cards, figures one can read, and marks that stay with what they follow.

A picture's type has a size in points, and the page gives the picture at least the width at which the smallest is
`READABLE` pixels high; a box that scrolls holds it where the column is narrower.
Style is in ``book/assets/phone.css``, what enlarges a figure in ``book/assets/enlarge.mjs``.
"""

import html
import math
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SMALLEST = 7.7  # points: an index in type of 11 points, which is 0.7 as high; a test holds other type to that
DPI = 144  # of the stored figures: `initnotes.figures.STYLE`
READABLE = 9  # CSS pixels
_LAST = 950

# ------------------------------------------------------------------------------------------------------------- figures


def readable(width: int) -> int:
    """Return the width in CSS pixels at which the smallest type of a figure of so many pixels can be read.

    Examples
    --------
    >>> readable(967)
    566
    """
    return math.ceil(width * READABLE / (SMALLEST * DPI / 72))


def plate(image: str, width: int) -> str:
    """Return the tag of a picture in a box that scrolls where the column is narrower than it can be read."""
    sized = f'{image.rstrip("/> ")} style="--readable: {readable(width)}px" />'
    return f'<span class="plate"><span class="plate-pane">{sized}</span></span>'


_PLATED = re.compile(r'<span class="plate"><span class="plate-pane">(<img\b[^>]*?) width="[^>]*></span></span>')


def unplated(page: str) -> str:
    """Return a page with its pictures as they were before they had a size and a box.

    Examples
    --------
    >>> unplated(plate('<img src="x.png" width="9" height="9" />', 9))
    '<img src="x.png" />'
    """
    return _PLATED.sub(r"\1 />", page)


# ---------------------------------------------------------------------------------------------------- claims and tables

_EVIDENCE = re.compile(r"(?<=<div class='claim-evidence')[^>]*>.*?</table>", re.DOTALL)
_HEAD = re.compile(r"<th scope='col'[^>]*>(.*?)</th>")
_ROW = re.compile(r"<tr><th scope='row'.*?</tr>", re.DOTALL)


def labelled(markup: str) -> str:
    """Return HTML in which each cell of a claim's evidence carries the head of its column, which a card shows.

    Examples
    --------
    >>> head = "<thead><tr><th scope='col'>What</th><th scope='col'>Size</th></tr></thead>"
    >>> labelled(f"<div class='claim-evidence'><table>{head}<tr><th scope='row'>a</th><td>1</td></tr></table>")[-62:]
    "<th scope='row'>a</th><td data-head='Size'>1</td></tr></table>"
    """

    def table(match: re.Match[str]) -> str:
        heads = _HEAD.findall(match[0])[1:]

        def row(cells: re.Match[str]) -> str:
            names = iter(heads)
            return re.sub("<td(?=[ >])", lambda _: f"<td data-head='{next(names, '')}'", cells[0])

        return _ROW.sub(row, match[0])

    return _EVIDENCE.sub(table, markup)


_LONG = 16  # characters: what is shorter stays on one line
_TABLE = re.compile(r"<div class='wide-table'.*?</table>", re.DOTALL)
_CELL = re.compile(r"<td(?P<rest>[^>]*)>(?P<text>[^<]*)</td>")
_ROW_HEAD = re.compile(r"(?<=<th scope='row'>)[^<]+(?:<wbr>[^<]+)*")
# In a name, or in a call.
_HUMP = re.compile(r"(?<=[a-z]{3})(?=[A-Z])|(?<=\dD)(?=[A-Z])|(?<=[a-z]{4}\()|(?<==)(?=&#x27;)")


def fitted(markup: str) -> str:
    """Return HTML in which the long cells of tables are marked, and names in their rows' heads break at humps.

    Examples
    --------
    >>> row = "<th scope='row'>LayerNormalization</th><td>0.1 to 0.2</td><td>all that is given away</td>"
    >>> fitted(f"<div class='wide-table'><table><tr>{row}</tr></table>")[35:-13]
    "<th scope='row'>Layer<wbr>Normalization</th><td>0.1 to 0.2</td><td class='long'>all that is given away</td>"
    """

    def cell(match: re.Match[str]) -> str:
        long = len(html.unescape(match["text"])) > _LONG
        return f"<td class='long'{match['rest']}>{match['text']}</td>" if long else match[0]

    def table(match: re.Match[str]) -> str:
        return _ROW_HEAD.sub(lambda name: _HUMP.sub("<wbr>", name[0]), _CELL.sub(cell, match[0]))

    return _TABLE.sub(table, markup)


# ------------------------------------------------------------------------------------------------- what stays together

# A formula is a box to the browser, and before and after a box it may break a line, whatever stands there.
_AFTER = re.compile(r"[ \u00a0]?%\S*|-\w{1,3}\b[^\s\-–—/]*|[-–—/]|[^\s\-–—/]+[-–—/]?")
_BEFORE = re.compile(r"[(\[{“‘\"'±]+$")
_PERCENT = re.compile(r"(?<=\d) (?=%)")
_AS_TYPED = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment)


def keep_together(doctree: nodes.Element) -> None:
    """Part no formula from the marks that follow it or open before it, and no % from its number. No text changes."""
    for text in [node for node in doctree.findall(nodes.Text) if " %" in node]:
        if not isinstance(text.parent, _AS_TYPED):
            text.parent.replace(text, nodes.Text(_PERCENT.sub("\u00a0", text)))
    for formula in list(doctree.findall(nodes.math)):
        head, tail = _taken(formula, -1, _BEFORE), _taken(_outermost(formula), 1, _AFTER)
        if head or tail:
            kept = nodes.inline(classes=["keep"])
            whole = _alone(formula) if not head else formula
            whole.replace_self(kept)
            kept += [nodes.Text(head), whole, nodes.Text(tail)]


def _outermost(node: nodes.Element) -> nodes.Element:
    """Return the outermost emphasis or link that ends with `node`."""
    while isinstance(node.parent, nodes.Inline) and node.parent[-1] is node:
        node = node.parent
    return node


def _alone(node: nodes.Element) -> nodes.Element:
    """Return the outermost emphasis or link that holds `node` and nothing else."""
    while isinstance(node.parent, nodes.Inline) and len(node.parent) == 1:
        node = node.parent
    return node


def _taken(node: nodes.Element, step: int, pattern: re.Pattern[str]) -> str:
    """Cut what matches out of the text before (-1) or after (1) `node`, and return it."""
    siblings = node.parent.children
    at = next(place for place, other in enumerate(siblings) if other is node) + step
    beside = siblings[at] if 0 <= at < len(siblings) else None
    match = (pattern.search if step < 0 else pattern.match)(beside) if isinstance(beside, nodes.Text) else None
    if match is None or beside is None:
        return ""
    node.parent[at] = nodes.Text(beside[: match.start()] + beside[match.end() :])
    return match[0]


def _shape(app: Sphinx, doctree: nodes.document, name: str) -> None:
    keep_together(doctree)
    for markup in [node for node in doctree.findall(nodes.raw) if node.get("format") == "html"]:
        text = markup.astext()
        if "<table" in text and "-lab>" not in text:
            markup.replace_self(nodes.raw("", fitted(labelled(_PERCENT.sub("\u00a0", text))), format="html"))


# ------------------------------------------------------------------------------------------------------ lighter pages

# Names, brackets and spaces have the color of the text around them: half of what marks up code says nothing.
_PLAIN = re.compile(r'<span class="(?:n|p|w)">([^<]*)</span>')


def lighter(body: str) -> str:
    """Return a page's HTML without the marks in code that no reader sees.

    Examples
    --------
    >>> lighter('<span class="n">x</span><span class="p">[</span><span class="mi">0</span>')
    'x[<span class="mi">0</span>'
    """
    return _PLAIN.sub(r"\1", body)


# Scripts that a page of 300 kB has no room for, and the element that each is for: late.mjs loads them when it is near.
LATE = {"train-digits": "train-lab", "train-lab": "train-lab"}


def later(scripts: Iterable[Any]) -> None:
    """Mark the scripts of `LATE`, so that a browser leaves them to ``late.mjs``."""
    for script in scripts:
        element = LATE.get(PurePosixPath(str(script.filename or "").split("?")[0]).stem)
        if element:
            script.attributes.pop("defer", None)
            script.attributes.update({"type": "text/late", "data-for": element})


def _lighten(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    context["body"] = lighter(context.get("body", ""))
    later(context.get("script_files", []))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what pages do for small screens."""
    app.connect("doctree-resolved", _shape, priority=_LAST)
    app.connect("html-page-context", _lighten, priority=_LAST)  # after the page's own scripts are known
    return {"parallel_read_safe": True, "parallel_write_safe": True}
