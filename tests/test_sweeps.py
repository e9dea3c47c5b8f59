"""Sweeps against training at one rate at a time, and the choice of a rate against what the same data would choose.

Statistical tests state their false-failure rate; their seeds are fixed, and a wrong implementation must fail them.
"""

import math
import re

import numpy as np
import pytest
import torch

import initnotes as ini
from initnotes.networks import Ensemble, Normalized, Residual, descent, order_free_product, sweeps, train
from initnotes.networks.training import Sweep, batch_order, best_rate, sweep

SEED = 20260301
REPLICAS, BATCH = 4, 8
RATES, BUDGETS = [0.01, 0.1, 0.5], [3, 12]


def rng(seed=SEED):
    return np.random.default_rng(seed)


def clouds(seed=SEED):
    return ini.data.gaussian_clouds(40, 4, 5, rng=rng(seed))


def targets():
    return rng(1).standard_normal((40, 5))


def ensemble(scheme="xavier_normal", seed=SEED, activation="tanh", widths=(4, 6, 7, 5), **options):
    return Ensemble(widths, activation, scheme, rng=rng(seed), replicas=REPLICAS, sigma_b=0.1, **options)


KINDS = {
    "plain": lambda scheme, seed: ensemble(scheme, seed),
    "relu": lambda scheme, seed: ensemble(scheme, seed, "relu"),
    "a function": lambda scheme, seed: ensemble(scheme, seed, lambda x: x + x**3 / 10),
    "order-free": lambda scheme, seed: ensemble(scheme, seed, product=order_free_product),
    "no hidden layer": lambda scheme, seed: ensemble(scheme, seed, widths=(4, 5)),
    "normalized": lambda scheme, seed: Normalized(
        (4, 6, 5), "relu", scheme, norm="batch", rng=rng(seed), replicas=REPLICAS
    ),
    "residual": lambda scheme, seed: Residual((4, 6, 5), 2, "relu", scheme, rng=rng(seed), replicas=REPLICAS),
}


def swept(kind="plain", **options):
    arms = {"a": KINDS[kind]("xavier_normal", 1), "b": KINDS[kind]("he_normal", 2)}
    run = {"rates": RATES, "budgets": BUDGETS, "batch_size": BATCH, "rng": rng(3)} | options
    return sweep(arms, *run.pop("data", clouds()), **run)


def one_at_a_time(kind="plain", data=None, measured=None, **options):
    """Return the values of a sweep from plain runs of `train`: a fresh network for each arm, rate and budget."""
    x, y = clouds() if data is None else data
    run = {"batch_size": BATCH} | options
    values = {}
    for name, scheme, seed in (("a", "xavier_normal", 1), ("b", "he_normal", 2)):
        values[name] = np.empty((len(BUDGETS), len(RATES), REPLICAS))
        for at, k in np.ndindex(len(BUDGETS), len(RATES)):
            steps, rate = BUDGETS[at], RATES[k]
            net = KINDS[kind](scheme, seed)
            train(net, x, y, lr=rate, steps=steps, every=steps, rng=rng(3), **run)
            loss = train(net, *(measured or (x, y)), lr=0.0, steps=0, loss=run.get("loss", "cross_entropy"), rng=rng())
            values[name][at, k] = loss.loss[:, 0]
    return values


def assert_same(found, expected):
    for name, values in expected.items():
        np.testing.assert_allclose(found.values[name], values, rtol=1e-7)


# ---------------------------------------------------------------------------------------------------------------------
# Training


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_is_training_at_one_rate_after_the_other(kind):
    assert_same(swept(kind), one_at_a_time(kind))


@pytest.mark.parametrize("clip", [None, 0.2])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_with_every_optimizer_clipped_or_not(optimizer, clip):
    run = {"optimizer": optimizer, "clip": clip}
    assert_same(swept(**run), one_at_a_time(**run))
    assert_same(swept("residual", **run), one_at_a_time("residual", **run))


@pytest.mark.parametrize(("kind", "optimizer"), [("plain", "sgd"), ("plain", "adam"), ("residual", "momentum")])
def test_with_a_warm_up(kind, optimizer):
    run = {"optimizer": optimizer, "warm_up": 7}
    assert_same(swept(kind, **run), one_at_a_time(kind, **run))


