"""Training against torch.optim on the same batches, replica by replica; and that replicas never touch one another.

Statistical tests state their false-failure rate; their seeds are fixed, and a wrong implementation must fail them.
"""

import math
import re

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import initnotes as ini
from initnotes.networks import Ensemble, order_free_product, updates
from initnotes.networks.training import History, batch_order, cross_entropy, mean_squared_error, train

ALPHA = 1e-4  # false-failure rate of one test function
SEED = 20260103
REPLICAS, STEPS, BATCH = 3, 20, 8

OPTIMIZERS = {
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
    "momentum": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
    "adam": lambda parameters, lr: torch.optim.Adam(parameters, lr=lr),
}


def rng(seed=SEED):
    return np.random.default_rng(seed)


def clouds():
    return ini.data.gaussian_clouds(40, 4, 5, rng=rng())


def targets():
    return rng(1).standard_normal((40, 5))


def ensemble(seed=SEED, scheme="xavier_normal", widths=(4, 6, 5), **options):
    return Ensemble(widths, "tanh", scheme, **{"rng": rng(seed), "replicas": REPLICAS, "sigma_b": 0.1} | options)


def sequential(net, replica):
    layers = []
    for weight, bias in zip(net.weights, net.biases, strict=True):
        linear = nn.Linear(weight.shape[2], weight.shape[1], dtype=net.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight[replica])
            linear.bias.copy_(bias[replica])
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def torch_row(model):
    return torch.cat([part.detach().flatten() for part in model.parameters()])


def parts(net, replica):
    """Views of one replica's parameters, in the order of torch's."""
    return [part[replica] for pair in zip(net.weights, net.biases, strict=True) for part in pair]


def row(net, replica):
    return torch.cat([part.flatten() for part in parts(net, replica)])


# ---------------------------------------------------------------------------------------------------------------------
# Losses and optimizers


@pytest.mark.parametrize("size", [1.0, 1e3])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_losses_and_their_gradients(loss, size):
    outputs = size * torch.from_numpy(rng().standard_normal((REPLICAS, BATCH, 5)))
    leaf = outputs.clone().requires_grad_()
    if loss == "cross_entropy":
        labels = torch.from_numpy(rng(1).integers(0, 5, (REPLICAS, BATCH)))
        expected = [nn.functional.cross_entropy(o, t) for o, t in zip(leaf, labels, strict=True)]
        value, gradient = cross_entropy(outputs, labels)
    else:
        wanted = torch.from_numpy(rng(1).standard_normal((REPLICAS, BATCH, 5)))
        expected = [((o - t) ** 2).sum(1).mean() / 2 for o, t in zip(leaf, wanted, strict=True)]
        value, gradient = mean_squared_error(outputs, wanted)
    torch.testing.assert_close(value, torch.stack(expected).detach(), rtol=1e-12, atol=0)
    (slope,) = torch.autograd.grad(sum(expected), leaf)
    torch.testing.assert_close(gradient, slope, rtol=1e-12, atol=1e-15)


