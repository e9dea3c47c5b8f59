"""Figures: each has a number, a name, a caption and a place in the list, and every link to one leads there."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode, v4
from playwright.sync_api import Page

from tools import figures, notebooks

Pages = dict[str, str]
LIST = "figures"
FIGURE = re.compile(r"<figure\b([^>]*)>(.*?)</figure>", re.DOTALL)
PICTURE = re.compile(r"<img\b[^>]*\bsrc=\"[^\"]*_images/[^\"]*\"")
CAPTION = re.compile(r"<span class=\"caption-number\">Figure ([\d.]+) </span><span class=\"caption-text\"><strong>")
ENTRY = re.compile(
    r"<a class=\"reference internal\" href=\"(\w+)\.html#(fig-[\w-]+)\"><img [^>]*>.*?Figure ([\d.]+)<", re.DOTALL
)
LIVE_ENTRY = re.compile(r"<a class=\"reference internal\" href=\"(\w+)\.html#(fig-[\w-]+)\">Figure ([\d.]+) ")
LINK = re.compile(r"href=\"(?:(\w+)\.html)?#(fig-[\w-]+)\"")


LIVE = re.compile(r"<(?:init-lab|train-lab|curve-slider)\s")


def drawn(pages: Pages, kind: str = "cell-figure") -> list[tuple[str, str, str]]:
    """Return page, name and number of every figure that a cell drew, or that is live, "" for what one lacks."""
    found = []
    for page, text in pages.items():
        for head, body in FIGURE.findall(text):
            if kind in head:
                name, number = re.search(r'id="([^"]*)"', head), CAPTION.search(body)
                found.append((page, name[1] if name else "", number[1] if number else ""))
    return found


def faults(pages: Pages) -> list[str]:
    """Say what a figure lacks, and which link to one leads nowhere."""
    drew, found = drawn(pages), drawn(pages) + drawn(pages, "live-figure")
    said = [f"{page}: a figure has no name" for page, name, _ in found if not name]
    said += [f"{page}: a figure has no number" for page, _, number in found if not number]
    for parts in ([name for _, name, _ in found], [number for *_, number in found]):
        said += [f"two figures are {part}" for part in set(parts) if part and parts.count(part) > 1]
    places = [(page, name) for page, name, _ in found]
    for page, text in pages.items():
        said += [f"{page}: a picture is in no figure" for _ in PICTURE.findall(FIGURE.sub("", text)) if page != LIST]
        targets = [(to or page, name) for to, name in LINK.findall(text)]
        said += [f"{page}: a link leads to no figure: {name}" for to, name in targets if (to, name) not in places]
    for page, text in pages.items():
        live = [name for of, name, _ in drawn(pages, "live-figure") if of == page]
        if page != "index" and len(LIVE.findall(text)) != len(live):
            said.append(f"{page}: a live figure is not counted")
    listed = ENTRY.findall(pages[LIST])
    said += [] if listed == drew else [f"the list differs: {set(listed) ^ set(drew) or 'its order'}"]
    listed = LIVE_ENTRY.findall(pages[LIST])
    return said + ([] if listed == drawn(pages, "live-figure") else ["the list of live figures differs"])


@pytest.fixture(scope="module")
def pages(built_site: Path) -> Pages:
    """Return the built pages in the book's order by their names."""
    names = [Path(name).name for name in notebooks.toc_files()]
    return {name: (built_site / "book" / f"{name}.html").read_text(encoding="utf-8") for name in names}


def test_every_figure_has_a_number_a_name_a_caption_and_its_line_in_the_list(pages: Pages) -> None:
    assert faults(pages) == []
    cells = [cell for path in notebooks.chapters() for cell in notebooks.load(path).cells]
    pictures = sum(len(notebooks.images(cell)) for cell in cells)
    assert sum(len(PICTURE.findall(text)) for name, text in pages.items() if name not in (LIST, "index")) == pictures
    assert len(drawn(pages)) > 60


def test_numbers_run_through_a_chapter(pages: Pages) -> None:
    for page in pages:
        both = drawn(pages) + drawn(pages, "live-figure")
        numbers = sorted(
            (number for of, _, number in both if of == page), key=lambda number: int(number.split(".")[-1])
        )
        chapter = f"{int(page[:2])}." if page[:2].isdigit() else ""
        assert numbers == [f"{chapter}{at}" for at in range(1, len(numbers) + 1)]


