"""What the chapter on lazy and rich starts predicts, against training by hand, other solvers and other derivations.

Draws have fixed seeds. Where a test of random draws could fail on other seeds, it says how far off it is.
"""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from initnotes.book.data import parity, tree
from initnotes.book.lazy import first_strengths, modes, strengths
from initnotes.book.small_starts import WithoutBiases
from initnotes.networks import Ensemble, Normalized, Residual, doubled, movement, tangent_kernel
from initnotes.networks.training import train
from initnotes.schemes import constant, small_random
from initnotes.theory import diagonal_solution, kernel_prediction, mode_half_time, mode_strength

SEED = 20261201


def rng(seed=SEED):
    return np.random.default_rng(seed)


# --- the diagonal network ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sparse():
    """Eight problems of 16 samples in 40 dimensions with 2 weights that are not 0."""
    x, w = rng().standard_normal((8, 16, 40)), np.zeros((8, 40))
    w[:, :2] = [1.0, -2.0]
    return x, w, (x @ w[..., None])[..., 0]


def descended(x, y, alpha, lr):
    """Return u² − v² after gradient descent on |x(u² − v²) − y|²/4 from u = v = α, until y is met."""
    u = v = np.full(x.shape[-1], alpha)
    for _ in range(200_000):
        missing = y - x @ (u**2 - v**2)
        if abs(missing).max() < 1e-9:
            return u**2 - v**2
        pull = lr * (missing @ x)
        u, v = u * (1 + pull), v * (1 - pull)
    raise AssertionError("descent has not arrived")


@pytest.mark.parametrize("alpha", [0.7, 0.1])
def test_descent_on_the_diagonal_network_ends_there_but_for_its_step(sparse, alpha):
    x, y = sparse[0][0, :6, :12], sparse[2][0, :6]
    exact = diagonal_solution(x, y, alpha)
    off = [np.linalg.norm(descended(x, y, alpha, lr) - exact) for lr in (4e-3, 2e-3, 1e-3)]
    assert off[0] / off[1] == pytest.approx(2, rel=0.1)
    assert off[1] / off[2] == pytest.approx(2, rel=0.1)
    assert off[2] < 0.01 * np.linalg.norm(exact)


@pytest.mark.parametrize("wrong", [0.5, 2.0])
def test_another_start_ends_elsewhere(sparse, wrong):
    x, y = sparse[0][0, :6, :12], sparse[2][0, :6]
    near = descended(x, y, 0.7, 1e-3)
    assert np.linalg.norm(near - diagonal_solution(x, y, 0.7 * wrong**0.5)) > 0.02 * np.linalg.norm(near)


def test_a_large_alpha_gives_the_smallest_euclidean_norm(sparse):
    x, _, y = sparse
    shortest = (np.linalg.pinv(x) @ y[..., None])[..., 0]
    assert np.allclose(diagonal_solution(x, y, 8.0), shortest, atol=1e-4)
    assert not np.allclose(diagonal_solution(x, y, 0.5), shortest, atol=1e-2)


def test_a_small_alpha_gives_the_smallest_absolute_sum(sparse):
    """How fast depends on how nearly another coordinate would do: in all draws the sum falls, in most w arrives."""
    x, _, y = sparse
    both = np.concatenate([x, -x], axis=2)
    found = [linprog(np.ones(80), A_eq=rows, b_eq=own) for rows, own in zip(both, y, strict=True)]
    w = [diagonal_solution(x, y, 2.0**power) for power in (-1, -4, -10, -20)]
    excess = [abs(own).sum(1) / [solved.fun for solved in found] - 1 for own in w]
    assert (excess[0] > excess[1]).all()
    assert (excess[1] > excess[2]).all()
    assert (excess[2] > excess[3]).all()
    assert (excess[3] > -1e-9).all()
    assert (excess[3] < 1e-2).all()
    least = np.array([solved.x[:40] - solved.x[40:] for solved in found])
    off = [np.median(abs(own - least).max(1)) for own in w]
    assert off[0] > 0.3
    assert off[2] < 0.01
    assert off[3] < 1e-4


