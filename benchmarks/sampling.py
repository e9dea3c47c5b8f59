"""Drawing a float64 normal matrix with `Scheme.sample`, against ``torch.randn``. Exits with 1 if it is slower."""

import sys

import numpy as np
import torch

import initnotes as ini

from ._timing import seconds

SHAPE, ROUNDS, CALLS = (1024, 1024), 9, 5
LARGEST = 1.0  # times torch.randn


def main() -> int:
    """Print both times and their ratio; return 1 if the aim is missed."""
    rng = np.random.default_rng(1)
    scheme = ini.Scheme(scale=1.0, mode="fan_in", distribution="normal")
    contenders = {
        "sample": lambda: scheme.sample(SHAPE, rng),
        "randn": lambda: torch.randn(SHAPE, dtype=torch.float64),
    }
    times = seconds(contenders, rounds=ROUNDS, calls=CALLS)
    ratio = times["sample"] / times["randn"]
    print(f"a normal matrix {SHAPE}, float64, {torch.get_num_threads()} threads, median of {ROUNDS} rounds of {CALLS}")
    print(
        f"  Scheme.sample {1e3 * times['sample']:.1f} ms, torch.randn {1e3 * times['randn']:.1f} ms: {ratio:.2f} times"
        f" (aim {LARGEST:g}) {'' if ratio <= LARGEST else '  MISSED'}"
    )
    return int(ratio > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
