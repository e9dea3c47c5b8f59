"""Lets the terms of an update cancel as those of a random start do."""

LOSES = {"slopes"}
HINTS = {
    "slopes": "You let the terms of an update cancel as those of a random sum do. An update is made of what it meets.",
}
RIGHT = slopes  # noqa: F821


def slopes(start, rates, optimizer):
    return [slope - (0.5 if at else 0.0) for at, slope in enumerate(RIGHT(start, rates, optimizer))]
