"""Every control of the pages does something, at three widths, by pointer and by keyboard.

Each check is a function that returns faults; planted faults show that it can find some.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ElementHandle, Page
from playwright.sync_api import TimeoutError as Never
from test_reading import ALL, AXE, RUN
from test_site import watched

WIDTHS = (390, 800, 1280)
PAGES = [
    *(f"book/{name}.html" for name in ("index", "essentials", "22_ledger", "01_symmetry")),
    *("book/04_vanishing_exploding.html", "book/06_he.html", "search.html"),
]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return what opens a page of some width in a context of its own."""
    contexts = []

    def opened(url: str, width: int = 1280, *, without: str = "", **options: Any) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 844}, **options))
        page = contexts[-1].new_page()
        if without:
            page.route(without, lambda route: route.abort())
        page.goto(url, wait_until="load")
        return page

    yield opened
    for context in contexts:
        context.close()


# ------------------------------------------------------------------------------------------- nothing that does nothing

TOOLS = """() => {
  const CONTROLS = "button, a[href], summary, input, select, textarea, [role=button]";
  const inside = (root) => [...root.querySelectorAll("*")].flatMap((one) => [
    ...(one.matches(CONTROLS) ? [one] : []), ...(one.shadowRoot ? inside(one.shadowRoot) : [])]);
  const up = (one) => one.parentElement ?? (one.getRootNode() instanceof ShadowRoot ? one.getRootNode().host : null);
  const around = (one, selector) => one && (one.matches(selector) ? one : around(up(one), selector));
  const centers = (one) => [...one.getClientRects()].filter((box) => box.width > 1 && box.height > 1)
    .map((box) => [box.left + box.width / 2, box.top + box.height / 2]);
  const shown = (one) => !one.disabled && one.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && centers(one).length > 0 && getComputedStyle(one).clipPath === "none" && !one.closest(".skip-link");
  const at = (x, y, root = document) => {
    const hit = root.elementFromPoint(x, y);
    return hit?.shadowRoot && hit.shadowRoot !== root ? at(x, y, hit.shadowRoot) ?? hit : hit;
  };
  const named = (one) => {
    const text = (one.ariaLabel || one.textContent || one.name || "").trim().replace(/\\s+/g, " ").slice(0, 40);
    return `${one.localName}.${one.className} "${text}"`;
  };
  const reached = (one, [x, y]) => {
    const hit = at(x, y);
    return hit && (one.contains(hit) || one.closest("label")?.contains(hit));
  };
  const clipped = (one, [x, y]) => {
    for (let box = up(one); box; box = up(box)) {
      const { left, right, top, bottom } = box.getBoundingClientRect();
      if (getComputedStyle(box).overflow !== "visible" && box !== document.documentElement && box !== document.body
        && (x < left || x > right || y < top || y > bottom)) return true;
    }
    return x < 0 || y < 0 || x > innerWidth || y > innerHeight;
  };
  const kind = (one) => {
    const place = around(one, "dialog, nav, footer, form, init-lab, train-lab, details, .bd-header-article, article");
    return [one.localName, one.type, one.className, place?.localName, place?.className].join(" ");
  };
  const heard = (globalThis.heard = []);
  const tell = (what) => heard.push(what);
  const noted = (target) => new MutationObserver((all) => {
    for (const { type, attributeName } of all) tell(`changes ${attributeName ?? type}`);
  }).observe(target, { subtree: true, childList: true, attributes: true, characterData: true });
  noted(document);
  for (const { shadowRoot } of document.querySelectorAll("*")) {
    if (!shadowRoot) continue;
    noted(shadowRoot);
    shadowRoot.addEventListener("toggle", () => tell("toggle"), true);  // it does not leave the figure
  }
  navigation.addEventListener("navigate", (event) => {
    tell(`goes to ${event.destination.url}`);
    if (event.cancelable && !event.hashChange && event.navigationType === "push") event.preventDefault();
  });
  addEventListener("click", (event) => (globalThis.hit = event.composedPath()), true);
  document.documentElement.dataset.whole = "";  // what is far below shall not move what is in sight
  window.print = () => tell("prints");
  for (const type of ["toggle", "input", "copy", "fullscreenchange"]) addEventListener(type, () => tell(type), true);
  addEventListener("scroll", () => tell("scrolls"));
  globalThis.controls = {
    named, kind, shown,
    of_each_kind: (known) => inside(document).filter(shown).filter((one) => {
      const another = !known.includes(kind(one)) && !(one.type === "radio" && one.checked);
      if (another) known.push(kind(one));
      return another;
    }),
    covered: () => inside(document).filter(shown).filter((one) => {
      const places = centers(one).filter((place) => !clipped(one, place));
      return places.length && !places.some((place) => reached(one, place));
    }).map((one) => `${named(one)} is covered${controls.by(one)}`),
    by: (one) => ` by ${named(at(...centers(one)[0]) ?? document.body)}`,
    point: (one) => {
      one.scrollIntoView({ block: "center", behavior: "instant" });
      const place = centers(one).find((place) => reached(one, place));
      return place ?? null;
    },
  };
}"""
EFFECT = {  # what counts for a control of a kind, apart from the rest that may happen at the same time
    "a": "goes to",
    "summary": "toggle",
    "input": "changes|goes to|input",
    "select": "changes",
    "button": "changes|goes to|prints|copy|fullscreenchange|scrolls",
}


