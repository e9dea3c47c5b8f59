"""The pages' own scripts: which there are, which page needs which, and how a module becomes what a page can load.

A source is a module, ``book/assets/x.mjs``: tests and Jupyter import it. A page that is opened as a file may load no
module, so what is published is ``x.js``, a classic script that is deferred: the same lines in a scope of their own,
without their exports. A source therefore has no import, no ``import.meta`` and no await outside of a function.
"""

import re
from pathlib import Path

from .files import replace_file

# Each with the text that a page which needs it has; "" is every page. They run in this order. One whose source is not
# there is left out.
SCRIPTS = {
    "reading": "",
    "previews": "",
    "controls": "",
    "enlarge": "<figure",
    "late": "<train-lab",
    "ledger": "<div class='ledger'>",
    "train-digits": "<train-lab",
    "train-lab": "<train-lab",
    "init-lab": "<init-lab",
    "curve-slider": "<curve-slider",
}

_REFUSED = {
    r"^\s*import\b(?=\s*[\w{*\"'])": "imports a module",
    r"\bimport\s*\(": "imports a module",
    r"^\s*export\b.*\bfrom\s*[\"']": "exports from another module",
    r"\bimport\s*\.\s*meta\b": "asks for import.meta",
    r"^(?!//|/\*|\s|.*\basync\b).*\bawait\b": "awaits outside of a function",
}
_EXPORTS = {
    r"^export default(?= )": "void",
    r"^export \{[^}]*\};?": "",
    r"^export (?=(?:async |const |let |var |class |function\b))": "",
}


def classic(module: str) -> str:
    """Return the classic script that does what a `module` does; each line stays on its line but for the first.

    Raises
    ------
    ValueError
        If the module has what only a module can do, or an export of a form that is not known here.

    Examples
    --------
    >>> print(classic("export const one = 1;"))
    (() => { "use strict";
    const one = 1;
    })();
    <BLANKLINE>
    """
    for pattern, what in _REFUSED.items():
        found = re.search(pattern, module, re.MULTILINE)
        if found:
            line = module.count("\n", 0, found.end()) + 1
            raise ValueError(f"line {line} {what}, which a page opened as a file cannot do: write it without")
    for pattern, instead in _EXPORTS.items():
        module = re.sub(
            pattern, lambda match, new=instead: new + "\n" * match[0].count("\n"), module, flags=re.MULTILINE
        )
    left = re.search(r"^export\b.*", module, re.MULTILINE)
    if left:
        raise ValueError(f"the export {left[0][:40]!r} has a form that tools/scripts.py does not know")
    return f'(() => {{ "use strict";\n{module.rstrip()}\n}})();\n'


def publish(sources: Path, folder: Path) -> list[str]:
    """Write each of `SCRIPTS` whose source is in `sources` into `folder`, and return the names of the files in order.

    Raises
    ------
    ValueError
        If a source cannot become a classic script.
    """
    made = []
    for name in SCRIPTS:
        source = sources / f"{name}.mjs"
        if not source.is_file():
            continue
        try:
            script = classic(source.read_text(encoding="utf-8"))
        except ValueError as fault:
            raise ValueError(f"{source.name}: {fault}") from fault
        replace_file(folder / f"{name}.js", script.encode("utf-8"))
        made.append(f"{name}.js")
    return made
