"""Writes the record of one run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..events import ActionFinished, CallRecord, Event, ToolReturned
from .past import FORMAT, SAME, Past, read_past
from .redaction import Redactor
from .store import Record, Store


class RunLog:
    """Appends what happens in one run; from any thread.

    Args:
        store: Where the records go.
        run_id: The run.
        redact: Takes secrets out of all that is written.
        records: How many there are already.
    """

    def __init__(self, store: Store, run_id: str, redact: Redactor, *, records: int = 0) -> None:
        self.store = store
        self.run_id = run_id
        self.redact = redact
        self._seq = records
        self._lock = threading.Lock()
        self._closed = False

    @property
    def records(self) -> int:
        """How many there are."""
        return self._seq

    def event(self, event: Event, data: Mapping[str, Any] | None = None, *, durable: bool = False) -> None:
        """Append an event, with what resuming needs besides.

        Raises:
            JournalError: It cannot be written.
        """
        if isinstance(event, ActionFinished):
            event = _without_values(event)
        body = json.loads(event.model_dump_json(exclude={"type"}, exclude_unset=True))
        if isinstance(event, ToolReturned) and data is not None:
            answer = data.get("answer") or {}
            if "value" in answer and answer["value"] == body["call"]["result"]:
                data = {**data, "answer": SAME}
        self._append(event.type, {"type": event.type, **body}, data, durable=durable)

    def messages(self, messages: Sequence[tuple[str, str]], *, closes_turn: bool = True) -> None:
        """Append messages of the conversation, as role and content."""
        self._append("message", None, {"messages": [list(each) for each in messages], "closes_turn": closes_turn})

    def item(self, call: int, value: Any) -> None:
        """Append one item of a streamed result."""
        self._append("item", None, {"call": call, "value": value})

    def opening(self, configuration: Mapping[str, Any]) -> None:
        """Append what the run is made of; the first record."""
        self._append("run", None, {"format": FORMAT, **configuration})

    def close(self) -> None:
        """Write nothing any more: a thread that was given up may end when somebody else goes on with the run."""
        with self._lock:
            self._closed = True

    def past(self) -> Past:
        """What is known of the run so far."""
        return read_past(self.run_id, self.store.read(self.run_id))

    def _append(
        self, kind: str, event: dict[str, Any] | None, data: Mapping[str, Any] | None, *, durable: bool = False
    ) -> None:
        redacted = None if data is None else self.redact(dict(data))
        with self._lock:
            if self._closed:
                return
            record = Record(self._seq + 1, time.time(), kind, self.redact(event), redacted)
            self.store.append(self.run_id, record, durable=durable)
            self._seq += 1


def _without_values(event: ActionFinished) -> ActionFinished:
    """The event without arguments and results of its calls, which have records of their own."""
    calls = tuple(
        CallRecord(id=call.id, tool=call.tool, error=call.error, seconds=call.seconds)
        for call in event.observation.calls
    )
    return ActionFinished(observation=event.observation.model_copy(update={"calls": calls}))
