"""Assignment 5: Glorot's two laws, fans that a shape does not show, and the compromise between them.

Power, at α = 1e-6 for each judged request:

- `glorot_normal`, `glorot_uniform`: three draws of at least 12,000 weights each, judged by `sampling.drawn`. Above
  0.999 against equation 1 of the paper and 1/fan_in (here at least 13 % off in the standard deviation), 2 lost or
  doubled, the bound of the uniform law taken for its std (√3), and each law in place of the other (half the points).
- `fans`, `network_factors`, `compromise`: exact. Each marking asks for eight layers of each kind, with and without
  groups and with one and two axes of the kernel, for each mode, and for fans of both orders.
"""

import itertools
import math
from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed, thrice

KINDS = ("linear", "conv", "transposed")
MODES = ("fan_in", "fan_out", "fan_avg")


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a grouped and a transposed convolution, the widths of a network, and what its gradient is worth."""
    return {
        "conv": _layer("conv", rng, wide=bool(rng.integers(2))),
        "transposed": _layer("transposed", rng, grouped=False, wide=bool(rng.integers(2))),
        "widths": [int(n) for n in rng.choice(np.arange(16, 400, 8), size=6, replace=False)],
        "gradient_weight": round(float(rng.choice([0.2, 0.25, 0.3, 0.35, 0.6, 0.65, 0.7, 0.75, 0.8])), 2),
    }


def _layer(
    kind: str, rng: np.random.Generator, *, grouped: bool = True, axes: int = 2, wide: bool = True
) -> dict[str, Any]:
    """Draw a layer whose two channel counts differ, in the shape that torch stores."""
    groups = int(rng.choice([2, 4, 8])) if grouped and kind != "linear" else 1
    few, many = groups * int(rng.integers(2, 6)), groups * int(rng.integers(7, 16))
    channels_in, channels_out = (few, many) if wide else (many, few)
    kernel = [] if kind == "linear" else [int(rng.choice([2, 3, 5, 7])) for _ in range(axes)]
    first, second = (channels_in, channels_out) if kind == "transposed" else (channels_out, channels_in)
    return {"kind": kind, "shape": [first, second // groups, *kernel], "groups": groups}


def true_fans(kind: str, shape: list[int], groups: int) -> tuple[int, int]:
    """Return what one output sums over and one input feeds, at stride 1 and away from the borders."""
    first, second, *kernel = shape
    field = math.prod(kernel)
    by_group = first // groups * field
    return (by_group, second * field) if kind == "transposed" else (second * field, by_group)


def _layers(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw eight layers of each kind: grouped and not, with one axis and two, wide and tall."""
    cases = itertools.product(KINDS, (True, False), (1, 2), (True, False))
    return [_layer(kind, rng, grouped=grouped, axes=axes, wide=wide) for kind, grouped, axes, wide in cases]


