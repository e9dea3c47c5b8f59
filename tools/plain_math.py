"""Formulas as a line of text: what a search finds and shows, and what a page says of itself elsewhere.

KaTeX writes each formula as MathML too, for screen readers. That tells what is a subscript and what a fraction, so no
TeX is read here.
"""

import functools
import re
import xml.etree.ElementTree as ET

_MATH = re.compile(r"<math\b.*?</math>", re.DOTALL)
_SUPER = dict(zip("0123456789+−=()nijlkT⊤′∗", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱʲˡᵏᵀᵀ′*", strict=True))
_SUB = dict(zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True))
_RELATIONS = frozenset("=<>≈∼≤≥≠∝→←↦⟹≡≪≫∈×±")
_SUMS = frozenset("+−")
_ACCENTS = frozenset("^~ˉ‾˙→ˆ_")
_SCRIPT = {"L": "𝓛", "N": "𝒩"}
_ONE = re.compile(r"[^\W\d][^\W\d_]*[₀-₉]*(_[^\W\d]*|_\(.*\))?[⁰-⁹⁺⁻ⁿⁱʲˡᵏᵀ′*∗]*|[\d.]+|\([^()]*\)|[^\w\s(]")
_FUNCTION = "\u2061"  # stands behind the name of a function


@functools.cache
def text(markup: str) -> str:
    """Return the formulas in KaTeX's `markup` as text.

    Examples
    --------
    >>> text("<math><msubsup><mi>σ</mi><mi>w</mi><mn>2</mn></msubsup><mo>=</mo><mn>2</mn></math>")
    'σ_w² = 2'
    """
    return _spaced(" ".join(_said(ET.fromstring(formula)) for formula in _MATH.findall(markup)))


def _spaced(line: str) -> str:
    line = " ".join(re.sub(r"[\u2061-\u2064]", "", line).split()).replace("⋅ ", "⋅")
    line = re.sub(r"(?<=\w) \(", "(", re.sub(r"([(\[{]) ", r"\1", re.sub(r" ([)\]},.;:!?/])", r"\1", line)))
    return re.sub(r"(?<=[=<>≈∼≤≥≠∝→←↦⟹(\[,/_]) ?([+−]) (?=\S)", r" \1", line).replace("( −", "(−").replace("[ −", "[−")


def _said(node: ET.Element) -> str:
    tag = node.tag.rpartition("}")[2]
    form = _FORMS.get(tag)
    if form is not None:
        return form(*(_said(child).strip() for child in node))
    if tag in ("annotation", "mphantom"):
        return ""
    if tag == "mspace":
        return " "
    if tag == "mo":
        return _operator(node.text or "")
    own = (node.text or "").replace("\u00a0", " ")
    if tag == "mi":
        return _SCRIPT.get(own, own) if node.get("mathvariant") == "script" else f" {own}" if len(own) > 1 else own
    inner = own + "".join(_said(child) for child in node)
    return f"{inner} " if tag in ("mtd", "mtr") else inner


def _operator(sign: str) -> str:
    if sign in _RELATIONS or sign in _SUMS:
        return f" {sign} "
    return " " if sign == _FUNCTION else f"{sign} " if sign in (",", ";") else sign


def _grouped(part: str) -> str:
    return part if _ONE.fullmatch(part) else f"({part})"


def _lowered(base: str, sub: str) -> str:
    if sub and all(char in _SUB for char in sub):
        return base + "".join(_SUB[char] for char in sub)
    return f"{base}_{_grouped(sub)} "


def _raised(base: str, power: str) -> str:
    base, power = base.strip(), power.replace(" ", "") if len(power) <= 4 else power
    if power and all(char in _SUPER for char in power):
        return base + "".join(_SUPER[char] for char in power)
    return f"{base}^{_grouped(power)} "


def _accented(base: str, above: str) -> str:
    return base if above in _ACCENTS else _raised(base, above)


_FORMS = {
    "msub": _lowered,
    "msup": _raised,
    "msubsup": lambda base, sub, power: _raised(_lowered(base, sub), power),
    "munder": _lowered,
    "mover": _accented,
    "munderover": lambda base, sub, power: _raised(_lowered(base, sub), power),
    "mfrac": lambda above, below: f"{_grouped(above)}/{_grouped(below)}",
    "msqrt": lambda *inner: f"√{_grouped(''.join(inner))}",
    "mroot": lambda inner, degree: f"{_grouped(inner)}^(1/{degree})",
}
