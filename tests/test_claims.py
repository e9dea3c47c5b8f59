"""Claims: whether intervals cover, whether stated false-failure rates are honest, and what a reader gets to see.

A test by simulation fails with probability at most ALPHA over seeds; the seeds are fixed. Its companion feeds the same
check a wrong implementation, which it must catch.
"""

import importlib.util
import json
import math
import re
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from initnotes.book import evidence as shown
from initnotes.book import intervals
from initnotes.book.claims import (
    MIME,
    Claim,
    Evidence,
    NotSupportedError,
    WrongAnswer,
    collect,
    exact,
    listed,
    mean,
    median,
    proportion,
    settle,
    training,
)
from initnotes.book.evidence import Tuning
from initnotes.book.notation import written
from initnotes.networks.sweeps import Sweep
from tools.notebooks import ROOT, load

ALPHA = 1e-4  # false-failure rate of one test function
SEED = 20260107
DRAWS = 32
MAKERS = {"median": median, "mean": mean, "proportion": proportion}
quick = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def rng(seed=SEED):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------------------------------------------------------
# Intervals

LAWS = {  # of independent draws, with what the interval must cover
    "median of normal draws": (median, lambda n: rng().standard_normal((n, DRAWS)), 0.0),
    "median of Cauchy draws": (median, lambda n: rng().standard_cauchy((n, DRAWS)), 0.0),
    "median of 11 exponential draws": (median, lambda n: rng().exponential(size=(n, 11)), math.log(2)),
    "mean of normal draws": (mean, lambda n: 5 + rng().standard_normal((n, DRAWS)), 5.0),
    "mean of 3 normal draws": (mean, lambda n: rng().standard_normal((n, 3)), 0.0),
    "proportion of 0.3": (proportion, lambda n: rng().random((n, DRAWS)) < 0.3, 0.3),
    "proportion of 0.99": (proportion, lambda n: rng().random((n, DRAWS)) < 0.99, 0.99),
}


def p_coverage(make, sets, truth):
    """One-sided binomial p-value: as many misses, if an interval misses with probability 0.001."""
    intervals = [make("x", draws, at_least=0.5).interval for draws in sets]
    misses = sum(not low <= truth <= high for low, high in intervals)
    return stats.binom.sf(misses - 1, len(sets), 0.001)


@pytest.mark.parametrize("law", LAWS)
def test_intervals_cover_as_often_as_they_say(law):
    """2000 sets; false-failure rate ALPHA over all laws."""
    make, draw, truth = LAWS[law]
    assert p_coverage(make, draw(2000), truth) > ALPHA / len(LAWS)


@pytest.mark.parametrize("law", ["median of normal draws", "mean of normal draws", "proportion of 0.3"])
def test_intervals_at_a_lower_confidence_are_caught(law, monkeypatch):
    monkeypatch.setattr(intervals, "CONFIDENCE", 0.95)
    make, draw, truth = LAWS[law]
    assert p_coverage(make, draw(2000), truth) < ALPHA / len(LAWS)


