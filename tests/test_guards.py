"""The guards find nothing in the book, and each one catches a planted fault."""

import ast
import copy
import functools
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from nbformat import NotebookNode
from PIL import Image

from initnotes import claims, widgets
from tools import guards, ledger, notebooks, run

Maker = Callable[..., NotebookNode]

BOOK = guards.notebooks()
ALT = "Distinct units against steps: 20 for random weights, 1 for equal ones"
SEED = ("SEED = 1", ["seed"])

# ------------------------------------------------------------------------------------------------------- the book


def test_the_book_has_notebooks() -> None:
    assert BOOK


@functools.cache
def loaded(path: Path) -> NotebookNode:
    """Return a notebook that is only looked at; to read one takes longer than most guards do."""
    return notebooks.load(path)


@pytest.mark.parametrize("guard", guards.NOTEBOOK_GUARDS, ids=lambda guard: guard.__name__)
@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_notebook(path: Path, guard: Callable[[NotebookNode], list[str]]) -> None:
    assert guard(loaded(path)) == []


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_notebook_is_in_its_stored_form(path: Path) -> None:
    assert guards.stored_form(path) == []


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_claims_are_listed(path: Path) -> None:
    assert guards.claims_listed(loaded(path), guards.claim_numbers()) == []


def test_claims_rarely_fail_by_chance() -> None:
    rates = [claim["false_failure_rate"] for path in BOOK for claim in claims.collect(loaded(path))]
    assert rates
    assert guards.false_failures(rates) == []


def test_introductions_tell_what_chapters_settled() -> None:
    settled = [(path.stem, claim) for path in BOOK for claim in claims.collect(loaded(path))]
    page = (notebooks.ROOT / "book" / "introductions.md").read_text(encoding="utf-8")
    assert guards.told_verdicts(page, settled) == []


@pytest.mark.parametrize(
    "guard",
    [guards.cover, guards.landing_figure, guards.table_of_contents, guards.links, guards.pins, ledger.faults],
    ids=lambda guard: guard.__name__,
)
def test_tree(guard: Callable[[Path], list[str]]) -> None:
    assert guard(notebooks.ROOT) == []


def test_files_speak_of_no_machine() -> None:
    assert guards.machine_paths(guards.tracked(), notebooks.ROOT) == []


# ------------------------------------------------------------------------------- planted faults: notebooks


def stream(text: str, name: str = "stdout") -> NotebookNode:
    """Return a stream output."""
    return nbformat.v4.new_output("stream", name=name, text=text)


def picture(size: int = 10) -> NotebookNode:
    """Return an output with a picture of noise, `size` pixels wide and high."""
    import base64
    import io

    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(256, size=(size, size), dtype=np.uint8)).save(buffer, "PNG")
    return nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(buffer.getvalue()).decode()})


@pytest.fixture
def good(make_notebook: Maker) -> NotebookNode:
    """Return a notebook without a fault: a seed, a printed number and a picture."""
    notebook = make_notebook(SEED, "rng = np.random.default_rng(SEED)\nprint(1.5)", ("plot()", ["cover"]))
    notebook.cells[1].outputs = [stream("1.5, 10 steps, 3/4 of <b>all</b>; see https://example.org/a/b\n")]
    notebook.cells[2].outputs = [picture()]
    notebook.cells[2].metadata["mystnb"] = {"image": {"alt": ALT}}
    return notebooks.normalize(notebook)


def change(notebook: NotebookNode, index: int = 1, **fields: object) -> NotebookNode:
    """Return a copy with fields of one cell replaced."""
    changed = copy.deepcopy(notebook)
    changed.cells[index].update(fields)
    return changed


def says(notebook: NotebookNode, text: str) -> NotebookNode:
    """Return a copy whose second cell prints `text`."""
    return change(notebook, outputs=[stream(text)])


@pytest.mark.parametrize("guard", guards.NOTEBOOK_GUARDS, ids=lambda guard: guard.__name__)
def test_good_notebook_passes(good: NotebookNode, guard: Callable[[NotebookNode], list[str]]) -> None:
    assert guard(good) == []


