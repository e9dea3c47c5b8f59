"""What stands for initnotes while an assignment is marked: the names that the assignment allows, with their files only.

What lives here writes a folder and a sentence; `walls` shows the folder, and nothing else of initnotes.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from .walls import NoSandbox, initnotes_folder

_INIT = '''"""What stands for initnotes while an assignment is marked: what the assignment allows, and no more."""

from importlib import import_module

_PLACES = {places!r}
__all__ = sorted(_PLACES)


def __getattr__(name):
    if name in _PLACES:
        module, attribute = _PLACES[name]
        found = import_module("initnotes." + module)
        return getattr(found, attribute) if attribute else found
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError("initnotes offers {words} while this assignment is marked, so there is no ini." + name)
'''


def sentence(offers: Iterable[str]) -> str:
    """Return the sentence by which an assignment says what initnotes offers while it is marked."""
    trials = "what else it has is for checks and trials, not for your answers"
    return f"While your work is marked, `initnotes` offers {_words(offers)}: {trials}."


def _words(offers: Iterable[str], mark: str = "`") -> str:
    names = [f"{mark}ini.{name}{mark}" for name in offers]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) + " only" if names else "nothing"


def _folder() -> Path:
    folder = initnotes_folder()
    if not folder:
        raise NoSandbox("the book's package initnotes is not installed; pip install -e .")
    return folder


@cache
def _public() -> Mapping[str, tuple[str, str]]:
    """Return initnotes' public names: each one's module, and its name in there, or nothing for the module itself."""
    folder = _folder()
    found: dict[str, tuple[str, str]] = {}
    for node in ast.parse((folder / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = ".".join(filter(None, [node.module, alias.name]))
                place = (inner, "") if _file(folder, inner) else (str(node.module), alias.name)
                found[alias.asname or alias.name] = place
    return found


def _file(folder: Path, module: str) -> Path | None:
    path = folder.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _imports(folder: Path, module: str) -> Iterator[str]:
    """Return the modules of initnotes that a module imports, wherever in its text, and the packages that it is in."""
    file = _file(folder, module)
    assert file is not None
    parts = module.split(".")
    yield from (".".join(parts[:k]) for k in range(1, len(parts)))
    package = parts if file.name == "__init__.py" else parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".") for alias in node.names]
            yield from (rest or "" for top, _, rest in names if top == "initnotes")
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
            elif (node.module or "").partition(".")[0] == "initnotes":
                base = []
            else:
                continue
            inner = (node.module or "").split(".") if node.level else str(node.module).split(".")[1:]
            whole = [*base, *filter(None, inner)]
            yield ".".join(whole)
            yield from (".".join([*whole, alias.name]) for alias in node.names)


def modules(offers: Iterable[str]) -> list[str]:
    """Return the modules of initnotes that the names need, and no other.

    Raises
    ------
    NoSandbox
        If a name is not public, or another public one comes along that is not allowed: whoever may read one file may
        call what is in it.
    """
    return list(_modules(tuple(offers)))


@cache
def _modules(offers: tuple[str, ...]) -> tuple[str, ...]:
    if not offers:
        return ()
    public, folder = _public(), _folder()
    for name in offers:
        if name not in public:
            raise NoSandbox(f"an assignment offers {name!r}, which initnotes does not have; it has {', '.join(public)}")
    todo, found = [public[name][0] for name in offers], set[str]()
    while todo:
        module = todo.pop()
        if module in found or not module or not _file(folder, module):
            continue
        found.add(module)
        todo += _imports(folder, module)
    rooms = {place: name for name, (place, attribute) in public.items() if not attribute}
    more = sorted(rooms[module] for module in found if rooms.get(module, offers[0]) not in offers)
    if more:
        raise NoSandbox(
            f"an assignment offers {', '.join(offers)}, which need {', '.join(more)}; offer those as well, or less"
        )
    return tuple(sorted(found))


def write(place: Path, offers: Iterable[str]) -> None:
    """Write a package initnotes below `place` that has what `offers` names, and files of nothing else."""
    offers, made = tuple(offers), place / "initnotes"
    made.mkdir()
    for module in modules(offers):
        source = _file(_folder(), module)
        assert source is not None
        target = made / source.relative_to(_folder())
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    places = {name: _public()[name] for name in offers}
    (made / "__init__.py").write_text(_INIT.format(places=places, words=_words(offers, "")), encoding="utf-8")
