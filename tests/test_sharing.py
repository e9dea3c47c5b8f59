"""What a page says of itself: its description, its preview, its edition, and the links that need an address."""

import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from docutils import nodes
from docutils.core import publish_doctree
from nbformat import v4
from PIL import Image
from test_site import broken_links, unfit_files

from tools import launch, notebooks, offline, sharing

SITE, CODE = "https://example.org/course/", "https://github.com/example/course"
ROOT = notebooks.ROOT


def meta(page: Path) -> dict[str, list[str]]:
    """Return what the tags in a page's head say, each name with all its contents."""
    found: dict[str, list[str]] = {}
    for name, content in re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', page.read_text()):
        found.setdefault(name, []).append(unescape(content))
    return found


# ------------------------------------------------------------------------------------------------------ descriptions


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Do units differ? The usual answer is no.", "Do units differ? The usual answer is no."),
        ("The size is :math:`x^2` here. More.", "The size is [x^2] here. More."),
        ("It is 0.5, e.g. here. " + "Word " * 50 + "end.", "It is 0.5, e.g. here."),
        ("One " * 60 + "end.", "One " * 60 + "end."),
        ("One " * 90 + "end.", "One " * 74 + "One …"),
        ("* only a list", ""),
    ],
)
def test_description_is_whole_sentences(text: str, told: str) -> None:
    page = publish_doctree(f"Title\n=====\n\n{text}\n", settings_overrides={"doctitle_xform": False})
    page.children[0].insert(1, nodes.paragraph("", "20 minutes.", classes=["chapter-facts"]))
    assert sharing.description(page, lambda tex: f"[{tex}]") == told


def undescribed(folder: Path) -> list[str]:
    """Return the pages without a description of their own that is one or more whole sentences, or with TeX in it."""
    told = {path.name: meta(path).get("description", []) for path in folder.glob("book/*.html")}
    every = [line for lines in told.values() for line in lines]
    fit = r"(?!.*\\[a-z]).{20,300}[.?!]"
    return [
        name
        for name, lines in told.items()
        if len(lines) != 1 or not re.fullmatch(fit, lines[0]) or every.count(lines[0]) > 1
    ]


def test_every_page_describes_itself(built_site: Path) -> None:
    assert undescribed(built_site) == []
    symmetry = meta(built_site / "book" / "01_symmetry.html")
    assert "Do the units ever learn different things?" in symmetry["description"][0]
    assert symmetry["og:title"] == ["Symmetry"]
    assert symmetry["og:description"] == symmetry["description"]
    assert meta(built_site / "index.html")["description"] == meta(built_site / "book" / "index.html")["description"]
    assert all(len(meta(built_site / name)["description"]) == 1 for name in ("search.html", "genindex.html"))


@pytest.mark.parametrize(
    "content", ["Half a sentence", "Formula $\\sigma$ as it is typed.", "Said of two pages alike."]
)
def test_page_that_does_not_is_found(tmp_path: Path, content: str) -> None:
    (tmp_path / "book").mkdir()
    for name in ("one", "two"):
        (tmp_path / "book" / f"{name}.html").write_text(f'<meta name="description" content="{content}" />')
    assert sorted(undescribed(tmp_path)) == ["one.html", "two.html"]


# ---------------------------------------------------------------------------------------------------------- addresses


def small(root: Path, build: Callable[[Path], int], *, baseurl: str, repository: str) -> Path:
    """Build a book of three pages and the changelog with these addresses, and return the folder of its pages."""
    config = launch.configuration()
    config["html"]["baseurl"], config["repository"]["url"] = baseurl, repository
    config["launch_buttons"]["jupyterhub_url"] = "https://hub.example.org"
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    shutil.copytree(ROOT / "book" / "assets", root / "book" / "assets")
    for name in ("CHANGELOG.md", "pyproject.toml", "book/changelog.md"):
        shutil.copy(ROOT / name, root / name)
    (root / "references.bib").write_text("")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n"
        "  - file: book/other\n  - file: book/run\n  - file: book/changelog\n"
    )
    (root / "book" / "index.md").write_text(
        "# Small\n\nStart here.\n\n```{figure} assets/cover.png\n:alt: Units\n```\n"
    )
    (root / "book" / "other.md").write_text("# Other & more\n\nIs $x^2$ > 1?\n\n```{figure} own.png\n:alt: Own\n```\n")
    Image.new("RGB", (30, 20)).save(root / "book" / "own.png")
    page = v4.new_notebook(cells=[v4.new_markdown_cell("# To run\n\nA cell."), v4.new_code_cell("x = 1")])
    (root / "book" / "run.ipynb").write_text(notebooks.dump(notebooks.normalize(page)))
    assert build(root) == 0
    return root / "_build" / "html"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, build: Callable[[Path], int]) -> Path:
    """Return the pages of a small book that has both addresses."""
    return small(tmp_path_factory.mktemp("book"), build, baseurl=SITE.rstrip("/"), repository=f"{CODE}/")


