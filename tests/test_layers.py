"""Networks filled by schemes: what is written, what is left and said, and what is refused with nothing touched."""

import copy
import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import initnotes as ini
from initnotes.layers import fill, plan, true_fans
from initnotes.schemes import Initializer
from tests.snapshots import snapshot

SEED = 20260103
F64 = {"dtype": torch.float64}

every_scheme = st.sampled_from([name for name in ini.schemes.NAMES if name != "constant"])
quick = settings(max_examples=60, deadline=None)


def rng(seed=SEED):
    return np.random.default_rng(seed)


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
    with pytest.warns(UserWarning, match=r"bias_k: a key of the sequence, not a bias .*; bias_v: a value of"):
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
    assert said.left == ["embed.weight", "recurrent.weight_hh_l1"]
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


@pytest.mark.parametrize("first", ["embed", "unembed"])
def test_a_tied_embedding_is_drawn_once_and_as_the_unembedding(first):
    """With an embedding's fan of 1 the logits would have the variance dim, which the peer below has."""
    net, generator, expected = Tied(first), rng(), rng()
    net.double()
    said = plan(net, "lecun_normal", skip="position")
    ini.initialize_(net, "lecun_normal", rng=generator, skip="position")
    assert net.unembed.weight is net.embed.weight
    assert sorted(said.set) == ["trunk.0.0.bias", "trunk.0.0.weight", "unembed.weight"]
    rows = {own.name: own for own in said.parameters}
    assert (rows["unembed.weight"].fan_in, rows["unembed.weight"].std) == (8, pytest.approx(1 / math.sqrt(8)))
    assert rows["embed.weight"].why == "tied to unembed.weight, which is set"
    draws = {"unembed.weight": net.embed.weight, "trunk.0.0.weight": net.trunk[0][0].weight}
    for name in (name for name in said.set if "weight" in name):
        sampled = ini.lecun_normal.sample(tuple(draws[name].shape), expected)
        np.testing.assert_array_equal(draws[name].detach(), sampled)
    assert generator.bit_generator.state == expected.bit_generator.state  # nothing was drawn twice


def test_a_rule_for_an_embedding_holds_for_what_is_tied_to_it():
    said = plan(Tied(), "lecun_normal", rules={nn.Embedding: ini.small_random(0.02)})
    row = next(own for own in said.parameters if own.name == "embed.weight")
    assert (row.std, row.why) == (0.02, "small_random by the rule Embedding")


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
    net = ini.initialize_(Tied(first, padding=-3), "he_normal", rng=rng(), skip="position")
    zero = (net.embed.weight == 0).all(dim=1)
    assert zero.nonzero().tolist() == [[17]]
    assert "padding row 17 zero" in str(plan(net, "he_normal"))
    assert (ini.initialize_(net, ini.constant(2.0), rng=rng(), skip="position").embed.weight[17] == 0).all()


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


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("made_inside", [False, True])
def test_inference_mode(made_inside, inside):
    with torch.inference_mode(made_inside):
        layer = nn.Linear(3, 4, **F64)
    with torch.inference_mode(inside):
        ini.initialize_(layer, "he_normal", rng=rng())
    np.testing.assert_array_equal(layer.weight.numpy(force=True), ini.he_normal.sample((4, 3), rng()))


DRAWN = [
    lambda d: nn.GRU(8, 4, dtype=d),
    lambda d: nn.MultiheadAttention(8, 4, dtype=d),
    lambda d: nn.Linear(8, 4, dtype=d),
]


@pytest.mark.parametrize("name", ["he_normal", "xavier_uniform", "orthogonal"])
@pytest.mark.parametrize("make", DRAWN)
def test_draws_are_float64_for_float64_and_else_float32_rounded(make, name):
    layers = {d: make(d) for d in (torch.float64, torch.float32, torch.bfloat16, torch.float16)}
    for layer in layers.values():
        ini.initialize_(layer, name, rng=rng(), bias=0.1)
    for dtype in (torch.bfloat16, torch.float16):
        for (key, p), q in zip(layers[dtype].named_parameters(), layers[torch.float32].parameters(), strict=True):
            assert p.dtype == dtype, key
            assert torch.equal(p, q.to(dtype)), key
    first = [next(layers[dtype].parameters()) for dtype in (torch.float64, torch.float32)]
    assert torch.equal(*(p.float() for p in first)) == (name == "orthogonal")  # a matrix is made in float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_layer_is_the_schemes_own_draw_in_its_dtype(dtype):
    layer = ini.initialize_(nn.Linear(7, 5, dtype=dtype), "he_normal", rng=rng())
    np.testing.assert_array_equal(layer.weight.detach(), ini.he_normal.sample((5, 7), rng(), dtype=dtype))


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

    with pytest.warns(UserWarning, match=r"1 of 3 parameters is left as before: scale: no rule \(Scaled\)"):
        net = ini.initialize_(Scaled(), "he_normal", rng=rng())
    assert (net.scale == 7).all()
    assert plan(net, "he_normal").left == ["scale"]


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_empty_weights_are_left():
    net = ini.initialize_(nn.Sequential(nn.Linear(0, 3), nn.Linear(3, 3)), "he_normal", rng=rng(), bias=1.0)
    assert plan(net, "he_normal").parameters[0].why == "empty (Linear)"
    assert (net[0].bias == 1).all()


def test_the_schemes_name_or_the_object():
    for scheme in ("xavier_uniform", ini.xavier_uniform):
        layer = ini.initialize_(nn.Linear(3, 4, **F64), scheme, rng=rng())
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
    assert ini.initialize_ is fill.initialize_


# ---------------------------------------------------------------------------------------------------------------------
# Bad input: an error that names the submodule; neither the module nor the generator has changed


REFUSED = {
    "LazyLinear": (lambda: nn.LazyLinear(4), ValueError, "run one batch"),
    "LazyConv2d": (lambda: nn.LazyConv2d(4, 3), ValueError, "run one batch"),
    "LazyBatchNorm1d": (lambda: nn.LazyBatchNorm1d(), ValueError, "run one batch"),
    "meta": (lambda: nn.Linear(3, 4, device="meta"), ValueError, "to_empty"),
    "LSTM, meta": (lambda: nn.LSTM(3, 4, device="meta"), ValueError, "to_empty"),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_values_is_named_and_nothing_touched(name, nested):
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
    ({"scheme": ini.constant(-1e39)}, ValueError, "0.weight would get the value inf"),
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

    def _std(self, shape, fans):
        return 1.0

    def _draw(self, shape, lead, rng, std, dtype):
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
