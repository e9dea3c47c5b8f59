"""Chapters in JupyterLab: every citation, link and term leads somewhere, and nothing shows as a warning."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from nbformat import NotebookNode, v4
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tools import elsewhere, notebooks

BOOK = notebooks.chapters()
EQUATION = re.compile(r"\(([\w-]+)\)=\n\((\d+\.\d+)\)\n: \[[^]]*\]\((\w+)\.ipynb\)")
EXTENSIONS = "--LabApp.extra_labextensions_path=$(CURDIR)/tools/jupyterlab"
OPENED = ("04_vanishing_exploding", "06_he", "13_lazy")
FOLDERS = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
SECONDS = 60
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": '{"windowingMode": "none", "autoSave": false}',
    "@jupyterlab/apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}


# ------------------------------------------------------------------------------------------------------- the last cell


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_stored_cell_is_what_the_notebook_names(path: Path) -> None:
    notebook = notebooks.load(path)
    assert notebooks.dump(elsewhere.prepared(notebook)) == path.read_text(encoding="utf-8"), "python -m tools.elsewhere"


def small(*texts: str) -> NotebookNode:
    cells = [v4.new_markdown_cell(text, id=f"text-{at}") for at, text in enumerate(texts)]
    return notebooks.normalize(v4.new_notebook(cells=cells))


def test_cell_comes_changes_and_goes() -> None:
    made = elsewhere.prepared(small("{cite:t}`he2015{equation 14}` and {ref}`he-width`, a {term}`replica`"))
    text = made.cells[-1].source
    assert "(he2015)=\nHe et al., 2015\n: *Delving deep" in text
    assert "(he-width)=\nWhat He does not promise\n: [Chapter 6, He initialization](06_he.ipynb)" in text
    assert "```{glossary}\nreplica\n: " in text
    made.cells[0].source = "{ref}`symmetry`"
    assert "he2015" not in elsewhere.prepared(made).cells[-1].source
    made.cells[0].source = "(own)=\n# Own\n\n{ref}`own`"
    assert len(elsewhere.prepared(made).cells) == 1


@pytest.mark.parametrize("text", ["{cite:p}`nobody1999`", "{ref}`no-such-place`", "{term}`no such term`"])
def test_what_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(KeyError):
        elsewhere.source(small(text))


def test_place_in_a_source_that_jupyterlab_would_part_is_refused() -> None:
    with pytest.raises(ValueError, match="at its comma"):
        elsewhere.source(small("{cite:t}`he2015{equation 14, figure 2}`"))


def test_no_page_shows_the_cell(built_site: Path) -> None:
    page = (built_site / "book" / "06_he.html").read_text(encoding="utf-8")
    assert "Terms, sources, and places" not in page


def test_equations_have_the_numbers_of_the_site(built_site: Path) -> None:
    for path in BOOK:
        for label, number, chapter in EQUATION.findall(elsewhere.source(notebooks.load(path))):
            page = (built_site / "book" / f"{chapter}.html").read_text(encoding="utf-8")
            assert re.search(rf'id="equation-{label}">\s*<span class="eqno">\({re.escape(number)}\)', page)


# ------------------------------------------------------------------------------------------------------- the program


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Serve copies of chapters in JupyterLab, with settings of its own, and return its address and the folder."""
    root = tmp_path_factory.mktemp("lab")
    for name in OPENED:
        shutil.copy(notebooks.ROOT / "book" / f"{name}.ipynb", root)
    for name, setting in SETTINGS.items():
        file = root / ".settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(setting)
    environment = os.environ | {name: str(root / ".own" / name) for name in FOLDERS}
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(root / ".settings")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=", f"--notebook-dir={root}"]
    command = [sys.executable, "-m", "jupyterlab", EXTENSIONS.replace("$(CURDIR)", str(notebooks.ROOT)), *options]
    with (root / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", server)
        yield address, root
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:  # a thread that the server forgot at its end; it is none of ours
            server.kill()
            server.wait()


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("JupyterLab does not start")


# What warns, and links within the notebook that have no target.
FAULTS = """() => {
  const shown = [...document.querySelectorAll('.jp-MarkdownCell .myst')];
  const warned = shown.flatMap((cell) => [...cell.querySelectorAll('[class*="text-yellow-"], [title$="Not Found"]')]);
  const unknown = shown.filter((cell) => /Unknown (Directive|Role)/i.test(cell.innerText));
  const links = shown.flatMap((cell) => [...cell.querySelectorAll('a[href^="#"]')]);
  const lost = links.filter((link) => !document.getElementById(decodeURIComponent(link.hash.slice(1))));
  const found = [...warned, ...unknown, ...lost];
  return found.map((part) => `${part.title} ${part.textContent.slice(0, 80)} ${part.hash ?? ''}`.trim());
}"""
RAW = re.compile(r"\{(?:cite|ref|eq|term|numref|prf)[\w:]*\}`|^\([a-z][\w-]{3,}\)=$", re.MULTILINE)
CELLS = "document.querySelectorAll('.jp-MarkdownCell .myst')"


def opened(page: Page, lab: tuple[str, Path], name: str, *, patience: float = 10) -> list[str]:
    """Open a notebook, and return what warns in it when all of it is there, or after some seconds."""
    address, folder = lab
    count = sum(cell.cell_type == "markdown" for cell in notebooks.load(folder / f"{name}.ipynb").cells)
    page.goto(f"{address}/doc/tree/{name}.ipynb")
    page.wait_for_function(f"{CELLS}.length >= {count}", timeout=1000 * SECONDS)
    with suppress(PlaywrightTimeout):
        page.wait_for_function(f"!({FAULTS})().length", timeout=1000 * patience)
    shown = page.evaluate(f"[...{CELLS}].map(cell => cell.innerText).join('\\n')")
    return [*page.evaluate(FAULTS), *RAW.findall(shown)]


def test_lab_and_binder_take_what_names_the_sources() -> None:
    makefile = (notebooks.ROOT / "Makefile").read_text(encoding="utf-8")
    assert EXTENSIONS in makefile.replace('"', "")
    assert "cp -r tools/jupyterlab/citations " in (notebooks.ROOT / "binder" / "postBuild").read_text(encoding="utf-8")
    assert os.access(notebooks.ROOT / "binder" / "postBuild", os.X_OK)


@pytest.mark.integration
@pytest.mark.parametrize("name", OPENED)
def test_chapter_shows_no_warning(page: Page, lab: tuple[str, Path], name: str) -> None:
    assert opened(page, lab, name) == []


@pytest.mark.integration
def test_planted_warnings_are_seen(page: Page, lab: tuple[str, Path]) -> None:
    """Without its last cell a notebook warns at the citation, at both links and at the term."""
    text = "# A\n\n{cite:t}`he2015`, {ref}`he-dead`, {ref}`Chapter 6 <he>`, a {term}`replica`.\n\n```{nonsense}\n```"
    (lab[1] / "bare.ipynb").write_text(notebooks.dump(small(text)), encoding="utf-8")
    found = " ".join(opened(page, lab, "bare", patience=2))
    assert all(word in found for word in ("he2015", "he-dead", "Chapter 6", "replica", "Unknown Directive")), found


SLIDER = """import numpy as np
import initnotes as ini
depths, layers = [10, 20, 30], np.arange(31)
kept = np.stack([(1 - 1 / depth) ** layers for depth in depths])
ini.slider("depth", depths, layers, {"signal": kept}, x_label="layer", y_label="rms",
           readings={"left": ["little", "more", "most"]}, alt="What is left of a signal by layer: 35 to 36 percent.")
"""


@pytest.mark.integration
def test_slider_answers_when_its_cell_is_run(page: Page, lab: tuple[str, Path]) -> None:
    address, folder = lab
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(cells=[v4.new_code_cell(SLIDER)], metadata={"kernelspec": kernel})
    (folder / "slide.ipynb").write_text(notebooks.dump(notebook), encoding="utf-8")
    page.goto(f"{address}/doc/tree/slide.ipynb")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=1000 * SECONDS)
    page.locator(".jp-CodeCell .cm-content").click()
    page.keyboard.press("Shift+Enter")
    figure, output = page.locator(".jp-OutputArea input[type=range]"), page.locator(".jp-OutputArea")
    figure.first.wait_for(timeout=1000 * SECONDS)
    assert "little" in output.first.inner_text()
    figure.first.press("ArrowRight")
    page.wait_for_function("document.querySelector('.jp-OutputArea').innerText.includes('more')")
    assert output.first.locator("svg path").count() > 0
