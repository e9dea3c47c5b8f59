"""Judges: what they refuse, that they fail a correct answer as rarely as they say, and that they catch wrong ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from initgrade import assignment, judging, sampling, values
from initgrade.assignment import Variant, Verdict, load, variant

ROOT = Path(__file__).resolve().parent.parent
DRAWS = 10_000
ALPHA = 1e-2  # scaled up from sampling.ALPHA, so that failures can be counted
LOW, HIGH = stats.binom.ppf([5e-5, 1 - 5e-5], DRAWS, ALPHA)  # a right judge leaves them once in 10,000 runs
MASSART = np.sqrt(np.log(2 / 1e-3) / 2)  # an empirical distribution function strays further than this/√N in 0.1 %
CRITICAL = np.sqrt(np.log(2 / sampling.ALPHA) / 2)
STUDENTS = ["student-a", "student-b", "student-c"]


# ---------------------------------------------------------------------------------------------------------------------
# Correct answers fail as often as alpha says: 10,000 samples of each judge's p-value, at α = 0.01 in place of 1e-6


def failures(p: np.ndarray) -> int:
    assert p.shape == (DRAWS,)
    return int(np.count_nonzero(p < ALPHA))


def test_variance_fails_normal_draws_as_often_as_it_says() -> None:
    x = np.random.default_rng(1).normal(0, 0.2, (DRAWS, 300))
    assert LOW <= failures(sampling.spread_p(x, 0.2)) <= HIGH
    assert failures(sampling.spread_p(1.1 * x, 0.2)) > 10 * HIGH


def test_variance_fails_uniform_draws_at_most_twice_as_often() -> None:
    x = np.random.default_rng(1).uniform(-(3**0.5), 3**0.5, (DRAWS, 1000))
    assert LOW / 2 <= failures(sampling.spread_p(x, 1.0, kurtosis=1.8)) <= 2 * HIGH


def test_law_fails_draws_of_that_law_as_often_as_it_says() -> None:
    x = np.sort(np.random.default_rng(1).uniform(size=(DRAWS, 80)))
    apart, place = sampling.distance(x)
    expected = stats.kstest(x[0], "uniform", method="approx")
    assert np.isclose(apart[0], expected.statistic)
    assert x[0, place[0]] == expected.statistic_location
    assert expected.pvalue <= sampling.distance_p(apart, 80)[0]
    critical = special.smirnovi(80, ALPHA / 2)
    assert ALPHA <= sampling.distance_p(critical, 80) <= 1.2 * ALPHA  # never too small, and not by much too large
    assert LOW <= np.count_nonzero(apart > critical) <= HIGH
    assert np.count_nonzero(apart > sampling.critical_distance(80, ALPHA)) <= HIGH
    for size in (12_000, 50_000):
        assert 1 <= sampling.distance_p(special.smirnovi(size, sampling.ALPHA / 2), size) / sampling.ALPHA < 1.02
    assert np.mean(sampling.distance(x**1.5)[0] > critical) > 0.5


def test_uncorrelated_fails_independent_rows_as_often_as_it_says() -> None:
    x = np.random.default_rng(1).normal(size=(DRAWS, 12, 8))
    assert LOW <= failures(sampling.rows_p(x)) <= HIGH
    assert failures(sampling.rows_p(x + np.linspace(-1, 1, 8))) > 10 * HIGH


def test_through_relu_fails_factors_of_the_exact_law_as_often_as_it_says() -> None:
    widths, count, draws = (16, 24, 20, 30, 16, 24), 40, 5000
    found = np.sort(sampling.exact_null(widths, np.random.default_rng(2), DRAWS * count).reshape(DRAWS, count))
    null = sampling._sorted_null(widths, 2.0, draws)
    apart, _ = sampling.distance(np.searchsorted(null, found, side="right") / draws)
    critical = sampling.critical_distance(round(count * draws / (count + draws)), ALPHA)
    assert LOW / 4 <= np.count_nonzero(apart > critical) <= HIGH


def test_judges_decide_by_these_p_values() -> None:
    rng, shape, normal = np.random.default_rng(3), (12, 8), stats.norm(scale=0.3)
    for x in rng.normal(0, 0.35, (60, *shape)):
        flat, options = np.sort(x.ravel()), {"what": "W", "alpha": 0.3}
        by_law = sampling.distance_p(sampling.distance(normal.cdf(flat))[0], flat.size)
        for verdict, p in (
            (sampling.variance(x, 0.3, shape, **options), sampling.spread_p(flat, 0.3)),
            (sampling.law(x, normal, shape, **options), by_law),
            (sampling.uncorrelated(x, shape, **options), sampling.rows_p(x)),
        ):
            assert (verdict.share, verdict.p_value) == (float(p >= 0.3), pytest.approx(float(p)))


# ---------------------------------------------------------------------------------------------------------------------
# The exact null is that of networks


def networks(widths: list[int], sigma_w: float, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Factors forward, and backward from z_L, of ReLU networks, made of matrices."""
    x, delta = rng.standard_normal(widths[0]), rng.standard_normal(widths[-1])
    h, zs, Ws = np.broadcast_to(x[:, None], (count, len(x), 1)), [], []
    for out, n in zip(widths[1:], widths, strict=False):
        Ws.append(sigma_w / np.sqrt(n) * rng.standard_normal((count, out, n)))
        zs.append(Ws[-1] @ h)
        h = np.maximum(zs[-1], 0)
    down = np.broadcast_to(delta[:, None], (count, len(delta), 1))
    for W, z in zip(Ws[:0:-1], zs[-2::-1], strict=True):
        down = (np.swapaxes(W, 1, 2) @ down) * (z > 0)
    return (h**2).mean((1, 2)) / np.mean(x**2), (down**2).mean((1, 2)) / np.mean(delta**2)


