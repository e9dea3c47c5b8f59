"""What the chapter on convolutions measures with, against whole matrices, counting, and draws.

Statistical tests state their false-failure rate; their seeds are fixed, and a wrong formula must fail them.
"""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

import initnotes as ini
from initnotes import theory
from initnotes.book.convolutions import decoder_losses, pair_kappas, phase_share, singular_values, stage_factors
from initnotes.networks import Convolutional

SEED = 20261203
FAR = stats.norm.isf(5e-5)  # 1e-4 on both sides


def rng(*seed):
    return np.random.default_rng([SEED, *seed])


@pytest.mark.parametrize("shape", [(3, 2, 3, 3), (2, 3, 2, 3)])
def test_singular_values_are_those_of_the_whole_matrix(shape):
    kernels, size = rng(1).standard_normal((2, *shape)), 4
    found = singular_values(kernels, size)
    inputs = torch.eye(shape[1] * size**2, dtype=torch.float64).view(-1, shape[1], size, size)
    padded = functional.pad(inputs, (0, shape[3] - 1, 0, shape[2] - 1), mode="circular")
    for own, kernel in zip(found, kernels, strict=True):
        whole = functional.conv2d(padded, torch.from_numpy(kernel)).flatten(1).T
        expected = np.linalg.svd(whole.numpy(), compute_uv=False)
        np.testing.assert_allclose(np.sort(own), np.sort(expected)[-own.size :], rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="at least the kernel's, 3, got 2"):
        singular_values(kernels, 2)


def test_the_corner_of_an_orthogonal_matrix_has_its_variance():
    """False-failure rate 1e-4 for the mean of 200 draws; a Gaussian's 1 and an isometry's 0 are excluded."""
    for kernel, expected in ((3, 8 / 9), (1, 0)):
        drawn = ini.orthogonal().sample((16, 16, kernel, kernel), rng(2, kernel), 200)
        squares = singular_values(drawn, 4) ** 2
        spread = squares.var(1) / squares.mean(1) ** 2
        assert spread.mean() == pytest.approx(expected, abs=FAR * spread.std() / 200**0.5 + 2 / 16**2)
        assert spread.mean() < 0.95


def test_the_share_between_phases_is_counted_by_hand():
    image = rng(3).standard_normal((2, 5, 6, 9))
    found = phase_share(image, 3)
    for own, each in zip(found, image, strict=True):
        cells = np.stack([each[:, i : i + 3, j : j + 3] for i in (0, 3) for j in (0, 3, 6)])
        flat = np.broadcast_to(cells.mean((2, 3), keepdims=True), cells.shape)
        assert own == pytest.approx(((cells - flat) ** 2).sum() / (cells**2).sum(), rel=1e-12)
    with pytest.raises(ValueError, match="multiples of 4, got 6 × 9"):
        phase_share(image, 4)


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 2), (5, 3)])
def test_a_flat_image_becomes_a_checkerboard_of_the_share(kernel, stride):
    """False-failure rate 1e-4; that no share or that of another stride appears is excluded."""
    weight = torch.from_numpy(ini.he_normal.sample((8, 2000, kernel, kernel), rng(4, kernel)))
    made = functional.conv_transpose2d(torch.ones(1, 8, 8, 8).double(), weight, stride=stride)[0]
    inside = made[:, 3 * stride : 4 * stride, 3 * stride : 4 * stride]
    power, kept = inside.square().mean((1, 2)).numpy(), inside.mean((1, 2)).square().numpy()
    error = FAR * (kept - kept.mean() / power.mean() * power).std() / power.mean() / 2000**0.5
    share = phase_share(inside[None], stride)[0]
    assert share == pytest.approx(1 - 1 / stride**2, abs=error)
    assert share != pytest.approx(1 - 1 / (stride + 1) ** 2, abs=error)


@pytest.mark.parametrize(("channels", "made", "stride"), [(16, 32, 2), (16, 16, 1), (16, 8, 2)])
def test_stage_factors_are_the_fans_theirs(channels, made, stride):
    """False-failure rate 1e-4 for each mean of 64 draws."""
    found = stage_factors(2 / (9 * channels), channels, made, stride, rng=rng(5, made), replicas=64)
    less = made / (channels * stride**2)
    expected = {"forward": 1, "forward, total": less, "backward": less, "backward, total": 1}
    for name, own in found.items():
        assert own.mean() == pytest.approx(expected[name], abs=FAR * own.std(ddof=1) / 8), name


def test_kappas_are_those_of_the_general_kernel_and_of_draws():
    """False-failure rate below 1e-3 for the variance of 2,000 draws; the first layer's is excluded."""
    image = rng(6).standard_normal((5, 5))
    found = pair_kappas(image, 3)
    padded = functional.pad(torch.from_numpy(image)[None, None], (1,) * 4, mode="circular")
    patches = functional.unfold(padded, 3)[0].T.numpy()
    gram = patches @ patches.T
    products = np.outer(gram.diagonal(), gram.diagonal())
    kappa = theory.sharing_kurtosis((gram / products**0.5).clip(-1, 1), 1.0, "relu")
    assert found[0] == pytest.approx((kappa * products).sum() / products.sum(), rel=1e-6)
    how = {"rng": rng(7), "replicas": 2000, "padding_mode": "circular"}
    net = Convolutional((1, 5, 5), (16,) * 3, 1, "relu", "he_normal", **how)
    h = net.forward(torch.from_numpy(image).view(1, 25)).activations
    size = [own.square().mean((1, 2)).numpy() for own in h[1:]]
    ratio = size[2] / size[1]
    spread = 16 * (ratio / ratio.mean() - 1) ** 2
    assert spread.mean() == pytest.approx(found[2], rel=0.15)  # 0.04 of sampling, and what 16 channels leave out
    assert abs(found[2] / found[0] - 1) > 0.3


def test_decoders_learn_and_icnr_begins_flat():
    how = {"rates": [0.003, 0.03], "budgets": [0, 15], "replicas": 3}
    images = rng(8).standard_normal((4, 8, 8))
    plain, flat = (decoder_losses(last, images, rng=rng(9), **how) for last in ("he_normal", ini.icnr("he_normal")))
    for losses, shares in (plain, flat):
        assert losses.shape == shares.shape == (2, 2, 3)
        assert (losses[1] < losses[0]).all()
        np.testing.assert_array_equal(losses[0, 0], losses[0, 1])  # the same draws at both rates
        assert (np.abs(losses[1, 0] - losses[1, 1]) > 1e-3).all()
    np.testing.assert_allclose(flat[1][0], 0, atol=1e-12)
    assert (plain[1][0] > 0.1).all()
