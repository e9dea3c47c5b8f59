"""What the chapter on biases predicts, against what it measures, a closed form, or a second way to calculate it."""

import numpy as np
import pytest
import torch

from initnotes.book import biases
from initnotes.networks import Ensemble
from initnotes.networks.recurrent import LSTMs
from initnotes.networks.sweeps import Sweep

SEED = 20260808


def rng(seed=SEED):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------------------------------- a bias in every layer


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_a_wide_deep_relu_network_does_what_the_map_says(bias):
    x = torch.from_numpy(rng(1).standard_normal((16, 400)))
    x /= x.square().mean(1, keepdim=True).sqrt()
    net = Ensemble((400, *[400] * 4, 1), "relu", "he_normal", rng=rng(), replicas=8)
    deep = biases.deep_relu(net, x, torch.ones(8, 16, 1, dtype=torch.float64), bias=bias)
    rms, growth = biases.deep_relu_in_theory(4, bias=bias)
    assert deep.rms.mean(0) == pytest.approx(rms, rel=0.05)  # about 4 standard errors; without the bias off by 40 %
    assert deep.growth.mean() == pytest.approx(growth, rel=0.1)
    assert deep.dead.shape == (8, 4)
    assert all(bool((own == bias).all()) for own in net.biases)


def test_a_layer_far_above_its_noise_is_linear():
    rms, growth = biases.deep_relu_in_theory(2, bias=100.0)
    assert rms[1] == pytest.approx(np.sqrt(2 * (100.0**2 + 2) + 100.0**2), rel=1e-9)
    assert growth == pytest.approx(2**0.5)


def test_units_that_are_off_for_all_inputs_are_dead():
    net = Ensemble((5, 7, 7, 1), "relu", "he_normal", rng=rng(), replicas=2)
    x, top = rng(1).standard_normal((3, 5)), np.ones((2, 3, 1))
    assert (biases.deep_relu(net, x, top, bias=-100.0).dead == 1).all()
    assert (biases.deep_relu(net, x, top, bias=100.0).dead[:, 0] == 0).all()


def test_factor_per_layer_of_a_scaled_identity():
    net = Ensemble((3, 3, 3, 3, 3), "linear", "zeros", rng=rng(), replicas=2)
    for weight in net.weights:
        weight[:] = 0.5 * torch.eye(3, dtype=torch.float64)
    found = biases.factor_per_layer(net, np.ones((2, 3)), first=1, last=3)
    assert found == pytest.approx([0.5, 0.5])
    with pytest.raises(ValueError, match="first must be below last"):
        biases.factor_per_layer(net, np.ones((2, 3)), first=3, last=3)


# -------------------------------------------------------------------------------------------------------- the loss


@pytest.mark.parametrize("s", [0.0, 0.2, 1.0, 3.0])
@pytest.mark.parametrize("prior", [[0.25] * 4, [0.7, 0.2, 0.05, 0.05]])
def test_initial_loss_is_the_mean_over_draws(s, prior):
    prior = np.array(prior)
    logits = np.log(prior) + s * rng().standard_normal((400_000, 4))
    log_sum = np.log(np.exp(logits).sum(1))
    measured = log_sum.mean() - (prior * np.log(prior)).sum()
    error = log_sum.std() / np.sqrt(len(log_sum))
    assert biases.initial_loss(s, prior=prior, frequencies=prior) == pytest.approx(measured, abs=5 * error + 1e-6)


def test_initial_loss_begins_as_its_series():
    prior = np.array([0.8, 0.1, 0.1])
    excess = biases.initial_loss(0.05, prior=prior, frequencies=prior) + (prior * np.log(prior)).sum()
    assert excess == pytest.approx(0.05**2 / 2 * (1 - (prior**2).sum()), rel=0.01)


def test_initial_loss_refuses_what_is_no_distribution():
    with pytest.raises(ValueError, match="prior must be positive numbers with sum 1"):
        biases.initial_loss(1.0, prior=[0.5, 0.6], frequencies=[0.5, 0.5])
    with pytest.raises(ValueError, match="at most 4"):
        biases.initial_loss(5.0, prior=[0.5, 0.5], frequencies=[0.5, 0.5])


def test_first_phase_is_what_sgd_does_when_all_inputs_are_equal():
    h, label = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([1, 0, 0, 0])
    weight = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    losses = []
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy((h @ weight.T + offset).expand(4, 2), label)
        losses.append(loss.item())
        for part, slope in zip((weight, offset), torch.autograd.grad(loss, (weight, offset)), strict=True):
            part.data -= 0.3 * slope
    assert biases.first_phase(0.25, [5.0], lr=0.3, steps=5)[0] == pytest.approx(losses)


def test_a_difference_of_logarithms_is_a_ratio():
    values = {"a": np.full((1, 3, 4), 0.5), "b": np.full((1, 3, 4), 2.0)}
    gone = {arm: np.zeros((3, 4), dtype=bool) for arm in values}
    losses = Sweep(np.array([0.1, 0.2, 0.4]), ("a", "b"), (10,), values, gone)
    assert biases.in_logarithms(losses).difference("a", "b", 0) == pytest.approx(np.log(0.25))
    with pytest.raises(ValueError, match="positive"):
        biases.in_logarithms(Sweep(losses.rates, ("a",), (10,), {"a": -values["a"]}, {"a": gone["a"]}))


# ------------------------------------------------------------------------------------------------------ LSTMs in time


def test_reach_is_one_where_it_starts_and_the_gates_product_without_weights():
    net = LSTMs(2, 6, 1, forget_bias=[0.0, 1.0], recurrent_scale=0.0, rng=rng(), replicas=3)
    net.parameters[0].data *= 0
    found = biases.reach(net, torch.zeros(3, 2, 5, 2, dtype=torch.float64))
    gates = 1 / (1 + np.exp(-np.array([0.0, 1.0])))
    assert found.shape == (2, 3, 5)
    assert found == pytest.approx(np.broadcast_to(gates[:, None, None] ** np.arange(5), found.shape))
