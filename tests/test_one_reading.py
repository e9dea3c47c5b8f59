"""The doctor and the marker read a notebook in one way: what costs points in one costs points in the other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from initgrade import cli, doctor, marking
from initgrade.walls import NoSandbox
from tests import tiny_course
from tests.test_doctor import sound
from tests.tiny_course import cell

Notebook = dict[str, Any]
CHECKS = tiny_course.CHECKS.replace('arguments["x"]', 'arguments.get("x", 1)').replace(
    '"flag": None},\n', '"flag": None},\n    offers=("data",),\n'
)
TIMES = "def times(x):\n    return VARIANT['n'] * x"
STUB = "def times(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
R = {"name": "R"}


def answer(text: str, number: int = 2) -> Callable[[Notebook], None]:
    return lambda notebook: notebook["cells"][number].update(source=text)


def more(text: str, kind: str = "code", times: int = 1) -> Callable[[Notebook], None]:
    return lambda notebook: notebook["cells"].extend([cell(kind, text)] * times)


def first(text: str) -> Callable[[Notebook], None]:
    return lambda notebook: notebook["cells"].insert(0, cell("code", text))


def at(number: int, text: str) -> Callable[[Notebook], None]:
    """Type an answer into another cell than its own."""

    def change(notebook: Notebook) -> None:
        notebook["cells"][number]["source"] += f"\n{text}"
        notebook["cells"][4 if "answer" in text else 2]["source"] = ""

    return change


def both(*changes: Callable[[Notebook], None]) -> Callable[[Notebook], None]:
    return lambda notebook: [change(notebook) for change in changes] and None


def without(number: int) -> Callable[[Notebook], None]:
    return lambda notebook: notebook["cells"].pop(number) and None


def about(**metadata: Any) -> Callable[[Notebook], None]:
    return lambda notebook: notebook["metadata"].update(metadata)


def sealed(text: str, where: int = 2) -> Callable[[Notebook], None]:
    """Put an answer's cell back as it was handed out, at its place or at the end."""

    def change(notebook: Notebook) -> None:
        made = doctor.sealed({**notebook["cells"][2], "source": text})
        notebook["cells"][where:where] = [made]
        if where == 2:
            del notebook["cells"][3]

    return change


