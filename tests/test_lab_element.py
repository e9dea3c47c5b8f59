"""The live figure in a real browser: what a first reader sees, its controls, and a look into a layer."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lab_pages import LAB, VERDICTS, drag, settled, unfold, word, write
from playwright.sync_api import Page

from initnotes import widgets

# ------------------------------------------------------------------------------------------------- at first sight

SEEN = """selector => [...document.querySelector('init-lab').shadowRoot.querySelectorAll(selector)]
    .filter(e => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().width > 1)"""


def seen(page: Page, selector: str, of: str = "e.textContent.trim()") -> list[Any]:
    """Return something of each visible element of the figure that fits the selector."""
    return page.evaluate(f"selector => ({SEEN})(selector).map(e => {of})", selector)


def test_first_sight_is_a_sentence_a_map_and_three_buttons(show: Callable[..., Page]) -> None:
    page = show('presets="xavier-relu he-relu he-tanh dead" width="100"')
    assert seen(page, "button", "e.dataset.name") == ["xavier-relu", "he-relu", "he-tanh"]
    assert seen(page, "select, input") == []
    assert len(seen(page, "canvas, .curves")) == 1
    (sentence,) = seen(page, ".about")
    assert re.fullmatch(r"[A-Z][^.!?]+\.", sentence)
    assert not re.search("[σδφ]|activation|gradient|rms", sentence)
    assert seen(page, ".frame span")[:4] == ["unit 1", "unit 24", "one input", "layer 1"]
    assert "layer 30" in seen(page, ".frame span")
    unfold(page)
    assert seen(page, "button", "e.dataset.name || e.className")[3:] == ["dead", "again", "reset"]
    assert len(seen(page, "select, input")) == 6
    assert len(seen(page, "canvas, .curves")) == 4


def test_fewer_presets(show: Callable[..., Page]) -> None:
    page = show('presets="zero he-relu"', unfolded=True)
    assert seen(page, ".presets button", "e.dataset.name") == ["zero", "he-relu"]


@pytest.mark.parametrize(("depth", "width"), [(1, 8), (2, 30), (30, 100), (60, 256)])
def test_axes_name_columns_and_rows(show: Callable[..., Page], depth: int, width: int) -> None:
    page = show(f'depth="{depth}" width="{width}"', 390)
    (cells,) = seen(page, ".cells", "e.getBoundingClientRect().toJSON()")
    labels = dict(seen(page, ".frame span", "[e.textContent, e.getBoundingClientRect().toJSON()]"))
    column, row = cells["width"] / (depth + 1), cells["height"] / min(width, 24)
    for text, at in [("layer 1", 1), (f"layer {depth}", depth)]:
        left, right = cells["left"] + at * column, cells["left"] + (at + 1) * column
        assert labels[text]["left"] < right
        assert labels[text]["right"] > left
    assert labels["one input"]["right"] < cells["left"] + column + 1
    assert abs(labels["unit 1"]["top"] - cells["top"]) < max(row, 4)
    assert abs(labels[f"unit {min(width, 24)}"]["bottom"] - cells["bottom"]) < max(row, 4)
    in_a_row = [box for text, box in labels.items() if "unit" not in text and (text or depth > 3)]  # "" is the hint
    boxes = sorted((box["left"], box["right"]) for box in in_a_row)
    assert all(left[1] <= right[0] + 0.5 for left, right in itertools.pairwise(boxes)), labels


# --------------------------------------------------------------------------- no button changes what it does not name

NAMED = {  # what a setting is called on a button
    "scheme": lambda value: {"free": "σw ", "small_random": "0.01"}.get(value, value.split("_")[0].removesuffix("s")),
    "activation": lambda value: widgets_label(value),
    "depth": lambda value: f"{value} layers",
    "width": lambda value: f"of {value} units",
    "sigmaB": lambda value: f"σb {value:g}" if value else "no biases",
    "seed": lambda value: f"draw {value}",
}


def widgets_label(activation: str) -> str:
    """Return an activation as the figure writes it."""
    return {"relu": "ReLU", "selu": "SELU"}.get(activation, activation)


def silent_changes(page: Page, button: str) -> list[str]:
    """Press a button, and return the settings that it changed without a word of it; the reader's own come first."""
    page.evaluate(
        f"{LAB}.set({{scheme: 'lecun_uniform', activation: 'gelu', depth: 17, width: 40, sigmaB: 0.4, seed: 5}})"
    )
    before = page.evaluate(f"{LAB}.settings")
    page.locator(f"init-lab {button}").click()
    after = page.evaluate(f"{LAB}.settings")
    text = page.locator(f"init-lab {button}").inner_text().replace("\n", " ")
    changed = [key for key in after if after[key] != before[key] and key != "sigmaW"]  # which belongs to the scheme
    faults = [key for key in changed if NAMED[key](after[key]).lower() not in text.lower()]
    if after["scheme"] == "free" and f"σw {after['sigmaW']:g}" not in text:
        faults.append("sigmaW")
    return faults if changed else ["nothing changed"]