@pytest.mark.parametrize("widths", [[4, 3, 5, 3, 4], [12, 18, 14, 24]])
def test_exact_null_is_the_law_of_networks_forward_and_backward(widths: list[int]) -> None:
    rng = np.random.default_rng(3)
    up, down = networks(widths, 1.4, 20_000, rng)
    null = sampling.exact_null(widths[1:], rng, 100_000, scale=1.96)
    back = sampling.exact_null(widths[1:-1], rng, 100_000, scale=1.96) * widths[-1] / widths[1]
    assert stats.ks_2samp(up, null).pvalue > 1e-4
    assert stats.ks_2samp(down, back).pvalue > 1e-4
    assert stats.ks_2samp(up * 1.3, null).pvalue < 1e-6  # it would see a factor of 1.3


def test_exact_null_has_the_mean_and_the_logarithm_of_theory() -> None:
    n, L = 240, 24
    null = sampling.exact_null([n] * L, np.random.default_rng(4), 100_000)
    assert abs(np.log(null).mean() + 2.5 * L / n) < 0.05
    assert abs(np.log(null).var() / (5 * L / n) - 1) < 0.05
    assert abs(null.mean() - 1) < 0.02


# ---------------------------------------------------------------------------------------------------------------------
# Wrong answers are caught: bounds on the power that need no simulation, and simulations where there is no bound


@pytest.mark.parametrize(
    ("wrong", "size"), [(1.2, 950), (0.8, 950), (1.1, 3500), (0.9, 3500), (2**0.5, 300), (0.5, 300)]
)
def test_variance_catches_wrong_spreads(wrong: float, size: int) -> None:
    """By the chi-squared law itself, and as a planted fault."""
    low, high = stats.chi2.ppf([sampling.ALPHA / 2, 1 - sampling.ALPHA / 2], size)
    missed = stats.chi2.cdf(high / wrong**2, size) - stats.chi2.cdf(low / wrong**2, size)
    assert missed < 1e-3
    x = np.random.default_rng(5).normal(0, 2 * wrong, size)
    verdict = sampling.variance(x, 2.0, (size,), what="W")
    assert verdict.share == 0
    assert f"{np.sqrt(np.mean(x**2)) / 2:.3g} times" in verdict.message


def distance(law: Any, other: Any) -> float:
    t = np.linspace(-5, 5, 20_001)
    return float(np.abs(law.cdf(t) - other.cdf(t)).max())


