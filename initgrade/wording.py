"""What a student reads about a result, in plain text: for the page, for Gradescope, for whoever else shows it.

What lives here turns a stored result into sentences; `feedback` makes a page of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .course import CourseError
from .records import Result

LESSONS = "feedback.yml"
_STUB = "raised NotImplementedError"  # what the worker says of a function that nbgrader's release left to be written
_STUB_CELL = "NotImplementedError"

_OVERALL = {
    "crashed": (
        "Your notebook ended before anything could be asked of it.",
        "Restart the kernel and run all cells. Do not call exit(), quit() or os._exit().",
    ),
    "timed_out": (
        "Your notebook did not finish in time.",
        "Look for a loop that never ends. Restart the kernel, run all cells, and see which one does not finish.",
    ),
    "out_of_memory": (
        "Your notebook needed more memory than there is.",
        "Look for an array that is larger than you meant, or for a list that keeps growing.",
    ),
    "malformed": (
        "What you handed in is not a notebook that can be read.",
        "Run `initgrade doctor` on the file: it says what is wrong with it. Then hand in again.",
    ),
}
_NOTHING_FOUND = (
    "Your notebook ran, and nothing that is asked for is in it.",
    "Write your answers into the cells that the assignment gives, under the names that stand there.",
)
_NO_FILE = (
    "There is no file with the name that is asked for.",
    "Nothing was opened, so nothing is said about your answers. Give the notebook its name again, and hand it in.",
)
_STATES = {
    "passed": ("passed", "Right.", ""),
    "partly": ("partly", "Partly right.", ""),
    "failed": ("failed", "Not right yet.", ""),
    "crashed": ("failed", "It raised an error.", "Call it yourself with arguments like these."),
    "timed_out": (
        "failed",
        "It took too long.",
        "Look for a loop that never ends, or for one that an array would spare.",
    ),
    "out_of_memory": ("failed", "It needed too much memory.", "Look for an array that is larger than you meant."),
    "missing": ("failed", "It is missing.", "Keep the names that the assignment gives; spelling and capitals count."),
    "malformed": ("failed", "It did not return what was asked for.", "Compare type and shape with the docstring."),
    "not_run": ("failed", "It was not asked for.", ""),
}
_BY_HAND = "Call it with these arguments yourself, and compare with a case that you can work out on paper."
_UNANSWERED = (
    "failed",
    "It is not answered yet.",
    "The cell is as you got it: it still raises NotImplementedError. Write your answer in place of that line.",
)
_BY_CHANCE = 0.01  # a p-value above this is not what cost the points
_ALL_OR_NOTHING = "All points, or none."
_PROBLEMS = {"raised": "raised an error", "timed_out": "took too long", "out_of_memory": "needed too much memory"}
_WHY_NOT_RUN = {
    "malformed": "Your notebook could not be read, so it was not asked for.",
    "timed_out": "Your time was over before it was asked for.",
    "out_of_memory": "Your notebook had ended before it was asked for.",
    "crashed": "Your notebook had ended before it was asked for.",
}


@dataclass(frozen=True)
class Lesson:
    """What a page says of a request whatever came: how its points are given, where to read, a hint if no other fits."""

    rule: str = _ALL_OR_NOTHING
    read: str = ""
    hint: str = ""


def lessons(root: Path, assignment: str) -> dict[str, Lesson]:
    """Return what the course's ``feedback.yml`` says of an assignment's requests; nothing if there is no such file.

    Raises
    ------
    CourseError
        If it cannot be read.
    """
    path = root / LESSONS
    if not path.is_file():
        return {}
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        own = (given or {}).get(assignment, {})
        return {
            str(name): Lesson(**{str(key): str(text) for key, text in parts.items()}) for name, parts in own.items()
        }
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise CourseError(f"{path} cannot be read: {error}; a request has `rule:`, `read:` and `hint:`") from None


@dataclass(frozen=True)
class Said:
    """What is said of one request; each part may be empty."""

    name: str
    kind: str
    what: str
    points: float
    most: float
    asked: str = ""
    came: str = ""
    off: str = ""
    message: str = ""
    chance: str = ""
    rule: str = ""
    hint: str = ""
    read: str = ""
    plot: Mapping[str, Any] | None = field(default=None, repr=False)

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        came = " ".join(filter(None, [f"Came: {self.came}." if self.came else "", self.off]))
        named = (("Asked: ", self.asked), ("", came), ("", self.message), ("", self.chance))
        advice = (("Points: ", self.rule), ("Hint: ", self.hint), ("Read again: ", self.read))
        return [self.what, *(f"{name}{text}" for name, text in (*named, *advice) if text)]


def request(row: Mapping[str, Any], result: Result, lesson: Lesson) -> Said:
    """Return what is said of one request of a result."""
    status = row["status"]
    kind, what, hint = _UNANSWERED if _unanswered(row) else _STATES[status]
    if status == "not_run":
        what = _WHY_NOT_RUN.get(result["status"], what)
    if status == "missing" and any(_STUB_CELL in cell["message"] for cell in result.get("cells") or []):
        hint = f"A cell still raises NotImplementedError: is it the one that should define it? {hint}"
    off = row.get("off") or ""
    judged, lost = status in ("partly", "failed"), status != "passed"
    if judged:
        hint = row.get("hint") or lesson.hint or (_BY_HAND if row.get("asked") else "")
    return Said(
        clean(row["name"]), kind, what, row["points"], row["max_points"],
        asked=clean(row.get("asked") or "") if lost and not _unanswered(row) else "",
        came=clean(row.get("came") or "") if judged else "",
        off=f"This is {clean(off)}." if judged and off else "",
        message="" if status == "not_run" or _unanswered(row) else clean(row.get("message") or ""),
        chance="" if lost and (row.get("p_value") or 0.0) > _BY_CHANCE else chance(row.get("p_value")),
        rule=clean(lesson.rule) if judged else "",
        hint=clean(hint),
        read=clean(lesson.read) if judged else "",
        plot=row.get("plot") or None,
    )  # fmt: skip


def _unanswered(row: Mapping[str, Any]) -> bool:
    return row["status"] == "crashed" and _STUB in (row.get("message") or "")


def overall(result: Result, others: Sequence[str] = ()) -> dict[str, str] | None:
    """Return what is said of a notebook that could not be marked as a whole, or None.

    Parameters
    ----------
    result : dict
    others : sequence of str
        Names of the files that were handed in where the notebook was looked for.
    """
    if result["status"] not in _OVERALL:
        return None
    what, hint = _OVERALL[result["status"]]
    if result["status"] == "malformed" and result["hashes"]["submission"] is None:
        what, hint = _NO_FILE
        if others:
            what = f"{what} In its place there is: {', '.join(map(clean, others[:5]))}."
    if result["status"] == "crashed" and any(row["status"] == "missing" for row in result["requests"]):
        what, hint = _NOTHING_FOUND
    return {"what": what, "hint": hint, "message": clean(result.get("message") or "")}


def cell(problem: Mapping[str, Any]) -> str:
    """Return what is said of a cell that did not run to its end."""
    if problem["problem"] == "raised" and _STUB_CELL in problem["message"]:
        return clean(f"Cell {problem['cell']} is not answered yet: it still raises NotImplementedError.")
    what = _PROBLEMS.get(problem["problem"], "did not run")
    return clean(f"Cell {problem['cell']} {what}: {problem['message']}")


def by_hand(mark: Mapping[str, Any], result: Result) -> dict[str, str]:
    """Return what is said of a mark that a person gives, or would have given had there been an answer."""
    scored = mark["points"] is not None and mark["max_points"] is not None
    who = "Read by a person."
    if not mark.get("read", True):
        malformed = result["status"] == "malformed"
        why = "your notebook could not be opened" if malformed else "the cell holds no answer"
        who = f"Nobody read it: {why}."
    score = f"{number(mark['points'])} of {number(mark['max_points'])}" if scored else ""
    return {"name": clean(mark["name"]), "score": score, "who": who, "comment": clean(mark["comment"] or "")}


# ---------------------------------------------------------------------------------------------------------------------
# Numbers and characters


def chance(p_value: float | None) -> str:
    """Return in words what a p-value says; empty if there is none.

    Parameters
    ----------
    p_value : float or None
        Chance that a correct answer looks at least as wrong as this one.
    """
    if p_value is None or not 0.0 <= p_value <= 1.0:
        return ""
    if p_value < 1e-6:
        how = "in fewer than 1 of a million tries"
    elif p_value > 0.5:
        how = "in most tries"
    else:
        tries = 1 / p_value
        tries = round(tries, -math.floor(math.log10(tries)) + (1 if tries >= 100 else 0) if tries >= 10 else 0)
        how = f"in about 1 of {tries:,.0f} tries"
    return f"By chance alone, a correct answer looks as far off as yours {how}."


def number(value: float | None) -> str:
    """Return points with at most two decimals."""
    return "" if value is None else f"{round(value, 2):g}"


def clean(text: Any) -> str:
    """Return text without control characters and without those that turn the direction of what follows."""
    shown = (
        character if character in "\n\t" or character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in str(text)
    )
    return "".join(shown)
