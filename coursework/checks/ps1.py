"""Assignment 1: what is asked of a submission, and who judges it."""

from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, thrice

START = (128, 192)  # fan_out and fan_in of the almost equal start


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw widths that differ from layer to layer, an almost equal start, a network of two units, and a measurement."""
    shapes = {"x": (1, 2), "y": (1, 1), "W": (2, 2), "b": 2, "V": (1, 2), "c": 1}
    network = {name: np.round(rng.uniform(0.2, 1.5, shape), 2).tolist() for name, shape in shapes.items()}
    network["W"][1][0] = -network["W"][1][0]
    steps = rng.integers(20, 60) + np.array([0, rng.integers(30, 200)])
    return {
        "inputs": int(rng.integers(5, 12)),
        "hidden": rng.permutation(np.arange(5, 13))[:3].tolist(),
        "outputs": int(rng.integers(3, 6)),
        "value": float(rng.choice([-0.4, -0.2, -0.1, 0.1, 0.2, 0.4])),
        "epsilon": float(rng.choice([1e-7, 1e-6, 1e-5, 1e-4])),
        "network": network,
        "random": [f"W{rng.integers(1, 5)}"] + [f"b{rng.integers(1, 4)}"] * int(rng.integers(2)),
        "measured": {"epsilons": [1e-2, 1e-5], "steps": steps.tolist()},
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


def gradients(
    x: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray, V: np.ndarray, c: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the gradients of the summed loss."""
    h = np.tanh(x @ W.T + b)
    g = h @ V.T + c - y
    delta = (g @ V) * (1 - h**2)
    return {"dW": delta.T @ x, "db": delta.sum(axis=0), "dV": g.T @ h, "dc": g.sum(axis=0)}


@judging.judge
def judge_gradients(value: Any, arguments: dict[str, np.ndarray], variant: Variant) -> Verdict:
    """Compare all four gradients; a quarter of the points each."""
    wanted = gradients(**arguments)
    found = judging.parts(value, 4)
    verdicts = [
        judging.close(value, target, rtol=1e-6, atol=1e-9, what=name)
        for value, (name, target) in zip(found, wanted.items(), strict=True)
    ]
    return judging.combine(*verdicts)


# ---------------------------------------------------------------------------------------------------------------------
# groups


# What differs between the units of each layer that is asked about: each condition alone, two of them, all, none.
DIFFERENT = ("", "W", "b", "V", "Wb", "bV", "WV", "WbV", "alone", "hardly")


