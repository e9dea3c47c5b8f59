"""`ini.audit`: what it finds, what it leaves alone, and what it says when it cannot look."""

import json
import math
import random
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import initnotes as ini
from benchmarks import audit as bench
from initnotes import clinic
from initnotes.__main__ import main
from initnotes.examine import Finding, Report, audit, batches, drifts, limits, slope
from initnotes.examine.graph import Graph
from initnotes.examine.nodes import slopes


def chain(depth: int = 6, width: int = 64, activation: str = "relu", scheme: object = "he_normal") -> nn.Sequential:
    widths = (width,) * depth + (10,)
    return clinic.chain(widths, activation, scheme, rng=np.random.default_rng(1))  # type: ignore[arg-type]


def inputs(batch: int = 64, width: int = 64, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((batch, width)))


# Rates


def test_random_architectures_are_told_from_planted_faults() -> None:
    """`make bench` takes 400. A fresh entropy fails this with 1 % false alarms and 1 % misses in 1 of 500 runs."""
    planted, false, found, missed = bench.rates(12, 99)
    assert len(false) <= 2, false
    assert len(missed) <= 0.05 * sum(planted.values()), missed
    assert len(found) == 12


def test_an_audit_that_accuses_nobody_has_no_power(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "audit", lambda *_, **__: Report("none", [], ()))
    planted, _, _, missed = bench.rates(2, 99)
    assert len(missed) == sum(planted.values())


@pytest.mark.parametrize("name", clinic.ARCHITECTURES)
def test_a_known_architecture_is_healthy(name: str) -> None:
    for seed in range(3):
        patient = clinic.architecture(name, seed=seed)
        for loss in (patient.loss, None):
            report = audit(patient.model, patient.batch, loss=loss, try_fixes=False)
            assert report.healthy, report
        assert ("normalization" in report.kinds("info")) == (name != "lstm")


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for kind, names in bench.KNOWN.items() for name in names])
def test_a_fault_in_a_known_architecture_is_found(name: str, kind: str) -> None:
    sick = bench.plant_known(name, kind, seed=3)
    assert kind in audit(sick.model, sick.batch, loss=sick.loss, try_fixes=False).kinds()


def test_hes_weights_are_not_blamed_for_what_width_does() -> None:
    """30 layers of 32 units: 0 of 200 draws were, so at most 1.5 % are (95 %); 3 of 20 would be 1 run in 1000."""
    rngs = [np.random.default_rng([7, seed]) for seed in range(20)]
    nets = [(clinic.chain((32,) * 31, "relu", "he_normal", rng=rng), rng) for rng in rngs]
    accused = [
        not audit(net, torch.from_numpy(rng.standard_normal((32, 32))), try_fixes=False).healthy for net, rng in nets
    ]
    assert sum(accused) < 3


# Findings


def test_a_slope_agrees_with_theory() -> None:
    """The factor per layer of 30 wide ReLU layers with σ_w² = 1 is √½; width 256 keeps one draw within 3 %."""
    lecun = clinic.chain((256,) * 31, "relu", "lecun_normal", rng=np.random.default_rng(1))
    found = {finding.kind: finding.evidence for finding in audit(lecun, inputs(32, 256)).findings}
    for kind in ("vanishing signal", "vanishing gradient"):
        measured, predicted = (float(part.split()[0]) for part in found[kind].split("× ")[1::2])
        assert measured == pytest.approx(math.sqrt(0.5), rel=0.03)
        assert predicted == pytest.approx(math.sqrt(0.5), rel=0.03)


def test_a_slope_needs_four_layers_and_a_steady_change() -> None:
    assert drifts.is_drift(slope([1e6, 1e4, 1e2, 1e0]))
    assert not audit(chain(3, scheme=ini.small_random(1e-4)), inputs()).kinds().count("vanishing signal")
    step = slope([1.0] * 10 + [1e-6] * 10)
    assert abs(step[1]) <= 0.55
    assert not drifts.is_drift(step)
    assert slope([0.0, math.inf, 1.0]) == (0.0, 0.0, 1)


def test_slopes_are_not_judged_from_three_layers() -> None:
    found = slope([1e6, 1e3, 1e0])
    assert found.layers < limits.SLOPE_LAYERS
    assert not drifts.is_drift(found)


