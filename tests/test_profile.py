"""The recursion of sizes: what it predicts for layers that all differ is what networks do."""

import functools

import numpy as np
import pytest
import torch

from initnotes import theory
from initnotes.networks import Ensemble
from initnotes.schemes import small_random

WIDTHS = (300, 400, 250, 350, 300)
FORWARD, BIASES = (1.5, 0.7, 2.5, 1.2), (0.0, 0.3, 0.1, 0.2)
STDS = [(scale / fan_in) ** 0.5 for scale, fan_in in zip(FORWARD, WIDTHS, strict=False)]
BACKWARD = [fan_out * std**2 for fan_out, std in zip(WIDTHS[1:], STDS, strict=True)]
WITHIN = 0.08  # the mean of 16 networks has a standard error of 1.4 % at most, so chance fails a test at 1e-7


@functools.cache
def sizes(activation: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean squares of signal and gradient in networks of one draw for each layer's own spread."""
    rng = np.random.default_rng(20260111)
    schemes = [small_random(std) for std in STDS]
    net = Ensemble(WIDTHS, activation, schemes, rng=rng, replicas=16)
    for bias, square in zip(net.biases, BIASES, strict=True):
        bias.copy_(torch.from_numpy(rng.normal(0.0, square**0.5, bias.shape)))
    signals = net.forward(torch.from_numpy(rng.standard_normal((16, 8, WIDTHS[0]))))
    back = net.backward(signals, torch.from_numpy(rng.standard_normal((16, 8, WIDTHS[-1])))).pre_activations
    return tuple(np.array([float(z.square().mean()) for z in layers]) for layers in (signals.pre_activations, back))


def is_predicted(found: theory.Profile, measured: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(np.allclose(ours, theirs, rtol=WITHIN) for ours, theirs in zip(found, measured, strict=True))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_sizes_are_those_of_networks(activation: str) -> None:
    found = theory.profile(1.0, activation, forward=FORWARD, backward=BACKWARD, biases=BIASES)
    assert is_predicted(found, sizes(activation))


@pytest.mark.parametrize(
    "wrong",
    [
        {"backward": None},  # fan_in for fan_out on the way back
        {"backward": BACKWARD[::-1]},
        {"biases": 0.0},
        {"biases": BIASES[::-1]},
        {"forward": FORWARD[::-1]},
    ],
)
def test_wrong_sizes_are_caught(wrong: dict) -> None:
    right = {"forward": FORWARD, "backward": BACKWARD, "biases": BIASES}
    assert not is_predicted(theory.profile(1.0, "tanh", **{**right, **wrong}), sizes("tanh"))


def test_a_factor_is_a_step_of_the_recursion() -> None:
    q = np.array([0.3, 2.0])
    found = theory.factors(q, "tanh", sigma_w=1.3)
    two = theory.profile(q, "tanh", forward=[1.0, 1.69])
    assert found.signal == pytest.approx(two.signal[1] / two.signal[0])
    assert found.gradient == pytest.approx(two.gradient[0] / two.gradient[1])
