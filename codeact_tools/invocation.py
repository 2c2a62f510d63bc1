"""Running a tool: dependencies, threads, timeouts, retries, and which of its exceptions the action sees."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from ._workers import run_in_worker
from .context import Depends, ToolContext
from .errors import CodeActError, ToolFailed, ToolTimeout
from .specs import BoundCall, ToolSpec

_EXHAUSTED: Final = object()


OnRetry = Callable[[int, Exception, float], None]
"""Told the attempt that failed (from 1), its error, and the seconds before the next one."""
LONGEST_BACKOFF: Final = 30.0
"""Seconds."""


async def invoke(spec: ToolSpec, bound: BoundCall, context: ToolContext, on_retry: OnRetry | None = None) -> Any:
    """Run a tool with validated arguments.

    A synchronous tool runs in a worker thread with the caller's context variables; an asynchronous one on the
    running loop. Of streamed kinds the result is an async iterator; closing it closes the tool's generator.

    Raises:
        ToolTimeout: It took longer than its timeout. A thread cannot be stopped: its late result is dropped.
        ToolFailed: It raised an exception that it does not declare, which is the ``__cause__``.
        Exception: It raised one that it declares.
    """
    if spec.streams:
        return _stream(spec, bound, context)
    for attempt in range(1, spec.retries + 2):
        try:
            async with _guarded(spec):
                return await _run_once(spec, bound, context)
        except Exception as error:
            if attempt > spec.retries or not _is_transient(spec, error):
                raise
            pause = min(spec.options.backoff * 2 ** (attempt - 1), LONGEST_BACKOFF) * random.uniform(0.8, 1.2)  # noqa: S311
            if on_retry is not None:
                on_retry(attempt, error, pause)
            await asyncio.sleep(pause)
    raise AssertionError("unreachable")


def _is_transient(spec: ToolSpec, error: Exception) -> bool:
    """Whether another attempt may go better: as the tool declares, else where it failed unexpectedly or timed out."""
    if isinstance(error, ToolTimeout):
        return True
    if spec.options.transient:
        cause = error.__cause__ if isinstance(error, ToolFailed) else error
        return isinstance(cause, spec.options.transient)
    return isinstance(error, ToolFailed)


def call_here(spec: ToolSpec, bound: BoundCall) -> Any:
    """Call the function of a `ToolSpec.plain` tool in this thread; an awaitable that it returns is returned as it is.

    Raises:
        ToolFailed: It raised an exception that it does not declare, which is the ``__cause__``.
        Exception: It raised one that it declares.
    """
    try:
        return spec.function(*bound.args, **bound.kwargs)
    except CodeActError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, _declared(spec)):
            raise
        raise _failed(spec, error) from error


async def finish_awaitable(spec: ToolSpec, value: Any) -> Any:
    """Wait for what a plain function returned, with the same exceptions as `call_here`."""
    try:
        return await value
    except CodeActError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, _declared(spec)):
            raise
        raise _failed(spec, error) from error


async def _run_once(spec: ToolSpec, bound: BoundCall, context: ToolContext) -> Any:
    async with AsyncExitStack() as stack, _timeout(spec):
        args, kwargs = await _with_injected(spec, bound, context, stack)
        if spec.kind == "coroutine":
            return await spec.function(*args, **kwargs)
        value = await in_thread(spec.function, *args, **kwargs)
        return await value if inspect.isawaitable(value) else value


@asynccontextmanager
async def _timeout(spec: ToolSpec) -> AsyncIterator[None]:
    """Give up after the tool's timeout; a TimeoutError of the tool itself stays what it is."""
    try:
        async with asyncio.timeout(spec.timeout) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ToolTimeout(f"{spec.qualified} took longer than {spec.timeout:g} s and was given up.") from error


async def _stream(spec: ToolSpec, bound: BoundCall, context: ToolContext) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack, _guarded(spec):
        args, kwargs = await _with_injected(spec, bound, context, stack)
        source = await _iterator(spec, args, kwargs)
        stack.push_async_callback(source.close)
        while True:
            async with _timeout(spec):
                item = await source.next()
            if item is _EXHAUSTED:
                return
            yield item


