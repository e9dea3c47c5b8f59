"""LSTMs against torch's own, the decay of their gradient against powers of a matrix, and the task against its words."""

import numpy as np
import pytest
import torch
from scipy import stats

from initnotes.networks.memory import capacity, chrono_decay, decay
from initnotes.networks.recurrent import LSTMs, chrono
from initnotes.networks.sequences import adding, first_sign, last_sign

SEED = 20260208


def rng(seed=SEED):
    return np.random.default_rng(seed)


def peer(net, arm, replica):
    """Return torch's LSTM with the parameters of one replica."""
    weight, recurrent, bias, _, _ = (part[arm, replica].detach() for part in net.parameters)
    lstm = torch.nn.LSTM(weight.shape[0], net.width, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for own, value in zip(lstm.parameters(), (weight.T, recurrent.T, bias[0], 0 * bias[0]), strict=True):
            own.copy_(value)
    return lstm


@pytest.mark.parametrize("arm", [0, 1])
def test_lstm_agrees_with_torch_forward_and_backward(arm):
    net = LSTMs(3, 5, 2, forget_bias=[0.0, 1.5], rng=rng(), replicas=2)
    x = torch.from_numpy(rng(1).standard_normal((2, 4, 7, 3)))
    memory = net.forward(x)
    hidden, (_, cells) = (lstm := peer(net, arm, 1))(x[1])
    readout, offset = (part[arm, 1] for part in net.parameters[3:])
    assert torch.allclose(memory.output[arm, 1], hidden[:, -1] @ readout + offset, atol=1e-12)
    assert torch.allclose(memory.cells[-1][arm, 1], cells[0], atol=1e-12)
    own = torch.autograd.grad(memory.output[arm, 1].sum(), net.parameters[1])[0][arm, 1]
    (hidden[:, -1] @ readout.detach()).sum().backward()
    assert torch.allclose(own.T, lstm.weight_hh_l0.grad, atol=1e-12)


def test_single_precision_rounds_the_same_weights():
    double, single = (
        LSTMs(3, 5, 2, forget_bias=[1.5], rng=rng(), replicas=2, dtype=dtype) for dtype in ("float64", "float32")
    )
    x = torch.from_numpy(rng(1).standard_normal((2, 4, 7, 3)))
    assert {part.dtype for part in single.parameters} == {single(x).dtype} == {torch.float32}
    assert 0 < float((single(x) - double(x)).detach().abs().max()) < 1e-5
    with pytest.raises(ValueError, match="dtype"):
        LSTMs(3, 5, 2, forget_bias=[1.5], rng=rng(), dtype="float16")


def test_arms_differ_in_the_forget_bias_alone():
    net = LSTMs(3, 5, 2, forget_bias=[0.0, 1.5], rng=rng(), replicas=2)
    for at, part in enumerate(net.parameters):
        assert (at == 2) != torch.equal(part[0], part[1])
    bias = net.parameters[2].detach()
    assert (bias[1, ..., 5:10] == 1.5).all()
    assert (bias[1] - bias[0]).sum() == 2 * 5 * 1.5


def test_weights_are_drawn_as_torch_draws_them():
    drawn = LSTMs(2, 64, 2, forget_bias=[0.0], rng=rng(), recurrent_scale=2.0).parameters
    ratio = float(drawn[1].detach().std()) * 8 * 3**0.5
    assert ratio == pytest.approx(2.0, rel=0.01)  # 64 · 256 · 32 draws, a normal draw's scale would give 3.5
    assert float(drawn[0].detach().abs().max()) <= 1 / 8


def test_decay_is_the_product_of_gates_without_recurrent_weights():
    net = LSTMs(2, 16, 1, forget_bias=[-1.0, 0.0, 2.0], rng=rng(), recurrent_scale=0.0, replicas=4)
    net.parameters[0].data *= 0
    memory = net.forward(torch.zeros(4, 1, 9, 2, dtype=torch.float64))
    gradients = torch.autograd.grad(memory.output.sum(), memory.cells)
    for arm, bias in enumerate([-1.0, 0.0, 2.0]):
        sizes = np.array([float(part[arm].square().mean().sqrt()) for part in gradients[::-1]])
        assert sizes / sizes[0] == pytest.approx(decay(np.arange(9), forget_bias=bias, sigma_u=0.0), rel=1e-12)


def test_decay_is_that_of_powers_of_a_random_matrix():
    f, rho, n = 1 / (1 + np.exp(-1.0)), 0.2, 400  # the mean over 16 matrices is within 4 % of a wide one's
    u = rho * rng().standard_normal((16, n, n)) / np.sqrt(n) + f * np.eye(n)
    v = rng(1).standard_normal((16, n, 1))
    sizes = [1.0]
    for _ in range(8):
        v = u @ v
        sizes.append(float(np.sqrt(np.square(v).mean())))
    assert sizes == pytest.approx(decay(np.arange(9), forget_bias=1.0, sigma_u=0.8), rel=0.05)
    assert sizes != pytest.approx(f ** np.arange(9), rel=0.05)  # the forget gates alone are caught


def test_decay_takes_a_number():
    assert decay(3, forget_bias=0.0, sigma_u=0.0) == 0.125


def test_label_is_the_marked_sign():
    x, y = first_sign(6, 200, rng=rng(), replicas=3)
    assert x.shape == (3, 200, 6, 2)
    assert (x[..., 0].abs() == 1).all()
    assert (x[..., 1].sum(-1) == 1).all()
    assert (x[:, :, 0, 1] == 1).all()
    assert torch.equal(x[:, :, 0, 0] > 0, y == 1)
    assert 0.4 < float(y.double().mean()) < 0.6  # 600 fair coins: a fresh seed misses with chance 1e-6


@pytest.mark.parametrize(
    "arguments",
    [
        {"inputs": 0},
        {"width": 2.5},
        {"forget_bias": []},
        {"forget_bias": ["a"]},
        {"recurrent_scale": -1.0},
        {"replicas": 0},
        {"rng": None},
    ],
)
def test_wrong_lstm_is_refused(arguments):
    good = {"inputs": 2, "width": 3, "outputs": 1, "forget_bias": [0.0], "rng": rng(), "replicas": 2}
    good |= arguments
    with pytest.raises((TypeError, ValueError), match=next(iter(arguments))):
        LSTMs(good.pop("inputs"), good.pop("width"), good.pop("outputs"), **good)


def test_sequences_that_do_not_fit_are_refused():
    net = LSTMs(2, 3, 1, forget_bias=[0.0], rng=rng(), replicas=2)
    with pytest.raises(ValueError, match=r"x must have shape \(2, batch, T, 2\), got \(1, 4, 5, 2\)"):
        net(torch.zeros(1, 4, 5, 2, dtype=torch.float64))


def test_arrays_are_taken_and_integers_refused():
    net = LSTMs(2, 3, 1, forget_bias=[0.0, 1.0], rng=rng(), replicas=2)
    x = rng().standard_normal((2, 4, 5, 2))
    assert torch.equal(net(x), net(torch.from_numpy(x)))
    assert repr(net) == "LSTMs(2-3-1, forget biases (0, 1), 2 replicas)"
    with pytest.raises(TypeError, match=r"x must be floating-point numbers, got torch.int64"):
        net(np.zeros((2, 4, 5, 2), int))


@pytest.mark.parametrize("steps", [-1, 501, 1.5])
def test_wrong_steps_are_refused(steps):
    with pytest.raises(ValueError, match="steps must be integers from 0 to 500"):
        decay(steps, forget_bias=0.0)


# ---------------------------------------------------------------------------------------------------------------------
# Starts of the gates: chrono, and what theory says of it


def test_chrono_spreads_the_time_constants_evenly():
    tau = 1 + np.exp(chrono(100, 20_000, rng=rng()))
    evenly = stats.uniform(2, 98)
    assert stats.kstest(tau, evenly.cdf).pvalue > 1e-4
    biases_spread_evenly = 1 + np.exp(rng().uniform(0, np.log(99), 20_000))
    assert stats.kstest(biases_spread_evenly, evenly.cdf).pvalue < 1e-9


def test_arms_take_numbers_and_arrays_for_both_gates():
    b = chrono(50, (2, 5), rng=rng())
    net = LSTMs(3, 5, 2, forget_bias=[1.0, b], input_bias=[0.0, -b], rng=rng(), replicas=2)
    bias = net.parameters[2].detach().numpy()[:, :, 0]
    assert (bias[0, :, 5:10] == 1.0).all()
    assert (bias[0, :, :5] == 0.0).all()
    assert (bias[1, :, 5:10] == b).all()
    assert (bias[1, :, :5] == -b).all()
    assert (bias[..., 10:] == 0.0).all()


def test_decay_knows_how_far_the_input_gate_is_open():
    open_or_shut = [float(decay(1, forget_bias=0.0, input_bias=b, sigma_u=2.0)) for b in (-50.0, 0.0, 50.0)]
    assert open_or_shut == pytest.approx([0.5, np.hypot(0.5, 0.5), np.hypot(0.5, 1.0)])


@pytest.mark.parametrize("input_bias", [0.0, -2.0])
def test_decay_is_that_of_lstms_with_small_cells(input_bias):
    net = LSTMs(1, 128, 1, forget_bias=[-0.5], input_bias=[input_bias], rng=rng(), recurrent_scale=2.0, replicas=12)
    for part in (net.parameters[0], net.parameters[3]):
        part.data *= 1e-3  # near-linear units
    memory = net.forward(torch.ones(12, 1, 9, 1, dtype=torch.float64))
    gradients = torch.autograd.grad(memory.output.sum(), memory.cells)
    sizes = np.array([float(part.square().mean().sqrt()) for part in gradients[::-1]])
    theory = decay(np.arange(9), forget_bias=-0.5, input_bias=input_bias, sigma_u=2 * 3**-0.5)
    assert sizes / sizes[0] == pytest.approx(theory, rel=0.05)
    other = decay(np.arange(9), forget_bias=-0.5, input_bias=-2.0 - input_bias, sigma_u=2 * 3**-0.5)
    assert sizes / sizes[0] != pytest.approx(other, rel=0.05)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_chrono_decay_is_the_mean_over_gates(share):
    T = 4000
    f = 1 / (1 + np.exp(-chrono(T, 100_000, rng=rng())))
    measured = np.sqrt((f ** (2 * share * T)).mean())
    assert measured == pytest.approx(chrono_decay(share * T, T), rel=0.02)
    assert measured != pytest.approx(float(np.exp(-2 * share)), rel=0.02)  # one time constant, the mean one


# ---------------------------------------------------------------------------------------------------------------------
# Linear memory


def test_capacity_is_what_a_regression_explains():
    n, lags, samples = 5, 8, 40_000
    W = 0.9 * np.linalg.qr(rng().standard_normal((n, n)))[0]
    v, u = rng(1).standard_normal(n), rng(2).standard_normal(samples + lags)
    past = np.stack([u[lags - 1 - k : len(u) - 1 - k] for k in range(lags)], axis=1)
    h = sum(np.outer(past[:, k], np.linalg.matrix_power(W, k) @ v) for k in range(lags))
    explained = [1 - np.linalg.lstsq(h, past[:, k])[1][0] / (past[:, k] ** 2).sum() for k in range(lags)]
    assert explained == pytest.approx(capacity([W], [v], lags)[0], abs=0.02)  # 4 standard errors
    left = [np.square(np.linalg.matrix_power(W, k) @ v).sum() for k in range(lags)]  # how large, not what can be read
    assert explained != pytest.approx(left / np.square(v).sum(), abs=0.02)


def test_capacities_add_up_to_the_number_of_units():
    W = np.stack([scale * np.linalg.qr(rng().standard_normal((8, 8)))[0] for scale in (0.9, 0.99)])
    found = capacity(W, rng(1).standard_normal((2, 8)), 2000)
    assert found.sum(1) == pytest.approx([8, 8], abs=1e-3)
    assert found[0, :20].sum() > found[1, :20].sum() + 1  # eigenvalues decide where
    assert capacity(W, rng(1).standard_normal((2, 8)), 2000, noise=0.3).sum(1).max() < 7


def test_a_state_that_grows_is_refused():
    with pytest.raises(ValueError, match="smaller spectral radius"):
        capacity([3 * np.eye(2)], [[1.0, 1.0]], 2000)
    with pytest.raises(ValueError, match=r"\(R, n, n\) and \(R, n\)"):
        capacity(np.eye(2), [1.0, 1.0], 3)


# ---------------------------------------------------------------------------------------------------------------------
# Tasks


def test_label_is_the_last_marked_sign():
    x, y = last_sign(7, 100, rng=rng(), marks=0.3, replicas=2)
    for sequence, label in zip(x.flatten(0, 1), y.flatten(), strict=True):
        marked = sequence[sequence[:, 1] == 1, 0]
        assert (marked[-1] > 0) == label
    assert 0.2 < float(x[:, :, 1:, 1].mean()) < 0.4  # 1200 coins of 0.3: 7 standard errors
    assert float((x[:, :, 0, 0] > 0).eq(y).double().mean()) < 0.9  # the first is another one in most


def test_the_sum_of_the_marked_numbers():
    x, y = adding(9, 200, rng=rng(), replicas=2)
    assert (x[:, :, :4, 1].sum(-1) == 1).all()
    assert (x[:, :, 4:, 1].sum(-1) == 1).all()
    assert torch.allclose((x[..., 0] * x[..., 1]).sum(-1, keepdim=True), y)
    assert float((y - 1).square().mean()) == pytest.approx(1 / 6, abs=0.04)  # 5 standard errors


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: chrono(2, 3, rng=rng()), "length must be greater than 2"),
        (lambda: chrono(9, 3, rng=1), "rng must be"),
        (lambda: chrono_decay(-1, 9), "steps must be 0 or more"),
        (lambda: last_sign(3, 2, rng=rng(), marks=1.5), "marks must be a probability"),
        (lambda: adding(1, 2, rng=rng()), "length must be at least 2"),
        (
            lambda: LSTMs(1, 3, 1, forget_bias=[0.0, 1.0], input_bias=[0.0], rng=rng()),
            "input_bias must be a sequence of 2",
        ),
        (lambda: LSTMs(1, 3, 1, forget_bias=[np.zeros(3)], rng=rng()), r"arrays of shape \(32, 3\)"),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises((TypeError, ValueError), match=said):
        call()
