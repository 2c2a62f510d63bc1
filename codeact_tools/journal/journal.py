"""The record of all runs: what applications, the command line and traces ask of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ..approvals import DONE, Allow, Deny, Done, Verdict
from ..errors import ConfigurationError, JournalError, RunNotFound
from ..events import ApprovalDecided, Recorded
from .log import RunLog
from .past import Past, PastCall, read_past
from .redaction import Redactor
from .sqlite import SQLiteStore
from .store import Record, RunSummary, Store

VARIABLE: Final = "CODEACT_TOOLS_JOURNAL"
"""Environment variable: the journal's file, or ``off``."""


def default_path() -> Path:
    """Where runs are recorded unless the environment or the application says otherwise.

    Raises:
        JournalError: The user has no home.
    """
    try:
        home = Path.home()
    except RuntimeError as error:  # neither HOME nor an entry among the users, as in some containers
        raise JournalError(
            f"There is no place for a journal: {str(error).rstrip('.')}. Name a file with {VARIABLE}=PATH."
        ) from error
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    return base / "codeact_tools" / "runs.sqlite3"


class Journal:
    """Every run's append-only record: the log, the resume point, the replay and the test.

    >>> journal = Journal("runs.sqlite3")  # doctest: +SKIP
    >>> [run.task for run in journal.runs()]  # doctest: +SKIP
    ['How many days are left in 2026?']

    Args:
        store: A file, or another `Store`; None for the file of the environment (`VARIABLE`), else the default one.
        secrets: Regular expressions of what must never be written, besides the well-known forms of keys and tokens.
    """

    def __init__(self, store: Store | str | os.PathLike[str] | None = None, *, secrets: Iterable[str] = ()) -> None:
        if store is None:
            store = os.environ.get(VARIABLE) or default_path()
        if store == "off":
            raise ConfigurationError(f"There is no journal, because {VARIABLE}=off; name its file.")
        self.store: Store = SQLiteStore(store) if isinstance(store, str | os.PathLike) else store
        self._secrets = tuple(secrets)

    @property
    def where(self) -> str:
        """Where it is kept, for people."""
        return self.store.where

    @property
    def lost(self) -> str | None:
        """What a damaged file cost, in one sentence; None where nothing was lost."""
        return getattr(self.store, "lost", None)

    def runs(self) -> list[RunSummary]:
        """All runs, the newest first."""
        return self.store.runs()

    def find(self, run: str) -> str:
        """The identifier that ``run`` is the beginning of; ``last`` is the newest run.

        Raises:
            RunNotFound: There is none, or there are several.
        """
        known = [summary.run_id for summary in self.runs()]
        if run == "last":
            if not known:
                raise RunNotFound(f"The journal {self.where!r} holds no run yet.")
            return known[0]
        found = [run_id for run_id in known if run_id == run] or [run_id for run_id in known if run_id.startswith(run)]
        if len(found) == 1 and run:
            return found[0]
        if found and run:
            raise RunNotFound(f"{run!r} is the beginning of {len(found)} runs: {', '.join(found[:5])}.")
        raise self._unknown(run)

    def past(self, run_id: str) -> Past:
        """What is known of a run.

        Raises:
            RunNotFound: Nothing is.
        """
        return self._past_of(run_id, self.store.read(run_id))

    def read(self, run_id: str) -> list[Recorded]:
        """The run's events with their times, text deltas and output pieces excepted.

        Raises:
            RunNotFound: The journal knows no such run.
        """
        return self.past(run_id).events

    def decide(
        self, run_id: str, call: int, verdict: Verdict | bool, *, by: str = "", past: Past | None = None
    ) -> None:
        """Answer what a paused run asks about one of its calls; `CodeActAgent.resume` goes on with it.

        Args:
            run_id: The run.
            call: The call's number.
            verdict: `Allow` (or True), `Deny` (or False), or `Done` with what the call gave when it happened. Arguments
                and results are JSON; resuming validates them like those of any call. Arguments that the tool declares
                secret are left out: the action's own are used.
            by: Who decides.
            past: What `past` returned, where it is known already.

        Raises:
            ConfigurationError: The run does not wait for a decision about this call, or the verdict cannot be kept.
            RunBusy: The run is going on.
        """
        with self.store.claim(run_id):
            past = past or self.past(run_id)
            waiting = {each.key: each for each in past.waiting}
            if call not in waiting:
                asked = ", ".join(f"{key} ({each.record.tool})" for key, each in waiting.items()) or "none"
                raise ConfigurationError(
                    f"The run {run_id!r} waits for no decision about call {call}; it waits for {asked}."
                )
            if isinstance(verdict, bool):
                verdict = Allow() if verdict else Deny()
            self._write_verdict(self.log(run_id, records=past.records), past, waiting[call], verdict, by)

    def log(self, run_id: str, *, records: int = 0, secrets: Iterable[str] = ()) -> RunLog:
        """What writes the records of a run.

        Args:
            run_id: The run.
            records: How many it has.
            secrets: Values that must never be written.
        """
        return RunLog(self.store, run_id, self.redactor(secrets), records=records)

    def redactor(self, secrets: Iterable[str] = ()) -> Redactor:
        """What takes secrets out of the records."""
        return Redactor(self._secrets, secrets)

    def export(self, run_id: str) -> str:
        """The run as JSON lines, which `read_exported` reads."""
        records = self.store.read(run_id)
        if not records:
            raise self._unknown(run_id)
        lines = [{"run": run_id, **record._asdict()} for record in records]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    def delete(self, run_id: str) -> None:
        """Forget a run.

        Raises:
            RunNotFound: The journal knows no such run.
            RunBusy: It is going on.
        """
        if all(summary.run_id != run_id for summary in self.runs()):
            raise self._unknown(run_id)
        with self.store.claim(run_id):
            self.store.delete(run_id)

    def _past_of(self, run_id: str, records: list[Record]) -> Past:
        if not records:
            raise self._unknown(run_id)
        return read_past(run_id, records)

    def _unknown(self, run: str) -> RunNotFound:
        return RunNotFound(f"The journal {self.where!r} knows no run {run!r}; see `codeact-tools runs list`.")

    def _write_verdict(self, log: RunLog, past: Past, call: PastCall, verdict: Verdict, by: str) -> None:
        tool = call.record.tool
        said: Any = None
        if not isinstance(verdict, Deny):
            said = verdict.result if isinstance(verdict, Done) else verdict.arguments
        kept = _as_json(tool, said)
        if isinstance(verdict, Allow) and kept is not None:
            secrets = past.configuration.get("tools", {}).get(tool, {}).get("secrets", ())
            if secret := sorted(set(kept).intersection(secrets)):
                raise ConfigurationError(
                    f"{tool} declares {', '.join(map(repr, secret))} a secret, which the journal does not keep; leave "
                    "it out, and the action's own is used."
                )
        if log.redact(kept) != kept:
            raise ConfigurationError(
                f"The decision about {tool} holds a secret, which the journal does not keep; let `approve` give it."
            )
        event = ApprovalDecided(
            call_id=call.key,
            tool=tool,
            verdict="deny" if isinstance(verdict, Deny) else "allow",
            arguments=kept if isinstance(verdict, Allow) else None,
            reason=verdict.reason if isinstance(verdict, Deny) else DONE if isinstance(verdict, Done) else "",
            by=by,
        )
        log.event(event, {"done": kept} if isinstance(verdict, Done) else None, durable=True)


