"""Starts that look at the data: unit spread layer by layer against a second pass, and what is left and said."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import initnotes as ini
from initnotes.networks import Ensemble, Residual

SEED = 20261201


def rng(seed=SEED):
    return np.random.default_rng(seed)


def normal(*shape, seed=1):
    return torch.from_numpy(rng(seed).standard_normal(shape))


def plain(width=32, depth=4, phi=nn.GELU):
    layers = [part for _ in range(depth) for part in (nn.Linear(width, width), phi())]
    return nn.Sequential(*layers, nn.Linear(width, 5)).double()


def outputs(model, batch, kinds=(nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Bilinear)):
    """Return what each layer returns, measured in a pass of its own."""
    found = {}
    handles = [
        part.register_forward_hook(lambda *seen, name=name: found.setdefault(name, seen[2].detach()))
        for name, part in model.named_modules()
        if isinstance(part, kinds)
    ]
    model(*batch) if isinstance(batch, tuple) else model(batch)
    for handle in handles:
        handle.remove()
    return found


def test_every_layer_has_a_standard_deviation_of_one():
    model, batch = plain(), 3 * normal(64, 32) + 1
    ini.initialize_(model, "orthogonal", rng=rng())
    before = {name: float(z.std()) for name, z in outputs(model, batch).items()}
    assert ini.lsuv_(model, batch, rng=rng()) is model
    after = {name: float(z.std(correction=0)) for name, z in outputs(model, batch).items()}
    assert after == pytest.approx(dict.fromkeys(before, 1.0), abs=1e-9)
    assert before["0"] > 3  # orthogonal alone is not that
    assert before["8"] < 0.6


def test_one_pass_is_the_papers_loop():
    """The layers in order, each measured by a forward pass through the whole network as it is by then."""
    model, batch = plain(depth=3), normal(50, 32)
    paper = ini.initialize_(copy.deepcopy(model), "orthogonal", rng=rng())
    for name in outputs(paper, batch):
        paper.get_submodule(name).weight.data /= outputs(paper, batch)[name].std(correction=0)
    ini.lsuv_(model, batch, rng=rng())
    for own, theirs in zip(model.parameters(), paper.parameters(), strict=True):
        assert torch.allclose(own, theirs, atol=1e-12)


def test_start_says_what_the_data_is_good_for():
    batch, made = normal(50, 32), {}
    for start in ("orthogonal", "he_normal"):
        made[start] = ini.lsuv_(plain(), batch, rng=rng(), start=start)
    weight = made["orthogonal"][2].weight.detach()
    product = weight @ weight.T
    assert torch.allclose(product, product[0, 0] * torch.eye(32, dtype=product.dtype), atol=1e-9)
    drawn = ini.initialize_(plain(), "he_normal", rng=rng())
    ratio = made["he_normal"][2].weight / drawn[2].weight
    assert torch.allclose(ratio, ratio[0, 0].expand_as(ratio), atol=1e-9)  # Gaussian weights times a number


def test_none_keeps_weights_and_biases():
    model = ini.initialize_(plain(), "lecun_normal", rng=rng(), bias=0.3)
    before = copy.deepcopy(model)
    ini.lsuv_(model, normal(50, 32), rng=rng(), start=None)
    assert torch.equal(model[0].bias, before[0].bias)
    spread = [float(z.std(correction=0)) for z in outputs(model, normal(50, 32)).values()]
    assert spread == pytest.approx([1.0] * 5, abs=0.01)  # constant biases do not spread
    noisy = copy.deepcopy(before)
    for part in (noisy[0], noisy[2]):
        part.bias.data += 0.5 * normal(32, seed=3)  # these do: several divisions
    ini.lsuv_(noisy, normal(50, 32), rng=rng(), start=None, tolerance=1e-4)
    spread = [float(z.std(correction=0)) for z in outputs(noisy, normal(50, 32)).values()]
    assert spread == pytest.approx([1.0] * 5, abs=1e-4)
    noisy[0].bias.data *= 100
    with pytest.warns(UserWarning, match="0: its standard deviation does not come to 1 in 10 divisions"):
        ini.lsuv_(noisy, normal(50, 32), rng=rng(), start=None)


@pytest.mark.parametrize(
    ("layer", "shape", "axis"),
    [
        (nn.Linear(6, 8), (40, 6), 1),
        (nn.Linear(6, 1), (40, 6), 1),
        (nn.Linear(6, 8), (10, 5, 6), 2),
        (nn.Conv2d(6, 8, 3, groups=2, padding=1), (9, 6, 5, 5), 1),
        (nn.ConvTranspose2d(6, 8, 3, groups=2, stride=2), (9, 6, 5, 5), 1),
        (nn.Conv1d(6, 8, 3), (9, 6, 7), 1),
    ],
)
def test_units_have_mean_zero_and_spread_one(layer, shape, axis):
    model, batch = nn.Sequential(copy.deepcopy(layer)).double(), 2 * normal(*shape) + 0.5
    ini.lsuv_(model, batch, rng=rng(), per="unit")
    z = model(batch).detach().movedim(axis, 0).flatten(1)
    assert z.mean(1).numpy() == pytest.approx(np.zeros(len(z)), abs=1e-9)
    assert z.std(1, correction=0).numpy() == pytest.approx(np.ones(len(z)), abs=1e-9)
    if len(z) > 1:
        by_layer = ini.lsuv_(nn.Sequential(copy.deepcopy(layer)).double(), batch, rng=rng())
        spread = by_layer(batch).detach().movedim(axis, 0).flatten(1).std(1, correction=0)
        assert float((spread - 1).abs().max()) > 0.01  # one number for all units is not that


def test_units_without_a_bias_keep_their_means():
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Tanh(), nn.Linear(8, 3)).double()
    with pytest.warns(UserWarning, match="0: without a bias its units keep their means"):
        ini.lsuv_(model, normal(30, 6) + 1, rng=rng(), per="unit")
    assert float(model[:1](normal(30, 6) + 1).detach().mean(0).abs().max()) > 0.1


class Odd(nn.Module):
    """A layer called twice, one never, one whose weight is the embedding's, one that returns zeros, and a GRU."""

    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(7, 6)
        self.twice, self.never, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 7, bias=False)
        self.shut, self.memory = nn.Linear(6, 6), nn.GRU(6, 6, batch_first=True)
        self.norm = nn.BatchNorm1d(6)
        self.head.weight = self.token.weight

    def forward(self, tokens, *, scale):
        x = self.norm(self.token(tokens).flatten(0, 1)).unflatten(0, tokens.shape)
        x = self.twice(scale * torch.relu(self.twice(x)))
        return self.head(self.memory(x)[0] + self.shut(torch.zeros_like(x)))


