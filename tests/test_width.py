"""How start and rates go with the width, against a table written by hand, the spectral condition, and measurement.

Statistical tests state their false-failure rate; their seeds are fixed, and a wrong parametrization must fail them.
"""

import re

import numpy as np
import pytest
import torch

import initnotes as ini
from initnotes.networks import Ensemble, Residual, own_changes, train
from initnotes.theory.width import OPTIMIZERS, PARAMETRIZATIONS, multipliers

SEED = 20261201
WIDE, BASE = (64, 256, 256, 10), (64, 64, 64, 10)


def rng(*seed):
    return np.random.default_rng([SEED, *seed])


# Powers of m for input, hidden and output weights, then for the biases of hidden layers and of the output. muP is that
# of Yang et al. 2022, table 3, there for weights without factors in the forward pass.
TABLE = {
    ("standard", "sgd"): ((0, 0, 0), (0, 0, 0), (0, 0)),
    ("standard", "adam"): ((0, 0, 0), (0, 0, 0), (0, 0)),
    ("ntk", "sgd"): ((0, 0, 0), (0, -1, -1), (0, 0)),
    ("ntk", "adam"): ((0, 0, 0), (0, -0.5, -0.5), (0, 0)),
    ("mup", "sgd"): ((0, 0, -0.5), (1, 0, -1), (1, 0)),
    ("mup", "adam"): ((0, 0, -0.5), (0, -1, -1), (0, 0)),
}


@pytest.mark.parametrize("m", [0.25, 1, 3])
@pytest.mark.parametrize("case", TABLE, ids="-".join)
def test_multipliers_are_those_of_the_table(case, m):
    start, weights, (hidden, last) = TABLE[case]
    found = multipliers((20, *[int(8 * m)] * 3, 5), *case, base=(20, 8, 8, 8, 5))
    spread = [0, 1, 1, 2]  # two hidden matrices
    np.testing.assert_allclose(found.start, m ** np.array(start, dtype=float)[spread])
    np.testing.assert_allclose(found.rates[:, 0], m ** np.array(weights, dtype=float)[spread])
    np.testing.assert_allclose(found.rates[:, 1], m ** np.array([hidden, hidden, hidden, last], dtype=float))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_mup_keeps_the_spectral_condition(optimizer):
    """Far from the fixed widths, where it says which of fan_in and fan_out is the larger."""
    widths, base = (64, 4096, 4096, 10), (64, 1024, 1024, 10)

    def asked(widths):
        fan_in, fan_out = (np.array(part, dtype=float) for part in (widths[:-1], widths[1:]))
        rate = {"sgd": lambda n: fan_out / n, "adam": lambda n: 1 / n}[optimizer]
        std = np.minimum(1, np.sqrt(fan_out / fan_in)) / np.sqrt(fan_in)
        return std, np.stack([rate(fan_in), rate(np.ones_like(fan_in))], axis=1)

    (std, rates), (base_std, base_rates) = asked(widths), asked(base)
    found = multipliers(widths, "mup", optimizer, base=base)
    own = [ini.Scheme(scale=factor**2).std(shape) for factor, shape in zip(found.start, shapes(widths), strict=True)]
    other = [ini.lecun_normal.std(shape) for shape in shapes(base)]
    np.testing.assert_allclose(np.array(own) / other, std / base_std)
    ratio = found.rates / (rates / base_rates)
    np.testing.assert_allclose(ratio, 1.0)


def shapes(widths):
    return list(zip(widths[1:], widths[:-1], strict=True))


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_momentum_is_as_sgd_and_no_hidden_layer_has_no_width(parametrization):
    momentum, sgd = (multipliers(WIDE, parametrization, name, base=BASE) for name in ("momentum", "sgd"))
    for own, other in zip(vars(momentum).values(), vars(sgd).values(), strict=True):
        np.testing.assert_array_equal(own, other)
    for optimizer in OPTIMIZERS:
        alone = multipliers((64, 10), parametrization, optimizer, base=(64, 10))
        assert alone.start.tolist() == [1.0]
        assert alone.rates.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"parametrization": "muP"}, ValueError, "did you mean 'mup'?"),
        ({"optimizer": "adamw"}, ValueError, "did you mean 'adam'?"),
        ({"widths": 64}, TypeError, "widths must be a sequence of integers, inputs first, got 64"),
        ({"base": (64,)}, ValueError, "base must have at least the inputs and the outputs, got (64,)"),
        ({"base": (64, 0, 64, 10)}, ValueError, "base must be at least 1, got 0"),
        ({"base": (64, 64, 10)}, ValueError, "base must have as many layers, and the same inputs and outputs"),
        ({"base": (32, 64, 64, 10)}, ValueError, "base must have as many layers, and the same inputs and outputs"),
        ({"base": (64, 64, 32, 10)}, ValueError, "hidden widths must all be the same multiple of base's (64, 32)"),
    ],
)
def test_bad_arguments_of_multipliers(change, error, message):
    given = {"widths": WIDE, "parametrization": "mup", "optimizer": "adam", "base": BASE} | change
    with pytest.raises(error, match=re.escape(message)):
        multipliers(given["widths"], given["parametrization"], given["optimizer"], base=given["base"])


