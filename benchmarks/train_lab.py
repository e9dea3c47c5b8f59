"""The figure that trains: how long a step of one side, and a race, take in Node. Exits with 1 if one misses its aim.

A step is a batch's way forward and back, and the update. Node and Chromium run the same engine; what a page draws
meanwhile comes on top, and is cut into pieces there.
"""

import json
import subprocess
import sys
from pathlib import Path

from tools import formulas

LAB = Path(__file__).resolve().parent.parent / "book" / "assets" / "train-lab.mjs"
DIGITS = LAB.with_name("train-digits.mjs")
ROUNDS, STEPS = 15, 20
AIM = 16.0  # milliseconds a step and side, which is a frame
RACE = 10.0  # seconds until a race shows its effect: all its pairs, with all frames
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
RACES = """
import { trainEngine, trainPresets } from "LAB";
import { trainDigits } from "DIGITS";
const E = trainEngine(), sets = {};
const seconds = Object.entries(trainPresets()).map(([name, { specs, steps, task, find }]) => {
    const data = (sets[task] ??= E.digits(trainDigits, task)), times = [], replicas = 1;
    for (let seed = 1; seed <= 3; seed++) {
        const began = performance.now();
        for (const _ of E.race({ lanes: specs, steps, replicas, seed, only: find }, data));
        times.push((performance.now() - began) / 1000);
    }
    return [name, Math.min(...times) * E.replicas(trainPresets()[name])];
});
console.log(JSON.stringify(Object.fromEntries(seconds)));
"""


def races() -> dict[str, float]:
    """Return the seconds of all pairs of each race, from the fastest of three single pairs."""
    code = RACES.replace("LAB", LAB.as_uri()).replace("DIGITS", DIGITS.as_uri())
    command = [formulas.node(), "--input-type=module", "--eval", code]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def medians() -> dict[str, float]:
    """Return the median time of a step, in milliseconds, the sides in turns."""
    given = json.dumps({"sides": list(SIDES.values()), "rounds": ROUNDS, "steps": STEPS})
    command = [formulas.node(), "--input-type=module", "--eval", MEDIANS.replace("LAB", LAB.as_uri()), given]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return dict(zip(SIDES, found, strict=True))


def main() -> int:
    """Print the times; return 1 if a step of 10 layers of 32, or a race, takes longer than its aim."""
    found = medians()
    print(f"the figure that trains: a step of one side in Node, batch 32, median of {ROUNDS} rounds")
    missed = 0
    for name, time in found.items():
        aim = AIM if SIDES[name][:2] == (10, 32) else None
        late = aim is not None and time > aim
        missed += late
        print(f"  {name:28} {time:6.2f} ms{f' (aim {aim:g})' if aim else ''}{'  MISSED' if late else ''}")
    print(f"all pairs of a race, in seconds (aim {RACE:g})")
    for name, time in races().items():
        missed += time > RACE
        print(f"  {name:28} {time:6.2f}{'  MISSED' if time > RACE else ''}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
