"""The thresholds of an audit, each with its reason.

What lives here is numbers; ``benchmarks/audit.py`` measures how often they miss and how often they cry wolf.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from .. import _checks

__all__ = [
    "DEAD_ERROR",
    "DEAD_INPUTS",
    "DEAD_LEAST",
    "DEAD_MARGIN",
    "INPUT_HIGH",
    "INPUT_LOW",
    "INPUT_OFFSET",
    "INPUT_UNEQUAL",
    "LOSS_ERROR",
    "LOSS_WARNING",
    "NEW_ROWS",
    "PARAMETER_ERROR",
    "PARAMETER_WARNING",
    "SATURATED_ERROR",
    "SATURATED_WARNING",
    "SCALE_HIGH",
    "SCALE_HIGH_ERROR",
    "SCALE_LOW",
    "SCALE_LOW_ERROR",
    "SLOPE_ERROR",
    "SLOPE_LAYERS",
    "SLOPE_WARNING",
    "STEADY",
    "USUAL",
    "Limits",
    "limits",
]

# A slope is told from at least four layers: of three, two differences have the same sign half of the time by chance.
SLOPE_LAYERS = 4
# Over the depth, 100 times is what training feels, and what He's weights do not do by chance at width 32 and depth 30.
SLOPE_WARNING, SLOPE_ERROR = math.log(1e2), math.log(1e3)
STEADY = 0.6  # Kendall's τ of a statistic with depth: a single step reaches 0.5 at most
# Units that are off for all inputs: deep under He's weights inputs are alike and half of them are. Four standard
# deviations of a count of fair coins above one half, never fewer than 60 %.
DEAD_MARGIN, DEAD_LEAST, DEAD_ERROR, DEAD_INPUTS = 4.0, 0.6, 0.95, 8
SATURATED_WARNING, SATURATED_ERROR = 0.4, 0.7  # tanh under Xavier's weights and unit inputs: below 0.01
# √(fan_in · E W²) against the gain that fits: PyTorch's default for ReLU is 0.41 times it, and trains.
SCALE_LOW, SCALE_HIGH, SCALE_LOW_ERROR, SCALE_HIGH_ERROR = 0.1, 4.0, 1e-3, 100.0
# Size of a factor that is no weight matrix, such as a γ or a scale: they start at 1 or below.
PARAMETER_WARNING, PARAMETER_ERROR = 100.0, 1e4
# Half the variance of random logits that would cost as much as the loss is above a fair guess; He's scale in the last
# layer has about 1, and deep networks of width 64 scatter around it.
LOSS_WARNING, LOSS_ERROR = 3.0, 6.0
# The smallest of the rows at a table's end, in root mean squares of the rows before: those of a trained table differ by
# a factor of two or three, and N(0, 1) behind rows of std 0.02 to 0.14 is 50 to 7 times as large.
NEW_ROWS = 5.0
INPUT_HIGH, INPUT_LOW = 10.0, 0.01  # root mean square
INPUT_OFFSET, INPUT_UNEQUAL = 4.0, 100.0  # |mean| / std; std of the largest feature / that of the middle one


@dataclass(frozen=True)
class Limits:
    """The thresholds that one audit uses; the constants of the same names, in capitals, are the usual ones."""

    slope_layers: float = SLOPE_LAYERS
    slope_warning: float = SLOPE_WARNING
    slope_error: float = SLOPE_ERROR
    steady: float = STEADY
    dead_margin: float = DEAD_MARGIN
    dead_least: float = DEAD_LEAST
    dead_error: float = DEAD_ERROR
    dead_inputs: float = DEAD_INPUTS
    saturated_warning: float = SATURATED_WARNING
    saturated_error: float = SATURATED_ERROR
    scale_low: float = SCALE_LOW
    scale_high: float = SCALE_HIGH
    scale_low_error: float = SCALE_LOW_ERROR
    scale_high_error: float = SCALE_HIGH_ERROR
    parameter_warning: float = PARAMETER_WARNING
    parameter_error: float = PARAMETER_ERROR
    loss_warning: float = LOSS_WARNING
    loss_error: float = LOSS_ERROR
    new_rows: float = NEW_ROWS
    input_high: float = INPUT_HIGH
    input_low: float = INPUT_LOW
    input_offset: float = INPUT_OFFSET
    input_unequal: float = INPUT_UNEQUAL


USUAL = Limits()


def limits(thresholds: Mapping[str, float] | None) -> Limits:
    """Return the thresholds of an audit, of which some may be given by name.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown or a value is not a number.

    Examples
    --------
    >>> limits({"dead_error": 0.99}).dead_error
    0.99
    """
    if thresholds is None:
        return USUAL
    if not isinstance(thresholds, Mapping):
        raise TypeError(f"thresholds must be a dict of names and numbers, got {thresholds!r}")
    names = tuple(field.name for field in fields(Limits))
    given = {_checks.one_of(str(name).lower(), "a threshold", names): value for name, value in thresholds.items()}
    return replace(USUAL, **{name: _checks.real(value, name) for name, value in given.items()})
