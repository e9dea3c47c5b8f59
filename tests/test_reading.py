"""How pages read, in a real browser: accessible in light and dark, by keyboard and pointer, on a phone, on paper, bare.

Each check is a function that returns faults; planted faults show that it can find some.
"""

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
import yaml
from docutils import nodes
from docutils.core import publish_doctree
from PIL import Image
from playwright.sync_api import Browser, Page
from test_plots import SEEN, closest, contrast
from test_site import PAGE_BYTES, unfit, watched, weight

from initnotes import plots
from tools import notebooks, reading, run
from tools.guards import HOUR

Serve = Callable[[Path], AbstractContextManager[str]]

PAGES = [*(f"{name}.html" for name in notebooks.toc_files()), "search.html", "genindex.html"]
CHAPTERS = [path.stem for path in notebooks.chapters()]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
ALL = {
    "runOnly": {"type": "tag", "values": STANDARD},
    "rules": {"label-content-name-mismatch": {"enabled": True}},
}
COLORS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
# A theme changes colors and nothing else; a width also what is there, where it is and how large. So two looks meet both
# themes and both widths; one page of each kind, and all planted faults, are seen in all four.
LOOKS = {("light", 1280): ALL, ("dark", 1280): COLORS, ("light", 390): COLORS, ("dark", 390): ALL}
IN_ALL_LOOKS = ["book/index.html", "book/04_vanishing_exploding.html", "book/22_ledger.html", "search.html"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return what opens a page in a context of its own, with Playwright's options, such as ``has_touch=True``."""
    contexts = []

    def opened(url: str, *, without: str = "", **options: Any) -> Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}))
        page = contexts[-1].new_page()
        if without:
            page.route(without, lambda route: route.abort())
        page.goto(url, wait_until="load")
        return page

    yield opened
    for context in contexts:
        context.close()


# ------------------------------------------------------------------------------------------------------ accessibility

# What axe is slow at are tens of thousands of elements. Formulas have the color of their text, so each becomes one box
# as wide as it was; equal kinds of code have equal colors, so one of each kind stays, and the text stays where it was.
THIN = """() => {
  const widths = [...document.querySelectorAll('.katex')].map((formula) => [formula, formula.offsetWidth]);
  for (const [formula, width] of widths) {
    formula.textContent = 'formula';
    formula.style = `display: inline-block; overflow: hidden; width: ${width}px; height: 1em`;
  }
  const seen = new Set();
  for (const token of document.querySelectorAll('pre span')) {
    const place = token.closest('.cell_output, .cell_input')?.className;
    const kind = `${token.className} in ${place}`;
    if (token.className && !seen.has(kind)) seen.add(kind);
    else token.replaceWith(...token.childNodes);
  }
}"""
# Colors depend on the kind of an element and of those around it: one of each kind is asked for its contrast, and one of
# each kind of link whether it can be told from the words around it.
FIRST = """() => {
  const kinds = new Map(), seen = new Set();
  const looks = ['color', 'backgroundColor', 'backgroundImage', 'opacity', 'fontSize', 'fontWeight', 'position',
    'textDecorationLine', 'borderBottomWidth'];
  const kindOf = (element) => {
    if (!element) return '';
    if (!kinds.has(element)) {
      const style = getComputedStyle(element), own = [element.localName, element.className];
      const around = element.parentElement ?? element.getRootNode().host;
      const lone = element.localName === 'a' && element.textContent.trim() === around?.textContent.trim();
      kinds.set(element, [kindOf(around), lone, ...own, ...looks.map((one) => style[one])].join());
    }
    return kinds.get(element);
  };
  const mark = (root) => {
    for (const element of root.querySelectorAll('*')) {
      element.toggleAttribute('data-first', !seen.has(kindOf(element)));
      seen.add(kindOf(element));
      if (element.shadowRoot) mark(element.shadowRoot);
    }
  };
  mark(document);
}"""
ONE_OF_EACH = """axe.configure({ rules: [
  { id: 'color-contrast', selector: '[data-first]' },
  { id: 'link-in-text-block', selector: 'a[href][data-first]' } ] })"""
RUN = """(options) => axe.run({ ...options, resultTypes: ['violations'] }).then((found) =>
  found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 160)}`)))"""


