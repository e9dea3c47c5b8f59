"""Translation: one library's call in another's terms, or why there is none.

What lives here chooses calls by their laws. It draws nothing and needs none of the libraries: a translation carries the
call, and the call the initializer that it makes when asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import _checks, recipes, schemes
from .as_they_come import DEFAULTS, NO_LAW, layers_of
from .laws import CUT, KEPT, Constant, Fixed, Law, Scaled, Special, fraction, root, tidy
from .libraries import LIBRARIES, LIKE_TORCH, NAMESPACES, read_fans
from .of_recipes import law_of_role
from .registry import CLASSICS, KERAS_FAMILIES, REGISTRY, Call, find
from .whole_matrices import whole_matrix

__all__ = ["Translation", "translate"]

FAR = 8.3  # standard deviations: what lies beyond has a probability below 1e-16, less than float64 can see


class _NoneError(Exception):
    """There is no such call, and why."""


@dataclass(frozen=True)
class Translation:
    """One library's call in another's terms, or why there is none. It is true if there is one.

    Attributes
    ----------
    source, target : str
        The libraries.
    original : str
        What was translated, as code.
    law : Law
        What it draws, in terms of the fans that the target reads.
    call : Call or None
        The target's call: its code, and the initializer that it makes. None if there is none.
    notes : tuple of str
        What to mind; if `call` is None, why.
    """

    source: str
    target: str
    original: str
    law: Law
    call: Call | None
    notes: tuple[str, ...]

    @property
    def code(self) -> str | None:
        """To be pasted; for torch it fills a tensor `w`, for the others it is an initializer."""
        return self.call.code if self.call else None

    @property
    def name(self) -> str | None:
        """The target's function, if there is one."""
        return self.call.name if self.call else None

    def __bool__(self) -> bool:
        return self.call is not None

    def __str__(self) -> str:
        code = (self.code or "no call draws this").replace("\n", "\n          ")
        lines = [f"{self.source:9} {self.original}", f"{'draws':9} {self.law}", f"{self.target:9} {code}"]
        return "\n".join([*lines, *(f"{'note' if self else 'because':9} {note}" for note in self.notes)])

    __repr__ = __str__


def translate(
    name: str, source: str, target: str, *, shape: Sequence[int] | None = None, **arguments: Any
) -> Translation:
    """Give the call of another library that draws from the same distribution, or say why there is none.

    Needs none of the libraries until the translation's call makes its initializer.

    Parameters
    ----------
    name : str
        An initializer by the source's name, or a layer of torch or Keras for the law of its weight as it comes; from
        "initnotes" also a recipe for a language model, with ``role=``, ``width=`` and what else `law_of_role` takes.
    source, target : {"torch", "keras", "jax", "initnotes"}
    shape : sequence of int, optional
        ``(fan_out, fan_in, *kernel)``. Some laws can be said in the target's terms for one shape only.
    **arguments
        The source's own arguments, such as ``mode="fan_out"``; others have the source's defaults.

    Returns
    -------
    Translation
        Prints as both calls, the law and notes; false if there is no such call.

    Raises
    ------
    TypeError, ValueError
        If a library or name is unknown (the message suggests the nearest), an argument is not one of the source's, or
        the shape has no fans.

    Examples
    --------
    >>> print(translate("xavier_normal_", "torch", "keras"))
    torch     torch.nn.init.xavier_normal_(w)
    draws     normal, variance 1 / fan_avg
    keras     keras.initializers.VarianceScaling(scale=1, mode='fan_avg', distribution='untruncated_normal')
    note      glorot_normal is another law there: a truncated normal of the same variance
    note      keras reads the fans from (*kernel, in, out), torch from (out, in, *kernel)
    >>> print(translate("uniform", "keras", "jax"))
    keras     keras.initializers.RandomUniform()
    draws     uniform on [-0.05, 0.05]
    jax       no call draws this
    because   jax.nn.initializers.uniform(scale) starts at 0; give shape=, for which variance_scaling can be set
    """
    for which, library in (("source", source), ("target", target)):
        _checks.one_of(library, which, LIBRARIES)
    fans = None if shape is None else schemes.fans(shape)
    if isinstance(name, str) and name.rpartition(".")[2] in layers_of(source):
        return _translate_layer(name.rpartition(".")[2], source, target, fans, arguments)
    if source == "initnotes" and name in recipes.known():
        original, law, notes = law_of_role(name, **arguments)
        if "role" not in arguments:
            return Translation(source, target, original, law, None, notes)
        return _translated(source, target, original, law, fans, *notes)
    call = find(name, source, also=layers_of(source)).call(**arguments)
    if source == target:
        return Translation(source, target, call.code, call.law, call, ())
    return _translated(source, target, call.code, call.law, fans)


