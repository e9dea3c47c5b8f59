"""The races of the figure that trains, each start at its own best of seven rates. Exits with 1 if one is unfair.

A race shows one rate. That a start is behind at it need not mean that it is worse (CONTRIBUTING.md, "about:
training"). So here both lanes of each race that has a winner are trained at seven rates, and judged by the loss on the
test images after as many steps as the race has: the winner's must be at most 3/4 of the loser's in all eight pairs,
each lane at the rate with the lowest median. Where training images are chosen so that a class is rare, their loss
counts, as in chapter 8: the test images have another share of it. Takes a minute or two; names of presets as arguments
choose some.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools import formulas

ASSETS = Path(__file__).resolve().parent.parent / "book" / "assets"
RATES = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3]  # of plain SGD
SCALE = {"sgd": 1, "momentum": 0.3, "adam": 0.1}  # of the rates
PAIRS, SEED, MOST = 8, 5000, 0.75
LOSSES = """
import { trainEngine, trainPresets } from "LAB";
import { trainDigits } from "DIGITS";
const { names, rates, scale, pairs, seed } = JSON.parse(process.argv[1]);
const E = trainEngine(), presets = trainPresets();
const MANY = 1e3; // instead of a loss that is not finite, which JSON does not know

/** The mean loss of the images `judges` after training, batch by batch. */
function after(spec, steps, data, judges, replica) {
    const net = new E.Net(spec, seed, replica), order = new E.Order(data.train.y.length, spec.batch, seed, replica);
    for (let step = 0; step < steps; step++) net.step(data.train, order.rows, order.advance());
    const rows = Uint16Array.from({length: judges.y.length}, (_, k) => k), losses = [];
    for (let from = 0; from + spec.batch <= rows.length; from += spec.batch) {
        losses.push(Math.min(MANY, net.step(judges, rows, from, true)));
    }
    return losses.reduce((sum, loss) => sum + loss) / losses.length;
}
for (const [name, { ahead, specs, steps, lanes, task }] of Object.entries(presets)) {
    if (ahead === "even" || (names.length && !names.includes(name))) continue;
    const data = E.digits(trainDigits, task), judges = task ? data.train : data.test;
    const losses = specs.map((spec) => rates.map((rate) => Array.from({length: pairs},
        (_, k) => after({...spec, lr: rate * scale[spec.optimizer]}, steps, data, judges, k))));
    const said = {name, ahead, steps, optimizer: specs[0].optimizer, lanes: lanes.map((lane) => lane.name)};
    console.log(JSON.stringify({...said, losses}));
}
"""


def measured(names: list[str]) -> list[dict[str, Any]]:
    """Return, of each race, the losses by lane, rate and pair."""
    code = LOSSES.replace("LAB", (ASSETS / "train-lab.mjs").as_uri())
    code = code.replace("DIGITS", (ASSETS / "train-digits.mjs").as_uri())
    given = json.dumps({"names": names, "rates": RATES, "scale": SCALE, "pairs": PAIRS, "seed": SEED})
    command = [formulas.node(), "--input-type=module", "--eval", code, given]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def middle(values: list[float]) -> float:
    """Return the upper median."""
    return sorted(values)[len(values) // 2]


def main() -> int:
    """Print each race; return 1 if a winner is not clearly ahead."""
    unfair = 0
    print(f"losses, each start at its own best of {len(RATES)} rates, medians of {PAIRS} pairs")
    for race in measured(sys.argv[1:]):
        best = [min(by_rate, key=middle) for by_rate in race["losses"]]
        rates = [
            RATES[by_rate.index(own)] * SCALE[race["optimizer"]]
            for by_rate, own in zip(race["losses"], best, strict=True)
        ]
        won, lost = best if race["ahead"] == "a" else best[::-1]
        clear = sum(own <= MOST * other for own, other in zip(won, lost, strict=True))
        unfair += clear < PAIRS
        sides = "; ".join(
            f"{lane} {middle(own):.3g} at {rate:.3g}"
            for lane, own, rate in zip(race["lanes"], best, rates, strict=True)
        )
        verdict = "" if clear == PAIRS else "  UNFAIR"
        print(f"  {race['name']:12} {race['steps']} steps: {sides}; clear in {clear} of {PAIRS}{verdict}")
    return int(unfair > 0)


if __name__ == "__main__":
    sys.exit(main())
