"""Convolutions: borders, phases and sharing in theory against counting and draws, two schemes, and the ensemble.

Statistical tests state their false-failure rate; their seeds are fixed, and a wrong formula must fail them.
"""

import math
import re

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

import initnotes as ini
from initnotes import theory
from initnotes.layers import true_fans
from initnotes.networks import Convolutional, join, mean_squares, train
from initnotes.theory.convolution import PADDING_MODES

SEED = 20261202
EXACT = {"rtol": 1e-12, "atol": 1e-13}
FAR = stats.norm.isf(5e-5)  # 1e-4 on both sides


def rng(*seed):
    return np.random.default_rng([SEED, *seed])


# ---------------------------------------------------------------------------------------------------------------------
# Borders

WAYS = [
    {"size": 5},
    {"size": 2},
    {"size": 1},
    {"size": 7, "kernel": 5, "stride": 2},
    {"size": 8, "kernel": 4, "padding": 1, "stride": 2},
    {"size": 9, "dilation": 3},
    {"size": 6, "padding": 0},
]


def counted(way, mode):
    """A of the same arguments by torch: which positions a kernel of ones sees, from an image of one 1 at a time."""
    options = {"kernel": 3, "stride": 1, "dilation": 1} | way
    kernel, stride, dilation = (options[name] for name in ("kernel", "stride", "dilation"))
    padding = options.get("padding", dilation * (kernel - 1) // 2)
    images = functional.pad(
        torch.eye(options["size"], dtype=torch.float64)[:, None],
        (padding, padding),
        mode="constant" if mode == "zeros" else mode,
    )
    taps = torch.ones(1, 1, kernel, dtype=torch.float64)
    return functional.conv1d(images, taps, stride=stride, dilation=dilation)[:, 0].T.numpy() / kernel


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_taps_are_those_that_torch_counts(way, mode):
    try:
        expected = counted(way, mode)
    except RuntimeError:  # torch cannot reflect what is too small
        with pytest.raises(ValueError, match="padding must be at most"):
            theory.tap_shares(**way, padding_mode=mode)
    else:
        np.testing.assert_allclose(theory.tap_shares(**way, padding_mode=mode), expected, **EXACT)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 32, 56])
def test_the_factor_of_zero_padding_has_a_closed_form(n):
    assert theory.border_factor(n) == pytest.approx(((1 + 2 * math.cos(math.pi / (n + 1))) / 3) ** 2, rel=1e-12)
    wave = np.sin(math.pi * np.arange(1, n + 1) / (n + 1))
    profile = np.outer(wave, wave)
    np.testing.assert_allclose(theory.border_profile(n), profile / profile.mean(), rtol=1e-9)


@pytest.mark.parametrize("mode", PADDING_MODES[1:])
def test_other_borders_cost_nothing(mode):
    assert theory.border_factor(7, 5, padding_mode=mode) == 1.0
    np.testing.assert_allclose(theory.border_shares(7, 3, 5, padding_mode=mode), 1.0, **EXACT)


@pytest.mark.parametrize(("n", "kernel"), [(8, 3), (10, 5), (12, 7)])
def test_the_first_layer_loses_at_the_border_alone(n, kernel):
    p = (kernel - 1) // 2
    assert theory.border_shares(n, 1, kernel)[0] == pytest.approx((1 - p * (p + 1) / (kernel * n)) ** 2, rel=1e-12)


@pytest.mark.parametrize("dilation", [1, 2])
def test_shares_come_to_fall_by_the_factor_and_lie_as_the_profile_says(dilation):
    size, kernel = (6, 9), (3, 5)
    found = theory.border_shares(size, 400, kernel, dilation=dilation)
    assert found[-1] / found[-2] == pytest.approx(theory.border_factor(size, kernel, dilation=dilation), rel=1e-9)
    q = np.ones(size)
    for layer in range(3):
        q = theory.image_map(q, "relu", sigma_w=2**0.5, kernel=kernel, dilation=dilation)
        assert q.mean() == pytest.approx(found[layer], rel=1e-9)
    powers = [
        np.linalg.matrix_power(theory.tap_shares(n, k, dilation=dilation), 400).sum(1)
        for n, k in zip(size, kernel, strict=True)
    ]
    deep = np.outer(*powers)
    profile = theory.border_profile(size, kernel, dilation=dilation)
    np.testing.assert_allclose(deep / deep.mean(), profile, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("stride", "mode"), [(1, "zeros"), (2, "zeros"), ((2, 1), "replicate"), (1, "reflect")])
