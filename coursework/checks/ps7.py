"""Assignment 7: a truncated normal with the right spread, and a SELU of one's own with its fixed point.

Power, at α = 1e-6:

- `truncated_normal`: three draws of at least 12,000 weights each, judged by `sampling.drawn`. Above 0.999 against a cut
  that is not corrected (at least 9 % off in the standard deviation for the cuts from 1.3 to 2.1) and, for half the
  points, against clipping in its place and a cut at an absolute ±2 as torch's default, here a plain normal.
- The other requests are exact, to the tolerance that the notebook states.
"""

import math
from typing import Any

import numpy as np
from scipy import special, stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed, thrice
from initnotes import theory

SELU = {"alpha": 1.6732632423543772, "scale": 1.0507009873554805}


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a cut, the second moment at which the student's own SELU has its fixed point, and another gain."""
    return {
        "cut": round(float(rng.uniform(1.3, 2.1)), 3),
        "target": round(float(rng.choice(_targets(rng))), 3),
        "sigma_w": round(float(rng.choice(_gains(rng))), 4),
    }


def _targets(rng: np.random.Generator) -> list[float]:
    """Draw second moments that are clearly not 1, on both sides of it."""
    return [float(rng.uniform(0.3, 0.7)), float(rng.uniform(1.5, 3.0))]


def _gains(rng: np.random.Generator) -> list[float]:
    """Draw gains on both sides of 1 at which SELU settles."""
    return [float(rng.uniform(0.78, 0.92)), float(rng.uniform(1.1, 1.3))]


def _kept(cut: float) -> float:
    """Return the standard deviation of a standard normal cut at ±cut."""
    return math.sqrt(1 - 2 * cut * stats.norm.pdf(cut) / (2 * stats.norm.cdf(cut) - 1))


def _cut(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    return {"cut": float(rng.uniform(0.8, 3.0))}


def judge_kept(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the formula of the chapter."""
    return judging.close(values, [_kept(asked["cut"]) for asked in arguments], rtol=1e-6, what="what is left of std 1")


def _weights(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for at least 12,000 weights of two layers, with the student's cut and with another one."""
    layers = [
        {
            "shape": [int(rng.integers(100, 140)), int(rng.integers(120, 160))],
            "std": round(float(rng.uniform(0.05, 0.3)), 3),
            "cut": cut,
        }
        for cut in (variant["cut"], round(float(rng.uniform(1.3, 2.1)), 2))
    ]
    return [*thrice(layers[0], rng), {**layers[1], "seed": a_seed(rng)}]


def judge_truncated(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Test the draws against the normal law that is cut and then stretched to the standard deviation asked for."""
    shapes, seeds = ([asked[key] for asked in arguments] for key in ("shape", "seed"))
    laws = [
        stats.truncnorm(-asked["cut"], asked["cut"], scale=asked["std"] / _kept(asked["cut"])) for asked in arguments
    ]
    return sampling.drawn(values, laws, shapes, seeds, what="the weights")


def constants(target: float) -> tuple[float, float]:
    """Return α and λ for which φ(√q ξ) has mean 0 and second moment q, at q = `target`."""
    root = math.sqrt(target)
    first = special.erfcx(root / math.sqrt(2))  # e^(q/2) erfc(√(q/2)), which does not overflow
    second = special.erfcx(root * math.sqrt(2))
    alpha = root * math.sqrt(2 / math.pi) / (1 - first)
    return alpha, math.sqrt(target / (target / 2 + alpha**2 / 2 * (second - 2 * first + 1)))


def slope_and_chi(alpha: float, scale: float, q: float) -> tuple[float, float]:
    """Return the slope of q ↦ E φ(√q ξ)² and E φ′(√q ξ)², in closed form."""
    first, second = special.erfcx(math.sqrt(q / 2)), special.erfcx(math.sqrt(2 * q))
    prime = scale**2 * (0.5 + alpha**2 / 2 * second)
    return prime + scale**2 * alpha**2 * (second - first) / 2, prime


def _own_targets(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    return [{"target": target} for target in _targets(rng)]


def judge_constants(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare α and λ for other targets than the student's."""
    wanted = [constants(asked["target"]) for asked in arguments]
    return judging.close(values, wanted, rtol=1e-5, what="the pairs of alpha and scale")


def _at_targets(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Give the right constants, so that wrong ones cost nothing here."""
    return [dict(zip(("alpha", "scale", "target"), (*constants(q), q), strict=True)) for q in _targets(rng)]


@judging.judge
def judge_stability(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for the slopes of the map and half for χ."""
    wanted = np.array([slope_and_chi(asked["alpha"], asked["scale"], asked["target"]) for asked in arguments])
    found = judging.as_array(values, wanted.shape, what="the pairs of slope and chi")
    return judging.combine(
        judging.close(found[:, 0], wanted[:, 0], rtol=1e-3, what="the slopes of the map at the fixed point"),
        judging.close(found[:, 1], wanted[:, 1], rtol=1e-3, what="the values of chi"),
    )


def _settled(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    return [{**SELU, "sigma_w": sigma_w} for sigma_w in _gains(rng)]


def settled(sigma_w: float) -> float:
    """Return the rms of SELU's h at the fixed point of a gain."""
    return math.sqrt(theory.fixed_point("selu", sigma_w=sigma_w)) / sigma_w


def judge_settled(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the fixed point of SELU's map at another gain than 1."""
    wanted = [settled(asked["sigma_w"]) for asked in arguments]
    return judging.close(values, wanted, rtol=1e-3, what="the rms of h after many layers")


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    alpha, scale = constants(variant["target"])
    slope, chi = slope_and_chi(alpha, scale, variant["target"])
    rms = settled(variant["sigma_w"])
    return {"kept": _kept(variant["cut"]), "alpha": alpha, "scale": scale, "slope": slope, "chi": chi, "rms": rms}


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps7",
    title="Truncated normals and SELU's fixed point",
    requests=(
        Request("kept_std", "kept_std", 1.0, judge_kept, _cut, repeats=4),
        Request("truncated_normal", "truncated_normal", 3.0, judge_truncated, series=_weights),
        Request("selu_constants", "selu_constants", 3.0, judge_constants, series=_own_targets),
        Request("stability", "stability", 2.0, judge_stability, series=_at_targets),
        Request("settled_rms", "settled_rms", 1.0, judge_settled, series=_settled),
        Request("own", "OWN", 5.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