def test_deep_sigmoids_become_tanh() -> None:
    sick = clinic.Patient("deep", "", chain(10, activation="sigmoid", scheme="xavier_normal"), inputs(), torch.sum)
    report = audit(sick.model, sick.batch)
    assert report.kinds() == ["vanishing signal", "vanishing gradient"]
    healed = clinic.treat(sick, report, rng=np.random.default_rng(2))
    assert audit(healed.model, healed.batch).healthy


def test_units_that_start_equal_and_part_are_a_warning() -> None:
    net = chain(3)
    with torch.no_grad():
        net[0].weight.fill_(0.1)
    found = audit(net, inputs()).findings
    assert [(finding.kind, finding.severity) for finding in found if finding.kind == "symmetric units"] == [
        ("symmetric units", "warning")
    ]


def test_zeros_on_purpose_are_an_info() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.inner, self.two = (nn.Linear(64, 64).double() for _ in range(3))
            self.head = nn.Linear(64, 10).double()

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.first(x))
            return self.head(x + self.two(torch.relu(self.inner(x))))

    net = Branch()
    for layer in (net.two, net.head):
        nn.init.zeros_(layer.weight)
        report = audit(net, inputs())
        assert report.healthy
        assert {"zero weights", "skip connections"} <= set(report.kinds("info"))
    nn.init.zeros_(net.inner.weight)
    nn.init.zeros_(net.inner.bias)
    assert "zero weights" in audit(net, inputs()).kinds("error")


def test_a_layer_that_is_cut_off_is_found() -> None:
    class Cut(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return self[1](self[0](x).detach())

    report = audit(Cut(nn.Linear(64, 64).double(), nn.Linear(64, 64).double()), inputs())
    assert report.healthy
    assert report.layers[0].bypassed
    sick = chain(3)
    sick.insert(1, nn.Hardtanh(0.0, 1e-9))
    assert not audit(sick, inputs()).healthy


def test_a_step_back_in_time_counts_as_a_layer() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.RNNCell(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            h = x[:, 0]
            for at in range(20):
                h = self.cell(x[:, at], h)
            return h

    torch.manual_seed(1)
    net = Steps()
    with torch.no_grad():
        net.cell.weight_hh.mul_(0.5)
    report = audit(net, torch.randn(32, 20, 16), try_fixes=False)
    assert "vanishing gradient" in report.kinds()
    assert len(report.layers) == 20
    fix = next(finding.fix for finding in report.findings if finding.kind == "vanishing gradient")
    assert "initialize_(model.get_submodule(name)" in fix
    assert "cell" in fix


def test_overflow_is_found_where_it_starts() -> None:
    net = chain(6, scheme=ini.small_random(1e15)).float()
    first = audit(net, inputs().float()).findings[0]
    assert (first.kind, first.severity) == ("not finite", "error")
    bad = inputs()
    bad[0, 0] = math.nan
    assert audit(chain(), bad).findings[0].layer == "inputs"
    report = audit(chain(), inputs(), loss=lambda out: (out.sum() - out.sum()).log())
    assert report.findings[0].layer == "loss"
    assert json.loads(report.to_json())["loss"] is None


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (inputs() * 100, "root mean square"),
        (inputs() + 8, "standard deviations from 0"),
        (inputs() * torch.tensor([1e-3] * 60 + [3.0] * 4), "largest feature"),
    ],
)
def test_unscaled_inputs_are_found_and_rescaled(batch: Tensor, said: str) -> None:
    finding = next(own for own in audit(chain(), batch).findings if own.kind == "unscaled inputs")
    assert said in finding.evidence
    known = {"batch": batch}
    if said != "largest feature":
        exec(finding.fix, known)
        assert "unscaled inputs" not in audit(chain(), known["batch"]).kinds()
    normed = nn.Sequential(nn.BatchNorm1d(64).double(), chain())
    assert "unscaled inputs" not in audit(normed, batch).kinds()


