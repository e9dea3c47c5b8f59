"""The picture with a slider under it: what Python draws and refuses, and the element and its widget in a browser."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import axe_playwright_python
import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page
from traitlets import TraitError

import initnotes as ini
from initnotes.book import charts, sliders
from tools import figures, guards, pages, scripts
from tools.notebooks import ROOT

ASSETS = ROOT / "book" / "assets"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
POLICY = f'<meta http-equiv="Content-Security-Policy" content="{pages.policy("")}">'
DEPTHS, RATES = [4, 16, 64, 256], np.geomspace(1e-3, 1, 13)
LOSS = np.array([1 + np.log10(RATES * depth / 5) ** 2 for depth in DEPTHS])
GAPS = np.where(RATES > 0.2, np.nan, LOSS * 1.3)
GAPS[:, -1] = 2.0  # a point between gaps
BEST = ["1.25", "0.31", "0.078", "0.02, at the edge of what was tried & <measured>"]
GIVEN: dict[str, Any] = {
    "label": "depth σ_w",
    "values": DEPTHS,
    "x": RATES,
    "curves": {"Xavier": LOSS, "by norm": GAPS, "theory": 0.8 * LOSS},
    "bands": {"Xavier": (0.9 * LOSS, 1.1 * LOSS), "other": (0.5 * GAPS, 0.6 * GAPS)},
    "fixed": {"ln 10": np.full(13, np.log(10))},
    "readings": {"best rate": BEST},
    "x_label": "learning rate",
    "y_label": "loss after 300 steps",
    "x_scale": "log",
    "start": 1,
    "alt": "The best rate falls in proportion to the depth, from 1.25 at depth 4 to 0.02 at 256.",
}
BARE: dict[str, Any] = {"bands": {}, "fixed": {}, "readings": {}}


def made(**changed: Any) -> str:
    return ini.slider(**(GIVEN | changed)).html


def paths(html: str) -> list[str]:
    """Return what moves, as it is drawn."""
    return re.findall(r'<path data-moves[^>]* d="([^"]*)"', html)


DRAWN = [paths(made(start=start)) for start in range(4)]

# --------------------------------------------------------------------------------------------------------- in Python


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"values": [4]}, "two positions or more, got 1"),
        ({"values": "abc"}, "sequence of numbers or names"),
        ({"values": [4, 16, None, 256]}, "values must be a real number, got None"),
        ({"x": RATES[:5]}, r"must have shape \(4, 5\)"),
        ({"x": [1.0] * 13}, "two points or more"),
        ({"x": RATES - 0.001}, "x holds 0, and a logarithmic axis has positive numbers only"),
        ({"curves": {}}, "curves must map names to arrays, 6 at most, got 0"),
        ({"curves": {f"{k}": LOSS for k in range(7)}}, "6 at most, got 7"),
        ({"curves": {"a": LOSS[:3]}}, r"curves\['a'\] must have shape \(4, 13\).*got \(3, 13\)"),
        ({"curves": {"a": [["x"] * 13] * 4}}, r"curves\['a'\] must be numbers"),
        ({"curves": {"a": LOSS * np.inf}}, "holds infinity, .*put NaN for a gap"),
        ({"curves": {"a": LOSS * np.nan}, **BARE}, "nothing but gaps"),
        ({"curves": {"a": -LOSS}, "y_scale": "log"}, "positive numbers only; put NaN for a gap, or take"),
        ({"curves": {"$a$": LOSS}}, "no TeX"),
        ({"bands": {"a": LOSS}}, "must be a pair"),
        ({"bands": {"a": (LOSS, LOSS[0])}}, r"bands\['a'\] must have shape"),
        ({"fixed": {"Xavier": LOSS[0]}}, "different names"),
        ({"fixed": {"a": LOSS}}, r"fixed\['a'\] must have shape \(13,\)"),
        ({"readings": {"a": ["x"] * 3}}, "readings of 'a' must be 4 texts, one a position, got 3"),
        ({"readings": {"a": [1, 2, 3, 4]}}, "must be a text, got 1"),
        ({"x_scale": "ln"}, "unknown x_scale 'ln'"),
        ({"y_scale": "lin"}, "did you mean 'linear'"),
        ({"start": 4}, "from 0 to 3, got 4"),
        ({"start": 1.0}, "must be an integer"),
        ({"alt": "a curve"}, "40 characters or more"),
        ({"label": ""}, "label must be a text"),
        ({"y_label": "y" * 46}, "at most 45 characters"),
        (
            {"values": range(99), "curves": {"a": np.ones((99, 100))}, "x": np.arange(1, 101), **BARE},
            "fewer than 99 positions or fewer than 100 points",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        made(**changed)


def test_axes_stay_and_what_moves_is_what_is_stored() -> None:
    still = [
        re.sub(r'(<path data-moves[^>]* d="|<span>|"start":(?=\d))[^"<]*?(?=["<]|,"values")', r"\1", made(start=k))
        for k in range(4)
    ]
    assert len(set(still)) == 1
    assert len({tuple(drawn) for drawn in DRAWN}) == 4
    assert len(DRAWN[0]) == 5, "two areas and three lines"
    assert DRAWN[0][3].endswith("h0"), "a point between gaps is seen"


def test_curve_goes_where_its_numbers_are() -> None:
    """Ten years of a logarithmic axis are as wide as the next, and a power is a straight line."""
    straight = {"values": [1, 2], "curves": {"a": [RATES**2, RATES]}, **BARE}
    [path] = paths(made(**straight, y_scale="log", start=0))
    x, y = np.array([point.split() for point in path[1:].split("L")], dtype=float).T
    np.testing.assert_allclose(np.diff(x), np.diff(x).mean(), atol=0.11)
    np.testing.assert_allclose(np.diff(y), np.diff(y).mean(), atol=0.11)
    [path] = paths(made(**straight, y_scale="log", start=1))
    half = np.array([point.split() for point in path[1:].split("L")], dtype=float)[:, 1]
    np.testing.assert_allclose(np.ptp(half), np.ptp(y) / 2, atol=0.11)
    assert half[0] > half[-1], "more is higher up"


def test_last_bits_do_not_show() -> None:
    """Every odd number lies half-way between two tenths of a pixel, where the last bits decide what is rounded."""
    axis, odd = charts.Axis(np.array([0, 2000]), "linear", pad=0), np.arange(1.0, 2000, 2)
    axis.end = 100
    assert axis(odd * (1 - 1e-13)) == axis(odd * (1 + 1e-13)) == list(range(1, 1001))


@pytest.mark.parametrize(
    ("low", "high", "scale", "labels"),
    [
        (0, 1, "linear", "0 0.2 0.4 0.6 0.8 1"),
        (-3e4, 2e6, "linear", "0 500000 10⁶ 1.5·10⁶ 2·10⁶"),
        (1, 256, "log", "1 2 5 10 20 50 100 200"),
        (1e-7, 1e5, "log", "10⁻⁶ 10⁻⁴ 0.01 1 100 10000"),
        (0.5, 0.7, "log", "0.5 0.55 0.6 0.65 0.7"),
    ],
)
def test_ticks_are_round(low: float, high: float, scale: str, labels: str) -> None:
    assert " ".join(text for _, text in charts.Axis(np.array([low, high]), scale, pad=0).ticks) == labels


def test_output_passes_the_guards(make_notebook: Callable[..., NotebookNode]) -> None:
    notebook = make_notebook("x")
    data = {"text/html": made(), "text/plain": "curve-slider"}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    checks = [guards.active_html, guards.output_size, guards.mime_types, guards.machine_traces, guards.not_numbers]
    assert [fault for guard in checks for fault in guard(notebook)] == []
    notebook.cells[0].outputs[0].data["text/html"] += " " * sliders.BYTES
    assert guards.output_size(notebook)


def test_list_of_figures_finds_its_title() -> None:
    assert figures.LIVE.findall(made()) == ["A slider for depth σ_w: loss after 300 steps by learning rate"]
    assert figures.LIVE.findall(made(title="Best rates")) == ["Best rates"]


def test_widget_has_its_picture_and_refuses_what_is_no_position() -> None:
    figure = ini.slider(**GIVEN)
    bundle = figure._repr_mimebundle_()[0]
    assert bundle["text/plain"] == "curve-slider: depth σ_w, 4 positions from 4 to 256"
    assert bundle["text/html"] == figure.html
    figure.position = 3
    with pytest.raises(TraitError, match="from 0 to 3, got 4"):
        figure.position = 4


def test_without_anywidget_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    sliders._widget_class.cache_clear()
    with pytest.raises(ImportError, match="pip install anywidget"):
        made()
    sliders._widget_class.cache_clear()


# -------------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the figure's files and a page that has the policy of the site's pages."""
    folder = tmp_path_factory.mktemp("slider")
    module = (ASSETS / "curve-slider.mjs").read_text(encoding="utf-8")
    for name, text in (
        ("curve-slider.css", (ASSETS / "curve-slider.css").read_text(encoding="utf-8")),
        ("curve-slider.mjs", module),
        ("curve-slider.js", scripts.classic(module)),
        (
            "page.html",
            f"""<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">{POLICY}<title>figure</title>
            <meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
            <link rel="stylesheet" href="curve-slider.css"><script defer src="curve-slider.js"></script>
            <body style="margin: 0; font-family: 'DejaVu Sans', sans-serif">
            <main style="max-width: 740px; margin: auto; padding: 0 16px"><h1>A page</h1>{made()}</main>""",
        ),
        ("empty.html", '<!doctype html><link rel="icon" href="data:,"><main></main>'),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a new page that fails the test on an error and on what the console says of one."""
    errors: list[str] = []
    with browser.new_context(viewport={"width": 390, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
        yield page
    assert errors == []


SHOWN = """() => ({
    paths: [...document.querySelectorAll('[data-moves]')].map((path) => path.getAttribute('d')),
    words: [...document.querySelectorAll('[data-longest]')].map((place) => place.innerText),
    said: document.querySelector('input').getAttribute('aria-valuetext'),
    height: document.querySelector('curve-slider').offsetHeight,
    wide: document.documentElement.scrollWidth,
})"""
TYPE = """() => Math.min(...[...document.querySelectorAll('svg text')].map((text) =>
    parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"""
OUTSIDE = """() => {
    const frame = document.querySelector('svg').getBoundingClientRect();
    return [...document.querySelectorAll('svg text')].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 2 || box.right > frame.right + 2 || box.bottom > frame.bottom;
    }).map((text) => text.textContent);
}"""


def test_slider_moves_by_keyboard_and_pointer_from_a_file(page: Page, folder: Path) -> None:
    page.goto((folder / "page.html").as_uri())
    slider = page.get_by_role("slider", name="depth σw")
    seen = [page.evaluate(SHOWN)]
    assert seen[0]["paths"] == DRAWN[1]
    assert page.evaluate(TYPE) >= 9
    assert page.evaluate(OUTSIDE) == []
    slider.focus()
    for key, at in (("End", 3), ("ArrowLeft", 2), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        seen.append(page.evaluate(SHOWN))
        assert seen[-1]["paths"] == DRAWN[at], key
        assert seen[-1]["words"] == [str(DEPTHS[at]), BEST[at]]
        assert seen[-1]["said"] == f"{DEPTHS[at]}; best rate: {BEST[at]}"
    box = slider.bounding_box()
    assert box
    assert box["height"] >= 44
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    assert page.evaluate(SHOWN)["paths"] == DRAWN[3]
    assert len({now["height"] for now in seen}) == 1
    assert {now["wide"] for now in seen} == {390}
    for theme in ("light", "dark"):
        page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
        page.evaluate(AXE)
        rules = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'], preload: false})"
        assert page.evaluate(f"{rules}.then((found) => found.violations.map((rule) => rule.id))") == []
    assert page.locator(".line").nth(-3).evaluate("line => getComputedStyle(line).stroke") == "rgb(91, 176, 236)"
    page.emulate_media(media="print")
    assert not slider.is_visible()
    assert page.locator("svg").is_visible()


def test_picture_stands_without_javascript_and_has_the_height_of_the_live_one(browser: Browser, folder: Path) -> None:
    heights = []
    for scripts_run in (False, True):
        with browser.new_context(java_script_enabled=scripts_run, viewport={"width": 390, "height": 900}) as context:
            page = context.new_page()
            page.goto((folder / "page.html").as_uri())
            figure = page.locator("curve-slider")
            box = figure.bounding_box()
            assert box
            heights.append(box["height"])
            assert figure.get_by_text("where JavaScript is on").is_visible() is not scripts_run
            assert page.locator("svg [data-moves]").count() == 5
            assert figure.get_by_text("0.31").is_visible()
    assert heights[0] == heights[1]


WIDGET = """(html) => import('./curve-slider.mjs').then(({ default: { render } }) => {
    const values = { html, position: 2 }, heard = {}, el = document.createElement('div');
    const model = {
        get: (name) => values[name], set: (name, value) => { values[name] = value; }, save_changes: () => {},
        on: (name, what) => { heard[name] = what; }, off: (name) => { delete heard[name]; },
    };
    const close = render({ model, el });
    document.querySelector('main').append(el);
    const range = el.querySelector('input'), said = [range.value];
    values.position = 0;
    heard['change:position']();
    said.push(range.value);
    range.value = 3;
    range.dispatchEvent(new Event('input'));
    said.push(values.position);
    close();
    return [...said, Object.keys(heard).length, el.querySelectorAll('input').length];
})"""


def test_widget_and_python_have_one_position(
    page: Page, folder: Path, serve: Callable[[Path], AbstractContextManager[str]]
) -> None:
    with serve(folder) as address:
        page.goto(f"{address}/empty.html")
        assert page.evaluate(WIDGET, made()) == ["2", "0", 3, 0, 1]
