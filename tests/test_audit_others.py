"""`ini.audit` on what other people build: what it accepts, what it leaves alone and finds, what its fixes do."""

import copy
import json
import math
import random
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import initnotes as ini
from benchmarks import others
from initnotes.__main__ import main
from initnotes.examine import Report, audit, chapters, examiner, hooks, moments, second_step, trials
from initnotes.testing import assert_healthy

ROOT = Path(__file__).parents[1]
y = torch.arange(32) % 10


def cross_entropy(outputs: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, y)


def net(*parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(*parts)


def x(*shape: int) -> Tensor:
    return torch.randn(*(shape or (32, 64)), generator=torch.Generator().manual_seed(1))


def mlp(depth: int = 4, width: int = 64, act: Callable[[], nn.Module] = nn.ReLU, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(1)
    parts: list[nn.Module] = []
    for _ in range(depth - 1):
        layer = nn.Linear(width, width)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        parts += [layer, *([nn.BatchNorm1d(width)] if norm else []), act()]
    return nn.Sequential(*parts, nn.Linear(width, 10))


def state(model: nn.Module) -> list[Tensor]:
    return [own.clone() for own in model.state_dict().values()]


class Forward(nn.Module):
    """A model whose forward is given."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.run = forward

    def forward(self, *inputs: Any) -> Any:
        return self.run(self, *inputs)


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


# --------------------------------------------------------------------------------------------------- a way around


class Block(nn.Module):
    def __init__(self, width: int, *, norm: bool = False, gate: float | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        for layer in (self.inner, self.outer):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.gate = None if gate is None else nn.Parameter(torch.tensor(gate))

    def forward(self, stream: Tensor) -> Tensor:
        branch = self.outer(torch.relu(self.inner(self.norm(stream))))
        return stream + (branch if self.gate is None else self.gate * branch)


def residual(blocks: int, **options: Any) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(64, 64), *(Block(64, **options) for _ in range(blocks)), nn.Linear(64, 10))


def test_a_stream_that_grows_is_found_by_block() -> None:
    """Without normalization each block of He's weights triples the mean square: √3 to the 14th is 2,000."""
    report = audit(residual(14), x(), loss=cross_entropy)
    found = next(finding for finding in report.findings if finding.kind == "exploding signal")
    assert "per block" in found.evidence
    assert "cures it" in found.tried
    assert {"inner", "outer"}.isdisjoint(found.fix.split())
    assert audit(residual(14, norm=True), x(), loss=cross_entropy).healthy


def test_a_report_does_not_contradict_itself() -> None:
    """Where layers have a way around them no slope is told from layer to layer."""
    for model in (residual(14), residual(3), residual(14, norm=True)):
        report = audit(model, x())
        assert not any("per layer" in found.evidence for found in report.findings if found.severity != "info"), report


def test_parallel_branches_are_no_chain() -> None:
    torch.manual_seed(1)
    actor, critic = mlp(6), mlp(6)
    with torch.no_grad():
        for layer in critic:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(1.6)
    both = Forward(lambda m, a: (m.actor(a), m.critic(a)), actor=actor, critic=critic)
    chained = Forward(lambda m, a: m.critic(a), critic=critic)
    assert not any("exploding" in kind or "vanishing" in kind for kind in audit(both, x()).kinds())
    assert audit(chained, x(), loss=lambda out: out.square().mean()).layers[0].trunk


# ------------------------------------------------------------------------------------------------- zero on purpose


def lora(down: Tensor, up: Tensor) -> nn.Module:
    return Forward(
        lambda m, a: m.head(torch.relu(m.base(a) + a @ m.down.T @ m.up.T)),
        base=nn.Linear(64, 64),
        head=nn.Linear(64, 10),
        down=nn.Parameter(down),
        up=nn.Parameter(up),
    )


def tied() -> nn.Module:
    return Forward(lambda m, a: m.body(a) @ m.out.weight.T, body=mlp(), out=nn.Embedding(10, 10))


ENDS = tuple(f"{at}.outer" for at in range(1, 7))
PURPOSE: dict[str, Callable[[], nn.Module]] = {
    "gates": lambda: residual(6, gate=0.0),
    "the last layer": lambda: zeroed(mlp(), "6"),
    "an output embedding": lambda: zeroed(tied(), "out"),
    "the end of each branch": lambda: zeroed(residual(6), *ENDS),
    "one of two factors": lambda: lora(torch.randn(4, 64) / 8, torch.zeros(64, 4)),
}
STUCK: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "all of it": (lambda: zeroed(mlp(), "0", "2", "4", "6"), "0"),
    "gate and branch": (lambda: zeroed(residual(6, gate=0.0), *ENDS, biases=True), "1.outer"),
    "every γ": (lambda: zeroed(mlp(norm=True), "1", "4", "7"), "1.weight"),
}


def zeroed(model: nn.Module, *names: str, biases: bool = False) -> nn.Module:
    for name in names:
        part = model.get_submodule(name)
        nn.init.zeros_(part.weight)
        if biases:
            nn.init.zeros_(part.bias)
    return model


@pytest.mark.parametrize("name", PURPOSE)
def test_a_zero_that_moves_is_no_error(name: str) -> None:
    torch.manual_seed(1)
    report = audit(PURPOSE[name](), x(), loss=cross_entropy)
    assert report.healthy, report


@pytest.mark.parametrize("name", STUCK)
def test_zeros_that_keep_each_other_are_an_error(name: str) -> None:
    make, where = STUCK[name]
    report = audit(make(), x(), loss=cross_entropy)
    found = report.findings[0]
    assert (found.kind, found.severity, found.layer) == ("zero weights", "error", where), report
    assert "cures it" in found.tried, report


def test_the_first_steps_decide_as_training_does() -> None:
    """What `moves` calls free is what a hundred steps of gradient descent change, in every model of this page."""
    for make in [*PURPOSE.values(), *(stuck for stuck, _ in STUCK.values())]:
        model = make()
        free = second_step.moves(model, lambda model=model: cross_entropy(model(x()))).free
        trained = copy.deepcopy(model)
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.05)
        for _ in range(100):
            optimizer.zero_grad()
            cross_entropy(trained(x())).backward()
            optimizer.step()
        changed = {
            name
            for (name, before), after in zip(model.named_parameters(), trained.parameters(), strict=True)
            if not torch.equal(before, after)
        }
        assert changed == free


