"""Runs a journal again, offline: no key, no model, no GPU, no cloud, and no tool; and says what is different now.

>>> replayed = replay(Journal("runs.sqlite3").past(run_id))  # doctest: +SKIP
>>> replayed.differences  # doctest: +SKIP
()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._portal import Portal
from .checks import Checker
from .configuration import changed_tools, describe
from .errors import RunDiverged, SandboxCrashed
from .events import Diverged, ReplyFinished
from .journal import Past, PastAction, read_exported
from .models.base import Message
from .observing import counted, first_difference
from .recall import RecordedTools
from .session import Session

if TYPE_CHECKING:
    from .agent import CodeActAgent
    from .conversation import Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of a run that was run again."""

    run_id: str
    actions: int
    """Those that were executed again."""
    calls: int
    """Tool calls that were answered from the journal."""
    replies: int = 0
    """Those that the model was asked for again."""
    differences: tuple[Diverged, ...] = ()
    """In the order in which they were found: prompt and tools, checks, actions, replies."""

    @property
    def text(self) -> str:
        """For people: what was compared, and the first difference."""
        compared = f"{counted(self.actions, 'action')} and {counted(self.calls, 'tool call')}" + (
            f", and {counted(self.replies, 'reply')} of the model" if self.replies else ""
        )
        if not self.differences:
            return f"{self.run_id}: the same in {compared}."
        rest = len(self.differences) - 1
        more = f" (and {counted(rest, 'more difference')})" if rest else ""
        return f"{self.run_id}: {self.differences[0].message}{more}"


def replay(past: Past, *, agent: CodeActAgent | None = None, ask_model: bool = False) -> Replayed:
    """Run the actions of ``past`` again in the local sandbox, their calls answered from the journal, and compare.

    Args:
        past: The run; see `Journal.past` and `read_exported`.
        agent: Hold the run against this agent: its prompt, the signatures of its tools, and its check. None: against
            what the journal says of the run, so that not even its tools need be there.
        ask_model: Also ask the agent's model for each reply again, given the recorded messages before it.

    Raises:
        SandboxUnavailable: No local sandbox can be opened here.
        ModelError: The model was to be asked and cannot be.
    """
    with Portal() as portal:
        return portal.run(areplay(past, agent=agent, ask_model=ask_model))


async def areplay(past: Past, *, agent: CodeActAgent | None = None, ask_model: bool = False) -> Replayed:
    """`replay` for asynchronous callers."""
    differences: list[Diverged] = []
    replies = 0
    if agent is not None:
        conversation = type(agent).conversation(_offline(agent))
        differences += _prompt_and_tools(past, agent, conversation)
        differences += await _checks(past, agent, conversation)
        tools = conversation.session.registry
    else:
        tools = None
    actions = past.to_rebuild
    differences += await _actions(past, actions, tools)
    if agent is not None and ask_model:
        found = [each async for each in _replies(past, agent)]
        replies = len(found)
        differences += [each for each in found if each is not None]
    calls = sum(len(action.calls) for action in actions)
    return Replayed(
        run_id=past.run_id, actions=len(actions), calls=calls, replies=replies, differences=tuple(differences)
    )


def replay_file(path: str | Path, *, agent: CodeActAgent | None = None) -> Replayed:
    """`replay` for what ``codeact-tools runs export`` wrote; the body of a regression test.

    Raises:
        JournalError: The file holds no run.
        OSError: It cannot be read.
    """
    return replay(read_exported(Path(path).read_text(encoding="utf-8"), where=str(path)), agent=agent)


def as_test(past: Past, name: str) -> str:
    """The source of a test that replays the run in ``NAME.jsonl`` beside it."""
    plain = "".join(each if each.isprintable() else " " for each in (past.tasks or [""])[0])
    task = " ".join(plain.split()).replace("\\", "/").replace('"', "'")[:80]
    return f'''"""Replays a recorded run: {task}"""

from pathlib import Path

from codeact_tools.replay import replay_file


def test_{name}() -> None:
    """The recorded actions, given the recorded tool results, do what they did."""
    replayed = replay_file(Path(__file__).with_name("{name}.jsonl"))  # agent=... holds it against your agent of today
    assert not replayed.differences, replayed.text
'''