def _as_json(tool: str, value: Any) -> Any:
    """What somebody decided, as the journal keeps it.

    Raises:
        ConfigurationError: It is no JSON.
    """
    try:
        return json.loads(json.dumps(dict(value) if isinstance(value, Mapping) else value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"The decision about {tool} cannot be kept: {error}. Arguments and results are JSON here: numbers, text, "
            "lists, and dictionaries; a date is its ISO text, an object a dictionary of its fields."
        ) from error


def read_exported(text: str, *, where: str = "the exported run") -> Past:
    """Read what `Journal.export` wrote, up to the last whole line.

    Raises:
        JournalError: It holds no record.
    """
    records: list[Record] = []
    run_id = ""
    for line in text.splitlines():
        try:
            fields = json.loads(line)
            run_id = fields.pop("run")
            record = Record(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            break
        if record.seq != len(records) + 1:
            break
        records.append(record)
    if not records:
        raise JournalError(f"{where} holds no record of a run; write it with `codeact-tools runs export RUN`.")
    return read_past(run_id, records)


def open_journal(journal: Journal | Store | str | os.PathLike[str] | bool | None = None) -> Journal | None:
    """The journal that is meant.

    Args:
        journal: A `Journal`, a `Store` or a file; False or ``"off"`` for none; None for that of the environment
            (`VARIABLE`), else the default file.

    Raises:
        JournalError: Its file cannot be opened.
    """
    if journal is None or journal is True:
        journal = os.environ.get(VARIABLE) or default_path()
    if journal is False or (isinstance(journal, str) and journal.lower() == "off"):
        return None
    if isinstance(journal, Journal):
        return journal
    return Journal(journal)
