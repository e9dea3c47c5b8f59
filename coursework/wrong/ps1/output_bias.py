"""Believes that random biases of a layer free the layer below, as outgoing weights do."""

LOSES = {"distinct_after"}
HINTS = {
    "distinct_after": (
        "You let the biases of a layer free the layer below. A weight is a factor in the gradient that goes down. "
        "Is a bias?"
    ),
}


def distinct_after(widths, random):
    free = [{f"W{i}", f"b{i}", f"W{i + 1}", f"b{i + 1}"} & set(random) for i in range(1, len(widths) - 1)]
    return [n if reached else 1 for n, reached in zip(widths[1:-1], free, strict=True)]
