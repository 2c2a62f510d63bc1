"""``codeact-tools runs``, ``resume`` and ``replay``: the journal at the command line."""

from __future__ import annotations

import getpass
import json as json_format
import re
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import App, Group, Parameter
from rich.console import Console

from ..approvals import Allow, Deny, Done, Verdict
from ..errors import ConfigurationError
from ..journal import Journal, Past, open_journal
from ..observing import counted
from ..session import CheckMode
from .approving import ApprovalMode
from .exits import Exit
from .inputs import read_tools
from .output import complain, write
from .render import TerminalRenderer, printable
from .running import AgentOptions, Flag, Names, OutputOptions, resume_task


@Parameter(name="*", group=Group("The agent, instead of what it was then", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class ChangedOptions:
    """What the agent is made of, where that is not what it was then; see `AgentOptions`."""

    tools: Annotated[tuple[str, ...] | None, Parameter(alias="-t"), Names] = None
    """Toolkit by name, or Python file with @tool functions; repeat the option, or separate by commas."""
    model: Annotated[str | None, Parameter(alias="-m")] = None
    """auto, embedded, endpoint:NAME, a URL, a GGUF file, transformers:NAME."""
    sandbox: Annotated[str | None, Parameter(alias="-s")] = None
    """auto, local, jail, jail-lite, e2b."""
    max_turns: int | None = None
    """Most replies of the model for one task, those before included."""
    allow_import: Annotated[tuple[str, ...] | None, Names] = None
    """Module that actions may import besides the tools; repeat the option."""
    check: CheckMode | None = None
    """What the findings of the check before each action do."""
    approve: ApprovalMode | None = None
    """Who decides about calls that need approval."""

    def over(self, then: AgentOptions) -> AgentOptions:
        """The options of then, with those that are given here in their place."""
        return replace(then, **{name: value for name, value in asdict(self).items() if value is not None})


runs_app = App(name="runs", help="The record of runs: look at them, decide about their calls, take them with you.")

_STATES = {
    "run_finished": "finished",
    "run_failed": "failed",
    "run_paused": "waits",
    "run_started": "cut off",
    "run_resumed": "cut off",
}


@runs_app.command(name="list")
def list_runs(*, limit: int = 20, json: Annotated[bool, Flag] = False) -> Exit:
    """List the runs, the newest first: name, start, state, task.

    Args:
        limit: At most so many.
        json: As JSON, a line each.
    """
    journal = _journal()
    runs = journal.runs()
    if not runs:
        complain(f"The journal {journal.where!r} holds no run yet.")
    for run in runs[:limit]:
        state = "cancelled" if run.error == "Cancelled" else _STATES.get(run.last, "cut off")
        state = "running" if journal.store.is_held(run.run_id) else state
        started = datetime.fromtimestamp(run.started, UTC)
        if json:
            entry = {"run": run.run_id, "started": started.isoformat(), "state": state, "task": run.task}
            write(json_format.dumps(entry, ensure_ascii=False))
        else:
            task = printable(" ".join(run.task.split()))[:80]
            write(f"{run.run_id[:12]}  {started.astimezone():%Y-%m-%d %H:%M}  {state:<9}  {task}")
    return Exit.ANSWER


@runs_app.command
def show(run: str, /, *, json: Annotated[bool, Flag] = False) -> Exit:
    """Show what happened in a run, as it was shown while it ran.

    For example:

        codeact-tools runs show last

    Args:
        run: The run, or the beginning of its name; last for the newest.
        json: All events as JSON, a line each, with their times.
    """
    journal = _journal()
    past = journal.past(journal.find(run))
    if json:
        for at, event in past.events:
            write(json_format.dumps({"at": at, **event.model_dump(mode="json")}, ensure_ascii=False))
        return Exit.ANSWER
    with TerminalRenderer(Console()) as renderer:
        for _, event in past.events:
            renderer.show(event)
    if past.status == "finished":
        write(f"\n{printable(str(past.answer))}")
    for call in past.waiting:
        arguments = ", ".join(f"{name}={value!r}" for name, value in call.record.arguments.items())
        write(printable(f"\ncall {call.key} waits for a decision: {call.record.tool}({arguments})\n    {call.asked}"))
    return Exit.ANSWER


@runs_app.command
def export(run: str, /, *, pytest: Path | None = None) -> Exit:
    """Write a run as JSON lines to stdout, or a regression test of it to a folder.

    For example:

        codeact-tools runs export last > run.jsonl
        codeact-tools runs export last --pytest tests/runs

    Args:
        run: The run, or the beginning of its name; last for the newest.
        pytest: Write the run and a test that replays it to this folder.
    """
    journal = _journal()
    run_id = journal.find(run)
    text = journal.export(run_id)
    if pytest is None:
        write(text.rstrip("\n"))
        return Exit.ANSWER
    from ..replay import as_test

    name = "run_" + re.sub(r"\W", "_", run_id[:12], flags=re.ASCII)
    try:
        pytest.mkdir(parents=True, exist_ok=True)
        (pytest / f"{name}.jsonl").write_text(text, encoding="utf-8")
        (pytest / f"test_{name}.py").write_text(as_test(journal.past(run_id), name), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The test cannot be written to {str(pytest)!r}: {error.strerror}.") from error
    write(str(pytest / f"test_{name}.py"))
    return Exit.ANSWER


@runs_app.command
def approve(
    run: str,
    call: int | None = None,
    /,
    *,
    deny: str | None = None,
    arguments: str | None = None,
    result: str | None = None,
) -> Exit:
    """Decide about a call that a paused run waits for; then go on with `codeact-tools resume RUN`.

    For example:

        codeact-tools runs approve 3f2a 4
        codeact-tools runs approve 3f2a 4 --deny "too expensive"

    Args:
        run: The run, or the beginning of its name; last for the newest.
        call: The call's number; may be left out where the run waits for one call only.
        deny: Do not run it; the action is told this reason.
        arguments: Run it with these arguments instead, as a JSON object.
        result: It happened already and gave this, as JSON; it is not run.
    """
    if sum(option is not None for option in (deny, arguments, result)) > 1:
        raise ConfigurationError("Give one of --deny, --arguments and --result.")
    verdict: Verdict = Allow()
    if deny is not None:
        verdict = Deny(deny)
    elif arguments is not None:
        verdict = Allow(_read_object(arguments))
    elif result is not None:
        verdict = Done(_read_json(result, "--result"))
    journal = _journal()
    past = journal.past(journal.find(run))
    journal.decide(past.run_id, _the_call(past, call), verdict, by=_who())
    left = len(past.waiting) - 1
    complain(
        f"{counted(left, 'more decision')} to take." if left else f"Go on with: codeact-tools resume {past.run_id[:12]}"
    )
    return Exit.ANSWER


@runs_app.command
def delete(run: str, /) -> Exit:
    """Delete a run's record.

    Args:
        run: The run, or the beginning of its name, of at least 6 characters.
    """
    if len(run) < 6:
        raise ConfigurationError(f"{run!r} is too short a name to delete by; give at least 6 characters of it.")
    journal = _journal()
    found = journal.find(run)
    journal.delete(found)
    complain(f"deleted {found}")
    return Exit.ANSWER


def resume(run: str, /, *, agent: ChangedOptions | None = None, output: OutputOptions | None = None) -> Exit:
    """Go on with a run that was cut off, failed or waits for a decision; no tool runs twice.

    The agent is made as it was for the run; options that are given here replace those of then.

    For example:

        codeact-tools resume last

    Args:
        run: The run, or the beginning of its name; last for the newest.
    """
    journal = _journal()
    past = journal.past(journal.find(run))
    if past.status == "finished":
        write(printable(str(past.answer)))
        return Exit.ANSWER
    options = _agent_options(past, agent)
    return resume_task(options.agent(), past.run_id, output or OutputOptions())


def replay(
    run: str,
    /,
    *,
    agent: ChangedOptions | None = None,
    ask_model: Annotated[bool, Flag] = False,
) -> Exit:
    """Run a journal again, offline, with its recorded replies and tool results, and compare.

    Without options it needs nothing but the local sandbox: no model, no key, not even the tools.
    With tools, it also compares the prompt, the signatures and the check with those of today.
    The exit code is 1 where something differs.

    For example:

        codeact-tools replay last
        codeact-tools replay run.jsonl -t shop.py
        codeact-tools replay last -t shop.py -m embedded --ask-model

    Args:
        run: The run, or the beginning of its name; last for the newest; or a file of `codeact-tools runs export`.
        ask_model: Also ask the model for each reply again.
    """
    from ..replay import read_exported
    from ..replay import replay as replay_run

    if run.endswith(".jsonl"):
        try:
            past = read_exported(Path(run).read_text(encoding="utf-8"), where=run)
        except OSError as error:
            raise ConfigurationError(f"The file {run!r} cannot be read: {error.strerror}.") from error
    else:
        journal = _journal()
        past = journal.past(journal.find(run))
    against = None
    if agent is not None or ask_model:
        from ..agent import CodeActAgent
        from ..testing import ScriptedModel

        options = _agent_options(past, agent)
        against = options.agent() if ask_model else CodeActAgent(
            read_tools(options.tools), model=ScriptedModel([], dialect=past.configuration.get("dialect", "chat")),
            sandbox="local", allow_imports=options.allow_import, check=options.check, journal=False,
        )  # fmt: skip
    replayed = replay_run(past, agent=against, ask_model=ask_model)
    write(printable(replayed.text))
    for difference in replayed.differences[1:]:
        write(printable(difference.message))
    return Exit.FAILED if replayed.differences else Exit.ANSWER


def _journal() -> Journal:
    journal = open_journal()
    if journal is None:
        raise ConfigurationError("There is no journal: CODEACT_TOOLS_JOURNAL=off. Unset it, or name a file.")
    if journal.lost:
        complain(f"warning: {journal.lost}")
    return journal


def _agent_options(past: Past, given: ChangedOptions | None) -> AgentOptions:
    """The options of then, with those that were given now in their place."""
    known = {field.name for field in fields(AgentOptions)}
    origin = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in past.configuration.get("origin", {}).items()
        if name in known
    }
    if not origin and given is None:
        raise ConfigurationError(
            f"The run {past.run_id[:12]} was not started with this command, so its tools are not known here: name them "
            "with -t, or resume it in your program with agent.resume()."
        )
    then = AgentOptions(**cast(Any, origin))
    return then if given is None else given.over(then)


def _the_call(past: Past, call: int | None) -> int:
    if call is not None:
        return call
    waiting = past.waiting
    if not waiting:
        raise ConfigurationError(f"The run {past.run_id[:12]} waits for no decision.")
    if len(waiting) != 1:
        raise ConfigurationError(
            f"The run waits for {len(waiting)} decisions; name the call: "
            + ", ".join(f"{each.key} ({each.record.tool})" for each in waiting)
        )
    return waiting[0].key


def _read_json(text: str, option: str) -> Any:
    try:
        return json_format.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} is no JSON: {error}.") from error


def _read_object(text: str) -> dict[str, Any]:
    value = _read_json(text, "--arguments")
    if not isinstance(value, dict):
        raise ConfigurationError('--arguments is a JSON object of all arguments by name: {"order": "A17"}.')
    return value


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        return "terminal"
