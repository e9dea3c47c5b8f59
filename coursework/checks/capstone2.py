"""Capstone 2: the start of a small GPT-2, a forecast of its first ten steps, and a race against the default.

The networks are trained here, on a language whose tokens are shuffled after the work was handed in, so that weights
that were trained beforehand know nothing.

α and power:

- `start_loss`, `branch_size`: exact.
- `initialize`: 25 pairs of networks, trained on the same batches; a 26th call repeats a seed. Each network counts with
  its loss at the best rate of a grid. A start that is no better wins a pair with probability ½ or less, and so 24 or
  more with 26/2²⁵ < 10⁻⁶; 19 or more, which give half of the points, with 0.0073. With the published start the log
  ratio of losses has a mean of −0.18 and a standard deviation of 0.045: a pair is missed with 3·10⁻⁵, and two of
  them, which cost points, with 3·10⁻⁷ (2·10⁻⁵ if the spread were 15 % wider).
- `prediction`: the mean loss of 25 networks strays by 0.03 or less between seeds, and falls by 0.6 in ten steps. A
  centered band of the width 0.4 fails six deviations away; one that stays at ln 16 loses most of its steps.
"""

import functools
import math
from typing import Any

import numpy as np
from scipy import special, stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed

VOCABULARY, CONTEXT, WIDTH, BLOCKS, HEADS = 16, 8, 32, 2, 2
ROLES = ["token", "position", *["query", "key", "value", "attention_out", "mlp_in", "mlp_out"] * BLOCKS]
SIZES = {
    "token": [WIDTH, VOCABULARY],
    "position": [WIDTH, CONTEXT],
    "mlp_in": [4 * WIDTH, WIDTH],
    "mlp_out": [WIDTH, 4 * WIDTH],
}
SHAPES = [SIZES.get(role, [WIDTH, WIDTH]) for role in ROLES]
PAIRS, RATES, STEPS, LAST, BATCH = 25, (0.003, 0.01, 0.03), 24, 12, 16
FORESEEN, RATE, WIDEST = 10, 0.01, 0.4
WANTED = next(wins for wins in range(PAIRS) if stats.binom.sf(wins - 1, PAIRS, 0.5) < sampling.ALPHA)


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw logits and weights that are the student's own, and what only the marker knows."""
    return {
        "spread": round(float(rng.uniform(0.6, 1.6)), 3),
        "own": round(float(rng.uniform(2.0, 5.0)), 3),
        "first": round(float(rng.uniform(0.05, 0.4)), 4),
        "last": round(float(rng.uniform(0.02, 0.1)), 4),
        "_shuffle": int(rng.integers(2**31)),
    }


