"""``make audit``: score each chapter with Lighthouse on a phone; the landing page and the heaviest on a desktop, too.

Lighthouse comes from npm, in a pinned version, into ``.venv/audit``. The pages are served compressed, as hosts of
static sites do: Python's own server sends them as they are, and would be measured at three times their size.
"""

import argparse
import contextlib
import gzip
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from . import site, system_parts
from .files import ROOT
from .notebooks import chapters, toc_files

LIGHTHOUSE = "lighthouse@12.8.2"
FOLDER = ROOT / ".venv" / "audit"
RUNS = 3  # the median counts: one run on a busy machine says little
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
NEEDED = {"mobile": (90, 100, 100, 100), "desktop": (99, 100, 100, 100)}
_COMPRESSED = (".html", ".css", ".js", ".mjs", ".svg", ".json")


class Compressing(http.server.SimpleHTTPRequestHandler):
    """Serves files, those with text compressed."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a file."""
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = path.read_bytes()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(path.as_posix()))
        if path.suffix in _COMPRESSED:
            body = gzip.compress(body, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing about requests."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve `folder` compressed and return its address."""

    def handler(*arguments: object) -> Compressing:
        return Compressing(*arguments, directory=str(folder))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def heaviest(folder: Path) -> str:
    """Return the name of the chapter with the most bytes of text and pictures."""

    def size(name: str) -> int:
        page = folder / f"{name}.html"
        pictures = {
            page.parent / source for source in re.findall(r'src="([^"]*_images/[^"]+)"', page.read_text("utf-8"))
        }
        return sum(path.stat().st_size for path in [page, *pictures])

    return max((path.relative_to(ROOT).with_suffix("").as_posix() for path in chapters()), key=size)


def lighthouse() -> str:
    """Return the path of Lighthouse, which is installed where it is missing."""
    program = FOLDER / "node_modules" / ".bin" / "lighthouse"
    version = FOLDER / "node_modules" / "lighthouse" / "package.json"
    if not version.is_file() or json.loads(version.read_text("utf-8"))["version"] != LIGHTHOUSE.split("@")[1]:
        npm = shutil.which("npm")
        if not npm:
            raise SystemExit("make audit needs npm: install Node from your system's packages")
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent", LIGHTHOUSE], cwd=FOLDER, check=True)
    return str(program)


def browser() -> str:
    """Return the path of the Chromium that Lighthouse drives."""
    options = system_parts.browser()
    if options is None:
        raise SystemExit(f"make audit needs a browser. {system_parts.PARTS['browser'].advice}")
    return options.get("executable_path", "")


def run(url: str, device: str) -> tuple[list[int], list[str]]:
    """Return the scores of a page, out of 100, and what cost points."""
    command = [lighthouse(), url, "--quiet", "--output=json", f"--only-categories={','.join(CATEGORIES)}"]
    command += ["--chrome-flags=--headless=new --no-sandbox", *(["--preset=desktop"] if device == "desktop" else [])]
    done = subprocess.run(command, env={**os.environ, "CHROME_PATH": browser()}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"Lighthouse failed on {url}:\n{done.stderr[-2000:]}")
    report = json.loads(done.stdout)
    parts = [report["categories"][name] for name in CATEGORIES]
    audits = {reference["id"] for part in parts for reference in part["auditRefs"] if reference["weight"]}
    lost = [report["audits"][name] for name in sorted(audits)]
    faults = [
        f"{found['title']} {found.get('displayValue', '')}"
        for found in lost
        if found["score"] is not None and found["score"] < 0.9
    ]
    return [round(100 * part["score"]) for part in parts], faults


def median(results: list[tuple[list[int], list[str]]]) -> tuple[list[int], list[str]]:
    """Return the run with the middle performance."""
    return sorted(results, key=lambda result: result[0][0])[len(results) // 2]


def main() -> int:
    if site.main():
        return 1
    first, most = toc_files()[0], heaviest(site.HTML)
    every = [first, *(path.relative_to(ROOT).with_suffix("").as_posix() for path in chapters())]
    asked = [(name, "mobile") for name in every] + [(name, "desktop") for name in (first, most)]
    missed = False
    print(f"\n{'page':<28} {'device':<8} " + " ".join(f"{name:>14}" for name in CATEGORIES), flush=True)
    with served(site.HTML) as address:
        for name, device in asked:
            needed = NEEDED[device]
            scores, faults = median([run(f"{address}/{name}.html", device) for _ in range(RUNS)])
            miss = any(score < least for score, least in zip(scores, needed, strict=True))
            print(f"{name:<28} {device:<8} " + " ".join(f"{score:>14}" for score in scores), flush=True)
            print("".join(f"    {fault}\n" for fault in faults) if miss else "", end="", flush=True)
            missed = missed or miss
    print(f"Needed: {', '.join(f'{device} {scores}' for device, scores in NEEDED.items())}")
    return int(missed)


if __name__ == "__main__":
    argparse.ArgumentParser("make audit", description=(__doc__ or "").partition("\n")[0]).parse_args()
    sys.exit(main())
