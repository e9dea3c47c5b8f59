"""Schemes against their exact laws, against torch and JAX, and against wrong implementations that must be caught.

A statistical check is a function that returns a p-value, exact or asymptotically so. A test of the right implementation
fails with probability at most ALPHA over seeds, all its parametrized cases together; the seeds are fixed, so it either
always fails or never does. Its companion feeds the same check wrong implementations, at the same threshold.
"""

import math
import pickle
import re
import subprocess
import sys
import tracemalloc
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import initnotes as ini
from initnotes import draws, schemes
from initnotes.schemes import NAMES, Initializer, Scheme, fans, scheme

ALPHA = 1e-4  # false-failure rate of one test function
SEED = 20260101

LINEAR = (96, 160)
CONV = (40, 16, 3, 3)
REPLICAS = 8

MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("normal", "uniform", "truncated_normal")
NAMED = ("lecun_normal", "lecun_uniform", "xavier_normal", "xavier_uniform", "he_normal", "he_uniform")

# The variances as the papers print them, from fan_in and fan_out.
PAPER = {
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
}

# The laws of an entry divided by its standard deviation.
UNIT_LAWS = {
    "normal": stats.norm(),
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
    "truncated_normal": stats.truncnorm(-2, 2, scale=1 / stats.truncnorm(-2, 2).std()),
}


def rng(seed=SEED):
    return np.random.default_rng(seed)


def paper_std(name, shape):
    fan_out, fan_in, *kernel = shape
    field = math.prod(kernel)
    return math.sqrt(PAPER[name.split("_")[0]](fan_in * field, fan_out * field))


