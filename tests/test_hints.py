"""What a page says of an answer that is not right: its mistake, what was asked, how far off it is."""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coursework.rehearsal import NAMES, ROOT, WRONG, answer, checks, cross, own, run, source
from initgrade import courtroom, evidence, hints, questions, wording
from initgrade import values as packed
from initgrade.assignment import Request, Variant
from initgrade.sandbox import Outcome
from tests.tiny_course import make

STUDENT = "student-a"


class Marking:
    """One student's requests of an assignment, and what the teacher says of values."""

    def __init__(self, name: str, seed: int = 11) -> None:
        self.name, self.given = name, json.loads(json.dumps(own(name, STUDENT)))
        self.asked = {each.request.name: each for each in questions.draw(checks(name), self.given, seed)}
        for arguments in (arguments for each in self.asked.values() for arguments in each.arguments):
            if isinstance(
                arguments.get("steps"), int
            ):  # a curve shows as much in its first steps, in a tenth of the time
                arguments["steps"] = 4
        self.teach = hints.teacher(ROOT / "checks" / f"{name}.py", self.given)

    def space(self, wrong: Path | None = None) -> dict[str, Any]:
        space = run(source(self.name), self.given)
        if wrong:
            exec(compile(wrong.read_text(encoding="utf-8"), str(wrong), "exec"), space)
        return space

    def values(self, request: Request, space: dict[str, Any]) -> list[Any]:
        return [cross(answer(request, space, arguments)) for arguments in self.asked[request.name].arguments]

    def right(self, name: str) -> list[Any]:
        """Return the reference's values, which are calculated once."""
        each = self.asked[name]
        return [cross(value) for value in self.teach.values(None, each.request, each.arguments)]

    def said(self, name: str, space: dict[str, Any]) -> dict[str, str]:
        each = self.asked[name]
        return self.teach(each.request, each.arguments, self.values(each.request, space))


shared = functools.cache(Marking)  # for who changes nothing of it


@pytest.fixture(scope="module", params=NAMES)
def marking(request: pytest.FixtureRequest) -> Marking:
    return shared(request.param)


@pytest.mark.filterwarnings("ignore")  # wrong solutions may overflow
def test_each_wrong_solution_gets_the_hint_that_names_its_mistake(marking: Marking) -> None:
    for path in (path for path in WRONG if path.parent.name == marking.name):
        space = marking.space(path)
        named = space.get("HINTS", {})
        assert set(named) == space["LOSES"], f"{path} names a hint for each request that it loses: HINTS = {{...}}"
        for request, hint in named.items():
            assert marking.said(request, space)["hint"] == hint, f"{path}: {request}"


def test_the_reference_gets_no_hint_and_is_off_by_nothing(marking: Marking) -> None:
    for name, each in marking.asked.items():
        said = marking.teach(each.request, each.arguments, marking.right(name))
        assert (said["hint"], said["off"]) == ("", ""), name


def test_what_no_mistake_explains_gets_no_hint(marking: Marking) -> None:
    """Numbers that are 1.37 times too large, or in the wrong place, are nobody's mistake."""
    for name, each in marking.asked.items():
        right = marking.right(name)
        for spoil in (lambda value: _times(value, 1.37), lambda value: None, lambda value: [value, value]):
            said = marking.teach(each.request, each.arguments, [spoil(value) for value in right])
            assert said["hint"] == "", name
            assert said["asked"], name


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, dict):
        return {key: _times(part, factor) for key, part in value.items()}
    if isinstance(value, list):
        return [_times(part, factor) for part in value]
    return value if isinstance(value, str) else value * factor


def unexplained(marking: Marking, lessons: Mapping[str, wording.Lesson]) -> set[str]:
    """Return the requests of which a part can be right, by their judges, although their page says all or nothing."""
    found = set()
    for name, each in marking.asked.items():
        right = marking.right(name)
        firsts = [[_times(value[0], 1.37), *value[1:]] if isinstance(value, list) else value for value in right]
        for values in ([*right[:-1], _times(right[-1], 1.37)], firsts):
            row = questions.judged(each, questions.Answer("returned", "", values), marking.given)
            if row["status"] == "partly" and lessons[name].rule == wording.Lesson.rule:
                found.add(name)
    return found


def test_points_in_parts_have_a_rule_on_the_page(marking: Marking, monkeypatch: pytest.MonkeyPatch) -> None:
    if marking.name.startswith("capstone"):  # its judge trains: two steps are enough
        monkeypatch.setitem(checks(marking.name).make_variant.__globals__, "STEPS", 2)
    if marking.name == "capstone2":
        monkeypatch.setitem(checks(marking.name).make_variant.__globals__, "RATES", (0.01,))
    lessons = wording.lessons(ROOT, marking.name)
    assert unexplained(marking, lessons) == set()
    assert unexplained(marking, dict.fromkeys(lessons, wording.Lesson()))