def test_cross_entropy_takes_axes_in_front_of_the_replicas():
    outputs = torch.from_numpy(rng().standard_normal((2, REPLICAS, BATCH, 5)))
    labels = torch.from_numpy(rng(1).integers(0, 5, (2, REPLICAS, BATCH)))
    together = cross_entropy(outputs, labels)
    apart = zip(*(cross_entropy(*pair) for pair in zip(outputs, labels, strict=True)), strict=True)
    for part, parts_of in zip(together, apart, strict=True):
        torch.testing.assert_close(part, torch.stack(parts_of), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", updates.LOSSES)
def test_gradients_alone_are_those_beside_the_loss(loss):
    outputs = 10 * torch.from_numpy(rng().standard_normal((REPLICAS, BATCH, 5)))
    wanted = torch.from_numpy(rng(1).integers(0, 5, (REPLICAS, BATCH)))
    wanted = torch.eye(5, dtype=torch.float64)[wanted] if loss == "mse" else wanted
    both = updates.LOSSES[loss](outputs, wanted)[1]
    torch.testing.assert_close(updates.GRADIENTS[loss](outputs, wanted), both, rtol=1e-12, atol=1e-15)


def test_losses_take_arrays():
    outputs, labels = rng().standard_normal((REPLICAS, BATCH, 5)), rng(1).integers(0, 5, (REPLICAS, BATCH))
    for loss, wanted in ((cross_entropy, labels), (mean_squared_error, np.ones_like(outputs))):
        for part, expected in zip(
            loss(outputs, wanted), loss(torch.from_numpy(outputs), torch.from_numpy(wanted)), strict=True
        ):
            assert torch.equal(part, expected)
        with pytest.raises(TypeError, match=r"outputs must be floating-point numbers, got torch.int64"):
            loss(labels, wanted)
    with pytest.raises(TypeError, match=r"targets must be integer labels, got torch.float64"):
        cross_entropy(outputs, labels.astype(float))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_replica_trains_as_torch_does(optimizer, loss):
    x, y = clouds()
    y = y if loss == "cross_entropy" else targets()
    net = ensemble()
    models = [sequential(net, r) for r in range(REPLICAS)]
    run = {"optimizer": optimizer, "lr": 0.05, "loss": loss, "batch_size": BATCH, "steps": STEPS}
    history = train(net, x, y, **run, rng=rng(2))
    batches = np.array(list(batch_order(40, BATCH, STEPS + 1, REPLICAS, rng=rng(2))))
    for r, model in enumerate(models):
        stepper, losses = OPTIMIZERS[optimizer](model.parameters(), 0.05), []
        for batch in batches[:, r]:
            outputs, wanted = model(torch.from_numpy(x[batch])), torch.from_numpy(y[batch])
            if loss == "cross_entropy":
                value = nn.functional.cross_entropy(outputs, wanted)
            else:
                value = ((outputs - wanted) ** 2).sum(1).mean() / 2
            losses.append(value.item())
            if len(losses) <= STEPS:
                stepper.zero_grad()
                value.backward()
                stepper.step()
        torch.testing.assert_close(row(net, r), torch_row(model), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(history.loss[r], losses, rtol=1e-10)


@pytest.mark.parametrize("length", [1e-3, 0.3, 1e3])
def test_clipping_is_that_of_torch_replica_by_replica(length):
    x, y = clouds()
    net = ensemble()
    models = [sequential(net, r) for r in range(REPLICAS)]
    train(net, x, y, optimizer="momentum", lr=0.1, steps=5, clip=length, rng=rng())
    for r, model in enumerate(models):
        stepper = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(5):
            stepper.zero_grad()
            nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), length)
            stepper.step()
        torch.testing.assert_close(row(net, r), torch_row(model), rtol=1e-4, atol=1e-7)  # torch adds 1e-6 to the norm


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_warm_up_is_that_of_torch(optimizer):
    """Also that it does not scale what Adam remembers of the gradients."""
    x, y = clouds()
    net = ensemble()
    models = [sequential(net, r) for r in range(REPLICAS)]
    train(net, x, y, optimizer=optimizer, lr=0.05, steps=9, warm_up=4, rng=rng())
    for r, model in enumerate(models):
        stepper = OPTIMIZERS[optimizer](model.parameters(), 0.05)
        schedule = torch.optim.lr_scheduler.LinearLR(stepper, start_factor=1 / 4, total_iters=3)
        for _ in range(9):
            stepper.zero_grad()
            nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
            stepper.step()
            schedule.step()
        torch.testing.assert_close(row(net, r), torch_row(model), rtol=1e-10, atol=1e-12)


def test_a_warm_up_takes_the_weight_decay_along_and_one_step_is_none():
    net, cold, none = ensemble(), ensemble(), ensemble()
    x, y = clouds()
    start = net.parameters.clone()
    train(net, x, y, lr=0.1, steps=1, weight_decay=0.3, warm_up=5, rng=rng())
    train(cold, x, y, lr=0.1, steps=1, weight_decay=0.3, warm_up=1, rng=rng())
    train(none, x, y, lr=0.1, steps=1, weight_decay=0.3, rng=rng())
    assert torch.equal(cold.parameters, none.parameters)
    torch.testing.assert_close(net.parameters - start, (cold.parameters - start) / 5, rtol=1e-9, atol=1e-15)


def test_without_a_batch_size_every_update_uses_all_samples():
    x, y = clouds()
    net = ensemble()
    model = sequential(net, 0)
    stepper = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        stepper.zero_grad()
        nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        stepper.step()
    generator = rng()
    before = generator.bit_generator.state
    train(net, x, y, lr=0.1, steps=5, rng=generator)
    torch.testing.assert_close(row(net, 0), torch_row(model), rtol=1e-10, atol=1e-12)
    assert generator.bit_generator.state == before


def test_weights_taken_before_training_see_it():
    net = ensemble()
    weight = net.weights[0]
    before = weight.clone()
    train(net, *clouds(), lr=0.1, steps=1, rng=rng())
    assert not torch.equal(weight, before)
    assert torch.equal(weight, net.weights[0])


def test_float32_trains_in_float32():
    net = ensemble(dtype="float32")
    history = train(net, *clouds(), optimizer="adam", lr=0.1, steps=3, dropout=0.5, rng=rng())
    assert (net.parameters.dtype, history.loss.dtype) == (torch.float32, np.float64)


