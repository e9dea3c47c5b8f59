"""Theory of any callable: values only are given, kinks and jumps are anywhere, and the digits are those promised.

Each is compared with the activation that it equals, with closed forms or with mpmath.
"""

import math

import mpmath
import numpy as np
import pytest
import torch
from torch import nn

from initnotes import theory
from initnotes.activations import Activation, elu, get, leaky_relu
from initnotes.theory.pieces import Pieces

MOMENT, SLOPE = 1e-9, 1e-8  # relative errors that the docstrings promise
Q = np.array([1e-6, 0.3, 1.0, 7.0, 1e6])
SIGMAS = [(2**0.5, 0.0), (1.4, 0.3), (2.0, 0.1)]
CORRELATIONS = np.array([-1, -0.99, -0.5, 0, 0.3, 0.9, 0.9999, 1])

SELU = 1.0507009873554805, 1.6732632423543772
SAME = {  # callables of values, and the activation with a known slope that they equal
    "relu by maximum": (lambda x: np.maximum(x, 0), "relu"),
    "relu by where": (lambda x: np.where(x > 0, x, 0), "relu"),
    "relu by a mask": (lambda x: x * (x > 0), "relu"),
    "relu of torch": (lambda x: torch.relu(x), "relu"),
    "leaky by where": (lambda x: np.where(x > 0, x, 0.2 * x), leaky_relu(0.2)),
    "leaky of torch": (lambda x: torch.where(x > 0, x, 0.2 * x), leaky_relu(0.2)),
    "abs": (lambda x: abs(x), leaky_relu(-1.0)),
    "hardtanh by clip": (lambda x: np.clip(x, -1, 1), nn.Hardtanh()),
    "hardtanh by clamp": (lambda x: torch.clamp(x, -1, 1), nn.Hardtanh()),
    "kinks off the grid": (lambda x: np.clip(x, -0.7, 1.3), nn.Hardtanh(-0.7, 1.3)),
    "softshrink": (lambda x: np.sign(x) * np.maximum(abs(x) - 0.5, 0), nn.Softshrink()),
    "relu6": (lambda x: np.minimum(np.maximum(x, 0), 6), nn.ReLU6()),
    "hardswish": (lambda x: x * np.clip(x + 3, 0, 6) / 6, nn.Hardswish()),
    "tanh": (lambda x: np.tanh(x), "tanh"),
    "tanh of torch": (lambda x: torch.tanh(x), "tanh"),
    "gelu of torch": (lambda x: nn.functional.gelu(x), "gelu"),
    "softplus": (lambda x: np.logaddexp(0, x), nn.Softplus(threshold=100)),
    "softplus of torch": (lambda x: torch.log1p(torch.exp(-x.abs())) + torch.relu(x), nn.Softplus(threshold=100)),
    "elu": (lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0))), elu(2.0)),
    "selu": (lambda x: SELU[0] * np.where(x > 0, x, SELU[1] * np.expm1(np.minimum(x, 0))), "selu"),
    "silu": (lambda x: x / (1 + np.exp(-np.clip(x, -700, 700))), "silu"),
}
by_name = pytest.mark.parametrize("name", SAME)


def answer(call, *arguments, **options):
    """Return what a function returns, or what it says when it refuses, without the activation's name."""
    try:
        return call(*arguments, **options)
    except ValueError as error:
        return str(error).partition(" with ")[2]


@by_name
def test_moments_are_those_of_the_activation(name):
    function, known = SAME[name]
    np.testing.assert_allclose(theory.second_moment(Q, function), theory.second_moment(Q, known), rtol=MOMENT)
    slopes = theory.derivative_second_moment(Q, function)
    np.testing.assert_allclose(slopes, theory.derivative_second_moment(Q, known), rtol=SLOPE)
    assert theory.gain(function) == pytest.approx(theory.gain(known), rel=MOMENT)


@by_name
@pytest.mark.parametrize(("sigma_w", "sigma_b"), SIGMAS)
def test_phases_are_those_of_the_activation(name, sigma_w, sigma_b):
    function, known = SAME[name]
    sigmas = {"sigma_w": sigma_w, "sigma_b": sigma_b}
    found, wanted = (theory.fixed_points(phi, **sigmas) for phi in (function, known))
    assert [point[2:] for point in found] == [point[2:] for point in wanted]
    np.testing.assert_allclose([point[:2] for point in found], [point[:2] for point in wanted], rtol=1e-8, atol=1e-12)
    assert theory.chi(function, **sigmas) == pytest.approx(theory.chi(known, **sigmas), rel=SLOPE)
    assert theory.depth_scale(function, **sigmas) == pytest.approx(theory.depth_scale(known, **sigmas), rel=1e-6)


