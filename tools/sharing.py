"""What a page says of itself: to those who link to it, cite it or find a fault in it.

A description and a title go on every page. What needs the site's address (its picture, its canonical address, the site
map) is there when ``html.baseurl`` of ``_config.yml`` is set, and the link that reports an error when
``repository.url`` is. The edition follows from ``pyproject.toml`` and ``CHANGELOG.md``, never from a clock.
"""

import html
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin

import yaml
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

from . import formulas, offline
from .files import ROOT

SHORT, LONG = 200, 300  # characters: up to the first, sentences are added; no description is longer than the second
SITEMAP = "sitemap.xml"
PDF = f"{offline.NAME}.pdf"
_NOT_PROSE = {"chapter-facts", "further-facts", "topic"}
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[^a-z\s])")
_RELEASE = re.compile(r"^## \[(?P<version>\d[^\]]*)\] - (?P<date>\d{4}-\d\d-\d\d)\s*$", re.MULTILINE)
_PICTURE = re.compile(r'<img\b[^>]*?\bsrc="(?:\.\./)*(_images/[^"?]+\.png)"')


# --------------------------------------------------------------------------------------------------------- descriptions


def description(doctree: nodes.document, said: Any = lambda tex: tex) -> str:
    """Return the first sentences of a page, whole, with formulas as text; "" if its sections begin with none.

    `said` turns the TeX of a formula into text.
    """
    sentences = [sentence for paragraph in _paragraphs(doctree) for sentence in _SENTENCE.split(_line(paragraph, said))]
    text = next(iter(sentences), "")
    for sentence in sentences[1:]:
        if len(text) + 1 + len(sentence) > SHORT:
            break
        text = f"{text} {sentence}"
    return text if len(text) <= LONG else f"{text[:LONG].rsplit(' ', 1)[0]} …"


def _paragraphs(doctree: nodes.document) -> list[nodes.paragraph]:
    every = [node for node in doctree.findall(nodes.paragraph) if not _NOT_PROSE & set(node["classes"])]
    return [node for node in every if isinstance(node.parent, nodes.section)]


def _line(node: nodes.Node, said: Any) -> str:
    if isinstance(node, nodes.math):
        return said(node.astext())
    if isinstance(node, nodes.Text):
        return node.astext()
    words = "".join(_line(child, said) for child in node.children)
    return " ".join(words.split()) if isinstance(node, nodes.paragraph) else words


# ------------------------------------------------------------------------------------------------------- the edition