@pytest.mark.parametrize(
    ("wrong", "size"),
    [
        (stats.uniform(-(3**0.5), 2 * 3**0.5), 12_000),  # uniform of equal variance
        (stats.norm(scale=1.22), 12_000),  # a wrong fan
        (stats.norm(scale=2**0.5), 12_000),
        (stats.norm(scale=3**-0.5), 12_000),
        (stats.uniform(-1, 2), 12_000),  # a uniform law whose bound is σ
        (stats.norm(scale=1.12), 32_000),
    ],
)
def test_law_catches_wrong_laws(wrong: Any, size: int) -> None:
    """By Massart's inequality, and as a planted fault."""
    assert distance(wrong, stats.norm()) > (CRITICAL + MASSART) / np.sqrt(size)
    x = wrong.rvs(size, random_state=np.random.default_rng(6))
    verdict = sampling.law(x, stats.norm(), (size,), what="W")
    assert verdict.share == 0
    assert len(json.loads(json.dumps(verdict.plot))["series"]) == 2


def test_one_row_alone_is_not_alike() -> None:
    x = np.random.default_rng(10).uniform(-1, 1, (2, 1, 3000))
    assert sampling.uncorrelated(x[0], (1, 3000), what="W").share == 1
    laws, shapes = [stats.uniform(-1, 2)] * 2, [(1, 3000)] * 2
    assert sampling.drawn(list(x), laws, shapes, [1, 2], what="W").share == 1
    assert sampling.drawn([x[0], x[0]], laws, shapes, [1, 2], what="W").share == 0
    assert sampling.drawn([x[0], x[0]], laws, shapes, [1, 1], what="W").share == 1


def test_uncorrelated_catches_rows_that_share_half_of_their_variance() -> None:
    rng, shape = np.random.default_rng(7), (32, 32)
    for _ in range(5000):
        x = rng.standard_normal(shape) + rng.standard_normal(32)
        assert sampling.uncorrelated(x, shape, what="W").share == 0
    assert sampling.uncorrelated(np.ones((32, 1)) * x[:1], shape, what="W").share == 0


def own(name: str, student: str) -> Variant:
    return variant(load(ROOT / "coursework" / "checks" / f"{name}.py"), b"a key of the tests", student)


@pytest.mark.parametrize("student", STUDENTS)
def test_through_relu_catches_the_wrong_answers_of_ps4(student: str) -> None:
    """Laws that are further from the null than both samples stray, together, in more than 0.1 % of marks."""
    given, rng, R, draws, many = own("ps4", student), np.random.default_rng(8), 1000, 20_000, 20_000
    n, scale = given["widths"], given["sigma_w"] ** 2
    needed = CRITICAL / np.sqrt(R * draws / (R + draws)) + MASSART / np.sqrt(R) + MASSART / np.sqrt(draws)
    assert needed < 0.17
    up = sampling.exact_null(n[1:], rng, many, scale=scale)
    down = sampling.exact_null(n[1:-1], rng, many, scale=scale) * n[-1] / n[1]
    linear_top = sampling.exact_null(n[1:-1], rng, many, scale=scale) * scale * rng.chisquare(n[-1], many) / n[-1]
    forward = {
        "fan_out": up * n[0] / n[-1],
        "σ_w forgotten": up / scale ** (len(n) - 1),
        "σ_w in place of σ_w²": up / scale ** ((len(n) - 1) / 2),
        "no ReLU at the top": linear_top,
        "rms": np.sqrt(up),
        "sums": up * n[-1] / n[0],
        "one network": np.full(many, np.median(up)),
    }
    backward = {
        "fan_out": down * n[1] / n[-1],
        "no slopes": down * 2.0 ** (len(n) - 2),
        "sums": down * n[1] / n[-1],
        "rms": np.sqrt(down),
    }
    for right, wrongs in ((up, forward), (down, backward)):
        right = np.sort(right)
        for name, wrong in wrongs.items():
            apart = np.abs(np.searchsorted(np.sort(wrong), right) - np.arange(many))
            share, place = np.searchsorted(np.sort(wrong), right[apart.argmax()]) / many, apart.argmax() / many
            found = np.abs(rng.binomial(R, share, DRAWS) / R - place)  # at one place: the judge looks at all
            critical = sampling.critical_distance(round(R * draws / (R + draws)), sampling.ALPHA)
            assert np.count_nonzero(found <= critical) <= DRAWS * 5e-4, name
            assert stats.ks_2samp(wrong, right, method="asymp").statistic > needed + 2 * MASSART / np.sqrt(many), name


def test_through_relu_says_what_it_found() -> None:
    widths = [20] * 6
    wrong = sampling.exact_null(widths, np.random.default_rng(9), 1000, scale=1.0)
    verdict = sampling.through_relu(wrong, widths, 1000, what="F")
    assert verdict.share == 0
    assert "median" in verdict.message
    assert sampling.through_relu(-wrong, widths, 1000, what="F").share == 0
    assert sampling.through_relu(wrong[:10], widths, 1000, what="F").message.count("shape")


