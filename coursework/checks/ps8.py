"""Assignment 8: an output bias for unequal classes, the loss and the steps that follow, and tanh's critical line.

All requests are exact, so none has a false-failure rate. Tolerances are those of the notebook. Each named wrong answer
differs from the right one by more than its tolerance for every variant: frequencies are from 0.02 to 0.08, where
ln p and the log-odds differ by 0.02 or more; σ_b is 0.05 or more, where the critical σ_w² is 20 % or more above 1; and
logits have a spread of 0, of 0.5 to 2, and sizes of 1000 in every marking.
"""

import math
from typing import Any

import numpy as np
from scipy import optimize, special

from initgrade import judging
from initgrade.assignment import Assignment, Request, Variant, Verdict

SAMPLES = 2000
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
FINE, FINE_WEIGHTS = np.polynomial.legendre.leggauss(300)


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a digit to detect and how rare it is, a start, a first phase, and the spread of the biases."""
    return {
        "digit": int(rng.integers(10)),
        "frequency": round(float(rng.uniform(0.02, 0.08)), 3),
        "bias": round(float(rng.uniform(-3.0, 1.0)), 3),
        "spread": round(float(rng.uniform(0.5, 2.0)), 3),
        "square": round(float(rng.uniform(0.2, 5.0)), 3),
        "rate": round(float(rng.uniform(0.02, 0.1)), 4),
        "sigma_b": round(float(rng.uniform(0.05, 0.8)), 4),
    }


def _labels(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for labels with about the student's frequency, always some of both kinds, and for frequent ones."""
    asked = []
    for frequency in (variant["frequency"], float(rng.uniform(0.6, 0.9))):
        labels = np.zeros(SAMPLES, dtype=np.int64)
        labels[rng.choice(SAMPLES, size=max(5, int(rng.binomial(SAMPLES, frequency))), replace=False)] = 1
        asked.append({"labels": labels})
    return asked


def judge_log_odds(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with ln(p / (1 − p)) of the labels."""
    wanted = [special.logit(np.mean(asked["labels"])) for asked in arguments]
    return judging.close(values, wanted, rtol=1e-6, what="the output biases")


def _starts(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for the log-odds and for biases that are off, with each spread; for equal logits; and for huge ones."""
    p = variant["frequency"]
    cases = [(float(special.logit(p)), spread) for spread in (0.0, 1.0)]
    cases += [(float(rng.uniform(*limits)), spread) for limits, spread in (((-6, -1), 0.5), ((0, 6), 2.0))]
    cases += [(float(sign * rng.uniform(900, 1100)), 1.0) for sign in (-1, 1)]
    return [{"frequency": p, "bias": bias, "spread": spread} for bias, spread in cases]


def initial_loss(frequency: float, bias: float, spread: float) -> float:
    """Return the expected binary cross-entropy of a logit that is normal around the bias."""
    logit = bias + spread * NODES
    loss = frequency * np.logaddexp(0, -logit) + (1 - frequency) * np.logaddexp(0, logit)
    return float(WEIGHTS @ loss) / math.sqrt(2 * math.pi)


def judge_loss(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the quadrature."""
    wanted = [initial_loss(**asked) for asked in arguments]
    return judging.close(values, wanted, rtol=1e-3, what="the initial losses")


def _phase(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "frequency": variant["frequency"],
        "bias": float(rng.uniform(-1, 1)),
        "square": round(float(rng.uniform(0.2, 5.0)), 2),
        "rate": round(float(rng.uniform(0.02, 0.3)), 3),
        "steps": int(rng.integers(20, 60)),
    }


def first_phase(frequency: float, bias: float, square: float, rate: float, steps: int) -> list[float]:
    """Return the losses before each step and after the last, where all inputs have the same features."""
    losses, logit = [], bias
    for _ in range(steps + 1):
        losses.append(initial_loss(frequency, logit, 0.0))
        logit -= rate * (1 + square) * (float(special.expit(logit)) - frequency)
    return losses


def judge_phase(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare whole curves, and show the first that is off."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        verdicts.append(judging.close(value, first_phase(**asked), rtol=1e-4, what="the losses of the first phase"))
    return judging.combine(*verdicts)


def _biases(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for small biases, for about the student's, and for large ones."""
    near = variant["sigma_b"] * rng.uniform(1.0, 1.2)
    return [{"sigma_b": float(sigma_b)} for sigma_b in (rng.uniform(0.05, 0.15), near, rng.uniform(0.8, 1.5))]


def critical(sigma_b: float) -> tuple[float, float]:
    """Return q* and σ_w, from the one equation in q that is left without σ_w."""
    xi = 10 * FINE
    weights = 10 * FINE_WEIGHTS * np.exp(-xi * xi / 2) / math.sqrt(2 * math.pi)

    def means(q: float) -> tuple[float, float]:
        square = np.tanh(math.sqrt(q) * xi) ** 2
        return float(weights @ square), float(weights @ (1 - square) ** 2)

    def excess(q: float) -> float:
        square, slope = means(q)
        return (q - sigma_b**2) * slope - square

    q = float(optimize.brentq(excess, sigma_b**2, 50.0, xtol=1e-12))
    return q, means(q)[1] ** -0.5


@judging.judge
def judge_critical(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for q* and half for σ_w."""
    wanted = np.array([critical(asked["sigma_b"]) for asked in arguments])
    found = judging.as_array(values, wanted.shape, what="the pairs of q* and sigma_w")
    return judging.combine(
        judging.close(found[:, 0], wanted[:, 0], rtol=1e-3, what="the fixed points q*"),
        judging.close(found[:, 1], wanted[:, 1], rtol=1e-4, what="the critical values of sigma_w"),
    )


STEPS = 30  # of the first phase that is asked for in OWN


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    p, bias = variant["frequency"], variant["bias"]
    q, sigma_w = critical(variant["sigma_b"])
    return {
        "bias": float(special.logit(p)),
        "loss": initial_loss(p, bias, variant["spread"]),
        "phase": first_phase(p, bias, variant["square"], variant["rate"], STEPS)[-1],
        "q": q,
        "sigma_w": sigma_w,
    }


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps8",
    title="Output biases for rare classes, and tanh's critical line",
    requests=(
        Request("log_odds", "log_odds", 1.0, judge_log_odds, series=_labels),
        Request("initial_loss", "initial_loss", 3.0, judge_loss, series=_starts),
        Request("first_phase", "first_phase", 2.0, judge_phase, _phase, repeats=3),
        Request("critical_line", "critical_line", 4.0, judge_critical, series=_biases),
        Request("own", "OWN", 5.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