def test_recurrent_gates_and_binary_losses() -> None:
    torch.manual_seed(1)
    net, x = nn.Sequential(nn.Linear(8, 1)), torch.randn(32, 8)
    target = torch.ones(32, 1)
    report = audit(net, 40 * x, loss=lambda out: functional.binary_cross_entropy_with_logits(out, 1 - target))
    assert "log 2" in next(finding.evidence for finding in report.findings if finding.kind == "initial loss")
    summed = audit(
        net, 40 * x, loss=lambda out: functional.binary_cross_entropy_with_logits(out, target, reduction="sum")
    )
    assert "initial loss" not in summed.kinds()


# Reading


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (functional.relu, "relu"),
        (torch.tanh, "tanh"),
        (functional.gelu, "gelu"),
        (functional.selu, "selu"),
        (functional.elu, "elu"),
        (functional.silu, "silu"),
        (lambda z: z * torch.sigmoid(z), "silu"),
        (lambda z: z.clamp(min=0), "relu"),
        (lambda z: functional.dropout(z, 0.1).relu(), "relu"),
        (lambda z: z + 1, None),
    ],
)
def test_what_follows_is_read_from_the_graph(function: object, name: str | None) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.two = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(function(self.up(x)))  # type: ignore[operator]

    first, last = audit(Net(), torch.randn(16, 8)).layers
    assert (first.activation, first.last, last.last) == (name, False, True)


def test_hand_written_norms_are_seen() -> None:
    class Norm(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)

    net = nn.Sequential(nn.Linear(64, 64), Norm(), nn.ReLU(), nn.Linear(64, 4)).double()
    report = audit(net, inputs())
    assert report.layers[0].normalized
    assert "normalization" in report.kinds("info")


def test_slopes_come_from_the_node_itself() -> None:
    x = torch.linspace(-2, 2, 9, requires_grad=True)
    y = torch.tanh(x * 1)
    found = slopes(y.grad_fn)
    assert found is not None
    assert torch.allclose(found, 1 - y.detach() ** 2)
    y.sum().backward()
    assert slopes(y.grad_fn) is None
    assert Graph((x * 1).sum().grad_fn, {}).fair_loss() is None


# The model stays as it is


def _state(model: nn.Module) -> list[Tensor]:
    return [values.detach().clone() for values in model.state_dict().values()]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_changes(fails: bool) -> None:
    patient = clinic.architecture("resnet", seed=1)
    model = patient.model.eval()
    next(model.parameters()).requires_grad_(False)
    first = list(model.parameters())[1]
    first.grad = torch.ones_like(first)
    batch, before = patient.batch.clone(), _state(model)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002

    def loss(out: Tensor) -> Tensor:
        torch.rand(1)
        if fails:
            raise RuntimeError("lost")
        return patient.loss(out)

    if fails:
        with pytest.raises(RuntimeError, match="lost"):
            audit(model, batch, loss=loss)
    else:
        audit(model, batch, loss=loss)
    assert all(torch.equal(a, b) for a, b in zip(before, _state(model), strict=True))
    assert torch.equal(batch, patient.batch)
    assert not batch.requires_grad
    assert not any(module.training for module in model.modules())
    assert not next(model.parameters()).requires_grad
    assert bool((first.grad == 1).all())
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert (states[2] == np.random.get_state()[1]).all()  # type: ignore[index]  # noqa: NPY002
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_batches_of_every_form() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.more = nn.Embedding(10, 8), nn.Linear(4, 8)
            self.out = nn.Linear(8, 3)

        def forward(self, tokens: Tensor, extra: Tensor) -> dict[str, Tensor]:
            return {"logits": self.out(torch.tanh(self.words(tokens) + self.more(extra)))}

    tokens, extra = torch.randint(10, (16,)), torch.randn(16, 4)
    by_place = audit(Two(), (tokens, extra))
    by_name = audit(Two(), {"tokens": tokens, "extra": extra})
    assert by_place.healthy
    assert by_name.healthy
    assert len(by_name.layers) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((nn.ReLU, inputs()), TypeError, "an instance"),
        ((chain(), inputs(), 3), TypeError, "loss must be a function"),
        ((chain(), "text"), TypeError, "at least one tensor"),
        ((chain(), inputs()[:0]), ValueError, "not be empty"),
        ((chain(), (inputs(), inputs())), TypeError, "If one of them is the target"),
        ((nn.ReLU(), inputs()), ValueError, "no parameters"),
        ((chain(), inputs(), lambda out: out), ValueError, "scalar"),
        ((nn.Sequential(chain(), nn.Flatten(0)), inputs(), lambda out: out.detach().sum()), ValueError, "depend"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[object, ...], error: type[Exception], said: str) -> None:
    model, batch, *loss = arguments
    with pytest.raises(error, match=said):
        audit(model, batch, loss=loss[0] if loss else None)  # type: ignore[arg-type]


