"""Data sets against their descriptions; nothing is downloaded.

Statistical checks return p-values, exact where the draws are normal or uniform; false-failure rate ALPHA per test.
"""

import math
import re
import socket

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits

from initnotes.book import data
from initnotes.book.data import digits, gaussian_clouds, two_spirals

ALPHA = 1e-4  # false-failure rate of one test function
SEED = 20260105


def rng(seed=SEED):
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("data must need no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


# ---------------------------------------------------------------------------------------------------------------------
# Digits


def test_digits_have_the_shapes_and_the_normalization_that_are_documented():
    train, test = digits()
    assert (train.x.shape, test.x.shape) == ((1437, 64), (360, 64))
    assert (train.y.shape, test.y.shape) == ((1437,), (360,))
    assert (train.x.dtype, train.y.dtype) == (np.float64, np.int64)
    np.testing.assert_allclose(train.x.mean(axis=0), 0, atol=1e-13)
    assert (train.x**2).mean() == pytest.approx(1, rel=1e-12)
    assert (test.x**2).mean() == pytest.approx(1, abs=0.1)


def test_digits_keep_the_classes_in_proportion():
    train, test = digits()
    for label in range(10):
        whole = (train.y == label).sum() + (test.y == label).sum()
        assert abs((test.y == label).sum() - whole * 360 / 1797) <= 1


def test_digits_are_one_affine_map_of_scikit_learns_split_in_two():
    """Every image comes back once, with its label: the halves are disjoint and together everything."""
    train, test = digits()
    images, labels = load_digits(return_X_y=True)
    unit = 1 / np.diff(np.unique(train.x[:, 20].round(9))).min()  # one pixel value is an integer from 0 to 16
    ours = np.concatenate([train.x, test.x]) * unit
    ours = np.column_stack([ours - ours.min(axis=0) + images.min(axis=0), np.concatenate([train.y, test.y])])
    theirs = np.column_stack([images, labels])
    found, given = (rows[np.lexsort(rows.T)] for rows in (ours.round(4), theirs))
    np.testing.assert_allclose(found, given, atol=1e-3)


def test_digits_are_the_same_in_every_call_and_nobodys_to_spoil():
    first, again = digits(), digits()
    first.train.x[:] = 0
    again_after = digits()
    for part, other in zip([*again.train, *again.test], [*again_after.train, *again_after.test], strict=True):
        np.testing.assert_array_equal(part, other)
    assert again.train.x.any()


# ---------------------------------------------------------------------------------------------------------------------
# Synthetic sets

SAMPLES, FEATURES, CLASSES = 4000, 6, 400


def p_spread(values, std):
    statistic = (values**2).sum() / std**2
    return 2 * min(stats.chi2.cdf(statistic, values.size), stats.chi2.sf(statistic, values.size))


def p_clouds(data, separation):
    """Within and between classes, by chi-squares: a class's mean has variance separation² + 1 / (samples of it)."""
    each = SAMPLES // CLASSES
    grouped = data.x.reshape(each, CLASSES, FEATURES)
    means = grouped.mean(axis=0)
    within = (grouped - means) * math.sqrt(each / (each - 1))
    p_between = p_spread(means, math.sqrt(separation**2 + 1 / each))
    degrees = (each - 1) * CLASSES * FEATURES
    statistic = (within**2).sum() * (each - 1) / each
    p_within = 2 * min(stats.chi2.cdf(statistic, degrees), stats.chi2.sf(statistic, degrees))
    return min(p_between, p_within)


def clouds(separation, **options):
    return gaussian_clouds(SAMPLES, FEATURES, CLASSES, separation=separation, rng=rng(), **options)


def test_clouds_are_what_they_say():
    """False-failure rate ALPHA over two separations with two checks each."""
    for separation in (1.0, 0.3):
        assert p_clouds(clouds(separation), separation) > ALPHA / 4


@pytest.mark.parametrize(
    "wrong",
    [
        lambda data: data._replace(x=1.03 * data.x),
        lambda data: data._replace(x=rng().standard_normal(data.x.shape)),
        lambda data: data._replace(x=data.x[rng().permutation(SAMPLES)]),
    ],
    ids=["3 % too large", "no centers", "labels shuffled"],
)
def test_wrong_clouds_are_caught(wrong):
    assert p_clouds(wrong(clouds(1.0)), 1.0) < ALPHA / 4


def test_clouds_alternate_their_classes():
    x, y = gaussian_clouds(rng=rng())
    assert (x.shape, x.dtype, y.dtype) == ((200, 20), np.float64, np.int64)
    np.testing.assert_array_equal(y, np.arange(200) % 5)
    np.testing.assert_array_equal(x, gaussian_clouds(rng=rng()).x)


def p_spirals(data, turns, noise):
    """Radius² uniform on (0, 1) and an angle without noise; with noise, the distance from the noiseless arms."""
    radius = np.hypot(*data.x.T)
    p_area = stats.kstest(radius**2, "uniform").pvalue
    angle = np.arctan2(data.x[:, 1], data.x[:, 0]) - 2 * np.pi * turns * radius - np.pi * data.y
    return p_area if np.abs(np.sin(angle / 2)).max() < 1e-9 or noise else 0.0


def test_spirals_without_noise_wind_as_often_as_they_say():
    """False-failure rate ALPHA over the two cases."""
    for turns in (1.5, 3.0):
        data = two_spirals(2000, turns=turns, noise=0.0, rng=rng())
        assert p_spirals(data, turns, 0.0) > ALPHA / 2
        assert np.hypot(*data.x.T).max() <= 1
    assert p_spirals(two_spirals(2000, turns=1.4, noise=0.0, rng=rng()), 1.5, 0.0) == 0
    crowded = two_spirals(2000, noise=0.0, rng=rng())
    crowded = crowded._replace(x=crowded.x * np.hypot(*crowded.x.T)[:, None])
    assert p_spirals(crowded, 1.5, 0.5) < ALPHA / 2


def test_noise_is_normal_of_the_stated_std():
    """False-failure rate ALPHA: the arms are those of the same seed without noise, so the rest is noise alone."""
    noise = two_spirals(2000, noise=0.2, rng=rng()).x - two_spirals(2000, noise=0.0, rng=rng()).x
    assert min(p_spread(noise, 0.2), stats.kstest(noise.ravel(), stats.norm(0, 0.2).cdf).pvalue) > ALPHA / 2
    assert p_spread(1.1 * noise, 0.2) < ALPHA / 2


def test_spirals_alternate_and_are_balanced():
    x, y = two_spirals(rng=rng())
    assert (x.shape, x.dtype, y.dtype) == ((200, 2), np.float64, np.int64)
    np.testing.assert_array_equal(y, np.arange(200) % 2)


BAD = [
    (gaussian_clouds, {"samples": 0}, ValueError, "samples must be at least 1"),
    (gaussian_clouds, {"samples": 201}, ValueError, "got 201 samples for 5 classes"),
    (gaussian_clouds, {"samples": 20.0}, TypeError, "samples must be an integer"),
    (gaussian_clouds, {"features": 0}, ValueError, "features must be at least 1"),
    (gaussian_clouds, {"classes": 1}, ValueError, "classes must be at least 2"),
    (gaussian_clouds, {"separation": -1.0}, ValueError, "separation must be at least 0"),
    (gaussian_clouds, {"separation": math.nan}, ValueError, "separation must be finite"),
    (two_spirals, {"samples": 3}, ValueError, "samples must be even"),
    (two_spirals, {"samples": 0}, ValueError, "samples must be at least 2"),
    (two_spirals, {"turns": 0}, ValueError, "turns must be greater than 0"),
    (two_spirals, {"noise": -0.1}, ValueError, "noise must be at least 0"),
    (two_spirals, {"noise": math.inf}, ValueError, "noise must be finite"),
]


@pytest.mark.parametrize(("make", "change", "error", "message"), BAD, ids=[f"{b[0].__name__} {b[1]}" for b in BAD])
def test_bad_arguments_draw_nothing(make, change, error, message):
    generator = rng()
    before = generator.bit_generator.state
    with pytest.raises(error, match=re.escape(message)):
        make(**change, rng=generator)
    assert generator.bit_generator.state == before


@pytest.mark.parametrize("make", [gaussian_clouds, two_spirals])
@pytest.mark.parametrize("bad", [0, None, np.random, np.random.RandomState(0)], ids=lambda one: type(one).__name__)
def test_bad_rng(make, bad):
    with pytest.raises(TypeError, match=r"must be a numpy.random.Generator.*default_rng"):
        make(rng=bad)


def test_only_some_classes_with_new_labels():
    train, _ = data.digits()
    some = data.only(train, [8, 3])
    assert set(some.y) == {0, 1}
    assert np.array_equal(some.x[some.y == 0], train.x[train.y == 8])
    assert np.array_equal(some.x[some.y == 1], train.x[train.y == 3])
    for wrong in ([3, 3], [], [10]):
        with pytest.raises(ValueError, match="classes must be different labels"):
            data.only(train, wrong)


def test_rotated_and_shifted_images_pixel_by_pixel():
    image = np.arange(9.0).reshape(1, 9)
    one_image = data.Dataset(image, np.array([0]))
    for quarters in (1, 2, -1):
        turned = data.rotated(one_image, quarters).x.reshape(3, 3)
        for row in range(3):
            for column in range(3):
                source = {1: (column, 2 - row), 2: (2 - row, 2 - column), -1: (2 - column, row)}[quarters]
                assert turned[row, column] == image.reshape(3, 3)[source]
    for rows, columns in ((1, 2), (-1, 0), (0, -2), (0, 0)):
        moved = data.shifted(one_image, rows, columns).x.reshape(3, 3)
        for row in range(3):
            for column in range(3):
                came, inside = (row - rows, column - columns), 0 <= row - rows < 3 and 0 <= column - columns < 3
                assert moved[row, column] == (image.reshape(3, 3)[came] if inside else 0.0)
    with pytest.raises(ValueError, match="less than 3"):
        data.shifted(one_image, 0, 3)
    with pytest.raises(ValueError, match="square images"):
        data.rotated(data.Dataset(np.zeros((2, 5)), np.zeros(2, int)))
