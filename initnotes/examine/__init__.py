"""One examiner of any network at its start: `probe` measures every layer, `audit` says what is wrong and mends it.

What lives here changes nothing of the network; theory comes from ``theory``, and what fills layers is in ``layers``.
"""

from .diagnosis import KINDS, SEVERITIES, Finding, Layer, Report, audit
from .measure import SATURATED, Probe, probe

__all__ = ["KINDS", "SATURATED", "SEVERITIES", "Finding", "Layer", "Probe", "Report", "audit", "probe"]
