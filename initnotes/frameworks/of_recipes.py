"""The law of a weight in a recipe for a language model, as a law of no library.

What lives here evaluates a recipe for one role and sizes; a translation says it in a library's terms.
"""

from __future__ import annotations

from .. import _checks, recipes
from ..recipes import ROLES, Sizes
from .laws import Constant, Fixed, Law, Special

__all__ = ["law_of_role"]


def law_of_role(
    name: str,
    *,
    role: str | None = None,
    width: int = 768,
    hidden: int | None = None,
    blocks: int = 12,
    block: int = 0,
    heads: int = 12,
) -> tuple[str, Law, tuple[str, ...]]:
    """Return how the call is written, what it draws, and what to mind.

    Parameters
    ----------
    name : str
        A recipe of `initnotes.recipes`.
    role : str, optional
        One of `initnotes.recipes.ROLES`. Without it there is no one law.
    width, hidden, blocks, block, heads : int
        Sizes of the network, those of GPT-2 small unless given, and the number of the block from 0.

    Raises
    ------
    TypeError, ValueError
        If a size is no whole number above 0, or there is no such recipe, role or block.

    Examples
    --------
    >>> print(law_of_role("nanogpt", role="mlp_out")[1])
    normal, mean 0, std 0.004082
    """
    recipe = recipes.get(name)
    if role is None:
        why = f"a recipe has a law for each role; give role=…, one of: {', '.join(ROLES)}"
        return f"ini.recipe({name!r}, model, rng=rng)", Special(kind="several laws"), (why,)
    width = _checks.integer(width, "width")
    hidden = 4 * width if hidden is None else _checks.integer(hidden, "hidden")
    sizes = Sizes(width, hidden, _checks.integer(blocks, "blocks"), width // _checks.integer(heads, "heads"))
    drawn = recipe.initializer(role, sizes, block=block)
    original = f"ini.recipe({name!r}, model, rng=rng), its {role}"
    return original, _law(drawn), (f"from {recipe.repository}, {recipe.file}: {recipe.law(role)}",)


def _law(drawn: recipes.Drawn) -> Law:
    sigma = drawn.sigma
    if not sigma:
        return Constant(value=0.0)
    if drawn.family == "uniform":
        return Fixed(family="uniform", low=-(3**0.5) * sigma, high=3**0.5 * sigma)
    if drawn.family == "cut":
        return Fixed(family="truncated_normal", sigma=sigma, low=-drawn.at * sigma, high=drawn.at * sigma)
    return Fixed(family="normal", sigma=sigma)
