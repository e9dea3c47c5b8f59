"""Every assignment: its notebook, its checks, its reference solutions, and wrong ones that must lose their points."""

import ast
import hashlib
import json
import pickle
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import yaml
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearMarkScheme, ClearSolutions

from coursework import demo
from initgrade import questions
from initgrade.assignment import Assignment, Request, Variant, Verdict, load, shown, variant

ROOT = Path(__file__).resolve().parent.parent / "coursework"
NAMES = sorted(folder.name for folder in (ROOT / "source").iterdir() if folder.is_dir())
# What asks the book's package is right outside the sandbox; tests/test_coursework_marked.py marks it inside.
WRONG = sorted(path for path in (ROOT / "wrong").glob("*/*.py") if path.stem != "from_initnotes")
STUDENTS = ("student-a", "student-b", "student-c")
SOLUTION = re.compile(r"^ *### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION", re.M | re.S)
LONGEST_CHECK = 15
Literals = Mapping[str, str]
NONE: Literals = {}


def test_an_assignment_has_one_title() -> None:
    settings = yaml.safe_load((ROOT / "course.yml").read_text(encoding="utf-8"))["assignments"]
    titles = {name: checks(name).title for name in NAMES}
    assert {name: entry["title"] for name, entry in settings.items()} == titles
    for name, title in titles.items():
        heading = source(name).cells[0].source.splitlines()[0]
        assert heading.partition(": ")[2].lower().startswith(title.lower()), heading


@cache
def source(name: str) -> NotebookNode:
    return nbformat.read(ROOT / "source" / name / f"{name}.ipynb", as_version=4)


@cache
def checks(name: str) -> Assignment:
    return load(ROOT / "checks" / f"{name}.py")


def about(cell: NotebookNode) -> dict[str, Any]:
    return dict(cell.metadata.get("nbgrader", {}))


