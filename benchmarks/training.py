"""Training 32 replicas at once, against a loop of ``nn.Sequential`` and against the bare batched products of it.

All sides are measured in one run, warm, in turns; a figure is the median of the rounds. Exits with 1 if a ratio misses
its aim.

Against the loop every thread of the machine may help. Against the bare products one thread has to do: they gain from
two, and an elementwise operation on the 32 768 numbers of a layer of width 32 does not.

A sweep, of three arms at six rates, is held against the bare products of as many replicas, with one thread as well.
"""

import sys
from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import torch
from torch import nn

import initnotes as ini
from initnotes.networks import Ensemble
from initnotes.networks.training import sweep, train

from ._timing import seconds

REPLICAS, DEPTH, STEPS, ROUNDS = 32, 10, 40, 7
# (width, batch, dtype): how many times as fast as the loop it should be
AIMS = {(32, 32, "float64"): 4.0, (32, 32, "float32"): 7.0, (64, 64, "float64"): 1.3, (64, 64, "float32"): 2.0}
LEAST_RATE = 0.4  # of bare products, everywhere
ARMS, RATES, MOST = 3, 6, 1.3  # how many times as long as its bare products a sweep may take
MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh}


def sequential(widths: tuple[int, ...], activation: str, dtype: torch.dtype) -> nn.Sequential:
    """Return one network."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out, dtype=dtype), MODULES[activation]()]
    return nn.Sequential(*layers[:-1])


def loop(widths: tuple[int, ...], activation: str, batch: int, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """Return the training of as many networks one after another, with torch's own loss and optimizer."""
    nets = [sequential(widths, activation, x.dtype) for _ in range(REPLICAS)]
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.01) for net in nets]
    order = torch.randint(len(x), (STEPS, REPLICAS, batch), generator=torch.Generator().manual_seed(1))

    def work() -> None:
        for step in range(STEPS):
            for net, optimizer, batch_of in zip(nets, optimizers, order[step], strict=True):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[batch_of]), y[batch_of]).backward()
                optimizer.step()

    return work


def bare(
    widths: tuple[int, ...], batch: int, dtype: torch.dtype, *, replicas: int = REPLICAS, steps: int = STEPS
) -> Callable[[], None]:
    """Return the matrix products of the same training and nothing else: forward, and both of the backward pass.

    Each writes to a place of its own: a training, too, needs every signal until the way back has passed it, and every
    gradient until the step is made.
    """
    pairs = list(pairwise(widths))
    h, delta = ([torch.randn(replicas, batch, n, dtype=dtype) for n in widths] for _ in range(2))
    w, gradient = ([torch.randn(replicas, n_out, n_in, dtype=dtype) for n_in, n_out in pairs] for _ in range(2))
    z = [torch.empty_like(layer) for layer in h[1:]]

    def work() -> None:
        for _ in range(steps):
            for layer in range(DEPTH):
                torch.bmm(h[layer], w[layer].mT, out=z[layer])
            for layer in reversed(range(DEPTH)):
                torch.bmm(delta[layer + 1].mT, h[layer], out=gradient[layer])
                if layer:
                    torch.bmm(delta[layer + 1], w[layer], out=delta[layer])

    return work


def measure(width: int, batch: int, dtype: str, activation: str) -> tuple[float, float]:
    """Return how many times as fast as the loop the ensemble is, and its share of the bare products' rate."""
    digits = ini.data.digits().train
    kind = getattr(torch, dtype)
    x, y = torch.from_numpy(digits.x).to(kind), torch.from_numpy(digits.y)
    widths = (64, *[width] * (DEPTH - 1), 10)
    rng = np.random.default_rng(1)
    net = Ensemble(widths, activation, "he_normal", rng=rng, replicas=REPLICAS, dtype=dtype)

    def ensemble() -> None:
        train(net, x, y, lr=0.01, steps=STEPS, batch_size=batch, every=STEPS, rng=rng)

    many = seconds({"ensemble": ensemble, "loop": loop(widths, activation, batch, x, y)}, rounds=ROUNDS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    single = seconds({"ensemble": ensemble, "bare": bare(widths, batch, kind)}, rounds=ROUNDS)
    torch.set_num_threads(threads)
    whole, looped, alone, products = (
        1e3 * time / STEPS for time in (many["ensemble"], many["loop"], single["ensemble"], single["bare"])
    )
    print(
        f"{DEPTH} x {width}, {activation}, batch {batch}, {dtype}: a step takes {whole:.1f} ms, in the loop "
        f"{looped:.1f} ms; with one thread {alone:.1f} ms, its bare products {products:.1f} ms"
    )
    return many["loop"] / many["ensemble"], single["bare"] / single["ensemble"]


def swept(batch: int, activation: str, *, steps: int = 6, rounds: int = 5) -> float:
    """Return how many times as long as its bare products a sweep takes; what it measures at its end is left out."""
    digits = ini.data.digits().train
    widths, rng = (64, *[32] * (DEPTH - 1), 10), np.random.default_rng(1)
    arms = {str(arm): Ensemble(widths, activation, "he_normal", rng=rng, replicas=REPLICAS) for arm in range(ARMS)}
    run = {"rates": np.geomspace(0.001, 0.3, RATES), "batch_size": batch, "rng": rng}
    run["measure"] = lambda net: np.zeros(net.replicas)

    def whole(budget: int) -> None:
        sweep(arms, digits.x, digits.y, budgets=[budget], **run)

    products = bare(widths, batch, torch.float64, replicas=ARMS * RATES * REPLICAS, steps=steps)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    contenders = {"short": lambda: whole(1), "long": lambda: whole(steps + 1), "bare": products}
    time = seconds(contenders, rounds=rounds)
    torch.set_num_threads(threads)
    step, alone = (1e3 * part / steps for part in (time["long"] - time["short"], time["bare"]))
    print(f"sweep, {activation}, batch {batch}: a step takes {step:.0f} ms, its bare products {alone:.0f} ms")
    return step / alone


def main() -> int:
    """Print the table; return 1 if an aim is missed."""
    print(f"{REPLICAS} replicas, {torch.get_num_threads()} threads, median of {ROUNDS} rounds of {STEPS} steps")
    missed = 0
    for ((width, batch, dtype), aim), activation in product(AIMS.items(), MODULES):
        times_faster, rate = measure(width, batch, dtype, activation)
        enough = times_faster >= aim and rate >= LEAST_RATE
        missed += not enough
        print(
            f"  {times_faster:.1f} times the loop (aim {aim:g}), {rate:.2f} of bare products (aim {LEAST_RATE})"
            f"{'' if enough else '  MISSED'}"
        )
    for batch, activation in product((32, 64), MODULES):
        ratio = swept(batch, activation)
        missed += ratio > MOST
        print(f"  {ratio:.2f} times the bare products (at most {MOST}){'  MISSED' if ratio > MOST else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
