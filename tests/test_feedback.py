"""The page that a student gets: what it says, and that nothing of a submission acts in it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from coursework.rehearsal import NAMES, ROOT, checks
from initgrade import feedback, paperwork, tables, values, wording, worker
from initgrade.course import Course, CourseError
from tests.tiny_course import hand_in, request, result, store

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
    names = ("by_hand", "late", "lost", "totals", "waits", "name", "lessons", "others")
    settings = {name: more.pop(name) for name in names if name in more}
    return feedback.page(result("student-a", **more), title="Tiny", **settings)


def evil_page() -> str:
    said = dict.fromkeys(("asked", "came", "off", "hint", "message"), EVIL)
    requests = [request("times_check", 0.0, 3.0, **said, plot=PLOT), request("b", 1.0, 1.0, plot=PLOT)]
    cells = [{"cell": EVIL, "problem": "raised", "message": EVIL}]
    marks = [{"name": "explain", "points": 1.0, "max_points": 2.0, "comment": EVIL}]
    more = {"name": EVIL, "lessons": {"times_check": wording.Lesson(EVIL, EVIL)}}
    return page(requests=requests, output=EVIL, message=EVIL, status="crashed", cells=cells, by_hand=marks, **more)


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


ROW = {
    "asked": "last_q(sigma_w=1.3, depth=4, activation='relu')", "came": "2.5", "off": "2 times what it should be",
    "hint": "z is √q·ξ.", "message": "q of layer 4 is 2.5, which is too large.",
}  # fmt: skip


@pytest.mark.parametrize("points", [0.0, 1.5])
def test_failed_and_partly_say_what_was_asked_what_came_the_rule_a_hint_and_the_section(points: float) -> None:
    lessons = {"times_check": wording.Lesson("Each case counts the same.", "Chapter 3, “Many layers”")}
    text = page(requests=[request("times_check", points, 3.0, **ROW)], lessons=lessons)
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
    for said in (
        "Asked last_q(sigma_w=1.3, depth=4, activation=&#39;relu&#39;)",
        "Came 2.5 . This is 2 times what it should be.",
        "q of layer 4 is 2.5", "How points are given: Each case counts the same.", "z is √q·ξ.",
        "Read again: Chapter 3, “Many layers”.",
    ):  # fmt: skip
        assert said in shown, said
    right = page(requests=[request("times_check", 3.0, 3.0, **ROW)], lessons=lessons)
    for said in ("Asked", "Came", "How points", "z is", "Read again"):
        assert said not in right


def test_without_a_hint_that_fits_it_says_how_to_look() -> None:
    row = request("times_check", 0.0, 3.0, **{**ROW, "hint": ""})
    assert "Call it with these arguments yourself" in page(requests=[row])
    assert "Call it with these arguments" not in page(requests=[request("times_check", 0.0, 3.0)])


def test_what_was_left_as_released_is_called_unanswered() -> None:
    """As the worker reports nbgrader's stub, a function's and a cell's."""
    space: dict[str, Any] = {}
    exec("def f(x):\n    raise NotImplementedError()", space)
    tree, blobs = values.pack({"x": 1})
    [(header, _)] = values.frames(worker.answer({"target": "f", "call": True, "arguments": [tree]}, blobs, space, 1000))
    row = request("times_check", 0.0, 3.0, status=header["status"], message=header["message"], asked="f(x=1)")
    problem = worker.run_cell({"id": "answer", "source": "raise NotImplementedError()"}, {}, 5.0)
    missing = request("answer_check", 0.0, 2.0, status="missing", message="there is no variable 'answer'")
    text = page(requests=[row, missing], cells=[problem])
    assert "It is not answered yet." in text
    assert "Cell answer is not answered yet" in text
    assert "is it the one that should define it?" in text
    for wrong in ("It raised an error", "f(x=1)", "Call it yourself"):
        assert wrong not in text
    other = {**row, "message": "'f' raised ValueError: no"}
    assert "It raised an error." in page(requests=[other])


def test_a_notebook_under_another_name_is_called_that() -> None:
    gone = {"submission": None, "checks": "c", "packages": "p"}
    rows = [request("times_check", 0.0, 3.0, status="not_run")]
    text = page(
        status="malformed", requests=rows, hashes=gone, others=["tiny (1).ipynb"], message="there is no tiny.ipynb"
    )
    for said in (
        "no file with the name that is asked for",
        "In its place there is: tiny (1).ipynb",
        "could not be read, so",
    ):
        assert said in text
    assert "is not a notebook that can be read" not in text
    broken = page(status="malformed", requests=rows, hashes={**gone, "submission": "abc"}, message="cut off")
    assert "is not a notebook that can be read" in broken


def test_a_notebook_in_which_nothing_asked_for_is_found_did_not_end_early() -> None:
    rows = [request("times_check", 0.0, 3.0, status="missing", message="there is no function 'times'")]
    text = page(status="crashed", requests=rows)
    assert "nothing that is asked for is in it" in text
    assert "ended before anything" not in text


