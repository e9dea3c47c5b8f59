"""The one recursion of sizes: against its steps, closed forms and wide networks, and what it says to bad input."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from initnotes import theory, widgets
from initnotes.activations import Activation, get
from initnotes.theory import gaussian
from initnotes.theory.pieces import Pieces

FORWARD, BACKWARD, BIASES = [1.3, 2.1, 0.8, 1.7], [9.0, 1.9, 1.2, 0.6], [0.2, 0.0, 0.3, 0.1]


@pytest.mark.parametrize("activation", ["tanh", "relu", lambda x: np.maximum(x - 0.3, 0)])
def test_it_is_the_maps_layer_by_layer(activation):
    found = theory.profile(0.7, activation, forward=FORWARD, backward=BACKWARD, biases=BIASES, last_gradient=0.4)
    q = [theory.variance_map(0.7, "linear", sigma_w=FORWARD[0] ** 0.5, sigma_b=BIASES[0] ** 0.5)]
    for scale, bias in zip(FORWARD[1:], BIASES[1:], strict=True):
        q.append(theory.variance_map(q[-1], activation, sigma_w=scale**0.5, sigma_b=bias**0.5))
    gradient = [0.4]
    for layer in (2, 1, 0):
        gradient.insert(0, BACKWARD[layer + 1] * theory.derivative_second_moment(q[layer], activation) * gradient[0])
    np.testing.assert_allclose(found.signal, q, rtol=1e-9)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-8)


def test_linear_layers_multiply():
    found = theory.profile(2.0, "linear", forward=[3.0, 0.5, 2.0], last_gradient=5.0)
    np.testing.assert_allclose(found.signal, [6.0, 3.0, 6.0])
    np.testing.assert_allclose(found.gradient, [5.0, 10.0, 5.0])


def test_one_layer_has_no_activation():
    found = theory.profile([1.0, 4.0], np.sign, forward=[2.0], biases=1.0)
    np.testing.assert_array_equal(found.signal, [[3.0, 9.0]])
    np.testing.assert_array_equal(found.gradient, [[1.0, 1.0]])


def test_inputs_keep_their_shape_and_each_is_on_its_own():
    inputs = np.array([[0.1, 1.0, 5.0], [0.0, 2.0, 1e-9]])
    last = np.array([1.0, 2.0, 3.0])
    found = theory.profile(inputs, "selu", forward=FORWARD, biases=BIASES, last_gradient=last)
    assert found.signal.shape == found.gradient.shape == (4, 2, 3)
    for place in np.ndindex(2, 3):
        alone = theory.profile(inputs[place], "selu", forward=FORWARD, biases=BIASES, last_gradient=last[place[1]])
        np.testing.assert_allclose(found.signal[:, *place], alone.signal, rtol=1e-12)
        np.testing.assert_allclose(found.gradient[:, *place], alone.gradient, rtol=1e-12)
    assert theory.profile([], "relu", forward=FORWARD).signal.shape == (4, 0)


def test_tensors_and_arrays_go_in_and_numpy_comes_out():
    wanted = theory.profile([0.5, 2.0], "tanh", forward=FORWARD, biases=BIASES, last_gradient=[1.0, 0.1])
    inputs = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    found = theory.profile(
        inputs,
        torch.tanh,
        forward=np.array(FORWARD),
        biases=torch.tensor(BIASES, dtype=torch.float64),
        last_gradient=(1.0, 0.1),
    )
    assert isinstance(found.signal, np.ndarray)
    np.testing.assert_array_equal(found, wanted)
    for call in (theory.second_moment, theory.derivative_second_moment, theory.first_moment):
        np.testing.assert_array_equal(call(inputs, "tanh"), call(np.array([0.5, 2.0]), "tanh"))
    assert isinstance(theory.variance_map(torch.tensor(2), "relu", sigma_w=torch.tensor(1.0)), float)
    half = theory.second_moment(torch.tensor([2.0], dtype=torch.bfloat16), "relu")
    np.testing.assert_allclose(half, [1.0])


def test_an_unknown_gradient_stays_unknown():
    found = theory.profile([1.0, 2.0], "relu", forward=[2.0, 2.0], last_gradient=[math.nan, 1.0])
    np.testing.assert_array_equal(np.isnan(found.gradient), [[True, False]] * 2)
    assert np.isfinite(found.signal).all()


def test_factors_are_those_of_a_step():
    q, sigma_w = np.array([0.2, 3.0]), np.array([1.0, 1.4])
    found = theory.factors(q, "gelu", sigma_w=sigma_w)
    np.testing.assert_allclose(found.signal * q, sigma_w**2 * theory.second_moment(q, "gelu"))
    np.testing.assert_allclose(found.gradient, sigma_w**2 * theory.derivative_second_moment(q, "gelu"))
    point = theory.fixed_point("tanh", sigma_w=1.8)
    fixed = theory.factors(point, "tanh", sigma_w=1.8)
    assert float(fixed.signal) == pytest.approx(1.0, rel=1e-8)
    assert float(fixed.gradient) == pytest.approx(theory.chi("tanh", sigma_w=1.8), rel=1e-8)


def test_a_callable_is_cut_into_pieces_once(monkeypatch):
    made = []
    monkeypatch.setattr(gaussian, "Pieces", lambda *arguments: made.append(Pieces(*arguments)) or made[-1])
    theory.profile(np.ones(7), lambda x: np.maximum(x, 0), forward=[2.0] * 9)
    assert len(made) == 1


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_the_live_figures_line_is_its_root(activation):
    """`tests/test_lab.py` compares the JavaScript with both."""
    settings = widgets.Settings(activation=activation, depth=7, sigma_w=1.5, sigma_b=0.3)
    predicted = widgets.mean_field(settings)
    assert predicted is not None
    sizes = theory.profile(1.0, activation, forward=[2.25] * 7, biases=0.09)
    assert predicted[0][-1] ** 2 == pytest.approx(sizes.signal[-1])
    np.testing.assert_allclose(predicted[0][1:-1] ** 2, theory.second_moment(sizes.signal[:-1], activation))
    np.testing.assert_allclose(predicted[1] ** 2, [2.25 * sizes.gradient[0], *sizes.gradient])


# --- wide networks, and the mistakes that they must catch ---

WIDTHS = (150, 500, 300, 400, 200, 100)
VARIANCES = np.array([1.8, 1.1, 2.0, 0.7, 1.5]) / WIDTHS[:-1]  # of the weights
NOISE = np.array([0.3, 0.0, 0.5, 0.1, 0.2])  # E b²
REPLICAS, RATE = 100, 1e-4


def measure(activation, rng):
    """Return the mean squares of z_l and ∂loss/∂z_l in every network, (replicas, L) each; E h_0² is 5, the last 1."""
    act = get(activation)
    found = []
    for _ in range(REPLICAS):
        weights = [
            rng.normal(scale=variance**0.5, size=shape)
            for variance, shape in zip(VARIANCES, zip(WIDTHS[1:], WIDTHS[:-1], strict=True), strict=True)
        ]
        h, z = rng.choice([-1, 1], size=WIDTHS[0]) * 5**0.5, []
        for weight, noise in zip(weights, NOISE, strict=True):
            z.append(weight @ h + rng.normal(scale=noise**0.5, size=len(weight)))
            h = act(z[-1])
        delta = [rng.choice([-1.0, 1.0], size=WIDTHS[-1])]
        for weight, before in zip(weights[:0:-1], z[-2::-1], strict=True):
            delta.insert(0, (weight.T @ delta[0]) * act.derivative(before))
        found.append([[np.mean(layer**2) for layer in layers] for layers in (z, delta)])
    return np.moveaxis(np.array(found), 1, 0)


def predicted(activation, **changes):
    arguments = {
        "forward": VARIANCES * WIDTHS[:-1],
        "backward": VARIANCES * WIDTHS[1:],
        "biases": NOISE,
    }
    return theory.profile(5.0, activation, **(arguments | changes))


def misses(wanted, samples):
    """Return whether a mean is off by more than chance, once in 1/`RATE` right answers, and 2/width."""
    wanted = np.array(wanted)
    compared = wanted.size - 1  # the last gradient is given
    limit = stats.t.isf(RATE / (2 * compared), REPLICAS - 1)
    error = samples.std(axis=1, ddof=1) / math.sqrt(REPLICAS)
    return bool((np.abs(samples.mean(axis=1) - wanted) > limit * error + 2 / min(WIDTHS) * wanted).any())


@pytest.fixture(scope="module", params=["tanh", "relu", "selu"])
def measured(request):
    return request.param, measure(request.param, np.random.default_rng(14))


def test_wide_networks_have_these_sizes(measured):
    activation, samples = measured
    assert not misses(predicted(activation), samples)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda name: predicted(name, biases=0.0),
        lambda name: predicted(name, backward=None),
        lambda name: predicted(name, forward=VARIANCES * WIDTHS[1:]),
        lambda name: predicted(name, forward=np.sqrt(VARIANCES * WIDTHS[:-1])),
        lambda name: theory.Profile(predicted(name).signal, predicted(name).gradient[::-1]),
        lambda name: theory.profile(
            theory.second_moment(5.0, name),
            name,
            forward=VARIANCES * WIDTHS[:-1],
            backward=VARIANCES * WIDTHS[1:],
            biases=NOISE,
        ),
        lambda name: predicted(Activation(name, get(name).phi, lambda x: 0.95 * get(name).derivative(x))),
    ],
    ids=[
        "no biases",
        "fan_in for fan_out",
        "fan_out for fan_in",
        "sigma for its square",
        "gradient upside down",
        "activation in front of the first layer",
        "another slope",
    ],
)
def test_wrong_sizes_are_caught(measured, wrong):
    activation, samples = measured
    assert misses(wrong(activation), samples)


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: theory.profile("relu", 1.0, forward=[1]), TypeError, "got 'relu'; inputs come first, the activation"),
        (lambda: theory.profile(-1.0, "relu", forward=[1]), ValueError, "inputs is a second moment.*got -1"),
        (lambda: theory.profile([1, math.nan], "relu", forward=[1]), ValueError, "must be finite.*got nan"),
        (lambda: theory.profile(1.0, "rleu", forward=[1]), ValueError, "did you mean 'relu'"),
        (
            lambda: theory.profile(1.0, "relu", forward=2.0),
            ValueError,
            r"forward must be a sequence, one number for each",
        ),
        (lambda: theory.profile(1.0, "relu", forward=[]), ValueError, "forward must be a sequence"),
        (lambda: theory.profile(1.0, "relu", forward=[[1.0]]), ValueError, r"got shape \(1, 1\)"),
        (lambda: theory.profile(1.0, "relu", forward=["1"]), TypeError, "forward must be a real number or an array"),
        (lambda: theory.profile(1.0, "relu", forward=[1, -2]), ValueError, "forward must be at least 0, got -2"),
        (
            lambda: theory.profile(1.0, "relu", forward=[1, 2], backward=[1]),
            ValueError,
            "backward.*each of the 2 layers",
        ),
        (lambda: theory.profile(1.0, "relu", forward=[1, 2], biases=[1]), ValueError, "biases.*each of the 2 layers"),
        (lambda: theory.profile(1.0, "relu", forward=[1], biases=-0.1), ValueError, "biases must be at least 0"),
        (lambda: theory.profile(1.0, "relu", forward=[1], biases=None), TypeError, "biases must be.*got None"),
        (
            lambda: theory.profile(1.0, "relu", forward=[1], last_gradient=-1),
            ValueError,
            "last_gradient is a mean square",
        ),
        (
            lambda: theory.profile([1, 2], "relu", forward=[1], last_gradient=[1, 2, 3]),
            ValueError,
            r"last_gradient of shape \(3,\) does not fit inputs of shape \(2,\)",
        ),
        (lambda: theory.profile(1.0, "relu", forward=[1e99] * 9), ValueError, "overflows in layer 4 of 9"),
        (lambda: theory.profile(1.0, np.sign, forward=[1, 1]), ValueError, "sign jumps at 0"),
        (lambda: theory.profile(1.0, lambda x: np.exp(x * x), forward=[1, 1]), ValueError, "grows too fast"),
        (lambda: theory.factors("relu", 1.0, sigma_w=1), TypeError, "q comes first, the activation after it"),
        (lambda: theory.factors(0.0, "relu", sigma_w=1), ValueError, "q must be greater than 0"),
        (lambda: theory.factors(1.0, "relu", sigma_w=-1), ValueError, "sigma_w must be finite and at least 0"),
        (lambda: theory.second_moment("relu", 1.0), TypeError, "got 'relu'; q comes first, the activation after it"),
        (lambda: theory.derivative_second_moment(torch.nn.ReLU(), 1.0), TypeError, "q comes first"),
        (lambda: theory.first_moment(np.tanh, 1.0), TypeError, "q comes first"),
        (lambda: theory.variance_map("tanh", 1.0, sigma_w=1), TypeError, "q comes first"),
        (lambda: theory.correlation_map("relu", 0.5, 1.0, sigma_w=1), TypeError, "c and q come first, the activation"),
        (lambda: theory.correlation_map(0.5, "relu", 1.0, sigma_w=1), TypeError, "q must be a real number"),
    ],
)
def test_bad_input_says_what_is_allowed(call, error, message):
    with pytest.raises(error, match=message):
        call()
