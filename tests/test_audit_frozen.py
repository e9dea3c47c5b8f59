"""The audit of networks of which a part is frozen: adapters beside a base, new heads on features, zeros that stay."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import initnotes as ini
from initnotes.examine import audit, walk
from tests.audited import Block, cross_entropy, mlp, net, residual, x
from tests.test_frozen import Adapted, rng


def lora(*, zero: str = "B") -> nn.Sequential:
    """Return a network whose layers have adapters beside them."""
    model = mlp()
    for at in (0, 2, 4):
        model[at] = Adapted(model[at])
        for name in "AB":
            weight = model[at].get_submodule(f"lora_{name}.default").weight
            nn.init.zeros_(weight) if name in zero else nn.init.normal_(weight, std=0.1)
    model[6].requires_grad_(False)
    return model


def probed(model: nn.Sequential, *, head: str = "zeros") -> nn.Sequential:
    """Return a network frozen but for a new head."""
    model.requires_grad_(False)
    model[-1] = ini.initialize_(nn.Linear(64, 10), head, rng=rng())
    return model


FINE: dict[str, Callable[[], nn.Module]] = {
    "adapters": lora,
    "adapters, A zero": lambda: lora(zero="A"),
    "a head of zeros": lambda: probed(mlp()),
    "a random head": lambda: probed(mlp(), head="lecun_normal"),
    "a frozen layer of zeros beside a way around it": lambda: probed(net(Block(64), switched_off(), nn.Linear(64, 10))),
}


def switched_off() -> Block:
    block = Block(64)
    nn.init.zeros_(block.outer.weight)
    nn.init.zeros_(block.outer.bias)
    return block


@pytest.mark.parametrize("name", FINE)
@pytest.mark.parametrize("loss", [cross_entropy, None])
def test_what_is_frozen_on_purpose_is_no_fault(name: str, loss: object) -> None:
    torch.manual_seed(1)
    report = audit(FINE[name](), x(), loss=loss)
    assert report.healthy, report


def test_a_head_of_zeros_says_nothing_of_gradients_that_nobody_needs() -> None:
    report = audit(probed(mlp()), x(), loss=cross_entropy)
    assert [(own.kind, own.layer) for own in report.findings] == [("zero weights", "6")], report
    trained = mlp()
    nn.init.zeros_(trained[-1].weight)
    assert "no gradient" in [own.kind for own in audit(trained, x(), loss=cross_entropy).findings]


def test_two_zero_factors_are_an_error_beside_a_frozen_base() -> None:
    report = audit(lora(zero="AB"), x(), loss=cross_entropy)
    found = next(own for own in report.findings if own.severity == "error")
    assert found.kind == "zero weights"
    assert all("lora" in layer for layer in found.layers)


def test_a_frozen_head_of_zeros_lets_nothing_through_for_ever() -> None:
    """With its weights trained, it would move at the first step, and all before it at the second."""
    model = mlp()
    nn.init.zeros_(model[-1].weight)
    assert audit(model, x(), loss=cross_entropy).healthy
    model[-1].requires_grad_(False)
    report = audit(model, x(), loss=cross_entropy)
    assert report.kinds("error") == ["zero weights"]
    assert report.findings[0].layer == "6"
    assert (report.findings[0].fix, report.findings[0].tried) == ("", "")
    assert "frozen, so that no repair draws it: 6" in report.findings[0].evidence


def small() -> nn.Sequential:
    """Return normalized layers with small weights, whose gradient grows on its way back."""
    model = [part for _ in range(10) for part in (nn.Linear(64, 64), nn.LayerNorm(64), nn.Tanh())]
    for part in model[::3]:
        nn.init.normal_(part.weight, std=0.01)
    return net(*model, nn.Linear(64, 10))


@pytest.mark.parametrize("make", [small, lambda: residual(16)], ids=["layers", "blocks"])
def test_a_gradient_in_front_of_what_is_trained_may_have_any_size(make: Callable[[], nn.Sequential]) -> None:
    kinds = [own.kind for own in audit(make(), x(), try_fixes=False).findings]
    assert any("gradient" in kind for kind in kinds), kinds
    kinds = [own.kind for own in audit(probed(make(), head="lecun_normal"), x(), try_fixes=False).findings]
    assert not any("gradient" in kind for kind in kinds), kinds
    first = probed(make(), head="lecun_normal")
    first[0].requires_grad_()  # which the gradient must reach
    kinds = [own.kind for own in audit(first, x(), try_fixes=False).findings]
    assert any("gradient" in kind for kind in kinds), kinds


def test_frozen_layers_of_an_odd_scale_are_trained_ones_and_not_judged() -> None:
    model = mlp()
    model[2].weight.data *= 50
    assert "weight scale" in audit(model, x()).kinds()
    assert "weight scale" not in audit(probed(model, head="lecun_normal"), x()).kinds()


def test_where_all_is_frozen_the_audit_is_as_if_nothing_were() -> None:
    model = mlp()
    model[2].weight.data *= 50
    before = str(audit(model, x(), try_fixes=False))
    assert str(audit(model.requires_grad_(False), x(), try_fixes=False)) == before


def test_what_is_frozen_and_what_no_gradient_need_reach() -> None:
    model = net(nn.Embedding(4, 3), nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 3), nn.Linear(3, 2))
    model.requires_grad_(False)
    model[2].requires_grad_()
    model[3].bias.requires_grad_()
    model[4].requires_grad_()
    still = walk.frozen(walk.modules(model))
    assert still.parameters == {"0.weight", "1.weight", "1.bias", "3.weight"}
    assert still.modules == {"0", "1", "3"}
    assert still.ahead == {"", "0", "1"}
    assert walk.frozen(walk.modules(model.requires_grad_(False))) == walk.Frozen()
    assert walk.frozen(walk.modules(model.requires_grad_(True))) == (frozenset(), frozenset(), frozenset({""}))
