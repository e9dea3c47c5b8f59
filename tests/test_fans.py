"""True fans: counted by the layers themselves, and variances measured through them.

A statistical test fails with probability at most ALPHA over seeds, all its parametrized cases together; the seeds are
fixed. Its companion feeds the same check what torch's own fans give, at the same threshold.
"""

import copy
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
from initnotes.layers import plan, true_fans
from initnotes.schemes import Scheme

ALPHA = 1e-4  # false-failure rate of one test function
SEED = 20260103
DRAWS = 300
F64 = {"dtype": torch.float64}

UNIT_LAWS = {
    "normal": stats.norm(),
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
    "truncated_normal": stats.truncnorm(-2, 2, scale=1 / stats.truncnorm(-2, 2).std()),
}


class Conv1D(nn.Module):
    """What Hugging Face's GPT-2 has for a linear layer: its weight is (in, out)."""

    __module__ = "transformers.pytorch_utils"

    def __init__(self, nf, nx, dtype=torch.float64):
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.zeros(nx, nf, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(nf, dtype=dtype))

    def forward(self, x):
        return x @ self.weight + self.bias


# (how the layer is made, its fan_in and fan_out counted by hand)
LAYERS = {
    "Linear": (lambda: nn.Linear(48, 40, **F64), (48, 40)),
    "Conv1d": (lambda: nn.Conv1d(12, 40, 5, **F64), (60, 200)),
    "Conv2d": (lambda: nn.Conv2d(6, 40, (3, 2), **F64), (36, 240)),
    "Conv3d": (lambda: nn.Conv3d(4, 24, (2, 3, 2), **F64), (48, 288)),
    "Conv2d in 4 groups": (lambda: nn.Conv2d(12, 40, 3, groups=4, **F64), (27, 90)),
    "Conv2d depthwise": (lambda: nn.Conv2d(40, 40, 3, groups=40, **F64), (9, 9)),
    "Conv2d depthwise, 3 each": (lambda: nn.Conv2d(20, 60, 3, groups=20, **F64), (9, 27)),
    "Conv2d dilated": (lambda: nn.Conv2d(6, 40, 3, dilation=2, **F64), (54, 360)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(12, 40, 5, **F64), (60, 200)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(16, 64, 3, **F64), (144, 576)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(4, 24, (2, 3, 2), **F64), (48, 288)),
    "ConvTranspose2d in 4 groups": (lambda: nn.ConvTranspose2d(12, 40, 3, groups=4, **F64), (27, 90)),
    "ConvTranspose2d depthwise": (lambda: nn.ConvTranspose2d(40, 40, 3, groups=40, **F64), (9, 9)),
    "Embedding": (lambda: nn.Embedding(30, 40, **F64), (1, 40)),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(30, 40, mode="sum", **F64), (1, 40)),
    "Conv1D": (lambda: Conv1D(40, 48), (48, 40)),
    "Bilinear": (lambda: nn.Bilinear(7, 7, 40, **F64), (49, 280)),
}


def rng(seed=SEED):
    return np.random.default_rng(seed)


def signs(*shape):
    return torch.from_numpy(rng(1).choice([-1.0, 1.0], size=shape))


def forward(layer, fill=signs):
    """Return what one position puts out, with no edge in sight, for inputs of ones with signs."""
    if isinstance(layer, nn.Embedding):
        return layer(torch.arange(len(layer.weight)))
    if isinstance(layer, nn.EmbeddingBag):
        return layer(torch.arange(len(layer.weight))[:, None])
    if isinstance(layer, nn.Bilinear):
        return layer(fill(1, layer.in1_features), fill(1, layer.in2_features))
    if isinstance(layer, (nn.Linear, Conv1D)):
        return layer(fill(1, layer.nx if isinstance(layer, Conv1D) else layer.in_features))
    layer = copy.deepcopy(layer)
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    layer.padding = tuple(reach) if layer.transposed else (0,) * len(reach)
    out = layer(fill(1, layer.in_channels, *(r + 1 for r in reach)))
    assert out[0, 0].numel() == 1
    return out


