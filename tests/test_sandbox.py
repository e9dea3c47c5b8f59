"""The sandbox: what it shows, what it stops, and that it says so where it is none."""

import ast
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from initgrade import cells, offering, processes, values, walls, worker
from initgrade import sandbox as ours
from initgrade.sandbox import Limits, Outcome
from tools import system_parts

LIMITS = Limits(
    seconds=3.0, cpu_seconds=3.0, cell_seconds=1.0, memory=300 << 20, processes=16, files=4 << 20, entries=300,
    result=1 << 20,
)  # fmt: skip

PATIENT = {"cell_seconds": 20.0, "seconds": 20.0}  # so that on a busy machine no other limit comes first


def execute(*sources: str, ask: str = "", **options: Any) -> Outcome:
    cells = [{"id": str(number), "source": source} for number, source in enumerate(sources)]
    nothing = [values.pack({})[0]]
    requests = [{"target": ask, "call": True, "seconds": 10.0, "arguments": nothing}] if ask else []
    return ours.execute(cells, requests, **{"variant": {}, "limits": LIMITS, **options})


def problems(outcome: Outcome) -> list[str]:
    return [header["message"] for header, _ in outcome.messages if header["kind"] == "cell"]


def answered(outcome: Outcome) -> Any:
    header, blobs = next((header, blobs) for header, blobs in outcome.messages if header["kind"] == "answer")
    assert header["status"] == "returned", header
    return values.unpack(header["values"][0], blobs)


SEEN = """
import os
def f():
    return [[place, *folders, *names] for place, folders, names in os.walk("/") if NAMES & {*place.split("/")}]
"""


def seen(*names: str, **options: Any) -> dict[str, list[str]]:
    """Return what a submission sees in folders of these names, wherever they are."""
    limits = replace(LIMITS, **PATIENT, memory=1 << 30)
    outcome = execute(f"NAMES = {set(names)!r}{SEEN}", ask="f", limits=limits, **options)
    return {place: sorted(inside) for place, *inside in answered(outcome)}


def test_of_initnotes_there_is_what_is_offered_and_no_other_copy(sandbox: list[str]) -> None:
    found = seen("initnotes", "initgrade", "coursework")
    masked = {str(folder) for folder in walls.hidden()}
    own = {"/course/initgrade": ["__init__.py", "cells.py", "values.py", "worker.py"]}
    empty = {place: names for place, names in found.items() if place in masked}
    assert empty == {place: [] for place in masked}
    assert {place: names for place, names in found.items() if place not in masked} == {
        **own, "/course/initnotes": ["__init__.py"],
    }  # fmt: skip
    found = seen("initnotes", offers=["data"])
    assert found["/course/initnotes"] == ["__init__.py", "_checks.py", "book"]
    assert found["/course/initnotes/book"] == ["__init__.py", "data.py", "languages.py"]  # which data imports


