"""The built site in a real browser, at phone and desktop width; and the sandbox that later parts rely on."""

import functools
import gzip
import http.server
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page

from tools import notebooks, offline, pages, system_parts

Serve = Callable[[Path], AbstractContextManager[str]]

WIDTHS = (1280, 390)  # a page opens at 1280
PAGE_BYTES = 300_000  # gzip: text, style, scripts and fonts of a page, without its pictures
VIOLATION = """document.addEventListener("securitypolicyviolation",
    (event) => console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`));"""


def watched(page: Page) -> list[str]:
    """Return a list to which all is added that goes wrong on the page from now on."""
    found: list[str] = []

    def console(message: object) -> None:
        if message.type == "error":
            found.append(f"console error: {message.text} ({message.location.get('url', '')})")

    def request(sent: object) -> None:
        if urlsplit(sent.url).scheme in ("http", "https") and urlsplit(sent.url).hostname != "127.0.0.1":
            found.append(f"request to another host: {sent.url}")

    def response(answer: object) -> None:
        if answer.status >= 400:
            found.append(f"status {answer.status}: {answer.url}")

    page.add_init_script(VIOLATION)
    page.on("console", console)
    page.on("request", request)
    page.on("response", response)
    page.on("pageerror", lambda error: found.append(f"page error: {error}"))
    return found


def unfit(page: Page) -> list[str]:
    """Return what does not fit the open page at every width, and its images without a text."""
    found = []
    page.evaluate("document.documentElement.dataset.whole = ''")  # lays out what is far below, too
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if overflow > 0:
            found.append(f"{overflow} px too wide at {width} px: {page.evaluate(WIDEST)}")
    silent = "img => !img.alt.trim() && img.getAttribute('role') !== 'presentation'"
    sources = page.evaluate(f"[...document.images].filter({silent}).map(img => img.src)")
    return found + [f"image without alt text: {source}" for source in sources]


def faults(page: Page, url: str) -> list[str]:
    """Open `url` and return what is wrong with the page."""
    found = watched(page)
    page.goto(url, wait_until="load")
    return unfit(page) + found


WIDEST = """[...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .slice(0, 3).map(e => e.tagName + '.' + e.className).join(', ')"""


META = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'self'\">"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<script>throw new Error('planted')</script>", "page error"),
        ("<script>console.error('planted')</script>", "console error"),
        (f"{META}<script>'planted'</script>", "policy violation: script-src-elem inline"),
        ("<img src='/favicon.svg'>", "image without alt text"),
        ("<img src='/gone.png' alt='gone'>", "status 404"),
        ("<div style='width: 500px'>wide</div>", "too wide at 390 px"),
        ("<script src='https://example.org/x.js'></script>", "request to another host"),
    ],
)
def test_planted_fault_is_caught(page: Page, tmp_path: Path, serve: Serve, body: str, fault: str) -> None:
    (tmp_path / "index.html").write_text(f"<!doctype html><title>x</title><link rel=icon href=data:,>{body}")
    with serve(tmp_path) as url:
        found = faults(page, url)
    assert any(fault in line for line in found)


@functools.cache
def zipped(content: bytes) -> int:
    return len(gzip.compress(content))


def weight(page: Page, url: str) -> tuple[int, int]:
    """Return the bytes of a page and what it loads but pictures, gzipped, and how many files these are."""
    answers = []
    page.on("response", lambda answer: answer.request.resource_type != "image" and answers.append(answer))
    page.goto(url, wait_until="networkidle")
    page.evaluate("document.fonts.ready.then(() => true)")
    return sum(zipped(answer.body()) for answer in answers), len(answers)


def test_weight_counts_what_is_loaded(page: Page, tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "x.js").write_bytes(bytes(PAGE_BYTES) + b"//" + repr([hash((n,)) for n in range(40_000)]).encode())
    (tmp_path / "index.html").write_text(
        "<!doctype html><title>x</title><link rel=icon href=data:,><script src=x.js></script>"
    )
    with serve(tmp_path) as url:
        assert weight(page, url)[0] > PAGE_BYTES


@pytest.mark.parametrize(("term", "page_of_it"), [("saturated", "book/glossary.html"), ("pytorch", "book/06_he.html")])
def test_search_finds(page: Page, address: str, term: str, page_of_it: str) -> None:
    assert faults(page, f"{address}/book/index.html") == []
    page.keyboard.press("Control+k")
    page.keyboard.type(term)
    page.keyboard.press("Enter")
    link = page.locator(f"#search-results a[href*='{page_of_it}']").first
    link.wait_for()
    link.click()
    page.wait_for_url(re.compile(re.escape(page_of_it)))
    assert term in (page.locator("article").text_content() or "").lower()


