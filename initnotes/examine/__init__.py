"""One examiner of any network at its start: `probe` measures every layer, `audit` says what is wrong and mends it.

What lives here changes nothing of the network; theory comes from ``theory``, and what fills layers is in ``layers``.

One pass (``examiner``) runs a model, whose parts ``walk`` names, under ``hooks``, to which ``anatomy`` says what a
module is, puts it back (``untouched``), and reads autograd's graph (``graph``, ``nodes``). What passes is summed in
``moments``. There are two views of it: arrays (``statistics.Probe``), and facts for each layer (``statistics.Record``,
in a ``Case``), which are judged in ``findings`` and ``drifts`` by ``limits``; ``second_step`` tells which zeros move
and ``appended`` which rows are new. What is found is mended in ``fixes``, tried in ``trials`` and told in ``report``,
in words of ``chapters``. To all of them the book's ``ensembles`` are modules; a plain one is measured without hooks, in
``plain``.
"""

from .drifts import slope
from .examiner import audit, probe
from .limits import (
    DEAD_ERROR,
    DEAD_INPUTS,
    DEAD_LEAST,
    DEAD_MARGIN,
    INPUT_HIGH,
    INPUT_LOW,
    INPUT_OFFSET,
    INPUT_UNEQUAL,
    LOSS_ERROR,
    LOSS_WARNING,
    NEW_ROWS,
    PARAMETER_ERROR,
    PARAMETER_WARNING,
    SATURATED_ERROR,
    SATURATED_WARNING,
    SCALE_HIGH,
    SCALE_HIGH_ERROR,
    SCALE_LOW,
    SCALE_LOW_ERROR,
    SLOPE_ERROR,
    SLOPE_LAYERS,
    SLOPE_WARNING,
    STEADY,
)
from .moments import SATURATED
from .report import KINDS, SEVERITIES, Finding, Report
from .statistics import Probe, Record

__all__ = [
    "DEAD_ERROR",
    "DEAD_INPUTS",
    "DEAD_LEAST",
    "DEAD_MARGIN",
    "INPUT_HIGH",
    "INPUT_LOW",
    "INPUT_OFFSET",
    "INPUT_UNEQUAL",
    "KINDS",
    "LOSS_ERROR",
    "LOSS_WARNING",
    "NEW_ROWS",
    "PARAMETER_ERROR",
    "PARAMETER_WARNING",
    "SATURATED",
    "SATURATED_ERROR",
    "SATURATED_WARNING",
    "SCALE_HIGH",
    "SCALE_HIGH_ERROR",
    "SCALE_LOW",
    "SCALE_LOW_ERROR",
    "SEVERITIES",
    "SLOPE_ERROR",
    "SLOPE_LAYERS",
    "SLOPE_WARNING",
    "STEADY",
    "Finding",
    "Probe",
    "Record",
    "Report",
    "audit",
    "probe",
    "slope",
]