@pytest.mark.parametrize("count", [None, 1, 7])
def test_execution_out_of_order_is_caught(good: NotebookNode, count: int | None) -> None:
    assert guards.execution_order(change(good, execution_count=count))


def test_stderr_is_caught(good: NotebookNode) -> None:
    assert guards.stderr(change(good, outputs=[stream("warning", "stderr")]))


def test_errors_are_caught_and_allowed_where_tagged(good: NotebookNode) -> None:
    raised = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    tagged = nbformat.from_dict({"tags": ["raises-exception"]})
    assert guards.errors(change(good, outputs=raised))
    assert guards.errors(change(good, outputs=raised, metadata=tagged)) == []
    assert guards.errors(change(good, metadata=tagged))


def test_markers_that_hide_an_output_are_caught(good: NotebookNode) -> None:
    assert guards.uncompared(change(good, source="# NBVAL_IGNORE_OUTPUT\nx"))
    assert guards.uncompared(change(good, metadata=nbformat.from_dict({"tags": ["nbval-skip"]})))


@pytest.mark.parametrize("source", ["plot(x);\n", "plot(x); # c", "plot(x);  # c\n# d\n", "if x:\n    plot(x);"])
def test_semicolon_at_the_end_is_caught(good: NotebookNode, source: str) -> None:
    assert guards.silenced(change(good, source=source))


@pytest.mark.parametrize("source", ["x; y", "plot(x)  # c;", "print(';')", "%matplotlib inline", "def f(:"])
def test_other_semicolons_pass(good: NotebookNode, source: str) -> None:
    assert guards.silenced(change(good, source=source)) == []


def test_long_cell_is_caught(good: NotebookNode) -> None:
    assert guards.cell_length(change(good, source="x = 1\n\n" * 20)) == []
    assert guards.cell_length(change(good, source="x = 1\n\n" * 21))
    evidence = "exact(\n    'units',\n    [1],\n    1,\n    excludes={'all differ': 2},\n)\n"
    assert guards.cell_length(change(good, source=evidence * 20)) == []
    assert guards.cell_length(change(good, source=evidence * 21))


def tagged(cell: int, *names: str) -> Callable[[NotebookNode], NotebookNode]:
    """Return what tags one cell and normalizes."""

    def tag(notebook: NotebookNode) -> NotebookNode:
        return notebooks.normalize(change(notebook, cell, metadata=nbformat.from_dict({"tags": list(names)})))

    return tag


def lines(count: int) -> str:
    """Return source with so many lines, and blank ones between them."""
    return "x = 1\n\n" * count


def test_long_visible_cell_is_caught(good: NotebookNode) -> None:
    assert guards.visible_code(change(good, source=lines(8))) == []
    long = change(good, source=lines(9))
    assert "9 visible lines, more than 8" in guards.visible_code(long)[0]
    assert guards.visible_code(tagged(1, "hide-input")(long)) == []
    assert guards.visible_code(tagged(1, "remove-input")(long)) == []
    assert guards.visible_code(tagged(1, "hide-output")(long)) != []


def test_high_median_is_caught(make_notebook: Maker) -> None:
    assert guards.visible_code(make_notebook(SEED, lines(5), lines(8))) == []
    assert "median of 3 visible cells is 6 lines" in guards.visible_code(make_notebook(lines(6), lines(6), lines(1)))[0]
    assert guards.visible_code(make_notebook(lines(5), lines(6)))
    folded = make_notebook(lines(6), (lines(6), ["hide-input"]), lines(1), lines(1))
    assert guards.visible_code(folded) == []


SOLUTION = """prose
```{{solution-start}} here
:label: there
:class: {kind}
```
more prose"""


def solution(notebook: NotebookNode, kind: str = "dropdown") -> NotebookNode:
    """Return a copy with its second code cell in a solution, which another follows that has no cell."""
    changed = copy.deepcopy(notebook)
    ends = "```{solution-end}\n```\n\n" + SOLUTION.format(kind="dropdown") + "\n```{solution-end}\n```\nlast"
    changed.cells.insert(2, nbformat.v4.new_markdown_cell(ends, id="ends"))
    changed.cells.insert(1, nbformat.v4.new_markdown_cell(SOLUTION.format(kind=kind), id="starts"))
    return notebooks.normalize(changed)


