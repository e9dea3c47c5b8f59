"""What the chapter on recurrent networks measures and trains, against powers, autograd and counted walks."""

import numpy as np
import pytest
import torch

from initnotes.book.recurrent import (
    JUDGED_ON,
    gradient_by_lag,
    lstm_gradients,
    on_a_ring,
    remember,
    walk_survival,
)
from initnotes.networks.recurrent import LSTMs
from initnotes.networks.sequences import first_sign, last_sign
from initnotes.networks.updates import cross_entropy

SEED = 20261201


def rng(seed=SEED):
    return np.random.default_rng(seed)


def test_the_gradients_are_those_of_autograd():
    net = LSTMs(2, 5, 2, forget_bias=[0.0, 3.0], input_bias=[0.0, -3.0], rng=rng(), replicas=3)
    x, y = last_sign(7, 4, rng=rng(1), replicas=3)
    loss, found = lstm_gradients(net, x, y)
    output = net(x)
    expected, error = cross_entropy(output.detach(), y.expand(2, -1, -1))
    assert torch.allclose(loss, expected, atol=1e-12)
    for own, peer in zip(found, torch.autograd.grad(output, net.parameters, error), strict=True):
        assert own.shape == peer.shape
        assert torch.allclose(own, peer, atol=1e-12)


def test_a_sweep_learns_and_its_arms_share_weights_and_sequences():
    starts = {"one": (1.0, 0.0), "again": (1.0, 0.0), "chrono": (np.full((4, 8), 2.0), np.full((4, 8), -2.0))}
    how = {"length": 3, "rates": [0.0, 0.05], "budgets": [1, 40], "rng": rng(), "replicas": 4}
    found = remember(first_sign, starts, **how)
    assert found.arms == tuple(starts)
    assert found.values["one"].shape == (2, 2, 4)
    assert np.array_equal(found.values["one"], found.values["again"])
    assert (found.values["one"][0, 0] == found.values["one"][1, 0]).all()  # at rate 0 nothing moves
    assert np.median(found.values["one"][1, 1]) < 0.3 < np.log(2) < found.values["one"][1, 0].max() * 1.2
    assert not found.diverged["chrono"].any()


def test_a_sweep_is_adam_on_each_arm_at_each_rate():
    how = {"length": 3, "rates": [0.01, 0.1], "budgets": [3], "width": 4, "batch": 5, "replicas": 2, "dtype": "float64"}
    found = remember(first_sign, {"zero": (0.0, 0.0), "two": (2.0, 0.0)}, rng=rng(), **how)
    draws = rng()
    net = LSTMs(2, 4, 2, forget_bias=[2.0], rng=draws, replicas=2)
    fresh, first = first_sign(3, JUDGED_ON, rng=draws, replicas=2)
    optimizer = torch.optim.Adam(net.parameters, lr=0.1)
    for _ in range(3):
        x, y = first_sign(3, 5, rng=draws, replicas=2)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x)[0].flatten(0, 1), y.flatten())
        (2 * loss).backward()  # the mean over each replica's own batch
        optimizer.step()
    losses = torch.nn.functional.cross_entropy(net(fresh)[0].mT, first, reduction="none").mean(1)
    assert found.values["two"][0, 1] == pytest.approx(losses.detach().numpy(), abs=1e-6)


def test_a_sweep_in_single_precision_is_nearly_the_same():
    how = {"length": 4, "rates": [0.1], "budgets": [3], "replicas": 2}
    double, single = (
        remember(first_sign, {"one": (1.0, 0.0)}, rng=rng(), dtype=dtype, **how).values["one"]
        for dtype in ("float64", "float32")
    )
    assert 0 < np.abs(single - double).max() < 1e-5


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_gradients_by_lag_agree_with_autograd(activation):
    W, V, x = (
        rng().standard_normal((2, 5, 5)) / 2,
        rng(1).standard_normal((2, 5, 3)),
        rng(2).standard_normal((2, 4, 6, 3)),
    )
    found = gradient_by_lag(W, V, x, activation, rng=rng(3))
    apply = {"linear": lambda z: z, "relu": torch.relu, "tanh": torch.tanh}[activation]
    states = [torch.zeros(2, 4, 5, dtype=torch.float64, requires_grad=True)]
    for now in torch.from_numpy(x).unbind(2):
        states.append(apply(states[-1] @ torch.from_numpy(W).mT + now @ torch.from_numpy(V).mT))
    random = torch.from_numpy(rng(3).standard_normal((2, 4, 5)))
    sizes = [g.square().mean((1, 2)).sqrt() for g in torch.autograd.grad(states[-1], states[:0:-1], random)]
    assert np.allclose(found, (torch.stack(sizes, 1) / sizes[0][:, None]).numpy(), atol=1e-12)


def test_walks_survive_as_the_arcsine_law_says_whatever_their_steps():
    """100,000 walks; beyond 5 standard errors at one of 6 lags about once in 300,000 seeds. √(1-k/T) must fail."""
    T, lags = 30, np.array([1, 5, 15, 25, 29, 30])
    for steps in (rng().standard_normal((100_000, T)), rng(1).uniform(-1, 1, (100_000, T))):
        h, last = np.zeros(len(steps)), np.zeros(len(steps))
        for t in range(T):
            h = np.maximum(0, h + steps[:, t])
            last[h == 0] = t + 1
        share = np.array([(last <= T - k).mean() for k in lags])
        error = np.sqrt(0.25 / len(steps))
        assert (abs(share - walk_survival(lags, T)) < 5 * error).all()
        assert not (abs(share - np.sqrt(1 - lags / T)) < 5 * error).all()
    assert walk_survival(0, T) == pytest.approx(1)


def test_rings_are_even_in_area_and_normal():
    """16,000 radii; their squares' mean has a standard error of 1e-3 here, and 5 of those are allowed."""
    W = on_a_ring(32, 0.5, 1.0, rng=rng(), replicas=1000)
    radius = abs(np.linalg.eigvals(W))
    assert 0.5 <= radius.min() < radius.max() <= 1
    assert abs((radius**2).mean() - 0.625) < 0.009  # even in the radius it would be 0.583
    assert np.allclose(W @ W.mT, W.mT @ W)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: on_a_ring(3, 0, 1, rng=rng()),
        lambda: on_a_ring(4, 1, 0.5, rng=rng()),
        lambda: walk_survival(4, 3),
        lambda: walk_survival(0.5, 3),
        lambda: gradient_by_lag([np.eye(2)], [np.eye(3)], np.zeros((1, 1, 2, 2)), "relu", rng=rng()),
        lambda: gradient_by_lag([np.eye(2)], [np.eye(2)], np.zeros((1, 1, 2, 2)), "gelu", rng=rng()),
    ],
)
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must|unknown"):
        wrong()
