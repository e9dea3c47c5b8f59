"""Assignment 9: the stream of a residual network, the size of its branches, and what the first update does.

α = 1e-6 for `draw_branch`, by Bonferroni over all tests of all draws; the other requests are exact. Each named wrong
answer differs from the right one by more than its tolerance for every variant and in every marking: factors on the
matrices lie 5 % or more from 1; each form is asked with full branches in a few blocks, where what adds rms values,
forgets a square or a normalization, or takes ln(growth)/L for growth^(1/L) − 1 is off by 1 % and more.

Power of `draw_branch`, whose draws have 15,000 values and more: above 0.999 against a spread that is off by 6 %, a
uniform law, and matrices that are copies of each other (tests/test_coursework_power.py).
"""

import itertools
import math
from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, thrice

FORMS = ("pre", "inner", "norm")
TENSORS = ("stem", "first", "last", "alpha", "head")


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a network's depth, the factors of its branches, a growth that is wanted, and powers of the depth."""
    blocks = int(rng.integers(14, 41))
    return {
        "blocks": blocks,
        "alpha": round(float(rng.uniform(0.15, 0.35)), 4),
        "first": round(float(rng.uniform(0.7, 0.95)), 3),
        "last": round(float(rng.uniform(0.7, 0.95)), 3),
        "growth": round(float(rng.uniform(2.0, 6.0)), 3),
        "power": round(float(rng.uniform(-0.9, -0.5)), 3),
        "power_first": round(float(rng.uniform(-0.3, -0.05)), 3),
        "deep": int(rng.integers(2 * blocks, 4 * blocks)),
    }


def _off_one(rng: np.random.Generator) -> float:
    """Return a factor on a matrix, well above or below 1."""
    return float(rng.uniform(0.7, 0.95) if rng.random() < 0.5 else rng.uniform(1.05, 1.3))


