"""Floor 3: what the units and layers of a network look like.

What lives here takes a network and returns numbers; it changes nothing. `probe` measures all layers of any network.
"""

from __future__ import annotations

import html
import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from .. import _checks, activations, theory
from ..activations import Activation
from ..networks import Ensemble, Signals

__all__ = ["SATURATED", "MeanField", "Probe", "probe"]

SATURATED = 0.01  # a unit whose |φ′| is smaller is saturated: a sigmoid within 1 % of its limits, any ReLU that is off
NAN = float("nan")
_POINTS = 64  # inputs, or groups of inputs of similar size, for which theory is computed one by one
_COLUMNS = {
    "mean z": "mean",
    "std z": "std",
    "E z²": "second_moment",
    "E h²": "activation_second_moment",
    "saturated": "saturated",
    "dead": "dead",
    "active": "active",
    "std ∂z": "gradient_std",
    "std ∂h": "activation_gradient_std",
    "std ∂W": "weight_gradient_std",
}
_TYPICAL = {"second_moment": "typical E z²", "gradient_std": "typical std ∂z"}


@dataclass(frozen=True, eq=False)
class MeanField:
    """What `Probe.theory` starts from: the spread of the weights, the size of the inputs and of the last gradient.

    Attributes
    ----------
    activation : Activation
    widths : ndarray, shape (L+1,)
    variances, bias_moments : ndarray, shape (L,)
        Mean squares of the weights and of the biases over all replicas.
    inputs, last_gradients : ndarray, shape (at most 64,)
        Mean square of h_0 and of ∂loss/∂z_L over units and replicas, for inputs of similar size.
    """

    activation: Activation
    widths: np.ndarray
    variances: np.ndarray
    bias_moments: np.ndarray
    inputs: np.ndarray
    last_gradients: np.ndarray

    def second_moments(self) -> np.ndarray:
        """Return E z_l² for each layer and group of inputs, shape (L, groups)."""
        moments, h = [], self.inputs
        for fan_in, variance, bias in zip(self.widths, self.variances, self.bias_moments, strict=False):
            moments.append(fan_in * variance * h + bias)
            if len(moments) < len(self.variances):
                h = theory.second_moment(moments[-1], self.activation)
        return np.array(moments)

    def gradient_moments(self) -> np.ndarray:
        """Return E (∂loss/∂z_l)² for each layer and group of inputs, shape (L, groups)."""
        moments, q = [self.last_gradients], self.second_moments()
        for layer in range(len(q) - 2, -1, -1):
            slope = theory.derivative_second_moment(q[layer], self.activation)
            moments.insert(0, self.widths[layer + 2] * self.variances[layer + 1] * slope * moments[0])
        return np.array(moments)