def _translate_layer(
    layer: str, source: str, target: str, fans: tuple[int, int] | None, arguments: dict[str, Any]
) -> Translation:
    if arguments:
        raise TypeError(f"a layer's default takes no arguments here, got {', '.join(arguments)}")
    home = {"torch": "torch.nn", "keras": "keras.layers", "jax": "flax.nnx"}[source]
    original = f"{home}.{layer}(...), its weight"
    if layer in NO_LAW[source]:
        return Translation(source, target, original, Special(kind="several laws"), None, (NO_LAW[source][layer],))
    if "Depthwise" in layer and target == "initnotes":
        why = "Keras counts the channels of the whole layer as fans, and initialize_ the true ones of each channel"
        return Translation(source, target, original, DEFAULTS[source][layer], None, (why,))
    drawn, notes = _law_for(layer, source, target)
    return _translated(source, target, original, drawn, fans, *notes)


def _law_for(layer: str, source: str, target: str) -> tuple[Law, list[str]]:
    """Return a layer's law in terms of the fans that the target reads, and what to mind."""
    drawn, notes = DEFAULTS[source][layer], []
    if "Depthwise" in layer:
        notes.append("for a depth_multiplier of 1")
    by_axes = [library for library in (source, target) if library in ("torch", "keras")]
    if "Transpose" in layer and len(by_axes) == 1:
        drawn = _swapped(drawn)
        why = "takes the outputs of a transposed convolution for its inputs: its fan_in is the true fan_out"
        notes.append(f"{by_axes[0]} {why}")
    if layer == "Embed" and target == "torch":  # the same array, of which torch reads the axes the other way round
        drawn = _swapped(drawn)
    whole = "fan_out" if "Transpose" in layer else "fan_in"  # the fan that no stride changes
    if "Conv" in layer and target == "initnotes" and getattr(drawn, "mode", whole) != whole:
        notes.append("for stride 1: initialize_ counts strides, and no other library does")
    if source == "torch" and layer != "Embedding":
        notes.append("its bias is uniform on ±1/√fan_in of the weight, not zero")
    return drawn, notes


def _swapped(drawn: Law) -> Law:
    """Return a law with the fans in each other's place."""
    if not isinstance(drawn, Scaled):
        return drawn
    other = {"fan_in": "fan_out", "fan_out": "fan_in"}.get(drawn.mode, drawn.mode)
    return Scaled(scale=drawn.scale, mode=other, family=drawn.family)


def _translated(
    source: str, target: str, original: str, drawn: Law, fans: tuple[int, int] | None, *notes: str
) -> Translation:
    said = drawn
    if isinstance(drawn, Fixed) and drawn.family == "truncated_normal" and min(-drawn.cuts[0], drawn.cuts[1]) >= FAR:
        said = Fixed(family="normal", mean=drawn.mean, sigma=drawn.sigma)
        far = "the cut is so far out that it is a plain normal: what it removes has a probability below 1e-16"
        notes = (*notes, far)
    try:
        call, more = _said(said, target, fans)
    except _NoneError as none:
        return Translation(source, target, original, drawn, None, (*notes, str(none)))
    return Translation(source, target, original, drawn, call, (*notes, *more, *_about_layouts(source, target, said)))


def _about_layouts(source: str, target: str, drawn: Law) -> list[str]:
    notes = []
    if isinstance(drawn, Scaled) and (source in LIKE_TORCH) != (target in LIKE_TORCH):
        layout = {True: "(out, in, *kernel)", False: "(*kernel, in, out)"}
        ours, theirs = layout[target in LIKE_TORCH], layout[source in LIKE_TORCH]
        notes.append(f"{target} reads the fans from {ours}, {source} from {theirs}")
    if getattr(drawn, "family", "") == "truncated_normal" and "keras" in (source, target):
        notes.append("on its torch backend Keras lets about 4 weights in a million through the cut")
    return notes


Answer = tuple[Call, list[str]]
"""A call, and what to mind."""


def _said(drawn: Law, target: str, fans: tuple[int, int] | None) -> Answer:
    """Say a law in a library's terms; raise _NoneError where there are none."""
    if isinstance(drawn, Constant):
        return _constant(target, drawn.value), []
    if isinstance(drawn, Special):
        return _special(target, drawn)
    return _WRITERS[target](drawn, fans)


def _constant(target: str, value: float) -> Call:
    general, plain = {
        "torch": ("constant_", {0.0: "zeros_", 1.0: "ones_"}),
        "keras": ("Constant", {0.0: "Zeros", 1.0: "Ones"}),
        "jax": ("constant", {0.0: "zeros", 1.0: "ones"}),
        "initnotes": ("constant", {0.0: "zeros"}),
    }[target]
    known = REGISTRY[target]
    return known[plain[value]].call() if value in plain else known[general].call(value)


