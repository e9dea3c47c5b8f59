"""What is made from the built pages and offered on the first of them, such as the whole book as a PDF.

A build withdraws what earlier pages offered, and drops the files that no page links to.
"""

import html
import re
import shutil
from pathlib import Path

_LINE = re.compile(r'\n<p class="chapter-facts" data-offers>(.*?)</p>', re.DOTALL)
_LINK = re.compile(r'<a href="([^"]+)" download>(.*?)</a>')
_PLACE = re.compile(r'<p class="topic">.*?</p>\s*<p>.*?</p>', re.DOTALL)  # the first paragraph has a form of its own


def offer(pages: Path, first: str, file: Path, text: str) -> None:
    """Put a copy of `file` into the folder `pages`, and a link with this `text` on the page `first`; others stay.

    Raises
    ------
    ValueError
        If the page has no line with the book's topic, or no paragraph after it, below which offers stand.
    """
    path = pages / f"{first}.html"
    page = path.read_text(encoding="utf-8")
    up = "../" * first.count("/")
    links = offered(page) | {f"{up}{file.name}": html.escape(text)}
    line = "".join(f'<a href="{name}" download>{words}</a>' for name, words in links.items())
    page, found = _PLACE.subn(
        lambda place: f'{place.group()}\n<p class="chapter-facts" data-offers>{line}</p>', withdrawn(page), count=1
    )
    if not found:
        raise ValueError(f"{first}.html has no paragraph of the class topic to offer {file.name} below")
    shutil.copyfile(file, pages / file.name)
    path.write_text(page, encoding="utf-8")


def offered(page: str) -> dict[str, str]:
    """Return the address and the words of each link that a page offers."""
    return dict(_LINK.findall("".join(_LINE.findall(page))))


def withdrawn(page: str) -> str:
    """Return a page without its offers."""
    return _LINE.sub("", page)
