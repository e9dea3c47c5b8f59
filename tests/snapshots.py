"""What of a module could have changed, bit for bit."""

import torch
from torch import nn


def snapshot(module):
    """Return all that could have changed, bit for bit."""
    if not isinstance(module, nn.Module):
        return None
    tensors = [*module.named_parameters(), *module.named_buffers()]
    readable = [(n, t) for n, t in tensors if not nn.parameter.is_lazy(t) and not t.is_meta]
    bits = [(n, t.detach().contiguous().view(-1).view(torch.uint8).tolist(), t._version) for n, t in readable]
    return bits, [(n, t.requires_grad, type(t)) for n, t in tensors], module.training
