"""The live figure in which two starts race: the element in a real browser, its widget, and the picture for elsewhere.

What the engine computes is for ``test_train``. Nothing here is statistical: seeds are fixed.
"""

import html
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import axe_playwright_python
import numpy as np
import pytest
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page
from traitlets import TraitError

import initnotes as ini
from initnotes.book import races
from tools import guards, pages
from tools import races as tool
from tools.notebooks import ROOT

ASSETS = ROOT / "book" / "assets"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
POLICY = f'<meta http-equiv="Content-Security-Policy" content="{pages.policy("")}">'
THEMES = ("light", "dark")

# ------------------------------------------------------------------------------------------------------------ the pages


def classic(module: str) -> str:
    """Return a module as the classic script that pages load: in a scope of its own, without exports."""
    text = re.sub(r"^export default(?= )", "void", module, flags=re.MULTILINE)
    return f'(() => {{ "use strict";\n{re.sub(r"^export .*$", "", text, flags=re.MULTILINE)}\n}})();\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is served: the figure's files, and the pages that tests write."""
    made = tmp_path_factory.mktemp("race")
    for name in ("train-digits", "train-lab"):
        (made / f"{name}.js").write_text(
            classic((ASSETS / f"{name}.mjs").read_text(encoding="utf-8")), encoding="utf-8"
        )
    (made / "train-lab.css").write_bytes((ASSETS / "train-lab.css").read_bytes())
    (made / "widget.mjs").write_text(races._widget_class()._esm, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def address(folder: Path, serve: Callable[[Path], AbstractContextManager[str]]) -> Iterator[str]:
    """Serve the folder and return its address."""
    with serve(folder) as served:
        yield served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a new page that fails the test on an error."""
    errors: list[str] = []
    with browser.new_context() as context:
        made = context.new_page()
        made.set_default_timeout(5000)
        made.on("pageerror", lambda error: errors.append(str(error)))
        yield made
    assert errors == []


SCRIPTS = '<script defer src="train-digits.js"></script><script defer src="train-lab.js"></script>'


def write(folder: Path, body: str, *, head: str = "", theme: str = "light", scripts: str = SCRIPTS) -> str:
    """Write a page around `body` and return its name."""
    text = f"""<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">{head}<title>figure</title>
        <meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
        <link rel="stylesheet" href="train-lab.css">{scripts}
        <body style="margin: 0; font-family: 'DejaVu Sans', sans-serif"><main style="max-width: 740px; margin: auto">
        <h1>A page</h1>{body}<p>What follows.</p></main></body></html>"""
    (folder / "page.html").write_text(text, encoding="utf-8")
    return "page.html"


# Short races that are seen at once: the first preset with fewer steps; lanes stay where the preset has them.
SHORT = """([steps, length]) => {
    customElements.get('train-lab').length = length;
    for (const lab of document.querySelectorAll('train-lab')) {
        lab.setAttribute('fixed', '');
        lab.setUp(steps ? {...lab.preset, steps} : lab.preset, lab.name);
    }
}"""


@pytest.fixture
def show(page: Page, folder: Path, address: str) -> Callable[..., Page]:
    """Return a function that opens a page with races: `presets` of each, shortened."""

    def open_page(*presets: str, width: int = 1280, steps: int = 12, length: int = 60, **options: Any) -> Page:
        page.set_viewport_size({"width": width, "height": 1000})
        body = "".join(f'<train-lab presets="{names}"></train-lab>' for names in presets)
        page.goto(f"{address}/{write(folder, body, **options)}")
        page.evaluate(SHORT, [steps, length])
        return page

    return open_page


def until(page: Page, truth: str) -> None:
    """Wait for a truth; Playwright's own way needs eval, which the policy of the pages forbids."""
    for _ in range(2400):
        if page.evaluate(truth):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never: {truth}")


LAB = "document.querySelector('train-lab')"
FINISHED = "[...document.querySelectorAll('train-lab')].every((lab) => lab.finished)"


