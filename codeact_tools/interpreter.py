"""The interpreter that a session's actions share: a guest in a sandbox, and what has run in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .errors import ConfigurationError
from .history import ActionHistory
from .sandbox.base import ResumingSandbox, Sandbox, SandboxRequest
from .sandbox.bridge import Bridge

_STATE_LOST: Final = "The interpreter was restarted: variables of earlier actions are gone; define again what you need."


class Interpreter:
    """Started where it is needed, suspended and taken up again, and replaced by a fresh one where it is lost.

    Args:
        sandbox: Where the guest runs.
        request: What it needs there.
        history: What has run.
        manifest: Makes what the guest has to know of the tools.
        allow_imports: Modules that actions may import besides ``tools``.
        seed: Of the actions' random numbers; None: other ones each time.
        suspended: What `suspend` returned: go on there.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        request: SandboxRequest,
        history: ActionHistory,
        *,
        manifest: Callable[[], Mapping[str, Any]],
        allow_imports: Sequence[str],
        seed: int | None,
        suspended: Mapping[str, Any] | None,
    ) -> None:
        self.sandbox = sandbox
        self.history = history
        self.description = sandbox.name
        """The back end and its mode, e.g. ``local (jail)``; its bare name before it is open."""
        self.notice: str | None = None
        """What the model has to know before it reads what the next action did."""
        self._request = request
        self._manifest = manifest
        self._allow_imports = allow_imports
        self._seed = seed
        self._suspended = suspended
        self._bridge: Bridge | None = None

    async def opened(self) -> Bridge:
        """The bridge to the guest, which is started where it does not run.

        Raises:
            SandboxUnavailable: It cannot be started.
        """
        if self._bridge is not None:
            return self._bridge
        self.history.prepare()
        suspended, self._suspended = self._suspended, None
        self._bridge = await (self._start() if suspended is None else self._take_up(suspended))
        return self._bridge

    async def _start(self) -> Bridge:
        process = await self.sandbox.open(self._request)
        bridge = Bridge(process, self._request.limits)
        try:
            await bridge.start(self._manifest(), allow_imports=self._allow_imports, seed=self._seed)
        except BaseException:
            await bridge.close()
            raise
        self.description = process.description
        return bridge

    async def _take_up(self, suspended: Mapping[str, Any]) -> Bridge:
        if not isinstance(self.sandbox, ResumingSandbox):
            raise ConfigurationError(
                f"resume= needs the sandbox that was suspended, and {self.description} resumes none."
            )
        process = await self.sandbox.resume(suspended["guest"])
        bridge = Bridge(process, self._request.limits)
        self.description = process.description
        bridge.resume(suspended)
        self.history.restore(suspended["ran"])
        return bridge

    async def suspend(self) -> dict[str, Any]:
        """Pause the sandbox, which keeps all; plain data by which another one takes it up.

        Raises:
            ConfigurationError: The sandbox cannot be suspended; it goes on.
        """
        suspended = await (await self.opened()).suspend()
        self._bridge = None
        return {**suspended, "ran": self.history.ran}

    async def discard(self) -> None:
        """Drop a guest that is gone; the next action starts a fresh one and says so."""
        self.notice = _STATE_LOST
        self.history.forget()
        await self._end()

    async def aclose(self) -> None:
        """End the guest and all that it started; idempotent."""
        try:
            await self._end()
        finally:
            await self.history.aclose()

    async def _end(self) -> None:
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            await bridge.close()
