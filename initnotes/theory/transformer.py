"""What theory says of a transformer at its start: stream, shares, logits, loss, and the entropy of attention.

What lives here predicts from a recipe and sizes alone; the networks themselves are in ``networks``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .. import _checks, activations

__all__ = ["Start", "TransformerStream", "attention_entropy", "initial_loss", "transformer_stream"]

TERMS = 60  # of a Hermite series; what is left of E φ² counts as one term more
REACH = 8.3  # standard deviations: what lies beyond has a probability below 1e-16
EPS = 1e-5  # under the root of a normalization, as the networks have it


class Start(Protocol):
    """What is asked of a recipe; `initnotes.recipes.Recipe` answers it."""

    def form(self, width: int, heads: int, blocks: int, **changes: Any) -> Any:
        """Return the network around the weights."""

    def std(self, role: str, sizes: Any, *, block: int, like: int | None) -> float:
        """Return the standard deviation of the weights of a role in a block."""


@dataclass(frozen=True)
class TransformerStream:
    """What is expected of the stream of a wide transformer at its start.

    Attributes
    ----------
    moments : ndarray, shape (2L + 1,)
        Mean square of the stream, over units and tokens, in front of the first block and after each branch: attention,
        MLP, attention, …
    branches : ndarray, shape (2L,)
        Mean square of what each branch adds.
    share : ndarray, shape (2L + 1,)
        Which part of `moments` is still the embedding, of token and position together.
    attention_std : float
        Standard deviation s of a logit of the attention, by query and key alone.
    logit_std : float
        Standard deviation of a logit of another token than the one that is read.
    own : float
        Mean logit of the token that is read; 0 unless the head is the embedding.
    correlation : ndarray, shape (T, T)
        Between tokens at the end, the mean over sequences.
    """

    moments: np.ndarray
    branches: np.ndarray
    share: np.ndarray
    attention_std: float
    logit_std: float
    own: float
    correlation: np.ndarray

    @property
    def growth(self) -> float:
        """The last root mean square over the first."""
        return float(np.sqrt(self.moments[-1] / self.moments[0]))

    def loss(self, vocabulary: int) -> float:
        """Return the expected loss; see `initial_loss`."""
        return initial_loss(vocabulary, logit_std=self.logit_std, own=self.own)


def transformer_stream(
    recipe: Start,
    depth: int,
    width: int,
    tokens: Any,
    *,
    heads: int = 1,
    like: int | None = None,
    **form: Any,
) -> TransformerStream:
    """Follow the Gram matrix of a sequence's tokens through a wide transformer whose attention is uniform.

    With K the mean products of the stream between tokens and C that of N(x): a block adds (σ_v²d)(σ_o²d) A C Aᵀ, where
    A averages over what a token sees, and then σ₂²f Σ aₖ² Cᵏ, with aₖ the Hermite coefficients of φ at variance σ₁²d;
    a gated MLP has σ₃²d C as a factor more. Branches add up, as their last matrices are independent.

    Parameters
    ----------
    recipe : Recipe
        Such as ``ini.recipes.get("nanogpt")``.
    depth : int
        L, blocks.
    width : int
        d.
    tokens : int, or array of int of shape (T,) or (sequences, T)
        How many different tokens a sequence has, or which. Equal tokens start with correlated rows.
    heads : int
        Enters only through laws and factors that name the width of a head.
    like : int, optional
        As for `initnotes.recipes.Recipe.initializer`.
    **form
        Fields of `initnotes.recipes.Form`. `place` is "pre" or "post".

    Returns
    -------
    TransformerStream

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    Attention is uniform where its logits are small, s ≪ √(2 ln t). At s near 1 its first branches are larger than this
    says, as a softmax that prefers some tokens averages over fewer.

    References
    ----------
    Gram matrices of attention: Dong, Cordonnier & Loukas, ICML 2021; Noci et al., NeurIPS 2022. Hermite series of φ:
    Daniely, Frostig & Singer, NeurIPS 2016.

    Examples
    --------
    GPT-2 small, whose branches are scaled by 1/√(2L) so that the stream does not grow:

    >>> from initnotes import recipes
    >>> round(transformer_stream(recipes.get("nanogpt"), 12, 768, 64).growth, 1)
    10.6
    """
    L = _checks.integer(depth, "depth")
    if not hasattr(recipe, "form"):
        raise TypeError(f"recipe must be a Recipe, such as ini.recipes.get('nanogpt'), got {recipe!r:.80}")
    made = recipe.form(width, heads, L, **form)
    if made.place == "none":
        raise ValueError("place must be 'pre' or 'post', got 'none': without normalization tokens differ in size")
    sizes = made.sizes(width, L)

    def variance(role: str, block: int = 0) -> float:
        return recipe.std(role, sizes, block=block, like=like) ** 2

    token = made.embedding_multiplier**2 * variance("token")
    position = made.embedding_multiplier**2 * variance("position") if made.positions else 0.0
    gram = token * _equal(tokens) + position * np.eye(_length(tokens))
    kept = np.ones(gram.shape[:-1])  # the factor on the embedding that normalizations have left, token by token
    if made.embedding_norm:
        gram = _normalized(gram, kept)[0]
    first = _diagonal(gram)
    averages = _averages(gram.shape[-1], made.causal)
    moments, branches, share = [first.mean()], [], [1.0]
    for block in range(L):
        for kind in ("attention", "mlp"):
            read = _normalized(gram, kept)[0] if made.place == "pre" else gram
            if kind == "attention":
                size = variance("value", block) * width * variance("attention_out", block) * width
                added = size * averages @ read @ averages.T
            else:
                added = variance("mlp_out", block) * made.hidden * _mlp(read, made, width, variance, block)
            added = made.multiplier**2 * added
            gram = gram + added
            if made.place == "post":
                gram, kept = _normalized(gram, kept)
            branches.append(_diagonal(added).mean())
            moments.append(_diagonal(gram).mean())
            share.append(float((kept**2 * first / _diagonal(gram)).mean()))
    read, left = _normalized(gram, kept) if made.place == "pre" else (gram, kept)
    if made.embedding_norm:
        left = left / math.sqrt(token + position + EPS)
    head = made.head_multiplier * math.sqrt(variance("head") * width)
    own = made.head_multiplier * math.sqrt(token * variance("token")) * width * left.mean() if made.tied else 0.0
    return TransformerStream(
        np.array(moments),
        np.array(branches),
        np.array(share),
        _attention_std(made, sizes, variance("query"), variance("key")),
        head * math.sqrt(_diagonal(read).mean()),
        float(own),
        (read / np.sqrt(_diagonal(read)[..., None] * _diagonal(read)[..., None, :])).mean(0),
    )


def _attention_std(form: Any, sizes: Any, query: float, key: float) -> float:
    size = 1.0 if form.qk_norm else math.sqrt(query * key) * sizes.width
    return float(form.attention_scale) * math.sqrt(sizes.head) * size


def _equal(tokens: Any) -> np.ndarray:
    """Return, of each sequence, which tokens are equal, shape (sequences, T, T)."""
    if np.ndim(tokens) == 0:
        return np.eye(_length(tokens))[None]
    rows = np.atleast_2d(np.asarray(tokens))
    if rows.ndim != 2 or not rows.size or rows.dtype.kind not in "iu":
        raise ValueError(f"tokens must be a number or integers of shape (sequences, T), got {rows.dtype} {rows.shape}")
    return np.asarray(rows[:, :, None] == rows[:, None, :], dtype=float)


def _length(tokens: Any) -> int:
    return _checks.integer(tokens, "tokens") if np.ndim(tokens) == 0 else np.shape(tokens)[-1]


def _averages(count: int, causal: bool) -> np.ndarray:
    seen = np.tril(np.ones((count, count))) if causal else np.ones((count, count))
    return np.asarray(seen / seen.sum(1, keepdims=True))


def _diagonal(gram: np.ndarray) -> np.ndarray:
    return np.diagonal(gram, axis1=-2, axis2=-1)


def _normalized(gram: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    root = np.sqrt(_diagonal(gram) + EPS)
    return gram / (root[..., None] * root[..., None, :]), kept / root


def _mlp(read: np.ndarray, form: Any, width: int, variance: Any, block: int) -> np.ndarray:
    """Return the Gram matrix of the hidden layer; N(x) has variance 1 at every token, but for eps."""
    squares = _squares(form.phi, math.sqrt(variance("mlp_in", block) * width))
    hidden = np.full_like(read, squares[-1])
    for square in squares[-2::-1]:
        hidden = hidden * read + square
    return hidden * variance("mlp_up", block) * width * read if form.gated else hidden


def _squares(activation: Any, sigma: float) -> np.ndarray:
    """Return the squares of the Hermite coefficients of φ(σz), which add up to E φ²; the last is the rest."""
    z = np.linspace(-REACH, REACH, 4001)
    weights = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    values = np.asarray(activations.get(activation)(sigma * z))
    before, polynomial = np.zeros_like(z), np.ones_like(z)
    squares = []
    for k in range(TERMS):
        squares.append(float((weights * values * polynomial).sum()) ** 2)
        before, polynomial = polynomial, (z * polynomial - math.sqrt(k) * before) / math.sqrt(k + 1)
    rest = float((weights * values * values).sum()) - sum(squares)
    return np.array([*squares, max(0.0, rest)])


def attention_entropy(s: float, t: int) -> float:
    """Return the expected entropy of a softmax over t independent normal logits of standard deviation s, in nats.

    For s well below √(2 ln t) it is ln t − s²/2, nearly. With Z = Σ exp(s gᵢ) and F(s) = E ln Z the entropy is exactly
    F − sF′, and F is an integral, ln Z = ∫ (e^−u − e^−uZ)/u du, in which the mean of e^−uZ is a power of one mean.

    Parameters
    ----------
    s : float
        At least 0.
    t : int
        Tokens that are seen.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    ln t − s²/2 and where it breaks, √(2 ln t): Derrida's random energy model, Physical Review B 24, 1981.

    Examples
    --------
    >>> import math
    >>> [round(attention_entropy(s, 1024) / math.log(1024), 3) for s in (0.31, 1.64, 3)]
    [0.993, 0.81, 0.495]
    """
    s, t = _checks.real(s, "s", low=0.0), _checks.integer(t, "t")
    if s == 0 or t == 1:
        return math.log(t)
    g = np.linspace(-REACH, REACH, 401)
    weights = np.exp(-g * g / 2) / math.sqrt(2 * math.pi) * (g[1] - g[0])
    y = np.linspace(-(math.log(t) + REACH * s + 37), REACH * s + 4, 1500)  # ln u
    size = np.exp(y[:, None] + s * g)
    gone = np.exp(-size)
    mean, slope = gone @ weights, -(gone * size) @ (weights * g)
    step = y[1] - y[0]
    log_z = float((np.exp(-np.exp(y)) - mean**t).sum() * step)
    log_z_slope = float(-(t * mean ** (t - 1) * slope).sum() * step)
    return log_z - s * log_z_slope


def initial_loss(vocabulary: int, *, logit_std: float, own: float = 0.0) -> float:
    """Return the expected cross-entropy of targets that the logits know nothing of: ln((V − 1) e^{s²/2} + e^{own}).

    Parameters
    ----------
    vocabulary : int
        V. The mean over V logits stands for the expectation, which holds while e^{s²} ≪ V.
    logit_std : float
        s. Logits of other tokens are normal with mean 0.
    own : float
        Logit of the token that is read, which is not the target.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> round(initial_loss(50257, logit_std=0.0), 3), round(initial_loss(50257, logit_std=1.0), 3)
    (10.825, 11.325)
    """
    V, s = _checks.integer(vocabulary, "vocabulary"), _checks.real(logit_std, "logit_std", low=0.0)
    return float(np.logaddexp(math.log(V - 1) + s * s / 2 if V > 1 else -math.inf, _checks.real(own, "own")))
