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
    by_inverse,
    call,
    draws,
    left_unset,
    libraries,
    measured,
    position_factors,
    read_fans,
    sample,
    summarize,
    translate,
)
from initnotes.frameworks.libraries import LIKE_TORCH, array, draw, load, quick_compiler, seeded

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
KERNEL = (6, 4, 3, 3)  # as torch and this book keep it


def same_numbers(call: Call, make: Any) -> bool:
    kind = getattr(call.law, "kind", "")
    shape = KERNEL if kind == "delta_orthogonal" and call.library in LIKE_TORCH else SHAPES.get(kind, (6, 8))
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
] + [
    translate("Identity", "keras", "torch", gain=2.0).call,
    translate("delta_orthogonal", "jax", "torch", scale=2).call,
]


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


@pytest.mark.parametrize("source", ["jax", "initnotes"])
@pytest.mark.parametrize("target", ["torch", "jax", "initnotes"])
@pytest.mark.parametrize("kernel", [(3,), (5, 3), (3, 3, 3)])
def test_delta_orthogonal_convolutions_keep_every_length(source: str, target: str, kernel: tuple[int, ...]) -> None:
    found = translate("delta_orthogonal", source, target, **{"scale" if source == "jax" else "gain": 2.0}).call
    assert found is not None
    assert (found.law.kind, found.law.gain) == ("delta_orthogonal", 2.0)
    weights = sample(found, (6, 4, *kernel), rng=rng(21))[0]
    center = weights[(..., *(size // 2 for size in kernel))]
    assert center.T @ center == pytest.approx(4 * np.eye(4), abs=1e-5)
    assert np.count_nonzero(weights) == center.size
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[len(kernel) - 1]
    image = torch.from_numpy(rng(22).standard_normal((1, 4, *(6,) * len(kernel))))
    made = convolve(image, torch.tensor(weights), padding="same")
    assert float(made.norm() / image.norm()) == pytest.approx(2, rel=1e-5)


def test_the_code_for_torch_fills_a_parameter_of_any_shape_at_the_tap_that_sees_its_place() -> None:
    """An even kernel, fewer channels out than in, and no kernel; JAX fills the same tap."""
    found = translate("delta_orthogonal", "jax", "torch", scale=2.0).call
    assert found is not None
    for shape in ((3, 5, 4, 2), (5, 3, 4, 2), (5, 3)):
        w = torch.nn.Parameter(torch.ones(shape))
        generator = torch.Generator().manual_seed(1)
        assert found.initializer()(w, generator=generator) is w
        exec(found.code, {"torch": torch, "w": w})
        tap = w[:, :, 1, 0] if len(shape) > 2 else w
        small = min(shape[:2])
        product = tap @ tap.T if shape[0] == small else tap.T @ tap
        torch.testing.assert_close(product, 4 * torch.eye(small), rtol=0, atol=1e-5)
        assert w.count_nonzero() == tap.numel()
    from_jax = load("jax").nn.initializers.delta_orthogonal()(load("jax").random.key(0), (4, 2, 3, 5))
    assert np.argwhere(np.abs(from_jax).sum((2, 3))).tolist() == [[1, 0]]


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
    flax = as_they_come._flax_layers()
    kinds = {"torch": as_they_come._torch_layers(), "keras": as_they_come._keras_layers(), "jax": flax}
    names = {
        "torch": ("Linear", "Conv2d", "ConvTranspose2d", "Embedding"),
        "keras": ("Dense", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "Embedding"),
        "jax": ("Linear", "Conv", "ConvTranspose", "Embed"),
    }
    for library, every in names.items():
        for layer in every:
            make, parameters, _ = kinds[library][layer]
            with seeded(5), quick_compiler():
                weight = array(parameters["weight"](make()))
            says = frameworks.default_law(layer, library)
            assert isinstance(says, Scaled | Fixed)
            fixed = says.fixed(*read_fans(library, weight.shape))
            assert kstest(weight.ravel(), fixed.cdf).pvalue > LEVEL / 13, (library, layer)
            far = 1.3 if fixed.family == "truncated_normal" else 1.1  # a cut normal is nearer to a wide one
            wrong = Fixed(family="normal", sigma=far * fixed.moments()[1])
            if weight.size > 4000:
                assert kstest(weight.ravel(), wrong.cdf).pvalue < LEVEL / 13, (library, layer)


def test_defaults_say_what_layers_hold() -> None:
    table = frameworks.defaults(rng=rng(6))
    factor = {row[0]: row[-1] for row in table.rows}
    assert float(factor["torch Linear: weight"]) == pytest.approx(1 / 3, abs=0.02)
    assert float(factor["torch ConvTranspose2d: weight"]) == pytest.approx(1 / 24, rel=0.05)
    assert float(factor["torch MultiheadAttention: query"]) == pytest.approx(1 / 2, abs=0.03)
    assert float(factor["keras DepthwiseConv2D: weight"]) == pytest.approx(2 / 65, rel=0.05)
    assert float(factor["keras LSTM: recurrent weights, a gate"]) == pytest.approx(1 / 4, abs=0.001)
    assert float(factor["keras MultiHeadAttention: query"]) == pytest.approx(1, abs=0.05)
    assert float(factor["flax Conv, depthwise: weight"]) == pytest.approx(1, abs=0.03)
    assert float(factor["flax ConvTranspose: weight"]) == pytest.approx(1, abs=0.03)
    assert float(factor["flax Embed: weight"]) == pytest.approx(1 / 64, rel=0.05)
    assert float(factor["flax LSTMCell: recurrent weights, a gate"]) == pytest.approx(1, abs=0.001)
    assert float(factor["flax OptimizedLSTMCell: recurrent weights, a gate"]) == pytest.approx(1 / 4, abs=0.001)
    assert float(factor["flax MultiHeadAttention: query"]) == pytest.approx(1, abs=0.05)
    assert table["keras LSTM: forget bias", "mean"] == "1"
    assert table["flax LSTMCell: forget bias", "mean"] == "0"
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


@pytest.mark.parametrize("library", ["keras", "jax", "flax"])
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
    assert f"flax=={versions['flax']}" in pins


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
        (lambda: position_factors(np.ones((2, 3, 3)), stride=2, rng=rng()), ValueError, r"\(replicas, in, out, k, k\)"),
        (lambda: position_factors(np.ones((1, 1, 1, 2, 2)), stride=0, rng=rng()), ValueError, "stride"),
        (lambda: position_factors(np.ones((1, 1, 1, 2, 2)), stride=2, rng=1), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: by_inverse(torch.empty(3), std=0.0), ValueError, "std must be greater than 0"),
        (lambda: frameworks.in_dtypes(rng=None), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: left_unset(lambda: 3, print), TypeError, "must return a torch.nn.Module, got int"),
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
    assert table["initnotes", "to torch"] == table["initnotes", "to jax"] == "12 of 12"
    assert table["initnotes", "to keras"] == "11 of 12"  # which has no delta-orthogonal kernels
    assert table["torch", "to keras"] == "12 of 14"


# ---------------------------------------------------------------------------------------------------- strides


STRIDED = {(2, 2): 0, (4, 2): 0, (3, 2): 1}  # kernel and stride, with the output padding that decoders use


@pytest.mark.parametrize(("kernel", "stride"), STRIDED)
def test_a_strided_transposed_convolution_gets_what_its_fan_says(kernel: int, stride: int) -> None:
    """He's 2 by four fans. Means of 32 draws within 8 %, five times their spread: false-failure rate below 1e-5."""
    padding, inputs, outputs = STRIDED[kernel, stride], 64, 32
    layer = torch.nn.ConvTranspose2d(inputs, outputs, kernel, stride=stride, bias=False, dtype=torch.float64)
    generator, shape = rng(30, kernel), (inputs, outputs, kernel, kernel)
    drawn = [ini.initialize_(layer, "he_normal", rng=generator).weight.detach().numpy().copy() for _ in range(32)]
    he = {mode: call("kaiming_normal_", "torch", mode=mode) for mode in ("fan_in", "fan_out")}
    arms = {
        "initialize_": (np.array(drawn), 2),
        "read": (he["fan_in"].draw(shape, rng=generator, replicas=32), 2 * inputs / outputs / stride**2),
        "advice": (he["fan_out"].draw(shape, rng=generator, replicas=32), 2 / stride**2),
    }
    for arm, (weights, theory) in arms.items():
        seen = position_factors(weights, stride=stride, output_padding=padding, rng=generator)
        assert seen.shape == (32, stride, stride)
        assert seen.mean() == pytest.approx(theory, rel=0.08), arm
        places = [
            -(-(kernel - at) // stride) * stride / kernel for at in range(stride)
        ]  # of the average count, an axis
        assert seen.mean(axis=0) == pytest.approx(theory * np.outer(places, places), rel=0.15), arm


def test_positions_are_those_of_the_real_layer() -> None:
    """One image through torch's own layer, whose edges are cut by hand, has the same squares by position."""
    layer = torch.nn.ConvTranspose2d(3, 2, 5, stride=3, bias=False, dtype=torch.float64)
    seen = position_factors(layer.weight.detach()[None].numpy(), stride=3, rng=rng(31))
    with torch.no_grad():
        z = layer(torch.from_numpy(rng(31).standard_normal((4, 3, 6, 6)))).numpy()
    by_hand = [[(z[..., 6 + i : 15 : 3, 6 + j : 15 : 3] ** 2).mean() for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(seen[0], by_hand, rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- names, storage


def test_equal_names_are_found_and_compared() -> None:
    table = frameworks.equal_names()
    laws = {row[0]: row[2:] for row in table.rows}
    assert len(laws) == 14
    assert {name for name, said in laws.items() if set(said) == {"one law"}} == {
        "xavier_uniform", "orthogonal", "glorot_uniform", "glorot_normal"
    }  # fmt: skip
    assert sum(said[0] == "one law" for said in laws.values()) == 9
    assert table["kaiming_normal", "in"] == "torch, jax"
    assert table["uniform", "in"] == "torch, keras, jax"
    for name, every in measured._by_name().items():  # what is compared is what each library has under that name
        for library, named in every.items():
            assert frameworks.law(name, library) == named.example().law


def test_equal_names_differ_in_draws_as_the_table_says() -> None:
    """A ratio of standard deviations over 32 draws within 5 %: false-failure rate below 1e-9."""
    for name, kind, libraries_, ratio in (
        ("he_normal", "depthwise", ("jax", "keras"), 8),
        ("kaiming_normal", "transposed", ("jax", "torch"), 8**0.5),
        ("normal", "Linear", ("torch", "jax"), 100),
        ("glorot_normal", "Conv", ("keras", "jax"), 1),
    ):
        first, second = (draws(call(name, library), kind, rng=rng(32)).std() for library in libraries_)
        assert first / second == pytest.approx(ratio, rel=0.05), name


@pytest.mark.parametrize(("dtype", "rate"), [("bfloat16", 1 / 512), ("float16", 1 / 4096), ("float64", 0)])
def test_the_old_trunc_normal_strays_in_sixteen_bits(dtype: str, rate: float) -> None:
    """A million draws; the count of strays within five standard errors: false-failure rate below 1e-6 each."""
    made = {}
    for name, fill in (("old", by_inverse), ("now", torch.nn.init.trunc_normal_)):
        w = torch.empty(1_000_000, dtype=getattr(torch, dtype))
        made[name] = fill(w, std=0.02, generator=torch.Generator().manual_seed(4)).double()
    strays = int((made["old"] == -2).sum())
    assert strays == pytest.approx(1e6 * rate, abs=5 * (1e6 * rate) ** 0.5)
    assert made["now"].abs().max() < 7 * 0.02
    assert made["now"].std() == pytest.approx(0.02, rel=0.005)
    inside = made["old"][made["old"] > -2]
    assert inside.std() == pytest.approx(0.02, rel=0.02)
    assert made["old"].var() == pytest.approx(0.02**2 + 4 * rate, rel=0.15)


def test_the_old_trunc_normal_keeps_its_limits() -> None:
    w = by_inverse(torch.empty(100_000), std=1.0, generator=torch.Generator().manual_seed(5))
    assert w.abs().max() <= 2
    assert float(w.std()) == pytest.approx(frameworks.KEPT, rel=0.01)


def test_draws_by_dtype() -> None:
    table = frameworks.in_dtypes(rng=rng(33))
    rows = {row[0]: dict(zip(table.head[1:], row[1:], strict=True)) for row in table.rows}
    old, now = rows["the same, through 2.11"], rows["torch trunc_normal_"]
    assert [text.split(",")[0] for text in now.values()] == ["1.00"] * 4
    assert float(old["bfloat16"].split(",")[0]) == pytest.approx(4.5, abs=0.3)
    assert old["bfloat16"].endswith(", 100")
    assert rows["jax truncated_normal"]["float64"] == "–"
    assert {text.split(",")[0] for text in rows["keras TruncatedNormal"].values()} == {"0.88"}
    assert rows["torch orthogonal_: off by"]["bfloat16"] == "refuses"
    assert rows["torch orthogonal_: off by"]["float64"].startswith("below 1e-1")


def test_a_longer_truncated_array_is_another_draw() -> None:
    def first(fill: Any, count: int) -> torch.Tensor:
        return fill(torch.empty(count), std=1.0, generator=torch.Generator().manual_seed(6))

    assert torch.equal(first(by_inverse, 256), first(by_inverse, 512)[:256])
    same = int((first(torch.nn.init.trunc_normal_, 256) == first(torch.nn.init.trunc_normal_, 512)[:256]).sum())
    assert 200 < same < 256  # a 22nd falls outside, and is drawn again


class Everything(torch.nn.Module):
    """A layer, an attention, a normalization, a mask, and a buffer that a state dict leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)
        self.attend = torch.nn.MultiheadAttention(4, 2)
        self.norm = torch.nn.BatchNorm1d(3)
        self.register_buffer("mask", torch.ones(2, 2).tril().bool())
        self.register_buffer("angles", torch.ones(3), persistent=False)


def test_what_stays_without_a_value() -> None:
    def nothing(model: torch.nn.Module) -> None:
        pass

    def reset(model: torch.nn.Module) -> None:
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    held = Everything()
    every = [name for name, _ in (*held.named_parameters(), *held.named_buffers())]
    assert left_unset(Everything, nothing) == every
    assert left_unset(Everything, reset) == ["attend.in_proj_weight", "attend.in_proj_bias", "mask", "angles"]
    assert left_unset(Everything, lambda model: model.load_state_dict(held.state_dict())) == ["angles"]

    def partly(model: Any) -> None:
        model.load_state_dict(held.state_dict())
        model.angles[:2] = 0

    assert left_unset(Everything, partly) == ["angles"]
    assert left_unset(Everything, lambda model: (partly(model), model.angles.zero_())) == []


def test_a_convolution_draws_the_same_in_any_memory_format() -> None:
    """Since torch 2.12: a weight in channels_last gets the numbers of a contiguous one."""
    layer = torch.nn.Conv2d(4, 6, 3)
    drawn = []
    for kept in (torch.contiguous_format, torch.channels_last):
        with seeded(7):
            layer.to(memory_format=kept).reset_parameters()
        drawn.append(layer.weight.detach().contiguous())
    assert torch.equal(*drawn)


def test_the_initializers_of_flax_are_those_of_jax() -> None:
    nnx, jax = load("flax.nnx"), load("jax")
    names = [
        name for name in vars(nnx.initializers) if name in REGISTRY["jax"] or name.startswith(("xavier", "kaiming"))
    ]
    assert len(names) >= 14
    others = [name for name in names if getattr(nnx.initializers, name) is not getattr(jax.nn.initializers, name)]
    assert others == []


# ---------------------------------------------------------------------------------------------------- Hugging Face


def test_hugging_face_starts_from_one_standard_deviation() -> None:
    """What chapter 20 says of transformers' `_init_weights`. Stds within 6 %: false-failure rate below 1e-6."""
    import transformers

    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    with seeded(8):
        bert = transformers.BertModel(transformers.BertConfig(vocab_size=100, **size))
        gpt2 = transformers.GPT2Model(transformers.GPT2Config(vocab_size=100, n_embd=64, n_layer=2, n_head=4))
    for name, module in bert.named_modules():
        if isinstance(module, torch.nn.Linear):
            assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.06), name
            assert (module.bias == 0).all(), name
        elif isinstance(module, torch.nn.LayerNorm):
            assert (module.weight == 1).all(), name
    words = bert.embeddings.word_embeddings
    assert (words.weight[words.padding_idx] == 0).all()
    assert float(words.weight[1:].detach().std()) == pytest.approx(0.02, rel=0.06)
    for block in gpt2.h:
        for part in (block.attn, block.mlp):
            assert float(part.c_proj.weight.detach().std()) == pytest.approx(0.02 / 2, rel=0.06)  # √(2 L) = 2
        assert float(block.attn.c_attn.weight.detach().std()) == pytest.approx(0.02, rel=0.06)