BOTH = {"outputs_hidden": True, "source_hidden": True}


def test_jupyterlab_folds_what_the_page_folds(good: NotebookNode) -> None:
    def folded(notebook: NotebookNode) -> list[dict[str, bool]]:
        assert notebooks.normalize(notebook) == notebook
        return [cell.metadata.get("jupyter", {}) for cell in notebook.cells]

    assert folded(good) == [{}, {}, {}]
    assert folded(tagged(1, "hide-input")(good)) == [{}, {"source_hidden": True}, {}]
    assert folded(tagged(1, "hide-output")(good)) == [{}, {"outputs_hidden": True}, {}]
    assert folded(tagged(1, "hide-cell")(good)) == [{}, BOTH, {}]
    assert folded(solution(good)) == [{}, {}, BOTH, {}, {}]
    assert folded(solution(good, "tip")) == [{}] * 5


def test_a_fold_by_hand_is_caught_and_mended(good: NotebookNode) -> None:
    by_hand = nbformat.from_dict({"jupyter": {"source_hidden": True}})
    for notebook, cell in ((change(good, metadata=by_hand), 1), (change(solution(good), 2, metadata=by_hand), 2)):
        assert "write tags only" in guards.folding(notebook)[0]
        assert notebook.cells[cell].id in guards.folding(notebook)[0]
        assert guards.folding(notebooks.normalize(notebook)) == []
    assert guards.folding(change(tagged(1, "hide-input")(good), metadata=nbformat.from_dict({"tags": ["hide-input"]})))


@pytest.mark.parametrize("alt", ["", "too short", "a_very_long_name_of_a_file_that_holds_a_picture.png"])
def test_poor_alt_text_is_caught(good: NotebookNode, alt: str) -> None:
    assert guards.alt_text(change(good, 2, metadata=nbformat.from_dict({"mystnb": {"image": {"alt": alt}}})))


def test_two_pictures_under_one_alt_text_are_caught(good: NotebookNode) -> None:
    assert guards.alt_text(change(good, 2, outputs=[picture(), picture()]))


@pytest.mark.parametrize("mime", ["image/svg+xml", "application/javascript", "application/x-unknown"])
def test_output_that_no_page_shows_is_caught(good: NotebookNode, mime: str) -> None:
    assert guards.mime_types(change(good, outputs=[nbformat.v4.new_output("display_data", {mime: "x"})]))


@pytest.mark.parametrize(
    "text",
    [
        "<b>x</b><script>run()</script>",
        "<SVG width='1'></SVG>",
        "<init-lab><svg><path d='M0 0'/></svg></init-lab>",
        "<init-lab><svg><title>x</title></svg></init-lab><svg></svg>",
        "<init-lab><svg><title>x</title></svg><script>run()</script></init-lab>",
        "<p><img src='data:image/png;base64,x' alt='x'></p>",
        "<iframe src='x'></iframe>",
        "<td onclick='run()'>x</td>",
        "<a href=' javascript:run()'>x</a>",
    ],
)
def test_active_html_is_caught(good: NotebookNode, text: str) -> None:
    for mime in ("text/html", "text/markdown"):
        assert guards.active_html(change(good, outputs=[nbformat.v4.new_output("display_data", {mime: text})]))


def test_live_figure_passes(good: NotebookNode) -> None:
    figure = {"text/html": widgets.to_html(**widgets.LANDING)}
    notebook = change(good, outputs=[nbformat.v4.new_output("display_data", figure)])
    assert [fault for guard in guards.NOTEBOOK_GUARDS for fault in guard(notebook)] == []


def test_stale_figure_of_the_landing_page_is_caught(tmp_path: Path) -> None:
    assert guards.landing_figure(tmp_path)
    run.landing_figure(tmp_path / "book")
    assert guards.landing_figure(tmp_path) == []
    file = tmp_path / "book" / "assets" / "lab-landing.html"
    file.write_text(file.read_text(encoding="utf-8").replace('depth="30"', 'depth="31"'), encoding="utf-8")
    assert guards.landing_figure(tmp_path)


