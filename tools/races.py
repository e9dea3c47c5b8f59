"""The races of the figure that trains, as Python reads them: what ``trainPresets`` in train-lab.mjs returns, as JSON.

``python -m tools.races`` writes book/assets/train-presets.json; it needs Node. A test compares the two.
"""

import json
import subprocess
from typing import Any

from .files import ROOT, replace_file

MODULE = ROOT / "book" / "assets" / "train-lab.mjs"
FILE = ROOT / "book" / "assets" / "train-presets.json"
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
    lines = [f"  {json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in found["presets"].items()]
    return f'{{\n "margin": {found["margin"]},\n "presets": {{\n' + ",\n".join(lines) + "\n }\n}\n"


def main() -> None:
    """Write the file, a preset a line."""
    replace_file(FILE, text(exported()).encode("utf-8"))


if __name__ == "__main__":
    main()
