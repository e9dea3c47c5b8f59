"""Marks submissions: asks the sandbox for values, lets the judges decide, and keeps one JSON file per submission.

What lives here runs one submission or all; it knows of no gradebook, where `paperwork` carries results.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from dataclasses import asdict
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from . import assignment as assignments
from . import courtroom, processes, questions, sandbox, values, walls
from .assignment import Assignment, Variant
from .records import FORMAT, STATUSES
from .sandbox import Limits, Outcome
from .submission import Malformed, handed_in, linked, read
from .walls import NoSandbox

_PACKAGES = ("numpy", "scipy", "torch", "initnotes")
_ATTEMPTS = 2  # to start a sandbox


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=1)
def packages() -> dict[str, str]:
    """Return the versions of Python and of what decides marks."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _empty(assignment: Assignment, student: str, hashes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result in which nothing was asked yet."""
    rows = [
        {"name": request.name, "points": 0.0, "max_points": request.points, "p_value": None, "plot": None}
        | {"status": "not_run", "message": "not asked"}
        for request in assignment.requests
    ]
    return {
        "format": FORMAT,
        "assignment": assignment.name,
        "student": student,
        "status": "infrastructure_error",
        "message": "",
        "score": 0.0,
        "max_score": assignment.max_score,
        "requests": rows,
        "manual_points": None,
        "cells": [],
        "hashes": dict(hashes),
        "packages": packages(),
        "limits": {},
        "seeds": {},
        "variant": {},
        "attempts": 0,
        "seconds": 0.0,
        "output": "",
    }


def _hashes(checks: Path, submission: str | None) -> dict[str, Any]:
    versions = json.dumps(packages(), sort_keys=True).encode()
    return {"submission": submission, "checks": sha256(checks), "packages": hashlib.sha256(versions).hexdigest()}


def one(
    submission: Path,
    checks: Path,
    *,
    student: str,
    key: bytes,
    limits: Limits | None = None,
    seed: int | None = None,
    trust_container: bool = False,
) -> dict[str, Any]:
    """Mark one submission: the unit of work. It can be repeated, and writes nothing.

    Parameters
    ----------
    submission : Path
        A notebook.
    checks : Path
        A file that defines ``ASSIGNMENT``.
    student : str
        Whose parameters are used.
    key : bytes
        Of the course.
    limits : Limits, optional
        Of the whole submission.
    seed : int, optional
        Decides the arguments of all requests. Drawn afresh by default; the result records it.
    trust_container : bool
        Do without a sandbox, because the machine itself is one.

    Returns
    -------
    dict
        The result, in JSON values. Whatever a submission does, it ends in one. The status
        ``infrastructure_error`` says that it was not marked, through no fault of its own.
    """
    begun, limits = time.monotonic(), limits or Limits()
    assignment = assignments.loaded(checks.resolve(), sha256(checks))
    result = {**_empty(assignment, student, _hashes(checks, None)), "limits": asdict(limits)}
    try:
        result.update(_mark(submission, checks, result, assignment, key, limits, seed, trust_container))
    except Malformed as error:
        result.update(status="malformed", message=str(error))
        result["hashes"]["submission"] = handed_in(submission)
    except Exception as error:
        result.update(status="infrastructure_error", message=f"{type(error).__name__}: {error}")
        result["traceback"] = traceback.format_exc()
    result["seconds"] = round(time.monotonic() - begun, 3)
    return result


def _mark(
    path: Path,
    checks: Path,
    result: Mapping[str, Any],
    assignment: Assignment,
    key: bytes,
    limits: Limits,
    seed: int | None,
    trust_container: bool,
) -> dict[str, Any]:
    """Return what marking adds to an empty result."""
    _refuse_exposed([path.parent, checks], trust_container)
    submission = read(path, largest=limits.notebook)
    variant = assignments.variant(assignment, key, result["student"])
    seed = secrets.randbits(128) if seed is None else seed
    asked = questions.draw(assignment, variant, seed)
    requests, blobs = questions.packed(asked)
    settings: dict[str, Any] = {"variant": assignments.shown(variant), "needs": assignment.needs, "limits": limits}
    settings["offers"] = assignment.offers
    execute = partial(sandbox.execute, questions.cells(submission, assignment), requests, blobs, **settings)
    outcome, attempts = _started(partial(execute, trust_container=trust_container))
    about: dict[str, Any] = {
        "hashes": {**result["hashes"], "submission": submission.sha256},
        "seeds": {"entropy": seed},
    }
    about |= {"variant": dict(variant), "output": outcome.output, "attempts": attempts}
    if not outcome.started:
        return {**about, "message": outcome.reason}
    try:
        case = courtroom.Case(checks.resolve(), result["hashes"]["checks"], variant, seed, outcome, {})
        return {**about, **courtroom.decide(case, limits)}
    except questions.JudgeFailed as error:
        return {**about, "message": error.args[0], "traceback": error.args[1]}


