"""Ensembles of R networks with a leading replica axis, and how all replicas train at once.

What lives here draws, passes signals and trains; what the layers look like is for ``examine``.
"""

from . import training
from .ensemble import Ensemble, Gradients, Signals, join
from .products import order_free_product
from .residual import Normalized, Residual, mean_squares, normalize
from .starts import STARTS, Start, residual_start
from .training import History, train
from .units import accuracy, distinct_units, distinct_values, spread
from .updates import function_change

__all__ = [
    "STARTS",
    "Ensemble",
    "Gradients",
    "History",
    "Normalized",
    "Residual",
    "Signals",
    "Start",
    "accuracy",
    "distinct_units",
    "distinct_values",
    "function_change",
    "join",
    "mean_squares",
    "normalize",
    "order_free_product",
    "residual_start",
    "spread",
    "train",
    "training",
]
