"""Modules of torch.nn filled by schemes: fans counted by the layers themselves, variances measured through them.

A statistical test fails with probability at most ALPHA over seeds, all its parametrized cases together; the seeds are
fixed. Its companion feeds the same check what torch's own fans give, at the same threshold.
"""

import copy
import math
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.nn.utils import parametrizations, prune

import initnotes as ini
from initnotes.layers import fill as layers
from initnotes.layers import plan, true_fans
from initnotes.schemes import Initializer, Scheme

ALPHA = 1e-4  # false-failure rate of one test function
SEED = 20260103
DRAWS = 300
F64 = {"dtype": torch.float64}

UNIT_LAWS = {
    "normal": stats.norm(),
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
    "truncated_normal": stats.truncnorm(-2, 2, scale=1 / stats.truncnorm(-2, 2).std()),
}

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
}


def rng(seed=SEED):
    return np.random.default_rng(seed)


def signs(*shape):
    return torch.from_numpy(rng(1).choice([-1.0, 1.0], size=shape))


def forward(layer, fill=signs):
    """Return what one position puts out, with no edge in sight, for inputs of ones with signs."""
    if isinstance(layer, nn.Embedding):
        return layer(torch.arange(len(layer.weight)))
    if isinstance(layer, nn.Linear):
        return layer(fill(1, layer.in_features))
    layer = copy.deepcopy(layer)
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    layer.padding = tuple(reach) if layer.transposed else (0,) * len(reach)
    out = layer(fill(1, layer.in_channels, *(r + 1 for r in reach)))
    assert out[0, 0].numel() == 1
    return out


def backward(layer, fill=signs):
    """Return the gradient that reaches one input position, with no edge in sight, from output gradients of ±1."""
    if isinstance(layer, nn.Embedding):
        return layer.weight @ fill(layer.weight.shape[1])
    if isinstance(layer, nn.Linear):
        return fill(1, layer.out_features) @ layer.weight
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


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rank", [1, 2])
def test_a_stride_divides_one_of_the_two(rank, transposed):
    kinds = [[nn.Conv1d, nn.Conv2d], [nn.ConvTranspose1d, nn.ConvTranspose2d]]
    layer = kinds[transposed][rank - 1](3, 5, 4, stride=2, **F64)
    ini.initialize_(layer, ini.constant(1.0), rng=rng())
    x = torch.ones(1, 3, *(12 for _ in range(rank)), requires_grad=True, **F64)
    out = layer(x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    inner = (0, 0, *(slice(4, -4) for _ in range(rank)))
    fan_in, fan_out = true_fans(layer)
    assert (out[0, 0].max(), gradient[inner].max()) == (fan_in, fan_out)
    field = 4**rank
    assert (fan_in, fan_out) == ((3 * field / 2**rank, 5 * field) if transposed else (3 * field, 5 * field / 2**rank))


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


@pytest.mark.untraced
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("signal", "mode"), [(forward, "fan_in"), (backward, "fan_out")])
def test_signals_have_the_promised_variance(name, signal, mode):
    """False-failure rate ALPHA over the 28 cases."""
    initializer, generator = Scheme(scale=1.7, mode=mode), rng()
    values = measured(LAYERS[name][0], signal, lambda layer: ini.initialize_(layer, initializer, rng=generator))
    assert p_variance(values, 1.7) > ALPHA / (2 * len(LAYERS))


WRONG_IN_TORCH = [
    (name, signal, which)
    for name, (make, counted) in LAYERS.items()
    for which, signal in enumerate((forward, backward))
    if torch_fans(make())[which] != counted[which]
]


@pytest.mark.untraced
@pytest.mark.parametrize(("name", "signal", "which"), WRONG_IN_TORCH)
def test_torchs_fans_are_caught(name, signal, which):
    generator = rng()

    def fill(layer):
        std = math.sqrt(1.7 / torch_fans(layer)[which])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(std * generator.standard_normal(tuple(layer.weight.shape))))
            if not isinstance(layer, nn.Embedding):
                layer.bias.zero_()

    assert p_variance(measured(LAYERS[name][0], signal, fill), 1.7) < ALPHA / (2 * len(LAYERS))


