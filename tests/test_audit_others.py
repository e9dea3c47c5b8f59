"""`ini.audit` on what other people build: what it accepts, what it leaves alone and finds, what its fixes do."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import others
from initnotes.examine import audit, examiner
from tests.audited import Block, Forward, cross_entropy, loud, mlp, net, residual, x

# ------------------------------------------------------------------------------------------ what a second look found


def test_a_loss_that_holds_the_model_leaves_its_gradients_alone() -> None:
    """A penalty on the weights depends on the model that was given, also while a copy is trained."""
    model = loud()
    report = audit(
        model, x(), loss=lambda out: cross_entropy(out) + 1e-4 * sum(p.square().sum() for p in model.parameters())
    )
    assert any(finding.tried for finding in report.findings)
    assert all(own.grad is None for own in model.parameters())


def test_trials_leave_all_random_states_alone() -> None:
    model = Forward(lambda m, a: m.body(a) + 0 * float(np.random.rand() + random.random()), body=loud())  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    assert any(finding.tried for finding in audit(model, x(), loss=cross_entropy).findings)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[2] == random.getstate()


def test_a_model_that_cannot_be_copied_is_audited() -> None:
    model = loud()
    model.lock = threading.Lock()
    for loss in (None, cross_entropy):
        found = next(finding for finding in audit(model, x(), loss=loss).findings if finding.kind == "weight scale")
        assert found.fix
        assert found.tried.startswith("not tried on a copy: TypeError")


def test_a_repair_is_not_withheld_for_what_it_uncovers() -> None:
    model = loud()
    with torch.no_grad():
        model[2].weight[0, 0] = torch.nan
    found = audit(model, x()).findings[0]
    assert (found.kind, bool(found.fix)) == ("not finite", True)
    assert "cures it; then weight scale shows" in found.tried


def test_zeros_that_the_loss_does_not_use_are_not_blamed() -> None:
    model = Forward(lambda m, a: m.body(a), body=mlp(), aside=nn.BatchNorm1d(4), gate=nn.Parameter(torch.zeros(())))
    nn.init.zeros_(model.aside.weight)
    assert audit(model, x(), loss=cross_entropy).healthy


def test_zeros_are_not_judged_where_the_steps_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(examiner, "moves", broken)
    report = audit(residual(6, gate=0.0), x(), loss=cross_entropy)
    assert report.healthy
    assert any("what the first steps move" in said and "planted" in said for said in report.not_examined)


def test_a_layer_with_a_matrix_is_a_layer_whatever_it_is_called() -> None:
    class NormedLinear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(10, 64))

        def forward(self, given: Tensor) -> Tensor:
            return functional.linear(given, functional.normalize(self.weight, dim=1))

    assert [record.kind for record in audit(nn.Sequential(mlp(2, 64)[:2], NormedLinear()), x()).layers] == [
        "Linear",
        "NormedLinear",
    ]


# ------------------------------------------------------------------- what networks that nobody had looked at taught


class Excited(nn.Module):
    """A branch whose normalization starts with γ = 0, as many do, and squeeze and excitation behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.norm = nn.Linear(64, 64), nn.Linear(64, 64), nn.BatchNorm1d(64)
        self.squeeze, self.excite, self.head = nn.Linear(64, 32), nn.Linear(32, 64), nn.Linear(64, 10)
        nn.init.zeros_(self.squeeze.bias)

    def forward(self, given: Tensor) -> Tensor:
        stream = torch.relu(self.stem(given))
        h = self.norm(self.inner(stream))
        return self.head(stream + h * torch.sigmoid(self.excite(torch.relu(self.squeeze(h)))))


def test_units_behind_a_zero_that_moves_are_not_dead() -> None:
    torch.manual_seed(1)
    model = Excited()
    nn.init.zeros_(model.norm.weight)
    report = audit(model, x(), loss=cross_entropy)
    assert report.healthy, report
    assert "norm.weight" in [found.layer for found in report.findings]
    nn.init.ones_(model.norm.weight)
    nn.init.constant_(model.squeeze.bias, -99.0)
    assert "dead units" in audit(model, x(), loss=cross_entropy, try_fixes=False).kinds()


