"""Believes that randomness reaches every layer above it; draws from a seed of its own; takes decimal logarithms."""

import numpy as np

LOSES = {"distinct_after", "almost_equal", "steps_to_separate"}
HINTS = {
    "distinct_after": (
        "You let randomness free every layer above it. Which layer gets different inputs or gradients for each of "
        "its units, and which sums over all of them?"
    ),
    "almost_equal": (
        "Your draw does not hang on the generator that you get. Make no generator of your own: every number comes "
        "from rng."
    ),
    "steps_to_separate": "The line is straight in the natural logarithm. Your two logarithms have different bases.",
}


def distinct_after(widths, random):
    lowest = min((int(name[1:]) for name in random), default=len(widths))
    return [n if layer >= lowest else 1 for layer, n in enumerate(widths[1:-1], start=1)]


def almost_equal(fan_out, fan_in, value, epsilon, rng):
    return value * (1 + epsilon * np.random.default_rng(0).standard_normal((fan_out, fan_in)))


def steps_to_separate(epsilons, steps, epsilon):
    B = (steps[1] - steps[0]) / np.log(epsilons[0] / epsilons[1])
    return float(steps[0] + B * np.log10(epsilons[0] / epsilon))
