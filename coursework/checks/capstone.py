"""Capstone: measure six networks that have something wrong, name it, and repair one.

Which network has which fault follows from the course's key: each student has another order, and no submission sees it.
The networks are drawn after the work was handed in. The judge reads the fault off the exact structure of what it sent,
which is sharper than any measurement of signals.

α and power:

- `forward`, `backward`: exact.
- `diagnose`: 36 networks, six with each fault. The share is the mean over faults of the part that was named, less what
  a guess gets: one name for all earns nothing, names drawn at random 3 % on average.
- `repair`: 20 pairs of networks, each with a start, a baseline and batches of its own; a 21st call repeats a seed. A
  pair is won by a loss below 0.7 times the baseline's. A start that is no better wins a pair with probability ½ or
  less, and so all 20 with 2⁻²⁰ < 10⁻⁶; 17 or more, which give half of the points, with 0.0013. A right start has a mean
  log ratio of −1.1 (tanh) to −2.0 (GELU): ln 0.7 lies eight or more standard deviations above it, so that it hardly
  ever misses a pair. Weights that are too small win none, and Xavier's in a ReLU network too few.
"""

import functools
import math
from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed

FAULTS = ("symmetric", "vanishing", "exploding", "saturated", "dead", "inputs")
EACH, PAIRS, BATCH = 6, 20, 32
CALLS = EACH * len(FAULTS)
STEPS, RATE, LAST = 80, 0.05, 20
MARGIN = 0.7


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the size of the networks, the network that is to be repaired, and what only the marker knows."""
    activation, width = str(rng.choice(["relu", "leaky_relu", "gelu", "tanh"])), int(rng.integers(48, 57))
    return {
        "width": int(rng.integers(24, 37)),
        "depth": int(rng.integers(7, 11)),
        "patient": {"activation": activation, "widths": [64, *[width] * 6, 10]},
        "own": {
            "activation": str(rng.choice(["relu", "tanh"])),
            "size": round(float(rng.uniform(0.8, 1.4)), 4),
            "phase": round(float(rng.uniform(0.1, 0.9)), 5),
        },
        "_order": rng.permutation(EACH * FAULTS).tolist(),
        "_shuffle": int(rng.integers(2**31)),
    }


ONLY = {"exploding": "relu", "dead": "relu", "saturated": "tanh"}


def sick(fault: str, width: int, depth: int, rng: np.random.Generator, activation: str | None = None) -> dict[str, Any]:
    """Draw a network with this fault and a batch of inputs, by the notebook's recipe."""
    activation = ONLY.get(fault) or activation or str(rng.choice(["relu", "tanh"]))
    gain = math.sqrt(2) if activation == "relu" else 1.0
    factor = {"vanishing": (0.3, 0.5), "exploding": (2.5, 4.0), "saturated": (6.0, 12.0)}.get(fault, (1.0, 1.0))
    sigma = gain * rng.uniform(*factor) / math.sqrt(width)
    weights = sigma * rng.standard_normal((depth, width, width))
    biases, inputs = np.zeros((depth, width)), rng.standard_normal((BATCH, width))
    layer = int(rng.integers(1, depth - 1))
    if fault == "symmetric":
        weights[layer] = weights[layer, :1]
    if fault == "dead":
        biases[layer] = -rng.uniform(30.0, 60.0)
    if fault == "inputs":
        inputs = rng.uniform(20.0, 60.0) + rng.uniform(5.0, 20.0) * inputs
    return {"weights": weights, "biases": biases, "activation": activation, "inputs": inputs}


def fault_of(asked: dict[str, Any]) -> str:
    """Return the fault of a network that `sick` drew, from what only its recipe does."""
    weights, width = np.asarray(asked["weights"]), np.shape(asked["weights"])[-1]
    if np.any(np.all(weights == weights[:, :1], axis=(1, 2))):
        return "symmetric"
    if np.mean(np.square(asked["inputs"])) > 4:
        return "inputs"
    if np.min(asked["biases"]) < 0:
        return "dead"
    square = width * np.mean(np.square(weights))
    if square < 0.6:
        return "vanishing"
    return "healthy" if square < 2.5 else "exploding" if asked["activation"] == "relu" else "saturated"


def _networks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask about fresh networks, in the student's own order of faults; half of them ReLU networks, where both occur."""
    asked, order = [], variant["_order"]
    for place, fault in enumerate(order):
        activation = ("relu", "tanh")[order[:place].count(fault) % 2]
        asked.append(sick(fault, variant["width"], variant["depth"], rng, activation))
    return asked


