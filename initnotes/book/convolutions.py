"""What a convolution is as one matrix, how power lies between the phases of an image, and a small decoder that trains.

What lives here measures for the chapter on convolutions; the laws that it compares with are in ``theory.convolution``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .. import _checks, schemes
from .rectified import next_cosine

__all__ = ["decoder_losses", "pair_kappas", "phase_share", "singular_values", "stage_factors"]


def singular_values(kernels: Any, size: int) -> np.ndarray:
    """Return the singular values of whole convolutions, from images of size × size to such images, without borders.

    Waves pass a convolution by themselves, so its matrix falls into blocks of channels, one for each wave: the discrete
    Fourier transform of the kernel.

    Parameters
    ----------
    kernels : array, shape (R, channels', channels, kernel, kernel)
    size : int
        Of the image, which is continued in circles; at least the kernel's.

    Returns
    -------
    ndarray, shape (R, size² · min(channels', channels))

    References
    ----------
    Sedghi, Gupta & Long, "The singular values of convolutional layers", ICLR 2019.

    Examples
    --------
    >>> singular_values(np.full((1, 1, 1, 2, 2), 0.25), 2).round(3) + 0.0
    array([[1., 0., 0., 0.]])
    """
    kernels, size = np.asarray(kernels), _checks.integer(size, "size")
    if max(kernels.shape[-2:]) > size:
        raise ValueError(f"size must be at least the kernel's, {max(kernels.shape[-2:])}, got {size}")
    waves = np.fft.fft2(kernels, (size, size)).transpose(0, 3, 4, 1, 2)  # (R, size, size, channels', channels)
    return np.asarray(np.linalg.svd(waves, compute_uv=False).reshape(len(kernels), -1))


def pair_kappas(image: Any, depth: int) -> np.ndarray:
    """Return ⟨κ⟩ of each layer behind an image: C times the relative variance that it adds to its mean square K.

    He's 3 × 3 kernels, ReLU, one input channel and circular padding. Wide layers give any two positions a covariance,
    which is known layer by layer; κ is averaged over all pairs of positions, each weighted by the product of their mean
    squares.

    Parameters
    ----------
    image : array, shape (side, side)
    depth : int

    Returns
    -------
    ndarray, shape (depth,)
        5 where all positions are alike, and 5 over their number where each is independent and of one size.

    References
    ----------
    Cho & Saul, "Kernel methods for deep learning", NeurIPS 2009: both kernels of ReLU. κ is what
    ``theory.sharing_kurtosis`` expands for any activation.

    Examples
    --------
    >>> pair_kappas(np.ones((4, 4)), 3).round(3), pair_kappas(np.eye(4), 20).round(1)[[0, -1]]
    (array([5., 5., 5.]), array([1.3, 4.7]))
    """
    image = np.asarray(image, dtype=np.float64)
    side, found = len(image), []
    pairs = np.multiply.outer(image, image)  # (row, column, row', column') of what the first layer reads
    for _ in range(_checks.integer(depth, "depth")):
        taps = [np.roll(pairs, (i, j, i, j), range(4)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        covariance = 2 * np.mean(taps, axis=0).reshape(side**2, side**2)
        size = covariance.diagonal()
        products = np.outer(size, size)
        c = (covariance / np.sqrt(products + 1e-300)).clip(-1, 1)
        angle, sine = np.arccos(c), np.sqrt(1 - c**2)
        kappa = 2 / np.pi * (3 * sine * c + (np.pi - angle) * (1 + 2 * c**2)) - 1
        found.append((products * kappa).sum() / products.sum())
        pairs = (next_cosine(c) / 2 * np.sqrt(products)).reshape((side,) * 4)  # ½: E relu² for a unit variance
    return np.array(found)


def phase_share(images: Any, stride: int) -> np.ndarray:
    """Return which share of images' mean square is the difference between phases: the checkerboard of a flat image.

    Parameters
    ----------
    images : array or Tensor, shape (R, …, height, width)
        Height and width are multiples of the stride. What is to be flat is flat.
    stride : int

    Returns
    -------
    ndarray, shape (R,)
        0 where all positions of a cell of stride × stride are equal, 1 where their mean is 0.

    Examples
    --------
    >>> phase_share([[[1.0, 1.0], [1.0, 1.0]], [[1.0, -1.0], [1.0, -1.0]], [[2.0, 0.0], [0.0, 0.0]]], 2)
    array([0.  , 1.  , 0.75])
    """
    step, given = _checks.integer(stride, "stride"), np.asarray(images, dtype=np.float64)
    *rest, height, width = given.shape
    if height % step or width % step:
        raise ValueError(f"height and width must be multiples of {step}, got {height} × {width}")
    cells = given.reshape(*rest, height // step, step, width // step, step)
    kept = (cells.mean((-3, -1)) ** 2).reshape(len(given), -1).mean(1)
    return np.asarray(1 - kept / (given**2).reshape(len(given), -1).mean(1))


def stage_factors(
    variance: float, channels: int, made: int, stride: int, *, rng: np.random.Generator, replicas: int = 32
) -> dict[str, np.ndarray]:
    """Return what one layer of 3 × 3 kernels behind a ReLU does to signals and to gradients, without borders.

    Parameters
    ----------
    variance : float
        Of a weight.
    channels, made : int
        Channels in and out.
    stride : int
    rng : numpy.random.Generator
    replicas : int

    Returns
    -------
    dict of str to ndarray, shape (R,)
        Factors on the mean square of pre-activations, ``"forward"``, and on the sum of squares over the whole image,
        ``"forward, total"``; on gradients, from the layer's pre-activations to those below it, ``"backward"`` and
        ``"backward, total"``.

    Examples
    --------
    >>> found = stage_factors(2 / (32 * 9), 32, 32, 1, rng=np.random.default_rng(1))
    >>> {name: float(np.median(own).round(1)) for name, own in found.items()}
    {'forward': 1.0, 'forward, total': 1.0, 'backward': 1.0, 'backward, total': 1.0}
    """
    z = torch.from_numpy(rng.standard_normal((replicas * channels, 8, 8)).astype(np.float32)).requires_grad_()
    weight = torch.from_numpy(rng.standard_normal((replicas * made, channels, 3, 3)).astype(np.float32))
    padded = functional.pad(z.relu()[None], (1, 1, 1, 1), mode="circular")
    after = functional.conv2d(padded, variance**0.5 * weight, stride=stride, groups=replicas)
    delta = torch.from_numpy(rng.standard_normal(after.shape).astype(np.float32))
    (back,) = torch.autograd.grad(after, z, delta)

    def factors(new: Tensor, old: Tensor) -> tuple[np.ndarray, np.ndarray]:
        totals = [part.detach().reshape(replicas, -1).double().square().sum(1).numpy() for part in (new, old)]
        total = totals[0] / totals[1]
        return total * old.numel() / new.numel(), total

    forward, backward = factors(after, z), factors(back, delta)
    names = ("forward", "forward, total", "backward", "backward, total")
    return dict(zip(names, (*forward, *backward), strict=True))


def decoder_losses(
    last: Any, images: Any, *, rates: Sequence[float], budgets: Sequence[int], rng: np.random.Generator, replicas: int
) -> tuple[np.ndarray, np.ndarray]:
    """Train decoders to images of twice the size by Adam, at all rates; return their losses and checkerboards.

    A convolution to 16 channels, ReLU, and one to 4, which a pixel shuffle lays out as an image of twice the size. From
    images whose cells of 2 × 2 have been averaged they learn to give the images back.

    Parameters
    ----------
    last : Initializer or str
        For the second convolution; the first has He's weights.
    images : array, shape (N, side, side)
        The side is even, 8 or more.
    rates, budgets : sequence of numbers
    rng : numpy.random.Generator
    replicas : int
        The same draws at every rate.

    Returns
    -------
    losses, shares : ndarray, each of shape (budgets, rates, R)
        Mean squared error on the images, and `phase_share` of what becomes of an image of ones, four positions from its
        border.

    Examples
    --------
    >>> images, rng = np.ones((1, 8, 8)), np.random.default_rng(1)
    >>> how = {"rates": [0.01], "budgets": [0, 20], "rng": rng, "replicas": 3}
    >>> losses, shares = decoder_losses("he_normal", images, **how)
    >>> bool((losses[1] < losses[0]).all()), bool((shares[1] < shares[0]).all())
    (True, True)
    """
    target = torch.from_numpy(np.asarray(images, dtype=np.float64))[:, None]
    given, flat = functional.avg_pool2d(target, 2), torch.ones(1, 1, 8, 8, dtype=torch.float64)
    shapes = ((16, 1, 3, 3), (4, 16, 3, 3))
    drawn = [
        torch.from_numpy(schemes.scheme(own).sample(shape, rng, replicas)).flatten(0, 1)
        for own, shape in zip(("he_normal", last), shapes, strict=True)
    ]
    nets = [[own.clone().requires_grad_() for own in drawn] for _ in rates]
    groups = len(nets) * replicas
    groups_of_rates = [{"params": net, "lr": float(rate)} for net, rate in zip(nets, rates, strict=True)]
    optimizer = torch.optim.Adam(groups_of_rates)

    def decoded(x: Tensor) -> Tensor:
        first, second = (torch.cat(weights) for weights in zip(*nets, strict=True))
        h = functional.conv2d(x.expand(-1, groups, -1, -1), first, padding=1, groups=groups).relu()
        return functional.pixel_shuffle(functional.conv2d(h, second, padding=1, groups=groups), 2)

    losses, shares = [], []
    for step in range(max(budgets) + 1):
        loss = (decoded(given) - target).square().mean((0, 2, 3))
        if step in budgets:
            losses.append(loss.detach().numpy().reshape(len(nets), replicas))
            inside = decoded(flat).detach()[0, :, 4:-4, 4:-4]
            shares.append(phase_share(inside.numpy(), 2).reshape(len(nets), replicas))
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    return np.stack(losses), np.stack(shares)