def test_preview_has_the_pages_address_and_picture(published: Path) -> None:
    other, start = meta(published / "book" / "other.html"), meta(published / "book" / "index.html")
    assert other["description"] == ["Is x² > 1?"]
    assert other["og:title"] == ["Other & more"]
    assert other["og:url"] == [f"{SITE}book/other.html"]
    assert other["twitter:card"] == ["summary_large_image"]
    assert (other["og:image:width"], other["og:image:height"]) == (["30"], ["20"])
    assert start["og:image"] != other["og:image"]
    assert meta(published / "book" / "changelog.html")["og:image"] == start["og:image"]  # it has no figure
    for told in (start, other):
        (address,) = told["og:image"]
        assert address.startswith(SITE)
        with Image.open(published / address.removeprefix(SITE)) as picture:
            assert picture.size == tuple(int(told[f"og:image:{side}"][0]) for side in ("width", "height"))
    assert f'<link rel="canonical" href="{SITE}book/other.html"' in (published / "book" / "other.html").read_text()
    assert meta(published / "index.html")["og:image"] == start["og:image"]


def hosts(page: Path) -> dict[str, str]:
    """Return the launch buttons of a page: text and address."""
    text = page.read_text(encoding="utf-8")
    menu = re.search(r'dropdown-launch-buttons">.*?</ul>', text, re.DOTALL)
    links = re.findall(r'<a href="([^"]+)".*?btn__text-container">([^<]+)<', menu.group(), re.DOTALL) if menu else []
    return {name: unescape(address) for address, name in links}


def test_buttons_follow_the_address(published: Path, built_site: Path) -> None:
    found, path = hosts(published / "book" / "run.html"), "book/run.ipynb"
    repository = CODE.removeprefix("https://github.com/")
    assert found["Colab"] == f"https://colab.research.google.com/github/{repository}/blob/main/{path}"
    assert found["Binder"] == f"https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/{path}"
    hub = parse_qs(urlsplit(found["JupyterHub"]).query)
    assert found["JupyterHub"].startswith("https://hub.example.org/hub/user-redirect/git-pull?")
    assert hub == {
        "repo": [f"https://github.com/{repository}"],
        "urlpath": [f"lab/tree/{repository.split('/')[-1]}/{path}"],
        "branch": ["main"],
    }
    assert hosts(built_site / "book" / "01_symmetry.html") == {}, "the book's own address is not decided"


def test_site_map_lists_the_pages(published: Path) -> None:
    listed = re.findall(r"<loc>(.*?)</loc>", (published / sharing.SITEMAP).read_text())
    assert sorted(listed) == [f"{SITE}{path.relative_to(published)}" for path in sorted(published.glob("book/*.html"))]


def test_foot_of_a_page(published: Path) -> None:
    text = (published / "book" / "other.html").read_text()
    foot = re.search(r'<p class="edition">.*?</p>', text, re.DOTALL).group()
    links = {unescape(name): unescape(target) for target, name in re.findall(r'<a href="([^"]+)">([^<]+)</a>', foot)}
    assert links.pop(sharing.edition()) == "changelog.html"
    assert links.pop("How to cite") == "changelog.html#how-to-cite"
    report = urlsplit(links.pop("Report an error on this page"))
    assert f"{report.scheme}://{report.netloc}{report.path}" == f"{CODE}/issues/new"
    assert parse_qs(report.query)["title"] == ["Error in book/other"]
    assert f"{SITE}book/other.html" in parse_qs(report.query)["body"][0]
    files = {sharing.PDF, offline.ZIP.name}
    assert {target.removeprefix(SITE) for target in links.values()} == files
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["build"]["steps"]]
    (copies,) = [step.split() for step in steps if step.startswith("cp ")]
    assert {Path(name).name for name in copies[1:-1]} == files
    assert copies[-1] == "_build/html/"


def test_small_book_has_no_dead_link(published: Path) -> None:
    assert broken_links(published) == []
    assert unfit_files(published) == []


def test_without_addresses_nothing_needs_one(built_site: Path) -> None:
    assert launch.configuration()["html"]["baseurl"] == launch.configuration()["repository"]["url"] == ""
    assert not (built_site / sharing.SITEMAP).exists()
    for path in built_site.glob("book/*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'og:url|og:image|rel="(?:canonical|sitemap)"|issues/new|Report an error', text), path.name
        assert f">{sharing.edition()}</a>" in text


# -------------------------------------------------------------------------------------------------------- the edition


@pytest.mark.parametrize(
    ("heading", "said"),
    [
        ("## [Unreleased]", "Version 2.0.0, not yet released"),
        ("## [2.0.0] - 2031-05-06", "Version 2.0.0 of 2031-05-06"),
        ("## [1.0.0] - 2030-01-02", "Version 2.0.0, not yet released"),
    ],
)
def test_edition_follows_the_changelog(tmp_path: Path, heading: str, said: str) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "2.0.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n\n- x\n")
    assert sharing.edition(tmp_path) == said


def test_citation_is_the_file_s(tmp_path: Path, built_site: Path) -> None:
    assert f"```bibtex\n{sharing.bibtex()}```" in (ROOT / "book" / "changelog.md").read_text(encoding="utf-8")
    shown = (built_site / "book" / "changelog.html").read_text(encoding="utf-8")
    assert 'class="highlight-bibtex' in shown
    assert "copybutton.js" in shown
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert sharing.edition().startswith(f"Version {cited['version']}")
    cited |= {
        "authors": [{"family-names": "Doe", "given-names": "Jo"}, {"name": "A Lab"}],
        "date-released": "2031-05-06",
    }
    (tmp_path / "CITATION.cff").write_text(yaml.safe_dump(cited))
    entry = sharing.bibtex(tmp_path)
    assert "author  = {Doe, Jo and {A Lab}}" in entry
    assert "year    = {2031}" in entry
