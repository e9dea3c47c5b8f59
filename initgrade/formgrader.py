"""What nbgrader's formgrader gets instead of its Autograde, which would run submissions where they can change marks.

What lives here refuses. `nbgrader_config.py` in the course's folder names it.
"""

from typing import Any

from nbconvert.exporters import NotebookExporter


class AutogradeIsOff(RuntimeError):  # noqa: N818
    """Somebody pressed the button, or typed ``nbgrader autograde``; says what to do."""


class Off(NotebookExporter):
    """The exporter of nbgrader's ``Autograde``: it is made before anything is run, copied or deleted, and refuses."""

    def __init__(self, *given: Any, **options: Any) -> None:
        raise AutogradeIsOff(
            "nbgrader's Autograde runs a submission with your rights: it can read and change everybody's marks. "
            "It is off in this course. Run `initgrade run ASSIGNMENT` and `initgrade merge ASSIGNMENT` instead."
        )