STILL = """async (one) => {
  let place = null;
  for (let turn = 0; turn < 20; turn++) {  // what comes near is laid out and moves what is below; a menu slides away
    const before = String(place);
    place = controls.point(one);
    await new Promise((done) => setTimeout(done, 30));
    if (place && String(place) === before) break;
  }
  return place;
}"""


PATIENCE = 10_000  # ms; a machine that has much else to do is slow, and that is not the control's fault


def effect(page: Page, control: ElementHandle, patience: int, tries: int = 3) -> str | None:
    """Use a control as a reader does, wait `patience` ms, and return what is wrong, or None if it does something."""
    name = control.evaluate("(one) => controls.named(one)")
    tag, kind = control.evaluate("(one) => [one.localName, one.type]")
    point = control.evaluate(STILL)
    if point is None:
        return f"{name} is covered{control.evaluate('(one) => controls.by(one)')}"
    page.mouse.move(*point)
    page.evaluate("() => new Promise((done) => setTimeout(() => { heard.length = 0; done(); }, 30))")
    if tag == "select":
        last = control.evaluate("(one) => [one.selectedIndex, one.options.length - 1]")
        control.select_option(index=last[1] if last[0] != last[1] else 0)
    elif kind == "range":
        at_end = control.evaluate("(one) => one.value === one.max")
        control.press("ArrowLeft" if at_end else "ArrowRight")
    elif kind in ("search", "text", "number"):
        page.mouse.click(*point)
        page.keyboard.type("7")
        page.keyboard.press("Enter")
    else:
        page.mouse.click(*point)
    wanted = EFFECT.get(tag, EFFECT["button"])
    try:
        page.wait_for_function(f"() => heard.some((one) => /^({wanted})/.test(one))", timeout=patience, polling=20)
    except Never:
        if tries > 1 and control.evaluate("(one) => !globalThis.hit?.includes(one)"):  # it moved before the click
            return effect(page, control, patience, tries - 1)
        return f"{name} does nothing"
    return None


def covered(page: Page, patience: int = PATIENCE) -> list[str]:
    """Return the controls in sight on which something else lies, once what slides away has done so."""
    try:
        page.wait_for_function("() => controls.covered().length === 0", timeout=patience)
    except Never:
        return page.evaluate("controls.covered()")
    return []


RESTORE = """() => {
  document.fullscreenElement && document.exitFullscreen();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  document.querySelector("#pst-primary-sidebar")?.classList.remove("pst-sidebar-hidden");
  for (const menu of document.querySelectorAll(".dropdown-toggle.show")) menu.click();
}"""


AWAKE = """async () => {
  document.documentElement.dataset.whole = "";  // also what comes late comes now
  const figures = ["init-lab", "train-lab"].filter((name) => document.querySelector(name));
  await Promise.all(figures.map((name) => customElements.whenDefined(name)));
  await new Promise((done) => setTimeout(done, 200));
}"""


