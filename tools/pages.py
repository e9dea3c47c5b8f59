"""The book's own part of the Sphinx build: what a page loads, its policy, and which files are published.

``tools.site`` starts the build, ``tools.formulas`` renders the formulas, ``tools.assets`` cuts the theme's files down.
"""

import base64
import hashlib
import html
import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

from . import assets, excerpts, figures, formulas, phone, scripts

TEMPLATES = Path(__file__).resolve().parent / "templates"
_LAST = 900

# ------------------------------------------------------------------------------------------------- what a page loads

# A script that only pages with this text need. Style sheets become one for all pages: one request, and then none.
ONLY_WITH = {
    "clipboard.min.js": 'class="highlight',
    "copybutton.js": 'class="highlight',
    "design-tabs.js": "sd-tab-set",
    **{f"{name}.js": text for name, text in scripts.SCRIPTS.items()},
}


SHEET = "site.css"


def _name(file: Any) -> str:
    """Return the name of a script or style sheet inside of ``_static``."""
    return str(file.filename or "").removeprefix("_static/").split("?")[0]


def needed(scripts: Iterable[Any], body: str) -> list[Any]:
    """Return the scripts that a page with this `body` needs; the theme's notes on each page serve nothing here."""
    notes = [
        script for script in scripts if str(script.attributes.get("body", "")).startswith("DOCUMENTATION_OPTIONS.")
    ]
    return [script for script in scripts if script not in notes and ONLY_WITH.get(_name(script), "") in body]


def one_sheet(folder: Path, names: Iterable[str]) -> str:
    """Return the style sheets `names` of `folder` as one that lies in `folder`."""

    def rebased(name: str) -> str:
        def link(match: re.Match[str]) -> str:
            if re.match("data:|#|/|https?:", match.group(1)):
                return match.group()
            return f"url({posixpath.normpath(posixpath.join(posixpath.dirname(name), match.group(1)))})"

        text = (folder / name).read_text(encoding="utf-8").removeprefix('@charset "UTF-8";')
        return re.sub(r"""url\(["']?([^"')]+)["']?\)""", link, text)

    return "\n".join(map(rebased, names))


def _page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    body = context.get("body", "")
    sheets = ["basic.css", assets.STYLE, *map(_name, sorted(context["css_files"], key=lambda sheet: sheet.priority))]
    app.sheets = sheets  # type: ignore[attr-defined]
    context["css_files"] = []
    context["script_files"] = needed(context["script_files"], body)
    for script in context["script_files"]:
        if _name(script).endswith(".mjs"):
            raise ExtensionError(f"a page opened as a file loads no module: enter {_name(script)} in tools/scripts.py")
        if script.filename:
            script.attributes.setdefault("defer", "defer")
    if doctree is not None:
        context["title"] = html.escape(app.env.titles[pagename].astext(), quote=False)


# ---------------------------------------------------------------------------------------------- its policy, and files

POLICY = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'"
)
_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
# What the theme writes: handlers that the policy forbids, hints that cover buttons, what does nothing without a script.
_MENDED = {
    'onclick="toggleFullScreen()"': 'data-click="fullscreen"',
    'onclick="window.print()"': 'data-click="print"',
    ' data-bs-toggle="tooltip"': "",
    "data-bs-title=": "title=",
    'class="dropdown dropdown-': 'class="pst-js-only dropdown dropdown-',
    'class="btn btn-sm btn-fullscreen-button': 'class="pst-js-only btn btn-sm btn-fullscreen-button',
    'target="_blank"\n   class="btn btn-sm btn-download-source': 'download class="btn btn-sm btn-download-source',
}
_IMAGE = re.compile(r'<img\b[^>]*?\bsrc="((?:\.\./)*_images/[^"?]+)"[^>]*?>')
_ICON = re.compile(r'class="[^"]*?\bfa-(?!solid\b|lg\b)([\w-]+)')


def policy(page: str) -> str:
    """Return the policy of a page: its own files, and those scripts in it that are there now."""
    digests = (hashlib.sha256(body.encode("utf-8")).digest() for body in _SCRIPT.findall(page))
    hashes = {base64.b64encode(digest).decode() for digest in digests}
    return POLICY.format(hashes="".join(f" 'sha256-{digest}'" for digest in sorted(hashes)))


def _sized(page: str, folder: Path) -> str:
    """Give pictures their size, so that nothing moves when they come, and load those below the top when needed."""
    top = page.find("<h2")

    def tag(match: re.Match[str]) -> str:
        if " width=" in match.group() or not (folder / match.group(1)).is_file():
            return match.group()
        with Image.open(folder / match.group(1)) as picture:
            width, height = picture.size
        late = ' loading="lazy"' if 0 <= top < match.start() else ""
        sized = f'{match.group().rstrip("/> ")} width="{width}" height="{height}"{late}'
        return f"{sized} />" if "_images/small/" in match.group(1) else phone.plate(sized, width)

    return _IMAGE.sub(tag, page)


