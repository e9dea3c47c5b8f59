"""``make book``: build the site from the stored outputs; every warning fails. Nothing is executed.

What was built is recorded. While no file of the book changes, a second call builds nothing. After a build without a
warning, where only the text of pages changed, those pages are read again. If what others take from them (titles,
labels, numbers, citations) is another, all pages are written again, and so tell each of their warnings. Everything else
builds from nothing.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .files import ROOT

BUILD = ROOT / "_build"
HTML = BUILD / "html"
_APART = ("_build", "my", "tests", "benchmarks", "initgrade", "__pycache__")
_PAGES = (".ipynb", ".md")


def _files(root: Path) -> Iterator[Path]:
    """Yield everything that a page may depend on, in order."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if not any(part.startswith(".") or part in _APART for part in parts) and path.is_file():
            yield path


def fingerprints(root: Path = ROOT) -> dict[str, str]:
    """Return a hash for each page under its name without suffix, and under "" one for the rest and all names."""
    pages, rest = {}, hashlib.sha256()
    for path in _files(root):
        inside, content = path.relative_to(root), path.read_bytes()
        rest.update(f"{inside.as_posix()}\0".encode())
        if inside.parts[0] == "book" and path.suffix in _PAGES:
            pages[inside.with_suffix("").as_posix()] = hashlib.sha256(content).hexdigest()
        else:
            rest.update(f"{len(content)}\0".encode() + content)
    return {"": rest.hexdigest(), **pages}


def build(root: Path = ROOT) -> int:
    """Build the pages unless they are up to date; return 0 if there was no warning."""
    folder = root / "_build"
    record, html, trees = folder / "built.json", folder / "html", folder / ".doctrees"
    now = fingerprints(root)
    before = json.loads(record.read_text(encoding="utf-8")) if record.is_file() and html.is_dir() else {}
    if before == now:
        print("The pages are up to date.")
        return 0
    record.unlink(missing_ok=True)
    changed = [name for name in now if name and now[name] != before.get(name)]
    if before.get("") != now[""] or not trees.is_dir():
        changed = []
        for stale in (html, trees):
            shutil.rmtree(stale, ignore_errors=True)
    code = subprocess.run([sys.executable, "-m", "tools.sphinx_build", str(root), *changed], cwd=ROOT).returncode
    if code == 0:
        record.write_text(json.dumps(now), encoding="utf-8")
    return code


def main() -> int:
    code = build()
    if code:
        print("The build failed: each WARNING above is a fault.", file=sys.stderr)
    else:
        print(f"\nThe pages are in {HTML.relative_to(ROOT).as_posix()}; open index.html there in a browser,")
        print("or serve them on this machine: make serve")
    return code


if __name__ == "__main__":
    sys.exit(main())
