"""The command line, ``python -m initnotes audit package.module:factory``.

What lives here reads arguments and prints; the audit itself is in ``examine``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

__all__ = ["main"]

_EPILOG = """The factory takes no arguments and returns (model, batch) or (model, batch, loss): what ini.audit takes.
Exit status: 0 if there is nothing that fails, 1 if there is, 2 if the audit could not be made."""


FAILS = {"error": ("error",), "warning": ("error", "warning")}


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


def report_of(name: str, ignore: Sequence[str] = ()) -> Any:
    """Call a factory and audit what it returns; what the factory prints goes to standard error.

    Raises
    ------
    UnusableError
        If the factory fails, returns something else, or the audit cannot be made.
    """
    from .examine import audit

    try:
        with redirect_stdout(sys.stderr):
            made = load(name)()
    except UnusableError:
        raise
    except (Exception, SystemExit) as error:
        raise UnusableError(f"{name} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        given = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
        raise UnusableError(f"{name} must return (model, batch) or (model, batch, loss), got {given}")
    model, batch, *loss = made
    try:
        with redirect_stdout(sys.stderr):
            return audit(model, batch, loss=loss[0] if loss else None, ignore=ignore)
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
        0 if nothing fails, 1 if something does, 2 if the audit could not be made.
    """
    parser = argparse.ArgumentParser(prog="python -m initnotes", description="Examine a network at initialization.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("audit", help="diagnose a network", epilog=_EPILOG)
    command.add_argument("factory", help="package.module:factory, such as my.models:small")
    command.add_argument("--json", action="store_true", help="print JSON in place of the report, and nothing else")
    command.add_argument(
        "--fail-on", choices=("error", "warning"), default="warning", help="what makes the exit status 1"
    )
    command.add_argument(
        "--ignore", action="append", default=[], metavar="KIND[: LAYERS]", help='such as "weight scale: head.*"'
    )
    options = parser.parse_args(arguments)
    try:
        report = report_of(options.factory, options.ignore)
    except UnusableError as error:
        print(f"{parser.prog} audit: {error}", file=sys.stderr)
        return 2
    print(report.to_json() if options.json else report)
    return 1 if report.kinds(*FAILS[options.fail_on]) else 0


if __name__ == "__main__":
    sys.exit(main())
