"""Guests for tests: a real child process that runs the guest, and a handler that answers its calls with functions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.bridge import Bridge, CallRefused, Outcome, Stream
from codeact_tools.signatures import Catalog
from codeact_tools.testing.unconfined import UnconfinedSandbox
from codeact_tools.wire import Codec

Answer = Callable[..., Any]


def entry(name: str, *params: str, kind: str = "function", toolkit: str | None = None, **more: Any) -> dict[str, Any]:
    """A tool of a manifest, with parameters like ``"limit: int"``."""
    parameters = [
        {"name": text.partition(":")[0], "kind": "positional_or_keyword", "annotation": text.partition(": ")[2]}
        for text in params
    ]
    return {
        "name": name,
        "toolkit": toolkit,
        "qualified": f"{toolkit}.{name}" if toolkit else name,
        "kind": kind,
        "params": parameters,
        "returns": "object",
        "doc": "",
        **more,
    }


class Answers:
    """A call handler made of plain functions by tool name; coroutines and async generators are what they are."""

    def __init__(self, functions: Mapping[str, Answer], codec: Codec) -> None:
        self._functions = functions
        self._codec = codec
        self.printed: list[tuple[str, str]] = []
        self.received: list[tuple[str, list[Any], dict[str, Any]]] = []

    @property
    def stdout(self) -> str:
        """What the action printed."""
        return "".join(text for stream, text in self.printed if stream == "stdout")

    @property
    def stderr(self) -> str:
        """What the action printed as errors."""
        return "".join(text for stream, text in self.printed if stream == "stderr")

    async def call(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:  # noqa: A002
        """Decode, call, encode."""
        values = [self._codec.decode(value) for value in args]
        named = {name: self._codec.decode(value) for name, value in kwargs.items()}
        self.received.append((tool, values, named))
        if tool not in self._functions:
            raise CallRefused("ToolDenied", f"no tool {tool}")
        result = self._functions[tool](*values, **named)
        if hasattr(result, "__aiter__"):
            return Stream(self._items(result))
        if hasattr(result, "__await__"):
            result = await result
        return self._codec.encode(result)

    async def _items(self, values: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for value in values:
                yield self._codec.encode(value)
        finally:
            await values.aclose()  # type: ignore[attr-defined]

    def on_output(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Keep it."""
        self.printed.append((stream, text))


class Guest:
    """A running guest and its answers."""

    def __init__(self, bridge: Bridge, answers: Answers) -> None:
        self.bridge = bridge
        self.answers = answers

    async def __call__(self, code: str) -> Outcome:
        """Run an action."""
        self.answers.printed.clear()
        return await self.bridge.execute(code, handler=self.answers)


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for what sends no event, for so long at most that no load of the machine explains it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.002)


@asynccontextmanager
async def running(
    tools: Sequence[dict[str, Any]] = (),
    functions: Mapping[str, Answer] | None = None,
    *,
    types: Sequence[dict[str, Any]] = (),
    catalog: Catalog | None = None,
    allow_imports: Sequence[str] = (),
    **limits: Any,
) -> AsyncIterator[Guest]:
    """A guest that serves the tools, with time enough on a busy machine; it is killed in the end."""
    limits = {"seconds": 60.0, "grace_seconds": 30.0, **limits}
    process = await UnconfinedSandbox().open(SandboxRequest(limits=Limits(**limits)))
    bridge = Bridge(process, Limits(**limits))
    try:
        await bridge.start({"tools": list(tools), "types": list(types)}, allow_imports=allow_imports, seed=1)
        yield Guest(bridge, Answers(functions or {}, Codec(catalog or Catalog())))
    finally:
        await bridge.close()
