"""``make lottery``: mark each assignment's reference and each wrong solution 500 times; marks are to be no lottery.

A marking draws what it asks, and a solution may draw its answer. In every one of 500 markings, each with a seed of its
own and for one of five students' parameters, a wrong solution has to lose the requests that its file names and no
other, and the reference none. What loses with a chance of 1.4 % or more where it should not, or keeps so, is seen but
for one such case in a thousand (0.986^500 < 0.001); for the chances below that, a request that draws has its power in
tests/test_coursework_power.py. A right draw fails with 1e-6 a marking, so that right code fails this with less than
1 %. An interrupt ends it with what was found so far; ``python -m coursework.lottery ps3 ps5 --markings 100 --first
500`` is for two of them, on other seeds.

What lives here counts; `rehearsal` marks.
"""

import argparse
import contextlib
import functools
import inspect
import io
import json
import sys
import time
import types
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from coursework import rehearsal
from coursework.rehearsal import NAMES, WRONG, Space, answered, checks, decided, loses, mistaken, solved
from initgrade import questions, values
from initgrade.assignment import Assignment, Verdict

MARKINGS, STUDENTS, CHUNK = 500, 5, 20
REFERENCE = "the reference"
# A marking of these takes long: they draw thousands of weights or networks, train, bisect or integrate.
SLOW = ("forward_factors", "backward_factors", "repair", "initialize", "prediction")
DRAWN = ("almost_equal", "draw_layer", "glorot_normal", "glorot_uniform", "he_leaky", "truncated_normal", "draw_branch")
DRAWN += ("haar", "lora")
COSTLY = ("choose_sigma", "chi", "diagnose", "critical_line", "settled_rms")


@dataclass
class Tally:
    """How often a request was marked, and which markings of a solution were not as they should be."""

    name: str
    request: str
    lost: int = 0
    kept: int = 0
    seconds: float = 0.0
    odd: list[str] = field(default_factory=list)

    def add(self, solution: str, seed: int, share: float, must_lose: bool) -> None:
        """Count one marking."""
        self.lost, self.kept = self.lost + (share < 1), self.kept + (share == 1)
        if (share < 1) != must_lose:
            words = f"keeps {share:.0%} of {self.request}, and should lose" if must_lose else f"loses {self.request}"
            self.odd.append(f"{self.name}, {solution}, seed {seed}: {words}")


@dataclass(frozen=True)
class Solution:
    """The reference or a wrong solution of one student: what it defines, and what it must lose."""

    called: str
    space: Space
    changed: frozenset[str]
    must_lose: frozenset[str]


@functools.lru_cache(maxsize=STUDENTS)
def solutions(name: str, number: int) -> list[Solution]:
    """Return the reference and all wrong solutions with one student's parameters."""
    given = rehearsal.student(name, number)
    with contextlib.redirect_stdout(io.StringIO()):
        found = [Solution(REFERENCE, solved(name, given), frozenset(), frozenset())]
        for path in (path for path in WRONG if path.parent.name == name):
            space = solved(name, given)
            found.append(Solution(path.stem, space, frozenset(mistaken(path, space)), frozenset(loses(path))))
    return found


def reached(target: Any, space: Space) -> set[str]:
    """Return the names of the notebook that a function needs, directly or through other functions."""
    found: set[str] = set()
    open_ends = [target]
    while open_ends:
        for name in _mentioned(open_ends.pop()) - found:
            found.add(name)
            value = space.get(name)
            open_ends += value if isinstance(value, list | tuple) else [value]
    return found


def _mentioned(value: Any) -> set[str]:
    """Return the names in the code of a function or of a class' methods."""
    if isinstance(value, type):
        return {name for method in vars(value).values() for name in _mentioned(method)}
    code = [getattr(inspect.unwrap(value), "__code__", None)] if callable(value) else []
    names: set[str] = set()
    while code:
        part = code.pop()
        if isinstance(part, types.CodeType):
            names |= {*part.co_names}
            code += part.co_consts
    return names


def touched(solution: Solution, target: str) -> bool:
    """Return whether a wrong solution changes what a request asks for, or anything that this needs."""
    needed = {target} | reached(solution.space.get(target), solution.space)
    return not solution.changed.isdisjoint(needed)


@functools.lru_cache(maxsize=256)
def alone(name: str, request: str) -> Assignment:
    """Return an assignment of one request: what is asked does not depend on the others."""
    whole = checks(name)
    [only] = [each for each in whole.requests if each.name == request]
    return Assignment(name, whole.title, (only,), whole.make_variant)


