"""The visual language: what is drawn, in which color, and that nothing of it leaks into the user's settings."""

import itertools
import math
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from matplotlib import colors
from nbclient import NotebookClient
from scipy import stats

from initnotes import networks, plots, schemes

SEED = 20260106


@pytest.fixture(autouse=True)
def tidy():
    """Settings are the same afterwards, and no figure stays open."""
    mpl.use("agg")
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


@pytest.fixture
def ax():
    return plots.panels()[1]


def replicas(count=32, steps=20):
    return np.random.default_rng(SEED).standard_normal((count, steps))


# ---------------------------------------------------------------------------------------------------------------------
# Figures


def shown(*cells):
    """Execute code cells with the inline backend and return which of them displayed a figure."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [any("image/png" in output.get("data", {}) for output in cell.outputs) for cell in notebook.cells]


@pytest.mark.integration
def test_each_cell_displays_its_figure(monkeypatch):
    """The context of the style must not undo what loading the inline backend set; the second notebook lets it."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    cell = "figure, ax = ini.plots.panels()\nini.plots.theory(ax, [0, 1], [0, 1])"
    assert shown("import initnotes as ini", cell, cell, "1 + 1") == [False, True, True, False]
    wrong = "import initnotes as ini\nini.figures.plt.draw_if_interactive = lambda: None"
    assert shown(wrong, cell, cell) != [False, True, True]


def test_panels_are_in_the_books_style():
    figure, axes = plots.panels(3, 2, height=2.0, sharey=True)
    assert axes.shape == (2, 3)
    assert figure.get_figheight() == 2 * plots.panels(height=2.0)[0].get_figheight() == 4.0
    assert figure.get_figwidth() == plots.panels()[0].get_figwidth()
    assert colors.to_hex(figure.get_facecolor()) == plots.PAPER
    for ax in axes.flat:
        assert colors.to_hex(ax.get_facecolor()) == plots.PAPER
        assert not ax.spines["top"].get_visible()
    assert mpl.rcParams["figure.facecolor"] != plots.PAPER


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"columns": 0}, ValueError, "columns must be at least 1"),
        ({"rows": 1.5}, TypeError, "rows must be an integer"),
        ({"height": 0}, ValueError, "height must be greater than 0"),
        ({"height": math.nan}, ValueError, "height must be finite"),
    ],
)
def test_bad_panels_leave_no_figure(arguments, error, message):
    with pytest.raises(error, match=message):
        plots.panels(**arguments)
    assert plt.get_fignums() == []


# ---------------------------------------------------------------------------------------------------------------------
# Bands and theory


def edges(ax):
    """Return the lower and the upper edge of the band at each x."""
    (path,) = ax.collections[0].get_paths()
    points = path.vertices
    return [
        np.array([pick(points[points[:, 0] == x, 1]) for x in np.unique(points[:, 0])]) for pick in (np.min, np.max)
    ]


def test_a_band_is_the_median_and_the_middle_80_percent(ax):
    samples, x = replicas(31), np.arange(20)
    middle = plots.band(ax, x, samples, label="he", color=plots.color("he_normal"), linestyle=":")
    ordered = np.sort(samples, axis=0)
    np.testing.assert_array_equal(middle, np.median(samples, axis=0))
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_ydata(), middle)
    assert (line.get_color(), line.get_linestyle(), line.get_label()) == (plots.color("he_normal"), ":", "he")
    low, high = edges(ax)
    np.testing.assert_allclose(low, ordered[3])
    np.testing.assert_allclose(high, ordered[27])
    assert colors.same_color(ax.collections[0].get_facecolor()[0][:3], plots.color("he_normal"))


def test_the_median_of_an_even_number_is_one_of_the_replicas(ax):
    """So that inf and a number have a median; it is the lower of the two in the middle."""
    samples = replicas(32)
    middle = plots.band(ax, np.arange(20), samples, label="", color="C0")
    np.testing.assert_array_equal(middle, np.sort(samples, axis=0)[15])
    assert ax.get_legend_handles_labels() == ([], [])


