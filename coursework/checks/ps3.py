"""Assignment 3: what is asked of a submission, and who judges it."""

from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict

PHI = {"linear": lambda z: z, "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}
XI = np.linspace(-9, 9, 6001)
DENSITY = stats.norm.pdf(XI) / stats.norm.pdf(XI).sum()


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the network of which the last layer has a target, and widths that differ."""
    return {
        "width": int(rng.integers(80, 200)),
        "depth": int(rng.integers(5, 11)),
        "activation": str(rng.choice(["tanh", "relu"])),
        "target": float(rng.choice([0.2, 0.3, 0.4, 0.5, 0.6])),
        "widths": rng.permutation(np.arange(20, 100, 5))[:6].tolist(),
    }


# ---------------------------------------------------------------------------------------------------------------------
# draw_layer


def a_layer(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Ask for at least 12,000 weights of a layer whose fans differ by a factor of 1.5 or more."""
    few, many = int(rng.integers(80, 110)), int(rng.integers(165, 220))
    fan_out, fan_in = (few, many) if rng.random() < 0.5 else (many, few)
    factor = float(rng.choice([0.3, 0.5, 2.0, 3.0]))
    return {"fan_out": fan_out, "fan_in": fan_in, "factor": factor, "seed": int(rng.integers(2**32))}


@judging.judge
def judge_draw_layer(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Judge spread (half of the points), law, and independence of units and calls (a quarter each).

    α = 1e-6 for all six tests together, by Bonferroni. Power above 0.999 at 12,000 weights against fan_out in place of
    fan_in (22 % and more off in the standard deviation), a variance taken for a standard deviation, a factor taken for
    its square, a uniform law of the right variance, and units that are alike.
    """
    spread, laws, units = [], [], []
    for value, asked in zip(values, arguments, strict=True):
        shape, sigma = (asked["fan_out"], asked["fan_in"]), asked["factor"] / np.sqrt(asked["fan_in"])
        what, alpha = f"the weights of shape {shape}", sampling.ALPHA / 6
        spread.append(sampling.variance(value, sigma, shape, what=what, alpha=alpha))
        laws.append(sampling.law(value, stats.norm(scale=sigma), shape, what=what, alpha=alpha))
        units.append(sampling.uncorrelated(value, shape, what=what, alpha=alpha))
    right = judging.combine(*spread, every=True)
    apart = judging.combine(*units, sampling.fresh(values, what="the weights"), every=True)
    return judging.combine(right, right, judging.combine(*laws, every=True), apart)


# ---------------------------------------------------------------------------------------------------------------------
# predicted_rms and slope


def linear_layers(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Take the variant's widths, and draw the scales."""
    return {
        "widths": variant["widths"],
        "sigma": float(rng.uniform(0.01, 0.5)),
        "input_rms": float(rng.uniform(0.2, 5)),
    }


@judging.judge
def judge_predicted_rms(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with σ√n, multiplied up; a relative error of 1e-6 is allowed."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        fan_in = np.array(asked["widths"][:-1], dtype=float)
        wanted = asked["input_rms"] * asked["sigma"] ** np.arange(1, fan_in.size + 1) * np.sqrt(np.cumprod(fan_in))
        verdicts.append(judging.close(value, wanted, rtol=1e-6, what="the rms of z"))
    return judging.combine(*verdicts)


def measured_rms(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Draw noisy straight lines."""
    networks, layers = int(rng.integers(3, 7)), int(rng.integers(4, 15))
    lines = rng.uniform(-1, 0.5, size=(networks, 1)) * np.arange(layers) + rng.normal(0, 0.1, size=(networks, layers))
    return {"rms": 10.0**lines}


@judging.judge
def judge_slope(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with Σ(l − mean)·log10 rms / Σ(l − mean)²."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        at = np.arange(asked["rms"].shape[1]) - (asked["rms"].shape[1] - 1) / 2
        wanted = np.log10(asked["rms"]) @ at / (at @ at)
        verdicts.append(judging.close(value, wanted, rtol=1e-6, atol=1e-9, what="the slopes"))
    return judging.combine(*verdicts, every=True)


# ---------------------------------------------------------------------------------------------------------------------
# last_q and choose_sigma


def last_q(sigma_w: float, depth: int, activation: str, input_rms: float = 1.0) -> float:
    """Iterate the variance map from the input to the last layer."""
    q = sigma_w**2 * input_rms**2
    for _ in range(depth - 1):
        q = sigma_w**2 * float(DENSITY @ PHI[activation](np.sqrt(q) * XI) ** 2)
    return q


def a_map(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a scale, a depth, an activation and the size of the input."""
    return {
        "sigma_w": float(rng.uniform(0.5, 3)),
        "depth": int(rng.integers(2, 12)),
        "activation": str(rng.choice(list(PHI))),
        "input_rms": float(rng.uniform(0.3, 3)),
    }


@judging.judge
def judge_last_q(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the map, each to half a per cent."""
    verdicts = [
        judging.close(value, last_q(**asked), rtol=5e-3, what=f"q of layer {asked['depth']} ({asked['activation']})")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def a_target(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Ask for the variant's network, or one of another width and depth, and a target near the variant's."""
    width, depth = (variant[key] + int(rng.integers(-3, 4)) for key in ("width", "depth"))
    target = round(variant["target"] * float(rng.uniform(0.5, 2)), 3)
    return {"width": width, "depth": max(depth, 2), "activation": variant["activation"], "target": target}


@judging.judge
def judge_choose_sigma(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Put each σ into the map: the last layer's rms must be the target, to 2 per cent."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        sigma_w = judging.number(value, what="σ", low=1e-9, high=1e3) * np.sqrt(asked["width"])
        reached = np.sqrt(last_q(sigma_w, asked["depth"], asked["activation"]))
        what = f"with your σ, the rms of layer {asked['depth']} of {asked['width']} {asked['activation']} units"
        verdicts.append(judging.close(reached, asked["target"], rtol=0.02, what=what))
    return judging.combine(*verdicts)


ASSIGNMENT = Assignment(
    name="ps3",
    title="Choose the scale",
    make_variant=make_variant,
    requests=(
        Request("draw_layer", "draw_layer", 3, judge_draw_layer, a_layer, repeats=2),
        Request("predicted_rms", "predicted_rms", 2, judge_predicted_rms, linear_layers, repeats=2),
        Request("slope", "slope", 2, judge_slope, measured_rms, repeats=3),
        Request("last_q", "last_q", 2, judge_last_q, a_map, repeats=6),
        Request("choose_sigma", "choose_sigma", 2, judge_choose_sigma, a_target, repeats=3),
    ),
)
