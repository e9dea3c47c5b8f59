"""Where a page stands alone: opened as a file, or shown by a host in place of one that is not there."""

import http.server
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as Never
from test_reading import inaccessible

from tools import excerpts, offline, pages

# --------------------------------------------------------------------------------------------- a page that is not there


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """Serve `folder` as a host does: where nothing stands, it answers with the nearest 404.html."""

    class Host(http.server.SimpleHTTPRequestHandler):
        def send_error(self, code: int, *_: object) -> None:
            body = next(folder.rglob("404.html")).read_bytes()
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body if self.command == "GET" else b"")

        def log_message(self, *_: object) -> None:
            """Say nothing about requests."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("gone", ["gone.html", "book/old/gone.html", "a/b/c/d.html"])
def test_missing_page_leads_on_from_any_depth(page: Page, built_site: Path, gone: str) -> None:
    with hosted(built_site.parent) as host:
        page.goto(f"{host}/html/{gone}")
        page.wait_for_function("() => document.links[0].href.endsWith('/html/book/index.html')")
        page.get_by_label("Search the book").fill("orthogonal")
        page.get_by_role("button", name="Search").click()
        page.locator("#search-results a").first.wait_for()
        page.go_back()
        page.wait_for_function("() => document.links[0].href.endsWith('/html/book/index.html')")
        page.get_by_role("link", name="Biases").click()
        assert page.title().startswith("Biases")


def test_missing_page_is_accessible_and_in_the_site(page: Page, address: str) -> None:
    page.goto(f"{address}/404.html")
    assert inaccessible(page) == []


def test_missing_page_of_a_known_address_needs_no_script() -> None:
    page = pages.missing_page("Title", [("book/index", "Start & go")], "https://example.org/book")
    assert '<a href="https://example.org/book/book/index.html">Start &amp; go</a>' in page
    assert 'action="https://example.org/book/search.html"' in page
    assert "<script" not in page
    assert "<script" in pages.missing_page("Title", [], "")


# --------------------------------------------------------------------------------------------------------- excerpts

ARTICLE = """<article class="bd-article"><section id="one"><span id="label"></span><h1>One</h1>
<p class="chapter-facts">facts</p><div class="cell"><div>code</div></div><p>First <b>words</b>.</p><p>Second.</p>
<section id="two"><h2>Two</h2><section id="three"><h3>Three</h3><p>Deep.</p></section></section>
<dl><dt id="term-x">x</dt><dd><p>an <dl><dd>inner</dd></dl> x</p></dd></dl><div class="math" id="eq"><div>f</div></div>
<section class='claim claim-holds' id='claim-5'><p>Claimed.</p><p>More.</p></section></section></article>"""


@pytest.mark.parametrize(
    ("anchor", "has", "lacks"),
    [
        ("", ["One", "First <b>words</b>."], ["facts", "code", "Second", "Two"]),
        ("label", ["One", "First"], ["Second"]),
        ("two", ["Two"], ["Three", "Deep"]),
        ("three", ["Three", "Deep."], ["claim"]),
        ("term-x", ["x</dt>", "an <dl><dd>inner</dd></dl> x"], ["Claimed"]),
        ("eq", ["<div>f</div>"], ["Claimed"]),
        ("claim-5", ["Claimed.", "More."], ["</article>"]),
    ],
)
def test_excerpt_is_what_a_link_leads_to(anchor: str, has: list[str], lacks: list[str]) -> None:
    text = excerpts.excerpt(ARTICLE, anchor)
    assert [part for part in has if part not in text] + [part for part in lacks if part in text] == []
    assert all(text.count(f"<{tag}") == text.count(f"</{tag}>") for tag in ("section", "div", "p", "dl"))


def test_excerpts_are_those_that_links_need() -> None:
    link = '<article class="bd-article"><a class="reference internal" href="{}">x</a></article>'
    script = excerpts.script(
        {
            "book/a.html": ARTICLE,
            "book/b.html": link.format("a.html#eq"),
            "c.html": link.format("book/a.html"),
            "book/d.html": link.format("gone.html#x"),
        }
    )
    assert re.findall(r'^"(.*?)": ', script, re.MULTILINE) == ["book/a.html", "book/a.html#eq"]
    assert excerpts.excerpt(ARTICLE, "gone") == ""


# --------------------------------------------------------------------------------------------------- opened as a file


@pytest.fixture(scope="module")
def unzipped(built_site: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pack the site, unpack it, and return the address of its folder."""
    folder = tmp_path_factory.mktemp("offline site")  # with a blank, as a folder of downloads may have one
    offline.pack(built_site, folder / "site.zip")
    with zipfile.ZipFile(folder / "site.zip") as archive:
        archive.extractall(folder)
    return (folder / "site").as_uri()


