"""One examiner: what `probe` and `audit` share. Ensembles of every kind, functions, batches, modes, refusals."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import initnotes as ini
from initnotes.examine import audit, ensembles, moments, nodes, probe, statistics
from initnotes.networks import Ensemble, Normalized, Residual
from initnotes.networks.residual import BRANCHES

VIEWS = pytest.mark.parametrize("look", [probe, audit], ids=["probe", "audit"])


def rng(seed: int = 20260119) -> np.random.Generator:
    return np.random.default_rng(seed)


def data(*shape: int) -> Tensor:
    return torch.from_numpy(rng().standard_normal(shape))


def losses(outputs: Tensor) -> Tensor:
    return outputs.square().mean((1, 2))


def names(seen: Any) -> list[str]:
    return list(seen.names) if isinstance(seen, ini.examine.Probe) else [layer.name for layer in seen.layers]


def activations(seen: Any) -> list[str | None]:
    if isinstance(seen, ini.examine.Probe):
        return list(seen.activations)
    return [layer.applied[0].activation if layer.applied else None for layer in seen.layers]


# Ensembles


NETS = {
    "ensemble": lambda: Ensemble((5, 9, 9, 3), "tanh", "xavier_normal", rng=rng(), replicas=3, sigma_b=0.5),
    "one replica": lambda: Ensemble((5, 9, 9, 3), "relu", "he_normal", rng=rng(), replicas=1),
    "callable": lambda: Ensemble((5, 9, 9, 3), lambda z: z / (1 + z**2), "he_normal", rng=rng(), replicas=3),
    "linear": lambda: Ensemble((5, 9, 9, 3), "linear", "he_normal", rng=rng(), replicas=3),
    "any order": lambda: Ensemble(
        (5, 9, 9, 3), "tanh", "he_normal", rng=rng(), product=ini.networks.order_free_product, replicas=3
    ),
}
NETS |= {
    f"normalized {norm}": lambda norm=norm: Normalized(
        (5, 9, 9, 3), "relu", "he_normal", norm=norm, rng=rng(), replicas=3, bias=[0.5, -0.5, 0.5]
    )
    for norm in ("batch", "layer", "rms", None)
}
NETS |= {
    f"residual {block} {norm}": lambda block=block, norm=norm: Residual(
        (5, 9, 3), 2, "gelu", "he_normal", rng=rng(), replicas=3, block=block, norm=norm, multiplier=0.5
    )
    for block in BRANCHES
    for norm in ("layer", None)
}
NETS |= {
    f"residual {name}": lambda kind=kind: Residual(
        (5, 9, 3), 2, "gelu", "he_normal", rng=rng(), replicas=3, multiplier=0.5, **kind
    )
    for name, kind in {
        "pre": {"norm": "rms", "place": "pre", "per_unit": True},
        "post": {"norm": "layer", "place": "post", "skip": 1.5},
        "scalars": {"scalars": True},
    }.items()
}


@pytest.mark.parametrize("name", NETS)
def test_an_ensemble_as_a_module_computes_the_same(name: str) -> None:
    net, x = NETS[name](), data(7, 5)
    module = ensembles.as_module(net)
    torch.testing.assert_close(module(x), net(x), rtol=1e-12, atol=1e-14)
    shifted = x.expand(net.replicas, -1, -1) + torch.arange(net.replicas)[:, None, None]
    torch.testing.assert_close(module(shifted), net(shifted), rtol=1e-12, atol=1e-14)
    assert sum(p.numel() for p in module.parameters()) <= net.parameters.numel()
    first = next(module.parameters())
    assert first.data_ptr() == net.parameters.data_ptr()


@pytest.mark.parametrize("name", NETS)
def test_an_ensemble_is_probed_layer_by_layer_and_replica_by_replica(name: str) -> None:
    """The statistics are those of the signals and gradients that the ensemble itself has, where these are layers."""
    net, x = NETS[name](), data(7, 5)
    before = net.parameters.clone()
    seen = probe(net, x, loss=losses)
    assert torch.equal(net.parameters, before)
    assert seen.replicas == net.replicas
    signals = net.forward(x)
    output = signals.output.detach().requires_grad_()
    (delta,) = torch.autograd.grad(losses(output).sum(), output)
    found = net.backward(signals, delta)
    kept = [0, -1] if isinstance(net, Residual) else range(seen.depth)  # the stream's first, and the output
    for at in kept:
        z, weight = signals.pre_activations[at], found.weights[at]
        np.testing.assert_allclose(seen.second_moment[:, at], z.square().mean((1, 2)), rtol=1e-10)
        gradient = found.pre_activations[at].std((1, 2), correction=0)
        np.testing.assert_allclose(seen.gradient_std[:, at], gradient, rtol=1e-9, atol=1e-16)
        np.testing.assert_allclose(seen.weight_gradient_std[:, at], weight.std((1, 2), correction=0), rtol=1e-9)


@pytest.mark.parametrize("width", [6, 40], ids=["small", "large"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "selu", "linear"])
def test_a_plain_ensemble_is_measured_as_its_module_is(width: int, activation: str) -> None:
    """One tensor goes through the ensemble's own passes, a tuple through hooks and graph."""
    net = Ensemble((5, width, width, 3), activation, "he_normal", rng=rng(), replicas=4, sigma_b=0.1)
    own, hooked = (probe(net, batch, loss=losses) for batch in (data(30, 5), (data(30, 5),)))
    for fact in ("names", "kinds", "activations"):
        assert getattr(own, fact) == getattr(hooked, fact)
    for statistic in statistics.STATISTICS:
        np.testing.assert_allclose(getattr(own, statistic), getattr(hooked, statistic), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(own.theory(), hooked.theory(), rtol=1e-9)


def test_what_works_in_place_is_read_anew() -> None:
    """The second layer gets the very tensor that the first one returned, with other numbers in it."""
    first, second = nn.Linear(20, 30), nn.Linear(30, 4)
    torch.nn.init.orthogonal_(second.weight)
    kept, inplace = (audit(nn.Sequential(first, nn.ReLU(own), second), data(50, 20).float()) for own in (False, True))
    assert inplace.layers[1].inputs == kept.layers[1].inputs < 0.9 * kept.layers[0].size


def test_layers_of_the_book_s_ensembles_have_names_and_activations() -> None:
    plain, normed, residual = (NETS[name]() for name in ("ensemble", "normalized layer", "residual pre layer"))
    for look in (probe, audit):
        assert names(look(plain, data(7, 5))) == ["1", "2", "3"]
        assert activations(look(normed, data(7, 5))) == ["relu", "relu", None]
        found = look(residual, data(7, 5))
        assert names(found) == ["stem", "blocks.0.0", "blocks.0.1", "blocks.1.0", "blocks.1.1", "head"]
        assert [activations(found)[at] for at in (0, 1, 3, 5)] == ["gelu", "gelu", "gelu", None]
    assert activations(probe(NETS["linear"](), data(7, 5))) == ["linear", "linear", None]
    assert all(layer.normalized for layer in audit(normed, data(7, 5)).layers[:-1])
    assert {"normalization", "skip connections"} <= set(audit(residual, data(7, 5)).kinds("info"))


def test_an_ensemble_is_judged_as_its_typical_replica() -> None:
    deep = (64,) * 21
    x = data(32, 64)
    assert audit(Ensemble(deep, "relu", "he_normal", rng=rng(), replicas=9), x).healthy
    sick = Ensemble(deep, "relu", "lecun_normal", rng=rng(), replicas=9)
    report = audit(sick, x, loss=losses)
    assert report.kinds() == ["vanishing signal", "vanishing gradient"]
    assert report.findings[0].fix.startswith('# make the ensemble anew, with "he_normal" for layer 1, 2')
    assert report.loss == pytest.approx(float(losses(sick(x)).mean()))
    factor = float(report.findings[0].evidence.split("× ")[1].split()[0])
    assert factor == pytest.approx(math.sqrt(0.5), rel=0.1)
    healthy = Ensemble(deep, "relu", "he_normal", rng=rng(), replicas=9)
    for weight in healthy.weights:
        weight[3].mul_(100)  # one replica of nine does not move a median
    assert audit(healthy, x).healthy
    healthy.weights[4].zero_()
    assert audit(healthy, x).kinds("error") == ["zero weights"]


def test_equal_units_of_one_replica_are_found() -> None:
    net = Ensemble((6, 8, 8, 3), "tanh", "xavier_normal", rng=rng(), replicas=4)
    net.weights[1][2] = 0.3
    net.weights[2][2] = 0.3
    report = audit(net, data(16, 6))
    assert [(finding.kind, finding.layer) for finding in report.findings] == [("symmetric units", "2")]
    assert report.findings[0].severity == "error"
    assert probe(net, data(16, 6)).distinct_units[:, 1].tolist() == [8, 8, 1, 8]


@VIEWS
def test_an_ensemble_of_an_unknown_kind_is_refused(look: Any) -> None:
    class Own(Ensemble):
        def forward(self, inputs: Tensor, masks: Any = None) -> Any:
            return super().forward(inputs, masks)

    with pytest.raises(
        TypeError, match=r"a known class \(Ensemble, Normalized, Residual, Transformer, Convolutional\)"
    ):
        look(Own((5, 4, 3), "relu", "he_normal", rng=rng()), data(2, 5))


# Functions


class Functional(nn.Module):
    """Two layers with a function between."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.up, self.down, self.function = nn.Linear(8, 16), nn.Linear(16, 4), function

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.function(self.up(x)))


PAIRS = [
    (functional.relu, nn.ReLU(), "relu"),
    (lambda z: z.clamp(min=0), nn.ReLU(), "relu"),
    (lambda z: z.clamp_min(0), nn.ReLU(), "relu"),
    (lambda z: z.clamp(-1, 1), nn.Hardtanh(), "hardtanh"),
    (functional.relu6, nn.ReLU6(), "relu6"),
    (torch.tanh, nn.Tanh(), "tanh"),
    (torch.sigmoid, nn.Sigmoid(), "sigmoid"),
    (functional.gelu, nn.GELU(), "gelu"),
    (lambda z: functional.gelu(z, approximate="tanh"), nn.GELU("tanh"), "gelu"),
    (functional.silu, nn.SiLU(), "silu"),
    (functional.elu, nn.ELU(), "elu"),
    (functional.selu, nn.SELU(), "selu"),
    (functional.celu, nn.CELU(), "elu"),
    (lambda z: functional.leaky_relu(z, 0.2), nn.LeakyReLU(0.2), "leaky_relu"),
    (lambda z: functional.prelu(z, torch.full((16,), 0.25)), nn.LeakyReLU(0.25), "leaky_relu"),
    (lambda z: functional.softplus(z, 2.0), nn.Softplus(2.0), "softplus"),
    (functional.mish, nn.Mish(), "mish"),
    (functional.hardswish, nn.Hardswish(), "hardswish"),
    (functional.hardsigmoid, nn.Hardsigmoid(), "hardsigmoid"),
    (lambda z: functional.threshold(z, 0.1, 0.0), nn.Threshold(0.1, 0.0), "relu"),
    (functional.logsigmoid, nn.LogSigmoid(), "logsigmoid"),
    (functional.softshrink, nn.Softshrink(), "softshrink"),
    (functional.hardshrink, nn.Hardshrink(), "hardshrink"),
]


@pytest.mark.parametrize(("function", "module", "name"), PAIRS)
def test_a_function_is_seen_like_a_module(function: Any, module: nn.Module, name: str) -> None:
    x = data(32, 8).float()
    seen, expected = (probe(Functional(made), x, loss=lambda out: out.square().mean()) for made in (function, module))
    assert seen.activations == expected.activations == (name, None)
    for statistic in statistics.STATISTICS:
        found, wanted = getattr(seen, statistic), getattr(expected, statistic)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-9, err_msg=statistic)
        assert np.isfinite(found[:, 0]).all()
    layers = [audit(Functional(made), x).layers[0] for made in (function, module)]
    assert layers[0].activation == layers[1].activation == name
    assert layers[0].applied[0] == layers[1].applied[0]


@pytest.mark.parametrize(("module", "name"), [(nn.Softsign(), "softsign"), (nn.Tanhshrink(), "tanhshrink")])
def test_an_activation_of_several_nodes_is_one(module: nn.Module, name: str) -> None:
    net, x = Functional(module), data(32, 8).float()
    seen = probe(net, x, loss=lambda out: out.square().mean())
    z = net.up(x).detach().requires_grad_()
    (slope,) = torch.autograd.grad(module(z).sum(), z)
    assert seen.activations == (name, None)
    assert seen.activation_second_moment[0, 0] == pytest.approx(module(z).square().mean().item())
    assert seen.saturated[0, 0] == pytest.approx((slope.abs() < 0.01).double().mean().item())
    assert seen.activation_gradient_std[0, 0] > 0
    report = audit(net, x)
    assert [(units.activation) for units in report.layers[0].applied] == [name]
    assert report.layers[0].activation == name


def test_a_value_that_was_overwritten_is_not_measured() -> None:
    x = torch.linspace(-2, 2, 9, requires_grad=True)
    z = x * 1
    h = functional.gelu(z)
    assert torch.equal(nodes.values(h.grad_fn), h)
    z.add_(1)
    assert nodes.values(h.grad_fn) is None
    assert nodes.slopes(h.grad_fn) is None


def test_a_model_that_returns_no_gradient_is_probed_without_a_loss() -> None:
    class Choice(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).argmax(-1)

    seen = probe(Choice(nn.Linear(8, 3)), data(4, 8).float())
    assert np.isfinite(seen.second_moment).all()


# Batches, losses, modes


class Two(nn.Module):
    """A layer on the sum of two parts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(8, 16)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.relu(self.layer(a + b))


@VIEWS
def test_batches_of_every_form_are_the_same(look: Any) -> None:
    a, b = (part.numpy() for part in (data(16, 8), 0 * data(16, 8)))
    tensors = torch.from_numpy(a).float(), torch.from_numpy(b).float()
    shown = {str(look(nn.Sequential(Two().layer, nn.ReLU()), x)) for x in (a, tensors[0])}
    assert len(shown) == 1
    batches = [(a, b), [*tensors], {"a": a, "b": tensors[1]}, {"b": b, "a": tensors[0]}]
    assert len({str(look(Two(), batch)) for batch in batches}) == 1
    net = NETS["ensemble"]()
    x = data(7, 5)
    assert (
        len({str(look(net, batch, loss=losses)) for batch in (x, x.numpy(), (x,), {"inputs": x}, x.expand(3, -1, -1))})
        == 1
    )


@VIEWS
def test_an_array_is_read_and_never_written(look: Any) -> None:
    x = data(16, 8).numpy()
    x.setflags(write=False)
    look(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(8, 4)), x)
    assert look(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), np.arange(8))


