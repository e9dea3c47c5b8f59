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
from initnotes import schemes
from initnotes.frameworks import measured as frameworks
from initnotes.frameworks import translation
from initnotes.frameworks.measured import LAYERS, draws, read_fans, sample, summarize
from initnotes.frameworks.translation import ENTRIES, LIBRARIES, Fixed, Scaled, translate

NEEDED: dict[str, dict[str, Any]] = {
    "constant_": {"val": 0.5},
    "constant": {"value": 0.5},
    "sparse_": {"sparsity": 0.5},
    "variance_scaling": {"scale": 1.0, "mode": "fan_geo_avg", "distribution": "normal"},
    "Scheme": {"scale": 3.0},
}
LINEAR, CONV = (64, 256), (64, 8, 3, 3)  # shapes of LAYERS, which JAX compiles once
LEVEL = 1e-4  # false-failure rate of a test in this file, shared among its comparisons


def rng(*stream: int) -> np.random.Generator:
    return np.random.default_rng([9, *stream])


def same_law(a: np.ndarray, b: np.ndarray, level: float) -> bool:
    """Compare two samples by their distribution, std and kurtosis, each at a third of a level."""
    a, b = a.ravel(), b.ravel()
    first, second = summarize(a), summarize(b)
    errors = [(one.kurtosis + 2) / (4 * one.count) for one in (first, second)]
    z = abs(math.log(first.std / second.std)) / math.sqrt(sum(errors))
    tails = abs(first.kurtosis - second.kurtosis) / math.sqrt(24 / first.count + 24 / second.count)
    chances = [ks_2samp(a, b).pvalue, *(2 * norm.sf([z, tails]))]
    return bool(min(chances) > level / 3)


def random_names() -> list[tuple[str, str]]:
    return [
        (library, name)
        for library in LIBRARIES
        for name, entry in ENTRIES[library].items()
        if isinstance(entry.says(NEEDED.get(name, {})), Scaled | Fixed)
    ]


@pytest.fixture(scope="module")
def drawn() -> Any:
    """Draw by code and shape, each once, at least 16 000 weights."""
    kept: dict[tuple[str, str, tuple[int, ...]], np.ndarray] = {}

    def draw(library: str, code: str, shape: tuple[int, ...]) -> np.ndarray:
        key = library, code, shape
        if key not in kept:
            replicas = math.ceil(16_000 / math.prod(shape))
            kept[key] = sample(library, code, shape, rng=rng(len(kept)), replicas=replicas)
        return kept[key]

    return draw


@pytest.mark.untraced
def test_translations_draw_the_same_law(drawn: Any) -> None:
    """False-failure rate: at most 1e-4 for a fresh seed, over all comparisons (Bonferroni)."""
    pairs = [
        (library, entry.code(NEEDED.get(name, {})), target, code, shape)
        for library, name in random_names()
        for entry in [ENTRIES[library][name]]
        for target in LIBRARIES
        for shape in (LINEAR, CONV)
        if target != library and (shape == LINEAR or isinstance(entry.says(NEEDED.get(name, {})), Scaled))
        for code in [translate(name, library, target, shape=shape, **NEEDED.get(name, {})).code]
        if code is not None
    ]
    assert len(pairs) > 120
    wrong = [
        (source, code, target, pasted, shape)
        for source, code, target, pasted, shape in pairs
        if not same_law(drawn(source, code, shape), drawn(target, pasted, shape), LEVEL / len(pairs))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # what the name suggests, and what a careless hand writes
        ("HeNormal()", "torch.nn.init.kaiming_normal_(w)"),
        ("GlorotUniform()", "torch.nn.init.kaiming_uniform_(w, nonlinearity='linear')"),
        ("TruncatedNormal(stddev=0.1)", "torch.nn.init.trunc_normal_(w, std=0.1)"),
        ("HeNormal()", "s = (2 / w[0].numel()) ** 0.5; torch.nn.init.trunc_normal_(w, std=s, a=-2 * s, b=2 * s)"),
        ("RandomUniform(0.0, 0.05)", "torch.nn.init.uniform_(w, -0.05, 0.05)"),
        ("LecunUniform()", "torch.nn.init.kaiming_uniform_(w, mode='fan_out', nonlinearity='linear')"),
        ("HeUniform()", "torch.nn.init.kaiming_uniform_(w, a=5**0.5)"),
    ],
)
@pytest.mark.parametrize("shape", [LINEAR, CONV])
def test_wrong_translations_are_caught(drawn: Any, right: str, wrong: str, shape: tuple[int, ...]) -> None:
    keras = drawn("keras", f"keras.initializers.{right}", shape)
    assert not same_law(keras, drawn("torch", wrong, shape), LEVEL / 1000)


