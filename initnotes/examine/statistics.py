"""What is known of a network's layers after a pass: a record of facts each for the audit, arrays for the probe.

What lives here is numbers: `Record` has no tensor and no module, so that what is found of records can be tested on
records that nobody measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from .. import _checks, theory
from .._table import Table, table
from . import anatomy
from .graph import Graph
from .hooks import Applied, Call
from .mean_field import MeanField
from .moments import joined, moments

__all__ = ["Probe", "Record", "Units", "arrays_of", "records_of"]


class Units(NamedTuple):
    """The units of an activation that was applied to what a layer returned.

    Attributes
    ----------
    activation : str
    saturated : float
        Share of pairs of input and unit with |φ′| < 0.01, `SATURATED`.
    off : float
        Share of units that are saturated on all inputs.
    inputs, number : int
        Inputs, times positions, and units; 0 where φ′ is not known.
    """

    activation: str
    saturated: float
    off: float
    inputs: int
    number: int


@dataclass(frozen=True)
class Record:
    """What a pass has told of one call of a layer. Of an ensemble, sizes are medians over the replicas.

    Attributes
    ----------
    name, kind : str
        Submodule, with "(call 2)" behind it if it is called again, and class.
    activation : str or None
        Name of what follows, None if it is not known or there is none.
    normalized, bypassed, last : bool
        Whether a normalization comes next; whether some path of the data avoids the layer; whether it is the last.
    width : int
        Units or channels.
    sigma_w : float
        √(fan_in · E W²) with the true fan_in, NaN where it has none.
    size, signal : float
        Root mean square of z; the part of it that differs from input to input (NaN for a single input).
    gradient : float
        Euclidean norm of ∂loss/∂z over the batch.
    inputs, weights : float
        Root mean square of the inputs (NaN for tokens) and of the weights (NaN for what is computed from others).
    weight_gradient : float
        Euclidean norm of ∂loss/∂W, NaN where the loss does not depend on it.
    zero : tuple of str
        Names of the weights that are all zero.
    distinct, units : float, int
        Units that differ in weights or bias, and how many there are; inf and 0 where they are not known.
    stays_equal : bool
        Whether units with equal weights have equal gradients, up to rounding.
    gates : float
        Share of a recurrent layer's gates that its weights saturate, NaN for other layers.
    applied : tuple of Units
        The activations that were applied to what it returned.
    drawn_by : {"scheme", "hand", "nobody", "frozen", "ensemble"}
        Who can draw it anew: `initialize_`, code for its parameters, nobody where its weight is computed from other
        parameters or is frozen beside others that are not, or the ensemble that it is a part of.
    whole : bool
        Whether the layer is the model itself.
    trunk : bool
        Whether all that the first layer makes passes it.
    scaled, shut : bool
        Whether its inputs are something times a number; whether all it is for is attention to one place.
    """

    name: str
    kind: str
    activation: str | None = None
    normalized: bool = False
    bypassed: bool = False
    last: bool = False
    width: int = 0
    sigma_w: float = math.nan
    size: float = math.nan
    signal: float = math.nan
    gradient: float = math.nan
    inputs: float = math.nan
    weights: float = math.nan
    weight_gradient: float = math.nan
    zero: tuple[str, ...] = ()
    distinct: float = math.inf
    units: int = 0
    stays_equal: bool = False
    gates: float = math.nan
    applied: tuple[Units, ...] = ()
    drawn_by: str = "scheme"
    whole: bool = False
    trunk: bool = True
    scaled: bool = False
    shut: bool = False

    @property
    def place(self) -> str:
        """The submodule's name."""
        return self.name.partition(" (call")[0]

    @property
    def frozen(self) -> bool:
        """Whether training leaves it as it is, and others not."""
        return self.drawn_by == "frozen"


def records_of(calls: Sequence[Call], graph: Graph, model: nn.Module, failed: dict[str, str]) -> tuple[Record, ...]:
    """Return the facts of each call; of one whose facts cannot be told, its name, and why in `failed`."""
    return tuple(_record_or_name(call, graph, model, failed) for call in calls)


def _record_or_name(call: Call, graph: Graph, model: nn.Module, failed: dict[str, str]) -> Record:
    try:
        return _record(call, graph, model)
    except Exception as error:
        failed.setdefault(call.name, f"{type(error).__name__}: {error}")
        return Record(call.name, call.kind, size=call.size, gradient=call.gradient_norm)


def _record(call: Call, graph: Graph, model: nn.Module) -> Record:
    module = call.module
    activation, normalized, last = graph.follows(call.node)
    distinct, units = call.units
    return Record(
        name=call.name,
        kind=call.kind,
        activation=activation,
        normalized=normalized,
        bypassed=graph.bypassed(call.node),
        last=last,
        width=call.width,
        sigma_w=call.weights * math.sqrt(anatomy.fan_in(module)),
        size=call.size,
        signal=call.signal,
        gradient=call.gradient_norm,
        inputs=call.inputs,
        weights=call.weights,
        weight_gradient=call.weight_norm,
        zero=anatomy.zero_weights(module, call.weights),
        distinct=distinct,
        units=units,
        stays_equal=call.stays_equal,
        gates=anatomy.saturated_gates(module, call.inputs, call.size),
        applied=tuple(map(_units, call.applied)),
        drawn_by=anatomy.drawn_by(module),
        whole=module is model,
        trunk=graph.on_trunk(call.node),
        scaled=call.scaled,
        shut=call.shut,
    )