def test_a_copy_that_is_installed_is_hidden_and_python_in_a_source_tree_is_not(
    sandbox: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the whole clone lies below /usr, with its environment in it."""
    tree, real = tmp_path / "clone", walls.visible()
    inner = tree / "env" / "lib" / "python3.99" / "site-packages" / "initnotes"
    for place in (tree / "coursework" / "source", tree / "initnotes", inner):
        place.mkdir(parents=True)
        (place / "theory.py").write_text("reference = 1")
    (tree / "env" / "kept.py").write_text("")
    (tree / "initnotes" / "__init__.py").write_text("")
    monkeypatch.setattr(walls, "initnotes_folder", lambda: tree / "initnotes")
    for cached in (walls.hidden, walls._layout):
        cached.cache_clear()
    monkeypatch.setattr(walls, "visible", lambda: (*real, tree, tree / "env"))
    code = f"""import os
def f():
    return sorted(place for place, _, names in os.walk({str(tree)!r}) for name in names)"""
    try:
        assert set(walls.hidden()) >= {tree, inner}
        assert answered(execute(code, ask="f", limits=replace(LIMITS, **PATIENT))) == [str(tree / "env")]
    finally:
        for cached in (walls.hidden, walls._layout):
            cached.cache_clear()


def test_initnotes_says_what_it_offers(sandbox: list[str]) -> None:
    code = "import initnotes as ini\ndef f(): return float(ini.theory.gain('relu') ** 2)"
    imports = ["import initnotes.schemes", "from initnotes import Scheme", "import initnotes as ini\nini.scheme"]
    outcome = execute(code, *imports, "import initnotes as ini\nassert dir(ini)", ask="f",
                      limits=replace(LIMITS, **PATIENT, memory=1 << 30), offers=["activations", "theory"])  # fmt: skip
    assert answered(outcome) == pytest.approx(2.0)
    said = problems(outcome)
    assert "No module named 'initnotes.schemes'" in said[0]
    assert "cannot import name 'Scheme'" in said[1]
    assert "initnotes offers ini.activations and ini.theory only while this assignment is marked" in said[2]
    assert len(said) == 3
    assert "so there is no ini.theory" in problems(execute("import initnotes as ini\nini.theory"))[0]


def test_what_comes_along_must_be_offered_too() -> None:
    assert offering.modules([]) == []
    with pytest.raises(walls.NoSandbox, match="offers theory, which need activations"):
        offering.modules(["theory"])
    with pytest.raises(walls.NoSandbox, match="offers he_normal, which need schemes"):
        offering.modules(["he_normal"])
    with pytest.raises(walls.NoSandbox, match="offers 'gain', which initnotes does not have"):
        offering.modules(["gain"])
    outcome = execute("x = 1", offers=["theory"])
    assert (outcome.started, "activations" in outcome.reason) == (False, True)


def test_available_where_it_must_be(sandbox: list[str]) -> None:
    assert ours.available() == ""


def test_empty_root_no_privileges_and_a_user_of_its_own(sandbox: list[str]) -> None:
    code = """import json, os
def f():
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return {"uid": os.getuid(), "root": sorted(os.listdir("/")), "dev": sorted(os.listdir("/dev")),
            "cap": int(status["CapEff"], 16), "seccomp": int(status["Seccomp"]), "env": dict(os.environ),
            "processes": [int(name) for name in os.listdir("/proc") if name.isdigit()]}"""
    os.environ["A_SECRET"] = "of the course"
    try:
        seen = answered(execute(code, ask="f"))
    finally:
        del os.environ["A_SECRET"]
    assert seen["uid"] != 0
    assert (seen["cap"], seen["seccomp"]) == (0, 2)
    assert not {"home", "srv", "etc/passwd", "var"} & set(seen["root"])
    assert "zero" not in seen["dev"]
    assert "A_SECRET" not in seen["env"]
    assert max(seen["processes"]) < 10
    if os.geteuid() == 0:
        assert seen["uid"] >= 20_000


@pytest.mark.parametrize(
    "code",
    [
        "open('/usr/left', 'w')",
        "open('/left', 'w')",
        "open('/dev/left', 'w')",
        "open('/course/initgrade/worker.py', 'a')",
        "import os; os.setuid(0 if os.getuid() else 1)",
        "import os; os.chroot('/tmp')",
        "import os; os.memfd_create('unseen')",
        "import mmap; mmap.mmap(-1, 4096)",
        "import mmap; mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096)",
        "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
        "import socket; socket.create_connection(('127.0.0.1', PORT), timeout=0.5)",
        "open('/tmp/large', 'wb').write(bytes(5 << 20))",
        "open(COURSE)",
        "open('/proc/1/environ').read() and open('/proc/1/environ').read().index('A_SECRET')",
    ],
)
def test_forbidden(sandbox: list[str], code: str, tmp_path: Path) -> None:
    import socket

    (tmp_path / "key").write_text("secret")
    os.environ["A_SECRET"] = "of the course"
    with socket.create_server(("127.0.0.1", 0)) as server:
        names = f"PORT, COURSE = {server.getsockname()[1]}, {str(tmp_path / 'key')!r}\nimport os\n"
        outcome = execute(names + code, limits=replace(LIMITS, **PATIENT))
    del os.environ["A_SECRET"]
    assert outcome.started, outcome
    assert len(problems(outcome)) == 1, outcome


LIMITED: dict[str, tuple[str, dict[str, Any], str]] = {
    "wall clock": ("import time\ntime.sleep(60)", {"seconds": 0.5}, "timed_out"),
    "processor time": (
        "import os\nfor _ in range(3): os.fork()\nwhile True: pass",
        {"cpu_seconds": 0.6, **PATIENT},
        "timed_out",
    ),
    "memory of all": (
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        kept = bytearray(b'x') * (60 << 20)\n"
        "        time.sleep(60)\ntime.sleep(60)",
        PATIENT,
        "out_of_memory",
    ),
    "memory in files": (
        "import time\nfor k in range(3): open(f'/tmp/{k}', 'wb').write(b'x' * (30 << 20))\ntime.sleep(60)",
        {"files": 100 << 20, "memory": 80 << 20, **PATIENT},
        "out_of_memory",
    ),
    "page tables": (
        "import ctypes, mmap, time\nfrom ctypes import c_int, c_long, c_void_p\n"
        "call = ctypes.CDLL(None).mmap\n"
        "call.restype, call.argtypes = c_void_p, [c_void_p, c_long, c_int, c_int, c_int, c_long]\n"
        "place = call(None, 1 << 40, mmap.PROT_READ, 0x4022, -1, 0)  # private, of nobody, without a reserve\n"
        "for offset in range(0, 1 << 40, 1 << 21): ctypes.c_char.from_address(place + offset).value\ntime.sleep(60)",
        {"memory": 80 << 20, **PATIENT},
        "out_of_memory",
    ),
    "number of files": (
        "import time\nfor k in range(999): open(f'/tmp/{k}', 'w')\ntime.sleep(60)",
        PATIENT,
        "stopped",
    ),
    "values": ("import os\nwhile True: os.write(OUT, bytes(1 << 16))", PATIENT, "stopped"),
    "exit": ("import os\nos._exit(0)", PATIENT, "died"),
    "own end": ("import os\nos.kill(os.getpid(), 9)", PATIENT, "died"),
}


@pytest.mark.parametrize("name", LIMITED)
def test_limit(sandbox: list[str], name: str) -> None:
    """A limit on memory holds for what no process owns: files in /tmp, and the tables of pages that are not there."""
    source, limits, ended = LIMITED[name]
    find = "import os, stat\nOUT = next(fd for fd in range(3, 999) if os.path.exists(f'/proc/self/fd/{fd}')"
    find += " and os.readlink(f'/proc/self/fd/{fd}').startswith('pipe'))\n"
    outcome = execute(find + source, limits=replace(LIMITS, **limits))
    assert outcome.started, outcome
    assert outcome.ended == ended, outcome
    assert outcome.reason
    assert ("of processor time" in outcome.reason) == (name == "processor time")


def alive(marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            found += [command] if marker in command and "pytest" not in command else []
    return found


def test_our_own_temporary_files_count_for_nobody() -> None:
    """A look may fall on bubblewrap before its walls stand, or on its outer process, which is seen last of all."""
    outer = processes.look(str(os.getpid()))
    assert outer is not None
    assert processes.in_temporary(outer.pid) == (0, 0)
    assert ours.exceeded([outer], Limits(entries=0, memory=1 << 40, processes=1000, cpu_seconds=1e6), True) is None


def test_detached_process_does_not_survive(sandbox: list[str]) -> None:
    marker = f"9{os.getpid()}.5"
    code = f"""import subprocess
subprocess.Popen(["sleep", "{marker}"], start_new_session=True)"""
    assert execute(code).ended == "finished"
    assert alive(marker) == []


@pytest.mark.parametrize("bomb", ["while True:\n    try: os.fork()\n    except OSError: pass", "while True: os.fork()"])
def test_fork_bomb(sandbox: list[str], bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = walls.own_uid()
    monkeypatch.setattr(walls, "own_uid", lambda _: uid)
    outcome = execute("import os\n" + bomb, limits=replace(LIMITS, seconds=2.0))
    assert outcome.started, outcome
    assert outcome.seconds < 3
    if os.geteuid() == 0:
        assert processes.of_user(uid) == []


def test_as_an_ordinary_user(sandbox: list[str], request: pytest.FixtureRequest) -> None:
    """Root becomes one for this test; others already are."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from initgrade import sandbox
limits = sandbox.Limits(seconds=3, cell_seconds=1, memory=300 << 20, processes=16)
bomb = "import os\\nwhile True:\\n    try: os.fork()\\n    except OSError: pass"
look = "import os\\nprint(os.getuid(), sorted(os.listdir('/')), open('/proc/1/environ').read())"
print(sandbox.available())
for source in (look, bomb):
    done = sandbox.execute([dict(id="a", source=source)], [], variant=dict(), limits=limits)
    print(done.started, done.ended, done.reason, done.output, done.messages)
"""
    python, become, user = [sys.executable], [], 100_000 + os.getpid()
    if os.geteuid() == 0:
        if not shutil.which("setpriv") or not os.access("/usr/bin/python3", os.X_OK):
            system_parts.record("sandbox", request.node.nodeid)
            (pytest.fail if system_parts.under_ci() else pytest.skip)("setpriv or a Python for all users was not found")
        python, become = ["/usr/bin/python3"], ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with tempfile.TemporaryDirectory() as home:  # pytest closes its own folder whenever another pytest starts
        shutil.copytree(Path(ours.__file__).parent, f"{home}/initgrade", ignore=shutil.ignore_patterns("__pycache__"))
        Path(home).chmod(0o755)
        line = [*become, *python, "-B", "-c", code, home]
        environment = {"PATH": os.environ["PATH"], "HOME": home, "A_SECRET": "of the course"}
        done = subprocess.run(line, env=environment, capture_output=True, text=True, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "", lines
    assert lines[1].startswith(f"True finished  {user}" if become else "True finished")
    assert "A_SECRET" not in done.stdout
    assert "True stopped it started more than 16 processes" in done.stdout


def test_refuses_without_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours.shutil, "which", lambda name: None)
    assert "apt-get install bubblewrap" in ours.available.__wrapped__()


def test_a_sandbox_that_does_not_start_is_said_to_be_none(
    sandbox: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho no namespaces here\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(ours.shutil, "which", lambda name: str(broken))
    outcome = execute("x = 1")
    assert not outcome.started
    assert "no namespaces here" in outcome.reason
    assert "no namespaces here" in ours.available.__wrapped__()


def test_a_lock_that_does_not_hold_is_noticed(sandbox: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    line = walls.command(1 << 20, 0, 0)
    place = line.index("--seccomp")
    monkeypatch.setattr(walls, "command", lambda *_: line[:place] + line[place + 4 :])
    outcome = execute("x = 1")
    assert not outcome.started
    assert "system calls" in outcome.reason


def test_a_package_that_is_not_there_is_nobodys_mark(sandbox: list[str]) -> None:
    outcome = execute("x = 1", needs=["numpy", "no_such_package"])
    assert not outcome.started
    assert "no_such_package cannot be imported" in outcome.reason


def test_no_filter_for_an_unknown_machine() -> None:
    with pytest.raises(walls.NoSandbox, match="s390x"):
        walls.seccomp("s390x")
    assert len(walls.seccomp("aarch64")) % 8 == 0


def test_course_inside_what_submissions_see_is_noticed(tmp_path: Path) -> None:
    assert walls.exposed(Path(sys.prefix) / "lib" / "course" / "checks.py")
    assert walls.exposed(tmp_path / "checks.py") is None


def test_trusted_container_has_limits_as_well() -> None:
    outcome = execute("def f(): return 7", ask="f", trust_container=True)
    assert answered(outcome) == 7
    slow = execute("import time\ntime.sleep(9)", trust_container=True, limits=replace(LIMITS, seconds=0.5))
    assert (slow.started, slow.ended) == (True, "timed_out")


TRUSTED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from initgrade import sandbox
open("key", "w").close()
os.chmod("key", 0o600)
source = '''import os
reader, writer = os.pipe()  # which another program has no more
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execlp("sleep", "sleep", "MARKER")
    os._exit(0)
os.wait()
os.close(writer)
os.read(reader, 1)
print(os.getuid())
open("key")'''
done = sandbox.execute(
    [dict(id="a", source=source)], [], variant=dict(), limits=sandbox.Limits(seconds=20), trust_container=True
)
print(done.started, done.ended, done.output, done.messages)
"""


def test_root_in_a_trusted_container_becomes_an_ordinary_user() -> None:
    """Where that user can read Python: the course's key then stays the marker's, and no process survives."""
    if os.geteuid() != 0 or not os.access("/usr/bin/python3", os.X_OK):
        assert walls.own_uid(locked=False) == 0 or walls.readable_by_others()
        return
    marker = f"8{os.getpid()}.5"
    with tempfile.TemporaryDirectory() as home:
        shutil.copytree(Path(ours.__file__).parent, f"{home}/initgrade", ignore=shutil.ignore_patterns("__pycache__"))
        for mode, says, survives in ((0o755, "PermissionError", 0), (0o700, "True finished 0", 1)):
            Path(home).chmod(mode)
            line = ["/usr/bin/python3", "-B", "-c", TRUSTED.replace("MARKER", marker), home]
            done = subprocess.run(line, capture_output=True, text=True, cwd=home, timeout=60)
            assert says in done.stdout, done
            assert len(alive(marker)) == survives
            for pid in processes.of_user(0) if survives else []:
                if f"sleep\x00{marker}\x00" == processes.command_line(pid):
                    os.kill(pid, 9)


CROSSING: list[Any] = [
    None, True, 3, -(2**80), 2.5, "text", [1, "a", [None]], (1, (2,)), {"a": 1, 3: (1.5,)}, np.arange(6).reshape(2, 3),
    np.zeros((0, 4), dtype=np.float32), np.array([True, False]), {"w": [np.ones(2), (np.eye(2),)]}, np.array(1 + 2j),
]  # fmt: skip


@pytest.mark.parametrize("value", CROSSING, ids=repr)
def test_values_cross(value: Any) -> None:
    tree, blobs = values.pack(value)
    ((header, back),) = values.frames(values.frame({"tree": tree}, blobs))
    np.testing.assert_equal(values.unpack(header["tree"], back), value)


class Lying(np.ndarray):
    def var(self, *args: Any, **options: Any) -> float:  # type: ignore[override]
        return 1.0

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        return np.ones(3)


def test_only_the_buffer_of_a_subclass_crosses() -> None:
    back = values.unpack(*values.pack(np.zeros(3).view(Lying)))
    assert type(back) is np.ndarray
    assert back.tolist() == [0.0, 0.0, 0.0]
    assert back.flags.writeable


class Lazy:
    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        return np.ones(3)


NOT_CROSSING: list[Any] = [
    object(), Lazy(), len, (value for value in [1]), np.array([None]), np.array(["a"]), np.zeros(1, dtype="i4,f8"),
    np.broadcast_to(0.0, (10**6, 10**6)), 2**2000, {(1, 2): 3}, "x" * (values.MAX_TEXT + 1), [0] * values.MAX_ITEMS,
    np.array(["2020-01-01"], dtype="datetime64[D]"),
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_CROSSING, ids=lambda value: type(value).__name__)
def test_values_that_do_not_cross(value: Any) -> None:
    with pytest.raises(values.Refused):
        values.pack(value)


def test_depth_is_limited() -> None:
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    with pytest.raises(values.Refused):
        values.pack(deep)
    for _ in range(200):
        deep = {"list": [deep]}
    with pytest.raises(values.Refused):
        values.unpack(deep, [])


@pytest.mark.parametrize(
    "tree",
    [
        {"array": 0, "dtype": "<f8", "shape": [10**12]},
        {"array": 0, "dtype": "|O", "shape": [1]},
        {"array": 0, "dtype": "<f8", "shape": [-1, -1]},
        {"array": 2, "dtype": "<f8", "shape": [1]},
        {"array": -1, "dtype": "<f8", "shape": [1]},
        {"array": 0, "dtype": "<f8", "shape": [True]},
        {"array": 1, "dtype": "<f8", "shape": [0, 10**18, 10**18]},
        {"array": 1, "dtype": "<f8", "shape": [10**30, 0]},
        {"array": 1, "dtype": "<f8", "shape": [0, 1 << 27]},
        {"list": [10**400]},
        {"dict": [[10**400, 1]]},
        {"pickle": "gASVAAAA"},
        {"dict": [[[1], 2]]},
        {"dict": [[1]]},
        [1],
    ],
)
def test_forged_trees_are_refused(tree: Any) -> None:
    with pytest.raises(values.Refused):
        values.unpack(tree, [bytes(8), b""])


def test_broken_streams_end_where_they_break() -> None:
    good = values.frame({"kind": "a"}, [b"12"])
    for bad in (b"", b"\x00" * 8, b"\xff" * 30, values.frame({"kind": "b"})[:-2], b"\x00" * 7 + b"\x02[\n", good[:9]):
        assert [header["kind"] for header, _ in values.frames(good + bad)] == ["a"]


def test_text_is_printable() -> None:
    assert values.printable("a\x1b[2Jb\u202ec\n", 100) == "a\\x1b[2Jb\\u202ec\n"
    assert len(values.printable("x" * 999, 100)) < 200


def test_a_flag_is_what_it_was() -> None:
    """The sandbox's process knows the number only."""
    assert ast.PyCF_ALLOW_TOP_LEVEL_AWAIT == cells._AWAIT
    assert worker._COROUTINE == inspect.CO_COROUTINE


MAGIC = {
    "%matplotlib inline\nx = 1": 1,
    "!ls\nx = 2": 2,
    "%%time\nx = 3": 3,
    "%time x = 4": 4,
    "x = 5\nx?": 5,
    "if True:\n    %matplotlib inline\nx = 6": 6,
    "%%bash\nrm -r x": None,
}


@pytest.mark.parametrize("source", MAGIC)
def test_magics_are_left_out(source: str) -> None:
    space: dict[str, Any] = {}
    assert worker.run_cell({"id": "a", "source": source}, space, 5.0) is None
    assert space.get("x") == MAGIC[source]


def test_what_a_cell_raises_is_told_with_its_line() -> None:
    problem = worker.run_cell({"id": "a", "source": "x = 1\n1 / 0"}, {}, 5.0)
    assert problem == {"cell": "a", "problem": "raised", "message": "ZeroDivisionError: division by zero (line 2)"}
    assert worker.run_cell({"id": "a", "source": "raise SystemExit"}, {}, 5.0)["problem"] == "raised"  # type: ignore[index]
    assert worker.run_cell({"id": "a", "source": "raise MemoryError"}, {}, 5.0)["problem"] == "out_of_memory"  # type: ignore[index]
    slow = worker.run_cell({"id": "a", "source": "try:\n    while True: pass\nexcept Exception: pass"}, {}, 0.05)
    assert slow is not None
    assert slow["problem"] == "timed_out"


def test_state_of_one_request_is_not_seen_by_the_next(sandbox: list[str]) -> None:
    code = "calls = []\ndef f():\n    calls.append(1)\n    return len(calls)"
    requests = [{"target": "f", "call": True, "seconds": 1.0, "arguments": [values.pack({})[0]] * 2}] * 2
    outcome = ours.execute([{"id": "a", "source": code}], requests, variant={}, limits=LIMITS)
    assert [header["values"] for header, _ in outcome.messages if header["kind"] == "answer"] == [[1, 2], [1, 2]]


def test_torch_that_used_threads_answers_after_the_fork(sandbox: list[str]) -> None:
    code = """import torch
torch.set_num_threads(2)
layer = torch.nn.Linear(300, 300)
layer(torch.ones(300, 300)).sum().backward()
def f():
    torch.set_num_threads(2)
    layer(torch.ones(300, 300)).sum().backward()
    return layer.weight.grad[0, 0]"""
    limits = Limits(seconds=60.0)
    requests = [{"target": "f", "call": True, "seconds": 20.0, "arguments": [values.pack({})[0]]}]
    outcome = ours.execute([{"id": "a", "source": code}], requests, variant={}, limits=limits)
    assert answered(outcome) == 600.0


def answer(
    target: Any, *, call: bool = True, name: str = "f", seconds: float = 60.0, **arguments: Any
) -> dict[str, Any]:
    tree, blobs = values.pack(arguments)
    request = {"target": name, "call": call, "arguments": [tree, tree]}
    data = worker.in_a_child(lambda: worker.answer(request, blobs, {"f": target}, 1 << 20), seconds, 1 << 20)
    ((header, back),) = values.frames(data)
    return {**header, "found": [values.unpack(tree, back) for tree in header.get("values", [])]}


def test_requests_are_answered() -> None:
    def draw(rng: np.random.Generator, scale: float) -> dict[str, np.ndarray]:
        return {"w": scale * rng.normal(size=3)}

    found = answer(draw, seed=7, scale=2.0)["found"]
    expected = 2.0 * np.random.default_rng(7).normal(size=3)
    for each in found:
        np.testing.assert_array_equal(each["w"], expected)
    assert answer(3, call=False)["found"] == [3, 3]


def test_requests_that_cannot_be_answered_say_why() -> None:
    for target, status, message in [
        (lambda: 1 / 0, "crashed", "ZeroDivisionError"),
        (lambda: object(), "malformed", "type object"),
        (lambda: os._exit(3), "crashed", "ended before it gave an answer"),
        (lambda: os.kill(os.getpid(), 9), "crashed", "by signal 9"),
        (lambda: time.sleep(9), "timed_out", "no answer within 0.3 s"),
        (3, "missing", "is of type int, not a function"),
    ]:
        found = answer(target, seconds=0.3 if status == "timed_out" else 60.0)
        assert (found["status"], message in found["message"]) == (status, True), found
    assert answer(3, name="g")["message"] == "there is no function 'g'"


def test_a_session_sends_what_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    requests = [{"target": "f", "call": True, "seconds": 60.0, "arguments": [values.pack({"x": 2})[0]]}]
    cells = ["def f(x): return x * VARIANT['k']", "VARIANT['k'] = 0", "1 / 0"]
    job: dict[str, Any] = {"variant": {"k": 5}, "limits": {"cell_seconds": 60, "result": 1 << 20}, "requests": requests}
    job["cells"] = [{"id": str(k), "source": source} for k, source in enumerate(cells)]
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as file:
        session = worker.Session(
            job | {"variant": {"k": 5}, "limits": {"cell_seconds": 60, "result": 1 << 20}}, [], writer
        )
        session.run()
        os.close(writer)
        messages = [header for header, _ in values.frames(file.read())]
    assert [message["kind"] for message in messages] == ["cell", "asked", "answer", "done"]
    assert messages[2]["values"] == [10]


def test_modules_that_are_lacking() -> None:
    assert worker.lacking(["json"]) == ""
    assert "no_such_module" in worker.lacking(["json", "no_such_module"])
