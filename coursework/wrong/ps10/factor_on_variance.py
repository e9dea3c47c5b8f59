"""Puts the start's factor on the variance, and lets sums of independent terms grow as aligned ones do."""

import math

LOSES = {"plan", "slopes"}
HINTS = {
    "plan": "Your factor on the start is that of the variance. It should be on the standard deviation.",
    "slopes": "You let sums of independent terms grow as n. They grow as the root of n; only aligned ones do so.",
}
RIGHT = plan  # noqa: F821


def plan(widths, base, rate, optimizer):
    rows = RIGHT(widths, base, rate, optimizer)
    return [
        [math.sqrt(2 / n) * (std / math.sqrt(2 / n)) ** 0.5, *rates]
        for n, (std, *rates) in zip(widths[:-1], rows, strict=True)
    ]


def slopes(start, rates, optimizer):
    depth, signal, delta = len(start), [0.0], [0.0]
    for layer in range(depth - 1):
        signal.append(signal[-1] + start[layer] + (layer > 0))
    for layer in range(depth - 1, 0, -1):
        delta.insert(0, delta[0] + start[layer] + (layer < depth - 1))
    adam = optimizer == "adam"
    return [rates[at] + (at > 0) + (signal[at] if adam else 2 * signal[at] + delta[at]) for at in range(depth)]