def edition(root: Path = ROOT) -> str:
    """Return what a page says of its version: with the date of its release, if the changelog has released it."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    released = {found["version"]: found["date"] for found in _RELEASE.finditer(_changelog(root))}
    return (
        f"Version {version} of {released[version]}" if version in released else f"Version {version}, not yet released"
    )


def _changelog(root: Path) -> str:
    return (root / "CHANGELOG.md").read_text(encoding="utf-8")


def bibtex(root: Path = ROOT) -> str:
    """Return the entry for a bibliography that ``CITATION.cff`` asks for."""
    cited = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    authors = " and ".join(
        f"{{{who['name']}}}" if "name" in who else f"{who['family-names']}, {who['given-names']}"
        for who in cited["authors"]
    )
    fields = {
        "title": f"{{{cited['title']}}}",
        "author": authors,
        "version": cited["version"],
        "year": str(cited.get("date-released", ""))[:4],
        "doi": cited.get("doi", ""),
        "url": cited.get("url", ""),
    }
    lines = [f"  {name.ljust(7)} = {{{value}}}" for name, value in fields.items() if value]
    return "@software{initnotes,\n" + ",\n".join(lines) + "\n}\n"


# ------------------------------------------------------------------------------------------- what a page's head has


def _tag(name: str, content: object) -> str:
    kind = "name" if name.startswith(("twitter:", "description")) else "property"
    return f'<meta {kind}="{name}" content="{html.escape(str(content), quote=True)}" />'


def tags(title: str, told: str, site: str, *, url: str = "", picture: tuple[str, Path] | None = None) -> str:
    """Return the tags that a link to a page is shown with; `picture` is its address and its file."""
    found = {
        "description": told,
        "og:type": "article",
        "og:site_name": site,
        "og:title": title,
        "og:description": told,
        "twitter:card": "summary_large_image" if picture else "summary",
    }
    if url:
        found["og:url"] = url
    if picture:
        address, file = picture
        found["og:image"] = address
        with Image.open(file) as image:
            found |= {"og:image:width": str(image.width), "og:image:height": str(image.height)}
    return "".join(f"\n    {_tag(name, content)}" for name, content in found.items())


def _picture(app: Sphinx, body: str) -> str:
    """Return the page's first figure, or the book's, inside of the site."""
    found = _PICTURE.search(body)
    if found:
        return found[1]
    root = app.config.root_doc
    names = [name for docs, name in app.env.images.values() if root in docs and name.endswith(".png")]
    return f"_images/{names[0]}" if names else ""


def _file_of(app: Sphinx, picture: str) -> Path:
    """Return where the picture comes from: it is copied only when all pages are written."""
    name = picture.rpartition("/")[2]
    return next(Path(app.srcdir, uri) for uri, (_, known) in app.env.images.items() if known == name)


def _share(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    base = _base(app)
    site = str(app.config.html_title)

    def said(tex: str) -> str:
        return formulas.as_text(app.katex, tex, display=False)  # type: ignore[attr-defined]

    if doctree is None:
        title = html.unescape(re.sub(r"<[^>]*>", "", str(context.get("title", "")))) or {"genindex": "Index"}.get(
            pagename, pagename
        )
        told = f"{title.capitalize()}. {site}."
    else:
        title = app.env.titles[pagename].astext()
        told = description(doctree, said) or f"{title}. {site}."
    name = _picture(app, context.get("body", "")) if base else ""
    picture = (urljoin(base, name), _file_of(app, name)) if name else None
    url = urljoin(base, f"{pagename}.html") if base else ""
    context["metatags"] = context.get("metatags", "") + tags(title, told, site, url=url, picture=picture)
    context |= {"edition": edition(Path(app.srcdir)) if (Path(app.srcdir) / "pyproject.toml").is_file() else ""}
    context |= {"downloads": _downloads(base), "report_error": _report(app, pagename, url)}
    if base:
        context["metatags"] += (
            f'\n    <link rel="sitemap" type="application/xml" href="{"../" * pagename.count("/")}{SITEMAP}" />'
        )


def _base(app: Sphinx) -> str:
    address = str(app.config.html_baseurl or "")
    return f"{address.rstrip('/')}/" if address else ""


def _downloads(base: str) -> list[tuple[str, str]]:
    """Return what the publishing workflow puts beside the pages, so the links are right where it has published."""
    return [("PDF", urljoin(base, PDF)), ("zip to read offline", urljoin(base, offline.ZIP.name))] if base else []


def _report(app: Sphinx, pagename: str, url: str) -> str:
    """Return where a reader reports an error of a page: an issue that names it."""
    address = str(app.config.html_theme_options.get("repository_url") or "").rstrip("/")
    asked = {"title": f"Error in {pagename}", "body": f"Page: {url or pagename}\n\n"}
    return f"{address}/issues/new?{urlencode(asked, quote_via=quote)}" if address else ""


def sitemap(base: str, names: list[str]) -> str:
    """Return the list of pages for search engines.

    Examples
    --------
    >>> "<loc>https://example.org/a/book/x.html</loc>" in sitemap("https://example.org/a/", ["book/x"])
    True
    """
    lines = [f"  <url><loc>{html.escape(urljoin(base, f'{name}.html'))}</loc></url>\n" for name in names]
    head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{''.join(lines)}</urlset>\n"


def _write(app: Sphinx, error: Exception | None) -> None:
    if not error and app.builder.format == "html" and _base(app):
        text = sitemap(_base(app), sorted(app.env.found_docs))
        Path(app.outdir, SITEMAP).write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what a page says of itself."""
    app.add_css_file("sharing.css")
    app.connect("html-page-context", _share, priority=850)
    app.connect("build-finished", _write, priority=800)  # before what is not needed is removed
    return {"parallel_read_safe": True, "parallel_write_safe": False}