@pytest.mark.parametrize("alpha", [2.0**-30, 2.0**-10, 1.0, 8.0, 1e6])
def test_the_solution_interpolates_and_lies_on_the_flow(sparse, alpha):
    x, _, y = sparse
    w = diagonal_solution(x, y, alpha)
    assert np.allclose((x @ w[..., None])[..., 0], y, atol=1e-8)
    dual = np.arcsinh(w / (2 * alpha**2))  # has to be xᵀν
    residual = dual - (np.linalg.pinv(x) @ (x @ dual[..., None]))[..., 0]
    assert abs(residual).max() < 1e-6 * abs(dual).max()


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([[1.0, 2.0]], [[1.0]], "shapes"),
        ([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0], "independent"),
        ([[1.0], [2.0]], [1.0, 2.0], "independent"),
    ],
)
def test_what_has_no_solution_is_refused(x, y, said):
    with pytest.raises(ValueError, match=said):
        diagonal_solution(x, y, 1.0)


def test_an_alpha_below_what_numbers_resolve_is_refused(sparse):
    with pytest.raises(ValueError, match="alpha must"):
        diagonal_solution(sparse[0], sparse[2], 2.0**-60)


# --- modes in time ----------------------------------------------------------------------------------------------------


def test_mode_strength_solves_its_equation():
    t = np.linspace(0, 12, 24_001)
    for mu, g_0 in [(1.4, 1e-5), (0.5, 0.4), (0.5, 2.0)]:
        g = mode_strength(mu, g_0, t)
        assert g[0] == pytest.approx(g_0)
        assert np.allclose(np.gradient(g, t)[1:-1], (2 * g * (mu - g))[1:-1], atol=1e-5)
        if g_0 < mu / 2:
            assert mode_strength(mu, g_0, mode_half_time(mu, g_0)) == pytest.approx(mu / 2)


@pytest.fixture(scope="module")
def grown():
    """Return modes of the tree, a₀ and strengths over time of 16 two-layer linear networks from a small start."""
    data, lr = tree(), 0.02
    of = modes(*data)
    net = WithoutBiases((8, 32, 15), "linear", small_random(2e-4), rng=rng(), replicas=16)
    start = first_strengths(net, of)
    watch = {"strengths": lambda now: strengths(now, of)}
    history = train(net, *data, loss="mse", lr=lr, steps=1800, watch=watch, every=5, rng=rng())
    return of, start, lr * history.steps, history.measures["strengths"]


def test_a_linear_network_learns_the_tree_mode_by_mode_at_the_times_of_theory(grown):
    """Nothing is fitted. Modes 4 to 7 share one strength, and mix: only their middle is compared."""
    of, start, time, measured = grown
    half = time[(measured > of.strengths / 2).argmax(1)]
    predicted = mode_half_time(of.strengths, start)
    assert np.allclose(half[:, :2], predicted[:, :2], rtol=0.03)
    assert np.allclose(np.median(half, 0), np.median(predicted, 0), rtol=0.06)
    curves = mode_strength(of.strengths[:2, None], start[:, :2, None], time)
    assert abs(measured[:, :, :2].transpose(0, 2, 1) - curves).max() < 0.06 * of.strengths[0]


def test_strengths_at_the_start_are_not_what_theory_needs(grown):
    """uᵀW₂W₁v itself may be negative, and the mean of |W₁v|² and |W₂ᵀu|² counts the part that shrinks, too."""
    of, start, time, measured = grown
    half = time[(measured > of.strengths / 2).argmax(1)][:, 0]
    predicted = mode_half_time(of.strengths[0], start[:, 0])
    twice = mode_half_time(of.strengths[0], 4 * start[:, 0])
    assert (measured[:, 0, 0] < 0).any()
    assert abs(half - predicted).mean() < 0.2 * abs(half - twice).mean()


def test_modes_are_those_of_the_tree():
    data = tree()
    of = modes(*data)
    assert data.x.shape == (8, 8)
    assert data.y.shape == (8, 15)
    assert data.y.sum(1).tolist() == [4] * 8
    assert data.y.sum(0).tolist() == [8, 4, 4, 2, 2, 2, 2, *[1] * 8]
    shared = (data.y @ data.y.T).astype(int)
    assert shared[0].tolist() == [4, 3, 2, 2, 1, 1, 1, 1]
    assert np.allclose(of.outputs * of.strengths @ of.inputs.T, data.y.T @ data.x / 8)


