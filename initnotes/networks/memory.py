"""What linear networks, and LSTMs as they start, remember of the past, in theory.

What lives here computes from matrices and biases; it draws nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _checks

__all__ = ["capacity", "chrono_decay", "decay"]


def decay(steps: Any, *, forget_bias: float, input_bias: float = 0.0, sigma_u: float = 3**-0.5) -> np.ndarray:
    """Return what the rms of ∂loss/∂c_t is, relative to the last time step, so many steps before it.

    At the start all gates are open by σ of their bias, and ∂c_t/∂c_{t-1} is f·I + i·o·U_g with f = σ(forget_bias),
    i = σ(input_bias) and o = 1/2. The same random U_g acts at every step, so the rms after k steps is
    √(Σ_j C(k, j)² f^{2(k-j)} ρ^{2j}) with ρ = i·o·sigma_u, for a wide layer and small cells. With ρ = 0 it is the
    product of the forget gates, f^k. Cells stay small where f is: an open gate adds up what comes in, the units
    saturate, and much less comes back than this says.

    Parameters
    ----------
    steps : int or array of int
        k, 0 or more, and at most 500.
    forget_bias, input_bias : float
    sigma_u : float
        √(width · Var(U)): 1/√3 as torch draws it.

    Returns
    -------
    ndarray, in the shape of `steps`

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> decay([0, 1, 2], forget_bias=0.0, sigma_u=0.0)
    array([1.  , 0.5 , 0.25])
    """
    from scipy.special import comb

    k = np.asarray(steps)
    if k.dtype.kind not in "iu" or (k < 0).any() or (k > 500).any():
        raise ValueError(f"steps must be integers from 0 to 500, got {steps!r}")
    biases = {"forget_bias": forget_bias, "input_bias": input_bias}
    f, i = (1 / (1 + np.exp(-_checks.real(bias, name))) for name, bias in biases.items())
    rho = i / 2 * _checks.real(sigma_u, "sigma_u", low=0.0)
    j = np.arange(int(k.max(initial=0)) + 1)
    kept = np.maximum(k[..., None] - j, 0)
    return np.asarray(np.sqrt((comb(k[..., None], j) ** 2 * f ** (2.0 * kept) * rho ** (2.0 * j)).sum(-1)))


def chrono_decay(steps: Any, length: float) -> Any:
    """Return what the rms of ∂loss/∂c_t is, so many steps before the last, where forget gates start by `chrono`.

    A unit of time constant τ keeps e^(−2k/τ) of its mean square after k steps. With τ uniform between 0 and T the mean
    over units is E₂(2k/T), the exponential integral: no rate of decay, since some unit's time constant fits every lag.
    The input gates are nearly shut, so that recurrent weights add little.

    Parameters
    ----------
    steps : float or array
        k, 0 or more.
    length : float
        T, long beside 1.

    Returns
    -------
    float or ndarray, in the shape of `steps`
        √E₂(2k/T), relative to k = 0.

    Raises
    ------
    TypeError, ValueError
        If `steps` are negative or not finite, or `length` is not greater than 2.

    References
    ----------
    E₂(x) = ∫₁^∞ e^(−xt)/t² dt: NIST Digital Library of Mathematical Functions, section 8.19.

    Examples
    --------
    >>> chrono_decay([0, 50, 500], 500).round(2)
    array([1.  , 0.76, 0.19])
    """
    from scipy.special import expn

    T = _checks.real(length, "length", low=2.0, strict=True)
    k = _checks.array(steps, "steps")
    if not np.isfinite(k).all() or (k < 0).any():
        raise ValueError(f"steps must be 0 or more, got {steps!r}")
    found = np.sqrt(expn(2, 2 * k / T))
    return found if k.ndim else float(found)


def capacity(weights: Any, inputs: Any, lags: int, *, noise: float = 1e-6) -> np.ndarray:
    """Return how much of the input of each past step a linear readout finds in h_t = W h_{t-1} + v u_t.

    The inputs are independent numbers of variance 1, and the state is read with noise. What is found of the input k
    steps ago is the share of its variance that the best linear readout explains. Without noise the shares over all lags
    add up to n, the number of units, for almost every W whose states do not grow: eigenvalues decide where the memory
    is, not how much there is.

    Parameters
    ----------
    weights : array, shape (R, n, n)
        W.
    inputs : array, shape (R, n)
        v.
    lags : int
        How long the sequence is: k = 0, …, lags − 1.
    noise : float
        Its standard deviation, relative to the root of the largest variance of any direction of the state; above 0.
        Directions far below it are forgotten, as they are to rounding.

    Returns
    -------
    ndarray, shape (R, lags)
        Between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or a state overflows.

    References
    ----------
    Jaeger, "Short term memory in echo state networks", GMD report 152, 2001: the capacity, and that it is at most n.

    Examples
    --------
    A line along which an input is handed on remembers three steps, and nothing of the fourth:

    >>> capacity([np.eye(3, k=-1)], [[1.0, 0.0, 0.0]], 4).round(6)
    array([[1., 1., 1., 0.]])
    """
    W, v = (_checks.array(part, name).astype(np.float64) for part, name in ((weights, "weights"), (inputs, "inputs")))
    if W.ndim != 3 or W.shape[1] != W.shape[2] or v.shape != W.shape[:2]:
        raise ValueError(f"weights and inputs must have shapes (R, n, n) and (R, n), got {W.shape} and {v.shape}")
    sigma = _checks.real(noise, "noise", low=0.0, strict=True)
    columns = [v[..., None]]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_checks.integer(lags, "lags") - 1):
            columns.append(W @ columns[-1])
    handed_on = np.concatenate(columns, axis=-1)  # (R, n, lags): what is left of each past input
    if not np.isfinite(handed_on).all():
        raise ValueError("weights must keep the state finite; take a smaller spectral radius or fewer lags")
    _, s, right = np.linalg.svd(handed_on, full_matrices=False)
    kept = s**2 / (s**2 + (sigma * s[..., :1]) ** 2)
    return np.asarray(np.einsum("rd,rdk->rk", kept, right**2))
