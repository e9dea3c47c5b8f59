"""What tests share: system parts that may be missing, small notebooks, and the built site."""

import functools
import http.server
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lab_pages
import nbformat
import pytest
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # as `make test` sets it: two threads lose much on a busy machine

from tools import notebooks, site, system_parts

if TYPE_CHECKING:
    from initgrade.course import Course

notebooks.own_folders()

BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


WHOLE = {
    "browser",
    "chromium",
    "build",
}  # fixtures that start a browser or build pages: `make integration` runs their tests

collect_ignore = [path.name for path in Path(__file__).parent.glob("[!c]*.py") if not path.name.startswith("test_")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that gets a browser or builds pages, itself or through a fixture."""
    for item in items:
        if WHOLE & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        """Say nothing about requests."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _needs(part: str, request: pytest.FixtureRequest) -> None:
    why = system_parts.PARTS[part].lacks()
    if not why:
        return
    system_parts.record(part, request.node.nodeid)
    if system_parts.under_ci():
        pytest.fail(f"{why}; under CI nothing may be left out")
    pytest.skip(why)


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> list[str]:
    """Return the start of a command line that runs a program in a sandbox: no network, nothing writable."""
    _needs("sandbox", request)
    return ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent"]


@pytest.fixture(scope="session")
def build() -> Callable[..., int]:
    """Return what builds the pages of a book, this one if no other's root is given, and returns 0 without a warning."""
    return site.build


@pytest.fixture(scope="session")
def built_site(build: Callable[..., int]) -> Path:
    """Build the site, if it is not up to date, and return the folder of its pages."""
    assert build() == 0, "the site does not build without warnings: make book"
    return site.HTML


@pytest.fixture(scope="session")
def serve() -> Callable[[Path], AbstractContextManager[str]]:
    """Return what serves a folder on this machine, as a context with its address."""
    return _served


@pytest.fixture(scope="session")
def address(built_site: Path) -> Iterator[str]:
    """Serve the built pages and return their address."""
    with _served(built_site) as served:
        yield served


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Return a browser that reaches this machine only; tests ask for `browser`."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(**system_parts.browser(), args=BROWSER_ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Browser:
    """Return the one Chromium or Chrome of all tests; where there is none, the test is left out, and that is told."""
    _needs("browser", request)
    return request.getfixturevalue("chromium")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a new page."""
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that has the live figure's two files, and gets the pages that tests write."""
    made = tmp_path_factory.mktemp("lab")
    for name in ("init-lab.mjs", "init-lab.css"):
        (made / name).write_bytes((notebooks.ROOT / "book" / "assets" / name).read_bytes())
    return made


@pytest.fixture(scope="session")
def lab_address(lab_folder: Path) -> Iterator[str]:
    """Serve that folder and return its address."""
    with _served(lab_folder) as served:
        yield served


@pytest.fixture
def lab_page(browser: Browser) -> Iterator[Page]:
    """Return a new page that fails the test on an error."""
    errors: list[str] = []
    with browser.new_context() as context:
        made = context.new_page()
        made.on("pageerror", lambda error: errors.append(str(error)))
        yield made
    assert errors == []


@pytest.fixture
def show(lab_page: Page, lab_folder: Path, lab_address: str) -> Callable[..., Page]:
    """Return a function that opens a page with one live figure, waits until it is drawn, and unfolds it if told so."""

    def open_page(attributes: str = "", width: int = 1280, *, unfolded: bool = False, **options: Any) -> Page:
        lab_page.set_viewport_size({"width": width, "height": 900})
        body = f"<init-lab {attributes}></init-lab>"
        lab_page.goto(f"{lab_address}/{lab_pages.write(lab_folder, body, **options)}")
        lab_page.wait_for_function("document.querySelector('init-lab').drawn > 0")
        if unfolded:
            lab_pages.unfold(lab_page)
        return lab_page

    return open_page


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> "Course":
    """Return a course whose assignment was released; not to be changed. nbgrader takes seconds to make a gradebook."""
    from initgrade import handing_out  # here, for a planted fault's test imports no more of initgrade than it needs
    from tests import tiny_course

    made = tiny_course.make(tmp_path_factory.mktemp("released"))
    handing_out.release(made, "tiny")
    return made


@pytest.fixture
def course(released: "Course", tmp_path: Path) -> "Course":
    """Return a released course of the test's own."""
    from initgrade import course as courses

    shutil.copytree(released.root, tmp_path / "course")
    return courses.load(tmp_path / "course")


@pytest.fixture
def make_notebook() -> Callable[..., NotebookNode]:
    """Return a function that makes a notebook of code cells, each a source or a pair of a source and its tags."""

    def make(*cells: str | tuple[str, list[str]]) -> NotebookNode:
        made = nbformat.v4.new_notebook()
        for position, cell in enumerate(cells, start=1):
            source, tags = (cell, []) if isinstance(cell, str) else cell
            made.cells.append(nbformat.v4.new_code_cell(source, id=f"cell-{position:02d}", execution_count=position))
            made.cells[-1].metadata = nbformat.from_dict({"tags": tags} if tags else {})
        return notebooks.normalize(made)

    return make
