"""What keeps the records of runs: a small protocol; `SQLiteStore` is one that has it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

Json = Any


class Record(NamedTuple):
    """One line of a run's history; it is never changed."""

    seq: int
    """From 1, without gaps."""
    at: float
    """Seconds since 1970, UTC."""
    kind: str
    """``run``, ``message``, ``item``, or the ``type`` of the event."""
    event: dict[str, Json] | None = None
    """An event as JSON; see `codeact_tools.events`."""
    data: dict[str, Json] | None = None
    """What resuming and replaying need besides: values as they went over the bridge, messages, the configuration."""


class RunSummary(NamedTuple):
    """A run as a list shows it."""

    run_id: str
    started: float
    """Seconds since 1970, UTC."""
    records: int
    task: str
    last: str
    """Kind of the last event that tells how the run stands; "" where none does."""
    error: str = ""
    """Of a run that failed: the name of its error, or ``Cancelled``."""


class Store(Protocol):
    """Keeps records of runs in the order in which they were appended. Its methods may be called from any thread."""

    where: str
    """For people."""

    def append(self, run_id: str, record: Record, *, durable: bool) -> None:
        """Add the next record.

        Args:
            run_id: The run.
            record: Its ``seq`` follows that of the one before.
            durable: Whether it must be on the disk before this returns; otherwise it must survive the end of this
                process, but not that of the machine.

        Raises:
            JournalError: It cannot be written; nothing of it is kept.
        """
        ...

    def read(self, run_id: str) -> list[Record]:
        """The records of a run, in order, up to the first that is missing; none where it is not known."""
        ...

    def runs(self) -> list[RunSummary]:
        """All runs, the newest first."""
        ...

    def delete(self, run_id: str) -> None:
        """Forget a run."""
        ...

    def claim(self, run_id: str) -> AbstractContextManager[None]:
        """Hold the run, so that nobody else goes on with it meanwhile; ends with this process at the latest.

        Raises:
            RunBusy: Somebody else holds it.
        """
        ...

    def is_held(self, run_id: str) -> bool:
        """Whether somebody goes on with the run right now."""
        ...
