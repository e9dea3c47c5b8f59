"""φ and φ′: values against torch, slopes against autograd and finite differences, and what counts as an activation."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from initnotes import activations
from initnotes.activations import NAMES, Activation, elu, get, leaky_relu

SMOOTH = np.array([-40.0, -7.3, -2.0, -0.7, -1e-3, 1e-3, 0.4, 1.1, 3.0, 9.0, 40.0])
WIDE = np.array([-1e300, -1e10, -800.0, *SMOOTH, 0.0, 800.0, 1e10, 1e300])
TORCH = {
    "tanh": nn.Tanh(),
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "sigmoid": nn.Sigmoid(),
    "selu": nn.SELU(),
    "elu": nn.ELU(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "linear": nn.Identity(),
    "erf": torch.erf,
    "sine": torch.sin,
}


def autograd_slope(function, x):
    leaf = torch.tensor(x, requires_grad=True)
    (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
    return slope.numpy()


def test_every_name_has_an_oracle():
    assert set(NAMES) == set(TORCH)


@pytest.mark.parametrize("name", NAMES)
class TestNamed:
    def test_numpy_equals_torch(self, name):
        act = get(name)
        expected = TORCH[name](torch.tensor(WIDE)).numpy()
        np.testing.assert_allclose(act(WIDE), expected, rtol=1e-13, atol=1e-15)
        np.testing.assert_array_equal(act(torch.tensor(WIDE)).numpy(), expected)

    def test_derivative_equals_autograd_also_at_the_kink(self, name):
        act = get(name)
        expected = autograd_slope(TORCH[name], WIDE)
        np.testing.assert_allclose(act.derivative(WIDE), expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(act.derivative(torch.tensor(WIDE)).numpy(), expected)

    def test_derivative_equals_finite_differences(self, name):
        act, step = get(name), 1e-5
        expected = (act(SMOOTH + step) - act(SMOOTH - step)) / (2 * step)
        np.testing.assert_allclose(act.derivative(SMOOTH), expected, rtol=1e-7, atol=1e-9)

    def test_nan_goes_through(self, name):
        act = get(name)
        for function in (act, act.derivative):
            assert np.isnan(function(np.array([np.nan, 1.0]))).tolist() == [True, False]
            assert torch.isnan(function(torch.tensor([torch.nan, 1.0]))).tolist() == [True, False]

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_shape_and_dtype_stay(self, name, dtype):
        act, x = get(name), np.linspace(-3, 3, 12).reshape(3, 4).astype(dtype)
        for function in (act, act.derivative):
            array, tensor = function(x), function(torch.tensor(x))
            assert (array.shape, array.dtype) == (x.shape, x.dtype)
            assert (tensor.shape, tensor.dtype) == (x.shape, getattr(torch, dtype))

    def test_input_is_left_alone_and_large_numbers_do_not_warn(self, name):
        act, x = get(name), np.array([-np.inf, -1e300, -1.0, 0.0, 1.0, 1e300, np.inf])
        x = x[1:-1] if name == "sine" else x  # which has no limits
        before = x.copy()
        with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
            warnings.simplefilter("error")
            assert not np.isnan(act(x)).any()
            assert not np.isnan(act.derivative(x)).any()
        np.testing.assert_array_equal(x, before)

    def test_lists_integers_and_scalars_are_numbers(self, name):
        act = get(name)
        np.testing.assert_array_equal(act([-1, 2]), act(np.array([-1.0, 2.0])))
        assert np.shape(act(0.5)) == np.shape(act.derivative(0.5)) == ()

    def test_derivative_of_a_tensor_works_without_grad_mode_and_is_detached(self, name):
        act, x = get(name), torch.tensor([-1.0, 2.0], requires_grad=True)
        with torch.no_grad():
            quiet = act.derivative(x)
        with torch.inference_mode():
            frozen = act.derivative(torch.tensor([-1.0, 2.0]))
        assert not quiet.requires_grad
        assert x.grad is None
        assert torch.equal(quiet, frozen)

    def test_backward_goes_through_phi(self, name):
        x = torch.tensor([-1.0, 2.0], dtype=torch.float64, requires_grad=True)
        get(name)(x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), get(name).derivative(np.array([-1.0, 2.0])), rtol=1e-12)

    def test_delta_times_slope_is_what_autograd_gives(self, name):
        x = torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
        delta, h = torch.linspace(1, 2, 41, dtype=torch.float64), get(name)(x)
        (expected,) = torch.autograd.grad(h, x, delta)
        found = get(name).backward(delta, x.detach(), h.detach())
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-15)

    def test_passing_through_get_twice_is_once(self, name):
        assert get(get(name)) is get(name)
        assert get(name).name == name


def test_kinks():
    kinked = {name for name in NAMES if get(name).kinks}
    assert kinked == {"relu", "leaky_relu", "selu", "elu"}
    assert all(get(name).kinks == (0.0,) for name in kinked)


@given(slope=st.floats(-2, 2), x=st.floats(-1e6, 1e6))
def test_leaky_relu_is_two_lines(slope, x):
    assert leaky_relu(slope)(x) == (x if x > 0 else slope * x)
    assert leaky_relu(slope).derivative(x) == (1 if x > 0 else slope)


def test_elu_with_another_alpha():
    np.testing.assert_allclose(elu(2.5)(SMOOTH), nn.ELU(2.5)(torch.tensor(SMOOTH)).numpy(), rtol=1e-13)
    assert elu(2.5).derivative(0.0) == 2.5


def test_names_in_legends():
    assert [leaky_relu().name, leaky_relu(0.2).name, elu().name, elu(2.0).name] == [
        "leaky_relu",
        "leaky_relu(0.2)",
        "elu",
        "elu(2)",
    ]


@pytest.mark.parametrize(
    ("given_as", "name"),
    [
        (nn.Tanh, "tanh"),
        (nn.ReLU(inplace=True), "relu"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.SELU, "selu"),
        (nn.SiLU(), "silu"),
        (nn.Identity(), "linear"),
        (nn.GELU(), "gelu"),
        (nn.ELU(), "elu"),
        (nn.LeakyReLU(), "leaky_relu"),
        (torch.relu, "relu"),
        (nn.functional.relu, "relu"),
        (nn.functional.gelu, "gelu"),
        (torch.special.expit, "sigmoid"),
        (np.tanh, "tanh"),
    ],
)
def test_what_has_a_name_here_gets_its_closed_form(given_as, name):
    assert get(given_as) is get(name)


@pytest.mark.parametrize(
    ("spelling", "meant"),
    [
        ("swish", "silu"),
        ("Swish", "silu"),
        ("logistic", "sigmoid"),
        ("identity", "linear"),
        ("leakyrelu", "leaky_relu"),
        ("LeakyReLU", "leaky_relu"),
        ("leaky-relu", "leaky_relu"),
        ("ReLU", "relu"),
        ("nn.ReLU()", "relu"),
        ("torch.nn.functional.gelu", "gelu"),
        (" tanh ", "tanh"),
        ("hard_tanh", nn.Hardtanh()),
        ("relu6", nn.ReLU6()),
        ("nn.Softplus()", nn.Softplus()),
        ("Mish", nn.Mish()),
    ],
)
def test_names_in_the_spelling_of_other_libraries(spelling, meant):
    assert get(spelling) is get(meant)


def test_modules_keep_their_options():
    assert get(nn.LeakyReLU(0.2)) is leaky_relu(0.2)
    assert get(nn.ELU(0.5)) is elu(0.5)


@pytest.mark.parametrize(
    ("module", "kinks"),
    [
        (nn.GELU(approximate="tanh"), ()),
        (nn.Softplus(beta=2.0), ()),
        (nn.Hardtanh(-2.0, 1.5, inplace=True), (-2.0, 1.5)),
        (nn.ReLU6(), (0.0, 6.0)),
        (nn.Hardswish, (-3.0, 3.0)),
        (nn.Hardsigmoid(), (-3.0, 3.0)),
        (nn.CELU(0.5), (0.0,)),
        (nn.Softsign(), (0.0,)),
        (nn.Mish(), ()),
        (nn.Sequential(nn.Tanh(), nn.Tanh()), ()),
        (nn.functional.hardtanh, (-1.0, 1.0)),
        (nn.Hardshrink(0.3), (-0.3, 0.3)),
        (nn.Softshrink(), (-0.5, 0.5)),
        (nn.functional.mish, ()),
        (lambda x: torch.sin(x) + x.square(), ()),
    ],
)
def test_other_torch_functions_are_evaluated_by_torch(module, kinks):
    act, x = get(module), np.array([-5.0, -1.2, 0.3, 1.4, 7.0])
    function = module() if isinstance(module, type) else module
    assert act.kinks == kinks
    np.testing.assert_array_equal(act(x), function(torch.tensor(x)).numpy())
    if not getattr(function, "inplace", False):
        np.testing.assert_allclose(act.derivative(x), autograd_slope(function, x), rtol=1e-13)
    np.testing.assert_array_equal(act.derivative(torch.tensor(x)).numpy(), act.derivative(x))
    assert x[0] == -5.0
    assert act(0.5).shape == ()


def test_gelu_by_tanh_is_not_gelu():
    approximate = get(nn.GELU(approximate="tanh"))
    assert approximate is not get("gelu")
    assert 1e-5 < np.abs(approximate(SMOOTH) - get("gelu")(SMOOTH)).max() < 1e-3


def test_a_subclass_is_what_it_computes():
    class Shifted(nn.Tanh):
        def forward(self, x):
            return super().forward(x) + 1

    assert get(Shifted())(0.0) == 1.0


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (np.sin, np.cos),
        (lambda x: x**3, lambda x: 3 * x**2),
        (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    ],
)
def test_numpy_callables_get_central_differences(function, slope):
    x = np.array([-1e4, -30.0, -1.0, 0.1, 2.0, 500.0])
    act = get(function)
    np.testing.assert_array_equal(act(x), function(x))
    np.testing.assert_allclose(act.derivative(x[1:-1]), slope(x[1:-1]), rtol=1e-8, atol=1e-9)
    assert act.derivative(x.astype(np.float32)).dtype == np.float32
    assert act.kinks == ()


def test_a_callable_of_both_is_differentiated_by_autograd_on_tensors():
    act, x = get(lambda x: x**3), torch.tensor([0.5, 2.0])
    assert torch.equal(act.derivative(x), 3 * x**2)


def test_a_callable_object_that_cannot_be_hashed():
    class Cube:
        __hash__ = None

        def __call__(self, x):
            return x**3

    assert get(Cube())(2.0) == 8


def of_outside():
    return lambda x: np.tanh(SLOPES[0] * x)


SLOPES = [1.0]


@pytest.mark.parametrize("function", [np.sin, torch.sin, nn.functional.softplus, nn.functional.mish])
def test_the_same_compiled_function_is_the_same_activation(function):
    assert get(function) is get(function)


def test_equal_modules_are_the_same_activation():
    assert get(nn.GELU("tanh")) is get(nn.GELU("tanh"))
    assert get(nn.Softplus(2)) is get(nn.Softplus(2))
    assert get(nn.Softplus(2)) is not get(nn.Softplus(3))
    assert get(nn.Softplus(3))(1.0) == pytest.approx(np.log1p(np.exp(3)) / 3)


def test_a_python_function_may_change_and_is_not_remembered():
    slope = 2.0
    for function in (lambda x: x + x**3, lambda x: np.tanh(slope * x), of_outside(), lambda x, a=[1.0]: a[0] * x):
        assert get(function) is not get(function)


def test_only_so_many_are_remembered():
    for number in range(300):
        get(nn.Softplus(beta=1 + number))
    assert len(activations._FOUND) <= 256


def test_what_theory_may_remember_and_what_it_differentiates_itself():
    assert all(get(name).closed and not get(name).sampled for name in NAMES)
    assert get(np.sin) is get(torch.sin) is get("sin") is get("sine")
    assert all(leaky_relu(slope).closed for slope in (0.0, 0.3))
    for own in (np.arctan, lambda x: x, lambda x: torch.sin(x), nn.Sequential(nn.Tanh())):
        assert get(own).sampled
        assert not get(own).closed
    assert not get(nn.Softplus()).sampled
    assert not Activation("v", np.abs, np.sign).sampled


def test_activation_by_hand():
    act = Activation("v", np.abs, np.sign, kinks=[2, 0, 2.0])
    assert act.kinks == (0.0, 2.0)
    assert get(act) is act
    with pytest.raises(AttributeError):
        act.name = "w"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: get("rleu"), ValueError, "unknown activation 'rleu'; did you mean 'relu'"),
        (lambda: get("swihs"), ValueError, "did you mean 'silu'"),
        (lambda: get("softpluss"), ValueError, "did you mean 'softplus'"),
        (lambda: get("leaky_relu(0.2)"), ValueError, "did you mean 'leaky_relu'"),
        (lambda: get("zzz"), ValueError, "One of: tanh"),
        (lambda: get(3), TypeError, "activation must be a name .*got 3"),
        (lambda: get(None), TypeError, "got None"),
        (lambda: get(dict), TypeError, "got <class 'dict'>"),
        (lambda: get(nn.PReLU()), TypeError, r"must have no parameters.*LeakyReLU\(slope\)"),
        (lambda: get(nn.Linear), TypeError, "cannot be built without arguments.*pass an instance"),
        (lambda: get(nn.Softmax(dim=0)), ValueError, "not an elementwise"),
        (lambda: get(np.cumsum), ValueError, "each output must depend on its own input alone"),
        (lambda: get(np.sum), ValueError, "not an elementwise"),
        (lambda: get(lambda x: x if x > 0 else 0), TypeError, "fails on an array.*truth value"),
        (lambda: get(lambda x, y: x), TypeError, "fails on an array"),
        (lambda: leaky_relu(math.nan), ValueError, "slope must be finite"),
        (lambda: leaky_relu("0.1"), TypeError, "slope must be a real number"),
        (lambda: elu(math.inf), ValueError, "alpha must be finite"),
        (lambda: Activation("v", 3, np.sign), TypeError, "phi must be callable, got 3"),
        (lambda: Activation("v", np.abs, None), TypeError, "derivative must be callable"),
        (lambda: Activation("v", np.abs, np.sign, kinks=(math.nan,)), ValueError, "kink must be finite"),
    ],
)
def test_bad_input_says_what_is_allowed(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_numpy_use_never_imports_torch_or_scipy():
    code = """
import sys
import numpy as np
from initnotes import activations, theory
for name in ("tanh", "selu", "silu"):
    activations.get(name).derivative(np.ones(3))
theory.variance_map(1.0, np.sin, sigma_w=1.0)
assert not {"torch", "scipy"} & set(sys.modules), "loaded"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_constants_of_selu():
    assert (activations.SELU_ALPHA, activations.SELU_LAMBDA) == (1.6732632423543772, 1.0507009873554805)
