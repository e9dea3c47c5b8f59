"""What is asked of a submission, what came back, and what the judges make of it.

What lives here turns requests into messages and messages into points; it runs nothing and writes nothing.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import values
from .assignment import Assignment, Request, Variant, Verdict
from .sandbox import Outcome
from .submission import Submission, that_run

MESSAGE = 1000  # characters of any message
_ANSWERS = ("returned", "crashed", "timed_out", "out_of_memory", "missing", "malformed", "not_run")
Teach = Callable[[Request, Sequence[dict[str, Any]], Sequence[Any]], Mapping[str, str]]
_CALLED = ("crashed", "timed_out", "out_of_memory", "malformed")  # so its arguments say something
_NOTHING_RETURNED = "{target!r} returned None; does it end in a return statement?"


class JudgeFailed(RuntimeError):  # noqa: N818
    """A judge raised: a fault of the checks, whatever the submission returned."""


@dataclass(frozen=True)
class Answer:
    """What came back for one request: a status of `_ANSWERS`, a message, and values."""

    status: str
    message: str = ""
    found: Sequence[Any] = ()


@dataclass(frozen=True)
class Asked:
    """One request with the arguments of all of its calls."""

    request: Request
    arguments: list[dict[str, Any]] = field(default_factory=list)


def draw(assignment: Assignment, variant: Variant, seed: int) -> list[Asked]:
    """Return the requests with arguments that `seed` decides; another request's do not depend on its neighbors."""
    asked = []
    for request in assignment.requests:
        name = int.from_bytes(hashlib.sha256(request.name.encode()).digest()[:8], "big")
        rng = np.random.default_rng([seed, name])
        asked.append(Asked(request, request.calls(variant, rng)))
    return asked


