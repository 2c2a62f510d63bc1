"""The import policy: what an action may import, and what to use instead of the rest."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING, Final

from ..vocabulary import ALWAYS_IMPORTABLE
from .names import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..events import Finding
    from .names import Names
    from .source import Source

_PURPOSES: Final = {
    ("requests", "httpx", "urllib", "urllib3", "aiohttp", "http", "bs4", "selenium", "playwright"): (
        "fetch",
        "http",
        "url",
        "web",
        "download",
        "page",
        "browse",
        "request",
    ),
    ("os", "pathlib", "shutil", "glob", "io"): ("file", "files", "folder", "directory", "path"),
    ("sqlite3", "sqlalchemy", "psycopg", "psycopg2", "pymysql"): ("sql", "query", "database", "table"),
    ("subprocess", "sh", "pexpect"): ("shell", "command", "process", "run"),
    ("smtplib", "email", "imaplib"): ("email", "mail", "message", "send"),
    ("datetime", "time", "calendar", "dateutil", "pytz"): ("date", "time", "clock", "today", "now", "calendar"),
    ("wikipedia", "wikipediaapi", "duckduckgo_search", "googlesearch"): ("search", "wikipedia", "wiki"),
    ("yfinance", "forex_python"): ("stock", "quote", "price", "currency", "convert", "exchange"),
    ("geopy", "googlemaps"): ("location", "map", "geocode", "distance", "route"),
    ("pandas", "csv", "openpyxl"): ("csv", "table", "spreadsheet", "excel"),
}

_CALENDARS: Final = frozenset({"dateutil", "pendulum", "arrow", "pytz"})
"""Packages for what the standard library's dates do, too."""


class ImportPolicy:
    """Which modules an action may import: the tools, `ALWAYS_IMPORTABLE`, and those allowed with their submodules."""

    def __init__(self, names: Names, allowed: Sequence[str]) -> None:
        self._names = names
        self._allowed = tuple(allowed)

    def allows(self, module: str) -> bool:
        """Whether ``module`` may be imported."""
        if "*" in self._allowed:
            return True
        return any(module == each or module.startswith(f"{each}.") for each in (*ALWAYS_IMPORTABLE, *self._allowed))

    def findings(self, source: Source) -> Iterator[Finding]:
        """Imports that the policy refuses, and names that ``tools`` does not have."""
        for node in source.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._module(source, alias, alias.name, (alias.asname or alias.name,))
            elif isinstance(node, ast.ImportFrom):
                if node.level:
                    yield source.finding(node, "import", "Relative imports do not exist here.", self._importable())
                elif node.module:
                    yield from self._from(source, node, node.module)

    def _from(self, source: Source, node: ast.ImportFrom, module: str) -> Iterator[Finding]:
        wanted = tuple(alias.name for alias in node.names)
        refused = list(self._module(source, node, module, wanted))
        yield from refused
        top, _, toolkit = module.partition(".")
        if refused or top != "tools":
            return
        exports = self._names.exports(toolkit or None)
        for alias in node.names:
            if alias.name != "*" and alias.name not in exports:
                message = f"`{module}` has no {alias.name!r}."
                yield source.finding(alias, "import", message, self._instead_of_name(alias.name, exports))

    def _module(
        self, source: Source, node: ast.ImportFrom | ast.alias, module: str, wanted: tuple[str, ...]
    ) -> Iterator[Finding]:
        top, _, rest = module.partition(".")
        if top == "tools":
            if rest and rest not in self._names.toolkits:
                yield source.finding(
                    node, "import", f"There is no module {module!r}.", self._instead_of_toolkit(rest, wanted)
                )
        elif not self.allows(module):
            yield source.finding(node, "import", f"{module!r} cannot be imported.", self._instead_of(module, wanted))

    def _importable(self) -> str:
        modules = [
            "tools",
            *(f"tools.{name}" for name in sorted(self._names.toolkits)),
            *(module for module in ALWAYS_IMPORTABLE if module not in ("tools", "__future__")),
            *sorted(self._allowed),
        ]
        return f"Importable: {', '.join(modules)}."

    def _instead_of_name(self, name: str, exports: Iterable[str]) -> str:
        for path in self._names.specs:
            toolkit, _, short = path.rpartition(".")
            if short == name and toolkit:
                return f"It is in `tools.{toolkit}`; every tool can be used without an import."
        meant = nearest(name, exports)
        return f"Did you mean {meant!r}?" if meant else f"It has: {_shortened(exports)}."

    def _instead_of_toolkit(self, toolkit: str, wanted: tuple[str, ...]) -> str:
        bound = [name for name in wanted if name in self._names.bound]
        if bound:
            return f"{_and(bound)} can be used without an import."
        meant = nearest(toolkit, self._names.toolkits)
        return f"Did you mean `tools.{meant}`?" if meant else self._importable()

    def _instead_of(self, module: str, wanted: tuple[str, ...]) -> str:
        bound = [name for name in wanted if name in self._names.bound]
        if bound and len(bound) == len(wanted):
            return f"{_and(bound)} can be used without an import: leave this line out."
        parts = []
        if module.partition(".")[0] in _CALENDARS and {"date", "timedelta"} <= self._names.bound:
            parts.append("Use `date(2027, 2, 1)` and `timedelta(days=...)` instead, which need no import.")
        if bound:
            parts.append(f"{_and(bound)} can be used without an import.")
        foreign = module.partition(".")[0] not in sys.stdlib_module_names
        if tools := self._tools_for(module):
            installed = "Nothing can be installed. " if foreign else ""
            parts.append(f"{installed}Write the action without it: {tools} may do what you need.")
        elif foreign:
            meant = nearest(module, [*self._allowed, *(f"tools.{name}" for name in self._names.toolkits)])
            if meant and meant != "*":
                parts.append(f"Did you mean {meant!r}?")
        return " ".join([*parts, self._importable()])

    def _tools_for(self, module: str) -> str:
        """The tools whose name or summary speaks of what ``module`` is for, at most two."""
        words = set(re.split(r"[._]", module.lower()))
        for modules, purposes in _PURPOSES.items():
            if module.partition(".")[0] in modules:
                words.update(purposes)
        ranked = []
        for path, spec in self._names.specs.items():
            if path != spec.qualified:
                continue
            named = words & set(re.split(r"[^a-z0-9]+", spec.name.lower()))
            told = words & set(re.split(r"[^a-z0-9]+", spec.summary.lower()))
            if named or told:
                ranked.append((-2 * len(named) - len(told), path, spec))
        return " or ".join(f"`{spec.signature(constraints=False)}`" for _, _, spec in sorted(ranked)[:2])


def _and(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _shortened(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")
