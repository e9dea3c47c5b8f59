"""``make reprove``: execute every chapter with fresh seeds in place of the stored one and check the claims again.

Stored outputs replay one draw: that is a regression test. Fresh draws are the evidence. Nothing is stored. A claim that
does not hold raises in its cell; any such error is a failure, and so is a claim that is missing or has another verdict
than on the page. As many chapters run at a time as there are cores. The entropy that the seeds come from is printed, so
that a failure can be repeated: ``make reprove SEEDS=5 ENTROPY=...``.
"""

import argparse
import copy
import os
import secrets
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from nbformat import NotebookNode
from tqdm import tqdm

from .notebooks import ROOT, SEED_LINE, CellError, chapters, code_cells, execute, load, name_of, own_folders


@dataclass
class Trial:
    """One chapter executed with one fresh seed: how many claims it settled, and the failure if one did not hold."""

    chapter: str
    seed: int
    claims: int = 0
    failure: str = ""
    traceback: str = ""

    @property
    def result(self) -> str:
        """Say what came out."""
        held = f"all claims held ({self.claims})" if self.claims else "settles no claim"
        return self.failure or held


def stored_seed(notebook: NotebookNode) -> int:
    """Return the seed that the chapter's one cell tagged ``seed`` sets."""
    cells = code_cells(notebook, tag="seed")
    lines = [match for cell in cells for match in SEED_LINE.finditer(cell.source)]
    if len(cells) != 1 or len(lines) != 1:
        raise ValueError(f"needs exactly one cell tagged 'seed' with one line 'SEED = 1', found {len(cells)} cells")
    return int(lines[0].group(2))


def with_seed(notebook: NotebookNode, seed: int) -> NotebookNode:
    """Return a copy of the notebook whose seed cell sets `seed`."""
    stored_seed(notebook)
    changed = copy.deepcopy(notebook)
    (cell,) = code_cells(changed, tag="seed")
    cell.source = SEED_LINE.sub(rf"\g<1>{seed}", cell.source)
    return changed


def fresh_seeds(entropy: int, chapter: str, number: int) -> list[int]:
    """Return `number` seeds of 32 bits for a chapter: the same for the same entropy, whatever else is run."""
    sequence = np.random.SeedSequence([entropy, zlib.crc32(chapter.encode())])
    return [int(seed) for seed in sequence.generate_state(number)]


def verdicts(notebook: NotebookNode) -> list[tuple[int, str]]:
    """Return the number and the verdict of every claim that an executed notebook settles."""
    from initnotes import claims

    return sorted((claim["number"], claim["verdict"]) for claim in claims.collect(notebook))


def broken(stored: NotebookNode, fresh: NotebookNode) -> str:
    """Say which claims `fresh` does not settle as `stored` does; empty when it settles all."""
    for cell in code_cells(fresh, tag="raises-exception"):
        if any(output.get("ename") == "NotSupportedError" for output in cell.outputs):
            return f"{name_of(fresh, cell)}: its claim is not supported, and the tag raises-exception hides that"
    before, now = verdicts(stored), verdicts(fresh)
    return "" if now == before else f"claims settled: {now}; on the page: {before}"


def prove(path: Path, seed: int) -> Trial:
    """Execute one chapter with one seed."""
    try:
        stored = load(path)
        fresh = execute(with_seed(stored, seed), path.parent)
    except (CellError, ValueError) as failure:
        return Trial(path.stem, seed, failure=str(failure), traceback=getattr(failure, "traceback", ""))
    return Trial(path.stem, seed, len(verdicts(fresh)), broken(stored, fresh))


def false_failure_rate(paths: list[Path]) -> float:
    """Return the summed false-failure rate of the stored claims: about the chance that one clean run fails."""
    from initnotes import claims

    return sum(claim["false_failure_rate"] for path in paths for claim in claims.collect(load(path)))


def table(trials: list[Trial]) -> str:
    """Return one line per chapter and seed."""
    width = max(len(trial.chapter) for trial in trials)
    lines = [f"{'chapter':<{width}}  {'seed':>10}  result"]
    for trial in trials:
        lines.append(f"{trial.chapter:<{width}}  {trial.seed:>10}  {trial.result}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="make reprove", description="Check the claims with fresh seeds.")
    parser.add_argument("--seeds", type=int, default=5, help="fresh seeds per chapter (default 5)")
    parser.add_argument("--chapter", default="", help="one chapter; default: all")
    parser.add_argument("--entropy", type=int, default=None, help="repeat an earlier run that printed this number")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"SEEDS must be at least 1, got {options.seeds}")
    entropy: int = options.entropy if options.entropy is not None else secrets.randbits(128)
    own_folders()
    paths = chapters(root, options.chapter)
    print(f"Repeat this run with: make reprove SEEDS={options.seeds} ENTROPY={entropy}")
    jobs = [(path, seed) for path in paths for seed in fresh_seeds(entropy, path.stem, options.seeds)]
    trials: list[Trial] = []
    try:
        with Parallel(min(os.cpu_count() or 1, len(jobs)), return_as="generator") as run:
            for trial in tqdm(run(delayed(prove)(*job) for job in jobs), total=len(jobs), unit="chapter"):
                trials.append(trial)
                if trial.failure:
                    print(f"\n{trial.chapter}, seed {trial.seed}: {trial.failure}\n{trial.traceback}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted: the table shows what was finished.", file=sys.stderr)
    if trials:
        print(table(trials))
    rate = false_failure_rate(paths)
    print(f"A clean book fails such a run by chance: about {options.seeds} x {rate:.2g} = {options.seeds * rate:.2g}")
    finished = len(trials) == options.seeds * len(paths)
    return 0 if finished and not any(trial.failure for trial in trials) else 1


if __name__ == "__main__":
    sys.exit(main())
