"""Counts fans as torch.nn.init does: from the shape alone."""

import math

LOSES = {"fans"}


def fans(kind, shape, groups):
    first, second, *kernel = shape
    return second * math.prod(kernel), first * math.prod(kernel)
