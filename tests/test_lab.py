"""The live figure: its numbers against NumPy and `initnotes`, and what stands for it in Python and on a page.

Statistical tests: each p-value falls below 1e-4 once in 10,000 fresh seeds; the seeds are fixed.
"""

import functools
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lab_pages import VERDICTS, write
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page
from scipy import stats
from traitlets import TraitError

import initnotes as ini
from initnotes import networks, plots, widgets
from initnotes.book import starts
from tools import files, guards, notebooks, run

ASSETS = notebooks.ROOT / "book" / "assets"
MODULE = ASSETS / "init-lab.mjs"
LOW_P = 1e-4


CALL = """async (argument) => {
    const m = await import('/init-lab.mjs');
    const plain = (key, one) => ArrayBuffer.isView(one) ? Array.from(one)
        : typeof one === 'number' && !Number.isFinite(one) ? {number: String(one)} : one;
    return JSON.stringify((FUNCTION)(m, argument), plain);  // a text crosses faster than many numbers
}"""


def module(page: Page, function: str, argument: object = None) -> Any:
    """Call a function of the module and of an argument in the browser."""
    text = page.evaluate(CALL.replace("FUNCTION", function), argument)
    return json.loads(text, object_hook=lambda found: float(found["number"]) if set(found) == {"number"} else found)


@pytest.fixture(scope="module")
def bare_page(lab_folder: Path, lab_address: str, chromium: Browser) -> Iterator[Page]:
    """Return a page that can import the module; no test changes it."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{lab_address}/{write(lab_folder, '')}")
        yield page


@pytest.fixture
def lab_module(browser: Browser, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return `module`, bound to a page."""
    return functools.partial(module, request.getfixturevalue("bare_page"))


# ------------------------------------------------------------------------------------------------- numbers: passes

CASES = [
    {"scheme": "he_normal", "activation": "relu"},
    {"scheme": "xavier_uniform", "activation": "tanh", "sigmaB": 0.3},
    {"scheme": "lecun_truncated", "activation": "selu", "width": 33},
    {"scheme": "orthogonal_sqrt2", "activation": "gelu", "width": 41},
    {"scheme": "free", "sigmaW": 6.5, "activation": "sigmoid", "sigmaB": 1.0},
    {"scheme": "small_random", "activation": "silu", "sigmaB": 0.05},
    {"scheme": "constant", "activation": "elu", "width": 12, "sigmaB": 0.2},
    {"scheme": "lecun_uniform", "activation": "leaky_relu", "depth": 1},
    {"scheme": "zeros", "activation": "linear", "sigmaB": 1.0},
]
TAKEN = """(m, a) => {
    const s = m.sane({depth: 20, width: 40, seed: 3, ...a}), r = m.measure(s), n = s.width;
    const plain = rows => rows.map(x => Array.from({length: 16 * n}, (_, k) => x[(k / n | 0) * r.stride + k % n]));
    const {forward, backward, flat, deadLayer, copies} = r;
    return {...m.parameters(s), settings: s, h: plain(r.h), delta: plain(r.delta), forward, backward, flat, deadLayer,
            copies, verdict: m.verdict(r)};
}"""