def packed(asked: Sequence[Asked]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return the requests as the worker reads them, and the bytes of their arrays."""
    requests: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for each in asked:
        trees = []
        for arguments in each.arguments:
            tree, arrays = values.pack(arguments)
            trees.append(values.shifted(tree, len(blobs)))
            blobs += arrays
        request = each.request
        about = {"target": request.target, "call": request.call, "seconds": request.seconds}
        about["literal"] = request.literal
        requests.append({**about, "arguments": trees})
    return requests, blobs


def cells(submission: Submission, assignment: Assignment) -> list[dict[str, str]]:
    """Return the cells that run: not the visible checks, which decide nothing, and not the example's parameters."""
    found = that_run(submission.cells, [request.name for request in assignment.requests])
    return [{"id": cell.id, "source": cell.source} for cell in found]


def answers(outcome: Outcome, asked: Sequence[Asked]) -> list[Answer]:
    """Return what came back for each request. The messages may be forged: that only chooses other values."""
    found: dict[int, Answer] = {}
    current = None
    for header, blobs in outcome.messages:
        if header.get("kind") == "asked":
            number = header.get("request")
            current = number if type(number) is int and 0 <= number < len(asked) else None
        elif header.get("kind") == "answer" and current is not None and current not in found:
            found[current] = _answer(header, blobs, len(asked[current].arguments))
    if current is not None and current not in found and outcome.ended in ("timed_out", "out_of_memory"):
        found[current] = Answer(outcome.ended, f"stopped: {outcome.reason}")
    missing = Answer("not_run", f"not asked: {outcome.reason or 'the submission ended before'}")
    return [found.get(number, missing) for number in range(len(asked))]


def _answer(header: Mapping[str, Any], blobs: Sequence[bytes], calls: int) -> Answer:
    status, message, trees = header.get("status"), header.get("message"), header.get("values")
    if status not in _ANSWERS or not isinstance(message, str):
        return Answer("malformed", "what came back cannot be read")
    if status != "returned":
        return Answer(status, values.printable(message, MESSAGE))
    if not isinstance(trees, list) or len(trees) != calls:
        return Answer("malformed", "what came back cannot be read")
    try:
        return Answer(status, "", [values.unpack(tree, blobs) for tree in trees])
    except values.Refused as error:
        return Answer("malformed", str(error))


def judged(asked: Asked, answer: Answer, variant: Variant, teach: Teach | None = None) -> dict[str, Any]:
    """Return one request's part of the result; `teach` adds what a page can say of values that are not right.

    Raises
    ------
    JudgeFailed
        If the judge raises: it has a verdict for every value that can cross, so this is never the student's fault.
    """
    request = asked.request
    base = {"name": request.name, "points": 0.0, "max_points": request.points, "p_value": None, "plot": None}
    if answer.status != "returned":
        said = teach(request, asked.arguments, ()) if teach and answer.status in _CALLED else {}
        return {**base, "status": answer.status, "message": answer.message, **_printable(said)}
    if any(value is None for value in answer.found):
        return {**base, "status": "failed", "message": _NOTHING_RETURNED.format(target=request.target)}
    several = request.several
    value, arguments = (list(answer.found), asked.arguments) if several else (answer.found[0], asked.arguments[0])
    try:
        with np.errstate(all="ignore"):
            row = {**base, **_decided(request, request.judge(value, arguments, variant))}
    except Exception as error:
        raise JudgeFailed(f"the judge of {request.name!r} raised {type(error).__name__}: {error}") from error
    if teach is None or row["status"] == "passed":
        return row
    return {**row, **_printable(teach(request, asked.arguments, answer.found))}


def _printable(said: Mapping[str, str]) -> dict[str, str]:
    return {name: values.printable(text, MESSAGE) for name, text in said.items()}


def _decided(request: Request, verdict: Verdict) -> dict[str, Any]:
    status = "passed" if verdict.share == 1.0 else "partly" if verdict.share > 0.0 else "failed"
    return {
        "points": round(request.points * float(verdict.share), 6),
        "status": status,
        "message": values.printable(verdict.message, MESSAGE),
        "p_value": values.plain_json(verdict.p_value),
        "plot": values.plain_json(verdict.plot),
    }


def _status(outcome: Outcome, got: Sequence[Answer], problems: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    """Return the status of the whole and why. What was not defined because a cell went wrong counts as that."""
    if outcome.ended in ("timed_out", "out_of_memory"):
        return outcome.ended, outcome.reason
    if outcome.ended != "finished":
        return "crashed", outcome.reason
    if got and all(answer.status in ("missing", "not_run") for answer in got):
        kinds = [problem["problem"] for problem in problems]
        for kind in ("timed_out", "out_of_memory"):
            if kind in kinds:
                return kind, "nothing could be asked: " + _first(problems, kind)
        return "crashed", "nothing could be asked" + (": " + _first(problems, "raised") if kinds else "")
    return "graded", ""


def _first(problems: Sequence[Mapping[str, str]], kind: str) -> str:
    return next(
        (f"cell {problem['cell']}: {problem['message']}" for problem in problems if problem["problem"] == kind), ""
    )


def _problems(outcome: Outcome) -> list[dict[str, str]]:
    """Return what went wrong in cells, as printable text."""
    headers = [header for header, _ in outcome.messages if header.get("kind") == "cell"][:50]
    keys = ("cell", "problem", "message")
    return [{key: values.printable(str(header.get(key)), MESSAGE) for key in keys} for header in headers]


def marks(outcome: Outcome, asked: Sequence[Asked], variant: Variant, teach: Teach | None = None) -> dict[str, Any]:
    """Return what a submission has earned, request by request; see `judged`.

    Raises
    ------
    JudgeFailed
        If a judge raises.
    """
    got, problems = answers(outcome, asked), _problems(outcome)
    rows = [judged(each, answer, variant, teach) for each, answer in zip(asked, got, strict=True)]
    status, message = _status(outcome, got, problems)
    score = round(sum(row["points"] for row in rows), 6)
    return {"status": status, "message": message, "score": score, "requests": rows, "cells": problems}
