"""Attributes of third-party modules, and calls of their functions, against the types that the packages bring.

A library's types describe what its authors promise, not what its values are: stubs of tables and arrays leave so much
out that findings about values of a library would be wrong too often. So the session is checked with values of libraries
unknown, and only what a module has, and how many arguments its functions take, is asked of the package's own types.
That is asked apart from the session, with every argument of unknown type:

    numpy.zeros(5, dtyp=float)              # in the action
    numpy.zeros(unknown, dtyp=unknown)      # what is asked
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..sandbox.packages import find_packages
from .names import nearest
from .runtime import MODULE, STUB
from .server import TypeServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..events import Finding, FindingKind
    from .facts import Facts
    from .server import Diagnostic
    from .source import Source

_CALL_RULES: Final = {
    "missing-argument": "lacks an argument",
    "too-many-positional-arguments": "has too many positional arguments",
    "no-matching-overload": "has too few or too many arguments",
}
_MOST_PROBES: Final = 200


class Probe(NamedTuple):
    """A question to the package's types, and where it comes from."""

    text: str
    node: ast.expr | ast.alias
    path: str
    """Of the function or attribute, from its module's top."""


class Libraries:
    """The installed packages that an action may use, as far as they bring types.

    Args:
        packages: Distributions or modules.
        environment: Folder of the virtual environment that they are in; this interpreter's by default.
        python_version: Of the interpreter that runs the actions.
        executable: Path of ``ty``; that of the installed package by default.

    Raises:
        ConfigurationError: A package is not installed.
    """

    def __init__(
        self,
        packages: Sequence[str],
        environment: str | None = None,
        *,
        python_version: str,
        executable: str | None,
    ) -> None:
        found = find_packages(packages, environment)
        self._modules = {name: place for name in found.imports if (place := _readable(name, found.paths)) is not None}
        self._known: dict[str, Diagnostic | None] = {}
        self._listed: dict[str, list[str] | None] = {}
        stubs = {f"{MODULE}.pyi": STUB.replace("import tools as tools\n", "")}
        self.server = TypeServer(stubs, python_version=python_version, executable=executable, packages=found.paths)

    def prepare(self, *, seconds: float) -> None:
        """Let the type checker read the packages.

        Raises:
            ServerUnavailable: It cannot.
        """
        if self._modules:
            asked = "\n".join(f"import {name}\n{name}.__version__" for name in self._modules)
            self.server.diagnose([asked], seconds=seconds)

    def findings(self, source: Source, facts: Facts, *, seconds: float) -> list[Finding]:
        """What the action uses of the packages' modules that they do not have, and calls that surely fail.

        Raises:
            ServerUnavailable: The type checker does not answer.
        """
        modules = {name: path for name, path in facts.modules.items() if path.partition(".")[0] in self._modules}
        if not modules:
            return []
        certain = {name: path for name, path in modules.items() if name not in facts.assigned | facts.defined}
        probes = list(_probes(source, certain, self._modules))[:_MOST_PROBES]
        self._ask(probes, facts.imported, seconds)
        found = [
            self._finding(source, probe, diagnostic)
            for probe in probes
            if (diagnostic := self._known.get(probe.text)) is not None
        ]
        return [each for each in found if each is not None]

    def _ask(self, probes: Sequence[Probe], imported: set[str], seconds: float) -> None:
        asked = list(dict.fromkeys(probe.text for probe in probes if probe.text not in self._known))
        if not asked:
            return
        tops = sorted(name for name in imported if name.partition(".")[0] in self._modules)
        head = [f"import {name}" for name in tops] + [f"from {MODULE} import unknown"]
        answers = self.server.diagnose(["\n".join([*head, *asked])], seconds=seconds)
        first = {each.line: each for each in reversed(answers) if each.rule in {"missing-attribute", *_CALL_RULES}}
        for number, text in enumerate(asked):
            self._known[text] = first.get(len(head) + number)

    def _finding(self, source: Source, probe: Probe, each: Diagnostic) -> Finding | None:
        if each.rule in _CALL_RULES:
            if "=" in probe.text and each.rule == "no-matching-overload":
                return None  # stubs of overloads do not have every name right
            return source.finding(probe.node, "argument", f"The call of `{probe.path}` {_CALL_RULES[each.rule]}.")
        match = re.match(r"Module `(.+)` has no (?:attribute|member) `(\w+)`", each.message)
        if match is None or match[2] == "test" or self._is_submodule(match[1], match[2]):
            return None  # `test` runs the tests of numpy and its friends
        if "._" in f"{match[1]}.{match[2]}":
            return None  # types leave out what is private
        if match[1] not in self._listed:
            self._listed[match[1]] = self._members(match[1])
        if (members := self._listed[match[1]]) is None:
            return None
        meant = nearest(match[2], members)
        kind: FindingKind = "import" if isinstance(probe.node, ast.alias) else "attribute"
        hint = f"Did you mean {meant!r}?" if meant else None
        return source.finding(probe.node, kind, f"`{match[1]}` has no {match[2]!r}.", hint)

    def _place(self, module: str) -> Path:
        top, _, rest = module.partition(".")
        return self._modules[top].joinpath(*rest.split(".")) if rest else self._modules[top]

    def _is_submodule(self, module: str, name: str) -> bool:
        place = self._place(module) / name
        return place.is_dir() or any(place.parent.glob(f"{name}.*"))

    def _members(self, module: str) -> list[str] | None:
        """Names that the source of ``module`` shows, for a suggestion; None where it makes names as it runs."""
        place = self._place(module)
        for path in (
            place / "__init__.pyi",
            place.with_suffix(".pyi"),
            place / "__init__.py",
            place.with_suffix(".py"),
        ):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                if re.search(r"\bglobals\(\)|sys\.modules\[|\bsetattr\(", text):
                    return None
                tree = ast.parse(text)
                names = [alias for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) for alias in each.names]
                defined = [each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.ClassDef)]
                return [*defined, *(alias.asname or alias.name for alias in names)]
        return None


def _readable(module: str, paths: Sequence[str]) -> Path | None:
    """The folder where the type checker finds the package's modules: its stubs, or the package itself."""
    folders = {path.name: path for path in map(Path, paths) if path.is_dir()}
    return folders.get(f"{module}-stubs", folders.get(module))


def _probes(source: Source, names: dict[str, str], typed: dict[str, Path]) -> Iterator[Probe]:
    inner = {id(node.value) for node in source.nodes if isinstance(node, ast.Attribute)}
    calls = {id(node.func): node for node in source.nodes if isinstance(node, ast.Call)}
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in typed:
            for alias in node.names:
                if alias.name != "*":
                    yield Probe(f"{node.module}.{alias.name}", alias, f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in inner:
            path = _path(node, names)
            if path is None:
                continue
            arguments = _arguments(calls[id(node)]) if id(node) in calls else ""
            yield Probe(f"{path}{arguments}", node, path)


def _path(node: ast.expr, names: dict[str, str]) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(parts)])


def _arguments(call: ast.Call) -> str:
    """The call's arguments, each of unknown type; nothing where their number is not known."""
    if any(isinstance(each, ast.Starred) for each in call.args) or any(each.arg is None for each in call.keywords):
        return ""
    return f"({', '.join(['unknown'] * len(call.args) + [f'{each.arg}=unknown' for each in call.keywords])})"
