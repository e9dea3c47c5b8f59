"""Guards: what every notebook and the tree must be. Each is a function that returns a list of faults, empty when clean.

Tests run each one on the book and on a planted fault that it must catch (tests/test_guards.py).
"""

import ast
import fnmatch
import html
import importlib.metadata
import io
import os
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from .notebooks import MINE, ROOT, SEED_LINE, code_cells, dump, images, load, name_of, normalize, tags, texts, toc_files

CELL_LINES = 20
ALT_CHARACTERS = 40
PNG_BYTES = 200_000
TEXT_BYTES = 20_000
LEDGER_BYTES = 100_000  # the table of all claims
NOTEBOOK_BYTES = 600_000
CLAIM = "application/vnd.initnotes.claim+json"
MIME_TYPES = ("text/plain", "text/html", "text/markdown", "text/latex", "image/png", CLAIM)
FRESH_SEEDS = 5  # what `make reprove` runs by default
FALSE_FAILURES = 0.01  # the most that such a run on a clean book may have, as estimated

Notebook = NotebookNode

# ---------------------------------------------------------------------------------------------------- one notebook


def execution_order(notebook: Notebook) -> list[str]:
    """Every code cell that is not empty was executed, and in order: 1, 2, ..., N."""
    cells = code_cells(notebook)
    return [
        f"{name_of(notebook, cell)}: execution_count is {cell.execution_count}, not {expected}"
        for expected, cell in enumerate(cells, start=1)
        if cell.execution_count != expected
    ]


