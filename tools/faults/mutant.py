"""A fault, as a row of the lists beside says it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A fault: `new` for `old` in the one place of the Python files of `where`, a folder or a file, where `old` stands.

    If `old` is a name, it is that of a module's constant, and `new` is its value.
    """

    where: str
    old: str
    new: str
    test: str  # pytest's node, which must fail by an assertion

    def __str__(self) -> str:
        return f"{self.old!r} -> {self.new!r} in {self.where}, which {self.test} should see"
