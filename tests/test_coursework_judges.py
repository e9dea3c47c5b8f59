"""No judge raises, whatever a submission lets cross: that would be a fault of the checks, and hold up its mark."""

import contextlib
import functools
import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coursework.rehearsal import NAMES, answer, checks, cross, own, solved
from initgrade import questions, values
from initgrade.assignment import Request, Variant, Verdict

LARGE = 2**values.MAX_BITS - 1  # the largest integer that crosses
STRANGE: list[Any] = [
    *(True, 0, -1, 2**63, LARGE, 0.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), "", "\ud800\x1b[2J", "1.0"),
    *([], (), {}, {"W1": None}, {None: 1}, {float("nan"): []}, [None], ["a"], [[1], [1, 2]], [[]], [2**70, 1.0]),
    *(np.zeros(0), np.zeros((0, 3)), np.array(1.0), np.array(True), np.array([1j]), np.zeros((1,) * 32)),
    *(np.array([2**63], "u8"), np.array([77], "i1"), np.array([1.5], "f2"), np.full((4, 4), 1e308), np.full(3, np.nan)),
    *([np.zeros(2), np.zeros(3)], (np.zeros(2), 1), {"a": {"b": [1]}}),
]
NUMBERS = st.integers(-(2**1000), 2**1000) | st.floats() | st.booleans()
ARRAYS = hnp.arrays(st.sampled_from(["?", "i1", "u8", "f2", "f8", "c16"]), hnp.array_shapes(min_dims=0, min_side=0))
CROSSING = st.recursive(
    st.none() | NUMBERS | st.text(max_size=5) | ARRAYS,
    lambda part: st.lists(part, max_size=4) | st.tuples(part, part) | st.dictionaries(st.text(max_size=3), part),
    max_leaves=8,
)


def spoiled(value: Any) -> Iterator[Any]:
    """Give a right value with every kind of small fault: in its shape, its type, or one of its numbers."""
    yield from (None, "x", [value], {"a": value})
    if isinstance(value, list | tuple):
        kind = type(value)
        yield from (value[:-1], kind([*value, value[-1]]), value[::-1])
        for at in {0, len(value) - 1}:
            yield from (kind([*value[:at], part, *value[at + 1 :]]) for part in spoiled(value[at]))
    elif isinstance(value, dict):
        for key in value:
            yield {other: part for other, part in value.items() if other != key}
            yield from ({**value, key: part} for part in spoiled(value[key]))
    elif isinstance(value, np.ndarray):
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            yield from (value.astype(kind) for kind in ("?", "i1", "u8", "f2", "c16"))
        yield from (np.full(value.shape, number) for number in (0.0, 1e308, 5e-324, -1.0, np.nan))
        yield from (value[None], value.T, -value, value.tolist(), value.ravel()[:-1])
    elif isinstance(value, int | float):
        yield from (-value, value + 1, 0, 1e308, 5e-324, float("inf"), LARGE, str(value), np.array([value, value]))


def verdict(request: Request, found: Sequence[Any], asked: Sequence[dict[str, Any]], given: Variant) -> dict[str, Any]:
    """Judge as the marker does, what is left of the values after they crossed."""
    crossed = [values.unpack(*values.pack(value)) for value in found]
    row = questions.judged(questions.Asked(request, list(asked)), questions.Answer("returned", "", crossed), given)
    assert row["message"]
    json.dumps(row, allow_nan=False)
    return row


class Asked:
    """An assignment's requests of one student, with the right values."""

    def __init__(self, name: str) -> None:
        self.given = json.loads(json.dumps(own(name, "student-a")))
        namespace, self.each = solved(name, self.given), []
        for request in checks(name).requests:
            calls = request.calls(self.given, np.random.default_rng(1))
            self.each.append((request, calls, [cross(answer(request, namespace, arguments)) for arguments in calls]))


about = functools.cache(Asked)


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The capstones' judges train: two steps are enough to see whether they raise."""
    for name in ("capstone", "capstone2"):
        monkeypatch.setitem(checks(name).make_variant.__globals__, "STEPS", 2)
    monkeypatch.setitem(checks("capstone2").make_variant.__globals__, "RATES", (0.01,))


@pytest.mark.parametrize("name", NAMES)
def test_no_judge_raises_on_a_value_with_a_fault(name: str) -> None:
    asked = about(name)
    for request, calls, right in asked.each:
        for value in STRANGE:
            with contextlib.suppress(values.Refused):
                row = verdict(request, [value] * len(calls), calls, asked.given)
                assert row["points"] < row["max_points"], value
        for value in spoiled(right[0]):
            with contextlib.suppress(values.Refused):
                verdict(request, [value, *right[1:]], calls, asked.given)


@pytest.mark.parametrize("name", NAMES)
def test_no_judge_raises_on_any_value(name: str) -> None:
    asked = about(name)

    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(value=CROSSING, everywhere=st.booleans())
    def judged(value: Any, everywhere: bool) -> None:
        for request, calls, right in asked.each:
            verdict(request, [value] * len(calls) if everywhere else [value, *right[1:]], calls, asked.given)

    judged()


@pytest.mark.parametrize("careless", [lambda value: value.sum(), lambda value: value > 0, lambda value: value[0] == 1])
def test_a_judge_that_trusts_its_value_is_found(careless: Any) -> None:
    request = Request("a", "f", 1.0, lambda value, *_: Verdict(float(bool(np.all(careless(value)))), "judged"))

    def judged() -> None:
        for value in [*STRANGE, *spoiled(np.ones(3))]:
            with contextlib.suppress(values.Refused):
                verdict(request, [value], [{}], {})

    with pytest.raises(questions.JudgeFailed):
        judged()
