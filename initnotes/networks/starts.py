"""How the branches of residual networks start, under the names that they have in papers: one table.

What lives here says where factors stand and how they depend on the depth; the networks that they are for are in
``residual``, and what the factors do in ``theory.stream``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import _checks, schemes

__all__ = ["STARTS", "Start", "residual_start"]

Factor = Callable[[int], float]


def _power(exponent: float, factor: float = 1.0) -> Factor:
    return lambda L: factor * L**exponent


def _one(_: int) -> float:
    return 1.0


def _zero(_: int) -> float:
    return 0.0


def _layer_scale(L: int) -> float:
    return 0.1 if L <= 2 * 18 else 1e-5 if L <= 2 * 24 else 1e-6


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a residual network of L blocks starts: factors as functions of L, and what does not depend on L.

    Attributes
    ----------
    source : str
        Where it was proposed.
    multiplier, skip : callable
        Of the branch, and of x in the sum; see `Residual`.
    first, last : callable
        Factors on the weights of He's normal scheme, of the first of two matrices and of the last one.
    options : mapping
        Other arguments of `Residual`.
    """

    source: str
    multiplier: Factor = _one
    skip: Factor = _one
    first: Factor = _one
    last: Factor = _one
    options: Mapping[str, Any] = field(default_factory=dict)

    def at(self, blocks: int) -> dict[str, Any]:
        """Return the arguments of `Residual` for so many blocks; what is He's, or 1, is left out."""
        blocks = _checks.integer(blocks, "blocks")
        made: dict[str, Any] = {"learned": False, **self.options}
        for name in ("multiplier", "skip"):
            if (value := getattr(self, name)(blocks)) != 1:
                made[name] = value
        for name in ("first", "last"):
            if (value := getattr(self, name)(blocks)) != 1:
                made[name] = schemes.Scheme(scale=2 * value * value) if value else schemes.zeros
        return made

    @property
    def exponents(self) -> dict[str, Any]:
        """What `theory.step_exponent` takes beside optimizer and biases: powers of L, −inf for 0, the skip's taken off.

        Raises
        ------
        ValueError
            If a factor is no power of L, as that of LayerScale.
        """
        powers = {name: _exponent(name, getattr(self, name)) for name in ("multiplier", "first", "last")}
        powers["multiplier"] -= _exponent("skip", self.skip)
        return powers | {"learned": self.options.get("learned", False), "place": self.options.get("place")}


def _exponent(name: str, factor: Factor) -> float:
    """Return p if the factor is c·L^p, −inf if it is 0."""
    near, middle, far = (factor(2**at) for at in (4, 12, 20))
    if not far:
        return -math.inf
    slopes = [math.log2(high / low) / 8 for low, high in ((near, middle), (middle, far))]
    if abs(slopes[0] - slopes[1]) > 1e-9:
        raise ValueError(f"the {name} of this start is no power of the number of blocks")
    return round(slopes[1], 9)


_PRE, _POST = {"norm": "layer", "place": "pre"}, {"norm": "layer", "place": "post"}
_FREE = "De & Smith, NeurIPS 2020: α = 0, learned"
STARTS = {
    "he": Start(source="He et al., ICCV 2015: no word of the depth"),
    "last_root": Start(source="the 1/√N of Radford et al., 2019, without normalization", last=_power(-1 / 2)),
    "both_quarter": Start(source="last_root, shared by both matrices", first=_power(-1 / 4), last=_power(-1 / 4)),
    "multiplier_root": Start(source="Hayou et al., AISTATS 2021: stable ResNet", multiplier=_power(-1 / 2)),
    "multiplier_whole": Start(
        source="the scaling of a differential equation: Chen et al., 2018", multiplier=_power(-1)
    ),
    "zero_last": Start(source="step 0 is that of the zero γ of Goyal et al., 2017, section 5.1", last=_zero),
    "fixup": Start(
        source="Zhang et al., ICLR 2019, section 3: L^(−1/(2m−2)) for m = 2 matrices, the last one, and the head, 0",
        first=_power(-1 / 2),
        last=_zero,
        options={"learned": True, "scalars": True, "head": "zeros"},
    ),
    "rezero": Start(source="Bachlechner et al., UAI 2021, equation 1", multiplier=_zero, options={"learned": True}),
    "skipinit": Start(source=_FREE, multiplier=_zero, options={"learned": True}),
    "layerscale": Start(
        source="Touvron et al., ICCV 2021, section 2: 0.1 to 18 layers of two blocks, 1e-5 to 24, then 1e-6",
        multiplier=_layer_scale,
        options={"learned": True, "per_unit": True, **_PRE},
    ),
    "pre_norm": Start(source="Xiong et al., ICML 2020", options=_PRE),
    "pre_norm_last_root": Start(source="Radford et al., 2019, section 2.3 (GPT-2)", last=_power(-1 / 2), options=_PRE),
    "pre_norm_multiplier_root": Start(
        source="multiplier_root with normalization", multiplier=_power(-1 / 2), options=_PRE
    ),
    "post_norm": Start(source="Vaswani et al., NeurIPS 2017", options=_POST),
    "deepnorm": Start(
        source="Wang et al., 2022, encoders: α = (2N)^¼, β = (8N)^(−¼) on Xavier's, N layers of two blocks",
        skip=_power(1 / 4),
        first=_power(-1 / 4, 1 / 2),  # Xavier's is He's over √2, and 4^(−¼) = 1/√2
        last=_power(-1 / 4, 1 / 2),
        options=_POST,
    ),
}


def residual_start(name: str, blocks: int) -> dict[str, Any]:
    """Return the arguments with which `Residual` starts as a paper says.

    They are those of `STARTS` for the number of blocks, for He's normal scheme and blocks of two matrices; any of them
    can be replaced. A block is one branch: a transformer of N layers has 2N.

    Parameters
    ----------
    name : str
        "he", "last_root", "both_quarter", "multiplier_root", "multiplier_whole", "zero_last", "fixup", "rezero",
        "skipinit", "layerscale", "pre_norm", "pre_norm_last_root", "pre_norm_multiplier_root", "post_norm", "deepnorm"
    blocks : int

    Returns
    -------
    dict
        Keyword arguments.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown or `blocks` is no positive integer.

    Notes
    -----
    Of Fixup, the head is part of the start: as long as it is 0, no gradient reaches the blocks. Its biases are not
    scaled with the depth; see `theory.step_exponent`.

    Examples
    --------
    >>> residual_start("rezero", 16)
    {'learned': True, 'multiplier': 0.0}
    >>> residual_start("last_root", 16)
    {'learned': False, 'last': Scheme(scale=0.125, mode='fan_in', distribution='normal')}
    >>> import numpy as np
    >>> from initnotes.networks import Residual
    >>> Residual((20, 8, 5), 16, "relu", "he_normal", **residual_start("deepnorm", 16), rng=np.random.default_rng(1))
    Residual(20-8-5, 16 blocks 'inner', relu, norm layer, 32 replicas)
    """
    return STARTS[_checks.one_of(name, "name", STARTS)].at(blocks)
