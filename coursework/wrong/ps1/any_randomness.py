"""Believes that a network with any random tensor is free, and that a smaller epsilon separates sooner."""

import numpy as np

LOSES = {"distinct_after", "almost_equal", "steps_to_separate"}
HINTS = {
    "distinct_after": (
        "You let one random tensor free every layer. Which layers does its randomness reach, unit by unit?"
    ),
    "almost_equal": "Your noise is uniform. Standard normal numbers are asked for.",
    "steps_to_separate": "A smaller epsilon needs more steps. Yours needs fewer: look at the sign of B.",
}


def distinct_after(widths, random):
    return list(widths[1:-1]) if random else [1] * (len(widths) - 2)


def almost_equal(fan_out, fan_in, value, epsilon, rng):
    return value * (1 + epsilon * rng.uniform(-(3**0.5), 3**0.5, size=(fan_out, fan_in)))


def steps_to_separate(epsilons, steps, epsilon):
    B = (steps[1] - steps[0]) / np.log(epsilons[0] / epsilons[1])
    return float(steps[0] - B * np.log(epsilons[0] / epsilon))
