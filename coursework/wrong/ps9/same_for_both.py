"""Counts the factors twice under Adam as well, whose step has forgotten the size of the gradient."""

LOSES = {"rate_factor"}
HINTS = {
    "rate_factor": "You count the factors twice under Adam as well. What has Adam's step forgotten?",
}
RIGHT = rate_factor  # noqa: F821


def rate_factor(alpha, first, last, optimizer, blocks, other):
    return RIGHT(alpha, first, last, "sgd", blocks, other)