def test_extracts_of_a_search_show_a_formula_once(page: Page, address: str) -> None:
    page.goto(f"{address}/search.html?q=assumptions+independent")
    page.locator("#search-results .context").first.wait_for()
    extracts = " ".join(page.locator("#search-results .context").all_inner_texts())
    assert "\\" not in extracts  # TeX, which the MathML quotes


# ------------------------------------------------------------------------------------------------------------ links


class _Ends(HTMLParser):
    """Collects the anchors of a page and where its links and files lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in ("href", "src"):
                self.targets.add(value or "")


def broken_links(folder: Path) -> list[str]:
    """Return every link of a page in `folder` whose file or anchor is not there, and every file of another host."""
    ends = {path.resolve(): _Ends(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    found = []
    for path, page in ends.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            missing = file in ends and parts.fragment and unquote(parts.fragment) not in ends[file].anchors
            if not file.is_file() or missing:
                found.append(f"{path.name}: {target}")
    return sorted(found)


def test_every_link_and_anchor_is_there(built_site: Path) -> None:
    assert broken_links(built_site) == []


@pytest.mark.parametrize("link", ["other.html#gone", "gone.html", "#gone", "sub/x.png"])
def test_planted_broken_link_is_caught(tmp_path: Path, link: str) -> None:
    (tmp_path / "other.html").write_text("<p id='there'><a href='index.html'>back</a>")
    (tmp_path / "index.html").write_text(f"<a href='other.html#there'>x</a><a href='{link}'>y</a>")
    assert broken_links(tmp_path) == [f"index.html: {link}"]


# ------------------------------------------------------------------------------------------------ what is published


def unfit_files(folder: Path) -> list[str]:
    """Return what must not be published: source maps, files of no page or another host, pages without a policy."""
    kept = pages.reachable(folder.resolve())
    found = []
    for path in sorted(path for path in folder.resolve().rglob("*") if path.is_file() and path.name[0] != "."):
        name = path.relative_to(folder.resolve()).as_posix()
        text = path.read_text(encoding="utf-8") if path.suffix in (".html", ".css", ".js") else ""
        if path.suffix == ".map" or "sourceMappingURL" in text:
            found.append(f"{name}: a source map")
        if path not in kept and name != "objects.inv":
            found.append(f"{name}: no page needs it")
        if path.suffix == ".html" and "default-src 'none'" not in text:
            found.append(f"{name}: no policy")
        loads = (
            r"<(?:script|img|source|iframe)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
            r"|<link\b(?![^>]*rel=\"canonical\")[^>]*href=[\"']?(?:https?:)?//"
        )
        if re.search(loads, text) or re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", text):
            found.append(f"{name}: loads from another host")
    return found


def test_only_what_is_needed_is_published(built_site: Path) -> None:
    assert unfit_files(built_site) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("x.js.map", "", "a source map"),
        ("x.js", "", "no page needs it"),
        ("x.css", "a { background: url(//example.org/x.png) }", "loads from another host"),
        ("y.html", "<p>default-src 'none'<script defer src='https://example.org/x.js'></script>", "another host"),
        ("y.html", "<p>", "no policy"),
    ],
)
def test_planted_unfit_file_is_caught(tmp_path: Path, file: str, text: str, fault: str) -> None:
    (tmp_path / "index.html").write_text("<p>default-src 'none'")
    assert unfit_files(tmp_path) == []
    (tmp_path / file).write_text(text)
    assert any(line.startswith(file) and fault in line for line in unfit_files(tmp_path))


def test_formulas_have_the_renderers_style(built_site: Path) -> None:
    script = (notebooks.ROOT / "tools" / "katex" / "katex.min.js").read_text(encoding="utf-8")
    style = (notebooks.ROOT / "tools" / "katex" / "katex.min.css").read_text(encoding="utf-8")
    assert ".katex .katex-base" in (built_site / "_static" / "site.css").read_text(encoding="utf-8")
    version = re.search(r'katex-version:+after\{content:"([\d.]+)"', style).group(1)
    assert f'"{version}"' in script
    for page in (built_site / "book").glob("0*.html"):
        text = page.read_text(encoding="utf-8")
        assert text.count('class="katex"') == text.count("<math ") > 50
        assert "katex-error" not in text


def test_no_link_shows_the_tex_of_a_title(built_site: Path) -> None:
    shown = [line for page in built_site.rglob("*.html") for line in re.findall(r'std-ref">([^<]*)', page.read_text())]
    assert len(shown) > 100
    assert [line for line in shown if "\\" in line] == []


CUT = """[...document.querySelectorAll("div.math")].map(box => {
    const formula = box.querySelector(".katex-display");
    const number = box.querySelector(".eqno")?.getBoundingClientRect();
    return {
        wide: formula.scrollWidth > formula.clientWidth,
        cut: box.querySelector(".katex-html").getBoundingClientRect().left < box.getBoundingClientRect().left - 1
            || number && number.right > document.documentElement.clientWidth,
    };
})"""


def test_wide_formula_shows_its_beginning_and_its_number(page: Page, address: str) -> None:
    page.set_viewport_size(
        {"width": 200, "height": 900}
    )  # a formula breaks, so that only the narrowest screen cuts one
    page.goto(f"{address}/book/06_he.html")
    page.evaluate("document.documentElement.dataset.whole = ''")
    formulas = page.evaluate(CUT)
    assert any(formula["wide"] for formula in formulas)
    assert not any(formula["cut"] for formula in formulas)
    as_in_theme = ".bd-article div.math > .katex-display { overflow: visible !important; flex: none !important }"
    page.add_style_tag(content=as_in_theme)
    assert any(formula["cut"] for formula in page.evaluate(CUT))


OVERFLOWING = """() => {
    document.documentElement.dataset.whole = "";
    for (const fold of document.querySelectorAll(".bd-article details")) fold.open = true;
    return [...document.querySelectorAll(".bd-article .katex-display")]
        .filter((formula) => formula.scrollWidth > formula.clientWidth + 1)
        .map((formula) => [
            formula.closest("section.further, details") ? "further" : "main line",
            formula.scrollWidth - formula.clientWidth,
            formula.querySelector("annotation").textContent.trim(),
        ]);
}"""


def overflowing(page: Page, url: str, width: int) -> list[tuple[str, int, str]]:
    """Return the displayed formulas that are wider than their column: where, by how much, and what."""
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(url)
    return page.evaluate(OVERFLOWING)


@pytest.mark.parametrize("name", notebooks.toc_files())
def test_formulas_fit_the_column(page: Page, address: str, name: str) -> None:
    assert overflowing(page, f"{address}/{name}.html", 1280) == []


@pytest.mark.parametrize("name", [name for name in notebooks.toc_files() if re.search("/(refresher|0[1-8]_)", name)])
def test_formulas_of_the_main_line_fit_a_phone(page: Page, address: str, name: str) -> None:
    wide = overflowing(page, f"{address}/{name}.html", 390)
    assert [formula for formula in wide if formula[0] == "main line"] == []


def test_formula_that_overflows_is_caught(page: Page, address: str) -> None:
    assert overflowing(page, f"{address}/book/06_he.html", 200) != []


# ---------------------------------------------------------------------------------------------------------- offline


def test_zip_reads_without_a_network(built_site: Path, tmp_path: Path, page: Page, serve: Serve) -> None:
    first, second = tmp_path / "site.zip", tmp_path / "again" / "site.zip"
    second.parent.mkdir()
    offline.pack(built_site, first)
    offline.pack(built_site, second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        archive.extractall(tmp_path)
    with serve(tmp_path) as url:
        page.goto(f"{url}/site/")
        page.wait_for_url("**/site/book/index.html")
        assert faults(page, f"{url}/site/book/06_he.html") == []
        assert reads(page)
        page.goto(f"{url}/site/search.html?q=orthogonal")
        page.locator("#search-results li a").first.wait_for()
    assert page.goto((tmp_path / "site" / "book" / "06_he.html").as_uri())
    assert reads(page)


def reads(page: Page) -> bool:
    """Whether formulas are typeset with the book's fonts, and every picture is there."""
    page.evaluate("[...document.images].forEach(i => { i.loading = 'eager' })")
    page.evaluate("() => Promise.all([...document.images].map(i => i.decode().catch(() => {})))")
    pictures = page.evaluate("[...document.images].every(i => i.naturalWidth > 0) && document.images.length > 3")
    fonts = page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
    formula = page.locator(".katex math").first
    return pictures and "KaTeX_Main" in fonts and formula.count() == 1


