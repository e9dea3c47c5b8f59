"""What the checks promise: correct answers pass, named wrong ones do not, as often as each check says."""

import functools
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

import initnotes as ini
from initgrade import sampling
from initgrade.assignment import Request, Verdict, load, shown, variant
from initnotes.networks import finetune

CHECKS = Path(__file__).resolve().parent.parent / "coursework" / "checks"
EACH = sampling.ALPHA / 9  # three draws, three tests each
MISSED = 1e-3  # the most that a wrong answer may pass, for a single one of its draws
MASSART = math.sqrt(math.log(2 / MISSED) / 2)  # an empirical distribution strays further than this/√N as rarely
CRITICAL = math.sqrt(math.log(2 / EACH) / 2)


@functools.cache
def room(name: str) -> dict[str, Any]:
    """The names of a file of checks."""
    return load(CHECKS / f"{name}.py").make_variant.__globals__


def asked(name: str, request: str, count: int = 500) -> list[dict[str, Any]]:
    """Return what so many markings ask, each of a student of another variant: the calls of all of them."""
    rng, make_variant = np.random.default_rng(1), load(CHECKS / f"{name}.py").make_variant
    calls = request_of(name, request).calls
    return [given for _ in range(count) for given in calls(make_variant(rng), rng)]


def glorot_ratios(given: dict[str, Any]) -> list[float]:
    fan_in, fan_out = given["fan_in"], given["fan_out"]
    right = 2 / (fan_in + fan_out)
    wrong = [1 / (3 * fan_in), 1 / fan_in, 1 / fan_out, right / 2, 2 * right, right / 3]
    return [math.sqrt(variance / right) for variance in wrong]


def he_ratios(given: dict[str, Any]) -> list[float]:
    a, shape = given["slope"], given["shape"]
    backward = math.prod(shape[1:]) / (shape[0] * math.prod(shape[2:]))
    wrong = [1 + a**2, (1 + a**2) / (1 + a), (1 + a**2) / (1 - a**2), backward, 0.5]
    return [math.sqrt(variance) for variance in wrong]


def truncated_ratios(given: dict[str, Any]) -> list[float]:
    kept = room("ps7")["_kept"](given["cut"])
    return [kept, 1 / kept]  # not corrected; variance taken for std


def lora_ratios(given: dict[str, Any]) -> list[float]:
    """A variance taken for a standard deviation, and 1/√rank in place of `std`."""
    return [given["std"] ** -0.5, given["rank"] ** -0.5 / given["std"]]


def glorot_std(given: dict[str, Any]) -> float:
    return math.sqrt(2 / (given["fan_in"] + given["fan_out"]))


def normal_draw(given: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, glorot_std(given), given["shape"])


def uniform_draw(given: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-1, 1, given["shape"]) * math.sqrt(3) * glorot_std(given)


def he_draw(given: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, math.sqrt(2 / (1 + given["slope"] ** 2) / math.prod(given["shape"][1:])), given["shape"])


def truncated_draw(given: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    cut = stats.truncnorm(-given["cut"], given["cut"])
    return cut.rvs(given["shape"], random_state=rng) * given["std"] / cut.std()


def plain_draw(given: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, given["std"], given["shape"])


def clipped_draw(given: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    z = np.clip(rng.standard_normal(given["shape"]), -given["cut"], given["cut"])
    return z / z.std() * given["std"]


def request_of(name: str, request_name: str) -> Request:
    [found] = [request for request in load(CHECKS / f"{name}.py").requests if request.name == request_name]
    return found


def twice(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a question as it is asked with two seeds."""
    return [{**given, "seed": seed} for seed in (1, 2)]


def shares(name: str, request_name: str, draw: Any, ratios: Any) -> tuple[list[float], list[float]]:
    """Return what the judge gives for right draws, and for those of which one is spread as a named wrong answer's."""
    judge, rng, right, wrong = request_of(name, request_name).judge, np.random.default_rng(8), [], []
    for given in asked(name, request_name, 1)[1:]:
        first, second = draw(given, rng), draw(given, rng)
        right.append(judge([first, second], twice(given), {}).share)
        wrong += [judge([first, second * ratio], twice(given), {}).share for ratio in ratios(given)]
    return right, wrong


DRAWS = [
    ("ps5", "glorot_normal", normal_draw, glorot_ratios),
    ("ps5", "glorot_uniform", uniform_draw, glorot_ratios),
    ("ps6", "he_leaky", he_draw, he_ratios),
    ("ps7", "truncated_normal", truncated_draw, truncated_ratios),
]


@pytest.mark.parametrize(("name", "request_name", "draw", "ratios"), DRAWS)
def test_wrong_spreads_are_caught(name: str, request_name: str, draw: Any, ratios: Any) -> None:
    right, wrong = shares(name, request_name, draw, ratios)
    assert set(right) == {1.0}
    assert set(wrong) == {0.0}
    assert all(math.prod(given["shape"]) >= 12_000 for given in asked(name, request_name))


def test_a_judge_that_is_blind_to_spreads_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "variance", lambda *_, **__: Verdict(1.0, "the spread is right"))
    right, wrong = shares(*DRAWS[0])
    assert set(right) == {1.0}
    assert set(wrong) != {0.0}


def test_wrong_laws_are_caught() -> None:
    """By Massart's inequality for the distance of laws, or since a draw shows what cannot be; and by the judges."""
    t = np.linspace(-6, 6, 24_001)
    uniform, normal = stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)), stats.norm()
    assert np.abs(uniform.cdf(t) - normal.cdf(t)).max() > (CRITICAL + MASSART) / math.sqrt(12_000)
    for given in asked("ps7", "truncated_normal"):
        beyond = 2 * normal.sf(given["cut"] / room("ps7")["_kept"](given["cut"]))
        assert (1 - beyond) ** math.prod(given["shape"]) < MISSED  # a plain normal of the right spread
        assert 2 * normal.sf(given["cut"]) > 0.02  # clipped, it has twice the share of repeated values that is allowed
    rng = np.random.default_rng(9)
    for name, request_name, right, other in (
        ("ps5", "glorot_normal", normal_draw, uniform_draw),
        ("ps5", "glorot_uniform", uniform_draw, normal_draw),
        ("ps7", "truncated_normal", truncated_draw, plain_draw),
        ("ps7", "truncated_normal", truncated_draw, clipped_draw),
    ):
        given = asked(name, request_name, 1)[0]
        draws = [right(given, rng), other(given, rng)]
        assert request_of(name, request_name).judge(draws, twice(given), {}).share == 0.5


