"""What a page can say of an answer that is not right: what was asked, what came, how far off, and which mistake it is.

What lives here runs the course's own code: the reference in ``source/`` and the mistakes in ``wrong/``, with the
arguments that the submission got. It runs nothing of a submission, and gives no points. A file in ``wrong/`` names its
mistake in a line, for each request that it loses::

    HINTS = {"draw_layer": "Your standard deviation is factor/√fan_out. How many terms does one unit add up?"}
"""

import ast
import contextlib
import functools
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import doctor, evidence, submission
from .assignment import Request, Variant, shown

LONGEST = 240  # characters of arguments or values on a page
_DEEPEST, _MOST = 3, 24  # of the containers that are shown: how deep, and how many parts


@functools.lru_cache(maxsize=64)
def _compiled(path: Path, changed: int) -> tuple[Any, ...]:
    """Return the code of a notebook without its visible checks and its example's parameters, or that of a file."""
    if path.suffix != ".ipynb":
        return (compile(path.read_text(encoding="utf-8"), str(path), "exec"),)
    cells = [cell for cell in doctor.read(path)["cells"] if cell["cell_type"] == "code"]
    runs = [cell["source"] for cell in cells if not doctor.mark(cell).get("grade") and not _example(cell)]
    return tuple(compile(source, str(path), "exec") for source in runs)


@functools.lru_cache(maxsize=64)
def _check(path: Path, name: str, changed: int) -> Any:
    """Return the code of a visible check."""
    [source] = [cell["source"] for cell in doctor.read(path)["cells"] if doctor.mark(cell).get("grade_id") == name]
    return compile(source, str(path), "exec")


def _example(cell: Mapping[str, Any]) -> bool:
    return submission.VARIANT in cell["metadata"].get("tags", ())


@functools.lru_cache(maxsize=256)
def _named(path: Path, changed: int) -> dict[str, str]:
    """Return the hints of a mistake's file, by request, without running it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["HINTS"]:
            return dict(ast.literal_eval(node.value))
    return {}


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns


class Teacher:
    """Says of one student's answers what a page can say.

    Parameters
    ----------
    reference : Path
        The source notebook, whose solutions are right. Where there is none, nothing is said.
    mistakes : sequence of Path
        Python files that replace what they get wrong.
    variant : dict
        The student's parameters.
    """

    def __init__(self, reference: Path, mistakes: Sequence[Path], variant: Variant) -> None:
        self.reference, self.variant = reference, variant
        self.mistakes = list(mistakes)
        self._spaces: dict[Path | None, dict[str, Any]] = {}
        self._known: dict[tuple[Path | None, str], list[Any]] = {}  # what each returns; a request has one set of calls

    def __call__(self, request: Request, calls: Sequence[dict[str, Any]], found: Sequence[Any]) -> dict[str, str]:
        """Return what was ``asked``, what ``came``, how far it is ``off``, and a ``hint``; each may be empty.

        `found` is empty where the function did not return. A reference or a mistake that raises says nothing: that is
        no fault of the submission's.
        """
        said = {"asked": "", "came": "", "off": "", "hint": ""}
        if not found:  # it did not return
            return {"asked": called(request, calls[0])}
        drawn = any("seed" in arguments for arguments in calls)
        number, off = 0, evidence.Off(0.0)
        with contextlib.suppress(Exception):
            right = self.values(None, request, calls)
            number, off = _worst(found, right, drawn)
            said["off"] = off.direction
            said["hint"] = self._hint(request, calls, found, right, drawn)
        said["asked"], said["came"] = called(request, calls[number]), described(found[number])
        if not request.call:  # a student's own number may be tried again: no word on its size
            said["off"] = ""
        elif off.part:
            said["came"] = off.part if "…" in said["came"] else f"{said['came']}, with {off.part}"
        return said

    def _hint(
        self, request: Request, calls: Sequence[dict[str, Any]], found: Sequence[Any], right: list[Any], drawn: bool
    ) -> str:
        """Return the hint of the mistake that explains most of the values; that of an earlier file where several do."""
        best, hint = 0, ""
        for path in self.mistakes:
            with contextlib.suppress(Exception):
                named = _named(path, _changed(path)).get(request.name, "")
                if not named:
                    continue
                fit = evidence.fit(found, self.values(path, request, calls), right, drawn=drawn)
                if fit and fit.matching > best:
                    best, hint = fit.matching, named
        return hint

    def values(self, mistake: Path | None, request: Request, calls: Sequence[dict[str, Any]]) -> list[Any]:
        """Return what the reference returns in each call, or the reference with a mistake in it."""
        if (mistake, request.name) not in self._known:
            space = self._space(mistake)
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                if request.call:
                    found = [space[request.target](**_arguments(arguments)) for arguments in calls]
                elif request.literal and mistake is None:
                    found = [self._numbers(request.name, space)]
                else:
                    found = [space[request.target]]
            self._known[mistake, request.name] = found
        return self._known[mistake, request.name]

    def _numbers(self, name: str, space: dict[str, Any]) -> Any:
        """Return a student's own numbers: the notebook has an example's, and the visible check calculates `numbers`."""
        own = dict(space)
        with contextlib.suppress(AssertionError):
            exec(_check(self.reference, name, _changed(self.reference)), own)
        return own["numbers"]

    def _space(self, mistake: Path | None) -> dict[str, Any]:
        if mistake not in self._spaces:
            space: dict[str, Any] = {"__name__": "__main__", "VARIANT": shown(self.variant)}
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                for path in (self.reference, mistake) if mistake else (self.reference,):
                    for code in _compiled(path, _changed(path)):
                        exec(code, space)
            self._spaces[mistake] = space
        return self._spaces[mistake]


def teacher(checks: Path, variant: Variant) -> Teacher:
    """Return the teacher of the assignment whose checks these are: its notebook and mistakes are in the same course."""
    name, course = checks.stem, checks.resolve().parent.parent
    return Teacher(course / "source" / name / f"{name}.ipynb", sorted((course / "wrong" / name).glob("*.py")), variant)


def _arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the submission's function gets them, arrays of its own included."""
    own = {name: _copied(value) for name, value in arguments.items() if name != "seed"}
    return {**own, "rng": np.random.default_rng(arguments["seed"])} if "seed" in arguments else own


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(part) for part in value]
    return np.array(value) if isinstance(value, np.ndarray) else value


