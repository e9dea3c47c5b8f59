"""Singular values through depth and the wandering of lengths, against closed forms, products of matrices and draws.

Statistical tests state their false-failure rate; their seeds are fixed, and a wrong formula must fail them.
"""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import erf

from initnotes import orthogonal, theory
from initnotes.schemes import lecun_normal
from initnotes.theory.spectra import WEIGHTS

SEED = 20261203
ROOT2 = 2**0.5
SCHEMES = {"gaussian": lecun_normal, "orthogonal": orthogonal()}


def rng(*seed):
    return np.random.default_rng([SEED, *seed])


def tanh_slopes(q, size, generator):
    """Slopes of tanh at independent N(0, q)."""
    return 1 - np.tanh(q**0.5 * generator.standard_normal(size)) ** 2


def relu(x):
    return np.maximum(x, 0)


# ---------------------------------------------------------------------------------------------------------------------
# The law of a layer's stretch


def test_the_laws_of_chapter_6_are_one():
    x = np.linspace(0, 0.999, 30)
    for phi in ("relu", relu):
        np.testing.assert_allclose(theory.stretch_cdf(x, 0.7, phi, sigma_w=ROOT2), (1 + x) / 2, rtol=1e-8)
        found = theory.stretch_cdf(x, 0.7, phi, sigma_w=ROOT2, weights="orthogonal")
        np.testing.assert_allclose(found, 1 / (2 - x), rtol=1e-8)
    np.testing.assert_allclose(theory.stretch_cdf(x, 1.0, "linear", sigma_w=1.0), x, rtol=1e-8, atol=1e-12)
    step = theory.stretch_cdf([0.999, 1.0, 1.001], 1.0, "linear", sigma_w=1.0, weights="orthogonal")
    np.testing.assert_allclose(step, [0, 1, 1], atol=1e-9)
    assert theory.stretch_cdf(2.0, 1.0, "relu", sigma_w=ROOT2) == 1.0
    assert theory.stretch_cdf(0.3, 1.0, "relu", sigma_w=0.0) == 1.0


def test_sigma_stretches_the_law():
    x = np.array([0.05, 0.1, 0.2])
    one = theory.stretch_cdf(x, 1.5, "tanh", sigma_w=1.0, weights="orthogonal")
    np.testing.assert_allclose(
        theory.stretch_cdf(4 * x, 1.5, "tanh", sigma_w=2.0, weights="orthogonal"), one, rtol=1e-9
    )
    assert ((one > 0) & (one < 1)).all()
    assert (np.diff(one) > 0).all()


