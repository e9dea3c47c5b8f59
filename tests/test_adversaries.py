"""Submissions that cheat, break or attack: each gets the mark it deserves and leaves nothing outside."""

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from initgrade import marking
from initgrade.sandbox import Limits

KEY = b"the course's key, which nobody may read"
TIGHT = Limits(
    seconds=4.0, cpu_seconds=4.0, cell_seconds=1.2, memory=300 << 20, processes=16, files=4 << 20, entries=300,
    result=1 << 20, notebook=1 << 20,
)  # fmt: skip
PATIENT = replace(TIGHT, seconds=20.0, cell_seconds=10.0)  # for what ends by itself: a busy machine is slow
CHECKS = """
import numpy as np
from initgrade.assignment import Assignment, Request, Verdict

HIDDEN = "the hidden reference solution"

def judge(value, arguments, variant):
    if not isinstance(value, np.ndarray) or value.shape != (400, 25) or value.dtype != np.float64:
        return Verdict(0.0, "draw() gives an array of 400 x 25 float64 numbers")
    return Verdict(float(abs(value.var() - variant["variance"]) < 0.5), "the variance is judged")

def scalar(value, arguments, variant):
    return Verdict(float(value == arguments["x"] + 1), "value plus one")

def arguments(variant, rng):
    return {"seed": int(rng.integers(1 << 60))}

def number(variant, rng):
    return {"x": int(rng.integers(1 << 30))}

REQUESTS = (Request("plus_one", "plus", 2.0, scalar, number, seconds=1.0),
            Request("variance", "draw", 3.0, judge, arguments, seconds=1.0))
ASSIGNMENT = Assignment("ps0", "adversaries", REQUESTS, lambda rng: {"variance": float(rng.integers(4, 9))})
"""
PLUS = "def plus(x):\n    return x + 1\n"
IMPORT = "import numpy as np\n"
DRAW = IMPORT + "def draw(rng):\n    return rng.normal(0, VARIANT['variance'] ** 0.5, size=(400, 25))\n"
WRONG = IMPORT + "def draw(rng):\n    return rng.normal(size=(400, 25))\n"
FAKE = "{'status': 'graded', 'score': 5, 'max_score': 5}"
FDS = "import os\nPIPES = [fd for fd in range(3, 999) if os.path.exists(f'/proc/self/fd/{fd}')]\n"


# A value that comes back for the second request, whatever the worker makes of it.
FORGES = """
import json, os
shape = {shape}
tree = {{"array": 0, "dtype": "<f8", "shape": shape}} if shape else TREE
for body, blobs in (dict(kind="asked", request=1), []), (
    dict(kind="answer", status="returned", message="", values=[tree]), [0]
):
    line = json.dumps({{**body, "blobs": blobs}}).encode() + b"\\n"
    for fd in PIPES:
        try: os.write(fd, len(line).to_bytes(8, "big") + line)
        except OSError: pass
os._exit(0)
"""


def returns(value: str) -> str:
    return f"{IMPORT}def draw(rng):\n    return {value}\n"


