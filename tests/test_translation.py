"""Laws behind other libraries' names: the registry is complete and has their signatures; calls that are written."""

import inspect
import math
from typing import Any

import numpy as np
import pytest

import initnotes as ini
from initnotes import frameworks
from initnotes.frameworks import LIBRARIES, REGISTRY, Constant, Fixed, Scaled, Special, translate
from initnotes.frameworks.libraries import load

GEOMETRIC = {"scale": 1.0, "mode": "fan_geo_avg", "distribution": "normal"}


def public(library: str) -> dict[str, Any]:
    """Return what a library offers, by its own names, without aliases and base classes."""
    module: Any = {
        "torch": lambda: __import__("torch").nn.init,
        "keras": lambda: load("keras").initializers,
        "jax": lambda: load("jax").nn.initializers,
    }[library]()
    members = {name: found for name, found in vars(module).items() if callable(found) and not name.startswith("_")}
    if library == "torch":
        return {name: found for name, found in members.items() if name.endswith("_")}
    if library == "keras":
        classes = [found for found in members.values() if inspect.isclass(found) and found is not module.Initializer]
        return {found.__name__: found for found in classes}
    return {name: found for name, found in members.items() if name != "Initializer"}


@pytest.mark.parametrize("library", LIBRARIES[:3])
def test_every_name_of_a_library_is_in_the_registry(library: str) -> None:
    known = {name for named in REGISTRY[library].values() for name in (named.name, *named.aliases)}
    offered = public(library)
    assert set(offered) - known == set()
    assert set(REGISTRY[library]) - set(offered) == set()


@pytest.mark.parametrize("library", LIBRARIES[:3])
def test_defaults_and_generators_are_those_of_the_signatures(library: str) -> None:
    for name, named in REGISTRY[library].items():
        parameters = inspect.signature(public(library)[name]).parameters
        for key, value in named.arguments.items():
            default = parameters[key].default
            assert (default is inspect.Parameter.empty) == (value is ...), (name, key)
            assert value is ... or default == value, (name, key)
        if library in ("torch", "keras"):
            assert (named.source != "") == (named.source in parameters), name


def test_the_laws_agree_with_this_books_schemes() -> None:
    shape = (48, 16, 3, 3)
    for name in ("xavier_uniform", "he_normal", "lecun_uniform", "lecun_normal"):
        scheme = ini.scheme(name)
        says = frameworks.law(name, "initnotes")
        assert isinstance(says, Scaled)
        assert says.fixed(*ini.fans(shape)).moments() == pytest.approx((0.0, scheme.std(shape)))
    wide = ini.Scheme(scale=2.0, mode="fan_avg", distribution="truncated_normal")
    says = Scaled(scale=2.0, mode="fan_avg", family="truncated_normal").fixed(*ini.fans(shape))
    assert says.moments()[1] == pytest.approx(wide.std(shape))
    assert says.high == pytest.approx(wide.bound(shape))


@pytest.mark.parametrize(
    ("says", "mean", "std"),
    [
        (Fixed(family="uniform", low=0.0, high=1.0), 0.5, 12**-0.5),
        (Fixed(family="normal", mean=1.0, sigma=2.0), 1.0, 2.0),
        (Fixed(family="truncated_normal", sigma=1.0, low=-2.0, high=2.0), 0.0, frameworks.KEPT),
    ],
)
def test_moments_and_cdf_fit(says: Fixed, mean: float, std: float) -> None:
    assert says.moments() == pytest.approx((mean, std))
    x = np.linspace(mean - 8 * std, mean + 8 * std, 200_001)
    density = np.diff(says.cdf(x))
    middle = (x[1:] + x[:-1]) / 2
    assert density.sum() == pytest.approx(1)
    assert (density * middle).sum() == pytest.approx(mean, abs=1e-6)
    assert math.sqrt((density * (middle - mean) ** 2).sum()) == pytest.approx(std, rel=1e-6)


def test_fans_of_every_mode() -> None:
    expected = {"fan_in": 4, "fan_out": 9, "fan_avg": 6.5, "fan_geo_avg": 6}
    assert {mode: Scaled(scale=1.0, mode=mode).fan(4, 9) for mode in expected} == expected


