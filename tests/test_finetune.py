"""Starting from something: adapters against autograd and predictions, heads, rows and units against brute force."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from initnotes.networks import Ensemble, Residual, finetune, join
from initnotes.networks.finetune import LowRank, first_step, only, replace_head, rise, widen
from initnotes.networks.low_rank import LORA, STARTS
from initnotes.networks.training import cross_entropy, sweep, train

SEED = 20261202


def rng(seed=SEED):
    return np.random.default_rng(seed)


def net_of(widths=(6, 8, 7, 3), phi="tanh", replicas=3, **options):
    return Ensemble(widths, phi, "lecun_normal", rng=rng(), replicas=replicas, sigma_b=0.3, **options)


X, Y = rng(5).standard_normal((20, 6)), rng(6).integers(0, 3, 20)


# ---------------------------------------------------------------------------------------------------------------------
# Low rank


@pytest.mark.parametrize("start", STARTS)
def test_no_start_changes_the_function(start):
    net = net_of()
    tuned = LowRank(net, 3, start=start, scale=2.0, rng=rng())
    assert torch.allclose(tuned(X), net(X), atol=1e-12)
    merged = tuned.merged()
    assert type(merged) is Ensemble
    assert torch.allclose(merged.parameters, net.parameters, atol=1e-12)


@pytest.mark.parametrize("layers", [None, [1], [-1, 0]])
def test_gradients_are_autograds(layers):
    tuned = LowRank(net_of(), 2, start="corrected", scale=0.7, layers=layers, rng=rng())
    signals = tuned.forward(X)
    _, delta = cross_entropy(signals.output, torch.from_numpy(Y).expand(3, -1))
    found = tuned.backward(signals, delta)
    leaf = tuned.parameters.clone().requires_grad_()
    weights, biases = tuned.split(leaf)
    h, at = torch.from_numpy(X).expand(3, -1, -1), 0
    for layer in range(3):
        full = weights[at]
        if layer in tuned.adapted:
            full = full + 0.7 * weights[at + 2] @ weights[at + 1]
        z = h @ full.mT + biases[at][:, None]
        h, at = torch.tanh(z), at + (3 if layer in tuned.adapted else 1)
    losses = functional.cross_entropy(z.mT, torch.from_numpy(Y).expand(3, -1), reduction="none").mean(1)
    (expected,) = torch.autograd.grad(losses.sum(), leaf)
    own, _ = tuned.split(expected)
    for weight, true, trains in zip(found.weights, own, tuned.trained[:, 0], strict=True):
        assert torch.allclose(weight, true if trains else 0 * true, atol=1e-12)
        assert bool(weight.any()) == bool(trains)
    assert not any(bias.any() for bias in found.biases)


def test_what_a_zero_lets_move_at_the_first_step():
    moved = {}
    for start in ("b_zero", "a_zero", "corrected"):
        tuned = LowRank(net_of(), 2, start=start, rng=rng())
        before = [weight.clone() for weight in tuned.weights]
        train(tuned, X, Y, lr=0.1, steps=1, rng=rng())
        moved[start] = [not torch.equal(a, b) for a, b in zip(tuned.weights[:3], before[:3], strict=True)]
    assert moved == {
        "b_zero": [False, False, True],
        "a_zero": [False, True, False],
        "corrected": [False, True, True],
    }


def test_training_moves_nothing_but_the_factors():
    tuned = LowRank(net_of(), 2, layers=[0, 2], rng=rng())
    before = tuned.part(slice(None))
    history = train(tuned, X, Y, optimizer="adam", lr=0.01, steps=30, weight_decay=0.1 * tuned.trained, rng=rng())
    assert (history.loss[:, -1] < history.loss[:, 0]).all()
    moves = [not torch.equal(a, b) for a, b in zip(tuned.weights, before.weights, strict=True)]
    assert moves == tuned.trained[:, 0].astype(bool).tolist() == [False, True, True, False, False, True, True]
    assert torch.allclose(tuned.merged()(X), tuned(X), atol=1e-12)
    assert torch.allclose(tuned.merged().weights[1], net_of().weights[1], atol=0)


def test_pissa_has_the_largest_singular_values_and_its_control_too():
    net = net_of((20, 16, 3))
    for start in ("pissa", "pissa_control"):
        tuned = LowRank(net, 4, start=start, scale=0.5, layers=[0], rng=rng())
        rest, a, b = tuned.weights[:3]
        largest = torch.linalg.svdvals(net.weights[0])
        assert torch.allclose(torch.linalg.svdvals(0.5 * b @ a)[:, :4], largest[:, :4], atol=1e-9)
        assert torch.allclose(a @ a.mT, torch.diag_embed(largest[:, :4] / 0.5), atol=1e-9)  # half of each value
        left = torch.linalg.svdvals(rest)
        if start == "pissa":
            assert torch.allclose(left[:, :12], largest[:, 4:], atol=1e-9)
        else:
            assert float((left[:, :12] - largest[:, 4:]).abs().max()) > 0.1


def test_adapters_are_drawn_as_loralib_draws_them():
    tuned = LowRank(net_of((300, 50, 3), replicas=8), 10, layers=[0], rng=rng())
    assert float(tuned.weights[1].std()) == pytest.approx((3 * 300) ** -0.5, rel=0.02)  # 24,000 draws: 5 errors
    theirs = torch.nn.init.kaiming_uniform_(torch.empty(10, 300), a=5**0.5)
    assert float(tuned.weights[1].abs().max()) <= 300**-0.5
    assert float(theirs.abs().max()) <= 300**-0.5
    assert LORA.std((10, 300)) == pytest.approx((3 * 300) ** -0.5)


def test_replicas_can_be_cut_joined_and_swept():
    tuned = LowRank(net_of(replicas=4), 2, rng=rng())
    other = LowRank(net_of(replicas=4), 2, start="pissa", rng=rng())
    assert torch.equal(tuned.part(slice(1, 3))(X), tuned(X)[1:3])
    both = join([tuned, other])
    assert torch.equal(both(X)[4:], other(X))
    assert both.merged().replicas == 8
    arms = {"b_zero": tuned, "pissa": other}
    found = sweep(arms, X, Y, rates=[0.01, 0.1, 1.0], budgets=[20], rng=rng())
    assert np.isfinite(found.values["pissa"]).all()
    alone = LowRank(net_of(replicas=4), 2, rng=rng())
    train(alone, X, Y, lr=0.1, steps=20, rng=rng())
    after = cross_entropy(alone(X), torch.from_numpy(Y).expand(4, -1))[0]
    assert found.values["b_zero"][0, 1] == pytest.approx(after.numpy(), rel=1e-9)


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_first_step_of_sgd(rank):
    """Over 1000 draws of A the mean fall has a standard error of 4.5 % at rank 1, where it is largest."""
    net = join([Ensemble((32, 16), "linear", "lecun_normal", rng=rng(), replicas=1)] * 1000)
    x = rng(5).standard_normal((20, 32))
    signals = net.forward(x)
    gradient = net.backward(signals, cross_entropy(signals.output, torch.from_numpy(Y).expand(1000, -1))[1]).weights[0]
    tuned = LowRank(net, rank, scale=2.0, rng=rng(), law="lecun_normal")
    history = train(tuned, x, Y, lr=1e-6, steps=1, rng=rng())
    fall = float((history.loss[:, 0] - history.loss[:, 1]).mean())
    known = {"rank": rank, "std": 32**-0.5, "rate": 1e-6, "size": float(gradient[0].norm())}
    assert fall == pytest.approx(first_step("sgd", scale=2.0, **known), rel=0.18)
    assert fall != pytest.approx(2.0 * first_step("sgd", scale=1.0, **known), rel=0.18)  # s in the first power


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_first_step_of_adam(rank):
    net = join([Ensemble((32, 16), "linear", "lecun_normal", rng=rng(), replicas=1)] * 400)
    x, y = rng(5).standard_normal((1, 32)), rng(6).standard_normal((1, 16))
    tuned = LowRank(net, rank, scale=0.5, rng=rng(), law="lecun_normal")
    train(tuned, x, y, loss="mse", optimizer="adam", lr=1e-3, steps=1, rng=rng())
    moved = float((tuned(x) - net(x)).abs().mean())
    theory = first_step("adam", rank=rank, scale=0.5, std=32**-0.5, rate=1e-3, size=float(np.linalg.norm(x)))
    assert moved == pytest.approx(theory, rel=0.16)  # 4 standard errors at rank 1
    assert moved != pytest.approx(theory * (np.pi / 2) ** 0.5, rel=0.16)  # rms for the mean size


# ---------------------------------------------------------------------------------------------------------------------
# Heads, rows, units


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_only_some_layers_train(optimizer):
    net = net_of()
    before = net.part(slice(None))
    train(
        net, X, Y, optimizer=optimizer, lr=0.1 * only(net, [0, -1], biases=False), weight_decay=0.1, steps=3, rng=rng()
    )
    same = [torch.equal(a, b) for a, b in zip(net.tensors, before.tensors, strict=True)]
    assert same == [False, True, True, True, False, True]


def test_only_for_each_replica():
    net = net_of()
    before = net.part(slice(None))
    train(net, X, Y, lr=np.array([0.0, 0.1, 0.2])[:, None, None] * only(net, [-1]), steps=3, rng=rng())
    still = [torch.equal(a, b) for a, b in zip(net.weights[2], before.weights[2], strict=True)]
    assert still == [True, False, False]
    assert torch.equal(net.weights[0], before.weights[0])


def test_a_new_head_reads_the_old_features():
    net = net_of()
    new = replace_head(net, 5, rng=rng(), scheme="lecun_normal")
    assert new.widths == (6, 8, 7, 5)
    assert torch.equal(new.forward(X).activations[-1], net.forward(X).activations[-1])
    assert not new.biases[-1].any()
    assert float(new.weights[-1].std()) == pytest.approx(7**-0.5, rel=0.3)
    assert not replace_head(net, 2, rng=rng())(X).any()


def test_rise_is_the_difference_of_two_cross_entropies():
    old, new = rng().standard_normal((4, 50, 6)), rng(1).standard_normal((4, 50, 2))
    label = torch.from_numpy(rng(2).integers(0, 6, (4, 50)))
    before = cross_entropy(old, label)[0]
    after = cross_entropy(np.concatenate([old, new], axis=-1), label)[0]
    assert rise(old, new) == pytest.approx((after - before).numpy(), rel=1e-9)
    mean_row = np.repeat(old.mean(-1, keepdims=True), 2, axis=-1)
    assert (rise(old, mean_row) <= np.log(1 + 2 / 6)).all()
    assert (rise(old, mean_row) > 0).all()
    assert (rise(old, np.zeros_like(new)) > rise(old + 20, np.zeros_like(new))).all()  # zeros feel a common offset


@pytest.mark.parametrize("how", finetune.WIDENINGS)
@pytest.mark.parametrize("layer", [1, 2])
def test_wide_networks_compute_the_same(how, layer):
    net = net_of()
    wide = widen(net, 20, how=how, layer=layer, rng=rng())
    assert wide.widths[layer] == 20
    assert torch.allclose(wide(X), net(X), atol=1e-12)
    into, out = wide.weights[layer - 1], wide.weights[layer]
    old = net.widths[layer]
    distinct = len(np.unique(into[0].numpy(), axis=0))
    assert distinct == {"copies": old, "uneven": old, "zero_out": 20, "zero_in": old + 1}[how]
    assert bool(out[:, :, old:].any()) == (how != "zero_out")


def test_uneven_copies_part_and_even_ones_do_not():
    units = {}
    for how in ("copies", "uneven"):
        wide = widen(Ensemble((6, 4, 3), "relu", "he_normal", rng=rng(), replicas=2), 12, how=how, rng=rng())
        train(wide, X, Y, lr=0.1, steps=20, rng=rng())
        rounded = np.round(wide.weights[0][0].numpy(), 9)
        units[how] = len(np.unique(rounded, axis=0))
    assert units["copies"] == 4
    assert units["uneven"] > 8  # dead units stay equal


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: LowRank(net_of(), 4, rng=rng()), "rank must be at most 3"),
        (lambda: LowRank(net_of(), 2, start="pisa", rng=rng()), "did you mean 'pissa'"),
        (lambda: LowRank(net_of(), 2, scale=0.0, rng=rng()), "scale must be greater than 0"),
        (lambda: LowRank(net_of(), 2, layers=[3], rng=rng()), "layers must be different places among 3"),
        (lambda: LowRank(net_of(), 2, layers=[], rng=rng()), "at least one"),
        (lambda: LowRank(net_of(), 2, layers=[0, -3], rng=rng()), "different places"),
        (
            lambda: LowRank(Residual((6, 8, 3), 2, "relu", "he_normal", rng=rng()), 2, rng=rng()),
            "plain Ensemble, got Residual",
        ),
        (lambda: first_step("momentum", rank=1, scale=1, std=1, rate=1, size=1), "unknown optimizer"),
        (lambda: only(net_of(), [3]), "places among 3"),
        (lambda: replace_head(net_of(), 0, rng=rng()), "outputs must be at least 1"),
        (lambda: rise(np.zeros((3, 2)), np.zeros((4, 2))), "one row a sample"),
        (lambda: widen(net_of(), 8, rng=rng()), "more than the 8"),
        (lambda: widen(net_of(), 20, layer=3, rng=rng()), "layer must be a hidden one, 1 … 2"),
        (lambda: widen(net_of(phi="sigmoid"), 20, how="zero_in", rng=rng()), "needs φ"),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises((TypeError, ValueError), match=said):
        call()