# ---------------------------------------------------------------------------------------------------------------------
# Simulated: 10,000 correct submissions of each request that draws, and 10,000 of each named wrong answer

RUNS, SIZE, CUT = 10_000, 12_000, 1.5
LAWS = {
    "normal": (stats.norm(), 3.0, special.ndtri),
    "uniform": (stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)), 1.8, lambda u: math.sqrt(3) * (2 * u - 1)),
    "truncated": (
        stats.truncnorm(-CUT, CUT),
        float(stats.truncnorm(-CUT, CUT).stats("k")) + 3,
        lambda u: special.ndtri(special.ndtr(-CUT) + u * (special.ndtr(CUT) - special.ndtr(-CUT))),
    ),
}


def failing(x: np.ndarray, u: np.ndarray, law: str, each: float) -> np.ndarray:
    """Return which draws fail one of the three tests of `sampling.drawn`: of spread, of rows, and of the law, u = F(x).

    The p-value of a distance takes long, so distances are compared with the one whose p-value is `each`.
    """
    distribution, kurtosis, _ = LAWS[law]
    flat = x.reshape(*x.shape[:-2], -1)
    apart, _ = sampling.distance(np.sort(u.reshape(flat.shape)))
    by_law = apart > sampling.critical_distance(flat.shape[-1], each)
    by_spread = sampling.spread_p(flat, distribution.std(), kurtosis=kurtosis) < each
    return by_law | by_spread | (sampling.rows_p(x) < each)