def test_outputs_without_a_gradient_are_named() -> None:
    class Deaf(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).argmax(-1)

    with pytest.raises(ValueError, match="do not depend"):
        audit(Deaf(chain()), inputs())


# What a report does


def test_a_report_prints_draws_and_exports() -> None:
    report = audit(chain(20, scheme="lecun_normal"), inputs())
    text = str(report)
    assert text.startswith("Sequential, 20 layers: 2 errors")
    assert "he_normal" in text
    assert repr(report) == text
    found = json.loads(report.to_json())
    assert not found["healthy"]
    assert found["findings"][0]["kind"] == "vanishing signal"
    assert len(found["layers"]) == 20
    figure = report.plot()
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log"]
    plt.close(figure)
    healthy = audit(chain(), inputs())
    assert healthy.findings == []
    assert "nothing found" in str(healthy)
    plt.close(healthy.plot())


def test_fixes_of_layers_without_a_scheme_run() -> None:
    torch.manual_seed(1)
    patient = bench.plant_known("lstm", "saturated units", seed=1)
    report = audit(patient.model, patient.batch, loss=patient.loss)
    healed = clinic.treat(patient, report, rng=np.random.default_rng(1))
    assert "saturated units" not in audit(healed.model, healed.batch, loss=healed.loss).kinds()


# What a reviewer broke


def kinds_of(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, finding.layer) for finding in report.findings if finding.severity != "info"]


def finding(report: Report, kind: str) -> Finding:
    return next(finding for finding in report.findings if finding.kind == kind)


def run(fix: str, model: nn.Module, batch: object = None) -> object:
    known = {"model": model, "batch": batch, "ini": ini, "torch": torch, "rng": np.random.default_rng(1)}
    exec(fix, known)
    return known["batch"]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("look", [audit, ini.probe])
def test_scripted_parts_are_refused_before_anything_changes(look: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Linear(4, 4))).eval().requires_grad_(False)
    model[0].weight.grad = torch.ones(4, 4)
    with pytest.raises(TypeError, match="scripted or traced parts"):
        look(model, torch.randn(8, 4))
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert bool((model[0].weight.grad == 1).all())


def test_one_part_that_cannot_be_put_back_keeps_no_other_from_it() -> None:
    class Stubborn(nn.Linear):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "training" and not value and "stuck" in self.__dict__:
                raise RuntimeError("stuck")
            super().__setattr__(name, value)

    model = nn.Sequential(nn.Linear(4, 4), Stubborn(4, 4), nn.Linear(4, 4)).eval().requires_grad_(False)
    model[1].stuck = True
    with pytest.raises(RuntimeError, match="stuck"):
        audit(model, torch.randn(8, 4))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert [layer.training for layer in model] == [False, True, False]


def test_weights_on_the_meta_device_are_named() -> None:
    with pytest.raises(ValueError, match="meta device, which have no values"):
        audit(nn.Linear(4, 4, device="meta"), torch.randn(8, 4))


