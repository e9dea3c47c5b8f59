"""Marks are no lottery: in 500 markings each wrong solution loses the same requests, and a right one loses none.

What a marking draws is what it asks; what most functions answer follows from that. Requests are of three kinds.

- Exact ones: 500 markings of each. A request that a wrong solution keeps with a chance of 1.4 % or more would be seen
  here but for one such case in a thousand (0.986^500 < 0.001). Those in `COSTLY` have fewer: the wrong solutions
  bisect or integrate for long, or many networks are drawn, 5 to 20 ms a marking.
- Draws of weights (`DRAWN`): 25 markings, which see a chance of 25 % or more. The law of the draws does the rest:
  tests/test_coursework_power.py takes what 500 markings ask for, and finds that none misses a named wrong answer with
  a chance above 0.1 %. A right answer fails with 1e-6 a marking.
- Networks that are drawn or trained (`SLOW`): what is asked does not depend on the seed, only the draws do, and
  tests/test_judging.py and tests/test_coursework_power.py have their laws. Here none.

With EVERY_MARKING=1 in the environment the first two kinds all have 500, right solutions too: some five minutes.
"""

import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from initgrade import questions
from initgrade.assignment import Assignment, Request, Variant
from tests.test_coursework import NAMES, WRONG, checks, compiled, judged, loses, own, run, source

MARKINGS, STUDENTS = 500, 5  # a fifth of the markings for each student's parameters
DRAWN = ("almost_equal", "draw_layer", "glorot_normal", "glorot_uniform", "he_leaky", "truncated_normal")
SLOW = ("forward_factors", "backward_factors", "repair")
COSTLY = {"choose_sigma": 20, "chi": 20, "diagnose": 20, "critical_line": 100, "settled_rms": 100}
Space = dict[str, Any]