def test_table_passes(good: NotebookNode) -> None:
    table = "<section class='claim'><table><tr><td tabindex='0'>1 &lt; 2, on=3</td></tr></table></section>"
    assert (
        guards.active_html(change(good, outputs=[nbformat.v4.new_output("display_data", {"text/html": table})])) == []
    )


def test_claims_have_their_own_kind() -> None:
    assert guards.CLAIM == claims.MIME


def test_large_outputs_are_caught(good: NotebookNode) -> None:
    assert guards.output_size(change(good, 2, outputs=[picture(500)]))
    assert guards.output_size(says(good, "x" * 20_001))
    assert guards.output_size(change(good, source="x" * 600_001))
    table = change(says(good, "x" * 200_000), metadata=nbformat.from_dict({"tags": ["ledger"]}))
    assert guards.output_size(table) == []
    assert guards.output_size(change(table, outputs=[stream("x" * 200_001)]))


@pytest.mark.parametrize(
    "text",
    [
        "<object at 0x7f0bc9f37cb0>",
        "/" + "usr/lib/python3/x.py",
        "see '/" + "opt/x'",
        r"C:\Users",
        "file:///x",
        "2024-02-29",
        "3 March 2024",
        "Mar 3, 2024",
        "at 12:30:01",
        "took 3.2 s",
        "12 ms",
        "5 seconds",
        "Wall time",
        "120it/s",
        "<td>/" + "usr/lib/x</td>",
        "File:/" + "usr/lib/x",
        "&#x27;/" + "usr/lib/x&#x27;",
        r"'C:\\Users\\me'",
        "D:/a/b",
        "12s",
        "1.5s",
        "3 min",
        "took 3 min.",
        "29.02.2024",
        "2024/02/29",
        "02/29/2024",
        "2024-02-29T12:00",
    ],
)
def test_traces_of_a_machine_are_caught(good: NotebookNode, text: str) -> None:
    assert guards.machine_traces(says(good, text))


@pytest.mark.parametrize(
    "text",
    [
        "widths 20-16-16-5 and 16-16-10, 1/2 of them, 3/4/5",
        "100 steps, 3 samples, 2 s-shaped curves, 5 minima",
        "from 0.15 to 0.25",
        "layer 3 min 0.5 max 0.7, layer 4  min=0.5",
        "since the 1990s",
        "https://example.org/a/b/c",
        "<b>a</b><br/>or n/m/k",
        "claim 1: 2.5 (of 3.10.20)",
    ],
)
def test_ordinary_outputs_pass(good: NotebookNode, text: str) -> None:
    assert guards.machine_traces(says(good, text)) == []


@pytest.mark.parametrize("text", ["nan", "loss: inf", "[1.0, -inf]", "NaN", "x=nan,", "∞"])
def test_not_a_number_is_caught(good: NotebookNode, text: str) -> None:
    assert guards.not_numbers(says(good, text))
    tagged = change(says(good, text), metadata=nbformat.from_dict({"tags": ["prints-nan"]}))
    assert guards.not_numbers(tagged) == []


@pytest.mark.parametrize("text", ["finance", "info", "nano", "inf-dimensional"])
def test_words_are_numbers_enough(good: NotebookNode, text: str) -> None:
    assert guards.not_numbers(says(good, text)) == []


