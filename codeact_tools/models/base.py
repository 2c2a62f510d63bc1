"""The one protocol between the loop and a language model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..events import Usage

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a reply; the last one carries usage and the reason why the reply ended."""

    text: str = ""
    usage: Usage | None = None
    finish_reason: Literal["stop", "length"] | None = None


class Model(Protocol):
    """A chat model that streams.

    Implementations map every error of their libraries to `ModelError`, and stop generating when the iterator that
    `stream` returned is closed.
    """

    name: str
    """For people: ``Qwen2.5-Coder-1.5B-Instruct``."""

    dialect: str
    """Name of the dialect that suits the model, a key of `codeact_tools.dialects.DIALECTS`."""

    context_window: int | None
    """Tokens of prompt and reply together; None where it is not known."""

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[Delta]:
        """Yield the reply to ``messages`` as it is generated."""
        ...

    async def aclose(self) -> None:
        """Release what the model holds; it may be used again afterwards, at the price of loading again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What ``model="auto"`` or ``sandbox="auto"`` chose, and why, in one line."""

    name: str
    reason: str
    warnings: tuple[str, ...] = field(default=())