def passes(taken: dict[str, Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Compute h_0 … h_L and the gradients with respect to h_0, z_1 … z_L with NumPy, from the module's parameters."""
    n, depth = taken["settings"]["width"], taken["settings"]["depth"]
    phi = ini.activations.get(taken["settings"]["activation"])
    weights = [np.reshape(weight, (n, n)) for weight in taken["weights"]]
    h, slopes = [np.reshape(taken["inputs"], (16, n))], [np.ones((16, n))]
    for layer, (weight, bias) in enumerate(zip(weights, taken["biases"], strict=True), start=1):
        z = h[-1] @ weight.T + bias
        h.append(phi(z) if layer < depth else z)
        slopes.append(phi.derivative(z))
    delta = [np.reshape(taken["gradient"], (16, n))]
    for layer in range(depth, 0, -1):
        delta.insert(0, delta[0] @ weights[layer - 1] * slopes[layer - 1])
    return h, delta


def error(found: Any, wanted: np.ndarray) -> float:
    """Return the largest error of a layer, relative to its rms."""
    return float(np.abs(np.reshape(found, wanted.shape) - wanted).max() / (np.sqrt(np.mean(wanted**2)) or 1.0))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['scheme']}-{case['activation']}")
def test_passes_are_numpys(lab_module: Callable[..., Any], case: dict[str, Any]) -> None:
    taken = lab_module(TAKEN, case)
    h, delta = passes(taken)
    errors = [error(*pair) for pair in [*zip(taken["h"], h, strict=True), *zip(taken["delta"], delta, strict=True)]]
    assert max(errors) < 1e-5
    rms = [[np.sqrt(np.mean(layer**2)) for layer in layers] for layers in (h, delta)]
    np.testing.assert_allclose([taken["forward"], taken["backward"]], rms, rtol=1e-5)


def test_wrong_pass_would_be_seen(lab_module: Callable[..., Any]) -> None:
    taken = lab_module(TAKEN, CASES[0])
    taken["weights"][7] = [1.01 * weight for weight in taken["weights"][7]]
    h, _ = passes(taken)
    assert max(error(*pair) for pair in zip(taken["h"], h, strict=True)) > 2e-3


def measured(taken: dict[str, Any]) -> widgets.Measured:
    """Measure the module's network with `initnotes`."""
    own = taken["settings"]
    fixed = widgets.SCHEMES[own["scheme"]]
    names = {"activation": own["activation"], "depth": own["depth"], "width": own["width"], "sigma_b": own["sigmaB"]}
    settings = widgets.Settings(scheme=own["scheme"], sigma_w=None if fixed else own["sigmaW"], **names)
    n = own["width"]
    product = networks.order_free_product if own["scheme"] in ("zeros", "constant") else torch.matmul
    options = {"rng": np.random.default_rng(0), "replicas": 1, "product": product}
    net = networks.Ensemble((n,) * (own["depth"] + 1), own["activation"], "zeros", **options)
    for mine, theirs in [
        *zip(net.weights, taken["weights"], strict=True),
        *zip(net.biases, taken["biases"], strict=True),
    ]:
        mine.copy_(torch.tensor(theirs, dtype=torch.float64).view(mine.shape))
    return widgets.Measured.of(settings, net, *(np.reshape(taken[name], (16, n)) for name in ("inputs", "gradient")))


@pytest.mark.parametrize("preset", widgets.PRESETS)
def test_verdict_is_pythons(lab_module: Callable[..., Any], preset: str) -> None:
    taken = lab_module(
        f"(m, a) => ({TAKEN})(m, {{activation: 'tanh', depth: 30, width: 48, seed: 1, ...m.PRESETS[a]}})", preset
    )
    python = measured(taken)
    rtol = 2e-3 if preset == "constant" else 1e-5  # the product that keeps equal units equal rounds in each layer
    np.testing.assert_allclose(python.forward, taken["forward"], rtol=rtol)
    np.testing.assert_allclose(python.backward, taken["backward"], rtol=rtol)
    assert (python.dead_layer, python.copies) == (taken["deadLayer"], taken["copies"])
    assert python.flat == pytest.approx(taken["flat"])
    assert list(widgets.verdict(python)) == taken["verdict"]
    assert taken["verdict"][0] == VERDICTS[preset]


def test_every_verdict_is_reached() -> None:
    assert set(VERDICTS.values()) == {"alive", "vanished", "exploded", "saturated", "symmetric", "dead"}


# --------------------------------------------------------------------------------------------- numbers: histograms

HISTOGRAMS = """(m, a) => {
    const s = m.sane({depth: 6, width: 40, seed: 3, ...a}), r = m.measure(s), n = s.width;
    const layers = kind => r[kind].map((x, l) => ({
        values: Array.from({length: 16 * n}, (_, k) => x[(k / n | 0) * r.stride + k % n]),
        ...m.histogram(r, kind, l)}));
    return {activations: layers('h'), gradients: layers('delta')};
}"""


def unlike(found: dict[str, Any], *, shared: bool = True) -> list[str]:
    """Return in which layers the module's histogram is not that of `ini.plots.histograms`."""
    rows = {row: {at: [layer["values"]] for at, layer in enumerate(layers)} for row, layers in found.items()}
    drawn = plots.histograms(rows, layers=range(7), shared=shared).axes
    faults = []
    for ax, (row, at) in zip(drawn, [(row, at) for row in rows for at in range(7)], strict=True):
        one, (middle, density) = found[row][at], ax.lines[0].get_data()
        width = 2 * one["limit"] / 41
        missed = np.abs(np.array(one["density"]) - density).sum() * width * 16 * 40 if middle[-1] > 0 else np.inf
        zeros = f"\n{one['zeros']:.0%} are 0" if one["zeros"] >= 0.005 else ""
        same = np.isclose(middle[-1], 20 * width) and missed < 2.5  # one value on an edge may fall on either side
        if not same or ax.texts[0].get_text() != f"std {one['std']:.2g}{zeros}":
            faults.append(f"{row} of layer {at}")
    return faults


@pytest.mark.parametrize(
    "case",
    [
        {"scheme": "he_normal", "activation": "relu"},
        {"scheme": "small_random", "activation": "tanh", "sigmaB": 0.3},
        {"scheme": "free", "sigmaW": 4.0, "activation": "tanh"},
        {"scheme": "constant", "activation": "tanh"},
        {"scheme": "zeros", "activation": "relu"},
    ],
    ids=lambda case: f"{case['scheme']}-{case['activation']}",
)
def test_histograms_are_the_books(lab_module: Callable[..., Any], case: dict[str, Any]) -> None:
    """One range for all layers, 41 bins, exact zeros left out and counted, as `ini.plots.histograms` has them."""
    assert unlike(lab_module(HISTOGRAMS, case)) == []


def test_another_scale_would_be_seen(lab_module: Callable[..., Any]) -> None:
    found = lab_module(HISTOGRAMS, {"scheme": "small_random", "activation": "tanh"})
    assert len(unlike(found, shared=False)) == 12  # all but the largest layer of each row
    found["gradients"][2]["density"][20] *= 1.1
    assert unlike(found) == ["gradients of layer 2"]


# ------------------------------------------------------------------------------------------------- numbers: theory


def profiled(activation: str, sigma_w: float, sigma_b: float, depth: int = 40) -> list[np.ndarray]:
    """Return rms of h_0 … h_{L-1} and z_L, and of the gradients at h_0 and z_1 … z_L, by `initnotes.theory.profile`."""
    own = {"forward": [sigma_w**2] * depth, "biases": sigma_b**2}
    signal, gradient = ini.theory.profile(1.0, activation, **own)
    hidden = [ini.theory.second_moment(q, activation) for q in signal[:-1]]
    return [np.sqrt([1.0, *hidden, signal[-1]]), np.sqrt([sigma_w**2 * gradient[0], *gradient])]


@pytest.mark.parametrize("activation", widgets.ACTIVATIONS)
@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(0.0, 0.5), (1.0, 0.0), (1.5, 0.3), (4.0, 2.0)])
def test_theory_line_is_the_profile(
    lab_module: Callable[..., Any], activation: str, sigma_w: float, sigma_b: float
) -> None:
    """JavaScript and Python compute the size of signal and gradient layer by layer; they must not drift apart."""
    given = {"scheme": "free", "activation": activation, "depth": 40, "sigmaW": sigma_w, "sigmaB": sigma_b}
    line = lab_module("(m, a) => m.theory(m.sane(a))", given)
    found = [np.array(line[way], dtype=np.float64) for way in ("forward", "backward")]
    wanted = profiled(activation, sigma_w, sigma_b)
    for own, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-4)
    settings = widgets.Settings(activation=activation, depth=40, sigma_w=sigma_w, sigma_b=sigma_b)
    for own, theirs in zip(widgets.mean_field(settings) or (), wanted, strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-9)


