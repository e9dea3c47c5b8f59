"""LSTMs against torch's own, the decay of their gradient against powers of a matrix, and the task against its words."""

import numpy as np
import pytest
import torch

from initnotes.networks.recurrent import LSTMs, decay, first_sign

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
    assert repr(net) == "LSTMs(2-3-1, forget biases (0.0, 1.0), 2 replicas)"
    with pytest.raises(TypeError, match=r"x must be floating-point numbers, got torch.int64"):
        net(np.zeros((2, 4, 5, 2), int))


@pytest.mark.parametrize("steps", [-1, 501, 1.5])
def test_wrong_steps_are_refused(steps):
    with pytest.raises(ValueError, match="steps must be integers from 0 to 500"):
        decay(steps, forget_bias=0.0)
