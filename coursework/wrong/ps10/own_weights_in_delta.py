"""Sends delta through a layer's own weights as well, and gives Adam's update the size of the gradient."""

LOSES = {"slopes"}
HINTS = {
    "slopes": "Your Adam is SGD: its entries are ±η, whatever the gradient's size. And δ has not passed its own layer.",
}


def slopes(start, rates, optimizer):
    depth, signal, delta = len(start), [0.0], [0.0]
    for layer in range(depth - 1):
        signal.append(signal[-1] + start[layer] + (0.5 if layer else 0.0))
    for layer in range(depth - 1, -1, -1):
        delta.insert(0, delta[0] + start[layer] + (0.5 if layer < depth - 1 else 0.0))
    return [rates[at] + (at > 0) + 2 * signal[at] + delta[at] for at in range(depth)]
