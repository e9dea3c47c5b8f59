"""Knows that transposed weights are stored the other way round, and forgets the groups and a kernel's second axis."""

LOSES = {"fans"}
HINTS = {"fans": "You left the groups out, and count one axis of the kernel only."}


def fans(kind, shape, groups):
    first, second, *kernel = shape
    field = kernel[0] if kernel else 1
    return (first * field, second * field) if kind == "transposed" else (second * field, first * field)
