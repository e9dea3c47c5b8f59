"""The live figure on a page, in a real browser: its height, a phone, paper, themes, the policy, and without a script.

Each check is a function of a page that returns what it found; planted faults show that it can find some.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lab_pages import BAR, LAB, VERDICTS, drag, fold, settled, unfold, word, write
from playwright.sync_api import Browser, Page
from test_reading import ALL, AXE, RUN

from initnotes import widgets

POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"

# --------------------------------------------------------------------------------------------------------- its height

ROOM = "document.querySelector('init-lab').shadowRoot.querySelector('.lab').getBoundingClientRect().height"


def heights(page: Page, act: Callable[[], object] = lambda: None) -> set[float]:
    """Return the heights that the figure has while a reader uses it."""
    found = set()

    def look() -> None:
        settled(page)
        act()
        found.add(round(page.evaluate(ROOM), 2))

    look()
    for name in widgets.PRESETS:
        button = page.locator(f'init-lab button[data-name="{name}"]')
        if button.is_visible():
            button.click()
            look()
    for change in ("seed: 2", "seed: 3", "depth: 1", "depth: 60, width: 64", "scheme: 'free', sigmaW: 4, sigmaB: 2"):
        page.evaluate(f"{LAB}.set({{{change}}}, true)")
        look()
    for layer in (0, 40):
        page.evaluate(f"{LAB}.look({{kind: 'delta', layer: {layer}}})")
        look()
    page.evaluate(f"{LAB}.look(null)")
    return found


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_height_stays(show: Callable[..., Page], width: int) -> None:
    page = show('presets="small xavier-sigmoid dead zero chaos saturated he-relu" depth="20" width="32"', width)
    closed = heights(page)
    unfold(page)
    unfolded = heights(page)
    assert (len(closed), len(unfolded)) == (1, 1)
    fold(page)
    assert heights(page) == closed


def test_height_comes_back_after_another_width(show: Callable[..., Page]) -> None:
    page = show("", 1280, unfolded=True)

    def at(width: int) -> float:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return round(page.evaluate(ROOM), 2)

    wide, narrow = at(1280), at(390)
    assert narrow > wide + 100
    assert [at(width) for width in (1280, 390, 640, 1280)][::3] == [wide, wide]
    assert at(390) == narrow


def test_growing_would_be_seen(show: Callable[..., Page]) -> None:
    page = show('presets="zero small" width="32"', 390, unfolded=True)
    page.evaluate(f"{LAB}.shadowRoot.querySelectorAll('.room').forEach(one => one.remove())")
    assert len(heights(page)) > 1  # a longer sentence takes another line


# ------------------------------------------------------------------------------------------------------- on a phone

CONTROLS = ("#scheme", "#activation", ".again", ".reset", "#depth", "#width", "#sigmaW", "#sigmaB", ".point")
APART = """([selector, bar]) => {
    const root = document.querySelector('init-lab').shadowRoot, control = root.querySelector(selector);
    control.focus();  // scrolls to it, where it is not in sight
    const box = control.getBoundingClientRect(), map = root.querySelector('.map').getBoundingClientRect();
    const top = root.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const faults = [];
    if (top !== control) faults.push(`${selector} is covered or out of sight`);
    if (map.top < bar || map.bottom > innerHeight) faults.push(`the map is out of sight at ${selector}`);
    return faults;
}"""


def apart(page: Page) -> list[str]:
    """Return which control and the map that it changes are not on one screen when a reader comes to it, either way."""
    found = []
    for selectors in (CONTROLS, CONTROLS[::-1]):
        page.evaluate(
            "where => { document.activeElement.blur(); scrollTo(0, where) }", 0 if selectors is CONTROLS else 10_000
        )
        for selector in selectors:
            found += page.evaluate(APART, [selector, BAR])
    return found


def phone(show: Callable[..., Page]) -> Page:
    """Return a phone's page with an unfolded figure, and enough around it to scroll."""
    page = show('scheme="small_random" activation="tanh" depth="10" presets="small order chaos dead"', 390)
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.body.style.padding = '900px 0'")
    unfold(page)
    return page


