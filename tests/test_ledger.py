"""The ledger: what it reads from chapters, what the build refuses, and the page that one filters."""

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from html import unescape
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page

import initnotes as ini
from initnotes.book.notation import written
from tools import guards, ledger, notebooks

Serve = Callable[[Path], AbstractContextManager[str]]

HALF = {"half": 0.5}
BUDGET = "50 steps at rate 0.1: enough to see"
GROWTH = [0.98 + 1e-9, 1.0, 1.02] * 11
MEDIAN = ini.claims.median("growth <a layer>", GROWTH, theory=1.0, tolerance=0.1, digits=3, excludes=HALF)
EXACT = ini.claims.exact("units", [2, 2], 2, excludes=HALF)
EDGE = ini.claims.median("loss", [3.0] * 11, at_least=math.log(10), excludes=HALF)
VAGUE = ini.claims.median("loss", [3.0] * 11, at_least=2, digits=0, excludes=HALF)


def claimed(*settled: tuple[int, str, str], title: str = "Small") -> NotebookNode:
    """Return a chapter that has settled claims, each a number, a verdict and a reason."""
    label = title.lower()
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"({label})=\n# {title}\n\nText.", id="a")])
    for at, (number, verdict, because) in enumerate(settled, start=1):
        box = ini.claims.settle(number, verdict, because, MEDIAN, EXACT, VAGUE, budget=BUDGET)
        cell = nbformat.v4.new_code_cell(f"settle({number})", id=f"claim-{number}", execution_count=at)
        cell.outputs = [nbformat.v4.new_output("execute_result", box._repr_mimebundle_(), execution_count=at)]
        made.cells.append(cell)
    return notebooks.normalize(made)


def page_of(table: ini.ledger.Ledger) -> NotebookNode:
    """Return the notebook that shows a ledger, executed."""
    made = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("ini.ledger.read()", id="table", execution_count=1)
    cell.metadata = nbformat.from_dict({"tags": ["ledger"]})
    data = {"text/plain": str(table), "text/html": table._repr_html_()}
    cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
    made.cells = [nbformat.v4.new_markdown_cell("(ledger)=\n# The ledger\n\n## All claims\n\nText.", id="a"), cell]
    return notebooks.normalize(made)


def store(path: Path, notebook: NotebookNode) -> None:
    path.write_text(notebooks.dump(notebook), encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a book with a list of three claims, two chapters that settle them, and the ledger."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copy(notebooks.ROOT / "_config.yml", root)
    shutil.copytree(notebooks.ROOT / "book" / "assets", root / "book" / "assets")
    book = root / "book"
    (root / "references.bib").write_text("")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: book/01_small\n  - file: book/02_large\n"
        "  - file: book/22_ledger\n"
    )
    (book / "index.md").write_text("# Start\n\nSee [claim 26](01_small.ipynb#claim-26).\n")
    listed = [row for number, row in ini.claims.listed().items() if number in (3, 25, 26)]
    (book / "claims.yml").write_text(yaml.safe_dump(listed, allow_unicode=True), encoding="utf-8")
    store(book / "01_small.ipynb", claimed((26, "fails", "half stay off"), (3, "holds when", "symmetry is asked for")))
    store(book / "02_large.ipynb", claimed((25, "holds", "weights & biases"), title="Large"))
    store(book / "22_ledger.ipynb", page_of(ini.ledger.read(book)))
    return root


@pytest.fixture
def copy(tree: Path, tmp_path: Path) -> Path:
    """Return a copy of that book to plant faults in."""
    return Path(shutil.copytree(tree, tmp_path / "copy", ignore=shutil.ignore_patterns("_build")))


# ----------------------------------------------------------------------------------------------------- what it reads


def test_entries_are_those_of_the_list_with_what_was_settled(tree: Path) -> None:
    table = ini.ledger.read(tree / "book")
    assert [entry.number for entry in table] == [3, 25, 26]
    assert len(table) == 3
    assert table.missing == ()
    assert table.counts() == {"holds": 1, "holds when": 1, "fails": 1, "no verdict": 0}
    entry = table[25]
    assert (entry.verdict, entry.because, entry.where()) == ("holds", "weights & biases", "Chapter 2, Large")
    assert entry.expected == ini.claims.listed()[25]["expected"]
    assert entry.evidence == (MEDIAN, EXACT, VAGUE)
    assert table.false_failure_rate == pytest.approx(3 * entry.false_failure_rate)


