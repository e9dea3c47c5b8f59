"""Assignment 11: orthogonal draws, the singular values of deep networks, and how far a signal reaches.

- `haar`: three shapes, of 1,000 matrices each. Every entry of a Haar matrix, and every uᵀWv of unit vectors, has the
  same exact law, that of a coordinate of a random direction. Each is tested by Kolmogorov and Smirnov's distance with
  Massart's bound, and α = 1e-6 is shared by all of these tests. Power is above 0.999 against every matrix one of whose
  entries has a law that is 0.16 away: QR as LAPACK gives it, whose first entry is never positive (0.5 away), and
  factors of positive numbers. There is none against determinants of one sign.
- The other requests are exact, to the tolerance that the notebook states. In every marking `choose` is asked questions
  for each of `RIVALS`, which that rule answers wrongly; the best start is ahead by 0.03 or more.
"""

import functools
import math
from typing import Any

import numpy as np
from scipy import stats

from initgrade import judging, sampling
from initgrade.assignment import Assignment, Request, Variant, Verdict, a_seed, thrice

COUNT = 1000  # matrices in a draw
FORMS = 4  # of uᵀWv that are tested
LAYERS, UNITS = 4, 6  # of the product that is asked for in OWN
XI = np.linspace(-9, 9, 1801)
DENSITY = stats.norm.pdf(XI) / stats.norm.pdf(XI).sum()
WEIGHTS = ("gaussian", "orthogonal")


def make_variant(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a product, a start whose directions are counted, a finite width, and a tanh network in its ordered phase."""
    sigma_w, sigma_b = _ordered(rng)
    return {
        "phase": round(float(rng.uniform(0.5, 3.0)), 4),
        "p": round(float(rng.uniform(0.55, 0.9)), 3),
        "low": round(float(rng.uniform(0.05, 0.2)), 3),
        "high": round(float(rng.uniform(2.0, 8.0)), 2),
        "depth": int(rng.integers(15, 41)),
        "slope": round(float(rng.uniform(0.1, 0.6)), 3),
        "width": int(rng.integers(50, 300)),
        "sigma_w": sigma_w,
        "sigma_b": sigma_b,
    }


def _ordered(rng: np.random.Generator) -> tuple[float, float]:
    """Draw σ_w and σ_b of a tanh network in its ordered phase, away from the critical line."""
    while True:
        pair = round(float(rng.uniform(0.8, 1.3)), 3), round(float(rng.uniform(0.15, 0.5)), 3)
        if chi(*pair) < 0.95:
            return pair


# ---------------------------------------------------------------------------------------------------------------------
# haar


def _stacks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for square matrices thrice, for tall ones and for wide ones, each with a gain that is not 1."""
    side, short, long = (int(rng.integers(*limits)) for limits in ((3, 6), (2, 4), (4, 7)))
    shapes = [(side, side), (long, short), (short, long)]
    square, tall, wide = (
        {"count": COUNT, "rows": rows, "columns": columns, "gain": round(float(rng.uniform(1.2, 2.0)), 3)}
        for rows, columns in shapes
    )
    return [*thrice(square, rng), *({**each, "seed": a_seed(rng)} for each in (tall, wide))]


def coordinate(n: int) -> Any:
    """Return the law of a coordinate of a random direction in n dimensions."""
    return stats.beta((n - 1) / 2, (n - 1) / 2, loc=-1, scale=2)


def tested(w: np.ndarray) -> np.ndarray:
    """Return what has the law of `coordinate` in a Haar matrix: its entries, and uᵀWv for a few u and v of length 1."""
    rng = np.random.default_rng(15)
    u, v = (rng.standard_normal((FORMS, size)) for size in w.shape[1:])
    u, v = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (u, v))
    return np.concatenate([w.reshape(len(w), -1), np.einsum("fi,cij,fj->cf", u, w, v)], axis=1).T


