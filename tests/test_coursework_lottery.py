"""Marks are no lottery: in every marking each wrong solution loses the same requests, and a right one loses none.

`make lottery` marks 500 times; here are a few markings by the same function, so that a change that breaks a request for
every seed, or for one in a few, is seen at once.
"""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coursework import lottery
from coursework.lottery import COSTLY, DRAWN, SLOW, alone, solutions, tally, touched
from coursework.rehearsal import NAMES, checks, judged, own, student
from initgrade import questions
from initgrade.assignment import Assignment, Request, Variant

REQUESTS = [(name, request.name) for name in NAMES for request in checks(name).requests]


def few(request: str) -> int:
    """Return a number of markings that takes little time. A chance of 30 % would be seen in 20 but for 0.7^20."""
    return 1 if request in SLOW else 4 if request in DRAWN + COSTLY else 20


@pytest.mark.parametrize(("name", "request_name"), REQUESTS)
def test_every_solution_loses_what_it_must_in_every_marking(name: str, request_name: str) -> None:
    found = tally(name, request_name, range(few(request_name)))
    assert found.odd == []
    assert found.kept + found.lost >= few(request_name)


def test_each_wrong_solution_loses_something_and_each_request_but_own_numbers_is_lost_by_some() -> None:
    for name in NAMES:
        lost = {request for solution in solutions(name, 0) for request in solution.must_lose}
        assert lost >= {request.name for request in checks(name).requests if not request.literal}
        assert all(solution.must_lose for solution in solutions(name, 0)[1:])


def by_chance(given: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask as the first edition's he_leaky did: each of two draws is a convolution with chance one half."""
    [request] = alone("ps6", "he_leaky").requests
    *layers, convolution = request.calls(given, rng)
    return [convolution, {**convolution, "seed": 1}] if rng.random() < 0.5 else [layers[0], layers[2]]


def test_a_request_that_asks_by_chance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    [right] = alone("ps6", "he_leaky").requests
    request = Request("he_leaky", "he_leaky", 2.0, right.judge, series=by_chance)
    changed = Assignment("ps6", "as it was", (request,), checks("ps6").make_variant)
    monkeypatch.setattr(lottery, "alone", lambda *_: changed)
    found = tally("ps6", "he_leaky", range(20))
    kernel = [line for line in found.odd if "kernel_ignored" in line]
    assert kernel == found.odd
    assert 1 <= len(kernel) < 20  # by chance none or all: 2e-6
    assert f"{kernel[0].split('seed ')[1].split(':')[0]}: keeps 100% of he_leaky" in kernel[0]


def test_what_a_wrong_solution_touches_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper that it changes counts for all that reach it; what the lottery leaves out is compared once."""
    space: dict[str, Any] = {}
    code = "def a(): return [b() for _ in T]\ndef b(): return D[0]()\ndef c(): return K().f()\ndef d(): return n"
    exec(f"{code}\nclass K:\n    def f(self): return e()\nD, T = [d], (1,)", space)
    assert lottery.reached(space["a"], space) >= {"b", "T", "D", "n"}
    assert lottery.reached(space["c"], space) == {"K", "f", "e"}
    touches = {name: touched(lottery.Solution("", space, frozenset("n"), frozenset()), name) for name in "abcdn"}
    assert touches == {"a": True, "b": True, "c": False, "d": True, "n": True}
    monkeypatch.setattr(lottery, "touched", lambda *_: False)
    with pytest.raises(AssertionError, match="touches slope"):
        tally("ps3", "slope", range(2))


def test_the_command_says_what_it_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ps5", "--markings", "3", "--first", "7", "--jobs", "1"]
    only = Assignment("ps5", "", checks("ps5").requests[:1], checks("ps5").make_variant)
    monkeypatch.setattr(lottery, "checks", lambda _: only)
    assert lottery.main(words) == 0
    assert "ps5       the reference and 8 wrong solutions, 1 requests: " in capsys.readouterr().out
    monkeypatch.setattr(lottery, "loses", lambda _: {"compromise"})
    solutions.cache_clear()
    assert lottery.main(words) == 1
    said = capsys.readouterr().out
    solutions.cache_clear()
    assert "ps5, kernel_ignored, seed 8: loses fans" in said
    assert "NOT AS THEY SHOULD BE" in said

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(lottery, "tally", interrupted)
    assert lottery.main(words) == 1
    said = capsys.readouterr().out
    assert "Interrupted: 0 of 1 parts" in said
    assert "ps5       not marked" in said


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
    """Exact: the same draw twice, or another one, has no chance. So one marking is enough."""
    [request] = alone(name, request_name).requests
    space = solutions(name, 0)[0].space
    [asked] = questions.draw(alone(name, request_name), student(name, 0), 0)
    assert judged(asked, {**space, request.target: cheat(space[request.target])}, student(name, 0)).share < 1


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


@pytest.mark.integration
def test_the_command_marks_in_several_processes() -> None:
    command = [sys.executable, "-m", "coursework.lottery", "ps1", "--markings", "1", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "all as they should be" in done.stdout