def test_torch_is_wrong_where_it_is_expected():
    names = {name for name, _, _ in WRONG_IN_TORCH}
    assert names == {name for name in LAYERS if re.search("Transpose|group|depthwise|Embedding", name)}


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
    """False-failure rate ALPHA over the 42 cases."""
    assert p_law(unit_weights(name, distribution), distribution) > ALPHA / (3 * len(LAYERS))


@pytest.mark.untraced
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
    return len(values) * min(p_variance(one, variance) for one in values)


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


@pytest.mark.untraced
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
    assert all(is_orthogonal(block, 1.5) for one in drawn for block in one)
    if name in SEVERAL:
        whole = blocks(name, by_whole_stacks(ini.orthogonal(1.5)))
        assert not any(is_orthogonal(block, 1.5) for one in whole for block in one)


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


# By hand, from the equations: what one step of a cell makes of (x, h, c), with the gates in torch's order


def lstm_step(x, h, c, w_ih, w_hh, bias):
    i, f, g, o = (x @ w_ih.T + h @ w_hh.T + bias).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(x, h, c, w_ih, w_hh, bias):
    (r, z, n), (r_h, z_h, n_h) = (x @ w_ih.T + bias).chunk(3, dim=-1), (h @ w_hh.T).chunk(3, dim=-1)
    z, n = torch.sigmoid(z + z_h), torch.tanh(n + torch.sigmoid(r + r_h) * n_h)
    return (1 - z) * n + z * h, c


def rnn_step(x, h, c, w_ih, w_hh, bias):
    return torch.tanh(x @ w_ih.T + h @ w_hh.T + bias), c


@pytest.mark.parametrize(("kind", "step"), [(nn.LSTM, lstm_step), (nn.GRU, gru_step), (nn.RNN, rnn_step)])
@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_a_recurrent_layer_runs_on_what_was_written(kind, step, bias):
    """Its two bias vectors sum to `bias` wherever torch adds them: in all gates, a GRU's candidate among them."""
    layer = kind(3, 5, num_layers=2, batch_first=True, **F64)
    layer.flatten_parameters()
    layer(torch.zeros(1, 1, 3, **F64))
    ini.initialize_(layer, "orthogonal", rng=rng(), bias=bias)
    layer.flatten_parameters()
    x = torch.from_numpy(rng(2).standard_normal((4, 6, 3)))
    expected = x
    for depth in range(2):
        h = c = torch.zeros(4, 5, **F64)
        w_ih, w_hh = (getattr(layer, f"weight_{which}_l{depth}") for which in ("ih", "hh"))
        out = []
        for now in expected.unbind(1):
            h, c = step(now, h, c, w_ih, w_hh, bias)
            out.append(h)
        expected = torch.stack(out, dim=1)
    torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_one_of_two_biases_has_the_value(make):
    layer = ini.initialize_(make(3, 4), "he_normal", rng=rng(), bias=0.5)
    end = "_l0" if isinstance(layer, nn.RNNBase) else ""
    assert (getattr(layer, f"bias_ih{end}") == 0.5).all()
    assert (getattr(layer, f"bias_hh{end}") == 0).all()
    whys = [entry.why for entry in plan(layer, "he_normal", bias=0.5).parameters[2:]]
    assert whys == ["bias 0.5", f"0, bias_ih{end} has the bias"]
    assert not torch.signbit(getattr(ini.initialize_(layer, "zeros", rng=rng(), bias=-1.0), f"bias_hh{end}")).any()


