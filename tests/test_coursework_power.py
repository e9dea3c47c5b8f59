"""What the checks of assignments 5 to 8 and of the capstone promise: correct answers pass, named wrong ones do not."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import initnotes as ini
from initgrade import judging
from initgrade.assignment import load, shown, variant

CHECKS = Path(__file__).resolve().parent.parent / "coursework" / "checks"
EACH = judging.ALPHA / 6  # two draws, three tests each
MISSED = 1e-3  # the most that a wrong answer may pass, for a single one of its draws
MASSART = math.sqrt(math.log(2 / MISSED) / 2)  # an empirical distribution strays further than this/√N as rarely
CRITICAL = math.sqrt(math.log(2 / EACH) / 2)


def room(name: str) -> dict[str, Any]:
    """The names of a file of checks."""
    return load(CHECKS / f"{name}.py").make_variant.__globals__


def asked(name: str, request: str, count: int = 200) -> list[dict[str, Any]]:
    """Return what students of many variants are asked."""
    assignment, rng = load(CHECKS / f"{name}.py"), np.random.default_rng(1)
    [one] = [one for one in assignment.requests if one.name == request]
    return [one.arguments(assignment.make_variant(rng), rng) for _ in range(count)]


def missed(ratio: float, size: int, kurtosis: float) -> float:
    """Return how often `judging.variance` passes a draw whose std is `ratio` times the right one's."""
    freedom = 2 * size / (kurtosis - 1)
    low, high = stats.chi2.ppf([EACH / 2, 1 - EACH / 2], freedom)
    return float(stats.chi2.cdf(high / ratio**2, freedom) - stats.chi2.cdf(low / ratio**2, freedom))


def glorot_ratios(one: dict[str, Any]) -> list[float]:
    fan_in, fan_out = one["fan_in"], one["fan_out"]
    right = 2 / (fan_in + fan_out)
    wrong = [1 / (3 * fan_in), 1 / fan_in, 1 / fan_out, right / 2, 2 * right, right / 3]
    return [math.sqrt(one / right) for one in wrong]


def he_ratios(one: dict[str, Any]) -> list[float]:
    a, shape = one["slope"], one["shape"]
    backward = math.prod(shape[1:]) / (shape[0] * math.prod(shape[2:]))
    wrong = [1 + a**2, (1 + a**2) / (1 + a), (1 + a**2) / (1 - a**2), backward, 0.5]
    return [math.sqrt(one) for one in wrong]


def truncated_ratios(one: dict[str, Any]) -> list[float]:
    kept = room("ps7")["_kept"](one["cut"])
    return [kept, 1 / kept]  # not corrected; variance taken for std


@pytest.mark.parametrize(
    ("name", "request_name", "ratios", "kurtosis"),
    [
        ("ps5", "glorot_normal", glorot_ratios, 3.0),
        ("ps5", "glorot_uniform", glorot_ratios, 1.8),
        ("ps6", "he_leaky", he_ratios, 3.0),
        ("ps7", "truncated_normal", truncated_ratios, 3.0),
    ],
)
def test_wrong_spreads_are_caught(name: str, request_name: str, ratios: Any, kurtosis: float) -> None:
    """By the chi-squared law: a draw of every variant asked, and each named wrong variance."""
    for one in asked(name, request_name):
        size = math.prod(one["shape"])
        assert size >= 12_000
        for ratio in ratios(one):
            assert missed(ratio, size, kurtosis) < MISSED, (one, ratio)
    assert missed(1.01, size, kurtosis) > 0.5  # the formula does not call everything caught


def test_wrong_laws_are_caught() -> None:
    """By Massart's inequality for the distance of laws, or since a draw shows what cannot be."""
    t = np.linspace(-6, 6, 24_001)
    uniform, normal = stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)), stats.norm()
    assert np.abs(uniform.cdf(t) - normal.cdf(t)).max() > (CRITICAL + MASSART) / math.sqrt(12_000)
    for one in asked("ps7", "truncated_normal"):
        beyond = 2 * normal.sf(one["cut"] / room("ps7")["_kept"](one["cut"]))
        assert (1 - beyond) ** math.prod(one["shape"]) < MISSED  # a plain normal of the right spread
        assert 2 * normal.sf(one["cut"]) > 0.02  # clipped, it has twice the share of repeated values that is allowed


