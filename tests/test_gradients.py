"""Chapter 4's predictions against autograd, against the exact law of linear networks, and against draws."""

import numpy as np
import pytest
import torch
from scipy.special import psi

import initnotes as ini
from initnotes.book.gradients import (
    WithoutBiases,
    backward_factors,
    hidden_gradients,
    match_outputs_,
    predicted_ratios,
    predicted_sizes,
    slope,
    typical_border,
    typical_log_factor,
    update_ratios,
    walk_back,
)
from initnotes.networks import Ensemble
from initnotes.networks.training import train

SEED = 20260204


def rng(seed=SEED):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh", "sigmoid"])
def test_slopes_are_those_of_the_activation_and_do_not_round_to_zero(activation):
    z = torch.linspace(-5, 5, 41, dtype=torch.float64)
    expected = ini.activations.get(activation).derivative(z)
    torch.testing.assert_close(slope(z, activation), expected, rtol=1e-9, atol=1e-12)
    if activation in ("tanh", "sigmoid"):
        assert (slope(torch.tensor([-300.0, 300.0], dtype=torch.float64), activation) > 0).all()


@pytest.mark.parametrize(("activation", "sigma_w"), [("tanh", 2.0), ("relu", 2.0), ("sigmoid", 1.0)])
def test_walking_back_gives_the_factors_of_theory(activation, sigma_w):
    found = walk_back(activation, 150, [sigma_w, 1.0], depth=6, rng=rng())
    expected = np.log(backward_factors(activation, sigma_w, 6))
    # a median of 32 over 150 units: its error is about 0.02, so 0.1 fails for a fresh seed less often than 1e-4
    np.testing.assert_allclose(np.median(found.steps[..., 0], axis=1), expected, atol=0.1)
    np.testing.assert_allclose(found.below[-1], found.steps.sum(axis=0))
    assert np.abs(np.median(found.weights[..., 0]) - 2 * np.log(sigma_w)) < 0.1
    assert [z.shape for z in found.pre_activations] == [(32, 2, 150)] * 6


def test_biases_and_settings_share_their_draws():
    pair = walk_back("tanh", 20, [1.5, 1.5], [0.0, 0.5], depth=4, rng=rng(), replicas=3)
    alone = walk_back("tanh", 20, 1.5, 0.5, depth=4, rng=rng(), replicas=3)
    np.testing.assert_allclose(pair.steps[..., 1:], alone.steps)
    assert np.abs(pair.steps[..., 0] - pair.steps[..., 1]).max() > 0.01


def test_predicted_sizes_are_those_of_wide_networks():
    net = Ensemble((200,) * 6, "tanh", ini.Scheme(scale=4.0), rng=rng())
    x, top = torch.from_numpy(rng(1).standard_normal((2, 32, 1, 200)))
    found = net.backward(net.forward(x), top)
    for tensors, expected in zip((found.pre_activations, found.weights), predicted_sizes("tanh", 2.0, 5), strict=True):
        measured = [np.median(part.square().mean((1, 2)).sqrt()) for part in tensors[:-1]]
        np.testing.assert_allclose(measured, expected, rtol=0.12)
        assert np.abs(np.array(measured) / expected[::-1] - 1).max() > 0.2  # the wrong way round


def test_hidden_gradients_are_those_of_each_inputs_own_loss():
    net = Ensemble((4, 5, 5, 3), "tanh", "xavier_normal", rng=rng(), replicas=2)
    x, y = rng().standard_normal((6, 4)), rng().integers(3, size=6)
    alone = hidden_gradients(net, x[2:3], y[2:3])
    assert list(alone) == [1, 2]
    for layer, delta in hidden_gradients(net, x, y).items():
        torch.testing.assert_close(delta[:, 2:3], alone[layer])


def test_the_typical_factor_is_exact_for_linear_layers():
    widths = np.array([2, 5, 40])
    np.testing.assert_allclose(
        typical_log_factor("linear", 1.3, widths), 2 * np.log(1.3) + psi(widths / 2) - np.log(widths / 2), atol=1e-3
    )


