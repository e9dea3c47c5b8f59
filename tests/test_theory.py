"""Mean-field theory against closed forms, high-precision integrals, Monte Carlo and the book's facts."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from torch import nn

from initnotes import theory
from initnotes.activations import NAMES, SELU_ALPHA, SELU_LAMBDA, Activation, elu, get, leaky_relu

SCALES = [0.1, 1.0, 4.0, 20.0]
ALL_Q = np.array([1e-12, 1e-6, 0.01, 0.3, 1.0, 7.0, 400.0, 1e5, 1e9])
Z_LIMIT = 3.891  # two-sided: a right value fails one draw in 10,000


# --- closed forms ---


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3, 1.0, -1.0])
def test_piecewise_linear_moments(slope):
    act, half = leaky_relu(slope), (1 + slope**2) / 2
    np.testing.assert_allclose(theory.second_moment(ALL_Q, act), half * ALL_Q, rtol=1e-12)
    np.testing.assert_allclose(theory.derivative_second_moment(ALL_Q, act), half, rtol=1e-12)
    assert theory.variance_map(2.0, act, sigma_w=3.0, sigma_b=0.5) == pytest.approx(18 * half + 0.25, rel=1e-12)
    assert theory.gain(act) == pytest.approx(half**-0.5, rel=1e-12)
    assert theory.chi(act, sigma_w=0.7) == pytest.approx(0.49 * half, rel=1e-12)


def test_erf_moments():
    np.testing.assert_allclose(
        theory.second_moment(ALL_Q, "erf"), 2 / np.pi * np.arcsin(2 * ALL_Q / (1 + 2 * ALL_Q)), rtol=1e-10
    )
    np.testing.assert_allclose(
        theory.derivative_second_moment(ALL_Q, "erf"), 4 / np.pi / np.sqrt(1 + 4 * ALL_Q), rtol=1e-10
    )


def test_clipped_linear_has_kinks_away_from_zero():
    q, s = 2.5, 2.5**0.5
    expected = q * (math.erf(1 / s / 2**0.5) - 2 / s * math.exp(-0.5 / q) / math.sqrt(2 * math.pi)) + math.erfc(
        1 / s / 2**0.5
    )
    assert theory.second_moment(q, nn.Hardtanh()) == pytest.approx(expected, rel=1e-12)
    assert theory.second_moment(q, lambda x: np.clip(x, -1, 1)) == pytest.approx(expected, rel=1e-9)  # kinks found
    assert theory.derivative_second_moment(q, nn.Hardtanh()) == pytest.approx(math.erf(1 / s / 2**0.5), rel=1e-12)
    assert theory.second_moment([0.0, q], nn.Hardtanh()).tolist()[0] == 0


@pytest.mark.parametrize("q", [0.3, 1.0, 17.0, 400.0, 1e4, 1e8])
def test_a_jump_away_from_zero_is_found(q):
    step = Activation("step", lambda x: 1.0 * (x > 1.5), lambda x: 0.0 * x)
    assert theory.second_moment(q, step) == pytest.approx(math.erfc(1.5 / math.sqrt(2 * q)) / 2, rel=1e-9)


def test_powers_and_waves():
    assert theory.second_moment(2.0, lambda x: x**3) == pytest.approx(15 * 8, rel=1e-12)
    assert theory.derivative_second_moment(2.0, lambda x: x**3) == pytest.approx(27 * 4, rel=1e-8)
    np.testing.assert_allclose(
        theory.second_moment([0.1, 1.0, 400.0], np.sin), -np.expm1([-0.2, -2.0, -800.0]) / 2, rtol=1e-9
    )


def test_overflow_is_infinite_and_many_q_are_one_call():
    assert theory.second_moment(1e200, lambda x: x**2) == math.inf
    q = np.linspace(0, 9, 1200).reshape(3, 400)
    np.testing.assert_allclose(theory.second_moment(q, "relu"), q / 2, rtol=1e-12)
    assert theory.second_moment(np.zeros((0, 2)), "relu").shape == (0, 2)
    assert isinstance(theory.second_moment(np.float32(2), "relu"), float)


# --- high-precision integrals ----------------------------------------------------------------------------------------

MP = {
    "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), lambda x: mpmath.sech(x / 2) ** 2 / 4),
    "selu": (
        lambda x: SELU_LAMBDA * (x if x > 0 else SELU_ALPHA * mpmath.expm1(x)),
        lambda x: SELU_LAMBDA * (1 if x > 0 else SELU_ALPHA * mpmath.exp(x)),
    ),
    "gelu": (lambda x: x * mpmath.ncdf(x), lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x)),
    "silu": (
        lambda x: x / (1 + mpmath.exp(-x)),
        lambda x: (1 + x * (1 - 1 / (1 + mpmath.exp(-x)))) / (1 + mpmath.exp(-x)),
    ),
    "elu": (lambda x: x if x > 0 else mpmath.expm1(x), lambda x: 1 if x > 0 else mpmath.exp(x)),
    "callable": (lambda x: mpmath.atan(x - 1), lambda x: 1 / (1 + (x - 1) ** 2)),
}


def high_precision(function, scale):
    edges = [0, 0.2, 1, 3, 10, 40]
    points = sorted({side * min(edge / scale, 12.0) for edge in edges for side in (-1, 1)} | {-12.0, 12.0})
    return float(mpmath.quad(lambda xi: function(scale * xi) ** 2 * mpmath.npdf(xi), points))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", MP)
def test_moments_against_mpmath(name, scale):
    act = get(name if name != "callable" else lambda x: np.arctan(x - 1))
    phi, derivative = MP[name]
    assert theory.second_moment(scale**2, act) == pytest.approx(high_precision(phi, scale), rel=1e-10)
    assert theory.derivative_second_moment(scale**2, act) == pytest.approx(high_precision(derivative, scale), rel=1e-9)


def pair_mean(function, q, c):
    """Return E f(u)f(v) by Gauss-Legendre panels in the plane, with edges where u or v is 0."""
    x, w = np.polynomial.legendre.leggauss(16)
    s = math.sqrt(1 - c * c)
    side = np.concatenate([np.geomspace(1e-6, 0.25, 16), np.arange(0.5, 9.1, 0.25)])
    edges = np.concatenate([-side[::-1], [0], side])
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    u, du = (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()
    v = u[:, None]  # v | u is N(cu, 1 - c²): the same panels, so that 0 is an edge
    density = np.exp(-(u**2 - 2 * c * u * v + v**2) / (2 * s * s)) / (2 * math.pi * s)
    f = function(math.sqrt(q) * u)
    return (f * du) @ density @ (f * du)


@pytest.mark.parametrize("c", [-0.7, 0.0, 0.6, 0.95])
@pytest.mark.parametrize("name", ["tanh", "selu", "silu"])
def test_the_covariance_against_two_dimensional_integration(name, c):
    act, q = get(name), 2.0
    found = theory.correlation_map(c, q, act, sigma_w=1.0) * theory.second_moment(q, act)
    assert found == pytest.approx(pair_mean(act, q, c), abs=1e-8)


@pytest.mark.parametrize(
    ("sigma_w", "sigma_b", "error"), [(1.0, 0.0, 1e-9), (1.2, 0.5, 1e-9), (1.0, 0.3, 1e-9), (1.0, 0.32, 1e-5)]
)
def test_chaotic_depth_scale_of_selu_whose_series_converges_slowly(sigma_w, sigma_b, error):
    act, q = get("selu"), theory.fixed_point("selu", sigma_w=sigma_w, sigma_b=sigma_b)
    c_star = 0.0
    if sigma_b > 0:
        c_star = brentq(lambda c: (sigma_w**2 * pair_mean(act, q, c) + sigma_b**2) / q - c, 0.0, 0.995)
    expected = -1 / math.log(sigma_w**2 * pair_mean(act.derivative, q, c_star))
    assert theory.depth_scale(act, sigma_w=sigma_w, sigma_b=sigma_b) == pytest.approx(expected, rel=error)


# --- Monte Carlo, and the mistakes that it must catch ---


def z_score(claimed, samples):
    return (claimed - samples.mean()) / (samples.std() / math.sqrt(samples.size))


@pytest.fixture(scope="module")
def xi():
    return np.random.default_rng(20).standard_normal(1_000_000)


def gauss_hermite(function, scale, nodes=20):
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    return w @ function(scale * x) / w.sum()


@pytest.mark.parametrize("name", NAMES)
def test_monte_carlo_agrees(name, xi):
    act = get(name)
    for q in (0.8, 400.0):
        x = math.sqrt(q) * xi
        map_z = z_score(theory.variance_map(q, act, sigma_w=1.3, sigma_b=0.2), 1.69 * act(x) ** 2 + 0.04)
        assert abs(map_z) < Z_LIMIT
        if name not in ("relu", "leaky_relu", "linear"):  # there φ′² takes two values at most, and the mean is exact
            assert abs(z_score(theory.derivative_second_moment(q, act), act.derivative(x) ** 2)) < Z_LIMIT


@pytest.mark.parametrize(
    ("wrong", "samples"),
    [
        (
            lambda act: gauss_hermite(lambda x: act.derivative(x) ** 2, 20.0),
            lambda act, xi: act.derivative(20 * xi) ** 2,
        ),
        (lambda act: gauss_hermite(lambda x: act(x) ** 2, 20.0), lambda act, xi: act(20 * xi) ** 2),
        (lambda act: theory.variance_map(1.0, act, sigma_w=1.3), lambda act, xi: 1.69 * act(xi) ** 2 + 0.04),
        (lambda act: theory.variance_map(1.0, act, sigma_w=1.69), lambda act, xi: 1.69 * act(xi) ** 2),
        (lambda act: gauss_hermite(act.derivative, 1.0, 100), lambda act, xi: act.derivative(xi) ** 2),
        (lambda act: gauss_hermite(lambda x: act(x) ** 2, 4.0, 100), lambda act, xi: act(2 * xi) ** 2),
    ],
    ids=[
        "20 nodes, slope",
        "20 nodes, value",
        "no sigma_b",
        "sigma_w squared twice",
        "slope not squared",
        "q for its root",
    ],
)
def test_monte_carlo_catches_mistakes(wrong, samples, xi):
    act = get("tanh")
    assert abs(z_score(wrong(act), samples(act, xi))) > Z_LIMIT


# --- fixed points ---


def test_limits_of_relu():
    assert theory.fixed_point("relu", sigma_w=1.0) == 0.0
    assert theory.fixed_point("relu", sigma_w=1.5) == math.inf
    assert theory.fixed_point("relu", sigma_w=2**0.5, sigma_b=0.1) == math.inf
    assert theory.fixed_point("relu", sigma_w=1.0, sigma_b=0.3) == pytest.approx(0.18, rel=1e-12)
    assert theory.fixed_point("relu", sigma_w=1.4, sigma_b=1e6) == pytest.approx(1e12 / 0.02, rel=1e-9)
    assert theory.fixed_point("relu", sigma_w=1.0, sigma_b=1e-9) == pytest.approx(2e-18, rel=1e-9)


@pytest.mark.parametrize(("name", "sigma_w"), [("relu", 2**0.5), ("linear", 1.0), (leaky_relu(0.5), 1.6**0.5)])
def test_a_continuum_is_named(name, sigma_w):
    assert theory.fixed_points(name, sigma_w=sigma_w) == [theory.FixedPoint(1.0, 1.0, False, continuum=True)]
    assert theory.fixed_point(name, sigma_w=sigma_w) == 1.0
    assert theory.chi(name, sigma_w=sigma_w) == pytest.approx(1.0, abs=1e-12)
    assert theory.depth_scale(name, sigma_w=sigma_w) == math.inf


def test_slow_convergence_is_no_convergence_problem():
    assert theory.fixed_point("tanh", sigma_w=1.0) == 0.0
    assert theory.chi("tanh", sigma_w=1.0) == pytest.approx(1.0, abs=1e-12)
    assert theory.depth_scale("tanh", sigma_w=1.0) == math.inf
    (zero,) = theory.fixed_points("tanh", sigma_w=1.0)
    assert zero == (0.0, pytest.approx(1.0, abs=1e-12), True, False)
    assert theory.fixed_point("tanh", sigma_w=1.0 + 1e-5) == pytest.approx(1e-5, rel=1e-3)  # q − 2q² to leading order


def test_zero_weights():
    assert theory.fixed_point("tanh", sigma_w=0.0, sigma_b=0.5) == pytest.approx(0.25, rel=1e-12)
    assert theory.fixed_point("sigmoid", sigma_w=0.0) == 0.0
    assert theory.chi("tanh", sigma_w=0.0, sigma_b=0.5) == 0.0
    assert theory.depth_scale("tanh", sigma_w=0.0, sigma_b=0.5) == 0.0
    assert theory.chi(np.sign, sigma_w=0.0) == 0.0


def test_erf_fixed_point_solves_its_closed_form():
    def unbalance(q):
        return 2.25 * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) + 0.04 - q

    assert theory.fixed_point("erf", sigma_w=1.5, sigma_b=0.2) == pytest.approx(brentq(unbalance, 0.1, 9), rel=1e-10)


def test_superlinear_maps():
    zero, other = theory.fixed_points(lambda x: x**2, sigma_w=1.0)  # q' = 3q²
    assert (zero.q, zero.stable, other.stable) == (0.0, True, False)
    assert zero.slope == pytest.approx(0.0, abs=1e-9)
    assert (other.q, other.slope) == (pytest.approx(1 / 3), pytest.approx(2.0))
    assert theory.fixed_point(lambda x: x**2, sigma_w=1.0) == theory.chi(lambda x: x**2, sigma_w=1.0) == math.inf
    assert theory.fixed_point(lambda x: x**2, sigma_w=0.5) == 0.0
    assert theory.fixed_points(lambda x: np.exp(np.minimum(x, 300)), sigma_w=9.0) == []
    assert theory.fixed_point(lambda x: np.exp(np.minimum(x, 300)), sigma_w=9.0) == math.inf


def test_a_jump_at_zero_leaves_zero_at_once():
    zero, other = theory.fixed_points(np.sign, sigma_w=1.5)
    assert zero == (0.0, math.inf, False, False)
    assert (other.q, other.stable) == (pytest.approx(2.25), True)


def test_a_falling_map_is_followed_not_guessed():
    bump = Activation("bump", lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x))  # q' = σ_w²/√(1 + 4q)
    expected = brentq(lambda q: 9 / math.sqrt(1 + 4 * q) - q, 0.1, 9)
    assert theory.fixed_point(bump, sigma_w=3.0) == pytest.approx(expected, rel=1e-10)
    (point,) = theory.fixed_points(bump, sigma_w=3.0)
    assert point.stable
    assert -0.5 < point.slope < 0
    assert point.slope == pytest.approx(-18 * (1 + 4 * expected) ** -1.5, rel=1e-9)


def test_a_fall_can_lead_past_a_fixed_point():
    def spiked(x):  # q' is high near q = 1, and 0 is stable: the first steps decide
        return 0.5 * x + 8 * np.abs(x) * np.exp(-3 * x * x)

    end = theory.fixed_point(spiked, sigma_w=0.9)
    q = 1.0
    for _ in range(300):
        q = theory.variance_map(q, spiked, sigma_w=0.9)
    assert end == pytest.approx(q, rel=1e-8)


def tangent_sigma_b(sigma_w):
    """Return (q, σ_b) at which GELU's map touches the diagonal from above: beyond it no q is fixed."""
    lowest = minimize_scalar(
        lambda u: theory.variance_map(math.exp(u), "gelu", sigma_w=sigma_w) - math.exp(u),
        bounds=(math.log(0.01), math.log(50.0)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return math.exp(lowest.x), math.sqrt(-lowest.fun)


def test_a_pair_between_two_samples_is_found():
    q, sigma_b = tangent_sigma_b(1.45)
    low, high = theory.fixed_points("gelu", sigma_w=1.45, sigma_b=sigma_b * (1 - 1e-5))
    assert low.stable
    assert not high.stable
    assert 0.97 * q < low.q < q < high.q < 1.03 * q
    assert low.slope < 1 < high.slope
    assert theory.fixed_points("gelu", sigma_w=1.45, sigma_b=sigma_b * (1 + 1e-5)) == []


def test_a_touching_point_is_listed_and_not_stable():
    q, sigma_b = tangent_sigma_b(1.45)
    (point,) = theory.fixed_points("gelu", sigma_w=1.45, sigma_b=sigma_b)
    assert point == (pytest.approx(q, rel=1e-3), pytest.approx(1.0, abs=1e-3), False, False)


def test_unit_gain_need_not_be_stable():
    stable = {
        name: next(p.stable for p in theory.fixed_points(name, sigma_w=theory.gain(name)) if abs(p.q - 1) < 1e-9)
        for name in ("tanh", "selu", "elu", "gelu", "silu", "sigmoid")
    }
    assert stable == {"tanh": True, "selu": True, "elu": True, "sigmoid": True, "gelu": False, "silu": False}
    assert theory.fixed_point("gelu", sigma_w=theory.gain("gelu")) == pytest.approx(1.0, abs=1e-9)


names = st.sampled_from(NAMES)
sigmas_w = st.floats(0.1, 20)
sigmas_b = st.one_of(st.just(0.0), st.floats(1e-3, 5))


@settings(max_examples=60, deadline=None)
@given(name=names, q=st.floats(1e-6, 1e4), low=sigmas_w, high=sigmas_w, sigma_b=sigmas_b)
def test_the_map_rises_with_sigma_w(name, q, low, high, sigma_b):
    low, high = sorted([low, high])
    lower, higher = (theory.variance_map(q, name, sigma_w=s, sigma_b=sigma_b) for s in (low, high))
    assert sigma_b**2 <= lower <= higher


@settings(max_examples=80, deadline=None)
@given(name=names, sigma_w=sigmas_w, sigma_b=sigmas_b)
def test_fixed_points_are_fixed(name, sigma_w, sigma_b):
    points = theory.fixed_points(name, sigma_w=sigma_w, sigma_b=sigma_b)
    assert [p.q for p in points] == sorted(p.q for p in points)
    for p in points:
        assert theory.variance_map(p.q, name, sigma_w=sigma_w, sigma_b=sigma_b) == pytest.approx(p.q, rel=1e-8)
        if p.q > 0 and not p.continuum:
            near = p.q * (1 + np.array([-1e-4, 1e-4]))
            below, above = theory.variance_map(near, name, sigma_w=sigma_w, sigma_b=sigma_b)
            assert p.slope == pytest.approx((above - below) / (near[1] - near[0]), rel=1e-5, abs=1e-7)
        if abs(p.slope - 1) > 1e-6:
            assert p.stable == (p.slope < 1)
    ends = [p.q for p in points] + [math.inf]
    assert theory.fixed_point(name, sigma_w=sigma_w, sigma_b=sigma_b) in ends


@settings(max_examples=30, deadline=None)
@given(name=names, sigma_w=st.floats(0.1, 5), sigma_b=sigmas_b)
def test_fixed_point_is_where_iteration_goes(name, sigma_w, sigma_b):
    end = theory.fixed_point(name, sigma_w=sigma_w, sigma_b=sigma_b)
    q, distance = 1.0, []
    for _ in range(40):
        q = min(theory.variance_map(q, name, sigma_w=sigma_w, sigma_b=sigma_b), 1e20)
        distance.append(abs(math.log((q + 1e-30) / (min(end, 1e20) + 1e-30))))
    assert distance[-1] <= distance[0] + 1e-9


# --- phases ---


@pytest.mark.parametrize(("sigma_b2", "sigma_w2"), [(0, 1), (0.01, 1.424), (0.05, 1.761), (1, 3.443)])
def test_critical_line_of_tanh(sigma_b2, sigma_w2):
    assert theory.critical_sigma_w("tanh", sigma_b=sigma_b2**0.5) ** 2 == pytest.approx(sigma_w2, abs=5e-4)


@pytest.mark.parametrize("sigma_b", [0.0, 1e-12, 1e-4, 0.2, 3.0])
@pytest.mark.parametrize("name", ["tanh", "erf", "relu", "sigmoid", "selu", "elu"])
def test_chi_is_one_on_the_critical_line(name, sigma_b):
    sigma_w = theory.critical_sigma_w(name, sigma_b=sigma_b)
    assert theory.chi(name, sigma_w=sigma_w, sigma_b=sigma_b) == pytest.approx(1, abs=1e-7)
    assert theory.chi(name, sigma_w=0.97 * sigma_w, sigma_b=sigma_b) < 1
    assert theory.chi(name, sigma_w=1.03 * sigma_w, sigma_b=sigma_b) > 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gelu", "chi jumps from 0.588 to 1.18 at sigma_w = 1.5335; look at fixed_points"),
        ("silu", "chi jumps from 0.703 to 1.4"),
        (lambda x: 0 * x, "chi is 0 at sigma_w = 0.001 and 0 at 1000"),
        (lambda x: np.clip(x - 3, 0, 1), "no sigma_w gives <lambda> with sigma_b=0 chi = 1"),
    ],
)
def test_no_critical_point_says_why(name, message):
    with pytest.raises(ValueError, match=message):
        theory.critical_sigma_w(name)