# ---------------------------------------------------------------------------------------------------------------------
# Batches and masks


def test_each_pass_is_a_permutation():
    order = np.array(list(batch_order(10, 5, 6, 4, rng=rng())))
    passes = order.reshape(3, 2, 4, 5).transpose(0, 2, 1, 3).reshape(3, 4, 10)
    np.testing.assert_array_equal(np.sort(passes), np.broadcast_to(np.arange(10), passes.shape))
    assert len(np.unique(passes.reshape(12, 10), axis=0)) == 12


def test_what_is_left_of_a_pass_is_dropped():
    order = list(batch_order(10, 4, 5, 2, rng=rng()))
    assert [batch.shape for batch in order] == [(2, 4)] * 5
    for start in (0, 2):
        first_pass = np.concatenate(order[start : start + 2], axis=1)
        assert all(len(np.unique(row)) == 8 for row in first_pass)
    assert list(batch_order(10, 4, 0, 2, rng=rng())) == []


def ranks(orders):
    """Number the 6 permutations of three samples, shape (passes, replicas)."""
    return orders @ np.array([9, 3, 1])


def p_uniform(orders):
    counts = np.unique_counts(ranks(orders)[:, 0]).counts
    return stats.chisquare(np.pad(counts, (0, 6 - len(counts)))).pvalue


def p_independent(orders):
    """Chi-square of the joint table of two replicas' permutations against independence and uniformity."""
    first, second = (np.unique_inverse(rank).inverse_indices for rank in ranks(orders).T)
    return stats.chisquare(np.bincount(6 * first + second, minlength=36)).pvalue


def p_next_pass(orders):
    """As `p_independent`, of one replica's pass and its next."""
    return p_independent(orders[:, 0].reshape(-1, 2, 3))


def orders(passes=4000):
    return np.array(list(batch_order(3, 3, passes, 2, rng=rng())))


ORDER_CHECKS = (p_uniform, p_independent, p_next_pass)
WRONG_ORDERS = {
    "all replicas share one": lambda: orders()[:, :1].repeat(2, axis=1),
    "only rotations": lambda: (rng().integers(0, 3, (4000, 2, 1)) + np.arange(3)) % 3,
    "the same in every pass": lambda: orders(1).repeat(4000, axis=0),
    "a second pass repeats the first": lambda: orders(2000).repeat(2, axis=0),
}


def test_orders_are_uniform_and_independent():
    """False-failure rate ALPHA over the three checks."""
    assert min(check(orders()) for check in ORDER_CHECKS) > ALPHA / 3


@pytest.mark.parametrize("wrong", WRONG_ORDERS)
def test_wrong_orders_are_caught(wrong):
    assert min(check(WRONG_ORDERS[wrong]()) for check in ORDER_CHECKS) < ALPHA / 3


def dropped(dropout, copies=1):
    """Return the hidden activations, of value 1 before dropout, at each of 21 records."""
    seen = []

    def spy(a, b):
        if tuple(a.shape[1:]) == (40, 6) and b.shape[-1] == 5:
            seen.append(a)
        return torch.matmul(a, b)

    nets = {str(i): Ensemble((4, 6, 5), "linear", "zeros", rng=rng(), bias=[1, 0], product=spy) for i in range(copies)}
    train(nets, *clouds(), lr=0.0, steps=20, dropout=dropout, rng=rng())
    return torch.stack(seen).numpy()


def p_rate(hidden, dropout):
    return stats.binomtest(int((hidden == 0).sum()), hidden.size, dropout).pvalue


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.9])
def test_dropout_rate_and_scale(dropout):
    """False-failure rate ALPHA over the three cases."""
    hidden = dropped(dropout)
    assert p_rate(hidden, dropout) > ALPHA / 3
    np.testing.assert_allclose(np.unique(hidden), [0, 1 / (1 - dropout)], rtol=1e-15)
    assert len(np.unique(hidden.reshape(-1, 240), axis=0)) == 21 * 32  # no two steps and no two replicas share a mask


@pytest.mark.parametrize("wrong", [0.9, 0.11, 0.105])
def test_a_wrong_dropout_rate_is_caught(wrong):
    assert p_rate(dropped(wrong), 0.1) < ALPHA / 3


def test_ensembles_share_masks():
    hidden = dropped(0.5, copies=2)
    np.testing.assert_array_equal(hidden[:, :32], hidden[:, 32:])


