"""Assignment 10: start and rates for any width, each layer's own contribution, and what narrow networks predict.

All requests are exact but `diagnose`, whose networks are drawn. The slopes of sixteen networks at each of four widths
miss theory by less than 0.1 in the mean, and ½, where another whole number is nearer, lies six standard deviations or
more beyond: a right answer fails with less than 10⁻⁷ in a marking (tests/test_coursework_power.py).

Each named wrong answer differs from the right one by more than its tolerance for every variant and in every marking:
hidden layers grow by factors from 2 to 9 that differ from layer to layer, and best rates fall with a power well away
from 1.
"""

import math
from typing import Any

import numpy as np

from initgrade import judging
from initgrade.assignment import Assignment, Request, Variant, Verdict

SAMPLES, INPUTS, OUTPUTS = 64, 64, 10
WIDTHS, NETWORKS = (32, 64, 128, 256), 16
START = [0, -0.5, -1]  # powers of the width of muP's start; the slopes of these rules are whole numbers
RATES = {"muP": {"sgd": [1, 0, -1], "adam": [0, -1, -1]}, "one rate": {"sgd": [0, 0, 0], "adam": [0, 0, 0]}}
# What is claimed, under which optimizer, by which powers the rates are wrong, and by which factor at every width.
CASES: list[tuple[str, str, list[int], float]] = [
    ("muP", "adam", [0, 0, 0], 8.0),
    ("muP", "adam", [0, 1, 0], 1.0),
    ("muP", "adam", [0, 0, 1], 1.0),
    ("muP", "adam", [-1, 0, 0], 1.0),
    ("muP", "sgd", [-1, 0, 0], 1.0),
    ("muP", "sgd", [0, -1, 1], 1.0),
    ("one rate", "sgd", [0, 0, 0], 1.0),
    ("one rate", "sgd", [0, 1, 0], 1.0),
    ("one rate", "adam", [0, -1, -1], 1.0),
    ("one rate", "adam", [0, 0, 0], 0.1),
]


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a base and a network of other widths, a rate, and what a sweep over narrow networks showed."""
    hidden = rng.integers(12, 40, size=2)
    return {
        "base": [INPUTS, *hidden.tolist(), OUTPUTS],
        "widths": [INPUTS, *(hidden * rng.permutation(np.arange(2, 10))[:2]).tolist(), OUTPUTS],
        "rate": round(float(rng.uniform(0.005, 0.05)), 5),
        "best": round(float(rng.uniform(-6.0, -4.5)), 3),
        "fall": round(float(rng.uniform(0.4, 0.8)), 3),
        "bend": round(float(rng.uniform(0.1, 0.4)), 3),
        "width": int(rng.integers(200, 1000)),
        "_order": rng.permutation(len(CASES)).tolist(),
    }


def _plans(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each optimizer: three layers that grow alike, four of which the last hidden one grows least, and most."""
    asked = []
    for optimizer in ("sgd", "adam"):
        small, middle, large = (float(factor) for factor in np.sort(rng.permutation(np.arange(2, 10))[:3]))
        for factors in ((middle, middle), (large, middle, small), (small, middle, large)):
            hidden = rng.integers(8, 33, size=len(factors))
            inputs, outputs = int(rng.integers(16, 100)), int(rng.integers(2, 20))
            base = [inputs, *hidden.tolist(), outputs]
            widths = [inputs, *(round(n * m) for n, m in zip(hidden.tolist(), factors, strict=True)), outputs]
            rate = float(rng.uniform(0.001, 0.1))
            asked.append({"widths": widths, "base": base, "rate": rate, "optimizer": optimizer})
    return asked


def plan(widths: list[int], base: list[int], rate: float, optimizer: str) -> np.ndarray:
    """Return the standard deviation and both rates of each layer."""
    grown = np.array(widths) / np.array(base)
    inside, outside = grown[:-1], grown[1:]
    std = np.sqrt(2 / np.array(widths[:-1]) * np.minimum(1, outside / inside))
    if optimizer == "sgd":
        return np.stack([std, rate * outside / inside, rate * outside], axis=1)
    return np.stack([std, rate / inside, np.full(std.size, rate)], axis=1)