def test_intervals_are_no_wider_than_need_be():
    """An interval that always covers would pass above: these are the textbook's for 32 draws."""
    values = np.arange(32.0)
    assert median("x", values, at_least=-1).interval == (values[6], values[25])
    low, high = mean("x", values, at_least=-100).interval
    expected = stats.t.interval(0.999, 31, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seen", [0, 1, 16, 31, 32])
def test_the_interval_of_a_proportion_is_clopper_and_pearsons(seen):
    found = proportion("x", np.arange(32) < seen, at_most=0.5).interval
    peer = stats.binomtest(seen, 32).proportion_ci(0.999, "exact")
    assert found == pytest.approx((peer.low, peer.high), rel=1e-9, abs=1e-15)


# ---------------------------------------------------------------------------------------------------------------------
# False-failure rates

# A demand at which a repetition fails about once in ten: by the exact laws below, not by simulation.
NEAR = {
    "median, one side": (median, lambda n: rng().standard_normal((n, DRAWS)), {"at_most": 1.13}),
    "median, two sides": (median, lambda n: rng().standard_cauchy((n, DRAWS)), {"at_least": -2.8, "at_most": 2.8}),
    "median, diverging": (
        median,
        lambda n: np.where(rng().random((n, DRAWS)) < 0.86, np.inf, 1.0),
        {"at_least": math.inf},
    ),
    "mean, one side": (mean, lambda n: rng().standard_normal((n, DRAWS)), {"at_most": 0.9}),
    "mean, two sides": (mean, lambda n: 1 + 0.1 * rng().standard_normal((n, DRAWS)), {"theory": 1, "tolerance": 0.09}),
    "proportion": (proportion, lambda n: rng().random((n, DRAWS)) < 0.9, {"at_least": 0.55}),
}


def honesty(make, sets, demand):
    """Return the observed rate of failures, and the rate that a typical set of draws states."""
    evidence = [make("x", draws, **demand) for draws in sets]
    failed, stated = zip(*((not piece.supports, piece.false_failure_rate) for piece in evidence), strict=True)
    return np.mean(failed), np.median(stated)


def is_honest(observed, stated):
    """To an order of magnitude."""
    return stated / 10 < observed < stated * 10


@pytest.mark.parametrize("case", NEAR)
def test_stated_rates_are_honest(case):
    """False-failure rate below ALPHA: of 1000 sets about 100 fail, so 50 to 200 do; and so with the median stated."""
    make, draw, demand = NEAR[case]
    observed, stated = honesty(make, draw(1000), demand)
    assert 0.02 < observed < 0.4
    assert is_honest(observed, stated)


@pytest.mark.parametrize("case", ["median, one side", "mean, one side"])
def test_a_rate_that_forgets_the_interval_is_caught(case):
    """Wrong: how often the estimate alone leaves the range."""
    make, draw, demand = NEAR[case]
    observed, _ = honesty(make, draw(1000), demand)
    wrong = stats.norm.sf(demand["at_most"] * math.sqrt(DRAWS))
    assert not is_honest(observed, wrong)


@pytest.mark.parametrize("outside", [0, 1, 3])
def test_the_medians_rate_is_its_docstrings(outside):
    values = np.append(np.full(outside, 5.0), np.linspace(0, 1, DRAWS - outside))
    predicted = stats.t.sf((2 - values.mean()) / (values.std(ddof=1) * math.sqrt(1 + 1 / DRAWS)), DRAWS - 1)
    chance = max((outside + 0.5) / (DRAWS + 1), predicted)
    expected = sum(math.comb(DRAWS, k) * chance**k * (1 - chance) ** (DRAWS - k) for k in range(7, DRAWS + 1))
    assert median("x", values, at_most=2).false_failure_rate == pytest.approx(expected, rel=1e-9)


def test_draws_that_nearly_touch_the_range_raise_the_medians_rate():
    """The count alone sees no difference; the tail is that of a normal law, so heavy tails only raise it."""
    values = rng().standard_normal(DRAWS)
    far, near = (median("x", values, at_most=end).false_failure_rate for end in (9.0, values.max() + 1e-9))
    assert near > far
    wide = median("x", np.append(values, -1e3), at_most=9.0).false_failure_rate
    assert wide > 0.1
    assert median("x", np.append(values, -np.inf), at_most=9.0).false_failure_rate < 1e-3
    mirrored = median("x", -values, at_least=-values.max() - 1e-9).false_failure_rate
    assert mirrored == pytest.approx(near, rel=1e-9)


def test_equal_draws_are_no_algebra():
    for make in (mean, median):
        assert 0 < make("x", [1.0] * DRAWS, at_most=2).false_failure_rate < 1e-6
    assert mean("x", [1.0] * DRAWS, at_most=2).chance() == "about 1e-09"
    assert mean("x", [3.0] * DRAWS, at_most=2).false_failure_rate == 1
    assert proportion("x", [True] * 3000, at_least=0.01).chance() == "about 1e-09"


def test_a_chance_that_differs_by_machine_stands_behind_the_mark():
    """What compares outputs leaves it out, as it leaves out the measured value."""
    for lowest in (2.0, 2.5):
        assert mean("x", [1.0] * DRAWS, at_most=lowest, digits=0).chance() == "≈ 1e-09"
    missed = mean("x", [3.0] * DRAWS, at_most=2, digits=0)
    assert missed.chance() == "about 1", "what does not support the verdict is shown with its digits"


def test_a_stated_chance():
    evidence = exact("distinct", [16, 16], 16, chance=1e-9)
    assert (evidence.supports, evidence.false_failure_rate, evidence.chance()) == (True, 1e-9, "≤ 1e-09")
    assert exact("distinct", [16, 16], 16, chance=3e-5).chance() == "≤ 0.0001"


def test_only_what_is_exact_has_no_chance_in_it():
    """However small the rate, what was drawn at random says so; a noncentral t of 1000 draws underflows to 0."""
    values = 1 + 1e-6 * rng().standard_normal(1000)
    for evidence in (mean("x", values, at_most=2), median("x", values, at_most=2)):
        assert 0 < evidence.false_failure_rate < 1e-9
        assert evidence.chance() == "about 1e-09"
    assert exact("x", values > 0, 1).chance() == "0 (follows from algebra)"


@given(st.floats(0, 2))
@quick
def test_the_shown_rate_is_an_upper_bound(rate):
    stated = shown._power_of_ten(rate)
    assert stated >= min(rate, 1.0) * (1 - 1e-12)
    assert stated == 0 or stated <= max(10 * rate, 1e-9)


# ---------------------------------------------------------------------------------------------------------------------
# Evidence

edges = st.floats(-10, 10)


@given(edges, edges, edges, edges)
@quick
def test_evidence_supports_if_its_interval_is_inside(a, b, c, d):
    interval, demanded = tuple(sorted((a, b))), tuple(sorted((c, d)))
    inside = all(demanded[0] <= end <= demanded[1] for end in interval)
    assert Evidence("x", "mean", a, interval, demanded, None, 32, 0.0).supports == inside


def test_the_closed_ends_belong_to_the_range():
    values = np.linspace(0, 1, 32)
    low, high = median("x", values, at_least=-1).interval
    assert median("x", values, at_least=low, at_most=high).supports
    assert not median("x", values, at_least=np.nextafter(low, 1), at_most=high).supports
    assert not median("x", values, at_least=low, at_most=np.nextafter(high, 0)).supports


def test_too_few_draws_support_nothing():
    spread = 0.1 * rng().standard_normal(1000)
    assert not mean("x", 1 + spread[:4], theory=1, tolerance=0.1).supports
    assert mean("x", 1 + spread, theory=1, tolerance=0.1).supports


def test_not_a_number_never_supports():
    assert not Evidence("x", "mean", 0.0, (math.nan, math.nan), (0, 1), None, 32, 0.0).supports


def test_exact():
    good, bad = exact("units", np.ones((4, 2)), 1), exact("units", [1, 1, 3], 1)
    assert (good.supports, good.interval, good.samples, good.false_failure_rate) == (True, (1, 1), 8, 0)
    assert (good.measured(), good.range(), good.statistic) == ("1", "= 1", "every value")
    assert (bad.supports, bad.measured()) == (False, "1 [1, 3]")
    assert exact("flags", [True, True], True).supports


def test_an_exact_value_that_is_nearly_right_does_not_look_right():
    evidence = exact("x", [1 + 1e-12], 1)
    assert not evidence.supports
    assert evidence.measured() == "1 [1, 1.00001]"


@pytest.mark.parametrize(
    ("demand", "demanded", "text"),
    [
        ({"theory": 2.0, "tolerance": 0.1}, (1.8, 2.2), "1.8 to 2.2"),
        ({"theory": -2.0, "tolerance": 0.1}, (-2.2, -1.8), "-2.2 to -1.8"),
        ({"theory": 2.0, "tolerance": 0}, (2.0, 2.0), "= 2"),
        ({"at_least": 3}, (3.0, math.inf), "≥ 3"),
        ({"at_most": 3}, (-math.inf, 3.0), "≤ 3"),
        ({"at_least": 1, "at_most": 3, "theory": 2}, (1.0, 3.0), "1 to 3"),
        ({"theory": 2.0, "tolerance": 0.5, "at_least": 1.5}, (1.5, 3.0), "1.5 to 3"),
        ({"at_least": math.inf}, (math.inf, math.inf), "= infinite"),
        ({"at_most": -math.inf}, (-math.inf, -math.inf), "= -infinite"),
        ({"at_most": 1.00004}, (-math.inf, 1.00004), "≤ 1.00004"),
        ({"at_least": 12345.6}, (12345.6, math.inf), "≥ 12345.6"),
        ({"at_most": 0.9999999999}, (-math.inf, 0.9999999999), "≤ 0.999999…"),
        ({"at_least": 2e20 / 3}, (2e20 / 3, math.inf), "≥ 6.66666… × 10^19"),
        ({"theory": 1 / 3, "tolerance": 0}, (1 / 3, 1 / 3), "= 0.333333…"),
    ],
)
def test_demands(demand, demanded, text):
    evidence = median("x", np.arange(32), **demand)
    assert evidence.demanded == pytest.approx(demanded)
    assert evidence.range() == text
    assert evidence.theory == demand.get("theory")


def test_a_median_may_be_infinite():
    never = median("steps", np.full(32, np.inf), at_least=math.inf)
    assert never.supports
    assert never.measured() == "infinite"
    assert 0 < never.false_failure_rate < 1e-4
    mixed = median("steps", np.append(np.full(10, np.inf), np.arange(22)), at_most=30)
    assert (mixed.interval, mixed.supports) == ((6.0, math.inf), False)


def test_what_depends_on_the_machine_is_marked_and_has_few_digits():
    """As few as show that the demand is met. In a failure two digits say more, and no stored page has one."""
    values = np.linspace(0.9, 1.1, 32)
    assert median("x", values, digits=0, at_least=0.5).measured() == "≈ 1 [0.9, 2]"
    assert median("x", values, digits=0, at_least=0.5, at_most=1.5).measured() == "≈ 1 [0.93, 1.1]"
    assert median("x", values, digits=0, at_least=0.934).measured() == "≈ 1 [0.938, 1.07]"
    assert median("x", np.full(32, 0.3), digits=0, at_least=0.2).measured() == "≈ 0.3"
    assert median("x", np.full(32, np.inf), digits=0, at_least=3).measured() == "≈ infinite"
    beside = {"another optimizer": np.full(32, 1.7)}
    sgd = median("x", np.full(32, 2.3), digits=0, at_least=2, excludes=beside)
    assert (sgd.measured(), sgd.demanded_not()) == ("≈ 2.3", "≥ 2, not ≈ 1.7 (another optimizer)")
    failing = median("x", values, digits=0, at_least=1, excludes={"none": 0})
    assert failing.measured() == "1 [0.93, 1.1]"
    with pytest.raises(NotSupportedError, match=re.escape("1 [0.93, 1.1]; demanded ≥ 1")):
        settle(3, "holds", "so", failing)


@pytest.mark.parametrize(("digits", "text"), [(1, "1 [0.9, 2]"), (2, "1 [0.93, 1.1]"), (4, "1 [0.9387, 1.062]")])
def test_digits(digits, text):
    assert median("x", np.linspace(0.9, 1.1, 32), digits=digits, at_least=0).measured() == text


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.integers(1, 9))
@example(5e-324, 1.7976931348623157e308, 2)
@example(-1e-310, 9.9999999, 6)
@example(1000.0, 1000.0000001, 3)
@quick
def test_rounding_is_outward(a, b, digits):
    """Up to the slack that keeps 0.1 + 0.2 at 0.3: half a unit of the 8th digit after those that are shown."""
    low, high = min(a, b), max(a, b)
    texts = [shown._read_back(text) for text in shown._outward((low, high), digits)]
    slack = [abs(end) * 0.6 * 10.0 ** -min(digits + 8, 15) if math.isfinite(end) else 0.0 for end in (low, high)]
    assert texts[0] <= low + slack[0] + 5e-324
    assert texts[1] >= high - slack[1] - 5e-324
    for end, text in zip((low, high), texts, strict=True):
        if 1e-290 < abs(end) < 1e300:
            assert abs(text - end) <= abs(end) * 10.0 ** (1 - digits) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("interval", "digits", "texts"),
    [
        ((0.1 + 0.2, 0.1 + 0.2), 2, ("0.3", "0.3")),
        ((0.1, 0.7), 2, ("0.1", "0.7")),
        ((-1.234, 1.234), 2, ("-1.3", "1.3")),
        ((999.5, 999.5), 3, ("999", "1e+03")),
        ((0.0, -0.0), 2, ("0", "0")),
        ((123456.4, 12345678.9), 8, ("123456.4", "12345679")),
        ((-math.inf, math.inf), 2, ("-infinite", "infinite")),
    ],
)
def test_rounded_ends(interval, digits, texts):
    low, high = shown._outward(interval, digits)
    assert [shown._read_back(low), shown._read_back(high)] == [shown._read_back(text) for text in texts]
    assert len(low) <= 9