LAWS = [stats.norm(scale=0.1), stats.uniform(-0.1, 0.2), stats.truncnorm(-1.5, 1.5, scale=0.1)]


@pytest.mark.parametrize("distribution", LAWS, ids=["normal", "uniform", "truncated"])
def test_drawn_fails_correct_draws_no_more_often_than_alpha(distribution: Any) -> None:
    """At α = 0.05 in place of 1e-6; the bound is passed once in 10,000 runs."""
    rng, shape, runs = np.random.default_rng(2), (40, 30), 150
    draws = [distribution.rvs(shape, random_state=rng) for _ in range(2 * runs)]
    failed = sum(
        judging.drawn(draws[i : i + 2], [distribution] * 2, [shape] * 2, what="W", alpha=0.05).share < 1
        for i in range(0, 2 * runs, 2)
    )
    assert failed <= stats.binom.ppf(1 - 1e-4, runs, 0.05)


def test_drawn_gives_what_it_says() -> None:
    rng, shape, right = np.random.default_rng(3), (120, 100), stats.uniform(-0.1, 0.2)
    std = right.std()

    def share(*draws: np.ndarray) -> float:
        return judging.drawn(list(draws), [right] * 2, [shape] * 2, what="W").share

    good = [right.rvs(shape, random_state=rng) for _ in range(2)]
    rows = np.repeat(right.rvs((1, 100), random_state=rng), 120, axis=0)
    assert share(*good) == 1
    assert share(good[0], good[0]) == 0
    assert share(rng.normal(0, std, shape), rng.normal(0, std, shape)) == 0.5
    assert share(good[0], np.clip(rng.normal(0, 1.2 * std, shape), -0.1, 0.1)) <= 0.5
    assert share(good[0], rows) == 0
    assert share(good[0], good[1] * 1.07) == 0
    assert share(good[0], good[1][:-1]) == 0


