"""R transformers that read tokens and predict the next, which train like any ensemble.

What lives here wires embeddings, attention and MLPs; with which weights they start is said in ``recipes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from .. import _checks
from ..recipes import LOOKUPS, Recipe, Sizes, get
from .ensemble import Gradients
from .residual import _Network
from .steps import Affine, Attended, Looked, normalize, rows
from .twin import Twin

__all__ = ["Glance", "Transformer", "attend"]

Map = Callable[[Tensor], Tensor]


def attend(q: Tensor, k: Tensor, v: Tensor, *, scale: float, causal: bool) -> tuple[Tensor, Tensor]:
    """Return softmax(scale · q kᵀ) v, and the softmax.

    Parameters
    ----------
    q, k, v : Tensor, shape (…, T, h)
    scale : float
    causal : bool
        Whether a token sees only itself and those before it.

    Returns
    -------
    mixed : Tensor, shape (…, T, h)
    weights : Tensor, shape (…, T, T)
        Rows add up to 1.

    Examples
    --------
    >>> mixed, weights = attend(torch.zeros(2, 3), torch.ones(2, 3), torch.eye(2, 3), scale=1.0, causal=True)
    >>> weights
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """
    earlier = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril() if causal else None
    mixed, shares = Attended.apply(q, k, v, scale, earlier)
    return mixed, shares.mT


@dataclass(frozen=True, repr=False)
class Glance:
    """What a forward pass through transformers leaves behind; a sample is a token of a sequence, batch · T in all.

    Attributes
    ----------
    stream : list of 2L + 1 Tensors, shape (R, batch · T, d)
        In front of the first block, and after each branch: attention, MLP, attention, …
    branches : list of 2L Tensors, shape (R, batch · T, d)
        What was added, multiplier included.
    attention : list of L Tensors, shape (R, batch, H, T, T)
        Rows add up to 1.
    read : Tensor, shape (R, batch · T, d)
        What the head reads.
    logits : Tensor, shape (R, batch · T, V)
    """

    stream: list[Tensor]
    branches: list[Tensor]
    attention: list[Tensor]
    read: Tensor
    logits: Tensor

    @property
    def entropies(self) -> np.ndarray:
        """Entropy of the attention over that of uniform attention, shape (R, L), the mean over tokens and heads.

        A token that sees only itself has no entropy to compare and is left out.
        """
        found = []
        for weights in self.attention:
            seen = (weights[0, 0, 0] > 0).sum(-1)
            own = torch.special.entr(weights).sum(-1)[..., seen > 1] / seen[seen > 1].log()
            found.append(own.mean((1, 2, 3)).numpy())
        return np.stack(found, axis=1)

    def __repr__(self) -> str:
        return f"Glance({len(self.attention)} blocks, logits {'×'.join(map(str, self.logits.shape))})"


class Transformer(_Network):
    """R decoders: an embedding, for each block x + α·attention(N(x)) and x + α·MLP(N(x)), and a head.

    A batch is one of sequences. The output has a row for each of their tokens, shape (R, batch · T, V), so that labels
    are those of the next tokens, shape (batch, T); `train` and `sweep` take them so. No matrix has a bias, and no
    normalization a gain, whose part the next matrix can play.

    Attributes
    ----------
    roles : list of (str, int)
        What each of `weights` is for, and in which block: token, position if it is learned, then for each block query,
        key, value, attention_out, mlp_in, mlp_up if gated, mlp_out, and then the head if it is not tied. An embedding
        is stored as a matrix from a one-hot token, shape (R, d, V).
    biases : list of Tensor
        Zeros that nothing reads, as the layout of an ensemble has them.
    form : Form
    recipe : Recipe

    Parameters
    ----------
    vocabulary : int
        V.
    context : int
        T, the length of a sequence.
    width : int
        d.
    blocks : int
        L.
    recipe : str or Recipe
        How the weights are drawn and, unless `form` says otherwise, the network's form.
    rng : numpy.random.Generator
    heads : int
        A divisor of the width.
    replicas : int
        R.
    like : int, optional
        As for `initnotes.recipes.Recipe.initializer`.
    eps : float
        Under the root of a normalization.
    dtype : {"float64", "float32"}
    **form
        Fields of `initnotes.recipes.Form`, such as ``place="post"``, ``tied=False`` or ``attention_scale=1 / 16``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; nothing has been drawn then.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017. Pre- and post-norm: Xiong et al., ICML 2020. Gated MLPs:
    Shazeer, "GLU variants improve transformer", 2020.

    Examples
    --------
    >>> net = Transformer(11, 8, 16, 2, "nanogpt", rng=np.random.default_rng(1), heads=4, replicas=3)
    >>> net
    Transformer(vocabulary 11, context 8, width 16, 2 blocks of 4 heads, nanogpt, 3 replicas)
    >>> net(torch.zeros(5, 8)).shape
    torch.Size([3, 40, 11])
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        width: int,
        blocks: int,
        recipe: str | Recipe = "nanogpt",
        *,
        rng: np.random.Generator,
        heads: int = 4,
        replicas: int = 32,
        like: int | None = None,
        eps: float = 1e-5,
        dtype: Any = "float64",
        **form: Any,
    ) -> None:
        sizes = {"vocabulary": vocabulary, "context": context, "width": width, "blocks": blocks}
        V, T, d, self.blocks = (_checks.integer(size, name) for name, size in sizes.items())
        self.recipe, self.eps = get(recipe), _checks.real(eps, "eps", low=0.0)
        self.form = self.recipe.form(d, heads, self.blocks, **form)
        self.norm = None if self.form.place == "none" else self.form.norm
        self.vocabulary, self.context, self.width = V, T, d
        drawn = self.drawn_by(self.recipe, like=like)
        super().__init__((T, d, V), self.form.phi, drawn, rng=rng, replicas=replicas, dtype=dtype)

    @property
    def sizes(self) -> Sizes:
        """The sizes that a recipe's laws may name."""
        return self.form.sizes(self.width, self.blocks)

    @property
    def roles(self) -> list[tuple[str, int]]:
        """What each of the weights is for, and in which block it stands, 0 if in none."""
        block = ["query", "key", "value", "attention_out", "mlp_in", *["mlp_up"] * self.form.gated, "mlp_out"]
        inner = [(role, at) for at in range(self.blocks) for role in block]
        lookups = [("token", 0), *[("position", 0)] * self.form.positions]
        return [*lookups, *inner, *[("head", 0)] * (not self.form.tied)]

    def drawn_by(self, recipe: str | Recipe, *, like: int | None = None) -> list[Any]:
        """Return what draws each of the weights by a recipe."""
        chosen = get(recipe)
        return [chosen.initializer(role, self.sizes, block=block, like=like) for role, block in self.roles]

    @property
    def architecture(self) -> dict[str, Any]:
        """The form, the number of blocks and eps; ensembles that were drawn by different recipes can be joined."""
        return {"blocks": self.blocks, "form": self.form, "eps": self.eps}

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(fan_out, fan_in) of each weight matrix; an embedding's is (d, rows)."""
        d, f = self.width, self.form.hidden
        known = {"token": (d, self.vocabulary), "position": (d, self.context), "head": (self.vocabulary, d)}
        known |= {"mlp_in": (f, d), "mlp_up": (f, d), "mlp_out": (d, f)}
        return [known.get(role, (d, d)) for role, _ in self.roles]

    @property
    def depth(self) -> int:
        """The number of weight matrices."""
        return len(self.roles)

    @property
    def labels(self) -> tuple[int, ...]:
        """Axes of the labels of a sample: one for each token of the sequence."""
        return (self.context,)

    def _inputs(self, inputs: Any) -> Tensor:
        tokens = super()._inputs(inputs)
        if tokens.numel() and not bool(((tokens >= 0) & (tokens < self.vocabulary) & (tokens == tokens.round())).all()):
            low, high = float(tokens.min()), float(tokens.max())
            raise ValueError(f"tokens must be whole numbers 0 … {self.vocabulary - 1}, got {low:g} … {high:g}")
        return tokens

    def _wire(self, h: Tensor, start: Tensor, into: Gradients) -> tuple[list[Tensor], list[Tensor]]:
        into.parameters.zero_()  # a table's gradient is added to, since a tied head may have written there
        made = {True: _looked, False: _multiplied}
        layers = zip(self.roles, self.weights, into.weights, strict=True)
        maps = [made[role in LOOKUPS](start, weight, own) for (role, _), weight, own in layers]
        tied = _multiplied(start, self.weights[0].mT, into.weights[0].mT) if self.form.tied else None
        seen = self.passed(h, maps, tied)
        return [*seen.stream, seen.logits], [*seen.stream[:-1], seen.read]

    def __call__(self, inputs: Any) -> Tensor:
        """Return the logits, shape (R, batch · T, V), for `inputs` as `look` takes them; without gradients."""
        return self.look(inputs).logits

    def look(self, inputs: Any) -> Glance:
        """Pass sequences forward and keep stream, branches and attention; without gradients.

        Parameters
        ----------
        inputs : array or Tensor, shape (batch, T) or (R, batch, T)
            Tokens, as floating-point numbers.
        """
        made = {True: _lookup, False: _linear}
        maps = [made[role in LOOKUPS](weight) for (role, _), weight in zip(self.roles, self.weights, strict=True)]
        with torch.no_grad():
            return self.passed(self._inputs(inputs), maps, _linear(self.weights[0].mT) if self.form.tied else None)

    def passed(self, tokens: Tensor, maps: Sequence[Map], head: Map | None) -> Glance:
        """Pass tokens through the network that these maps make.

        Parameters
        ----------
        tokens : Tensor, shape (R, batch, T)
        maps : sequence of callable
            What each of `roles` does: of a lookup, from numbers of rows, shape (R, batch, T), to rows, shape
            (R, batch, T, d); of a matrix, from shape (R, batch · T, fan_in) to (R, batch · T, fan_out).
        head : callable, optional
            The head if it is tied, and stands in no role of its own.
        """
        form = self.form
        parts = iter(maps)
        x = next(parts)(tokens)
        if form.positions:
            places = torch.arange(self.context, device=tokens.device)
            x = x + next(parts)(places.expand(len(tokens), 1, -1))
        x = _times(form.embedding_multiplier, x.flatten(1, 2))
        x = self._norm(x) if form.embedding_norm else x
        stream, branches, attention = [x], [], []
        for _ in range(self.blocks):
            for branch in (self._attention, self._mlp):
                read = self._norm(x) if form.place == "pre" else x
                added, softmax = branch(read, parts, len(tokens[0]))
                branches.append(_times(form.multiplier, added))
                x = x + branches[-1]
                x = self._norm(x) if form.place == "post" else x
                stream.append(x)
                attention += softmax
        read = self._norm(x) if form.place == "pre" else x
        logits = _times(form.head_multiplier, (next(parts) if head is None else head)(read))
        return Glance(stream, branches, attention, read, logits)

    def twin(self, replica: int) -> Twin:
        """Return one replica as a module of torch's layers, with a copy of its weights.

        Raises
        ------
        TypeError, ValueError
            If there is no such replica.
        """
        at = _checks.integer(replica, "replica", low=0)
        if at >= self.replicas:
            raise ValueError(f"replica must be below {self.replicas}, the number of replicas, got {at}")
        made = Twin(
            self.vocabulary,
            self.context,
            self.width,
            self.blocks,
            self.form,
            self.activation,
            self.eps,
            self.parameters.dtype,
        )
        with torch.no_grad():
            for (role, block), weight in zip(self.roles, self.weights, strict=True):
                values = weight[at].mT if role in LOOKUPS else weight[at]
                made.layer(role, block).weight.copy_(values)
        return made

    def _norm(self, x: Tensor) -> Tensor:
        return normalize(x, self.norm, eps=self.eps)

    def _attention(self, read: Tensor, parts: Iterator[Map], batch: int) -> tuple[Tensor, list[Tensor]]:
        heads = (self.replicas, batch, self.context, self.form.heads, -1)
        q, k, v = (next(parts)(read).reshape(heads).transpose(2, 3) for _ in range(3))
        if self.form.qk_norm:
            q, k = normalize(q, "rms", eps=self.eps), normalize(k, "rms", eps=self.eps)
        mixed, weights = attend(q, k, v, scale=self.form.attention_scale, causal=self.form.causal)
        return next(parts)(mixed.transpose(2, 3).flatten(3).flatten(1, 2)), [weights]

    def _mlp(self, read: Tensor, parts: Iterator[Map], batch: int) -> tuple[Tensor, list[Tensor]]:
        hidden = self.activation(next(parts)(read))
        if self.form.gated:
            hidden = hidden * next(parts)(read)
        return next(parts)(hidden), []

    def __repr__(self) -> str:
        sizes = f"vocabulary {self.vocabulary}, context {self.context}, width {self.width}"
        kind = f"{self.blocks} blocks of {self.form.heads} heads, {self.recipe.name}"
        return f"Transformer({sizes}, {kind}, {self.replicas} replicas)"


def _times(factor: float, x: Tensor) -> Tensor:
    return x if factor == 1 else factor * x


def _lookup(matrix: Tensor) -> Map:
    return lambda numbers: rows(matrix, numbers)


def _linear(matrix: Tensor) -> Map:
    return lambda read: read @ matrix.mT


def _looked(start: Tensor, matrix: Tensor, into: Tensor) -> Map:
    return lambda numbers: cast(Tensor, Looked.apply(start, numbers, matrix, into))


def _multiplied(start: Tensor, matrix: Tensor, into: Tensor) -> Map:
    return lambda read: cast(Tensor, Affine.apply(start, read, matrix, None, (into, None)))
