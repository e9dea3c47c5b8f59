"""The command ``initgrade``: one short function for each subcommand; the work is done elsewhere.

What lives here reads arguments and prints. What marks and what keeps the gradebook is imported when it is needed: a
student who runs ``doctor`` has neither.
"""

import argparse
import dataclasses
import difflib
import errno
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import course as courses
from . import doctor
from .course import Course, CourseError
from .submission import Malformed

if TYPE_CHECKING:
    from .sandbox import Limits

DONE, FAILED, REFUSED = 0, 1, 2

_ABOUT = """\
Coursework, from the instructor's notebook to the page that a student gets back.

  a student:      doctor
  an instructor:  release -> (students hand in) -> run -> merge -> (marks by hand) -> merge, feedback, export
"""
_END = """\
The course's folder is the nearest one with a course.yml, or the folder coursework of one above; --course names another.
Exit status: 0 done, 1 something needs a look, 2 refused, with what to do. The guide is coursework/README.md.
"""


def _course(options: argparse.Namespace) -> Course:
    return courses.load(options.course.resolve() if options.course else courses.find())


def limits(course: Course) -> "Limits":
    """Return the limits of one submission: those of the course's settings, the rest by default.

    Raises
    ------
    CourseError
        If a setting is unknown or no positive number.
    """
    from .sandbox import Limits

    kinds: dict[str, type[float] | type[int]] = {
        field.name: float if isinstance(field.default, float) else int for field in dataclasses.fields(Limits)
    }
    for name, value in course.limits.items():
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise CourseError(f"limits has no setting {name!r}{hint} It has: {', '.join(kinds)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise CourseError(f"limits: {name} is {value!r}; give a number above 0")
    given: dict[str, Any] = {name: kinds[name](value) for name, value in course.limits.items()}
    return Limits(**given)


def _release(options: argparse.Namespace) -> int:
    from . import handing_out

    released, *handouts = handing_out.release(_course(options), options.assignment)
    print(f"Students' version, with an example's parameters: {released}")
    for path in handouts:
        print(f"  {path}")
    print(f"Copies with students' own parameters: {len(handouts)}.")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    findings = doctor.doctor(options.submission)
    tried = options.run and not any(finding.serious for finding in findings)
    findings += doctor.tried(options.submission) if tried else []
    print(doctor.report(options.submission, findings, tried=tried))
    return FAILED if any(finding.serious for finding in findings) else DONE


def _marker(options: argparse.Namespace, course: Course) -> dict[str, Any]:
    own = {"trust_container": True} if options.trust_container else {}
    return {"key": courses.key(course), "limits": limits(course), **own}


def _checks(course: Course, assignment: str) -> Path:
    course.entry(assignment)
    if not course.checks(assignment).is_file():
        raise CourseError(f"{course.checks(assignment)} is missing; without its checks an assignment cannot be marked")
    return course.checks(assignment)


def _run(options: argparse.Namespace) -> int:
    from . import marking, records

    course = _course(options)
    checks, results = _checks(course, options.assignment), course.root / "results"
    settings = _marker(options, course)
    found = marking.run(course.root / "submitted", checks, results, jobs=options.jobs, dask=options.dask, **settings)
    failed = {result["student"]: result["message"] for result in found if result["status"] == "infrastructure_error"}
    if not found:
        print(f"Nothing was handed in: {course.submitted(options.assignment, 'STUDENT')}")
        return FAILED
    print(f"Submissions: {len(found)} ({records.counts(found)}). {results / options.assignment}")
    again = [result["student"] for result in found if result.get("attempts", 1) > 1 and result["student"] not in failed]
    if again:
        print(f"The sandbox started only at the second attempt for: {', '.join(again)}")
    if failed:
        print("Not marked, because the marker failed. Repair that and run the same command:")
    for student, why in failed.items():
        print(f"  {student}: {why}")
    _alike(course, options.assignment)
    return FAILED if failed else DONE


def _alike(course: Course, assignment: str) -> None:
    """Print which submissions are equal, or nearly."""
    from . import likeness

    for line in likeness.report(course.root / "submitted", assignment, course.source(assignment)):
        print(line)


def _one(options: argparse.Namespace) -> int:
    from . import marking, records, tables, wording

    course, path = _course(options), options.submission
    assignment = options.assignment or path.stem
    checks = _checks(course, assignment)
    student = courses.check_name(options.student or path.resolve().parent.parent.name, "a student")
    result = marking.one(path, checks, student=student, **_marker(options, course))
    marking.write(result, options.out)
    if result["status"] == "infrastructure_error":
        print(f"{student}, {assignment}: not marked, because the marker failed: {result['message']}: {options.out}")
        return FAILED
    if options.gradescope:
        told = tables.gradescope(result, wording.lessons(course.root, assignment))
        records.write(options.gradescope, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    print(f"{student}, {assignment}: {result['status']}, {result['score']:g} of {result['max_score']:g}: {options.out}")
    return DONE


def _merge(options: argparse.Namespace) -> int:
    from . import paperwork

    course = _course(options)
    done = paperwork.merge(course, options.assignment)
    print(f"Results in {course.gradebook}: {len(done.written)}{f' ({done.counts})' if done.counts else ''}.")
    for what, students in (
        ("To be marked by hand in formgrader", done.to_mark_by_hand),
        ("Counted as on time, because no time stamp says otherwise", done.undated),
    ):
        if students:
            print(f"{what}: {', '.join(students)}")
    for student, why in done.unmarked.items():
        print(f"No marks for {student}: {why}. Run: initgrade run {options.assignment}")
    _alike(course, options.assignment)
    return FAILED if done.unmarked else DONE


def _feedback(options: argparse.Namespace) -> int:
    from . import paperwork

    written, without = paperwork.feedback_pages(_course(options), options.assignment)
    for path in written:
        print(path)
    for student, why in without.items():
        print(f"No page for {student}: {why}.")
    return FAILED if without else DONE


def _export(options: argparse.Namespace) -> int:
    from . import paperwork, records, tables

    course = _course(options)
    names = [options.assignment] if options.assignment else paperwork.released(course)
    if options.worksheet:
        if len(names) != 1:
            raise CourseError("a worksheet is of one assignment; name it: initgrade export ps3 --worksheet FILE")
        options.format = "moodle"
        grades = tables.worksheet(course, names[0], options.worksheet.read_text(encoding="utf-8-sig"))
    elif options.format == "all":
        grades = tables.Grades(paperwork.export(course, names))
    else:
        grades = tables.grades(course, names, options.format)
    if options.csv == "-":
        print(grades.text, end="")
    else:
        records.write(Path(options.csv), grades.text)
        above = 2 if options.format == "canvas" else 1  # the header, and Canvas' points possible
        print(f"Lines with marks in {options.csv}: {grades.text.count(chr(10)) - above}")
    for student, why in grades.left_out.items():
        print(f"Left out: {student}: {why}", file=sys.stderr)
    if grades.unknown:
        known_by = ", ".join(tables.KNOWN_BY[options.format])
        print(f"The roster has none of {known_by} for: {', '.join(grades.unknown)}", file=sys.stderr)
    return FAILED if grades.left_out or grades.unknown else DONE


def _regrade(options: argparse.Namespace) -> int:
    from . import marking, records

    course = _course(options)
    checks = _checks(course, options.assignment)
    stored = records.results(course, options.assignment)
    for student in options.student:
        if student not in stored:
            near = difflib.get_close_matches(student, stored, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise CourseError(f"{student!r} has no result in {course.results(options.assignment)}{hint}")
    stored = {student: stored[student] for student in options.student or stored}
    settings = _marker(options, course)
    changed = 0
    for student, old in stored.items():
        new = marking.one_of(course.root / "submitted", checks, student, seed=records.seed(old), **settings)
        lines = records.difference(old, new)
        if new["status"] == "infrastructure_error":
            lines.append(f"not marked, because the marker failed: {new['message']}")
        changed += bool(lines)
        for line in lines:
            print(f"{student}: {line}")
        if not options.diff and new["status"] != "infrastructure_error":
            marking.write(new, course.results(options.assignment) / f"{student}.json")
    kept = "; the stored results are as they were" if options.diff else ""
    print(f"{changed} of {len(stored)} results differ{kept}.")
    return FAILED if changed and options.diff else DONE


def _erase(options: argparse.Namespace) -> int:
    from . import books

    course = _course(options)
    found = books.traces(course, options.student)
    if not found:
        print(f"Nothing in {course.root} is about {options.student!r}.")
        return FAILED
    print("\n".join([f"This will be deleted from {course.root} for good:", *(f"  {trace}" for trace in found)]))
    if not options.yes and input(f"Type {options.student} to delete it: ").strip() != options.student:
        print("Nothing was deleted.")
        return FAILED
    books.erase(course, options.student)
    if left := books.mentions(course, options.student):
        print(
            "\n".join(
                ["These files name the student too, among others; see to them yourself:", *(f"  {x}" for x in left)]
            )
        )
    print(f"Deleted. Not known here: backups, exported tables, nbgrader's exchange, the history of git. {_GIT}")
    return DONE


_GIT = "The guide says what to do about those."


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser("initgrade", description=_ABOUT, epilog=_END, formatter_class=raw)
    top.add_argument("--course", type=Path, metavar="FOLDER", help="the course's folder, with its course.yml")
    verbs = top.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)

    def verb(name: str, do: Any, summary: str, more: str = "") -> argparse.ArgumentParser:
        text = f"{summary[0].upper()}{summary[1:]}. {more}".strip()
        made = verbs.add_parser(name, help=summary, description=text)
        made.set_defaults(do=do)
        return made

    _assignment(verb("release", _release, "make the students' version, and each student's copy", _MORE["release"]))
    read = verb("doctor", _doctor, "say what is wrong with a notebook before it is handed in", _MORE["doctor"])
    read.add_argument("submission", type=Path, help="the notebook")
    read.add_argument(
        "--run", action="store_true", help="run the visible checks too, in the sandbox (needs bubblewrap)"
    )
    run = verb("run", _run, "mark all submissions of an assignment", f"{_MORE['run']} {_defaults()}")
    _assignment(run)
    run.add_argument("-j", "--jobs", type=_positive, default=2, metavar="N", help="submissions at a time (default: 2)")
    run.add_argument(
        "--dask", metavar="ADDRESS", type=_address, help="send the same work to this Dask scheduler, tcp://host:8786"
    )
    single = verb("one", _one, "mark one submission and write its result", _MORE["one"])
    single.add_argument("submission", type=Path, help="the notebook")
    single.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the result goes, as JSON")
    single.add_argument("--gradescope", type=Path, metavar="FILE", help="write Gradescope's results.json as well")
    single.add_argument("--student", help="whose it is (default: by its folder, STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb)")
    single.add_argument("--assignment", help="what it answers (default: by its file's name)")
    _assignment(verb("merge", _merge, "write the results into nbgrader's gradebook", _MORE["merge"]))
    _assignment(verb("feedback", _feedback, "write a page for each student", _MORE["feedback"]))
    export = verb("export", _export, "write the marks as a table", _MORE["export"])
    export.add_argument("assignment", nargs="?", help="such as ps3 (default: all that were released)")
    export.add_argument("--format", choices=("all", "canvas", "moodle"), default="all", help=_MORE["format"])
    export.add_argument("--worksheet", type=Path, metavar="FILE", help=_MORE["worksheet"])
    export.add_argument("--csv", nargs="?", const="-", default="-", metavar="FILE", help="where to (default: print it)")
    again = verb("regrade", _regrade, "mark again with the stored random numbers", _MORE["regrade"])
    _assignment(again)
    again.add_argument("--student", action="append", default=[], help="only this one; may be given more than once")
    again.add_argument("--diff", action="store_true", help="only show what would change")
    erase = verb("erase", _erase, "delete all that is stored about a student", _MORE["erase"])
    erase.add_argument("student", help="the name in the roster")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    for marks in (run, verbs.choices["one"], again):
        marks.add_argument("--trust-container", action="store_true", help=_TRUST)
    return top


_TRUST = "there is no bubblewrap, and nothing in this container or beyond its walls is worth protecting"
_MORE = {
    "release": "nbgrader strips the solutions; the copies in handout/STUDENT hold each student's own VARIANT.",
    "doctor": "It changes nothing, needs no course's folder, and runs nothing unless you say --run.",
    "run": "What is marked already stays marked, so an interrupted run goes on where it stopped. Needs bubblewrap.",
    "one": "This is the unit of work of every run. It exits with 0 unless the marker itself failed.",
    "merge": "Twice is the same as once; marks given by hand stay. A failure of the marker never becomes a mark.",
    "feedback": "Only results that may become marks get a page. Merge first: comments and lateness come from there.",
    "export": "One line for each student and assignment; marks by hand and lateness are in it.",
    "format": "all marks (default), or the course's points as Canvas or Moodle import them",
    "worksheet": "fill in the offline grading worksheet that Moodle wrote for one assignment",
    "regrade": "Without --diff the new results are stored; merge them then.",
    "erase": "Asks for confirmation.",
}


def _assignment(of: argparse.ArgumentParser) -> None:
    of.add_argument("assignment", help="its name, such as ps3")


def _defaults() -> str:
    try:
        from .sandbox import Limits
    except (ImportError, AttributeError):  # a student's machine need not be one that can mark
        return ""
    limits = ", ".join(f"{field.name} {field.default}" for field in dataclasses.fields(Limits))
    return f"The limits of a submission are set in course.yml, in seconds and bytes; by default: {limits}."


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _address(text: str) -> str:
    if not re.fullmatch(r"[a-z]+://\S+:\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no scheduler's address; it has the form tcp://host:8786")
    return text


_ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EFBIG: "Free some space, or raise the limit on the size of a file",
    errno.EROFS: "Use a folder that can be written",
    errno.EACCES: "Give this account the right to it",
    errno.EPERM: "Give this account the right to it",
}


def _trouble(error: OSError) -> str:
    """Return in a line what the system refused, and what to do."""
    advice = _ADVICE.get(error.errno or 0, "Repair that")
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}. {advice}, and run the same command again; what is done stays done"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except (CourseError, Malformed) as error:
        print(f"initgrade: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"initgrade: {error}. Marking needs more: pip install -e '.[grading]'", file=sys.stderr)
    except OSError as error:
        print(f"initgrade: {_trouble(error)}", file=sys.stderr)
    except (RuntimeError, ValueError) as error:
        if type(error).__name__ not in ("NoSandbox", "ChecksError"):
            raise
        print(f"initgrade: {error}", file=sys.stderr)
    return REFUSED