# ---------------------------------------------------------------------------------------------------------------------
# Many at once


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_equal_replicas_of_two_ensembles_stay_equal(optimizer):
    first, second = ensemble(), ensemble(1)
    for own, other in zip(parts(second, 1), parts(first, 1), strict=True):
        own.copy_(other)
    run = {"optimizer": optimizer, "lr": 0.05, "steps": STEPS, "batch_size": BATCH, "dropout": 0.3}
    histories = train({"a": first, "b": second}, *clouds(), **run, rng=rng())
    np.testing.assert_allclose(histories["a"].loss[1], histories["b"].loss[1], rtol=1e-10)
    torch.testing.assert_close(row(first, 1), row(second, 1), rtol=1e-9, atol=1e-12)
    assert np.abs(histories["a"].loss[0] - histories["b"].loss[0]).max() > 0.01


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_together_equals_training_alone(optimizer):
    names = {"a": SEED, 0.5: 1, ("c",): 2}
    together, alone = {}, {}
    run = {"optimizer": optimizer, "lr": 0.05, "steps": STEPS, "batch_size": BATCH, "dropout": 0.3, "every": 7}
    run["watch"] = {"first": lambda net: net.weights[0]}
    together = {name: ensemble(seed) for name, seed in names.items()}
    joint = train(together, *clouds(), **run, rng=rng())
    for name, seed in names.items():
        alone = ensemble(seed)
        history = train(alone, *clouds(), **run, rng=rng())
        np.testing.assert_allclose(joint[name].loss, history.loss, rtol=1e-10)
        np.testing.assert_allclose(joint[name].measures["first"], history.measures["first"], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(together[name].parameters, alone.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("product", [torch.matmul, order_free_product])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_replica_that_diverges_leaves_the_others_alone(optimizer, product):
    run = {"optimizer": optimizer, "lr": 0.05, "steps": STEPS, "loss": "mse"}
    healthy, sick = (Ensemble((4, 6, 5), "relu", "he_normal", rng=rng(), product=product, replicas=5) for _ in "ab")
    for part in parts(sick, 2):
        part.fill_(1e200 if optimizer == "adam" else 1e40)
    expected = train(healthy, clouds().x, targets(), **run, rng=rng(2))
    history = train(sick, clouds().x, targets(), **run, rng=rng(2))
    others = [0, 1, 3, 4]
    assert history.loss[others].tobytes() == expected.loss[others].tobytes()
    assert all(torch.equal(row(sick, r), row(healthy, r)) for r in others)
    assert history.diverged.tolist() == [False, False, True, False, False]
    first = np.isinf(history.loss[2]).argmax()
    assert np.isinf(history.loss[2, first:]).all()
    assert np.isfinite(history.loss[2, :first]).all()
    assert not np.isnan(history.loss).any()
    assert not expected.diverged.any()


# ---------------------------------------------------------------------------------------------------------------------
# Histories


@pytest.mark.parametrize(
    ("steps", "every", "recorded"),
    [(0, 1, [0]), (3, 1, [0, 1, 2, 3]), (6, 3, [0, 3, 6]), (7, 3, [0, 3, 6, 7]), (2, 10, [0, 2])],
)
def test_first_and_last_are_recorded(steps, every, recorded):
    watch = {"row": lambda net: net.biases[0][:, 0], "matrix": lambda net: net.weights[1].numpy()}
    net = ensemble()
    start, bias = net.parameters.clone(), net.biases[0][:, 0].clone()
    history = train(net, *clouds(), lr=0.1, steps=steps, every=every, watch=watch, rng=rng())
    assert history.steps.tolist() == recorded
    assert history.loss.shape == history.measures["row"].shape == (REPLICAS, len(recorded))
    assert history.measures["matrix"].shape == (REPLICAS, len(recorded), 5, 6)
    np.testing.assert_array_equal(history.measures["row"][:, 0], bias)
    np.testing.assert_array_equal(history.measures["row"][:, -1], net.biases[0][:, 0])
    assert torch.equal(start, net.parameters) == (steps == 0)


def test_records_are_those_of_their_moment():
    """Each record is a copy: what `watch` returns may be a view of parameters that train on."""
    watch = {"w": lambda net: net.weights[0], "as array": lambda net: net.weights[0].numpy()}
    coarse = train(ensemble(), *clouds(), lr=0.1, steps=4, every=2, watch=watch, rng=rng())
    after = [train(net := ensemble(), *clouds(), lr=0.1, steps=n, rng=rng()) and net.weights[0] for n in (0, 2, 4)]
    for name in watch:
        np.testing.assert_array_equal(coarse.measures[name], np.stack(after, axis=1))


def test_a_cell_shows_where_training_led():
    history = History(np.array([0, 10]), np.array([[2.0, 0.5], [3.0, math.inf], [2.5, 1.0]]))
    assert repr(history) == "History(median loss 2.5 at step 0, 1 at step 10, 1 of 3 replicas diverged)"


def test_steps_to():
    loss = np.array([[3, 2, 1], [3, 1, 2], [3, 3, math.inf], [1, 5, 5]], dtype=float)
    units = np.array([[1, 2, 3], [1, 1, 1], [5, 1, 1], [1, 1, 3]])
    history = History(np.array([0, 10, 15]), loss, {"units": units})
    assert history.steps_to(2.0).tolist() == [10, 10, math.inf, 0]
    assert history.steps_to(0).tolist() == [math.inf] * 4
    assert history.steps_to(3, "units").tolist() == [15, math.inf, 0, 15]
    assert history.steps_to(9, "units").tolist() == [math.inf] * 4
    assert history.diverged.tolist() == [False, False, True, False]
    with pytest.raises(ValueError, match="unknown measure 'unit'; did you mean 'units'"):
        history.steps_to(3, "unit")
    for wrong in (units[:, 0], np.stack([units, units], axis=2)):
        with pytest.raises(ValueError, match=re.escape("measure 'wrong' must have shape (4, 3), got (4")):
            History(np.array([0, 10, 15]), loss, {"wrong": wrong}).steps_to(3, "wrong")
    with pytest.raises(ValueError, match="threshold must be finite"):
        history.steps_to(math.nan)


# ---------------------------------------------------------------------------------------------------------------------
# Bad input

GOOD = {"lr": 0.1, "steps": 2, "batch_size": 8}
NAN = np.full((40, 4), np.nan)
BAD = [
    ({"lr": -0.1}, ValueError, "lr must be at least 0"),
    ({"lr": math.nan}, ValueError, "lr must be finite"),
    ({"lr": "0.1"}, TypeError, "lr must be a real number"),
    ({"steps": -1}, ValueError, "steps must be at least 0"),
    ({"steps": 2.0}, TypeError, "steps must be an integer"),
    ({"every": 0}, ValueError, "every must be at least 1"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    ({"batch_size": 41}, ValueError, "batch_size must be at most the number of samples, 40, got 41"),
    ({"batch_size": 8.0}, TypeError, "batch_size must be an integer"),
    ({"dropout": 1.0}, ValueError, "dropout must be less than 1, got 1"),
    ({"dropout": -0.1}, ValueError, "dropout must be at least 0"),
    ({"clip": 0}, ValueError, "clip must be greater than 0, got 0; leave it out"),
    ({"clip": -1.0}, ValueError, "clip must be at least 0"),
    ({"clip": "1"}, TypeError, "clip must be a real number"),
    ({"loss": "cross_entrpy"}, ValueError, "did you mean 'cross_entropy'?"),
    ({"optimizer": "Adam"}, ValueError, "did you mean 'adam'?"),
    ({"rng": 0}, TypeError, "must be a numpy.random.Generator"),
    ({"x": np.zeros((40, 3))}, ValueError, "x must have shape (samples, 4), got (40, 3)"),
    ({"x": np.zeros((0, 4)), "y": np.zeros(0, int)}, ValueError, "x must have shape (samples, 4), got (0, 4)"),
    ({"x": np.zeros(4)}, ValueError, "x must have shape"),
    ({"x": NAN}, ValueError, "x must be finite"),
    ({"y": np.zeros(39, int)}, ValueError, "y must be 40 integer labels"),
    ({"y": np.zeros(40)}, ValueError, "y must be 40 integer labels for 'cross_entropy', got torch.float64"),
    ({"y": np.full(40, 5)}, ValueError, "labels must be 0 … 4, got 5 … 5"),
    ({"y": np.full(40, -1)}, ValueError, "labels must be 0 … 4, got -1"),
    ({"loss": "mse"}, ValueError, "y must have shape (40, 5) for 'mse', got (40,)"),
    ({"loss": "mse", "y": np.full((40, 5), math.nan)}, ValueError, "y must be finite"),
    ({"x": np.zeros((40, 4), int)}, TypeError, "x must be floating-point numbers, got torch.int64; pass np.asarray(x"),
    ({"x": None}, TypeError, "x must be an array of real numbers, got NoneType"),
    ({"x": np.ones((40, 4), complex)}, TypeError, "x must be an array of real numbers, got torch.complex128"),
    ({"x": np.array([[None] * 4] * 40)}, TypeError, "x must be an array of real numbers, got ndarray"),
    ({"x": "digits"}, TypeError, "x must be an array of real numbers, got str"),
    ({"x": [[1.0], [1.0, 2.0]]}, TypeError, "x must be an array of real numbers, got list"),
    ({"y": None}, TypeError, "y must be an array of real numbers, got NoneType"),
    ({"y": np.ones(40, complex)}, TypeError, "y must be an array of real numbers, got torch.complex128"),
    ({"watch": lambda net: net.parameters}, TypeError, "watch must be a mapping of names to functions of an Ensemble"),
    ({"watch": {"w": 1}}, TypeError, "watch must be a mapping of names to functions"),
    ({"watch": {"w": lambda net: 1.0}}, ValueError, "watch 'w' must return 3 rows, one a replica, got ()"),
    ({"watch": {"w": lambda net: net.weights[0][0]}}, ValueError, "watch 'w' must return 3 rows"),
    ({"watch": {"w": lambda net: net.nothing}}, AttributeError, "nothing"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_bad_arguments_train_nothing(change, error, message):
    net, data, generator = ensemble(), dict(zip("xy", clouds(), strict=True)), rng()
    before, state = net.parameters.clone(), generator.bit_generator.state
    with pytest.raises(error, match=re.escape(message)):
        train(net, **({"rng": generator} | GOOD | data | change))
    assert torch.equal(net.parameters, before)
    assert generator.bit_generator.state == state


@pytest.mark.parametrize(
    ("nets", "error", "message"),
    [
        (lambda: None, TypeError, "nets must be an Ensemble or a mapping of them, got NoneType"),
        (lambda: {"a": ensemble(), "b": 1}, TypeError, "got int for 'b'"),
        (lambda: {}, ValueError, "at least one ensemble"),
        (lambda: {"a": ensemble(), "b": ensemble(replicas=4)}, ValueError, "same number of replicas, got [3, 4]"),
        (lambda: {"a": ensemble(), "b": ensemble(widths=(4, 5))}, ValueError, "differ in widths"),
    ],
)
def test_bad_nets(nets, error, message):
    with pytest.raises(error, match=re.escape(message)):
        train(nets(), *clouds(), **GOOD, rng=rng())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0, 1, 1, 1), ValueError),
        ((4, 5, 1, 1), ValueError),
        ((4, 0, 1, 1), ValueError),
        ((4, 2, -1, 1), ValueError),
        ((4, 2, 1, 0), ValueError),
        ((4.0, 2, 1, 1), TypeError),
    ],
)
def test_bad_orders_raise_at_once(arguments, error):
    with pytest.raises(error):
        batch_order(*arguments, rng=rng())
    with pytest.raises(TypeError, match="Generator"):
        batch_order(4, 2, 1, 1, rng=0)


@pytest.mark.parametrize("loss", [cross_entropy, mean_squared_error])
def test_losses_refuse_targets_of_another_shape(loss):
    """Labels for one replica beside outputs of three would be scored against the first alone."""
    outputs = torch.zeros(3, 4, 5)
    targets = torch.zeros(1, 4, dtype=torch.int64) if loss is cross_entropy else torch.zeros(1, 4, 5)
    with pytest.raises(ValueError, match=r"targets must have shape \(3, 4.*got \(1, 4.*expand"):
        loss(outputs, targets)


# ---------------------------------------------------------------------------------------------------------------------
# Rates by layer, decay, epsilon, a loss to stop at, no biases


def by_layer(seed, low, high, shape=(REPLICAS, 2, 2)):
    return np.exp(rng(seed).uniform(np.log(low), np.log(high), shape))


def torch_groups(model, replica, **settings):
    """A group for each parameter, in the order of (layer, weight or bias); settings of shape (R, L, 2) or (L, 2)."""
    at = {name: np.broadcast_to(values, (REPLICAS, 2, 2))[replica].ravel() for name, values in settings.items()}
    return [
        {"params": [parameter], **{name: float(values[i]) for name, values in at.items()}}
        for i, parameter in enumerate(model.parameters())
    ]


class DecoupledMomentum(torch.optim.SGD):
    """SGDW with a momentum of 0.9, Loshchilov & Hutter 2019, algorithm 1."""

    def step(self):
        for group in self.param_groups:
            decay, group["weight_decay"] = group["weight_decay"], 0.0
            for parameter in group["params"]:
                parameter.data.mul_(1 - group["lr"] * decay)
            group["kept"] = decay
        super().step()
        for group in self.param_groups:
            group["weight_decay"] = group["kept"]


DECAYED = {
    "sgd": lambda groups: torch.optim.SGD(
        groups
    ),  # its decay goes into the gradient, which is the same without momentum
    "momentum": lambda groups: DecoupledMomentum(groups, momentum=0.9),
    "adam": lambda groups: torch.optim.AdamW(groups),
}


@pytest.mark.parametrize("per_replica", [True, False], ids=["each replica", "all replicas"])
@pytest.mark.parametrize("optimizer", DECAYED)
def test_rates_decay_and_epsilon_of_each_layer_are_those_of_torchs_groups(optimizer, per_replica):
    x, y = clouds()
    net, shape = ensemble(), (REPLICAS, 2, 2) if per_replica else (2, 2)
    own = {"lr": by_layer(5, 0.01, 0.3, shape), "weight_decay": by_layer(6, 0.1, 2.0, shape)}
    own |= {"eps": by_layer(7, 1e-4, 1e-1, shape)} if optimizer == "adam" else {}
    models = [sequential(net, r) for r in range(REPLICAS)]
    train(net, x, y, optimizer=optimizer, steps=STEPS, rng=rng(2), **own)
    for r, model in enumerate(models):
        stepper = DECAYED[optimizer](torch_groups(model, r, **own))
        for _ in range(STEPS):
            stepper.zero_grad()
            nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
            stepper.step()
        torch.testing.assert_close(row(net, r), torch_row(model), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_rate_written_for_each_layer_is_that_rate_to_the_last_bit(optimizer):
    rates = np.array([0.1, 0.03, 0.2])
    nets = [ensemble(), ensemble()]
    for net, lr in zip(nets, (rates, np.broadcast_to(rates[:, None, None], (REPLICAS, 2, 2))), strict=True):
        train(net, *clouds(), optimizer=optimizer, lr=lr, steps=STEPS, batch_size=BATCH, rng=rng())
    assert torch.equal(nets[0].parameters, nets[1].parameters)


def test_each_ensemble_may_have_settings_of_its_own():
    own = {
        "lr": {"a": 0.1, "b": by_layer(5, 0.01, 0.3)},
        "weight_decay": {"a": [0.1, 0.0, 0.3], "b": 0.5},
        "eps": {"a": 1e-3, "b": by_layer(7, 1e-4, 1e-1, (2, 2))},
    }
    together = {"a": ensemble(), "b": ensemble(1)}
    train(together, *clouds(), optimizer="adam", steps=STEPS, batch_size=BATCH, rng=rng(), **own)
    for name, seed in (("a", SEED), ("b", 1)):
        alone = ensemble(seed)
        settings = {key: values[name] for key, values in own.items()}
        train(alone, *clouds(), optimizer="adam", steps=STEPS, batch_size=BATCH, rng=rng(), **settings)
        torch.testing.assert_close(together[name].parameters, alone.parameters, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=re.escape("lr must be one for all or have the names ['a', 'b'], got ['a']")):
        train(together, *clouds(), lr={"a": 0.1}, steps=1, rng=rng())


@pytest.mark.parametrize(("optimizer", "weight_decay"), [("sgd", 0.0), ("momentum", 0.1), ("adam", 0.1)])
def test_each_replica_stops_where_its_own_loss_is_low_enough(optimizer, weight_decay):
    nets = {"a": ensemble(), "b": ensemble(1)}
    run = {"optimizer": optimizer, "lr": 0.1, "weight_decay": weight_decay, "steps": 40}
    watch = {"parameters": lambda net: torch.cat([part.flatten(1) for part in net.tensors], dim=1)}
    twins = {name: net.part(slice(None)) for name, net in nets.items()}
    free = train(twins, *clouds(), watch=watch, rng=rng(), **run)
    threshold = float(np.median([history.loss[:, 15] for history in free.values()]))
    found = train(nets, *clouds(), every=1000, until=threshold, rng=rng(), **run)
    reached = np.concatenate([history.reached for history in found.values()])
    assert len(set(reached)) > 2
    assert found["a"].steps.tolist() == [0, min(40, reached.max())] == found["b"].steps.tolist()
    for name, history in found.items():
        np.testing.assert_array_equal(history.reached, free[name].steps_to(threshold))
        stays = np.minimum(history.reached, 40).astype(int)
        expected = free[name].measures["parameters"][np.arange(REPLICAS), stays]
        np.testing.assert_allclose(watch["parameters"](nets[name]), expected, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(history.loss[:, -1], free[name].loss[np.arange(REPLICAS), stays], rtol=1e-8)


def test_what_never_gets_there_is_said():
    net = Ensemble((4, 6, 5), "relu", "he_normal", rng=rng(), replicas=4)
    for part in parts(net, 2):
        part.fill_(1e40)
    run = {"lr": [0.05, 0.0, 0.05, 0.05], "loss": "mse", "rng": rng()}
    history = train(net, clouds().x, targets(), steps=30, until=2.0, **run)
    low = history.loss[:, -1] <= 2.0
    assert low.any()
    assert not low[1:3].any()
    np.testing.assert_array_equal(np.isfinite(history.reached), low)
    assert history.diverged.tolist() == [False, False, True, False]
    assert train(net, clouds().x, targets(), steps=3, **run).reached is None
    sick = net.part(slice(2, 3))
    history = train(sick, clouds().x, targets(), lr=0.1, loss="mse", steps=30, until=2.0, rng=rng())
    assert history.steps[-1] < 30  # nothing is left to train
    assert history.reached.tolist() == [math.inf]


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_without_biases_a_network_trains_as_torchs_without(optimizer, clip):
    x, y = clouds()
    net = ensemble(bias=None, sigma_b=0.0)
    models = [
        nn.Sequential(nn.Linear(4, 6, bias=False), nn.Tanh(), nn.Linear(6, 5, bias=False)).double()
        for _ in range(REPLICAS)
    ]
    for r, model in enumerate(models):
        with torch.no_grad():
            for own, weight in zip(model.parameters(), net.weights, strict=True):
                own.copy_(weight[r])
    train(net, x, y, optimizer=optimizer, lr=0.05, steps=STEPS, clip=clip, rng=rng())
    for r, model in enumerate(models):
        stepper = OPTIMIZERS[optimizer](model.parameters(), 0.05)
        for _ in range(STEPS):
            stepper.zero_grad()
            nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            stepper.step()
        ours = torch.cat([weight[r].flatten() for weight in net.weights])
        torch.testing.assert_close(ours, torch_row(model), rtol=1e-4 if clip else 1e-10, atol=1e-6 if clip else 1e-12)
    assert not any(bool(bias.any()) for bias in net.biases)
    assert "no biases" in repr(net)


def test_no_biases_where_there_are_some_is_refused():
    with pytest.raises(ValueError, match=re.escape("sigma_b must be 0 where bias is None")):
        ensemble(bias=None)
    with pytest.raises(ValueError, match="got None; Normalized has biases"):
        ini.networks.Normalized((4, 6, 5), "relu", "he_normal", norm="batch", bias=None, rng=rng())
    with pytest.raises(ValueError, match="ensembles to be joined differ in biases"):
        ini.networks.join([ensemble(bias=None, sigma_b=0.0), ensemble()])


SETTINGS = [
    ({"lr": np.full((3, 2), 0.1)}, "lr must be a number or one for each of 3 replicas, got shape (3, 2); for weights"),
    ({"lr": np.full((2, 2), -0.1)}, "lr must be at least 0"),
    ({"weight_decay": -0.1}, "weight_decay must be at least 0"),
    ({"weight_decay": [0.1, 0.1]}, "weight_decay must be a number or one for each of 3 replicas, got shape (2,)"),
    ({"eps": 1e-8}, "eps is for 'adam', got it for 'sgd'; leave it out"),
    ({"eps": 0.0, "optimizer": "adam"}, "eps must be greater than 0"),
    ({"eps": {"a": 1e-8}, "optimizer": "adam"}, "eps must be one for all or have the names"),
    ({"until": math.nan, "batch_size": None}, "until must be finite"),
    ({"until": 0.1}, "until needs the loss of all samples before each update; leave out batch_size and dropout"),
    ({"until": 0.1, "batch_size": None, "dropout": 0.1}, "until needs the loss of all samples"),
]


@pytest.mark.parametrize(("change", "message"), SETTINGS, ids=[str(number) for number in range(len(SETTINGS))])
def test_bad_settings_train_nothing(change, message):
    net = ensemble()
    before = net.parameters.clone()
    with pytest.raises(ValueError, match=re.escape(message)):
        train(net, *clouds(), **(GOOD | {"rng": rng()} | change))
    assert torch.equal(net.parameters, before)


def test_samples_of_each_replicas_own_train_it_as_alone():
    x, y = rng(1).standard_normal((3, 7, 4)), rng(2).standard_normal((3, 7, 2))
    nets = {name: Ensemble((4, 5, 2), "tanh", "he_normal", rng=rng(at), replicas=3) for at, name in enumerate("ab")}
    alone = {name: [net.part(slice(r, r + 1)) for r in range(3)] for name, net in nets.items()}
    train(nets, x, y, loss="mse", lr=0.1, steps=5, rng=rng())
    for name, net in nets.items():
        for r, own in enumerate(alone[name]):
            train(own, x[r], y[r], loss="mse", lr=0.1, steps=5, rng=rng())
            torch.testing.assert_close(net.part(slice(r, r + 1)).parameters, own.parameters)
    with pytest.raises(ValueError, match=r"x must have shape \(samples, 4\), got \(3, 7, 4\)"):
        train(nets, x, y, loss="mse", lr=0.1, steps=5, batch_size=2, rng=rng())
    with pytest.raises(ValueError, match=r"or \(3, samples, 4\), got \(2, 7, 4\)"):
        train(nets, x[:2], y[:2], loss="mse", lr=0.1, steps=5, rng=rng())
    with pytest.raises(ValueError, match=r"y must have shape \(3, 7, 2\)"):
        train(nets, x, y[0], loss="mse", lr=0.1, steps=5, rng=rng())