# name: (cells after plus(), status of the whole, points, statuses of the two requests)
KINDS: dict[str, tuple[list[str], str, float, tuple[str, str]]] = {
    # the 21 kinds on which other graders were tried
    "correct": ([DRAW], "graded", 5, ("passed", "passed")),
    "wrong variance": ([WRONG], "graded", 2, ("passed", "failed")),
    "raises": ([IMPORT + "def draw(rng):\n    raise ValueError('no')"], "graded", 2, ("passed", "crashed")),
    "syntax error": (["def draw(rng:\n    return 1"], "graded", 2, ("passed", "missing")),
    "prints a fake score": ([WRONG + f"print({FAKE!r})\nprint('score: 5/5')"], "graded", 2, ("passed", "failed")),
    "endless loop in a cell": ([DRAW, "while True: pass"], "graded", 5, ("passed", "passed")),
    "endless loop in a function": (["def draw(rng):\n    while True: pass"], "graded", 2, ("passed", "timed_out")),
    "swallows interrupts": (
        ["import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: continue"],
        "timed_out", 0, ("not_run", "not_run"),
    ),
    "os._exit in a cell": ([DRAW, "import os; os._exit(0)"], "crashed", 0, ("not_run", "not_run")),
    "os._exit in a function": (["def draw(rng):\n    import os; os._exit(0)"], "graded", 2, ("passed", "crashed")),
    "strips asserts": (
        [WRONG + "get_ipython().ast_transformers.append(None)", "import builtins\nbuiltins.AssertionError = Exception"],
        "graded", 2, ("passed", "failed"),
    ),
    "lying subclass": (
        [IMPORT + "class A(np.ndarray):\n    def var(self, *a, **k): return VARIANT['variance']\n"
         "def draw(rng):\n    return rng.normal(size=(400, 25)).view(A)"],
        "graded", 2, ("passed", "failed"),
    ),
    "monkeypatches NumPy": (
        [WRONG + "np.ndarray = np.array\nnp.var = lambda *a: VARIANT['variance']\nnp.allclose = lambda *a, **k: True"],
        "graded", 2, ("passed", "crashed"),
    ),
    "monkeypatches the worker": (
        [WRONG + "import sys, json\nfor name in list(sys.modules):\n    if 'initgrade' in name:\n"
         "        sys.modules[name].__dict__.update(run_cell=None, answer=lambda *a: b'', judge=lambda *a: 1)"],
        "graded", 0, ("crashed", "crashed"),
    ),
    "rewrites files of the tests": (
        [WRONG + "import pathlib\nfor place in ('/course', '/opt', '/home'):\n"
         "    for path in pathlib.Path(place).glob('**/initgrade/*.py'):\n        try: path.write_text('')\n"
         "        except OSError: pass"],
        "graded", 2, ("passed", "failed"),
    ),
    "reads hidden tests": (["print(open(CHECKS).read())", WRONG], "graded", 2, ("passed", "failed")),
    "reads other work": (["print(open(OTHER).read())", WRONG], "graded", 2, ("passed", "failed")),
    "rewrites the gradebook": (["open(GRADEBOOK, 'w').write('100')", WRONG], "graded", 2, ("passed", "failed")),
    "poisoned pickle": (
        [IMPORT + "class P:\n    def __reduce__(self): import os; return os.system, ('touch ' + LEFT,)\n"
         "def draw(rng):\n    return np.array([P()], dtype=object)",
         FDS + "import pickle\nfor fd in PIPES:\n    try: os.write(fd, pickle.dumps(P()))\n    except OSError: pass"],
        "crashed", 0, ("not_run", "not_run"),
    ),
    "3 GiB": ([DRAW, "x = bytearray(3 << 30)"], "graded", 5, ("passed", "passed")),
    "detached child": (
        [WRONG + "import subprocess\nsubprocess.Popen(['sleep', MARKER], start_new_session=True)"],
        "graded", 2, ("passed", "failed"),
    ),
    # beyond those
    "3 GiB in pieces": (
        ["import os, time\nfor _ in range(8):\n    if os.fork() == 0: break\nx = b'x' * (60 << 20)\n"
         "while True:\n    try: time.sleep(9)\n    except BaseException: continue"],
        "out_of_memory", 0, ("not_run", "not_run"),
    ),
    "memory in a function": (["def draw(rng):\n    return 'x' * (3 << 30)"], "graded", 2, ("passed", "out_of_memory")),
    "fork bomb": (
        ["import os\nwhile True:\n    try: os.fork()\n    except Exception: pass"],
        "crashed" if os.geteuid() else "timed_out", 0, ("not_run", "not_run"),
    ),
    "forks and goes on": ([DRAW, "import os\nos.fork()\nos.fork()"], "graded", 5, ("passed", "passed")),
    "time bomb": (
        [DRAW + "import threading, os, signal\nthreading.Timer(0.1, lambda: os.kill(os.getpid(), 9)).start()\n"
         "import time; time.sleep(0.3)"],
        "crashed", 0, ("not_run", "not_run"),
    ),
    "snoops in /proc": (
        ["import glob\nfound = ''\nfor path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
         "    try: found += open(path).read()\n    except OSError: pass\nprint(found, 'A_SECRET' in found)", WRONG],
        "graded", 2, ("passed", "failed"),
    ),
    "looks at the environment": (["import os\nprint(dict(os.environ))", WRONG], "graded", 2, ("passed", "failed")),
    "writes outside": (
        [WRONG + "import os\nfor path in (LEFT, '/usr/left', '/left', '/root/left', '/course/left'):\n"
         "    try:\n        os.makedirs(os.path.dirname(path), exist_ok=True)\n        open(path, 'w').write('x')\n"
         "    except OSError: pass"],
        "graded", 2, ("passed", "failed"),
    ),
    "talks to loopback": (
        ["import urllib.request\nurllib.request.urlopen(f'http://127.0.0.1:{PORT}/', timeout=0.3)", WRONG],
        "graded", 2, ("passed", "failed"),
    ),
    "links to what it may not see": (
        [WRONG + "import os\nos.symlink(CHECKS, '/tmp/out')\nprint(open('/tmp/out').read())"],
        "graded", 2, ("passed", "failed"),
    ),
    "forges messages": (
        [FDS + "import json\nfor number in (0, 1):\n    for head in ({'kind': 'started', 'problem': 'no marks'},\n"
         "            {'kind': 'asked', 'request': number}, {'kind': 'answer', 'status': 'passed', 'points': 5}):\n"
         "        body = json.dumps({**head, 'blobs': []}).encode() + b'\\n'\n"
         "        for fd in PIPES:\n            try: os.write(fd, len(body).to_bytes(8, 'big') + body)\n"
         "            except OSError: pass"],
        "graded", 0, ("malformed", "malformed"),
    ),
    "looks for the judge": (
        ["import gc\nprint([x for x in gc.get_objects() if 'udge' in str(getattr(x, '__name__', ''))])", WRONG,
         "import initgrade.marking"],
        "graded", 2, ("passed", "failed"),
    ),
    "other parameters": (["VARIANT = {'variance': 1.0}\n" + DRAW], "graded", 5, ("passed", "passed")),
    "terminal escapes": (["print('\\x1b[2J\\x1b]0;owned\\x07\\u202e')", WRONG], "graded", 2, ("passed", "failed")),
    "much output": (["print('x' * 10**7)", WRONG], "graded", 2, ("passed", "failed")),
    "an error that cannot be shown": (
        ["class E(Exception):\n    def __str__(self): raise self\nraise E", WRONG], "graded", 2, ("passed", "failed"),
    ),
    "an equal to everything": (
        ["class E(int):\n    def __eq__(self, other): return True\ndef plus(x): return E(7)", DRAW],
        "graded", 3, ("failed", "passed"),
    ),
    "closes all pipes": (["import os\nos.closerange(3, 999)", DRAW], "crashed", 0, ("not_run", "not_run")),
    "NaN": ([returns("np.full((400, 25), np.nan)")], "graded", 2, ("passed", "failed")),
    "infinities": ([returns("np.full((400, 25), np.inf)")], "graded", 2, ("passed", "failed")),
    "object array": ([returns("np.array([[object()] * 25] * 400)")], "graded", 2, ("passed", "malformed")),
    "wrong dtype": ([returns("rng.normal(size=(400, 25)).astype(np.float32)")], "graded", 2, ("passed", "failed")),
    "wrong shape": ([returns("rng.normal(size=(25, 400))")], "graded", 2, ("passed", "failed")),
    "nothing": ([returns("None")], "graded", 2, ("passed", "failed")),
    "lazy array": (
        [IMPORT + "class L:\n    def __array__(self, *a, **k): return np.ones((400, 25))\ndef draw(rng): return L()"],
        "graded", 2, ("passed", "malformed"),
    ),
    "8 TB in one number": ([returns("np.broadcast_to(0., (10**6, 10**6))")], "graded", 2, ("passed", "malformed")),
    "endless generator": (["def draw(rng):\n    while True: yield 1"], "graded", 2, ("passed", "malformed")),
    "a list in itself": (["x = []\nx.append(x)\ndef draw(rng): return x"], "graded", 2, ("passed", "malformed")),
    "a value that no judge expects": (["def plus(x): return {'a': [1]}", DRAW], "graded", 3, ("failed", "passed")),
    "deep recursion": (["def draw(rng):\n    return draw(rng)"], "graded", 2, ("passed", "crashed")),
    "the reference, by name": (
        ["import initnotes as ini\ndef draw(rng):\n    return ini.he_normal((400, 25), rng=rng)"],
        "graded", 2, ("passed", "crashed"),
    ),
    "an empty array with long axes": (
        [FDS + FORGES.format(shape=[0, 10**18, 10**18])], "crashed", 0, ("not_run", "malformed"),
    ),
    "an axis of 31 digits": ([FDS + FORGES.format(shape=[10**30, 0])], "crashed", 0, ("not_run", "malformed")),
    "an integer of 4,000 digits": (
        [FDS + FORGES.format(shape=[]).replace("TREE", "10**4000")], "crashed", 0, ("not_run", "malformed"),
    ),
    "many messages": (
        [FDS + "body = b'{\"blobs\": []}\\n'\nfor fd in PIPES:\n    for _ in range(20_000):\n"
         "        try: os.write(fd, len(body).to_bytes(8, 'big') + body)\n        except OSError: break\n"],
        "crashed", 0, ("not_run", "not_run"),
    ),
    "segmentation fault": (
        ["def draw(rng):\n    import ctypes\n    return ctypes.string_at(0)"], "graded", 2, ("passed", "crashed"),
    ),
    "not a function": (["draw = 3"], "graded", 2, ("passed", "missing")),
}  # fmt: skip