def bet(page: Page, choice: str, which: int = 0) -> None:
    """Click an answer: "a", "b" or "even"."""
    page.locator("train-lab").nth(which).locator(f'[data-bet="{choice}"]').click()


def verdict(page: Page) -> str:
    """Wait for the end and return what is said."""
    until(page, FINISHED)
    return page.locator("train-lab .verdict").first.inner_text()


# ------------------------------------------------------------------------------------------------------- bet, race, end

RIGHT = r"You were right\. B has \d+\s% of 360 new digits right, A 10\s%; B is ahead in 8 of 8 draws\."
EVEN = r"You were right\. A \d+\s%, B \d+\s%: no clear difference in 8 of 8 draws\."


@pytest.mark.parametrize(
    ("preset", "choice", "said"),
    [
        ("zero", "b", RIGHT),
        ("zero", "a", RIGHT.replace("You were right", "You said A; it was B")),
        ("small-shallow", "even", EVEN),
        ("small-shallow", "b", EVEN.replace("You were right", "You said B; it was about even")),
    ],
    ids=["right", "wrong", "even, right", "even, wrong"],
)
def test_the_end_says_who_was_ahead(show: Callable[..., Page], preset: str, choice: str, said: str) -> None:
    page = show(preset, steps=0)
    bet(page, choice)
    assert re.fullmatch(said, verdict(page))
    right = said.startswith("You were")
    assert page.evaluate(f"{LAB}.result.right") == right
    assert page.locator("train-lab .result").get_attribute("class") == f"stack result {'hit' if right else 'miss'}"
    why = page.locator("train-lab .result .why").first
    assert tool.exported()["presets"][preset]["why"] in why.inner_text().replace("\u00a0", " ")
    assert why.locator("a").get_attribute("href").partition("#")[0].endswith(".html")


def test_a_bet_is_locked(show: Callable[..., Page]) -> None:
    page = show("small", length=60_000)
    score = page.locator("train-lab .score b").first
    assert score.inner_text() == "–"
    assert page.evaluate(f"{LAB}.records.length") == 0
    bet(page, "a")
    page.locator("train-lab [data-bet=b]").dispatch_event("click")
    assert page.evaluate(f"{LAB}.choice") == "a"
    pressed = page.locator("train-lab [data-bet]").evaluate_all("all => all.map(one => one.ariaPressed)")
    assert pressed == ["true", "false", "false"]
    assert page.locator("train-lab [data-bet][aria-disabled=true]").count() == 3
    page.locator("train-lab .skip").click()
    assert verdict(page).startswith("You said A") or verdict(page).startswith("You were right")
    assert re.fullmatch(r"\d+\s%", score.inner_text())


def test_by_keyboard(show: Callable[..., Page]) -> None:
    page = show("zero small", length=60_000)
    focused = f"(e => e?.dataset.bet || e?.dataset.name || e?.className || '')({LAB}.shadowRoot.activeElement)"
    seen = []
    for _ in range(6):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(focused))
        outline = f"{LAB}.shadowRoot.activeElement && getComputedStyle({LAB}.shadowRoot.activeElement).outlineStyle"
        assert page.evaluate(outline) in ("solid", "auto")
    assert seen == ["zero", "small", "a", "b", "even", ""]  # then the fold with a race of one's own
    page.locator("train-lab [data-bet=b]").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "b"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "pause"
    page.keyboard.press("Space")
    assert page.locator("train-lab .pause").inner_text() == "Go on"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # to the end, and that button goes
    until(page, FINISHED)
    assert page.evaluate(focused) == "scrub"
    assert page.locator("train-lab .scrub").get_attribute("aria-valuetext").startswith("12: A ")
    page.keyboard.press("Home")
    assert page.locator("train-lab output").inner_text() == "0 of 12"
    assert page.evaluate(f"{LAB}.at") == 0
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate(f"[{LAB}.seed, {LAB}.choice, {focused}]") == [2, None, "a"]