def test_what_is_left_is_said():
    model = Odd()
    tokens = torch.from_numpy(rng().integers(0, 7, (4, 5)))
    batch = {"tokens": tokens, "scale": torch.tensor(2.0)}
    running, state = model.norm.running_mean.clone(), torch.get_rng_state()
    with pytest.warns(UserWarning, match="lsuv_: ") as caught:
        ini.lsuv_(model, batch, rng=rng())
    [said] = [str(warning.message) for warning in caught if "lsuv_" in str(warning.message)]
    for part in (
        "token: a Embedding stays",
        "twice: scaled for the first of its 2 calls",
        "never: not called on this batch",
        "head: it shares its weight with token, which comes before",
        "shut: what it returns does not differ",
        "memory: a GRU stays",
    ):
        assert part in said
    assert torch.equal(model.norm.running_mean, running)
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_changes_where_something_is_wrong():
    model, generator = Odd(), rng()
    before, state = copy.deepcopy(model.state_dict()), generator.bit_generator.state
    batch = {"tokens": torch.zeros(4, 5, dtype=torch.int64), "scale": torch.tensor(2.0)}
    with pytest.raises(ValueError, match="never: not called"):
        ini.lsuv_(model, batch, rng=generator, strict=True)
    with pytest.raises(TypeError, match="scale"):
        ini.lsuv_(model, batch["tokens"], rng=generator)
    assert all(torch.equal(own, before[name]) for name, own in model.state_dict().items())
    assert generator.bit_generator.state == state
    assert not any(part._forward_hooks for part in model.modules())