@by_name
@pytest.mark.parametrize("sigma_b", [0.0, 0.3])
def test_the_critical_line_is_that_of_the_activation(name, sigma_b):
    function, known = SAME[name]
    found, wanted = (answer(theory.critical_sigma_w, phi, sigma_b=sigma_b) for phi in (function, known))
    assert found == (wanted if isinstance(wanted, str) else pytest.approx(wanted, rel=1e-8))


@by_name
def test_the_correlation_map_is_that_of_the_activation(name):
    function, known = SAME[name]
    for q in (0.3, 7.0):
        found, wanted = (
            theory.correlation_map(CORRELATIONS, q, phi, sigma_w=1.3, sigma_b=0.2) for phi in (function, known)
        )
        np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_a_central_difference_would_be_caught():
    """The slope that straddles a kink, which the first edition used, misses what is asked for."""
    straddling = Activation(
        "relu", lambda x: np.maximum(x, 0), lambda x: (np.maximum(x + 6e-6, 0) - np.maximum(x - 6e-6, 0)) / 1.2e-5
    )
    assert abs(theory.derivative_second_moment(1.0, straddling) / 0.5 - 1) > 10 * SLOPE


# --- no activation equals them: closed forms and mpmath ---


def ramp_moments(kink, q):
    """Return E φ² and E φ′² of max(x − kink, 0)."""
    t, s = mpmath.mpf(kink) / mpmath.sqrt(q), mpmath.sqrt(q)
    above = mpmath.ncdf(-t)
    return float(s**2 * ((1 + t * t) * above - t * mpmath.npdf(t))), float(above)


@pytest.mark.parametrize("kink", [0.7, -0.3, 1 / 3, 2.0, 1e-3])
@pytest.mark.parametrize("q", [0.05, 1.0, 30.0])
def test_a_kink_anywhere(kink, q):
    square, slope = ramp_moments(kink, q)
    for function in (lambda x: np.maximum(x - kink, 0), lambda x: torch.relu(x - kink)):
        assert theory.second_moment(q, function) == pytest.approx(square, rel=MOMENT)
        assert theory.derivative_second_moment(q, function) == pytest.approx(slope, rel=SLOPE)


BENDS, HEIGHTS = [-2.1, -0.4, 0.3, 1.7], [0.5, -1.0, 2.0, 0.1]


def broken_line(x):
    """Return the line through the bends, and its slope."""
    inner = [i for i in range(3) if BENDS[i] < x <= BENDS[i + 1]]
    if not inner:
        return (HEIGHTS[0] if x <= BENDS[0] else HEIGHTS[-1]), 0
    (i,) = inner
    slope = mpmath.mpf(HEIGHTS[i + 1] - HEIGHTS[i]) / (mpmath.mpf(BENDS[i + 1]) - BENDS[i])
    return HEIGHTS[i] + slope * (x - BENDS[i]), slope


PIECES = {  # a callable, the same and its slope in mpmath, and its kinks
    "several kinks": (lambda x: np.interp(x, BENDS, HEIGHTS), broken_line, BENDS),
    "curved between kinks": (
        lambda x: np.where(x < 0.6, np.sin(x), np.sin(0.6) + (x - 0.6) ** 2),
        lambda x: (
            (mpmath.sin(x), mpmath.cos(x)) if x < 0.6 else (mpmath.sin(0.6) + (x - 0.6) ** 2, 2 * (x - mpmath.mpf(0.6)))
        ),
        [0.6],
    ),
    "off center": (lambda x: np.arctan(x - 1), lambda x: (mpmath.atan(x - 1), 1 / (1 + (x - 1) ** 2)), [1]),
    "tensors only": (
        lambda x: torch.where(x > 0.2, x**2, 0.04 * torch.exp(x - 0.2)),
        lambda x: (x * x, 2 * x) if x > 0.2 else 2 * (mpmath.exp(x - 0.2) / 25,),
        [0.2],
    ),
}


