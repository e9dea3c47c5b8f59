"""Rows appended to tables of a trained network: named where they are far larger than the old ones, and only there."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from initnotes.examine import Report, audit
from initnotes.examine.appended import Appended, appended, block
from initnotes.examine.case import Case
from initnotes.examine.findings import judge
from tests.audited import mlp, x
from tests.test_findings import HEALTHY, chain

OLD, NEW, WIDTH = 300, 6, 32


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def table(new: Tensor | None, std: float = 0.02) -> Tensor:
    """Return old rows with these behind them."""
    old = std * drawn(OLD, WIDTH)
    return old if new is None else torch.cat([old, new])


ROWS: dict[str, Tensor] = {
    "normal": drawn(NEW, WIDTH, seed=2),
    "zeros": torch.zeros(NEW, WIDTH),
    "mean": table(None).mean(0).expand(NEW, -1),
    "as old": 0.02 * drawn(NEW, WIDTH, seed=2),
    "twice as large": 0.04 * drawn(NEW, WIDTH, seed=2),
}


class Language(nn.Module):
    """A language model of one block; its unembedding is the embedding, a layer that has its weight, or its own."""

    def __init__(self, weight: Tensor, head: str, other: Tensor | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.token = nn.Embedding.from_pretrained(weight.clone(), freeze=False)
        self.up, self.down, self.norm = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH), nn.LayerNorm(WIDTH)
        if head != "functional":
            self.head = nn.Linear(WIDTH, len(weight), bias=head == "with bias")
            own = self.token.weight if head == "tied" else nn.Parameter((weight if other is None else other).clone())
            self.head.weight = own

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.token(tokens)
        h = self.norm(h + self.down(functional.gelu(self.up(h))))
        return self.head(h) if hasattr(self, "head") else h @ self.token.weight.T


def examined(model: nn.Module) -> Report:
    """Audit a language model on old tokens."""
    tokens = torch.arange(8 * 16).reshape(8, 16) % OLD
    targets = (7 * tokens + 3).flatten() % OLD
    return audit(model, tokens, loss=lambda out: functional.cross_entropy(out.flatten(0, 1), targets))


@pytest.mark.parametrize("head", ["tied", "functional", "own", "with bias"])
def test_normal_rows_behind_trained_ones_are_named_and_their_mean_cures_it(head: str) -> None:
    model = Language(table(ROWS["normal"]), head)
    report = examined(model)
    found = next(own for own in report.findings if own.kind == "new rows")
    assert (found.severity, found.layer) == ("error", "token.weight")
    assert f"the last {NEW} of {OLD + NEW} rows of token.weight have a root mean square of " in found.evidence
    assert "cost old data at most 0.02 nats" in found.evidence
    assert found.page == "book/18_finetuning.html#finetuning-rows"
    assert found.tried.startswith("tried on a copy: cures it")
    exec(found.fix, {"model": model, "torch": torch})
    for own in {id(p): p for p in (model.token.weight, *getattr(model, "head", model.token).parameters())}.values():
        assert torch.equal(own[OLD:], own[:OLD].mean(0).expand(NEW, *own.shape[1:]))
    again = examined(model)
    assert again.healthy, again


def test_no_other_finding_draws_the_table_anew() -> None:
    """The loss that the rows make too high has no code of its own, which would make the old rows smaller."""
    report = examined(Language(table(5 * ROWS["normal"]), "tied"))
    others = [own for own in report.findings if own.kind != "new rows" and own.severity != "info"]
    assert [own.kind for own in others] == ["initial loss"], report
    assert others[0].fix == ""
    assert "see new rows" in others[0].evidence


def test_an_embedding_alone_is_a_warning() -> None:
    report = examined(Language(table(ROWS["normal"]), "own", other=table(ROWS["mean"])))
    found = next(own for own in report.findings if own.kind == "new rows")
    assert (found.severity, found.layers) == ("warning", ("token",))
    assert "nats" not in found.evidence


def test_one_new_class_of_a_classifier() -> None:
    model = mlp()
    nn.init.normal_(model[-1].weight, std=0.02)
    model[-1].weight.data[-1] = drawn(64)
    report = audit(model, x())
    assert report.kinds() == ["new rows"], report
    assert "the last 1 of 10 rows of 6.weight has a root mean square" in report.findings[0].evidence


HEALTHY_TABLES: dict[str, Callable[[], Tensor]] = {
    "nn.Embedding's own": lambda: drawn(OLD, WIDTH),
    "zero rows behind": lambda: table(ROWS["zeros"]),
    "mean rows behind": lambda: table(ROWS["mean"]),
    "rows of the same law behind": lambda: table(ROWS["as old"]),
    "rows twice as large behind": lambda: table(ROWS["twice as large"]),
    "small rows behind normal ones": lambda: table(ROWS["as old"], std=1.0),
    "zero rows behind normal ones": lambda: table(ROWS["zeros"], std=1.0),
    "a padding row of zeros in front": lambda: torch.cat([torch.zeros(1, WIDTH), drawn(OLD, WIDTH)]),
    "a padding row of zeros behind": lambda: torch.cat([drawn(OLD, WIDTH), torch.zeros(1, WIDTH)]),
    "sizes that grow threefold": lambda: drawn(OLD, WIDTH) * torch.linspace(1, 3, OLD)[:, None],
    "large rows in the middle": lambda: torch.cat([table(ROWS["normal"]), 0.02 * drawn(50, WIDTH)]),
    "one large row in front": lambda: torch.cat([10 * drawn(1, WIDTH), drawn(OLD, WIDTH)]),
}


@pytest.mark.parametrize("head", ["tied", "own"])
@pytest.mark.parametrize("name", HEALTHY_TABLES)
def test_healthy_tables_raise_no_alarm(name: str, head: str) -> None:
    report = examined(Language(HEALTHY_TABLES[name](), head))
    assert "new rows" not in [own.kind for own in report.findings], report


def test_trained_tables_raise_no_alarm() -> None:
    """Sizes within a factor of two for 95 % of the rows, in any order: false-failure rate 1e-4 for a fresh seed."""
    for seed in range(200):
        sizes = (0.35 * drawn(200, 1, seed=seed)).exp()
        seen = block(sizes * drawn(200, 16, seed=1000 + seed))
        assert seen is None or seen[-1] < 5, seed


def test_the_block_is_found_to_the_row() -> None:
    for new in (1, 2, 7, 149):
        rows = torch.cat([0.02 * drawn(150, 8), drawn(new, 8, seed=3).sign()])
        start, stop, number, size, old, least = block(rows) or ()
        assert (start, stop, number) == (150, 150 + new, 150 + new)
        assert (size, old) == pytest.approx((1.0, float(rows[:150].square().mean().sqrt())), rel=1e-6)
        assert least == pytest.approx(size / old)
        assert (block(rows.bfloat16()) or ())[:3] == (start, stop, number)
    assert block(torch.cat([0.02 * drawn(150, 8), drawn(152, 8, seed=3).sign()])) is None  # the larger part is the old


def test_a_large_row_among_others_as_large_is_no_block() -> None:
    rows = drawn(60, 8).sign()
    rows[3], rows[-1] = 10 * rows[3], 9 * rows[-1]
    assert block(rows) is None
    rows[-1] *= 2
    assert block(rows) is not None


def test_rows_of_zeros_are_neither_old_nor_new() -> None:
    rows = torch.cat([torch.zeros(3, 8), 0.02 * drawn(50, 8), drawn(4, 8, seed=3).sign(), torch.zeros(2, 8)])
    start, stop, number, *_, least = block(rows) or ()
    assert (start, stop, number) == (53, 57, 59)
    assert least > 40


@pytest.mark.parametrize(
    "rows",
    [
        torch.cat([0.02 * drawn(7, 64), drawn(1, 64)]),  # seven rows tell no size
        torch.cat([0.02 * drawn(31, 2), drawn(1, 2).sign()]),  # nor do 62 numbers
        torch.zeros(40, 8),
        torch.full((40, 8), math.nan),
        torch.ones(40, 8, dtype=torch.int64),
        torch.ones(40),
        torch.ones(0, 8),
    ],
)
def test_what_tells_nothing(rows: Tensor) -> None:
    assert block(rows) is None


def test_few_rows_and_few_numbers_that_are_enough() -> None:
    assert block(torch.cat([0.02 * drawn(8, 64), drawn(1, 64)])) is not None
    assert block(torch.cat([0.02 * drawn(32, 2), drawn(1, 2).sign()])) is not None


def test_hidden_layers_are_no_tables() -> None:
    model = nn.ModuleDict({"hidden": nn.Linear(32, 40), "last": nn.Linear(40, 40)})
    for layer in model.values():
        layer.weight.data[-1] *= 100
    assert [own.name for own in appended({"": model, **model}, {"last"})] == ["last.weight"]


@pytest.mark.parametrize(("least", "expected"), [(4.95, None), (5.05, "error")])
def test_both_sides_of_the_threshold(least: float, expected: str | None) -> None:
    rows = Appended("head.weight", ("head",), 500, 510, 510, 1.0, 0.2, least, output=True)
    assert severity(rows) == expected
    assert severity(replace(rows, output=False)) == (expected and "warning")


def severity(rows: Appended) -> str | None:
    found: Any = judge(Case("Net", chain(), appended=(rows,)))
    return next((own.severity for own in found if own.kind == "new rows"), None)


def test_what_the_mean_row_costs_is_the_logarithm_of_the_rows_ratio() -> None:
    rows = Appended("head.weight", ("head",), 10, 15, 15, 1.0, 0.02, 40.0, output=True)
    (found,) = judge(Case("Net", chain(), appended=(rows,)))
    assert "at most 0.41 nats" in found.evidence  # ln 1.5, by Jensen


def test_a_layer_of_other_weights_keeps_its_code() -> None:
    """Of two layers that are far too large, only that with the rows leaves the code to them."""
    rows = Appended("head.weight", ("head",), 500, 510, 510, 1.0, 0.02, 40.0)
    records = list(chain())
    records[2] = replace(records[2], sigma_w=50 * HEALTHY.sigma_w, size=50.0)
    found = {own.kind: own for own in judge(Case("Net", tuple(records), appended=(rows,)))}
    assert found["weight scale"].fix
    records[2], records[-1] = HEALTHY, replace(records[-1], sigma_w=50.0, size=50.0)
    found = {own.kind: own for own in judge(Case("Net", tuple(records), appended=(rows,)))}
    assert found["weight scale"].fix == ""
    assert "see new rows at head.weight" in found["weight scale"].evidence