def test_one_layer_maps_second_moments_exactly(stride, mode):
    """All 512 kernels of signs, each as often as the other: their mean is the expectation."""
    x = rng(1).standard_normal((1, 1, 5, 4))
    signs = torch.from_numpy(((np.arange(512)[:, None] >> np.arange(9)) & 1) * 2.0 - 1).view(512, 1, 3, 3)
    padded = functional.pad(torch.from_numpy(x), (1,) * 4, mode="constant" if mode == "zeros" else mode)
    found = functional.conv2d(padded, signs, stride=stride).square().mean(1)[0].numpy()
    way = {"stride": stride, "padding_mode": mode, "sigma_w": 3.0}
    np.testing.assert_allclose(theory.image_map(x[0, 0] ** 2, "linear", **way), found, rtol=1e-12)
    with pytest.raises(AssertionError):  # one factor for all positions, as without borders
        np.testing.assert_allclose(np.full_like(found, 9 * (x**2).mean()), found, rtol=0.1)


def test_the_map_of_an_image_is_the_variance_map_where_no_border_is():
    q = np.full((2, 6, 6), [[[0.5]], [[2.0]]])
    found = theory.image_map(q, "tanh", sigma_w=1.3, sigma_b=0.2, padding_mode="circular")
    np.testing.assert_allclose(found, theory.variance_map(q, "tanh", sigma_w=1.3, sigma_b=0.2), rtol=1e-12)
    line = theory.image_map(q[0, 0], np.tanh, sigma_w=1.3, kernel=(3,))
    np.testing.assert_allclose(line, theory.tap_shares(6) @ theory.variance_map(q[0, 0], "tanh", sigma_w=1.3))


def test_deep_networks_lose_what_the_borders_take():
    """False-failure rate 1e-4; that all is kept, and that each layer costs what the first does, is excluded."""
    net = Convolutional((1, 4, 4), (16,) * 6, 1, "relu", "he_normal", rng=rng(2), replicas=1000)
    kept = mean_squares(net.forward(torch.ones(1, 16)).pre_activations[:-1])[:, -1] / 2  # E z² = 2 where none is lost
    error = kept.std(ddof=1) / len(kept) ** 0.5
    expected = theory.border_shares(4, 6)
    assert abs(kept.mean() - expected[-1]) < FAR * error
    for wrong in (1.0, expected[0] ** 6):
        assert abs(kept.mean() - wrong) > FAR * error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.tap_shares(8, 4), "no padding that keeps the size"),
        (lambda: theory.tap_shares(3, 5, padding=0), "the kernel reaches over 5 positions"),
        (lambda: theory.tap_shares(4, 9, padding_mode="circular", dilation=2), "padding must be at most 4"),
        (lambda: theory.tap_shares(8, padding_mode="zero"), "did you mean 'zeros'"),
        (lambda: theory.border_factor((8, 8), (3, 3, 3)), "kernel must be one number or 2"),
        (lambda: theory.border_factor(0), "size must be at least 1"),
        (lambda: theory.image_map([1.0], "relu", sigma_w=1.0), "an entry for each position of 2 axes"),
        (lambda: theory.phase_fans(3, 0), "stride must be at least 1"),
        (lambda: theory.sharing_kurtosis(1.5, 1.0, "relu"), r"in \[-1, 1\]"),
        (lambda: theory.sharing_kurtosis(0.5, 1.0, lambda x: 0 * x), "nothing can be compared"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------------------------------------------------------------
# Phases and sharing


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (4, 2, 1), (5, 3, 1), (2, 3, 0), (3, 2, 0)])
def test_phases_have_the_taps_that_reach_them(kernel, stride, padding):
    ones = torch.ones(1, 1, 9, 9)
    made = functional.conv_transpose2d(ones, torch.ones(1, 1, kernel, kernel), stride=stride, padding=padding)[0, 0]
    inner = made[3 * stride : 6 * stride, 3 * stride : 6 * stride].unflatten(0, (3, stride)).unflatten(2, (3, stride))
    found = theory.phase_fans(kernel, stride, padding=padding)
    np.testing.assert_array_equal(inner.numpy(), np.broadcast_to(found[None, :, None], inner.shape))
    layer = nn.ConvTranspose2d(6, 2, kernel, stride, groups=2)
    assert theory.phase_fans(kernel, stride, channels=3).mean() == pytest.approx(true_fans(layer)[0])


