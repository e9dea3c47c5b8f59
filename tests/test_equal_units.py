"""Chapter 1's predictions against autograd, against plain networks, and against networks whose units nearly agree."""

import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch

import initnotes as ini
from initnotes.book import equal_units
from initnotes.book.equal_units import (
    APART,
    Growth,
    difference_matrix,
    last_bit_product,
    nearly_equal,
    one_unit_losses,
    predict_spread,
)
from initnotes.networks import Ensemble, distinct_units, order_free_product, spread
from initnotes.networks.training import train

SEED = 20260108
INPUTS, WIDTH, OUTPUTS = 4, 6, 3


def rng(seed=SEED):
    return np.random.default_rng(seed)


def data(samples=42):
    x, y = ini.data.gaussian_clouds(samples, INPUTS, OUTPUTS, rng=rng())
    return torch.from_numpy(x), torch.from_numpy(y)


def symmetric(start=0.3, width=WIDTH, steps=0, **options):
    """Return one replica with equal hidden units: not all weights of a unit are equal once it has trained."""
    options = {"rng": rng(), "replicas": 1, "product": order_free_product} | options
    net = Ensemble((INPUTS, width, OUTPUTS), "tanh", ini.constant(start), **options)
    if steps:
        train(net, *data(), lr=0.3, steps=steps, rng=rng())
    return net


# ---------------------------------------------------------------------------------------------------------------------
# The matrix of differences


def hessian_of_moves(net, x, y):
    """Hessian of the loss when the first unit moves by +δ and the second by -δ, at δ = 0; half of it drives δ."""
    W, V = (weight[0].clone() for weight in net.weights)
    b, c = (bias[0].clone() for bias in net.biases)
    signs = torch.zeros(WIDTH, dtype=torch.float64)
    signs[0], signs[1] = 1.0, -1.0

    def loss(delta):
        own_w, own_b, own_v = delta[:INPUTS], delta[INPUTS], delta[INPUTS + 1 :]
        hidden = torch.tanh(x @ (W + signs[:, None] * own_w).T + b + signs * own_b)
        return torch.nn.functional.cross_entropy(hidden @ (V + own_v[:, None] * signs).T + c, y)

    return torch.autograd.functional.hessian(loss, torch.zeros(INPUTS + 1 + OUTPUTS, dtype=torch.float64)) / 2


@pytest.mark.parametrize("steps", [0, 25])
def test_the_matrix_is_the_hessian_along_antisymmetric_moves(steps):
    net = symmetric(steps=steps)
    net.product = torch.matmul  # the order-free one rounds to 2⁻²⁰
    D, expected = difference_matrix(net, *data()), hessian_of_moves(net, *data())
    torch.testing.assert_close(D, expected, rtol=0, atol=1e-10)
    assert expected.abs().max() > 0.01
    assert steps == 0 or expected[: INPUTS + 1, : INPUTS + 1].abs().max() > 1e-4  # A counts; equal v have vᵀg = 0


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (lambda: symmetric(replicas=2), ValueError, "net must be one replica of a tanh network"),
        (lambda: Ensemble((4, 6, 3), "relu", "zeros", rng=rng(), replicas=1), ValueError, "of a tanh network"),
        (lambda: Ensemble((4, 6, 6, 3), "tanh", "zeros", rng=rng(), replicas=1), ValueError, "one hidden layer"),
        (lambda: Ensemble((4, 6, 3), "tanh", "he_normal", rng=rng(), replicas=1), ValueError, "equal hidden units"),
        (
            lambda: Ensemble((4, 6, 3), "tanh", ["zeros", "he_normal"], rng=rng(), replicas=1),
            ValueError,
            "equal hidden units",
        ),
        (lambda: None, TypeError, "net must be an Ensemble, got NoneType"),
    ],
)
def test_other_networks_have_no_matrix(net, error, message):
    with pytest.raises(error, match=re.escape(message)):
        difference_matrix(net(), *data())


# ---------------------------------------------------------------------------------------------------------------------
# One unit for all

RUN = {"lr": 0.1, "steps": 60, "batch_size": 8}


def one_unit(width=WIDTH, start=0.3, **change):
    x, y = (part.numpy() for part in data())
    return one_unit_losses(x, y, **({"width": width, "start": start, "rng": rng(2), "replicas": 5} | RUN | change))


def test_one_unit_stands_for_an_exactly_symmetric_layer():
    net = symmetric(replicas=5)
    history = train(net, *data(), **RUN, rng=rng(2))
    np.testing.assert_allclose(one_unit(), history.loss[:, :-1], rtol=0, atol=1e-4)
    assert (spread(net) == 0).all()


def test_one_unit_stands_for_a_layer_of_two_to_rounding():
    net = symmetric(width=2, replicas=5, product=torch.matmul)
    history = train(net, *data(), **RUN, rng=rng(2))
    np.testing.assert_allclose(one_unit(2), history.loss[:, :-1], rtol=1e-10)


