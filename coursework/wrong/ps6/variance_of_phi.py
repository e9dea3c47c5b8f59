"""Keeps the variance of φ in place of its second moment, and takes chi for the slope of the map."""

LOSES = {"gain", "stability"}
HINTS = {
    "gain": "You keep the variance of φ. The mean of φ is not zero here, and the next layer sums second moments.",
    "stability": "Your slope of the map is χ. They are different means: differentiate E φ(√q ξ)² with respect to q.",
}


def gain(a, b, c, d):
    first = mean(lambda xi: phi(xi, a, b, c, d), d)  # noqa: F821
    return (mean(lambda xi: phi(xi, a, b, c, d) ** 2, d) - first**2) ** -0.5  # noqa: F821


def stability(a, b, c, d, sigma_w):
    h = 1e-6
    chi = sigma_w**2 * mean(lambda xi: ((phi(xi + h, a, b, c, d) - phi(xi - h, a, b, c, d)) / (2 * h)) ** 2, d)  # noqa: F821
    return [chi, chi]