# ---- The same mistake, written by somebody else


def _fan_out(fan_out: int, fan_in: int, factor: float, rng: np.random.Generator) -> np.ndarray:
    rng.random(3)  # another stream
    return rng.normal(0.0, factor * fan_out**-0.5, size=(fan_in, fan_out)).T


def _half_the_spread(fan_out: int, fan_in: int, factor: float, rng: np.random.Generator) -> np.ndarray:
    return 0.5 * factor / math.sqrt(fan_in) * rng.standard_normal((fan_out, fan_in))


def _fixed(fan_out: int, fan_in: int, value: float, epsilon: float, rng: Any) -> np.ndarray:
    return value + value * epsilon * np.random.default_rng(42).standard_normal((fan_out, fan_in))


def _same_noise(fan_out: int, fan_in: int, value: float, epsilon: float, rng: np.random.Generator) -> np.ndarray:
    rng.random()
    return np.tile(value * (1 + epsilon * rng.standard_normal(fan_in)), (fan_out, 1))


def _clipped(shape: Any, std: float, cut: float, rng: np.random.Generator) -> np.ndarray:
    rng.random()
    draws = np.minimum(np.maximum(rng.standard_normal(shape), -cut), cut)
    return std * draws / draws.std()


def _one(x: Any, widths: list[int], sigma_w: float, replicas: int, rng: np.random.Generator) -> np.ndarray:
    return np.repeat(rng.lognormal(), replicas)


def _coarse(a: float, b: float, c: float, d: float, space: dict[str, Any]) -> float:
    nodes, weights = np.polynomial.hermite.hermgauss(41)
    return float((weights @ space["phi"](nodes, a, b, c, d) ** 2) / math.sqrt(math.pi)) ** -0.5


def _decimals(rms: np.ndarray) -> np.ndarray:
    at = np.arange(rms.shape[1])
    return np.array([np.cov(at, np.log(row))[0, 1] / np.var(at, ddof=1) for row in rms])


@pytest.mark.parametrize(
    ("assignment", "request_name", "target", "mine", "mistake"),
    [
        ("ps3", "draw_layer", "draw_layer", _fan_out, "fan_out"),
        ("ps3", "draw_layer", "draw_layer", _half_the_spread, None),
        ("ps1", "almost_equal", "almost_equal", _fixed, "spreads_upward"),
        ("ps1", "almost_equal", "almost_equal", _same_noise, "shared_noise"),
        ("ps7", "truncated_normal", "truncated_normal", _clipped, "clipped"),
        ("ps4", "forward_factors", "forward_factors", _one, "one_network"),
        ("ps6", "gain", "gain", _coarse, "physicists_nodes"),
        ("ps3", "slope", "slope", _decimals, "natural_logarithm"),
    ],
)
def test_the_values_decide_not_the_code(
    assignment: str, request_name: str, target: str, mine: Any, mistake: str | None
) -> None:
    marking = shared(assignment)
    space = marking.space()
    space[target] = (lambda **given: mine(**given, space=space)) if mine is _coarse else mine
    named = marking.space(ROOT / "wrong" / assignment / f"{mistake}.py")["HINTS"][request_name] if mistake else ""
    assert marking.said(request_name, space)["hint"] == named


def test_draws_that_are_alike_are_found_so_from_any_stream_and_draws_apart_are_not() -> None:
    """Of 100 pairs of equal law at most one is missed; 8 % more spread, or a uniform law, is seen every time."""
    rng = np.random.default_rng(3)
    normal, other, larger = (rng.standard_normal((100, 100, 120)) for _ in range(3))
    uniform = rng.uniform(-math.sqrt(3), math.sqrt(3), (100, 100, 120))
    zero = np.zeros((100, 120))
    fits = [evidence.fit([mine], [theirs], [zero], drawn=True) for mine, theirs in zip(normal, other, strict=True)]
    assert sum(map(bool, fits)) >= 99
    for apart in (1.08 * larger, uniform):
        assert not any(
            evidence.fit([mine], [theirs], [zero], drawn=True) for mine, theirs in zip(apart, other, strict=True)
        )


# ---- What was asked, what came, how far off it is


