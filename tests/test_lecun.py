"""Chapter 7's predictions against quadrature, torch and SciPy; and what wrong ones would give."""

import numpy as np
import pytest
import scipy.stats
import torch

import initnotes as ini
from initnotes.book import lecun

SEED = 20261107


def test_lecuns_tanh_and_its_derivatives_agree():
    z = torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
    f = lecun.LECUN_TANH(z)
    (slope,) = torch.autograd.grad(f.sum(), z)
    delta = torch.linspace(1, 2, 41, dtype=torch.float64)
    z = z.detach()
    torch.testing.assert_close(lecun.LECUN_TANH.derivative(z), slope)
    torch.testing.assert_close(lecun.LECUN_TANH.backward(delta, z, f.detach()), delta * slope)
    np.testing.assert_allclose(lecun.LECUN_TANH(z.numpy()), f.detach().numpy())
    assert abs(lecun.LECUN_TANH(1.0) - 1) < 1e-5


def test_selus_fast_backward_is_selus():
    z = torch.linspace(-4, 4, 40, dtype=torch.float64)
    delta = torch.linspace(1, 2, 40, dtype=torch.float64)
    h = lecun.SELU(z)
    torch.testing.assert_close(lecun.SELU.backward(delta, z, h), delta * ini.activations.get("selu").derivative(z))


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (1.0, 0.25), (-2.0, 3.0)])
def test_selus_moments_are_those_of_quadrature(mean, variance):
    nodes, weights = np.polynomial.legendre.leggauss(200)
    selu, first, square = ini.activations.get("selu"), 0.0, 0.0
    for low, high in ((-14.0, 0.0), (0.0, 14.0)):  # split at the kink
        z = (high - low) / 2 * nodes + (high + low) / 2
        mass = weights * (high - low) / 2 * scipy.stats.norm.pdf(z, mean, variance**0.5)
        first, square = first + mass @ selu(z), square + mass @ selu(z) ** 2
    np.testing.assert_allclose(lecun.selu_moments(mean, variance), (first, square - first**2), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("row_sum", [None, 0.5, 1.0])
def test_networks_follow_the_path(row_sum):
    rng = np.random.default_rng([SEED, 1])  # false failure below 1e-6: the widest is off by 0.02
    measured = np.median(lecun.follow(1.0, 0.25, rng=rng, row_sum=row_sum, width=256, depth=4), axis=1)
    expected = lecun.selu_path(1.0, 0.25, depth=4, row_sum=row_sum)
    np.testing.assert_allclose(measured, expected, atol=0.08)
    other = lecun.selu_path(1.0, 0.25, depth=4, row_sum=0.0 if row_sum else 1.0)
    assert np.abs(measured - other).max() > 0.2


def test_tanh_networks_lose_what_selu_keeps():
    rng = np.random.default_rng([SEED, 2])
    tanh = lecun.follow(0.0, 1.0, rng=rng, activation="tanh", width=64, depth=12)
    assert np.median(tanh[1, :, -1]) < 0.1


@pytest.mark.parametrize("cut", [0.5, 1.0, 2.0, 3.0])
def test_kept_std_is_scipys(cut):
    assert lecun.kept_std(cut) == pytest.approx(scipy.stats.truncnorm.std(-cut, cut))


@pytest.mark.parametrize(("std", "cut"), [(0.02, 2.0), (1.0, 2.0), (0.02, 0.04), (2.0, 2.0)])
def test_torch_keeps_what_theory_says(std, cut):
    ratio = lecun.cut_ratio(std, cut=cut, seed=SEED)  # std of the mean below 0.001
    assert ratio.shape == (32,)
    assert ratio.mean() == pytest.approx(lecun.kept_std(cut / std), abs=0.006)


def test_pixels_are_the_digits_at_four_scales():
    versions, labels = lecun.pixels()
    assert versions["0 to 255"].max() == 255
    assert versions["0 to 1"].max() == 1
    assert labels.shape == (1797,)
    for name in ("0 to 1, centered", "normalized"):
        np.testing.assert_allclose(versions[name].mean(axis=0), 0, atol=1e-12)
    assert (versions["normalized"] ** 2).mean() == pytest.approx(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: lecun.selu_moments(0.0, 0.0),
        lambda: lecun.selu_path(0.0, 1.0, depth=0),
        lambda: lecun.follow(0.0, 1.0, rng=np.random.default_rng(1), width=1),
    ],
)
def test_wrong_arguments_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()


def test_tuned_shows_each_arm_at_its_best_and_refuses_other_budgets():
    def found(name, budgets):
        rng = np.random.default_rng([SEED, 3])
        net = ini.networks.Ensemble((20, 8, 5), "tanh", "lecun_normal", rng=rng, replicas=4)
        data = ini.data.gaussian_clouds(rng=rng)
        return ini.training.sweep({name: net}, *data, rates=[0.1, 1.0], budgets=budgets, rng=rng)

    first = found("a", (1, 5))
    table = lecun.tuned(first, found("b", (1, 5)), digits=3)
    assert (table.head, [row[0] for row in table.rows]) == (("network", "1 steps", "5 steps"), ["a", "b"])
    assert float(table["a", "5 steps"]) == pytest.approx(np.median(first.at_best("a", 1)), rel=1e-2)
    with pytest.raises(ValueError, match="same budgets"):
        lecun.tuned(first, found("b", (1, 6)))
