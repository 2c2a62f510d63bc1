"""Actions in Monty: it stops at each call of a tool, and goes on with the answer that the host gives."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import enum
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

import pydantic_monty

from ..wire import encode_frame
from .base import Limits
from .clocks import process_cpu_seconds
from .guest.classes import build_class
from .guest.display import cut, show
from .guest.errors import ERRORS
from .guest.records import Handle, Record
from .guest.scalars import WireError
from .guest.values import Codec

_PIECE: Final = 16_384
_LONGEST_SLEEP: Final = 3600.0
_MOST_SHOWN: Final = 1 << 22
"""Characters of a value that is shown."""
_NOTE: Final = (
    "[this sandbox runs a subset of Python: no class inheritance, yield, del, enum, files or packages; "
    "the exceptions of tools are RuntimeError]\n"
)
_BASES: Final[Mapping[str, type[Exception]]] = {"InvalidCall": TypeError, "ToolTimeout": TimeoutError}
"""What the errors of calls are in there; the others are `RuntimeError`."""


class Interpreter:
    """The session's variables, and what happens to one action."""

    def __init__(self, init: Mapping[str, Any], limits: Limits, post: Callable[[bytes], None]) -> None:
        self._limits = limits
        self._post = post
        self._echo_limit: int = init["echo_limit"]
        self._codec = Codec()
        self._classes: dict[str, Any] = {}
        self._prelude: list[str] = []
        self._tools: dict[str, Mapping[str, Any]] = {}
        self._calls = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._interrupted = False
        self._note = _NOTE
        self._left = self._dropped = 0
        self._worker: int | None = None
        self._session: pydantic_monty.AsyncMontySession
        for error in ERRORS:
            self._codec.register(error.__name__, error, "")
            self._prelude.append(f"{error.__name__} = {_BASES.get(error.__name__, RuntimeError).__name__}")
        for entry in init["manifest"]["types"]:
            self._add_type(entry)
        for entry in init["manifest"]["tools"]:
            self._tools.update({entry["name"]: entry, f"tools.{entry['name']}": entry})
            self._tools[f"tools.{entry['qualified']}"] = entry

    def _add_type(self, entry: Mapping[str, Any]) -> None:
        cls = build_class(dict(entry), self._codec)
        self._codec.register(entry["name"], cls, entry["kind"])
        if entry["kind"] == "exception":
            self._prelude.append(f"{entry['name']} = RuntimeError")
        elif entry["kind"] == "import":
            self._prelude.append(f"from {entry['base']} import {entry['name']}")
        elif isinstance(cls, type):
            self._classes[entry["name"]] = cls

    async def open(self, pool: pydantic_monty.AsyncMonty, exits: contextlib.AsyncExitStack) -> None:
        """Take the pool's process."""
        limits: pydantic_monty.ResourceLimits = {
            "max_memory": self._limits.memory_mb << 20,
            "max_feed_duration_secs": self._limits.seconds + 2 * self._limits.grace_seconds + 1,
            "max_suspensions": 1 << 31,  # calls are counted on the host
        }
        checkout = pool.checkout(limits=limits, external_modules={"tools": self._module("tools.")})
        self._session = await exits.enter_async_context(checkout)
        self._worker = self._session.worker_pid
        for line in self._prelude:
            with contextlib.suppress(pydantic_monty.MontyRuntimeError):  # a class that Monty does not have
                await self._session.feed_run(line)

    def _module(self, prefix: str) -> pydantic_monty.ExternalModule:
        names = [name.removeprefix(prefix) for name in self._tools if name.startswith(prefix)]
        attributes: dict[str, Any] = {name: _never_called for name in names if "." not in name}
        for toolkit in {name.partition(".")[0] for name in names if "." in name}:
            attributes[toolkit] = self._module(f"{prefix}{toolkit}.")
        return pydantic_monty.ExternalModule(attributes)

    # ---- one action --------------------------------------------------------------------------------------------------

    async def run(self, code: str) -> dict[str, Any]:
        """Run one action; return what the ``done`` message says about it."""
        self._interrupted = False
        self._left, self._dropped = self._limits.output_kb * 1024, 0
        result, assigned, error = None, None, None
        if self._note:
            self._print("stderr", self._note)
            self._note = ""
        before = self._left
        try:
            value = await self._drive(code)
            assigned = _assigned(code) if value is None and self._left == before else None
            if assigned is not None:
                result = self._shown(await self._session.feed_run(assigned))
            elif value is not None:
                result = self._shown(value)
        except pydantic_monty.MontyCrashedError:
            raise
        except pydantic_monty.MontyError as failure:
            error = _described(failure)
        finally:
            self._replies.clear()
        return {"result": result, "assigned": assigned, "error": error, "files": [], "dropped": self._dropped}

    def _shown(self, value: Any) -> str:
        try:
            if is_small(value, _MOST_SHOWN):
                return show(value, self._echo_limit)
            return f"<{type(value).__name__} that is too large to show>"
        except (ValueError, RecursionError) as error:  # a number with more digits than Python prints, deep nesting
            return f"<{type(value).__name__} that cannot be shown: {error}>"

    async def _drive(self, code: str) -> Any:
        """Run the code to its end, and answer whenever it stops to ask."""
        waiting: dict[int, asyncio.Task[pydantic_monty.ExternalSettledResult]] = {}
        names = {name: _never_called for name in self._tools if "." not in name}
        lookup = {**names, **{name: self._shown_class(cls) for name, cls in self._classes.items()}}
        step: Any = await self._session.feed_start(code, external_lookup=lookup, print_callback=self._print)
        try:
            while not isinstance(step, pydantic_monty.MontyComplete):
                if isinstance(step, pydantic_monty.AsyncFutureSnapshot):
                    tasks = [waiting[number] for number in step.pending_call_ids]
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    done = [number for number in step.pending_call_ids if waiting[number].done()]
                    step = await step.resume({number: waiting.pop(number).result() for number in done})
                elif isinstance(step, pydantic_monty.AsyncFunctionSnapshot):
                    answer = self._answer(step)
                    if answer is None:
                        step = await step.resume_auto()
                    elif self._tools.get(step.function_name, {}).get("kind") == "coroutine":
                        waiting[step.call_id] = asyncio.ensure_future(answer)
                        step = await step.resume({"future": ...})
                    else:
                        step = await step.resume(await answer)
                else:
                    step = await step.resume_auto()
        finally:
            for task in waiting.values():
                task.cancel()
        return step.output

    def _answer(self, step: pydantic_monty.AsyncFunctionSnapshot) -> Any:
        name = step.function_name
        if name == "system.sleep":
            return self._sleep(-1 - step.call_id, float(step.args[0]))
        if step.is_os_function or step.object_id is not None:
            return None
        if name in self._tools:
            return self._call(self._tools[name], step.args, step.kwargs)
        if name in self._classes:
            return self._construct(self._classes[name], step.args, step.kwargs)
        return _raising(NameError(f"name {name!r} is not defined"))

    async def _sleep(self, number: int, seconds: float) -> pydantic_monty.ExternalSettledResult:
        await asyncio.wait([self._expect(number)], timeout=min(seconds, _LONGEST_SLEEP))
        return {"exception": KeyboardInterrupt()} if self._interrupted else {"return_value": None}

    async def _construct(
        self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> pydantic_monty.ExternalSettledResult:
        try:
            return {"return_value": _into(cls(*args, **kwargs))}
        except (TypeError, ValueError) as error:
            return {"exception": type(error)(str(error))}

    # ---- calls -------------------------------------------------------------------------------------------------------

    async def _call(
        self, tool: Mapping[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> pydantic_monty.ExternalSettledResult:
        too_large: pydantic_monty.ExternalSettledResult = {
            "exception": TypeError(f"{tool['qualified']}(): the arguments are larger than a message may be")
        }
        if not is_small([args, kwargs], self._limits.frame_kb * 1024):
            return too_large
        try:
            values = [self._codec.encode(value) for value in args]
            named = {name: self._codec.encode(value) for name, value in kwargs.items()}
        except WireError as error:
            return {"exception": TypeError(f"{tool['qualified']}(): {''.join(reversed(error.path))} {error}")}
        number = self._calls + 1
        message = {"op": "call", "id": number, "tool": tool["qualified"], "args": values, "kwargs": named}
        frame = encode_frame(message)
        if len(frame) > self._limits.frame_kb * 1024:
            return too_large
        self._calls = number
        reply = self._expect(number)
        self._post(frame)
        answer = await reply
        if answer["op"] != "return" or not _is_stream(answer["value"]):
            return self._settled(answer)
        items: list[Any] = []
        while True:
            reply = self._expect(number)
            self._post(encode_frame({"op": "next", "call": number}))
            answer = await reply
            if answer["op"] == "end":
                return {"return_value": items}
            if answer["op"] != "item":
                return self._settled(answer)
            items.append(_into(self._codec.decode(answer["value"])))

    def _expect(self, call: int) -> asyncio.Future[dict[str, Any]]:
        self._replies[call] = reply = asyncio.get_running_loop().create_future()
        return reply

    def _settled(self, answer: Mapping[str, Any]) -> pydantic_monty.ExternalSettledResult:
        if answer["op"] == "interrupt":
            return {"exception": KeyboardInterrupt()}
        if answer["op"] == "raise":
            kind = _BASES.get(answer["type"])
            if kind is not None:
                return {"exception": kind(answer["message"])}
            return {"exception": RuntimeError(f"{answer['type']}: {answer['message']}")}
        return {"return_value": _into(self._codec.decode(answer["value"]))}

    def take(self, message: Mapping[str, Any]) -> None:
        """Hand an answer of the host to the call that waits for it."""
        reply = self._replies.get(message["call"])
        if reply is not None and not reply.done():
            reply.set_result(dict(message))

    def interrupt(self) -> None:
        """Let everything that the action waits for end with ``KeyboardInterrupt``."""
        self._interrupted = True
        for reply in self._replies.values():
            if not reply.done():
                reply.set_result({"op": "interrupt"})

    def cpu_seconds(self) -> float | None:
        """CPU time of the process, where the system tells."""
        return None if self._worker is None else process_cpu_seconds(self._worker)

    def kill(self) -> None:
        """End the process, which may be in the middle of something."""
        if self._worker is not None:
            with contextlib.suppress(OSError):  # it has ended
                os.kill(self._worker, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)

    async def bury(self) -> None:
        """Wait for the process that `kill` ended: nobody else does for one that was in the middle of something."""
        if self._worker is None or os.name == "nt":
            return
        with contextlib.suppress(ChildProcessError):  # somebody did
            for _ in range(100):
                if os.waitpid(self._worker, os.WNOHANG)[0]:  # noqa: ASYNC222 - it does not block
                    return
                await asyncio.sleep(0.01)

    def _print(self, stream: str, text: str) -> None:
        for start in range(0, len(text), _PIECE):
            piece = text[start : start + _PIECE]
            size = len(piece.encode("utf-8", "backslashreplace"))
            if size > self._left:
                self._dropped += size
            else:
                self._left -= size
                self._post(encode_frame({"op": "out", "stream": stream, "text": piece}))

    def _shown_class(self, cls: Any) -> Any:
        if issubclass(cls, enum.Enum):
            return _Members(cls, eager_attrs=tuple(cls.__members__))
        return _never_called


class _Fields(pydantic_monty.ClassInstance):
    def convert_value(self, name: str, value: Any, /) -> Any:
        del name
        return _into(value)


class _Members(pydantic_monty.ClassType):
    def convert_value(self, name: str, value: Any, /) -> Any:
        del name
        return _into(value)


def is_small(value: Any, most: int) -> bool:
    """Whether the value has at most ``most`` characters when it is written out, each item taken for sixteen.

    One that holds the same list twice, which holds the same list twice, and so on, is small in memory alone.

    >>> shared = [1]
    >>> for _ in range(100):
    ...     shared = [shared, shared]
    >>> is_small(shared, 1_000_000)
    False
    """
    ahead = [value]
    while ahead:
        part = ahead.pop()
        if isinstance(part, str | bytes):
            most -= len(part)
        elif isinstance(part, list | tuple | set | frozenset | dict):
            most -= 16 * len(part)
        if most < 0:
            return False
        if isinstance(part, dict):
            ahead += part
            ahead += part.values()
        elif isinstance(part, list | tuple | set | frozenset):
            ahead += part
    return True


def _into(value: Any) -> Any:
    """The value as Monty takes it."""
    if isinstance(value, Record):
        return _Fields(value, eager_attrs="all")
    if isinstance(value, enum.Enum):
        return _Fields(value, eager_attrs=("name", "value"))
    if isinstance(value, Handle):
        return _Fields(value)
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(_into, value))
    if type(value) is dict:
        return {_into(key): _into(item) for key, item in value.items()}
    return value


def _never_called(*_args: object, **_kwargs: object) -> None:
    raise AssertionError("calls stop the interpreter and are answered from outside")


async def _raising(error: Exception) -> pydantic_monty.ExternalSettledResult:
    return {"exception": error}


def _is_stream(value: Any) -> bool:
    return type(value) is dict and value.get("$") == "iterator"


def _described(failure: pydantic_monty.MontyError) -> dict[str, Any]:
    error = failure.exception()
    shown = failure.display() if isinstance(failure, pydantic_monty.MontyRuntimeError) else str(failure)
    return {
        "type": type(error).__name__,
        "message": cut(str(error), 4000),
        "traceback": cut(shown, 12_000),
        "call": None,
    }


def _assigned(code: str) -> str | None:
    """The variable that the last statement assigns."""
    try:
        last = ast.parse(code).body[-1:]
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # Monty reads newer Python than this one
        return None
    if last and isinstance(last[0], ast.Assign) and isinstance(last[0].targets[0], ast.Name):
        return last[0].targets[0].id
    return None
