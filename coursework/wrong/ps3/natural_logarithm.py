"""Takes natural logarithms, and forgets the square root in the map; part 5 uses the map."""

import numpy as np

LOSES = {"slope", "last_q", "choose_sigma"}
HINTS = {
    "slope": "Your slopes are in natural logarithms. Decimal places are asked for.",
    "last_q": "You put q where its square root belongs: z is √q·ξ.",
    "choose_sigma": "Your σ comes from a variance map that has q where √q belongs. Repair part 4 first.",
}


def slope(rms):
    return np.polyfit(np.arange(rms.shape[1]), np.log(rms).T, 1)[0]


def last_q(sigma_w, depth, activation, input_rms):
    q = sigma_w**2 * input_rms**2
    for _ in range(depth - 1):
        q = sigma_w**2 * mean_over_xi(lambda xi, q=q: PHI[activation](q * xi) ** 2)  # noqa: F821
    return float(q)