def test_a_warm_up_goes_on_where_copies_have_diverged():
    run = {"data": (clouds().x, targets()), "loss": "mse", "warm_up": 9}
    wild, calm = swept(rates=[0.01, 1e200], **run), swept(rates=[0.01], **run)
    for arm in wild.arms:
        np.testing.assert_allclose(wild.values[arm][:, :1], calm.values[arm], rtol=1e-9)


def test_with_squared_errors_and_whole_batches():
    run = {"data": (clouds().x, targets()), "loss": "mse", "batch_size": None}
    assert_same(swept(**run), one_at_a_time(**run))


def test_each_replica_may_have_a_set_of_its_own():
    x, y = rng(7).standard_normal((REPLICAS, 9, 4)), rng(8).standard_normal((REPLICAS, 9, 5))
    run = {"data": (x, y), "loss": "mse", "batch_size": None}
    assert_same(swept(**run), one_at_a_time(**run))
    other = (rng(9).standard_normal((REPLICAS, 6, 4)), rng(10).standard_normal((REPLICAS, 6, 5)))
    assert_same(swept(**run, held_out=other), one_at_a_time(**run, measured=other))
    with pytest.raises(ValueError, match="x must have shape"):
        swept(**run | {"batch_size": 4})


@pytest.mark.parametrize("numbers", [1, 500, 10**9], ids=["one copy", "some copies", "all copies"])
def test_pieces_of_any_size_train_alike(numbers, monkeypatch):
    monkeypatch.setattr(descent, "NUMBERS", numbers)
    monkeypatch.setattr(sweeps, "NUMBERS", numbers)
    assert_same(swept(optimizer="momentum"), one_at_a_time(optimizer="momentum"))


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "sine", "sigmoid"])
def test_each_way_to_compute_an_activation_trains_alike(activation, monkeypatch):
    """In one place, apart, and copied, beside the ordinary forward and backward passes."""
    monkeypatch.setitem(KINDS, activation, lambda scheme, seed: ensemble(scheme, seed, activation))
    assert_same(swept(activation), one_at_a_time(activation))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_float32_is_swept_in_float32(dtype):
    found = sweep({"a": ensemble(dtype=dtype)}, *clouds(), rates=RATES, budgets=BUDGETS, rng=rng())
    assert found.values["a"].dtype == np.float64
    assert found.values["a"].shape == (2, 3, REPLICAS)


def test_arms_of_different_kinds_see_the_same_batches_and_stay_as_they_are():
    arms = {
        "tanh": ensemble(),
        "relu": ensemble(activation="relu"),
        "again": ensemble(),
        "wide": ensemble(widths=(4, 9, 5)),
        "normalized": KINDS["normalized"]("he_normal", 2),
    }
    before = {name: net.parameters.clone() for name, net in arms.items()}
    found = sweep(arms, *clouds(), rates=RATES, budgets=[10], batch_size=BATCH, rng=rng(3))
    assert found.arms == tuple(arms)
    np.testing.assert_allclose(found.values["tanh"], found.values["again"], rtol=1e-9)
    alone = sweep({"wide": arms["wide"]}, *clouds(), rates=RATES, budgets=[10], batch_size=BATCH, rng=rng(3))
    np.testing.assert_allclose(found.values["wide"], alone.values["wide"], rtol=1e-9)
    assert all(torch.equal(before[name], net.parameters) for name, net in arms.items())


def test_held_out_samples_and_other_measures():
    other = clouds(5)
    assert_same(swept(held_out=other), one_at_a_time(measured=other))
    found = swept(measure=lambda net: 1 - ini.networks.accuracy(net, *other))
    assert found.values["a"].shape == (2, 3, REPLICAS)
    net = ensemble("xavier_normal", 1)
    train(net, *clouds(), lr=RATES[1], steps=BUDGETS[1], batch_size=BATCH, rng=rng(3))
    np.testing.assert_allclose(found.values["a"][1, 1], 1 - ini.networks.accuracy(net, *other))


@pytest.mark.parametrize("kind", ["relu", "order-free", "residual"])
@pytest.mark.parametrize("measure", [None, lambda net: np.zeros(net.replicas)], ids=["loss", "measure"])
def test_what_diverges_is_counted_and_leaves_the_others_alone(kind, measure):
    run = {"data": (clouds().x, targets()), "loss": "mse", "measure": measure}
    if kind == "order-free":
        run["optimizer"] = "momentum"
    wild = swept(kind, rates=[0.01, 1e200], **run)
    calm = swept(kind, rates=[0.01], **run)
    for arm in wild.arms:
        np.testing.assert_allclose(wild.values[arm][:, :1], calm.values[arm], rtol=1e-9)
        assert wild.diverged[arm].tolist() == [[False] * REPLICAS, [True] * REPLICAS]
        assert np.isinf(wild.values[arm][:, 1]).all()
        assert wild.best(arm).tolist() == [0, 0]


