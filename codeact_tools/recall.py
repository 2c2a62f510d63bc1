"""Answers the calls of an action that runs again from the record of the first time: no tool runs twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from .errors import RunDiverged
from .journal import PastAction, PastCall, identity

QUIET_SECONDS: Final = 1.0
"""How long a call that the record does not have waits for those that it has: parallel calls arrive in any order."""


class Recall:
    """The recorded calls of one action; each is given once.

    Args:
        action: What is run again.
        finished: Whether it ran to its end the first time, so that the record has all its calls.
        redact: What took the secrets out of the record.
    """

    def __init__(self, action: PastAction, *, finished: bool, redact: Callable[[Any], Any]) -> None:
        self.number = action.number
        self.finished = finished
        self.clock = action.at
        """When it ran the first time; seconds since 1970."""
        self._redact = redact
        self._left: defaultdict[str, deque[PastCall]] = defaultdict(deque)
        for call in action.calls:
            self._left[call.matches].append(call)
        self._open = len(action.calls)
        self._progress = 0
        self._settled = asyncio.Event()
        if not self._open:
            self._settled.set()

    def take(self, tool: str, args: Sequence[Any], kwargs: dict[str, Any]) -> PastCall | None:
        """The recorded call with these arguments, which are as they came over the bridge, without declared secrets."""
        self._progress += 1
        calls = self._left.get(identity(tool, self._redact(list(args)), self._redact(kwargs)))
        if not calls:
            return None
        self._open -= 1
        if not self._open:
            self._settled.set()
        return calls.popleft()

    def knows_end(self, call: PastCall) -> bool:
        """Whether the record tells how the call ended."""
        return (call.answer if self.finished else call.known) is not None

    @property
    def left(self) -> list[PastCall]:
        """The recorded calls that were not made again."""
        return [call for calls in self._left.values() for call in calls]

    async def admit(self, tool: str) -> None:
        """Wait until the record is used up, so that a call which it does not have is a new one.

        Raises:
            RunDiverged: The action makes other calls than the first time.
        """
        while not self._settled.is_set():
            before = self._progress
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._settled.wait()
            except TimeoutError:
                if self._progress == before:
                    raise self.diverged(tool) from None
        if self.finished:
            raise self.diverged(tool)

    def diverged(self, what: str) -> RunDiverged:
        """The error that says so: the action calls ``what`` where the record has something else."""
        left = ", ".join(f"{call.record.tool} (call {call.key})" for call in self.left[:3]) or "no further call"
        return RunDiverged(
            f"Action {self.number} went another way than the first time: it calls {what} where the record has "
            f"{left}. Clocks, random numbers and changed code do that; the "
            "run is left as it is, and nothing was called twice."
        )
