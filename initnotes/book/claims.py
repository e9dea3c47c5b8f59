"""A claim on trial: its verdict, the evidence for it, and how often that fails by chance.

What lives here judges numbers that others measured; ``intervals`` makes evidence of them. The list of the claims is
``book/claims.yml``.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import _checks, _table
from .evidence import Evidence, WrongAnswer
from .intervals import CONFIDENCE, exact, mean, median, proportion
from .notation import written
from .sweeps import training

__all__ = ["CONFIDENCE", "MIME", "VERDICTS", "Claim", "Evidence", "NotSupportedError", "WrongAnswer", "collect"]
__all__ += ["exact", "listed", "mean", "median", "proportion", "settle", "training"]

MIME = "application/vnd.initnotes.claim+json"
VERDICTS = ("holds", "holds when", "fails")


class NotSupportedError(AssertionError):
    """A measurement does not support the verdict that was to be settled with it."""


def listed() -> dict[int, dict[str, Any]]:
    """Return the claims of the book's list by number: what is claimed and by whom, what was expected, what settles it.

    Returns
    -------
    dict
        Number to a dict with the keys ``number``, ``claim``, ``source``, ``charitable``, ``expected`` and
        ``settled_by``, and where they apply ``about`` and ``opens_with``; a copy each time.

    Examples
    --------
    >>> listed()[2]["claim"]
    'Zero weights never get updated'
    """
    return {number: dict(entry) for number, entry in _listed().items()}


@lru_cache(maxsize=1)
def _listed() -> dict[int, dict[str, Any]]:
    import yaml

    here = Path(__file__).parents[1]
    path = next(path for path in (here / "claims.yml", here.parent / "book" / "claims.yml") if path.exists())
    return {entry["number"]: entry for entry in yaml.safe_load(path.read_text(encoding="utf-8"))}


@dataclass(frozen=True)
class Claim:
    """A claim of the list with its verdict and the evidence for it; a notebook shows it as a box.

    Attributes
    ----------
    number : int
        In the book's list.
    verdict : {"holds", "holds when", "fails"}
    because : str
        What completes the sentence: when it holds, or what is true instead.
    evidence : tuple of Evidence
    budget : str
        For which learning rate and how many steps a verdict about training is meant, and why; "" if that is not asked.
    """

    number: int
    verdict: str
    because: str
    evidence: tuple[Evidence, ...]
    budget: str = ""

    @property
    def text(self) -> str:
        """What is claimed, in the words of the list."""
        return str(listed()[self.number]["claim"])

    @property
    def background(self) -> dict[str, str]:
        """Who says it, and the best that it can mean, in the words of the list."""
        listed_as = listed()[self.number]
        return {"Said by": str(listed_as["source"]), "At its best": str(listed_as["charitable"])}

    @property
    def false_failure_rate(self) -> float:
        """Estimated chance that a repetition with fresh draws does not support the verdict: the evidence's sum."""
        return sum(piece.false_failure_rate for piece in self.evidence)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Return what is shown of each piece of evidence: what, measured, demanded, chance."""
        return [(piece.what, piece.shown(), piece.demanded_not(), piece.chance()) for piece in self.evidence]

    def _measurements(self) -> str:
        return f"{len(self.evidence)} measurement{'s' if len(self.evidence) > 1 else ''}"

    def __str__(self) -> str:
        lines = [f"Claim {self.number}: {self.text}.", *(f"{head}: {text}." for head, text in self.background.items())]
        lines += [f"Verdict: {self.verdict}: {self.because}."]
        lines += [f"Budget: {self.budget}."] if self.budget else []
        lines += [f"Evidence: {self._measurements()}."]
        for what, measured, demanded, chance in self._rows():
            lines.append(f"- {what}: {measured}; demanded {demanded}; false failure {chance}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = ([written(cell) for cell in row] for row in self._rows())
        cells = "".join(
            f"<tr><th scope='row'>{what}</th><td>{'</td><td>'.join(rest)}</td></tr>" for what, *rest in rows
        )
        label = f"Claim {self.number}: {self.verdict}"
        head = ("Evidence", f"Measured [{CONFIDENCE:.1%} interval]", "Demanded", "Fails by chance (estimate)")
        told = (f"<strong>{name}:</strong> {written(text)}." for name, text in self.background.items())
        budget = f"<p class='claim-budget'>Budget: {written(self.budget)}.</p>" if self.budget else ""
        return (
            f"<section class='claim claim-{self.verdict.replace(' ', '-')}' aria-label='{html.escape(label)}'>"
            f"<p class='claim-text'><span class='claim-number'>Claim {self.number}</span> {written(self.text)}.</p>"
            f"<p class='claim-source'>{' '.join(told)}</p>"
            f"<p class='claim-verdict'><strong>{html.escape(self.verdict)}</strong>: {written(self.because)}.</p>"
            f"{budget}<details class='claim-fold'><summary>Evidence: {self._measurements()}</summary>"
            "<div class='claim-evidence' role='region' tabindex='0' aria-label='Evidence'>"
            f"<table>{_table.head_html(head)}<tbody>{cells}</tbody></table></div></details></section>"
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `collect` finds again in a stored notebook: every number unrounded, none as text."""
        return {
            "number": self.number,
            "claim": self.text,
            "verdict": self.verdict,
            "because": self.because,
            "budget": self.budget,
            "evidence": [piece.as_json() for piece in self.evidence],
            "false_failure_rate": sum(piece.stated_rate for piece in self.evidence),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Claim:
        """Return the claim that `as_json` stored."""
        evidence = tuple(Evidence.from_json(piece) for piece in stored["evidence"])
        return cls(stored["number"], stored["verdict"], stored["because"], evidence, stored["budget"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": str(self), "text/html": self._repr_html_(), MIME: self.as_json()}


def settle(number: int, verdict: str, because: str, *evidence: Evidence, budget: str = "") -> Claim:
    """Settle a claim of the book's list, or raise.

    Parameters
    ----------
    number : int
        In the list.
    verdict : {"holds", "holds when", "fails"}
    because : str
        When it holds, or what is true instead; without a full stop.
    *evidence : Evidence
        At least one; all of it must support the verdict, and each piece must exclude a wrong answer.
    budget : str
        For which learning rate and how many steps a verdict about training is meant, and why no sweep over rates and
        budgets is needed, such as ``"the first 3 steps: which tensors move does not depend on the rate"``; without a
        full stop.

    Returns
    -------
    Claim

    Raises
    ------
    ValueError, TypeError
        If the number is not in the list, the verdict is none of the three, there is no evidence, or a piece of it
        excludes nothing; or if the claim is about training, there is no evidence from a sweep at two budgets, and no
        budget is given.
    NotSupportedError
        If a measurement does not support the verdict. The message names each one that does not.

    Examples
    --------
    >>> units = exact("distinct units", [1, 1], 1, excludes={"units separate": 16})
    >>> print(settle(3, "holds", "zero is equal", units))
    Claim 3: Zero init is just a special case of equal weights.
    Said by: A. Ng, lecture on random initialization (Coursera); course notes of CS231n, Neural Networks Part 2.
    At its best: units that start at zero are equal, so they stay copies of each other as other equal units do.
    Verdict: holds: zero is equal.
    Evidence: 1 measurement.
    - distinct units: all 2 values: 1; demanded = 1, not 16 (units separate); false failure 0 (follows from algebra)
    """
    number = _checks.integer(number, "number")
    if number not in listed():
        raise ValueError(f"number must be one of the list's, 1 … {max(listed())}, got {number}")
    _checks.one_of(verdict, "verdict", VERDICTS)
    if not isinstance(because, str) or not because.strip(" ."):
        raise ValueError(f"because must say when it holds, or what is true instead, got {because!r}")
    if not isinstance(budget, str):
        raise TypeError(f"budget must say in words for which rate and how many steps, and why, got {budget!r}")
    _check_evidence(number, evidence)
    _check_training(number, evidence, budget)
    claim = Claim(number, verdict, because.rstrip("."), evidence, budget.rstrip("."))
    missing = [piece for piece in evidence if not piece.supports]
    if missing:
        lines = [f"- {piece.what}: {piece.shown()}; demanded {piece.demand()}" for piece in missing]
        raise NotSupportedError("\n".join([f"claim {number} is not {verdict!r}:", *lines]))
    return claim


def _check_evidence(number: int, evidence: tuple[Evidence, ...]) -> None:
    if not evidence or not all(isinstance(piece, Evidence) for piece in evidence):
        raise TypeError("evidence must be at least one Evidence, from exact, median, mean, proportion or training")
    vague = ", ".join(repr(piece.what) for piece in evidence if not piece.excludes)
    if vague:
        raise ValueError(
            f"claim {number}: this evidence excludes no wrong answer: {vague}; name one, and what it gives, as in "
            'excludes={"PyTorch\'s default": 0.577}'
        )


def _check_training(number: int, evidence: tuple[Evidence, ...], budget: str) -> None:
    budgets = {piece.tuning.steps for piece in evidence if piece.tuning}
    if listed()[number].get("about") != "training" or len(budgets) > 1 or ":" in budget.strip(" .:"):
        return
    raise ValueError(
        f"claim {number} is about training, and its evidence comes from a sweep at {len(budgets)} budgets, not two; "
        "use training(...) on a sweep over learning rates, or say for which budget it holds and why that is enough, as "
        f'in budget="150 steps at rate 0.1: both arms have converged by then"; got {budget!r}'
    )


def collect(notebook: str | Path | dict[str, Any]) -> list[dict[str, Any]]:
    """Return the claims that a stored notebook settled, in order.

    Parameters
    ----------
    notebook : path or dict
        A notebook's file, or its content.

    Returns
    -------
    list of dict
        What `Claim.as_json` gave.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is not a notebook.
    """
    content: Any = notebook
    if isinstance(notebook, (str, Path)):
        content = json.loads(Path(notebook).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "cells" not in content:
        raise ValueError(f"a notebook has cells, and this has none: {notebook!r:.80}; give its file or its content")
    outputs: Iterable[dict[str, Any]] = (out for cell in content["cells"] for out in cell.get("outputs", []))
    return [out["data"][MIME] for out in outputs if MIME in out.get("data", {})]