# ------------------------------------------------------------------------------------------------------- the builds


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Return a book of three pages with the real configuration; a preview shows the picture of the third."""
    shutil.copy(notebooks.ROOT / "_config.yml", tmp_path)
    shutil.copytree(notebooks.ROOT / "book" / "assets", tmp_path / "book" / "assets")
    (tmp_path / "references.bib").write_text("")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: book/other\n  - file: book/third\n"
    )
    (tmp_path / "book" / "third.md").write_text("# Third\n\n![x](assets/cover.png)\n")
    (tmp_path / "book" / "index.md").write_text("# Small\n\nSee {ref}`there`, and $x^2$, and [more](third.md).\n")
    (tmp_path / "book" / "other.md").write_text("# Other\n\n(there)=\n## A place\n\nText.\n")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_changed_pages_are_built_as_from_nothing_and_each_warning_fails(
    book: Path, build: Callable[[Path], int], capfd: pytest.CaptureFixture[str]
) -> None:
    """A build takes seconds, so one book lives through all: stale pages would stay to the end of the changes."""
    index, other, html = book / "book" / "index.md", book / "book" / "other.md", book / "_build" / "html"
    mine = book / "book" / "my"  # a learner's own copies, however broken, are no part of the site
    mine.mkdir()
    (mine / "01_small.md").write_text("See {ref}`elsewhere`.\n")

    def change(page: Path, old: str, new: str) -> str:
        """Change a page, build, and return what the build warned of; an empty text if it passed."""
        assert old in page.read_text()
        page.write_text(page.read_text().replace(old, new))
        passed = build(book) == 0
        warnings = re.sub(r"\x1b\[\d+m", "", capfd.readouterr().err)
        assert passed != ("WARNING" in warnings), warnings
        return warnings

    assert change(index, "# Small", "# Small") == ""
    assert build(book) == 0
    assert "up to date" in capfd.readouterr().out
    assert change(other, "## A place", "## Another place") == ""  # another page names it
    assert "Another place" in (html / "book" / "index.html").read_text()
    assert change(other, "Text.", "[The first of its class]{.objectives}, and $y$.") == ""  # in all pages' style sheet
    assert change(other, "The first", "The very first") == ""  # concerns no other page, so they stay as published
    after_changes = contents(html)
    shutil.rmtree(book / "_build")
    assert change(other, "# Other", "# Other") == ""
    assert after_changes == contents(html)
    for old, new in [("(there)=\n", ""), ("$y$", r"$\nomacro$")]:  # the page with the link does not change
        warnings = change(other, old, new)
        assert "index.md:3: WARNING: undefined label: 'there'" in warnings
    assert "other.md:5: WARNING: KaTeX cannot render" in warnings
    assert "book/my" not in warnings


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for the browser")
def test_browser_that_does_not_start_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "chromium"
    fake.write_text("#!/bin/sh\necho 'please install me' >&2\nexit 1\n")
    fake.chmod(0o755)
    assert system_parts.starts({"executable_path": str(fake)}) is None
    tried: list[dict[str, str]] = []
    monkeypatch.setattr(system_parts, "starts", tried.append)
    monkeypatch.setattr(system_parts.sys, "platform", "darwin")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system_parts.browser.__wrapped__() is None
    assert tried == [{"executable_path": str(fake)}, {"channel": "chrome"}, {}]


def test_sandbox_starts(sandbox: list[str]) -> None:
    assert subprocess.run([*sandbox, "true"]).returncode == 0


def test_sandbox_has_no_network(sandbox: list[str]) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        reach = f"import socket; socket.create_connection(('127.0.0.1', {server.server_address[1]}), timeout=5).close()"
        assert subprocess.run([sys.executable, "-c", reach]).returncode == 0
        refused = subprocess.run([*sandbox, sys.executable, "-c", reach], capture_output=True, text=True)
    assert "ConnectionRefusedError" in refused.stderr or "Network is unreachable" in refused.stderr


def test_sandbox_writes_nothing(sandbox: list[str], tmp_path: Path) -> None:
    file = tmp_path / "x"
    done = subprocess.run([*sandbox, "touch", str(file)], capture_output=True, text=True)
    assert "Read-only file system" in done.stderr
    assert not file.exists()
