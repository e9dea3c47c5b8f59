"""Assignment 5: Glorot's two laws, fans that a shape does not show, and the compromise between them.

Power, at α = 1e-6 for each judged request:

- `glorot_normal`, `glorot_uniform`: two draws of at least 12,000 weights each, judged by `sampling.drawn`. Above 0.999
  against equation 1 of the paper and 1/fan_in (here at least 13 % off in the standard deviation), 2 lost or doubled,
  the bound of the uniform law taken for its std (√3), and each law in place of the other (half the points).
- `fans`, `network_factors`, `compromise`: exact. 24 layers of three kinds are asked for; one kind is absent with
  probability 2e-4, and is then not counted.
"""

import math
from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict

KINDS = ("linear", "conv", "transposed")
MODES = ("fan_in", "fan_out", "fan_avg")
CALLS = 24


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a grouped and a transposed convolution, the widths of a network, and what its gradient is worth."""
    return {
        "conv": _layer("conv", rng),
        "transposed": _layer("transposed", rng),
        "widths": [int(n) for n in rng.choice(np.arange(16, 400, 8), size=6, replace=False)],
        "gradient_weight": round(float(rng.choice([0.2, 0.25, 0.3, 0.35, 0.6, 0.65, 0.7, 0.75, 0.8])), 2),
    }


def _layer(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a layer whose two channel counts differ, in the shape that torch stores."""
    groups = 1 if kind == "linear" else int(rng.choice([2, 4, 8] if kind == "conv" else [1, 1, 2, 4]))
    few, many = groups * int(rng.integers(2, 6)), groups * int(rng.integers(7, 16))
    channels_in, channels_out = (few, many) if rng.random() < 0.5 else (many, few)
    kernel = [] if kind == "linear" else [int(rng.choice([1, 3, 5, 7])) for _ in range(int(rng.integers(1, 3)))]
    first, second = (channels_in, channels_out) if kind == "transposed" else (channels_out, channels_in)
    return {"kind": kind, "shape": [first, second // groups, *kernel], "groups": groups}


def true_fans(kind: str, shape: list[int], groups: int) -> tuple[int, int]:
    """Return what one output sums over and one input feeds, at stride 1 and away from the borders."""
    first, second, *kernel = shape
    field = math.prod(kernel)
    by_group = first // groups * field
    return (by_group, second * field) if kind == "transposed" else (second * field, by_group)


def _any_layer(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    return _layer(KINDS[rng.integers(len(KINDS))], rng)


def judge_fans(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give a third for each kind of layer whose fans are all right."""
    right: dict[str, bool] = {}
    for value, asked in zip(values, arguments, strict=True):
        good = judging.equal(value, true_fans(**asked), "the fans").share == 1
        right[asked["kind"]] = right.get(asked["kind"], True) and good
    return judging.fraction(right, what="fans, by kind of layer")


def _weights(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Ask for at least 12,000 weights of a layer with four groups, whose fans differ by a factor of 2 or more."""
    shape = [4 * int(rng.integers(50, 66)), int(rng.integers(20, 26)), 3]
    fan_in, fan_out = true_fans("conv" if rng.random() < 0.5 else "transposed", shape, groups=4)
    return {"shape": shape, "fan_in": fan_in, "fan_out": fan_out, "seed": int(rng.integers(2**31))}


def _glorot_std(asked: dict[str, Any]) -> float:
    return math.sqrt(2 / (asked["fan_in"] + asked["fan_out"]))


def judge_normal(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Test the draws against N(0, 2/(fan_in + fan_out))."""
    laws = [stats.norm(scale=_glorot_std(asked)) for asked in arguments]
    return sampling.drawn(values, laws, [asked["shape"] for asked in arguments], what="the weights")


def judge_uniform(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Test the draws against the uniform law of the same variance."""
    bounds = [math.sqrt(3) * _glorot_std(asked) for asked in arguments]
    laws = [stats.uniform(-bound, 2 * bound) for bound in bounds]
    return sampling.drawn(values, laws, [asked["shape"] for asked in arguments], what="the weights")


def _network(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Ask for the student's widths with other ends, in one of the modes."""
    widths = [int(rng.integers(10, 300)), *variant["widths"], int(rng.integers(10, 300))]
    return {"widths": widths, "mode": MODES[rng.integers(len(MODES))]}


def judge_factors(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give a third for each mode whose two products are right."""
    right: dict[str, bool] = {}
    for value, asked in zip(values, arguments, strict=True):
        n_in, n_out = np.array(asked["widths"][:-1], float), np.array(asked["widths"][1:], float)
        fan = {"fan_in": n_in, "fan_out": n_out, "fan_avg": (n_in + n_out) / 2}[asked["mode"]]
        wanted = [np.prod(n_in / fan), np.prod(n_out / fan)]
        good = judging.close(value, wanted, rtol=1e-6, what="the factors").share == 1
        right[asked["mode"]] = right.get(asked["mode"], True) and good
    return judging.fraction(right, what="factors forward and backward, by mode")


def _one_layer(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    fan_in, fan_out = (int(n) for n in rng.integers(10, 1000, size=2))
    return {"fan_in": fan_in, "fan_out": fan_out, "gradient_weight": variant["gradient_weight"]}


def judge_compromise(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the weighted geometric mean, which has the smallest cost."""
    wanted = [
        asked["fan_in"] ** (asked["gradient_weight"] - 1.0) * asked["fan_out"] ** -asked["gradient_weight"]
        for asked in arguments
    ]
    return judging.close(values, wanted, rtol=1e-3, what="the variances of a weight, layer by layer")


ASSIGNMENT = Assignment(
    name="ps5",
    title="Glorot's laws and the compromise of the fans",
    requests=(
        Request("fans", "fans", 3.0, judge_fans, _any_layer, repeats=CALLS),
        Request("glorot_normal", "glorot_normal", 2.0, judge_normal, _weights, repeats=2),
        Request("glorot_uniform", "glorot_uniform", 2.0, judge_uniform, _weights, repeats=2),
        Request("network_factors", "network_factors", 2.0, judge_factors, _network, repeats=CALLS),
        Request("compromise", "compromise", 1.0, judge_compromise, _one_layer, repeats=3),
    ),
    make_variant=make_variant,
)
