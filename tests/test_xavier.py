"""Chapter 5's measurements against theory, each beside a wrong answer that it must tell from the right one.

Draws have fixed seeds; with a fresh one each statistical test fails with a chance below 1e-4.
"""

import numpy as np
import pytest
import torch

import initnotes as ini
from initnotes.book import xavier
from initnotes.networks import Ensemble
from initnotes.networks.sweeps import Sweep

SHAPE = (24, 60)


def rng(seed=20261130):
    return np.random.default_rng(seed)


def test_a_layers_factors_are_its_fans_times_the_variance():
    forward, backward = xavier.layer_factors("xavier_normal", SHAPE, rng=rng(), replicas=400)
    assert forward.mean() == pytest.approx(2 * 60 / 84, rel=0.05)
    assert backward.mean() == pytest.approx(2 * 24 / 84, rel=0.05)  # the other way round it would be 1.43


def test_signals_are_those_of_autograd():
    net = Ensemble((4, 5, 6, 3), "tanh", "xavier_normal", rng=rng(), replicas=2)
    x, y = rng(2).standard_normal((7, 4)), np.array([0, 1, 2, 0, 1, 2, 0])
    h, delta = xavier.layer_signals(net, x, y)
    z = (torch.from_numpy(x) @ net.weights[0][1].mT).requires_grad_()
    out = torch.tanh(torch.tanh(z) @ net.weights[1][1].mT) @ net.weights[2][1].mT
    (wanted,) = torch.autograd.grad(torch.nn.functional.cross_entropy(out, torch.from_numpy(y)), z)
    assert torch.allclose(h[1][1], torch.tanh(z))
    assert torch.allclose(delta[1][1], wanted)


@pytest.mark.parametrize(("width", "tolerance"), [(128, 0.1), (16, 0.15)])
def test_typical_moments_are_measured(width, tolerance):
    found = xavier.activation_moments("xavier_normal", width, rng=rng(), replicas=200, depth=12)
    typical = np.exp(np.log(found).mean(0))
    assert typical == pytest.approx(xavier.typical_moments(12, width=width), rel=tolerance)


def test_the_drift_is_seen_at_width_16():
    found = xavier.activation_moments("xavier_normal", 16, rng=rng(), replicas=200, depth=30)
    typical = np.exp(np.log(found[:, -1]).mean())
    assert typical < 0.75 * xavier.typical_moments(30)[-1]
    assert typical == pytest.approx(xavier.typical_moments(30, width=16)[-1], rel=0.25)


def test_a_gain_settles_where_the_map_does():
    q = ini.theory.fixed_point("tanh", sigma_w=5 / 3)
    assert xavier.typical_moments(50, gain=5 / 3)[-1] == pytest.approx(q / (5 / 3) ** 2)


@pytest.mark.parametrize(("gain", "centered"), [(1.0, False), (4.0, False), (4.0, True)])
def test_differences_are_as_theory_says(gain, centered):
    net = xavier.sigmoid_net((128,) * 5, gain, rng=rng(), centered=centered)
    found = xavier.relative_difference(net, rng(2).standard_normal((32, 2, 128)))
    assert np.median(found, axis=0) == pytest.approx(
        xavier.difference_in_theory(3, gain, centered=centered), rel=0.1
    )  # of these three no two agree in layer 3


def test_a_centered_sigmoid_is_a_tanh():
    net = xavier.sigmoid_net((8, 7, 6, 5, 3), 4.0, rng=rng(), centered=True, replicas=3)
    x = rng(2).standard_normal((9, 8))
    theirs, ours = (each.forward(x).activations[1:] for each in (net, xavier.tanh_twin(net)))
    for sigmoid, tanh in zip(theirs, ours, strict=True):
        assert torch.allclose(2 * sigmoid - 1, tanh, atol=1e-13)


def test_without_the_biases_it_is_none():
    net = xavier.sigmoid_net((8, 7, 6, 3), 4.0, rng=rng(), replicas=3)
    x = rng(2).standard_normal((9, 8))
    assert (2 * net.forward(x).activations[2] - 1 - xavier.tanh_twin(net).forward(x).activations[2]).abs().max() > 0.01


def a_sweep():
    values = {"a": np.array([[[4.0, 4.0], [2.0, 3.0]]]), "b": np.array([[[8.0, 6.0], [9.0, 9.0]]])}
    return Sweep(np.array([0.1, 0.3]), ("a", "b"), (5,), values, {arm: np.zeros((2, 2), bool) for arm in values})


def test_logs_keep_the_best_rate_and_make_ratios():
    sweep, logs = a_sweep(), xavier.logs(a_sweep())
    assert logs.best("a") == sweep.best("a")
    assert logs.difference("a", "b", 0) == pytest.approx(np.log(sweep.at_best("a", 0) / sweep.at_best("b", 0)))


def test_the_table_tells_each_arm_at_its_own_best():
    assert str(xavier.losses_at_best({2: a_sweep()})).splitlines()[1:] == [
        "2              a      5      2.5",
        "2              b      5      7.0",
    ]


def test_the_table_tells_ranges_where_machines_differ():
    assert [line.split()[-3:] for line in str(xavier.losses_at_best({2: a_sweep()}, width=2)).splitlines()[1:]] == [
        ["2.0", "to", "4.0"],
        ["6.0", "to", "8.0"],
    ]
