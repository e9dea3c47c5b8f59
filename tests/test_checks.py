"""The checks of arguments: what passes, what does not, and what the message says."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import initnotes
from initnotes import _checks


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), Fraction(2), Decimal(2)], ids=lambda value: repr(value)
)
def test_real_numbers_become_floats(value):
    assert type(_checks.real(value, "x")) is float
    assert _checks.real(value, "x", low=2) == 2.0


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_inf_only_where_it_is_allowed(value):
    assert _checks.real(value, "x", infinite=True) == value
    with pytest.raises(ValueError, match="x must be finite"):
        _checks.real(value, "x")


@pytest.mark.parametrize(
    ("value", "options", "error", "message"),
    [
        (True, {}, TypeError, "x must be a real number, got True"),
        (np.False_, {}, TypeError, "x must be a real number"),
        ("1", {}, TypeError, "x must be a real number, got '1'"),
        (b"1", {}, TypeError, "x must be a real number"),
        (1j, {}, TypeError, "x must be a real number"),
        (np.complex128(1), {}, TypeError, "x must be a real number"),
        (None, {}, TypeError, "x must be a real number, got None"),
        (np.zeros(2), {}, TypeError, "x must be a real number"),
        (10**400, {}, ValueError, "x must be finite in double precision"),
        (math.nan, {"infinite": True}, ValueError, "x must be finite, got nan"),
        (-1e-9, {"low": 0}, ValueError, "x must be at least 0, got -1e-09"),
        (0, {"low": 0, "strict": True}, ValueError, "x must be greater than 0, got 0"),
    ],
)
def test_bad_reals(value, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        _checks.real(value, "x", **options)


@pytest.mark.parametrize("value", [1, np.int8(1), np.uint64(1), np.array(1)], ids=lambda value: repr(value))
def test_integers_become_ints(value):
    assert type(_checks.integer(value, "n")) is int


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (1.0, TypeError, "n must be an integer, got 1.0"),
        (True, TypeError, "n must be an integer, got True"),
        (np.True_, TypeError, "n must be an integer"),
        ("1", TypeError, "n must be an integer, got '1'"),
        (None, TypeError, "n must be an integer, got None"),
        (0, ValueError, "n must be at least 1, got 0"),
    ],
)
def test_bad_integers(value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        _checks.integer(value, "n")


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("momentm", ValueError, "unknown kind 'momentm'; did you mean 'momentum'? One of: sgd, momentum"),
        ("SGD", ValueError, "did you mean 'sgd'?"),
        ("zzz", ValueError, "unknown kind 'zzz'. One of: sgd, momentum"),
        (1, TypeError, "kind must be a string, got 1; one of: sgd, momentum"),
        (["sgd"], TypeError, "kind must be a string"),
    ],
)
def test_bad_names(value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        _checks.one_of(value, "kind", iter(("sgd", "momentum")))


def test_names_of_other_libraries_suggest_ours():
    for given in ("nesterov", "Nestrov"):
        with pytest.raises(ValueError, match=r"did you mean 'momentum'\? One of: sgd, momentum$"):
            _checks.one_of(given, "kind", ("sgd", "momentum"), {"nesterov": "momentum"})


def test_good_names_and_generators_pass_through():
    rng = np.random.default_rng(0)
    assert _checks.generator(rng) is rng
    assert _checks.one_of("sgd", "kind", ("sgd",)) == "sgd"


@pytest.mark.parametrize(
    "bad", [0, None, np.random, np.random.RandomState(0), np.random.PCG64(0)], ids=lambda one: type(one).__name__
)
def test_bad_generators(bad):
    with pytest.raises(TypeError, match=r"must be a numpy.random.Generator.*default_rng"):
        _checks.generator(bad)


@pytest.mark.parametrize(("given", "meant"), [("he_norml", "he_normal"), ("symetry", "symmetry"), ("Schema", "Scheme")])
def test_unknown_names_of_the_package_suggest_the_nearest(given, meant):
    with pytest.raises(AttributeError, match=f"no attribute '{given}'; did you mean '{meant}'. Its rooms are "):
        getattr(initnotes, given)
    with pytest.raises(AttributeError, match="no attribute 'zzz'; its rooms are activations, "):
        initnotes.zzz  # noqa: B018
