"""Every parameter is accounted for: rules, what is skipped, and what is left and said.

A statistical test fails with probability at most ALPHA over seeds; the seeds are fixed. Its companion, a wrong
implementation, is fed to the same check at the same threshold.
"""

import math
import re
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn.utils import parametrizations, prune

import initnotes as ini
from initnotes.layers import LAYERS, NORMS, bias_names, has_rule, is_layer, plan, weight_names
from tests.snapshots import snapshot

ALPHA = 1e-4  # false-failure rate of one test function
SEED = 20260114
F64 = {"dtype": torch.float64}


def rng(seed=SEED):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------------------------------------------------------
# Left for want of a rule: said by default, an error under strict, with nothing touched


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


# (how it is made, the parameters that are left, what is said)
LEFT = {
    "bare": (lambda: nn.ParameterList([torch.zeros(3)]), ["0"], "no rule (ParameterList)"),
    "RecursiveScriptModule": (scripted, ["weight", "bias"], "scripted"),
    "LSTM, scripted": (lambda: scripted(nn.LSTM(3, 4)), None, "scripted"),
    "quantized": (quantized, None, "quantized (Linear)"),
    "LSTM, quantized": (quantized_lstm, None, "quantized (LSTM)"),
    "parametrized weight norm": (
        lambda: parametrizations.weight_norm(nn.Linear(3, 4)),
        ["parametrizations.weight.original0", "parametrizations.weight.original1"],
        "computed from it",
    ),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Conv1d(3, 4, 2)), None, "computed from it"),
    "old weight norm": (lambda: weight_norm(nn.utils.weight_norm), ["weight_g", "weight_v"], "computed from it"),
    "pruned bias": (lambda: prune.random_unstructured(nn.Linear(3, 4), "bias", 1), ["bias_orig"], "computed from it"),
    "LSTM, orthogonal by parametrization": (
        lambda: parametrizations.orthogonal(nn.LSTM(3, 4), "weight_hh_l0"),
        ["parametrizations.weight_hh_l0.original"],
        "computed from it",
    ),
    "LSTM, old weight norm": (
        lambda: weight_norm(nn.utils.weight_norm, nn.LSTM(3, 4), "weight_hh_l0"),
        ["weight_hh_l0_g", "weight_hh_l0_v"],
        "computed from it",
    ),
    "RNN, pruned": (
        lambda: prune.random_unstructured(nn.RNN(3, 4), "bias_hh_l0", 1),
        ["bias_hh_l0_orig"],
        "computed from it",
    ),
    "attention, spectral norm": (
        lambda: parametrizations.spectral_norm(nn.MultiheadAttention(4, 2), "in_proj_weight"),
        ["parametrizations.in_proj_weight.original"],
        "computed from it",
    ),
    "complex": (lambda: nn.Linear(3, 4, dtype=torch.complex64), ["weight", "bias"], "got torch.complex64 (Linear)"),
    "integer": (lambda: biased(torch.int64), ["bias"], "floating-point dtype, got torch.int64 (Linear)"),
    "expanded": (expanded, ["weight"], "share memory"),
    "vector": (lambda: reshaped(nn.Linear(3, 4), 4), ["weight"], "must have 2 dimensions, got shape (4,)"),
    "groups": (
        lambda: reshaped(nn.Conv1d(4, 4, 3, groups=2), 3, 2, 3),
        ["weight"],
        "must have 3 dimensions, the first a multiple of 2",
    ),
    "GRU, reshaped": (reshaped_gru, ["weight_hh_l0"], "weight_hh_l0 must have 2 dimensions, the first a multiple of 4"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_has_no_rule_is_left_and_said_and_the_rest_is_set(name):
    make, left, message = LEFT[name]
    net = nn.Sequential(nn.Linear(3, 3), nn.ModuleDict({"inner": make()}), nn.Linear(3, 3))
    said = plan(net, "he_normal")
    missed = [own for names in said.missed.values() for own in names]
    assert missed == [f"1.inner.{key}" for key in left] if left else missed[0].startswith("1.inner")
    assert all(message in why for why in said.missed)
    before = {key: p.detach().clone() for key, p in net.named_parameters()}
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        ini.initialize_(net, "he_normal", rng=rng(), bias=0.5)
    assert len(caught) == 1
    assert missed[0] in str(caught[0].message)
    assert caught[0].filename == __file__
    changed = [key for key, p in net.named_parameters() if not torch.equal(p, before[key])]
    assert changed == said.set
    assert {"0.weight", "0.bias", "2.weight", "2.bias"} <= set(changed)


@pytest.mark.parametrize("name", LEFT)
def test_strict_raises_before_anything_is_touched(name):
    net = nn.Sequential(nn.Linear(3, 3), nn.ModuleDict({"inner": LEFT[name][0]()}))
    state, generator = snapshot(net), rng()
    before = generator.bit_generator.state
    with pytest.raises(ValueError, match=re.escape(LEFT[name][2])):
        ini.initialize_(net, "he_normal", rng=generator, strict=True)
    with pytest.raises(UserWarning, match=re.escape(LEFT[name][2])):  # pytest makes errors of warnings
        ini.initialize_(net, "he_normal", rng=generator)
    assert snapshot(net) == state
    assert generator.bit_generator.state == before


def test_a_warning_groups_names_by_reason_and_counts_the_rest():
    net = nn.Module()
    net.many = nn.ParameterList([torch.zeros(2) for _ in range(6)])
    net.one = nn.Parameter(torch.zeros(3))
    with pytest.warns(UserWarning, match="7 of 7") as caught:
        ini.initialize_(net, "he_normal", rng=rng())
    assert str(caught[0].message) == (
        "initialize_: 7 of 7 parameters are left as before: one: no rule (Module); many.0, many.1, many.2, many.3 and "
        "2 more: no rule (ParameterList). "
        "Give rules={name: scheme or number}, or name in skip= what is right as it is"
    )


class Lora(nn.Module):
    """A frozen layer and its low-rank update, as peft names them."""

    def __init__(self, first=0.0):
        super().__init__()
        self.base_layer = nn.Linear(6, 5)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(6, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 5, bias=False)})
        nn.init.constant_(self.lora_B["default"].weight, first)


