"""The house: floors derived from imports, two wings, one table of public names, walls, and rooms of a modest size.

Each rule is a function that returns what breaks it, run on the house and on a planted fault that it must see.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import initgrade
import initnotes

ROOT = Path(initnotes.__file__).parent.parent
HOUSES = {"initnotes": Path(initnotes.__file__).parent, "initgrade": Path(initgrade.__file__).parent}
TABLE = HOUSES["initnotes"] / "__init__.pyi"
LINES = 450
SHARED = {"initnotes._checks", "initnotes._table"}  # private to the package, open to all its rooms
TORCHS = {"_parameters", "_modules", "_buffers"}  # attributes of any module, which a name of ours may repeat
OURS = [*HOUSES, "tools", "benchmarks", "coursework", "tests"]
ENTRANCES = {*HOUSES, *(f"{house}.__main__" for house in HOUSES)}  # they lead to the rooms


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def modules(house: str) -> dict[str, Path]:
    """Return the modules of a package by their dotted names; a folder's own is that of its ``__init__``."""
    found = {}
    for path in sorted(HOUSES[house].rglob("*.py")):
        parts = path.relative_to(HOUSES[house]).with_suffix("").parts
        found[".".join([house, *(part for part in parts if part != "__init__")])] = path
    return found


KNOWN = {name: path for house in HOUSES for name, path in modules(house).items()}
FOLDERS = {name for name, path in KNOWN.items() if path.name == "__init__.py"}
EACH = pytest.mark.parametrize("name", KNOWN)


def folder(module: str) -> str:
    """Return the folder behind whose wall a module lies: its room, or the package's hall."""
    return module if module in FOLDERS else module.rpartition(".")[0]


# ---------------------------------------------------------------------------------------------------------------------
# Imports: floors, wings and walls