@pytest.mark.parametrize(("activation", "sigma_w", "width"), [("tanh", 16.0, 8), ("sigmoid", 16.0, 12)])
def test_the_typical_factor_is_that_of_draws(activation, sigma_w, width):
    q = ini.theory.fixed_point(activation, sigma_w=sigma_w)
    z, xi = rng().standard_normal((2, 100_000, width))
    squares = slope(torch.from_numpy(q**0.5 * z), activation).numpy() ** 2 * xi**2
    logs = np.log(sigma_w**2 * squares.mean(axis=1))
    error = logs.std() / len(logs) ** 0.5
    found = typical_log_factor(activation, sigma_w, [width])[0]
    assert abs(found - logs.mean()) < 4 * error + 0.01
    assert abs(found - np.log(ini.theory.chi(activation, sigma_w=sigma_w))) > 0.5  # the mean's is another


def test_borders_lie_where_the_typical_factor_is_one():
    for activation, sigma_w in (("tanh", 16.0), ("sigmoid", 16.0)):
        border = typical_border(activation, sigma_w)
        below, above = typical_log_factor(activation, sigma_w, [border / 1.1, border * 1.1])
        assert below < 0 < above
    assert typical_border("sigmoid", 9.0) == np.inf
    assert typical_border("linear", 3.0) == 2.0


def digits(samples=64):
    data, _ = ini.data.digits()
    return data.x[:samples], data.y[:samples]


def test_ratios_of_updates_are_the_change_over_the_weights():
    net = Ensemble((64, 8, 10), "tanh", "xavier_normal", rng=rng(), replicas=3)
    twin = net.part(slice(0, 3))
    options = {"optimizer": "sgd", "lr": 0.1, "batch_size": 4}
    ratios = update_ratios(net, *digits(), steps=2, rng=rng(), **options)
    train(twin, *digits(), steps=2, rng=rng(), **options)
    assert ratios.shape == (3, 2, 2)
    for weight, trained in zip(net.weights, twin.weights, strict=True):
        torch.testing.assert_close(weight, trained)
    start = Ensemble((64, 8, 10), "tanh", "xavier_normal", rng=rng(), replicas=3)
    one = start.part(slice(0, 3))
    train(one, *digits(), steps=1, rng=rng(), **options)
    change = (one.weights[1] - start.weights[1]).square().mean((1, 2)) / start.weights[1].square().mean((1, 2))
    np.testing.assert_allclose(ratios[:, 0, 1], change.sqrt(), rtol=1e-12)


@pytest.mark.parametrize("sigma_w", [0.08, 1.0])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_predicted_ratios_of_the_first_step(optimizer, sigma_w):
    net = Ensemble((64,) * 8 + (10,), "tanh", ini.Scheme(scale=sigma_w**2), rng=rng())
    options = {"optimizer": optimizer, "lr": 1e-3}
    expected = predicted_ratios(net, sigma_w, *digits(), **options)
    found = update_ratios(net, *digits(), steps=1, batch_size=1, rng=rng(), **options)[:, 0, :-1]
    np.testing.assert_allclose(np.median(found, axis=0), expected, rtol=0.5)
    if (optimizer, sigma_w) == ("adam", 1.0):
        np.testing.assert_allclose(expected, 8e-3, rtol=0.01)  # η / σ


def test_biases_that_never_move_stay_zero_in_training_and_in_a_sweep():
    nets = {
        "without": WithoutBiases((64, 8, 10), "relu", "he_normal", rng=rng(), replicas=4),
        "with": Ensemble((64, 8, 10), "relu", "he_normal", rng=rng(), replicas=4),
    }
    options = {"rates": [0.1, 0.2], "budgets": [5], "batch_size": 8, "rng": rng()}
    size = lambda net: torch.stack([bias.abs().amax(1) for bias in net.biases]).amax(0)  # noqa: E731
    moved = ini.training.sweep(nets, *digits(), measure=size, **options).values
    assert (moved["without"] == 0).all()
    assert (moved["with"] > 0).all()


def test_outputs_are_matched_replica_by_replica():
    small, large = (Ensemble((64, 8, 8, 10), "tanh", ini.Scheme(scale=s), rng=rng(), replicas=3) for s in (1.0, 16.0))
    x, _ = digits()
    before = large.weights[0].clone()
    assert match_outputs_(large, small, x) is large
    rms = [net(torch.from_numpy(x)).square().mean((1, 2)) for net in (small, large)]
    torch.testing.assert_close(*rms)
    torch.testing.assert_close(large.weights[0], before)