def test_no_preset_changes_what_it_does_not_name(show: Callable[..., Page]) -> None:
    page = show(f'presets="{" ".join(widgets.PRESETS)}" depth="12" width="24"', unfolded=True)
    buttons = {name: f'button[data-name="{name}"]' for name in widgets.PRESETS}
    assert {name: silent_changes(page, button) for name, button in buttons.items()} == {name: [] for name in buttons}
    page.evaluate("import('/init-lab.mjs').then(m => Object.assign(m.PRESETS.zero, {width: 9, activation: 'tanh'}))")
    assert silent_changes(page, buttons["zero"]) == ["activation", "width"]  # a fault, planted behind the button's back


def test_new_draw_changes_the_draw_only(show: Callable[..., Page]) -> None:
    page = show(unfolded=True)
    before = page.evaluate(f"[{LAB}.settings, {LAB}.result.forward[30]]")
    page.get_by_role("button", name="New draw").click()
    assert word(page) == "alive"
    after = page.evaluate(f"[{LAB}.settings, {LAB}.result.forward[30]]")
    assert after[0] == before[0] | {"seed": 2}
    assert after[1] != before[1]
    assert page.locator("init-lab .ghost").count() == 2
    assert "draw 2" in page.locator("init-lab summary").inner_text()


def test_reset_brings_back_all_settings(show: Callable[..., Page]) -> None:
    page = show('scheme="free" sigma-w="1.5" activation="tanh" depth="9" sigma-b="0.5" presets="dead"', unfolded=True)
    before = page.evaluate(f"{LAB}.settings")
    page.locator("init-lab button").first.click()
    assert page.evaluate(f"{LAB}.settings") != before
    page.get_by_role("button", name="Reset all").click()
    assert page.evaluate(f"{LAB}.settings") == before


# ---------------------------------------------------------------------------------------------- a look into a layer

IMAGES = f"[...{LAB}.shadowRoot.querySelectorAll('[role=img]')]"
LOOK = """() => {
    const root = document.querySelector('init-lab').shadowRoot, box = e => e.getBoundingClientRect();
    const shown = e => e.checkVisibility({visibilityProperty: true});
    const mark = [...root.querySelectorAll('.mark')].find(shown), cells = mark && box(mark.parentElement);
    if (!shown(root.querySelector('.look'))) return shown(root.querySelector('.verdict')) && !mark ? null : 'both';
    const of = (box(mark).left - cells.left) / box(mark).width, path = root.querySelector('.bars').getAttribute('d');
    return {says: root.querySelector('.look .title').textContent, layer: Math.round(of),
            bars: path.split('M').length - 1, hidden: !shown(root.querySelector('.verdict'))};
}"""


def place(page: Page, layer: int, at: int = 0) -> tuple[float, float]:
    """Return the middle of a layer's column in the first or second map, on the screen."""
    page.locator("init-lab .cells").nth(at).scroll_into_view_if_needed()
    box = page.locator("init-lab .cells").nth(at).bounding_box()
    depth = page.evaluate(f"{LAB}.settings.depth")
    assert box
    return box["x"] + (layer + 0.5) / (depth + 1) * box["width"], box["y"] + box["height"] / 2


