"""Fine-tuning: which tensors move when, and how good a network is on samples with labels of each replica's own.

What lives here measures for the chapter; adapters, new heads and wider layers are in ``networks.finetune``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from ..networks import Ensemble

__all__ = ["first_moves", "log_loss", "right"]


def first_moves(
    start: Mapping[str, Tensor], output: Callable[[Mapping[str, Tensor]], Tensor], target: Tensor, *, steps: int = 5
) -> dict[str, int]:
    """Return at which step of gradient descent each tensor first changes, 0 for one that does not.

    Parameters
    ----------
    start : mapping of str to Tensor
        What is trained; it stays as it is.
    output : callable
        From such tensors to outputs.
    target : Tensor
        Of the shape of the outputs. The loss is half the sum of squared errors, and the rate 0.01.
    steps : int

    Returns
    -------
    dict of str to int

    Raises
    ------
    TypeError, ValueError
        If `steps` is no integer of at least 1.

    Examples
    --------
    >>> start = {"a": torch.tensor(1.0), "b": torch.tensor(0.0)}
    >>> first_moves(start, lambda own: own["a"] * own["b"], torch.tensor(3.0))
    {'a': 2, 'b': 1}
    """
    count = _checks.integer(steps, "steps")
    own = {name: value.detach().clone() for name, value in start.items()}
    moved = dict.fromkeys(own, 0)
    for step in range(1, count + 1):
        leaves = {name: value.requires_grad_() for name, value in own.items()}
        loss = (output(leaves) - target).square().sum() / 2
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        own = {
            name: (value - 0.01 * gradient).detach()
            for (name, value), gradient in zip(leaves.items(), gradients, strict=True)
        }
        for name, gradient in zip(own, gradients, strict=True):
            if not moved[name] and bool(gradient.any()):
                moved[name] = step
    return moved


def log_loss(data: Any) -> Callable[[Ensemble], np.ndarray]:
    """Return what measures ln of the cross-entropy on these samples: differences of it are ratios of losses.

    Parameters
    ----------
    data : Dataset

    Returns
    -------
    callable
        From an Ensemble to an array of shape (R,); for `initnotes.training.sweep`.

    Examples
    --------
    >>> from initnotes.book.data import Dataset
    >>> net = Ensemble((3, 4), "relu", "zeros", rng=np.random.default_rng(1), replicas=2)
    >>> log_loss(Dataset(np.ones((5, 3)), np.arange(5) % 4))(net).round(3)  # ln ln 4
    array([0.327, 0.327])
    """
    labels = torch.from_numpy(data.y)

    def measure(net: Ensemble) -> np.ndarray:
        logits = net(data.x)
        each = torch.nn.functional.cross_entropy(logits.mT, labels.expand(net.replicas, -1), reduction="none")
        return each.mean(1).log().numpy(force=True)

    return measure


def right(net: Ensemble, data: Any, names: Any = None) -> np.ndarray:
    """Return the share of samples that each replica gets right.

    Parameters
    ----------
    net : Ensemble
    data : Dataset
    names : array of int, shape (R, classes), optional
        What each replica calls the classes.

    Returns
    -------
    ndarray, shape (R,)

    Examples
    --------
    >>> from initnotes.book.data import Dataset
    >>> net = Ensemble((3, 4), "relu", "zeros", rng=np.random.default_rng(1), replicas=2)
    >>> data = Dataset(np.ones((4, 3)), np.array([0, 1, 1, 1]))
    >>> right(net, data), right(net, data, [[0, 1, 2, 3], [1, 0, 2, 3]])
    (array([0.25, 0.25]), array([0.25, 0.75]))
    """
    said = net(data.x).argmax(-1).numpy(force=True)
    wanted = data.y if names is None else np.asarray(names)[:, data.y]
    return (said == wanted).mean(1)