# ---------------------------------------------------------------------------------------------------------------------
# Wrong answers

WELL = np.linspace(0.9, 1.1, 32)
TRAINED = np.arange(32) < 31
KINDS = {  # of evidence: how it is made, values and a demand that they meet, a wrong number, and draws of a wrong arm
    "exact": (exact, [1, 1], {"theory": 1}, 2, [1, 3]),
    "median": (median, WELL, {"theory": 1, "tolerance": 0.2}, 0.5, WELL / 2),
    "mean": (mean, WELL, {"at_least": 0.8}, 0.5, WELL / 2),
    "proportion": (proportion, TRAINED, {"at_least": 0.5}, 0.2, ~TRAINED),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_demand_fails_for_the_wrong_answer(kind):
    make, values, demand, number, draws = KINDS[kind]
    made = make("x", values, **demand, excludes={"a number": number, "an arm": draws})
    assert made.supports
    assert [(wrong.name, wrong.samples) for wrong in made.excludes] == [("a number", 0), ("an arm", len(draws))]
    assert all(not made.demanded[0] <= wrong.value <= made.demanded[1] for wrong in made.excludes)
    assert not make("x", draws, **demand).supports


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_answer_that_meets_the_demand_is_refused(kind):
    make, values, demand, *_ = KINDS[kind]
    for as_well in (1, values):
        with pytest.raises(ValueError, match="does not exclude 'an arm'"):
            make("x", values, **demand, excludes={"far off": 0, "an arm": as_well})


def test_a_wrong_arm_that_is_only_too_uncertain_is_not_excluded():
    """Its interval reaches out of the range, its median does not: more draws would support it."""
    vague = np.linspace(0, 2, 32)
    assert not median("x", vague, theory=1, tolerance=0.2).supports
    with pytest.raises(ValueError, match="does not exclude 'vague'"):
        median("x", WELL, theory=1, tolerance=0.2, excludes={"vague": vague})


def test_an_arm_that_diverges_is_excluded():
    made = median("loss", WELL, at_most=2, excludes={"at rate 10": np.full(32, np.inf)})
    assert made.excludes == (WrongAnswer("at rate 10", math.inf, 32),)
    assert made.demanded_not() == "≤ 2, not infinite (at rate 10)"


def test_the_value_farthest_from_an_exact_theory_is_told():
    assert exact("x", [2], 2, excludes={"another": [2, 1.5, 2.1]}).excludes[0].value == 1.5


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([0.5], TypeError, "x: excludes must map each wrong answer, in words, to what it gives"),
        ({"": 0.5}, TypeError, "in words"),
        ({1: 0.5}, TypeError, "in words"),
        ({"half": "0.5"}, TypeError, "x: what 'half' gives must be a real number"),
        ({"half": math.nan}, ValueError, "x: what 'half' gives must be finite"),
        ({"half": []}, TypeError, "x: what 'half' gives must be a real number"),
        ({"half": [math.nan]}, ValueError, "no NaN"),
        ({"half": [[0.5, 0.4]]}, ValueError, "needs a vector"),
    ],
)
def test_bad_wrong_answers(given, error, message):
    for make in (mean, median):
        with pytest.raises(error, match=re.escape(message)):
            make("x", WELL, at_least=0.7, excludes=given)