def _offline(agent: CodeActAgent) -> CodeActAgent:
    """The same agent, which records nothing."""
    from copy import copy

    silent = copy(agent)
    silent._journal = False
    return silent


def _prompt_and_tools(past: Past, agent: CodeActAgent, conversation: Conversation) -> Iterable[Diverged]:
    now = describe(agent, conversation.session, seed=None, output_type=str)
    names = past.configuration.get("tools", {})
    if changed := changed_tools(past.configuration, now, used=names):
        yield Diverged(action=0, what="tools", recorded="", now="", message=f"The tools have changed: {changed}.")
    if new := sorted(set(now["tools"]) - set(names)):
        yield Diverged(action=0, what="tools", recorded="", now="", message=f"There are new tools: {', '.join(new)}.")
    before = next((content for role, content in past.messages if role == "system"), "")
    prompt = conversation.messages[0].content
    if prompt != before:
        message = f"The prompt has {first_difference(before, prompt)}."
        yield Diverged(action=0, what="prompt", recorded=before, now=prompt, message=message)


async def _checks(past: Past, agent: CodeActAgent, conversation: Conversation) -> list[Diverged]:
    """Actions that the check would now refuse, or let through, unlike the first time."""
    if agent.session_options["check"] != "block":
        return []
    session = conversation.session
    checker = Checker(
        session.registry, allow_imports=session.allow_imports, packages=tuple(past.configuration.get("packages", ()))
    )
    found: list[Diverged] = []
    try:
        for action in past.actions:
            if action.observation is None:
                continue
            result = await checker.check(action.code)
            if result.ok != (action.ran is not None):
                verdict = "would be refused now" if not result.ok else "was refused, and would run now"
                message = f"Action {action.number} {verdict}: {result.render() or action.observation.text}"
                found.append(
                    Diverged(action=action.number, what="check", recorded=action.code, now="", message=message)
                )
            if action.ran is not None:
                checker.commit(code=action.ran, failed=not action.observation.ok)
    finally:
        await checker.aclose()
    return found


async def _actions(past: Past, actions: list[PastAction], tools: Any) -> list[Diverged]:
    made = past.configuration
    session = Session(
        () if tools is None else tools,
        sandbox="local",
        check="off",
        allow_imports=made.get("allow_imports", ()),
        packages=made.get("packages", ()),
        limits=made.get("limits"),
        observation_chars=made.get("observation_chars", 4000),
        run_id=past.run_id,
        seed=made.get("seed"),
        recorded=RecordedTools.of(made) if tools is None else None,
    )
    found: list[Diverged] = []
    async with session:
        for action in actions:
            try:
                found += await session.rebuild([action])
            except (RunDiverged, SandboxCrashed) as error:  # from here on it is another run
                return [*found, Diverged(action=action.number, what="calls", recorded="", now="", message=str(error))]
    return found


async def _replies(past: Past, agent: CodeActAgent) -> Any:
    """Ask the model for each reply again; yield a difference, or None where there is none."""
    from .conversation import Conversation

    conversation = Conversation(_offline(agent))
    recorded = iter([event for _, event in past.events if isinstance(event, ReplyFinished)])
    history: list[Message] = []
    async with conversation:
        for role, content in past.messages:
            if role == "assistant":
                reply = next(recorded, None)
                before = content if reply is None else reply.text
                now = await conversation.ask(history)
                same = now.strip() == before.strip()
                message = f"The model's reply has {first_difference(before, now)}."
                yield None if same else Diverged(action=0, what="reply", recorded=before, now=now, message=message)
            history.append(Message(role, content))  # type: ignore[arg-type]


__all__ = ["Replayed", "areplay", "as_test", "read_exported", "replay", "replay_file"]
