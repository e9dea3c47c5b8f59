"""Assignment 6: He's rule with a leaky slope, and the gain of an activation of one's own by quadrature.

Power, at α = 1e-6:

- `he_leaky`: three draws of at least 12,000 weights each, of a layer and of a convolution, judged by `sampling.drawn`.
  Above 0.999 against the kernel ignored (a factor of 3 in the standard deviation), the slope forgotten, 1 + a in place
  of 1 + a², 1 − a², He's rule backward (fans that differ by a factor of 2 or more), and the uniform law (half the
  points). Slopes are from 0.45 to 0.7, so that each is 6 % off or more.
- The other requests are exact. A rule that misses the kink at 0, or a Gauss-Hermite rule for the weight exp(−x²), is
  off by more than the tolerance.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed, thrice

Function = Callable[[np.ndarray], np.ndarray]
WAVES: dict[str, tuple[Function, Function]] = {
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "sin": (np.sin, np.cos),
    "arctan": (np.arctan, lambda z: 1 / (1 + z * z)),
}
DEPTH = 12
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a leaky slope, an activation a·ψ(bz) + c·relu(z − d), and a network."""
    return {
        "slope": round(float(rng.uniform(0.45, 0.7)), 2),
        "psi": str(rng.choice(sorted(WAVES))),
        **_mix(rng),
        **_scale_and_start(rng),
    }


def _scale_and_start(rng: np.random.Generator) -> dict[str, float]:
    return {"sigma_w": round(float(rng.uniform(0.6, 1.1)), 3), "q": round(float(rng.uniform(0.3, 2.0)), 3)}


def _mix(rng: np.random.Generator) -> dict[str, float]:
    """Draw a, b, c and d such that the bend, the kink and its place all count."""
    ranges = {"a": (0.6, 1.6), "b": (0.7, 1.6), "c": (0.5, 1.2), "d": (0.3, 0.8)}
    return {name: round(float(rng.uniform(*limits)), 2) for name, limits in ranges.items()}


def _activation(psi: str, asked: Variant) -> tuple[Function, Function]:
    """Return φ and φ′."""
    wave, slope = WAVES[psi]
    a, b, c, d = (asked[name] for name in "abcd")
    return (
        lambda z: a * wave(b * z) + c * np.maximum(z - d, 0.0),
        lambda z: a * b * slope(b * z) + c * (z > d),
    )


def mean(function: Function, kink: float) -> float:
    """Return E f(ξ) by Gauss-Legendre rules on panels of width 1 at most, with the kink between two of them."""
    edges = np.unique(np.append(np.arange(-12.0, 13.0), kink))
    half = np.diff(edges)[:, None] / 2
    xi = (edges[:-1, None] + half * (1 + NODES)).ravel()
    return float((half * WEIGHTS).ravel() @ (function(xi) * np.exp(-xi * xi / 2))) / math.sqrt(2 * math.pi)


def second_moment(psi: str, asked: Variant, q: float = 1.0) -> float:
    """Return E φ(√q ξ)²."""
    phi, _ = _activation(psi, asked)
    return mean(lambda xi: phi(math.sqrt(q) * xi) ** 2, asked["d"] / math.sqrt(q))


def slope_and_chi(psi: str, asked: Variant) -> tuple[float, float]:
    """Return the slope of the map at q = 1, σ_w² E φ(ξ)φ′(ξ)ξ, and χ there, σ_w² E φ′(ξ)²."""
    phi, prime = _activation(psi, asked)
    square = asked["sigma_w"] ** 2
    slope = mean(lambda xi: phi(xi) * prime(xi) * xi, asked["d"])
    return square * slope, square * mean(lambda xi: prime(xi) ** 2, asked["d"])


def _weights(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for at least 12,000 weights of a layer and of a convolution, whose fans differ by a factor of 2 or more.

    One of them is wide and the other tall; the convolution has a slope of its own.
    """
    order = 1 if rng.random() < 0.5 else -1
    layer = [int(rng.integers(70, 90)), int(rng.integers(190, 240))][::order]
    channels = [int(rng.integers(24, 30)), int(rng.integers(60, 70))][::-order]
    convolution = {"shape": [*channels, 3, 3], "slope": round(float(rng.uniform(0.45, 0.7)), 2), "seed": a_seed(rng)}
    return [*thrice({"shape": layer, "slope": variant["slope"]}, rng), convolution]


def judge_he(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Test the draws against N(0, 2/((1 + a²)·fan_in))."""
    shapes, seeds = ([asked[key] for asked in arguments] for key in ("shape", "seed"))
    laws = [
        stats.norm(scale=math.sqrt(2 / ((1 + asked["slope"] ** 2) * math.prod(asked["shape"][1:]))))
        for asked in arguments
    ]
    return sampling.drawn(values, laws, shapes, seeds, what="the weights")


def _own_mix(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    return _mix(rng)


def judge_gain(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with 1/√E φ(ξ)² for other a, b, c and d than the student's."""
    wanted = [second_moment(variant["psi"], asked) ** -0.5 for asked in arguments]
    return judging.close(values, wanted, rtol=1e-5, what="the gains, for several a, b, c and d")


def _at_one(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Ask at a σ_w for which q = 1 is a fixed point, so that a wrong gain costs nothing here."""
    mix = _mix(rng)
    return {**mix, "sigma_w": second_moment(variant["psi"], mix) ** -0.5}


@judging.judge
def judge_stability(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for the slopes of the map and half for χ."""
    wanted = np.array([slope_and_chi(variant["psi"], asked) for asked in arguments])
    found = judging.as_array(values, wanted.shape, what="the pairs of slope and chi")
    return judging.combine(
        judging.close(found[:, 0], wanted[:, 0], rtol=1e-3, what="the slopes of the map at q = 1"),
        judging.close(found[:, 1], wanted[:, 1], rtol=1e-3, what="the values of chi"),
    )


def _network(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    return {**_mix(rng), **_scale_and_start(rng), "depth": DEPTH}


def signal(psi: str, asked: Variant, depth: int) -> list[float]:
    """Return the iterated map, layer by layer."""
    moments = [asked["q"]]
    for _ in range(depth):
        moments.append(asked["sigma_w"] ** 2 * second_moment(psi, asked, moments[-1]))
    return moments


def judge_signal(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare with the iterated map, layer by layer."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        wanted = signal(variant["psi"], asked, asked["depth"])
        verdicts.append(judging.close(value, wanted, rtol=1e-3, what="the second moments q_0 ... q_L"))
    return judging.combine(*verdicts)


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    gain = second_moment(variant["psi"], variant) ** -0.5
    slope, chi = slope_and_chi(variant["psi"], {**variant, "sigma_w": gain})
    return {"gain": gain, "slope": slope, "chi": chi, "q": signal(variant["psi"], variant, DEPTH)[-1]}


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps6",
    title="He's rule, a leaky slope, and the gain of your activation",
    requests=(
        Request("he_leaky", "he_leaky", 2.0, judge_he, series=_weights),
        Request("gain", "gain", 3.0, judge_gain, _own_mix, repeats=4),
        Request("stability", "stability", 3.0, judge_stability, _at_one, repeats=3),
        Request("signal", "signal", 2.0, judge_signal, _network, repeats=2),
        Request("own", "OWN", 5.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
