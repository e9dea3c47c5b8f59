"""Keeps the function as large as it was, by the product of all factors, and not its first update."""

LOSES = {"rate_factor"}
HINTS = {
    "rate_factor": (
        "You count the product of all three factors, which says how large the branch is. In the first update each "
        "matrix moves by itself: which factor is missing then?"
    ),
}


def rate_factor(alpha, first, last, optimizer, blocks, other):
    power = alpha + (first or 0) + (last or 0)
    return (other / blocks) ** -(1 + power * (2 if optimizer == "sgd" else 1))
