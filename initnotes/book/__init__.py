"""The book's own apparatus: claims and their ledger, figures, data, the live figures, the clinic's patients.

What lives here may use the tool, which never uses it. Its modules load when first used.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"the book has no module {name!r}") from None
