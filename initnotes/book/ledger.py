"""Every claim of the list with its verdict, its evidence and its chapter, in one table.

What lives here reads what chapters stored; it measures nothing, and judges nothing again.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import _checks, _table
from . import claims
from .evidence import Evidence
from .notation import written

__all__ = ["NO_VERDICT", "Ledger", "ListedClaim", "expected_verdict", "read"]

CHAPTERS = "[0-9][0-9]_*.ipynb"
LIST = "claims.yml"
NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class ListedClaim:
    """One claim of the list, and what became of it.

    Attributes
    ----------
    number : int
    claim, expected : str
        What is claimed, and what was expected before anything was measured, in the words of the list.
    verdict, because : str
        As settled; `NO_VERDICT` and "" while no chapter has done it.
    source, charitable : str
        Who says so, and the best that the sentence can mean.
    waits_for : str
        The chapter to come that will settle it; "" if there is none.
    evidence : tuple of Evidence
        With the numbers as they were measured, not as they are shown.
    chapter : int
        Its number; 0 for none.
    title, notebook : str
        The chapter's, and its file's name without the suffix.
    false_failure_rate : float
        Of the whole claim, rounded up as the box shows it.
    """

    number: int
    claim: str
    expected: str
    source: str = ""
    charitable: str = ""
    waits_for: str = ""
    verdict: str = NO_VERDICT
    because: str = ""
    evidence: tuple[Evidence, ...] = ()
    chapter: int = 0
    title: str = ""
    notebook: str = ""
    false_failure_rate: float = 0.0

    def __str__(self) -> str:
        because = f": {self.because}" if self.because else ""
        lines = [f"Claim {self.number}: {self.claim}.", f"Verdict: {self.verdict}{because}."]
        lines += [f"- {piece.what}: {piece.shown()}; demanded {piece.demand()}" for piece in self.evidence]
        return "\n".join([*lines, *self._background(), f"Where: {self.where()}."])

    def _background(self) -> list[str]:
        told = {"Expected": self.expected, "Source": self.source, "Charitable reading": self.charitable}
        return [f"{head}: {text}." for head, text in told.items() if text]

    def where(self) -> str:
        """Return the chapter in words.

        Examples
        --------
        >>> ListedClaim(5, "", "", chapter=3, title="Small random weights").where()
        'Chapter 3, Small random weights'
        """
        waits = f"chapter to come: {self.waits_for}" if self.waits_for else "in no chapter"
        return f"Chapter {self.chapter}, {self.title}" if self.chapter else waits

    def _html(self) -> str:
        """Return one line, which unfolds to the reason, the background and every measurement."""
        place = f"Chapter {self.chapter}" if self.chapter else "to come"
        line = (
            f"<span class='claim-number'>{self.number}</span> <span class='ledger-text'>{written(self.claim)}</span> "
            f"<strong>{self.verdict}</strong> <span class='ledger-place'>{place}</span>"
        )
        because = f"<p class='ledger-because'>{self.verdict.capitalize()}: {written(self.because)}.</p>"
        link = f"<a href='{self.notebook}.ipynb#claim-{self.number}'>{html.escape(self.where())}</a>"
        told = [*map(written, self._background()), link if self.chapter else html.escape(self.where())]
        return (
            f"<details id='ledger-{self.number}' data-verdict='{self.verdict}' data-chapter='{self.chapter}'>"
            f"<summary>{line}</summary>{because if self.because else ''}<p>{'<br>'.join(told)}</p>{self._table()}"
            "</details>"
        )

    def _table(self) -> str:
        """Return the measurements as HTML; "" if there are none."""
        if not self.evidence:
            return ""
        rows = "".join(
            f"<tr><th scope='row'>{written(piece.what)}</th><td>{written(piece.shown())}</td>"
            f"<td>{written(piece.demand(brief=True))}</td></tr>"
            for piece in self.evidence
        )
        return f"<table>{_table.head_html(('Evidence', 'Measured', 'Demanded'))}<tbody>{rows}</tbody></table>"


@dataclass(frozen=True)
class Ledger:
    """The claims of the list in order; it prints as a short table, and a notebook shows lines that unfold.

    Attributes
    ----------
    entries : tuple of ListedClaim
    """

    entries: tuple[ListedClaim, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ListedClaim]:
        return iter(self.entries)

    def __getitem__(self, number: int) -> ListedClaim:
        for entry in self.entries:
            if entry.number == number:
                return entry
        raise KeyError(f"no claim {number} here; there are {', '.join(str(entry.number) for entry in self.entries)}")

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the claims that no chapter has settled, and none to come will."""
        return tuple(entry.number for entry in self if entry.verdict == NO_VERDICT and not entry.waits_for)

    @property
    def false_failure_rate(self) -> float:
        """The sum over all claims: at most about this is the chance that fresh draws miss any of them."""
        return sum(entry.false_failure_rate for entry in self)

    def counts(self) -> dict[str, int]:
        """Return how many claims have each verdict.

        Examples
        --------
        >>> Ledger((ListedClaim(1, "Equal weights", "", verdict="fails"),)).counts()
        {'holds': 0, 'holds when': 0, 'fails': 1, 'no verdict': 0}
        """
        found = Counter(entry.verdict for entry in self)
        return {verdict: found[verdict] for verdict in (*claims.VERDICTS, NO_VERDICT)}

    def expectations(self) -> dict[tuple[str, str], int]:
        """Return how many claims have each pair of an expected verdict (`expected_verdict`) and a settled one."""
        return dict(Counter((expected_verdict(entry.expected), entry.verdict) for entry in self))

    def measurements(self) -> tuple[tuple[int, Evidence], ...]:
        """Return every piece of evidence with the number of its claim."""
        return tuple((entry.number, piece) for entry in self for piece in entry.evidence)

    def where(self, *, verdict: str | None = None, chapter: int | None = None, words: str = "") -> Ledger:
        """Return the entries that meet all of what is asked for, as the page's filter does.

        Parameters
        ----------
        verdict : {"holds", "holds when", "fails", "no verdict"}, optional
        chapter : int, optional
        words : str
            Each of them must stand somewhere in the entry; upper and lower case are the same.

        Returns
        -------
        Ledger

        Raises
        ------
        ValueError, TypeError
            If the verdict is none of the four, or the chapter is not a whole number.

        Examples
        --------
        >>> first = ListedClaim(1, "Equal weights", "", verdict="holds when")
        >>> rows = first, ListedClaim(2, "Zero weights", "", verdict="fails")
        >>> table = Ledger(rows)
        >>> [entry.number for entry in table.where(words="WEIGHTS equal")]
        [1]
        """
        if verdict is not None:
            _checks.one_of(verdict, "verdict", (*claims.VERDICTS, NO_VERDICT))
        if chapter is not None:
            _checks.integer(chapter, "chapter", low=0)
        wanted = words.casefold().split()
        return Ledger(
            tuple(
                entry
                for entry in self
                if verdict in (None, entry.verdict)
                and chapter in (None, entry.chapter)
                and all(word in str(entry).casefold() for word in wanted)
            )
        )

    def __str__(self) -> str:
        lines = [f"claim  {'verdict':<10}  chapter"]
        lines += [f"{entry.number:>5}  {entry.verdict:<10}  {entry.chapter or '':>7}  {entry.claim}" for entry in self]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<div class='ledger'>{''.join(entry._html() for entry in self)}</div>"


