"""nbgrader's settings for this folder. Its Autograde is off: it would run submissions where they can change marks."""

from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.Autograde.exporter_class = "initgrade.formgrader.Off"
c.Autograde.sanitize_preprocessors = c.Autograde.autograde_preprocessors = []

folder = Path(__file__).resolve().parent
c.CourseDirectory.root = str(folder)

from initgrade import course  # noqa: E402 - whatever fails from here on, Autograde is off

c.CourseDirectory.course_id = course.load(folder).name
