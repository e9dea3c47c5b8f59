"""Uses fan_out where the assignment says fan_in."""

import numpy as np

LOSES = {"forward_factors", "backward_factors"}
HINTS = {
    "forward_factors": "Your weights have the variance σ_w²/fan_out. The assignment divides by fan_in.",
    "backward_factors": (
        "Yours are n_1/n_L times what they should be: your weights divide by fan_out, or you add up where a mean is "
        "asked for. The values are the same."
    ),
}


def passed(x, widths, sigma_w, replicas, rng):
    h, z, Ws = np.broadcast_to(x[:, None], (replicas, len(x), 1)), [], []
    for fan_out, fan_in in zip(widths[1:], widths, strict=False):
        Ws.append(sigma_w / np.sqrt(fan_out) * rng.standard_normal((replicas, fan_out, fan_in)))
        z.append(Ws[-1] @ h)
        h = np.maximum(z[-1], 0)
    return h, z, Ws


def forward_factors(x, widths, sigma_w, replicas, rng):
    return np.mean(passed(x, widths, sigma_w, replicas, rng)[0] ** 2, axis=(1, 2)) / np.mean(x**2)


def backward_factors(x, delta, widths, sigma_w, replicas, rng):
    _, z, Ws = passed(x, widths, sigma_w, replicas, rng)
    down = np.broadcast_to(delta[:, None], (replicas, len(delta), 1))
    for layer in range(len(Ws) - 1, 0, -1):
        down = (np.swapaxes(Ws[layer], 1, 2) @ down) * (z[layer - 1] > 0)
    return np.mean(down**2, axis=(1, 2)) / np.mean(delta**2)