def expected_verdict(text: str) -> str:
    """Read a verdict off what was expected, by its words alone.

    Parameters
    ----------
    text : str
        From the list.

    Returns
    -------
    str
        "holds when" for a text that begins so or with "holds for", and for one that says both holds and fails; "holds"
        or "fails" for one that begins so; else "other words".

    Examples
    --------
    >>> expected_verdict("holds for tanh near 0; fails for sigmoid"), expected_verdict("helps, does not cure")
    ('holds when', 'other words')
    """
    holds, fails = (re.search(rf"\b{verb}\b", text) is not None for verb in ("holds", "fails"))
    if text.startswith(("holds when", "holds for")) or (holds and fails):
        return "holds when"
    return next((verdict for verdict in ("holds", "fails") if text.startswith(verdict)), "other words")


def read(folder: str | Path | None = None) -> Ledger:
    """Read every claim of the list from what the chapters stored.

    Parameters
    ----------
    folder : path, optional
        Where the chapters lie. Without it, the nearest folder from here upward that has the list, ``claims.yml``: so a
        copy of the ledger in a folder below finds the book's own.

    Returns
    -------
    Ledger
        All claims of the folder's list; of the package's if the folder has none.

    Raises
    ------
    FileNotFoundError
        If there are no chapters.
    ValueError
        If a chapter settles a claim that is not in the list, or that another one settles too.

    Examples
    --------
    >>> import tempfile
    >>> claim = claims.settle(3, "holds", "zero is equal", claims.exact("units", [1, 1], 1, excludes={"separate": 16}))
    >>> output = {"data": {claims.MIME: claim.as_json()}}
    >>> chapter = {"cells": [{"cell_type": "code", "source": "", "outputs": [output]}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "01_small.ipynb").write_text(json.dumps(chapter))
    ...     table = read(folder)
    >>> table[3].verdict, len(table.missing)
    ('holds', 44)
    """
    book = _book(folder)
    table = {number: _unsettled(row, book) for number, row in _listed(book).items()}
    for path in sorted(book.glob(CHAPTERS)):
        for entry in _settled(path, table):
            before = table[entry.number]
            if before.chapter:
                others = f"{before.notebook} and {entry.notebook}"
                raise ValueError(f"claim {entry.number} is settled twice, in {others}; keep one of them")
            table[entry.number] = entry
    return Ledger(tuple(table.values()))


