"""Drawing against torch: an array in float64, and a layer in float32 by `initialize_`. Exits with 1 if it is slower."""

import sys

import numpy as np
import torch
from torch import nn

import initnotes as ini

from ._timing import seconds

ROUNDS, CALLS = 9, 3


def _sampled() -> tuple[str, dict[str, float], float]:
    """Draw a float64 normal matrix as an array, against ``torch.randn``."""
    rng, shape = np.random.default_rng(1), (1024, 1024)
    contenders = {
        "Scheme.sample": lambda: ini.lecun_normal.sample(shape, rng),
        "torch.randn": lambda: torch.randn(shape, dtype=torch.float64),
    }
    return f"a normal matrix {shape}, float64", seconds(contenders, rounds=ROUNDS, calls=CALLS), 1.0


def _filled() -> tuple[str, dict[str, float], float]:
    """Fill a ``Linear`` as it comes, in float32, against torch's own initializer of the same law."""
    rng, layer = np.random.default_rng(1), nn.Linear(2048, 2048, bias=False)
    contenders = {
        "initialize_": lambda: ini.initialize_(layer, "he_normal", rng=rng),
        "kaiming_normal_": lambda: nn.init.kaiming_normal_(layer.weight),
    }
    return "Linear(2048, 2048), float32", seconds(contenders, rounds=ROUNDS, calls=CALLS), 1.5


def main() -> int:
    """Print the times, ours first, and their ratios; return 1 if an aim is missed."""
    missed = False
    for what, times, aim in (_sampled(), _filled()):
        (ours, own), (theirs, other) = times.items()
        missed |= own > aim * other
        print(f"{what}, {torch.get_num_threads()} threads, median of {ROUNDS} rounds of {CALLS}")
        print(
            f"  {ours} {1e3 * own:.1f} ms, {theirs} {1e3 * other:.1f} ms: {own / other:.2f} times (aim {aim:g})"
            f"{'  MISSED' if own > aim * other else ''}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
