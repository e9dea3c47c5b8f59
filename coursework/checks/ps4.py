"""Assignment 4: what is asked of a submission, and who judges it."""

from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed, thrice

REPLICAS = 1000
FEW = 20  # networks with which the seeds are tried
XI = np.linspace(-9, 9, 1801)
DENSITY = stats.norm.pdf(XI) / stats.norm.pdf(XI).sum()


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw widths that grow by a factor of two or more from the first layer to the last, and two scales.

    So a factor that uses fan_out in place of fan_in is off by n_0/n_L as a whole, and backward by n_1/n_L. σ_w stays
    away from √2, at which the rms and the mean square of a signal change alike.
    """
    between = rng.permutation(np.arange(18, 40, 2))[: rng.integers(4, 7)].tolist()
    return {
        "widths": [int(rng.integers(12, 17)), int(rng.integers(14, 20)), *between, int(rng.integers(40, 49))],
        "sigma_w": float(rng.choice([1.1, 1.15, 1.2, 1.75, 1.8, 1.85])),
        "tanh_sigma_w": round(float(rng.uniform(1.3, 3)), 3),
    }


# ---------------------------------------------------------------------------------------------------------------------
# forward_factors and backward_factors


def forward_networks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for the variant's networks, with an input and a seed that nobody has seen; and for a few, thrice."""
    asked = {
        "x": rng.standard_normal(variant["widths"][0]),
        "widths": variant["widths"],
        "sigma_w": variant["sigma_w"],
        "replicas": REPLICAS,
    }
    return [{**asked, "seed": a_seed(rng)}, *thrice({**asked, "replicas": FEW}, rng)]


def backward_networks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for the same, with a gradient at the top."""
    delta = rng.standard_normal(variant["widths"][-1])
    return [asked | {"delta": delta} for asked in forward_networks(variant, rng)]


def _seeds(values: list[Any], arguments: list[dict[str, Any]], what: str) -> Verdict:
    few = [judging.as_array(value, (FEW,), what=what) for value in values[1:]]
    return sampling.seeded(few, [asked["seed"] for asked in arguments[1:]], what=what)


@judging.judge
def judge_forward(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the first call's 1,000 factors with their exact law; the others show what the seeds do.

    α = 1e-6. Power above 0.999 against fan_out in place of fan_in, σ_w forgotten, σ_w in place of σ_w², a last layer
    without its ReLU, rms in place of mean squares, a sum in place of a mean, and one network for all.
    """
    asked = arguments[0]
    exact = sampling.through_relu(
        values[0], asked["widths"][1:], REPLICAS, what="F of each network", scale=asked["sigma_w"] ** 2
    )
    return judging.combine(exact, _seeds(values, arguments, "F of each network"), every=True)


@judging.judge
def judge_backward(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the first call's 1,000 factors with their exact law; the others show what the seeds do.

    Given δ_l, the entries of W_lᵀδ_l are normal; and for weights with a symmetric law the slopes of a ReLU network are
    independent coins (Hanin & Nica, "Products of many large random matrices and gradients in deep neural networks",
    Communications in Mathematical Physics 376, 2020). So B is n_L/n_1 times the factor of n_1 … n_{L−1} units.

    α = 1e-6. Power above 0.999 against fan_out in place of fan_in, slopes left out, rms in place of mean squares and a
    sum in place of a mean. There is none against slopes of another network: these have the same law.
    """
    asked = arguments[0]
    n = asked["widths"]
    per_unit = judging.as_array(values[0], (REPLICAS,), what="B") * n[1] / n[-1]
    exact = sampling.through_relu(
        per_unit, n[1:-1], REPLICAS, what="B of each network, times n_1/n_L", scale=asked["sigma_w"] ** 2
    )
    return judging.combine(exact, _seeds(values, arguments, "B of each network"), every=True)


# ---------------------------------------------------------------------------------------------------------------------
# log_factor and chi


def some_widths(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a depth, widths and a scale."""
    widths = rng.integers(20, 200, size=rng.integers(4, 20)).tolist()
    return {"widths": widths, "sigma_w": round(float(rng.uniform(1, 2)), 2)}


@judging.judge
def judge_log_factor(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare mean and variance with the leading order; half of the points each."""
    means, variances = [], []
    for value, asked in zip(values, arguments, strict=True):
        (mean, variance), (right, spread) = judging.parts(value, 2), log_factor(**asked)
        means.append(judging.close(mean, right, rtol=1e-6, atol=1e-6, what="the mean of ln F"))
        variances.append(judging.close(variance, spread, rtol=1e-6, what="the variance of ln F"))
    return judging.combine(judging.combine(*means, every=True), judging.combine(*variances, every=True))


def log_factor(widths: list[int], sigma_w: float) -> tuple[float, float]:
    """Return mean and variance of ln F to leading order."""
    inverse = sum(1 / n for n in widths[1:])
    return float((len(widths) - 1) * np.log(sigma_w**2 / 2) - 2.5 * inverse), 5 * inverse


def scales(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw scales at which the fixed point is neither 0 nor near 1: one below 1.5, three above 1.7."""
    ranges = ((1.3, 1.5), (1.7, 2.5), (2.5, 4.0), (4.0, 6.0))
    return [{"sigma_w": round(float(rng.uniform(*limits)), 3)} for limits in ranges]


@judging.judge
def judge_chi(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with quadrature at the fixed point, each to half a per cent."""
    verdicts = [
        judging.close(value, chi(asked["sigma_w"]), rtol=5e-3, what=f"χ at σ_w = {asked['sigma_w']:g}")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def chi(sigma_w: float) -> float:
    """Return χ of a tanh network without biases at its fixed point."""
    q = 1.0
    for _ in range(200):
        q = sigma_w**2 * float(DENSITY @ np.tanh(np.sqrt(q) * XI) ** 2)
    return sigma_w**2 * float(DENSITY @ np.cosh(np.sqrt(q) * XI) ** -4.0)


# ---------------------------------------------------------------------------------------------------------------------
# OWN


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    mean, variance = log_factor(variant["widths"], variant["sigma_w"])
    return {"mean": mean, "variance": variance, "chi": chi(variant["tanh_sigma_w"])}


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps4",
    title="Forward and backward statistics",
    make_variant=make_variant,
    requests=(
        Request("forward_factors", "forward_factors", 3, judge_forward, series=forward_networks),
        Request("backward_factors", "backward_factors", 3, judge_backward, series=backward_networks),
        Request("log_factor", "log_factor", 2, judge_log_factor, some_widths, repeats=3),
        Request("chi", "chi", 2, judge_chi, series=scales),
        Request("own", "OWN", 5, judge_own, call=False, literal=True),
    ),
)