@pytest.mark.parametrize(("sigma_w2", "expected"), [(1.0, 3.63), (1.5, 15.8), (1.7, 74.9)])
def test_ordered_depth_scales_of_tanh(sigma_w2, expected):
    found = theory.depth_scale("tanh", sigma_w=sigma_w2**0.5, sigma_b=0.05**0.5)
    assert found == pytest.approx(expected, rel=2e-3)
    assert found == pytest.approx(-1 / math.log(theory.chi("tanh", sigma_w=sigma_w2**0.5, sigma_b=0.05**0.5)))


def erf_chaos(sigma_w, sigma_b):
    """Return (c*, ξ) from the arcsine kernel."""
    q = theory.fixed_point("erf", sigma_w=sigma_w, sigma_b=sigma_b)
    t = 2 * q / (1 + 2 * q)
    c = 0.5
    for _ in range(4000):
        c = (sigma_w**2 * 2 / math.pi * math.asin(t * c) + sigma_b**2) / q
    return c, -1 / math.log(sigma_w**2 * 2 / math.pi * t / math.sqrt(1 - (t * c) ** 2) / q)


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(1.0, 0.0), (1.3, 0.1), (2.0, 0.3), (5.0, 1.0), (20.0, 0.5)])
def test_chaotic_depth_scale_of_erf(sigma_w, sigma_b):
    c, expected = erf_chaos(sigma_w, sigma_b)
    assert theory.depth_scale("erf", sigma_w=sigma_w, sigma_b=sigma_b) == pytest.approx(expected, rel=1e-6)
    q = theory.fixed_point("erf", sigma_w=sigma_w, sigma_b=sigma_b)
    assert theory.correlation_map(c, q, "erf", sigma_w=sigma_w, sigma_b=sigma_b) == pytest.approx(c, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"), [("tanh", 2.0, 0.4), ("elu", 1.3, 0.1), ("sigmoid", 12.0, 0.5)]
)
def test_chaotic_depth_scale_is_the_rate_of_the_iteration(name, sigma_w, sigma_b):
    sigmas = {"sigma_w": sigma_w, "sigma_b": sigma_b}
    q = theory.fixed_point(name, **sigmas)
    assert theory.chi(name, **sigmas) > 1
    c, path = 0.99, []
    while len(path) < 3 or abs(path[-1] - path[-2]) > 1e-7:
        c = theory.correlation_map(c, q, name, **sigmas)
        path.append(c)
    rate = (path[-1] - path[-2]) / (path[-2] - path[-3])
    assert theory.depth_scale(name, **sigmas) == pytest.approx(-1 / math.log(rate), rel=1e-4)


