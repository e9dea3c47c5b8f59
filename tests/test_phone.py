"""Small screens: what scrolls shows it, claims are cards, figures can be read and enlarge, marks stay with formulas.

A chapter is opened once, at 390 px. Each check returns faults; planted faults show that it finds some.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from docutils import nodes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text
from playwright.sync_api import Page
from test_reading import UNFOLD, inaccessible, open_page, resize  # noqa: F401 # a fixture among them

from initnotes import figures, plots
from tools import assets, notebooks, phone

Serve = Callable[[Path], AbstractContextManager[str]]

PHONE = {"width": 390, "height": 844}
CHAPTERS = [path.stem for path in notebooks.chapters()]
PAGES = notebooks.toc_files()

# ------------------------------------------------------------------------------------------------ marks and formulas


def paragraph(*children: nodes.Node) -> nodes.paragraph:
    return nodes.paragraph("", "", *children)


def kept(inside: nodes.Element) -> list[str]:
    """Return the texts that no line parts, once `keep_together` has seen them; no text may change but for a space."""
    before = inside.astext()
    phone.keep_together(inside)
    assert inside.astext().replace("\u00a0", " ") == before.replace("\u00a0", " ")
    return [part.astext() for part in inside.findall(nodes.inline) if "keep" in part["classes"]]


@pytest.mark.parametrize(
    ("before", "after", "together"),
    [
        ("of ", ", and", "x,"),
        ("of ", ". Then", "x."),
        ("of (", ") and", "(x)"),
        ("of ", "'s;", "x's;"),
        ("the ", "-th one", "x-th"),
        ("an ", "-dimensional one", "x-"),
        ("by ", " % of", "x %"),
        ("by ", "—or", "x—"),
        ("is “", "”? No", "“x”?"),
        ("of ", "/y", "x/"),
    ],
)
def test_marks_stay_with_a_formula(before: str, after: str, together: str) -> None:
    assert kept(paragraph(nodes.Text(before), nodes.math(text="x"), nodes.Text(after))) == [together]


def test_what_a_space_parts_stays_apart() -> None:
    assert kept(paragraph(nodes.Text("of "), nodes.math(text="x"), nodes.Text(" and so on"))) == []
    assert kept(paragraph(nodes.math(text="x"))) == []


def test_a_link_of_a_formula_keeps_its_mark_and_strong_words_still_break() -> None:
    link = nodes.reference("", "", nodes.math(text="x"))
    assert kept(paragraph(link, nodes.Text(", and"))) == ["x,"]
    strong = nodes.strong("", "", nodes.Text("some words of "), nodes.math(text="x"))
    assert kept(paragraph(strong, nodes.Text(". Then"))) == ["x."]


def test_percent_stays_with_its_number_but_not_in_code() -> None:
    code = nodes.literal(text="7 % 2")
    inside = paragraph(nodes.Text("the middle 80 % of "), code)
    phone.keep_together(inside)
    assert inside.astext() == "the middle 80\u00a0% of 7 % 2"


PARTED = r"""() => {
  const block = (node) => node.closest("p, li, dd, dt, td, th, figcaption, summary, h1, h2, h3, h4");
  const character = (text, at) => {
    const range = document.createRange();
    range.setStart(text, at);
    range.setEnd(text, at + 1);
    return range.getBoundingClientRect();
  };
  const seen = [];
  const faults = [];
  for (const formula of document.querySelectorAll(".bd-article span.math:not(.wide)")) {
    const parts = [...formula.querySelectorAll(".katex-base")].map((part) => part.getBoundingClientRect());
    if (!parts.length || !parts[0].width || !block(formula)) continue;
    const texts = document.createTreeWalker(block(formula), NodeFilter.SHOW_TEXT);
    let before = null, after = null;
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      if (formula.contains(text) || !text.data) continue;
      const follows = formula.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (!follows) before = text;
      else { after = text; break; }
    }
    const tex = formula.querySelector("annotation").textContent;
    if (after && /^([,.;:?!)%\]’”]| %)/.test(after.data)) {
      seen.push(after.data[0]);
      const at = after.data[0] === " " ? 1 : 0;
      if (character(after, at).left < parts.at(-1).right - 3) faults.push(`${tex} | ${after.data.slice(0, 12)}`);
    }
    if (before && /[(\[“]$/.test(before.data)) {
      const last = character(before, before.length - 1);
      if (last.right > parts[0].left + 3) faults.push(`${before.data.slice(-12)} | ${tex}`);
    }
  }
  return { faults, seen: seen.length };
}"""


# ------------------------------------------------------------------------------------------------- a chapter on a phone

SMALL_TYPE = """(smallest) => [...document.querySelectorAll(".bd-article figure img")]
  .map((image) => [image.getBoundingClientRect().width / image.getAttribute("width") * smallest, image])
  .filter(([size]) => size < 9).map(([size, image]) => `type of ${size.toFixed(1)} px: ${image.alt.slice(0, 40)}`)"""
SIDEWAYS = """() => [...document.querySelectorAll(".bd-article :is(.claim, .claim *, .ledger *)")]
  .filter((part) => !part.closest("thead")) // a card has it for those who listen
  .filter((part) => part.clientWidth && part.scrollWidth > part.clientWidth + 1
    && getComputedStyle(part).overflowX !== "visible" || part.getBoundingClientRect().right > innerWidth + 1)
  .map((part) => `a claim is too wide: ${part.outerHTML.slice(0, 80)}`)"""
NAMELESS = """() => [...document.querySelectorAll(".claim-evidence td")]
  .filter((cell) => getComputedStyle(cell, "::before").content.length < 5)
  .map((cell) => `a cell without its head: ${cell.textContent.slice(0, 40)}`)"""
# Where a box has more than it shows, and is not shaded there, or is shaded where there is no more.
UNSHADED = """() => {
  const faults = [];
  for (const box of document.querySelectorAll(".bd-article *")) {
    if (!box.clientWidth || !/auto|scroll/.test(getComputedStyle(box).overflowX)) continue;
    const more = { start: box.scrollLeft > 1, end: box.scrollWidth - box.clientWidth - box.scrollLeft > 1 };
    const figure = box.matches(".plate-pane");
    const inset = getComputedStyle(box).boxShadow;
    for (const [side, sign] of [["start", ""], ["end", "-"]]) {
      const over = getComputedStyle(box.parentElement, side === "start" ? "::before" : "::after");
      const shaded = figure ? over.content === '""' && over.backgroundImage.includes("gradient")
        : new RegExp(` ${sign}[1-9][\\\\d.]*px 0px [\\\\d.]+px [-\\\\d.]+px inset`).test(inset);
      const said = `${shaded ? "shaded" : "not shaded"} at its ${side}`;
      if (shaded !== more[side]) faults.push(`${said}: ${box.outerHTML.slice(0, 80)}`);
    }
  }
  return faults;
}"""
BARE = """() => [...document.querySelectorAll("a[href$='.png']")].map((link) => `a link to ${link.href}`)"""


def smallest_pixels() -> float:
    """Return the size of a figure's smallest type in its own pixels."""
    return phone.SMALLEST * phone.DPI / 72