def test_a_mark_that_is_not_full_says_what_was_asked_and_what_came() -> None:
    marking = shared("ps3")
    each, space = marking.asked["last_q"], marking.space()
    values = marking.values(each.request, space)
    values[3] *= 2
    row = questions.judged(each, questions.Answer("returned", "", values), marking.given, marking.teach)
    asked = each.arguments[3]
    assert row["status"] == "partly"
    assert row["asked"].startswith(f"last_q(sigma_w={asked['sigma_w']:.4g}, depth={asked['depth']}, activation=")
    assert (row["came"], row["off"]) == (f"{values[3]:.4g}", "2 times what it should be")
    values[3] /= 2
    row = questions.judged(each, questions.Answer("returned", "", values), marking.given, marking.teach)
    assert (row["status"], "asked" in row) == ("passed", False)
    row = questions.judged(each, questions.Answer("crashed", "'last_q' raised"), marking.given, marking.teach)
    assert row["asked"].startswith("last_q(sigma_w=")


def test_what_came_is_shown_whole_with_the_part_that_is_farthest_off() -> None:
    marking = Marking("ps1")
    each = marking.asked["distinct_after"]
    values = [list(value) for value in marking.right("distinct_after")]
    values[4][-1] += 7
    said = marking.teach(each.request, each.arguments, values)
    shown = ", ".join(map(str, values[4]))
    assert (said["came"], said["off"]) == (f"[{shown}], with {values[4][-1]} at [{len(values[4]) - 1}]", "too large")
    assert hints.described(each.arguments[4]["widths"]) in said["asked"]
    marking.teach._known[None, "distinct_after"] = [list(range(300)) for _ in values]
    values = [[*range(150), -7, *range(151, 300)] for _ in values]
    assert marking.teach(each.request, each.arguments, values)["came"] == "-7 at [150]"


def test_what_is_said_does_not_hold_what_is_due() -> None:
    """Not for a number that is far off, not for a variable, and not for names."""
    marking = shared("ps2")
    wrong = marking.said("own_network", {"PREDICTION": {f"W{layer}": 9 for layer in range(1, 5)}})
    assert (wrong["asked"], wrong["off"]) == ("PREDICTION", "")
    assert "9" in wrong["came"]
    for came, due in ((2.718281828, 1.234567), (1.2346, 1.234567), (-5.0, 1.234567), (3.0, 0.0), (3.0, 7.0)):
        words = evidence.direction(came, due)
        assert f"{due:.3g}" not in words
        assert len(words) < 40


def test_a_value_of_any_kind_is_described_in_a_line() -> None:
    deep: Any = [1.0]
    for _ in range(12):
        deep = [deep, deep]
    for value in (deep, {f"k{i}": i for i in range(99)}, 2**1023, "x" * 9999, np.zeros((2, 3)), [[]], None, np.nan):
        said = hints.described(value)
        assert 0 < len(said) <= hints.LONGEST + 1
        assert evidence.farthest(value, np.ones(3)).distance > 0


def test_a_course_without_a_reference_or_with_a_broken_mistake_says_what_was_asked(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "wrong/tiny").mkdir(parents=True)
    (tmp_path / "wrong/tiny/broken.py").write_text("HINTS = {'a': 'never'}\n1 / 0\n")
    request = Request("a", "f", 1.0, lambda *_: None)  # type: ignore[arg-type,return-value]
    given: Variant = {}
    teach = hints.teacher(tmp_path / "checks/tiny.py", given)
    assert teach(request, [{"x": 2}], [3.0]) == {"asked": "f(x=2)", "came": "3", "off": "", "hint": ""}


def test_a_hint_that_takes_too_long_costs_no_points_and_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The courtroom announces a hint by itself, so that what is given up is the hint."""
    checks_file, told = make(tmp_path).checks("tiny"), []
    monkeypatch.setattr(hints, "teacher", lambda *_: lambda *_: {"hint": "think"})
    tree, blobs = packed.pack(0)
    sent = packed.frame({"kind": "asked", "request": 0})
    sent += packed.frame({"kind": "answer", "status": "returned", "message": "", "values": [tree]}, blobs)
    outcome = Outcome(True, "finished", "", sent, "", 0.0)
    case = courtroom.Case(checks_file, "", {"n": 7}, 5, outcome, {})
    assert courtroom.hear(case, "", told.append)["requests"][0]["hint"] == "think"
    assert told[:3] == ["", "times_check", "times_check, the hint"]
    late = replace(case, given_up={"times_check, the hint": "too long"})
    row = courtroom.hear(late, "", told.append)["requests"][0]
    assert (row["status"], row["message"], row.get("hint")) == ("failed", "compare with n times x", None)