def test_what_has_no_modes_or_strengths_is_refused():
    of = modes(*tree(1))
    with pytest.raises(ValueError, match="second moments"):
        modes(np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="shapes"):
        modes(np.eye(2), [0, 1])
    with pytest.raises(ValueError, match="linear"):
        strengths(Ensemble((2, 4, 3), "relu", "he_normal", rng=rng(), replicas=2), of)
    with pytest.raises(TypeError, match="Ensemble"):
        first_strengths(torch.nn.Linear(2, 3), of)
    for wrong in ({"mu": 0.0}, {"g_0": -1.0}, {"t": [-1.0]}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            mode_strength(**{"mu": 1.0, "g_0": 0.1, "t": 1.0} | wrong)


# --- tangent kernels --------------------------------------------------------------------------------------------------


def by_autograd(net, x, x2, *, biases=True):
    """Return the kernel of replica 1 of a tanh network with two hidden layers, from gradients that torch takes."""

    def gradients(sample):
        parts = [part[1].clone().requires_grad_() for part in net.tensors]
        h = torch.as_tensor(sample)
        for at in range(0, 6, 2):
            z = parts[at] @ h + parts[at + 1]
            h = torch.tanh(z)
        trained = parts if biases else parts[::2]
        rows = [torch.autograd.grad(output, trained, retain_graph=True) for output in z]
        return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])

    first, second = (torch.cat([gradients(sample) for sample in batch]) for batch in (x, x2))
    return (first @ second.T).numpy()


@pytest.mark.parametrize(("kind", "biases"), [(Ensemble, True), (WithoutBiases, False)])
def test_tangent_kernel_is_that_of_torchs_gradients(kind, biases):
    net = kind((3, 5, 4, 2), "tanh", "he_normal", rng=rng(), replicas=2)
    x, x2 = rng(1).standard_normal((4, 3)), rng(2).standard_normal((3, 3))
    kernel = tangent_kernel(net, x, x2)
    assert kernel.shape == (2, 8, 6)
    assert np.allclose(kernel[1], by_autograd(net, x, x2, biases=biases))
    assert not np.allclose(kernel[1], by_autograd(net, x, x2, biases=not biases))
    assert np.allclose(tangent_kernel(net, x), tangent_kernel(net, x, x.copy()))


def test_both_ways_to_a_kernel_agree_on_a_plain_network():
    plain = Ensemble((3, 6, 5, 2), "tanh", "he_normal", rng=rng(), replicas=3)
    same = Normalized((3, 6, 5, 2), "tanh", "he_normal", norm=None, rng=rng(), replicas=3)
    x = torch.from_numpy(rng(1).standard_normal((3, 4, 3)))  # each replica its own
    assert torch.equal(plain.parameters, same.parameters)
    assert np.allclose(tangent_kernel(plain, x), tangent_kernel(same, x))
    assert np.allclose(tangent_kernel(plain, x, x[:, :2]), tangent_kernel(same, x, x[:, :2]))


@pytest.mark.parametrize("norm", [None, "rms"])
def test_a_step_along_the_gradient_moves_a_residual_network_as_its_kernel_says(norm):
    net = Residual((3, 8, 2), 2, "tanh", "he_normal", norm=norm, rng=rng(), replicas=3)
    x, g = rng(1).standard_normal((4, 3)), torch.from_numpy(rng(2).standard_normal((3, 4, 2)))
    direction = net.backward(net.forward(x), g).parameters
    ends = []
    for sign in (1, -1):
        moved = net.part(slice(None))
        moved.parameters.add_(direction, alpha=sign * 1e-5)
        ends.append(moved(x))
    measured = ((ends[0] - ends[1]) / 2e-5).flatten(1).numpy()
    predicted = (tangent_kernel(net, x) @ g.flatten(1).numpy()[..., None])[..., 0]
    assert np.allclose(measured, predicted, rtol=1e-5, atol=1e-6)