def backward(layer, fill=signs):
    """Return the gradient that reaches one input position, with no edge in sight, from output gradients of ±1."""
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
        return layer.weight @ fill(layer.weight.shape[1])
    if isinstance(layer, nn.Bilinear):
        return torch.einsum("o,oij,j->i", fill(layer.out_features), layer.weight, fill(layer.in2_features))
    if isinstance(layer, (nn.Linear, Conv1D)):
        matrix = layer.weight.mT if isinstance(layer, Conv1D) else layer.weight
        return fill(1, len(matrix)) @ matrix
    layer = copy.deepcopy(layer)
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    layer.padding = (0,) * len(reach) if layer.transposed else tuple(reach)
    x = torch.zeros(1, layer.in_channels, *(1 for _ in reach), requires_grad=True, **F64)
    out = layer(x)
    return torch.autograd.grad(out, x, fill(*out.shape))[0]


def torch_fans(layer):
    return nn.init._calculate_fan_in_and_fan_out(layer.weight)


def p_variance(values, variance):
    """Two-sided p-value of independent normal values of mean 0 with that variance: an exact chi-square test."""
    statistic, df = np.sum(values**2) / variance, values.size
    return 2 * min(stats.chi2.cdf(statistic, df), stats.chi2.sf(statistic, df))


def measured(make, signal, fill_weights, draws=DRAWS):
    """Return what `signal` reads in draws of a layer, one after the other."""
    layer, out = make(), []
    for _ in range(draws):
        fill_weights(layer)
        with torch.enable_grad():
            out.append(signal(layer).detach().numpy().ravel())
    return np.concatenate(out)


# ---------------------------------------------------------------------------------------------------------------------
# Fans: a layer of ones counts them


@pytest.mark.parametrize("name", LAYERS)
def test_true_fans_are_what_a_layer_of_ones_counts(name):
    make, counted = LAYERS[name]
    layer = make()
    assert true_fans(layer) == counted
    ini.initialize_(layer, ini.constant(1.0), rng=rng())
    ones = lambda *shape: torch.ones(shape, **F64)  # noqa: E731
    assert (forward(layer, ones) == counted[0]).all()
    assert (backward(layer, ones) == counted[1]).all()


def test_torch_takes_in_for_out_where_the_convolution_is_transposed():
    assert torch_fans(nn.ConvTranspose2d(16, 64, 3)) == (576, 144)
    assert torch_fans(nn.Conv2d(64, 64, 3, groups=64)) == (9, 576)


def test_an_input_of_a_bilinear_layer_is_in_as_many_products_as_the_mean_says():
    layer = ini.initialize_(nn.Bilinear(3, 5, 4, **F64), ini.constant(1.0), rng=rng())
    x1, x2 = torch.ones(1, 3, requires_grad=True, **F64), torch.ones(1, 5, requires_grad=True, **F64)
    out = layer(x1, x2)
    gradients = torch.cat(torch.autograd.grad(out.sum(), (x1, x2)), dim=1)
    assert gradients.unique().tolist() == [12, 20]
    assert true_fans(layer) == (out[0, 0], gradients.mean())


@pytest.mark.parametrize(("mode", "factor"), [("sum", 5.0), ("mean", 1 / 5)])
def test_a_bag_has_the_mean_square_that_is_documented(mode, factor):
    """False-failure rate ALPHA over the 2 cases; taking the bag for the fan is caught."""
    generator, bags = rng(), torch.arange(30).reshape(6, 5)
    signal = lambda layer: layer(bags)  # noqa: E731
    fill = lambda layer: ini.initialize_(layer, Scheme(scale=1.7), rng=generator)  # noqa: E731
    values = measured(lambda: nn.EmbeddingBag(30, 40, mode=mode, **F64), signal, fill)
    assert p_variance(values, 1.7 * factor) > ALPHA / 2
    assert p_variance(values, 1.7) < ALPHA / 2


@st.composite
def convolutions(draw):
    """Return a convolution of any rank, size, groups and direction."""
    rank, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kinds = {1: (nn.Conv1d, nn.ConvTranspose1d), 2: (nn.Conv2d, nn.ConvTranspose2d), 3: (nn.Conv3d, nn.ConvTranspose3d)}
    kernel = draw(st.tuples(*[st.integers(1, 3)] * rank))
    sizes = (groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3)))
    options = {"groups": groups, "bias": draw(st.booleans()), "dilation": draw(st.integers(1, 2))}
    return draw(st.sampled_from(kinds[rank]))(*sizes, kernel, **options, **F64)


