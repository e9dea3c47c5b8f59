"""Forgets that a kernel multiplies both fans, and takes the preference for that of the signal."""

LOSES = {"fans", "compromise"}


def fans(kind, shape, groups):
    first, second = shape[:2]
    return (first // groups, second) if kind == "transposed" else (second, first // groups)


def compromise(fan_in, fan_out, gradient_weight):
    return fan_in**-gradient_weight * fan_out ** (gradient_weight - 1)