def tally(name: str, request: str, seeds: Sequence[int]) -> Tally:
    """Mark one request of the reference and of all wrong solutions, once with each seed.

    What a wrong solution does not touch, it answers as the reference does: that is looked at with the first seed, and
    not asked with the others. Equal values are judged once.
    """
    found, begun = Tally(name, request), time.process_time()
    with _quiet():
        for seed in seeds:
            number = seed % STUDENTS
            given, (reference, *wrong) = rehearsal.student(name, number), solutions(name, number)
            [asked] = questions.draw(alone(name, request), given, seed)
            right = answered(asked, reference.space)
            full = decided(asked, right, given).share
            found.add(REFERENCE, seed, full, False)
            for solution in wrong:
                changes = touched(solution, asked.request.target)
                if changes or seed == seeds[0]:
                    share = full
                    if _crossed(came := answered(asked, solution.space)) != _crossed(right):
                        assert changes, f"{name}: {solution.called} touches {request}, and `touched` does not know"
                        share = decided(asked, came, given).share
                    found.add(solution.called, seed, share, request in solution.must_lose)
    found.seconds = time.process_time() - begun
    return found


def _crossed(found: list[Any] | Verdict) -> tuple[str, list[bytes]]:
    """Return an answer as it leaves the sandbox, to compare it with another."""
    tree, blobs = values.pack(found.message if isinstance(found, Verdict) else found)
    return json.dumps(tree), blobs


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let wrong solutions overflow; calculate quadrature nodes, of which many are asked, once."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        stack.enter_context(np.errstate(all="ignore"))
        for module, name in (("legendre", "leggauss"), ("hermite_e", "hermegauss"), ("hermite", "hermgauss")):
            rules = getattr(np.polynomial, module)
            if not hasattr(rule := getattr(rules, name), "cache_info"):
                setattr(rules, name, functools.cache(rule))
                stack.callback(setattr, rules, name, rule)
        yield


def summary(name: str, tallies: Sequence[Tally]) -> str:
    """Say in a line what came out of an assignment."""
    if not tallies:
        return f"{name:<9} not marked"
    kept, lost, seconds = (sum(getattr(each, what) for each in tallies) for what in ("kept", "lost", "seconds"))
    odd = sum(len(each.odd) for each in tallies)
    wrong = sum(path.parent.name == name for path in WRONG)
    said = "all as they should be" if not odd else f"{odd} NOT AS THEY SHOULD BE"
    return (
        f"{name:<9} the reference and {wrong} wrong solutions, {len({each.request for each in tallies})} requests: "
        f"{kept + lost:,} marks, {lost:,} of them lost; {said} ({seconds:.0f} s)"
    )


def play(names: Sequence[str], markings: int, first: int, jobs: int) -> list[Tally]:
    """Mark all, in `jobs` processes; an interrupt ends it with what there is."""
    units = [
        (name, request.name, range(at, min(at + CHUNK, first + markings)))
        for name in names
        for request in checks(name).requests
        for at in range(first, first + markings, CHUNK)
    ]
    units.sort(key=lambda unit: unit[1] not in SLOW)  # the longest first, so that no process ends alone
    found: list[Tally] = []
    with contextlib.suppress(KeyboardInterrupt), Parallel(jobs, return_as="generator_unordered") as run:
        for each in tqdm(run(delayed(tally)(*unit) for unit in units), total=len(units), unit="part"):
            found.append(each)
    if len(found) < len(units):
        print(f"Interrupted: {len(found)} of {len(units)} parts were marked.")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Play, and print a line for each assignment."""
    parser = argparse.ArgumentParser("python -m coursework.lottery", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="ASSIGNMENT", help="all without one")
    parser.add_argument("--markings", type=int, default=MARKINGS, help="of each request and solution")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one for each core")
    options = parser.parse_args(words)
    names = options.names or NAMES
    if unknown := sorted({*names} - {*NAMES}):
        parser.error(f"there is no {unknown[0]}; there are {', '.join(NAMES)}")
    found = play(names, options.markings, options.first, options.jobs)
    for name in names:
        print(summary(name, [each for each in found if each.name == name]))
    odd = [line for each in found for line in each.odd]
    print("\n".join(odd[:50]))
    parts = sum(len(checks(name).requests) for name in names) * -(-options.markings // CHUNK)
    return 1 if odd or len(found) < parts else 0


if __name__ == "__main__":
    from coursework import lottery  # under this name other processes find what they are to run

    sys.exit(lottery.main())