def judge_fans(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give a third for each kind of layer whose fans are all right."""
    right: dict[str, bool] = {}
    for value, asked in zip(values, arguments, strict=True):
        good = judging.equal(value, true_fans(**asked), "the fans").share == 1
        right[asked["kind"]] = right.get(asked["kind"], True) and good
    return judging.fraction(right, what="fans, by kind of layer")


def _weights(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for at least 12,000 weights of two layers with four groups, whose fans differ by a factor of 2 or more.

    The first layer has the larger fan below, the second above, or the other way round; the fans do not follow from the
    shapes alone.
    """
    layers = []
    for kind in rng.permutation(["conv", "transposed"]):
        shape = [4 * int(rng.integers(50, 66)), int(rng.integers(20, 26)), 3]
        fan_in, fan_out = true_fans(kind, shape, groups=4)
        layers.append({"shape": shape, "fan_in": fan_in, "fan_out": fan_out})
    return [*thrice(layers[0], rng), {**layers[1], "seed": a_seed(rng)}]


def _glorot_std(asked: dict[str, Any]) -> float:
    return math.sqrt(2 / (asked["fan_in"] + asked["fan_out"]))


def judge_normal(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Test the draws against N(0, 2/(fan_in + fan_out))."""
    return _drawn(values, arguments, [stats.norm(scale=_glorot_std(asked)) for asked in arguments])


def judge_uniform(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Test the draws against the uniform law of the same variance."""
    bounds = [math.sqrt(3) * _glorot_std(asked) for asked in arguments]
    laws = [stats.uniform(-bound, 2 * bound) for bound in bounds]
    return _drawn(values, arguments, laws)


def _drawn(values: list[Any], arguments: list[dict[str, Any]], laws: list[Any]) -> Verdict:
    shapes, seeds = ([asked[key] for asked in arguments] for key in ("shape", "seed"))
    return sampling.drawn(values, laws, shapes, seeds, what="the weights")


def _networks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for the student's widths with other ends, narrower in front or behind, in each of the modes."""
    asked = []
    for mode, narrow in itertools.product(MODES, (True, False)):
        ends = [int(rng.integers(10, 100)), int(rng.integers(200, 400))][:: 1 if narrow else -1]
        asked.append({"widths": [ends[0], *rng.permutation(variant["widths"]).tolist(), ends[1]], "mode": mode})
    return asked


def factors(widths: list[int], mode: str) -> list[float]:
    """Return the products of all layers' factors, forward and backward."""
    n_in, n_out = np.array(widths[:-1], float), np.array(widths[1:], float)
    fan = {"fan_in": n_in, "fan_out": n_out, "fan_avg": (n_in + n_out) / 2}[mode]
    return [float(np.prod(n_in / fan)), float(np.prod(n_out / fan))]


def judge_factors(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give a third for each mode whose two products are right."""
    right: dict[str, bool] = {}
    for value, asked in zip(values, arguments, strict=True):
        good = judging.close(value, factors(**asked), rtol=1e-6, what="the factors").share == 1
        right[asked["mode"]] = right.get(asked["mode"], True) and good
    return judging.fraction(right, what="factors forward and backward, by mode")


def _preferences(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for fans that differ by a factor of 3 or more, in both orders; with the student's preference and another."""
    asked = []
    for order, weight in ((1, variant["gradient_weight"]), (-1, variant["gradient_weight"]), (1, 0.4)):
        fan_in, fan_out = [int(rng.integers(10, 100)), int(rng.integers(300, 1000))][::order]
        asked.append({"fan_in": fan_in, "fan_out": fan_out, "gradient_weight": weight})
    return asked


def compromise(fan_in: int, fan_out: int, gradient_weight: float) -> float:
    """Return the weighted geometric mean of 1/fan_in and 1/fan_out."""
    return float(fan_in ** (gradient_weight - 1.0) * fan_out**-gradient_weight)


def judge_compromise(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the weighted geometric mean, which has the smallest cost."""
    wanted = [compromise(**asked) for asked in arguments]
    return judging.close(values, wanted, rtol=1e-3, what="the variances of a weight, layer by layer")


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    conv, transposed = true_fans(**variant["conv"]), true_fans(**variant["transposed"])
    forward, backward = factors(variant["widths"], "fan_avg")
    return {
        "std": math.sqrt(2 / sum(conv)),
        "bound": math.sqrt(6 / sum(transposed)),
        "forward": forward,
        "backward": backward,
        "variance": compromise(*conv, variant["gradient_weight"]),
    }


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps5",
    title="Glorot's laws and the compromise of the fans",
    requests=(
        Request("fans", "fans", 3.0, judge_fans, series=_layers),
        Request("glorot_normal", "glorot_normal", 2.0, judge_normal, series=_weights),
        Request("glorot_uniform", "glorot_uniform", 2.0, judge_uniform, series=_weights),
        Request("network_factors", "network_factors", 2.0, judge_factors, series=_networks),
        Request("compromise", "compromise", 1.0, judge_compromise, series=_preferences),
        Request("own", "OWN", 5.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
