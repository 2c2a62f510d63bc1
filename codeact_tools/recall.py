"""Answers the calls of an action that runs again from the record of the first time: no tool runs twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .errors import RunDiverged
from .journal import PastAction, PastCall, identity

QUIET_SECONDS: Final = 1.0
"""How long a call that the record does not have waits for those that it has: parallel calls arrive in any order."""


class RecordedTool(NamedTuple):
    """What a journal knows of a tool whose code is not there."""

    parameters: tuple[str, ...]
    secrets: frozenset[str]


@dataclass(frozen=True, slots=True)
class RecordedTools:
    """The tools of a run as its journal has them: enough to answer its calls, and no others."""

    manifest: Mapping[str, Any]
    """What the guest has to know to build the module ``tools``."""
    tools: Mapping[str, RecordedTool]

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> RecordedTools:
        """Read them out of a run's configuration."""
        manifest = configuration.get("manifest", {"tools": [], "types": []})
        described = configuration.get("tools", {})
        return cls(
            manifest,
            {
                tool["qualified"]: RecordedTool(
                    tuple(parameter["name"] for parameter in tool["params"]),
                    frozenset(described.get(tool["qualified"], {}).get("secrets", ())),
                )
                for tool in manifest["tools"]
            },
        )


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

    def diverged(self, calls: str | None = None) -> RunDiverged:
        """The error that says so: the action calls ``calls``, or nothing more, where the record has something else."""
        left = ", ".join(f"{call.record.tool} (call {call.key})" for call in self.left[:3]) or "no further call"
        now = f"it calls {calls} with arguments that the record does not have" if calls else "it makes fewer calls"
        return RunDiverged(
            f"Action {self.number} went another way than the first time: {now}; the record has {left}. Clocks, random "
            "numbers and changed code do that. The run is left as it is, and nothing was called twice."
        )
