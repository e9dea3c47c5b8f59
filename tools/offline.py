"""``make offline``: pack the built site into one file that reads without a network; the same pages, the same bytes."""

import sys
import zipfile
from pathlib import Path

from . import site
from .files import ROOT

NAME = "before-the-first-step"
ZIP = ROOT / "_build" / f"{NAME}.zip"
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file knows


def pack(pages: Path, target: Path) -> None:
    """Write the files of the folder `pages`, but for dot files, into `target`, in a folder of the same name."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(pages.rglob("*")):
            inside = path.relative_to(pages)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                entry = zipfile.ZipInfo(f"{target.stem}/{inside.as_posix()}", _DATE)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, path.read_bytes())


def main() -> int:
    if site.main():
        return 1
    pack(site.HTML, ZIP)
    print(f"\n{ZIP.relative_to(ROOT).as_posix()} has {ZIP.stat().st_size / 1e6:.1f} MB. Unzip it, and open its")
    print(f"index.html or serve it: python -m http.server --bind 127.0.0.1 --directory {NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
