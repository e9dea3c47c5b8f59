"""Notebooks as data: find the chapters, read, execute, normalize and store them.

``run``, ``reprove``, ``drift`` and the guards share this module. It knows nothing of initialization.
"""

import atexit
import base64
import copy
import io
import json
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import yaml
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image

from .files import ROOT

MINE = "book/my"  # a learner's own copies: git, the guards, the comparison and the site leave them out
SEED_LINE = re.compile(r"^(SEED = )(\d+)(?=[ \t]*(?:#.*)?$)", re.MULTILINE)
CELL_TIMEOUT = 120  # seconds, the same for storing and for comparing

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}
_CELL_KEYS = ("tags", "mystnb")
_SOLUTION_EDGES = re.compile(r"^(?:`{3,}|:{3,})\{solution-(?:start\}.*\n(?P<options>(?::.*\n)*)|end\})", re.MULTILINE)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_NOTES = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class CellError(Exception):
    """A cell that raised, ran too long or lost its kernel: where, and what it said."""

    def __init__(self, cell: str, reason: str, traceback: str = "") -> None:
        super().__init__(f"{cell}: {reason}")
        self.cell, self.reason, self.traceback = cell, reason, traceback


class _ThisPython(KernelSpecManager):
    """Every kernel name is the interpreter that runs this script, whatever is installed for the user."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


def own_folders() -> None:
    """Let the kernels of this process keep their files in .venv: home may be read-only, and may hold settings."""
    folder = ROOT / ".venv"
    if not os.access(folder, os.W_OK):
        folder = Path(tempfile.mkdtemp(prefix="initnotes-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for variable, name in (("MPLCONFIGDIR", "matplotlib"), ("IPYTHONDIR", "ipython"), ("JUPYTER_RUNTIME_DIR", "run")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(folder / name)


def toc_files(root: Path = ROOT) -> list[str]:
    """Return the table of contents' entries in reading order, as they stand there (no suffix)."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, list):
            for item in node:
                yield from walk(item)
        elif isinstance(node, dict):
            yield from (node[key] for key in ("root", "file") if key in node)
            for key in ("parts", "chapters", "sections", "entries", "subtrees"):
                yield from walk(node.get(key, []))

    return list(walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))))


def chapters(root: Path = ROOT, only: str = "") -> list[Path]:
    """Return the notebooks of the book in reading order, or the one named `only` (its stem)."""
    found = [root / f"{name}.ipynb" for name in toc_files(root) if (root / f"{name}.ipynb").is_file()]
    if not found:
        raise SystemExit("_toc.yml names no notebook that is there")
    if not only:
        return found
    stem = Path(only).name.removesuffix(".ipynb")
    chosen = [path for path in found if path.stem == stem]
    if not chosen:
        raise SystemExit(f"no chapter {only!r} in _toc.yml. Chapters: {', '.join(path.stem for path in found)}")
    return chosen


def load(path: Path) -> NotebookNode:
    """Read a notebook; cells without an id get one from their position, so that reading is repeatable."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    for position, cell in enumerate(raw["cells"], start=1):
        cell.setdefault("id", f"cell-{position:02d}")
    raw["nbformat"], raw["nbformat_minor"] = 4, 5
    return nbformat.reads(json.dumps(raw), as_version=4)


def dump(notebook: NotebookNode) -> str:
    """Return the text of a notebook as it is stored: sorted keys, one trailing newline."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def code_cells(notebook: NotebookNode, tag: str = "") -> list[NotebookNode]:
    """Return the code cells that are not empty, or those of them that carry `tag`."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    return [cell for cell in cells if not tag or tag in tags(cell)]


def name_of(notebook: NotebookNode, cell: NotebookNode) -> str:
    """Name a cell for a reader of messages: its position among all cells, its id and its first line."""
    position = 1 + next(i for i, other in enumerate(notebook.cells) if other is cell)
    first = cell.source.strip().split("\n")[0]
    return f"cell {position} (id {cell.id}): {first[:60]}"


def execute(notebook: NotebookNode, cwd: Path, on_cell: Callable[[], object] = lambda: None) -> NotebookNode:
    """Execute a copy of `notebook` from scratch in `cwd` and return it; `on_cell` is called after each code cell.

    Raises
    ------
    CellError
        At the first cell that raises and is not tagged ``raises-exception``.
    """
    fresh = copy.deepcopy(notebook)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    current = [0]
    client = NotebookClient(
        fresh,
        resources={"metadata": {"path": str(cwd)}},
        timeout=CELL_TIMEOUT,
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=40", "--HistoryManager.hist_file=:memory:"],
        on_cell_start=lambda cell, cell_index: current.__setitem__(0, cell_index),
        on_cell_executed=lambda cell, cell_index, execute_reply: on_cell(),
    )
    client.create_kernel_manager().kernel_spec_manager = _ThisPython()
    try:
        client.execute()
    except Exception as error:
        if hasattr(client, "_async_cleanup_kernel_future"):  # nbclient's answer to Ctrl-C
            raise KeyboardInterrupt from None
        reason, traceback = _why(error)
        raise CellError(name_of(fresh, fresh.cells[current[0]]), reason, traceback) from None
    return fresh


def _why(error: Exception) -> tuple[str, str]:
    """Return the reason and the traceback of a cell that failed; raise what is not a cell's failure."""
    if isinstance(error, CellExecutionError):
        return f"{error.ename}: {error.evalue}", error.traceback
    if isinstance(error, CellTimeoutError):
        return f"took more than {CELL_TIMEOUT} s", ""
    if isinstance(error, DeadKernelError):
        return "the kernel died", ""
    raise error


