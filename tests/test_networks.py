"""Ensembles against torch.nn and autograd, replica by replica, and the product whose order of addition cannot matter.

Statistical tests state their false-failure rate; their seeds are fixed, and a wrong implementation must fail them.
"""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

import initnotes as ini
from initnotes.networks import Ensemble, join, order_free_product

ALPHA = 1e-4  # false-failure rate of one test function
SEED = 20260102
EXACT = {"rtol": 1e-12, "atol": 1e-13}
REPLICAS, BATCH = 3, 5
WIDTHS = {1: (4, 3), 2: (4, 6, 3), 3: (4, 6, 5, 3), 4: (4, 1, 6, 5, 3)}

ACTIVATIONS = {
    "tanh": ("tanh", torch.tanh),
    "relu": ("relu", torch.relu),
    "sigmoid": ("sigmoid", torch.sigmoid),
    "gelu": ("gelu", nn.functional.gelu),
    "callable of tensors": (nn.functional.softplus, nn.functional.softplus),
    "callable of both": (lambda x: x + x**3, lambda x: x + x**3),
}


def rng(seed=SEED):
    return np.random.default_rng(seed)


def normal(*shape, seed=SEED):
    return torch.from_numpy(rng(seed).standard_normal(shape))


def ensemble(depth=2, activation="tanh", **options):
    options = {"rng": rng(), "replicas": REPLICAS, "sigma_b": 0.3} | options
    return Ensemble(WIDTHS[depth], activation, options.pop("scheme", "he_normal"), **options)


class Phi(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def assert_same_up_to_rounding(found, expected):
    """Compare as sums are rounded: by the size of the largest entry, since terms as large as that may cancel."""
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))


def sequential(net, replica, function):
    """Return one replica as torch.nn layers with weights of their own."""
    layers = []
    for weight, bias in zip(net.weights, net.biases, strict=True):
        linear = nn.Linear(weight.shape[2], weight.shape[1], dtype=net.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight[replica])
            linear.bias.copy_(bias[replica])
        layers += [linear, Phi(function)]
    return nn.Sequential(*layers[:-1])


# ---------------------------------------------------------------------------------------------------------------------
# Forward and backward


