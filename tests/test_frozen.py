"""What is frozen stays: a trained base beside adapters or under a new head; and how to draw it all the same."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import initnotes as ini
from initnotes.layers import plan, recipe, recipe_plan
from initnotes.networks.attention import Transformer
from tests.snapshots import snapshot


def rng():
    return np.random.default_rng(20260115)


class Adapted(nn.Module):
    """A frozen layer and two thin ones beside it, named as peft names them."""

    def __init__(self, layer, rank=2):
        super().__init__()
        self.base_layer = layer.requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(layer.in_features, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, layer.out_features, bias=False)})
        nn.init.zeros_(self.lora_B["default"].weight)

    def forward(self, x):
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


def adapted():
    return nn.Sequential(Adapted(nn.Linear(6, 8)), nn.ReLU(), Adapted(nn.Linear(8, 5)))


def probed():
    """Return trained features that are frozen, a normalization and a bare table too, and a new head."""
    base = nn.Sequential(nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.LSTM(4, 5)).requires_grad_(False)
    base.register_parameter("table", nn.Parameter(torch.ones(4, 4), requires_grad=False))
    return nn.Sequential(base, nn.Linear(5, 2))


MODELS = {
    "adapters": (adapted, ["0.lora_A.default.weight", "2.lora_A.default.weight"]),
    "a new head": (probed, ["1.weight", "1.bias"]),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rules", [None, {nn.Linear: "lecun_normal", nn.Conv1d: 0.5}])
def test_a_frozen_base_stays_and_what_is_new_is_drawn(name, rules):
    make, drawn = MODELS[name]
    model = make()
    before = {key: own.clone() for key, own in model.state_dict().items()}
    said = plan(model, "he_normal", rules=rules)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ini.initialize_(model, "he_normal", rng=rng(), rules=rules, strict=True)
    after = model.state_dict()
    assert {key for key in after if not torch.equal(after[key], before[key])} == set(drawn) == set(said.set)
    assert {own.name for own in said.parameters} == dict(model.named_parameters()).keys()
    frozen = [own for own, p in zip(said.parameters, model.parameters(), strict=True) if not p.requires_grad]
    assert {own.why for own in frozen} == {"frozen; a rule with its full name draws it"}
    assert [own.std for own in frozen] == [None] * len(frozen)


def test_zeros_under_a_frozen_base_are_a_head_of_zeros():
    model = ini.initialize_(probed(), "zeros", rng=rng())
    assert not model[1].weight.any()
    assert model[0][0].weight.abs().min() > 0


def test_a_rule_with_its_full_name_draws_what_is_frozen():
    features = nn.Sequential(nn.Linear(6, 8).requires_grad_(False), nn.ReLU(), nn.Linear(8, 5))
    rules = {"0.weight": "he_normal", "0.bias": 0.25}
    fresh = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))
    for model in (features, fresh):
        ini.initialize_(model, "he_normal", rng=rng(), rules=rules, strict=True)
    assert all(torch.equal(own, other) for own, other in zip(features.parameters(), fresh.parameters(), strict=True))
    assert not features[0].weight.requires_grad
    assert plan(features, "he_normal", rules=rules).parameters[0].std == (2 / 6) ** 0.5


@pytest.mark.parametrize("pattern", ["*", "0.*", "0", "0.base_layer", "*.weight", "0.base_layer.w*"])
def test_a_pattern_draws_nothing_frozen_and_that_is_said(pattern):
    model = adapted()
    before = model[0].base_layer.weight.clone()
    with pytest.warns(UserWarning, match=r"0\.base_layer\.weight.*: frozen; a rule with its full name draws it"):
        ini.initialize_(model, "he_normal", rng=rng(), rules={pattern: 0.5})
    assert torch.equal(model[0].base_layer.weight, before)
    with pytest.raises(ValueError, match="frozen"):
        ini.initialize_(model, "he_normal", rng=rng(), rules={pattern: 0.5}, strict=True)


def test_a_call_that_does_nothing_for_what_is_frozen_says_so():
    for model in (nn.Linear(3, 4), nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))):
        model.requires_grad_(False)
        state = snapshot(model)
        with pytest.warns(UserWarning, match="frozen"):
            ini.initialize_(model, "he_normal", rng=rng())
        with pytest.raises(ValueError, match="frozen"):
            ini.initialize_(model, "he_normal", rng=rng(), strict=True)
        assert snapshot(model) == state
    ini.initialize_(nn.Linear(3, 4).requires_grad_(False), "he_normal", rng=rng(), skip=nn.Linear, strict=True)


def test_a_frozen_vector_takes_a_number_and_a_scheme_passes_over_it():
    layer = nn.Linear(3, 4)
    layer.bias.requires_grad_(False)
    said = plan(layer, "he_normal", rules={"bias": "he_normal"})
    assert said.set == ["weight"]
    assert list(said.missed) == ["a vector, which has no fan; give it a number in rules ('bias')"]
    ini.initialize_(layer, "he_normal", rng=rng(), rules={"bias": 2.0}, strict=True)
    assert (layer.bias == 2).all()


def test_what_is_frozen_is_tied_under_all_its_names():
    model = nn.Module()
    model.token, model.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
    model.head.weight = model.token.weight
    model.token.weight.requires_grad_(False)
    model.rest = nn.Linear(2, 2)
    assert plan(model, "he_normal").set == ["rest.weight", "rest.bias"]
    assert plan(model, "he_normal", rules={"head.weight": "zeros"}).set == ["head.weight", "rest.weight", "rest.bias"]


def test_a_recipe_leaves_what_is_frozen():
    model = Transformer(11, 8, 16, 2, "gpt2", rng=rng(), replicas=1).twin(0)
    model.token.requires_grad_(False)
    before = model.token.weight.clone()
    recipe("nanogpt", model, rng=rng(), strict=True)
    assert torch.equal(model.token.weight, before)
    assert "token.weight" in recipe_plan("nanogpt", model).left


def test_lsuv_divides_no_frozen_layer_and_scales_what_is_new():
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32)).requires_grad_(False)
    model.append(nn.Linear(32, 8))
    model[2].bias.requires_grad_()  # part of a layer is trained, and its weight is not
    before = [own.clone() for own in list(model.parameters())[:3]]
    x = torch.from_numpy(rng().standard_normal((64, 6))).float()
    ini.lsuv_(model, x, rng=rng(), strict=True)
    assert all(torch.equal(own, was) for own, was in zip(model.parameters(), before, strict=False))
    assert float(model(x).detach().std(correction=0)) == pytest.approx(1, abs=0.01)
    with pytest.raises(ValueError, match="none that is not frozen"):
        ini.lsuv_(model.requires_grad_(False), x, rng=rng(), start=None)
