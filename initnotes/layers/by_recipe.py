"""A language model filled by a recipe: which of its parameters is what, and what is left.

What lives here knows the names of nanoGPT, of Hugging Face's GPT-2 and Llama, and of the book's own transformers; what
a recipe says is in ``initnotes.recipes``, and how a parameter is written in ``fill``.
"""

from __future__ import annotations

import glob
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from torch import nn

from .. import _checks, recipes, schemes
from ..initializer import Initializer
from ..networks.attention import Transformer
from ..recipes import Form, Recipe, Sizes
from ..stacked import Stacked
from .fill import initialize_
from .planning import Plan, plan

__all__ = ["recipe", "recipe_plan"]

Model = TypeVar("Model", nn.Module, Transformer)

_BLOCK = r"(?:h|layers|blocks)\.(?P<block>\d+)"
_NAMES = {  # of parameters, without what stands in front
    "token": r"wte|embed_tokens|token",
    "position": r"wpe|position",
    "query+key+value": rf"{_BLOCK}\.attn\.c_attn",
    "query": rf"{_BLOCK}\.(?:self_attn\.q_proj|query)",
    "key": rf"{_BLOCK}\.(?:self_attn\.k_proj|key)",
    "value": rf"{_BLOCK}\.(?:self_attn\.v_proj|value)",
    "attention_out": rf"{_BLOCK}\.(?:attn\.c_proj|self_attn\.o_proj|attention_out)",
    "mlp_in": rf"{_BLOCK}\.(?:mlp\.c_fc|mlp\.gate_proj|mlp_in)",
    "mlp_up": rf"{_BLOCK}\.(?:mlp\.up_proj|mlp_up)",
    "mlp_out": rf"{_BLOCK}\.(?:mlp\.c_proj|mlp\.down_proj|mlp_out)",
    "head": r"lm_head|head",
    "norm": rf"(?:{_BLOCK}\.)?(?:ln_1|ln_2|ln_f|input_layernorm|post_attention_layernorm|norm)",
}
_PATTERNS = {role: re.compile(rf"(?:.*\.)?(?:{names})\.(?P<kind>weight|bias)") for role, names in _NAMES.items()}
_COUNTED_ON = ("attention_scale", "qk_norm", "embedding_norm", "embedding_multiplier", "head_multiplier")
_HEADS = ("n_head", "num_attention_heads", "num_heads", "heads")  # what a configuration calls them


@dataclass(frozen=True)
class _Part:
    """A parameter, what it is for, and in which block it stands."""

    name: str
    role: str
    block: int
    kind: str
    parameter: nn.Parameter


def recipe(
    name: str | Recipe,
    model: Model,
    *,
    rng: np.random.Generator,
    like: int | None = None,
    heads: int | None = None,
    strict: bool = False,
) -> Model:
    """Start a language model in place as a public code base does.

    Biases become 0, gains of normalizations 1, and each weight is drawn by the law of its role; `initnotes.recipes`
    lists them, with the file that says so. What is frozen stays as it is, as in `initialize_`.

    Parameters
    ----------
    name : str or Recipe
        Such as "nanogpt"; see `initnotes.recipes.table`.
    model : torch.nn.Module or Transformer
        With the names of nanoGPT, of Hugging Face's GPT-2 or Llama, or of `Transformer.twin`; a model that has such a
        one inside, too. Or an ensemble, all replicas of which are drawn.
    rng : numpy.random.Generator
    like : int, optional
        As for `initnotes.recipes.Recipe.initializer`.
    heads : int, optional
        Of the attention, where the law names their width and the model's configuration does not say.
    strict : bool
        Whether to raise instead of a warning.

    Returns
    -------
    Module or Transformer
        The same object.

    Warns
    -----
    UserWarning
        If parameters are left as they are, as their names are none of these; or if the recipe counts on what the model
        does not have: a tied head, one of its own, a factor on the logits.

    Raises
    ------
    TypeError, ValueError
        If there is no such recipe, or the model has no block that is known; if `strict` and there is something to warn
        of. Whatever is raised, neither `model` nor `rng` has changed then.

    Examples
    --------
    >>> model = Transformer(11, 8, 16, 1, "gpt2", rng=np.random.default_rng(1), replicas=3).twin(0)
    >>> recipe("nanogpt", model, rng=np.random.default_rng(2)) is model
    True
    >>> print(recipe_plan("nanogpt", model))
    parameter                      shape     fan_in  fan_out  std
    token.weight                   (11, 16)       1       16  0.02     set: normal(0.02) by the rule 'token.weight'
    ...
    """
    _checks.generator(rng)
    chosen = recipes.get(name)
    if isinstance(model, Transformer):
        _say(_form_notes(chosen, model, model.sizes, tied=model.form.tied), strict)
        drawn = [
            law.sample(shape, rng, model.replicas)
            for law, shape in zip(model.drawn_by(chosen, like=like), model.shapes, strict=True)
        ]
        for weight, values in zip(model.weights, drawn, strict=True):
            weight.copy_(weight.new_tensor(values))
        for bias in model.biases:
            bias.zero_()
        model.recipe = chosen
        return model
    rules, unknown, notes = _rules(chosen, model, like, heads)
    if unknown:
        left = f"{', '.join(unknown[:4])}{f' and {len(unknown) - 4} more' if len(unknown) > 4 else ''}"
        notes.insert(0, f"{len(unknown)} parameters are left as before, as their names are not known: {left}")
    _say(notes, strict)
    return initialize_(model, schemes.zeros, rng=rng, rules=rules, skip=[glob.escape(own) for own in unknown])