@pytest.mark.parametrize(
    "wrong", [{"width": WIDTH + 1}, {"start": 0.31}, {"lr": 0.11}, {"rng": rng(3)}], ids=lambda wrong: next(iter(wrong))
)
def test_another_unit_does_not(wrong):
    history = train(symmetric(replicas=5), *data(), **RUN, rng=rng(2))
    assert np.abs(one_unit(**wrong) - history.loss[:, :-1]).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"width": 0}, ValueError, "width must be at least 1"),
        ({"width": 2.0}, TypeError, "width must be an integer"),
        ({"start": math.nan}, ValueError, "value must be finite"),
        ({"lr": -0.1}, ValueError, "lr must be at least 0"),
        ({"lr": "0.1"}, TypeError, "lr must be a real number"),
        ({"steps": -1}, ValueError, "steps must be at least 1"),
        ({"batch_size": 43}, ValueError, "batch_size must be at most the number of samples, 42"),
        ({"rng": 0}, TypeError, "rng must be a numpy.random.Generator"),
        ({"replicas": 0}, ValueError, "replicas must be at least 1"),
    ],
)
def test_bad_one_units(change, error, message):
    with pytest.raises(error, match=re.escape(message)):
        one_unit(**change)


# ---------------------------------------------------------------------------------------------------------------------
# One more bit


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_other_column_is_one_float_up(dtype):
    a, b = (torch.from_numpy(rng(seed).standard_normal((3, 5, 5))).to(dtype) for seed in (1, 2))
    a[:, 0], b[:, :, 3] = 0.0, 0.0
    product = last_bit_product(a, b.repeat_interleave(2, dim=2)).numpy()
    even, odd = product[..., ::2], product[..., 1::2]
    assert (product.dtype, product.shape) == (a.numpy().dtype, (3, 5, 10))
    assert (even < 0).any()
    assert (even == 0).any()
    np.testing.assert_array_equal(odd, np.nextafter(even, np.array(np.inf, even.dtype)))
    assert (odd > even).all()