@pytest.mark.parametrize("own_inputs", [False, True], ids=["shared inputs", "inputs per replica"])
@pytest.mark.parametrize("depth", WIDTHS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_replica_is_a_torch_network(name, depth, own_inputs):
    ours, function = ACTIVATIONS[name]
    net = ensemble(depth, ours)
    inputs = normal(REPLICAS, BATCH, 4, seed=1) if own_inputs else normal(BATCH, 4, seed=1)
    output_gradient = normal(REPLICAS, BATCH, 3, seed=2)
    signals = net.forward(inputs)
    gradients = net.backward(signals, output_gradient)
    torch.testing.assert_close(net(inputs), signals.output, rtol=0, atol=0)
    for r in range(REPLICAS):
        model = sequential(net, r, function)
        h, zs = inputs[r] if own_inputs else inputs, []
        for layer in model:
            if isinstance(layer, nn.Linear):
                torch.testing.assert_close(signals.activations[len(zs)][r], h.detach(), **EXACT)
                zs.append(layer(h))
                zs[-1].retain_grad()
            h = zs[-1] if isinstance(layer, nn.Linear) else layer(h)
        (h * output_gradient[r]).sum().backward()
        linears = [layer for layer in model if isinstance(layer, nn.Linear)]
        for at, (z, linear) in enumerate(zip(zs, linears, strict=True)):
            assert_same_up_to_rounding(signals.pre_activations[at][r], z.detach())
            assert_same_up_to_rounding(gradients.pre_activations[at][r], z.grad)
            assert_same_up_to_rounding(gradients.weights[at][r], linear.weight.grad)
            assert_same_up_to_rounding(gradients.biases[at][r], linear.bias.grad)


def test_dropout_masks_act_forward_and_backward():
    net, inputs, output_gradient = ensemble(3), normal(BATCH, 4), normal(REPLICAS, BATCH, 3, seed=2)
    masks = [2.0 * (normal(REPLICAS, BATCH, width, seed=width) > 0) for width in WIDTHS[3][1:-1]]
    leaves = [part.clone().requires_grad_() for part in (*net.weights, *net.biases)]
    h = inputs.expand(REPLICAS, -1, -1)
    for at in range(3):
        z = h @ leaves[at].mT + leaves[3 + at][:, None]
        h = torch.tanh(z) * masks[at] if at < 2 else z
    signals = net.forward(inputs, masks)
    torch.testing.assert_close(signals.output, h.detach(), **EXACT)
    gradients = net.backward(signals, output_gradient)
    expected = torch.autograd.grad((h * output_gradient).sum(), leaves)
    for ours, theirs in zip([*gradients.weights, *gradients.biases], expected, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_and_biases_are_views(dtype):
    net = ensemble(3, dtype=dtype)
    assert net.parameters.shape == (REPLICAS * (4 * 6 + 6 + 6 * 5 + 5 + 5 * 3 + 3),)
    assert net.parameters.dtype == getattr(torch, dtype)
    for number, part in enumerate([*net.weights, *net.biases]):
        part.fill_(number)
    counts = {0: 24, 3: 6, 1: 30, 4: 5, 2: 15, 5: 3}
    expected = torch.cat([torch.full((REPLICAS * count,), float(number)) for number, count in counts.items()])
    torch.testing.assert_close(net.parameters, expected.to(net.dtype), rtol=0, atol=0)
    assert net.forward(normal(BATCH, 4)).output.dtype == net.dtype


def test_a_layer_has_its_own_scheme_and_bias():
    net = ensemble(3, scheme=[ini.constant(0.5), "orthogonal", ini.zeros], bias=[1, -2.0, 0.25], sigma_b=0)
    assert bool((net.weights[0] == 0.5).all() and (net.weights[2] == 0).all())
    identity = torch.eye(5, dtype=torch.float64).expand(REPLICAS, -1, -1)
    torch.testing.assert_close(net.weights[1] @ net.weights[1].mT, identity, **EXACT)
    assert [bias.unique().item() for bias in net.biases] == [1.0, -2.0, 0.25]


def test_weights_are_the_schemes_own_draws():
    net, generator = ensemble(1, scheme="lecun_uniform", sigma_b=0), rng()
    np.testing.assert_array_equal(net.weights[0], ini.lecun_uniform.sample((3, 4), generator, replicas=REPLICAS))


def p_variance(biases, start, sigma):
    """Chi-square, exact for independent normals of known mean; two-sided."""
    draws = torch.cat([bias.flatten() for bias in biases]).numpy()
    statistic = ((draws - start) ** 2).sum() / sigma**2
    return 2 * min(stats.chi2.cdf(statistic, draws.size), stats.chi2.sf(statistic, draws.size))


def p_normal(biases, start, sigma):
    draws = torch.cat([bias.flatten() for bias in biases]).numpy()
    return stats.kstest(draws, stats.norm(start, sigma).cdf).pvalue


WRONG_NOISE = {"a variance taken for a std": math.sqrt(0.3), "no noise": 0.0, "10 % off": 0.33}


def noisy(sigma):
    return ensemble(4, replicas=400, bias=0.7, sigma_b=sigma).biases


def test_sigma_b_is_the_std_of_normal_biases():
    """False-failure rate ALPHA, half for the spread and half for the law."""
    assert min(p_variance(noisy(0.3), 0.7, 0.3), p_normal(noisy(0.3), 0.7, 0.3)) > ALPHA / 2


@pytest.mark.parametrize("wrong", WRONG_NOISE)
def test_wrong_biases_are_caught(wrong):
    assert p_variance(noisy(WRONG_NOISE[wrong]), 0.7, 0.3) < ALPHA / 2


@pytest.mark.parametrize(
    "given", ["float32", "torch.float32", torch.float32, np.float32, np.dtype("float32")], ids=repr
)
def test_a_dtype_has_many_names(given):
    assert ensemble(dtype=given).dtype == torch.float32


@pytest.mark.parametrize(
    "kind", [np.asarray, lambda x: x.tolist(), lambda x: x.float()], ids=["array", "list", "float32"]
)
def test_arrays_and_lists_are_taken_as_tensors_are(kind):
    inputs, top = normal(BATCH, 4).float().double(), normal(REPLICAS, BATCH, 3).float().double()
    net = ensemble()
    signals = net.forward(kind(inputs))
    assert torch.equal(net(kind(inputs)), net(inputs))
    assert torch.equal(net.backward(signals, kind(top)).parameters, net.backward(signals, top).parameters)


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (
            np.ones((REPLICAS, BATCH, 3), int),
            TypeError,
            "output_gradient must be floating-point numbers, got torch.int64",
        ),
        (torch.ones(BATCH, 3), ValueError, "output_gradient must have the output's shape (3, 5, 3), got (5, 3)"),
        ("up", TypeError, "output_gradient must be an array of real numbers, got str"),
    ],
)
def test_bad_output_gradients(gradient, error, message):
    net = ensemble()
    with pytest.raises(error, match=re.escape(message)):
        net.backward(net.forward(normal(BATCH, 4)), gradient)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_untracked_signals_are_those_of_forward_to_the_last_places(activation, dtype):
    net = ensemble(3, activation, dtype=dtype)
    inputs = normal(BATCH, 4)
    few_units = 20 * torch.finfo(net.dtype).eps
    close = {"rtol": few_units, "atol": few_units}
    ours, theirs = net.untracked(inputs), net.forward(inputs)
    torch.testing.assert_close(ours.output, theirs.output, **close)
    top = torch.ones_like(ours.output)
    found, expected = (net.backward(signals, top).parameters for signals in (ours, theirs))
    torch.testing.assert_close(found, expected, **close)


