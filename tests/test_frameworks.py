"""What torch, Keras and JAX draw: the laws of the registry, translations by draws, fans, layers as they come, seeds."""

import importlib
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest, norm

import initnotes as ini
from initnotes import frameworks, schemes
from initnotes.frameworks import (
    LAYERS,
    LIBRARIES,
    REGISTRY,
    Call,
    Fixed,
    Scaled,
    as_they_come,
    call,
    draws,
    libraries,
    measured,
    read_fans,
    sample,
    summarize,
    translate,
)
from initnotes.frameworks.libraries import array, draw, load, seeded

LINEAR, CONV = (64, 256), (64, 8, 3, 3)  # shapes of LAYERS, which JAX compiles once
LEVEL = 1e-4  # false-failure rate of a test in this file, shared among its comparisons


def rng(*stream: int) -> np.random.Generator:
    return np.random.default_rng([9, *stream])


def same_law(a: np.ndarray, b: np.ndarray, level: float) -> bool:
    """Compare two samples by their distribution, std and kurtosis, each at a third of a level."""
    a, b = a.ravel(), b.ravel()
    first, second = summarize(a), summarize(b)
    errors = [(seen.kurtosis + 2) / (4 * seen.count) for seen in (first, second)]
    z = abs(math.log(first.std / second.std)) / math.sqrt(sum(errors))
    tails = abs(first.kurtosis - second.kurtosis) / math.sqrt(24 / first.count + 24 / second.count)
    chances = [ks_2samp(a, b).pvalue, *(2 * norm.sf([z, tails]))]
    return bool(min(chances) > level / 3)


def random_calls() -> list[Call]:
    """Return an example of each name that draws weights one by one; of Scheme one that has no name of its own."""
    examples = [named.example() for library in LIBRARIES for named in REGISTRY[library].values()]
    drawn = [example for example in examples if isinstance(example.law, Scaled | Fixed)]
    return [call("Scheme", "initnotes", scale=3.0) if example.name == "Scheme" else example for example in drawn]


def translated(call: Call, target: str, shape: tuple[int, ...]) -> Call | None:
    arguments = {"scale": 3.0} if call.name == "Scheme" else REGISTRY[call.library][call.name].needed
    return translate(call.name, call.library, target, shape=shape, **arguments).call


def from_code(call: Call) -> Any:
    """Return the initializer that the displayed code makes."""
    spaces = {"torch": {"torch": torch}, "initnotes": {"ini": ini}}
    space = spaces.get(call.library) or {call.library: load(call.library)}
    if call.library != "torch":
        return eval(call.code, space)
    return lambda w: exec(call.code, space | {"w": w})


@pytest.fixture(scope="module")
def drawn() -> Any:
    """Draw by call and shape, each once, at least 16 000 weights."""
    kept: dict[tuple[str, str, tuple[int, ...]], np.ndarray] = {}

    def draw(call: Call, shape: tuple[int, ...]) -> np.ndarray:
        key = call.library, call.code, shape
        if key not in kept:
            kept[key] = sample(call, shape, rng=rng(len(kept)), replicas=math.ceil(16_000 / math.prod(shape)))
        return kept[key]

    return draw


@pytest.mark.untraced
def test_translations_draw_the_same_law(drawn: Any) -> None:
    """False-failure rate: at most 1e-4 for a fresh seed, over all comparisons (Bonferroni)."""
    pairs = [
        (original, copy, shape)
        for original in random_calls()
        for target in LIBRARIES
        for shape in (LINEAR, CONV)
        if target != original.library and (shape == LINEAR or isinstance(original.law, Scaled))
        for copy in [translated(original, target, shape)]
        if copy is not None
    ]
    assert len(pairs) > 120
    wrong = [
        (original.code, copy.code, shape)
        for original, copy, shape in pairs
        if not same_law(drawn(original, shape), drawn(copy, shape), LEVEL / len(pairs))
    ]
    assert wrong == []


SHAPES = {"dirac": (6, 6, 3), "delta_orthogonal": (3, 3, 4, 6), "stft": (17, 16, 18)}  # in the library's own layout


def same_numbers(call: Call, make: Any) -> bool:
    shape = SHAPES.get(getattr(call.law, "kind", ""), (6, 8))
    ours, theirs = (draw(call.library, m, shape, rng=rng(20), replicas=2) for m in (call.initializer, make))
    return np.allclose(ours, theirs, rtol=1e-6 if call.library == "jax" else 1e-12, atol=0)


