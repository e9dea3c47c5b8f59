"""The doctor finds each planted fault, and nothing in a sound notebook."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from initgrade import doctor, submission
from tests.tiny_course import cell, source

Notebook = dict[str, Any]


def sound() -> Notebook:
    """Return an answered notebook, as released and filled in."""
    notebook = source()
    notebook["cells"] = [doctor.sealed(cell) if doctor.mark(cell) else cell for cell in notebook["cells"]]
    for number, text in (
        (2, "def times(x):\n    return VARIANT['n'] * x"),
        (4, "answer = VARIANT['n']"),
        (6, "Because."),
    ):
        notebook["cells"][number]["source"] = text
    names = [doctor.mark(cell)["grade_id"] for cell in notebook["cells"] if doctor.mark(cell)]
    about = {"assignment": "tiny", "cells": names, "by_hand": ["explain"], "offers": ["data"]}
    checks = ["times_check", "answer_check"]
    notebook["metadata"]["initgrade"] = {**about, "checks": checks, "names": ["times", "answer"]}
    return notebook


def findings(folder: Path, notebook: Any, name: str = "tiny.ipynb") -> list[doctor.Finding]:
    path = folder / name
    path.write_text(notebook if isinstance(notebook, str) else json.dumps(notebook), encoding="utf-8")
    return doctor.doctor(path)


def test_a_sound_notebook_is_ready(tmp_path: Path) -> None:
    assert findings(tmp_path, sound()) == []
    assert "can be handed in. Nothing was run" in doctor.report(Path("tiny.ipynb"), [])
    assert "is ready to be handed in: every visible check" in doctor.report(Path("tiny.ipynb"), [], tried=True)


def _cells(notebook: Notebook) -> list[dict[str, Any]]:
    return notebook["cells"]


def _copy(notebook: Notebook) -> None:
    _cells(notebook).append(_cells(notebook)[2])


def _strip(notebook: Notebook) -> None:
    for part in _cells(notebook):
        part["metadata"] = {}


def _set(number: int, text: str) -> Callable[[Notebook], None]:
    return lambda notebook: _cells(notebook)[number].update(source=text)


def _unanswered(notebook: Notebook) -> None:
    text = "def times(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    _cells(notebook)[2] = doctor.sealed({**_cells(notebook)[2], "source": text})


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda notebook: _cells(notebook).pop(6), "'explain' is missing"),
        (lambda notebook: _cells(notebook).append(_cells(notebook)[6]), "2 cells have the name 'explain'"),
        (_strip, "'explain' is missing"),
        (_unanswered, "'times' in cell 3 is still to come"),
        (_set(6, "Why?\n\nYOUR ANSWER HERE"), "'explain' has no answer"),
        (_set(2, "def times(x):\n    return x +"), "cannot read cell 3, line 2"),
        (_set(2, "def Times(x):\n    return x"), "defines 'times'"),
        (lambda notebook: _cells(notebook)[2].update(cell_type="markdown"), "defines 'times'"),
        (lambda notebook: notebook["metadata"].pop("initgrade"), "does not say which assignment"),
        (lambda notebook: notebook["metadata"]["kernelspec"].update(language="R"), "'R'"),
    ],
)
def test_a_fault_that_costs_points_is_found(tmp_path: Path, plant: Callable[[Notebook], None], said: str) -> None:
    notebook = sound()
    plant(notebook)
    found = findings(tmp_path, notebook)
    assert [finding for finding in found if said in finding.what and finding.serious]
    assert "will cost points" in doctor.report(tmp_path / "tiny.ipynb", found)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (_set(3, "assert True"), "'times_check' was changed"),
        (lambda notebook: _cells(notebook).pop(3), "'times_check' is missing"),
        (_copy, "2 cells have the name 'times'"),
        (lambda notebook: _cells(notebook).append(cell("code", "%matplotlib inline\n!ls\nx = 1")), "for Jupyter only"),
        (lambda notebook: _cells(notebook).append(cell("markdown", "a" * 1_100_000)), "bytes"),
    ],
)
def test_what_costs_nothing_is_a_note(tmp_path: Path, plant: Callable[[Notebook], None], said: str) -> None:
    notebook = sound()
    plant(notebook)
    (finding,) = findings(tmp_path, notebook)
    assert said in finding.what
    assert not finding.serious
    assert "can be handed in" in doctor.report(tmp_path / "tiny.ipynb", [finding])


def test_a_course_may_read_less_than_others(tmp_path: Path) -> None:
    notebook = sound()
    size = len(json.dumps(notebook))
    for largest, found in ((size + 100, False), (size - 100, True), ("many", False)):
        notebook["metadata"]["initgrade"]["largest"] = largest
        assert bool(findings(tmp_path, notebook)) == found


@pytest.mark.parametrize("name", ["tiny-Copy1.ipynb", "tiny (1).ipynb", "Tiny.ipynb"])
def test_another_name_is_found(tmp_path: Path, name: str) -> None:
    (finding,) = findings(tmp_path, sound(), name)
    assert "'tiny.ipynb'" in finding.advice


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a notebook"),
        ("[" * 100_000, "not a notebook"),
        ("\x00\xff", "not a notebook"),
        ("[]", "no cells"),
        ('{"nbformat": 3, "metadata": {}, "cells": []}', "another format than 4"),
        ('{"nbformat": 4, "metadata": {}, "cells": [1]}', "broken ones"),
        ('{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", "metadata": {}}]}', "has no source"),
    ],
)
def test_what_is_no_notebook_is_found(tmp_path: Path, text: str, said: str) -> None:
    (finding,) = findings(tmp_path, text)
    assert said in finding.what


def test_links_folders_and_huge_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "real.ipynb").write_text(json.dumps(sound()), encoding="utf-8")
    (tmp_path / "tiny.ipynb").symlink_to(tmp_path / "real.ipynb")
    assert "is a link" in doctor.doctor(tmp_path / "tiny.ipynb")[0].what
    assert "not a file" in doctor.doctor(tmp_path)[0].what
    with (tmp_path / "huge.ipynb").open("wb") as file:
        file.truncate(submission.MOST_BYTES + 1)
    assert "more than 10 MiB" in doctor.doctor(tmp_path / "huge.ipynb")[0].what


@pytest.mark.parametrize(
    "nonsense", [{"cells": 1, "names": 2, "assignment": []}, [], "x", {"cells": [[]], "names": [{}]}]
)
def test_nonsense_in_metadata_raises_nothing(tmp_path: Path, nonsense: Any) -> None:
    notebook = sound()
    notebook["metadata"]["initgrade"] = nonsense
    notebook["metadata"]["kernelspec"] = nonsense
    notebook["cells"][2]["metadata"]["nbgrader"] = nonsense
    notebook["cells"][4]["metadata"]["nbgrader"] = {"grade_id": "x", "points": "many", "grade": 1, "cell_type": []}
    assert findings(tmp_path, notebook)