def _logits(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for logits of zero, for small and large ones, for an own one that decides, and for a huge one."""
    spreads = (0.0, rng.uniform(0.3, 0.8), rng.uniform(1.0, 2.0), rng.uniform(0.3, 0.8), 1.0)
    owns = (0.0, rng.uniform(0.5, 1.5), rng.uniform(0.5, 1.5), rng.uniform(5.0, 9.0), rng.uniform(900, 1100))
    return [
        {"vocabulary": int(rng.integers(12, 60)), "spread": float(spread), "own": float(own)}
        for spread, own in zip(spreads, owns, strict=True)
    ]


def start_loss(vocabulary: int, spread: float, own: float) -> float:
    """Return the loss of logits that know nothing of the target."""
    return float(np.logaddexp(math.log(vocabulary - 1) + spread**2 / 2, own))


def judge_loss(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare each loss."""
    verdicts = [
        judging.close(value, start_loss(**asked), rtol=1e-6, what="a loss at step 0")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def _branches(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for small, middle and large inputs of the activation."""
    asked = []
    for low, high in ((0.05, 0.3), (0.8, 1.2), (3.0, 6.0)):
        width, hidden = int(rng.integers(16, 200)), int(rng.integers(300, 900))
        first = float(rng.uniform(low, high)) / math.sqrt(width)
        asked.append({"width": width, "hidden": hidden, "first": first, "last": float(rng.uniform(0.01, 0.2))})
    return asked


NODES, WEIGHTS = np.polynomial.legendre.leggauss(800)


def branch_size(width: int, hidden: int, first: float, last: float) -> float:
    """Return hidden · last² · E gelu²."""
    xi = 10 * NODES
    z = first * math.sqrt(width) * xi
    square = 10 * WEIGHTS @ (np.exp(-xi * xi / 2) * (z * special.ndtr(z)) ** 2) / math.sqrt(2 * math.pi)
    return float(hidden * last**2 * square)


def judge_branch(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare each size."""
    verdicts = [
        judging.close(value, branch_size(**asked), rtol=1e-3, what="the mean square of a branch")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def _starts(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for a start for each pair, and once more with the first seed."""
    seeds = [a_seed(rng) for _ in range(PAIRS)]
    return [{"roles": ROLES, "shapes": SHAPES, "blocks": BLOCKS, "seed": seed} for seed in [*seeds, seeds[0]]]


Start = list[np.ndarray]


def _start(value: Any) -> Start:
    """Return the matrices that a student's function returned, or refuse them."""
    found = judging.parts(value, len(ROLES), what="the list of matrices")
    return [
        judging.as_array(matrix, shape, what=f"the matrix of a {role}")
        for matrix, shape, role in zip(found, SHAPES, ROLES, strict=True)
    ]


def _seeded(starts: list[Start], arguments: list[dict[str, Any]]) -> Verdict:
    flat = [np.concatenate([matrix.ravel() for matrix in start]) for start in starts]
    return sampling.seeded(flat, [asked["seed"] for asked in arguments], what="the start")


@functools.cache
def _language() -> Any:
    import initnotes as ini  # late: only what trains needs it

    return ini.data.markov(VOCABULARY, 1, rng=np.random.default_rng(1))


def losses(starts: list[Start], rate: float, steps: int, seeds: tuple[int, ...]) -> np.ndarray:
    """Train starts side by side with Adam, in float32, on sequences and batches that follow from the seeds."""
    import torch

    import initnotes as ini

    rng = np.random.default_rng([*seeds, 2])
    kind = {"heads": HEADS, "replicas": len(starts), "dtype": "float32", "rng": rng}
    net = ini.networks.Transformer(VOCABULARY, CONTEXT, WIDTH, BLOCKS, "gpt2", **kind)
    with np.errstate(over="ignore"):
        for at, weight in enumerate(net.weights):
            weight.copy_(torch.from_numpy(np.stack([start[at] for start in starts])))
    shuffled = rng.permutation(VOCABULARY)
    x, y = (shuffled[part.astype(int)] for part in _language().sequences(2000, CONTEXT, rng=rng))
    training = {"lr": rate, "steps": steps, "batch_size": BATCH, "optimizer": "adam", "rng": rng}
    return np.asarray(ini.training.train(net, x.astype(float), y, **training).loss, dtype=float)


def default(rng: np.random.Generator) -> Start:
    """Draw what PyTorch draws if nobody says otherwise."""
    return [
        rng.standard_normal(shape) if role in ("token", "position") else rng.uniform(-1, 1, shape) / math.sqrt(shape[1])
        for role, shape in zip(ROLES, SHAPES, strict=True)
    ]


def ends(starts: list[Start], seeds: tuple[int, ...], steps: int) -> np.ndarray:
    """Return the mean loss over the last steps at each rate of the grid, (rates, networks); none where it diverged."""
    return np.array([losses(starts, rate, steps, seeds)[:, -LAST:].mean(axis=1) for rate in RATES])


@functools.lru_cache(maxsize=4)
def _defaults(seeds: tuple[int, ...], steps: int) -> np.ndarray:
    rng = np.random.default_rng([*seeds, 1])
    return ends([default(rng) for _ in range(PAIRS)], seeds, steps)


@judging.judge
def judge_initialize(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Train the pairs at each rate and test the signs: 24 of 25 must be won for α, 19 for half of the points."""
    starts = [_start(value) for value in values]
    seeded = _seeded(starts, arguments)
    if seeded.share < 1:
        return seeded
    seeds = (variant["_shuffle"], arguments[0]["seed"])
    yours, theirs = ends(starts[:PAIRS], seeds, STEPS), _defaults(seeds, STEPS)
    yours, theirs = (np.where(np.isfinite(each), each, np.inf).min(axis=0) for each in (yours, theirs))
    wins = int(np.sum(yours < theirs))
    p = float(stats.binom.sf(wins - 1, PAIRS, 0.5))
    pairs, shown = np.arange(1, PAIRS + 1), np.isfinite(yours)
    curves = {"yours": (pairs[shown], np.sort(yours[shown])), "default": (pairs, np.sort(theirs))}
    plot = judging.draw_plot("Losses at the best of three rates, sorted", "network", "loss", **curves)
    share = 1.0 if p < sampling.ALPHA else 0.5 if p < 0.01 else 0.0
    return Verdict(share, f"Your loss is below the default's in {wins} of {PAIRS} pairs; {WANTED} are wanted.", p, plot)


@judging.judge
def judge_prediction(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Train 25 networks for ten steps: steps whose mean is in the band share half of the points, all have the rest."""
    rows = [judging.parts(value, 3, what="what entry returns") for value in values]
    starts = [_start(start) for start, _, _ in rows]
    seeded = _seeded(starts, arguments)
    if seeded.share < 1:
        return seeded
    low, high = (judging.as_array(rows[0][at], (FORESEEN + 1,), what=("low", "high")[at - 1]) for at in (1, 2))
    if np.any(high - low > WIDEST + 1e-9) or np.any(high < low):
        return judging.invalid(f"the band is wider than {WIDEST} somewhere, or its low is above its high.")
    seeds = (variant["_shuffle"], arguments[0]["seed"], 3)
    found = losses(starts[:PAIRS], RATE, FORESEEN, seeds).mean(axis=0)
    inside = (low <= found) & (found <= high)
    steps = np.arange(FORESEEN + 1)
    curves = {
        "low": (steps, low),
        "high": (steps, high),
        "mean_of_25": (steps[np.isfinite(found)], found[np.isfinite(found)]),
    }
    plot = judging.draw_plot("The first ten steps", "step", "loss", **curves)
    share = 1.0 if inside.all() else float(inside.mean()) / 2
    return Verdict(share, f"{int(inside.sum())} of {FORESEEN + 1} steps are in your band.", None, plot)


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    return {
        "loss": start_loss(VOCABULARY, variant["spread"], variant["own"]),
        "branch": branch_size(WIDTH, 4 * WIDTH, variant["first"], variant["last"]),
    }


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="capstone2",
    title="A small GPT-2, its start and its first ten steps",
    offers=("data",),
    requests=(
        Request("start_loss", "start_loss", 2.0, judge_loss, series=_logits),
        Request("branch_size", "branch_size", 2.0, judge_branch, series=_branches),
        Request("initialize", "initialize", 4.0, judge_initialize, series=_starts, seconds=20.0),
        Request("prediction", "entry", 4.0, judge_prediction, series=_starts, seconds=20.0),
        Request("own", "OWN", 6.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
