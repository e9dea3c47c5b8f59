"""What previews show of other pages: the element that each link leads to, in one script that a page loads when needed.

A page that is opened as a file may not fetch another, but it may load a script. So the build cuts out what links
between pages lead to. What of it is shown, and how, is for ``book/assets/previews.mjs``.
"""

import html
import json
import posixpath
import re
from collections.abc import Mapping

FILE = "excerpts.js"  # in _static

_LINK = re.compile(r"""<a class=["'][^"']*\breference internal\b[^"']*["'] href=["']([^"':?]+)["']""")
_ARTICLE = re.compile(r'<article class="bd-article"[^>]*>(.*)</article>', re.DOTALL)
_START = re.compile(r"<(\w+)([^>]*)>")
_VOID = ("area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr")
_NO_START = re.compile(r"""^<(?:span\b|p class="(?:topic|chapter-facts)"|div class="cell\b)""")
_FORMULA_FOR_MACHINES = re.compile(r"<annotation\b.*?</annotation>", re.DOTALL)


def element(page: str, start: int) -> str:
    """Return the whole element whose tag begins at `start`.

    Examples
    --------
    >>> element("<p>a</p><div id='x'>b<div>c</div></div>d", 8)
    "<div id='x'>b<div>c</div></div>"
    """
    tag = _START.match(page, start)
    if tag is None:
        raise ValueError(f"no element begins at {page[start : start + 40]!r}")
    if tag[1] in _VOID:
        return tag[0]
    depth = 0
    for match in re.compile(rf"<(/?){tag[1]}\b[^>]*>").finditer(page, start):
        depth += -1 if match[1] else 1
        if depth == 0:
            return page[start : match.end()]
    raise ValueError(f"the element {tag[0]} has no end")


def _beginning(page: str, start: int) -> str:
    """Return the section whose tag begins at `start`, with its heading and what comes first under it."""
    tag = _START.match(page, start)
    assert tag is not None
    kept: list[str] = []
    at = tag.end()
    while len(kept) < 2 and (part := _START.search(page, at)) and f"</{tag[1]}>" not in page[at : part.start()]:
        text = element(page, part.start())
        at = part.start() + len(text)
        if part[1] == "section":
            break
        if not _NO_START.match(text):
            kept.append(text)
    return f"{tag[0]}{''.join(kept)}</{tag[1]}>"


def excerpt(article: str, anchor: str) -> str:
    """Return what stands at `anchor` of an article, or its beginning where that is empty; "" if it is not there."""
    if not anchor:
        start = article.find("<section")
        return _beginning(article, start) if start >= 0 else ""
    found = {article.find(f" id={sign}{html.escape(anchor)}{sign}") for sign in "\"'"} - {-1}
    if not found:
        return ""
    start = article.rfind("<", 0, min(found))
    name = _START.match(article, start)
    kind = name[1] if name else ""
    if kind == "span":  # the label of the section that it begins
        start, kind = article.rfind("<section", 0, start), "section"
    if kind == "section" and "class='claim" not in article[start : start + 40]:
        return _beginning(article, start)
    text = element(article, start)
    if kind == "dt":
        after = article.find("<dd", start)
        text += element(article, after) if after >= 0 else ""
    return text


def links(name: str, article: str) -> set[str]:
    """Return where the links of the page `name` to others lead, each as ``folder/page.html#anchor`` from the root."""
    found = set()
    for target in _LINK.findall(article):
        page, _, anchor = html.unescape(target).partition("#")
        if page.endswith(".html"):
            found.add(
                posixpath.normpath(posixpath.join(posixpath.dirname(name), page)) + (f"#{anchor}" if anchor else "")
            )
    return found


def script(pages: Mapping[str, str]) -> str:
    """Return the script with all excerpts, given the HTML of each page under its name from the root."""
    articles = {name: found[1] for name, text in pages.items() if (found := _ARTICLE.search(text))}
    told = {}
    for target in sorted(set().union(*(links(name, article) for name, article in articles.items()))):
        page, _, anchor = target.partition("#")
        text = excerpt(articles.get(page, ""), anchor)
        if text:
            told[target] = _FORMULA_FOR_MACHINES.sub("", text)
    return f"globalThis.excerpts = {json.dumps(told, ensure_ascii=False, indent=0)};\n"