@pytest.mark.parametrize(
    "source",
    [
        "rng = np.random.default_rng(3)",
        "rng = np.random.default_rng()",
        "torch.manual_seed(0)",
        "np.random.seed(SEED)",
        "np.random.randn(3)",
        "import random",
        "np.random.SeedSequence(5)",
        "SEED = 2",
        "SEED += 1",
        "for SEED in range(3):\n    pass",
        "%matplotlib inline\nrng = np.random.default_rng(3)",
        "seed = 3\nrng = np.random.default_rng(seed)",
        "from numpy.random import Generator, PCG64\nrng = Generator(PCG64(3))",
        "from numpy.random import randn",
        "import numpy.random as draws\ndraws.randn(3)",
        "from numpy import random\nrandom.randn(3)",
        "np.random.RandomState(SEED)",
        "from random import random",
        "torch.manual_seed(SEED)",
        "torch.randn(3)",
        "import torch as t\nt.rand(3, 4)",
        "from torch import randn\nrandn(3)",
        "rng = torch.Generator().manual_seed(3)",
    ],
)
def test_other_seeds_are_caught(good: NotebookNode, source: str) -> None:
    assert guards.seeds(change(good, source=source))


@pytest.mark.parametrize(
    "source",
    [
        "rng = np.random.default_rng([SEED, 3])",
        "rng = np.random.default_rng(seed=SEED + 1)",
        "rng = np.random.Generator(np.random.PCG64(SEED))",
        "from numpy.random import default_rng\nrng = default_rng(SEED)",
        "torch.randn(3, generator=torch.Generator().manual_seed(SEED))",
        "def draw(rng: np.random.Generator) -> float:\n    return rng.normal()",
        "# np.random.seed(3), SEED = 2",
    ],
)
def test_draws_from_the_seed_pass(good: NotebookNode, source: str) -> None:
    assert guards.seeds(change(good, source=source)) == []


def test_wrong_seed_cells_are_caught(make_notebook: Maker) -> None:
    assert guards.seeds(make_notebook("x = 1"))
    assert guards.seeds(make_notebook(SEED, SEED))
    assert guards.seeds(make_notebook(("SEED = int(1)", ["seed"])))
    assert guards.seeds(make_notebook(("SEED = 1\nSEED += 1", ["seed"])))
    assert guards.seeds(make_notebook(("SEED = 1 + 1", ["seed"])))


def test_equal_ids_are_caught(good: NotebookNode) -> None:
    assert guards.cell_ids(change(good, id="cell-01"))


def test_unlisted_claim_is_caught(good: NotebookNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "collect", lambda notebook: [{"number": 1}, {"number": 999}])
    assert guards.claims_listed(good, [1, 2]) == ["claim 999 is not in book/claims.yml"]


def test_frequent_false_failures_are_caught() -> None:
    assert guards.false_failures([1e-3, 9e-4]) == []
    assert guards.false_failures([1e-3, 1.1e-3])


# ------------------------------------------------------------------------------- planted faults: files


@pytest.fixture
def tree(good: NotebookNode, tmp_path: Path) -> Path:
    """Return the root of a small book without a fault."""
    (tmp_path / "book" / "assets").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\nchapters:\n- file: book/01_small\n")
    (tmp_path / "book" / "index.md").write_text("# Small\n\n[next](01_small.ipynb), [again](01_small)\n")
    (tmp_path / "book" / "01_small.ipynb").write_text(notebooks.dump(good), encoding="utf-8")
    (tmp_path / "book" / "assets" / "cover.png").write_bytes(notebooks.images(good.cells[2])[0])
    return tmp_path


@pytest.mark.parametrize("guard", [guards.cover, guards.table_of_contents, guards.links, guards.pins])
def test_good_tree_passes(tree: Path, guard: Callable[[Path], list[str]]) -> None:
    assert guard(tree) == []
    assert guards.stored_form(tree / "book" / "01_small.ipynb") == []


@pytest.mark.parametrize("guard", [guards.cover, guards.table_of_contents, guards.links])
def test_own_copies_are_left_alone(tree: Path, guard: Callable[[Path], list[str]]) -> None:
    mine = tree / notebooks.MINE / "deep"
    mine.mkdir(parents=True)
    (mine / "copy.ipynb").write_bytes((tree / "book" / "01_small.ipynb").read_bytes())
    (mine / "notes.md").write_text("[x](gone.md)")
    assert guard(tree) == []
    assert [path.stem for path in guards.notebooks(tree)] == ["01_small"]


