"""What an audit answers: findings, each with its evidence and a repair as code, and the report that holds them.

What lives here prints, draws and exports; what is found is for ``findings``.
"""

from __future__ import annotations

import html
import json
import math
import re
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from .chapters import HARMLESS, TOLD, Told, address
from .statistics import Record

__all__ = ["KINDS", "SEVERITIES", "Finding", "Report"]

SEVERITIES = ("error", "warning", "info")
KINDS = tuple(TOLD)
_INDENT: Any = {"initial_indent": "  ", "subsequent_indent": "  "}


@dataclass(frozen=True)
class Finding:
    """One thing that an audit has found.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    layer : str
        Where it is, or where it is worst: a submodule's name, "inputs", "loss" or "network".
    severity : {"error", "warning", "info"}
        An error keeps the network from training as it should, a warning costs, an info changes how to read the rest.
    evidence : str
        What was measured, and what was expected.
    fix : str
        Python code in which ``model``, ``batch``, ``ini``, ``torch`` and ``rng`` are known; empty if there is nothing
        to do.
    layers : tuple of str
        All submodules that it concerns.
    tried : str
        What the fix did to a copy; why it is withheld, where `fix` is empty; empty if nothing was tried.
    """

    kind: str
    layer: str
    severity: str
    evidence: str
    fix: str = ""
    layers: tuple[str, ...] = ()
    tried: str = ""

    @property
    def plain(self) -> str:
        """What it means, for one who knows no theory."""
        return self._told().plain

    @property
    def chapter(self) -> int:
        """The number of the chapter that explains it."""
        return self._told().chapter

    @property
    def section(self) -> str:
        """The title of the section that explains it."""
        return self._told().section

    @property
    def page(self) -> str:
        """The section's place on the book's site, such as ``book/06_he.html#he-dead``."""
        return self._told().place

    @property
    def link(self) -> str | None:
        """The section's address; None as long as the site has none."""
        return f"{address()}/{self.page}" if address() else None

    def _told(self) -> Told:
        return (HARMLESS.get(self.kind) if self.severity == "info" else None) or TOLD[self.kind]

    def __str__(self) -> str:
        more = f" and {len(self.layers) - 1} more" if len(self.layers) > 1 else ""
        lines = [f"{self.severity}: {self.kind} at {self.layer}{more}"]
        lines += textwrap.wrap(f"{self.plain} (Chapter {self.chapter}, {self.section})", 88, **_INDENT)
        lines += [f"  {self.link}"] if self.link else []
        lines += textwrap.wrap(self.evidence, 88, **_INDENT)
        lines += [f"  | {line}" for line in self.fix.splitlines()]
        return "\n".join([*lines, *textwrap.wrap(self.tried, 88, **_INDENT)])


@dataclass(frozen=True)
class Report:
    """The diagnosis of one network: prints itself, draws itself with `plot`, and exports JSON.

    Attributes
    ----------
    model : str
        Class of the network.
    findings : list of Finding
        The gravest first; empty when all is well and nothing changes the reading.
    layers : tuple of Record
        What was measured, in the order of calls.
    loss : float or None
        The initial loss, if one was given.
    not_examined : tuple of str
        What an audit of this network cannot tell, or could not measure.
    """

    model: str
    findings: list[Finding]
    layers: tuple[Record, ...]
    loss: float | None = None
    not_examined: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether there is no error and no warning."""
        return all(finding.severity == "info" for finding in self.findings)

    def kinds(self, *severities: str) -> list[str]:
        """Return the kinds found, errors and warnings without other wish, each once."""
        wanted = severities or SEVERITIES[:2]
        return list(dict.fromkeys(finding.kind for finding in self.findings if finding.severity in wanted))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain lists, dicts, strings and numbers; what is not finite as None."""
        found: dict[str, Any] = _plain(asdict(self))
        for plain, finding in zip(found["findings"], self.findings, strict=True):
            plain |= {name: getattr(finding, name) for name in ("plain", "chapter", "section", "page", "link")}
        return found | {"healthy": self.healthy}

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def plot(self) -> Any:
        """Draw signal and gradient against depth, with the layers of errors and warnings marked.

        Returns
        -------
        matplotlib Figure
        """
        from .pictures import audit as draw  # a result draws itself when asked to

        return draw(self)

    def __str__(self) -> str:
        counts = [(sum(finding.severity == name for finding in self.findings), name) for name in SEVERITIES]
        said = ", ".join(f"{n} {name}{'s' * (n > 1 and name != 'info')}" for n, name in counts if n)
        head = f"{self.model}, {len(self.layers)} layers: {said or 'nothing found'}"
        rest = textwrap.wrap(f"not examined: {'; '.join(self.not_examined)}", 90) if self.not_examined else []
        return "\n".join([head, *map(str, self.findings), *rest])

    __repr__ = __str__

    def _repr_html_(self) -> str | None:
        """Return the text with its addresses as links; None, so that the text is shown, where there are none."""
        if not address():
            return None
        text = html.escape(str(self))
        for link in {html.escape(finding.link or "") for finding in self.findings}:
            text = re.sub(rf"^  {re.escape(link)}$", f'  <a href="{link}">{link}</a>', text, flags=re.MULTILINE)
        return f"<pre>{text}</pre>"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
