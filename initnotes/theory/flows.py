"""Gradient flows that are solved: a diagonal network's end, a linear network's modes in time, a kernel's prediction.

What lives here predicts; kernels of networks are taken in ``networks``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _checks

__all__ = ["diagonal_solution", "kernel_prediction", "mode_half_time", "mode_strength"]

NEWTON_STEPS = 1000
EXACT = 1e-10  # of the largest target: how well the diagonal network's solution interpolates
HALVINGS = 60  # of the interval in which the flow's time is looked for: to the last bit


def diagonal_solution(x: Any, y: Any, alpha: float) -> np.ndarray:
    """Return where gradient flow ends in the diagonal network w = u² − v² that starts at u = v = α.

    The flow keeps u·v = α² in every coordinate, so that w = 2α² sinh(xᵀν), and it ends where x w = y. So ν is the one
    minimum of 2α² Σ cosh(xᵀν) − yᵀν. Newton's steps are damped by ln(1 + r)/r, where r is the largest change of an
    entry of xᵀν: the third derivative of cosh is at most its second, so that each step goes down.

    For large α this is the interpolation of the smallest L2 norm, for small α that of the smallest L1 norm. Where α is
    so small that a sparse w has entries below rounding, 2⁻⁶⁰ for example, double precision finds none.

    Parameters
    ----------
    x : array, shape (…, N, d)
        Inputs, of full rank N ≤ d; leading axes are for replicas.
    y : array, shape (…, N)
    alpha : float
        Greater than 0.

    Returns
    -------
    ndarray, shape (…, d)

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit, the rows of `x` are dependent, or Newton's method does not get there in double
        precision.

    References
    ----------
    Woodworth et al., "Kernel and rich regimes in overparametrized models", COLT 2020, theorem 1: the same w, as the
    minimum of a function between the two norms. The damping: Sun & Tran-Dinh, "Generalized self-concordant functions",
    Mathematical Programming 178, 2019.

    Examples
    --------
    >>> x, y = [[2.0, 1.0]], [2.0]
    >>> diagonal_solution(x, y, 8.0).round(2), diagonal_solution(x, y, 1e-3).round(2)
    (array([0.8, 0.4]), array([1., 0.]))
    """
    alpha = _checks.real(alpha, "alpha", low=0.0, strict=True)
    inputs = _checks.array(x, "x").astype(np.float64)
    targets = _checks.array(y, "y").astype(np.float64)
    if inputs.ndim < 2 or targets.shape != inputs.shape[:-1]:
        raise ValueError(f"x and y must have shapes (…, N, d) and (…, N), got {inputs.shape} and {targets.shape}")
    if np.linalg.matrix_rank(inputs).min() < inputs.shape[-2]:
        raise ValueError(f"the rows of x must be independent, at most d of them, got shape {inputs.shape}; drop some")
    columns = np.swapaxes(inputs, -1, -2)
    scale = abs(targets).max(-1, keepdims=True)
    z = np.zeros(columns.shape[:-1])  # xᵀν, shape (…, d)
    for _ in range(NEWTON_STEPS):
        size = np.exp(abs(z) + 2 * np.log(alpha))  # α² e^|z|, which is finite where cosh z may not be
        w = np.sign(z) * size * -np.expm1(-2 * abs(z))
        missing = targets - _times(inputs, w)
        if (abs(missing) <= EXACT * scale).all():
            return w
        curvature = (inputs * (size * (1 + np.exp(-2 * abs(z))))[..., None, :]) @ columns
        try:
            step = _times(columns, np.linalg.solve(curvature, missing[..., None])[..., 0])
        except np.linalg.LinAlgError:
            break
        reach = np.maximum(abs(step).max(-1, keepdims=True), 1e-12)
        z = z + step * np.log1p(reach) / reach
    raise ValueError(f"alpha must leave a solution that double precision finds, got {alpha:g}; take a larger one")


def mode_strength(mu: Any, g_0: Any, t: Any) -> Any:
    """Return how much of a mode a two-layer linear network has learned after a time t of gradient flow.

    g(t) = μ/(1 + (μ/g₀ − 1) e^(−2μt)), which solves g′ = 2g(μ − g): for a balanced start, whose two layers carry the
    mode with the same strength, the loss ½|y − W₂W₁x|² averaged over samples, and inputs whose second moments are the
    identity.

    Parameters
    ----------
    mu : float or array
        The mode's singular value in the data, the mean of y xᵀ; greater than 0.
    g_0 : float or array
        Strength at the start, greater than 0.
    t : float or array
        Steps times learning rate, at least 0.

    Returns
    -------
    float or ndarray
        As the arguments broadcast.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
    ICLR 2014, section 1: their s, a₀ and t/τ are μ, g₀ and t here.

    Examples
    --------
    >>> mode_strength(2.0, 0.1, [0.0, mode_half_time(2.0, 0.1), 50.0]).round(3)
    array([0.1, 1. , 2. ])
    """
    mu, g_0, t = _positive(mu, "mu"), _positive(g_0, "g_0"), _checks.array(t, "t")
    if not (t >= 0).all():
        raise ValueError(f"t must be at least 0, got {t.min()}")
    return mu / (1 + (mu / g_0 - 1) * np.exp(-2 * mu * t))


def mode_half_time(mu: Any, g_0: Any) -> Any:
    """Return when `mode_strength` is μ/2: ln(μ/g₀ − 1)/(2μ), or 0 where it starts above.

    Parameters
    ----------
    mu, g_0 : float or array
        As for `mode_strength`.

    Returns
    -------
    float or ndarray

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> float(mode_half_time(1.0, 0.5)), float(mode_half_time(1.0, 2.0))
    (0.0, 0.0)
    """
    mu, g_0 = _positive(mu, "mu"), _positive(g_0, "g_0")
    return np.log(np.maximum(mu / g_0 - 1, 1.0)) / (2 * mu)


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return np.asarray((matrix @ vector[..., None])[..., 0])


def _positive(value: Any, name: str) -> np.ndarray:
    made = _checks.array(value, name)
    if not (np.isfinite(made) & (made > 0)).all():
        raise ValueError(f"{name} must be finite and greater than 0, got {value!r:.80}")
    return made


def kernel_prediction(kernel: Any, test_kernel: Any, y: Any, *, until: float) -> np.ndarray:
    """Return what a linearized network predicts when gradient flow has brought its training loss down to `until`.

    The network is f(x) = Δθ·∂f/∂θ at a start with f = 0, of which only the tangent kernel Θ matters. In its
    eigenvectors the training error decays as e^(−λτ), and f(x) = Θ(x, X) Θ⁻¹ (1 − e^(−Θτ)) y; τ is found for each
    replica.

    Parameters
    ----------
    kernel : array, shape (…, N·C, N·C)
        As `initnotes.networks.tangent_kernel` returns it: symmetric, row i·C + c for output c of sample i.
    test_kernel : array, shape (…, M·C, N·C)
        Test inputs against training inputs.
    y : array, shape (N, C)
        Targets, the same for all replicas.
    until : float
        Training loss to stop at, greater than 0, in the unit of "mse" of `initnotes.training.train`: half the squared
        error, summed over outputs and averaged over samples. If y itself has no more, all predictions are 0.

    Returns
    -------
    ndarray, shape (…, M, C)

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit, or the kernel cannot reach that loss.

    References
    ----------
    Jacot, Gabriel & Hongler, "Neural tangent kernel", NeurIPS 2018, section 5; Lee et al., "Wide neural networks of any
    depth evolve as linear models under gradient descent", NeurIPS 2019, equations 8 to 11.

    Examples
    --------
    >>> kernel_prediction([[2.0]], [[2.0], [1.0]], [[1.0]], until=0.02).round(3)  # the error has come down to 0.2
    array([[0.8],
           [0.4]])
    """
    until = _checks.real(until, "until", low=0.0, strict=True)
    within, across = _checks.array(kernel, "kernel"), _checks.array(test_kernel, "test_kernel")
    targets = _checks.array(y, "y").astype(np.float64)
    size = targets.size
    fits = within.shape[-2:] == (size, size) and across.ndim > 1 and across.shape[-2] % targets.shape[-1] == 0
    if targets.ndim != 2 or not fits or (*across.shape[:-2], across.shape[-1]) != within.shape[:-1]:
        shapes = f"{within.shape}, {across.shape} and {targets.shape}"
        raise ValueError(f"kernels must have shapes (…, N·C, N·C) and (…, M·C, N·C), and y (N, C), got {shapes}")
    values, vectors = np.linalg.eigh(within)
    parts = _times(np.swapaxes(vectors, -1, -2), targets.ravel())
    decay = _decay(np.maximum(values, 0.0), parts**2 / (2 * len(targets)), until)
    positive = np.where(values > 0, values, 1.0)
    learned = _times(vectors, np.where(values > 0, -np.expm1(-decay) / positive, 0.0) * parts)
    return _times(across, learned).reshape(*within.shape[:-2], -1, targets.shape[1])


def _decay(values: np.ndarray, losses: np.ndarray, until: float) -> np.ndarray:
    """Return λτ for the τ at which Σ losses e^(−2λτ) is `until`, shape (…, N); 0 where it is so from the start."""
    rates = values / np.maximum(values.max(-1, keepdims=True), np.finfo(float).tiny)
    if (np.where(rates > 1e-12, 0.0, losses).sum(-1) >= until).any():
        least = np.where(rates > 1e-12, 0.0, losses).sum(-1).max()
        raise ValueError(f"until must be above what the kernel cannot learn, got {until:g}, and {least:g} remains")
    low, high = np.full((*rates.shape[:-1], 1), -40.0), np.full((*rates.shape[:-1], 1), 40.0)  # of ln τ
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = (losses * np.exp(-2 * rates * np.exp(middle))).sum(-1, keepdims=True) > until
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(losses.sum(-1, keepdims=True) <= until, 0.0, rates * np.exp(high))