QUIET = {
    "normalization": (nn.BatchNorm1d(4), "normalization (BatchNorm1d)"),
    "slopes": (nn.PReLU(), "slope of an activation (PReLU)"),
    "LoRA's B": (Lora(), "LoRA's B, zero on purpose"),
}


@pytest.mark.parametrize("name", QUIET)
def test_what_is_left_on_purpose_is_not_warned_of(name):
    module, why = QUIET[name]
    said = plan(module, "he_normal")
    assert said.missed == {}
    assert {own.why for own in said.parameters if not own.is_set} == {why}
    ini.initialize_(module, "he_normal", rng=rng(), strict=True)


def test_loras_b_stays_zero_unless_a_rule_names_it():
    for rules in ({}, {nn.Linear: "lecun_normal"}, {"*": "lecun_normal"}, {"lora_B": "lecun_normal"}, {"*": 0.5}):
        model = ini.initialize_(Lora(), "he_normal", rng=rng(), rules=rules, strict=True)
        assert not model.lora_B["default"].weight.any(), rules
        assert model.lora_A["default"].weight.abs().min() > 0
    model = ini.initialize_(Lora(), "he_normal", rng=rng(), rules={"lora_B.*": ini.small_random(0.1)})
    assert model.lora_B["default"].weight.abs().min() > 0
    assert plan(Lora(), "he_normal").left == ["lora_B.default.weight"]


@pytest.mark.parametrize(
    "name",
    ["q.lora_B.weight", "lora_embedding_A.default", "block.0.lora_b.weight", "lora_B", "q.lora_B.default.weight"],
)
def test_names_of_loras_b(name):
    *path, key = name.split(".")
    net = inner = nn.Module()
    for part in path:
        inner.add_module(part, nn.Module())
        inner = inner.get_submodule(part)
    inner.register_parameter(key, nn.Parameter(torch.zeros(3, 2)))
    assert plan(net, "he_normal").missed == {}
    assert plan(nn.ParameterDict({"glora_Bias": torch.zeros(3, 2)}), "zeros").missed != {}
    other = nn.ParameterDict({"lora_embedding_B": torch.zeros(3, 2), "lora_A": torch.zeros(3, 2)})
    assert set(*plan(other, "zeros").missed.values()) == {"lora_embedding_B", "lora_A"}  # not the zero factors


