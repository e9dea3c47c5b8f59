"""What an assignment asks for, who judges it, and the parameters that are each student's own.

What lives here describes; it runs and judges nothing. A file ``coursework/checks/psN.py`` defines ``ASSIGNMENT``. The
student's process never sees it: requests go in, values come out, and the judge decides in another process.
"""

import functools
import hashlib
import hmac
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Variant = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What a judge decides.

    Attributes
    ----------
    share : float
        Part of the request's points, 0 to 1.
    message : str
        What the student reads: what was found, and what to do. It gives no solution away.
    p_value : float, optional
        Of a statistical judge.
    plot : dict, optional
        ``{"title", "x_label", "y_label", "series": [{"label", "x", "y"}, ...]}``, in JSON values.
    """

    share: float
    message: str
    p_value: float | None = None
    plot: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share is {self.share!r}; a judge gives a number from 0.0 to 1.0")


def no_arguments(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Return no arguments, whatever the variant."""
    return {}


def a_seed(rng: np.random.Generator) -> int:
    """Return a seed for the generator that a student's function gets."""
    return int(rng.integers(2**32))


def thrice(question: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask one question with a seed, with the same seed again, and with another one; see `sampling.seeded`."""
    first, other = a_seed(rng), a_seed(rng)
    return [{**question, "seed": seed} for seed in (first, first, other)]


@dataclass(frozen=True)
class Request:
    """One thing that is asked of a submission.

    Attributes
    ----------
    name : str
        The ``grade_id`` of its visible check in the source notebook.
    target : str
        A function of the student's notebook or, where `call` is false, a variable.
    points : float
        What it is worth.
    judge : callable
        ``(value, arguments, variant) -> Verdict``. Where there are several calls, it gets a list of values and a list
        of arguments.
    arguments : callable
        ``(variant, rng) -> dict`` of keyword arguments: JSON values and NumPy arrays. ``"seed"``, an integer, reaches
        the function as ``rng=numpy.random.default_rng(seed)``.
    call : bool
        Whether `target` is called, or read.
    literal : bool
        Whether a variable that is read must be written as numbers and texts in an answer cell. What is calculated does
        not count, so that a copy of another student's cell has that student's numbers.
    repeats : int
        How often it is called, with fresh arguments each time.
    seconds : float
        Wall-clock time for all calls of this request.
    series : callable, optional
        ``(variant, rng) -> list of dict``: the arguments of all calls, in place of `arguments` and `repeats`. It meets
        every case that the notebook promises, whatever the generator: which marks are lost is no matter of chance.
    """

    name: str
    target: str
    points: float
    judge: Callable[..., Verdict]
    arguments: Callable[[Variant, np.random.Generator], dict[str, Any]] = no_arguments
    call: bool = True
    literal: bool = False
    repeats: int = 1
    seconds: float = 10.0
    series: Callable[[Variant, np.random.Generator], list[dict[str, Any]]] | None = None

    @property
    def several(self) -> bool:
        """Return whether the judge gets lists, of values and of arguments."""
        return self.call and (self.series is not None or self.repeats > 1)

    def calls(self, variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Return the arguments of all calls; where a variable is read, there is one without any."""
        if self.series:
            return self.series(variant, rng)
        return [self.arguments(variant, rng) for _ in range(max(1, self.repeats) if self.call else 1)]


@dataclass(frozen=True)
class Assignment:
    """All requests of one assignment, in the order in which they are asked.

    Attributes
    ----------
    name : str
        Such as ``"ps3"``; also the name of its notebook.
    title : str
        What it is about.
    requests : tuple of Request
        With different names.
    make_variant : callable
        ``(rng) -> dict`` of JSON values: one student's parameters. The submission never sees those whose name begins
        with ``_`` (`shown`).
    needs : tuple of str
        Modules that are worth importing once, before submissions run.
    offers : tuple of str
        Public names that the package initnotes has while submissions run, such as ``"data"``. It has no others, and
        the students' version of the notebook says so.
    """

    name: str
    title: str
    requests: tuple[Request, ...]
    make_variant: Callable[[np.random.Generator], dict[str, Any]]
    needs: tuple[str, ...] = ("numpy",)
    offers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [request.name for request in self.requests]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{self.name} has several requests named {', '.join(twice)}; each needs a name of its own")

    @property
    def max_score(self) -> float:
        """Return the points of all requests together; marks given by hand are not among them."""
        return sum(request.points for request in self.requests)


class ChecksError(ValueError):
    """A file of checks that cannot be used; says what to change."""


def load(path: Path) -> Assignment:
    """Return the assignment that a file of checks defines.

    Raises
    ------
    ChecksError
        If the file cannot be run, or defines no ``ASSIGNMENT``.
    """
    try:
        found = runpy.run_path(str(path)).get("ASSIGNMENT")
    except Exception as error:
        raise ChecksError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, Assignment):
        raise ChecksError(f"{path} defines no ASSIGNMENT; add ASSIGNMENT = Assignment(...), as its neighbors do")
    return found


@functools.lru_cache(maxsize=8)
def loaded(path: Path, sha256: str) -> Assignment:
    """Return what `load` does, once for each content of a file, which its hash tells."""
    return load(path)


def variant_rng(key: bytes, assignment: str, student: str) -> np.random.Generator:
    """Return the generator that draws a student's variant: nobody without the course's key can foretell it."""
    digest = hmac.new(key, f"{assignment}/{student}".encode(), hashlib.sha256).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def variant(assignment: Assignment, key: bytes, student: str) -> Variant:
    """Return a student's parameters: the same each time, others for other students, assignments and courses."""
    return assignment.make_variant(variant_rng(key, assignment.name, student))


def shown(variant: Variant) -> dict[str, Any]:
    """Return a student's parameters without those that only the marker knows: their names begin with ``_``."""
    return {name: value for name, value in variant.items() if not name.startswith("_")}