@pytest.fixture(autouse=True, scope="module")
def nodes_are_calculated_once() -> Iterator[None]:
    """Quadrature nodes are most of the time that functions take, and always the same."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (("legendre", "leggauss"), ("hermite_e", "hermegauss"), ("hermite", "hermgauss")):
            rules = getattr(np.polynomial, module)
            patch.setattr(rules, name, functools.cache(getattr(rules, name)))
        yield


@functools.cache
def students(name: str) -> list[Variant]:
    return [own(name, f"student-{number}") for number in range(STUDENTS)]


@functools.cache
def alone(name: str, request: str) -> Assignment:
    """An assignment of one request: what is asked does not depend on the others."""
    whole = checks(name)
    [only] = [each for each in whole.requests if each.name == request]
    return Assignment(name, whole.title, (only,), whole.make_variant)


def shares(name: str, request: str, spaces: list[Space], count: int) -> list[float]:
    """What so many markings give, each of one of the students in turn."""
    with np.errstate(all="ignore"):
        return [
            judged(asked, spaces[seed % STUDENTS], students(name)[seed % STUDENTS]).share
            for seed, asked in enumerate(drawings(name, request, count))
        ]


@functools.lru_cache(maxsize=8)
def drawings(name: str, request: str, count: int) -> list[questions.Asked]:
    """What so many markings ask; all wrong solutions are asked the same."""
    asked = [questions.draw(alone(name, request), students(name)[seed % STUDENTS], seed) for seed in range(count)]
    return [only for [only] in asked]


def count(request: str, most: int = MARKINGS) -> int:
    if os.environ.get("EVERY_MARKING"):
        return MARKINGS
    return min(most, 25 if request in DRAWN else COSTLY.get(request, MARKINGS))


def asked_of(name: str) -> list[Request]:
    return [request for request in checks(name).requests if not request.literal and request.name not in SLOW]


def with_wrong(path: Path) -> list[Space]:
    """The reference solutions of each student, with a wrong one at the end."""
    spaces = [run(source(path.parent.name), given) for given in students(path.parent.name)]
    for space in spaces:
        exec(compiled(path.read_text(encoding="utf-8"), str(path)), space)
    return spaces


@pytest.mark.filterwarnings("ignore")  # wrong solutions may overflow
@pytest.mark.parametrize("path", WRONG, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_wrong_solutions_lose_the_same_requests_in_every_marking(path: Path) -> None:
    name, spaces = path.parent.name, with_wrong(path)
    kept = {}
    for request in asked_of(name):
        if request.name in loses(path):
            found = shares(name, request.name, spaces, count(request.name))
            kept |= {request.name: found.count(1.0)} if 1.0 in found else {}
    assert kept == {}


@pytest.mark.parametrize("name", NAMES)
def test_right_solutions_lose_nothing_in_any_marking(name: str) -> None:
    """Up to 100 markings: a chance of 7 % would be seen but for one such case in a thousand."""
    spaces = [run(source(name), given) for given in students(name)]
    for request in asked_of(name):
        found = shares(name, request.name, spaces, count(request.name, most=100))
        assert min(found) == 1, request.name


def test_a_request_that_asks_by_chance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first edition's he_leaky: each of two draws is a convolution with chance one half."""
    [path] = [path for path in WRONG if path.parent.name == "ps6" and path.stem == "kernel_ignored"]
    [whole] = alone("ps6", "he_leaky").requests

    def by_chance(given: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
        *layers, convolution = whole.calls(given, rng)
        return [convolution, {**convolution, "seed": 1}] if rng.random() < 0.5 else [layers[0], layers[2]]

    request = Request("he_leaky", "he_leaky", 2.0, whole.judge, series=by_chance)
    lottery = Assignment("ps6", "as it was", (request,), checks("ps6").make_variant)
    monkeypatch.setitem(globals(), "alone", lambda *_: lottery)
    monkeypatch.setitem(globals(), "drawings", drawings.__wrapped__)
    assert 10 < shares("ps6", "he_leaky", with_wrong(path), 60).count(1.0) < 50


# ---------------------------------------------------------------------------------------------------------------------
# A seed means a seed


def a_seed_inside(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda rng, **given: right(**given, rng=np.random.default_rng(0))


def another_generator(right: Callable[..., Any]) -> Callable[..., Any]:
    shared = np.random.default_rng(7)
    return lambda rng, **given: right(**given, rng=shared)


def global_seed(right: Callable[..., Any]) -> Callable[..., Any]:
    def answer(rng: np.random.Generator, **given: Any) -> Any:
        np.random.seed(0)  # noqa: NPY002
        return right(**given, rng=np.random.RandomState(0))

    return answer


def first_answer(right: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the first answer to each question, whatever the generator."""
    kept: dict[str, Any] = {}
    return lambda rng, **given: kept.setdefault(repr(given), right(**given, rng=rng))


def nearly_the_first_answer(right: Callable[..., Any]) -> Callable[..., Any]:
    """Draw from the generator and throw that away."""
    return lambda rng, **given: (rng.random(), right(**given, rng=np.random.default_rng(len(repr(given)))))[1]


CHEATS = [a_seed_inside, another_generator, global_seed, first_answer, nearly_the_first_answer]
WITH_SEEDS = [
    (name, request)
    for name in NAMES
    for request in checks(name).requests
    if "seed" in request.calls(own(name, "student-0"), np.random.default_rng(0))[0]
]


@pytest.mark.parametrize("cheat", CHEATS)
@pytest.mark.parametrize(("name", "request_name"), [(name, each.name) for name, each in WITH_SEEDS])
def test_draws_that_do_not_follow_the_seed_lose(name: str, request_name: str, cheat: Callable[..., Any]) -> None:
    """Exact: the same draw twice, or another one, has no chance. So few markings are enough."""
    [request] = alone(name, request_name).requests
    spaces = [run(source(name), given) for given in students(name)[:1]] * STUDENTS
    few = 1 if request_name in SLOW else 2
    right = spaces[0][request.target]
    for seed in range(few):
        space = {**spaces[0], request.target: cheat(right)}
        [asked] = questions.draw(alone(name, request_name), students(name)[0], seed)
        assert judged(asked, space, students(name)[0]).share < 1


def test_some_request_of_each_kind_draws() -> None:
    assert {each.name for _, each in WITH_SEEDS} == {*DRAWN, *SLOW}


# ---------------------------------------------------------------------------------------------------------------------
# The student's own numbers


@pytest.mark.parametrize("name", NAMES)
def test_a_third_of_the_points_needs_the_students_own_parameters(name: str) -> None:
    literal = sum(request.points for request in checks(name).requests if request.literal)
    assert literal >= checks(name).max_score / 3


@pytest.mark.parametrize("name", NAMES)
def test_a_neighbors_file_loses_a_third(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 pairs of students; their numbers are the marker's own, which agree with the reference's.

    A number of the neighbor's passes by chance now and then, all of them never.
    """
    [request] = [each for each in checks(name).requests if each.name == "own"]
    room = checks(name).make_variant.__globals__
    right = functools.cache(lambda text, own=room["own"]: own(json.loads(text)))
    monkeypatch.setitem(room, "own", lambda given: right(json.dumps(given)))
    everybody = [own(name, f"student-{number}") for number in range(60)]
    numbers = [room["own"](given) for given in everybody]
    assert [request.judge(each, {}, given).share for each, given in zip(numbers, everybody, strict=True)] == [1.0] * 60
    kept = [
        request.judge(numbers[(student + apart) % 60], {}, given).share
        for student, given in enumerate(everybody)
        for apart in (1, 2, 3, 20, 40)
    ]
    assert np.mean(kept) < 0.06
    assert max(kept) < 1