def folds(notebook: NotebookNode) -> list[dict[str, bool]]:
    """Return for each cell what JupyterLab folds of it: what its tags fold on the page, and all of a folded solution.

    The form is that of a cell's metadata ``jupyter``.
    """
    found, inside = [], False
    for cell in notebook.cells:
        marked = set(tags(cell)) if cell.cell_type == "code" else set()
        hidden = {
            "outputs_hidden": inside or bool(marked & {"hide-output", "hide-cell"}),
            "source_hidden": inside or bool(marked & {"hide-input", "hide-cell"}),
        }
        found.append({key: True for key, value in hidden.items() if value and cell.cell_type == "code"})
        if cell.cell_type == "markdown":
            edges = [match["options"] for match in _SOLUTION_EDGES.finditer(cell.source)]
            inside = edges[-1] is not None and "dropdown" in edges[-1] if edges else inside
    return found


def normalize(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without anything that is this machine's or this moment's; normalizing twice changes nothing."""
    clean = copy.deepcopy(notebook)
    clean.nbformat, clean.nbformat_minor = 4, 5
    clean.metadata = nbformat.from_dict(copy.deepcopy(_METADATA))
    for cell, folded in zip(clean.cells, folds(clean), strict=True):
        kept = {key: cell.metadata[key] for key in _CELL_KEYS if cell.metadata.get(key)}
        cell.metadata = nbformat.from_dict(kept | ({"jupyter": folded} if folded else {}))
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.source = cell.source.rstrip()
            cell.outputs = [_clean_output(output) for output in _joined(cell.outputs)]
    return clean


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighboring outputs of one stream: where a kernel cuts a stream is chance."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _clean_output(output: NotebookNode) -> NotebookNode:
    if "metadata" in output:
        output.metadata = nbformat.from_dict({})
    if output.output_type == "error":  # a traceback names files of this machine; nbval compares name and message
        output.traceback = [f"{output.ename}: {_ANSI.sub('', output.evalue)}"]
    data = output.get("data", {})
    for mime in [mime for mime in data if mime.startswith("application/vnd.jupyter.widget")]:
        del data[mime]
    if "image/png" in data:
        picture = few_colors(strip_png(base64.b64decode(data["image/png"])))
        data["image/png"] = base64.b64encode(picture).decode("ascii")
    return output


def few_colors(image: bytes) -> bytes:
    """Return an opaque PNG with a palette of 256 colors, less than half the size; one that has a palette as it is."""
    picture = Image.open(io.BytesIO(image))
    if picture.mode == "P" or (picture.mode == "RGBA" and picture.getextrema()[3][0] < 255):
        return image
    small = io.BytesIO()
    palette = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    palette.save(small, format="PNG", optimize=True)
    return small.getvalue()


def strip_png(image: bytes) -> bytes:
    """Return the PNG without its notes (software, date, comments)."""
    if not image.startswith(_PNG_SIGNATURE):
        raise ValueError("not a PNG image")
    kept, start = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    while start < len(image):
        (length,) = struct.unpack(">I", image[start : start + 4])
        end = start + 12 + length  # length, kind and checksum take 4 bytes each
        if image[start + 4 : start + 8] not in _PNG_NOTES:
            kept.append(image[start:end])
        start = end
    return b"".join(kept)


def images(cell: NotebookNode) -> list[bytes]:
    """Return the PNG images in a cell's outputs."""
    found = (output.get("data", {}).get("image/png") for output in cell.get("outputs", []))
    return [base64.b64decode(data) for data in found if data]


def texts(cell: NotebookNode) -> list[str]:
    """Return every text that a cell's outputs show: streams, plain text, HTML, Markdown, SVG and error messages."""
    found: list[str] = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            found.append(output.text)
        elif output.output_type == "error":
            found.append("\n".join([output.ename, output.evalue, *output.traceback]))
        else:
            found += [data for mime, data in output.data.items() if mime.startswith("text/") or mime.endswith("+xml")]
            found += [json.dumps(data) for mime, data in output.data.items() if mime.endswith("json")]
    return found