def imports(name: str, source: str) -> dict[tuple[str, str], str]:
    """Return what a module takes from its house, anywhere in it: (module, name or "" for all of it) to its own name."""
    found: dict[tuple[str, str], str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, ""): alias.asname or alias.name for alias in node.names if alias.name in KNOWN}
        elif isinstance(node, ast.ImportFrom):
            above = folder(name).split(".")
            base = above[: len(above) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names if origin in KNOWN else ():
                inner = f"{origin}.{alias.name}"
                found[(inner, "") if inner in KNOWN else (origin, alias.name)] = alias.asname or alias.name
    return found


def graph_of(house: str) -> dict[str, set[str]]:
    """Return what each module imports; the package's own ``__init__``, which loads all lazily, is left out."""
    known = {name: path for name, path in modules(house).items() if name != house}
    return {name: {origin for origin, _ in imports(name, text_of(path))} - {house} for name, path in known.items()}


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return each module's floor, one above the highest that it imports; raise CycleError if there is none."""
    found: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        found[name] = 1 + max((found[below] for below in graph.get(name, ())), default=-1)
    return found


def into_the_book(graph: dict[str, set[str]]) -> list[str]:
    """Return the imports of the book's wing by the tool's."""
    book = "initnotes.book"
    return [
        f"{name} imports {origin}"
        for name, origins in graph.items()
        for origin in origins
        if f"{origin}.".startswith(f"{book}.") and not f"{name}.".startswith(f"{book}.")
    ]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(source: str) -> set[str]:
    """Return the private names that a module gives: functions, classes, variables and attributes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return {name for name in found if is_private(name)}


BEHIND: dict[str, set[str]] = {}
for known_name, known_path in KNOWN.items():
    BEHIND.setdefault(folder(known_name), set()).update(defined(text_of(known_path)))


def trespasses(name: str, source: str) -> list[str]:
    """Return the private names that a module takes from behind another folder's wall.

    An import is one, and so is an attribute that only other folders of its house define, whatever it is taken from.
    """
    own, house = folder(name), name.partition(".")[0]
    taken = imports(name, source)
    found = [f"{origin}.{what}" for origin, what in taken if is_private(what) and folder(origin) != own]
    found += [
        origin
        for origin, what in taken
        if not what and is_private(origin.rpartition(".")[2]) and folder(origin) != own and origin not in SHARED
    ]
    others = {what for place, names in BEHIND.items() if place.partition(".")[0] == house for what in names}
    foreign = others - BEHIND[own] - defined(source) - TORCHS
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in foreign:
            found.append(f"{ast.unparse(node)} in line {node.lineno}")
    return found


@pytest.mark.parametrize("house", HOUSES)
def test_floors_can_be_built(house: str) -> None:
    found = floors(graph_of(house))
    assert found.keys() == modules(house).keys() - {house}
    assert max(found.values()) >= 3
    assert min(found.values()) == 0


def test_a_circle_is_caught() -> None:
    with pytest.raises(CycleError):
        floors({"a": {"b"}, "b": {"a"}})


def test_the_tool_stands_without_the_book() -> None:
    assert into_the_book(graph_of("initnotes")) == []


@pytest.mark.parametrize(
    "source",
    [
        "from .. import book",
        "from ..book import claims",
        "from ..book.claims import settle",
        "import initnotes.book.plots",
    ],
)
def test_a_tool_that_needs_the_book_is_caught(source: str) -> None:
    name = "initnotes.theory.maps"
    assert into_the_book({name: {origin for origin, _ in imports(name, source)}})
    assert not into_the_book({"initnotes.book.plots": {origin for origin, _ in imports(name, source)}})


@EACH
def test_no_private_name_crosses_a_wall(name: str) -> None:
    assert trespasses(name, text_of(KNOWN[name])) == []


@pytest.mark.parametrize(
    "source",
    [
        "from ..theory.maps import _map",
        "from initnotes.theory.maps import _map",
        "from ..theory import maps\nmaps._map",
        "from ..theory import maps\n\ndef f():\n    return maps._map(1)",
        "from .. import theory\ntheory.maps._map",
        "from ..theory import maps as m\nm._map",
        "def f(m):\n    return m._map",
    ],
)
def test_a_trespass_is_caught(source: str) -> None:
    assert trespasses("initnotes.examine.graph", source)


@pytest.mark.parametrize(
    "source",
    [
        "from .. import _checks\n_checks.real(1, 'x')",
        "from .maps import _map",
        "def f(self):\n    self._map = 1\n    return self._map",
        "import torch\ntorch._C",
    ],
)
def test_what_is_private_to_the_own_folder_or_to_others_is_allowed(source: str) -> None:
    assert trespasses("initnotes.theory.profile", source) == []


# ---------------------------------------------------------------------------------------------------------------------
# Rooms


def room_faults(name: str, source: str) -> list[str]:
    """Return what is wrong with a module as a room: too long, silent about what lives there, or empty."""
    tree = ast.parse(source)
    said, lines = ast.get_docstring(tree) or "", len(source.splitlines())
    found = [f"{lines} lines, more than {LINES}"] if lines > LINES else []
    if name in ENTRANCES:
        return found
    if "What lives here" not in said:
        found.append("its docstring does not say what lives here")
    if re.search(r"\b[Ff]loor \d", source):
        found.append("it names its floor, which the imports decide")
    kinds = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
    if name not in FOLDERS and not any(isinstance(node, kinds) for node in tree.body):
        found.append("it defines nothing")
    return found


def shadows(package: str, exported: set[str]) -> set[str]:
    """Return the modules of a folder that a name of the same folder, other than the module, hides."""
    return {f"{package}.{name}" for name in exported if f"{package}.{name}" in KNOWN}


def names_of(package: str, source: str) -> set[str]:
    """Return what a folder's ``__init__`` takes out of its modules; not the modules themselves."""
    return {own for (_, what), own in imports(package, source).items() if what}


@EACH
def test_a_room_is_of_a_modest_size_and_says_what_lives_there(name: str) -> None:
    assert room_faults(name, text_of(KNOWN[name])) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('"""A room. What lives here counts."""\n' + "x = 1\n" * 450, "451 lines, more than 450"),
        ('"""A room."""\nx = 1\n', "does not say"),
        ("x = 1\n", "does not say"),
        ('"""A room on floor 2. What lives here counts."""\nx = 1\n', "names its floor"),
        ('"""A room. What lives here counts."""\n\nfrom .maps import gain\n', "defines nothing"),
    ],
)
def test_a_bad_room_is_caught(source: str, said: str) -> None:
    [fault] = room_faults("initnotes.theory.planted", source)
    assert said in fault


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_no_module_is_hidden_by_a_name_of_its_folder(package: str) -> None:
    path = TABLE if package == "initnotes" else KNOWN[package]
    assert shadows(package, names_of(package, text_of(path))) == set()


def test_a_hidden_module_is_caught() -> None:
    assert shadows("initnotes", names_of("initnotes", "from .theory import gain as schemes")) == {"initnotes.schemes"}
    assert not shadows("initnotes", names_of("initnotes", "from . import schemes"))


@pytest.mark.parametrize("place", ["tools", "benchmarks", "coursework"])
def test_scripts_are_of_a_modest_size(place: str) -> None:
    sizes = {str(path.relative_to(ROOT)): len(text_of(path).splitlines()) for path in sources(place)}
    assert {path: size for path, size in sizes.items() if size > LINES} == {}


def looked_for(source: str) -> set[str]:
    """Return the files that a module looks for beside the package: in a wheel they lie there."""
    return set(re.findall(r'\bhere / "([^"]+\.[a-z]+)"', source))