def _worst(found: Sequence[Any], right: Sequence[Any], drawn: bool) -> tuple[int, evidence.Off]:
    if drawn:
        return 0, evidence.Off(0.0)
    off = [evidence.farthest(value, due) for value, due in zip(found, right, strict=True)]
    number = max(range(len(off)), key=lambda each: off[each].distance)
    return number, off[number]


# ---------------------------------------------------------------------------------------------------------------------
# Words


def called(request: Request, arguments: Mapping[str, Any]) -> str:
    """Return how a function was called, in a line; the name of a variable that was read.

    Examples
    --------
    >>> called(Request("a", "f", 1.0, lambda *_: None), {"x": np.ones((2, 3)), "name": "relu", "seed": 7})
    "f(x=array of shape (2, 3), name='relu', rng)"
    """
    if not request.call:
        return request.target
    words = [f"{name}={described(value)}" for name, value in arguments.items() if name != "seed"]
    return _short(f"{request.target}({', '.join([*words, *(['rng'] if 'seed' in arguments else [])])})")


def described(value: Any, depth: int = 0) -> str:
    """Return a value in a line: small ones as they are, arrays by their shape.

    Examples
    --------
    >>> described([0.123456789, 2]), described(np.zeros((3, 4))), described(np.array([1, 2]))
    ('[0.1235, 2]', 'array of shape (3, 4)', 'array [1, 2]')
    """
    if isinstance(value, np.ndarray) and value.ndim:
        few = value.ndim == 1 and value.size <= 8
        return f"array {described(value.tolist())}" if few else f"array of shape {value.shape}"
    if isinstance(value, np.ndarray | np.generic):
        value = value.item()
    if isinstance(value, list | tuple | Mapping):
        return _short(_container(value, depth))
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    return f"{value:.4g}" if isinstance(value, float) else _short(repr(value))


def _container(value: Any, depth: int) -> str:
    named = isinstance(value, Mapping)
    if depth == _DEEPEST:
        return "{…}" if named else "[…]"
    some = itertools.islice(value.items() if named else value, _MOST)
    words = [f"{part[0]!r}: {described(part[1], depth + 1)}" if named else described(part, depth + 1) for part in some]
    inside = ", ".join([*words, *(["…"] if len(value) > _MOST else [])])
    return f"{{{inside}}}" if named else f"[{inside}]"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
