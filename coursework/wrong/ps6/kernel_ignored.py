"""Takes the channels for the fan, and gives the second moments behind the activation in place of those in front."""

import math

LOSES = {"he_leaky", "signal"}
HINTS = {
    "he_leaky": "You count channels. A unit of a convolution adds up over the kernel as well.",
    "signal": (
        "Yours are the second moments behind the activation. Those in front of it are asked for: which factor is "
        "missing?"
    ),
}
RIGHT = signal  # noqa: F821


def he_leaky(shape, slope, rng):
    return rng.normal(0.0, math.sqrt(2 / ((1 + slope**2) * shape[1])), size=shape)


def signal(a, b, c, d, sigma_w, q, depth):
    moments = RIGHT(a, b, c, d, sigma_w, q, depth)
    return [moments[0], *(moment / sigma_w**2 for moment in moments[1:])]
