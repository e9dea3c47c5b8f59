"""The search: each query of a reader finds its section, in Node with the page's own scripts, and in the browser."""

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from playwright.sync_api import Page
from test_site import watched

from tools import formulas, notebooks, plain_math, reading, search

INDEX_BYTES = 300_000  # gzip: all that a search loads

# What readers type, and the places that they want: page#anchor, mostly one. They were written, and the places chosen by
# reading the book, before anything was ranked. Weights were tuned on the first twenty. The second twenty were then
# ranked for the first time (14 first, 16 within three), and what they showed to be missing was built: names of one
# thing, roots of numbers, titles, book/search.yml. So none of the forty tells how the search does on what it has not
# seen. HELD_OUT does: those were written after that, ranked once (13 first, 17 within three), and nothing was changed
# for them. Later two of their misses were mended as kinds, a symbol that is looked up and another word for "equal", and
# stand in MENDED; FRESH was written after that and ranked once. What the test demands of these leaves room for one or
# two to change their place with the text.
TUNED = [
    ("glorot", "05_xavier#xavier-initialization"),
    ("why not zero", "02_zero#zero-initialization"),
    ("pytorch default linear init", "06_he#what-nn-linear-does"),
    ("initialisation", "08_biases#which-initialization-do-i-use | index#before-the-first-step"),
    ("claim 17", "05_xavier#claim-17"),
    ("dying relu", "06_he#dead-units-and-dead-networks"),
    ("BN", "09_normalization#normalization | glossary#term-batch-normalization"),
    ("symmetry breaking", "01_symmetry#symmetry"),
    ("xavier uniform sqrt 6", "05_xavier#the-compromise-derived | 05_xavier#one-name-five-formulas"),
    ("why factor 2", "06_he#the-factor-2"),
    ("orthogonal", "06_he#orthogonal-weights"),
    ("edge of chaos", "04_vanishing_exploding#order-and-chaos"),
    ("residual network init", "10_residual#residual-networks-step-0-and-step-1"),
    ("class imbalance output bias", "08_biases#the-output-bias-start-from-what-you-know"),
    ("keras default initializer", "20_frameworks#layers-as-they-come"),
    ("gradient clipping", "04_vanishing_exploding#what-clipping-and-adam-repair"),
    ("which initialization should i use", "08_biases#which-initialization-do-i-use"),
    ("random seed", "20_frameworks#what-a-seed-fixes"),
    ("saturated unit", "glossary#term-saturated-unit"),
    ("exploding gradients batchnorm", "09_normalization#the-explosion-that-batchnorm-makes"),
]
SEEN = [
    ("kaiming", "06_he#he-initialization"),
    ("dead relu", "06_he#dead-units-and-dead-networks"),
    ("0.01", "03_small_random#small-random-weights | 08_biases#what-0-01-does-to-a-relu"),
    ("lsuv", "17_data_dependent#lsuv-in-four-lines | glossary#term-LSUV"),
    ("nn.Linear", "06_he#what-nn-linear-does"),
    ("batchnorm", "09_normalization#normalization | glossary#term-batch-normalization"),
    ("vanishing gradient", "04_vanishing_exploding#vanishing-and-exploding-gradients"),
    ("fan in", "glossary#term-fan-in"),
    ("gain for other activations", "06_he#any-activation-a-gain-and-whether-it-holds"),
    ("truncated normal", "07_lecun#truncated-normals"),
    ("selu", "07_lecun#selu-an-activation-made-for-the-variance"),
    ("lstm forget gate bias", "08_biases#the-forget-gate-one-bias-that-buys-time"),
    ("loss at initialization", "08_biases#the-loss-at-step-0"),
    ("tied embeddings", "20_frameworks#embeddings"),
    ("sigmoid xavier", "05_xavier#why-the-sigmoid-is-not-rescued"),
    ("gelu", "06_he#gelu-and-silu"),
    ("sqrt(5)", "06_he#what-nn-linear-does"),
    ("bias 0.01", "08_biases#what-0-01-does-to-a-relu"),
    ("kaimng", "06_he#he-initialization"),
    ("convert pytorch init to keras", "20_frameworks#translate"),
]
HELD_OUT = [
    ("mean field theory", "glossary#term-mean-field-theory"),
    ("layernorm", "09_normalization#normalization | glossary#term-layer-normalization"),
    ("he uniform vs normal", "05_xavier#normal-or-uniform"),
    ("lecun 1998", "07_lecun#the-rule-of-1998"),
    ("normalize inputs", "07_lecun#why-the-inputs-are-normalized"),
    ("phase diagram", "03_small_random#small-against-what-a-phase-diagram"),
    ("chain rule", "refresher#gradients-and-the-chain-rule"),
    ("gain 5/3", "05_xavier#why-the-gain-5-3-is-not-the-cure"),
    ("dropout selu", "07_lecun#few-inputs-and-dropout"),
    ("audit my network", "21_clinic#clinic | 21_clinic#what-an-audit-measures"),
    ("does bias need to be zero", "08_biases#zero-because-something-else-is-random"),
    ("embedding initialization std", "20_frameworks#embeddings"),
    ("zero init last layer", "02_zero#zero-on-purpose"),
    ("histogram of activations", "03_small_random#what-the-units-do | 05_xavier#what-each-layer-sees"),
    ("silu swish", "06_he#gelu-and-silu"),
    ("random matrix product", "03_small_random#a-hundred-random-matrices"),
    ("lstm long memory gradient", "08_biases#how-far-an-lstm-s-gradient-reaches"),
    (
        "weight decay batchnorm",
        "09_normalization#why-nothing-diverges | 09_normalization#the-scale-becomes-a-learning-rate",
    ),
]
MENDED = [
    ("σ_w²", "notation#notation"),
    ("identical weights", "01_symmetry#symmetry | essentials#stop-1-equal-weights-sixteen-units-that-work-as-one"),
]
FRESH = [
    (
        "same weights in every neuron",
        "01_symmetry#symmetry | 01_symmetry#nobody-can-tell-them-apart | "
        "essentials#stop-1-equal-weights-sixteen-units-that-work-as-one",
    ),
    ("what does χ mean", "notation#notation"),
    ("log-normal width depth", "06_he#the-typical-network-where-5-n-comes-from | 15_isometry#depth-over-width"),
    (
        "LSTM bias in keras",
        "08_biases#biases-in-each-framework | 08_biases#the-forget-gate-one-bias-that-buys-time | "
        "16_recurrent#in-your-framework",
    ),
    ("average image learning rate", "07_lecun#the-average-image-and-the-learning-rate"),
    ("pencil on its tip", "01_symmetry#a-pencil-on-its-tip | 02_zero#on-a-balanced-batch-a-pencil-on-its-tip"),
    ("rank of the gradient from zero", "02_zero#the-rank-of-what-is-learned"),
    ("backward pass example", "04_vanishing_exploding#a-backward-pass-by-hand"),
    (
        "update to weight ratio",
        "04_vanishing_exploding#what-a-ratio-of-10-3-tells | 04_vanishing_exploding#what-the-optimizer-sees",
    ),
    ("adam small weights slow", "04_vanishing_exploding#why-small-weights-cost-adam-time"),
    ("bottleneck xavier", "05_xavier#the-compromise-in-a-bottleneck"),
    ("false failure rate", "glossary#term-false-failure-rate | 22_ledger#how-often-a-clean-book-fails"),
    ("theory mismatch", "22_ledger#does-theory-hold"),
    ("swish", "06_he#gelu-and-silu"),
    ("what loss before training", "08_biases#the-loss-at-step-0 | essentials#stop-7-the-loss-before-the-first-step"),
]
WIDTH = [  # of chapter 12, written before they were ranked once
    ("mup", "12_width#the-condition-in-one-line | glossary#term-muP"),
    (
        "coordinate check",
        "12_width#check-each-layer-s-own-contribution | 12_width#sizes-mislead | 12_width#claim-54",
    ),
    (
        "best learning rate wider network",
        "12_width#how-far-the-best-rate-moves | 12_width#width-and-the-learning-rate",
    ),
    ("adam epsilon width", "12_width#adam-s | 12_width#claim-80"),
    ("spectral norm update", "12_width#the-condition-in-one-line | glossary#term-spectral-norm"),
]

