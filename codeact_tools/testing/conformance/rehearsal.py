"""A tool's examples performed as actions perform them: arguments bound, results validated, every call noted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..._portal import Portal
from ...context import ToolContext
from ...docgen.examples import Policy, Run, run_code, run_examples, runs_examples, same_output
from ...errors import CodeActError, InvalidCall, InvalidResult, ToolError, ToolFailed, ToolTimeout
from ...invocation import invoke
from ...registry import ToolRegistry
from ...specs import BoundCall, ToolSpec
from ...tools import Demonstration
from .edges import edge_values
from .folders import changed_since, snapshot
from .guard import Deed, Guard, Kind

MOST_ITEMS: Final = 100
"""Of a stream, that are looked at."""
_END: Final = object()


@dataclass(kw_only=True, slots=True, eq=False)
class Call:
    """A call that an example made, or a probe."""

    spec: ToolSpec
    bound: BoundCall
    results: list[Any] = field(default_factory=list)
    """What came back: one value, or the items of a stream."""
    error: Exception | None = None

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={_short(value)}" for name, value in self.bound.arguments.items())
        return f"{self.spec.qualified}({shown})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """What came of a tool's examples, and of the calls that were made after their pattern."""

    spec: ToolSpec
    ran: bool
    """Whether the examples were allowed to run."""
    runs: tuple[tuple[Run, ...], ...]
    calls: tuple[Call, ...]
    """Of the examples."""
    probes: tuple[Call, ...]
    """Those that failed in a way that the tool does not declare."""
    deeds: tuple[Deed, ...]
    """What it did beyond its declared effects."""
    workers: int = 0
    """How many Python processes it started, which no guard sees into."""


def rehearse(
    registry: ToolRegistry,
    spec: ToolSpec,
    *,
    policy: Policy,
    hosts: tuple[str, ...],
    probe_seconds: float,
    folder: Path | None = None,
) -> Rehearsal:
    """Run the examples of one tool under a guard, then call it with edge values in the place of each argument.

    Only tools that change nothing and reach out to nothing are probed.

    Args:
        registry: All tools of its toolkit, which its examples may call as actions do.
        spec: The tool.
        policy: Which examples run.
        hosts: What the toolkit declares to reach.
        probe_seconds: After which a probe counts as failed.
        folder: Where the examples work; a tool that only reads leaves it as it was, whatever wrote to it.
    """
    if not runs_examples(spec, policy):
        return Rehearsal(spec=spec, ran=False, runs=run_examples(spec, policy="none"), calls=(), probes=(), deeds=())
    with Portal() as portal:
        before = snapshot(folder)
        with Guard(allow=_allowed(spec), hosts=hosts) as guard:
            stage = _Stage(registry, portal)
            runs = run_examples(spec, policy=policy, names=stage.names)
            calls = tuple(stage.calls)
            probes = tuple(stage.probed(spec, probe_seconds)) if runs_examples(spec, "safe") else ()
        changed = [] if "write" in _allowed(spec) else changed_since(before, snapshot(folder))
    deeds = (*guard.deeds, *(Deed(kind="write", what=f"leaves {name!r} changed") for name in changed))
    return Rehearsal(spec=spec, ran=True, runs=runs, calls=calls, probes=probes, deeds=deeds, workers=guard.workers)


def _allowed(spec: ToolSpec) -> set[Kind]:
    allowed: set[Kind] = set() if spec.effects.read_only else {"write", "process", "environment"}
    return allowed | ({"network"} if spec.effects.open_world else set())


def perform_demonstration(registry: ToolRegistry, demonstration: Demonstration) -> Iterator[Run]:
    """Run the steps of a demonstration as far as they go, as actions that share their variables.

    Args:
        registry: The tools of its toolkit.
        demonstration: What the toolkit shows to models.

    Yields:
        Each step that ran; the first that fails or prints something else is the last.
    """
    types = {name: each.python for name, each in registry.catalog.types.items()}
    with Portal() as portal, asyncio.Runner() as runner:
        names = {**types, **_Stage(registry, portal).names}
        for code, output in demonstration.steps:
            printed, error = run_code(code, names, runner, mode="exec")
            if error is not None:
                printed += f"{type(error).__name__}: {error}"
            run = Run(source=code, want=output, got=printed, matches=same_output(output, printed))
            yield run
            if error is not None or not run.matches:
                return


