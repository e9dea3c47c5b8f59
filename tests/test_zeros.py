"""What chapter 2 says of zeros: first moves, and what a balanced batch does with a tilt."""

import numpy as np
import pytest
import torch

from initnotes.book.data import Dataset, digits, gaussian_clouds
from initnotes.book.zeros import balanced, by_hand, class_signal, first_moves, steps_to_fall, tilt_growth
from initnotes.networks import Ensemble, Residual
from initnotes.networks.training import cross_entropy
from initnotes.schemes import small_random, zeros

CLOUDS = gaussian_clouds(12, 4, 3, rng=np.random.default_rng(1))  # four samples of each of three classes


def test_the_sigmoid_network_by_hand():
    table = by_hand("sigmoid", steps=2)
    assert table["f before"] == pytest.approx([0, 0.6])
    assert table["b₂"] == ["0.4", "0.56"]  # steps of 0.4 times 1 and 0.4
    assert table["W₂"] == ["(0.2, 0.2)", "(0.28, 0.28)"]  # half of these
    assert table["W₁, unit 1"] == table["W₁, unit 2"] == ["(0, 0)", "(0.008, 0.016)"]  # 0.4 · 0.4 · 0.2 · (1, 2)/4


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear"])
def test_the_others_move_one_number(activation):
    table = by_hand(activation, steps=3)
    assert set(table["W₂"] + table["W₁, unit 1"] + table["W₁, unit 2"]) == {"(0, 0)"}
    assert table["b₂"] == ["0.4", "0.64", "0.784"]  # 1 - 0.6^step


@pytest.mark.parametrize(
    ("activation", "schemes", "expected"),
    [
        ("sigmoid", "zeros", [3, 2, 1]),
        ("tanh", "zeros", [0, 0, 0]),
        ("tanh", [zeros, small_random(0.1), small_random(0.1)], [1, 2, 2]),
        ("tanh", [small_random(0.1), zeros, small_random(0.1)], [2, 1, 2]),
        ("relu", [small_random(0.1), small_random(0.1), zeros], [2, 2, 1]),
        ("relu", [small_random(0.1), zeros, small_random(0.1)], [0, 0, 0]),
        ("tanh", [small_random(0.1), zeros, zeros], [0, 0, 0]),
    ],
)
def test_first_moves(activation, schemes, expected):
    rng = np.random.default_rng(2)
    net = Ensemble((4, 5, 5, 3), activation, schemes, rng=rng, replicas=2)
    data = Dataset(CLOUDS.x[:7], CLOUDS.y[:7])  # not balanced
    assert (first_moves(net, *data, rng=rng) == expected).all()


def test_what_is_too_small_is_no_move():
    rng = np.random.default_rng(2)
    net = Ensemble((4, 5, 3), "sigmoid", "zeros", rng=rng, replicas=2)
    assert not first_moves(net, CLOUDS.x[:7], CLOUDS.y[:7], least=10.0, rng=rng).any()


def test_balanced():
    chosen = balanced(digits().train, 3, classes=4)
    assert chosen.x.shape == (12, 64)
    assert np.bincount(chosen.y).tolist() == [3] * 4
    with pytest.raises(ValueError, match=r"each must be at most .* got 999; classes \[0, 1\] have fewer"):
        balanced(digits().train, 999, classes=2)


def hessian(depth: int) -> torch.Tensor:
    """Return the Hessian of the loss at zeros of a sigmoid network with two units a layer."""
    net = Ensemble((4, *[2] * (depth - 1), 3), "sigmoid", "zeros", rng=np.random.default_rng(1), replicas=1)
    x, y = torch.from_numpy(CLOUDS.x), torch.from_numpy(CLOUDS.y)

    def loss(parameters: torch.Tensor) -> torch.Tensor:
        h = x
        weights, biases = net.split(parameters)
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            h = (h if not layer else h.sigmoid()) @ weight[0].T + bias[0]
        return torch.nn.functional.cross_entropy(h, y)

    start = torch.zeros(len(net.parameters), dtype=torch.float64)
    assert loss(start).item() == pytest.approx(cross_entropy(net(x), y[None])[0].item())
    return torch.autograd.functional.hessian(loss, start)


def test_one_hidden_layer_stands_on_a_saddle_whose_steepest_way_down_is_told():
    lowest = torch.linalg.eigvalsh(hessian(2))[0].item()
    assert tilt_growth(*CLOUDS, classes=3, lr=0.5) == pytest.approx(1 - 0.5 * lowest, rel=1e-12)
    assert lowest < -1e-3  # or nothing was tested


def test_two_hidden_layers_have_no_way_down_at_second_order():
    assert torch.linalg.eigvalsh(hessian(3))[0].item() > -1e-15


def test_the_class_signal_is_that_of_the_class_means():
    means = np.stack([CLOUDS.x[CLOUDS.y == c].mean(0) for c in range(3)])
    np.testing.assert_allclose(class_signal(*CLOUDS, classes=3), (CLOUDS.x.mean(0) - means) / 3, atol=1e-15)


def test_growth_is_told_for_a_balanced_batch_only():
    with pytest.raises(ValueError, match=r"equally often, got \[4, 2, 1\]"):
        tilt_growth(CLOUDS.x[:7], [0, 0, 0, 0, 1, 1, 2], classes=3, lr=1.0)


@pytest.mark.parametrize(
    ("widths", "tilts", "law"),
    [
        ((4, 4, 3), (1e-6, 1e-9), lambda steps, growth: steps + np.log(1e3) / np.log(growth)),
        ((4, 4, 4, 3), (0.05, 0.02), lambda steps, growth: 2.5 * steps),
    ],
    ids=["a factor a step", "the square a step"],
)
def test_a_smaller_tilt_takes_as_much_longer_as_the_law_says(widths, tilts, law):
    def steps(tilt: float) -> float:
        start = {"rng": np.random.default_rng(3), "replicas": 8}  # the same directions for both
        return float(np.median(steps_to_fall(widths, small_random(tilt), CLOUDS, at_most=700, **start)))

    growth = tilt_growth(*CLOUDS, classes=3, lr=2.0)
    assert steps(tilts[1]) == pytest.approx(law(steps(tilts[0]), growth), rel=0.08)


def test_fixup_moves_from_its_zeros_in_the_order_that_the_chapter_tells():
    rng = np.random.default_rng(4)
    net = Residual((4, 5, 3), 1, "relu", "he_normal", last=zeros, head=zeros, rng=rng, replicas=2)
    stem, first, last, _, head = first_moves(net, CLOUDS.x[:7], CLOUDS.y[:7], rng=rng).T
    assert (head == 1).all()  # the skip connection brings it a signal
    assert (stem == 2).all()
    assert (last == 2).all()
    assert (first == 3).all()