PLANTED = {
    "name": ("06_he", r' id="fig-he-growth"', "", "no name"),
    "number": ("06_he", r"Figure 6\.2 ", "Fig. 6.2 ", "no number"),
    "caption that is not bold": ("06_he", r'(<span class="caption-text">)<strong>', r"\1<em>", "no number"),
    "double": ("06_he", r"Figure 6\.2 ", "Figure 6.1 ", "two figures are 6.1"),
    "line": (LIST, r"<li><p><a [^>]*fig-he-growth.*?</li>", "", "the list differs"),
    "wrong number": (LIST, r"Figure 4\.2<", "Figure 4.9<", "the list differs"),
    "link": ("08_biases", r"$", '<a href="06_he.html#fig-he-no">', "08_biases: a link leads to no figure: fig-he-no"),
    "live": (
        "06_he",
        r'<figure class="live-figure[^>]*id="fig-he-race">.*?</figure>',
        "",
        "a live figure is not counted",
    ),
    "live line": (LIST, r"<li><p><a [^>]*fig-he-race.*?</li>", "", "the list of live figures differs"),
    "picture": ("06_he", r"$", '<img src="../_images/a.png" />', "a picture is in no figure"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_planted_fault_is_caught(pages: Pages, fault: str) -> None:
    page, old, new, said = PLANTED[fault]
    changed = pages | {page: re.sub(old, new, pages[page], count=1, flags=re.DOTALL)}
    assert changed != pages
    assert any(said in line for line in faults(changed))


# ------------------------------------------------------------------------------------------------------- a small book

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


def cell(name: str, pictures: int = 1) -> NotebookNode:
    """Return a cell that has drawn."""
    made = v4.new_code_cell("draw()", id=name, execution_count=1)
    data = {"image/png": DOT, "text/plain": "<Figure>"}
    made.outputs = [v4.new_output("display_data", data) for _ in range(pictures)]
    made.metadata = nbformat.from_dict({"mystnb": {"image": {"alt": f"what {name} shows"}}})
    return made


def live(name: str, title: str) -> NotebookNode:
    """Return a cell that shows a live figure."""
    made = v4.new_code_cell("race()", id=name, execution_count=1)
    markup = f"<train-lab presets='a'>\n<figure><svg>\n<title>{title}</title></svg></figure></train-lab>"
    made.outputs = [v4.new_output("display_data", {"text/html": markup, "text/plain": "race"})]
    return made


def text(name: str, source: str) -> NotebookNode:
    return v4.new_markdown_cell(source, id=name)


LINKS = "[](#fig-small-pair), [the first](#fig-small-curve), {numref}`fig-small-two`"
CELLS = [
    text(
        "a", "(small)=\n# Small\n\nSee [](#fig-small-pair), [the first](#fig-small-curve) and {numref}`fig-small-two`."
    ),
    cell("curve-figure"),
    v4.new_code_cell("x = 1", id="between", execution_count=2),
    text("b", "**A curve of $x$ and [claim](01_small.ipynb).** Median.\n\nMore."),
    cell("left"),
    cell("pair-figure"),
    text("c", "**A pair.** One beside the other."),
    cell("bare"),
    text("d", "Nothing in bold."),
    cell("two", 2),
    text("e", "**Two of one cell.** And so on."),
    live("race", "A race of a &amp; b"),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, build: Callable[[Path], int]) -> Path:
    """Build a book of one chapter and return the folder of its pages."""
    root = tmp_path_factory.mktemp("figures")
    shutil.copy(notebooks.ROOT / "_config.yml", root)
    shutil.copytree(notebooks.ROOT / "book" / "assets", root / "book" / "assets")
    (root / "references.bib").write_text("")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n  - numbered: true\n    chapters:\n      - file: book/01_small\n"
        "  - chapters:\n      - file: book/figures\n"
    )
    shutil.copy(notebooks.ROOT / "book" / "figures.md", root / "book")
    cover = "```{figure} assets/cover.png\n:name: cover\n\nWords.\n```"
    (root / "book" / "index.md").write_text(f"# Start\n\nSee [](01_small.ipynb#fig-small-curve).\n\n{cover}\n")
    chapter = notebooks.normalize(v4.new_notebook(cells=CELLS))
    (root / "book" / "01_small.ipynb").write_text(notebooks.dump(chapter), encoding="utf-8")
    assert build(root) == 0
    return root / "_build" / "html" / "book"


@pytest.fixture(scope="module")
def chapter(small: Path) -> str:
    return (small / "01_small.html").read_text(encoding="utf-8")


def test_caption_goes_to_the_picture_above_it_whatever_is_between(chapter: str) -> None:
    figure = re.search(r'<figure class="cell-figure[^>]*id="fig-small-curve">.*?</figure>', chapter, re.DOTALL)
    assert figure
    assert "<strong>A curve of" in figure[0]
    assert "Median." in figure[0]
    assert 'href="#fig-small-curve"' in figure[0]  # the anchor, as headings have one
    assert "<p>More.</p>" in chapter


@pytest.mark.parametrize("name", ["pair", "two"])
def test_pictures_of_one_caption_are_one_figure(chapter: str, name: str) -> None:
    figure = re.search(rf'<figure class="cell-figure[^>]*id="fig-small-{name}">.*?</figure>', chapter, re.DOTALL)
    assert figure
    assert len(PICTURE.findall(figure[0])) == 2
    assert chapter.count("what left shows") == 1


def test_picture_without_a_caption_is_not_counted_and_seen_by_the_check(chapter: str, small: Path) -> None:
    assert re.findall(r"Figure ([\d.]+) <", chapter) == ["1.1", "1.2", "1.3", "1.4"]
    pages = {"01_small": chapter, LIST: (small / "figures.html").read_text(encoding="utf-8")}
    assert faults(pages)[:2] == ["01_small: a figure has no name", "01_small: a figure has no number"]


def test_link_without_a_text_shows_the_number(chapter: str, small: Path) -> None:
    links = re.findall(r'<a class="reference internal" href="([^"]*#fig-[^"]*)">(.*?)</a>', chapter)
    shown = [(to, re.sub(r"<[^>]*>", "", said)) for to, said in links]
    assert shown[:3] == [
        ("#fig-small-pair", "Figure 1.2"),
        ("#fig-small-curve", "the first"),
        ("#fig-small-two", "Figure 1.3"),
    ]
    start = (small / "index.html").read_text(encoding="utf-8")
    assert re.search(r'href="01_small.html#fig-small-curve">(<span[^>]*>)?Figure 1.1<', start)
    assert "caption-number" not in start  # the landing page's picture is a chapter's


def test_list_has_small_pictures_and_the_live_figures(small: Path) -> None:
    listed = (small / "figures.html").read_text(encoding="utf-8")
    assert [name for _, name, _ in ENTRY.findall(listed)] == ["fig-small-curve", "fig-small-pair", "fig-small-two"]
    assert LIVE_ENTRY.findall(listed) == [("01_small", "fig-small-race", "1.4")]
    assert "Figure 1.4 A race of a &amp; b</a>" in listed
    for name in re.findall(r'src="\.\./(_images/small/[^"]*)"', listed):
        assert (small.parent / name).stat().st_size < 20_000


def test_names_of_cells_make_names_of_figures() -> None:
    assert figures.figure_name("he", "growth-figure") == "fig-he-growth"
    assert figures.page_label({"cells": [{"cell_type": "markdown", "source": "# No label"}]}) == "page"


# ---------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture
def listing(page: Page, address: str) -> Page:
    """Open the list of the book's figures."""
    page.goto(f"{address}/book/figures.html")
    return page


def test_link_of_the_list_shows_the_figure_and_leads_to_it(listing: Page) -> None:
    link = listing.locator(".figure-list a[href*='fig-vanishing-phase']")
    link.hover()
    preview = listing.locator(".preview")
    preview.locator("img").wait_for()
    assert re.match(r"Figure 4\.\d+ ", preview.inner_text())
    link.click()
    listing.wait_for_url("**/04_vanishing_exploding.html#fig-vanishing-phase")
    figure = listing.locator("figure#fig-vanishing-phase")
    assert figure.locator("figcaption a.headerlink").get_attribute("href") == "#fig-vanishing-phase"
    assert figure.evaluate("figure => figure.getBoundingClientRect().top < innerHeight")


def test_list_fits_a_phone(listing: Page) -> None:
    listing.set_viewport_size({"width": 390, "height": 800})
    assert listing.evaluate("document.documentElement.scrollWidth") == 390
    heights = listing.locator(".figure-list a").evaluate_all("all => all.map(link => link.offsetHeight)")
    assert min(heights) >= 44
