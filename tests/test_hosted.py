"""Hosted notebooks: each install cell is executed against a wheel, where only what it brings can be imported."""

import ast
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
import venv
from importlib.metadata import Distribution, PathDistribution, distribution, packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement

from tools import launch, notebooks

BOOK = notebooks.chapters()
PUBLIC = {"repository": {"url": "https://github.com/example/course", "branch": "main"}}
CALLS = ('ini.lab("he_normal", "relu")', "frameworks.versions()")  # these import when they are called
ADDRESS = "git+https://github.com/example/course@main"
PACKAGES = Path(sysconfig.get_path("purelib"))
# A hosted notebook's Python has pip and no more of what the cell needs. Jupyter's %pip runs it as a process.
RUN = """
import shlex, subprocess, sys
ran = []
class Shell:
    def run_line_magic(self, name, line):
        assert name == "pip"
        ran.append(line)
        subprocess.run([sys.executable, "-m", "pip", *shlex.split(line)], check=True)
get_ipython = Shell
for part in sys.stdin.read().split("\\0"):
    exec(part, {"get_ipython": get_ipython})
print(len(ran))
"""


def imports(path: Path) -> str:
    """Return the lines of a chapter that import, and what it shows that imports when it is called."""
    cells = notebooks.code_cells(notebooks.load(path))
    found: list[str] = []
    for source in [other.source for other in cells if launch.TAG not in notebooks.tags(other)]:
        nodes = ast.walk(ast.parse(TransformerManager().transform_cell(source)))
        found += [ast.unparse(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
        found += [call for call in CALLS if call.partition("(")[0] + "(" in source]
    return "\n".join(dict.fromkeys(found))


def cell(path: Path) -> str:
    """Return a chapter's install cell as plain Python."""
    notebook = launch.prepared(notebooks.load(path), PUBLIC)
    return TransformerManager().transform_cell(notebooks.code_cells(notebook, launch.TAG)[0].source)


CELLS = sorted({cell(path) for path in BOOK})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package's wheel and return its file."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(notebooks.ROOT)], check=True)
    (file,) = folder.glob("*.whl")
    return file


def metadata(wheel: Path, folder: Path) -> Distribution:
    """Return what a wheel says of itself."""
    with ZipFile(wheel) as file:
        file.extractall(folder, [name for name in file.namelist() if ".dist-info/" in name])
    (found,) = folder.glob("*.dist-info")
    return PathDistribution(found)


def needed(package: Distribution, extras: set[str]) -> dict[str, Distribution]:
    """Return all that pip installs beside a package with `extras`, as far as it is installed here."""
    found: dict[str, Distribution] = {}
    todo = [(package, extras)]
    while todo:
        of, wanted = todo.pop()
        for requirement in map(Requirement, of.requires or []):
            extra_names = wanted or {""}
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": extra}) for extra in extra_names):
                continue
            if requirement.name.lower() not in found:
                found[requirement.name.lower()] = distribution(requirement.name)
                todo.append((found[requirement.name.lower()], set(requirement.extras)))
    return found


def hosted(folder: Path, packages: dict[str, Distribution]) -> Path:
    """Make a Python that finds these packages, which lie here, and no others; return its program."""
    venv.create(folder / "venv", symlinks=True)
    shared = folder / "shared"
    shared.mkdir()
    for package in (*packages.values(), distribution("pip")):
        for top in {Path(file).parts[0] for file in package.files or [] if ".." not in Path(file).parts}:
            if (PACKAGES / top).exists() and not (shared / top).exists():
                (shared / top).symlink_to(PACKAGES / top)
    own = next((folder / "venv").glob("lib/python*/site-packages"))
    (own / "shared.pth").write_text(f"{shared}\n")
    return folder / "venv" / "bin" / "python"


def run(python: Path, *parts: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "COV"))}
    options = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "KERAS_HOME": str(python.parents[2])}
    command = [str(python), "-c", RUN]
    where = {"cwd": python.parents[2], "env": clean | options}
    return subprocess.run(command, input="\0".join(parts), capture_output=True, text=True, **where)


def installed(source: str, wheel: Path) -> tuple[str, set[str]]:
    """Return an install cell that takes the wheel in the place of the repository, and the extras that it names."""
    (asked,) = re.findall(r'"(initnotes.*?) @ ', source)
    assert source.count(ADDRESS) == 1
    return source.replace(ADDRESS, wheel.as_uri()), Requirement(asked).extras


@pytest.mark.integration
@pytest.mark.parametrize("source", CELLS, ids=lambda source: source.split('"')[-2].split(" @")[0])
def test_install_cell_brings_what_its_chapters_import(source: str, wheel: Path, tmp_path: Path) -> None:
    code, extras = installed(source, wheel)
    python = hosted(tmp_path, needed(metadata(wheel, tmp_path), set(extras)))
    chapters = [imports(path) for path in BOOK if cell(path) == source]
    done = run(python, code, code, *chapters)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1", "the second time there was nothing to install"