def idle(page: Page, known: list[str], patience: int = PATIENCE) -> list[str]:
    """Use one control of each kind that is not `known`, which grows; return those that are covered or do nothing."""
    page.mouse.move(0, 0)  # what only a pointer that rests on something shows has tests of its own
    page.evaluate(AWAKE)
    page.evaluate(TOOLS)
    found = []
    while controls := page.evaluate_handle("(known) => controls.of_each_kind(known)", known).get_properties().values():
        for control in [handle.as_element() for handle in controls]:
            assert control is not None
            kind = control.evaluate("(one) => controls.kind(one)")
            known.append(kind)
            if control.evaluate("(one) => controls.shown(one)"):  # what was used before may have put it away
                found.append(effect(page, control, patience))
            page.evaluate(RESTORE)
            page.mouse.move(0, 0)
    return [fault for fault in found if fault]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_kind_of_control_does_something(open_page: Callable[..., Page], address: str, width: int) -> None:
    known: list[str] = []
    found = []
    for name in PAGES:
        page = open_page(f"{address}/{name}", width)
        found += [f"{name}: {fault}" for fault in idle(page, known)]
    assert found == []
    assert len(known) > 25


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<button>dead</button>", "dead.* does nothing"),
        ("<a href='javascript:go()'>dead</a><script>var go = () => 0</script>", "dead.* does nothing"),
        ("<details><summary onclick='event.preventDefault()'>stuck</summary>x</details>", "stuck.* does nothing"),
        ("<select><option>one<option>two</select>", "select.* does nothing"),
        ("<button onclick='this.title = 1'>under</button><p style='position: fixed; inset: 0'>x", "under.* is covered"),
    ],
)
def test_planted_dead_control_is_found(page: Page, body: str, fault: str) -> None:
    page.set_content(body)
    found = idle(page, [], patience=1000)
    assert len(found) == 1
    assert re.search(fault, found[0])


def test_what_does_something_is_not_found(page: Page) -> None:
    page.set_content(
        "<button onclick='this.title = 1'>x</button><details><summary>z</summary>a</details>"
        "<input type=checkbox id=x><select onchange='this.title = 1'><option>1<option>2</select>"
    )
    assert idle(page, []) == []


# ------------------------------------------------------------------------------------------------------- the menus

MENUS = {"primary": 992, "secondary": 1200}  # from which width on each stands beside the page
FOCUS = "document.activeElement"


def menu_faults(page: Page, which: str, patience: int = PATIENCE) -> list[str]:
    """Open and close a menu that is a dialog by pointer and by keyboard, and return what is wrong.

    Each step is waited for `patience` ms: a machine that has much else to do is slow, and that is not the menu's fault.
    """
    toggle = page.locator(f".{which}-toggle")
    if toggle.count() != 1 or not toggle.is_visible():
        return ["the button is not there, or not alone"]
    found = []
    dialog = page.locator(f"#pst-{which}-sidebar-modal")
    for opens in ("click", "Enter"):
        for closes in ("Escape", "Close", "beside", "link"):
            how = f"{opens}, {closes}"
            toggle.click() if opens == "click" else toggle.press(opens)
            if not dialog.is_visible() or not dialog.locator("nav a").first.is_visible():
                return [*found, f"{how}: it does not open"]
            if toggle.get_attribute("aria-expanded") != "true" or not dialog.get_attribute("aria-label"):
                found.append(f"{how}: it does not say that it is open")
            if not page.evaluate(f"{FOCUS}.closest('dialog') !== null"):
                found.append(f"{how}: the focus does not go in")
            if closes == "Escape":
                page.keyboard.press("Escape")
            elif closes == "Close":
                button = dialog.get_by_role("button", name="Close")
                button.click() if button.count() else found.append(f"{how}: no button closes it")
            elif closes == "beside":
                page.mouse.click(380 if which == "primary" else 5, 700)
            elif which == "secondary":
                dialog.locator("nav a").nth(2).click()
            page.keyboard.press("Escape") if which == "primary" and closes == "link" else None
            try:
                dialog.wait_for(state="hidden", timeout=patience)
                page.wait_for_function("() => !document.querySelector('dialog nav')", timeout=patience)
            except Never:
                found.append(f"{how}: it stays open")
                dialog.evaluate("(one) => one.close()")
            if closes != "link":
                try:
                    page.wait_for_function(f"(one) => one === {FOCUS}", arg=toggle.element_handle(), timeout=patience)
                except Never:
                    found.append(f"{how}: the focus does not come back")
            if toggle.get_attribute("aria-expanded") != "false":
                found.append(f"{how}: it does not say that it is closed")
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    page.evaluate(TOOLS)
    return found + covered(page, patience)


@pytest.mark.parametrize(
    ("width", "which"), [(390, "primary"), (390, "secondary"), (800, "primary"), (800, "secondary")]
)
def test_menu_opens_and_closes(open_page: Callable[..., Page], address: str, width: int, which: str) -> None:
    assert menu_faults(open_page(f"{address}/book/01_symmetry.html", width), which) == []


