"""Where layers have a way around them, and what the audit must not miss."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from initnotes.examine import audit
from tests.audited import Forward, cross_entropy, mlp, net, residual, x, y

# --------------------------------------------------------------------------------------------------- a way around


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
