"""The page that a student gets back: points, what was found, plots, what to do next.

What lives here makes one HTML file that needs no other and runs no script; `wording` has its sentences. All that came
from a submission is text in it. It is made from results, so no hidden check can be on it.
"""

import base64
import hashlib
import html
import io
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import wording
from .records import Result

_FOLDER = Path(__file__).parent
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_INK = "#010203"  # becomes the color of the text around it, light or dark
_COLORS = ("#3b82c4", "#d0692a", "#2f9464", "#9a6bc9", "#c2578f")  # contrast 3 or more on both papers
_MARKERS = "os^Dv"
_EXPECTED = ("theory", "wanted")
_MOST_SERIES = 12
_MOST_POINTS = 2000


def page(
    result: Result,
    *,
    title: str,
    by_hand: Sequence[Mapping[str, Any]] = (),
    late: str = "",
    lost: float = 0.0,
    totals: tuple[float, float] | None = None,
    waits: bool = False,
    name: str = "",
    lessons: Mapping[str, wording.Lesson] = MappingProxyType({}),
    others: Sequence[str] = (),
) -> str:
    """Return a student's page.

    Parameters
    ----------
    result : dict
        Of the marker, not an infrastructure error.
    title : str
        Of the assignment.
    by_hand : sequence of dict
        Name, points, max_points and comment of what a person marked; points is None where that is still to come, and
        ``read`` is false where there was nothing to read.
    late : str
        How late it was, in words; empty in time.
    lost : float
        Points lost by that.
    totals : tuple of float, optional
        What counts, and the most that can be had; without it, those of the result.
    waits : bool
        Whether a person still has to mark something.
    name : str
        The student's own name.
    lessons : dict
        By request: how points are given, and where to read.
    others : sequence of str
        Files that were handed in where the notebook was looked for.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    ValueError
        If the result is an infrastructure error: there is nothing to say to the student yet.
    """
    if result["status"] == "infrastructure_error":
        raise ValueError("an infrastructure error is not the student's; run the marker again, then make the page")
    import jinja2
    from markupsafe import Markup

    style = (_FOLDER / "feedback.css").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(
        (_FOLDER / "feedback.html").read_text(encoding="utf-8")
    )
    total, most = totals or (result["score"], result["max_score"])
    said = [wording.request(row, result, lessons.get(row["name"], wording.Lesson())) for row in result["requests"]]
    marks = [wording.by_hand(mark, result) for mark in by_hand if mark["points"] is not None or mark["comment"]]
    return template.render(
        title=title,
        student=f"{wording.clean(name)} ({result['student']})" if name else result["student"],
        style=Markup(style),
        style_hash=_source_hash(style),
        total=wording.number(total),
        most=wording.number(most),
        waits=waits,
        late=late,
        lost=f"-{wording.number(lost)}" if lost else "",
        overall=wording.overall(result, others),
        requests=[_request(each, number) for number, each in enumerate(said)],
        cells=[wording.cell(cell) for cell in result.get("cells") or []],
        by_hand=marks,
        output=wording.clean(result.get("output") or ""),
        receipt=wording.clean(result["hashes"]["submission"])[:16],
    )


def _source_hash(style: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _request(said: wording.Said, number: int) -> dict[str, Any]:
    from markupsafe import Markup

    plot = drawing(said.plot, prefix=f"r{number}-") if said.plot else ""
    return {
        "said": said,
        "points": wording.number(said.points),
        "most": wording.number(said.most),
        "plot": Markup(plot),
        "caption": wording.clean(said.plot["title"]) if said.plot else "",
    }


def drawing(plot: Mapping[str, Any], *, prefix: str) -> str:
    """Return a judge's plot as SVG that stands in a page: its text is text, and its ids begin with `prefix`.

    A series whose label begins with "theory" or "wanted" is drawn dashed, in the color of the text.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    colored = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = dict.fromkeys(colored, _INK)
    # Labels are not parsed as formulas: one that is none would raise.
    settings |= {"svg.fonttype": "none", "svg.hashsalt": "feedback", "font.size": 11.0, "text.parse_math": False}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(4.8, 3.0), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        for number, series in enumerate(plot["series"][:_MOST_SERIES]):
            _draw(axes, series, number)
        axes.set_xlabel(_plain(plot["x_label"]))
        axes.set_ylabel(_plain(plot["y_label"]))
        axes.spines[["top", "right"]].set_visible(False)
        if plot["series"]:
            axes.legend(frameon=False)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue(), prefix, _describe(plot))


def _draw(axes: Any, series: Mapping[str, Any], number: int) -> None:
    label = _plain(series["label"])
    pairs = [(_finite(x), _finite(y)) for x, y in zip(series["x"], series["y"], strict=False)][:_MOST_POINTS]
    x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if label.lower().startswith(_EXPECTED):
        axes.plot(x, y, "--", color=_INK, label=label, linewidth=1.5)
        return
    marker = _MARKERS[number % len(_MARKERS)] if len(pairs) <= 60 else ""
    axes.plot(x, y, marker=marker, markersize=4, color=_COLORS[number % len(_COLORS)], label=label, linewidth=1.5)


def _finite(value: Any) -> float:
    number = float(value) if isinstance(value, int | float) else math.nan
    return number if abs(number) < 1e300 else math.nan  # a gap: an axis cannot show it


def _plain(text: Any) -> str:
    return wording.clean(text).replace("\n", " ")[:48]  # what is longer leaves no room for the plot


def _describe(plot: Mapping[str, Any]) -> str:
    labels = ", ".join(_plain(series["label"]) for series in plot["series"][:_MOST_SERIES])
    return f"{_plain(plot['title'])}: {_plain(plot['y_label'])} against {_plain(plot['x_label'])}, for {labels}"


def _inline(svg: str, prefix: str, description: str) -> str:
    """Return Matplotlib's SVG without style attributes, which the page's policy forbids, and with ids of its own."""
    root = ET.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", svg))
    for parent in root.iter():
        for child in [child for child in parent if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata")]:
            parent.remove(child)
    for element in root.iter():
        _plain_attributes(element, prefix)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": description, "stroke-linejoin": "round", "stroke-linecap": "butt"}
    return _serialized(root)


def _plain_attributes(element: ET.Element, prefix: str) -> None:
    for rule in element.attrib.pop("style", "").split(";"):
        name, _, value = rule.partition(":")
        if value.strip():
            element.set(name.strip(), value.strip())
    if "font-family" in element.attrib:
        element.set("font-family", "sans-serif")
    if reference := element.attrib.pop(_HREF, None):
        element.set("href", f"#{prefix}{reference.removeprefix('#')}")
    for name, value in element.items():
        if name == "id":
            element.set(name, prefix + value)
        elif value == _INK:
            element.set(name, "currentColor")
        elif "url(#" in value:
            element.set(name, value.replace("url(#", f"url(#{prefix}"))


def _serialized(element: ET.Element) -> str:
    tag = element.tag.removeprefix(f"{{{_SVG}}}")
    attributes = "".join(f' {name}="{html.escape(value)}"' for name, value in element.items())
    children = "".join(_serialized(child) + html.escape((child.tail or "").strip()) for child in element)
    return f"<{tag}{attributes}>{html.escape((element.text or '').strip())}{children}</{tag}>"