def test_displayed_code_draws_the_numbers_of_the_callable() -> None:
    examples = [named.example() for library in LIBRARIES for named in REGISTRY[library].values()]
    copies = [translated(original, target, LINEAR) for original in examples for target in LIBRARIES]
    calls = {found.code: found for found in (*examples, *copies, *SPELLED) if found is not None}
    assert len(calls) > 80
    wrong = [found for found in calls.values() if not same_numbers(found, lambda found=found: from_code(found))]
    assert wrong == []


SPELLED = [
    translate("Scheme", "initnotes", "torch", scale=scale, mode=mode, distribution=distribution).call
    for scale, mode, distribution in (
        (3.0, "fan_in", "normal"),
        (3.0, "fan_out", "uniform"),
        (1 / 3, "fan_in", "uniform"),
        (1.3, "fan_out", "normal"),
        (25 / 9, "fan_avg", "normal"),
        (2.0, "fan_avg", "truncated_normal"),
    )
] + [translate("Identity", "keras", "torch", gain=2.0).call]


def test_other_code_draws_other_numbers() -> None:
    """A planted fault: the code of another number, mode or name is not taken for the call."""
    kaiming = call("kaiming_normal_", "torch", mode="fan_out")
    for wrong in (
        call("kaiming_normal_", "torch"),
        call("kaiming_normal_", "torch", mode="fan_out", a=1e-4),
        call("kaiming_uniform_", "torch", mode="fan_out"),
    ):
        assert not same_numbers(kaiming, lambda wrong=wrong: from_code(wrong))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # what the name suggests, and what a careless hand writes
        (("HeNormal", {}), ("kaiming_normal_", {})),
        (("GlorotUniform", {}), ("kaiming_uniform_", {"nonlinearity": "linear"})),
        (("TruncatedNormal", {"stddev": 0.1}), ("trunc_normal_", {"std": 0.1})),
        (("RandomUniform", {"minval": 0.0, "maxval": 0.05}), ("uniform_", {"a": -0.05, "b": 0.05})),
        (("LecunUniform", {}), ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "linear"})),
        (("HeUniform", {}), ("kaiming_uniform_", {"a": 5**0.5})),
    ],
)
@pytest.mark.parametrize("shape", [LINEAR, CONV])
def test_wrong_translations_are_caught(drawn: Any, right: Any, wrong: Any, shape: tuple[int, ...]) -> None:
    (keras, given), (torch_name, more) = right, wrong
    original, copy = call(keras, "keras", **given), call(torch_name, "torch", **more)
    assert not same_law(drawn(original, shape), drawn(copy, shape), LEVEL / 1000)


@pytest.mark.parametrize("shape", [LINEAR, CONV])
def test_a_cut_that_is_not_rescaled_is_caught(drawn: Any, shape: tuple[int, ...]) -> None:
    std = (2 / math.prod(shape[1:])) ** 0.5
    copy = call("trunc_normal_", "torch", std=std, a=-2 * std, b=2 * std)
    assert not same_law(drawn(call("HeNormal", "keras"), shape), drawn(copy, shape), LEVEL / 1000)


@pytest.mark.parametrize("name", ["orthogonal_", "Orthogonal", "orthogonal"])
def test_orthogonal_matrices_are_orthogonal_in_all_libraries(name: str) -> None:
    library = {"orthogonal_": "torch", "Orthogonal": "keras", "orthogonal": "jax"}[name]
    gain = {"jax": {"scale": 2.0}}.get(library, {"gain": 2.0})
    for target in LIBRARIES:
        found = translate(name, library, target, **gain).call
        assert found is not None
        for shape in (LINEAR, CONV):
            flat = sample(found, shape, rng=rng(1))[0].reshape(shape[0], -1)
            assert flat @ flat.T == pytest.approx(4 * np.eye(shape[0]), abs=1e-5)


@pytest.mark.parametrize("target", ["torch", "keras", "jax"])
def test_constants_and_identities(target: str) -> None:
    for value, name in ((0.0, "zeros"), (0.25, "constant")):
        more = {"value": value} if value else {}
        found = translate(name, "initnotes", target, **more).call
        assert found is not None
        assert (sample(found, (3, 4), rng=rng(2)) == value).all()
    if target != "jax":
        found = translate("Identity", "keras", target, gain=2.0).call
        assert found is not None
        assert (sample(found, (3, 3), rng=rng(2))[0] == 2 * np.eye(3)).all()