def at_390(page: Page, url: str) -> tuple[list[str], int]:
    """Open a page on a phone and return what is wrong there, and how many marks follow a formula."""
    page.set_viewport_size(PHONE)
    page.goto(url)
    page.evaluate(UNFOLD)
    resize(page, 390)
    return faults_of(page)


def faults_of(page: Page) -> tuple[list[str], int]:
    found = [line for check in (SIDEWAYS, NAMELESS, UNSHADED, BARE) for line in page.evaluate(check)]
    found += page.evaluate(SMALL_TYPE, smallest_pixels())
    marks = page.evaluate(PARTED)
    return found + [f"a line parts {fault}" for fault in marks["faults"]], marks["seen"]


FORMULAS = {"01_symmetry": 50, "04_vanishing_exploding": 50, "06_he": 50}


@pytest.mark.parametrize("name", PAGES)
def test_page_on_a_phone(page: Page, address: str, name: str) -> None:
    found, marks = at_390(page, f"{address}/{name}.html")
    assert found == []
    assert marks >= FORMULAS.get(Path(name).name, 0)


STYLES = [
    (".keep { white-space: normal !important }", "a line parts"),
    (".plate-pane > img { min-width: 0 !important }", "type of 5"),
    (".claim-evidence table { display: table !important; width: 600px }", "a claim is too wide"),
    (".claim-evidence td::before { content: none !important }", "a cell without its head"),
    (".bd-article pre[data-more] { box-shadow: none !important }", "not shaded at its end: <pre"),
    (".plate::after { content: none !important }", 'not shaded at its end: <span class="plate-pane'),
    (
        ".bd-article pre:not([data-more]) { box-shadow: inset -9px 0 5px -5px red !important }",
        "shaded at its end: <pre",
    ),
]