def test_a_wheel_holds_the_rooms_the_table_and_what_they_look_for() -> None:
    wheel = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == set(HOUSES)
    assert [source for source in wheel["force-include"] if not (ROOT / source).is_file()] == []
    wanted = {name for path in KNOWN.values() for name in looked_for(text_of(path))}
    assert wanted
    assert {f"initnotes/{name}" for name in wanted} <= set(wheel["force-include"].values())


def test_a_file_that_no_wheel_holds_is_seen() -> None:
    assert looked_for('places = here / "words.yml", here.parent / "book" / "other.yml"') == {"words.yml"}


# ---------------------------------------------------------------------------------------------------------------------
# The table of public names


def table() -> dict[str, str]:
    """Return each public name of initnotes and the module that it comes from."""
    return {own: origin for (origin, _), own in imports("initnotes", text_of(TABLE)).items()}


def table_faults(source: str) -> list[str]:
    """Return the lines that type checkers would not take for an export, or that repeat one or name nothing of ours."""
    found, seen = [], set[str]()
    known = set(imports("initnotes", source).values())
    for node in ast.parse(source).body:
        names = node.names if isinstance(node, ast.ImportFrom) else []
        if not names or any(alias.asname != alias.name or alias.name not in known for alias in names):
            found.append(f"line {node.lineno} is not: from .room import name as name")
        found += [f"{alias.name} stands twice" for alias in names if alias.name in seen]
        seen |= {alias.name for alias in names}
    return found


def other_tables(source: str) -> list[str]:
    """Return the literals that list rooms: four or more, as strings."""
    rooms = {own for own, origin in table().items() if origin.rpartition(".")[2] == own}
    found = []
    for node in ast.walk(ast.parse(source)):
        parts = list(node.keys) if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        listed = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        if len(listed & rooms) >= 4:
            found.append(f"line {node.lineno} lists rooms: {', '.join(sorted(listed & rooms))}")
    return found


def test_the_table_is_what_type_checkers_take_for_exports() -> None:
    assert table_faults(text_of(TABLE)) == []


@pytest.mark.parametrize(
    "source",
    [
        "from .examine import probe",
        "from .examine import probe as look",
        "from .nowhere import probe as probe",
        "from .examine import probe as probe\nfrom .examine import probe as probe",
        "probe = 1",
    ],
)
def test_a_bad_table_is_caught(source: str) -> None:
    assert len(table_faults(source)) == 1


def test_every_name_of_the_table_is_there_and_no_other() -> None:
    names = set(table())
    assert set(initnotes.__all__) == names
    assert names <= set(dir(initnotes))
    assert [name for name in names if not hasattr(initnotes, name)] == []
    with pytest.raises(AttributeError, match="did you mean 'probe'"):
        initnotes.prob  # noqa: B018


@pytest.mark.parametrize("place", OURS)
def test_rooms_are_listed_in_the_table_alone(place: str) -> None:
    found = {str(path): other_tables(text_of(path)) for path in sources(place) if path != Path(__file__)}
    assert {path: lists for path, lists in found.items() if lists} == {}


@pytest.mark.parametrize(
    "source",
    [
        "ROOMS = ['theory', 'layers', 'claims', 'plots']",
        "ROOMS = {'theory': 1, 'data': 2, 'examine': 3, 'lab': 4, 'schemes': 5}",
    ],
)
def test_a_second_table_is_caught(source: str) -> None:
    assert other_tables(source)


# ---------------------------------------------------------------------------------------------------------------------
# Names


def sources(place: str) -> Iterator[Path]:
    """Return the Python files of a folder that are ours; students' notebooks and data are none."""
    return (path for path in sorted((ROOT / place).rglob("*.py")) if "__pycache__" not in path.parts)


def unnamed(source: str) -> list[int]:
    """Return the lines of loops and comprehensions whose variable is called ``one``."""
    loops = (ast.For, ast.AsyncFor, ast.comprehension)
    targets = [node.target for node in ast.walk(ast.parse(source)) if isinstance(node, loops)]
    names = [name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return [name.lineno for name in names if name.id == "one"]


@pytest.mark.parametrize("place", OURS)
def test_loop_variables_are_called_what_they_are(place: str) -> None:
    found = {str(path.relative_to(ROOT)): unnamed(text_of(path)) for path in sources(place)}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    ["for one in x: pass", "[one for one in x]", "{one: 1 for one, two in x}", "f(y for x in z for (a, *one) in x)"],
)
def test_a_nameless_loop_variable_is_caught(source: str) -> None:
    assert unnamed(source) == [1]


def test_other_uses_of_the_word_are_allowed() -> None:
    assert unnamed("one = 1\nfor two in (one,): f(one, 'one')\ndef one(one): pass") == []