@pytest.mark.parametrize("other", [{}, {"kdim": 3, "vdim": 5}, {"bias": False}, {"batch_first": True}])
def test_attention_runs_on_what_was_written(other):
    layer = nn.MultiheadAttention(8, 2, **other, **F64)
    ini.initialize_(layer, "orthogonal", rng=rng(), bias=0.25)
    sizes = (8, other.get("kdim", 8), other.get("vdim", 8))
    q, k, v = (torch.from_numpy(rng(3).standard_normal((2, 6, size))) for size in sizes)
    packed = layer.in_proj_weight
    three = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight) if packed is None else packed.chunk(3)
    b = 0.25 if other.get("bias", True) else 0.0
    heads = [(x @ w.T + b).unflatten(-1, (2, 4)).transpose(1, 2) for x, w in zip((q, k, v), three, strict=True)]
    scores = torch.softmax(heads[0] @ heads[1].mT / 2, dim=-1)
    expected = (scores @ heads[2]).transpose(1, 2).flatten(2) @ layer.out_proj.weight.T + b
    given = (q, k, v) if other.get("batch_first") else (x.transpose(0, 1) for x in (q, k, v))
    out = layer(*given)[0]
    torch.testing.assert_close(out if other.get("batch_first") else out.transpose(0, 1), expected)


def test_what_attention_appends_to_the_sequence_is_left():
    layer = nn.MultiheadAttention(8, 2, add_bias_kv=True)
    before = layer.bias_k.clone(), layer.bias_v.clone()
    ini.initialize_(layer, "he_normal", rng=rng(), bias=0.5)
    assert torch.equal(layer.bias_k, before[0])
    assert torch.equal(layer.bias_v, before[1])
    said = plan(layer, "he_normal")
    assert said.left == ["bias_k", "bias_v"]
    assert [entry.why for entry in said.parameters if not entry.is_set] == [
        "a key of the sequence, not a bias (MultiheadAttention)",
        "a value of the sequence, not a bias (MultiheadAttention)",
    ]