def test_a_race_of_ones_own(show: Callable[..., Page]) -> None:
    page = show("symmetry")
    page.locator("train-lab summary").click()
    for label, value in [("A starts with", "zeros"), ("Activation", "tanh"), ("Layers", "3"), ("Width", "16")]:
        page.get_by_label(label).select_option(value)
    page.locator("train-lab #steps").select_option("100")
    page.get_by_role("button", name="Set it up").click()
    assert "3 layers, 16 wide, tanh" in page.locator("train-lab #question").inner_text()
    bet(page, "b")
    assert verdict(page).startswith("You were right. B has")
    assert page.locator("train-lab .why").first.inner_text().strip() == ""
    assert "the same in all" not in page.locator("train-lab .units").last.get_attribute("aria-label")


def test_what_diverges_is_said(show: Callable[..., Page]) -> None:
    page = show("small", steps=0)
    page.evaluate(f"""(lab => {{
        const specs = lab.preset.specs.map((spec, k) => ({{...spec, phi: 'relu', lr: k ? 0.01 : 1e6}}));
        lab.setUp({{...lab.preset, specs, steps: 20}}, 'own');
    }})({LAB})""")
    bet(page, "b")
    until(page, FINISHED)
    said = re.fullmatch(
        r"Loss: lower is better; A: ([1-8] of 8) diverged", page.locator("train-lab .note").text_content()
    )
    assert said
    assert f"{said[1]} networks of A diverged." in page.locator("train-lab .why").first.inner_text()


def test_pictures_say_what_they_show(show: Callable[..., Page]) -> None:
    page = show("symmetry", steps=60)
    bet(page, "b")
    until(page, FINISHED)
    labels = page.locator("train-lab [role=img]").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert len(labels) == 7
    text = " ".join(labels)
    assert text.count("the same in all.") == text.count("something different in each.") == 1
    assert len(re.findall(r"\d read as (?:\d|nothing)", text)) == 16
    assert re.search(r"medians of 8: A from 2\.\d\d to \d\.\d\d and B from", text)


def test_no_side_always_wins(show: Callable[..., Page]) -> None:
    page = show("symmetry")
    page.evaluate(f"{LAB}.removeAttribute('fixed')")
    firsts = page.evaluate(f"""(lab => Array.from({{length: 40}}, (_, seed) => {{
        lab.seed = seed;
        return lab.turned(lab.preset, lab.name).lanes[0].name;
    }}))({LAB})""")
    assert 10 <= firsts.count("all 0.1") <= 30


# ------------------------------------------------------------------------------------------------- how it does its work


# From here on the page's clock is the test's: every frame comes, one each 16 ms, on a machine as busy as may be.
HOLD_TIME = """(lab => {
    window.pictures = [];
    const show = lab.show.bind(lab);
    lab.show = (at) => (pictures.push(at), show(at));
    window.frame = null;
    let now = 0;
    performance.now = () => now;
    window.requestAnimationFrame = (callback) => (window.frame = callback, 1);
    window.cancelAnimationFrame = () => (window.frame = null);
    window.pass = (time) => {
        for (const end = now + time; now < end; ) {
            now += 16;
            const next = frame;
            window.frame = null;
            next?.(now);
        }
    };
})"""


def test_reduced_motion_draws_five_pictures(show: Callable[..., Page]) -> None:
    page = show("zero", length=300)
    page.evaluate(f"{HOLD_TIME}({LAB})")
    page.emulate_media(reduced_motion="reduce")
    bet(page, "b")
    until(page, f"(pass(16), {LAB}.records.length > 12)")
    page.evaluate("pass(600)")
    assert page.evaluate(FINISHED)
    assert page.evaluate("pictures") == [0, 3, 6, 9, 12]
    page.emulate_media(reduced_motion="no-preference")
    page.evaluate("pictures.length = 0")
    page.locator("train-lab .again").click()
    bet(page, "b")
    until(page, f"(pass(16), {LAB}.records.length > 12)")
    page.evaluate("pass(600)")
    assert page.evaluate(FINISHED)
    assert len(page.evaluate("pictures")) > 5