def test_parts_and_values_for_each_parameter():
    net = ensemble(3)
    part = net.part(slice(1, 3))
    assert torch.equal(part(normal(BATCH, 4)), net(normal(BATCH, 4))[1:])
    assert torch.equal(join([net.part(slice(0, 1)), part]).parameters, net.parameters)
    part.parameters.zero_()
    assert bool(net.parameters.all())
    weights, biases = net.split(net.per_parameter(torch.tensor([1.0, 2.0, 3.0])))
    assert all((own.flatten(1).unique(dim=1).flatten().tolist() == [1.0, 2.0, 3.0]) for own in (*weights, *biases))


def test_cells_show_what_signals_are():
    net = ensemble(2)
    signals = net.forward(normal(BATCH, 4))
    assert repr(signals) == "Signals(pre_activations 3×5×6, 3×5×3)"
    assert repr(net.backward(signals, normal(REPLICAS, BATCH, 3))) == "Gradients(weights 3×6×4, 3×3×6)"


def test_repr_and_depth():
    net = ensemble(3, dtype="float32")
    assert repr(net) == "Ensemble(4-6-5-3, tanh, 3 replicas, float32)"
    assert (net.depth, net.shapes) == (3, [(6, 4), (5, 6), (3, 5)])


# ---------------------------------------------------------------------------------------------------------------------
# The order-free product

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
dtypes = st.sampled_from([torch.float64, torch.float32])
sizes = {"replicas": st.integers(1, 33), "m": st.integers(1, 9), "k": st.integers(1, 70), "seed": st.integers(0, 2**32)}


def same_bits(a, b):
    return a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


def matrices(replicas, m, k, n, dtype, seed):
    """Return random matrices of very different magnitudes, replica by replica."""
    a, b = normal(replicas, m, k, seed=seed), normal(replicas, k, n, seed=seed + 1)
    return (a * 10.0 ** normal(replicas, 1, 1, seed=seed + 2)).to(dtype), b.to(dtype)


@given(columns=st.integers(1, 130), dtype=dtypes, **sizes)
@quick
def test_equal_columns_give_equal_columns(replicas, m, k, columns, dtype, seed):
    a, b = matrices(replicas, m, k, 1, dtype, seed)
    product = order_free_product(a, b.expand(-1, -1, columns).contiguous())
    assert same_bits(product, product[..., :1].expand(-1, -1, columns).contiguous())
    transposed = order_free_product(b.expand(-1, -1, columns).mT.contiguous(), a.mT)
    assert same_bits(transposed, product.mT.contiguous())


@given(n=st.integers(1, 40), dtype=dtypes, **sizes)
@quick
def test_the_order_of_the_inner_dimension_changes_no_bit(replicas, m, k, n, dtype, seed):
    a, b = matrices(replicas, m, k, n, dtype, seed)
    order = torch.from_numpy(rng(seed).permutation(k))
    assert same_bits(order_free_product(a[..., order], b[:, order]), order_free_product(a, b))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_ordinary_product_depends_on_the_order(dtype):
    a, b = matrices(4, 9, 70, 40, dtype, SEED)
    order = torch.from_numpy(rng().permutation(70))
    assert not same_bits(torch.matmul(a[..., order], b[:, order]), torch.matmul(a, b))