@pytest.mark.integration
def test_cell_without_its_extra_is_caught(wheel: Path, tmp_path: Path) -> None:
    """Without [widget] chapter 1 cannot show its live figure."""
    chapter = BOOK[1]
    code, _ = installed(cell(chapter), wheel)
    assert "[book,widget]" in code
    plain = re.sub(r', "anywidget"|,widget(?=\])', "", code)
    done = run(hosted(tmp_path, needed(metadata(wheel, tmp_path), {"book"})), plain, imports(chapter))
    assert done.returncode != 0
    assert "anywidget" in done.stderr


# ------------------------------------------------------------------------------------------------------- the package

LACKS = """
import importlib.util
import initnotes as ini
assert importlib.util.find_spec("matplotlib") is None
try:
    ini.plots
except ModuleNotFoundError as error:
    assert 'pip install "initnotes[book]"' in str(error), error
else:
    raise AssertionError("there are pictures without Matplotlib")
"""


def readme() -> str:
    """Return the lines of Python with which the README sends a practitioner to a network."""
    text = (notebooks.ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(block) for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
    return "".join(blocks[:2])


@pytest.mark.integration
def test_readme_works_where_there_is_only_what_an_audit_needs(wheel: Path, tmp_path: Path) -> None:
    lines = readme()
    assert "ini.audit(" in lines
    assert "ini.translate(" in lines
    install = f"get_ipython().run_line_magic('pip', 'install --quiet {wheel.as_uri()}')"
    done = run(hosted(tmp_path, needed(metadata(wheel, tmp_path), set())), install, lines, LACKS)
    assert done.returncode == 0, done.stderr
    assert "vanishing signal" in done.stdout


@pytest.mark.integration
def test_what_a_release_uploads_is_whole(tmp_path: Path) -> None:
    """The wheel is built from the sdist, as pip does it, and both pass twine's check."""
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(notebooks.ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    files = sorted(str(path) for path in tmp_path.iterdir())
    assert [file.rpartition(".")[2] for file in files] == ["whl", "gz"]
    check = [sys.executable, "-m", "twine", "check", "--strict"]
    done = subprocess.run([*check, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


def test_every_module_that_only_an_extra_brings_is_known() -> None:
    """A room that imports one when it is called is found by what a chapter writes: see `launch.EXTRAS`."""
    modules = {module for extra, (names, _) in launch.EXTRAS.items() if extra != "book" for module in names}
    rooms = (notebooks.ROOT / "initnotes").rglob("*.py")
    lazy = {room.stem for room in rooms if any(f"import {name}\n" in room.read_text() for name in modules)}
    assert lazy <= {"widgets", "races", "sliders"}
    text = (notebooks.ROOT / "initnotes" / "frameworks" / "libraries.py").read_text()
    assert all(f'"{name}"' in text for name in launch.EXTRAS["frameworks"][0])


# ------------------------------------------------------------------------------------------------------------- Binder


def listed(file: Path) -> list[str]:
    """Return the lines of a list of requirements and of those that it names."""
    found: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        line = line.partition(" #")[0].strip()
        if line.startswith("-r "):
            found += listed(file.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            found.append(line)
    return found


def test_binder_has_what_every_chapter_imports() -> None:
    """Where there is a folder binder, repo2docker reads nothing else, and runs pip in the repository's folder."""
    lines = listed(notebooks.ROOT / "binder" / "requirements.txt")
    names = {Requirement(line).name.lower() for line in lines if not line.startswith("-")}
    assert {"jax", "keras", "flax", "anywidget", "jupyterlab", "jupyterlab_myst", "torch"} <= names
    assert "-e ." in lines
    owners = packages_distributions()
    for path in BOOK:
        modules = set(re.findall(r"^(?:import|from) (\w+)", imports(path), re.MULTILINE)) - sys.stdlib_module_names
        for module in modules - {"initnotes"}:
            assert {name.lower() for name in owners[module]} & names, f"{path.stem} imports {module}"


def test_binder_takes_a_torch_for_processors() -> None:
    """Both indexes have the version of the pin; 2.13.0+cpu counts as newer than 2.13.0, so pip prefers it."""
    lines = listed(notebooks.ROOT / "binder" / "requirements.txt")
    (index,) = [line for line in lines if "index-url" in line]
    assert index.startswith("--extra-index-url https://download.")
    assert index.endswith("/whl/cpu")
    (pin,) = [Requirement(line) for line in lines if line.startswith("torch==")]
    version = str(pin.specifier).removeprefix("==")
    assert list(pin.specifier.filter([version, f"{version}+cpu"])) == [version, f"{version}+cpu"]
    assert (notebooks.ROOT / "binder" / "runtime.txt").read_text().strip() == "python-3.11"
