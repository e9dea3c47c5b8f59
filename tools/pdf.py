"""``make pdf``: the whole book as one PDF, ``_build/before-the-first-step.pdf``, printed from the built pages.

The pages are joined into one document in the order of ``_toc.yml``; links between them become links inside of it.
Chromium prints it: the outline and the links come from the document's headings, page numbers and running heads from
``book/assets/print.css``. It is printed twice, since only the first time shows on which page each section begins. No
date but the text's is stored, so that the same pages give the same bytes.
"""

import argparse
import html
import io
import posixpath
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from . import offers, paper, site, system_parts
from .files import ROOT, replace_file
from .offline import NAME

PDF = ROOT / "_build" / f"{NAME}.pdf"
DRAFT = ROOT / "_build" / "pdf" / "book.html"
STYLE = Path(__file__).with_name("pdf.css")
NO_DATE = "19800101"

_ARTICLE = re.compile(r'<article class="bd-article">(.*?)</article>', re.DOTALL)
_TAG = re.compile(r"<[a-zA-Z][^>]*>")
_ATTRIBUTE = re.compile(r"""(?<=\s)(id|for|aria-labelledby|aria-describedby|aria-controls|href|src)=(["'])(.*?)\2""")
_FORMULA = re.compile(
    r'<span class="katex-mathml">.*?</math></span><span class="katex-html" aria-hidden="true">', re.DOTALL
)
_SECTION = re.compile(r'(<section\b[^>]*?)\sid="([^"]+)"([^>]*>)\s*((?:<span id="[^"]*"></span>\s*)*)<h(\d)>')
_HEADING = re.compile(
    r'<h([12]) id="([^"]+)">(?:<span id="[^"]*"></span>\s*)*(.*?)(?:<a class="headerlink".*?</a>)?</h\1>', re.DOTALL
)


@dataclass(frozen=True)
class Chapter:
    """One page of the book as a part of the document: its `article`, and each heading as (level, id, markup)."""

    part: str
    article: str
    headings: list[tuple[int, str, str]]


# -------------------------------------------------------------------------------------------------- what is joined


def order(toc: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the book's pages in order, each with the caption of the part that it opens, or ""."""
    pages = [("", toc["root"])]
    for part in toc["parts"]:
        names = [chapter["file"] for chapter in part["chapters"]]
        pages += [(part.get("caption", "") if name == names[0] else "", name) for name in names]
    return pages


def joined(article: str, name: str, names: set[str]) -> str:
    """Return the `article` of the page `name` for a document of all pages `names`: ids are unique, links inside.

    A link to what the document does not hold, such as a download, keeps only its text.
    """

    def attribute(match: re.Match[str]) -> str:
        kind, quote, value = match.groups()
        if kind not in ("href", "src"):
            value = " ".join(f"{name}--{word}" for word in value.split())
        elif kind == "src" and not value.startswith("data:"):
            value = f"../html/{_inside(value)}"
        elif kind == "href" and not re.match(r"[a-z]+:", value):
            page, _, place = value.partition("#")
            page = _inside(page).removesuffix(".html") if page else name
            if page not in names:
                return ""
            value = f"#{page}--{place}" if place else f"#{page}"
        return f"{kind}={quote}{value}{quote}"

    def _inside(path: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))

    # A PDF's tags know no MathML: what is drawn is what is read.
    article = _FORMULA.sub('<span class="katex-html">', article).replace(' loading="lazy"', "")
    article = _SECTION.sub(r'\1\3<h\5 id="\2">\4', article)  # a section may begin on the page before its heading
    return _TAG.sub(lambda tag: _ATTRIBUTE.sub(attribute, tag.group()), article)


def chapters(pages: Path, toc: dict[str, Any]) -> Iterator[Chapter]:
    """Yield the built `pages` in the order of `toc`.

    Raises
    ------
    ValueError
        If a page has no article or no title, because the theme has changed.
    """
    names = {name for _, name in order(toc)}
    for part, name in order(toc):
        page = offers.withdrawn((pages / f"{name}.html").read_text(encoding="utf-8"))
        found = _ARTICLE.search(page)
        article = joined(found.group(1), name, names) if found else ""
        headings = [(int(level), place, text) for level, place, text in _HEADING.findall(article)]
        if not headings or headings[0][0] != 1:
            raise ValueError(f"{name}.html has no article with a title: adapt tools/pdf.py to the theme")
        yield Chapter(part, f'<div id="{name}"></div>{article}', headings)


