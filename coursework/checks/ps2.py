"""Assignment 2: what is asked of a submission, and who judges it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from initgrade import judging
from initgrade.assignment import Assignment, Request, Variant, Verdict

Array = np.ndarray


def sigmoid(z: Array) -> Array:
    """Return 1/(1 + exp(−z))."""
    return 1 / (1 + np.exp(-z))


PHI: dict[str, Callable[[Array], Array]] = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0), "sigmoid": sigmoid}
SLOPE: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: (z > 0).astype(float),
    "sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)),
}
# At each of these some matrix moves later than another, or never; the table is drawn from, not shown.
OWN = [("tanh", [1, 2]), ("tanh", [1, 3]), ("tanh", [2, 3]), ("tanh", [2, 4]), ("tanh", [3]), ("tanh", [2])]
OWN += [("sigmoid", [1, 3]), ("sigmoid", [2, 3]), ("sigmoid", [2, 4]), ("sigmoid", [3, 4]), ("relu", [4])]


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw four layers of different widths, an activation and zero layers, class counts, and what fills a network."""
    activation, zero = OWN[rng.integers(len(OWN))]
    hidden = rng.permutation(np.arange(5, 10))[:3].tolist()
    counts = np.sort(rng.choice(np.arange(5, 100, 5), size=4, replace=False))[::-1]
    return {
        "widths": [int(rng.integers(5, 9)), *hidden, int(rng.integers(3, 6))],
        "activation": activation,
        "zero": zero,
        "counts": counts.tolist(),
        "phase": round(float(rng.uniform(0.1, 0.9)), 5),
    }


# ---------------------------------------------------------------------------------------------------------------------
# gradients


def backward(x: Array, labels: Array, weights: list[Array], biases: list[Array], activation: str) -> tuple[list, list]:
    """Return the gradients of weights and biases of the summed cross-entropy."""
    h, z = [x], []
    for weight, bias in zip(weights, biases, strict=True):
        z.append(h[-1] @ weight.T + bias)
        h.append(PHI[activation](z[-1]))
    p = np.exp(z[-1] - z[-1].max(axis=1, keepdims=True))
    delta = p / p.sum(axis=1, keepdims=True) - np.eye(p.shape[1])[labels]
    of_weights, of_biases = [], []
    for layer in reversed(range(len(weights))):
        of_weights.insert(0, delta.T @ h[layer])
        of_biases.insert(0, delta.sum(axis=0))
        if layer:
            delta = (delta @ weights[layer]) * SLOPE[activation](z[layer - 1])
    return of_weights, of_biases


def networks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for the variant's widths with each activation, and for one layer and six."""
    widths = [(variant["widths"], name) for name in PHI]
    widths += [(rng.integers(3, 8, size=depth + 1).tolist(), str(rng.choice(list(PHI)))) for depth in (1, 6)]
    return [_network(n, activation, rng) for n, activation in widths]


def _network(n: list[int], activation: str, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "x": rng.standard_normal((10, n[0])),
        "labels": rng.integers(n[-1], size=10),
        "weights": [rng.standard_normal(shape) for shape in zip(n[1:], n, strict=False)],
        "biases": [rng.standard_normal(m) for m in n[1:]],
        "activation": activation,
    }