@pytest.mark.parametrize("low", [-math.inf, -1e9])
def test_additive_masks_are_inputs_like_others(low: float) -> None:
    torch.manual_seed(1)
    net, x = nn.Transformer(32, 4, 1, 1, 64, batch_first=True), torch.randn(4, 4, 32)
    mask = nn.Transformer.generate_square_subsequent_mask(4).clamp(min=low)
    assert kinds_of(audit(net, {"src": x, "tgt": x, "tgt_mask": mask})) == []
    net.mask = nn.Parameter(mask, requires_grad=False)
    assert kinds_of(audit(net, {"src": x, "tgt": x, "tgt_mask": mask})) == []
    assert kinds_of(audit(nn.Linear(4, 4), mask - math.inf))[0] == ("not finite", "inputs")  # no mask's place
    x[0, 0, 0] = math.inf
    assert kinds_of(audit(net, {"src": x, "tgt": x, "tgt_mask": mask}))[0] == ("not finite", "inputs")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_in_single(dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    report = audit(nn.Linear(64, 1024).to(dtype), torch.randn(2048, 64).to(dtype))
    assert report.healthy
    assert report.layers[0].size == pytest.approx(math.sqrt(1 / 3), rel=0.1)


def test_a_high_loss_of_dead_logits_divides_by_nothing() -> None:
    torch.manual_seed(1)
    net = nn.Linear(8, 4)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    report = audit(
        net, torch.randn(16, 8), loss=lambda out: functional.cross_entropy(out * 0 + 50 * torch.eye(4)[0], y)
    )
    assert "initial loss" in report.kinds()


y = torch.tensor([3] * 16)


class Heads(nn.Module):
    """Two heads on one layer; a loss uses the first."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.a, self.b = nn.Linear(32, 32), nn.Linear(32, 10), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(self.trunk(x))
        return self.a(h), self.b(h)


def test_a_head_that_the_loss_does_not_use_is_not_blamed() -> None:
    torch.manual_seed(1)
    net, x = Heads(), torch.randn(16, 32)
    with torch.no_grad():
        net.a.weight.mul_(50)
    report = audit(net, x, loss=lambda out: functional.cross_entropy(out[0], y))
    assert finding(report, "initial loss").layer == "a"
    assert [layer.last for layer in report.layers] == [False, True, False]
    net = Heads()
    nn.init.zeros_(net.b.weight)
    assert "zero weights" not in audit(net, x, loss=lambda out: functional.cross_entropy(out[0], y)).kinds()


def test_all_matrices_of_a_recurrent_layer_are_looked_at() -> None:
    torch.manual_seed(1)
    x = torch.randn(8, 5, 16)
    both = nn.LSTM(16, 16, 2, bidirectional=True, batch_first=True)
    assert audit(both, x).healthy
    with torch.no_grad():
        for name, weight in both.named_parameters():
            if "weight" in name and name.endswith("l0_reverse"):
                weight.mul_(500)
    report = audit(both, x)
    assert "saturated units" in report.kinds()
    run(finding(report, "saturated units").fix, both)
    assert audit(both, x).healthy
    stacked = nn.LSTM(16, 16, 2, batch_first=True)
    nn.init.zeros_(stacked.weight_hh_l1)
    assert audit(stacked, x).healthy  # it forgets, and learns not to from the first step
    nn.init.zeros_(stacked.weight_ih_l1)
    found = finding(audit(stacked, x), "zero weights")
    assert (found.severity, "stacked" in found.evidence) == ("warning", False)  # it moves, and nothing passes till then
    run(found.fix, stacked)
    assert audit(stacked, x).healthy


def test_fixes_reach_a_model_that_is_one_layer() -> None:
    torch.manual_seed(1)
    net, x = nn.Linear(32, 10), torch.randn(16, 32)
    with torch.no_grad():
        net.weight.mul_(20)
    report = audit(net, x, loss=lambda out: functional.cross_entropy(out, y))
    for found in report.findings:
        run(found.fix, net)
    net.weight.data.mul_(3)  # too loud, and no other finding explains it
    report = audit(net, x, loss=lambda out: functional.cross_entropy(out * 5, y))
    assert report.kinds() == ["initial loss"]
    run(finding(report, "initial loss").fix, net)
    assert audit(net, x, loss=lambda out: functional.cross_entropy(out, y)).healthy
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    other = nn.Bilinear(4, 4, 4)
    nn.init.zeros_(other.weight)
    for model, batch in ((nn.Sequential(net, nn.Linear(10, 3)), x), (net, x), (other, (x[:, :4], x[:, 4:8]))):
        for found in audit(model, batch).findings:
            run(found.fix, model, batch)
        assert audit(model, batch).healthy


class Sum(nn.Module):
    """A layer on the sum of all tensors in whatever it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 4)

    def forward(self, a: Any, b: Any) -> Tensor:
        return self.layer(sum(batches.tensors((a, b))))


Pair = namedtuple("Pair", ["u", "v"])


