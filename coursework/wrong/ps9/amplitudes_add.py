"""Adds the rms of the branch to that of the stream, as if both pointed the same way."""

import numpy as np

LOSES = {"stream", "choose_alpha", "shares"}
HINTS = {
    "stream": "You add rms values. Branch and stream are uncorrelated: what adds then?",
    "choose_alpha": "You let rms values add. Branch and stream are uncorrelated: what adds then?",
    "shares": "You compare rms values. Of uncorrelated parts the mean squares add up to that of the sum.",
}


def stream(form, alpha, first, last, blocks):
    size = (1 if form == "pre" else 2**0.5) * alpha * first * last
    count = np.arange(blocks + 1)
    return ((1 + size * count) ** 2 if form == "norm" else (1 + size) ** (2 * count)).tolist()


def choose_alpha(form, first, last, blocks, growth):
    size = (growth**0.5 - 1) / blocks if form == "norm" else growth ** (0.5 / blocks) - 1
    return size / (1 if form == "pre" else 2**0.5) / (first * last)


def shares(squares):
    rms = np.sqrt(squares)
    return (np.diff(rms, prepend=0.0) / rms[-1]).tolist()
