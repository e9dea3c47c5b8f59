"""Assignment 12: low-rank pairs, what their first step does, new classes, and a wider layer.

- `lora`: three draws of at least 12,000 weights each, judged by `sampling.drawn` at α = 1e-6, and a zero that is exact.
  Power above 0.999 against a variance taken for a standard deviation and 1/√rank in place of `std`, whose spreads are
  20 % off or more, and against a uniform law for half of the points.
- `widen` is judged by what the wide network does: the function at inputs that nobody has seen, and, after two steps of
  gradient descent, whether each unit is its own. Every unit of the narrow networks is active on a quarter of the inputs
  or more, so that no right copy stays equal for lack of a gradient.
- The other requests are exact, to the tolerance that the notebook states.
"""

import math
from typing import Any

import numpy as np
from scipy import special, stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed, thrice

Array = np.ndarray
OPTIMIZERS, SCALINGS, LAWS = ("sgd", "adam"), ("alpha/r", "alpha/sqrt(r)"), ("fixed", "1/r")
SAMPLES, STEPS, RATE = 400, 2, 0.1  # of the training that tells units apart
APART = 1e-7  # of their size: what units must differ by then; rounding gives 1e-16


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw two ranks with their scaling and law, a rate, a pair to step with, and classes beside new ones."""
    low = int(rng.choice([2, 4, 8]))
    ranks = [low, low * int(rng.choice([4, 8, 16]))]
    return {
        "phase": round(float(rng.uniform(0.5, 3.0)), 4),
        "rank": ranks[0],
        "new_rank": ranks[1],
        "scaling": str(rng.choice(SCALINGS)),
        "law": str(rng.choice(LAWS)),
        "rate": round(float(rng.uniform(0.01, 0.5)), 5),
        "scale": round(float(rng.uniform(1.5, 6.0)), 3),
        "classes": int(rng.integers(8, 30)),
        "new": int(rng.integers(2, 12)),
        "offset": round(float(rng.uniform(-8.0, -3.0)), 3),
    }


# ---------------------------------------------------------------------------------------------------------------------
# lora and first_moves


def _pairs(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for one layer thrice and for another one, each with 12,000 weights in A or more."""
    layers = [
        {
            "fan_out": int(rng.integers(30, 60)),
            "fan_in": int(rng.integers(400, 500)),
            "rank": int(rng.integers(32, 48)),
            "std": round(float(rng.uniform(0.02, 0.1)), 3),
        }
        for _ in range(2)
    ]
    return [*thrice(layers[0], rng), {**layers[1], "seed": a_seed(rng)}]