def test_each_fault_on_a_phone_is_found(page: Page, address: str) -> None:
    assert at_390(page, f"{address}/book/04_vanishing_exploding.html")[0] == []
    for style, fault in STYLES:
        tag = page.add_style_tag(content=style)
        found = faults_of(page)[0]
        assert [line for line in found if fault in line], (style, found[:5])
        tag.evaluate("(tag) => tag.remove()")
    page.evaluate("document.querySelector('.plate').innerHTML += '<a href=x.png>x</a>'")
    assert any("a link to" in line for line in faults_of(page)[0])


def test_shade_goes_where_all_is_seen(open_page: Callable[..., Page], address: str) -> None:  # noqa: F811
    shades = {}
    for theme in ("light", "dark"):
        page = open_page(f"{address}/book/04_vanishing_exploding.html", viewport=PHONE, color_scheme=theme)
        page.evaluate(UNFOLD)
        resize(page, 390)
        for selector in ("pre", ".plate-pane"):
            handle = page.locator(f"{selector}[data-more='end']").first.element_handle()
            shades[theme, selector] = page.evaluate(SHADE, handle)
            handle.evaluate("(box) => box.scrollTo(20, 0)")
            page.wait_for_function("(box) => box.dataset.more === 'start end'", arg=handle)
            handle.evaluate("(box) => box.scrollTo(9999, 0)")
            page.wait_for_function("(box) => box.dataset.more === 'start'", arg=handle)
    assert len(set(shades.values())) == 4
    assert not {"none", ""} & set(shades.values())


SHADE = """(box) => box.matches("pre") ? getComputedStyle(box).boxShadow
  : getComputedStyle(box.parentElement, "::after").backgroundImage"""

# ---------------------------------------------------------------------------------------------------------- type, cards

SIZE = re.compile(
    r"""\b(?:fontsize|labelsize|titlesize|(?:font|legend|axes|xtick|ytick)\.\w*size)["']?\s*[=:]\s*([\d.]+)"""
)


def small_type(text: str) -> list[float]:
    """Return the sizes of type in a source that are below the smallest that a page reckons with."""
    return [float(size) for size in SIZE.findall(text) if float(size) < phone.SMALLEST]


def test_no_figure_sets_smaller_type() -> None:
    for path in (notebooks.ROOT / "initnotes").rglob("*.py"):
        assert small_type(path.read_text(encoding="utf-8")) == [], path
    for path in notebooks.chapters():
        assert small_type("\n".join(cell.source for cell in notebooks.load(path).cells)) == [], path
    assert figures.STYLE["figure.dpi"] == phone.DPI
    sizes = [value for name, value in figures.STYLE.items() if name.endswith("size")]
    assert min(sizes) >= phone.SMALLEST


def drawn_sizes(figure: Figure) -> list[float]:
    """Return the size of every glyph of a figure in points, indices and exponents included."""
    parser, found = MathTextParser("path"), []
    for text in figure.findobj(lambda part: isinstance(part, Text) and part.get_visible() and part.get_text()):
        for line in text.get_text().split("\n"):
            glyphs = parser.parse(line, 72, text.get_fontproperties()).glyphs if line.count("$") > 1 else []
            found += [glyph[1] for glyph in glyphs] or [text.get_fontsize()]
    return found


