"""The built site in a real browser, at phone and desktop width; and the sandbox that later parts rely on."""

import http.server
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from tools import notebooks, site, system_parts

Serve = Callable[[Path], AbstractContextManager[str]]

WIDTHS = (390, 1280)
PAGES = notebooks.toc_files()
# The theme fetches MathJax from this host. Nothing else may leave the machine.
THIRD_PARTY = re.compile(r"https://cdn\.jsdelivr\.net/npm/mathjax@3/")


def faults(page: Page, url: str) -> list[str]:
    """Open `url` and return what is wrong with the page at every width."""
    found: list[str] = []

    def console(message: object) -> None:
        where = message.location.get("url", "")
        if message.type == "error" and not THIRD_PARTY.match(where):
            found.append(f"console error: {message.text} ({where})")

    def request(sent: object) -> None:
        foreign = urlsplit(sent.url).scheme in ("http", "https") and urlsplit(sent.url).hostname != "127.0.0.1"
        if foreign and not THIRD_PARTY.match(sent.url):
            found.append(f"request to another host: {sent.url}")

    def response(answer: object) -> None:
        if answer.status >= 400:
            found.append(f"status {answer.status}: {answer.url}")

    page.on("console", console)
    page.on("request", request)
    page.on("response", response)
    page.on("pageerror", lambda error: found.append(f"page error: {error}"))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(url, wait_until="load")
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if overflow > 0:
            found.append(f"{overflow} px too wide at {width} px: {page.evaluate(WIDEST)}")
    silent = "img => !img.alt.trim() && img.getAttribute('role') !== 'presentation'"
    sources = page.evaluate(f"[...document.images].filter({silent}).map(img => img.src)")
    return found + [f"image without alt text: {source}" for source in sources]


WIDEST = """[...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .slice(0, 3).map(e => e.tagName + '.' + e.className).join(', ')"""


@pytest.mark.parametrize("name", PAGES)
def test_page(page: Page, address: str, name: str) -> None:
    assert faults(page, f"{address}/{name}.html") == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<script>throw new Error('planted')</script>", "page error"),
        ("<script>console.error('planted')</script>", "console error"),
        ("<img src='/favicon.svg'>", "image without alt text"),
        ("<img src='/gone.png' alt='gone'>", "status 404"),
        ("<div style='width: 500px'>wide</div>", "too wide at 390 px"),
        ("<script src='https://example.org/x.js'></script>", "request to another host"),
    ],
)
def test_planted_fault_is_caught(page: Page, tmp_path: Path, serve: Serve, body: str, fault: str) -> None:
    (tmp_path / "index.html").write_text(f"<!doctype html><title>x</title><link rel=icon href=data:,>{body}")
    with serve(tmp_path) as address:
        found = faults(page, f"{address}/")
    assert any(fault in line for line in found)


def test_warning_fails_the_build_each_time(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copy(notebooks.ROOT / "_config.yml", tmp_path)
    shutil.copytree(notebooks.ROOT / "book" / "assets", tmp_path / "book" / "assets")
    (tmp_path / "references.bib").write_text("")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    mine = tmp_path / "book" / "my"  # a learner's own copies, however broken, are no part of the site
    mine.mkdir()
    (mine / "01_small.md").write_text("See {ref}`elsewhere`.\n")
    page = tmp_path / "book" / "index.md"
    page.write_text("# Small\n\nSee {ref}`nowhere`.\n")
    for _ in range(2):
        assert site.build(tmp_path) != 0
        warnings = capfd.readouterr().err
        assert "undefined label: 'nowhere'" in warnings
        assert "book/my" not in warnings
    page.write_text("# Small\n\nSee nothing.\n")
    assert site.build(tmp_path) == 0
    capfd.readouterr()
    assert site.build(tmp_path) == 0
    assert "up to date" in capfd.readouterr().out


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