# ---------------------------------------------------------------------------------------------------------------------
# Rules


class Model(nn.Module):
    """A bit of everything: an embedding, positions, a gate, normalization, a list, two blocks and a head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.position = nn.Parameter(torch.full((30, 8), 7.0))
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)) for _ in range(2)])
        self.experts = nn.ParameterList([torch.full((40, 60), 7.0), torch.full((40, 60), 7.0)])
        self.gate = nn.Parameter(torch.full((8,), 7.0))
        self.scale = nn.Parameter(torch.tensor(7.0))
        self.head = nn.Linear(8, 5)


REST = {"position": 0.5, "experts.*": 0.25, "gate": 0.0, "scale": 1.0}


FIRST = [
    ({"head": "zeros"}, {"head": "head.weight"}),
    ({"head.*": "zeros"}, {"head.*": "head.weight"}),
    ({"head.*": 0.5}, {"head.*": "head.weight head.bias"}),
    ({"head": 0.5}, {"head": "head.weight"}),
    ({"*.bias": 0.1}, {"*.bias": "blocks.0.0.bias blocks.0.1.bias blocks.1.0.bias blocks.1.1.bias head.bias"}),
    ({nn.LayerNorm: 0.5}, {"LayerNorm": "blocks.0.1.weight blocks.0.1.bias blocks.1.1.weight blocks.1.1.bias"}),
    ({nn.Sequential: 0.5}, {"Sequential": "blocks.0.0.weight blocks.1.0.weight"}),
    ({"blocks": "orthogonal"}, {"blocks": "blocks.0.0.weight blocks.1.0.weight"}),
    ({"*.1.0*": "zeros", nn.Linear: 0.5}, {"*.1.0*": "blocks.1.0.weight", "Linear": "blocks.0.0.weight head.weight"}),
    ({"[!h]*.weight": "zeros"}, {"[!h]*.weight": "embed.weight blocks.0.0.weight blocks.1.0.weight"}),
    (
        {nn.Linear: "lecun_normal", "*": "he_normal", "gate": 0.5},
        {
            "Linear": "blocks.0.0.weight blocks.1.0.weight head.weight",
            "*": "embed.weight position experts.0 experts.1",
            "gate": "gate",
        },
    ),
    ({nn.Conv2d: "zeros"}, {}),
]


@pytest.mark.parametrize(("rules", "set_by"), FIRST)
def test_the_first_rule_that_can_set_a_parameter_does(rules, set_by):
    found = {}
    for own in plan(Model(), "he_normal", rules=rules).parameters:
        if " by the rule " in own.why:
            found.setdefault(own.why.partition(" by the rule ")[2].strip("'"), set()).add(own.name)
    assert found == {key: set(names.split()) for key, names in set_by.items()}


def test_a_scheme_passes_over_vectors_and_says_so():
    said = plan(Model(), "he_normal", rules={"*": ini.small_random(0.1)})
    assert said.missed == {"a vector, which has no fan; give it a number in rules ('*')": ["gate", "scale"]}
    rows = {own.name: own.why for own in said.parameters}
    assert rows["head.bias"] == "bias 0"
    assert rows["blocks.0.1.weight"] == "normalization (LayerNorm)"


def test_rules_are_carried_out():
    model = Model()
    rules = REST | {"head": ini.constant(3.0), nn.LayerNorm: 0.75, "blocks.1.0.bias": -1.0}
    ini.initialize_(model, "he_normal", rng=rng(), rules=rules, strict=True, bias=0.1)
    expected = {"position": 0.5, "experts.0": 0.25, "experts.1": 0.25, "gate": 0.0, "scale": 1.0, "head.weight": 3.0}
    expected |= {"head.bias": 0.1, "blocks.0.1.weight": 0.75, "blocks.0.1.bias": 0.75, "blocks.1.0.bias": -1.0}
    for name, value in expected.items():
        assert (model.get_parameter(name) == value).all(), name


def p_normal(values, variance):
    """Two-sided p-value of independent normal values of mean 0 with that variance."""
    statistic = float((np.asarray(values) ** 2).sum()) / variance
    return 2 * min(stats.chi2.cdf(statistic, values.size), stats.chi2.sf(statistic, values.size))


def test_a_bare_matrix_is_drawn_by_the_fans_of_its_shape():
    """False-failure rate ALPHA; reading the shape the other way round is caught."""
    model = ini.initialize_(Model().double(), "he_normal", rng=rng(), rules=REST | {"experts.*": "he_normal"})
    drawn = torch.stack(list(model.experts)).detach().numpy().ravel()
    assert p_normal(drawn, 2 / 60) > ALPHA
    assert p_normal(drawn, 2 / 40) < ALPHA


def logits(draw):
    """Return the logits of draws of a tied matrix for a last hidden vector of ±1."""
    generator, h = rng(1), torch.from_numpy(rng(2).choice([-1.0, 1.0], size=(1, 16)))
    values = []
    for _ in range(100):
        net = nn.ModuleDict({"embed": nn.Embedding(30, 16, **F64), "head": nn.Linear(16, 30, bias=False, **F64)})
        net["head"].weight = net["embed"].weight
        draw(net, generator)
        values.append(net["head"](h).detach().numpy().ravel())
    return np.concatenate(values)


def test_logits_of_a_tied_matrix_have_the_promised_variance():
    """False-failure rate ALPHA; drawing the matrix for its job as embedding is caught."""
    tied = logits(lambda net, generator: ini.initialize_(net, "he_normal", rng=generator))
    looked_up = logits(lambda net, generator: ini.initialize_(net["embed"], "he_normal", rng=generator))
    assert p_normal(tied, 2.0) > ALPHA
    assert p_normal(looked_up, 2.0) < ALPHA
    assert p_normal(looked_up, 2.0 * 16) > ALPHA


def test_rules_do_not_change_what_others_draw_before_them():
    first, second = Model().double(), Model().double()
    ini.initialize_(first, "he_normal", rng=rng(), rules=REST)
    ini.initialize_(second, "he_normal", rng=rng(), rules=REST | {"head": "zeros"})
    assert torch.equal(first.blocks[1][0].weight, second.blocks[1][0].weight)


BAD_RULES = [
    (
        {"rules": {"haed": "zeros"}},
        ValueError,
        "'haed' in rules covers no parameter of the module; did you mean 'head'?",
    ),
    ({"rules": {"qqq": 0.0}}, ValueError, "names are those of named_parameters and named_modules"),
    ({"rules": {"head": "he_norml"}}, ValueError, "did you mean 'he_normal'?"),
    ({"rules": {"head": math.nan}}, ValueError, "rules['head'] must be finite"),
    ({"rules": {"head": None}}, TypeError, "rules['head'] must be a scheme or a number, got None"),
    ({"rules": {nn.Linear: ini.orthogonal}}, TypeError, "rules[Linear] must be a scheme or a number, got <class"),
    ({"rules": {3: "zeros"}}, TypeError, "a key of rules must be a name pattern, a type of torch.nn, got 3"),
    ({"rules": {int: "zeros"}}, TypeError, "a key of rules must be a name pattern, a type of torch.nn, got <class"),
    ({"rules": ["head"]}, TypeError, "rules must be a dict of name patterns or module types"),
    ({"rules": {"gate": 1e39}}, ValueError, "gate would get the value 1e+39, beyond the 3.40282e+38"),
    ({"skip": "haed"}, ValueError, "'haed' in skip covers no parameter of the module; did you mean 'head'?"),
    ({"skip": 3}, TypeError, "skip must be a name pattern, a type of torch.nn, or a module, got 3"),
    ({"skip": [None]}, TypeError, "skip must be a name pattern, a type of torch.nn, or a module, got None"),
    ({"skip": nn.Linear(2, 2)}, ValueError, "Linear in skip covers no parameter"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD_RULES, ids=[str(bad[0]) for bad in BAD_RULES])
def test_bad_rules_touch_nothing(bad, error, message):
    model, generator = Model(), rng()
    state, before = snapshot(model), generator.bit_generator.state
    with pytest.raises(error, match=re.escape(message)):
        ini.initialize_(model, "he_normal", rng=generator, **({"rules": REST} | bad))
    assert snapshot(model) == state
    assert generator.bit_generator.state == before


# ---------------------------------------------------------------------------------------------------------------------
# Skip

BLOCK = ("0.weight", "0.bias", "1.weight", "1.bias")


@pytest.mark.parametrize(
    ("skip", "left"),
    [
        ("head", ["head.weight", "head.bias"]),
        ("head.weight", ["head.weight"]),
        (
            nn.Sequential,
            [f"blocks.{n}.{name}" for n in (0, 1) for name in ("0.weight", "0.bias", "1.weight", "1.bias")],
        ),
        (
            ["blocks.0", nn.Embedding],
            ["embed.weight", *(f"blocks.0.{n}" for n in ("0.weight", "0.bias", "1.weight", "1.bias"))],
        ),
        (("*.bias",), ["blocks.0.0.bias", "blocks.0.1.bias", "blocks.1.0.bias", "blocks.1.1.bias", "head.bias"]),
    ],
    ids=str,
)
def test_what_is_skipped_stays_with_all_in_it(skip, left):
    model = Model()
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    said = plan(model, "he_normal", rules=REST, skip=skip)
    assert [own.name for own in said.parameters if own.why == "skipped"] == sorted(left, key=list(before).index)
    ini.initialize_(model, ini.constant(2.0), rng=rng(), rules=REST, skip=skip, bias=3.0, strict=True)
    assert all(torch.equal(model.get_parameter(name), before[name]) for name in left)


def test_modules_themselves_are_skipped_and_need_no_values():
    net = nn.Sequential(nn.Linear(3, 3), nn.LazyLinear(4), nn.Linear(3, 3, device="meta"), quantized())
    ini.initialize_(net, ini.constant(2.0), rng=rng(), skip=[net[1], net[2], "3"], strict=True)
    assert (net[0].weight == 2).all()


def test_a_tied_parameter_is_skipped_under_all_its_names():
    net = nn.ModuleDict({"embed": nn.Embedding(5, 4), "head": nn.Linear(4, 5, bias=False)})
    net["head"].weight = net["embed"].weight
    assert plan(net, "he_normal", skip="embed").set == []
    assert plan(net, "he_normal", skip="head").set == []


# ---------------------------------------------------------------------------------------------------------------------
# What other rooms ask


def test_layers_with_a_rule():
    assert all(
        has_rule(layer) for layer in (nn.Linear(2, 3), nn.GRU(2, 3), nn.Bilinear(2, 3, 4), nn.EmbeddingBag(2, 3))
    )
    assert not any(has_rule(module) for module in (nn.LayerNorm(3), nn.ReLU(), None, scripted(), quantized()))
    computed = [parametrizations.weight_norm(nn.Linear(3, 4)), weight_norm(nn.utils.weight_norm)]
    assert [(is_layer(layer), has_rule(layer)) for layer in computed] == [(True, False)] * 2
    assert not set(LAYERS) & set(NORMS)


def test_names_of_weights_and_biases():
    layer = nn.LSTM(3, 4, proj_size=2)
    assert weight_names(layer) == ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0"]
    assert bias_names(layer) == {"bias_ih_l0": "", "bias_hh_l0": "bias_ih_l0"}
    assert weight_names(nn.MultiheadAttention(4, 2, kdim=3)) == ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
    for names in (weight_names, bias_names):
        with pytest.raises(TypeError, match=r"layer must be a Linear, .* got ReLU"):
            names(nn.ReLU())


def test_another_conv1d_is_not_hugging_faces():
    class Conv1D(nn.Module):
        def __init__(self):
            super().__init__()
            self.nf, self.weight = 3, nn.Parameter(torch.zeros(4, 3))

    assert not is_layer(Conv1D())
    assert plan(Conv1D(), "he_normal").missed == {"no rule (Conv1D)": ["weight"]}


def test_a_plan_renders_as_a_table():
    said = plan(Model(), "he_normal")
    assert repr(said) == str(said)
    assert said._repr_html_().count("<tr>") == 1 + len(said.parameters)
    assert "<wbr>" in said._repr_html_()