def _versioned(page: str, folder: Path) -> str:
    """Let a browser notice another version of a script or style sheet; Sphinx does not know those that come last."""

    def link(match: re.Match[str]) -> str:
        file = folder / match.group(2)
        version = f"?v={hashlib.sha256(file.read_bytes()).hexdigest()[:8]}" if file.is_file() else ""
        return f'{match.group(1)}="{match.group(2)}{version}"'

    return re.sub(r'(src|href)="([^":?#]+\.(?:js|css))(?:\?[^"#]*)?"', link, page)


def sealed(page: str, folder: Path) -> str:
    """Return a page that lies in `folder` as it is published; one that is sealed gets the versions of today's files.

    Raises
    ------
    ValueError
        If the page has a handler or an icon that would not work.
    """
    if "Content-Security-Policy" in page:
        return _versioned(page, folder)
    for old, new in _MENDED.items():
        page = page.replace(old, new)
    tags = "".join(re.findall(r"<\w[^>]*>", _SCRIPT.sub("", page)))
    handler = re.search(r"\s(on[a-z]+)=", tags)
    if handler:
        raise ValueError(f"the policy forbids the attribute {handler.group(1)}: use addEventListener in a script file")
    if re.search(r"""href=["']javascript:""", page):
        raise ValueError("the policy forbids a javascript: link: use a button and addEventListener in a script file")
    unknown = sorted(set(_ICON.findall(page)) - set(assets.ICONS))
    if unknown:
        raise ValueError(f"the icon fa-{unknown[0]} is not in the font: add it to ICONS in tools/assets.py")
    viewport = re.compile(r'<meta name="viewport"[^>]*>')
    page = viewport.sub("", page).replace(
        '<meta charset="utf-8" />',
        f'<meta charset="utf-8" />\n    <meta http-equiv="Content-Security-Policy" content="{policy(page)}" />\n'
        '    <meta name="viewport" content="width=device-width, initial-scale=1" />',
        1,
    )
    return _sized(_versioned(page, folder), folder)


_REDIRECT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<title>{title}</title>
<meta http-equiv="refresh" content="0; url={first}" />{tags}
</head>
<body><main><h1>{title}</h1><p><a href="{first}">Start reading</a></p></main></body>
</html>
"""
_FIND_ROOT = """
<script>
// Where the site's address is not known, the book is in the nearest folder above that has its search page.
(async () => {
  for (const folders = location.pathname.split("/").slice(0, -1); folders.length; folders.pop()) {
    const root = `${folders.join("/")}/`;
    if (!(await fetch(`${root}search.html`, { method: "HEAD" })).ok) continue;
    for (const link of document.links) link.href = root + link.getAttribute("href");
    document.forms[0].action = `${root}search.html`;
    return;
  }
})().catch(() => {});
</script>"""


def missing_page(title: str, pages: Iterable[tuple[str, str]], address: str) -> str:
    """Return the page that a host shows where there is none, at any depth, with links to `pages`: names, titles."""
    root = f"{address.rstrip('/')}/" if address else ""
    items = [f'<li><a href="{root}{name}.html">{html.escape(text, quote=False)}</a></li>' for name, text in pages]
    template = (TEMPLATES / "404.html").read_text(encoding="utf-8")
    script = "" if address else _FIND_ROOT
    return template.format(title=html.escape(title), root=root, links="\n".join(items), script=script)


# What a page says of itself; the address that leads to it is what people share.
_SHARED = re.compile(r'\s*<(?:meta (?:name="(?:description|twitter:)|property="og:)|link rel="canonical")[^>]*>')
_LINK = re.compile(r"""src="([^"#?]+)|href="([^"#?]+)|url\(["']?([^"')#?]+)|@import "([^"]+)\"""")


def reachable(folder: Path) -> set[Path]:
    """Return the files in `folder` that its pages load or offer, directly or through a style sheet."""
    todo = [path for path in folder.rglob("*.html") if "_static" not in path.parts]  # there the theme has templates
    found: set[Path] = set(todo)
    while todo:
        file = todo.pop()
        if file.suffix not in (".html", ".css"):
            continue
        text = file.read_text(encoding="utf-8")
        for target in {next(filter(None, groups)) for groups in _LINK.findall(text)}:
            path = (file.parent / target).resolve()
            if path not in found and path.is_file():
                found.add(path)
                todo.append(path)
    return found