@pytest.mark.parametrize(("optimizer", "measured"), [("sgd", 4 + 2 + 2), ("momentum", 4 + 4 + 4)])
def test_copies_that_have_diverged_for_good_are_left_out_under_sgd_alone(optimizer, measured):
    seen = []
    run = {"rates": [0.01, 1e200], "budgets": [3, 6, 12], "optimizer": optimizer, "loss": "mse"}
    wild = swept("relu", data=(clouds().x, targets()), measure=lambda net: seen.append(1) or np.ones(REPLICAS), **run)
    assert len(seen) == measured
    assert np.isinf(wild.values["b"][:, 1]).all()
    assert (wild.values["b"][:, 0] == 1).all()


# ---------------------------------------------------------------------------------------------------------------------
# A rate for each replica


@pytest.mark.parametrize("clip", [None, 0.2])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_each_replica_trains_at_its_own_rate(kind, optimizer, clip):
    lr = np.array([0.0, 0.01, 0.03, 0.1])
    run = {"optimizer": optimizer, "clip": clip, "steps": 12, "batch_size": BATCH}
    nets = {"a": KINDS[kind]("xavier_normal", 1), "b": KINDS[kind]("he_normal", 2)}
    together = train(nets, *clouds(), lr=lr, rng=rng(3), **run)
    for r, rate in enumerate(lr):
        alone = {"a": KINDS[kind]("xavier_normal", 1), "b": KINDS[kind]("he_normal", 2)}
        histories = train(alone, *clouds(), lr=float(rate), rng=rng(3), **run)
        for name, net in nets.items():
            np.testing.assert_allclose(together[name].loss[r], histories[name].loss[r], rtol=1e-9)
            for own, other in zip(net.tensors, alone[name].tensors, strict=True):
                torch.testing.assert_close(own[r], other[r], rtol=1e-8, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("lr", [[0.1] * 3, [[0.1] * 4], [], np.ones((4, 1))], ids=str)
def test_rates_of_another_shape_are_refused(lr):
    with pytest.raises(ValueError, match=r"lr must be a number or one for each of 4 replicas, got shape"):
        train(ensemble(), *clouds(), lr=lr, steps=1, rng=rng())


@pytest.mark.parametrize("bad", [-0.1, math.nan, "0.1"])
def test_every_rate_is_checked(bad):
    with pytest.raises((TypeError, ValueError), match="lr must be"):
        train(ensemble(), *clouds(), lr=[0.1, 0.1, 0.1, bad], steps=1, rng=rng())


# ---------------------------------------------------------------------------------------------------------------------
# The choice


def made(values, rates=None, **others):
    """Return a sweep of given values of arms, each of shape (B, K, R)."""
    arms = {name: np.asarray(own, dtype=float) for name, own in ({"a": values} | others).items()}
    budgets, count, _ = next(iter(arms.values())).shape
    return Sweep(
        np.array(rates or 10.0 ** np.arange(count)),
        tuple(arms),
        tuple(10 ** (at + 1) for at in range(budgets)),
        arms,
        {name: np.isinf(own).any(0) for name, own in arms.items()},
    )


def test_each_half_is_judged_at_the_rate_that_the_other_chose():
    even_likes_first = [[1, 9, 1, 9], [5, 2, 6, 3], [7, 7, 7, 7]]
    found = made([even_likes_first, even_likes_first[::-1]])
    assert found.at_best("a", 0).tolist() == [5, 9, 6, 9]  # the even ones at the second rate, the odd ones at the first
    assert found.at_best("a", 1).tolist() == [5, 9, 6, 9]
    assert found.best("a").tolist() == [1, 1]  # medians 5, 4, 7


def noise(draws=2000, count=6, replicas=16):
    """Return values that do not depend on the rate, as `draws` budgets."""
    return rng(7).standard_normal((draws, count, replicas))


def cross(found):
    return np.array([found.at_best("a", at).mean() for at in range(len(found.budgets))])


def naive(found):
    return np.array([own[best].mean() for own, best in zip(found.values["a"], found.best("a"), strict=True)])


def z_score(means):
    return abs(means.mean()) / (means.std() / math.sqrt(len(means)))


def test_of_pure_noise_the_best_rate_is_no_better():
    """False-failure rate 1e-4 (a normal beyond 3.9), under a fresh seed."""
    values = noise()
    found = Sweep(np.arange(1.0, 7), ("a",), tuple(range(1, 2001)), {"a": values}, {"a": np.zeros((6, 16), bool)})
    assert z_score(cross(found)) < 3.9
    assert z_score(naive(found)) > 20  # choosing and judging by the same replicas is caught
    assert naive(found).mean() < -0.2


def test_differences_are_paired_and_infinite_ones_compared():
    inf = math.inf
    found = made([[[1, 2, inf, inf]]], b=[[[3, 5, 1, inf]]])
    assert found.difference("a", "b", 0).tolist() == [-2, -3, inf, 0]
    assert found.difference("b", "a", 0).tolist() == [2, 3, -inf, 0]


def test_a_best_rate_at_an_edge_is_said():
    inner, first, halves = [[3, 3], [1, 1], [2, 2]], [[1, 1], [2, 2], [3, 3]], [[9, 1], [1, 2], [3, 3]]
    found = made([inner, first, halves])
    assert found.at_edge["a"].tolist() == [False, True, True]
    assert made([[[1, 1]], [[1, 1]]]).at_edge["a"].tolist() == [True, True]


def test_a_median_that_diverged_is_never_the_best():
    inf = math.inf
    found = made([[[0, inf, inf, 0], [7, 7, 7, 7], [inf, inf, inf, inf]]])
    assert found.best("a").tolist() == [1]
    assert made([[[inf, inf], [inf, inf]]]).at_best("a", 0).tolist() == [inf, inf]


def test_a_cell_shows_what_was_found():
    found = made([[[3, 4], [1, 2], [5, math.inf]]], rates=[0.01, 0.1, 1.0])
    text = repr(found)
    assert text.splitlines()[0].split("  ")[0] == "arm"
    assert text.splitlines()[1].split() == ["a", "10", "0.1", "1.5", "1", "…", "2", "0", "of", "2", "no"]
    assert "<table>" in found._repr_html_()
    assert found.table(digits=1)["a", "best rate"] == "0.1"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda found: found.best("A"), "unknown arm 'A'; did you mean 'a'?"),
        (lambda found: found.at_best("a", 1), "budget_index must be below 1"),
        (lambda found: found.at_best("a", -1), "budget_index must be at least 0"),
        (lambda found: found.difference("a", "b", 0), "unknown arm 'b'"),
    ],
)
def test_unknown_arms_and_budgets(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(made([[[1, 2]]]))


# ---------------------------------------------------------------------------------------------------------------------
# Bad input

GOOD = {"rates": RATES, "budgets": BUDGETS, "batch_size": BATCH}
BAD = [
    ({"rates": [0.1, 0.01]}, ValueError, "rates must be increasing, at least one, got [0.1, 0.01]"),
    ({"rates": [0.1, 0.1]}, ValueError, "rates must be increasing"),
    ({"rates": []}, ValueError, "rates must be increasing, at least one, got []"),
    ({"rates": [0.0, 0.1]}, ValueError, "rates must be greater than 0, got 0"),
    ({"rates": 0.1}, TypeError, "rates must be a sequence of numbers, got 0.1"),
    ({"rates": ["0.1"]}, TypeError, "rates must be a real number"),
    ({"budgets": [10, 5]}, ValueError, "budgets must be increasing"),
    ({"budgets": [0, 5]}, ValueError, "budgets must be at least 1, got 0"),
    ({"budgets": [1.5]}, TypeError, "budgets must be an integer"),
    ({"budgets": 5}, TypeError, "budgets must be a sequence"),
    ({"batch_size": 41}, ValueError, "batch_size must be at most the number of samples, 40, got 41"),
    ({"clip": 0}, ValueError, "clip must be greater than 0"),
    ({"warm_up": -1}, ValueError, "warm_up must be at least 0, got -1"),
    ({"optimizer": "Adam"}, ValueError, "did you mean 'adam'?"),
    ({"loss": "mae"}, ValueError, "unknown loss 'mae'"),
    ({"measure": 3}, TypeError, "measure must be a function of an Ensemble, got 3"),
    ({"rng": 0}, TypeError, "must be a numpy.random.Generator"),
    ({"x": np.zeros((40, 3))}, ValueError, "x must have shape (samples, 4), got (40, 3)"),
    ({"x": np.zeros((40, 4), int)}, TypeError, "x must be floating-point numbers, got torch.int64; pass"),
    ({"held_out": (np.zeros((3, 3)), [0, 1, 2])}, ValueError, "x must have shape (samples, 4), got (3, 3)"),
    ({"arms": {}}, TypeError, "arms must be a mapping of at least one name to an Ensemble, got none"),
    ({"arms": ensemble()}, TypeError, "arms must be a mapping of names to Ensembles"),
    ({"arms": {"a": None}}, TypeError, "got {'a': 'NoneType'}"),
    ({"arms": {1: ensemble()}}, TypeError, "arms must be a mapping of names"),
    ({"arms": {"a": ensemble(), "b": ensemble(widths=(4, 6))}}, ValueError, "arms need the same inputs and outputs"),
    (
        {"arms": {"a": ensemble(), "b": Ensemble((4, 5), "tanh", "zeros", rng=rng())}},
        ValueError,
        "arms need the same number of replicas, got [4, 32]",
    ),
    ({"arms": {"a": ensemble(), "b": ensemble(dtype="float32")}}, ValueError, "arms need the same dtype"),
    (
        {"arms": {"a": Ensemble((4, 5), "tanh", "zeros", rng=rng(), replicas=1)}},
        ValueError,
        "arms need at least 2 replicas, as one half chooses the rate for the other, got 1",
    ),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_bad_arguments_sweep_nothing(change, error, message):
    net, data, generator = ensemble(), dict(zip("xy", clouds(), strict=True)), rng()
    before, state = net.parameters.clone(), generator.bit_generator.state
    with pytest.raises(error, match=re.escape(message)):
        sweep(**({"arms": {"a": net}, "rng": generator} | GOOD | data | change))
    assert torch.equal(net.parameters, before)
    assert generator.bit_generator.state == state


def test_a_measure_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=re.escape("measure must return an array of shape (4,), got ()")):
        swept(measure=lambda net: 1.0)


def test_batches_are_those_of_batch_order():
    """What is trained first is the first of `batch_order`: one step at a rate of 1 on the labels' mean alone."""
    seen = next(batch_order(40, BATCH, 3, REPLICAS, rng=rng(3)))
    x, y = clouds()
    arm = Ensemble((4, 5), "linear", "zeros", rng=rng(), replicas=REPLICAS)
    run = {"rates": [1.0], "budgets": [1], "batch_size": BATCH, "measure": lambda net: net.biases[0][:, 0]}
    found = sweep({"a": arm}, x, y, **run, rng=rng(3))
    np.testing.assert_allclose(found.values["a"][0, 0], (y[seen] == 0).mean(1) - 0.2)


# ---------------------------------------------------------------------------------------------------------------------
# Factors by layer, decay, epsilon, no biases


FACTORS = np.array([[1.0, 0.5], [0.1, 2.0], [3.0, 1.0]])
OWN = {
    "a": {"factors": FACTORS, "weight_decay": 0.3, "eps": 1e-3},
    "b": {"factors": [1.0, 0.2, 0.5, 2.0], "weight_decay": FACTORS, "eps": FACTORS * 1e-2},
}


@pytest.mark.parametrize("numbers", [1, 10**9], ids=["one copy", "all copies"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("kind", ["plain", "order-free", "without biases"])
def test_settings_of_an_arms_layers_are_those_of_training(kind, optimizer, numbers, monkeypatch):
    monkeypatch.setattr(descent, "NUMBERS", numbers)
    bare = {"rng": rng(), "replicas": REPLICAS, "bias": None}
    monkeypatch.setitem(KINDS, "without biases", lambda scheme, seed: Ensemble((4, 6, 7, 5), "tanh", scheme, **bare))
    names = ["factors", "weight_decay", *(["eps"] if optimizer == "adam" else [])]
    settings = {name: {arm: OWN[arm][name] for arm in OWN} for name in names}
    arms = {"a": KINDS[kind]("xavier_normal", 1), "b": KINDS[kind]("he_normal", 2)}
    run = {"optimizer": optimizer, "batch_size": BATCH, "clip": 0.5}
    found = sweep(arms, *clouds(), rates=RATES, budgets=[12], rng=rng(3), **settings, **run)
    for arm, k in ((arm, k) for arm in arms for k in range(len(RATES))):
        net, own = arms[arm].part(slice(None)), {name: OWN[arm][name] for name in names}
        train(net, *clouds(), lr=RATES[k] * np.array(own.pop("factors")), steps=12, rng=rng(3), **own, **run)
        after = train(net, *clouds(), lr=0.0, steps=0, rng=rng()).loss[:, 0]
        np.testing.assert_allclose(found.values[arm][0, k], after, rtol=1e-7)


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_factors_of_one_change_no_bit(kind):
    layers = KINDS[kind]("xavier_normal", 1).depth
    plain, same = swept(kind), swept(kind, factors={"a": np.ones((layers, 2)), "b": 1.0})
    assert all(plain.values[arm].tobytes() == same.values[arm].tobytes() for arm in plain.arms)


def test_arms_of_other_widths_have_settings_of_their_own():
    arms = {"a": ensemble(), "b": ensemble(widths=(4, 5))}
    found = sweep(
        arms,
        *clouds(),
        rates=RATES,
        budgets=[5],
        factors={"a": np.ones((3, 2)), "b": np.zeros((1, 2))},
        measure=lambda net: net.parameters.view(REPLICAS, -1)[:, 0] * 0 + net.weights[0].square().sum((1, 2)),
        rng=rng(),
    )
    np.testing.assert_array_equal(found.values["b"][0], np.tile(arms["b"].weights[0].square().sum((1, 2)), (3, 1)))
    assert (found.values["a"][0] != arms["a"].weights[0].square().sum((1, 2)).numpy()).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factors": {"a": 1.0}}, "factors must be one for all or have the names ['a', 'b'], got ['a']"),
        ({"factors": -1.0}, "factors must be at least 0"),
        ({"weight_decay": [1.0]}, "weight_decay must be a number or one for each of 4 replicas, got shape (1,)"),
        ({"eps": 1e-8}, "eps is for 'adam', got it for 'sgd'"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        swept(**change)


# ---------------------------------------------------------------------------------------------------------------------
# The bottom of a curve


def test_the_best_rate_is_the_bottom_of_a_parabola():
    rates = np.array([0.01, 0.02, 0.1, 0.3, 1.0])
    bottoms = np.array([0.02, 0.05, 0.11, 0.2, 0.35])  # uneven steps: the nearest rate is not always the least
    losses = 3.0 + 2.0 * (np.log(rates)[:, None] - np.log(bottoms)) ** 2
    found = best_rate(rates, losses)
    np.testing.assert_allclose(found.rate, bottoms)
    assert not found.at_edge.any()
    other = best_rate(7 * rates, 5 * losses.reshape(5, 5, 1) - 100)
    np.testing.assert_allclose(other.rate[:, 0], 7 * bottoms)
    alone = best_rate(rates, losses[:, 1])
    assert isinstance(alone.rate, float)
    assert alone.rate == found.rate[1]


@pytest.mark.parametrize(
    ("losses", "rate", "at_edge"),
    [
        ([1, 2, 3, 4], 1.0, True),
        ([4, 3, 2, 1], 8.0, True),
        ([3, 1, math.inf, math.inf], 2.0, False),
        ([math.nan, 1, 2, 3], 2.0, False),
        ([2, 1, math.nan, 0.5], 8.0, True),
        ([1, 1, 1, 1], 1.0, True),
        ([2, 1, 1, 1], math.sqrt(8), False),
        ([math.inf] * 4, math.nan, True),
    ],
)
def test_the_best_rate_at_an_edge_or_beside_divergence(losses, rate, at_edge):
    found = best_rate([1.0, 2.0, 4.0, 8.0], losses)
    np.testing.assert_allclose(found.rate, rate)
    assert found.at_edge is at_edge


@pytest.mark.parametrize(
    ("rates", "losses", "error", "message"),
    [
        ([1.0, 2.0], [1.0, 2.0], ValueError, "losses must have a row for each of 3 rates or more, got (2,) for 2"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], ValueError, "losses must have a row for each of 3 rates or more, got (2,) for 3"),
        ([1.0, 3.0, 2.0], [1.0] * 3, ValueError, "rates must be increasing"),
        ([1.0, 2.0, 3.0], ["a"] * 3, TypeError, "losses must be an array of real numbers"),
    ],
)
def test_bad_curves(rates, losses, error, message):
    with pytest.raises(error, match=re.escape(message)):
        best_rate(rates, losses)
