"""One notation for claims, in their boxes and in the ledger.

What lives here turns the texts of the list and of the chapters into HTML.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

__all__ = ["written"]

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _power(mantissa: str | None, sign: str, exponent: str) -> str:
    return (f"{mantissa}·" if mantissa else "") + "10" + (sign.strip("+") + exponent).translate(_SUPERSCRIPT)


_NOTATION: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\bsigma_([wb])\b"), r"σ_\1"),
    (re.compile(r"\^(-?\d+)"), lambda power: power[1].translate(_SUPERSCRIPT)),
    (re.compile(r"\bsqrt\((\w+)\)"), r"√\1"),
    (re.compile(r"\bsqrt\(([^()]+)\)"), r"√(\1)"),
    (re.compile(r"_\((\w+)-(\w+)\)"), r"_(\1−\2)"),
    (re.compile(r"(?<= )\* "), "· "),
    (re.compile(r"\b(?:1|(\d(?:\.\d+)?))e([+-])0*(\d+)\b"), lambda number: _power(*number.groups())),
    (re.compile(r"(?<![\w.)])-(?=\d)"), "−"),
    (re.compile(r"(?<=[\d…]) %"), "\N{NO-BREAK SPACE}%"),
    (re.compile(r"± (?=\d)"), "±\N{NO-BREAK SPACE}"),
)
_MARKUP = ((re.compile(r"\*([^*\s][^*]*)\*"), r"<em>\1</em>"), (re.compile(r"`([^`]+)`"), r"<code>\1</code>"))


def written(text: str) -> str:
    """Return a text of the list, or of a chapter, as HTML in the notation of claims.

    Chapters name quantities as their code does, ``sigma_w^2``, and the list as its formulas do; here both read σ_w².
    Markdown's emphasis and code become HTML.

    Examples
    --------
    >>> written("tanh, sigma_w^2 = 4: *mean* of `Var(W)` < 2^-13"), written("-1 to 9.9e-07")
    ('tanh, σ_w² = 4: <em>mean</em> of <code>Var(W)</code> &lt; 2⁻¹³', '−1 to 9.9·10⁻⁷')
    """
    for pattern, plain in _NOTATION:
        text = pattern.sub(plain, text)
    text = html.escape(text, quote=False)
    for pattern, markup in _MARKUP:
        text = pattern.sub(markup, text)
    return text