RANK = """
const fs = require("fs"), vm = require("vm");
const { static, asked, spoil } = JSON.parse(fs.readFileSync(0, "utf8"));
globalThis.MiniSearch = require(static + "/minisearch.js");
for (const name of ["search-index.js", "search.js"]) vm.runInThisContext(fs.readFileSync(`${static}/${name}`, "utf8"));
if (spoil) for (const rows of Object.values(SEARCH_INDEX)) for (const row of rows) row[spoil] = "";
BookSearch.open(SEARCH_INDEX).then((search) => console.log(JSON.stringify(asked.map((query) => search(query).map(
  (hit) => ({ id: hit.id, address: BookSearch.address(hit), excerpt: BookSearch.excerpt(hit.text, hit.terms) }))))));
"""


def found(site: Path, queries: list[str], *, spoil: int = 0) -> list[list[dict[str, object]]]:
    """Return the hits of each query, the best first; `spoil` empties a column of the index."""
    request = json.dumps({"static": str(site / "_static"), "asked": queries, "spoil": spoil})
    done = subprocess.run([formulas.node(), "-e", RANK], input=request, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def ranks(site: Path, wanted: list[tuple[str, str]], *, spoil: int = 0) -> dict[str, int]:
    """Return for each query at which rank the place comes that a reader wants; 99 stands for not at all."""
    hits = found(site, [query for query, _ in wanted], spoil=spoil)
    told = {}
    for (query, places), listed in zip(wanted, hits, strict=True):
        anchors = {f"book/{place}".replace("#", ".html#") for place in places.split(" | ")}
        told[query] = next((rank for rank, hit in enumerate(listed, start=1) if hit["id"] in anchors), 99)
    return told


def test_readers_find_their_section(built_site: Path) -> None:
    told = ranks(built_site, [*TUNED, *SEEN])
    assert len(told) == 40
    assert sum(rank == 1 for rank in told.values()) >= 36, told
    assert max(told.values()) <= 3, told


def test_queries_that_were_held_out(built_site: Path) -> None:
    told = ranks(built_site, HELD_OUT)
    assert len(told) == 18
    assert sum(rank == 1 for rank in told.values()) >= 12, told
    assert sum(rank <= 3 for rank in told.values()) >= 16, told
    assert set(ranks(built_site, MENDED).values()) == {1}


def test_queries_that_are_fresh(built_site: Path) -> None:
    told = ranks(built_site, FRESH)  # 12 of 15 first when they were ranked once, and the other three not within three
    assert sum(rank == 1 for rank in told.values()) >= 11, told


def test_queries_of_chapter_12(built_site: Path) -> None:
    told = ranks(built_site, WIDTH)  # all five within three when they were ranked once, two of them first
    assert sum(rank <= 3 for rank in told.values()) >= 4, told


def test_search_without_titles_is_noticed(built_site: Path) -> None:
    told = ranks(built_site, [*TUNED, *SEEN], spoil=2)
    assert sum(rank == 1 for rank in told.values()) < 36


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("initialisation", "initialization"),
        ("normalising", "normalizing"),
        ("xavier", "glorot"),
        ("sigma_w^2", "σ_w²"),
        ("batch norm", "BatchNorm"),
        ("exploding gradients", "exploding gradient"),
        ("Hénaff orthogonal", "henaff orthogonal"),
    ],
)
def test_spellings_find_the_same(built_site: Path, one: str, other: str) -> None:
    first, second = found(built_site, [one, other])
    assert [hit["id"] for hit in first[:3]] == [hit["id"] for hit in second[:3]] != []