def test_live_region_speaks_twice(show: Callable[..., Page]) -> None:
    page = show("zero", length=200)
    page.evaluate(f"""(root => {{
        window.heard = [];
        const region = root.querySelector('[role=status]');
        new MutationObserver(() => heard.push(region.textContent)).observe(region, {{childList: true, subtree: true}});
    }})({LAB}.shadowRoot)""")
    bet(page, "even")
    said = verdict(page)
    page.locator("train-lab .scrub").press("ArrowLeft")
    page.wait_for_timeout(50)
    assert page.evaluate("heard") == ["Locked: no clear difference. The race takes about 0 seconds.", said]


REFUSED = (
    "window.refused = [];document.addEventListener('securitypolicyviolation', e => refused.push(e.violatedDirective))"
)


@pytest.mark.parametrize(("planted", "expected"), [("", []), ("<script>1</script>", ["script-src-elem"])])
def test_strict_policy(show: Callable[..., Page], page: Page, planted: str, expected: list[str]) -> None:
    page.add_init_script(REFUSED)
    show("zero", head=POLICY + planted)
    bet(page, "b")
    until(page, FINISHED)
    assert page.evaluate("refused") == expected
    assert len(page.workers) == 1


def test_where_workers_are_forbidden(show: Callable[..., Page]) -> None:
    page = show("zero", head=POLICY.replace("default-src", "worker-src 'none'; default-src"))
    bet(page, "b")
    until(page, FINISHED)
    assert page.workers == []


def test_from_a_file(page: Page, folder: Path) -> None:
    name = write(folder, '<train-lab presets="zero"></train-lab>', head=POLICY.replace("'self'", "'self' file:"))
    page.goto((folder / name).as_uri())
    page.evaluate(SHORT, [12, 60])
    bet(page, "b")
    until(page, FINISHED)
    assert page.workers == []


TIMED = """([which, alone]) => {
    const lab = document.querySelector('train-lab'), own = lab[which].bind(lab);
    customElements.get('train-lab').noWorker = alone;
    window.took = [];
    lab[which] = (...given) => {
        const begun = performance.now();
        own(...given);
        took.push(performance.now() - begun);
    };
}"""


@pytest.mark.parametrize(("which", "alone"), [("slice", True), ("show", False)])
def test_the_page_answers(show: Callable[..., Page], which: str, alone: bool) -> None:
    page = show("he", steps=40, length=1500)
    page.evaluate(TIMED, [which, alone])
    bet(page, "b")
    until(page, FINISHED)
    took = page.evaluate("took")
    assert len(took) > 10
    assert min(took) < 12.5  # the quickest counts: a busy machine only adds, and this one does the same each time
    assert len(page.workers) == (not alone)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "worker"])
def test_two_take_turns(show: Callable[..., Page], alone: bool) -> None:
    page = show("small", "small", steps=80)
    page.evaluate(f"customElements.get('train-lab').noWorker = {'true' if alone else 'false'}")
    bet(page, "b", 0)
    bet(page, "b", 1)
    until(page, "[...document.querySelectorAll('train-lab')].some((lab) => lab.finished)")
    assert min(page.evaluate("[...document.querySelectorAll('train-lab')].map((lab) => lab.records.length)")) > 25
    until(page, FINISHED)
    scores = page.evaluate("[...document.querySelectorAll('train-lab')].map((lab) => lab.result.scores)")
    assert scores[0] == scores[1]  # the same seed, and neither disturbed the other


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "worker"])
def test_removal_stops_a_race(show: Callable[..., Page], alone: bool) -> None:
    page = show("he", steps=150, length=3000)
    page.evaluate(f"customElements.get('train-lab').noWorker = {'true' if alone else 'false'}")
    bet(page, "b")
    until(page, f"{LAB}.records.length > 3")
    page.evaluate(f"window.lab = {LAB}; lab.remove()")
    page.wait_for_timeout(150)
    assert page.evaluate("[lab.records.length, lab.choice, lab.run, lab.job]") == [0, None, None, None]
    page.evaluate(SHORT.replace("document.querySelectorAll('train-lab')", "[window.lab]"), [12, 60])
    page.evaluate("document.querySelector('main').append(lab)")
    bet(page, "b")
    until(page, "lab.finished")