def test_git_and_ruff_leave_own_copies_alone() -> None:
    for file, line in ((".gitignore", f"{notebooks.MINE}/"), ("_config.yml", f"  - {notebooks.MINE}")):
        assert line in (notebooks.ROOT / file).read_text(encoding="utf-8").splitlines()


def test_other_form_is_caught(tree: Path) -> None:
    path = tree / "book" / "01_small.ipynb"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert guards.stored_form(path)


def test_other_cover_is_caught(tree: Path) -> None:
    (tree / "book" / "assets" / "cover.png").write_bytes(b"")
    assert guards.cover(tree)


def test_missing_cover_is_caught(tree: Path, make_notebook: Maker) -> None:
    (tree / "book" / "01_small.ipynb").write_text(notebooks.dump(make_notebook(SEED)), encoding="utf-8")
    assert guards.cover(tree)


@pytest.mark.parametrize("change", ["page", "entry", "twice", "both"])
def test_disagreeing_table_of_contents_is_caught(tree: Path, change: str) -> None:
    toc = tree / "_toc.yml"
    if change == "page":
        (tree / "book" / "extra.md").write_text("# Extra\n")
    elif change == "both":
        (tree / "book" / "01_small.md").write_text("# Twin\n")
    else:
        name = {"entry": "book/gone", "twice": "book/01_small"}[change]
        toc.write_text(toc.read_text() + f"- file: {name}\n")
    assert guards.table_of_contents(tree)


@pytest.mark.parametrize(
    "text",
    [
        "[x](gone.md)",
        "![x](assets/gone.png)",
        "[x](gone.md#part)",
        '<img src="assets/gone.png" alt="x">',
        "```{figure} assets/gone.png\n```",
        ":::{image} gone.png\n:::",
        "{doc}`gone`",
        "{download}`text <gone.zip>`",
        "[x]: gone.md",
        "[x]: <gone.md>",
        "[x](gone.md 'title')",
        '[x](gone.md "title")',
        "[x](gone.md (title))",
        "[x](<with space.md>)",
        "[x](with%20space.md)",
        "[![y](assets/cover.png)](gone.md)",
        "<a href=gone.html>x</a>",
        "<a href = 'gone.html'>x</a>",
        "[x](assets)",
        "[x](../../outside.md)",
        "[x](/../outside.md)",
    ],
)
def test_dead_link_is_caught(tree: Path, text: str) -> None:
    (tree.parent / "outside.md").write_text("not of the book")
    (tree / "book" / "index.md").write_text(f"# Small\n\n{text}\n")
    assert guards.links(tree)


@pytest.mark.parametrize(
    "text",
    [
        "[x](https://example.org/a)",
        "[x](#here)",
        "`[x](gone.md)`",
        "```python\n[x](gone.md)\n```",
        "![x](assets/cover.png)",
        "[x](assets/cover.png 'title')",
        "[![y](assets/cover.png)](01_small.ipynb)",
        "[x](<my page.md>) and [y](my%20page.md)",
        "<a href=01_small.ipynb>x</a>",
        "{doc}`01_small`",
        "$f[x](y)$ and [^1]: note",
    ],
)
def test_good_link_passes(tree: Path, text: str) -> None:
    (tree / "book" / "my page.md").write_text("# Mine\n")
    (tree / "book" / "index.md").write_text(f"# Small\n\n{text}\n")
    assert guards.links(tree) == []


def test_dead_link_in_a_notebook_is_caught(tree: Path, good: NotebookNode) -> None:
    good.cells.append(nbformat.v4.new_markdown_cell("[x](gone.md)", id="text"))
    (tree / "book" / "01_small.ipynb").write_text(notebooks.dump(good), encoding="utf-8")
    assert guards.links(tree)


@pytest.mark.parametrize("line", ["numpy==0.0.1", "numpy>=1", "numpy", "no-such-package-here==1.0"])
def test_wrong_pin_is_caught(tree: Path, line: str) -> None:
    (tree / "requirements.txt").write_text(f"# pins\n{line}\n-e .\n")
    assert guards.pins(tree)


