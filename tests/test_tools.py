"""The verbs' scripts: what they store, what they leave alone, and what they catch."""

import base64
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from PIL import Image

from tools import check, drift, files, notebooks, reprove, run, show, site, system_parts

Maker = Callable[..., NotebookNode]

DRAW = "import numpy as np\nprint(np.random.default_rng(SEED).integers(1000))"
PICTURE = "import matplotlib.pyplot as plt\n_, axes = plt.subplots(figsize=(1, 1))\nlines = axes.plot([0, 1])"


@pytest.fixture
def book(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that stores a notebook as the one chapter of a small book and returns its path."""

    def make(notebook: NotebookNode) -> Path:
        (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/01_small\n", encoding="utf-8")
        path = tmp_path / "book" / "01_small.ipynb"
        files.replace_file(path, notebooks.dump(notebook).encode())
        return path

    return make


def test_notebook_can_be_shown_as_text(make_notebook: Maker) -> None:
    notebook = make_notebook(("SEED = 1", ["seed"]))
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="one\n")]
    assert show.shown(notebook) == "[code cell-01 #seed]\nSEED = 1\n\n>>> one\n"


@pytest.mark.integration
def test_two_runs_are_byte_identical(make_notebook: Maker, book: Callable[..., Path]) -> None:
    noisy = "import sys\nfor i in range(50):\n    print(i)\n    sys.stdout.flush()"
    path = book(
        make_notebook(("SEED = 1", ["seed"]), DRAW, noisy, (PICTURE, ["cover"]), ("1 / 0", ["raises-exception"]))
    )
    assert run.run(path) == []
    first = path.read_bytes()
    assert run.run(path) == []
    assert path.read_bytes() == first
    assert first.endswith(b"}\n")
    assert (path.parent / "assets" / "cover.png").read_bytes() == notebooks.images(notebooks.load(path).cells[3])[0]
    assert sorted(p.name for p in path.parent.iterdir()) == ["01_small.ipynb", "assets", "times.yml"]


@pytest.mark.integration
def test_failing_cell_leaves_the_file_untouched(
    make_notebook: Maker, book: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book(make_notebook("x = 0", "1 / x"))
    before = path.read_bytes()
    monkeypatch.setattr(run, "chapters", lambda only: [path])
    assert run.main([]) == 1
    assert path.read_bytes() == before
    message = capsys.readouterr().err
    assert "01_small is left as it was" in message
    assert "cell 2 (id cell-02): 1 / x: ZeroDivisionError" in message
    assert "Traceback" in message


@pytest.mark.integration
def test_unfit_outputs_are_not_stored(make_notebook: Maker, book: Callable[..., Path]) -> None:
    path = book(make_notebook("print(object())", "import sys\nprint('beware', file=sys.stderr)", ("x = 1", ["cover"])))
    before = path.read_bytes()
    _, address, stderr, cover = run.run(path)
    assert "a memory address" in address
    assert "wrote to stderr" in stderr
    assert "made 0 pictures, not one" in cover
    assert path.read_bytes() == before


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_interrupt_leaves_the_file_untouched(make_notebook: Maker, book: Callable[..., Path]) -> None:
    path = book(make_notebook("open('started', 'w').close()\nimport time\ntime.sleep(60)"))
    before = path.read_bytes()
    code = f"from pathlib import Path; from tools import run; raise SystemExit(bool(run.run(Path({str(path)!r}))))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=notebooks.ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (path.parent / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) != 0
    assert path.read_bytes() == before


def test_kernel_works_in_the_chapters_folder_with_this_interpreter(make_notebook: Maker, book: Callable) -> None:
    path = book(make_notebook("import os, sys\nprint(os.path.realpath(os.getcwd()))\nprint(sys.executable)"))
    fresh = notebooks.execute(notebooks.load(path), path.parent)
    assert notebooks.texts(fresh.cells[0]) == [f"{os.path.realpath(path.parent)}\n{sys.executable}\n"]


def test_normalizing_cleans_and_is_idempotent() -> None:
    import matplotlib.figure

    buffer = io.BytesIO()
    matplotlib.figure.Figure(figsize=(1, 1)).savefig(buffer)
    assert b"tEXt" in buffer.getvalue()
    stream = {"output_type": "stream", "name": "stdout"}
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {"execution": {"iopub.status.busy": "2020"}, "collapsed": True, "tags": ["x"]},
        "outputs": [
            {**stream, "text": "a"},
            {**stream, "text": "b"},
            {
                "output_type": "display_data",
                "data": {
                    "image/png": base64.b64encode(buffer.getvalue()).decode(),
                    "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
                },
                "metadata": {"needs_background": "light"},
            },
            {"output_type": "error", "ename": "E", "evalue": "why", "traceback": ["\x1b[31mFile /x/y.py"]},
        ],
        "source": "1",
    }
    raw = {"cells": [cell], "metadata": {"widgets": {}, "language_info": {"version": "3"}}, "nbformat": 4}
    notebook = nbformat.from_dict(raw | {"nbformat_minor": 5})
    notebook.cells[0].id = "a"
    clean = notebooks.normalize(notebook)
    assert notebooks.dump(notebooks.normalize(clean)) == notebooks.dump(clean)
    assert clean.cells[0].metadata == {"tags": ["x"]}
    joined, picture, error = clean.cells[0].outputs
    assert joined.text == "ab"
    assert list(picture.data) == ["image/png"]
    assert picture.metadata == {}
    assert b"tEXt" not in base64.b64decode(picture.data["image/png"])
    assert error.traceback == ["E: why"]
    assert "widgets" not in clean.metadata
    assert "version" not in clean.metadata.language_info


def test_missing_cell_ids_come_from_the_position(tmp_path: Path) -> None:
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["a\n", "b"]}]
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    (cell,) = notebooks.load(path).cells
    assert (cell.id, cell.source) == ("cell-01", "a\nb")


def test_a_picture_keeps_its_look_with_few_colors() -> None:
    across, down = np.meshgrid(np.linspace(0, 255, 300), np.linspace(0, 255, 200))
    full = np.stack([across, down, 255 - across], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(full).save(buffer, format="PNG")
    small = notebooks.few_colors(buffer.getvalue())
    shown = np.asarray(Image.open(io.BytesIO(small)).convert("RGB")).astype(int)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(shown - full).mean() < 8
    assert notebooks.few_colors(small) == small
    glass = io.BytesIO()
    Image.fromarray(np.dstack([full, full[..., :1]])).save(glass, format="PNG")
    assert notebooks.few_colors(glass.getvalue()) == glass.getvalue()


def test_strip_png_refuses_other_files() -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        notebooks.strip_png(b"GIF89a")


def test_unknown_chapter_is_named(make_notebook: Maker, book: Callable[..., Path]) -> None:
    root = book(make_notebook("1")).parent.parent
    with pytest.raises(SystemExit, match=r"no chapter '02_no'.*01_small"):
        notebooks.chapters(root, "02_no")
    assert notebooks.chapters(root, "01_small") == notebooks.chapters(root)


def test_book_without_chapters_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="names no notebook"):
        notebooks.chapters(tmp_path)


@pytest.mark.integration
def test_reprove_catches_a_claim_that_holds_for_the_stored_seed_only(
    make_notebook: Maker, book: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    chapter = make_notebook(("SEED = 1  # the draw on the page", ["seed"]), DRAW, "assert SEED == 1, 'claim 1'")
    path = book(chapter)
    before = path.read_bytes()
    assert run.run(path) == []
    stored = path.read_bytes()
    assert stored != before
    assert reprove.main(["--seeds", "2", "--entropy", "7"], root=path.parent.parent) == 1
    assert path.read_bytes() == stored
    shown = capsys.readouterr()
    assert shown.out.count("AssertionError: claim 1") == 2
    assert "ENTROPY=7" in shown.out
    assert "cell 3" in shown.err


@pytest.mark.integration
def test_reprove_passes_what_holds_for_every_seed(
    make_notebook: Maker, book: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ("raise KeyError", ["raises-exception"])
    path = book(make_notebook(("SEED = 1", ["seed"]), DRAW, "assert SEED >= 0", expected))
    assert reprove.main(["--seeds", "1"], root=path.parent.parent) == 0
    shown = capsys.readouterr().out
    assert "settles no claim" in shown
    assert "claims held" not in shown


SETTLE = """
import initnotes as ini
evidence = ini.claims.exact("units", 1 if {holds} else 2, theory=1, excludes=dict(separate=16))
ini.claims.settle(3, "holds when", "weights are equal", evidence)
""".strip()


def settling(make_notebook: Maker, holds: str, *tags: str) -> NotebookNode:
    """Return a chapter that settles claim 3 where `holds`."""
    return make_notebook(("SEED = 1", ["seed"]), (SETTLE.format(holds=holds), list(tags)))


@pytest.mark.integration
def test_reprove_says_how_many_claims_held(
    make_notebook: Maker, book: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = book(settling(make_notebook, "True"))
    assert run.run(path) == []
    assert reprove.main(["--seeds", "1"], root=path.parent.parent) == 0
    assert "all claims held (1)" in capsys.readouterr().out


@pytest.mark.integration
def test_reprove_catches_a_claim_that_hides_its_failure(
    make_notebook: Maker, book: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = book(settling(make_notebook, "False", "raises-exception"))
    assert run.run(path) == []
    assert reprove.main(["--seeds", "1"], root=path.parent.parent) == 1
    assert "the tag raises-exception hides that" in capsys.readouterr().out


def test_reprove_catches_a_claim_that_is_not_settled_as_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    def settled(*pairs: tuple[int, str]) -> NotebookNode:
        return nbformat.from_dict({"cells": [], "pairs": pairs})

    monkeypatch.setattr(reprove, "verdicts", lambda notebook: list(notebook.pairs))
    assert reprove.broken(settled((1, "holds")), settled((1, "holds"))) == ""
    assert reprove.broken(settled((1, "holds")), settled())
    assert reprove.broken(settled((1, "holds")), settled((1, "fails")))


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no HOME")
def test_kernels_leave_home_alone(make_notebook: Maker, book: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, so that nothing can be written below it")
    path = book(make_notebook(PICTURE))
    code = f"import pathlib; from tools import run; run.own_folders(); print(run.run(pathlib.Path({str(path)!r})))"
    folders = ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in folders}
    environment["HOME"] = str(tmp_path / "home")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=notebooks.ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr


def test_fresh_seeds_differ_and_can_be_repeated(make_notebook: Maker) -> None:
    seeds = reprove.fresh_seeds(3, "01_small", 5)
    assert len(set(seeds)) == 5
    assert seeds == reprove.fresh_seeds(3, "01_small", 5)
    assert not set(seeds) & set(reprove.fresh_seeds(4, "01_small", 5))
    assert not set(seeds) & set(reprove.fresh_seeds(3, "02_small", 5))
    notebook = make_notebook(("SEED = 1  # stored", ["seed"]), "x = SEED")
    assert reprove.with_seed(notebook, seeds[0]).cells[0].source == f"SEED = {seeds[0]}  # stored"
    assert notebook.cells[0].source == "SEED = 1  # stored"


@pytest.mark.parametrize("cells", [["x = 1"], [("SEED = 1", ["seed"]), ("SEED = 2", ["seed"])], [("x = 1", ["seed"])]])
def test_reprove_refuses_a_chapter_without_one_seed(make_notebook: Maker, cells: list) -> None:
    with pytest.raises(ValueError, match="exactly one cell tagged 'seed'"):
        reprove.with_seed(make_notebook(*cells), 5)


def test_canary_fails_when_no_bit_changes() -> None:
    assert not drift.any_bit_changed({"plain": "a", "x": "a"})
    assert drift.any_bit_changed({"plain": "a", "x": "a", "y": "b"})


@pytest.mark.integration
def test_canary_repeats_its_bits() -> None:
    assert drift.canary({}) == drift.canary({})


def test_drift_fails_when_the_canary_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(drift, "canary", lambda setting: "same")
    monkeypatch.setattr(drift, "compare", lambda setting: pytest.fail("nothing to compare"))
    assert drift.main() == 1
    shown = capsys.readouterr().out
    assert "nothing is proved" in shown
    assert "MKL" in shown
    assert "ATen level is" in shown


def test_interrupted_drift_shows_its_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def compare(setting: dict[str, str]) -> tuple[bool, str]:
        if "MKL_CBWR" in setting:
            raise KeyboardInterrupt
        return True, ""

    monkeypatch.setattr(drift, "canary", str)
    monkeypatch.setattr(drift, "compare", compare)
    assert drift.main() == 1
    shown = capsys.readouterr().out
    assert shown.count("as stored") == 3
    assert shown.endswith("Not run: MKL_CBWR=COMPATIBLE, NumPy's baseline, OMP_NUM_THREADS=2.\n")


@pytest.mark.parametrize(("same", "code"), [(True, 0), (False, 1)])
def test_drift_fails_when_an_output_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, same: bool, code: int
) -> None:
    monkeypatch.setattr(drift, "canary", lambda setting: str(setting))
    monkeypatch.setattr(drift, "compare", lambda setting: (same or "MKL_CBWR" not in setting, "report"))
    assert drift.main() == code
    assert ("DIFFER" in capsys.readouterr().out) == (not same)


def test_drift_clears_the_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert drift.environment({})["OMP_NUM_THREADS"] == "1"
    assert drift.environment({"OMP_NUM_THREADS": "2"})["OMP_NUM_THREADS"] == "2"
    assert drift.environment({"MKL_CBWR": "x"})["MKL_CBWR"] == "x"


def test_missing_part_is_listed_with_its_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_parts, "RECORD", tmp_path / "out" / "not_run.txt")
    system_parts.record("browser", "tests/test_x.py::test_y")
    monkeypatch.setattr(system_parts, "PARTS", {"browser": system_parts.PARTS["browser"]})
    monkeypatch.setenv("CI", "true")
    assert system_parts.missing() == 1
    monkeypatch.setenv("CI", "")
    assert system_parts.missing() == 0
    text = system_parts.report({}, [("browser", "tests/test_x.py::test_y")])
    assert "tests/test_x.py::test_y" in text
    assert "apt-get install chromium" in text
    assert system_parts.report({}, []) == ""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """Return the parts that `check` runs, none yet, on a machine without a browser, apart from the real run."""
    made: dict[str, tuple[str, ...]] = {}
    monkeypatch.setattr(check, "PARTS", made)
    monkeypatch.setattr(system_parts, "RECORD", tmp_path / "not_run.txt")
    browser = dataclasses.replace(system_parts.PARTS["browser"], lacks=lambda: "no browser")
    monkeypatch.setattr(system_parts, "PARTS", {"browser": browser})
    monkeypatch.setenv("CI", "")
    return made


def test_no_check_hides_another(parts: dict[str, tuple[str, ...]], capfd: pytest.CaptureFixture[str]) -> None:
    parts.update(bad=("-c", "raise SystemExit(3)"), good=("-c", "print('ran')"))
    assert check.main([]) == 1
    shown = capfd.readouterr().out
    assert "ran" in shown
    assert "FAILED (exit code 3)" in shown
    assert check.main(["good"]) == 0


def test_what_was_not_run_comes_last(
    parts: dict[str, tuple[str, ...]], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out = f"open({str(system_parts.RECORD)!r}, 'a').write('browser\\ttest_x\\nbrowser\\ttest_y\\n')"
    parts.update(pytest=("-c", leave_out), nbval=("-c", ""))
    assert check.main([]) == 0
    summary, listed = capfd.readouterr().out.split("=== summary")[1].split("Not run for want of a browser")
    assert re.search(r"pytest +passed, 2 not run ", summary)
    assert re.search(r"nbval +passed  ", summary)
    assert "test_y" in listed
    monkeypatch.setenv("CI", "true")
    assert check.main([]) == 1


def test_one_part_runs_beside_another(parts: dict[str, tuple[str, ...]], capfd: pytest.CaptureFixture[str]) -> None:
    wait = "import pathlib, time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)\n"
    sign = str(system_parts.RECORD.parent / "sign")
    parts.update(
        pytest=("-c", wait.format(sign)), nbval=("-c", f"open({sign!r}, 'w'); print('said'); raise SystemExit(2)")
    )
    assert check.main([]) == 1
    shown = capfd.readouterr().out
    assert shown.index("=== pytest") < shown.index("=== nbval") < shown.index("said") < shown.index("=== summary")
    assert re.search(r"nbval +FAILED \(exit code 2\)", shown)


def test_interrupted_check_shows_its_summary(
    parts: dict[str, tuple[str, ...]], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> check.Row:
        if name == "second":
            raise KeyboardInterrupt
        return check.Row(name, 0, 1.0, 0)

    parts.update(first=(), second=(), third=())
    monkeypatch.setattr(check, "run", run)
    assert check.main([]) == 1
    shown = capfd.readouterr().out
    assert re.search(r"first +passed", shown)
    assert re.search(r"second +not run\nthird +not run\n$", shown)


@pytest.mark.parametrize(("name", "code"), [("pytest", 0), ("integration", 1)])
def test_only_integration_needs_a_browser(
    parts: dict[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    monkeypatch.setenv("CI", "true")
    parts[name] = ("-c", "")
    assert check.main([name]) == code


ASKING = """
import pytest
def test_plain(tmp_path): ...
def test_sandbox(sandbox): ...
def test_page(page): ...
def test_figure(show): ...
def test_chromium(chromium): ...
def test_pages(built_site): ...
def test_small(build): ...
@pytest.mark.integration
def test_program(): ...
"""


def test_what_builds_pages_or_gets_a_browser_is_integration(tmp_path: Path) -> None:
    (tmp_path / "test_asking.py").write_text(ASKING)
    places = os.pathsep.join([str(notebooks.ROOT), str(notebooks.ROOT / "tests")])
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "--collect-only", "-q"]
    found = {}
    for part in ("pytest", "integration"):
        options = check.PARTS[part]
        chosen = [*command, "-m", options[options.index("-m", 2) + 1], "test_asking.py"]
        said = subprocess.run(
            chosen, cwd=tmp_path, env=os.environ | {"PYTHONPATH": places}, capture_output=True, text=True
        )
        found[part] = re.findall(r"::test_(\w+)", said.stdout)
    assert found["pytest"] == ["plain", "sandbox"]
    assert found["integration"] == ["page", "figure", "chromium", "pages", "small", "program"]


def test_both_parts_look_at_all_tests() -> None:
    assert {"tests", "initnotes"} <= set(check.PARTS["pytest"])
    assert "tests" in check.PARTS["integration"]
    assert not [option for part in check.APART for option in check.PARTS[part] if option.startswith(("--ignore", "-k"))]


@pytest.mark.integration
def test_own_copies_are_not_compared(make_notebook: Maker, book: Callable[..., Path]) -> None:
    path = book(make_notebook("1"))
    files.replace_file(path.parent / "my" / "copy.ipynb", path.read_bytes())
    command = [sys.executable, *check.PARTS["nbval"], "--collect-only", "-q"]
    shown = subprocess.run(command, cwd=path.parent.parent, capture_output=True, text=True).stdout
    assert "01_small" in shown
    assert "copy" not in shown


@pytest.mark.skipif(not shutil.which("make") or sys.platform == "win32", reason="make is not there")
def test_make_says_when_another_python_is_asked_for(tmp_path: Path) -> None:
    shutil.copy(notebooks.ROOT / "Makefile", tmp_path)
    for name, answer in ((".venv/bin/python", "3.11.7"), ("other", "3.12.1")):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\necho {answer}\n")
        file.chmod(0o755)
    (tmp_path / ".venv" / ".made").touch()

    def said(*asked: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS")}
        command = ["make", "interpreter", *asked]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout

    assert ".venv was made by Python 3.11.7 and stays; PYTHON=./other is 3.12.1" in said("PYTHON=./other")
    assert "Note" not in said("PYTHON=.venv/bin/python")
    assert "Note" not in said()


def test_fingerprint_follows_the_book(make_notebook: Maker, book: Callable[..., Path]) -> None:
    path = book(make_notebook("1"))
    root = path.parent.parent
    before = site.fingerprints(root)
    (root / "_build").mkdir()
    (root / "_build" / "x").write_text("not an input")
    assert site.fingerprints(root) == before
    path.write_text(path.read_text() + "\n")
    now = site.fingerprints(root)
    assert {name for name in now if now[name] != before[name]} == {path.relative_to(root).with_suffix("").as_posix()}
    (root / "_toc.yml").write_text("another")
    assert site.fingerprints(root)[""] != before[""]