# Hides the page once it is past a step, or shows it and says where it is then: a busy machine lets this process wait.
TURN = """([hidden, step]) => new Promise((done) => {
    const lab = document.querySelector('train-lab');
    const turn = () => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    };
    const look = () => {
        if (lab.at <= step) return requestAnimationFrame(look);
        if (hidden) turn();
        done(lab.at);
    };
    if (!hidden) turn();
    look();
})"""


def test_a_hidden_page_rests(show: Callable[..., Page]) -> None:
    page = show("he", steps=150, length=3000)
    bet(page, "b")
    page.evaluate(TURN, [True, 1])
    where = f"[{LAB}.at, {LAB}.records.length]"
    before = None
    for _ in range(40):  # what the worker had begun still arrives; then nothing more does
        before, last = page.evaluate(where), before
        if before == last:
            break
        page.wait_for_timeout(250)
    assert before == last
    assert before[1] < 140  # the worker has not done all
    assert page.evaluate(TURN, [False, before[0]]) < before[0] + 40
    # A browser that stops the frames of a page and says nothing: one frame counts for a quarter of a second.
    until(page, f"{LAB}.records.length > 20")
    moved = page.evaluate(f"""(lab => {{
        cancelAnimationFrame(lab.frame);
        Object.assign(lab, {{playhead: 0, last: performance.now()}});
        lab.tick(lab.last + 60000);
        return lab.playhead;
    }})({LAB})""")
    assert 0 < moved <= 250 / 3000 * 150 + 1e-6


# --------------------------------------------------------------------------------------------------------- how it looks


@pytest.mark.parametrize("width", [320, 390, 700, 1280])
def test_nothing_moves_or_overflows(show: Callable[..., Page], width: int) -> None:
    page = show("symmetry zero-logistic small chaos bias", width=width, steps=0)
    heights = {"asked": page.locator("train-lab").bounding_box()["height"]}

    def note(what: str) -> None:
        heights[what] = page.locator("train-lab").bounding_box()["height"]
        assert page.evaluate("document.documentElement.scrollWidth") == width, what

    for name in ("small", "bias", "chaos", "zero-logistic"):
        page.locator(f"train-lab [data-name={name}]").click()
        page.evaluate(SHORT, [12, 60])
        note(f"{name} asked")
        bet(page, "even")
        note(f"{name} locked")
        until(page, FINISHED)
        note(f"{name} over")
        page.locator("train-lab .again").click()
        note(f"{name} again")
    assert set(heights.values()) == {heights["asked"]}, heights
    sizes = page.locator("train-lab button:visible, train-lab summary").evaluate_all(
        "all => all.map(e => e.offsetHeight)"
    )
    assert min(sizes) >= 21


def test_a_figure_that_shrinks_gives_its_room_back(show: Callable[..., Page]) -> None:
    page = show("small")
    before = page.locator("train-lab").bounding_box()["height"]
    for width in (390, 1000, 1280):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(60)
    until(page, f"{LAB}.getBoundingClientRect().height === {before}")


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing(show: Callable[..., Page], theme: str) -> None:
    page = show("symmetry small", theme=theme)
    page.evaluate(AXE)
    page.locator("train-lab summary").click()
    found = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    faults = f"{found}.then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 90)).join(' ')))"
    paper, ink = ("#fdfdfb", "#111") if theme == "light" else ("#171613", "#eee")
    page.add_style_tag(content=f"html {{ background: {paper}; color: {ink} }}")
    assert page.evaluate(faults) == []
    bet(page, "b")
    until(page, FINISHED)
    assert page.evaluate(faults) == []
    page.evaluate(f"{LAB}.shadowRoot.querySelector('.why').style.color = '#888'")
    assert any("color-contrast" in fault for fault in page.evaluate(faults))  # it would be seen