def layers(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw layers whose units share weights, biases or outgoing weights; one differs only in its last digits."""
    return [_layer(variant, kinds, rng) for kinds in rng.permutation(DIFFERENT)]


def _layer(variant: Variant, kinds: str, rng: np.random.Generator) -> dict[str, Any]:
    n, sizes = variant["hidden"][1], {"W": variant["inputs"], "b": 1, "V": variant["outputs"]}
    parts = {}
    for name, size in sizes.items():
        count = n if kinds == "alone" else 3
        rows = rng.choice(np.arange(-300, 301), count, replace=False)[:, None] / 100 + np.arange(size)
        alike = np.arange(n) if kinds == "alone" else np.arange(n) % 2 + (np.arange(n) == n - 1)
        parts[name] = rows[rng.permutation(alike) if name in kinds or kinds == "alone" else np.zeros(n, int)]
    if kinds == "hardly":
        parts["V"][rng.integers(n)] += 1e-9
    return {"W": parts["W"], "b": parts["b"][:, 0], "V": parts["V"].T.copy()}


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


def architectures(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw networks of each depth from 2 to 6, in which every kind of tensor is the random one, alone and in pairs."""
    asked = []
    for depth in range(2, 7):
        inner = int(rng.integers(2, depth)) if depth > 2 else 1
        asked += [(depth, [f"W{depth}"]), (depth, [f"b{inner}"]), (depth, [f"W{inner}"])]
    deep, low = int(rng.integers(4, 7)), int(rng.integers(1, 3))
    asked += [(deep, []), (deep, ["W1"]), (deep, [f"b{deep}"]), (deep, ["b1", f"W{deep}"]), (deep, [f"W{low}", "b3"])]
    return [
        {"widths": rng.integers(4, 20, size=depth + 1).tolist(), "random": rng.permutation(random).tolist()}
        for depth, random in asked
    ]


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


def starts(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for the variant's start with a seed, the same seed, and another one."""
    fan_out, fan_in = START
    start = {"fan_out": fan_out, "fan_in": fan_in, "value": variant["value"], "epsilon": variant["epsilon"]}
    return thrice(start, rng)


@judging.judge
def judge_almost_equal(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Judge spread (half), independence of the units, and what the seeds do (a quarter each).

    ξ = (W/value − 1)/ε is standard normal. Each of the three tests of the first draw has α = 1e-6/3. Power above 0.999
    at 128 × 192 against noise that the units of a layer share, noise that is added instead of multiplied, ε² or √ε in
    place of ε, and a uniform law, of the range ±1 or of the right variance.
    """
    for value in values[1:]:
        judging.as_array(value, START, what="the start")
    xi = (judging.as_array(values[0], START, what="the start") / variant["value"] - 1) / variant["epsilon"]
    alpha = sampling.ALPHA / 3
    spread = judging.combine(
        sampling.variance(xi, 1.0, START, what="ξ = (W/value − 1)/epsilon", alpha=alpha),
        sampling.law(xi, stats.norm(), START, what="ξ = (W/value − 1)/epsilon", alpha=alpha),
        every=True,
    )
    units = sampling.uncorrelated(xi, START, what="ξ, a unit a row", alpha=alpha)
    seeds = sampling.seeded(values, [asked["seed"] for asked in arguments], what="the start")
    return judging.combine(spread, spread, units, seeds)


# ---------------------------------------------------------------------------------------------------------------------
# steps_to_separate


def measurements(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw lines, two measured points on each, and a third place: above, between and below; once in the other order.

    Every epsilon is below 1, and so every number of steps positive.
    """
    asked = []
    for place, order in ((-0.4, 1), (0.5, -1), (2.0, 1)):
        digits = np.array([rng.uniform(3, 4), rng.uniform(6, 8)])
        steps = rng.uniform(5, 40) + rng.uniform(2, 15) * digits * np.log(10)
        epsilon = float(10 ** -(digits[0] + (place + rng.uniform(-0.1, 0.1)) * (digits[1] - digits[0])))
        asked.append({"epsilons": 10.0 ** -digits[::order], "steps": steps[::order].copy(), "epsilon": epsilon})
    return asked


@judging.judge
def judge_steps(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the line through both points."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        what = f"T at epsilon = {asked['epsilon']:.3g}"
        verdicts.append(judging.close(value, steps_to_separate(**asked), rtol=1e-6, atol=1e-6, what=what))
    return judging.combine(*verdicts, every=True)


def steps_to_separate(epsilons: Any, steps: Any, epsilon: float) -> float:
    """Return the line's value at ln ε."""
    return float(np.polynomial.Polynomial.fit(np.log(epsilons), steps, 1)(np.log(epsilon)))


# ---------------------------------------------------------------------------------------------------------------------
# OWN


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    found = gradients(**{name: np.array(values) for name, values in variant["network"].items()})
    widths = [variant["inputs"], *variant["hidden"], variant["outputs"]]
    return {
        **{name: float(np.ravel(gradient)[0]) for name, gradient in found.items()},
        "free": distinct_after(widths, variant["random"]),
        "T": steps_to_separate(**variant["measured"], epsilon=variant["epsilon"]),
    }


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps1",
    title="Break the symmetry",
    make_variant=make_variant,
    requests=(
        Request("gradients", "gradients", 3, judge_gradients, a_network),
        Request("groups", "groups", 2, judge_groups, series=layers),
        Request("distinct_after", "distinct_after", 2, judge_distinct_after, series=architectures),
        Request("almost_equal", "almost_equal", 3, judge_almost_equal, series=starts),
        Request("steps_to_separate", "steps_to_separate", 1, judge_steps, series=measurements),
        Request("own", "OWN", 6, judge_own, call=False, literal=True),
    ),
)