def test_replicas_that_diverged_are_above_everything(ax):
    samples = np.tile(np.arange(10.0)[:, None], (1, 4))
    samples[8:, 1] = samples[5:, 2] = samples[4:, 3] = math.inf
    middle = plots.band(ax, np.arange(4), samples, label="loss", color="C0")
    assert middle.tolist() == [4, 4, 4, math.inf]
    ax.set_yscale("log")
    ax.figure.canvas.draw()


def test_one_replica_is_its_own_band(ax):
    assert plots.band(ax, [0, 1], [[3, 4]], label="", color="C0").tolist() == [3, 4]


@pytest.mark.parametrize(
    ("x", "samples", "message"),
    [
        (np.arange(3), np.full((4, 3), np.nan), "not hold NaN"),
        (np.arange(3), np.zeros((0, 3)), "at least one replica"),
        (np.arange(3), np.zeros((4, 2)), "samples must have shape (replicas, 3), got (4, 2)"),
        (np.arange(3), np.zeros(3), "samples must have shape (replicas, 3), got (3,)"),
        (np.zeros((4, 3)), np.zeros((4, 3)), "samples must have shape"),
    ],
)
def test_bad_bands_draw_nothing(ax, x, samples, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        plots.band(ax, x, samples, label="", color="C0")
    assert not ax.lines
    assert not ax.collections


def test_theory_is_black_dashed_and_on_top(ax):
    plots.band(ax, [0, 1], replicas(5, 2), label="", color="C0")
    plots.theory(ax, [0, 1], [1, 2])
    measured, line = ax.lines
    assert colors.same_color(line.get_color(), "black")
    assert (line.get_linestyle(), line.get_label()) == ("--", "theory")
    assert line.get_zorder() > measured.get_zorder()
    plots.theory(ax, [0, 1], [1, 2], label="", linewidth=3)
    assert ax.lines[-1].get_linewidth() == 3
    plots.legend(ax, loc="upper left")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["theory"]


def test_theory_that_does_not_fit_is_refused(ax):
    with pytest.raises(ValueError, match="same first dimension"):
        plots.theory(ax, [0, 1, 2], [1, 2])


# ---------------------------------------------------------------------------------------------------------------------
# Colors


def family(name):
    return name.rsplit("_", 1)[0] if name.endswith(("_normal", "_uniform")) else name


def luminance(color):
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colors.to_rgb(color)]
    return np.dot(channels, [0.2126, 0.7152, 0.0722])


def contrast(ink, paper):
    dark, light = sorted((luminance(ink), luminance(paper)))
    return (light + 0.05) / (dark + 0.05)


def test_every_scheme_has_the_color_of_its_family():
    assert set(plots.COLORS) == set(schemes.NAMES)
    families = {(family(name), plots.color(name)) for name in schemes.NAMES}
    assert len(families) == len({name for name, _ in families}) == len({color for _, color in families})
    assert not any(colors.same_color(color, "black") for _, color in families)


@pytest.mark.parametrize("name", schemes.NAMES)
def test_colors_stand_out_from_the_paper(name):
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast(plots.color(name), plots.PAPER) >= 3.0  # WCAG 2.2, 1.4.11