def test_pointer_looks_into_a_layer(show: Callable[..., Page]) -> None:
    page = show('scheme="he_normal" activation="relu" depth="10" width="64"', unfolded=True)
    assert page.evaluate(LOOK) is None
    page.mouse.move(*place(page, 3))
    found = page.evaluate(LOOK)
    assert (found["layer"], found["hidden"]) == (3, True)
    assert re.match(r"Layer 3std [\d.]+, (4|5)\d % are 0$", found["says"])
    assert found["bars"] > 10
    page.mouse.move(*place(page, 0))
    assert page.evaluate(LOOK)["says"].startswith("Input")
    page.mouse.move(*place(page, 10, at=1))
    assert page.evaluate(LOOK)["says"].startswith("Gradient, layer 10")
    page.mouse.move(2, 2)
    assert page.evaluate(LOOK) is None
    page.mouse.click(*place(page, 5))  # a click keeps it, until Escape or another place
    page.mouse.move(2, 2)
    assert page.evaluate(LOOK)["layer"] == 5
    page.evaluate(f"{LAB}.set({{depth: 4}})")
    settled(page)
    assert page.evaluate(LOOK)["layer"] == 4  # what is gone gives way to the last one
    page.keyboard.press("Escape")
    assert page.evaluate(LOOK) is None


def test_keyboard_looks_into_layers_without_chatter(show: Callable[..., Page]) -> None:
    page = show('scheme="xavier_normal" activation="relu" depth="12" width="64" presets="zero"')
    page.wait_for_function(f"{IMAGES}.every((e) => /[0-9]/.test(e.ariaLabel))")  # until it has described itself
    page.evaluate("""() => {
        window.heard = 0;
        const region = document.querySelector('init-lab').shadowRoot.querySelector('[aria-live]');
        new MutationObserver(() => heard++).observe(region, {childList: true, characterData: true, subtree: true});
    }""")
    slider = page.get_by_role("slider", name="Activations: look into a layer")
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate(LOOK)["layer"] == 1
    for key, layer in [("ArrowRight", 2), ("ArrowUp", 3), ("PageUp", 8), ("ArrowLeft", 7), ("End", 12), ("Home", 0)]:
        page.keyboard.press(key)
        assert page.evaluate(LOOK)["layer"] == layer
        assert slider.get_attribute("aria-valuenow") == str(layer)
    page.keyboard.press("End")
    text = slider.get_attribute("aria-valuetext")
    assert re.fullmatch(r"layer 12, the output: std [\d.]+, 0 % are exactly 0, 99.9 % are within ±[\d.]+", text or "")
    page.keyboard.press("Escape")
    assert page.evaluate(LOOK) is None
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(LOOK)["layer"] == 11
    page.keyboard.press("Tab")
    assert page.evaluate(LOOK) is None
    assert page.evaluate("heard") == 0


def test_finger_looks_into_a_layer(show: Callable[..., Page], browser: Any, lab_address: str) -> None:
    show('scheme="he_normal" activation="tanh" depth="10" width="32"')  # writes the page
    with browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        page.goto(f"{lab_address}/page.html")
        page.wait_for_function(f"{LAB}.drawn > 0")
        page.touchscreen.tap(*place(page, 4))
        assert page.evaluate(LOOK)["layer"] == 4
        page.touchscreen.tap(*place(page, 8))
        assert page.evaluate(LOOK)["layer"] == 8
        page.touchscreen.tap(*place(page, 8))
        assert page.evaluate(LOOK) is None
        page.touchscreen.tap(*place(page, 2))
        page.touchscreen.tap(200, 8)
        assert page.evaluate(LOOK) is None


# ----------------------------------------------------------------------------------------------------- the controls


def test_presets_by_keyboard(show: Callable[..., Page]) -> None:
    page = show(f'activation="gelu" presets="{" ".join(widgets.PRESETS)}" width="64"', unfolded=True)
    for preset in widgets.PRESETS:
        button = page.locator(f'init-lab button[data-name="{preset}"]')
        button.focus()
        page.keyboard.press("Enter")
        assert word(page) == VERDICTS[preset], preset
        assert button.get_attribute("aria-pressed") == "true"


