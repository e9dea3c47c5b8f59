"""What units and layers look like, on networks made by hand and against plain loops."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import initnotes as ini
from initnotes.networks import Ensemble, accuracy, distinct_units, distinct_values, spread

SEED = 20260104
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def rng(seed=SEED):
    return np.random.default_rng(seed)


def by_hand(*layers, dtype="float64"):
    """Make one replica per entry of each layer's list of rows; biases are the rows' last entries."""
    arrays = [torch.tensor(layer, dtype=torch.float64) for layer in layers]
    widths = (arrays[0].shape[2] - 1, *(array.shape[1] for array in arrays))
    net = Ensemble(widths, "tanh", "zeros", rng=rng(), replicas=len(arrays[0]), dtype=dtype)
    for weight, bias, array in zip(net.weights, net.biases, arrays, strict=True):
        weight.copy_(array[..., :-1])
        bias.copy_(array[..., -1])
    return net


OUTPUT = [[[1.0, 2.0, 3.0, 4.0]]]  # of three hidden units, and a bias


@pytest.mark.parametrize(
    ("units", "distinct"),
    [
        ([[1, 2, 3], [1, 2, 3], [1, 2, 3]], 1),
        ([[1, 2, 3], [1, 2, 3], [3, 2, 1]], 2),
        ([[1, 2, 3], [1, 2, 4], [1, 2, 5]], 3),
        ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], 1),
        ([[0, 0, 0], [-0.0, 0, 0], [0, 0, -0.0]], 1),
        ([[1, 2, 3], [1, 2, math.nextafter(3, 4)], [1, 2, 3]], 2),
        ([[5e-324, 0, 0], [0, 0, 0], [0, 0, 0]], 2),
        ([[math.nan, 0, 0], [math.nan, 0, 0], [0, 0, 0]], 3),
        ([[math.inf, 0, 0], [math.inf, 0, 0], [-math.inf, 0, 0]], 2),
    ],
)
def test_distinct_units(units, distinct):
    counts = distinct_units(by_hand([units], OUTPUT))
    assert counts.tolist() == [[distinct]]
    assert counts.dtype == np.int64


def test_distinct_units_layer_by_layer_and_replica_by_replica():
    net = by_hand(
        [[[1, 1], [1, 1], [2, 1]], [[1, 1], [2, 1], [3, 1]]],
        [[[1, 2, 3, 0], [1, 2, 3, 0]], [[1, 2, 3, 0], [1, 2, 3, 1]]],
        [[[0, 0, 0]], [[0, 0, 0]]],
    )
    assert distinct_units(net).tolist() == [[2, 1], [3, 2]]
    assert distinct_values(net).tolist() == [[2, 3, 1], [3, 3, 1]]


@pytest.mark.parametrize(
    ("units", "distinct"),
    [
        ([[1, 1, 9], [1, 1, 8], [1, 1, 7]], 1),
        ([[1, 2, 0], [3, 4, 0], [5, 6, 0]], 6),
        ([[0, -0.0, 5], [0, 0, 5], [-0.0, 0, 5]], 1),
        ([[math.nan, math.nan, 0], [1, 1, 0], [1, 1, 0]], 3),
    ],
)
def test_distinct_values_are_of_weights_not_biases(units, distinct):
    assert distinct_values(by_hand([units], OUTPUT)).tolist() == [[distinct, 3]]


def test_random_networks_are_all_distinct():
    net = Ensemble((20, 16, 7, 5), "tanh", "xavier_normal", rng=rng(), replicas=4)
    assert distinct_units(net).tolist() == [[16, 7]] * 4
    assert distinct_values(net).tolist() == [[320, 112, 35]] * 4


def loop_spread(net):
    """The docstring's formula, a unit at a time."""
    result = np.empty((net.replicas, net.depth - 1))
    for replica, layer in np.ndindex(result.shape):
        weight, bias = net.weights[layer][replica].numpy(), net.biases[layer][replica].numpy()
        units = [np.append(row, own) for row, own in zip(weight, bias, strict=True)]
        middle = sum(units) / len(units)
        apart = sum(np.sum((unit - middle) ** 2) for unit in units)
        result[replica, layer] = math.sqrt(apart / sum(np.sum(unit**2) for unit in units))
    return result


