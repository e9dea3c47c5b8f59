"""What the callbacks share: when they look, what they tell, and that no failure of theirs ends a run.

What lives here knows no trainer; each callback says where its trainer's steps and loggers are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from .. import _checks
from ..examine import Report
from ..examine.limits import limits
from .first_steps import FirstSteps, SecondLook, headline, numbers

__all__ = ["Run", "needed"]

Log = Callable[[Mapping[str, float]], None]


def needed(name: str, extra: str) -> Any:
    """Import a module of a trainer; raise, with the extra that brings it, where that cannot be done."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name} is needed here and cannot be imported ({error}); pip install 'initnotes[{extra}]'"
        ) from error


class Run:
    """The two looks at one training run.

    Parameters
    ----------
    after : int
        The number of steps after which the second look is taken.
    logger : logging.Logger
        Of the trainer: for lines.
    options
        As `FirstSteps` takes them.

    Attributes
    ----------
    first_look : Report or None
    second_look : SecondLook or None
    """

    def __init__(self, after: int, logger: logging.Logger, **options: Any) -> None:
        limits(options["thresholds"])  # a wrong name is an error now, and no warning of a run that has begun
        self.after, self.logger, self.options = _checks.integer(after, "after"), logger, options
        self.restart()

    def restart(self) -> None:
        """Forget the run before."""
        self.first_look: Report | None = None
        self.second_look: SecondLook | None = None
        self.steps: FirstSteps | None = None
        self.marked = False

    def begin(self, model: Any, batch: Any, loss: Any, log: Log) -> None:
        """Take the first look."""

        def look() -> None:
            self.steps = FirstSteps(model, batch, loss=loss, **self.options)
            self.first_look = self.steps.before()
            self._tell(headline(self.first_look), numbers(self.first_look), log, grave=not self.first_look.healthy)

        self.guarded(look)

    def before_step(self, done: int) -> None:
        """Keep the weights, if the second look comes after the step that is next; so many are done."""

        def mark() -> None:
            assert self.steps is not None
            self.steps.mark()
            self.marked = True

        if self.steps is not None and not self.marked and done + 1 >= self.after:
            self.guarded(mark)

    def after_step(self, done: int, log: Log) -> None:
        """Take the second look, if it is time; so many steps are done."""

        def look() -> None:
            assert self.steps is not None
            self.second_look = self.steps.after(done)
            self.steps = None  # the batch is not needed any more
            self._tell(str(self.second_look), numbers(self.second_look), log, grave=bool(self.second_look.new))

        if self.steps is not None and self.marked and done >= self.after:
            self.guarded(look)

    def end(self, done: int) -> None:
        """Say that training has ended before the second look."""
        if self.steps is not None:
            self.steps = None
            self.say(f"training ended after {done} of {self.after} steps, before the second look")

    def say(self, why: str) -> None:
        """Say in one line why there is no look."""
        self.logger.warning("initnotes: %s", why)

    def guarded(self, look: Callable[[], None]) -> None:
        """Do it; a failure is one line, and the end of the looks."""
        try:
            look()
        except Exception as error:
            self.steps = None
            said = " ".join(f"{type(error).__name__}: {error}".split())
            self.say(f"the look at the network failed, and training goes on: {said[:300]}")

    def _tell(self, line: str, found: Mapping[str, float], log: Log, *, grave: bool) -> None:
        self.logger.log(logging.WARNING if grave else logging.INFO, line)
        log(found)