PASTED = """
he_normal keras jax | jax.nn.initializers.he_normal()
kaiming_normal jax keras | keras.initializers.HeNormal()
torch.nn.init.ones_ torch jax | jax.nn.initializers.ones
kaiming_uniform_ torch initnotes a=5**0.5 | ini.Scheme(scale=1 / 3, mode='fan_in', distribution='uniform')
Scheme initnotes torch scale=1/3,distribution='uniform' | \
torch.nn.init.kaiming_uniform_(w, a=5 ** 0.5, nonlinearity='leaky_relu')
Scheme initnotes torch scale=25/9,mode='fan_avg' | torch.nn.init.xavier_normal_(w, gain=(25 / 9) ** 0.5)
Scheme initnotes torch scale=4,mode='fan_avg' | torch.nn.init.xavier_normal_(w, gain=2)
Dense keras torch | torch.nn.init.xavier_uniform_(w)
ConvTranspose2d torch jax | jax.nn.initializers.variance_scaling(1 / 3, 'fan_out', 'uniform')
ConvTranspose2d torch keras | \
keras.initializers.VarianceScaling(scale=1 / 3, mode='fan_in', distribution='uniform')
uniform keras initnotes shape=(20,300) | ini.Scheme(scale=1 / 4, mode='fan_in', distribution='uniform')
uniform_ torch jax a=-0.1,b=0.1,shape=(5,30) | jax.nn.initializers.variance_scaling(1 / 10, 'fan_in', 'uniform')
trunc_normal_ torch keras std=0.02 | keras.initializers.RandomNormal(mean=0.0, stddev=0.02)
delta_orthogonal initnotes jax gain=2 | jax.nn.initializers.delta_orthogonal(scale=2.0)
delta_orthogonal jax initnotes | ini.delta_orthogonal(gain=1.0)
Identity keras torch gain=2.0 | with torch.no_grad(): torch.nn.init.eye_(w).mul_(2.0)
he_normal jax jax | jax.nn.initializers.he_normal()
Linear jax keras | keras.initializers.LecunNormal()
ConvTranspose jax keras | keras.initializers.VarianceScaling(scale=1, mode='fan_out', distribution='truncated_normal')
Conv2DTranspose keras jax | jax.nn.initializers.glorot_uniform()
Embed jax torch | torch.nn.init.kaiming_normal_(w, nonlinearity='linear')
Embed jax keras | \
keras.initializers.VarianceScaling(scale=1, mode='fan_out', distribution='untruncated_normal')
Embed jax initnotes | ini.Scheme(scale=1, mode='fan_out', distribution='normal')
normal keras jax stddev=np.float64(0.5) | jax.nn.initializers.normal(stddev=0.5)
normal keras keras stddev=np.float64(0.5) | keras.initializers.RandomNormal(stddev=0.5)
TruncatedNormal keras torch stddev=0.0 | torch.nn.init.zeros_(w)
trunc_normal_ torch jax std=0.0,mean=2.0 | jax.nn.initializers.constant(2.0)
xavier_normal_ torch keras gain=0.0 | keras.initializers.Zeros()
uniform jax torch scale=0 | torch.nn.init.zeros_(w)
kaiming_normal_ torch jax nonlinearity='conv2d' | \
jax.nn.initializers.variance_scaling(1, 'fan_in', 'normal')
"""


@pytest.mark.parametrize("line", PASTED.strip().splitlines())
def test_what_is_pasted(line: str) -> None:
    asked, code = line.split(" | ")
    name, source, target, *more = asked.split(" ")
    arguments = eval(f"dict({' '.join(more)})")
    assert translate(name, source, target, **arguments).code == code


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("uniform", "keras", "jax", {}), "starts at 0"),
        (("uniform_", "torch", "jax", {"a": -1.0, "b": 2.0}), "symmetric"),
        (("normal_", "torch", "jax", {"mean": 1.0}), "mean 0"),
        (("normal_", "torch", "initnotes", {"mean": 1.0}), "mean 0"),
        (("trunc_normal_", "torch", "keras", {"std": 0.5}), "±2 standard deviations only"),
        (("trunc_normal_", "torch", "initnotes", {"std": 0.5}), "this cut is at ±4"),
        (("TruncatedNormal", "keras", "initnotes", {}), "give shape="),
        (("dirac_", "torch", "keras", {}), "no dirac"),
        (("STFT", "keras", "torch", {}), "no Fourier"),
        (("sparse_", "torch", "jax", {"sparsity": 0.5}), "no sparse"),
        (("delta_orthogonal", "jax", "keras", {}), "no delta-orthogonal"),
        (("delta_orthogonal", "initnotes", "keras", {}), "no delta-orthogonal"),
        (("eye_", "torch", "initnotes", {}), "no identity"),
        (("LSTM", "torch", "keras", {}), "hidden_size"),
        (("LSTM", "keras", "torch", {}), "stacks"),
        (("MultiheadAttention", "torch", "jax", {}), "stack of three"),
        (("DepthwiseConv2D", "keras", "initnotes", {}), "true ones"),
        (("GRUCell", "jax", "torch", {}), "stacks"),
        (("LSTMCell", "jax", "torch", {}), "gate by gate"),
        (("MultiHeadAttention", "jax", "keras", {}), "each projection"),
        (("variance_scaling", "jax", "keras", GEOMETRIC), "geometric"),
        (("variance_scaling", "jax", "initnotes", GEOMETRIC), "geometric"),
    ],
)
def test_what_cannot_be_said_is_declined_with_a_reason(asked: tuple[str, str, str, dict[str, Any]], why: str) -> None:
    name, source, target, more = asked
    answer = translate(name, source, target, **more)
    assert not answer
    assert (answer.call, answer.code, answer.name) == (None, None, None)
    assert why in answer.notes[-1]
    assert "no call draws this" in str(answer)
    assert "because" in str(answer)