def test_kappa_of_relu_is_the_arc_cosine_kernel():
    c = np.linspace(-1, 1, 41)
    t = np.arccos(c)
    closed = 2 / math.pi * (3 * np.sin(t) * c + (math.pi - t) * (1 + 2 * c**2)) - 1
    np.testing.assert_allclose(theory.sharing_kurtosis(c, 3.0, "relu"), closed, atol=1e-6)
    np.testing.assert_allclose(theory.sharing_kurtosis(c, 3.0, "linear"), 2 * c**2, atol=1e-9)


@pytest.mark.parametrize("activation", ["tanh", lambda x: np.clip(x, -1, 1)])
def test_kappa_of_others_is_an_integral(activation):
    x = np.linspace(-8, 8, 801)
    w = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    phi, q, c = (np.tanh if activation == "tanh" else activation), 0.8, 0.6
    u, v = q**0.5 * x[:, None], q**0.5 * (c * x[:, None] + (1 - c**2) ** 0.5 * x)
    square = float(w @ phi(q**0.5 * x) ** 2)
    expected = float(w @ (phi(u) ** 2 * phi(v) ** 2) @ w) / square**2 - 1
    assert theory.sharing_kurtosis(c, q, activation) == pytest.approx(expected, abs=2e-4)


def test_shared_kernels_fluctuate_as_kappa_says():
    """False-failure rate 1e-4, for the variance of a heavy-tailed K over 20,000 draws; wrong sharings are excluded."""
    x = rng(3).standard_normal((1, 36))
    net = Convolutional((1, 6, 6), (1,), 1, "relu", "he_normal", rng=rng(4), replicas=20_000)
    K = net.forward(torch.from_numpy(x)).activations[1].square().mean((1, 2)).numpy()
    patches = functional.unfold(torch.from_numpy(x).view(1, 1, 6, 6), 3, padding=1)[0].T.numpy()
    gram = patches @ patches.T
    sizes = np.diag(gram)
    kappa = theory.sharing_kurtosis((gram / np.sqrt(np.outer(sizes, sizes))).clip(-1, 1), 1.0, "relu")
    shares = np.outer(sizes, sizes) / sizes.sum() ** 2
    spread = (K - K.mean()) ** 2 / K.mean() ** 2
    error = spread.std() / len(K) ** 0.5
    assert abs(spread.mean() - (kappa * shares).sum()) < FAR * error
    for wrong in (5.0, 5 * (shares * np.eye(36)).sum()):  # all positions alike, all independent
        assert abs(spread.mean() - wrong) > FAR * error


# ---------------------------------------------------------------------------------------------------------------------
# delta_orthogonal and icnr


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (4, 4, 5), (3, 3, 1, 3, 3), (5, 4)])
def test_a_delta_orthogonal_layer_is_an_isometry(shape):
    W = ini.delta_orthogonal(2.0).sample(shape, rng(5), replicas=2)
    assert W.shape == (2, *shape)
    convolved = [functional.linear, functional.conv1d, functional.conv2d, functional.conv3d][len(shape) - 2]
    x = rng(6).standard_normal((3, shape[1], *[7] * (len(shape) - 2)))
    options = {"padding": "same"} if len(shape) > 2 else {}
    for weight in W:
        z = convolved(torch.from_numpy(x), torch.from_numpy(weight), **options).numpy()
        np.testing.assert_allclose((z**2).reshape(3, -1).sum(1), 4 * (x**2).reshape(3, -1).sum(1), rtol=1e-12)
        if len(shape) == 4:  # a tap beside the center loses what leaves the image
            beside = torch.from_numpy(np.roll(weight, 1, axis=-1))
            lost = convolved(torch.from_numpy(x), beside, **options).square().sum().item()
            assert lost < 0.95 * (z**2).sum()
    assert ini.delta_orthogonal(2.0).std(shape) == pytest.approx(math.sqrt(np.mean(W**2)), rel=1e-12)


