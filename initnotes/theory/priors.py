"""Where the bias of an output starts if nothing is known but how frequent the classes are.

What lives here minimizes losses over one number.
"""

from __future__ import annotations

import math

from .. import _checks

__all__ = ["prior_bias"]


def prior_bias(prior: float, *, gamma: float = 0.0, alpha: float | None = None) -> float:
    """Return the bias of a logistic output that minimizes its mean loss before it sees any input.

    Cross-entropy has its minimum where the output is the prior, b = ln(π/(1 − π)). Focal loss weighs −ln p by
    (1 − p)^γ, which moves the minimum away from there.

    Parameters
    ----------
    prior : float
        π, the share of positive labels, in (0, 1).
    gamma : float
        γ of the focal loss; 0 is cross-entropy.
    alpha : float, optional
        Weight α of positive labels, beside 1 − α of the others, in (0, 1); without it both weigh the same.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    References
    ----------
    Lin, Goyal, Girshick, He & Dollár, "Focal loss for dense object detection", ICCV 2017: the loss, and a bias of
    −ln((1 − π)/π) whatever γ.

    Examples
    --------
    >>> round(prior_bias(0.01), 3), round(prior_bias(0.01, gamma=2.0), 3)
    (-4.595, -1.706)
    """
    from scipy.optimize import brentq

    power = _checks.real(gamma, "gamma", low=0.0)
    shares = {"prior": prior, "alpha": 0.5 if alpha is None else alpha}
    for name, value in shares.items():
        if not 0 < _checks.real(value, name) < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    positive, negative = (a * b for a, b in (shares.values(), [1 - value for value in shares.values()]))

    def slope(b: float) -> float:
        """∂loss/∂b, with p = σ(b): of each kind of label, its part times p^γ or (1 − p)^γ."""
        p, rest = 1 / (1 + math.exp(-b)), 1 / (1 + math.exp(b))
        of_positive = rest**power * (power * p * math.log(p) - rest)
        return positive * of_positive + negative * p**power * (p - power * rest * math.log(rest))

    return float(brentq(slope, -700.0 / (1 + power), 700.0 / (1 + power), xtol=1e-12))