def _unsettled(row: dict[str, Any], book: Path) -> ListedClaim:
    """Return a row of the list as a claim without a verdict; it waits for its chapter as long as there is none."""
    coming = row.get("opens_with", "")
    here = any(_words(path.stem) <= _words(coming) for path in book.glob(CHAPTERS))
    return ListedClaim(
        row["number"], row["claim"], row["expected"], row["source"], row["charitable"], "" if here else coming
    )


def _words(name: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall("[a-z]+", name.lower())}


def _book(folder: str | Path | None) -> Path:
    here = Path.cwd()
    nearest = next((path for path in (here, *here.parents) if (path / LIST).is_file()), here)
    book = nearest if folder is None else Path(folder)
    if not any(book.glob(CHAPTERS)):
        raise FileNotFoundError(
            f"no chapters in {book}: name the folder with 01_….ipynb and the others; they come with the repository"
        )
    return book


def _listed(book: Path) -> dict[int, dict[str, Any]]:
    import yaml

    if not (book / LIST).is_file():
        return claims.listed()
    return {entry["number"]: entry for entry in yaml.safe_load((book / LIST).read_text(encoding="utf-8"))}


def _settled(path: Path, table: dict[int, ListedClaim]) -> Iterator[ListedClaim]:
    """Yield what a chapter settled."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    texts = ("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    title = next((line[2:] for text in texts for line in text.splitlines() if line.startswith("# ")), path.stem)
    for stored in claims.collect(notebook):
        claim = claims.Claim.from_json(stored)
        if claim.number not in table:
            raise ValueError(f"{path.stem} settles claim {claim.number}, which is not in {LIST}")
        yield replace(
            table[claim.number],
            claim=stored["claim"],
            verdict=claim.verdict,
            because=claim.because,
            evidence=claim.evidence,
            chapter=int(path.stem[:2]),
            title=title,
            notebook=path.stem,
            waits_for="",
            false_failure_rate=stored["false_failure_rate"],
        )
