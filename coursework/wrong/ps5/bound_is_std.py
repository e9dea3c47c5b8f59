"""Takes the standard deviation for the bound of the uniform law, and the arithmetic mean for every compromise."""

import math

LOSES = {"glorot_uniform", "compromise"}


def glorot_uniform(shape, fan_in, fan_out, rng):
    bound = math.sqrt(2 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, size=shape)


def compromise(fan_in, fan_out, gradient_weight):
    return 1 / ((1 - gradient_weight) * fan_in + gradient_weight * fan_out)
