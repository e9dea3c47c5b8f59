"""Zeros on purpose, tied matrices and gates: none is an error that the first steps move."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from initnotes.examine import audit, second_step, walk
from tests.audited import ENDS, Forward, cross_entropy, mlp, residual, x, zeroed

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
        free = second_step.moves(walk.modules(model), lambda model=model: cross_entropy(model(x()))).free
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


# ------------------------------------------------------------------------------------- what the loss does not look at


def test_what_the_loss_takes_nothing_of_is_an_info_and_no_error() -> None:
    """Of two outputs side by side only one is taken, as a detector's loss does where nothing lies on a scale."""
    torch.manual_seed(1)
    aside = Forward(lambda m, a: torch.cat([m.body(a), m.aside(a)], 1)[:, :10], body=mlp(), aside=nn.Linear(64, 5))
    before = copy.deepcopy(aside.state_dict())
    report = audit(aside, x(), loss=cross_entropy)
    assert report.healthy, report
    assert [(found.kind, found.layer) for found in report.findings] == [("not examined", "aside")]
    assert all(torch.equal(own, before[name]) for name, own in aside.state_dict().items())


def test_what_a_selection_leaves_out_is_an_info_and_no_error() -> None:
    """Of two groups of outputs the loss takes the larger one: with other weights that is the other."""
    torch.manual_seed(1)

    def larger(m: Any, a: Tensor) -> Tensor:
        both = torch.stack([m.body(a), m.aside(a)])
        return both[both.square().mean((1, 2)).argmax()]

    model = Forward(larger, body=mlp(), aside=nn.Linear(64, 10, bias=False))
    with torch.no_grad():
        size = rms(model.aside(x())) / rms(model.body(x()))
        model.aside.weight.mul_(0.8 / size)  # times 1.5 it is the larger one
    assert second_step.unheard({"aside.weight": model.aside.weight}, lambda: cross_entropy(model(x())))
    report = audit(model, x(), loss=cross_entropy)
    assert report.healthy, report
    assert [(found.kind, found.layer) for found in report.findings] == [("not examined", "aside")]


def rms(outputs: Tensor) -> float:
    return float(outputs.square().mean().sqrt())


def test_weights_of_which_a_part_is_stuck_are_told_apart() -> None:
    torch.manual_seed(1)
    both = Forward(
        lambda m, a: torch.cat([m.head(torch.round(4 * m.body(a))), m.aside(a)], 1)[:, :10],
        body=mlp(),
        head=nn.Linear(10, 10),
        aside=nn.Linear(64, 5),
    )
    found = {found.kind: found for found in audit(both, x(), loss=cross_entropy).findings}
    assert (found["no gradient"].severity, "aside" in found["no gradient"].layers) == ("error", False)
    assert found["not examined"].layers == ("aside",)


def test_a_step_without_a_slope_is_an_error_though_the_loss_depends_on_what_is_before() -> None:
    torch.manual_seed(1)
    stepped = Forward(lambda m, a: m.head(torch.round(4 * m.body(a))), body=mlp(), head=nn.Linear(10, 10))
    found = [found for found in audit(stepped, x(), loss=cross_entropy).findings if found.kind == "no gradient"]
    assert [own.severity for own in found] == ["error"]


def test_dropout_does_not_make_a_loss_depend_on_what_it_does_not_take() -> None:
    torch.manual_seed(1)
    aside = Forward(
        lambda m, a: torch.cat([m.drop(m.body(a)), m.aside(a)], 1)[:, :10],
        body=mlp(),
        aside=nn.Linear(64, 5),
        drop=nn.Dropout(0.2),
    )
    assert audit(aside, x(), loss=cross_entropy).healthy


def test_of_zeros_it_is_not_said_that_the_loss_takes_nothing() -> None:
    torch.manual_seed(1)
    zero, other = nn.Parameter(torch.zeros(4, 4)), nn.Parameter(torch.randn(4, 4))
    found = second_step.unheard({"zero": zero, "other": other}, lambda: (torch.ones(4) @ zero).sum() + 0 * other.sum())
    assert found == {"other"}
