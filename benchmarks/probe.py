"""`ini.probe` against a plain forward and backward pass of the same network, and small networks in milliseconds.

Both sides are measured in one run, warm, in turns; a figure is the median of the rounds. Exits with 1 if an aim is
missed. The aims are for float64, in which the book computes; in float32 the passes take half the time and the
statistics, which are summed in float64, do not.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from initnotes.examine import probe
from initnotes.networks import Ensemble

from ._timing import seconds

DEPTH, ROUNDS = 10, 9
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
DTYPES = ("float64", "float32")
MODULE_AIM, ENSEMBLE_AIM = 1.5, 3.0  # times the plain passes
SMALL_AIM = 5.0  # ms
Pair = tuple[Callable[[], object], Callable[[], object]]  # the probe, the plain passes


def module(width: int, batch: int, activation: str, dtype: str) -> Pair:
    """Return the work of one ``nn.Sequential``; its loss is the cross entropy with random labels."""
    kind = getattr(torch, dtype)
    layers = [part for _ in range(DEPTH) for part in (nn.Linear(width, width, dtype=kind), ACTIVATIONS[activation]())]
    model, x, y = nn.Sequential(*layers[:-1]), torch.randn(batch, width, dtype=kind), torch.randint(width, (batch,))

    def loss(outputs: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, y)

    def plain() -> None:
        model.zero_grad()
        loss(model(x)).backward()

    return lambda: probe(model, x, loss=loss), plain


def ensemble(width: int, batch: int, activation: str, dtype: str, replicas: int) -> Pair:
    """Return the work of an ensemble, with the same loss."""
    net = Ensemble(
        (width,) * (DEPTH + 1), activation, "he_normal", rng=np.random.default_rng(1), replicas=replicas, dtype=dtype
    )
    x, y = torch.randn(batch, width, dtype=net.dtype), torch.randint(width, (batch,))

    def loss(outputs: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs.flatten(0, 1), y.repeat(len(outputs)), reduction="sum") / batch

    def plain() -> None:
        with torch.no_grad():
            signals = net.forward(x)
        output = signals.output.requires_grad_()
        (delta,) = torch.autograd.grad(loss(output), output)
        with torch.no_grad():
            net.backward(signals, delta)

    return lambda: probe(net, x, loss=loss), plain


def cases() -> Iterator[tuple[str, Pair, int, float, float]]:
    """Yield what is measured, its work, the calls of a round, and the aims: times the plain passes, and ms."""
    for width, activation, dtype in product((512, 1024), ACTIVATIONS, DTYPES):
        what = f"module, {DEPTH} x {width}, batch 512, {activation}, {dtype}"
        yield what, module(width, 512, activation, dtype), 1, MODULE_AIM, np.inf
    for activation, dtype in product(ACTIVATIONS, DTYPES):
        what = f"{DEPTH} x 64, batch 64, {activation}, {dtype}"
        yield f"module, {what}", module(64, 64, activation, dtype), 10, np.inf, SMALL_AIM
        yield f"1 replica, {what}", ensemble(64, 64, activation, dtype, 1), 10, np.inf, SMALL_AIM
    for width, activation, dtype in product((64, 128), ACTIVATIONS, DTYPES):
        what = f"32 replicas, {DEPTH} x {width}, batch 64, {activation}, {dtype}"
        yield what, ensemble(width, 64, activation, dtype, 32), 2, ENSEMBLE_AIM, np.inf


def main() -> int:
    """Print the table; return 1 if an aim is missed."""
    torch.manual_seed(1)
    print(f"{torch.get_num_threads()} threads, median of {ROUNDS} rounds: a probe against forward and backward")
    missed = 0
    for what, (measured, plain), calls, most_times, most_ms in cases():
        times = seconds({"probe": measured, "plain": plain}, rounds=ROUNDS, calls=calls)
        ratio, ms = times["probe"] / times["plain"], 1e3 * times["probe"]
        if "float32" in what:
            print(f"  {what}: {ms:.1f} ms, {ratio:.2f} times {1e3 * times['plain']:.1f} ms")
            continue
        enough = ratio <= most_times and ms <= most_ms
        missed += not enough
        aim = f"{most_times:g} times" if most_times < np.inf else f"{most_ms:g} ms"
        print(
            f"  {what}: {ms:.1f} ms, {ratio:.2f} times {1e3 * times['plain']:.1f} ms"
            f" (aim {aim}) {'' if enough else '  MISSED'}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
