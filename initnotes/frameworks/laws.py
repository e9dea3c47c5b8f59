"""Laws: how one weight is distributed, given the fans that a library reads from a shape.

What lives here are distributions and how they are written; names, libraries and draws are other rooms'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .. import schemes
from ..schemes import Array

__all__ = ["CUT", "KEPT", "Constant", "Fixed", "Law", "Scaled", "Special", "Spelled", "fraction", "root", "tidy"]

CUT = 2.0
KEPT = schemes.CUT_STD  # what a cut at two standard deviations leaves of std 1


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """Var(W) = scale / fan, with the fan that the library reads from the shape.

    Attributes
    ----------
    scale : float
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        The last is JAX's alone: the square root of their product.
    family : {"normal", "uniform", "truncated_normal"}
        The truncated normal is cut at two standard deviations and rescaled, so that the variance is as said.
    """

    scale: float
    mode: str = "fan_in"
    family: str = "normal"

    def fan(self, fan_in: float, fan_out: float) -> float:
        """Return what the variance is divided by."""
        means = {"fan_avg": (fan_in + fan_out) / 2, "fan_geo_avg": math.sqrt(fan_in * fan_out)}
        return {"fan_in": fan_in, "fan_out": fan_out, **means}[self.mode]

    def fixed(self, fan_in: float, fan_out: float) -> Fixed:
        """Return the law of one weight for these fans, in numbers."""
        std = math.sqrt(self.scale / self.fan(fan_in, fan_out))
        if self.family == "uniform":
            return Fixed(family="uniform", low=-math.sqrt(3) * std, high=math.sqrt(3) * std)
        if self.family == "normal":
            return Fixed(family="normal", sigma=std)
        return Fixed(family="truncated_normal", sigma=std / KEPT, low=-CUT * std / KEPT, high=CUT * std / KEPT)

    def __str__(self) -> str:
        cut = ", rescaled" if self.family == "truncated_normal" else ""
        scale = str(fraction(self.scale))
        return f"{_words(self.family)}{cut}, variance {f'({scale})' if '/' in scale else scale} / {self.mode}"


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """One distribution for every shape: normal, uniform, or a normal that is cut at absolute limits.

    Attributes
    ----------
    family : {"normal", "uniform", "truncated_normal"}
    mean, sigma : float
        Of the normal *before* it is cut; they mean nothing for the uniform one.
    low, high : float
        Limits, in the units of a weight; infinite for the normal one.
    """

    family: str
    mean: float = 0.0
    sigma: float = 1.0
    low: float = -math.inf
    high: float = math.inf

    def fixed(self, fan_in: float, fan_out: float) -> Fixed:
        """Return itself: the fans do not matter."""
        return self

    def moments(self) -> tuple[float, float]:
        """Return mean and standard deviation of a weight."""
        if self.family == "uniform":
            return (self.low + self.high) / 2, (self.high - self.low) / math.sqrt(12)
        from scipy.stats import truncnorm

        a, b = ((end - self.mean) / self.sigma for end in (self.low, self.high))
        mean, variance = truncnorm.stats(a, b, moments="mv")
        return self.mean + self.sigma * float(mean), self.sigma * math.sqrt(float(variance))

    def cdf(self, x: Any) -> Array:
        """Return the probability of a weight at most `x`."""
        from scipy.stats import truncnorm, uniform

        if self.family == "uniform":
            return np.asarray(uniform.cdf(x, self.low, self.high - self.low))
        a, b = ((end - self.mean) / self.sigma for end in (self.low, self.high))
        return np.asarray(truncnorm.cdf(x, a, b, self.mean, self.sigma))

    @property
    def cuts(self) -> tuple[float, float]:
        """The limits in standard deviations of the normal from its mean."""
        return (self.low - self.mean) / self.sigma, (self.high - self.mean) / self.sigma

    def __str__(self) -> str:
        if self.family == "uniform":
            return f"uniform on [{self.low:.4g}, {self.high:.4g}]"
        text = f"{_words(self.family)}, mean {self.mean:g}, std {self.sigma:.4g}"
        if self.family == "normal":
            return text
        low, high = self.cuts
        cut = f"±{high:.4g}" if math.isclose(-low, high) else f"{low:.4g} and {high:.4g}"
        return f"{text} before the cut at {cut} std, not rescaled"


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Every weight has one value."""

    value: float

    def __str__(self) -> str:
        return f"every weight {self.value:g}"


@dataclass(frozen=True, kw_only=True)
class Special:
    """A law of whole matrices: what kind, and its gain.

    Attributes
    ----------
    kind : {"orthogonal", "delta_orthogonal", "identity", "dirac", "sparse", "stft"}
    gain : float
    """

    kind: str
    gain: float = 1.0

    def __str__(self) -> str:
        return f"{self.kind.replace('_', '-')}, gain {self.gain:g}"


Law = Scaled | Fixed | Constant | Special


def _words(family: str) -> str:
    return family.replace("_", " ")


class Spelled(float):
    """A number with the text that code shows for it: 1 / 3, and not 0.333."""

    text: str

    def __new__(cls, value: float, text: str) -> Spelled:
        """Keep the text beside the value."""
        number = super().__new__(cls, value)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__


def fraction(x: float) -> Spelled:
    """Spell a number as a fraction where it is one with small terms."""
    near = Fraction(x).limit_denominator(99)
    if near.denominator > 1 and math.isclose(near, x, rel_tol=1e-14):
        return Spelled(x, f"{near.numerator} / {near.denominator}")
    return Spelled(x, str(int(x)) if x == int(x) and abs(x) < 1e15 else repr(float(x)))


def root(square: float) -> Spelled:
    """Spell the square root of a number."""
    value = math.sqrt(square)
    if value == int(value):
        return Spelled(value, str(int(value)))
    text = str(fraction(square))
    return Spelled(value, f"({text}) ** 0.5" if "/" in text else f"{text} ** 0.5")


def tidy(x: float) -> float:
    """Undo the rounding of a square root that was squared: √2² is 2, and √5² + 1 is 6."""
    near = Fraction(x).limit_denominator(99)
    return float(near) if math.isclose(near, x, rel_tol=1e-14) else x
