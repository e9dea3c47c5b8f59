"""Stops after three layers, and takes chi for the slope of the map."""

import math

LOSES = {"stability", "settled_rms"}
HINTS = {
    "stability": "Your slope of the map is χ. They are different means: differentiate E φ(√q ξ)² with respect to q.",
    "settled_rms": "You stop after a few layers. Go on until it settles.",
}
RIGHT = stability  # noqa: F821


def stability(alpha, scale, target):
    return [RIGHT(alpha, scale, target)[1]] * 2


def settled_rms(alpha, scale, sigma_w):
    q = 1.0
    for _ in range(3):
        first = math.exp(q / 2) * math.erfc(math.sqrt(q / 2))
        second = math.exp(2 * q) * math.erfc(math.sqrt(2 * q))
        q = sigma_w**2 * scale**2 * (q / 2 + alpha**2 / 2 * (second - 2 * first + 1))
    return math.sqrt(q) / sigma_w