def _started(execute: Callable[[], Outcome]) -> tuple[Outcome, int]:
    """Run a submission, once more if the sandbox does not start: no cell has run then. Return the attempts, too."""
    outcome, attempts = execute(), 1
    while not outcome.started and attempts < _ATTEMPTS:
        outcome, attempts = execute(), attempts + 1
    return outcome, attempts


def _refuse_exposed(paths: Sequence[Path], trust_container: bool) -> None:
    """Refuse to mark where the sandbox would show what it has to hide."""
    for path in paths:
        folder = None if trust_container else walls.exposed(path)
        if folder:
            raise NoSandbox(f"{path} is in {folder}, which submissions can read; move the course elsewhere")


def write(result: Mapping[str, Any], path: Path) -> None:
    """Write a result so that, whenever this is cut off, the file is the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
        try:
            json.dump(result, file, indent=1, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def is_current(path: Path, submission: Path, checks: Path, variant: Variant, limits: Limits) -> bool:
    """Return whether a result is there that need not be made again.

    It is made again where the submission, the checks or the student's parameters have changed; and where limits have,
    unless it has all points: no limit can have taken one.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(result, dict) or not isinstance(hashes := result.get("hashes"), dict):
        return False
    if result.get("status") not in STATUSES[:-1] or result.get("format") != FORMAT:
        return False
    if result.get("score") != result.get("max_score") and result.get("limits") != asdict(limits):
        return False
    same = hashes.get("submission") == handed_in(submission) and hashes.get("checks") == sha256(checks)
    return same and (result["status"] == "malformed" or result.get("variant") == values.plain_json(variant))


def rehearse(checks: Path, *, limits: Limits | None = None, trust_container: bool = False) -> None:
    """Let the sandbox import all that an assignment needs, before anybody is marked.

    Raises
    ------
    NoSandbox
        If it does not start, does not hold, or lacks a package.
    """
    assignment = assignments.loaded(checks.resolve(), sha256(checks))
    why = "" if trust_container else sandbox.available()
    if why:
        raise NoSandbox(f"{why}. Nothing was marked")
    cell = {"id": "needs", "source": "\n".join(f"import {name}" for name in assignment.needs)}
    limits = limits or Limits()
    settings: dict[str, Any] = {"needs": assignment.needs, "offers": assignment.offers, "limits": limits}
    tried = sandbox.execute([cell], [], variant={}, **settings, trust_container=trust_container)
    problems = [header.get("message") for header, _ in tried.messages if header.get("kind") == "cell"]
    if not tried.started or tried.ended != "finished" or problems:
        why = "; ".join(map(str, problems)) or tried.reason
        raise NoSandbox(f"the sandbox cannot run {assignment.name}: {why}. Nothing was marked")


def submissions(submitted: Path, name: str) -> dict[str, Path]:
    """Return the notebooks that were handed in, by student, where nbgrader puts them; a missing one counts as well."""
    if not submitted.is_dir():
        return {}
    folders = sorted(entry.name for entry in os.scandir(submitted) if not entry.name.startswith("."))
    return {
        student: submitted / student / name / f"{name}.ipynb"
        for student in folders
        if os.path.lexists(submitted / student / name) or _closed(submitted / student)
    }


def _closed(folder: Path) -> bool:
    """Return whether this account cannot look into a student's folder: nobody knows then what is in it."""
    return os.path.isdir(folder) and not os.access(folder, os.X_OK)


def run(
    submitted: Path,
    checks: Path,
    results: Path,
    *,
    key: bytes,
    jobs: int = 2,
    limits: Limits | None = None,
    dask: str | None = None,
    trust_container: bool = False,
) -> list[dict[str, Any]]:
    """Mark all submissions of an assignment that have no current result, and return the results of all.

    Parameters
    ----------
    submitted : Path
        Folder with ``<student>/<assignment>/<assignment>.ipynb``.
    checks : Path
        A file that defines ``ASSIGNMENT``.
    results : Path
        Folder for ``<assignment>/<student>.json``, each written when it is there. Cut off, a second run goes on.
    key : bytes
        Of the course.
    jobs : int
        Submissions that are marked at the same time.
    limits : Limits, optional
        Of each submission.
    dask : str, optional
        Address of a Dask cluster to use instead of processes of this machine; it sees the same files.
    trust_container : bool
        Do without a sandbox, because the machine itself is one.

    Raises
    ------
    NoSandbox
        If there is no sandbox, or none that can run the assignment.
    """
    limits = limits or Limits()
    assignment = assignments.loaded(checks.resolve(), sha256(checks))
    with turn(checks):
        return _run(assignment, submitted, checks, results, key, jobs, limits, dask, trust_container)


