"""Guards on the book as a whole: stored forms, contents, links, pins, and the pictures that are made elsewhere."""

import importlib.metadata
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from ..files import ROOT
from ..notebooks import MINE, code_cells, dump, images, load, normalize, toc_files


def pages(root: Path = ROOT) -> list[Path]:
    """Return every page under book/, notebooks and Markdown, but for the learner's own copies."""
    found = [*(root / "book").rglob("*.ipynb"), *(root / "book").rglob("*.md")]
    return sorted(p for p in found if ".ipynb_checkpoints" not in p.parts and root / MINE not in p.parents)


def notebooks(root: Path = ROOT) -> list[Path]:
    """Return every notebook under book/, but for the learner's own copies."""
    return [path for path in pages(root) if path.suffix == ".ipynb"]


def table_of_contents(root: Path) -> list[str]:
    """_toc.yml names every page under book/ once, and every name in it is a page."""
    listed = Counter(toc_files(root))
    there = Counter(path.relative_to(root).with_suffix("").as_posix() for path in pages(root))
    return [
        *(f"_toc.yml names {name}, which is not there" for name in listed if name not in there),
        *(f"_toc.yml names {name} {count} times" for name, count in listed.items() if count > 1),
        *(f"{name} is not in _toc.yml" for name in there if name not in listed),
        *(f"{name} is both a notebook and a Markdown page" for name, count in there.items() if count > 1),
    ]


_CODE = re.compile(r"^(`{3,}|~{3,})(?!\{)[^\n]*\n.*?^\1[`~]*\s*$|(?<!`)`[^`\n]+`(?!`)", re.MULTILINE | re.DOTALL)
_MATH = re.compile(r"\$\$.*?\$\$|(?<!\\)\$[^$\n]+\$", re.DOTALL)
_LINKS = (
    re.compile(r"""\]\(\s*(?:<([^>\n]+)>|([^)\s<]+))(?:\s+(?:"[^"]*"|'[^']*'|\([^)]*\)))?\s*\)"""),
    re.compile(r"""\b(?:src|href)\s*=\s*(?:"([^"]+)"|'([^']+)'|([^\s"'>]+))""", re.IGNORECASE),
    re.compile(r"^(?:`{3,}|:{3,})\{(?:figure|image|include|literalinclude)\}\s*(\S+)", re.MULTILINE),
    re.compile(r"^\[(?!\^)[^\]]+\]:\s*(?:<([^>\n]+)>|(\S+))", re.MULTILINE),
)
_ROLES = re.compile(r"\{(?:doc|download)\}`(?:[^`<]*<)?([^`>]+)>?`")


def markdown(path: Path) -> str:
    """Return the prose of a page: a Markdown file's text, or a notebook's Markdown cells."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in load(path).cells if cell.cell_type == "markdown")


def link_targets(text: str) -> Iterator[str]:
    """Yield the targets of the internal links in `text`, without their anchors."""
    prose = _MATH.sub("", _CODE.sub("", text))
    matches = [match for pattern in _LINKS for match in pattern.finditer(prose)]
    for match in [*matches, *_ROLES.finditer(text)]:  # a role looks like inline code, which is not in `prose`
        target = next(filter(None, match.groups()))
        if not re.match(r"[a-z][a-z0-9+.-]*:|//|#", target, re.IGNORECASE):
            yield unquote(target.split("#")[0].split("?")[0])


def links(root: Path) -> list[str]:
    """Every internal link on a page and in the documents at the root leads to a file of the repository."""
    faults, inside = [], root.resolve()
    for page in [*pages(root), *sorted(root.glob("*.md"))]:
        for target in link_targets(markdown(page)):
            wanted = ((root if target.startswith("/") else page.parent) / target.lstrip("/")).resolve()
            there = any(wanted.with_name(wanted.name + suffix).is_file() for suffix in ("", ".md", ".ipynb"))
            if not there or not wanted.is_relative_to(inside):
                faults.append(f"{page.relative_to(root).as_posix()}: no file for the link {target!r}")
    return faults


def pins(root: Path) -> list[str]:
    """Every requirement is pinned exactly, and what is installed is what is pinned."""
    faults = []
    for file in sorted(root.glob("requirements*.txt")):
        for line in file.read_text(encoding="utf-8").splitlines():
            requirement = line.split("#")[0].split(";")[0].strip()
            if not requirement or requirement.startswith(("-r ", "-e ")):
                continue
            name, _, version = requirement.partition("==")
            if not re.fullmatch(r"\d+(\.\w+)*", version):
                faults.append(f"{file.name}: {requirement!r} is not an exact pin")
                continue
            try:
                installed = importlib.metadata.version(name.split("[")[0]).split("+")[0]
            except importlib.metadata.PackageNotFoundError:
                installed = "nothing"
            if installed != version:
                faults.append(f"{file.name}: {requirement} is pinned, {installed} is installed")
    return faults


def stored_form(path: Path) -> list[str]:
    """Say so when the file is not what ``make run`` would store for the same outputs."""
    same = path.read_bytes() == dump(normalize(load(path))).encode("utf-8")
    return [] if same else [f"{path.name} is not in its stored form: run `make run CHAPTER={path.stem}`"]


def cover(root: Path) -> list[str]:
    """Exactly one cell is tagged ``cover``, and book/assets/cover.png is the picture that it stored."""
    found = [image for path in notebooks(root) for cell in code_cells(load(path), "cover") for image in images(cell)]
    if len(found) != 1:
        return [f"{len(found)} pictures come from cells tagged cover, not one"]
    file = root / "book" / "assets" / "cover.png"
    same = file.is_file() and file.read_bytes() == found[0]
    return [] if same else ["book/assets/cover.png is not the stored picture of the cell tagged cover: `make run`"]


def landing_figure(root: Path) -> list[str]:
    """book/assets/lab-landing.html is the live figure that the code makes for the landing page."""
    from initnotes import widgets

    file = root / "book" / "assets" / "lab-landing.html"
    same = file.is_file() and file.read_text(encoding="utf-8") == widgets.to_html(**widgets.LANDING) + "\n"
    return [] if same else ["book/assets/lab-landing.html is not what initnotes.widgets makes: `make run`"]