def test_initializers_are_what_each_library_takes() -> None:
    keras, jax = load("keras"), load("jax")
    made = {target: translate("kaiming_normal_", "torch", target).call for target in LIBRARIES}
    one_seed = [torch.Generator().manual_seed(3) for _ in range(2)]
    fill = made["torch"].initializer()
    weights = [fill(torch.empty(64, 256), generator=generator) for generator in one_seed]
    assert torch.equal(*weights)
    assert isinstance(made["keras"].initializer(), keras.initializers.Initializer)
    assert made["keras"].initializer() is not made["keras"].initializer()
    assert made["jax"].initializer()(jax.random.key(0), (256, 64)).shape == (256, 64)
    assert made["initnotes"].initializer() == ini.he_normal
    by_fans = translate("he_normal", "keras", "torch").call.initializer()
    assert torch.equal(*(by_fans(torch.empty(64, 256), generator=g.manual_seed(3)) for g in one_seed))


def test_the_table_holds_and_a_wrong_law_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six standard errors for each of about 150 numbers: false-failure rate about 3e-7."""
    few = {kind: LAYERS[kind] for kind in ("Linear", "Conv", "attention")}
    monkeypatch.setattr(measured, "LAYERS", few)
    table = frameworks.initializers(rng=rng(3))
    assert len(table.rows) == sum(example.library != "initnotes" for example in random_calls())
    assert table["torch.kaiming_normal_", "excess kurtosis"] == "0.0"
    assert table["keras.HeNormal", "excess kurtosis"] == "-0.6"
    assert table["jax.he_uniform", "largest / std"] == "1.73"
    assert table["jax.normal", "attention"] == "–"
    assert "<td>-0.6</td>" in table._repr_html_()
    assert "tabindex='0'" in table._repr_html_()
    assert str(table).splitlines()[0] == table.caption
    with pytest.raises(ValueError, match="unknown column"):
        table["torch.kaiming_normal_", "std"]

    wrong = Scaled(scale=1.0, mode="fan_avg", family="truncated_normal")
    std = wrong.fixed(*read_fans("keras", (256, 64))).moments()[1]
    weights = draws(call("LecunNormal", "keras"), "Linear", rng=rng(4), replicas=2)
    with pytest.raises(AssertionError, match="LecunNormal for Linear"):
        measured._agreed(REGISTRY["keras"]["LecunNormal"], "Linear", std, weights)


def test_the_shapes_are_those_of_real_layers() -> None:
    keras = load("keras")
    torch_kinds, keras_kinds = as_they_come._torch_layers(), as_they_come._keras_layers()
    torch_names = dict(zip(LAYERS, torch_kinds, strict=False))
    assert list(torch_names.values())[:6] == [*torch_kinds][:6]
    for kind, name in zip(LAYERS, torch_kinds, strict=False):
        layer = torch_kinds[name][0]()
        weight = {"recurrent": "weight_hh_l0", "attention": "in_proj_weight"}.get(kind, "weight")
        assert tuple(getattr(layer, weight).shape) == LAYERS[kind].torch, kind
        if kind not in ("recurrent", "attention"):
            assert ini.layers.true_fans(layer) == LAYERS[kind].fans, kind
    get = {"Embedding": "embeddings", "recurrent": "cell.recurrent_kernel", "attention": "query_dense.kernel"}
    for kind, name in zip(LAYERS, keras_kinds, strict=False):
        found: Any = keras_kinds[name][0]()
        for part in get.get(kind, "kernel").split("."):
            found = getattr(found, part)
        assert tuple(found.shape) == LAYERS[kind].keras, kind
    assert keras.backend.backend() == "torch"


def test_layers_hold_the_law_of_the_registry() -> None:
    """Kolmogorov–Smirnov against each law: false-failure rate at most 1e-4, over all layers."""
    kinds = {"torch": as_they_come._torch_layers(), "keras": as_they_come._keras_layers()}
    names = {
        "torch": ("Linear", "Conv2d", "ConvTranspose2d", "Embedding"),
        "keras": ("Dense", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "Embedding"),
    }
    for library, every in names.items():
        for layer in every:
            make, parameters, _ = kinds[library][layer]
            with seeded(5):
                weight = array(parameters["weight"](make()))
            says = frameworks.default_law(layer, library)
            assert isinstance(says, Scaled | Fixed)
            fixed = says.fixed(*read_fans(library, weight.shape))
            assert kstest(weight.ravel(), fixed.cdf).pvalue > LEVEL / 9, (library, layer)
            wrong = Fixed(family="normal", sigma=1.1 * fixed.moments()[1])
            if weight.size > 4000:
                assert kstest(weight.ravel(), wrong.cdf).pvalue < LEVEL / 9, (library, layer)


def test_defaults_say_what_layers_hold() -> None:
    table = frameworks.defaults(rng=rng(6))
    factor = {row[0]: row[-1] for row in table.rows}
    assert float(factor["torch Linear: weight"]) == pytest.approx(1 / 3, abs=0.02)
    assert float(factor["torch ConvTranspose2d: weight"]) == pytest.approx(1 / 24, rel=0.05)
    assert float(factor["torch MultiheadAttention: query"]) == pytest.approx(1 / 2, abs=0.03)
    assert float(factor["keras DepthwiseConv2D: weight"]) == pytest.approx(2 / 65, rel=0.05)
    assert float(factor["keras LSTM: recurrent weights, a gate"]) == pytest.approx(1 / 4, abs=0.001)
    assert float(factor["keras MultiHeadAttention: query"]) == pytest.approx(1, abs=0.05)
    assert table["keras LSTM: forget bias", "mean"] == "1"
    assert table["torch LayerNorm: weight", "mean"] == "1"


def test_fans_that_libraries_read() -> None:
    depthwise, transposed = LAYERS["depthwise"], LAYERS["transposed"]
    assert read_fans("torch", depthwise.torch) == (9, 576)
    assert read_fans("keras", depthwise.keras) == (576, 9)
    assert read_fans("torch", transposed.torch) == read_fans("keras", transposed.keras) == (576, 72)
    assert depthwise.jax is not None
    assert transposed.jax is not None
    assert read_fans("jax", depthwise.jax) == (9, 576)
    assert read_fans("jax", transposed.jax) == transposed.fans
    assert read_fans("torch", (192, 64)) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(192, 64))


def test_forward_factors_follow_the_fan_that_was_read() -> None:
    """Means of 32 draws within 10 % (depthwise 25 %): false-failure rate below 1e-4, by their measured spread."""
    xavier = frameworks.forward_factors(call("xavier_normal_", "torch"), rng=rng(7))
    theory = {
        "Linear": 1.6, "Conv": 2 / 9, "grouped": 2 / 9, "depthwise": 2 / 65, "transposed": 2 / 5, "attention": 1 / 2
    }  # fmt: skip
    for kind, factor in theory.items():
        assert xavier[kind].mean() == pytest.approx(factor, rel=0.25 if kind == "depthwise" else 0.1), kind
    true = frameworks.forward_factors(ini.lecun_normal, rng=rng(8))
    for kind, seen in true.items():
        assert seen.mean() == pytest.approx(1, rel=0.25 if kind == "depthwise" else 0.1), kind
    lecun = call("kaiming_normal_", "torch", nonlinearity="linear")
    misread = frameworks.forward_factors(lecun, rng=rng(8), replicas=8)
    assert misread["transposed"].mean() == pytest.approx(1 / 4, rel=0.1)


def test_what_a_seed_fixes() -> None:
    table = frameworks.seeding(seed=3)
    answers = {row[0]: row[1:] for row in table.rows}
    assert list(answers.values()) == [
        ("yes", "yes", "yes"),
        ("no", "yes", "yes"),
        ("no", "no", "no"),
        ("yes", "yes", "yes"),
        ("yes", "yes", "yes"),
        ("yes", "yes", "–"),
        ("no", "no", "no"),
    ]
    assert frameworks.sparse_leak(3) == (False, True)


def test_draws_repeat_and_leave_the_global_generators_alone() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    for library, name in (
        ("torch", "normal_"),
        ("keras", "HeNormal"),
        ("jax", "he_normal"),
        ("initnotes", "he_normal"),
    ):
        first, again = (sample(call(name, library), LINEAR, rng=rng(10), replicas=2) for _ in range(2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first[0], first[1])
        assert first.shape == (2, *LINEAR)
        assert first.dtype == np.float64
    frameworks.defaults(rng=rng(10))
    frameworks.sparse_leak(1)
    frameworks.forward_factors(call("normal_", "torch"), rng=rng(10), replicas=1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert before[2] == np.random.get_state()[1].tolist()  # noqa: NPY002


def test_layouts_are_undone() -> None:
    lecun = call("variance_scaling", "jax", scale=1.0, mode="fan_in", distribution="normal")
    shape = (3, 500, 2, 2)  # (out, in, *kernel)
    assert sample(lecun, shape, rng=rng(11)).std() == pytest.approx(2000**-0.5, rel=0.1)


@pytest.mark.parametrize("library", ["keras", "jax"])
def test_a_missing_library_says_what_to_install(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(libraries, "import_module", missing)
    with pytest.raises(ImportError, match=rf"{library} is needed here.*requirements-frameworks\.txt"):
        load(library)


@pytest.mark.parametrize("chosen", [None, "jax"])
def test_the_users_choice_of_a_backend_is_respected(chosen: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    if chosen:
        monkeypatch.setenv("KERAS_BACKEND", chosen)
    monkeypatch.setattr(libraries, "import_module", lambda name: importlib)
    load("keras")
    assert libraries.os.environ["KERAS_BACKEND"] == (chosen or "torch")


def test_versions_are_those_of_the_pins() -> None:
    pins = (ini.claims.Path(__file__).parents[1] / "requirements-frameworks.txt").read_text(encoding="utf-8")
    versions = frameworks.versions()
    assert f"keras=={versions['keras']}" in pins
    assert f"jax=={versions['jax']}" in pins


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda: draws(call("ones", "jax"), "recurrent", rng=rng()), ValueError, "no layers"),
        (lambda: draws(call("zeros", "initnotes"), "Linear", rng=rng()), ValueError, "unknown library"),
        (lambda: draws(call("ones_", "torch"), "Lineal", rng=rng()), ValueError, "did you mean 'Linear'"),
        (lambda: draws("ones_", "Linear", rng=rng()), TypeError, r"frameworks\.call"),  # type: ignore[arg-type]
        (lambda: sample(None, (3, 3), rng=rng()), TypeError, r"\.call, which is None"),  # type: ignore[arg-type]
        (lambda: sample(call("ones_", "torch"), (3,), rng=rng()), ValueError, "fans"),
        (lambda: sample(call("ones_", "torch"), (3, 3), rng=1), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: sample(call("ones_", "torch"), (3, 3), rng=rng(), replicas=0), ValueError, "replicas"),
        (lambda: frameworks.forward_factors("", rng=rng()), TypeError, r"frameworks\.call"),  # type: ignore[arg-type]
        (lambda: frameworks.forward_factors(call("ones", "jax"), rng=rng()), ValueError, "torch"),
        (lambda: frameworks.initializers(rng=None), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: frameworks.defaults(rng=None), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: frameworks.forward_factors("", rng=None), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: frameworks.seeding(seed=-1), ValueError, "seed"),
        (lambda: frameworks.sparse_leak(-1), ValueError, "seed"),
        (lambda: summarize([1.0]), ValueError, "two finite numbers"),
        (lambda: summarize([1.0, math.nan]), ValueError, "two finite numbers"),
        (lambda: read_fans("tensorflow", (3, 3)), ValueError, "unknown library"),
    ],
)
def test_errors_name_what_is_allowed(wrong: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        wrong()


def test_a_constant_has_no_kurtosis() -> None:
    assert summarize(np.ones(5)) == frameworks.Summary(1.0, 0.0, 0.0, 0.0, 5)


def test_schemes_are_read_by_their_own_fans() -> None:
    assert read_fans("initnotes", CONV) == schemes.fans(CONV)


def test_fan_factors_follow_the_fan_that_is_read() -> None:
    """Means of 32 draws within 12 %: false-failure rate below 1e-4, by the smallest layer's 576 weights a draw."""
    calls = {"torch": call("kaiming_normal_", "torch"), "keras": call("he_uniform", "keras")}
    seen = frameworks.fan_factors(calls, rng=rng(12))
    kinds = ["Linear", "Conv", "grouped", "depthwise", "transposed"]
    assert [seen["torch", kind][1] for kind in kinds] == [2, 2, 2, 2, 1 / 4]
    assert [seen["keras", kind][1] for kind in kinds] == [2, 2, 2, 2 / 64, 1 / 4]
    for factors, theory in seen.values():
        assert factors.mean() == pytest.approx(theory, rel=0.12)
    scaled = call("VarianceScaling", "keras", scale=2.0, mode="fan_out")
    fan_out = frameworks.fan_factors({"keras": scaled}, rng=rng(13))
    assert fan_out["keras", "depthwise"][1] == fan_out["keras", "transposed"][1] == 2
    with pytest.raises(ValueError, match="the same for every shape"):
        frameworks.fan_factors({"torch": call("normal_", "torch")}, rng=rng())


def test_translations_are_counted() -> None:
    table = frameworks.translations()
    assert table["initnotes", "to torch"] == "11 of 11"
    assert table["torch", "to keras"] == "12 of 14"