def mean_square(function, q, breaks):
    scale = mpmath.sqrt(q)
    inner = [b / scale + side * step for b in [0, *breaks] for side in (-1, 1) for step in (0, 0.3, 1.5)]
    points = sorted({float(p) for p in inner if abs(p) < 12} | {-12.0, 12.0})
    return float(mpmath.quad(lambda xi: function(scale * xi) ** 2 * mpmath.npdf(xi), points))


@pytest.mark.parametrize("q", [0.4, 5.0])
@pytest.mark.parametrize("name", PIECES)
def test_pieces_against_mpmath(name, q):
    function, exact, breaks = PIECES[name]
    square, slope = (mean_square(lambda x, i=i: exact(x)[i], q, breaks) for i in (0, 1))
    assert theory.second_moment(q, function) == pytest.approx(square, rel=MOMENT)
    assert theory.derivative_second_moment(q, function) == pytest.approx(slope, rel=SLOPE)


def test_powers_and_waves():
    q = np.array([1e-9, 1e-3, 1.0, 1e6])
    np.testing.assert_allclose(theory.derivative_second_moment(q, lambda x: x**3), 27 * q**2, rtol=SLOPE)
    np.testing.assert_allclose(theory.derivative_second_moment(q[2:], lambda x: x**3 + 1), 27 * q[2:] ** 2, rtol=SLOPE)
    q = np.array([1e-6, 1.0, 100.0, 1e4])
    np.testing.assert_allclose(theory.derivative_second_moment(q, np.sin), (1 + np.exp(-2 * q)) / 2, rtol=SLOPE)
    np.testing.assert_allclose(theory.second_moment(q, np.sin), -np.expm1(-2 * q) / 2, rtol=MOMENT)
    assert theory.critical_sigma_w(np.sin) == pytest.approx(1.0, rel=1e-9)
    np.testing.assert_allclose(theory.derivative_second_moment([1.0, 1e4], lambda x: abs(x % 2 - 1)), 1, rtol=SLOPE)


def test_a_large_offset_costs_no_digits():
    found = theory.derivative_second_moment(1.0, lambda x: 1e3 + np.maximum(x - 0.3, 0))
    assert found == pytest.approx(ramp_moments(0.3, 1.0)[1], rel=SLOPE)


@pytest.mark.parametrize(
    "step", [lambda x: np.where(x > 1.5, 1.0, 0.0), lambda x: (x > 1.5).double(), lambda x: np.heaviside(x - 1.5, 0.5)]
)
def test_a_jump_has_a_second_moment_and_no_slope(step):
    for q in (0.3, 1.0, 1e4):
        assert theory.second_moment(q, step) == pytest.approx(math.erfc(1.5 / math.sqrt(2 * q)) / 2, rel=MOMENT)
    with pytest.raises(ValueError, match=r"jumps at 1\.5: its slope is infinite"):
        theory.derivative_second_moment(1.0, step)
    assert theory.derivative_second_moment(0.03, step) < 1e-40  # 8.7 standard deviations away
    (point,) = theory.fixed_points(step, sigma_w=3.0, sigma_b=1.0)
    assert point.q == pytest.approx(1 + 9 * math.erfc(1.5 / math.sqrt(2 * point.q)) / 2, rel=1e-9)


def test_two_sides_with_a_jump_between_them():
    found = theory.second_moment(2.0, lambda x: np.where(x > 0, x + 1, 0.5 * x))
    assert found == pytest.approx(2 * 0.625 + math.sqrt(4 / math.pi) + 0.5, rel=MOMENT)


def smoothed_ramp(m, width, kink):
    """Return E max(m + width·ξ − kink, 0)."""
    z = (m - kink) / width
    return (m - kink) * np.vectorize(lambda u: math.erfc(-u / math.sqrt(2)) / 2)(z) + width * np.exp(
        -z * z / 2
    ) / math.sqrt(2 * math.pi)


def covariance(ramps, q, c):
    """Return E φ(u)φ(v) of a sum of ramps: given what u and v share, they are independent."""
    shared, own = math.sqrt(q * abs(c)), math.sqrt(q * (1 - abs(c)))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    near = np.concatenate([-np.geomspace(1e-5, 3, 50), np.geomspace(1e-5, 3, 50)])
    edges = np.concatenate(
        [np.linspace(-12, 12, 97), *(s * kink / shared + near for _, kink in ramps for s in (-1, 1))]
    )
    edges = np.unique(np.clip(edges, -12, 12))
    half = np.diff(edges)[:, None] / 2
    x = (edges[1:] + edges[:-1])[:, None] / 2 + half * nodes
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * half * weights
    first, second = (
        sum(slope * smoothed_ramp(side * shared * x, own, kink) for slope, kink in ramps) for side in (1, np.sign(c))
    )
    return float((first * second * density).sum())


