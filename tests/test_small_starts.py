"""What the chapter on small random weights predicts and starts from: theory against draws, and against each other."""

import numpy as np
import pytest
import torch

import initnotes as ini
from initnotes.book import small_starts as starts
from initnotes.networks import Ensemble
from initnotes.networks.training import train


def test_second_moments_are_the_map_layer_by_layer() -> None:
    moments = starts.second_moments(0.1, [64, 100, 25], q=2.0)
    first = 0.01 * 64 * 2
    second = ini.theory.variance_map(first, "tanh", sigma_w=1.0)
    assert moments == pytest.approx([first, second, ini.theory.variance_map(second, "tanh", sigma_w=0.5)])


def test_wide_layers_have_the_law_of_layers_with_matrices() -> None:
    """Mean log rms of the third layer, both ways, within five standard errors: false-failure rate below 1e-6."""
    rng = np.random.default_rng([1, 1])
    net = Ensemble((20, 20, 20, 20), "tanh", ini.small_random(0.3), rng=rng, replicas=2000)
    x = np.full((1, 20), 1.0)
    with_matrices = np.log(starts.rms(net(torch.from_numpy(x))).numpy())
    without = np.log(starts.wide(20, 0.3, 3, rng=rng, replicas=2000)[:, -1])
    error = np.sqrt((with_matrices.var() + without.var()) / 2000)
    assert abs(with_matrices.mean() - without.mean()) < 5 * error
    assert abs(without.mean() - np.log(0.3 * 20**0.5) * 3) > 5 * error  # as if tanh were linear


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_density_is_that_of_draws(activation: str) -> None:
    """Shares of 100,000 draws in ten bins, within five standard errors: false-failure rate below 1e-4."""
    z = 0.8 * np.random.default_rng([2, 1]).standard_normal(100_000)
    h = np.tanh(z) if activation == "tanh" else np.maximum(z, 0)
    edges = np.linspace(0.05, 0.95, 11)
    fine = np.linspace(0.05, 0.95, 10_001)
    density = starts.density(0.64, activation)(fine)
    cut = np.array(
        [
            np.trapezoid(part, dx=fine[1] - fine[0])
            for part in np.lib.stride_tricks.sliding_window_view(density, 1001)[::1000]
        ]
    )
    share = np.histogram(h, edges)[0] / len(h)
    assert np.all(abs(share - cut) < 5 * np.sqrt(cut / len(h)))


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_steps_to_grow_solves_its_equation(depth: int) -> None:
    a, steps = 0.2, 0
    while a < 1:
        a, steps = a + 1e-3 * a ** (depth - 1), steps + 1
    assert starts.steps_to_grow(0.2, depth, 1e-3) == pytest.approx(steps, rel=0.01)


@pytest.mark.parametrize("depth", [2, 4])
def test_smallest_scale_inverts_steps_to_grow(depth: int) -> None:
    """But for the 1 that it drops."""
    low = starts.smallest_scale(depth, 0.01 * 2000)
    left_out = 0 if depth == 2 else 1 / ((depth - 2) * 0.01)
    assert starts.steps_to_grow(low, depth, 0.01) + left_out == pytest.approx(2000)


def test_steps_below_waits_for_the_average() -> None:
    loss = np.full((3, 35), 2.0)
    loss[0, 10:] = 0.5
    loss[1, 14] = -50  # one lucky batch, whose ten steps count as a whole
    assert starts.steps_below(loss, 1.0).tolist() == [14.5, 14.5, np.inf]


def test_crossing_from_either_side() -> None:
    scales, losses = np.array([1.0, 4.0, 16.0]), np.array([[3.0], [1.5], [0.5]])
    assert starts.crossing(scales, losses, 1.0) == pytest.approx(8.0)
    assert starts.crossing(scales[::-1], losses, 1.0) == pytest.approx(2.0)
    assert np.isinf(starts.crossing(scales, losses, 0.1)).all()


def test_scaled_draws_the_same_at_every_scale() -> None:
    nets = [starts.scaled((8, 4, 2), scale, rng=np.random.default_rng(3), replicas=2) for scale in (1.0, 2, [2.0, 1.0])]
    assert torch.allclose(2 * nets[0].parameters, nets[1].parameters)
    assert torch.equal(nets[2].weights[1], nets[0].weights[1])
    assert torch.allclose(nets[2].weights[0], nets[1].weights[0])


def test_aligned_layers_pass_each_direction_on() -> None:
    asked = np.random.default_rng(4).standard_normal((10, 64))
    asked -= asked.mean(axis=0)  # of rank nine, as classes make it
    net = starts.aligned(4, 16, asked, rng=np.random.default_rng(5), replicas=3)
    left, _, right = np.linalg.svd(asked)
    product = net.weights[3] @ net.weights[2] @ net.weights[1] @ net.weights[0]
    wanted = torch.from_numpy(left[:, :9] @ right[:9]).expand(3, -1, -1)
    assert torch.allclose(product, wanted)


def test_biases_that_never_move_change_training() -> None:
    x, y = np.random.default_rng(6).standard_normal((20, 4)), np.repeat([0, 1], [15, 5])
    nets = {}
    for kind in (Ensemble, starts.WithoutBiases):
        nets[kind] = kind((4, 6, 2), "tanh", "xavier_normal", rng=np.random.default_rng(7), replicas=2)
        train(nets[kind], x, y, lr=0.5, steps=5, rng=np.random.default_rng(8))
    assert all(torch.equal(bias, torch.zeros_like(bias)) for bias in nets[starts.WithoutBiases].biases)
    assert not any(torch.equal(bias, torch.zeros_like(bias)) for bias in nets[Ensemble].biases)


def test_a_sweep_takes_biases_that_never_move() -> None:
    """Its fast way computes gradients of its own, which must not be taken here."""
    net = starts.WithoutBiases((4, 6, 2), "tanh", "xavier_normal", rng=np.random.default_rng(7), replicas=2)
    x, y = np.random.default_rng(6).standard_normal((20, 4)), np.repeat([0, 1], [15, 5])
    largest = ini.training.sweep(
        {"net": net},
        x,
        y,
        rates=[0.5],
        budgets=[5],
        measure=lambda own: sum(bias.abs().amax(1) for bias in own.biases),
        rng=np.random.default_rng(8),
    )
    assert np.all(largest.values["net"] == 0)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda: starts.density(0.0, "tanh"), ValueError, "q must be greater than 0"),
        (lambda: starts.density(1.0, "gelu"), ValueError, "tanh"),
        (lambda: starts.steps_to_grow(0.1, 1, 1.0), ValueError, "depth"),
        (lambda: starts.wide(3, 0.1, 2, rng=1), TypeError, "Generator"),  # type: ignore[arg-type]
    ],
)
def test_errors(wrong: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        wrong()  # type: ignore[operator]
