"""Activations φ with their derivatives φ′, elementwise, on NumPy arrays and torch tensors alike.

What lives here knows φ, φ′ and where φ has kinks; expectations over Gaussians are in ``theory``.
"""

import copy
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from . import _checks
from . import elementwise as formula
from .elementwise import Function, autograd, central_difference, on_both, takes

__all__ = ["ALIASES", "NAMES", "SELU_ALPHA", "SELU_LAMBDA", "Activation", "elu", "get", "leaky_relu"]

SELU_ALPHA = 1.6732632423543772
SELU_LAMBDA = 1.0507009873554805


@dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity φ, its derivative φ′ and the places where φ is not smooth.

    Parameters
    ----------
    name : str
        What error messages and legends call it.
    phi : callable
        φ: array in, array of the same shape out. The functions of this module take NumPy arrays and torch tensors
        and keep dtype and device; one that you pass yourself needs to take only what you feed it.
    derivative : callable
        φ′, in the same way. At a kink, what torch's autograd returns there (0 for ReLU at 0).
    kinks : sequence of float
        Arguments at which φ or a low derivative of it jumps. Integration in ``theory`` splits there.
    fused : callable, optional
        (torch, delta, z, h) to delta · φ′(z) for tensors, where h = φ(z): torch's own fast form, if it has one.
    closed : bool, default False
        Whether φ is a closed form that never changes, with all its kinks named: ``theory`` remembers what it found.
    sampled : bool, default False
        Whether `derivative` is a stopgap: ``theory`` differentiates φ itself, between the kinks that it finds.
    source : callable, optional
        The function that `get` made this of.

    Raises
    ------
    TypeError, ValueError
        If `phi` or `derivative` cannot be called, or a kink is not a finite number.

    Examples
    --------
    >>> relu = get("relu")
    >>> relu([-1.0, 0.0, 2.0]), relu.derivative([-1.0, 0.0, 2.0])
    (array([0., 0., 2.]), array([0., 0., 1.]))
    >>> Activation("clipped", lambda x: np.clip(x, 0, 1), lambda x: 1.0 * ((x > 0) & (x < 1)), kinks=(0, 1)).kinks
    (0.0, 1.0)
    """

    name: str
    phi: Function
    derivative: Function
    kinks: tuple[float, ...] = ()
    fused: Callable[[Any, Any, Any, Any], Any] | None = None
    closed: bool = False
    sampled: bool = False
    source: Any = None

    def __post_init__(self) -> None:
        """Check the parts and sort the kinks."""
        for part in ("phi", "derivative"):
            if not callable(getattr(self, part)):
                raise TypeError(f"{part} must be callable, got {getattr(self, part)!r}; pass a function of an array")
        kinks = sorted({_checks.real(kink, "kink") for kink in self.kinks})
        object.__setattr__(self, "kinks", tuple(kinks))

    def __call__(self, x: Any) -> Any:
        """Return φ(x), of the shape and type of `x`."""
        return self.phi(x)

    def backward(self, delta: Any, z: Any, h: Any) -> Any:
        """Return delta · φ′(z) for tensors of one shape, given h = φ(z) as well."""
        return delta * self.derivative(z) if self.fused is None else self.fused(sys.modules["torch"], delta, z, h)


def _closed_form(
    name: str,
    phi: Function,
    derivative: Function,
    torch_phi: Callable[[Any, Any], Any],
    kinks: tuple[float, ...] = (),
    fused: Callable[[Any, Any, Any, Any], Any] | None = None,
) -> Activation:
    both = on_both(phi, torch_phi), on_both(derivative, autograd(torch_phi))
    return Activation(name, *both, kinks, fused, closed=True)


@lru_cache(maxsize=256)
def leaky_relu(slope: float = 0.01) -> Activation:
    """Return the leaky ReLU: x for x > 0 and `slope`·x otherwise.

    Parameters
    ----------
    slope : float, default 0.01
        Slope of the negative side, finite; torch's default. 0 gives ReLU, 1 the identity.

    Returns
    -------
    Activation
        With φ′(0) = `slope`, as in torch.

    Raises
    ------
    TypeError, ValueError
        If `slope` is not a finite number.

    Examples
    --------
    >>> leaky_relu(0.5)([-2.0, 3.0])
    array([-1.,  3.])
    """
    slope = _checks.real(slope, "slope")
    return _closed_form(
        "leaky_relu" if slope == 0.01 else f"leaky_relu({slope:g})",
        lambda x: np.where(x > 0, x, slope * x),
        lambda x: np.where(x > 0, x.dtype.type(1), np.where(x <= 0, x.dtype.type(slope), x)),
        lambda torch, x: torch.nn.functional.leaky_relu(x, slope),
        kinks=(0.0,),
    )


@lru_cache(maxsize=256)
def elu(alpha: float = 1.0) -> Activation:
    """Return the exponential linear unit: x for x > 0 and `alpha`·(eˣ − 1) otherwise.

    Parameters
    ----------
    alpha : float, default 1.0
        Minus the limit at −∞, finite. Only for 1 is the slope continuous; the curvature jumps at 0 even then.

    Returns
    -------
    Activation
        With φ′(0) = `alpha`, as in torch.

    Raises
    ------
    TypeError, ValueError
        If `alpha` is not a finite number.

    Examples
    --------
    >>> elu(2.0)([-np.inf, 3.0])
    array([-2.,  3.])
    """
    alpha = _checks.real(alpha, "alpha")
    return _closed_form(
        "elu" if alpha == 1 else f"elu({alpha:g})",
        lambda x: formula.elu(x, alpha),
        lambda x: formula.elu_slope(x, alpha),
        lambda torch, x: torch.nn.functional.elu(x, alpha),
        kinks=(0.0,),
    )


_NAMED = {
    "tanh": _closed_form(
        "tanh",
        np.tanh,
        lambda x: 1 - np.tanh(x) ** 2,
        lambda torch, x: torch.tanh(x),
        fused=lambda torch, delta, z, h: torch.ops.aten.tanh_backward(delta, h),
    ),
    "relu": _closed_form(
        "relu",
        lambda x: np.maximum(x, 0),
        lambda x: np.heaviside(x, x.dtype.type(0)),
        lambda torch, x: torch.relu(x),
        kinks=(0.0,),
        fused=lambda torch, delta, z, h: torch.ops.aten.threshold_backward(delta, z, 0),
    ),
    "leaky_relu": leaky_relu(0.01),
    "sigmoid": _closed_form(
        "sigmoid",
        formula.sigmoid,
        formula.sigmoid_slope,
        lambda torch, x: torch.sigmoid(x),
        fused=lambda torch, delta, z, h: torch.ops.aten.sigmoid_backward(delta, h),
    ),
    "selu": _closed_form(
        "selu",
        lambda x: SELU_LAMBDA * formula.elu(x, SELU_ALPHA),
        lambda x: SELU_LAMBDA * formula.elu_slope(x, SELU_ALPHA),
        lambda torch, x: torch.selu(x),
        kinks=(0.0,),
    ),
    "elu": elu(1.0),
    "gelu": _closed_form("gelu", formula.gelu, formula.gelu_slope, lambda torch, x: torch.nn.functional.gelu(x)),
    "silu": _closed_form("silu", formula.silu, formula.silu_slope, lambda torch, x: torch.nn.functional.silu(x)),
    "linear": _closed_form("linear", lambda x: x, lambda x: np.where(np.isnan(x), x, x.dtype.type(1)), lambda _, x: x),
    "erf": _closed_form("erf", formula.erf, formula.erf_slope, lambda torch, x: torch.erf(x)),
    "sine": _closed_form("sine", np.sin, np.cos, lambda torch, x: torch.sin(x)),
}

NAMES = tuple(_NAMED)
"""The names of the closed forms."""

ALIASES = {
    **{name.replace("_", ""): name for name in NAMES},
    **{"swish": "silu", "identity": "linear", "logistic": "sigmoid", "expit": "sigmoid", "lrelu": "leaky_relu"},
    "sin": "sine",
}
"""Other spellings of `NAMES`, in small letters without separators."""

_OF_TORCH = {
    name.lower(): name
    for name in (
        *("CELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LogSigmoid"),
        *("Mish", "ReLU6", "Softplus", "Softshrink", "Softsign", "Tanhshrink"),
    )
}


def get(activation: Any) -> Activation:
    """Return the `Activation` that a name, a module or a function stands for.

    Parameters
    ----------
    activation : str, Activation, torch.nn.Module (instance or class) or callable
        - a name of `NAMES` or `ALIASES` in any spelling ("Swish", "hard_tanh", "nn.ReLU()"), the name of a module of
          ``torch.nn``, or an `Activation`, which passes through;
        - a module of torch without parameters: ``nn.Tanh()``, ``nn.LeakyReLU(0.2)``, ``nn.GELU(approximate="tanh")``.
          One that has no closed form here is evaluated by torch and differentiated by autograd;
        - a function of torch or NumPy that has a name here, such as ``torch.relu`` or ``np.tanh``;
        - any other elementwise function of an array, computed in float64, with kinks and jumps wherever they are, and
          a bounded slope beside them (not √|x|). Its φ′ is autograd's for tensors, and for a function that takes only
          tensors; for arrays it is a central difference with relative error about 1e-10, a few 1e-6 of the argument
          away from kinks. ``theory`` uses neither: it finds the kinks and differentiates between them. Only what
          happens within a fiftieth of the distance from 0, and nowhere else, may escape it.

    Returns
    -------
    Activation
        The same one for the same name, for equal modules of ``torch.nn``, and for the same compiled function.

    Raises
    ------
    ValueError
        If a name is unknown, or a callable is not elementwise.
    TypeError
        If `activation` is none of the above, has parameters to learn, or cannot be called with an array.

    Examples
    --------
    >>> get("leaky_relu")(-1.0)
    array(-0.01)
    >>> get("Swish").name, get("nn.Hardtanh()").kinks
    ('silu', (-1.0, 1.0))
    >>> cube = get(lambda x: x**3)
    >>> float(round(cube.derivative(2.0), 6))
    12.0
    >>> get("rleu")
    Traceback (most recent call last):
    ValueError: unknown activation 'rleu'; did you mean 'relu'? One of: tanh, relu, ...
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        return _of_name(activation)
    torch = sys.modules.get("torch")
    if torch is not None:
        if isinstance(activation, type) and issubclass(activation, torch.nn.Module):
            activation = _instance(activation)
        if isinstance(activation, torch.nn.Module):
            return _of_module(torch, activation)
    if callable(activation) and not isinstance(activation, type):
        return _of_callable(activation)
    raise TypeError(
        f"activation must be a name ({', '.join(NAMES)}), an Activation, a torch.nn.Module without parameters, "
        f"or an elementwise function of an array, got {activation!r}"
    )