def test_with_fewer_channels_out_the_rows_are_orthonormal():
    center = ini.delta_orthogonal().sample((3, 5, 3, 3), rng(7))[:, :, 1, 1]
    np.testing.assert_allclose(center @ center.T, np.eye(3), atol=1e-12)


def test_the_center_is_uniform_among_orthogonal_matrices():
    """False-failure rate 1e-4 over three checks; what `orthogonal` puts there, which it flattens first, fails."""
    center = ini.delta_orthogonal().sample((4, 4, 3, 3), rng(8), replicas=2000)[..., 1, 1]
    peer = stats.ortho_group(4, seed=rng(9)).rvs(2000)
    flat = 3 * ini.orthogonal().sample((4, 4, 3, 3), rng(8), replicas=2000)[..., 1, 1]

    def least_p(found):
        sides = ([m[:, 0, 0], np.trace(m, axis1=1, axis2=2), np.linalg.det(m).round(9)] for m in (found, peer))
        return min(stats.ks_2samp(a, b).pvalue for a, b in zip(*sides, strict=True))

    assert least_p(center) > 1e-4 / 3
    assert least_p(flat) < 1e-4 / 3


def test_delta_orthogonal_is_known_by_name_and_fills_layers():
    assert ini.scheme("delta_orthogonal") == ini.scheme("delta_orthogonal_") == ini.delta_orthogonal()
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(), nn.Linear(128, 4))
    ini.initialize_(net, "delta_orthogonal", rng=rng(10))
    center = net[1].weight[4:, :, 1, 1].detach()
    torch.testing.assert_close(center @ center.T, torch.eye(4), rtol=0, atol=1e-5)
    assert int(net[1].weight.count_nonzero()) == 32
    torch.testing.assert_close(net[3].weight @ net[3].weight.T, torch.eye(4), rtol=0, atol=1e-5)
    before = nn.Conv2d(4, 4, 2).weight
    kept, generator = before.detach().clone(), rng(11)
    with pytest.raises(ValueError, match=r"odd along each axis, got \(2, 2\)"):
        ini.delta_orthogonal().fill_(before, rng=generator)
    assert torch.equal(before, kept)
    assert generator.bit_generator.state == rng(11).bit_generator.state
    for bad in (0, -1.0, math.inf):
        with pytest.raises(ValueError, match="gain must be"):
            ini.delta_orthogonal(bad)


@pytest.mark.parametrize(
    "base", ["he_normal", ini.Scheme(scale=1, mode="fan_out"), ini.orthogonal(), "delta_orthogonal"]
)
def test_icnr_makes_a_larger_image_of_equal_tiles(base):
    conv = nn.Conv2d(4, 27, 3, padding=1)
    ini.icnr(base, upscale=3).fill_(conv.weight, rng=rng(12))
    nn.init.zeros_(conv.bias)

    def tiles(weight):
        z = functional.conv2d(torch.from_numpy(rng(13).standard_normal((2, 4, 5, 5))).float(), weight, padding=1)
        return functional.pixel_shuffle(z, 3).unflatten(-1, (5, 3)).unflatten(-3, (5, 3))

    found = tiles(conv.weight)
    assert torch.equal(found, found[..., :1, :, :1].expand_as(found))
    plain = tiles(ini.initialize_(conv, base, rng=rng(12)).weight)
    assert not torch.equal(plain, plain[..., :1, :, :1].expand_as(plain))