def prune(folder: Path) -> None:
    """Remove the files that no page loads or offers; dot files and the inventory for other books stay."""
    folder = folder.resolve()
    kept = reachable(folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept and not path.name.startswith(".") and path.name != "objects.inv":
            path.unlink()


def _in_order(env: BuildEnvironment, name: str) -> Iterable[str]:
    """Yield the pages under the page `name` in the order of the contents."""
    for inner in env.toctree_includes.get(name, []):
        yield inner
        yield from _in_order(env, inner)


def _cut(app: Sphinx, sheet: str, known: set[str]) -> str:
    """Return what pages use of a style sheet; it is kept, since few changes of a page bring or take a class."""
    key = hashlib.sha256("\n".join([sheet, *sorted(known)]).encode("utf-8")).hexdigest()
    file = Path(app.doctreedir, "sheet.json")
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if kept.get("key") != key:
        kept = {"key": key, "sheet": assets.used(sheet, known)}
        file.write_text(json.dumps(kept), encoding="utf-8")
    return kept["sheet"]


def _finish(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    first = f"{app.config.root_doc}.html"
    if first != "index.html":
        title = html.escape(app.env.titles[app.config.root_doc].astext())
        tags = "".join(_SHARED.findall((folder / first).read_text(encoding="utf-8")))
        (folder / "index.html").write_text(_REDIRECT.format(title=title, first=first, tags=tags), encoding="utf-8")
    names = [app.config.root_doc, *_in_order(app.env, app.config.root_doc)]
    titles = [(name, app.env.titles[name].astext()) for name in names]
    missing = missing_page(titles[0][1], titles, app.config.html_baseurl)
    (folder / "404.html").write_text(missing, encoding="utf-8")
    static = folder / "_static"
    (static / excerpts.FILE).unlink(missing_ok=True)  # an earlier build's: its words ask for no style
    sheet = one_sheet(static, dict.fromkeys(app.sheets))  # type: ignore[attr-defined]
    (static / SHEET).write_text(_cut(app, sheet, assets.words(folder)), encoding="utf-8")
    paths = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    pages = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    told = excerpts.script({name: phone.unplated(page) for name, page in pages.items()})  # some pages are as published
    (static / excerpts.FILE).write_text(told, encoding="utf-8")
    for path, page in zip(paths, pages.values(), strict=True):
        try:
            done = sealed(page, path.parent)
        except ValueError as fault:
            raise ExtensionError(f"{path.relative_to(folder).as_posix()}: {fault}") from fault
        if done != page:
            path.write_text(done, encoding="utf-8")
    prune(folder)


# ------------------------------------------------------------------------------------------------ what others rely on


def offered(env: BuildEnvironment) -> dict[tuple[str, ...], str]:
    """Return what a page may take from others: titles, labels, numbers, citations, terms, each under its name."""
    kinds: dict[tuple[str, ...], Any] = {
        ("title",): env.titles,
        ("long title",): env.longtitles,
        ("section number",): env.toc_secnumbers,
        ("figure number",): env.toc_fignumbers,
        ("figure",): figures.figures(env),
        ("exercise",): getattr(env, "sphinx_exercise_registry", {}),
        ("anchor",): {name: data.get("myst_slugs", {}) for name, data in env.metadata.items()},
        **{
            (name, kind): data
            for name, domain in env.domains.items()
            if name != "index"  # only the index itself shows it, and that is written each time
            for kind, data in domain.data.items()
        },
    }
    found: dict[tuple[str, ...], str] = {}
    for kind, data in kinds.items():
        for key, value in data.items() if isinstance(data, dict) else _counted(data):
            if isinstance(value, dict):
                found |= {(*kind, str(key), str(name)): _text(inner) for name, inner in value.items()}
            else:
                found[*kind, str(key)] = _text(value)
    return found


def _text(value: Any) -> str:
    """Return a value's text without places in memory; what stands there follows from the rest."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def _counted(data: Any) -> Iterable[tuple[str, int]]:
    """Yield the members of a list in no order, each with how often it is there."""
    return Counter(map(_text, data if isinstance(data, list) else [data])).items()


def concerns_others(before: dict[tuple[str, ...], str], now: dict[tuple[str, ...], str]) -> bool:
    """Whether a page that stayed may come out otherwise: something is gone, changed, or new under a name in use."""
    if any(now.get(key) != value for key, value in before.items()):
        return True
    names = {key[-1].lower() for key in before}
    return any(key[-1].lower() in names for key in now.keys() - before.keys())


def _remember(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    app.offered = offered(env)  # type: ignore[attr-defined]
    return app.config.book_changed  # a file's time may be an old one, so Sphinx alone would miss a change


def _all_if_needed(app: Sphinx, env: BuildEnvironment) -> list[str]:
    return sorted(env.found_docs) if concerns_others(app.offered, offered(env)) else []  # type: ignore[attr-defined]


# -------------------------------------------------------------------------------------------------------- the extension


def _configure(app: Sphinx, config: Any) -> None:
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)
    config.templates_path.insert(0, str(TEMPLATES))
    folder = Path(app.outdir).parent / "assets"
    assets.prepare(folder)
    config.html_static_path.append(str(folder))
    try:
        for name in scripts.publish(Path(app.srcdir, "book", "assets"), folder):
            app.add_js_file(name)
    except ValueError as fault:
        raise ExtensionError(str(fault)) from fault


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the book's own part."""
    formulas.setup(app)
    app.add_config_value("book_changed", [], "", [list])
    app.add_css_file("katex/katex.css", priority=400)
    app.add_js_file("site.js")
    app.connect("config-inited", _configure)
    app.connect("env-get-outdated", _remember, priority=_LAST)
    app.connect("env-get-updated", _all_if_needed, priority=_LAST)
    app.connect("html-page-context", _page, priority=_LAST)
    app.connect("build-finished", _finish, priority=_LAST)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
