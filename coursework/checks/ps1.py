"""Assignment 1: what is asked of a submission, and who judges it."""

from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict

START = (128, 192)  # fan_out and fan_in of the almost equal start


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw widths that differ from layer to layer, and an almost equal start."""
    return {
        "inputs": int(rng.integers(5, 12)),
        "hidden": rng.permutation(np.arange(5, 13))[:3].tolist(),
        "outputs": int(rng.integers(3, 6)),
        "value": float(rng.choice([-0.4, -0.2, -0.1, 0.1, 0.2, 0.4])),
        "epsilon": float(rng.choice([1e-7, 1e-6, 1e-5, 1e-4])),
    }


# ---------------------------------------------------------------------------------------------------------------------
# gradients


def a_network(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a batch and a network of the variant's widths."""
    inputs, hidden, outputs = variant["inputs"], variant["hidden"][0], variant["outputs"]
    shapes = {
        "x": (9, inputs),
        "y": (9, outputs),
        "W": (hidden, inputs),
        "b": hidden,
        "V": (outputs, hidden),
        "c": outputs,
    }
    return {name: 0.6 * rng.standard_normal(shape) for name, shape in shapes.items()}


@judging.judge
def judge_gradients(value: Any, arguments: dict[str, np.ndarray], variant: Variant) -> Verdict:
    """Compare all four gradients; a quarter of the points each."""
    x, y, W, b, V, c = arguments.values()
    h = np.tanh(x @ W.T + b)
    g = h @ V.T + c - y
    delta = (g @ V) * (1 - h**2)
    wanted = {"dW": delta.T @ x, "db": delta.sum(axis=0), "dV": g.T @ h, "dc": g.sum(axis=0)}
    found = judging.parts(value, 4)
    verdicts = [
        judging.close(value, target, rtol=1e-6, atol=1e-9, what=name)
        for value, (name, target) in zip(found, wanted.items(), strict=True)
    ]
    return judging.combine(*verdicts)


# ---------------------------------------------------------------------------------------------------------------------
# groups


def a_layer(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a layer in which units share incoming weights, biases or outgoing weights, each with two or three others."""
    n, (inputs, outputs) = variant["hidden"][1], (variant["inputs"], variant["outputs"])
    kinds = [np.round(rng.standard_normal((3, size)), 2) for size in (inputs, 1, outputs)]
    W, b, V = (kind[rng.integers(rng.integers(1, 4), size=n)] for kind in kinds)
    return {"W": W, "b": b[:, 0], "V": V.T.copy()}


@judging.judge
def judge_groups(values: list[Any], arguments: list[dict[str, np.ndarray]], variant: Variant) -> Verdict:
    """Compare the number of groups in each layer."""
    wanted = [_groups(**asked) for asked in arguments]
    names = [f"{len(asked['b'])} units" for asked in arguments]
    return judging.cases(values, wanted, names, what="groups of exchangeable units")


def _groups(W: np.ndarray, b: np.ndarray, V: np.ndarray) -> int:
    return len({(*w, bias, *v) for w, bias, v in zip(W.tolist(), b.tolist(), V.T.tolist(), strict=True)})


# ---------------------------------------------------------------------------------------------------------------------
# distinct_after


def an_architecture(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a depth from 2 to 6, widths, and up to two random tensors."""
    depth = int(rng.integers(2, 7))
    tensors = [f"{kind}{layer}" for kind in "Wb" for layer in range(1, depth + 1)]
    random = rng.permutation(tensors)[: rng.integers(3)].tolist()
    return {"widths": rng.integers(4, 20, size=depth + 1).tolist(), "random": random}


@judging.judge
def judge_distinct_after(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the counts of each architecture."""
    wanted = [distinct_after(**asked) for asked in arguments]
    names = [f"{'-'.join(map(str, asked['widths']))}, random {asked['random']}" for asked in arguments]
    return judging.cases(values, wanted, names, what="architectures")


def distinct_after(widths: list[int], random: list[str]) -> list[int]:
    """Count one unit for a layer, unless its rows, its biases or its outgoing weights are random."""
    return [
        n if {f"W{layer}", f"b{layer}", f"W{layer + 1}"} & set(random) else 1
        for layer, n in enumerate(widths[1:-1], start=1)
    ]


# ---------------------------------------------------------------------------------------------------------------------
# almost_equal


def a_start(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Ask for the variant's start, with a fresh seed."""
    fan_out, fan_in = START
    seed = int(rng.integers(2**32))
    return {
        "fan_out": fan_out,
        "fan_in": fan_in,
        "value": variant["value"],
        "epsilon": variant["epsilon"],
        "seed": seed,
    }


@judging.judge
def judge_almost_equal(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Judge spread (half), independence of the units and of the calls (a quarter each).

    ξ = (W/value − 1)/ε is standard normal. Each of the three tests of the first draw has α = 1e-6/3. Power above 0.999
    at 128 × 192 against noise that the units of a layer share, noise that is added instead of multiplied, ε² or √ε in
    place of ε, and a uniform law, of the range ±1 or of the right variance.
    """
    xi = [
        (judging.as_array(value, START, what="the start") / variant["value"] - 1) / variant["epsilon"]
        for value in values
    ]
    alpha = sampling.ALPHA / 3
    spread = judging.combine(
        sampling.variance(xi[0], 1.0, START, what="ξ = (W/value − 1)/epsilon", alpha=alpha),
        sampling.law(xi[0], stats.norm(), START, what="ξ = (W/value − 1)/epsilon", alpha=alpha),
        every=True,
    )
    units = sampling.uncorrelated(xi[0], START, what="ξ, a unit a row", alpha=alpha)
    return judging.combine(spread, spread, units, sampling.fresh(values, what="the start"))


# ---------------------------------------------------------------------------------------------------------------------
# steps_to_separate


def two_measurements(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a line, two measured points on it, and a third place."""
    epsilons = 10.0 ** -np.array([rng.uniform(1, 4), rng.uniform(6, 12)])
    steps = rng.uniform(5, 40) + rng.uniform(2, 15) * -np.log(epsilons)
    return {"epsilons": epsilons, "steps": steps, "epsilon": float(10 ** -rng.uniform(1, 16))}


@judging.judge
def judge_steps(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the line through both points."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        line = np.polynomial.Polynomial.fit(np.log(asked["epsilons"]), asked["steps"], 1)
        verdicts.append(judging.close(value, line(np.log(asked["epsilon"])), rtol=1e-6, atol=1e-6, what="T"))
    return judging.combine(*verdicts, every=True)


ASSIGNMENT = Assignment(
    name="ps1",
    title="Break the symmetry",
    make_variant=make_variant,
    requests=(
        Request("gradients", "gradients", 3, judge_gradients, a_network),
        Request("groups", "groups", 2, judge_groups, a_layer, repeats=10),
        Request("distinct_after", "distinct_after", 2, judge_distinct_after, an_architecture, repeats=16),
        Request("almost_equal", "almost_equal", 3, judge_almost_equal, a_start, repeats=2),
        Request("steps_to_separate", "steps_to_separate", 1, judge_steps, two_measurements, repeats=3),
    ),
)
