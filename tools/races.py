"""The races of the figure that trains, as Python and the chapters have them.

``python -m tools.races`` writes what ``trainPresets`` in train-lab.mjs returns to book/assets/train-presets.json, which
needs Node, and then runs the cells of the chapters that show a race, each alone: they depend on ``SEED`` and on nothing
else, so that a changed preset asks for no chapter's run. Tests compare the file with the module, and the outputs.
The file also holds the pictures of the races that another machine draws otherwise; a picture is made anew when its race
has changed.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from nbformat import v4

from . import notebooks
from .files import ROOT, replace_file

MODULE = ROOT / "book" / "assets" / "train-lab.mjs"
FILE = ROOT / "book" / "assets" / "train-presets.json"
CALL = "ini.race("
_PROGRAM = """
const { trainEngine, trainPresets } = await import(process.argv[1]), found = {};
for (const [name, { steps, net, why, task, find, lanes, specs, colors }] of Object.entries(trainPresets())) {
  found[name] = { steps, net, why, task, find, names: lanes.map((lane) => lane.name), specs, colors };
}
console.log(JSON.stringify({ margin: trainEngine().MARGIN, presets: found }));
"""


def exported() -> dict[str, Any]:
    """Return what the module itself says: its margin and its presets."""
    command = ["node", "--input-type=module", "--eval", _PROGRAM, MODULE.as_uri()]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def stored() -> dict[str, Any]:
    """Return what the file says."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def pictures(found: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return the pictures of the races in `found` that hang on last bits: those of `before`, for races as they were."""
    from initnotes.book import races  # which reads the file

    kept = before.get("pictures", {})
    same = [name for name in races.SENSITIVE if name in kept and found["presets"][name] == before["presets"].get(name)]
    return {
        name: kept[name] if name in same else races.as_stored(races.outcome(name, seed=races.SEED))
        for name in races.SENSITIVE
    }


def text(found: dict[str, Any]) -> str:
    """Return the text of the file."""
    parts = [f' "margin": {found["margin"]}']
    for part in ("presets", "pictures"):
        lines = [f"  {json.dumps(name)}: {json.dumps(race, ensure_ascii=False)}" for name, race in found[part].items()]
        parts.append(f' "{part}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def refresh(path: Path) -> bool:
    """Run the cells of a notebook that show a race, and store their outputs; True if one changed."""
    import initnotes  # after the file is written

    notebook = notebooks.load(path)
    (seed,) = notebooks.code_cells(notebook, tag="seed")
    for cell in notebooks.code_cells(notebook):
        if cell.source.startswith(CALL):
            number = int(notebooks.SEED_LINE.search(seed.source)[2])  # type: ignore[index]
            data, _ = eval(cell.source, {"ini": initnotes, "SEED": number})._repr_mimebundle_()
            cell.outputs = [v4.new_output("execute_result", data=data, execution_count=cell.execution_count)]
    return replace_file(path, notebooks.dump(notebooks.normalize(notebook)).encode("utf-8"))


def main() -> None:
    """Write the file and the outputs, and say what changed."""
    found, before = exported(), stored()
    kept = before.get("pictures", {})
    if replace_file(
        FILE, text(found | {"pictures": kept}).encode("utf-8")
    ):  # the races, by which the pictures are made
        print(FILE.relative_to(ROOT).as_posix())
    replace_file(FILE, text(found | {"pictures": pictures(found, before)}).encode("utf-8"))
    for path in notebooks.chapters():
        if CALL in path.read_text(encoding="utf-8") and refresh(path):
            print(path.relative_to(ROOT).as_posix())


if __name__ == "__main__":
    main()
