"""The races of the figure that trains, as Python and the chapters have them.

``python -m tools.races`` writes what ``trainPresets`` in train-lab.mjs returns to book/assets/train-presets.json, which
needs Node, and then runs the cells of the chapters that show a race, each alone: they depend on ``SEED`` and on nothing
else, so that a changed preset asks for no chapter's run. Tests compare the file with the module, and the outputs.
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


def text(found: dict[str, Any]) -> str:
    """Return the text of the file."""
    lines = [f"  {json.dumps(name)}: {json.dumps(race, ensure_ascii=False)}" for name, race in found["presets"].items()]
    return f'{{\n "margin": {found["margin"]},\n "presets": {{\n' + ",\n".join(lines) + "\n }\n}\n"


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
    if replace_file(FILE, text(exported()).encode("utf-8")):
        print(FILE.relative_to(ROOT).as_posix())
    for path in notebooks.chapters():
        if CALL in path.read_text(encoding="utf-8") and refresh(path):
            print(path.relative_to(ROOT).as_posix())


if __name__ == "__main__":
    main()
