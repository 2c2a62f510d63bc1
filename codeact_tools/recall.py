"""Answers the calls of an action that runs again from the record of the first time: no tool runs twice."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .errors import RunDiverged
from .journal import HIDDEN, PastAction, PastCall, fits, holds_hidden, identity

QUIET_SECONDS: Final = 1.0
"""How long a call that the record does not have waits for those that it has: parallel calls arrive in any order."""
LONGEST_WAIT: Final = 10.0
"""Seconds: calls that came late the first time are waited for as long as they took, but no longer than this."""


class RecordedTool(NamedTuple):
    """What is known of a tool's parameters, also where its code is not there."""

    parameters: tuple[tuple[str, str], ...] = ()
    """Their names and kinds."""
    secrets: frozenset[str] = frozenset()

    def hidden(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any], list[Any]]:
        """The arguments of a call without its secrets, and these."""
        places = [name for name, kind in self.parameters if kind.startswith("positional")]
        names = [*places[: len(args)], *[self._rest("var_positional")] * (len(args) - len(places))]
        found = [value for name, value in zip(names, args, strict=True) if name in self.secrets]
        shown = [HIDDEN if name in self.secrets else value for name, value in zip(names, args, strict=True)]
        named = self.hidden_names(kwargs)
        found += [kwargs[name] for name in named]
        return shown, {name: HIDDEN if name in named else value for name, value in kwargs.items()}, found

    def hidden_names(self, arguments: Mapping[str, Any]) -> set[str]:
        """Which of these names stand for secrets; those that no parameter has belong to ``**kwargs``."""
        known = {name for name, kind in self.parameters if kind != "var_keyword"}
        rest = self._rest("var_keyword") in self.secrets
        return {name for name in arguments if (name in self.secrets if name in known else rest)}

    def _rest(self, kind: str) -> str:
        return next((name for name, each in self.parameters if each == kind), "")


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
                    tuple((parameter["name"], parameter["kind"]) for parameter in tool["params"]),
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
        calls = action.calls
        if finished and action.observation is not None:  # an earlier attempt may have made others
            made = {call.id for call in action.observation.calls}
            calls = [call for call in calls if call.key in made]
        for call in calls:
            self._left[call.matches].append(call)
        answered = [call for call in calls if not {"value", "raise"}.isdisjoint(self._answer(call) or ())]
        self._due = deque(sorted(answered, key=lambda call: call.ended))
        """Calls that were answered the first time, in this order."""
        self._turns = {call.key: asyncio.Event() for call in self._due}
        """Set when all calls before this one are answered."""
        self._next_turn()
        self._started = time.monotonic()
        self._open = len(calls)
        self._progress = 0
        self._settled = asyncio.Event()
        if not self._open:
            self._settled.set()

    def take(self, tool: str, args: Sequence[Any], kwargs: dict[str, Any]) -> PastCall | None:
        """The recorded call with these arguments, which are as they came over the bridge, without declared secrets."""
        self._progress += 1
        args, kwargs = self._redact(list(args)), self._redact(kwargs)
        calls = self._left.get(identity(tool, args, kwargs)) or self._with_secrets(tool, args, kwargs)
        if not calls:
            return None
        self._open -= 1
        if not self._open:
            self._settled.set()
        return calls.popleft()

    def _with_secrets(self, tool: str, args: Any, kwargs: dict[str, Any]) -> deque[PastCall] | None:
        """Recorded calls that are the same but for secrets that are not known any longer."""
        for calls in self._left.values():
            recorded = [calls[0].args, calls[0].kwargs] if calls and calls[0].record.tool == tool else None
            if recorded is not None and holds_hidden(recorded) and fits(recorded, [args, kwargs]):
                return calls
        return None

    def knows_end(self, call: PastCall) -> bool:
        """Whether the record tells how the call ended."""
        return self._answer(call) is not None

    def _answer(self, call: PastCall) -> dict[str, Any] | None:
        return call.answer if self.finished else call.known

    async def in_turn(self, call: PastCall) -> None:
        """Wait until the calls that had been answered before this one are, so that parallel ones go the same way."""
        turn = self._turns.get(call.key)
        while turn is not None and not turn.is_set():
            if not await self._moves_on(turn):
                break

    def answered(self, call: PastCall) -> None:
        """The action gets its answer now."""
        self._progress += 1
        self._turns.pop(call.key, None)
        self._next_turn()

    def _next_turn(self) -> None:
        while self._due and self._due[0].key not in self._turns:
            self._due.popleft()
        if self._due:
            self._turns[self._due[0].key].set()

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
            if not await self._moves_on(self._settled):
                raise self.diverged(tool)
        if self.finished:
            raise self.diverged(tool)

    async def _moves_on(self, event: asyncio.Event) -> bool:
        """Wait for the event for a while; whether there is reason to go on waiting."""
        before = self._progress
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                await event.wait()
        except TimeoutError:
            return self._progress > before or time.monotonic() < self._started + self._last_came()
        return True

    def _last_came(self) -> float:
        """Seconds from the action's start to the last of the calls that are left."""
        return min(max((call.at for call in self.left), default=self.clock) - self.clock, LONGEST_WAIT)

    def diverged(self, calls: str | None = None) -> RunDiverged:
        """The error that says so: the action calls ``calls``, or nothing more, where the record has something else."""
        left = ", ".join(f"{call.record.tool} (call {call.key})" for call in self.left[:3]) or "no further call"
        now = f"it calls {calls} with arguments that the record does not have" if calls else "it makes fewer calls"
        return RunDiverged(
            f"Action {self.number} went another way than the first time: {now}; the record has {left}. Clocks, random "
            "numbers and changed code do that. The run is left as it is, and nothing was called twice."
        )
