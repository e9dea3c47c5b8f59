"""Gives the variance that a cut leaves for the standard deviation; what uses it is wrong as well."""

import math

LOSES = {"kept_std", "truncated_normal"}
HINTS = {
    "kept_std": "That is the variance that is left. Its square root is asked for.",
    "truncated_normal": "Your correction divides by a variance. Repair `kept_std` first.",
}


def kept_std(cut):
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    return 1 - 2 * cut * density / math.erf(cut / math.sqrt(2))