def test_another_profile_would_be_seen(lab_module: Callable[..., Any]) -> None:
    given = {"scheme": "free", "activation": "tanh", "depth": 40, "sigmaW": 1.5, "sigmaB": 0.3}
    line = lab_module("(m, a) => m.theory(m.sane(a))", given)
    for wrong in (("tanh", 1.5, 0.0), ("tanh", 1.501, 0.3), ("sigmoid", 1.5, 0.3)):
        forward, backward = profiled(*wrong)
        assert np.abs(np.array(line["forward"]) / forward - 1).max() > 2e-4
        assert np.abs(np.array(line["backward"]) / backward - 1).max() > 2e-4


def test_theory_line_is_the_books(lab_module: Callable[..., Any]) -> None:
    predicted = widgets.mean_field(widgets.Settings(activation="tanh", depth=3, sigma_w=1.5, sigma_b=0.3))
    assert predicted is not None
    first = ini.theory.variance_map(1.0, "linear", sigma_w=1.5, sigma_b=0.3)
    second = ini.theory.variance_map(first, "tanh", sigma_w=1.5, sigma_b=0.3)
    slope = [ini.theory.derivative_second_moment(q, "tanh") for q in (first, second)]
    q = [ini.theory.second_moment(before, "tanh") for before in (first, second)]
    last = ini.theory.variance_map(second, "tanh", sigma_w=1.5, sigma_b=0.3)
    np.testing.assert_allclose(predicted[0] ** 2, [1.0, *q, last])
    chi = [1.5**2 * square for square in slope]
    np.testing.assert_allclose(predicted[1] ** 2, [1.5**2 * chi[0] * chi[1], chi[0] * chi[1], chi[1], 1.0])
    assert lab_module("(m) => m.theory(m.sane({scheme: 'constant'}))") is None


