"""What the tests of a sandbox share: which back end it is, what it can do, and sessions in it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

from ..events import Observation
from ..sandbox.base import GuestProcess, Limits, Sandbox, SandboxRequest
from ..sandbox.bridge import Bridge
from ..session import Session
from .contract_host import Host

LINK = "import gc\nlink = next(o for o in gc.get_objects() if type(o).__name__ == 'Link')\n"
"""An action that finds the guest's end of the bridge: the import policy is no boundary, and does not claim to be."""


class ContractBase:
    """The back end, and what it says of itself."""

    confined: ClassVar[bool] = True
    """Host files, environment, network and processes are out of reach, and memory is limited. A back end that says
    False is for tests only."""
    files: ClassVar[bool] = True
    """Actions can write files."""
    freezes: ClassVar[bool] = True
    """`GuestProcess.freeze` stops the guest's threads."""
    meters: ClassVar[bool] = True
    """The guest is a `MeteredGuest`, so ``Limits.cpu_seconds`` holds. Otherwise a session that asks for it is
    refused."""

    limits: ClassVar[dict[str, Any]] = {"seconds": 60, "grace_seconds": 30, "memory_mb": 512, "files_mb": 8}
    """Of the sessions in the tests."""

    def sandbox(self) -> Sandbox:
        """The back end under test, a new object each time."""
        raise NotImplementedError("a subclass of SandboxContract says which sandbox it tests: define sandbox()")

    @contextlib.contextmanager
    def session(self, host: Host | None = None, on_event: Any = None, **limits: Any) -> Iterator[Session]:
        """An open session with the tools of the tests."""
        with Session(
            tools=(host or Host()).tools,
            sandbox=self.sandbox(),
            check="off",
            allow_imports=["*"],
            limits={**self.limits, **limits},
            on_event=on_event,
        ) as session:
            yield session

    @contextlib.asynccontextmanager
    async def guest(self, **limits: Any) -> AsyncIterator[tuple[GuestProcess, Bridge]]:
        """A guest without tools, and the bridge to it."""
        chosen = Limits(**{**self.limits, **limits})
        process = await self.sandbox().open(SandboxRequest(limits=chosen))
        bridge = Bridge(process, chosen)
        try:
            await bridge.start({"tools": [], "types": []}, allow_imports=["*"])
            yield process, bridge
        finally:
            await bridge.close()

    def expect(self, session: Session, code: str, result: str | None) -> Observation:
        """The action ends without an error, and its last expression is ``result``."""
        seen = session.run(code)
        assert seen.error is None, f"{code!r} failed: {seen.text}"
        assert seen.result == result, f"{code!r} gave {seen.result}, not {result}"
        return seen

    def need(self, capability: bool, what: str) -> None:
        """Skip the test where the back end says that it lacks something."""
        if not capability:
            import pytest

            pytest.skip(f"this back end says that it has no {what}")

    def expect_limit(self, session: Session, code: str, limit: str, *, state_lost: bool) -> None:
        """The action is stopped by the limit."""
        self.is_limit(session.run(code), limit, state_lost=state_lost)

    def is_limit(self, seen: Observation, limit: str, *, state_lost: bool) -> None:
        """The action was stopped by the limit."""
        error = seen.error
        assert error is not None, f"it was not stopped: {seen.text}"
        assert (error.kind, error.name, error.state_lost) == ("limit", limit, state_lost), error

    @staticmethod
    def run(test: Coroutine[Any, Any, None]) -> None:
        """Run an asynchronous test."""
        asyncio.run(test)

    @staticmethod
    def soon(condition: Any, seconds: float = 30.0) -> bool:
        """Whether the condition comes true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def held() -> tuple[int, int]:
    """Descriptors and child processes of this process, where the system tells."""
    gc.collect()
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        return 0, 0
    children = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return len(list(descriptors.iterdir())), sum(map(len, children))