def stderr(notebook: Notebook) -> list[str]:
    """No cell wrote to stderr."""
    return [
        f"{name_of(notebook, cell)}: wrote to stderr: {output.text.strip()[:80]!r}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]


def errors(notebook: Notebook) -> list[str]:
    """Cells that raised without the tag ``raises-exception``, or the other way round."""
    faults = []
    for cell in code_cells(notebook):
        raised = [output for output in cell.outputs if output.output_type == "error"]
        if raised and "raises-exception" not in tags(cell):
            faults.append(f"{name_of(notebook, cell)}: raised {raised[0].ename} without the tag raises-exception")
        if not raised and "raises-exception" in tags(cell):
            faults.append(f"{name_of(notebook, cell)}: is tagged raises-exception and raised nothing")
    return faults


def uncompared(notebook: Notebook) -> list[str]:
    """No cell asks nbval to look away."""
    marker = re.compile(r"nbval[-_](ignore|skip)|pytest_validate_ignore", re.IGNORECASE)
    return [
        f"{name_of(notebook, cell)}: a marker keeps its output from being compared"
        for cell in code_cells(notebook)
        if marker.search(cell.source) or any(marker.search(tag) for tag in tags(cell))
    ]


def _last_token(source: str) -> str:
    """Return the last token of Python source, comments apart."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.DEDENT, tokenize.ENDMARKER)
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            last = last if token.type in skipped else token.string
    except (tokenize.TokenError, SyntaxError):  # a magic, or a cell that is tagged raises-exception
        return source.rstrip()[-1:]
    return last


def silenced(notebook: Notebook) -> list[str]:
    """No cell ends with a semicolon: nbval does not hide a value for it, so the comparison would fail."""
    return [
        f"{name_of(notebook, cell)}: ends with a semicolon; assign the value to a name instead"
        for cell in code_cells(notebook)
        if _last_token(cell.source) == ";"
    ]


def cell_length(notebook: Notebook) -> list[str]:
    """No code cell is longer than 20 lines that are not blank."""
    lengths = [(cell, sum(bool(line.strip()) for line in cell.source.splitlines())) for cell in code_cells(notebook)]
    return [
        f"{name_of(notebook, cell)}: {length} lines, more than {CELL_LINES}; move the longer part to initnotes"
        for cell, length in lengths
        if length > CELL_LINES
    ]


def alt_text(notebook: Notebook) -> list[str]:
    """Every cell that makes a picture makes one, and describes it in ``mystnb: {image: {alt: ...}}``."""
    faults = []
    for cell in code_cells(notebook):
        pictures = [mime for output in cell.outputs for mime in output.get("data", {}) if mime.startswith("image/")]
        if not pictures:
            continue
        alt = str(cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")).strip()
        if len(pictures) > 1:
            faults.append(f"{name_of(notebook, cell)}: {len(pictures)} pictures share one alt text")
        if len(alt) < ALT_CHARACTERS or re.fullmatch(r"\S+\.(png|svg|jpe?g|gif|webp)", alt):
            faults.append(f"{name_of(notebook, cell)}: alt text must say the finding and its numbers, got {alt!r}")
    return faults


def mime_types(notebook: Notebook) -> list[str]:
    """Every output can be shown on a page and be compared: text, HTML, PNG, and a claim's JSON beside them."""
    return [
        f"{name_of(notebook, cell)}: an output of the kind {mime}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        for mime in output.get("data", {})
        if mime not in MIME_TYPES
    ]


class _Refused(HTMLParser):
    """Collects what HTML in an output must not hold: what runs, loads, or is a picture without a description.

    The live figure may: the picture that it holds for where it is not live has a title.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_lab, self.in_svg = False, False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_lab |= tag == "init-lab"
        if self.in_svg and tag != "title":
            self.found.append("<svg> without a title")
        self.in_svg = tag == "svg" and self.in_lab
        if tag in ("script", "svg", "img", "iframe", "object", "embed") and not self.in_svg:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"<{tag} {name}=...>")

    def handle_endtag(self, tag: str) -> None:
        self.in_lab &= tag != "init-lab"


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
    """No picture is over 200 kB, no text over 20 kB (the ledger 100 kB) and no notebook over 600 kB."""
    faults = []
    for cell in code_cells(notebook):
        sizes = [(len(image), PNG_BYTES, "picture") for image in images(cell)]
        most = LEDGER_BYTES if "ledger" in tags(cell) else TEXT_BYTES
        sizes += [(len(text.encode()), most, "text") for text in texts(cell)]
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


_SEEDED = ("default_rng", "SeedSequence", "PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937", "manual_seed")
_NUMPY_RANDOM = (*_SEEDED, "Generator", "BitGenerator")
_TORCH_DRAWS = ("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson")
_GLOBAL_SEEDS = ("torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.cuda.manual_seed_all")


def _tree(cell: Notebook) -> ast.Module:
    """Parse a code cell, magics included; a cell that is no Python never runs, so it draws nothing."""
    try:
        return ast.parse(TransformerManager().transform_cell(cell.source))
    except SyntaxError:
        return ast.Module([], [])


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield every name that `tree` imports, and in full what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((a.asname, a.name) if a.asname else (a.name.split(".")[0],) * 2 for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((a.asname or a.name, f"{node.module}.{a.name}") for a in node.names)


def _full_name(node: ast.expr, names: dict[str, str]) -> str:
    """Return a dotted name with what its first part stands for; a call within it reads ``()``."""
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, names)}.{node.attr}"
    if isinstance(node, ast.Call):
        return f"{_full_name(node.func, names)}()"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _unseeded(call: ast.Call, name: str) -> bool:
    """Whether a call draws, or makes a generator, that does not come from SEED."""
    last = name.split(".")[-1]
    if name in _GLOBAL_SEEDS:
        return True
    if name.startswith("torch.") and last in _TORCH_DRAWS:
        return not any(keyword.arg == "generator" for keyword in call.keywords)
    if last not in _SEEDED:
        return False
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    return not any(isinstance(node, ast.Name) and node.id == "SEED" for one in arguments for node in ast.walk(one))


def _draws(tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    """Yield what in `tree` draws, or makes a generator, that does not come from SEED."""
    for _, full in _imports(tree):
        if full.split(".")[0] == "random":
            yield "the random module"
        elif full.startswith("numpy.random.") and full.split(".")[2] not in _NUMPY_RANDOM:
            yield full
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _unseeded(node, _full_name(node.func, names)):
            yield f"{ast.unparse(node)} without SEED"
        elif isinstance(node, ast.Attribute):
            full = _full_name(node, names)
            if full.startswith("numpy.random.") and full.split(".")[2].removesuffix("()") not in _NUMPY_RANDOM:
                yield f"{full}, NumPy's legacy global generator"


def seeds(notebook: Notebook) -> list[str]:
    """Exactly one cell is tagged ``seed`` and sets ``SEED``; nothing else sets a seed, or draws without one."""
    cells, tagged = code_cells(notebook), code_cells(notebook, tag="seed")
    trees = [_tree(cell) for cell in cells]
    names = {"np": "numpy", **dict(pair for tree in trees for pair in _imports(tree))}
    faults = [] if len(tagged) == 1 else [f"{len(tagged)} cells are tagged seed, not one"]
    for cell, tree in zip(cells, trees, strict=True):
        where = name_of(notebook, cell)
        stores = [
            n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "SEED" and isinstance(n.ctx, ast.Store)
        ]
        if cell in tagged and (len(SEED_LINE.findall(cell.source)), len(stores)) != (1, 1):
            faults.append(f"{where}: must have one line like 'SEED = 1', and change SEED nowhere else")
        if cell not in tagged and stores:
            faults.append(f"{where}: sets SEED without the tag seed")
        faults += [f"{where}: uses {what}" for what in _draws(tree, names)]
    return faults


def cell_ids(notebook: Notebook) -> list[str]:
    """No two cells have the same id."""
    return [
        f"{count} cells have the id {id_!r}"
        for id_, count in Counter(c.id for c in notebook.cells).items()
        if count > 1
    ]


def claims_listed(notebook: Notebook, numbers: Iterable[int]) -> list[str]:
    """Every claim that the notebook settles has a number in book/claims.yml."""
    from initnotes import claims

    known = set(numbers)
    settled = [claim["number"] for claim in claims.collect(notebook)]
    return [f"claim {number} is not in book/claims.yml" for number in settled if number not in known]


NOTEBOOK_GUARDS: tuple[Callable[[Notebook], list[str]], ...] = (
    execution_order,
    stderr,
    errors,
    uncompared,
    silenced,
    cell_length,
    alt_text,
    mime_types,
    active_html,
    output_size,
    machine_traces,
    not_numbers,
    seeds,
    cell_ids,
)


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


def false_failures(rates: Iterable[float]) -> list[str]:
    """Say so when a clean book would fail `make reprove` with five seeds more than once in a hundred runs."""
    expected = FRESH_SEEDS * sum(rates)
    if expected <= FALSE_FAILURES:
        return []
    return [f"{FRESH_SEEDS} fresh seeds fail a clean book with probability {expected:.2g}, more than {FALSE_FAILURES}"]


# -------------------------------------------------------------------------------------------------------- the tree


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


# Joined from parts, so that this file does not hold what it looks for.
_FOLDERS = "|".join(("ro" + "ot", "ho" + "me", "wo" + "rk", "tm" + "p", "Us" + "ers"))
_HOSTS = ("py" + "pi.org", "python" + "hosted.org", "download." + "pytorch.org", "npm" + "js.org", "ana" + "conda.org")
_HOST = "|".join(map(re.escape, _HOSTS))
_OURS_ALONE = re.compile(rf"(?<![\w.)}}/*-])/({_FOLDERS})(?![\w-])|{_HOST}")
_INSIDE_A_SANDBOX = (
    "initgrade/processes.py",
    "initgrade/sandbox.py",
    "initgrade/walls.py",
    "tests/test_sandbox.py",
    "tests/test_adversaries.py",
)


def tracked(root: Path = ROOT) -> list[Path]:
    """Return the files that git tracks or would track; without git, all but those that .gitignore names."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):  # no git, or a downloaded archive
        names = _walked(root)
    return [root / name for name in sorted(set(names)) if name and (root / name).is_file()]


def _walked(root: Path) -> list[str]:
    """Return the names of all files under `root` but for what the plain lines of .gitignore name."""
    file = root / ".gitignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    patterns = [".git", *(line.strip().rstrip("/") for line in lines if line.strip())]

    def kept(folder: str, name: str) -> bool:
        inside = Path(folder, name).relative_to(root).as_posix()
        return not any(fnmatch.fnmatch(one, pattern) for one in (name, inside) for pattern in patterns)

    names: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if kept(folder, name)]
        names += [Path(folder, name).relative_to(root).as_posix() for name in files if kept(folder, name)]
    return names