def file_faults(page: Page, address: str, patience: int = 4000) -> list[str]:
    """Use what the README promises of pages that are opened as files, and the menu, and return what does not work."""
    page.set_default_timeout(patience)
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"error: {error}"))

    def works(what: str, use: Callable[[], object]) -> None:
        try:
            if use() is False:
                found.append(what)
        except Never:
            found.append(what)

    def preview(selector: str, words: str) -> None:
        page.locator(f".bd-article {selector}").first.hover()
        page.locator(".preview", has_text=words).wait_for()
        page.keyboard.press("Escape")
        page.mouse.move(1, 1)

    page.goto(f"{address}/index.html")
    page.wait_for_url("**/book/index.html")
    page.locator("init-lab").scroll_into_view_if_needed()
    works("figure", lambda: page.wait_for_function("() => document.querySelector('init-lab').drawn > 0"))
    works("preview of another page", lambda: preview("p a[href*='01_symmetry.html']", "Symmetry"))
    page.goto(f"{address}/book/02_zero.html")
    works("preview of this page", lambda: preview("p a.reference.internal[href^='#']", ""))
    works("preview of a term", lambda: preview("a[href*='#term-replica']", "draw"))
    works("preview of a source", lambda: preview("a[href*='references.html#']", "Rumelhart"))
    works("fold", lambda: page.locator("summary").first.click() or page.locator("details[open]").count() > 0)
    works("fold by its address", lambda: folded(page))
    works("measured boxes", lambda: page.wait_for_function("() => document.querySelector('[data-measured]')"))
    works("menu", lambda: page.locator(".primary-toggle").click() or page.locator(".pst-sidebar-hidden").count() == 1)
    page.goto(f"{address}/book/22_ledger.html")
    works("filter", lambda: page.get_by_label("Words").fill("orthogonal"))
    works("filter's rows", lambda: page.wait_for_function("() => document.querySelector('.ledger [hidden]')"))
    page.locator(".bd-header-article .search-button").click()
    page.keyboard.type("orthogonal")
    page.keyboard.press("Enter")
    works("search", lambda: page.locator("#search-results a").first.wait_for())
    works(
        "search's page", lambda: page.locator("#search-results a").first.click() or page.locator("h1").first.wait_for()
    )
    return found


def folded(page: Page) -> bool:
    """Whether a link to something in a fold opens the fold."""
    inside = page.evaluate("document.querySelector('details:not([open]) :is(p, div, pre)').id ||= 'inside'")
    page.evaluate("(name) => { location.hash = name }", inside)
    return bool(page.locator(f"details[open] [id='{inside}']").count())


def test_site_works_opened_as_files(page: Page, unzipped: str) -> None:
    assert file_faults(page, unzipped) == []


def test_modules_opened_as_files_are_found(page: Page, unzipped: str) -> None:
    """What was wrong before: a page that is opened as a file loads no module, and fetches nothing."""
    page.route(
        "**/*.js*",
        lambda route: route.abort() if re.search("init-lab|excerpts", route.request.url) else route.continue_(),
    )
    found = file_faults(page, unzipped, patience=2000)
    assert found[:2] == ["figure", "preview of another page"]
    assert "preview of this page" not in found