def inaccessible(page: Page, *, in_all_looks: bool = True) -> list[str]:
    """Return what axe finds on the open page in light and dark, at phone and desktop width; changes the page."""
    page.evaluate(AXE)  # evaluated and not added as a script, which the policy of the pages would refuse
    page.evaluate("document.documentElement.dataset.whole = ''")
    page.wait_for_function(AWAKE)
    page.evaluate(THIN)
    page.evaluate(ONE_OF_EACH)
    found: list[str] = []
    for (theme, width), rules in LOOKS.items():
        if rules is COLORS and not in_all_looks:
            continue
        resize(page, width)
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # no color on its way to another
        page.evaluate(FIRST)
        found += [f"{theme}, {width}: {fault}" for fault in page.evaluate(RUN, rules)]
    return found


AWAKE = """() => [...document.querySelectorAll('init-lab')].every((lab) =>
  lab.shadowRoot && [...lab.shadowRoot.querySelectorAll('canvas')].every((map) => map.ariaLabel))"""
MEASURED = """() => {
  const article = document.querySelector('.bd-article');
  return !article || Number(article.dataset.measured) === article.clientWidth;
}"""


def resize(page: Page, width: int, *, scripts: bool = True) -> None:
    """Give the page a width, lay out what is far below as well, and wait until all that may scroll is measured."""
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("document.documentElement.dataset.whole = ''")
    page.evaluate("() => document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(done)))")
    if page.locator("script[src*='/reading.js']").count() and scripts:
        page.wait_for_function(MEASURED)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<p style='color: #aaa'>pale</p>", "light, 1280: color-contrast"),
        (
            "<style>@media (prefers-color-scheme: dark) { p { color: #aaa } }</style><p>some words</p>",
            "dark, 390: color-contrast",
        ),
        ("<style>@media (width < 500px) { p { color: #aaa } }</style><p>some words</p>", "light, 390: color-contrast"),
        ("<pre><span class=k style='color: #aaa'>pale</span></pre>", "color-contrast"),
        (
            "<pre style='width: 99px; overflow: auto'>words that need some more room</pre>",
            "scrollable-region-focusable",
        ),
        ("<button aria-label='other'>word</button>", "label-content-name-mismatch"),
        (
            "<style>a { color: #00c; text-decoration: none }</style><p><a href=/>one</a></p><p>words <a href=/>two</a>",
            "link-in-text-block",
        ),
        ("<img src='data:,'>", "image-alt"),
    ],
)
def test_planted_fault_is_found(page: Page, serve: Serve, tmp_path: Path, body: str, fault: str) -> None:
    (tmp_path / "index.html").write_text(
        f"<!doctype html><html lang=en><title>x</title><link rel=icon href=data:,><main><h1>x</h1>{body}</main></html>"
    )
    with serve(tmp_path) as address:
        page.goto(address, wait_until="load")
        assert any(fault in line for line in inaccessible(page))


def test_dark_pages_are_dark(open_page: Callable[..., Page], address: str) -> None:
    themes = {}
    for theme in ("light", "dark"):
        page = open_page(f"{address}/{PAGES[0]}", color_scheme=theme)
        themes[page.locator("html").get_attribute("data-theme")] = page.evaluate(PAPER)
    assert themes == {"light": "rgb(253, 253, 251)", "dark": "rgb(18, 17, 15)"}


PAPER = "getComputedStyle(document.body).backgroundColor"


