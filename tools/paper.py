"""What a page needs to be printed well: light colors whatever the reader chose, no phone's layout, a running head.

How paper looks is in ``book/assets/print.css``; live figures print as their pictures (``book/assets/print.mjs``).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from . import offers

_DARK = re.compile(r"""(?<!:not\()\[data-theme=["']?dark["']?\]""")
_LIGHT = re.compile(r"""(?<!:not\()\[data-theme=["']?light["']?\]""")
_SCREENS = re.compile(r"(?<![\w-])\((?:max-width|width\s*<|prefers-color-scheme:\s*dark)")


def rules(selectors: list[str], content: str) -> Iterator[str]:
    """Yield a rule as paper wants it: a dark theme's holds on screens only, a light one's on paper in each theme.

    Examples
    --------
    >>> list(rules(["[data-theme=dark] p", "b"], "color:red"))
    ['b{color:red}', '@media screen{[data-theme=dark] p{color:red}}']
    >>> list(rules(["[data-theme=light] p"], "color:red"))
    ['[data-theme=light] p{color:red}', '@media print{[data-theme] p{color:red}}']
    """
    dark = [selector for selector in selectors if _DARK.search(selector)]
    others = [selector for selector in selectors if selector not in dark]
    light = [_LIGHT.sub("[data-theme]", selector) for selector in others if _LIGHT.search(selector)]
    for frame, some in (("{}", others), ("@media screen{{{}}}", dark), ("@media print{{{}}}", light)):
        if some:
            yield frame.format(f"{','.join(some)}{{{content}}}")


def condition(query: str) -> str:
    """Return a media query that no paper fulfills only because it is as narrow as a phone.

    Examples
    --------
    >>> condition("(max-width: 767px)"), condition("print"), condition("(min-width: 9em), (max-width: 5em)")
    ('screen and (max-width: 767px)', 'print', '(min-width: 9em), screen and (max-width: 5em)')
    """
    parts = [part.strip() for part in query.split(",")]
    return ", ".join(f"screen and {part}" if _SCREENS.match(part) else part for part in parts)


def quoted(text: str) -> str:
    r"""Return a text as a string of CSS that may stand in a page's ``<style>``.

    Examples
    --------
    >>> print(quoted('The "first" step'))
    "The \22 first\22  step"
    """
    return '"' + re.sub(r'["\\<>&\n]', lambda sign: f"\\{ord(sign.group()):x} ", text) + '"'


def heads(left: str, right: str, page: str = "") -> str:
    """Return the rule that gives printed pages, or those of the name `page`, their running head."""
    return f"@page {page}{{@top-left{{content:{quoted(left)}}}@top-right{{content:{quoted(right)}}}}}"


def title(app: Sphinx, pagename: str) -> str:
    """Return the title of a page with its chapter's number."""
    number = app.env.toc_secnumbers.get(pagename, {}).get("", ())
    return f"{'.'.join(map(str, number))}. ".lstrip(". ") + app.env.titles[pagename].astext()


def _page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    if doctree is not None:
        book = str(app.config.html_title).partition(": ")[0]
        own = title(app, pagename)
        rule = heads(book, "" if own == book else own)
        context["metatags"] = context.get("metatags", "") + f"\n    <style>{rule}</style>"


def _withdraw(app: Sphinx, error: Exception | None) -> None:
    path = Path(app.outdir, f"{app.config.root_doc}.html")
    if not error and app.builder.format == "html":
        path.write_text(offers.withdrawn(path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what pages get for paper."""
    app.connect("html-page-context", _page)
    app.connect("build-finished", _withdraw)  # before tools.pages drops the files that no page links to
    return {"parallel_read_safe": True, "parallel_write_safe": True}
