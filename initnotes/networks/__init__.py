"""Ensembles of R networks with a leading replica axis, and how all replicas train at once.

What lives here draws, passes signals and trains; what the layers look like is for ``examine``.
"""

from . import training
from .attention import Transformer
from .changes import own_changes
from .convolution import Convolutional
from .ensemble import Ensemble, Gradients, Signals, join
from .products import order_free_product
from .residual import Normalized, Residual, mean_squares
from .starts import STARTS, Start, residual_start
from .steps import normalize
from .tangent import doubled, movement, tangent_kernel
from .training import History, train
from .units import accuracy, distinct_units, distinct_values, spread
from .updates import function_change

__all__ = [
    "STARTS",
    "Convolutional",
    "Ensemble",
    "Gradients",
    "History",
    "Normalized",
    "Residual",
    "Signals",
    "Start",
    "Transformer",
    "accuracy",
    "distinct_units",
    "distinct_values",
    "doubled",
    "function_change",
    "join",
    "mean_squares",
    "movement",
    "normalize",
    "order_free_product",
    "own_changes",
    "residual_start",
    "spread",
    "tangent_kernel",
    "train",
    "training",
]