def _streams(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each form twice: a branch of full size in a few blocks, and a small one in many."""
    asked = []
    for form in FORMS:
        for alpha, blocks in (
            (rng.uniform(0.6, 1.2), rng.integers(3, 7)),
            (rng.uniform(0.15, 0.3), rng.integers(14, 41)),
        ):
            factors = {"alpha": float(alpha), "first": _off_one(rng), "last": _off_one(rng)}
            asked.append({"form": form, **factors, "blocks": int(blocks)})
    return asked


def stream(form: str, alpha: float, first: float, last: float, blocks: int) -> np.ndarray:
    """Return E x² in front of the first block and behind each."""
    added = (1 if form == "pre" else 2) * (alpha * first * last) ** 2
    count = np.arange(blocks + 1)
    return 1 + added * count if form == "norm" else (1 + added) ** count


def judge_stream(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare all numbers of each stream."""
    verdicts = [
        judging.close(value, stream(**asked), rtol=1e-6, what=f"E x² of the form {asked['form']!r}, block by block")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def _growths(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each form in a shallow and in a deep network."""
    asked = []
    for form in FORMS:
        for low, high in ((2, 7), (14, 41)):
            factors = {"first": _off_one(rng), "last": _off_one(rng), "blocks": int(rng.integers(low, high))}
            asked.append({"form": form, **factors, "growth": float(rng.uniform(2.0, 6.0))})
    return asked


def alpha_of(form: str, first: float, last: float, blocks: int, growth: float) -> float:
    """Return the multiplier with which the mean square grows so."""
    added = (growth - 1) / blocks if form == "norm" else math.expm1(math.log(growth) / blocks)
    return math.sqrt(added / (1 if form == "pre" else 2)) / (first * last)


def judge_alpha(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare each multiplier."""
    verdicts = [
        judging.close(value, alpha_of(**asked), rtol=1e-6, what=f"alpha of {asked['form']!r}, {asked['blocks']} blocks")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def _measured(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask about two streams whose branches are of any size, one that doubles and one that adds the same each time."""
    steps = rng.uniform(0.05, 1.5, size=int(rng.integers(6, 13)))
    level = np.full(int(rng.integers(6, 13)), 1 / rng.integers(2, 9))
    return [
        {"squares": (float(rng.uniform(0.5, 2.0)) * np.cumprod([1.0, *(1 + part)])).tolist()} for part in (steps, level)
    ]


def judge_shares(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the shares of the stem and of all branches."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        squares = np.asarray(asked["squares"])
        wanted = np.diff(squares, prepend=0.0) / squares[-1]
        verdicts.append(judging.close(value, wanted, rtol=1e-6, what="the shares of x_0 and of the branches"))
    return judging.combine(*verdicts, every=True)


def _starts(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for all 32 starts, in an order of chance."""
    names = ("head", "first", "last", "alpha", "learned")
    starts = list(itertools.product((True, False), repeat=len(names)))
    return [dict(zip(names, starts[at], strict=True)) for at in rng.permutation(len(starts))]


def first_moves(head: bool, first: bool, last: bool, alpha: bool, learned: bool) -> dict[str, int]:
    """Return the first step that changes each tensor, 0 for none.

    A ReLU of zeros passes nothing forward and nothing back, so that W₁ = 0 shuts the branch for good. If the head is
    zero, it moves first, and what the rest needs is there a step later.
    """
    delay = 1 if head else 2
    steps = {"stem": delay, "head": 1, "first": 0, "last": 0, "alpha": 0}
    if not first or not (last or alpha) or not (alpha or learned):
        return steps
    steps["last"] = delay if alpha else delay + 1  # alpha has to move first
    steps["first"] = delay if alpha and last else delay + 1
    if learned:
        steps["alpha"] = delay if last else delay + 1
    return steps


def judge_moves(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare all five steps of each start."""
    names = ["-".join(key for key, on in asked.items() if on) or "all zero" for asked in arguments]
    wanted = [first_moves(**asked) for asked in arguments]
    return judging.cases(values, wanted, names, what="starts whose five steps are right")


def _branches(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for one branch, with two seeds; no matrix is square, and each has 15,000 values or more."""
    width = int(rng.integers(96, 121))
    hidden = int(rng.integers(round(1.6 * width), 2 * width))
    return thrice({"width": width, "hidden": hidden, "alpha": float(rng.uniform(0.1, 0.4))}, rng)


@judging.judge
def judge_draw(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Test both matrices, a third of α each, and that they are not copies of each other, which earns nothing."""
    width, hidden, alpha = (arguments[0][name] for name in ("width", "hidden", "alpha"))
    seeds = [asked["seed"] for asked in arguments]
    pairs = [judging.parts(value, 2, what="the result [W1, W2]") for value in values]
    sizes = (math.sqrt(2 / width), alpha * math.sqrt(2 / hidden))
    shapes = ((hidden, width), (width, hidden))
    verdicts = [
        sampling.drawn(
            [pair[at] for pair in pairs],
            [stats.norm(0, sizes[at])] * len(pairs),
            [shapes[at]] * len(pairs),
            seeds,
            what=f"W{at + 1}",
            alpha=sampling.ALPHA / 3,
        )
        for at in range(2)
    ]
    found = judging.combine(*verdicts)
    if not found.share:
        return found
    inner, outer = (judging.as_array(part, shape, what="W") for part, shape in zip(pairs[0], shapes, strict=True))
    for other in (outer.ravel(), outer.T.ravel()):
        rows = np.stack([inner.ravel() / sizes[0], other / sizes[1]])
        apart = sampling.uncorrelated(rows, rows.shape, what="W1 and W2", alpha=sampling.ALPHA / 6)
        if apart.share < 1:
            return judging.invalid("W1 and W2 hold the same random numbers; draw each of them.")
    return found


def _depths(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each optimizer: each of the matrices the larger one, and each of them zero; the stream is level."""
    asked = []
    for optimizer in ("sgd", "adam"):
        for kind in range(4):
            low, high = -float(rng.uniform(0.4, 0.8)), -float(rng.uniform(0.05, 0.3))
            first, last = ((high, low), (low, high), (high, None), (None, high))[kind]
            blocks = int(rng.integers(4, 17))
            powers = {"alpha": -float(rng.uniform(0.2, 0.9)), "first": first, "last": last}
            asked.append(
                {**powers, "optimizer": optimizer, "blocks": blocks, "other": blocks * int(rng.integers(2, 7))}
            )
    return asked


def rate_factor(
    alpha: float, first: float | None, last: float | None, optimizer: str, blocks: int, other: int
) -> float:
    """Return the factor that keeps the first update of the function as large as it was."""
    larger = max(-math.inf if power is None else power for power in (first, last))
    return float((other / blocks) ** -(1 + (2 if optimizer == "sgd" else 1) * (alpha + larger)))


def judge_rate(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the factors: half for each optimizer whose factors are all right."""
    verdicts = []
    for optimizer in ("sgd", "adam"):
        pairs = [pair for pair in zip(values, arguments, strict=True) if pair[1]["optimizer"] == optimizer]
        wanted = [rate_factor(**asked) for _, asked in pairs]
        what = f"the factors on the rate under {optimizer}"
        verdicts.append(judging.close([value for value, _ in pairs], wanted, rtol=1e-6, what=what))
    return judging.combine(*verdicts)


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    blocks, first, last = (variant[name] for name in ("blocks", "first", "last"))
    squares = stream("inner", variant["alpha"], first, last, blocks)
    return {
        "end": float(squares[-1]),
        "alpha": alpha_of("norm", first, last, blocks, variant["growth"]),
        "share": float(1 - squares[-2] / squares[-1]),
        "rate": rate_factor(variant["power"], variant["power_first"], None, "adam", blocks, variant["deep"]),
    }


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps9",
    title="A residual stream, at step 0 and step 1",
    requests=(
        Request("stream", "stream", 2.0, judge_stream, series=_streams),
        Request("choose_alpha", "choose_alpha", 2.0, judge_alpha, series=_growths),
        Request("shares", "shares", 1.0, judge_shares, series=_measured),
        Request("first_moves", "first_moves", 2.0, judge_moves, series=_starts),
        Request("draw_branch", "draw_branch", 2.0, judge_draw, series=_branches),
        Request("rate_factor", "rate_factor", 1.0, judge_rate, series=_depths),
        Request("own", "OWN", 5.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