@pytest.mark.parametrize("name", ["orthogonal_", "Orthogonal", "orthogonal"])
def test_orthogonal_matrices_are_orthogonal_in_all_libraries(name: str) -> None:
    library = {"orthogonal_": "torch", "Orthogonal": "keras", "orthogonal": "jax"}[name]
    gain = {"jax": {"scale": 2.0}}.get(library, {"gain": 2.0})
    for target in LIBRARIES:
        code = translate(name, library, target, **gain).code
        assert code is not None
        for shape in (LINEAR, CONV):
            flat = sample(target, code, shape, rng=rng(1))[0].reshape(shape[0], -1)
            assert flat @ flat.T == pytest.approx(4 * np.eye(shape[0]), abs=1e-5)


@pytest.mark.parametrize("target", ["torch", "keras", "jax"])
def test_constants_and_identities(target: str) -> None:
    for value, name in ((0.0, "zeros"), (0.25, "constant")):
        more = {"value": value} if value else {}
        code = translate(name, "initnotes", target, **more).code
        assert (sample(target, str(code), (3, 4), rng=rng(2)) == value).all()
    if target != "jax":
        code = translate("Identity", "keras", target, gain=2.0).code
        assert (sample(target, str(code), (3, 3), rng=rng(2))[0] == 2 * np.eye(3)).all()


