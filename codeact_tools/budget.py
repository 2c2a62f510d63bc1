"""What a run may use, and what it has used so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from .errors import ConfigurationError, RunLimitReached
from .events import Event, LimitReached, Usage
from .observing import first_problem


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class RunLimits:
    """What one run may use, over all its turns; None: any amount.

    >>> RunLimits(tokens=50_000, seconds=120).cost is None
    True
    """

    tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens that the model read and wrote; checked before each reply."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Wall time; the run is cancelled then, wherever it is."""
    cost: Annotated[float, Field(gt=0)] | None = None
    """In the currency in which the endpoint reports it; where it reports none, this limit does nothing."""


_RUN_LIMITS: TypeAdapter[RunLimits] = TypeAdapter(RunLimits)


def read_limits(limits: RunLimits | Mapping[str, Any] | None) -> RunLimits:
    """The limits as an agent takes them.

    Raises:
        ConfigurationError: They name something else, or have values out of range.
    """
    if isinstance(limits, RunLimits):
        return limits
    try:
        return _RUN_LIMITS.validate_python(dict(limits or {}))
    except (ValidationError, TypeError) as error:
        known = ", ".join(RunLimits.__dataclass_fields__)
        raise ConfigurationError(
            f"run_limits={limits!r} cannot be used: {first_problem(error)}. Known: {known}."
        ) from error


class Budget:
    """Counts what one run uses, from now on, and stops it where that is too much.

    Args:
        limits: What it may use.
        spent: What it used before it was resumed.
        tell: Is told of a limit that was reached.
    """

    def __init__(self, limits: RunLimits, *, spent: Iterable[Usage] = (), tell: Callable[[Event], None]) -> None:
        self._limits = limits
        self._spent = sum(spent, Usage())
        self._tell = tell
        self._started = time.perf_counter()

    @property
    def used(self) -> Usage:
        """All that was used so far."""
        return self._spent.model_copy(update={"seconds": time.perf_counter() - self._started})

    def spend(self, usage: Usage) -> None:
        """Count what a reply took."""
        self._spent += usage

    def check(self) -> None:
        """Stop where tokens or cost are used up.

        Raises:
            RunLimitReached: They are.
        """
        limits, used = self._limits, self._spent
        tokens = used.prompt_tokens + used.completion_tokens
        if limits.tokens is not None and tokens >= limits.tokens:
            raise self._used_up("tokens", f"{limits.tokens:,} tokens ({tokens:,} so far)")
        if limits.cost is not None and used.cost is not None and used.cost >= limits.cost:
            raise self._used_up("cost", f"cost of {limits.cost:g} ({used.cost:g} so far)")

    async def in_time(self, solving: Coroutine[Any, Any, Any]) -> Any:
        """Wait for the answer, as long as the run may take.

        Raises:
            RunLimitReached: There is none by then.
        """
        seconds = self._limits.seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                return await solving
        except TimeoutError:
            if not limit.expired():
                raise
        raise self._used_up("seconds", f"{seconds:g} seconds")

    def _used_up(self, limit: str, what: str) -> RunLimitReached:
        message = f"The run used up its {what} before it had an answer. Allow more (run_limits), and resume it."
        self._tell(LimitReached(limit=limit, message=message))
        return RunLimitReached(message)