@pytest.mark.parametrize("weights", WEIGHTS)
def test_products_of_matrices_have_the_law(weights):
    """64 tanh layers of 96 units with slopes of their own: eigenvalues are rigid, so that a fresh seed moves the shares
    by less than 0.02, and the finite depth by as much; the law of the other weights is 0.1 away and more."""
    size, depth, q = 96, 64, 1.5
    generator, product, scale = rng(1), np.eye(size), 0.0
    for _ in range(depth):
        product = tanh_slopes(q, size, generator)[:, None] * (
            SCHEMES[weights].sample((size, size), generator) @ product
        )
        scale += math.log(np.abs(product).max())
        product /= np.abs(product).max()
    largest = np.linalg.svd(product, compute_uv=False)[: size // 4]  # the small ones are lost to rounding
    x = np.exp(2 * (np.log(largest) + scale) / depth)
    shares = 1 - (np.arange(len(x)) + 0.5) / size
    found = theory.stretch_cdf(x, q, "tanh", sigma_w=1.0, weights=weights)
    assert np.abs(found - shares)[4:].max() < 0.05
    other = theory.stretch_cdf(x, q, "tanh", sigma_w=1.0, weights=({*WEIGHTS} - {weights}).pop())
    assert np.abs(other - shares)[4:].max() > 0.1


def test_surviving_counts_what_is_above():
    assert theory.surviving(0.01, 20, 1.0, "linear", sigma_w=1.0) == pytest.approx(1 - 0.01**0.1, rel=1e-9)
    found = theory.surviving([0.0, 0.01, 5.0], 20, 1.0, "relu", sigma_w=ROOT2, weights="orthogonal")
    np.testing.assert_allclose(found, [0.5, 1 - 1 / (2 - 0.01**0.1), 0.0], atol=1e-9)


def test_what_the_limit_of_many_layers_leaves_out():
    """The law of s² of L linear Gaussian layers is that of Fuss and Catalan, which has a curve of closed form."""
    depth = 20
    a = (np.arange(200_000) + 0.5) / 200_000 * math.pi / (depth + 1)
    inner, outer = np.log(np.sin(depth * a)), np.log(np.sin((depth + 1) * a))
    log_square = (depth + 1) * outer - np.log(np.sin(a)) - depth * inner
    log_density = 2 * np.log(np.sin(a)) + (depth - 1) * inner - depth * outer - math.log(math.pi)
    mass = np.exp(log_density + log_square) * np.abs(np.gradient(log_square))
    assert mass.sum() == pytest.approx(1, abs=1e-4)
    above = mass[log_square > 2 * math.log(0.01)].sum()
    assert above == pytest.approx(0.385, abs=5e-4)
    assert theory.surviving(0.01, depth, 1.0, "linear", sigma_w=1.0) == pytest.approx(above, abs=0.017)


# ---------------------------------------------------------------------------------------------------------------------
# Edges


@pytest.mark.parametrize("depth", [1, 2, 10, 200])
def test_edges_have_closed_forms(depth):
    linear = theory.largest_singular_value(depth, 1.0, "linear", sigma_w=1.0)
    assert math.log(linear) == pytest.approx(((depth + 1) * math.log(depth + 1) - depth * math.log(depth)) / 2)
    assert theory.largest_singular_value(depth, 1.0, "linear", sigma_w=1.1, weights="orthogonal") == pytest.approx(
        1.1**depth, rel=1e-9
    )
    for q in (0.2, 2.0):  # hard tanh has the slope 1 on a share p, and 0 elsewhere
        p = float(erf(1 / (2 * q) ** 0.5))
        found = theory.largest_singular_value(depth, q, "hardtanh", sigma_w=p**-0.5, weights="orthogonal")
        expected = p**-depth
        if depth * (1 - p) > 1:
            expected = (1 - p) / p * depth * (depth / (depth - 1)) ** (depth - 1)
        assert found**2 == pytest.approx(expected, rel=1e-6)


def test_orthogonal_relu_has_the_edge_of_one_linear_layer_less():
    for depth in (3, 10, 40):
        relu_edge = theory.largest_singular_value(depth, 1.0, relu, sigma_w=ROOT2, weights="orthogonal")
        assert relu_edge == pytest.approx(
            theory.largest_singular_value(depth - 1, 1.0, "linear", sigma_w=1.0), rel=1e-7
        )


@pytest.mark.parametrize("weights", WEIGHTS)
def test_products_of_matrices_end_at_the_edge(weights):
    """400 units: the largest of 3 draws' median is within 3 % of the edge, the other weights' edge is not."""
    size, depth, q, largest = 400, 3, 1.5, []
    for draw in range(3):
        generator, product = rng(2, draw), np.eye(size)
        for _ in range(depth):
            weight = SCHEMES[weights].sample((size, size), generator)
            product = tanh_slopes(q, size, generator)[:, None] * (weight @ product)
        v = generator.standard_normal(size)
        for _ in range(300):  # power iteration, quicker than all singular values
            v = product.T @ (product @ v)
            length = np.linalg.norm(v)
            v /= length
        largest.append(math.sqrt(length))
    edges = {name: theory.largest_singular_value(depth, q, "tanh", sigma_w=1.0, weights=name) for name in WEIGHTS}
    assert np.median(largest) == pytest.approx(edges.pop(weights), rel=0.03)
    assert np.median(largest) != pytest.approx(edges.popitem()[1], rel=0.1)


# ---------------------------------------------------------------------------------------------------------------------
# Finite width


def test_the_slope_kurtosis_of_known_slopes():
    assert theory.slope_kurtosis(1.0, "linear") == pytest.approx(1, rel=1e-9)
    assert theory.slope_kurtosis(1.0, relu) == pytest.approx(2, rel=1e-9)
    p = float(erf(0.5**0.5))
    np.testing.assert_allclose(theory.slope_kurtosis([1.0, 1e-4], lambda x: np.clip(x, -1, 1)), [1 / p, 1], rtol=1e-8)
    q = np.array([0.1, 0.3])
    moments = [np.polynomial.hermite_e.hermegauss(80)] * 2
    expected = []
    for own, (x, w) in zip(q, moments, strict=True):
        slopes = 1 / np.cosh(own**0.5 * x) ** 2
        expected.append(w.sum() * (w @ slopes**4) / (w @ slopes**2) ** 2)
    np.testing.assert_allclose(theory.slope_kurtosis(q, np.tanh), expected, rtol=1e-6)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_lengths_wander_as_the_log_variance_says(weights):
    """n = 300 and 6000 draws: 3.9 standard errors of a variance are 7 % of it, a false-failure rate of 1e-4, and the
    next order in 1/n is 2 %; the law of the other weights is further away."""
    n, q, generator = 300, 1.5, rng(3)
    u = generator.standard_normal((6000, n))
    if weights == "orthogonal":
        u *= n**0.5 / np.linalg.norm(u, axis=1, keepdims=True)
    lengths = np.log((tanh_slopes(q, u.shape, generator) ** 2 * u**2).mean(1))
    found = {name: theory.log_variance(q, "tanh", weights=name) for name in WEIGHTS}
    assert n * lengths.var() == pytest.approx(found.pop(weights), rel=0.1)
    assert n * lengths.var() != pytest.approx(found.popitem()[1], rel=0.3)


def test_log_moments_are_exact():
    """One unit: ln of a square of a normal number. Eight: 40,000 draws, false-failure rate 1e-4."""
    alone = theory.log_moments(1, share=1.0)
    assert alone.mean == pytest.approx(-math.log(2) - np.euler_gamma, rel=1e-12)
    assert alone.variance == pytest.approx(math.pi**2 / 2, rel=1e-12)
    on = rng(4).random((40_000, 8)) < 0.5
    on = on[on.any(1)]
    lengths = np.log(2 * (on * rng(5).standard_normal(on.shape) ** 2).mean(1))
    found, error = theory.log_moments(8), lengths.std() / len(on) ** 0.5
    limit = stats.norm.isf(2.5e-5)
    assert abs(lengths.mean() - found.mean) < limit * error
    assert abs(lengths.mean() + 2.5 / 8) > limit * error  # the leading order
    spread = (lengths - lengths.mean()) ** 2
    assert abs(spread.mean() - found.variance) < limit * spread.std() / len(on) ** 0.5
    assert abs(spread.mean() - 5 / 8) > limit * spread.std() / len(on) ** 0.5


@pytest.mark.parametrize(("share", "phi", "mean"), [(0.5, "relu", -2.5), (1.0, "linear", -1.0)])
def test_log_moments_come_to_the_leading_order(share, phi, mean):
    found = theory.log_moments(20_000, share=share)
    assert 20_000 * found.variance == pytest.approx(theory.log_variance(1.0, phi), rel=1e-3)
    assert 20_000 * found.mean == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.stretch_cdf(-0.1, 1.0, "relu", sigma_w=1.0), "x is a second moment|at least 0"),
        (lambda: theory.stretch_cdf(0.1, 0.0, "relu", sigma_w=1.0), "q must be greater than 0"),
        (lambda: theory.stretch_cdf(0.1, 1.0, "relu", sigma_w=1.0, weights="haar"), "unknown weights 'haar'"),
        (lambda: theory.stretch_cdf(0.1, 1.0, np.sign, sigma_w=1.0), "jumps"),
        (lambda: theory.surviving(0.1, 0, 1.0, "relu", sigma_w=1.0), "depth must be at least 1"),
        (lambda: theory.slope_kurtosis(1.0, lambda x: 0 * x), "has no kurtosis"),
        (lambda: theory.log_moments(4, share=1.5), "share must be at most 1"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