TRANSFORMERS = {
    "encoder layer": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    "decoder layer": lambda: nn.TransformerDecoderLayer(8, 2, 16),
    "encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
    "transformer": lambda: nn.Transformer(8, 2, 1, 2, 16, batch_first=True),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_in_a_transformer_only_normalization_is_left(name):
    net = TRANSFORMERS[name]()
    ini.initialize_(net, ini.constant(3.0), rng=rng(), bias=0.5)
    said = plan(net, "he_normal")
    assert all(entry.why == "normalization (LayerNorm)" for entry in said.parameters if not entry.is_set)
    for key, p in net.named_parameters():
        is_bias = key.endswith("bias")
        expected = float(not is_bias) if key in said.left else (0.5 if is_bias else 3.0)
        assert (p == expected).all(), key
    x = torch.ones(1, 3, 8)
    assert net(*([x] if "encoder" in name else [x, x])).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("make", [nn.GRU, nn.LSTMCell, nn.MultiheadAttention])
def test_draws_for_gates_and_projections_are_rounded_to_the_dtype(make, dtype):
    size = (8, 4)
    half, double = make(*size, dtype=dtype), make(*size, **F64)
    for layer in (half, double):
        ini.initialize_(layer, "xavier_uniform", rng=rng(), bias=0.1)
    for (key, p), q in zip(half.named_parameters(), double.parameters(), strict=True):
        assert p.dtype == dtype, key
        assert torch.equal(p, q.to(dtype)), key


class Translator(nn.Module):
    """Words in, words out: an LSTM between an embedding with padding and an unembedding that is tied to it."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=0)
        self.recurrent = nn.LSTM(8, 8, num_layers=2, batch_first=True)
        self.recurrent.weight_hh_l1 = self.recurrent.weight_hh_l0
        self.unembed = nn.Linear(8, 20, bias=False)
        self.unembed.weight = self.embed.weight

    def forward(self, tokens, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(tokens), lengths, batch_first=True)
        return self.unembed(nn.utils.rnn.pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)[0])


def test_a_recurrent_network_with_tied_weights_and_padding():
    net, tokens, lengths = Translator(), torch.tensor([[3, 4, 5], [7, 0, 0]]), torch.tensor([3, 1])
    net(tokens, lengths)
    said = plan(net, "orthogonal")
    assert ini.initialize_(net, "orthogonal", rng=rng()) is net
    assert net.recurrent.weight_hh_l1 is net.recurrent.weight_hh_l0
    assert said.left == ["recurrent.weight_hh_l1", "unembed.weight"]
    reasons = {entry.name: entry.why for entry in said.parameters}
    assert reasons["recurrent.weight_hh_l1"] == "tied to recurrent.weight_hh_l0, which is set"
    assert (net.embed.weight[0] == 0).all()
    copied = copy.deepcopy(net)
    copied.recurrent.flatten_parameters()
    assert torch.equal(net(tokens, lengths), copied(tokens, lengths))


@st.composite
def recurrent_or_attention(draw):
    """Return a recurrent layer, a cell or an attention of any size and options."""
    n, hidden, bias = draw(st.integers(1, 6)), draw(st.integers(2, 6)), draw(st.booleans())
    kind = draw(st.sampled_from([nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell, nn.MultiheadAttention]))
    if kind is nn.MultiheadAttention:
        dims = draw(st.sampled_from([{}, {"kdim": n}, {"vdim": n}, {"kdim": hidden}]))
        return kind(hidden, 1, bias=bias, **dims, **F64)
    if issubclass(kind, nn.RNNCellBase):
        return kind(n, hidden, bias=bias, **F64)
    options = {"num_layers": draw(st.integers(1, 2)), "bidirectional": draw(st.booleans())}
    if kind is nn.LSTM:
        options["proj_size"] = draw(st.integers(0, hidden - 1))
    return kind(n, hidden, bias=bias, batch_first=draw(st.booleans()), **options, **F64)


@given(recurrent_or_attention(), every_scheme, st.floats(-2, 2), st.integers(0, 2**32))
@quick
def test_any_recurrent_layer_or_attention_is_filled_as_planned(layer, name, bias, seed):
    said = plan(layer, name, bias=bias)
    assert ini.initialize_(layer, name, rng=rng(seed), bias=bias) is layer
    assert said.left == []
    assert said.set == [key for key, _ in layer.named_parameters()]
    for entry in said.parameters:
        if "weight" not in entry.name:
            assert (layer.get_parameter(entry.name) == (0 if "hh" in entry.name else bias)).all()
            continue
        owner = layer.get_submodule(entry.name.rpartition(".")[0])
        assert (entry.fan_in, entry.fan_out) == true_fans(owner, entry.name.rpartition(".")[2])
        assert math.prod(entry.shape) % (entry.fan_in * entry.fan_out) == 0
    other = copy.deepcopy(layer)
    with torch.no_grad():
        for p in other.parameters():
            p.fill_(7.0)
    ini.initialize_(other, name, rng=rng(seed), bias=bias)
    assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), other.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_cells_without_units_or_inputs():
    assert plan(nn.LSTMCell(3, 0), "he_normal").set == []
    with pytest.raises(ValueError, match=r"shape\[0\] must be at least 1"):
        true_fans(nn.LSTMCell(3, 0), "weight_ih")
    assert plan(nn.GRUCell(0, 3), "he_normal").set == ["weight_hh", "bias_ih", "bias_hh"]


# ---------------------------------------------------------------------------------------------------------------------
# What is set, and what is left


class Tied(nn.Module):
    """An embedding and its unembedding in either order, around a shared trunk, with a parameter of its own."""

    def __init__(self, first="embed", padding=None):
        super().__init__()
        self.position = nn.Parameter(torch.full((3, 8), 0.25))
        tied = {"embed": nn.Embedding(20, 8, padding_idx=padding), "unembed": nn.Linear(8, 20, bias=False)}
        for name in sorted(tied, reverse=first != "embed"):
            setattr(self, name, tied[name])
        self.unembed.weight = self.embed.weight
        block = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.PReLU())
        self.trunk = nn.ModuleList([block, nn.ModuleDict({"again": block})])

    def forward(self, tokens):
        h = self.embed(tokens) + self.position
        for block in (self.trunk[0], self.trunk[1]["again"]):
            h = block(h)
        return self.unembed(h)


@pytest.mark.parametrize(("first", "std"), [("embed", 1.0), ("unembed", 1 / math.sqrt(8))])
def test_tied_weights_are_set_once_by_the_first_layer(first, std):
    net, generator, expected = Tied(first), rng(), rng()
    said = plan(net, "lecun_normal")
    ini.initialize_(net, "lecun_normal", rng=generator)
    assert net.unembed.weight is net.embed.weight
    other = {"embed": "unembed", "unembed": "embed"}[first]
    assert said.set == [f"{first}.weight", "trunk.0.0.weight", "trunk.0.0.bias"]
    assert said.left == ["position", f"{other}.weight", "trunk.0.1.weight", "trunk.0.1.bias", "trunk.0.2.weight"]
    assert said.parameters[1].std == pytest.approx(std)
    assert said.parameters[2].why == f"tied to {first}.weight, which is set"
    np.testing.assert_array_equal(net.embed.weight.detach(), (std * expected.standard_normal((20, 8))).astype("f4"))
    expected.standard_normal((8, 8))
    assert generator.bit_generator.state == expected.bit_generator.state  # nothing was drawn twice


def test_a_parameter_of_the_root_that_a_layer_uses_is_set():
    net = nn.Module()
    net.table = nn.Parameter(torch.zeros(4, 3))
    net.lookup = nn.Embedding(4, 3)
    net.lookup.weight = net.table
    assert plan(net, "he_normal").set == ["lookup.weight"]
    assert plan(net, "he_normal").parameters[0].why == "tied to lookup.weight, which is set"
    assert ini.initialize_(net, "he_normal", rng=rng()).table.abs().min() > 0


@pytest.mark.parametrize("first", ["embed", "unembed"])
def test_the_padding_row_is_zero(first):
    net = ini.initialize_(Tied(first, padding=-3), "he_normal", rng=rng())
    zero = (net.embed.weight == 0).all(dim=1)
    assert zero.nonzero().tolist() == [[17]]
    assert "padding row 17 zero" in str(plan(net, "he_normal"))
    assert (ini.initialize_(net, ini.constant(2.0), rng=rng()).embed.weight[17] == 0).all()


NORMS = [
    nn.BatchNorm1d(4),
    nn.BatchNorm2d(4),
    nn.SyncBatchNorm(4),
    nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
    nn.LayerNorm(4),
    nn.GroupNorm(2, 4),
    nn.RMSNorm(4),
]


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: type(norm).__name__)
def test_normalization_stays(norm):
    state = snapshot(norm)
    net = ini.initialize_(nn.Sequential(norm, nn.Linear(4, 4)), "he_normal", rng=rng(), bias=0.5)
    assert snapshot(norm) == state
    assert (net[1].bias == 0.5).all()
    assert {e.why for e in plan(net, "zeros").parameters if not e.is_set} == {f"normalization ({type(norm).__name__})"}
    assert ini.initialize_(norm, "he_normal", rng=rng()) is norm


def test_gradients_flags_buffers_mode_and_global_randomness_stay():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2)).eval()
    net[3].weight.requires_grad_(False)
    net(torch.randn(8, 4)).sum().backward()
    gradients = {name: (p.grad, None if p.grad is None else p.grad.clone()) for name, p in net.named_parameters()}
    objects = [*net.parameters(), *net.buffers()]
    pointers = [tensor.data_ptr() for tensor in objects]
    torch_state = torch.get_rng_state()
    with torch.enable_grad():
        ini.initialize_(net, "he_normal", rng=rng())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(a is b for a, b in zip(objects, [*net.parameters(), *net.buffers()], strict=True))
    assert [tensor.data_ptr() for tensor in objects] == pointers
    assert [p.requires_grad for p in net.parameters()] == [True, True, True, True, False, True]
    assert all(p.is_leaf and p.grad_fn is None for p in net.parameters())
    assert not net.training
    for name, p in net.named_parameters():
        before, values = gradients[name]
        assert p.grad is before
        assert before is None or torch.equal(before, values)
    assert net[3].weight.abs().min() > 0  # frozen, but initialized


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("made_inside", [False, True])
def test_inference_mode(made_inside, inside):
    with torch.inference_mode(made_inside):
        layer = nn.Linear(3, 4, **F64)
    with torch.inference_mode(inside):
        ini.initialize_(layer, "he_normal", rng=rng())
    np.testing.assert_array_equal(layer.weight.numpy(force=True), ini.he_normal.sample((4, 3), rng()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_draws_are_float64_rounded_to_the_parameters_dtype(dtype):
    layer = ini.initialize_(nn.ConvTranspose2d(4, 6, 3, dtype=dtype), "he_uniform", rng=rng(), bias=0.1)
    double = ini.initialize_(nn.ConvTranspose2d(4, 6, 3, **F64), "he_uniform", rng=rng(), bias=0.1)
    assert layer.weight.dtype == layer.bias.dtype == dtype
    assert torch.equal(layer.weight, double.weight.to(dtype))
    assert torch.equal(layer.bias, double.bias.to(dtype))


def test_layouts_in_memory_do_not_matter():
    last = nn.Conv2d(3, 4, 3, **F64).to(memory_format=torch.channels_last)
    strides = last.weight.stride()
    ini.initialize_(last, "he_normal", rng=rng())
    assert last.weight.stride() == strides
    assert torch.equal(last.weight, ini.initialize_(nn.Conv2d(3, 4, 3, **F64), "he_normal", rng=rng()).weight)


def test_a_subclass_keeps_what_it_added():
    class Scaled(nn.Linear):
        def __init__(self):
            super().__init__(3, 4)
            self.scale = nn.Parameter(torch.full((4,), 7.0))

    net = ini.initialize_(Scaled(), "he_normal", rng=rng())
    assert (net.scale == 7).all()
    assert plan(net, "he_normal").left == ["scale"]


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_empty_weights_are_left():
    net = ini.initialize_(nn.Sequential(nn.Linear(0, 3), nn.Linear(3, 3)), "he_normal", rng=rng(), bias=1.0)
    assert plan(net, "he_normal").parameters[0].why == "empty (Linear)"
    assert (net[0].bias == 1).all()


def test_the_schemes_name_or_the_object():
    for one in ("xavier_uniform", ini.xavier_uniform):
        layer = ini.initialize_(nn.Linear(3, 4, **F64), one, rng=rng())
        np.testing.assert_array_equal(layer.weight.detach(), ini.xavier_uniform.sample((4, 3), rng()))


def test_a_plan_prints_a_line_per_parameter_and_touches_nothing():
    net = Tied()
    state, said = snapshot(net), plan(net, "he_normal", bias=0.25)
    lines = str(said).splitlines()
    assert snapshot(net) == state
    assert len(lines) == 1 + len(said.parameters) == 9
    assert lines[1].split() == ["position", "(3,", "8)", "left:", "no", "rule", "(Tied)"]
    assert lines[4].split() == ["trunk.0.0.weight", "(8,", "8)", "8", "8", "0.5", "set:", "he_normal"]
    assert lines[5].split() == ["trunk.0.0.bias", "(8,)", "0", "set:", "bias", "0.25"]


def test_a_call_loads_torch_and_import_does_not():
    code = (
        "import sys, initnotes as ini; print('torch' in sys.modules, ini.initialize_.__name__, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "initialize_", "True"]
    assert ini.initialize_ is layers.initialize_


# ---------------------------------------------------------------------------------------------------------------------
# Bad input: an error that names the submodule; neither the module nor the generator has changed


def snapshot(module):
    """Return all that could have changed, bit for bit."""
    if not isinstance(module, nn.Module):
        return None
    tensors = [*module.named_parameters(), *module.named_buffers()]
    readable = [(n, t) for n, t in tensors if not nn.parameter.is_lazy(t) and not t.is_meta]
    bits = [(n, t.detach().contiguous().view(-1).view(torch.uint8).tolist(), t._version) for n, t in readable]
    return bits, [(n, t.requires_grad, type(t)) for n, t in tensors], module.training


def weight_norm(norm, layer=None, name="weight"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return norm(nn.Linear(3, 4) if layer is None else layer, name)


def quantized():
    import torch.ao.nn.quantized as nnq

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nnq.Linear(3, 4)


def quantized_lstm():
    import torch.ao.nn.quantized.dynamic as nnqd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nnqd.LSTM(3, 4)


def scripted(layer=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(nn.Linear(3, 4) if layer is None else layer)


def reshaped_gru():
    layer = nn.GRU(3, 4)
    layer.weight_hh_l0 = nn.Parameter(torch.zeros(10, 4))
    return layer


def biased(dtype):
    layer = nn.Linear(3, 4)
    layer.bias = nn.Parameter(torch.zeros(4, dtype=dtype), requires_grad=False)
    return layer


def expanded():
    layer = nn.Linear(3, 4)
    layer.weight = nn.Parameter(torch.zeros(1, 3).expand(4, 3))
    return layer


def reshaped(layer, *shape):
    layer.weight = nn.Parameter(torch.zeros(shape))
    return layer


REFUSED = {
    "Bilinear": (lambda: nn.Bilinear(2, 3, 4), TypeError, "products of two inputs"),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(3, 4), TypeError, "depends on the bag"),
    "RecursiveScriptModule": (scripted, TypeError, "before scripting"),
    "quantized": (quantized, TypeError, "before quantizing"),
    "LazyLinear": (lambda: nn.LazyLinear(4), ValueError, "run one batch"),
    "LazyConv2d": (lambda: nn.LazyConv2d(4, 3), ValueError, "run one batch"),
    "LazyBatchNorm1d": (lambda: nn.LazyBatchNorm1d(), ValueError, "run one batch"),
    "meta": (lambda: nn.Linear(3, 4, device="meta"), ValueError, "to_empty"),
    "parametrized weight norm": (lambda: parametrizations.weight_norm(nn.Linear(3, 4)), ValueError, "before that is"),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Conv1d(3, 4, 2)), ValueError, "before that is"),
    "old weight norm": (lambda: weight_norm(nn.utils.weight_norm), ValueError, "before that is"),
    "pruned bias": (lambda: prune.random_unstructured(nn.Linear(3, 4), "bias", 1), ValueError, "from other tensors"),
    "complex": (
        lambda: nn.Linear(3, 4, dtype=torch.complex64),
        ValueError,
        "floating-point dtype, got torch.complex64",
    ),
    "integer": (lambda: biased(torch.int64), ValueError, "bias of"),
    "expanded": (expanded, ValueError, "share memory"),
    "vector": (lambda: reshaped(nn.Linear(3, 4), 4), ValueError, "must have 2 dimensions, got shape (4,)"),
    "groups": (lambda: reshaped(nn.Conv1d(4, 4, 3, groups=2), 3, 2, 3), ValueError, "the first a multiple of 2"),
    "LSTM, orthogonal by parametrization": (
        lambda: parametrizations.orthogonal(nn.LSTM(3, 4), "weight_hh_l0"),
        ValueError,
        "computes its weight_hh_l0 from other tensors",
    ),
    "GRUCell, weight norm": (lambda: parametrizations.weight_norm(nn.GRUCell(3, 4), "weight_ih"), ValueError, "_ih"),
    "LSTM, old weight norm": (
        lambda: weight_norm(nn.utils.weight_norm, nn.LSTM(3, 4), "weight_hh_l0"),
        ValueError,
        "_hh",
    ),
    "RNN, pruned": (
        lambda: prune.random_unstructured(nn.RNN(3, 4), "bias_hh_l0", 1),
        ValueError,
        "its bias_hh_l0 from",
    ),
    "attention, spectral norm": (
        lambda: parametrizations.spectral_norm(nn.MultiheadAttention(4, 2), "in_proj_weight"),
        ValueError,
        "computes its in_proj_weight from other tensors",
    ),
    "LSTM, scripted": (lambda: scripted(nn.LSTM(3, 4)), TypeError, "before scripting"),
    "LSTM, quantized": (lambda: quantized_lstm(), TypeError, "before quantizing"),
    "LSTM, meta": (lambda: nn.LSTM(3, 4, device="meta"), ValueError, "to_empty"),
    "GRU, reshaped": (lambda: reshaped_gru(), ValueError, "weight_hh_l0 must have 2 dimensions"),
    "attention, complex": (
        lambda: nn.MultiheadAttention(4, 2, dtype=torch.complex64),
        ValueError,
        "floating-point dtype",
    ),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_named_and_nothing_touched(name, nested):
    make, error, message = REFUSED[name]
    inner = make()
    net = nn.Sequential(nn.Linear(3, 3), nn.ModuleDict({"inner": inner}), nn.Linear(3, 3)) if nested else inner
    who = f"'1.inner' ({type(inner).__name__})" if nested else f"module ({type(inner).__name__})"
    state, generator = snapshot(net), rng()
    before = generator.bit_generator.state
    for call in (lambda: ini.initialize_(net, "he_normal", rng=generator), lambda: plan(net, "he_normal")):
        with pytest.raises(error, match=re.escape(who)) as caught:
            call()
        assert message in str(caught.value)
    assert snapshot(net) == state
    assert generator.bit_generator.state == before


BAD = [
    ({"module": 3}, TypeError, "module must be a torch.nn.Module, got int"),
    ({"module": nn.Linear}, TypeError, "module must be a torch.nn.Module, got type"),
    ({"module": torch.zeros(3, 4)}, TypeError, "got Tensor"),
    ({"module": nn.Sequential(nn.ReLU())}, ValueError, "must have parameters, got a Sequential without any"),
    ({"scheme": "he_norml"}, ValueError, "did you mean 'he_normal'?"),
    ({"scheme": "constant"}, ValueError, "ini.constant(value)"),
    ({"scheme": 2}, TypeError, "scheme must be a string"),
    ({"rng": 0}, TypeError, "rng must be a numpy.random.Generator, got int"),
    ({"rng": torch.Generator()}, TypeError, "rng must be a numpy.random.Generator"),
    ({"bias": math.nan}, ValueError, "bias must be finite"),
    ({"bias": math.inf}, ValueError, "bias must be finite"),
    ({"bias": "0"}, TypeError, "bias must be a real number"),
    ({"bias": None}, TypeError, "bias must be a real number"),
    ({"bias": 1e39}, ValueError, "1.bias would get the value 1e+39, beyond the 3.40282e+38 of its torch.float32"),
    ({"scheme": ini.constant(-1e39)}, ValueError, "0.weight would get the value 1e+39"),
    ({"scheme": ini.small_random(1e39)}, ValueError, "0.weight would get the value"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD, ids=[f"{next(iter(bad[0].items()))}"[:30] for bad in BAD])
def test_bad_input_touches_nothing(bad, error, message):
    generator = rng()
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 4))
    call = {"module": net, "scheme": "he_normal", "rng": generator, "bias": 0.0} | bad
    state, before = snapshot(call["module"]), generator.bit_generator.state
    with pytest.raises(error, match=re.escape(message)):
        ini.initialize_(call.pop("module"), call.pop("scheme"), **call)
    assert snapshot(bad.get("module", net)) == state
    assert generator.bit_generator.state == before


class Failing(Initializer):
    """Fails, or draws nonsense, after the generator has moved on."""

    def __init__(self, error):
        self.error, self.calls = error, 0

    def _std(self, shape):
        return 1.0

    def _draw(self, shape, lead, rng):
        rng.standard_normal(5)
        self.calls += 1
        if self.calls < 2:
            return np.zeros((*lead, *shape))
        if self.error is None:
            return np.full((*lead, *shape), math.nan)
        raise self.error


@pytest.mark.parametrize(
    ("error", "raised"), [(MemoryError(), MemoryError), (KeyboardInterrupt(), KeyboardInterrupt), (None, ValueError)]
)
def test_a_draw_that_fails_midway_touches_nothing(error, raised):
    net, generator = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)), rng()
    state, before = snapshot(net), generator.bit_generator.state
    with pytest.raises(raised):
        ini.initialize_(net, Failing(error), rng=generator)
    assert snapshot(net) == state
    assert generator.bit_generator.state == before


def test_a_snapshot_sees_a_single_bit():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    state = snapshot(net)
    with torch.no_grad():
        net[0].weight[0, 0] = torch.nextafter(net[0].weight[0, 0], torch.tensor(9.0))
    assert snapshot(net) != state


@pytest.mark.parametrize(
    ("layer", "weight", "error", "message"),
    [
        (nn.ReLU(), None, TypeError, "layer must be a Linear, Conv1d to 3d"),
        (nn.Bilinear(2, 3, 4), None, TypeError, "got Bilinear"),
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
