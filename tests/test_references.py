"""references.bib: the form of its entries, and that every key that a page cites is there.

Each rule is a function that returns what breaks it, run on the file and on a planted fault that it must see. The parser
of sphinxcontrib-bibtex reads the file, and raises at a key that is there twice.
"""

import json
import re
from pathlib import Path

import pytest
from pybtex.database import BibliographyData, BibliographyDataError, parse_file, parse_string

ROOT = Path(__file__).parent.parent
FILE = ROOT / "references.bib"
VENUE = {  # what says where a work of this kind can be found
    "article": ("journal",),
    "book": ("publisher",),
    "incollection": ("booktitle",),
    "inproceedings": ("booktitle",),
    "misc": ("eprint", "howpublished", "url"),
    "techreport": ("institution",),
}
PATTERNS = {
    "year": r"\d{4}",
    "doi": r"10\.\d{4,9}/\S+",
    "pages": r"\w+(--\w+)?",  # from--to, or one
    "eprint": r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}",
    "url": r"https://\S+",
    "archivePrefix": r"arXiv",
}
_CITE = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")


def malformed(data: BibliographyData) -> list[str]:
    """Every entry has an author, a title, a year and a venue, and what ``PATTERNS`` names has its form."""
    faults = []
    for key, entry in data.entries.items():
        fields = entry.fields
        faults += [f"{key}: no {field}" for field in ("title", "year") if not fields.get(field, "").strip()]
        faults += [] if entry.persons.get("author") else [f"{key}: no author"]
        venues = VENUE.get(entry.type, ())
        faults += [] if any(venue in fields for venue in venues) else [f"{key}: none of {venues or entry.type}"]
        faults += [
            f"{key}: {field} = {{{fields[field]}}}"
            for field, pattern in PATTERNS.items()
            if field in fields and not re.fullmatch(pattern, fields[field])
        ]
        faults += [f"{key}: eprint of no archive"] if "eprint" in fields and "archivePrefix" not in fields else []
    return faults


def cited(text: str) -> set[str]:
    """Return the keys that a text cites; what stands in braces behind a key is a place in the work."""
    spans = (re.sub(r"\{[^}]*\}", "", span) for span in _CITE.findall(text))
    return {key.strip() for span in spans for key in span.split(",")}


def pages() -> dict[str, str]:
    """Return the text of each page of the book and of the coursework, by its path."""
    found = {}
    for folder in ("book", "coursework"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix == ".md":
                found[str(path)] = path.read_text(encoding="utf-8")
            elif path.suffix == ".ipynb":
                cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
                found[str(path)] = "\n\n".join(
                    "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"
                )
    return found


def missing(texts: dict[str, str], data: BibliographyData) -> list[str]:
    """Every key that a page cites is an entry."""
    return [f"{path}: {key}" for path, text in texts.items() for key in sorted(cited(text) - set(data.entries))]


def test_the_entries_have_their_form():
    assert malformed(parse_file(FILE)) == []


def test_every_cited_key_is_there():
    assert missing(pages(), parse_file(FILE)) == []


GOOD = {
    "author": "Doe, Jane",
    "title": "On zeros",
    "journal": "Zeros",
    "year": "2001",
    "pages": "1--9",
    "doi": "10.1000/182",
    "eprint": "2001.00001",
    "archivePrefix": "arXiv",
}


def entry(**changes: str | None) -> str:
    fields = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return "@article{doe2001,\n" + ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items()) + "\n}\n"


def test_a_good_entry_is_good():
    assert malformed(parse_string(entry(), "bibtex")) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"author": None}, "no author"),
        ({"title": None}, "no title"),
        ({"year": None}, "no year"),
        ({"year": "in press"}, "year = {in press}"),
        ({"journal": None}, "none of ('journal',)"),
        ({"pages": "1-9"}, "pages = {1-9}"),
        ({"pages": "1–9"}, "pages = {1–9}"),
        ({"doi": "https://doi.org/10.1000/182"}, "doi = {https://doi.org/10.1000/182}"),
        ({"doi": "10.1000"}, "doi = {10.1000}"),
        ({"eprint": "arXiv:2001.00001"}, "eprint = {arXiv:2001.00001}"),
        ({"archivePrefix": None}, "eprint of no archive"),
        ({"url": "http://example.org"}, "url = {http://example.org}"),
    ],
)
def test_a_fault_is_seen(changes, fault):
    assert malformed(parse_string(entry(**changes), "bibtex")) == [f"doe2001: {fault}"]


def test_a_key_that_is_there_twice_is_refused():
    with pytest.raises(BibliographyDataError, match="repeated"):
        parse_string(entry() + entry(), "bibtex")


def test_a_citation_of_nothing_is_seen():
    text = "As {cite:t}`doe2001` and {cite:p}`doe2001{equations 4, 5},roe2002{section 3}` say."
    assert cited(text) == {"doe2001", "roe2002"}
    assert missing({"a.md": text}, parse_string(entry(), "bibtex")) == ["a.md: roe2002"]
