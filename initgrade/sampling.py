"""Judges of draws: each tests a law at `ALPHA` and states what it has power against.

What lives here tests draws; `judging` has the judges that compare. The p-values are functions of their own, of many
samples at once, so that both can be simulated.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from .assignment import Verdict
from .judging import as_array, combine, draw_plot, invalid, judge

ALPHA = 1e-6


def two_sided(lower: Any, upper: Any) -> np.ndarray:
    """Return the two-sided p-values that belong to both tails of observations."""
    return np.minimum(1.0, 2 * np.minimum(lower, upper))


def spread_p(x: np.ndarray, sigma: float, *, kurtosis: float = 3.0) -> np.ndarray:
    """Return the p-values of samples' spread, a sample along the last axis; see `variance`."""
    with np.errstate(over="ignore"):
        return squares_p(np.sum((x / sigma) ** 2, axis=-1), x.shape[-1], kurtosis=kurtosis)


def squares_p(total: Any, size: int, *, kurtosis: float = 3.0) -> np.ndarray:
    """Return the p-values of Σx²/σ² over so many values."""
    freedom, half = 2 * size / (kurtosis - 1), np.asarray(total) / (kurtosis - 1)
    return two_sided(special.gammainc(freedom / 2, half), special.gammaincc(freedom / 2, half))


def rows_p(x: np.ndarray) -> np.ndarray:
    """Return the p-values of the mean row's squared length, a sample along the last two axes; see `uncorrelated`."""
    rows, columns = x.shape[-2:]
    if rows == 1:
        return np.ones(x.shape[:-2])
    together = np.sum(x.mean(axis=-2) ** 2, axis=-1) * rows / np.sum(x**2, axis=(-2, -1))
    tails = (f(columns / 2, (rows - 1) * columns / 2, np.minimum(together, 1.0)) for f in _BETA)
    return two_sided(*tails)


_BETA = (special.betainc, special.betaincc)