def test_numbers_are_read_as_they_were_measured(tree: Path) -> None:
    """The box shows [0.98, 1.02], and what was measured lies inside."""
    median, exact, vague = ini.ledger.read(tree / "book")[3].evidence
    assert (median.interval, median.theory) == ((0.98 + 1e-9, 1.02), 1.0)
    assert (exact.interval, exact.theory, exact.samples) == ((2.0, 2.0), 2.0, 2)
    assert (vague.interval, vague.theory, vague.demanded) == ((3.0, 3.0), None, (2.0, math.inf))
    assert len(ini.ledger.read(tree / "book").measurements()) == 9


def test_folder_is_found_from_a_copy_below(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tree / "book" / "my"
    mine.mkdir(exist_ok=True)
    monkeypatch.chdir(mine)
    shutil.copy(tree / "book" / "22_ledger.ipynb", mine)
    assert str(ini.ledger.read()) == str(ini.ledger.read(tree / "book"))
    shutil.rmtree(mine)


def test_folder_without_chapters_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no chapters in"):
        ini.ledger.read()
    with pytest.raises(FileNotFoundError, match="no chapters"):
        ini.ledger.read(tmp_path)


def test_folder_without_a_list_takes_the_packages_own(copy: Path) -> None:
    (copy / "book" / "claims.yml").unlink()
    assert len(ini.ledger.read(copy / "book")) == len(ini.claims.listed())


def test_filter_takes_what_meets_all(tree: Path) -> None:
    table = ini.ledger.read(tree / "book")
    assert [entry.number for entry in table.where(chapter=1)] == [3, 26]
    assert [entry.number for entry in table.where(verdict="fails", chapter=1)] == [26]
    assert [entry.number for entry in table.where(words="WEIGHTS equal")] == [3, 25]
    assert len(table.where(words="no such thing")) == 0
    assert table.where() == table
    with pytest.raises(ValueError, match="did you mean 'fails'"):
        table.where(verdict="fail")
    with pytest.raises(TypeError, match="chapter"):
        table.where(chapter="1")
    with pytest.raises(KeyError, match="no claim 4 here; there are 3, 25, 26"):
        table[4]


def test_shown_as_text_and_as_html(tree: Path) -> None:
    table = ini.ledger.read(tree / "book")
    assert str(table).splitlines()[1] == "    3  holds when        1  Zero init is just a special case of equal weights"
    assert "- units: all 2 values: 2; demanded = 2" in str(table[3])
    html = table._repr_html_()
    assert "growth &lt;a layer&gt;" in html
    assert "<a href='02_large.ipynb#claim-25'>Chapter 2, Large</a>" in html
    assert html.count("<details") == 3
    assert f"<br>Charitable reading: {ini.claims.listed()[25]['charitable']}.<br>" in html
    assert f"Source: {ini.claims.listed()[25]['source']}." in str(table[25])
    assert html.count("<tr") == 3 * (1 + 3)


def test_numbers_come_from_what_was_stored_and_not_from_what_was_shown(copy: Path) -> None:
    fresh = ini.ledger.read(copy / "book")._repr_html_()
    path = copy / "book" / "01_small.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for output in [output for cell in notebook["cells"] for output in cell.get("outputs", [])]:
        output["data"] |= {"text/plain": ["other"], "text/html": ["<p>growth: 7 [6, 8]</p>"]}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert ini.ledger.read(copy / "book")._repr_html_() == fresh
    text = path.read_text(encoding="utf-8")
    assert "1.02" in text
    path.write_text(text.replace("1.02", "1.05"), encoding="utf-8")
    assert "1.05]" in ini.ledger.read(copy / "book")._repr_html_()


# What no reader wants to see: markup, a formula's source, a number with all its digits, code's name of a symbol.
RAW = re.compile(r"[*`$\\{}^…]|sigma|sqrt|\d\.0*[1-9]\d{4,}|\de[-+]?\d|(?<![\w.])-\d")
PLANTED_RAW = (
    "*ensure*",
    "`Var(W)`",
    r"\sigma_w",
    "sigma_w = 4",
    "σ_w^2",
    "≤ 2.30258…",
    "0.0123456",
    "1.2e-06",
    "-0.31",
)


def raw(markup: str) -> list[str]:
    """Return what is raw in the text that HTML shows, each with what stands around it."""
    text = unescape(re.sub(r"<[^>]*>", " ", markup))
    return [text[max(0, found.start() - 30) : found.end() + 30] for found in RAW.finditer(text)]


def test_the_books_ledger_shows_nothing_raw(built_site: Path) -> None:
    page = (built_site / "book" / "22_ledger.html").read_text(encoding="utf-8")
    (listed,) = re.findall(r"<div class='ledger'>.*?</details></div>", page, re.DOTALL)
    assert listed.count("<details") == len(ini.claims.listed())
    assert raw(listed) == []


@pytest.mark.parametrize("text", PLANTED_RAW)
def test_what_is_raw_is_seen(text: str) -> None:
    assert raw(f"<p>tanh, {text}: factor</p>")


def test_texts_of_code_are_written_as_the_list_writes() -> None:
    assert raw("".join(map(written, ("sigma_w^2 = 4", "*ensure* `W`", "-1e-06", "times n_l/n_(l-1)")))) == []
    assert written("randn * sqrt(2/n), sqrt(n)") == "randn · √(2/n), √n"
    assert EDGE.demand(brief=True) == "≥ 2.303"
    assert EDGE.demand() == "≥ 2.30258…"  # the claims' boxes show it so


def test_expectations_are_counted_by_their_words(tree: Path) -> None:
    assert ini.ledger.expected_verdict("holds; and more") == "holds"
    assert ini.ledger.expected_verdict("fails at zero bias") == "fails"
    assert ini.ledger.expected_verdict("fails for tanh; holds for sigmoid") == "holds when"
    pairs = ini.ledger.read(tree / "book").expectations()
    assert pairs == {("holds when", "holds when"): 1, ("holds", "holds"): 1, ("fails", "fails"): 1}


# ----------------------------------------------------------------------------------------------- what the build refuses


def wait(book: Path) -> None:
    """List a claim that waits for its chapter, and let the ledger say so."""
    listed = yaml.safe_load((book / "claims.yml").read_text(encoding="utf-8"))
    listed.append(ini.claims.listed()[50] | {"opens_with": "residual networks"})
    (book / "claims.yml").write_text(yaml.safe_dump(listed, allow_unicode=True), encoding="utf-8")
    store(book / "22_ledger.ipynb", page_of(ini.ledger.read(book)))


def drop(book: Path) -> None:
    """Let no chapter settle claim 25, and the ledger say so."""
    store(book / "02_large.ipynb", claimed(title="Large"))
    store(book / "22_ledger.ipynb", page_of(ini.ledger.read(book)))


def other(book: Path) -> None:
    """Settle claim 25 in other words than the ledger's."""
    store(book / "02_large.ipynb", claimed((25, "holds", "of another reason"), title="Large"))


def twice(book: Path) -> None:
    store(book / "02_large.ipynb", claimed((25, "holds", "weights & biases"), (3, "fails", "no"), title="Large"))


def unlisted(book: Path) -> None:
    store(book / "02_large.ipynb", claimed((25, "holds", "weights & biases"), (4, "fails", "no"), title="Large"))


def landed(book: Path) -> None:
    """Let the chapter be there that claim 50 waits for, and not settle it."""
    wait(book)
    store(book / "03_residual.ipynb", claimed(title="Residual"))
    store(book / "22_ledger.ipynb", page_of(ini.ledger.read(book)))


def untagged(book: Path) -> None:
    page = page_of(ini.ledger.read(book))
    page.cells[1].metadata = nbformat.from_dict({})
    store(book / "22_ledger.ipynb", page)


PLANTED = {
    drop: "claim 25 of book/claims.yml has no verdict",
    landed: "claim 50 of book/claims.yml has no verdict",
    other: "the table of 22_ledger.ipynb is not what the chapters say: `make run CHAPTER=22_ledger`",
    twice: "claim 3 is settled twice, in 01_small and 02_large",
    unlisted: "02_large settles claim 4, which is not in claims.yml",
    untagged: "0 chapters have a cell tagged ledger, not one",
}


def test_good_book_has_no_fault(tree: Path, tmp_path: Path) -> None:
    assert ledger.faults(tree) == []
    assert ledger.faults(tmp_path) == []  # no list, no ledger


def test_claim_may_be_open_until_its_chapter_lands(copy: Path) -> None:
    wait(copy / "book")
    assert ledger.faults(copy) == []
    entry = ini.ledger.read(copy / "book")[50]
    assert (entry.verdict, entry.where()) == ("no verdict", "chapter to come: residual networks")


def test_introductions_list_what_is_open(copy: Path) -> None:
    wait(copy / "book")
    page = copy / "book" / "introductions.md"
    page.write_text("# What introductions say\n", encoding="utf-8")
    (fault,) = ledger.faults(copy)
    line = '- Residual networks: "A zero last layer (zero-γ) always helps" (50).'
    assert fault.splitlines() == ["book/introductions.md does not list the open claims so:", line]
    page.write_text(f"# What introductions say\n\n{line}\n", encoding="utf-8")
    assert ledger.faults(copy) == []


@pytest.mark.parametrize(
    ("name", "lands"),
    [
        ("13_residual", True),
        ("13_residual_networks", True),
        ("13_residual_network", True),
        ("13_residual_streams", False),
        ("13_networks_that_wait", False),
    ],
)
def test_chapter_is_known_by_the_words_of_its_file(copy: Path, name: str, lands: bool) -> None:
    wait(copy / "book")
    store(copy / "book" / f"{name}.ipynb", claimed(title="Other"))
    assert ini.ledger.read(copy / "book").missing == ((50,) if lands else ())


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_planted_fault_is_caught(copy: Path, plant: Callable[[Path], None]) -> None:
    plant(copy / "book")
    (fault,) = ledger.faults(copy)
    assert fault.startswith(PLANTED[plant])


def test_stale_row_is_caught_in_html_alone(copy: Path) -> None:
    path = copy / "book" / "22_ledger.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("0.98, 1.02]</td>", "0.97, 1.02]</td>", 1))
    assert len(ledger.faults(copy)) == 1


