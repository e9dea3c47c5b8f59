"""Where the book lies, and how a file is replaced; what is imported in no time, unlike ``tools.notebooks``."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def replace_file(path: Path, content: bytes) -> bool:
    """Write `content` in one step, so that an interrupt leaves the old file or the new one; True if it changed."""
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return True
