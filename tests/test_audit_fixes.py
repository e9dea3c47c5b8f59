"""Repairs are tried on a copy before they are printed; what an audit costs."""

import json
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from initnotes.examine import Report, audit, moments, trials
from tests.audited import ENDS, cross_entropy, loud, mlp, net, residual, state, x, zeroed

# ------------------------------------------------------------------------------------------------- fixes, wishes


class Siren(nn.Module):
    """A network of sines, whose own start is part of its design (Sitzmann et al., 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(1, 64), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 1)])
        for at, layer in enumerate(self.layers):
            bound = 1 if at == 0 else (6 / 64) ** 0.5 / 30
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, given: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            given = torch.sin(30 * layer(given))
        return self.layers[-1](given)


def test_a_fix_that_harms_is_withheld_with_the_reason() -> None:
    torch.manual_seed(1)
    where = torch.linspace(-1, 1, 256)[:, None]
    target = torch.sin(20 * where) * where
    report = audit(Siren(), where, loss=lambda out: functional.mse_loss(out, target))
    for finding in report.findings:
        assert not finding.fix or "cures" in finding.tried or "helps" in finding.tried, report


def test_trials_leave_model_and_batch_alone() -> None:
    model, batch = zeroed(mlp(), "0", "2", "4", "6"), 100 * x()
    before, given = state(model), batch.clone()
    report = audit(model, batch, loss=cross_entropy)
    assert any(finding.tried for finding in report.findings)
    assert all(map(torch.equal, before, state(model)))
    assert torch.equal(batch, given)
    assert not any(finding.tried for finding in audit(model, batch, loss=cross_entropy, try_fixes=False).findings)


def test_findings_can_be_ignored_and_thresholds_set() -> None:
    assert audit(loud(), x()).kinds() == ["weight scale"]
    assert audit(loud(), x(), ignore=["weight scale"]).healthy
    assert audit(loud(), x(), ignore=["weight scale: 4"]).healthy
    assert not audit(loud(), x(), ignore=["weight scale: 2*"]).healthy
    assert audit(loud(), x(), thresholds={"SCALE_HIGH": 100.0, "scale_high_error": 1000.0}).healthy
    with pytest.raises(ValueError, match="a kind in ignore"):
        audit(loud(), x(), ignore=["weight scales"])
    with pytest.raises(TypeError, match="a sequence of texts"):
        audit(loud(), x(), ignore="weight scale")
    with pytest.raises(ValueError, match="a threshold"):
        audit(loud(), x(), thresholds={"scale": 1.0})
    with pytest.raises(TypeError, match="scale_high"):
        audit(loud(), x(), thresholds={"scale_high": "much"})


def test_a_finding_says_what_it_means_and_where_it_is_explained() -> None:
    report: Report = audit(loud(), x(), loss=cross_entropy)
    for finding in report.findings:
        assert finding.plain in str(report).replace("\n  ", " ")
        assert f"(Chapter {finding.chapter}, {finding.section})" in str(report).replace("\n  ", " ")
    plain = json.loads(report.to_json())
    assert plain["findings"][0]["plain"] == report.findings[0].plain
    assert plain["findings"][0]["page"] == report.findings[0].page
    assert plain["not_examined"] == list(report.not_examined)


# ------------------------------------------------------------------------------------------------------ what it costs


def test_trials_that_take_too_long_are_withheld_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "BUDGET", -1.0)
    for loss in (None, cross_entropy):
        found = next(own for own in audit(loud(), x(), loss=loss).findings if own.kind == "weight scale")
        assert not found.fix
        assert found.tried.startswith("no repair is shown: too slow to try")
    monkeypatch.setattr(trials, "BUDGET", 1e4)
    assert any(found.fix for found in audit(loud(), x(), loss=cross_entropy).findings)


class Counted(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.calls = body, 0

    def forward(self, given: Tensor) -> Tensor:
        self.calls += 1
        return self.body(given)


@pytest.mark.parametrize(
    ("body", "calls"),
    [(mlp, 1), (lambda: residual(6, gate=0.0), 2), (lambda: zeroed(residual(6), *ENDS), 2)],
)
def test_zeros_cost_one_pass_more_and_nothing_else_does(body: Callable[[], nn.Module], calls: int) -> None:
    model = Counted(body())
    audit(model, x(), loss=cross_entropy, try_fixes=False)
    assert model.calls == calls


def test_shares_from_a_part_of_the_inputs_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of 48 × 48 places is read at every third; what may be ill is read at all of them, to the last unit."""
    torch.manual_seed(1)
    model = net(nn.Conv2d(3, 16, 3), nn.GELU(), nn.Conv2d(16, 16, 3), nn.Tanh(), nn.Conv2d(16, 16, 3), nn.ReLU())
    model.append(nn.Conv2d(16, 4, 3))
    with torch.no_grad():
        model[2].weight.mul_(4)
        model[4].bias[:10] = -9  # off nearly everywhere
    seen = []
    for sample in (2**14, 2**30):
        monkeypatch.setattr(moments, "_SAMPLE", sample)
        seen.append(
            [units for layer in audit(model, x(8, 3, 48, 48), try_fixes=False).layers for units in layer.applied]
        )
    part, whole = seen
    assert [units[3:] for units in part] == [units[3:] for units in whole]
    for a, b in zip(part, whole, strict=True):
        assert a.saturated == pytest.approx(b.saturated, abs=0.02)
        assert a.off == pytest.approx(b.off, abs=1e-6 if b.off > 0.1 else 0.05)
    assert part[2].off == whole[2].off > 0.5


IN_PLACE = [
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.Hardtanh,
    nn.ReLU6,
    nn.SiLU,
    nn.Hardswish,
    nn.Mish,
    nn.Hardsigmoid,
]


@pytest.mark.parametrize("act", IN_PLACE)
def test_what_works_in_place_is_read_like_what_does_not(act: Callable[..., nn.Module]) -> None:
    reports = [audit(mlp(act=lambda inplace=inplace: act(inplace=inplace)), x()) for inplace in (False, True)]
    assert [report.not_examined for report in reports] == [reports[0].not_examined] * 2
    applied = [[units for layer in report.layers for units in layer.applied] for report in reports]
    assert len(applied[1]) == 3
    for a, b in zip(*applied, strict=True):
        assert (a.activation, a.inputs, a.number) == (b.activation, b.inputs, b.number)
        assert a.saturated == pytest.approx(b.saturated, abs=0.01) or math.isnan(b.saturated)