def test_planted_faults_fail_each_next_build(
    tree: Path, small: str, build: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    built = Path(shutil.copytree(tree, tmp_path / "built"))
    other(built / "book")  # a chapter alone changes
    for _ in range(2):
        assert build(built) != 0
        assert PLANTED[other] in capfd.readouterr().err
    drop(built / "book")
    (built / "book" / "index.md").write_text("# Start\n\nSee [claim 25](01_small.ipynb#claim-25).\n")
    assert build(built) != 0
    warnings = capfd.readouterr().err
    assert PLANTED[drop] in warnings
    assert "'claim-25'" in warnings  # a link in the text to no box


def test_links_between_a_box_and_its_row() -> None:
    box = ini.claims.settle(3, "holds", "so", EXACT)._repr_html_()
    plain = ledger.linked(box)
    assert "<section class='claim claim-holds' id='claim-3'" in plain
    assert "<a" not in plain
    assert '<a href="22_ledger.html#ledger-3">Claim 3</a></span>' in ledger.linked(box, "22_ledger.html")


# ----------------------------------------------------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def small(tree: Path, serve: Serve, build: Callable[..., int]) -> Iterator[str]:
    """Serve the small book's pages and return their address."""
    assert build(tree) == 0
    with serve(tree / "_build" / "html") as address:
        yield f"{address}/book"


SHOWN = "[...document.querySelectorAll('.ledger details')].filter(row => row.checkVisibility()).map(row => row.id)"


def shown(page: Page) -> list[str]:
    return [name.removeprefix("ledger-") for name in page.evaluate(SHOWN)]


def test_filter_by_verdict_chapter_and_words(page: Page, small: str) -> None:
    page.goto(f"{small}/22_ledger.html")
    count = page.get_by_role("search", name="Filter the ledger").get_by_role("status")
    count.get_by_text("3 of 3 claims shown").wait_for()
    assert shown(page) == ["3", "25", "26"]
    page.get_by_label("fails (1)").check()
    assert shown(page) == ["26"]
    count.get_by_text("1 of 3 claims shown").wait_for()
    page.get_by_label("Chapter").select_option(label="2. Large")
    assert shown(page) == []
    count.get_by_text("No claim fits").wait_for()
    page.get_by_role("button", name="Show all").click()
    count.get_by_text("3 of 3 claims shown").wait_for()
    page.get_by_label("Words").fill("WEIGHTS equal")
    assert shown(page) == ["3", "25"]
    count.get_by_text("2 of 3 claims shown").wait_for()
    page.reload()
    assert shown(page) == ["3", "25"]
    page.goto(f"{small}/22_ledger.html?verdict=nonsense&chapter=77")
    assert shown(page) == ["3", "25", "26"]


def test_filter_by_keyboard(page: Page, small: str) -> None:
    page.goto(f"{small}/22_ledger.html")
    page.get_by_label("all (3)").focus()
    page.keyboard.press("ArrowRight")
    assert shown(page) == ["25"]
    outline = "getComputedStyle(document.activeElement.closest('label')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("1")
    assert shown(page) == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "words"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator(".ledger details[open]").count() == 3
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("!document.querySelector('.ledger details[hidden]')")
    assert shown(page) == ["3", "25", "26"]
    assert page.locator(".ledger details[open]").count() == 0


def test_box_and_row_lead_to_each_other(page: Page, small: str) -> None:
    page.goto(f"{small}/22_ledger.html?verdict=fails")
    page.locator("#ledger-26 summary").click()
    page.locator("#ledger-26 a").click()
    page.wait_for_url("**/01_small.html#claim-26")
    assert page.locator("#claim-26 .claim-text").is_visible()
    page.locator("#claim-3").get_by_role("link", name="Claim 3").click()
    page.wait_for_url("**/22_ledger.html#ledger-3")
    page.locator("#ledger-3").get_by_role("link").wait_for()  # what a link leads to is open
    page.evaluate("location.search = '?verdict=fails'")
    page.wait_for_url("**verdict=fails**")
    page.evaluate("location.hash = '#ledger-25'")  # of a row that is hidden
    page.wait_for_function("document.querySelector('#ledger-25').checkVisibility()")


@pytest.mark.parametrize("script", [True, False])
def test_on_a_phone_nothing_is_wider_than_the_page(small: str, script: bool, browser: Browser) -> None:
    with browser.new_context(viewport={"width": 390, "height": 800}, java_script_enabled=script) as context:
        page = context.new_page()
        page.goto(f"{small}/22_ledger.html")
        assert page.locator(".ledger-filter").count() == int(script)
        assert page.locator(".ledger tr:visible").count() == 0
        for line in page.locator(".ledger summary").all():
            line.click()
        assert page.locator(".ledger tbody tr:visible").count() == 3 * 3
        right = "all => Math.max(...all.map(box => box.getBoundingClientRect().right))"
        if script:
            page.evaluate("document.documentElement.dataset.whole = ''")
            assert page.locator(".ledger *, .ledger-filter *").evaluate_all(right) <= 390
            assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_books_ledger_is_brief_on_a_phone(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{address}/book/22_ledger.html")
    page.evaluate("document.documentElement.dataset.whole = ''")
    lines = page.locator(".ledger details")
    assert page.locator(".ledger").evaluate("list => list.offsetHeight") < 10_000
    assert lines.locator("> summary").evaluate_all("all => Math.min(...all.map(line => line.offsetHeight))") >= 40
    brief = lines.evaluate_all(
        "all => all.map(line => [...line.querySelectorAll('summary > *')].map(x => x.innerText))"
    )
    assert all(len(line) == 4 and all(line) for line in brief)


def test_cards_are_still_a_table_to_a_screen_reader(page: Page, small: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{small}/22_ledger.html")
    page.get_by_label("Open all lines").check()
    page.evaluate("document.documentElement.dataset.whole = ''")
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    assert roles.count("row") == 3 * (1 + 3)
    assert roles.count("columnheader") == 3 * 3
    assert roles.count("rowheader") == 3 * 3
    assert roles.count("cell") + roles.count("gridcell") == 3 * 2 * 3


def test_text_links_to_a_box(page: Page, small: str) -> None:
    page.goto(f"{small}/index.html")
    page.get_by_role("main").get_by_role("link", name="claim 26").click()
    page.wait_for_url("**/01_small.html#claim-26")
    assert page.locator("#claim-26 .claim-text").is_visible()


def test_other_pages_do_not_load_the_filter(tree: Path, small: str) -> None:
    html = tree / "_build" / "html" / "book"
    assert "/ledger.js?" in (html / "22_ledger.html").read_text(encoding="utf-8")
    assert "/ledger.js?" not in (html / "01_small.html").read_text(encoding="utf-8")


def test_guards_allow_what_the_ledger_stores(tree: Path) -> None:
    stored = notebooks.load(tree / "book" / "22_ledger.ipynb")
    checked = [guards.active_html, guards.output_size, guards.mime_types, guards.machine_traces, guards.not_numbers]
    assert [fault for guard in checked for fault in guard(stored)] == []
    assert re.search(r"#claim-25", json.dumps(stored))