@VIEWS
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), functional.cross_entropy, lambda out, y: out])
def test_a_loss_of_more_than_the_outputs_is_explained(look: Any, loss: Any) -> None:
    class Untouchable(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError("the model was called")

    with pytest.raises(TypeError, match=r"(?s)loss must be a function of the outputs alone.*lambda out: criterion"):
        look(Untouchable(8, 4), data(4, 8).float(), loss=loss)


@VIEWS
def test_the_loss_is_a_keyword(look: Any) -> None:
    with pytest.raises(TypeError, match="positional"):
        look(nn.Linear(8, 4), data(4, 8).float(), losses)


@VIEWS
def test_a_model_is_examined_in_train_mode_and_comes_back_in_its_own(look: Any) -> None:
    """Running statistics say nothing at the start: in eval mode this BatchNorm would pass a hundred times too much."""

    def shown(*, train: bool) -> str:
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 4))
        net[0].weight.data.mul_(100)
        net.train(train)
        torch.manual_seed(2)
        text = str(look(net, data(32, 8).float()))
        assert [part.training for part in net] == [train] * 5
        return text

    assert shown(train=False) == shown(train=True)


@VIEWS
def test_what_cannot_be_examined_is_refused_in_the_same_words(look: Any) -> None:
    for model, batch, said in [
        (nn.Linear, data(2, 3), "an Ensemble or a torch.nn.Module"),
        (nn.Linear(3, 2), "text", "at least one tensor or array, got str"),
        (nn.Linear(3, 2), data(0, 3), r"must not be empty, got shape \(0, 3\)"),
        (nn.Linear(3, 2), (data(2, 3), data(2, 3)), "If one of them is the target"),
    ]:
        with pytest.raises((TypeError, ValueError), match=said):
            look(model, batch)


# Crashes that a reader's network met


@pytest.mark.parametrize(
    ("net", "batch"),
    [
        (Functional(lambda z: z.clamp(0, 1)), data(16, 8).float()),
        (Functional(lambda z: z.clamp(max=1)), data(16, 8).float()),
        (Functional(lambda z: z.clamp(min=torch.zeros(()))), data(16, 8).float()),
        (Functional(torch.tanh), data(8).float()),
        (nn.Sequential(nn.Linear(8, 4), nn.Sigmoid(), nn.Linear(4, 2)), data(8).float()),
    ],
)
@VIEWS
def test_clamps_and_one_vector_are_read(look: Any, net: nn.Module, batch: Tensor) -> None:
    assert len(names(look(net, batch))) == 2


def test_sizes_alone_are_those_of_the_sums() -> None:
    x = data(3, 50, 7)
    sums = moments.moments(moments.joined([moments.sums(x)], (3, 4)))[2]
    assert moments.rms(x) == pytest.approx(float(np.median(np.sqrt(sums))), rel=1e-12)
    assert moments.rms(x[:1]) == pytest.approx(float(np.sqrt(sums[0, 0])), rel=1e-12)
