"""Stretches Klambauer's constants to the target, and gives the rms of z for that of h."""

import math

LOSES = {"selu_constants", "settled_rms"}
HINTS = {
    "selu_constants": "You stretched Klambauer's constants. α is a matter of the mean, and that moves with q.",
    "settled_rms": "That is the rms of z. The one of h is asked for: which factor lies between them?",
}


def selu_constants(target):
    return [1.6732632423543772, 1.0507009873554805 * math.sqrt(target)]


def settled_rms(alpha, scale, sigma_w):
    q = 1.0
    for _ in range(2000):
        first = math.exp(q / 2) * math.erfc(math.sqrt(q / 2))
        second = math.exp(2 * q) * math.erfc(math.sqrt(2 * q))
        q = sigma_w**2 * scale**2 * (q / 2 + alpha**2 / 2 * (second - 2 * first + 1))
    return math.sqrt(q)