@dataclass(frozen=True, eq=False)
class Probe:
    """What a network looks like, layer by layer: z_l is what weights make, h_l = φ(z_l) what the activation makes.

    Every statistic is an array of shape (R, L), over inputs and units of a layer, NaN where there is nothing to
    measure: no activation follows, or no loss was given. It prints as a table of means over replicas.

    Attributes
    ----------
    names, kinds : tuple of L str
        Where the layer is in the module, and its class. A layer that is called again is an entry of its own.
    activations : tuple of L (str or None)
        Name of the activation that follows.
    widths : ndarray of int, shape (L,)
        Units, or channels of a convolution.
    mean, std, second_moment : ndarray, shape (R, L)
        Of the pre-activations z_l: E z, √(E z² − (E z)²), E z².
    activation_mean, activation_std, activation_second_moment : ndarray, shape (R, L)
        The same of the activations h_l.
    saturated : ndarray, shape (R, L)
        Fraction of pairs of input and unit with |φ′(z)| < 0.01, `SATURATED`. A ReLU that is off is saturated.
    dead : ndarray, shape (R, L)
        Fraction of units with φ′(z) = 0 on all inputs (and positions): no gradient passes.
    active : ndarray, shape (R, L)
        Fraction of pairs of input and unit with h ≠ 0.
    gradient_std, activation_gradient_std, weight_gradient_std : ndarray, shape (R, L)
        Standard deviation of the entries of ∂loss/∂z_l, ∂loss/∂h_l and ∂loss/∂W_l. A weight that is used twice has
        one gradient, the sum.
    distinct_units : ndarray, shape (R, L)
        Units, those of the last layer too, that differ in incoming weights or bias, to the last bit.
    mean_field : MeanField or None
        What theory starts from, where it applies.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    activations: tuple[str | None, ...]
    widths: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    second_moment: np.ndarray
    activation_mean: np.ndarray
    activation_std: np.ndarray
    activation_second_moment: np.ndarray
    saturated: np.ndarray
    dead: np.ndarray
    active: np.ndarray
    gradient_std: np.ndarray
    activation_gradient_std: np.ndarray
    weight_gradient_std: np.ndarray
    distinct_units: np.ndarray
    mean_field: MeanField | None = None

    @property
    def replicas(self) -> int:
        """R; 1 for a module."""
        return len(self.mean)

    @property
    def depth(self) -> int:
        """L, the number of layers that were called."""
        return len(self.names)

    def average(self, statistic: str) -> np.ndarray:
        """Return a statistic's mean over replicas, shape (L,)."""
        return np.asarray(getattr(self, _checks.one_of(statistic, "statistic", _STATISTICS))).mean(axis=0)

    def typical(self, statistic: str) -> np.ndarray:
        """Return a statistic's typical value over replicas, exp(mean log), shape (L,).

        One replica that explodes moves the mean, but hardly this. 0 if a replica has 0; NaN if one is negative.
        """
        values = getattr(self, _checks.one_of(statistic, "statistic", _STATISTICS))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.exp(np.log(values).mean(axis=0))

    def theory(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what mean-field theory predicts for `second_moment` and `gradient_std`, each of shape (L,).

        It holds for wide networks with independent weights of mean 0. The variances are those that the weights
        have; layer 1 starts from the inputs, and the gradient from ∂loss/∂z_L.

        Returns
        -------
        pair of ndarray, or None
            None for a module, for an ensemble whose weights are seen not to be independent with mean 0 (equal,
            constant, not at all random), and where an activation grows too fast or jumps.

        References
        ----------
        Poole et al., NeurIPS 2016, equation 3; Schoenholz et al., "Deep information propagation", ICLR 2017, equation
        15 for the gradient.
        """
        if self.mean_field is None:
            return None
        try:
            return self.mean_field.second_moments().mean(axis=1), np.sqrt(
                self.mean_field.gradient_moments().mean(axis=1)
            )
        except ValueError:
            return None

    def plot(self) -> Any:
        """Draw second moments and gradients against depth, with theory dashed where it applies.

        Returns
        -------
        matplotlib Figure
        """
        from .pictures import profile  # upstairs: a result draws itself when asked to

        return profile(self)

    def _rows(self) -> list[list[str]]:
        """Return the table, its heads first."""
        columns = {"layer": list(self.names), "kind": list(self.kinds), "φ": [one or "–" for one in self.activations]}
        columns["units"] = [str(one) for one in self.widths]
        columns["distinct"] = [_shown(one) for one in self.average("distinct_units")]
        for head, statistic in _COLUMNS.items():
            columns[head] = [_shown(one) for one in self.average(statistic)]
            if self.replicas > 1 and statistic in _TYPICAL:
                columns[_TYPICAL[statistic]] = [_shown(one) for one in self.typical(statistic)]
        return [list(columns), *map(list, zip(*columns.values(), strict=True))]

    def _caption(self) -> str:
        layers = f"{self.depth} layer{'s' * (self.depth > 1)}"
        return layers + (f", means over {self.replicas} replicas" if self.replicas > 1 else "")

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(n) if at < 3 else cell.rjust(n) for at, (cell, n) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([self._caption(), *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = [[html.escape(cell) for cell in row] for row in self._rows()]
        heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
        body = "".join(
            f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
        )
        return (
            f"<table><caption>{self._caption()}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        )


_STATISTICS = tuple(one.name for one in fields(Probe))[4:-1]


def _shown(value: float) -> str:
    """Return 3 significant digits, a whole number in full, or a dash for what was not measured."""
    if np.isnan(value):
        return "–"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.3g}"


def probe(model: Any, inputs: Any, *, loss: Any = None) -> Probe:
    """Measure every layer of a network on some inputs, forward and, with a loss, backward. Nothing of it changes.

    Parameters
    ----------
    model : Ensemble or torch.nn.Module
        Of a module, the layers are those with weights (linear, convolution, embedding, recurrent, …), in the order of
        their calls; normalization, dropout and pooling are passed through. Its activations must be modules:
        ``nn.ReLU()`` is seen and ``torch.relu`` is not. An activation belongs to the layer whose output reaches it
        through modules only, else to the layer called last. The mode, train or eval, is left as it is.
    inputs : Tensor
        As the model takes them: shape (batch, n_0), for an ensemble also (R, batch, n_0).
    loss : callable, optional
        Takes the model's outputs and returns a scalar tensor that depends on them. The outputs of an ensemble have
        the shape (R, batch, n_L): return its R losses, shape (R,), or their sum; from their mean, every gradient would
        be R times too small.

    Returns
    -------
    Probe
        With R = 1 for a module.

    Raises
    ------
    TypeError
        If the model is neither, `inputs` is no tensor or of another type than the weights, or `loss` not callable.
    ValueError
        If the inputs do not fit, the model has no parameters or calls no layer, or the loss is not a scalar or does
        not depend on the model. What the model or the loss raises passes through.

    Notes
    -----
    Weights, buffers, ``.grad`` fields, modes, ``requires_grad`` flags, hooks and the states of the random number
    generators (torch, CUDA, NumPy, Python) are as before, even after an error. Frozen parameters are measured as if
    they were not. A copy of the parameters is kept meanwhile, to undo what a forward pass does to them. Plain Python
    attributes that ``forward()`` changes on the module, such as a counter of calls, stay changed.

    Examples
    --------
    >>> net = Ensemble((20, 64, 64, 5), "relu", "he_normal", rng=np.random.default_rng(1), replicas=32)
    >>> seen = probe(net, torch.ones(8, 20), loss=lambda outputs: (outputs**2).mean((1, 2)))
    >>> seen.second_moment.shape, seen.average("second_moment").round(1)
    ((32, 3), array([1.9, 1.8, 1.5]))
    """
    if not isinstance(model, (Ensemble, nn.Module)):
        given = model.__name__ if isinstance(model, type) else type(model).__name__
        raise TypeError(f"model must be an Ensemble or a torch.nn.Module (an instance), got {given}")
    if isinstance(model, Ensemble) and type(model).forward is not Ensemble.forward:
        raise TypeError(f"model must be a plain Ensemble, got {type(model).__name__}; use its forward() and backward()")
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs must be a torch.Tensor, got {type(inputs).__name__}; use torch.as_tensor(x)")
    if not inputs.numel():
        raise ValueError(f"inputs must not be empty, got shape {tuple(inputs.shape)}; pass at least one input")
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function of the outputs, or None, got {loss!r}")
    with torch.inference_mode(False), torch.set_grad_enabled(loss is not None), _random_states_kept():
        inputs = inputs.detach().clone()
        return _of_ensemble(model, inputs, loss) if isinstance(model, Ensemble) else _of_module(model, inputs, loss)


@contextmanager
def _random_states_kept() -> Iterator[None]:
    """Put the states of all global random number generators back."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    ours, numpys, pythons = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(ours)
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


_CHUNK = 2**17  # numbers that are converted at a time, so that they stay in the cache
_SMALL = 2**13  # so few numbers take less time than the calls that measure them: those of one shape are joined
Statistic = Callable[[Tensor], Tensor]  # of x, shape (R, ...), to one with a row for each replica
Found = Tensor | tuple[Statistic, Tensor]


def _measured(statistic: Statistic, x: Tensor) -> Found:
    """Return the statistic of `x`, shape (R, ...); of a small one, what `_joined` needs."""
    return (statistic, x) if x.numel() <= _SMALL else statistic(x)


def _kept(x: Tensor) -> Tensor:
    """Return `x` as that of one replica; of a small one, which is measured later, a copy, as it may change."""
    x = x.detach()[None]
    return x.clone() if x.numel() <= _SMALL else x


def _joined(found: Sequence[Found]) -> np.ndarray:
    """Return the statistics of all that was found, shape (R, columns, found), each of one shape in one call."""
    rows: dict[int, Tensor] = {}
    pending: dict[Any, dict[int, Tensor]] = {}
    for at, one in enumerate(found):
        if isinstance(one, Tensor):
            rows[at] = one
        else:
            pending.setdefault((one[0], one[1].shape), {})[at] = one[1]
    for (statistic, shape), same in pending.items():
        together = statistic(torch.cat(list(same.values())))
        rows.update(zip(same, together.split(shape[0]), strict=True))
    return torch.stack([rows[at] for at in range(len(found))], dim=-1).cpu().numpy()


def _sums(x: Tensor) -> Tensor:
    """Return a shift a, Σ(x − a), √Σ(x − a)² and the number of terms of each row of `x`, shape (R, 4).

    The shift is 0, or the first number where the variance is less than 1 % of the second moment: then little of it
    cancels, and the deviation of equal numbers is exactly 0. All in float64.
    """
    x = x.flatten(1)
    sums, norms = _shifted_sums(x)
    shift = torch.zeros_like(sums)
    if not (sums.abs() < norms * (0.99 * x.shape[1]) ** 0.5).all():
        shift = x[:, 0].double()
        sums, norms = _shifted_sums(x, shift[:, None])
    return torch.stack([shift, sums, norms, torch.full_like(sums, x.shape[1])], dim=1)


def _shifted_sums(x: Tensor, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
    parts = []
    for part in x.split(max(1, _CHUNK // len(x)), dim=1):
        apart = _in_double(part)  # first, once: sums and differences of mixed types are slow
        apart = apart if shift is None else apart - shift
        parts.append((apart.sum(1), torch.linalg.vector_norm(apart, dim=1)))
    if len(parts) == 1:
        return parts[0]
    sums, norms = (torch.stack(one) for one in zip(*parts, strict=True))
    return sums.sum(0), torch.linalg.vector_norm(norms, dim=0)


_scratch = threading.local()


def _in_double(part: Tensor) -> Tensor:
    """Return `part` in float64, valid until the next call: one place is used again, as fresh memory is slow."""
    if part.dtype == torch.float64 or part.device.type != "cpu" or part.numel() > _CHUNK:
        return part.double()
    if not hasattr(_scratch, "place"):
        with torch.inference_mode(False):
            _scratch.place = torch.empty(_CHUNK, dtype=torch.float64)
    return _scratch.place[: part.numel()].view(part.shape).copy_(part.detach())


def _moments(sums: np.ndarray) -> np.ndarray:
    """Return mean, standard deviation and second moment, along the first axis; inf where a number was infinite."""
    with np.errstate(all="ignore"):
        shift, apart, square = sums[:, 0], sums[:, 1] / sums[:, 3], sums[:, 2] ** 2 / sums[:, 3]
        variance, infinite = np.maximum(square - apart**2, 0.0), np.isinf(square) | np.isinf(shift)
        mean = np.where(np.isinf(shift), shift, shift + apart)
        second = np.where(infinite, np.inf, variance + mean**2)
        return np.array([mean, np.where(infinite, np.inf, np.sqrt(variance)), second])


_SLOPES = {  # φ′(z) ≥ 0 from φ(z), in a place of its own: much faster than autograd
    "tanh": lambda h: torch.addcmul(h.new_ones(()), h, h, value=-1),
    "relu": torch.sign,
}


def _from_output(activation: Activation) -> Any:
    """Return φ′ as a function of φ where it is known and never negative, else None."""
    known = activation.name in _SLOPES and activations.get(activation.name) is activation
    return _SLOPES[activation.name] if known else None


def _slope_fractions(size: Tensor) -> Tensor:
    """Return the fractions saturated and dead, shape (R, 2), of |φ′|, shape (R, inputs, units), which it overwrites."""
    dead = size.amax(1) == 0
    return torch.stack([_share(size.lt_(SATURATED)), _share(dead)], dim=1)


def _active_fraction(h: Tensor) -> Tensor:
    return _share(h.clone().ne_(0))[:, None]


def _share(where: Tensor) -> Tensor:
    """Return the mean of zeros and ones, shape (R,). A comparison in place, which writes such numbers, is fast."""
    where = where.flatten(1)
    return where.sum(1, dtype=torch.promote_types(where.dtype, torch.float32)).double() / where.shape[1]


_ODD = 2 * np.arange(1, 9) * 0x1E3779B97F4A7C15 + 1


def _distinct(weights: Tensor, biases: Tensor | None) -> Found:
    """Return the count of different units, as `distinct_units` does; of small ones a copy, to be counted later."""
    if weights.numel() > _SMALL:
        return _count_distinct(weights, biases)
    return _count_distinct, weights.clone() if biases is None else torch.cat([weights, biases[..., None]], dim=2)


def _count_distinct(weights: Tensor, biases: Tensor | None = None) -> Tensor:
    """Count the different rows of each matrix, shape (R, n, k), to shape (R, 1).

    Rows that differ in their first number, or in a sum over the bits of their first eight, are different; only where
    some agree in both are they compared in full.
    """
    counts = _count_values(weights[..., 0].double().cpu().numpy())
    if (counts < weights.shape[1]).any():
        head = (weights[..., :8].double() + 0.0).contiguous().cpu().numpy().view(np.int64)
        counts = _count_values((head * _ODD[: head.shape[-1]]).sum(-1))
    for replica in np.flatnonzero(counts < weights.shape[1]):
        parts = [weights[replica]] if biases is None else [weights[replica], biases[replica][:, None]]
        counts[replica] = len(torch.unique(torch.cat(parts, dim=1), dim=0))
    return torch.from_numpy(counts).to(weights.device, torch.float64)[:, None]


def _count_values(rows: np.ndarray) -> np.ndarray:
    """Count the different numbers in each row."""
    ordered = np.sort(rows, axis=1)
    return (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) + 1


def _as_probe(layers: Sequence[dict[str, Any]], replicas: int = 1, mean_field: MeanField | None = None) -> Probe:
    """Join the measurements of all layers; what a layer lacks is NaN."""
    names, kinds, followed = (tuple(layer[key] for layer in layers) for key in ("name", "kind", "activation"))
    lacking = torch.full((replicas, 4), NAN, dtype=torch.float64, device=layers[0]["device"])
    sums = _joined([layer.get(key, lacking) for key in _OF_SUMS for layer in layers])
    by_key = _moments(sums).reshape(3, replicas, len(_OF_SUMS), len(layers)).transpose(2, 0, 1, 3)
    arrays: dict[str, np.ndarray] = {}
    for statistics, own in zip(_OF_SUMS.values(), by_key, strict=True):
        arrays |= {name: moment for name, moment in zip(statistics, own, strict=True) if name}
    slopes = _joined([layer.get("slopes", lacking[:, :2]) for layer in layers])
    arrays |= {"saturated": slopes[:, 0], "dead": slopes[:, 1]}
    for one in ("active", "distinct_units"):
        arrays[one] = _joined([layer.get(one, lacking[:, :1]) for layer in layers])[:, 0]
    widths = np.array([layer["width"] for layer in layers])
    return Probe(names, kinds, followed, widths, mean_field=mean_field, **arrays)


_OF_SUMS = {
    "z": ("mean", "std", "second_moment"),
    "h": ("activation_mean", "activation_std", "activation_second_moment"),
    "∂z": ("", "gradient_std", ""),
    "∂h": ("", "activation_gradient_std", ""),
    "∂W": ("", "weight_gradient_std", ""),
}


# An ensemble


def _of_ensemble(net: Ensemble, inputs: Tensor, loss: Any) -> Probe:
    with torch.no_grad():
        signals = net.forward(inputs)
        layers, slopes = _forward_layers(net, signals)
    delta = None if loss is None else _output_gradient(signals.output, loss, net.replicas)
    with torch.no_grad():
        if delta is not None:
            _add_gradients(layers, net, signals, slopes, delta)
        return _as_probe(layers, net.replicas, _mean_field(net, signals, delta))


def _forward_layers(net: Ensemble, signals: Signals) -> tuple[list[dict[str, Any]], list[Tensor]]:
    """Return the forward statistics of each layer, and φ′ of each hidden one."""
    layers: list[dict[str, Any]] = []
    of_h = _from_output(net.activation)
    slopes = [net.activation.derivative(z) for z in signals.pre_activations[:-1]] if of_h is None else []
    slopes = slopes or [of_h(h) for h in signals.activations[1:]]
    for at, (z, weight, bias) in enumerate(zip(signals.pre_activations, net.weights, net.biases, strict=True)):
        layer: dict[str, Any] = {"name": str(at + 1), "kind": "Linear", "activation": None, "width": z.shape[-1]}
        layer |= {"device": z.device, "z": _measured(_sums, z), "distinct_units": _distinct(weight, bias)}
        if at < len(slopes):
            h = signals.activations[at + 1]
            layer |= {"activation": net.activation.name, "slopes": _measured(_slope_fractions, slopes[at].abs())}
            layer |= {"h": _measured(_sums, h), "active": _measured(_active_fraction, h)}
        layers.append(layer)
    return layers, slopes


def _output_gradient(output: Tensor, loss: Any, replicas: int) -> Tensor:
    """Return ∂loss/∂z_L of each replica."""
    output = output.detach().requires_grad_()
    value = _checked_loss(loss(output), f"a scalar, or a loss for each replica: shape ({replicas},)", (replicas,))
    gradient = torch.autograd.grad(value.sum(), output, allow_unused=True)[0]
    if gradient is None:
        raise ValueError(_DETACHED)
    return gradient


_DETACHED = (
    "loss does not depend on the model: its gradient reaches no layer; "
    "compute it from the outputs it is given, with torch's operations and without .detach() or .item()"
)


def _checked_loss(value: Any, allowed: str, shape: tuple[int, ...] = ()) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"loss must return a tensor, {allowed}, got {type(value).__name__}")
    if value.shape not in ((), shape) or not value.is_floating_point():
        given = f"{value.dtype} of shape {tuple(value.shape)}"
        raise ValueError(f"loss must return {allowed}, of real numbers, got {given}; reduce it with .mean() or .sum()")
    if value.grad_fn is None:  # also a parameter itself, which no layer has computed
        raise ValueError(_DETACHED)
    return value


def _add_gradients(
    layers: list[dict[str, Any]], net: Ensemble, signals: Signals, slopes: list[Tensor], delta: Tensor
) -> None:
    """Pass `delta` back as `Ensemble.backward` does, with the φ′ that are known, and measure on the way."""
    for at in range(net.depth - 1, -1, -1):
        layers[at]["∂z"] = _measured(_sums, delta)
        layers[at]["∂W"] = _measured(_sums, net.product(delta.mT, signals.activations[at]))
        if at:
            back = net.product(delta, net.weights[at])
            layers[at - 1]["∂h"] = _measured(_sums, back)
            delta = back * slopes[at - 1]


def _mean_field(net: Ensemble, signals: Signals, delta: Tensor | None) -> MeanField | None:
    """Return what theory starts from, or None if it has no case or a number is not finite."""
    squares = _squares_if_random(net)
    if squares is None:
        return None
    sizes = _mean_squares(signals.activations[0])
    last = np.full_like(sizes, NAN) if delta is None else _mean_squares(delta)
    if not np.isfinite(sizes).all() or not (delta is None or np.isfinite(last).all()):
        return None
    parts = np.array_split(np.argsort(sizes, kind="stable"), min(_POINTS, len(sizes)))
    order, starts = np.concatenate(parts), np.cumsum([0, *map(len, parts[:-1])])
    groups = [np.add.reduceat(one[order], starts) / [len(part) for part in parts] for one in (sizes, last)]
    biases = [torch.linalg.vector_norm(one, dtype=torch.float64) / one.numel() ** 0.5 for one in net.biases]
    return MeanField(net.activation, np.array(net.widths), squares, torch.stack(biases).cpu().numpy() ** 2, *groups)


def _mean_squares(x: Tensor) -> np.ndarray:
    """Return the mean square over replicas and units, for each input of a batch."""
    by_replica = torch.linalg.vector_norm(x, dim=2, dtype=torch.float64)  # over both at once is slow
    return torch.linalg.vector_norm(by_replica, dim=0).cpu().numpy() ** 2 / (x.shape[0] * x.shape[2])


def _squares_if_random(net: Ensemble) -> np.ndarray | None:
    """Return the mean square of each layer's weights; None unless all look like independent draws with mean 0.

    The sum of N such entries is 0 up to √N of their size. The sums over rows (or columns) have the same sum of squares
    as the entries, up to √(2/n) of it for n sums; equal entries make it many times that. With 5 standard deviations,
    random weights fail once in a million layers or less.
    """
    found = []
    for weight in net.weights:
        entries = weight.double()
        rows, columns = entries.sum(2), entries.sum(1)
        norms = [torch.linalg.vector_norm(one) for one in (entries, rows, columns)]
        found.append(torch.stack([rows.sum(), *norms]))
    total, size, *sums = torch.stack(found).T.cpu().numpy()
    units = np.array(net.shapes).T
    with np.errstate(all="ignore"):
        fits = (np.square(sums / size) <= 1 + 5 * np.sqrt(2 / (net.replicas * units))).all(axis=0)
        return size**2 / (net.replicas * units.prod(axis=0)) if (fits & (abs(total) <= 5 * size)).all() else None


# A module

_KNOWN = (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding, nn.EmbeddingBag, nn.Bilinear, nn.RNNBase, nn.RNNCellBase)
_NORMS = ("torch.nn.modules.normalization", "torch.nn.modules.batchnorm", "torch.nn.modules.instancenorm")
_NOT_ELEMENTWISE = (nn.Softmax, nn.Softmax2d, nn.Softmin, nn.LogSoftmax, nn.GLU)


def _role(module: nn.Module) -> str:
    """Return "layer", "activation", "between" for another module without children, or "container"."""
    if isinstance(module, (*_KNOWN, nn.MultiheadAttention)):
        return "layer"
    if next(module.children(), None) is not None:
        return "container"
    rooms = {one.__module__ for one in type(module).__mro__}
    if "torch.nn.modules.activation" in rooms:
        return "between" if isinstance(module, _NOT_ELEMENTWISE) else "activation"
    has_weights = any(one is not None and one.dim() >= 2 for one in module._parameters.values())
    return "layer" if has_weights and rooms.isdisjoint(_NORMS) else "between"


def _of_module(model: nn.Module, inputs: Tensor, loss: Any) -> Probe:
    parameters = _checked_parameters(model)
    untouched = _untouched(model, parameters, backward=loss is not None)
    with untouched as parameters, _fast_path_off(), _Recorder(model, parameters) as recorder:
        outputs = model(inputs)
        recorder.stop()
        if not recorder.layers:
            raise ValueError(
                f"{type(model).__name__} called no layer with weights: a module without children that has a parameter "
                "of two dimensions or more, such as nn.Linear; weights used in other ways cannot be probed"
            )
        if loss is not None:
            recorder.backward(_checked_loss(loss(outputs), "a scalar"))
        return _as_probe(recorder.layers)


def _checked_parameters(model: nn.Module) -> list[nn.Parameter]:
    if any(isinstance(one, torch.jit.ScriptModule) for one in model.modules()):
        raise TypeError(
            f"{type(model).__name__} has scripted or traced parts, whose layers cannot be seen; "
            "pass the model as it was before scripting"
        )
    parameters = list(model.parameters())
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters; pass a model with at least one layer with weights")
    if any(map(nn.parameter.is_lazy, parameters)):
        raise ValueError(f"{type(model).__name__} has lazy parameters without a shape; call it once on inputs first")
    if any(one.is_meta for one in (*parameters, *model.buffers())):
        raise ValueError(
            f"{type(model).__name__} has parameters on the meta device, which have no values; "
            "use model.to_empty(device='cpu') and initialize it first"
        )
    return parameters


@contextmanager
def _fast_path_off() -> Iterator[None]:
    """Let attention take the path that calls its layers, and what is compiled run as it was written."""
    before = torch.backends.mha.get_fastpath_enabled()
    compiles = "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance")  # slow to load
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager") if compiles else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _untouched(model: nn.Module, parameters: list[nn.Parameter], *, backward: bool) -> Iterator[list[nn.Parameter]]:
    """Put back whatever a pass changes; yield the parameters meanwhile, which all have gradients if `backward`."""
    owned = [(one, dict(one._parameters), dict(one._buffers), one.training) for one in model.modules()]
    saved = [(one, one.detach(), one.detach().clone(), one.grad, one.requires_grad) for one in parameters]
    with ExitStack() as back:  # runs all of it, the parameters first, even if one step fails
        for one in owned:
            back.callback(_put_back, *one)
        for before in saved:
            back.callback(_restore, *before)
        _stand_in([one for one, *_ in owned])
        parameters = list(model.parameters())
        for parameter in parameters:
            parameter.grad = None
            if backward and parameter.is_floating_point():
                parameter.requires_grad_()
        yield parameters


def _put_back(module: nn.Module, parameters: dict[str, Any], buffers: dict[str, Any], training: bool) -> None:
    _refill(module._parameters, parameters)
    _refill(module._buffers, buffers)
    module.training = training


def _stand_in(modules: Sequence[nn.Module]) -> None:
    """Replace buffers, and parameters made in inference mode, which autograd refuses, by copies."""
    copies: dict[int, Any] = {}
    for module in modules:
        for name, tensor in module._buffers.items():
            if tensor is not None:
                module._buffers[name] = copies.setdefault(id(tensor), tensor.detach().clone())
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.is_inference():
                copy = nn.Parameter(parameter.clone(), parameter.requires_grad)
                module._parameters[name] = copies.setdefault(id(parameter), copy)


def _refill(store: dict[str, Any], before: dict[str, Any]) -> None:
    if list(store) != list(before) or any(store[name] is not before[name] for name in before):
        store.clear()
        store.update(before)


def _restore(parameter: Tensor, data: Tensor, values: Tensor, grad: Tensor | None, requires_grad: bool) -> None:
    """Write only what changed: a write, even of the same numbers, breaks a graph that somebody still holds."""
    if not parameter.is_inference():
        if parameter.data_ptr() != data.data_ptr() or parameter.stride() != data.stride():
            parameter.data = data
        if not torch.equal(data, values) and not torch.allclose(data, values, rtol=0, atol=0, equal_nan=True):
            data.copy_(values)
        if parameter.requires_grad != requires_grad:
            parameter.requires_grad_(requires_grad)
    if parameter.grad is not grad:
        parameter.grad = grad


class _Recorder:
    """Hooks on the modules of a model, which measure what passes; `layers` is what they found.

    A tensor that a layer, or a module between, returned is known by the object it is: an activation that gets it
    belongs to that layer.
    """

    summary: Statistic = staticmethod(_sums)  # of z and of its gradient

    def __init__(self, model: nn.Module, parameters: Sequence[nn.Parameter]) -> None:
        self.layers: list[dict[str, Any]] = []
        self.weights: list[Any] = []
        self.axes: list[int] = []
        self.parameters = [one for one in parameters if one.is_floating_point()]
        self.owners = WeakTensorKeyDictionary()
        self.pending: tuple[int, dict[str, Any]] | None = None
        self.module_handles: list[Any] = []
        self.tensor_handles: list[Any] = []
        self.found = [(name or type(one).__name__, one, _role(one)) for name, one in model.named_modules()]
        self.slopes = {one: _derivative(one) for _, one, role in self.found if role == "activation"}

    def __enter__(self) -> _Recorder:
        for name, module, role in self.found:
            if role == "layer":
                self._hook(module, partial(_check_fits, name), partial(self._after_layer, name))
            elif role == "activation":
                self._hook(module, self._before_activation, self._after_activation)
            elif role == "between":
                self._hook(module, None, self._after_between)
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        for handle in self.tensor_handles:
            handle.remove()

    def _hook(self, module: nn.Module, before: Any, after: Any) -> None:
        if before is not None:
            self.module_handles.append(module.register_forward_pre_hook(before))
        self.module_handles.append(module.register_forward_hook(after))

    def stop(self) -> None:
        """Remove the hooks on modules: what runs again in the backward pass (checkpoints) is not measured again."""
        while self.module_handles:
            self.module_handles.pop().remove()

    def backward(self, value: Tensor) -> None:
        """Measure the gradients of `value`; those of z and h come through hooks."""
        gradients = torch.autograd.grad(value, self.parameters, allow_unused=True)
        if all(one is None for one in gradients):
            raise ValueError(_DETACHED)
        by_weight = {id(one): gradient for one, gradient in zip(self.parameters, gradients, strict=True)}
        for layer, weight in zip(self.layers, self.weights, strict=True):
            gradient = by_weight.get(id(weight))
            if gradient is not None:
                layer["∂W"] = _measured(_sums, gradient.to_dense()[None])

    def _after_layer(self, name: str, module: nn.Module, _: Any, output: Any) -> None:
        z = _first_tensor(output)
        if z is None:
            return
        calls = sum(layer["module"] is module for layer in self.layers)
        axis = _unit_axis(module, z)
        layer: dict[str, Any] = {"module": module, "name": f"{name} (call {calls + 1})" if calls else name}
        layer |= {"kind": type(module).__name__, "activation": None, "width": z.shape[axis], "device": z.device}
        layer["z"] = _measured(self.summary, _kept(z))
        units = _units_of(module)
        if units is not None:
            layer["distinct_units"] = _distinct(*units)
        self._watch(z, layer, "∂z")
        self.owners[z] = len(self.layers)
        self.layers.append(layer)
        self.weights.append(_weight_parameter(module))
        self.axes.append(axis)

    def _after_between(self, _: nn.Module, inputs: Any, output: Any) -> None:
        given, made = _first_tensor(inputs), _first_tensor(output)
        if given is not None and made is not None and given in self.owners:
            self.owners[made] = self.owners[given]

    def _before_activation(self, module: nn.Module, inputs: Any) -> None:
        """Measure φ′ before an activation that works in place overwrites its input."""
        self.pending, x = None, _first_tensor(inputs)
        owner = -1 if x is None else self._owner(x)
        if x is None or owner < 0:
            return
        measured: dict[str, Any] = {"activation": type(module).__name__}
        of_z, of_h = self.slopes[module]
        if of_z is not None and of_h is None:
            with torch.no_grad():
                measured["slopes"] = self._fractions(of_z(x).abs(), owner)
        self.pending = owner, measured

    def _fractions(self, size: Tensor, owner: int) -> Found:
        axis = self.axes[owner]
        fits = size.dim() >= -axis and size.shape[axis] == self.layers[owner]["width"]
        by_unit = size.movedim(axis if fits else -1, -1)
        return _measured(_slope_fractions, by_unit.reshape(1, -1, by_unit.shape[-1]))

    def _owner(self, x: Tensor) -> int:
        """Return the layer that an activation of `x` belongs to, -1 for none or one that has an activation."""
        owner = self.owners.get(x, len(self.layers) - 1)
        return -1 if owner < 0 or self.layers[owner]["activation"] else owner

    def _after_activation(self, module: nn.Module, inputs: Any, output: Any) -> None:
        h = _first_tensor(output)
        if self.pending is None or h is None:
            return
        owner, measured = self.pending
        layer, of_h = self.layers[owner], self.slopes[module][1]
        if of_h is not None:
            with torch.no_grad():
                measured["slopes"] = self._fractions(of_h(h), owner)
        values = _kept(h)
        layer |= measured | {"h": _measured(_sums, values), "active": _measured(_active_fraction, values)}
        self._watch(h, layer, "∂h")

    def _watch(self, tensor: Tensor, layer: dict[str, Any], key: str) -> None:
        """Let the backward pass measure the gradient of `tensor`, as it is now and before it changes in place."""

        def measure(gradient: Tensor) -> None:
            layer[key] = _measured(self.summary, _kept(gradient))

        if tensor.requires_grad:
            self.tensor_handles.append(tensor.register_hook(measure))


def _first_tensor(values: Any) -> Tensor | None:
    """Return the first real tensor of what a module takes or returns, if it has one."""
    if isinstance(values, Tensor):
        return values if values.is_floating_point() and values.numel() else None
    parts: Any = values.values() if isinstance(values, Mapping) else values
    if not isinstance(values, (tuple, list, Mapping)):
        return None
    return next((found for found in map(_first_tensor, parts) if found is not None), None)


def _unit_axis(module: nn.Module, z: Tensor) -> int:
    """Return the axis of units, counted from the end."""
    return -1 - len(module.kernel_size) if isinstance(module, nn.modules.conv._ConvNd) else -1


def _weight_parameter(module: nn.Module) -> Tensor | None:
    """Return the parameter that the weight's gradient is of; None for one that is computed from others."""
    if "weight" in module._parameters or isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
        return module._parameters.get("weight")
    matrices = [one for one in module._parameters.values() if one is not None and one.dim() >= 2]
    return matrices[0] if matrices else None


def _units_of(module: Any) -> tuple[Tensor, Tensor | None] | None:
    """Return incoming weights (1, n, k) and bias (1, n) of each unit; None for a layer whose units are not known."""
    if isinstance(module, nn.Embedding):
        return module.weight.detach().T[None], None
    convolution = isinstance(module, nn.modules.conv._ConvNd)
    if not convolution and not isinstance(module, nn.Linear):
        return None
    weight, groups = module.weight.detach(), module.groups if convolution else 1
    if convolution and module.transposed:  # (groups · in, out, *kernel), the groups' inputs one after another
        weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    own, bias = weight.flatten(1), module.bias
    if groups > 1:  # units of different groups see different inputs
        group = torch.arange(groups, device=own.device).repeat_interleave(len(own) // groups)
        own = torch.cat([own, group[:, None].to(own)], dim=1)
    return own[None], None if bias is None else bias.detach()[None]


def _derivative(module: nn.Module) -> Any:
    """Return φ′ of an activation module as a function of z, and of φ; None where it is not known."""
    if isinstance(module, nn.PReLU):
        return partial(_prelu_slope, module), None
    try:
        activation = activations.get(module)
    except (TypeError, ValueError):
        return None, None
    return activation.derivative, _from_output(activation)


def _prelu_slope(module: nn.PReLU, x: Tensor) -> Tensor:
    slope = module.weight.detach()
    if x.dim() > 2:  # channels are at axis 1
        slope = slope.reshape(-1, *[1] * (x.dim() - 2))
    return torch.where(x > 0, torch.ones_like(x), slope.expand_as(x))


def _check_fits(name: str, module: Any, inputs: Any) -> None:
    """Raise, in words, if what a linear layer or a convolution gets has the wrong width or type."""
    x = _first_tensor(inputs)
    width = getattr(module, "in_features", None) or getattr(module, "in_channels", None)
    if x is None or width is None:
        return
    axis = _unit_axis(module, x)
    where = f"layer {name!r} ({type(module).__name__})"
    if x.dim() < -axis or x.shape[axis] != width:
        raise ValueError(
            f"inputs do not fit the model: {where} takes {width} features along axis {axis}, got shape "
            f"{tuple(x.shape)}; pass inputs of the width that the model was made for"
        )
    weight = _weight_parameter(module)
    if weight is not None and weight.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(f"{where} has weights of {weight.dtype}, got {x.dtype}; pass inputs.to({weight.dtype})")
