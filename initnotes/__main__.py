"""The command line, ``python -m initnotes audit package.module:factory``.

What lives here reads arguments and prints; the audit itself is in ``examine``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

__all__ = ["main"]

_EPILOG = """The factory takes no arguments and returns (model, batch) or (model, batch, loss): what ini.audit takes.
Exit status: 0 if there is no error and no warning, 1 if there is, 2 if the audit could not be made."""


class UnusableError(Exception):
    """What was named cannot be audited."""


def load(name: str) -> Any:
    """Return what ``package.module:factory`` names.

    Raises
    ------
    UnusableError
        If the name has another form, there is no such module or factory, or the module fails.
    """
    module, colon, factory = name.partition(":")
    if not (module and colon and factory):
        raise UnusableError(f"expected package.module:factory, got {name!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = import_module(module)
    except (Exception, SystemExit) as error:  # a module is free to do anything
        raise UnusableError(f"cannot import {module!r}: {type(error).__name__}: {error}") from error
    for part in factory.split("."):
        if not hasattr(found, part):
            offered = ", ".join(key for key in dir(found) if key[0] != "_" and callable(getattr(found, key, None)))
            raise UnusableError(f"{module!r} has no {factory!r}; it has {offered or 'nothing that can be called'}")
        found = getattr(found, part)
    return found


def report_of(name: str) -> Any:
    """Call a factory and audit what it returns.

    Raises
    ------
    UnusableError
        If the factory fails, returns something else, or the audit cannot be made.
    """
    from .examine import audit

    factory = load(name)
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        raise UnusableError(f"{name} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        given = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
        raise UnusableError(f"{name} must return (model, batch) or (model, batch, loss), got {given}")
    model, batch, *loss = made
    try:
        return audit(model, batch, loss=loss[0] if loss else None)
    except (Exception, SystemExit) as error:
        raise UnusableError(f"{type(error).__name__}: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv[1:]`` without it.

    Returns
    -------
    int
        0 without errors and warnings, 1 with, 2 if the audit could not be made.
    """
    parser = argparse.ArgumentParser(prog="python -m initnotes", description="Examine a network at initialization.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("audit", help="diagnose a network", epilog=_EPILOG)
    command.add_argument("factory", help="package.module:factory, such as my.models:small")
    command.add_argument("--json", action="store_true", help="print JSON in place of the report")
    options = parser.parse_args(arguments)
    try:
        report = report_of(options.factory)
    except UnusableError as error:
        print(f"{parser.prog} audit: {error}", file=sys.stderr)
        return 2
    print(report.to_json() if options.json else report)
    return 0 if report.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