def test_theme_changes_during_a_race(show: Callable[..., Page]) -> None:
    page = show("zero", steps=150, length=60_000)
    pixel = f"""(() => {{ const c = {LAB}.shadowRoot.querySelector('.digit canvas');
        return [...c.getContext('2d').getImageData(0, 0, 1, 1).data]; }})()"""
    bet(page, "b")
    before = page.evaluate(pixel)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    until(page, f"{LAB}.shadowRoot.querySelector('.race.dark') !== null")
    assert page.evaluate(pixel) != before
    assert page.evaluate(f"{LAB}.finished") is False
    page.evaluate("delete document.documentElement.dataset.theme; document.body.dataset.jpThemeLight = 'true'")
    until(page, f"{LAB}.shadowRoot.querySelector('.race.dark') === null")
    page.locator("train-lab .skip").click()
    until(page, FINISHED)


def test_forced_colors_keep_the_lines(show: Callable[..., Page]) -> None:
    page = show("zero")
    page.emulate_media(forced_colors="active")
    bet(page, "b")
    until(page, FINISHED)
    strokes = page.locator("train-lab .curve").evaluate_all("all => all.map(one => getComputedStyle(one).stroke)")
    paper = page.locator("train-lab .race").evaluate("one => getComputedStyle(one).backgroundColor")
    assert paper not in strokes
    assert len(strokes) == 2


# ------------------------------------------------------------------------------------------------ where nothing is live


@pytest.fixture(scope="module")
def stored() -> str:
    """Return the HTML that a page stores."""
    return races.to_html("zero", "small", seed=1)


def test_without_javascript(browser: Browser, folder: Path, address: str, stored: str) -> None:
    with browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 900}) as context:
        page = context.new_page()
        page.goto(f"{address}/{write(folder, stored)}")
        assert page.locator("train-lab svg").bounding_box()["height"] > 150
        assert page.locator("train-lab figcaption").inner_text().startswith("last matrix 0, rest He is ahead in 8 of 8")
        assert page.locator("train-lab").bounding_box()["height"] < 700
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_end_is_not_told_before_the_bet(page: Page, folder: Path, address: str, stored: str) -> None:
    page.goto(f"{address}/{write(folder, stored, scripts='')}")  # as long as the script has not come
    caption = page.locator("train-lab figcaption")
    assert not caption.is_visible()
    reserved = page.locator("train-lab").bounding_box()["height"]
    page.evaluate("document.getAnimations().forEach(one => one.finish())")  # and if it never comes
    assert caption.is_visible()
    assert page.locator("train-lab").bounding_box()["height"] < reserved


