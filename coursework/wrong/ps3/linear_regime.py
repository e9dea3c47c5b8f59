"""Takes every activation for a linear one, and every input for one of rms 1."""

LOSES = {"predicted_rms", "last_q", "choose_sigma"}
RIGHT = predicted_rms  # noqa: F821


def predicted_rms(widths, sigma, input_rms):
    return RIGHT(widths, sigma, 1.0)


def last_q(sigma_w, depth, activation, input_rms):
    return float(sigma_w ** (2 * depth))
