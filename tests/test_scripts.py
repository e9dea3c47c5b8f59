"""The pages' scripts: modules at the source, classic scripts where a page is opened as a file."""

import subprocess
from pathlib import Path

import pytest

from tools import formulas, notebooks, scripts

ASSETS = notebooks.ROOT / "book" / "assets"
EVERY_EXPORT = """export const one = 1;
export let two = 2;
export class Three {}
export function four() { return 4; }
export function* five() { yield 5; }
export async function six() { return await 6; }
const seven = "export const eight = 8; import this";
console.log([one, two, new Three().constructor.name, four(), [...five()][0], seven.length].join());
export default {
  render() { return one; },
};
export {
  seven,
  four as vier,
};
"""


RUN = "require('vm').runInThisContext(require('fs').readFileSync(0, 'utf8'))"  # as a script, never as a module
READ = "new (require('vm').Script)(require('fs').readFileSync(0, 'utf8'))"


def node(what: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([formulas.node(), "-e", what], input=script, capture_output=True, text=True)


def test_classic_script_runs_as_the_module_does_and_leaves_no_name() -> None:
    script = scripts.classic(EVERY_EXPORT)
    done = node(RUN, f"globalThis.console = console; {script}console.log(typeof one, typeof Three);")
    assert (done.stdout, done.stderr) == ("1,2,Three,4,5,35\nundefined undefined\n", "")
    assert "Unexpected token 'export'" in node(RUN, EVERY_EXPORT).stderr
    at = EVERY_EXPORT.splitlines().index("  render() { return one; },")
    assert script.splitlines()[at + 1] == "  render() { return one; },", "an error would name another line"


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ('const a = 1;\nimport x from "./x.mjs";', "line 2 imports a module"),
        ('import "./x.mjs";', "line 1 imports a module"),
        ("import{x}from './x.mjs';", "imports a module"),
        ("const f = async () => await import('./x.mjs');", "imports a module"),
        ('export * from "./x.mjs";', "exports from another module"),
        ('export { x } from "./x.mjs";', "exports from another module"),
        ("const here = import.meta.url;", "asks for import.meta"),
        ("const a = 1;\n\nawait ready();", "line 3 awaits outside"),
        ("const a = await ready();", "awaits outside"),
        ("export\nconst a = 1;", "'export' has a form"),
    ],
)
def test_what_only_a_module_can_do_is_refused(module: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        scripts.classic(module)


@pytest.mark.parametrize("line", ["const f = async () => await 1;", "  await inner();", "// import and await as words"])
def test_what_a_script_can_do_is_not_refused(line: str) -> None:
    assert line in scripts.classic(line)


def test_only_sources_that_are_there_are_published_in_order(tmp_path: Path) -> None:
    for name in ("init-lab", "train-digits", "other"):
        (tmp_path / f"{name}.mjs").write_text("export const one = 1;\n")
    assert scripts.publish(tmp_path, tmp_path / "made") == ["train-digits.js", "init-lab.js"]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["init-lab.js", "train-digits.js"]
    (tmp_path / "reading.mjs").write_text("import 'x';\n")
    with pytest.raises(ValueError, match=r"reading\.mjs: line 1 imports"):
        scripts.publish(tmp_path, tmp_path / "made")


def test_every_source_is_entered_and_becomes_a_script(tmp_path: Path) -> None:
    sources = {path.stem for path in ASSETS.glob("*.mjs")}
    assert sources <= set(scripts.SCRIPTS), "enter a new source in tools/scripts.py"
    for name in scripts.publish(ASSETS, tmp_path):
        assert node(READ, (tmp_path / name).read_text(encoding="utf-8")).stderr == ""