def test_what_a_wrong_answer_gives_for_a_proportion_is_one():
    with pytest.raises(ValueError, match=re.escape("must lie in [0, 1]")):
        proportion("x", TRAINED, at_least=0.5, excludes={"none": -1})
    with pytest.raises(TypeError, match="must be booleans"):
        proportion("x", TRAINED, at_least=0.5, excludes={"none": [0, 0]})


def test_evidence_that_excludes_nothing_is_refused():
    bare = exact("counts", [2, 2], 2)
    with pytest.raises(ValueError, match="claim 3: this evidence excludes no wrong answer: 'counts'; name one"):
        settle(3, "holds", "so", GOOD, bare)


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-10, 10))
@quick
def test_what_is_excluded_lies_outside(a, b, value):
    low, high = min(a, b), max(a, b)
    if low <= value <= high:
        with pytest.raises(ValueError, match="does not exclude"):
            Evidence("x", "mean", a, (low, high), (low, high), None, 32, 0.0, 2, (WrongAnswer("w", value),))
    else:
        Evidence("x", "mean", a, (low, high), (low, high), None, 32, 0.0, 2, (WrongAnswer("w", value),))


BAD_EVIDENCE = [
    (lambda: exact("x", [], 1), ValueError, "x: needs at least one value and no NaN, got 0"),
    (lambda: exact("x", [1, math.nan], 1), ValueError, "x: needs at least one value and no NaN"),
    (lambda: median("x", [math.nan] * 32, at_least=0), ValueError, "no NaN"),
    (lambda: median("x", range(10), at_least=0), ValueError, "needs at least 11 draws, got 10"),
    (lambda: mean("x", [1.0], at_least=0), ValueError, "a mean needs at least 2 draws, all finite; got 1"),
    (lambda: mean("x", [1.0, math.inf], at_least=0), ValueError, "use median for what diverges"),
    (lambda: proportion("x", [0, 1], at_least=0.5), TypeError, "x: outcomes must be booleans"),
    (lambda: proportion("x", np.zeros(0, bool), at_least=0.5), TypeError, "at least one"),
    (lambda: median("x", np.ones((32, 100)), at_least=0), ValueError, "got shape (32, 100); reduce it first"),
    (lambda: mean("x", np.ones((32, 1)), at_least=0), ValueError, "x: needs a vector, one value per independent draw"),
    (lambda: proportion("x", np.ones((8, 4), bool), at_least=0.5), ValueError, "got shape (8, 4); reduce it first"),
    (lambda: proportion("x", [True] * 32, at_least=0.0), ValueError, "be able to fail, got 0 to infinite"),
    (lambda: proportion("x", [True] * 32, at_most=1), ValueError, "be able to fail, got -infinite to 1"),
    (lambda: proportion("x", [True] * 32, theory=0.5, tolerance=1), ValueError, "be able to fail, got 0 to 1"),
    (lambda: proportion("x", [True] * 32, at_least=1.5), ValueError, "must lie in [0, 1]"),
    (lambda: proportion("x", [True] * 32, at_least=-0.1, at_most=0.5), ValueError, "must lie in [0, 1]"),
    (lambda: median("x", range(32), at_least=0, digits=1.0), TypeError, "digits must be an integer"),
    (lambda: mean("x", range(32), at_least=0, digits=-1), ValueError, "digits must be at least 0"),
    (lambda: proportion("x", [True] * 32, at_least=0.5, digits="2"), TypeError, "digits must be an integer"),
    (lambda: exact("x", [1], "1"), TypeError, "theory must be a real number"),
    (lambda: exact("x", [1], math.nan), ValueError, "theory must be finite"),
    (lambda: exact("x", [1], 1, chance=-1e-9), ValueError, "chance must be at least 0"),
    (lambda: exact("x", [1], 1, chance=1.1), ValueError, "chance must be at most 1"),
    (lambda: collect({}), ValueError, "a notebook has cells"),
]
BAD_DEMANDS = [
    ({}, ValueError, "nothing is demanded"),
    ({"theory": 1.0}, ValueError, "nothing is demanded"),
    ({"tolerance": 0.1}, ValueError, "a relative tolerance needs a finite theory, not 0"),
    ({"theory": 0, "tolerance": 0.1}, ValueError, "use at_least and at_most"),
    ({"theory": math.inf, "tolerance": 0.1}, ValueError, "use at_least and at_most"),
    ({"theory": 1.0, "tolerance": -0.1}, ValueError, "tolerance must be at least 0"),
    ({"theory": 1.0, "tolerance": math.nan}, ValueError, "tolerance must be finite"),
    ({"theory": math.nan, "tolerance": 0.1, "at_least": 0}, ValueError, "theory must be finite"),
    ({"theory": "1", "at_least": 0}, TypeError, "theory must be a real number"),
    ({"at_least": 2, "at_most": 1}, ValueError, "the demanded range is empty, 2 to 1"),
    ({"at_least": math.nan}, ValueError, "at_least must be finite"),
    ({"at_most": "2"}, TypeError, "at_most must be a real number"),
    ({"theory": 1.0, "tolerance": 0.1, "at_least": 2}, ValueError, "empty"),
    ({"at_lest": 1}, TypeError, "x: unknown keyword 'at_lest'; did you mean 'at_least'?"),
    ({"colour": 1}, TypeError, "x: unknown keyword 'colour'"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD_EVIDENCE)
def test_bad_evidence(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(("demand", "error", "message"), BAD_DEMANDS, ids=[repr(bad[0]) for bad in BAD_DEMANDS])
def test_bad_demands(kind, demand, error, message):
    with pytest.raises(error, match=re.escape(message)):
        MAKERS[kind]("x", np.arange(32) < 16, **demand)


# ---------------------------------------------------------------------------------------------------------------------
# The list and its verdicts


TEXTS = ("claim", "source", "charitable", "expected", "settled_by")
COMING = {"residual networks", "transformers", "width and learning rate", "lazy or rich", "finetuning", "own start"}
COMING |= {"data-dependent", "convolutions", "isometry", "recurrent"}


def test_the_list_is_complete():
    assert list(listed()) == list(range(1, max(listed()) + 1))
    for number, entry in listed().items():
        assert entry["number"] == number
        assert set(entry) - {"about", "opens_with"} == {"number", *TEXTS}
        assert entry.get("about", "training") == "training"
        assert (entry.get("opens_with") in COMING) == (number > 45)
        for key in TEXTS:
            assert entry[key] == entry[key].strip() != ""
            assert not entry[key].endswith(".")
    for key in ("claim", "charitable"):
        assert len({entry[key] for entry in listed().values()}) == len(listed())


def test_the_list_cannot_be_changed():
    listed()[1]["claim"] = "another"
    listed().clear()
    assert listed()[1]["claim"] != "another"


SEPARATE = {"units separate": 16}
GOOD = exact("units", [1, 1], 1, excludes=SEPARATE)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, "holds", "so", GOOD), ValueError, "number must be at least 1, got 0"),
        ((99, "holds", "so", GOOD), ValueError, f"number must be one of the list's, 1 … {max(listed())}, got 99"),
        ((1.0, "holds", "so", GOOD), TypeError, "number must be an integer"),
        ((True, "holds", "so", GOOD), TypeError, "number must be an integer"),
        ((1, "hold", "so", GOOD), ValueError, "unknown verdict 'hold'; did you mean 'holds'?"),
        ((1, "true", "so", GOOD), ValueError, "One of: holds, holds when, fails"),
        ((1, None, "so", GOOD), TypeError, "verdict must be a string"),
        ((1, "holds", "", GOOD), ValueError, "because must say"),
        ((1, "holds", ".", GOOD), ValueError, "because must say"),
        ((1, "holds", GOOD), ValueError, "because must say"),
        ((1, "holds", "so"), TypeError, "evidence must be at least one Evidence"),
        ((1, "holds", "so", GOOD, True), TypeError, "from exact, median, mean, proportion or training"),
    ],
)
def test_bad_claims(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        settle(*arguments)


def test_a_claim_about_training_says_its_budget():
    for budget in ("", "150 steps", "150 steps:", ": as it is"):
        with pytest.raises(ValueError, match=r"claim 27 is about training.* at 0 budgets"):
            settle(27, "fails", "so", GOOD, budget=budget)
    with pytest.raises(TypeError, match="budget must say in words"):
        settle(27, "fails", "so", GOOD, budget=150)
    settled = settle(27, "fails", "so", GOOD, budget="150 steps at rate 0.1: both have converged.")
    assert "\nBudget: 150 steps at rate 0.1: both have converged.\n" in str(settled)
    assert settled.as_json()["budget"] == "150 steps at rate 0.1: both have converged"


def swept(rates=(0.01, 0.03, 0.1, 0.3, 1.0)):
    """Return three arms at two budgets in 12 replicas; the second rate is the best, and the fourth for "bad"."""
    favorite, behind = {"he": 1, "xavier": 1, "bad": 3}, {"he": 0.0, "xavier": 0.5, "bad": 2.0}
    away = {arm: 0.5 * np.abs(np.arange(len(rates)) - at)[None, :, None] for arm, at in favorite.items()}
    late = 1 + np.arange(2)[:, None, None]
    values = {arm: 0.3 + behind[arm] / late + away[arm] + 0.01 * np.arange(12) for arm in favorite}
    diverged = {arm: np.arange(12) < np.array([[0], [0], [2], [3], [12]])[: len(rates)] for arm in favorite}
    return Sweep(np.array(rates), tuple(favorite), (100, 1000), values, diverged)


def test_training_judges_each_arm_at_its_own_best_rate_and_at_each_budget():
    nothing = {"no difference": 0.0}
    early, late = training("Xavier - He: loss", swept(), "xavier", "he", at_least=0.2, excludes=nothing)
    assert (early.what, late.what) == ("Xavier - He: loss, 100 steps", "Xavier - He: loss, 1000 steps")
    assert (early.estimate, late.estimate) == pytest.approx((0.5, 0.25))
    assert early.tuning == Tuning(100, (0.01, 0.03, 0.1, 0.3, 1.0), (0.03, 0.03), (0, 0), False)
    assert early.shown() == "median of 12 draws (best of 5 rates): 0.5"
    assert settle(27, "fails", "so", early, late).budget == ""
    assert Claim.from_json(settle(27, "fails", "so", early, late).as_json()).evidence == (early, late)
    (alone,) = training("He: loss", swept(), "he", steps=[1000], at_most=0.5, excludes={"a guess": 2.3})
    with pytest.raises(ValueError, match="sweep at 1 budgets, not two"):
        settle(27, "fails", "so", alone)
    assert settle(27, "fails", "so", alone, budget="1000 steps: at 100 none has begun").budget


def test_replicas_that_diverge_are_counted_and_a_rate_at_the_end_is_told():
    tried = swept()
    (early, _) = training("bad", tried, "bad", at_least=1, excludes={"he": tried.at_best("he", 0)})
    assert early.shown().startswith("median of 12 draws (best of 5 rates, ≈ 3 diverged): ")
    assert early.excludes == (WrongAnswer("he", pytest.approx(0.355), 12),)
    tried.values["bad"][:, 4] = 0.0
    (early, _) = training("bad", tried, "bad", at_most=1, excludes={"a guess": 2.3})
    assert early.shown() == "median of 12 draws (best of 5 rates, at an end of them, ≈ 10 diverged): 0"


def test_training_counts_how_many_arrive():
    arrive = {"statistic": "proportion", "below": 0.5, "excludes": {"none": 0.0}}
    early, late = training("He: trains", swept(), "he", **arrive, at_least=0.5)
    assert (early.statistic, early.estimate, early.supports, late.supports) == ("proportion", 1.0, True, True)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("lecun",), {}, ValueError, "unknown arm 'lecun'"),
        (("he", "lecun"), {}, ValueError, "unknown arm 'lecun'"),
        (("he",), {"steps": [150]}, ValueError, "x: steps must be some of the sweep's budgets [100, 1000], got [150]"),
        (("he",), {"steps": []}, ValueError, "got []"),
        (("he",), {"below": 1.0}, ValueError, "x: below= and statistic='proportion' go together"),
        (("he",), {"statistic": "proportion"}, ValueError, "go together"),
        (("he",), {"statistic": "mode"}, ValueError, "unknown statistic 'mode'"),
        (("he",), {"excludes": {"as good": 0.3}}, ValueError, "does not exclude 'as good'"),
    ],
)
def test_bad_training(arguments, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        training("x", swept(), *arguments, at_most=0.5, **options)


def test_few_rates_decide_nothing():
    with pytest.raises(ValueError, match="x: a verdict about training needs at least 5 rates, got 4"):
        training("x", swept((0.01, 0.03, 0.1, 0.3)), "he", at_most=0.5)


def test_a_wrong_theory_is_refused_and_named():
    values = 1 + 0.01 * rng().standard_normal(32)
    half = {"half": 0.5}
    right, wrong = (median(f"theory {t}", values, theory=t, tolerance=0.05, excludes=half) for t in (1.0, 1.1))
    with pytest.raises(NotSupportedError) as caught:
        settle(7, "fails", "so", right, wrong, GOOD, exact("counts", [2, 3], 2, excludes=half))
    lines = str(caught.value).split("\n")
    assert lines[0] == "claim 7 is not 'fails':"
    assert lines[1].startswith("- theory 1.1: median of 32 draws: ")
    assert lines[1].endswith("; demanded theory 1.1 ± 5 %")
    assert lines[2:] == ["- counts: all 2 values: 2.5 [2, 3]; demanded = 2"]
    assert isinstance(caught.value, AssertionError)


HOSTILE = "<b>R&D</b> 'n' \"q\" <script>alert(1)</script>"


def claim(what="units", because="all is <equal> & zero."):
    values = np.linspace(0.9, 1.1, 32)
    return settle(
        np.int64(3),
        "holds when",
        because,
        exact(what, [1, 1], 1, excludes={what: 16}),
        median("growth", values, theory=1, tolerance=0.2, excludes={"PyTorch's default": 3**-0.5}),
        proportion("separated", [True] * 32, at_least=0.5, digits=0, excludes={"equal start": [False] * 8}),
        budget="2 steps at rate 0.1: enough to see.",
    )


def test_a_claim_adds_up_its_rates():
    made = claim()
    assert type(made.number) is int
    assert made.false_failure_rate == sum(piece.false_failure_rate for piece in made.evidence)
    assert made.as_json()["false_failure_rate"] >= made.false_failure_rate


class Page(HTMLParser):
    """Visible text and tags of a page; words of the table's head apart."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.body, self.head, self.attributes = [], [], [], [], {}
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes.setdefault(tag, []).append(dict(attributes))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.head if "thead" in self.open else self.body).append(data)


def words(text):
    return re.findall(r"[^\s:;.,]+(?:[.,][^\s:;.,]+)*", text)


SCAFFOLD = {"Verdict": 1, "-": 3, "demanded": 3, "false": 3, "failure": 3}


@pytest.mark.parametrize("what", ["units", HOSTILE])
def test_the_box_says_what_the_plain_text_says(what):
    """In the notation of claims: 10⁻⁶ for 1e-06."""
    made = claim(what, because=f"{what} because.")
    page, plain = Page(made._repr_html_()), words(" ".join(Page(written(str(made))).body))
    for word, count in SCAFFOLD.items():
        for _ in range(count):
            plain.remove(word)
    assert words(" ".join(page.body)) == plain
    assert repr(made) == str(made)


def test_the_box_is_escaped_and_accessible():
    page = Page(claim(HOSTILE)._repr_html_())
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert page.attributes["section"] == [{"class": "claim claim-holds-when", "aria-label": "Claim 3: holds when"}]
    assert [head["scope"] for head in page.attributes["th"]] == ["col"] * 4 + ["row"] * 3
    assert "".join(page.head) == "EvidenceMeasured [99.9% interval]DemandedFails by chance (estimate)"


def test_the_box_has_the_notation_of_the_ledger():
    evidence = exact("at sigma_w^2 = 4", [-2], -2, excludes=SEPARATE)
    page = settle(28, "fails", "sqrt(2/n) it is", evidence, budget="2 steps: a try")._repr_html_()
    assert all(text in page for text in ("at σ_w² = 4", "−2", "√(2/n) it is"))


def test_emphasis_of_the_list_is_emphasis_in_the_box():
    assert "*ensure*" in listed()[28]["claim"]
    page = settle(28, "fails", "so", exact("units", [1], 1, excludes=SEPARATE), budget="2 steps: a try")._repr_html_()
    assert "Xavier/He <em>ensure</em> convergence" in page


def test_the_plain_text():
    assert str(claim()).split("\n") == [
        "Claim 3: Zero init is just a special case of equal weights.",
        "Said by: A. Ng, lecture on random initialization (Coursera); course notes of CS231n, Neural Networks Part 2.",
        "At its best: units that start at zero are equal, so they stay copies of each other as other equal units do.",
        "Verdict: holds when: all is <equal> & zero.",
        "Budget: 2 steps at rate 0.1: enough to see.",
        "Evidence: 3 measurements.",
        "- units: all 2 values: 1; demanded = 1, not 16 (units); false failure 0 (follows from algebra)",
        "- growth: median of 32 draws: 1 [0.93, 1.1]; demanded theory 1 ± 20 %, not 0.577 (PyTorch's default); "
        "false failure about 1e-06",
        "- separated: proportion of 32 draws: ≈ 1 [0.7, 1]; demanded ≥ 0.5, not ≈ 0 (equal start); "
        "false failure ≈ 1e-06",
    ]


def test_one_value_is_not_all():
    assert "units: the one value: 1;" in str(settle(3, "holds", "so", exact("units", [1], 1, excludes=SEPARATE)))


def test_claims_are_found_again_in_a_stored_notebook(tmp_path):
    made = [claim(), claim(HOSTILE), settle(11, "fails", "so", GOOD)]
    outputs = [nbformat.v4.new_output("display_data", box._repr_mimebundle_()) for box in made]
    stream = nbformat.v4.new_output("stream", text="nothing")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("text"),
            nbformat.v4.new_code_cell("1", outputs=[stream, outputs[0], outputs[1]]),
            nbformat.v4.new_code_cell("2", outputs=[outputs[2]]),
        ]
    )
    nbformat.validate(notebook)
    path = tmp_path / "chapter.ipynb"
    nbformat.write(notebook, path)
    expected = [box.as_json() for box in made]
    assert json.loads(json.dumps(expected)) == expected
    for source in (path, str(path), json.loads(path.read_text(encoding="utf-8")), nbformat.read(path, 4)):
        assert collect(source) == expected
    assert [Claim.from_json(stored) for stored in collect(path)] == made
    assert collect(nbformat.v4.new_notebook()) == []


def test_claims_are_values():
    assert claim() == claim()
    assert isinstance(claim(), Claim)


def test_a_demand_names_the_theory():
    values = np.linspace(0.9, 1.1, 32)
    assert median("x", values, theory=1.0, tolerance=0.25).demand() == "theory 1 ± 25 %"
    assert median("x", values, theory=1.0, at_least=0.5).demand() == "≥ 0.5 (theory 1)"
    assert median("x", values, theory=1.0, tolerance=0.25, at_least=0.8).demand() == "0.8 to 1.25 (theory 1)"
    assert median("x", values, at_most=2.0).demand() == "≤ 2"


@pytest.mark.parametrize("distance", [5.0, 39.0, 44.9, 45.5, 46.0, 60.0, 1e9])
def test_a_mean_has_a_rate_at_any_distance_from_its_demand(distance):
    """SciPy's noncentral t is NaN where it underflows, between 45 and 47."""
    values = np.linspace(-1, 1, DRAWS)
    error = values.std(ddof=1) / math.sqrt(DRAWS)
    evidence = mean("x", values, at_most=distance * error)
    assert 0 <= evidence.false_failure_rate <= 1
    assert evidence.supports == (distance >= 5.0)
    assert (evidence.false_failure_rate < 1e-3) == (distance > 10)


# ---------------------------------------------------------------------------------------------------------------------
# What is stored

numbers = st.floats(allow_nan=False)


RANGES = [(-math.inf, 3.0), (2.0, math.inf), (math.inf, math.inf), (1 / 3, 2 / 3)]


@given(numbers, numbers, numbers, st.none() | numbers, st.sampled_from(RANGES))
@example(0.1 + 0.2, math.inf, 5.0, -0.0, RANGES[0])
@quick
def test_numbers_are_stored_unrounded(estimate, end, value, theory, demanded):
    tuning = Tuning(100, (0.1, 1 / 3), (1 / 3,), (2,), True)
    outside = not demanded[0] <= value <= demanded[1]
    wrong = (WrongAnswer("a control", value, 5),) if outside else ()
    made = Evidence("x", "median", estimate, (estimate, end), demanded, theory, 32, 1e-9, 2, wrong, tuning)
    text = json.dumps(made.as_json(), allow_nan=False)
    assert Evidence.from_json(json.loads(text)) == made


def test_an_interval_is_compared_with_its_theory():
    def of(interval, theory, statistic="median"):
        return Evidence("x", statistic, 1.0, interval, (0, 9), theory, 32, 0.0).of_theory

    assert of((1.0, 3.0), 2.0) == (0.5, 1.5)
    assert of((-3.0, -1.0), -2.0) == (0.5, 1.5)
    for nothing in (of((1, 3), None), of((1, 3), 0.0), of((1, 3), math.inf), of((1, 1), 1, "every value")):
        assert nothing is None


def test_a_miss_is_measured_from_the_nearest_end_of_the_interval():
    def missed_by(interval, theory):
        return Evidence("x", "median", 1.0, interval, (-9, 9), theory, 32, 0.0).missed_by

    assert missed_by((1.0, 3.0), 2.0) == missed_by((2.0, 3.0), 2.0) == missed_by((1, 3), None) == 0.0
    for interval, theory in (((2.2, 3), 2), ((1, 1.8), 2), ((-2.5, -2.2), -2), ((-1.8, -1), -2)):
        assert missed_by(interval, theory) == pytest.approx(0.1)


BOXES = [
    (path.stem, output["data"])
    for path in sorted((ROOT / "book").glob("[0-9]*.ipynb"))
    for cell in load(path).cells
    for output in cell.get("outputs", [])
    if MIME in output.get("data", {})
]


@pytest.mark.parametrize("data", [data for _, data in BOXES], ids=[f"{s}, claim {d[MIME]['number']}" for s, d in BOXES])
def test_a_box_shows_what_its_numbers_say_and_excludes_wrong_answers(data):
    """No comparison of outputs looks at the numbers: they may differ in their last bits by machine."""
    made = Claim.from_json(data[MIME])
    assert (str(made), made._repr_html_()) == (data["text/plain"], data["text/html"])
    assert made.as_json() == data[MIME]
    for piece in made.evidence:
        assert piece.supports
        assert piece.excludes
        assert all(not piece.demanded[0] <= wrong.value <= piece.demanded[1] for wrong in piece.excludes)


def comparing():
    """Return the module that tells nbval what to leave out."""
    spec = importlib.util.spec_from_file_location("comparing", ROOT / "book" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROUGH = comparing().ROUGH


def compared(text):
    """Return a text as the comparison of outputs sees it."""
    return re.sub(ROUGH, "≈", text)


def test_the_comparison_leaves_out_the_numbers_of_claims():
    assert comparing().CLAIM == MIME


sizes = st.floats(-1e300, 1e300) | st.sampled_from([-math.inf, math.inf])


@given(sizes, sizes)
@example(5e-324, 1e22)
@example(-0.0, -999999.9)
@example(95000.0, -math.inf)
@quick
def test_what_is_marked_is_not_compared_whatever_its_size(low, high):
    interval = tuple(sorted((low, high)))
    made = Evidence("x", "median", interval[0], interval, interval, None, 32, 0.0, 0)
    for text in (made.measured(), written(made.measured())):
        assert compared(f"{text};") == "≈;"


@pytest.mark.parametrize("text", ["≈ about 3", "≈ 4 (3)", "3", "[3, 4]", "≈ 1; 3"])
def test_what_is_not_marked_is_compared(text):
    assert compared(text) != compared(text.replace("3", "2"))


def test_what_depends_on_the_machine_is_not_compared_and_the_rest_is():
    here, there = (
        settle(
            3,
            "holds",
            "so",
            median("loss", WELL * scale, digits=0, at_least=0.1, excludes={"a control": WELL * scale / 99}),
            median("growth", WELL, at_least=0.1, excludes={"none": 0}),
        )
        for scale in (1, 3)
    )
    for form in (str, Claim._repr_html_):
        assert form(here) != form(there)
        assert compared(form(here)) == compared(form(there))
        assert compared(form(here)) != compared(form(here).replace("1 [0.93", "1 [0.94"))
        assert compared(form(here)) != compared(form(here).replace("≥ 0.1", "≥ 0.2", 1))
