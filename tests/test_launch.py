"""Buttons to hosted notebooks and the cell that installs there: none without an address, the right ones with one."""

import html
import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from nbformat import v4

from tools import guards, launch, notebooks, site

BOOK = guards.notebooks()
PUBLIC = {"repository": {"url": "https://github.com/example/course/", "branch": "main"}}
PRIVATE = {"repository": {"url": "", "branch": "main"}}


def small() -> v4.nbbase.NotebookNode:
    return v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), v4.new_code_cell("x = 1"), v4.new_code_cell("x")])


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_chapter_installs_what_the_configuration_says(path: Path) -> None:
    assert launch.unfit(notebooks.load(path), launch.configuration()) == []


def test_cell_comes_changes_and_goes() -> None:
    notebook = launch.prepared(small(), PUBLIC)
    assert [cell.source for cell in notebook.cells][2:] == ["x = 1", "x"]
    assert notebook.cells[1].source.endswith(
        '%pip install --quiet "initnotes @ git+https://github.com/example/course@main"'
    )
    assert launch.unfit(notebook, PUBLIC) == []
    moved = {"repository": {**PUBLIC["repository"], "branch": "next"}}
    assert launch.unfit(notebook, moved) != []
    assert launch.unfit(launch.prepared(notebook, moved), moved) == []
    assert [cell.source for cell in launch.prepared(notebook, PRIVATE).cells] == ["# Title", "x = 1", "x"]


def test_planted_cells_are_caught() -> None:
    assert launch.unfit(small(), PUBLIC) != []
    notebook = launch.prepared(small(), PUBLIC)
    assert launch.unfit(notebook, PRIVATE) != []
    notebook.cells.append(notebook.cells.pop(1))
    assert launch.unfit(notebook, PUBLIC) != []


def test_cell_installs_nothing_where_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    source = launch.install_cell(PUBLIC, []).replace("%pip", "ran.append(0) #")
    exec(source, {"ran": ran})
    assert ran == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(source, {"ran": ran})
    assert ran == [0]


def hosts(page: Path) -> dict[str, str]:
    """Return the launch buttons of a page: text and address."""
    text = page.read_text(encoding="utf-8")
    menu = re.search(r'dropdown-launch-buttons">.*?</ul>', text, re.DOTALL)
    links = re.findall(r'<a href="([^"]+)".*?btn__text-container">([^<]+)<', menu.group(), re.DOTALL) if menu else []
    return {name: html.unescape(address) for address, name in links}


@pytest.mark.parametrize("url", ["", PUBLIC["repository"]["url"]])
def test_buttons_follow_the_address(tmp_path: Path, url: str) -> None:
    config = launch.configuration()
    config["repository"]["url"] = url
    config["launch_buttons"]["jupyterhub_url"] = "https://hub.example.org"
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    shutil.copytree(notebooks.ROOT / "book" / "assets", tmp_path / "book" / "assets")
    (tmp_path / "references.bib").write_text("")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    (tmp_path / "book" / "index.ipynb").write_text(notebooks.dump(notebooks.normalize(small())))
    assert site.build(tmp_path) == 0
    found = hosts(tmp_path / "_build" / "html" / "book" / "index.html")
    if not url:
        assert found == {}
        return
    path = "book/index.ipynb"
    assert found["Colab"] == f"https://colab.research.google.com/github/example/course/blob/main/{path}"
    assert found["Binder"] == f"https://mybinder.org/v2/gh/example/course/main?urlpath=lab/tree/{path}"
    hub = parse_qs(urlsplit(found["JupyterHub"]).query)
    assert found["JupyterHub"].startswith("https://hub.example.org/hub/user-redirect/git-pull?")
    assert hub == {
        "repo": ["https://github.com/example/course"],
        "urlpath": [f"lab/tree/course/{path}"],
        "branch": ["main"],
    }