def recipe_plan(name: str | Recipe, model: nn.Module, *, like: int | None = None, heads: int | None = None) -> Plan:
    """Return what `recipe` would do to a module, parameter by parameter, and touch nothing.

    Parameters
    ----------
    name, model, like, heads
        As in `recipe`.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        As in `recipe`.
    """
    rules, unknown, _ = _rules(recipes.get(name), model, like, heads)
    return plan(model, schemes.zeros, rules=rules, skip=[glob.escape(own) for own in unknown])


def _say(notes: list[str], strict: bool) -> None:
    if notes and strict:
        raise ValueError(f"recipe: {'; '.join(notes)}")
    if notes:
        warnings.warn(f"recipe: {'; '.join(notes)}", UserWarning, stacklevel=3)


def _parts(model: Any) -> tuple[list[_Part], list[str]]:
    """Return the parameters that are known, under all their names, and the names of the others."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module or a Transformer, got {type(model).__name__}")
    parts, unknown = [], []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        for role, pattern in _PATTERNS.items():
            if found := pattern.fullmatch(name):
                block = int(found.groupdict().get("block") or 0)
                parts.append(_Part(name, role, block, found["kind"], parameter))
                break
        else:
            unknown.append(name)
    if not any(part.role == "mlp_out" for part in parts) or not any(part.role == "token" for part in parts):
        first = ", ".join(unknown[:4]) or "none"
        raise ValueError(
            "model must have the names of nanoGPT, of Hugging Face's GPT-2 or Llama, or of Transformer.twin, got a "
            f"{type(model).__name__} with the parameters {first} …; give laws by name: initialize_(model, …, rules=…)"
        )
    known = {id(part.parameter) for part in parts}
    aliases = {name for name, parameter in model.named_parameters(remove_duplicate=False) if id(parameter) in known}
    return parts, [name for name in unknown if name not in aliases]


def _rules(
    chosen: Recipe, model: nn.Module, like: int | None, heads: int | None
) -> tuple[Mapping[Any, Any], list[str], list[str]]:
    """Return rules for `initialize_`, the names of what is left, and what else to say."""
    parts, unknown = _parts(model)
    sizes = _sizes(parts, model, heads, needed="h" in re.findall(r"\w+", " ".join(chosen.laws.values())))
    token = next(part.parameter for part in parts if part.role == "token")
    heads_own = [part for part in parts if part.role == "head" and part.parameter is not token]
    rules: dict[str, Initializer | float] = {}
    for part in (own for own in parts if own.parameter.requires_grad):
        key = glob.escape(part.name)
        if part.kind == "bias" or part.role == "norm":
            rules[key] = float(part.kind == "weight")
        elif part.role != "head" or part in heads_own:
            laws = [chosen.initializer(role, sizes, block=part.block, like=like) for role in part.role.split("+")]
            rules[key] = laws[0] if len(set(laws)) == 1 else Stacked(tuple(laws))
    tied = not heads_own if any(part.role == "head" for part in parts) else None  # where there is no head at all
    return rules, unknown, _form_notes(chosen, model, sizes, tied=tied)


def _form_notes(chosen: Recipe, model: Any, sizes: Sizes, *, tied: bool | None) -> list[str]:
    """Say what a recipe counts on and the model does not have, as far as its form is known."""
    heads = sizes.width // sizes.head
    form, wanted = getattr(model, "form", Form(heads, sizes.hidden)), chosen.form(sizes.width, heads)
    plain = form if hasattr(model, "form") else replace(form, attention_scale=sizes.head**-0.5)
    notes = []
    if tied and not chosen.tied:
        notes.append(f"the head is the embedding, and {chosen.name} has one of its own: the embedding's law holds")
    if tied is False and chosen.tied:
        notes.append(f"the head is one of its own, and {chosen.name} has the embedding there: it gets the same law")
    for name in _COUNTED_ON:
        needed = getattr(wanted, name)
        if not math.isclose(getattr(plain, name), needed):
            notes.append(f"{chosen.name} counts on {name}={needed if isinstance(needed, bool) else f'{needed:.3g}'}")
    return notes


def _sizes(parts: list[_Part], model: nn.Module, heads: int | None, *, needed: bool) -> Sizes:
    width = next(part.parameter.shape[1] for part in parts if part.role == "token")
    out = next(part.parameter for part in parts if part.role == "mlp_out" and part.kind == "weight")
    hidden = out.numel() // width
    blocks = 1 + max(part.block for part in parts if part.role == "mlp_out")
    if heads is None:
        config = getattr(model, "config", model)
        heads = next((getattr(config, name) for name in _HEADS if hasattr(config, name)), None if needed else 1)
    if heads is None:
        raise ValueError("heads must be given: the recipe names the width of a head, and the model does not say")
    return Sizes(width, hidden, blocks, width // _checks.integer(heads, "heads"))