def test_control_and_map_are_on_one_screen(show: Callable[..., Page]) -> None:
    assert apart(phone(show)) == []


def test_map_that_scrolls_away_is_found(show: Callable[..., Page]) -> None:
    page = phone(show)
    page.evaluate(f"{LAB}.shadowRoot.querySelector('.stage').style.position = 'static'")
    assert "the map is out of sight at .point" in apart(page)


def test_sliders_map_verdict_and_curves_are_on_one_screen(show: Callable[..., Page]) -> None:
    page = phone(show)
    tops, bottoms = page.evaluate(
        f"""() => {{
            const root = {LAB}.shadowRoot, box = name => root.querySelector(name).getBoundingClientRect();
            scrollBy(0, box('#depth').top - box('.stage').height - {BAR} - 30);
            const all = ['.map', '.card', '#depth', '#width', '#sigmaW', '#sigmaB', '.curves'].map(box);
            return [all.map(one => one.top), all.map(one => one.bottom)];
        }}"""
    )
    assert min(tops) >= BAR
    assert max(bottoms) <= 844
    assert bottoms[0] < bottoms[1] < min(tops[2:])


# --------------------------------------------------------------------------------------------------------- on paper

PAPER = r"""() => {
    const lab = document.querySelector('init-lab'), figure = lab.querySelector('figure'), faults = [];
    const shown = e => e?.checkVisibility() && e.getBoundingClientRect().height > 100;
    const own = lab.shadowRoot.querySelector('.lab');
    if (figure ? !shown(figure) : !shown(own)) faults.push('nothing is printed');
    if (figure && shown(own)) faults.push('the live figure is printed beside its picture');
    const box = figure ?? own, [r, g, b] = getComputedStyle(box).backgroundColor.match(/[\d.]+/g).map(Number);
    if (Math.min(r, g, b) < 240) faults.push('dark paper');
    if (getComputedStyle(box).breakInside !== 'avoid') faults.push('a page may end within it');
    const map = lab.shadowRoot.querySelector('.map'), pixels = map.getContext('2d').getImageData(0, 0, 20, 20).data;
    if (!figure && new Set(pixels).size < 10) faults.push('an empty map');
    return faults;
}"""


@pytest.mark.parametrize("pictured", [True, False])
def test_paper(lab_page: Page, lab_folder: Path, lab_address: str, pictured: bool) -> None:
    body = fallback() if pictured else '<init-lab width="32"></init-lab>'
    far = f'<div style="height: 9000px"></div>{body}'  # it has not woken yet
    lab_page.goto(f"{lab_address}/{write(lab_folder, far, theme='dark')}")
    assert lab_page.evaluate(f"{LAB}.result") is None
    lab_page.emulate_media(media="print", color_scheme="dark")
    lab_page.wait_for_function(f"!{LAB}.shadowRoot.querySelector('.dark')")
    assert lab_page.evaluate(PAPER) == []
    lab_page.add_style_tag(content="init-lab > figure { background: #222 !important }")
    lab_page.evaluate(f"{LAB}.shadowRoot.querySelector('.lab').style.background = '#222'")
    assert lab_page.evaluate(PAPER) == ["dark paper"]


# ----------------------------------------------------------------------------------------------- pages, live or not


def fallback(**settings: Any) -> str:
    """Return the figure's HTML for a small network."""
    return widgets.to_html(**({"scheme": "xavier_normal", "activation": "relu", "width": 32} | settings))


def visible(page: Page) -> str:
    """Return the text of the figure if its picture is visible too."""
    picture = page.locator("init-lab svg").first.bounding_box()
    assert picture
    assert picture["width"] > 200
    assert picture["height"] > 100
    return page.locator("init-lab figcaption").inner_text()