def test_an_answer_that_nobody_read_is_not_called_read() -> None:
    marks = [
        {"name": "explain", "points": 0.0, "max_points": 4.0, "comment": "", "read": False},
        {"name": "other", "points": 1.0, "max_points": 4.0, "comment": "", "read": True},
    ]
    assert re.findall(r"(Nobody read it: [^.]*|Read by a person)\.", page(by_hand=marks)) == [
        "Nobody read it: the cell holds no answer", "Read by a person",
    ]  # fmt: skip
    assert "Nobody read it: your notebook could not be opened." in page(by_hand=marks, status="malformed")


def test_a_name_of_any_letters_is_on_the_page() -> None:
    assert "Feedback for <bdi>José 吴 O&#39;Neil (student-a)</bdi>" in page(name="José 吴 O'Neil")


# ---- what the course's feedback.yml says


def headings(chapter: str) -> set[str]:
    (path,) = (ROOT.parent / "book").glob(f"{int(chapter):02}_*.ipynb")
    lines = [line for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "markdown"
             for line in "".join(cell["source"]).splitlines()]  # fmt: skip
    plain = (line.replace("$", "").replace("`", "").replace("\\sigma", "σ") for line in lines)
    return {line.lstrip("#").strip() for line in plain if line.startswith("#")}


@pytest.mark.parametrize("name", NAMES)
def test_every_request_names_a_section_that_is_there(name: str) -> None:
    found = wording.lessons(ROOT, name)
    assert list(found) == [asked.name for asked in checks(name).requests]
    for lesson in found.values():
        chapter, section = re.fullmatch(r"Chapter (\d+), “(.+)”", lesson.read).groups()  # type: ignore[union-attr]
        assert section in headings(chapter), lesson.read


def test_a_file_of_lessons_that_is_wrong_says_so(tmp_path: Path) -> None:
    assert wording.lessons(tmp_path, "ps1") == {}
    for text in ("[", "ps1: {a: {rul: x}}", "ps1: {a: x}", "ps1: x", "- x"):
        (tmp_path / "feedback.yml").write_text(text)
        with pytest.raises(CourseError, match=r"feedback\.yml"):
            wording.lessons(tmp_path, "ps1")


# ---- Gradescope


def test_gradescope_gets_each_request_with_what_the_page_says() -> None:
    rows = [request("times_check", 1.5, 3.0, **ROW), request("answer_check", 2.0, 2.0)]
    told = tables.gradescope(
        result("student-a", requests=rows, score=3.5), {"times_check": wording.Lesson("Each.", "Ch.")}
    )
    first, second = told["tests"]
    assert (told["score"], first["score"], first["max_score"], first["status"]) == (3.5, 1.5, 3.0, "failed")
    assert (second["status"], second["output"]) == ("passed", "Right.")
    assert first["output"].splitlines() == [
        "Partly right.", "Asked: last_q(sigma_w=1.3, depth=4, activation='relu')",
        "Came: 2.5. This is 2 times what it should be.", "q of layer 4 is 2.5, which is too large.",
        "Points: Each.", "Hint: z is √q·ξ.", "Read again: Ch.",
    ]  # fmt: skip
    allowed = {"score", "max_score", "name", "number", "status", "output", "output_format", "tags", "visibility"}
    assert all(set(test) <= allowed for test in told["tests"])
    assert sum(test["score"] for test in told["tests"]) == told["score"]
    json.dumps(told, allow_nan=False)
    lost = tables.gradescope(result("student-a", (0.0, 0.0), status="timed_out", message="after 60 s"), {})
    assert lost["output"].startswith("Your notebook did not finish in time.\nafter 60 s")
    with pytest.raises(ValueError, match="nobody's mark"):
        tables.gradescope(result("student-a", status="infrastructure_error"), {})


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
    words = wording.chance(p_value)
    assert said in words
    assert bool(words) == bool(said)


def test_chance_is_not_spoken_of_where_it_did_not_decide() -> None:
    """A draw of the right law from a generator of one's own has a large p-value, and loses points."""
    for points, p_value, said in ((2.0, 0.4, False), (2.0, 1e-9, True), (3.0, 0.4, True)):
        row = {**request("times_check", points, 3.0, **ROW), "p_value": p_value}
        assert ("By chance alone" in page(requests=[row])) == said


@pytest.mark.parametrize("status", ["crashed", "timed_out", "out_of_memory", "malformed"])
def test_each_end_says_what_to_do(status: str) -> None:
    text = page(status=status, message="loop in cell 3", hashes={"submission": "abc", "checks": "c", "packages": "p"})
    assert "loop in cell 3" in text
    assert wording._OVERALL[status][1].split(".")[0].replace("`", "") in text.replace("`", "")


def test_a_failure_of_the_marker_gets_no_page() -> None:
    with pytest.raises(ValueError, match="not the student's"):
        page(status="infrastructure_error")


def test_pages_hold_no_hidden_check(course: Course) -> None:
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
