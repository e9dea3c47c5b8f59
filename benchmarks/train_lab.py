"""The figure that trains: how long a step of one side takes in Node. Exits with 1 if one takes longer than its aim.

A step is a batch's way forward and back, and the update. Node and Chromium run the same engine; what a page draws
meanwhile comes on top, and is cut into pieces there.
"""

import json
import subprocess
import sys
from pathlib import Path

from tools import formulas

LAB = Path(__file__).resolve().parent.parent / "book" / "assets" / "train-lab.mjs"
ROUNDS, STEPS = 15, 20
AIM = 16.0  # milliseconds a step and side, which is a frame
SIDES = {  # layers, width, activation, optimizer: what has the aim comes first
    "10 layers of 32, ReLU, SGD": (10, 32, "relu", "sgd"),
    "10 layers of 32, tanh, SGD": (10, 32, "tanh", "sgd"),
    "10 layers of 32, ReLU, Adam": (10, 32, "relu", "adam"),
    "20 layers of 64, ReLU, SGD": (20, 64, "relu", "sgd"),
    "5 layers of 128, ReLU, SGD": (5, 128, "relu", "sgd"),
}
MEDIANS = """
import { trainEngine } from "LAB";
const { sides, rounds, steps } = JSON.parse(process.argv[1]);
const E = trainEngine(), next = E.rng(1, 2, 3), batch = 32, count = 320;
const data = {x: Float32Array.from({length: count * 64}, () => E.normal(next)),
              y: Uint8Array.from({length: count}, () => next() % 10)};
const nets = sides.map(([layers, width, phi, optimizer]) => {
    const sizes = [64, ...Array(layers - 1).fill(width), 10];
    return new E.Net({sizes, phi, scheme: {name: "he"}, optimizer, lr: 1e-3, batch}, 1, 0);
});
const orders = sides.map(() => new E.Order(count, batch, 1, 0)), times = sides.map(() => []);
for (let round = 0; round < rounds + 3; round++) {
    nets.forEach((net, side) => {
        const began = performance.now();
        for (let step = 0; step < steps; step++) net.step(data, orders[side].rows, orders[side].advance());
        if (round > 2) times[side].push((performance.now() - began) / steps); // the first ones are for the compiler
    });
}
console.log(JSON.stringify(times.map((of) => of.sort((a, b) => a - b)[rounds >> 1])));
"""


def medians() -> dict[str, float]:
    """Return the median time of a step, in milliseconds, the sides in turns."""
    given = json.dumps({"sides": list(SIDES.values()), "rounds": ROUNDS, "steps": STEPS})
    command = [formulas.node(), "--input-type=module", "--eval", MEDIANS.replace("LAB", LAB.as_uri()), given]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return dict(zip(SIDES, found, strict=True))


def main() -> int:
    """Print the medians; return 1 if the one of 10 layers of 32 is above its aim."""
    found = medians()
    print(f"the figure that trains: a step of one side in Node, batch 32, median of {ROUNDS} rounds")
    missed = 0
    for name, time in found.items():
        aim = AIM if SIDES[name][:2] == (10, 32) else None
        late = aim is not None and time > aim
        missed += late
        print(f"  {name:28} {time:6.2f} ms{f' (aim {aim:g})' if aim else ''}{'  MISSED' if late else ''}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
