"""Gives the variance that a cut leaves for the standard deviation; what uses it is wrong as well."""

import math

LOSES = {"kept_std", "truncated_normal"}


def kept_std(cut):
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    return 1 - 2 * cut * density / math.erf(cut / math.sqrt(2))