# What is seen without green or without red cones: Machado, Oliveira & Fernandes, IEEE TVCG 15, 2009, at severity 1.
SEEN = {
    "all cones": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


def lab(color, eyes):
    """CIE L*a*b* of an sRGB color as it is seen."""
    channels = np.array(colors.to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(SEEN[eyes] @ linear, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def closest(palette, eyes):
    return min(np.linalg.norm(lab(a, eyes) - lab(b, eyes)) for a, b in itertools.combinations(set(palette), 2))


@pytest.mark.parametrize("eyes", SEEN)
def test_families_are_told_apart(eyes):
    assert closest(plots.COLORS.values(), eyes) > 12


def test_colors_that_merge_without_green_cones_are_caught():
    assert closest(["#C28100", "#D55E00"], "deuteranopia") < 12 < closest(["#C28100", "#D55E00"], "all cones")


def test_text_stands_out_from_the_paper():
    assert contrast(plots.INK, plots.PAPER) >= 7


def test_unknown_schemes_have_no_color():
    with pytest.raises(ValueError, match="unknown scheme 'he_norml'; did you mean 'he_normal'"):
        plots.color("he_norml")
    with pytest.raises(ValueError, match="did you mean 'xavier_uniform'"):
        plots.color("glorot_uniform")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shades_go_from_dark_to_light(count):
    assert contrast(plots.shades(count)[-1], plots.PAPER) >= 3.0
    shades = [luminance(shade) for shade in plots.shades(count)]
    assert len(shades) == count
    assert shades == sorted(shades)
    with pytest.raises(ValueError, match="count must be at least 1"):
        plots.shades(0)


# ---------------------------------------------------------------------------------------------------------------------
# Images of units


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_unit_images(kind):
    _, axes = plots.panels(3)
    units = np.arange(-6.0, 6.0).reshape(3, 4)
    plots.unit_images(axes, kind(units), side=2)
    for ax, unit in zip(axes, units, strict=True):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), unit.reshape(2, 2))
        assert (image.get_clim(), image.get_cmap().name, len(ax.get_xticks())) == ((-6.0, 6.0), "RdBu_r", 0)


def test_the_limit_sets_the_deepest_color():
    _, axes = plots.panels(2)
    plots.unit_images(axes, np.ones((2, 4)), side=2, limit=3)
    assert axes[0].images[0].get_clim() == (-3.0, 3.0)


def test_weights_of_zero_are_the_middle_of_the_map():
    _, axes = plots.panels(2)
    plots.unit_images(axes, np.zeros((2, 64)))
    image = axes[0].images[0]
    np.testing.assert_allclose(image.to_rgba(np.zeros((8, 8)))[0, 0, :3], 0.97, atol=0.01)
    axes[0].figure.canvas.draw()


@pytest.mark.parametrize(
    ("units", "options", "message"),
    [
        (np.zeros((3, 64)), {}, "units must have shape (2, 64), got (3, 64)"),
        (np.zeros((2, 63)), {}, "units must have shape (2, 64), got (2, 63)"),
        (np.zeros((2, 8, 8)), {}, "units must have shape (2, 64)"),
        (np.zeros((2, 4)), {"side": 3}, "units must have shape (2, 9), got (2, 4)"),
        (np.full((2, 64), np.nan), {}, "limit must be finite, got nan"),
        (np.zeros((2, 64)), {"limit": 0}, "limit must be greater than 0"),
    ],
)
def test_bad_unit_images(units, options, message):
    _, axes = plots.panels(2)
    with pytest.raises(ValueError, match=re.escape(message)):
        plots.unit_images(axes, units, **options)
    assert not any(ax.images for ax in axes)


# ---------------------------------------------------------------------------------------------------------------------
# Several arms against theory, in one call

X = np.arange(1, 21)


def arms(*labels):
    return {label: replicas() + at for at, label in enumerate(labels)}


def dashed(ax):
    """The lines of theory: black, dashed, above the measurements."""
    found = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert all(colors.same_color(line.get_color(), "black") for line in found)
    assert all(line.get_zorder() > 3 for line in found)
    return found


def solid(ax):
    return [line for line in ax.lines if line.get_linestyle() != "--"]


def words(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_compare_draws_bands_and_theory():
    measured = arms("He", "xavier_uniform", "zeros", "mine")
    figure = plots.compare(X, measured, theory={"He": 2 / X, "zeros": X}, xlabel="layer", ylim=(1e-3, 30), log="y")
    (ax,) = figure.axes
    assert [line.get_color() for line in solid(ax)][:3] == [
        plots.color(n) for n in ("he_normal", "xavier_normal", "zeros")
    ]
    for line, samples in zip(solid(ax), measured.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), np.quantile(samples, 0.5, axis=0, method="inverted_cdf"))
    assert len(ax.collections) == 4
    first, second = dashed(ax)
    np.testing.assert_array_equal(first.get_ydata(), 2 / X)
    np.testing.assert_array_equal(second.get_ydata(), X)
    assert words(ax) == ["He", "xavier_uniform", "zeros", "mine", "theory"]
    assert (ax.get_xlabel(), ax.get_ylim(), ax.get_xscale(), ax.get_yscale()) == ("layer", (1e-3, 30), "linear", "log")
    assert plt.get_fignums() == []  # a value, not an open figure


@pytest.mark.parametrize(
    ("label", "scheme"),
    [
        ("He", "he_normal"),
        ("he_uniform", "he_normal"),
        ("Kaiming", "he_normal"),
        ("Xavier, 1/n", "xavier_normal"),
        ("glorot_uniform", "xavier_normal"),
        ("LeCun", "lecun_normal"),
        ("orthogonal, gain 2", "orthogonal"),
        ("small random", "small_random"),
        ("small_random", "small_random"),
        ("constant", "constant"),
        ("zeros", "zeros"),
    ],
)
def test_a_schemes_label_has_its_color(label, scheme):
    ax = plots.compare(X, arms(label, "other")).axes[0]
    assert ax.lines[0].get_color() == plots.color(scheme)


@pytest.mark.parametrize("label", ["heuristic", "Hessian", "width 16", "hello", "small batches", 3, 0.1])
def test_other_labels_have_shades(label):
    ax = plots.compare(X, arms(label, "other")).axes[0]
    assert [colors.same_color(line.get_color(), shade) for line, shade in zip(ax.lines, plots.shades(2), strict=True)]
    assert ax.lines[0].get_label() == str(label)


def test_colors_may_be_given():
    given = {"BatchNorm": "xavier_normal", "none": "#123456"}
    ax = plots.compare(X, arms("none", "BatchNorm", "rest"), colors=given).axes[0]
    none, norm, rest = (line.get_color() for line in ax.lines)
    assert (none, norm) == ("#123456", plots.color("xavier_normal"))
    assert colors.same_color(rest, plots.shades(1)[0])


def test_arms_of_one_color_differ_in_stroke_and_none_looks_like_theory():
    ax = plots.compare(X, arms("Xavier normal", "Xavier uniform", "Xavier, small", "He")).axes[0]
    strokes = [line.get_linestyle() for line in ax.lines]
    assert len(set(strokes[:3])) == 3
    assert strokes[3] == "-"
    assert "--" not in strokes


def test_theory_may_be_a_line_a_number_or_a_pair():
    fine = np.linspace(1, 20, 99)
    for given, x, y in ((1 / X, X, 1 / X), (2.5, [1, 20], [2.5, 2.5]), ((fine, fine**2), fine, fine**2)):
        (ax,) = plots.compare(X, arms("He"), theory=given).axes
        (line,) = dashed(ax)
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), y)
        assert words(ax) == ["He", "theory"]
    (ax,) = plots.compare(X, arms("He"), theory={"He": X, "ln 10": 2.3, "limit": (fine, fine)}).axes
    assert words(ax) == ["He", "theory", "ln 10", "limit"]
    assert len(dashed(ax)) == 3


