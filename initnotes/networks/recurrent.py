"""R long short-term memories computed as batched matrix products, and a task that only memory solves.

What lives here draws LSTMs and passes sequences through them; gradients are autograd's, and so is training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks

__all__ = ["LSTMs", "Memory", "decay", "first_sign"]


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
    """R replicas of a one-layer LSTM with a linear readout, for each of A forget-gate biases, from the same weights.

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
    forget_bias : sequence of A floats
        Where the forget gates' biases start; all other biases start at 0.
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
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        *,
        forget_bias: Sequence[float],
        rng: np.random.Generator,
        recurrent_scale: float = 1.0,
        replicas: int = 32,
        dtype: Any = "float64",
    ) -> None:
        dtype = _checks.dtype(dtype)
        sizes = {"inputs": inputs, "width": width, "outputs": outputs, "replicas": replicas}
        m, n, out, replicas = (_checks.integer(size, name) for name, size in sizes.items())
        starts = np.array([_checks.real(start, "forget_bias") for start in forget_bias])
        if not starts.size:
            raise ValueError("forget_bias must be a sequence of at least one number, got none")
        scale = _checks.real(recurrent_scale, "recurrent_scale", low=0.0)
        _checks.generator(rng)
        self.width, self.forget_bias = n, tuple(starts.tolist())
        shapes = [(m, 4 * n), (n, 4 * n), (n, out)]
        drawn = [rng.uniform(-1.0, 1.0, (replicas, *shape)) / np.sqrt(n) for shape in shapes]
        drawn[1] *= scale
        weights = [np.tile(weight, (len(starts), 1, 1, 1)) for weight in drawn]
        bias = np.zeros((len(starts), replicas, 1, 4 * n))
        bias[..., n : 2 * n] = starts[:, None, None, None]
        parts = [weights[0], weights[1], bias, weights[2], np.zeros((len(starts), replicas, 1, out))]
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
        return f"LSTMs({sizes}, forget biases {self.forget_bias}, {weight.shape[1]} replicas)"


def decay(steps: Any, *, forget_bias: float, sigma_u: float = 3**-0.5) -> np.ndarray:
    """Return what the rms of ∂loss/∂c_t is, relative to the last time step, so many steps before it.

    At the start all gates are open by σ of their bias, and ∂c_t/∂c_{t-1} is f·I + i·o·U_g with f = σ(forget_bias) and
    i = o = 1/2. The same random U_g acts at every step, so the rms after k steps is √(Σ_j C(k, j)² f^{2(k-j)} ρ^{2j})
    with ρ = sigma_u/4, for a wide layer and small cells. With ρ = 0 it is the product of the forget gates, f^k.

    Parameters
    ----------
    steps : int or array of int
        k, 0 or more, and at most 500.
    forget_bias : float
    sigma_u : float
        √(width · Var(U)): 1/√3 as torch draws it.

    Returns
    -------
    ndarray, in the shape of `steps`

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> decay([0, 1, 2], forget_bias=0.0, sigma_u=0.0)
    array([1.  , 0.5 , 0.25])
    """
    from scipy.special import comb

    k = np.asarray(steps)
    if k.dtype.kind not in "iu" or (k < 0).any() or (k > 500).any():
        raise ValueError(f"steps must be integers from 0 to 500, got {steps!r}")
    f = 1 / (1 + np.exp(-_checks.real(forget_bias, "forget_bias")))
    rho = _checks.real(sigma_u, "sigma_u", low=0.0) / 4
    j = np.arange(int(k.max(initial=0)) + 1)
    kept = np.maximum(k[..., None] - j, 0)
    return np.asarray(np.sqrt((comb(k[..., None], j) ** 2 * f ** (2.0 * kept) * rho ** (2.0 * j)).sum(-1)))


def first_sign(length: int, batch: int, *, rng: np.random.Generator, replicas: int = 32) -> tuple[Tensor, Tensor]:
    """Draw sequences of random signs, the first one marked; the label is whether that one is positive.

    Parameters
    ----------
    length : int
        T, the number of time steps.
    batch : int
    rng : numpy.random.Generator
    replicas : int
        R.

    Returns
    -------
    x : Tensor, shape (R, batch, T, 2)
        The sign, and the mark: 1 at the first step, else 0.
    y : Tensor of int64, shape (R, batch)

    Raises
    ------
    TypeError, ValueError
        If a number is below 1 or `rng` is no Generator.

    Examples
    --------
    >>> x, y = first_sign(5, 3, rng=np.random.default_rng(1), replicas=1)
    >>> x.shape, bool(((x[..., 0, 0] > 0) == y).all())
    (torch.Size([1, 3, 5, 2]), True)
    """
    sizes = {"replicas": replicas, "batch": batch, "length": length}
    shape = tuple(_checks.integer(size, name) for name, size in sizes.items())
    signs = _checks.generator(rng).choice([-1.0, 1.0], shape)
    marks = np.zeros(shape)
    marks[..., 0] = 1.0
    return torch.from_numpy(np.stack([signs, marks], axis=-1)), torch.from_numpy((signs[..., 0] > 0).astype(np.int64))