def distance(below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Kolmogorov and Smirnov's distance, and at which value it is found.

    Parameters
    ----------
    below : ndarray, shape (..., N)
        The wanted distribution function at the sorted values of a sample.
    """
    size = below.shape[-1]
    steps = np.arange(1, size + 1) / size
    apart = np.maximum(steps - below, below - steps + 1 / size)
    return apart.max(axis=-1), apart.argmax(axis=-1)


def distance_p(apart: Any, size: int) -> np.ndarray:
    """Return a bound on the p-values of distances, by Massart's inequality (1990): 2·exp(−2Nd²), never too small.

    At N = 12,000 and p = 1e-6 it is the exact p-value but for 3 %.
    """
    return np.minimum(1.0, 2 * np.exp(-2 * size * np.square(apart)))


def critical_distance(size: int, alpha: float) -> float:
    """Return the distance whose `distance_p` is alpha."""
    return math.sqrt(math.log(2 / alpha) / (2 * size))


@judge
def variance(
    values: Any, sigma: float, shape: Sequence[int], *, what: str, kurtosis: float = 3.0, alpha: float = ALPHA
) -> Verdict:
    """Judge that independent draws of mean 0 have the standard deviation `sigma`, by Σx²/σ².

    For normal draws (`kurtosis` 3) Σx²/σ² is chi-squared with N degrees of freedom, exactly. For others it is
    approximated by a scaled chi-squared with the same mean and variance, N(κ − 1): 2N/(κ − 1) degrees of freedom. From
    1,000 values on, a uniform law's true α is then within a factor of two of the stated one.

    α = 1e-6. Power at N values of a normal law: above 0.999 against a standard deviation that is wrong by 20 % for
    N ≥ 950, by 10 % for N ≥ 3,500 and by √2, √3 or 2 (a factor 2, 3 or 4 in the variance: a wrong fan, a forgotten
    gain, a uniform law's bound taken for σ) for N ≥ 300. It has none against a wrong shape (`law`) or against
    dependent draws.

    Parameters
    ----------
    values : array_like
    sigma : float
        Positive.
    shape : sequence of int
        Required, so that too few values cannot pass.
    what : str
    kurtosis : float
        E x⁴ / (E x²)²: 3 normal, 1.8 uniform.
    alpha : float
    """
    x = as_array(values, shape, what=what).ravel()
    p = float(spread_p(x, sigma, kurtosis=kurtosis))
    if p >= alpha:
        return Verdict(1.0, f"{what}: the spread is right.", p)
    with np.errstate(over="ignore"):
        ratio = np.sqrt(np.mean((x / sigma) ** 2))
    message = f"{what}: the rms is {ratio * sigma:.4g}, which is {ratio:.3g} times what it should be"
    return Verdict(0.0, f"{message}; over {x.size} draws chance does not do that.", p)


@judge
def law(values: Any, distribution: Any, shape: Sequence[int], *, what: str, alpha: float = ALPHA) -> Verdict:
    """Judge that independent draws follow a continuous law, by Kolmogorov and Smirnov's test.

    α = 1e-6: the largest distance of the distribution functions must exceed 2.7/√N. Power is above 0.999 against every
    law whose distribution function is 4.65/√N away somewhere, by the inequality of Dvoretzky, Kiefer, Wolfowitz and
    Massart: 0.042 at N = 12,000, 0.026 at 64 × 500. A uniform law in place of a normal one of equal variance is 0.057
    away, and a normal law whose standard deviation is 22 % too large 0.048; at 12 %, 0.027.
    It has none against dependent draws.

    Parameters
    ----------
    values : array_like
    distribution : frozen distribution of scipy.stats
    shape : sequence of int
        Required, so that too few values cannot pass.
    what : str
    alpha : float
    """
    x = np.sort(as_array(values, shape, what=what).ravel())
    apart, place = distance(distribution.cdf(x))
    p, at = float(distance_p(apart, x.size)), float(x[place])
    if p >= alpha:
        return Verdict(1.0, f"{what}: the distribution is right.", p)
    message = (
        f"{what}: {np.mean(x <= at):.1%} of {x.size} draws are at most {at:.3g}; {distribution.cdf(at):.1%} should be."
    )
    return Verdict(0.0, message, p, _cumulative(x, distribution, what))


def _cumulative(x: np.ndarray, distribution: Any, what: str) -> dict[str, Any]:
    share = np.linspace(0.005, 0.995, 100)
    yours, wanted = np.quantile(x, share), distribution.ppf(share)
    return draw_plot(f"Distribution of {what}", "value", "share below", yours=(yours, share), wanted=(wanted, share))


def exact_null(widths: Sequence[int], rng: np.random.Generator, draws: int, *, scale: float = 2.0) -> np.ndarray:
    """Draw the factor of the mean square through ReLU layers with normal weights of variance `scale`/fan_in, no biases.

    For one input that is not zero, E h² over the units of layer l is, exactly, that of layer l − 1 times
    (scale/n_l) Σ relu(g_j)², g ~ N(0, 1), because z given h is normal with variance scale·E h². So the factor over all
    layers is a product over l. Σ relu(g_j)² of n units is chi-squared with as many degrees of freedom as units are
    active, a binomial number.

    Parameters
    ----------
    widths : sequence of int
        n_1 … n_L: units of each ReLU layer; the number of inputs does not matter.
    rng : numpy.random.Generator
    draws : int
    scale : float

    Returns
    -------
    ndarray, shape (draws,)
    """
    n = np.asarray(widths)
    active = rng.binomial(n, 0.5, size=(draws, n.size))
    return np.prod(scale / n * 2 * rng.standard_gamma(active / 2), axis=1)


@functools.lru_cache(maxsize=8)
def _sorted_null(widths: tuple[int, ...], scale: float, draws: int) -> np.ndarray:
    return np.sort(exact_null(widths, np.random.default_rng(6), draws, scale=scale))


@judge
def through_relu(
    factors: Any,
    widths: Sequence[int],
    count: int,
    *,
    what: str,
    scale: float = 2.0,
    alpha: float = ALPHA,
    draws: int = 20_000,
) -> Verdict:
    """Judge factors E h_L² / E h_0² of independent networks against `exact_null`, by Kolmogorov and Smirnov's test.

    The null has a fixed seed of its own: a student cannot influence it, and a regrade repeats it.

    α = 1e-6. Power is above 0.999 against every law of the factors that is 0.17 away from the null somewhere, for 1,000
    networks, and 0.35 away for 200, again by Dvoretzky, Kiefer, Wolfowitz and Massart. In networks of 6 to 8 layers of
    12 to 48 units, a factor of 2 is more than 0.17 away; tests/test_judging.py measures it for named wrong answers.
    There is none against weights that are not normal and have the same variance.

    Parameters
    ----------
    factors : array_like
        One for each network.
    widths : sequence of int
        As `exact_null` takes them.
    count : int
        Networks.
    what : str
    scale, alpha : float
    draws : int
        Of the null.
    """
    found = as_array(factors, (count,), what=what)
    if np.any(found < 0):
        return invalid(f"{what} holds negative numbers; a mean of squares has none.")
    null = _sorted_null(tuple(widths), scale, draws)
    apart, _ = distance(np.searchsorted(null, np.sort(found), side="right") / draws)
    p = float(distance_p(apart, round(count * draws / (count + draws))))
    share = np.linspace(0.01, 0.99, 99)
    series = {"yours": (np.quantile(found, share), share), "theory": (null[(share * draws).astype(int)], share)}
    plot = draw_plot(what, "factor of the mean square", "share of networks below", **series)
    if p >= alpha:
        return Verdict(1.0, f"{what}: as the exact law says.", p, plot)
    median = (
        f"the median over {found.size} networks is {np.median(found):.3g}; the exact law's is {np.median(null):.3g}"
    )
    return Verdict(0.0, f"{what}: {median}, and chance does not do that.", p, plot)


@judge
def seeded(values: Sequence[Any], seeds: Sequence[int], *, what: str) -> Verdict:
    """Judge that a seed means a seed: equal seeds give equal draws of one shape, and different seeds different ones.

    The first catches draws from a generator of the student's own, the second a seed inside, a cached answer and a
    constant. Exact for continuous laws, of which two draws are equal with probability 0. Draws of different shapes are
    not compared: ask one shape three times, as `assignment.thrice` does.

    Parameters
    ----------
    values : sequence of array_like
        One for each call.
    seeds : sequence of int
        Of the generators that the calls got.
    what : str
    """
    calls = [(as_array(value, what=what), seed) for value, seed in zip(values, seeds, strict=True)]
    for (draw, seed), (other, another) in itertools.combinations(calls, 2):
        if draw.shape == other.shape and np.array_equal(draw, other) != (seed == another):
            return invalid(f"{what}: {_UNLIKE if seed == another else _ALIKE}; draw from the rng that you get.")
    return Verdict(1.0, f"{what}: the same generator gives the same draw, another one another.")


_UNLIKE = "two generators with the same seed gave different draws"
_ALIKE = "two generators with different seeds gave the same draw"


@judge
def uncorrelated(values: Any, shape: Sequence[int], *, what: str, alpha: float = ALPHA) -> Verdict:
    """Judge that the rows of a matrix of independent draws are not alike: the mean row's squared length.

    With N rows of m independent normal draws of mean 0, whatever their variance, N·|mean row|²/Σx² follows
    Beta(m/2, (N − 1)m/2), exactly.

    α = 1e-6. Power above 0.999 at 32 × 32 and more against equal rows, and against rows that share half of their
    variance. One row alone is always right.

    Parameters
    ----------
    values : array_like
    shape : (N, m)
    what : str
    alpha : float
    """
    x = as_array(values, shape, what=what)
    if not np.any(x):
        return invalid(f"{what}: zero throughout.")
    p = float(rows_p(x))
    if p >= alpha:
        return Verdict(1.0, f"{what}: its rows differ as independent draws do.", p)
    return Verdict(0.0, f"{what}: its rows are not independent draws; are they alike, or shifted?", p)


@judge
def continuous(values: Any, distribution: Any, shape: Sequence[int], *, what: str) -> Verdict:
    """Judge that draws are what a continuous law can give: within its support, and hardly any of them twice.

    Exact for float64. Up to 1 % of the values may repeat others, so that float32 passes. It catches values moved to a
    border, tiled weights, and a law of wider support wherever one draw shows it.

    Parameters
    ----------
    values : array_like
    distribution : frozen distribution of scipy.stats
    shape : sequence of int
    what : str
    """
    x = as_array(values, shape, what=what).ravel()
    low, high = distribution.support()
    slack = 1e-6 * distribution.std()
    outside = float(np.mean((x < low - slack) | (x > high + slack)))
    if outside:
        return invalid(f"{what}: {outside:.2%} lie outside {low:.4g} … {high:.4g}, where none can be.")
    repeated = 1 - np.unique(x).size / x.size
    if repeated > 0.01:
        return invalid(f"{what}: {repeated:.1%} repeat another value; independent draws of a continuous law do not.")
    return Verdict(1.0, f"{what}: values as a continuous law gives them.")


@judge
def drawn(
    values: Sequence[Any],
    distributions: Sequence[Any],
    shapes: Sequence[Sequence[int]],
    seeds: Sequence[int],
    *,
    what: str,
    alpha: float = ALPHA,
) -> Verdict:
    """Judge several draws of independent weights: what seeds do, the spread, and the law.

    A seed that means nothing (`seeded`), a wrong spread or rows that are alike earn nothing; the right spread with a
    wrong law earns half. Of several draws with one seed the first is tested.

    α = 1e-6 for all tests together, by Bonferroni. With draws of 12,000 values, power is above 0.999 against a
    standard deviation that is wrong by 6 %, a normal law for a uniform one and back, and what `continuous` catches.

    Parameters
    ----------
    values : sequence of array_like
        One for each call.
    distributions : sequence of frozen distributions of scipy.stats
        Continuous, of mean 0.
    shapes : sequence of sequences of int
        Required.
    seeds : sequence of int
        Of the generators that the calls got.
    what : str
    alpha : float
    """
    calls = list(zip(values, distributions, shapes, seeds, strict=True))
    arrays = [as_array(value, shape, what=what) for value, _, shape, _ in calls]
    tested = [place for place, seed in enumerate(seeds) if seed not in list(seeds)[:place]]
    each = alpha / (3 * len(tested))
    spread = [seeded(arrays, seeds, what=what)]
    for place in tested:
        array, (_, distribution, shape, _) = arrays[place], calls[place]
        kurtosis, rows = float(distribution.stats("k")) + 3, array.reshape(len(array), -1)
        spread.append(variance(array, distribution.std(), shape, what=what, kurtosis=kurtosis, alpha=each))
        spread.append(uncorrelated(rows, rows.shape, what=what, alpha=each))
        if spread[-2].share < 1:  # the law is wrong as well, and shows by how much
            shown = law(array, distribution, shape, what=what, alpha=each)
            return Verdict(0.0, combine(*spread, every=True).message, spread[-2].p_value, shown.plot)
    first = combine(*spread, every=True)
    if first.share < 1:
        return first
    form = []
    for place in tested:
        _, distribution, shape, _ = calls[place]
        form.append(continuous(arrays[place], distribution, shape, what=what))
        form.append(law(arrays[place], distribution, shape, what=what, alpha=each))
    second = combine(*form, every=True)
    both = combine(first, second)
    return Verdict(0.5 + second.share / 2, both.message, both.p_value, second.plot)
