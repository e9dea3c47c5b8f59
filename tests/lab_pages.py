"""Pages with the live figure, for its tests: written, opened, unfolded, dragged."""

from pathlib import Path

from playwright.sync_api import Page

VERDICTS = {
    "zero": "symmetric",
    "constant": "symmetric",
    "small": "vanished",
    "order": "vanished",
    "chaos": "exploded",
    "saturated": "saturated",
    "xavier-tanh": "alive",
    "xavier-relu": "vanished",
    "xavier-sigmoid": "vanished",
    "he-relu": "alive",
    "he-tanh": "alive",
    "lecun-selu": "alive",
    "orthogonal": "alive",
    "critical-bias": "alive",
    "order-bias": "vanished",
    "dead": "dead",
}
SCRIPT = '<script type="module" src="init-lab.mjs"></script>'
LAB = "document.querySelector('init-lab')"
BAR = 56  # pixels of the page's own bar, which lies over what scrolls


def write(
    folder: Path, body: str, *, head: str = "", theme: str = "light", css: bool = True, script: str = SCRIPT
) -> str:
    """Write a page around `body` and return its name."""
    sheet = '<link rel="stylesheet" href="init-lab.css">' if css else ""
    text = f"""<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">{head}<title>figure</title>
        <meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">{sheet}
        {script}<body style="margin: 0"><main style="max-width: 740px; margin: auto; padding: 0 16px">
        <p>before</p>{body}{20 * "<p>What follows must stay where it is.</p>"}</main></body></html>"""
    (folder / "page.html").write_text(text, encoding="utf-8")
    return "page.html"


def settled(page: Page) -> None:
    """Wait until all that was asked for is drawn."""
    page.wait_for_function("(e => !e.frame && !e.job && e.drawn === e.version)(document.querySelector('init-lab'))")


def word(page: Page) -> str:
    """Return the verdict that stands on the page, once all that was asked for is drawn."""
    settled(page)
    return page.locator("init-lab .verdict .word").inner_text().lower()


def unfold(page: Page) -> None:
    """Open what is folded, as a reader does, and wait until it is drawn."""
    page.locator("init-lab summary").click()
    page.wait_for_function("document.querySelector('init-lab').shadowRoot.querySelector('.open .curves .line')")


def fold(page: Page) -> None:
    """Close it again."""
    page.locator("init-lab summary").click()
    page.wait_for_function("!document.querySelector('init-lab').shadowRoot.querySelector('.open')")


def drag(page: Page, *places: tuple[float, float], pause: float = 0) -> None:
    """Press the pointer on the point, move it through places (σ_w, σ_b) of the plane of tanh, wait, and let it go."""
    page.locator("init-lab .point").hover()
    box = page.locator("init-lab .plane").bounding_box()
    assert box
    page.mouse.down()
    for sigma_w, sigma_b in places:
        page.mouse.move(box["x"] + sigma_w / 4 * box["width"], box["y"] + (1 - sigma_b / 2) * box["height"], steps=4)
    page.wait_for_timeout(pause)
    page.mouse.up()