@given(n=st.integers(1, 40), dtype=dtypes, **sizes)
@quick
def test_the_product_is_as_accurate_as_stated(replicas, m, k, n, dtype, seed):
    a, b = matrices(replicas, m, k, n, dtype, seed)
    exact = torch.matmul(a.double(), b.double())
    largest = a.abs().amax((1, 2), True).double() * b.abs().amax((1, 2), True).double()
    bound = k * largest * (2 * 2.0**-20 + 2.0**-40) + exact.abs() * 2 * torch.finfo(dtype).eps
    assert bool(((order_free_product(a, b) - exact).abs() <= bound).all())
    assert order_free_product(a, b).dtype == dtype


def test_the_widest_product_is_still_exact():
    a = torch.full((1, 4096), 1 - 2.0**-20, dtype=torch.float64)
    assert order_free_product(a, a.mT).item() == 4096 * (1 - 2.0**-20) ** 2
    with pytest.raises(ValueError, match="inner dimension must be at most 4096, got 4097"):
        order_free_product(torch.ones(1, 4097), torch.ones(4097, 1))


@pytest.mark.parametrize("size", [5e-324, 1e-318, 1e-310, 1e-300, 1e-40, 1.0, 1e40, 1e300])
def test_no_magnitude_is_lost(size):
    """Gradients vanish and explode; the smallest of all may be rounded to 0, but never to NaN."""
    product = order_free_product(torch.full((2, 2), size, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    atol = 2.0**-1019 if size < 1e-300 else 0.0
    torch.testing.assert_close(product, torch.full((2, 2), size, dtype=torch.float64), rtol=2e-6, atol=atol)


def test_huge_times_tiny_and_zero():
    huge, tiny = torch.full((2, 2), 1e300, dtype=torch.float64), torch.full((2, 2), 1e-300, dtype=torch.float64)
    torch.testing.assert_close(order_free_product(huge, tiny), torch.full_like(huge, 2.0), rtol=4e-6, atol=0)
    zero = torch.zeros(2, 2, dtype=torch.float64)
    for other in (huge, tiny, zero):
        assert same_bits(order_free_product(zero, other), zero)
    cancels = torch.tensor([[1e300, -1e300]] * 2, dtype=torch.float64)
    assert same_bits(order_free_product(cancels, huge), zero)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_is_not_finite_stays_so(bad, dtype):
    a, b = matrices(2, 3, 4, 5, dtype, SEED)
    a[1, 2, 3] = bad
    finite = order_free_product(a, b).isfinite()
    assert not bool(finite[1, 2].any())
    assert bool(finite[0].all())
    a[1, 2, 3], b[1, 2, 3] = 1.0, bad
    assert not bool(order_free_product(a, b).isfinite()[1, :, 3].any())


def test_a_network_of_equal_units_stays_equal_with_it():
    net = Ensemble((20, 33, 7), "tanh", ini.constant(0.1), rng=rng(), product=order_free_product, replicas=5)
    signals = net.forward(normal(13, 20))
    gradient = net.backward(signals, normal(5, 13, 7)).weights[0]
    assert same_bits(gradient, gradient[:, :1].expand(-1, 33, -1).contiguous())


# ---------------------------------------------------------------------------------------------------------------------
# Joining


def test_join_puts_replicas_one_behind_the_other():
    first, second = ensemble(2), ensemble(2, rng=rng(1), replicas=4)
    joined, inputs = join([first, second]), normal(BATCH, 4)
    assert repr(joined) == "Ensemble(4-6-3, tanh, 7 replicas, float64)"
    torch.testing.assert_close(joined(inputs), torch.cat([first(inputs), second(inputs)]), **EXACT)
    joined.parameters.zero_()
    assert bool(first.parameters.any())
    alone = join([first])
    alone.parameters.zero_()
    assert bool(first.parameters.any())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: ensemble(3), "differ in widths"),
        (lambda: ensemble(2, "relu"), "differ in activation"),
        (lambda: ensemble(2, dtype="float32"), "differ in dtype"),
        (lambda: ensemble(2, product=order_free_product), "differ in product"),
        (lambda: ensemble(3, "relu", dtype="float32"), "differ in widths, activation, dtype"),
    ],
)
def test_join_says_what_differs(other, message):
    with pytest.raises(ValueError, match=message):
        join([ensemble(2), other()])