def machine_paths(files: Iterable[Path], root: Path) -> list[str]:
    """No file names a folder of one machine or the host of a package registry; a sandbox has folders of its own."""
    faults = []
    for path in files:
        sandboxed = path.relative_to(root).as_posix() in _INSIDE_A_SANDBOX
        pattern = re.compile(_HOST) if sandboxed else _OURS_ALONE
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, start=1):
            match = pattern.search(re.sub(r'"image/png": "[^"]*"', "", line))
            if match:
                faults.append(f"{path.relative_to(root).as_posix()}:{number}: names {match.group()!r}")
    return faults


_TOLD = re.compile(
    r"\[Claim (\d+)\]\((\d\d_\w+)\.ipynb#claim-\1\): \*\*([a-z ]+)\*\*:? ([^\n]+)\. \{ref\}`Chapter (\d+) <"
)


def _twice(claims: Iterable[tuple[Any, ...]]) -> list[int]:
    return [number for number, times in Counter(number for number, *_ in claims).items() if times > 1]


def told_verdicts(page: str, settled: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    """Compare the page of introductions, which tells claim, chapter, verdict and reason, with what chapters settled.

    `settled` holds pairs of a chapter's name and a claim.
    """
    told = [(int(number), name, int(chapter), *rest) for number, name, *rest, chapter in _TOLD.findall(page)]
    found = [(one["number"], name, int(name[:2]), one["verdict"], one["because"]) for name, one in settled]
    return [
        *(f"claim {one[0]} is told as {one[1:]}, but no chapter settles it so" for one in set(told) - set(found)),
        *(f"claim {one[0]} is settled as {one[1:]} and not told" for one in set(found) - set(told)),
        *(f"claim {number} is told twice" for number in _twice(told)),
        *(f"claim {number} is settled twice" for number in _twice(found)),
    ]


def claim_numbers(root: Path = ROOT) -> list[int]:
    """Return the numbers of the claims in book/claims.yml."""
    return [entry["number"] for entry in yaml.safe_load((root / "book" / "claims.yml").read_text(encoding="utf-8"))]