@judging.judge
def judge_plan(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give a third for each column that is right in all networks."""
    columns: list[list[np.ndarray]] = [[], [], []]
    wanted: list[list[np.ndarray]] = [[], [], []]
    for value, asked in zip(values, arguments, strict=True):
        right = plan(**asked)
        found = judging.as_array(value, right.shape, what="the rows [std, rate of weights, rate of biases]")
        for at in range(3):
            columns[at].append(found[:, at])
            wanted[at].append(right[:, at])
    names = ("the standard deviations", "the rates of the weights", "the rates of the biases")
    return judging.combine(
        *(
            judging.close(np.concatenate(columns[at]), np.concatenate(wanted[at]), rtol=1e-6, what=names[at])
            for at in range(3)
        )
    )


def _powers(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each optimizer: two, three and four layers, with powers of any size."""
    asked = []
    for optimizer in ("sgd", "adam"):
        for depth in (2, 3, 4):
            start = [float(rng.uniform(0.1, 0.3)), *rng.uniform(-1.0, -0.6, size=depth - 1).tolist()]
            rates = rng.uniform(-1.0, 1.0, size=depth).tolist()
            asked.append({"start": start, "rates": rates, "optimizer": optimizer})
    return asked


def slopes(start: list[float], rates: list[float], optimizer: str) -> np.ndarray:
    """Return the powers of the width of each layer's own contribution."""
    powers, depth = np.array(start, dtype=float), len(start)
    inside, outside = np.arange(depth) > 0, np.arange(depth) < depth - 1
    signal = np.concatenate([[0.0], np.cumsum(powers + inside / 2)[:-1]])
    passed = powers + outside / 2
    delta = np.append(np.cumsum(passed[:0:-1])[::-1], 0.0)
    return np.array(rates) + inside + (signal if optimizer == "adam" else 2 * signal + delta)


def judge_slopes(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for each optimizer."""
    verdicts = []
    for optimizer in ("sgd", "adam"):
        each = [
            judging.close(value, slopes(**asked), rtol=1e-6, atol=1e-9, what=f"the slopes under {optimizer}")
            for value, asked in zip(values, arguments, strict=True)
            if asked["optimizer"] == optimizer
        ]
        verdicts.append(judging.combine(*each, every=True))
    return judging.combine(*verdicts)


def _steps(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask about two networks whose biases count, and whose layers all move."""
    asked = []
    for depth in (2, 4):
        widths = rng.integers(8, 24, size=depth + 1).tolist()
        shapes = list(zip(widths[1:], widths[:-1], strict=True))
        old = [rng.standard_normal(shape) / shape[1] ** 0.5 for shape in shapes]
        new = [weight + rng.uniform(0.05, 0.2) * rng.standard_normal(weight.shape) for weight in old]
        biases = [rng.uniform(0.5, 1.0, size=n) * rng.choice([-1, 1], size=n) for n in widths[1:]]
        asked.append({"old": old, "new": new, "biases": biases, "inputs": rng.standard_normal((30, widths[0]))})
    return asked


def own_contribution(
    old: list[np.ndarray], new: list[np.ndarray], biases: list[np.ndarray], inputs: np.ndarray
) -> list[float]:
    """Return the rms of ΔW_l h_{l-1} of each layer."""
    h, found = inputs, []
    for before, after, bias in zip(old, new, biases, strict=True):
        found.append(float(np.sqrt(np.mean((h @ (after - before).T) ** 2))))
        h = np.maximum(h @ before.T + bias, 0)
    return found


def judge_contribution(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare all layers of each network."""
    verdicts = [
        judging.close(value, own_contribution(**asked), rtol=1e-6, what="the own contributions, layer by layer")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def measured(claim: str, optimizer: str, wrong: list[int], factor: float, rng: np.random.Generator) -> np.ndarray:
    """Return own contributions at all widths, (4, 3), by the notebook's recipe."""
    found = []
    for n in WIDTHS:
        m, rows = n / WIDTHS[0], []
        fans = (INPUTS, WIDTHS[0], WIDTHS[0])
        sizes = [math.sqrt(2 / fan) * m**power for fan, power in zip(fans, START, strict=True)]
        rates = factor * m ** (np.array(RATES[claim][optimizer]) + wrong)
        for _ in range(NETWORKS):
            weights = [
                size * rng.standard_normal(shape)
                for size, shape in zip(sizes, [(n, INPUTS), (n, n), (OUTPUTS, n)], strict=True)
            ]
            weights[2] *= 0.1
            h, hot = [rng.standard_normal((SAMPLES, INPUTS))], np.eye(OUTPUTS)[rng.integers(OUTPUTS, size=SAMPLES)]
            for weight in weights[:-1]:
                h.append(np.maximum(h[-1] @ weight.T, 0))
            shares = np.exp(h[2] @ weights[2].T)
            delta = (shares / shares.sum(axis=1, keepdims=True) - hot) / SAMPLES
            own = []
            for at in (2, 1, 0):
                gradient = delta.T @ h[at]
                step = gradient if optimizer == "sgd" else np.sign(gradient)
                own.insert(0, rates[at] * np.sqrt(np.mean((h[at] @ step.T) ** 2)))
                delta = (delta @ weights[at]) * (h[at] > 0)
            rows.append(own)
        found.append(np.mean(rows, axis=0))
    return np.array(found)


def _implementations(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask about all cases, in the student's own order."""
    asked = []
    for at in variant["_order"]:
        claim, optimizer, wrong, factor = CASES[at]
        claimed = slopes(START, RATES[claim][optimizer], optimizer).tolist()
        seen = measured(claim, optimizer, wrong, factor, rng)
        asked.append({"widths": list(WIDTHS), "contributions": seen, "claimed": claimed})
    return asked


def judge_diagnose(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with what was planted."""
    planted = [CASES[at] for at in variant["_order"]]
    names = [f"{claim} under {optimizer}" for claim, optimizer, _, _ in planted]
    found = []
    for value in values:
        try:
            found.append(judging.as_array(value, (3,), what="the powers", kind="whole").tolist())
        except judging.UnusableError as error:
            return judging.invalid(str(error))
    return judging.cases(
        found, [wrong for _, _, wrong, _ in planted], names, what="networks whose wrong rate you found"
    )


def table(best: float, fall: float, bend: float, widths: tuple[int, ...] = (16, 32, 64)) -> dict[str, Any]:
    """Return rates, widths and losses whose best rate falls with a power of the width, and that diverge far beyond."""
    powers = np.arange(-12.0, 0.0)
    away = powers[:, None] - (best - fall * np.log2(np.array(widths) / 16))
    losses = 0.2 * np.exp(0.4 * away**2 + 0.1 * bend * away**3)
    return {"rates": 2.0**powers, "widths": list(widths), "losses": np.where(away > 3, 1e9, losses)}


def _sweeps(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask about three, four and five widths, whose best rates fall by different powers and lie between the grid's."""
    asked = []
    for widths in ((16, 32, 64), (16, 24, 48, 96), (16, 24, 32, 64, 96)):
        best = -5.0 + float(rng.choice([-1, 1])) * float(rng.uniform(0.2, 0.4))
        swept = table(best, float(rng.uniform(0.4, 0.8)), float(rng.uniform(0.1, 0.4)), widths)
        asked.append({**swept, "width": int(rng.integers(200, 1000))})
    return asked


def predict_rate(rates: np.ndarray, widths: list[int], losses: np.ndarray, width: int) -> float:
    """Return the best rate of a power law through the bottoms of parabolas."""
    best, step = [], math.log(rates[1] / rates[0])
    for loss in np.log(losses).T:
        at = int(np.argmin(loss))
        below, lowest, above = loss[at - 1 : at + 2]
        best.append(math.log(rates[at]) + step * (below - above) / (2 * (below - 2 * lowest + above)))
    x = np.log(widths)
    power = (x - x.mean()) @ np.array(best) / ((x - x.mean()) @ (x - x.mean()))
    return math.exp(np.mean(best) + power * (math.log(width) - x.mean()))


def judge_predict(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare each rate."""
    verdicts = [
        judging.close(value, predict_rate(**asked), rtol=1e-3, what=f"the best rate at width {asked['width']}")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    sgd, adam = (plan(variant["widths"], variant["base"], variant["rate"], name) for name in ("sgd", "adam"))
    swept = table(variant["best"], variant["fall"], variant["bend"])
    best = predict_rate(**swept, width=variant["width"])
    return {"std": float(sgd[-1, 0]), "sgd": float(sgd[1, 1]), "adam": float(adam[1, 1]), "best": best}


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps10",
    title="Start and rates for any width",
    requests=(
        Request("plan", "plan", 2.0, judge_plan, series=_plans),
        Request("slopes", "slopes", 2.0, judge_slopes, series=_powers),
        Request("own_contribution", "own_contribution", 2.0, judge_contribution, series=_steps),
        Request("diagnose", "diagnose", 2.0, judge_diagnose, series=_implementations),
        Request("predict_rate", "predict_rate", 2.0, judge_predict, series=_sweeps),
        Request("own", "OWN", 5.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