def _signals(asked: dict[str, Any]) -> list[np.ndarray]:
    """Return z_1 ... z_L, each of shape (batch, width)."""
    phi = {"relu": lambda z: np.maximum(z, 0.0), "tanh": np.tanh}[asked["activation"]]
    h, found = np.asarray(asked["inputs"]), []
    for weight, bias in zip(asked["weights"], asked["biases"], strict=True):
        found.append(h @ weight.T + bias)
        h = phi(found[-1])
    return found


def _small_networks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for the signals of a ReLU and a tanh network without a fault of size, whose biases count."""
    asked = [sick("vanishing", variant["width"], variant["depth"], rng, name) for name in ("relu", "tanh")]
    return [{**network, "biases": 0.1 * rng.standard_normal(network["biases"].shape)} for network in asked]


def judge_forward(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the second moments of all layers."""
    verdicts = [
        judging.close(value, [np.mean(z**2) for z in _signals(asked)], rtol=1e-6, what="E z², layer by layer")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def _with_gradients(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    asked = _small_networks(variant, rng)
    return [{**network, "output_gradient": rng.standard_normal(network["inputs"].shape)} for network in asked]


def gradients(asked: dict[str, Any]) -> list[float]:
    """Return E δ_l² of all layers, by back-propagation from δ_L."""
    slope = {"relu": lambda z: (z > 0).astype(float), "tanh": lambda z: 1 - np.tanh(z) ** 2}[asked["activation"]]
    signals, delta = _signals(asked), asked["output_gradient"]
    squares = [np.mean(delta**2)]
    for layer in range(len(signals) - 1, 0, -1):
        delta = (delta @ asked["weights"][layer]) * slope(signals[layer - 1])
        squares.insert(0, np.mean(delta**2))
    return squares


def judge_backward(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the second moments of all layers."""
    verdicts = [
        judging.close(value, gradients(asked), rtol=1e-6, what="E δ², layer by layer")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts)


def judge_diagnose(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give the mean over faults of the part that was named, less a guess."""
    named: dict[str, list[bool]] = {}
    for value, asked in zip(values, arguments, strict=True):
        fault = fault_of(asked)
        named.setdefault(fault, []).append(isinstance(value, str) and value == fault)
    mean = sum(sum(shares) / len(shares) for shares in named.values()) / len(named)
    guess = 1 / len(FAULTS)
    counts = ", ".join(f"{fault} {sum(named[fault])} of {len(named[fault])}" for fault in FAULTS if fault in named)
    return Verdict(max(0.0, (mean - guess) / (1 - guess)), f"networks whose fault you named: {counts}.")


def _patients(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for a start for each pair, and once more with the first seed."""
    seeds = [a_seed(rng) for _ in range(PAIRS)]
    return [{**variant["patient"], "seed": seed} for seed in [*seeds, seeds[0]]]


def _parameters(value: Any, widths: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the weights and biases that a student's function returned, or refuse them."""
    weights, biases = judging.parts(value, 2, what="the result (weights, biases)")
    depth = len(widths) - 1
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    weights = judging.parts(weights, depth, what="the list of weights")
    biases = judging.parts(biases, depth, what="the list of biases")
    return (
        [
            judging.as_array(matrix, shape, what="a matrix of weights")
            for matrix, shape in zip(weights, shapes, strict=True)
        ],
        [
            judging.as_array(vector, shape[:1], what="a vector of biases")
            for vector, shape in zip(biases, shapes, strict=True)
        ],
    )


Start = tuple[list[np.ndarray], list[np.ndarray]]


def duel(starts: list[Start], asked: dict[str, Any], seeds: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Train the starts, and the baseline's, each pair on the same batches; return both losses over the steps."""
    widths, activation = tuple(asked["widths"]), asked["activation"]
    return _losses(starts, widths, activation, seeds), _baseline(len(starts), widths, activation, seeds, STEPS)


@functools.lru_cache(maxsize=4)
def _baseline(count: int, widths: tuple[int, ...], activation: str, seeds: tuple[int, ...], steps: int) -> np.ndarray:
    """Return the losses of starts as nn.Linear has them, over `STEPS` steps."""
    rng, starts = np.random.default_rng([*seeds, 1]), []
    for _ in range(count):
        bounds = [fan_in**-0.5 for fan_in in widths[:-1]]
        sizes = list(zip(bounds, widths[1:], widths, strict=False))
        weights = [rng.uniform(-bound, bound, (fan_out, fan_in)) for bound, fan_out, fan_in in sizes]
        starts.append((weights, [rng.uniform(-bound, bound, fan_out) for bound, fan_out, _ in sizes]))
    return _losses(starts, widths, activation, seeds)


def _losses(starts: list[Start], widths: tuple[int, ...], activation: str, seeds: tuple[int, ...]) -> np.ndarray:
    """Train starts side by side, in float32; the batches of each follow from the seeds.

    Pixels and classes are shuffled, so that weights that were trained beforehand know nothing.
    """
    import torch  # late: only this request needs it

    import initnotes as ini

    rng = np.random.default_rng([*seeds, 2])
    net = ini.networks.Ensemble(widths, activation, "lecun_normal", rng=rng, replicas=len(starts), dtype="float32")
    for layer in range(len(widths) - 1):
        for mine, part in ((net.weights, 0), (net.biases, 1)):
            mine[layer].copy_(torch.from_numpy(np.stack([start[part][layer] for start in starts])))
    x, y = ini.data.digits().train
    x, y = x[:, rng.permutation(x.shape[1])], rng.permutation(10)[y]
    history = ini.training.train(net, x, y, lr=RATE, steps=STEPS, batch_size=BATCH, rng=rng)
    return np.asarray(history.loss, dtype=float)


@judging.judge
def judge_repair(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Train 20 pairs and test the signs: all must be won for α, 17 for half of the points."""
    starts = [_parameters(value, asked["widths"]) for value, asked in zip(values, arguments, strict=True)]
    flat = [np.concatenate([part.ravel() for part in weights + biases]) for weights, biases in starts]
    seeded = sampling.seeded(flat, [asked["seed"] for asked in arguments], what="the weights")
    if seeded.share < 1:
        return seeded
    # Not of a seed that the submission saw: it could train against the shuffled pixels before it answers.
    yours, baseline = duel(starts[:PAIRS], arguments[0], (variant["_shuffle"], arguments[0]["seed"]))
    with np.errstate(invalid="ignore"):  # a start that diverges has no loss, and wins no pair
        wins = int(np.sum(yours[:, -LAST:].mean(axis=1) < MARGIN * baseline[:, -LAST:].mean(axis=1)))
    p = float(stats.binom.sf(wins - 1, PAIRS, 0.5))
    steps = np.arange(STEPS + 1)
    curves = {"yours": np.median(yours, axis=0), "baseline": np.median(baseline, axis=0)}
    shown = {name: (steps[np.isfinite(curve)], curve[np.isfinite(curve)]) for name, curve in curves.items()}
    plot = judging.draw_plot("Median loss of 20 networks", "step", "loss", **shown)
    share = 1.0 if p < sampling.ALPHA else 0.5 if p < 0.01 else 0.0
    message = f"Your loss is at most {MARGIN} times the baseline's in {wins} of {PAIRS} pairs; {PAIRS} are wanted."
    return Verdict(share, message, p, plot)


def wave(phase: float, *shape: int) -> np.ndarray:
    """Return numbers from −1 to 1 that belong to a phase, as the notebook does."""
    return np.sin(phase * np.arange(1, math.prod(shape) + 1) ** 2).reshape(shape)


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    width, depth = variant["width"], variant["depth"]
    size, phase = variant["own"]["size"], variant["own"]["phase"]
    asked = {
        "weights": size * math.sqrt(2 / width) * wave(phase, depth, width, width),
        "biases": 0.1 * wave(phase + 1, depth, width),
        "activation": variant["own"]["activation"],
        "inputs": wave(phase + 2, BATCH, width),
        "output_gradient": wave(phase + 3, BATCH, width),
    }
    squares, deltas = [float(np.mean(z**2)) for z in _signals(asked)], gradients(asked)
    return {"first": squares[0], "last": squares[-1], "delta": float(deltas[0])}


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="capstone",
    title="Six networks with something wrong",
    offers=("activations", "data", "theory"),
    requests=(
        Request("forward", "forward", 2.0, judge_forward, series=_small_networks),
        Request("backward", "backward", 2.0, judge_backward, series=_with_gradients),
        Request("diagnose", "diagnose", 4.0, judge_diagnose, series=_networks, seconds=20.0),
        Request("repair", "initialize", 4.0, judge_repair, series=_patients, seconds=20.0),
        Request("own", "OWN", 6.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
