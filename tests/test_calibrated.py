"""Inputs outside the batch that a start was measured on: closed forms against networks."""

import numpy as np
import pytest
import torch

import initnotes as ini
from initnotes import theory
from initnotes.book.calibrated import unseen_growth, unseen_squares
from initnotes.networks import Ensemble, mean_squares

SEED = 20261202


def scaled(batch, per, layers=5, width=96, replicas=32):
    """Return ReLU networks scaled on normal inputs of their own, their signals on 64 others, and their gradients."""
    rng = np.random.default_rng([SEED, batch])
    net = Ensemble((64, *[width] * layers, 10), "relu", "lecun_normal", rng=rng, replicas=replicas)
    x = torch.from_numpy(rng.standard_normal((replicas, batch + 64, 64)))
    ini.lsuv_(net, x[:, 64:], rng=rng, start=None, per=per)
    signals = net.forward(x[:, :64])
    top = torch.from_numpy(rng.standard_normal(signals.output.shape))
    gradients = net.backward(signals, top)
    return mean_squares(signals.pre_activations)[:, :-1], mean_squares(gradients.pre_activations)[:, :-1]


@pytest.mark.parametrize("batch", [8, 16, 48])
def test_unseen_inputs_grow_as_predicted(batch):
    """Medians of 32: within 12 %, or one in 1e4 fresh seeds fails; one number a layer, and a large batch, do not."""
    q, delta = scaled(batch, "unit")
    assert np.median(q, axis=0) == pytest.approx(unseen_squares(batch, 5), rel=0.2)
    growth = np.median((delta[:, 0] / delta[:, -1]) ** (1 / 4))
    assert growth == pytest.approx(unseen_growth(batch), rel=0.08)
    if batch == 8:
        by_layer, _ = scaled(batch, "layer")
        assert np.median(by_layer[:, -1]) < 1.5 < 5 < unseen_squares(8, 5)[-1]
        assert unseen_growth(10**6) < 0.75 * growth


def test_a_large_batch_gives_what_batch_normalization_gives():
    assert unseen_growth(10**7) == pytest.approx(theory.gradient_factor("relu"), abs=1e-5)
    assert unseen_squares(10**9, 50) == pytest.approx(np.ones(50), abs=1e-5)


def test_a_batch_fails_after_about_three_times_its_root():
    for batch in (64, 256, 1024):
        away = (unseen_squares(batch, 200) > 10).argmax() + 1
        assert 2.8 < away / batch**0.5 < 3.5


@pytest.mark.parametrize("call", [lambda: unseen_squares(3, 5), lambda: unseen_growth(3), lambda: unseen_squares(8, 0)])
def test_too_small_numbers_are_refused(call):
    with pytest.raises(ValueError, match="must be at least"):
        call()