def _special(target: str, drawn: Special) -> Answer:
    said = whole_matrix(target, drawn)
    if said is None:
        where = "this book" if target == "initnotes" else NAMESPACES[target]
        kind = {"stft": "Fourier"}.get(drawn.kind, drawn.kind.replace("_", "-"))
        raise _NoneError(f"{where} has no {kind} weights")
    return said


def _to_torch(drawn: Scaled | Fixed, fans: tuple[int, int] | None) -> Answer:
    known = REGISTRY["torch"]
    if isinstance(drawn, Scaled):
        return _scaled_to_torch(drawn), []
    if drawn.family == "uniform":
        return known["uniform_"].call(a=drawn.low, b=drawn.high), []
    if drawn.family == "normal":
        return known["normal_"].call(mean=drawn.mean, std=drawn.sigma), []
    call = known["trunc_normal_"].call(mean=drawn.mean, std=drawn.sigma, a=drawn.low, b=drawn.high)
    return call, ["torch's limits a and b are absolute, not multiples of std"]


def _scaled_to_torch(drawn: Scaled) -> Call:
    known, init = REGISTRY["torch"], NAMESPACES["torch"]
    if drawn.family == "truncated_normal":
        line = f"std = {_std_of(drawn)} / {KEPT!r}  # {KEPT:.2f} is what the cut leaves"
        return _by_fans("trunc_normal_", f"{line}\n{init}.trunc_normal_(w, std=std, a=-2 * std, b=2 * std)", drawn)
    if drawn.mode == "fan_avg":
        return known[f"xavier_{drawn.family}_"].call(**({} if drawn.scale == 1 else {"gain": root(drawn.scale)}))
    if drawn.mode in ("fan_in", "fan_out") and drawn.scale <= 2:
        mode = {} if drawn.mode == "fan_in" else {"mode": drawn.mode}
        slope = {} if drawn.scale in (1, 2) else {"a": root(tidy(2 / drawn.scale - 1))}
        kind = {1.0: "linear", 2.0: "relu"}.get(drawn.scale, "leaky_relu")
        return known[f"kaiming_{drawn.family}_"].call(**mode, **slope, nonlinearity=kind)
    if drawn.family == "normal":
        return _by_fans("normal_", f"{init}.normal_(w, std={_std_of(drawn)})", drawn)
    return _by_fans("uniform_", f"bound = 3**0.5 * {_std_of(drawn)}\n{init}.uniform_(w, -bound, bound)", drawn)


def _by_fans(name: str, code: str, drawn: Scaled) -> Call:
    """Return a call whose numbers come from the tensor that it fills, as torch has no name for the law."""

    def fill(w: Any, **more: Any) -> Any:
        call, _ = _to_torch(drawn.fixed(*read_fans("torch", w.shape)), None)
        return call.initializer()(w, **more)

    return Call("torch", name, code, drawn, lambda: fill)


def _std_of(drawn: Scaled) -> str:
    """Write the standard deviation of a tensor `w` in torch's layout as code."""
    fan_in, fan_out = "w[0].numel()", "w[:, 0].numel()"
    fan = {
        "fan_in": fan_in,
        "fan_out": fan_out,
        "fan_avg": f"(({fan_in} + {fan_out}) / 2)",
        "fan_geo_avg": f"({fan_in} * {fan_out}) ** 0.5",
    }[drawn.mode]
    return f"({fraction(drawn.scale)} / {fan}) ** 0.5"


_ONE_SHAPE = "for this shape only"


def _to_keras(drawn: Scaled | Fixed, fans: tuple[int, int] | None) -> Answer:
    if isinstance(drawn, Fixed):
        return _fixed_to_keras(drawn)
    if drawn.mode == "fan_geo_avg":
        if fans is None:
            raise _NoneError("Keras has no geometric mean of the fans; give shape=, for which a number can stand in")
        call, notes = _fixed_to_keras(drawn.fixed(*fans))
        return call, [*notes, _ONE_SHAPE]
    known, classic = REGISTRY["keras"], _classic(drawn)
    if classic and drawn.family != "normal":
        return known[f"{classic.capitalize()}{'Uniform' if drawn.family == 'uniform' else 'Normal'}"].call(), []
    family = {ours: theirs for theirs, ours in KERAS_FAMILIES.items()}[drawn.family]
    call = known["VarianceScaling"].call(scale=fraction(drawn.scale), mode=drawn.mode, distribution=family)
    return call, _false_friend(classic)


def _fixed_to_keras(drawn: Fixed) -> Answer:
    known, given = REGISTRY["keras"], {"mean": drawn.mean, "stddev": drawn.sigma}
    if drawn.family == "uniform":
        return known["RandomUniform"].call(minval=drawn.low, maxval=drawn.high), []
    if drawn.family == "normal":
        return known["RandomNormal"].call(**given), []
    low, high = drawn.cuts
    if not all(math.isclose(abs(cut), CUT, rel_tol=1e-9) for cut in (low, high)):
        at = f"at {low:.4g} and {high:.4g}"
        raise _NoneError(f"keras.initializers cuts at ±2 standard deviations only, and this cut is {at}")
    return known["TruncatedNormal"].call(**given), ["stddev is that before the cut; what it leaves is 0.88 of it"]