@pytest.mark.parametrize(
    ("function", "ramps", "error"),
    [
        (lambda x: np.maximum(x, 0), [(1, 0.0)], 1e-9),
        (lambda x: np.maximum(x - 0.7, 0), [(1, 0.7)], 1e-6),
        (lambda x: np.clip(x + 1, 0, 2), [(1, -1.0), (-1, 1.0)], 1e-6),
    ],
)
@pytest.mark.parametrize("q", [0.1, 1.0, 7.0])
def test_the_covariance_of_ramps(function, ramps, error, q):
    c = np.array([-0.9999, -0.9, -0.3, 0.5, 0.9, 0.99, 0.999, 0.99999])
    found = theory.correlation_map(c, q, function, sigma_w=1.0)
    exact = np.array([covariance(ramps, q, value) for value in c]) / theory.second_moment(q, function)
    np.testing.assert_allclose(found, exact, atol=error, rtol=0)
    inner = np.abs(c) <= 0.9
    np.testing.assert_allclose(found[inner], exact[inner], atol=1e-11, rtol=0)


# --- what is remembered ---

SLOPES = {"now": 1.0}


def sloped(x):
    return SLOPES["now"] * np.maximum(x, 0)


def helped(x):
    return helper(x)


def helper(x):
    return np.tanh(x)


def test_a_global_that_changes_gives_the_new_answer(monkeypatch):
    act = Activation("own", sloped, lambda x: SLOPES["now"] * (x > 0))
    before = [theory.chi(phi, sigma_w=1.0) for phi in (sloped, act)]
    lines = [theory.critical_sigma_w(phi) for phi in (sloped, act, helped)]
    maps = [theory.correlation_map(0.3, 1.0, phi, sigma_w=1.0) for phi in (sloped, helped)]
    monkeypatch.setitem(SLOPES, "now", 2.0)
    monkeypatch.setitem(globals(), "helper", lambda x: np.tanh(2 * x))
    assert [theory.chi(phi, sigma_w=1.0) for phi in (sloped, act)] == pytest.approx(4 * np.array(before))
    assert [theory.critical_sigma_w(phi) for phi in (sloped, act, helped)] == pytest.approx(0.5 * np.array(lines))
    assert theory.second_moment(1.0, sloped) == pytest.approx(2.0)
    assert theory.correlation_map(0.3, 1.0, sloped, sigma_w=1.0) == pytest.approx(maps[0])
    assert abs(theory.correlation_map(0.3, 1.0, helped, sigma_w=1.0) - maps[1]) > 1e-3


# --- the smooth pieces ---


def test_kinks_and_jumps_are_located():
    def function(x):
        return np.abs(x - 1 / 3) + (x > 2.2) + np.maximum(x + 5, 0) ** 2

    pieces = Pieces(function, 20.0)
    assert pieces.jumps == pytest.approx((2.2,), abs=1e-14)
    for place in (1 / 3, 2.2, -5.0):
        assert min(abs(kink - place) for kink in pieces.kinks) < 1e-6 if place == -5 else 1e-12
    x = np.array([-7.0, -5.0 + 1e-3, 1 / 3 - 1e-9, 1 / 3 + 1e-9, 2.2 - 1e-9, 2.2 + 1e-9, 19.0])
    exact = np.sign(x - 1 / 3) + 2 * np.maximum(x + 5, 0)
    np.testing.assert_allclose(pieces.derivative(x), exact, rtol=1e-9)


def test_a_smooth_function_has_no_kinks():
    for name in ("tanh", "gelu", "silu", "sigmoid", "erf"):
        assert Pieces(get(name).phi, 100.0).jumps == Pieces(get(name).phi, 100.0).kinks == ()


def test_what_is_too_wild_for_a_polynomial_is_differenced():
    pieces = Pieces(lambda x: np.sin(300 * x), 16.0)
    x = np.linspace(-15, 15, 101)
    np.testing.assert_allclose(pieces.derivative(x), 300 * np.cos(300 * x), atol=1e-2)