class Attention(nn.Module):
    def __init__(self, *, fused: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.head = (nn.Linear(16, 16) for _ in range(4))
        self.fused = fused

    def forward(self, given: Tensor) -> Tensor:
        q, k, v = self.query(given), self.key(given), self.value(given)
        if self.fused == 1:
            return self.head(functional.scaled_dot_product_attention(q, k, v)).mean(1)
        if self.fused:
            q, k, v = (own.unflatten(2, (-1, 16 // self.fused)).transpose(1, 2) for own in (q, k, v))
            return self.head(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)).mean(1)
        return self.head(torch.softmax(q @ k.mT / 4, -1) @ v).mean(1)


@pytest.mark.parametrize("fused", [0, 1, 4])
def test_attention_with_one_place_to_look_at_cannot_be_examined(fused: int) -> None:
    torch.manual_seed(1)
    model = Attention(fused=fused)
    report = audit(model, x(8, 1, 16))
    assert report.healthy, report
    still = {layer.name for layer in report.layers if layer.weight_gradient == 0}  # to the last bit, unless it is fused
    assert still or fused > 1
    assert still == {name for found in report.findings if found.kind == "not examined" for name in found.layers}
    assert "not examined" not in audit(model, x(8, 3, 16)).kinds("info")


class Conv1D(nn.Module):
    """The linear layer of transformers, whose weight has the shape (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf) / nx**0.5), nn.Parameter(torch.zeros(nf))

    def forward(self, given: Tensor) -> Tensor:
        return given @ self.weight + self.bias


def test_equal_units_are_found_in_a_layer_whose_weight_is_transposed() -> None:
    torch.manual_seed(1)
    model = net(Conv1D(64, 64), nn.ReLU(), nn.Linear(64, 10))
    with torch.no_grad():
        model[0].weight[:] = model[0].weight[:, :1]  # all units equal
        model[2].weight[:] = model[2].weight[:, :1]
    found = next(own for own in audit(model, x(), loss=cross_entropy).findings if own.kind == "symmetric units")
    assert (found.layer, found.severity) == ("0", "error")
    with torch.no_grad():
        model[0].weight[:] = torch.randn(64, 1)[:, [0] * 64].T  # all inputs equal, and units that differ
    assert "symmetric units" not in audit(model, x(), loss=cross_entropy, try_fixes=False).kinds()


class NormAct(nn.BatchNorm1d):
    """A normalization with an activation of its own, as timm has it."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.act = nn.ReLU()

    def forward(self, given: Tensor) -> Tensor:
        return self.act(super().forward(given))


def test_a_factor_in_a_normalization_with_children_is_found() -> None:
    torch.manual_seed(1)
    model = net(nn.Linear(64, 64), NormAct(64), nn.Linear(64, 64), NormAct(64), nn.Linear(64, 10))
    assert audit(model, x(), loss=cross_entropy).healthy
    nn.init.constant_(model[1].weight, 1e6)
    found = audit(model, x(), loss=cross_entropy).findings[0]
    assert (found.kind, found.layer) == ("extreme factor", "1.weight")


def test_layers_between_stages_are_no_chain() -> None:
    """Eight layers between stages of two residual blocks each: what a stage does is no factor of a layer."""
    torch.manual_seed(1)
    stages = [part for _ in range(8) for part in (nn.Linear(64, 64), Block(64, norm=True), Block(64, norm=True))]
    model = nn.Sequential(*stages, nn.Linear(64, 10))
    with torch.no_grad():
        for part in model:
            if isinstance(part, nn.Linear):
                part.weight.mul_(0.5)
    told = [finding for finding in audit(model, x(), try_fixes=False).findings if finding.severity != "info"]
    assert not any("per layer" in finding.evidence for finding in told)
    chain = nn.Sequential(*[part for part in model if isinstance(part, nn.Linear)])
    assert "vanishing signal" in audit(chain, x(), try_fixes=False).kinds()


def test_a_stream_that_every_block_normalizes_may_shrink() -> None:
    torch.manual_seed(1)

    class Shrinking(nn.Module):
        def __init__(self, norm: bool) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Block(64, norm=norm, gate=1e-3) for _ in range(12))

        def forward(self, given: Tensor) -> Tensor:
            for block in self.blocks:
                given = 0.6 * block(given)
            return given

    found = [
        audit(Shrinking(norm), x(), loss=lambda out: 1e3 * out.square().mean(), try_fixes=False) for norm in (0, 1)
    ]
    severities = [
        [finding.severity for finding in report.findings if finding.kind == "vanishing signal"] for report in found
    ]
    assert severities == [["warning"], ["info"]]


# ------------------------------------------------------------------------------------------------------ the benchmark

WELL = {"name": "a", "half": "fresh", "times": 1.2, "seconds": 0.2, "found": [], "failed": []}
FAULT = ["a NaN", True, 1, 1, ["not finite"]]


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        ({"raised": "ValueError: x", "found": []}, [FAULT]),
        ({"failed": ["stem (ValueError: x)"]}, [FAULT]),
        ({"found": [["error", "no gradient", "stem", "planted"]]}, [FAULT]),
        ({"found": [["warning", "weight scale", "stem", "planted"]]}, [FAULT]),
        ({"times": 1.7}, [FAULT]),
        ({}, [["a NaN", False, 1, 1, []]]),
        ({}, [["a NaN", True, 0, 1, ["not finite"]]]),
    ],
)
def test_the_benchmark_of_other_networks_misses_no_aim_silently(
    row: dict[str, Any], faults: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    host = {"name": "a planted", "host": "a"}
    assert others.told([WELL, host | {"faults": [FAULT]}]) == 0
    assert others.told([WELL | row, host | {"faults": faults}]) == 1
    assert "fresh: 1 networks" in capsys.readouterr().out


def test_the_benchmark_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def work(_: object) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
        return [(name, lambda name=name: made.append(name) or {"left": "planted"}) for name in ("a", "b planted")]

    monkeypatch.setattr(others, "work", work)
    monkeypatch.setattr(others.signal, "signal", lambda *_: None)
    rows = tmp_path / "rows.jsonl"
    assert not others.proceed(rows, -1.0)
    assert made == []
    assert others.proceed(rows, 1e4)
    assert others.proceed(rows, 1e4)
    assert made == ["a", "b planted"]
    assert len(rows.read_text().splitlines()) == 2