def _classic(drawn: Scaled) -> str | None:
    """Return "glorot", "lecun" or "he" if the variance is theirs."""
    return next((name for name, pair in CLASSICS.items() if pair == (drawn.scale, drawn.mode)), None)


def _false_friend(classic: str | None) -> list[str]:
    return [f"{classic}_normal is another law there: a truncated normal of the same variance"] if classic else []


def _to_jax(drawn: Scaled | Fixed, fans: tuple[int, int] | None) -> Answer:
    if isinstance(drawn, Fixed):
        return _fixed_to_jax(drawn, fans)
    known, classic = REGISTRY["jax"], _classic(drawn)
    if classic and drawn.family != "normal":
        return known[f"{classic}_{'uniform' if drawn.family == 'uniform' else 'normal'}"].call(), []
    call = known["variance_scaling"].call(fraction(drawn.scale), drawn.mode, drawn.family)
    return call, _false_friend(classic)


def _fixed_to_jax(drawn: Fixed, fans: tuple[int, int] | None) -> Answer:
    known = REGISTRY["jax"]
    if drawn.family == "uniform":
        return _uniform_to_jax(drawn, fans)
    if drawn.mean:
        raise _NoneError(f"JAX's normals have mean 0, and this one has {drawn.mean:g}; add the mean yourself")
    if drawn.family == "normal":
        return known["normal"].call(stddev=drawn.sigma), []
    low, high = (tidy(cut) for cut in drawn.cuts)
    note = "stddev is that before the cut, and the limits are multiples of it"
    return known["truncated_normal"].call(stddev=drawn.sigma, lower=low, upper=high), [note]


def _uniform_to_jax(drawn: Fixed, fans: tuple[int, int] | None) -> Answer:
    known, start = REGISTRY["jax"], "jax.nn.initializers.uniform(scale) starts at 0"
    if drawn.low == 0:
        return known["uniform"].call(scale=drawn.high), ["JAX's uniform starts at 0: its mean is scale / 2"]
    if drawn.low != -drawn.high:
        raise _NoneError(f"{start}, and variance_scaling is symmetric; add the mean")
    if fans is None:
        raise _NoneError(f"{start}; give shape=, for which variance_scaling can be set")
    scale = fraction(fans[0] * drawn.high**2 / 3)
    return known["variance_scaling"].call(scale, "fan_in", "uniform"), [_ONE_SHAPE]


def _to_initnotes(drawn: Scaled | Fixed, fans: tuple[int, int] | None) -> Answer:
    if isinstance(drawn, Fixed):
        if drawn.family == "normal" and not drawn.mean:
            return REGISTRY["initnotes"]["small_random"].call(drawn.sigma), []
        return _for_shape(drawn, fans)
    if drawn.mode != "fan_geo_avg":
        return _scheme(drawn.scale, drawn.mode, drawn.family), []
    if fans is None:
        raise _NoneError("Scheme has no geometric mean of the fans; give shape=, for which another fan can stand in")
    return _for_shape(drawn.fixed(*fans), fans)


def _for_shape(drawn: Fixed, fans: tuple[int, int] | None) -> Answer:
    """Say a law without fans as a `Scheme`, which for one shape can be done."""
    mean, std = drawn.moments()
    if abs(mean) > 1e-12 * std:
        raise _NoneError(f"this book's weights have mean 0, and these have {mean:.3g}")
    if drawn.family == "truncated_normal" and not math.isclose(drawn.cuts[1], CUT, rel_tol=1e-9):
        raise _NoneError(f"Scheme cuts at ±2 standard deviations, and this cut is at ±{drawn.cuts[1]:.4g}")
    if fans is None:
        raise _NoneError("Scheme divides by a fan, and this law does not; give shape=, for which its scale can be set")
    return _scheme(tidy(fans[0] * std**2), "fan_in", drawn.family), [_ONE_SHAPE]


def _scheme(scale: float, mode: str, family: str) -> Call:
    known, classic = REGISTRY["initnotes"], _classic(Scaled(scale=scale, mode=mode))
    if classic and family != "truncated_normal":
        return known[f"{'xavier' if classic == 'glorot' else classic}_{family}"].call()
    return known["Scheme"].call(scale=fraction(scale), mode=mode, distribution=family)


_WRITERS: dict[str, Callable[[Any, tuple[int, int] | None], Answer]] = {
    "torch": _to_torch,
    "keras": _to_keras,
    "jax": _to_jax,
    "initnotes": _to_initnotes,
}