def test_without_javascript(browser: Browser, lab_folder: Path, lab_address: str) -> None:
    with browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.goto(f"{lab_address}/{write(lab_folder, fallback())}")
        text = visible(page)
        assert text.startswith("Vanished.")
        assert "make serve" in text
        assert page.locator("init-lab").bounding_box()["height"] < 640


def test_from_a_file_a_module_does_not_load(lab_page: Page, lab_folder: Path) -> None:
    page = lab_page
    page.goto((lab_folder / write(lab_folder, fallback())).as_uri())
    page.wait_for_timeout(300)
    assert page.evaluate("customElements.get('init-lab') === undefined")
    page.evaluate("document.getAnimations().forEach(one => one.finish())")
    assert visible(page).startswith("Vanished.")
    caption, own = (page.locator(name).bounding_box() for name in ("init-lab figcaption", "init-lab"))
    assert caption["y"] + caption["height"] < own["y"] + own["height"]  # it is not cut any more


def test_from_a_file_a_script_does(lab_page: Page, lab_folder: Path) -> None:
    """What the site publishes: the module without its exports, which a page opened as a file may load."""
    source = (lab_folder / "init-lab.mjs").read_text(encoding="utf-8")
    script = re.sub(r"^export default", "void", re.sub(r"^export (?=[cf])", "", source, flags=re.M), flags=re.M)
    (lab_folder / "init-lab.js").write_text(f'(() => {{ "use strict";\n{script}}})();', encoding="utf-8")
    tag = '<script defer src="init-lab.js"></script>'
    lab_page.goto((lab_folder / write(lab_folder, fallback(), script=tag)).as_uri())
    lab_page.wait_for_function(f"{LAB}.drawn > 0")
    unfold(lab_page)
    assert word(lab_page) == "vanished"


def test_picture_gives_way_to_the_figure(lab_page: Page, lab_folder: Path, lab_address: str) -> None:
    page = lab_page
    page.goto(f"{lab_address}/{write(lab_folder, fallback())}")
    page.wait_for_function("document.querySelector('init-lab').drawn > 0")
    assert not page.locator("init-lab figcaption").is_visible()
    assert word(page) == "vanished"
    assert page.evaluate("document.querySelector('init-lab').settings.width") == 32


SHIFT = """() => new Promise(done => {
    let sum = 0;
    const observer = new PerformanceObserver(list => list.getEntries().forEach(e => sum += e.value));
    observer.observe({type: 'layout-shift', buffered: true});
    setTimeout(() => done(sum), 150);
})"""


def shift(page: Page, url: str, width: int) -> float:
    """Return how much the page's layout shifts while a slow module loads."""

    def late(route: Any) -> None:
        for _ in range(200):  # the picture is painted before
            page.wait_for_timeout(50)
            if page.evaluate("performance.getEntriesByType('paint').length"):
                break
        route.continue_()

    page.set_viewport_size({"width": width, "height": 900})
    page.route("**/init-lab.mjs", late)
    page.goto(url)
    page.wait_for_function("document.querySelector('init-lab').drawn > 0")
    return float(page.evaluate(SHIFT))


@pytest.mark.parametrize("width", [320, 390, 480, 600, 1280])
@pytest.mark.parametrize("presets", [("zero", "small", "he-relu"), ("orthogonal", "order-bias", "chaos", "dead")])
def test_layout_does_not_shift(
    lab_page: Page, lab_folder: Path, lab_address: str, width: int, presets: tuple[str, ...]
) -> None:
    assert shift(lab_page, f"{lab_address}/{write(lab_folder, fallback(presets=presets))}", width) < 0.02


def test_shift_would_be_seen(lab_page: Page, lab_folder: Path, lab_address: str) -> None:
    less = "<style>init-lab:not(:defined) > figure { --room: 10rem !important; }</style>"
    assert shift(lab_page, f"{lab_address}/{write(lab_folder, fallback(), head=less)}", 390) > 0.02


OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CLIPPED = """(lab => [...lab.shadowRoot.querySelectorAll('.lab *:not(.sr, option, text)')].filter(e => {
    const outer = lab.getBoundingClientRect(), box = e.getBoundingClientRect();
    const part = e.parentElement.closest('button, .control, .sizes, .back, .ahead, .phase, .card, .look');
    const column = part?.getBoundingClientRect() ?? outer;
    if (e.matches('button, label, .title') && e.scrollWidth > e.clientWidth + 1) return true;
    return box.width && e.checkVisibility() && (box.right > column.right + 3 || box.left < outer.left - 1
        || box.bottom > (part ? column.bottom + 3 : outer.bottom + 1));
}).map(e => e.outerHTML.slice(0, 80)))(document.querySelector('init-lab'))"""


def test_nothing_overflows(show: Callable[..., Page]) -> None:
    settings = f'scheme="small_random" activation="leaky_relu" presets="{" ".join(widgets.PRESETS[::-1])}"'
    page = show(settings, 320, unfolded=True)
    page.evaluate(f"{LAB}.look({{kind: 'delta', layer: 12}})")
    for width in (320, 390, 540, 600, 660, 720, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert (width, page.evaluate(OVERFLOW), page.evaluate(CLIPPED)) == (width, 0, [])
    page.evaluate(f"{LAB}.shadowRoot.querySelector('.again').textContent = 'x'.repeat(60)")
    assert page.evaluate(CLIPPED)


def test_targets_are_large_enough(show: Callable[..., Page]) -> None:
    page = show("", 320, unfolded=True)
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        sizes = page.evaluate("""[...document.querySelector('init-lab').shadowRoot
            .querySelectorAll('button, select, input, summary, [tabindex]')].map(e => e.getBoundingClientRect())
            .map(box => [box.width, box.height])""")
        assert len(sizes) >= 17
        assert min(min(size) for size in sizes) >= 24


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible_when_unfolded(show: Callable[..., Page], theme: str) -> None:
    page = show("", 390, unfolded=True, theme=theme, head='<meta name="description" content="x">')
    page.evaluate(AXE)
    assert page.evaluate(RUN, ALL) == []
    page.evaluate(f"{LAB}.look({{kind: 'h', layer: 3}})")
    assert page.evaluate(RUN, ALL) == []
    page.evaluate(f"{LAB}.shadowRoot.querySelector('.layers').removeAttribute('aria-label')")
    assert any("aria-input-field-name" in fault for fault in page.evaluate(RUN, ALL))


def luminance(color: str) -> float:
    """Return the relative luminance of an ``rgb(…)`` color, as WCAG defines it."""
    channels = np.array([float(channel) for channel in re.findall(r"[\d.]+", color)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(color: str, other: str) -> float:
    """Return the contrast of two colors."""
    light, dark = sorted([luminance(color), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


COLORS_OF = """names => {
    const root = document.querySelector('init-lab').shadowRoot;
    const style = (selector, property) => getComputedStyle(root.querySelector(selector))[property];
    return {paper: style('.lab', 'backgroundColor'), box: style('.card', 'backgroundColor'),
            word: style('.word', 'color'), why: style('.why', 'color'), label: style('label', 'color'),
            soft: style('.title small', 'color'),
            line: style('.line', 'stroke'), pressed: style('button', 'color'),
            note: style('button small', 'color'), button: style('button', 'backgroundColor'),
            tick: style('.curves text', 'fill')};
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(show: Callable[..., Page], theme: str) -> None:
    presets = ["zero", "constant", "small", "saturated", "he-relu", "chaos", "dead", "orthogonal"]
    page = show(f'activation="tanh" presets="{" ".join(presets)}"', theme=theme, unfolded=True)
    for preset in presets:
        page.locator(f'init-lab button[data-name="{preset}"]').click()
        assert word(page) == VERDICTS[preset]
        c = page.evaluate(COLORS_OF)
        assert (luminance(c["paper"]) < 0.1) == (theme == "dark")
        for line, other in [("word", "box"), ("why", "box"), ("label", "paper"), ("soft", "paper"), ("tick", "paper")]:
            assert contrast(c[line], c[other]) >= 4.5, (preset, line, c)
        assert contrast(c["pressed"], c["button"]) >= 4.5
        assert contrast(c["note"], c["button"]) >= 4.5
        assert contrast(c["line"], c["paper"]) >= 3
        assert contrast(c["line"], c["box"]) >= 2.5  # a histogram's bars, whose numbers stand beside them


def test_theme_can_change(show: Callable[..., Page]) -> None:
    page = show()
    pixel = """() => { const c = document.querySelector('init-lab').shadowRoot.querySelector('.map');
        return [...c.getContext('2d').getImageData(0, 0, 1, 1).data]; }"""
    before = page.evaluate(pixel)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("document.querySelector('init-lab').shadowRoot.querySelector('.lab.dark')")
    assert page.evaluate(pixel) != before
    page.emulate_media(media="print")  # paper is light
    page.wait_for_function("!document.querySelector('init-lab').shadowRoot.querySelector('.lab.dark')")
    assert page.evaluate(pixel) == before
    page.emulate_media(media="screen", color_scheme="dark")
    page.evaluate("delete document.documentElement.dataset.theme; document.body.dataset.jpThemeLight = 'true'")
    page.wait_for_function("!document.querySelector('init-lab').shadowRoot.querySelector('.lab.dark')")
    page.evaluate("delete document.body.dataset.jpThemeLight")
    page.wait_for_function("document.querySelector('init-lab').shadowRoot.querySelector('.lab.dark')")


def violations(page: Page, url: str) -> list[str]:
    """Open a page, use the figure, and return what the content security policy refused."""
    page.add_init_script(
        "window.refused = [];"
        "document.addEventListener('securitypolicyviolation', e => refused.push(e.violatedDirective))"
    )
    page.goto(url)
    drawn = "document.querySelector('init-lab').drawn > 0"  # wait_for_function needs eval when it asks again
    assert any(page.evaluate(drawn) or page.wait_for_timeout(50) for _ in range(1200))
    page.locator("init-lab button").nth(1).click()
    page.locator("init-lab summary").click()
    page.get_by_label("Width").press("ArrowRight")
    drag(page, (2.0, 1.0))
    page.wait_for_timeout(700)
    return page.evaluate("refused")


@pytest.mark.parametrize(("planted", "expected"), [("", []), ("<script>1</script>", ["script-src-elem"])])
def test_strict_policy(lab_page: Page, lab_folder: Path, lab_address: str, planted: str, expected: list[str]) -> None:
    head = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    name = write(lab_folder, fallback() + planted, head=head)
    assert violations(lab_page, f"{lab_address}/{name}") == expected


def test_attributes_may_be_wrong(show: Callable[..., Page]) -> None:
    page = show(
        'scheme="toString" activation="x" depth="999" width="-1" sigma-b="a" seed="1e99" presets="zero nowhere"'
    )
    expected = {"scheme": "he_normal", "activation": "relu", "depth": 60, "width": 8, "sigmaB": 0, "seed": 2**32 - 1}
    assert expected.items() <= page.evaluate("document.querySelector('init-lab').settings").items()
    assert page.locator("init-lab .presets button").count() == 1


def test_element_can_be_moved_and_removed(show: Callable[..., Page]) -> None:
    page = show("", unfolded=True)
    page.evaluate("document.body.prepend(document.querySelector('init-lab'))")
    page.get_by_label("Scheme").select_option("xavier_normal")
    assert word(page) == "vanished"
    page.evaluate("const lab = document.querySelector('init-lab'); lab.set({depth: 3}, true); lab.remove()")
    page.wait_for_timeout(600)
