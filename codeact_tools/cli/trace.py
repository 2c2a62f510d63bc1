"""``codeact-tools trace``: a recorded run as one self-contained page, or as OpenTelemetry spans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, NamedTuple

from cyclopts import App, Parameter
from pydantic import ValidationError

from ..errors import ConfigurationError
from ..events import EVENT_ADAPTER, Recorded
from ..journal import Past, open_journal, read_exported
from ..observing import counted
from .exits import Exit
from .output import write

trace_app = App(name="trace", help="A recorded run as one page, or as OpenTelemetry spans.")

JournalFile = Annotated[str | None, Parameter(show_default=False)]


@trace_app.command
def html(
    run: str = "last",
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o", show_default=False)] = None,
    journal: JournalFile = None,
) -> Exit:
    """Write a page of a run: turns in time, code with findings, calls, output, plots, approvals, search.

    The page is one file that works offline and asks no other host for anything. Its path goes to stdout.

    For example:

        codeact-tools trace html
        codeact-tools trace html 5f1c -o run.html

    Args:
        run: The run, or the beginning of its id; the newest by default. Also a file that `runs export` wrote.
        output: Where to write; by default a file named after the run, in the current folder.
        journal: The journal's file.
    """
    from ..tracing import render_html

    found = _find(run, journal)
    path = output or Path(f"trace-{found.name}.html")
    try:
        path.write_text(render_html(found.recorded, system_prompt=found.system_prompt), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The file {str(path)!r} cannot be written: {error.strerror}.") from error
    write(str(path))
    return Exit.ANSWER


@trace_app.command
def otel(
    run: str = "last",
    /,
    *,
    endpoint: Annotated[str | None, Parameter(show_default=False)] = None,
    agent_name: Annotated[str | None, Parameter(show_default=False)] = None,
    journal: JournalFile = None,
) -> Exit:
    """Send a run to an OpenTelemetry collector: OTLP over HTTP, by the conventions for generative AI.

    What was written, arguments and results are left out, unless the variable
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is true. Needs the extra `otel`.

    For example:

        codeact-tools trace otel --endpoint http://localhost:4318/v1/traces

    Args:
        run: The run, or the beginning of its id; the newest by default. Also a file that `runs export` wrote.
        endpoint: Where traces are received; by default what OTEL_EXPORTER_OTLP_ENDPOINT says, else localhost:4318.
        agent_name: What the agent is called, gen_ai.agent.name.
        journal: The journal's file.
    """
    from ..tracing.otlp import send

    found = _find(run, journal)
    sent = send(found.recorded, endpoint=endpoint, agent_name=agent_name)
    write(f"{counted(sent.spans, 'span')} of run {found.name} sent to {sent.endpoint}")
    return Exit.ANSWER


class _Found(NamedTuple):
    """A run that was asked for."""

    name: str
    recorded: list[Recorded]
    system_prompt: str


def _find(run: str, journal: str | None) -> _Found:
    if (path := Path(run)).is_file():
        return _read(path)
    opened = open_journal(journal)
    if opened is None:
        raise ConfigurationError("The journal is off; name its file with --journal.")
    return _of(opened.past(opened.find(run)))


def _of(past: Past) -> _Found:
    system = next((content for role, content in past.messages[:1] if role == "system"), "")
    return _Found(past.run_id[:12], past.events, system)


def _read(path: Path) -> _Found:
    """A run from a file: what `runs export` wrote, or a line ``{"at": seconds, "event": {...}}`` for each event."""
    try:
        text = path.read_text(encoding="utf-8")
        if '"run"' in text.partition("\n")[0].partition(":")[0]:
            return _of(read_exported(text, where=f"The file {str(path)!r}"))
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        recorded = [Recorded(row["at"], EVENT_ADAPTER.validate_python(row["event"])) for row in rows]
    except OSError as error:
        raise ConfigurationError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from error
    except (ValueError, ValidationError, LookupError, TypeError) as error:
        raise ConfigurationError(
            f"The file {str(path)!r} holds no run; write it with `codeact-tools runs export RUN`."
        ) from error
    return _Found(path.stem, recorded, "")
