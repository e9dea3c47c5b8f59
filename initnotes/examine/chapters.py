"""What each kind of finding means in plain words, and where the book explains it.

What lives here is words and places. The site's address is kept in ``_config.yml``, of which a wheel has a copy.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["HARMLESS", "TOLD", "Told", "address"]


class Told(NamedTuple):
    """What a kind of finding means, for one who knows no theory, and the section that explains it."""

    plain: str
    page: str
    anchor: str
    section: str

    @property
    def chapter(self) -> int:
        """The chapter's number."""
        return int(self.page.partition("_")[0])

    @property
    def place(self) -> str:
        """The section's place on the site, such as ``book/06_he.html#he-dead``."""
        return f"book/{self.page}.html#{self.anchor}"


_ZERO, _SMALL, _VANISHING, _XAVIER = "02_zero", "03_small_random", "04_vanishing_exploding", "05_xavier"
_LOSS = ("08_biases", "biases-loss", "The loss at step 0")
_ORDER = (_VANISHING, "vanishing-order", "Order and chaos")
_NORMS = ("09_normalization", "normalization", "Normalization")
TOLD = {
    "not finite": Told(
        "Some numbers are NaN or infinite, and everything after them is too.",
        _VANISHING,
        "vanishing",
        "Vanishing and exploding gradients",
    ),
    "unscaled inputs": Told(
        "The first layer gets numbers much larger or smaller than its weights are made for.",
        "07_lecun",
        "why-the-inputs-are-normalized",
        "Why the inputs are normalized",
    ),
    "zero weights": Told(
        "Some weights are 0 in a way that training cannot leave.", _ZERO, "where-it-gets-stuck", "Where it gets stuck"
    ),
    "no gradient": Told(
        "Training cannot change these layers: nothing comes back to them.",
        _ZERO,
        "zero-table",
        "Which tensor moves when",
    ),
    "symmetric units": Told(
        "Some units do the same as others, so the layer has fewer than it seems.",
        "01_symmetry",
        "nobody-can-tell-them-apart",
        "Nobody can tell them apart",
    ),
    "extreme factor": Told("One parameter multiplies everything by a number far from 1.", *_ORDER),
    "new rows": Told(
        "The last rows of a table are far larger than the others: new tokens that were not drawn like the old ones.",
        "18_finetuning",
        "finetuning-rows",
        "New tokens: what they cost before training",
    ),
    "dead units": Told(
        "Some units answer 0 to every input, and so they do not learn.",
        "06_he",
        "he-dead",
        "Dead units and dead networks",
    ),
    "saturated units": Told(
        "Some units are at the flat ends of their activation, where little gradient passes.",
        _VANISHING,
        "vanishing-surprise",
        "The surprise: saturated and exploding",
    ),
    "weight scale": Told(
        "These weights are much larger or smaller than what fits the layer.",
        _XAVIER,
        "xavier-derivation",
        "The compromise, derived",
    ),
    "vanishing signal": Told(
        "The signal gets smaller on its way: the last layers hardly see the input.",
        _SMALL,
        "many-layers",
        "Many layers",
    ),
    "exploding signal": Told(
        "The signal grows on its way, until the outputs are far too large.", _SMALL, "too-large", "Too large"
    ),
    "vanishing gradient": Told("The gradient gets smaller on its way back: the first layers hardly learn.", *_ORDER),
    "exploding gradient": Told("The gradient grows on its way back: no learning rate fits all layers.", *_ORDER),
    "output activation": Told("The loss takes raw outputs, and the model has bent them already.", *_LOSS),
    "initial loss": Told("The network is sure of itself before it has learned anything.", *_LOSS),
    "normalization": Told("A normalization sets the size of the signal anew.", *_NORMS),
    "skip connections": Told(
        "Some layers have a way around them.", "10_residual", "residual", "Residual networks: step 0 and step 1"
    ),
    "not examined": Told("One check could not be made.", "21_clinic", "clinic", "Clinic"),
}
HARMLESS = {  # the same of an info of these kinds
    "zero weights": Told(
        "Some weights are 0 on purpose: training moves them.", _ZERO, "zero-purpose", "Zero on purpose"
    ),
    "no gradient": TOLD["no gradient"]._replace(
        plain="No gradient comes back to these layers at first; training changes that by itself."
    ),
    "unscaled inputs": TOLD["unscaled inputs"]._replace(
        plain="The inputs have an unusual size, and a normalization mends that."
    ),
    "exploding gradient": Told("The gradient grows on its way back, as normalized layers make it do.", *_NORMS),
    "vanishing gradient": Told("The gradient gets smaller on its way back, through normalized layers.", *_NORMS),
}


@cache
def address() -> str:
    """Return the site's public address without a slash at its end; empty as long as it has none."""
    import yaml  # when first asked for

    here = Path(__file__).resolve().parents[1]
    for path in (here / "_config.yml", here.parent / "_config.yml"):
        if path.exists():
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
            return str(found.get("html", {}).get("baseurl") or "").rstrip("/")
    return ""
