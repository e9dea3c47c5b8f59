"""Each module of a package imports only from the floors below its own."""

import ast
from pathlib import Path

import pytest

import initgrade
import initnotes

HOUSES = {"initnotes": Path(initnotes.__file__).parent, "initgrade": Path(initgrade.__file__).parent}
GRADING = {
    "assignment": 0,
    "values": 0,
    "course": 0,
    "doctor": 0,
    "processes": 0,
    "walls": 0,
    "judging": 1,
    "sandbox": 1,
    "worker": 1,
    "lateness": 1,
    "submission": 2,
    "sampling": 2,
    "to_mark": 2,
    "records": 3,
    "feedback": 4,
    "marking": 4,
    "paperwork": 5,
    "cli": 6,
    "__main__": 7,
}
FLOORS = GRADING | {
    "_checks": 0,
    "schemes": 1,
    "activations": 1,
    "networks": 2,
    "layers": 2,
    "translation": 2,
    "theory": 2,
    "data": 2,
    "recurrent": 2,
    "normalization": 3,
    "measure": 3,
    "training": 3,
    "graph": 3,
    "clinic": 3,
    "plots": 4,
    "frameworks": 4,
    "claims": 4,
    "symmetry": 4,
    "widgets": 4,
    "diagnosis": 4,
    "ledger": 5,
}
LATE = {
    ("measure", "plots"),
    ("diagnosis", "plots"),
}  # a result may draw itself: its method imports what draws when it is called


def imported_rooms(source: str, house: str = "initnotes") -> set[str]:
    """Return the modules of a package that a module's source imports, anywhere in the file."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.module or "").split(".")[0] == house):
            inner = (node.module or "").removeprefix(house).lstrip(".")
            rooms |= {inner.split(".")[0]} if inner else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            rooms |= {(name[1] if len(name) > 1 else "__init__") for name in names if name[0] == house}
    return rooms


def violations(name: str, source: str, house: str = "initnotes") -> list[str]:
    """Return the imports of module `name` that are not from a floor below."""
    return [
        f"{name} (floor {FLOORS[name]}) imports {room} (floor {FLOORS.get(room, 'unknown')})"
        for room in sorted(imported_rooms(source, house))
        if FLOORS.get(room, 99) >= FLOORS[name] and (name, room) not in LATE
    ]


MODULES = sorted((house, path.stem) for house, folder in HOUSES.items() for path in folder.glob("*.py"))


@pytest.mark.parametrize(("house", "name"), [pair for pair in MODULES if pair[1] != "__init__"])
def test_module_imports_from_below_only(house: str, name: str) -> None:
    assert name in FLOORS, f"{name} has no floor"
    assert violations(name, (HOUSES[house] / f"{name}.py").read_text(encoding="utf-8"), house) == []


@pytest.mark.parametrize(
    "source",
    [
        "from . import theory",
        "from .theory import chi",
        "import initnotes.plots",
        "from initnotes.schemes import Scheme",
        "from initnotes import claims",
        "def late():\n    from .measure import probe",
        "if TYPE_CHECKING:\n    from .activations import relu",
        "import initnotes",
        "from . import nowhere",
    ],
)
def test_import_from_the_same_floor_or_above_is_caught(source: str) -> None:
    assert violations("schemes", source)


def test_import_from_below_is_allowed() -> None:
    assert violations("schemes", "import numpy as np\nfrom . import _checks\nfrom ._checks import integer") == []