def test_a_mapping_of_mappings_makes_panels():
    measured = {"shallow": arms("He", "a"), "deep": arms("a", "b")}
    theory = {"shallow": {"He": X}, "deep": {"a": 2 * X, "ln 10": 2.3}}
    left, right = plots.compare(X, measured, theory=theory, ylabel="loss", xlabel="step", level=1.0).axes
    assert [ax.get_title() for ax in (left, right)] == ["shallow", "deep"]
    assert (left.get_ylabel(), right.get_ylabel(), right.get_xlabel()) == ("loss", "", "step")
    assert [len(dashed(ax)) for ax in (left, right)] == [1, 2]
    assert words(left) == ["He", "a", "theory"]
    assert words(right) == ["a", "b", "theory", "ln 10"]  # the left one does not say b
    same = [next(line for line in ax.lines if line.get_label() == "a") for ax in (left, right)]
    assert colors.same_color(*(line.get_color() for line in same))
    assert [ax.lines[0].get_ydata()[0] for ax in (left, right)] == [1.0, 1.0]
    shared = plots.compare(X, measured, theory=1.5).axes
    assert [len(dashed(ax)) for ax in shared] == [1, 1]
    once = plots.compare(X, {"shallow": arms("a"), "deep": arms("a")}).axes
    assert [ax.get_legend() is None for ax in once] == [False, True]


def test_arms_may_have_an_x_of_their_own():
    x = {"a": X, "b": np.arange(5)}
    (ax,) = plots.compare(x, {"a": replicas(), "b": replicas(steps=5)}, theory={"b": np.ones(5), "ends": 2}).axes
    assert [len(line.get_xdata()) for line in ax.lines] == [20, 5, 5, 2]
    assert dashed(ax)[1].get_xdata().tolist() == [0, 20]