class _Source(NamedTuple):
    """Where the items of a stream come from."""

    next: Callable[[], Any]
    close: Callable[[], Any]


async def _iterator(spec: ToolSpec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Source:
    if spec.kind == "generator":
        items = iter(await in_thread(spec.function, *args, **kwargs))

        async def close() -> None:
            if hasattr(items, "close"):
                await in_thread(items.close)

        return _Source(lambda: in_thread(next, items, _EXHAUSTED), close)
    made = spec.function(*args, **kwargs)
    stream = aiter(await made if inspect.isawaitable(made) else made)

    async def aclose() -> None:
        if hasattr(stream, "aclose"):
            await stream.aclose()

    return _Source(lambda: anext(stream, _EXHAUSTED), aclose)


@asynccontextmanager
async def _guarded(spec: ToolSpec) -> AsyncIterator[None]:
    """Turn what the tool raises into what the action may see."""
    try:
        yield
    except CodeActError:
        raise
    except _declared(spec):
        raise
    except (Exception, SystemExit) as error:
        raise _failed(spec, error) from error


def _declared(spec: ToolSpec) -> tuple[type[BaseException], ...]:
    return tuple(each.exception for each in spec.raises if each.exception is not None)


def _failed(spec: ToolSpec, error: BaseException) -> ToolFailed:
    text = without_host_paths(str(error))
    return ToolFailed(f"{spec.qualified} failed: {type(error).__name__}{': ' if text else ''}{text}")


def without_host_paths(text: str) -> str:
    """Shorten absolute paths of this machine to their last part; what only looks like a path stays.

    >>> without_host_paths("cannot read /usr/lib/os-release from /v1/orders")
    'cannot read os-release from /v1/orders'
    """
    return _PATH.sub(lambda match: match[2] if Path(match[1]).exists() else match[0], text)


_PATH: Final = re.compile(r"(?<![\w.:/])(/[\w.+-]+|[A-Za-z]:\\[\w.+-]+)(?:[/\\][\w.+@-]+)*[/\\]([\w.+@-]+)")


async def _with_injected(
    spec: ToolSpec, bound: BoundCall, context: ToolContext, stack: AsyncExitStack
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The function's own arguments: the model's, and between them those that the host fills."""
    if not spec.injections:
        return bound.args, bound.kwargs
    injected: dict[str, Any] = {}
    config = spec.config if context.config is None else context.config
    context = replace(context, tool=spec.qualified, config=config)
    for parameter, source in spec.injections:
        injected[parameter] = context if source is None else await _resolve(source, context, stack)
    args: list[Any] = []
    given = list(bound.args)
    kwargs = dict(bound.kwargs)
    by_position = True
    for name, each in spec.call_signature.parameters.items():
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD):
            if name in injected and by_position:
                args.append(injected.pop(name))
            elif name not in injected and given:
                args.append(given.pop(0))
            else:
                by_position = False
    return (*args, *given), kwargs | injected


async def _resolve(dependency: Depends, context: ToolContext, stack: AsyncExitStack) -> Any:
    factory = dependency.factory
    arguments = (context,) if inspect.signature(factory).parameters else ()
    inner = inspect.unwrap(factory)  # differs where `contextmanager` has wrapped it already
    if inspect.isasyncgenfunction(inner):
        scope = asynccontextmanager(factory) if factory is inner else factory
        return await stack.enter_async_context(scope(*arguments))
    if inspect.isgeneratorfunction(inner):
        manager = (contextmanager(factory) if factory is inner else factory)(*arguments)
        value = await in_thread(manager.__enter__)

        async def leave(*details: Any) -> Any:
            return await in_thread(manager.__exit__, *details)

        stack.push_async_exit(leave)
        return value
    if inspect.iscoroutinefunction(factory):
        return await factory(*arguments)
    return await in_thread(factory, *arguments)


async def in_thread(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run ``function`` in a worker thread, with the current context variables."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def finish(value: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((value, error))

    def work() -> None:
        value, raised = None, None
        try:
            value = context.run(function, *args, **kwargs)
        except BaseException as error:
            raised = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits for this any longer
            loop.call_soon_threadsafe(finish, value, raised)

    run_in_worker(work)
    value, error = await done
    if error is not None:
        raise error
    return value
