"""A printed chapter, and the whole book as a PDF: what is on the paper, where a page ends, and where its links lead.

`make pdf` itself prints 260 pages and is not run here. Its parts are: all pages of the site are joined and their links
followed, and a small book is printed in the same two passes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page
from pypdf import PdfReader
from pypdf.generic import Destination

from tools import assets, offers, paper, pdf, system_parts
from tools.files import ROOT

CHAPTER = "02_zero"
DARK = "localStorage.setItem('theme', 'dark'); localStorage.setItem('mode', 'dark')"
BOTTOM = 21 / 297  # of the page's height is the lower margin
EMPTY = 0.4  # no page but the last may end higher above the margin

# ---------------------------------------------------------------------------------------------------- reading a PDF


@dataclass
class Sheet:
    """One page of a PDF: its text, how light each color of its letters is at most, and where its ink ends."""

    text: str
    lightest: float
    empty: float


def read(path: Path) -> list[Sheet]:
    return [sheet(page) for page in PdfReader(path).pages]


def sheet(page: Any) -> Sheet:
    """Read a page: the lightness of each letter, and the share of its height that is empty above the footer."""
    height = float(page.mediabox.height)
    stack, color, lightness, lowest = [], 0.0, [0.0], [height]

    def operator(name: bytes, operands: list[Any], matrix: list[float], text_matrix: list[float]) -> None:
        nonlocal color
        if name == b"q":
            stack.append(color)
        elif name == b"Q" and stack:
            color = stack.pop()
        elif name == b"rg":
            color = sum(weight * float(part) for weight, part in zip((0.21, 0.72, 0.07), operands, strict=True))
        elif name == b"g":
            color = float(operands[0])
        elif name in (b"Tj", b"TJ"):
            lightness.append(color)
            place(text_matrix[4] * matrix[1] + text_matrix[5] * matrix[3] + matrix[5])
        elif name == b"Do":
            place(matrix[5])

    def place(y: float) -> None:
        if y > BOTTOM * height:
            lowest.append(y)

    text = page.extract_text(visitor_operand_before=operator)
    return Sheet(text, max(lightness), min(lowest) / height - BOTTOM)


def outline(path: Path) -> list[tuple[str, int]]:
    """Return the title and page of each bookmark."""
    reader, found = PdfReader(path), []

    def walk(items: list[Any]) -> None:
        for item in items:
            if isinstance(item, Destination):
                found.append((str(item.title).strip(), reader.get_destination_page_number(item) + 1))
            else:
                walk(item)

    walk(reader.outline)
    return found


# ------------------------------------------------------------------------------------------------ a printed chapter


def printed(page: Page, address: str, folder: Path, *, style: str = "", ranges: str = "") -> Path:
    """Print the chapter as a reader does who chose the dark theme."""
    page.add_init_script(DARK)
    page.goto(f"{address}/book/{CHAPTER}.html")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    page.wait_for_function("document.querySelector('init-lab').shadowRoot")
    page.add_style_tag(content=style or "/* as it is */")
    target = folder / "chapter.pdf"
    page.pdf(path=target, format="A4", print_background=True, page_ranges=ranges)
    return target


SHOWN = {
    "the title": "Zero initialization",
    "a folded proof or answer": "never, never and never",
    "a folded solution": "after step 2: W1, W2, W3 have moved",
    "the evidence of a claim": "median of 32 draws",
    "the output of a cell whose code is folded": "start: ln 10 = 2.303",
    "the picture of the live figure": "This picture stands for a live figure",
}
HIDDEN = {
    "the live figure itself": "New draw",
    "folded code": "steps_to_fall",
    "a link to a file": "Download the notebook",
}


def faults(sheets: list[Sheet]) -> list[str]:
    """Return what is wrong with the printed chapter, or with its first pages."""
    text = re.sub(r"\s+", " ", " ".join(sheet.text for sheet in sheets))
    found = [f"{what} is missing" for what, words in SHOWN.items() if words not in text]
    found += [f"{what} is printed" for what, words in HIDDEN.items() if words in text]
    for number, sheet in enumerate(sheets, start=1):
        lines = [line.strip() for line in sheet.text.splitlines()]
        if str(number) not in lines:
            found.append(f"page {number} has no number")
        if ("Before the First Step 2. Zero initialization" in lines) == (number == 1):
            found.append(f"page {number}: running head")
        if sheet.lightest > 0.6:
            found.append(f"page {number} has letters nearly white")
        if sheet.empty > EMPTY and number < len(sheets):
            found.append(f"page {number} is half empty: {sheet.empty:.0%}")
    return found


def test_printed_chapter(page: Page, address: str, tmp_path: Path) -> None:
    sheets = read(printed(page, address, tmp_path))
    assert faults(sheets) == []
    assert 10 <= len(sheets) <= 18
    ticks = page.locator("init-lab > figure svg text").all_text_contents()
    whole = " ".join(sheet.text for sheet in sheets).split()
    assert ticks
    assert set(ticks) <= set(whole), "the picture of the live figure has its axes"


@pytest.mark.parametrize(
    ("fault", "planted"),
    [
        ("nearly white", {"style": "html[data-theme=dark] .highlight :is(.n, .k) { color: #fff !important }"}),
        ("has no number", {"style": "@page { @bottom-center { content: none !important } }"}),
        ("running head", {"style": "@page { @top-right { content: none !important } }"}),
        ("half empty", {"style": "@media print { figure.cell-figure { break-before: page; break-after: page } }"}),
        ("folded solution is missing", {"style": "details::details-content { content-visibility: hidden !important }"}),
        ("live figure is missing", {"style": ":is(init-lab, train-lab) > figure { display: none !important }"}),
        (
            "folded code is printed",
            {"style": ":is(#any, .fold.of-cell .cell_input, div.cell) { display: block !important }"},
        ),
    ],
)
def test_fault_on_paper_is_found(page: Page, address: str, tmp_path: Path, fault: str, planted: dict[str, str]) -> None:
    missing = "missing" in fault
    sheets = read(printed(page, address, tmp_path, ranges="" if missing else "1-8", **planted))
    assert [line for line in faults(sheets) if fault in line]


def test_menu_prints(page: Page, address: str) -> None:
    page.add_init_script("window.print = () => { document.title = 'printed'; }")
    page.goto(f"{address}/book/{CHAPTER}.html")
    page.locator("[data-click='print']").first.evaluate("(button) => button.click()")
    assert page.title() == "printed"


def test_style_sheet_keeps_dark_and_phones_off_paper() -> None:
    sheet = "html[data-theme=dark] p,b{a:b}@media (max-width: 9em){[data-theme='light'] i{c:d}}"
    assert assets.used(sheet, set()) == (
        "b{a:b}\n@media screen{html[data-theme=dark] p{a:b}}\n"
        '@media screen and (max-width: 9em){[data-theme="light"] i{c:d}@media print{[data-theme] i{c:d}}}'
    )
    assert list(paper.rules([':not([data-theme="dark"]) p'], "a:b")) == [':not([data-theme="dark"]) p{a:b}']
    assert paper.condition("print, (prefers-color-scheme: dark)") == "print, screen and (prefers-color-scheme: dark)"
    assert paper.heads("A </style>", "B") == '@page {@top-left{content:"A \\3c /style\\3e "}@top-right{content:"B"}}'


# ---------------------------------------------------------------------------------------------------- the whole book

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
TAG, ATTRIBUTE = re.compile(r"<[a-zA-Z][^>]*>"), re.compile(r"""\s(id|href|src)=(["'])(.*?)\2""")


def dangling(document: str, folder: Path) -> list[str]:
    """Return the ids that are there twice, the links to a place and the files that are not there."""
    ids: list[str] = []
    wanted: list[str] = []
    for tag in TAG.findall(document):
        for kind, _, value in ATTRIBUTE.findall(tag):
            (ids if kind == "id" else wanted).append(value)
    twice = sorted({name for name in ids if ids.count(name) > 1}) if len(ids) > len(set(ids)) else []
    known = {f"#{name}" for name in ids}
    lost = {link for link in wanted if not re.match("https?:|data:", link) and link not in known}
    return [*twice, *sorted(link for link in lost if link.startswith("#") or not (folder / link).is_file())]


@pytest.fixture(scope="module")
def book(built_site: Path) -> list[pdf.Chapter]:
    return list(pdf.chapters(built_site, TOC))


def test_book_holds_every_page_and_its_links_lead_inside(book: list[pdf.Chapter], built_site: Path) -> None:
    text = pdf.document(book, name="Name", topic="Topic", facts=["Facts"])
    folder = built_site.parent / "pdf"  # where the draft lies, whether it is there or not
    folder.mkdir(exist_ok=True)
    assert len(book) == len(pdf.order(TOC)) >= 20
    assert [chapter.part for chapter in book if chapter.part] == [part["caption"] for part in TOC["parts"]]
    assert sum(len(chapter.headings) for chapter in book) > 200
    assert dangling(text, folder) == []
    assert text.count("</article>") == len(book) + 1
    assert "MathML" not in text
    assert "data-offers" not in text
    for fault in ('<a href="#nowhere">', '<img src="../html/no.png">', f'<p id="{book[0].headings[0][1]}">'):
        assert len(dangling(text + fault, folder)) == 1, fault


def test_article_is_joined() -> None:
    article = (
        '<section class=\'a\' id="s"><span id="t"></span><h2>T</h2></section>'
        '<a href="#s">1</a><a href="b.html#x">2</a><a href="b.html">3</a><a href="../search.html">4</a>'
        '<a href="https://x.org/#y">5</a><img src="../_images/i.png" loading="lazy"/><pre>id="no"</pre>'
    )
    assert pdf.joined(article, "book/a", {"book/a", "book/b"}) == (
        '<section class=\'a\'><h2 id="book/a--s"><span id="book/a--t"></span>T</h2></section>'
        '<a href="#book/a--s">1</a><a href="#book/b--x">2</a><a href="#book/b">3</a><a >4</a>'
        '<a href="https://x.org/#y">5</a><img src="../html/_images/i.png"/><pre>id="no"</pre>'
    )


def small_book(*, length: int = 40) -> str:
    chapters = []
    for name in ("one", "two", "three"):
        headings = [
            (1, name, f"The chapter {name}"),
            (2, f"{name}--s", f"A section of {name} with a name so long that it breaks"),
        ]
        filler = "<p>Words and words.</p>" * length
        article = "".join(f'<h{level} id="{place}">{text}</h{level}>{filler}' for level, place, text in headings)
        chapters.append(pdf.Chapter("", article, headings))
    return pdf.document(chapters, name="A small book", topic="Topic", facts=["Facts"])


def test_small_book(built_site: Path, page: Page) -> None:
    draft, first, second = (built_site.parent / "pdf" / name for name in ("small.html", "1.pdf", "2.pdf"))
    draft.parent.mkdir(exist_ok=True)
    draft.write_text(small_book(), encoding="utf-8")
    count = pdf.printed(page, draft, first, day="20260102")
    pdf.printed(page, draft, second, day="20260102")
    assert first.read_bytes() == second.read_bytes()
    assert b"/StructElem" not in first.read_bytes(), "thousands of tags are text, and make the book twice as large"
    reader = PdfReader(first)
    assert len(reader.pages) == count
    assert reader.metadata is not None
    assert reader.metadata["/CreationDate"].startswith("D:20260102000000")
    marks = outline(first)
    assert [title for title, _ in marks][:3] == [
        "Contents",
        "The chapter one",
        "A section of one with a name so long that it breaks",
    ]
    assert len(marks) == 7
    lines = reader.pages[1].extract_text()
    for title, number in marks[1:]:
        assert title in re.sub(r"\s+", " ", reader.pages[number - 1].extract_text())
        assert re.search(rf"{title}\s*{number}\b", lines), f"the contents say another page for {title}"
    assert len({number for _, number in marks}) > 4
    heads = reader.pages[marks[3][1] - 1].extract_text()
    assert "The chapter two" in heads.splitlines()[0]
    for old in (draft, first, second):
        old.unlink()


def test_contents_that_name_the_wrong_page_are_refused(built_site: Path, page: Page) -> None:
    draft = built_site.parent / "pdf" / "grows.html"
    draft.parent.mkdir(exist_ok=True)
    grows = "<style>.at:not(:empty) { display: block; height: 90mm } .at { font-size: 0 }</style></head>"
    text = small_book(length=1).replace("</head>", grows).replace(">0</span>", "></span>")
    draft.write_text(text, encoding="utf-8")
    with pytest.raises(RuntimeError, match="another page"):
        pdf.printed(page, draft, draft.with_suffix(".pdf"))
    draft.unlink()


def test_no_browser(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(system_parts, "browser", lambda: None)
    assert pdf.main() == 1
    said = capsys.readouterr().err
    assert "needs a Chromium" in said
    assert "apt-get install chromium" in said


def test_page_that_the_theme_changed(tmp_path: Path) -> None:
    (tmp_path / "one.html").write_text("<main><h1>One</h1></main>")
    with pytest.raises(ValueError, match=r"one\.html has no article"):
        list(pdf.chapters(tmp_path, {"root": "one", "parts": []}))


@pytest.mark.parametrize("day", [None, "2026-01-02"])
def test_title_page_has_the_texts_date_only(day: str | None) -> None:
    citation: dict[str, Any] = {"authors": [{"given-names": "A", "family-names": "B"}, {"name": "C"}], "version": "1.2"}
    said = pdf.facts(citation | ({"date-released": day} if day else {}))
    assert said[:2] == ["A B, C", "Version 1.2, 2026-01-02" if day else "Version 1.2"]


def test_offer(tmp_path: Path, make_file: Callable[[str], Path]) -> None:
    pages = tmp_path / "html"
    (pages / "book").mkdir(parents=True)
    first = pages / "book" / "index.html"
    first.write_text('<h1>B</h1><p class="topic">T</p><p>Text</p>')
    before = first.read_text()
    for name, text in (("a.pdf", "old"), ("b.zip", "zip"), ("a.pdf", "new & true")):
        offers.offer(pages, "book/index", make_file(name), text)
    page = first.read_text()
    assert offers.offered(page) == {"../a.pdf": "new &amp; true", "../b.zip": "zip"}
    assert page.index("topic") < page.index("<p>Text") < page.index("data-offers")
    assert (pages / "a.pdf").is_file()
    assert offers.withdrawn(page) == before
    first.write_text("<h1>B</h1>")
    with pytest.raises(ValueError, match="class topic"):
        offers.offer(pages, "book/index", make_file("a.pdf"), "text")


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        (tmp_path / name).write_bytes(b"content")
        return tmp_path / name

    return make