def test_depth_scale_without_a_finite_fixed_point_is_infinite():
    assert theory.depth_scale("relu", sigma_w=2.0) == math.inf
    assert theory.depth_scale("relu", sigma_w=1.0) == pytest.approx(1 / math.log(2))


CORRELATIONS = np.array([-1, -0.999, -0.5, 0, 0.3, 0.9, 0.99, 0.9999, 1])


@pytest.mark.parametrize(("q", "error"), [(0.1, 1e-12), (1.0, 1e-12), (16.0, 1e-9), (400.0, 1e-3)])
def test_arcsine_kernel(q, error):
    t = 2 * q / (1 + 2 * q)
    found = theory.correlation_map(CORRELATIONS, q, "erf", sigma_w=1.0)
    np.testing.assert_allclose(found, np.arcsin(t * CORRELATIONS) / np.arcsin(t), atol=error, rtol=0)


def test_arc_cosine_kernel():
    c = CORRELATIONS
    expected = (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / np.pi
    np.testing.assert_allclose(theory.correlation_map(c, 3.0, "relu", sigma_w=0.7), expected, atol=2e-6, rtol=0)
    biased = theory.correlation_map(c, 3.0, "relu", sigma_w=2**0.5, sigma_b=1.0)
    np.testing.assert_allclose(biased, (3 * expected + 1) / 4, atol=2e-6, rtol=0)


def test_two_inputs_align_in_a_relu_net():
    c = 0.0
    for _ in range(50):
        c = theory.correlation_map(c, 1.0, "relu", sigma_w=2**0.5)
    assert c == pytest.approx(0.988, abs=5e-4)


# --- facts ---


def test_facts_on_tanh():
    assert theory.gain("tanh") == pytest.approx(1.5925, abs=5e-5)
    q = theory.fixed_point("tanh", sigma_w=5 / 3)
    assert theory.second_moment(q, "tanh") ** 0.5 == pytest.approx(0.651, abs=5e-4)
    factor = theory.chi("tanh", sigma_w=5 / 3) ** 0.5
    assert (factor, factor**50) == (pytest.approx(1.10, abs=5e-3), pytest.approx(117, abs=0.5))
    assert theory.chi("tanh", sigma_w=3000.0) / 3000 == pytest.approx(4 / (3 * math.sqrt(2 * math.pi)), rel=1e-3)
    lecun = Activation(
        "lecun", lambda x: 1.7159 * np.tanh(2 * x / 3), lambda x: 1.7159 * 2 / 3 / np.cosh(2 * x / 3) ** 2
    )
    assert theory.second_moment(1.0, lecun) == pytest.approx(0.750, abs=5e-4)


def test_fact_on_slow_decay():
    q, means = 1.0, []
    for _ in range(50):
        means.append(theory.second_moment(q, "tanh"))
        q = theory.variance_map(q, "tanh", sigma_w=1.0)
    assert (means[4], means[49]) == (pytest.approx(0.103, abs=5e-4), pytest.approx(0.0102, abs=5e-5))


def test_facts_on_sigmoid_and_selu():
    assert theory.chi("sigmoid", sigma_w=1.0) ** 0.5 == pytest.approx(0.236, abs=5e-4)
    assert theory.fixed_point("selu", sigma_w=1.0) == pytest.approx(1.0, abs=1e-9)
    assert theory.chi("selu", sigma_w=1.0) > 1
    assert theory.chi("selu", sigma_w=0.75) == pytest.approx(1.004, abs=5e-4)
    x = np.random.default_rng(3).standard_normal(1_000_000) * theory.fixed_point("selu", sigma_w=0.75) ** 0.5
    assert get("selu")(x).std() == pytest.approx(0.200, abs=1e-3)


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: theory.variance_map(-1.0, "tanh", sigma_w=1), ValueError, "q is a second moment.*at least 0, got -1"),
        (lambda: theory.variance_map([1, math.nan], "tanh", sigma_w=1), ValueError, "must be finite.*got nan"),
        (lambda: theory.variance_map(math.inf, "tanh", sigma_w=1), ValueError, "must be finite.*got inf"),
        (
            lambda: theory.variance_map("1", "tanh", sigma_w=1),
            TypeError,
            "q must be a real number or an array.*got '1'",
        ),
        (lambda: theory.variance_map([[1], [1, 2]], "tanh", sigma_w=1), TypeError, "q must be a real number"),
        (lambda: theory.variance_map(True, "tanh", sigma_w=1), TypeError, "q must be a real number"),
        (lambda: theory.variance_map(1 + 0j, "tanh", sigma_w=1), TypeError, "q must be a real number"),
        (lambda: theory.variance_map(1.0, "tahn", sigma_w=1), ValueError, "did you mean 'tanh'"),
        (lambda: theory.variance_map(1.0, 5, sigma_w=1), TypeError, "activation must be"),
        (lambda: theory.variance_map(1.0, "tanh", sigma_w=-1), ValueError, "sigma_w must be at least 0, got -1"),
        (lambda: theory.fixed_point("tanh", sigma_w=math.nan), ValueError, "sigma_w must be finite, got nan"),
        (lambda: theory.fixed_points("tanh", sigma_w=math.inf), ValueError, "sigma_w must be finite, got inf"),
        (lambda: theory.chi("tanh", sigma_w="2"), TypeError, "sigma_w must be a real number, got '2'"),
        (lambda: theory.chi("tanh", sigma_w=1, sigma_b=-0.1), ValueError, "sigma_b must be at least 0"),
        (lambda: theory.chi("tanh", sigma_w=1e60), ValueError, "sigma_w must be at most 1e50"),
        (lambda: theory.critical_sigma_w("tanh", sigma_b=-1), ValueError, "sigma_b must be at least 0"),
        (lambda: theory.depth_scale("tanh", sigma_w=-1), ValueError, "sigma_w must be at least 0"),
        (lambda: theory.second_moment([-2.0], "relu"), ValueError, "got -2"),
        (lambda: theory.derivative_second_moment(None, "relu"), TypeError, "got None"),
        (lambda: theory.correlation_map(1.1, 1.0, "relu", sigma_w=1), ValueError, r"in \[-1, 1\], got 1.1"),
        (lambda: theory.correlation_map(math.nan, 1.0, "relu", sigma_w=1), ValueError, "got nan"),
        (lambda: theory.correlation_map("a", 1.0, "relu", sigma_w=1), TypeError, "c must be a real number"),
        (lambda: theory.correlation_map(0.5, 0.0, "relu", sigma_w=1), ValueError, "q must be greater than 0"),
        (lambda: theory.correlation_map(0.5, 1.0, "relu", sigma_w=0), ValueError, "correlation is not defined"),
        (lambda: theory.gain(lambda x: 0 * x), ValueError, "a gain needs it positive and finite"),
        (lambda: theory.gain(lambda x: np.exp(x * x / 4)), ValueError, "grows too fast.*like a power at most"),
        (lambda: theory.second_moment(1.0, lambda x: np.exp(x * x)), ValueError, "grows too fast"),
        (lambda: theory.second_moment(100.0, np.exp), ValueError, "grows too fast"),
        (lambda: theory.variance_map([0.1, 100.0], np.exp, sigma_w=1.0), ValueError, "grows too fast"),
        (lambda: theory.derivative_second_moment(1.0, lambda x: np.exp(x * x / 4)), ValueError, "grows too fast"),
        (lambda: theory.correlation_map(0.5, 1.0, lambda x: np.exp(x * x / 4), sigma_w=1), ValueError, "grows too"),
        (lambda: theory.chi(np.sign, sigma_w=1.5), ValueError, "activation sign jumps at .*slope is infinite there"),
        (lambda: theory.chi(torch.sign, sigma_w=1.5), ValueError, "activation sign jumps"),
        (lambda: theory.chi(lambda x: np.tanh(x) + (x > 0.7), sigma_w=1.5), ValueError, "jumps at 0.7:"),
        (lambda: theory.derivative_second_moment([0.0, 1.0], np.round), ValueError, "E φ′²"),
        (lambda: theory.depth_scale(np.sign, sigma_w=1.5), ValueError, "jumps"),
        (lambda: theory.second_moment(1.0, lambda x: np.log(x + 2)), ValueError, "is NaN at a finite number"),
    ],
)
def test_bad_input_says_what_is_allowed(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_grows_slowly_enough_is_let_through():
    """Powers, an exponential at small q, and functions that are 0 up to far out."""
    assert theory.second_moment(1.0, lambda x: x**20) == pytest.approx(math.prod(range(1, 40, 2)), rel=1e-9)
    assert theory.second_moment([0.1, 4.0], np.exp) == pytest.approx(np.exp([0.2, 8.0]), rel=1e-9)
    for start in (3.0, 11.999, 12.6, 13.3, 13.9, 20.0):
        assert 0 <= theory.second_moment(1.0, lambda x, s=start: np.maximum(x - s, 0)) < 1


@pytest.mark.parametrize("name", NAMES)
def test_what_is_steep_does_not_jump(name):
    steep = theory.derivative_second_moment(1e18, name)
    assert 0 <= steep < 2
    leaps = Activation("leaps", lambda x: np.tanh(1e6 * x), lambda x: 1e6 / np.cosh(np.clip(1e6 * x, -300, 300)) ** 2)
    assert theory.derivative_second_moment(1.0, leaps) == pytest.approx(4e6 / 3 / math.sqrt(2 * math.pi), rel=1e-6)


def test_options_are_keywords_only():
    with pytest.raises(TypeError):
        theory.variance_map(1.0, "tanh", 1.0)


def test_elu_of_another_alpha_is_another_theory():
    assert theory.chi(elu(0.0), sigma_w=1.2) == theory.chi("relu", sigma_w=1.2)


@pytest.mark.parametrize("q", [1e-3, 0.5, 5.0, 400.0])
def test_sine_in_closed_form(q):
    assert theory.second_moment(q, "sine") == pytest.approx((1 - math.exp(-2 * q)) / 2, rel=1e-9)
    assert theory.derivative_second_moment(q, "sin") == pytest.approx((1 + math.exp(-2 * q)) / 2, rel=1e-9)


def test_siren_has_a_fixed_point_and_is_chaotic():
    q = theory.fixed_point("sine", sigma_w=2**0.5)
    assert q == pytest.approx(1 - math.exp(-2 * q), rel=1e-9)
    assert q != pytest.approx((1 - math.exp(-2 * q)) / 2, rel=1e-3)  # σ_w² = 1
    assert theory.chi("sine", sigma_w=2**0.5) == pytest.approx(1 + math.exp(-2 * q), rel=1e-9)


@pytest.mark.parametrize(
    ("prior", "gamma", "alpha"), [(0.01, 0.0, None), (0.01, 2.0, None), (0.01, 2.0, 0.25), (0.4, 5.0, 0.9)]
)
def test_prior_bias_minimizes_the_loss(prior, gamma, alpha):
    def loss(b, gamma=gamma):
        p, a = 1 / (1 + np.exp(-b)), 0.5 if alpha is None else alpha
        return -a * prior * (1 - p) ** gamma * np.log(p) - (1 - a) * (1 - prior) * p**gamma * np.log(1 - p)

    grid = np.linspace(-8, 8, 160_001)
    found = theory.prior_bias(prior, gamma=gamma, alpha=alpha)
    assert found == pytest.approx(grid[loss(grid).argmin()], abs=2e-4)
    assert found != pytest.approx(grid[loss(grid, gamma + 0.1).argmin()], abs=2e-4)


def test_prior_bias_of_cross_entropy_is_the_logit():
    assert theory.prior_bias(0.01) == pytest.approx(math.log(0.01 / 0.99), abs=1e-9)
    assert theory.prior_bias(0.5, gamma=2.0) == pytest.approx(0.0, abs=1e-9)
    for wrong in (0.0, 1.0):
        with pytest.raises(ValueError, match="prior must be between 0 and 1"):
            theory.prior_bias(wrong)
