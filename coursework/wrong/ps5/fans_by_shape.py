"""Counts fans as torch.nn.init does: from the shape alone."""

import math

LOSES = {"fans"}
HINTS = {
    "fans": (
        "You read the fans off the shape as torch.nn.init does. Which axis does a transposed convolution sum "
        "over, and what do groups cut?"
    ),
}


def fans(kind, shape, groups):
    first, second, *kernel = shape
    return second * math.prod(kernel), first * math.prod(kernel)