def test_the_table_holds_and_a_wrong_law_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six standard errors for each of about 150 numbers: false-failure rate about 3e-7."""
    few = {kind: LAYERS[kind] for kind in ("Linear", "Conv", "attention")}
    monkeypatch.setattr(frameworks, "LAYERS", few)
    table = frameworks.initializers(rng=rng(3))
    assert len(table.rows) == len(random_names()) - len(ENTRIES["initnotes"]) + 3
    assert table["torch.kaiming_normal_", "excess kurtosis"] == "0.0"
    assert table["keras.HeNormal", "excess kurtosis"] == "-0.6"
    assert table["jax.he_uniform", "largest / std"] == "1.73"
    assert table["jax.normal", "attention"] == "–"
    assert "<td>-0.6</td>" in table._repr_html_()
    assert "tabindex='0'" in table._repr_html_()
    assert str(table).splitlines()[0] == table.caption
    with pytest.raises(ValueError, match="unknown column"):
        table["torch.kaiming_normal_", "std"]

    entry = ENTRIES["keras"]["LecunNormal"]
    wrong = Scaled(scale=1.0, mode="fan_avg", family="truncated_normal")
    weights = draws("keras", entry.code({}), "Linear", rng=rng(4), replicas=2)
    with pytest.raises(AssertionError, match="LecunNormal for Linear"):
        frameworks._agreed(entry, "Linear", wrong.fixed(*read_fans("keras", (256, 64))).moments()[1], weights)


def test_the_shapes_are_those_of_real_layers() -> None:
    keras = frameworks._load("keras")
    torch_kinds, keras_kinds = frameworks._torch_layers(), frameworks._keras_layers()
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
    kinds = {"torch": frameworks._torch_layers(), "keras": frameworks._keras_layers()}
    names = {
        "torch": ("Linear", "Conv2d", "ConvTranspose2d", "Embedding"),
        "keras": ("Dense", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "Embedding"),
    }
    for library, every in names.items():
        for layer in every:
            make, parameters, _ = kinds[library][layer]
            with frameworks._seeded(5):
                weight = frameworks._array(parameters["weight"](make()))
            says = translation.default_law(layer, library)
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
    xavier = frameworks.forward_factors("torch.nn.init.xavier_normal_(w)", rng=rng(7))
    theory = {
        "Linear": 1.6, "Conv": 2 / 9, "grouped": 2 / 9, "depthwise": 2 / 65, "transposed": 2 / 5, "attention": 1 / 2
    }  # fmt: skip
    for kind, factor in theory.items():
        assert xavier[kind].mean() == pytest.approx(factor, rel=0.25 if kind == "depthwise" else 0.1), kind
    true = frameworks.forward_factors(ini.lecun_normal, rng=rng(8))
    for kind, seen in true.items():
        assert seen.mean() == pytest.approx(1, rel=0.25 if kind == "depthwise" else 0.1), kind
    misread = frameworks.forward_factors(
        "torch.nn.init.kaiming_normal_(w, nonlinearity='linear')", rng=rng(8), replicas=8
    )
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
    for library, code in (
        ("torch", "torch.nn.init.normal_(w)"),
        ("keras", "keras.initializers.HeNormal()"),
        ("jax", "jax.nn.initializers.he_normal()"),
        ("initnotes", "ini.he_normal"),
    ):
        first, again = (sample(library, code, LINEAR, rng=rng(10), replicas=2) for _ in range(2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first[0], first[1])
        assert first.shape == (2, *LINEAR)
        assert first.dtype == np.float64
    frameworks.defaults(rng=rng(10))
    frameworks.sparse_leak(1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert before[2] == np.random.get_state()[1].tolist()  # noqa: NPY002


def test_layouts_are_undone() -> None:
    code = "jax.nn.initializers.variance_scaling(1.0, 'fan_in', 'normal')"
    shape = (3, 500, 2, 2)  # (out, in, *kernel)
    assert sample("jax", code, shape, rng=rng(11)).std() == pytest.approx(2000**-0.5, rel=0.1)


@pytest.mark.parametrize("library", ["keras", "jax"])
def test_a_missing_library_says_what_to_install(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(frameworks, "import_module", missing)
    with pytest.raises(ImportError, match=rf"{library} is needed here.*requirements-frameworks\.txt"):
        frameworks._load(library)


@pytest.mark.parametrize("chosen", [None, "jax"])
def test_the_users_choice_of_a_backend_is_respected(chosen: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    if chosen:
        monkeypatch.setenv("KERAS_BACKEND", chosen)
    monkeypatch.setattr(frameworks, "import_module", lambda name: importlib)
    frameworks._load("keras")
    assert frameworks.os.environ["KERAS_BACKEND"] == (chosen or "torch")


def test_versions_are_those_of_the_pins() -> None:
    pins = (ini.claims.Path(__file__).parents[1] / "requirements-frameworks.txt").read_text(encoding="utf-8")
    versions = frameworks.versions()
    assert f"keras=={versions['keras']}" in pins
    assert f"jax=={versions['jax']}" in pins


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: draws("jax", "jax.nn.initializers.ones", "recurrent", rng=rng()), ValueError, "no layers"),
        (lambda: draws("flax", "", "Linear", rng=rng()), ValueError, "unknown library"),
        (lambda: draws("torch", "", "Lineal", rng=rng()), ValueError, "did you mean 'Linear'"),
        (lambda: sample("torch", "", (3,), rng=rng()), ValueError, "fans"),
        (lambda: sample("torch", "", (3, 3), rng=1), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: sample("torch", "", (3, 3), rng=rng(), replicas=0), ValueError, "replicas"),
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
def test_errors_name_what_is_allowed(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def test_a_constant_has_no_kurtosis() -> None:
    assert summarize(np.ones(5)) == frameworks.Summary(1.0, 0.0, 0.0, 0.0, 5)


def test_schemes_are_read_by_their_own_fans() -> None:
    assert read_fans("initnotes", CONV) == schemes.fans(CONV)


def test_fan_factors_follow_the_fan_that_is_read() -> None:
    """Means of 32 draws within 12 %: false-failure rate below 1e-4, by the smallest layer's 576 weights a draw."""
    seen = frameworks.fan_factors({"torch": ("kaiming_normal_", {}), "keras": ("he_uniform", {})}, rng=rng(12))
    kinds = ["Linear", "Conv", "grouped", "depthwise", "transposed"]
    assert [seen["torch", kind][1] for kind in kinds] == [2, 2, 2, 2, 1 / 4]
    assert [seen["keras", kind][1] for kind in kinds] == [2, 2, 2, 2 / 64, 1 / 4]
    for measured, theory in seen.values():
        assert measured.mean() == pytest.approx(theory, rel=0.12)
    fan_out = frameworks.fan_factors({"keras": ("VarianceScaling", {"scale": 2.0, "mode": "fan_out"})}, rng=rng(13))
    assert fan_out["keras", "depthwise"][1] == fan_out["keras", "transposed"][1] == 2
    with pytest.raises(ValueError, match="the same for every shape"):
        frameworks.fan_factors({"torch": ("normal_", {})}, rng=rng())


def test_translations_are_counted() -> None:
    table = frameworks.translations()
    assert table["initnotes", "to torch"] == "11 of 11"
    assert table["torch", "to keras"] == "12 of 14"
