"""Marks are no lottery: in 500 markings each wrong solution loses the same requests, and a right one loses none.

What a marking draws is what it asks; the answers of most functions follow from that. Requests fall in three kinds.

- Exact ones: 500 markings of each, with what the marker asks and decides. If a wrong solution kept a request with a
  chance of 1.4 % or more, it would do so here once at least but for one run in a thousand; `asked` says which cases
  meet it in each marking by construction, and has no chance left.
- Draws of weights (`DRAWN`): 500 markings of each wrong solution. Right ones fail with 1e-6, which
  tests/test_coursework_power.py and tests/test_judging.py show at a larger α; here 50 markings of each.
- Networks that are drawn or trained (`SLOW`): a marking takes too long to repeat. Nothing in what is asked of them
  decides, only their own draws: the tests of power simulate those, and `TRIED` markings look at the whole.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from initgrade import questions, sampling
from initgrade.assignment import Request, Variant
from tests.test_coursework import NAMES, WRONG, checks, compiled, judged, own, run, solved, source

MARKINGS, STUDENTS = 500, 5  # a fifth of the markings for each student's parameters
DRAWN = ["almost_equal", "draw_layer", "glorot_normal", "glorot_uniform", "he_leaky", "truncated_normal"]
SLOW = ["forward_factors", "backward_factors", "repair"]
# Long calculations, the marker's or the student's.
COSTLY = {"choose_sigma": 20, "chi": 25, "critical_line": 50, "last_q": 100, "diagnose": 50, "settled_rms": 100}
TRIED = 2


@cache
def students(name: str) -> list[Variant]:
    return [own(name, f"student-{number}") for number in range(STUDENTS)]


def markings(name: str, request: str, count: int) -> list[tuple[questions.Asked, int]]:
    """What the marker asks in so many markings, and of which student."""
    assignment = checks(name)
    only = assignment.requests[[each.name for each in assignment.requests].index(request)]
    one_request = type(assignment)(name, assignment.title, (only,), assignment.make_variant)
    return [
        (questions.draw(one_request, students(name)[seed % STUDENTS], seed)[0], seed % STUDENTS)
        for seed in range(count)
    ]


def shares(name: str, request: str, namespaces: list[dict[str, Any]], count: int) -> list[float]:
    """What so many markings give."""
    with np.errstate(all="ignore"):
        return [
            judged(asked, namespaces[student], students(name)[student]).share
            for asked, student in markings(name, request, count)
        ]


def requests(name: str) -> list[Request]:
    return [request for request in checks(name).requests if not request.literal]


@cache
def wrong_namespaces(path: Path) -> list[dict[str, Any]]:
    found = []
    for given in students(path.parent.name):
        found.append(run(source(path.parent.name), given))
        exec(compiled(path.read_text(encoding="utf-8"), str(path)), found[-1])
    return found


import time
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", WRONG, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_wrong(path: Path) -> None:
    name = path.parent.name
    spaces = wrong_namespaces(path)
    bad = {}
    for request in sorted(spaces[0]["LOSES"]):
        if request in SLOW or request == "own_network":
            continue
        b = time.process_time()
        found = shares(name, request, spaces, COSTLY.get(request, MARKINGS))
        print(f"TIME {path.parent.name}/{path.stem} {request} {time.process_time()-b:.2f}  max share {max(found):.2f} kept {sum(f==1 for f in found)}")
        if max(found) == 1:
            bad[request] = sum(f == 1 for f in found)
    assert not bad


@pytest.mark.parametrize("name", NAMES)
def test_right(name: str) -> None:
    spaces = [run(source(name), given) for given in students(name)]
    for request in requests(name):
        if request.name in SLOW:
            continue
        b = time.process_time()
        found = shares(name, request.name, spaces, 50 if request.name in DRAWN else COSTLY.get(request.name, MARKINGS))
        print(f"TIME {name} {request.name} {time.process_time()-b:.2f} min {min(found)}")
        assert min(found) == 1