def entries_p(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is `tested` of matrices, sorted, and the p-value of each."""
    x = np.sort(tested(w), axis=-1)
    apart, _ = sampling.distance(coordinate(max(w.shape[1:])).cdf(x))
    return x, sampling.distance_p(apart, x.shape[-1])


@judging.judge
def judge_haar(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for orthogonal matrices that follow their generator, and the other half for their law."""
    shapes = [(asked["count"], asked["rows"], asked["columns"]) for asked in arguments]
    arrays = [judging.as_array(value, shape, what="the matrices") for value, shape in zip(values, shapes, strict=True)]
    first = [sampling.seeded(arrays, [asked["seed"] for asked in arguments], what="the matrices")]
    for w, asked in zip(arrays, arguments, strict=True):
        first.append(_orthogonal(w, asked["gain"]))
    right = judging.combine(*first, every=True)
    if right.share < 1:
        return right
    places = (0, 2, 3, 4)  # the second draw is the first one again
    tests = sum(tested(arrays[place][:1]).shape[0] for place in places)
    return judging.combine(right, _law([arrays[place] / arguments[place]["gain"] for place in places], tests))


def _orthogonal(w: np.ndarray, gain: float) -> Verdict:
    """Judge that the shorter sides of all matrices are orthogonal and as long as the gain."""
    rows, columns = w.shape[1:]
    side = "rows" if rows < columns else "columns"
    square = w @ w.mT if rows < columns else w.mT @ w
    off = np.abs(square / gain**2 - np.eye(min(rows, columns)))
    if off.max() < 1e-4:
        return Verdict(1.0, f"the matrices of shape ({rows}, {columns}): orthogonal.")
    lengths = np.sqrt(np.einsum("cii->ci", square)) + 1e-150
    angles = square / lengths[:, None] / lengths[:, :, None]
    if np.abs(angles - np.eye(min(rows, columns))).max() < 1e-4:
        ratio = lengths.mean() / gain
        return judging.invalid(f"shape ({rows}, {columns}): the {side} are orthogonal, and {ratio:.3g} gains long.")
    return judging.invalid(f"shape ({rows}, {columns}): the {side} of a matrix are not orthogonal to each other.")


def _law(draws: list[np.ndarray], tests: int) -> Verdict:
    """Judge the law of each entry and of a few uᵀWv."""
    worst = (2.0, np.zeros(1), 3, "")
    for w in draws:
        n, (x, p) = max(w.shape[1:]), entries_p(w)
        at = int(p.argmin())
        rows, columns = w.shape[1:]
        place = f"entry [{at // columns}, {at % columns}]" if at < rows * columns else "uᵀWv of fixed u and v"
        if p[at] < worst[0]:
            worst = (float(p[at]), x[at], n, f"{place} of the matrices of shape ({rows}, {columns})")
    p_value, x, n, place = worst
    if p_value >= sampling.ALPHA / tests:
        return Verdict(1.0, "the matrices: as random as a rotation can be.", min(1.0, p_value * tests))
    share = np.linspace(0.005, 0.995, 100)
    series = {"yours": (np.quantile(x, share), share), "wanted": (coordinate(n).ppf(share), share)}
    plot = judging.draw_plot(place, "value, in gains", "share of matrices below", **series)
    message = f"orthogonal, but not with the uniform law: {place} is positive in {np.mean(x > 0):.0%} of them"
    return Verdict(0.0, f"{message}, or has another spread.", p_value * tests, plot)


# ---------------------------------------------------------------------------------------------------------------------
# singular_values


def _products(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for a linear network, one of ReLU slopes, and one of any slopes."""
    asked = []
    for slopes in (lambda size: np.ones(size), lambda size: rng.permutation(np.arange(size[0] * size[1]) % 2 * 1.0),
                   lambda size: rng.uniform(0.2, 1.5, size)):  # fmt: skip
        depth, n = int(rng.integers(3, 6)), int(rng.integers(4, 7)) * 2
        made = np.reshape(slopes((depth, n)), (depth, n))
        asked.append({"weights": rng.standard_normal((depth, n, n)) / math.sqrt(n), "slopes": made})
    return asked


def singular_values(weights: Any, slopes: Any) -> np.ndarray:
    """Return the singular values of D_L W_L … D_1 W_1, largest first."""
    product = functools.reduce(lambda done, layer: layer @ done, np.asarray(slopes)[..., None] * np.asarray(weights))
    return np.linalg.svd(product, compute_uv=False)


def judge_singular(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare all singular values with the largest one's accuracy."""
    verdicts = []
    for value, asked in zip(values, arguments, strict=True):
        wanted = singular_values(**asked)
        verdicts.append(judging.close(value, wanted, rtol=0, atol=1e-6 * wanted[0], what="the singular values"))
    return judging.combine(*verdicts)


# ---------------------------------------------------------------------------------------------------------------------
# share_within and choose


def stretch_cdf(x: float, p: float, sigma_w: float, weights: str) -> float:
    """Return F(x) for slopes 0 and 1, a share p of them 1, in closed form."""
    u = x / (sigma_w**2 * p)
    if u >= 1:
        return 1.0
    return 1 - p + p * u if weights == "gaussian" else (1 - p) / (1 - p * u)


def share_within(low: float, high: float, depth: int, p: float, sigma_w: float, weights: str) -> float:
    """Return the share of singular values from low to high."""
    of = functools.partial(stretch_cdf, p=p, sigma_w=sigma_w, weights=weights)
    return of(high ** (2 / depth)) - of(low ** (2 / depth))


def _counted(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for both kinds of weights and for linear, ReLU and other units; below, at and above the critical scale.

    σ_w²p is where the law of s^(2/L) ends: inside the limits, above them, and below them.
    """
    asked = []
    for weights in WEIGHTS:
        for p in (1.0, 0.5, round(float(rng.uniform(0.6, 0.9)), 3)):
            for where in ("inside", "above", "below")[: 3 if p < 1 else 2]:
                low, high = float(rng.uniform(0.05, 0.3)), float(rng.uniform(2, 8))
                depth = int(rng.integers(6, 40))
                ends = [limit ** (2 / depth) for limit in (low, high)]
                top = {
                    "inside": 1.0,
                    "above": ends[1] * rng.uniform(1.1, 1.4),
                    "below": ends[0] * rng.uniform(0.5, 0.9),
                }
                sigma_w = math.sqrt(top[where] / p)
                case = {"low": low, "high": high, "depth": depth, "p": p, "sigma_w": sigma_w, "weights": weights}
                asked.append(case)
    return [asked[place] for place in rng.permutation(len(asked))]


@judging.judge
def judge_within(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half of the points for each kind of weights."""
    verdicts = []
    for weights in WEIGHTS:
        pairs = [pair for pair in zip(values, arguments, strict=True) if pair[1]["weights"] == weights]
        found, wanted = [value for value, _ in pairs], [share_within(**asked) for _, asked in pairs]
        verdicts.append(judging.close(found, wanted, rtol=1e-6, atol=1e-9, what=f"the shares with {weights} weights"))
    return judging.combine(*verdicts)


RIVALS = {
    "the mean square nearest to 1": lambda low, high, depth, p, sigma_w, weights: -abs(math.log(sigma_w**2 * p)),
    "the weights' kind ignored": lambda weights, **start: share_within(**start, weights="gaussian"),
    "one side only": lambda low, high, depth, **start: 1 - stretch_cdf(low ** (2 / depth), **start),
    "p = 1/2 for all": lambda p, **start: share_within(**start, p=0.5),
    "the square forgotten": lambda depth, **start: share_within(**start, depth=2 * depth),
    "the depth forgotten": lambda depth, **start: share_within(**start, depth=2),
}
"""Rules for a start that are wrong, and called by what they look at."""


def _best(rule: Any, low: float, high: float, depth: int, starts: list[dict[str, Any]]) -> tuple[int, float]:
    """Return which start a rule takes, and by how much it is ahead."""
    found = [rule(low=low, high=high, depth=depth, **start) for start in starts]
    order = np.argsort(found)
    return int(order[-1]), float(found[order[-1]] - found[order[-2]])


def _choices(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask a few questions for each rival, which it answers wrongly by more than rounding: so many tell rivals apart."""
    asked: list[dict[str, Any]] = []
    for rival in RIVALS.values():
        asked += [_question(rival, rng) for _ in range(4)]
    return [asked[place] for place in rng.permutation(len(asked))]


def _question(rival: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Draw starts until the best one is ahead, and a rival takes another one."""
    while True:
        starts = []
        for _ in range(4):
            p = float(rng.choice([1.0, 0.5, rng.uniform(0.6, 0.9)]))
            sigma_w = math.sqrt(rng.uniform(0.6, 1.8) / p)
            starts.append({"p": p, "sigma_w": sigma_w, "weights": str(rng.choice(WEIGHTS))})
        limits = {"low": float(rng.uniform(0.05, 0.3)), "high": float(rng.uniform(2, 8))}
        question = {**limits, "depth": int(rng.integers(4, 30)), "starts": starts}
        (right, ahead), (wrong, by) = _best(share_within, **question), _best(rival, **question)
        if ahead > 0.03 and wrong != right and by > 1e-3:
            return question


@judging.judge
def judge_choices(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Compare the choices."""
    wanted = [_best(share_within, **asked)[0] for asked in arguments]
    names = [f"{asked['depth']} layers" for asked in arguments]
    return judging.cases(values, wanted, names, what="choices of a start")


# ---------------------------------------------------------------------------------------------------------------------
# log_norm and depth_scale


def _wandering(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Ask for both kinds of weights and for a linear, a ReLU and a leaky network."""
    return [
        {
            "depth": int(rng.integers(10, 60)),
            "width": int(rng.integers(50, 300)),
            "slope": slope,
            "weights": weights,
        }
        for weights in WEIGHTS
        for slope in (1.0, 0.0, round(float(rng.uniform(0.1, 0.7)), 3))
    ]


def log_norm(depth: int, width: int, slope: float, weights: str) -> list[float]:
    """Return mean and variance of ln‖Ju‖², to leading order in 1/width."""
    kurtosis = 2 * (1 + slope**4) / (1 + slope**2) ** 2
    variance = depth / width * (3 * kurtosis - (1 if weights == "gaussian" else 3))
    return [-variance / 2, variance]


@judging.judge
def judge_log_norm(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for the means and half for the variances."""
    wanted = np.array([log_norm(**asked) for asked in arguments])
    found = judging.as_array(values, wanted.shape, what="the pairs of mean and variance")
    return judging.combine(
        judging.close(found[:, 0], wanted[:, 0], rtol=1e-6, atol=1e-12, what="the means"),
        judging.close(found[:, 1], wanted[:, 1], rtol=1e-6, atol=1e-12, what="the variances"),
    )


def _settled(sigma_w: float, sigma_b: float) -> float:
    """Return tanh's fixed point q*."""
    q = 1.0
    for _ in range(5000):
        before, q = q, sigma_w**2 * float(DENSITY @ np.tanh(math.sqrt(q) * XI) ** 2) + sigma_b**2
        if abs(q - before) < 1e-12 * q:
            break
    return q


def chi(sigma_w: float, sigma_b: float) -> float:
    """Return tanh's χ at its fixed point."""
    return sigma_w**2 * float(DENSITY @ (1 - np.tanh(math.sqrt(_settled(sigma_w, sigma_b)) * XI) ** 2) ** 2)


def _networks(variant: Variant, rng: np.random.Generator) -> list[dict[str, Any]]:
    return [dict(zip(("sigma_w", "sigma_b"), _ordered(rng), strict=True)) for _ in range(3)]


@judging.judge
def judge_depth_scale(values: list[Any], arguments: list[dict[str, Any]], variant: Variant) -> Verdict:
    """Give half for χ and half for ξ."""
    rates = np.array([chi(**asked) for asked in arguments])
    found = judging.as_array(values, (len(rates), 2), what="the pairs of chi and xi")
    return judging.combine(
        judging.close(found[:, 0], rates, rtol=1e-4, what="the values of chi"),
        judging.close(found[:, 1], -1 / np.log(rates), rtol=1e-2, what="the depth scales"),
    )


# ---------------------------------------------------------------------------------------------------------------------
# OWN


def wave(phase: float, *shape: int) -> np.ndarray:
    """Return numbers from −1 to 1 that belong to a phase, as the notebook does."""
    return np.sin(phase * np.arange(1, np.prod(shape) + 1) ** 2).reshape(shape)


def own(variant: Variant) -> dict[str, Any]:
    """Return the right numbers of a student."""
    weights = wave(variant["phase"], LAYERS, UNITS, UNITS)
    slopes = np.where(wave(variant["phase"] + 1, LAYERS, UNITS) > 0, 1.0, variant["slope"])
    start = {key: variant[key] for key in ("low", "high", "depth", "p")}
    sigma_w = variant["p"] ** -0.5
    return {
        "largest": float(singular_values(weights, slopes)[0]),
        **{name: share_within(**start, sigma_w=sigma_w, weights=name) for name in WEIGHTS},
        "variance": log_norm(variant["depth"], variant["width"], variant["slope"], "gaussian")[1],
        "xi": -1 / math.log(chi(variant["sigma_w"], variant["sigma_b"])),
    }


def judge_own(value: Any, arguments: dict[str, Any], variant: Variant) -> Verdict:
    """Compare what the student wrote down for the own parameters."""
    return judging.own_numbers(value, own(variant))


ASSIGNMENT = Assignment(
    name="ps11",
    title="Orthogonal starts, and how far a signal reaches",
    requests=(
        Request("haar", "haar", 3.0, judge_haar, series=_stacks),
        Request("singular_values", "singular_values", 1.0, judge_singular, series=_products),
        Request("share_within", "share_within", 3.0, judge_within, series=_counted),
        Request("choose", "choose", 1.0, judge_choices, series=_choices),
        Request("log_norm", "log_norm", 1.0, judge_log_norm, series=_wandering),
        Request("depth_scale", "depth_scale", 1.0, judge_depth_scale, series=_networks),
        Request("own", "OWN", 5.0, judge_own, call=False, literal=True),
    ),
    make_variant=make_variant,
)
