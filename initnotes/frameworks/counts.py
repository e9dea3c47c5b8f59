"""How many names of one library have a call in another.

What lives here counts translations.
"""

from __future__ import annotations

from .._table import Table, table
from .libraries import LIBRARIES
from .registry import REGISTRY
from .translation import translate

__all__ = ["translations"]


def translations() -> Table:
    """Count the names of each library that `translate` can say in another's terms, without a shape.

    Returns
    -------
    Table
        A row per source, a column per target.

    Examples
    --------
    >>> translations()["jax", "to torch"]
    '15 of 15'
    """
    columns: dict[str, list[str]] = {"from": list(LIBRARIES)}
    for target in LIBRARIES:
        columns[f"to {target}"] = [_count(source, target) for source in LIBRARIES]
    return table(columns, caption="Names with a translation")


def _count(source: str, target: str) -> str:
    every = REGISTRY[source].values()
    found = [translate(named.name, source, target, **named.needed) for named in every]
    return f"{sum(map(bool, found))} of {len(found)}"
