"""How public code bases start their language models: a law for each role of a weight, with the file that says so.

What lives here reads ``recipes.yml`` and says with which standard deviation a weight starts. It knows nothing of torch:
networks of the book take a recipe when they are made, and `initnotes.recipe` fills any torch module of a known form.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import _checks, draws
from ._table import Table
from ._table import table as _made
from .draws import Array
from .initializer import Fans, Initializer

__all__ = ["ACTIVATIONS", "LOOKUPS", "NORMS", "PLACES", "ROLES", "Drawn", "Form", "Recipe", "Sizes", "get", "known"]
__all__ += ["squared_relu", "table"]

ROLES = ("token", "position", "query", "key", "value", "attention_out", "mlp_in", "mlp_up", "mlp_out", "head")
"""What a weight of a language model is for. mlp_up is what a gated MLP multiplies φ(mlp_in) by."""
LOOKUPS = ("token", "position")
"""Roles that are looked up: an output is one weight, not a sum over a fan."""
PLACES = ("pre", "post", "none")
NORMS = ("layer", "rms")


def squared_relu(z: Any) -> Any:
    """Return max(0, z)², elementwise, of an array or a tensor."""
    return z * z * (z > 0)


ACTIVATIONS: dict[str, Any] = {name: name for name in ("relu", "gelu", "silu", "tanh")} | {"squared_relu": squared_relu}
"""What an MLP may use, by name, and what `initnotes.activations.get` takes for it."""


@dataclass(frozen=True)
class Sizes:
    """The sizes that a law may name.

    Attributes
    ----------
    width : int
        d, of the stream.
    hidden : int
        f, of the MLP.
    blocks : int
        L.
    head : int
        h, the width of an attention head.
    """

    width: int
    hidden: int
    blocks: int
    head: int


@dataclass(frozen=True)
class Drawn(Initializer):
    """Draw independent weights of mean 0 from a law that no fan enters.

    Parameters
    ----------
    family : {"normal", "uniform", "cut"}
        "cut" is a normal cut at ±`at` of its own standard deviations, as ``trunc_normal_(std=s, a=-at*s, b=at*s)`` is.
    sigma : float
        Standard deviation of an entry, for "cut" of the normal before it is cut.
    at : float

    Examples
    --------
    >>> round(Drawn("cut", 0.02, 3.0).std((64, 64)) / 0.02, 5)
    0.98658
    """

    family: str
    sigma: float
    at: float = math.inf

    @property
    def name(self) -> str:
        """The law as the list writes it."""
        limit = f", {self.at:g}" if self.family == "cut" else ""
        return f"{self.family}({self.sigma:.4g}{limit})"

    def _std(self, shape: tuple[int, ...], fans: Fans) -> float:
        return self.sigma * (_kept(self.at) if self.family == "cut" else 1.0)

    def _draw(
        self, shape: tuple[int, ...], lead: tuple[int, ...], rng: np.random.Generator, std: float, dtype: str
    ) -> Array:
        if self.family != "cut":
            return draws.draw(self.family, std, rng, (*lead, *shape), dtype)
        from scipy.special import ndtr, ndtri

        quantiles = rng.uniform(ndtr(-self.at), ndtr(self.at), (*lead, *shape))
        return np.asarray(self.sigma * ndtri(quantiles), dtype=dtype)


def _kept(at: float) -> float:
    """Return what cutting a standard normal at ±at leaves of its standard deviation."""
    if at > 38:  # the density is 0 in double precision
        return 1.0
    lost = 2 * at * math.exp(-at * at / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - lost / math.erf(at / math.sqrt(2)))


@dataclass(frozen=True)
class Form:
    """The network around the weights.

    Attributes
    ----------
    heads : int
    hidden : int
        Width of the MLP.
    place : {"pre", "post", "none"}
        x + branch(N(x)), N(x + branch(x)), or no normalization at all.
    norm : {"layer", "rms"}
    activation : str
        One of `ACTIVATIONS`.
    gated : bool
        W₂(φ(W₁x) ⊙ W₃x) instead of W₂φ(W₁x).
    tied : bool
        Whether the head is the embedding.
    positions : bool
        Whether there are learned positions, added to the embedding.
    causal : bool
        Whether a token sees only itself and those before it.
    attention_scale : float
        Factor on q·k in the softmax, 1/√h as Vaswani et al. have it.
    qk_norm : bool
        Whether queries and keys of each head are divided by their root mean square.
    embedding_norm : bool
        Whether the embedding is normalized before the first block.
    embedding_multiplier, multiplier, head_multiplier : float
        Frozen factors on the embedding, on each branch, and on the logits.
    """

    heads: int
    hidden: int
    place: str = "pre"
    norm: str = "layer"
    activation: str = "gelu"
    gated: bool = False
    tied: bool = True
    positions: bool = True
    causal: bool = True
    attention_scale: float = 1.0
    qk_norm: bool = False
    embedding_norm: bool = False
    embedding_multiplier: float = 1.0
    multiplier: float = 1.0
    head_multiplier: float = 1.0

    @property
    def phi(self) -> Any:
        """What `initnotes.activations.get` takes for the activation."""
        return ACTIVATIONS[self.activation]

    def sizes(self, width: int, blocks: int) -> Sizes:
        """Return the sizes that a law may name, at a width and a number of blocks."""
        return Sizes(width, self.hidden, blocks, width // self.heads)

    def __post_init__(self) -> None:
        """Refuse what no network can have."""
        for name in ("heads", "hidden"):
            _checks.integer(getattr(self, name), name)
        for name, allowed in (("place", PLACES), ("norm", NORMS), ("activation", ACTIVATIONS)):
            _checks.one_of(getattr(self, name), name, allowed)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "float":
                object.__setattr__(self, field.name, _checks.real(value, field.name))
            if field.type == "bool" and not isinstance(value, bool):
                raise TypeError(f"{field.name} must be True or False, got {value!r}")


@dataclass(frozen=True)
class Recipe:
    """How a code base starts a language model.

    Attributes
    ----------
    name, title : str
    repository, commit, file : str
        Where the laws stand; the commit, or the release, that was read.
    read : bool
        Whether the file was read at that commit when this was written.
    laws : mapping of str to str
        By role, as ``recipes.yml`` explains.
    network : mapping of str to object
        What of a `Form` the code base has, if it is not the default.
    notes : tuple of str
    """

    name: str
    title: str
    repository: str
    commit: str
    file: str
    read: bool
    laws: Mapping[str, str]
    network: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding."""
        return "head" not in self.laws

    @property
    def address(self) -> str:
        """Where the file can be read."""
        return f"https://github.com/{self.repository}/blob/{self.commit}/{self.file}"

    def law(self, role: str) -> str:
        """Return the law of a role: that of mlp_in for mlp_up, of token for head, and zeros for a position unless said.

        Raises
        ------
        TypeError, ValueError
            If there is no such role.
        """
        _checks.one_of(role, "role", ROLES)
        other = {"mlp_up": self.laws["mlp_in"], "head": self.laws["token"], "position": "zeros"}
        return self.laws[role] if role in self.laws else other[role]

    def initializer(self, role: str, sizes: Sizes, *, block: int = 0, like: int | None = None) -> Drawn:
        """Return how a weight is drawn.

        Parameters
        ----------
        role : str
            One of `ROLES`.
        sizes : Sizes
        block : int
            l, the number of the block, from 0; for a role that stands in no block it means nothing.
        like : int, optional
            The width of the network that the recipe was written for. A matrix then has √fan_in times its standard
            deviation as it would have there, so that literal numbers such as 0.02 mean at a small width what they mean
            at that one; a lookup keeps its own, and so does a head that is an embedding.

        Returns
        -------
        Drawn

        Raises
        ------
        TypeError, ValueError
            If there is no such role or block.

        Examples
        --------
        >>> sizes = Sizes(width=768, hidden=3072, blocks=12, head=64)
        >>> get("nanogpt").initializer("mlp_out", sizes).name
        'normal(0.004082)'
        """
        law, at = self.law(role), _checks.integer(block, "block", low=0)
        if at >= sizes.blocks:
            raise ValueError(f"block must be below {sizes.blocks}, the number of blocks, got {at}")
        scale = 1.0
        if like is not None and role not in LOOKUPS and not (role == "head" and self.tied):
            ratio = _checks.integer(like, "like") / sizes.width
            scale = math.sqrt(ratio)
            sizes = Sizes(like, round(sizes.hidden * ratio), sizes.blocks, sizes.head)
        family, arguments = _parsed(law, sizes, at)
        if family == "zeros":
            return Drawn("normal", 0.0)
        return Drawn(family, scale * arguments[0], *arguments[1:])

    def std(self, role: str, sizes: Sizes, *, block: int = 0, like: int | None = None) -> float:
        """Return the standard deviation of a weight, cut if it is cut; the arguments are those of `initializer`."""
        return self.initializer(role, sizes, block=block, like=like).std((1, 1))

    def form(self, width: int, heads: int, blocks: int = 1, **changes: Any) -> Form:
        """Return the network of this code base, with changes.

        Parameters
        ----------
        width : int
        heads : int
            A divisor of the width.
        blocks : int
        **changes
            Fields of `Form`; `hidden` is four times the width unless given.

        Raises
        ------
        TypeError, ValueError
            If there is no such field, or a value is not allowed.

        Examples
        --------
        >>> get("t5").form(64, 4).head_multiplier
        0.125
        """
        width, heads = _checks.integer(width, "width"), _checks.integer(heads, "heads")
        if width % heads:
            raise ValueError(f"heads must divide the width, got {heads} heads for a width of {width}")
        allowed = [field.name for field in fields(Form) if field.name != "heads"]
        for name in changes:
            _checks.one_of(name, "setting", allowed)
        hidden = _checks.integer(changes.get("hidden", 4 * width), "hidden")
        sizes = Sizes(width, hidden, blocks, width // heads)
        said: dict[str, Any] = {"tied": self.tied, "attention_scale": "1 / sqrt(h)", **self.network}
        said = {name: _number(value, sizes) if name in _NUMBERS else value for name, value in said.items()}
        return Form(heads, **{"hidden": hidden, **said, **changes})


_NUMBERS = tuple(field.name for field in fields(Form) if field.type == "float")
_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _variables(sizes: Sizes, block: int) -> dict[str, float]:
    return {"d": sizes.width, "f": sizes.hidden, "h": sizes.head, "L": sizes.blocks, "l": block}


def _number(text: Any, sizes: Sizes) -> float:
    return _value(ast.parse(str(text), mode="eval").body, _variables(sizes, 0))


def _parsed(law: str, sizes: Sizes, block: int) -> tuple[str, list[float]]:
    """Return the family of a law and the numbers in it."""
    node = ast.parse(law, mode="eval").body
    if isinstance(node, ast.Name) and node.id == "zeros":
        return "zeros", []
    wanted = {"normal": 1, "uniform": 1, "cut": 2}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == wanted.get(node.func.id):
        return node.func.id, [_value(argument, _variables(sizes, block)) for argument in node.args]
    raise ValueError(f"a law must be zeros, normal(std), uniform(std) or cut(std, c), got {law!r}")


def _value(node: ast.expr, variables: Mapping[str, float]) -> float:
    """Return the value of a formula of numbers, sizes, +, *, / and sqrt."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    if isinstance(node, ast.Name) and node.id in variables:
        return float(variables[node.id])
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, variables), _value(node.right, variables))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "sqrt"
        and len(node.args) == 1
    ):
        return math.sqrt(_value(node.args[0], variables))
    raise ValueError(f"a formula may have numbers, {', '.join(variables)}, +, *, / and sqrt, got {ast.unparse(node)!r}")


@cache
def known() -> Mapping[str, Recipe]:
    """Return all recipes by name, in the order of the list.

    Examples
    --------
    >>> ", ".join(known())
    'gpt2, nanogpt, hf_gpt2, hf_llama, megatron, neox, olmo_normal, olmo_mitchell, ...
    """
    import yaml

    rows = yaml.safe_load((Path(__file__).parent / "recipes.yml").read_text(encoding="utf-8"))
    return {name: Recipe(name, **{**row, "notes": tuple(row.get("notes", ()))}) for name, row in rows.items()}


def get(recipe: str | Recipe) -> Recipe:
    """Return the recipe of a name; a `Recipe` passes through.

    Raises
    ------
    TypeError, ValueError
        If there is none of that name; the message suggests the nearest.

    Examples
    --------
    >>> get("nanogpt").laws["attention_out"]
    'normal(0.02 / sqrt(2 * L))'
    """
    return recipe if isinstance(recipe, Recipe) else known()[_checks.one_of(recipe, "recipe", known())]


def table(*roles: str) -> Table:
    """Return a table of laws, a row a recipe, with the place where each stands.

    Parameters
    ----------
    *roles : str
        Columns; without any, all `ROLES`.

    Raises
    ------
    TypeError, ValueError
        If there is no such role.

    Examples
    --------
    >>> table("mlp_out")["t5", "mlp_out"]
    'normal(1 / sqrt(f))'
    """
    shown = [_checks.one_of(role, "role", ROLES) for role in roles] or list(ROLES)
    columns: dict[str, list[str]] = {"recipe": list(known())}
    for role in shown:
        columns[role] = ["tied" if role == "head" and own.tied else own.law(role) for own in known().values()]
    columns["source"] = [f"{own.repository}@{own.commit[:7]} {own.file}" for own in known().values()]
    return _made(columns, caption="How language models start")
