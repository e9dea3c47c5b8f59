"""The two looks at a training run, in a loop of one's own: what they say is right, and they leave no trace."""

import importlib
import math
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import initnotes as ini
from initnotes.callbacks import FirstSteps, SecondLook
from initnotes.callbacks.first_steps import headline, numbers
from initnotes.callbacks.runs import needed

X = torch.randn(64, 16, generator=torch.Generator().manual_seed(1))
Y = X[:, :4].argmax(1)


def cross_entropy(outputs: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, Y)


def mlp(act: Callable[[], nn.Module] = nn.ReLU, *, seed: int = 1) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(16, 32), act(), nn.Linear(32, 32), act(), nn.Linear(32, 4))
    return ini.initialize_(model, "he_normal", rng=np.random.default_rng(seed))


def rms(x: Tensor) -> float:
    return float(x.detach().double().square().mean().sqrt())


def looked(model: nn.Module, batch: Any, loss: Any, change: Callable[[], None], steps: int = 1) -> SecondLook:
    """Return the second look at a model that `change` changes after the weights were marked."""
    first = FirstSteps(model, batch, loss=loss)
    first.before()
    first.mark()
    with torch.no_grad():
        change()
    return first.after(steps)


def test_the_first_look_has_the_planted_fault_in_its_line() -> None:
    sound, sick = mlp(), mlp()
    nn.init.constant_(sick[2].bias, -100.0)
    assert headline(FirstSteps(sound, X, loss=cross_entropy).before()).startswith(
        "initnotes, before step 1: Sequential, 3 layers: nothing found; loss "
    )
    report = FirstSteps(sick, X, loss=cross_entropy).before()
    assert "error: dead units at 2" in headline(report)
    assert "\n" not in headline(report)
    assert numbers(report)["initnotes/errors"] == 1.0


def test_ratios_are_those_of_one_step_of_sgd_by_hand() -> None:
    model, rate = mlp(), 0.1
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    first = FirstSteps(model, X, loss=cross_entropy)
    first.before()
    start = [weight.detach().clone() for weight in model.parameters()]
    for step in range(1, 6):
        optimizer.zero_grad()
        cross_entropy(model(X)).backward()
        if step == 5:
            first.mark()
            weights = {at: model[at].weight.detach().clone() for at in (0, 2, 4)}
        optimizer.step()
    ratios = first.after(5).ratios
    by_hand = {str(at): rate * rms(model[at].weight.grad) / rms(weights[at]) for at in weights}
    assert ratios == pytest.approx(by_hand, rel=1e-4)
    of_all_steps = rms(model[0].weight - start[0]) / rms(start[0])  # what the ratio is not
    assert of_all_steps > 2 * ratios["0"]


def test_each_layer_has_one_ratio_whatever_it_is_made_of() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 8)
            self.lstm = nn.LSTM(8, 8, batch_first=True)
            self.scaled = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
            self.frozen = nn.Linear(8, 8).requires_grad_(False)
            self.zero = nn.Linear(8, 8, bias=False)
            self.still = nn.Linear(8, 8)
            self.head = nn.Linear(8, 10, bias=False)
            self.head.weight = self.table.weight
            nn.init.zeros_(self.zero.weight)

        def forward(self, tokens: Tensor) -> Tensor:
            h = self.lstm(self.table(tokens))[0]
            h = h + self.zero(torch.tanh(self.frozen(self.scaled(h))))
            return self.head(self.still(h))

    torch.manual_seed(1)
    model = Mixed()
    tokens = torch.randint(0, 10, (16, 5))

    def change() -> None:
        model.table.weight.mul_(1.5)
        model.lstm.weight_ih_l0.mul_(1.1)
        model.frozen.weight.mul_(2)
        model.zero.weight.add_(1)

    into, back = rms(model.lstm.weight_ih_l0), rms(model.lstm.weight_hh_l0)
    ratios = looked(model, tokens, None, change).ratios
    of_lstm = 0.1 * into / math.hypot(into, back)
    expected = {"table": 0.5, "lstm": of_lstm, "scaled": 0.0, "zero": math.inf, "still": 0.0, "head": 0.5}
    assert ratios == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("act", "change", "dead", "saturated"),
    [
        (nn.ReLU, lambda model: model[0].bias[:24].fill_(-100.0), {"0": (0.0, 0.75), "2": (0.0, 0.0)}, {}),
        (nn.Tanh, lambda model: model[2].bias[:8].fill_(100.0), {"0": (0.0, 0.0), "2": (0.0, 0.25)}, None),
    ],
)
def test_dead_and_saturated_units_are_counted_then_and_now(act: Any, change: Any, dead: Any, saturated: Any) -> None:
    model = ini.initialize_(mlp(act), "xavier_normal", rng=np.random.default_rng(1))
    if act is nn.ReLU:
        nn.init.constant_(model[0].bias, 3.0)  # so that no unit is off by chance
        nn.init.constant_(model[2].bias, 9.0)
    look = looked(model, X, cross_entropy, lambda: change(model))
    assert look.dead == dead
    if saturated is None:  # by hand: tanh' = 1 - tanh²
        with torch.no_grad():
            flat = (1 - model[:4](X) ** 2 < 0.01).double().mean()
        assert look.saturated["2"][1] == pytest.approx(float(flat), abs=1e-6)
        assert look.saturated["2"][1] >= 0.25 > look.saturated["2"][0]
    else:
        assert look.saturated == saturated


