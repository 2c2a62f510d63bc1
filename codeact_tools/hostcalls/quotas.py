"""How many calls of a tool a run may make, how many a second, and how many at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from ..errors import ToolDenied
from ..events import LimitReached
from ..tools import ToolSpec


class Quotas:
    """Counts the calls of a run and lets them wait for their turn.

    Args:
        made: How many calls of each tool the run has made already.
        tell: Takes the event that a limit is reached.
    """

    def __init__(self, made: Mapping[str, int], tell: Callable[[LimitReached], None]) -> None:
        self._made = Counter(made)
        self._tell = tell
        self._turns: dict[str, float] = {}
        """When the next call of a tool with a rate may start."""
        self._places: dict[str, asyncio.Semaphore] = {}

    async def admit(self, spec: ToolSpec) -> None:
        """Count a call of a tool that may be called so often only, and let it wait for its turn.

        Raises:
            ToolDenied: There were so many already.
        """
        name, most, rate = spec.qualified, spec.options.calls, spec.options.rate
        if most is not None:
            self._made[name] += 1
            if self._made[name] > most:
                message = f"{name} may be called at most {most} times in a run, and was; go on without it."
                if self._made[name] == most + 1:
                    self._tell(LimitReached(limit=f"calls of {name}", message=message))
                raise ToolDenied(message)
        if rate is not None:
            now = time.monotonic()
            turn = max(now, self._turns.get(name, now))
            self._turns[name] = turn + 1 / rate
            await asyncio.sleep(turn - now)

    def place(self, spec: ToolSpec) -> AbstractAsyncContextManager[object]:
        """Entered while a call runs: one of the tool's places, where it has so many only."""
        if spec.concurrency is None:
            return nullcontext()
        return self._places.setdefault(spec.qualified, asyncio.Semaphore(spec.concurrency))