@pytest.mark.parametrize("activation", widgets.ACTIVATIONS)
@pytest.mark.parametrize("sigma_b", [0.0, 0.3, 1.0, 2.0])
def test_critical_line(lab_module: Callable[..., Any], activation: str, sigma_b: float) -> None:
    found = lab_module("(m, [name, sigmaB]) => m.criticalSigmaW(name, sigmaB)", [activation, sigma_b])
    try:
        assert found == pytest.approx(ini.theory.critical_sigma_w(activation, sigma_b=sigma_b), rel=1e-4)
    except ValueError as jump:  # GELU and SiLU: chi jumps over 1, and theory says where
        place = re.search(r"at sigma_w = ([\d.]+); look", str(jump))
        assert place
        assert found == pytest.approx(float(place[1]), rel=1e-3)


def test_phase_is_theorys(lab_module: Callable[..., Any]) -> None:
    for activation, sigma_w, sigma_b in [
        ("tanh", 2.0, 0.5),
        ("selu", 0.6, 0.2),
        ("relu", 1.2, 0.3),
        ("sigmoid", 12, 1),
    ]:
        found = lab_module("(m, a) => m.chi(...a)", [activation, sigma_w, sigma_b])
        assert found == pytest.approx(ini.theory.chi(activation, sigma_w=sigma_w, sigma_b=sigma_b), rel=1e-2)


# -------------------------------------------------------------------------------------------------- numbers: draws

CUT = stats.truncnorm(-2, 2)
LAWS: dict[str, Any] = {
    "normal": stats.norm(),
    "uniform": stats.uniform(-(3**0.5), 2 * 3**0.5),
    "truncated_normal": stats.truncnorm(-2, 2, scale=1 / CUT.std()),
}
DRAWN = "(m, [law, count, seed]) => Array.from(m.draw(law, count, m.rng(seed, 1, 1)))"


def fits(values: Any, law: Any) -> list[float]:
    """Return p-values: Kolmogorov-Smirnov, and a z-test of the variance."""
    values = np.asarray(values)
    kurtosis = float(law.stats(moments="k")) + 3
    z = (np.mean(values**2) / law.var() - 1) / np.sqrt((kurtosis - 1) / len(values))
    return [float(stats.kstest(values, law.cdf).pvalue), float(2 * stats.norm.sf(abs(z)))]


@pytest.mark.parametrize("law", LAWS)
def test_draws_follow_the_law(lab_module: Callable[..., Any], law: str) -> None:
    values = np.array(lab_module(DRAWN, [law, 200_000, 1]))
    assert min(fits(values, LAWS[law])) > LOW_P
    assert fits(1.01 * values, LAWS[law])[1] < LOW_P  # a variance that is 2 % too large
    assert fits(np.abs(values), LAWS[law])[0] < LOW_P
    for lag in (1, 2, 100):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) * len(values) ** 0.5 < stats.norm.isf(LOW_P / 2)