def test_losses_differ_by_the_weights_alone() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4))
    look = looked(model, X, cross_entropy, lambda: torch.rand(1))  # training draws in between
    assert look.loss == look.start.loss  # the same masks
    plain = mlp()
    look = looked(plain, X, cross_entropy, lambda: [part.zero_() for part in plain[4].parameters()])
    assert look.loss == pytest.approx(math.log(4))
    assert look.start.loss != pytest.approx(math.log(4), rel=1e-3)


def test_it_keeps_the_batch_as_it_was() -> None:
    batch, model = X.clone(), mlp()
    look = looked(model, batch, cross_entropy, lambda: batch.zero_())
    assert look.loss == look.start.loss


class Counting(nn.Module):
    """A model that remembers in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4))
        self.calls, self.seen, self.by_name, self.total = 0, [0], {"a": 1}, torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(self.calls)
        self.by_name["b"] = self.calls
        self.total += x.detach().sum()
        self.later = np.random.random() + random.random()  # noqa: NPY002
        return self.body(x)


def states(model: Any) -> list[Any]:
    return [
        *(value.clone() for value in model.state_dict().values()),
        *(weight.grad.clone() for weight in model.parameters()),
        [module.training for module in model.modules()],
        (model.calls, list(model.seen), dict(model.by_name), float(model.total), hasattr(model, "later")),
        torch.get_rng_state(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
    ]


def same(left: Any, right: Any) -> bool:
    return torch.equal(left, right) if isinstance(left, Tensor) else left == right


def test_looks_leave_no_trace() -> None:
    torch.manual_seed(1)
    model = Counting()
    cross_entropy(model.body(X)).backward()
    model.body[1].eval()
    grads, before = [weight.grad for weight in model.parameters()], states(model)
    first = FirstSteps(model, X, loss=cross_entropy)
    first.before()
    first.mark()
    first.after(1)
    after = states(model)
    assert [at for at, pair in enumerate(zip(before, after, strict=True)) if not same(*pair)] == []
    assert all(weight.grad is grad for weight, grad in zip(model.parameters(), grads, strict=True))
    model(X)
    assert not all(same(*pair) for pair in zip(before, states(model), strict=True))  # one pass alone is seen


def test_a_surrounding_autocast_hides_nothing_and_keeps_no_cast() -> None:
    """A look moves weights and sees what follows, as here which layers a zero holds up: a cast kept would hide it."""
    model = mlp()
    nn.init.zeros_(model[4].weight)
    plain = [(finding.kind, finding.severity) for finding in FirstSteps(model, X, loss=cross_entropy).before().findings]
    with torch.autocast("cpu", torch.bfloat16):
        report = FirstSteps(model, X, loss=cross_entropy).before()
        assert torch.is_autocast_cache_enabled()
    assert [(finding.kind, finding.severity) for finding in report.findings] == plain
    assert ("no gradient", "info") in plain  # it would be an error, were the casts kept


def test_a_second_look_prints_one_line_and_has_a_table() -> None:
    model = mlp()
    nn.init.constant_(model[0].bias, 3.0)
    look = looked(model, X, cross_entropy, lambda: model[2].bias.fill_(-100.0), steps=7)
    line = str(look)
    assert "\n" not in line
    assert line.startswith("initnotes, after 7 steps: Sequential; loss ")
    assert "update/weight 0 (0) … 0 (0)" in line
    assert "% → 100% at 2" in line
    assert line.endswith("new: dead units")
    assert look.table()["2", "dead now"] == "1"
    assert "dead at the start" in look._repr_html_()
    found = numbers(look)
    assert found["initnotes/dead_max"] == 1.0
    assert found["initnotes/update_to_weight/2"] == 0.0
    assert found["initnotes/loss"] == look.loss


def test_nan_is_neither_dead_nor_alive() -> None:
    model = mlp()
    look = looked(model, X, cross_entropy, lambda: model[0].weight.fill_(math.nan))
    assert "dead" not in str(look)
    assert str(look).endswith("new: not finite")
    assert "initnotes/loss" not in numbers(look)


def test_what_is_not_known_is_left_out() -> None:
    look = looked(nn.Sequential(nn.Linear(16, 4)), X, None, lambda: None)
    assert str(look) == "initnotes, after 1 step: Sequential; update/weight 0 (0) … 0 (0)"
    assert numbers(look).keys() == {"initnotes/errors", "initnotes/warnings", "initnotes/update_to_weight/0"}


def test_wrong_use_is_explained() -> None:
    first = FirstSteps(mlp(), X)
    with pytest.raises(RuntimeError, match=r"call before\(\) first"):
        first.after(1)
    first.before()
    with pytest.raises(RuntimeError, match=r"call mark\(\) first"):
        first.after(1)
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module"):
        FirstSteps(nn.Linear, X)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps"):
        first.after(0)
    with pytest.raises(AttributeError, match="LightningCallback"):
        ini.callbacks.Lightning  # noqa: B018


@pytest.mark.parametrize(
    ("name", "extra", "libraries"),
    [
        ("LightningCallback", "lightning", ["lightning.pytorch", "pytorch_lightning"]),
        ("HuggingFaceCallback", "huggingface", ["transformers"]),
    ],
)
def test_callbacks_load_their_library_when_asked_for_and_say_what_to_install(
    name: str, extra: str, libraries: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = [room for room in sys.modules if room.startswith("initnotes.callbacks")]
    for library in libraries:
        monkeypatch.setitem(sys.modules, library, None)  # an import of it raises
    for room in rooms:
        monkeypatch.delitem(sys.modules, room)
    room = importlib.import_module("initnotes.callbacks")  # needs none of them
    assert room.FirstSteps
    with pytest.raises(ImportError, match=rf"is needed here.*pip install 'initnotes\[{extra}\]'"):
        getattr(room, name)
    with pytest.raises(ImportError, match="no_such_trainer is needed"):
        needed("no_such_trainer", extra)


class Judged(nn.Module):
    """A model that takes its targets and returns its loss, as those of transformers do."""

    def __init__(self, depth: int = 6) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(*[part for _ in range(depth) for part in (nn.Linear(16, 16), nn.ReLU())])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.mse_loss(self.net(x), y)


def test_a_target_is_no_input_and_no_way_around_the_layers() -> None:
    model, y = Judged(), 300.0 * torch.ones(64, 16)
    inside = ini.audit(model, (X, y), loss=lambda loss: loss, try_fixes=False)
    outside = ini.audit(model.net, X, loss=lambda outputs: functional.mse_loss(outputs, y), try_fixes=False)
    assert inside.kinds() == outside.kinds()
    assert "vanishing signal" in inside.kinds()
    assert [record.bypassed for record in inside.layers] == [False] * 6
    assert [finding.evidence for finding in inside.findings] == [finding.evidence for finding in outside.findings]
    assert "not finite" in ini.audit(model, (X, y * math.nan), loss=lambda loss: loss).kinds()
