"""Draws a uniform law where a normal one is asked for, and the other way round, with the right spread."""

import math

LOSES = {"glorot_normal", "glorot_uniform"}
HINTS = {
    "glorot_normal": "The spread is right, and the law is the uniform one.",
    "glorot_uniform": "The spread is right, and the law is the normal one.",
}


def glorot_normal(shape, fan_in, fan_out, rng):
    bound = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, size=shape)


def glorot_uniform(shape, fan_in, fan_out, rng):
    return rng.normal(0.0, math.sqrt(2 / (fan_in + fan_out)), size=shape)
