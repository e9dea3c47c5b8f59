"""One Sphinx build of a folder, in a process of its own: ``python -m tools.sphinx_build FOLDER [PAGE...]``.

It is what ``jupyter-book build FOLDER -W -n --keep-going`` does, without what costs much of its time for nothing.
"""

import functools
import gc
import importlib.metadata
import sys
from pathlib import Path

gc.disable()  # a quarter of the time; the 300 MB that it would free are free when the process ends
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)  # pybtex asks for each citation
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # jsonschema would build its grammar: a second for no use

from jupyter_book.sphinx import build_sphinx  # noqa: E402


def main(root: Path, changed: list[str]) -> int:
    """Build the site of `root`, in which the pages `changed` are read again; return 1 if there was a warning."""
    done = build_sphinx(
        root,
        root / "_build" / "html",
        noconfig=True,
        path_config=root / "_config.yml",
        confoverrides={
            "nitpicky": True,
            "external_toc_path": str(root / "_toc.yml"),
            "latex_individualpages": False,
            "book_changed": changed,
        },
        warningiserror=True,
        keep_going=True,
    )
    return int(done != 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