def mode_std(scale, mode, shape):
    fan_in = math.prod(shape[1:])
    fan_out = math.prod(shape) // shape[1]
    return math.sqrt(scale / {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": 0.5 * fan_in + 0.5 * fan_out}[mode])


# ---------------------------------------------------------------------------------------------------------------------
# Checks: u is an array (replicas, *shape) of entries divided by the standard deviation that they should have.


def kurtosis(law):
    return float(law.stats(moments="k")) + 3


def p_mean_square(x, kurtosis):
    """Two-sided p-value of E[x²] = 1. A chi-square: exact if x is normal, with the right variance if it is not."""
    df = 2 * x.size / (kurtosis - 1)
    statistic = df * np.mean(x**2)
    return 2 * min(stats.chi2.cdf(statistic, df), stats.chi2.sf(statistic, df))


def p_law(u, law):
    return stats.kstest(u.ravel(), law.cdf).pvalue


def p_spread(u, law):
    return p_mean_square(u, kurtosis(law))


def p_mean(u, law):
    return 2 * stats.norm.sf(abs(u.mean()) * math.sqrt(u.size))


def p_independent(u, law, axis):
    """Sums along an axis have the variance of a sum of independent entries."""
    n = u.shape[axis]
    return p_mean_square(u.sum(axis) / math.sqrt(n), 3 + (kurtosis(law) - 3) / n)


CHECKS = {
    "law": p_law,
    "spread": p_spread,
    "mean": p_mean,
    "replicas independent": lambda u, law: p_independent(u, law, 0),
    "outputs independent": lambda u, law: p_independent(u, law, 1),
    "inputs independent": lambda u, law: p_independent(u, law, 2),
}


def assert_passes(u, law, share):
    """Assert all checks, each at an equal part of this case's `share` of ALPHA."""
    p_values = {name: check(u, law) for name, check in CHECKS.items()}
    assert min(p_values.values()) > ALPHA * share / len(CHECKS), p_values


# ---------------------------------------------------------------------------------------------------------------------
# One formula


@pytest.mark.parametrize("shape", [LINEAR, CONV], ids=str)
@pytest.mark.parametrize("name", NAMED)
def test_named_schemes_have_the_papers_variance_and_law(name, shape):
    """False-failure rate ALPHA over the 12 cases."""
    weights = scheme(name).sample(shape, rng(), replicas=REPLICAS)
    law = UNIT_LAWS[name.split("_")[1]]
    assert scheme(name).std(shape) == pytest.approx(paper_std(name, shape), rel=1e-14)
    assert_passes(weights / paper_std(name, shape), law, share=1 / 12)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_and_distribution(mode, distribution):
    """False-failure rate ALPHA over the 9 cases."""
    weights = Scheme(scale=1.7, mode=mode, distribution=distribution).sample(CONV, rng(), replicas=REPLICAS)
    assert_passes(weights / mode_std(1.7, mode, CONV), UNIT_LAWS[distribution], share=1 / 9)


def test_small_random_is_normal_whatever_the_fans():
    """False-failure rate ALPHA."""
    weights = ini.small_random(0.03).sample(LINEAR, rng(), replicas=REPLICAS)
    assert ini.small_random(0.03).std(LINEAR) == ini.small_random(0.03).std(CONV) == 0.03
    assert_passes(weights / 0.03, UNIT_LAWS["normal"], share=1)


def wrong_he_replicas_as_fan_out(g):
    return g.standard_normal((REPLICAS, *LINEAR)) * mode_std(2, "fan_in", (REPLICAS, *LINEAR))


def wrong_uniform_bound(g):
    return g.uniform(-1, 1, (REPLICAS, *LINEAR)) / math.sqrt(LINEAR[1])


def wrong_uncorrected_truncation(g):
    unit = stats.truncnorm(-2, 2).ppf(g.random((REPLICAS, *LINEAR)))
    return unit * paper_std("he", LINEAR)


def wrong_mean(g):
    return g.normal(0.03, 1, (REPLICAS, *LINEAR)) * paper_std("he", LINEAR)


def normal(g, *shape):
    return g.standard_normal(shape) * paper_std("he", LINEAR)


# (what is wrong, the check that must see it, the law and the name that were meant, how it draws)
WRONG = [
    ("std 3 % too large", "spread", "normal", "he", lambda g: 1.03 * normal(g, REPLICAS, *LINEAR)),
    ("std 3 % too small", "spread", "normal", "he", lambda g: 0.97 * normal(g, REPLICAS, *LINEAR)),
    ("std 3 % too large", "law", "normal", "he", lambda g: 1.03 * normal(g, REPLICAS, *LINEAR)),
    ("He without its 2", "spread", "normal", "he", lambda g: normal(g, REPLICAS, *LINEAR) / math.sqrt(2)),
    ("He with fan_out", "spread", "normal", "he", lambda g: g.normal(0, math.sqrt(2 / 96), (REPLICAS, *LINEAR))),
    ("replica axis as a fan", "spread", "normal", "he", wrong_he_replicas_as_fan_out),
    ("bound 1/sqrt(n)", "spread", "uniform", "lecun", wrong_uniform_bound),
    ("bound 1/sqrt(n)", "law", "uniform", "lecun", wrong_uniform_bound),
    ("truncation shrinks it", "spread", "truncated_normal", "he", wrong_uncorrected_truncation),
    ("truncation shrinks it", "law", "truncated_normal", "he", wrong_uncorrected_truncation),
    ("not truncated", "law", "truncated_normal", "he", lambda g: normal(g, REPLICAS, *LINEAR)),
    ("normal for uniform", "law", "uniform", "he", lambda g: normal(g, REPLICAS, *LINEAR)),
    ("mean 3 % of the std", "mean", "normal", "he", wrong_mean),
    ("replicas identical", "replicas independent", "normal", "he", lambda g: np.tile(normal(g, 1, *LINEAR), (8, 1, 1))),
    ("replicas in pairs", "replicas independent", "normal", "he", lambda g: np.tile(normal(g, 4, *LINEAR), (2, 1, 1))),
    ("rows in pairs", "outputs independent", "normal", "he", lambda g: np.tile(normal(g, 8, 48, 160), (1, 2, 1))),
    ("columns in pairs", "inputs independent", "normal", "he", lambda g: np.tile(normal(g, 8, 96, 80), (1, 1, 2))),
]


@pytest.mark.parametrize(("wrong", "check", "law", "name", "draw"), WRONG)
def test_wrong_schemes_are_caught(wrong, check, law, name, draw):
    u = draw(rng()) / paper_std(name, LINEAR)
    assert u.shape == (REPLICAS, *LINEAR)
    assert CHECKS[check](u, UNIT_LAWS[law]) < ALPHA / 12 / len(CHECKS), wrong  # the strictest threshold above


# ---------------------------------------------------------------------------------------------------------------------
# Orthogonal: Haar-distributed, not just orthogonal. Entries of one matrix depend on one another, replicas do not.

ORTHOGONAL_SHAPES = [(3, 5), (5, 3), (4, 4), (6, 2, 2, 1), (2, 3, 1, 2)]
HAAR_REPLICAS = 4000


def p_corner(q, which):
    """Law of one entry of an orthonormal frame in N dimensions: (1 + entry) / 2 ~ Beta((N - 1)/2, (N - 1)/2)."""
    half = (max(q.shape[1:]) - 1) / 2
    return stats.kstest(q[:, which, which], stats.beta(half, half, loc=-1, scale=2).cdf).pvalue


def p_sum(q, other):
    """Mean 0 of ⟨q, other⟩, with the variance that a Haar matrix has against a fixed one."""
    variance = (other**2).sum((-2, -1)).mean() / max(q.shape[1:])
    return 2 * stats.norm.sf(abs((q * other).sum((-2, -1)).mean()) * math.sqrt(len(q) / variance))


def p_determinant(q):
    """Rotations and reflections are equally likely."""
    return stats.binomtest(int((np.linalg.det(q) > 0).sum()), len(q), 0.5).pvalue


HAAR_CHECKS = {
    "first entry": lambda q: p_corner(q, 0),
    "last entry": lambda q: p_corner(q, -1),
    "trace": lambda q: p_sum(q, np.eye(*q.shape[1:])),
    "replicas independent": lambda q: p_sum(q[::2], q[1::2]),
}


@pytest.mark.parametrize("shape", ORTHOGONAL_SHAPES, ids=str)
def test_orthogonal_is_haar_distributed(shape):
    """False-failure rate ALPHA over the 5 cases."""
    weights = ini.orthogonal(1.5).sample(shape, rng(), replicas=HAAR_REPLICAS)
    q = weights.reshape(HAAR_REPLICAS, shape[0], -1) / 1.5
    checks = HAAR_CHECKS | ({"determinant": p_determinant} if q.shape[1] == q.shape[2] else {})
    p_values = {name: check(q) for name, check in checks.items()}
    assert min(p_values.values()) > ALPHA / len(ORTHOGONAL_SHAPES) / 5, p_values
    assert ini.orthogonal(1.5).std(shape) == pytest.approx(np.sqrt(np.mean(weights[0] ** 2)), rel=1e-12)


def uncorrected(g):
    return np.linalg.qr(g.standard_normal((HAAR_REPLICAS, 4, 4)))[0]


def signed(a):
    q, r = np.linalg.qr(a)
    return q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]


WRONG_HAAR = [
    ("no sign correction", "first entry", uncorrected),
    ("no sign correction", "trace", uncorrected),
    ("no sign correction", "determinant", uncorrected),
    ("rotations only", "determinant", lambda g: stats.special_ortho_group(4, seed=g).rvs(HAAR_REPLICAS)),
    ("QR of uniform numbers", "first entry", lambda g: signed(g.random((HAAR_REPLICAS, 4, 4)))),
    ("identity", "last entry", lambda g: np.tile(np.eye(4), (HAAR_REPLICAS, 1, 1))),
    (
        "replicas identical",
        "replicas independent",
        lambda g: np.tile(signed(g.standard_normal((1, 4, 4))), (HAAR_REPLICAS, 1, 1)),
    ),
]


@pytest.mark.parametrize(("wrong", "check", "draw"), WRONG_HAAR)
def test_wrong_orthogonal_is_caught(wrong, check, draw):
    checks = HAAR_CHECKS | {"determinant": p_determinant}
    assert checks[check](draw(rng())) < ALPHA / len(ORTHOGONAL_SHAPES) / 5, wrong


# ---------------------------------------------------------------------------------------------------------------------
# Peers. p_same compares the sample of a peer with ours, and with the standard deviation that we predict.

PEER_SHAPE = (192, 320)
PEER_CONV = (64, 32, 3, 10)


def p_same(ours, peer, std, law):
    spread = p_spread(np.asarray(peer, dtype=np.float64) / std, law)
    return min(1, 2 * min(spread, stats.ks_2samp(ours.ravel(), peer.ravel()).pvalue))


def p_peer(initializer, draw_peer, shape):
    law = UNIT_LAWS[getattr(initializer, "distribution", "normal")]
    ours = initializer.sample(shape, rng())
    peer = draw_peer(shape)
    assert peer.shape == ours.shape
    return p_same(ours, peer, initializer.std(shape), law)


def torch_draw(fill):
    """Return shape -> the array that ``fill(torch.nn.init, tensor)`` leaves."""

    def draw(shape):
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            tensor = torch.empty(shape, dtype=torch.float64)
            fill(torch.nn.init, tensor)
        return tensor.detach().numpy()

    return draw


def jax_draw(make):
    """Return shape -> the array of a JAX initializer, whose kernels are (*kernel, in, out), in our order."""

    def draw(shape):
        import jax

        fan_out, fan_in, *kernel = shape
        weights = make(jax.nn.initializers)(jax.random.key(SEED), (*kernel, fan_in, fan_out))
        return np.moveaxis(np.asarray(weights), (-1, -2), (0, 1))

    return draw


def truncated(scale, mode):
    return Scheme(scale=scale, mode=mode, distribution="truncated_normal")


def torch_truncated(init, w):
    """Torch cuts at absolute values and does not correct the spread: both are given here."""
    parent = math.sqrt(2 / math.prod(w.shape[1:])) / stats.truncnorm(-2, 2).std()
    init.trunc_normal_(w, std=parent, a=-2 * parent, b=2 * parent)


TORCH = {
    "lecun_normal": (ini.lecun_normal, lambda init, w: init.kaiming_normal_(w, nonlinearity="linear")),
    "lecun_uniform": (ini.lecun_uniform, lambda init, w: init.kaiming_uniform_(w, nonlinearity="linear")),
    "xavier_normal": (ini.xavier_normal, lambda init, w: init.xavier_normal_(w)),
    "xavier_uniform": (ini.xavier_uniform, lambda init, w: init.xavier_uniform_(w)),
    "he_normal": (ini.he_normal, lambda init, w: init.kaiming_normal_(w, nonlinearity="relu")),
    "he_uniform": (ini.he_uniform, lambda init, w: init.kaiming_uniform_(w, nonlinearity="relu")),
    "small_random": (ini.small_random(), lambda init, w: init.normal_(w, std=0.01)),
    "he_fan_out": (
        Scheme(scale=2, mode="fan_out", distribution="normal"),
        lambda init, w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"),
    ),
    "default_layer": (  # nn.Linear and nn.Conv2d: kaiming_uniform with a = sqrt(5), six times below He
        Scheme(scale=1 / 3, mode="fan_in", distribution="uniform"),
        lambda init, w: init.kaiming_uniform_(w, a=math.sqrt(5)),
    ),
    "truncated": (truncated(2, "fan_in"), torch_truncated),
}

# JAX calls the truncated normal he_normal, lecun_normal, glorot_normal; the plain one has to be asked for.
JAX = {
    "lecun_normal": (ini.lecun_normal, lambda init: init.variance_scaling(1, "fan_in", "normal")),
    "lecun_uniform": (ini.lecun_uniform, lambda init: init.lecun_uniform()),
    "xavier_normal": (ini.xavier_normal, lambda init: init.variance_scaling(1, "fan_avg", "normal")),
    "xavier_uniform": (ini.xavier_uniform, lambda init: init.glorot_uniform()),
    "he_normal": (ini.he_normal, lambda init: init.variance_scaling(2, "fan_in", "normal")),
    "he_uniform": (ini.he_uniform, lambda init: init.he_uniform()),
    "small_random": (ini.small_random(), lambda init: init.normal(0.01)),
    "he_fan_out": (
        Scheme(scale=2, mode="fan_out", distribution="normal"),
        lambda init: init.variance_scaling(2, "fan_out", "normal"),
    ),
    "truncated_lecun": (truncated(1, "fan_in"), lambda init: init.lecun_normal()),
    "truncated_xavier": (truncated(1, "fan_avg"), lambda init: init.glorot_normal()),
    "truncated_he": (truncated(2, "fan_in"), lambda init: init.he_normal()),
}


@pytest.mark.parametrize("shape", [PEER_SHAPE, PEER_CONV], ids=str)
@pytest.mark.parametrize("case", TORCH)
def test_same_as_torch(case, shape):
    """False-failure rate ALPHA over all cases."""
    ours, fill = TORCH[case]
    assert p_peer(ours, torch_draw(fill), shape) > ALPHA / (2 * len(TORCH))


@pytest.mark.parametrize("case", JAX)
def test_same_as_jax(case):
    """On convolutions, whose fans and layouts say more. False-failure rate ALPHA over all cases."""
    ours, make = JAX[case]
    assert p_peer(ours, jax_draw(make), PEER_CONV) > ALPHA / len(JAX)


DIFFERENT = {
    "torch's Xavier is not He": (ini.he_normal, torch_draw(lambda init, w: init.xavier_normal_(w))),
    "torch's Linear is not He": (ini.he_uniform, torch_draw(lambda init, w: init.kaiming_uniform_(w, a=math.sqrt(5)))),
    "torch's tanh gain is not 1": (ini.xavier_normal, torch_draw(lambda init, w: init.xavier_normal_(w, gain=5 / 3))),
    "torch's trunc_normal_ at std 1 has std 0.88": (
        Scheme(scale=320, mode="fan_in", distribution="truncated_normal"),
        torch_draw(lambda init, w: init.trunc_normal_(w)),
    ),
    "JAX's he_normal is truncated": (ini.he_normal, jax_draw(lambda init: init.he_normal())),
    "JAX's glorot_normal is truncated": (ini.xavier_normal, jax_draw(lambda init: init.glorot_normal())),
    "JAX's truncated_normal has std 0.88": (
        Scheme(scale=320, mode="fan_in", distribution="truncated_normal"),
        jax_draw(lambda init: init.truncated_normal(1.0)),
    ),
    "JAX's kernel is (in, out)": (
        ini.he_normal,
        lambda shape: jax_draw(lambda init: init.variance_scaling(2, "fan_in", "normal"))(shape[::-1]).T,
    ),
    "std 3 % off": (ini.he_normal, lambda shape: 1.03 * ini.he_normal.sample(shape, rng(1))),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_peers_that_differ_are_told_apart(case):
    assert p_peer(*DIFFERENT[case], PEER_SHAPE) < ALPHA / (2 * len(TORCH))


def test_torch_layers_start_at_a_third_of_lecun():
    """False-failure rate ALPHA; what "default_layer" above calls the default is what a layer does."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        weights = torch.nn.Linear(320, 192).weight.detach().double().numpy()
    bound = 1 / math.sqrt(320)
    assert Scheme(scale=1 / 3, mode="fan_in", distribution="uniform").bound(PEER_SHAPE) == pytest.approx(bound)
    assert stats.kstest(weights.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > ALPHA


def torch_orthogonal(shape, replicas):
    def fill(init, stack):
        for matrix in stack:
            init.orthogonal_(matrix, gain=2.0)

    return torch_draw(fill)((replicas, *shape))


def jax_orthogonal(shape, replicas):
    import jax

    draw = jax.nn.initializers.orthogonal(2.0)
    keys = jax.random.split(jax.random.key(SEED), replicas)
    return np.asarray(jax.vmap(lambda key: draw(key, shape[::-1]))(keys)).swapaxes(1, 2)


def p_same_corners(ours, theirs):
    """Two-sample Kolmogorov-Smirnov of the first and of the last entry over replicas."""
    return 2 * min(stats.ks_2samp(ours[:, i, i], theirs[:, i, i], method="asymp").pvalue for i in (0, -1))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)], ids=str)
@pytest.mark.parametrize("draw", [torch_orthogonal, jax_orthogonal])
def test_same_orthogonal_as_peers(draw, shape):
    """False-failure rate ALPHA over the 4 cases."""
    theirs = draw(shape, 1000)
    assert p_same_corners(ini.orthogonal(2.0).sample(shape, rng(), replicas=1000), theirs) > ALPHA / 4
    assert np.mean(theirs**2) == pytest.approx(ini.orthogonal(2.0).std(shape) ** 2, rel=1e-5)


def test_an_uncorrected_orthogonal_differs_from_torch():
    assert p_same_corners(2 * uncorrected(rng())[:1000], torch_orthogonal((4, 4), 1000)) < ALPHA / 4


@pytest.mark.parametrize("value", [0.0, -0.25])
def test_constants_equal_their_peers(value):
    ours = ini.constant(value).sample(CONV, rng(), replicas=2)
    np.testing.assert_array_equal(ours[0], torch_draw(lambda init, w: init.constant_(w, value))(CONV))
    np.testing.assert_array_equal(ours[1], jax_draw(lambda init: init.constant(value))(CONV))
    assert ini.constant(value).std(CONV) == 0.0


# ---------------------------------------------------------------------------------------------------------------------
# Properties over shapes

weight_shapes = st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)
scales = st.floats(1e-6, 1e6)
scheme_objects = st.builds(
    Scheme, scale=scales, mode=st.sampled_from(MODES), distribution=st.sampled_from(DISTRIBUTIONS)
)
initializers = st.one_of(
    scheme_objects,
    st.builds(ini.constant, st.floats(-10, 10)),
    st.builds(ini.small_random, st.floats(0, 10)),
    st.builds(ini.orthogonal, st.floats(1e-3, 1e3)),
)
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@given(weight_shapes)
@quick
def test_fans_are_those_of_torch(shape):
    import torch

    oracle = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape, device="meta"))
    assert fans(shape) == fans(list(shape)) == fans(torch.Size(shape)) == oracle
    assert fans((shape[1], shape[0], *shape[2:])) == oracle[::-1]


@given(weight_shapes, st.integers(1, 5))
@quick
def test_a_receptive_field_multiplies_both_fans(shape, width):
    assert fans((*shape, width)) == tuple(width * fan for fan in fans(shape))


@given(scheme_objects, weight_shapes)
@quick
def test_variance_times_fan_is_the_scale(initializer, shape):
    std = initializer.std(shape)
    assert std == pytest.approx(mode_std(initializer.scale, initializer.mode, shape), rel=1e-12)
    assert initializer.bound(shape) == pytest.approx(std * UNIT_LAWS[initializer.distribution].support()[1], rel=1e-9)


@given(scheme_objects, weight_shapes, seeds)
@quick
def test_no_weight_is_beyond_the_bound(initializer, shape, seed):
    weights = initializer.sample(shape, rng(seed), replicas=20)
    assert np.abs(weights).max() <= initializer.bound(shape) * (1 + 1e-15)


@given(initializers, weight_shapes, st.none() | st.integers(1, 4), seeds)
@quick
def test_samples_are_finite_contiguous_float64_of_the_right_shape(initializer, shape, replicas, seed):
    weights = initializer.sample(shape, rng(seed), replicas=replicas)
    assert weights.shape == (shape if replicas is None else (replicas, *shape))
    assert weights.dtype == np.float64
    assert weights.flags.c_contiguous
    assert weights.flags.writeable
    assert np.isfinite(weights).all()
    assert math.isfinite(initializer.std(shape))


@given(initializers, weight_shapes, seeds)
@quick
def test_the_seed_decides(initializer, shape, seed):
    first = initializer.sample(shape, rng(seed), replicas=3)
    np.testing.assert_array_equal(first, initializer.sample(shape, rng(seed), replicas=3))
    np.testing.assert_array_equal(
        initializer.sample(shape, rng(seed)), initializer.sample(shape, rng(seed), replicas=1)[0]
    )


@given(weight_shapes, st.floats(1e-2, 1e2), seeds)
@quick
def test_orthogonal_rows_or_columns(shape, gain, seed):
    weights = ini.orthogonal(gain).sample(shape, rng(seed), replicas=2)
    wide = weights.reshape(2, shape[0], -1) / gain
    if wide.shape[1] > wide.shape[2]:
        wide = wide.swapaxes(1, 2)
    gram = wide @ wide.swapaxes(1, 2)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(gram.shape[-1]), gram.shape), atol=1e-13)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_sampling_needs_no_second_array(distribution):
    initializer = Scheme(scale=1, mode="fan_in", distribution=distribution)
    initializer.sample((2, 2), rng())  # imports happen here
    generator = rng()
    tracemalloc.start()
    try:
        weights = initializer.sample((512, 512), generator)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * weights.nbytes


# ---------------------------------------------------------------------------------------------------------------------
# Names and values


def test_names_are_the_books():
    assert NAMES == (
        "zeros",
        "constant",
        "small_random",
        "lecun_normal",
        "lecun_uniform",
        "xavier_normal",
        "xavier_uniform",
        "he_normal",
        "he_uniform",
        "orthogonal",
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name != "constant"])
def test_scheme_finds_each_name(name):
    found = scheme(name)
    public = getattr(ini, name)
    assert found == (public if isinstance(public, Initializer) else public())
    assert found.name == name
    assert scheme(found) is found


@pytest.mark.parametrize("end", ["", "_"])
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("glorot_normal", "xavier_normal"),
        ("glorot_uniform", "xavier_uniform"),
        ("kaiming_normal", "he_normal"),
        ("kaiming_uniform", "he_uniform"),
        ("xavier_uniform", "xavier_uniform"),
        ("orthogonal", "orthogonal"),
        ("zeros", "zeros"),
    ],
)
def test_names_that_people_type(theirs, ours, end):
    assert scheme(theirs + end) == scheme(ours)
    assert scheme(theirs + end).name == ours
    assert scheme(getattr(ini, theirs)) == scheme(ours) if theirs != "orthogonal" else True


def test_names_of_other_parameters():
    assert ini.constant(0.5).name == "constant"
    assert ini.small_random(0.5).name == "small_random"
    assert ini.orthogonal(gain=2).name == "orthogonal"
    assert Scheme(scale=2, mode="fan_out", distribution="truncated_normal").name == "2/fan_out truncated_normal"
    assert Scheme(scale=1, mode="fan_avg", distribution="uniform").name == "xavier_uniform"


VALUES = [ini.he_normal, ini.zeros, ini.constant(np.float32(0.5)), ini.small_random(1), ini.orthogonal(np.int64(2))]


@pytest.mark.parametrize("initializer", VALUES, ids=repr)
def test_initializers_are_values(initializer):
    assert eval(repr(initializer), vars(schemes)) == initializer
    assert pickle.loads(pickle.dumps(initializer)) == initializer
    assert len({initializer, pickle.loads(pickle.dumps(initializer))}) == 1
    name = fields(initializer)[0].name
    assert type(getattr(initializer, name)) is float
    with pytest.raises(FrozenInstanceError):
        setattr(initializer, name, 1.0)


def test_importing_the_room_loads_neither_scipy_nor_torch():
    code = "import sys, initnotes.schemes; print(sorted({'scipy', 'torch', 'jax', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# ---------------------------------------------------------------------------------------------------------------------
# In float32, and in place

EVERY_KIND = [
    *(Scheme(scale=1, mode="fan_in", distribution=distribution) for distribution in DISTRIBUTIONS),
    ini.zeros,
    ini.small_random(),
    ini.orthogonal(),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_float32_draws_have_the_same_laws(distribution):
    """False-failure rate ALPHA over the 3 cases."""
    initializer = Scheme(scale=1.7, mode="fan_in", distribution=distribution)
    weights = initializer.sample(CONV, rng(), replicas=REPLICAS, dtype="float32")
    assert weights.dtype == np.float32
    assert_passes(weights / mode_std(1.7, "fan_in", CONV), UNIT_LAWS[distribution], share=1 / 3)
    assert np.abs(weights).max() <= initializer.bound(CONV) * (1 + 2e-7)


def p_pairs(u):
    """Squared radius and angle of the pairs that are made together: exponential, and uniform."""
    x, y = np.split(u.astype(np.float64), 2)
    radius = stats.kstest(x**2 + y**2, stats.expon(scale=2).cdf).pvalue
    angle = stats.kstest(np.arctan2(y, x), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue
    return 2 * min(radius, angle)


def test_normal_float32_pairs_are_independent():
    """False-failure rate ALPHA; a pair of one angle's cosine twice is caught, and one whose radius lacks its root."""
    u = draws.draw("normal", 1.0, rng(), (draws._PART,), "float32")
    assert p_pairs(u) > ALPHA
    first, second = np.split(u, 2)
    radius = np.hypot(first, second)
    assert p_pairs(np.concatenate((first, first))) < ALPHA
    assert p_pairs(np.concatenate((first * radius, second * radius))) < ALPHA


@given(st.integers(1, 2 * draws._PART + 5), st.sampled_from(DISTRIBUTIONS), seeds)
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
def test_float32_draws_of_any_size(count, distribution, seed):
    drawn = draws.draw(distribution, 0.5, rng(seed), (count,), "float32")
    again = draws.draw(distribution, 0.5, rng(seed), (count,), "float32")
    np.testing.assert_array_equal(drawn, again)
    assert np.isfinite(drawn).all()
    assert len(np.unique(drawn)) > 0.9 * count
    tail = draws.draw(distribution, 1e-30, rng(seed), (count,), "float32")
    np.testing.assert_allclose(tail, drawn * np.float32(2e-30), rtol=1e-5, atol=1e-37)


def test_the_smallest_and_largest_bits_give_finite_numbers():
    bits = np.array([0, 2**32 - 1, 2**31, 0], dtype=np.uint32)
    for law in draws._SINGLE.values():
        out = np.empty(4, np.float32)
        law(bits, 1.0, out)
        assert np.isfinite(out).all()
        assert np.abs(out).max() < 7


def targets(dtype):
    """Return what can be filled: arrays, tensors, parameters, and views of them."""
    import torch

    kind = getattr(torch, dtype)
    return {
        "array": np.zeros((6, 4), dtype),
        "array, transposed": np.zeros((4, 6), dtype).T,
        "tensor": torch.zeros(6, 4, dtype=kind),
        "tensor, transposed": torch.zeros(4, 6, dtype=kind).T,
        "parameter": torch.nn.Linear(4, 6, dtype=kind).weight,
    }


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize(
    "initializer",
    [ini.he_normal, ini.xavier_uniform, ini.constant(0.5), ini.small_random(), ini.orthogonal()],
    ids=repr,
)
def test_fill_writes_what_sample_draws(initializer, dtype):
    for name, target in targets(dtype).items():
        generator, expected = rng(), rng()
        assert initializer.fill_(target, rng=generator) is target, name
        drawn = initializer.sample((6, 4), expected, dtype="float64" if dtype == "float64" else "float32")
        found = target if isinstance(target, np.ndarray) else target.detach().numpy()
        np.testing.assert_array_equal(found, drawn.astype(dtype), err_msg=name)
        assert generator.bit_generator.state == expected.bit_generator.state


def test_fill_in_inference_mode_and_with_true_fans():
    import torch

    with torch.inference_mode():
        tensor = torch.zeros(64, 128, 4, 4, dtype=torch.float64)
    ini.he_normal.fill_(tensor, rng=rng(), true_fans=(512, 1024))
    np.testing.assert_array_equal(tensor.numpy(), ini.he_normal.sample((64, 128, 4, 4), rng(), true_fans=(512, 1024)))
    assert ini.he_normal.std((64, 128, 4, 4), true_fans=(512, 1024)) == math.sqrt(2 / 512)
    assert ini.orthogonal().std((6, 4), true_fans=(1, 1)) == ini.orthogonal().std((6, 4))


def unfillable():
    import torch

    read_only = np.zeros((3, 4))
    read_only.flags.writeable = False
    return {
        "list": ([[0.0]], TypeError, "tensor must be a torch.Tensor or numpy.ndarray, got list"),
        "vector": (np.zeros(3), ValueError, "give a weight's shape, and fill a bias with a number"),
        "bias": (torch.zeros(3), ValueError, "which has no fans"),
        "empty": (torch.zeros(0, 3), ValueError, "shape[0] must be at least 1"),
        "integers": (np.zeros((3, 4), int), ValueError, "tensor must be of a floating-point dtype, got int64"),
        "complex": (torch.zeros(3, 4, dtype=torch.complex64), ValueError, "got torch.complex64"),
        "read-only": (read_only, ValueError, "tensor is read-only"),
        "meta": (torch.zeros(3, 4, device="meta"), ValueError, "tensor is on the meta device"),
        "expanded": (torch.zeros(1, 4).expand(3, 4), ValueError, "tensor has entries that share memory"),
        "strided": (np.lib.stride_tricks.as_strided(np.zeros(4), (3, 4), (0, 8)), ValueError, "share memory"),
    }


@pytest.mark.parametrize("name", unfillable())
def test_what_cannot_be_filled_is_not_touched(name):
    target, error, message = unfillable()[name]
    generator = rng()
    before = generator.bit_generator.state
    for initializer in EVERY_KIND:
        with pytest.raises(error, match=re.escape(message)):
            initializer.fill_(target, rng=generator)
    assert generator.bit_generator.state == before
    if hasattr(target, "sum") and name != "meta":
        assert not target.any()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_values_beyond_the_dtype_are_not_written(dtype):
    target, generator = np.zeros((3, 4), dtype), rng()
    before = generator.bit_generator.state
    for initializer in (ini.constant(1e39), ini.small_random(1e39), ini.orthogonal(1e39)):
        with pytest.raises(ValueError, match=f"tensor would get the value .* of its {dtype}"):
            initializer.fill_(target, rng=generator)
    assert not target.any()
    assert generator.bit_generator.state == before


@pytest.mark.parametrize("bad", [0, None, np.random.RandomState(0)], ids=lambda bad: type(bad).__name__)
def test_fill_needs_a_generator(bad):
    target = np.zeros((3, 4))
    with pytest.raises(TypeError, match=r"pass rng=np.random.default_rng"):
        ini.he_normal.fill_(target, rng=bad)
    assert not target.any()


@pytest.mark.parametrize("bad", [(0, 3), (3, -1), (math.nan, 3), ("3", 3)])
def test_bad_true_fans(bad):
    with pytest.raises((TypeError, ValueError), match=r"fan_(in|out) must be"):
        ini.he_normal.std((3, 4), true_fans=bad)


@pytest.mark.parametrize("bad", ["float16", "flaot32", None, int])
def test_bad_dtypes_of_a_sample(bad):
    generator = rng()
    before = generator.bit_generator.state
    with pytest.raises(ValueError, match="unknown dtype"):
        ini.he_normal.sample((3, 4), generator, dtype=bad)
    assert generator.bit_generator.state == before


# ---------------------------------------------------------------------------------------------------------------------
# Bad input

BAD_SHAPES = [
    ((), ValueError, "no fans"),
    ((5,), ValueError, "give a weight's shape, and fill a bias with a number"),
    (5, TypeError, "must be a tuple of integers"),
    (None, TypeError, "must be a tuple of integers"),
    ("34", TypeError, "must be a tuple of integers"),
    (b"34", TypeError, "must be a tuple of integers"),
    ({3, 4}, TypeError, "must be a tuple of integers"),
    ((3, 4.0), TypeError, "shape[1] must be an integer, got 4.0"),
    ((True, 4), TypeError, "shape[0] must be an integer, got True"),
    ((np.True_, 4), TypeError, "shape[0] must be an integer"),
    ((3, "4"), TypeError, "shape[1] must be an integer, got '4'"),
    ((3, None), TypeError, "shape[1] must be an integer, got None"),
    (((3, 4), 5), TypeError, "shape[0] must be an integer"),
    ((0, 4), ValueError, "shape[0] must be at least 1, got 0"),
    ((3, -4), ValueError, "shape[1] must be at least 1, got -4"),
    ((3, 4, 0), ValueError, "shape[2] must be at least 1, got 0"),
]


@pytest.mark.parametrize("initializer", EVERY_KIND, ids=repr)
@pytest.mark.parametrize(("shape", "error", "message"), BAD_SHAPES, ids=[repr(bad[0]) for bad in BAD_SHAPES])
def test_bad_shapes(initializer, shape, error, message):
    generator = rng()
    before = generator.bit_generator.state
    for call in (fans, initializer.std, lambda shape: initializer.sample(shape, generator)):
        with pytest.raises(error, match=re.escape(message)):
            call(shape)
    assert generator.bit_generator.state == before


@pytest.mark.parametrize("initializer", EVERY_KIND, ids=repr)
@pytest.mark.parametrize(
    ("replicas", "error", "message"),
    [
        (0, ValueError, "replicas must be at least 1, got 0"),
        (-2, ValueError, "replicas must be at least 1, got -2"),
        (2.0, TypeError, "replicas must be an integer, got 2.0"),
        (True, TypeError, "replicas must be an integer, got True"),
        ("3", TypeError, "replicas must be an integer, got '3'"),
    ],
)
def test_bad_replicas(initializer, replicas, error, message):
    generator = rng()
    before = generator.bit_generator.state
    with pytest.raises(error, match=re.escape(message)):
        initializer.sample((3, 4), generator, replicas=replicas)
    assert generator.bit_generator.state == before


@pytest.mark.parametrize("initializer", EVERY_KIND, ids=repr)
@pytest.mark.parametrize(
    "bad", [0, None, np.random, np.random.RandomState(0), np.random.PCG64(0)], ids=lambda bad: type(bad).__name__
)
def test_bad_rng(initializer, bad):
    with pytest.raises(TypeError, match=r"must be a numpy.random.Generator.*default_rng"):
        initializer.sample((3, 4), bad)


NOT_REAL = [("1", TypeError), (None, TypeError), (True, TypeError), (1j, TypeError), ([1.0, 2.0], TypeError)]
NOT_FINITE = [(math.nan, ValueError), (math.inf, ValueError), (-math.inf, ValueError)]
PARAMETERS = {
    "scale": (lambda x: Scheme(scale=x), [*NOT_REAL, *NOT_FINITE, (0, ValueError), (-1.0, ValueError)]),
    "value": (ini.constant, [*NOT_REAL, *NOT_FINITE]),
    "sigma": (ini.small_random, [*NOT_REAL, *NOT_FINITE, (-0.1, ValueError)]),
    "gain": (ini.orthogonal, [*NOT_REAL, *NOT_FINITE, (0, ValueError), (-1.0, ValueError)]),
}


@pytest.mark.parametrize(
    ("name", "bad", "error"), [(name, bad, error) for name, (_, table) in PARAMETERS.items() for bad, error in table]
)
def test_bad_parameters(name, bad, error):
    with pytest.raises(error, match=f"{name} must be"):
        PARAMETERS[name][0](bad)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Scheme(scale=1, mode="fanin"), ValueError, "unknown mode 'fanin'; did you mean 'fan_in'?"),
        (lambda: Scheme(scale=1, mode=2), TypeError, "mode must be a string"),
        (lambda: Scheme(scale=1, distribution="gauss"), ValueError, "normal, uniform, truncated_normal"),
        (lambda: Scheme(2.0), TypeError, "positional argument"),
        (lambda: ini.constant(), TypeError, "value"),
        (lambda: scheme("he_norml"), ValueError, "unknown scheme 'he_norml'; did you mean 'he_normal'?"),
        (lambda: scheme("Glorot_Normal"), ValueError, "did you mean 'xavier_normal'?"),
        (lambda: scheme("KaimingUniform"), ValueError, "did you mean 'he_uniform'?"),
        (lambda: scheme("constant_"), ValueError, "use ini.constant(value)"),
        (lambda: scheme("HE_NORMAL"), ValueError, "did you mean 'he_normal'?"),
        (lambda: scheme("qqq"), ValueError, "One of: zeros, constant,"),
        (lambda: scheme("constant"), ValueError, "use ini.constant(value)"),
        (lambda: scheme(0.01), TypeError, "scheme must be a string, got 0.01"),
        (lambda: scheme(ini.orthogonal), TypeError, "scheme must be a string"),
        (lambda: Initializer(), TypeError, "abstract"),
    ],
)
def test_bad_names_and_calls(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_no_spread_is_allowed():
    np.testing.assert_array_equal(ini.small_random(0).sample((3, 4), rng()), np.zeros((3, 4)))


def test_gates_are_drawn_one_by_one():
    kernel = schemes.per_gate(schemes.orthogonal()).sample((4 * 16, 16), np.random.default_rng(1), 3)
    gates = kernel.reshape(3, 4, 16, 16)
    assert np.allclose(gates @ gates.swapaxes(2, 3), np.eye(16))
    whole = schemes.orthogonal().sample((4 * 16, 16), np.random.default_rng(1)).reshape(4, 16, 16)
    rms = np.sqrt(np.square(np.linalg.svd(whole, compute_uv=False)).mean())
    assert rms == pytest.approx(0.5)  # drawn as one they are not


def test_a_gate_has_its_own_fans():
    law = schemes.per_gate(schemes.xavier_normal, gates=3)
    assert law.std((3 * 32, 32)) == schemes.xavier_normal.std((32, 32)) != schemes.xavier_normal.std((96, 32))
    assert law.name == "xavier_normal, 3 parts"
    assert float(law.sample((3 * 32, 32), np.random.default_rng(1), 20).std()) == pytest.approx(32**-0.5, rel=0.02)
    with pytest.raises(ValueError, match="multiple of 3, one part for each law"):
        law.sample((32, 32), np.random.default_rng(1))
    with pytest.raises(TypeError, match=r"initnotes.scheme\('orthogonal'\)"):
        schemes.per_gate("orthogonal")