def _units(applied: Applied) -> Units:
    if applied.slopes is None:
        return Units(applied.name, math.nan, math.nan, 0, 0)
    saturated, _, off = (
        (applied.slopes if isinstance(applied.slopes, Tensor) else applied.slopes[0](applied.slopes[1]))
        .mean(0)
        .tolist()
    )
    return Units(applied.name, saturated, off, *applied.shape)


_OF_SUMS = {
    "h": ("activation_mean", "activation_std", "activation_second_moment"),
    "z": ("mean", "std", "second_moment"),
    "gradient": ("", "gradient_std", ""),
    "h_gradient": ("", "activation_gradient_std", ""),
    "weight_gradient": ("", "weight_gradient_std", ""),
}


def arrays_of(calls: Sequence[Call], replicas: int) -> dict[str, Any]:
    """Return the fields of a `Probe`, but for what theory starts from; what a layer lacks is NaN."""
    first = [call.applied[0] if call.applied else Applied("") for call in calls]
    slopes = joined([applied.slopes for applied in first], (replicas, 3))
    heard = joined([applied.h for applied in first], (replicas, 5))
    return {
        "names": tuple(call.name for call in calls),
        "kinds": tuple(call.kind for call in calls),
        "activations": tuple(applied.name or None for applied in first),
        "widths": np.array([call.width for call in calls]),
        "saturated": slopes[:, 0],
        "dead": slopes[:, 1],
        "active": heard[:, 4],
        "distinct_units": joined([call.distinct for call in calls], (replicas, 1))[:, 0],
    } | _moments_of(calls, first, heard[:, :4])


def _moments_of(calls: Sequence[Call], first: Sequence[Applied], heard: np.ndarray) -> dict[str, np.ndarray]:
    """Return the moments of h, whose sums are given, of z and of the gradients, each of shape (R, L)."""
    of_calls = zip(calls, first, strict=True)
    rows = [(c.z, c.gradient, a.gradient, c.weight_gradient) for c, a in of_calls]
    found = joined([own for kind in zip(*rows, strict=True) for own in kind], heard.shape[:2])
    sums = np.concatenate([heard, found], axis=2)
    by_key = moments(sums).reshape(3, len(sums), len(_OF_SUMS), len(calls)).transpose(2, 0, 1, 3)
    arrays: dict[str, np.ndarray] = {}
    for statistics, own in zip(_OF_SUMS.values(), by_key, strict=True):
        arrays |= {name: moment for name, moment in zip(statistics, own, strict=True) if name}
    return arrays


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
class Probe:
    """What a network looks like, layer by layer: z_l is what weights make, h_l = φ(z_l) what the activation makes.

    Every statistic is an array of shape (R, L), over inputs and units of a layer, NaN where there is nothing to
    measure: no activation follows, or no loss was given. It prints as a table of means over replicas.

    Attributes
    ----------
    names, kinds : tuple of L str
        Where the layer is in the module, and its class. A layer that is called again is an entry of its own.
    activations : tuple of L (str or None)
        Name of the activation that is applied to it, such as "relu".
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
        return np.asarray(getattr(self, _checks.one_of(statistic, "statistic", STATISTICS))).mean(axis=0)

    def typical(self, statistic: str) -> np.ndarray:
        """Return a statistic's typical value over replicas, exp(mean log), shape (L,).

        One replica that explodes moves the mean, but hardly this. 0 if a replica has 0; NaN if one is negative.
        """
        values = getattr(self, _checks.one_of(statistic, "statistic", STATISTICS))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.exp(np.log(values).mean(axis=0))

    def theory(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what mean-field theory predicts for `second_moment` and `gradient_std`, each of shape (L,).

        It holds for wide networks with independent weights of mean 0. The variances are those that the weights
        have; layer 1 starts from the inputs, and the gradient from ∂loss/∂z_L.

        Returns
        -------
        pair of ndarray, or None
            None for a module and for an ensemble with normalization or skip connections; for one whose weights are
            seen not to be independent with mean 0 (equal, constant, not at all random); and where an activation grows
            too fast or jumps.

        References
        ----------
        Poole et al., NeurIPS 2016, equation 3; Schoenholz et al., "Deep information propagation", ICLR 2017, equation
        15 for the gradient.
        """
        if self.mean_field is None:
            return None
        try:
            predicted = theory.profile(**self.mean_field._asdict())
        except ValueError:
            return None
        return predicted.signal.mean(axis=1), np.sqrt(predicted.gradient.mean(axis=1))

    def plot(self) -> Any:
        """Draw second moments and gradients against depth, with theory dashed where it applies.

        Returns
        -------
        matplotlib Figure
        """
        from .pictures import profile  # upstairs: a result draws itself when asked to

        return profile(self)

    def table(self) -> Table:
        """Return the table of means over replicas that the probe prints as."""
        columns: dict[str, Any] = {"layer": self.names, "kind": self.kinds, "φ": self.activations}
        columns |= {"units": self.widths, "distinct": self.average("distinct_units")}
        for head, statistic in _COLUMNS.items():
            columns[head] = self.average(statistic)
            if self.replicas > 1 and statistic in _TYPICAL:
                columns[_TYPICAL[statistic]] = self.typical(statistic)
        layers = f"{self.depth} layer{'s' * (self.depth > 1)}"
        return table(columns, caption=layers + (f", means over {self.replicas} replicas" if self.replicas > 1 else ""))

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


STATISTICS = tuple(statistic.name for statistic in fields(Probe))[4:-1]