# ---------------------------------------------------------------------------------------------------------------------
# Own changes


def test_own_changes_are_those_of_each_layer_alone():
    x = rng(1).standard_normal((7, 4))
    net = Ensemble((4, 6, 5, 3), "tanh", "he_normal", rng=rng(), replicas=2)
    before = net.part(slice(None))
    for weight in net.weights:
        weight += torch.from_numpy(rng(2).standard_normal(weight.shape))
    net.biases[1] += 1.0
    found = own_changes(net, before, x)
    for r in range(2):
        h = x
        for layer, (old, new) in enumerate(zip(before.weights, net.weights, strict=True)):
            change = h @ (new[r] - old[r]).numpy().T
            np.testing.assert_allclose(found[r, layer], np.sqrt(np.mean(change**2)))
            h = np.tanh(h @ old[r].numpy().T)
    own = own_changes(net, before, np.stack([x, x]))
    np.testing.assert_allclose(own, found)


def test_bad_arguments_of_own_changes():
    net = Ensemble((4, 6, 3), "tanh", "he_normal", rng=rng(), replicas=2)
    residual = Residual((4, 6, 3), 2, "relu", "he_normal", rng=rng(), replicas=2)
    x = np.zeros((5, 4))
    with pytest.raises(TypeError, match="before must be an Ensemble, got NoneType"):
        own_changes(net, None, x)
    with pytest.raises(ValueError, match="net and before must be the same networks"):
        own_changes(net, net.part(slice(1)), x)
    with pytest.raises(ValueError, match="net and before must be the same networks"):
        own_changes(net, residual, x)
    with pytest.raises(ValueError, match="net must have layers that read the layer below, got Residual"):
        own_changes(residual, residual, x)
    with pytest.raises(ValueError, match="inputs must have shape"):
        own_changes(net, net, np.zeros((5, 3)))


TOLERANCE = 0.2  # the least difference between two rows of theory is 0.5 in some layer
OUTPUT = 0.1  # factor on the output's start; as it is, muP's logits shrink as 1/√m, and the first gradient with them


def measured(parametrization, optimizer, *, narrow=64, wide=256, samples=128, replicas=32):
    """Return the slopes of own contributions at the first update between two widths, shape (R, L)."""
    digits, changes = ini.data.digits().train, []
    x, y = digits.x[:samples], digits.y[:samples]
    for width in (narrow, wide):
        widths = (64, width, width, 10)
        found = multipliers(widths, parametrization, optimizer, base=BASE)
        start = [ini.Scheme(scale=2 * factor**2) for factor in found.start * [1, 1, OUTPUT]]
        net = Ensemble(widths, "relu", start, rng=rng(width), replicas=replicas)
        before = net.part(slice(None))
        train(net, x, y, optimizer=optimizer, lr=0.01 * found.rates, steps=1, rng=rng())
        changes.append(np.log(own_changes(net, before, x)))
    return (changes[1] - changes[0]) / np.log(wide / narrow)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_own_contributions_go_as_theory_says_and_as_no_other_parametrization(optimizer):
    """False-failure rate below 1e-4.

    A slope's standard deviation over replicas is at most 0.21, that of the mean of 32 at most 0.037. What finite width
    leaves of a mean is below 0.05, and below 0.03 in the output layer. A miss of one of nine means there is a normal
    beyond (0.2 - 0.03)/0.037 = 4.6.
    """
    for parametrization in PARAMETRIZATIONS:
        slopes = measured(parametrization, optimizer).mean(0)
        off = {
            name: np.abs(slopes - multipliers(WIDE, name, optimizer, base=BASE).slopes).max()
            for name in PARAMETRIZATIONS
        }
        assert [name for name in PARAMETRIZATIONS if off[name] < TOLERANCE] == [parametrization], slopes
