"""The house: floors derived from imports, two wings, no private name across a folder's wall, rooms of a modest size."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import initgrade
import initnotes

HOUSES = {"initnotes": Path(initnotes.__file__).parent, "initgrade": Path(initgrade.__file__).parent}
LINES = 450
LONG = {"initgrade.marking", "initgrade.paperwork"}
SHARED = {"initnotes._checks", "initnotes._table"}  # private to the package, open to all its rooms


def modules(house: str) -> dict[str, Path]:
    """Return the modules of a package by their dotted names; a folder's own is that of its ``__init__``."""
    found = {}
    for path in sorted(HOUSES[house].rglob("*.py")):
        parts = path.relative_to(HOUSES[house]).with_suffix("").parts
        found[".".join([house, *(part for part in parts if part != "__init__")])] = path
    return found


def imports(name: str, path: Path, known: set[str], source: str | None = None) -> set[tuple[str, str]]:
    """Return (module, name) of what a module imports from its package, anywhere in the file; "" for a module whole."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8") if source is None else source)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names if alias.name in known}
        if not isinstance(node, ast.ImportFrom):
            continue
        levels = package.split(".")
        base = ".".join(levels[: len(levels) - node.level + 1]) if node.level else ""
        origin = ".".join(part for part in (base, node.module or "") if part)
        for alias in node.names if origin in known else ():
            inner = f"{origin}.{alias.name}"
            found.add((inner, "") if inner in known else (origin, alias.name))
    return found


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return each module's floor, one above the highest that it imports; raise CycleError if there is none."""
    found: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        found[name] = 1 + max((found[below] for below in graph.get(name, ())), default=-1)
    return found


def graph_of(house: str) -> dict[str, set[str]]:
    """Return what each module imports; the package's own ``__init__`` stands above all."""
    known = modules(house)
    return {
        name: {origin for origin, _ in imports(name, path, set(known))} for name, path in known.items() if name != house
    }


def folder(module: str) -> str:
    """Return the folder behind whose wall a module lies: its room, or the package's hall."""
    house, _, rest = module.partition(".")
    return f"{house}.{rest.partition('.')[0]}" if (HOUSES[house] / rest.partition(".")[0]).is_dir() else house


def trespasses(name: str, path: Path, known: set[str], source: str | None = None) -> list[str]:
    """Return the private names that a module takes from behind another folder's wall, by import or attribute."""
    text = path.read_text(encoding="utf-8") if source is None else source
    taken = imports(name, path, known, text)
    found = [f"{origin}.{what}" for origin, what in taken if what.startswith("_") and folder(origin) != folder(name)]
    found += [
        origin
        for origin, what in taken
        if not what and origin.rpartition(".")[2].startswith("_") and origin not in SHARED | {f"{origin.split('.')[0]}"}
    ]
    foreign = {origin.rpartition(".")[2] for origin, what in taken if not what and folder(origin) != folder(name)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id in foreign - {"_checks", "_table"}:
                found.append(f"{owner.id}.{node.attr}")
    return found


@pytest.mark.parametrize("house", HOUSES)
def test_floors_can_be_built(house: str) -> None:
    found = floors(graph_of(house))
    assert len(found) == len(modules(house)) - 1
    assert max(found.values()) >= 3


def test_the_tool_stands_without_the_book() -> None:
    graph = graph_of("initnotes")
    wrong = [
        f"{name} imports {origin}"
        for name, origins in graph.items()
        for origin in origins
        if origin.startswith("initnotes.book") and not name.startswith("initnotes.book")
    ]
    assert wrong == []


@pytest.mark.parametrize("house", HOUSES)
def test_no_private_name_crosses_a_wall(house: str) -> None:
    known = modules(house)
    wrong = {name: trespasses(name, path, set(known)) for name, path in known.items()}
    assert {name: names for name, names in wrong.items() if names} == {}


@pytest.mark.parametrize("house", HOUSES)
def test_rooms_are_of_a_modest_size(house: str) -> None:
    sizes = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(house).items()}
    assert {name: size for name, size in sizes.items() if size > LINES and name not in LONG} == {}


@pytest.mark.parametrize("house", HOUSES)
def test_a_room_says_what_lives_there(house: str) -> None:
    silent = [
        name for name, path in modules(house).items() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_a_circle_is_caught() -> None:
    with pytest.raises(CycleError):
        floors({"a": {"b"}, "b": {"a"}})


@pytest.mark.parametrize(
    "source",
    [
        "from ..layers.fill import _jobs",
        "from ..layers import fill\nfill._jobs",
        "from ..theory import maps\n\ndef f():\n    return maps._map(1)",
    ],
)
def test_a_trespass_is_caught(source: str) -> None:
    known = modules("initnotes")
    assert trespasses("initnotes.examine.graph", known["initnotes.examine.graph"], set(known), source)


def test_a_private_name_of_the_own_folder_is_allowed() -> None:
    known = modules("initnotes")
    path = known["initnotes.layers"]
    source = "from .fill import _jobs\nfrom .. import _checks\n_checks.real(1, 'x')"
    assert trespasses("initnotes.layers", path, set(known), source) == []
