"""Faults that a test must see: in formulas, signs and thresholds, each with one quick test.

What lives here are lists; `mutants` plants what they name. A text that no longer stands where a row says, or a test
that is gone, fails ``make mutants`` and the tests of it.
"""

from .in_networks import NETWORKS
from .in_the_book import BOOK
from .in_the_tool import TOOL
from .mutant import Mutant

__all__ = ["MUTANTS", "Mutant"]

MUTANTS: tuple[Mutant, ...] = (*TOOL, *NETWORKS, *BOOK)
