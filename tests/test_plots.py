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

from initnotes import plots, schemes

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


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
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