any_layer = st.one_of(
    convolutions(),
    st.builds(nn.Linear, st.integers(1, 9), st.integers(1, 9), bias=st.booleans(), dtype=st.just(torch.float64)),
    st.builds(nn.Embedding, st.integers(1, 9), st.integers(1, 9), dtype=st.just(torch.float64)),
)
every_scheme = st.sampled_from([name for name in ini.schemes.NAMES if name != "constant"])
quick = settings(max_examples=60, deadline=None)


@given(any_layer)
@quick
def test_fans_of_any_layer_are_what_it_counts(layer):
    ini.initialize_(layer, ini.constant(1.0), rng=rng())
    ones = lambda *shape: torch.ones(shape, **F64)  # noqa: E731
    assert (forward(layer, ones) == true_fans(layer)[0]).all()
    assert (backward(layer, ones) == true_fans(layer)[1]).all()


@given(any_layer, every_scheme, st.floats(-2, 2), st.integers(0, 2**32))
@quick
def test_any_layer_is_filled_as_planned(layer, name, bias, seed):
    said = plan(layer, name, bias=bias)
    assert ini.initialize_(layer, name, rng=rng(seed), bias=bias) is layer
    assert said.left == []
    assert said.set == [name for name, _ in layer.named_parameters()]
    weight = said.parameters[0]
    assert (weight.fan_in, weight.fan_out) == true_fans(layer)
    assert math.isfinite(weight.std)
    assert layer.weight.isfinite().all()
    assert getattr(layer, "bias", None) is None or (layer.bias == bias).all()
    other = copy.deepcopy(layer)
    other.weight.data.fill_(7.0)
    ini.initialize_(other, name, rng=rng(seed), bias=bias)
    assert torch.equal(other.weight, layer.weight)


# ---------------------------------------------------------------------------------------------------------------------
# Variances: with inputs of ±1, an output is a sum of fan_in weights, so Var = scale exactly where mode is fan_in


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("signal", "mode"), [(forward, "fan_in"), (backward, "fan_out")])
def test_signals_have_the_promised_variance(name, signal, mode):
    """False-failure rate ALPHA over all cases."""
    initializer, generator = Scheme(scale=1.7, mode=mode), rng()
    values = measured(LAYERS[name][0], signal, lambda layer: ini.initialize_(layer, initializer, rng=generator))
    assert p_variance(values, 1.7) > ALPHA / (2 * len(LAYERS))


WRONG_IN_TORCH = [
    (name, signal, which)
    for name, (make, counted) in LAYERS.items()
    for which, signal in enumerate((forward, backward))
    if torch_fans(make())[which] != counted[which]
]


@pytest.mark.parametrize(("name", "signal", "which"), WRONG_IN_TORCH)
def test_torchs_fans_are_caught(name, signal, which):
    generator = rng()

    def fill(layer):
        std = math.sqrt(1.7 / torch_fans(layer)[which])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(std * generator.standard_normal(tuple(layer.weight.shape))))
            if not isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
                layer.bias.zero_()

    assert p_variance(measured(LAYERS[name][0], signal, fill), 1.7) < ALPHA / (2 * len(LAYERS))


def test_torch_is_wrong_where_it_is_expected():
    names = {name for name, _, _ in WRONG_IN_TORCH}
    assert names == {name for name in LAYERS if re.search("Transpose|group|depthwise|Embedding|Conv1D", name)}


def unit_weights(name, distribution):
    """Return many weights of a layer, divided by the standard deviation that they should have."""
    make, (fan_in, fan_out) = LAYERS[name]
    initializer, generator = Scheme(scale=1.3, mode="fan_avg", distribution=distribution), rng()
    drawn = [ini.initialize_(make(), initializer, rng=generator).weight.detach().numpy().ravel() for _ in range(12)]
    return np.concatenate(drawn) / math.sqrt(2 * 1.3 / (fan_in + fan_out))


def p_law(u, distribution):
    return stats.kstest(u, UNIT_LAWS[distribution].cdf).pvalue


@pytest.mark.parametrize("distribution", UNIT_LAWS)
@pytest.mark.parametrize("name", LAYERS)
def test_weights_have_the_law_of_the_scheme(name, distribution):
    """False-failure rate ALPHA over all cases."""
    assert p_law(unit_weights(name, distribution), distribution) > ALPHA / (3 * len(LAYERS))


