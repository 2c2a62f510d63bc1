"""The one protocol between the loop and a language model."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from ..events import Choice, Usage

__all__ = ["Choice", "Delta", "Message", "Model", "Role", "Sampling", "plain_text", "until_stop"]

_CONTROL = re.compile(
    r"<(?=\|(?:im_start|im_end|endoftext|begin_of_text|end_of_text|start_header_id|end_header_id|eot_id)\|>)"
    r"|<(?=(?:start|end)_of_turn>)|\[(?=/?INST\])"
)

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the model chooses its tokens."""

    temperature: float = 0.0
    max_tokens: int = 1024
    """Most tokens of one reply."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """The reply ends at the first of these. Servers differ in whether they keep it; the loop accepts both."""
    grammar: str | None = None
    """What a reply may be, in GBNF, the notation of llama.cpp (see `codeact_tools.models.grammar`); None: anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a reply; the last one carries usage and the reason why the reply ended."""

    text: str = ""
    reasoning: str = ""
    """What a reasoning model thinks before it replies; no part of the reply."""
    usage: Usage | None = None
    finish_reason: Literal["stop", "length"] | None = None


class Model(Protocol):
    """A chat model that streams.

    Implementations map every error of their libraries to `ModelError`, and stop generating when the iterator that
    `stream` returned is closed. A model may also have what `codeact_tools.models.windows` asks for: ``context_tokens``
    and ``count``.
    """

    @property
    def name(self) -> str:
        """For people: ``Qwen2.5-Coder-1.5B-Instruct``."""
        ...

    @property
    def dialect(self) -> str:
        """Name of the dialect that suits the model, a key of `codeact_tools.dialects.DIALECTS`."""
        ...

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[Delta]:
        """Yield the reply to ``messages`` as it is generated."""
        ...

    async def aclose(self) -> None:
        """Release what the model holds; it may be used again afterwards, at the price of loading again."""
        ...


def plain_text(content: str) -> str:
    """Return ``content`` with the control tokens of chat templates taken apart.

    For back ends that fill in the template themselves: what a tool returned must not open a turn in another role.
    """
    return _CONTROL.sub(lambda found: f"{found[0]} ", content)


async def until_stop(deltas: AsyncIterator[Delta], stop: Sequence[str]) -> AsyncGenerator[Delta]:
    """Yield ``deltas`` up to the first of the strings in ``stop``, which is kept at the end of the text.

    For servers that ignore stop strings, and for those that keep them. Behind the stop string only the delta that
    carries the usage is awaited; if more text comes instead, the server ignores the stop, and ``deltas`` is closed.
    """
    tail, stopped = "", False
    longest = max(map(len, stop), default=1)
    async with contextlib.aclosing(cast("AsyncGenerator[Delta]", deltas)) as source:
        async for delta in source:
            if stopped:
                if delta.text:
                    yield Delta(finish_reason="stop")
                    return
                yield dataclasses.replace(delta, finish_reason="stop") if delta.finish_reason else delta
                continue
            text = tail + delta.text
            end = min((at + len(mark) for mark in stop if (at := text.find(mark)) >= 0), default=-1)
            if end < 0:
                tail = text[max(len(text) - longest + 1, 0) :]
                yield delta
                continue
            stopped = True
            yield dataclasses.replace(delta, text=text[len(tail) : end], finish_reason=delta.finish_reason and "stop")
