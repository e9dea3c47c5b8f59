"""What is found of facts that nobody measured: both sides of every threshold, with the numbers written out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from initnotes.examine import anatomy, findings, fixes
from initnotes.examine.case import Case, Input
from initnotes.examine.drifts import Slope, is_drift
from initnotes.examine.findings import judge
from initnotes.examine.statistics import Record, Units

HEALTHY = Record(
    "0",
    "Linear",
    activation="relu",
    width=64,
    sigma_w=math.sqrt(2),
    size=1.0,
    signal=1.0,
    gradient=1.0,
    inputs=1.0,
    weights=0.1,
    weight_gradient=1.0,
    distinct=64.0,
    units=64,
)


def chain(layers: int = 6, **facts: object) -> tuple[Record, ...]:
    """Return so many healthy layers, the last with nothing behind it, all with these facts."""
    hidden = [replace(HEALTHY, name=str(at), **facts) for at in range(layers - 1)]
    head = replace(HEALTHY, name="head", activation=None, sigma_w=1.0, last=True)
    return (*hidden, head)


def with_middle(**facts: object) -> tuple[Record, ...]:
    records = list(chain())
    records[2] = replace(records[2], **facts)
    return tuple(records)


def severity(kind: str, records: tuple[Record, ...], **facts: object) -> str | None:
    """Return how severe a kind is found to be, None for not at all."""
    found = judge(Case("Net", records, **facts))  # type: ignore[arg-type]
    return next((finding.severity for finding in found if finding.kind == kind), None)


def test_a_healthy_chain_is_left_alone() -> None:
    assert judge(Case("Net", chain())) == []


@pytest.mark.parametrize(
    ("above", "expected"), [(2.97, None), (3.03, "warning"), (5.94, "warning"), (6.06, "error"), (59.0, "error")]
)
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_the_initial_loss(above: float, expected: str | None, factor: float) -> None:
    fair = (math.log(2), "log 2", factor)
    assert severity("initial loss", chain(), loss=math.log(2) + factor * above, fair=fair) == expected


def test_a_loss_that_another_finding_explains_is_a_warning_without_a_fix() -> None:
    found = judge(
        Case("Net", chain(), inputs=(Input(fixes.Place("batch"), rms=100.0),), loss=50.0, fair=(1.0, "", 1.0))
    )
    last = next(finding for finding in found if finding.kind == "initial loss")
    assert (last.severity, last.fix, last.evidence.endswith("see unscaled inputs")) == ("warning", "", True)


@pytest.mark.parametrize(("share", "expected"), [(0.39, None), (0.41, "warning"), (0.69, "warning"), (0.71, "error")])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "hardtanh"])
def test_saturated_units_and_gates(share: float, expected: str | None, activation: str) -> None:
    units = (Units(activation, share, 0.0, 32, 64),)
    assert severity("saturated units", with_middle(applied=units)) == expected
    assert severity("saturated units", with_middle(gates=share)) == expected
    assert severity("saturated units", with_middle(applied=(Units("relu", share, 0.0, 32, 64),))) is None


@pytest.mark.parametrize(
    ("units", "share", "expected"),
    [
        (10_000, 0.59, None),  # 60 % of many
        (10_000, 0.61, "warning"),
        (10_000, 0.94, "warning"),
        (10_000, 0.96, "error"),
        (100, 0.69, None),  # four standard deviations, 5 % each, above one half
        (100, 0.71, "warning"),
        (16, 0.98, None),  # few units may all be off by chance, so nearly all must be
        (16, 0.995, "error"),
    ],
)
def test_dead_units(units: int, share: float, expected: str | None) -> None:
    assert severity("dead units", with_middle(applied=(Units("relu", 0.0, share, 8, units),))) == expected
    assert severity("dead units", with_middle(applied=(Units("relu", 0.0, share, 7, units),))) is None
    assert severity("dead units", with_middle(applied=(Units("tanh", 0.0, share, 8, units),))) is None


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (0.9e-3, "error"),
        (1.1e-3, "warning"),
        (0.099, "warning"),
        (0.101, None),
        (3.96, None),
        (4.04, "warning"),
        (99.0, "warning"),
        (101.0, "error"),
    ],
)
@pytest.mark.parametrize(("activation", "gain"), [("relu", math.sqrt(2)), ("tanh", 1.0), ("selu", 1.0)])
def test_the_scale_of_one_layer(times: float, expected: str | None, activation: str, gain: float) -> None:
    facts = {"sigma_w": times * gain, "size": times * gain, "activation": activation}
    assert severity("weight scale", with_middle(**facts)) == expected
    assert severity("weight scale", with_middle(**facts, normalized=True)) is None
    for apart in ({"records": with_middle(**facts, bypassed=True)}, {"records": with_middle(**facts), "norms": 1}):
        assert severity("weight scale", **apart) == (expected if times > 1 else None)  # what is small does no harm
    if times > 1:  # nor does what is large on small inputs
        assert severity("weight scale", with_middle(**facts | {"size": gain})) is None


@pytest.mark.parametrize(
    ("total", "expected"), [(99.0, None), (101.0, "warning"), (990.0, "warning"), (1010.0, "error")]
)
@pytest.mark.parametrize("layers", [4, 12])
@pytest.mark.parametrize("grows", [True, False])
def test_slopes(total: float, expected: str | None, layers: int, grows: bool) -> None:
    factor = total ** ((1 if grows else -1) / (layers - 1))
    records = [replace(record, size=factor**at, gradient=factor**-at) for at, record in enumerate(chain(layers))]
    word = "exploding" if grows else "vanishing"
    assert severity(f"{word} signal", tuple(records)) == expected
    assert severity(f"{word} gradient", tuple(records)) == expected
    fading = [replace(record, signal=factor**at) for at, record in enumerate(chain(layers))]
    assert severity(f"{word} signal", tuple(fading)) == expected


def test_a_slope_is_steady_and_has_four_layers() -> None:
    assert [is_drift(Slope(-5.0, tau, 9)) for tau in (0.59, 0.61, -0.59, -0.61)] == [False, True, False, True]
    assert [is_drift(Slope(9.0, 1.0, layers)) for layers in (3, 4)] == [False, True]


def test_theory_stands_beside_a_slope_where_it_has_a_case() -> None:
    """σ_w²/2 per ReLU layer, forward and back; not behind normalizations, and not for two activations at once."""
    records = [replace(r, size=0.5**at, gradient=2.0**at, sigma_w=math.sqrt(0.5)) for at, r in enumerate(chain(12))]
    for finding in judge(Case("Net", tuple(records))):
        assert "theory × 0.5 for relu at σ_w = 0.707" in finding.evidence
    for odd in (replace(records[3], normalized=True), replace(records[3], activation="tanh")):
        found = judge(Case("Net", (*records[:3], odd, *records[4:])))
        assert all(
            "theory of equal layers does not apply" in finding.evidence for finding in found if "signal" in finding.kind
        )


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"rms": 9.9}, False),
        ({"rms": 10.1}, True),
        ({"rms": 0.0101}, False),
        ({"rms": 0.0099}, True),
        ({"rms": 0.0}, False),
        ({"rms": 1.0, "mean": 3.96, "std": 1.0}, False),
        ({"rms": 1.0, "mean": -4.04, "std": 1.0}, True),
        ({"rms": 1.0, "unequal": 99.0}, False),
        ({"rms": 1.0, "unequal": 101.0}, True),
    ],
)
def test_inputs(facts: dict[str, float], found: bool) -> None:
    for normalized in (False, True):
        given = Input(fixes.Place("batch"), normalized=normalized, **facts)  # type: ignore[arg-type]
        expected = ("info" if normalized else "warning") if found else None
        assert severity("unscaled inputs", chain(), inputs=(given,)) == expected


@pytest.mark.parametrize(
    ("facts", "moves", "expected"),
    [
        ({}, "", "error"),
        ({}, "free", "warning"),  # nothing passes until it has moved
        ({"last": True}, "", "error"),
        ({"last": True}, "free", "info"),
        ({"last": True}, "free equal", "info"),  # the labels tell its units apart
        ({"bypassed": True}, "", "error"),
        ({"bypassed": True}, "free", "info"),
        ({"bypassed": True}, "free equal", "error"),
        ({"weight_gradient": math.nan}, "", None),
    ],
)
def test_zero_weights(facts: dict[str, object], moves: str, expected: str | None) -> None:
    """The first steps of gradient descent decide: what they move, and whether its units part then."""
    records = with_middle(**{"zero": ("weight",), "weights": 0.0} | facts)
    moved = {word: frozenset({"2.weight"}) for word in moves.split()}
    assert severity("zero weights", records, **moved) == expected
    assert severity("zero weights", with_middle(zero=("weight_hh_l0",))) is None
    assert severity("zero weights", with_middle(zero=("weight_ih_l0",))) == "error"


def test_factors_that_are_zero_or_far_too_large() -> None:
    assert severity("zero weights", chain(), zeros=("gate",)) == "error"
    assert severity("zero weights", chain(), zeros=("gate",), free=frozenset({"gate"})) == "info"
    sizes = [(99.0, None), (101.0, "warning"), (0.9e4, "warning"), (1.1e4, "error")]
    for size, expected in sizes:
        assert severity("extreme factor", chain(), factors={"scale": size}) == expected
    loud = judge(Case("Net", chain(), factors={"scale": 1e30}, loss=50.0, fair=(1.0, "", 1.0)))
    assert [(finding.kind, bool(finding.fix)) for finding in loud] == [
        ("extreme factor", True),
        ("initial loss", False),
    ]


def test_no_gradient() -> None:
    cut = with_middle(weight_gradient=0.0)
    assert severity("no gradient", cut) == "error"
    assert severity("no gradient", cut, free=frozenset({"2.weight"})) == "info"
    assert severity("no gradient", cut, free=frozenset({"2.bias", "20.weight"})) == "error"
    dead = replace(cut[3], applied=(Units("relu", 1.0, 1.0, 32, 64),))
    assert severity("no gradient", (*cut[:3], dead, *cut[4:])) is None
    silent = tuple(replace(record, weight_gradient=0.0, inputs=0.0) for record in chain())
    assert judge(Case("Net", silent))[0].evidence.startswith("the inputs are all 0")


def test_a_check_that_fails_is_named_and_the_others_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Case) -> object:
        raise ZeroDivisionError("planted")

    broken.__name__ = "_weight_scale"
    monkeypatch.setattr(findings, "_weight_scale", broken)
    found = judge(Case("Net", with_middle(applied=(Units("relu", 0.0, 0.99, 8, 64),))))
    assert [finding.kind for finding in found] == ["dead units", "not examined"]
    assert "the check for weight scale failed (ZeroDivisionError: planted)" in found[1].evidence


def test_an_activation_in_front_of_a_loss_that_takes_logits() -> None:
    assert severity("output activation", chain(), twice=("softmax", "cross-entropy")) == "warning"


@pytest.mark.parametrize("total", [99.0, 101.0, 1010.0])
@pytest.mark.parametrize("grows", [True, False])
def test_a_stream_is_judged_by_block(total: float, grows: bool) -> None:
    """Layers beside the trunk make no factor of the network, whatever their sizes are."""
    aside = tuple(replace(record, size=10.0**at, trunk=at == 0) for at, record in enumerate(chain(12)))
    values = tuple((total ** (1 / 7)) ** (at if grows else -at) for at in range(8))
    expected = None if total < 100 else "warning" if total < 1000 else "error"
    word = "exploding" if grows else "vanishing"
    assert severity(f"{word} signal", aside, stream=values) == expected
    assert severity(f"{word} gradient", aside, stream_gradients=values[::-1]) == expected
    assert severity("exploding signal", aside) is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"distinct": 33.0}, None),
        ({"distinct": 32.0}, "warning"),
        ({"distinct": 32.0, "stays_equal": True}, "error"),
        ({"distinct": 32.0, "weight_gradient": 0.9e-6}, "error"),  # rounding, beside the others' 1
        ({"distinct": 32.0, "weight_gradient": 1.1e-6}, "warning"),
        ({"distinct": 32.0, "last": True}, None),
        ({"distinct": 32.0, "weights": 0.0}, None),
    ],
)
def test_symmetric_units(facts: dict[str, object], expected: str | None) -> None:
    assert severity("symmetric units", with_middle(**facts)) == expected


def test_what_changes_the_reading() -> None:
    aside = with_middle(bypassed=True)
    assert severity("skip connections", aside, merges=1) == "info"
    assert severity("skip connections", aside) is None
    assert severity("normalization", aside, norms=2) == "info"


# What the facts are


def share_beyond(slope: object, std: float) -> float:
    """Return the share of normal numbers at which a slope is below 0.01, by their quantiles."""
    z = torch.special.ndtri((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000) * std
    return float((slope(z) < 0.01).double().mean())  # type: ignore[operator]


@pytest.mark.parametrize("std", [3.0, 6.0, 12.0])
def test_saturated_gates_are_those_with_a_slope_below_a_hundredth(std: float) -> None:
    """A limit at twice the z halves the share or more; the true one is met within half a percent."""
    slopes = {"LSTM": lambda z: torch.sigmoid(z) * torch.sigmoid(-z), "RNN": lambda z: 1 - torch.tanh(z) ** 2}
    for kind, slope in slopes.items():
        layer = getattr(nn, kind)(4, 8)
        for weight, size in ((layer.weight_ih_l0, std * math.sqrt(0.5)), (layer.weight_hh_l0, std * math.sqrt(0.5))):
            nn.init.constant_(weight, size / math.sqrt(weight.shape[1]))
        assert anatomy.saturated_gates(layer, 1.0, 1.0) == pytest.approx(share_beyond(slope, std), abs=0.005)
    assert math.isnan(anatomy.saturated_gates(nn.RNN(4, 8, nonlinearity="relu"), 1.0, 1.0))


@pytest.mark.parametrize("size", [0.7, 3.0, 40.0])
def test_the_fix_of_a_loud_head_leaves_logits_of_three_tenths(size: float) -> None:
    head = nn.Linear(8, 4)
    before = head.weight.detach().clone()
    exec(
        fixes.shrunk(replace(HEALTHY, name="head", size=size)), {"model": nn.ModuleDict({"head": head}), "torch": torch}
    )
    factor = float(head.weight.detach().norm() / before.norm())
    assert factor * size == pytest.approx(0.3, rel=0.02)


def test_a_fix_never_makes_a_layer_larger_and_leaves_alone_what_it_cannot_set() -> None:
    assert "p.mul_(0.5)" in fixes.shrunk(replace(HEALTHY, size=0.1))
    assert "p.mul_(0.5)" in fixes.shrunk(replace(HEALTHY, size=math.inf))
    assert fixes.shrunk(replace(HEALTHY, drawn_by="nobody")) == ""
    assert fixes.drawn([replace(HEALTHY, drawn_by="nobody")]) == ""


def test_an_array_becomes_a_tensor_before_it_is_rescaled() -> None:
    batch = {"x": 100 * np.random.default_rng(1).standard_normal((8, 3))}
    known: dict[str, object] = {"batch": batch, "torch": torch}
    exec(fixes.standardized(fixes.place(batch, ("x",)), unequal=False, by_feature=True), known)
    healed = known["batch"]["x"]  # type: ignore[index]
    assert float(healed.square().mean()) == pytest.approx(1)


@pytest.mark.parametrize(("size", "signal", "found"), [(4.6, 0.2, False), (4.6, 2.0, True), (9.0, 0.2, True)])
def test_log_odds_of_a_rare_class_are_no_saturation(size: float, signal: float, found: bool) -> None:
    """A detector starts with a bias of -log 99; loud weights, and a bias that no prior needs, are found."""
    units = (Units("sigmoid", 0.9, 0.0, 64, 10),)
    record = Record("head", "Linear", activation="sigmoid", size=size, signal=signal, applied=units)
    kinds = [finding.kind for finding in judge(Case("net", (record,)))]
    assert ("saturated units" in kinds) == found