@pytest.mark.parametrize("width", [390, 1280])
def test_layout_does_not_shift(page: Page, folder: Path, address: str, stored: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/{write(folder, stored, scripts='')}")
    reserved = page.locator("train-lab").bounding_box()["height"]
    page.goto(f"{address}/{write(folder, stored)}")
    assert page.locator("train-lab").bounding_box()["height"] == pytest.approx(reserved, abs=60)
    assert not page.locator("train-lab figcaption").is_visible()


def test_print_shows_the_stored_picture(page: Page, folder: Path, address: str, stored: str) -> None:
    page.goto(f"{address}/{write(folder, stored + '<train-lab presets=zero></train-lab>')}")
    page.emulate_media(media="print")
    assert page.locator("train-lab figcaption").is_visible()
    shown = page.locator("train-lab .race").evaluate_all("all => all.map(one => one.checkVisibility())")
    assert shown == [False, True]  # the second one has no picture
    assert page.locator("train-lab").first.bounding_box()["height"] < 700


# ---------------------------------------------------------------------------------------------------------- in Jupyter

MODEL = """async () => {
    const { default: widget } = await import('/widget.mjs'), on = {};
    const own = { presets: ['small', 'zero'], preset: 'zero', seed: 3, bet: '', result: {} };
    window.model = {
        get: name => own[name], own,
        set(name, value) { if (own[name] !== value) { own[name] = value; on[`change:${name}`]?.(); } },
        save_changes() {}, on(name, f) { on[name] = f; }, off(name) { delete on[name]; },
    };
    window.clean = widget.render({ model, el: document.querySelector('main') });
    window.listeners = () => Object.keys(on).length;
}"""


def test_widget_and_model_follow_each_other(page: Page, folder: Path, address: str) -> None:
    page.goto(f"{address}/{write(folder, '', scripts='')}")
    page.evaluate(MODEL)
    assert page.evaluate(f"[{LAB}.name, {LAB}.seed]") == ["zero", 3]
    page.evaluate("model.set('seed', 5)")
    assert page.evaluate(f"{LAB}.seed") == 5
    page.evaluate("customElements.get('train-lab').length = 60")
    name = page.evaluate(f"{LAB}.race.lanes[1].name")
    bet(page, "b")
    assert page.evaluate("model.own.bet") == name
    until(page, FINISHED)
    result = page.evaluate("model.own.result")
    assert result["ahead"] == "last matrix 0, rest He"
    assert result["right"] == (name == result["ahead"])
    assert result["scores"]["all weights 0"] < 0.2 < result["scores"]["last matrix 0, rest He"]
    assert len(page.workers) == 1  # from the functions' text
    assert page.locator("train-lab .result a:visible").count() == 0  # the chapters are no pages there
    page.locator("train-lab [data-name=small]").click()
    assert page.evaluate("[model.own.preset, model.own.bet, Object.keys(model.own.result).length]") == ["small", "", 0]
    page.evaluate("clean()")
    assert page.evaluate("listeners()") == 0


def test_widget_has_traits() -> None:
    figure = ini.race("small", "small-shallow", seed=4)
    assert (figure.preset, figure.seed, figure.presets) == ("small", 4, ["small", "small-shallow"])
    figure.preset = "own"
    figure.preset = "he"
    with pytest.raises((TraitError, ValueError), match="unknown preset 'hee'; did you mean 'he'"):
        figure.preset = "hee"
    assert figure.preset == "he"


def test_mime_bundle(stored: str) -> None:
    data, _ = ini.race("zero", "small")._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"] == "train-lab: zero, small"
    assert data["text/html"] == stored


def test_missing_anywidget_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    races._widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match="pip install anywidget"):
        ini.race("zero")


@pytest.mark.parametrize(
    ("names", "seed", "message"),
    [
        (("simmetry",), 1, "did you mean 'symmetry'"),
        ((), 1, "at least one preset"),
        (("zero",), -1, "seed must be at least 0"),
        (("zero",), 1.5, "seed must be an integer"),
    ],
)
def test_bad_arguments_are_explained(names: tuple[str, ...], seed: Any, message: str) -> None:
    for function in (ini.race, races.to_html):
        with pytest.raises((TypeError, ValueError), match=message):
            function(*names, seed=seed)


# --------------------------------------------------------------------------------------------------- the stored picture


def test_presets_are_those_of_the_module() -> None:
    found, stored = tool.exported(), tool.stored()
    found["pictures"] = stored["pictures"]
    assert tool.FILE.read_text(encoding="utf-8") == tool.text(found), "run python -m tools.races"
    assert json.loads(tool.text(found)) == found
    assert tool.pictures(found, stored) == stored["pictures"]  # a race as it was keeps its picture


