"""Sends the input through an activation first, draws a uniform law, and turns the slope's sign."""

import numpy as np

LOSES = {"draw_layer", "slope", "last_q", "choose_sigma"}
HINTS = {
    "draw_layer": "Your weights are uniform. Normal ones are asked for.",
    "slope": "Your sign is turned: a slope is negative if the signal shrinks.",
    "last_q": "You send the input through an activation. Layer 1 sees the input itself.",
    "choose_sigma": "Your σ comes from a map in which the input passes an activation. Repair part 4 first.",
}
RIGHT = slope  # noqa: F821


def draw_layer(fan_out, fan_in, factor, rng):
    bound = factor * np.sqrt(3 / fan_in)
    return rng.uniform(-bound, bound, size=(fan_out, fan_in))


def slope(rms):
    return -RIGHT(rms)


def last_q(sigma_w, depth, activation, input_rms):
    q = input_rms**2
    for _ in range(depth):
        q = sigma_w**2 * mean_over_xi(lambda xi, q=q: PHI[activation](np.sqrt(q) * xi) ** 2)  # noqa: F821
    return float(q)
