"""The live figure: how long a redraw takes in headless Chromium. Exits with 1 if one takes longer than its aim.

A redraw is everything from changed settings to a page that is laid out again: drawing weights where they are new, both
passes, theory, pictures, words. How a long one is cut into pieces, so that input is not blocked, is tested in
tests/test_lab_element.py.
"""

import functools
import http.server
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools import system_parts

ASSETS = Path(__file__).resolve().parent.parent / "book" / "assets"
ROUNDS = 25
AIMS = {  # settings that take turns, and the most that the median may be, in milliseconds
    "default, another sigma_w": ([{"sigmaW": 1.3}, {"sigmaW": 1.5}], {}, 33.0),
    "default, a new draw": ([{"seed": 3}, {"seed": 4}], {}, 33.0),
    "50 layers of 128, another sigma_w": ([{"sigmaW": 1.3}, {"sigmaW": 1.5}], {"depth": 50, "width": 128}, 120.0),
    "50 layers of 128, a new draw": ([{"seed": 3}, {"seed": 4}], {"depth": 50, "width": 128}, 120.0),
}
PAGE = b"""<!doctype html><title>figure</title><script type="module" src="init-lab.mjs"></script>
    <main style="width: 740px"><init-lab></init-lab></main>"""
MEDIAN = """([changes, start, rounds]) => {
    const lab = document.querySelector('init-lab'), times = [];
    lab.shadowRoot.querySelector('details').open = true;  // all that it can show
    lab.set({...lab.start, scheme: 'free', ...start});
    for (let k = 0; k < rounds + 2; k++) {
        const began = performance.now();
        lab.set(changes[k % changes.length]);
        lab.flush();
        lab.getBoundingClientRect();
        times.push(performance.now() - began);
    }
    return times.slice(2).sort((a, b) => a - b)[rounds >> 1];
}"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with the page at the root, else with a file of the assets."""
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)
        return None

    def log_message(self, *_: object) -> None:
        """Say nothing about requests."""


def medians(address: str) -> dict[str, float]:
    """Return the median time of each kind of redraw, in milliseconds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**system_parts.browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_function("document.querySelector('init-lab').drawn > 0")
        found = {name: page.evaluate(MEDIAN, [changes, start, ROUNDS]) for name, (changes, start, _) in AIMS.items()}
        browser.close()
    return found


def main() -> int:
    """Print the medians; return 1 if one is above its aim, or if there is no browser to measure with."""
    if system_parts.browser() is None:
        print(f"no browser that starts. {system_parts.PARTS['browser'].advice}")
        return 1
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Handler, directory=str(ASSETS))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = medians(f"http://127.0.0.1:{server.server_address[1]}/")
        server.shutdown()
    print(f"redraws of the live figure in headless Chromium, median of {ROUNDS}")
    for name, (_, _, aim) in AIMS.items():
        print(f"  {name:34} {found[name]:6.1f} ms (aim {aim:g}){'' if found[name] <= aim else '  MISSED'}")
    return int(any(found[name] > aim for name, (_, _, aim) in AIMS.items()))


if __name__ == "__main__":
    sys.exit(main())