def _words(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def contents(book: list[Chapter]) -> str:
    """Return the table of contents; page numbers come later, into the elements with ``data-of``."""
    lines = []
    for chapter in book:
        if chapter.part:
            lines.append(f'<li class="part">{chapter.part}</li>')
        for level, place, text in chapter.headings:
            kind = "chapter" if level == 1 else "section"
            number = f'<span class="at" data-of="{place}">0</span>'
            lines.append(f'<li class="{kind}"><a href="#{place}"><span>{text}</span>{number}</a></li>')
    return f"<h1>Contents</h1>\n<ol>{''.join(lines)}</ol>"


def document(book: list[Chapter], *, name: str, topic: str, facts: list[str]) -> str:
    """Return the document of all chapters, with the title page `name`, `topic` and `facts`, and the contents."""
    rules, articles = [paper.heads(name, "Contents", "contents")], []
    for position, chapter in enumerate(book):
        rules.append(paper.heads(name, _words(chapter.headings[0][2]), f"part{position}"))
        articles.append(f'<article class="bd-article" style="page: part{position}">{chapter.article}</article>')
    title = f'<p class="name">{html.escape(name)}</p><p class="topic">{html.escape(topic)}</p>' + "".join(
        f'<p class="small">{html.escape(fact)}</p>' for fact in facts
    )
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light" data-whole>
<head><meta charset="utf-8" /><title>{html.escape(f"{name}: {topic}")}</title>
<link rel="stylesheet" href="../html/_static/site.css" />
<style>{_fonts()}{STYLE.read_text(encoding="utf-8")}{"".join(rules)}</style></head>
<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">
<div class="book-title"><img src="../html/_static/logo.svg" alt="" />{title}</div>
<article class="bd-article book-contents">{contents(book)}</article>
{"".join(articles)}
</div></div></main></body></html>
"""


def _fonts() -> str:
    """Return the pages' text fonts once more, for a document that waits for them."""
    faces = {"regular": "", "italic": "font-style:italic;", "semibold": "font-weight:600 800;"}
    return "".join(
        f'@font-face{{font-family:"First Step Serif";{style}font-display:block;'
        f'src:url(../html/_static/fonts/serif-{face}.woff2) format("woff2")}}'
        for face, style in faces.items()
    )


# ------------------------------------------------------------------------------------------------- how it is printed


def places(pdf: Path) -> dict[str, int]:
    """Return the number of the page on which each target of a link lies, and under "" that of the last page."""
    from pypdf import PdfReader

    reader = PdfReader(pdf)
    numbers = {page.indirect_reference.idnum: number for number, page in enumerate(reader.pages, start=1)}
    found = {"": len(reader.pages)}
    for name, target in reader.named_destinations.items():
        found[name.removeprefix("/")] = numbers[target.raw_get("/Page").idnum]
    return found


def dated(pdf: bytes, day: str) -> bytes:
    """Return a PDF that names the `day` (YYYYMMDD) as the time when it was made, at every place the same."""
    return re.sub(rb"\(D:\d{14}", b"(D:" + day.encode() + b"000000", pdf)


def packed(pdf: bytes) -> bytes:
    """Return the same PDF with its objects in compressed streams; Chromium writes each as text, half of all bytes."""
    import pikepdf

    smaller = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf)) as book:
        book.save(smaller, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)
    return smaller.getvalue()


_NUMBER = """(pages) => [...document.querySelectorAll('[data-of]')].map((at) => {
  at.textContent = pages[at.dataset.of] ?? '?';
  return at.dataset.of;
})"""


def printed(page: Any, draft: Path, target: Path, *, day: str = NO_DATE, steps: Any = None) -> int:
    """Print the document `draft` into `target`, with the numbers of its pages in its contents; return how many pages.

    It is opened in `page`, a page of Playwright's Chromium.

    Raises
    ------
    RuntimeError
        If an entry of the contents is not on the page that it names.
    """
    page.goto(draft.resolve().as_uri())
    page.evaluate("document.fonts.ready")
    found: dict[str, int] = {}
    for attempt in ("first", "second"):
        if steps is not None:
            steps.set_description(f"printing, {attempt} time")
        page.pdf(path=target, prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
        before, found = found, places(target)
        named = page.evaluate(_NUMBER, found)
        if steps is not None:
            steps.update()
    moved = [place for place in named if before.get(place) != found.get(place) or place not in found]
    if moved:
        raise RuntimeError(f"the contents name another page than that of {moved[0]}: their length has changed")
    replace_file(target, packed(dated(target.read_bytes(), day)))
    return found[""]


def facts(citation: dict[str, Any]) -> list[str]:
    """Return what the title page says below the title: the authors, and the version with its date if there is one."""
    authors = ", ".join(
        author.get("name") or f"{author['given-names']} {author['family-names']}" for author in citation["authors"]
    )
    when = f", {citation['date-released']}" if citation.get("date-released") else ""
    return [authors, f"Version {citation['version']}{when}", "Text: CC BY 4.0. Code: MIT."]


def main() -> int:
    from playwright.sync_api import sync_playwright

    options = system_parts.browser()
    if options is None:
        part = system_parts.PARTS["browser"]
        print(f"The PDF needs a Chromium or Chrome, and {part.lacks()}.\n{part.advice}.", file=sys.stderr)
        return 1
    if site.main():
        return 1
    toc, config, citation = (
        yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
        for name in ("_toc.yml", "_config.yml", "CITATION.cff")
    )
    name, _, topic = config["title"].partition(": ")
    with tqdm(total=len(order(toc)) + 2, desc="joining pages", unit="step") as steps:
        book = []
        for chapter in chapters(site.HTML, toc):
            book.append(chapter)
            steps.update()
        text = document(book, name=name, topic=topic, facts=facts(citation))
        replace_file(DRAFT, text.encode("utf-8"))
        day = str(citation.get("date-released") or NO_DATE).replace("-", "")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(**options, args=["--no-sandbox"])
            count = printed(browser.new_page(), DRAFT, PDF, day=day, steps=steps)
            browser.close()
    size = f"{count} pages and {PDF.stat().st_size / 1e6:.0f} MB"
    offers.offer(site.HTML, toc["root"], PDF, f"The whole book as a PDF: {size}")
    print(f"\n{PDF.relative_to(ROOT).as_posix()} has {size}. The site's first page offers it, too.")
    return 0


if __name__ == "__main__":
    argparse.ArgumentParser("make pdf", description=(__doc__ or "").partition("\n")[0]).parse_args()
    sys.exit(main())
