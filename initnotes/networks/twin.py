"""One transformer of an ensemble as a plain torch module, to be examined, filled by a recipe or trained elsewhere.

What lives here computes the same by torch's own attention and normalizations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..activations import Activation
from ..recipes import Form

__all__ = ["Block", "Twin"]


class Block(nn.Module):
    """A block, with a linear layer for each role."""

    def __init__(self, width: int, form: Form, activation: Activation, eps: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.form, self.activation, self.eps = form, activation, eps

        def linear(inputs: int, outputs: int) -> nn.Linear:
            return nn.Linear(inputs, outputs, bias=False, dtype=dtype)

        self.query, self.key, self.value, self.attention_out = (linear(width, width) for _ in range(4))
        self.mlp_in = linear(width, form.hidden)
        if form.gated:
            self.mlp_up = linear(width, form.hidden)
        self.mlp_out = linear(form.hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Take the stream, shape (batch, T, d)."""
        for branch in (self._attend, self._feed):
            x = x + self.form.multiplier * branch(norm(x, self.form, self.eps) if self.form.place == "pre" else x)
            x = norm(x, self.form, self.eps) if self.form.place == "post" else x
        return x

    def _attend(self, u: Tensor) -> Tensor:
        q, k, v = (
            layer(u).unflatten(-1, (self.form.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.form.qk_norm:
            q, k = (functional.rms_norm(own, own.shape[-1:], eps=self.eps) for own in (q, k))
        mixed = functional.scaled_dot_product_attention(
            q, k, v, is_causal=self.form.causal, scale=self.form.attention_scale
        )
        return self.attention_out(mixed.transpose(1, 2).flatten(2))

    def _feed(self, u: Tensor) -> Tensor:
        hidden = self.activation(self.mlp_in(u))
        return self.mlp_out(hidden * self.mlp_up(u) if self.form.gated else hidden)


class Twin(nn.Module):
    """A transformer from tokens, int64 of shape (batch, T), to logits of shape (batch, T, V).

    Parameters
    ----------
    vocabulary, context, width, blocks : int
    form : Form
    activation : Activation
    eps : float
    dtype : torch.dtype
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        width: int,
        blocks: int,
        form: Form,
        activation: Activation,
        eps: float,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.form, self.eps, self.heads = form, eps, form.heads
        self.token = nn.Embedding(vocabulary, width, dtype=dtype)
        self.position = nn.Embedding(context, width, dtype=dtype) if form.positions else None
        self.blocks = nn.ModuleList(Block(width, form, activation, eps, dtype) for _ in range(blocks))
        self.head = nn.Linear(width, vocabulary, bias=False, dtype=dtype)
        if form.tied:
            self.head.weight = self.token.weight

    def layer(self, role: str, block: int) -> Any:
        """Return the layer of a role."""
        return getattr(self if role in ("token", "position", "head") else self.blocks[block], role)

    def forward(self, tokens: Tensor) -> Tensor:
        """Take tokens, shape (batch, T)."""
        x = self.token(tokens.long())
        if self.position is not None:
            x = x + self.position.weight[: tokens.shape[1]]
        x = self.form.embedding_multiplier * x
        x = norm(x, self.form, self.eps) if self.form.embedding_norm else x
        for block in self.blocks:
            x = block(x)
        x = norm(x, self.form, self.eps) if self.form.place == "pre" else x
        return self.form.head_multiplier * self.head(x)


def norm(x: Tensor, form: Form, eps: float) -> Tensor:
    """Return N(x): torch's normalization over the last axis, or x where the form has none."""
    if form.place == "none":
        return x
    made = functional.layer_norm if form.norm == "layer" else functional.rms_norm
    return made(x, x.shape[-1:], eps=eps)
