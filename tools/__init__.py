"""Scripts behind the verbs of the Makefile. Run one from the repository's root: ``python -m tools.run --help``."""

import sys

# Who reads a notebook imports jsonschema, which compiles 38 grammars of addresses for a second; no notebook needs one.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
