"""Weight initialization: schemes, theory, ensembles of networks, an examiner, and the book's claims.

``import initnotes as ini`` is fast: a room loads when first used. What is public stands in one table, ``__init__.pyi``,
which type checkers read too. Two wings: the rooms of ``book`` serve the chapters, all others go along with you.
"""

import difflib
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__:
        try:
            return _load(name)
        except ModuleNotFoundError as error:
            if error.name in ("matplotlib", "sklearn"):
                advice = f'ini.{name} needs {error.name}: pip install "initnotes[book]"'
                raise ModuleNotFoundError(advice, name=error.name) from None
            raise
    if name.endswith("_") and name[:-1] in __all__:
        raise AttributeError(
            f"module 'initnotes' has no attribute {name!r}; use ini.{name[:-1]}.fill_(tensor, rng=rng)"
        )
    nearest = difflib.get_close_matches(name, __all__, n=1)
    hint = f"did you mean {nearest[0]!r}? Its" if nearest else "its"
    raise AttributeError(f"module 'initnotes' has no attribute {name!r}; {hint} public names are {', '.join(__all__)}")
