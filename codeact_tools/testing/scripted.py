"""A model that says what it is told: for tests of agents, without weights and without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import ModelReplyError
from ..events import Usage
from ..models.base import Delta, Message, Sampling, until_stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ReplySource = str | BaseException | Callable[[Sequence[Message]], str]
"""One scripted reply: its text, an exception to raise, or a function of the conversation that returns the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    """What the model was asked."""

    messages: tuple[Message, ...]
    sampling: Sampling


class ScriptedModel:
    """Yields the given replies, one per call, in small pieces.

    Example:
        >>> model = ScriptedModel(["<execute>print(6 * 7)</execute>", "It is 42."])
        >>> # CodeActAgent(tools=[], model=model).run("What is 6 * 7?")

    A reply is a string, an exception (raised instead), or a function of the messages. After the last one, asking again
    raises `ModelReplyError`, so that a test notices one turn too many; ``repeat=True`` says the last one again instead.
    """

    def __init__(
        self,
        replies: Sequence[ReplySource],
        *,
        name: str = "scripted",
        dialect: str = "chat",
        context_tokens: int | None = None,
        chunk: int = 4,
        delay: float = 0.0,
        hang_after: int | None = None,
        fail_after: tuple[int, BaseException] | None = None,
        obey_stop: bool = True,
        finish_reason: Literal["stop", "length"] = "stop",
        repeat: bool = False,
    ) -> None:
        """Set the script.

        Args:
            replies: What to say, one per call.
            name: The model's name.
            dialect: Key of `DIALECTS`.
            context_tokens: Of prompt and reply together; not enforced.
            chunk: Characters of each piece.
            delay: Seconds before each piece.
            hang_after: After so many characters of a reply, wait until cancelled.
            fail_after: After so many characters of a reply, raise the exception.
            obey_stop: End at the sampling's stop strings, as a server does; False: go on as if there were none.
            finish_reason: ``"stop"``, or ``"length"`` for a reply that was cut off.
            repeat: Say the last reply again and again.
        """
        self.name = name
        self.dialect = dialect
        self.context_tokens = context_tokens
        self.calls: list[ScriptedCall] = []
        """What the model was asked, in order."""
        self.closed_early = 0
        """How many replies were abandoned before their end."""
        self.closed = False
        """Whether `aclose` was called."""
        self._replies = tuple(replies)
        self._chunk = max(1, chunk)
        self._delay = delay
        self._hang_after = hang_after
        self._fail_after = fail_after
        self._obey_stop = obey_stop
        self._finish_reason = finish_reason
        self._repeat = repeat

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[Delta]:
        """Yield the next reply."""
        self.calls.append(ScriptedCall(messages=tuple(messages), sampling=sampling))
        deltas = self._deltas(len(self.calls) - 1, messages)
        return until_stop(deltas, sampling.stop) if self._obey_stop else deltas

    async def aclose(self) -> None:
        """Note the call; there is nothing to release."""
        self.closed = True

    def _text(self, number: int, messages: Sequence[Message]) -> str:
        if self._repeat:
            number = min(number, len(self._replies) - 1)
        if not 0 <= number < len(self._replies):
            msg = f"the script has {len(self._replies)} replies and was asked for one more; pass more, or repeat=True"
            raise ModelReplyError(msg)
        reply = self._replies[number]
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, str) else reply(messages)

    async def _deltas(self, number: int, messages: Sequence[Message]) -> AsyncIterator[Delta]:
        text = self._text(number, messages)
        finished = False
        try:
            for start in range(0, len(text), self._chunk):
                await asyncio.sleep(self._delay)
                if self._fail_after is not None and start >= self._fail_after[0]:
                    raise self._fail_after[1]
                if self._hang_after is not None and start >= self._hang_after:
                    await asyncio.Event().wait()
                yield Delta(text=text[start : start + self._chunk])
            words = sum(len(message.content.split()) for message in messages)
            usage = Usage(prompt_tokens=words, completion_tokens=len(text.split()))
            finished = True
            yield Delta(usage=usage, finish_reason=self._finish_reason)
        finally:
            self.closed_early += not finished