@pytest.mark.parametrize(
    "place",
    [
        lambda x, z: (x, z),
        lambda x, z: [z, x],
        lambda x, z: {"a": z, "b": x},
        lambda x, z: (z, {"k": [x]}),
        lambda x, z: {"a": (z, x), "b": Pair(z, x)},
    ],
)
@pytest.mark.parametrize("fault", [lambda x: 100 * x, lambda x: x / 0])
def test_input_fixes_reach_the_part_that_is_ill(place: Any, fault: Any) -> None:
    torch.manual_seed(1)
    net, x, z = Sum(), torch.randn(16, 32), torch.randn(16, 32)
    batch = place(fault(x), z)
    report = audit(net, batch)
    for found in report.findings:
        if found.layer == "inputs":
            healed = run(found.fix, net, batch)
            batch = healed if found.kind == "unscaled inputs" else place(torch.randn(16, 32), z)
            assert all(bool(torch.isfinite(part).all()) for part in batches.tensors(healed))
            assert type(healed) is type(place(x, z))
    assert not {"not finite", "unscaled inputs"} & set(audit(net, batch).kinds())


def test_parameters_without_a_reset_get_a_start() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.full((1, 1, 32), math.nan))
            self.scale = nn.Parameter(torch.full((32,), math.nan))
            self.heads = nn.MultiheadAttention(32, 4, batch_first=True)
            self.out = nn.Linear(32, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.token + x
            return self.out(self.scale * self.heads(x, x, x)[0])

    torch.manual_seed(1)
    net, x = Root(), torch.randn(8, 4, 32)
    for weight in (net.heads.in_proj_weight, net.out.weight):
        nn.init.constant_(weight, math.nan)
    found = finding(audit(net, x), "not finite")
    assert found.layers == ("Root", "heads", "out")
    run(found.fix, net)
    assert "not finite" not in audit(net, x).kinds()
    assert bool((net.scale == 1).all())
    line = nn.Linear(32, 4)
    nn.init.constant_(line.bias, math.nan)
    run(finding(audit(line, x), "not finite").fix, line)
    assert audit(line, x).healthy


def test_fixes_leave_computed_weights_alone_and_know_subclasses() -> None:
    class Own(nn.Linear):
        pass

    torch.manual_seed(1)
    net = nn.Sequential(Own(64, 64), nn.ReLU(), nn.utils.parametrizations.weight_norm(nn.Linear(64, 10)))
    with torch.no_grad():
        net[0].weight.mul_(1e3)
        net[2].parametrizations.weight.original0.mul_(1e3)
    found = finding(audit(net.double(), inputs()), "weight scale")
    assert found.fix == "for name in ('0',):\n    ini.initialize_(model.get_submodule(name), \"he_normal\", rng=rng)"
    from torch.nn.utils import prune

    pruned = chain(8)
    for layer in pruned[::2]:
        prune.l1_unstructured(layer, "weight", 0.1)
        with torch.no_grad():
            layer.weight_orig.mul_(4)
    report = audit(pruned, inputs())
    assert not report.healthy
    assert all(
        (found.fix, found.evidence[-34:]) == ("", "is computed from others: set these") for found in report.findings
    )


def test_unequal_features_are_made_equal() -> None:
    batch = inputs() * torch.tensor([1e-3] * 60 + [3.0] * 3 + [0.0])
    fix = finding(audit(chain(), batch), "unscaled inputs").fix
    assert audit(chain(), run(fix, chain(), batch)).healthy


def test_sigmoids_that_are_no_modules_are_named_in_the_fix() -> None:
    class Deep(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            for layer in self:
                x = torch.sigmoid(layer(x))
            return x

    torch.manual_seed(1)
    report = audit(Deep(*(nn.Linear(64, 64).double() for _ in range(12))), inputs())
    fix = finding(report, "vanishing gradient").fix
    assert fix.startswith("# replace torch.sigmoid in forward by torch.tanh")
    assert "setattr" not in fix


def test_batches_keep_their_types() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.GRU(16, 16), nn.Linear(16, 4)

        def forward(self, x: Any, state: Any = None) -> Tensor:
            assert isinstance(x, nn.utils.rnn.PackedSequence)
            assert state is None or (type(state) is Pair and type(state.v) is tuple)
            return self.out(self.rnn(x)[1][-1])

    torch.manual_seed(1)
    packed = nn.utils.rnn.pack_sequence([torch.randn(n, 16) for n in (5, 3, 2)])
    for batch in (packed, (packed,), {"x": packed, "state": Pair(torch.randn(2), (torch.randn(2),))}):
        assert len(audit(Packed(), batch).layers) == 2
    fix = finding(audit(Packed(), packed._replace(data=100 * packed.data)), "unscaled inputs").fix
    assert audit(Packed(), run(fix, Packed(), packed._replace(data=100 * packed.data))).healthy


def test_outputs_may_be_objects() -> None:
    @dataclass
    class Out:
        logits: Tensor
        more: str = "x"

    class Wrap(nn.Module):
        def __init__(self, make: Any) -> None:
            super().__init__()
            self.layer, self.make = nn.Linear(64, 4).double(), make

        def forward(self, x: Tensor) -> Any:
            return self.make(self.layer(x))

    assert audit(Wrap(Out), inputs()).healthy
    with pytest.raises(ValueError, match="no tensor was found in the outputs, a str; pass loss="):
        audit(Wrap(str), inputs())


@pytest.mark.parametrize("look", [audit, ini.probe])
def test_compiled_models_run_as_they_were_written(look: Any) -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)).double()
    assert torch.compiler.set_stance
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    found = look(compiled, inputs(), loss=torch.sum)
    assert len(found.layers if look is audit else found.names) == 2


