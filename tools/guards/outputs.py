"""Guards on the outputs of a notebook: of a kind that pages show, harmless, small, and the same on every machine."""

import html
import re
from html.parser import HTMLParser

from nbformat import NotebookNode as Notebook

from ..notebooks import code_cells, dump, images, name_of, tags, texts

PNG_BYTES = 200_000
TEXT_BYTES = 20_000
SLIDER_BYTES = 40_000  # a live figure that holds its curves
LEDGER_BYTES = 200_000  # the table of all claims: some 2 kB for each
NOTEBOOK_BYTES = 600_000
CLAIM = "application/vnd.initnotes.claim+json"
MIME_TYPES = ("text/plain", "text/html", "text/markdown", "text/latex", "image/png", CLAIM)


def mime_types(notebook: Notebook) -> list[str]:
    """Every output can be shown on a page and be compared: text, HTML, PNG, and a claim's JSON beside them."""
    return [
        f"{name_of(notebook, cell)}: an output of the kind {mime}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        for mime in output.get("data", {})
        if mime not in MIME_TYPES
    ]


_LIVE = ("init-lab", "train-lab", "curve-slider")


class _Refused(HTMLParser):
    """Collects what HTML in an output must not hold: what runs, loads, or is a picture without a description.

    The live figures may: the picture that they hold for where they are not live has a title.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_lab, self.in_svg = False, False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_lab |= tag in _LIVE
        if self.in_svg and tag != "title":
            self.found.append("<svg> without a title")
        self.in_svg = tag == "svg" and self.in_lab
        if tag in ("script", "svg", "img", "iframe", "object", "embed") and not self.in_svg:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"<{tag} {name}=...>")

    def handle_endtag(self, tag: str) -> None:
        self.in_lab &= tag not in _LIVE


def active_html(notebook: Notebook) -> list[str]:
    """No HTML in an output holds a script, an event handler, a frame or a picture."""
    return [
        f"{name_of(notebook, cell)}: {what} in an output's HTML"
        for cell in code_cells(notebook)
        for output in cell.outputs
        for mime in ("text/html", "text/markdown")
        for what in _Refused(output.get("data", {}).get(mime, "")).found
    ]


def output_size(notebook: Notebook) -> list[str]:
    """No picture is over 200 kB, no text over 20 kB (a slider 40 kB, the ledger 200 kB) and no notebook over 600 kB."""
    faults = []
    for cell in code_cells(notebook):
        sizes = [(len(image), PNG_BYTES, "picture") for image in images(cell)]
        most = LEDGER_BYTES if "ledger" in tags(cell) else TEXT_BYTES
        sizes += [
            (len(text.encode()), SLIDER_BYTES if text.startswith("<curve-slider ") else most, "text")
            for text in texts(cell)
        ]
        faults += [
            f"{name_of(notebook, cell)}: a {kind} of {size:,} bytes, more than {limit:,}"
            for size, limit, kind in sizes
            if size > limit
        ]
    size = len(dump(notebook).encode())
    return faults + (
        [f"the notebook has {size:,} bytes, more than {NOTEBOOK_BYTES:,}"] if size > NOTEBOOK_BYTES else []
    )


_MONTH = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_TRACES = {
    "a memory address": re.compile(r"\b0x[0-9a-fA-F]{6,}"),
    "an absolute path": re.compile(
        r"(?<![\w./<)\]}])/[A-Za-z_.](?:[\w.@+-]*/)+[\w.@+-]*|\b[A-Za-z]:(?:\\{1,2}|/)\w|file://"
    ),
    "a date": re.compile(
        rf"\b(19|20)\d\d([-/])\d\d?\2\d\d?(?!\d)|\b\d\d?([./])\d\d?\3(19|20)\d\d\b"
        rf"|\b\d{{1,2}}\.? {_MONTH} (19|20)\d\d\b|\b{_MONTH} \d{{1,2}},? (19|20)\d\d\b"
    ),
    "a time of day": re.compile(r"(?<!\d)\d{1,2}:\d\d:\d\d\b"),
    "a timing": re.compile(
        r"(?<![\d.])(?!(?:19|20)\d0s)[\d.]*\d\s?(?:ns|µs|μs|us|ms|s(?![.-][a-z])|secs?|seconds?|minutes?|hours?"
        r"|mins?(?!\s*(?:[\d=:(-]|\.\d)))\b|\b(?:Wall time|CPU times)\b|\dit/s|\ds/it"
    ),
}


def machine_traces(notebook: Notebook) -> list[str]:
    """No output holds a memory address, an absolute path, a date or a timing."""
    return [
        f"{name_of(notebook, cell)}: {what} in an output: {match.group()!r}"
        for cell in code_cells(notebook)
        for text in texts(cell)
        for what, pattern in _TRACES.items()
        for match in [pattern.search(html.unescape(text))]
        if match
    ]


def not_numbers(notebook: Notebook) -> list[str]:
    """No output prints NaN or infinity, but in a cell tagged ``prints-nan``."""
    pattern = re.compile(r"(?<![\w-])[-+]?(nan|inf|infinity|∞)(?![\w-])", re.IGNORECASE)
    return [
        f"{name_of(notebook, cell)}: prints {match.group()!r}"
        for cell in code_cells(notebook)
        if "prints-nan" not in tags(cell)
        for text in texts(cell)
        for match in [pattern.search(text)]
        if match
    ]