def test_skipped_layers_and_computed_weights():
    model, batch = plain(), normal(50, 32)
    head = model[-1].weight.detach().clone()
    ini.lsuv_(model, batch, rng=rng(), skip="8")
    assert torch.equal(model[-1].weight, head)
    nn.utils.parametrizations.weight_norm(model[2])
    with pytest.warns(UserWarning, match="2: its weight is computed"):
        ini.lsuv_(model, batch, rng=rng(), start=None)


@pytest.mark.parametrize("per", ["layer", "unit"])
def test_an_ensemble_is_scaled_replica_by_replica(per):
    net = Ensemble((6, 8, 8, 3), "relu", "he_normal", rng=rng(), replicas=4)
    x = normal(40, 6) + 1
    ini.lsuv_(net, x, rng=rng(2), start="he_normal", per=per)
    for z in net.forward(x).pre_activations:
        axes = 1 if per == "unit" else (1, 2)
        assert z.std(axes, correction=0).flatten().numpy() == pytest.approx(1.0, abs=1e-9)
    drawn = Ensemble((6, 8, 8, 3), "relu", "he_normal", rng=rng(2), replicas=4)
    twin = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    for own, part in zip(drawn.tensors, twin.parameters(), strict=True):
        part.data.copy_(own[1])
    ini.lsuv_(twin, x, rng=rng(), start=None, per=per)
    for own, part in zip(net.tensors, twin.parameters(), strict=True):
        assert torch.allclose(own[1], part, atol=1e-9)


def test_replicas_whose_outputs_do_not_differ_are_said():
    net = Ensemble((6, 8, 3), "relu", "he_normal", rng=rng(), replicas=4)
    net.weights[0][2] = 0.0
    with pytest.warns(UserWarning, match="layer 1: what it returns does not differ in 1 of 4 replicas"):
        ini.lsuv_(net, normal(40, 6), rng=rng(), start=None)
    assert bool(net.parameters.isfinite().all())
    with pytest.raises(ValueError, match="in 1 of 4"):
        ini.lsuv_(net, normal(40, 6), rng=rng(), start=None, strict=True)


def test_relu_without_biases_keeps_its_function_but_for_a_number():
    """The chapter's first fact: what LSUV cannot touch."""
    net = Ensemble((6, 8, 8, 3), "relu", "he_normal", rng=rng(), replicas=4)
    x = normal(40, 6)
    before = net(x)
    ini.lsuv_(net, x, rng=rng(), start=None)
    ratio = net(x) / before
    assert torch.allclose(ratio, ratio[:, :1, :1].expand_as(ratio), rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rng": 1}, "rng must be"),
        ({"per": "unti"}, "did you mean 'unit'"),
        ({"start": "orthogonl"}, "did you mean 'orthogonal'"),
        ({"tolerance": 0.0}, "tolerance must be greater"),
        ({"skip": "nothing"}, "covers no parameter"),
        ({"model": 3}, "model must be a torch.nn.Module or an Ensemble"),
        ({"model": nn.Embedding(3, 4), "batch": torch.tensor([1, 2])}, "no layer of Embedding can be scaled"),
        ({"batch": "x"}, "batch must hold at least one tensor"),
        ({"model": Ensemble((32, 3), "relu", "he_normal", rng=rng(), replicas=2), "skip": "0"}, "skip is for modules"),
    ],
)
def test_what_is_refused(change, said):
    arguments = {"model": plain(), "batch": normal(5, 32), "rng": rng(), "start": None} | change
    with pytest.raises((TypeError, ValueError), match=said):
        ini.lsuv_(arguments.pop("model"), arguments.pop("batch"), **arguments)


def test_ensembles_with_skips_are_refused():
    net = Residual((6, 8, 3), 2, "relu", "he_normal", rng=rng(), replicas=2)
    with pytest.raises(ValueError, match="plain Ensemble, got Residual"):
        ini.lsuv_(net, normal(5, 6), rng=rng())
