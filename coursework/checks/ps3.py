"""Assignment 3: what is asked of a submission, and who judges it."""

from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed, thrice

PHI = {"linear": lambda z: z, "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}
XI = np.linspace(-9, 9, 1801)
DENSITY = stats.norm.pdf(XI) / stats.norm.pdf(XI).sum()


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the network of which the last layer has a target, and widths that differ."""
    return {
        "width": int(rng.integers(80, 200)),
        "depth": int(rng.integers(5, 11)),
        "activation": str(rng.choice(["tanh", "relu"])),
        "target": round(float(rng.uniform(0.2, 0.6)), 3),
        "widths": rng.permutation(np.arange(20, 100, 5))[:6].tolist(),
        "sigma": round(float(rng.uniform(0.05, 0.3)), 4),
        "sigma_w": round(float(rng.uniform(0.8, 2.0)), 3),
    }


# ---------------------------------------------------------------------------------------------------------------------
# draw_layer


def drawn_layers(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for at least 12,000 weights of two layers, one wide and one tall, with a factor below 1 and one above."""
    few, many = int(rng.integers(80, 110)), int(rng.integers(165, 220))
    small, large = float(rng.choice([0.3, 0.5])), float(rng.choice([2.0, 3.0]))
    first, second = (small, large) if rng.random() < 0.5 else (large, small)
    wide = {"fan_out": few, "fan_in": many, "factor": first}
    tall = {"fan_out": many, "fan_in": few, "factor": second}
    return [*thrice(wide, rng), {**tall, "seed": a_seed(rng)}]


@judging.judge
def judge_draw_layer(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Judge spread (half of the points), law, and independence of the units with what the seeds do (a quarter each).

    α = 1e-6 for all nine tests of three draws together, by Bonferroni. Power above 0.999 at 12,000 weights against
    fan_out in place of fan_in (22 % and more off in the standard deviation), a variance taken for a standard deviation,
    a factor taken for its square, a uniform law of the right variance, and units that are alike.
    """
    spread, laws, units = [], [], []
    calls = list(zip(values, arguments, strict=True))
    judging.as_array(values[1], (arguments[1]["fan_out"], arguments[1]["fan_in"]), what="the weights")
    for value, asked in [calls[0], *calls[2:]]:  # the second repeats the first
        shape, sigma = (asked["fan_out"], asked["fan_in"]), asked["factor"] / np.sqrt(asked["fan_in"])
        what, alpha = f"the weights of shape {shape}", sampling.ALPHA / 9
        spread.append(sampling.variance(value, sigma, shape, what=what, alpha=alpha))
        laws.append(sampling.law(value, stats.norm(scale=sigma), shape, what=what, alpha=alpha))
        units.append(sampling.uncorrelated(value, shape, what=what, alpha=alpha))
    right = judging.combine(*spread, every=True)
    seeds = sampling.seeded(values, [asked["seed"] for asked in arguments], what="the weights")
    apart = judging.combine(*units, seeds, every=True)
    return judging.combine(right, right, judging.combine(*laws, every=True), apart)


# ---------------------------------------------------------------------------------------------------------------------
# predicted_rms and slope


def linear_layers(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Take the variant's widths in another order, and draw the scales."""
    return {
        "widths": rng.permutation(variant["widths"]).tolist(),
        "sigma": float(rng.uniform(0.01, 0.5)),
        "input_rms": float(rng.uniform(0.2, 0.8) if rng.random() < 0.5 else rng.uniform(1.5, 5)),
    }


def predicted_rms(widths: list[int], sigma: float, input_rms: float) -> np.ndarray:
    """Return σ√n, multiplied up."""
    fan_in = np.array(widths[:-1], dtype=float)
    return input_rms * sigma ** np.arange(1, fan_in.size + 1) * np.sqrt(np.cumprod(fan_in))


@judging.judge
def judge_predicted_rms(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with σ√n, multiplied up; a relative error of 1e-6 is allowed."""
    verdicts = [
        judging.close(value, predicted_rms(**asked), rtol=1e-6, what="the rms of z")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def measured_rms(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw noisy straight lines: of two layers, of a few, and of many."""
    asked = []
    for layers in (2, int(rng.integers(4, 8)), int(rng.integers(8, 15))):
        networks = int(rng.integers(3, 7))
        noise = rng.normal(0, 0.1, size=(networks, layers))
        asked.append({"rms": 10.0 ** (rng.uniform(-1, 0.5, size=(networks, 1)) * np.arange(layers) + noise)})
    return asked


def slopes(rms: np.ndarray) -> np.ndarray:
    """Return Σ(l − mean)·log10 rms / Σ(l − mean)²."""
    at = np.arange(rms.shape[1]) - (rms.shape[1] - 1) / 2
    return np.log10(rms) @ at / (at @ at)


@judging.judge
def judge_slope(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the least-squares slopes."""
    verdicts = [
        judging.close(value, slopes(**asked), rtol=1e-6, atol=1e-9, what="the slopes")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts, every=True)


# ---------------------------------------------------------------------------------------------------------------------
# last_q and choose_sigma


def last_q(sigma_w: float, depth: int, activation: str, input_rms: float = 1.0) -> float:
    """Iterate the variance map from the input to the last layer."""
    q = sigma_w**2 * input_rms**2
    for _ in range(depth - 1):
        q = sigma_w**2 * float(DENSITY @ PHI[activation](np.sqrt(q) * XI) ** 2)
    return q


def maps(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each activation twice, for few layers and many, and for one layer; no input has the rms 1."""
    layers = [(name, depth) for name in PHI for depth in (int(rng.integers(2, 5)), int(rng.integers(5, 12)))]
    return [
        {
            "sigma_w": float(rng.uniform(0.5, 0.9) if rng.random() < 0.5 else rng.uniform(1.2, 3)),
            "depth": depth,
            "activation": activation,
            "input_rms": float(rng.uniform(0.3, 0.7) if rng.random() < 0.5 else rng.uniform(1.5, 3)),
        }
        for activation, depth in [*layers, ("tanh", 1)]
    ]


@judging.judge
def judge_last_q(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the map, each to half a per cent."""
    verdicts = [
        judging.close(value, last_q(**asked), rtol=5e-3, what=f"q of layer {asked['depth']} ({asked['activation']})")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def targets(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for networks of about the variant's size, with each activation, and a target near the variant's."""
    asked = []
    for activation in PHI:
        width, depth = (variant[key] + int(rng.integers(-3, 4)) for key in ("width", "depth"))
        target = round(variant["target"] * float(rng.uniform(0.5, 2)), 3)
        asked.append({"width": width, "depth": max(depth, 2), "activation": activation, "target": target})
    return asked


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


# ---------------------------------------------------------------------------------------------------------------------
# OWN


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student; σ by halving an interval."""
    depth, activation = variant["depth"], variant["activation"]
    rms, low, high = predicted_rms(variant["widths"], variant["sigma"], 1.0), 1e-3, 1e2
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if last_q(middle, depth, activation) < variant["target"] ** 2 else (low, middle)
    return {
        "rms": float(rms[-1]),
        "slope": float(slopes(rms[None])[0]),
        "q": last_q(variant["sigma_w"], depth, activation),
        "sigma": low / variant["width"] ** 0.5,
    }


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters; the map is good to half a per cent."""
    return judging.own_numbers(value, own(variant), rtol=5e-3)


ASSIGNMENT = Assignment(
    name="ps3",
    title="Choose the scale",
    make_variant=make_variant,
    requests=(
        Request("draw_layer", "draw_layer", 3, judge_draw_layer, series=drawn_layers),
        Request("predicted_rms", "predicted_rms", 2, judge_predicted_rms, linear_layers, repeats=2),
        Request("slope", "slope", 2, judge_slope, series=measured_rms),
        Request("last_q", "last_q", 2, judge_last_q, series=maps),
        Request("choose_sigma", "choose_sigma", 2, judge_choose_sigma, series=targets),
        Request("own", "OWN", 6, judge_own, call=False, literal=True),
    ),
)
