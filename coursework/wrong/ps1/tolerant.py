"""Averages over the batch, compares units with a tolerance, and gives whole numbers of steps."""

import numpy as np

LOSES = {"gradients", "groups", "steps_to_separate"}
HINTS = {
    "gradients": "Yours are the gradients of the mean over the batch. The loss is the sum.",
    "groups": "You compare with a tolerance. Units that differ in the last digit differ.",
    "steps_to_separate": "You round T to a whole number. It need not be one.",
}
RIGHT = gradients, steps_to_separate  # noqa: F821


def gradients(x, y, W, b, V, c):
    return [gradient / len(x) for gradient in RIGHT[0](x, y, W, b, V, c)]


def groups(W, b, V):
    return len(np.unique(np.round(np.column_stack([W, b, V.T]), 6), axis=0))


def steps_to_separate(epsilons, steps, epsilon):
    return round(RIGHT[1](epsilons, steps, epsilon))