@pytest.mark.parametrize("scheme", [name for name in widgets.SCHEMES if name not in ("zeros", "constant")])
def test_weights_have_the_schemes_variance(lab_module: Callable[..., Any], scheme: str) -> None:
    case = {"scheme": scheme, "sigmaW": 1.3, "depth": 4, "width": 128, "sigmaB": 0.7}
    taken = lab_module("(m, a) => m.parameters(a)", case)
    weights = np.array(taken["weights"])
    std = (widgets.SCHEMES[scheme] or ini.Scheme(scale=1.3**2)).std((128, 128))
    if scheme.startswith("orthogonal"):
        for weight in weights.reshape(4, 128, 128):
            np.testing.assert_allclose(weight @ weight.T, 128 * std**2 * np.eye(128), atol=1e-5)
        return
    law = LAWS["uniform" if "uniform" in scheme else "truncated_normal" if "truncated" in scheme else "normal"]
    assert min(fits(weights.ravel() / std, law)) > LOW_P
    assert fits(1.03 * weights.ravel() / std, law)[1] < LOW_P
    for values in (np.ravel(taken["biases"]) / 0.7, taken["inputs"], taken["gradient"]):
        assert min(fits(values, LAWS["normal"])) > LOW_P
    layers = np.corrcoef(weights.reshape(4, -1))[np.triu_indices(4, 1)]
    assert np.abs(layers).max() * 128 < stats.norm.isf(LOW_P / 12)


def haar(first_entries: Any, n: int) -> float:
    """Return the p-value of entries (0, 0) of uniformly drawn orthogonal n x n matrices."""
    square = stats.beta(0.5, (n - 1) / 2)
    return float(stats.kstest(first_entries, lambda x: 0.5 + 0.5 * np.sign(x) * square.cdf(x**2)).pvalue)


def test_orthogonal_matrices_are_uniform(lab_module: Callable[..., Any]) -> None:
    first = "(m, n) => Array.from({length: 2000}, (_, k) => m.draw('orthogonal', 36, m.rng(k, 2, 1))[n] / 6 ** 0.5)"
    for entry in (0, 15, 35):
        assert haar(lab_module(first, entry), 6) > LOW_P
    raw = np.linalg.qr(np.random.default_rng(1).standard_normal((2000, 6, 6)))[0]  # LAPACK leaves signs as they fall
    assert haar(raw[:, 0, 0], 6) < LOW_P


# ------------------------------------------------------------------------------------------------------- two halves


def test_module_and_package_name_the_same(lab_module: Callable[..., Any]) -> None:
    names = "m => [m.SCHEMES, m.ACTIVATIONS, m.PRESETS].map(o => Object.keys(o))"
    assert [sorted(found) for found in lab_module(names)] == [
        sorted(own) for own in (widgets.SCHEMES, widgets.ACTIVATIONS, widgets.PRESETS)
    ]
    colors = lab_module("m => Object.fromEntries(Object.entries(m.SCHEMES).map(([k, s]) => [k, [s.light, s.dark]]))")
    assert {name: tuple(pair) for name, pair in colors.items()} == widgets.COLORS
    assert {name: widgets.COLORS[name][0] for name in plots.COLORS} == plots.COLORS
    sigmas = lab_module("m => Object.keys(m.SCHEMES).map(scheme => m.sane({scheme, width: 100, sigmaW: 1}).sigmaW)")
    own = [widgets.Settings(scheme=name, width=100).sigma_w for name in lab_module("m => Object.keys(m.SCHEMES)")]
    np.testing.assert_allclose(sigmas, own, rtol=1e-9)
    tops = lab_module("m => Object.keys(m.ACTIVATIONS).map(name => [name, m.topSigmaW(name)])")
    assert all(widgets.top_sigma_w(name) == top for name, top in tops)
    assert lab_module("m => [m.FACTOR, m.SATURATED, m.BATCH]") == [starts.FACTOR, starts.SATURATED, starts.BATCH]


def test_module_is_small_and_stands_alone() -> None:
    source = MODULE.read_text(encoding="utf-8")
    assert len(gzip.compress(source.encode(), 9, mtime=0)) <= 25_000
    assert not re.search(
        r"\bimport\.meta|^await\b|^export \*|^export [^{]*\bfrom\b", source, re.M
    )  # a script can be made of it
    assert not re.search(r"^\s*import\b|\bimport\(|\bfetch\(|\beval\(|new Function|new Worker|https?://", source, re.M)


# ------------------------------------------------------------------------------------------------ in Python and Jupyter