class _Stage:
    """The tools of a registry as callables that note each call, with one state as a session has it."""

    def __init__(self, registry: ToolRegistry, portal: Portal) -> None:
        self.calls: list[Call] = []
        self._portal = portal
        self._state: dict[str, Any] = {}
        self.names: dict[str, object] = {}
        for spec in registry.specs:
            performed = self._performed(spec)
            self.names |= {spec.name: performed, spec.declared_name or spec.name: performed}

    def probed(self, spec: ToolSpec, seconds: float) -> Iterator[Call]:
        """Call the tool as its examples do, with one argument at a time replaced."""
        patterns = [call for call in self.calls if call.spec is spec and call.error is None][:2]
        for pattern in patterns:
            for parameter in spec.parameters:
                for value in edge_values(parameter.type):
                    probe = self._probe(spec, {**pattern.bound.arguments, parameter.name: value}, seconds)
                    if probe is not None:
                        yield probe

    def _probe(self, spec: ToolSpec, arguments: dict[str, Any], seconds: float) -> Call | None:
        """The call where it failed in a way that the tool does not declare; else None."""
        kinds = {each.name: each.kind for each in spec.parameters}
        if {"var_positional", "var_keyword"} & {*kinds.values()}:
            return None
        args = [arguments[name] for name, kind in kinds.items() if kind == "positional_only" and name in arguments]
        kwargs = {name: value for name, value in arguments.items() if kinds[name] != "positional_only"}
        try:
            bound = spec.bind(args, kwargs)
        except InvalidCall:
            return None
        except ToolError as error:
            return Call(spec=spec, bound=BoundCall((), arguments, arguments), error=error)
        expected: tuple[type[BaseException], ...] = (InvalidCall, *declared(spec))
        try:
            self._portal.run(self._within(spec, bound, seconds))
        except (ToolFailed, ToolTimeout, InvalidResult) as error:
            return Call(spec=spec, bound=bound, error=error)
        except TimeoutError:
            slow = ToolTimeout(f"{spec.qualified} took longer than {seconds:g} s")
            return Call(spec=spec, bound=bound, error=slow)
        except expected:
            return None
        return None

    async def _within(self, spec: ToolSpec, bound: BoundCall, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            outcome = await invoke(spec, bound, self._context(spec))
            if not spec.streams:
                spec.check_result(outcome)
                return
            number = 0
            async for item in outcome:
                spec.check_item(item)
                number += 1
                if number == MOST_ITEMS:
                    break
            await outcome.aclose()

    def _context(self, spec: ToolSpec) -> ToolContext:
        return ToolContext(tool=spec.qualified, config=spec.config, state=self._state)

    def _performed(self, spec: ToolSpec) -> Callable[..., Any]:
        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            call = Call(spec=spec, bound=spec.bind(args, kwargs))
            self.calls.append(call)
            return call

        async def answer(call: Call) -> Any:
            try:
                value = spec.check_result(await invoke(spec, call.bound, self._context(spec)))
            except Exception as error:
                call.error = error
                raise
            call.results.append(value)
            return value

        async def items(call: Call) -> AsyncGenerator[Any, None]:
            stream = await invoke(spec, call.bound, self._context(spec))
            try:
                async for item in stream:
                    checked = spec.check_item(item)
                    if len(call.results) < MOST_ITEMS:
                        call.results.append(checked)
                    yield checked
            except Exception as error:
                call.error = error
                raise
            finally:
                await stream.aclose()

        async def perform_async(*args: Any, **kwargs: Any) -> Any:
            return await answer(begin(args, kwargs))

        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            asynchronous = items(begin(args, kwargs))
            try:
                while (item := self._portal.run(_next(asynchronous))) is not _END:
                    yield item
            finally:
                self._portal.run(asynchronous.aclose())

        match spec.kind:
            case "coroutine":
                return perform_async
            case "generator":
                return stream
            case "async_generator":
                return lambda *args, **kwargs: items(begin(args, kwargs))
            case _:
                return lambda *args, **kwargs: self._portal.run(answer(begin(args, kwargs)))


async def _next(items: AsyncGenerator[Any, None]) -> Any:
    return await anext(items, _END)


def declared(spec: ToolSpec) -> tuple[type[BaseException], ...]:
    """The exceptions that a tool declares, as classes."""
    return tuple(each.exception for each in spec.raises if each.exception is not None)


def is_undeclared(error: Exception | None) -> bool:
    """Whether a call failed in a way that its tool does not declare."""
    return isinstance(error, ToolFailed | InvalidResult) or (
        isinstance(error, CodeActError) and not isinstance(error, InvalidCall)
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} characters)"
