"""What the audit accepts, in which tools, and where it sends the reader."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import initnotes as ini
from initnotes.__main__ import main
from initnotes.examine import audit, chapters, hooks, second_step, walk
from initnotes.testing import assert_healthy
from tests.audited import Forward, cross_entropy, loud, mlp, net, state, x

ROOT = Path(__file__).parents[1]


# -------------------------------------------------------------------------------------------------- what it accepts


def needs_a_leaf(model: Any, given: Tensor) -> Tensor:
    given.requires_grad = True
    return model.body(given)


def in_place(model: Any, given: Tensor) -> Tensor:
    return model.body(given.div_(2))


ACCEPTED: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "clamp on both sides": (lambda: Forward(lambda m, a: m.body(a).clamp(-1, 1), body=mlp()), x()),
    "clamp by tensors": (
        lambda: Forward(lambda m, a: torch.clamp(m.body(a), torch.tensor(-1.0), torch.tensor(1.0)), body=mlp()),
        x(),
    ),
    "clip from above": (lambda: Forward(lambda m, a: m.body(a.clamp(max=1.0)), body=mlp()), x()),
    "requires_grad inside": (lambda: Forward(needs_a_leaf, body=mlp()), x()),
    "in place": (lambda: Forward(in_place, body=mlp()), x()),
    "one vector": (mlp, x(64)),
    "one input": (mlp, x(1, 64)),
    "whole numbers": (lambda: Forward(lambda m, a: m.body(a.float() / 16), body=mlp()), torch.randint(0, 17, (32, 64))),
    "tokens": (lambda: net(nn.Embedding(20, 16), nn.Linear(16, 8)), torch.randint(0, 20, (4, 7))),
    "no layer": (lambda: nn.BatchNorm1d(64), x()),
    "a bare parameter": (lambda: Forward(lambda m, a: a @ m.w, w=nn.Parameter(torch.ones(64, 10))), x()),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_the_model_accepts_the_audit_accepts(name: str) -> None:
    make, batch = ACCEPTED[name]
    model = make()
    model(batch.clone())
    before = state(model)
    report = audit(model, batch)
    assert report.kinds("error") == [], report
    assert all(map(torch.equal, before, state(model)))
    json.loads(report.to_json())
    if not report.layers:
        assert "called no layer with weights" in report.not_examined[0]


def test_what_cannot_be_measured_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    model = mlp()
    monkeypatch.setattr(hooks.Watch, "_after_norm", broken)
    monkeypatch.setattr(hooks.Watch, "_after_activation", broken)
    monkeypatch.setattr(second_step, "moves", broken)
    report = audit(model, x())
    assert len(report.layers) == 4
    assert any("planted" in said for said in report.not_examined)
    with pytest.raises(ZeroDivisionError):  # a probe's numbers are all asked for
        ini.probe(model, x())


def test_what_the_model_refuses_is_said_in_the_models_words_or_ours() -> None:
    with pytest.raises(ValueError, match="takes 64 features along axis -1, got shape"):
        audit(mlp(), x(32, 63))
    with pytest.raises(TypeError, match=r"loss=lambda out: criterion\(out, y\)"):
        audit(mlp(), x(), loss=nn.CrossEntropyLoss())


# ------------------------------------------------------------------------------------------------- in people's tools


def test_a_test_suite_fails_with_the_report() -> None:
    assert_healthy(mlp(), x(), loss=cross_entropy)
    with pytest.raises(AssertionError, match=r"(?s)Sequential is not healthy at its start.*weight scale at 4"):
        assert_healthy(loud(), x())
    assert_healthy(loud(), x(), fail_on="error")
    assert_healthy(loud(), x(), ignore=["weight scale"])
    with pytest.raises(ValueError, match="fail_on"):
        assert_healthy(loud(), x(), fail_on="info")


CHATTY = """
import torch
from torch import nn

def loud():
    print("loading")
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
    model[2].weight.data.mul_(30)
    return model, torch.randn(32, 8)
