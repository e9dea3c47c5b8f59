"""Lengths of directions in deep networks, and networks that differ in their square matrices only.

Seeds are fixed; each statistical test states how often a fresh seed would fail it.
"""

import numpy as np
import pytest
import torch

from initnotes import he_normal, orthogonal, theory
from initnotes.book import isometry
from initnotes.schemes import Scheme, lecun_normal

SEED = 20261207


def rng(*seed):
    return np.random.default_rng([SEED, *seed])


def test_a_turn_is_orthogonal_and_turns():
    turn = isometry.turn(30)
    np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(turn @ turn @ turn, isometry.turn(90), atol=1e-12)
    np.testing.assert_allclose(turn @ [1, 0], [3**0.5 / 2, 0.5], atol=1e-12)


def test_orthogonal_linear_layers_keep_every_length():
    found = isometry.log_lengths("linear", orthogonal(), 1.0, width=6, depth=9, rng=rng(1), replicas=5)
    np.testing.assert_allclose(found, 0, atol=1e-12)
    half = isometry.log_lengths("linear", orthogonal(0.5), 1.0, width=6, depth=9, rng=rng(1), replicas=5)
    np.testing.assert_allclose(half, 9 * np.log(0.25))


def test_parts_are_joined(monkeypatch):
    monkeypatch.setattr(isometry, "TOGETHER", 2 * 3 * 16)  # two networks at once
    found = isometry.log_lengths("tanh", lecun_normal, 0.3, width=4, depth=3, rng=rng(2), replicas=5)
    assert found.forward.shape == found.backward.shape == (5,)
    assert len(set(found.forward)) == 5


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_lengths_have_the_exact_moments_of_gaussian_relu_layers(way):
    """Mean and variance of 2000 draws within 5 standard errors: 1e-6, and a factor of 2 would be 15 away."""
    found = getattr(isometry.log_lengths("relu", he_normal, 1.0, width=64, depth=4, rng=rng(3), replicas=2000), way)
    exact = theory.log_moments(64)
    assert abs(found.mean() - 4 * exact.mean) < 5 * found.std() / 2000**0.5
    assert found.var() == pytest.approx(4 * exact.variance, rel=5 * (2 / 2000) ** 0.5)


def test_a_held_signal_wanders_as_the_formula_and_a_free_one_further():
    """Variances of 1000 draws, 5 standard errors: below 1e-5."""
    q = theory.fixed_point("tanh", sigma_w=1.1)
    how = {"width": 32, "depth": 16, "replicas": 1000}
    free, held = (
        isometry.log_lengths("tanh", Scheme(scale=1.21), q / 1.21, rng=rng(4), held=own, **how).forward.var() * 2
        for own in (None, q)
    )
    law = theory.log_variance(q, "tanh")
    assert held == pytest.approx(law, rel=0.22)
    assert free > 1.22 * law


def test_arms_of_a_key_differ_in_their_square_matrices_only():
    made = [isometry.classifier(own, 5, width=12, replicas=3, key=[1, 2]) for own in (orthogonal(1.2), lecun_normal)]
    same = [torch.equal(a, b) for a, b in zip(made[0].weights, made[1].weights, strict=True)]
    assert same == [True, False, False, False, True]
    square = made[0].weights[2]
    torch.testing.assert_close(square @ square.mT, 1.44 * torch.eye(12, dtype=torch.float64).expand(3, -1, -1))
    other = isometry.classifier(lecun_normal, 5, width=12, replicas=3, key=[1, 3])
    assert not torch.equal(other.weights[0], made[0].weights[0])
    short = isometry.classifier(lecun_normal, 5, width=12, replicas=3, key=[1, 2], dtype="float32")
    assert [torch.equal(a.float(), b) for a, b in zip(made[1].tensors, short.tensors, strict=True)] == [True] * 10


def test_ends_and_biases_are_as_asked():
    """The rms of 3 · 64 · 200 weights is within 3 % in all but 1e-15 of the seeds."""
    net = isometry.classifier(lecun_normal, 3, width=200, replicas=3, ends=Scheme(scale=4), sigma_b=0.5, key=3)
    assert float(net.weights[0].std()) == pytest.approx(2 / 8, rel=0.03)
    assert float(net.weights[1].std()) == pytest.approx(200**-0.5, rel=0.03)
    assert float(torch.cat(net.biases[:2], 1).std()) == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 1.5}, {"replicas": 0}])
def test_counts_are_checked(wrong):
    how = {"width": 4, "depth": 2, "rng": rng(5), "replicas": 2} | wrong
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        isometry.log_lengths("relu", he_normal, 1.0, **how)
    with pytest.raises(ValueError, match="depth"):
        isometry.classifier(he_normal, 2)


def test_cosines_of_wide_layers_are_those_of_theory():
    """32 networks of 256 units: medians within 0.05 in all but 1e-6 of the seeds; without biases 0.3 off."""
    u, v = 8 * np.linalg.qr(rng(6).standard_normal((64, 2)))[0].T
    own = Scheme(scale=0.5)
    net = isometry.classifier(own, 5, width=256, ends=own, sigma_b=0.5, key=7)
    found = np.median(isometry.cosines(net, u, 0.6 * u + 0.8 * v), axis=0)
    expected = isometry.expected_cosines(0.6, "tanh", layers=4, sigma_w=0.5**0.5, sigma_b=0.5)
    np.testing.assert_allclose(found, expected, atol=0.05)
    without = isometry.expected_cosines(0.6, "tanh", layers=4, sigma_w=0.5**0.5)
    assert abs(without - expected)[2:].min() > 0.2


def test_the_way_back_is_the_transpose():
    class Fixed:
        """Two units, of which the second sees three times what the first sees."""

        def sample(self, shape, generator, *, replicas):
            return np.broadcast_to([[1.0, 0.0], [3.0, 0.0]], (replicas, *shape))

    found = isometry.log_lengths("tanh", Fixed(), 0.5, width=2, depth=1, rng=rng(7), replicas=6)
    h, u, v = rng(7).standard_normal((3, 6, 2))
    u, v = (own / np.linalg.norm(own, axis=1, keepdims=True) for own in (u, v))
    slopes = [1 - np.tanh(factor * 0.5**0.5 * h[:, 0]) ** 2 for factor in (1, 3)]
    forward = (slopes[0] * u[:, 0]) ** 2 + (3 * slopes[1] * u[:, 0]) ** 2
    np.testing.assert_allclose(found.forward, np.log(forward))
    np.testing.assert_allclose(found.backward, np.log((slopes[0] * v[:, 0] + 3 * slopes[1] * v[:, 1]) ** 2))