@pytest.mark.parametrize("bad", [None, 3, [1], ["net"]], ids=repr)
def test_join_needs_ensembles(bad):
    with pytest.raises(TypeError, match="join needs a sequence of Ensembles, got"):
        join(bad)


def test_ensembles_of_one_function_can_be_joined():
    for function in (np.sin, torch.sin, lambda x: x + x**3):
        assert join([ensemble(2, function), ensemble(2, function)]).replicas == 2 * REPLICAS
    assert join([ensemble(2, nn.GELU("tanh")), ensemble(2, nn.GELU("tanh"))]).replicas == 2 * REPLICAS


def test_join_needs_one():
    with pytest.raises(ValueError, match="at least one ensemble"):
        join([])


# ---------------------------------------------------------------------------------------------------------------------
# Bad input

BAD_ARGUMENTS = [
    ({"widths": (4,)}, ValueError, "at least the inputs and the outputs, got (4,)"),
    ({"widths": 4}, TypeError, "widths must be a sequence of integers"),
    ({"widths": "43"}, TypeError, "widths must be a sequence of integers"),
    ({"widths": (4, 0)}, ValueError, "width must be at least 1, got 0"),
    ({"widths": (4, 3.0)}, TypeError, "width must be an integer, got 3.0"),
    ({"activation": "tnah"}, ValueError, "did you mean 'tanh'?"),
    ({"scheme": "he_norml"}, ValueError, "did you mean 'he_normal'?"),
    ({"scheme": "constant"}, ValueError, "use ini.constant(value)"),
    ({"scheme": ["zeros"]}, ValueError, "scheme must be one for all layers or a sequence of 2, got 1"),
    ({"scheme": ["zeros"] * 3}, ValueError, "sequence of 2, got 3"),
    ({"scheme": ["zeros", "zzz"]}, ValueError, "unknown scheme 'zzz'"),
    ({"bias": [0.0]}, ValueError, "bias must be one for all layers or a sequence of 2, got 1"),
    ({"bias": math.nan}, ValueError, "bias must be finite"),
    ({"bias": "0"}, TypeError, "bias must be a real number"),
    ({"sigma_b": -0.1}, ValueError, "sigma_b must be at least 0"),
    ({"sigma_b": math.inf}, ValueError, "sigma_b must be finite"),
    ({"replicas": 0}, ValueError, "replicas must be at least 1, got 0"),
    ({"replicas": 2.0}, TypeError, "replicas must be an integer"),
    ({"dtype": "float16"}, ValueError, "unknown dtype 'float16'"),
    ({"dtype": torch.float16}, ValueError, "unknown dtype 'float16'"),
    ({"dtype": int}, ValueError, "unknown dtype 'int64'"),
    ({"product": None}, TypeError, "product must be a function of two tensors, got None"),
    ({"device": "nowhere"}, ValueError, "device must be one that torch can use here, such as 'cpu', got 'nowhere': "),
    ({"device": "cuda:99"}, ValueError, "got 'cuda:99': "),
    ({"device": 1.5}, ValueError, "got 1.5: "),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_ARGUMENTS, ids=[repr(bad[0]) for bad in BAD_ARGUMENTS])
def test_bad_arguments_draw_nothing(change, error, message):
    generator = rng()
    before = generator.bit_generator.state
    good = {"widths": (4, 6, 3), "activation": "tanh", "scheme": "he_normal", "rng": generator, "replicas": 3}
    with pytest.raises(error, match=re.escape(message)):
        Ensemble(**(good | change))
    assert generator.bit_generator.state == before


@pytest.mark.parametrize("bad", [0, None, np.random, np.random.RandomState(0)], ids=lambda one: type(one).__name__)
def test_bad_rng(bad):
    with pytest.raises(TypeError, match=r"must be a numpy.random.Generator.*default_rng"):
        ensemble(rng=bad)


MASK = torch.ones(REPLICAS, BATCH, 6)