def _of_name(name: str) -> Activation:
    last = name.strip().removesuffix("()").rpartition(".")[2]
    plain = "".join(filter(str.isalnum, last)).lower()
    if name in NAMES or plain in ALIASES:
        return _NAMED[name if name in NAMES else ALIASES[plain]]
    if plain in _OF_TORCH and "(" not in last:
        import torch

        return _of_module(torch, getattr(torch.nn, _OF_TORCH[plain])())
    return _NAMED[_checks.one_of(name, "activation", NAMES, ALIASES | {other: other for other in _OF_TORCH})]


def _instance(module_class: Any) -> Any:
    try:
        return module_class()
    except TypeError as error:
        raise TypeError(
            f"{module_class.__name__} cannot be built without arguments ({error}); pass an instance"
        ) from None


def _of_module(torch: Any, module: Any) -> Activation:
    known = _known_modules(torch).get(type(module))  # exact type: a subclass may compute something else
    found = known(module) if known is not None else None
    if found is not None:
        return found
    if any(True for _ in module.parameters()):
        raise TypeError(
            f"activation must have no parameters, got {module!r}; "
            "pass a fixed function, such as nn.LeakyReLU(slope) for a PReLU"
        )
    if type(module).__module__ == "torch.nn.modules.activation":  # its attributes say what it computes
        key = type(module), tuple(sorted((name, value) for name, value in vars(module).items() if name[0] != "_"))
        return _once(key, lambda: _of_torch_module(torch, module))
    return _of_torch_module(torch, module)