def test_scalars_of_numpy_are_numbers() -> None:
    xavier = frameworks.call("xavier_normal_", "torch", gain=np.float32(2))
    assert xavier.code == str(xavier) == "torch.nn.init.xavier_normal_(w, gain=2.0)"
    assert str(frameworks.law("Constant", "keras", value=np.int64(3))) == "every weight 3"


def test_false_friends_and_layouts_are_noted() -> None:
    answer = translate("kaiming_normal_", "torch", "keras")
    assert any("another law" in note for note in answer.notes)
    assert any("(*kernel, in, out)" in note for note in answer.notes)
    assert answer.name == "VarianceScaling"
    assert any("not zero" in note for note in translate("Linear", "torch", "jax").notes)
    assert any("4 weights in a million" in note for note in translate("he_normal", "jax", "keras").notes)
    assert not any("million" in note for note in translate("trunc_normal_", "torch", "keras", std=0.02).notes)
    # a cut on one side of the mean is not one that lies far out, however many standard deviations away
    far = translate("trunc_normal_", "torch", "keras", std=0.01, a=0.1, b=0.2)
    assert not far
    assert "cuts at" in far.notes[-1]
    assert any("depth_multiplier" in note for note in translate("DepthwiseConv2D", "keras", "torch").notes)


@pytest.mark.parametrize(
    ("layer", "source", "is_said"),
    [
        ("Conv2d", "torch", False),  # fan_in, which no stride of a convolution changes
        ("ConvTranspose2d", "torch", False),  # the true fan_out, which no stride of a transposed one changes
        ("ConvTranspose", "jax", True),
        ("Conv", "jax", False),
        ("Conv2D", "keras", True),
        ("Conv2DTranspose", "keras", True),
        ("Dense", "keras", False),
    ],
)
def test_strides_are_noted_where_they_count(layer: str, source: str, is_said: bool) -> None:
    answer = translate(layer, source, "initnotes")
    assert answer
    assert any("stride" in note for note in answer.notes) == is_said


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: translate("he_norml", "keras", "torch"), ValueError, "did you mean 'he_normal'"),
        (lambda: translate("Liner", "torch", "jax"), ValueError, "did you mean 'Linear'"),
        (lambda: translate("he_normal", "kears", "torch"), ValueError, "did you mean 'keras'"),
        (lambda: translate("he_normal", "keras", "tensorflow"), ValueError, "unknown target"),
        (lambda: translate(3, "keras", "torch"), TypeError, "must be a string"),
        (lambda: translate("normal", "keras", "torch", std=1.0), TypeError, "mean, stddev"),
        (lambda: translate("zeros", "initnotes", "torch", gain=1.0), TypeError, "none"),
        (lambda: translate("Linear", "torch", "jax", a=1.0), TypeError, "no arguments"),
        (lambda: translate("constant_", "torch", "jax"), TypeError, "needs val"),
        (lambda: translate("variance_scaling", "jax", "torch"), TypeError, "needs scale and mode and distribution"),
        (lambda: translate("Scheme", "initnotes", "torch", scale=-1.0), ValueError, "scale"),
        (lambda: translate("VarianceScaling", "keras", "torch", mode="fan"), ValueError, "fan_in"),
        (lambda: translate("VarianceScaling", "keras", "torch", distribution="normal"), ValueError, "untruncated"),
        (lambda: translate("kaiming_normal_", "torch", "jax", mode="fan_avg"), ValueError, "fan_in"),
        (lambda: translate("kaiming_normal_", "torch", "jax", nonlinearity="gelu"), ValueError, "nonlinearity"),
        (lambda: translate("glorot_normal", "jax", "torch", in_axis=0), ValueError, "in_axis"),
        (lambda: translate("normal", "jax", "torch", shape=(3,)), ValueError, "shape"),
        (lambda: translate("normal_", "torch", "jax", std=-1.0), ValueError, "std must be at least 0"),
        (lambda: translate("normal_", "torch", "jax", std="x"), TypeError, "std must be a real number"),
        (lambda: translate("uniform_", "torch", "jax", a=2, b=-2), ValueError, "in order, got 2 and -2"),
        (lambda: translate("trunc_normal_", "torch", "jax", a=2, b=-2), ValueError, "in order"),
        (lambda: translate("Constant", "keras", "torch", value=[1, 2]), TypeError, "value must be a real number"),
        (lambda: frameworks.default_law("LSTM", "torch"), ValueError, "no one law"),
        (lambda: frameworks.default_law("Dens", "keras"), ValueError, "did you mean 'Dense'"),
        (lambda: frameworks.default_law("Dense", "jax"), ValueError, "One of: Linear"),
        (lambda: frameworks.default_law("LSTMCell", "jax"), ValueError, "gate by gate"),
        (lambda: frameworks.default_law("Linear", "initnotes"), ValueError, "unknown library"),
        (lambda: frameworks.names("flax"), ValueError, "jax"),
    ],
)  # fmt: skip
def test_errors_name_what_is_allowed(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def test_every_name_prints_its_law() -> None:
    for library in LIBRARIES:
        for named in REGISTRY[library].values():
            says = named.example().law
            assert isinstance(says, Scaled | Fixed | Constant | Special)
            assert str(says)
    assert str(Fixed(family="truncated_normal", low=-1.0, high=2.0)).endswith("cut at -1 and 2 std, not rescaled")


def test_a_scheme_there_and_back_is_itself() -> None:
    for scale in (1 / 3, 1.0, 1.5, 2.0, 3.0):
        for mode in ("fan_in", "fan_out", "fan_avg"):
            for family in ("normal", "uniform", "truncated_normal"):
                says = Scaled(scale=scale, mode=mode, family=family)
                for library in ("keras", "jax"):
                    arguments = {"normal": "untruncated_normal"} if library == "keras" else {}
                    name = "VarianceScaling" if library == "keras" else "variance_scaling"
                    drawn = {"scale": scale, "mode": mode, "distribution": arguments.get(family, family)}
                    assert frameworks.law(name, library, **drawn) == says
                    back = translate(name, library, "initnotes", **drawn).call
                    assert back is not None
                    scheme = back.initializer()
                    assert (scheme.scale, scheme.mode, scheme.distribution) == (scale, mode, family)


@pytest.mark.parametrize("shape", [None, (64, 256), (12, 30, 3, 3)])
def test_a_translations_call_has_the_law_that_was_asked_for(shape: tuple[int, ...] | None) -> None:
    fans = ini.fans(shape or (64, 256))
    checked = 0
    for source in LIBRARIES:
        for named in REGISTRY[source].values():
            for target in LIBRARIES:
                answer = translate(named.name, source, target, shape=shape, **named.needed)
                if answer.call is None:
                    continue
                ours, theirs = answer.law, answer.call.law
                if isinstance(ours, Scaled | Fixed) and isinstance(theirs, Scaled | Fixed):
                    assert theirs.family == ours.family, answer
                    assert theirs.fixed(*fans).moments() == pytest.approx(ours.fixed(*fans).moments()), answer
                else:
                    assert theirs == ours, answer
                checked += 1
    assert checked > 180


def test_delta_orthogonal_says_what_its_targets_want() -> None:
    assert translate("delta_orthogonal", "initnotes", "jax").notes == (
        "JAX wants a kernel, and no fewer channels out than in",
    )
    assert "odd along each axis" in translate("delta_orthogonal", "jax", "initnotes").notes[0]
    assert translate("delta_orthogonal", "jax", "torch").notes == ()
    with pytest.raises(ValueError, match="gain"):
        translate("delta_orthogonal", "initnotes", "torch", gain=-1.0)


def test_a_call_that_needs_more_says_what() -> None:
    with pytest.raises(TypeError, match="sparse_ needs sparsity"):
        frameworks.call("sparse_", "torch")


@pytest.mark.parametrize("target", LIBRARIES)
@pytest.mark.parametrize("family", ["normal", "uniform", "truncated_normal"])
def test_every_scheme_can_be_said_and_keeps_its_law(target: str, family: str) -> None:
    for scale in (1 / 3, 0.7, 1.0, 1.5, 2.0, 3.0):
        for mode in ("fan_in", "fan_out", "fan_avg"):
            found = translate("Scheme", "initnotes", target, scale=scale, mode=mode, distribution=family).call
            assert found is not None
            assert isinstance(found.law, Scaled)
            assert (found.law.mode, found.law.family) == (mode, family), found
            assert found.law.scale == pytest.approx(scale, rel=1e-12), found