def test_every_place_is_on_its_page(built_site: Path) -> None:
    index = pages_of(built_site)
    assert sum(map(len, index.values())) > 350
    for name, rows in index.items():
        page = (built_site / name).read_text(encoding="utf-8")
        anchors = set(re.findall(r"""\bid=["']([^"']+)""", page))
        assert {row[0] for row in rows} <= anchors, name
    listed = {f"{name.removesuffix('.html')}#{row[0]}" for name, rows in index.items() for row in rows}
    assert set(search.words(notebooks.ROOT)) <= listed


def pages_of(site: Path) -> dict[str, list[list[str]]]:
    return json.loads((site / "_static" / search.INDEX).read_text(encoding="utf-8").partition(" = ")[2].rstrip(";\n"))


def test_excerpts_show_formulas_as_text(built_site: Path) -> None:
    texts = [row[3] for rows in pages_of(built_site).values() for row in rows]
    assert [text for text in texts if re.search(r"\\\\[a-z]{2}|<m[a-z]+>|katex", text)] == []
    (hits,) = found(built_site, ["he factor 2 over fan_in"])
    (hit,) = [hit for hit in hits if hit["id"] == "book/06_he.html#the-factor-2"]
    assert "".join(part for part, _ in hit["excerpt"]).count("Var(W) = 2/fan_in") == 1
    assert any(marked for _, marked in hit["excerpt"])


def test_what_a_search_loads_is_small(built_site: Path) -> None:
    files = [built_site / "_static" / name for name in (search.INDEX, search.LIBRARY, "search.js")]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) < INDEX_BYTES


# -------------------------------------------------------------------------------------------------- how it is read


def test_places_of_a_page() -> None:
    page = publish_doctree(
        "Top\n===\n\nIntro :math:`x^2`, here.\n\n::\n\n  nn.init.zeros_(w, 0.5)\n\nLow\n---\n\nmore\n",
        settings_overrides={"doctitle_xform": False},
    )
    box = (
        "<section class='claim claim-holds' aria-label='Claim 5: holds'>"
        "<p class='claim-text'><span>Claim 5</span> Yes.</p><p>so</p></section>"
    )
    page.children[0] += nodes.raw("", f"<p>raw</p>{box}", format="html")
    page.children[0] += nodes.paragraph("", "30 minutes", classes=["chapter-facts"])
    page.children[0] += reading.fold(
        "", reading.summary(text="Code, 3 lines"), nodes.paragraph(text="in it"), classes=["of-cell"]
    )
    assert search.places(page, lambda tex, display: f"[{tex}]") == [
        ("top", 1, "Top", "Intro [x^2], here. raw in it", "nn.init.zeros_"),
        ("low", 2, "Low", "more", ""),
        ("claim-5", 0, "Claim 5: Yes.", "so", ""),
    ]