# ---------------------------------------------------------------------------------------------------------------------
# Exact judges, and what no judge accepts


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "return"),
        ("1.0", "str"),
        ({}, "dict"),
        ([1, [2, 3]], "differ in length"),
        (np.array([None]), "object"),
        (np.array([1 + 1j]), "complex128"),
        (np.array(["a"]), "U1"),
        ([True], "bool"),
        ([True, 0.5], "True or False among"),
        ([[1.0], (False,)], "True or False among"),
        ([np.array([True]), [0.5]], "True or False among"),
        ([10**400], "object"),
        ([], "empty"),
        ([float("nan")], "NaN"),
        (np.array([np.inf]), "infinite"),
        ([1.0, 2.0], "shape"),
        (1.0, "shape"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(value: Any, said: str) -> None:
    verdict = judging.close(value, [1.0], rtol=0.1, what="the slope")
    assert verdict.share == 0
    assert said in verdict.message
    assert verdict.message.startswith("the slope")


def test_close_names_the_first_number_that_is_off() -> None:
    assert judging.close([1.0, 2.0], [1.0, 2.0 + 1e-9], rtol=1e-6, what="q").share == 1
    assert judging.close([1e6, 1e-6], [1e6 + 0.5, 1e-6], rtol=1e-6, what="q").share == 1
    assert judging.close(1e-6, 1.1e-6, rtol=1e-6, what="q").share == 0  # relative: a small number gets no slack
    assert judging.close(1e-6, 1.1e-6, rtol=1e-6, atol=1e-6, what="q").share == 1
    assert "[1]: 2.1" in judging.close([1.0, 2.1], [1.0, 2.0], rtol=1e-6, what="q").message
    assert "too large" in judging.close(2.1, 2.0, rtol=1e-6, what="q").message
    assert "too small" in judging.close(1.9, 2.0, rtol=1e-6, what="q").message


@pytest.mark.parametrize(
    ("value", "wanted", "same"),
    [
        (3, 3, True),
        (3.0, 3, True),
        (np.int64(3), 3, True),
        (np.array(3), 3, True),
        (True, 1, False),
        (1, True, False),
        (np.array([1, 2]), [1, 2], True),
        ((1, 2), [1, 2], True),
        ([1, 2, 3], [1, 2], False),
        ([[1], [2]], np.array([[1], [2]]), True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ([1], 1, False),
        (True, np.bool_(True), True),
        (True, np.bool_(False), False),
        (1, np.bool_(True), False),
        ([True, 2], [np.bool_(True), np.int64(2)], True),
        (3, np.array(3), True),
        ([[1], [1, 2]], np.zeros((2, 1)), False),
        ([np.array([1]), [2]], np.array([[1], [2]]), True),
        ([True, 1], np.array([1, 1]), False),
        ("relu", "relu", True),
        (None, 0, False),
        (float("nan"), 1.0, False),
    ],
)
def test_equal_compares_what_crosses(value: Any, wanted: Any, same: bool) -> None:
    assert (judging.equal(value, wanted, "it").share == 1) is same


def test_arrays_of_whole_numbers_and_truth_values() -> None:
    assert judging.as_array([1.0, 2.0], kind="whole").dtype == np.int64
    assert judging.as_array([True], kind="truth").dtype == np.bool_
    assert judging.as_array(np.uint64(2**63 - 1), kind="whole") == 2**63 - 1
    assert judging.as_array([1, 0.5, -2]).tolist() == [1, 0.5, -2]
    for value, kind in (
        (np.uint64(2**64 - 1), "whole"),
        ([2**63], "whole"),
        ([True, 2], "whole"),
        ([1.5], "whole"),
        ([1e300], "whole"),
        ([1], "truth"),
        ([True], "whole"),
    ):
        with pytest.raises(judging.UnusableError):
            judging.as_array(value, kind=kind)
    assert judging.as_array(np.zeros((2, 5)), (2, None)).shape == (2, 5)


def test_single_numbers_entries_and_parts() -> None:
    assert judging.number(np.array([2])) == 2
    assert judging.entry({"a": 1}, "a") == 1
    assert judging.parts(np.zeros((2, 3)), 2)[0].shape == (3,)
    for wrong in (
        lambda: judging.number([1, 2]),
        lambda: judging.number(-1, low=0),
        lambda: judging.entry({"b": 1}, "a"),
        lambda: judging.entry([1], "a"),
        lambda: judging.parts((1, 2), 3),
        lambda: judging.parts(np.array(1.0), 1),
        lambda: judging.parts("ab", 2),
    ):
        with pytest.raises(judging.UnusableError):
            wrong()


def test_shares_are_counted_without_what_a_guess_gets() -> None:
    assert judging.fraction({"a": True, "b": False}, what="signs").share == 0.5
    assert judging.fraction({"a": True, "b": False}, what="signs", guess=0.5).share == 0
    assert "Look again at b" in judging.fraction({"a": True, "b": False}, what="signs").message
    some = judging.cases([1, 2, 3, 5], [1, 2, 3, 4], list("wxyz"), what="counts")
    assert some.share == 0.375
    assert "z (no. 4)" in some.message
    assert judging.cases([1], [1], ["w"], what="counts").share == 1


def test_verdicts_are_combined() -> None:
    good, bad = Verdict(1.0, "good", 0.5), Verdict(0.0, "bad", 1e-9, {"title": "t"})
    both = judging.combine(good, bad)
    assert (both.share, both.message, both.p_value, both.plot) == (0.5, "bad", 2e-9, {"title": "t"})
    assert judging.combine(good, bad, every=True).share == 0
    assert judging.combine(good, good).message == "good"
    many = [Verdict(0.0, f"W{layer} is off.") for layer in range(30)]
    lines = judging.combine(judging.combine(*many), judging.combine(*many[::-1])).message.splitlines()
    assert (lines[:2], len(lines), lines[-1]) == (
        ["W0 is off.", "W1 is off."],
        judging.LINES + 1,
        "… and more like these.",
    )
    assert judging.combine(Verdict(1.0, "exact")).p_value is None


def test_a_seed_means_a_seed() -> None:
    """Of one shape: with seeds s, s, t the first two draws are equal and the third is another."""
    right = [np.random.default_rng(seed).normal(size=(2, 3)) for seed in (1, 1, 2)]
    seeds = [1, 1, 2]
    assert sampling.seeded(right, seeds, what="W").share == 1
    for wrong in ([right[0]] * 3, [right[0], right[2], right[2]], [right[0], right[2], 2 * right[2]]):
        assert sampling.seeded(wrong, seeds, what="W").share == 0
    inside = [np.random.default_rng(0).normal(size=shape) for shape in ((2, 3), (3, 2))]
    assert sampling.seeded(inside, [1, 2], what="W").share == 1  # which is why one shape is asked
    asked = assignment.thrice({"shape": [2, 3]}, np.random.default_rng(3))
    assert [call["shape"] for call in asked] == [[2, 3]] * 3
    assert asked[0]["seed"] == asked[1]["seed"] != asked[2]["seed"]


def test_own_numbers_are_counted_one_by_one() -> None:
    wanted = {"a": 2.0, "b": -1e-6, "free": [1, 6]}
    assert judging.own_numbers(wanted, wanted).share == 1
    assert judging.own_numbers({**wanted, "a": 2.0015, "c": 1}, wanted).share == 1
    assert judging.own_numbers({**wanted, "a": 2.003, "free": [6, 1]}, wanted).share == pytest.approx(1 / 3)
    assert judging.own_numbers({**wanted, "b": "x"}, wanted).share == pytest.approx(2 / 3)
    assert "'b'" in judging.own_numbers({"a": 2.0}, wanted).message
    assert judging.own_numbers([2.0, 1.0], wanted).share == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1", "no line that begins with OWN ="),
        ("OWN = f(1)", "calculated"),
        ("OWN = {'a': 1 / 3}", "calculated"),
        ("OWN = VARIANT", "calculated"),
        ("def f():\n    OWN = 1", "no line"),
        ("OWN = (", "no line"),
    ],
)
def test_what_is_calculated_is_not_written(source: str, said: str) -> None:
    with pytest.raises(values.Refused, match=said):
        values.written([source], "OWN")


def test_the_last_line_that_is_written_counts() -> None:
    assert values.written(["OWN = 1", "%matplotlib inline", "# mine\nOWN = {'a': -0.5, 'free': [1, 2]}"], "OWN") == {
        "a": -0.5,
        "free": [1, 2],
    }