# --------------------------------------------------------------------------------------------- what it must not miss


def test_equal_weights_are_found_whatever_the_biases() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    for at in (0, 2):
        nn.init.constant_(model[at].weight, 0.1)
    report = audit(model, x(), loss=cross_entropy)
    found = next(finding for finding in report.findings if finding.kind == "symmetric units")
    assert set(found.layers) == {"0", "2"}


def test_inputs_are_judged_where_the_first_layer_gets_them() -> None:
    pixels = 255 * torch.rand(32, 64, generator=torch.Generator().manual_seed(1))
    scaled = Forward(lambda m, a: m.body(a / 255 - 0.5), body=mlp())
    assert audit(scaled, pixels).healthy
    assert audit(mlp(), pixels).kinds() == ["unscaled inputs"]
    whole = Forward(lambda m, a: m.body(a.float()), body=mlp())
    assert "unscaled inputs" in audit(whole, pixels.byte()).kinds()


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        (nn.Softmax(1), cross_entropy),
        (nn.LogSoftmax(1), cross_entropy),
        (nn.ReLU(), cross_entropy),
        (nn.Sigmoid(), lambda out: functional.binary_cross_entropy_with_logits(out, torch.ones_like(out))),
    ],
)
def test_outputs_that_are_bent_twice(last: nn.Module, loss: Callable[[Tensor], Tensor]) -> None:
    assert audit(net(mlp(), last), x(), loss=loss).kinds() == ["output activation"]
    assert audit(mlp(), x(), loss=loss).healthy
    nll = audit(net(mlp(), nn.LogSoftmax(1)), x(), loss=lambda out: functional.nll_loss(out, y))
    assert nll.healthy


def test_one_scale_is_the_cause_and_no_layer_is_blamed() -> None:
    model = Forward(lambda m, a: m.body(a) * m.scale, body=mlp(), scale=nn.Parameter(torch.tensor(1e8)))
    report = audit(model, x(), loss=cross_entropy)
    first = report.findings[0]
    assert (first.kind, first.layer) == ("extreme factor", "scale")
    assert "cures it" in first.tried
    assert not any(finding.fix for finding in report.findings[1:])


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


def loud() -> nn.Sequential:
    model = mlp()
    with torch.no_grad():
        model[4].weight.mul_(30)
    return model


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


# ------------------------------------------------------------- six that training feels: each is found, or it is named


def generator(std: float) -> nn.Sequential:
    """A generator as in DCGAN, whose normalizations hide the size of all weights but the last."""
    torch.manual_seed(1)
    parts: list[nn.Module] = []
    for into, out in ((16, 64), (64, 64), (64, 3)):
        layer = nn.ConvTranspose2d(into, out, 4, 2, 1, bias=False)
        nn.init.normal_(layer.weight, 0, std)
        parts += [layer, *([nn.BatchNorm2d(out), nn.ReLU()] if out > 3 else [nn.Tanh()])]
    return nn.Sequential(*parts)