def test_indices_and_exponents_are_as_large_as_a_page_reckons_with() -> None:
    arms = {r"$\sigma_w$ = 1": np.geomspace(1, 1e-9, 3) * np.ones((8, 1)), "plain": np.ones((8, 3))}
    figure = plots.compare([1, 2, 3], arms, log="y", xlabel="$z_l$", ylabel="$K_l$", theory={"$10^{-3}$": [1, 1, 1]})
    figure.canvas.draw()
    assert min(drawn_sizes(figure)) == pytest.approx(phone.SMALLEST)
    figure.axes[0].legend(fontsize=9)  # not the book's, which would be found
    assert min(drawn_sizes(figure)) < 6.5
    plots.legend(figure.axes[0], fontsize=9)
    assert min(drawn_sizes(figure)) == pytest.approx(phone.SMALLEST)
    assert 9 in [round(size, 3) for size in drawn_sizes(figure)]  # a plain label keeps its size


@pytest.mark.parametrize("text", ["ax.legend(fontsize=7)", '{"legend.fontsize": 7.5}', "ax.tick_params(labelsize=6)"])
def test_smaller_type_is_found(text: str) -> None:
    assert small_type(text) != []
    assert small_type(re.sub(r"[\d.]+(?=\D*$)", "9", text)) == []


def test_a_card_names_its_cells_after_the_head() -> None:
    head = "<thead><tr><th scope='col'>What</th><th scope='col'>A [1 %]</th><th scope='col'>B</th></tr></thead>"
    row = "<tr><th scope='row'>w</th><td>1</td><td style='x'>2</td></tr>"
    made = phone.labelled(f"<div class='claim-evidence' tabindex='0'><table>{head}<tbody>{row}{row}</tbody></table>")
    assert made.count("<td data-head='A [1 %]'>1</td><td data-head='B' style='x'>2</td>") == 2
    assert phone.labelled(f"<table>{head}{row}</table>") == f"<table>{head}{row}</table>"


# ------------------------------------------------------------------------------------------------------------- enlarged

SHOWN = """() => {
  const view = document.querySelector("dialog.enlarged"), image = view.querySelector("img");
  const { scrollWidth, clientWidth } = image.parentElement;
  return { open: view.open, width: image.getBoundingClientRect().width, alt: image.alt,
    filter: getComputedStyle(image).filter, scrolls: scrollWidth > clientWidth };
}"""
CLOSED = "() => !document.querySelector('dialog.enlarged').open"
FOCUSED = "() => document.activeElement.className"


def test_figure_enlarges_by_tap_and_shows_all_of_it(open_page: Callable[..., Page], address: str) -> None:  # noqa: F811
    page = open_page(f"{address}/book/04_vanishing_exploding.html", viewport=PHONE, color_scheme="dark", has_touch=True)
    image = page.locator("figure .plate img").first
    image.scroll_into_view_if_needed()
    before = image.bounding_box()
    image.tap(position={"x": 250, "y": 150})
    shown = page.evaluate(SHOWN)
    assert shown["open"]
    assert shown["scrolls"]
    assert shown["width"] == int(image.get_attribute("width")) > before["width"]
    assert shown["alt"] == image.get_attribute("alt")
    assert shown["filter"] == image.evaluate("(image) => getComputedStyle(image).filter") != "none"
    assert page.locator(".enlarged-pane").evaluate("(pane) => pane.scrollLeft") > 50  # at what was tapped
    whole = page.get_by_role("button", name="Whole figure")
    whole.tap()
    assert whole.get_attribute("aria-pressed") == "true"
    shown = page.evaluate(SHOWN)
    assert not shown["scrolls"]
    assert shown["width"] <= 390
    page.locator(".enlarged-pane").tap()
    page.wait_for_function(CLOSED)


def test_figure_enlarges_by_keyboard_and_gives_the_focus_back(open_page: Callable[..., Page], address: str) -> None:  # noqa: F811
    page = open_page(f"{address}/book/01_symmetry.html", viewport={"width": 800, "height": 500})
    button = page.get_by_role("button", name=re.compile("^Enlarge: .{10,}")).first
    for close in ("Escape", "Close"):
        button.focus()
        page.keyboard.press("Enter")
        assert page.evaluate(SHOWN)["open"]
        assert page.evaluate(FOCUSED) == "enlarged-pane"
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.querySelector('.enlarged-pane').scrollLeft > 0")
        if close == "Escape":
            page.keyboard.press("Escape")
        else:
            page.get_by_role("button", name="Close").click()
        page.wait_for_function(CLOSED)
        assert page.evaluate(FOCUSED) == "plate-open"
    assert page.locator("dialog.enlarged").count() == 1