@pytest.mark.parametrize(
    ("masks", "error", "message"),
    [
        ([], ValueError, "masks must have the shapes [(3, 5, 6)], one a hidden layer, got []"),
        ([MASK, MASK], ValueError, "got [(3, 5, 6), (3, 5, 6)]"),
        ([MASK[:, :1]], ValueError, "got [(3, 1, 6)]"),
        ([MASK[0]], ValueError, "got [(5, 6)]"),
        (MASK, TypeError, "masks must be a sequence of 1 tensors, got Tensor"),
        ([1.0], TypeError, "masks must be a sequence of 1 tensors, got list"),
    ],
)
def test_bad_masks(masks, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ensemble(2).forward(normal(BATCH, 4), masks)


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (np.ones((2, 2)), torch.ones(2, 2), TypeError, "a must be a floating-point tensor, got ndarray"),
        (torch.ones(2, 2), torch.ones(2, 2, dtype=torch.int64), TypeError, "b must be a floating-point tensor, got"),
        (torch.ones(2, 2, dtype=torch.complex128), torch.ones(2, 2), TypeError, "got torch.complex128"),
        (torch.ones(2, 0), torch.ones(0, 2), ValueError, "none of them empty, got shape (2, 0)"),
        (torch.ones(2), torch.ones(2, 2), ValueError, "a must be a batch of matrices, none of them empty, got shape"),
        (torch.ones(2, 3), torch.ones(2, 3), ValueError, "a and b do not fit, got shapes (2, 3) and (2, 3)"),
    ],
)
def test_bad_factors(a, b, error, message):
    with pytest.raises(error, match=re.escape(message)):
        order_free_product(a, b)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (None, TypeError, "inputs must be an array of real numbers, got NoneType"),
        (
            torch.zeros(5, 4, dtype=torch.int64),
            TypeError,
            "inputs must be floating-point numbers, got torch.int64; pass",
        ),
        (np.zeros((5, 4), int), TypeError, "got torch.int64; pass np.asarray(inputs, dtype=float)"),
        (torch.zeros(5, 3), ValueError, "inputs must have shape (batch, 4) or (3, batch, 4), got (5, 3)"),
        (torch.zeros(4), ValueError, "got (4,)"),
        (torch.tensor(1.0), ValueError, "got ()"),
        (torch.zeros(2, 5, 4), ValueError, "got (2, 5, 4)"),
        (torch.zeros(3, 1, 5, 4), ValueError, "got (3, 1, 5, 4)"),
    ],
    ids=str,
)
def test_bad_inputs(inputs, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ensemble(2)(inputs)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "selu", "gelu", "silu", "sigmoid", "leaky_relu", "linear"])
def test_all_stays_on_the_device_that_was_given(activation: str, dtype: str) -> None:
    """A device without data stands for one that this machine may lack: it refuses to meet tensors of another."""
    options = {"rng": np.random.default_rng(1), "replicas": 3, "sigma_b": 0.1, "dtype": dtype}
    net = Ensemble((8, 16, 16, 4), activation, "he_normal", device="meta", **options)
    inputs = torch.empty(5, 8, dtype=net.dtype, device="meta")
    signals = net.forward(inputs)
    gradients = net.backward(signals, torch.ones_like(signals.output))
    made = [*signals.pre_activations, *signals.activations, *gradients.weights, *gradients.biases]
    assert {tensor.device.type for tensor in made} == {"meta"}
    here = Ensemble((8, 16, 16, 4), activation, "he_normal", **options)
    with pytest.raises((RuntimeError, ValueError), match="device"):
        here.backward(here.forward(torch.ones(5, 8, dtype=here.dtype)), torch.ones_like(signals.output))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # what torch itself calls
def test_tanh_can_be_followed_by_function_transforms() -> None:
    net = Ensemble((4, 5, 3), "tanh", "xavier_normal", rng=np.random.default_rng(1), replicas=2)
    x = torch.ones(2, 6, 4, dtype=torch.float64)
    value, tangent = torch.func.jvp(net, (x,), (torch.ones_like(x),))
    exact = torch.autograd.functional.jvp(net, x, torch.ones_like(x))
    assert torch.allclose(value, exact[0])
    assert torch.allclose(tangent, exact[1])
    assert torch.allclose(torch.func.vmap(net)(x[None]), net(x)[None])
