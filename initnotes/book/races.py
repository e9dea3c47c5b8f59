"""The live figure ``<train-lab>``, in which two starts race, as a widget, and the picture where nothing is live.

What lives here trains both starts of a race with PyTorch, from draws of its own, and writes HTML. The live figure is
one JavaScript module, ``train-lab.mjs``; its races are in ``train-presets.json``, which ``tools.races`` writes from it.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import _checks, schemes
from ..networks import Ensemble, order_free_product
from ..networks.training import train
from ..schemes import Initializer, Scheme
from .data import Dataset, digits

__all__ = ["Outcome", "outcome", "presets", "race", "to_html"]

REPLICAS, SMOOTH = 8, 5  # networks a side; batches in the mean of which a loss is shown
_STREAM = 2  # of draws in which, with the seed of the book, no ReLU comes so near to its kink that rounding decides
RARE, EIGHTS = 8, 68  # the task "eights": is it an 8? So many of them are kept to train on
SENSITIVE = ("chaos", "selu")  # races that hang on the last bits of sums, so that another machine draws other curves
SEED = 1  # of the book, for which the races above have their pictures stored


def _asset(name: str) -> Path:
    """Return a file of the figure: in the repository, or in the installed package."""
    here = Path(__file__).parents[1]
    places = here / name, here.parent / "book" / "assets" / name
    return next(path for path in places if path.exists())


@cache
def _races() -> dict[str, Any]:
    return json.loads(_asset("train-presets.json").read_text(encoding="utf-8"))


def presets() -> tuple[str, ...]:
    """Return the names of the races.

    Examples
    --------
    >>> presets()[0]
    'symmetry'
    """
    return tuple(_races()["presets"])


# ------------------------------------------------------------------------------------------------------------ a race

_SCHEMES: dict[str, Initializer] = {
    "zeros": schemes.zeros,
    "heuristic": Scheme(scale=1 / 3, distribution="uniform"),
    "xavier": schemes.xavier_normal,
    "he": schemes.he_normal,
    "lecun": schemes.lecun_normal,
}


def _initializer(start: dict[str, Any]) -> Initializer:
    """Return what a scheme of the figure is here."""
    name, gain = start["name"], start.get("gain", 1.0)
    if name == "constant":
        return schemes.constant(start["value"])
    if name in ("small_random", "fixed"):
        return schemes.small_random(start.get("value", 0.01))
    base = Scheme(scale=1.0) if name == "free" else _SCHEMES[name]
    if isinstance(base, Scheme):
        law = start.get("law", base.distribution)
        return Scheme(scale=base.scale * gain**2, mode=base.mode, distribution=law)
    return base


def _network(spec: dict[str, Any], key: Sequence[int]) -> Ensemble:
    """Draw one side; both sides of a race draw from the same numbers."""
    starts = spec.get("schemes") or [spec["scheme"]] * (len(spec["sizes"]) - 1)
    equal = any(start["name"] == "constant" for start in starts)  # units that are equal stay equal to the last bit
    net = Ensemble(
        spec["sizes"],
        spec["phi"],
        [_initializer(start) for start in starts],
        rng=np.random.default_rng(key),
        replicas=REPLICAS,
        bias=[spec.get("hiddenBias", 0.0)] * (len(starts) - 1) + [0.0],
        sigma_b=spec.get("sigmaB", 0.0),
        product=order_free_product if equal else torch.matmul,
    )
    net.biases[-1].zero_()  # the last layer has none of that noise
    if "outBias" in spec:
        net.biases[-1].copy_(torch.tensor(spec["outBias"], dtype=net.dtype))
    return net


def _data(task: str | None) -> tuple[Dataset, Dataset]:
    """Return images to train on and to judge by."""
    learn, judge = digits()
    if task != "eights":
        return learn, judge
    kept = (learn.y != RARE) | (np.cumsum(learn.y == RARE) <= EIGHTS)
    return Dataset(learn.x[kept], (learn.y[kept] == RARE).astype(int)), Dataset(judge.x, (judge.y == RARE).astype(int))


@dataclass(frozen=True)
class Outcome:
    """How a race ended.

    Attributes
    ----------
    preset : str
    losses : tuple of two ndarrays, shape (R, steps + 1)
        Of each side, before each update and after the last, each the mean over the last five batches.
    scores : tuple of two ndarrays, shape (R,)
        Share of right answers to the 360 test images, or of the eights among them found.
    ahead : int or None
        The side that is ahead; None where the median difference is less than 5 points.
    votes : int
        How many of the R pairs say so.
    """

    preset: str
    losses: tuple[np.ndarray, np.ndarray]
    scores: tuple[np.ndarray, np.ndarray]
    ahead: int | None
    votes: int


def _score(net: Ensemble, judge: Dataset, find: int | None) -> np.ndarray:
    asked = np.ones(len(judge.y), dtype=bool) if find is None else judge.y == find
    return (net(judge.x[asked]).argmax(-1).numpy() == judge.y[asked]).mean(axis=1)


def _smooth(losses: np.ndarray) -> np.ndarray:
    """Return means over the last batches; inf stays inf."""
    windows = (losses[:, max(0, end - SMOOTH) : end] for end in range(1, losses.shape[1] + 1))
    return np.stack([window.mean(axis=1) for window in windows], axis=1)


def outcome(preset: str, *, seed: int = 1) -> Outcome:
    """Run a race: train both sides on the same batches.

    Parameters
    ----------
    preset : str
        One of `presets`.
    seed : int
        Of all draws. The figure and Python draw other numbers from the same seed.

    Returns
    -------
    Outcome

    Raises
    ------
    TypeError, ValueError
        If there is no such race, or the seed is no integer from 0 on.
    """
    preset = _checks.one_of(preset, "preset", presets())
    key = [_STREAM, _checks.integer(seed, "seed", low=0), *preset.encode()]
    own, (learn, judge) = _races()["presets"][preset], _data(_races()["presets"][preset].get("task"))
    nets = [_network(spec, key) for spec in own["specs"]]
    options = {name: own["specs"][0][name] for name in ("optimizer", "lr")} | {"clip": own["specs"][0].get("clip")}
    losses, scores = [], []
    for net, spec in zip(nets, own["specs"], strict=True):
        rng = np.random.default_rng([*key, 0])  # the same batches for both
        history = train(net, *learn, steps=own["steps"], batch_size=spec["batch"], rng=rng, **options)
        losses.append(_smooth(history.loss))
        scores.append(np.where(history.diverged, 0.0, _score(net, judge, own.get("find"))))
    difference, margin = scores[1] - scores[0], _races()["margin"]
    middle = float(np.median(difference))
    ahead = None if abs(middle) < margin else int(middle > 0)
    says = abs(difference) < margin if ahead is None else (2 * ahead - 1) * difference >= margin
    return Outcome(preset, tuple(losses), tuple(scores), ahead, int(says.sum()))  # type: ignore[arg-type]


def as_stored(found: Outcome) -> dict[str, Any]:
    """Return what a picture shows, to 3 digits: of each side's losses, up to 99, the least, the median and the most.

    Examples
    --------
    >>> losses = np.array([[2.30259, 0.5], [2.4, 0.7]])
    >>> as_stored(Outcome("small", (losses, losses), (np.ones(2), np.ones(2)), None, 8))["losses"][0]
    [[2.3, 0.5], [2.35, 0.6], [2.4, 0.7]]
    """
    bounds = [np.quantile(np.minimum(losses, 99), (0, 0.5, 1), axis=0).tolist() for losses in found.losses]
    return {
        "losses": [[[float(f"{loss:.3g}") for loss in curve] for curve in side] for side in bounds],
        "scores": [round(float(np.median(scores)), 3) for scores in found.scores],
        "ahead": found.ahead,
        "votes": found.votes,
    }


def _pictured(preset: str, seed: int) -> Outcome:
    """Return the outcome that a picture shows: as stored if the race hangs on last bits, and else run here."""
    stored = _races()["pictures"].get(preset)
    if seed != SEED or not stored:
        return outcome(preset, seed=seed)
    losses, scores = map(np.array, stored["losses"]), (np.array([score]) for score in stored["scores"])
    return Outcome(preset, tuple(losses), tuple(scores), stored["ahead"], stored["votes"])  # type: ignore[arg-type]


def in_words(found: Outcome) -> str:
    """Say how a race ended.

    Examples
    --------
    >>> low, high = np.full(8, 0.1), np.full(8, 0.9)
    >>> in_words(Outcome("small", (high[:, None],) * 2, (low, high), 1, 8))
    'random / √n is ahead in 8 of 8 draws: 90 % of 360 new digits right, against 10 %.'
    """
    own = _races()["presets"][found.preset]
    names, shares = own["names"], [f"{_percent(scores)} %" for scores in found.scores]
    things = "of the eights found" if own.get("task") == "eights" else "of 360 new digits right"
    draws = f"in {found.votes} of {REPLICAS} draws"
    if found.ahead is None:
        return f"No clear difference between {' and '.join(names)} {draws}: {' and '.join(shares)} {things}."
    first, last = found.ahead, 1 - found.ahead
    return f"{names[first]} is ahead {draws}: {shares[first]} {things}, against {shares[last]}."


def _percent(scores: np.ndarray) -> int:
    return round(100 * float(np.median(scores)))


# ------------------------------------------------------------------------------------------------ the picture in HTML

_WIDE, _HIGH, _LEFT, _TOP, _BELOW = 444, 250, 30, 44, 24  # of the picture, and its margins for labels
_POINTS = 30  # of a curve, about
_ASLEEP = (
    "This picture stands for a live figure, in which you bet before the race. It runs on the served pages "
    "(<code>make serve</code>) with JavaScript on, and in JupyterLab once its cell is run."
)


def to_html(*names: str, seed: int = 1) -> str:
    """Return the figure as HTML: the element, and in it the picture of a finished race.

    It is the first of those named. Those of `SENSITIVE` were run once, for the seed of the book, and stored.

    Parameters
    ----------
    *names : str
        One or more of `presets`.
    seed : int
        As for `outcome`.

    Returns
    -------
    str
        The same for the same arguments. A page that includes it needs ``train-digits.mjs``, ``train-lab.mjs`` and
        ``train-lab.css``.

    Raises
    ------
    TypeError, ValueError
        If a name is not one of `presets`, or there is none.
    """
    _named(names)
    found = _pictured(names[0], seed)
    own = _races()["presets"][found.preset]
    colors = ";".join(
        f"--{side}-{theme}:{color}"
        for side, pair in zip("ab", own["colors"], strict=True)
        for theme, color in zip(("light", "dark"), pair, strict=True)
    )
    note = (
        f"Loss by step of two starts of one network ({own['net']}), trained on the same batches. Lines: the median of "
        f"{REPLICAS} networks a side, dotted for {own['names'][0]}; shaded: all. PyTorch trained these; the live "
        "figure has draws of its own."
    )
    return "\n".join(
        [
            f'<train-lab presets="{html.escape(" ".join(names))}" seed="{seed}">',
            f'<figure style="{colors}">',
            *_picture(found),
            f"<figcaption><p><strong>{_set(in_words(found))}</strong> {_set(own['why'])}</p>",
            f"<p>{_set(note)}</p>",
            f"<p><small>{_ASLEEP}</small></p></figcaption>",
            "</figure></train-lab>",
        ]
    )


_LOW = r'<tspan dy="3" font-size="9">\1</tspan><tspan dy="-3">&#8203;</tspan>'  # an index in an SVG


def _set(words: str, index: str = r"<sub>\1</sub>") -> str:
    """Return words as HTML: σ_w with its index, and % in the line of its number."""
    return re.sub(r"σ_(\w)", "σ" + index, html.escape(words)).replace(" %", "\u00a0%")


def _named(names: Sequence[str]) -> None:
    if not names:
        raise TypeError(f"a race needs at least one preset, got none; one of: {', '.join(presets())}")
    for name in names:
        _checks.one_of(name, "preset", presets())


def _picture(found: Outcome) -> list[str]:
    """Return the lines of an SVG, in whole pixels, so that the last bits of sums do not show."""
    own, steps = _races()["presets"][found.preset], found.losses[0].shape[1] - 1
    classes, right, bottom = own["specs"][0]["sizes"][-1], _WIDE - 8, _HIGH - _BELOW
    guess, starts = math.log(classes), [float(np.median(losses[:, 0])) for losses in found.losses]
    top = 0.8 if classes == 2 else max(3, min(6, math.ceil(1.1 * max(starts))))
    at = [*range(0, steps, max(1, steps // _POINTS)), steps]

    def x(step: float) -> int:
        return _LEFT + round(step / steps * (right - _LEFT))

    def y(loss: float) -> int:
        return bottom - round(min(loss, top) / top * (bottom - _TOP))

    def points(losses: np.ndarray) -> list[str]:
        return [f"{x(step)} {y(loss)}" for step, loss in zip(at, losses[at], strict=True)]

    lines, legend = [], []
    for k, (side, losses, scores) in enumerate(zip("ab", found.losses, found.scores, strict=True)):
        dots = ' stroke-dasharray="1 5"' if side == "a" else ""
        curve, row = f'<path class="curve {side}"{dots} d="M', 10 + 17 * k
        least, middle, most = losses.min(axis=0), np.median(losses, axis=0), losses.max(axis=0)
        lines.append(f'<path class="spread {side}" d="M{"L".join(points(most) + points(least)[::-1])}z"/>')
        lines.append(f'{curve}{"L".join(points(middle))}"/>')
        name = f"{_set(own['names'][k], _LOW)}: {_percent(scores)} %"
        legend.append(
            f'{curve}{_LEFT} {row}h26"/><text class="name {side}" x="{_LEFT + 34}" y="{row + 4}">{name}</text>'
        )
    return [
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img">',
        f"<title>A race of two starts: {html.escape(' against '.join(own['names']))}</title>",
        f"<desc>{html.escape(_described(found))}</desc>",
        *legend,
        *_axes(top, steps, x, y, classes == 2),
        f'<path class="guess" d="M{_LEFT} {y(guess)}H{right}"/>'
        f'<text class="end" x="{right}" y="{y(guess) - 4}">pure guessing</text>',
        *lines,
        "</svg>",
    ]


def _axes(top: float, steps: int, x: Any, y: Any, fine: bool) -> list[str]:
    """Return grid lines and labels."""
    losses = [0.2 * k for k in range(5)] if fine else list(range(int(top) + 1))
    every = next((gap for most, gap in ((30, 5), (60, 10), (100, 20), (120, 40), (200, 50)) if steps <= most), 100)
    grid = "".join(f"M{_LEFT} {y(loss)}H{_WIDE - 8}" for loss in losses)
    return [
        f'<path class="grid" d="{grid}"/>',
        *(f'<text class="end" x="{_LEFT - 6}" y="{y(loss) + 4}">{loss:.1g}</text>' for loss in losses),
        *(f'<text class="middle" x="{x(step)}" y="{_HIGH - 6}">{step}</text>' for step in range(0, steps, every)),
        f'<text class="end" x="{_WIDE - 8}" y="{_HIGH - 6}">{steps} steps</text>',
    ]


def _described(found: Outcome) -> str:
    """Say the curves in numbers."""
    names = _races()["presets"][found.preset]["names"]
    ends = [(np.median(losses[:, 0]), np.median(losses[:, -1])) for losses in found.losses]
    return "Median loss: " + ", ".join(
        f"{name} from {first:.1f} to {last:.1f}" for name, (first, last) in zip(names, ends, strict=True)
    )


# ------------------------------------------------------------------------------------------------------- the widget


def race(*names: str, seed: int = 1) -> Any:
    """Return the live figure: a widget in Jupyter, its element with a picture in it on a page.

    Parameters
    ----------
    *names : str
        One or more of `presets`; the first is set up, the others have buttons.
    seed : int
        Of the first draw.

    Returns
    -------
    anywidget.AnyWidget
        Traits ``preset`` and ``seed``, which the reader changes and which you may set; ``bet``, the start on which the
        reader bet, or "even"; and ``result``, a dict once a race is over: who was ``ahead``, whether the bet was
        ``right``, in how many of the ``draws``, and each start's ``scores``. Without a browser they stay empty.

    Raises
    ------
    ImportError
        If anywidget is not installed.
    TypeError, ValueError
        If a name is not one of `presets`, or there is none.

    Examples
    --------
    >>> figure = race("small", "small-shallow")
    >>> figure.preset, figure.bet, figure.result
    ('small', '', {})
    """
    _named(names)
    return _widget_class()(names, _checks.integer(seed, "seed", low=0))


@cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError(
            "ini.race needs anywidget, which is not installed; install it: pip install anywidget. "
            "initnotes.book.races.to_html(...) needs nothing and returns the figure's HTML"
        ) from error

    class Race(anywidget.AnyWidget):
        """The figure; `race` makes it."""

        _esm = "\n".join(_asset(f"train-{part}.mjs").read_text(encoding="utf-8") for part in ("digits", "lab"))
        presets = traitlets.List(traitlets.Unicode()).tag(sync=True)
        preset = traitlets.Unicode().tag(sync=True)
        seed = traitlets.Int().tag(sync=True)
        bet = traitlets.Unicode().tag(sync=True)
        result = traitlets.Dict().tag(sync=True)

        def __init__(self, names: Sequence[str], seed: int) -> None:
            self._start = names, seed
            super().__init__(presets=list(names), preset=names[0], seed=seed)

        @traitlets.validate("preset")
        def _known(self, proposal: Any) -> Any:
            """Refuse what is no race; "own" is the reader's."""
            name = proposal["value"]
            return name if name == "own" else _checks.one_of(name, "preset", presets())

        def _repr_mimebundle_(self, **options: Any) -> Any:
            names, seed = self._start
            bundle: Any = super()._repr_mimebundle_(**options)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
            return data | {"text/html": to_html(*names, seed=seed), "text/plain": repr(self)}, metadata

        def __repr__(self) -> str:
            return f"train-lab: {', '.join(self.presets)}"

    return Race
