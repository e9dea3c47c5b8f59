"""Ensembles of R networks with a leading replica axis, and how all replicas train at once.

What lives here draws, passes signals and trains; what the layers look like is for ``examine``.
"""

from . import training
from .attention import Transformer
from .changes import own_changes
from .ensemble import Ensemble, Gradients, Signals, join
from .products import order_free_product
from .residual import Normalized, Residual, mean_squares, normalize
from .tangent import doubled, movement, tangent_kernel
from .training import History, train
from .units import accuracy, distinct_units, distinct_values, spread

__all__ = [
    "Ensemble",
    "Gradients",
    "History",
    "Normalized",
    "Residual",
    "Signals",
    "Transformer",
    "accuracy",
    "distinct_units",
    "distinct_values",
    "doubled",
    "join",
    "mean_squares",
    "movement",
    "normalize",
    "order_free_product",
    "own_changes",
    "spread",
    "tangent_kernel",
    "train",
    "training",
]