@pytest.mark.parametrize("law", LAWS)
def test_correct_draws_fail_no_more_often_than_alpha(law: str) -> None:
    """At α = 0.05 in place of 1e-6, for two calls and three tests of each; all requests that draw do these."""
    rng, alpha, failed = np.random.default_rng(2), 0.05, 0
    for _ in range(50):
        u = rng.random((RUNS // 50, 2, 20, 24))
        failed += np.count_nonzero(failing(LAWS[law][2](u), u, law, alpha / 6).any(axis=1))
    low, high = stats.binom.ppf([1e-4, 1 - 1e-4], RUNS, alpha)
    assert low / 2 <= failed <= high


@pytest.mark.parametrize("law", LAWS)
def test_drawn_decides_by_these_tests(law: str) -> None:
    """Otherwise the tests above would say nothing of it."""
    rng, (distribution, _, inverse) = np.random.default_rng(3), LAWS[law]
    u = rng.random((40, 2, 40, 30))
    x = inverse(u)
    wanted = ~failing(x, u, law, 0.5 / 6).any(axis=1)
    found = [
        sampling.drawn(draws, [distribution] * 2, [(40, 30)] * 2, [1, 2], what="W", alpha=0.5).share == 1 for draws in x
    ]
    assert found == wanted.tolist()
    assert 0 < sum(found) < 40


@pytest.mark.parametrize(
    ("name", "request_name", "tested", "tests"), [("ps1", "almost_equal", 1, 3), ("ps3", "draw_layer", 2, 9)]
)
def test_the_judges_of_sets_1_and_3_decide_by_these_tests(
    name: str, request_name: str, tested: int, tests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call repeats the first. Set 1 tests the first of the others, set 3 all; here are two."""
    monkeypatch.setattr(sampling, "ALPHA", 0.5)
    rng, assignment = np.random.default_rng(4), load(CHECKS / f"{name}.py")
    monkeypatch.setitem(assignment.make_variant.__globals__, "START", (20, 30))
    [request] = [known for known in assignment.requests if known.name == request_name]
    given = {**assignment.make_variant(rng), "value": 1.0, "epsilon": 1.0}
    counts = [0, 0]
    for _ in range(40):
        xi = rng.standard_normal((2, 20, 30))
        calls = [{"fan_out": 20, "fan_in": 30, "factor": math.sqrt(30), "seed": seed} for seed in (1, 1, 2)]
        share = request.judge(list(xi[[0, 0, 1]] + (name == "ps1")), calls, given).share
        wanted = not failing(xi, special.ndtr(xi), "normal", 0.5 / tests)[:tested].any()
        assert (share == 1) is wanted
        counts[wanted] += 1
    assert min(counts) > 0


def noise_ratios(given: dict[str, Any]) -> list[float]:
    """Noise that is added, ε² and √ε in place of ε, and a uniform law on ±1."""
    return [1 / abs(given["value"]), given["epsilon"], given["epsilon"] ** -0.5, 3**-0.5]


def layer_ratios(given: dict[str, Any]) -> list[float]:
    """Fan_out, a variance taken for a standard deviation, and a factor taken for its square."""
    return [
        math.sqrt(given["fan_in"] / given["fan_out"]),
        given["factor"] / math.sqrt(given["fan_in"]),
        given["factor"] ** 0.5,
    ]


SPREADS = [
    ("ps1", "almost_equal", noise_ratios, "normal"),
    ("ps3", "draw_layer", layer_ratios, "normal"),
    ("ps5", "glorot_normal", glorot_ratios, "normal"),
    ("ps5", "glorot_uniform", glorot_ratios, "uniform"),
    ("ps6", "he_leaky", he_ratios, "normal"),
    ("ps7", "truncated_normal", truncated_ratios, "truncated"),
    ("ps12", "lora", lora_ratios, "normal"),
]


def test_wrong_spreads_are_caught_in_10000_submissions_each() -> None:
    """A draw of a wrong spread is a right one times a factor: one simulation serves all, at the least size asked."""
    rng = np.random.default_rng(5)
    drawn: dict[str, np.ndarray] = {}
    for law in ("uniform", "truncated"):  # each submission has 12 of 20,000 blocks, of which another may have one too
        distribution, _, inverse = LAWS[law]
        blocks = np.concatenate(
            [np.sum(np.square(inverse(rng.random((20, SIZE // 12)))), axis=1) for _ in range(20_000 // 20)]
        )
        drawn[law] = blocks[rng.integers(blocks.size, size=(RUNS, 12))].sum(axis=1) / distribution.var()
    drawn["normal"] = rng.chisquare(SIZE, RUNS)  # the exact law of Σx²
    for name, request, ratios, law in SPREADS:
        for wrong in zip(*map(ratios, asked(name, request)), strict=True):
            for ratio in nearest(wrong):
                p = sampling.squares_p(drawn[law] * ratio**2, SIZE, kurtosis=LAWS[law][1])
                assert np.count_nonzero(p >= EACH) < RUNS * MISSED / 2, (name, request, ratio)


def nearest(ratios: Sequence[float]) -> list[float]:
    """Return those of many ratios that are nearest to 1, from below and from above."""
    below, above = [ratio for ratio in ratios if ratio < 1], [ratio for ratio in ratios if ratio >= 1]
    return [*([max(below)] if below else []), *([min(above)] if above else [])]


def passing(wrong: Any, right: Any, rng: np.random.Generator) -> int:
    """Count samples of a wrong law that pass, by the share of values below the place that tells most.

    The judge looks at all places, so it lets no more of them pass.
    """
    t = np.linspace(-6, 6, 24_001)
    at = t[np.argmax(np.abs(wrong.cdf(t) - right.cdf(t)))]
    apart = np.abs(rng.binomial(SIZE, wrong.cdf(at), RUNS) / SIZE - right.cdf(at))
    return int(np.count_nonzero(apart <= sampling.critical_distance(SIZE, EACH)))


def test_wrong_laws_are_caught_in_10000_submissions_each() -> None:
    rng, (normal, uniform) = np.random.default_rng(6), (LAWS["normal"][0], LAWS["uniform"][0])
    assert passing(uniform, normal, rng) < RUNS * MISSED / 2
    assert passing(normal, uniform, rng) < RUNS * MISSED / 2
    assert passing(normal, normal, rng) == RUNS  # not everything is called wrong
    for given in asked("ps7", "truncated_normal", 40):
        size, kept = math.prod(given["shape"]), room("ps7")["_kept"](given["cut"])
        beyond = rng.binomial(size, 2 * special.ndtr(-given["cut"] / kept), RUNS)  # a plain normal of the right spread
        clipped = rng.binomial(size, 2 * special.ndtr(-given["cut"]), RUNS)  # values that repeat the two ends
        assert np.count_nonzero(beyond == 0) < RUNS * MISSED / 2
        assert np.count_nonzero(clipped - 2 <= 0.01 * size) < RUNS * MISSED / 2


def test_drawn_gives_what_it_says() -> None:
    rng, shape, right = np.random.default_rng(3), (120, 100), stats.uniform(-0.1, 0.2)
    std = right.std()

    def share(*draws: np.ndarray) -> float:
        return sampling.drawn(list(draws), [right] * 2, [shape] * 2, [1, 2], what="W").share

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
        assert math.isclose(chi, sigma_w**2 * ini.theory.derivative_second_moment(1.0, phi), rel_tol=1e-5)
    assert np.allclose(ps7["constants"](1.0), [ps7["SELU"]["alpha"], ps7["SELU"]["scale"]])
    assert math.isclose(ps7["slope_and_chi"](*ps7["constants"](1.0), 1.0)[1], ini.theory.chi("selu", sigma_w=1.0))
    q, sigma_w = ps8["critical"](0.3)
    assert math.isclose(sigma_w, ini.theory.critical_sigma_w("tanh", sigma_b=0.3), rel_tol=1e-9)
    assert math.isclose(q, ini.theory.fixed_point("tanh", sigma_w=sigma_w, sigma_b=0.3), rel_tol=1e-6)


def test_steps_that_are_asked_for_can_be_steps() -> None:
    """A start that differs by a share above 1 is none, and no training has fewer than no steps."""
    calls = asked("ps1", "steps_to_separate")
    assert max(given["epsilon"] for given in calls) < 1
    assert min(room("ps1")["steps_to_separate"](**given) for given in calls) > 0


# ---------------------------------------------------------------------------------------------------------------------
# Orthogonal matrices, and starts from trained networks


def stacks(calls: list[dict[str, Any]], draw: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Return what a solution draws in one marking; the second call repeats the first."""
    drawn = [given["gain"] * draw(given["count"], given["rows"], given["columns"], rng) for given in calls]
    return [drawn[0], drawn[0], *drawn[2:]]


def haar_draw(count: int, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Return orthogonal factors of normal matrices in the polar decomposition: Haar's law by another way than QR."""
    u, _, vt = np.linalg.svd(rng.standard_normal((count, rows, columns)), full_matrices=False)
    return u @ vt


def factor(normal: np.ndarray, *, signed: bool) -> np.ndarray:
    tall = normal if normal.shape[1] >= normal.shape[2] else normal.mT
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.einsum("cii->ci", r))[:, None] if signed else q
    return q if tall is normal else q.mT


def plain_draw_of_qr(count: int, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    return factor(rng.standard_normal((count, rows, columns)), signed=False)


def positive_draw(count: int, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    return factor(rng.random((count, rows, columns)), signed=True)


def half_rotated_draw(count: int, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Return Haar matrices, of which one in three is turned such that its first entry is positive."""
    w = haar_draw(count, rows, columns, rng)
    w[: count // 3] *= np.sign(w[: count // 3, :1, :1])
    return w


def test_orthogonal_matrices_that_prefer_a_direction_are_caught() -> None:
    """In 10 markings each; right ones pass. The last of the wrong laws is 1/6 away, at the edge of the power stated."""
    judge, rng = request_of("ps11", "haar").judge, np.random.default_rng(15)
    for _ in range(10):
        calls = asked("ps11", "haar", 1)
        for draw, share in (
            (haar_draw, 1.0),
            (plain_draw_of_qr, 0.5),
            (positive_draw, 0.5),
            (half_rotated_draw, 0.5),
            (lambda count, *shape: np.repeat(haar_draw(1, *shape), count, axis=0), 0.5),
            (lambda *shape: haar_draw(*shape) * 1.01, 0.0),
            (lambda count, rows, columns, rng: rng.standard_normal((count, rows, columns)) / rows**0.5, 0.0),
        ):
            assert judge(stacks(calls, draw, rng), calls, {}).share == share


def test_right_orthogonal_matrices_fail_no_more_often_than_alpha() -> None:
    """At α = 0.05 in place of 1e-6, in 500 draws of 100 matrices; the bound on p-values makes it fewer."""
    ps11, rng, failed = room("ps11"), np.random.default_rng(16), 0
    for _ in range(500):
        _, p = ps11["entries_p"](haar_draw(100, 4, 3, rng))
        failed += bool(p.min() < 0.05 / p.size)
    assert 1 <= failed <= stats.binom.ppf(1 - 1e-4, 500, 0.05)


def test_wrong_pairs_are_caught() -> None:
    judge, rng = request_of("ps12", "lora").judge, np.random.default_rng(17)
    for given in asked("ps12", "lora", 5)[::2]:
        shape, out = (given["rank"], given["fan_in"]), (given["fan_out"], given["rank"])
        assert math.prod(shape) >= 12_000
        draws = [rng.normal(0, given["std"], shape) for _ in range(2)]
        for factors, last, share in (
            *(((1.0, ratio), 0.0, 0.0) for ratio in lora_ratios(given)),
            ((1.0, 1.0), 1e-9, 0.0),
            ((1.0, 1.0), 0.0, 1.0),
        ):
            pairs = [[a * factor, np.full(out, last)] for a, factor in zip(draws, factors, strict=True)]
            assert judge(pairs, twice(given), {}).share == share


def test_references_of_ps11_and_ps12_agree_with_initnotes() -> None:
    ps11, ps12, rng = room("ps11"), room("ps12"), np.random.default_rng(18)
    for given in asked("ps11", "share_within", 3):
        if given["p"] in (0.5, 1.0):
            law = {"sigma_w": given["sigma_w"], "weights": given["weights"]}
            ends = [given["low"] ** (2 / given["depth"]), given["high"] ** (2 / given["depth"])]
            name = "relu" if given["p"] == 0.5 else "linear"
            low, high = ini.theory.stretch_cdf(ends, 1.0, name, **law)
            assert math.isclose(ps11["share_within"](**given), high - low, rel_tol=1e-6, abs_tol=1e-9)
    for given in asked("ps11", "depth_scale", 2):
        assert math.isclose(ps11["chi"](**given), ini.theory.chi("tanh", **given), rel_tol=1e-6)
    for weights in ("gaussian", "orthogonal"):
        assert math.isclose(
            ps11["log_norm"](30, 60, 0.0, weights)[1], ini.theory.log_variance(1.0, "relu", weights=weights) / 2
        )
    for given in asked("ps12", "rise", 3):
        assert math.isclose(ps12["rise"](**given), finetune.rise(given["old"], given["new"]), rel_tol=1e-9)
    for given in asked("ps12", "matching_rate", 3):
        effects = []
        for rank, rate in ((given["rank"], given["rate"]), (given["new_rank"], ps12["matching_rate"](**given))):
            scale = rank ** (-1.0 if given["scaling"] == "alpha/r" else -0.5)
            std = 0.1 if given["law"] == "fixed" else 1 / rank
            effects.append(
                finetune.first_step(given["optimizer"], rank=rank, scale=scale, std=std, rate=rate, size=1.0)
            )
        assert math.isclose(*effects, rel_tol=1e-9)
    for factors in ps12["CHAINS"]:
        assert ps12["first_moves"](list(factors)) == moves_of_a_product(factors, rng)


def moves_of_a_product(factors: Sequence[str], rng: np.random.Generator) -> list[int]:
    """Train a product of 3 × 3 matrices for four steps; a gradient that is not exactly zero moves its factor."""
    parts = [np.zeros((3, 3)) if kind.endswith("zero") else rng.standard_normal((3, 3)) for kind in factors]
    target, moved = rng.standard_normal((3, 3)), [0] * len(parts)
    for step in range(1, 5):
        error = functools.reduce(np.matmul, parts) - target
        before = [functools.reduce(np.matmul, parts[:at], np.eye(3)) for at in range(len(parts))]
        behind = [functools.reduce(np.matmul, parts[at + 1 :], np.eye(3)) for at in range(len(parts))]
        for at, kind in enumerate(factors):
            gradient = before[at].T @ error @ behind[at].T
            if not kind.startswith("frozen") and np.any(gradient):
                moved[at] = moved[at] or step
                parts[at] = parts[at] - 0.01 * gradient
    return moved


def test_each_way_to_widen_gets_what_it_is_worth() -> None:
    """In 20 markings; `finetune.widen` knows four ways, two of which leave units that are their own."""
    judge = request_of("ps12", "widen").judge
    calls, rng = asked("ps12", "widen", 20), np.random.default_rng(19)
    for how, share in {"uneven": 1.0, "zero_out": 1.0, "copies": 0.5, "zero_in": 0.5}.items():
        for start in range(0, len(calls), 3):
            found = []
            for given in calls[start : start + 3]:
                outputs, units = given["V"].shape
                net = ini.networks.Ensemble((given["W"].shape[1], units, outputs), "relu", "zeros", rng=rng, replicas=1)
                for place, name in ((net.weights[0], "W"), (net.biases[0], "b"), (net.weights[1], "V")):
                    place[0] = place.new_tensor(given[name])
                wide = finetune.widen(net, given["units"], how=how, rng=rng)
                found.append([part[0].numpy() for part in (wide.weights[0], wide.biases[0], wide.weights[1])])
            assert judge(found, calls[start : start + 3], {}).share == share
            noisy = [[W + 1e-7 * rng.standard_normal(W.shape), b, V] for W, b, V in found]
            assert judge(noisy, calls[start : start + 3], {}).share == 0


# ---------------------------------------------------------------------------------------------------------------------
# Residual streams, and width


def test_references_of_part_two_agree_with_initnotes() -> None:
    ps9, ps10, rng = room("ps9"), room("ps10"), np.random.default_rng(14)
    for form, (block, place) in {"pre": ("pre", None), "inner": ("inner", None), "norm": ("inner", "pre")}.items():
        wanted = ini.theory.stream_moments(9, block, scale=0.5 * 1.2 * 0.8, place=place)
        assert np.allclose(ps9["stream"](form, 0.5, 1.2, 0.8, 9), wanted)
        alpha = ps9["alpha_of"](form, 1.2, 0.8, 9, 3.7)
        assert math.isclose(ps9["stream"](form, alpha, 1.2, 0.8, 9)[-1], 3.7)
    for given in asked("ps9", "rate_factor", 5):
        powers = {"multiplier": given["alpha"], **{key: given[key] for key in ("first", "last")}}
        powers = {key: -math.inf if power is None else power for key, power in powers.items()}
        power = ini.theory.step_exponent(**powers, optimizer=given["optimizer"])
        assert math.isclose(ps9["rate_factor"](**given), (given["other"] / given["blocks"]) ** -power)
    wide, base = (64, 256, 256, 10), (64, 64, 64, 10)
    for name, optimizer in itertools.product(("standard", "ntk", "mup"), ("sgd", "adam")):
        theory = ini.theory.width.multipliers(wide, name, optimizer, base=base)
        start = np.log(theory.start) / np.log(4) - [0, 0.5, 0.5]
        rates = np.log(theory.rates[:, 0]) / np.log(4)
        assert np.allclose(ps10["slopes"](start.tolist(), rates.tolist(), optimizer), theory.slopes)
        if name == "mup":
            std = np.sqrt(2 / np.array(wide[:-1])) * theory.start
            columns = np.column_stack([std, 0.1 * theory.rates])
            assert np.allclose(ps10["plan"](list(wide), list(base), 0.1, optimizer), columns)
    old = ini.networks.Ensemble((12, 9, 7), "relu", "he_normal", rng=rng, replicas=1)
    new, inputs = old.part(slice(None)), rng.standard_normal((5, 12))
    for weight in new.weights:
        weight += 0.1
    sides = [[part[0].numpy() for part in parts] for parts in (old.weights, new.weights, old.biases)]
    assert np.allclose(ps10["own_contribution"](*sides, inputs), ini.networks.own_changes(new, old, inputs)[0])


def test_the_tensors_of_ps9_move_as_sgd_moves_them() -> None:
    """All 32 starts, trained for five steps in float64; a gradient that is not exactly zero moves its tensor."""
    names = ("head", "first", "last", "alpha", "learned")
    x, target = torch.randn(6, 5, generator=(draw := torch.Generator().manual_seed(1)), dtype=torch.float64), 1.0
    for given in itertools.product((True, False), repeat=5):
        on = dict(zip(names, given, strict=True))
        shapes = {"stem": (8, 5), "head": (3, 8), "first": (2, 8, 8), "last": (2, 8, 8), "alpha": (2,)}
        tensors = {
            name: (torch.randn(shape, generator=draw, dtype=torch.float64) / 3 * on.get(name, True)).requires_grad_()
            for name, shape in shapes.items()
        }
        steps, start = dict.fromkeys(tensors, 0), {name: each.detach().clone() for name, each in tensors.items()}
        for step in range(1, 6):
            h = x @ tensors["stem"].T
            for block in range(2):
                branch = torch.relu(h @ tensors["first"][block].T) @ tensors["last"][block].T
                h = h + tensors["alpha"][block] * branch
            loss = ((h @ tensors["head"].T - target) ** 2).mean()
            gradients = torch.autograd.grad(loss, list(tensors.values()))
            for (name, each), gradient in zip(tensors.items(), gradients, strict=True):
                if name != "alpha" or on["learned"]:
                    each.data -= 0.01 * gradient
                steps[name] = steps[name] or step * (not torch.equal(each.detach(), start[name]))
        assert room("ps9")["first_moves"](**on) == steps, on


def branch_draws(given: dict[str, Any], rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Return right draws of the three calls: the second has the seed of the first."""
    width, hidden, alpha = given["width"], given["hidden"], given["alpha"]
    pairs = [
        [
            rng.normal(0, math.sqrt(2 / width), (hidden, width)),
            rng.normal(0, alpha * math.sqrt(2 / hidden), (width, hidden)),
        ]
        for _ in range(2)
    ]
    return [pairs[0], pairs[0], pairs[1]]


def test_branches_that_are_drawn_wrongly_are_caught() -> None:
    """A spread that is off by 6 %, a uniform law, and matrices with the same random numbers in either order."""
    judge, rng = request_of("ps9", "draw_branch").judge, np.random.default_rng(15)
    calls = asked("ps9", "draw_branch", 6)
    for at in range(0, len(calls), 3):
        given = calls[at : at + 3]
        assert all(each["width"] * each["hidden"] >= 15_000 for each in given)
        right = branch_draws(given[0], rng)
        assert judge(right, given, {}).share == 1
        assert judge([[w1, 1.06 * w2] for w1, w2 in right], given, {}).share == 0.5
        assert judge([[w1 / 1.06, w2] for w1, w2 in right], given, {}).share == 0.5
        width, hidden, alpha = (given[0][name] for name in ("width", "hidden", "alpha"))
        factor = alpha * math.sqrt(width / hidden)
        for copy in (lambda w1: w1.T, lambda w1: w1.reshape(w1.shape[::-1])):
            copies = [[w1, factor * copy(w1)] for w1, _ in right]
            assert "the same random numbers" in judge(copies, given, {}).message
        flat = [[math.sqrt(3) * np.std(w) * rng.uniform(-1, 1, w.shape) for w in pair] for pair in right[::2]]
        assert judge([flat[0], *flat], given, {}).share == 0.5


def test_a_planted_rate_is_farther_from_the_others_than_slopes_stray() -> None:
    """Of ps10's `diagnose`: slopes stray so little that ½, where another power is nearer, is 6 deviations away."""
    ps10, rng, off = room("ps10"), np.random.default_rng(16), {"sgd": [], "adam": []}
    for claim, optimizer, wrong, factor in ps10["CASES"]:
        rates = np.array(ps10["RATES"][claim][optimizer]) + wrong
        theory = ps10["slopes"](ps10["START"], rates.tolist(), optimizer)
        seen = [ps10["measured"](claim, optimizer, wrong, factor, rng) for _ in range(8)]
        off[optimizer] += [np.polyfit(np.log(ps10["WIDTHS"]), np.log(each), 1)[0] - theory for each in seen]
    for strayed in map(np.array, off.values()):
        assert np.all(np.abs(strayed.mean(axis=0)) < 0.1)
        assert np.all(np.abs(strayed.mean(axis=0)) + 6 * strayed.std(axis=0) < 0.5)


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
        return [capstone["fault_of"](sent) for sent in calls], calls

    (order, calls), (again, others) = asked("student-a", 1), asked("student-a", 2)
    assert order == again
    assert not np.array_equal(calls[0]["weights"], others[0]["weights"])
    assert order != asked("student-b", 1)[0]
    assert {fault: order.count(fault) for fault in order} == dict.fromkeys(capstone["FAULTS"], capstone["EACH"])
    assert len(order) == capstone["CALLS"]
    assert shown(variant(assignment, b"key", "student-a")).keys() == {"width", "depth", "patient", "own"}


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
        draws = [
            (rng.uniform(-1, 1, shape) / shape[1] ** 0.5, rng.uniform(-1, 1, shape[0]) / shape[1] ** 0.5)
            for shape in pairs
        ]
    else:
        draws = [(rng.normal(0, (scale / shape[1]) ** 0.5, shape), np.zeros(shape[0])) for shape in pairs]
    return [weights for weights, _ in draws], [biases for _, biases in draws]


def test_capstone_tells_a_repair_from_what_is_none() -> None:
    """The narrowest patient: a right start clears the margin by far, and what is named as wrong cannot win 17 pairs."""
    capstone, rng = room("capstone"), np.random.default_rng(7)
    asked, log_margin = {"widths": [64, *[48] * 6, 10], "activation": "relu"}, math.log(capstone["MARGIN"])
    kinds = {"right": (2.0, 16, False), "xavier": (1.0, 30, False), "small": (0.1, 6, False), "same": (1, 8, True)}
    starts = [
        start(asked["widths"], scale, rng, uniform=same) for scale, count, same in kinds.values() for _ in range(count)
    ]
    yours, baseline = (loss[:, -capstone["LAST"] :].mean(axis=1) for loss in capstone["duel"](starts, asked, (7,)))
    ends = np.cumsum([count for _, count, _ in kinds.values()])
    ratios = dict(zip(kinds, np.split(np.log(yours / baseline), ends[:-1]), strict=True))
    assert ratios["right"].mean() + 6 * ratios["right"].std() < log_margin
    for name in ("xavier", "small", "same"):  # the chance of a pair, by a normal law whose mean is three errors off
        apart = (log_margin - ratios[name].mean()) / ratios[name].std() + 3 / math.sqrt(ratios[name].size)
        assert stats.binom.sf(16, capstone["PAIRS"], special.ndtr(apart)) < MISSED, name
    assert stats.binom.sf(capstone["PAIRS"] - 1, capstone["PAIRS"], 0.5) < sampling.ALPHA
    repeated = [starts[0]] * (capstone["PAIRS"] + 1)
    calls = [{**asked, "seed": seed} for seed in [*range(capstone["PAIRS"]), 0]]
    assert "same draw" in capstone["judge_repair"](repeated, calls, {"_shuffle": 9}).message


# ---------------------------------------------------------------------------------------------------------------------
# The second capstone: simulated from what training gave, 25 pairs and 25 networks at a time

# The log ratio of losses at the best rates: its mean of each seed's batches, how these means stray, and a pair's spread
RACES = {"right": (-0.18, 0.012, 0.048), "default": (0.0, 0.012, 0.055), "too small an effect": (-0.015, 0.015, 0.055)}
FALL = [2.79, 2.665, 2.65, 2.575, 2.507, 2.434, 2.372, 2.313, 2.264, 2.202, 2.169]  # the reference's mean losses
STRAYS = 0.025  # of a mean of 25 networks, from seed to seed


def races(kind: str, runs: int, rng: np.random.Generator) -> np.ndarray:
    """Return in how many pairs each of many starts is the better one."""
    mean, between, within = RACES[kind]
    pairs = rng.normal(0, within, (runs, room("capstone2")["PAIRS"])) + rng.normal(mean, between, (runs, 1))
    return np.sum(pairs < 0, axis=1)


def test_capstone2_tells_a_start_that_is_better_from_one_that_is_not() -> None:
    capstone2, rng, runs = room("capstone2"), np.random.default_rng(12), 20_000
    pairs, wanted = capstone2["PAIRS"], capstone2["WANTED"]
    assert (pairs, wanted) == (25, 24)
    assert stats.binom.sf(wanted - 1, pairs, 0.5) < sampling.ALPHA < stats.binom.sf(wanted - 2, pairs, 0.5)
    won = {kind: races(kind, runs, rng) for kind in RACES}
    assert np.count_nonzero(won["right"] < wanted) < 5e-4 * runs
    assert np.count_nonzero(won["right"] < pairs) > 5e-4 * runs  # to want all pairs would cost right starts points
    assert np.count_nonzero(won["default"] >= wanted) < MISSED * runs
    assert np.count_nonzero(won["too small an effect"] >= wanted) < MISSED * 5 * runs


def valid_starts(seed: int = 1) -> tuple[list[list[np.ndarray]], list[dict[str, int]]]:
    """Return a start of each pair, one that repeats the first, and their seeds."""
    capstone2, rng = room("capstone2"), np.random.default_rng(seed)
    starts = [[rng.standard_normal(shape) for shape in capstone2["SHAPES"]] for _ in range(capstone2["PAIRS"])]
    return [*starts, starts[0]], [{"seed": at} for at in [*range(capstone2["PAIRS"]), 0]]


@pytest.mark.parametrize(("won", "share"), [(25, 1.0), (24, 1.0), (23, 0.5), (19, 0.5), (18, 0.0), (0, 0.0)])
def test_capstone2_counts_pairs(won: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose training diverged has lost."""
    capstone2, (starts, calls) = room("capstone2"), valid_starts()
    grid = (len(capstone2["RATES"]), capstone2["PAIRS"])
    yours = np.full(grid, 3.0)
    yours[1, :won] = 1.0
    yours[:, won:] = np.nan if won % 2 else 3.0
    monkeypatch.setitem(capstone2, "ends", lambda *_: yours)
    monkeypatch.setitem(capstone2, "_defaults", lambda *_: np.full(grid, 2.0))
    assert capstone2["judge_initialize"](starts, calls, {"_shuffle": 1}).share == share


def in_band(low: np.ndarray, high: np.ndarray, means: np.ndarray) -> np.ndarray:
    return np.all((low <= means) & (means <= high), axis=-1)


def test_capstone2_tells_a_band_that_holds_from_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """By simulated means, and by the judge for the first of them."""
    capstone2, rng, half = room("capstone2"), np.random.default_rng(13), room("capstone2")["WIDEST"] / 2
    means = np.array(FALL) + rng.normal(0, STRAYS, (20_000, len(FALL)))
    fair = np.full(len(FALL), math.log(capstone2["VOCABULARY"]))
    bands = {"right": np.array(FALL), "off by a tenth": np.array(FALL) + 0.1, "flat": fair, "late": np.add(FALL, 0.3)}
    held = {name: int(np.count_nonzero(in_band(c - half, c + half, means))) for name, c in bands.items()}
    assert held["right"] == len(means)
    assert held["off by a tenth"] > 0.99 * len(means)
    assert held["flat"] == held["late"] == 0
    narrow = np.array(FALL)
    assert np.count_nonzero(in_band(narrow - 0.02, narrow + 0.02, means)) < 0.05 * len(means)
    starts, calls = valid_starts()
    networks = means[0] + rng.normal(0, 0.1, (capstone2["PAIRS"], 1)) * np.linspace(0.1, 1, len(FALL))
    monkeypatch.setitem(capstone2, "losses", lambda *_: networks)

    def share(low: np.ndarray, high: np.ndarray) -> float:
        return capstone2["judge_prediction"]([[start, low, high] for start in starts], calls, {"_shuffle": 1}).share

    assert share(bands["right"] - half, bands["right"] + half) == 1
    assert 0 < share(fair - half, fair + half) < 0.5
    assert share(bands["late"] - half, bands["late"] + half) == 0
    assert share(bands["right"] - half - 0.01, bands["right"] + half) == 0  # wider than is allowed
    assert share(bands["right"] + half, bands["right"] - half) == 0


@pytest.mark.integration
def test_capstone2_trains_what_the_simulation_says() -> None:
    """Eight networks of each kind: their mean is within four errors of the one above, as is a fall of ten steps."""
    capstone2, rng, count = room("capstone2"), np.random.default_rng(14), 8
    ends = {"attention_out": 0.5, "mlp_out": 0.5}
    shapes = list(zip(capstone2["ROLES"], capstone2["SHAPES"], strict=True))
    starts = [[0.02 * ends.get(role, 1) * rng.standard_normal(shape) for role, shape in shapes] for _ in range(count)]
    starts += [capstone2["default"](rng) for _ in range(count)]
    found = capstone2["ends"](starts, (3, 4), capstone2["STEPS"])
    best = found.min(axis=0)
    mean, between, within = RACES["right"]
    ratio = np.log(best[:count] / best[count:]).mean()
    assert abs(ratio - mean) < 4 * math.hypot(between, within / math.sqrt(count))
    assert set(found[:, :count].argmin(axis=0)) == {1}  # no better at an edge of the grid