def test_a_loss_that_is_a_parameter_is_named() -> None:
    net = nn.Sequential(nn.Linear(64, 4)).double()
    net.scale = nn.Parameter(torch.tensor(1.0))
    for look in (audit, ini.probe):
        with pytest.raises(ValueError, match="loss does not depend on the model"):
            look(net, inputs(), loss=lambda _: net.scale)


def test_inputs_of_zeros_are_named_and_no_weight_is_drawn() -> None:
    net = chain(2)
    report = audit(net, torch.zeros(16, 64).double())
    found = finding(report, "no gradient")
    assert (found.fix, found.evidence[:21]) == ("", "the inputs are all 0,")


# The command line

FACTORIES = """
import torch
from torch import nn

def good():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2)), torch.randn(32, 8)

def bad():
    model, batch = good()
    return model, 1000 * batch, lambda out: out.square().mean()

def breaks():
    raise OSError("no disk")

def odd():
    return good()[0]

def unfit():
    return good()[0], torch.randn(32, 9)

def leaves():
    raise SystemExit(0)

number = 3
"""
BROKEN = {"my_syntax": "def f(:", "my_exit": "import sys; sys.exit(0)", "my_error": "1 / 0"}


@pytest.fixture
def factories(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_factories.py").write_text(FACTORIES, encoding="utf-8")  # type: ignore[operator]
    for name, text in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")  # type: ignore[operator]
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.usefixtures("factories")
@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("my_factories:good", 0, "nothing found"),
        ("my_factories:bad", 1, "unscaled inputs"),
        ("my_factories:breaks", 2, "OSError: no disk"),
        ("my_factories:odd", 2, "must return"),
        ("my_factories:unfit", 2, "do not fit"),
        ("my_factories:gone", 2, "it has"),
        ("my_factories", 2, "expected package.module:factory"),
        ("no_such_module:f", 2, "cannot import"),
        ("my_factories:leaves", 2, "SystemExit: 0"),
        ("my_factories:number.x", 2, "has no 'number.x'; it has as_integer_ratio"),
        ("my_syntax:f", 2, "cannot import 'my_syntax': SyntaxError"),
        ("my_exit:f", 2, "cannot import 'my_exit': SystemExit: 0"),
        ("my_error:f", 2, "cannot import 'my_error': ZeroDivisionError"),
        (".x:f", 2, "cannot import '.x': TypeError"),
    ],
)
def test_the_command_line(name: str, status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", name]) == status
    out, err = capsys.readouterr()
    assert said in (err if status == 2 else out)


def test_the_command_line_is_one() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "initnotes", "audit", "x"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 2
    assert made.stderr.startswith("python -m initnotes audit: expected package.module:factory, got 'x'")


@pytest.mark.usefixtures("factories")
def test_the_command_line_exports_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "my_factories:bad", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["healthy"] is False
    with pytest.raises(SystemExit) as usage:
        main([])
    assert usage.value.code == 2
