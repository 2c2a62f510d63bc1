"""What happens in a run, as it is recorded and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from .errors import JournalError
from .events import Event, RunFailed, TextDelta, Usage
from .journal import RunLog


class Chronicle:
    """Records each event of a run, then tells it to whoever listens.

    Args:
        log: Where the run is recorded; None: nowhere.
    """

    def __init__(self, log: RunLog | None) -> None:
        self.log = log
        self.listener: Callable[[Event], None] = lambda _: None
        self._begun = False
        self._held = ExitStack()
        """Nobody else goes on with the run meanwhile."""

    def begin(self, configuration: Mapping[str, Any], system_prompt: str) -> None:
        """Claim the run and record what it is made of, once.

        Raises:
            RunBusy: Somebody else goes on with it.
        """
        if self._begun or self.log is None:
            return
        self._held.enter_context(self.log.store.claim(self.log.run_id))
        self._begun = True
        if not self.log.records:
            self.log.opening(configuration)
        if self.log.records == 1:
            self.log.messages([("system", system_prompt)], closes_turn=False)

    def tell(self, event: Event, data: Mapping[str, Any] | None = None, *, durable: bool = False) -> None:
        """Record an event, with what resuming needs besides, and tell it; the pieces of a reply are only told."""
        if self.log is not None and self._begun and not isinstance(event, TextDelta):
            self.log.event(event, data, durable=durable)
        self.listener(event)

    def fail(self, error: str, message: str, usage: Usage) -> None:
        """Tell that the run failed, even where that cannot be recorded."""
        event = RunFailed(error=error, message=message, usage=usage)
        if self.log is not None and self._begun:
            with suppress(JournalError):  # it may be what failed
                self.log.event(event, durable=True)
        self.listener(event)

    def say(self, messages: Sequence[tuple[str, str]], *, closes_turn: bool = False) -> None:
        """Record messages of the conversation, as role and content."""
        if self.log is not None:
            self.log.messages(messages, closes_turn=closes_turn)

    def close(self) -> None:
        """Record nothing any more, and let others go on with the run."""
        with self._held:
            if self.log is not None:
                self.log.close()