def test_a_generator_that_saturates_behind_normalization_is_found() -> None:
    noise = x(16, 16, 2, 2)
    assert audit(generator(0.02), noise, try_fixes=False).healthy
    sick = audit(generator(0.2), noise, try_fixes=False)
    assert (sick.kinds(), sick.findings[0].layer) == (["saturated units"], "6")
    for report in (sick, audit(generator(0.02), noise, try_fixes=False)):
        assert any(said.startswith("the scale of 2 layers with a norm") for said in report.not_examined)


class Encoder(nn.Module):
    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=first) for _ in range(12)
        )

    def forward(self, given: Tensor) -> Tensor:
        for block in self.blocks:
            given = block(given)
        return given.mean(1)


def test_post_norm_depth_is_named() -> None:
    """Of pre-norm, whose streams are read by more than a normalization, nothing is said."""
    torch.manual_seed(1)
    said = ["post-norm depth" in " ".join(audit(Encoder(first=first), x(8, 4, 16)).not_examined) for first in (0, 1)]
    assert said == [True, False]


def test_a_long_recurrence_is_named() -> None:
    torch.manual_seed(1)
    model = Forward(
        lambda m, a: m.head(m.lstm(a)[0][:, -1]), lstm=nn.LSTM(4, 8, batch_first=True), head=nn.Linear(8, 2)
    )
    assert any("the steps in time inside of LSTM" in said for said in audit(model, x(8, 200, 4)).not_examined)
    assert not any("steps in time" in said for said in audit(mlp(), x()).not_examined)


def test_without_a_loss_it_is_named_that_outputs_may_be_bent_twice() -> None:
    """A second softmax, a sigmoid and a ReLU are found where there is a loss: see the test of outputs bent twice."""
    assert any("whether the outputs suit it" in said for said in audit(net(mlp(), nn.Softmax(1)), x()).not_examined)
    assert not any("suit it" in said for said in audit(mlp(), x(), loss=cross_entropy).not_examined)


# ------------------------------------------------------------------------------------------- tied matrices, gates


class Tied(nn.Module):
    """Logits from the matrix of the embedding, as a function uses it or as a layer does; in front of it a scale."""

    def __init__(self, *, std: float, scale: float = 1.0, layer: bool = False) -> None:
        super().__init__()
        self.wte, self.inner, self.norm = nn.Embedding(50, 64), nn.Linear(64, 64), nn.LayerNorm(64)
        nn.init.normal_(self.wte.weight, 0, std)
        self.scale = scale
        if layer:
            self.head = nn.Linear(64, 50, bias=False)
            self.head.weight = self.wte.weight

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.norm(torch.tanh(self.inner(self.wte(tokens)))) * self.scale
        return (self.head(h) if hasattr(self, "head") else h @ self.wte.weight.T).flatten(0, 1)


TOKENS = torch.arange(128).reshape(8, 16) % 50


def of_tokens(outputs: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, TOKENS.flatten())


def test_logits_of_a_tied_matrix_are_its_fault_and_no_layers() -> None:
    torch.manual_seed(1)
    report = audit(Tied(std=1.0), TOKENS, loss=of_tokens)
    found = report.findings[0]
    assert (found.kind, found.layer) == ("initial loss", "wte.weight")
    assert "model.get_parameter('wte.weight').mul_" in found.fix
    assert "cures it" in found.tried
    assert audit(Tied(std=0.05), TOKENS, loss=of_tokens).healthy


def test_a_scale_in_front_of_a_tied_head_excuses_its_weights() -> None:
    """T5 scales by 1/√d in front of weights of size 1: √(fan_in · E W²) is 8, and the logits are not too large."""
    torch.manual_seed(1)
    for size in (1.0, 2.5):
        model = Tied(std=1.0, scale=1 / 8, layer=True)
        nn.init.constant_(model.norm.weight, size)
        assert "weight scale" not in audit(model, TOKENS, loss=of_tokens, try_fixes=False).kinds()
    assert "weight scale" in audit(Tied(std=1.0, layer=True), TOKENS, loss=of_tokens, try_fixes=False).kinds()


def test_a_healthy_zero_gate_is_an_info_with_its_name() -> None:
    report = audit(residual(6, gate=0.0), x(), loss=cross_entropy)
    found = next(finding for finding in report.findings if finding.kind == "zero weights")
    assert (found.severity, found.layer, len(found.layers)) == ("info", "1.gate", 6)
    assert found.section == "Zero on purpose"


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