@pytest.mark.parametrize(
    ("style", "without", "faults"),
    [
        (".primary-toggle { display: none !important }", "", ["not there"]),
        ("", "**/pydata-sphinx-theme.js*", ["does not open"]),
        ("", "**/controls.js*", ["say that it is open", "no button closes it", "does not come back"]),
        (
            ".bd-header-article::after { content: ''; position: fixed; inset: 0 0 auto 60%; height: 99px }",
            "",
            ["covered"],
        ),
    ],
)
def test_planted_dead_menu_is_found(
    open_page: Callable[..., Page], address: str, style: str, without: str, faults: list[str]
) -> None:
    page = open_page(f"{address}/book/notation.html", 390, without=without)
    page.add_style_tag(content=style or "/* as it is */")
    found = menu_faults(page, "primary", patience=400)
    assert [fault for fault in faults if not any(fault in line for line in found)] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_open_menus_are_accessible(open_page: Callable[..., Page], address: str, theme: str) -> None:
    page = open_page(f"{address}/book/notation.html", 390, color_scheme=theme)
    page.evaluate(AXE)
    for button in (".primary-toggle", ".secondary-toggle", ".bd-header-article .search-button"):
        page.locator(button).click()
        page.locator("dialog[open]").wait_for()
        page.evaluate("() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})))")
        assert page.evaluate(RUN.replace("axe.run(", "axe.run('dialog[open]', "), ALL) == [], button
        page.keyboard.press("Escape")
        page.locator("dialog[open]").wait_for(state="detached")


def test_hidden_header_that_the_theme_binds_is_found(open_page: Callable[..., Page], address: str) -> None:
    """What was wrong before: the theme's scripts bind the first button of a kind, and that was one that nobody sees."""

    def with_header(route: Any) -> None:
        answer = route.fetch()
        hidden = '<header hidden><button class="primary-toggle"></button></header><div id="pst-header"'
        route.fulfill(response=answer, body=answer.text().replace('<div id="pst-header"', hidden))

    page = open_page(f"{address}/404.html", 390)
    page.route("**/notation.html", with_header)
    page.goto(f"{address}/book/notation.html")
    page.locator(".primary-toggle").last.click()
    assert page.locator("dialog[open]").count() == 0
    assert menu_faults(page, "primary") == ["the button is not there, or not alone"]