def test_controls_by_keyboard(show: Callable[..., Page]) -> None:
    page = show('scheme="he_normal" activation="relu" width="48"', unfolded=True)
    assert word(page) == "alive"
    page.get_by_label("Weights").focus()
    page.keyboard.press("End")
    assert word(page) == "exploded"
    assert page.get_by_label("Scheme").input_value() == "free"
    page.keyboard.press("Home")
    assert word(page) == "symmetric"
    page.get_by_label("Biases").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert word(page) == "vanished"  # biases tell the units apart, but nothing goes back through weights of 0
    page.get_by_label("Scheme").focus()
    page.keyboard.type("Xavier")
    assert page.get_by_label("Scheme").input_value() == "xavier_normal"
    page.get_by_label("Depth").focus()
    page.keyboard.press("Home")
    assert page.get_by_label("Depth").get_attribute("aria-valuetext") == "1 layer"
    assert word(page) == "alive"


def test_every_control_is_reached_by_tab(show: Callable[..., Page]) -> None:
    page = show('presets="zero he-relu"')
    focus = "document.activeElement.shadowRoot.activeElement"
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        name = f"(e => e.id || e.dataset.name || e.dataset.kind || e.className || e.localName)({focus})"
        reached.append(page.evaluate(name))
        assert page.evaluate(f"getComputedStyle({focus}).outlineStyle") != "none"
        if reached[-1] == "summary":
            page.keyboard.press("Enter")
            settled(page)
    inside = ["scheme", "activation", "again", "reset", "depth", "width", "sigmaW", "sigmaB", "delta", "point"]
    assert reached == ["zero", "he-relu", "h", "summary", *inside]


