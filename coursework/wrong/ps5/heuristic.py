"""Takes the rule that the paper argues against for the paper's rule: equation 1 in place of equation 16."""

import math

LOSES = {"glorot_normal", "glorot_uniform"}
HINTS = {
    "glorot_normal": "Your variance is 1/(3 fan_in): equation 1 of the paper, the rule that it argues against.",
    "glorot_uniform": "Your bound is 1/√fan_in: equation 1 of the paper, the rule that it argues against.",
}


def glorot_normal(shape, fan_in, fan_out, rng):
    return rng.normal(0.0, math.sqrt(1 / (3 * fan_in)), size=shape)


def glorot_uniform(shape, fan_in, fan_out, rng):
    bound = 1 / math.sqrt(fan_in)
    return rng.uniform(-bound, bound, size=shape)