"""


def test_the_command_line_says_what_fails_and_prints_json_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_chatty.py").write_text(CHATTY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["audit", "my_chatty:loud", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["findings"][0]["kind"] == "weight scale"
    assert err == "loading\n"
    assert main(["audit", "my_chatty:loud", "--fail-on", "error"]) == 0
    assert main(["audit", "my_chatty:loud", "--ignore", "weight scale: 2"]) == 0
    capsys.readouterr()
    assert main(["audit", "my_chatty:loud", "--ignore", "loudness"]) == 2
    assert "a kind in ignore" in capsys.readouterr().err


# --------------------------------------------------------------------------------- where each finding is explained


def _sections(page: str) -> dict[str, str]:
    """Return the anchors of a chapter, labels and titles as the site makes them, with the title that each leads to."""
    cells = json.loads((ROOT / "book" / f"{page}.ipynb").read_text(encoding="utf-8"))["cells"]
    lines = [line for cell in cells if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines()]
    found, label = {}, ""
    for line in lines:
        if line.startswith("#"):
            title = line.lstrip("# ")
            found[re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")] = title
            found |= {label: title} if label else {}
        label = line.strip()[1:-2] if re.fullmatch(r"\([\w-]+\)=", line.strip()) else label if not line.strip() else ""
    return found


def test_every_kind_of_finding_leads_to_a_section_of_the_book() -> None:
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for told in (*chapters.TOLD.values(), *chapters.HARMLESS.values()):
        assert f"file: book/{told.page}\n" in toc
        assert _sections(told.page).get(told.anchor) == told.section, told
    assert "no-such-section" not in _sections("06_he")


def test_with_an_address_findings_are_links(monkeypatch: pytest.MonkeyPatch) -> None:
    report = audit(loud(), x(), try_fixes=False)
    assert chapters.address() == ""  # _config.yml has none as yet
    assert report._repr_html_() is None
    assert report.findings[0].link is None
    monkeypatch.setattr("initnotes.examine.report.address", lambda: "https://example.org/init")
    found = report.findings[0]
    assert found.link == f"https://example.org/init/{found.page}"
    assert f"\n  {found.link}\n" in str(report)
    assert f'<a href="{found.link}">' in str(report._repr_html_())
    assert report.to_dict()["findings"][0]["link"] == found.link


def test_the_address_is_that_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_config.yml").write_text("html:\n  baseurl: https://example.org/init/\n", encoding="utf-8")
    monkeypatch.setattr(chapters, "__file__", str(tmp_path / "initnotes" / "examine" / "chapters.py"))
    assert chapters.address.__wrapped__() == "https://example.org/init"
    (tmp_path / "_config.yml").unlink()
    assert chapters.address.__wrapped__() == ""


# ---------------------------------------------------------------------------------------- what it walks and puts back


def test_parts_are_those_that_torch_names() -> None:
    """A module and a parameter that stand in two places have the first name."""
    model = net(mlp(), net(nn.BatchNorm1d(10), mlp()), nn.Linear(64, 10))
    model.add_module("again", model[1][1])
    model[2].weight = model[0][0].weight
    parts = walk.modules(model)
    assert list(parts.items()) == list(model.named_modules())
    found, named = walk.parameters(parts), dict(model.named_parameters())
    assert list(found) == list(named)
    assert all(found[name] is own for name, own in named.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_large_weights_that_forward_changes_are_put_back(dtype: torch.dtype) -> None:
    def drifting(model: Any, given: Tensor) -> Tensor:
        model.layer.weight.data[-1, -1] = -0.5
        return model.layer(given)

    model = Forward(drifting, layer=nn.Linear(64, 128, dtype=dtype))
    model.layer.weight.data[0, 0] = torch.nan
    before = model.layer.weight.detach().clone()
    audit(model, x().to(dtype))
    assert torch.equal(before.nan_to_num(), model.layer.weight.detach().nan_to_num())
    assert model.layer.weight[0, 0].isnan()
    model.run = lambda own, given: own.layer(given)
    version = model.layer.weight._version
    audit(model, x().to(dtype))
    assert model.layer.weight._version == version  # what did not change is not written, NaN or not
