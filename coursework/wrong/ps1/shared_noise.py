"""Gives all units of a layer the same noise: random, and as symmetric as before."""

LOSES = {"almost_equal"}
HINTS = {
    "almost_equal": (
        "All rows of your matrix have the same noise, so the units stay equal. How many numbers must be drawn, "
        "and of which shape?"
    ),
}


def almost_equal(fan_out, fan_in, value, epsilon, rng):
    return value * (1 + epsilon * rng.standard_normal(fan_in)) + 0 * rng.standard_normal((fan_out, 1))