def test_references_agree_with_initnotes() -> None:
    """The checks have references of their own; theory is a second way to them."""
    ps6, ps7, ps8 = room("ps6"), room("ps7"), room("ps8")
    rng = np.random.default_rng(4)
    for _ in range(5):
        given = ps6["make_variant"](rng)
        phi, _ = ps6["_activation"](given["psi"], given)
        sigma_w = ini.theory.gain(phi)
        assert math.isclose(ps6["second_moment"](given["psi"], given) ** -0.5, sigma_w, rel_tol=1e-9)
        slope, chi = ps6["slope_and_chi"](given["psi"], {**given, "sigma_w": sigma_w})
        around = ini.theory.variance_map(np.array([0.999, 1.001]), phi, sigma_w=sigma_w)
        assert math.isclose(slope, np.diff(around)[0] / 0.002, rel_tol=1e-5)
        assert math.isclose(chi, sigma_w**2 * ini.theory.derivative_second_moment(phi, 1.0), rel_tol=1e-5)
    assert np.allclose(ps7["constants"](1.0), [ps7["SELU"]["alpha"], ps7["SELU"]["scale"]])
    assert math.isclose(ps7["slope_and_chi"](*ps7["constants"](1.0), 1.0)[1], ini.theory.chi("selu", sigma_w=1.0))
    q, sigma_w = ps8["critical"](0.3)
    assert math.isclose(sigma_w, ini.theory.critical_sigma_w("tanh", sigma_b=0.3), rel_tol=1e-9)
    assert math.isclose(q, ini.theory.fixed_point("tanh", sigma_w=sigma_w, sigma_b=0.3), rel_tol=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# The capstone


def test_capstone_knows_every_fault_that_it_sent() -> None:
    capstone, rng = room("capstone"), np.random.default_rng(5)
    for _ in range(2000):
        given = capstone["make_variant"](rng)
        fault = str(rng.choice(capstone["FAULTS"]))
        sent = capstone["sick"](fault, given["width"], given["depth"], rng)
        assert capstone["fault_of"](sent) == fault
    healthy = {**sent, "weights": rng.standard_normal(sent["weights"].shape) / math.sqrt(given["width"])}
    healthy |= {"biases": np.zeros_like(sent["biases"]), "inputs": rng.standard_normal(sent["inputs"].shape)}
    assert capstone["fault_of"](healthy) == "healthy"


def test_capstone_asks_in_an_order_that_is_the_students_and_that_no_submission_sees() -> None:
    assignment, capstone = load(CHECKS / "capstone.py"), room("capstone")
    [diagnose] = [request for request in assignment.requests if request.name == "diagnose"]

    def asked(student: str, seed: int) -> tuple[list[str], list[dict[str, Any]]]:
        calls = diagnose.calls(variant(assignment, b"key", student), np.random.default_rng(seed))
        return [capstone["fault_of"](one) for one in calls], calls

    (order, calls), (again, others) = asked("student-a", 1), asked("student-a", 2)
    assert order == again
    assert not np.array_equal(calls[0]["weights"], others[0]["weights"])
    assert order != asked("student-b", 1)[0]
    assert {fault: order.count(fault) for fault in order} == dict.fromkeys(capstone["FAULTS"], capstone["EACH"])
    assert len(order) == diagnose.repeats
    assert shown(variant(assignment, b"key", "student-a")).keys() == {"width", "depth", "patient"}


def test_capstone_gives_nothing_for_one_name_and_little_for_guesses() -> None:
    capstone, rng = room("capstone"), np.random.default_rng(6)
    faults = np.array([capstone["make_variant"](rng)["_order"] for _ in range(200)])
    example = {fault: capstone["sick"](fault, 12, 7, rng) for fault in capstone["FAULTS"]}

    def share(names: list[str], row: np.ndarray) -> float:
        return capstone["judge_diagnose"](names, [example[fault] for fault in row], {}).share

    assert share(list(faults[0]), faults[0]) == 1
    assert max(share(["dead"] * len(row), row) for row in faults[:50]) < 1e-12
    guesses = [share(list(rng.choice(capstone["FAULTS"], len(row))), row) for row in faults]
    assert np.mean(guesses) < 0.05


def start(widths: list[int], scale: float, rng: np.random.Generator, *, uniform: bool = False) -> tuple[Any, Any]:
    """Draw weights of variance scale/fan_in; uniform ones come with the biases of nn.Linear."""
    pairs = list(zip(widths[1:], widths[:-1], strict=True))
    if uniform:
        draws = [(rng.uniform(-1, 1, one) / one[1] ** 0.5, rng.uniform(-1, 1, one[0]) / one[1] ** 0.5) for one in pairs]
    else:
        draws = [(rng.normal(0, (scale / one[1]) ** 0.5, one), np.zeros(one[0])) for one in pairs]
    return [weights for weights, _ in draws], [biases for _, biases in draws]


def test_capstone_tells_a_repair_from_the_baseline() -> None:
    """The narrowest patient: a right start clears the margin by far; the baseline's own law does not win."""
    capstone, rng = room("capstone"), np.random.default_rng(7)
    widths = [64, *[48] * 6, 10]
    sent = [{"widths": widths, "activation": "relu", "seed": 8}] * capstone["PAIRS"]
    right = [start(widths, 2.0, rng) for _ in sent]
    losses = capstone["duel"](right, sent[0], rng)
    yours, baseline = (loss[:, -capstone["LAST"] :].mean(axis=1) for loss in losses)
    ratios = np.log(yours / baseline)
    assert ratios.mean() + 6 * ratios.std() < math.log(capstone["MARGIN"])
    same = capstone["judge_repair"]([start(widths, 0, rng, uniform=True) for _ in sent], sent, {"_shuffle": 9})
    assert same.share == 0
    assert stats.binom.sf(capstone["PAIRS"] - 1, capstone["PAIRS"], 0.5) < judging.ALPHA
    assert capstone["judge_repair"]([right[0]] * len(sent), sent, {"_shuffle": 9}).share == 0  # 20 times the same draw