def test_widget_has_traits() -> None:
    figure = ini.lab("xavier_normal", "relu", depth=20, width=64)
    assert (figure.verdict, figure.sigma_w, figure.presets[0]) == ("vanished", 1.0, "zero")
    figure.sigma_w = 2.0
    assert figure.scheme == "free"
    figure.activation = "sigmoid"
    figure.sigma_w = 20.0
    figure.activation = "tanh"
    assert figure.sigma_w == 4.0
    figure.scheme = "small_random"
    assert figure.sigma_w == pytest.approx(0.08)
    figure.width = 100
    assert figure.sigma_w == pytest.approx(0.1)
    with pytest.raises((TraitError, ValueError), match="at most 60"):
        figure.depth = 99
    assert figure.depth == 20
    figure.set_state({"scheme": "he_normal", "sigma_w": 2**0.5, "verdict": "alive"})  # as the browser does
    assert (figure.scheme, figure.verdict) == ("he_normal", "alive")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheme": "he_norml"}, "did you mean 'he_normal'"),
        ({"scheme": "kaiming_normal"}, "did you mean 'he_normal'"),
        ({"scheme": ini.constant(0.5)}, "cannot draw"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"activation": "erf"}, "unknown activation"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"depth": 61}, "depth must be at most 60, got 61"),
        ({"width": 7}, "width must be at least 8"),
        ({"width": 257}, "width must be at most 256"),
        ({"sigma_b": -0.1}, "sigma_b must be at least 0"),
        ({"sigma_b": 2.5}, "sigma_b must be at most 2"),
        ({"sigma_w": 4.1}, "sigma_w must be at most 4"),
        ({"sigma_w": 1.0, "scheme": "zeros"}, "has its own sigma_w"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"presets": ["he"]}, "unknown preset 'he'"),
        ({"presets": "zero"}, "presets must be a sequence"),
        ({"depth": 2.5}, "depth must be an integer"),
    ],
)
def test_bad_settings_are_explained(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        ini.lab(**settings)


def test_initializers_are_settings() -> None:
    assert widgets.Settings(scheme=ini.orthogonal(2**0.5)).scheme == "orthogonal_sqrt2"
    assert widgets.Settings(scheme=ini.zeros).scheme == "zeros"
    free = widgets.Settings(scheme=ini.Scheme(scale=2.25))
    assert (free.scheme, free.sigma_w) == ("free", 1.5)


def test_missing_anywidget_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    widgets._widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match="pip install anywidget"):
        ini.lab()
    assert widgets.to_html().startswith("<init-lab")


def test_html_is_the_same_twice_and_small() -> None:
    for settings in ({}, {"sigma_w": 2.5, "activation": "tanh", "depth": 60}, {"scheme": "constant"}, {"depth": 1}):
        first = widgets.to_html(**settings)
        assert first == widgets.to_html(**settings)
        assert 2_000 < len(first.encode()) < 8_000
        assert not re.search(r"\d\.\d{3,}|nan|inf", re.sub(r"<figcaption>.*", "", first, flags=re.DOTALL).lower())


def test_mime_bundle() -> None:
    data, _ = ini.lab("zeros", "tanh")._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"] == "init-lab: zeros, tanh, 30 layers of 100 units: symmetric"
    assert data["text/html"] == widgets.to_html(scheme="zeros", activation="tanh")


CELL = "import initnotes as ini\n\nini.lab('xavier_normal', 'relu', width=32)"


@pytest.mark.integration
def test_notebook_is_stored_and_compared(tmp_path: Path, make_notebook: Callable[..., NotebookNode]) -> None:
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/01_small\n", encoding="utf-8")
    path = tmp_path / "book" / "01_small.ipynb"
    files.replace_file(path, notebooks.dump(make_notebook(("SEED = 1", ["seed"]), CELL, CELL)).encode())
    assert run.run(path) == []
    stored = notebooks.load(path)
    assert [fault for guard in guards.NOTEBOOK_GUARDS for fault in guard(stored)] == []
    assert set(stored.cells[1].outputs[0].data) == {"text/plain", "text/html"}
    html = stored.cells[2].outputs[0].data["text/html"]
    stored.cells[2].outputs[0].data["text/html"] = html.replace("Vanished.", "Alive.")
    path.write_bytes(notebooks.dump(stored).encode())
    options = ("--nbval", "--nbval-current-env", "-rfp", "-p", "no:cacheprovider", "book")
    command = [sys.executable, "-m", "pytest", *options]
    compared = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "PASSED book/01_small.ipynb::Cell 1" in compared
    assert "FAILED book/01_small.ipynb::Cell 2" in compared
