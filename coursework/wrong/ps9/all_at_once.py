"""Lets everything that is learned move at step 1, whatever is zero beside it."""

LOSES = {"first_moves"}
HINTS = {
    "first_moves": "You let all that is learned move at step 1. A gradient is a product, and one factor may be zero.",
}


def first_moves(head, first, last, alpha, learned):
    return {"stem": 1, "first": 1, "last": 1, "alpha": int(learned), "head": 1}