# name: (what is done to a notebook with right answers, whether that costs points)
NOTEBOOKS: dict[str, tuple[Callable[[Notebook], Any], bool]] = {
    "sound": (lambda notebook: None, False),
    "line magics": (more("%matplotlib inline\n!ls\nx = 1\nx?"), False),
    "a cell for bash": (more("%%bash\nrm -r x"), False),
    "an answer below %%time": (answer(f"%%time\n{TIMES}"), False),
    "an answer in a cell for bash": (answer(f"%%bash\n{TIMES}"), True),
    "an answer and a question mark": (answer(f"{TIMES}\ntimes?"), False),
    "await": (more("import asyncio\nawait asyncio.sleep(0)"), False),
    "an awaited answer": (answer("async def f(): return VARIANT['n']\nanswer = await f()", 4), False),
    "await in a plain function": (answer(f"{TIMES}\ndef g():\n    await f()"), True),
    "get_ipython": (first("get_ipython().run_line_magic('matplotlib', 'inline')"), False),
    "get_ipython before the answer": (answer(f"get_ipython()\n{TIMES}"), True),
    "get_ipython after the answer": (answer(f"{TIMES}\nget_ipython()"), False),
    "get_ipython in the answer": (answer("def times(x):\n    get_ipython()\n    return VARIANT['n'] * x"), True),
    "get_ipython if it is there": (answer(f"try:\n    get_ipython()\nexcept NameError:\n    pass\n{TIMES}"), False),
    "input": (more("input('Go on?')"), False),
    "input before the answer": (answer(f"scale = float(input())\n{TIMES}"), True),
    "an answer in its check": (at(3, TIMES), True),
    "an answer in another check": (at(5, TIMES), True),
    "an answer in the parameters": (at(1, "answer = VARIANT['n']"), True),
    "an answer in a cell of its own": (both(answer(""), more(TIMES)), False),
    "an answer in the explanation": (at(6, TIMES), True),
    "an answer in a text cell": (lambda notebook: notebook["cells"][2].update(cell_type="markdown"), True),
    "2,000 cells": (more("", "raw", 1993), False),
    "2,001 cells": (more("", "raw", 1994), True),
    "1 MiB of code": (more("#" * (1 << 20)), True),
    "0.9 MiB of code": (more("#" * 900_000), False),
    "11 MiB": (more("a" * (11 << 20), "markdown"), True),
    "R in language_info": (about(language_info=R), True),
    "R in the kernel": (about(kernelspec={"language": "R"}), True),
    "Python in both": (about(language_info={"name": "python", "version": "3.14"}), False),
    "no kernel at all": (lambda notebook: notebook["metadata"].pop("kernelspec"), False),
    "format 3": (lambda notebook: notebook.update(nbformat=3), True),
    "a cell without a source": (lambda notebook: notebook["cells"][2].pop("source"), True),
    "a text without a source": (lambda notebook: notebook["cells"][0].pop("source"), False),
    "metadata that are none": (lambda notebook: notebook["cells"][0].update(metadata=None), False),
    "no Python": (answer("def times(x:\n    return 1"), True),
    "no Python elsewhere": (more("def oops(x:\n    return 1"), False),
    "half a letter": (both(more("x = 1"), lambda n: n["cells"][-1].update(source="x = '\ud800'")), False),
    "a zero byte in the answer": (answer(f"{TIMES}\n\x00"), True),
    "another name": (answer(TIMES.replace("times", "Times")), True),
    "inside of a function": (answer("def outer():\n    def times(x):\n        return VARIANT['n'] * x"), True),
    "under a condition": (answer("if VARIANT:\n    times = lambda x: VARIANT['n'] * x"), False),
    "a loop's variable": (answer("for answer in [VARIANT['n']]: pass", 4), False),
    "no answer": (sealed(STUB), True),
    "no answer, but below": (both(sealed(STUB), more(TIMES)), False),
    "a copy without an answer at the end": (sealed(STUB, 99), True),
    "a copy with the answer": (sealed(TIMES, 99), False),
    "an answer below the stub": (answer(f"{STUB}\n    return VARIANT['n'] * x"), True),
    "an error for other cases": (
        answer("def times(x):\n    if x is not None:\n        return VARIANT['n'] * x\n    raise NotImplementedError"),
        False,
    ),
    "no check": (without(3), False),
    "another check": (lambda notebook: notebook["cells"][3].update(source="assert False"), False),
    "no parameters": (without(1), False),
    "other parameters": (lambda notebook: notebook["cells"][1].update(source="VARIANT = {'n': 0}"), False),
    "the reference": (
        answer("import initnotes as ini\ndef times(x):\n    ini.theory.gain('relu')\n    return VARIANT['n'] * x"),
        True,
    ),
    "the reference's file": (answer(f"from initnotes.theory import gain\n{TIMES}"), True),
    "the reference in a trial": (more("import initnotes as ini\nini.theory.gain('relu')"), False),
    "what is offered": (
        answer("import initnotes as ini\ndef times(x):\n    ini.data\n    return VARIANT['n'] * x"),
        False,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checks") / "tiny.py"
    path.write_text(CHECKS)
    return path


def test_there_are_forty_and_more_of_each_kind() -> None:
    costs = [costs for _, costs in NOTEBOOKS.values()]
    assert min(sum(costs), len(costs) - sum(costs)) >= 20


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_same_verdict_in_both(name: str, sandbox: list[str], checks: Path, tmp_path: Path) -> None:
    change, costs = NOTEBOOKS[name]
    notebook = sound()
    change(notebook)
    path = tmp_path / "student-a" / "tiny" / "tiny.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook))
    findings = doctor.doctor(path)
    result = marking.one(path, checks, student="student-a", key=b"key")
    assert result["status"] != "infrastructure_error", result
    assert (result["score"] < result["max_score"]) == costs, result
    assert any(finding.serious for finding in findings) == costs, findings


RUN: dict[str, tuple[Callable[[Notebook], Any], str]] = {
    "right": (lambda notebook: None, ""),
    "wrong": (answer("def times(x):\n    return x"), "'times_check' fails: AssertionError"),
    "deleted": (answer(f"{TIMES}\ndel times"), "'times_check' fails: NameError"),
    "an error before it": (answer(f"1 / 0\n{TIMES}"), "'times_check' fails: NameError"),
    "ends the process": (more("import os\nos._exit(0)"), "does not run to its end"),
}


@pytest.mark.parametrize("name", RUN)
def test_on_request_the_visible_checks_run(
    name: str, sandbox: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the notebook's own parameters, and all of initnotes: checks may use it."""
    change, said = RUN[name]
    notebook = sound()
    notebook["cells"][1]["source"] = "VARIANT = {'n': 7}"
    notebook["cells"][3]["source"] += "\nimport initnotes as ini\nassert ini.theory.gain('tanh')"
    change(notebook)
    path = tmp_path / "tiny.ipynb"
    path.write_text(json.dumps(notebook))
    status = cli.main(["doctor", "--run", str(path)])
    printed = capsys.readouterr().out
    assert (status, said in printed) == (1 if said else 0, True), printed
    assert ("is ready to be handed in: every visible check passes" in printed) == (not said)
    assert cli.main(["doctor", str(path)]) == 0
    assert "Nothing was run" in capsys.readouterr().out


def test_without_a_sandbox_nothing_is_said_to_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from initgrade import sandbox as ours

    path = tmp_path / "tiny.ipynb"
    path.write_text(json.dumps(sound()))
    monkeypatch.setattr(ours, "execute", lambda *_, **__: ours.Outcome(False, "died", "no bwrap", b"", "", 0.0))
    with pytest.raises(NoSandbox, match=r"no bwrap.*Restart"):
        doctor.tried(path)
    assert cli.main(["doctor", "--run", str(path)]) == 2