def test_point_by_keyboard(show: Callable[..., Page]) -> None:
    page = show('scheme="xavier_normal" activation="tanh" width="48"', unfolded=True)
    point = page.get_by_role("slider", name="Point in the phase diagram")
    point.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert point.get_attribute("aria-valuetext") == "σ_w 0.50, σ_b 0.00"
    assert word(page) == "vanished"
    for key in ("End", "ArrowUp", "ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert point.get_attribute("aria-valuetext") == "σ_w 4.00, σ_b 0.09"
    assert word(page) == "saturated"


def test_point_by_pointer(show: Callable[..., Page]) -> None:
    page = show('scheme="xavier_normal" activation="tanh" width="48"', unfolded=True)
    for place, expected in [((0.4, 0.0), "vanished"), ((2.6, 0.0), "exploded"), ((3.95, 0.1), "saturated")]:
        drag(page, (1.5, 1.0), place)
        assert word(page) == expected
        found = page.evaluate("(s => [s.sigmaW, s.sigmaB])(document.querySelector('init-lab').settings)")
        np.testing.assert_allclose(found, place, atol=0.05)
    drag(page, (9.0, -3.0))  # the pointer may leave the plane; the point may not
    found = page.evaluate("(s => [s.sigmaW, s.sigmaB])(document.querySelector('init-lab').settings)")
    assert found == [4, 0]


def test_screen_reader_hears_the_verdict_when_dragging_stops(show: Callable[..., Page]) -> None:
    page = show('scheme="xavier_normal" activation="tanh" width="32"', unfolded=True)
    region = page.locator("init-lab [aria-live=polite]")
    page.wait_for_timeout(600)
    assert region.inner_text() == ""
    page.evaluate("""() => {
        window.heard = [];
        const region = document.querySelector('init-lab').shadowRoot.querySelector('[aria-live]');
        const what = {childList: true, characterData: true, subtree: true};
        new MutationObserver(() => heard.push(region.textContent)).observe(region, what);
    }""")
    drag(page, *((0.2 * k, 0.0) for k in range(5, 19, 2)), (2.6, 0.0), pause=600)
    assert page.evaluate("heard.length") == 0
    page.wait_for_function("heard.length > 0")
    page.wait_for_timeout(500)
    assert page.evaluate("heard.length") == 1
    reason = page.locator("init-lab .verdict .why").inner_text()
    assert page.evaluate("heard[0]") == f"Exploded. {reason}"
    assert re.search(r"layer \d+ it is [\d·⁰¹²³⁴]+ times", reason)


def test_pictures_say_their_numbers(show: Callable[..., Page]) -> None:
    page = show('scheme="he_normal" activation="relu" width="64"', unfolded=True)
    page.wait_for_function(f"{IMAGES}.every((e) => /[0-9]/.test(e.ariaLabel))")
    names = page.evaluate(f"{IMAGES}.map((e) => e.ariaLabel)")
    assert len(names) == 4
    assert all(len(re.findall(r"\d", name)) >= 4 for name in names)
    assert "on the critical line" in names[-1] + names[-2]
    page.get_by_label("Scheme").select_option("xavier_normal")
    page.wait_for_function(f"(old) => {IMAGES}.every((e, k) => e.ariaLabel !== old[k])", arg=names)


def test_long_settings_do_not_block_input(show: Callable[..., Page]) -> None:
    page = show('scheme="orthogonal" activation="tanh" depth="30" width="248"')
    once = """async () => {
        const m = await import('/init-lab.mjs');
        const settings = m.sane({scheme: 'orthogonal', activation: 'tanh', depth: 30, width: 256});
        let whole = performance.now();
        m.measure(settings);
        whole = performance.now() - whole;
        const lab = document.querySelector('init-lab'), input = lab.shadowRoot.querySelector('#width');
        let longest = 0, last = performance.now(), on = true;
        const beat = () => {
            const now = performance.now();
            longest = Math.max(longest, now - last);
            last = now;
            if (on) setTimeout(beat, 0);
        };
        beat();
        for (let width = 249; width <= 256; width++) {
            input.value = width;
            input.dispatchEvent(new Event('input', {bubbles: true}));
            await new Promise(requestAnimationFrame);
        }
        await new Promise(done => setTimeout(done, 500));
        on = false;
        return longest / whole;
    }"""
    # One layer of 30 is the longest piece of work. A busy machine may stop either for a while, but not each time.
    assert any(page.evaluate(once) < 1 / 4 for _ in range(5))


# -------------------------------------------------------------------------------------------------------- in Jupyter

MODEL = """async () => {
    const {default: widget} = await import('/init-lab.mjs');
    const own = {scheme: 'he_normal', activation: 'relu', depth: 12, width: 24, sigma_w: 1.41421356237, sigma_b: 0,
                 seed: 1, presets: ['zero', 'he-relu'], verdict: '', reason: ''}, on = {};
    window.model = {
        get: name => own[name], saved: 0, own,
        set(name, value) { if (own[name] !== value) { own[name] = value; on[`change:${name}`]?.(); } },
        save_changes() { this.saved++; }, on(name, f) { on[name] = f; }, off(name) { delete on[name]; },
    };
    window.clean = widget.render({model, el: document.querySelector('main')});
    window.listeners = () => Object.keys(on).length;
}"""


def test_widget_and_model_follow_each_other(lab_page: Page, lab_folder: Path, lab_address: str) -> None:
    page = lab_page
    page.goto(f"{lab_address}/{write(lab_folder, '')}")
    page.evaluate(MODEL)
    page.wait_for_function("document.querySelector('init-lab').drawn > 0")
    assert page.evaluate("document.querySelector('init-lab').settings.depth") == 12
    page.locator("init-lab button").first.click()
    page.wait_for_function("model.saved === 1")
    own = page.evaluate("model.own")
    assert (own["scheme"], own["sigma_w"], own["verdict"]) == ("zeros", 0, "symmetric")
    page.evaluate("model.set('scheme', 'xavier_normal'); model.set('activation', 'relu')")
    page.evaluate("model.set('depth', 40)")
    page.wait_for_function("model.own.verdict === 'vanished'")
    assert page.evaluate("[model.own.sigma_w, document.querySelector('init-lab').settings.depth]") == [1, 40]
    page.evaluate("clean()")
    assert page.evaluate("listeners()") == 0