def test_curves_share_axes_with_others(ax):
    plots.curves(ax, X, arms("He", "b"), theory={"He": X}, colors={"b": "zeros"})
    assert [line.get_label() for line in ax.lines] == ["He", "b", "theory"]
    assert ax.lines[1].get_color() == plots.color("zeros")
    assert ax.get_legend() is None


@pytest.mark.parametrize(
    ("measured", "options", "message"),
    [
        ({}, {}, "measured must be a mapping"),
        (np.zeros((3, 20)), {}, "measured must be a mapping"),
        ({"He": np.zeros(20)}, {}, "samples of 'He' must have shape (replicas, 20), got (20,)"),
        ({"He": np.zeros((3, 19))}, {}, "samples of 'He' must have shape (replicas, 20), got (3, 19)"),
        ({"He": np.zeros((0, 20))}, {}, "samples of 'He' must have shape (replicas, 20), got (0, 20)"),
        ({"He": np.full((3, 20), np.nan)}, {}, "samples of 'He' must not hold NaN"),
        ({"He": np.zeros((3, 20))}, {"theory": np.zeros(19)}, "theory of None must have shape (20,), got (19,)"),
        ({"He": np.zeros((3, 20))}, {"theory": {"x": np.zeros(3)}}, "theory of 'x' must have shape (20,), got (3,)"),
        (
            {"He": np.zeros((3, 20))},
            {"colors": {"Hee": "zeros"}},
            "must be for some of the arms ['He'], got ['Hee']",
        ),
        ({"He": np.zeros((3, 20))}, {"log": "z"}, "unknown log 'z'"),
    ],
)
def test_a_bad_comparison_draws_nothing(measured, options, message, ax):
    with pytest.raises(ValueError, match=re.escape(message)):
        plots.compare(X, measured, **options)
    assert len(plt.get_fignums()) == 1  # that of the fixture
    if "log" not in options and len(measured):
        with pytest.raises(ValueError, match=re.escape(message)):
            plots.curves(ax, X, measured, **options)
    assert not ax.lines


