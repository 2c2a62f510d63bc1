"""The chunks of a streamed reply, out of the events in which a server sends them.

The format is that of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), read as
servers write it: with any line ends, comments, events that hold no data, and a last one that nothing ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A carriage return at the end of what has come may be the first half of a line end."""

_MOST_STRAY = 100_000
"""Bytes of a response that is no stream of events which are looked at for an error."""

_DRAIN = 0.5
"""Seconds for a response to end behind its last event, so that its connection can be used again."""


class ServerComplains(Exception):
    """A server reports an error where a part of the reply should be."""

    def __init__(self, message: str, body: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.body = body


async def chunks(source: AsyncIterator[bytes]) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield the chunks of a reply.

    Raises:
        ServerComplains: One of them is an error, or no chunk at all.
        ValueError: One of them is no JSON.
    """
    async with contextlib.aclosing(_events(source)) as events:
        async for data in events:
            if data.startswith("[DONE]"):
                break
            chunk = json.loads(data)
            if not isinstance(chunk, dict):
                raise ServerComplains(f"{data[:80]!r} is no part of a reply", {})
            if message := _complaint(chunk):
                raise ServerComplains(message, chunk)
            yield chunk
        else:
            return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN):
            async for _ in source:
                pass


async def _events(source: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """Yield what the events that hold any data hold."""
    rest, start, data, stray = b"", True, list[str](), b""
    async for piece in source:
        *lines, rest = _LINE_END.split(rest + piece)
        for line in lines:
            if start:
                line, start = line.removeprefix(b"\xef\xbb\xbf"), False
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" ").decode("utf-8", "replace"))
            elif line:
                stray += line if len(stray) < _MOST_STRAY else b""
            elif data:
                if whole := "\n".join(data).strip():
                    yield whole
                data.clear()
    if rest.startswith(b"data:"):
        data.append(rest[5:].strip().decode("utf-8", "replace"))
    else:
        stray += rest
    if whole := "\n".join(data).strip():
        yield whole
    elif stray.lstrip().startswith(b"{"):
        with contextlib.suppress(ValueError):
            if isinstance(body := json.loads(stray), dict) and (message := _complaint(body)):
                raise ServerComplains(message, body)


def _complaint(chunk: Mapping[str, Any]) -> str | None:
    """Return what went wrong, where ``chunk`` tells of that: OpenAI's form, that of TGI and Ollama, that of vLLM."""
    error = chunk.get("error")
    if isinstance(error, dict):
        error = error.get("message") or json.dumps(error)
    if not error and chunk.get("object") == "error":
        error = chunk.get("message")
    return str(error) if error else None