@judging.judge
def judge_lora(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Judge A as independent normal draws; a B that is not zero earns nothing."""
    first, zeros = [], []
    for value, asked in zip(values, arguments, strict=True):
        a, b = judging.parts(value, 2, what="the pair")
        first.append(a)
        zeros.append(judging.as_array(b, (asked["fan_out"], asked["rank"]), what="B"))
    shapes = [(asked["rank"], asked["fan_in"]) for asked in arguments]
    drawn = sampling.drawn(
        first, [stats.norm(scale=asked["std"]) for asked in arguments], shapes, [asked["seed"] for asked in arguments],
        what="A",
    )  # fmt: skip
    if any(np.any(b) for b in zeros):
        return judging.invalid("B is not zero: the network is another one before its first step.")
    return drawn


# The factors of a product, first one first: each kind with no zero, with one at either end and in between, with two.
CHAINS = (
    ("random", "zero"),
    ("zero", "random"),
    ("zero", "zero"),
    ("random", "random"),
    ("frozen", "zero"),
    ("random", "frozen zero"),
    ("random", "zero", "random"),
    ("zero", "frozen", "zero"),
    ("frozen zero", "random", "random"),
    ("random", "frozen", "zero", "random"),
    ("random", "frozen", "random"),
    ("zero", "frozen zero", "random"),
)


def _chains(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    return [{"factors": list(CHAINS[place])} for place in rng.permutation(len(CHAINS))]


def first_moves(factors: list[str]) -> list[int]:
    """Return the step at which each factor of a product moves first, 0 for never.

    Examples
    --------
    >>> first_moves(["random", "zero"]), first_moves(["zero", "zero"])
    ([2, 1], [0, 0])
    """
    zeros = [place for place, kind in enumerate(factors) if kind.endswith("zero")]
    found = []
    for place, kind in enumerate(factors):
        others = [zero for zero in zeros if zero != place]
        if kind.startswith("frozen") or len(others) > 1 or (others and place in zeros):
            found.append(0)
        elif others:
            found.append(0 if factors[others[0]].startswith("frozen") else 2)
        else:
            found.append(1)
    return found


@judging.judge
def judge_first_moves(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the steps of each product."""
    wanted, names = [first_moves(**asked) for asked in arguments], [" · ".join(asked["factors"]) for asked in arguments]
    return judging.cases(values, wanted, names, what="products")


# ---------------------------------------------------------------------------------------------------------------------
# first_step and matching_rate


def _steps(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for both optimizers, with a scale above 1 and with one below."""
    asked = []
    for optimizer in OPTIMIZERS:
        for scale in (float(rng.uniform(1.5, 6.0)), float(rng.uniform(0.1, 0.6))):
            out, fan_in, rank = (int(rng.integers(*limits)) for limits in ((4, 7), (7, 11), (2, 4)))
            arrays = {"G": rng.standard_normal((out, fan_in)), "A": rng.standard_normal((rank, fan_in))}
            asked.append({"optimizer": optimizer, **arrays, "scale": scale, "rate": float(rng.uniform(0.01, 0.3))})
    return asked


def first_step(optimizer: str, G: Array, A: Array, scale: float, rate: float) -> Array:
    """Return by how much W + s·B·A changes in the first step from B = 0."""
    gradient = scale * G @ A.T
    return -rate * scale * (gradient if optimizer == "sgd" else np.sign(gradient)) @ A


@judging.judge
def judge_first_step(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for SGD and half for Adam."""
    verdicts = [
        judging.close(value, first_step(**asked), rtol=1e-6, atol=1e-12, what=f"the first step of {asked['optimizer']}")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*(judging.combine(*verdicts[at : at + 2], every=True) for at in (0, 2)))


def _ranks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each optimizer, scaling and law, from a small rank to a large one and back."""
    asked = []
    for optimizer in OPTIMIZERS:
        for scaling in SCALINGS:
            for law in LAWS:
                small = int(rng.integers(1, 9))
                ranks = [small, small * int(rng.integers(3, 9))]
                ranks = ranks[:: int(rng.choice([1, -1]))]
                case = {"optimizer": optimizer, "scaling": scaling, "law": law, "rank": ranks[0], "new_rank": ranks[1]}
                asked.append({**case, "rate": float(rng.uniform(0.01, 1.0))})
    return [asked[place] for place in rng.permutation(len(asked))]


def matching_rate(optimizer: str, scaling: str, law: str, rank: int, new_rank: int, rate: float) -> float:
    """Return the rate at which the first step does at another rank what it did."""

    def effect(r: int) -> float:
        scale, std = r ** (-1.0 if scaling == "alpha/r" else -0.5), 1.0 if law == "fixed" else 1 / r
        return float(scale**2 * r * std**2 if optimizer == "sgd" else scale * r * std)

    return rate * effect(rank) / effect(new_rank)


@judging.judge
def judge_matching_rate(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for SGD and half for Adam."""
    verdicts = []
    for optimizer in OPTIMIZERS:
        pairs = [pair for pair in zip(values, arguments, strict=True) if pair[1]["optimizer"] == optimizer]
        found, wanted = [value for value, _ in pairs], [matching_rate(**asked) for _, asked in pairs]
        verdicts.append(judging.close(found, wanted, rtol=1e-6, what=f"the rates of {optimizer}"))
    return judging.combine(*verdicts)


# ---------------------------------------------------------------------------------------------------------------------
# rise and new_rows


def _logits(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for logits around 0, for some far below and far above it, and for one sample beside many."""
    asked = []
    for offset, samples in ((0.0, 1), (0.0, 40), (-3.0, 20), (-1000.0, 20), (1000.0, 20)):
        classes, new = int(rng.integers(3, 20)), int(rng.integers(1, 6))
        old = offset + 2 * rng.standard_normal((samples, classes))
        added = (0.0 if abs(offset) < 10 else offset) + 2 * rng.standard_normal((samples, new))
        asked.append({"old": old, "new": added})
    asked[3]["new"] = np.zeros_like(asked[3]["new"])  # zero rows, where the old logits are far below 0
    return asked


def rise(old: Array, new: Array) -> float:
    """Return the mean of ln(1 + Σ e^new / Σ e^old)."""
    gap = special.logsumexp(new, axis=1) - special.logsumexp(old, axis=1)
    return float(np.logaddexp(0, gap).mean())


@judging.judge
def judge_rise(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare all of them."""
    wanted = [rise(**asked) for asked in arguments]
    return judging.close(values, wanted, rtol=1e-6, atol=1e-12, what="the rises")


def _heads(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for heads whose rows, and whose biases, have a mean that is not 0."""
    asked = []
    for _ in range(2):
        classes, features = int(rng.integers(4, 12)), int(rng.integers(5, 12))
        weights = rng.uniform(0.3, 1.0) + rng.standard_normal((classes, features))
        biases = rng.uniform(-6.0, -2.0) + rng.standard_normal(classes)
        asked.append({"weights": weights, "biases": biases, "count": int(rng.integers(2, 6))})
    return asked


@judging.judge
def judge_new_rows(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare rows and biases with the means of the old ones."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        rows, biases = judging.parts(value, 2, what="rows and biases")
        count, (weights, old) = asked["count"], (asked["weights"], asked["biases"])
        wanted = np.tile(weights.mean(axis=0), (count, 1))
        verdicts.append(judging.close(rows, wanted, rtol=1e-6, atol=1e-9, what="the new rows"))
        verdicts.append(judging.close(biases, np.full(count, old.mean()), rtol=1e-6, atol=1e-9, what="the new biases"))
    return judging.combine(*verdicts, every=True)


# ---------------------------------------------------------------------------------------------------------------------
# widen


def _narrow(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw small networks to be widened by two units, to twice and to three times as many, and one more."""
    asked = []
    for more in (lambda n: n + 2, lambda n: 2 * n, lambda n: 3 * n + 1):
        inputs, units, outputs = (int(rng.integers(*limits)) for limits in ((4, 8), (4, 7), (2, 4)))
        W = rng.standard_normal((units, inputs)) / math.sqrt(inputs)
        b = rng.uniform(-0.3, 0.3, units) * np.linalg.norm(W, axis=1)  # active for 38 % to 62 % of normal inputs
        V = rng.standard_normal((outputs, units))
        asked.append({"W": W, "b": b, "V": V, "units": more(units)})
    return asked


def distance(W: Array, b: Array, V: Array, wide: tuple[Array, Array, Array]) -> tuple[float, float]:
    """Return how far a wide network's function is off, and how far apart its nearest units are after two steps.

    Both are relative: to the function's size, and to the rms norm of a unit's weights and bias.
    """
    rng = np.random.default_rng(18)
    x = rng.standard_normal((SAMPLES, W.shape[1]))
    target = 2 * rng.standard_normal((SAMPLES, len(V)))
    right = np.maximum(x @ W.T + b, 0) @ V.T
    w, c, v = (part.copy() for part in wide)
    off = float(np.abs(np.maximum(x @ w.T + c, 0) @ v.T - right).max() / np.abs(right).max())
    for _ in range(STEPS):
        z = x @ w.T + c
        error = (np.maximum(z, 0) @ v.T - target) / SAMPLES
        delta = (error @ v) * (z > 0)
        v = v - RATE * error.T @ np.maximum(z, 0)
        w, c = w - RATE * delta.T @ x, c - RATE * delta.sum(axis=0)
    rows = np.column_stack([w, c])
    size = math.sqrt(np.mean(np.sum(rows**2, axis=1)))
    gaps = np.linalg.norm(rows[:, None] - rows, axis=2) + np.where(np.eye(len(rows)), np.inf, 0)
    return off, float(gaps.min() / size) if size else 0.0


@judging.judge
def judge_widen(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for the function that is kept and, where it is, the other half for units that are their own."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        parts = judging.parts(value, 3, what="the wide network")
        units, (outputs, inputs) = asked["units"], (len(asked["V"]), asked["W"].shape[1])
        shapes = {"W": (units, inputs), "b": (units,), "V": (outputs, units)}
        wide = [
            judging.as_array(part, shape, what=f"{name} of the wide network")
            for part, (name, shape) in zip(parts, shapes.items(), strict=True)
        ]
        off, apart = distance(asked["W"], asked["b"], asked["V"], (wide[0], wide[1], wide[2]))
        if not off < 1e-9:
            verdicts.append(judging.invalid(f"{units} units: the function is off by {off:.2g} of its size."))
        elif not apart > APART:
            message = f"{units} units: the function is kept, and some units are still alike after {STEPS} steps."
            verdicts.append(Verdict(0.5, message))
        else:
            verdicts.append(Verdict(1.0, "the wide networks: right."))
    return judging.combine(*verdicts, every=True)


# ---------------------------------------------------------------------------------------------------------------------
# OWN


def wave(phase: float, *shape: int) -> Array:
    """Return numbers from −1 to 1 that belong to a phase, as the notebook does."""
    return np.sin(phase * np.arange(1, np.prod(shape) + 1) ** 2).reshape(shape)


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    phase, ranks = variant["phase"], [variant[key] for key in ("scaling", "law", "rank", "new_rank", "rate")]
    G, A = wave(phase, 5, 8), wave(phase + 1, 2, 8)
    steps = [first_step(name, G, A, variant["scale"], variant["rate"]) for name in OPTIMIZERS]
    old = variant["offset"] + 2 * wave(phase, 6, variant["classes"])
    found = {f"rate_{name}": matching_rate(name, *ranks) for name in OPTIMIZERS}
    found |= {f"step_{name}": float(np.sum(step**2)) for name, step in zip(OPTIMIZERS, steps, strict=True)}
    return {**found, "rise": rise(old, np.zeros((6, variant["new"])))}


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps12",
    title="Start from a trained network",
    requests=(
        Request("lora", "lora", 2.0, judge_lora, series=_pairs),
        Request("first_moves", "first_moves", 1.0, judge_first_moves, series=_chains),
        Request("first_step", "first_step", 1.0, judge_first_step, series=_steps),
        Request("matching_rate", "matching_rate", 2.0, judge_matching_rate, series=_ranks),
        Request("rise", "rise", 1.0, judge_rise, series=_logits),
        Request("new_rows", "new_rows", 1.0, judge_new_rows, series=_heads),
        Request("widen", "widen", 2.0, judge_widen, series=_narrow),
        Request("own", "OWN", 5.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
