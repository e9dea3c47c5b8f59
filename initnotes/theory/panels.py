"""The two rules by which theory integrates over a panel: Gauss's with 16 nodes, checked by Lobatto's with 11.

What lives here are their nodes and weights on [−1, 1].
"""

import numpy as np

__all__ = ["COARSE_NODES", "COARSE_WEIGHTS", "FINE_NODES", "FINE_WEIGHTS"]

FINE_NODES, FINE_WEIGHTS = np.polynomial.legendre.leggauss(16)

_P10 = np.polynomial.legendre.Legendre.basis(10)
_LOBATTO = np.concatenate([[-1.0], _P10.deriv().roots(), [1.0]])
COARSE_WEIGHTS = 2 / (110 * _P10(_LOBATTO) ** 2)
COARSE_NODES = (1 - 1e-12) * _LOBATTO  # at both ends and in the middle, where a jump could hide, but not beyond a jump
