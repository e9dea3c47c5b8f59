"""R long short-term memories computed as batched matrix products, and how their gates' biases may start.

What lives here draws LSTMs and passes sequences through them; gradients are autograd's, and so is training. What theory
says of their memory, and of that of linear networks, is in ``memory``; the tasks are in ``sequences``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from .memory import decay
from .sequences import first_sign

__all__ = ["LSTMs", "Memory", "chrono", "decay", "first_sign"]


@dataclass(frozen=True)
class Memory:
    """What a sequence leaves behind in LSTMs.

    Attributes
    ----------
    cells : list of T Tensors, shape (A, R, batch, width)
        c_t at each time step.
    output : Tensor, shape (A, R, batch, outputs)
        What the readout makes of the last hidden state h_T.
    """

    cells: list[Tensor]
    output: Tensor


class LSTMs:
    """R replicas of a one-layer LSTM with a linear readout, for each of A starts of the gates, from the same weights.

    i, f, o = σ(W x_t + U h_{t-1} + b), g = tanh(…), c_t = f ⊙ c_{t-1} + i ⊙ g, h_t = o ⊙ tanh(c_t).

    Attributes
    ----------
    parameters : list of Tensor
        Leaves for an optimizer: W of shape (A, R, inputs, 4·width), U (A, R, width, 4·width), b (A, R, 1, 4·width), the
        readout's weights (A, R, width, outputs) and its bias (A, R, 1, outputs). The gates' order is i, f, g, o, as in
        torch.

    Parameters
    ----------
    inputs, width, outputs : int
    forget_bias : sequence of A floats or arrays of shape (R, width)
        Where the forget gates' biases start.
    input_bias : sequence of A floats or arrays of shape (R, width), optional
        Where the input gates' biases start; they, and all other biases, start at 0.
    recurrent_scale : float
        Factor on U.
    replicas : int
        R.
    rng : numpy.random.Generator
        All weights are drawn as torch draws them, U(±1/√width).
    dtype : {"float64", "float32"}

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    Hochreiter & Schmidhuber, Neural Computation 9, 1997; the forget gate: Gers, Schmidhuber & Cummins, Neural
    Computation 12, 2000.

    Examples
    --------
    >>> net = LSTMs(2, 8, 3, forget_bias=[0.0, 1.0], rng=np.random.default_rng(1), replicas=4)
    >>> net(torch.zeros(4, 5, 10, 2, dtype=torch.float64)).shape
    torch.Size([2, 4, 5, 3])

    Beside the usual start, time constants up to 50 steps in each replica:

    >>> b = chrono(50, (4, 8), rng=np.random.default_rng(2))
    >>> LSTMs(2, 8, 3, forget_bias=[1.0, b], input_bias=[0.0, -b], rng=np.random.default_rng(1), replicas=4)
    LSTMs(2-8-3, forget biases (1, 1.29 … 3.86), 4 replicas)
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        *,
        forget_bias: Sequence[Any],
        input_bias: Sequence[Any] | None = None,
        rng: np.random.Generator,
        recurrent_scale: float = 1.0,
        replicas: int = 32,
        dtype: Any = "float64",
    ) -> None:
        dtype = _checks.dtype(dtype)
        sizes = {"inputs": inputs, "width": width, "outputs": outputs, "replicas": replicas}
        m, n, out, replicas = (_checks.integer(size, name) for name, size in sizes.items())
        forget = [_bias(start, "forget_bias", (replicas, n)) for start in forget_bias]
        if not forget:
            raise ValueError("forget_bias must be a sequence of at least one number, got none")
        into = [_bias(start, "input_bias", (replicas, n)) for start in input_bias or [0.0] * len(forget)]
        if len(into) != len(forget):
            raise ValueError(f"input_bias must be a sequence of {len(forget)}, as forget_bias is, got {len(into)}")
        scale = _checks.real(recurrent_scale, "recurrent_scale", low=0.0)
        _checks.generator(rng)
        self.width, self.forget_bias = n, tuple(forget_bias)
        shapes = [(m, 4 * n), (n, 4 * n), (n, out)]
        drawn = [rng.uniform(-1.0, 1.0, (replicas, *shape)) / np.sqrt(n) for shape in shapes]
        drawn[1] *= scale
        weights = [np.tile(weight, (len(forget), 1, 1, 1)) for weight in drawn]
        bias = np.zeros((len(forget), replicas, 1, 4 * n))
        bias[:, :, 0, :n], bias[:, :, 0, n : 2 * n] = into, forget
        parts = [weights[0], weights[1], bias, weights[2], np.zeros((len(forget), replicas, 1, out))]
        self.parameters = [torch.from_numpy(part).to(dtype).requires_grad_() for part in parts]

    def forward(self, x: Any) -> Memory:
        """Pass sequences forward and keep the cells of every time step.

        Parameters
        ----------
        x : array or Tensor, shape (R, batch, T, inputs)
            The same sequences for each forget-gate bias.

        Returns
        -------
        Memory

        Raises
        ------
        TypeError, ValueError
            If `x` is not floating-point numbers of such a shape.
        """
        x = _checks.floating(x, "x").to(self.parameters[0].dtype)
        weight, recurrent, bias, readout, offset = self.parameters
        if x.dim() != 4 or (x.shape[0], x.shape[3]) != (weight.shape[1], weight.shape[2]):
            raise ValueError(
                f"x must have shape ({weight.shape[1]}, batch, T, {weight.shape[2]}), got {tuple(x.shape)}"
            )
        n = self.width
        h = c = torch.zeros(*weight.shape[:2], x.shape[1], n, dtype=weight.dtype)
        cells = []
        from_inputs = (x.flatten(1, 2) @ weight + bias).unflatten(2, x.shape[1:3])
        for now in from_inputs.unbind(3):
            both, g, o = (now + h @ recurrent).split([2 * n, n, n], dim=-1)
            i, f = both.sigmoid().split(n, dim=-1)
            c = f * c + i * g.tanh()
            h = o.sigmoid() * c.tanh()
            cells.append(c)
        return Memory(cells, h @ readout + offset)

    def __call__(self, x: Any) -> Tensor:
        """Return the outputs, shape (A, R, batch, outputs), for `x` as `forward` takes it."""
        return self.forward(x).output

    def __repr__(self) -> str:
        weight, _, _, readout, _ = self.parameters
        sizes = f"{weight.shape[2]}-{self.width}-{readout.shape[3]}"
        starts = ", ".join(map(_shown, self.forget_bias))
        return f"LSTMs({sizes}, forget biases ({starts}), {weight.shape[1]} replicas)"