@pytest.mark.parametrize("distribution", UNIT_LAWS)
@pytest.mark.parametrize("name", LAYERS)
def test_wrong_laws_are_caught(name, distribution):
    u = unit_weights(name, distribution)
    layer, counted = LAYERS[name][0](), LAYERS[name][1]
    wrong = {"std 20 % too large": 1.2 * u, "std 20 % too small": u / 1.2, "mean": u + 0.2, "another": u**3}
    if (
        torch_fans(layer) != counted[::-1] and torch_fans(layer) != counted
    ):  # their average is right, if they are swapped
        wrong["torch's fans"] = u * math.sqrt(sum(counted) / sum(torch_fans(layer)))
    p_values = {what: p_law(values, distribution) for what, values in wrong.items()}
    assert max(p_values.values()) < ALPHA / (3 * len(LAYERS)), p_values


def test_a_linear_layer_is_the_schemes_own_draw():
    layer = ini.initialize_(nn.Linear(7, 5, **F64), "he_normal", rng=rng())
    np.testing.assert_array_equal(layer.weight.detach(), ini.he_normal.sample((5, 7), rng()))
    conv = ini.initialize_(nn.Conv2d(4, 6, 3, groups=2, **F64), "he_normal", rng=rng())
    np.testing.assert_array_equal(
        conv.weight.detach().reshape(2, 3, 2, 3, 3), ini.he_normal.sample((3, 2, 3, 3), rng(), 2)
    )


def test_every_group_is_orthogonal_on_its_own():
    conv = ini.initialize_(nn.Conv1d(8, 6, 3, groups=2, **F64), ini.orthogonal(2.0), rng=rng())
    up = ini.initialize_(nn.ConvTranspose1d(8, 6, 3, groups=2, **F64), ini.orthogonal(2.0), rng=rng())
    blocks = [conv.weight.reshape(2, 3, 12), up.weight.reshape(2, 4, 3, 3).transpose(1, 2).reshape(2, 3, 12)]
    for block in blocks:
        torch.testing.assert_close(block @ block.mT, 4 * torch.eye(3, **F64).expand(2, 3, 3))
    rows = ini.initialize_(nn.Embedding(9, 5, **F64), "orthogonal", rng=rng()).weight
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(9, **F64))


# ---------------------------------------------------------------------------------------------------------------------
# Strides: one period of positions, away from the edges. Its positions are sums of different weights, so independent.

STRIDED = {
    "transposed, kernel 2, stride 2": lambda: nn.ConvTranspose2d(24, 12, 2, stride=2, **F64),
    "transposed, kernel 4, stride 2": lambda: nn.ConvTranspose2d(24, 12, 4, stride=2, **F64),
    "transposed, kernel 3, stride 2": lambda: nn.ConvTranspose2d(24, 12, 3, stride=2, **F64),
    "transposed, kernel 5, stride 3": lambda: nn.ConvTranspose1d(24, 12, 5, stride=3, **F64),
    "transposed, kernel 1, stride 2": lambda: nn.ConvTranspose1d(24, 12, 1, stride=2, **F64),
    "transposed, groups": lambda: nn.ConvTranspose2d(24, 12, (4, 3), stride=(2, 3), groups=3, **F64),
    "kernel 3, stride 2": lambda: nn.Conv2d(12, 24, 3, stride=2, **F64),
    "kernel 4, stride 4": lambda: nn.Conv2d(3, 24, 4, stride=4, **F64),
    "kernel 1, stride 2": lambda: nn.Conv2d(12, 24, 1, stride=2, **F64),
    "kernel 7, stride 2, groups": lambda: nn.Conv1d(12, 24, 7, stride=2, groups=2, **F64),
}