@contextlib.contextmanager
def turn(checks: Path) -> Iterator[None]:
    """Wait until nobody else marks by a file of checks; whoever comes then finds what was marked meanwhile.

    The kernel ends a turn with its process, so what was killed blocks nobody.
    """
    with open(checks, "r+b" if os.access(checks, os.W_OK) else "rb") as file:  # network file systems lock the former
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another command marks by {checks}; this one waits until it is done.", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(
    assignment: Assignment,
    submitted: Path,
    checks: Path,
    results: Path,
    key: bytes,
    jobs: int,
    limits: Limits,
    dask: str | None,
    trust_container: bool,
) -> list[dict[str, Any]]:
    found = submissions(submitted, assignment.name)
    places = {student: results / assignment.name / f"{student}.json" for student in found}
    todo = {
        student: path
        for student, path in found.items()
        if not is_current(places[student], path, checks, assignments.variant(assignment, key, student), limits)
    }
    if todo:
        rehearse(checks, limits=limits, trust_container=trust_container)
    work = partial(one_of, submitted, checks, key=key, limits=limits, trust_container=trust_container)
    keep = {student: partial(write, path=path) for student, path in places.items()}
    lost = _marked(work, {student: keep[student] for student in todo}, jobs, dask, assignment.name)
    for student, error in lost.items():
        keep[student](_lost(assignment, student, checks, error))
    return [json.loads(path.read_text(encoding="utf-8")) for path in places.values()]


def _marked(
    work: Callable[[str], dict[str, Any]],
    keep: Mapping[str, Callable[[dict[str, Any]], None]],
    jobs: int,
    dask: str | None,
    name: str,
) -> dict[str, Exception]:
    """Mark students, keep each result as it comes, and return those whose result never came, and why.

    A process that is ended, by the kernel for want of memory perhaps, takes its pool with it. The others go on in a new
    one, and whoever was being marked is marked once more at the end: alone, so that nobody else is lost with them.
    """
    left, again, lost = deque(keep), list[str](), dict[str, Exception]()
    with tqdm(total=len(keep), desc=name, disable=None) as bar:
        while left:
            again += _mark_some(work, left, keep, partial(_pool, jobs, dask), bar)
        for students in [again] if dask and again else [[student] for student in again]:
            lost |= _mark_some(work, deque(students), keep, partial(_pool, 1, dask), bar)
    return lost


def _mark_some(
    work: Callable[[str], dict[str, Any]],
    left: deque[str],
    keep: Mapping[str, Callable[[dict[str, Any]], None]],
    pool: Callable[[], Any],
    bar: Any,
) -> dict[str, Exception]:
    """Mark students until the pool breaks, taking them from `left`; return those who were lost, and why."""
    lost: dict[str, Exception] = {}
    running: dict[Any, str] = {}
    broken = False
    with pool() as (submit, wait_for, most):
        while running or (left and not broken):
            while left and not broken and len(running) < most:
                try:
                    running[submit(work, left[0])] = left[0]
                except BrokenExecutor:
                    broken = True
                else:
                    left.popleft()
            for future in wait_for(list(running), return_when=FIRST_COMPLETED)[0]:
                student = running.pop(future)
                try:
                    result = future.result()
                except Exception as error:
                    lost[student], broken = error, broken or isinstance(error, BrokenExecutor)
                else:
                    keep[student](result)
                    bar.update()
    return lost


def one_of(submitted: Path, checks: Path, student: str, **options: Any) -> dict[str, Any]:
    """Mark a student's submission as `one` does; nobody can hand in a link to another's folder."""
    assignment = assignments.loaded(checks.resolve(), sha256(checks))
    path = submitted / student / assignment.name / f"{assignment.name}.ipynb"
    if linked(path):
        result = _empty(assignment, student, _hashes(checks, None))
        result.update(status="malformed", message="the folder is a link; hand in the notebook itself")
        return {**result, "limits": asdict(options.get("limits") or Limits())}
    return one(path, checks, student=student, **options)


def _lost(assignment: Assignment, student: str, checks: Path, error: Exception) -> dict[str, Any]:
    """Return the result of a submission whose marking process is gone: nobody's mark."""
    result = _empty(assignment, student, _hashes(checks, None))
    return {**result, "message": f"the process that marked it ended, twice: {type(error).__name__}: {error}"}


@contextlib.contextmanager
def _pool(jobs: int, dask: str | None) -> Iterator[tuple[Callable[..., Any], Callable[..., Any], int]]:
    """Give what sends work to processes of this machine or to a cluster, what waits for it, and how much to send."""
    if dask:
        import distributed

        with distributed.Client(dask) as client:
            yield partial(client.submit, pure=False), distributed.wait, sys.maxsize
        return
    spawn, ends = get_context("spawn"), processes.end_with  # a run that is killed leaves no process
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=ends, initargs=(os.getpid(),)) as pool:
        try:
            yield pool.submit, wait, jobs + 1  # all that is lost when a process ends
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
