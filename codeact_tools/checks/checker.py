"""`Checker`: the check of every action of a session, before anything of it runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Self

from ..registry import ToolRegistry
from ..rendering import render_stubs
from . import awaits, effects
from .arguments import ArgumentCheck
from .diagnostics import Translator
from .expected import is_expected
from .history import History, ambient_stubs
from .libraries import Libraries
from .moments import Moments
from .names import Names
from .nodes import Nodes
from .overloads import Overloads
from .policy import ImportPolicy
from .render import ranked
from .result import CheckResult
from .server import ServerUnavailable, TypeServer
from .source import Source, clipped, read
from .subscripts import Subscripts
from .typetext import is_inferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..events import Finding
    from .names import Scope
    from .server import Diagnostic


_READING_SECONDS: Final = 30.0
"""For the type checker to read large packages, in the background, before the first action."""
_PATIENCE: Final = 3
"""Failures in a row after which the type checker is not asked again, so that no action waits for it in vain."""


class Checker:
    """Checks the actions of one session, each against all that ran before it.

    ```python
    checker = Checker(ToolRegistry([search_orders]))
    result = await checker.check("search_orders('shoes', limit=500)")
    result.ok             # False
    print(result.render())
    ```

    No tool runs and no code of the action runs. The types are inferred by a warm `ty` process, which starts with the
    first check; where it is not installed, dies, or takes longer than its budget, the other steps still do their work,
    and the result says so in `CheckResult.degraded`.

    Args:
        registry: The tools that an action can use.
        allow_imports: Modules that it may import besides ``tools`` and ``typing``, with submodules; ``"*"`` for all.
        budget_seconds: How long the type check of one action may take.
        python_version: Of the interpreter that runs the action, e.g. ``"3.13"``; this one's by default.
        packages: Installed third-party packages whose modules the action may use: what these modules have, and how many
            arguments their functions take, is checked against the packages' own types.
        environment: Folder of the virtual environment that they are in; this interpreter's by default.
        ty: Path of the type checker's executable; that of the installed package by default.
    """

    def __init__(
        self,
        registry: ToolRegistry,
        *,
        allow_imports: Sequence[str] = (),
        budget_seconds: float = 3.0,
        python_version: str | None = None,
        packages: Sequence[str] = (),
        environment: str | None = None,
        ty: str | None = None,
    ) -> None:
        self.registry = registry
        self.budget_seconds = budget_seconds
        self._names = Names.of(registry)
        self._policy = ImportPolicy(self._names, allow_imports)
        self._history = History(self._names)
        version = python_version or f"{sys.version_info[0]}.{sys.version_info[1]}"
        stubs = {**render_stubs(registry), **ambient_stubs(self._names)}
        self._server = TypeServer(stubs, python_version=version, executable=ty)
        self._libraries = None
        if packages:
            self._libraries = Libraries(packages, environment, python_version=version, executable=ty)
        self._lock = threading.Lock()
        self._failures = 0
        self._refused: tuple[str, frozenset[str]] = ("", frozenset())
        """The last action that was checked, and its variables that hold what inference does not take them to hold."""

    async def prepare(self) -> None:
        """Start the type checker and let it read the tools, so that the first check is as fast as the others.

        Where that fails, the first check says so.
        """
        await asyncio.to_thread(self._warm)

    def _warm(self) -> None:
        if self._types(read("pass"), self._history.scope)[1] is None and self._libraries is not None:
            with self._lock, contextlib.suppress(ServerUnavailable):  # the first check that needs it says so
                self._libraries.prepare(seconds=_READING_SECONDS)

    async def check(self, code: str) -> CheckResult:
        """Check ``code`` as the session's next action."""
        return await asyncio.to_thread(self.check_sync, code)

    def check_sync(self, code: str) -> CheckResult:
        """`check`, for callers without an event loop."""
        started = time.perf_counter()
        source = read(code)
        if source.error is not None:
            return CheckResult(code=code, findings=(source.error,), seconds=time.perf_counter() - started)
        scope = self._history.scope.after(source.nodes)
        arguments = ArgumentCheck(source, scope)
        own: list[Finding] = [
            *clipped(source),
            *self._policy.findings(source),
            *awaits.missing(source, scope),
            *arguments.findings(),
        ]
        typed, degraded = self._types(source, scope)
        typed = [
            each for each in typed if (each.line, each.end_column) not in arguments.accepted or each.kind != "type"
        ]
        reached = effects.reachable(source.nodes, scope, self._history.carried)
        return CheckResult(
            code=source.code,
            findings=tuple(ranked([each for each in _merged(own, typed) if not is_expected(source, each)])),
            effects=tuple(sorted(reached)),
            seconds=time.perf_counter() - started,
            degraded=degraded,
        )

    def commit(
        self,
        code: str,
        *,
        failed: bool = False,
        failed_line: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Take over an action that ran: it is part of the session from now on.

        Args:
            code: What ran: `CheckResult.code`.
            failed: Whether it ended with an error. What it came to bind is then taken as bound to anything.
            failed_line: The line of the action where it failed, in its outermost frame; what stands before has run.
            variables: The names that exist in the interpreter now, where the sandbox tells, with the types of their
                values: ``int``, ``list[tools.Order]``, ``datetime.date``; any other text where nothing is known.
        """
        stopped = failed_line if failed_line is not None else 0 if failed else None
        refused = self._refused[1] if self._refused[0] == code else frozenset[str]()
        self._history.add(code, stopped_at=stopped, variables=variables, refused=refused)

    def forget(self) -> None:
        """Start over: the session's interpreter is a new one, and nothing is bound in it."""
        self._history.clear()

    async def aclose(self) -> None:
        """End the type checker's process, also under a check that is still running; idempotent."""
        self._interrupt()
        try:
            await asyncio.to_thread(self.close)
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """`aclose`, for callers without an event loop."""
        self._interrupt()
        with self._lock:
            for server in self._servers:
                server.close()

    @property
    def _servers(self) -> list[TypeServer]:
        return [self._server, *([self._libraries.server] if self._libraries is not None else [])]

    def _interrupt(self) -> None:
        for server in self._servers:
            server.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _types(self, source: Source, scope: Scope) -> tuple[list[Finding], str | None]:
        if self._failures >= _PATIENCE:
            return [], f"Actions are checked without types: the type checker ty failed {_PATIENCE} times in a row."
        try:
            diagnostics = self._diagnose(source)
            used = self._used(source)
        except ServerUnavailable as reason:
            self._failures += 1
            return [], f"Actions are checked without types: {reason}."
        self._failures = 0
        facts = self._history.facts.after(source.nodes)
        if not (diagnostics or facts.refused or facts.changing or Moments.may_matter(source)):
            return used, None
        nodes = Nodes(source, facts, self._history.bound)
        found = used
        try:
            subscripts = Subscripts(source, nodes, diagnostics)
            if (question := subscripts.question()) is not None:
                diagnostics = subscripts.certain(self._asked(question, source))
            found = [*Translator(source, scope, facts, nodes).findings(diagnostics), *used]
            self._refused = (source.code, nodes.refused)
            overloads = Overloads(source, scope, nodes, diagnostics)
            if (question := overloads.question()) is not None:
                found += overloads.findings(self._asked(question, source))
            moments = Moments(source, scope, nodes)
            if (question := moments.question()) is not None:
                found += moments.findings(self._asked(question, source))
        except ServerUnavailable as reason:
            return found, f"Actions are checked without types: {reason}."
        return found, None

    def _asked(self, question: str, source: Source) -> list[Diagnostic]:
        with self._lock:
            cells = [*self._history.cells_for(source.tree.body), question]
            return self._server.diagnose(cells, seconds=self.budget_seconds)

    def _used(self, source: Source) -> list[Finding]:
        if self._libraries is None:
            return []
        with self._lock:
            facts = self._history.facts.after(source.nodes)
            return self._libraries.findings(source, facts, seconds=self.budget_seconds)

    def _diagnose(self, source: Source) -> list[Diagnostic]:
        with self._lock:
            self._settle(source)
            return self._server.diagnose(
                [*self._history.cells_for(source.tree.body), source.cell], seconds=self.budget_seconds
            )

    def _settle(self, source: Source) -> None:
        """Ask what inference knows of the containers that the action uses; where nothing, their runtime type counts."""
        names = self._history.doubtful(source.tree.body)
        if not names:
            return
        asked = "\n".join(f"reveal_type({name})" for name in names)
        statements = read(asked).tree.body
        answers = self._server.diagnose([*self._history.cells_for(statements), asked], seconds=self.budget_seconds)
        revealed = {each.line: each.message for each in answers if each.rule == "revealed-type"}
        for line, name in enumerate(names):
            self._history.settle(name, inferred=is_inferred(revealed.get(line, "")))


def check_code(
    code: str,
    tools: ToolRegistry | Iterable[object],
    *,
    allow_imports: Sequence[str] = (),
    before: Sequence[str] = (),
) -> CheckResult:
    """Check one piece of code against ``tools``, as the next action after those of ``before``.

    For many checks keep a `Checker`: it holds a warm process.
    """
    registry = tools if isinstance(tools, ToolRegistry) else ToolRegistry(tools)
    with Checker(registry, allow_imports=allow_imports) as checker:
        for action in before:
            checker.commit(action)
        return checker.check_sync(code)


def _merged(own: list[Finding], typed: list[Finding]) -> list[Finding]:
    """Both, each place once: the type check's word on plain types, the host's on everything else."""
    wrong_type = {_end(each) for each in typed if each.kind == "type" and "Literal[" not in each.message}
    kept = [each for each in own if each.kind != "constraint" or _end(each) not in wrong_type]
    places = {_end(each) for each in kept} | {(each.line, each.column) for each in kept}
    awaited = {each.line for each in kept if each.kind == "await"}
    for each in typed:
        if {_end(each), (each.line, each.column)} & places or (each.kind == "await" and each.line in awaited):
            continue
        kept.append(each)
        places |= {_end(each), (each.line, each.column)}
    return kept


def _end(finding: Finding) -> tuple[int, int]:
    """Where a finding ends: a keyword argument begins at its name for one step, and at its value for another."""
    return finding.line, -(finding.end_column or 0)