@pytest.mark.parametrize(("dtype", "dropped"), [(torch.float64, 2.0**-57), (torch.float32, 2.0**-37)])
def test_even_columns_have_full_precision(dtype, dropped):
    """Against fractions: half a unit in the last place, and what lies beyond the last slice."""
    a, b = (torch.from_numpy(rng(seed).standard_normal((7, 7))).to(dtype) for seed in (1, 2))
    product, bound = last_bit_product(a, b), 7 * dropped * float(a.abs().max() * b.abs().max())
    for i, j in itertools.product(range(7), range(0, 7, 2)):
        pairs = zip(a[i].tolist(), b[:, j].tolist(), strict=True)
        exact = sum(Fraction(a) * Fraction(b) for a, b in pairs)
        half_a_unit = 0.51 * torch.finfo(dtype).eps * abs(float(exact))
        assert abs(Fraction(product[i, j].item()) - exact) <= half_a_unit + bound
    coarse = order_free_product(a.double(), b.double())[:, ::2] - a.double() @ b.double()[:, ::2]
    assert coarse.abs().max() > 100 * bound  # what is not sliced is caught


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equal_columns_with_even_numbers_are_equal(dtype):
    a, b = (torch.from_numpy(rng(seed).standard_normal((3, 70, 70))).to(dtype) for seed in (1, 2))
    product = last_bit_product(a, b[..., :1].expand(-1, -1, 131).contiguous())
    for first in (0, 1):
        assert torch.equal(product[..., first::2], product[..., first : first + 1].expand_as(product[..., first::2]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_one_matrix_for_all_replicas_gives_what_its_copies_give(dtype):
    one, other = (
        torch.from_numpy(rng(seed).standard_normal((size, 5, 5))).to(dtype) for seed, size in ((1, 1), (2, 3))
    )
    repeated = one.expand(3, -1, -1)
    assert torch.equal(last_bit_product(repeated, other), last_bit_product(repeated.contiguous(), other))
    assert torch.equal(last_bit_product(other, repeated), last_bit_product(other, repeated.contiguous()))
    both = last_bit_product(repeated, repeated)
    assert both.shape[1:] == (5, 5)
    assert torch.equal(both.expand(3, -1, -1), last_bit_product(repeated.contiguous(), repeated.contiguous()))


@pytest.mark.parametrize(("a", "b"), [(None, torch.ones(2, 2)), (torch.ones(2, 3), torch.ones(2, 3))], ids=str)
def test_bad_factors(a, b):
    with pytest.raises((TypeError, ValueError), match=r"a must be a floating-point tensor|do not fit"):
        last_bit_product(a, b)


# ---------------------------------------------------------------------------------------------------------------------
# How a small difference grows

SETTING = {"start": 0.3, "lr": 0.3, "steps": 40}
EPS = 1e-6


def measured_ratios(replicas=64):
    """Train networks whose units differ by EPS, relatively; return their median spread over EPS, shape (steps,)."""
    net = symmetric(SETTING["start"], replicas=replicas, product=torch.matmul)
    for weight in net.weights:
        weight *= 1 + EPS * torch.from_numpy(rng(4).standard_normal(weight.shape))
    history = train(net, *data(), lr=SETTING["lr"], steps=SETTING["steps"], watch={"spread": spread}, rng=rng())
    return np.median(history.measures["spread"][:, :-1, 0], axis=0) / EPS


def error_of_prediction():
    """Return the largest relative error over all steps: medians over 64 networks and 4000 sets of differences."""
    ratios, _ = predict_spread(*data(), width=WIDTH, **SETTING, rng=rng(5), draws=4000)
    return np.abs(np.median(ratios, axis=0) / measured_ratios(1000) - 1).max()


def test_the_prediction_is_what_networks_do():
    """Fixed seeds; the medians of 1000 and of 4000 draws scatter by about 1 %."""
    assert error_of_prediction() < 0.05


def spoil(how):
    right = difference_matrix

    def wrong(net, x, y):
        D = right(net, x, y).clone()
        n = INPUTS + 1
        if how == "A left out":
            D[:n, :n] = 0.0
        elif how == "a block of the wrong sign":
            D[n:, :n] *= -1
        else:
            D *= 1.1
        return D

    return wrong


@pytest.mark.parametrize("how", ["A left out", "a block of the wrong sign", "10 % too fast"])
def test_a_wrong_matrix_is_caught(how, monkeypatch):
    monkeypatch.setattr(equal_units, "difference_matrix", spoil(how))
    assert error_of_prediction() > 0.05


def test_rates_are_those_of_the_fastest_growth():
    ratios, rates = predict_spread(*data(), width=WIDTH, **SETTING, rng=rng(5), draws=7)
    assert (ratios.shape, rates.shape) == ((7, 40), (40,))
    lowest = torch.linalg.eigvalsh(difference_matrix(symmetric(), *data()))[0].item()
    assert rates[0] == pytest.approx(math.log(1 - SETTING["lr"] * lowest), rel=1e-12)
    assert rates[0] > 0


def test_times_are_read_off_the_growth():
    growth = Growth(np.array([[1.0, 2.0, 4.0, 8.0]] * 3), np.log([2.0, 3.0, 3.0, 3.0]))
    assert growth.median.tolist() == [1, 2, 4, 8]
    assert [growth.steps(epsilon) for epsilon in (APART, APART / 3, APART / 8, APART / 9)] == [0, 2, 3, math.inf]
    assert growth.steps_at_first_rate(APART / 8) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="epsilon must be"):
        growth.steps_at_first_rate(0.0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"width": 0}, ValueError, "width must be at least 1"),
        ({"start": math.inf}, ValueError, "value must be finite"),
        ({"start": 0.0}, ValueError, "start must not be 0"),
        ({"lr": -1}, ValueError, "lr must be at least 0"),
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"draws": 0}, ValueError, "draws must be at least 1"),
        ({"rng": 0}, TypeError, "rng must be a numpy.random.Generator"),
    ],
)
def test_bad_predictions(change, error, message):
    with pytest.raises(error, match=re.escape(message)):
        predict_spread(*data(), **({"width": WIDTH, "rng": rng()} | SETTING | change))


# ---------------------------------------------------------------------------------------------------------------------
# Starts near the symmetric one


def test_weights_differ_by_what_was_asked():
    """With 32 · 16 · 64 normal numbers the standard deviation scatters by 0.4 %; the bounds are 4 % away."""
    net = nearly_equal(1e-3, rng=rng(6))
    weight = net.weights[0].flatten(1)
    assert 0.96e-3 < (weight.std(dim=1) / weight.mean(dim=1)).mean() < 1.04e-3
    assert ((weight.mean(dim=1) > 0.0149) & (weight.mean(dim=1) < 0.0251)).all()
    assert len(torch.unique(weight.mean(dim=1))) == 32
    assert all((bias == 0).all() for bias in net.biases)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_difference_is_none(dtype):
    net = nearly_equal(0.0, rng=rng(6), width=20, replicas=3, dtype=dtype)
    assert (distinct_units(net) == 1).all()
    assert (net.weights[1] == net.weights[1][..., :1]).all()


@pytest.mark.parametrize(
    ("epsilon", "change", "error", "message"),
    [
        (-1e-8, {}, ValueError, "epsilon must be at least 0"),
        ("small", {}, TypeError, "epsilon must be a real number"),
        (0.1, {"width": 0}, ValueError, "width must be at least 1"),
        (0.1, {"replicas": 0}, ValueError, "replicas must be at least 1"),
        (0.1, {"rng": 0}, TypeError, "rng must be a numpy.random.Generator"),
    ],
)
def test_bad_starts(epsilon, change, error, message):
    with pytest.raises(error, match=re.escape(message)):
        nearly_equal(epsilon, **({"rng": rng()} | change))
