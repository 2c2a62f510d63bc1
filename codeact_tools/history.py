"""What has run in a session, and the check that reads each action in the light of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from .checks import Checker, CheckResult
from .sandbox.bridge import Outcome


class ActionHistory:
    """The actions of one interpreter, as the check knows them.

    Args:
        checker: Reads each action before it runs; None: nobody does.
    """

    def __init__(self, checker: Checker | None) -> None:
        self.checker = checker
        self.ran: list[dict[str, Any]] = []
        """The actions that ran, as plain data."""
        self.preparing: asyncio.Task[None] | None = None
        """Starts the type checker while the sandbox opens."""

    @property
    def variables(self) -> dict[str, str]:
        """The variables with the types of their values, as far as the guest tells."""
        return (self.ran[-1].get("variables") or {}) if self.ran else {}

    def prepare(self) -> None:
        """Start what the check needs, in the background."""
        if self.checker is not None and self.preparing is None:
            self.preparing = asyncio.create_task(self.checker.prepare())

    async def check(self, code: str) -> CheckResult | None:
        """What the check finds in an action that is to run next; None where there is no check."""
        return None if self.checker is None else await self.checker.check(code)

    def commit(self, code: str, outcome: Outcome | None) -> None:
        """Take in what ran: to its end, up to an error, or, where there is no outcome, nobody knows how far."""
        action: dict[str, Any] = {"code": code, "failed": True}
        if outcome is not None:
            line = outcome.error.line if outcome.error is not None else None
            names = None if outcome.names is None else dict(outcome.names)
            action |= {"failed": outcome.error is not None, "failed_line": line, "variables": names}
        self.restore([action])

    def restore(self, ran: Iterable[Mapping[str, Any]]) -> None:
        """Take in actions that ran elsewhere, as `ran` had them there."""
        for action in ran:
            self.ran.append(dict(action))
            if self.checker is not None:
                self.checker.commit(**action)

    def forget(self) -> None:
        """The interpreter is gone, and with it all that ran there."""
        self.ran.clear()
        if self.checker is not None:
            self.checker.forget()

    async def aclose(self) -> None:
        """End what the check started."""
        if self.checker is None:
            return
        if self.preparing is not None:
            self.preparing.cancel()
        await self.checker.aclose()
        if self.preparing is not None:
            await asyncio.wait([self.preparing])