def test_networks_without_a_kernel_are_refused():
    net = Normalized((3, 6, 2), "tanh", "he_normal", norm="batch", rng=rng(), replicas=2)
    with pytest.raises(ValueError, match="rest of the batch"):
        tangent_kernel(net, np.ones((4, 3)))
    with pytest.raises(TypeError, match="Ensemble"):
        tangent_kernel(torch.nn.Linear(3, 2), np.ones((4, 3)))


def test_kernel_prediction_is_descent_on_the_linear_model():
    features, tests = rng(1).standard_normal((2, 6, 9)), rng(2).standard_normal((2, 4, 9))
    y, until, lr = rng(3).standard_normal((3, 2)), 0.03, 1e-3
    kernel, across = features @ features.mT, tests @ features.mT
    predicted = kernel_prediction(kernel, across, y, until=until)
    assert predicted.shape == (2, 4 // 2, 2)
    for replica in range(2):
        theta, steps = np.zeros(9), 0
        while True:
            missing = y.ravel() - features[replica] @ theta
            if (missing**2).sum() / 6 <= until:
                break
            theta, steps = theta + lr * missing @ features[replica] / 3, steps + 1
        assert steps > 100
        assert np.allclose(predicted[replica].ravel(), tests[replica] @ theta, atol=2e-3)
        assert not np.allclose(
            predicted[replica].ravel(), kernel_prediction(kernel, across, y, until=0.06)[replica].ravel(), atol=2e-2
        )


def test_kernel_prediction_ends_at_interpolation_and_begins_at_nothing():
    features = rng(1).standard_normal((6, 9))
    kernel, y = features @ features.T, rng(3).standard_normal((6, 1))
    assert np.allclose(kernel_prediction(kernel, kernel, y, until=1e-20), y)
    assert np.array_equal(kernel_prediction(kernel, kernel, y, until=100.0), np.zeros((6, 1)))
    flat = features[:, :3] @ features[:, :3].T
    with pytest.raises(ValueError, match="cannot learn"):
        kernel_prediction(flat, flat, y, until=1e-6)
    with pytest.raises(ValueError, match="cannot learn"):
        kernel_prediction(0 * kernel, kernel, y, until=1e-6)
    with pytest.raises(ValueError, match="shapes"):
        kernel_prediction(kernel, kernel, y[:4], until=0.1)
    with pytest.raises(ValueError, match="shapes"):
        kernel_prediction(np.stack([kernel, kernel]), kernel[None], y, until=0.1)


# --- lazy networks ----------------------------------------------------------------------------------------------------


def scaled(scale, bits):
    """Return doubled ReLU networks, all weights times a scale."""
    net = doubled(WithoutBiases((bits, 48, 1), "relu", "he_normal", rng=rng(), replicas=8))
    net.parameters.mul_(scale)
    return net


UNTIL = 0.02


def trained(scale, steps):
    """Return what networks at equal loss say of test inputs, what their kernels do, and how far weights have moved."""
    learn, test = parity(12, train=60, test=200, rng=rng(3))
    net = scaled(scale, 12)
    kernel = tangent_kernel(net, learn.x)
    lazy = kernel_prediction(kernel, tangent_kernel(net, test.x, learn.x), learn.y, until=UNTIL)[..., 0]
    before = net.part(slice(None))
    lr = 0.25 * len(learn.x) / np.linalg.eigvalsh(kernel)[:, -1]
    watch = {"test": lambda now: now(test.x)[..., 0], "moved": lambda now: movement(now, before)}
    history = train(net, *learn, loss="mse", lr=lr, steps=steps, watch=watch, every=3, rng=rng())
    at = (history.loss <= UNTIL).argmax(1)
    assert (history.loss.min(1) <= UNTIL).all()
    rows = np.arange(net.replicas)
    said, moved = history.measures["test"][rows, at], history.measures["moved"][rows, at]
    right = (np.sign(said) == test.y[:, 0]).mean(1)
    return np.linalg.norm(said - lazy, axis=1) / np.linalg.norm(lazy, axis=1), right, moved


def test_the_kernel_predicts_large_starts_and_not_small_ones():
    """Replica by replica; the medians lie further off these limits than the replicas spread."""
    off, right, moved = trained(8.0, 1300)
    off_small, right_small, moved_small = trained(1 / 8, 90)
    assert (off < 0.1).all()
    assert (moved < 0.01).all()
    assert (off_small > 0.3).all()
    assert (moved_small > 0.5).all()
    assert np.median(right_small) > np.median(right) + 0.1


def test_doubled_networks_start_at_zero_with_twice_the_kernel_and_scale_as_their_degree():
    net = WithoutBiases((8, 48, 1), "relu", "he_normal", rng=rng(), replicas=8)
    x = rng(1).standard_normal((5, 8))
    twin = scaled(1.0, 8)
    assert type(twin) is WithoutBiases
    assert twin.widths == (8, 96, 1)
    assert twin(x).abs().max() < 1e-12
    assert np.allclose(tangent_kernel(twin, x), 2 * tangent_kernel(net, x))
    assert np.allclose(tangent_kernel(scaled(3.0, 8), x), 9 * tangent_kernel(twin, x))
    biased = doubled(Ensemble((8, 4, 2), "tanh", "he_normal", bias=0.7, rng=rng(), replicas=2))
    assert biased(x).abs().max() < 1e-12
    assert bool((biased.biases[0] == 0.7).all())


def test_doubling_leaves_the_network_alone_and_refuses_others():
    net = Ensemble((3, 4, 2), "relu", "he_normal", rng=rng(), replicas=2)
    kept = net.parameters.clone()
    doubled(net).parameters.mul_(0)
    assert torch.equal(net.parameters, kept)
    assert net.widths == (3, 4, 2)
    with pytest.raises(ValueError, match="one hidden layer"):
        doubled(Ensemble((3, 4, 4, 2), "relu", "he_normal", rng=rng(), replicas=2))
    with pytest.raises(TypeError, match="Ensemble"):
        doubled(torch.nn.Linear(3, 2))


def test_movement_is_relative_over_all_matrices_replica_by_replica():
    net = Ensemble((3, 4, 2), "relu", constant(0.5), rng=rng(), replicas=2)
    before = net.part(slice(None))
    net.weights[1][1] += 1.0  # 8 of 20 entries of 0.5
    net.biases[0] += 9.0
    assert movement(net, before) == pytest.approx([0.0, (8 / 5) ** 0.5])
    with pytest.raises(TypeError, match="Ensembles"):
        movement(net, before.weights)
    with pytest.raises(ValueError, match="two times"):
        movement(net, before.part(slice(0, 1)))


# --- parity -----------------------------------------------------------------------------------------------------------


def test_parity_is_the_product_of_the_hidden_bits_and_repeats_nothing():
    learn, test = parity(10, 3, train=600, test=424, rng=rng())
    x, y = np.concatenate([learn.x, test.x]), np.concatenate([learn.y, test.y])
    assert len(np.unique(x, axis=0)) == 1024  # all there are
    assert set(np.unique(x)) == {-1.0, 1.0}
    assert np.array_equal(y[:, 0], x[:, 0] * x[:, 1] * x[:, 2])
    assert np.array_equal(parity(10, 3, train=600, test=424, rng=rng()).train.x, learn.x)


def test_each_bit_of_parity_is_a_fair_coin_and_none_but_the_product_tells():
    """62 bits, 10,000 samples: means within 5 standard errors, so a false failure in 1e-4 of seeds, for both checks."""
    x, y = parity(62, train=10_000, test=1, rng=rng()).train
    assert abs(x.mean(0)).max() < 0.05
    assert abs((x * y).mean(0)).max() < 0.05
    assert (x[:, 0] * x[:, 1] * y[:, 0]).mean() == 1


@pytest.mark.parametrize("wrong", [{"bits": 63}, {"bits": 3, "hidden": 4}, {"bits": 3, "train": 8, "test": 1}])
def test_parities_that_do_not_exist_are_refused(wrong):
    with pytest.raises(ValueError, match="parity has at most"):
        parity(**wrong, rng=rng())
    with pytest.raises(ValueError, match="levels"):
        tree(11)