def notebook(*sources: str) -> dict[str, Any]:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    return json.loads(nbformat.writes(made))


class Course:
    """A small course in a folder, with what a submission must not reach."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.checks = folder, folder / "checks" / "ps0.py"
        self.path = folder / "submitted" / "student-a" / "ps0" / "ps0.ipynb"
        for path, text in {
            self.checks: CHECKS,
            folder / "submitted" / "student-b" / "ps0" / "ps0.ipynb": json.dumps(notebook(PLUS, DRAW)),
            folder / "gradebook.db": "grades",
            folder / "key": KEY.decode(),
        }.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.path.parent.mkdir(parents=True)
        self.marker = f"8{os.getpid()}.25"
        self.names = {"CHECKS": self.checks, "OTHER": folder / "submitted/student-b/ps0/ps0.ipynb"}
        self.names |= {"GRADEBOOK": folder / "gradebook.db", "LEFT": folder / "left", "MARKER": self.marker}
        self.names |= {"PORT": port}

    def state(self) -> dict[str, str]:
        files = (path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def mark(self, content: dict[str, Any] | bytes, limits: Limits = PATIENT) -> dict[str, Any]:
        self.path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return marking.one(self.path, self.checks, student="student-a", key=KEY, limits=limits)

    def mark_cells(self, *sources: str, limits: Limits = PATIENT) -> dict[str, Any]:
        names = "\n".join(f"{name} = {str(value)!r}" for name, value in self.names.items())
        return self.mark(notebook(names, PLUS, *sources), limits)


@pytest.fixture(scope="module")
def visits() -> Iterator[tuple[int, list[str]]]:
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], seen
        server.shutdown()
        thread.join()


@pytest.fixture
def course(tmp_path: Path, sandbox: list[str], visits: tuple[int, list[str]]) -> Course:
    return Course(tmp_path, visits[0])


def running(marker: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"\0{marker}\0".encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_kind(kind: str, course: Course, visits: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    cells, status, points, statuses = KINDS[kind]
    monkeypatch.setenv("A_SECRET", "of the course")
    course.path.write_text("")
    before = course.state()
    endless = kind in ("fork bomb", "endless loop in a cell") or "timed_out" in (status, *statuses)
    result = course.mark_cells(*cells, limits=TIGHT if endless else PATIENT)
    after = course.state()
    assert (result["status"], result["score"]) == (status, points), json.dumps(result)
    assert tuple(row["status"] for row in result["requests"]) == statuses, result["requests"]
    assert {**before, str(course.path): ""} == {**after, str(course.path): ""}, "something outside changed"
    assert not running(course.marker)
    assert visits[1] == []
    text = json.dumps(result, allow_nan=False, ensure_ascii=False)
    for secret in ("hidden reference", KEY.decode(), "of the course", "\x1b", "\\u001b", "\u202e"):
        assert secret not in text
    assert len(text) < 60_000
    assert all(row["message"] for row in result["requests"])


def test_the_sum_of_all_is_not_always_two(course: Course) -> None:
    """The table can fail: a kind that expects other points than it gets is noticed."""
    assert course.mark_cells(DRAW)["score"] != course.mark_cells(WRONG)["score"]


FILES: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"PK\x03\x04",
    "cut off": json.dumps(notebook(PLUS)).encode()[:-9],
    "a list": b"[]",
    "no cells": b'{"nbformat": 4}',
    "cells that are none": b'{"nbformat": 4, "cells": [1, 2]}',
    "no source": b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}',
    "nested without end": b"[" * 100_000,
    "a number without end": b'{"nbformat": 4, "cells": [], "x": ' + b"9" * 9999 + b"}",
    "old format": b'{"nbformat": 3, "worksheets": [], "cells": []}',
    "huge": json.dumps(notebook("#" * (2 << 20))).encode(),
    "too much code": json.dumps(notebook("#" * ((1 << 20) - 600), "#" * 400)).encode()[:-1] + b" " * 10 + b"}",
    "too many cells": json.dumps({"nbformat": 4, "cells": [{"cell_type": "raw"}] * 2001}).encode(),
    "another kernel": json.dumps({**notebook(PLUS), "metadata": {"kernelspec": {"language": "R"}}}).encode(),
    "another language": json.dumps({**notebook(PLUS), "metadata": {"language_info": {"name": "julia"}}}).encode(),
}


@pytest.mark.parametrize("kind", [name for name in FILES if name != "too much code"])
def test_malformed_file(kind: str, course: Course) -> None:
    result = course.mark(FILES[kind])
    assert (result["status"], result["score"]) == ("malformed", 0.0), result
    assert [row["status"] for row in result["requests"]] == ["not_run", "not_run"]
    assert result["message"]


@pytest.mark.parametrize(
    "content",
    [
        {"metadata": None, "nbformat": 4, "cells": [{"cell_type": "code", "source": [PLUS], "metadata": {"tags": 3}}]},
        {"nbformat": 4, "cells": [{"cell_type": "code", "source": PLUS, "metadata": {"nbgrader": {"grade_id": []}}}]},
        {"nbformat": 4, "cells": [{"cell_type": "code", "source": PLUS}, {"cell_type": "code", "source": "\ud800"}]},
        {"nbformat": 4, "cells": [{"cell_type": "code", "source": PLUS}, {"cell_type": "code", "source": "\x00"}]},
    ],
    ids=["odd metadata", "odd grade_id", "lone surrogate", "zero byte"],
)
def test_odd_but_markable(content: dict[str, Any], course: Course) -> None:
    result = course.mark(content)
    assert (result["status"], result["score"]) == ("graded", 2.0), result


def test_links_and_pipes_are_not_followed(course: Course) -> None:
    other = course.names["OTHER"]
    for make in (lambda: course.path.symlink_to(other), lambda: os.mkfifo(course.path), course.path.mkdir):
        make()
        result = marking.one(course.path, course.checks, student="student-a", key=KEY, limits=PATIENT)
        assert (result["status"], result["score"]) == ("malformed", 0.0)
        course.path.rmdir() if course.path.is_dir() else course.path.unlink()
    result = marking.one(course.path, course.checks, student="student-a", key=KEY, limits=PATIENT)
    assert (result["status"], "there is no ps0.ipynb" in result["message"]) == ("malformed", True)


def test_visible_checks_and_the_example_decide_nothing(course: Course) -> None:
    content = notebook("VARIANT = {'variance': -1}", PLUS, DRAW, "raise SystemExit('this check is not run')")
    for cell, grade_id in ((content["cells"][0], "variant"), (content["cells"][3], "variance")):
        cell["metadata"]["nbgrader"] = {"grade_id": grade_id, "grade": True, "solution": False, "locked": True}
    result = course.mark(content)
    assert (result["score"], result["cells"]) == (5.0, [])


def test_nothing_could_be_asked(course: Course) -> None:
    for source, status in (
        ("while True: pass", "timed_out"),
        ("x = 'x' * (1 << 40)", "out_of_memory"),
        ("1/0", "crashed"),
    ):
        result = course.mark(notebook(source), TIGHT if status == "timed_out" else PATIENT)
        assert (result["status"], result["score"]) == (status, 0.0)
        assert "nothing could be asked: cell number 1" in result["message"]
