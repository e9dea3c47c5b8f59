"""Which submissions are equal, or nearly: something to look at, and never a mark.

What lives here compares the code of answer cells as text; it runs nothing and writes nothing. Names, comments and
spaces do not count, nor do the numbers that belong to a student's own parameters. Short right answers to one question
are alike by nature, so a report says where to look, and proves nothing.
"""

import contextlib
import itertools
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .submission import Malformed, Submission, linked, read

NEARLY = 0.9  # share of common runs of tokens from which two submissions are reported
RUN = 5  # tokens that are compared together
FEWEST = 40  # runs; less code says nothing
MOST = 100_000  # characters of a submission that are compared
PUBLISHED = "the published solution"
_LEFT_OUT = re.compile(r'"""[\s\S]*?"""|#[^\n]*')  # docstrings, which the course wrote, and comments
_TOKEN = re.compile(r"[^\W\d]\w*|\d[\w.]*|[^\w\s]")


@dataclass(frozen=True)
class Alike:
    """Submissions that are alike: whose they are, and how much (1 the same file, or the same answers)."""

    students: tuple[str, ...]
    share: float
    file: bool = False

    def __str__(self) -> str:
        names = " = ".join(self.students)
        if self.share < 1:
            return f"{' ~ '.join(self.students)}: {self.share:.0%} of the answers' code is common"
        return f"{names}: {'the same file' if self.file else 'the same answers but for names, comments and spaces'}"


def answers(submission: Submission) -> str:
    """Return the code of the answer cells that define something, without docstrings and comments."""
    cells = [cell.source for cell in submission.cells if cell.solution and "def " in cell.source]
    return "\n".join(_LEFT_OUT.sub("", source) for source in cells)[:MOST]


def runs(code: str) -> frozenset[tuple[str, ...]]:
    """Return all runs of tokens. Variables are numbered in the order in which a run has them; other names stay."""
    tokens = _TOKEN.findall(code)
    around = zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False)
    marked = [f"={token}" if _variable(before, token, after) else token for before, token, after in around]
    return frozenset(_numbered(marked[at : at + RUN]) for at in range(len(marked) - RUN + 1))


def _variable(before: str, token: str, after: str) -> bool:
    """Return whether a token is a name that can be changed at will: no attribute, no function, no word of Python."""
    return token.isidentifier() and not keyword.iskeyword(token) and before != "." and after != "("


def _numbered(tokens: Sequence[str]) -> tuple[str, ...]:
    names = list(dict.fromkeys(tokens))
    return tuple(f"={names.index(token)}" if token.startswith("=") and len(token) > 1 else token for token in tokens)


def alike(submissions: Mapping[str, Submission], published: Submission | None = None) -> list[Alike]:
    """Return the groups of equal submissions, and the pairs of nearly equal ones.

    Parameters
    ----------
    submissions : mapping
        By student.
    published : Submission, optional
        The course's own notebook with its solutions. Who has the same answers is reported as well.

    Returns
    -------
    list of Alike
        The most alike first. Of each group of equal ones, one stands for all in the pairs.
    """
    texts = {student: answers(submission) for student, submission in submissions.items()}
    if published:
        texts[PUBLISHED] = answers(published)
    found = {student: runs(text) for student, text in texts.items()}
    kept = {student: parts for student, parts in found.items() if len(parts) >= FEWEST}
    files = _groups({student: submission.sha256 for student, submission in submissions.items()})
    same = [group for group in _groups(kept) if not any(set(group) <= set(others) for others in files)]
    first: dict[frozenset[tuple[str, ...]], str] = {}
    for student, parts in kept.items():
        first.setdefault(parts, student)
    nearly = [
        Alike((student, other), share)
        for (parts, student), (others, other) in itertools.combinations(first.items(), 2)
        if (share := len(parts & others) / len(parts | others)) >= NEARLY
    ]
    equal = [Alike(group, 1.0, file=True) for group in files] + [Alike(group, 1.0) for group in same]
    return equal + sorted(nearly, key=lambda pair: -pair.share)


def _groups(keys: Mapping[str, object]) -> list[tuple[str, ...]]:
    groups: dict[object, list[str]] = {}
    for student, key in keys.items():
        groups.setdefault(key, []).append(student)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def report(submitted: Path, assignment: str, published: Path) -> Iterator[str]:
    """Give lines that say which submissions are alike; none if none are.

    Parameters
    ----------
    submitted : Path
        Folder with ``<student>/<assignment>/<assignment>.ipynb``. What cannot be read, or is a link, is left out.
    assignment : str
    published : Path
        The course's own notebook.
    """
    found: dict[str, Submission] = {}
    for path in sorted(submitted.glob(f"*/{assignment}/{assignment}.ipynb")):
        with contextlib.suppress(Malformed, OSError):
            if not linked(path):
                found[path.parts[-3]] = read(path)
    try:
        own = read(published)
    except (Malformed, OSError):
        own = None
    groups = alike(found, own)
    if groups:
        yield "Alike; look at them, since short right answers can be alike by chance:"
        yield from (f"  {group}" for group in groups)