def test_theme_is_chosen_and_remembered(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/{PAGES[0]}", color_scheme="light")
    seen = []
    for _ in range(3):
        page.locator(".theme-switch-button").first.press("Enter")
        mode = page.locator("html").get_attribute("data-mode")
        page.goto(f"{address}/{PAGES[1]}")
        seen.append(
            (mode, page.locator("html").get_attribute("data-mode"), page.locator("html").get_attribute("data-theme"))
        )
    assert sorted(seen) == [("auto", "auto", "light"), ("dark", "dark", "dark"), ("light", "light", "light")]


# -------------------------------------------------------------------------------------------------------- every page


@pytest.mark.parametrize("name", PAGES)
def test_page(page: Page, address: str, name: str) -> None:
    """Each page is opened once: it loads without a fault and lightly, fits each width, and is accessible."""
    found = watched(page)
    size, files = weight(page, f"{address}/{name}")
    found += unfit(page)
    page.evaluate(UNFOLD)
    found += too_wide(page)
    lacking = [kind for kind in WIDE_KINDS.get(name, []) if not page.locator(f"{BOXES}[aria-label^='{kind}']").count()]
    page.evaluate(FOLD_AGAIN)
    found += inaccessible(page, in_all_looks=name in IN_ALL_LOOKS)
    assert found == []
    assert not lacking, "nothing of these kinds is wide enough to test its box"
    assert files > 10
    assert size <= PAGE_BYTES


# ---------------------------------------------------------------------------------------------------------- previews

LINKS = {
    "formula": ("book/01_symmetry", "p a[href='#equation-difference']"),
    "section": ("book/01_symmetry", "p a[href='#symmetry-partly']"),
    "source": ("book/02_zero", "a[href*='references.html#']"),
    "term": ("book/02_zero", "a[href*='#term-replica']"),
    "chapter": ("book/index", "p a[href*='01_symmetry.html#']"),
}
SAYS = {"source": "Rumelhart", "term": "draw", "chapter": "Symmetry"}


@pytest.mark.parametrize("kind", LINKS)
def test_pointer_and_keyboard_show_a_preview(open_page: Callable[..., Page], address: str, kind: str) -> None:
    name, selector = LINKS[kind]
    page = open_page(f"{address}/{name}.html")
    link = page.locator(f".bd-article {selector}").first
    for by in ("pointer", "keyboard"):
        assert page.locator(".preview").count() == 0
        link.hover() if by == "pointer" else reach(page, selector)
        page.wait_for_selector(".preview")
        assert len(page.locator(".preview").inner_text()) > 10
        assert SAYS.get(kind, "") in page.locator(".preview").inner_text()
        assert link.get_attribute("aria-describedby") == "preview"
        assert page.locator(".preview a, .preview [id]").count() == 0
        page.keyboard.press("Escape")
        assert page.locator(".preview").count() == 0


def reach(page: Page, selector: str) -> None:
    """Move the focus to a link as the Tab key does."""
    page.evaluate("(s) => document.querySelector(`.bd-article ${s}`).focus({ focusVisible: true })", selector)


def test_preview_stays_while_the_pointer_is_on_it(open_page: Callable[..., Page], address: str) -> None:
    name, selector = LINKS["term"]
    page = open_page(f"{address}/{name}.html")
    page.locator(f".bd-article {selector}").first.hover()
    page.wait_for_selector(".preview")
    page.locator(".preview").hover()
    page.wait_for_timeout(600)
    assert page.locator(".preview").count() == 1
    page.mouse.move(2, 500)
    page.wait_for_selector(".preview", state="detached")


def test_touch_and_a_missing_page_show_no_preview(open_page: Callable[..., Page], address: str) -> None:
    name, selector = LINKS["term"]
    page = open_page(f"{address}/{name}.html", has_touch=True)
    page.evaluate("document.addEventListener('click', (event) => event.preventDefault())")
    page.locator(f".bd-article {selector}").first.tap()
    page.wait_for_timeout(600)
    assert page.locator(".preview").count() == 0
    page = open_page(f"{address}/{name}.html", without="**/excerpts.js*")
    page.locator(f".bd-article {selector}").first.hover()
    page.wait_for_timeout(600)
    assert page.locator(".preview").count() == 0


# ------------------------------------------------------------------------------------------------------------- folds


OPEN_AROUND = """(line) => {
  const around = (element) => element.parentElement.closest('details');
  for (let fold = around(line.parentElement); fold; fold = around(fold)) fold.open = true;
}"""


def stuck(page: Page) -> list[str]:
    """Return the folds of a page that Enter does not open, or Space does not close, once those around them are open."""
    found = []
    for line in page.locator("summary").all():
        line.evaluate(OPEN_AROUND)
        line.focus()
        states = []
        for key in ("Enter", "Space"):
            page.keyboard.press(key)
            states.append(line.evaluate("(line) => line.parentElement.open"))
        if states != [True, False]:
            found.append(line.inner_text())
    return found


@pytest.mark.parametrize("script", [True, False])
def test_folds_open_by_keyboard(open_page: Callable[..., Page], address: str, script: bool) -> None:
    for name in ("book/01_symmetry", "book/index"):
        page = open_page(f"{address}/{name}.html", java_script_enabled=script)
        assert page.locator("summary").count() >= 5
        assert stuck(page) == []


def test_fold_that_is_stuck_is_found(page: Page) -> None:
    page.set_content("<details><summary onkeydown='event.preventDefault()'>stuck</summary>x</details>")
    assert stuck(page) == ["stuck"]


def test_solutions_are_folded_and_predictions_answered(built_site: Path) -> None:
    for stem in [stem for stem in CHAPTERS if stem != HOUR]:
        page = (built_site / "book" / f"{stem}.html").read_text(encoding="utf-8")
        assert page.count("Predict before you run") == 1, stem
        assert re.search("<summary><span>The answers? to ", page), stem
        assert page.count("<summary><span>Solution to Exercise") >= 4, stem
        assert '<div class="solution' not in page, stem
        assert "exercise-content" not in page, stem


def test_folded_cells_say_what_is_in_them(built_site: Path) -> None:
    for path in notebooks.chapters():
        page = (built_site / "book" / f"{path.stem}.html").read_text(encoding="utf-8")
        folded = notebooks.code_cells(notebooks.load(path), tag="hide-input")
        label = r'<details class="fold of-cell[^>]*><summary><span>Code, (\d+) lines?</span></summary>'
        assert [int(count) for count in re.findall(label, page)] == [len(cell.source.splitlines()) for cell in folded]
        assert "Toggle hidden content" not in page


# ------------------------------------------------------------------------------------------------------- small pages

WIDE = """() => {
  const room = document.documentElement.clientWidth;
  const clips = (e) => /auto|scroll|hidden|clip/.test(getComputedStyle(e).overflowX);
  const clipped = (e) => e && (clips(e) || clipped(e.parentElement));
  const faults = document.documentElement.scrollWidth > room ? ['the page scrolls sideways'] : [];
  for (const e of document.querySelectorAll('.bd-article *')) {
    if (e.getBoundingClientRect().right > room + 1 && !clipped(e))
      faults.push(`too wide: ${e.outerHTML.slice(0, 100)}`);
    const hides = e.clientWidth && e.scrollWidth > e.clientWidth + 1;
    if (hides && /auto|scroll/.test(getComputedStyle(e).overflowX) && (e.tabIndex < 0 || !e.getAttribute('aria-label')))
      faults.push(`no stop for the keyboard: ${e.outerHTML.slice(0, 100)}`);
  }
  return faults;
}"""
UNFOLD = "document.querySelectorAll('details:not([open])').forEach((fold) => (fold.open = fold.dataset.shut = true))"
FOLD_AGAIN = "document.querySelectorAll('[data-shut]').forEach((fold) => (fold.open = false))"
BOXES = "[role='group'][tabindex='0']"
WIDE_KINDS = {"book/04_vanishing_exploding.html": ["Formula", "Code", "Output"], "book/notation.html": ["Table"]}


def too_wide(page: Page, *, scripts: bool = True) -> list[str]:
    """Return what does not fit the smallest phone, or scrolls in a box that the keyboard does not reach."""
    resize(page, 320, scripts=scripts)
    return page.evaluate(WIDE)


def test_box_scrolls_by_keyboard(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/01_symmetry.html", viewport={"width": 320, "height": 640})
    page.locator("pre").first.scroll_into_view_if_needed()  # what is far below is measured when it comes near
    box = page.locator(f"pre{BOXES}").first
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(box) => box.scrollLeft > 0", arg=box.element_handle())


@pytest.mark.parametrize(
    ("without", "style", "fault"),
    [
        ("**/_static/reading.js*", "", "no stop for the keyboard"),
        ("", ".bd-article pre { overflow: visible }", "too wide"),
        ("", ".bd-article { width: 400px }", "sideways"),
    ],
)
def test_fault_on_the_smallest_phone_is_found(
    open_page: Callable[..., Page], address: str, without: str, style: str, fault: str
) -> None:
    page = open_page(f"{address}/book/02_zero.html", without=without, viewport={"width": 320, "height": 640})
    page.add_style_tag(content=style or "/* as it is */")
    assert any(fault in line for line in too_wide(page, scripts=not without))


# ------------------------------------------------------------------------------------------------- paper, and no script

PRINTED = """() => {
  const shown = (s) => [...document.querySelectorAll(s)].some((e) => e.checkVisibility());
  const gone = ['sidebar-primary', 'sidebar-secondary', 'header-article'].map((name) => `.bd-${name}`);
  const faults = [...gone, '.prev-next-footer', '.headerlink'].filter(shown).map((s) => `${s} is printed`);
  if (!shown('.bd-article h1')) faults.push('the title is not printed');
  if (getComputedStyle(document.body).backgroundColor !== 'rgb(255, 255, 255)') faults.push('the paper is not white');
  const image = document.querySelector('figure.cell-figure img');
  if (getComputedStyle(image).filter !== 'none') faults.push('a figure is printed as on a dark page');
  const figure = getComputedStyle(document.querySelector('figure.cell-figure'));
  return figure.breakInside === 'avoid' ? faults : [...faults, 'a figure may be parted from its caption'];
}"""


def test_print(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/01_symmetry.html", color_scheme="dark")
    assert page.locator("figure.cell-figure > figcaption").count() == page.locator(".cell_output img").count()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(PRINTED) == []
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0


@pytest.mark.parametrize(
    ("style", "fault"),
    [
        ("html .bd-sidebar-primary { display: block !important }", ".bd-sidebar-primary is printed"),
        ("h1 { display: none !important }", "title"),
        ("body { background: #222 !important }", "white"),
        ("figure { break-inside: auto !important }", "parted"),
        ("html[data-theme] { --figure: invert(1) !important }", "dark page"),
    ],
)
def test_fault_in_print_is_found(open_page: Callable[..., Page], address: str, style: str, fault: str) -> None:
    page = open_page(f"{address}/book/01_symmetry.html", color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.add_style_tag(content=style)
    assert [style for style in page.evaluate(PRINTED) if fault in style]


def test_page_reads_without_a_script(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/01_symmetry.html", java_script_enabled=False)
    text = page.locator(".bd-article").inner_text()
    assert "Give every hidden unit of a layer the same weights" in text
    assert "The two contributions cancel" not in text
    page.locator("#symmetry-sol-signs > summary").press("Enter")
    page.locator("#symmetry-sol-signs p", has_text="the two contributions cancel").wait_for(state="visible")
    assert page.locator(".bd-links a").first.is_visible()


# ------------------------------------------------------------------------------------------------------ dark figures


def contrast_of(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return the contrast ratio of two colors, 1 to 21."""
    return contrast(*("#{:02x}{:02x}{:02x}".format(*color) for color in (one, other)))


def as_shown(page: Page, colors: list[str]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Return the color beside a figure, and those that a figure's `colors` have on the page."""
    picture = Image.new("RGB", (20 * len(colors), 20))
    for at, color in enumerate(colors):
        picture.paste(color, (20 * at, 0, 20 * at + 20, 20))
    file = io.BytesIO()
    picture.save(file, format="PNG")
    source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    page.evaluate(
        "(source) => { const figure = document.querySelector('figure.cell-figure');"
        " figure.innerHTML = `<img src='${source}' style='margin: 20px'>`; return figure.firstChild.decode() }",
        source,
    )
    resize(page, 1280)
    shot = Image.open(io.BytesIO(page.locator("figure.cell-figure").first.screenshot())).convert("RGB")
    return shot.getpixel((5, 5)), [shot.getpixel((30 + 20 * at, 30)) for at in range(len(colors))]


def unclear(page: Page) -> list[str]:
    """Return what is wrong with the colors of a figure as the page shows them."""
    names = {color: name for name, color in plots.COLORS.items()}
    beside, (paper, ink, *schemes) = as_shown(page, [plots.PAPER, plots.INK, *names])
    faults = [] if max(abs(a - b) for a, b in zip(beside, paper, strict=True)) <= 1 else [f"paper {paper} on {beside}"]
    faults += [f"ink: {contrast_of(ink, paper):.1f}"] if contrast_of(ink, paper) < 7 else []
    faults += [
        f"{name}: {contrast_of(color, paper):.1f}"
        for name, color in zip(names.values(), schemes, strict=True)
        if contrast_of(color, paper) < 3
    ]
    palette = ["#{:02x}{:02x}{:02x}".format(*color) for color in schemes]
    return faults + [f"look alike with {eyes}" for eyes in SEEN if closest(palette, eyes) < 12]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_belong_to_the_page(open_page: Callable[..., Page], address: str, theme: str) -> None:
    assert unclear(open_page(f"{address}/book/01_symmetry.html", color_scheme=theme)) == []


@pytest.mark.parametrize(
    ("style", "fault"),
    [
        ("none", "paper"),
        ("invert(0.94) hue-rotate(180deg)", "alike with protanopia"),
        ("invert(0.94) hue-rotate(180deg) brightness(0.5)", "ink"),
        ("invert(0.94) grayscale(1)", "alike"),
    ],
)
def test_unclear_figure_is_found(open_page: Callable[..., Page], address: str, style: str, fault: str) -> None:
    page = open_page(f"{address}/book/01_symmetry.html", color_scheme="dark")
    page.add_style_tag(content=f"html[data-theme='dark'] {{ --figure: {style} !important }}")
    assert any(fault in line for line in unclear(page))


# -------------------------------------------------------------------------------------------------- how long it takes


def test_every_chapter_says_how_long_it_takes(built_site: Path) -> None:
    times = yaml.safe_load((notebooks.ROOT / "book" / reading.TIMES).read_text(encoding="utf-8"))
    assert sorted(times) == sorted(CHAPTERS)
    for stem in CHAPTERS:
        page = (built_site / "book" / f"{stem}.html").read_text(encoding="utf-8")
        assert f"<span>{reading.spoken(times[stem])} to run</span>" in page
        assert "minutes to read</span>" in page or "<span>Main line: about " in page
        assert f'href="../_sources/book/{stem}.ipynb" download>' in page
        assert (built_site / "_sources" / "book" / f"{stem}.ipynb").is_file()


def test_time_changes_only_by_more_than_half(tmp_path: Path) -> None:
    file = tmp_path / reading.TIMES
    assert run.TIMES == reading.TIMES
    assert run.keep_time(file, "01_one", 41.2)
    assert run.keep_time(file, "02_two", 3.0)
    assert not run.keep_time(file, "01_one", 60.0)
    before = file.read_bytes()
    assert yaml.safe_load(before) == {"01_one": 45, "02_two": 5}
    assert not run.keep_time(file, "01_one", 25.0)
    assert file.read_bytes() == before
    assert run.keep_time(file, "01_one", 90.0)
    assert run.keep_time(file, "01_one", 12.0)
    assert yaml.safe_load(file.read_text()) == {"01_one": 15, "02_two": 5}


def test_reading_time_counts_what_one_reads() -> None:
    assert reading.reading_minutes(publish_doctree("word " * 750)) == 5
    assert reading.reading_minutes(publish_doctree("word " * 751)) == 10
    assert reading.reading_minutes(publish_doctree("0.41, half-truth - " * 375)) == 5  # a number is one word
    page = publish_doctree("word " * 10)
    page += nodes.literal_block(text="x = 1\n" * 199)
    assert reading.reading_minutes(page) == 15
    output = nodes.container(classes=["cell_output"])
    output += nodes.literal_block(text="1\n" * 300)
    page += output
    assert reading.reading_minutes(page) == 20
    page += reading.fold("", reading.summary(text="Solution"), nodes.paragraph(text="word " * 9000))
    assert reading.reading_minutes(page) == 20
    page += nodes.math_block(text="x")
    assert reading.reading_minutes(page) == 20
    drawing = f"<svg><style>{'a ' * 2000}</style><text>{'1 ' * 2000}</text></svg>"
    folded = f"<details><summary>two</summary><p>{'word ' * 9000}</p></details>"
    page += nodes.raw("", f'<p class="{"a-b " * 2000}">two words</p>{drawing}{folded}', format="html")
    assert reading.reading_minutes(page) == 20
    page += nodes.raw("", f"<td>{'seen ' * 750}</td>", format="html")
    assert reading.reading_minutes(page) == 25
    page += nodes.raw("", f"<div class='ledger'>{'seen ' * 9000}</div>", format="html")
    assert reading.reading_minutes(page) == 25


def test_a_divider_parts_two_readings() -> None:
    source = "Title\n=====\n\nOne\n---\n\n{}\n\n{}\n{}\n\n{}\n\nReferences\n----------\n\nend\n"
    page = publish_doctree(
        source.format("word\n" * 1400, "Going further", "-" * 13, "word\n" * 2200),
        settings_overrides={"doctitle_xform": False},
    )
    assert reading.divide(page) == ["Main line: about 10 minutes", "with all that goes further: 25"]
    (section,) = (part for part in page.findall(nodes.section) if "further" in part["classes"])
    assert section.children[1].astext().startswith("A second reading: about 15 minutes")
    whole = publish_doctree("word " * 700)
    assert reading.divide(whole) == ["About 5 minutes to read"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(35, "35 seconds"), (60, "1 minute"), (75, "1½ minutes"), (400, "7 minutes")]
)
def test_times_are_spoken(seconds: int, said: str) -> None:
    assert reading.spoken(seconds) == said