@pytest.mark.parametrize(
    "text", ["see /" + "home/me/x", "cd /" + "root", "`/" + "tmp/x`", "https://" + "py" + "pi.org/simple"]
)
def test_machine_paths_are_caught(tree: Path, text: str) -> None:
    (tree / "note.md").write_text(text)
    assert guards.machine_paths(guards.tracked(tree), tree)
    subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
    assert guards.machine_paths(guards.tracked(tree), tree)
    (tree / ".gitignore").write_text("note.md\n")
    assert guards.machine_paths(guards.tracked(tree), tree) == []


def test_binder_alone_names_the_host_of_its_torch(tree: Path) -> None:
    line = (notebooks.ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8")
    for name, faults in (("binder/requirements.txt", 0), ("binder/other.txt", 1)):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(line)
        assert len(guards.machine_paths([tree / name], tree)) == faults


def test_without_git_what_gitignore_names_is_left_out(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / ".gitignore").write_text("# own\nbook/my/\n_build/\n*.log\n")
    for name in ("book/my/x.md", "_build/html/x.md", "a.log", ".git/x", "kept.md"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("x")
    monkeypatch.setenv("PATH", "")
    names = [path.relative_to(tree).as_posix() for path in guards.tracked(tree)]
    there = [".gitignore", "_toc.yml", "book/01_small.ipynb", "book/assets/cover.png", "book/index.md", "kept.md"]
    assert names == there


def test_everything_that_is_used_is_pinned() -> None:
    files = [
        path
        for folder in ("initnotes", "initgrade", "coursework", "tools", "tests", "benchmarks")
        for path in (notebooks.ROOT / folder).rglob("*.py")
    ]
    trees = [ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for path in files]
    used = {name.split(".")[0] for tree in trees for node in tree for name in imported(node)}
    config = yaml.safe_load((notebooks.ROOT / "_config.yml").read_text(encoding="utf-8"))
    used |= {name.split(".")[0] for name in config["sphinx"]["config"]["extensions"]}
    local = {
        "initnotes",
        "initgrade",
        "coursework",
        "tools",
        "tests",
        "benchmarks",
        *(path.stem for path in files),
        *sys.stdlib_module_names,
    }
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in requirements() if "==" in line}
    packages = importlib.metadata.packages_distributions()
    wanted = {name: {p.lower().replace("_", "-") for p in packages[name.split(".")[0]]} for name in used - local}
    assert {name: made for name, made in wanted.items() if not made & pinned} == {}


def imported(node: ast.AST) -> list[str]:
    """Return the modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def requirements() -> list[str]:
    """Return the lines of the files with the pins."""
    return [
        line
        for path in notebooks.ROOT.glob("requirements*.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


TOLD = '- "Zeros." [Claim 3](02_zero.ipynb#claim-3): **holds when** all are zero. {ref}`Chapter 2 <zero>`\n'
ZERO = ("02_zero", 3, "holds when", "all are zero")


def told(page: str, *settled: tuple[str, int, str, str]) -> list[str]:
    """Return the faults of a page beside claims as chapters settle them."""
    of = [(name, {"number": number, "verdict": verdict, "because": why}) for name, number, verdict, why in settled]
    return guards.told_verdicts(page, of)


@pytest.mark.parametrize(
    ("page", "settled", "fault"),
    [
        (TOLD, [("02_zero", 3, "fails", "all are zero")], "settled as"),
        (TOLD, [("02_zero", 3, "holds when", "a matrix is zero")], "settled as"),
        (TOLD, [("01_symmetry", 3, "holds when", "all are zero")], "told as"),
        (TOLD.replace("Chapter 2", "Chapter 1"), [ZERO], "told as"),
        (TOLD, [], "told as"),
        ("", [ZERO], "not told"),
        (TOLD * 2, [ZERO], "told twice"),
        (TOLD, [ZERO] * 2, "settled twice"),
    ],
)
def test_a_wrong_tale_is_caught(page: str, settled: list[tuple[str, int, str, str]], fault: str) -> None:
    assert any(fault in found for found in told(page, *settled))


def test_a_right_tale_passes() -> None:
    assert told(TOLD, ZERO) == []