def visible_checks(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {
        about(cell)["grade_id"]: cell
        for cell in notebook.cells
        if cell.cell_type == "code" and about(cell).get("grade")
    }


def source_code(name: str) -> str:
    return "\n".join(cell.source for cell in source(name).cells if cell.cell_type == "code")


def released(name: str) -> NotebookNode:
    """The student version, as nbgrader makes it."""
    notebook, resources = nbformat.from_dict(json.loads(json.dumps(source(name)))), {}
    for step in (ClearSolutions(), ClearMarkScheme()):
        notebook, resources = step.preprocess(notebook, resources)
    return notebook


def run(notebook: NotebookNode, given: Variant | None = None, *, literal: Literals = NONE) -> dict[str, Any]:
    """Execute what the marker executes: all code cells but the visible checks.

    `literal` names the checks that print what a student writes out, and the variable: it then holds what belongs to
    `given`, as a student copies it.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook.cells:
        name = about(cell).get("grade_id")
        if cell.cell_type == "code" and (not about(cell).get("grade") or name in literal):
            with suppress(AssertionError) if name in literal else nullcontext():
                execute(cell, namespace)
            if given is not None and "variant" in cell.metadata.get("tags", []):
                namespace["VARIANT"] = shown(given)
        if name in literal:
            namespace[literal[name]] = {key: demo.rounded(value) for key, value in namespace["numbers"].items()}
    return namespace


def literals(name: str) -> Literals:
    """The requests of an assignment that are read as they stand, and their variables."""
    return {request.name: request.target for request in checks(name).requests if request.literal}


def solved(name: str, given: Variant) -> dict[str, Any]:
    """What a student with the reference solutions has, own numbers included."""
    return run(source(name), given, literal=literals(name))


@cache
def example(name: str) -> dict[str, Any]:
    """The variant that the notebook shows to who has none yet."""
    [cell] = [candidate for candidate in source(name).cells if "variant" in candidate.metadata.get("tags", [])]
    namespace: dict[str, Any] = {}
    execute(cell, namespace)
    return namespace["VARIANT"]


def execute(cell: NotebookNode, namespace: dict[str, Any]) -> None:
    exec(compiled(cell.source, cell.id), namespace)


compiled = cache(partial(compile, mode="exec"))


def cross(value: Any) -> Any:
    """What is left of a value on its way to the judge: plain containers, numbers and arrays."""
    if isinstance(value, dict):
        return {key: cross(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [cross(part) for part in value]
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    return np.array(value, copy=True, subok=False) if isinstance(value, np.ndarray) else value


def evaluate(assignment: Assignment, namespace: dict[str, Any], given: Variant, seed: int) -> dict[str, Verdict]:
    """Ask for everything, and judge what comes back."""
    asked = questions.draw(assignment, given, seed)
    return {each.request.name: judged(each, namespace, given, once) for each in asked}


def at_once(request: Request, *seen: Any) -> Verdict:
    return request.judge(*seen)


def once(request: Request, *seen: Any) -> Verdict:
    """Judge the same values, arguments and variant once: a wrong solution leaves most values as they are."""
    digest = hashlib.sha256(pickle.dumps((request.name, seen))).digest()
    if digest not in KNOWN:
        KNOWN[digest] = request.judge(*seen)
    return KNOWN[digest]


KNOWN: dict[bytes, Verdict] = {}
Judging = Callable[..., Verdict]


def judged(asked: questions.Asked, namespace: dict[str, Any], given: Variant, judging: Judging = at_once) -> Verdict:
    """Ask one request, and judge what comes back; what raises is lost, as the marker has it."""
    request = asked.request
    try:
        values = [cross(answer(request, namespace, arguments)) for arguments in asked.arguments]
    except Exception as error:
        return Verdict(0.0, f"raised {type(error).__name__}: {error}")
    seen = (values, asked.arguments) if request.several else (values[0], asked.arguments[0])
    return judging(request, *seen, given)


def answer(request: Request, namespace: dict[str, Any], arguments: dict[str, Any]) -> Any:
    if not request.call:
        return namespace[request.target]
    named = {key: cross(given) for key, given in arguments.items() if key != "seed"}
    if "seed" in arguments:
        named["rng"] = np.random.default_rng(arguments["seed"])
    return namespace[request.target](**named)


def loses(path: Path) -> set[str]:
    """What a wrong solution loses, as its file says."""
    [line] = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("LOSES")]
    found: set[str] = ast.literal_eval(line.partition("=")[2].strip())
    return found


def own(name: str, student: str) -> Variant:
    return variant(checks(name), b"a key of the tests", student)


# ---------------------------------------------------------------------------------------------------------------------


def test_every_assignment_has_its_checks_and_two_wrong_solutions() -> None:
    assert NAMES
    assert sorted(path.stem for path in (ROOT / "checks").glob("*.py")) == NAMES
    for name in NAMES:
        assert sum(path.parent.name == name for path in WRONG) >= 2, name


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_what_the_marker_and_nbgrader_expect(name: str) -> None:
    notebook, assignment = source(name), checks(name)
    assert assignment.name == name
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert about(code[0])["grade_id"] == "variant"
    assert about(code[0])["locked"]
    assert "variant" in code[0].metadata.tags
    found = visible_checks(notebook)
    assert {key: about(cell)["points"] for key, cell in found.items()} == {
        r.name: r.points for r in assignment.requests
    }
    assert all(about(cell)["locked"] and not about(cell)["solution"] for cell in found.values())
    [manual] = [cell for cell in notebook.cells if cell.cell_type == "markdown" and about(cell).get("grade")]
    assert about(manual)["grade_id"] == "explain"
    assert about(manual)["solution"]
    assert "=== BEGIN MARK SCHEME ===" in manual.source
    assert "=== END MARK SCHEME ===" in manual.source
    assert 15 <= len(notebook.cells) <= 30


CHAPTERS = {f"ps{path.name[1]}": path for path in (ROOT.parent / "book").glob("0[1-8]_*.ipynb")}


@pytest.mark.parametrize("name", sorted(CHAPTERS))
def test_an_assignment_names_sections_of_main_lines(name: str) -> None:
    """Those of its chapter, or of one that it names; what stands behind the divider is not needed."""
    top = re.sub(r"\s+", " ", source(name).cells[0].source)
    [needed] = re.findall(r"What you need stands in the main line.*?here\.", top)
    known = main_line(CHAPTERS[name]).union(
        *(main_line(CHAPTERS[f"ps{n}"]) for n in re.findall(r"of chapter (\d)", needed))
    )
    named = set(re.findall(r"\*([^*]+)\*", needed))
    assert len(named) >= 2
    assert named <= known, named - known


def main_line(chapter: Path) -> set[str]:
    """The headings in front of the divider."""
    text = "\n".join(c.source for c in nbformat.read(chapter, as_version=4).cells if c.cell_type == "markdown")
    main, divider, _ = text.partition("\n## Going further")
    assert divider
    return {heading.strip().replace("`", "") for heading in re.findall(r"^## (.*)$", main, re.M)}


@pytest.mark.parametrize("name", NAMES)
def test_visible_checks_are_short_and_teach(name: str) -> None:
    text = ""
    assert not re.findall(r"print\([^\n]*[Hh]int[^\n]*", source_code(name)), "a hint that is shown after success only"
    for key, cell in visible_checks(source(name)).items():
        lines = [line for line in cell.source.splitlines() if line.strip() and not line.startswith(("import", "from"))]
        assert len(lines) <= LONGEST_CHECK, f"{name}/{key} has {len(lines)} lines"
        assert re.search(r"assert [^\n]+,\s", cell.source), f"{name}/{key} asserts nothing with a message"
        text += cell.source
    assert "plt." in text or "ini.plots." in text, f"{name} has no plot"
    assert "hint" in text.lower(), f"{name} has no hint"


@pytest.mark.parametrize("name", NAMES)
def test_reference_solutions_pass_the_visible_checks(name: str) -> None:
    """For the example's variant and for one student's."""
    for given, literal in ((None, NONE), (own(name, STUDENTS[0]), literals(name))):
        namespace = run(source(name), given, literal=literal)
        for cell in visible_checks(source(name)).values():
            execute(cell, namespace)
            plt.close("all")


@pytest.mark.parametrize(
    ("name", "student"),
    [(name, student) for name in NAMES for student in STUDENTS[: 1 if name == "capstone" else 3]],  # its judge trains
)
def test_reference_solutions_get_full_marks(name: str, student: str) -> None:
    given = json.loads(json.dumps(own(name, student)))
    assert shown(given).keys() == example(name).keys()
    verdicts = evaluate(checks(name), solved(name, given), given, seed=STUDENTS.index(student))
    assert {key: verdict.share for key, verdict in verdicts.items()} == dict.fromkeys(verdicts, 1.0), verdicts


@pytest.mark.filterwarnings("ignore")  # wrong solutions may overflow
@pytest.mark.parametrize("path", WRONG, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_wrong_solutions_lose_the_right_points(path: Path) -> None:
    for student in STUDENTS[: 1 if path.parent.name == "capstone" else 2]:  # the capstone's judge trains
        given = own(path.parent.name, student)
        namespace = solved(path.parent.name, given)
        exec(compiled(path.read_text(encoding="utf-8"), str(path)), namespace)
        verdicts = evaluate(checks(path.parent.name), namespace, given, seed=7)
        lost = {key for key, verdict in verdicts.items() if verdict.share < 1}
        assert lost == namespace["LOSES"], {key: verdict.message for key, verdict in verdicts.items()}


@pytest.mark.parametrize("name", NAMES)
def test_release_holds_no_solution_and_fails_every_check(name: str) -> None:
    notebook = released(name)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "SOLUTION" not in text
    assert "MARK SCHEME" not in text
    for cell in source(name).cells:
        for block in SOLUTION.findall(cell.source):
            for line in map(str.strip, block.splitlines()):
                assert len(line) < 25 or line not in text, f"{name}: {line!r} stands in the student version"
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            expect = about(cell).get("grade") or (about(cell).get("solution") and not cell.source.startswith("def"))
            with pytest.raises((NotImplementedError, NameError)) if expect else nullcontext():
                execute(cell, namespace)
    plt.close("all")
