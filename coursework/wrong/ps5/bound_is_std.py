"""Takes the standard deviation for the bound of the uniform law, and the arithmetic mean for every compromise."""

import math

LOSES = {"glorot_uniform", "compromise"}
HINTS = {
    "glorot_uniform": "Your bound is the standard deviation. What is the variance of a uniform law on ±b?",
    "compromise": (
        "You took the arithmetic mean of the fans, with weights. The cost is in logarithms: differentiate it with "
        "respect to ln v."
    ),
}


def glorot_uniform(shape, fan_in, fan_out, rng):
    bound = math.sqrt(2 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, size=shape)


def compromise(fan_in, fan_out, gradient_weight):
    return 1 / ((1 - gradient_weight) * fan_in + gradient_weight * fan_out)
