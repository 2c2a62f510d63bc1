"""Examples of docstrings, executed: what the pages show is what really came out."""

from __future__ import annotations

import ast
import asyncio
import doctest
import functools
import inspect
import io
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from types import CodeType, MappingProxyType
from typing import Any, Final, Literal

from ..context import ToolContext
from ..invocation import invoke
from ..specs import ToolSpec

Policy = Literal["safe", "all", "none"]
"""Which examples run: ``safe``: of tools that only read and reach out to nothing; ``all``; ``none``."""

_OPTIONS: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_FAILED: Final = "Traceback (most recent call last):"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One ``>>>`` statement of an example, and what became of it."""

    source: str
    """Without prompts."""
    want: str
    """The output that the docstring shows."""
    got: str | None
    """The output that came; None where the statement did not run."""
    matches: bool = True
    """Whether what came is what the docstring shows."""

    @property
    def output(self) -> str:
        """What a reader should see: the real output, or the written one where the statement did not run."""
        return self.want if self.got is None else self.got

    @property
    def transcript(self) -> str:
        """The statement with prompts, and its output."""
        first, *more = self.source.rstrip("\n").split("\n")
        lines = [f">>> {first}", *(f"... {line}".rstrip() for line in more), *self.output.rstrip("\n").split("\n")]
        return "\n".join(line for line in lines if line or self.output)


def runs_examples(spec: ToolSpec, policy: Policy) -> bool:
    """Whether ``policy`` lets the examples of a tool run."""
    return policy == "all" or (policy == "safe" and spec.effects.read_only and not spec.effects.open_world)


def run_examples(
    spec: ToolSpec, *, policy: Policy = "safe", names: Mapping[str, object] = MappingProxyType({})
) -> tuple[tuple[Run, ...], ...]:
    """Run the examples of a tool's docstring in its module's namespace; they share their variables, in order.

    A statement marked ``# doctest: +SKIP`` does not run. ``await`` works at the top level.

    Args:
        spec: The tool.
        policy: Whether its examples may run.
        names: Bound in place of the names of the function's module, and of the tool itself.

    Returns:
        For each example its statements.
    """
    parser = doctest.DocTestParser()
    parsed = [parser.get_examples(text) for text in spec.examples]
    if not parsed or not runs_examples(spec, policy):
        return tuple(tuple(_unrun(each) for each in examples) for examples in parsed)
    with asyncio.Runner() as runner:
        bound = {**_namespace(spec, runner), **names}
        return tuple(tuple(_run(each, bound, runner) for each in examples) for examples in parsed)


def _unrun(example: doctest.Example) -> Run:
    return Run(source=example.source, want=example.want, got=None)


def _run(example: doctest.Example, names: dict[str, Any], runner: asyncio.Runner) -> Run:
    if example.options.get(doctest.SKIP):
        return _unrun(example)
    flags = _OPTIONS
    for flag, is_set in example.options.items():
        flags = flags | flag if is_set else flags & ~flag
    printed, error = run_code(example.source, names, runner)
    check = doctest.OutputChecker().check_output
    if error is None:
        matches = example.exc_msg is None and check(example.want, printed, flags)
    else:
        raised = "".join(traceback.format_exception_only(error))
        matches = any(check(example.exc_msg or "", text, flags) for text in (raised, _unqualified(raised)))
        printed = f"{printed}{_FAILED}\n    ...\n{_unqualified(raised)}"
    return Run(source=example.source, want=example.want, got=printed, matches=matches)


def same_output(want: str, got: str) -> bool:
    """Whether an output is the expected one; ``...`` in what is expected stands for anything.

    >>> same_output("[1, ..., 9]", "[1, 2, 9]\\n")
    True
    """
    return doctest.OutputChecker().check_output(f"{want.rstrip()}\n", f"{got.rstrip()}\n", _OPTIONS)


def _unqualified(raised: str) -> str:
    """An error's text without the module of its class, which a reader need not know.

    >>> _unqualified("shop.errors.ShopClosed: since 18.00 h")
    'ShopClosed: since 18.00 h'
    """
    name, colon, message = raised.partition(":")
    return name.rpartition(".")[2] + colon + message


def run_code(
    source: str, names: dict[str, Any], runner: asyncio.Runner, *, mode: Literal["single", "exec"] = "single"
) -> tuple[str, Exception | None]:
    """Run code in the namespace ``names``; ``await`` works at the top level.

    Args:
        source: One statement, whose value is printed as an interpreter does it; any number where ``mode`` is ``exec``.
        names: The namespace.
        runner: Awaits.
        mode: As of `compile`.

    Returns:
        What it printed, and what it raised.
    """
    stream = io.StringIO()
    shown = sys.displayhook
    sys.displayhook = sys.__displayhook__
    try:
        with redirect_stdout(stream):
            code = compile(source, "<example>", mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            _evaluate(code, names, runner)
    except Exception as error:
        return stream.getvalue(), error
    finally:
        sys.displayhook = shown
    return stream.getvalue(), None


def _evaluate(code: CodeType, names: dict[str, Any], runner: asyncio.Runner) -> None:
    result = eval(code, names)  # noqa: S307 - an example of the toolkit's own docstring
    if code.co_flags & inspect.CO_COROUTINE:
        runner.run(_awaited(result))


async def _awaited(result: Awaitable[object]) -> None:
    await result


def _namespace(spec: ToolSpec, runner: asyncio.Runner) -> dict[str, Any]:
    """The names of the function's module, and the tool itself as an action calls it."""
    function = inspect.unwrap(getattr(spec.function, "func", spec.function))
    module = sys.modules.get(getattr(function, "__module__", ""))
    names = dict(vars(module)) if module is not None else {}
    callable_ = _injected(spec, runner) if spec.injections else spec.function
    return {**names, spec.name: callable_, spec.declared_name or spec.name: callable_, "__name__": "__examples__"}


def _injected(spec: ToolSpec, runner: asyncio.Runner) -> Callable[..., Any]:
    """The tool without the parameters that the host fills.

    A configuration with a method ``for_examples`` is asked for the one under which examples run.
    """

    @functools.cache
    def config() -> Any:
        for_examples = getattr(spec.config, "for_examples", None)
        return for_examples() if callable(for_examples) else spec.config

    async def call(*args: object, **kwargs: object) -> object:
        value = await invoke(spec, spec.bind(args, kwargs), ToolContext(tool=spec.qualified, config=config()))
        return iter([item async for item in value]) if spec.kind == "generator" else value

    return call if spec.kind == "coroutine" else lambda *args, **kwargs: runner.run(call(*args, **kwargs))