_FOUND: dict[Any, Activation] = {}


def _once(key: Any, make: Callable[[], Activation]) -> Activation:
    """Return what was made for that key, if it was; 256 at most are remembered."""
    if key not in _FOUND:
        made = make()
        if len(_FOUND) >= 256:
            _FOUND.pop(next(iter(_FOUND)))
        _FOUND[key] = made
    return _FOUND[key]


@lru_cache(maxsize=1)
def _known_modules(torch: Any) -> dict[Any, Callable[[Any], Activation | None]]:
    nn = torch.nn
    return {
        nn.Tanh: lambda _: _NAMED["tanh"],
        nn.ReLU: lambda _: _NAMED["relu"],
        nn.Sigmoid: lambda _: _NAMED["sigmoid"],
        nn.SELU: lambda _: _NAMED["selu"],
        nn.SiLU: lambda _: _NAMED["silu"],
        nn.Identity: lambda _: _NAMED["linear"],
        nn.LeakyReLU: lambda module: leaky_relu(module.negative_slope),
        nn.ELU: lambda module: elu(module.alpha),
        nn.GELU: lambda module: _NAMED["gelu"] if module.approximate == "none" else None,
    }


def _of_torch_module(torch: Any, module: Any) -> Activation:
    nn = torch.nn
    kinks = {
        nn.Hardtanh: lambda: (module.min_val, module.max_val),
        nn.ReLU6: lambda: (0.0, 6.0),
        nn.Hardsigmoid: lambda: (-3.0, 3.0),
        nn.Hardswish: lambda: (-3.0, 3.0),
        nn.Hardshrink: lambda: (-module.lambd, module.lambd),
        nn.Softshrink: lambda: (-module.lambd, module.lambd),
        nn.CELU: lambda: (0.0,),
        nn.Softsign: lambda: (0.0,),
    }.get(type(module), tuple)()
    own = copy.deepcopy(module)
    if hasattr(own, "inplace"):
        own.inplace = False  # autograd needs its input back, and so does the caller
    known = type(module).__module__ == "torch.nn.modules.activation"
    return _elementwise(_through_torch(repr(module), own, kinks, sampled=not known))