def test_icnr_has_the_spread_of_its_base_with_the_fans_of_the_whole():
    shape = (36, 4, 3, 3)
    for base in (ini.he_normal, ini.xavier_uniform, ini.Scheme(scale=2, mode="fan_out")):
        assert ini.icnr(base).std(shape) == base.std(shape)
        assert ini.icnr(base).std(shape, true_fans=(9, 7)) == base.std(shape, true_fans=(9, 7))
        drawn = ini.icnr(base).sample(shape, rng(14), replicas=400)
        assert drawn.shape == (400, *shape)
        np.testing.assert_array_equal(drawn[:, ::4], drawn[:, 3::4])
        assert drawn.std() == pytest.approx(base.std(shape), rel=4 * (2 * drawn.size / 4) ** -0.5)
    assert ini.icnr("he_normal") == ini.icnr(ini.he_normal, 2)
    for wrong in ((10, 4, 3, 3), (8, 4), (8, 4, 3)):
        with pytest.raises(ValueError, match=re.escape(f"a multiple of 4, got {wrong}")):
            ini.icnr("he_normal").sample(wrong, rng(15))
    with pytest.raises(ValueError, match="did you mean 'he_normal'"):
        ini.icnr("he_norml")
    with pytest.raises(ValueError, match="upscale must be at least 1"):
        ini.icnr("he_normal", 0)


# ---------------------------------------------------------------------------------------------------------------------
# The ensemble

KINDS = {
    "plain": {},
    "strides": {"stride": (1, 2), "bias": 0.3},
    "circular": {"padding_mode": "circular", "kernel": 5},
    "reflect, mean": {"padding_mode": "reflect", "readout": "mean"},
    "batch": {"norm": "batch", "readout": "mean", "stride": 2},
    "layer": {"norm": "layer"},
}
IMAGE, CHANNELS = (2, 6, 5), (4, 3)


def ensemble(scheme="he_normal", **options):
    return Convolutional(IMAGE, CHANNELS, 3, "tanh", scheme, rng=rng(20), replicas=3, **options)


