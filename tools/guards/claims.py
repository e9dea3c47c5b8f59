"""Guards on claims: listed, told as they were settled, and rarely failing by chance."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from nbformat import NotebookNode as Notebook

from ..files import ROOT

FRESH_SEEDS = 5  # what `make reprove` runs by default
FALSE_FAILURES = 0.01  # the most that such a run on a clean book may have, as estimated


def claims_listed(notebook: Notebook, numbers: Iterable[int]) -> list[str]:
    """Every claim that the notebook settles has a number in book/claims.yml."""
    from initnotes import claims

    known = set(numbers)
    settled = [claim["number"] for claim in claims.collect(notebook)]
    return [f"claim {number} is not in book/claims.yml" for number in settled if number not in known]


def false_failures(rates: Iterable[float]) -> list[str]:
    """Say so when a clean book would fail `make reprove` with five seeds more than once in a hundred runs."""
    expected = FRESH_SEEDS * sum(rates)
    if expected <= FALSE_FAILURES:
        return []
    return [f"{FRESH_SEEDS} fresh seeds fail a clean book with probability {expected:.2g}, more than {FALSE_FAILURES}"]


_TOLD = re.compile(
    r"\[Claim (\d+)\]\((\d\d_\w+)\.ipynb#claim-\1\): \*\*([a-z ]+)\*\*:? ([^\n]+)\. \{ref\}`Chapter (\d+) <"
)


def _twice(claims: Iterable[tuple[Any, ...]]) -> list[int]:
    return [number for number, times in Counter(number for number, *_ in claims).items() if times > 1]


def told_verdicts(page: str, settled: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    """Compare the page of introductions, which tells claim, chapter, verdict and reason, with what chapters settled.

    `settled` holds pairs of a chapter's name and a claim.
    """
    told = [(int(number), name, int(chapter), *rest) for number, name, *rest, chapter in _TOLD.findall(page)]
    found = [(claim["number"], name, int(name[:2]), claim["verdict"], claim["because"]) for name, claim in settled]
    return [
        *(
            f"claim {number} is told as {rest}, but no chapter settles it so"
            for number, *rest in set(told) - set(found)
        ),
        *(f"claim {number} is settled as {how} and not told" for number, *how in set(found) - set(told)),
        *(f"claim {number} is told twice" for number in _twice(told)),
        *(f"claim {number} is settled twice" for number in _twice(found)),
    ]


def claim_numbers(root: Path = ROOT) -> list[int]:
    """Return the numbers of the claims in book/claims.yml."""
    return [entry["number"] for entry in yaml.safe_load((root / "book" / "claims.yml").read_text(encoding="utf-8"))]
