"""The page that a student gets: what it says, and that nothing of a submission acts in it."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from initgrade import feedback, handing_out, paperwork
from tests.tiny_course import hand_in, make, request, result, store

EVIL = '"><script>window.hit = 1</script><img src=x onerror="window.hit = 1"></pre>{{ 7*7 }}\x1b[2J\u202egnp'
PLOT = {
    "title": f"std {EVIL}",
    "x_label": "layer $l",
    "y_label": "std",
    "series": [
        {"label": "theory", "x": [1, 2, 3], "y": [1.0, 1.0, 1.0]},
        {"label": f"yours {EVIL}", "x": [1, 2, 3], "y": [1.0, float("nan"), 1e308 * 10]},
    ],
}


class Tags(HTMLParser):
    """Collects the elements and attributes of a page, and what they may not hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def page(**more: Any) -> str:
    settings = {name: more.pop(name) for name in ("by_hand", "late", "lost", "totals", "waits") if name in more}
    return feedback.page(result("student-a", **more), title="Tiny", **settings)


def evil_page() -> str:
    requests = [request("times_check", 0.0, 3.0, message=EVIL, plot=PLOT), request("b", 1.0, 1.0, plot=PLOT)]
    cells = [{"cell": EVIL, "problem": "raised", "message": EVIL}]
    marks = [{"name": "explain", "points": 1.0, "max_points": 2.0, "comment": EVIL}]
    return page(requests=requests, output=EVIL, message=EVIL, status="crashed", cells=cells, by_hand=marks)


def test_points_messages_and_marks_by_hand_are_on_it() -> None:
    marks = [
        {"name": "explain", "points": 2.5, "max_points": 4.0, "comment": "Name the assumption."},
        {"name": "later", "points": None, "max_points": 4.0, "comment": ""},
    ]
    requests = [request("times_check", 1.5, 3.0, message="Look at n.", p_value=1e-9)]
    text = page(requests=requests, by_hand=marks, late="1 day late", lost=0.4, totals=(6.1, 9.0), waits=True)
    for said in ("6.1 of 9 points", "1.5 of 3", "Partly right.", "Look at n.", "2.5 of 4", "Name the assumption."):
        assert said in text
    assert "fewer than 1 of a million tries" in text
    assert "(-0.4)" in text
    assert "a person still has to mark" in text
    assert "later" not in text


def test_nothing_of_a_submission_is_markup() -> None:
    text = evil_page()
    found = Tags(text)
    assert not {"script", "img", "iframe", "a", "form", "link", "object"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
    assert not [value for name, value in found.attributes if name in ("href", "src") and not value.startswith("#")]
    assert text.count("&lt;script&gt;") >= 8
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "{{ 7*7 }}" in text
    assert "style-src 'sha256-" in text
    assert "unsafe" not in text


def test_ids_are_unique_and_every_reference_has_one() -> None:
    text = evil_page()
    ids = re.findall(r' id="([^"]+)"', text)
    references = re.findall(r' href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert len(ids) == len(set(ids)) > 40
    assert {first or second for first, second in references} <= set(ids)
    assert "#010203" not in text
    assert 'stroke="currentColor"' in text


def test_a_hit_would_be_seen(page: Page) -> None:
    page.set_content('<img src="x" onerror="window.hit = 1">')
    page.wait_for_function("window.hit === 1")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_a_browser_runs_nothing_of_it_and_shows_all_of_it(page: Page, tmp_path: Path, scheme: Any, width: int) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url) if request.url != address else None)
    (tmp_path / "page.html").write_text(evil_page(), encoding="utf-8")
    address = (tmp_path / "page.html").as_uri()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address)
    assert page.evaluate("window.hit === undefined")
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    light = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (paper, ink)]
    assert (light[0] > light[1]) == (scheme == "light")


@pytest.mark.parametrize(
    ("p_value", "said"),
    [
        (None, ""),
        (float("nan"), ""),
        (2.0, ""),
        (0.0, "fewer than 1 of a million"),
        (9e-7, "fewer than 1 of a million"),
        (0.00123, "about 1 of 810 tries"),
        (0.05, "about 1 of 20 tries"),
        (0.3, "about 1 of 3 tries"),
        (0.9, "in most tries"),
    ],
)
def test_p_values_are_words(p_value: float | None, said: str) -> None:
    words = feedback.chance(p_value)
    assert said in words
    assert bool(words) == bool(said)


@pytest.mark.parametrize("status", ["crashed", "timed_out", "out_of_memory", "malformed"])
def test_each_end_says_what_to_do(status: str) -> None:
    text = page(status=status, message="loop in cell 3")
    assert "loop in cell 3" in text
    assert feedback._OVERALL[status][1].split(".")[0].replace("`", "") in text.replace("`", "")


def test_a_failure_of_the_marker_gets_no_page() -> None:
    with pytest.raises(ValueError, match="not the student's"):
        page(status="infrastructure_error")


def test_pages_hold_no_hidden_check(tmp_path: Path) -> None:
    course = make(tmp_path)
    handing_out.release(course, "tiny")
    for student in ("student-a", "student-b"):
        hand_in(course, student, {})
        status = "graded" if student == "student-a" else "infrastructure_error"
        store(course, result(student, status=status, seeds={"entropy": 987654321}))
    paperwork.merge(course, "tiny")
    (written,), without = paperwork.feedback_pages(course, "tiny")
    assert written == course.feedback("tiny", "student-a")
    assert set(without) == {"student-b"}
    text = written.read_text(encoding="utf-8")
    assert "5 of 9 points" in text
    for hidden in ("hidden check", "judge", "987654321", "1 point: because"):
        assert hidden not in text