def _through_torch(name: str, function: Function, kinks: tuple[float, ...] = (), *, sampled: bool = True) -> Activation:
    """Make an activation of a function that takes only tensors: arrays go to torch and back."""

    def to_torch_and_back(tensor_function: Callable[[Any, Any], Any]) -> Function:
        def on_array(x: np.ndarray) -> Any:
            torch = sys.modules["torch"]
            return tensor_function(torch, torch.from_numpy(np.array(x))).detach().numpy()

        return on_both(on_array, tensor_function)

    def phi(_: Any, x: Any) -> Any:
        return function(x)

    return Activation(name, to_torch_and_back(phi), to_torch_and_back(autograd(phi)), kinks, sampled=sampled)


@lru_cache(maxsize=1)
def _known_functions(torch: Any) -> dict[Any, Activation]:
    """Map torch's (if it is loaded) and NumPy's functions to the activations that equal them at their defaults."""
    known: dict[Any, Any] = {np.tanh: _NAMED["tanh"], np.positive: _NAMED["linear"], np.sin: _NAMED["sine"]}
    if torch is not None:
        for room in (torch, torch.nn.functional, torch.special):
            spelled = {name: name for name in NAMES if name != "linear"} | {"expit": "sigmoid"}  # F.linear has weights
            spelled |= {"sin": "sine"}
            known |= {getattr(room, a): _NAMED[b] for a, b in spelled.items() if hasattr(room, a)}
        for name, module in _OF_TORCH.items():
            known[getattr(torch.nn.functional, name)] = _of_module(torch, getattr(torch.nn, module)())
    return known


def _of_callable(function: Function) -> Activation:
    torch = sys.modules.get("torch")
    try:
        known = _known_functions(torch).get(function)
    except TypeError:  # not hashable
        known = None
    if known is not None:
        return known
    if isinstance(function, (np.ufunc, types.BuiltinFunctionType)):
        return _once((torch, function), lambda: _of_unknown(torch, function))
    return _of_unknown(torch, function)


def _of_unknown(torch: Any, function: Function) -> Activation:
    name = getattr(function, "__name__", repr(function))
    if torch is not None and not takes(function, np.array([0.5])) and takes(function, torch.tensor([0.5])):
        return _elementwise(replace(_through_torch(name, function), source=function))

    def on_tensor(_: Any, x: Any) -> Any:
        return function(x)

    derivative = on_both(lambda x: central_difference(function, x), autograd(on_tensor))
    return _elementwise(Activation(name, on_both(function, on_tensor), derivative, sampled=True, source=function))


def _elementwise(activation: Activation) -> Activation:
    """Return `activation` if φ of an array is the array of its φ; raise otherwise."""
    points = np.array([-1.25, 0.5, 2.0])
    try:
        together = np.asarray(activation(points))
        alone = np.concatenate([np.atleast_1d(activation(points[i : i + 1])) for i in range(3)])
    except Exception as error:
        raise TypeError(
            f"activation {activation.name} fails on an array ({type(error).__name__}: {error}); "
            "pass an elementwise function written with NumPy's or torch's operations"
        ) from error
    if together.shape != points.shape or not np.allclose(together, alone, rtol=1e-12, atol=0, equal_nan=True):
        raise ValueError(
            f"activation {activation.name} is not an elementwise, deterministic function: "
            "each output must depend on its own input alone"
        )
    return activation
