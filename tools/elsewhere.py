r"""The last cell of each notebook, which no page shows: what its citations and links name and no other cell of it has.

JupyterLab reads a notebook alone. A citation, or a link to another chapter, would be a warning there; with this cell it
is a link to the source, or to the notebook that has the place. ``python -m tools.elsewhere`` writes the cells and
executes nothing; ``make run`` writes them too.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

from .files import ROOT, replace_file
from .notebooks import chapters, dump, load, tags

TAG = "elsewhere"
BOOK = ROOT / "book"
_HEAD = "**Terms, sources, and places in other chapters.** JupyterLab shows here what a link leads to."
_CITED = re.compile(r"\{cite(?::[a-z]+)?\}`([^`]+)`")
_NAMED = re.compile(r"\{(?:ref|eq|numref|prf:ref)\}`(?:[^`<]*<)?([\w-]+)>?`|\]\(#([\w-]+)\)")
_OWN = re.compile(r"^\(([\w-]+)\)=|^\$\$ \(([\w-]+)\)|^\s*:(?:label|name): ([\w-]+)", re.MULTILINE)
_TERM = re.compile(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`")
_DEFINED = re.compile(r"^(\w.*)\n((?:  .+\n?)+)", re.MULTILINE)
_ROLE = re.compile(r"\{\w+\}`([^`<]+?)(?:\s*<[^`>]*>)?`")
_PLACE = re.compile(r"^\(([\w-]+)\)=\s*\n+#+ (.+)$|^\$\$ \(([\w-]+)\)|^\s*:label: ([\w-]+)", re.MULTILINE)
_VENUES = ("journal", "booktitle", "publisher", "school", "institution", "howpublished")


def _text(notebook: NotebookNode) -> str:
    cells = [
        cell for cell in notebook.cells if cell.cell_type == "markdown" and TAG not in cell.metadata.get("tags", [])
    ]
    return "\n\n".join(cell.source for cell in cells)


def cited(text: str) -> list[str]:
    """Return the sources that a text cites, each once.

    Examples
    --------
    >>> cited("{cite:p}`he2015{equation 14},glorot2010` and {cite:t}`he2015`")
    ['he2015', 'glorot2010']

    Raises
    ------
    ValueError
        If the place in a source has a comma, where JupyterLab would part it.
    """
    keys: list[str] = []
    for found in _CITED.findall(text):
        if re.search(r"\{[^}]*[,;]", found):
            raise ValueError(f'JupyterLab parts the citation {found!r} at its comma; write "and"')
        keys += [key.strip() for key in re.sub(r"\{[^}]*\}", "", found).split(",")]
    return list(dict.fromkeys(keys))


def named(text: str) -> list[str]:
    """Return the labels that a text links to and does not have itself, each once.

    Examples
    --------
    >>> named("{ref}`Chapter 6 <he>`, {eq}`he-log`, [it](#he-width), {ref}`he`")
    ['he', 'he-log', 'he-width']
    """
    own = {name for names in _OWN.findall(text) for name in names if name}
    found = (name for names in _NAMED.findall(text) for name in names if name)
    return [name for name in dict.fromkeys(found) if name not in own]


def terms(text: str) -> list[str]:
    """Return the terms of the glossary that a text uses, each once.

    Examples
    --------
    >>> terms("a {term}`replica`, {term}`schemes <scheme>`")
    ['replica', 'scheme']
    """
    return list(dict.fromkeys(term.strip().lower() for term in _TERM.findall(text)))


def _chapter(path: Path) -> str:
    """Return what a page is called: its number, if it has one, and its title."""
    text = _source(path)
    title = next((line[2:] for line in text.splitlines() if line.startswith("# ")), path.stem)
    return f"Chapter {int(path.stem[:2])}, {title}" if path.stem[:2].isdigit() else title


@cache
def _source(path: Path) -> str:
    return _text(load(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")


@cache
def _places(book: Path) -> dict[str, tuple[str, Path]]:
    """Return where each label of the book is, and what the site calls it."""
    found = {}
    for path in sorted([*book.glob("*.ipynb"), *book.glob("*.md")]):
        number, equations = path.stem[:2].lstrip("0"), 0
        for label, title, equation, other in _PLACE.findall(_source(path)):
            equations += bool(equation)
            name = title or (f"({number}.{equations})" if equation else _chapter(path))
            found[label or equation or other] = (name, path)
    return found


@cache
def _bibliography(root: Path) -> dict[str, Entry]:
    return dict(parse_file(str(root / "references.bib")).entries)


def _plain(text: str) -> str:
    return str(Text.from_latex(text)).replace("*", r"\*")


def _who(entry: Entry) -> str:
    """Return authors as a citation names them."""
    names = [_plain(" ".join([*person.prelast_names, *person.last_names])) for person in entry.persons["author"]]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)


def _source_entry(key: str, book: Path) -> str:
    entry = _bibliography(book.parent)[key]
    fields = entry.fields
    venue = next((_plain(fields[name]) for name in _VENUES if name in fields), "")
    roots = {"doi": "https://doi.org/", "eprint": "https://arxiv.org/abs/", "url": ""}
    link = next((f"<{root}{fields[name]}>" for name, root in roots.items() if name in fields), "")
    told = [f"*{_plain(fields['title'])}*", *filter(None, [venue]), fields["year"]]
    return f"({key})=\n{_who(entry)}, {fields['year']}\n: {', '.join(told)}. {link}".rstrip()


def _place_entry(label: str, book: Path) -> str:
    name, path = _places(book)[label]
    return f"({label})=\n{name}\n: [{_chapter(path)}]({path.name})"


@cache
def _glossary(book: Path) -> dict[str, str]:
    """Return what each term means, without links of its own."""
    found = _DEFINED.findall((book / "glossary.md").read_text(encoding="utf-8"))
    plain = {term: _ROLE.sub(r"\1", " ".join(meaning.split())) for term, meaning in found}
    return {term.lower(): f"{term}\n: {meaning}" for term, meaning in plain.items()}


def source(notebook: NotebookNode, book: Path = BOOK) -> str:
    """Return the text of the last cell, empty if the notebook names nothing that it does not have.

    Raises
    ------
    KeyError
        If nothing in the book has a label, a source or a term that the notebook names.
    """
    text = _text(notebook)

    def entries() -> Iterator[str]:
        if terms(text):
            meanings = "\n\n".join(_glossary(book)[term] for term in sorted(terms(text)))
            yield f"```{{glossary}}\n{meanings}\n```"
        for key in sorted(cited(text)):
            yield _source_entry(key, book)
        for label in named(text):
            if not label.startswith("fig-"):
                yield _place_entry(label, book)

    found = list(entries())
    return "\n\n".join([_HEAD, *found]) if found else ""


def prepared(notebook: NotebookNode, book: Path = BOOK) -> NotebookNode:
    """Write the last cell anew, in place; without anything to say there is none."""
    text = source(notebook, book)
    notebook.cells = [cell for cell in notebook.cells if TAG not in tags(cell)]
    if text:
        notebook.cells.append(nbformat.v4.new_markdown_cell(text, id=TAG, metadata={"tags": [TAG, "remove-cell"]}))
    return notebook


def main() -> None:
    for path in chapters():
        if replace_file(path, dump(prepared(load(path))).encode("utf-8")):
            print(f"{path.stem}: written")


if __name__ == "__main__":
    main()
