"""Every assignment: its notebook, its reference solutions and its visible checks; the lottery's tests mark them."""

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pytest
import yaml
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearMarkScheme, ClearSolutions

from coursework.rehearsal import NAMES, ROOT, WRONG, about, checks, execute, literals, own, run, source, student
from initgrade.assignment import shown

SOLUTION = re.compile(r"^ *### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION", re.M | re.S)
LONGEST_CHECK = 15


def test_an_assignment_has_one_title() -> None:
    settings = yaml.safe_load((ROOT / "course.yml").read_text(encoding="utf-8"))["assignments"]
    titles = {name: checks(name).title for name in NAMES}
    assert {name: entry["title"] for name, entry in settings.items()} == titles
    for name, title in titles.items():
        heading = source(name).cells[0].source.splitlines()[0]
        assert heading.partition(": ")[2].lower().startswith(title.lower()), heading


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


def example(name: str) -> dict[str, Any]:
    """The variant that the notebook shows to who has none yet."""
    [cell] = [candidate for candidate in source(name).cells if "variant" in candidate.metadata.get("tags", [])]
    namespace: dict[str, Any] = {}
    execute(cell, namespace)
    return namespace["VARIANT"]


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
PART_TWO = (("ps9", "10_residual"), ("ps10", "12_width"), ("ps11", "15_isometry"), ("ps12", "18_finetuning"))
CHAPTERS |= {name: ROOT.parent / f"book/{file}.ipynb" for name, file in PART_TWO}


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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.integration] * (name == "capstone2")) for name in NAMES]
)
def test_reference_solutions_pass_the_visible_checks(name: str) -> None:
    """For the example's variant and for one student's. Those of the second capstone train for ten seconds."""
    for given, literal in ((None, {}), (own(name, "student-a"), literals(name))):
        namespace = run(source(name), given, literal=literal)
        for cell in visible_checks(source(name)).values():
            execute(cell, namespace)
            plt.close("all")


@pytest.mark.parametrize("name", NAMES)
def test_a_students_parameters_have_the_names_of_the_examples(name: str) -> None:
    assert shown(student(name, 0)).keys() == example(name).keys()


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
