"""What an update changes in the layers of an ensemble.

What lives here compares an ensemble before and after; curves over the steps are for ``training``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .ensemble import Ensemble

__all__ = ["own_changes"]


def own_changes(net: Ensemble, before: Ensemble, inputs: Any) -> np.ndarray:
    """Return how much each layer's own update moves its pre-activations, whatever the layers below do.

    That is the root mean square of ΔW_l h_{l-1}, over the inputs and the units, with ΔW_l the change of the weights and
    h_{l-1} what the layer read before. Biases are left out.

    Parameters
    ----------
    net, before : Ensemble
        The same R networks after and before training; ``net.part(slice(None))`` makes a copy beforehand.
    inputs : array or Tensor, shape (batch, n_0) or (R, batch, n_0)

    Returns
    -------
    ndarray, shape (R, L)

    Raises
    ------
    TypeError, ValueError
        If one is no Ensemble, they differ in kind or in the number of replicas, a layer does not read what the layer
        below it gives, as in a residual network, or the inputs are not as above.

    References
    ----------
    Yang, Simon & Bernstein, "A spectral condition for feature learning", 2023: the same quantity is what its condition
    keeps of order one.

    Examples
    --------
    >>> net = Ensemble((4, 8, 3), "relu", "he_normal", rng=np.random.default_rng(1), replicas=2)
    >>> before = net.part(slice(None))
    >>> net.weights[0] += 1.0
    >>> own_changes(net, before, np.eye(4)).round(2)
    array([[1., 0.],
           [1., 0.]])
    """
    for name, given in (("net", net), ("before", before)):
        if not isinstance(given, Ensemble):
            raise TypeError(f"{name} must be an Ensemble, got {type(given).__name__}")
    if net.kind != before.kind or net.replicas != before.replicas:
        raise ValueError(f"net and before must be the same networks, got {net} and {before}")
    read = before.forward(inputs).activations
    if [h.shape[-1] for h in read] != [weight.shape[-1] for weight in net.weights]:
        raise ValueError(f"net must have layers that read the layer below, got {net}")
    changes = [h @ (after - own).mT for h, after, own in zip(read, net.weights, before.weights, strict=True)]
    return torch.stack([change.square().mean((1, 2)).sqrt() for change in changes], dim=1).numpy(force=True)