@pytest.mark.parametrize("preset", races.SENSITIVE)
def test_stored_pictures_are_of_their_races(preset: str) -> None:
    run, stored = races.outcome(preset, seed=races.SEED), races._pictured(preset, races.SEED)
    assert (stored.preset, stored.ahead) == (preset, run.ahead)
    assert min(stored.votes, run.votes) >= 7
    for kept, drawn in zip(stored.losses, run.losses, strict=True):
        assert kept.shape == (3, drawn.shape[1])
        assert np.allclose(kept[:, 0], np.quantile(drawn[:, 0], (0, 0.5, 1)), rtol=0.01)  # no step, no last bit grown
        ours, theirs = np.minimum(kept, 6), np.minimum(drawn, 6)  # what a picture shows
        assert np.median(abs(ours[1] - np.median(theirs, axis=0))) < 0.2  # and near it later, on any machine
    other = races._pictured("order", races.SEED)
    assert other.losses[0].shape[0] == races.REPLICAS  # what every machine draws alike is run


def stored_races() -> list[str]:
    """Return the HTML of every race that a notebook of the book stores."""
    found = []
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                text = "".join(output.get("data", {}).get("text/html", ""))
                if text.startswith("<train-lab"):
                    found.append(text)
    return found


def test_the_book_has_its_races() -> None:
    found = stored_races()
    assert len(found) == 11  # three in the hour, one in each of chapters 1 to 8
    names = {name for text in found for name in re.search('presets="([^"]*)"', text)[1].split()}
    assert names == set(races.presets())
    assert max(len(text.encode()) for text in found) < 6_000
    assert not any(re.search(r"\d\.\d{3,}|nan|inf\b", text.lower()) for text in found)


PICTURED = ["symmetry", "zero", "small", "order", "xavier", "he", "selu", "bias"]


def test_the_pictures_of_the_book_are_known() -> None:
    names = races._races()["presets"]
    titles = {re.search("<title>A race of two starts: (.*)</title>", text)[1] for text in stored_races()}
    assert titles == {html.escape(" against ".join(names[name]["names"])) for name in PICTURED}


@pytest.mark.parametrize("preset", [*PICTURED, "chaos", "selu-names"])
def test_last_bits_do_not_show(monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    before, draw = races.to_html(preset), races._network

    def shaken(*given: Any) -> Any:
        net = draw(*given)
        net.parameters.mul_(1 + 1e-13)
        return net

    monkeypatch.setattr(races, "_network", shaken)
    assert races.to_html(preset) == before
    if preset in races.SENSITIVE:  # which would show them, were they run
        monkeypatch.setitem(races._races(), "pictures", {})
        assert races.to_html(preset) != before


def test_outcome_is_a_race() -> None:
    found = races.outcome("bias", seed=2)
    assert [losses.shape for losses in found.losses] == [(8, races._races()["presets"]["bias"]["steps"] + 1)] * 2
    assert (found.ahead, found.votes) == (1, 8)
    assert np.median(found.losses[0][:, 0]) == pytest.approx(np.log(2))  # no weights in the last layer, no bias
    learn, judge = races._data("eights")
    assert (learn.y.sum(), len(learn.y)) == (68, 1298 + 68)
    assert found.scores[1].max() <= 1
    assert np.allclose(found.scores[0] * judge.y.sum() % 1, 0)  # a share of the eights


def test_guards_allow_the_picture(make_notebook: Callable[..., NotebookNode], stored: str) -> None:
    def faults(text: str) -> list[str]:
        notebook = make_notebook("race")
        notebook.cells[0].outputs = [{"output_type": "display_data", "data": {"text/html": text}, "metadata": {}}]
        return guards.active_html(notebook)

    assert faults(stored) == []
    assert faults(stored.replace("<title>", "<b>").replace("</title>", "</b>"))
    assert faults(stored.replace("</train-lab>", "<script>run()</script></train-lab>"))


def test_only_pages_with_a_race_load_it(built_site: Path) -> None:
    texts = {page.stem: page.read_text(encoding="utf-8") for page in (built_site / "book").glob("*.html")}
    scripts = {name: len(re.findall(r'src="[^"]*train-(?:lab|digits)\.m?js', text)) for name, text in texts.items()}
    assert scripts == {name: 2 * ("<train-lab" in text) for name, text in texts.items()}
    assert scripts["essentials"] == 2
