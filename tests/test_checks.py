"""The checks of arguments: what passes, what does not, and what the message says."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import jax
import numpy as np
import pytest
import torch

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
    ("bad", "given", "seed"),
    [
        (7, "int", "7"),
        (-1, "int", "seed"),
        (True, "bool", "seed"),
        (None, "NoneType", "seed"),
        (np.random, "module", "seed"),
        (np.random.RandomState(0), "numpy.RandomState", "seed"),
        (np.random.PCG64(0), "numpy.PCG64", "seed"),
        (torch.Generator(), "torch.Generator", "seed"),
        (jax.random.key(0), "jax.PRNGKeyArray", "seed"),
        (jax.random.PRNGKey(0), "jaxlib.ArrayImpl", "seed"),
    ],
)
def test_bad_generators(bad, given, seed):
    message = f"rng must be a numpy.random.Generator, got {given}; pass rng=np.random.default_rng({seed}), one for all"
    with pytest.raises(TypeError, match=re.escape(message)):
        _checks.generator(bad)


ARRAYS = {
    "list": [[1.0, 2.0], [3.0, 4.0]],
    "array": np.arange(1.0, 5).reshape(2, 2),
    "with steps back": np.arange(4.0, 0, -1)[::-1].reshape(2, 2),
    "read-only": np.broadcast_to(np.array([[1.0, 2], [3, 4]]), (2, 2)),
    "tensor": torch.arange(1.0, 5).reshape(2, 2),
    "parameter": torch.nn.Parameter(torch.arange(1.0, 5).reshape(2, 2)),
    "JAX": jax.numpy.arange(1.0, 5).reshape(2, 2),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_and_tensors_become_either(name):
    made = _checks.array(ARRAYS[name], "x")
    assert type(made) is np.ndarray
    np.testing.assert_array_equal(made, [[1, 2], [3, 4]])
    assert torch.equal(
        _checks.tensor(ARRAYS[name], "x").double(), torch.tensor([[1.0, 2], [3, 4]], dtype=torch.float64)
    )


@pytest.mark.parametrize("bad", [None, "12", 1j, [1.0, None], [[1.0], [1.0, 2.0]], {"a": 1}, np.array(["1"]), object()])
def test_what_is_no_array_of_real_numbers(bad):
    for check in (_checks.array, _checks.tensor):
        with pytest.raises(TypeError, match="x must be an array of real numbers, got "):
            check(bad, "x")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("float64", "float64"),
        ("torch.float32", "float32"),
        (torch.float32, "float32"),
        (np.float64, "float64"),
        (np.dtype("float32"), "float32"),
        (jax.numpy.float32, "float32"),
        (float, "float64"),
    ],
)
def test_dtypes_by_any_librarys_name(given, meant):
    assert _checks.dtype(given) is getattr(torch, meant)
    assert _checks.dtype_name(given) == meant


@pytest.mark.parametrize("bad", [None, 64, int, torch.float16, np.complex128, [1]], ids=repr)
def test_bad_dtypes(bad):
    with pytest.raises(ValueError, match=r"unknown dtype .* One of: float64, float32"):
        _checks.dtype(bad)
    with pytest.raises(ValueError, match="unknown kind 'flaot64'; did you mean 'float64'"):
        _checks.dtype("flaot64", "kind", ["float64"])
    assert _checks.dtype(torch.float16, allowed=["float16"]) is torch.float16


@pytest.mark.parametrize(
    ("given", "meant"), [("he_norml", "he_normal"), ("Schema", "Scheme"), ("glorot_unifrom", "glorot_uniform")]
)
def test_unknown_names_of_the_package_suggest_the_nearest(given, meant):
    with pytest.raises(AttributeError, match=f"no attribute '{given}'; did you mean '{meant}'. Its public names are "):
        getattr(initnotes, given)
    with pytest.raises(AttributeError, match="no attribute 'zzz'; its public names are "):
        initnotes.zzz  # noqa: B018


@pytest.mark.parametrize("name", ["kaiming_normal_", "xavier_uniform_", "glorot_normal_", "orthogonal_"])
def test_torchs_names_in_place_say_how_it_is_done_here(name):
    with pytest.raises(AttributeError, match=re.escape(f"'{name}'; use ini.{name[:-1]}.fill_(tensor, rng=rng)")):
        getattr(initnotes, name)
