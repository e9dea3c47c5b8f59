"""How weights are stored: what a draw becomes in 16 bits, and what memory without values keeps.

What lives here fills tensors of several dtypes, and modules of the meta device; laws are other rooms'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _checks
from .._table import Table, table
from ..schemes import Array
from .libraries import array, load, new_seed, quick_compiler

__all__ = ["by_inverse", "in_dtypes", "left_unset"]

_DTYPES = ("float64", "float32", "bfloat16", "float16")
_STD, _COUNT = 0.02, 1_000_000


def by_inverse(w: Any, *, std: float, a: float = -2.0, b: float = 2.0, generator: Any = None) -> Any:
    """Fill a tensor as ``torch.nn.init.trunc_normal_`` did through torch 2.11: by the inverse of the normal's law.

    A uniform number in the tensor's own dtype goes through ``erfinv``. Of 16 bits so few are left near -1 that one draw
    in hundreds *is* -1, and its ``erfinv`` is minus infinity, which the last line moves to `a`.

    Parameters
    ----------
    w : torch.Tensor
        Filled in place.
    std : float
        Before the cut; the mean is 0.
    a, b : float
        Absolute limits.
    generator : torch.Generator, optional

    Returns
    -------
    torch.Tensor
        `w`.

    Raises
    ------
    TypeError, ValueError
        If `std` is not a number greater than 0.

    References
    ----------
    ``torch/nn/init.py`` of the released torch 2.4.0, 2.8.0 and 2.11.0; 2.12.0 draws again what falls outside.

    Examples
    --------
    >>> import torch
    >>> w = by_inverse(torch.empty(100_000, dtype=torch.bfloat16), std=0.02, generator=torch.Generator().manual_seed(1))
    >>> bool((w == -2).sum() > 100), bool(w[w > -2].abs().max() < 0.1)
    (True, True)
    """
    import torch

    _checks.real(std, "std", low=0, strict=True)
    low, high = ((1 + math.erf(end / std / math.sqrt(2))) / 2 for end in (a, b))
    with torch.no_grad():
        w.uniform_(2 * low - 1, 2 * high - 1, generator=generator)
        return w.erfinv_().mul_(std * math.sqrt(2)).clamp_(min=a, max=b)


def in_dtypes(*, rng: np.random.Generator) -> Table:
    """Draw a million weights of std 0.02 in four dtypes, and tabulate spread and tails.

    Parameters
    ----------
    rng : numpy.random.Generator
        Gives each call its seed.

    Returns
    -------
    Table
        A row per call, a column per dtype, each "std, largest" in units of the 0.02 that was asked for; "refuses" where
        the library raises, and "–" where it has no such dtype as it comes. The last row is of an orthogonal 256 × 256
        matrix: how far its columns' products are from those of the identity, at most.

    Raises
    ------
    ImportError
        If jax or keras is not installed; the message says how to.
    TypeError
        If `rng` is no Generator.
    """
    _checks.generator(rng)
    seed = new_seed(rng)
    calls = _calls(seed)
    columns: dict[str, list[str]] = {"std, largest (both over 0.02)": [*calls, "torch orthogonal_: off by"]}
    with quick_compiler():
        for dtype in _DTYPES:
            drawn = [_tried(draw, dtype) for draw in calls.values()]
            columns[dtype] = [*drawn, _orthogonal(dtype, seed)]
    return table(columns, caption="A million weights, by dtype")


def _calls(seed: int) -> dict[str, Callable[[str], Array | None]]:
    """Return what draws a million weights in a dtype, by name; None stands for a dtype that is not offered."""
    import torch

    keras, jax = load("keras"), load("jax")

    def by_torch(fill: Callable[..., Any]) -> Callable[[str], Array]:
        def draw(dtype: str) -> Array:
            w = torch.empty(_COUNT, dtype=getattr(torch, dtype))
            return array(fill(w, std=_STD, generator=torch.Generator().manual_seed(seed)))

        return draw

    def by_keras(dtype: str) -> Array:
        return array(keras.initializers.TruncatedNormal(stddev=_STD, seed=seed)((_COUNT,), dtype=dtype))

    def by_jax(dtype: str) -> Array | None:
        if dtype == "float64":
            return None  # unless it is asked for at the start
        return array(jax.nn.initializers.truncated_normal(_STD)(jax.random.key(seed), (_COUNT,), dtype))

    return {
        "torch normal_": by_torch(torch.nn.init.normal_),
        "torch trunc_normal_": by_torch(torch.nn.init.trunc_normal_),
        "the same, through 2.11": by_torch(by_inverse),
        "keras TruncatedNormal": by_keras,
        "jax truncated_normal": by_jax,
    }


def _tried(draw: Callable[[str], Array | None], dtype: str) -> str:
    drawn = draw(dtype)
    return "–" if drawn is None else f"{drawn.std() / _STD:.2f}, {abs(drawn).max() / _STD:.3g}"


def _orthogonal(dtype: str, seed: int) -> str:
    """Return how far an orthogonal matrix of torch is from one, or that torch refuses to draw it."""
    import torch

    w = torch.empty(256, 256, dtype=getattr(torch, dtype))
    try:
        torch.nn.init.orthogonal_(w, generator=torch.Generator().manual_seed(seed))
    except (NotImplementedError, RuntimeError):
        return "refuses"
    off = float((w.double() @ w.double().T - torch.eye(256, dtype=torch.float64)).abs().max())
    return f"below 1e{math.ceil(math.log10(off) + 0.7)}"  # five times as much at least: the last bits decide the rest


def left_unset(make: Callable[[], Any], reset: Callable[[Any], Any]) -> list[str]:
    """Build a module without values, give it memory, reset it, and name what still has no value.

    ``to_empty`` hands out memory with whatever is in it. To make that visible it is filled with NaN before `reset`, or
    where there is none with the lowest value, and in a second round with the highest; what keeps them was never set.

    Parameters
    ----------
    make : callable
        Without arguments; returns a ``torch.nn.Module``, and is called on the meta device, twice.
    reset : callable
        Gives the module values, in place.

    Returns
    -------
    list of str
        Parameters and buffers in which an entry was not set, those that a state dict leaves out among them.

    Raises
    ------
    TypeError
        If `make` returns no module.

    Examples
    --------
    >>> from torch import nn
    >>> left_unset(lambda: nn.Linear(3, 4), lambda layer: layer.reset_parameters())
    []
    >>> left_unset(lambda: nn.Linear(3, 4), lambda layer: nn.init.zeros_(layer.weight))
    ['bias']
    """
    low, high = (_marked_after(make, reset, end) for end in ("min", "max"))
    return [name for name, marked in low.items() if bool((marked & high[name]).any())]


def _marked_after(make: Callable[[], Any], reset: Callable[[Any], Any], end: str) -> dict[str, Any]:
    """Tell which entries still have their mark; a truth value may have it by right, so there are two marks."""
    import torch

    with torch.device("meta"):
        module = make()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"make must return a torch.nn.Module, got {type(module).__name__}")
    module.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.fill_(_mark(tensor, end))
        reset(module)
    held = [*module.named_parameters(), *module.named_buffers()]
    return {name: _is_marked(tensor, end) for name, tensor in held}


def _mark(tensor: Any, end: str) -> float:
    import torch

    if tensor.is_floating_point() or tensor.is_complex():
        return math.nan
    return float(end == "max") if tensor.dtype == torch.bool else getattr(torch.iinfo(tensor.dtype), end)


def _is_marked(tensor: Any, end: str) -> Any:
    return tensor.isnan() if tensor.is_floating_point() or tensor.is_complex() else tensor == _mark(tensor, end)