def test_enlarged_figure_is_accessible(open_page: Callable[..., Page], address: str) -> None:  # noqa: F811
    page = open_page(f"{address}/book/01_symmetry.html")
    page.get_by_role("button", name=re.compile("^Enlarge: ")).first.click()
    assert inaccessible(page, in_all_looks=False) == []


def test_every_figure_of_a_chapter_enlarges(page: Page, address: str) -> None:
    page.goto(f"{address}/book/03_small_random.html")
    assert page.locator(".plate-open").count() == page.locator("figure.cell-figure img").count() >= 5


# ----------------------------------------------------------------------------------------------------- what comes late


def test_scripts_for_what_is_far_below_come_late_and_in_order(page: Page, tmp_path: Path, serve: Serve) -> None:
    scripts = [
        SimpleNamespace(filename=f"_static/{name}.js?v=1", attributes={"defer": "defer"})
        for name in ("train-digits", "train-lab", "reading")
    ]
    phone.later(scripts)
    assert [script.attributes for script in scripts] == [
        {"type": "text/late", "data-for": "train-lab"},
        {"type": "text/late", "data-for": "train-lab"},
        {"defer": "defer"},
    ]
    (tmp_path / "late.mjs").write_bytes((notebooks.ROOT / "book" / "assets" / "late.mjs").read_bytes())
    for name in ("one", "two"):
        (tmp_path / f"{name}.js").write_text(f"(window.came ??= []).push('{name}')")
    tags = "".join(f"<script type=text/late data-for=x-lab src={name}.js></script>" for name in ("one", "two"))
    (tmp_path / "index.html").write_text(
        f"<!doctype html><title>x</title><link rel=icon href=data:,>{tags}<script type=module src=late.mjs></script>"
        "<p style='height: 9000px'>x</p><x-lab>x</x-lab>"
    )
    came = "window.came?.join() ?? ''"
    with serve(tmp_path) as url:
        for reach in (
            "document.querySelector('x-lab').scrollIntoView()",
            "document.documentElement.dataset.whole = ''",
        ):
            page.goto(url, wait_until="networkidle")
            assert page.evaluate(came) == ""
            page.evaluate(reach)
            page.wait_for_function(f"() => ({came}) === 'one,two'")


def test_theme_measures_no_box_at_load(built_site: Path) -> None:
    script = (built_site / "_static" / "scripts" / "pydata-sphinx-theme.js").read_text(encoding="utf-8")
    assert 'addEventListener("load"' not in script
    with pytest.raises(ValueError, match="0 parts"):
        assets.unhurried(script)


def layouts(page: Page, url: str) -> int:
    """Return how many boxes far below are asked for their size while a page loads, which lays all of them out."""
    page.add_init_script(
        """let asked = new Set(); window.asked = asked;
        for (const name of ["scrollWidth", "clientWidth", "offsetWidth"]) {
          const home = name === "offsetWidth" ? HTMLElement.prototype : Element.prototype;
          const get = Object.getOwnPropertyDescriptor(home, name).get;
          Object.defineProperty(home, name, { get() { asked.add(this); return get.call(this); } });
        }"""
    )
    page.goto(url, wait_until="load")
    page.wait_for_timeout(400)
    far: Any = page.evaluate(
        "() => [...asked].filter((box) => box.closest('.bd-article'))"
        ".filter((box) => box.getBoundingClientRect().top > 4 * innerHeight).length"
    )
    return int(far)


def test_nothing_far_below_is_laid_out_at_load(page: Page, address: str) -> None:
    page.set_viewport_size(PHONE)
    assert layouts(page, f"{address}/book/04_vanishing_exploding.html") == 0


def test_what_lays_out_all_is_found(page: Page, tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "index.html").write_text(
        "<!doctype html><title>x</title><link rel=icon href=data:,><article class=bd-article>"
        "<p style='height: 9000px'>x</p><pre>x</pre></article>"
        "<script>document.querySelectorAll('pre').forEach((box) => box.scrollWidth)</script>"
    )
    with serve(tmp_path) as url:
        assert layouts(page, url) == 1