@given(
    st.lists(st.integers(1, 7), min_size=2, max_size=4),
    st.integers(1, 4),
    st.floats(-3, 3),
    st.floats(0.01, 2),
    st.integers(0, 2**32),
)
@quick
def test_spread_is_its_formula(widths, replicas, bias, sigma_b, seed):
    net = Ensemble(widths, "tanh", "he_normal", rng=rng(seed), replicas=replicas, bias=bias, sigma_b=sigma_b)
    values = spread(net)
    assert values.shape == (replicas, len(widths) - 2)
    assert ((values >= 0) & (values <= 1)).all()
    if len(widths) > 2:
        np.testing.assert_allclose(values, loop_spread(net), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("units", "value"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], math.sqrt(2 / 3)),
        ([[1, 2, 3], [-1, -2, -3], [0, 0, 0]], 1.0),
        ([[0.1, 0.7, 0.3]] * 3, 0.0),
        ([[0, 0, 0]] * 3, 0.0),
        ([[1e-200, 0, 0]] * 3, 0.0),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_spread_of_known_layers(units, value, dtype):
    measured = spread(by_hand([units], OUTPUT, dtype=dtype))
    assert measured.tolist() == [[pytest.approx(value, rel=1e-6)]]
    assert value or measured[0, 0] == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 33])
def test_equal_units_have_no_spread_at_all(size):
    """To the last bit, whatever the number of units that a mean divides by."""
    net = Ensemble((5, size, 2), "tanh", "zeros", rng=rng(), replicas=6)
    values = torch.from_numpy(rng().standard_normal((6, 1))) * 0.1
    for part in [*net.weights, *net.biases]:
        part.flatten(1)[:] = values
    assert (spread(net) == 0).all()
    assert spread(net).shape == (6, 1)


def test_spread_of_a_replica_that_diverged_is_nan():
    net = by_hand([[[1, 0], [math.nan, 0], [0, 0]], [[1, 0], [2, 0], [3, 0]]], OUTPUT * 2)
    assert np.isnan(spread(net))[:, 0].tolist() == [True, False]


def test_a_network_without_hidden_layers():
    net = Ensemble((3, 2), "tanh", "zeros", rng=rng(), replicas=4)
    assert distinct_units(net).shape == spread(net).shape == (4, 0)
    assert distinct_units(net).dtype == np.int64
    assert distinct_values(net).tolist() == [[1]] * 4


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda x: x.tolist()], ids=["numpy", "torch", "list"])
def test_accuracy(kind):
    net = Ensemble((2, 2), "linear", "zeros", rng=rng(), replicas=3)
    net.weights[0].copy_(torch.tensor([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [1, 0]]]))
    x, y = np.array([[2.0, 1.0], [1.0, 2.0], [5.0, 0.0], [3.0, 1.0]]), np.array([0, 1, 0, 1])
    assert accuracy(net, kind(x), kind(y)).tolist() == [0.75, 0.25, 0.5]


@pytest.mark.parametrize("labels", [[0], [0, 1, 1], [[0], [1]], [[0, 1]] * 3, 0])
def test_accuracy_needs_a_label_for_each_sample(labels):
    net = Ensemble((2, 2), "linear", "zeros", rng=rng(), replicas=3)
    with pytest.raises(ValueError, match=re.escape("y must have shape (2,), got")):
        accuracy(net, np.zeros((2, 2)), labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.0, 1.0], "y must be integer labels, got float64"),
        ([True, False], "y must be integer labels, got bool"),
        (["a", "b"], "y must be integer labels, got <U1"),
        ([0, 2], "labels must be 0 … 1, got 0 … 2"),
        ([-1, 1], "labels must be 0 … 1, got -1 … 1"),
    ],
)
def test_accuracy_needs_labels_of_the_network(labels, message):
    net = Ensemble((2, 2), "linear", "zeros", rng=rng(), replicas=3)
    with pytest.raises(ValueError, match=re.escape(message)):
        accuracy(net, np.zeros((2, 2)), labels)


@pytest.mark.parametrize(
    "measure", [distinct_units, distinct_values, spread, lambda net: accuracy(net, np.zeros((2, 2)), [0, 1])]
)
@pytest.mark.parametrize("net", [None, torch.nn.Linear(2, 2)], ids=["None", "Linear"])
def test_only_ensembles_are_measured(measure, net):
    with pytest.raises(TypeError, match=r"net must be an Ensemble, got (NoneType|Linear)"):
        measure(net)


def test_accuracy_needs_numbers():
    with pytest.raises(TypeError, match="x must be an array of real numbers, got NoneType"):
        accuracy(Ensemble((2, 2), "linear", "zeros", rng=rng()), None, [0, 1])


def test_measuring_changes_nothing():
    net = Ensemble((4, 6, 5), "tanh", "he_normal", rng=rng(), replicas=3)
    before = net.parameters.clone()
    distinct_units(net), distinct_values(net), spread(net), accuracy(net, np.zeros((2, 4)), [0, 1])
    assert torch.equal(net.parameters, before)


def test_measures_are_a_public_room():
    assert ini.networks.spread is spread
