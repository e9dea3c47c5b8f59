"""Takes every activation for a linear one, and every input for one of rms 1."""

LOSES = {"predicted_rms", "last_q", "choose_sigma"}
HINTS = {
    "predicted_rms": "You take every input for one of rms 1.",
    "last_q": "Your q is that of linear layers and an input of rms 1.",
    "choose_sigma": "Your σ is that of linear layers. Repair part 4 first.",
}
RIGHT = predicted_rms  # noqa: F821


def predicted_rms(widths, sigma, input_rms):
    return RIGHT(widths, sigma, 1.0)


def last_q(sigma_w, depth, activation, input_rms):
    return float(sigma_w ** (2 * depth))
