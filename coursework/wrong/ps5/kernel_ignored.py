"""Forgets that a kernel multiplies both fans, and takes the preference for that of the signal."""

LOSES = {"fans", "compromise"}
HINTS = {
    "fans": "You left the kernel out: each of its places is one more input, and one more output.",
    "compromise": "Your weight stands for the signal. gradient_weight is that of the gradient.",
}


def fans(kind, shape, groups):
    first, second = shape[:2]
    return (first // groups, second) if kind == "transposed" else (second, first // groups)


def compromise(fan_in, fan_out, gradient_weight):
    return fan_in**-gradient_weight * fan_out ** (gradient_weight - 1)
