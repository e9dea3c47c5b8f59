"""What comparing outputs leaves out: numbers whose last digits differ by machine.

A claim holds them unrounded as JSON; tests compare that with the text beside it. In
the text ≈ marks what differs even in its first digit.
"""

import pytest

CLAIM = "application/vnd.initnotes.claim+json"
ROUGH = r"≈ [^\s;,<]+(?: \[[^\]\n]+\])?"


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Tell nbval, which has no option for it."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += (CLAIM,)
        collector.sanitize_patterns[ROUGH] = "≈"
