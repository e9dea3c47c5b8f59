"""What the theme's files need before a page may use them: icons as a small font, formulas' fonts as woff2 only.

The theme brings every icon of Font Awesome three times: as a script, as fonts and as rules in its style sheet. The book
uses some thirty. They are cut out of the theme's own font, so that what the theme draws with them stays.
"""

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pydata_sphinx_theme
import sphinx_book_theme
import tinycss2
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

from . import paper
from .files import replace_file
from .formulas import FOLDER as KATEX

ICONS = (
    "angle-left", "angle-right", "arrow-up", "bars", "chevron-down", "circle-half-stroke", "clock", "download",
    "expand", "file", "file-pdf", "list", "magnifying-glass", "moon", "outdent", "rocket", "sun", "xmark",
)  # fmt: skip
STYLE = "styles/pydata-sphinx-theme.css"
_THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
_BOOK_THEME = Path(sphinx_book_theme.__file__).parent / "theme" / "sphinx_book_theme" / "static"
_MAPPED = (
    _THEME / "scripts" / "bootstrap.js",
    _THEME / "scripts" / "pydata-sphinx-theme.js",
    _BOOK_THEME / "scripts" / "sphinx-book-theme.js",
    _BOOK_THEME / "styles" / "sphinx-book-theme.css",
)
_FONT = "vendor/fontawesome/webfonts/fa-solid-900.ttf"
_BASE = """
@font-face{font-family:Icons;font-weight:900;font-display:block;src:url(../icons.woff) format("woff")}
:root{--fa-font-solid:normal 900 1em/1 Icons}
.fa-solid,.fas{font:var(--fa-font-solid);display:inline-block;-webkit-font-smoothing:antialiased}
.bd-search .fa-solid.fa-magnifying-glass{position:static}
.fa-lg{font-size:1.25em;line-height:.05em;vertical-align:-.075em}
"""


def style(theme: str, icons: tuple[str, ...] = ICONS) -> str:
    """Return the theme's style sheet with the rules for `icons` instead of those for all.

    Raises
    ------
    ValueError
        If the theme has no icon of that name.
    """
    rule = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"(\\[0-9a-f]+|.)"\}')
    codes = {name: code for names, code in rule.findall(theme) for name in re.findall(r"\.fa-([\w-]+):", names)}
    unknown = [name for name in icons if name not in codes]
    if unknown:
        raise ValueError(f"Font Awesome has no icon {unknown[0]!r}; correct the list in tools/assets.py")
    start = theme.index("/*!\n * Font Awesome")
    end = max(match.end() for match in rule.finditer(theme))
    own = "".join(f'.fa-{name}:before{{content:"{codes[name]}"}}' for name in icons)
    return unmapped(theme[:start] + theme[end:]) + _BASE + own


def words(folder: Path) -> set[str]:
    """Return the classes of all pages in `folder`, and every word of its scripts, which may add or look for one."""
    found: set[str] = set()
    for path in folder.rglob("*.html"):
        for _, names in re.findall(r"""class=(["'])(.*?)\1""", path.read_text(encoding="utf-8"), re.DOTALL):
            found.update(names.split())
    for path in (*folder.rglob("*.js"), *folder.rglob("*.mjs")):
        found.update(re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))
    return found


def used(sheet: str, known: set[str]) -> str:
    """Return a style sheet without the selectors that need a class which is not `known`, and without empty rules."""
    return "\n".join(_used(tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True), known))


def _used(rules: Iterable[Any], known: set[str]) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            alive = [selector for selector in _selectors(rule.prelude) if _may_match(selector, known)]
            if alive:
                names = [tinycss2.serialize(selector).strip() for selector in alive]
                yield from paper.rules(names, tinycss2.serialize(rule.content).strip())
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports") and rule.content:
            inner = list(_used(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True), known))
            if inner:
                prelude = tinycss2.serialize(rule.prelude)
                if rule.lower_at_keyword == "media":
                    prelude = f" {paper.condition(prelude)}"
                yield f"@{rule.at_keyword}{prelude}{{{''.join(inner)}}}"
        else:
            yield rule.serialize()


def _selectors(prelude: list[Any]) -> list[list[Any]]:
    found: list[list[Any]] = [[]]
    for token in prelude:
        if token == ",":
            found.append([])
        else:
            found[-1].append(token)
    return found


def _may_match(selector: list[Any], known: set[str]) -> bool:
    """Return whether all classes of a selector are known; those inside of :not(…), :is(…) and the like do not count."""
    pairs = pairwise(selector)
    return all(name.value in known for dot, name in pairs if dot == "." and name.type == "ident")


def unmapped(text: str) -> str:
    """Return a script or style sheet without the name of its source map, which is not published."""
    return re.sub(r"\n?(//# sourceMappingURL=.*|/\*# sourceMappingURL=.*?\*/)", "", text).replace(
        "Font Awesome\\ 6 Free", "Icons"
    )


_TAB_STOPS = re.compile(r'"complete"===document\.readyState\?(\w+)\(\):window\.addEventListener\("load",\1\)')


def unhurried(script: str) -> str:
    """Return the theme's script without its measuring of every box: it lays out the whole page, a second on a phone.

    ``reading.mjs`` measures what comes near, and makes the same boxes stops for the keyboard.

    Raises
    ------
    ValueError
        If the script has no such part.
    """
    done, count = _TAB_STOPS.subn("void 0", script)
    if count != 1:
        raise ValueError(f"{count} parts of the theme's script measure boxes at load, not 1; correct tools/assets.py")
    return done


def codes(*sheets: str) -> set[int]:
    """Return the characters of the private use area that style sheets print."""
    found = {int(code, 16) for sheet in sheets for code in re.findall(r'"\\([0-9a-fA-F]{4,5})"', sheet)}
    return found | {ord(char) for sheet in sheets for char in sheet if "\ue000" <= char <= "\uf8ff"}


def subset(characters: set[int]) -> bytes:
    """Return the theme's font of icons with these characters only, as woff."""
    with TTFont(_THEME / _FONT, recalcTimestamp=False) as font:
        options = Options(layout_features=[], hinting=False, name_IDs=[])
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=characters)
        subsetter.subset(font)
        font.flavor = "woff"
        file = BytesIO()
        font.save(file)
    return file.getvalue()


def prepare(folder: Path) -> None:
    """Write what replaces the theme's files, and KaTeX's style and fonts, into `folder`."""
    sheet = style((_THEME / STYLE).read_text(encoding="utf-8"))
    if replace_file(folder / STYLE, sheet.encode("utf-8")) or not (folder / "icons.woff").is_file():
        replace_file(folder / "icons.woff", subset(codes(sheet) | {0xF107}))
    for file in _MAPPED:
        text = unmapped(file.read_text(encoding="utf-8"))
        text = unhurried(text) if file.name == "pydata-sphinx-theme.js" else text
        replace_file(folder / file.parent.name / file.name, text.encode("utf-8"))
    katex = (KATEX / "katex.min.css").read_text(encoding="utf-8")
    katex = re.sub(r',url\([^)]*\) format\("(woff|truetype)"\)', "", katex)
    replace_file(folder / "katex" / "katex.css", katex.encode("utf-8"))
    for font in (KATEX / "fonts").glob("*.woff2"):
        replace_file(folder / "katex" / "fonts" / font.name, font.read_bytes())