def _bias(start: Any, name: str, shape: tuple[int, int]) -> np.ndarray:
    """Return a gate's biases in all replicas; raise unless they are a number or an array of this shape."""
    if np.ndim(start) == 0:
        return np.full(shape, _checks.real(start, name))
    values = _checks.array(start, name)
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{name} must be numbers, or finite arrays of shape {shape}, got shape {values.shape}")
    return values


def _shown(start: Any) -> str:
    values = np.asarray(start)
    return f"{values.min():.3g} … {values.max():.3g}" if values.ndim else f"{start:g}"


def chrono(length: float, size: int | tuple[int, ...], *, rng: np.random.Generator) -> np.ndarray:
    """Draw forget-gate biases whose time constants reach up to the length of what is to be remembered.

    A gate that is open by f keeps a cell for about 1/(1 − f) steps, and with f = σ(b) that is 1 + eᵇ. So b = ln u with
    u uniform on [1, T − 1] spreads the time constants evenly from 2 to T steps. The input gates get −b, which opens
    them by 1 − f: the cell is an average of its inputs and does not grow with its time constant.

    Parameters
    ----------
    length : float
        T, steps, greater than 2.
    size : int or tuple of int
        Shape of what is drawn, such as (R, width).
    rng : numpy.random.Generator

    Returns
    -------
    ndarray
        Biases of forget gates, between 0 and ln(T − 1).

    Raises
    ------
    TypeError, ValueError
        If `length` is not greater than 2, `size` not made of integers or `rng` no Generator.

    References
    ----------
    Tallec & Ollivier, "Can recurrent neural networks warp time?", ICLR 2018: the chrono initialization.

    Examples
    --------
    >>> b = chrono(100, (4, 32), rng=np.random.default_rng(1))
    >>> b.shape, bool((0 <= b).all() and (b <= np.log(99)).all())
    ((4, 32), True)
    """
    T = _checks.real(length, "length", low=2.0, strict=True)
    shape = tuple(_checks.integer(n, "size") for n in (size if isinstance(size, tuple) else (size,)))
    return np.log(_checks.generator(rng).uniform(1.0, T - 1.0, shape))