@judging.judge
def judge_gradients(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare every gradient of every network: two thirds of the points for weights, one third for biases."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        found = judging.parts(value, 2)
        for weight, name, wanted in zip((2, 1), "Wb", backward(**asked), strict=True):
            gradients = judging.parts(found[name == "b"], len(wanted), what=f"the list of d{name}")
            each = [
                judging.close(gradient, target, rtol=1e-6, atol=1e-9, what=f"d{name}{layer} ({asked['activation']})")
                for layer, (gradient, target) in enumerate(zip(gradients, wanted, strict=True), start=1)
            ]
            verdicts += [judging.combine(*each)] * weight
    return judging.combine(*verdicts)


# ---------------------------------------------------------------------------------------------------------------------
# first_moves and own_network


def activations(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each depth from 1 to 6 with φ(0) and φ′(0) zero or not, in all four ways."""
    return [
        {
            "depth": depth,
            "phi_zero": phi and float(rng.uniform(0.2, 1)),
            "slope_zero": slope and float(rng.uniform(0.2, 1)),
        }
        for depth in range(1, 7)
        for phi in (0.0, 1.0)
        for slope in (0.0, 1.0)
    ]


@judging.judge
def judge_first_moves(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the steps of each network of zeros."""
    wanted = [first_moves(**asked) for asked in arguments]
    names = [
        f"depth {asked['depth']}, φ(0) = {asked['phi_zero']:g}, φ′(0) = {asked['slope_zero']:g}" for asked in arguments
    ]
    return judging.cases(values, wanted, names, what="networks of zeros")


def first_moves(depth: int, phi_zero: float, slope_zero: float) -> list[int]:
    """Return when each matrix moves: the signal below it, φ(0), must not vanish, nor the slopes above it."""
    if depth == 1:
        return [1]
    if not phi_zero:
        return [0] * depth
    return [depth - layer + 1 if slope_zero or layer == depth else 0 for layer in range(1, depth + 1)]


def own_network(variant: Variant, seed: int = 0) -> dict[str, int]:
    """Train the variant's network for a few steps and return when each matrix first moves, 0 for never."""
    n, rng = variant["widths"], np.random.default_rng(seed)
    shapes = enumerate(zip(n[1:], n, strict=False), start=1)
    weights = [rng.standard_normal(shape) * (layer not in variant["zero"]) for layer, shape in shapes]
    biases, first = [np.zeros(m) for m in n[1:]], [0] * (len(n) - 1)
    for step in range(1, len(n) + 4):
        x, labels = rng.standard_normal((11, n[0])), rng.integers(n[-1], size=11)
        of_weights, of_biases = backward(x, labels, weights, biases, variant["activation"])
        first = [moved or step * int(np.any(g)) for moved, g in zip(first, of_weights, strict=True)]
        weights = [w - 0.1 * g for w, g in zip(weights, of_weights, strict=True)]
        biases = [b - 0.1 * g for b, g in zip(biases, of_biases, strict=True)]
    return {f"W{layer}": step for layer, step in enumerate(first, start=1)}


@judging.judge
def judge_own_network(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Give a share for each matrix that is right; the share that says "step 1" for all of them earns nothing."""
    wanted = own_network(variant)
    marks = {
        name: judging.equal(judging.entry(value, name, what="PREDICTION"), step, name).share == 1
        for name, step in wanted.items()
    }
    return judging.fraction(marks, what="first moves", guess=list(wanted.values()).count(1) / len(wanted))


# ---------------------------------------------------------------------------------------------------------------------
# stuck_loss and safe_zeros


def class_counts(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Draw counts of three to eight classes, with an empty one among them."""
    return {"counts": rng.permutation(np.append(rng.integers(1, 200, size=rng.integers(2, 8)), 0))}


@judging.judge
def judge_stuck_loss(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the entropy of the frequencies."""
    verdicts = [
        judging.close(value, stuck_loss(asked["counts"]), rtol=1e-6, atol=1e-9, what="the loss")
        for value, asked in zip(values, arguments, strict=True)
    ]
    return judging.combine(*verdicts, every=True)


def stuck_loss(counts: Array) -> float:
    """Return the entropy of the frequencies."""
    p = counts[counts > 0] / counts.sum()
    return float(-np.sum(p * np.log(p)))


def depths(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for each depth from 2 to 8, with a slope at zero that is zero and with one that is not."""
    return [
        {"depth": depth, "slope_zero": slope and float(rng.uniform(0.2, 1))}
        for depth in range(2, 9)
        for slope in (0.0, 1.0)
    ]


@judging.judge
def judge_safe_zeros(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the layers of each network with one zero matrix."""
    wanted = [list(range(1 if asked["slope_zero"] else asked["depth"], asked["depth"] + 1)) for asked in arguments]
    names = [f"depth {asked['depth']}, φ′(0) = {asked['slope_zero']:g}" for asked in arguments]
    return judging.cases(values, wanted, names, what="networks with one zero matrix")


# ---------------------------------------------------------------------------------------------------------------------
# OWN


def wave(phase: float, *shape: int) -> Array:
    """Return numbers from −1 to 1 that belong to a phase, as the notebook does."""
    return np.sin(phase * np.arange(1, np.prod(shape) + 1) ** 2).reshape(shape)


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    n, phase = variant["widths"], variant["phase"]
    weights = [wave(phase + layer, *shape) for layer, shape in enumerate(zip(n[1:], n, strict=False))]
    biases = [wave(phase + layer, m) for layer, m in enumerate(n[1:])]
    x, labels = wave(phase, 12, n[0]), np.arange(12) % n[-1]
    of_weights, of_biases = backward(x, labels, weights, biases, variant["activation"])
    return {
        "W1": float(np.sum(of_weights[0] ** 2)),
        "W4": float(np.sum(of_weights[-1] ** 2)),
        "b1": float(np.sum(of_biases[0] ** 2)),
        "loss": stuck_loss(np.array(variant["counts"])),
    }


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps2",
    title="Which tensors move",
    make_variant=make_variant,
    requests=(
        Request("gradients", "gradients", 3, judge_gradients, series=networks),
        Request("first_moves", "first_moves", 2, judge_first_moves, series=activations),
        Request("own_network", "PREDICTION", 2, judge_own_network, call=False, literal=True),
        Request("stuck_loss", "stuck_loss", 1, judge_stuck_loss, class_counts, repeats=3),
        Request("safe_zeros", "safe_zeros", 2, judge_safe_zeros, series=depths),
        Request("own", "OWN", 5, judge_own, call=False, literal=True),
    ),
)