def period(layer, fill=signs):
    """Return one period of what a transposed convolution puts out, or of the gradient that reaches a convolution."""
    axes = list(zip(layer.kernel_size, layer.stride, strict=True))
    starts = [s * -(-(k - 1) // s) for k, s in axes]
    sizes = [-(-(k - 1) // s) + 2 for k, s in axes]
    window = (0, slice(None), *(slice(start, start + s) for start, (_, s) in zip(starts, axes, strict=True)))
    if layer.transposed:
        return layer(fill(1, layer.in_channels, *sizes))[window]
    x = torch.zeros(1, layer.in_channels, *((n - 1) * s + k for n, (k, s) in zip(sizes, axes, strict=True)), **F64)
    out = layer(x.requires_grad_())
    return torch.autograd.grad(out, x, fill(*out.shape))[0][window]


def counts(make):
    layer = ini.initialize_(make(), ini.constant(1.0), rng=rng())
    return period(layer, lambda *shape: torch.ones(shape, **F64)).detach().numpy()


def strided_mode(layer):
    return ("fan_in", 0) if layer.transposed else ("fan_out", 1)


@pytest.mark.parametrize("name", STRIDED)
def test_with_a_stride_the_fan_is_the_average_of_what_positions_count(name):
    layer = STRIDED[name]()
    assert true_fans(layer)[strided_mode(layer)[1]] == pytest.approx(counts(STRIDED[name]).mean(), rel=1e-15)
    straight = copy.deepcopy(layer)
    straight.stride = (1,) * len(layer.stride)
    assert true_fans(straight)[1 - strided_mode(layer)[1]] == true_fans(layer)[1 - strided_mode(layer)[1]]


def test_a_stride_that_does_not_divide_makes_a_checkerboard():
    assert sorted({int(n) for n in counts(STRIDED["transposed, kernel 3, stride 2"]).ravel()}) == [24, 48, 96]
    assert len(set(counts(STRIDED["transposed, kernel 4, stride 2"]).ravel())) == 1


def strided_values(name, fill):
    """Return a period's values over draws, each position's over the root of its count by the average count."""
    own = counts(STRIDED[name]).ravel()
    values = measured(STRIDED[name], period, fill, draws=150).reshape(150, -1)
    return (values / np.sqrt(np.where(own, own, np.inf) / own.mean()))[:, own > 0].ravel()


@pytest.mark.parametrize("name", STRIDED)
def test_strided_signals_have_the_promised_variance(name):
    """He's 2 arrives on average. False-failure rate ALPHA over the 10 cases."""
    generator, mode = rng(), strided_mode(STRIDED[name]())[0]
    fill = lambda layer: ini.initialize_(layer, Scheme(scale=2.0, mode=mode), rng=generator)  # noqa: E731
    assert p_variance(strided_values(name, fill), 2.0) > ALPHA / len(STRIDED)


@pytest.mark.parametrize("name", STRIDED)
def test_fans_without_the_stride_are_caught(name):
    generator, made = rng(), STRIDED[name]()
    made.stride = (1,) * len(made.stride)
    std = math.sqrt(2.0 / true_fans(made)[strided_mode(made)[1]])

    def fill(layer):
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(std * generator.standard_normal(tuple(layer.weight.shape))))
            layer.bias.zero_()

    assert p_variance(strided_values(name, fill), 2.0) < ALPHA / len(STRIDED)


# ---------------------------------------------------------------------------------------------------------------------
# Gates and projections: matrices that torch stores on top of one another, each with fans of its own

PROJECTED = {"num_layers": 2, "bidirectional": True, "proj_size": 15}

# (how the layer is made, which weight, of how many blocks, their fan_in and fan_out counted by hand)
STACKS = {
    "RNN, input": (lambda: nn.RNN(24, 20, **F64), "weight_ih_l0", 1, (24, 20)),
    "LSTM, input": (lambda: nn.LSTM(24, 20, **F64), "weight_ih_l0", 4, (24, 20)),
    "LSTM, state": (lambda: nn.LSTM(24, 20, **F64), "weight_hh_l0", 4, (20, 20)),
    "LSTM, projection": (lambda: nn.LSTM(24, 20, **PROJECTED, **F64), "weight_hr_l0_reverse", 1, (20, 15)),
    "LSTM, projected state": (lambda: nn.LSTM(24, 20, **PROJECTED, **F64), "weight_hh_l0", 4, (15, 20)),
    "LSTM, both directions": (lambda: nn.LSTM(24, 20, **PROJECTED, **F64), "weight_ih_l1_reverse", 4, (30, 20)),
    "GRU, input": (lambda: nn.GRU(24, 20, bias=False, **F64), "weight_ih_l0", 3, (24, 20)),
    "GRU, state": (lambda: nn.GRU(24, 20, 2, batch_first=True, **F64), "weight_hh_l1", 3, (20, 20)),
    "RNNCell, state": (lambda: nn.RNNCell(24, 20, **F64), "weight_hh", 1, (20, 20)),
    "LSTMCell, input": (lambda: nn.LSTMCell(24, 20, **F64), "weight_ih", 4, (24, 20)),
    "GRUCell, state": (lambda: nn.GRUCell(24, 20, bias=False, **F64), "weight_hh", 3, (20, 20)),
    "attention, packed": (lambda: nn.MultiheadAttention(24, 4, **F64), "in_proj_weight", 3, (24, 24)),
    "attention, query": (lambda: nn.MultiheadAttention(24, 4, kdim=18, **F64), "q_proj_weight", 1, (24, 24)),
    "attention, key": (lambda: nn.MultiheadAttention(24, 4, kdim=18, **F64), "k_proj_weight", 1, (18, 24)),
    "attention, value": (lambda: nn.MultiheadAttention(24, 4, vdim=18, **F64), "v_proj_weight", 1, (18, 24)),
}
SEVERAL = [name for name, (_, _, count, _) in STACKS.items() if count > 1]
REPEATS = 20


def blocks(name, fill):
    """Return what `fill(layer)` puts into the blocks of a weight: (repeats, blocks, fan_out, fan_in)."""
    make, weight, count, (fan_in, fan_out) = STACKS[name]
    drawn = [getattr(fill(make()), weight).detach().reshape(count, fan_out, fan_in).numpy() for _ in range(REPEATS)]
    return np.stack(drawn)


def by_initialize(initializer):
    generator = rng()
    return lambda layer: ini.initialize_(layer, initializer, rng=generator)


def by_whole_stacks(initializer):
    """Return the wrong implementation: every weight is one block of the shape in which it is stored."""
    generator = rng()

    def fill(layer):
        with torch.no_grad():
            for p in layer.parameters():
                if p.dim() == 2:
                    p.copy_(torch.from_numpy(initializer.sample(tuple(p.shape), generator)))
        return layer

    return fill


def p_worst(values, variance):
    """Smallest p-value of an exact chi-square test on each of the first axis' entries, times their number."""
    return len(values) * min(p_variance(block, variance) for block in values)


def by_block(drawn):
    return drawn.swapaxes(0, 1)


def signals(drawn, which):
    """Return what each block puts out forward, or backward, for inputs of ±1: one signal of each draw."""
    _, _, fan_out, fan_in = drawn.shape
    out = drawn @ signs(fan_in).numpy() if which == "fan_in" else signs(fan_out).numpy() @ drawn
    return by_block(out)


@pytest.mark.parametrize("name", STACKS)
def test_true_fans_of_a_block_are_those_counted_by_hand(name):
    make, weight, count, counted = STACKS[name]
    layer = make()
    assert true_fans(layer, weight) == counted
    entry = next(e for e in plan(layer, "he_normal").parameters if e.name == weight)
    assert (entry.fan_in, entry.fan_out) == counted
    assert entry.std == pytest.approx(math.sqrt(2 / counted[0]))
    assert entry.shape == (count * counted[1], counted[0])
    what = "query, key and value" if "in_proj" in weight else f"{count} gates"
    assert entry.why == ("he_normal" if count == 1 else f"he_normal, {what}")


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("name", STACKS)
def test_signals_through_each_block_have_the_promised_variance(name, mode):
    """False-failure rate ALPHA over the 30 cases."""
    drawn = blocks(name, by_initialize(Scheme(scale=1.7, mode=mode)))
    assert p_worst(signals(drawn, mode), 1.7) > ALPHA / (2 * len(STACKS))


@pytest.mark.parametrize("name", SEVERAL)
def test_the_fan_out_of_a_whole_stack_is_caught(name):
    drawn = blocks(name, by_whole_stacks(Scheme(scale=1.7, mode="fan_out")))
    assert p_worst(signals(drawn, "fan_out"), 1.7) < ALPHA / (2 * len(STACKS))


@pytest.mark.parametrize("name", SEVERAL)
def test_blocks_are_draws_of_their_own(name):
    """False-failure rate ALPHA over the 9 cases: the sum of independent blocks has the sum of their variances."""
    fan_in, count = STACKS[name][3][0], STACKS[name][2]
    drawn = blocks(name, by_initialize(ini.lecun_normal))
    assert p_variance(drawn.sum(axis=1), count / fan_in) > ALPHA / len(SEVERAL)
    copies = np.repeat(drawn[:, :1], count, axis=1)
    assert p_worst(by_block(copies), 1 / fan_in) > ALPHA  # one by one, copies look right
    assert p_variance(copies.sum(axis=1), count / fan_in) < ALPHA / len(SEVERAL)


@pytest.mark.parametrize("distribution", UNIT_LAWS)
@pytest.mark.parametrize("name", STACKS)
def test_each_block_has_the_law_of_the_scheme(name, distribution):
    """False-failure rate ALPHA over the 45 cases; counting whole stacks is caught at the same threshold."""
    initializer = Scheme(scale=1.3, mode="fan_avg", distribution=distribution)
    _, _, count, (fan_in, fan_out) = STACKS[name]
    std = math.sqrt(2 * 1.3 / (fan_in + fan_out))

    def worst(drawn):
        return count * min(p_law(block.ravel() / std, distribution) for block in by_block(drawn))

    assert worst(blocks(name, by_initialize(initializer))) > ALPHA / (3 * len(STACKS))
    if count > 1:
        assert worst(blocks(name, by_whole_stacks(initializer))) < ALPHA / (3 * len(STACKS))


def is_orthogonal(block, gain):
    rows, columns = block.shape
    gram = block @ block.T if rows <= columns else block.T @ block
    return np.allclose(gram, gain**2 * np.eye(min(rows, columns)))


@pytest.mark.parametrize("name", STACKS)
def test_every_gate_and_every_projection_is_orthogonal_on_its_own(name):
    drawn = blocks(name, by_initialize(ini.orthogonal(1.5)))
    assert all(is_orthogonal(block, 1.5) for stack in drawn for block in stack)
    if name in SEVERAL:
        whole = blocks(name, by_whole_stacks(ini.orthogonal(1.5)))
        assert not any(is_orthogonal(block, 1.5) for stack in whole for block in stack)


def test_the_draw_does_not_depend_on_how_it_is_stored():
    packed = ini.initialize_(nn.MultiheadAttention(8, 2, **F64), "xavier_normal", rng=rng())
    three = [ini.xavier_normal.sample((8, 8), generator) for generator in [rng()] for _ in range(3)]
    np.testing.assert_array_equal(packed.in_proj_weight.detach(), np.concatenate(three))
    cell = ini.initialize_(nn.LSTMCell(8, 8, **F64), "xavier_normal", rng=rng())
    np.testing.assert_array_equal(cell.weight_ih.detach()[:24], np.concatenate(three))


def test_the_pre_activation_sums_both_matrices():
    """Documented: its variance is the sum of theirs. False-failure rate ALPHA."""
    generator, x, h = rng(), signs(1, 24), signs(1, 20)

    def pre_activation(cell):
        return torch.atanh(cell(0.01 * x, 0.01 * h)) / 0.01  # within tanh's range, where it is inverted to 1e-12

    fill = lambda cell: ini.initialize_(cell, Scheme(scale=1.7), rng=generator)  # noqa: E731
    values = measured(lambda: nn.RNNCell(24, 20, **F64), pre_activation, fill)
    assert p_variance(values, 2 * 1.7) > ALPHA
    assert p_variance(values, 1.7) < ALPHA


@pytest.mark.parametrize(
    ("layer", "weight", "error", "message"),
    [
        (nn.ReLU(), None, TypeError, "layer must be a Linear, Bilinear, Conv1d to 3d"),
        (nn.BatchNorm1d(3), None, TypeError, "got BatchNorm1d"),
        (torch.zeros(3, 4), None, TypeError, "got Tensor"),
        (nn.LazyConv2d(4, 3), None, ValueError, "run one batch"),
        (nn.RNN(3, 4), None, ValueError, "RNN has several weights; .* one of: weight_ih_l0, weight_hh_l0$"),
        (nn.RNN(3, 4), "weight_hh", ValueError, "unknown weight 'weight_hh'; did you mean 'weight_hh_l0'"),
        (nn.Linear(3, 4), "bias", ValueError, "unknown weight 'bias'. One of: weight"),
        (nn.Linear(3, 4), 0, TypeError, "weight must be a string, got 0"),
    ],
)
def test_true_fans_of_what_has_none(layer, weight, error, message):
    with pytest.raises(error, match=message):
        true_fans(layer, weight)