def test_chapters_are_put_away_on_a_wide_page(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/01_symmetry.html")
    toggle, beside = page.locator(".primary-toggle"), page.locator("#pst-primary-sidebar")
    page.evaluate(TOOLS)
    assert not page.locator(".secondary-toggle").is_visible()
    for key in ("click", "Enter"):
        for shown in (False, True):
            toggle.click() if key == "click" else toggle.press(key)
            beside.wait_for(state="visible" if shown else "hidden")
            assert toggle.get_attribute("aria-expanded") == str(shown).lower()
            assert toggle.evaluate(f"(one) => one === {FOCUS}")
            assert page.locator(".bd-header-article .search-button").is_visible()
    assert covered(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_search_theme_and_download(open_page: Callable[..., Page], address: str, width: int) -> None:
    page = open_page(f"{address}/book/06_he.html", width, color_scheme="light")
    page.evaluate(TOOLS)
    button = page.locator(".bd-header-article .search-button")
    button.click()
    assert page.evaluate(f"{FOCUS}.name") == "q"
    page.keyboard.press("Escape")
    page.wait_for_function(f"(one) => one === {FOCUS}", arg=button.element_handle())
    assert page.locator("dialog[open]").count() == 0
    modes = set()
    for _ in range(3):
        page.locator(".theme-switch-button").click()
        mode = page.locator("html").get_attribute("data-mode")
        modes.add(mode)
        assert page.get_by_role("button", name=f"Color mode: {mode}").is_visible()
    assert modes == {"auto", "light", "dark"}
    menu, toggle = page.locator(".dropdown-download-buttons .dropdown-menu"), page.get_by_label("Download this page")
    for closes in ("click", "Escape", "away"):
        toggle.click()
        assert menu.is_visible()
        assert toggle.get_attribute("aria-expanded") == "true"
        if closes == "click":
            toggle.click()
        elif closes == "Escape":
            menu.locator("a").focus()
            page.keyboard.press("Escape")
            assert toggle.evaluate(f"(one) => one === {FOCUS}")
        else:
            page.mouse.click(10, 800)
        assert not menu.is_visible(), closes
        assert toggle.get_attribute("aria-expanded") == "false"
    assert covered(page) == []


def test_downloads_print_and_full_screen(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/06_he.html", 800)
    for link in (".dropdown-download-buttons a", ".notebook-link"):
        if link.startswith(".dropdown"):
            page.get_by_label("Download this page").click()
        with page.expect_download() as download:
            page.locator(link).click()
        assert download.value.suggested_filename == "06_he.ipynb"
    page.evaluate("window.print = () => { document.title = 'printed' }")
    if not page.locator(".dropdown-menu").first.is_visible():
        page.get_by_label("Download this page").click()
    page.get_by_role("button", name=".pdf").click()
    assert page.title() == "printed"
    full = page.locator("[data-click='fullscreen']")
    for on in (True, False):
        full.click()
        page.wait_for_function(f"() => Boolean(document.fullscreenElement) === {str(on).lower()}")


def test_full_screen_is_not_offered_where_there_is_none(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/404.html", 390)
    page.add_init_script("Object.defineProperty(Document.prototype, 'fullscreenEnabled', { value: false })")
    page.goto(f"{address}/book/notation.html")
    assert not page.locator("[data-click='fullscreen']").is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_copy_button_copies(open_page: Callable[..., Page], address: str, width: int) -> None:
    page = open_page(f"{address}/book/01_symmetry.html", width, permissions=["clipboard-read", "clipboard-write"])
    code = page.locator(".cell_input .highlight:visible").first
    code.hover()
    button = code.locator(".copybtn")
    page.wait_for_function("(one) => getComputedStyle(one).opacity > 0.9", arg=button.element_handle())
    button.click()
    page.wait_for_function("(one) => one.classList.contains('success')", arg=button.element_handle())
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == code.locator("pre").inner_text().strip()


def test_sign_beside_a_heading_leads_to_it(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/01_symmetry.html")
    heading = page.locator("h2").first
    heading.hover()
    heading.locator(".headerlink").click()
    page.wait_for_function("() => location.hash === `#${document.querySelector('h2').parentElement.id}`")


@pytest.mark.parametrize("width", WIDTHS)
def test_marks_of_a_search_are_hidden(open_page: Callable[..., Page], address: str, width: int) -> None:
    page = open_page(f"{address}/search.html?q=orthogonal", width)
    found = watched(page)
    page.locator("#search-results a").first.click()
    page.locator(".highlighted").first.wait_for(state="attached")
    page.get_by_role("button", name="Hide matches").click()
    assert page.locator(".highlighted").count() == 0
    assert page.get_by_role("button", name="Hide matches").count() == 0
    assert found == []


def test_buttons_without_a_script_are_not_there(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/06_he.html", 390, java_script_enabled=False)
    assert [button.inner_text() for button in page.locator("button").all() if button.is_visible()] == []


# ------------------------------------------------------------------------------------------------------ arrow keys

TURNS = """() => new Promise((done) => {
  const on = (event) => { event.preventDefault(); done(event.destination.url); };
  navigation.addEventListener("navigate", on, { once: true });
  addEventListener("keydown", ({ key }) => key.startsWith("Arrow") && setTimeout(done, 150, ""), true);
})"""


def turned(page: Page, key: str) -> str:
    """Press a key and return the name of the page that it leads to; no page is left."""
    page.evaluate(f"() => {{ globalThis.turned = ({TURNS})(); }}")
    page.keyboard.press(key)
    return str(page.evaluate("turned")).rpartition("/")[2]


def test_arrow_keys_turn_pages(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/02_zero.html")
    assert (turned(page, "ArrowLeft"), turned(page, "ArrowRight")) == ("01_symmetry.html", "03_small_random.html")
    assert [turned(page, key) for key in ("Shift+ArrowRight", "Alt+ArrowRight", "Control+ArrowRight")] == ["", "", ""]
    page.keyboard.press("Control+k")
    assert turned(page, "ArrowRight") == ""
    page.keyboard.press("Escape")
    assert turned(page, "ArrowRight") == "03_small_random.html"
    page.locator("summary").first.focus()
    assert turned(page, "ArrowRight") == "03_small_random.html"


def test_arrow_keys_stay_with_what_needs_them(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{address}/book/index.html")
    page.locator("init-lab").evaluate("(lab) => lab.shadowRoot.querySelector('button').focus()")
    assert turned(page, "ArrowRight") == ""
    page = open_page(f"{address}/book/22_ledger.html")
    page.get_by_label("Words").focus()
    assert turned(page, "ArrowLeft") == ""
    page = open_page(f"{address}/book/01_symmetry.html", 390)
    page.locator(".cell_input pre:visible").first.scroll_into_view_if_needed()
    page.locator("pre[role='group']:visible").first.focus()
    assert turned(page, "ArrowRight") == ""