def peer(net, replica):
    """The same network of torch's layers."""
    layers = []
    for place, own, kernel, bias in zip(net.places, CHANNELS, net.kernels, net.biases, strict=False):
        conv = nn.Conv2d(place.image[0], own, net.kernel, place.stride, net.kernel // 2, padding_mode=net.padding_mode)
        conv.weight.data, conv.bias.data = kernel[replica].clone(), bias[replica].clone()
        norm = {
            "batch": nn.BatchNorm2d(own, affine=False),
            "layer": nn.LayerNorm(place.makes(own), elementwise_affine=False),
        }
        layers += [conv, *([norm[net.norm]] if net.norm else []), nn.Tanh()]
    layers += [nn.Flatten(2), nn.AvgPool1d(math.prod(net.images[-1][1:]))] if net.readout == "mean" else []
    head = nn.Linear(net.shapes[-1][1], 3)
    head.weight.data, head.bias.data = net.weights[-1][replica].clone(), net.biases[-1][replica].clone()
    return nn.Sequential(*layers, nn.Flatten(), head).double()


@pytest.mark.parametrize("kind", KINDS)
def test_each_replica_is_torchs_network_forward_and_backward(kind):
    net, x = ensemble(**KINDS[kind]), torch.from_numpy(rng(21).standard_normal((5, 60)))
    signals, delta = net.forward(x), torch.from_numpy(rng(22).standard_normal((3, 5, 3)))
    gradients = net.backward(signals, delta)
    for replica in range(3):
        twin = peer(net, replica)
        images = x.view(5, *IMAGE)
        output = twin(images)
        torch.testing.assert_close(signals.output[replica], output, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(net.as_images(signals.pre_activations[0], 1)[replica], twin[0](images))
        output.backward(delta[replica])
        found = [
            part[replica].flatten() for pair in zip(gradients.weights, gradients.biases, strict=True) for part in pair
        ]
        expected = [own.grad.flatten() for own in twin.parameters()]
        for own, other in zip(found, expected, strict=True):
            torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("scheme", ["xavier_normal", ini.Scheme(scale=2, mode="fan_out")])
def test_kernels_are_drawn_with_their_true_fans(scheme, stride):
    net = Convolutional((20, 4, 4), (50,), 1, "relu", scheme, rng=rng(23), replicas=4, stride=stride)
    std = ini.scheme(scheme).std((50, 20, 3, 3), true_fans=true_fans(nn.Conv2d(20, 50, 3, stride)))
    assert float(net.weights[0].std()) == pytest.approx(std, rel=4 * (2 * net.weights[0].numel()) ** -0.5)
    other = ini.scheme(scheme).std((50, 20, 3, 3))
    assert (other == pytest.approx(std, rel=0.05)) == (stride == 1)


def test_delta_orthogonal_networks_keep_every_length():
    net = Convolutional((4, 5, 5), (4, 6, 6), 2, "linear", "delta_orthogonal", rng=rng(24), replicas=2)
    x = torch.from_numpy(rng(25).standard_normal((3, 100)))
    for z in net.forward(x).pre_activations[:-1]:
        torch.testing.assert_close(z.norm(dim=-1), x.norm(dim=-1).expand(2, 3))


def test_replicas_train_each_at_its_own_rate():
    x, y = rng(26).standard_normal((12, 60)), np.arange(12) % 3
    net = ensemble()
    arms = {"he": net, "delta": ensemble(ini.delta_orthogonal())}
    whole = join(list(arms.values()))
    torch.testing.assert_close(whole(torch.from_numpy(x))[3:], arms["delta"](torch.from_numpy(x)))
    found = ini.training.sweep(arms, x, y, rates=[1e-9, 0.1], budgets=[1, 10], rng=rng(27))
    assert (found.values["he"][1, 1] < 0.8 * found.values["he"][1, 0]).all()
    start = net.parameters.clone()
    history = train(net, x, y, lr=np.array([0.0, 0.1, 0.2]), steps=5, batch_size=6, optimizer="adam", rng=rng(28))
    moved = [(part - net.split(start)[0][0][at]).abs().max() for at, part in enumerate(net.weights[0])]
    assert history.loss.shape == (3, 6)
    assert [bool(size > 0) for size in moved] == [False, True, True]


def test_the_examiner_sees_convolutions():
    net, x = ensemble(norm=None), torch.from_numpy(rng(29).standard_normal((5, 60)))
    signals = net.forward(x)
    found = ini.probe(net, x)
    squares = np.stack([z.square().mean((1, 2)).numpy() for z in signals.pre_activations], axis=1)
    np.testing.assert_allclose(found.second_moment, squares, rtol=1e-9)
    np.testing.assert_array_equal(found.widths, [*CHANNELS, 3])
    np.testing.assert_array_equal(found.distinct_units, [[*CHANNELS, 3]] * 3)
    assert found.activations == ("tanh", "tanh", None)
    assert found.mean_field is None  # theory.profile knows no borders
    assert "symmetric units" in ini.audit(ensemble(ini.constant(0.1)), x).kinds()
    assert "symmetric units" not in ini.audit(net, x).kinds()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel": 4}, ValueError, "kernel must be odd"),
        ({"stride": (1, 2, 1)}, ValueError, "stride must be one for all or one for each of 2"),
        ({"scheme": ["he_normal"]}, ValueError, "scheme must be one for all"),
        ({"padding_mode": "same"}, ValueError, "unknown padding_mode"),
        ({"padding_mode": "reflect", "kernel": 11}, ValueError, "cannot add 5 positions to an image of 6×5"),
        ({"readout": "max"}, ValueError, "unknown readout"),
        ({"norm": "group"}, ValueError, "unknown norm"),
        ({"bias": None}, ValueError, "has biases"),
    ],
)
def test_bad_networks(options, error, message):
    generator = rng(30)
    scheme = options.pop("scheme", "he_normal")
    with pytest.raises(error, match=message):
        Convolutional(IMAGE, CHANNELS, 3, "tanh", scheme, rng=generator, **options)
    assert generator.bit_generator.state == rng(30).bit_generator.state


def test_images_and_channels_must_be_such():
    for image, channels, message in (
        ((2, 6), (4,), "image must have 3"),
        ((2, 6, 5), (), "channels must have at least"),
    ):
        with pytest.raises(ValueError, match=message):
            Convolutional(image, channels, 3, "tanh", "he_normal", rng=rng())
    with pytest.raises(TypeError, match="channels must be a sequence"):
        Convolutional(IMAGE, 4, 3, "tanh", "he_normal", rng=rng())
