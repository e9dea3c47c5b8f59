"""The guard on randomness: one seed for a notebook, and nothing that draws without it."""

import ast
from collections.abc import Iterator

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode as Notebook

from ..notebooks import SEED_LINE, code_cells, name_of

_SEEDED = ("default_rng", "SeedSequence", "PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937", "manual_seed")
_NUMPY_RANDOM = (*_SEEDED, "Generator", "BitGenerator")
_TORCH_DRAWS = ("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson")
_GLOBAL_SEEDS = ("torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.cuda.manual_seed_all")


def _tree(cell: Notebook) -> ast.Module:
    """Parse a code cell, magics included; a cell that is no Python never runs, so it draws nothing."""
    try:
        return ast.parse(TransformerManager().transform_cell(cell.source))
    except SyntaxError:
        return ast.Module([], [])


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield every name that `tree` imports, and in full what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((a.asname, a.name) if a.asname else (a.name.split(".")[0],) * 2 for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((a.asname or a.name, f"{node.module}.{a.name}") for a in node.names)


def _full_name(node: ast.expr, names: dict[str, str]) -> str:
    """Return a dotted name with what its first part stands for; a call within it reads ``()``."""
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, names)}.{node.attr}"
    if isinstance(node, ast.Call):
        return f"{_full_name(node.func, names)}()"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _unseeded(call: ast.Call, name: str) -> bool:
    """Whether a call draws, or makes a generator, that does not come from SEED."""
    last = name.split(".")[-1]
    if name in _GLOBAL_SEEDS:
        return True
    if name.startswith("torch.") and last in _TORCH_DRAWS:
        return not any(keyword.arg == "generator" for keyword in call.keywords)
    if last not in _SEEDED:
        return False
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    return not any(
        isinstance(node, ast.Name) and node.id == "SEED" for argument in arguments for node in ast.walk(argument)
    )


def _draws(tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    """Yield what in `tree` draws, or makes a generator, that does not come from SEED."""
    for _, full in _imports(tree):
        if full.split(".")[0] == "random":
            yield "the random module"
        elif full.startswith("numpy.random.") and full.split(".")[2] not in _NUMPY_RANDOM:
            yield full
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _unseeded(node, _full_name(node.func, names)):
            yield f"{ast.unparse(node)} without SEED"
        elif isinstance(node, ast.Attribute):
            full = _full_name(node, names)
            if full.startswith("numpy.random.") and full.split(".")[2].removesuffix("()") not in _NUMPY_RANDOM:
                yield f"{full}, NumPy's legacy global generator"


def seeds(notebook: Notebook) -> list[str]:
    """Exactly one cell is tagged ``seed`` and sets ``SEED``; nothing else sets a seed, or draws without one."""
    cells, tagged = code_cells(notebook), code_cells(notebook, tag="seed")
    trees = [_tree(cell) for cell in cells]
    names = {"np": "numpy", **dict(pair for tree in trees for pair in _imports(tree))}
    faults = [] if len(tagged) == 1 else [f"{len(tagged)} cells are tagged seed, not one"]
    for cell, tree in zip(cells, trees, strict=True):
        where = name_of(notebook, cell)
        stores = [
            n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "SEED" and isinstance(n.ctx, ast.Store)
        ]
        if cell in tagged and (len(SEED_LINE.findall(cell.source)), len(stores)) != (1, 1):
            faults.append(f"{where}: must have one line like 'SEED = 1', and change SEED nowhere else")
        if cell not in tagged and stores:
            faults.append(f"{where}: sets SEED without the tag seed")
        faults += [f"{where}: uses {what}" for what in _draws(tree, names)]
    return faults