@pytest.mark.integration
def test_a_cell_shows_a_comparison_once(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    start = "import initnotes as ini\nx, measured = [0, 1], {'He': [[0, 1], [1, 2]]}"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in (start, "ini.plots.compare(x, measured, theory=1.0)")]
    )
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    pictures = [output for output in notebook.cells[1].outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == len(notebook.cells[1].outputs) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Histograms, layer by layer


def drawn(ax):
    """The middle line of a panel's histogram and its area."""
    line = ax.lines[0]
    x, y = line.get_xdata(), line.get_ydata()
    return x, y, y.sum() * (x[1] - x[0])


@pytest.fixture(params=[("tanh", "xavier_normal"), ("relu", "he_normal")], ids=lambda case: case[0])
def deep(request):
    activation, scheme = request.param
    rng = np.random.default_rng(SEED)
    net = networks.Ensemble([40] * 9, activation, scheme, rng=rng, replicas=6)
    return net, torch.from_numpy(rng.standard_normal((50, 40))), torch.from_numpy(rng.standard_normal((50, 40)))


def test_histograms_of_a_network_are_its_signals_and_gradients(deep):
    net, x, top = deep
    figure = plots.histograms(net, x, loss=lambda z: (z * top).sum((1, 2)), color="he_normal")
    grid = np.reshape(figure.axes, (2, -1))
    assert [ax.get_title() for ax in grid[0]] == [f"layer {layer}" for layer in (1, 3, 4, 5, 7)]
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["activations", "gradients"]
    signals = net.forward(x)
    deltas = net.backward(signals, top.expand(6, -1, -1)).pre_activations
    for row, tensors in zip(grid, (signals.activations[1:], deltas[:-1]), strict=True):
        limits = {ax.lines[0].get_xdata()[-1] for ax in row}
        assert len(limits) == 1  # so that sizes can be compared
        for ax, layer in zip(row, (1, 3, 4, 5, 7), strict=True):
            values = tensors[layer - 1].numpy()
            assert drawn(ax)[2] == pytest.approx(np.mean(values != 0), abs=0.1)
            assert f"std {values.std():.2g}" in ax.texts[0].get_text()
            assert ("are 0" in ax.texts[0].get_text()) == (net.activation.name == "relu")
            assert ax.lines[0].get_color() == plots.color("he_normal")
            assert len(ax.collections) == 1
    assert plt.get_fignums() == []


def test_without_a_loss_there_are_activations_only(deep):
    net, x, _ = deep
    figure = plots.histograms(net, x.numpy(), layers=[1, 7])
    assert [(ax.get_title(), ax.get_ylabel()) for ax in figure.axes] == [("layer 1", "activations"), ("layer 7", "")]


@pytest.mark.parametrize("size", [0.0005, 0.002, 0.004, 0.03, 2.0, 30.0, 4e8])
def test_numbers_below_histograms_do_not_touch(size):
    rng = np.random.default_rng(SEED)
    figure = plots.histograms({"z": {layer: size * rng.standard_normal((2, 1000)) for layer in (1, 7, 13, 19)}})
    figure.canvas.draw()
    for ax in figure.axes:
        low, high = ax.get_xlim()
        at = [label.get_window_extent() for tick, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
              if low <= tick <= high]  # fmt: skip
        assert len(at) >= 3
        assert all(left.x1 + 2 < right.x0 for left, right in itertools.pairwise(at))


def test_words_stand_above_the_curve():
    rng = np.random.default_rng(SEED)
    values = {layer: 0.01**layer * np.maximum(rng.standard_normal((2, 1000)), 0) for layer in range(4)}
    figure = plots.histograms({"h": values, "g": {layer: rng.standard_normal((2, 1000)) for layer in range(4)}})
    figure.canvas.draw()
    for ax in figure.axes:
        peak = ax.transData.transform((0, ax.lines[0].get_ydata().max()))[1]
        assert ax.texts[0].get_window_extent().y0 > peak


def test_histograms_of_arrays_with_theory():
    rng = np.random.default_rng(SEED)
    values = {"z": {1: rng.standard_normal((8, 100_000)), 3: 0.1 * rng.standard_normal((8, 100_000))}}
    density = {1: stats.norm().pdf, 3: stats.norm(scale=0.1).pdf}
    wide, narrow = plots.histograms(values, theory={"z": density}, shared=False).axes
    for ax, layer in ((wide, 1), (narrow, 3)):
        x, y, area = drawn(ax)
        assert area == pytest.approx(1, abs=0.03)  # medians of bins need not add up to 1
        np.testing.assert_allclose(y, density[layer](x), atol=0.05 * density[layer](0))
        assert np.abs(y - density[4 - layer](x)).max() > 0.3 * y.max()  # the other layer's law would be seen
        assert len(dashed(ax)) == 1
    assert narrow.lines[0].get_xdata()[-1] < wide.lines[0].get_xdata()[-1] / 5


def test_what_is_zero_is_said_and_not_drawn():
    (ax,) = plots.histograms({"h": {1: np.zeros((3, 10))}}).axes
    assert not ax.lines[0].get_ydata().any()
    assert "100% are 0" in ax.texts[0].get_text()


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ([np.zeros(3)], {}, TypeError, "source must be an Ensemble or map rows to layers"),
        ({"h": [np.zeros(3)]}, {}, TypeError, "source must be an Ensemble or map rows to layers"),
        ({"h": {1: np.zeros(3)}}, {"layers": [2]}, ValueError, "layers must be some of [1], got [2]"),
        ({"h": {1: np.zeros(3)}}, {"layers": []}, ValueError, "layers must be some of [1], got []"),
        ({"h": {1: [np.nan, 1]}}, {}, ValueError, "h of layer 1 must be finite"),
        ({"h": {1: np.zeros((3, 0))}}, {}, ValueError, "h of layer 1 must be finite, one number or more"),
        ({"h": {1: np.zeros(3)}}, {"bins": 1}, ValueError, "bins must be at least 2"),
    ],
)
def test_bad_histograms_draw_nothing(source, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        plots.histograms(source, **options)
    assert plt.get_fignums() == []
