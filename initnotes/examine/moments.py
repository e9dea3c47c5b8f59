"""Sums, moments and fractions of tensors with a replica axis in front, in float64 whatever their dtype.

What lives here gets tensors of shape (R, ...) and returns a row for each replica; small tensors of one shape are kept
and measured together. It knows nothing of networks.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "SATURATED",
    "Found",
    "Statistic",
    "count_distinct",
    "differ",
    "distinct",
    "heard",
    "joined",
    "length",
    "measured",
    "moments",
    "norm",
    "norms",
    "rms",
    "slope_fractions",
    "spread",
    "sums",
    "thinned",
]

SATURATED = 0.01  # a unit whose |φ′| is smaller is saturated: a sigmoid within 1 % of its limits, any ReLU that is off
_CHUNK = 2**17  # numbers that are converted at a time, so that they stay in the cache
_SMALL = 2**13  # so few numbers take less time than the calls that measure them: those of one shape are joined
_SAMPLE = 2**14  # numbers of a replica's layer from which shares and the spread over inputs are estimated
_LEAST = 32  # inputs, with positions, of which none is left out
Statistic = Callable[[Tensor], Tensor]  # of x, shape (R, ...), to one with a row for each replica
Found = Tensor | tuple[Statistic, Tensor]


def measured(statistic: Statistic, x: Tensor, *, may_change: bool = False) -> Found:
    """Return the statistic of `x`, shape (R, ...); of a small one, what `joined` needs: a copy if it `may_change`."""
    if x.numel() > _SMALL:
        return statistic(x)
    return statistic, x.clone() if may_change else x


def joined(found: Sequence[Found | None], shape: tuple[int, int]) -> np.ndarray:
    """Return the statistics of all that was found, each of the `shape` (R, columns), behind one another; NaN for None.

    Small tensors of one shape are measured in one call.
    """
    made = np.full((*shape, len(found)), np.nan)
    pending: dict[tuple[Statistic, torch.Size, torch.dtype], dict[int, Tensor]] = {}
    for at, own in enumerate(found):
        if isinstance(own, Tensor):
            made[..., at] = own.cpu().numpy()
        elif own is not None:
            pending.setdefault((own[0], own[1].shape, own[1].dtype), {})[at] = own[1]
    for (statistic, (rows, *_), _), same in pending.items():
        together = statistic(torch.cat(list(same.values())))
        made[..., tuple(same)] = together.unflatten(0, (len(same), rows)).movedim(0, -1).cpu().numpy()
    return made


def sums(x: Tensor) -> Tensor:
    """Return a shift a, Σ(x − a), √Σ(x − a)² and the number of terms of each row of `x`, shape (R, 4).

    The shift is 0, or the first number where the variance is less than 1 % of the second moment: then little of it
    cancels, and the deviation of equal numbers is exactly 0. All in float64.
    """
    x = x.flatten(1)
    total, norms = _shifted_sums(x)
    shift = torch.zeros_like(total)
    if not (total.abs() < norms * (0.99 * x.shape[1]) ** 0.5).all():
        shift = x[:, 0].double()
        total, norms = _shifted_sums(x, shift[:, None])
    return torch.stack([shift, total, norms, torch.full_like(total, x.shape[1])], dim=1)


def moments(found: np.ndarray) -> np.ndarray:
    """Return mean, standard deviation and second moment of `sums`, shape (R, 4, n), to shape (3, R, n).

    They are inf where a number was infinite.
    """
    with np.errstate(all="ignore"):
        shift, apart, square = found[:, 0], found[:, 1] / found[:, 3], found[:, 2] ** 2 / found[:, 3]
        variance, infinite = np.maximum(square - apart**2, 0.0), np.isinf(square) | np.isinf(shift)
        mean = np.where(np.isinf(shift), shift, shift + apart)
        second = np.where(infinite, np.inf, np.where(np.isnan(apart), square, variance + mean**2))
        return np.array([mean, np.where(infinite, np.inf, np.sqrt(variance)), second])


def _shifted_sums(x: Tensor, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
    parts = []
    for part in x.split(max(1, _CHUNK // len(x)), dim=1):
        apart = _in_double(part)  # first, once: sums and differences of mixed types are slow
        apart = apart if shift is None else apart - shift
        parts.append((apart.sum(1), torch.linalg.vector_norm(apart, dim=1)))
    if len(parts) == 1:
        return parts[0]
    total, norms = (torch.stack(of_parts) for of_parts in zip(*parts, strict=True))
    return total.sum(0), torch.linalg.vector_norm(norms, dim=0)


_PRECISE = (torch.float32, torch.float64)
_scratch = threading.local()


def _in_double(part: Tensor) -> Tensor:
    """Return `part` in float64, valid until the next call: one place is used again, as fresh memory is slow."""
    if part.dtype == torch.float64 or part.device.type != "cpu" or part.numel() > _CHUNK:
        return part.double()
    if not hasattr(_scratch, "place"):
        with torch.inference_mode(False):
            _scratch.place = torch.empty(_CHUNK, dtype=torch.float64)
    return _scratch.place[: part.numel()].view(part.shape).copy_(part.detach())


def thinned(x: Tensor) -> Tensor:
    """Return a view of a part of `x`, shape (R, ..., units): all units, and every third place along the longest axes.

    Three has no factor in common with the strides of most layers, so no phase of a pattern is left out. What is small
    is returned whole.
    """
    most, units = _SAMPLE * x.shape[0], x.shape[-1] * x.shape[0]
    while x.numel() > most and x.numel() > _LEAST * units:
        longest = max(range(1, x.dim() - 1), key=x.shape.__getitem__)
        x = x[(slice(None),) * longest + (slice(None, None, 3),)]
    return x


def norm(x: Tensor) -> float:
    """Return the Euclidean norm of all numbers; scaled first where the squares leave the range of the dtype."""
    x = x.detach().flatten()
    if x.dtype not in _PRECISE:
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x.double()
    size = math.sqrt(torch.dot(x, x).item())  # the fastest pass over memory
    if 1e-15 < size < 1e15 or not x.numel():
        return size
    most = float(x.abs().max())
    scaled = x / most if 0 < most < math.inf else x
    return most * math.sqrt(float(torch.dot(scaled, scaled))) if scaled is not x else most


def norms(tensors: Sequence[Tensor]) -> list[float]:
    """Return the `norm` of each tensor; of usual ones, all are read at once."""
    usual = [at for at, own in enumerate(tensors) if own.dtype in _PRECISE and own.device == tensors[0].device]
    found = [math.nan] * len(tensors)
    if usual:
        sizes = torch.stack(torch._foreach_norm([tensors[at].detach() for at in usual]))
        for at, size in zip(usual, sizes.tolist(), strict=True):
            found[at] = size
    return [size if 1e-15 < size < 1e15 else norm(own) for size, own in zip(found, tensors, strict=True)]


def length(x: Tensor) -> float:
    """Return the Euclidean norm of each row of `x`, shape (R, ...), in the median."""
    if x.shape[0] == 1:
        return norm(x)
    norms = torch.linalg.vector_norm(x.flatten(1), dim=1, dtype=torch.float64)
    return float(np.median(norms.cpu().numpy()))


def rms(x: Tensor) -> float:
    """Return the root mean square of each row of `x`, shape (R, ...), in the median."""
    return length(x) / math.sqrt(x.numel() / x.shape[0])


def spread(x: Tensor) -> float:
    """Return the root mean square over units of the deviation over inputs, of (R, ..., units): the median over R.

    NaN for one input.
    """
    rows = x.to(torch.float64, copy=True)  # of a part of a tensor, only this part is read
    rows = rows.reshape(len(rows), -1, rows.shape[-1])
    if rows.shape[1] < 2:
        return math.nan
    return length(rows.sub_(rows.mean(1, keepdim=True))) / math.sqrt(rows.shape[1] * rows.shape[2])


def slope_fractions(size: Tensor) -> Tensor:
    """Return the fractions saturated, dead and off, shape (R, 3), of |φ′|, shape (R, inputs, units), overwritten.

    Saturated is an input and unit with |φ′| < 0.01, `SATURATED`; dead a unit with φ′ = 0 on all inputs; off one that
    is saturated on all.
    """
    most = size.amax(1)
    of_units = torch.stack([most == 0, most < SATURATED], dim=1).mean(2, dtype=torch.float64)
    return torch.cat([_share(size.lt_(SATURATED))[:, None], of_units], dim=1)


def heard(h: Tensor) -> Tensor:
    """Return the `sums` of an activation, and the fraction of its numbers that are not 0, shape (R, 5)."""
    return torch.cat([sums(h), _share(h.clone().ne_(0))[:, None]], dim=1)


def _share(where: Tensor) -> Tensor:
    """Return the mean of zeros and ones, shape (R,). A comparison in place, which writes such numbers, is fast."""
    where = where.flatten(1)
    return where.sum(1, dtype=torch.promote_types(where.dtype, torch.float32)).double() / where.shape[1]


_ODD = 2 * np.arange(1, 9) * 0x1E3779B97F4A7C15 + 1


def distinct(weights: Tensor, biases: Tensor | None) -> Found:
    """Return how many rows of (R, n, k) differ in weights or bias, to the last bit; of small ones, later."""
    if weights.numel() > _SMALL:
        return count_distinct(weights, biases)
    return count_distinct, weights.clone() if biases is None else torch.cat([weights, biases[..., None]], dim=2)


def count_distinct(weights: Tensor, biases: Tensor | None = None) -> Tensor:
    """Count the different rows of each matrix, shape (R, n, k), to shape (R, 1).

    Rows that differ in their first number, or in a sum over the bits of their first eight, are different; only where
    some agree in both are they compared in full.
    """
    counts = _count_values(weights[..., 0].double().cpu().numpy())
    if (counts < weights.shape[1]).any():
        head = (weights[..., :8].double() + 0.0).contiguous().cpu().numpy().view(np.int64)
        counts = _count_values((head * _ODD[: head.shape[-1]]).sum(-1))
    for replica in np.flatnonzero(counts < weights.shape[1]):
        parts = [weights[replica]] if biases is None else [weights[replica], biases[replica][:, None]]
        counts[replica] = len(torch.unique(torch.cat(parts, dim=1), dim=0))
    return torch.from_numpy(counts).to(weights.device, torch.float64)[:, None]


def differ(numbers: Tensor) -> bool:
    """Whether all numbers of a vector are different."""
    own = numbers if numbers.dtype in _PRECISE else numbers.float()
    ordered = np.sort(own.cpu().numpy())
    return bool((ordered[1:] != ordered[:-1]).all())


def _count_values(rows: np.ndarray) -> np.ndarray:
    """Count the different numbers in each row."""
    ordered = np.sort(rows, axis=1)
    return (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) + 1