@pytest.mark.parametrize(
    ("tex", "line"),
    [
        (r"\sigma_w^2", "σ_w²"),
        (r"\operatorname{Var}(W) = \frac{2}{\text{fan\_in} + \text{fan\_out}}", "Var(W) = 2/(fan_in + fan_out)"),
        (r"10^{-3}", "10⁻³"),
        (r"\sqrt{2} x_0", "√2x₀"),
        (r"W \tanh h_{l-1}", "W tanh h_(l − 1)"),
        (r"\hat p \le -1", "p ≤ −1"),
        (r"\mathcal{L}(a, b)", "𝓛(a, b)"),
        (r"n \cdot \operatorname{Var}(W)", "n⋅Var(W)"),
        (r"\frac{1}{2l}", "1/(2l)"),
    ],
)
def test_formula_as_text(tmp_path: Path, tex: str, line: str) -> None:
    renderer = formulas.Renderer(tmp_path / "formulas.json")
    try:
        assert formulas.as_text(renderer, tex, display=False) == line
    finally:
        renderer.close()
    assert plain_math.text("no formula") == ""


# -------------------------------------------------------------------------------------------------- in the browser

AT_TOP = """(id) => {
  const { top } = document.getElementById(id).getBoundingClientRect();
  return top >= -2 && top < innerHeight / 3;
}"""


def test_dialog_leads_to_the_section(page: Page, address: str) -> None:
    faults = watched(page)
    loaded: list[str] = []
    page.on("request", lambda sent: loaded.append(sent.url))
    page.goto(f"{address}/book/22_ledger.html", wait_until="load")
    assert not [url for url in loaded if "search" in url]
    page.keyboard.press("Control+k")
    page.keyboard.type("nn.Linear")
    page.locator("#pst-search-dialog .found li").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("06_he.html.*#what-nn-linear-does"))
    marked = page.locator("#what-nn-linear-does mark.highlighted", has_text=re.compile("^nn.Linear$"))
    marked.first.wait_for()
    assert "highlight" not in page.evaluate("location.href")
    assert page.evaluate(AT_TOP, "what-nn-linear-does")
    text = page.locator(".bd-article").text_content()
    page.get_by_role("button", name="Hide matches").click()
    assert page.locator("mark.highlighted").count() == page.locator(".hide-matches").count() == 0
    assert page.locator(".bd-article").text_content() == text
    assert faults == []


def test_page_of_the_search_leads_to_a_claim(page: Page, address: str) -> None:
    faults = watched(page)
    page.goto(f"{address}/search.html?q=claim+17")
    page.locator("#search-results li a").first.click()
    page.wait_for_url(re.compile("05_xavier.html.*#claim-17"))
    page.locator("#claim-17 mark.highlighted").first.wait_for()
    assert page.evaluate(AT_TOP, "claim-17")
    page.keyboard.press("Escape")
    assert page.locator("mark.highlighted").count() == 0
    page.goto(f"{address}/search.html?q=")
    field = page.locator(".bd-search-container input[name=q]")
    field.fill("qwertzuiop")
    page.get_by_text("Nothing found for").wait_for()
    field.fill("gradient")
    page.get_by_role("button", name="Show all").click()
    assert page.locator("#search-results li").count() > 20
    assert page.evaluate("document.activeElement.matches('#search-results li:nth-child(21) a')")
    assert faults == []


def test_words_in_a_fold_are_unfolded(page: Page, address: str) -> None:
    page.goto(f"{address}/book/01_symmetry.html?highlight=contributions%20cancel#exercises")
    marked = page.locator("#exercises mark.highlighted")
    marked.first.wait_for(state="visible")
    assert page.locator("details[open] mark.highlighted").count() == marked.count() == 1


def test_search_says_when_it_cannot_be_loaded(page: Page, address: str) -> None:
    page.route("**/search-index.js*", lambda route: route.abort())
    page.goto(f"{address}/search.html?q=zero")
    page.get_by_text("could not be loaded").wait_for()
    page.unroute("**/search-index.js*")
    page.locator(".bd-search-container input[name=q]").press_sequentially("s")
    page.locator("#search-results li a").first.wait_for()


def test_search_works_from_a_disk(page: Page, built_site: Path) -> None:
    page.goto((built_site / "book" / "01_symmetry.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type("kaiming")
    page.locator("#pst-search-dialog .found li a").first.click()
    page.wait_for_url(re.compile(r"^file:.*06_he.html.*#he-initialization"))
    page.locator("mark.highlighted", has_text=re.compile("^He$")).first.wait_for()
