"""A cell's source as Python: the one reading of it that both the marker and ``doctor`` go by.

What lives here executes nothing. It needs the standard library only: the sandbox loads it too.
"""

import types

_AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, without the import of ast: each submission would wait for it
_LINE_MAGIC = ("%", "!", "?")
_TRANSPARENT = ("time", "timeit", "capture", "prun")  # magics whose Python runs all the same


def plain_python(source: str) -> str:
    """Return a cell's source without IPython's magics, which only a notebook knows."""
    lines = source.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        if lines[first][2:].split(" ")[0].strip() not in _TRANSPARENT:
            return ""
        lines[first] = ""
    return "\n".join(_without_magic(line) for line in lines)


def _without_magic(line: str) -> str:
    body = line.lstrip()
    indent = line[: len(line) - len(body)]
    if body.startswith(("%time ", "%timeit ")):
        return indent + body.split(" ", 1)[1]
    return f"{indent}pass" if body.startswith(_LINE_MAGIC) or body.rstrip().endswith("?") else line


def readable(source: str) -> str:
    """Return what of a cell's source runs: all of it or, where that is no Python, what is left without magics.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        If Python cannot read that either.
    """
    try:
        compiled(source, "<cell>")
    except SyntaxError:
        plain = plain_python(source)
        if plain == source:
            raise
        compiled(plain, "<cell>")
        return plain
    return source


def compiled(source: str, name: str) -> types.CodeType:
    """Compile a cell as Jupyter does: with ``await`` outside functions, and with no future of this file's own."""
    return compile(source, name, "exec", flags=_AWAIT, dont_inherit=True)
